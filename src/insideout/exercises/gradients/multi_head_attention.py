"""Exercises on several heads by hand: the split, the part that each head writes, the whole attention.

Practised in book/1-understanding-gradients/04_multi_head_attention.md; the module is insideout/gradients/attention.py.
Standard library only. Source: Vaswani et al. 2017, §3.2.2. Shapes: T positions, C width, H heads, D = C / H.
"""

import random
from collections.abc import Callable

from insideout.exercises.catalogue import Exercise
from insideout.exercises.drawing import matrix
from insideout.gradients import (
    Matrix,
    add,
    causal_mask,
    matmul,
    merge_heads,
    scale,
    scaled_scores,
    softmax,
    split_heads,
    transpose,
    weighted_values,
)


def in_rows_of(width: int, flat: list[float]) -> Matrix:
    """The numbers, in the order they come, cut into rows."""
    return [flat[i : i + width] for i in range(0, len(flat), width)]


def flattened(x: Matrix) -> list[float]:
    return [number for row in x for number in row]


def dealt_out(x: Matrix, n_heads: int) -> list[Matrix]:
    """Column i goes to head i mod H."""
    return [[row[h::n_heads] for row in x] for h in range(n_heads)]


def reshaped(x: Matrix, n_heads: int) -> list[Matrix]:
    """Cut in the order in which the numbers lie."""
    rows = in_rows_of(len(x[0]) // n_heads, flattened(x))
    return [rows[h * len(x) : (h + 1) * len(x)] for h in range(n_heads)]


# split: x, n_heads -> H matrices of T×D


def draw_split(rng: random.Random, T: int, H: int, D: int) -> tuple[Matrix, int]:
    return matrix(rng, T, H * D), H


def in_widths(x: Matrix, n_heads: int, width: int) -> list[Matrix]:
    return [[row[h * width : (h + 1) * width] for row in x] for h in range(n_heads)]


split = Exercise(
    "gradients.multi_head_attention.split", stars=1, minutes=8, reference=split_heads, draw=draw_split, section="Split",
)  # fmt: skip
split.mistake(
    "The numbers are cut in the order they lie in memory: a head then holds some positions in pieces, and others not "
    "at all.",
    reshaped,
)
split.mistake("The columns are dealt out in turn; a head takes D neighbouring columns.", dealt_out)
split.mistake(
    "The rows are cut: each head must keep every position, and a part of the columns.",
    lambda x, n_heads: [x[h * (len(x) // n_heads) : (h + 1) * (len(x) // n_heads)] for h in range(n_heads)],
)
split.mistake(
    "H and D are exchanged: these are C / H heads of width H.",
    lambda x, n_heads: split_heads(x, len(x[0]) // n_heads),
)
split.mistake(
    "The positions stand outside and the heads inside: a list of heads is expected, each with all positions.",
    lambda x, n_heads: [in_rows_of(len(row) // n_heads, row) for row in x],
)
split.mistake(
    "The width of a head is taken from the number of positions: it is D = C / H, and C is len(x[0]).",
    lambda x, n_heads: in_widths(x, n_heads, len(x) // n_heads),
)
split.mistake(
    "Every head takes the first D columns: head h begins at column h · D.",
    lambda x, n_heads: [split_heads(x, n_heads)[0]] * n_heads,
)
split.mistake(
    "Head h begins at column h: it begins at h · D.",
    lambda x, n_heads: [[row[h : h + len(x[0]) // n_heads] for row in x] for h in range(n_heads)],
)
split.mistake(
    "The heads are H columns wide: they are D = C / H wide, and there are H of them.",
    lambda x, n_heads: in_widths(x, n_heads, n_heads),
)
split.mistake(
    "Each head has one column too many: a slice stops before its end.",
    lambda x, n_heads: [
        [row[h * (len(row) // n_heads) : (h + 1) * (len(row) // n_heads) + 1] for row in x] for h in range(n_heads)
    ],
)
split.mistake(
    "Each head goes on to the last column: head h ends before column (h + 1) · D.",
    lambda x, n_heads: [[row[h * (len(row) // n_heads) :] for row in x] for h in range(n_heads)],
)
split.mistake(
    "Each head lies on its side: a row for each position, a column for each of its numbers.",
    lambda x, n_heads: [transpose(each) for each in split_heads(x, n_heads)],
)
split.mistake(
    "The last column of each head is missing: a slice stops before its end by itself.",
    lambda x, n_heads: [[row[:-1] for row in each] for each in split_heads(x, n_heads)],
)
split.mistake(
    "Every head has all columns: it has D of its own.", lambda x, n_heads: [[list(row) for row in x]] * n_heads
)

# parts: z (H of T×D), W_O C×C -> what each head adds to the output, H of T×C


def draw_parts(rng: random.Random, T: int, H: int, D: int) -> tuple[list[Matrix], Matrix]:
    return [matrix(rng, T, D) for _ in range(H)], matrix(rng, H * D, H * D)


def what_each_writes(z: list[Matrix], w: Matrix) -> list[Matrix]:
    d = len(z[0][0])
    return [matmul(head, w[h * d : (h + 1) * d]) for h, head in enumerate(z)]


parts = Exercise(
    "gradients.multi_head_attention.parts", stars=2, minutes=10, reference=what_each_writes, draw=draw_parts,
    section="The output projection",
)  # fmt: skip
parts.mistake(
    "Every head uses the first D rows of W_O; head h has rows of its own.",
    lambda z, w: [matmul(head, w[: len(head[0])]) for head in z],
)
parts.mistake(
    "W_O is cut by columns: a head reads D rows of W_O, and writes into all of its columns.",
    lambda z, w: what_each_writes(z, transpose(w)),
)
parts.mistake(
    "W_O is cut by columns, and each head writes into D of them only.",
    lambda z, w: [
        matmul(merge_heads(z), [row[h * len(z[0][0]) : (h + 1) * len(z[0][0])] for row in w]) for h in range(len(z))
    ],
)
parts.mistake(
    "The rows of W_O are dealt out in turn; head h meets D neighbouring rows.",
    lambda z, w: [matmul(head, w[h :: len(z)]) for h, head in enumerate(z)],
)
parts.mistake(
    "The parts are divided by the number of heads; they add up.",
    lambda z, w: [scale(part, 1.0 / len(z)) for part in what_each_writes(z, w)],
)
parts.mistake(
    "The parts are added up: the list of what each head adds is asked for.", lambda z, w: matmul(merge_heads(z), w)
)
parts.mistake(
    "Head h begins at row h of W_O: it begins at h · D.",
    lambda z, w: [matmul(head, w[h : h + len(head[0])]) for h, head in enumerate(z)],
)
parts.mistake(
    "Every head is given the whole output: each adds its own part.",
    lambda z, w: [matmul(merge_heads(z), w)] * len(z),
)
parts.mistake(
    "Head h uses the rows of the next head: it begins at row h · D.",
    lambda z, w: what_each_writes([*z[-1:], *z[:-1]], w)[1:] + what_each_writes([*z[-1:], *z[:-1]], w)[:1],
)
parts.mistake(
    "Every head uses the first D columns of W_O, turned round: it uses D rows, those from h · D.",
    lambda z, w: [matmul(head, transpose([row[: len(head[0])] for row in w])) for head in z],
)
parts.mistake(
    "Each head writes into the first D columns only: it writes into all C.",
    lambda z, w: [[row[: len(z[0][0])] for row in part] for part in what_each_writes(z, w)],
)
parts.mistake(
    "The heads meet the rows of W_O in reverse order.",
    lambda z, w: what_each_writes(z[::-1], w)[::-1],
)
parts.mistake(
    "A square block of W_O is used: a head writes into all C columns, not into D of them.",
    lambda z, w: [
        [row[h * len(z[0][0]) : (h + 1) * len(z[0][0])] for row in part]
        for h, part in enumerate(what_each_writes(z, w))
    ],
)

# attention: q, k, v (T×C), W_O, n_heads -> T×C


def draw_attention(rng: random.Random, T: int, H: int, D: int) -> tuple[Matrix, Matrix, Matrix, Matrix, int]:
    c = H * D
    return matrix(rng, T, c, 1.5), matrix(rng, T, c, 1.5), matrix(rng, T, c), matrix(rng, c, c), H


Head = Callable[[Matrix, Matrix, Matrix], Matrix]


def one_head(q: Matrix, k: Matrix, v: Matrix) -> Matrix:
    return weighted_values(softmax(causal_mask(scaled_scores(q, k))), v)


def with_factor(factor: float) -> Head:
    """A head whose scores are multiplied once more."""
    return lambda q, k, v: one_head(scale(q, factor), k, v)


def heads_of(q: Matrix, k: Matrix, v: Matrix, n_heads: int, head: Head = one_head) -> list[Matrix]:
    return [head(*three) for three in zip(*(split_heads(x, n_heads) for x in (q, k, v)), strict=True)]


def all_of_it(q: Matrix, k: Matrix, v: Matrix, w: Matrix, n_heads: int, head: Head = one_head) -> Matrix:
    return matmul(merge_heads(heads_of(q, k, v, n_heads, head)), w)


def split_by(cut: Callable[[Matrix, int], list[Matrix]]) -> Callable[..., Matrix]:
    """Attention with another way to split."""
    return lambda q, k, v, w, n_heads: matmul(
        merge_heads([one_head(*three) for three in zip(*(cut(x, n_heads) for x in (q, k, v)), strict=True)]), w
    )


def total(heads: list[Matrix]) -> Matrix:
    result = heads[0]
    for each in heads[1:]:
        result = add(result, each)
    return result


attention = Exercise(
    "gradients.multi_head_attention.attention", stars=2, minutes=15, reference=all_of_it, draw=draw_attention,
    section="The same four steps, in each head",
)  # fmt: skip
attention.mistake(
    "The scores are divided by √C, the width of the model: each head divides by the root of its own width.",
    lambda q, k, v, w, n_heads: all_of_it(q, k, v, w, n_heads, with_factor(n_heads**-0.5)),
)
attention.mistake(
    "The scores are not divided by √D.",
    lambda q, k, v, w, n_heads: all_of_it(q, k, v, w, n_heads, with_factor((len(w) / n_heads) ** 0.5)),
)
attention.mistake(
    "The scores are divided by √H: it is √D, the width of a head.",
    lambda q, k, v, w, n_heads: all_of_it(q, k, v, w, n_heads, with_factor((len(w) / n_heads / n_heads) ** 0.5)),
)
attention.mistake(
    "There is no mask: every position reads the future.",
    lambda q, k, v, w, n_heads: all_of_it(
        q, k, v, w, n_heads, lambda a, b, c: weighted_values(softmax(scaled_scores(a, b)), c)
    ),
)
attention.mistake(
    "The output projection is missing: what the heads read goes through W_O.",
    lambda q, k, v, w, n_heads: merge_heads(heads_of(q, k, v, n_heads)),
)
attention.mistake(
    "W_O is transposed: it is inputs × outputs.",
    lambda q, k, v, w, n_heads: all_of_it(q, k, v, transpose(w), n_heads),
)
attention.mistake(
    "The heads are laid end to end and cut into rows: lay them side by side, position by position.",
    lambda q, k, v, w, n_heads: matmul(
        in_rows_of(len(w), [number for each in heads_of(q, k, v, n_heads) for number in flattened(each)]), w
    ),
)
attention.mistake(
    "All heads share the first one's pattern: each has queries and keys of its own.",
    lambda q, k, v, w, n_heads: matmul(
        merge_heads([
            one_head(split_heads(q, n_heads)[0], split_heads(k, n_heads)[0], each) for each in split_heads(v, n_heads)
        ]), w,
    ),
)  # fmt: skip
attention.mistake(
    "There is one head over all columns: split q, k and v first.",
    lambda q, k, v, w, n_heads: matmul(one_head(q, k, v), w),
)
attention.mistake(
    "The columns are dealt out to the heads in turn: a head takes D neighbouring columns.", split_by(dealt_out)
)
attention.mistake(
    "H and D are exchanged: n_heads heads of width C / n_heads.",
    lambda q, k, v, w, n_heads: all_of_it(q, k, v, w, len(w) // n_heads),
)
attention.mistake(
    "The numbers are cut in the order they lie in memory, not by columns.",
    split_by(reshaped),
)
attention.mistake(
    "The heads are added up: they are laid side by side.",
    lambda q, k, v, w, n_heads: matmul(total(heads_of(q, k, v, n_heads)), w[: len(w) // n_heads]),
)
attention.mistake(
    "The heads are laid side by side in reverse order.",
    lambda q, k, v, w, n_heads: matmul(merge_heads(heads_of(q, k, v, n_heads)[::-1]), w),
)
attention.mistake("Queries and keys are exchanged.", lambda q, k, v, w, n_heads: all_of_it(k, q, v, w, n_heads))
attention.mistake(
    "The softmax runs down the columns.",
    lambda q, k, v, w, n_heads: all_of_it(
        q, k, v, w, n_heads,
        lambda a, b, c: weighted_values(transpose(softmax(transpose(causal_mask(scaled_scores(a, b))))), c),
    ),
)  # fmt: skip
attention.mistake(
    "W_O is applied to the values before they are read: merge what the heads read, then project.",
    lambda q, k, v, w, n_heads: merge_heads(heads_of(q, k, matmul(v, w), n_heads)),
)
