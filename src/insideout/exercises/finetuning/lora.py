"""Exercises on adapters: how many numbers they hold, and what a layer with one gives.

Practised in book/3-fine-tuning-a-transformer/05_lora.md; the module is insideout/finetuning/lora.py. Shapes: N rows of
x, `o` outputs, `i` inputs, r the rank.
"""

import random
from collections.abc import Sequence

from torch import Tensor

from insideout.exercises.catalogue import Exercise
from insideout.exercises.drawing import tensor

Shapes = Sequence[tuple[int, int]]

# count: shapes, rank -> how many numbers are trained


def draw_shapes(rng: random.Random) -> tuple[list[tuple[int, int]], int]:
    """Two or three matrices, (rows, columns), none square, and a rank."""
    shapes = []
    for _ in range(rng.randint(2, 3)):
        rows, columns = rng.sample(range(5, 40), 2)
        shapes.append((rows, columns))
    return shapes, rng.randint(2, 4)


def counted(shapes: Shapes, rank: int) -> int:
    return sum(rank * (rows + columns) for rows, columns in shapes)


count = Exercise(
    "finetuning.lora.count", stars=1, minutes=5, reference=counted, draw=draw_shapes, tolerance=0,
    edges=[([(768, 768), (3072, 768)], 8)], section="What is trained",
)  # fmt: skip
count.mistake(
    "The rank multiplies the whole matrix: A has r rows as wide as the input, B r columns as high as the output.",
    lambda shapes, rank: sum(rank * rows * columns for rows, columns in shapes),
)
count.mistake(
    "These are the matrices themselves, which stay frozen.",
    lambda shapes, rank: sum(rows * columns for rows, columns in shapes),
)
count.mistake("The rank is missing: A has r rows, B r columns.", lambda shapes, rank: sum(r + c for r, c in shapes))
count.mistake("Only B is counted: A is trained too.", lambda shapes, rank: sum(rank * rows for rows, _ in shapes))
count.mistake("Only A is counted: B is trained too.", lambda shapes, rank: sum(rank * columns for _, columns in shapes))
count.mistake("Each is counted twice: one A and one B a matrix.", lambda shapes, rank: 2 * counted(shapes, rank))
count.mistake(
    "This is the share of the matrices: give the number.",
    lambda shapes, rank: counted(shapes, rank) / sum(rows * columns for rows, columns in shapes),
)
count.mistake("Only the first matrix is counted.", lambda shapes, rank: counted(shapes[:1], rank))
count.mistake("Only the last matrix is counted: add them up.", lambda shapes, rank: counted(shapes[-1:], rank))
count.mistake(
    "The frozen matrices are counted too.",
    lambda shapes, rank: counted(shapes, rank) + sum(rows * columns for rows, columns in shapes),
)
count.mistake(
    "Both are taken as high as the output: A is as wide as the input.",
    lambda shapes, rank: sum(2 * rank * rows for rows, _ in shapes),
)
count.mistake(
    "Every matrix is taken for one of the first's shape.",
    lambda shapes, rank: len(shapes) * counted(shapes[:1], rank),
)

# forward: x, W, A, B, alpha -> y


def draw_layer(rng: random.Random, n: int = 1, o: int = 1, i: int = 1) -> tuple[Tensor, Tensor, Tensor, Tensor, float]:
    """x (n, i), W (o, i), A (r, i), B (o, r), and α."""
    rank = rng.randint(2, 3)
    return (
        tensor(rng, n, i), tensor(rng, o, i), tensor(rng, rank, i), tensor(rng, o, rank), float(rng.choice((5, 7, 11)))
    )  # fmt: skip


def with_scale(x: Tensor, W: Tensor, A: Tensor, B: Tensor, scale: float) -> Tensor:
    return x @ W.T + scale * (x @ A.T) @ B.T


def layer(x: Tensor, W: Tensor, A: Tensor, B: Tensor, alpha: float) -> Tensor:
    return with_scale(x, W, A, B, alpha / A.shape[0])


forward = Exercise(
    "finetuning.lora.forward", stars=1, minutes=8, reference=layer, draw=draw_layer, tolerance=1e-6,
    section="W, and B A beside it",
)  # fmt: skip
forward.mistake(
    "The product is not scaled: it is multiplied by α / r.",
    lambda x, W, A, B, alpha: with_scale(x, W, A, B, 1),
)
forward.mistake("The scale is α: divide it by the rank.", lambda x, W, A, B, alpha: with_scale(x, W, A, B, alpha))
forward.mistake("The scale is 1 / r: α is missing.", lambda x, W, A, B, alpha: with_scale(x, W, A, B, 1 / A.shape[0]))
forward.mistake(
    "The scale is α / √r, which is rsLoRA's: here it is α / r.",
    lambda x, W, A, B, alpha: with_scale(x, W, A, B, alpha / A.shape[0] ** 0.5),
)
forward.mistake(
    "The scale stands on its head: α / r.", lambda x, W, A, B, alpha: with_scale(x, W, A, B, A.shape[0] / alpha)
)
forward.mistake(
    "α is divided by the input's width: the rank is the number of A's rows.",
    lambda x, W, A, B, alpha: with_scale(x, W, A, B, alpha / A.shape[1]),
)
forward.mistake(
    "α is divided by the output's width: the rank is the number of A's rows.",
    lambda x, W, A, B, alpha: with_scale(x, W, A, B, alpha / B.shape[0]),
)
forward.mistake(
    "The adapter is subtracted: it is added.",
    lambda x, W, A, B, alpha: with_scale(x, W, A, B, -alpha / A.shape[0]),
)
forward.mistake(
    "The frozen matrix is left out: the adapter is added to what it gives.",
    lambda x, W, A, B, alpha: with_scale(x, 0 * W, A, B, alpha / A.shape[0]),
)
forward.mistake("The adapter is left out.", lambda x, W, A, B, alpha: with_scale(x, W, A, B, 0))
forward.mistake(
    "The frozen layer is scaled too: only the product is.",
    lambda x, W, A, B, alpha: alpha / A.shape[0] * with_scale(x, W, A, B, 1),
)
forward.mistake(
    "This is the merged matrix: multiply x by it.", lambda x, W, A, B, alpha: W + alpha / A.shape[0] * B @ A
)
forward.mistake(
    "This is what the adapter adds to the matrix: give the layer's output.",
    lambda x, W, A, B, alpha: alpha / A.shape[0] * B @ A,
)
forward.mistake("The output is turned: (N, outputs).", lambda x, W, A, B, alpha: layer(x, W, A, B, alpha).T)
