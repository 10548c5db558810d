"""Exercises on class conditioning: labels that are dropped, and what a model of two facts gets to see.

Practised in book/5-from-noise-to-images/06_class_conditioning.md; the module is insideout/images/conditions.py.
Shapes: B pictures.
"""

import random
from collections.abc import Callable

import torch
from torch import Tensor

from insideout.exercises.catalogue import Exercise

# drop

Coins = tuple[Tensor, int, float, Tensor]


def draw_coins(rng: random.Random, B: int = 6) -> Coins:
    """Labels, the null label, a share, and a number for each picture, one of them exactly the share."""
    null = rng.choice([5, 10])
    u = [rng.random() for _ in range(B)]
    share = rng.choice([0.1, 0.3, 0.5, sorted(u)[B // 2]])
    return torch.tensor([rng.randrange(null) for _ in range(B)]), null, share, torch.tensor(u, dtype=torch.float64)


def kept(labels: Tensor, null: int, share: float, u: Tensor) -> Tensor:
    return torch.where(u < share, null, labels)


FOUR, SOME = torch.tensor([3, 0, 1, 2]), torch.tensor([0.0, 0.2, 0.6, 0.95], dtype=torch.float64)
drop = Exercise(
    "images.class_conditioning.drop", stars=1, minutes=6, reference=kept, draw=draw_coins, tolerance=0,
    edges=[(FOUR, 4, 0.0, SOME), (FOUR, 4, 1.0, SOME), (FOUR, 4, 0.2, SOME)], section="A coin for every picture",
)  # fmt: skip


DROP_MISTAKES: list[tuple[str, Callable[[Tensor, int, float, Tensor], Tensor]]] = [
    ("Those above are dropped: it is those below the share.", lambda y, n, s, u: torch.where(u > s, n, y)),
    ("The others are dropped.", lambda y, n, s, u: torch.where(u < s, y, n)),
    ("At the border: a number that is the share itself is not below it.", lambda y, n, s, u: torch.where(u <= s, n, y)),
    ("One coin is thrown for all: each picture has its own.", lambda y, n, s, u: torch.where(u[0] < s, n, y)),
    ("The mean of the numbers decides for all.", lambda y, n, s, u: torch.where(u.mean() < s, n, y)),
    ("Dropped labels become 0, which is a class.", lambda y, n, s, u: torch.where(u < s, 0, y)),
    ("Dropped labels become −1: it must be the null label.", lambda y, n, s, u: torch.where(u < s, -1, y)),
    ("Dropped pictures are left out: all must come back.", lambda y, n, s, u: y[u >= s]),
    ("Nothing is dropped.", lambda y, n, s, u: y.clone()),
    ("Everything is dropped.", lambda y, n, s, u: torch.full_like(y, n)),
    ("The null label is off by one.", lambda y, n, s, u: torch.where(u < s, n - 1, y)),
    (
        "A fixed number is dropped, the smallest: each picture's coin is its own.",
        lambda y, n, s, u: torch.where(u.argsort().argsort() < round(s * len(u)), n, y),
    ),
    (
        "The first ones are dropped, whatever their numbers.",
        lambda y, n, s, u: torch.where(torch.arange(len(y)) < s * len(y), n, y),
    ),
]
for diagnosis, made in DROP_MISTAKES:
    drop.mistake(diagnosis, made)

# seen

Four = tuple[float, float, float, float]


def draw_chances(rng: random.Random) -> tuple[float, float, float]:
    return round(rng.uniform(0.05, 0.4), 2), round(rng.uniform(0.05, 0.45), 2), round(rng.uniform(0.5, 0.9), 2)


def four(both: float, p: float, q: float) -> Four:
    left = 1 - both
    return left * (1 - p) * (1 - q), left * (1 - p) * q, left * p * (1 - q), both + left * p * q


seen = Exercise(
    "images.class_conditioning.seen", stars=2, minutes=10, reference=four, draw=draw_chances,
    edges=[(0.0, 0.1, 0.1), (0.1, 0.0, 0.0), (1.0, 0.3, 0.6)], section="Two facts, two coins",
)  # fmt: skip


def swapped(a: float, b: float, c: float, d: float) -> Four:
    return a, c, b, d


SEEN_MISTAKES: list[tuple[str, Callable[[float, float, float], Four]]] = [
    ("The coin that drops both is left out.", lambda b, p, q: four(0, p, q)),
    (
        "“Only the class” and “only the text” have changed places: the class is seen where the text is dropped.",
        lambda b, p, q: swapped(*four(b, p, q)),
    ),
    ("Dropped and seen have changed places.", lambda b, p, q: four(b, p, q)[::-1]),
    (
        "The two single coins are thrown only where the coin for both did not fall: multiply them by 1 − both.",
        lambda b, p, q: ((1 - p) * (1 - q), (1 - p) * q, p * (1 - q), b + p * q),
    ),
    (
        "They don't sum to 1: what both drops is missing from “neither”.",
        lambda b, p, q: (*four(b, p, q)[:3], (1 - b) * p * q),
    ),
    (
        "Neither: pictures that both single coins drop are missing.",
        lambda b, p, q: (*four(b, p, q)[:3], b),
    ),
    (
        "“Both seen” is not 1 − p − q: the coins may fall together.",
        lambda b, p, q: ((1 - b) * (1 - p - q), *four(b, p, q)[1:]),
    ),
    (
        "“Only the class” needs the class kept as well: (1 − p) q.",
        lambda b, p, q: (four(b, p, q)[0], (1 - b) * q, (1 - b) * p, four(b, p, q)[3]),
    ),
    (
        "The single coins are one coin here: each has its own.",
        lambda b, p, q: ((1 - b) * (1 - max(p, q)), (1 - b) * (q - p), 0.0, b + (1 - b) * p),
    ),
    ("One coin more: “both” is thrown twice.", lambda b, p, q: four(1 - (1 - b) ** 2, p, q)),
    ("The chances of the single coins are those of keeping, not of dropping.", lambda b, p, q: four(b, 1 - p, 1 - q)),
    ("The chance for both is that of keeping them.", lambda b, p, q: four(1 - b, p, q)),
    (
        "1 − both stands at “neither” alone: it belongs to all where the coin for both did not fall.",
        lambda b, p, q: ((1 - p) * (1 - q), (1 - p) * q, p * (1 - q), b + (1 - b) * p * q),
    ),
]
for diagnosis, wrong in SEEN_MISTAKES:
    seen.mistake(diagnosis, wrong)
