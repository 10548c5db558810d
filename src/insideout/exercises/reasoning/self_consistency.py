"""Exercises on self-consistency: a vote with ties split, and how likely the right one of two answers wins it.

Practised in book/4-reasoning-with-transformers/02_self_consistency.md; the module is insideout/reasoning/voting.py.
"""

import random
from collections import Counter
from collections.abc import Callable, Sequence
from math import comb

from insideout.estimates import vote as by_estimates
from insideout.exercises.catalogue import Exercise

Answers = list[str | None]
Won = dict[str, float]

# vote: answers -> each winner's part of the win


def draw_answers(rng: random.Random) -> tuple[Answers]:
    """A few answers of few kinds, so that ties are frequent; some cannot be read."""
    kinds: Answers = [str(n) for n in rng.sample(range(10, 40), rng.randint(2, 4))]
    return (rng.choices([*kinds, None], k=rng.randint(2, 9)),)


def count(answers: Sequence[str | None]) -> Won:
    return {str(answer): part for answer, part in by_estimates(list(answers)).items()}


def counted(answers: Answers) -> "Counter[str]":
    return Counter(each for each in answers if each is not None)


vote = Exercise(
    "reasoning.self_consistency.vote", stars=1, minutes=8, reference=count, draw=draw_answers,
    edges=[(["7"],), ([None, None],), ([],), (["2", "1", "1", "2"],), ([None, None, None, "5"],)], section="A vote",
)  # fmt: skip


@vote.mistake("An answer that could not be read has won: None has no vote.")
def _(answers: Answers) -> dict[str | None, float]:
    counts = Counter(answers)
    most = max(counts.values(), default=0)
    winners = [each for each, n in counts.items() if n == most]
    return {each: 1 / len(winners) for each in winners}


@vote.mistake("Of answers that are level, the first one seen gets all of the win: each gets 1/m.")
def _(answers: Answers) -> Won:
    counts = counted(answers)
    return {counts.most_common(1)[0][0]: 1.0} if counts else {}


@vote.mistake("Of answers that are level, the last one seen gets all of the win: each gets 1/m.")
def _(answers: Answers) -> Won:
    counts = counted(answers[::-1])
    return {counts.most_common(1)[0][0]: 1.0} if counts else {}


@vote.mistake("Answers that are level each get a whole win: together they have one.")
def _(answers: Answers) -> Won:
    return dict.fromkeys(count(answers), 1.0)


@vote.mistake("Where answers are level nobody wins: split the win between them.")
def _(answers: Answers) -> Won:
    return count(answers) if len(count(answers)) == 1 else {}


@vote.mistake("These are shares of the votes: the most frequent answer has all of the win.")
def _(answers: Answers) -> Won:
    counts = counted(answers)
    return {each: n / counts.total() for each, n in counts.items()}


@vote.mistake("These are counts: the parts of the win are asked for.")
def _(answers: Answers) -> Won:
    return dict(counted(answers))


@vote.mistake("Only an answer with more than half of the votes wins: here the most frequent one does.")
def _(answers: Answers) -> Won:
    counts = counted(answers)
    return {each: 1.0 for each, n in counts.items() if 2 * n > counts.total()}


@vote.mistake("The winners are returned without their parts of the win.")
def _(answers: Answers) -> list[str]:
    return list(count(answers))


@vote.mistake("Answers that lost stand in the result too, with 0: only winners do.")
def _(answers: Answers) -> Won:
    return dict.fromkeys(counted(answers), 0.0) | count(answers)


@vote.mistake("The least frequent answer has won.")
def _(answers: Answers) -> Won:
    counts = counted(answers)
    least = [each for each, n in counts.items() if n == min(counts.values())]
    return {each: 1 / len(least) for each in least}


@vote.mistake("The win is divided by the number of votes: divide it by the number of winners.")
def _(answers: Answers) -> Won:
    return {each: 1 / counted(answers)[each] for each in count(answers)}


# two_answers: p, k -> how likely the right one wins

Worth = Callable[[int, int], float]


def draw_vote(rng: random.Random) -> tuple[float, int]:
    """A probability and a number of votes, odd and even."""
    return round(rng.uniform(0.2, 0.8), 2), rng.randint(1, 12)


def split(v: int, k: int) -> float:
    return 1.0 if 2 * v > k else 0.5 if 2 * v == k else 0.0


def summed(p: float, k: int, worth: Worth = split, chance: Callable[[int, int], float] | None = None) -> float:
    """The sum over v right votes."""
    ways = chance or (lambda v, k: comb(k, v) * p**v * (1 - p) ** (k - v))
    return sum(worth(v, k) * ways(v, k) for v in range(k + 1))


two_answers = Exercise(
    "reasoning.self_consistency.two_answers", stars=2, minutes=10, reference=summed, draw=draw_vote,
    edges=[(0.6, 1), (0.6, 2), (0.5, 10), (1.0, 3), (0.0, 4)], section="Two answers",
)  # fmt: skip
two_answers.mistake(
    "Ties are counted as wins: a tie counts one half.",
    lambda p, k: summed(p, k, lambda v, k: float(2 * v >= k)),
)
two_answers.mistake(
    "Ties are counted as losses: a tie counts one half.", lambda p, k: summed(p, k, lambda v, k: float(2 * v > k))
)
two_answers.mistake(
    "The number of ways to choose v of k votes is missing.",
    lambda p, k: summed(p, k, chance=lambda v, k: p**v * (1 - p) ** (k - v)),
)
two_answers.mistake(
    "The wrong votes are missing: k − v of them, each with probability 1 − p.",
    lambda p, k: summed(p, k, chance=lambda v, k: comb(k, v) * p**v),
)
two_answers.mistake("The wrong answer's chance to win is returned.", lambda p, k: 1 - summed(p, k))
two_answers.mistake(
    "One right answer is enough here: that is pass@k, and a vote needs the most.", lambda p, k: 1 - (1 - p) ** k
)
two_answers.mistake(
    "Only the case in which all votes are right is counted.", lambda p, k: summed(p, k, lambda v, k: float(v == k))
)
two_answers.mistake(
    "The sum ends before k: the case in which all votes are right is missing.",
    lambda p, k: summed(p, k, lambda v, k: split(v, k) if v < k else 0.0),
)
two_answers.mistake(
    "Only the smallest majority is counted: add up all that are larger.",
    lambda p, k: summed(p, k, lambda v, k: split(v, k) if v <= k // 2 + 1 else 0.0),
)
two_answers.mistake("This is the chance of one answer: k votes are counted.", lambda p, k: p)
two_answers.mistake("This is the share of right votes that is expected, k p.", lambda p, k: k * p)
two_answers.mistake(
    "One vote more than a majority is asked for.", lambda p, k: summed(p, k, lambda v, k: split(v - 1, k))
)
