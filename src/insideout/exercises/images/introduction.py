"""Exercises on drawing and copying: the distance to the nearest training picture, and the share of copies.

Practised in book/5-from-noise-to-images/00_introduction.md; the module is insideout/images/distances.py.
Shapes: N drawn pictures, K training pictures, M held-out ones, D numbers each.
"""

import random

import torch
from torch import Tensor

from insideout.exercises.catalogue import Exercise
from insideout.exercises.drawing import tensor

# nearest: drawn, train -> the distance of each to the nearest


def draw_pictures(rng: random.Random, N: int, K: int = 2, D: int = 2) -> tuple[Tensor, Tensor]:
    """N drawn and K training pictures of D numbers."""
    return tensor(rng, N, D), tensor(rng, K, D)


def all_distances(drawn: Tensor, train: Tensor) -> Tensor:
    return (drawn[:, None] - train).square().sum(-1).sqrt()


def to_nearest(drawn: Tensor, train: Tensor) -> Tensor:
    return all_distances(drawn, train).min(1).values


nearest = Exercise(
    "images.introduction.nearest", stars=1, minutes=6, reference=to_nearest, draw=draw_pictures,
    section="Measure it: how near, and how new?",
)  # fmt: skip
nearest.mistake(
    "The root is missing: this is the squared distance.", lambda drawn, train: to_nearest(drawn, train) ** 2
)
nearest.mistake(
    "This is the farthest, not the nearest.", lambda drawn, train: all_distances(drawn, train).max(1).values
)
nearest.mistake("This is the mean distance to all of them.", lambda drawn, train: all_distances(drawn, train).mean(1))
nearest.mistake(
    "This is one number a training picture: for each drawn one its nearest is asked for.",
    lambda drawn, train: all_distances(drawn, train).min(0).values,
)
nearest.mistake(
    "This is which one is nearest: its distance is asked for.",
    lambda drawn, train: all_distances(drawn, train).argmin(1),
)
nearest.mistake("This is the table of all distances: take the least of each row.", all_distances)
nearest.mistake(
    "This is the least distance of all: each drawn picture has its own.",
    lambda drawn, train: all_distances(drawn, train).min(),
)
nearest.mistake(
    "The absolute differences are added: the distance is the root of the sum of squares.",
    lambda drawn, train: (drawn[:, None] - train).abs().sum(-1).min(1).values,
)
nearest.mistake(
    "The mean over the numbers of a picture is taken: the distance has their sum under the root.",
    lambda drawn, train: (drawn[:, None] - train).square().mean(-1).sqrt().min(1).values,
)
nearest.mistake(
    "The largest difference of a pixel is taken: the distance has the sum of squares.",
    lambda drawn, train: (drawn[:, None] - train).abs().amax(-1).min(1).values,
)
nearest.mistake(
    "The least difference is taken for each number by itself: one training picture must be near in all of them.",
    lambda drawn, train: (drawn[:, None] - train).square().min(1).values.sum(-1).sqrt(),
)
nearest.mistake("This is the distance to the mean picture.", lambda drawn, train: (drawn - train.mean(0)).norm(dim=1))
nearest.mistake(
    "Lengths are compared, not pictures.",
    lambda drawn, train: (drawn.norm(dim=1)[:, None] - train.norm(dim=1)).abs().min(1).values,
)

# copies: drawn, train, held_out -> the share nearer than every held-out one


def draw_three(rng: random.Random, N: int, K: int = 3, M: int = 2) -> tuple[Tensor, Tensor, Tensor]:
    """Drawn pictures, some of them close to training ones; held-out ones in between."""
    train = tensor(rng, K, 3)
    chosen = torch.tensor([rng.randrange(K) for _ in range(N)])
    sizes = torch.tensor([rng.choice((0.05, 0.3, 1.5)) for _ in range(N)], dtype=torch.float64)[:, None]
    return train[chosen] + sizes * tensor(rng, N, 3), train, train[:1] + 0.4 * tensor(rng, M, 3)


def share(drawn: Tensor, train: Tensor, held_out: Tensor) -> Tensor:
    return (to_nearest(drawn, train) < to_nearest(held_out, train).min()).double().mean()


def below(distances: Tensor, bar: Tensor) -> Tensor:
    return (distances < bar).double().mean()


copies = Exercise(
    "images.introduction.copies", stars=2, minutes=10, reference=share, draw=draw_three,
    section="Measure it: how near, and how new?",
)  # fmt: skip
copies.mistake("This is how many: divide by the number of drawn pictures.", lambda d, t, h: share(d, t, h) * len(d))
copies.mistake("This is the share that is new: copies are asked for.", lambda d, t, h: 1 - share(d, t, h))
copies.mistake(
    "The bar is the mean of the held-out distances: it is the least.",
    lambda d, t, h: below(to_nearest(d, t), to_nearest(h, t).mean()),
)
copies.mistake(
    "The bar is the largest of the held-out distances: it is the least, nearer than every one.",
    lambda d, t, h: below(to_nearest(d, t), to_nearest(h, t).max()),
)
copies.mistake(
    "The bar is the median of the held-out distances: it is the least.",
    lambda d, t, h: below(to_nearest(d, t), to_nearest(h, t).median()),
)
copies.mistake(
    "Drawn pictures are held against held-out ones: a copy is near to a training picture.",
    lambda d, t, h: below(to_nearest(d, h), to_nearest(h, t).min()),
)
copies.mistake(
    "The mean distance to the training pictures is used: it is that to the nearest.",
    lambda d, t, h: below(all_distances(d, t).mean(1), all_distances(h, t).mean(1).min()),
)
copies.mistake(
    "Only exact copies are counted: nearly the same is a copy too.",
    lambda d, t, h: below(to_nearest(d, t), torch.tensor(1e-9)),
)
copies.mistake(
    "This is the share of held-out pictures that lie nearer than every drawn one: it is the other way round.",
    lambda d, t, h: share(h, t, d),
)
copies.mistake(
    "The bar is the least distance among the training pictures.",
    lambda d, t, h: below(to_nearest(d, t), (all_distances(t, t) + torch.eye(len(t), dtype=t.dtype) * 1e9).min()),
)
copies.mistake(
    "This is the share of training pictures that were copied: the share of drawn ones is asked for.",
    lambda d, t, h: below(to_nearest(t, d), to_nearest(h, t).min()),
)
copies.mistake(
    "One distance is squared and the other is not.",
    lambda d, t, h: below(to_nearest(d, t) ** 2, to_nearest(h, t).min()),
)
copies.mistake(
    "This says of each picture whether it is a copy: take the mean.",
    lambda d, t, h: (to_nearest(d, t) < to_nearest(h, t).min()).double(),
)
