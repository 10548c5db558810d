"""Exercises on one head of attention by hand: the scaled scores, the softmax, the whole causal head.

Practised in book/1-understanding-gradients/03_attention.md; the module is insideout/gradients/attention.py.
Standard library only. Source: Vaswani et al. 2017, §3.2.1. Shapes: T positions, S keys, D head width.
"""

import random
from collections.abc import Callable
from math import exp, inf, sqrt

from insideout.exercises.catalogue import Exercise
from insideout.exercises.drawing import matrix, vector
from insideout.gradients import Matrix, causal_mask, matmul, scale, scaled_scores, transpose, weighted_values
from insideout.gradients import softmax as library_softmax

# scores: q, k -> Q Kᵀ / √D


def draw_queries_and_keys(rng: random.Random, T: int, D: int) -> tuple[Matrix, Matrix]:
    return matrix(rng, T, D), matrix(rng, T, D)


def products(q: Matrix, k: Matrix) -> Matrix:
    return matmul(q, transpose(k))


def cosines(q: Matrix, k: Matrix) -> Matrix:
    def length(row: list[float]) -> float:
        return sqrt(sum(number * number for number in row))

    rows = zip(products(q, k), q, strict=True)
    return [[s / (length(x) * length(y)) for s, y in zip(row, k, strict=True)] for row, x in rows]


scores = Exercise(
    "gradients.attention.scores", stars=1, minutes=8, reference=scaled_scores, draw=draw_queries_and_keys,
    section="One score, by hand",
)  # fmt: skip
scores.mistake("The scores are not divided by √D: their spread grows with the width of the head.", products)
scores.mistake("The scores are divided by D, not by √D.", lambda q, k: scale(products(q, k), 1.0 / len(q[0])))
scores.mistake(
    "The scores are multiplied by √D: they are divided by it.", lambda q, k: scale(products(q, k), sqrt(len(q[0])))
)
scores.mistake(
    "The scores are divided by the square root of the number of positions; it is the D terms of the dot product that "
    "make it large.",
    lambda q, k: scale(products(q, k), 1.0 / sqrt(len(q))),
)
scores.mistake(
    "Rows and columns are exchanged: row t must hold the scores of query t.", lambda q, k: scaled_scores(k, q)
)
scores.mistake(
    "This is a distance between query and key; the score is their dot product.",
    lambda q, k: [[-sum((a - b) ** 2 for a, b in zip(x, y, strict=True)) / sqrt(len(x)) for y in k] for x in q],
)
scores.mistake("These are cosines: the score is the dot product, divided by √D and by no lengths.", cosines)
scores.mistake(
    "The keys are not transposed: row t of q meets row s of k.", lambda q, k: scale(matmul(q, k), len(k[0]) ** -0.5)
)
scores.mistake(
    "A mask is laid on the scores: here they are asked for as they are.", lambda q, k: causal_mask(scaled_scores(q, k))
)
scores.mistake(
    "A softmax is taken already: the scores come before it.", lambda q, k: library_softmax(scaled_scores(q, k))
)
scores.mistake(
    "Every query meets its own key alone: it meets all of them.",
    lambda q, k: [row[t] for t, row in enumerate(scaled_scores(q, k))],
)
scores.mistake("The products of the numbers are not added up over d.", lambda q, k: [
    [[a * b / sqrt(len(x)) for a, b in zip(x, y, strict=True)] for y in k] for x in q
])  # fmt: skip

# softmax: scores -> rows of weights


def draw_rows(rng: random.Random, T: int, S: int) -> tuple[Matrix]:
    """Rows of ordinary spread; some lie near 1000 or −1000, in some one lies far above or below the others."""

    def row() -> list[float]:
        level, other = rng.choice(((0.0, 0.0), (0.0, 0.0), (1000.0, 1000.0), (-1000.0, -1000.0), (1000.0, -1000.0)))
        lone = rng.randrange(S)
        return [number + (other if s == lone else level) for s, number in enumerate(vector(rng, S, 1.5))]

    return ([row() for _ in range(T)],)


def by_powers(powers: Callable[[Matrix], Matrix]) -> Callable[[Matrix], Matrix]:
    """Each row of powers divided by its sum."""
    return lambda scores: [[number / sum(row) for number in row] for row in powers(scores)]


def all_rows_less(what: Callable[[Matrix], float]) -> Callable[[Matrix], Matrix]:
    """The softmax with one number subtracted from all rows."""
    return by_powers(lambda scores: [[exp(number - what(scores)) for number in row] for row in scores])


def each_row_less(what: Callable[[list[float]], float]) -> Callable[[Matrix], Matrix]:
    """The softmax with a number of its own subtracted from each row."""
    return by_powers(lambda scores: [[exp(number - what(row)) for number in row] for row in scores])


def of_everything(scores: Matrix) -> Matrix:
    everything = library_softmax([[number for row in scores for number in row]])[0]
    width = len(scores[0])
    return [everything[i : i + width] for i in range(0, len(everything), width)]


softmax = Exercise(
    "gradients.attention.softmax", stars=2, minutes=10, reference=library_softmax, draw=draw_rows,
    edges=[([[3.0]],), ([[1000.0, 999.0], [0.0, 1.0], [-1000.0, -1001.0]],)], section="Large scores",
)  # fmt: skip
softmax.mistake(
    "exp of a score near 1000 overflows, and near −1000 all exponentials are 0: subtract each row's largest score.",
    each_row_less(lambda row: 0.0),
)
softmax.mistake(
    "One maximum is subtracted from all rows, and in a row far below it every exponential is 0: each row has its own.",
    all_rows_less(lambda scores: max(map(max, scores))),
)
softmax.mistake(
    "The row's mean is subtracted: a score far above it still overflows. Subtract the largest.",
    each_row_less(lambda row: sum(row) / len(row)),
)
softmax.mistake(
    "The row's smallest score is subtracted: one far above it overflows. Subtract the largest.", each_row_less(min)
)
softmax.mistake(
    "The largest size is subtracted, max |x|: where all scores are low, every exponential is 0. Subtract the largest.",
    each_row_less(lambda row: max(map(abs, row))),
)
softmax.mistake(
    "The first score is subtracted: one far above it overflows. Subtract the largest.",
    each_row_less(lambda row: row[0]),
)
softmax.mistake(
    "The exponentials are not divided by their sum: each row must add up to 1.",
    lambda scores: [[exp(number - max(row)) for number in row] for row in scores],
)
softmax.mistake(
    "The softmax runs down the columns: a row is one query's weights, and it must add up to 1.",
    lambda scores: transpose(library_softmax(transpose(scores))),
)
softmax.mistake("All scores share one sum: each row is a softmax of its own.", of_everything)
softmax.mistake(
    "The base is 2; the softmax uses e.",
    by_powers(lambda scores: [[2.0 ** (number - max(row)) for number in row] for row in scores]),
)
softmax.mistake(
    "The scores are divided by their sum, without exponentials: such weights can be negative.",
    by_powers(lambda scores: scores),
)
softmax.mistake(
    "The largest score was subtracted, and no exponential taken.",
    lambda scores: [[number - max(row) for number in row] for row in scores],
)
softmax.mistake(
    "The sign is turned: the largest score must get the largest weight.",
    lambda scores: library_softmax([[-number for number in row] for row in scores]),
)
softmax.mistake(
    "Each row is 1 at its largest score and 0 elsewhere: the others get weight too.",
    lambda scores: [[1.0 if number == max(row) else 0.0 for number in row] for row in scores],
)
softmax.mistake(
    "The scores are cut off before the exponential, at ±50: what they differ by is lost. Subtract the largest instead.",
    by_powers(lambda scores: [[exp(min(max(number, -50.0), 50.0)) for number in row] for row in scores]),
)

# head: q, k, v -> softmax(Q Kᵀ / √D + mask) V


def draw_head(rng: random.Random, T: int, D: int) -> tuple[Matrix, Matrix, Matrix]:
    """Scores large enough that every slip shows."""
    return matrix(rng, T, D, 1.5), matrix(rng, T, D, 1.5), matrix(rng, T, D)


def read(scores: Matrix, v: Matrix) -> Matrix:
    return weighted_values(library_softmax(scores), v)


def causal_head(q: Matrix, k: Matrix, v: Matrix) -> Matrix:
    return read(causal_mask(scaled_scores(q, k)), v)


def kept_where(keep: Callable[[int, int], bool], scores: Matrix, other: float) -> Matrix:
    """The scores where query t may read key s, `other` elsewhere."""
    return [[x if keep(t, s) else other for s, x in enumerate(row)] for t, row in enumerate(scores)]


head = Exercise(
    "gradients.attention.head", stars=2, minutes=12, reference=causal_head, draw=draw_head, section="Hide the future",
)  # fmt: skip
head.mistake("The scores are not divided by √D.", lambda q, k, v: read(causal_mask(products(q, k)), v))
head.mistake(
    "The scores are divided by D, not by √D.",
    lambda q, k, v: read(causal_mask(scale(products(q, k), 1.0 / len(q[0]))), v),
)
head.mistake(
    "The scores are divided by the root of the number of positions: it is √D.",
    lambda q, k, v: read(causal_mask(scale(products(q, k), len(q) ** -0.5)), v),
)
head.mistake("There is no mask: every position reads the future.", lambda q, k, v: read(scaled_scores(q, k), v))
head.mistake(
    "The mask comes after the softmax: the future is still in the sum that each row was divided by.",
    lambda q, k, v: weighted_values(kept_where(lambda t, s: s <= t, library_softmax(scaled_scores(q, k)), 0.0), v),
)
head.mistake(
    "The future's scores become 0, not −∞: e⁰ is 1, so the future still gets weight.",
    lambda q, k, v: read(kept_where(lambda t, s: s <= t, scaled_scores(q, k), 0.0), v),
)
head.mistake(
    "The mask is turned round: it hides the past and shows the future.",
    lambda q, k, v: read(kept_where(lambda t, s: s >= t, scaled_scores(q, k), -inf), v),
)
head.mistake(
    "The mask is off by one: position t reads s ≤ t + 1, so each sees its answer.",
    lambda q, k, v: read(kept_where(lambda t, s: s <= t + 1, scaled_scores(q, k), -inf), v),
)
head.mistake(
    "The mask hides the position itself: t reads s ≤ t, and the first one has nothing else.",
    lambda q, k, v: [
        *([[0 / 0 for _ in v[0]]] if len(q) else []),
        *read(kept_where(lambda t, s: s < t, scaled_scores(q, k), -inf)[1:], v),
    ],
)
head.mistake(
    "The mask is −1 or so, not −∞, and added to the scores: the future keeps some weight.",
    lambda q, k, v: read([[x - (s > t) for s, x in enumerate(row)] for t, row in enumerate(scaled_scores(q, k))], v),
)
head.mistake(
    "The pattern is transposed before it meets the values: row t weighs what position t reads.",
    lambda q, k, v: weighted_values(transpose(library_softmax(causal_mask(scaled_scores(q, k)))), v),
)
head.mistake(
    "The softmax runs down the columns: each row of the pattern must add up to 1.",
    lambda q, k, v: weighted_values(transpose(library_softmax(transpose(causal_mask(scaled_scores(q, k))))), v),
)
head.mistake("Queries and keys are exchanged.", lambda q, k, v: causal_head(k, q, v))
head.mistake("The keys are read: what is read are the values.", lambda q, k, v: causal_head(q, k, k))
head.mistake(
    "There is no softmax: the masked scores themselves weigh the values.",
    lambda q, k, v: weighted_values(kept_where(lambda t, s: s <= t, scaled_scores(q, k), 0.0), v),
)
head.mistake(
    "This is the pattern: it still has to weigh the values.",
    lambda q, k, v: library_softmax(causal_mask(scaled_scores(q, k))),
)
head.mistake(
    "All positions before weigh the same: their weights come from the scores.",
    lambda q, k, v: read(causal_mask([[0.0] * len(k) for _ in q]), v),
)
