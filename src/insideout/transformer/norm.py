"""Normalisation: bring each position's vector to a standard size, then let a learned gain resize it.

    LayerNorm(x) = γ (x - mean) / √(variance + ε) + β        RMSNorm(x) = γ x / √(mean(x²) + ε)

Taught in book/2-building-a-transformer/05_transformer_block.md.
Sources: Ba et al. 2016 (LayerNorm); Zhang and Sennrich 2019 (RMSNorm).
"""

from torch import nn

from insideout.transformer.config import GPTConfig


def make_norm(config: GPTConfig) -> nn.Module:
    """The normalisation the config asks for, over the last dimension, (..., C) -> (..., C)."""
    if config.norm == "layernorm":
        return nn.LayerNorm(config.d_model, eps=config.norm_eps, bias=config.bias)
    return nn.RMSNorm(config.d_model, eps=config.norm_eps)
