"""The GPT: embed the tokens, let them read from each other and think, layer after layer, and score the next token.

    x = embedding(ids) (+ positions)
    x = x + attention(norm(x));  x = x + feed_forward(norm(x))        n_layers times
    logits = head(norm(x))

Taught in book/2-building-a-transformer/05_transformer_block.md and 06_complete_model.md. Sources: Radford et al. 2019
(pre-norm GPT-2); Press and Wolf 2017 (tied embeddings); Beltagy et al. 2020 (sliding window); Bachlechner et al. 2021
(blocks that begin as the identity).
Shapes: B batch, T positions, S keys, C d_model, V vocabulary.
"""

import torch
from jaxtyping import Float, Int
from torch import Tensor, nn
from torch.utils.checkpoint import checkpoint

from insideout.errors import BadInput
from insideout.transformer.attention import AttentionContext, CausalSelfAttention
from insideout.transformer.config import GPTConfig
from insideout.transformer.feed_forward import FeedForward
from insideout.transformer.generation.cache import KVCache
from insideout.transformer.head import make_head
from insideout.transformer.norm import make_norm
from insideout.transformer.pairs import PairEmbedding
from insideout.transformer.positions import (
    alibi_bias,
    alibi_slopes,
    positions_within,
    rope_frequencies,
    rope_table,
    scaled_frequencies,
    sinusoidal_table,
)
from insideout.transformer.token_shift import TokenShift, earlier


class Block(nn.Module):
    """One layer: read from the others, then think alone; each adds to what was there."""

    def __init__(self, config: GPTConfig, layer: int) -> None:
        super().__init__()
        self.attention_norm = make_norm(config)
        self.attention = CausalSelfAttention(config, layer)
        self.feed_forward_norm = make_norm(config) if config.mlp != "none" else None
        self.feed_forward = FeedForward(config) if config.mlp != "none" else None

    def forward(
        self, x: Float[Tensor, "B T C"], context: AttentionContext, cache: KVCache | None = None, explain: bool = False
    ) -> Float[Tensor, "B T C"]:
        x = x + self.attention(self.attention_norm(x), context, cache, explain)
        if self.feed_forward is None or self.feed_forward_norm is None:  # attention alone
            return x
        return x + self.feed_forward(self.feed_forward_norm(x))


class GPT(nn.Module):
    """A decoder-only transformer: ids (B, T) -> logits (B, T, V)."""

    position_table: Tensor
    cosine: Tensor
    sine: Tensor
    slopes: Tensor

    def __init__(self, config: GPTConfig) -> None:
        super().__init__()
        self.config = config
        self.checkpoint_activations = False
        self.token_embedding = nn.Embedding(config.vocab_size, config.d_model)
        self.position_embedding = (
            nn.Embedding(config.context_length, config.d_model) if config.positions == "learned" else None
        )
        self.token_shift = TokenShift(config.d_model) if config.token_shift else None
        self.pair_embedding = PairEmbedding(config.pair_rows, config.d_model) if config.pair_rows else None
        self.blocks = nn.ModuleList(Block(config, layer) for layer in range(config.n_layers))
        self.norm = make_norm(config)
        self.head = make_head(config)
        if config.tie_embeddings:
            self.head.weight = self.token_embedding.weight
        self.make_tables()
        self.initialise()

    def make_tables(self) -> None:
        """Compute what follows from the config and is not learned; anew after a model was built on the meta device."""
        config, tables = self.config, {}
        if config.positions == "sinusoidal":
            tables["position_table"] = sinusoidal_table(config.context_length, config.d_model)
        if config.positions == "rope":
            frequency = scaled_frequencies(rope_frequencies(config.head_width, config.rope_base), config)
            tables["cosine"], tables["sine"] = rope_table(config.context_length, frequency)
        if config.positions == "alibi":
            tables["slopes"] = alibi_slopes(config.n_heads)
        for name, table in tables.items():
            self.register_buffer(name, table, persistent=False)

    def initialise(self) -> None:
        """Normal weights of deviation 0.02; what writes to the residual stream is smaller by √(2 n_layers).

        With zero_init_outputs that is 0, and so is the head unless it is the embedding: all tokens are as likely.
        """
        zero = self.config.zero_init_outputs
        for name, parameter in self.named_parameters():
            if name.endswith("bias"):
                nn.init.zeros_(parameter)
            elif parameter.dim() > 1:
                writes = name.endswith(("output.weight", "down.weight"))
                scale = (2 * self.config.n_layers) ** -0.5 if writes else 1.0
                nn.init.normal_(parameter, std=0.0 if zero and (writes or name == "head.weight") else 0.02 * scale)

    @property
    def n_parameters(self) -> int:
        """How many numbers the model learns; a shared matrix counts once."""
        return sum(parameter.numel() for parameter in self.parameters())

    def forward(
        self,
        ids: Int[Tensor, "B T"],
        cache: KVCache | None = None,
        explain: bool = False,
        segments: Int[Tensor, "B T"] | None = None,
    ) -> Float[Tensor, "B T V"]:
        """Scores of the next token after every position.

        With a cache, `ids` follow what the cache already holds. With `explain`, attention is computed by the
        readable formula and its pattern passes through `blocks[i].attention.pattern`. With `segments`, a row holds
        several documents side by side, each of one number: none sees another, and each begins at position 0.
        Raises BadInput when the text, or a document, grows past the context length.
        """
        n_new = ids.shape[1]
        if segments is not None:
            positions, context = self._context_within(segments, cache)
        else:
            self._check_length(n_new, cache)
            positions = torch.arange(n_new, device=ids.device)[None] if cache is None else cache.positions(n_new)
            context = self._context(positions, cache)  # positions (B or 1, T)
        before = earlier(ids) if cache is None or not self.config.looks_back else cache.before(ids)
        x = self.embed(ids, positions, before)  # (B, T, C)
        for block in self.blocks:
            if self.checkpoint_activations and self.training:
                x = checkpoint(block, x, context, cache, explain, use_reentrant=False)
            else:
                x = block(x, context, cache, explain)
        if cache is not None:
            cache.advance(n_new)
        return self.head(self.norm(x))

    def split(self, device: torch.device, n_ranks: int) -> None:
        """Cut this model over all processes, in place (see tensor_parallel.py)."""
        from insideout.transformer.tensor_parallel import split

        split(self, device, n_ranks)

    def embed(
        self, ids: Int[Tensor, "B T"], positions: Int[Tensor, "#B T"], before: Int[Tensor, "B T"] | None = None
    ) -> Float[Tensor, "B T C"]:
        """What enters the first block: the tokens, and where they stand if positions are added.

        Some models look at the tokens `before` them, too; those of `ids` themselves, if none are given.
        """
        before = earlier(ids) if before is None else before
        x = self.token_embedding(ids)  # (B, T, C)
        if self.token_shift is not None:
            x = self.token_shift(x, self.token_embedding(before), positions)
        if self.pair_embedding is not None:
            x = x + self.pair_embedding(ids, before, positions)
        if self.position_embedding is not None:
            x = x + self.position_embedding(positions)
        elif self.config.positions == "sinusoidal":
            x = x + self.position_table[positions].to(x.dtype)
        return nn.functional.dropout(x, self.config.dropout, self.training)

    def rotation(self, positions: Int[Tensor, "#B T"]) -> tuple[Tensor, Tensor] | None:
        """RoPE's cosines and sines at these positions, each (B or 1, 1, T, D)."""
        if self.config.positions != "rope":
            return None
        dtype = self.token_embedding.weight.dtype
        return self.cosine[positions][:, None].to(dtype), self.sine[positions][:, None].to(dtype)

    def mask(self, positions: Int[Tensor, "#B T"], n_keys: int, segments: Int[Tensor, "#B T"] | None = None) -> Tensor:
        """What queries at these positions may read of keys 0 to n_keys - 1, (B or 1, H or 1, T, S).

        With `segments` the keys are the queries' own tokens, and those of another segment may not be read.
        Booleans; with ALiBi its numbers, -inf where nothing may be read.
        """
        keys = torch.arange(n_keys, device=positions.device)[None] if segments is None else positions  # (B or 1, S)
        query, key = positions[:, None, :, None], keys[:, None, None, :]
        mask = key <= query  # (B or 1, 1, T, S)
        if self.config.window is not None:
            mask = mask & (key > query - self.config.window)
        if segments is not None:
            mask = mask & (segments[:, None, :, None] == segments[:, None, None, :])
        if self.config.positions == "alibi":
            bias = alibi_bias(self.slopes, positions, keys)  # (B or 1, H, T, S)
            mask = bias.masked_fill(~mask, float("-inf")).to(self.token_embedding.weight.dtype)
        return mask

    def _check_length(self, n_new: int, cache: KVCache | None) -> None:
        limit = self.config.context_length
        if cache is None:
            longest = n_new
        else:
            held = cache.aligned if cache.aligned is not None else int(cache.lengths.max())
            longest, limit = held + n_new, min(limit, cache.keys.shape[3])
        if longest > limit:
            raise BadInput(f"The text has {longest} tokens and there is room for {limit}: shorten it.")

    def _context_within(
        self, segments: Int[Tensor, "B T"], cache: KVCache | None
    ) -> tuple[Int[Tensor, "B T"], AttentionContext]:
        """Where the tokens of documents side by side stand, and what they may read."""
        if cache is not None:
            raise BadInput("A cache holds one document a row: read rows of several documents without one.")
        positions = positions_within(segments)
        longest = int(positions.max()) + 1
        if longest > self.config.context_length:
            raise BadInput(f"A document has {longest} tokens and there is room for {self.config.context_length}.")
        mask = self.mask(positions, segments.shape[1], segments)
        return positions, AttentionContext(self.rotation(positions), mask, is_causal=False)

    def _context(self, positions: Int[Tensor, "#B T"], cache: KVCache | None) -> AttentionContext:
        n_new, window, rotation = positions.shape[1], self.config.window, self.rotation(positions)
        if cache is not None and cache.aligned is None:
            return AttentionContext(rotation, self.mask(positions, cache.keys.shape[3]), is_causal=False)
        n_keys = n_new if cache is None or cache.aligned is None else cache.aligned + n_new
        if self.config.positions != "alibi" and (window is None or n_keys <= window):  # a query reads all before it
            if n_keys == n_new:
                return AttentionContext(rotation, None, is_causal=True)
            if n_new == 1:
                return AttentionContext(rotation, None, is_causal=False)
        return AttentionContext(rotation, self.mask(positions, n_keys), is_causal=False)
