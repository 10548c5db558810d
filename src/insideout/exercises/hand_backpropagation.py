"""Exercises on backpropagation by hand: a linear map, the softmax, the scaled scores, the token embedding.

Practised in book/1-understanding-gradients/09_backpropagation.md; the module is insideout/gradients/model.py.
Standard library only. Shapes: T positions, C width, D head width, V vocabulary.
"""

import random

from insideout.exercises.catalogue import Exercise, Mistake
from insideout.gradients import Matrix, embed_backward, matmul, scale, scaled_scores_backward, softmax, transpose
from insideout.gradients import softmax_backward as softmax_gradient

Pair = tuple[Matrix, Matrix]


def numbers(rng: random.Random, rows: int, columns: int) -> Matrix:
    """Normal numbers."""
    return [[rng.gauss(0.0, 1.0) for _ in range(columns)] for _ in range(rows)]


# hand_backpropagation.linear: dy, x, w -> (dx, dw) of Y = X W


def draw_linear(rng: random.Random) -> tuple[Matrix, Matrix, Matrix]:
    """dy T×C, x T×C, w C×C: square, so that a weight that is not transposed still fits."""
    return numbers(rng, 5, 4), numbers(rng, 5, 4), numbers(rng, 4, 4)


def linear(dy: Matrix, x: Matrix, w: Matrix) -> Pair:
    return matmul(dy, transpose(w)), matmul(transpose(x), dy)


# hand_backpropagation.softmax: dp, p -> the gradient of the scores


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


# hand_backpropagation.scores: ds, q, k -> (dq, dk) of S = Q Kᵀ / √D


def draw_scores(rng: random.Random) -> tuple[Matrix, Matrix, Matrix]:
    """ds T×T, q T×D, k T×D."""
    return numbers(rng, 5, 5), numbers(rng, 5, 3), numbers(rng, 5, 3)


def scores_unscaled(ds: Matrix, q: Matrix, k: Matrix) -> Pair:
    return matmul(ds, k), matmul(transpose(ds), q)


def scores_by_width(ds: Matrix, q: Matrix, k: Matrix) -> Pair:
    dq, dk = scores_unscaled(ds, q, k)
    return scale(dq, 1.0 / len(q[0])), scale(dk, 1.0 / len(q[0]))


def scores_not_transposed(ds: Matrix, q: Matrix, k: Matrix) -> Pair:
    return scaled_scores_backward(ds, q, k)[0], scale(matmul(ds, q), len(q[0]) ** -0.5)


# hand_backpropagation.embedding: dx, ids, vocab_size -> the gradient of the token embedding


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
        id="hand_backpropagation.linear",
        difficulty=1,
        minutes=8,
        reference=linear,
        draw=draw_linear,
        tolerance=1e-9,
        hints=[
            "Write Y_tj = Σ_i X_ti W_ij. Which numbers of Y does X_ti reach, and with what factor?",
            "The shapes decide the rest: dx has the shape of x, dw the shape of w.",
        ],
        mistakes=[
            Mistake(
                "The weight is not transposed on the way back: dX = dY Wᵀ.",
                lambda dy, x, w: (matmul(dy, w), matmul(transpose(x), dy)),
            ),
            Mistake(
                "The gradient of the weight is transposed: dW = Xᵀ dY, inputs by outputs.",
                lambda dy, x, w: (matmul(dy, transpose(w)), matmul(transpose(dy), x)),
            ),
            Mistake(
                "The gradient of the weight is averaged over the positions: it is a sum. The loss's mean is in dY.",
                lambda dy, x, w: (linear(dy, x, w)[0], scale(linear(dy, x, w)[1], 1.0 / len(x))),
            ),
        ],
    ),
    Exercise(
        id="hand_backpropagation.softmax",
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
        id="hand_backpropagation.scores",
        difficulty=2,
        minutes=10,
        reference=scaled_scores_backward,
        draw=draw_scores,
        tolerance=1e-9,
        hints=[
            "S_ts = Σ_d Q_td K_sd / √D. What is ∂S_ts/∂Q_td, and what is ∂S_ts/∂K_sd?",
            "Query t meets row t of ds; key s meets column s.",
        ],
        mistakes=[
            Mistake("The factor 1/√D is missing: it was in the scores, so it is in both gradients.", scores_unscaled),
            Mistake("The gradients are divided by D, not by √D.", scores_by_width),
            Mistake(
                "ds is not transposed in dk: key s collects from column s, from every query that met it.",
                scores_not_transposed,
            ),
        ],
    ),
    Exercise(
        id="hand_backpropagation.embedding",
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
