"""Answers that the graders have not seen: right ones pass, wrong ones are refused, and most of those are named."""

import pytest

from insideout.exercises import grade, grading
from insideout.exercises.catalogue import all_exercises
from tests.exercises import (
    answers_part_1,
    answers_part_2a,
    answers_part_2b,
    answers_part_3,
    answers_part_3_intro,
    answers_part_3_sft,
    answers_part_3b,
    answers_part_3c,
    answers_part_3d,
)

ANSWERS = (
    answers_part_1.ANSWERS | answers_part_2a.ANSWERS | answers_part_2b.ANSWERS
    | answers_part_3.ANSWERS | answers_part_3_intro.ANSWERS | answers_part_3_sft.ANSWERS
    | answers_part_3b.ANSWERS | answers_part_3c.ANSWERS
    | answers_part_3d.ANSWERS
)  # fmt: skip
RIGHT, WRONG = answers_part_1.RIGHT, answers_part_1.WRONG
SEED = 0  # one is enough here: the cases are more than enough to decide
pytestmark = pytest.mark.filterwarnings("ignore")  # what wrong answers make torch and NumPy say


@pytest.fixture(scope="module", params=ANSWERS)
def id(request):
    """Each exercise in turn: its cases are drawn once for all tests."""
    return request.param


@pytest.fixture(autouse=True)
def no_search(monkeypatch):
    """The smallest failing case does not decide anything."""
    monkeypatch.setattr(grading, "SEARCH_SECONDS", 0.0)


def test_right_answers_of_another_style_pass(id):
    for i, answer in enumerate(ANSWERS[id][RIGHT]):
        verdict = grade(id, answer, SEED)
        assert verdict.passed, (i, str(verdict))


def test_wrong_answers_are_refused_and_most_are_named(id):
    named = []
    for i, answer in enumerate(ANSWERS[id][WRONG]):
        verdict = grade(id, answer, SEED)
        assert verdict.outcome == "wrong", i
        named.append(verdict.named)
    assert sum(named) >= 0.6 * len(named), [i for i, each in enumerate(named) if not each]


def test_every_exercise_is_tried():
    assert set(ANSWERS) == {each.id for each in all_exercises()}
    assert all(len(tried[RIGHT]) >= 4 and len(tried[WRONG]) >= 15 for tried in ANSWERS.values())
