"""Exercises on the feed-forward network: GELU, the collapse of two maps without it, its slope.

Practised in book/1-understanding-gradients/05_feed_forward.md; the module is insideout/gradients/feed_forward.py.
Standard library only. Shapes: T positions, C width, F hidden width.
"""

import random
from math import erf, exp, pi, sqrt, tanh

from insideout.exercises.catalogue import Exercise, Mistake
from insideout.gradients import Matrix, Vector, apply, gelu, linear, matmul
from insideout.gradients.feed_forward import gelu_slope


def numbers(rng: random.Random, rows: int, columns: int) -> Matrix:
    """Normal numbers."""
    return [[rng.gauss(0.0, 1.0) for _ in range(columns)] for _ in range(rows)]


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


# gelu and slope: h -> a number for each number of h


def draw_hidden(rng: random.Random) -> tuple[Matrix]:
    """h, T×F; the first two numbers are far enough from 0, one on either side, to tell all forms apart."""
    h = numbers(rng, 4, 6)
    h[0][0], h[0][1] = rng.uniform(1.0, 2.0), rng.uniform(-2.0, -1.0)
    return (h,)


def slope(h: Matrix) -> Matrix:
    return apply(gelu_slope, h)


# collapse: up, up_bias, down, down_bias -> (w, b) of the network without GELU


def draw_collapse(rng: random.Random) -> tuple[Matrix, Vector, Matrix, Vector]:
    """All square, so that a wrong order of the two maps still fits."""
    return numbers(rng, 4, 4), numbers(rng, 1, 4)[0], numbers(rng, 4, 4), numbers(rng, 1, 4)[0]


def collapse(up: Matrix, up_bias: Vector, down: Matrix, down_bias: Vector) -> tuple[Matrix, Vector]:
    return matmul(up, down), linear([up_bias], down, down_bias)[0]


def summed(a: Vector, b: Vector) -> Vector:
    return [x + y for x, y in zip(a, b, strict=True)]


exercises: list[Exercise] = [
    Exercise(
        id="gradients.feed_forward.gelu",
        difficulty=1,
        minutes=8,
        reference=gelu,
        draw=draw_hidden,
        tolerance=1e-9,
        hints=[
            "Φ(x) = (1 + erf(x/√2))/2 is the gate; `math.erf` is erf. GELU multiplies x by its gate.",
            "Every number passes alone: two nested loops, over the rows and within a row.",
        ],
        mistakes=[
            Mistake(
                "This is the form with tanh. It is close, but the network of this chapter uses erf.",
                lambda h: apply(lambda x: x * tanh_gate(x), h),
            ),
            Mistake(
                "erf is taken at x, not at x/√2: the bell curve of erf is narrower than the standard normal one.",
                lambda h: apply(lambda x: x * (1.0 + erf(x)) / 2.0, h),
            ),
            Mistake("This is the gate Φ(x) alone: multiply it by x.", lambda h: apply(cumulative, h)),
            Mistake(
                "This is ReLU: its gate jumps from 0 to 1. GELU's rises smoothly.",
                lambda h: apply(lambda x: max(x, 0.0), h),
            ),
            Mistake(
                "The gate is the logistic function, not Φ: that is called SiLU.",
                lambda h: apply(lambda x: x * sigmoid(x), h),
            ),
            Mistake(
                "The factor 1/2 is missing: the gate must end at 1, and yours ends at 2.",
                lambda h: apply(lambda x: 2.0 * x * cumulative(x), h),
            ),
        ],
    ),
    Exercise(
        id="gradients.feed_forward.collapse",
        difficulty=2,
        minutes=10,
        reference=collapse,
        draw=draw_collapse,
        tolerance=1e-9,
        hints=[
            "Write down (x W₁ + b₁) W₂ + b₂ and multiply out. What stands beside x, and what stands alone?",
            "b₁ passes through W₂ before it meets b₂. A vector is a matrix of one row: `matmul([b], w)[0]`.",
        ],
        mistakes=[
            Mistake(
                "The two matrices stand in the wrong order: x meets W₁ first, so it is W₁ W₂.",
                lambda w1, b1, w2, b2: (matmul(w2, w1), collapse(w1, b1, w2, b2)[1]),
            ),
            Mistake(
                "The biases are simply added: b₁ is added before W₂, so it passes through W₂.",
                lambda w1, b1, w2, b2: (matmul(w1, w2), summed(b1, b2)),
            ),
            Mistake(
                "The first bias is lost: it passes through W₂ and stays.",
                lambda w1, b1, w2, b2: (matmul(w1, w2), list(b2)),
            ),
            Mistake(
                "The second bias is lost: it is added to b₁ W₂.",
                lambda w1, b1, w2, b2: (matmul(w1, w2), matmul([b1], w2)[0]),
            ),
        ],
    ),
    Exercise(
        id="gradients.feed_forward.slope",
        difficulty=2,
        minutes=10,
        reference=slope,
        draw=draw_hidden,
        tolerance=1e-9,
        hints=[
            "GELU(x) = x Φ(x) is a product of two things that both depend on x.",
            "Φ is the area under the bell curve φ up to x, so its slope is φ(x) = e^(−x²/2)/√(2π).",
        ],
        mistakes=[
            Mistake(
                "This is the slope of the form with tanh. A slope must belong to the very form that is used.",
                lambda h: apply(tanh_slope, h),
            ),
            Mistake(
                "The second half of the product rule is missing: Φ changes with x too.", lambda h: apply(cumulative, h)
            ),
            Mistake(
                "The second term lacks its factor x: it is x φ(x).",
                lambda h: apply(lambda x: cumulative(x) + density(x), h),
            ),
            Mistake(
                "The slope of Φ lacks its constant: the bell curve is divided by √(2π), so that its area is 1.",
                lambda h: apply(lambda x: cumulative(x) + x * exp(-x * x / 2.0), h),
            ),
            Mistake(
                "This is the slope of ReLU, 0 or 1. GELU's is neither.",
                lambda h: apply(lambda x: 1.0 if x > 0 else 0.0, h),
            ),
        ],
    ),
]
