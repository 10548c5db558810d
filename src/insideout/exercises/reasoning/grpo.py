"""Exercises on GRPO: the advantages of a group, and the clipped loss of a round.

Practised in book/4-reasoning-with-transformers/09_grpo.md; the modules are insideout/finetuning/advantages.py and
insideout/finetuning/policy.py. Shapes: P questions, G answers to each, N answers, T tokens.
"""

import random
from collections.abc import Callable

import torch
from torch import Tensor

from insideout.exercises.catalogue import Exercise
from insideout.exercises.drawing import tensor
from insideout.finetuning.advantages import group_mean, group_std

# advantages: rewards -> each less its group's mean, over its group's deviation


def draw_rewards(rng: random.Random, P: int, G: int = 3) -> tuple[Tensor]:
    """Rewards of groups; about one in four has answers that are all worth the same."""
    rewards = torch.tensor(
        [[float(rng.randint(0, 1)) + (0.5 if rng.random() < 0.2 else 0.0) for _ in range(G)] for _ in range(P)],
        dtype=torch.float64,
    )
    for row in range(P):
        if rng.random() < 0.25:
            rewards[row] = rewards[row, 0]
    return (rewards,)


def over(rewards: Tensor, centred: Tensor, deviation: Tensor) -> Tensor:
    """Centred rewards over a deviation; 0 where that is 0."""
    return torch.where(deviation > 1e-12, centred / deviation.clamp_min(1e-12), 0)


def spread(rewards: Tensor, correction: int = 0) -> Tensor:
    """The deviation of each group."""
    return rewards.std(1, correction=correction, keepdim=True)


advantages = Exercise(
    "reasoning.grpo.advantages", stars=1, minutes=8, reference=group_std, draw=draw_rewards,
    edges=[
        (torch.tensor([[1.0, 0.0, 0.0, 1.0], [1.0, 1.0, 1.0, 1.0], [0.0, 0.0, 0.0, 1.0]], dtype=torch.float64),),
        (torch.zeros(1, 3, dtype=torch.float64),),
    ],
    section="The advantage",
)  # fmt: skip
advantages.mistake(
    "Groups whose answers are all worth the same give nan, 0/0: they teach nothing, and their advantages are 0.",
    lambda rewards: group_mean(rewards) / spread(rewards),
)
advantages.mistake(
    "The deviation divides by n − 1, as torch does unless told otherwise: use correction=0.",
    lambda rewards: over(rewards, group_mean(rewards), spread(rewards, 1)),
)
advantages.mistake("The deviation is missing: only the mean is subtracted here.", group_mean)
advantages.mistake(
    "The mean is not subtracted: a right answer would gain even where all are right.",
    lambda rewards: over(rewards, rewards, spread(rewards)),
)
advantages.mistake(
    "It is divided by the variance: take its root.",
    lambda rewards: over(rewards, group_mean(rewards), spread(rewards).square()),
)
advantages.mistake(
    "Mean and deviation are of all questions together: compare answers to one question.",
    lambda rewards: (rewards - rewards.mean()) / rewards.std(correction=0).clamp_min(1e-12),
)
advantages.mistake(
    "The mean is of the group, the deviation of all rewards together: take the group's.",
    lambda rewards: group_mean(rewards) / rewards.std(correction=0).clamp_min(1e-12),
)
advantages.mistake(
    "Mean and deviation run over the questions: answers to one question stand in a row.",
    lambda rewards: over(rewards, rewards - rewards.mean(0), rewards.std(0, correction=0, keepdim=True)),
)
advantages.mistake("The sign is wrong: better than the mean is positive.", lambda rewards: -group_std(rewards))
advantages.mistake(
    "The mean of the others is subtracted, which is RLOO's: GRPO's mean has the answer itself in it.",
    lambda rewards: over(rewards, group_mean(rewards) * rewards.shape[1] / (rewards.shape[1] - 1), spread(rewards)),
)
advantages.mistake(
    "A number is added to the deviation so that it is never 0, and all advantages shrink: choose 0 for such groups.",
    lambda rewards: group_mean(rewards) / (spread(rewards) + 0.1),
)
advantages.mistake(
    "Where all answers of a group are worth the same the reward itself is given: it must be 0.",
    lambda rewards: torch.where(spread(rewards) > 1e-12, group_std(rewards), rewards),
)
advantages.mistake(
    "Negative advantages are cut off: what is worse than the mean must become less likely.",
    lambda rewards: group_std(rewards).clamp_min(0),
)
advantages.mistake(
    "It is divided by the mean distance from the mean: take the standard deviation.",
    lambda rewards: over(rewards, group_mean(rewards), group_mean(rewards).abs().mean(1, keepdim=True)),
)

# loss: logprobs, old_logprobs, advantages, mask -> GRPO's loss


def draw_round(rng: random.Random, N: int, T: int = 2) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """Log-probabilities then and now, some of them beyond the clip; advantages of both signs; answers of any length."""
    old = -tensor(rng, N, T).abs()
    new = (old + tensor(rng, N, T, deviation=0.4)).clamp(max=0)
    mask = torch.zeros(N, T, dtype=torch.bool)
    for row in range(N):
        mask[row, : rng.randint(1, T)] = True
    return new, old, tensor(rng, N), mask


LOW, HIGH = 0.8, 1.28
Mean = Callable[[Tensor, Tensor], Tensor]


def answers_mean(each: Tensor, mask: Tensor) -> Tensor:
    """The mean over each answer's tokens, then over answers."""
    return ((each * mask).sum(1) / mask.sum(1)).mean()


def clipped_loss(
    logprobs: Tensor, old_logprobs: Tensor, advantages: Tensor, mask: Tensor, *, low: float = LOW, high: float = HIGH,
    mean: Mean = answers_mean,
) -> Tensor:  # fmt: skip
    ratio, A = (logprobs - old_logprobs).exp(), advantages[:, None]
    return -mean(torch.minimum(ratio * A, ratio.clamp(low, high) * A), mask)


def tokens_mean(each: Tensor, mask: Tensor) -> Tensor:
    return (each * mask).sum() / mask.sum()


loss = Exercise(
    "reasoning.grpo.loss", stars=3, minutes=15, reference=clipped_loss, draw=draw_round,
    edges=[(
        torch.tensor([[-1.0, -0.5], [-0.2, -3.0]], dtype=torch.float64),
        torch.tensor([[-1.5, -0.1], [-0.9, -0.1]], dtype=torch.float64),
        torch.tensor([1.0, -1.0], dtype=torch.float64),
        torch.tensor([[True, True], [True, False]]),
    )],
    section="The loss", tolerance=1e-6,
)  # fmt: skip
loss.mistake("The sign is wrong: a loss goes down.", lambda n, o, a, m: -clipped_loss(n, o, a, m))
loss.mistake(
    "The mean is over all tokens, so that long answers count more: take each answer's mean first.",
    lambda n, o, a, m: clipped_loss(n, o, a, m, mean=tokens_mean),
)
loss.mistake(
    "Each answer's sum is divided by the width of the batch, padding too: divide by the answer's own tokens.",
    lambda n, o, a, m: clipped_loss(n, o, a, m, mean=lambda each, mask: (each * mask).mean(1).mean()),
)
loss.mistake(
    "The mask is not used: padding is learned.",
    lambda n, o, a, m: clipped_loss(n, o, a, torch.ones_like(m)),
)
loss.mistake(
    "Answers' tokens are added up, not averaged: take the mean over each answer's tokens.",
    lambda n, o, a, m: clipped_loss(n, o, a, m, mean=lambda each, mask: (each * mask).sum(1).mean()),
)
loss.mistake(
    "Answers are added up: take their mean.",
    lambda n, o, a, m: clipped_loss(n, o, a, m, mean=lambda each, mask: ((each * mask).sum(1) / mask.sum(1)).sum()),
)
loss.mistake(
    "Nothing is clipped.",
    lambda n, o, a, m: -answers_mean((n - o).exp() * a[:, None], m),
)
loss.mistake(
    "Only the clipped ratio is used: what went the wrong way must keep its gradient. Take the smaller of the two.",
    lambda n, o, a, m: -answers_mean((n - o).exp().clamp(LOW, HIGH) * a[:, None], m),
)
loss.mistake(
    "The larger of the two is taken: it is the smaller, whatever the sign of A.",
    lambda n, o, a, m: (
        -answers_mean(torch.maximum((n - o).exp() * a[:, None], (n - o).exp().clamp(LOW, HIGH) * a[:, None]), m)
    ),
)
loss.mistake("The ratio is upside down: new over old.", lambda n, o, a, m: clipped_loss(o, n, a, m))
loss.mistake(
    "The ratio is a difference of logarithms: take exp of it.",
    lambda n, o, a, m: -answers_mean(torch.minimum((n - o) * a[:, None], (n - o).clamp(LOW, HIGH) * a[:, None]), m),
)
loss.mistake(
    "The upper side of the clip is 0.2 as well: it is 0.28.", lambda n, o, a, m: clipped_loss(n, o, a, m, high=1.2)
)
loss.mistake(
    "The lower side of the clip is 0.28 as well: it is 0.2.", lambda n, o, a, m: clipped_loss(n, o, a, m, low=0.72)
)
loss.mistake(
    "The two sides are exchanged: 0.2 below, 0.28 above.",
    lambda n, o, a, m: clipped_loss(n, o, a, m, low=0.72, high=1.2),
)
loss.mistake(
    "This is −A log π, without ratio and clip.",
    lambda n, o, a, m: -answers_mean(n * a[:, None], m),
)
loss.mistake(
    "The ratio is of whole answers, as in RLOO: here each token has its own.",
    lambda n, o, a, m: clipped_loss(((n - o) * m).sum(1, keepdim=True).expand_as(n), torch.zeros_like(o), a, m),
)
