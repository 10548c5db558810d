"""Learning from rewards: what is drawn is learned, all methods learn, runs go on after a stop, faults are told."""

import math
from dataclasses import replace

import pytest
import torch

from insideout.data.suite import Message, Question
from insideout.errors import BadInput
from insideout.finetuning import advantages, divergence, policy, policy_training
from insideout.finetuning.chat import ChatFormat, ChatWriter, with_chat_tokens
from insideout.finetuning.critic import Critic, Learner
from insideout.finetuning.experience import (
    Experience,
    adapter_off,
    batch_of,
    frozen_copy,
    judged_by,
    logprobs_of,
    scored_by,
)
from insideout.finetuning.kl_controller import AdaptiveKL, FixedKL
from insideout.finetuning.lora import LoRAConfig, add_adapter
from insideout.finetuning.policy_config import CriticConfig, PolicyConfig
from insideout.finetuning.policy_training import Rounds, objective, policy_loss
from insideout.finetuning.reward_model import RewardModel
from insideout.finetuning.toy import Toy
from insideout.training import checkpoint
from insideout.training.config import TrainConfig
from insideout.training.events import Step
from insideout.training.loop import train
from insideout.training.metrics import read
from insideout.transformer.config import GPTConfig
from insideout.transformer.generation.rollout import rollout
from insideout.transformer.model import GPT
from insideout.transformer.tokenizer import CharacterTokenizer

CHAT = ChatFormat(with_chat_tokens(CharacterTokenizer.train(["abc ?."])))
QUESTIONS = [Question((Message("user", words),)) for words in ("a?", "b a?", "c?", "b")]
METHODS = ("gae", "leave_one_out", "group_mean", "group_std")


def gpt(seed=0, **changes):
    torch.manual_seed(seed)
    sizes = {"context_length": 24, "d_model": 16, "n_layers": 1, "n_heads": 2} | changes
    return GPT(GPTConfig(vocab_size=CHAT.tokenizer.vocab_size, **sizes))


def has_b(question, text):
    return float("b" in text)


def settings(advantage="leave_one_out", **changes):
    values = {"prompts": 4, "samples": 4, "max_new_tokens": 5, "beta": 0.0, "penalty": 0.0, "advantage": advantage}
    return PolicyConfig(**(values | changes))


def rounds(config, model=None, reward=has_b, n_rows=8, **more):
    """A source, and what it trains."""
    critic = more.pop("critic", CriticConfig() if config.advantage == "gae" else None)
    model = model or gpt()
    learner = Learner(model, None if critic is None else Critic(model))
    source = Rounds(
        learner, config, questions=lambda number: [QUESTIONS[i % 4] for i in range(config.prompts)],
        writer=ChatWriter(model, CHAT.tokenizer), pad_id=CHAT.pad_id, reward=judged_by(reward),
        reference=frozen_copy(model, config.temperature), n_rows=n_rows, critic=critic, **more,
    )  # fmt: skip
    return learner, source


def trained(
    tmp_path, config, steps=20, lr=0.015, resume=False, on_event=None, learner_and_source=None, every=0, min_lr=None,
    **more,
):  # fmt: skip
    """Train, and give what was trained, its source and its records."""
    learner, source = learner_and_source or rounds(config, **more)
    training = TrainConfig(
        steps=steps, lr=lr, min_lr=min_lr or lr, warmup_steps=0, weight_decay=0.0, precision="float32",
        checkpoint_every=every, eval_every=0,
    )  # fmt: skip
    aim = objective(config, source.critic, learner)
    train(learner, aim, source, training, out=tmp_path, resume=resume, on_event=on_event)
    return learner, source, read(tmp_path / "metrics.jsonl")


# What is drawn is what is learned


def drawn(model=None, n=4, **more):
    prompts = [CHAT.prompt(question.prompt) for question in QUESTIONS]
    return rollout(model or gpt(), prompts, n, 5, stop=CHAT.stop_id, **more)


def test_the_mask_is_the_answer_and_its_stop_and_never_pad_or_prompt():
    answers = drawn(n=16)
    batch = batch_of(answers, CHAT.pad_id, {CHAT.stop_id})
    assert answers.finished.any() and not answers.finished.all()
    for row in range(len(answers.ids)):
        said = batch.targets[row][batch.mask[row]].tolist()
        assert said == answers.answer(row)
        assert (said[-1] == CHAT.stop_id) == bool(answers.finished[row])
        start, length = int(answers.starts[row]), int(answers.lengths[row])
        assert batch.mask[row].nonzero()[:, 0].tolist() == list(range(start - 1, length - 1))


def test_a_pad_token_that_the_policy_drew_is_learned_and_padding_is_not():
    answers = drawn(n=2)
    ids = answers.ids.clone()
    ids[0, answers.starts[0]] = CHAT.pad_id
    batch = batch_of(replace(answers, ids=ids), CHAT.pad_id, {CHAT.stop_id})
    assert batch.targets[0][batch.mask[0]].tolist() == replace(answers, ids=ids).answer(0)
    assert (batch.ids[batch.segments == -1] == CHAT.pad_id).all() and not batch.mask[batch.segments == -1].any()


def test_a_stop_that_the_mask_lacks_is_told():
    answers = drawn(n=16)
    with pytest.raises(BadInput, match="stop token"):
        batch_of(answers, CHAT.pad_id, {CHAT.stop_id - 1})


def test_the_writers_log_probabilities_are_the_trainers():
    model, warm = gpt(), 1.7
    batch = batch_of(drawn(model, temperature=warm), CHAT.pad_id, {CHAT.stop_id})
    torch.testing.assert_close(logprobs_of(model, batch, warm), batch.logprobs, atol=1e-5, rtol=0)
    assert (logprobs_of(model, batch, 1.0) - batch.logprobs).abs().max() > 0.01


def test_experience_is_cut_without_loss_and_comes_back_from_a_checkpoint():
    _, source = rounds(settings("gae"))
    whole = source.draw(0)
    some = whole.take([5, 2])
    width = some.batch.ids.shape[1]
    for i, row in enumerate((5, 2)):
        for name in ("learned", "advantages", "values", "returns", "reference_logprobs"):
            assert torch.equal(getattr(some, name)[i], getattr(whole, name)[row, :width])
        assert some.scores[i] == whole.scores[row]
    assert (some.batch.starts + some.batch.lengths).max() == width
    state = {name: x for name, x in whole.state().items() if x is not None}
    again = Experience.from_state(state)
    assert torch.equal(again.batch.targets, whole.batch.targets) and again.gold is None
    groups = whole.scores.view(4, 4).tolist()
    assert again.alike == whole.alike == some.alike == sum(len(set(group)) == 1 for group in groups) / 4
    with pytest.raises(BadInput, match="damaged"):
        Experience.from_state({name: x for name, x in state.items() if name != "scores"})


def test_the_reference_may_be_the_policy_with_its_adapter_off():
    model = gpt()
    before = frozen_copy(model)
    with pytest.raises(BadInput, match="no adapter"):
        adapter_off(model)
    add_adapter(model, LoRAConfig(rank=2))
    with torch.no_grad():
        for name, weight in model.named_parameters():
            if "adapters" in name:
                weight.normal_()
    batch = batch_of(drawn(model), CHAT.pad_id, {CHAT.stop_id})
    torch.testing.assert_close(adapter_off(model)(batch), before(batch))
    torch.testing.assert_close(logprobs_of(model, batch), batch.logprobs, atol=1e-5, rtol=0)
    assert (batch.logprobs - before(batch)).abs().max() > 0.01


def test_a_reward_model_scores_the_tokens_that_were_drawn():
    scorer = RewardModel.of(gpt(1))
    answers = drawn(n=20)  # 80: read in two parts
    batch = batch_of(answers, CHAT.pad_id, {CHAT.stop_id})
    found = scored_by(scorer.score)([QUESTIONS[0]] * 80, [""] * 80, batch)
    for row in (0, 41, 79):
        ids = answers.ids[row, : answers.lengths[row]]
        with torch.no_grad():
            torch.testing.assert_close(found[row], scorer(ids[None])[0, -1])


# Advantages


@pytest.mark.parametrize("kind", METHODS[1:])
def test_advantages_of_answers_are_those_of_their_group_and_constant_over_an_answer(kind):
    _, source = rounds(settings(kind))
    given = source.draw(0)
    expected = policy_training.ADVANTAGES[kind](given.scores.view(4, 4)).flatten()
    for row in range(16):
        assert torch.equal(
            given.advantages[row][given.learned[row]], expected[row].expand(int(given.learned[row].sum()))
        )
    assert not given.advantages[~given.drawn].any()


def test_raw_advantages_are_the_rewards_so_that_wrong_answers_teach_nothing():
    _, source = rounds(settings("raw"))
    given = source.draw(0)
    for row in range(16):
        assert (given.advantages[row][given.learned[row]] == given.scores[row]).all()
    assert policy_training.ADVANTAGES["raw"](torch.tensor([[1.0, 0.0, 1.0]])).tolist() == [[1, 0, 1]]


def test_advantages_over_all_patterns_of_right_and_wrong():
    """The sum over a group is 0, a right answer is never below a wrong one, and no number explodes."""
    for size in range(2, 9):
        patterns = torch.tensor([[n >> i & 1 for i in range(size)] for n in range(2**size)]).float()
        for kind in METHODS[1:]:
            found = policy_training.ADVANTAGES[kind](patterns)
            torch.testing.assert_close(found.sum(-1), torch.zeros(2**size), atol=1e-5, rtol=0)
            assert found.abs().max() <= math.sqrt(size - 1) + 1e-5, kind
            same = patterns.min(-1).values == patterns.max(-1).values
            assert not found[same].any()
            assert (found[patterns == 1] >= -1e-6).all() and (found[patterns == 0] <= 1e-6).all()
    assert advantages.group_std(torch.full((1, 4), 0.1)).tolist() == [[0, 0, 0, 0]]
    by_hand = advantages.group_std(torch.tensor([[1.0, 0.0, 0.0, 1.0], [3.0, 1.0, 1.0, 1.0]]))
    torch.testing.assert_close(by_hand, torch.tensor([[1, -1, -1, 1], [3**0.5, -(3**-0.5), -(3**-0.5), -(3**-0.5)]]))


def test_the_score_and_the_kl_stand_where_they_are_earned():
    """Σ γ-less rewards of an answer = score − β Σ k1, and with λ = 1 the first advantage is that less the value."""
    config = settings("gae", beta=0.3)
    learner, source = rounds(config, critic=CriticConfig(lam=1.0, whiten=False))
    with torch.no_grad():  # away from the reference
        learner.policy.head.weight.add_(0.05 * torch.randn(learner.policy.head.weight.shape))
    given = source.draw(0)
    paid = given.scores - 0.3 * torch.where(
        given.drawn, divergence.k1(given.batch.logprobs, given.reference_logprobs), 0
    ).sum(-1)
    first = given.drawn.int().argmax(-1, keepdim=True)
    found = (given.advantages + given.values).gather(1, first).squeeze(1)
    torch.testing.assert_close(found, paid)
    torch.testing.assert_close(given.returns.gather(1, first).squeeze(1), paid)


# Answers that were cut off


def test_what_becomes_of_answers_that_were_cut_off():
    given = {
        kind: rounds(settings(truncated=kind, penalty=2.0))[1].draw(0) for kind in ("penalise", "leave_out", "score")
    }
    cut = ~given["score"].finished
    assert cut.any() and not cut.all()
    assert torch.equal(given["penalise"].scores, given["score"].scores - 2.0 * cut)
    assert torch.equal(given["leave_out"].scores, given["score"].scores)
    assert not given["leave_out"].learned[cut].any()
    assert torch.equal(given["leave_out"].learned[~cut], given["leave_out"].drawn[~cut])
    assert torch.equal(given["score"].learned, given["score"].drawn)


# The loss


def losses_of(given, learner, config, critic=None):
    total, count, metrics = policy_loss(config, critic)(learner, given)
    return total, count, metrics


@pytest.mark.parametrize(
    ("ratio", "aggregation"),
    [("token", "token_mean"), ("token", "answer_mean"), ("token", "constant"), ("answer", "answer_mean"),
     ("geometric", "answer_mean")],
)  # fmt: skip
def test_a_batch_cut_in_any_way_has_the_gradient_of_the_whole(ratio, aggregation):
    config = settings("gae", aggregation=aggregation, ratio=ratio, kl="k3", beta=0.2, entropy_bonus=0.1)
    critic = CriticConfig()
    learner, source = rounds(config)
    given = source.draw(0)
    with torch.no_grad():
        learner.policy.head.weight.add_(0.02 * torch.randn(learner.policy.head.weight.shape))

    def gradient(cuts):
        learner.zero_grad()
        parts = [losses_of(given.take(rows), learner, config, critic) for rows in cuts]
        count = sum(part[1] for part in parts)
        (sum(part[0] for part in parts) / count).backward()
        return torch.cat([w.grad.flatten() for w in learner.parameters()])

    whole = gradient([list(range(16))])
    ragged = gradient([[3], [7, 1, 2, 0, 15, 14], [4, 5, 6, 8, 9, 10, 11, 12, 13]])
    torch.testing.assert_close(ragged, whole, atol=2e-6, rtol=1e-4)


def test_the_aggregations_by_hand():
    """Two answers of 1 and 3 tokens, ratio 1, advantages 2 and −1: Σ w · (−A) over its count."""
    rows = torch.tensor([0, 1, 1, 1])
    found = {}
    for kind in ("token_mean", "answer_mean", "constant"):
        weights, count = policy_training.weights_of(rows, 2, settings(aggregation=kind))
        found[kind] = float((weights * torch.tensor([-2.0, 1.0, 1.0, 1.0])).sum() / count)
    assert found == pytest.approx({"token_mean": 0.25, "answer_mean": -0.5, "constant": 0.1}, abs=1e-6)


def test_the_ratios_by_hand():
    change, rows = torch.tensor([0.5, 0.1, -0.4, 0.6]), torch.tensor([0, 2, 2, 2])
    for kind, expected in {
        "token": [0.5, 0.1, -0.4, 0.6], "answer": [0.5, 0.3, 0.3, 0.3], "geometric": [0.5, 0.1, 0.1, 0.1],
    }.items():  # fmt: skip
        assert policy_training.log_ratio(change, rows, 3, kind).tolist() == pytest.approx(expected)


def test_the_first_gradient_is_that_of_reinforce_whatever_the_ratio_is_called():
    """On fresh answers PPO's clipped loss, by token or by answer, is Σ −A log π."""
    learner, source = rounds(settings())
    given = source.draw(0)
    found = []
    for choices in ({}, {"ratio": "answer", "aggregation": "answer_mean"}):
        learner.zero_grad()
        losses_of(given, learner, settings(**choices))[0].backward()
        found.append(torch.cat([w.grad.flatten() for w in learner.parameters()]))
    learner.zero_grad()
    logits, _ = learner(given.batch.ids)
    logprobs = logits.log_softmax(-1).gather(-1, given.batch.targets.clamp_min(0)[..., None])[..., 0]
    policy.reinforce(logprobs, given.advantages)[given.learned].sum().backward()
    plain = torch.cat([w.grad.flatten() for w in learner.parameters()])
    for each in found:
        torch.testing.assert_close(each, plain, atol=1e-6, rtol=1e-4)


# It learns


@pytest.mark.parametrize("kind", METHODS)
def test_the_reward_rises(tmp_path, kind):
    _, _, records = trained(tmp_path, settings(kind))
    first, last = (sum(r["reward"] for r in some) / 4 for some in (records[:4], records[-4:]))
    assert last > 0.9 and first < 0.6, (first, last)
    if kind == "gae":
        assert all(math.isfinite(r["value_loss"]) for r in records)
        assert "explained_variance" in records[5]


def test_the_wrong_sign_is_seen_in_the_reward(tmp_path, monkeypatch):
    """So that the test above can fail."""
    right = policy.ppo
    monkeypatch.setattr(policy, "ppo", lambda *given, **more: -right(*given, **more))
    _, _, records = trained(tmp_path, settings("leave_one_out"))
    assert sum(r["reward"] for r in records[-4:]) / 4 < 0.1


def test_one_token_is_learned(tmp_path):
    """A bandit of one token: from about 1 in 13 to nearly always."""
    config = settings(max_new_tokens=1, samples=8)
    learner, _, _ = trained(tmp_path, config, steps=40, lr=0.03, reward=lambda q, text: float(text == "b"), n_rows=32)
    wrote = rollout(
        learner.policy.eval(), [CHAT.prompt(q.prompt) for q in QUESTIONS], 200, 1, stop=CHAT.stop_id, seed=9
    )
    share = sum(CHAT.tokenizer.decode(wrote.answer(row)) == "b" for row in range(800)) / 800
    assert share >= 0.99


def test_paying_for_kl_keeps_the_policy_near(tmp_path):
    found = {}
    for kl, beta in (("reward", 0.0), ("reward", 2.0), ("k2", 2.0), ("k3", 2.0)):
        _, _, records = trained(tmp_path / f"{kl}{beta}", settings(kl=kl, beta=beta), steps=16)
        found[kl, beta] = sum(r["kl"] for r in records[-4:]) / 4
    for kl in ("reward", "k2", "k3"):
        assert found[kl, 2.0] < 0.5 * found["reward", 0.0], found


def test_the_price_of_kl_is_steered_towards_a_target(tmp_path):
    """It rises while the policy is further away than wanted, and the policy stays nearer than without."""
    config = settings(beta=0.1)
    free = sum(r["kl"] for r in trained(tmp_path / "a", settings())[2][-4:]) / 4
    steered = rounds(config, controller=AdaptiveKL(0.1, 0.2, 32))
    _, source, records = trained(tmp_path / "b", config, learner_and_source=steered)
    assert records[-1]["beta"] > 0.1 and source.controller.beta > 0.1
    assert sum(r["kl"] for r in records[-4:]) / 4 < free


# A stopped run


@pytest.mark.parametrize("kind", ["gae", "leave_one_out"])
@pytest.mark.parametrize("die_at", [4, 5, 7])
def test_killed_anywhere_and_resumed_bit_for_bit(tmp_path, kind, die_at):
    class Killed(Exception):
        pass

    def die(event):
        if isinstance(event, Step) and event.step == die_at:
            raise Killed

    class Halving(FixedKL):
        def update(self, kl, n):
            self.beta /= 2

    def start():
        return rounds(config, controller=Halving(0.4))

    config = settings(kind, epochs=2, beta=0.4)
    straight, source, records = trained(tmp_path / "straight", config, 11, every=3, learner_and_source=start())
    with pytest.raises(Killed):
        trained(tmp_path / "cut", config, 11, every=3, on_event=die, learner_and_source=start())
    again, resumed, after = trained(tmp_path / "cut", config, 11, every=3, resume=True, learner_and_source=start())
    for ours, theirs in zip(straight.parameters(), again.parameters(), strict=True):
        assert torch.equal(ours, theirs)
    assert resumed.controller.beta == source.controller.beta == 0.4 / 2**3
    untimed = [[{k: v for k, v in r.items() if "second" not in k} for r in each] for each in (records, after)]
    assert untimed[0] == untimed[1]


def test_the_memory_matters(tmp_path):
    config = settings(epochs=2)
    trained(tmp_path, config, 7, every=3)
    learner, source = rounds(config)
    checkpoint.load_model(learner, checkpoint.load(checkpoint.folder_of(tmp_path, 6)).model)
    assert source.experience is None
    kept = checkpoint.load_source(checkpoint.folder_of(tmp_path, 6))
    source.load_state(kept)
    held = source.batch_at(6, 0)
    _, fresh = rounds(config, model=learner.policy)
    assert not torch.equal(held.batch.logprobs, fresh.batch_at(6, 0).batch.logprobs)


# Faults that end the run


def test_dropout_or_another_temperature_is_told_before_the_first_update(tmp_path):
    with pytest.raises(BadInput, match="ratio of new to old probability is not 1"):
        trained(tmp_path / "a", settings(), learner_and_source=rounds(settings(), model=gpt(dropout=0.3)))
    learner, source = rounds(settings(temperature=2.0))
    given = source.draw(0)
    with pytest.raises(BadInput, match="not 1"):
        losses_of(replace(given, fresh=True), learner, settings())


def test_a_critic_that_is_not_reached_is_told(tmp_path, monkeypatch):
    right = policy.value_loss
    monkeypatch.setattr(policy, "value_loss", lambda values, *given, **more: right(values.detach(), *given, **more))
    with pytest.raises(BadInput, match="taught the critic nothing"):
        trained(tmp_path, settings("gae"))


def test_a_reward_that_is_alike_for_all_is_no_false_alarm(tmp_path):
    trained(tmp_path, settings(), steps=3, reward=lambda q, text: 0.0)


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"samples": 1}, "samples is 1"),
        ({"temperature": 0.0}, "temperature is 0"),
        ({"ratio_clip": 1.0}, "ratio_clip is 1"),
        ({"beta": -0.1}, "beta is -0.1"),
        ({"prompts": 0}, "prompts is 0"),
        ({"target_kl": 2.0}, "target_kl is set and beta is 0"),
        ({"target_kl": 2.0, "beta": 0.1, "kl_horizon": 10}, "less than the 16 answers of a round"),
        ({"ratio": "answer"}, "would count once for each of its tokens"),
        ({"penalty": math.inf}, "penalty"),
    ],
)
def test_settings_that_cannot_be_are_one_sentence(changes, words):
    with pytest.raises(BadInput, match=words):
        settings(**changes)


def test_what_cannot_be_used_is_one_sentence():
    with pytest.raises(BadInput, match="4 · 4 = 16 answers and an update is made from 6"):
        rounds(settings(), n_rows=6)
    with pytest.raises(BadInput, match="is nan: it must be a finite number"):
        rounds(settings(), reward=lambda q, text: math.nan)[1].draw(0)
    with pytest.raises(BadInput, match="answer may have 20"):
        rounds(settings(max_new_tokens=20))[1].draw(0)
    learner, source = rounds(settings())
    with pytest.raises(BadInput, match="gae needs one"):
        objective(settings("gae"), None, learner)
    source.questions = lambda number: QUESTIONS[:2]
    with pytest.raises(BadInput, match="has 2 questions and needs 4"):
        source.draw(0)
    source.questions, source.reward = lambda number: QUESTIONS, lambda questions, texts, batch: [1.0]
    with pytest.raises(BadInput, match="numbers for 16 answers"):
        source.draw(0)


# Against the truth


PROMPT = CHAT.prompt(QUESTIONS[0].prompt)
WORDS = [token for token in range(CHAT.tokenizer.vocab_size) if token != CHAT.stop_id]
ANSWERS = [(CHAT.stop_id,), *((a, b) for a in WORDS for b in (*WORDS, CHAT.stop_id))]
"""Every answer of at most two tokens."""


@torch.no_grad()
def exact_logprobs(model):
    """log π of every answer."""
    rows = torch.tensor([[*PROMPT, *answer, *[0] * (2 - len(answer))] for answer in ANSWERS])
    logprobs = model.eval()(rows).log_softmax(-1)[:, len(PROMPT) - 1 :]
    return torch.stack([sum(logprobs[r, t, id] for t, id in enumerate(answer)) for r, answer in enumerate(ANSWERS)])


def test_kl_from_what_was_drawn_is_the_exact_kl():
    """The mean of k1, and of k3, is Σ π (log π − log π_ref) over all answers."""
    model, other = gpt(0), gpt(1)
    with torch.no_grad():
        for weight in (*model.parameters(), *other.parameters()):
            weight.mul_(3.0)
    mine, theirs = exact_logprobs(model), exact_logprobs(other)
    assert float(mine.exp().sum()) == pytest.approx(1, abs=1e-4)
    exact, n = float(divergence.exact(mine, theirs)), 2000
    batch = batch_of(rollout(model, [PROMPT], n, 2, stop=CHAT.stop_id, seed=1), CHAT.pad_id, {CHAT.stop_id})
    reference = frozen_copy(other)(batch)
    for estimate in (divergence.k1, divergence.k3):
        each = torch.where(batch.mask, estimate(batch.logprobs, reference), 0).sum(-1)
        error = float(each.std()) / math.sqrt(n)
        assert abs(float(each.mean()) - exact) < 4 * error and 4 * error < exact / 2


@pytest.mark.parametrize("kind", ["gae", "leave_one_out"])
def test_what_is_learned_lies_near_the_frontier(tmp_path, kind):
    """Of what the best policy at the same KL gains, over all policies there are, nine tenths at least are gained."""
    worth = torch.randn(len(ANSWERS), generator=torch.Generator().manual_seed(0))
    number = {answer: i for i, answer in enumerate(ANSWERS)}

    def reward(questions, texts, batch):
        return [
            float(worth[number[tuple(ids[mask].tolist())]]) for ids, mask in zip(batch.targets, batch.mask, strict=True)
        ]

    config = settings(kind, prompts=8, samples=16, max_new_tokens=2, beta=0.5, truncated="score")
    learner, source = rounds(config, n_rows=128)
    source.questions, source.reward = lambda number: [QUESTIONS[0]] * 8, reward
    before = exact_logprobs(learner.policy)
    trained(tmp_path, config, steps=70, lr=0.02, min_lr=0.002, learner_and_source=(learner, source))
    now = exact_logprobs(learner.policy)
    kl = float(divergence.exact(now, before))
    best, _ = Toy().best_at(kl, before, worth)
    start, end, limit = (float((logprobs.exp() * worth).sum()) for logprobs in (before, now, best))
    assert end <= limit + 1e-4 and end - start >= 0.9 * (limit - start) and kl > 1, (kl, start, end, limit)
