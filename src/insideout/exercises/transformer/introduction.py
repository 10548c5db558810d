"""Exercises on the size of a GPT: grouped attention, the whole count, the widest model that fits a budget.

Practised in book/2-building-a-transformer/00_introduction.md; the module is insideout/transformer/config.py.
Sources: Radford et al. 2019 (GPT-2); Ainslie et al. 2023 (grouped queries).
"""

import random
from collections.abc import Callable
from math import isqrt

from insideout.exercises.catalogue import Exercise
from insideout.exercises.drawing import distinct


def linear(n_in: int, n_out: int) -> int:
    """A matrix and its bias."""
    return n_in * n_out + n_out


# attention: d_model, n_heads, n_kv_heads, d_head -> the numbers in the four matrices


def draw_attention(rng: random.Random) -> tuple[int, int, int, int]:
    """Fewer key-value heads than heads, and heads that together are not as wide as the model."""
    n_kv_heads, group, d_head, d_model = distinct(rng, 4, 2, 60)
    return d_model, n_kv_heads * group, n_kv_heads, d_head


def matrices(d_model: int, n_heads: int, n_kv_heads: int, d_head: int) -> int:
    return d_model * (2 * n_heads + 2 * n_kv_heads) * d_head


attention = Exercise(
    "transformer.introduction.attention", stars=1, minutes=5, reference=matrices, draw=draw_attention, tolerance=0,
    edges=[(24, 6, 6, 4), (24, 6, 1, 4), (7, 1, 1, 3)], section="Counting, part by part",
)  # fmt: skip
attention.mistake(
    "Every head is given keys and values of its own: they are n_kv_heads, shared by the n_heads queries.",
    lambda c, h, g, d: matrices(c, h, h, d),
)
attention.mistake(
    "Queries and outputs come in n_heads, not in n_kv_heads: only keys and values are shared.",
    lambda c, h, g, d: matrices(c, g, g, d),
)
attention.mistake(
    "Of keys and values, one is counted with n_heads: both have n_kv_heads.",
    lambda c, h, g, d: c * d * (2 * h + g + h),
)
attention.mistake(
    "Each matrix is counted as d_model by d_model: here the heads together need not be as wide as the model.",
    lambda c, h, g, d: 4 * c * c,
)
attention.mistake(
    "Queries and output are counted as d_model by d_model: the heads together need not be as wide as the model.",
    lambda c, h, g, d: 2 * c * c + 2 * c * g * d,
)
attention.mistake(
    "The output matrix is missing: what the heads found is brought back to d_model.",
    lambda c, h, g, d: c * (h + 2 * g) * d,
)
attention.mistake(
    "The output matrix is counted as n_heads by d_model: each head brings d_head numbers.",
    lambda c, h, g, d: c * (h + 2 * g) * d + h * c,
)
attention.mistake("Keys and values are two matrices, not one.", lambda c, h, g, d: c * (2 * h + g) * d)
attention.mistake(
    "The output matrix is counted as d_model by d_model: it turns n_heads times d_head numbers into d_model.",
    lambda c, h, g, d: c * (h + 2 * g) * d + c * c,
)
attention.mistake(
    "The output matrix is counted with n_kv_heads: every query head brings its own result.",
    lambda c, h, g, d: c * (h + 3 * g) * d,
)
attention.mistake(
    "The numbers are counted for one head of queries and one of keys and values: multiply by how many there are.",
    lambda c, h, g, d: 4 * c * d,
)
attention.mistake(
    "d_head is taken to be d_model / n_heads: it is given, and may be another.",
    lambda c, h, g, d: matrices(c, h, g, c // h),
)
attention.mistake(
    "Biases are counted too: there are none.",
    lambda c, h, g, d: matrices(c, h, g, d) + (h + 2 * g) * d + c,
)

# parameters: vocab_size, context_length, d_model, n_layers, d_ff -> the numbers that a GPT-2 learns

Sizes = tuple[int, int, int, int, int]


def draw_sizes(rng: random.Random) -> Sizes:
    vocab_size, context_length, d_model, n_layers, d_ff = distinct(rng, 5, 2, 80)
    return vocab_size, context_length, d_model, n_layers, d_ff


def count(vocab_size: int, context_length: int, d_model: int, n_layers: int, d_ff: int) -> int:
    norm = 2 * d_model
    read_and_write = 3 * linear(d_model, d_model) + linear(d_model, d_model)
    feed_forward = linear(d_model, d_ff) + linear(d_ff, d_model)
    return (vocab_size + context_length) * d_model + n_layers * (2 * norm + read_and_write + feed_forward) + norm


parameters = Exercise(
    "transformer.introduction.parameters", stars=2, minutes=10, reference=count, draw=draw_sizes, tolerance=0,
    edges=[(50257, 1024, 768, 12, 3072), (7, 5, 1, 1, 1), (7, 5, 3, 0, 4)], section="Counting, part by part",
)  # fmt: skip
for diagnosis, change in (
    ("The head is counted as a matrix of its own: it is tied, the token table used once more.",
     lambda v, t, c, n, f: v * c),
    ("A bias of the head is counted: it has none.", lambda v, t, c, n, f: v),
    ("The positions are missing: each has a row of d_model learned numbers.", lambda v, t, c, n, f: -t * c),
    ("The token table is missing.", lambda v, t, c, n, f: -v * c),
    ("In each block 4 · d_model numbers are missing: attention's biases, or the two norms, gains and biases.",
     lambda v, t, c, n, f: -n * 4 * c),
    ("The bias of attention's output is missing.", lambda v, t, c, n, f: -n * c),
    ("The biases of the feed-forward layer are missing: d_ff on the way up, d_model on the way down.",
     lambda v, t, c, n, f: -n * (f + c)),
    ("The feed-forward layer's bias on the way up is missing: d_ff numbers.", lambda v, t, c, n, f: -n * f),
    ("The feed-forward layer's two biases are counted as d_ff each: the second has d_model.",
     lambda v, t, c, n, f: n * (f - c)),
    ("The feed-forward layer's two biases are counted as d_model each: the first has d_ff.",
     lambda v, t, c, n, f: n * (c - f)),
    ("No bias of a linear layer is counted: in a GPT-2 every one has them.",
     lambda v, t, c, n, f: -n * (5 * c + f)),
    ("Neither biases nor norms are counted: in a GPT-2 every linear map and every norm has biases.",
     lambda v, t, c, n, f: -n * (9 * c + f) - 2 * c),
    ("The norms have gains but no biases: a LayerNorm learns both.", lambda v, t, c, n, f: -(2 * n + 1) * c),
    ("No norm is counted: there are two in each block and one behind them.",
     lambda v, t, c, n, f: -(2 * n + 1) * 2 * c),
    ("Only one norm is counted in each block: attention and the feed-forward layer have one each.",
     lambda v, t, c, n, f: -n * 2 * c),
    ("The norm after the last block is counted in each block: there is one.",
     lambda v, t, c, n, f: (n - 1) * 2 * c),
    ("The output matrix of attention is missing: there are four matrices.", lambda v, t, c, n, f: -n * (c * c + c)),
    ("Attention's output matrix is missing, and its bias is there.", lambda v, t, c, n, f: -n * c * c),
    ("A third matrix is counted in the feed-forward layer: that is a gated one, and GPT-2's is not.",
     lambda v, t, c, n, f: n * c * f),
    ("Only one matrix of the feed-forward layer is counted: one leads up, one down.", lambda v, t, c, n, f: -n * c * f),
):  # fmt: skip
    parameters.mistake(diagnosis, lambda *sizes, change=change: count(*sizes) + change(*sizes))
parameters.mistake("The norm after the last block is missing.", lambda v, t, c, n, f: count(v, t, c, n, f) - 2 * c)
parameters.mistake(
    "Only one block is counted: everything in a block stands there n_layers times.",
    lambda v, t, c, n, f: count(v, t, c, 1, f),
)
parameters.mistake(
    "Everything is multiplied by n_layers: tables and the last norm stand there once.",
    lambda v, t, c, n, f: n * count(v, t, c, 1, f),
)
parameters.mistake("d_ff is taken to be 4 · d_model: it is given.", lambda v, t, c, n, f: count(v, t, c, n, 4 * c))

# width: vocab_size, n_layers, budget -> the largest d_model with V C + 12 L C² <= budget


def draw_budget(rng: random.Random) -> tuple[int, int, int]:
    """A budget that a width fits closely, now and then exactly, so that one more is too much."""
    vocab_size, n_layers, width = rng.randint(500, 60_000), rng.randint(2, 40), rng.randint(32, 2048)
    return vocab_size, n_layers, taken(vocab_size, n_layers, width) + rng.choice((0, rng.randint(0, vocab_size)))


def taken(vocab_size: int, n_layers: int, width: int) -> int:
    return vocab_size * width + 12 * n_layers * width**2


def solve(linear_part: int, square_part: int, budget: int) -> int:
    """The largest whole C with linear_part · C + square_part · C² <= budget."""
    return (isqrt(linear_part**2 + 4 * square_part * budget) - linear_part) // (2 * square_part)


def widest(vocab_size: int, n_layers: int, budget: int) -> int:
    return solve(vocab_size, 12 * n_layers, budget)


def by(linear_part: int, square_part: int) -> Callable[[int, int, int], int]:
    """The width when the table counts `linear_part` times and a block has `square_part` C² numbers."""
    return lambda v, n, budget: solve(linear_part * v, square_part * n, budget)


def fitting_multiple(multiple: int) -> Callable[[int, int, int], int]:
    return lambda v, n, budget: widest(v, n, budget) // multiple * multiple


width = Exercise(
    "transformer.introduction.width", stars=3, minutes=15, reference=widest, draw=draw_budget, tolerance=0,
    edges=[
        (50_257, 12, taken(50_257, 12, 768)), (50_257, 12, taken(50_257, 12, 768) - 1), (7, 2, 31), (7, 1, 7 * 2 + 48),
    ],
    section="A rule of thumb, and where it ends",
)  # fmt: skip
width.mistake(
    "This width is one too many: its count exceeds the budget. Round down.",
    lambda v, n, budget: widest(v, n, budget) + 1,
)
width.mistake(
    "One more would still fit: the search stops one too early.", lambda v, n, budget: widest(v, n, budget) - 1
)
width.mistake(
    "A width that takes the budget exactly is refused: it fits. Ask `<=`, not `<`.",
    lambda v, n, budget: widest(v, n, budget - 1),
)
width.mistake("The token table is missing: it too costs numbers.", by(0, 12))
width.mistake("The token table is counted twice: head and table are one matrix.", by(2, 12))
width.mistake("Only attention is counted: the feed-forward layer has another 8 d_model² in each block.", by(1, 4))
width.mistake("Only the feed-forward layer is counted: attention has another 4 d_model² in each block.", by(1, 8))
width.mistake("A gated layer is counted, with three matrices of 4 d_model²: the blocks are plain.", by(1, 16))
width.mistake("Only one block is counted: there are n_layers of them.", lambda v, n, budget: solve(v, 12, budget))
width.mistake(
    "The result is a fraction: a width is a whole number, rounded down.",
    lambda v, n, budget: ((v * v + 48 * n * budget) ** 0.5 - v) / (24 * n),
)
width.mistake(
    "The result is rounded to the nearest whole number, and may be too large: round down.",
    lambda v, n, budget: round(((v * v + 48 * n * budget) ** 0.5 - v) / (24 * n)),
)
width.mistake(
    "The other root is taken: the width is the positive one, −V + √….",
    lambda v, n, budget: (isqrt(v**2 + 48 * n * budget) + v) // (24 * n),
)
width.mistake(
    "The quotient lacks its 2: the root of a C² + b C = budget is (−b + √(b² + 4 a budget)) / 2a.",
    lambda v, n, budget: (isqrt(v**2 + 48 * n * budget) - v) // (12 * n),
)
width.mistake(
    "The root lacks the 4 of 4 a budget: the root of a C² + b C = budget is (−b + √(b² + 4 a budget)) / 2a.",
    lambda v, n, budget: (isqrt(v**2 + 12 * n * budget) - v) // (24 * n),
)
for multiple in (64, 16, 8, 2):
    width.mistake(f"Only multiples of {multiple} are tried: any whole width may be.", fitting_multiple(multiple))
