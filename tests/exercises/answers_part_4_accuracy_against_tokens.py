"""Answers that readers might give to the chapter on accuracy against tokens: right in other styles, plausibly wrong."""

import itertools
from bisect import bisect_right
from math import exp, log, log10

RIGHT, WRONG = "right", "wrong"
ANSWERS = {}

# front: points -> those that no other beats, the cheapest first


def by_sweep(points):
    found, best = [], -1.0
    for cost, accuracy in sorted(points, key=lambda p: (p[0], -p[1])):
        if accuracy > best or (found and (cost, accuracy) == found[-1]):
            found.append((cost, accuracy))
            best = max(best, accuracy)
    return found


def by_loops(points):
    front = []
    for p in points:
        beaten = False
        for q in points:
            if q[0] <= p[0] and q[1] >= p[1] and (q[0] < p[0] or q[1] > p[1]):
                beaten = True
                break
        if not beaten:
            front.append(p)
    front.sort(key=lambda p: p[0])
    return front


def by_cheapest_best(points):
    best_at = {}
    for cost, accuracy in points:
        best_at[cost] = max(accuracy, best_at.get(cost, 0.0))
    good, so_far = set(), -1.0
    for cost in sorted(best_at):
        if best_at[cost] > so_far:
            so_far = best_at[cost]
            good.add((cost, so_far))
    return sorted(p for p in points if p in good)


def by_negation(points):
    signed = [(-c, a) for c, a in points]
    keep = [
        p for p, s in zip(points, signed, strict=True)
        if all(t == s or t[0] < s[0] or t[1] < s[1] for t in signed)
    ]  # fmt: skip
    return sorted(keep, key=lambda p: p[0])


def without(points, beats):
    return sorted(p for p in points if not any(beats(q, p) for q in points))


ANSWERS["reasoning.accuracy_against_tokens.front"] = {
    RIGHT: [by_sweep, by_loops, by_cheapest_best, by_negation],
    WRONG: [
        lambda points: sorted(set(by_loops(points))),
        lambda points: [p for p in by_loops(points) if points.count(p) == 1],
        lambda points: without(points, lambda q, p: q[0] < p[0] and q[1] > p[1]),
        lambda points: without(points, lambda q, p: q[0] < p[0] and q[1] >= p[1]),
        lambda points: without(points, lambda q, p: q[0] <= p[0] and q[1] > p[1]),
        lambda points: without(points, lambda q, p: q[0] <= p[0] and q[1] <= p[1] and q != p),
        lambda points: without(points, lambda q, p: q[0] >= p[0] and q[1] >= p[1] and q != p),
        lambda points: sorted(p for p in points if p not in by_loops(points)),
        lambda points: [p for p in points if p in by_loops(points)],
        lambda points: by_loops(points)[::-1],
        lambda points: [max(points, key=lambda p: p[1])],
        lambda points: [min(points)],
        lambda points: sorted(p for p in points if p[1] / p[0] == max(q[1] / q[0] for q in points)),
        lambda points: without(points, lambda q, p: q[0] == p[0] and q[1] > p[1]),
        lambda points: sorted(points),
        lambda points: list(dict(sorted(points)).items()),
        lambda points: [(a, c) for c, a in by_loops(points)],
        lambda points: sorted(by_loops(points)[:-1]),
    ],
}

# at_budget: curve, budget -> the accuracy that it buys, or None


def by_search(curve, budget):
    points = sorted(curve)
    i = bisect_right([c for c, _ in points], budget) - 1
    if i < 0:
        return None
    if i == len(points) - 1:
        return points[i][1]
    share = (log(budget) - log(points[i][0])) / (log(points[i + 1][0]) - log(points[i][0]))
    return (1 - share) * points[i][1] + share * points[i + 1][1]


def by_halving(curve, budget):
    below = [p for p in curve if p[0] <= budget]
    above = [p for p in curve if p[0] > budget]
    if not below:
        return None
    low = max(below)
    if not above:
        return low[1]
    high = min(above)
    a, b = 0.0, 1.0
    for _ in range(80):
        middle = (a + b) / 2
        a, b = (middle, b) if low[0] * (high[0] / low[0]) ** middle < budget else (a, middle)
    return low[1] + a * (high[1] - low[1])


def by_tens(curve, budget):
    logs = sorted((log10(c), a) for c, a in curve)
    x = log10(budget)
    if budget < min(c for c, _ in curve):
        return None
    if budget >= max(c for c, _ in curve):
        return logs[-1][1]
    for (x0, y0), (x1, y1) in itertools.pairwise(logs):
        if x0 - 1e-12 <= x < x1:
            return y0 + (y1 - y0) / (x1 - x0) * (x - x0)
    return logs[-1][1]


def by_weights(curve, budget):
    points = sorted(curve)
    if budget < points[0][0]:
        return None
    while len(points) > 1 and points[1][0] <= budget:
        points.pop(0)
    if len(points) == 1:
        return points[0][1]
    (c, a), (d, b) = points[:2]
    return (a * (log(d) - log(budget)) + b * (log(budget) - log(c))) / (log(d) - log(c))


def pair(curve, budget):
    points = sorted(curve)
    return next(((p, q) for p, q in itertools.pairwise(points) if p[0] <= budget < q[0]), None)


def with_share(share):
    def answer(curve, budget):
        found = pair(curve, budget)
        if found is None:
            return by_search(curve, budget)
        (low, before), (high, after) = found
        return before + (after - before) * share(budget, low, high)

    return answer


def from_ends(curve, budget):
    (low, before), (high, after) = min(curve), max(curve)
    if not low <= budget < high:
        return by_search(curve, budget)
    return before + (after - before) * log(budget / low) / log(high / low)


def unsorted(curve, budget):
    for (c, a), (d, b) in itertools.pairwise(curve):
        if c <= budget < d:
            return a + (b - a) * log(budget / c) / log(d / c)
    return None if budget < curve[0][0] else curve[-1][1]


ANSWERS["reasoning.accuracy_against_tokens.at_budget"] = {
    RIGHT: [by_search, by_halving, by_tens, by_weights],
    WRONG: [
        with_share(lambda budget, low, high: (budget - low) / (high - low)),
        with_share(lambda budget, low, high: log(high / budget) / log(high / low)),
        with_share(lambda budget, low, high: 0.0),
        with_share(lambda budget, low, high: 1.0),
        with_share(lambda budget, low, high: 0.5),
        with_share(lambda budget, low, high: log(budget) / log(high)),
        with_share(lambda budget, low, high: budget / high),
        with_share(lambda budget, low, high: (exp(budget / high) - exp(low / high)) / (exp(1) - exp(low / high))),
        lambda curve, budget: by_search(curve, max(budget, min(curve)[0])),
        lambda curve, budget: by_search(curve, budget) or 0.0,
        lambda curve, budget: None if budget > max(curve)[0] else by_search(curve, budget),
        lambda curve, budget: None if budget >= max(curve)[0] else by_search(curve, budget),
        lambda curve, budget: max((a for c, a in curve if c <= budget), default=None),
        lambda curve, budget: min(curve, key=lambda p: abs(p[0] - budget))[1],
        unsorted,
        from_ends,
        lambda curve, budget: sum(a for _, a in curve) / len(curve),
        lambda curve, budget: (lambda found: None if found is None else 100 * found)(by_search(curve, budget)),
    ],
}
