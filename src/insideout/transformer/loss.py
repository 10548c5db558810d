"""The loss of a language model: surprise at the next token, -log p(next | before), in nats.

Taught in book/2-building-a-transformer/. Shapes: B batch, T positions, V vocabulary.
"""

from jaxtyping import Float, Int
from torch import Tensor, nn
from torch.nn import functional as F

from insideout.data.batch import IGNORE, Batch
from insideout.transformer import kernels as backward

__all__ = ["IGNORE", "cross_entropy", "next_token_loss", "token_logprobs"]


def next_token_loss(
    model: nn.Module, batch: Batch | tuple[Int[Tensor, "B T"], Int[Tensor, "B T"]]
) -> tuple[Float[Tensor, ""], int | float]:
    """Summed cross-entropy over the targets, and how many there were; their ratio is the mean loss in nats.

    A batch is documents in rows, or (ids, the token after each). Where its targets have weights, both are weighted.
    """
    if not isinstance(batch, Batch):
        ids, targets = batch
        logits, weights = model(ids), None  # (B, T, V)
    else:
        logits, targets, weights = model(batch.ids, **batch.reading), batch.targets, batch.weights
    if weights is not None:
        return -(weights * token_logprobs(logits, targets)).sum(), float(weights.sum())
    total = cross_entropy(logits.flatten(0, 1), targets.flatten())
    return total, int((targets != IGNORE).sum())


def token_logprobs(logits: Float[Tensor, "B T V"], targets: Int[Tensor, "B T"]) -> Float[Tensor, "B T"]:
    """log softmax(logits)[target] at every position, in nats; 0 where there is no target."""
    counted = targets != IGNORE
    scores = backward.exact(logits)
    right = scores.gather(-1, targets.where(counted, 0)[..., None]).squeeze(-1)  # (B, T)
    return (right - scores.logsumexp(dim=-1)).where(counted, 0)


def cross_entropy(logits: Float[Tensor, "N V"], targets: Int[Tensor, " N"]) -> Float[Tensor, ""]:
    """Σ -log softmax(logits)[target] over the rows that have a target. Logits of 16 bits are summed in 32."""
    if backward.on_cpu(logits):
        total: Tensor = backward.CrossEntropy.apply(logits, targets, IGNORE)  # type: ignore[no-untyped-call]
        return total
    return F.cross_entropy(backward.exact(logits), targets, ignore_index=IGNORE, reduction="sum")
