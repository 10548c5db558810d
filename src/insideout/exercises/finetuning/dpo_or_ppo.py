"""Exercises on DPO or PPO: a reward read at an equal KL, and the bill of a round.

Practised in book/3-fine-tuning-a-transformer/16_dpo_or_ppo.md.
"""

import random
from collections.abc import Callable, Sequence
from itertools import pairwise

from insideout.exercises.catalogue import Exercise

# at_equal_kl: kls, rewards, kl -> the reward there, or None

Numbers = Sequence[float]
Reading = Callable[[Numbers, Numbers, float], float | None]


def draw_points(rng: random.Random) -> tuple[list[float], list[float], float]:
    """Four or five points in no order, and a KL between two of them, nearer to the one than to the other."""
    kls = [round(0.2 * each + rng.uniform(0, 0.1), 3) for each in rng.sample(range(1, 15), rng.choice([4, 5]))]
    while kls in (sorted(kls), sorted(kls, reverse=True)):
        rng.shuffle(kls)
    rewards = [round(rng.uniform(-1, 1), 3) for _ in kls]
    low, high = rng.choice(list(pairwise(sorted(kls))))
    return kls, rewards, low + rng.choice([0.2, 0.3, 0.7]) * (high - low)


def points_of(kls: Numbers, rewards: Numbers) -> list[tuple[float, float]]:
    return sorted(zip(kls, rewards, strict=True))


def between(points: Sequence[tuple[float, float]], kl: float) -> float | None:
    for (x0, y0), (x1, y1) in pairwise(points):
        if min(x0, x1) <= kl <= max(x0, x1):
            return y0 + (y1 - y0) * (kl - x0) / (x1 - x0)
    return next((y for x, y in points if x == kl), None)


def read_at(kls: Numbers, rewards: Numbers, kl: float) -> float | None:
    return between(points_of(kls, rewards), kl)


def neighbours(kls: Numbers, rewards: Numbers, kl: float) -> tuple[tuple[float, float], tuple[float, float]] | None:
    """The nearest points below and above, where there are both."""
    points = points_of(kls, rewards)
    below, above = [p for p in points if p[0] <= kl], [p for p in points if p[0] >= kl]
    return (below[-1], above[0]) if below and above else None


def inside(reading: Callable[[tuple[float, float], tuple[float, float], float], float]) -> Reading:
    """Another way to read between two neighbours."""

    def made(kls: Numbers, rewards: Numbers, kl: float) -> float | None:
        found = neighbours(kls, rewards, kl)
        if found is None or found[0] == found[1]:
            return read_at(kls, rewards, kl)
        return reading(*found, kl)

    return made


def extended(kls: Numbers, rewards: Numbers, kl: float) -> float:
    """The nearest stretch, drawn further."""
    points = points_of(kls, rewards)
    if len(points) == 1:
        return points[0][1]
    stretch = next((s for s in pairwise(points) if kl <= s[1][0]), (points[-2], points[-1]))
    (x0, y0), (x1, y1) = stretch
    return y0 + (y1 - y0) * (kl - x0) / (x1 - x0)


def held(kls: Numbers, rewards: Numbers, kl: float) -> float | None:
    """The end points' rewards, beyond them."""
    points = points_of(kls, rewards)
    return points[0][1] if kl < points[0][0] else points[-1][1] if kl > points[-1][0] else read_at(kls, rewards, kl)


def ends_alone(kls: Numbers, rewards: Numbers, kl: float) -> float | None:
    points = points_of(kls, rewards)
    return between([points[0], points[-1]], kl) if len(points) > 1 else read_at(kls, rewards, kl)


def mean_line(kls: Numbers, rewards: Numbers, kl: float) -> float | None:
    """The straight line of least squares."""
    if read_at(kls, rewards, kl) is None or len(kls) < 2:
        return read_at(kls, rewards, kl)
    x, y = sum(kls) / len(kls), sum(rewards) / len(rewards)
    slope = sum((a - x) * (b - y) for a, b in zip(kls, rewards, strict=True)) / sum((a - x) ** 2 for a in kls)
    return y + slope * (kl - x)


at_equal_kl = Exercise(
    "finetuning.dpo_or_ppo.at_equal_kl", stars=2, minutes=12, reference=read_at, draw=draw_points,
    edges=[
        ([1.0, 0.2, 2.0], [0.5, 0.1, 0.7], 0.1), ([1.0, 0.2, 2.0], [0.5, 0.1, 0.7], 2.5),
        ([1.0, 0.2, 2.0], [0.5, 0.1, 0.9], 2.0), ([1.0, 0.2, 2.0], [0.5, 0.1, 0.9], 0.2), ([1.0], [0.5], 1.0),
    ],
    section="At equal KL",
)  # fmt: skip
READING_MISTAKES: list[tuple[str, Reading]] = [
    ("The points are not sorted: neighbours in the list need not be neighbours in KL.",
     lambda x, y, kl: between(list(zip(x, y, strict=True)), kl) if read_at(x, y, kl) is not None else None),
    ("KLs and rewards are sorted apart, so that a reward lands at another's KL.",
     lambda x, y, kl: read_at(sorted(x), sorted(y), kl)),
    ("The KLs are sorted, and the rewards stay where they were.", lambda x, y, kl: read_at(sorted(x), y, kl)),
    ("This is the reward of the nearest point: read the line between two.",
     inside(lambda a, b, kl: a[1] if kl - a[0] <= b[0] - kl else b[1])),
    ("This is the reward of the point below: read the line between two.", inside(lambda a, b, kl: a[1])),
    ("This is the reward of the point above: read the line between two.", inside(lambda a, b, kl: b[1])),
    ("This is the middle of two rewards: how far along `kl` lies counts.", inside(lambda a, b, kl: (a[1] + b[1]) / 2)),
    ("The weights of the two neighbours have changed places: the nearer one counts more.",
     inside(lambda a, b, kl: b[1] + (a[1] - b[1]) * (kl - a[0]) / (b[0] - a[0]))),
    ("Beyond the last point the line is drawn further: nothing is known there.", extended),
    ("Beyond the last point its reward is held: nothing is known there.", held),
    ("Only the first and the last point are joined: take the nearest on each side.", ends_alone),
    ("This is the line that fits all points best: join the two neighbours.", mean_line),
    ("The line is drawn over the square root of KL: over KL itself is asked for.",
     inside(lambda a, b, kl: a[1] + (b[1] - a[1]) * ((kl / a[0]) ** 0.5 - 1) / ((b[0] / a[0]) ** 0.5 - 1))),
    ("It is not divided by how far the two points lie apart.",
     inside(lambda a, b, kl: a[1] + (b[1] - a[1]) * (kl - a[0]))),
    ("The lower point's reward is not added: this is only what was gained since.",
     inside(lambda a, b, kl: (b[1] - a[1]) * (kl - a[0]) / (b[0] - a[0]))),
    ("KL and reward have changed places.", lambda x, y, kl: read_at(y, x, kl) if len(set(y)) == len(y) else None),
]  # fmt: skip
for diagnosis, reading in READING_MISTAKES:
    at_equal_kl.mistake(diagnosis, reading)


# bill: n, write, read, learn, epochs -> (seconds, share of writing)

Bill = Callable[[int, float, float, float, int], object]


def draw_bill(rng: random.Random) -> tuple[int, float, float, float, int]:
    """Several answers, three different times, more than one epoch."""
    return rng.randint(3, 60), rng.uniform(0.5, 3), rng.uniform(0.05, 0.2), rng.uniform(0.2, 0.6), rng.randint(2, 5)


def billed(n: int, write: float, read: float, learn: float, epochs: int) -> tuple[float, float]:
    return summed(n, write, 3 * read, 2 * epochs * learn)


def summed(n: int, write: float, read: float, learn: float) -> tuple[float, float]:
    one = write + read + learn
    return n * one, write / one


bill = Exercise(
    "finetuning.dpo_or_ppo.bill", stars=2, minutes=10, reference=billed, draw=draw_bill,
    edges=[(1, 1.0, 0.25, 0.5, 1), (8, 2.0, 0.0, 0.0, 3)], section="What a step takes",
)  # fmt: skip
BILL_MISTAKES: list[tuple[str, Bill]] = [
    ("Three models read every answer, reference, reward model and critic: this counts one.",
     lambda n, w, r, s, e: summed(n, w, r, 2 * e * s)),
    ("Three models read every answer: this counts two.", lambda n, w, r, s, e: summed(n, w, 2 * r, 2 * e * s)),
    ("Three models read every answer: this counts four.", lambda n, w, r, s, e: summed(n, w, 4 * r, 2 * e * s)),
    ("Reading is missing.", lambda n, w, r, s, e: summed(n, w, 0, 2 * e * s)),
    ("The critic learns too: twice `learn` for every epoch.", lambda n, w, r, s, e: summed(n, w, 3 * r, e * s)),
    ("Answers are learned from `epochs` times.", lambda n, w, r, s, e: summed(n, w, 3 * r, 2 * s)),
    ("Epochs and the two models are added: each model learns in each epoch.",
     lambda n, w, r, s, e: summed(n, w, 3 * r, (2 + e) * s)),
    ("Answers are written once for a round, not in every epoch.",
     lambda n, w, r, s, e: summed(n, e * w, 3 * r, 2 * e * s)),
    ("Answers are read once, not in every epoch.", lambda n, w, r, s, e: summed(n, w, 3 * e * r, 2 * e * s)),
    ("These are the seconds of one answer: there are n.",
     lambda n, w, r, s, e: (billed(n, w, r, s, e)[0] / n, billed(n, w, r, s, e)[1])),
    ("The share is in percent: between 0 and 1 is asked for.",
     lambda n, w, r, s, e: (billed(n, w, r, s, e)[0], 100 * billed(n, w, r, s, e)[1])),
    ("This is the time of writing, not its share.", lambda n, w, r, s, e: (billed(n, w, r, s, e)[0], n * w)),
    ("The share is that of one answer's writing in the whole round: there are n to write.",
     lambda n, w, r, s, e: (billed(n, w, r, s, e)[0], billed(n, w, r, s, e)[1] / n)),
    ("The share is of what is not writing.",
     lambda n, w, r, s, e: (billed(n, w, r, s, e)[0], 1 - billed(n, w, r, s, e)[1])),
    ("This is writing divided by the rest: divide by the whole.",
     lambda n, w, r, s, e: (billed(n, w, r, s, e)[0], w / (3 * r + 2 * e * s) if r or s else 2.0)),
    ("Seconds and share have changed places.", lambda n, w, r, s, e: billed(n, w, r, s, e)[::-1]),
]  # fmt: skip
for diagnosis, made in BILL_MISTAKES:
    bill.mistake(diagnosis, made)
