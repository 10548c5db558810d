"""Advantages of a group: an answer is as good as it is better than the others to the same prompt. No critic.

    A_i = (r_i − mean r) / std r           GRPO            aggregated as the mean over answers of means over tokens
    A_i =  r_i − mean r                    Dr. GRPO        aggregated as the sum over tokens / (answers · constant)
    A_i =  r_i − mean of the others        RLOO            finetuning.advantages.leave_one_out
                                           DAPO            GRPO's, aggregated as the mean over all tokens of the batch

So GRPO and its kin are three choices: the advantage, the ratio (policy.ppo, with one clip or two), the aggregation.
What is aggregated are a loss for each token and the mask that says which tokens were drawn; the result is a sum and a
count, so that a batch cut into parts gives the gradient of the whole (training/objective.py).
Shapes: P prompts, G answers to each; B = P · G answers, T positions.
Used in part 4, by the chapter on GRPO. Sources: Shao et al. 2024 (DeepSeekMath), §4.1; Liu et al. 2025 (Understanding
R1-Zero-like training), §3; Yu et al. 2025 (DAPO), §3.
"""

from typing import Literal, get_args

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from insideout.errors import BadInput
from insideout.finetuning.checks import check_mask, check_positive, check_shapes
from insideout.transformer.generation.inputs import real, whole

__all__ = ["Aggregation", "Scale", "aggregated", "group_advantages", "mixed", "overlong"]

Scale = Literal["group", "batch", "none"]
Aggregation = Literal["sequence", "token", "constant"]


def group_advantages(
    rewards: Float[Tensor, "P G"], *, scale: Scale = "none", epsilon: float = 1e-4
) -> Float[Tensor, "P G"]:
    """Each answer's reward less its group's mean, divided by a deviation + ε, or by nothing.

    `scale`: group, the deviation of its own group (GRPO: groups that nearly all agree weigh most); batch, that of all
    rewards; none (Dr. GRPO). Deviations are of a sample (n − 1), as trl's are. Where all answers of a group have one
    reward, it has nothing to tell: its advantages are exactly 0.
    Raises BadInput for a group of one answer, rewards that are not finite, and an ε below 0.
    Source: Shao et al. 2024, §4.1.2; Liu et al. 2025, §3.2.
    """
    check_groups(rewards)
    if scale not in get_args(Scale):
        raise BadInput(f"There is no scale {scale!r} of advantages: choose {', '.join(get_args(Scale))}.")
    if real("epsilon", epsilon) < 0:
        raise BadInput(f"epsilon is {epsilon}: it must be at least 0.")
    centred = torch.where(mixed(rewards)[:, None], rewards - rewards.mean(-1, keepdim=True), 0)  # (P, G)
    if scale == "none":
        return centred
    deviation = rewards.std(-1, keepdim=True) if scale == "group" else rewards.std()  # (P, 1) or ()
    return torch.where(centred == 0, 0, centred / (deviation + epsilon))


def mixed(rewards: Float[Tensor, "P G"]) -> Bool[Tensor, " P"]:
    """Which groups teach something: those whose answers do not all have one reward.

    Without the others a batch is smaller; drawing prompts until it is full again is DAPO's dynamic sampling.
    Source: Yu et al. 2025, §3.2.
    """
    check_groups(rewards)
    return rewards.amax(-1) > rewards.amin(-1)


def aggregated(
    losses: Float[Tensor, "B T"], mask: Bool[Tensor, "B T"], how: Aggregation, *, length: int | None = None
) -> tuple[Float[Tensor, ""], int]:
    """(Σ, count): the loss is the one divided by the other, over all parts of a batch.

    sequence: of means over each answer's tokens, over answers (GRPO): a token of a long answer weighs less, so that a
    long wrong answer is punished less for each. token: over all tokens (DAPO; trl's bnpo and dapo): long answers weigh
    more. constant: sums over tokens divided by `length`, over answers (Dr. GRPO): all tokens weigh the same in every
    batch; `length` is the most that an answer may have.
    An answer of which no token is in the mask has no mean and does not count in sequence; in constant it does.
    Raises BadInput for a mask without any token, and where `length` is missing, or too small or too much.
    Source: Shao et al. 2024, eq. 3; Yu et al. 2025, §3.3; Liu et al. 2025, §3.2.
    """
    check_shapes(losses=losses, mask=mask)
    check_mask(mask)
    if how not in get_args(Aggregation):
        raise BadInput(f"There is no aggregation {how!r}: choose {', '.join(get_args(Aggregation))}.")
    if (how == "constant") != (length is not None):
        raise BadInput("The aggregation by a constant needs the length of the longest answer, and no other one does.")
    n_tokens = mask.sum(-1)  # (B,)
    if not bool(n_tokens.any()):
        raise BadInput("The mask has no token: there is nothing to learn from.")
    sums = torch.where(mask, losses, 0).sum(-1)  # (B,)
    if how == "token":
        return sums.sum(), int(n_tokens.sum())
    if how == "sequence":
        return (sums / n_tokens.clamp_min(1)).sum(), int((n_tokens > 0).sum())
    longest = int(n_tokens.max())
    return (sums / whole("length", length, longest)).sum(), len(mask)


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


def check_groups(rewards: Tensor) -> None:
    """Raises BadInput unless these are finite rewards of groups of two answers at least."""
    if rewards.dim() != 2:
        raise BadInput(f"The rewards have the shape {tuple(rewards.shape)}: give (P, G), a row of answers a prompt.")
    if rewards.shape[1] < 2:
        raise BadInput(
            f"A group has {rewards.shape[1]} answer: it is compared with the others to its prompt, so draw at least 2."
        )
    if not bool(torch.isfinite(rewards).all()):
        raise BadInput("A reward is not a finite number: an answer that could not be judged gets no reward, not nan.")
