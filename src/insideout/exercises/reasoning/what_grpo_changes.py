"""Exercises on what GRPO changes: the ratio of a whole answer per token, and weights for what another policy drew.

Practised in book/4-reasoning-with-transformers/10_what_grpo_changes.md; the modules are
insideout/finetuning/policy_training.py and insideout/reasoning/group_advantages.py. Shapes: N answers, T tokens.
"""

import random

import torch
from torch import Tensor

from insideout.exercises.catalogue import Exercise
from insideout.exercises.drawing import tensor
from insideout.reasoning.group_advantages import truncated_weights


def draw_answers(rng: random.Random, N: int, T: int = 3) -> tuple[Tensor, Tensor, Tensor]:
    """Log-probabilities now and then, which differ where nothing was drawn too; answers of any length."""
    old = -tensor(rng, N, T).abs()
    new = (old + tensor(rng, N, T, deviation=0.6)).clamp(max=0)
    mask = torch.zeros(N, T, dtype=torch.bool)
    for row in range(N):
        mask[row, : rng.randint(2, T)] = True
    mask[0] = torch.arange(T) < 2
    return new, old, mask


# ratio: logprobs, old_logprobs, mask -> (N,)


def total(new: Tensor, old: Tensor, mask: Tensor) -> Tensor:
    """log of the whole answer's ratio."""
    return torch.where(mask, new - old, 0).sum(1)


def geometric(new: Tensor, old: Tensor, mask: Tensor) -> Tensor:
    return (total(new, old, mask) / mask.sum(1)).exp()


ratio = Exercise(
    "reasoning.what_grpo_changes.ratio", stars=2, minutes=10, reference=geometric, draw=draw_answers,
    section="Which ratio?", tolerance=1e-6,
)  # fmt: skip
ratio.mistake(
    "This is the ratio of the whole answer: take the mean of the logarithms.", lambda n, o, m: total(n, o, m).exp()
)
ratio.mistake(
    "This is the mean of the tokens' ratios, not their geometric mean: average the logarithms.",
    lambda n, o, m: ((n - o).exp() * m).sum(1) / m.sum(1),
)
ratio.mistake("The ratio is upside down: new over old.", lambda n, o, m: geometric(o, n, m))
ratio.mistake(
    "It is still a logarithm: take exp.",
    lambda n, o, m: total(n, o, m) / m.sum(1),
)
ratio.mistake(
    "The mask is not used: what was not drawn has no ratio.",
    lambda n, o, m: (n - o).mean(1).exp(),
)
ratio.mistake(
    "It is divided by the width of the batch, padding too: divide by the answer's own tokens.",
    lambda n, o, m: (total(n, o, m) / m.shape[1]).exp(),
)
ratio.mistake(
    "Each token has its own ratio here, as in GRPO: one for each answer.",
    lambda n, o, m: torch.where(m, n - o, 0).exp(),
)
ratio.mistake("It is clipped: only the ratio is asked for.", lambda n, o, m: geometric(n, o, m).clamp(0.8, 1.2))
ratio.mistake(
    "The mean runs over answers: each has a ratio of its own.", lambda n, o, m: (torch.where(m, n - o, 0).mean(0)).exp()
)
ratio.mistake("One number for all answers: each has a ratio of its own.", lambda n, o, m: geometric(n, o, m).mean())
ratio.mistake(
    "It is exp of the new log-probabilities alone: divide by the old ones.",
    lambda n, o, m: geometric(n, torch.zeros_like(o), m),
)
ratio.mistake(
    "The root is of the length, not of its square root: divide the logarithm by the number of tokens.",
    lambda n, o, m: (total(n, o, m) / m.sum(1).sqrt()).exp(),
)
ratio.mistake(
    "What the mask leaves out counts as a ratio of 1 in a mean of ratios.",
    lambda n, o, m: torch.where(m, n - o, 0).exp().mean(1),
)

# weights: logprobs, behaviour, mask, cap -> (N, T)


def draw_weighed(rng: random.Random, N: int, T: int = 3) -> tuple[Tensor, Tensor, Tensor, float]:
    """The same, with a cap that some of the weights pass."""
    return *draw_answers(rng, N, T), rng.choice([1.1, 1.25, 1.4])


def weighed(new: Tensor, old: Tensor, mask: Tensor, cap: float) -> Tensor:
    return torch.where(mask, truncated_weights(new, old, cap=cap), 0)


weights = Exercise(
    "reasoning.what_grpo_changes.weights", stars=2, minutes=12, reference=weighed, draw=draw_weighed,
    section="Who drew the answers?", tolerance=1e-6,
)  # fmt: skip
weights.mistake("Nothing is cut off.", lambda n, o, m, c: (n - o).exp() * m)
weights.mistake("The weights are upside down: π over μ.", lambda n, o, m, c: weighed(o, n, m, c))
weights.mistake(
    "Small weights are raised as well: cut off above only.", lambda n, o, m, c: (n - o).exp().clamp(1 / c, c) * m
)
weights.mistake("The logarithm is cut off, not the weight.", lambda n, o, m, c: (n - o).clamp(max=c).exp() * m)
weights.mistake("These are still logarithms: take exp.", lambda n, o, m, c: (n - o).clamp(max=c) * m)
weights.mistake("The mask is not used.", lambda n, o, m, c: (n - o).exp().clamp(max=c))
weights.mistake(
    "What was not drawn weighs 1: it must weigh 0.", lambda n, o, m, c: torch.where(m, n - o, 0).exp().clamp(max=c)
)
weights.mistake(
    "A weight beyond the cap becomes 0: it becomes the cap.",
    lambda n, o, m, c: torch.where((n - o).exp() > c, 0, (n - o).exp()) * m,
)
weights.mistake(
    "The weight is of the whole answer: each token has its own here.",
    lambda n, o, m, c: total(n, o, m).exp().clamp(max=c)[:, None] * m,
)
weights.mistake(
    "The weights are made to sum to 1: leave them as they are.",
    lambda n, o, m, c: weighed(n, o, m, c) / weighed(n, o, m, c).sum(),
)
weights.mistake(
    "The smallest is raised to the cap: it is the largest that is cut off.",
    lambda n, o, m, c: (n - o).exp().clamp(min=c) * m,
)
weights.mistake("Whatever was drawn gets the cap.", lambda n, o, m, c: torch.full_like(n, c) * m)
weights.mistake("π alone is the weight: divide by μ.", lambda n, o, m, c: n.exp().clamp(max=c) * m)
