"""Annotators prefer as their noise and their bias say, and it is known how well they could be agreed with."""

import math
from itertools import islice
from statistics import fmean

import pytest

from insideout.data.suite import Message, Question
from insideout.data.town.judge import Truth, gold, judge
from insideout.data.town.preferences import Annotator, ceiling, preferences
from insideout.data.town.world import Event, State
from insideout.errors import BadInput

QUESTION = Question((Message("user", "..."),), Truth("", State({"Anna": "hall"}), Event("is", who="Anna")), "where")


def test_probability_by_hand():
    """A right answer has gold 7, a wrong one 4; ln 3 for the three units makes 3/4."""
    right, wrong = "Anna is in the hall.", "Anna is in the barn."
    annotator = Annotator(sharpness=math.log(3) / 3)
    assert annotator.probability(QUESTION, right, wrong) == pytest.approx(0.75)
    assert annotator.probability(QUESTION, wrong, right) == pytest.approx(0.25)
    assert Annotator(0.0).probability(QUESTION, right, wrong) == 0.5
    longer = "That is a good question. Anna is in the barn."
    fooled = Annotator(sharpness=0.0, length_bias=math.log(3) / 5)
    assert fooled.probability(QUESTION, longer, right) == pytest.approx(0.75)
    assert Annotator(1e6).probability(QUESTION, right, wrong) == 1.0


@pytest.mark.parametrize("annotator", [Annotator(0.5), Annotator(0.3, length_bias=0.2)], ids=str)
def test_the_best_judge_agrees_as_often_as_the_ceiling_says(annotator):
    pairs = list(islice(preferences("train", 0, annotator), 600))
    found = [annotator.probability(pair.question, pair.chosen, pair.rejected) for pair in pairs]
    assert found == pytest.approx([pair.probability for pair in pairs])
    agreed = fmean(0.5 if p == 0.5 else p > 0.5 for p in found)
    assert 0.6 < ceiling(pairs) < 0.95 and agreed == pytest.approx(ceiling(pairs), abs=0.06)
    assert len({round(p, 1) for p in found}) > 5, "there are hard pairs and easy ones"


def test_pairs_differ_and_come_again_from_their_seed():
    pairs = list(islice(preferences("test", 4), 60))
    assert all(pair.chosen != pair.rejected for pair in pairs)
    assert pairs[:50] == list(islice(preferences("test", 4), 50))
    assert pairs[:20] != list(islice(preferences("test", 5), 20))


def test_length_bias_shows_in_what_is_chosen():
    def excess(annotator):
        pairs = list(islice(preferences("train", 1, annotator), 300))
        return fmean(len(pair.chosen.split()) - len(pair.rejected.split()) for pair in pairs)

    assert excess(Annotator(0.5, length_bias=0.5)) > excess(Annotator(0.5)) + 1


def test_without_noise_the_better_one_is_chosen():
    for pair in islice(preferences("train", 2, Annotator(1e6)), 100):
        assert gold(judge(pair.question, pair.chosen)) >= gold(judge(pair.question, pair.rejected))


def test_annotators_out_of_range_are_refused():
    for wrong in ({"sharpness": -1.0}, {"sharpness": math.inf}, {"length_bias": math.nan}):
        with pytest.raises(BadInput, match="sharpness"):
            Annotator(**wrong)
