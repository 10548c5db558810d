"""Exercises on over-optimisation: best of n, exactly, and an ensemble of reward models that is cautious.

Practised in book/3-fine-tuning-a-transformer/13_over_optimisation.md; the modules are insideout/finetuning/toy.py and
reward_model.py beside it. Shapes: K answers; M models, D texts, R texts of the reference.
"""

import random
from collections.abc import Callable

import torch
from torch import Tensor

from insideout.exercises.catalogue import Exercise
from insideout.exercises.drawing import tensor

# best_of: scores, gold, n -> the expected gold of the best of n draws


def draw_answers(rng: random.Random, K: int = 3) -> tuple[Tensor, Tensor, int]:
    """Scores, all different, what the answers are worth, and how many are drawn."""
    return tensor(rng, K), tensor(rng, K), rng.choice([2, 3, 5])


def expected(scores: Tensor, gold: Tensor, n: int) -> Tensor:
    return (chances(len(scores), n) * gold[scores.argsort()]).sum()


def chances(K: int, n: int) -> Tensor:
    k = torch.arange(1, K + 1, dtype=torch.float64)
    return (k / K) ** n - ((k - 1) / K) ** n


def without_repetition(scores: Tensor, gold: Tensor, n: int) -> Tensor:
    weights = torch.ones_like(gold)
    for i in range(1, min(n, len(scores))):
        weights = weights * (torch.arange(1, len(scores) + 1, dtype=gold.dtype) - i).clamp(min=0)
    return (weights / weights.sum() * gold[scores.argsort()]).sum()


best_of = Exercise(
    "finetuning.over_optimisation.best_of", stars=2, minutes=10, reference=expected, draw=draw_answers,
    edges=[(torch.tensor([2.0, 1.0], dtype=torch.float64), torch.tensor([1.0, 0.0], dtype=torch.float64), 1)],
    section="The best policy against it",
)  # fmt: skip
BEST_MISTAKES: list[tuple[str, Callable[[Tensor, Tensor, int], Tensor]]] = [
    ("The lowest score is kept.", lambda s, g, n: expected(-s, g, n)),
    ("This is the plain mean: nothing is chosen.", lambda s, g, n: g.mean()),
    (
        "The answer with the best score of all is always among the draws: only n are drawn.",
        lambda s, g, n: g[s.argmax()],
    ),
    (
        "The best by gold is kept: the choice is by score.",
        lambda s, g, n: expected(g, g, n),
    ),
    (
        "The expected score is given: what it is worth by gold is asked for.",
        lambda s, g, n: expected(s, s, n),
    ),
    (
        "The gold is not put in the order of the scores.",
        lambda s, g, n: (chances(len(s), n) * g).sum(),
    ),
    (
        "The order is turned around twice: ranks are not the sorted places.",
        lambda s, g, n: (chances(len(s), n) * g[s.argsort().argsort()]).sum(),
    ),
    (
        "This is the chance that all draws are among the k lowest: take off those among the k − 1 lowest.",
        lambda s, g, n: ((torch.arange(1, len(s) + 1, dtype=g.dtype) / len(s)) ** n * g[s.argsort()]).sum(),
    ),
    ("One draw too many.", lambda s, g, n: expected(s, g, n + 1)),
    ("One draw too few.", lambda s, g, n: expected(s, g, n - 1) if n > 1 else g.new_zeros(())),
    ("The draws are without repetition: an answer may be drawn twice.", without_repetition),
    (
        "The chances are not divided: they do not sum to 1.",
        lambda s, g, n: expected(s, g, n) * float(len(s)) ** n,
    ),
    (
        "The mean of the n best is given: the best alone is kept.",
        lambda s, g, n: g[s.argsort(descending=True)[:n]].mean(),
    ),
]  # fmt: skip
for diagnosis, made in BEST_MISTAKES:
    best_of.mistake(diagnosis, made)

# cautious: scores, reference, caution -> (D,)


def draw_ensemble(rng: random.Random, M: int = 2, D: int = 2, R: int = 2) -> tuple[Tensor, Tensor, float]:
    """Scores of models whose zeros are far apart, and how cautious to be."""
    zeros = 3 * tensor(rng, M, 1)
    return zeros + tensor(rng, M, D), zeros + tensor(rng, M, R), rng.choice([0.5, 2.0, 3.0])


def careful(scores: Tensor, reference: Tensor, caution: float) -> Tensor:
    centred = scores - reference.mean(1, keepdim=True)
    return centred.mean(0) - caution * centred.std(0, correction=0)


cautious = Exercise(
    "finetuning.over_optimisation.cautious", stars=2, minutes=8, reference=careful, draw=draw_ensemble,
    section="A score compared with a score of another model",
)  # fmt: skip
CAUTIOUS_MISTAKES: list[tuple[str, Callable[[Tensor, Tensor, float], Tensor]]] = [
    (
        "The zeros are left as they are: take from each model its mean over the reference's texts.",
        lambda s, r, c: careful(s, r * 0, c),
    ),
    ("One zero is taken off for all models: each has its own.", lambda s, r, c: careful(s, r.mean().expand_as(r), c)),
    (
        "The zero is taken from the texts themselves: it is that of the reference's texts.",
        lambda s, r, c: careful(s, s, c),
    ),
    ("The deviation is added: where they disagree, the score must be lower.", lambda s, r, c: careful(s, r, -c)),
    ("The caution is not used.", lambda s, r, c: careful(s, r, 1.0)),
    ("The deviation is not used: this is the mean.", lambda s, r, c: careful(s, r, 0.0)),
    ("This is the lowest of the models.", lambda s, r, c: (s - r.mean(1, keepdim=True)).min(0).values),
    (
        "The variance is taken off: it is the standard deviation.",
        lambda s, r, c: (s - r.mean(1, keepdim=True)).mean(0) - c * (s - r.mean(1, keepdim=True)).var(0, correction=0),
    ),
    (
        "The deviation is divided by M − 1: these models are all there are.",
        lambda s, r, c: (s - r.mean(1, keepdim=True)).mean(0) - c * (s - r.mean(1, keepdim=True)).std(0, correction=1),
    ),
    (
        "Mean and deviation are over the texts: they are over the models.",
        lambda s, r, c: (s - r.mean(1, keepdim=True)).mean(1) - c * (s - r.mean(1, keepdim=True)).std(1, correction=0),
    ),
    ("This is the disagreement alone.", lambda s, r, c: c * (s - r.mean(1, keepdim=True)).std(0, correction=0)),
    ("The reference's mean is added: it is taken off.", lambda s, r, c: careful(s, -r, c)),
    ("The caution is divided by: it multiplies the deviation.", lambda s, r, c: careful(s, r, 1 / c)),
    (
        "The sum over the models is taken: it is their mean.",
        lambda s, r, c: careful(s, r, c) + (len(s) - 1) * careful(s, r, 0.0),
    ),
]  # fmt: skip
for said, wrong in CAUTIOUS_MISTAKES:
    cautious.mistake(said, wrong)
