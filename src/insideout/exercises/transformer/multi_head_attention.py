"""Exercises on several heads: split, merge, groups that share keys and values, and what the cache holds.

Practised in book/2-building-a-transformer/03_multi_head_attention.md; the module is
insideout/transformer/attention.py. Sources: Vaswani et al. 2017, §3.2.2; Shazeer 2019; Ainslie et al. 2023.
Shapes: B batch, T positions, C width, H heads, G key-value heads, D head width.
"""

import random

import torch
from torch import Tensor

from insideout.exercises.catalogue import Exercise, Mistake
from insideout.transformer.attention import attention


def numbers(rng: random.Random, *shape: int) -> Tensor:
    """Normal float64 numbers."""
    return torch.randn(shape, generator=torch.Generator().manual_seed(rng.getrandbits(31)), dtype=torch.float64)


# split: x (B, T, C), n_heads -> (B, H, T, D)


def draw_split(rng: random.Random) -> tuple[Tensor, int]:
    """T and C are multiples of H and of D, so that wrong cuts fit as well."""
    return numbers(rng, 2, 6, 6), rng.choice([2, 3])


def split(x: Tensor, n_heads: int) -> Tensor:
    return x.view(*x.shape[:-1], n_heads, -1).transpose(1, 2)


def split_by_reshape(x: Tensor, n_heads: int) -> Tensor:
    return x.reshape(x.shape[0], n_heads, x.shape[1], -1)


def split_alternating(x: Tensor, n_heads: int) -> Tensor:
    return torch.stack([x[..., h::n_heads] for h in range(n_heads)], dim=1)


# merge: z (B, H, T, D) -> (B, T, C)


def draw_merge(rng: random.Random) -> tuple[Tensor]:
    """What the heads read, with H different from T and D."""
    return (numbers(rng, 2, 3, 6, 4),)


def merge(z: Tensor) -> Tensor:
    return z.transpose(1, 2).flatten(2)


def merge_by_reshape(z: Tensor) -> Tensor:
    return z.reshape(z.shape[0], z.shape[2], -1)


def merge_alternating(z: Tensor) -> Tensor:
    return z.permute(0, 2, 3, 1).flatten(2)


# grouped: q (B, H, T, D), k, v (B, G, T, D) -> z (B, H, T, D)


def draw_groups(rng: random.Random) -> tuple[Tensor, Tensor, Tensor]:
    """Six query heads, two or three heads of keys and values."""
    n_groups = rng.choice([2, 3])
    return 3 * numbers(rng, 2, 6, 5, 8), numbers(rng, 2, n_groups, 5, 8), numbers(rng, 2, n_groups, 5, 8)


def grouped(q: Tensor, k: Tensor, v: Tensor) -> Tensor:
    each = q.shape[1] // k.shape[1]
    return attention(q, k.repeat_interleave(each, dim=1), v.repeat_interleave(each, dim=1))


def grouped_by_turns(q: Tensor, k: Tensor, v: Tensor) -> Tensor:
    each = q.shape[1] // k.shape[1]
    return attention(q, k.repeat(1, each, 1, 1), v.repeat(1, each, 1, 1))


def grouped_unmasked(q: Tensor, k: Tensor, v: Tensor) -> Tensor:
    each = q.shape[1] // k.shape[1]
    k, v = k.repeat_interleave(each, dim=1), v.repeat_interleave(each, dim=1)
    return (q @ k.transpose(-2, -1) / q.shape[-1] ** 0.5).softmax(dim=-1) @ v


def grouped_unscaled(q: Tensor, k: Tensor, v: Tensor) -> Tensor:
    return grouped(q * q.shape[-1] ** 0.5, k, v)


def queries_averaged(q: Tensor, k: Tensor, v: Tensor) -> Tensor:
    each = q.shape[1] // k.shape[1]
    return attention(q.view(q.shape[0], -1, each, *q.shape[2:]).mean(dim=2), k, v).repeat_interleave(each, dim=1)


# cache_bytes: sizes -> bytes of keys and values

Sizes = tuple[int, int, int, int, int, int]


def draw_model(rng: random.Random) -> Sizes:
    """Layers, texts, heads of keys and values, positions, head width, bytes a number: all different, none 1."""
    return (
        rng.choice([12, 24, 36]),
        rng.choice([3, 5, 7]),
        rng.choice([8, 11, 13]),
        rng.choice([1024, 4096, 8192]),
        rng.choice([64, 96, 128]),
        rng.choice([2, 4]),
    )


def cache_bytes(layers: int, texts: int, kv_heads: int, positions: int, d_head: int, size: int) -> int:
    return 2 * layers * texts * kv_heads * positions * d_head * size


exercises: list[Exercise] = [
    Exercise(
        id="transformer.multi_head_attention.split",
        difficulty=1,
        minutes=5,
        reference=split,
        draw=draw_split,
        tolerance=1e-12,
        hints=[
            "Give the last axis a new shape first, (B, T, H, D). Only then move the heads forward.",
            "view or reshape never move numbers past each other. transpose does: it says which axis is which.",
        ],
        mistakes=[
            Mistake(
                "One reshape straight to (B, H, T, D): the shape is right, but a head holds pieces of some positions "
                "and nothing of others.",
                split_by_reshape,
            ),
            Mistake("The columns are dealt out in turn; a head takes D neighbouring columns.", split_alternating),
            Mistake(
                "H and D are exchanged: these are D heads of width H.",
                lambda x, n_heads: split(x, x.shape[-1] // n_heads),
            ),
            Mistake(
                "The heads are still behind the positions: (B, T, H, D). Exchange the two axes.",
                lambda x, n_heads: x.unflatten(-1, (n_heads, -1)),
            ),
        ],
    ),
    Exercise(
        id="transformer.multi_head_attention.merge",
        difficulty=1,
        minutes=5,
        reference=merge,
        draw=draw_merge,
        tolerance=1e-12,
        hints=[
            "Which two axes must stand side by side before they can be flattened into one?",
            "First (B, T, H, D), then (B, T, H D).",
        ],
        mistakes=[
            Mistake(
                "Reshaped without a transpose: a row then holds one head at several positions, and some of them lie in "
                "the future.",
                merge_by_reshape,
            ),
            Mistake(
                "The heads are interleaved number by number; they must stand side by side, D numbers each.",
                merge_alternating,
            ),
            Mistake(
                "The heads are added up. They write into different columns, and the output projection adds.",
                lambda z: z.sum(dim=1),
            ),
        ],
    ),
    Exercise(
        id="transformer.multi_head_attention.grouped",
        difficulty=2,
        minutes=12,
        reference=grouped,
        draw=draw_groups,
        tolerance=1e-9,
        hints=[
            "Query heads 0 to H/G - 1 share key-value head 0, the next H/G share head 1, and so on.",
            "repeat_interleave repeats each head before it goes on to the next; repeat begins again from the first.",
        ],
        mistakes=[
            Mistake(
                "The key-value heads are dealt out in turn, as repeat does: neighbouring query heads must share one.",
                grouped_by_turns,
            ),
            Mistake("There is no causal mask: every position reads the future.", grouped_unmasked),
            Mistake("The scores are not divided by √D.", grouped_unscaled),
            Mistake(
                "All query heads use the first key-value head; that is multi-query attention.",
                lambda q, k, v: grouped(q, k[:, :1], v[:, :1]),
            ),
            Mistake(
                "The queries of a group are averaged: each query head must look for itself.",
                queries_averaged,
            ),
        ],
    ),
    Exercise(
        id="transformer.multi_head_attention.cache_bytes",
        difficulty=1,
        minutes=5,
        reference=cache_bytes,
        draw=draw_model,
        tolerance=1e-9,
        hints=[
            "How many numbers does one position leave behind in one head of one layer?",
            "D for its key and D for its value.",
        ],
        mistakes=[
            Mistake(
                "Only the keys, or only the values, are counted: both are kept.",
                lambda layers, texts, kv_heads, positions, d_head, size: (
                    layers * texts * kv_heads * positions * d_head * size
                ),
            ),
            Mistake(
                "The layers are missing: each has keys and values of its own.",
                lambda layers, texts, kv_heads, positions, d_head, size: (
                    2 * texts * kv_heads * positions * d_head * size
                ),
            ),
            Mistake(
                "The texts are missing: each has keys and values of its own.",
                lambda layers, texts, kv_heads, positions, d_head, size: (
                    2 * layers * kv_heads * positions * d_head * size
                ),
            ),
            Mistake(
                "These are numbers, not bytes.",
                lambda layers, texts, kv_heads, positions, d_head, size: (
                    2 * layers * texts * kv_heads * positions * d_head
                ),
            ),
            Mistake(
                "These are bits: the size of a number is given in bytes.",
                lambda layers, texts, kv_heads, positions, d_head, size: (
                    16 * layers * texts * kv_heads * positions * d_head * size
                ),
            ),
        ],
    ),
]
