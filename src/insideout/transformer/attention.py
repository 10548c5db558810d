"""Causal self-attention: every position reads from itself and the positions before it.

    pattern = softmax(Q Kᵀ / √D + mask)        out = pattern V

Taught in book/2-building-a-transformer/02_attention.md and 03_multi_head_attention.md.
Sources: Vaswani et al. 2017, §3.2; Ainslie et al. 2023 (grouped queries); Dehghani et al. 2023 (normalised queries
and keys).
Shapes: B batch, T query positions, S key positions, C d_model, H heads, G key-value heads, D head width.
"""

from dataclasses import dataclass

import torch
from jaxtyping import Bool, Float
from torch import Tensor, nn
from torch.nn import functional as F

from insideout.errors import BadInput
from insideout.transformer import kernels
from insideout.transformer.config import GPTConfig
from insideout.transformer.generation.cache import KVCache
from insideout.transformer.norm import RMSNorm
from insideout.transformer.positions import rotate


def causal_mask(n_queries: int, n_keys: int, device: torch.device | str = "cpu") -> Bool[Tensor, "T S"]:
    """True where query t may read key s. With S > T the keys begin earlier: query t stands at S - T + t."""
    return torch.ones(n_queries, n_keys, dtype=torch.bool, device=device).tril(n_keys - n_queries)


def attention_scores(
    q: Float[Tensor, "B H T D"],
    k: Float[Tensor, "B H S D"],
    mask: Tensor | None = None,
) -> Float[Tensor, "B H T S"]:
    """How well each query fits each key, -inf where it may not read.

    `mask` is the causal one unless given: booleans (may it be read) or floats added to the scores.
    Raises BadInput for a mask of whole numbers, which could mean either.
    """
    scores = q @ k.transpose(-2, -1) / q.shape[-1] ** 0.5  # (B, H, T, D) (B, H, D, S) -> (B, H, T, S)
    if mask is None:
        mask = causal_mask(q.shape[-2], k.shape[-2], q.device)
    if mask.dtype == torch.bool:
        return scores.masked_fill(~mask, float("-inf"))
    if not mask.is_floating_point():
        raise BadInput(f"The mask's numbers are {mask.dtype}; give booleans (may it be read) or floats to be added.")
    return scores + mask


def attention_pattern(
    q: Float[Tensor, "B H T D"],
    k: Float[Tensor, "B H S D"],
    mask: Tensor | None = None,
) -> Float[Tensor, "B H T S"]:
    """How much each query position reads from each key position; rows sum to 1. `mask` as for the scores."""
    return attention_scores(q, k, mask).softmax(dim=-1)


def attention(
    q: Float[Tensor, "B H T D"], k: Float[Tensor, "B H S D"], v: Float[Tensor, "B H S D"]
) -> Float[Tensor, "B H T D"]:
    """Causal attention as the formula says it: the pattern, then a weighted mean of the values."""
    return attention_pattern(q, k) @ v


@dataclass(frozen=True)
class AttentionContext:
    """What a forward pass fixes for all its layers: where tokens stand, and what they may read."""

    rotation: tuple[Tensor, Tensor] | None  # RoPE's cosines and sines, (B or 1, 1, T, D)
    mask: Tensor | None  # booleans or added numbers, (B or 1, H or 1, T, S)
    is_causal: bool  # True: plain causal attention with as many keys as queries, no mask needed


class CausalSelfAttention(nn.Module):
    """Multi-head or grouped-query causal self-attention."""

    def __init__(self, config: GPTConfig, layer: int) -> None:
        super().__init__()
        self.layer, self.n_heads, self.kv_heads = layer, config.n_heads, config.kv_heads
        self.d_head, self.dropout = config.head_width, config.dropout
        width = (self.n_heads + 2 * self.kv_heads) * self.d_head
        bias = config.bias or config.attention_bias
        self.query_key_value = nn.Linear(config.d_model, width, bias=bias)
        self.output = nn.Linear(self.n_heads * self.d_head, config.d_model, bias=bias)
        self.query_norm = RMSNorm(self.d_head, eps=config.norm_eps) if config.qk_norm else nn.Identity()
        self.key_norm = RMSNorm(self.d_head, eps=config.norm_eps) if config.qk_norm else nn.Identity()
        # Addresses for whoever wants to look (insideout.transformer.interpret); they compute nothing.
        self.query, self.key, self.value = nn.Identity(), nn.Identity(), nn.Identity()
        self.scores, self.pattern = nn.Identity(), nn.Identity()

    def forward(
        self, x: Float[Tensor, "B T C"], context: AttentionContext, cache: KVCache | None = None, explain: bool = False
    ) -> Float[Tensor, "B T C"]:
        batch, n_new, _ = x.shape
        heads = self.query_key_value(x).view(batch, n_new, -1, self.d_head).transpose(1, 2)  # (B, H+2G, T, D)
        q, k, v = heads.split([self.n_heads, self.kv_heads, self.kv_heads], dim=1)
        q, k = self.query_norm(q), self.key_norm(k)
        if context.rotation is not None:
            q, k = rotate(q, *context.rotation), rotate(k, *context.rotation)
        if cache is not None:
            k, v = cache.append(self.layer, k, v)  # (B, G, S, D)
        if self.kv_heads < self.n_heads:  # each key-value head serves a group of queries
            k, v = (part.repeat_interleave(self.n_heads // self.kv_heads, dim=1) for part in (k, v))
        if explain:  # the formula, as written above
            q, k, v = self.query(q), self.key(k), self.value(v)  # (B, H, T, D), (B, H, S, D) twice
            scores = self.scores(attention_scores(q, k, None if context.is_causal else context.mask))  # (B, H, T, S)
            z = self.pattern(F.dropout(scores.softmax(dim=-1), self.dropout, self.training)) @ v  # (B, H, T, D)
        else:  # the same numbers, fused and never stored
            dropout = self.dropout if self.training else 0.0
            z = kernels.attention(q, k, v, context.mask, dropout, context.is_causal)
        z = z.transpose(1, 2).reshape(batch, n_new, -1)  # (B, T, H D)
        return F.dropout(self.output(z), self.dropout, self.training)
