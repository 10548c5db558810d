"""Pairs as batches, and the objective of DPO and its family: sums over the answer and its stop, and nothing else."""

import math

import pytest
import torch

from insideout.data.batch import padded
from insideout.data.conversations import Pair
from insideout.data.suite import Message
from insideout.errors import BadInput
from insideout.finetuning import losses
from insideout.finetuning.chat import ChatFormat, with_chat_tokens
from insideout.finetuning.preferences import (
    LOSSES,
    PairBatch,
    answer_document,
    answer_logprobs,
    mismatched,
    pair_documents,
    pair_losses,
    preference_objective,
    reference_logprobs,
)
from insideout.finetuning.templates import TEMPLATES
from insideout.transformer.config import GPTConfig
from insideout.transformer.model import GPT
from insideout.transformer.tokenizer import BPETokenizer

TOKENIZER = with_chat_tokens(BPETokenizer.train(["Where is the ball? In the hall. The end."], 280))
CHAT = ChatFormat(TOKENIZER)
ASKED = (Message("user", "Where is the ball?"), Message("assistant", "In the hall."), Message("user", "And now?"))
PAIRS = [
    Pair(ASKED, "In the hall.", "The end."), Pair(ASKED[:1], "There.", "The hall."),
    Pair((Message("user", "The ball?"),), "In", "is"),
]  # fmt: skip
DOCUMENTS = pair_documents(CHAT, PAIRS, 96)
NUMBERS = {"simpo": {"beta": 2.0, "gamma": 0.5}, "dpo": {"beta": 0.5, "label_smoothing": 0.1}}


def gpt(seed):
    torch.manual_seed(seed)
    return GPT(GPTConfig(vocab_size=TOKENIZER.vocab_size, context_length=96, d_model=16, n_layers=1, n_heads=2))


def batch_of(documents, reference):
    first = padded(documents, CHAT.pad_id)
    others = mismatched(documents)
    return PairBatch(
        first, reference_logprobs(reference, documents, CHAT.pad_id), padded(others, CHAT.pad_id),
        reference_logprobs(reference, others, CHAT.pad_id),
    )  # fmt: skip


@pytest.mark.parametrize("name", TEMPLATES)
def test_the_last_answer_and_its_stop_are_learned_and_nothing_else(name):
    chat = ChatFormat(with_chat_tokens(TOKENIZER, TEMPLATES[name]), TEMPLATES[name])
    prompt, answer = answer_document(chat, ASKED, "In the hall.")
    assert list(prompt.ids) == chat.prompt(ASKED) and not prompt.learn
    assert answer.learn and chat.tokenizer.decode(answer.ids[:-1]) == "In the hall." and answer.ids[-1] == chat.stop_id
    cut_off = answer_document(chat, ASKED, "In the hall.", finished=False)[1]
    assert list(cut_off.ids) == list(answer.ids[:-1])


def test_the_log_probability_of_an_answer_is_the_sum_over_its_tokens_one_by_one():
    model = gpt(0)
    found = answer_logprobs(model, padded(DOCUMENTS, CHAT.pad_id))
    for (prompt, answer), ours in zip(DOCUMENTS, found.tolist(), strict=True):
        ids, by_hand = list(prompt.ids), 0.0
        for token in answer.ids:
            by_hand += model(torch.tensor([ids]))[0, -1].log_softmax(-1)[token].item()
            ids.append(token)
        assert ours == pytest.approx(by_hand, abs=1e-4)


def test_the_reference_says_the_same_in_any_order_and_batch():
    model = gpt(0)
    whole = reference_logprobs(model, DOCUMENTS, CHAT.pad_id)
    alone = torch.cat([reference_logprobs(model, [each], CHAT.pad_id) for each in DOCUMENTS])
    torch.testing.assert_close(whole, alone, atol=1e-4, rtol=0)


@pytest.mark.parametrize("kind", LOSSES)
def test_the_objective_is_the_papers_loss_of_the_whole_answers(kind):
    policy, reference = gpt(0), gpt(1)
    numbers = NUMBERS.get(kind, {"beta": 0.5})
    total, n, metrics = preference_objective(kind, **numbers).loss(policy, batch_of(DOCUMENTS, reference))
    now, before = (reference_logprobs(model, DOCUMENTS, CHAT.pad_id) for model in (policy, reference))
    sides = now[0::2], now[1::2], before[0::2], before[1::2]
    lengths = [torch.tensor([float(len(each[1].ids)) for each in DOCUMENTS[side::2]]) for side in (0, 1)]
    if kind == "kto":
        others = mismatched(DOCUMENTS)
        point = losses.kto_reference_point(
            *(reference_logprobs(model, others, CHAT.pad_id) for model in (policy, reference))
        )
        good = torch.tensor([True, False] * 3)
        expected = losses.kto(now, before, good, point, beta=0.5).sum() / 2
    else:
        expected = {
            "dpo": lambda: losses.dpo(*sides, beta=0.5, label_smoothing=0.1),
            "ipo": lambda: losses.ipo(*sides, beta=0.5),
            "simpo": lambda: losses.simpo(*sides[:2], *lengths, beta=2.0, gamma=0.5),
            "orpo": lambda: losses.orpo(*sides[:2], *lengths, weight=0.5),
        }[kind]().sum()
    assert n == 3 and total.item() == pytest.approx(expected.item(), rel=1e-4)
    margin = (sides[0] - sides[2]) - (sides[1] - sides[3])
    assert metrics["margin"] == pytest.approx(margin.sum().item(), abs=1e-3)
    assert metrics["accuracy"] == (margin > 0).sum().item()
    assert metrics["chosen_logprob"] == pytest.approx(sides[0].sum().item(), abs=1e-3)
    total.backward()
    assert policy.blocks[0].feed_forward.down.weight.grad.any()


@pytest.mark.parametrize("kind", LOSSES)
def test_a_policy_that_is_the_reference_and_a_batch_cut_in_parts(kind):
    """ln 2, or what the paper says of no gain; and parts add up, but for KTO, whose reference point is of the whole."""
    model = gpt(0)
    numbers = {"beta": 0.5} | NUMBERS.get(kind, {})
    objective = preference_objective(kind, **numbers)
    total, _, metrics = objective.loss(model, batch_of(DOCUMENTS, model))
    nothing = {"dpo": math.log(2), "ipo": 1.0, "kto": 0.5}.get(kind)
    if nothing is not None:
        assert total.item() / 3 == pytest.approx(nothing, abs=1e-4)
    assert abs(metrics["margin"]) < 1e-3
    if kind != "kto":
        reference = reference_logprobs(model, DOCUMENTS, CHAT.pad_id)
        parts = [PairBatch(padded(DOCUMENTS[p], CHAT.pad_id), reference[p]) for p in (slice(2), slice(2, 6))]
        assert sum(objective.loss(model, part)[0].item() for part in parts) == pytest.approx(total.item(), rel=1e-4)


def test_a_prompt_is_never_read_with_its_own_answers_for_ktos_reference_point():
    for n in (2, 3):
        own = {(tuple(prompt.ids), tuple(answer.ids)) for prompt, answer in DOCUMENTS[: 2 * n]}
        others = mismatched(DOCUMENTS[: 2 * n])
        assert len(others) == 2 * n
        assert sum((tuple(prompt.ids), tuple(answer.ids)) in own for prompt, answer in others) == 0
    with pytest.raises(BadInput, match="at least 2"):
        mismatched(DOCUMENTS[:2])


def test_what_cannot_be_is_refused_in_one_sentence():
    with pytest.raises(BadInput, match="pair 2: chosen and rejected are the same"):
        pair_documents(CHAT, [PAIRS[0], Pair(ASKED[:1], "So.", "So.")], 96)
    with pytest.raises(BadInput, match=r"pair 1 has .* context holds 20"):
        pair_documents(CHAT, PAIRS, 20)
    with pytest.raises(BadInput, match="none"):
        pair_documents(CHAT, [], 20)
    for kind, numbers, words in (
        ("dpo", {"beta": 0.0}, "beta is 0"), ("dpo", {"beta": float("inf")}, "beta"),
        ("dpo", {"label_smoothing": 0.5}, "label_smoothing is 0.5"), ("ipo", {"label_smoothing": 0.1}, "dpo alone"),
        ("simpo", {"gamma": -1.0}, "gamma is -1"), ("dpo", {"gamma": 1.0}, "simpo alone"),
    ):  # fmt: skip
        with pytest.raises(BadInput, match=words):
            preference_objective(kind, **numbers)
    numbers = torch.zeros(2), torch.zeros(2), torch.ones(2)
    with pytest.raises(BadInput, match="reference point"):
        pair_losses("kto", *numbers, beta=0.1)
