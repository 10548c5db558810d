"""Exercises on the gradient of the loss: finite differences, the logits, the last parameters.

Practised in book/1-understanding-gradients/08_gradient_of_the_loss.md; the modules are insideout/gradients/check.py,
loss.py and linear.py. Standard library only. Shapes: T positions, C width, V vocabulary.
"""

import random
from collections.abc import Callable, Sequence

from insideout.exercises.catalogue import Exercise, Mistake
from insideout.gradients import (
    Matrix,
    Vector,
    add_to_rows,
    cross_entropy_backward,
    linear_backward,
    multiply,
    scale,
    softmax,
    sum_of_rows,
    transpose,
)

Function = Callable[[list[float]], float]
Targets = Sequence[int | None]
Last = tuple[Vector, Vector, Matrix]


def numbers(rng: random.Random, rows: int, columns: int) -> Matrix:
    """Normal numbers."""
    return [[rng.gauss(0.0, 1.0) for _ in range(columns)] for _ in range(rows)]


# central_differences: f, x, h -> the slope of f in each number of x


def draw_function(rng: random.Random) -> tuple[Function, list[float], float]:
    """A cubic function in which neighbours are multiplied, so that a number that is not put back is noticed."""
    a, b = ([rng.uniform(1.0, 2.0) for _ in range(4)] for _ in range(2))

    def f(x: list[float]) -> float:
        cubes = sum(c * number**3 + number**2 for c, number in zip(a, x, strict=True))
        return cubes + sum(c * y * z for c, y, z in zip(b, x, x[1:], strict=False))

    return f, [rng.uniform(0.5, 1.5) for _ in range(4)], 0.01


def moved(x: list[float], i: int, by: float) -> list[float]:
    return [number + by if j == i else number for j, number in enumerate(x)]


def central_differences(f: Function, x: list[float], h: float) -> list[float]:
    return [(f(moved(x, i, h)) - f(moved(x, i, -h))) / (2 * h) for i in range(len(x))]


def one_sided(f: Function, x: list[float], h: float) -> list[float]:
    return [(f(moved(x, i, h)) - f(x)) / h for i in range(len(x))]


def not_put_back(f: Function, x: list[float], h: float) -> list[float]:
    slopes, point = [], list(x)
    for i in range(len(x)):
        slopes.append(central_differences(f, point, h)[i])
        point = moved(point, i, -h)
    return slopes


def all_at_once(f: Function, x: list[float], h: float) -> list[float]:
    slope = (f([number + h for number in x]) - f([number - h for number in x])) / (2 * h)
    return [slope] * len(x)


# logits: logits, targets -> the gradient of the mean cross-entropy


def draw_logits(rng: random.Random) -> tuple[Matrix, list[int | None]]:
    """Logits T×V and targets, of which two, the last among them, are None."""
    targets: list[int | None] = [rng.randrange(4) for _ in range(6)]
    targets[rng.randrange(1, 4)] = targets[-1] = None
    return numbers(rng, 6, 4), targets


def logits_gradient(logits: Matrix, targets: Targets) -> Matrix:
    return cross_entropy_backward(softmax(logits), targets)


def count(targets: Targets) -> int:
    return sum(target is not None for target in targets)


def logits_none_kept(logits: Matrix, targets: Targets) -> Matrix:
    rows = zip(softmax(logits), targets, strict=True)
    return [[(p - (j == target)) / count(targets) for j, p in enumerate(row)] for row, target in rows]


def logits_nothing_subtracted(logits: Matrix, targets: Targets) -> Matrix:
    rows = zip(softmax(logits), targets, strict=True)
    return [[0.0 if target is None else p / count(targets) for p in row] for row, target in rows]


def logits_diagonal(logits: Matrix, targets: Targets) -> Matrix:
    rows = zip(logits_gradient(logits, targets), targets, strict=True)
    return [[number if j == target else 0.0 for j, number in enumerate(row)] for row, target in rows]


# last_parameters: dlogits, n, gain, bias, w -> (dgain, dbias, dw) of (γ n + β) W


def draw_last(rng: random.Random) -> tuple[Matrix, Matrix, Vector, Vector, Matrix]:
    """dlogits T×V, n T×C, gain C, bias C, w C×V, with C = V: a weight that is not transposed still fits."""
    gain, bias = numbers(rng, 2, 4)
    return numbers(rng, 6, 4), numbers(rng, 6, 4), gain, bias, numbers(rng, 4, 4)


def outputs(n: Matrix, gain: Vector, bias: Vector) -> Matrix:
    """γ n + β."""
    return add_to_rows(multiply(n, [gain] * len(n)), bias)


def last_parameters(dlogits: Matrix, n: Matrix, gain: Vector, bias: Vector, w: Matrix) -> Last:
    dy, dw, _ = linear_backward(dlogits, outputs(n, gain, bias), w)
    return sum_of_rows(multiply(dy, n)), sum_of_rows(dy), dw


def last_not_transposed(dlogits: Matrix, n: Matrix, gain: Vector, bias: Vector, w: Matrix) -> Last:
    dgain, dbias, _ = last_parameters(dlogits, n, gain, bias, transpose(w))
    return dgain, dbias, last_parameters(dlogits, n, gain, bias, w)[2]


def last_head_from_n(dlogits: Matrix, n: Matrix, gain: Vector, bias: Vector, w: Matrix) -> Last:
    dgain, dbias, _ = last_parameters(dlogits, n, gain, bias, w)
    return dgain, dbias, linear_backward(dlogits, n, w)[1]


def last_head_transposed(dlogits: Matrix, n: Matrix, gain: Vector, bias: Vector, w: Matrix) -> Last:
    dgain, dbias, dw = last_parameters(dlogits, n, gain, bias, w)
    return dgain, dbias, transpose(dw)


def last_gain_from_outputs(dlogits: Matrix, n: Matrix, gain: Vector, bias: Vector, w: Matrix) -> Last:
    y = outputs(n, gain, bias)
    dy, dw, _ = linear_backward(dlogits, y, w)
    return sum_of_rows(multiply(dy, y)), sum_of_rows(dy), dw


def last_gain_in_gradient(dlogits: Matrix, n: Matrix, gain: Vector, bias: Vector, w: Matrix) -> Last:
    dgain, dbias, dw = last_parameters(dlogits, n, gain, bias, w)
    return [g * d for g, d in zip(gain, dgain, strict=True)], dbias, dw


def last_averaged(dlogits: Matrix, n: Matrix, gain: Vector, bias: Vector, w: Matrix) -> Last:
    return last_parameters(scale(dlogits, 1.0 / len(dlogits)), n, gain, bias, w)


exercises: list[Exercise] = [
    Exercise(
        id="gradients.gradient_of_the_loss.central_differences",
        difficulty=1,
        minutes=8,
        reference=central_differences,
        draw=draw_function,
        tolerance=1e-9,
        hints=[
            "Nudge one number up and look, nudge it down and look, then put it back.",
            "From x − h to x + h the way is 2h long.",
        ],
        mistakes=[
            Mistake("The difference is one-sided: (f(x + h) − f(x))/h has an error like h, not h².", one_sided),
            Mistake(
                "The difference is divided by h: from x − h to x + h the way is 2h.",
                lambda f, x, h: [2 * slope for slope in central_differences(f, x, h)],
            ),
            Mistake("A nudged number is not put back before the next one is nudged.", not_put_back),
            Mistake("All numbers are nudged together: nudge one at a time, the others stay.", all_at_once),
            Mistake(
                "The sign is turned: it is f(x + h) − f(x − h).",
                lambda f, x, h: [-slope for slope in central_differences(f, x, h)],
            ),
        ],
    ),
    Exercise(
        id="gradients.gradient_of_the_loss.logits",
        difficulty=2,
        minutes=12,
        reference=logits_gradient,
        draw=draw_logits,
        tolerance=1e-9,
        hints=[
            "For one position: differentiate log Σ_k e^(z_k) − z_y by z_j, once for j = y and once for another j.",
            "The loss is a mean. Over how many positions? And what does a position contribute that predicts nothing?",
        ],
        mistakes=[
            Mistake(
                "The 1/N of the mean is forgotten: the gradient is N times too large.",
                lambda logits, targets: scale(logits_gradient(logits, targets), count(targets)),
            ),
            Mistake(
                "It is divided by all T positions: divide by the N that have a target.",
                lambda logits, targets: scale(logits_gradient(logits, targets), count(targets) / len(targets)),
            ),
            Mistake(
                "The sign is wrong: it is p − 1 at the true word, so that a step downhill raises its logit.",
                lambda logits, targets: scale(logits_gradient(logits, targets), -1.0),
            ),
            Mistake("A position without a target has a gradient here: it must be 0.", logits_none_kept),
            Mistake("Nothing is subtracted at the true word: it is p − 1 there.", logits_nothing_subtracted),
            Mistake(
                "Only the true word's logit has a gradient, as if the softmax's Jacobian were diagonal: "
                "raising another logit lowers the true word's probability.",
                logits_diagonal,
            ),
        ],
    ),
    Exercise(
        id="gradients.gradient_of_the_loss.last_parameters",
        difficulty=2,
        minutes=15,
        reference=last_parameters,
        draw=draw_last,
        tolerance=1e-9,
        hints=[
            "First y = γ n + β. Then the rule of the linear map gives dy and dw.",
            "γ_i and β_i serve all positions. Which numbers of y does each reach, and with what factor?",
        ],
        mistakes=[
            Mistake("The weight is not transposed on the way back: dy = dlogits Wᵀ.", last_not_transposed),
            Mistake("The head's gradient takes n: its input was y = γ n + β.", last_head_from_n),
            Mistake("The head's gradient is transposed: dW = yᵀ dlogits, inputs by outputs.", last_head_transposed),
            Mistake("The gain's gradient takes y: γ was multiplied by n, so dγ = Σ dy n.", last_gain_from_outputs),
            Mistake("The gain's gradient is multiplied by γ: that factor belongs to dn.", last_gain_in_gradient),
            Mistake(
                "The gradients are averaged over the positions: they are sums. The loss's mean is in dlogits.",
                last_averaged,
            ),
        ],
    ),
]
