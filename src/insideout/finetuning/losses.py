"""Losses of preferences: one loss, one function, one paper.

    dpo(policy_chosen, policy_rejected, reference_chosen, reference_rejected, beta=0.1)      one loss a pair, (B,)

Each takes log-probabilities of whole answers, summed over their tokens (log π(y|x), in nats), under the policy that is
trained and, where it has one, under the reference that is not. Each gives a loss a pair, or an answer; the mean is
taken by whoever knows over how many. Shapes other than these would broadcast, and are refused.
Shapes: B pairs, or answers. σ is the logistic function.
Taught in book/3-fine-tuning-a-transformer/14_dpo.md, 15_the_dpo_family.md and 16_dpo_or_ppo.md. Used by the reward
model too.
"""

import torch
from jaxtyping import Bool, Float
from torch import Tensor
from torch.nn.functional import logsigmoid

from insideout.errors import BadInput
from insideout.finetuning.checks import check_mask, check_positive, check_shapes
from insideout.transformer.generation.inputs import real, whole

__all__ = [
    "bradley_terry", "centring", "dpo", "implicit_reward", "ipo", "kto", "kto_mismatches", "kto_reference_point",
    "orpo", "simpo",
]  # fmt: skip


def bradley_terry(
    chosen: Float[Tensor, " B"], rejected: Float[Tensor, " B"], margin: float | Float[Tensor, " B"] = 0.0
) -> Float[Tensor, " B"]:
    """−log σ(r_w − r_l − margin): surprise at the choice, of one who prefers w with probability σ(r_w − r_l).

    Source: Bradley and Terry 1952; Ouyang et al. 2022, eq. 1; the margin: Touvron et al. 2023 (Llama 2), eq. 2.
    """
    check_shapes(chosen=chosen, rejected=rejected)
    if isinstance(margin, Tensor) and margin.dim():
        check_shapes(chosen=chosen, margin=margin)
    return -logsigmoid(chosen - rejected - margin)


def centring(chosen: Float[Tensor, " B"], rejected: Float[Tensor, " B"]) -> Float[Tensor, " B"]:
    """(r_w + r_l)²: keeps rewards near 0. Only their differences are learned, so that else they may drift together.

    Source: Eisenstein et al. 2023 (Helping or herding).
    """
    check_shapes(chosen=chosen, rejected=rejected)
    return (chosen + rejected).square()


def implicit_reward(policy: Float[Tensor, " B"], reference: Float[Tensor, " B"], *, beta: float) -> Float[Tensor, " B"]:
    """β (log π − log π_ref): the reward for which the policy is the best one, up to a number that depends on x alone.

    Raises BadInput unless β is above 0. Source: Rafailov et al. 2023, eq. 5.
    """
    check_positive("beta", beta)
    check_shapes(policy=policy, reference=reference)
    return beta * (policy - reference)


def dpo(
    policy_chosen: Float[Tensor, " B"],
    policy_rejected: Float[Tensor, " B"],
    reference_chosen: Float[Tensor, " B"],
    reference_rejected: Float[Tensor, " B"],
    *,
    beta: float,
    label_smoothing: float = 0.0,
) -> Float[Tensor, " B"]:
    """−(1 − ε) log σ(m) − ε log σ(−m), where m is the chosen answer's implicit reward less the rejected one's.

    ε, `label_smoothing`, is the share of pairs that are believed to be the wrong way round: 0 for DPO, more for cDPO.
    A larger β holds the policy nearer the reference. A policy that is the reference has loss ln 2.
    Raises BadInput unless β is above 0 and ε in [0, 1/2).
    Source: Rafailov et al. 2023, eq. 7; cDPO: Mitchell 2023 (A note on DPO with noisy preferences).
    """
    if not 0 <= real("label_smoothing", label_smoothing) < 0.5:
        raise BadInput(f"label_smoothing is {label_smoothing}: it must be at least 0 and below 0.5, a share of errors.")
    check_shapes(policy_chosen=policy_chosen, policy_rejected=policy_rejected)
    margin = implicit_reward(policy_chosen, reference_chosen, beta=beta)
    margin = margin - implicit_reward(policy_rejected, reference_rejected, beta=beta)
    return -(1 - label_smoothing) * logsigmoid(margin) - label_smoothing * logsigmoid(-margin)


def ipo(
    policy_chosen: Float[Tensor, " B"],
    policy_rejected: Float[Tensor, " B"],
    reference_chosen: Float[Tensor, " B"],
    reference_rejected: Float[Tensor, " B"],
    *,
    beta: float,
) -> Float[Tensor, " B"]:
    """(h − 1 / (2β))², where h is how much more the policy prefers w to l than the reference does, in nats.

    A distance to a finite target, so that certain preferences are not driven without end. h is of whole answers, sums
    over tokens, as in the paper; trl and others take means over tokens instead, which makes the same β far stronger:
    to have that, give each log-probability divided by its answer's length. Raises BadInput unless β is above 0.
    Source: Azar et al. 2023, eq. 17 (β is the paper's τ).
    """
    check_positive("beta", beta)
    check_shapes(
        policy_chosen=policy_chosen, policy_rejected=policy_rejected, reference_chosen=reference_chosen,
        reference_rejected=reference_rejected,
    )  # fmt: skip
    gain = (policy_chosen - policy_rejected) - (reference_chosen - reference_rejected)
    return (gain - 1 / (2 * beta)).square()


def kto(
    policy: Float[Tensor, " B"],
    reference: Float[Tensor, " B"],
    desirable: Bool[Tensor, " B"],
    reference_point: Float[Tensor, ""],
    *,
    beta: float,
    desirable_weight: float = 1.0,
    undesirable_weight: float = 1.0,
) -> Float[Tensor, " B"]:
    """λ_D (1 − σ(β (r − z))) of a good answer, λ_U (1 − σ(β (z − r))) of a bad one, with r = log π − log π_ref.

    No pairs: each answer is called good or bad alone, and is measured against z, `kto_reference_point`.
    Raises BadInput unless β and both weights λ are above 0. Source: Ethayarajh et al. 2024, eq. 8.
    """
    for name, number in (("beta", beta), ("desirable_weight", desirable_weight),
                        ("undesirable_weight", undesirable_weight)):  # fmt: skip
        check_positive(name, number)
    check_mask(desirable, "desirable")
    check_shapes(policy=policy, reference=reference, desirable=desirable)
    if reference_point.dim():
        raise BadInput(f"The reference point has the shape {tuple(reference_point.shape)}: it is one number.")
    value = beta * (policy - reference - reference_point)  # (B,)
    return torch.where(desirable, desirable_weight * (-value).sigmoid(), undesirable_weight * value.sigmoid())


def kto_mismatches(n: int) -> list[int]:
    """For each of a batch's n prompts, whose answer it is read with for the reference point: the next one's.

    The last takes the first one's, so that none keeps its own, whatever n is. Raises BadInput for a batch of 1, in
    which there is no other answer.
    Source: Ethayarajh et al. 2024, §4.
    """
    n = whole("n", n, 0)
    if n < 2:
        raise BadInput(f"KTO reads each prompt with another one's answer, and this batch has {n}: give it at least 2.")
    return [(i + 1) % n for i in range(n)]


def kto_reference_point(policy: Float[Tensor, " B"], reference: Float[Tensor, " B"]) -> Float[Tensor, ""]:
    """max(0, mean of log π − log π_ref) over mismatched prompts and answers: about KL(π ‖ π_ref).

    A number: nothing is learned through it. The mean is of the whole batch: of an accumulated one, of all its parts.
    Source: Ethayarajh et al. 2024, §4.
    """
    check_shapes(policy=policy, reference=reference)
    if not len(policy):
        raise BadInput("KTO's reference point is a mean over answers, and there is none.")
    return (policy - reference).detach().mean().clamp_min(0)


def simpo(
    policy_chosen: Float[Tensor, " B"],
    policy_rejected: Float[Tensor, " B"],
    chosen_lengths: Float[Tensor, " B"],
    rejected_lengths: Float[Tensor, " B"],
    *,
    beta: float,
    gamma: float,
) -> Float[Tensor, " B"]:
    """−log σ(β (log π(w) / |w| − log π(l) / |l|) − γ): means over tokens, a margin, and no reference.

    Lengths are those of the tokens that were summed over. Raises BadInput unless β is above 0 and γ at least 0.
    Source: Meng et al. 2024 (SimPO), eq. 6.
    """
    check_positive("beta", beta)
    check_pairs(policy_chosen, policy_rejected, chosen_lengths, rejected_lengths)
    if not real("gamma", gamma) >= 0:
        raise BadInput(f"gamma is {gamma}: the margin must be at least 0.")
    return -logsigmoid(beta * (policy_chosen / chosen_lengths - policy_rejected / rejected_lengths) - gamma)


def orpo(
    policy_chosen: Float[Tensor, " B"],
    policy_rejected: Float[Tensor, " B"],
    chosen_lengths: Float[Tensor, " B"],
    rejected_lengths: Float[Tensor, " B"],
    *,
    weight: float,
) -> Float[Tensor, " B"]:
    """−mean log π of w, plus weight · −log σ(log odds(w) − log odds(l)): no reference.

    odds = p / (1 − p), with p = exp(mean log-probability of a token). Raises BadInput unless the weight is above 0.
    Source: Hong et al. 2024, eq. 6 and 7 (the weight is the paper's λ).
    """
    check_positive("weight", weight)
    check_pairs(policy_chosen, policy_rejected, chosen_lengths, rejected_lengths)
    chosen, rejected = policy_chosen / chosen_lengths, policy_rejected / rejected_lengths
    return -chosen - weight * logsigmoid(log_odds(chosen) - log_odds(rejected))


def log_odds(logprob: Float[Tensor, " B"]) -> Float[Tensor, " B"]:
    """log(p / (1 − p)), from log p; 1 − p by expm1, which keeps its digits near p = 1."""
    return logprob - (-torch.expm1(logprob)).log()


def check_pairs(chosen: Tensor, rejected: Tensor, chosen_lengths: Tensor, rejected_lengths: Tensor) -> None:
    """Raises BadInput unless all have one shape and every answer at least one token."""
    check_shapes(
        policy_chosen=chosen, policy_rejected=rejected, chosen_lengths=chosen_lengths, rejected_lengths=rejected_lengths
    )
    shortest = min((float(lengths.min()) for lengths in (chosen_lengths, rejected_lengths) if len(lengths)), default=1)
    if not shortest >= 1:
        raise BadInput(f"An answer has {shortest:g} tokens: a mean over tokens must be over at least 1.")
