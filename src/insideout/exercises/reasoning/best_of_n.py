"""Exercises on best of n: the best of k told from n scored answers, and what a false yes does.

Practised in book/4-reasoning-with-transformers/05_best_of_n.md; the module is insideout/reasoning/selection.py.
"""

import random
from collections.abc import Sequence
from math import comb
from statistics import fmean

from insideout.estimates import best_at_k as by_estimates
from insideout.estimates import pass_at_k
from insideout.exercises.catalogue import Exercise

# best_at_k: scores, right, k -> how likely the best of k is right


def draw_scored(rng: random.Random) -> tuple[list[float], list[bool], int]:
    """A few answers, no two scores equal, in no order, with a judge that is mostly right."""
    n = rng.randint(5, 8)
    right = [rng.random() < 0.45 for _ in range(n)]
    right[0], right[1] = True, False
    scores = [round(rng.random() + 0.3 * r + i / 1000, 4) for i, r in enumerate(right)]
    order = rng.sample(range(n), n)
    return [scores[i] for i in order], [right[i] for i in order], rng.randint(2, n - 2)


def ranked(scores: Sequence[float], right: Sequence[bool]) -> list[bool]:
    """By score, the lowest first."""
    return [r for _, r in sorted(zip(scores, right, strict=True))]


best_at_k = Exercise(
    "reasoning.best_of_n.best_at_k", stars=2, minutes=15, reference=by_estimates, draw=draw_scored,
    edges=[([0.5], [True], 1), ([0.2, 0.9, 0.4], [True, False, True], 1), ([0.2, 0.9, 0.4], [True, False, True], 3),
           ([0.9, 0.1, 0.5, 0.3], [False, False, False, False], 2)],
    section="The best of k, from n, without drawing again",
)  # fmt: skip
best_at_k.mistake(
    "The lowest score wins here: sort so that those below come first.",
    lambda scores, right, k: by_estimates([-score for score in scores], right, k),
)
best_at_k.mistake(
    "This is pass@k: it knows the answer. Here the score chooses.",
    lambda scores, right, k: pass_at_k(len(right), sum(right), k),
)
best_at_k.mistake(
    "This is the share of right answers: the scores have no say in it.", lambda scores, right, k: fmean(right)
)
best_at_k.mistake(
    "This is the best of the first k alone: count all choices of k.",
    lambda scores, right, k: float(max(zip(scores[:k], right[:k], strict=True))[1]),
)
best_at_k.mistake(
    "This is the best of all n: of k drawn ones is asked.",
    lambda scores, right, k: float(max(zip(scores, right, strict=True))[1]),
)
best_at_k.mistake(
    "These are the answers with the k highest scores: k are drawn, whatever their scores.",
    lambda scores, right, k: fmean(ranked(scores, right)[-k:]),
)
best_at_k.mistake(
    "The answers are taken in the order they came: sort them by score.",
    lambda scores, right, k: sum(comb(i, k - 1) * r for i, r in enumerate(right)) / comb(len(right), k),
)
best_at_k.mistake(
    "k others are drawn beside the best: it is one of the k, so there are k − 1.",
    lambda scores, right, k: sum(comb(i, k) * r for i, r in enumerate(ranked(scores, right))) / comb(len(right), k),
)
best_at_k.mistake(
    "The answer itself is counted among those below it: with i below, there are C(i, k − 1) draws.",
    lambda scores, right, k: (
        sum(comb(i + 1, k - 1) * r for i, r in enumerate(ranked(scores, right))) / comb(len(right), k)
    ),
)
best_at_k.mistake(
    "These are numbers of draws: divide by C(n, k), that of all.",
    lambda scores, right, k: sum(comb(i, k - 1) * r for i, r in enumerate(ranked(scores, right))),
)
best_at_k.mistake(
    "The sum is divided by n: there are C(n, k) draws.",
    lambda scores, right, k: sum(comb(i, k - 1) * r for i, r in enumerate(ranked(scores, right))) / len(right),
)


@best_at_k.mistake("Answers are drawn with replacement here: none can be drawn twice.")
def _(scores: list[float], right: list[bool], k: int) -> float:
    n = len(scores)
    return float(sum(((i + 1) ** k - i**k) * r for i, r in enumerate(ranked(scores, right))) / n**k)


# accepted: p, t, f, n -> how likely the answer that is taken is right


def draw_judge(rng: random.Random) -> tuple[float, float, float, int]:
    """A model that is often wrong, and a verifier of some use."""
    return (
        round(rng.uniform(0.1, 0.6), 2),
        round(rng.uniform(0.6, 0.95), 2),
        round(rng.uniform(0.05, 0.4), 2),
        rng.randint(2, 7),
    )


def taken(p: float, t: float, f: float, n: int) -> float:
    yes = p * t + (1 - p) * f
    found = p * t / yes if yes > 0 else 0.0
    missed = p * (1 - t) / (1 - yes) if yes < 1 else 0.0
    none = (1 - yes) ** n
    return (1 - none) * found + none * missed


def yes_of(p: float, t: float, f: float) -> float:
    return p * t + (1 - p) * f


accepted = Exercise(
    "reasoning.best_of_n.accepted", stars=2, minutes=15, reference=taken, draw=draw_judge,
    edges=[(0.3, 1.0, 0.0, 5), (0.3, 1.0, 1.0, 4), (0.3, 0.0, 0.0, 4), (0.0, 0.9, 0.1, 3), (0.4, 0.8, 0.2, 1)],
    section="What a weak verifier does at large n",
)  # fmt: skip


def limit(p: float, t: float, f: float) -> float:
    return p * t / yes_of(p, t, f) if yes_of(p, t, f) else 0.0


accepted.mistake(
    "This is the limit for many draws: with n of them there may be no yes at all.", lambda p, t, f, n: limit(p, t, f)
)
accepted.mistake(
    "Where no answer gets a yes nothing is taken here: then any of the n is.",
    lambda p, t, f, n: (1 - (1 - yes_of(p, t, f)) ** n) * limit(p, t, f),
)
accepted.mistake(
    "Where no answer gets a yes the one taken is right with p here: it is one that got a no, which tells something.",
    lambda p, t, f, n: (1 - (1 - yes_of(p, t, f)) ** n) * limit(p, t, f) + (1 - yes_of(p, t, f)) ** n * p,
)
accepted.mistake(
    "This is the chance that a right answer gets a yes: a wrong one with a yes may be taken in its place.",
    lambda p, t, f, n: 1 - (1 - p * t) ** n,
)
accepted.mistake(
    "This is the chance that one of n is right: the verifier has no say in it.", lambda p, t, f, n: 1 - (1 - p) ** n
)
accepted.mistake(
    "This is the chance that some answer gets a yes: it may be a wrong one.",
    lambda p, t, f, n: 1 - (1 - yes_of(p, t, f)) ** n,
)
accepted.mistake("This is what one answer is worth, p.", lambda p, t, f, n: p)
accepted.mistake("t and f stand in each other's place.", lambda p, t, f, n: taken(p, f, t, n))
accepted.mistake(
    "A yes to a wrong answer has probability (1 − p) f: the 1 − p is missing.",
    lambda p, t, f, n: (lambda yes: (1 - (1 - yes) ** n) * (p * t / yes if yes else 0.0)
                        + (1 - yes) ** n * (p * (1 - t) / (1 - yes) if yes != 1 else 0.0))(p * t + f),
)  # fmt: skip
accepted.mistake(
    "The two cases are weighed the wrong way round: (1 − yes)ⁿ is the chance that there is no yes.",
    lambda p, t, f, n: (lambda none: none * limit(p, t, f) + (1 - none) * taken(p, 1 - t, 1 - f, 10**6))(
        (1 - yes_of(p, t, f)) ** n
    ),
)
accepted.mistake("This is the chance that the answer taken is wrong.", lambda p, t, f, n: 1 - taken(p, t, f, n))
