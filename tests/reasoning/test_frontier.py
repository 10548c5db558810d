"""Fronts against all comparisons, curves against NumPy, crossings against where the difference changes its sign."""

import itertools
from math import log

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from insideout.errors import BadInput
from insideout.reasoning.frontier import at_budget, crossings, front

POINTS = st.lists(st.tuples(st.integers(1, 6), st.integers(0, 5)), min_size=1, max_size=14)
CURVE = st.dictionaries(st.integers(1, 1000), st.integers(0, 20), min_size=1, max_size=7)


@settings(deadline=None)
@given(POINTS)
def test_on_the_front_is_what_nobody_beats(points):
    def beaten(p):
        return any(q[0] <= p[0] and q[1] >= p[1] and q != p for q in points)

    found = front(points)
    assert sorted(found) == [i for i, p in enumerate(points) if not beaten(p)]
    assert [points[i][0] for i in found] == sorted(points[i][0] for i in found)


def test_a_front_by_hand():
    assert front([(27, 0.90), (54, 0.88), (240, 0.95)]) == [0, 2]
    assert front([(2, 0.5), (2, 0.5), (2, 0.4), (3, 0.5)]) == [0, 1]


@settings(deadline=None)
@given(CURVE, st.floats(0.5, 2000))
def test_a_budget_buys_what_numpy_says(curve, budget):
    points = sorted(curve.items())
    found = at_budget(points[::-1], budget)
    if budget < points[0][0]:
        assert found is None
    else:
        costs, heights = zip(*points, strict=True)
        assert found == pytest.approx(np.interp(log(budget), np.log(costs), heights), abs=1e-9)


@settings(deadline=None, max_examples=30)
@given(CURVE, CURVE)
def test_at_a_crossing_the_curves_are_level_and_change_their_order(one, other):
    a, b = list(one.items()), list(other.items())
    found = crossings(a, b)
    assert found == pytest.approx(crossings(b, a))
    low = max(min(one), min(other))
    grid = [low * 1.0001 * 1.2**i for i in range(40)]
    gaps = [at_budget(a, x) - at_budget(b, x) for x in grid]
    signs = [np.sign(gap) for gap in gaps if abs(gap) > 1e-9]
    changes = sum(s * t < 0 for s, t in itertools.pairwise(signs))
    assert changes <= len(found), "the grid may miss two that lie close together, and none else"
    for place in found:
        assert at_budget(a, place) == pytest.approx(at_budget(b, place), abs=1e-6)


def test_a_crossing_by_hand():
    assert crossings([(10, 0.2), (1000, 0.8)], [(10, 0.4), (1000, 0.6)]) == pytest.approx([100.0])
    assert crossings([(10, 0.2), (1000, 0.8)], [(10, 0.2), (1000, 0.6)]) == []
    touch = [(10, 0.2), (100, 0.5), (1000, 0.2)]
    assert crossings(touch, [(10, 0.5), (1000, 0.5)]) == []
    assert crossings([(10, 0.2), (100, 0.5), (1000, 0.8)], [(10, 0.5), (1000, 0.5)]) == pytest.approx([100.0])


@pytest.mark.parametrize("points", [[], [(0, 0.5)], [(-1, 0.5)], [(float("nan"), 0.5)], [(1, float("inf"))]])
def test_what_is_no_point_is_refused(points):
    with pytest.raises(BadInput):
        front(points)


def test_curves_and_budgets_that_cannot_be_are_refused():
    with pytest.raises(BadInput, match="cost 3"):
        at_budget([(3, 0.1), (3, 0.2)], 5)
    with pytest.raises(BadInput, match="buys nothing"):
        at_budget([(3, 0.1)], 0)
