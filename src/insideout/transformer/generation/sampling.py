"""From scores to a token: a temperature, filters, one draw.

    p = softmax(logits / temperature), cut to top_k, top_p or min_p

Taught in book/2-building-a-transformer/06_complete_model.md. Sources: Fan et al. 2018 (top-k); Holtzman et al. 2020
(top-p); Nguyen et al. 2024 (min-p). Shapes: B batch, V vocabulary, n draws.
"""

import math
from collections.abc import Sequence

import torch
from jaxtyping import Float, Int
from torch import Tensor
from torch.nn import functional as F

from insideout.errors import BadInput
from insideout.transformer.generation.inputs import check_sampling

SMALLEST = torch.finfo(torch.float32).tiny
"""Temperatures below this do as this one does: 1 / temperature must not overflow."""


def filtered_probabilities(
    logits: Float[Tensor, "*batch V"],
    temperature: float = 1.0,
    top_k: int | None = None,
    top_p: float | None = None,
    min_p: float | None = None,
) -> Float[Tensor, "*batch V"]:
    """The distribution that is drawn from. Rows sum to 1; the most likely token always stays.

    top_k keeps the k most likely tokens and what is as likely as the k-th, top_p the fewest whose probabilities reach
    p, min_p those at least min_p times as likely as the best. They apply in this order, each on the renormalised rest.
    temperature 0 puts all on the best token. Computed in 32 bits, in 64 if the logits have them.
    Raises BadInput for a setting out of range.
    """
    check_sampling(temperature, top_k, top_p, min_p)
    temperature = float(temperature)
    top_p, min_p = (None if each is None else float(each) for each in (top_p, min_p))
    scores = logits if logits.dtype == torch.float64 else logits.float()
    if temperature == 0:
        return F.one_hot(scores.argmax(-1), scores.shape[-1]).to(scores.dtype)
    if temperature != 1:  # the largest becomes 0, so that a small temperature lets nothing overflow
        scores = (scores - scores.amax(dim=-1, keepdim=True)) / max(temperature, SMALLEST)
    probabilities = scores.softmax(dim=-1)
    if top_k is not None:
        kth = probabilities.topk(min(top_k, logits.shape[-1])).values[..., -1:]
        probabilities = probabilities.where(probabilities >= kth, 0)
        probabilities = probabilities / probabilities.sum(-1, keepdim=True)
    if top_p is not None and top_p < 1:
        ordered, order = probabilities.sort(dim=-1, descending=True, stable=True)
        reached_before = ordered.cumsum(-1) - ordered >= top_p  # the tokens ahead already reach p
        reached_before[..., 0] = False
        dropped = torch.zeros_like(reached_before).scatter(-1, order, reached_before)
        probabilities = probabilities.masked_fill(dropped, 0)
        probabilities = probabilities / probabilities.sum(-1, keepdim=True)
    if min_p is not None:
        best = probabilities.amax(-1, keepdim=True)
        probabilities = probabilities.where(probabilities >= min_p * best, 0)
        probabilities = probabilities / probabilities.sum(-1, keepdim=True)
    return probabilities


def choose(probabilities: Float[Tensor, "B V"], uniform: Float[Tensor, " B"]) -> Int[Tensor, " B"]:
    """The token whose stretch of the cumulative distribution holds the uniform number; rows need not sum to 1."""
    cumulative = probabilities.double().cumsum(-1)
    point = uniform.double()[:, None] * cumulative[:, -1:]
    return torch.searchsorted(cumulative, point, right=True).squeeze(1).clamp(max=probabilities.shape[1] - 1)


def uniforms(seeds: Sequence[int], n: int) -> Float[Tensor, "B n"]:
    """Numbers in [0, 1), each row from a generator of its own: it draws the same whatever stands beside it."""
    return torch.stack([torch.rand(n, generator=torch.Generator().manual_seed(seed)) for seed in seeds])


def check_scores(logits: Float[Tensor, "*batch V"]) -> None:
    """Raise BadInput where no token can be chosen: a score is NaN or ∞, or all of a row are -∞."""
    if not math.isfinite(float(logits.amax(-1).sum())):
        raise BadInput("The model's scores are not finite numbers: its weights hold NaN or ∞. Take another checkpoint.")
