"""Exercises on the transformer block: RMSNorm, where norm and skip go, how large the stream becomes, a gradient.

Practised in book/2-building-a-transformer/05_transformer_block.md; the module is insideout/transformer/norm.py.
Sources: Zhang and Sennrich 2019 (RMSNorm); He et al. 2016 (skips); Radford et al. 2019 (pre-norm, scaled weights).
Shapes: B batch, T positions, N positions of all texts, C d_model.
"""

import random
from collections.abc import Callable
from math import sqrt

import torch
from torch import Tensor

from insideout.exercises.catalogue import Exercise, Mistake

Layer = Callable[[Tensor], Tensor]


def numbers(rng: random.Random, *shape: int) -> Tensor:
    """Normal float64 numbers."""
    return torch.randn(shape, generator=torch.Generator().manual_seed(rng.getrandbits(31)), dtype=torch.float64)


# rms_norm: x, gain, epsilon -> γ x / √(mean(x²) + ε)


def draw_rows(rng: random.Random) -> tuple[Tensor, Tensor, float]:
    """x (B, T, C) with means away from 0, a gain (C,), and an ε large enough to be seen."""
    return numbers(rng, 2, 4, 6) + 0.5 * numbers(rng, 2, 4, 1), 1 + 0.5 * numbers(rng, 6), rng.uniform(0.2, 0.8)


def rms_norm(x: Tensor, gain: Tensor, epsilon: float, axis: int = -1) -> Tensor:
    return gain * x / (x.square().mean(dim=axis, keepdim=True) + epsilon).sqrt()


def layer_norm(x: Tensor, gain: Tensor, epsilon: float) -> Tensor:
    return rms_norm(x - x.mean(dim=-1, keepdim=True), gain, epsilon)


def rms_norm_epsilon_outside(x: Tensor, gain: Tensor, epsilon: float) -> Tensor:
    return gain * x / (x.square().mean(dim=-1, keepdim=True).sqrt() + epsilon)


def rms_norm_of_sum(x: Tensor, gain: Tensor, epsilon: float) -> Tensor:
    return gain * x / (x.square().sum(dim=-1, keepdim=True) + epsilon).sqrt()


def rms_norm_without_root(x: Tensor, gain: Tensor, epsilon: float) -> Tensor:
    return gain * x / (x.square().mean(dim=-1, keepdim=True) + epsilon)


# pre_norm: x, norm_1, attention, norm_2, feed_forward -> the block's output


def linear(rng: random.Random) -> Layer:
    """A fixed random map of the last axis."""
    w = numbers(rng, 6, 6)
    return lambda x: torch.tanh(x @ w)


def reading(rng: random.Random) -> Layer:
    """Like attention: each position gets a mean of those before it, then a map."""
    w = numbers(rng, 6, 6)
    return lambda x: (x.cumsum(dim=-2) / torch.arange(1, x.shape[-2] + 1, dtype=x.dtype)[:, None]) @ w


def scaling(rng: random.Random) -> Layer:
    """An RMSNorm with a gain of its own."""
    gain = 1 + 0.3 * numbers(rng, 6)
    return lambda x: rms_norm(x, gain, 1e-6)


def draw_block(rng: random.Random) -> tuple[Tensor, Layer, Layer, Layer, Layer]:
    """x (B, T, C) and the four parts of a block."""
    return 3 * numbers(rng, 2, 5, 6), scaling(rng), reading(rng), scaling(rng), linear(rng)


def pre_norm(x: Tensor, norm_1: Layer, attention: Layer, norm_2: Layer, feed_forward: Layer) -> Tensor:
    x = x + attention(norm_1(x))
    return x + feed_forward(norm_2(x))


def post_norm(x: Tensor, norm_1: Layer, attention: Layer, norm_2: Layer, feed_forward: Layer) -> Tensor:
    x = norm_1(x + attention(x))
    return norm_2(x + feed_forward(x))


def norm_on_the_skip(x: Tensor, norm_1: Layer, attention: Layer, norm_2: Layer, feed_forward: Layer) -> Tensor:
    x = norm_1(x)
    x = norm_2(x + attention(x))
    return x + feed_forward(x)


def without_skips(x: Tensor, norm_1: Layer, attention: Layer, norm_2: Layer, feed_forward: Layer) -> Tensor:
    return feed_forward(norm_2(attention(norm_1(x))))


def without_second_skip(x: Tensor, norm_1: Layer, attention: Layer, norm_2: Layer, feed_forward: Layer) -> Tensor:
    return feed_forward(norm_2(x + attention(norm_1(x))))


def without_norms(x: Tensor, norm_1: Layer, attention: Layer, norm_2: Layer, feed_forward: Layer) -> Tensor:
    x = x + attention(x)
    return x + feed_forward(x)


def side_by_side(x: Tensor, norm_1: Layer, attention: Layer, norm_2: Layer, feed_forward: Layer) -> Tensor:
    return x + attention(norm_1(x)) + feed_forward(norm_2(x))


# stream_size: start, branch, n_layers -> the stream's size after all blocks (plain, scaled)


def draw_sizes(rng: random.Random) -> tuple[float, float, int]:
    """Size of what enters, size of what a branch writes, and the number of blocks."""
    return rng.uniform(0.5, 2.0), rng.uniform(0.5, 2.0), rng.randint(3, 40)


def stream_size(start: float, branch: float, n_layers: int) -> tuple[float, float]:
    return sqrt(start**2 + 2 * n_layers * branch**2), sqrt(start**2 + branch**2)


def stream_size_one_branch(start: float, branch: float, n_layers: int) -> tuple[float, float]:
    return sqrt(start**2 + n_layers * branch**2), sqrt(start**2 + branch**2)


def stream_size_added(start: float, branch: float, n_layers: int) -> tuple[float, float]:
    n = 2 * n_layers
    return start + n * branch, start + n * branch / sqrt(n)


def stream_size_scaled_too_much(start: float, branch: float, n_layers: int) -> tuple[float, float]:
    n = 2 * n_layers
    return sqrt(start**2 + n * branch**2), sqrt(start**2 + branch**2 / n)


def stream_size_squared(start: float, branch: float, n_layers: int) -> tuple[float, float]:
    plain, scaled = stream_size(start, branch, n_layers)
    return plain**2, scaled**2


# rms_norm_gradient: x, gain, epsilon, g -> the loss's gradient with respect to x


def draw_gradient(rng: random.Random) -> tuple[Tensor, Tensor, float, Tensor]:
    """x (N, C), a gain (C,), ε, and the loss's gradient with respect to the norm's output, (N, C)."""
    return numbers(rng, 4, 6), 1 + 0.5 * numbers(rng, 6), rng.uniform(0.1, 0.3), numbers(rng, 4, 6)


def inverse_size(x: Tensor, epsilon: float) -> Tensor:
    return (x.square().mean(dim=-1, keepdim=True) + epsilon).rsqrt()  # r, (N, 1)


def rms_norm_gradient(x: Tensor, gain: Tensor, epsilon: float, g: Tensor) -> Tensor:
    r = inverse_size(x, epsilon)
    n, d = x * r, g * gain
    return r * (d - n * (d * n).mean(dim=-1, keepdim=True))


def gradient_size_constant(x: Tensor, gain: Tensor, epsilon: float, g: Tensor) -> Tensor:
    return inverse_size(x, epsilon) * g * gain


def gradient_gain_outside(x: Tensor, gain: Tensor, epsilon: float, g: Tensor) -> Tensor:
    return gain * rms_norm_gradient(x, torch.ones_like(gain), epsilon, g)


def gradient_of_sum(x: Tensor, gain: Tensor, epsilon: float, g: Tensor) -> Tensor:
    r = inverse_size(x, epsilon)
    n, d = x * r, g * gain
    return r * (d - n * (d * n).sum(dim=-1, keepdim=True))


def gradient_of_layer_norm(x: Tensor, gain: Tensor, epsilon: float, g: Tensor) -> Tensor:
    r = inverse_size(x, epsilon)
    n, d = x * r, g * gain
    return r * (d - d.mean(dim=-1, keepdim=True) - n * (d * n).mean(dim=-1, keepdim=True))


def gradient_plus(x: Tensor, gain: Tensor, epsilon: float, g: Tensor) -> Tensor:
    return 2 * gradient_size_constant(x, gain, epsilon, g) - rms_norm_gradient(x, gain, epsilon, g)


exercises: list[Exercise] = [
    Exercise(
        id="transformer.transformer_block.rms_norm",
        difficulty=1,
        minutes=8,
        reference=rms_norm,
        draw=draw_rows,
        tolerance=1e-10,
        hints=[
            "Square every number of a row, take the mean, add ε, take the root. Divide the row by that.",
            "keepdim=True keeps the axis, so that (B, T, C) can be divided by (B, T, 1).",
        ],
        mistakes=[
            Mistake("The mean is taken away first. That is LayerNorm; RMSNorm leaves the middle alone.", layer_norm),
            Mistake("ε is added after the root; it belongs under it.", rms_norm_epsilon_outside),
            Mistake("The squares are added up; RMSNorm takes their mean.", rms_norm_of_sum),
            Mistake("The root is missing: the row is divided by its mean square.", rms_norm_without_root),
            Mistake(
                "The mean runs over the positions; it must run over the numbers of one position.",
                lambda x, gain, epsilon: rms_norm(x, gain, epsilon, axis=-2),
            ),
            Mistake(
                "The gain is missing.",
                lambda x, gain, epsilon: rms_norm(x, torch.ones_like(gain), epsilon),
            ),
        ],
    ),
    Exercise(
        id="transformer.transformer_block.pre_norm",
        difficulty=1,
        minutes=8,
        reference=pre_norm,
        draw=draw_block,
        tolerance=1e-9,
        hints=[
            "There are two halves of the same form: what came in, plus a function of its norm.",
            "Never give the normed numbers the name x: the skip needs what came in.",
        ],
        mistakes=[
            Mistake(
                "The norms stand after the sums. That is post-norm; here they stand at the entrance of the branches.",
                post_norm,
            ),
            Mistake(
                "The skip carries the normed numbers: x was overwritten before it was added.",
                norm_on_the_skip,
            ),
            Mistake("There are no skips: what came in is lost.", without_skips),
            Mistake("The second skip is missing: only the first half adds.", without_second_skip),
            Mistake("There are no norms.", without_norms),
            Mistake(
                "Both branches read the block's input. The feed-forward layer must read what attention has written.",
                side_by_side,
            ),
            Mistake(
                "The first norm is used twice; each branch has its own.",
                lambda x, norm_1, attention, norm_2, feed: pre_norm(x, norm_1, attention, norm_1, feed),
            ),
        ],
    ),
    Exercise(
        id="transformer.transformer_block.stream_size",
        difficulty=2,
        minutes=10,
        reference=stream_size,
        draw=draw_sizes,
        tolerance=1e-10,
        hints=[
            "For vectors that point no particular way it is the mean squares that add up.",
            "How many branches do n_layers blocks have?",
        ],
        mistakes=[
            Mistake("Each block is counted as one branch; it has two.", stream_size_one_branch),
            Mistake("The sizes are added. Of unrelated vectors it is the squares that add up.", stream_size_added),
            Mistake(
                "The scaled weights are divided by 2 n_layers; the factor is its root.",
                stream_size_scaled_too_much,
            ),
            Mistake("These are mean squares: the size is the root of that.", stream_size_squared),
        ],
    ),
    Exercise(
        id="transformer.transformer_block.rms_norm_gradient",
        difficulty=3,
        minutes=25,
        reference=rms_norm_gradient,
        draw=draw_gradient,
        tolerance=1e-9,
        hints=[
            "Write y = γ x r. Number j of x reaches y_j directly, and every y_i through r.",
            "r = (m + ε)^(-1/2) and m = mean(x²), so dr/dx_j = -r³ x_j / C.",
        ],
        mistakes=[
            Mistake(
                "r is treated as a constant: raising one number also makes the whole row smaller.",
                gradient_size_constant,
            ),
            Mistake(
                "The gain stands outside the mean: it belongs to each number before they are averaged.",
                gradient_gain_outside,
            ),
            Mistake("The shared term is a sum; it must be the mean over the row.", gradient_of_sum),
            Mistake(
                "A mean is taken away that belongs to LayerNorm: RMSNorm subtracts nothing on the way forward.",
                gradient_of_layer_norm,
            ),
            Mistake("The shared term has the wrong sign: a longer row gives smaller numbers.", gradient_plus),
        ],
    ),
]
