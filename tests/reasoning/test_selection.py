"""Choosing among scored answers: ties are split, what cannot be read is never chosen, and limits are known methods."""

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from insideout.errors import BadInput
from insideout.estimates import best_at_k, vote
from insideout.reasoning.selection import best, filtered, weighted

SCORED = st.lists(
    st.tuples(st.sampled_from(["7", "8", "9", None]), st.sampled_from([0.0, 0.25, 0.5, 1.0])), min_size=1, max_size=9
)


def test_three_ways_on_one_example():
    answers, scores = ["7", "8", "7", None, "9"], [0.2, 0.9, 0.3, 1.0, 0.1]
    assert best(answers, scores) == {"8": 1.0}
    assert weighted(answers, scores) == {"8": 1.0}
    assert weighted(answers, [0.5, 0.9, 0.5, 1.0, 0.1]) == {"7": 1.0}
    assert filtered(answers, scores, 0.75) == {"7": 1.0}
    assert filtered(answers, scores, 0.5) == {"8": 0.5, "7": 0.5}
    assert best(["7", "7", "8"], [1.0, 1.0, 1.0]) == {"7": 2 / 3, "8": 1 / 3}


@given(SCORED)
def test_limits(scored):
    answers, scores = [answer for answer, _ in scored], [score for _, score in scored]
    assert filtered(answers, scores, 1.0) == filtered(answers, [1.0] * len(scores), 0.3) == vote(answers)
    assert weighted(answers, [1.0] * len(scores)) == vote(answers)
    few = best(answers, scores)
    assert None not in few and (
        sum(few.values()) == pytest.approx(1) if any(a is not None for a in answers) else not few
    )
    if None not in answers:
        right = [answer == "7" for answer in answers]
        assert few.get("7", 0.0) == pytest.approx(best_at_k(scores, right, len(right)))


def test_what_cannot_be_used_is_refused():
    for wrong in (([], [1.0]), (["7"], [math.nan]), (["7"], [])):
        for way in (best, weighted, filtered):
            with pytest.raises(BadInput):
                way(*wrong)
    for keep in (0.0, 1.5):
        with pytest.raises(BadInput, match="above 0"):
            filtered(["7"], [1.0], keep)
    with pytest.raises(BadInput):
        weighted(["7"], [-1.0])
