"""How a model knows where a token stands: learned, sinusoidal, ALiBi or RoPE.

Attention alone sees a set, not a sequence. Learned and sinusoidal positions are added to the embeddings; ALiBi
lowers each score by its distance; RoPE turns queries and keys by an angle that grows with their position, so
that a score depends only on how far apart the two are:

    (R_t q) · (R_s k) = q · R_(s-t) k

Sources: Vaswani et al. 2017, §3.5 (sinusoidal); Press et al. 2022 (ALiBi); Su et al. 2021 (RoPE).
Shapes: B batch, T query positions, S key positions, H heads, D head width, C d_model.
"""

import torch
from jaxtyping import Float, Int
from torch import Tensor


def sinusoidal_table(n_positions: int, d_model: int) -> Float[Tensor, "T C"]:
    """Sines and cosines of wavelengths from 2π to about 10,000 · 2π; column pairs share one wavelength."""
    position = torch.arange(n_positions, dtype=torch.float64)[:, None]
    frequency = 10_000.0 ** (-torch.arange(0, d_model, 2, dtype=torch.float64) / d_model)
    table = torch.zeros(n_positions, d_model, dtype=torch.float64)
    table[:, 0::2] = torch.sin(position * frequency)
    table[:, 1::2] = torch.cos(position * frequency)[:, : d_model // 2]
    return table.float()


def rope_table(n_positions: int, d_head: int, base: float) -> tuple[Float[Tensor, "T D"], Float[Tensor, "T D"]]:
    """Cosines and sines of position · base^(-2i/D); dimension i is paired with dimension i + D/2."""
    frequency = base ** (-torch.arange(0, d_head, 2, dtype=torch.float64) / d_head)  # (D/2,)
    angle = torch.arange(n_positions, dtype=torch.float64)[:, None] * frequency  # (T, D/2)
    angle = torch.cat([angle, angle], dim=-1)  # (T, D)
    return angle.cos().float(), angle.sin().float()


def rotate(
    x: Float[Tensor, "B H T D"], cosine: Float[Tensor, "#B 1 T D"], sine: Float[Tensor, "#B 1 T D"]
) -> Float[Tensor, "B H T D"]:
    """Turn each pair (x_i, x_(i+D/2)) by its angle."""
    first, second = x.chunk(2, dim=-1)
    return x * cosine + torch.cat([-second, first], dim=-1) * sine


def alibi_slopes(n_heads: int) -> Float[Tensor, "H"]:
    """How fast each head forgets: a geometric series that starts and has its ratio at 2^(-8/H)."""
    return 2.0 ** (-8.0 * torch.arange(1, n_heads + 1) / n_heads)


def alibi_bias(
    slopes: Float[Tensor, "H"], query_positions: Int[Tensor, "#B T"], n_keys: int
) -> Float[Tensor, "#B H T S"]:
    """-slope · (t - s), added to the scores before the softmax."""
    key_positions = torch.arange(n_keys, device=query_positions.device)
    distance = query_positions[:, None, :, None] - key_positions  # (B, 1, T, S)
    return -slopes[:, None, None] * distance
