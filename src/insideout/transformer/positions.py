"""How a model knows where a token stands: learned, sinusoidal, ALiBi or RoPE.

A layer of attention sees its past as a set, not a sequence. Learned and sinusoidal positions are added to the
embeddings; ALiBi lowers each score in proportion to the distance; RoPE turns queries and keys by an angle that grows
with their position, so that a score depends on the two positions only through how far apart they are:

    (R_t q) · (R_s k) = q · R_(s-t) k

Taught in book/2-building-a-transformer/01_tokens_embeddings_positions.md. Sources: Vaswani et al. 2017, §3.5
(sinusoidal); Press et al. 2022 (ALiBi); Su et al. 2021 (RoPE); Chen et al. 2023 (position interpolation).
Shapes: B batch, T query positions, S key positions, H heads, D head width, C d_model.
"""

import math

import torch
from jaxtyping import Float, Int
from torch import Tensor

from insideout.transformer import kernels
from insideout.transformer.config import GPTConfig


def sinusoidal_table(n_positions: int, d_model: int) -> Float[Tensor, "T C"]:
    """Sines and cosines of wavelengths from 2π to about 10,000 · 2π; column pairs share one wavelength."""
    position = torch.arange(n_positions, dtype=torch.float64)[:, None]
    frequency = 10_000.0 ** (-torch.arange(0, d_model, 2, dtype=torch.float64) / d_model)
    table = torch.zeros(n_positions, d_model, dtype=torch.float64)
    table[:, 0::2] = torch.sin(position * frequency)
    table[:, 1::2] = torch.cos(position * frequency)[:, : d_model // 2]
    return table.float()


def rope_frequencies(d_head: int, base: float) -> Float[Tensor, " half"]:
    """By how many radians each of the D/2 pairs turns from one position to the next: base^(-2i/D)."""
    return base ** (-torch.arange(0, d_head, 2, dtype=torch.float64) / d_head)


def scaled_frequencies(frequency: Float[Tensor, " half"], config: GPTConfig) -> Float[Tensor, " half"]:
    """The turns slowed as `config.rope_scaling` says, so that a longer text needs no angle unseen in training.

    linear: θ / factor, every pair alike. llama3 looks at n, how often a pair turns within the original length: above
    the high frequency θ stays, below the low one it is θ / factor, and between them a blend of both.
    Sources: Chen et al. 2023, §3; the code released with Llama 3.1, beside Grattafiori et al. 2024.
    """
    if config.rope_scaling == "none":
        return frequency
    slowed = frequency / config.rope_factor
    if config.rope_scaling == "linear":
        return slowed
    turns = config.rope_original_length * frequency / (2 * math.pi)
    low, high = config.rope_low_frequency, config.rope_high_frequency
    kept = ((turns - low) / (high - low)).clamp(0, 1)
    return (1 - kept) * slowed + kept * frequency


def rope_table(
    n_positions: int, frequency: Float[Tensor, " half"]
) -> tuple[Float[Tensor, "T D"], Float[Tensor, "T D"]]:
    """Cosines and sines of position · frequency; dimension i is paired with dimension i + D/2."""
    angle = torch.arange(n_positions, dtype=torch.float64)[:, None] * frequency  # (T, D/2)
    angle = torch.cat([angle, angle], dim=-1)  # (T, D)
    return angle.cos().float(), angle.sin().float()


def rotate(
    x: Float[Tensor, "B H T D"], cosine: Float[Tensor, "#B 1 T D"], sine: Float[Tensor, "#B 1 T D"]
) -> Float[Tensor, "B H T D"]:
    """Turn each pair (x_i, x_(i+D/2)) by its angle: [x_i, x_(i+D/2)] cos + [−x_(i+D/2), x_i] sin."""
    return kernels.rotate(x, cosine, sine)


def alibi_slopes(n_heads: int) -> Float[Tensor, " H"]:
    """How fast each head forgets: a geometric series that starts and has its ratio at 2^(-8/H)."""
    return 2.0 ** (-8.0 * torch.arange(1, n_heads + 1) / n_heads)


def alibi_bias(
    slopes: Float[Tensor, " H"], query_positions: Int[Tensor, "#B T"], keys: int | Int[Tensor, "#B S"]
) -> Float[Tensor, "#B H T S"]:
    """-slope · (t - s), added to the scores before the softmax. `keys`: where they stand, or how many from 0 on."""
    if isinstance(keys, int):
        keys = torch.arange(keys, device=query_positions.device)[None]
    distance = query_positions[:, None, :, None] - keys[:, None, None, :]  # (B, 1, T, S)
    return -slopes[:, None, None] * distance


def positions_within(segments: Int[Tensor, "B T"]) -> Int[Tensor, "B T"]:
    """Where each token stands in its own document: from 0 wherever the number changes; 0 in padding, numbered -1.

    positions_within([[4, 4, 4, 7, 7, -1, -1]]) = [[0, 1, 2, 0, 1, 0, 0]]
    """
    steps = torch.arange(segments.shape[1], device=segments.device).expand_as(segments)
    begins = torch.ones_like(segments, dtype=torch.bool)
    begins[:, 1:] = segments[:, 1:] != segments[:, :-1]
    latest = steps.where(begins, 0).cummax(dim=1).values  # where the document that one is in began
    return (steps - latest).where(segments >= 0, 0)
