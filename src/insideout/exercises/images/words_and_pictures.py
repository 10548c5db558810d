"""Exercises on words and pictures: the contrastive loss both ways, and retrieval among the first k.

Practised in book/5-from-noise-to-images/08_words_and_pictures.md; the module is insideout/images/text_encoder.py.
Shapes: B pairs, E of the common space, N pictures, M captions.
"""

import math
import random
from collections.abc import Callable

import torch
from torch import Tensor

from insideout.exercises.catalogue import Exercise
from insideout.exercises.drawing import tensor

# loss


def draw_pairs(rng: random.Random, B: int = 3, E: int = 2) -> tuple[Tensor, Tensor, float]:
    """Vectors of pictures and of texts, and the logarithm of what cosines are multiplied by."""
    return tensor(rng, B, E), tensor(rng, B, E), rng.choice([-0.5, 0.0, 1.0, 2.5, 5.5])


def both_ways(pictures: Tensor, texts: Tensor, log_temperature: float) -> Tensor:
    s = cosines(pictures, texts, factor(log_temperature))
    return -(s.log_softmax(1).diagonal() + s.log_softmax(0).diagonal()) / 2


def factor(log_temperature: float) -> float:
    return min(math.exp(log_temperature), 100.0)


def cosines(pictures: Tensor, texts: Tensor, times: float = 1.0) -> Tensor:
    return times * unit(pictures) @ unit(texts).T


def unit(x: Tensor) -> Tensor:
    return x / x.norm(dim=1, keepdim=True)


def halves(s: Tensor) -> Tensor:
    return -(s.log_softmax(1).diagonal() + s.log_softmax(0).diagonal()) / 2


loss = Exercise(
    "images.words_and_pictures.loss", stars=2, minutes=12, reference=both_ways, draw=draw_pairs,
    edges=[(torch.tensor([[3.0, 0.0], [0.0, 0.2]]).double(), torch.tensor([[0.1, 0.1], [-2.0, 5.0]]).double(), 6.0)],
    section="The loss, both ways",
)  # fmt: skip
Made = Callable[[Tensor, Tensor, float], Tensor]
LOSS_MISTAKES: list[tuple[str, Made]] = [
    (
        "Only the rows: each picture finds its caption, but no caption is asked for its picture.",
        lambda p, t, x: -cosines(p, t, factor(x)).log_softmax(1).diagonal(),
    ),
    (
        "Only the columns: each caption finds its picture, but no picture is asked for its caption.",
        lambda p, t, x: -cosines(p, t, factor(x)).log_softmax(0).diagonal(),
    ),
    ("The sign: a loss is minus the logarithm.", lambda p, t, x: -both_ways(p, t, x)),
    ("The two directions are added: take half of each.", lambda p, t, x: 2 * both_ways(p, t, x)),
    ("The vectors keep their lengths: make each of length 1 first.", lambda p, t, x: halves(factor(x) * p @ t.T)),
    (
        "Only the pictures are made of length 1.",
        lambda p, t, x: halves(factor(x) * unit(p) @ t.T),
    ),
    ("Only the texts are made of length 1.", lambda p, t, x: halves(factor(x) * p @ unit(t).T)),
    (
        "The lengths are taken over the batch, column by column: each vector has one of its own.",
        lambda p, t, x: halves(factor(x) * (p / p.norm(dim=0)) @ (t / t.norm(dim=0)).T),
    ),
    (
        "All vectors are divided by one length, that of the whole table.",
        lambda p, t, x: halves(factor(x) * (p / p.norm()) @ (t / t.norm()).T),
    ),
    (
        "The logarithm itself multiplies the cosines: take its exponential.",
        lambda p, t, x: halves(cosines(p, t, x)),
    ),
    ("The factor is missing.", lambda p, t, x: halves(cosines(p, t))),
    (
        "It divides where it should multiply: the number is the inverse of a temperature.",
        lambda p, t, x: halves(cosines(p, t, 1 / factor(x))),
    ),
    ("The factor is not held at 100.", lambda p, t, x: halves(cosines(p, t, math.exp(x)))),
    ("The factor is held below 1.", lambda p, t, x: halves(cosines(p, t, min(math.exp(x), 1.0)))),
    (
        "This is the mean over the batch: give the loss of each pair.",
        lambda p, t, x: both_ways(p, t, x).mean(),
    ),
    ("This is the sum over the batch: give the loss of each pair.", lambda p, t, x: both_ways(p, t, x).sum()),
    (
        "The softmax goes over the whole table at once: it goes over one row, and over one column.",
        lambda p, t, x: -cosines(p, t, factor(x)).flatten().log_softmax(0).reshape(len(p), len(p)).diagonal(),
    ),
    (
        "The pair itself is left out of the sum below.",
        lambda p, t, x: without_own(cosines(p, t, factor(x))),
    ),
    (
        "The logarithm is missing: these are probabilities.",
        lambda p, t, x: -(cosines(p, t, factor(x)).softmax(1) + cosines(p, t, factor(x)).softmax(0)).diagonal() / 2,
    ),
]


def without_own(s: Tensor) -> Tensor:
    others = s.masked_fill(torch.eye(len(s), dtype=torch.bool), float("-inf"))
    return (others.logsumexp(1) + others.logsumexp(0)) / 2 - s.diagonal()


for diagnosis, made in LOSS_MISTAKES:
    loss.mistake(diagnosis, made)

# recall


def draw_table(rng: random.Random, N: int = 4, M: int = 5) -> tuple[Tensor, Tensor, int]:
    """How well pictures fit captions, which are right, one or more a picture, and how many are looked at."""
    s = torch.tensor([rng.sample(range(4 * M), M) for _ in range(N)], dtype=torch.float64) / M
    same = torch.zeros(N, M, dtype=torch.bool)
    for row in same:
        row[rng.sample(range(M), rng.choice([1, 1, 2, min(3, M)]))] = True
    return s, same, rng.randint(1, max(1, M - 2))


def recalled(s: Tensor, same: Tensor, k: int) -> float:
    return float(same.gather(1, s.topk(k, dim=1).indices).any(1).double().mean())


def near(s: Tensor, same: Tensor, k: int) -> Tensor:
    return same.gather(1, s.topk(min(max(k, 1), s.shape[1]), dim=1).indices)


recall = Exercise(
    "images.words_and_pictures.recall", stars=2, minutes=10, reference=recalled, draw=draw_table, tolerance=1e-6,
    edges=[(torch.tensor([[0.9, 0.1, 0.5], [0.2, 0.8, 0.1]]).double(),
            torch.tensor([[False, False, True], [False, True, True]]), 1)],
    section="Who finds whom",
)  # fmt: skip
Table = Callable[[Tensor, Tensor, int], float]
RECALL_MISTAKES: list[tuple[str, Table]] = [
    (
        "All right captions must be among the k nearest here: any of them will do.",
        lambda s, same, k: float((near(s, same, k).sum(1) == same.sum(1)).double().mean()),
    ),
    (
        "This is the share of right ones among the k nearest, which is precision.",
        lambda s, same, k: float(near(s, same, k).double().mean()),
    ),
    (
        "This is the share of the right captions that are found: count pictures, not captions.",
        lambda s, same, k: float(near(s, same, k).sum() / same.sum()),
    ),
    (
        "The shares of each picture's right captions are averaged: one that is found is enough.",
        lambda s, same, k: float((near(s, same, k).sum(1) / same.sum(1)).double().mean()),
    ),
    ("This is how many pictures, not their share.", lambda s, same, k: float(near(s, same, k).any(1).sum())),
    (
        "A picture counts as often as right captions are found: once is enough.",
        lambda s, same, k: float(near(s, same, k).sum(1).double().mean()),
    ),
    ("k is not used: the first of each alone is looked at.", lambda s, same, k: recalled(s, same, 1)),
    (
        "The k farthest are looked at: the larger, the better they fit.",
        lambda s, same, k: recalled(-s, same, k),
    ),
    ("One too many is looked at.", lambda s, same, k: recalled(s, same, min(k + 1, s.shape[1]))),
    ("One too few is looked at.", lambda s, same, k: recalled(s, same, k - 1) if k > 1 else 0.0),
    (
        "The pictures of each caption are looked at: it is each picture that looks for captions.",
        lambda s, same, k: float(same.gather(0, s.topk(min(k, len(s)), dim=0).indices).any(0).double().mean()),
    ),
    (
        "The k-th nearest alone is looked at.",
        lambda s, same, k: float(near(s, same, k)[:, -1].double().mean()),
    ),
    ("This is the share that misses.", lambda s, same, k: 1 - recalled(s, same, k)),
    (
        "Only the first right caption of each picture counts: there may be several.",
        lambda s, same, k: recalled(s, torch.eye(s.shape[1], dtype=torch.bool)[same.int().argmax(1)], k),
    ),
    (
        "The first k columns are looked at, not the k nearest.",
        lambda s, same, k: float(same[:, :k].any(1).double().mean()),
    ),
    (
        "The right ones are taken to lie on the diagonal.",
        lambda s, same, k: recalled(s, torch.eye(*s.shape, dtype=torch.bool), k),
    ),
]
for diagnosis, wrong in RECALL_MISTAKES:
    recall.mistake(diagnosis, wrong)
