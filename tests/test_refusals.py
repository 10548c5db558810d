"""What may be handed to a function by mistake, without the tests' type checks: one sentence, and never a wrong result.

Of what learns from answers the same is asked in finetuning/test_refusals.py.
"""

import json
import subprocess
import sys

import pytest

BEGIN = """
import json, math, sys
import torch
from insideout import estimates
from insideout.data.pictures import captions, checker, labelled, points, scenes
from insideout.data.pictures.captions import Caption, Thing
from insideout.data.problems import Countdown, Sums, WordProblems, strict, verdict
from insideout.data.problems import countdown
from insideout.errors import BadInput
from insideout.finetuning import advantages, divergence
from insideout.finetuning.toy import Toy
from insideout.images import distances, files, flow, guidance, paths, solvers, text_encoder, time_sampling
from insideout.images.autoencoder import gaussian_kl
from insideout.images.config import DiTConfig
from insideout.images.dit import DiT
from insideout.reasoning import search, voting
from insideout.reasoning.group_advantages import mixed, scaled
from insideout.reasoning.server_writer import ServerWriter
from insideout.transformer.config import GPTConfig
from insideout.transformer.generation.rollout import rollout
from insideout.transformer.loss import cross_entropy, token_logprobs
from insideout.transformer.model import GPT
from insideout.transformer.tokenizer import BPETokenizer, CharacterTokenizer

nan, inf = math.nan, math.inf
gpt = GPT(GPTConfig.llama(vocab_size=19, context_length=24, d_model=16, n_layers=1, n_heads=2, n_kv_heads=2, d_ff=32))
dit = DiT(DiTConfig(size=4, d_model=8, n_layers=1, n_heads=1, n_classes=3))
x, column, counts = torch.randn(3, 4), torch.randn(3, 1), torch.ones(3, 4).long()
every, damaged = torch.ones(3, 4, dtype=torch.bool), torch.tensor([[1.0, nan, 0.0, 1.0]])
toy, red = Toy(2, 2), Thing("red", "circle")
table, rewards = torch.zeros(toy.n_prefixes, toy.vocab_size), torch.arange(float(len(toy.answers)))
only = table.clone()
only[0, 1:] = -inf  # a policy that never begins with the second word
letters = CharacterTokenizer("abc")


class Long:
    start = 0
    def branches(self, state):
        return [search.Branch("+", state + 1, 1.0)] if state < 3000 else []
    def value(self, state):
        return 0.5
    def solved(self, state):
        return state == 3000


found = []
for line in json.load(sys.stdin):
    try:
        found.append(repr(eval(line)))
    except BadInput as error:
        found.append(f"BadInput: {error}")
    except Exception as error:
        found.append(f"{type(error).__name__}: {error}")
print(json.dumps(found))
"""

REFUSED = {
    # nan is less and more than nothing, so that it passes for "all alike", "dark", "no label dropped"
    "advantages.group_std(damaged)": "rewards has a number that is nan",
    "advantages.group_mean(damaged)": "rewards has a number that is nan",
    "advantages.leave_one_out(damaged)": "rewards has a number that is nan",
    "advantages.whitened(damaged, every[:1])": "advantages has a number that is nan",
    "advantages.gae(damaged, x[:1], every[:1], gamma=1.0, lam=1.0)": "rewards has a number that is nan",
    "advantages.token_rewards(torch.tensor([inf]), x[:1], every[:1], beta=0.1)": "scores has a number that is inf",
    "mixed(damaged)": "rewards has a number that is nan",
    "checker.read(torch.full((3, 16, 16), nan))": "picture has a number that is nan",
    "flow.drop_labels(torch.zeros(4).long(), 3, nan)": "share is nan",
    "time_sampling.logit_normal(4, mean=nan)": "mean is nan",
    "estimates.vote(['a', 'b'], [nan, 1.0])": "finite and not below 0",
    "estimates.vote(['a', 'b'], [-1.0, 1.0])": "finite and not below 0",
    "estimates.student_quantile(nan, 3)": "p is nan",
    "estimates.student_quantile(2.0, 3)": "p is 2.0",
    "voting.probability_weights([[-inf], [-inf]], by_length=False)": "not finite",
    "voting.probability_weights([[1000.0]])": "above 0",
    "toy.best_at(0.1, toy.logprobs(table), rewards * nan)": "rewards has a number that is nan",
    # whole numbers, where fractions are written into them, or cut off
    "advantages.gae(counts, counts, every, gamma=0.5, lam=0.5)": "give floating-point numbers",
    "advantages.group_mean(counts)": "give floating-point numbers",
    "paths.interpolate(counts, counts, 0.5)": "give floating-point numbers",
    "paths.posterior(counts, counts, 0.5)": "give floating-point numbers",
    "solvers.solve(lambda x, t: x + t, counts, 4, start=0.5)": "give floating-point numbers",
    "solvers.solve_sde(lambda x, t: x, counts, 4)": "give floating-point numbers",
    "labelled.to_bytes(torch.full((2, 2), 200, dtype=torch.uint8))": "give floating-point numbers",
    "labelled.from_bytes(x)": "not bytes",
    "checker.read(torch.full((3, 16, 16), 255, dtype=torch.uint8))": "give floating-point numbers",
    "flow.draw_pictures(dit, [1.7], (1, 4, 4), n_steps=1)": "whole numbers",
    "flow.draw_pictures(dit, [True], (1, 4, 4), n_steps=1)": "whole numbers",
    "flow.draw_pictures(dit, [[1]], (1, 4, 4), n_steps=1)": "whole numbers",
    "flow.draw_pictures(dit, 1, (1, 4, 4), n_steps=1)": "whole numbers",
    # shapes that would broadcast
    "paths.interpolate(x, column, 0.5)": "must have the same",
    "paths.conditional_velocity(x, column, 0.5)": "must have the same",
    "paths.convert(column, x, 0.5, given='velocity', wanted='data')": "must have the same",
    "guidance.classifier_free(x, column, 2.0)": "must have the same",
    "gaussian_kl(x, column)": "must have the same",
    "text_encoder.contrastive_loss(column)": "give (B, B)",
    "text_encoder.contrastive_loss(x[:, :3], torch.tensor([[1, 1, 0], [0, 1, 0], [0, 0, 1]]).bool())": "symmetric",
    "toy.expected(table, rewards[:, None])": "must have the same",
    "toy.tilted(toy.logprobs(table), rewards[:, None], beta=1.0)": "must have the same",
    "flow.held_out_loss(dit, torch.zeros(2, 1, 4, 4), torch.zeros(5).long())": "a label to each",
    "flow.held_out_loss(dit, torch.zeros(0, 1, 4, 4))": "at least one picture",
    "flow.held_out_loss(dit, torch.zeros(2, 1, 4, 4), batch_size=0)": "batch_size is 0",
    # what is no distribution
    "divergence.exact(x, x)": "do not sum to 1",
    "divergence.exact(x.log_softmax(-1), x.softmax(-1))": "The probabilities of reference_logprobs do not sum to 1",
    # captions that nobody can say, and pictures cannot show
    "Caption(red, count=2, other=red)": "No caption says",
    "Caption(red, 'above', count=1)": "No caption says",
    "Caption(red, 'near', red)": "No caption says",
    "Caption(red, count=0)": "No caption says",
    "Caption(Thing('pink', 'circle'))": "No caption says",
    "Caption(Thing('red', 'circle', 'huge'))": "No caption says",
    # what would never end
    "next(Countdown((2,), largest=2, targets=(100, 200)).stream('train'))": "No target from 100 on",
    "next(Countdown((2,), targets=(10, 10), held_out='targets').stream('test'))": "has no test question",
    "Countdown().question(range(9), 10)": "cannot be searched",
    "countdown.solvable(range(1, 12), 10)": "cannot be searched",
    "countdown.chance(range(1, 12), 10)": "cannot be searched",
    # numbers of another kind
    "Countdown((2.5,))": "how many numbers is 2.5",
    "Countdown().question([1.5, 2], 3)": "a number is 1.5",
    "Sums((True,))": "the number of steps is True",
    "WordProblems(largest=nan)": "largest is nan",
    "points.points('moons', True)": "n is True",
    "scenes.scenes('train', 2.5)": "n is 2.5",
    "scenes.draw([[]], side=16.5)": "side is 16.5",
    "solvers.solve(lambda x, t: x, x, 2.5)": "n_steps is 2.5",
    "solvers.solve(lambda x, t: x, x, True)": "n_steps is True",
    "solvers.solve(lambda x, t: x, x, 2, start='0')": "start is '0'",
    "guidance.classifier_free(x, x, '2')": "w is '2'",
    "guidance.guided(None, None, 2.0, ('0', 1))": "a time of the interval is '0'",
    "flow.draw_pictures(dit, None, (1, 4, 4), n=1.5)": "n is 1.5",
    "flow.draw_pictures(dit, None, (1, 4, 4), n_steps=1.5)": "steps is 1.5",
    "flow.draw_pictures(dit, None, (1, 4, 4), seed=-1)": "seed is -1",
    "distances.kid_interval(x, x, n_parts=1.5)": "n_parts is 1.5",
    "distances.precision_and_recall(x, x, k=1.5)": "k is 1.5",
    "time_sampling.uniform(2.5)": "n is 2.5",
    "files.sheet(x)": "give (N, channels, height, width)",
    "files.sheet(torch.zeros(1, 1, 2, 2), columns=1.5)": "columns is 1.5",
    "search.search(Long(), search.beam(2.5))": "width is 2.5",
    "search.search(Long(), search.walks(), budget=True)": "budget is True",
    "search.mcts(5.0)": "simulations is 5.0",
    "search.mcts(5, c=nan)": "c is nan",
    "voting.plurality({'a': 1.0}, 2.5)": "k is 2.5",
    "voting.stopped('ab', most=2.5)": "most is 2.5",
    "ServerWriter('http://x', 'm', wait=nan)": "wait is nan",
    "ServerWriter('http://x', 'm', temperature=inf)": "temperature is inf",
    "ServerWriter('http://x', 'm', tries=2.5)": "tries is 2.5",
    "Toy(2.5, 2)": "n_tokens is 2.5",
    "toy.best_of(1.5, toy.logprobs(table), rewards)": "n is 1.5",
    "estimates.pass_at_k(4, 2, 1.5)": "k is 1.5",
    "estimates.majority_at_k(['a', 'b'], 1.5)": "k is 1.5",
    "estimates.proportion(1, 2.5)": "n is 2.5",
    "estimates.binomial_test(1.5, 2, 0.5)": "successes is 1.5",
    "estimates.bootstrap([1, 2], sum, n_resamples=0)": "n_resamples is 0",
    "estimates.reliability([0.5], [True], n_bins=0)": "n_bins is 0",
    "estimates.difference([1, 2], [1])": "cannot be paired",
    "estimates.mcnemar([True], [])": "cannot be paired",
    "estimates.auc([1.0], [True, False])": "cannot be paired",
    "estimates.student_cdf(1.0, 0)": "freedom is 0",
    "verdict('7', 7)": "An answer is read from text, not int",
    "verdict(None, '7')": "An answer is read from text, not NoneType",
    "strict(b'7', '7')": "An answer is read from text, not bytes",
    "rollout(gpt, [[1]], 2, 2).answer(2)": "row is 2",
    "rollout(gpt, [[1]], 2, 2).answer(-1)": "row is -1",
    "cross_entropy([[0.5, 0.5]], [1])": "logits is a list",
    "cross_entropy(torch.ones(1, 2), [1])": "targets is a list",
    "token_logprobs(torch.ones(1, 1, 2), None)": "targets is a NoneType",
    "letters.encode('a', special=5)": "special is 5",
    "letters.encode('a', special=None)": "special is None",
    "CharacterTokenizer.train(b'abc')": "not bytes",
    "CharacterTokenizer.train(5)": "not int",
    "CharacterTokenizer.train(['a', None])": "not NoneType",
    "CharacterTokenizer.train([['a', 'b']])": "not list",
    "BPETokenizer.train(b'abc', 300)": "not bytes",
    "BPETokenizer.train(None, 300)": "not NoneType",
    "BPETokenizer.train([1, 2], 300)": "not int",
    "BPETokenizer.train('abc', '300')": "vocab_size is '300'",
}  # fmt: skip

HOLDS = (
    "abs(toy.entropy(only).item() - math.log(3)) < 1e-6",
    "toy.best_of(3, toy.logprobs(only), rewards).exp().sum().sub(1).abs().item() < 1e-5",
    "torch.allclose(toy.logprobs(toy.policy_of(toy.logprobs(only))).exp(), toy.logprobs(only).exp())",
    "search.search(Long(), search.walks()).solved",
    "len(search.search(Long(), search.walks(), budget=2000).moves) == 0",
    "letters.encode('ab', special=()) == [0, 1]",
    "CharacterTokenizer.train(iter(['ab', 'c'])).characters == ['a', 'b', 'c']",
    "bool(divergence.exact(torch.tensor([0.0, -inf]), torch.tensor([-inf, 0.0])) == inf)",
    "divergence.exact(x.bfloat16().log_softmax(-1), x.bfloat16().log_softmax(-1)).abs().max().item() < 1e-6",
)


@pytest.fixture(scope="module")
def outcomes():
    lines = [*REFUSED, *HOLDS]
    asked = subprocess.run(
        [sys.executable, "-c", BEGIN], input=json.dumps(lines), capture_output=True, text=True, check=True
    )
    return dict(zip(lines, json.loads(asked.stdout), strict=True))


def test_refused_in_one_sentence(outcomes):
    wrong = {line: outcomes[line] for line, words in REFUSED.items()
             if not (outcomes[line].startswith("BadInput: ") and words in outcomes[line])}  # fmt: skip
    assert not wrong, "\n".join(f"{line}\n    {found}" for line, found in wrong.items())


@pytest.mark.parametrize("line", HOLDS)
def test_right_answers(outcomes, line):
    assert outcomes[line] == "True"
