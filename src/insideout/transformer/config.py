"""The shape of a GPT, and the checks that it can be built.

Taught in book/2-building-a-transformer/00_introduction.md and 06_complete_model.md. GPT-2, Llama and Qwen3 are each a
value of this one class: `GPTConfig.gpt2()`, `GPTConfig.llama()`, `GPTConfig.qwen3()`. Imports no torch, so that help
texts are quick.
"""

import math
from dataclasses import dataclass, field
from typing import Any, Literal, get_args

from insideout.errors import BadInput
from insideout.training.config import LATER

MOST = 10**12
"""No model has a size above this; what fits into a machine is another question."""


@dataclass(frozen=True)
class GPTConfig:
    """Sizes and choices of one decoder-only transformer."""

    vocab_size: int = 2048
    """How many different tokens there are (V)."""
    context_length: int = 256
    """The most positions the model can look at (T)."""
    d_model: int = 128
    """Width of the residual stream (C)."""
    n_layers: int = 4
    """How many blocks are stacked."""
    n_heads: int = 4
    """Attention heads per block (H)."""
    n_kv_heads: int | None = None
    """Heads that hold keys and values; fewer than n_heads is grouped-query attention. None: n_heads."""
    d_head: int | None = None
    """Width of one head (D). None: d_model / n_heads."""
    d_ff: int | None = None
    """Hidden width of the feed-forward layer. None: 4 d_model, or 8/3 d_model for swiglu."""
    positions: Literal["none", "learned", "sinusoidal", "alibi", "rope"] = "rope"
    """How a position is made known to the model."""
    rope_base: float = 10_000.0
    """RoPE's slowest wavelength is about 2π times this many tokens."""
    rope_scaling: Literal["none", "linear", "llama3"] = "none"
    """Slow RoPE's turns down for longer texts: all alike, or the slow ones only, as Llama 3.1 does."""
    rope_factor: float = 1.0
    """How many times slower: a context this many times longer needs no larger angles."""
    rope_low_frequency: float = 1.0
    """llama3: pairs that turn less than this often within rope_original_length are slowed in full."""
    rope_high_frequency: float = 4.0
    """llama3: pairs that turn more than this often within it stay as they are."""
    rope_original_length: int = 8192
    """llama3: the context length that the model was trained with at first."""
    window: int | None = None
    """Sliding window: a query reads at most this many positions, its own the last. None: all before it."""
    norm: Literal["layernorm", "rmsnorm"] = "rmsnorm"
    """The normalisation before each sublayer and before the head."""
    norm_eps: float = 1e-5
    """Added to the variance (for RMSNorm, to the mean square) before the square root."""
    mlp: Literal["gelu", "gelu_tanh", "relu2", "swiglu", "none"] = "relu2"
    """The feed-forward nonlinearity; gelu_tanh is GPT-2's approximation, none leaves attention alone in the block."""
    bias: bool = False
    """Biases in the linear layers and in LayerNorm."""
    attention_bias: bool = False
    """Biases in the linear layers of attention even if bias is off, as some Llama and Qwen3 models have them."""
    qk_norm: bool = True
    """RMSNorm on queries and keys, per head, as in Qwen3; Dehghani et al. 2023 introduced it with LayerNorm."""
    tie_embeddings: bool = True
    """Use the token embedding as the output head (Press and Wolf 2017)."""
    token_shift: bool = False
    """Give each token's vector a learned share of the vector before it (Peng et al. 2023)."""
    dropout: float = 0.0
    """Probability of zeroing an activation while training."""
    zero_init_outputs: bool = field(default=False, metadata=LATER)
    """Begin with 0 in what writes to the residual stream, and in an untied head: every block starts as the identity."""
    logit_cap: float = field(default=0.0, metadata=LATER)
    """Squeeze the logits smoothly between minus and plus this, as Gemma 2 does. 0: leave them as they are."""
    pair_rows: int = field(default=0, metadata=LATER)
    """Rows of a table of vectors for pairs of neighbouring tokens; several pairs may share a row. 0: no table."""

    def __post_init__(self) -> None:
        for name in ("positions", "rope_scaling", "norm", "mlp"):
            choices = get_args(GPTConfig.__annotations__[name])
            if getattr(self, name) not in choices:
                raise BadInput(f"{name} is {getattr(self, name)!r}; it must be one of {', '.join(choices)}.")
        sizes = ("vocab_size", "context_length", "d_model", "n_layers", "n_heads", "rope_original_length")
        for name in (*sizes, "n_kv_heads", "d_head", "d_ff", "window"):
            size = getattr(self, name)
            if size is not None and (size != size or not 1 <= size <= MOST):
                raise BadInput(f"{name} is {size}; it must be at least 1, and at most {MOST:,}.")
            if size is not None and size != int(size):
                raise BadInput(f"{name} is {size}; it must be a whole number.")
        if self.d_head is None and self.d_model % self.n_heads:
            raise BadInput(
                f"d_model {self.d_model} does not divide into n_heads {self.n_heads}: "
                f"choose a multiple of {self.n_heads}, or set d_head."
            )
        if self.n_heads % self.kv_heads:
            raise BadInput(f"n_heads {self.n_heads} is not a multiple of n_kv_heads {self.n_kv_heads}.")
        if self.positions == "rope" and self.head_width % 2:
            raise BadInput(f"RoPE turns pairs of numbers, so the head width must be even; it is {self.head_width}.")
        self._check_rope_scaling()
        if self.mlp == "none" and self.d_ff is not None:
            raise BadInput(f"mlp none leaves out the feed-forward layer, so d_ff {self.d_ff} has no use: unset it.")
        if not 0 <= self.norm_eps <= 1:
            raise BadInput(f"norm_eps is {self.norm_eps}; it must be at least 0 and at most 1.")
        if not 1 <= self.rope_base < math.inf:
            raise BadInput(f"rope_base is {self.rope_base}; it must be a finite number of at least 1.")
        if not 0 <= self.dropout < 1:
            raise BadInput(f"dropout is {self.dropout}; it must be at least 0 and less than 1.")
        if not 0 <= self.logit_cap < math.inf:
            raise BadInput(f"logit_cap is {self.logit_cap}; it must be 0, for no cap, or a finite number above 0.")
        if not 0 <= self.pair_rows <= MOST:
            raise BadInput(f"pair_rows is {self.pair_rows}; it must be a whole number from 0 to {MOST:,}.")

    def _check_rope_scaling(self) -> None:
        if self.rope_scaling == "none":
            if self.rope_factor != 1:
                raise BadInput(f"rope_factor is {self.rope_factor}, but rope_scaling is none: choose linear or llama3.")
            return
        if self.positions != "rope":
            raise BadInput(f"rope_scaling {self.rope_scaling} needs positions rope; they are {self.positions}.")
        if not 1 <= self.rope_factor < math.inf:
            raise BadInput(f"rope_factor is {self.rope_factor}; it must be a finite number of at least 1.")
        if not 0 < self.rope_low_frequency < self.rope_high_frequency < math.inf:
            raise BadInput(
                f"rope_low_frequency is {self.rope_low_frequency}; it must lie between 0 and rope_high_frequency, "
                f"which is {self.rope_high_frequency}."
            )

    @property
    def looks_back(self) -> bool:
        """Does what enters the first block at a position depend on the token before, too?"""
        return self.token_shift or self.pair_rows > 0

    @property
    def kv_heads(self) -> int:
        """Number of key and value heads."""
        return self.n_heads if self.n_kv_heads is None else self.n_kv_heads

    @property
    def head_width(self) -> int:
        """D, the width of one head."""
        return self.d_model // self.n_heads if self.d_head is None else self.d_head

    @property
    def ff_width(self) -> int:
        """Hidden width of the feed-forward layer; 0 if there is none."""
        if self.d_ff is not None:
            return self.d_ff
        if self.mlp == "none":
            return 0
        return 8 * self.d_model // 3 if self.mlp == "swiglu" else 4 * self.d_model

    @classmethod
    def gpt2(cls, **overrides: Any) -> "GPTConfig":
        """GPT-2 small, 124M parameters (Radford et al. 2019)."""
        values: dict[str, Any] = {
            "vocab_size": 50257, "context_length": 1024, "d_model": 768, "n_layers": 12, "n_heads": 12,
            "positions": "learned", "norm": "layernorm", "mlp": "gelu_tanh", "bias": True, "qk_norm": False,
        }  # fmt: skip
        return cls(**(values | overrides))

    @classmethod
    def llama(cls, **overrides: Any) -> "GPTConfig":
        """Llama 3.2 1B's shape (Touvron et al. 2023; Grattafiori et al. 2024), without its RoPE scaling."""
        values: dict[str, Any] = {
            "vocab_size": 128256, "context_length": 8192, "d_model": 2048, "n_layers": 16, "n_heads": 32,
            "n_kv_heads": 8, "d_ff": 8192, "rope_base": 500_000.0, "mlp": "swiglu", "qk_norm": False,
        }  # fmt: skip
        return cls(**(values | overrides))

    @classmethod
    def qwen3(cls, **overrides: Any) -> "GPTConfig":
        """Qwen3 0.6B (Yang et al. 2025)."""
        values: dict[str, Any] = {
            "vocab_size": 151936, "context_length": 40960, "d_model": 1024, "n_layers": 28, "n_heads": 16,
            "n_kv_heads": 8, "d_head": 128, "d_ff": 3072, "rope_base": 1_000_000.0, "mlp": "swiglu", "norm_eps": 1e-6,
        }  # fmt: skip
        return cls(**(values | overrides))
