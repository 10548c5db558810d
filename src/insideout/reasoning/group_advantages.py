"""Groups of answers to one prompt, each as good as it is better than the others: what GRPO needs beside its advantages.

The advantages themselves, and what they are learned by, are choices of `finetuning.policy_training`:

    group_std    A_i = (r_i − mean r) / std r         GRPO            aggregation answer_mean
    group_mean   A_i =  r_i − mean r                  Dr. GRPO        aggregation constant
    group_std                                         DAPO            aggregation token_mean, ratio_clip_high 0.28

Here stand: trl's deviation, which is another one; that of a whole batch; which groups teach something, and drawing on
until enough do; what an answer pays that is too long; and weights for answers that another policy drew.
Shapes: P prompts, G answers to each.
Taught in book/4-reasoning-with-transformers/09_grpo.md and 10_what_grpo_changes.md.
Sources: Shao et al. 2024 (DeepSeekMath), §4.1; Yu et al. 2025 (DAPO), §3.
"""

from collections.abc import Callable
from typing import Literal, NamedTuple, get_args

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from insideout.errors import BadInput
from insideout.finetuning.advantages import group_mean, group_size
from insideout.finetuning.checks import check_positive, check_shapes
from insideout.transformer.generation.inputs import real, whole

__all__ = ["Filled", "filled", "mixed", "overlong", "scaled", "truncated_weights"]


def scaled(
    rewards: Float[Tensor, "P G"], by: Literal["group", "batch"] = "group", *, epsilon: float = 1e-4
) -> Float[Tensor, "P G"]:
    """Each answer's reward less its group's mean, over a sample's deviation (n − 1) + ε: as trl computes it.

    By its group's deviation it is trl's GRPO: √((G − 1)/G) of `group_std`, but for ε. By that of all rewards it is
    trl's scale_rewards="batch", in which groups that nearly all agree do not weigh more than others. Where a group's
    answers all have one reward, advantages are exactly 0.
    Raises BadInput for a group of one answer, rewards that are not finite, and an ε below 0.
    """
    if by not in get_args(Literal["group", "batch"]):
        raise BadInput(f"Advantages are scaled by the deviation of their group or of the batch, not by {by!r}.")
    if real("epsilon", epsilon) < 0:
        raise BadInput(f"epsilon is {epsilon}: it must be at least 0.")
    centred = torch.where(mixed(rewards)[:, None], group_mean(rewards), 0)  # (P, G)
    deviation = rewards.std(-1, keepdim=True) if by == "group" else rewards.std()  # (P, 1) or ()
    return torch.where(centred == 0, 0, centred / (deviation + epsilon))


def mixed(rewards: Float[Tensor, "P G"]) -> Bool[Tensor, " P"]:
    """Which groups teach something: those whose answers do not all have one reward.

    Without the others a batch is smaller; drawing prompts until it is full again is DAPO's dynamic sampling.
    Raises BadInput for a group of one answer, and rewards that are not finite. Source: Yu et al. 2025, §3.2.
    """
    group_size(rewards)
    return rewards.amax(-1) > rewards.amin(-1)


def overlong(
    lengths: Int[Tensor, "*shape"], *, max_length: int, margin: int, penalty: float = 1.0
) -> Float[Tensor, "*shape"]:
    """What is added to the reward of an answer so long: 0 up to max_length − margin, falling to −penalty at max_length.

    Beyond it stays −penalty. So an answer that was almost cut off is told from one that was; a truncated one gets the
    whole penalty, or is masked, never both. Raises BadInput unless 0 < margin ≤ max_length and the penalty is above 0.
    Source: Yu et al. 2025 (DAPO), eq. 13 (the margin is L_cache).
    """
    most = whole("max_length", max_length, 1)
    width = whole("margin", margin, 1, most)
    check_positive("penalty", penalty)
    over = (lengths - (most - width)).clamp(0, width)
    return -penalty * over.float() / width


class Filled(NamedTuple):
    """A batch in which every group teaches something."""

    kept: list[int]
    """The numbers of the groups that do."""
    drawn: int
    """How many groups were drawn for it: what it cost."""


def filled(draw: Callable[[int], Float[Tensor, " G"]], n: int, *, most: int) -> Filled:
    """Draws groups 0, 1, 2, … until n of them are mixed, or `most` were drawn: DAPO's dynamic sampling.

    `draw(number)` gives the rewards of a group. What is thrown away was paid for: compare by `drawn`, not by updates.
    Raises BadInput unless n is at least 1 and `most` at least n. Source: Yu et al. 2025 (DAPO), §3.2.
    """
    wanted, limit = whole("n", n, 1), whole("most", most, whole("n", n, 1))
    kept: list[int] = []
    for number in range(limit):
        if bool(mixed(draw(number)[None])[0]):
            kept.append(number)
        if len(kept) == wanted:
            return Filled(kept, number + 1)
    return Filled(kept, limit)


def truncated_weights(
    logprobs: Float[Tensor, "*shape"], behaviour_logprobs: Float[Tensor, "*shape"], *, cap: float
) -> Float[Tensor, "*shape"]:
    """min(π / μ, cap), numbers without a gradient: for what μ drew and π learns.

    μ is whatever really drew: an older policy, or the same one in rounded numbers. Without a cap the weighted gradient
    is right on average, and a few answers decide it; the cap trades noise for bias.
    Raises BadInput unless the cap is above 0. Source: Ionides 2008; for policies, Espeholt et al. 2018 (IMPALA), §4.1.
    """
    check_shapes(logprobs=logprobs, behaviour_logprobs=behaviour_logprobs)
    check_positive("cap", cap)
    return (logprobs - behaviour_logprobs).detach().exp().clamp(max=cap)
