"""Exercises on guidance: a guided step, and the tilted distribution that guidance does not sample from.

Practised in book/5-from-noise-to-images/07_guidance.md; the module is insideout/images/guidance.py. Shapes: K places,
Y classes.
"""

import random
from collections.abc import Callable

import torch
from torch import Tensor

from insideout.exercises.catalogue import Exercise
from insideout.exercises.drawing import distributions, tensor

Interval = tuple[float, float]
Step = tuple[Tensor, Tensor, float, float, Interval]

# guided


def draw_step(rng: random.Random) -> Step:
    """Two velocities, a weight, and a time within the interval or outside of it."""
    low, high = sorted((round(rng.uniform(0.1, 0.45), 2), round(rng.uniform(0.55, 0.9), 2)))
    t = rng.choice([low, high, 0.5, round(rng.uniform(0, 0.1), 2), round(rng.uniform(0.9, 1), 2)])
    return tensor(rng, 2, 3), tensor(rng, 2, 3), rng.choice([0.0, 0.5, 1.0, 2.0, 3.5]), t, (low, high)


def along(v_c: Tensor, v_u: Tensor, w: float, t: float, interval: Interval) -> Tensor:
    low, high = interval
    if w == 1 or not low <= t <= high:
        return v_c
    return v_u if w == 0 else v_u + w * (v_c - v_u)


A, B = (torch.tensor([[0.1, 0.2, 0.3]], dtype=torch.float64), torch.tensor([[0.7, -0.1, 1e3]], dtype=torch.float64))
guided = Exercise(
    "images.guidance.guided", stars=1, minutes=8, reference=along, draw=draw_step, tolerance=0,
    edges=[(A, B, 1.0, 0.5, (0.2, 0.8)), (A, B, 0.0, 0.5, (0.2, 0.8)), (A, B, 3.0, 0.2, (0.2, 0.8)),
           (A, B, 3.0, 0.8, (0.2, 0.8)), (A, B, 3.0, 0.1, (0.2, 0.8)), (A, B, 0.0, 0.9, (0.2, 0.8))],
    section="In the solver",
)  # fmt: skip


def inside(t: float, interval: Interval) -> bool:
    return interval[0] <= t <= interval[1]


GUIDED_MISTAKES: list[tuple[str, Callable[[Tensor, Tensor, float, float, Interval], Tensor]]] = [
    (
        "The weight is counted from the conditional, as in the paper: 1 would be some guidance, and 0 none.",
        lambda c, u, w, t, i: c + w * (c - u) if inside(t, i) else c,
    ),
    (
        "The two have changed places: w = 1 must be the conditional.",
        lambda c, u, w, t, i: along(u, c, w, t, i) if inside(t, i) else c,
    ),
    ("The difference has the wrong sign.", lambda c, u, w, t, i: u + w * (u - c) if inside(t, i) else c),
    (
        "It begins at the conditional: v_u + w (v_c − v_u).",
        lambda c, u, w, t, i: c + (w - 1) * (u - c) if inside(t, i) else c,
    ),
    ("The interval is not looked at.", lambda c, u, w, t, i: along(c, u, w, 0.5, (0.0, 1.0))),
    (
        "Outside of the interval the conditional velocity holds, not the unconditional.",
        lambda c, u, w, t, i: along(c, u, w, t, i) if inside(t, i) else u,
    ),
    (
        "It is guided outside of the interval, and not within.",
        lambda c, u, w, t, i: c if inside(t, i) else along(c, u, w, 0.5, (0.0, 1.0)),
    ),
    (
        "The ends belong to the interval.",
        lambda c, u, w, t, i: along(c, u, w, t, i) if i[0] < t < i[1] else c,
    ),
    ("Only the lower end is looked at.", lambda c, u, w, t, i: along(c, u, w, 0.5, (0.0, 1.0)) if t >= i[0] else c),
    ("Only the upper end is looked at.", lambda c, u, w, t, i: along(c, u, w, 0.5, (0.0, 1.0)) if t <= i[1] else c),
    ("The weight is not used.", lambda c, u, w, t, i: c),
    (
        "A weight below 1 is taken for none: it lies between the two.",
        lambda c, u, w, t, i: along(c, u, max(w, 1.0), t, i),
    ),
    (
        "w times the conditional alone: the unconditional is missing.",
        lambda c, u, w, t, i: w * c if inside(t, i) else c,
    ),
    (
        "The weights are w and 1: they must sum to 1.",
        lambda c, u, w, t, i: w * c + u if inside(t, i) else c,
    ),
    (
        "Nothing is added to the difference: v_u in front is missing.",
        lambda c, u, w, t, i: w * (c - u) if inside(t, i) else c,
    ),
    (
        "At w = 1, or w = 0, it is right but for rounding: return the tensor itself.",
        lambda c, u, w, t, i: u + w * (c - u) if inside(t, i) else c,
    ),
]
for diagnosis, made in GUIDED_MISTAKES:
    guided.mistake(diagnosis, made)

# tilted

Classes = tuple[Tensor, Tensor, int, float]


def draw_classes(rng: random.Random, Y: int = 2, K: int = 2) -> Classes:
    """A distribution for each class, how frequent each is, a class and a weight other than 0 and 1."""
    p = torch.tensor(distributions(rng, Y, K), dtype=torch.float64)
    prior = torch.tensor(distributions(rng, 1, Y)[0], dtype=torch.float64)
    return p, prior, rng.randrange(Y), rng.choice([0.5, 2.0, 3.0, 5.0])


def tilt(p: Tensor, prior: Tensor, y: int, w: float) -> Tensor:
    joint = prior[:, None] * p
    whole = joint.sum(0)
    return normal(whole * (joint[y] / whole) ** w)


def normal(found: Tensor) -> Tensor:
    return found / found.sum()


Made = Callable[[Tensor, Tensor, int, float], Tensor]
tilted = Exercise(
    "images.guidance.tilted", stars=2, minutes=12, reference=tilt, draw=draw_classes,
    edges=[(torch.tensor([[0.5, 0.5, 0.0], [0.0, 0.5, 0.5]]).double(), torch.tensor([0.25, 0.75]).double(), 0, 2.0)],
    section="What guided samples are not",
)  # fmt: skip
TILTED_MISTAKES: list[tuple[str, Made]] = [
    ("This is p(x | y): the power of w is missing, or a factor w stands for it.", lambda p, prior, y, w: p[y]),
    ("This is p(x): the class is not used.", lambda p, prior, y, w: (prior[:, None] * p).sum(0)),
    (
        "It does not sum to 1.",
        lambda p, prior, y, w: (prior @ p) * (prior[y] * p[y] / (prior @ p)) ** w,
    ),
    (
        "p(x) is missing in front of p(y | x)^w.",
        lambda p, prior, y, w: normal((prior[y] * p[y] / (prior @ p)) ** w),
    ),
    (
        "p(x | y)^w stands for p(y | x)^w: turn it round by Bayes.",
        lambda p, prior, y, w: normal((prior @ p) * p[y] ** w),
    ),
    (
        "The classes are taken to be equally frequent: weigh them by the prior.",
        lambda p, prior, y, w: normal(p.mean(0) * (p[y] / p.sum(0)) ** w),
    ),
    (
        "p(y | x) is counted w + 1 times: p(x | y) in front holds one already, as in the other convention.",
        lambda p, prior, y, w: normal(p[y] * (prior[y] * p[y] / (prior @ p)) ** w),
    ),
    ("p(x) is raised to w as well.", lambda p, prior, y, w: normal((prior[y] * p[y]) ** w)),
    (
        "The weight is 1 too small, the other convention's.",
        lambda p, prior, y, w: normal((prior @ p) * (prior[y] * p[y] / (prior @ p)) ** (w - 1)),
    ),
    (
        "The weights are mixed, not the logarithms: this is p(x) + w (p(x | y) − p(x)).",
        lambda p, prior, y, w: (prior @ p) + w * (p[y] - prior @ p),
    ),
    (
        "It is divided by the largest: it must sum to 1.",
        lambda p, prior, y, w: tilt(p, prior, y, w) / tilt(p, prior, y, w).max(),
    ),
    (
        "A softmax of it is taken: divide by the sum.",
        lambda p, prior, y, w: ((prior @ p) * (prior[y] * p[y] / (prior @ p)) ** w).softmax(0),
    ),
]
for diagnosis, wrong in TILTED_MISTAKES:
    tilted.mistake(diagnosis, wrong)
