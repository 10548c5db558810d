"""Answers that readers might give to the chapter on best of n: right in other styles, and plausibly wrong."""

from itertools import combinations
from math import comb
from statistics import fmean

RIGHT, WRONG = "right", "wrong"
ANSWERS = {}

# best_at_k: scores, right, k -> how likely the best of k is right


def by_listing(scores, right, k):
    draws = list(combinations(range(len(scores)), k))
    return sum(right[max(draw, key=lambda i: scores[i])] for draw in draws) / len(draws)


def by_counting_below(scores, right, k):
    total = 0
    for score, r in zip(scores, right, strict=True):
        below = sum(other < score for other in scores)
        total += r * comb(below, k - 1)
    return total / comb(len(scores), k)


def by_survival(scores, right, k):
    n, order = len(scores), sorted(range(len(scores)), key=scores.__getitem__, reverse=True)
    return sum((comb(n - i, k) - comb(n - i - 1, k)) / comb(n, k) for i, j in enumerate(order) if right[j])


def by_chain(scores, right, k):
    n, left, total = len(scores), 1.0, 0.0
    for i, (_, r) in enumerate(sorted(zip(scores, right, strict=True), reverse=True)):
        drawn = min(1.0, k / (n - i))
        total += left * drawn * r
        left *= 1 - drawn
    return total


def ranked(scores, right):
    return [r for _, r in sorted(zip(scores, right, strict=True))]


ANSWERS["reasoning.best_of_n.best_at_k"] = {
    RIGHT: [by_listing, by_counting_below, by_survival, by_chain],
    WRONG: [
        lambda scores, right, k: by_listing([-s for s in scores], right, k),
        lambda scores, right, k: 1 - comb(len(right) - sum(right), k) / comb(len(right), k),
        lambda scores, right, k: 1 - (1 - fmean(right)) ** k,
        lambda scores, right, k: fmean(right),
        lambda scores, right, k: sum(right) / len(right) * k,
        lambda scores, right, k: float(right[scores.index(max(scores))]),
        lambda scores, right, k: float(right[scores.index(max(scores[:k]))]),
        lambda scores, right, k: fmean(ranked(scores, right)[-k:]),
        lambda scores, right, k: float(any(ranked(scores, right)[-k:])),
        lambda scores, right, k: sum(comb(i, k - 1) * r for i, r in enumerate(right)) / comb(len(right), k),
        lambda scores, right, k: sum(comb(i, k) * r for i, r in enumerate(ranked(scores, right))) / comb(len(right), k),
        lambda scores, right, k: sum(comb(i, k - 1) * r for i, r in enumerate(ranked(scores, right))),
        lambda scores, right, k: sum(comb(i, k - 1) * r for i, r in enumerate(ranked(scores, right))) / len(right),
        lambda scores, right, k: (
            sum(comb(i + 1, k) * r for i, r in enumerate(ranked(scores, right))) / comb(len(right), k)
        ),
        lambda scores, right, k: (
            sum(comb(i, k - 1) * r for i, r in enumerate(ranked(scores, right)[::-1])) / comb(len(right), k)
        ),
        lambda scores, right, k: 1 - by_listing(scores, right, k),
        lambda scores, right, k: (
            sum(((i + 1) ** k - i**k) * r for i, r in enumerate(ranked(scores, right))) / len(right) ** k
        ),
        lambda scores, right, k: sum(s * r for s, r in zip(scores, right, strict=True)) / sum(scores),
        lambda scores, right, k: by_listing(scores, right, max(1, k - 1)),
    ],
}

# accepted: p, t, f, n -> how likely the answer that is taken is right


def by_numbers(p, t, f, n):
    total = 0.0
    for yeses in range(n + 1):
        yes = p * t + (1 - p) * f
        chance = comb(n, yeses) * yes**yeses * (1 - yes) ** (n - yeses)
        if chance:
            total += chance * (p * t / yes if yeses else p * (1 - t) / (1 - yes))
    return total


def by_waiting(p, t, f, n):
    no, found = 1 - p * t - (1 - p) * f, 0.0
    for i in range(n):  # the first yes comes at draw i
        found += no**i * p * t
    return found + (no ** (n - 1) * p * (1 - t) if n else 0.0)


def by_cases(p, t, f, n):
    right_yes, wrong_yes = p * t, (1 - p) * f
    right_no, wrong_no = p * (1 - t), (1 - p) * (1 - f)
    none = (right_no + wrong_no) ** n
    answer = 0.0
    if right_yes + wrong_yes > 0:
        answer += (1 - none) * right_yes / (right_yes + wrong_yes)
    if right_no + wrong_no > 0:
        answer += none * right_no / (right_no + wrong_no)
    return answer


def by_bayes(p, t, f, n):
    yes = t * p + f * (1 - p)
    posterior = t * p / max(yes, 1e-300)
    other = (1 - t) * p / max(1 - yes, 1e-300)
    return other + (posterior - other) * (1 - (1 - yes) ** n) if 0 < yes < 1 else posterior if yes else other


def yes_of(p, t, f):
    return p * t + (1 - p) * f


def limit(p, t, f):
    return p * t / yes_of(p, t, f) if yes_of(p, t, f) else 0.0


ANSWERS["reasoning.best_of_n.accepted"] = {
    RIGHT: [by_numbers, by_waiting, by_cases, by_bayes],
    WRONG: [
        lambda p, t, f, n: limit(p, t, f),
        lambda p, t, f, n: (1 - (1 - yes_of(p, t, f)) ** n) * limit(p, t, f),
        lambda p, t, f, n: sum((1 - yes_of(p, t, f)) ** i * p * t for i in range(n)),
        lambda p, t, f, n: (1 - (1 - yes_of(p, t, f)) ** n) * limit(p, t, f) + (1 - yes_of(p, t, f)) ** n * p,
        lambda p, t, f, n: 1 - (1 - p * t) ** n,
        lambda p, t, f, n: 1 - (1 - p) ** n,
        lambda p, t, f, n: 1 - (1 - yes_of(p, t, f)) ** n,
        lambda p, t, f, n: p,
        lambda p, t, f, n: p * t,
        lambda p, t, f, n: by_cases(p, f, t, n),
        lambda p, t, f, n: by_cases(1 - p, t, f, n),
        lambda p, t, f, n: 1 - by_cases(p, t, f, n),
        lambda p, t, f, n: by_cases(p, t, f, 1),
        lambda p, t, f, n: by_cases(p, t, f, n + 1),
        lambda p, t, f, n: by_cases(p, t, 0.0, n),
        lambda p, t, f, n: (1 - (1 - p) ** n) * t,
        lambda p, t, f, n: t / (t + f) if t + f else 0.0,
        lambda p, t, f, n: n * p * t / (n * p * t + n * (1 - p) * f + 1e-12),
    ],
}
