"""Exercises on DPO: its loss, and the weight with which a pair pulls.

Practised in book/3-fine-tuning-a-transformer/14_dpo.md; the module is insideout/finetuning/losses.py. Shapes: B pairs.
"""

import random
from collections.abc import Callable

import torch
from torch import Tensor
from torch.nn.functional import logsigmoid

from insideout.exercises.catalogue import Exercise
from insideout.exercises.drawing import tensor

Sides = tuple[Tensor, Tensor, Tensor, Tensor, float]


def draw_pairs(rng: random.Random, B: int) -> Sides:
    """Summed log-probabilities of chosen and rejected answers, under policy and reference, and a β other than 1."""
    chosen, rejected, ref_chosen, ref_rejected = (-5 + 2 * tensor(rng, B) for _ in range(4))
    return chosen, rejected, ref_chosen, ref_rejected, rng.choice([0.1, 0.3, 0.5, 2.0])


def sides(*numbers: float, beta: float) -> Sides:
    chosen, rejected, ref_chosen, ref_rejected = (torch.tensor([x], dtype=torch.float64) for x in numbers)
    return chosen, rejected, ref_chosen, ref_rejected, beta


FAR = sides(-2000.0, -1.0, -1.0, -2000.0, beta=1.0)
"""A pair that the policy has so far upside down that exp overflows."""
SAME = sides(-3.0, -7.0, -3.0, -7.0, beta=0.5)


def margin(chosen: Tensor, rejected: Tensor, ref_chosen: Tensor, ref_rejected: Tensor, beta: float) -> Tensor:
    return beta * ((chosen - ref_chosen) - (rejected - ref_rejected))


def mean_loss(*pairs: Tensor | float) -> Tensor:
    return -logsigmoid(margin(*pairs)).mean()  # type: ignore[arg-type]


def slope(chosen: Tensor, rejected: Tensor, ref_chosen: Tensor, ref_rejected: Tensor, beta: float) -> Tensor:
    return -beta * torch.sigmoid(-margin(chosen, rejected, ref_chosen, ref_rejected, beta))


Made = Callable[[Tensor, Tensor, Tensor, Tensor, float], Tensor]

loss = Exercise(
    "finetuning.dpo.loss", stars=1, minutes=8, reference=mean_loss, draw=draw_pairs, edges=[FAR, SAME],
    section="From the policy to its reward",
)  # fmt: skip
LOSS_MISTAKES: list[tuple[str, Made]] = [
    (
        "The sign of the margin is wrong: chosen less rejected.",
        lambda w, x, rw, rx, beta: mean_loss(x, w, rx, rw, beta),
    ),
    (
        "The reference is missing: how likely the answers were before must be taken off.",
        lambda w, x, rw, rx, beta: -logsigmoid(beta * (w - x)).mean(),
    ),
    (
        "The reference has the wrong sign, or its sides have changed places: the margin of the reference itself is 0.",
        lambda w, x, rw, rx, beta: -logsigmoid(beta * ((w - x) + (rw - rx))).mean(),
    ),
    ("β is not used.", lambda w, x, rw, rx, beta: mean_loss(w, x, rw, rx, 1.0)),
    (
        "The margin is divided by β: it is multiplied.",
        lambda w, x, rw, rx, beta: mean_loss(w, x, rw, rx, 1 / beta),
    ),
    (
        "The sign of the loss is wrong: log sigmoid is negative.",
        lambda w, x, rw, rx, beta: -mean_loss(w, x, rw, rx, beta),
    ),
    (
        "The logarithm is missing: this is how likely the choice is, not the surprise at it.",
        lambda w, x, rw, rx, beta: margin(w, x, rw, rx, beta).sigmoid().mean(),
    ),
    (
        "The sum of the losses is returned: the mean is asked for.",
        lambda w, x, rw, rx, beta: mean_loss(w, x, rw, rx, beta) * len(w),
    ),
    (
        "The margins are averaged before the sigmoid: each pair has its own loss.",
        lambda w, x, rw, rx, beta: -logsigmoid(margin(w, x, rw, rx, beta).mean()),
    ),
    ("This is the mean margin.", lambda w, x, rw, rx, beta: margin(w, x, rw, rx, beta).mean()),
    (
        "One number is asked for: take the mean over the pairs.",
        lambda w, x, rw, rx, beta: -logsigmoid(margin(w, x, rw, rx, beta)),
    ),
    (
        "The exponential overflows, or the logarithm gets 0, where a pair is far on the wrong side: use logsigmoid.",
        lambda w, x, rw, rx, beta: -margin(w, x, rw, rx, beta).sigmoid().log().mean(),
    ),
    (
        "β stands at the policy alone: the reference's log-probabilities are multiplied too.",
        lambda w, x, rw, rx, beta: -logsigmoid(beta * (w - x) - (rw - rx)).mean(),
    ),
    (
        "The loss of the chosen answers is taken alone: the rejected ones are missing.",
        lambda w, x, rw, rx, beta: -logsigmoid(beta * (w - rw)).mean(),
    ),
]
for diagnosis, made in LOSS_MISTAKES:
    loss.mistake(diagnosis, made)

gradient = Exercise(
    "finetuning.dpo.gradient", stars=2, minutes=12, reference=slope, draw=draw_pairs, edges=[FAR, SAME],
    section="The gradient, and its weight",
)  # fmt: skip
GRADIENT_MISTAKES: list[tuple[str, Made]] = [
    (
        "The sign is wrong: a likelier chosen answer lowers the loss.",
        lambda w, x, rw, rx, beta: -slope(w, x, rw, rx, beta),
    ),
    (
        "β is missing in front: the margin grows β times as fast as the log-probability.",
        lambda w, x, rw, rx, beta: slope(w, x, rw, rx, beta) / beta,
    ),
    (
        "The weight is sigmoid(m): it must be large where the pair is the wrong way round, sigmoid(−m).",
        lambda w, x, rw, rx, beta: -beta * margin(w, x, rw, rx, beta).sigmoid(),
    ),
    (
        "The weight is sigmoid(m) times sigmoid(−m): the logarithm has divided one of them away.",
        lambda w, x, rw, rx, beta: slope(w, x, rw, rx, beta) * margin(w, x, rw, rx, beta).sigmoid(),
    ),
    (
        "It is divided by the number of pairs: each pair's own loss is meant, not their mean.",
        lambda w, x, rw, rx, beta: slope(w, x, rw, rx, beta) / len(w),
    ),
    (
        "The reference is missing in the margin.",
        lambda w, x, rw, rx, beta: slope(w, x, torch.zeros_like(w), torch.zeros_like(x), beta),
    ),
    ("β is missing in the margin.", lambda w, x, rw, rx, beta: beta * slope(w, x, rw, rx, 1.0)),
    ("β is used nowhere.", lambda w, x, rw, rx, beta: slope(w, x, rw, rx, 1.0)),
    (
        "This is the loss: its derivative is asked for.",
        lambda w, x, rw, rx, beta: -logsigmoid(margin(w, x, rw, rx, beta)),
    ),
    (
        "This is the slope of the sum of all pairs, one number: each pair has its own.",
        lambda w, x, rw, rx, beta: slope(w, x, rw, rx, beta).sum(),
    ),
    ("Every pair pulls alike: the weight is missing.", lambda w, x, rw, rx, beta: torch.full_like(w, -beta)),
    (
        "The reference has the wrong sign, or its sides have changed places: the margin of the reference itself is 0.",
        lambda w, x, rw, rx, beta: slope(w, x, -rw, -rx, beta),
    ),
]
for diagnosis, made in GRADIENT_MISTAKES:
    gradient.mistake(diagnosis, made)
