"""Exercises on pictures of one's own: groups of near copies, and which of the drawn pictures are copies.

Practised in book/5-from-noise-to-images/14_your_own_pictures.md; the module is insideout/data/pictures/by_content.py.
Shapes: N pictures, M to learn from, K held out, D numbers each.
"""

import random
from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor

from insideout.exercises.catalogue import Exercise
from insideout.exercises.drawing import tensor, two_digits

# groups: small, alike -> for each picture the first row of its group


def draw_thumbnails(rng: random.Random, N: int = 8) -> tuple[Tensor, float]:
    """Rows along one line, shuffled: some a little nearer than `alike` to the next, some a little farther, some far."""
    alike = two_digits(rng.uniform(0.3, 0.6))
    places = [0.0]
    for _ in range(N - 1):
        places.append(places[-1] + alike * rng.choice((0.45, 0.7, 0.7, 0.92, 0.92, 1.1, 1.6, 1.9, 9)))
    rng.shuffle(places)
    along = torch.tensor([1.0, 1.0, 1.0, 0.0])
    return torch.tensor(places)[:, None] * along / along.square().mean().sqrt() + tensor(rng, 4), alike


def apart(small: Tensor) -> Tensor:
    """(N, N)"""
    return (small[:, None] - small).square().mean(-1).sqrt()


def linked(near: Tensor) -> list[int]:
    """The first row of each one's group, from who is near whom."""
    number = list(range(len(near)))
    for _ in number:
        for a, b in near.nonzero().tolist():
            number[a] = number[b] = min(number[a], number[b])
    return number


def grouped(small: Tensor, alike: float) -> list[int]:
    return linked(apart(small) < alike)


groups = Exercise(
    "images.your_own_pictures.groups", stars=3, minutes=20, reference=grouped, draw=draw_thumbnails,
    section="Near copies",
)  # fmt: skip


def greedy(small: Tensor, alike: float, with_all: bool) -> list[int]:
    """Each row joins the first group that is there and fits; groups are never joined."""
    number: list[int] = []
    near = apart(small) < alike
    for row in range(len(small)):
        others = [b for b in range(row) if near[row, b] and (with_all or number[b] == b)]
        number.append(number[others[0]] if others else row)
    return number


def in_order(number: list[int]) -> list[int]:
    """Numbered from 0 in the order in which the groups appear."""
    seen = list(dict.fromkeys(number))
    return [seen.index(each) for each in number]


def only_next(small: Tensor, alike: float) -> list[int]:
    """Each row is compared with the one before it alone."""
    near, rows = apart(small) < alike, torch.arange(len(small))
    return linked(near & ((rows[:, None] - rows).abs() <= 1))


GROUP_MISTAKES: list[tuple[str, Callable[[Tensor, float], Any]]] = [
    ("Only what is near directly is taken together: what is near to a near one belongs to the group too.",
     lambda x, alike: [int(row.nonzero()[0]) for row in apart(x) < alike]),
    ("A row is compared with the first one of each group alone: any of its members may be near.",
     lambda x, alike: greedy(x, alike, False)),
    ("Two groups stay apart although a later row is near to both: it joins them.",
     lambda x, alike: greedy(x, alike, True)),
    ("The squares are added up: take their mean, so that the limit does not depend on how many numbers there are.",
     lambda x, alike: linked(2 * apart(x) < alike)),
    ("The root is missing: the mean square is held against the limit.",
     lambda x, alike: linked(apart(x).square() < alike)),
    ("The mean of the absolute differences was taken: the root of the mean square is asked for.",
     lambda x, alike: linked((x[:, None] - x).abs().mean(-1) < alike)),
    ("The largest difference was taken: the root of the mean square is asked for.",
     lambda x, alike: linked((x[:, None] - x).abs().amax(-1) < alike)),
    ("The groups are numbered in order: give the number of each group's first row.",
     lambda x, alike: in_order(grouped(x, alike))),
    ("This is the last row of each group: the first is asked for.",
     lambda x, alike: [len(x) - 1 - each for each in grouped(x.flip(0), alike)][::-1]),
    ("No rows are taken together.", lambda x, alike: list(range(len(x)))),
    ("All rows are in one group.", lambda x, alike: [0] * len(x)),
    ("Only rows that follow each other are compared: the order of the files means nothing.", only_next),
    ("These are the sizes of the groups: give the first row of each.",
     lambda x, alike: [grouped(x, alike).count(each) for each in grouped(x, alike)]),
    ("The rows are counted from 1: the first one is row 0.", lambda x, alike: [1 + each for each in grouped(x, alike)]),
    ("The last row is left by itself.",
     lambda x, alike: [*grouped(x[:-1], alike), len(x) - 1]),
    ("The limit is doubled: two circles of that radius touch, and the pictures are not near.",
     lambda x, alike: linked(apart(x) < 2.1 * alike)),
]  # fmt: skip
for diagnosis, grouping in GROUP_MISTAKES:
    groups.mistake(diagnosis, grouping)

# copies: drawn, train, held_out -> which of the drawn are nearer to training pictures than 95% of the held-out


def draw_sets(rng: random.Random, N: int = 16, M: int = 6, K: int = 14) -> tuple[Tensor, Tensor, Tensor]:
    """Drawn pictures, some of them near to one that was learned from and some farther out; M and K others."""
    train = tensor(rng, M, 3)
    near = torch.tensor([rng.choice((0.1, 0.5, 1.0, 2.0)) for _ in range(N)])[:, None]
    drawn = train[[rng.randrange(M) for _ in range(N)]] + near * tensor(rng, N, 3)
    return drawn, train, 1.2 * tensor(rng, K, 3)


def nearest(x: Tensor, among: Tensor) -> Tensor:
    """(N, D), (M, D) -> (N,)"""
    return torch.cdist(x, among, compute_mode="donot_use_mm_for_euclid_dist").amin(1)


def copied(drawn: Tensor, train: Tensor, held_out: Tensor, share: float = 0.05) -> Tensor:
    return nearest(drawn, train) < torch.quantile(nearest(held_out, train), share)


def by(reduce: Callable[[Tensor], Tensor], norm: float = 2.0) -> Callable[[Tensor, Tensor, Tensor], Tensor]:
    """The same rule with another distance from a set."""

    def answer(drawn: Tensor, train: Tensor, held_out: Tensor) -> Tensor:
        own, theirs = (reduce(torch.cdist(x, train, p=norm)) for x in (drawn, held_out))
        return own < torch.quantile(theirs, 0.05)

    return answer


copies = Exercise(
    "images.your_own_pictures.copies", stars=2, minutes=12, reference=copied, draw=draw_sets,
    section="Is it copying?",
)  # fmt: skip
COPY_MISTAKES: list[tuple[str, Callable[[Tensor, Tensor, Tensor], Any]]] = [
    ("The limit is the median of the held-out distances: it is what 5% of them stay below.",
     lambda d, t, h: copied(d, t, h, 0.5)),
    ("The limit is the quantile 0.95: that calls nearly everything a copy.", lambda d, t, h: copied(d, t, h, 0.95)),
    ("The limit is the mean of the held-out distances.", lambda d, t, h: nearest(d, t) < nearest(h, t).mean()),
    ("The limit is the smallest of the held-out distances: it is what 5% of them stay below.",
     lambda d, t, h: nearest(d, t) < nearest(h, t).min()),
    ("These are the ones that are no copies.", lambda d, t, h: ~copied(d, t, h)),
    ("The mean distance from all training pictures was taken: a copy is near to one.", by(lambda x: x.mean(1))),
    ("The farthest training picture was taken: take the nearest.", by(lambda x: x.amax(1))),
    ("The median distance was taken: take the nearest.", by(lambda x: x.median(1).values)),
    ("The drawn are held against the held-out pictures: copies are of the training pictures.",
     lambda d, t, h: nearest(d, h) < torch.quantile(nearest(h, t), 0.05)),
    ("The limit is a quantile of the drawn pictures' own distances: then always 5% are copies.",
     lambda d, t, h: nearest(d, t) < torch.quantile(nearest(d, t), 0.05)),
    ("The limit comes from how far the drawn are from the held-out.",
     lambda d, t, h: nearest(d, t) < torch.quantile(nearest(d, h), 0.05)),
    ("The held-out distances are from the drawn pictures: both are from the training pictures.",
     lambda d, t, h: nearest(d, t) < torch.quantile(nearest(h, d), 0.05)),
    ("These are the training pictures that were copied: one answer for each drawn picture is asked for.",
     lambda d, t, h: nearest(t, d) < torch.quantile(nearest(t, h), 0.05)),
    ("These are the held-out pictures: one answer for each drawn picture is asked for.",
     lambda d, t, h: nearest(h, t) < torch.quantile(nearest(d, t), 0.05)),
    ("This is the share of copies: say for each picture whether it is one.",
     lambda d, t, h: copied(d, t, h).double().mean()),
    ("These are the distances: hold them against the limit.", lambda d, t, h: nearest(d, t)),
    ("Nothing is ever a copy.", lambda d, t, h: torch.zeros(len(d), dtype=torch.bool)),
    ("One of the distances is squared and the other is not.",
     lambda d, t, h: nearest(d, t).square() < torch.quantile(nearest(h, t), 0.05)),
]  # fmt: skip
for diagnosis, answer in COPY_MISTAKES:
    copies.mistake(diagnosis, answer)
