"""The feed-forward layer: the same small network at every position, reading nothing from the others.

    gelu, relu²:  W_down f(W_up x)            swiglu:  W_down (silu(W_gate x) ⊙ W_up x)

Taught in book/2-building-a-transformer/04_feed_forward.md; a mixture of several such layers is experts.py.
Sources: Hendrycks and Gimpel 2016 (GELU); So et al. 2021 (ReLU²); Shazeer 2020 (SwiGLU).
Shapes: B batch, T positions, C d_model.
"""

from jaxtyping import Float
from torch import Tensor, nn
from torch.nn import functional as F

from insideout.transformer import kernels
from insideout.transformer.config import GPTConfig


class FeedForward(nn.Module):
    """Widen, apply the activation function, narrow."""

    def __init__(self, config: GPTConfig) -> None:
        super().__init__()
        self.nonlinearity = config.mlp
        self.gate = nn.Linear(config.d_model, config.ff_width, config.bias) if config.mlp == "swiglu" else None
        self.up = nn.Linear(config.d_model, config.ff_width, bias=config.bias)
        self.down = nn.Linear(config.ff_width, config.d_model, bias=config.bias)
        self.dropout = nn.Dropout(config.dropout)

    def forward(self, x: Float[Tensor, "B T C"]) -> Float[Tensor, "B T C"]:
        hidden = self.up(x)  # (B, T, d_ff)
        if self.gate is not None:
            hidden = F.silu(self.gate(x)) * hidden
        elif self.nonlinearity == "relu2":
            hidden = kernels.relu_squared(hidden)
        else:
            hidden = F.gelu(hidden, approximate="tanh" if self.nonlinearity == "gelu_tanh" else "none")
        return self.dropout(self.down(hidden))
