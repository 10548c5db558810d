"""What a head looks at: the token before, or what followed the last time this token was here.

    previous token score:   mean over t of  pattern[t, t - 1]
    induction score:        mean over t of  Σ_k pattern[t, t - k p + 1]        in a text that repeats every p tokens

An induction head finds earlier places where the present token stood and reads the token after them, which is what
should come next. On random tokens that repeat, nothing else can tell it where to look. It needs a head in an earlier
layer that looks at the token before (Elhage et al. 2021).
Taught in book/2-building-a-transformer/10_interpretability.md. Sources: Elhage et al. 2021; Olsson et al. 2022
(prefix matching). Shapes: L layers, B batch, H heads, T query positions, S key positions.
"""

from collections.abc import Sequence

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from insideout.errors import BadInput
from insideout.transformer.interpret.hooks import record
from insideout.transformer.model import GPT


def previous_token_scores(model: GPT, ids: Int[Tensor, "B T"]) -> Float[Tensor, "L H"]:
    """How much of each head's attention goes to the token before, averaged over positions from 1 on. From 0 to 1.

    Raises BadInput for texts of a single token.
    """
    if ids.shape[1] < 2:
        raise BadInput("A text of one token has no token before: give at least two.")
    patterns = record(model, ids, "*.pattern")  # L times (B, H, T, S)
    return torch.stack([pattern.diagonal(-1, dim1=-2, dim2=-1).mean(dim=(0, 2)) for pattern in patterns.values()])


def induction_scores(
    model: GPT, ids: Int[Tensor, "B T"], period: int | Sequence[int] | Int[Tensor, " B"]
) -> Float[Tensor, "L H"]:
    """Prefix matching: how much attention goes to the tokens that followed this one in earlier repeats. From 0 to 1.

    `ids` are rows that repeat every `period` tokens, from their first token on; `period` is one number or one for each
    row. The attention to all earlier repeats is added up, then averaged over every position that has one.
    Use random tokens: in real text a head may look there for other reasons. A head that spreads its attention evenly
    over its past scores a little less than 1 / period. Raises BadInput for rows that do not repeat as told.
    """
    periods = _periods(ids, period)  # (B,)
    target = _followers(periods, ids.shape[1])  # (B, T, S)
    n_repeated = target.any(dim=-1).sum()  # over all rows
    patterns = record(model, ids, "*.pattern")  # L times (B, H, T, S)
    return torch.stack([(p * target[:, None]).sum(dim=(0, 2, 3)) / n_repeated for p in patterns.values()])


def _followers(periods: Int[Tensor, " B"], n_positions: int) -> Bool[Tensor, "B T S"]:
    """True where key s follows an earlier copy of the token at t: s - 1 = t - k p for a k of 1 or more."""
    t = torch.arange(n_positions, device=periods.device)
    back = t[:, None] - (t - 1)  # (T, S): from query t to the left neighbour of key s
    has_left_neighbour = t > 0  # (S,)
    return (back > 0) & (back % periods[:, None, None] == 0) & has_left_neighbour


def _periods(ids: Int[Tensor, "B T"], period: int | Sequence[int] | Int[Tensor, " B"]) -> Int[Tensor, " B"]:
    """One period for each row, after a look at the rows."""
    n_rows, n_positions = ids.shape
    periods = torch.as_tensor(period, device=ids.device)
    if periods.dim() == 0:
        periods = periods.expand(n_rows)
    if periods.shape != (n_rows,):
        raise BadInput(f"There are {len(periods)} periods for {n_rows} rows: give one for each row, or one for all.")
    for row, p in enumerate(periods.tolist()):
        if not 2 <= p < n_positions:
            raise BadInput(
                f"The period of row {row} is {p}: it must be at least 2 and less than the row's {n_positions} tokens."
            )
        if not torch.equal(ids[row, p:], ids[row, :-p]):
            raise BadInput(
                f"Row {row} does not repeat every {p} tokens: give rows that are copies of their first tokens, "
                "and each row's own period."
            )
    return periods
