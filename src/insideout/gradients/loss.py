"""Mean cross-entropy over the positions that predict something.

    loss = −(1/N) Σ_t log softmax(logits_t)[target_t]        t over the N positions with a target

Taught in book/1-understanding-gradients/07_loss.md and 08_gradient_of_the_loss.md.
A target of None says that nothing is predicted there. With no target at all (a one-token sequence that is asked for
nothing) the loss is 0 and so is every gradient: there is nothing to be wrong about.
"""

from collections.abc import Sequence
from math import exp, log

from insideout.gradients.attention import softmax_row
from insideout.gradients.matrices import Matrix, shape


def next_token_targets(ids: Sequence[int]) -> list[int | None]:
    """At each position the token that follows it; None at the last, where nothing follows."""
    return [*ids[1:], None]


def check_targets(targets: Sequence[int | None], n_positions: int, vocab_size: int) -> int:
    """How many positions predict something; raises ValueError for a wrong length or a target outside the vocabulary."""
    if len(targets) != n_positions:
        raise ValueError(f"targets has length {len(targets)}, but there are {n_positions} positions")
    for t, target in enumerate(targets):
        if target is None:
            continue
        if isinstance(target, bool) or not isinstance(target, int):
            raise ValueError(f"targets[{t}] of the {len(targets)} targets is {target!r}: a target is an int or None")
        if not 0 <= target < vocab_size:
            raise ValueError(
                f"targets[{t}] is {target}, outside the vocabulary 0..{vocab_size - 1} (size {vocab_size})"
            )
    return sum(target is not None for target in targets)


def cross_entropy(logits: Matrix, targets: Sequence[int | None]) -> tuple[float, Matrix]:
    """(loss, probabilities T×V) from logits T×V and one target (or None) for each position."""
    t, v = shape(logits, "logits")
    n = check_targets(targets, t, v)
    total = 0.0
    for row, target in zip(logits, targets, strict=True):
        if target is not None:
            largest = max(row)  # log Σ e^z = max + log Σ e^(z − max): no overflow
            total += largest + log(sum(exp(z - largest) for z in row)) - row[target]
    return (total / n if n else 0.0), [softmax_row(row) for row in logits]


def cross_entropy_backward(probabilities: Matrix, targets: Sequence[int | None]) -> Matrix:
    """dlogits T×V of `cross_entropy`.

    One position's loss is L = log Σ_k e^{z_k} − z_target. Its derivative is
    ∂L/∂z_j = e^{z_j}/Σ_k e^{z_k} − [j = target] = p_j − [j = target]: what the model says minus what was true.
    The mean contributes 1/N:

        dlogits_tj = (P_tj − [j = target_t]) / N        and 0 at positions that predict nothing
    """
    t, v = shape(probabilities, "probabilities")
    n = check_targets(targets, t, v)
    dlogits: Matrix = []
    for row, target in zip(probabilities, targets, strict=True):
        if target is None:
            dlogits.append([0.0] * v)
        else:
            dlogits.append([(p - (j == target)) / n for j, p in enumerate(row)])
    return dlogits
