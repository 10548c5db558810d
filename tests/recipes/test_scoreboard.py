"""The scoreboard, with a writer whose answers are known: every metric has a value computed by hand."""

import itertools
import json
import math
import random
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pytest
import torch

from insideout.data.batch import Segment
from insideout.data.suite import Answer, Message, Prompt, Question, Suite, Verdict
from insideout.data.text.tokens import Tokens
from insideout.errors import BadInput
from insideout.estimates import interval, paired_proportions, proportion
from insideout.recipes.scoreboard import (
    HeldOut,
    compare,
    distinct_2,
    divergences,
    forgotten,
    from_dict,
    kl_to_start,
    score,
    to_dict,
)
from insideout.transformer.config import GPTConfig
from insideout.transformer.generation.writer import GPTWriter
from insideout.transformer.model import GPT
from insideout.transformer.tokenizer import CharacterTokenizer


class Doubles(Suite):
    """What is twice n? Even n are of one kind, odd n of the other."""

    name, parts = "doubles", ("correct", "polite", "off_by")

    def propose(self, random: random.Random) -> Question:
        n = random.randint(0, 10**6)
        return Question(str(n), 2 * n, kind="odd" if n % 2 else "even")

    def judge(self, question: Question, answer: str) -> Verdict:
        first = answer.split()[0] if answer.split() else ""
        said = int(first) if first.isdecimal() else None
        return Verdict({"correct": said == question.truth, "polite": None if said is None else "please" in answer,
                        "off_by": None if said is None else abs(said - question.truth)})  # fmt: skip


@dataclass
class Known:
    """Right for even n; for odd n right in one answer of two, else one too much; three tokens, or five if polite."""

    polite: bool = True
    ends: bool | None = True

    def write(self, prompts: Sequence[Prompt], n: int, seed: int, max_new_tokens: int) -> list[list[Answer]]:
        return [[self.answer(int(str(prompt)), i) for i in range(n)] for prompt in prompts]

    def answer(self, n: int, i: int) -> Answer:
        wrong = n % 2 == 1 and i % 2 == 0
        polite = self.polite and n % 4 == 0
        text = f"{2 * n + wrong}" + (" if you please" if polite else " it is")
        return Answer(text, tuple(range(5 if polite else 3)), None if self.ends is None else not wrong)


def test_every_metric_by_hand():
    scores = score(Known(), Doubles(), n=40, seed=1)
    numbers = [int(question.prompt) for question in Doubles().draw("test", 40, 1)]
    even, polite = sum(n % 2 == 0 for n in numbers), sum(n % 4 == 0 for n in numbers)
    assert 0 < polite < even < 40
    assert scores["correct"] == proportion(even, 40) and scores["polite"] == proportion(polite, 40)
    assert scores["correct, even"] == proportion(even, even) and scores["correct, odd"] == proportion(0, 40 - even)
    assert scores["off_by"] == interval([n % 2 for n in numbers])
    assert scores["stop rate"] == proportion(even, 40)
    assert scores["length"] == interval([5 if n % 4 == 0 else 3 for n in numbers])
    assert {name: metric.unit for name, metric in scores.metrics.items()} == {
        "correct": "%", "polite": "%", "off_by": "", "correct, even": "%", "correct, odd": "%", "stop rate": "%",
        "length": "tokens",
    }  # fmt: skip
    assert [each.answers[0].split()[0] for each in scores.answered] == [str(2 * n + n % 2) for n in numbers]
    with pytest.raises(BadInput, match="there is correct; correct, even; correct, odd; polite"):
        scores["corect"]


def test_of_several_answers_to_a_question_the_mean_counts():
    scores = score(Known(), Doubles(), n=30, samples=4)
    numbers = [int(question.prompt) for question in Doubles().draw("test", 30)]
    assert scores["correct"] == interval([0.5 if n % 2 else 1.0 for n in numbers])
    assert scores["stop rate"] == scores["correct"] and scores["correct"].n == 30
    assert scores["off_by"] == interval([0.5 if n % 2 else 0.0 for n in numbers])


def test_what_was_not_measured_is_left_out():
    class Silent(Known):
        def answer(self, n: int, i: int) -> Answer:
            return Answer("", (), None)

    scores = score(Silent(), Doubles(), n=20)
    assert set(scores.metrics) == {"correct", "correct, even", "correct, odd", "length"}, (
        "no stop, nothing that applies"
    )
    assert scores["correct"].mean == 0 and scores["length"].mean == 0


def test_distinct_2_looks_at_equally_many_pairs_whatever_the_length():
    assert distinct_2(["a b c d", "a b"], at_once=2) == [1.0, 1.0], "ab bc, cd ab"
    assert distinct_2(["a b a b a"], at_once=4) == [0.5]
    assert distinct_2(["a b"] * 6, at_once=3) == [1 / 3, 1 / 3], "the same answer again and again"
    assert distinct_2(["a b", "c d"] * 3, at_once=2) == [1.0] * 3, "no pair runs from one answer into the next"
    rng = random.Random(0)
    words = [str(rng.randrange(30)) for _ in range(12_000)]
    short, long = ([" ".join(words[i : i + n]) for i in range(0, 12_000, n)] for n in (4, 400))
    found = [interval(distinct_2(texts)) for texts in (short, long)]
    assert abs(found[0].mean - found[1].mean) < 0.01
    plain = [len(set(pairs)) / len(pairs) for n in (4, 400) for pairs in [list(itertools.pairwise(words[:n]))]]
    assert plain[0] - plain[1] > 0.1, "the trap: the longer text has the lower share"


def test_a_gain_is_told_question_by_question():
    suite = Doubles()
    polite, blunt = score(Known(), suite, 60), score(Known(polite=False), suite, 60)
    truth = [question.prompt for question in suite.draw("test", 60)]
    gained = [int(str(n)) % 4 == 0 for n in truth]
    assert compare(polite, blunt, "polite") == paired_proportions(gained, [False] * 60)
    assert compare(polite, blunt, "correct").mean == 0
    several = score(Known(), suite, 60, samples=2)
    gain = compare(several, score(Known(), suite, 60), "correct")
    assert gain == interval([0.5 if int(str(n)) % 2 else 0.0 for n in truth])
    assert compare(several, several, "off_by") == interval([0.0] * 60)
    with pytest.raises(BadInput, match="different questions"):
        compare(polite, score(Known(), suite, 60, seed=2), "correct")


def test_scores_come_back_from_json_as_they_were():
    class Asked(Doubles):
        def propose(self, random: random.Random) -> Question:
            return Question(
                (Message("user", str(random.randint(0, 9**9))), Message("assistant", "?")), 4, kind="a turn"
            )

    class Four(Known):
        def write(self, prompts: Sequence[Prompt], n: int, seed: int, max_new_tokens: int) -> list[list[Answer]]:
            return [[self.answer(2, 0)] for _ in prompts]

    for scores in (score(Known(), Doubles(), 8, samples=2), score(Four(), Asked(), 8)):
        assert from_dict(json.loads(json.dumps(to_dict(scores)))) == scores


def test_a_judge_that_leaves_out_a_part_is_refused():
    class Forgetful(Doubles):
        def judge(self, question: Question, answer: str) -> Verdict:
            return Verdict({"correct": True})

    with pytest.raises(BadInput, match="promises verdicts of correct, polite, off_by, and gave correct"):
        score(Known(), Forgetful(), 4)
    with pytest.raises(BadInput, match="at least 2"):
        score(Known(), Doubles(), 1)


# A model of ours


def model(seed: int, vocab_size: int = 4, **sizes: Any) -> GPT:
    torch.manual_seed(seed)
    made = GPT(GPTConfig(vocab_size=vocab_size, context_length=12, d_model=16, n_layers=1, n_heads=2, **sizes))
    with torch.no_grad():
        for parameter in made.parameters():
            parameter.add_(0.3 * torch.randn_like(parameter))
    return made.eval()


def test_the_writer_draws_each_answer_as_if_alone_and_says_how_it_ended():
    tokenizer = CharacterTokenizer.train("abcd")
    writer = GPTWriter(model(1), tokenizer, stop=3, at_once=4)
    prompts = ["ab", "a", "ccba"]
    answers = writer.write(prompts, 3, 7, 3)
    assert answers == writer.write(prompts, 3, 7, 3) != writer.write(prompts, 3, 8, 3)
    together = GPTWriter(model(1), tokenizer, stop=3, at_once=100).write(prompts, 3, 7, 3)
    fewer = writer.write(prompts[:2], 3, 7, 3)
    for one, other in [*zip(answers, together, strict=True), *zip(answers, fewer, strict=False)]:
        assert [answer.ids for answer in one] == [answer.ids for answer in other]
        for mine, its in zip(one, other, strict=True):
            assert mine.logprobs == pytest.approx(its.logprobs, abs=1e-5)
    flat = list(itertools.chain(*answers))
    assert {answer.finished for answer in flat} == {True, False}
    for answer in flat:
        assert answer.finished == (answer.ids[-1] == 3) and 3 not in answer.ids[:-1]
        assert len(answer.ids) <= 3 and (answer.finished or len(answer.ids) == 3)
        assert tokenizer.encode(answer.text) == list(answer.ids[: len(answer.ids) - answer.finished])
    for prompt, each in zip(prompts, answers, strict=True):
        for answer in each:
            assert sum(answer.logprobs) == pytest.approx(
                logprob(model(1), tokenizer.encode(prompt), answer.ids), abs=1e-5
            )
    [[open_ended]] = GPTWriter(model(1), tokenizer, temperature=0.0).write(["ab"], 1, 0, 99)
    assert open_ended.finished is None and len(open_ended.ids) == 10, "as much as the context holds"
    for wrong, why in [(("ab", ""), "empty"), (((Message("user", "ab"),),), "conversation"), (("a" * 12,), "room")]:
        with pytest.raises(BadInput, match=why):
            writer.write(wrong, 1, 0, 4)


def answers_of_length(n: int) -> list[tuple[int, ...]]:
    return list(itertools.product(range(4), repeat=n))


@torch.no_grad()
def logprob(of: GPT, prompt: list[int], answer: Sequence[int]) -> float:
    """log p(answer | prompt), token by token, each from a text of its own."""
    total = 0.0
    for i, token in enumerate(answer):
        total += float(of(torch.tensor([[*prompt, *answer[:i]]]))[0, -1].double().log_softmax(-1)[token])
    return total


def test_kl_over_drawn_answers_has_the_exact_kl_as_its_mean():
    p, q, prompt = model(1), model(2), [0, 2]
    answers = answers_of_length(3)
    log_p, log_q = ([logprob(each, prompt, answer) for answer in answers] for each in (p, q))
    exact = sum(math.exp(a) * (a - b) for a, b in zip(log_p, log_q, strict=True))
    found = []
    for first in range(0, 64, 16):
        documents = [[Segment(prompt, False), Segment(answer, True)] for answer in answers[first : first + 16]]
        found += divergences(p, q, documents)
    assert math.isclose(sum(math.exp(a) * each for a, each in zip(log_p, found, strict=True)), exact, rel_tol=1e-5)
    assert exact > 0.1 and min(found) >= 0 and divergences(p, p, documents) == [0.0] * 16
    plain = [a - b for a, b in zip(log_p, log_q, strict=True)]  # the other estimate, of the drawn tokens alone
    spread = [sum(math.exp(a) * (x - exact) ** 2 for a, x in zip(log_p, each, strict=True)) for each in (found, plain)]
    assert spread[0] < spread[1] and min(plain) < 0


def test_kl_to_start_covers_the_exact_one_and_draws_at_temperature_1():
    tokenizer = CharacterTokenizer.train("abcd")
    p, q = model(1), model(2)
    exact = sum(math.exp(a) * (a - logprob(q, [1], answer)) for answer in answers_of_length(2)
                for a in [logprob(p, [1], answer)])  # fmt: skip
    questions = [Question("b")] * 300
    cold, start = GPTWriter(p, tokenizer, temperature=0.0), GPTWriter(q, tokenizer)
    metric = kl_to_start(cold, start, questions, 0, 2)
    assert metric.unit == "nats" and metric.value.low < exact < metric.value.high and metric.value.half < exact / 4
    assert kl_to_start(start, start, questions, 0, 2).value.high == 0
    other = GPTWriter(q, CharacterTokenizer.train("wxyz"))
    with pytest.raises(BadInput, match="different tokenizers"):
        kl_to_start(cold, other, questions, 0, 2)


def test_what_was_forgotten_is_told_in_bits_per_byte():
    uniform = model(0)
    with torch.no_grad():
        uniform.token_embedding.weight.zero_()  # tied to the head: all four tokens are equally likely
    text = Tokens(np.random.default_rng(0).integers(0, 4, 700).astype(np.uint16))
    metric = forgotten(uniform, HeldOut(text, bytes_per_token=2.5, context_length=12, n_windows=20))
    assert metric.unit == "bits/byte" and metric.value.n == 20
    assert math.isclose(metric.value.mean, 2 / 2.5, rel_tol=1e-6) and metric.value.half < 1e-6
    other = model(3, dropout=0.4).train()  # dropout is off meanwhile
    found = forgotten(other, HeldOut(text, 2.5, 12, 3)).value
    assert other.training and other.eval()
    ids = torch.from_numpy(text.ids.astype(np.int64))
    losses = [
        float(torch.nn.functional.cross_entropy(other(ids[None, i : i + 12])[0], ids[i + 1 : i + 13]).detach())
        for i in (0, 12, 24)
    ]
    assert found.mean == pytest.approx(sum(losses) / 3 / math.log(2) / 2.5, rel=1e-5) and found.n == 3
    assert found.mean > metric.value.mean
