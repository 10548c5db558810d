"""Exercises on the diffusion transformer: patches, a steered branch, and what a picture costs.

Practised in book/5-from-noise-to-images/04_diffusion_transformer.md; the module is insideout/images/dit.py.
Shapes: B pictures, T patches, C width.
"""

import random
from collections.abc import Callable

import torch
from torch import Tensor

from insideout.exercises.catalogue import Exercise
from insideout.exercises.drawing import described, tensor

# patchify


def draw_pictures(rng: random.Random) -> tuple[Tensor, int]:
    """Pictures that are not square, with more than one channel, and a patch."""
    p = rng.choice([2, 3])
    rows, columns = rng.sample([1, 2, 3, 4], 2)
    return tensor(rng, rng.randint(1, 2), rng.randint(2, 3), rows * p, columns * p), p


def patches(pictures: Tensor, p: int, order: tuple[int, ...] = (0, 2, 4, 3, 5, 1)) -> Tensor:
    batch, channels, height, width = pictures.shape
    squares = pictures.reshape(batch, channels, height // p, p, width // p, p)
    return squares.permute(*order).reshape(batch, -1, p * p * channels)


def strips(pictures: Tensor, p: int) -> Tensor:
    """Reshaped without an exchange of axes: what lies side by side in memory."""
    return pictures.reshape(len(pictures), -1, p * p * pictures.shape[1])


patchify = Exercise(
    "images.diffusion_transformer.patchify", stars=2, minutes=12, reference=patches, draw=draw_pictures, tolerance=0,
    section="A picture as a list",
)  # fmt: skip
PATCH_MISTAKES: list[tuple[str, Callable[[Tensor, int], Tensor]]] = [
    ("A reshape alone cuts the memory, not the picture: the axes must change places first.", strips),
    (
        "The channels stand first in each patch: for each pixel they stand side by side.",
        lambda x, p: patches(x, p, (0, 2, 4, 1, 3, 5)),
    ),
    (
        "The patches go column by column: row by row is asked for.",
        lambda x, p: patches(x, p, (0, 4, 2, 3, 5, 1)),
    ),
    (
        "Within a patch the pixels go column by column.",
        lambda x, p: patches(x, p, (0, 2, 4, 5, 3, 1)),
    ),
    (
        "Patches and pixels both go column by column: the picture was turned over.",
        lambda x, p: patches(x, p, (0, 4, 2, 5, 3, 1)),
    ),
    (
        "The axes of patches and of pixels within are exchanged: pixels that stand together are torn apart.",
        lambda x, p: (
            x.reshape(len(x), x.shape[1], p, x.shape[2] // p, p, x.shape[3] // p)
            .permute(0, 3, 5, 2, 4, 1)
            .reshape(len(x), -1, p * p * x.shape[1])
        ),
    ),
    (
        "The axes are in the order (row, row within, column, …): patch rows and columns come first.",
        lambda x, p: patches(x, p, (0, 2, 3, 4, 5, 1)),
    ),
    ("Only the first channel is cut.", lambda x, p: patches(x[:, :1], p)),
    (
        "The patches of all pictures are in one list: keep the pictures apart.",
        lambda x, p: patches(x, p).flatten(0, 1),
    ),
    (
        "Each patch is averaged: keep all of its numbers.",
        lambda x, p: patches(x, p).reshape(len(x), -1, p * p, x.shape[1]).mean(2),
    ),
    (
        "Rows of a patch are kept as an axis: one vector a patch.",
        lambda x, p: patches(x, p).reshape(len(x), -1, p, p * x.shape[1]),
    ),
    ("The last two axes are exchanged: (B, T, p p c).", lambda x, p: patches(x, p).transpose(1, 2)),
]
for diagnosis, made in PATCH_MISTAKES:
    patchify.mistake(diagnosis, made)

# steered_branch

Steered = tuple[Tensor, Tensor, Tensor, Tensor, Callable[[Tensor], Tensor]]


def draw_branch(rng: random.Random, B: int, T: int, C: int = 2) -> Steered:
    """Vectors far from mean 0 and variance 1, one shift, scale and gate a picture, and a branch that mixes patches."""
    kind = rng.choice(["x²", "the patches in reverse"])
    branch = described(torch.square, "x²") if kind == "x²" else described(lambda x: x.flip(1), kind)
    return 1 + 2 * tensor(rng, B, T, C), tensor(rng, B, C), tensor(rng, B, C), tensor(rng, B, C), branch


def norm(x: Tensor) -> Tensor:
    around = x - x.mean(-1, keepdim=True)
    return around / (around.square().mean(-1, keepdim=True) + 1e-6).sqrt()


def steer(x: Tensor, shift: Tensor, scale: Tensor, gate: Tensor, branch: Callable[[Tensor], Tensor]) -> Tensor:
    return x + gate[:, None] * branch(norm(x) * (1 + scale[:, None]) + shift[:, None])


steered_branch = Exercise(
    "images.diffusion_transformer.steered_branch", stars=2, minutes=12, reference=steer, draw=draw_branch,
    section="Told, not shown: adaLN-Zero",
)  # fmt: skip
Made = Callable[[Tensor, Tensor, Tensor, Tensor, Callable[[Tensor], Tensor]], Tensor]
STEERED_MISTAKES: list[tuple[str, Made]] = [
    (
        "The gain is scale: it is 1 + scale, so that at 0 the norm comes through.",
        lambda x, b, a, g, f: x + g[:, None] * f(norm(x) * a[:, None] + b[:, None]),
    ),
    ("The gate is missing.", lambda x, b, a, g, f: x + f(norm(x) * (1 + a[:, None]) + b[:, None])),
    (
        "The gate is 1 + gate: it must be able to close the branch.",
        lambda x, b, a, g, f: x + (1 + g[:, None]) * f(norm(x) * (1 + a[:, None]) + b[:, None]),
    ),
    (
        "The gate stands before the branch: it weighs what comes out of it.",
        lambda x, b, a, g, f: x + f(g[:, None] * (norm(x) * (1 + a[:, None]) + b[:, None])),
    ),
    ("x itself is missing: the branch is added to it.", lambda x, b, a, g, f: steer(x, b, a, g, f) - x),
    (
        "The norm of x is passed on beside the branch: x itself is.",
        lambda x, b, a, g, f: steer(x, b, a, g, f) - x + norm(x),
    ),
    (
        "The norm is missing.",
        lambda x, b, a, g, f: x + g[:, None] * f(x * (1 + a[:, None]) + b[:, None]),
    ),
    ("Shift and scale have changed places.", lambda x, b, a, g, f: steer(x, a, b, g, f)),
    ("Shift and gate have changed places.", lambda x, b, a, g, f: steer(x, g, a, b, f)),
    ("Scale and gate have changed places.", lambda x, b, a, g, f: steer(x, b, g, a, f)),
    ("The shift is missing.", lambda x, b, a, g, f: steer(x, torch.zeros_like(b), a, g, f)),
    ("The scale is missing.", lambda x, b, a, g, f: steer(x, b, torch.zeros_like(a), g, f)),
    (
        "The shift is added before the gain.",
        lambda x, b, a, g, f: x + g[:, None] * f((norm(x) + b[:, None]) * (1 + a[:, None])),
    ),
    (
        "The gate weighs x as well.",
        lambda x, b, a, g, f: g[:, None] * (x + f(norm(x) * (1 + a[:, None]) + b[:, None])),
    ),
    (
        "The mean is not taken off in the norm: it is no RMSNorm.",
        lambda x, b, a, g, f: (
            x + g[:, None] * f(x / (x.square().mean(-1, keepdim=True) + 1e-6).sqrt() * (1 + a[:, None]) + b[:, None])
        ),
    ),
    (
        "The variance is divided by C − 1: torch's std does that.",
        lambda x, b, a, g, f: (
            x
            + g[:, None]
            * f(
                (x - x.mean(-1, keepdim=True)) / (x.var(-1, keepdim=True) + 1e-6).sqrt() * (1 + a[:, None]) + b[:, None]
            )
        ),
    ),
    (
        "The norm is over the patches: it is over the C numbers of each.",
        lambda x, b, a, g, f: (
            x + g[:, None] * f(norm(x.transpose(1, 2)).transpose(1, 2) * (1 + a[:, None]) + b[:, None])
        ),
    ),
]
for diagnosis, wrong in STEERED_MISTAKES:
    steered_branch.mistake(diagnosis, wrong)

# multiply_adds

Sizes = tuple[int, int, int, int, int]


def draw_sizes(rng: random.Random) -> Sizes:
    patch = rng.choice([2, 3, 4])
    return patch * rng.randint(2, 8), rng.choice([1, 3, 4]), patch, rng.choice([32, 48, 64, 96]), rng.randint(2, 8)


def cost(size: int, channels: int, patch: int, C: int, L: int) -> int:
    T, values = (size // patch) ** 2, patch**2 * channels
    return T * (L * 12 * C**2 + 2 * values * C) + L * 2 * T**2 * C


multiply_adds = Exercise(
    "images.diffusion_transformer.multiply_adds", stars=2, minutes=12, reference=cost, draw=draw_sizes, tolerance=0,
    section="What it costs",
)  # fmt: skip


def other_cost(
    squares: float = 12, pairs: float = 2, around: float = 2, blocks: bool = True
) -> Callable[[int, int, int, int, int], float]:
    def found(size: int, channels: int, patch: int, C: int, L: int) -> float:
        T, values = (size // patch) ** 2, patch**2 * channels
        n = L if blocks else 1
        return T * (n * squares * C**2 + around * values * C) + n * pairs * T**2 * C

    return found


COST_MISTAKES: list[tuple[str, Callable[[int, int, int, int, int], float]]] = [
    ("Attention has four matrices and the feed-forward layer eight more squares: 12 C² a patch.", other_cost(1, 1)),
    ("12 C² a patch and a block: the feed-forward layer's 8 are missing.", other_cost(4)),
    ("12 C² a patch and a block: attention's 4 are missing.", other_cost(8)),
    ("Attention's fourth matrix, out of it, is missing.", other_cost(11)),
    ("Pairs are used twice: for the scores, and for the sum of the values.", other_cost(12, 1)),
    ("The pairs are missing.", other_cost(12, 0)),
    ("The layers into C and out of it are missing.", other_cost(12, 2, 0)),
    ("Two layers stand around the blocks: one is missing.", other_cost(12, 2, 1)),
    ("One block is counted: there are L.", other_cost(blocks=False)),
    ("A multiplication and an addition are one here: this is operations, twice as many.", lambda *s: 2 * cost(*s)),
    (
        "These are parameters: each matrix is used for every patch.",
        lambda size, channels, patch, C, L: L * 12 * C**2 + 2 * patch**2 * channels * C,
    ),
    (
        "There are (size / patch)² patches.",
        lambda size, channels, patch, C, L: (
            size // patch * (L * 12 * C**2 + 2 * patch**2 * channels * C) + L * 2 * (size // patch) ** 2 * C
        ),
    ),
    ("Each pixel is counted as a patch.", lambda size, channels, patch, C, L: cost(size, channels, 1, C, L)),
    ("The channels are left out.", lambda size, channels, patch, C, L: cost(size, 1, patch, C, L)),
    (
        "A patch has patch² · channels numbers: its side is counted once.",
        lambda size, channels, patch, C, L: (
            (size // patch) ** 2 * (L * 12 * C**2 + 2 * patch * channels * C) + L * 2 * (size // patch) ** 4 * C
        ),
    ),
    (
        "A pair costs C twice, not C²: the heads divide C among them.",
        lambda size, channels, patch, C, L: (
            (size // patch) ** 2 * (L * 12 * C**2 + 2 * patch**2 * channels * C) + L * 2 * (size // patch) ** 4 * C**2
        ),
    ),
]
for diagnosis, miscounted in COST_MISTAKES:
    multiply_adds.mistake(diagnosis, miscounted)
