"""Exercises on residuals and LayerNorm: normalising rows, undoing a norm, the pre-norm block.

Practised in book/1-understanding-gradients/06_residuals_and_layer_norm.md; the modules are
insideout/gradients/layer_norm.py and model.py. Standard library only. Shapes: T positions, C width.
"""

import random
from collections.abc import Callable
from math import sqrt

from insideout.exercises.catalogue import Exercise
from insideout.exercises.drawing import described, matrix, vector
from insideout.gradients import Matrix, Vector, add, layer_norm, matmul, transpose
from insideout.gradients import linear as library_linear

Map = Callable[[Matrix], Matrix]


def mean(numbers: Vector) -> float:
    return sum(numbers) / len(numbers)


def variance(row: Vector) -> float:
    return mean([(number - mean(row)) ** 2 for number in row])


# normalise: x, epsilon -> each row less its mean, over its deviation


def draw_rows(rng: random.Random, T: int, C: int = 2) -> tuple[Matrix, float]:
    """Rows with a mean far from 0, and an epsilon that is felt."""
    means = [rng.choice((-1.0, 1.0)) * rng.uniform(1.0, 3.0) for _ in range(T)]
    return [[middle + number for number in vector(rng, C)] for middle in means], rng.uniform(0.01, 0.3)


def normalised(x: Matrix, epsilon: float) -> Matrix:
    c = len(x[0])
    return layer_norm(x, [1.0] * c, [0.0] * c, epsilon)[1]


def by_rows(x: Matrix, centre: Callable[[Vector], float], size: Callable[[Vector], float]) -> Matrix:
    """(number − centre of its row) / size of its row."""
    return [[(number - centre(row)) / size(row) for number in row] for row in x]


normalise = Exercise(
    "gradients.residuals_and_layer_norm.normalise", stars=1, minutes=10, reference=normalised, draw=draw_rows,
    edges=[([[2.0, 2.0, 2.0], [0.0, 1.0, 5.0]], 1e-5), ([[0.001, -0.001]], 1e-5), ([[4.0]], 0.1)],
    section="LayerNorm, in one row",
)  # fmt: skip
normalise.mistake(
    "The variance is divided by C − 1; LayerNorm divides by C.",
    lambda x, epsilon: by_rows(x, mean, lambda row: sqrt(variance(row) * len(row) / (len(row) - 1) + epsilon)),
)
normalise.mistake(
    "ε is added after the root; it belongs under it, beside the variance.",
    lambda x, epsilon: by_rows(x, mean, lambda row: sqrt(variance(row)) + epsilon),
)
normalise.mistake(
    "The rows are divided by the variance, not by its root.",
    lambda x, epsilon: by_rows(x, mean, lambda row: variance(row) + epsilon),
)
normalise.mistake(
    "The mean is not subtracted from the numbers.",
    lambda x, epsilon: by_rows(x, lambda row: 0.0, lambda row: sqrt(variance(row) + epsilon)),
)
normalise.mistake(
    "The mean is nowhere subtracted, and the size is the root mean square: this is RMSNorm.",
    lambda x, epsilon: by_rows(x, lambda row: 0.0, lambda row: sqrt(mean([n**2 for n in row]) + epsilon)),
)
normalise.mistake(
    "The mean is subtracted from the numbers, but not inside the variance: it is the mean of (x − μ)².",
    lambda x, epsilon: by_rows(x, mean, lambda row: sqrt(mean([n**2 for n in row]) + epsilon)),
)
normalise.mistake(
    "The rows are centred, and not divided by their deviation.",
    lambda x, epsilon: by_rows(x, mean, lambda row: 1.0),
)
normalise.mistake(
    "ε is left out: a row of equal numbers would divide 0 by 0.",
    lambda x, epsilon: by_rows(x, mean, lambda row: sqrt(variance(row))),
)
normalise.mistake("ε is fixed at 1e-5: use the given one.", lambda x, epsilon: normalised(x, 1e-5))
normalise.mistake("ε is squared under the root: add it as it is.", lambda x, epsilon: normalised(x, epsilon * epsilon))
normalise.mistake(
    "ε is subtracted from the variance: it is added.",
    lambda x, epsilon: by_rows(x, mean, lambda row: sqrt(max(variance(row) - epsilon, 0.0))),
)
normalise.mistake(
    "The squared distances are added up: the variance is their mean.",
    lambda x, epsilon: by_rows(x, mean, lambda row: sqrt(variance(row) * len(row) + epsilon)),
)
normalise.mistake(
    "The size is the mean distance |x − μ|: it is the root of the mean square.",
    lambda x, epsilon: by_rows(x, mean, lambda row: mean([abs(n - mean(row)) for n in row]) + epsilon),
)
normalise.mistake(
    "The mean and variance run down the columns, over positions; each row has its own.",
    lambda x, epsilon: transpose(normalised(transpose(x), epsilon)),
)
normalise.mistake(
    "All rows share one mean and one variance: each row has its own.",
    lambda x, epsilon: by_rows(
        x, lambda row: mean([n for each in x for n in each]),
        lambda row: sqrt(variance([n for each in x for n in each]) + epsilon),
    ),
)  # fmt: skip

# undo: row, epsilon -> (gain, bias) with which LayerNorm gives the row back


def draw_row(rng: random.Random, C: int = 2) -> tuple[Vector, float]:
    x, epsilon = draw_rows(rng, 1, C)
    return x[0], epsilon


def undo_by(
    gain: Callable[[Vector, float], float], bias: Callable[[Vector, float], float]
) -> Callable[..., tuple[Vector, Vector]]:
    """An answer with the same gain and the same bias for all numbers of the row."""
    return lambda row, epsilon: ([gain(row, epsilon)] * len(row), [bias(row, epsilon)] * len(row))


def deviation(row: Vector, epsilon: float) -> float:
    return sqrt(variance(row) + epsilon)


def middle(row: Vector, epsilon: float) -> float:
    return mean(row)


undo = Exercise(
    "gradients.residuals_and_layer_norm.undo", stars=2, minutes=10, reference=undo_by(deviation, middle), draw=draw_row,
    edges=[([1.0, 2.0, 6.0], 1e-5), ([0.0, 0.004], 1e-5)], section="LayerNorm, in one row",
)  # fmt: skip
undo.mistake(
    "The gain leaves out ε: LayerNorm divided by √(var + ε), so multiply by just that.",
    undo_by(lambda row, epsilon: sqrt(variance(row)), middle),
)
undo.mistake(
    "ε is added after the root; LayerNorm has it under the root.",
    undo_by(lambda row, epsilon: sqrt(variance(row)) + epsilon, middle),
)
undo.mistake("The gain is the variance, not its root.", undo_by(lambda row, epsilon: variance(row) + epsilon, middle))
undo.mistake(
    "The variance is divided by C − 1; LayerNorm divides by C.",
    undo_by(lambda row, epsilon: sqrt(variance(row) * len(row) / (len(row) - 1) + epsilon), middle),
)
undo.mistake(
    "The bias has the wrong sign: the mean was taken away, so add it.",
    undo_by(deviation, lambda row, epsilon: -mean(row)),
)
undo.mistake(
    "The gain is 1/s: that would divide a second time.",
    undo_by(lambda row, epsilon: 1.0 / deviation(row, epsilon), middle),
)
undo.mistake("The bias is 0: the mean is still missing from the row.", undo_by(deviation, lambda row, epsilon: 0.0))
undo.mistake("The gain is 1: the row keeps the size that LayerNorm gave it.", undo_by(lambda row, epsilon: 1.0, middle))
undo.mistake(
    "The bias is divided by the deviation: it is added after the gain, so it is the mean itself.",
    undo_by(deviation, lambda row, epsilon: mean(row) / deviation(row, epsilon)),
)
undo.mistake(
    "The bias is multiplied by the deviation: it is added after the gain, so it is the mean itself.",
    undo_by(deviation, lambda row, epsilon: mean(row) * deviation(row, epsilon)),
)
undo.mistake(
    "Gain and bias are single numbers: each is a list as long as the row.",
    lambda row, epsilon: (deviation(row, epsilon), mean(row)),
)
undo.mistake(
    "The gain is 0 and the bias is the row itself: each is to be one number, repeated. Use the norm's.",
    lambda row, epsilon: ([0.0] * len(row), list(row)),
)
undo.mistake("Gain and bias have changed places.", undo_by(middle, deviation))
undo.mistake(
    "The gain is the root mean square: the norm subtracts the mean first.",
    undo_by(lambda row, epsilon: sqrt(mean([n**2 for n in row]) + epsilon), middle),
)

# block: x, norm_1, attention, norm_2, feed_forward -> x_out


def draw_block(rng: random.Random, T: int, C: int = 2) -> tuple[Matrix, Map, Map, Map, Map]:
    """x T×C, two different norms, and two maps that stand for attention and feed-forward."""

    def norm() -> Map:
        gain, bias = [rng.uniform(0.5, 1.5) for _ in range(C)], [rng.uniform(-0.5, 0.5) for _ in range(C)]
        return described(lambda x: layer_norm(x, gain, bias)[0], "a LayerNorm with its gain and bias")

    def branch(text: str, mixed: Matrix) -> Map:
        w, b = matrix(rng, C, C), vector(rng, C)
        return described(lambda x: library_linear(matmul(mixed, x), w, b), text)

    average = [[1.0 / (t + 1) if s <= t else 0.0 for s in range(T)] for t in range(T)]
    alone = [[1.0 if s == t else 0.0 for s in range(T)] for t in range(T)]
    attention, feed_forward = branch("a mean over positions and a linear map", average), branch("a linear map", alone)
    return matrix(rng, T, C, 2.0), norm(), attention, norm(), feed_forward


def whole_block(x: Matrix, norm_1: Map, attention: Map, norm_2: Map, feed_forward: Map) -> Matrix:
    x_middle = add(x, attention(norm_1(x)))
    return add(x_middle, feed_forward(norm_2(x_middle)))


def post_norm(x: Matrix, norm_1: Map, attention: Map, norm_2: Map, feed_forward: Map) -> Matrix:
    x_middle = norm_1(add(x, attention(x)))
    return norm_2(add(x_middle, feed_forward(x_middle)))


def normed_skip(x: Matrix, norm_1: Map, attention: Map, norm_2: Map, feed_forward: Map) -> Matrix:
    normed = norm_1(x)
    normed = norm_2(add(normed, attention(normed)))
    return add(normed, feed_forward(normed))


def from_middle(what: Callable[[Matrix, Matrix, Map, Map, Map], Matrix]) -> Callable[..., Matrix]:
    """Right up to x_middle, and then `what(x, x_middle, norm_1, norm_2, feed_forward)`."""
    return lambda x, norm_1, attention, norm_2, feed_forward: what(
        x, add(x, attention(norm_1(x))), norm_1, norm_2, feed_forward
    )


block = Exercise(
    "gradients.residuals_and_layer_norm.block", stars=2, minutes=12, reference=whole_block, draw=draw_block,
    section="The whole block",
)  # fmt: skip
block.mistake(
    "The norm stands after each sum: that is post-norm. Here it stands at the entrance of the branch.", post_norm
)
block.mistake(
    "The norm stands after the branch, inside the sum: it stands at the branch's entrance.",
    lambda x, n1, attn, n2, ff: add(add(x, n1(attn(x))), n2(ff(add(x, n1(attn(x)))))),
)
block.mistake(
    "The feed-forward network reads x: it must read what attention has added to, x_middle.",
    from_middle(lambda x, x_middle, n1, n2, ff: add(x_middle, ff(n2(x)))),
)
block.mistake(
    "The second skip starts at x, so attention's part is lost from the sum: start at x_middle.",
    from_middle(lambda x, x_middle, n1, n2, ff: add(x, ff(n2(x_middle)))),
)
block.mistake(
    "There is no skip: x itself must be part of the sum, in both halves.",
    lambda x, n1, attn, n2, ff: ff(n2(attn(n1(x)))),
)
block.mistake(
    "The first skip is missing: x must be part of x_middle.",
    lambda x, n1, attn, n2, ff: add(attn(n1(x)), ff(n2(attn(n1(x))))),
)
block.mistake(
    "The second skip is missing: x_middle must be part of the sum.",
    from_middle(lambda x, x_middle, n1, n2, ff: ff(n2(x_middle))),
)
block.mistake("The skips carry the normalised numbers; they carry x and x_middle as they are.", normed_skip)
block.mistake(
    "norm_1 is used twice: the second half has a norm of its own.",
    from_middle(lambda x, x_middle, n1, n2, ff: add(x_middle, ff(n1(x_middle)))),
)
block.mistake("norm_1 and norm_2 have changed places.", lambda x, n1, attn, n2, ff: whole_block(x, n2, attn, n1, ff))
block.mistake(
    "The feed-forward network reads x_middle without its norm.",
    from_middle(lambda x, x_middle, n1, n2, ff: add(x_middle, ff(x_middle))),
)
block.mistake(
    "Attention reads x without its norm.",
    lambda x, n1, attn, n2, ff: add(add(x, attn(x)), ff(n2(add(x, attn(x))))),
)
block.mistake(
    "There are no norms: each branch reads a normalised copy.",
    lambda x, n1, attn, n2, ff: add(add(x, attn(x)), ff(add(x, attn(x)))),
)
block.mistake(
    "Attention and feed-forward have changed places: attention comes first.",
    lambda x, n1, attn, n2, ff: whole_block(x, n1, ff, n2, attn),
)
block.mistake(
    "x is added once more at the end: x_middle holds it already.",
    lambda x, n1, attn, n2, ff: add(x, whole_block(x, n1, attn, n2, ff)),
)
block.mistake(
    "This is x_middle: the feed-forward half is missing.",
    from_middle(lambda x, x_middle, n1, n2, ff: x_middle),
)
block.mistake(
    "The end is normalised once more: the block gives back the sum itself.",
    lambda x, n1, attn, n2, ff: n2(whole_block(x, n1, attn, n2, ff)),
)
