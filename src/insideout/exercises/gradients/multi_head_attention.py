"""Exercises on several heads by hand: the split, the part that each head writes, the whole attention.

Practised in book/1-understanding-gradients/04_multi_head_attention.md; the module is insideout/gradients/attention.py.
Standard library only. Source: Vaswani et al. 2017, §3.2.2. Shapes: T positions, C width, H heads, D = C / H.
"""

import random

from insideout.exercises.catalogue import Exercise, Mistake
from insideout.gradients import (
    Matrix,
    causal_mask,
    linear,
    matmul,
    merge_heads,
    scale,
    scaled_scores,
    softmax,
    split_heads,
    transpose,
    weighted_values,
)


def numbers(rng: random.Random, rows: int, columns: int, deviation: float = 1.0) -> Matrix:
    """Normal numbers."""
    return [[rng.gauss(0.0, deviation) for _ in range(columns)] for _ in range(rows)]


def in_rows_of(width: int, flat: list[float]) -> Matrix:
    """The numbers, in the order they come, cut into rows."""
    return [flat[i : i + width] for i in range(0, len(flat), width)]


def flattened(x: Matrix) -> list[float]:
    return [number for row in x for number in row]


# split: x, n_heads -> H matrices of T×D


def draw_split(rng: random.Random) -> tuple[Matrix, int]:
    """x T×C and H. T is a multiple of H and of D, so that wrong cuts fit as well."""
    return numbers(rng, 6, 6), rng.choice([2, 3])


def split_by_reshaping(x: Matrix, n_heads: int) -> list[Matrix]:
    rows = in_rows_of(len(x[0]) // n_heads, flattened(x))
    return [rows[h * len(x) : (h + 1) * len(x)] for h in range(n_heads)]


def split_alternating(x: Matrix, n_heads: int) -> list[Matrix]:
    return [[row[h::n_heads] for row in x] for h in range(n_heads)]


def split_rows(x: Matrix, n_heads: int) -> list[Matrix]:
    height = len(x) // n_heads
    return [[list(row) for row in x[h * height : (h + 1) * height]] for h in range(n_heads)]


def split_into_pieces_of_n_heads(x: Matrix, n_heads: int) -> list[Matrix]:
    return split_heads(x, len(x[0]) // n_heads)


# parts: z (H of T×D), W_O C×C -> what each head adds to the output, H of T×C


def draw_parts(rng: random.Random) -> tuple[list[Matrix], Matrix]:
    """H heads of T×D and the output projection C×C."""
    n_heads = rng.choice([2, 3])
    return [numbers(rng, 5, 2) for _ in range(n_heads)], numbers(rng, 2 * n_heads, 2 * n_heads)


def parts(z: list[Matrix], w: Matrix) -> list[Matrix]:
    d = len(z[0][0])
    return [matmul(head, w[h * d : (h + 1) * d]) for h, head in enumerate(z)]


def parts_same_rows(z: list[Matrix], w: Matrix) -> list[Matrix]:
    return [matmul(head, w[: len(head[0])]) for head in z]


def parts_by_columns(z: list[Matrix], w: Matrix) -> list[Matrix]:
    return parts(z, transpose(w))


def parts_alternating(z: list[Matrix], w: Matrix) -> list[Matrix]:
    return [matmul(head, w[h :: len(z)]) for h, head in enumerate(z)]


def parts_averaged(z: list[Matrix], w: Matrix) -> list[Matrix]:
    return [scale(part, 1.0 / len(z)) for part in parts(z, w)]


# attention: q, k, v (T×C), W_O, n_heads -> T×C


def draw_attention(rng: random.Random) -> tuple[Matrix, Matrix, Matrix, Matrix, int]:
    """q, k, v T×C, the output projection C×C, and H."""
    return (
        numbers(rng, 5, 6, 1.5),
        numbers(rng, 5, 6, 1.5),
        numbers(rng, 5, 6),
        numbers(rng, 6, 6),
        rng.choice([2, 3]),
    )


def one_head(q: Matrix, k: Matrix, v: Matrix, factor: float = 1.0) -> Matrix:
    return weighted_values(softmax(causal_mask(scale(scaled_scores(q, k), factor))), v)


def heads_of(q: Matrix, k: Matrix, v: Matrix, n_heads: int, factor: float = 1.0) -> list[Matrix]:
    split = zip(*(split_heads(x, n_heads) for x in (q, k, v)), strict=True)
    return [one_head(a, b, c, factor) for a, b, c in split]


def attention(q: Matrix, k: Matrix, v: Matrix, w: Matrix, n_heads: int) -> Matrix:
    return linear(merge_heads(heads_of(q, k, v, n_heads)), w)


def attention_scaled_by_model(q: Matrix, k: Matrix, v: Matrix, w: Matrix, n_heads: int) -> Matrix:
    return linear(merge_heads(heads_of(q, k, v, n_heads, n_heads**-0.5)), w)  # √(C / H) · √H = √C


def attention_merged_by_reshaping(q: Matrix, k: Matrix, v: Matrix, w: Matrix, n_heads: int) -> Matrix:
    end_to_end = [number for head in heads_of(q, k, v, n_heads) for number in flattened(head)]
    return linear(in_rows_of(len(w), end_to_end), w)


def attention_shared_pattern(q: Matrix, k: Matrix, v: Matrix, w: Matrix, n_heads: int) -> Matrix:
    first_q, first_k = split_heads(q, n_heads)[0], split_heads(k, n_heads)[0]
    return linear(merge_heads([one_head(first_q, first_k, each) for each in split_heads(v, n_heads)]), w)


exercises: list[Exercise] = [
    Exercise(
        id="gradients.multi_head_attention.split",
        difficulty=1,
        minutes=8,
        reference=split_heads,
        draw=draw_split,
        tolerance=1e-9,
        hints=[
            "Every head keeps all positions, and takes some of the columns.",
            "Head h takes the columns from h·D up to, but not including, (h + 1)·D, where D = C / H.",
        ],
        mistakes=[
            Mistake(
                "The numbers are cut in the order they lie in memory: a head then holds some positions in pieces, "
                "and others not at all.",
                split_by_reshaping,
            ),
            Mistake(
                "The columns are dealt out in turn; a head takes D neighbouring columns.",
                split_alternating,
            ),
            Mistake(
                "The rows are cut: each head must keep every position, and a part of the columns.",
                split_rows,
            ),
            Mistake(
                "H and D are exchanged: these are C / H heads of width H.",
                split_into_pieces_of_n_heads,
            ),
        ],
    ),
    Exercise(
        id="gradients.multi_head_attention.parts",
        difficulty=2,
        minutes=10,
        reference=parts,
        draw=draw_parts,
        tolerance=1e-9,
        hints=[
            "Column i of the merged matrix meets row i of W_O. Which columns came from head h?",
            "Head h has D columns, so it meets D rows of W_O, and writes into all C columns.",
        ],
        mistakes=[
            Mistake("Every head uses the first D rows of W_O; head h has rows of its own.", parts_same_rows),
            Mistake(
                "W_O is cut by columns: a head reads D rows of W_O, and writes into all of its columns.",
                parts_by_columns,
            ),
            Mistake(
                "The rows of W_O are dealt out in turn; head h meets D neighbouring rows.",
                parts_alternating,
            ),
            Mistake("The parts are divided by the number of heads; they add up.", parts_averaged),
        ],
    ),
    Exercise(
        id="gradients.multi_head_attention.attention",
        difficulty=2,
        minutes=15,
        reference=attention,
        draw=draw_attention,
        tolerance=1e-9,
        hints=[
            "Split q, k and v; run one causal head on each triple; merge; project.",
            "The scores of a head are divided by the root of its own width, D = C / H.",
        ],
        mistakes=[
            Mistake(
                "This is one head of width C: q, k and v were not split.",
                lambda q, k, v, w, n_heads: attention(q, k, v, w, 1),
            ),
            Mistake(
                "The scores are divided by √C; a head's dot product has D terms, so by √D.",
                attention_scaled_by_model,
            ),
            Mistake(
                "The output projection is missing.",
                lambda q, k, v, w, n_heads: merge_heads(heads_of(q, k, v, n_heads)),
            ),
            Mistake(
                "The output projection is transposed.",
                lambda q, k, v, w, n_heads: attention(q, k, v, transpose(w), n_heads),
            ),
            Mistake(
                "The heads are laid end to end and cut into rows of C: rows of different positions come to stand side "
                "by side. Merging puts the heads side by side, position by position.",
                attention_merged_by_reshaping,
            ),
            Mistake(
                "All heads use the pattern of head 0; each has its own queries and keys.",
                attention_shared_pattern,
            ),
        ],
    ),
]
