"""Exercises on backpropagation by hand: a layer with GELU, the softmax, LayerNorm, the token embedding.

Practised in book/1-understanding-gradients/09_backpropagation.md; the module is insideout/gradients/model.py.
Standard library only. Shapes: T positions, C width, S keys, V vocabulary.
"""

import random
from collections.abc import Callable
from math import erf, exp, pi, sqrt, tanh
from typing import Any

from insideout.exercises import drawing
from insideout.exercises.catalogue import Exercise
from insideout.gradients import (
    Matrix,
    Vector,
    apply,
    embed_backward,
    gelu_backward,
    layer_norm_backward,
    matmul,
    multiply,
    scale,
    softmax_backward,
    transpose,
)
from insideout.gradients import gelu as library_gelu
from insideout.gradients import layer_norm as library_layer_norm
from insideout.gradients import softmax as library_softmax

Layer = tuple[Matrix, Matrix, Matrix]
Norm = tuple[Matrix, Vector, Vector]

# gelu: da, x, w -> (a, dx, dw) of a = GELU(x W)


def draw_layer(rng: random.Random, T: int, I: int, O: int) -> Layer:
    """da T×O, x T×I, w I×O."""
    return drawing.matrix(rng, T, O), drawing.matrix(rng, T, I), drawing.matrix(rng, I, O)


def layer(da: Matrix, x: Matrix, w: Matrix) -> Layer:
    h = matmul(x, w)
    dh = gelu_backward(da, h)
    return library_gelu(h), matmul(dh, transpose(w)), matmul(transpose(x), dh)


def layer_with(
    slope: Callable[[float], float], form: Callable[[Matrix], Matrix] = library_gelu
) -> Callable[[Matrix, Matrix, Matrix], Layer]:
    """The layer with another slope, and perhaps another form, of GELU."""

    def mistaken(da: Matrix, x: Matrix, w: Matrix) -> Layer:
        h = matmul(x, w)
        dh = multiply(da, apply(slope, h))
        return form(h), matmul(dh, transpose(w)), matmul(transpose(x), dh)

    return mistaken


def gaussian_chance(x: float) -> float:
    """Φ(x)."""
    return (1.0 + erf(x / sqrt(2.0))) / 2.0


def density(x: float) -> float:
    """φ(x)."""
    return exp(-x * x / 2.0) / sqrt(2.0 * pi)


def exact_slope(x: float) -> float:
    return gaussian_chance(x) + x * density(x)


def tanh_form(x: float) -> float:
    return 0.5 * x * (1.0 + tanh(sqrt(2.0 / pi) * (x + 0.044715 * x**3)))


def tanh_slope(x: float) -> float:
    t = tanh(sqrt(2.0 / pi) * (x + 0.044715 * x**3))
    return 0.5 * (1.0 + t) + 0.5 * x * (1.0 - t * t) * sqrt(2.0 / pi) * (1.0 + 3 * 0.044715 * x * x)


def tanh_gelu(h: Matrix) -> Matrix:
    return apply(tanh_form, h)


def slope_of_output(da: Matrix, x: Matrix, w: Matrix) -> Layer:
    a = layer(da, x, w)[0]
    dh = gelu_backward(da, a)
    return a, matmul(dh, transpose(w)), matmul(transpose(x), dh)


def back_by(
    dx: Callable[[Matrix, Matrix, Matrix], Matrix], dw: Callable[[Matrix, Matrix, Matrix], Matrix]
) -> Callable[..., Layer]:
    """The layer with other ways from dh: dx(dh, x, w) and dw(dh, x, w)."""

    def mistaken(da: Matrix, x: Matrix, w: Matrix) -> Layer:
        h = matmul(x, w)
        dh = gelu_backward(da, h)
        return library_gelu(h), dx(dh, x, w), dw(dh, x, w)

    return mistaken


def right_dx(dh: Matrix, x: Matrix, w: Matrix) -> Matrix:
    return matmul(dh, transpose(w))


def right_dw(dh: Matrix, x: Matrix, w: Matrix) -> Matrix:
    return matmul(transpose(x), dh)


gelu = Exercise(
    "gradients.backpropagation.gelu", stars=2, minutes=15, reference=layer, draw=draw_layer, section="Feed-forward",
)  # fmt: skip
gelu.mistake(
    "The weight is not transposed on the way back: dX = dh Wᵀ.", back_by(lambda dh, x, w: matmul(dh, w), right_dw)
)
gelu.mistake(
    "The gradient of the weight is transposed: dW = Xᵀ dh, inputs by outputs.",
    back_by(right_dx, lambda dh, x, w: matmul(transpose(dh), x)),
)
gelu.mistake(
    "The input is not transposed in the gradient of the weight: dW = Xᵀ dh.",
    back_by(right_dx, lambda dh, x, w: matmul(x, dh)),
)
gelu.mistake(
    "Forward is the tanh form, backward the slope of the exact form: two functions, one derivative.",
    layer_with(exact_slope, tanh_gelu),
)
gelu.mistake(
    "Forward is the exact form, backward the slope of the tanh form: a slope belongs to its own form.",
    layer_with(tanh_slope),
)
gelu.mistake(
    "Both ways use the tanh form. They fit each other, but the exact form, h Φ(h), is asked for.",
    layer_with(tanh_slope, tanh_gelu),
)
gelu.mistake("The slope is Φ(h) alone: the product rule adds h φ(h).", layer_with(gaussian_chance))
gelu.mistake("The slope is h φ(h) alone: the product rule adds Φ(h).", layer_with(lambda h: h * density(h)))
gelu.mistake(
    "The slope is Φ(h) + φ(h): the second term has the factor h.", layer_with(lambda h: gaussian_chance(h) + density(h))
)
gelu.mistake(
    "The density lacks its constant: it is e^(−h²/2)/√(2π).",
    layer_with(lambda h: gaussian_chance(h) + h * exp(-h * h / 2.0)),
)
gelu.mistake("The slope of GELU is taken at its output a: take it at its input h.", slope_of_output)
gelu.mistake("GELU is left out on the way back: dh = da ⊙ GELU'(h).", layer_with(lambda h: 1.0))
gelu.mistake("The slope is ReLU's, 0 or 1.", layer_with(lambda h: 1.0 if h > 0 else 0.0))
gelu.mistake("dh is da multiplied by GELU itself: multiply by its slope.", layer_with(lambda h: h * gaussian_chance(h)))
gelu.mistake(
    "The gradient of the weight is averaged over the positions: it is a sum. The loss's mean is in da.",
    back_by(right_dx, lambda dh, x, w: scale(right_dw(dh, x, w), 1.0 / len(x))),
)
gelu.mistake(
    "The gradient of the weight is made from da: it passes through GELU first.",
    lambda da, x, w: (*layer(da, x, w)[:2], matmul(transpose(x), da)),
)
gelu.mistake(
    "The gradient of the input is made from da: it passes through GELU first.",
    lambda da, x, w: (layer(da, x, w)[0], matmul(da, transpose(w)), layer(da, x, w)[2]),
)

# softmax: dp, p -> the gradient of the scores


def draw_pattern(rng: random.Random, T: int, S: int = 2) -> tuple[Matrix, Matrix]:
    """dp and p, T×S; the rows of p add up to 1."""
    return drawing.matrix(rng, T, S), drawing.distributions(rng, T, S)


def by_rows(number: Callable[[float, float, Vector, Vector], float]) -> Callable[[Matrix, Matrix], Matrix]:
    """number(g, q, gs, qs) of every gradient g and weight q, given their rows."""
    return lambda dp, p: [
        [number(g, q, gs, qs) for g, q in zip(gs, qs, strict=True)] for gs, qs in zip(dp, p, strict=True)
    ]


def dot(a: Vector, b: Vector) -> float:
    return sum(x * y for x, y in zip(a, b, strict=True))


softmax = Exercise(
    "gradients.backpropagation.softmax", stars=2, minutes=12, reference=softmax_backward, draw=draw_pattern,
    edges=[([[1.0, 2.0], [3.0, -1.0]], [[1.0, 0.0], [0.5, 0.5]])], section="Softmax",
)  # fmt: skip
softmax.mistake(
    "Only the diagonal of the softmax's Jacobian is used: raising one score also lowers the other weights.",
    by_rows(lambda g, q, gs, qs: g * q * (1.0 - q)),
)
softmax.mistake(
    "The shared term is missing: the gradient of a row must add up to 0.", by_rows(lambda g, q, gs, qs: g * q)
)
softmax.mistake(
    "The mean of dp is not weighted by p: use Σ p dp, not the plain mean.",
    by_rows(lambda g, q, gs, qs: q * (g - sum(gs) / len(gs))),
)
softmax.mistake(
    "The shared term is Σ dp: each dp must be weighted by its p.", by_rows(lambda g, q, gs, qs: q * (g - sum(gs)))
)
softmax.mistake(
    "The factor p in front is missing: dS = p (dp − Σ p dp).", by_rows(lambda g, q, gs, qs: g - dot(gs, qs))
)
softmax.mistake(
    "The factor p reaches dp alone: the shared term has it too.", by_rows(lambda g, q, gs, qs: q * g - dot(gs, qs))
)
softmax.mistake(
    "The factor p reaches the shared term alone: dp has it too.", by_rows(lambda g, q, gs, qs: g - q * dot(gs, qs))
)
softmax.mistake("The shared term is added: it is subtracted.", by_rows(lambda g, q, gs, qs: q * (g + dot(gs, qs))))
softmax.mistake("The sign is wrong: dS = p (dp − Σ p dp).", by_rows(lambda g, q, gs, qs: q * (dot(gs, qs) - g)))
softmax.mistake(
    "The factor is p (1 − p): with the shared term it is p alone.",
    by_rows(lambda g, q, gs, qs: q * (1 - q) * (g - dot(gs, qs))),
)
softmax.mistake("The factor p stands there squared.", by_rows(lambda g, q, gs, qs: q * q * (g - dot(gs, qs))))
softmax.mistake(
    "The sum Σ p dp runs down the columns: a row is a softmax of its own.",
    lambda dp, p: transpose(softmax_backward(transpose(dp), transpose(p))),
)
softmax.mistake(
    "The sum Σ p dp runs over all rows: a row is a softmax of its own.",
    lambda dp, p: by_rows(lambda g, q, gs, qs: q * (g - sum(map(dot, dp, p))))(dp, p),
)
softmax.mistake(
    "A softmax is taken of p: p holds the weights already.",
    lambda dp, p: softmax_backward(dp, library_softmax(p)),
)
softmax.mistake(
    "The gradient is divided by p: it is multiplied by it.",
    lambda dp, p: by_rows(lambda g, q, gs, qs: (g - dot(gs, qs)) / q)(dp, p),
)
softmax.mistake(
    "dp and p have changed places.",
    by_rows(lambda g, q, gs, qs: g * (q - dot(gs, qs))),
)

# layer_norm: dy, x, gain -> (dx, dgain, dbias)


def draw_norm(rng: random.Random, T: int, C: int = 2) -> tuple[Matrix, Matrix, Vector]:
    """dy and x, T×C, and a gain that is far from 1: where all gains are 1, a misplaced one does no harm."""
    return drawing.matrix(rng, T, C), drawing.matrix(rng, T, C, 2.0), [rng.uniform(0.3, 2.0) for _ in range(C)]


def draw_narrow(rng: random.Random) -> tuple[Matrix, Matrix, Vector]:
    """Rows that hardly vary, so that ε = 10⁻⁵ is felt."""
    dy, x, gain = draw_norm(rng, 3, 4)
    return dy, [[1.0 + 0.002 * number for number in row] for row in x], gain


def norm_gradients(dy: Matrix, x: Matrix, gain: Vector, epsilon: float = 1e-5) -> Norm:
    _, n, r = library_layer_norm(x, gain, [0.0] * len(gain), epsilon)
    return layer_norm_backward(dy, n, r, gain)


def norm_row(
    mean: bool = True, along: bool = True, gain_inside: bool = True, gain_outside: bool = False, sums: bool = False,
    inverse: float = 1.0, sign: float = 1.0, n_along: bool = True,
) -> Callable[..., Norm]:  # fmt: skip
    """LayerNorm's backward with some of its parts left out or misplaced; dgain and dbias are right."""

    def mistaken(dy: Matrix, x: Matrix, gain: Vector) -> Norm:
        _, n, r = library_layer_norm(x, gain, [0.0] * len(gain))
        _, dgain, dbias = layer_norm_backward(dy, n, r, gain)
        c = 1.0 if sums else float(len(gain))
        dx: Matrix = []
        for row, normal, deviation in zip(dy, n, r, strict=True):
            dn = [d * g if gain_inside else d for d, g in zip(row, gain, strict=True)]
            m = sum(dn) / c if mean else 0.0
            a = dot(dn, normal) / c if along else 0.0
            factors = gain if gain_outside else [1.0] * len(gain)
            terms = zip(dn, normal, strict=True)
            back = [(d - m - sign * (v if n_along else 1.0) * a) * deviation**inverse for d, v in terms]
            dx.append([f * d for f, d in zip(factors, back, strict=True)])
        return dx, dgain, dbias

    return mistaken


def with_parameters(change: Callable[..., tuple[Any, ...]]) -> Callable[..., tuple[Any, ...]]:
    """The right gradients, changed with dy, n and gain at hand."""

    def mistaken(dy: Matrix, x: Matrix, gain: Vector) -> tuple[Any, ...]:
        return change(dy, library_layer_norm(x, gain, [0.0] * len(gain))[1], gain, norm_gradients(dy, x, gain))

    return mistaken


def columns(a: Matrix, b: Matrix) -> Vector:
    """Σ over positions of a ⊙ b."""
    return [dot(list(x), list(y)) for x, y in zip(transpose(a), transpose(b), strict=True)]


layer_norm = Exercise(
    "gradients.backpropagation.layer_norm", stars=3, minutes=20, reference=norm_gradients, draw=draw_norm,
    edges=[draw_narrow, ([[1.0, 2.0, 3.0]], [[0.0, 1.0, 5.0]], [1.0, 1.0, 1.0])],
    section="The second norm, and the sum",
)  # fmt: skip
layer_norm.mistake(
    "γ is pulled out of the mean: it differs from number to number, so dn = γ ⊙ dy goes inside both means.",
    norm_row(gain_inside=False, gain_outside=True),
)
layer_norm.mistake("γ is missing on the way to dx: dn = γ ⊙ dy.", norm_row(gain_inside=False))
layer_norm.mistake("γ is multiplied in twice: dn = γ ⊙ dy has it already.", norm_row(gain_outside=True))
layer_norm.mistake("The way through the mean is missing: − mean(dn).", norm_row(mean=False))
layer_norm.mistake("The way through the deviation is missing: − n mean(dn ⊙ n).", norm_row(along=False))
layer_norm.mistake(
    "Mean and deviation are taken as constants: both depend on every number of the row.",
    norm_row(mean=False, along=False),
)
layer_norm.mistake("The sign of the last term is wrong: − n mean(dn ⊙ n).", norm_row(sign=-1.0))
layer_norm.mistake("The last term lacks its n: − n mean(dn ⊙ n).", norm_row(n_along=False))
layer_norm.mistake("Sums stand where means belong: the 1/C is forgotten.", norm_row(sums=True))
layer_norm.mistake("The factor 1/√(var + ε) is missing in dx.", norm_row(inverse=0.0))
layer_norm.mistake("dx is multiplied by √(var + ε): it is divided by it.", norm_row(inverse=-1.0))
layer_norm.mistake("dx is divided by var + ε: it is divided by its root.", norm_row(inverse=2.0))
layer_norm.mistake(
    "dγ and dβ are averaged over the positions: they are sums. The loss's mean is in dy.",
    with_parameters(lambda dy, n, gain, right: (
        right[0], [d / len(dy) for d in right[1]], [d / len(dy) for d in right[2]]
    )),
)  # fmt: skip
layer_norm.mistake(
    "dγ takes γ ⊙ dy: that product belongs to dn. dγ = Σ dy ⊙ n.",
    with_parameters(
        lambda dy, n, gain, right: (right[0], [g * d for g, d in zip(gain, right[1], strict=True)], right[2])
    ),
)
layer_norm.mistake(
    "dβ takes γ ⊙ dy: β is added after γ, so dβ = Σ dy.",
    with_parameters(
        lambda dy, n, gain, right: (right[0], right[1], [g * d for g, d in zip(gain, right[2], strict=True)])
    ),
)
layer_norm.mistake(
    "dγ and dβ have changed places.", with_parameters(lambda dy, n, gain, right: (right[0], right[2], right[1]))
)
layer_norm.mistake(
    "dγ and dβ have a row for each position: γ and β serve all of them, so the rows are added up.",
    with_parameters(lambda dy, n, gain, right: (right[0], multiply(dy, n), [list(row) for row in dy])),
)  # fmt: skip
layer_norm.mistake(
    "dγ takes x: γ was multiplied by the normalised row n.",
    lambda dy, x, gain: (norm_gradients(dy, x, gain)[0], columns(dy, x), norm_gradients(dy, x, gain)[2]),
)

# embedding: dx, ids, vocab_size -> the gradient of the token embedding


def draw_embedding(rng: random.Random, T: int, C: int, V: int) -> tuple[Matrix, list[int], int]:
    """dx T×C, ids in which tokens repeat and some never occur."""
    few = rng.sample(range(V), max(1, V // 2))
    return drawing.matrix(rng, T, C), [rng.choice(few) for _ in range(T)], V


def token_gradients(dx: Matrix, ids: list[int], vocab_size: int) -> Matrix:
    return embed_backward(dx, ids, vocab_size, len(ids))[0]


def last_only(dx: Matrix, ids: list[int], vocab_size: int) -> Matrix:
    rows = dict(zip(ids, dx, strict=True))
    return [list(rows.get(token, [0.0] * len(dx[0]))) for token in range(vocab_size)]


embedding = Exercise(
    "gradients.backpropagation.embedding", stars=1, minutes=8, reference=token_gradients, draw=draw_embedding,
    edges=[([[1.0, 2.0], [3.0, 4.0], [5.0, 6.0]], [0, 2, 0], 4)], section="The embeddings",
)  # fmt: skip
embedding.mistake("`=` where `+=` is due: a repeated token keeps only its last gradient.", last_only)
embedding.mistake(
    "A repeated token keeps only its first gradient; all of them add up.",
    lambda dx, ids, vocab_size: last_only(dx[::-1], ids[::-1], vocab_size),
)
embedding.mistake(
    "The gradients of a repeated token are averaged; they add up.",
    lambda dx, ids, vocab_size: [
        [number / max(1, ids.count(token)) for number in row]
        for token, row in enumerate(token_gradients(dx, ids, vocab_size))
    ],
)
embedding.mistake(
    "The rows are in the order of the positions: row i belongs to token i.",
    lambda dx, ids, vocab_size: [*map(list, dx)],
)
embedding.mistake(
    "Only tokens that occur have a row: there are vocab_size of them, the others all 0.",
    lambda dx, ids, vocab_size: [row for token, row in enumerate(token_gradients(dx, ids, vocab_size)) if token in ids],
)
embedding.mistake(
    "All rows are one and the same list, as `[[0] * n] * m` makes them: what is added to one is in all.",
    lambda dx, ids, vocab_size: [[sum(column) for column in zip(*dx, strict=True)]] * vocab_size,
)
embedding.mistake(
    "The token 0 gets nothing: `if token:` is false for it.",
    lambda dx, ids, vocab_size: [
        [0.0] * len(row) if token == 0 else row for token, row in enumerate(token_gradients(dx, ids, vocab_size))
    ],
)
embedding.mistake(
    "Each sum is divided by the number of positions: the gradients of a token add up, and the loss's mean is in dx.",
    lambda dx, ids, vocab_size: scale(token_gradients(dx, ids, vocab_size), 1.0 / len(ids)),
)
embedding.mistake(
    "The rows are shifted by one: token 0 has row 0.",
    lambda dx, ids, vocab_size: [
        token_gradients(dx, ids, vocab_size)[-1], *token_gradients(dx, ids, vocab_size)[:-1]
    ],
)  # fmt: skip
embedding.mistake(
    "The rows count how often each token comes up: the gradients themselves add up.",
    lambda dx, ids, vocab_size: [[float(ids.count(token))] * len(dx[0]) for token in range(vocab_size)],
)
embedding.mistake(
    "The matrix has as many rows as the largest id needs: there are vocab_size of them.",
    lambda dx, ids, vocab_size: token_gradients(dx, ids, vocab_size)[: max(ids) + 1],
)
