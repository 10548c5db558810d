"""Advantages: by how much better it went than expected, for each token of an answer.

    δ_t = r_t + γ V_{t+1} − V_t          A_t = δ_t + γ λ A_{t+1}

Tokens that a mask leaves out (a prompt, padding, what was put and not drawn) are no steps: the step before them is
followed by the one behind them. Shapes: B answers, T positions, P prompts, G answers to each.
Taught in book/3-fine-tuning-a-transformer/09_policy_gradients.md and 10_ppo.md. Used in parts 3 and 4.
"""

import torch
from jaxtyping import Bool, Float
from torch import Tensor

from insideout.checks import check_finite, check_floating
from insideout.errors import BadInput
from insideout.finetuning.checks import check_mask, check_range, check_shapes
from insideout.transformer.generation.inputs import real

__all__ = ["gae", "group_mean", "group_std", "leave_one_out", "token_rewards", "whitened"]


def gae(
    rewards: Float[Tensor, "B T"],
    values: Float[Tensor, "B T"],
    mask: Bool[Tensor, "B T"],
    *,
    gamma: float,
    lam: float,
) -> Float[Tensor, "B T"]:
    """Generalised advantage estimates at the steps of the mask, 0 elsewhere; after the last step the value is 0.

    λ = 1 is the return less the value, unbiased and noisy; λ = 0 trusts the next value, quiet and biased. What the
    critic is to learn is the advantages plus the values. A reward outside the mask would be lost: it raises BadInput,
    as do γ and λ outside [0, 1]. Source: Schulman et al. 2016 (GAE), eq. 16.
    """
    for name, value in {"gamma": gamma, "lam": lam}.items():
        check_range(name, value, 0.0, 1.0)
    check_mask(mask)
    check_shapes(rewards=rewards, values=values, mask=mask)
    check_finite(rewards=rewards[mask], values=values[mask])
    if bool(rewards.masked_fill(mask, 0).any()):
        raise BadInput(
            "A reward stands at a token that the mask leaves out and would be lost: put it at a drawn token."
        )
    advantages = torch.zeros_like(rewards)
    next_value = torch.zeros_like(rewards[:, 0])  # (B,), of the step behind
    next_advantage = torch.zeros_like(next_value)
    for t in reversed(range(rewards.shape[1])):
        step = mask[:, t]
        delta = rewards[:, t] + gamma * next_value - values[:, t]
        advantage = delta + gamma * lam * next_advantage
        advantages[:, t] = torch.where(step, advantage, 0)
        next_advantage = torch.where(step, advantage, next_advantage)  # what is no step is passed over
        next_value = torch.where(step, values[:, t], next_value)
    return advantages


def token_rewards(
    scores: Float[Tensor, " B"], divergences: Float[Tensor, "B T"], mask: Bool[Tensor, "B T"], *, beta: float
) -> Float[Tensor, "B T"]:
    """−β · divergence at each step of the mask, and the answer's score at the last one: the stop token, if it stopped.

    `divergences` is k1, in nats. Raises BadInput for an answer without a step. Source: Ziegler et al. 2019, eq. 2;
    Ouyang et al. 2022, eq. 2.
    """
    check_mask(mask)
    check_shapes(divergences=divergences, mask=mask)
    check_floating(scores=scores)
    check_finite(scores=scores, divergences=divergences[mask])
    if scores.shape != mask.shape[:1]:
        raise BadInput(f"There are scores of shape {tuple(scores.shape)} for {len(mask)} answers: give one to each.")
    if real("beta", beta) < 0:
        raise BadInput(f"beta is {beta}: it must be at least 0, or going away from the reference is rewarded.")
    if not bool(mask.any(-1).all()):
        raise BadInput(f"Answer {int((~mask.any(-1)).nonzero()[0])} has no token in the mask to put its score at.")
    last = mask.shape[1] - 1 - mask.flip(-1).int().argmax(-1, keepdim=True)  # (B, 1)
    rewards = torch.where(mask, -beta * divergences, 0)
    return rewards.scatter_add(-1, last, scores[:, None].to(rewards.dtype))


def leave_one_out(rewards: Float[Tensor, "P G"]) -> Float[Tensor, "P G"]:
    """Each answer's reward less the mean reward of the other answers to its prompt.

    A baseline that does not depend on the answer itself, so that the gradient stays unbiased. Never divided by a
    deviation. Raises BadInput for one answer a prompt. Source: Kool et al. 2019; Ahmadian et al. 2024 (RLOO).
    """
    n = group_size(rewards)
    return rewards - (rewards.sum(-1, keepdim=True) - rewards) / (n - 1)


def group_mean(rewards: Float[Tensor, "P G"]) -> Float[Tensor, "P G"]:
    """Each answer's reward less the mean of its group, its own included: (G − 1)/G of `leave_one_out`.

    Raises BadInput for one answer a prompt. Source: Liu et al. 2025 (Dr. GRPO), §3.2.
    """
    group_size(rewards)
    return rewards - rewards.mean(-1, keepdim=True)


def group_std(rewards: Float[Tensor, "P G"]) -> Float[Tensor, "P G"]:
    """`group_mean` over the group's deviation; 0 where all its answers are worth the same.

    So a prompt that is nearly always, or nearly never, answered well weighs more than one in between.
    Raises BadInput for one answer a prompt. Source: Shao et al. 2024 (GRPO), §4.1.2.
    """
    centred = group_mean(rewards)
    deviation = rewards.std(-1, correction=0, keepdim=True)
    tiny = 8 * torch.finfo(rewards.dtype).eps * rewards.abs().amax(-1, keepdim=True)
    return torch.where(deviation > tiny, centred / deviation.clamp_min(torch.finfo(rewards.dtype).tiny), 0)


def group_size(rewards: Float[Tensor, "P G"]) -> int:
    """How many answers a prompt has. Raises BadInput for less than two, another shape, and what is not finite."""
    check_floating(rewards=rewards)
    if rewards.dim() != 2:
        raise BadInput(f"The rewards have the shape {tuple(rewards.shape)}: give (P, G), a row of answers a prompt.")
    n = rewards.shape[1]
    if n < 2:
        raise BadInput(f"Leaving one out needs other answers to the same prompt, and there is {n}: draw at least 2.")
    check_finite(rewards=rewards)  # beside nan every answer would seem to be worth the same
    return n


def whitened(advantages: Float[Tensor, "B T"], mask: Bool[Tensor, "B T"]) -> Float[Tensor, "B T"]:
    """Mean 0 and deviation 1 over the steps of the mask, 0 elsewhere; alike all, they become 0."""
    check_mask(mask)
    check_shapes(advantages=advantages, mask=mask)
    steps = advantages[mask]
    check_finite(advantages=steps)
    if steps.numel() == 0:
        raise BadInput("The mask has no step: there are no advantages to whiten.")
    centred = advantages - steps.mean()
    deviation = steps.std(correction=0)
    tiny = torch.finfo(deviation.dtype).eps * steps.abs().max()
    return torch.where(mask & (deviation > tiny), centred / deviation.clamp_min(torch.finfo(deviation.dtype).tiny), 0)
