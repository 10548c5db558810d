"""How far a policy is from its reference, told from the tokens that it drew: k1, k2, k3; and exactly.

    d = log π − log π_ref of a token drawn from π         KL(π ‖ π_ref) = Σ π (log π − log π_ref)

| | its mean | its gradient's mean | lowest value |
|---|---|---|---|
| k1 = d | KL(π ‖ π_ref) | 0: as a loss it teaches nothing | none |
| k2 = d² / 2 | near it, if both are close | that of KL(π ‖ π_ref) | 0 |
| k3 = e^(−d) − 1 + d | KL(π ‖ π_ref) | that of KL(π_ref ‖ π) | 0 |

So a penalty within the reward takes k1 (its value is what counts), one within the loss k2. All three rows are facts of
one step that draws from π itself, and are tested by enumerating the tokens. In nats; one number a token.
Taught in book/3-fine-tuning-a-transformer/11_the_kl_leash.md. Source: Schulman 2020 (Approximating KL divergence); the
gradients: Tang and Munos 2025 (On a few pitfalls in KL divergence gradient estimation for RL).
"""

import torch
from jaxtyping import Float
from torch import Tensor

from insideout.checks import check_shapes
from insideout.errors import BadInput

__all__ = ["exact", "k1", "k2", "k3"]

ROUNDING = 2e-3
"""By how much the log of a sum of probabilities may differ from 0; of 16 bits by more."""


def k1(logprobs: Float[Tensor, "*shape"], reference_logprobs: Float[Tensor, "*shape"]) -> Float[Tensor, "*shape"]:
    """log π − log π_ref: unbiased; of either sign, and noisy."""
    check_shapes(logprobs=logprobs, reference_logprobs=reference_logprobs)
    return logprobs - reference_logprobs


def k2(logprobs: Float[Tensor, "*shape"], reference_logprobs: Float[Tensor, "*shape"]) -> Float[Tensor, "*shape"]:
    """½ (log π − log π_ref)²: never negative, biased in value, right in gradient."""
    check_shapes(logprobs=logprobs, reference_logprobs=reference_logprobs)
    return (logprobs - reference_logprobs).square() / 2


def k3(logprobs: Float[Tensor, "*shape"], reference_logprobs: Float[Tensor, "*shape"]) -> Float[Tensor, "*shape"]:
    """π_ref/π − 1 − log(π_ref/π): unbiased and never negative.

    By expm1, since near 0 the plain difference keeps no digits.
    """
    check_shapes(logprobs=logprobs, reference_logprobs=reference_logprobs)
    log_ratio = reference_logprobs - logprobs
    return torch.expm1(log_ratio) - log_ratio


def exact(
    logprobs: Float[Tensor, "*shape V"], reference_logprobs: Float[Tensor, "*shape V"]
) -> Float[Tensor, "*shape"]:
    """KL(π ‖ π_ref) of whole distributions: Σ π (log π − log π_ref) over the vocabulary.

    What π never says (log π = −∞) adds nothing; what it says and the reference never does makes it infinite.
    Raises BadInput for logits and the like, whose probabilities do not sum to 1.
    """
    check_shapes(logprobs=logprobs, reference_logprobs=reference_logprobs)
    for name, x in (("logprobs", logprobs), ("reference_logprobs", reference_logprobs)):
        apart = x.detach().float().logsumexp(-1).abs()  # (*shape,)
        if not bool((apart <= (ROUNDING if x.dtype in (torch.float32, torch.float64) else 16 * ROUNDING)).all()):
            raise BadInput(f"The probabilities of {name} do not sum to 1: give log-probabilities, x.log_softmax(-1).")
    possible = logprobs > -torch.inf
    difference = torch.where(possible, logprobs, 0.0) - torch.where(possible, reference_logprobs, 0.0)
    return (logprobs.exp() * difference).sum(-1)
