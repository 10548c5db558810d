"""Token shift: each token's vector takes with it a share of the vector of the token before it.

    x_t + g ⊙ x_{t−1}          g learned, one number a channel; nothing before a text's first token

To find what followed a word the last time, attention needs keys that know the word before them. Two layers can learn
that (an induction head); here the first layer has it from the start. Off by default, and no family of transformers has
a place for it. Taught in book/2-building-a-transformer/12_learning_faster.md. Source: Peng et al. 2023 (RWKV), §3.1,
which mixes so before every layer.
Shapes: B batch, T positions, C d_model.
"""

import torch
from jaxtyping import Float, Int
from torch import Tensor, nn
from torch.nn import functional as F


class TokenShift(nn.Module):
    """A learned share of the vector before."""

    def __init__(self, d_model: int) -> None:
        super().__init__()
        self.gain = nn.Parameter(torch.full((d_model,), 0.5))  # (C,)

    def forward(
        self, x: Float[Tensor, "B T C"], before: Float[Tensor, "B T C"], positions: Int[Tensor, "#B T"]
    ) -> Float[Tensor, "B T C"]:
        """`before` holds the vectors of the tokens one place earlier; at position 0 it is not looked at."""
        return x + self.gain * before * (positions > 0)[..., None]


def earlier(ids: Int[Tensor, "B T"]) -> Int[Tensor, "B T"]:
    """The token before each, within a text that begins here; before the first stands token 0, which nobody reads."""
    return F.pad(ids[:, :-1], (1, 0))
