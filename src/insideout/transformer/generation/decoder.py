"""Writing with a small model, with as few operations as the arithmetic needs.

When the matrices are small, starting an operation costs more than computing it, and a step of `GPT.forward` starts some
twenty of them a layer. Here the same step takes about half as many, because the weights are prepared once:

    RMSNorm(x) Wᵀ = (x / rms(x)) (W diag(γ))ᵀ             a norm's gain moves into the matrix behind it
    (x_i, x_(i+D/2)) -> x_i + j x_(i+D/2)                 RoPE turns a pair: one complex product, when neighbours
    [W_gate; W_up]                                        the two matrices of SwiGLU are one

The cache's keys and values lie in one buffer, so one copy stores both, and grouped queries are read as rows of one
product, so nothing is repeated. From a prompt several texts may go on, its branches. They share the prompt's slots and
grow side by side behind them, each step's tokens together, and a mask hides the branches from each other:

    prompt | step 0 of each branch | step 1 of each branch | …

Taught in book/2-building-a-transformer/09_kv_cache.md. Sources: Miao et al. 2024 (a tree of texts in one cache, the
mask that keeps its branches apart). Shapes: P prompts, M branches of each, N = P M rows, T new tokens a row, C d_model,
H heads, G key-value heads, Q = H / G queries a key, D head width, S slots, V vocabulary.
"""

from typing import NamedTuple

import torch
from jaxtyping import Float, Int
from torch import Tensor, nn
from torch.nn import functional as F

from insideout.transformer.attention import CausalSelfAttention
from insideout.transformer.feed_forward import FeedForward
from insideout.transformer.generation.cache import KVCache
from insideout.transformer.head import CappedLinear, capped
from insideout.transformer.model import GPT, Block
from insideout.transformer.norm import RMSNorm
from insideout.transformer.pairs import PairEmbedding, pair_row
from insideout.transformer.token_shift import TokenShift

LARGEST = 50_000_000
"""Parameters above which the arithmetic outweighs the starting, and a second copy of the weights the gain."""
MANY = 8
"""Rows from which a product is faster with its matrix stored as (in, out); for fewer, as (out, in)."""
KNOWN = {
    GPT, Block, CausalSelfAttention, FeedForward, nn.ModuleList, nn.Linear, nn.Embedding, RMSNorm, nn.Identity,
    nn.Dropout, TokenShift, PairEmbedding, CappedLinear,
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
    """Continues the prompts that a cache holds by up to `n_new` tokens, `n_branches` rows from each."""

    def __init__(self, model: GPT, cache: KVCache, n_new: int, n_branches: int = 1) -> None:
        config = self.config = model.config
        half = torch.arange(config.head_width // 2)
        self.pairs = torch.stack([half, half + config.head_width // 2], dim=1).flatten()  # (D,): i and i + D/2
        self.n_branches = n_branches
        self.rows: Tensor | None = None  # (N,), those that go on, unless all do
        self.take_over(cache, n_new)
        self.many = self.slots.shape[1] * n_branches >= MANY
        self.layers = [self.prepare(block) for block in model.blocks]
        self.embedding = model.token_embedding.weight
        self.head = self.stored(model.head.weight * gain_of(model.norm))  # (C, V)
        self.epsilon = torch.tensor(config.norm_eps, dtype=self.embedding.dtype)
        self.prepare_positions(model, self.length + n_new)
        last = (cache.lengths - 1).repeat_interleave(n_branches)[:, None]
        self.read = cache.ids.repeat_interleave(n_branches, dim=0).gather(1, last)  # (N, 1 + tokens read since)
        self.share = None if model.token_shift is None else model.token_shift.gain
        self.pairs_of_tokens = None if model.pair_embedding is None else model.pair_embedding.weight

    def take_over(self, cache: KVCache, n_new: int) -> None:
        """Keys and values of the prompts, in slots where all end together, and the mask that this and branches need."""
        lengths, many = cache.lengths.tolist(), self.n_branches
        layers, prompts, both, _, width = cache.slots.shape
        longest = self.length = max(lengths)  # slots in use
        self.slots = cache.slots.new_zeros(layers, prompts, both, longest + many * n_new, width)
        for row, length in enumerate(lengths):
            self.slots[:, row, :, longest - length : longest] = cache.slots[:, row, :, :length]
        keys = self.slots[:, :, : both // 2, :longest]
        keys.copy_(keys[..., self.pairs])
        same = min(lengths) == longest
        self.position: int | Tensor = longest if same else cache.lengths.repeat_interleave(many)  # of the next token
        self.mask = None  # (P, 1, M Q, S): 0 for the slots that a branch sees, -∞ for the others
        if many > 1 or not same:
            hidden = torch.zeros(prompts, 1, many, self.slots.shape[3], dtype=torch.bool)
            hidden[..., longest:] = ~torch.eye(many, dtype=torch.bool).repeat(1, n_new)
            for row, length in enumerate(lengths):
                hidden[row, ..., : longest - length] = True
            added = torch.zeros(hidden.shape, dtype=self.slots.dtype).masked_fill_(hidden, -torch.inf)
            self.mask = added.repeat_interleave(self.config.n_heads // self.config.kv_heads, dim=2)

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

    def prepare_positions(self, model: GPT, end: int) -> None:
        """What positions before `end` add to embeddings, (end, C), or turn heads by, (end, (H + 2G) D/2), complex."""
        config, dtype = self.config, self.embedding.dtype
        self.added = self.turn = None
        if model.position_embedding is not None:
            self.added = model.position_embedding.weight
        elif config.positions == "sinusoidal":
            self.added = model.position_table.to(dtype)
        elif config.positions == "rope":
            half = config.head_width // 2
            turn = torch.complex(model.cosine[:end, :half].to(dtype), model.sine[:end, :half].to(dtype))
            heads = turn[:, None].expand(-1, config.n_heads + config.kv_heads, -1)
            still = torch.ones_like(heads[:, : config.kv_heads])  # values are turned by 1
            self.turn = torch.cat([heads, still], dim=1).flatten(1)

    def stored(self, weight: Float[Tensor, "out in"]) -> Float[Tensor, "in out"]:
        """The transpose, stored so that a product with it is fast."""
        return weight.T.contiguous() if self.many else weight.T

    def inverse_rms(self, x: Float[Tensor, "... W"]) -> Float[Tensor, "... 1"]:
        """1 / √(mean(x²) + ε), in three operations."""
        length = torch.linalg.vector_norm(x, dim=-1, keepdim=True)
        return torch.addcmul(self.epsilon, length, length, value=1 / x.shape[-1]).rsqrt_()

    def __call__(self, ids: Int[Tensor, "N T"]) -> Float[Tensor, "N T V"]:
        """Scores of what follows each of T more tokens of every row; with branches, T is 1."""
        n_new = ids.shape[1]
        x = F.embedding(ids.flatten(), self.embedding)  # (N T, C)
        if self.config.looks_back:
            self.read = torch.cat([self.read, ids], dim=1)
            before = self.read[:, -n_new - 1 : -1].flatten()  # (N T); a prompt stands before the first, so there is one
            if self.share is not None:
                x.addcmul_(F.embedding(before, self.embedding), self.share)
            if self.pairs_of_tokens is not None:
                x.add_(F.embedding(pair_row(before, ids.flatten(), len(self.pairs_of_tokens)), self.pairs_of_tokens))
        at = self.positions(ids)
        if self.added is not None:
            x = x + self.added[at]
        turn = self.turn[at] if self.turn is not None else None
        begin, end = self.length, self.length + self.n_branches * n_new
        mask = self.readable(n_new, end)
        both = self.slots[:, :, :, :end].chunk(2, dim=2)  # (L, P, G, S, D) each
        new = self.slots[:, :, :, begin:end]  # (L, P, 2G, M T, D)
        for layer, slots, k, v in zip(self.layers, new, *both, strict=True):
            heads = torch.mm(x * self.inverse_rms(x), layer.query_key_value)  # (N T, (H + 2G) D)
            if layer.head_gain is not None:
                queries_and_keys = heads.view(len(x), -1, k.shape[3])[:, : -self.config.kv_heads]
                queries_and_keys.mul_(self.inverse_rms(queries_and_keys)).mul_(layer.head_gain)
            if turn is not None:
                heads.view(turn.dtype).mul_(turn)
            z = self.attend(heads.view(len(x), -1, k.shape[3]), slots, k, v, mask)  # (N T, H D)
            x.addmm_(z, layer.output)
            x.addmm_(self.activation(torch.mm(x * self.inverse_rms(x), layer.up)), layer.down)
        self.length = end
        self.position = self.position + n_new
        logits = torch.mm(x * self.inverse_rms(x), self.head).view(*ids.shape, -1)
        return capped(logits, self.config.logit_cap) if self.config.logit_cap else logits

    def positions(self, ids: Int[Tensor, "N T"]) -> int | Tensor:
        """Where these tokens stand: one number if that is the same for all, else (N T,)."""
        if ids.shape[1] == 1:
            return self.position
        first = torch.as_tensor(self.position).view(-1, 1)  # (N or 1, 1)
        return (first + torch.arange(ids.shape[1])).expand(len(ids), -1).flatten()

    def readable(self, n_new: int, end: int) -> Tensor | None:
        """The mask over `end` slots, (P or 1, 1, M T Q, S): None if all is seen; T tokens of a row see those before."""
        mask = None if self.mask is None else self.mask[..., :end]
        if n_new == 1:
            return mask
        later = torch.full((n_new, end), -torch.inf, dtype=self.slots.dtype).triu_(end - n_new + 1)
        later = later.repeat_interleave(self.config.n_heads // self.config.kv_heads, dim=0)  # (T Q, S)
        return later[None, None] if mask is None else later + mask.repeat(1, 1, n_new, 1)

    def attend(
        self,
        heads: Float[Tensor, "NT H_and_both D"],
        slots: Float[Tensor, "P both MT D"],
        k: Float[Tensor, "P G S D"],
        v: Float[Tensor, "P G S D"],
        mask: Tensor | None,
    ) -> Float[Tensor, "NT HD"]:
        """Store the new keys and values; read what is stored. A group's queries are rows of one product."""
        if self.rows is not None:  # seats of rows that have ended stay empty
            heads = heads.new_zeros(len(k) * self.n_branches, *heads.shape[1:]).index_copy_(0, self.rows, heads)
        prompts, groups, _, width = k.shape
        by_prompt = heads.view(prompts, -1, *heads.shape[1:])  # (P, M T, H + 2G, D)
        slots.copy_(by_prompt[:, :, self.config.n_heads :].transpose(1, 2))
        mine = by_prompt[:, :, : self.config.n_heads]
        q = mine.view(prompts, -1, groups, self.config.n_heads // groups, width).transpose(1, 2)  # (P, G, M T, Q, D)
        z = F.scaled_dot_product_attention(q.reshape(prompts, groups, -1, width), k, v, attn_mask=mask)
        z = z.view(q.shape).transpose(1, 2).reshape(len(heads), -1)
        return z if self.rows is None else z[self.rows]

    def keep(self, rows: Int[Tensor, " n"]) -> None:
        """Go on with these of the present rows. The others are no longer computed; their slots stay."""
        self.rows = rows if self.rows is None else self.rows[rows]
        self.read = self.read[rows]
        if isinstance(self.position, Tensor):
            self.position = self.position[rows]

    def forget(self, n: int) -> None:
        """Every row drops the last `n` tokens that it read."""
        self.length -= n * self.n_branches
        self.position = self.position - n
        if self.config.looks_back:
            self.read = self.read[:, : self.read.shape[1] - n]

    def activation(self, hidden: Float[Tensor, "N F"]) -> Float[Tensor, "N d_ff"]:
        """The feed-forward layer's nonlinearity."""
        if self.config.mlp == "swiglu":
            gate, up = hidden.chunk(2, dim=-1)
            return F.silu(gate, inplace=True).mul_(up)
        if self.config.mlp == "relu2":
            return F.relu_(hidden).square_()
        return F.gelu(hidden, approximate="tanh" if self.config.mlp == "gelu_tanh" else "none")
