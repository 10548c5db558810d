"""Exercises on the gradient of the loss: finite differences, the logits, the last parameters.

Practised in book/1-understanding-gradients/08_gradient_of_the_loss.md; the modules are insideout/gradients/check.py,
loss.py and linear.py. Standard library only. Shapes: T positions, C width, V vocabulary.
"""

import random
from collections.abc import Callable, Sequence

from insideout.exercises import drawing
from insideout.exercises.catalogue import Exercise
from insideout.gradients import (
    Matrix,
    Vector,
    add_to_rows,
    cross_entropy_backward,
    linear_backward,
    matmul,
    multiply,
    scale,
    softmax,
    sum_of_rows,
    transpose,
)

Function = Callable[[list[float]], float]
Targets = Sequence[int | None]
Last = tuple[Vector, Vector, Matrix]

# central_differences: f, x, h -> the slope of f in each number of x


def draw_function(rng: random.Random, N: int) -> tuple[Function, list[float], float]:
    """Fifth powers, and neighbours multiplied, so that a number that is not put back is noticed."""
    a, b = ([rng.uniform(1.0, 2.0) for _ in range(N)] for _ in range(2))

    def f(x: list[float]) -> float:
        powers = sum(c * number**5 + number**2 for c, number in zip(a, x, strict=True))
        return powers + sum(c * y * z for c, y, z in zip(b, x, x[1:], strict=False))

    powers = " + ".join(f"{c:.2g} x{i}⁵ + x{i}²" for i, c in enumerate(a))
    mixed = "".join(f" + {c:.2g} x{i} x{i + 1}" for i, c in enumerate(b[:-1]))
    return drawing.described(f, powers + mixed), [rng.uniform(0.5, 1.5) for _ in range(N)], rng.uniform(0.01, 0.1)


def moved(x: list[float], i: int, by: float) -> list[float]:
    return [number + by if j == i else number for j, number in enumerate(x)]


def central(f: Function, x: list[float], h: float) -> list[float]:
    return [(f(moved(x, i, h)) - f(moved(x, i, -h))) / (2 * h) for i in range(len(x))]


def each_slope(slope: Callable[[Function, list[float], int, float], float]) -> Callable[..., list[float]]:
    """A formula for the slope in the i-th number, for all of them."""
    return lambda f, x, h: [slope(f, x, i, h) for i in range(len(x))]


def not_put_back(f: Function, x: list[float], h: float) -> list[float]:
    slopes, point = [], list(x)
    for i in range(len(x)):
        slopes.append(central(f, point, h)[i])
        point = moved(point, i, -h)
    return slopes


def left_above(f: Function, x: list[float], h: float) -> list[float]:
    slopes, point = [], list(x)
    for i in range(len(x)):
        slopes.append(central(f, point, h)[i])
        point = moved(point, i, h)
    return slopes


def all_at_once(f: Function, x: list[float], h: float) -> list[float]:
    return [(f([number + h for number in x]) - f([number - h for number in x])) / (2 * h)] * len(x)


central_differences = Exercise(
    "gradients.gradient_of_the_loss.central_differences", stars=1, minutes=8, reference=central, draw=draw_function,
    section="Try it: nudge one number",
)  # fmt: skip
central_differences.mistake(
    "The difference is one-sided: (f(x + h) − f(x))/h has an error like h, not h².",
    each_slope(lambda f, x, i, h: (f(moved(x, i, h)) - f(x)) / h),
)
central_differences.mistake(
    "The difference is one-sided, downward: (f(x) − f(x − h))/h has an error like h, not h².",
    each_slope(lambda f, x, i, h: (f(x) - f(moved(x, i, -h))) / h),
)
central_differences.mistake(
    "The difference is divided by h: from x − h to x + h the way is 2h.",
    each_slope(lambda f, x, i, h: (f(moved(x, i, h)) - f(moved(x, i, -h))) / h),
)
central_differences.mistake(
    "The bracket is missing: a / 2 * h divides by 2 and multiplies by h. Write a / (2 * h).",
    each_slope(lambda f, x, i, h: (f(moved(x, i, h)) - f(moved(x, i, -h))) / 2 * h),
)
central_differences.mistake("A nudged number is not put back before the next one is nudged.", not_put_back)
central_differences.mistake("A nudged number is left up when the next one is nudged.", left_above)
central_differences.mistake("All numbers are nudged together: nudge one at a time, the others stay.", all_at_once)
central_differences.mistake(
    "The sign is turned: it is f(x + h) − f(x − h).", lambda f, x, h: [-slope for slope in central(f, x, h)]
)
central_differences.mistake(
    "The nudge is multiplied to the number: it is added, so that a small number moves as far as a large one.",
    each_slope(lambda f, x, i, h: (f(moved(x, i, h * x[i])) - f(moved(x, i, -h * x[i]))) / (2 * h * x[i])),
)
central_differences.mistake("The step is not h: use the given one.", lambda f, x, h: central(f, x, 1e-6))
central_differences.mistake(
    "Each step is h/2 to either side: it is h, and the way is 2h.", lambda f, x, h: central(f, x, h / 2)
)
central_differences.mistake(
    "This is the difference of order 4: order 2 is asked for, f(x + h) and f(x − h) alone.",
    lambda f, x, h: [
        (4 * near - far) / 3 for near, far in zip(central(f, x, h), central(f, x, 2 * h), strict=True)
    ],
)  # fmt: skip
central_differences.mistake(
    "Only the first slope is returned: is the `return` inside the loop?", lambda f, x, h: central(f, x, h)[:1]
)
central_differences.mistake(
    "The slopes are added up: one for each number is asked for.", lambda f, x, h: sum(central(f, x, h))
)

# logits: logits, targets -> the gradient of the mean cross-entropy


def draw_logits(rng: random.Random, T: int, V: int = 2) -> tuple[Matrix, list[int | None]]:
    """Logits, and targets of which some are None; the ids 0 and V − 1 are among them where there is room."""
    return drawing.matrix(rng, T, V), drawing.targets(rng, T, V)


def gradient(logits: Matrix, targets: Targets) -> Matrix:
    return cross_entropy_backward(softmax(logits), targets)


def count(targets: Targets) -> int:
    return sum(target is not None for target in targets)


def by_row(row_of: Callable[[Vector, Vector, int, int], Vector]) -> Callable[[Matrix, Targets], Matrix]:
    """row_of(probabilities, logits, target, N) where there is a target, else zeros."""
    return lambda logits, targets: [
        [0.0] * len(p) if target is None else row_of(p, z, target, count(targets))
        for p, z, target in zip(softmax(logits), logits, targets, strict=True)
    ]


logits = Exercise(
    "gradients.gradient_of_the_loss.logits", stars=2, minutes=12, reference=gradient, draw=draw_logits,
    edges=[([[1.0, 2.0, 4.0], [0.5, 0.0, -1.0]], [0, 2]), ([[1.0, 2.0], [3.0, 0.5], [0.0, 1.0]], [None, 1, None])],
    section="Work it out: from the loss to the logits",
)  # fmt: skip
logits.mistake(
    "The 1/N of the mean is forgotten: the gradient is N times too large.",
    lambda logits, targets: scale(gradient(logits, targets), count(targets)),
)
logits.mistake(
    "It is divided by all T positions: divide by the N that have a target.",
    lambda logits, targets: scale(gradient(logits, targets), count(targets) / len(targets)),
)
logits.mistake(
    "It is divided by the size of the vocabulary: divide by the N positions that have a target.",
    lambda logits, targets: scale(gradient(logits, targets), count(targets) / len(logits[0])),
)
logits.mistake(
    "It is divided by the number of all logits: divide by the N positions that have a target.",
    lambda logits, targets: scale(gradient(logits, targets), count(targets) / len(logits[0]) / len(logits)),
)
logits.mistake(
    "The sign is wrong: it is p − 1 at the true word, so that a step downhill raises its logit.",
    lambda logits, targets: scale(gradient(logits, targets), -1.0),
)
logits.mistake(
    "A position without a target has a gradient here: it must be 0.",
    lambda logits, targets: [
        [(p - (j == target)) / count(targets) for j, p in enumerate(row)]
        for row, target in zip(softmax(logits), targets, strict=True)
    ],
)
logits.mistake(
    "A position without a target is left out: its row is there, and all 0.",
    lambda logits, targets: [row for row, t in zip(gradient(logits, targets), targets, strict=True) if t is not None],
)
logits.mistake(
    "Nothing is subtracted at the true word: it is p − 1 there.", by_row(lambda p, z, target, n: [x / n for x in p])
)
logits.mistake(
    "1/N is taken from p alone: the 1 at the true word is divided too.",
    by_row(lambda p, z, target, n: [x / n - (j == target) for j, x in enumerate(p)]),
)
logits.mistake(
    "Only the true word's logit has a gradient, as if the softmax's Jacobian were diagonal: raising another logit "
    "lowers the true word's probability.",
    by_row(lambda p, z, target, n: [(x - 1) / n if j == target else 0.0 for j, x in enumerate(p)]),
)
logits.mistake(
    "This is the gradient with respect to the probabilities, −1/p at the true word: the softmax is still to be passed.",
    by_row(lambda p, z, target, n: [-1 / x / n if j == target else 0.0 for j, x in enumerate(p)]),
)
logits.mistake(
    "1 is subtracted from the logit: it is p − 1, with the probability.",
    by_row(lambda p, z, target, n: [(x - (j == target)) / n for j, x in enumerate(z)]),
)
logits.mistake(
    "Every entry loses 1, not only the true word's.", by_row(lambda p, z, target, n: [(x - 1) / n for x in p])
)
logits.mistake(
    "Each row is the gradient of p, not of −ln p: p_y (1 − p_y) and −p_y p_j belong to the probability itself.",
    by_row(lambda p, z, target, n: [p[target] * ((j == target) - x) / n for j, x in enumerate(p)]),
)
logits.mistake(
    "A target of 0 is skipped: `if target:` is false for the id 0. Ask `if target is not None:`.",
    lambda logits, targets: gradient(logits, [target or None for target in targets]),
)
logits.mistake(
    "A target of 0 is skipped, but counted: `if target:` is false for the id 0. Ask `if target is not None:`.",
    lambda logits, targets: scale(
        gradient(logits, [target or None for target in targets]), sum(map(bool, targets)) / count(targets)
    ),
)
logits.mistake(
    "A position without a target is treated as if its target were 0: its gradient is 0, and it is not counted.",
    lambda logits, targets: gradient(logits, [target or 0 for target in targets]),
)
logits.mistake(
    "The targets are shifted once more: `targets` says for each position what it predicts.",
    lambda logits, targets: gradient(logits, [*targets[1:], targets[0]]),
)

# last_parameters: dlogits, n, gain, bias, w -> (dgain, dbias, dw) of (γ n + β) W


def draw_last(rng: random.Random, T: int, C: int, V: int) -> tuple[Matrix, Matrix, Vector, Vector, Matrix]:
    """dlogits T×V, n T×C, gain C, bias C, w C×V."""
    gain, bias = drawing.vector(rng, C), drawing.vector(rng, C)
    return drawing.matrix(rng, T, V), drawing.matrix(rng, T, C), gain, bias, drawing.matrix(rng, C, V)


def outputs(n: Matrix, gain: Vector, bias: Vector) -> Matrix:
    """γ n + β."""
    return add_to_rows(multiply(n, [gain] * len(n)), bias)


def last(dlogits: Matrix, n: Matrix, gain: Vector, bias: Vector, w: Matrix) -> Last:
    dy, dw, _ = linear_backward(dlogits, outputs(n, gain, bias), w)
    return sum_of_rows(multiply(dy, n)), sum_of_rows(dy), dw


def head_from(y: Callable[[Matrix, Vector, Vector], Matrix]) -> Callable[..., Last]:
    """The head's gradient with another input; the norm's are right."""
    return lambda d, n, gain, bias, w: (*last(d, n, gain, bias, w)[:2], matmul(transpose(y(n, gain, bias)), d))


def gain_from(factor: Callable[[Matrix, Vector, Vector], Matrix]) -> Callable[..., Last]:
    """The gain's gradient as Σ dy ⊙ factor; the others are right."""

    def mistaken(d: Matrix, n: Matrix, gain: Vector, bias: Vector, w: Matrix) -> Last:
        dy = matmul(d, transpose(w))
        return sum_of_rows(multiply(dy, factor(n, gain, bias))), *last(d, n, gain, bias, w)[1:]

    return mistaken


def times(a: Vector, b: Vector) -> Vector:
    return [x * y for x, y in zip(a, b, strict=True)]


last_parameters = Exercise(
    "gradients.gradient_of_the_loss.last_parameters", stars=2, minutes=15, reference=last, draw=draw_last,
    section="The norm's gain and bias",
)  # fmt: skip
last_parameters.mistake(
    "The weight is not transposed on the way back: dy = dlogits Wᵀ.",
    lambda d, n, gain, bias, w: (*last(d, n, gain, bias, transpose(w))[:2], last(d, n, gain, bias, w)[2]),
)
last_parameters.mistake("The head's gradient takes n: its input was y = γ n + β.", head_from(lambda n, gain, bias: n))
last_parameters.mistake(
    "The head's gradient takes γ n: its input was y = γ n + β.",
    head_from(lambda n, gain, bias: multiply(n, [gain] * len(n))),
)
last_parameters.mistake(
    "The head's gradient is transposed: dW = yᵀ dlogits, inputs by outputs.",
    lambda d, n, gain, bias, w: (*last(d, n, gain, bias, w)[:2], transpose(last(d, n, gain, bias, w)[2])),
)
last_parameters.mistake("The gain's gradient takes y: γ was multiplied by n, so dγ = Σ dy n.", gain_from(outputs))
last_parameters.mistake(
    "The gain's gradient lacks its factor n: dγ = Σ dy n.",
    gain_from(lambda n, gain, bias: [[1.0] * len(gain)] * len(n)),
)
last_parameters.mistake(
    "The gain's gradient is multiplied by γ: that factor belongs to dn.",
    lambda d, n, gain, bias, w: (
        times(gain, last(d, n, gain, bias, w)[0]), *last(d, n, gain, bias, w)[1:]
    ),
)  # fmt: skip
last_parameters.mistake(
    "The bias's gradient is multiplied by γ: β is added after it.",
    lambda d, n, gain, bias, w: (
        last(d, n, gain, bias, w)[0], times(gain, last(d, n, gain, bias, w)[1]), last(d, n, gain, bias, w)[2]
    ),
)  # fmt: skip
last_parameters.mistake(
    "The gradients are averaged over the positions: they are sums. The loss's mean is in dlogits.",
    lambda d, n, gain, bias, w: last(scale(d, 1.0 / len(d)), n, gain, bias, w),
)
last_parameters.mistake(
    "dγ and dβ are averaged over the positions: they are sums. The loss's mean is in dlogits.",
    lambda d, n, gain, bias, w: (
        *last(scale(d, 1.0 / len(d)), n, gain, bias, w)[:2], last(d, n, gain, bias, w)[2]
    ),
)  # fmt: skip
last_parameters.mistake(
    "dγ and dβ have a row for each position: γ and β serve all of them, so the rows are added up.",
    lambda d, n, gain, bias, w: (
        multiply(matmul(d, transpose(w)), n), matmul(d, transpose(w)), last(d, n, gain, bias, w)[2]
    ),
)  # fmt: skip
last_parameters.mistake(
    "The bias's gradient is added up from dlogits: it is the sum of dy, C numbers.",
    lambda d, n, gain, bias, w: (last(d, n, gain, bias, w)[0], sum_of_rows(d), last(d, n, gain, bias, w)[2]),
)
last_parameters.mistake(
    "dγ and dβ have changed places.",
    lambda d, n, gain, bias, w: (
        last(d, n, gain, bias, w)[1], last(d, n, gain, bias, w)[0], last(d, n, gain, bias, w)[2]
    ),
)  # fmt: skip
last_parameters.mistake(
    "Only the last position counts: `=` where `+=` is due.",
    lambda d, n, gain, bias, w: last(d[-1:], n[-1:], gain, bias, w),
)
