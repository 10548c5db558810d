"""Exercises on asking a base model: how its answers end, and what it knows without saying it.

Practised in book/3-fine-tuning-a-transformer/00_introduction.md; the module is insideout/recipes/scoreboard.py.
Shapes: N questions, K candidates.
"""

import random
from collections.abc import Callable

from insideout.exercises.catalogue import Exercise

Answers = list[list[int]]

# endings: answers, stop -> the share that ended, the mean number of tokens before the end


def draw_answers(rng: random.Random, N: int) -> tuple[Answers, int]:
    """N answers of one to six ids; most that ended end with the stop, some were cut off."""
    stop = rng.randint(90, 99)
    found = [[rng.randrange(90) for _ in range(rng.randint(1, 5))] for _ in range(N)]
    return [each + [stop] * (rng.random() < 0.6) for each in found], stop


def endings_of(answers: Answers, stop: int) -> tuple[float, float]:
    ended = [each[-1:] == [stop] for each in answers]
    lengths = [len(each) - end for each, end in zip(answers, ended, strict=True)]
    return sum(ended) / len(answers), sum(lengths) / len(answers)


def of_ended(answers: Answers, stop: int) -> tuple[float, float]:
    share, _ = endings_of(answers, stop)
    ended = [len(each) - 1 for each in answers if each[-1:] == [stop]]
    return share, sum(ended) / max(1, len(ended))


def of_cut(answers: Answers, stop: int) -> tuple[float, float]:
    cut = [len(each) for each in answers if each[-1:] != [stop]]
    return endings_of(answers, stop)[0], sum(cut) / max(1, len(cut))


endings = Exercise(
    "finetuning.introduction.endings", stars=1, minutes=8, reference=endings_of, draw=draw_answers, tolerance=1e-9,
    edges=[([[1, 2, 9], [3, 4, 5, 6], [9]], 9), ([[7, 8], [7]], 9), ([[1, 9], [1, 2, 3, 9], [5, 5, 5, 5, 5]], 9)],
    section="What it does instead",
)  # fmt: skip
endings.mistake(
    "The stop is counted as a word of the answer: it says where the answer ends.",
    lambda answers, stop: (endings_of(answers, stop)[0], sum(map(len, answers)) / len(answers)),
)
endings.mistake(
    "One is taken from every length: an answer that was cut off has no stop at its end.",
    lambda answers, stop: (endings_of(answers, stop)[0], sum(map(len, answers)) / len(answers) - 1),
)
endings.mistake("The length is that of the answers that ended: those that were cut off have one too.", of_ended)
endings.mistake("The length is that of the answers that were cut off: those that ended have one too.", of_cut)
endings.mistake(
    "This is the share that was cut off: 1 less it is the share that ended.",
    lambda answers, stop: (1 - endings_of(answers, stop)[0], endings_of(answers, stop)[1]),
)
endings.mistake("The two have changed places: first the share.", lambda answers, stop: endings_of(answers, stop)[::-1])
endings.mistake(
    "This is how many ended: divide by the number of answers.",
    lambda answers, stop: (endings_of(answers, stop)[0] * len(answers), endings_of(answers, stop)[1]),
)
endings.mistake(
    "The share is in percent: give it between 0 and 1.",
    lambda answers, stop: (100 * endings_of(answers, stop)[0], endings_of(answers, stop)[1]),
)
endings.mistake(
    "The lengths are added up: divide by the number of answers.",
    lambda answers, stop: (endings_of(answers, stop)[0], endings_of(answers, stop)[1] * len(answers)),
)
endings.mistake(
    "Each token was counted as an answer: the share is of answers.",
    lambda answers, stop: (
        sum(each.count(stop) for each in answers) / sum(map(len, answers)), endings_of(answers, stop)[1]
    ),
)  # fmt: skip
endings.mistake("Only the share is returned.", lambda answers, stop: endings_of(answers, stop)[0])
endings.mistake("Only the length is returned.", lambda answers, stop: endings_of(answers, stop)[1])

# choice: logprobs, right -> how often the right candidate is the likeliest


def draw_candidates(rng: random.Random, N: int, K: int = 2) -> tuple[list[list[float]], list[int]]:
    """Log-probabilities (N, K), in nats, some of them equal, and the place of the right one, (N,)."""
    logprobs = [[-rng.randint(1, 9) / 2 for _ in range(K)] for _ in range(N)]
    return logprobs, [rng.randrange(K) for _ in range(N)]


def choice_of(logprobs: list[list[float]], right: list[int]) -> float:
    total = 0.0
    for each, place in zip(logprobs, right, strict=True):
        best = [k for k, value in enumerate(each) if value == max(each)]
        total += (place in best) / len(best)
    return total / len(right)


def counted(rule: Callable[[list[float], int], float]) -> Callable[[list[list[float]], list[int]], float]:
    """The share of questions for which rule(candidates, place) holds."""

    def share(logprobs: list[list[float]], right: list[int]) -> float:
        return sum(float(rule(each, place)) for each, place in zip(logprobs, right, strict=True)) / len(right)

    return share


choice = Exercise(
    "finetuning.introduction.choice", stars=2, minutes=10, reference=choice_of, draw=draw_candidates, tolerance=1e-9,
    edges=[([[-1.0, -1.0], [-2.0, -3.0]], [0, 0]), ([[-1.0, -1.0], [-2.0, -3.0]], [1, 1]), ([[-4.0, -4.0, -4.0]], [2]),
           ([[-4.0, -4.0, -5.0]], [2])],
    section="What it knows",
)  # fmt: skip
choice.mistake(
    "The first of equal candidates is taken: where several are likeliest, each has its share.",
    counted(lambda each, place: each.index(max(each)) == place),
)
choice.mistake(
    "The right one counts whole where others are as likely: then a model that gives all the same is always right.",
    counted(lambda each, place: each[place] == max(each)),
)
choice.mistake(
    "Where several are likeliest nothing is counted: each has its share.",
    counted(lambda each, place: each[place] == max(each) and each.count(max(each)) == 1),
)
choice.mistake(
    "The last of equal candidates is taken: where several are likeliest, each has its share.",
    counted(lambda each, place: len(each) - 1 - each[::-1].index(max(each)) == place),
)
choice.mistake(
    "The unlikeliest is taken: log-probabilities are negative, and the largest is the likeliest.",
    counted(lambda each, place: (each[place] == min(each)) / each.count(min(each))),
)
choice.mistake(
    "A tie counts one half, however many are in it: of three that are likeliest, each has a third.",
    counted(lambda each, place: (each[place] == max(each)) * (1.0 if each.count(max(each)) == 1 else 0.5)),
)
choice.mistake(
    "A tie counts 1 / K: only those that are likeliest share it.",
    counted(lambda each, place: (each[place] == max(each)) / (1 if each.count(max(each)) == 1 else len(each))),
)
choice.mistake(
    "These are counts: divide by the number of questions.",
    lambda logprobs, right: choice_of(logprobs, right) * len(right),
)
choice.mistake("This is the share that was wrong.", lambda logprobs, right: 1 - choice_of(logprobs, right))
choice.mistake(
    "The share is in percent: give it between 0 and 1.", lambda logprobs, right: 100 * choice_of(logprobs, right)
)
choice.mistake(
    "This is the mean log-probability of the right one: ask whether it is the likeliest.",
    counted(lambda each, place: each[place]),
)
choice.mistake(
    "The places are counted from 1: here they are counted from 0.",
    lambda logprobs, right: choice_of(logprobs, [each - 1 for each in right]),
)
