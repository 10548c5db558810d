"""Exercises on queries, keys and values: a linear map with a bias, the projections, the matrix between two places.

Practised in book/1-understanding-gradients/02_queries_keys_values.md; the module is insideout/gradients/linear.py.
Standard library only. Shapes: T places, C width.
"""

import random

from insideout.exercises.catalogue import Exercise, Mistake
from insideout.gradients import Matrix, Vector, add_to_rows, linear, matmul, transpose

Three = tuple[Matrix, Matrix, Matrix]


def numbers(rng: random.Random, rows: int, columns: int) -> Matrix:
    """Normal numbers."""
    return [[rng.gauss(0.0, 1.0) for _ in range(columns)] for _ in range(rows)]


# linear: x, w, b -> x w + b


def draw_linear(rng: random.Random) -> tuple[Matrix, Matrix, Vector]:
    """As many places as inputs as outputs: a weight on its side fits, and so does a bias along the places."""
    return numbers(rng, 4, 4), numbers(rng, 4, 4), numbers(rng, 1, 4)[0]


def linear_bias_by_place(x: Matrix, w: Matrix, b: Vector) -> Matrix:
    return [[number + bias for number in row] for row, bias in zip(matmul(x, w), b, strict=True)]


# project: normed, w_query, w_key, w_value -> (q, k, v)


def draw_projections(rng: random.Random) -> tuple[Matrix, Matrix, Matrix, Matrix]:
    """normed T×C and three square weights."""
    return numbers(rng, 5, 4), numbers(rng, 4, 4), numbers(rng, 4, 4), numbers(rng, 4, 4)


def project(normed: Matrix, w_query: Matrix, w_key: Matrix, w_value: Matrix) -> Three:
    return matmul(normed, w_query), matmul(normed, w_key), matmul(normed, w_value)


def project_in_a_chain(normed: Matrix, w_query: Matrix, w_key: Matrix, w_value: Matrix) -> Three:
    q = matmul(normed, w_query)
    k = matmul(q, w_key)
    return q, k, matmul(k, w_value)


# between: w_query, w_key -> the matrix M with q_t · k_s = n_t M n_sᵀ


def draw_weights(rng: random.Random) -> tuple[Matrix, Matrix]:
    """Two square weights."""
    return numbers(rng, 4, 4), numbers(rng, 4, 4)


def between(w_query: Matrix, w_key: Matrix) -> Matrix:
    return matmul(w_query, transpose(w_key))


exercises: list[Exercise] = [
    Exercise(
        id="gradients.queries_keys_values.linear",
        difficulty=1,
        minutes=6,
        reference=linear,
        draw=draw_linear,
        tolerance=1e-9,
        hints=[
            "The product is matmul(x, w). To which numbers of it is b[j] added?",
            "b[j] belongs to output j, so to column j, at every place.",
        ],
        mistakes=[
            Mistake(
                "The weight is transposed: here it is inputs × outputs, and Y = X W.",
                lambda x, w, b: linear(x, transpose(w), b),
            ),
            Mistake("The bias is missing.", lambda x, w, b: linear(x, w)),
            Mistake(
                "The bias runs along the places: b[j] belongs to output j, so it is added to column j.",
                linear_bias_by_place,
            ),
            Mistake(
                "The bias is added to the input: it comes after the product, and is not multiplied by the weight.",
                lambda x, w, b: matmul(add_to_rows(x, b), w),
            ),
        ],
    ),
    Exercise(
        id="gradients.queries_keys_values.project",
        difficulty=1,
        minutes=6,
        reference=project,
        draw=draw_projections,
        tolerance=1e-9,
        hints=["All three start from the same rows.", "The weights are inputs × outputs, so nothing is transposed."],
        mistakes=[
            Mistake(
                "The weights are transposed: here they are inputs × outputs.",
                lambda n, wq, wk, wv: project(n, transpose(wq), transpose(wk), transpose(wv)),
            ),
            Mistake(
                "Queries and keys are exchanged: the query asks, the key is found.",
                lambda n, wq, wk, wv: project(n, wk, wq, wv),
            ),
            Mistake(
                "The maps are chained: keys and values are made from the normalised input, as the queries are.",
                project_in_a_chain,
            ),
            Mistake(
                "The values are the input itself: they have a weight of their own.",
                lambda n, wq, wk, wv: (matmul(n, wq), matmul(n, wk), n),
            ),
            Mistake(
                "Queries and keys share a weight: each has its own.",
                lambda n, wq, wk, wv: project(n, wq, wq, wv),
            ),
        ],
    ),
    Exercise(
        id="gradients.queries_keys_values.between",
        difficulty=2,
        minutes=10,
        reference=between,
        draw=draw_weights,
        tolerance=1e-9,
        hints=["Write q_t = n_t W_Q and k_s = n_s W_K into q_t k_sᵀ.", "(A B)ᵀ = Bᵀ Aᵀ."],
        mistakes=[
            Mistake("The key's weight is not transposed: k_sᵀ is W_Kᵀ n_sᵀ.", matmul),
            Mistake(
                "The query's weight is transposed instead of the key's: q_t = n_t W_Q stands on the left as it is.",
                lambda wq, wk: matmul(transpose(wq), wk),
            ),
            Mistake(
                "The parts are exchanged: this is the matrix for k_t · q_s, in which the key asks.",
                lambda wq, wk: matmul(wk, transpose(wq)),
            ),
            Mistake(
                "Both weights are transposed: only the key stands transposed in q_t k_sᵀ.",
                lambda wq, wk: matmul(transpose(wq), transpose(wk)),
            ),
        ],
    ),
]
