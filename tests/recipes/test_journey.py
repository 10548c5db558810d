"""The journey: what it tells of time, of what was learned and of what changed. All of it: tests/cli/test_journey.py."""

from types import SimpleNamespace

import pytest

from insideout.estimates import Interval
from insideout.recipes import journey
from insideout.recipes.journey import LIFE, Leg, Part, changed, five_prompts, learned, seconds_of, time_left
from insideout.recipes.stage import STAGES, find
from insideout.words import duration


@pytest.fixture(autouse=True)
def home(tmp_path, monkeypatch):
    monkeypatch.setenv("INSIDEOUT_HOME", str(tmp_path))


def test_each_stage_comes_after_what_it_needs():
    done = []
    for part in LIFE:
        assert part.stage in STAGES and set(find(part.stage).inputs.values()) <= set(done), part.stage
        done.append(part.stage)
    for stage, before in journey.BEGAN_WITH.items():
        assert find(stage).inputs["model"] == before


@pytest.mark.parametrize("at", ["tiny", "laptop"])
def test_the_five_prompts_are_always_the_same_and_of_the_test_split(at):
    prompts = five_prompts(at)
    assert prompts == five_prompts(at) or [p.question for p in prompts] == [p.question for p in five_prompts(at)]
    assert len({prompt.words for prompt in prompts}) == 5
    for prompt in prompts:
        assert prompt.suite.split_of(prompt.question) == "test" and prompt.part in prompt.suite.parts


def test_what_was_learned_is_speed_times_time_without_the_steps_that_also_measured():
    records = [
        {"step": 1, "tokens_per_second": 100.0, "seconds": 2.0},
        {"step": 2, "tokens_per_second": 100.0, "seconds": 9.0, "validation_loss": 1.0},  # most of it was measuring
        {"step": 3, "tokens_per_second": 50.0, "seconds": 13.0},
    ]
    assert learned(SimpleNamespace(metrics=lambda: records)) == (600.0, "tokens")
    pairs = [{"step": 1, "pairs_per_second": 10.0, "seconds": 1.0}]
    assert learned(SimpleNamespace(metrics=lambda: pairs)) == (10.0, "pairs")
    assert learned(object()) is None and learned(SimpleNamespace(metrics=list)) is None


def test_seconds_are_those_of_all_sittings(tmp_path):
    assert seconds_of(tmp_path) is None
    (tmp_path / "about.json").write_text('{"seconds": 3.5}')  # of the last sitting
    assert seconds_of(tmp_path) == 3.5
    (tmp_path / "result.json").write_text('{"seconds": 8}')
    assert seconds_of(tmp_path) == 8.0


def test_the_time_left_goes_by_the_pace_until_now():
    first, *rest = LIFE
    leg = Leg(first, None, 30 * first.minutes, None, None, ())  # twice as fast as was guessed
    minutes = sum(part.minutes for part in rest)
    assert time_left([leg], rest, "laptop") == f"; about {duration(30 * minutes)} left in all"
    assert time_left([], LIFE, "tiny") == "", "of this machine nothing is known yet"
    assert "left in all" in time_left([], LIFE, "laptop")


@pytest.mark.parametrize(
    ("by", "words"),
    [
        (Interval(0.1, 0.05, 0.15, 100), "gained: +10.0 ± 5.0 points"),
        (Interval(-0.1, -0.15, -0.05, 100), "lost: −10.0 ± 5.0 points"),
        (Interval(0.01, -0.05, 0.07, 100), "no change that could be seen: +1.0 ± 6.0 points"),
    ],
)
def test_a_change_is_called_one_by_its_interval(by, words):
    assert changed(by) == words


def test_a_part_has_its_words():
    assert all(isinstance(part, Part) and part.words and part.minutes > 0 for part in LIFE)
