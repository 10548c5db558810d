"""Exercises on the feed-forward network: GELU, the collapse of two maps without it, its slope.

Practised in book/1-understanding-gradients/05_feed_forward.md; the module is insideout/gradients/feed_forward.py.
Standard library only. Shapes: T positions, C width, F hidden width.
"""

import random
from collections.abc import Callable
from math import erf, exp, pi, sqrt, tanh

from insideout.exercises.catalogue import Exercise
from insideout.exercises.drawing import matrix, vector
from insideout.gradients import Matrix, Vector, apply, matmul
from insideout.gradients import gelu as library_gelu
from insideout.gradients.feed_forward import gelu_slope


def cumulative(x: float) -> float:
    """Φ(x), the chance that a standard normal number is smaller than x."""
    return (1.0 + erf(x / sqrt(2.0))) / 2.0


def density(x: float) -> float:
    """φ(x), the slope of Φ."""
    return exp(-x * x / 2.0) / sqrt(2.0 * pi)


def tanh_gate(x: float) -> float:
    """The form of Φ(x) that is made of a tanh."""
    return (1.0 + tanh(sqrt(2.0 / pi) * (x + 0.044715 * x**3))) / 2.0


def tanh_slope(x: float) -> float:
    """The slope of x times `tanh_gate`."""
    t = 2.0 * tanh_gate(x) - 1.0
    return (1.0 + t) / 2.0 + x * (1.0 - t * t) / 2.0 * sqrt(2.0 / pi) * (1.0 + 3.0 * 0.044715 * x * x)


def sigmoid(x: float) -> float:
    return 1.0 / (1.0 + exp(-x))


def each(function: Callable[[float], float]) -> Callable[[Matrix], Matrix]:
    """The function of every number."""
    return lambda h: apply(function, h)


# gelu and slope: h -> a number for each number of h


def draw_hidden(rng: random.Random, T: int, F: int) -> tuple[Matrix]:
    """Numbers of both signs, most of them where the forms of GELU differ."""
    return (matrix(rng, T, F, 1.5),)


EXTREMES = [([[0.0, -0.0, 12.0, -12.0, 0.001]],), ([[1.0], [-1.0], [2.5]],)]

gelu = Exercise(
    "gradients.feed_forward.gelu", stars=1, minutes=8, reference=library_gelu, draw=draw_hidden, edges=EXTREMES,
    section="A gate for every number",
)  # fmt: skip
gelu.mistake(
    "This is the form with tanh. It is close, but the network of this chapter uses erf.",
    each(lambda x: x * tanh_gate(x)),
)
gelu.mistake(
    "erf is taken at x, not at x/√2: the bell curve of erf is narrower than the standard normal one.",
    each(lambda x: x * (1.0 + erf(x)) / 2.0),
)
gelu.mistake("erf is taken at √2 x, not at x/√2.", each(lambda x: x * (1.0 + erf(x * sqrt(2.0))) / 2.0))
gelu.mistake("erf is taken at x/2, not at x/√2.", each(lambda x: x * (1.0 + erf(x / 2.0)) / 2.0))
gelu.mistake("This is the gate Φ(x) alone: multiply it by x.", each(cumulative))
gelu.mistake("This is ReLU: its gate jumps from 0 to 1. GELU's rises smoothly.", each(lambda x: max(x, 0.0)))
gelu.mistake("The gate is the logistic function, not Φ: that is called SiLU.", each(lambda x: x * sigmoid(x)))
gelu.mistake(
    "The gate is the logistic function of 1.702 x: an approximation. The exact form uses erf.",
    each(lambda x: x * sigmoid(1.702 * x)),
)
gelu.mistake(
    "The factor 1/2 is missing: the gate must end at 1, and yours ends at 2.", each(lambda x: 2.0 * x * cumulative(x))
)
gelu.mistake(
    "The 1 is missing: erf runs from −1 to 1, the gate from 0 to 1.", each(lambda x: x * erf(x / sqrt(2.0)) / 2.0)
)
gelu.mistake("erf itself is the gate here: it is (1 + erf(x/√2))/2.", each(lambda x: x * erf(x / sqrt(2.0))))
gelu.mistake(
    "The gate is turned round: large numbers must pass, and here small ones do.", each(lambda x: x * cumulative(-x))
)
gelu.mistake("The bell curve φ stands where its area Φ belongs.", each(lambda x: x * density(x)))
gelu.mistake(
    "The bracket is missing: 1 + erf/2 is not (1 + erf)/2.", each(lambda x: x * (1.0 + erf(x / sqrt(2.0)) / 2.0))
)

slope = Exercise(
    "gradients.feed_forward.slope", stars=2, minutes=10, reference=each(gelu_slope), draw=draw_hidden, edges=EXTREMES,
    section="How steep it is",
)  # fmt: skip
slope.mistake(
    "This is the slope of the form with tanh. A slope must belong to the very form that is used.", each(tanh_slope)
)
slope.mistake("The second half of the product rule is missing: Φ changes with x too.", each(cumulative))
slope.mistake("The first half of the product rule is missing: Φ(x) itself.", each(lambda x: x * density(x)))
slope.mistake("The second term lacks its factor x: it is x φ(x).", each(lambda x: cumulative(x) + density(x)))
slope.mistake(
    "The slope of Φ lacks its constant: the bell curve is divided by √(2π), so that its area is 1.",
    each(lambda x: cumulative(x) + x * exp(-x * x / 2.0)),
)
slope.mistake(
    "The bell curve lacks its 1/2: φ(x) = e^(−x²/2)/√(2π).",
    each(lambda x: cumulative(x) + x * exp(-x * x) / sqrt(2.0 * pi)),
)
slope.mistake(
    "The sign in the exponent is wrong: φ(x) = e^(−x²/2)/√(2π), which falls on both sides.",
    each(lambda x: cumulative(x) + x * exp(x * x / 2.0) / sqrt(2.0 * pi)),
)
slope.mistake(
    "The bell curve is divided by 2π: it is √(2π).", each(lambda x: cumulative(x) + x * density(x) / sqrt(2.0 * pi))
)
slope.mistake(
    "The bell curve is divided by √π: it is √(2π).", each(lambda x: cumulative(x) + x * density(x) * sqrt(2.0))
)
slope.mistake("The second term is subtracted: the product rule adds.", each(lambda x: cumulative(x) - x * density(x)))
slope.mistake(
    "The two terms are multiplied: the product rule adds them.", each(lambda x: cumulative(x) * x * density(x))
)
slope.mistake(
    "The second term's factor is |x|: it has the sign of x.", each(lambda x: cumulative(x) + abs(x) * density(x))
)
slope.mistake("This is the slope of ReLU, 0 or 1. GELU's is neither.", each(lambda x: 1.0 if x > 0 else 0.0))
slope.mistake(
    "The x of GELU stands at the wrong term: Φ(x) is alone, and φ(x) is multiplied by x.",
    each(lambda x: x * cumulative(x) + density(x)),
)
slope.mistake(
    "The second term has x², as if x were there twice: it is x φ(x).",
    each(lambda x: cumulative(x) + x * x * density(x)),
)
slope.mistake(
    "This is the product of Φ and φ: the product rule has two terms, Φ(x) and x φ(x).",
    each(lambda x: cumulative(x) * density(x)),
)
slope.mistake("This is GELU itself: its slope is asked for.", library_gelu)
slope.mistake(
    "erf is taken at x, not at x/√2, in the first term.", each(lambda x: (1.0 + erf(x)) / 2.0 + x * density(x))
)
slope.mistake(
    "The curvature of the gate is taken: the slope of Φ is φ.", each(lambda x: cumulative(x) - x * x * density(x))
)

# collapse: up, up_bias, down, down_bias -> (w, b) of the network without GELU


def draw_collapse(rng: random.Random, C: int, F: int, O: int) -> tuple[Matrix, Vector, Matrix, Vector]:
    return matrix(rng, C, F), vector(rng, F), matrix(rng, F, O), vector(rng, O)


def one_map(up: Matrix, up_bias: Vector, down: Matrix, down_bias: Vector) -> tuple[Matrix, Vector]:
    return matmul(up, down), summed(matmul([up_bias], down)[0], down_bias)


def summed(a: Vector, b: Vector) -> Vector:
    return [x + y for x, y in zip(a, b, strict=True)]


collapse = Exercise(
    "gradients.feed_forward.collapse", stars=2, minutes=10, reference=one_map, draw=draw_collapse,
    section="What is lost",
)  # fmt: skip
collapse.mistake(
    "The two matrices stand in the wrong order: x meets W₁ first, so it is W₁ W₂.",
    lambda w1, b1, w2, b2: (matmul(w2, w1), one_map(w1, b1, w2, b2)[1]),
)
collapse.mistake(
    "The biases are simply added: b₁ is added before W₂, so it passes through W₂.",
    lambda w1, b1, w2, b2: (matmul(w1, w2), summed(b1, b2)),
)
collapse.mistake(
    "The first bias is lost: it passes through W₂ and stays.", lambda w1, b1, w2, b2: (matmul(w1, w2), list(b2))
)
collapse.mistake(
    "The second bias is lost: it is added to b₁ W₂.", lambda w1, b1, w2, b2: (matmul(w1, w2), matmul([b1], w2)[0])
)
collapse.mistake("Both biases are lost.", lambda w1, b1, w2, b2: (matmul(w1, w2), [0.0] * len(b2)))
collapse.mistake(
    "b₁ passes through W₁: it is added after it, and meets W₂ alone.",
    lambda w1, b1, w2, b2: (matmul(w1, w2), summed(matmul([b1], w1)[0], b2)),
)
collapse.mistake(
    "b₂ passes through W₂: it is added after it.",
    lambda w1, b1, w2, b2: (matmul(w1, w2), matmul([summed(b1, b2)], w2)[0]),
)
collapse.mistake(
    "b₁ passes through both matrices: it is added after the first.",
    lambda w1, b1, w2, b2: (matmul(w1, w2), summed(matmul(matmul([b1], w1), w2)[0], b2)),
)
collapse.mistake(
    "b₁ meets W₂ transposed: a row on the left, b₁ W₂.",
    lambda w1, b1, w2, b2: (
        matmul(w1, w2), summed([sum(x * y for x, y in zip(row, b1, strict=True)) for row in w2], b2)
    ),
)  # fmt: skip
collapse.mistake(
    "The bias is a matrix of one row: a list of numbers is expected. Take its row [0].",
    lambda w1, b1, w2, b2: (matmul(w1, w2), [one_map(w1, b1, w2, b2)[1]]),
)
collapse.mistake(
    "The matrices are added: one after the other, they multiply.",
    lambda w1, b1, w2, b2: (
        [summed(x, y) for x, y in zip(w1, w2, strict=True)], one_map(w1, b1, w2, b2)[1]
    ),
)  # fmt: skip
