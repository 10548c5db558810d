"""Exercises on the DPO family: IPO's loss of pairs, and KTO's of single answers.

Practised in book/3-fine-tuning-a-transformer/15_the_dpo_family.md; the module is insideout/finetuning/losses.py.
Shapes: B pairs, or answers.
"""

import random
from collections.abc import Callable

import torch
from torch import Tensor

from insideout.exercises.catalogue import Exercise
from insideout.exercises.drawing import tensor

# ipo: policy_w, policy_l, ref_w, ref_l, beta -> the mean loss


def draw_pairs(rng: random.Random, B: int = 2) -> tuple[Tensor, Tensor, Tensor, Tensor, float]:
    """Summed log-probabilities of both sides under policy and reference, and a β other than 1."""
    w, x, rw, rx = (-5 + 2 * tensor(rng, B) for _ in range(4))
    return w, x, rw, rx, rng.choice([0.1, 0.2, 0.4, 2.0])


def mean_ipo(w: Tensor, x: Tensor, rw: Tensor, rx: Tensor, beta: float) -> Tensor:
    return ((w - rw) - (x - rx) - 1 / (2 * beta)).square().mean()


SAME = tuple(torch.tensor([number], dtype=torch.float64) for number in (-3.0, -7.0, -3.0, -7.0))
ipo = Exercise(
    "finetuning.the_dpo_family.ipo", stars=1, minutes=8, reference=mean_ipo, draw=draw_pairs,
    edges=[(*SAME, 0.25)], section="When has a pair had enough?",
)  # fmt: skip
IPO_MISTAKES: list[tuple[str, Callable[[Tensor, Tensor, Tensor, Tensor, float], Tensor]]] = [
    (
        "The sign of the margin, chosen less rejected, or of the target is wrong.",
        lambda w, x, rw, rx, b: mean_ipo(x, w, rx, rw, b),
    ),
    ("The reference is missing.", lambda w, x, rw, rx, b: mean_ipo(w, x, rw * 0, rx * 0, b)),
    ("The reference has the wrong sign.", lambda w, x, rw, rx, b: mean_ipo(w, x, -rw, -rx, b)),
    ("The target is 1 / (2β), not 1 / β.", lambda w, x, rw, rx, b: mean_ipo(w, x, rw, rx, b / 2)),
    (
        "The target is multiplied by β: a larger β asks for a smaller gap.",
        lambda w, x, rw, rx, b: ((w - rw) - (x - rx) - b / 2).square().mean(),
    ),
    (
        "The margin is multiplied by β: the target alone has it.",
        lambda w, x, rw, rx, b: (b * ((w - rw) - (x - rx)) - 1 / (2 * b)).square().mean(),
    ),
    ("The target is missing.", lambda w, x, rw, rx, b: ((w - rw) - (x - rx)).square().mean()),
    ("The distance is not squared.", lambda w, x, rw, rx, b: ((w - rw) - (x - rx) - 1 / (2 * b)).mean()),
    (
        "The distance is taken without its sign and not squared.",
        lambda w, x, rw, rx, b: ((w - rw) - (x - rx) - 1 / (2 * b)).abs().mean(),
    ),
    ("This is the sum over the pairs.", lambda w, x, rw, rx, b: mean_ipo(w, x, rw, rx, b) * len(w)),
    ("One number is asked for: take the mean.", lambda w, x, rw, rx, b: ((w - rw) - (x - rx) - 1 / (2 * b)).square()),
    (
        "The margins are averaged before the square: each pair has its own.",
        lambda w, x, rw, rx, b: (((w - rw) - (x - rx)).mean() - 1 / (2 * b)).square(),
    ),
    ("This is DPO's loss.", lambda w, x, rw, rx, b: -torch.nn.functional.logsigmoid(b * ((w - rw) - (x - rx))).mean()),
    ("Half of the square is taken.", lambda w, x, rw, rx, b: mean_ipo(w, x, rw, rx, b) / 2),
]  # fmt: skip
for diagnosis, made in IPO_MISTAKES:
    ipo.mistake(diagnosis, made)

# kto: policy, ref, good, z, beta -> the mean loss


def draw_answers(rng: random.Random, B: int = 3) -> tuple[Tensor, Tensor, Tensor, float, float]:
    """Answers, some good and some bad, whatever their number, with a reference point above 0."""
    good = torch.tensor([i % 3 != 1 for i in range(B)])
    return -5 + tensor(rng, B), -5 + tensor(rng, B), good, rng.choice([0.3, 0.7, 1.5]), rng.choice([0.3, 0.5, 2.0])


def mean_kto(policy: Tensor, ref: Tensor, good: Tensor, z: float, beta: float) -> Tensor:
    value = beta * (policy - ref - z)
    return torch.where(good, (-value).sigmoid(), value.sigmoid()).mean()


def per_answer(policy: Tensor, ref: Tensor, good: Tensor, z: float, beta: float) -> Tensor:
    value = beta * (policy - ref - z)
    return torch.where(good, (-value).sigmoid(), value.sigmoid())


kto = Exercise(
    "finetuning.the_dpo_family.kto", stars=2, minutes=10, reference=mean_kto, draw=draw_answers,
    edges=[(torch.tensor([-2.0, -8.0], dtype=torch.float64), torch.tensor([-3.0, -7.0], dtype=torch.float64),
            torch.tensor([True, False]), 0.5, 1.0)],
    section="Without pairs",
)  # fmt: skip
KTO_MISTAKES: list[tuple[str, Callable[[Tensor, Tensor, Tensor, float, float], Tensor]]] = [
    (
        "Good and bad are exchanged, or this is the value, which is to grow: the loss is 1 less it.",
        lambda p, r, g, z, b: mean_kto(p, r, ~g, z, b),
    ),
    ("All answers are taken for good.", lambda p, r, g, z, b: mean_kto(p, r, torch.ones_like(g), z, b)),
    ("The reference point is not used.", lambda p, r, g, z, b: mean_kto(p, r, g, 0.0, b)),
    ("The reference point is added.", lambda p, r, g, z, b: mean_kto(p, r, g, -z, b)),
    (
        "The reference point is taken off for good answers only: for bad ones it is z less the gain.",
        lambda p, r, g, z, b: torch.where(g, (-b * (p - r - z)).sigmoid(), (b * (p - r)).sigmoid()).mean(),
    ),
    (
        "For bad answers the sign of the reference point is wrong: z less the gain, as a whole.",
        lambda p, r, g, z, b: torch.where(g, (-b * (p - r - z)).sigmoid(), (b * (p - r + z)).sigmoid()).mean(),
    ),
    ("β is not used.", lambda p, r, g, z, b: mean_kto(p, r, g, z, 1.0)),
    (
        "β stands at the gain alone: the reference point is multiplied too.",
        lambda p, r, g, z, b: mean_kto(p, r, g, z / b, b),
    ),
    ("The gain is divided by β.", lambda p, r, g, z, b: mean_kto(p, r, g, z, 1 / b)),
    ("The reference model is missing.", lambda p, r, g, z, b: mean_kto(p, r * 0, g, z, b)),
    ("The gain has the wrong sign: policy less reference.", lambda p, r, g, z, b: mean_kto(r, p, g, z, b)),
    (
        "A logarithm is taken: KTO's loss is 1 − σ itself, which gives hopeless answers up.",
        lambda p, r, g, z, b: -(1 - per_answer(p, r, g, z, b)).log().mean(),
    ),
    ("This is the sum over the answers.", lambda p, r, g, z, b: per_answer(p, r, g, z, b).sum()),
    ("One number is asked for: take the mean.", per_answer),
    (
        "Good and bad answers are averaged apart: every answer counts alike.",
        lambda p, r, g, z, b: (per_answer(p, r, g, z, b)[g].mean() + per_answer(p, r, g, z, b)[~g].mean()) / 2,
    ),
    ("Only the good answers are counted.", lambda p, r, g, z, b: per_answer(p, r, g, z, b)[g].mean()),
]  # fmt: skip
for said, wrong in KTO_MISTAKES:
    kto.mistake(said, wrong)
