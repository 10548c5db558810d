"""Writing with a small model, with as few operations as the arithmetic needs.

When the matrices are small, starting an operation costs more than computing it, and a step of `GPT.forward` starts some
twenty of them a layer. Here the same step takes about half as many, because the weights are prepared once:

    RMSNorm(x) Wᵀ = (x / rms(x)) (W diag(γ))ᵀ             a norm's gain moves into the matrix behind it
    (x_i, x_(i+D/2)) -> x_i + j x_(i+D/2)                 RoPE turns a pair: one complex product, when neighbours
    [W_gate; W_up]                                        the two matrices of SwiGLU are one

The cache's keys and values lie in one buffer, so one copy stores both, and grouped queries are read as rows of one
product, so nothing is repeated. A call reads one token of every row, or `Packed` ones: some of each.
Taught in book/2-building-a-transformer/08_kv_cache.md.
Shapes: B batch, N tokens, W most tokens of a row, C d_model, H heads, G key-value heads, D head width, S slots,
V vocabulary.
"""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import torch
from jaxtyping import Float, Int
from torch import Tensor, nn
from torch.nn import functional as F

from insideout.transformer.attention import CausalSelfAttention
from insideout.transformer.feed_forward import FeedForward
from insideout.transformer.generation.cache import KVCache
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


class Packed(NamedTuple):
    """Tokens of several rows in one line: row 0's, then row 1's. Only attention has to know which is whose.

    For it they are laid out in a table of B rows and W places; a row with fewer tokens repeats its last one.
    """

    rows: Int[Tensor, " N"]
    positions: Int[Tensor, " N"]
    queries: Int[Tensor, " BGWQ"]  # which of the N (H + 2G) heads each query of the table is; Q = H / G share a key
    answers: Int[Tensor, " NH"]  # where in the table's answers, (B, W, Q, G), each token's heads stand
    mask: Float[Tensor, "B 1 WQ S"]  # 0 for the slots that a token sees, -∞ for the others


def gain_of(norm: nn.Module) -> Tensor:
    """The gain γ of an RMSNorm."""
    assert isinstance(norm, nn.RMSNorm)
    return norm.weight


class Decoder:
    """Continues what a cache holds, and takes the cache over: its keys' numbers change their places."""

    def __init__(self, model: GPT, cache: KVCache) -> None:
        config = self.config = model.config
        heads, groups, width = config.n_heads, config.kv_heads, config.head_width
        half = torch.arange(width // 2)
        self.pairs = torch.stack([half, half + width // 2], dim=1).flatten()  # (D,): i and i + D/2 side by side
        self.position, n_slots = cache.aligned or 0, cache.keys.shape[3]  # packed tokens say theirs
        written = cache.keys[:, :, :, : int(cache.lengths.max())]
        written.copy_(written[..., self.pairs])
        self.slots = cache.slots  # (L, B, 2G, S, D)
        self.many = cache.keys.shape[1] >= MANY
        self.layers = [self.prepare(block) for block in model.blocks]
        self.embedding = model.token_embedding.weight
        self.head = self.stored(model.head.weight * gain_of(model.norm))  # (C, V)
        self.epsilon = torch.tensor(config.norm_eps, dtype=self.embedding.dtype)
        self.line = torch.zeros(2 * n_slots, dtype=self.embedding.dtype)
        self.line[n_slots:] = -torch.inf  # every row of a mask is a stretch of it
        self.added = None  # (S, C), positions that are added to the embeddings
        if model.position_embedding is not None:
            self.added = model.position_embedding.weight
        elif config.positions == "sinusoidal":
            self.added = model.position_table.to(self.embedding.dtype)
        self.turn = None  # (S, (H + 2G) D/2), complex; values are turned by 1
        if config.positions == "rope":
            cosine, sine = (
                table[:n_slots, : width // 2].to(self.embedding.dtype) for table in (model.cosine, model.sine)
            )
            turn = torch.complex(cosine, sine)[:, None].expand(-1, heads + groups, -1)
            self.turn = torch.cat([turn, torch.ones_like(turn[:, :groups])], dim=1).flatten(1)

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

    def __call__(self, ids: Int[Tensor, " N"], packed: Packed | None = None) -> Float[Tensor, "N V"]:
        """Scores of what follows each token read: packed ones, or one more of every row, all at one position."""
        x = F.embedding(ids, self.embedding)  # (N, C)
        at = self.position if packed is None else packed.positions
        length = self.position + 1 if packed is None else packed.mask.shape[3]
        if self.added is not None:
            x = x + self.added[at]
        turn = self.turn[at] if self.turn is not None else None
        both = self.slots[:, :, :, :length].chunk(2, dim=2)  # (L, B, G, S, D) each
        for layer, slots, k, v in zip(self.layers, self.slots, *both, strict=True):
            heads = torch.mm(x * self.inverse_rms(x), layer.query_key_value)  # (N, (H + 2G) D)
            if layer.head_gain is not None:
                queries_and_keys = heads.view(len(x), -1, k.shape[3])[:, : -self.config.kv_heads]
                queries_and_keys.mul_(self.inverse_rms(queries_and_keys)).mul_(layer.head_gain)
            if turn is not None:
                heads.view(turn.dtype).mul_(turn)
            heads = heads.view(len(x), -1, k.shape[3])  # (N, H + 2G, D)
            if packed is None:
                z = self.attend(heads, slots, k, v)  # (N, H D)
            else:
                z = self.attend_packed(heads, slots, k, v, packed)
            x.addmm_(z, layer.output)
            x.addmm_(self.bend(torch.mm(x * self.inverse_rms(x), layer.up)), layer.down)
        self.position += packed is None
        return torch.mm(x * self.inverse_rms(x), self.head)

    def attend(
        self,
        heads: Float[Tensor, "B H_and_both D"],
        slots: Float[Tensor, "B both all D"],
        k: Float[Tensor, "B G S D"],
        v: Float[Tensor, "B G S D"],
    ) -> Float[Tensor, "B HD"]:
        """Store keys and values of one token a row; read what is stored."""
        batch, n_queries = len(heads), self.config.n_heads
        slots[:, :, self.position] = heads[:, n_queries:]
        q = heads[:, :n_queries].reshape(batch, k.shape[1], -1, k.shape[3])  # a group's queries as rows: (B, G, H/G, D)
        return F.scaled_dot_product_attention(q, k, v).reshape(batch, -1)

    def pack(self, starts: Sequence[int], counts: Sequence[int]) -> Packed:
        """`counts[b]` tokens of row b, the first at position `starts[b]`."""
        heads, groups = self.config.n_heads, self.config.kv_heads
        start, count = np.array(starts), np.array(counts)
        steps = np.arange(count.max())
        rows, places = (steps < count[:, None]).nonzero()  # (N,) each
        filled = np.minimum(steps, count[:, None] - 1)  # (B, W), each row's last place again where it has fewer
        token = filled + (count.cumsum() - count)[:, None]
        head = np.arange(heads).reshape(groups, 1, -1)
        queries = token[:, None, :, None] * (heads + 2 * groups) + head  # (B, G, W, Q)
        place = np.arange(heads).reshape(-1, groups).T.ravel()  # where a token's heads stand among its answers
        answers = (rows * len(steps) + places)[:, None] * heads + place  # (N, H)
        length, begin = int((start + count).max()), (len(self.line) // 2 - 1 - start)[:, None] - filled
        stretch = torch.from_numpy(begin.repeat(heads // groups, axis=1).ravel())  # of the line, for each mask row
        mask = self.line.unfold(0, length, 1).index_select(0, stretch).view(len(start), 1, -1, length)
        row, at, asked, found = map(torch.from_numpy, (rows, start[rows] + places, queries.ravel(), answers.ravel()))
        return Packed(row, at, asked, found, mask)

    def attend_packed(
        self,
        heads: Float[Tensor, "N H_and_both D"],
        slots: Float[Tensor, "B both all D"],
        k: Float[Tensor, "B G S D"],
        v: Float[Tensor, "B G S D"],
        packed: Packed,
    ) -> Float[Tensor, "N HD"]:
        """The same for packed tokens: their queries are laid out by row, with a mask, and the answers picked out."""
        slots[packed.rows, :, packed.positions] = heads[:, self.config.n_heads :]
        q = heads.view(-1, k.shape[3]).index_select(0, packed.queries).view(len(k), k.shape[1], -1, k.shape[3])
        z = F.scaled_dot_product_attention(q, k, v, attn_mask=packed.mask).transpose(1, 2)  # (B, W H/G, G, D)
        return z.reshape(-1, k.shape[3]).index_select(0, packed.answers).view(len(heads), -1)

    def drop(self, row: int) -> None:
        """Go on without this row; the last one takes its place."""
        last = self.slots.shape[1] - 1
        if row < last:
            self.slots[:, row] = self.slots[:, last]
        self.slots = self.slots[:, :last]

    def bend(self, hidden: Float[Tensor, "B F"]) -> Float[Tensor, "B d_ff"]:
        """The feed-forward layer's nonlinearity."""
        if self.config.mlp == "swiglu":
            gate, up = hidden.chunk(2, dim=-1)
            return F.silu(gate, inplace=True).mul_(up)
        if self.config.mlp == "relu2":
            return F.relu_(hidden).square_()
        return F.gelu(hidden, approximate="tanh" if self.config.mlp == "gelu_tanh" else "none")
