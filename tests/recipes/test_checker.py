"""The checker: what it is shown, what of that it learns, what it leaves and refuses."""

import random
from collections import Counter
from itertools import islice, pairwise

import pytest

from insideout.data.problems.steps import read_step
from insideout.errors import BadInput
from insideout.reasoning.budget import Budget, think
from insideout.reasoning.thinking import ThinkingFormat
from insideout.recipes import checker
from insideout.recipes.settings import change
from insideout.recipes.stage import recipe

LAPTOP = checker.SETTINGS["laptop"]


def shown(n, config=LAPTOP):
    """Questions, with how they are solved."""
    source = random.Random(0)
    return [(q, checker.looked_over(q, source, config)) for q in islice(config.suite.stream("train"), n)]


def kind(pieces):
    return "mended" if len(pieces) == 3 else "confirmed" if checker.WAIT in pieces[0][0] else "plain"


def test_the_solutions_come_in_the_shares_asked_for():
    kinds = Counter(kind(pieces) for _, pieces in shown(2000))
    assert kinds["mended"] / 2000 == pytest.approx(LAPTOP.mended, abs=0.04)
    assert kinds["confirmed"] / 2000 == pytest.approx(LAPTOP.confirmed, abs=0.04)
    never = change(LAPTOP, {"mended": 0.0, "confirmed": 0.0})
    assert {kind(pieces) for _, pieces in shown(200, never)} == {"plain"}


def test_what_is_wrong_is_read_and_what_mends_it_is_learned():
    for question, pieces in shown(500):
        truth = [step.text for step in question.truth.steps]
        if kind(pieces) != "mended":
            assert all(learn for _, learn in pieces)
            continue
        (good, learn_good), (bad, learn_bad), (mended, learn_mended) = pieces
        assert learn_good and not learn_bad and learn_mended
        before = good.removeprefix("<think>").splitlines()
        after = mended.removeprefix(f"{checker.WAIT}\n").partition("</think>")[0].splitlines()
        assert before + after == truth
        wrong = bad.splitlines()
        assert len(before) + len(wrong) == len(truth) and wrong[0] != truth[len(before)]
        steps = [read_step(line) for line in wrong]
        assert None not in steps
        assert all(b.left == a.result for a, b in pairwise(steps))
        assert all(step.holds for step in steps[1:])


@pytest.mark.parametrize("at", checker.SETTINGS)
def test_all_that_is_shown_and_written_has_room_and_wait_is_a_token(at):
    config = checker.SETTINGS[at]
    tokenizer = checker.vocabulary(config)
    chat = ThinkingFormat(tokenizer)
    assert tokenizer.vocab_size <= config.model.vocab_size
    assert len(tokenizer.encode(checker.WAIT)) == 1
    assert tokenizer.encode("8\nwait\n8+2") == tokenizer.encode("8") + tokenizer.encode("\nwait\n") + tokenizer.encode(
        "8+2"
    )
    for document in islice(checker.documents(config.suite, chat, "train", 0, config), 200):
        assert sum(len(segment.ids) for segment in document) <= config.model.context_length
        assert document[-1].ids == [chat.stop_id] and document[-1].learn and not document[0].learn


def test_it_is_made_and_thinks_within_a_budget(tmp_path, monkeypatch):
    monkeypatch.setenv("INSIDEOUT_HOME", str(tmp_path))
    run = recipe("checker", scale="tiny", tell=lambda event: None)
    losses = [record["loss"] for record in run.metrics()]
    assert losses[-1] < 0.95 * losses[0]
    prompts = [question.prompt for question in run.suite.draw("test", 4)]
    thoughts = think(run.writer(1.0), prompts, Budget(max_tokens=5), 0)
    assert all(thought.thinking <= 5 for [thought] in thoughts)


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"mended": 0.8, "confirmed": 0.3}, "shares"),
        ({"mended": -0.1}, "shares"),
        ({"form": "direct"}, "form is direct"),
    ],
)
def test_bad_settings_are_refused(changes, words):
    with pytest.raises(BadInput, match=words):
        change(LAPTOP, changes)
