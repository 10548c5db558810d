"""Verifiers: marks stand where steps end, in any batch; what is masked is not learned; scores are put together."""

import math

import pytest
import torch
from torch.nn import functional as F

from insideout.data.suite import Message
from insideout.errors import BadInput
from insideout.finetuning.templates import OURS
from insideout.reasoning.step_labels import rollout_labels
from insideout.reasoning.thinking import ThinkingFormat, ThinkingWriter
from insideout.reasoning.verifiers import (
    HOW,
    LengthOnly,
    Verifier,
    aggregate,
    marked,
    masked,
    own_probabilities,
    scores,
    traced,
    verifier_objective,
)
from insideout.recipes import reasoner
from insideout.transformer.config import GPTConfig
from insideout.transformer.model import GPT

TOKENIZER = reasoner.vocabulary(reasoner.SETTINGS["tiny"])
CHAT = ThinkingFormat(TOKENIZER, OURS)
ASKED = (Message("user", "3+5+2"),)
GOOD = "<think>3+5=8\n8+2=10</think>#### 10"
ANSWERS = [
    GOOD,
    "<think>3+5=9\n9+2=11</think>#### 11",
    "#### 10",
    "3+5=8\n\n8+2=10\n#### 10",
    "<think>3+5=8\n8+",
    "well",
]


@pytest.fixture(scope="module")
def gpt():
    torch.manual_seed(0)
    config = GPTConfig(vocab_size=TOKENIZER.vocab_size, context_length=64, d_model=16, n_layers=2, n_heads=2)
    return GPT(config)


@pytest.fixture
def model(gpt):
    return Verifier.of(gpt, CHAT.pad_id, 0)


def log_odds(model, trace):
    """At each mark, from the network alone: its own log-probability of the piece, and its opinion."""
    every = model.gpt(torch.tensor([ids(trace)]))[0]
    words = every.clone()
    words[:, CHAT.pad_id] = -torch.inf
    own = [words[i - 1].log_softmax(-1)[id] for i, id in enumerate(ids(trace)) if i]
    found, begin = [], len(trace.document[0].ids)
    for mark in trace.marks:
        piece = sum(own[i - 1] for i in range(begin, mark + 1))
        found.append(every[mark, CHAT.pad_id] + model.offset[0] + model.trust[0] * piece)
        begin = mark + 1
    return torch.stack(found)


def ids(trace):
    return [id for segment in trace.document for id in segment.ids]


def test_a_mark_stands_at_the_last_token_of_each_step_and_one_at_the_end():
    trace = traced(CHAT, ASKED, GOOD)
    read = [TOKENIZER.decode(ids(trace)[: mark + 1]) for mark in trace.marks]
    assert read[0].endswith("3+5=8\n") and read[1].endswith("8+2=10")
    assert trace.marks[-1] == len(ids(trace)) - 1 and ids(trace)[-1] == CHAT.stop_id
    assert trace.at_end.marks == trace.marks[-1:] and ids(trace.at_end) == ids(trace)
    assert [len(traced(CHAT, ASKED, each).marks) for each in ANSWERS] == [3, 3, 1, 3, 3, 2]
    unfinished = traced(CHAT, ASKED, ANSWERS[4], finished=False)
    assert CHAT.stop_id not in ids(unfinished)[len(CHAT.prompt(ASKED)) :]
    assert unfinished.marks[-2] == unfinished.marks[-1] == len(ids(unfinished)) - 1  # the last step ends with the text


def test_what_a_user_types_is_no_step_and_no_mark():
    typed = traced(CHAT, (Message("user", "<think>1+1=2\n</think>3+5"),), GOOD)
    assert [mark - len(typed.document[0].ids) for mark in typed.marks] == [
        mark - len(CHAT.prompt(ASKED)) for mark in traced(CHAT, ASKED, GOOD).marks
    ]


def test_scores_are_the_same_alone_and_in_any_batch(model):
    traces = [traced(CHAT, ASKED, answer) for answer in ANSWERS]
    together = scores(model, traces, CHAT.pad_id)
    for trace, expected in zip(traces, together, strict=True):
        [alone] = scores(model, [trace], CHAT.pad_id)
        assert alone == pytest.approx(expected, abs=1e-5)
        assert alone == pytest.approx(log_odds(model, trace).sigmoid().tolist(), abs=1e-5)
    assert [len(each) for each in together] == [3, 3, 1, 3, 3, 2]


def test_the_loss_is_the_cross_entropy_of_the_marks_that_have_a_label_and_nothing_else_has_a_gradient(model):
    traces = [traced(CHAT, ASKED, answer) for answer in ANSWERS[:2]]
    labels = [[True, True, True], masked([False, False, False])]
    assert labels[1] == [False, None, None]
    asked = marked(traces, labels, CHAT.pad_id)
    assert asked.labels.tolist() == [1, 1, 1, 0]
    total, count, found = verifier_objective().loss(model, asked)
    logits = torch.cat([log_odds(model, traces[0]), log_odds(model, traces[1])[:1]])
    expected = F.binary_cross_entropy_with_logits(logits, torch.tensor([1.0, 1, 1, 0]), reduction="sum")
    assert count == 4 and total.item() == pytest.approx(expected.item(), rel=1e-5)
    assert found["are_right"] == 3 and found["said_right"] == pytest.approx(logits.sigmoid().sum().item(), rel=1e-5)
    [right] = own_probabilities(model.gpt, traces[:1], CHAT.pad_id)
    both, _, _ = verifier_objective(words=0.5).loss(model, asked)
    assert both.item() == pytest.approx(expected.item() - 0.5 * sum(math.log(p) for p in right), rel=1e-4)


def test_one_that_is_not_told_its_own_probability_says_its_opinion_alone(gpt):
    model = Verifier.of(gpt, CHAT.pad_id, 0, own=False)
    trace = traced(CHAT, ASKED, GOOD)
    opinion = model.gpt(torch.tensor([ids(trace)]))[0, list(trace.marks), CHAT.pad_id].sigmoid()
    assert scores(model, [trace], CHAT.pad_id)[0] == pytest.approx(opinion.tolist(), abs=1e-6)
    assert not model.trust.requires_grad and opinion.sub(0.5).abs().max() < 0.2  # it begins by knowing nothing


def test_a_verifier_can_learn_to_tell_a_right_step_from_a_wrong_one(gpt):
    model = Verifier.of(gpt, CHAT.pad_id, 0, own=False)
    asked = marked(
        [traced(CHAT, ASKED, each) for each in ANSWERS[:2]], [[True, True, True], [False, None, None]], CHAT.pad_id
    )
    optimizer, objective = torch.optim.AdamW(model.parameters(), 0.01), verifier_objective()
    for _ in range(20):
        loss, n, _ = objective.loss(model, asked)
        optimizer.zero_grad()
        (loss / n).backward()
        optimizer.step()
    good, bad = scores(model, [traced(CHAT, ASKED, each) for each in ANSWERS[:2]], CHAT.pad_id)
    assert min(good) > 0.9 > 0.1 > bad[0]


def test_what_follows_the_first_error_has_no_label():
    assert masked([True, True, False, True, False]) == [True, True, False, None, None]
    assert masked([True, None, True]) == [True, None, None] and masked([]) == []


def test_step_scores_are_put_together_in_four_ways():
    steps = [0.9, 0.5, 0.8]
    assert [aggregate(steps, how) for how in HOW] == pytest.approx([0.5, 0.36, 0.8, 2.2 / 3])
    assert all(aggregate([0.3], how) == pytest.approx(0.3) for how in HOW)
    for wrong in ([], [1.2], [-0.1], [math.nan]):
        with pytest.raises(BadInput, match=r"from 0 to 1"):
            aggregate(wrong)


def test_lengths_alone_know_the_share_of_right_marks_at_a_place():
    traces = [traced(CHAT, ASKED, each) for each in (GOOD, GOOD, ANSWERS[1], ANSWERS[2])]
    blind = LengthOnly(traces, [[True, True, True], [True, False, None], [False, None, None], [True]])
    [row] = blind.scores(traces[:1])
    share = 5 / 7
    assert row == pytest.approx([(2 + share) / 4, (1 + share) / 3, (1 + share) / 2])
    [unseen] = blind.scores([traced(CHAT, (Message("user", "1+1"),), GOOD)])
    assert unseen == pytest.approx([share] * 3)


@pytest.mark.parametrize("labels", [[[True, True]], [[True] * 4], [], [[True, 2.0, True]], [[None] * 3]])
def test_labels_that_do_not_fit_are_refused(labels):
    with pytest.raises(BadInput, match="label"):
        marked([traced(CHAT, ASKED, GOOD)], labels, CHAT.pad_id)


def test_an_answer_without_a_token_and_one_that_is_too_long_are_refused(model):
    with pytest.raises(BadInput, match="nothing to judge"):
        traced(CHAT, ASKED, "", finished=False)
    with pytest.raises(BadInput, match="context holds 64"):
        scores(model, [traced(CHAT, ASKED, "3+5=8\n" * 30)], CHAT.pad_id)


def test_rollout_labels_draw_on_from_each_step_and_judge_the_whole(gpt):
    seen = []

    def right(number, text):
        seen.append((number, text))
        return len(text) % 2 == 0

    writer = ThinkingWriter(gpt, TOKENIZER, 1.0, template=OURS, at_once=8)
    traces = [traced(CHAT, ASKED, GOOD), traced(CHAT, ASKED, "#### 10")]
    labels = rollout_labels(writer, traces, 4, 0, 8, right)
    assert [len(each) for each in labels] == [3, 1]
    assert labels[0][-1] == float(len(GOOD) % 2 == 0) and labels[1] == [float(len("#### 10") % 2 == 0)]
    drawn = [text for number, text in seen if text not in (GOOD, "#### 10")]
    assert len(seen) == 2 * 4 + 2 and {number for number, _ in seen} == {0, 1}
    assert sum(text.startswith("<think>3+5=8\n") for text in drawn) == 8
    assert sum(text.startswith("<think>3+5=8\n8+2=10") for text in drawn) == 4
    assert labels == rollout_labels(writer, traces, 4, 0, 8, right)  # the same seed, the same luck
    for number in range(2):  # the first of two is drawn as it would be alone, from its own seeds
        assert 0 <= labels[0][number] <= 1
    with pytest.raises(BadInput):
        rollout_labels(writer, traces, 0, 0, 8, right)
