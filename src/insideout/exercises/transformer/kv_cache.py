"""Exercises on the KV cache and on speculative decoding.

Practised in book/2-building-a-transformer/08_kv_cache.md; the modules are insideout/transformer/generation/cache.py and
speculative.py. Sources: Vaswani et al. 2017, §3.2; Leviathan et al. 2023; Chen et al. 2023.
Shapes: B batch, H heads, S cached keys, D head width, V vocabulary.
"""

import random

import torch
from torch import Tensor

from insideout.exercises.catalogue import Exercise, Mistake


def numbers(rng: random.Random, *shape: int) -> Tensor:
    """Normal float64 numbers."""
    return torch.randn(shape, generator=torch.Generator().manual_seed(rng.getrandbits(31)), dtype=torch.float64)


# memory: how many bytes the cache of a batch of texts takes


def draw_model(rng: random.Random) -> tuple[int, int, int, int, int, int, int, int]:
    """Layers, heads, key-value heads, head width, rows, tokens, window, bytes a number: all different."""
    n_kv_heads = rng.choice((2, 3, 4))
    n_heads = n_kv_heads * rng.choice((2, 4))
    window = rng.choice((32, 48))
    sizes = (rng.randrange(5, 13), n_heads, n_kv_heads, rng.choice((16, 24)), rng.randrange(2, 5))
    return (*sizes, window + rng.randrange(1, 200), window, rng.choice((2, 4)))


def memory(
    n_layers: int, n_heads: int, n_kv_heads: int, d_head: int, n_rows: int, n_tokens: int, window: int, size: int
) -> int:
    return 2 * n_layers * n_rows * n_kv_heads * min(n_tokens, window) * d_head * size


# step: attention of one new token, the keys and values before it taken from the cache


def draw_step(rng: random.Random) -> tuple[Tensor, Tensor, Tensor, Tensor, Tensor]:
    """The new token's q, k, v, (B, H, 1, D), and the cached keys and values, (B, H, S, D)."""
    new = [3 * numbers(rng, 2, 3, 1, 8) for _ in range(3)]
    past = [3 * numbers(rng, 2, 3, 6, 8) for _ in range(2)]
    return new[0], new[1], new[2], past[0], past[1]


def attend(q: Tensor, k: Tensor, v: Tensor) -> Tensor:
    return (q @ k.transpose(-2, -1) / q.shape[-1] ** 0.5).softmax(dim=-1) @ v


def step(q: Tensor, k: Tensor, v: Tensor, past_k: Tensor, past_v: Tensor) -> Tensor:
    return attend(q, torch.cat([past_k, k], dim=2), torch.cat([past_v, v], dim=2))


def step_top_left(q: Tensor, k: Tensor, v: Tensor, past_k: Tensor, past_v: Tensor) -> Tensor:
    return past_v[:, :, :1]  # row 0 of a square causal mask reads key 0, all of its weight on it


def step_unscaled(q: Tensor, k: Tensor, v: Tensor, past_k: Tensor, past_v: Tensor) -> Tensor:
    return step(q * q.shape[-1] ** 0.5, k, v, past_k, past_v)


# outcome: how the next token is distributed, if a refused draft is replaced by a draw from r


def draw_distributions(rng: random.Random) -> tuple[Tensor, Tensor, Tensor]:
    """Three distributions over a small vocabulary, (V,) each: p, q and r."""
    p, q, r = (numbers(rng, 6).softmax(-1) for _ in range(3))
    return p, q, r


def outcome(p: Tensor, q: Tensor, r: Tensor) -> Tensor:
    kept = torch.minimum(p, q)
    return kept + (1 - kept.sum()) * r


# tokens: expected tokens for one call of the target, if each draft is kept with the same probability


def draw_acceptance(rng: random.Random) -> tuple[float, int]:
    """The probability that a draft is kept, and how many are drafted."""
    return rng.uniform(0.3, 0.9), rng.randrange(3, 8)


def tokens(acceptance: float, n_draft: int) -> float:
    return sum(acceptance**i for i in range(n_draft + 1))


exercises: list[Exercise] = [
    Exercise(
        id="transformer.kv_cache.memory",
        difficulty=1,
        minutes=5,
        reference=memory,
        draw=draw_model,
        tolerance=1e-10,
        hints=[
            "Count the numbers that one token leaves behind in one layer. What is kept besides its key?",
            "Which heads have keys of their own? And how many tokens back can anyone still read?",
        ],
        mistakes=[
            Mistake(
                "Only one of keys and values is counted: the cache holds both.",
                lambda layers, heads, groups, d, rows, n, window, size: (
                    layers * rows * groups * min(n, window) * d * size
                ),
            ),
            Mistake(
                "This counts a key for every query head; with grouped queries only n_kv_heads have keys and values.",
                lambda layers, heads, groups, d, rows, n, window, size: (
                    2 * layers * rows * heads * min(n, window) * d * size
                ),
            ),
            Mistake(
                "All tokens are counted; beyond the window nobody reads them, and they can be dropped.",
                lambda layers, heads, groups, d, rows, n, window, size: 2 * layers * rows * groups * n * d * size,
            ),
            Mistake(
                "The layers are missing: each keeps keys and values of its own.",
                lambda layers, heads, groups, d, rows, n, window, size: 2 * rows * groups * min(n, window) * d * size,
            ),
            Mistake(
                "The rows of the batch are missing: each is a text of its own.",
                lambda layers, heads, groups, d, rows, n, window, size: 2 * layers * groups * min(n, window) * d * size,
            ),
            Mistake(
                "These are numbers, not bytes: multiply by the bytes of a number.",
                lambda layers, heads, groups, d, rows, n, window, size: 2 * layers * rows * groups * min(n, window) * d,
            ),
        ],
    ),
    Exercise(
        id="transformer.kv_cache.step",
        difficulty=2,
        minutes=10,
        reference=step,
        draw=draw_step,
        tolerance=1e-10,
        hints=[
            "Join the new key to the cached ones along the axis of positions, and the values likewise.",
            "Everything in the cache lies in the past of the new token. So what must be masked?",
        ],
        mistakes=[
            Mistake(
                "The new token does not read itself: its own key and value belong to what it reads.",
                lambda q, k, v, past_k, past_v: attend(q, past_k, past_v),
            ),
            Mistake(
                "A square causal mask is laid on one row: the newest query counts as the first, and reads only key 0.",
                step_top_left,
            ),
            Mistake("The cache is not read: this token sees itself alone.", lambda q, k, v, past_k, past_v: v),
            Mistake("The scores are not divided by √D.", step_unscaled),
            Mistake(
                "The new value is joined in front of the old ones and the new key behind them: they no longer match.",
                lambda q, k, v, past_k, past_v: attend(q, torch.cat([past_k, k], dim=2), torch.cat([v, past_v], dim=2)),
            ),
        ],
    ),
    Exercise(
        id="transformer.kv_cache.outcome",
        difficulty=2,
        minutes=12,
        reference=outcome,
        draw=draw_distributions,
        tolerance=1e-10,
        hints=[
            "A token x can come out in two ways: drafted and kept, or put in the place of a refused draft.",
            "Drafted and kept: q(x) min(1, p(x)/q(x)). Can you write that without the fraction?",
        ],
        mistakes=[
            Mistake(
                "The weight of r is the probability that a draft is kept; it must be that of a refusal.",
                lambda p, q, r: torch.minimum(p, q) + torch.minimum(p, q).sum() * r,
            ),
            Mistake(
                "The refusals are missing: what is drafted and kept sums to less than 1.",
                lambda p, q, r: torch.minimum(p, q),
            ),
            Mistake(
                "Each token gets r in proportion to its own refusals. A refused x may be replaced by any token.",
                lambda p, q, r: torch.minimum(p, q) + (q - torch.minimum(p, q)) * r,
            ),
            Mistake(
                "The probability of keeping x is taken for the probability that x is drafted and kept: multiply by q.",
                lambda p, q, r: (p / q).clamp(max=1) + (1 - torch.minimum(p, q).sum()) * r,
            ),
        ],
    ),
    Exercise(
        id="transformer.kv_cache.tokens",
        difficulty=2,
        minutes=10,
        reference=tokens,
        draw=draw_acceptance,
        tolerance=1e-10,
        hints=[
            "The call gives at least 1 token. It gives at least 2 if the first draft is kept: with which probability?",
            "The mean of a count is the sum over i ≥ 1 of the probability that it is at least i.",
        ],
        mistakes=[
            Mistake(
                "The drafts are counted as if each were kept on its own; after a refusal the later ones are lost.",
                lambda acceptance, n_draft: 1 + acceptance * n_draft,
            ),
            Mistake(
                "The token that the call gives in any case is missing.",
                lambda acceptance, n_draft: tokens(acceptance, n_draft) - 1,
            ),
            Mistake(
                "The sum stops one draft too early: all n_draft may be kept.",
                lambda acceptance, n_draft: tokens(acceptance, n_draft - 1),
            ),
            Mistake(
                "This is the sum without end, 1 / (1 − acceptance): only n_draft tokens are drafted.",
                lambda acceptance, n_draft: 1 / (1 - acceptance),
            ),
        ],
    ),
]
