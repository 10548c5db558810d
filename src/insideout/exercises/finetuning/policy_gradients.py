"""Exercises on policy gradients: the reward to go, the others' mean as a baseline, the exact gradient at one state.

Practised in book/3-fine-tuning-a-transformer/09_policy_gradients.md; the modules are insideout/finetuning/policy.py and
insideout/finetuning/advantages.py. Shapes: B answers, T steps, P questions, G answers to each, V tokens.
"""

import random

import torch
from torch import Tensor

from insideout.exercises.catalogue import Exercise
from insideout.exercises.drawing import tensor
from insideout.finetuning.advantages import leave_one_out as others_subtracted

# reward_to_go: rewards, mask -> what is still to come at each step


def draw_paid(rng: random.Random, B: int, T: int = 2) -> tuple[Tensor, Tensor]:
    """What was paid at each step, (B, T), and which steps belong to the answer: some of every row."""
    mask = torch.zeros(B, T, dtype=torch.bool)
    for row in range(B):
        begin = rng.randrange(T)
        mask[row, begin : begin + rng.randint(1, T)] = True
    return tensor(rng, B, T), mask


def to_go(rewards: Tensor, mask: Tensor) -> Tensor:
    return (rewards * mask).flip(1).cumsum(1).flip(1) * mask


reward_to_go = Exercise(
    "finetuning.policy_gradients.reward_to_go", stars=1, minutes=8, reference=to_go, draw=draw_paid,
    edges=[(torch.tensor([[1.0, 2.0, 4.0, 8.0]], dtype=torch.float64), torch.tensor([[False, True, True, False]]))],
    section="Rewards to go",
)  # fmt: skip
reward_to_go.mistake(
    "This is what was paid so far: a step needs what is still to come.",
    lambda rewards, mask: (rewards * mask).cumsum(1) * mask,
)
reward_to_go.mistake(
    "A step's own reward is missing: what is paid at the step counts too.",
    lambda rewards, mask: (to_go(rewards, mask) - rewards) * mask,
)
reward_to_go.mistake(
    "The mask is not used: what is paid outside the answer is counted, and steps outside it are given something.",
    lambda rewards, mask: to_go(rewards, torch.ones_like(mask)),
)
reward_to_go.mistake(
    "Steps outside the mask are given something: they must be 0.",
    lambda rewards, mask: (rewards * mask).flip(1).cumsum(1).flip(1),
)
reward_to_go.mistake(
    "What is paid outside the mask is counted: set it to 0 before the sum.",
    lambda rewards, mask: rewards.flip(1).cumsum(1).flip(1) * mask,
)
reward_to_go.mistake(
    "Every step gets the whole sum: what was paid before a step is not its doing.",
    lambda rewards, mask: (rewards * mask).sum(1, keepdim=True) * mask,
)
reward_to_go.mistake(
    "The sum runs over the answers of the batch: add along each row.",
    lambda rewards, mask: (rewards * mask).flip(0).cumsum(0).flip(0) * mask,
)
reward_to_go.mistake(
    "The row is still turned around: flip it back after the sum.",
    lambda rewards, mask: (rewards * mask).flip(1).cumsum(1) * mask,
)
reward_to_go.mistake("These are the rewards themselves: add up what follows.", lambda rewards, mask: rewards * mask)
reward_to_go.mistake(
    "The mask is inverted: True is what belongs to the answer.", lambda rewards, mask: to_go(rewards, ~mask)
)
reward_to_go.mistake(
    "This is a mean of what is still to come: the sum is asked for.",
    lambda rewards, mask: to_go(rewards, mask) / to_go(torch.ones_like(rewards), mask).clamp(min=1),
)

# leave_one_out: rewards -> each reward less the mean of the others in its row


def draw_groups(rng: random.Random, P: int, G: int = 2) -> tuple[Tensor]:
    """Rewards of G answers to each of P questions."""
    return (tensor(rng, P, G),)


def n_of(rewards: Tensor) -> int:
    return rewards.shape[1]


leave_one_out = Exercise(
    "finetuning.policy_gradients.leave_one_out", stars=2, minutes=8, reference=others_subtracted, draw=draw_groups,
    edges=[(torch.tensor([[1.0, 0.0, 0.0, 3.0]], dtype=torch.float64),)],
    section="A baseline from the other answers",
)  # fmt: skip
leave_one_out.mistake(
    "The answer's own reward is in its baseline: take the mean of the others only.",
    lambda rewards: rewards - rewards.mean(1, keepdim=True),
)
leave_one_out.mistake(
    "The sum of the others is divided by all of them: there is one less.",
    lambda rewards: rewards - (rewards.sum(1, keepdim=True) - rewards) / n_of(rewards),
)
leave_one_out.mistake(
    "The sum of all is divided by the number of others: the answer's own reward must come out of it first.",
    lambda rewards: rewards - rewards.sum(1, keepdim=True) / (n_of(rewards) - 1),
)
leave_one_out.mistake(
    "The others are those of the same column: answers to one question stand in a row.",
    lambda rewards: rewards - (rewards.sum(0, keepdim=True) - rewards) / max(len(rewards) - 1, 1),
)
leave_one_out.mistake(
    "The baseline is of all questions together: compare answers to one question.",
    lambda rewards: rewards - (rewards.sum() - rewards) / max(rewards.numel() - 1, 1),
)
leave_one_out.mistake(
    "The sign is wrong: better than the others is positive.", lambda rewards: -others_subtracted(rewards)
)
leave_one_out.mistake(
    "This is the baseline: subtract it from the rewards.", lambda rewards: rewards - others_subtracted(rewards)
)
leave_one_out.mistake(
    "The sum of the others is subtracted: it is their mean.",
    lambda rewards: rewards - (rewards.sum(1, keepdim=True) - rewards),
)
leave_one_out.mistake(
    "It is divided by the deviation of the group, which is another method's: only the mean is subtracted here.",
    lambda rewards: (rewards - rewards.mean(1, keepdim=True)) / rewards.std(1, correction=0, keepdim=True),
)
leave_one_out.mistake(
    "It is divided by the deviation of the group: only the others' mean is subtracted here.",
    lambda rewards: (rewards - rewards.mean(1, keepdim=True)) / rewards.std(1, keepdim=True),
)
leave_one_out.mistake(
    "The best of the group is subtracted, which has seen the answer: the mean of the others has not.",
    lambda rewards: rewards - rewards.max(1, keepdim=True).values,
)
leave_one_out.mistake(
    "The next answer alone is the baseline: take the mean of all others.", lambda rewards: rewards - rewards.roll(-1, 1)
)

# gradient: logits, rewards -> the gradient of the expected reward


def draw_bandit(rng: random.Random, V: int = 2) -> tuple[Tensor, Tensor]:
    """Logits and rewards of V tokens."""
    return tensor(rng, V), tensor(rng, V, deviation=2.0)


def exact_gradient(logits: Tensor, rewards: Tensor) -> Tensor:
    p = logits.softmax(-1)
    return p * (rewards - (p * rewards).sum())


gradient = Exercise(
    "finetuning.policy_gradients.gradient", stars=3, minutes=15, reference=exact_gradient, draw=draw_bandit,
    edges=[(torch.zeros(3, dtype=torch.float64), torch.tensor([1.0, 0.0, 0.0], dtype=torch.float64))],
    section="The gradient",
)  # fmt: skip
gradient.mistake(
    "Only the token's own term is there: through the softmax, raising one logit lowers all other probabilities.",
    lambda logits, rewards: logits.softmax(-1) * rewards,
)
gradient.mistake(
    "Each token counts alike: the expectation weighs them by their probability.",
    lambda logits, rewards: rewards - (logits.softmax(-1) * rewards).sum(),
)
gradient.mistake(
    "The plain mean of the rewards is subtracted: it is their mean under the policy.",
    lambda logits, rewards: logits.softmax(-1) * (rewards - rewards.mean()),
)
gradient.mistake(
    "This is p (1 − p) r, the softmax's derivative with itself alone: the other tokens' rewards matter too.",
    lambda logits, rewards: logits.softmax(-1) * (1 - logits.softmax(-1)) * rewards,
)
gradient.mistake(
    "The sign is wrong: this goes down the expected reward.",
    lambda logits, rewards: -exact_gradient(logits, rewards),
)
gradient.mistake(
    "This is the expected reward itself: its gradient is asked for.",
    lambda logits, rewards: (logits.softmax(-1) * rewards).sum(),
)
gradient.mistake(
    "The sum of the rewards is subtracted: it is their mean under the policy.",
    lambda logits, rewards: logits.softmax(-1) * (rewards - rewards.sum()),
)
gradient.mistake(
    "This is as if one token had been drawn, the likeliest: the expectation is over all of them.",
    lambda logits, rewards: (
        rewards[logits.argmax()] * (torch.eye(len(logits), dtype=logits.dtype)[logits.argmax()] - logits.softmax(-1))
    ),
)
gradient.mistake(
    "This is the gradient of Σ r log π, in which likely tokens do not count more.",
    lambda logits, rewards: rewards - logits.softmax(-1) * rewards.sum(),
)
gradient.mistake(
    "The probability stands in twice: ∇ log π already holds one division by it.",
    lambda logits, rewards: logits.softmax(-1) * exact_gradient(logits, rewards),
)
gradient.mistake(
    "The logits are taken for probabilities: softmax them first.",
    lambda logits, rewards: logits * (rewards - (logits * rewards).sum()),
)
gradient.mistake(
    "The expected reward is added instead of subtracted.",
    lambda logits, rewards: logits.softmax(-1) * (rewards + (logits.softmax(-1) * rewards).sum()),
)
