"""The head: from the last vector of a position to one logit for each token, with or without a cap.

    logits = W x                    capped:  cap · tanh(W x / cap)

A capped logit lies between -cap and cap: near 0 it is what it was, and far out it hardly moves. So no token's chance
can become so small that one surprise gives a huge loss, and the gradient of a score that has run away is small.
Taught in book/2-building-a-transformer/12_learning_faster.md. Source: Gemma Team 2024 (Gemma 2), §2.
Shapes: C d_model, V vocabulary.
"""

import torch
from jaxtyping import Float
from torch import Tensor, nn

from insideout.transformer.config import GPTConfig


class CappedLinear(nn.Linear):
    """A linear layer whose outputs are squeezed between -cap and cap."""

    def __init__(self, d_in: int, d_out: int, cap: float) -> None:
        super().__init__(d_in, d_out, bias=False)
        self.cap = cap

    def forward(self, x: Float[Tensor, "... C"]) -> Float[Tensor, "... V"]:
        return capped(super().forward(x), self.cap)


def capped(logits: Float[Tensor, "*rows V"], cap: float) -> Float[Tensor, "*rows V"]:
    """cap · tanh(logits / cap)."""
    return cap * torch.tanh(logits / cap)


def make_head(config: GPTConfig) -> nn.Linear:
    """The head that the config asks for, (..., C) -> (..., V)."""
    if config.logit_cap:
        return CappedLinear(config.d_model, config.vocab_size, config.logit_cap)
    return nn.Linear(config.d_model, config.vocab_size, bias=False)
