"""Exercises on accuracy against tokens: the Pareto front, ties included, and what a budget buys.

Practised in book/4-reasoning-with-transformers/12_accuracy_against_tokens.md; the module is
insideout/reasoning/frontier.py.
"""

import itertools
import random
from collections.abc import Callable
from math import log

from insideout.exercises.catalogue import Exercise
from insideout.reasoning.frontier import at_budget as by_frontier
from insideout.reasoning.frontier import front as by_front

Point = tuple[float, float]

# front: points -> those that no other beats, the cheapest first


def draw_points(rng: random.Random) -> tuple[list[Point]]:
    """Few costs and few accuracies, so that there are ties of every kind, in no order."""
    points = [(float(rng.randint(1, 6)), rng.randint(1, 6) / 8) for _ in range(rng.randint(6, 10))]
    points.append((7.0, 0.875))
    kept = by_front(points)
    best = points[rng.choice(kept)]
    points += [best, (best[0] + 1.0, best[1]), (best[0], round(best[1] - 0.125, 3))]
    return (rng.sample(points, len(points)),)


def unbeaten(points: list[Point]) -> list[Point]:
    return [points[i] for i in by_front(points)]


front = Exercise(
    "reasoning.accuracy_against_tokens.front", stars=2, minutes=12, reference=unbeaten, draw=draw_points,
    edges=[([(3.0, 0.5)],), ([(3.0, 0.5), (3.0, 0.5)],), ([(2.0, 0.5), (3.0, 0.5), (2.0, 0.25)],),
           ([(1.0, 0.25), (2.0, 0.5), (3.0, 0.75)],)],
    section="A front",
)  # fmt: skip


def kept(points: list[Point], beats: Callable[[Point, Point], bool]) -> list[Point]:
    """What no point beats."""
    return sorted(p for p in points if not any(beats(q, p) for q in points))


front.mistake(
    "Of several equal points only one is returned: none of them beats another.",
    lambda points: sorted(set(unbeaten(points))),
)
front.mistake(
    "Equal points beat each other here, and both are gone: a point is not beaten by its double.",
    lambda points: [p for p in unbeaten(points) if points.count(p) == 1],
)
front.mistake(
    "A point must be better in both to beat another here: better in one, and as good in the other, is enough.",
    lambda points: kept(points, lambda a, b: a[0] < b[0] and a[1] > b[1]),
)
front.mistake(
    "Of two that cost the same, the one that is right less often is kept: it is beaten.",
    lambda points: kept(points, lambda a, b: a[0] < b[0] and a[1] >= b[1]),
)
front.mistake(
    "Of two that are right as often, the dearer one is kept: it is beaten.",
    lambda points: kept(points, lambda a, b: a[0] <= b[0] and a[1] > b[1]),
)
front.mistake(
    "Accuracy is taken for a cost here: more of it is better.",
    lambda points: kept(points, lambda a, b: a[0] <= b[0] and a[1] <= b[1] and a != b),
)
front.mistake(
    "Cost is taken for something good here: less of it is better.",
    lambda points: kept(points, lambda a, b: a[0] >= b[0] and a[1] >= b[1] and a != b),
)
front.mistake("These are the beaten ones: the front is the others.", lambda points: sorted(
    p for p in points if p not in unbeaten(points)
))  # fmt: skip
front.mistake(
    "They come in the order in which they stood: sort them by cost.",
    lambda points: [p for p in points if p in unbeaten(points)],
)
front.mistake(
    "They come the dearest first: sort them by cost, the cheapest first.", lambda points: unbeaten(points)[::-1]
)
front.mistake(
    "This is the most accurate alone: the cheaper ones that nobody beats are on the front too.",
    lambda points: [p for p in unbeaten(points) if p[1] == max(q[1] for q in points)],
)
front.mistake(
    "These are those with the most accuracy per token: a front is made of comparisons, not of ratios.",
    lambda points: sorted(p for p in points if p[1] / p[0] == max(q[1] / q[0] for q in points)),
)
front.mistake(
    "This is the best of each cost: one that is dearer and no better than a cheaper one is beaten too.",
    lambda points: kept(points, lambda a, b: a[0] == b[0] and a[1] > b[1]),
)

# at_budget: curve, budget -> the accuracy that it buys, or None


def draw_curve(rng: random.Random) -> tuple[list[Point], float]:
    """Points in no order, accuracy now rising and now falling, and a budget strictly between two of them."""
    costs = sorted(rng.sample(range(10, 400), rng.randint(3, 6)))
    curve = [(float(cost), round(rng.uniform(0.1, 0.9), 3)) for cost in costs]
    i = rng.randrange(len(costs) - 1)
    budget = costs[i] + (costs[i + 1] - costs[i]) * rng.uniform(0.2, 0.8)
    return rng.sample(curve, len(curve)), round(budget, 2)


at_budget = Exercise(
    "reasoning.accuracy_against_tokens.at_budget", stars=2, minutes=15, reference=by_frontier, draw=draw_curve,
    edges=[([(10.0, 0.2), (40.0, 0.5)], 5.0), ([(40.0, 0.5), (10.0, 0.2)], 100.0), ([(10.0, 0.2), (40.0, 0.5)], 10.0),
           ([(10.0, 0.2), (40.0, 0.5)], 40.0), ([(30.0, 0.7)], 30.0), ([(10.0, 0.6), (40.0, 0.3), (90.0, 0.5)], 20.0)],
    section="Where curves cross",
)  # fmt: skip


def beside(curve: list[Point], budget: float) -> tuple[Point, Point] | None:
    """The two points beside a budget, where there are two."""
    points = sorted(curve)
    return next(((a, b) for a, b in itertools.pairwise(points) if a[0] <= budget < b[0]), None)


def between(share: Callable[[float, float, float], float]) -> Callable[[list[Point], float], float | None]:
    """As it should be, but for the share of the way."""

    def answer(curve: list[Point], budget: float) -> float | None:
        pair = beside(curve, budget)
        if pair is None:
            return by_frontier(curve, budget)
        (low, before), (high, after) = pair
        return before + (after - before) * share(budget, low, high)

    return answer


at_budget.mistake(
    "Costs are taken as they are: take their logarithms.",
    between(lambda budget, low, high: (budget - low) / (high - low)),
)
at_budget.mistake(
    "The share of the way is turned around: at the cheaper point it is 0.",
    between(lambda budget, low, high: log(high / budget) / log(high / low)),
)
at_budget.mistake("Nothing lies between points here: go along the line.", between(lambda budget, low, high: 0.0))
at_budget.mistake("This is the next point, which the budget does not pay for.", between(lambda budget, low, high: 1.0))
at_budget.mistake("This is half-way, wherever the budget lies.", between(lambda budget, low, high: 0.5))
at_budget.mistake(
    "The logarithm of the budget is divided by that of the dearer cost: both are to be counted from the cheaper one.",
    between(lambda budget, low, high: log(budget) / log(high)),
)
at_budget.mistake(
    "Below the cheapest point nothing can be bought: return None.",
    lambda curve, budget: by_frontier(curve, max(budget, min(curve)[0])),
)
at_budget.mistake(
    "Beyond the dearest point nobody has to spend all: it is that point's accuracy.",
    lambda curve, budget: None if budget > max(curve)[0] else by_frontier(curve, budget),
)
at_budget.mistake(
    "This is the best accuracy that can be paid for: what is asked is where the line lies.",
    lambda curve, budget: max((a for c, a in curve if c <= budget), default=None),
)
at_budget.mistake(
    "The points are taken in the order in which they stand: sort them by cost.",
    lambda curve, budget: next(
        (a[1] + (b[1] - a[1]) * log(budget / a[0]) / log(b[0] / a[0]) for a, b in itertools.pairwise(curve)
         if a[0] <= budget < b[0]), None if budget < curve[0][0] else curve[-1][1],
    ),
)  # fmt: skip


@at_budget.mistake("The line is drawn from the cheapest point to the dearest: take the two beside the budget.")
def _(curve: list[Point], budget: float) -> float | None:
    (low, before), (high, after) = min(curve), max(curve)
    if not low <= budget < high:
        return by_frontier(curve, budget)
    return before + (after - before) * log(budget / low) / log(high / low)
