"""The loss of a language model: surprise at the next token, -log p(next | before), in nats.

Taught in book/2-building-a-transformer/. Shapes: B batch, T positions, V vocabulary.
"""

from jaxtyping import Float, Int
from torch import Tensor, nn
from torch.nn import functional as F

from insideout.transformer import kernels as backward

IGNORE = -100
"""A target that is not predicted: padding, or a prompt that is only read."""


def next_token_loss(
    model: nn.Module, batch: tuple[Int[Tensor, "B T"], Int[Tensor, "B T"]]
) -> tuple[Float[Tensor, ""], int]:
    """Summed cross-entropy over the targets, and how many there were; their ratio is the mean loss in nats."""
    ids, targets = batch
    logits = model(ids)  # (B, T, V)
    total = cross_entropy(logits.flatten(0, 1), targets.flatten())
    return total, int((targets != IGNORE).sum())


def cross_entropy(logits: Float[Tensor, "N V"], targets: Int[Tensor, " N"]) -> Float[Tensor, ""]:
    """Σ -log softmax(logits)[target] over the rows that have a target. Logits of 16 bits are summed in 32."""
    if backward.on_cpu(logits):
        total: Tensor = backward.CrossEntropy.apply(logits, targets, IGNORE)  # type: ignore[no-untyped-call]
        return total
    return F.cross_entropy(backward.exact(logits), targets, ignore_index=IGNORE, reduction="sum")
