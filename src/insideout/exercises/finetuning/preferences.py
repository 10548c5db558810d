"""Exercises on preferences: the ceiling of an accuracy, and whether an annotator likes length.

Practised in book/3-fine-tuning-a-transformer/06_preferences.md; the module is insideout/data/town/preferences.py.
Shapes: P pairs.
"""

import random
from collections.abc import Callable

import torch
from torch import Tensor

from insideout.exercises.catalogue import Exercise
from insideout.exercises.drawing import tensor

# ceiling: one, two, sharpness -> the mean of max(p, 1 - p)


def draw_worths(rng: random.Random, P: int = 3) -> tuple[Tensor, Tensor, float]:
    """The worths of two answers each, and a sharpness other than 1."""
    return tensor(rng, P), tensor(rng, P), rng.choice([0.3, 0.5, 2.0, 3.0])


def best_accuracy(one: Tensor, two: Tensor, sharpness: float) -> Tensor:
    return (sharpness * (one - two)).abs().sigmoid().mean()


def chance(one: Tensor, two: Tensor, sharpness: float) -> Tensor:
    return (sharpness * (one - two)).sigmoid()


ceiling = Exercise(
    "finetuning.preferences.ceiling", stars=1, minutes=8, reference=best_accuracy, draw=draw_worths,
    edges=[(torch.tensor([1.0, 2.0], dtype=torch.float64), torch.tensor([1.0, -2.0], dtype=torch.float64), 1.0)],
    section="How right can anyone be?",
)  # fmt: skip
CEILING_MISTAKES: list[tuple[str, Callable[[Tensor, Tensor, float], Tensor]]] = [
    (
        "This is how often the first answer is preferred: the judge says whichever is likelier.",
        lambda a, b, s: chance(a, b, s).mean(),
    ),
    ("The sharpness is not used.", lambda a, b, s: best_accuracy(a, b, 1.0)),
    ("The gap is divided by the sharpness: it is multiplied.", lambda a, b, s: best_accuracy(a, b, 1 / s)),
    (
        "This is how often a second annotator agrees, p² + (1 − p)²: the judge does not throw a coin.",
        lambda a, b, s: (chance(a, b, s).square() + (1 - chance(a, b, s)).square()).mean(),
    ),
    (
        "The smaller of p and 1 − p is taken: that is how often the judge is wrong.",
        lambda a, b, s: 1 - best_accuracy(a, b, s),
    ),
    (
        "The mean is taken before the larger of p and 1 − p: each pair has its own.",
        lambda a, b, s: torch.maximum(chance(a, b, s).mean(), 1 - chance(a, b, s).mean()),
    ),
    ("The gaps are averaged before the sigmoid.", lambda a, b, s: (s * (a - b)).abs().mean().sigmoid()),
    ("One number is asked for: take the mean over the pairs.", lambda a, b, s: (s * (a - b)).abs().sigmoid()),
    ("This is the sum over the pairs: the mean is asked for.", lambda a, b, s: best_accuracy(a, b, s) * len(a)),
    ("The worths are added: only their difference counts.", lambda a, b, s: best_accuracy(a, -b, s)),
    ("This is a share in percent.", lambda a, b, s: 100 * best_accuracy(a, b, s)),
    (
        "This is the mean log-probability of the right choice: the probability is asked for.",
        lambda a, b, s: (s * (a - b)).abs().sigmoid().log().mean(),
    ),
    ("This is the mean gap.", lambda a, b, s: (s * (a - b)).abs().mean()),
    (
        "The annotator is taken to make no errors: pairs of equal worth alone would be open.",
        lambda a, b, s: ((a != b).double() + 0.5 * (a == b).double()).mean(),
    ),
]  # fmt: skip
for diagnosis, made in CEILING_MISTAKES:
    ceiling.mistake(diagnosis, made)

# length_test: chosen, rejected -> standard deviations from a fair coin


def draw_lengths(rng: random.Random, P: int = 6) -> tuple[Tensor, Tensor]:
    """Lengths in words, some of them equal, with more often the longer or the shorter one chosen."""
    lean = rng.choice([0, 2, -2])
    chosen = torch.tensor([float(rng.randint(3, 9)) for _ in range(P)], dtype=torch.float64)
    rejected = torch.tensor([float(rng.randint(3, 9) - lean) for _ in range(P)], dtype=torch.float64)
    rejected[: max(1, P // 4)] = chosen[: max(1, P // 4)]
    return chosen, rejected


def counts(chosen: Tensor, rejected: Tensor) -> tuple[float, float]:
    """How often the longer was chosen, and in how many pairs one is longer."""
    return float((chosen > rejected).sum()), float((chosen != rejected).sum())


def z(hits: float, n: float) -> float:
    return (hits - n / 2) / (n**0.5 / 2) if n else 0.0


def z_score(chosen: Tensor, rejected: Tensor) -> float:
    return z(*counts(chosen, rejected))


def at_least_as_long(chosen: Tensor, rejected: Tensor) -> float:
    return float((chosen >= rejected).sum())


length_test = Exercise(
    "finetuning.preferences.length_test", stars=2, minutes=10, reference=z_score, draw=draw_lengths,
    edges=[(torch.tensor([3.0, 4.0], dtype=torch.float64), torch.tensor([3.0, 4.0], dtype=torch.float64)),
           (torch.tensor([9.0, 8.0, 7.0, 6.0, 2.0, 5.0], dtype=torch.float64),
            torch.tensor([3.0, 3.0, 3.0, 3.0, 3.0, 5.0], dtype=torch.float64))],
    section="Measure it: an audit",
)  # fmt: skip
LENGTH_MISTAKES: list[tuple[str, Callable[[Tensor, Tensor], float]]] = [
    ("Pairs of equal length are counted as throws: they are none.", lambda c, r: z(counts(c, r)[0], len(c))),
    ("Pairs of equal length are counted as longer.", lambda c, r: z(at_least_as_long(c, r), len(c))),
    (
        "Pairs of equal length are counted as longer, and not as throws.",
        lambda c, r: z(at_least_as_long(c, r), counts(c, r)[1]),
    ),
    ("The sign is wrong: above 0 is for the longer one.", lambda c, r: -z_score(c, r)),
    ("The deviation of a fair coin is √n / 2, not √n.", lambda c, r: z_score(c, r) / 2),
    (
        "The variance, n / 4, is divided by: the deviation is its root.",
        lambda c, r: z_score(c, r) * 2 / max(counts(c, r)[1], 1) ** 0.5,
    ),
    (
        "It is divided by n / 2: the deviation of a coin grows as the root of n.",
        lambda c, r: z_score(c, r) / max(counts(c, r)[1], 1) ** 0.5,
    ),
    ("This is a count: divide by the deviation.", lambda c, r: counts(c, r)[0] - counts(c, r)[1] / 2),
    ("This is a share.", lambda c, r: counts(c, r)[0] / max(counts(c, r)[1], 1)),
    (
        "One half is not taken off: compare with what a coin gives.",
        lambda c, r: counts(c, r)[0] / (max(counts(c, r)[1], 1) ** 0.5 / 2),
    ),
    ("The absolute value is taken: the sign says which way.", lambda c, r: abs(z_score(c, r))),
    ("This is the mean difference in words.", lambda c, r: float((c - r).mean())),
]  # fmt: skip
for said, wrong in LENGTH_MISTAKES:
    length_test.mistake(said, wrong)
