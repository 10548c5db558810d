"""Writing with a small model: one token a row, with as few operations as the arithmetic needs.

When the matrices are small, starting an operation costs more than computing it, and a step of `GPT.forward` starts some
twenty of them a layer. Here the same step takes about half as many, because the weights are prepared once:

    RMSNorm(x) Wᵀ = (x / rms(x)) (W diag(γ))ᵀ             a norm's gain moves into the matrix behind it
    (x_i, x_(i+D/2)) -> x_i + j x_(i+D/2)                 RoPE turns a pair: one complex product, when neighbours
    [W_gate; W_up]                                        the two matrices of SwiGLU are one

Keys and values lie in one buffer, so one copy stores both, and grouped queries are read as rows of one product, so
nothing is repeated. Taught in book/2-building-a-transformer/08_kv_cache.md.
Shapes: B batch, C d_model, H heads, G key-value heads, D head width, S slots, V vocabulary.
"""

from typing import NamedTuple

import torch
from jaxtyping import Float, Int
from torch import Tensor, nn
from torch.nn import functional as F

from insideout.transformer.attention import CausalSelfAttention
from insideout.transformer.cache import KVCache
from insideout.transformer.feed_forward import FeedForward
from insideout.transformer.model import GPT, Block
from insideout.transformer.norm import RMSNorm

LARGEST = 50_000_000
"""Parameters above which the arithmetic outweighs the starting, and a second copy of the weights the gain."""
MANY = 8
"""Rows from which a product is faster with its matrix stored as (in, out); for fewer, as (out, in)."""
KNOWN = {
    GPT, Block, CausalSelfAttention, FeedForward, nn.ModuleList, nn.Linear, nn.Embedding, RMSNorm, nn.Identity,
    nn.Dropout,
}  # fmt: skip


def can_decode(model: nn.Module) -> bool:
    """Is this a plain GPT of the kind prepared here? Not one with hooks, replaced modules, biases or masks."""
    if not isinstance(model, GPT) or model.token_embedding.weight.device.type != "cpu":
        return False
    config, dtype = model.config, model.token_embedding.weight.dtype
    plain = all(type(m) in KNOWN and not m._forward_hooks and not m._forward_pre_hooks for m in model.modules())
    shape = config.norm == "rmsnorm" and not config.bias and not config.attention_bias and config.window is None
    parts = config.positions != "alibi" and config.mlp != "none" and config.head_width % 2 == 0
    return plain and shape and parts and dtype in (torch.float32, torch.float64) and model.n_parameters <= LARGEST


class Layer(NamedTuple):
    """One block's weights, prepared."""

    query_key_value: Tensor  # (C, (H + 2G) D), gain of the norm inside, pairs of q and k as neighbours
    head_gain: Tensor | None  # (H + G, D), gains of the query and key norms
    output: Tensor  # (H D, C)
    up: Tensor  # (C, d_ff or 2 d_ff), gain of the norm inside
    down: Tensor  # (d_ff, C)


def gain_of(norm: nn.Module) -> Tensor:
    """The gain γ of an RMSNorm."""
    assert isinstance(norm, nn.RMSNorm)
    return norm.weight


class Decoder:
    """Continues what a cache holds, token by token; all rows stand at the same position."""

    def __init__(self, model: GPT, cache: KVCache) -> None:
        assert cache.aligned is not None
        config = self.config = model.config
        heads, groups, width = config.n_heads, config.kv_heads, config.head_width
        half = torch.arange(width // 2)
        self.pairs = torch.stack([half, half + width // 2], dim=1).flatten()  # (D,): i and i + D/2 side by side
        self.position, n_slots = cache.aligned, cache.keys.shape[3]
        self.slots = torch.cat([cache.keys[..., self.pairs], cache.values], dim=2)  # (L, B, 2G, S, D)
        self.many = cache.keys.shape[1] >= MANY
        self.layers = [self.prepare(block) for block in model.blocks]
        self.embedding = model.token_embedding.weight
        self.head = self.stored(model.head.weight * gain_of(model.norm))  # (C, V)
        self.epsilon = torch.tensor(config.norm_eps, dtype=self.embedding.dtype)
        self.added = None  # (S, C), positions that are added to the embeddings
        if model.position_embedding is not None:
            self.added = model.position_embedding.weight
        elif config.positions == "sinusoidal":
            self.added = model.position_table.to(self.embedding.dtype)
        self.turn = None  # (S, H + 2G, D/2), complex; values are turned by 1
        if config.positions == "rope":
            cosine, sine = (
                table[:n_slots, : width // 2].to(self.embedding.dtype) for table in (model.cosine, model.sine)
            )
            turn = torch.complex(cosine, sine)[:, None].expand(-1, heads + groups, -1)
            self.turn = torch.cat([turn, torch.ones_like(turn[:, :groups])], dim=1)

    def prepare(self, block: nn.Module) -> Layer:
        """A block's weights as `Layer` says."""
        assert isinstance(block, Block) and block.feed_forward is not None and block.feed_forward_norm is not None
        attention, mlp, config = block.attention, block.feed_forward, self.config
        weight = attention.query_key_value.weight * gain_of(block.attention_norm)
        by_head = weight.view(-1, config.head_width, config.d_model).clone()  # (H + 2G, D, C)
        turned = config.n_heads + config.kv_heads
        by_head[:turned] = by_head[:turned, self.pairs]
        gain = None
        if config.qk_norm:
            query, key = (gain_of(norm)[self.pairs] for norm in (attention.query_norm, attention.key_norm))
            gain = torch.cat([query.expand(config.n_heads, -1), key.expand(config.kv_heads, -1)])
        up = mlp.up.weight if mlp.gate is None else torch.cat([mlp.gate.weight, mlp.up.weight])
        up = up * gain_of(block.feed_forward_norm)
        matrices = (by_head.flatten(0, 1), attention.output.weight, up, mlp.down.weight)
        first, output, up, down = (self.stored(matrix) for matrix in matrices)
        return Layer(first, gain, output, up, down)

    def stored(self, weight: Float[Tensor, "out in"]) -> Float[Tensor, "in out"]:
        """The transpose, stored so that a product with it is fast."""
        return weight.T.contiguous() if self.many else weight.T

    def inverse_rms(self, x: Float[Tensor, "... W"]) -> Float[Tensor, "... 1"]:
        """1 / √(mean(x²) + ε), in three operations."""
        length = torch.linalg.vector_norm(x, dim=-1, keepdim=True)
        return torch.addcmul(self.epsilon, length, length, value=1 / x.shape[-1]).rsqrt_()

    def __call__(self, ids: Int[Tensor, "B"]) -> Float[Tensor, "B V"]:
        """Scores of what follows, after reading one more token of every row."""
        config, t = self.config, self.position
        n_queries, groups, width, batch = config.n_heads, config.kv_heads, config.head_width, ids.shape[0]
        x = F.embedding(ids, self.embedding)  # (B, C)
        if self.added is not None:
            x = x + self.added[t]
        for layer, slots in zip(self.layers, self.slots, strict=True):
            heads = torch.mm(x * self.inverse_rms(x), layer.query_key_value).view(batch, -1, width)  # (B, H + 2G, D)
            if layer.head_gain is not None:
                queries_and_keys = heads[:, :-groups]
                queries_and_keys.mul_(self.inverse_rms(queries_and_keys)).mul_(layer.head_gain)
            if self.turn is not None:
                turned = torch.view_as_complex(heads.view(batch, -1, width // 2, 2)) * self.turn[t]
                heads = torch.view_as_real(turned).view(batch, -1, width)
            slots[:, :, t] = heads[:, n_queries:]
            k, v = slots[:, :, : t + 1].split(groups, dim=1)  # (B, G, S, D) each
            q = heads[:, :n_queries].reshape(batch, groups, -1, width)  # a group's queries as rows: (B, G, H/G, D)
            z = F.scaled_dot_product_attention(q, k, v).reshape(batch, -1)  # (B, H D)
            x = torch.addmm(x, z, layer.output)
            x = torch.addmm(x, self.bend(torch.mm(x * self.inverse_rms(x), layer.up)), layer.down)
        self.position += 1
        return torch.mm(x * self.inverse_rms(x), self.head)

    def bend(self, hidden: Float[Tensor, "B F"]) -> Float[Tensor, "B d_ff"]:
        """The feed-forward layer's nonlinearity."""
        if self.config.mlp == "swiglu":
            gate, up = hidden.chunk(2, dim=-1)
            return F.silu(gate).mul_(up)
        if self.config.mlp == "relu2":
            return F.relu_(hidden).square_()
        return F.gelu(hidden, approximate="tanh" if self.config.mlp == "gelu_tanh" else "none")
