"""The GPT: embed the tokens, let them read from each other and think, layer after layer, and score the next token.

    x = embedding(ids) (+ positions)
    x = x + attention(norm(x));  x = x + feed_forward(norm(x))        n_layers times
    logits = head(norm(x))

Taught in book/2-building-a-transformer/. Sources: Radford et al. 2019 (pre-norm GPT-2); Press and Wolf 2017 (tied
embeddings). Shapes: B batch, T positions, S keys, C d_model, V vocabulary.
"""

import torch
from jaxtyping import Float, Int
from torch import Tensor, nn
from torch.utils.checkpoint import checkpoint

from insideout.errors import BadInput
from insideout.transformer.attention import CausalSelfAttention, Reach, causal_mask
from insideout.transformer.cache import KVCache
from insideout.transformer.config import GPTConfig
from insideout.transformer.feed_forward import FeedForward
from insideout.transformer.norm import make_norm
from insideout.transformer.positions import alibi_bias, alibi_slopes, rope_table, sinusoidal_table


class Block(nn.Module):
    """One layer: read from the others, then think alone; each adds to what was there."""

    def __init__(self, config: GPTConfig, layer: int) -> None:
        super().__init__()
        self.attention_norm = make_norm(config)
        self.attention = CausalSelfAttention(config, layer)
        self.feed_forward_norm = make_norm(config)
        self.feed_forward = FeedForward(config)

    def forward(
        self, x: Float[Tensor, "B T C"], reach: Reach, cache: KVCache | None = None, explain: bool = False
    ) -> Float[Tensor, "B T C"]:
        x = x + self.attention(self.attention_norm(x), reach, cache, explain)
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
        self.blocks = nn.ModuleList(Block(config, layer) for layer in range(config.n_layers))
        self.norm = make_norm(config)
        self.head = nn.Linear(config.d_model, config.vocab_size, bias=False)
        if config.tie_embeddings:
            self.head.weight = self.token_embedding.weight
        if config.positions == "sinusoidal":
            table = sinusoidal_table(config.context_length, config.d_model)
            self.register_buffer("position_table", table, persistent=False)
        if config.positions == "rope":
            cosine, sine = rope_table(config.context_length, config.head_width, config.rope_base)
            self.register_buffer("cosine", cosine, persistent=False)
            self.register_buffer("sine", sine, persistent=False)
        if config.positions == "alibi":
            self.register_buffer("slopes", alibi_slopes(config.n_heads), persistent=False)
        self.initialise()

    def initialise(self) -> None:
        """Normal weights of deviation 0.02; what writes to the residual stream is smaller by √(2 n_layers)."""
        for name, parameter in self.named_parameters():
            if name.endswith("bias"):
                nn.init.zeros_(parameter)
            elif parameter.dim() > 1:
                writes = name.endswith(("output.weight", "down.weight"))
                scale = (2 * self.config.n_layers) ** -0.5 if writes else 1.0
                nn.init.normal_(parameter, std=0.02 * scale)

    @property
    def n_parameters(self) -> int:
        """How many numbers the model learns; a shared matrix counts once."""
        return sum(parameter.numel() for parameter in self.parameters())

    def forward(
        self, ids: Int[Tensor, "B T"], cache: KVCache | None = None, explain: bool = False
    ) -> Float[Tensor, "B T V"]:
        """Scores of the next token after every position.

        With a cache, `ids` follow what the cache already holds. With `explain`, attention is computed by the
        readable formula and its pattern passes through `blocks[i].attention.pattern`.
        Raises BadInput when the text grows past the context length.
        """
        n_new = ids.shape[1]
        self._check_length(n_new, cache)
        if cache is None:
            positions = torch.arange(n_new, device=ids.device)[None]
        else:
            positions = cache.positions(n_new)  # (B or 1, T)
        reach = self._reach(positions, cache)
        x = self.token_embedding(ids)  # (B, T, C)
        if self.position_embedding is not None:
            x = x + self.position_embedding(positions)
        elif self.config.positions == "sinusoidal":
            x = x + self.position_table[positions].to(x.dtype)
        x = nn.functional.dropout(x, self.config.dropout, self.training)
        for block in self.blocks:
            if self.checkpoint_activations and self.training:
                x = checkpoint(block, x, reach, cache, explain, use_reentrant=False)
            else:
                x = block(x, reach, cache, explain)
        if cache is not None:
            cache.advance(n_new)
        return self.head(self.norm(x))

    def _check_length(self, n_new: int, cache: KVCache | None) -> None:
        limit = self.config.context_length
        if cache is None:
            longest = n_new
        else:
            held = cache.aligned if cache.aligned is not None else int(cache.lengths.max())
            longest, limit = held + n_new, min(limit, cache.keys.shape[3])
        if longest > limit:
            raise BadInput(f"The text has {longest} tokens and there is room for {limit}: shorten it.")

    def _reach(self, positions: Int[Tensor, "#B T"], cache: KVCache | None) -> Reach:
        n_new = positions.shape[1]
        rotation = None
        if self.config.positions == "rope":
            rotation = (self.cosine[positions][:, None], self.sine[positions][:, None])  # (B or 1, 1, T, D)
            dtype = self.token_embedding.weight.dtype
            rotation = (rotation[0].to(dtype), rotation[1].to(dtype))
        aligned = 0 if cache is None else cache.aligned
        if self.config.positions != "alibi":
            if aligned == 0:
                return Reach(rotation, None, is_causal=True)
            if aligned is not None and n_new == 1:  # one new token reads all that came before
                return Reach(rotation, None, is_causal=False)
        if aligned is not None:
            n_keys = aligned + n_new
            mask = causal_mask(n_new, n_keys, positions.device)[None, None]  # (1, 1, T, S)
        else:
            assert cache is not None
            n_keys = cache.keys.shape[3]
            mask = torch.arange(n_keys, device=positions.device) <= positions[:, None, :, None]  # (B, 1, T, S)
        if self.config.positions == "alibi":
            bias = alibi_bias(self.slopes, positions, n_keys)  # (B or 1, H, T, S)
            mask = bias.masked_fill(~mask, float("-inf")).to(self.token_embedding.weight.dtype)
        return Reach(rotation, mask, is_causal=False)
