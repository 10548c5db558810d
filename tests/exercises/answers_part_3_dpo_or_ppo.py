"""Answers that readers might give to chapter 16 of part 3: right ones in other styles, and wrong ones.

Few of the wrong ones are in the catalogues, and then by another way. Used by test_answers.py.
"""

import math
from bisect import bisect_left

import numpy as np

RIGHT, WRONG = "right", "wrong"
ANSWERS = {}

# at_equal_kl: kls, rewards, kl -> the reward there, or None


def by_numpy(kls, rewards, kl):
    if kl < min(kls) or kl > max(kls):
        return None
    order = np.argsort(kls)
    return float(np.interp(kl, np.array(kls)[order], np.array(rewards)[order]))


def by_bisection(kls, rewards, kl):
    points = sorted(zip(kls, rewards, strict=True))
    xs = [x for x, _ in points]
    i = bisect_left(xs, kl)
    if i == len(xs) or (i == 0 and xs[0] != kl):
        return None
    if xs[i] == kl:
        return points[i][1]
    (x0, y0), (x1, y1) = points[i - 1], points[i]
    t = (kl - x0) / (x1 - x0)
    return (1 - t) * y0 + t * y1


def by_neighbours(kls, rewards, kl):
    known = dict(zip(kls, rewards, strict=True))
    if kl in known:
        return known[kl]
    below = [x for x in kls if x < kl]
    above = [x for x in kls if x > kl]
    if not below or not above:
        return None
    a, b = max(below), min(above)
    return (known[a] * (b - kl) + known[b] * (kl - a)) / (b - a)


def by_slopes(kls, rewards, kl):
    order = sorted(range(len(kls)), key=kls.__getitem__)
    for i, j in zip(order, [*order[1:], order[-1]], strict=True):
        if kls[i] == kl:
            return rewards[i]
        if kls[i] < kl < kls[j]:
            return rewards[i] + (kl - kls[i]) * (rewards[j] - rewards[i]) / (kls[j] - kls[i])
    return None


def between_with(of):
    def answer(kls, rewards, kl):
        known = dict(zip(kls, rewards, strict=True))
        if kl in known or kl < min(kls) or kl > max(kls):
            return known.get(kl)
        a, b = max(x for x in kls if x < kl), min(x for x in kls if x > kl)
        return of(a, known[a], b, known[b], kl)

    return answer


def unsorted(kls, rewards, kl):
    if kl in kls:
        return rewards[kls.index(kl)]
    for i in range(len(kls) - 1):
        if min(kls[i], kls[i + 1]) < kl < max(kls[i], kls[i + 1]):
            t = (kl - kls[i]) / (kls[i + 1] - kls[i])
            return rewards[i] + t * (rewards[i + 1] - rewards[i])
    return None


def sorted_apart(kls, rewards, kl):
    return by_slopes(sorted(kls), sorted(rewards), kl)


ANSWERS["finetuning.dpo_or_ppo.at_equal_kl"] = {
    RIGHT: [by_numpy, by_bisection, by_neighbours, by_slopes],
    WRONG: [
        unsorted,
        sorted_apart,
        lambda kls, rewards, kl: by_slopes(sorted(kls), rewards, kl),
        lambda kls, rewards, kl: float(np.interp(kl, *np.array(sorted(zip(kls, rewards, strict=True))).T)),
        between_with(lambda a, ya, b, yb, kl: ya if kl - a < b - kl else yb),
        between_with(lambda a, ya, b, yb, kl: ya),
        between_with(lambda a, ya, b, yb, kl: yb),
        between_with(lambda a, ya, b, yb, kl: (ya + yb) / 2),
        between_with(lambda a, ya, b, yb, kl: (ya * (kl - a) + yb * (b - kl)) / (b - a)),
        between_with(lambda a, ya, b, yb, kl: ya + (yb - ya) * (kl - a)),
        between_with(lambda a, ya, b, yb, kl: (yb - ya) * (kl - a) / (b - a)),
        between_with(lambda a, ya, b, yb, kl: ya + (yb - ya) * math.log(kl / a) / math.log(b / a)),
        between_with(lambda a, ya, b, yb, kl: max(ya, yb)),
        lambda kls, rewards, kl: by_neighbours(kls, rewards, kl) or 0.0,
        lambda kls, rewards, kl: min(zip(kls, rewards, strict=True), key=lambda p: abs(p[0] - kl))[1],
        lambda kls, rewards, kl: max(rewards),
        lambda kls, rewards, kl: None,
    ],
}

# bill: n, write, read, learn, epochs -> (seconds, share of writing)


def by_parts(n, write, read, learn, epochs):
    writing = n * write
    reading = sum(n * read for _ in ("reference", "reward", "critic"))
    learning = sum(n * learn for _ in range(epochs) for _ in ("policy", "critic"))
    total = writing + reading + learning
    return total, writing / total


def by_list(n, write, read, learn, epochs):
    parts = [write, read, read, read, *[learn] * (2 * epochs)]
    return [n * sum(parts), parts[0] / sum(parts)]


def by_dot(n, write, read, learn, epochs):
    seconds = float(np.dot([1, 3, 2 * epochs], [write, read, learn]))
    return n * seconds, write / seconds


def by_fsum(n, write, read, learn, epochs):
    total = math.fsum([n * write, 3 * n * read, 2 * n * epochs * learn])
    return total, n * write / total


def bill_with(w=1, r=3, s=lambda e: 2 * e, seconds=lambda n, one: n * one, share=lambda n, write, one: write / one):
    def answer(n, write, read, learn, epochs):
        one = w * write + r * read + s(epochs) * learn
        return seconds(n, one), share(n, w * write, one)

    return answer


ANSWERS["finetuning.dpo_or_ppo.bill"] = {
    RIGHT: [by_parts, by_list, by_dot, by_fsum],
    WRONG: [
        bill_with(r=1),
        bill_with(r=2),
        bill_with(r=4),
        bill_with(r=0),
        bill_with(s=lambda e: e),
        bill_with(s=lambda e: 2),
        bill_with(s=lambda e: e + 2),
        bill_with(s=lambda e: 1),
        bill_with(s=lambda e: 3 * e),
        bill_with(seconds=lambda n, one: one),
        bill_with(share=lambda n, write, one: 100 * write / one),
        bill_with(share=lambda n, write, one: n * write),
        bill_with(share=lambda n, write, one: 1 - write / one),
        bill_with(share=lambda n, write, one: write / one / n),
        lambda n, w, r, s, e: by_parts(n, w, r, s, e)[0],
        lambda n, w, r, s, e: by_parts(n, w, r, s, e)[::-1],
        lambda n, w, r, s, e: by_parts(n, e * w, r, s, e),
    ],
}
