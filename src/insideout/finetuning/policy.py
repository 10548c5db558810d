"""Losses of a policy that learns from its own answers: REINFORCE, PPO, the critic's, entropy.

    ratio = π(token) / π_old(token)        loss = −min(ratio · A, clip(ratio, 1 − ε, 1 + ε) · A)

One number a token, (B, T) as given; whoever calls sums over the mask, and divides by the whole batch's count once
(training/objective.py). Log-probabilities are those of the distribution that was drawn from, temperature and all.
Taught in book/3-fine-tuning-a-transformer/09_policy_gradients.md and 10_ppo.md.
"""

import torch
from jaxtyping import Bool, Float
from torch import Tensor

from insideout.errors import BadInput
from insideout.finetuning.checks import check_shapes

__all__ = ["clipped", "entropy", "ppo", "reinforce", "value_loss"]


def reinforce(logprobs: Float[Tensor, "*shape"], advantages: Float[Tensor, "*shape"]) -> Float[Tensor, "*shape"]:
    """−A log π: its gradient, over answers drawn from π, is that of minus the expected reward.

    Advantages are numbers, not learned through. Source: Williams 1992.
    """
    check_shapes(logprobs=logprobs, advantages=advantages)
    return -advantages.detach() * logprobs


def ppo(
    logprobs: Float[Tensor, "*shape"],
    old_logprobs: Float[Tensor, "*shape"],
    advantages: Float[Tensor, "*shape"],
    *,
    clip: float = 0.2,
    clip_high: float | None = None,
) -> Float[Tensor, "*shape"]:
    """−min(ratio · A, clip(ratio, 1 − ε, 1 + ε') · A), a loss.

    The minimum, whatever the sign of A: what would gain by going on outside the interval has no gradient there, what
    went the wrong way always has one. Nothing keeps the ratio inside. ε' is `clip_high`, and ε where that is None.
    Raises BadInput unless ε lies in (0, 1) and ε' above 0.
    Source: Schulman et al. 2017 (PPO), eq. 7; the wider upper side: Yu et al. 2025 (DAPO), §3.1.
    """
    ratio, low, high = interval(logprobs, old_logprobs, clip, clip_high)
    check_shapes(logprobs=logprobs, advantages=advantages)
    advantages = advantages.detach()
    return -torch.minimum(ratio * advantages, ratio.clamp(low, high) * advantages)


def clipped(
    logprobs: Float[Tensor, "*shape"],
    old_logprobs: Float[Tensor, "*shape"],
    advantages: Float[Tensor, "*shape"],
    *,
    clip: float = 0.2,
    clip_high: float | None = None,
) -> Bool[Tensor, "*shape"]:
    """Where PPO's loss has no gradient any more: too likely already with A > 0, too unlikely with A < 0."""
    ratio, low, high = interval(logprobs, old_logprobs, clip, clip_high)
    check_shapes(logprobs=logprobs, advantages=advantages)
    return ((ratio > high) & (advantages > 0)) | ((ratio < low) & (advantages < 0))


def interval(
    logprobs: Float[Tensor, "*shape"], old_logprobs: Float[Tensor, "*shape"], clip: float, clip_high: float | None
) -> tuple[Float[Tensor, "*shape"], float, float]:
    """The ratio, and between which values it is followed."""
    check_shapes(logprobs=logprobs, old_logprobs=old_logprobs)
    above = clip if clip_high is None else clip_high
    if not 0 < clip < 1 or not 0 < above < float("inf"):
        raise BadInput(f"The clip is {clip} below and {above} above: it must lie between 0 and 1, and above 0.")
    return (logprobs - old_logprobs.detach()).exp(), 1 - clip, 1 + above


def value_loss(
    values: Float[Tensor, "*shape"],
    old_values: Float[Tensor, "*shape"],
    returns: Float[Tensor, "*shape"],
    *,
    clip: float | None = None,
) -> Float[Tensor, "*shape"]:
    """½ (V − R)²; with a clip, the larger of that and of ½ (V' − R)², where V' stays within `clip` of the old value.

    Returns are numbers, not learned through. Raises BadInput unless the clip is above 0.
    Source: Schulman et al. 2017, eq. 9; the clip is not in the paper but in its code (Huang et al. 2022, detail 9).
    """
    check_shapes(values=values, old_values=old_values, returns=returns)
    plain = (values - returns.detach()).square() / 2
    if clip is None:
        return plain
    if not clip > 0:
        raise BadInput(f"The critic's clip is {clip}: it must be above 0, or None for no clipping.")
    near = old_values.detach() + (values - old_values.detach()).clamp(-clip, clip)
    return torch.maximum(plain, (near - returns.detach()).square() / 2)


def entropy(logits: Float[Tensor, "*shape V"]) -> Float[Tensor, "*shape"]:
    """H = −Σ p log p of softmax(logits), in nats. A token whose logit is −∞ adds nothing.

    Source: Shannon 1948; as a bonus, against a policy that stops exploring: Williams and Peng 1991.
    """
    logprobs = logits.log_softmax(-1)
    possible = logits > -torch.inf
    return -(logprobs.exp() * torch.where(possible, logprobs, 0)).sum(-1)
