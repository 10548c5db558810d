"""Exercises on LayerNorm and the block: normalise, undo a norm by gain and bias, put the block together.

Practised in book/1-understanding-gradients/06_residuals_and_layer_norm.md; the module is
insideout/gradients/layer_norm.py. Standard library only. Shapes: T positions, C width.
"""

import random
from collections.abc import Callable
from math import sqrt

from insideout.exercises.catalogue import Exercise, Mistake
from insideout.gradients import Matrix, Vector, add, layer_norm, linear, transpose

Map = Callable[[Matrix], Matrix]
Parts = tuple[Matrix, Map, Map, Map, Map]


def numbers(rng: random.Random, rows: int, columns: int) -> Matrix:
    """Normal numbers."""
    return [[rng.gauss(0.0, 1.0) for _ in range(columns)] for _ in range(rows)]


def mean(row: Vector) -> float:
    return sum(row) / len(row)


def variance(row: Vector) -> float:
    return sum((number - mean(row)) ** 2 for number in row) / len(row)


# normalise: x, epsilon -> each row with mean 0 and variance var/(var + epsilon)


def draw_rows(rng: random.Random) -> tuple[Matrix, float]:
    """x, T×C, every row with a mean far from 0 and a wide spread; an epsilon large enough to be seen."""
    x = []
    for _ in range(4):
        sign, middle = rng.choice([-1.0, 1.0]), rng.uniform(1.0, 3.0)
        row = [*numbers(rng, 1, 4)[0], rng.uniform(1.0, 2.0), rng.uniform(-2.0, -1.0)]
        x.append([sign * middle + number for number in row])
    return x, rng.uniform(0.01, 0.02)


def normalise(x: Matrix, epsilon: float) -> Matrix:
    c = len(x[0])
    return layer_norm(x, [1.0] * c, [0.0] * c, epsilon)[1]


def by_rows(x: Matrix, centre: Callable[[Vector], float], size: Callable[[Vector], float]) -> Matrix:
    """(number − centre of its row) / size of its row."""
    return [[(number - centre(row)) / size(row) for number in row] for row in x]


def unbiased(x: Matrix, epsilon: float) -> Matrix:
    return by_rows(x, mean, lambda row: sqrt(variance(row) * len(row) / (len(row) - 1) + epsilon))


def epsilon_outside(x: Matrix, epsilon: float) -> Matrix:
    return by_rows(x, mean, lambda row: sqrt(variance(row)) + epsilon)


def by_variance(x: Matrix, epsilon: float) -> Matrix:
    return by_rows(x, mean, lambda row: variance(row) + epsilon)


def not_centred(x: Matrix, epsilon: float) -> Matrix:
    return by_rows(x, lambda row: 0.0, lambda row: sqrt(variance(row) + epsilon))


def by_mean_square(x: Matrix, epsilon: float) -> Matrix:
    return by_rows(x, lambda row: 0.0, lambda row: sqrt(mean([number**2 for number in row]) + epsilon))


def without_epsilon(x: Matrix, epsilon: float) -> Matrix:
    return by_rows(x, mean, lambda row: sqrt(variance(row)))


def over_columns(x: Matrix, epsilon: float) -> Matrix:
    return transpose(normalise(transpose(x), epsilon))


# undo: row, epsilon -> (gain, bias) with which LayerNorm gives the row back


def draw_row(rng: random.Random) -> tuple[Vector, float]:
    """One row of `draw_rows`, and its epsilon."""
    x, epsilon = draw_rows(rng)
    return x[0], epsilon


def undo_by(
    gain: Callable[[Vector, float], float], bias: Callable[[Vector], float]
) -> Callable[..., tuple[Vector, Vector]]:
    """An answer with the same gain and the same bias for all numbers of the row."""
    return lambda row, epsilon: ([gain(row, epsilon)] * len(row), [bias(row)] * len(row))


def deviation(row: Vector, epsilon: float) -> float:
    return sqrt(variance(row) + epsilon)


undo = undo_by(deviation, mean)


# block: x, norm_1, attention, norm_2, feed_forward -> x_out


def draw_block(rng: random.Random) -> Parts:
    """x T×C, two different norms, and two maps that stand for attention and feed-forward."""
    c = 5

    def norm() -> Map:
        gain, bias = [rng.uniform(0.5, 1.5) for _ in range(c)], [rng.uniform(-0.5, 0.5) for _ in range(c)]
        return lambda x: layer_norm(x, gain, bias)[0]

    def branch() -> Map:
        w, b = numbers(rng, c, c), numbers(rng, 1, c)[0]
        return lambda x: linear(x, w, b)

    return [[2.0 * number for number in row] for row in numbers(rng, 4, c)], norm(), branch(), norm(), branch()


def block(x: Matrix, norm_1: Map, attention: Map, norm_2: Map, feed_forward: Map) -> Matrix:
    x_middle = add(x, attention(norm_1(x)))
    return add(x_middle, feed_forward(norm_2(x_middle)))


def post_norm(x: Matrix, norm_1: Map, attention: Map, norm_2: Map, feed_forward: Map) -> Matrix:
    x_middle = norm_1(add(x, attention(x)))
    return norm_2(add(x_middle, feed_forward(x_middle)))


def parallel(x: Matrix, norm_1: Map, attention: Map, norm_2: Map, feed_forward: Map) -> Matrix:
    return add(add(x, attention(norm_1(x))), feed_forward(norm_2(x)))


def second_skip_from_x(x: Matrix, norm_1: Map, attention: Map, norm_2: Map, feed_forward: Map) -> Matrix:
    return add(x, feed_forward(norm_2(add(x, attention(norm_1(x))))))


def no_skip(x: Matrix, norm_1: Map, attention: Map, norm_2: Map, feed_forward: Map) -> Matrix:
    return feed_forward(norm_2(attention(norm_1(x))))


def normed_skip(x: Matrix, norm_1: Map, attention: Map, norm_2: Map, feed_forward: Map) -> Matrix:
    normed = norm_1(x)
    normed = norm_2(add(normed, attention(normed)))
    return add(normed, feed_forward(normed))


def one_norm(x: Matrix, norm_1: Map, attention: Map, norm_2: Map, feed_forward: Map) -> Matrix:
    x_middle = add(x, attention(norm_1(x)))
    return add(x_middle, feed_forward(norm_1(x_middle)))


def no_second_norm(x: Matrix, norm_1: Map, attention: Map, norm_2: Map, feed_forward: Map) -> Matrix:
    x_middle = add(x, attention(norm_1(x)))
    return add(x_middle, feed_forward(x_middle))


exercises: list[Exercise] = [
    Exercise(
        id="gradients.residuals_and_layer_norm.normalise",
        difficulty=1,
        minutes=10,
        reference=normalise,
        draw=draw_rows,
        tolerance=1e-9,
        hints=[
            "Work on one row: its mean first, then the mean of the squared distances from it.",
            "ε is added to the variance, and the root is taken of the sum.",
        ],
        mistakes=[
            Mistake("The variance is divided by C − 1; LayerNorm divides by C.", unbiased),
            Mistake("ε is added after the root; it belongs under it, beside the variance.", epsilon_outside),
            Mistake("The rows are divided by the variance, not by its root.", by_variance),
            Mistake("The mean is not subtracted from the numbers.", not_centred),
            Mistake(
                "The mean is nowhere subtracted, and the size is the root mean square: this is RMSNorm.",
                by_mean_square,
            ),
            Mistake("ε is left out: a row of equal numbers would divide 0 by 0.", without_epsilon),
            Mistake("The mean and variance run down the columns, over positions; each row has its own.", over_columns),
        ],
    ),
    Exercise(
        id="gradients.residuals_and_layer_norm.undo",
        difficulty=2,
        minutes=10,
        reference=undo,
        draw=draw_row,
        tolerance=1e-9,
        hints=[
            "y = γ n + β and n = (x − μ)/s. Which γ and β give y = x?",
            "s is the root of var + ε, the very number that LayerNorm divided by. γ and β are lists of C numbers.",
        ],
        mistakes=[
            Mistake(
                "The gain leaves out ε: LayerNorm divided by √(var + ε), so multiply by just that.",
                undo_by(lambda row, epsilon: sqrt(variance(row)), mean),
            ),
            Mistake(
                "The gain is the variance, not its root.", undo_by(lambda row, epsilon: variance(row) + epsilon, mean)
            ),
            Mistake(
                "The bias has the wrong sign: the mean was taken away, so add it.",
                undo_by(deviation, lambda row: -mean(row)),
            ),
            Mistake(
                "The gain is 1/s: that would divide a second time.",
                undo_by(lambda row, epsilon: 1.0 / deviation(row, epsilon), mean),
            ),
            Mistake("The bias is 0: the mean is still missing from the row.", undo_by(deviation, lambda row: 0.0)),
        ],
    ),
    Exercise(
        id="gradients.residuals_and_layer_norm.block",
        difficulty=2,
        minutes=12,
        reference=block,
        draw=draw_block,
        tolerance=1e-9,
        hints=[
            "Two halves of the same form: what comes in, plus a function of its norm.",
            "The second half starts from the first half's result, with its norm and with its skip.",
        ],
        mistakes=[
            Mistake(
                "The norm stands after each sum: that is post-norm. Here it stands at the entrance of the branch.",
                post_norm,
            ),
            Mistake("The feed-forward network reads x: it must read what attention has added to, x_middle.", parallel),
            Mistake(
                "The second skip starts at x, so attention's part is lost from the sum: start at x_middle.",
                second_skip_from_x,
            ),
            Mistake("There is no skip: x itself must be part of the sum, in both halves.", no_skip),
            Mistake("The skips carry the normalised numbers; they carry x and x_middle as they are.", normed_skip),
            Mistake("norm_1 is used twice: the second half has a norm of its own.", one_norm),
            Mistake("The feed-forward network reads x_middle without its norm.", no_second_norm),
        ],
    ),
]
