"""Exercises on the transformer block: RMSNorm, a gradient down the stack, the stream's size, back through the norm.

Practised in book/2-building-a-transformer/05_transformer_block.md; the module is insideout/transformer/norm.py.
Sources: Zhang and Sennrich 2019 (RMSNorm); He et al. 2016 (skips); Radford et al. 2019 (pre-norm, scaled weights).
Shapes: B batch, T positions, N positions of all texts, C d_model, n halves of blocks.
"""

import random
from collections.abc import Callable
from math import sqrt

import torch
from torch import Tensor

from insideout.exercises.catalogue import Exercise
from insideout.exercises.drawing import away, tensor, tensor_of

# rms_norm: x, gain, epsilon -> γ x / √(mean(x²) + ε)


def draw_rows(rng: random.Random, B: int, T: int, C: int) -> tuple[Tensor, Tensor, float]:
    """x (B, T, C) with means away from 0, a gain (C,) of both signs, and an ε large enough to be seen."""
    x = tensor(rng, B, T, C) + tensor(rng, B, T, 1, deviation=0.7)
    return x, tensor_of(away(rng, C, 0.5, 1.5)), rng.uniform(0.2, 0.8)


def mean_square(x: Tensor, axis: int | tuple[int, ...] = -1) -> Tensor:
    return x.square().mean(dim=axis, keepdim=True)


def scaled(size: Callable[[Tensor, float], Tensor]) -> Callable[[Tensor, Tensor, float], Tensor]:
    """An answer that divides by `size(x, epsilon)`, which is wrong."""
    return lambda x, gain, epsilon: gain * x / size(x, epsilon)


def rms_norm_of(x: Tensor, gain: Tensor, epsilon: float) -> Tensor:
    return gain * x / (mean_square(x) + epsilon).sqrt()


rms_norm = Exercise(
    "transformer.transformer_block.rms_norm", stars=1, minutes=8, reference=rms_norm_of, draw=draw_rows, tolerance=1e-5,
    edges=[
        (tensor_of([[[0.0, 0.0, 0.0], [3.0, -4.0, 0.5]]]), tensor_of([1.0, 2.0, -1.0]), 1e-5),
        (tensor_of([[[0.003, -0.001]]]), tensor_of([1.0, 1.0]), 1e-5),
        (tensor_of([[[200.0, -300.0]], [[0.1, 0.2]]]), tensor_of([0.5, 1.5]), 1e-6),
    ], section="A standard size",
)  # fmt: skip
rms_norm.mistake(
    "The mean is taken away first. That is LayerNorm; RMSNorm leaves the middle alone.",
    lambda x, gain, epsilon: rms_norm_of(x - x.mean(dim=-1, keepdim=True), gain, epsilon),
)
rms_norm.mistake(
    "The rows are divided by their standard deviation, about their mean: take the root of the mean square.",
    scaled(lambda x, epsilon: (x.var(dim=-1, correction=0, keepdim=True) + epsilon).sqrt()),
)
rms_norm.mistake(
    "ε is added after the root; it belongs under it.", scaled(lambda x, epsilon: mean_square(x).sqrt() + epsilon)
)
rms_norm.mistake("ε is missing: a row of zeros would divide 0 by 0.", scaled(lambda x, epsilon: mean_square(x).sqrt()))
rms_norm.mistake(
    "The squares are added up; RMSNorm takes their mean.",
    scaled(lambda x, epsilon: (x.square().sum(dim=-1, keepdim=True) + epsilon).sqrt()),
)
rms_norm.mistake(
    "The row is divided by its length, and ε is left out: take the root of the mean square, plus ε.",
    scaled(lambda x, epsilon: x.norm(dim=-1, keepdim=True)),
)
rms_norm.mistake(
    "The root is missing: the row is divided by its mean square.", scaled(lambda x, epsilon: mean_square(x) + epsilon)
)
rms_norm.mistake(
    "The row is divided by the mean of its absolute numbers: square first, and take the root of the mean.",
    scaled(lambda x, epsilon: x.abs().mean(dim=-1, keepdim=True) + epsilon),
)
rms_norm.mistake(
    "The numbers themselves are averaged under the root: square them first.",
    scaled(lambda x, epsilon: (x.mean(dim=-1, keepdim=True) + epsilon).sqrt()),
)
rms_norm.mistake(
    "The mean runs over the positions; it must run over the numbers of one position.",
    scaled(lambda x, epsilon: (mean_square(x, -2) + epsilon).sqrt()),
)
rms_norm.mistake(
    "All positions of a text share one size; each position has its own.",
    scaled(lambda x, epsilon: (mean_square(x, (-2, -1)) + epsilon).sqrt()),
)
rms_norm.mistake(
    "All numbers share one size; each position has its own: `mean(dim=-1, keepdim=True)`.",
    scaled(lambda x, epsilon: (x.square().mean() + epsilon).sqrt()),
)
rms_norm.mistake("The gain is missing.", lambda x, gain, epsilon: rms_norm_of(x, torch.ones_like(gain), epsilon))
rms_norm.mistake(
    "The result is multiplied by 1 + γ: here the gain is γ itself.",
    lambda x, gain, epsilon: rms_norm_of(x, 1 + gain, epsilon),
)
rms_norm.mistake(
    "The gain stands inside: x is normed first, and then multiplied by γ.",
    lambda x, gain, epsilon: rms_norm_of(gain * x, torch.ones_like(gain), epsilon),
)
rms_norm.mistake(
    "The result is divided by the gain: it is multiplied by it.",
    lambda x, gain, epsilon: rms_norm_of(x, 1 / gain, epsilon),
)
rms_norm.mistake(
    "The row is multiplied by its size: divide.",
    lambda x, gain, epsilon: gain * x * (mean_square(x) + epsilon).sqrt(),
)
rms_norm.mistake(
    "The mean runs over the texts; it must run over the numbers of one position.",
    scaled(lambda x, epsilon: (mean_square(x, 0) + epsilon).sqrt()),
)
rms_norm.mistake(
    "ε is added to the result: it belongs under the root, beside the mean square.",
    lambda x, gain, epsilon: gain * x / mean_square(x).sqrt() + epsilon,
)
rms_norm.mistake(
    "The gain is added: the normed numbers are multiplied by it.",
    lambda x, gain, epsilon: gain + rms_norm_of(x, torch.ones_like(gain), epsilon),
)
rms_norm.mistake(
    "The squares are divided by C − 1: RMSNorm divides by C.",
    scaled(lambda x, epsilon: (mean_square(x) * x.shape[-1] / (x.shape[-1] - 1) + epsilon).sqrt()),
)
rms_norm.mistake(
    "This is the size of each row: divide the row by it.", lambda x, gain, epsilon: (mean_square(x) + epsilon).sqrt()
)

# through_skips: the branches' Jacobians, the gradient at the end -> the gradient at every depth


def draw_jacobians(rng: random.Random, n: int, C: int) -> tuple[Tensor, Tensor]:
    """The Jacobian of each branch, (n, C, C), the first half of the first block first, and a gradient (C,)."""
    return tensor(rng, n, C, C, deviation=0.7), tensor(rng, C)


def down(jacobians: Tensor, g: Tensor, back: Callable[[Tensor, Tensor, Tensor], Tensor]) -> Tensor:
    """From the last half to the first, g ← back(its J, g, the g that came in); the gradient at every depth."""
    found = [g]
    for jacobian in jacobians.flip(0):
        found.append(back(jacobian, found[-1], g))
    return torch.stack(found[::-1])


def gradients_down(jacobians: Tensor, g: Tensor) -> Tensor:
    return down(jacobians, g, lambda J, g, end: g + J.mT @ g)


through_skips = Exercise(
    "transformer.transformer_block.through_skips", stars=2, minutes=12, reference=gradients_down, draw=draw_jacobians,
    edges=[(tensor_of([[[0.0, 2.0], [0.0, 0.0]]]), tensor_of([1.0, 3.0])),
           (tensor_of([[[0.0, 0.0], [0.0, 0.0]]]), tensor_of([1.0, -1.0]))],
    section="What this does to the gradient",
)  # fmt: skip
through_skips.mistake(
    "The skip is missing: what arrives is g itself, and what comes back through the branch is added to it.",
    lambda jacobians, g: down(jacobians, g, lambda J, g, end: J.mT @ g),
)
through_skips.mistake(
    "The branch is missing: only the skip is followed, and g arrives as it was.",
    lambda jacobians, g: down(jacobians, g, lambda J, g, end: g),
)
through_skips.mistake(
    "The Jacobian is not transposed: backward, number j collects from all i that it has moved, Σᵢ Jᵢⱼ gᵢ.",
    lambda jacobians, g: down(jacobians, g, lambda J, g, end: g + J @ g),
)
through_skips.mistake(
    "The Jacobian is not transposed, and the skip is missing: one step back is (1 + J)ᵀ g.",
    lambda jacobians, g: down(jacobians, g, lambda J, g, end: J @ g),
)
through_skips.mistake(
    "The halves come in the wrong order: the way back begins at the last one.",
    lambda jacobians, g: gradients_down(jacobians.flip(0), g),
)
through_skips.mistake(
    "The way goes forward, from the first half to the last: the gradient is known at the end, and goes back.",
    lambda jacobians, g: gradients_down(jacobians.flip(0), g).flip(0),
)
through_skips.mistake(
    "The skip adds the last gradient at every depth: it hands on what has arrived one half above.",
    lambda jacobians, g: down(jacobians, g, lambda J, g, end: end + J.mT @ g),
)
through_skips.mistake(
    "Each branch is given the last gradient: it gets what has arrived one half above, branches and all.",
    lambda jacobians, g: down(jacobians, g, lambda J, g, end: g + J.mT @ end),
)
through_skips.mistake(
    "Each depth is computed from the last gradient alone: the steps back must follow one another.",
    lambda jacobians, g: down(jacobians, g, lambda J, g, end: end + J.mT @ end),
)
through_skips.mistake(
    "What comes back through the branch is subtracted: it is added.",
    lambda jacobians, g: down(jacobians, g, lambda J, g, end: g - J.mT @ g),
)
through_skips.mistake(
    "The gradients come in the order of the way back: the first of the list belongs before the first half.",
    lambda jacobians, g: gradients_down(jacobians, g).flip(0),
)
through_skips.mistake(
    "These are the gradients' lengths: the vectors themselves are asked for.",
    lambda jacobians, g: gradients_down(jacobians, g).norm(dim=-1),
)
through_skips.mistake(
    "The Jacobian's columns are added up: weigh each row with its gradient first, Σᵢ Jᵢⱼ gᵢ.",
    lambda jacobians, g: down(jacobians, g, lambda J, g, end: g + J.sum(dim=0)),
)
through_skips.mistake(
    "Only the diagonal of the Jacobian is used: a number also moves the branch's other numbers.",
    lambda jacobians, g: down(jacobians, g, lambda J, g, end: g + J.diagonal() * g),
)

# stream_size: start, branch, n_layers -> the stream's size after all blocks (plain, scaled)


def draw_sizes(rng: random.Random) -> tuple[float, float, int]:
    """Size of what enters, size of what a branch writes, and the number of blocks."""
    return rng.uniform(0.5, 2.0), rng.uniform(0.5, 2.0), rng.randint(2, 40)


def sizes(start: float, branch: float, n_layers: int) -> tuple[float, float]:
    return sqrt(start**2 + 2 * n_layers * branch**2), sqrt(start**2 + branch**2)


stream_size = Exercise(
    "transformer.transformer_block.stream_size", stars=2, minutes=10, reference=sizes, draw=draw_sizes,
    edges=[(1.0, 1.0, 1), (1.0, 0.0, 5), (0.0, 2.0, 8)],
    section="Measure it: smaller weights for deeper models",
)  # fmt: skip
stream_size.mistake(
    "Each block is counted as one branch; it has two.",
    lambda start, branch, n: (sqrt(start**2 + n * branch**2), sqrt(start**2 + branch**2)),
)
stream_size.mistake(
    "Each block is counted as one branch; it has two, and the weights are divided by the root of all branches.",
    lambda start, branch, n: (sqrt(start**2 + n * branch**2), sqrt(start**2 + branch**2 / 2)),
)
stream_size.mistake(
    "The sizes are added. Of unrelated vectors it is the squares that add up.",
    lambda start, branch, n: (start + 2 * n * branch, start + 2 * n * branch / sqrt(2 * n)),
)
stream_size.mistake(
    "All branches are taken to point the same way: of unrelated vectors the squares add up, 2 n_layers times one.",
    lambda start, branch, n: (sqrt(start**2 + (2 * n * branch) ** 2), sqrt(start**2 + 2 * n * branch**2)),
)
stream_size.mistake(
    "The scaled weights are divided by 2 n_layers; the factor is its root.",
    lambda start, branch, n: (sizes(start, branch, n)[0], sqrt(start**2 + branch**2 / (2 * n))),
)
stream_size.mistake(
    "The scaled weights are divided by the root of n_layers: there are 2 n_layers branches.",
    lambda start, branch, n: (sizes(start, branch, n)[0], sqrt(start**2 + 2 * branch**2)),
)
stream_size.mistake(
    "The whole stream is divided by the root: only what the branches write becomes smaller.",
    lambda start, branch, n: (sizes(start, branch, n)[0], sizes(start, branch, n)[0] / sqrt(2 * n)),
)
stream_size.mistake(
    "The second size is that of the unscaled weights: divide what each half writes by √(2L).",
    lambda start, branch, n: (sizes(start, branch, n)[0], sizes(start, branch, n)[0]),
)
stream_size.mistake(
    "These are mean squares: the size is the root of that.",
    lambda start, branch, n: (start**2 + 2 * n * branch**2, start**2 + branch**2),
)
stream_size.mistake(
    "What entered is left out: it is still part of the sum.",
    lambda start, branch, n: (sqrt(2 * n) * branch, branch),
)
stream_size.mistake(
    "The sizes are not squared under the root: it is the squares that add up.",
    lambda start, branch, n: (sqrt(start + 2 * n * branch), sqrt(start + branch)),
)
stream_size.mistake("The two sizes have changed places.", lambda start, branch, n: sizes(start, branch, n)[::-1])
stream_size.mistake(
    "The sizes are added, in the second as one branch's: of unrelated vectors it is the squares that add up.",
    lambda start, branch, n: (start + 2 * n * branch, start + branch),
)
stream_size.mistake(
    "What the branches write is added up by squares, but then added to the start: square all under one root.",
    lambda start, branch, n: (start + sqrt(2 * n) * branch, start + branch),
)

# rms_norm_gradient: x, gain, epsilon, g -> the loss's gradient with respect to x


def draw_gradient(rng: random.Random, N: int, C: int) -> tuple[Tensor, Tensor, float, Tensor]:
    """x (N, C), a gain (C,), ε, and the loss's gradient with respect to the norm's output, (N, C)."""
    return tensor(rng, N, C), tensor_of(away(rng, C, 0.5, 1.5)), rng.uniform(0.1, 0.3), tensor(rng, N, C)


def parts(x: Tensor, gain: Tensor, epsilon: float, g: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """r = 1 / √(mean(x²) + ε), (N, 1); the normed numbers x r; the gradient that reaches them, γ g."""
    r = (mean_square(x) + epsilon).rsqrt()
    return r, x * r, g * gain


def gradient_by(
    rule: Callable[[Tensor, Tensor, Tensor, Tensor, Tensor, Tensor], Tensor],
) -> Callable[[Tensor, Tensor, float, Tensor], Tensor]:
    """An answer from rule(r, n, d, x, gain, g), with r, n and d as in `parts`."""
    return lambda x, gain, epsilon, g: rule(*parts(x, gain, epsilon, g), x, gain, g)


def mean(x: Tensor, axis: int = -1) -> Tensor:
    return x.mean(dim=axis, keepdim=True)


right_gradient = gradient_by(lambda r, n, d, x, gain, g: r * (d - n * mean(d * n)))

rms_norm_gradient = Exercise(
    "transformer.transformer_block.rms_norm_gradient", stars=3, minutes=25, reference=right_gradient,
    draw=draw_gradient,
    edges=[(tensor_of([[0.0, 0.0], [3.0, 4.0]]), tensor_of([1.0, 2.0]), 0.01, tensor_of([[1.0, -1.0], [0.5, 2.0]]))],
    section="What this does to the gradient",
)  # fmt: skip
rms_norm_gradient.mistake(
    "r is treated as a constant: raising one number also makes the whole row smaller.",
    gradient_by(lambda r, n, d, x, gain, g: r * d),
)
rms_norm_gradient.mistake(
    "The gain stands outside the mean: it belongs to each number before they are averaged.",
    gradient_by(lambda r, n, d, x, gain, g: gain * r * (g - n * mean(g * n))),
)
rms_norm_gradient.mistake(
    "The gain is missing in the shared term: what reaches the normed numbers is γ g there too.",
    gradient_by(lambda r, n, d, x, gain, g: r * (d - n * mean(g * n))),
)
rms_norm_gradient.mistake(
    "The gain is missing in the direct term: what reaches the normed numbers is γ g there too.",
    gradient_by(lambda r, n, d, x, gain, g: r * (g - n * mean(d * n))),
)
rms_norm_gradient.mistake(
    "The gain is missing: what reaches the normed numbers is γ g.",
    gradient_by(lambda r, n, d, x, gain, g: r * (g - n * mean(g * n))),
)
rms_norm_gradient.mistake(
    "The shared term is a sum; it must be the mean over the row.",
    gradient_by(lambda r, n, d, x, gain, g: r * (d - n * (d * n).sum(dim=-1, keepdim=True))),
)
rms_norm_gradient.mistake(
    "The shared mean runs over the positions; it must run over the row.",
    gradient_by(lambda r, n, d, x, gain, g: r * (d - n * mean(d * n, 0))),
)
rms_norm_gradient.mistake(
    "The shared mean runs over all rows; each row has its own.",
    gradient_by(lambda r, n, d, x, gain, g: r * (d - n * (d * n).mean())),
)
rms_norm_gradient.mistake(
    "A mean is taken away that belongs to LayerNorm: RMSNorm subtracts nothing on the way forward.",
    gradient_by(lambda r, n, d, x, gain, g: r * (d - mean(d) - n * mean(d * n))),
)
rms_norm_gradient.mistake(
    "The shared term has the wrong sign: a longer row gives smaller numbers.",
    gradient_by(lambda r, n, d, x, gain, g: r * (d + n * mean(d * n))),
)
rms_norm_gradient.mistake(
    "The factor r is missing in front: the numbers are divided by the row's size, and so is their gradient.",
    gradient_by(lambda r, n, d, x, gain, g: d - n * mean(d * n)),
)
rms_norm_gradient.mistake(
    "The shared term has one factor r too few: dr/dx is −r³ x / C.",
    gradient_by(lambda r, n, d, x, gain, g: r * d - n * mean(d * n)),
)
rms_norm_gradient.mistake(
    "x stands where the normed x belongs, in both places: dr/dx is −r³ x / C, with the third power.",
    gradient_by(lambda r, n, d, x, gain, g: r * (d - x * mean(d * x))),
)
rms_norm_gradient.mistake(
    "The mean is taken of γ g alone: weigh each number with its normed x before they are averaged.",
    gradient_by(lambda r, n, d, x, gain, g: r * (d - n * mean(d))),
)
rms_norm_gradient.mistake(
    "Only the number's own share of the mean is counted: every y of the row feels r.",
    gradient_by(lambda r, n, d, x, gain, g: r * (d - n * d * n / x.shape[-1])),
)
rms_norm_gradient.mistake(
    "This is the gradient with respect to the gain: that with respect to x is asked for.",
    gradient_by(lambda r, n, d, x, gain, g: (g * n).sum(dim=0)),
)
rms_norm_gradient.mistake(
    "ε is left out: r is 1 / √(mean(x²) + ε).", lambda x, gain, epsilon, g: right_gradient(x, gain, 0.0, g)
)
rms_norm_gradient.mistake(
    "r is treated as a constant, and the gain is missing: what reaches the normed numbers is γ g.",
    gradient_by(lambda r, n, d, x, gain, g: r * g),
)
rms_norm_gradient.mistake(
    "The shared term is half of what it should be: in dr/dx = −r³ x / C the 2 of the square and the ½ of the root "
    "cancel.",
    gradient_by(lambda r, n, d, x, gain, g: r * (d - n * mean(d * n) / 2)),
)
rms_norm_gradient.mistake(
    "The shared term is twice what it should be: in dr/dx = −r³ x / C the 2 of the square and the ½ of the root "
    "cancel.",
    gradient_by(lambda r, n, d, x, gain, g: r * (d - 2 * n * mean(d * n))),
)
rms_norm_gradient.mistake(
    "This is the norm itself, forward: its gradient is asked for.", gradient_by(lambda r, n, d, x, gain, g: gain * n)
)
