"""The shape of a GPT, and the checks that it can be built.

Taught in book/2-building-a-transformer/02_attention.md. GPT-2, Llama and Qwen3 are each a value of this one
class: `GPTConfig.gpt2()`, `GPTConfig.llama()`, `GPTConfig.qwen3()`. Imports no torch, so that help texts are quick.
"""

from dataclasses import dataclass
from typing import Any, Literal

from insideout.errors import BadInput


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
    norm: Literal["layernorm", "rmsnorm"] = "rmsnorm"
    """The normalisation before each sublayer and before the head."""
    norm_eps: float = 1e-5
    """Added to the variance before the square root."""
    mlp: Literal["gelu", "gelu_tanh", "relu2", "swiglu"] = "relu2"
    """The feed-forward nonlinearity; gelu_tanh is the approximation that GPT-2's weights were trained with."""
    bias: bool = False
    """Biases in the linear layers and in LayerNorm."""
    qk_norm: bool = True
    """RMSNorm on queries and keys, per head (Qwen3; Dehghani et al. 2023)."""
    tie_embeddings: bool = True
    """Use the token embedding as the output head (Press and Wolf 2017)."""
    dropout: float = 0.0
    """Probability of zeroing an activation while training."""

    def __post_init__(self) -> None:
        sizes = ("vocab_size", "context_length", "d_model", "n_layers", "n_heads")
        for name in sizes:
            if getattr(self, name) < 1:
                raise BadInput(f"{name} is {getattr(self, name)}; it must be at least 1.")
        if self.d_head is None and self.d_model % self.n_heads:
            raise BadInput(
                f"d_model {self.d_model} does not divide into n_heads {self.n_heads}: "
                f"choose a multiple of {self.n_heads}, or set d_head."
            )
        if self.kv_heads < 1 or self.n_heads % self.kv_heads:
            raise BadInput(f"n_heads {self.n_heads} is not a multiple of n_kv_heads {self.n_kv_heads}.")
        if self.positions == "rope" and self.head_width % 2:
            raise BadInput(f"RoPE turns pairs of numbers, so the head width must be even; it is {self.head_width}.")
        if not 0 <= self.dropout < 1:
            raise BadInput(f"dropout is {self.dropout}; it must be at least 0 and less than 1.")

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
        """Hidden width of the feed-forward layer."""
        if self.d_ff is not None:
            return self.d_ff
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
