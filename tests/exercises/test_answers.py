"""Answers that the graders have not seen: right ones pass, wrong ones are refused, and most of those are named."""

import pytest

from insideout.exercises import grade
from insideout.exercises.catalogue import exercises_of, topics
from tests.exercises.answers_part_1 import ANSWERS, RIGHT, WRONG

SEEDS = range(3)


@pytest.mark.parametrize("id", ANSWERS)
def test_right_answers_of_another_style_pass(id):
    for i, answer in enumerate(ANSWERS[id][RIGHT]):
        for seed in SEEDS:
            verdict = grade(id, answer, seed)
            assert verdict.passed, (i, seed, str(verdict))


@pytest.mark.parametrize("id", ANSWERS)
def test_wrong_answers_are_refused_and_most_are_named(id):
    named = []
    for i, answer in enumerate(ANSWERS[id][WRONG]):
        verdicts = [grade(id, answer, seed) for seed in SEEDS]
        assert all(verdict.outcome == "wrong" for verdict in verdicts), i
        named.append(all(verdict.named for verdict in verdicts))
    assert sum(named) >= 0.6 * len(named), [i for i, each in enumerate(named) if not each]


def test_every_exercise_of_part_1_is_tried():
    ids = {each.id for topic in topics() if topic.startswith("gradients.") for each in exercises_of(topic)}
    assert set(ANSWERS) == ids
    assert all(len(tried[RIGHT]) >= 4 and len(tried[WRONG]) >= 15 for tried in ANSWERS.values())
