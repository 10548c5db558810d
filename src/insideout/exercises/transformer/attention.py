"""Exercises on scaled dot-product attention.

Practised in book/2-building-a-transformer/02_attention.md; the module is insideout/transformer/attention.py.
Source: Vaswani et al. 2017, §3.2. Shapes: B batch, T queries, S keys, H heads, D head width.
"""

import random

import torch
from torch import Tensor

from insideout.exercises.catalogue import Exercise, Mistake
from insideout.transformer.attention import attention_pattern, causal_mask

INFINITY = float("inf")


def numbers(rng: random.Random, *shape: int) -> Tensor:
    """Normal float64 numbers."""
    return torch.randn(shape, generator=torch.Generator().manual_seed(rng.getrandbits(31)), dtype=torch.float64)


def draw_queries_and_keys(rng: random.Random) -> tuple[Tensor, Tensor]:
    """Queries and keys (B, H, T, D), large enough that every catalogued mistake changes the answer."""
    return 3 * numbers(rng, 2, 3, 7, 16), 3 * numbers(rng, 2, 3, 7, 16)


def raw(q: Tensor, k: Tensor) -> Tensor:
    return torch.matmul(q, k.transpose(-2, -1))  # (B, H, T, S)


def hide_future(scores: Tensor, fill: float = -INFINITY) -> Tensor:
    return scores.masked_fill(~causal_mask(*scores.shape[-2:]), fill)


# scores: q, k -> Q Kᵀ / √D


def scores(q: Tensor, k: Tensor) -> Tensor:
    return raw(q, k).div(q.shape[-1] ** 0.5)


def scores_by_reshaping(q: Tensor, k: Tensor) -> Tensor:
    shuffled = k.reshape(*k.shape[:-2], k.shape[-1], k.shape[-2])  # (B, H, D, S)
    return torch.matmul(q, shuffled).div(q.shape[-1] ** 0.5)


# pattern: q, k -> softmax(Q Kᵀ / √D + mask)


def pattern_masked_too_late(q: Tensor, k: Tensor) -> Tensor:
    return hide_future(scores(q, k).softmax(dim=-1), 0.0)


def pattern_strictly_past(q: Tensor, k: Tensor) -> Tensor:
    allowed = causal_mask(q.shape[-2], k.shape[-2]).tril(-1)
    return scores(q, k).masked_fill(~allowed, -INFINITY).softmax(dim=-1)


def pattern_transposed_mask(q: Tensor, k: Tensor) -> Tensor:
    allowed = causal_mask(q.shape[-2], k.shape[-2]).transpose(-2, -1)
    return scores(q, k).masked_fill(~allowed, -INFINITY).softmax(dim=-1)


# gradient: p, g -> the loss's gradient with respect to the scores


def draw_pattern_and_gradient(rng: random.Random) -> tuple[Tensor, Tensor]:
    """A pattern (B, H, T, S) and the loss's gradient with respect to it."""
    return numbers(rng, 2, 3, 5, 7).softmax(dim=-1), numbers(rng, 2, 3, 5, 7)


def softmax_gradient(p: Tensor, g: Tensor) -> Tensor:
    return p * (g - (p * g).sum(dim=-1, keepdim=True))


# cost: the multiply-adds of the two matrix products, counted as two operations each


def draw_sizes(rng: random.Random) -> tuple[int, int, int, int]:
    """Heads, queries, keys, head width: four different sizes."""
    n_heads, n_queries, n_keys, d_head = rng.sample(range(3, 43), 4)
    return n_heads, n_queries, n_keys, d_head


def cost(n_heads: int, n_queries: int, n_keys: int, d_head: int) -> int:
    return 4 * n_heads * n_queries * n_keys * d_head


exercises: list[Exercise] = [
    Exercise(
        id="transformer.attention.scores",
        difficulty=1,
        minutes=5,
        reference=scores,
        draw=draw_queries_and_keys,
        tolerance=1e-10,
        hints=[
            "One score is the dot product of one query and one key. A matrix product makes all of them at once.",
            "Which two axes of k must change places? Leave batch and heads where they are.",
        ],
        mistakes=[
            Mistake("The scores are not divided by √D: they grow as heads grow wider.", raw),
            Mistake("The scores are divided by D, not by √D.", lambda q, k: raw(q, k) / q.shape[-1]),
            Mistake(
                "The scores are divided by the square root of the number of positions; it is the head width D that "
                "makes dot products grow.",
                lambda q, k: raw(q, k) / q.shape[-2] ** 0.5,
            ),
            Mistake(
                "Rows and columns are exchanged: row t must hold the scores of query t.", lambda q, k: scores(k, q)
            ),
            Mistake(
                "k was reshaped where it must be transposed: the shape is right and the numbers are shuffled.",
                scores_by_reshaping,
            ),
        ],
    ),
    Exercise(
        id="transformer.attention.pattern",
        difficulty=2,
        minutes=10,
        reference=attention_pattern,
        draw=draw_queries_and_keys,
        tolerance=1e-10,
        hints=[
            "Each row is a probability distribution over the keys. Which axis does softmax run along?",
            "What number, put into a score before the softmax, makes its weight exactly zero?",
        ],
        mistakes=[
            Mistake(
                "The scores are not divided by √D: softmax saturates as heads grow wider.",
                lambda q, k: hide_future(raw(q, k)).softmax(dim=-1),
            ),
            Mistake(
                "The scores are divided by D, not by √D.",
                lambda q, k: hide_future(raw(q, k) / q.shape[-1]).softmax(dim=-1),
            ),
            Mistake("There is no mask: every position reads the future.", lambda q, k: scores(q, k).softmax(dim=-1)),
            Mistake("The mask is applied after the softmax: rows no longer sum to 1.", pattern_masked_too_late),
            Mistake(
                "The mask lets each position read the future and hides the past: it is transposed.",
                pattern_transposed_mask,
            ),
            Mistake(
                "A position cannot read itself: the diagonal is masked too, and the first row has nothing left.",
                pattern_strictly_past,
            ),
            Mistake(
                "The masked scores are set to 0, not to -∞: a score of 0 still gets weight.",
                lambda q, k: hide_future(scores(q, k), 0.0).softmax(dim=-1),
            ),
            Mistake(
                "The softmax runs over the queries instead of the keys.",
                lambda q, k: hide_future(scores(q, k)).softmax(dim=-2),
            ),
        ],
    ),
    Exercise(
        id="transformer.attention.gradient",
        difficulty=3,
        minutes=20,
        reference=softmax_gradient,
        draw=draw_pattern_and_gradient,
        tolerance=1e-10,
        hints=[
            "Start from one row: ∂p_i/∂s_j = p_i (1[i = j] − p_j). Multiply by g_i and add up over i.",
            "One of the two terms is p_j times a number that all j of the row share. What is that number?",
        ],
        mistakes=[
            Mistake(
                "Only the diagonal of the softmax's Jacobian is used: raising one score also lowers the other weights.",
                lambda p, g: p * (1 - p) * g,
            ),
            Mistake("The shared term is missing: the gradient of a row must add up to 0.", lambda p, g: p * g),
            Mistake("The sign is wrong: this gradient goes uphill.", lambda p, g: -softmax_gradient(p, g)),
            Mistake(
                "The mean of g is not weighted by the pattern: use Σ p g, not the plain mean.",
                lambda p, g: p * (g - g.mean(dim=-1, keepdim=True)),
            ),
            Mistake(
                "The sum runs over the queries; a softmax row is over the keys.",
                lambda p, g: p * (g - (p * g).sum(dim=-2, keepdim=True)),
            ),
        ],
    ),
    Exercise(
        id="transformer.attention.cost",
        difficulty=1,
        minutes=5,
        reference=cost,
        draw=draw_sizes,
        tolerance=1e-10,
        hints=[
            "A product of an (m, n) and an (n, p) matrix takes m·n·p multiplications and as many additions.",
            "There are two such products in each head: one makes the scores, one mixes the values.",
        ],
        mistakes=[
            Mistake(
                "A multiplication and its addition are counted as one operation; the convention is two.",
                lambda h, t, s, d: 2 * h * t * s * d,
            ),
            Mistake("The heads are not counted: each does this work.", lambda h, t, s, d: 4 * t * s * d),
            Mistake(
                "The number of keys is missing: every query is compared with every key.",
                lambda h, t, s, d: 4 * h * t * t * d,
            ),
            Mistake(
                "This counts only one product, and one operation per multiply-add: the values' product is missing too.",
                lambda h, t, s, d: h * t * s * d,
            ),
        ],
    ),
]
