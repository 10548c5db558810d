"""Methods that cost and are right: which of them nobody beats, what a budget buys, and where two curves cross.

    front([(27, 0.90), (54, 0.88), (240, 0.95)])        [0, 2]: 54 costs more than 27, and is right less often
    at_budget([(27, 0.6), (108, 0.8)], 54)              0.7: half-way on a logarithmic axis
    crossings(votes, verified)                          the budgets at which one overtakes the other

A point is (cost, accuracy). Which points are on a front is itself an estimate: choose them on other questions than
those that you report. Standard library only.
Taught in book/4-reasoning-with-transformers/12_accuracy_against_tokens.md.
"""

import itertools
from bisect import bisect_right
from collections.abc import Sequence
from math import exp, isfinite, log

from insideout.errors import BadInput

__all__ = ["Curve", "at_budget", "crossings", "front"]

Curve = Sequence[tuple[float | int, float | int]]
"""(cost, accuracy) of one method at several budgets, or of several methods."""
ROUNDING = 1e-12
"""Accuracies that differ by less are level."""


def front(points: Curve) -> list[int]:
    """The points that no other beats, the cheapest first: nobody is as cheap and as right, and better in one of both.

    Points that are equal in both beat no one, and are all on it. Raises BadInput as `checked` does.
    """
    checked(points)
    order = sorted(range(len(points)), key=lambda i: (points[i][0], -points[i][1], i))
    found, best = list[int](), float("-inf")
    for i in order:
        cost, accuracy = points[i]
        if accuracy > best or (found and points[found[-1]] == (cost, accuracy)):
            found.append(i)
            best = max(best, accuracy)
    return found


def at_budget(curve: Curve, budget: float | int) -> float | None:
    """The accuracy that a budget buys: on the straight line between the two points beside it, costs as logarithms.

    Beyond the dearest point it is that point's, since nobody has to spend all; below the cheapest it buys nothing:
    None. Raises BadInput as `checked` does, and for two points of one cost.
    """
    points = rising(curve)
    if not budget > 0:
        raise BadInput(f"A budget of {budget} buys nothing: give more than 0.")
    i = bisect_right([cost for cost, _ in points], budget)
    if i == 0:
        return None
    if i == len(points):
        return points[-1][1]
    (low, before), (high, after) = points[i - 1], points[i]
    return before + (after - before) * log(budget / low) / log(high / low)


def crossings(one: Curve, other: Curve) -> list[float]:
    """The budgets at which one curve goes from below the other to above it, or back, where both have one. Exact.

    Curves that touch without crossing are not counted. Raises BadInput as `at_budget` does.
    """
    first, second = rising(one), rising(other)
    low = max(first[0][0], second[0][0])
    ends = sorted({low, *(cost for cost, _ in (*first, *second) if cost > low)})
    found, side, before, was = list[float](), 0.0, low, 0.0
    for budget in ends:
        gap = at_least(first, budget) - at_least(second, budget)
        gap = gap if abs(gap) > ROUNDING else 0.0
        if gap * side < 0:  # where they were level before, that is the place
            found.append(before if was == 0 else exp(log(before) + log(budget / before) * was / (was - gap)))
        side, before, was = gap or side, budget, gap
    return found


def at_least(points: Curve, budget: float | int) -> float:
    """As `at_budget`, where the budget is known to be enough."""
    found = at_budget(points, budget)
    assert found is not None
    return found


def rising(curve: Curve) -> list[tuple[float, float]]:
    """A curve's points, the cheapest first, each with a cost of its own."""
    checked(curve)
    points = sorted((float(cost), float(accuracy)) for cost, accuracy in curve)
    for (cost, _), (following, _) in itertools.pairwise(points):
        if cost == following:
            raise BadInput(f"Two points of the curve cost {cost:g}: a curve has one accuracy at each cost.")
    return points


def checked(points: Curve) -> None:
    """Raises BadInput unless there is a point, each with a finite cost above 0 and a finite accuracy."""
    if not points:
        raise BadInput("There is no point: give at least one, of a cost and an accuracy.")
    for cost, accuracy in points:
        if not (isfinite(cost) and cost > 0 and isfinite(accuracy)):
            raise BadInput(f"A point is ({cost}, {accuracy}): give a finite cost above 0 and a finite accuracy.")
