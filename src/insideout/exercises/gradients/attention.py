"""Exercises on one head of attention by hand: the scaled scores, the softmax, the whole causal head.

Practised in book/1-understanding-gradients/03_attention.md; the module is insideout/gradients/attention.py.
Standard library only. Source: Vaswani et al. 2017, §3.2.1. Shapes: T queries, S keys, D head width.
"""

import random
from math import exp, sqrt

from insideout.exercises.catalogue import Exercise, Mistake
from insideout.gradients import Matrix, causal_mask, matmul, scale, scaled_scores, softmax, transpose, weighted_values


def numbers(rng: random.Random, rows: int, columns: int, deviation: float = 1.0) -> Matrix:
    """Normal numbers."""
    return [[rng.gauss(0.0, deviation) for _ in range(columns)] for _ in range(rows)]


# scores: q, k -> Q Kᵀ / √D


def draw_queries_and_keys(rng: random.Random) -> tuple[Matrix, Matrix]:
    """q and k, T×D, with T ≠ D so that the two cannot be confused."""
    return numbers(rng, 6, 3), numbers(rng, 6, 3)


def scores_by_length(q: Matrix, k: Matrix) -> Matrix:
    return scale(matmul(q, transpose(k)), 1.0 / sqrt(len(q)))


def scores_by_width(q: Matrix, k: Matrix) -> Matrix:
    return scale(matmul(q, transpose(k)), 1.0 / len(q[0]))


def scores_as_distances(q: Matrix, k: Matrix) -> Matrix:
    return [[-sum((a - b) ** 2 for a, b in zip(x, y, strict=True)) / sqrt(len(x)) for y in k] for x in q]


# softmax: scores -> rows of weights


def draw_rows(rng: random.Random) -> tuple[Matrix]:
    """Scores T×S of ordinary spread; whole rows lie far up or down, where e to their power has no float."""
    levels = [0.0, 3.0, 1000.0, -1000.0]
    rng.shuffle(levels)
    return ([[level + number for number in row] for level, row in zip(levels, numbers(rng, 4, 5), strict=True)],)


def softmax_unnormalised(scores: Matrix) -> Matrix:
    return [[exp(number - max(row)) for number in row] for row in scores]


def softmax_down_the_columns(scores: Matrix) -> Matrix:
    return transpose(softmax(transpose(scores)))


def softmax_of_everything(scores: Matrix) -> Matrix:
    everything = softmax([[number for row in scores for number in row]])[0]
    width = len(scores[0])
    return [everything[i : i + width] for i in range(0, len(everything), width)]


def softmax_base_two(scores: Matrix) -> Matrix:
    powers = [[2.0 ** (number - max(row)) for number in row] for row in scores]
    return [[number / sum(row) for number in row] for row in powers]


def shares_of_scores(scores: Matrix) -> Matrix:
    return [[number / sum(row) for number in row] for row in scores]


# head: q, k, v -> softmax(Q Kᵀ / √D + mask) V


def draw_head(rng: random.Random) -> tuple[Matrix, Matrix, Matrix]:
    """q, k, v, T×D, with scores large enough that every slip shows."""
    return numbers(rng, 6, 4, 1.5), numbers(rng, 6, 4, 1.5), numbers(rng, 6, 4)


def head(q: Matrix, k: Matrix, v: Matrix) -> Matrix:
    return weighted_values(softmax(causal_mask(scaled_scores(q, k))), v)


def head_unscaled(q: Matrix, k: Matrix, v: Matrix) -> Matrix:
    return weighted_values(softmax(causal_mask(matmul(q, transpose(k)))), v)


def head_without_mask(q: Matrix, k: Matrix, v: Matrix) -> Matrix:
    return weighted_values(softmax(scaled_scores(q, k)), v)


def head_masked_late(q: Matrix, k: Matrix, v: Matrix) -> Matrix:
    weights = softmax(scaled_scores(q, k))
    kept = [[p if s <= t else 0.0 for s, p in enumerate(row)] for t, row in enumerate(weights)]
    return weighted_values(kept, v)


def head_masked_with_zero(q: Matrix, k: Matrix, v: Matrix) -> Matrix:
    scores = scaled_scores(q, k)
    filled = [[number if s <= t else 0.0 for s, number in enumerate(row)] for t, row in enumerate(scores)]
    return weighted_values(softmax(filled), v)


def head_reads_the_future(q: Matrix, k: Matrix, v: Matrix) -> Matrix:
    masked = causal_mask([row[::-1] for row in scaled_scores(q, k)[::-1]])  # the mask, turned by half a turn
    return weighted_values(softmax([row[::-1] for row in masked[::-1]]), v)


def head_pattern_transposed(q: Matrix, k: Matrix, v: Matrix) -> Matrix:
    return weighted_values(transpose(softmax(causal_mask(scaled_scores(q, k)))), v)


exercises: list[Exercise] = [
    Exercise(
        id="gradients.attention.scores",
        difficulty=1,
        minutes=8,
        reference=scaled_scores,
        draw=draw_queries_and_keys,
        tolerance=1e-9,
        hints=[
            "S_ts = Σ_d Q_td K_sd / √D: row t of q times row s of k, number by number, added up.",
        ],
        mistakes=[
            Mistake(
                "The scores are not divided by √D: their spread grows with the width of the head.",
                lambda q, k: matmul(q, transpose(k)),
            ),
            Mistake("The scores are divided by D, not by √D.", scores_by_width),
            Mistake(
                "The scores are divided by the square root of the number of positions; it is the D terms of the dot "
                "product that make it large.",
                scores_by_length,
            ),
            Mistake(
                "Rows and columns are exchanged: row t must hold the scores of query t.",
                lambda q, k: scaled_scores(k, q),
            ),
            Mistake(
                "This is a distance between query and key; the score is their dot product.",
                scores_as_distances,
            ),
        ],
    ),
    Exercise(
        id="gradients.attention.softmax",
        difficulty=2,
        minutes=10,
        reference=softmax,
        draw=draw_rows,
        tolerance=1e-9,
        hints=[
            "Each row by itself: exponentials first, then divide by their sum.",
            "Some scores here are near 1000, and math.exp(1000) raises. Others are near −1000, where every exponential "
            "is 0. What may you subtract from a whole row without changing the result?",
        ],
        mistakes=[
            Mistake("The exponentials are not divided by their sum: each row must add up to 1.", softmax_unnormalised),
            Mistake(
                "The softmax runs down the columns: a row is one query's weights, and it must add up to 1.",
                softmax_down_the_columns,
            ),
            Mistake(
                "All scores share one sum: each row is a softmax of its own.",
                softmax_of_everything,
            ),
            Mistake("The base is 2; the softmax uses e.", softmax_base_two),
            Mistake(
                "The scores are divided by their sum, without exponentials: such weights can be negative.",
                shares_of_scores,
            ),
        ],
    ),
    Exercise(
        id="gradients.attention.head",
        difficulty=2,
        minutes=12,
        reference=head,
        draw=draw_head,
        tolerance=1e-9,
        hints=[
            "Four steps: scores, mask, softmax, weighted values. Each is one function or one line.",
            "Position t may read s ≤ t. Before the softmax, what must the score of every other key become?",
        ],
        mistakes=[
            Mistake("The scores are not divided by √D.", head_unscaled),
            Mistake("There is no mask: every position reads the future.", head_without_mask),
            Mistake(
                "The mask comes after the softmax: the future is still in the sum that each row was divided by.",
                head_masked_late,
            ),
            Mistake(
                "The future's scores become 0, not −∞: e⁰ is 1, so the future still gets weight.",
                head_masked_with_zero,
            ),
            Mistake(
                "The mask is turned round: it hides the past and shows the future.",
                head_reads_the_future,
            ),
            Mistake(
                "The pattern is transposed before it meets the values: row t weighs what position t reads.",
                head_pattern_transposed,
            ),
        ],
    ),
]
