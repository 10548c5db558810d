"""The graders are graded: references pass, every catalogued mistake gets its own diagnosis, stubs and crashes fail."""

import inspect
import json
import subprocess
import sys

import pytest
import torch

from insideout.exercises import all_exercises, find, grade, grading
from insideout.exercises.catalogue import exercises_of, topics
from insideout.exercises.chapters import chapter, practice

EXERCISES = all_exercises()
SEEDS = range(2)


def by_id(value):
    return value.id


@pytest.fixture(scope="module", params=EXERCISES, ids=by_id)
def exercise(request):
    """Each exercise in turn: its cases are drawn once for all tests."""
    return request.param


@pytest.fixture(autouse=True)
def no_search(monkeypatch):
    """The smallest failing case does not decide anything."""
    monkeypatch.setattr(grading, "SEARCH_SECONDS", 0.0)


def test_the_reference_passes_on_several_seeds(exercise):
    for seed in SEEDS:
        verdict = grade(exercise, exercise.reference, seed)
        assert verdict.passed, verdict


def test_every_mistake_is_told_by_its_own_diagnosis(exercise):
    for mistake in exercise.mistakes:
        verdict = grade(exercise, mistake.function, SEEDS[0])
        assert verdict.outcome == "wrong" and verdict.named
        assert verdict.message == mistake.diagnosis, verdict


def test_each_exercise_is_complete(exercise):
    assert len(exercise.mistakes) >= 3
    assert len({mistake.diagnosis for mistake in exercise.mistakes}) == len(exercise.mistakes)
    assert 1 <= exercise.stars <= 3 and exercise.minutes > 0
    assert len(grading.cases_of(exercise, 0)) < 60, "some mistakes can hardly be told apart"


def test_the_chapter_gives_statement_stub_and_hints(exercise):
    given = practice(exercise.id)
    assert given.title and given.stub.startswith("def ") and given.hints
    assert given.statement.startswith(f"{exercise.rating} · {exercise.minutes} minutes.")
    assert f'check("{exercise.id}", ' in given.stub
    assert not exercise.section or exercise.section in chapter(exercise.topic).headings


@pytest.mark.parametrize("topic", topics())
def test_a_module_holds_what_its_chapter_practises(topic):
    assert sorted(each.id for each in exercises_of(topic)) == sorted(id for id, _ in chapter(topic).practices)


def test_the_untouched_stub_is_not_yet(exercise):
    def stub(*arguments):
        raise NotImplementedError

    assert grade(exercise, stub, SEEDS[0]).outcome == "not yet"


def test_chapters_come_in_the_books_order():
    assert topics()[:3] == [
        "gradients.introduction", "gradients.tokens_and_embeddings", "gradients.queries_keys_values",
    ]  # fmt: skip
    assert topics().index("gradients.an_autograd_engine") + 1 == topics().index("transformer.introduction")


def test_attention_over_two_pieces_is_attention_over_both():
    scores, v = torch.randn(2, 3, 4, 7, dtype=torch.float64), torch.randn(2, 3, 7, 5, dtype=torch.float64)
    pieces = []
    for part in (slice(0, 3), slice(3, 7)):
        s = scores[..., part]
        pieces += [s.softmax(-1) @ v[..., part, :], s.logsumexp(-1)]
    torch.testing.assert_close(find("transformer.attention.pieces").reference(*pieces), scores.softmax(-1) @ v)


def python(code):
    return subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout


def test_grading_in_part_1_imports_one_module_and_no_torch():
    code = """
import json, sys
from insideout.exercises import grade
grade("gradients.loss.pairs", lambda ids: ids)
ours = [name for name in sys.modules if name.startswith("insideout.exercises.gradients.")]
print(json.dumps([ours, "torch" in sys.modules, "numpy" in sys.modules]))
"""
    assert json.loads(python(code)) == [["insideout.exercises.gradients.loss"], False, False]


def test_sizes_that_the_catalogue_chooses_reach_the_draw_by_name():
    for exercise in EXERCISES:
        parameters = list(inspect.signature(exercise.draw).parameters)
        assert list(exercise.sizes()) == parameters[1:]
