"""Normalisation: bring each position's vector to a standard size, then let a learned gain resize it.

    LayerNorm(x) = γ (x - mean) / √(variance + ε) + β        RMSNorm(x) = γ x / √(mean(x²) + ε)

Taught in book/2-building-a-transformer/05_transformer_block.md.
Sources: Ba et al. 2016 (LayerNorm); Zhang and Sennrich 2019 (RMSNorm).
"""

from jaxtyping import Float
from torch import Tensor, nn

from insideout.transformer import kernels
from insideout.transformer.config import GPTConfig


class RMSNorm(nn.RMSNorm):
    """torch's layer, computed as kernels.py sees fit."""

    def __init__(self, width: int, eps: float) -> None:
        super().__init__(width, eps=eps)
        self.epsilon = eps

    def forward(self, x: Float[Tensor, "*rows C"]) -> Float[Tensor, "*rows C"]:
        return kernels.rms_norm(x, self.weight, self.epsilon)


def make_norm(config: GPTConfig) -> nn.Module:
    """The normalisation the config asks for, over the last dimension, (..., C) -> (..., C)."""
    if config.norm == "layernorm":
        return nn.LayerNorm(config.d_model, eps=config.norm_eps, bias=config.bias)
    return RMSNorm(config.d_model, eps=config.norm_eps)
