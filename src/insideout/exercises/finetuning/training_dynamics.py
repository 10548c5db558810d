"""Exercises on training dynamics: the share of variance that a critic foresaw, and advantages whitened under a mask.

Practised in book/3-fine-tuning-a-transformer/12_training_dynamics.md; the modules are
insideout/finetuning/policy_training.py and insideout/finetuning/advantages.py. Shapes: B answers, T tokens.
"""

import math
import random
from collections.abc import Callable

import torch
from torch import Tensor

from insideout.exercises.catalogue import Exercise
from insideout.exercises.drawing import tensor

# explained_variance: returns, values, mask -> 1 - Var(R - V) / Var(R) over the mask


def draw_mask(rng: random.Random, B: int, T: int) -> Tensor:
    """Answers of different lengths, of at least two tokens, behind prompts of different lengths."""
    mask = torch.zeros(B, T, dtype=torch.bool)
    for row in range(B):
        begin = rng.randrange(T - 1)
        mask[row, begin : begin + rng.randint(2, T - begin)] = True
    return mask


def draw_critic(rng: random.Random, B: int = 2, T: int = 5) -> tuple[Tensor, Tensor, Tensor]:
    """Returns, a critic that is off by noise and by a constant, and a mask, outside of which anything stands."""
    mask = draw_mask(rng, B, T)
    mask[0, -1] = False
    mask[0, :2] = True
    returns = tensor(rng, B, T)
    values = 0.7 * returns + rng.choice([0.4, 1.6]) * tensor(rng, B, T) + rng.choice([-0.8, 0.9])
    return returns + 2.0 * ~mask, values - 1.5 * ~mask, mask


def draw_flat(rng: random.Random) -> tuple[Tensor, Tensor, Tensor]:
    """Returns that do not vary: there is nothing to explain."""
    mask = torch.tensor([[True, True, False], [True, False, False]])
    return torch.ones(2, 3, dtype=torch.float64), tensor(rng, 2, 3), mask


def variance(x: Tensor) -> Tensor:
    return x.var(correction=0)


def foresaw(returns: Tensor, values: Tensor, mask: Tensor) -> float:
    R, V = returns[mask], values[mask]
    return float(1 - variance(R - V) / variance(R)) if variance(R) > 0 else 0.0


def over(share: Callable[[Tensor, Tensor], Tensor]) -> Callable[[Tensor, Tensor, Tensor], float]:
    """The same with another formula, on the tokens of the mask."""
    return lambda r, v, m: float(share(r[m], v[m])) if variance(r[m]) > 0 else 0.0


explained_variance = Exercise(
    "finetuning.training_dynamics.explained_variance", stars=2, minutes=8, reference=foresaw, draw=draw_critic,
    edges=[draw_flat, (torch.tensor([[1.0, 2.0, 4.0]], dtype=torch.float64),
                       torch.tensor([[2.0, 3.0, 5.0]], dtype=torch.float64), torch.ones(1, 3, dtype=torch.bool))],
    section="Gauges, and their exact twins",
)  # fmt: skip
FORESAW_MISTAKES: list[tuple[str, Callable[[Tensor, Tensor, Tensor], float]]] = [
    (
        "This is the mean square of the error: take its variance, which forgives a constant.",
        over(lambda r, v: 1 - (r - v).square().mean() / variance(r)),
    ),
    ("The mask is not used.", lambda r, v, m: foresaw(r, v, torch.ones_like(m))),
    (
        "What lies outside the mask is set to 0 and counted: choose the tokens of the mask instead.",
        lambda r, v, m: foresaw(r * m, v * m, torch.ones_like(m)),
    ),
    ("This is the share that is *not* explained: take it from 1.", over(lambda r, v: variance(r - v) / variance(r))),
    ("It is divided by the variance of the values: by that of the returns.",
     over(lambda r, v: 1 - variance(r - v) / variance(v))),
    ("This is the variance of the values over that of the returns.", over(lambda r, v: variance(v) / variance(r))),
    (
        "Deviations are compared: variances are asked for.",
        over(lambda r, v: 1 - variance(r - v).sqrt() / variance(r).sqrt()),
    ),
    (
        "This is the squared correlation, which forgives a critic any scale.",
        over(lambda r, v: torch.corrcoef(torch.stack([r, v]))[0, 1].square()),
    ),
    ("This is the correlation.", over(lambda r, v: torch.corrcoef(torch.stack([r, v]))[0, 1])),
    (
        "It is cut off at 0: a critic may be worse than a constant.",
        lambda r, v, m: max(0.0, foresaw(r, v, m)),
    ),
    (
        "The sum of the returns and the values is taken: their difference is the error.",
        over(lambda r, v: 1 - variance(r + v) / variance(r)),
    ),
    ("Nothing is divided: a share is asked for.", over(lambda r, v: variance(r) - variance(r - v))),
    (
        "The share is taken of each answer, and then the mean: all tokens count together.",
        lambda r, v, m: float(torch.tensor([foresaw(r[i : i + 1], v[i : i + 1], m[i : i + 1]) for i in range(len(r))])
                              .mean()),
    ),
    (
        "The returns are squared without their mean: a variance is around the mean.",
        over(lambda r, v: 1 - variance(r - v) / r.square().mean()),
    ),
    (
        "Where the returns do not vary, 0.0 is asked for.",
        lambda r, v, m: float(1 - variance(r[m] - v[m]) / variance(r[m])),
    ),
    (
        "Where the returns do not vary, 1.0 is returned: nothing was explained there, and 0.0 is asked for.",
        lambda r, v, m: foresaw(r, v, m) if variance(r[m]) > 0 else 1.0,
    ),
]  # fmt: skip
for diagnosis, made in FORESAW_MISTAKES:
    explained_variance.mistake(diagnosis, made)


# whiten: advantages, mask -> mean 0 and deviation 1 over the mask, 0 elsewhere


def draw_advantages(rng: random.Random, B: int = 2, T: int = 5) -> tuple[Tensor, Tensor]:
    """Advantages that are off zero, other numbers outside of the mask."""
    mask = draw_mask(rng, B, T)
    mask[0, -1] = False
    mask[0, :2] = True
    return 2 * tensor(rng, B, T) + rng.choice([-1.0, 1.5]) + 3.0 * ~mask, mask


def draw_infinite(rng: random.Random) -> tuple[Tensor, Tensor]:
    """Infinities outside of the mask."""
    mask = torch.tensor([[True, True, True, False], [False, True, True, False]])
    return torch.where(mask, tensor(rng, 2, 4), torch.tensor(math.inf, dtype=torch.float64)), mask


def white(advantages: Tensor, mask: Tensor) -> Tensor:
    steps = advantages[mask]
    return torch.where(mask, (advantages - steps.mean()) / steps.std(correction=0), 0)


def shaped(of: Callable[[Tensor], Tensor]) -> Callable[[Tensor, Tensor], Tensor]:
    """Another formula on the tokens of the mask, 0 elsewhere."""

    def made(advantages: Tensor, mask: Tensor) -> Tensor:
        found = torch.zeros_like(advantages)
        found[mask] = of(advantages[mask])
        return found

    return made


def by_row(advantages: Tensor, mask: Tensor) -> Tensor:
    return torch.cat([white(advantages[i : i + 1], mask[i : i + 1]) for i in range(len(mask))])


whiten = Exercise(
    "finetuning.training_dynamics.whiten", stars=2, minutes=10, reference=white, draw=draw_advantages,
    edges=[draw_infinite, (torch.tensor([[1.0, 2.0, 3.0, 9.0]], dtype=torch.float64),
                           torch.tensor([[True, True, True, False]]))],
    section="Measure it: masks, on the dashboard and in the whitening",
)  # fmt: skip
WHITEN_MISTAKES: list[tuple[str, Callable[[Tensor, Tensor], Tensor]]] = [
    ("The mask is not used at all.", lambda a, m: white(a, torch.ones_like(m))),
    ("Mean and deviation are of the whole rectangle, padding and all.",
     lambda a, m: torch.where(m, white(a, torch.ones_like(m)), 0)),
    (
        "What lies outside is set to 0 and counted in mean and deviation.",
        lambda a, m: torch.where(m, white(torch.where(m, a, 0), torch.ones_like(m)), 0),
    ),
    (
        "Tokens outside the mask are given something: they must be 0.",
        lambda a, m: (a - a[m].mean()) / a[m].std(correction=0),
    ),
    ("Only the mean is taken off.", shaped(lambda x: x - x.mean())),
    ("Only the deviation is divided by: take the mean off first.", shaped(lambda x: x / x.std(correction=0))),
    ("It is divided by the variance: by its root.", shaped(lambda x: (x - x.mean()) / x.var(correction=0))),
    ("The deviation divides by one less than the number of tokens: by their number.",
     shaped(lambda x: (x - x.mean()) / x.std())),
    ("Each answer is whitened by itself: all rows together.", by_row),
    ("The median is taken off: the mean is asked for.", shaped(lambda x: (x - x.median()) / x.std(correction=0))),
    ("It is divided by the mean size.", shaped(lambda x: (x - x.mean()) / (x - x.mean()).abs().mean())),
    ("It is divided by the largest: by the deviation.", shaped(lambda x: (x - x.mean()) / (x - x.mean()).abs().max())),
    (
        "It is divided by the root of the mean square, before the mean is taken off.",
        shaped(lambda x: (x - x.mean()) / x.square().mean().sqrt()),
    ),
    ("The mean is added back.",
     shaped(lambda x: (x - x.mean()) / x.std(correction=0) + x.mean())),
    ("The sign is wrong.", lambda a, m: -white(a, m)),
    ("The mask is inverted: True is what counts.", lambda a, m: white(a, ~m)),
    ("They are brought between 0 and 1: mean 0 and deviation 1 are asked for.",
     shaped(lambda x: (x - x.min()) / (x.max() - x.min()))),
    ("These are the advantages themselves.", shaped(lambda x: x)),
]  # fmt: skip
for said, wrong in WHITEN_MISTAKES:
    whiten.mistake(said, wrong)
