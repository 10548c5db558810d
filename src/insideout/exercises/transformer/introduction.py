"""Exercises on the size of a GPT: grouped attention, the whole count, the widest model that fits a budget.

Practised in book/2-building-a-transformer/00_introduction.md; the module is insideout/transformer/config.py.
Sources: Radford et al. 2019 (GPT-2); Ainslie et al. 2023 (grouped queries).
"""

import random
from collections.abc import Callable
from math import isqrt

from insideout.exercises.catalogue import Exercise, Mistake


def apart(values: list[int]) -> bool:
    """Are all these counts different?"""
    return len(set(values)) == len(values)


def linear(n_in: int, n_out: int) -> int:
    """A matrix and its bias."""
    return n_in * n_out + n_out


# attention: d_model, n_heads, n_kv_heads, d_head -> the numbers in the four matrices


def draw_attention(rng: random.Random) -> tuple[int, int, int, int]:
    """Fewer key-value heads than heads, and heads that together are not as wide as the model."""
    while True:
        n_kv_heads, group = rng.randint(2, 6), rng.randint(2, 5)
        sizes = rng.randint(20, 200), n_kv_heads * group, n_kv_heads, rng.randint(3, 30)
        if apart([attention(*sizes), *(mistake.function(*sizes) for mistake in ATTENTION_MISTAKES)]):
            return sizes


def attention(d_model: int, n_heads: int, n_kv_heads: int, d_head: int) -> int:
    return d_model * (2 * n_heads + 2 * n_kv_heads) * d_head


ATTENTION_MISTAKES = [
    Mistake(
        "Every head is given keys and values of its own: they are n_kv_heads, shared by the n_heads queries.",
        lambda c, h, g, d: attention(c, h, h, d),
    ),
    Mistake(
        "Queries and outputs come in n_heads, not in n_kv_heads: only keys and values are shared.",
        lambda c, h, g, d: attention(c, g, g, d),
    ),
    Mistake(
        "Each matrix is counted as d_model by d_model: here the heads together need not be as wide as the model.",
        lambda c, h, g, d: 4 * c * c,
    ),
    Mistake(
        "The output matrix is missing: what the heads found is brought back to d_model.",
        lambda c, h, g, d: c * (h + 2 * g) * d,
    ),
    Mistake(
        "Keys and values are two matrices, not one.",
        lambda c, h, g, d: c * (2 * h + g) * d,
    ),
    Mistake(
        "The output matrix is counted as d_model by d_model: it turns n_heads times d_head numbers into d_model.",
        lambda c, h, g, d: c * (h + 2 * g) * d + c * c,
    ),
]

# parameters: vocab_size, context_length, d_model, n_layers, d_ff -> the numbers that a GPT-2 learns

Sizes = tuple[int, int, int, int, int]


def draw_sizes(rng: random.Random) -> Sizes:
    while True:
        sizes = rng.randint(5, 60), rng.randint(5, 60), rng.randint(5, 60), rng.randint(2, 6), rng.randint(5, 200)
        if apart([parameters(*sizes), *(mistake.function(*sizes) for mistake in PARAMETERS_MISTAKES)]):
            return sizes


def parameters(vocab_size: int, context_length: int, d_model: int, n_layers: int, d_ff: int) -> int:
    norm = 2 * d_model
    read_and_write = 3 * linear(d_model, d_model) + linear(d_model, d_model)
    feed_forward = linear(d_model, d_ff) + linear(d_ff, d_model)
    return (vocab_size + context_length) * d_model + n_layers * (2 * norm + read_and_write + feed_forward) + norm


PARAMETERS_MISTAKES = [
    Mistake(
        "The head is counted as a matrix of its own: it is tied, the token table used once more.",
        lambda v, t, c, n, f: parameters(v, t, c, n, f) + v * c,
    ),
    Mistake(
        "The positions are missing: each has a row of d_model learned numbers.",
        lambda v, t, c, n, f: parameters(v, t, c, n, f) - t * c,
    ),
    Mistake(
        "The biases of attention are missing: queries, keys, values and output have d_model each.",
        lambda v, t, c, n, f: parameters(v, t, c, n, f) - n * 4 * c,
    ),
    Mistake(
        "The biases of the feed-forward layer are missing: d_ff on the way up, d_model on the way down.",
        lambda v, t, c, n, f: parameters(v, t, c, n, f) - n * (f + c),
    ),
    Mistake(
        "No bias of a linear layer is counted: in a GPT-2 every one has them.",
        lambda v, t, c, n, f: parameters(v, t, c, n, f) - n * (5 * c + f),
    ),
    Mistake(
        "The norms have gains but no biases: a LayerNorm learns both.",
        lambda v, t, c, n, f: parameters(v, t, c, n, f) - (2 * n + 1) * c,
    ),
    Mistake(
        "The norm after the last block is missing.",
        lambda v, t, c, n, f: parameters(v, t, c, n, f) - 2 * c,
    ),
    Mistake(
        "Only one block is counted: everything in a block stands there n_layers times.",
        lambda v, t, c, n, f: parameters(v, t, c, 1, f),
    ),
]

# width: vocab_size, n_layers, budget -> the largest d_model with V C + 12 L C² <= budget


def draw_budget(rng: random.Random) -> tuple[int, int, int]:
    """A budget that a width fits closely, so that one more is too much and every other count gives another width."""
    while True:
        vocab_size, n_layers = rng.randint(500, 60_000), rng.randint(2, 40)
        width = rng.randint(32, 2048)
        budget = vocab_size * width + 12 * n_layers * width**2 + rng.randint(0, vocab_size)
        arguments = vocab_size, n_layers, budget
        if apart([widest(*arguments), *(mistake.function(*arguments) for mistake in WIDTH_MISTAKES)]):
            return arguments


def solve(linear_part: int, square_part: int, budget: int) -> int:
    """The largest whole C with linear_part · C + square_part · C² <= budget."""
    return (isqrt(linear_part**2 + 4 * square_part * budget) - linear_part) // (2 * square_part)


def widest(vocab_size: int, n_layers: int, budget: int) -> int:
    return solve(vocab_size, 12 * n_layers, budget)


def by(linear_part: int, square_part: int) -> Callable[[int, int, int], int]:
    """The width when the table counts `linear_part` times and a block has `square_part` C² numbers."""
    return lambda v, n, budget: solve(linear_part * v, square_part * n, budget)


WIDTH_MISTAKES = [
    Mistake(
        "This width is one too many: its count exceeds the budget. Round down.",
        lambda v, n, budget: widest(v, n, budget) + 1,
    ),
    Mistake("The token table is missing: it too costs numbers.", by(0, 12)),
    Mistake("The token table is counted twice: head and table are one matrix.", by(2, 12)),
    Mistake("Only attention is counted: the feed-forward layer has another 8 d_model² in each block.", by(1, 4)),
    Mistake("Only the feed-forward layer is counted: attention has another 4 d_model² in each block.", by(1, 8)),
    Mistake(
        "Only one block is counted: there are n_layers of them.",
        lambda v, n, budget: solve(v, 12, budget),
    ),
]

exercises: list[Exercise] = [
    Exercise(
        id="transformer.introduction.attention",
        difficulty=1,
        minutes=5,
        reference=attention,
        draw=draw_attention,
        tolerance=1e-10,
        hints=[
            "Four matrices: for queries, keys, values, and for the output. How many rows and columns has each?",
            "All heads' queries side by side are n_heads · d_head wide. How wide are all the keys?",
        ],
        mistakes=ATTENTION_MISTAKES,
    ),
    Exercise(
        id="transformer.introduction.parameters",
        difficulty=2,
        minutes=10,
        reference=parameters,
        draw=draw_sizes,
        tolerance=1e-10,
        hints=[
            "Three groups: the tables before the blocks, what stands in each block, and the norm behind them.",
            "A block has two norms and six linear maps, each with its bias. The head is the token table.",
        ],
        mistakes=PARAMETERS_MISTAKES,
    ),
    Exercise(
        id="transformer.introduction.width",
        difficulty=3,
        minutes=15,
        reference=widest,
        draw=draw_budget,
        tolerance=1e-10,
        hints=[
            "Write the count as a polynomial in C. Which power does the table have, and which the blocks?",
            "Solve 12 L C² + V C − budget = 0 for the positive root, and round down. "
            "Or count up from 1 until it no longer fits.",
        ],
        mistakes=WIDTH_MISTAKES,
    ),
]
