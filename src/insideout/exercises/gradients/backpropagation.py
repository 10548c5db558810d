"""Exercises on backpropagation by hand: a layer with GELU, the softmax, LayerNorm, the token embedding.

Practised in book/1-understanding-gradients/09_backpropagation.md; the module is insideout/gradients/model.py.
Standard library only. Shapes: T positions, C width, D head width, V vocabulary.
"""

import random
from collections.abc import Callable
from math import erf, exp, pi, sqrt, tanh

from insideout.exercises.catalogue import Exercise, Mistake
from insideout.gradients import (
    Matrix,
    Vector,
    apply,
    embed_backward,
    gelu,
    gelu_backward,
    layer_norm,
    layer_norm_backward,
    matmul,
    multiply,
    scale,
    softmax,
    transpose,
)
from insideout.gradients import softmax_backward as softmax_gradient

Pair = tuple[Matrix, Matrix]
Layer = tuple[Matrix, Matrix, Matrix]
Norm = tuple[Matrix, Vector, Vector]


def numbers(rng: random.Random, rows: int, columns: int) -> Matrix:
    """Normal numbers."""
    return [[rng.gauss(0.0, 1.0) for _ in range(columns)] for _ in range(rows)]


# gelu: da, x, w -> (a, dx, dw) of a = GELU(x W)


def draw_layer(rng: random.Random) -> Layer:
    """da T×C, x T×C, w C×C: square, so that a weight that is not transposed still fits."""
    return numbers(rng, 5, 4), numbers(rng, 5, 4), numbers(rng, 4, 4)


def layer(da: Matrix, x: Matrix, w: Matrix) -> Layer:
    h = matmul(x, w)
    dh = gelu_backward(da, h)
    return gelu(h), matmul(dh, transpose(w)), matmul(transpose(x), dh)


def layer_with(slope: Callable[[float], float], form: Callable[[Matrix], Matrix] = gelu) -> Callable[..., Layer]:
    """The layer with another slope, and perhaps another form, of GELU."""

    def mistaken(da: Matrix, x: Matrix, w: Matrix) -> Layer:
        h = matmul(x, w)
        dh = multiply(da, apply(slope, h))
        return form(h), matmul(dh, transpose(w)), matmul(transpose(x), dh)

    return mistaken


def gaussian_chance(x: float) -> float:
    """Φ(x)."""
    return (1.0 + erf(x / sqrt(2.0))) / 2.0


def exact_slope(x: float) -> float:
    return gaussian_chance(x) + x * exp(-x * x / 2.0) / sqrt(2.0 * pi)


def tanh_form(x: float) -> float:
    return 0.5 * x * (1.0 + tanh(sqrt(2.0 / pi) * (x + 0.044715 * x**3)))


def tanh_slope(x: float) -> float:
    t = tanh(sqrt(2.0 / pi) * (x + 0.044715 * x**3))
    return 0.5 * (1.0 + t) + 0.5 * x * (1.0 - t * t) * sqrt(2.0 / pi) * (1.0 + 3 * 0.044715 * x * x)


def tanh_gelu(h: Matrix) -> Matrix:
    return apply(tanh_form, h)


def layer_slope_of_output(da: Matrix, x: Matrix, w: Matrix) -> Layer:
    a = layer(da, x, w)[0]
    dh = gelu_backward(da, a)
    return a, matmul(dh, transpose(w)), matmul(transpose(x), dh)


def layer_not_transposed(da: Matrix, x: Matrix, w: Matrix) -> Layer:
    a, _, dw = layer(da, x, w)
    return a, matmul(gelu_backward(da, matmul(x, w)), w), dw


def layer_weight_transposed(da: Matrix, x: Matrix, w: Matrix) -> Layer:
    a, dx, dw = layer(da, x, w)
    return a, dx, transpose(dw)


def layer_weight_averaged(da: Matrix, x: Matrix, w: Matrix) -> Layer:
    a, dx, dw = layer(da, x, w)
    return a, dx, scale(dw, 1.0 / len(x))


# softmax: dp, p -> the gradient of the scores


def draw_pattern(rng: random.Random) -> Pair:
    """dp and p, T×S; the rows of p sum to 1."""
    return numbers(rng, 4, 6), softmax(numbers(rng, 4, 6))


def softmax_diagonal(dp: Matrix, p: Matrix) -> Matrix:
    return [[g * q * (1.0 - q) for g, q in zip(*rows, strict=True)] for rows in zip(dp, p, strict=True)]


def softmax_no_mean(dp: Matrix, p: Matrix) -> Matrix:
    return [[g * q for g, q in zip(*rows, strict=True)] for rows in zip(dp, p, strict=True)]


def softmax_plain_mean(dp: Matrix, p: Matrix) -> Matrix:
    pairs = zip(dp, p, strict=True)
    return [[q * (g - sum(gs) / len(gs)) for g, q in zip(gs, qs, strict=True)] for gs, qs in pairs]


# layer_norm: dy, x, gain -> (dx, dgain, dbias)


def draw_norm(rng: random.Random) -> tuple[Matrix, Matrix, Vector]:
    """dy T×C, x T×C, and a gain C that is far from 1: where all gains are 1, a misplaced one does no harm."""
    return numbers(rng, 5, 6), scale(numbers(rng, 5, 6), 2.0), [rng.uniform(0.3, 2.0) for _ in range(6)]


def norm_gradients(dy: Matrix, x: Matrix, gain: Vector) -> Norm:
    _, n, r = layer_norm(x, gain, [0.0] * len(gain))
    return layer_norm_backward(dy, n, r, gain)


def norm_row(
    mean: bool = True, along: bool = True, gain_inside: bool = True, gain_outside: bool = False, sums: bool = False,
    inverse: bool = True,
) -> Callable[..., Norm]:  # fmt: skip
    """LayerNorm's backward with some of its parts left out or misplaced; dgain and dbias are right."""

    def mistaken(dy: Matrix, x: Matrix, gain: Vector) -> Norm:
        _, n, r = layer_norm(x, gain, [0.0] * len(gain))
        _, dgain, dbias = layer_norm_backward(dy, n, r, gain)
        c = 1.0 if sums else float(len(gain))
        dx: Matrix = []
        for row, normal, deviation in zip(dy, n, r, strict=True):
            dn = [d * g if gain_inside else d for d, g in zip(row, gain, strict=True)]
            m = sum(dn) / c if mean else 0.0
            a = sum(d * v for d, v in zip(dn, normal, strict=True)) / c if along else 0.0
            factors = gain if gain_outside else [1.0] * len(gain)
            back = [(d - m - v * a) * (deviation if inverse else 1.0) for d, v in zip(dn, normal, strict=True)]
            dx.append([f * d for f, d in zip(factors, back, strict=True)])
        return dx, dgain, dbias

    return mistaken


def norm_averaged(dy: Matrix, x: Matrix, gain: Vector) -> Norm:
    dx, dgain, dbias = norm_gradients(dy, x, gain)
    return dx, [d / len(dy) for d in dgain], [d / len(dy) for d in dbias]


# embedding: dx, ids, vocab_size -> the gradient of the token embedding


def draw_embedding(rng: random.Random) -> tuple[Matrix, list[int], int]:
    """dx T×C, ids in which some tokens repeat, and the size of the vocabulary."""
    ids = [0, 0, 0, 1, 1, 3]
    rng.shuffle(ids)
    return numbers(rng, len(ids), 4), ids, 5


def embedding(dx: Matrix, ids: list[int], vocab_size: int) -> Matrix:
    return embed_backward(dx, ids, vocab_size, len(ids))[0]


def embedding_last(dx: Matrix, ids: list[int], vocab_size: int) -> Matrix:
    rows = dict(zip(ids, dx, strict=True))
    return [list(rows.get(token, [0.0] * len(dx[0]))) for token in range(vocab_size)]


def embedding_first(dx: Matrix, ids: list[int], vocab_size: int) -> Matrix:
    return embedding_last(dx[::-1], ids[::-1], vocab_size)


def embedding_mean(dx: Matrix, ids: list[int], vocab_size: int) -> Matrix:
    total = embedding(dx, ids, vocab_size)
    return [[number / max(1, ids.count(token)) for number in row] for token, row in enumerate(total)]


exercises: list[Exercise] = [
    Exercise(
        id="gradients.backpropagation.gelu",
        difficulty=2,
        minutes=15,
        reference=layer,
        draw=draw_layer,
        tolerance=1e-9,
        hints=[
            "Two steps back: through GELU, dh = da ⊙ GELU'(h), then through the linear map.",
            "GELU(h) = h Φ(h) is a product, and Φ' is the normal density. The shapes say where the transposes go.",
        ],
        mistakes=[
            Mistake("The weight is not transposed on the way back: dX = dh Wᵀ.", layer_not_transposed),
            Mistake(
                "The gradient of the weight is transposed: dW = Xᵀ dh, inputs by outputs.", layer_weight_transposed
            ),
            Mistake(
                "Forward is the tanh form, backward the slope of the exact form: two functions, one derivative.",
                layer_with(exact_slope, tanh_gelu),
            ),
            Mistake(
                "Forward is the exact form, backward the slope of the tanh form: a slope belongs to its own form.",
                layer_with(tanh_slope),
            ),
            Mistake(
                "Both ways use the tanh form. They fit each other, but the exact form, h Φ(h), is asked for.",
                layer_with(tanh_slope, tanh_gelu),
            ),
            Mistake("The slope is Φ(h) alone: the product rule adds h φ(h).", layer_with(gaussian_chance)),
            Mistake("The slope of GELU is taken at its output a: take it at its input h.", layer_slope_of_output),
            Mistake("GELU is left out on the way back: dh = da ⊙ GELU'(h).", layer_with(lambda h: 1.0)),
            Mistake(
                "The gradient of the weight is averaged over the positions: it is a sum. The loss's mean is in da.",
                layer_weight_averaged,
            ),
        ],
    ),
    Exercise(
        id="gradients.backpropagation.softmax",
        difficulty=2,
        minutes=12,
        reference=softmax_gradient,
        draw=draw_pattern,
        tolerance=1e-9,
        hints=[
            "Start from one row: ∂P_j/∂S_i = P_j (1[i = j] − P_i). Multiply by dP_j and add up over j.",
            "One term holds a number that the whole row shares: Σ_j P_j dP_j.",
        ],
        mistakes=[
            Mistake(
                "Only the diagonal of the softmax's Jacobian is used: raising one score also lowers the other weights.",
                softmax_diagonal,
            ),
            Mistake("The shared term is missing: the gradient of a row must add up to 0.", softmax_no_mean),
            Mistake("The mean of dp is not weighted by p: use Σ p dp, not the plain mean.", softmax_plain_mean),
        ],
    ),
    Exercise(
        id="gradients.backpropagation.layer_norm",
        difficulty=3,
        minutes=20,
        reference=norm_gradients,
        draw=draw_norm,
        tolerance=1e-9,
        hints=[
            "First the forward pass again: n and r = 1/√(var + ε) of each row. Then dn = γ ⊙ dy, then the means.",
            "From n to x there are three ways: x itself, the mean, and the deviation. Each gives one term of dx.",
        ],
        mistakes=[
            Mistake(
                "γ is pulled out of the mean: it differs from number to number, so dn = γ ⊙ dy goes inside both means.",
                norm_row(gain_inside=False, gain_outside=True),
            ),
            Mistake("γ is missing on the way to dx: dn = γ ⊙ dy.", norm_row(gain_inside=False)),
            Mistake("The way through the mean is missing: − mean(dn).", norm_row(mean=False)),
            Mistake("The way through the deviation is missing: − n mean(dn ⊙ n).", norm_row(along=False)),
            Mistake(
                "Mean and deviation are taken as constants: both depend on every number of the row.",
                norm_row(mean=False, along=False),
            ),
            Mistake("Sums stand where means belong: the 1/C is forgotten.", norm_row(sums=True)),
            Mistake("The factor 1/√(var + ε) is missing in dx.", norm_row(inverse=False)),
            Mistake(
                "dγ and dβ are averaged over the positions: they are sums. The loss's mean is in dy.", norm_averaged
            ),
        ],
    ),
    Exercise(
        id="gradients.backpropagation.embedding",
        difficulty=1,
        minutes=8,
        reference=embedding,
        draw=draw_embedding,
        tolerance=1e-9,
        hints=[
            "Begin with a row of zeros for every token of the vocabulary, also for those that do not occur.",
            "A token that stands at three positions collects three gradients.",
        ],
        mistakes=[
            Mistake("`=` where `+=` is due: a repeated token keeps only its last gradient.", embedding_last),
            Mistake("A repeated token keeps only its first gradient; all of them add up.", embedding_first),
            Mistake("The gradients of a repeated token are averaged; they add up.", embedding_mean),
        ],
    ),
]
