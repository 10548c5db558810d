"""Exercises on queries, keys and values: a linear map with a bias, the projections, the matrix between two positions.

Practised in book/1-understanding-gradients/02_queries_keys_values.md; the module is insideout/gradients/linear.py.
Standard library only. Shapes: T positions, C width, D head width.
"""

import random

from insideout.exercises.catalogue import Exercise
from insideout.exercises.drawing import matrix, vector
from insideout.gradients import Matrix, Vector, add_to_rows, matmul, transpose
from insideout.gradients import linear as library_linear

Three = tuple[Matrix, Matrix, Matrix]

# linear: x, w, b -> x w + b


def draw_linear(rng: random.Random, T: int, I: int, O: int) -> tuple[Matrix, Matrix, Vector]:
    return matrix(rng, T, I), matrix(rng, I, O), vector(rng, O)


linear = Exercise(
    "gradients.queries_keys_values.linear", stars=1, minutes=6, reference=library_linear, draw=draw_linear,
    section="A linear map",
)  # fmt: skip
linear.mistake(
    "The weight is transposed: here it is inputs × outputs, and Y = X W.",
    lambda x, w, b: library_linear(x, transpose(w), b),
)
linear.mistake("The bias is missing.", lambda x, w, b: matmul(x, w))
linear.mistake(
    "The bias runs along the positions: b[j] belongs to output j, so it is added to column j.",
    lambda x, w, b: [[number + bias for number in row] for row, bias in zip(matmul(x, w), b, strict=True)],
)
linear.mistake(
    "The bias is added to the input: it comes after the product, and is not multiplied by the weight.",
    lambda x, w, b: matmul(add_to_rows(x, b), w),
)
linear.mistake("The bias is subtracted: it is added.", lambda x, w, b: library_linear(x, w, [-number for number in b]))
linear.mistake(
    "The product is multiplied by the bias: it is added.",
    lambda x, w, b: [[number * bias for number, bias in zip(row, b, strict=True)] for row in matmul(x, w)],
)
linear.mistake(
    "The bias is added once for each input, inside the sum: add it once, after the sum.",
    lambda x, w, b: library_linear(x, w, [len(w) * bias for bias in b]),
)
linear.mistake(
    "The bias reaches only the first position: it is added at every one.",
    lambda x, w, b: [*library_linear(x[:1], w, b), *(matmul(x[1:], w) if x[1:] else [])],
)
linear.mistake(
    "`+` of two lists puts the bias behind the row: add number by number.",
    lambda x, w, b: [y + b for y in matmul(x, w)],
)
linear.mistake(
    "Only b[0] is added, to every column: column j gets b[j].", lambda x, w, b: library_linear(x, w, [b[0]] * len(b))
)
linear.mistake(
    "The biases are added up before they are added: column j gets b[j] alone.",
    lambda x, w, b: library_linear(x, w, [sum(b)] * len(b)),
)

# project: normed, w_query, w_key, w_value -> (q, k, v)


def draw_projections(rng: random.Random, T: int, C: int, D: int) -> tuple[Matrix, Matrix, Matrix, Matrix]:
    return matrix(rng, T, C), matrix(rng, C, D), matrix(rng, C, D), matrix(rng, C, D)


def three_parts(normed: Matrix, w_query: Matrix, w_key: Matrix, w_value: Matrix) -> Three:
    return matmul(normed, w_query), matmul(normed, w_key), matmul(normed, w_value)


def in_a_chain(normed: Matrix, w_query: Matrix, w_key: Matrix, w_value: Matrix) -> Three:
    q = matmul(normed, w_query)
    k = matmul(q, w_key)
    return q, k, matmul(k, w_value)


project = Exercise(
    "gradients.queries_keys_values.project", stars=1, minutes=6, reference=three_parts, draw=draw_projections,
    section="Three parts, three maps",
)  # fmt: skip
project.mistake(
    "The weights are transposed: here they are inputs × outputs.",
    lambda n, wq, wk, wv: three_parts(n, transpose(wq), transpose(wk), transpose(wv)),
)
project.mistake(
    "Queries and keys are exchanged: the query asks, the key is found.",
    lambda n, wq, wk, wv: three_parts(n, wk, wq, wv),
)
project.mistake(
    "Keys and values are exchanged: (q, k, v), in this order.", lambda n, wq, wk, wv: three_parts(n, wq, wv, wk)
)
project.mistake(
    "The maps are chained: keys and values are made from the normalised input, as the queries are.", in_a_chain
)
project.mistake(
    "The values are the input itself: they have a weight of their own.",
    lambda n, wq, wk, wv: (matmul(n, wq), matmul(n, wk), n),
)
project.mistake("Queries and keys share a weight: each has its own.", lambda n, wq, wk, wv: three_parts(n, wq, wq, wv))
project.mistake("Keys and values share a weight: each has its own.", lambda n, wq, wk, wv: three_parts(n, wq, wk, wk))
project.mistake("All three share one weight: each has its own.", lambda n, wq, wk, wv: three_parts(n, wq, wq, wq))
project.mistake(
    "The factors are exchanged: the input stands on the left, x W.",
    lambda n, wq, wk, wv: (matmul(wq, n), matmul(wk, n), matmul(wv, n)),
)
project.mistake(
    "The results lie on their side: a row for each position.",
    lambda n, wq, wk, wv: tuple(map(transpose, three_parts(n, wq, wk, wv))),
)
project.mistake(
    "The three stand side by side in one matrix: return them as three.",
    lambda n, wq, wk, wv: [q + k + v for q, k, v in zip(*three_parts(n, wq, wk, wv), strict=True)],
)

# between: w_query, w_key -> the matrix M with q_t · k_s = n_t M n_sᵀ


def draw_weights(rng: random.Random, C: int, D: int) -> tuple[Matrix, Matrix]:
    return matrix(rng, C, D), matrix(rng, C, D)


between = Exercise(
    "gradients.queries_keys_values.between", stars=2, minutes=10, draw=draw_weights,
    reference=lambda w_query, w_key: matmul(w_query, transpose(w_key)), section="One matrix between two positions",
)  # fmt: skip
between.mistake("The key's weight is not transposed: k_sᵀ is W_Kᵀ n_sᵀ.", matmul)
between.mistake(
    "The query's weight is transposed instead of the key's: q_t = n_t W_Q stands on the left as it is.",
    lambda wq, wk: matmul(transpose(wq), wk),
)
between.mistake(
    "The parts are exchanged: this is the matrix for k_t · q_s, in which the key asks.",
    lambda wq, wk: matmul(wk, transpose(wq)),
)
between.mistake(
    "Both weights are transposed: only the key stands transposed in q_t k_sᵀ.",
    lambda wq, wk: matmul(transpose(wq), transpose(wk)),
)
between.mistake(
    "The parts are exchanged and the wrong one is transposed: W_Q stands on the left, W_Kᵀ on the right.",
    lambda wq, wk: matmul(transpose(wk), wq),
)
between.mistake("The parts are exchanged, and nothing is transposed: it is W_Q W_Kᵀ.", lambda wq, wk: matmul(wk, wq))
between.mistake(
    "The weights are multiplied number by number: a matrix product is due.",
    lambda wq, wk: [[x * y for x, y in zip(*rows, strict=True)] for rows in zip(wq, wk, strict=True)],
)
between.mistake(
    "The score's scale is in it: q_t · k_s is asked for, not divided by √D.",
    lambda wq, wk: [[x / len(wq[0]) ** 0.5 for x in row] for row in matmul(wq, transpose(wk))],
)
