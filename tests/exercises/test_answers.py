"""Answers that the graders have not seen: right ones pass, wrong ones are refused, and most of those are named."""

from importlib import import_module
from pathlib import Path

import pytest

from insideout.exercises import grade, grading
from insideout.exercises.catalogue import all_exercises

MODULES = [import_module(f"tests.exercises.{each.stem}") for each in sorted(Path(__file__).parent.glob("answers_*.py"))]
ANSWERS = {id: tried for module in MODULES for id, tried in module.ANSWERS.items()}
RIGHT, WRONG = "right", "wrong"
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


def test_every_exercise_is_tried_in_one_place():
    assert sum(len(module.ANSWERS) for module in MODULES) == len(ANSWERS)
    assert set(ANSWERS) == {each.id for each in all_exercises()}
    assert all(len(tried[RIGHT]) >= 4 and len(tried[WRONG]) >= 15 for tried in ANSWERS.values())
