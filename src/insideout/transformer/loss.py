"""The loss of a language model: surprise at the next token, -log p(next | before), in nats.

Taught in book/2-building-a-transformer/06_complete_model.md. Shapes: B batch, T positions, V vocabulary.
"""

import torch
from jaxtyping import Float, Int
from torch import Tensor, nn

from insideout.data.batch import IGNORE, Batch
from insideout.errors import BadInput
from insideout.transformer import kernels

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
    """log softmax(logits)[target] at every position, in nats; 0 where there is no target.

    Raises BadInput as `cross_entropy` does.
    """
    check_tensors(logits=logits, targets=targets)
    if logits.dim() != 3 or targets.shape != logits.shape[:2]:
        raise BadInput(
            f"Logits of shape {tuple(logits.shape)} and targets of shape {tuple(targets.shape)} do not fit: give "
            "(B, T, V) and (B, T)."
        )
    check_targets(logits, targets)
    counted = targets != IGNORE
    scores = kernels.exact(logits)
    right = scores.gather(-1, targets.where(counted, 0)[..., None]).squeeze(-1)  # (B, T)
    return (right - scores.logsumexp(dim=-1)).where(counted, 0)


def cross_entropy(logits: Float[Tensor, "N V"], targets: Int[Tensor, " N"]) -> Float[Tensor, ""]:
    """Σ -log softmax(logits)[target] over the rows that have a target. Logits of 16 bits are summed in 32.

    Raises BadInput unless there is one target a row, each an id of the vocabulary or IGNORE.
    """
    check_tensors(logits=logits, targets=targets)
    if logits.dim() != 2 or targets.shape != logits.shape[:1] or len(targets) == 0:
        raise BadInput(
            f"Logits of shape {tuple(logits.shape)} and targets of shape {tuple(targets.shape)} do not fit: give "
            "(N, V) and (N,), one target a row."
        )
    check_targets(logits, targets)
    return kernels.cross_entropy(logits, targets, IGNORE)


def check_tensors(**given: object) -> None:
    """Raises BadInput for lists, arrays and the like."""
    for name, each in given.items():
        if not isinstance(each, Tensor):
            raise BadInput(f"{name} is a {type(each).__name__}: give a torch tensor.")


def check_targets(logits: Float[Tensor, "*N V"], targets: Int[Tensor, "*N"]) -> None:
    """Raises BadInput unless logits are real numbers, and targets ids of the vocabulary or IGNORE."""
    if not logits.is_floating_point():
        raise BadInput(f"The logits' numbers are {logits.dtype}; they must be floating-point numbers.")
    if targets.dtype != torch.long:
        raise BadInput(f"The targets' numbers are {targets.dtype}; ids of tokens are torch.long.")
    if kernels.by_hand(logits, targets):  # elsewhere a look at the numbers would have to wait for the device
        strange = (targets != IGNORE) & ((targets < 0) | (targets >= logits.shape[-1]))
        if bool(strange.any()):
            raise BadInput(
                f"A target is {int(targets[strange][0])}, outside the vocabulary of {logits.shape[-1]} tokens: shift "
                f"the ids, or mark what is not predicted by {IGNORE}."
            )
