"""Exercises on several heads: split, merge, groups that share keys and values, and how much sharing a budget asks for.

Practised in book/2-building-a-transformer/03_multi_head_attention.md; the module is
insideout/transformer/attention.py. Sources: Vaswani et al. 2017, §3.2.2; Shazeer 2019; Ainslie et al. 2023.
Shapes: B batch, T positions, C width, H heads, G key-value heads, D head width.
"""

import random
from collections.abc import Callable

import torch
from torch import Tensor

from insideout.exercises.catalogue import Exercise
from insideout.exercises.drawing import distinct, tensor
from insideout.transformer.attention import attention

# split: x (B, T, (H + 2G) D), n_heads, n_kv_heads -> q (B, H, T, D), k and v (B, G, T, D)

Heads = tuple[Tensor, Tensor, Tensor]


def draw_split(rng: random.Random, B: int, T: int, G: int, D: int) -> tuple[Tensor, int, int]:
    """The fused product of queries, keys and values; two or three query heads share one of keys and values."""
    n_heads = G * rng.choice((2, 3))
    return tensor(rng, B, T, (n_heads + 2 * G) * D), n_heads, G


def columns(x: Tensor, n_heads: int, n_kv_heads: int) -> Heads:
    """The columns of queries, of keys and of values."""
    d_head = x.shape[-1] // (n_heads + 2 * n_kv_heads)
    at, behind = n_heads * d_head, (n_heads + n_kv_heads) * d_head
    return x[..., :at], x[..., at:behind], x[..., behind:]


def cut(x: Tensor, n_heads: int) -> Tensor:
    return behind_positions(x, n_heads).transpose(1, 2)


def behind_positions(x: Tensor, n_heads: int) -> Tensor:
    """(B, T, H, D)."""
    return x.reshape(*x.shape[:-1], n_heads, -1)


def dealt(x: Tensor, n_heads: int) -> Tensor:
    """Every n_heads-th column."""
    return torch.stack([x[..., h::n_heads] for h in range(n_heads)], dim=1)


def split_fused(x: Tensor, n_heads: int, n_kv_heads: int) -> Heads:
    q, k, v = columns(x, n_heads, n_kv_heads)
    return cut(q, n_heads), cut(k, n_kv_heads), cut(v, n_kv_heads)


def split_by_reshape(x: Tensor, n_heads: int, n_kv_heads: int) -> Heads:
    q, k, v = (each.contiguous() for each in columns(x, n_heads, n_kv_heads))
    B, T = x.shape[:2]
    return q.view(B, n_heads, T, -1), k.view(B, n_kv_heads, T, -1), v.view(B, n_kv_heads, T, -1)


def split_dealt(x: Tensor, n_heads: int, n_kv_heads: int) -> Heads:
    q, k, v = columns(x, n_heads, n_kv_heads)
    return dealt(q, n_heads), dealt(k, n_kv_heads), dealt(v, n_kv_heads)


def split_behind(x: Tensor, n_heads: int, n_kv_heads: int) -> Heads:
    q, k, v = columns(x, n_heads, n_kv_heads)
    return behind_positions(q, n_heads), behind_positions(k, n_kv_heads), behind_positions(v, n_kv_heads)


def split_transposed(x: Tensor, n_heads: int, n_kv_heads: int) -> Heads:
    q, k, v = split_fused(x, n_heads, n_kv_heads)
    return q.transpose(-2, -1), k.transpose(-2, -1), v.transpose(-2, -1)


def split_in_thirds(x: Tensor, n_heads: int, n_kv_heads: int) -> Heads:
    q, k, v = x.chunk(3, dim=-1)
    return cut(q, n_heads), cut(k, n_kv_heads), cut(v, n_kv_heads)


def split_repeated(x: Tensor, n_heads: int, n_kv_heads: int) -> Heads:
    q, k, v = split_fused(x, n_heads, n_kv_heads)
    each = n_heads // n_kv_heads
    return q, k.repeat_interleave(each, dim=1), v.repeat_interleave(each, dim=1)


def in_order(*order: int) -> Callable[[Tensor, int, int], Heads]:
    """The fused columns read in another order: queries 0, keys 1, values 2."""

    def mistaken(x: Tensor, n_heads: int, n_kv_heads: int) -> Heads:
        d_head = x.shape[-1] // (n_heads + 2 * n_kv_heads)
        counts = [n_heads, n_kv_heads, n_kv_heads]
        pieces, at = {}, 0
        for i in order:
            pieces[i] = x[..., at : at + counts[i] * d_head]
            at += counts[i] * d_head
        return cut(pieces[0], n_heads), cut(pieces[1], n_kv_heads), cut(pieces[2], n_kv_heads)

    return mistaken


split = Exercise(
    "transformer.multi_head_attention.split", stars=2, minutes=10, reference=split_fused, draw=draw_split,
    edges=[lambda rng: (tensor(rng, 2, 3, 3 * 2 * 4), 2, 2), lambda rng: (tensor(rng, 1, 2, 3 * 5), 1, 1)],
    section="Fewer keys and values than queries",
)  # fmt: skip
split.mistake(
    "Reshaped straight to (B, H, T, D): the shape is right, but a head holds pieces of some positions and nothing of "
    "others. First (B, T, H, D), then exchange two axes.",
    split_by_reshape,
)
split.mistake("The columns are dealt out in turn; a head takes D neighbouring columns.", split_dealt)
split.mistake("The heads are still behind the positions: (B, T, H, D). Exchange the two axes.", split_behind)
split.mistake("The last two axes have changed places: (B, H, D, T). D belongs last.", split_transposed)
split.mistake(
    "The columns are cut into three equal parts: queries take n_heads · D of them, keys and "
    "values n_kv_heads · D each.",
    split_in_thirds,
)
split.mistake(
    "Keys and values are repeated for every query head already: n_kv_heads of them are asked for.", split_repeated
)
split.mistake("Keys and values have changed places: the keys' columns come first.", in_order(0, 2, 1))
split.mistake("The queries are looked for behind keys and values: they come first.", in_order(1, 2, 0))
split.mistake("The queries are looked for between keys and values: they come first.", in_order(1, 0, 2))
split.mistake(
    "H and D are exchanged: these are D heads of width H.",
    lambda x, n_heads, n_kv_heads: split_fused_by_width(x, n_heads, n_kv_heads),
)


def split_fused_by_width(x: Tensor, n_heads: int, n_kv_heads: int) -> Heads:
    q, k, v = columns(x, n_heads, n_kv_heads)
    d_head = q.shape[-1] // n_heads
    return cut(q, d_head), cut(k, d_head), cut(v, d_head)


# merge: z (B, H, T, D) -> (B, T, C)


def draw_merge(rng: random.Random, B: int, H: int, T: int, D: int) -> tuple[Tensor]:
    """What the heads read."""
    return (tensor(rng, B, H, T, D),)


def side_by_side(z: Tensor) -> Tensor:
    return z.transpose(1, 2).flatten(2)


merge = Exercise(
    "transformer.multi_head_attention.merge", stars=1, minutes=5, reference=side_by_side, draw=draw_merge,
    section="All in one product",
)  # fmt: skip
merge.mistake(
    "Reshaped without a transpose: a row then holds one head at several positions, and some of them lie in the future.",
    lambda z: z.reshape(z.shape[0], z.shape[2], -1),
)
merge.mistake(
    "The heads are interleaved number by number; they must stand side by side, D numbers each.",
    lambda z: z.permute(0, 2, 3, 1).flatten(2),
)
merge.mistake(
    "The wrong two axes were exchanged before the reshape: the head's number and the position's, 1 and 2.",
    lambda z: z.transpose(2, 3).reshape(z.shape[0], z.shape[2], -1),
)
merge.mistake(
    "The heads are added up. They write into different columns, and the output projection adds.", lambda z: z.sum(dim=1)
)
merge.mistake(
    "The heads are averaged. They write into different columns, and the output projection adds.",
    lambda z: z.mean(dim=1),
)
merge.mistake("Only the first head is there.", lambda z: z[:, 0])
merge.mistake(
    "The positions stand in one row too: (B, T H D). Each keeps a row.", lambda z: z.transpose(1, 2).flatten(1)
)
merge.mistake(
    "Texts and positions are joined, and the heads are not: (B T, H, D).", lambda z: z.transpose(1, 2).flatten(0, 1)
)
merge.mistake("Texts and heads are joined: (H B, T, D).", lambda z: z.transpose(0, 1).flatten(0, 1))
merge.mistake(
    "H and D have changed places before the reshape: heads first, and then their D numbers.",
    lambda z: z.transpose(1, 3).reshape(z.shape[0], z.shape[2], -1),
)
merge.mistake("The heads are not flattened yet: (B, T, H, D).", lambda z: z.transpose(1, 2))
merge.mistake("The heads stand below each other: (B, H T, D). They belong side by side.", lambda z: z.flatten(1, 2))
merge.mistake("The heads stand side by side in reverse order.", lambda z: side_by_side(z.flip(1)))
merge.mistake("The columns come first: (B, H D, T). Positions are rows.", lambda z: z.transpose(2, 3).flatten(1, 2))

# grouped: q (B, H, T, D), k, v (B, G, T, D) -> z (B, H, T, D)


def draw_groups(rng: random.Random, B: int, G: int, T: int, D: int) -> Heads:
    """Two or three query heads for each head of keys and values."""
    each = rng.choice((2, 3))
    return (
        tensor(rng, B, G * each, T, D, deviation=2.0),
        tensor(rng, B, G, T, D, deviation=2.0),
        tensor(rng, B, G, T, D),
    )


def draw_plain(rng: random.Random) -> Heads:
    """As many heads of keys and values as of queries."""
    return tensor(rng, 2, 3, 4, 5), tensor(rng, 2, 3, 4, 5), tensor(rng, 2, 3, 4, 5)


def repeated(q: Tensor, k: Tensor) -> Tensor:
    return k.repeat_interleave(q.shape[1] // k.shape[1], dim=1)


def in_turn(q: Tensor, k: Tensor) -> Tensor:
    return k.repeat(1, q.shape[1] // k.shape[1], 1, 1)


def in_groups(q: Tensor, k: Tensor, v: Tensor) -> Tensor:
    return attention(q, repeated(q, k), repeated(q, v))


def unmasked(q: Tensor, k: Tensor, v: Tensor) -> Tensor:
    return (q @ repeated(q, k).transpose(-2, -1) / q.shape[-1] ** 0.5).softmax(dim=-1) @ repeated(q, v)


def masked_too_late(q: Tensor, k: Tensor, v: Tensor) -> Tensor:
    return (q @ repeated(q, k).transpose(-2, -1) / q.shape[-1] ** 0.5).softmax(dim=-1).tril() @ repeated(q, v)


def masked_with_zeros(q: Tensor, k: Tensor, v: Tensor) -> Tensor:
    return (q @ repeated(q, k).transpose(-2, -1) / q.shape[-1] ** 0.5).tril().softmax(dim=-1) @ repeated(q, v)


def over_queries(q: Tensor, k: Tensor, v: Tensor) -> Tensor:
    scores = q @ repeated(q, k).transpose(-2, -1) / q.shape[-1] ** 0.5
    future = torch.ones(scores.shape[-2:], dtype=torch.bool).triu(1)
    return scores.masked_fill(future, float("-inf")).softmax(dim=-2) @ repeated(q, v)


def queries_averaged(q: Tensor, k: Tensor, v: Tensor) -> Tensor:
    each = q.shape[1] // k.shape[1]
    means = torch.stack([q[:, i::each] for i in range(each)]).mean(dim=0)  # of each group, (B, G, T, D)
    return attention(means, k, v).repeat_interleave(each, dim=1)


def group_added_up(q: Tensor, k: Tensor, v: Tensor) -> Tensor:
    each, z = q.shape[1] // k.shape[1], in_groups(q, k, v)
    return torch.stack([z[:, i::each] for i in range(each)]).sum(dim=0)


def in_turn_both(q: Tensor, k: Tensor, v: Tensor) -> Tensor:
    return attention(q, in_turn(q, k), in_turn(q, v))


grouped = Exercise(
    "transformer.multi_head_attention.grouped", stars=2, minutes=12, reference=in_groups, draw=draw_groups,
    edges=[draw_plain], section="Fewer keys and values than queries",
)  # fmt: skip
grouped.mistake(
    "The key-value heads are dealt out in turn, as repeat does: neighbouring query heads must share one.", in_turn_both
)
grouped.mistake(
    "The keys are dealt out in turn, as repeat does, and the values are not: neighbouring query heads share one.",
    lambda q, k, v: attention(q, in_turn(q, k), repeated(q, v)),
)
grouped.mistake(
    "The values are dealt out in turn, as repeat does, and the keys are not: neighbouring query heads share one.",
    lambda q, k, v: attention(q, repeated(q, k), in_turn(q, v)),
)
grouped.mistake("There is no causal mask: every position reads the future.", unmasked)
grouped.mistake("The mask is applied after the softmax: the weights no longer add up to 1.", masked_too_late)
grouped.mistake("The masked scores are 0, not −∞: a score of 0 still gets weight.", masked_with_zeros)
grouped.mistake("The softmax runs over the queries instead of the keys.", over_queries)
grouped.mistake("The scores are not divided by √D.", lambda q, k, v: in_groups(q * q.shape[-1] ** 0.5, k, v))
grouped.mistake("The scores are divided by D, not by √D.", lambda q, k, v: in_groups(q / q.shape[-1] ** 0.5, k, v))
grouped.mistake(
    "All query heads use the first key-value head; that is multi-query attention.",
    lambda q, k, v: in_groups(q, k[:, :1], v[:, :1]),
)
grouped.mistake("The queries of a group are averaged: each query head must look for itself.", queries_averaged)
grouped.mistake("The heads of a group are added up: each has a result of its own.", group_added_up)
grouped.mistake(
    "Keys and values are averaged over their heads: each group has its own.",
    lambda q, k, v: in_groups(q, k.mean(dim=1, keepdim=True), v.mean(dim=1, keepdim=True)),
)
grouped.mistake("The keys are read where the values belong.", lambda q, k, v: in_groups(q, k, k))

# sharing: sizes, budget -> the most heads of keys and values whose cache fits

Sizes = tuple[int, ...]


def draw_model(rng: random.Random) -> Sizes:
    """Layers, texts, heads, positions, head width, bytes a number, and a budget between two divisors of the heads."""
    n_layers, n_texts, n_positions, d_head = distinct(rng, 4, 2, 60)
    n_heads = rng.choice((8, 12, 16, 18, 20, 24, 32, 36, 40, 48))
    size = rng.choice((2, 4))
    one = 2 * n_layers * n_texts * n_positions * d_head * size
    kept = rng.choice((rng.randint(1, n_heads), rng.choice(divisors(n_heads)), n_heads + rng.randint(1, 9)))
    return n_layers, n_texts, n_heads, n_positions, d_head, size, kept * one + rng.choice((0, rng.randrange(one)))


def divisors(n: int) -> list[int]:
    return [each for each in range(1, n + 1) if n % each == 0]


def most_heads(layers: int, texts: int, n_heads: int, positions: int, d_head: int, size: int, budget: int) -> int:
    one = 2 * layers * texts * positions * d_head * size
    return max((each for each in divisors(n_heads) if each * one <= budget), default=0)


sharing = Exercise(
    "transformer.multi_head_attention.sharing", stars=2, minutes=10, reference=most_heads, draw=draw_model, tolerance=0,
    edges=[
        (2, 3, 12, 5, 7, 2, 840 * 6), (2, 3, 12, 5, 7, 2, 840 * 6 - 1), (2, 3, 12, 5, 7, 2, 839),
        (2, 3, 12, 5, 7, 2, 840 * 100), (2, 3, 7, 5, 7, 2, 840 * 6), (2, 3, 1, 5, 7, 2, 840),
    ],
    section="What it costs",
)  # fmt: skip
sharing.mistake(
    "Only the keys, or only the values, are counted: both are kept.",
    lambda layers, texts, h, t, d, size, budget: most_heads(layers, texts, h, t, d, size, 2 * budget),
)
sharing.mistake(
    "Keys, values and queries are counted: queries are not kept.",
    lambda layers, texts, h, t, d, size, budget: most_heads(layers, texts, h, t, d, size, 2 * budget // 3),
)
sharing.mistake(
    "The layers are missing: each has keys and values of its own.",
    lambda layers, texts, h, t, d, size, budget: most_heads(1, texts, h, t, d, size, budget),
)
sharing.mistake(
    "The texts are missing: each has keys and values of its own.",
    lambda layers, texts, h, t, d, size, budget: most_heads(layers, 1, h, t, d, size, budget),
)
sharing.mistake(
    "The positions are missing: each has a key and a value.",
    lambda layers, texts, h, t, d, size, budget: most_heads(layers, texts, h, 1, d, size, budget),
)
sharing.mistake(
    "A cache is counted in numbers, and the budget in bytes: multiply by `size`.",
    lambda layers, texts, h, t, d, size, budget: most_heads(layers, texts, h, t, d, 1, budget),
)
sharing.mistake(
    "A cache is counted in bits, and the budget in bytes.",
    lambda layers, texts, h, t, d, size, budget: most_heads(layers, texts, h, t, d, 8 * size, budget),
)
sharing.mistake(
    "So many heads fit, but the query heads cannot be shared out among them: take a divisor of n_heads.",
    lambda layers, texts, h, t, d, size, budget: min(h, budget // (2 * layers * texts * t * d * size)),
)
sharing.mistake(
    "So many heads fit, but they must divide n_heads, and be no more than n_heads.",
    lambda layers, texts, h, t, d, size, budget: budget // (2 * layers * texts * t * d * size),
)
sharing.mistake(
    "A cache that takes the budget exactly is refused: it fits. Ask `<=`, not `<`.",
    lambda layers, texts, h, t, d, size, budget: most_heads(layers, texts, h, t, d, size, budget - 1),
)
sharing.mistake(
    "Only powers of two are tried: any divisor of n_heads will do.",
    lambda layers, texts, h, t, d, size, budget: max(
        (g for g in divisors(h) if g & (g - 1) == 0 and 2 * g * layers * texts * t * d * size <= budget), default=0
    ),
)
sharing.mistake(
    "n_heads itself is left out: without sharing it may fit as well.",
    lambda layers, texts, h, t, d, size, budget: max(
        (g for g in divisors(h)[:-1] if 2 * g * layers * texts * t * d * size <= budget), default=0
    ),
)
sharing.mistake(
    "This is how many query heads share one: asked for is how many heads of keys and values there are.",
    lambda *sizes: sizes[2] // most_heads(*sizes) if most_heads(*sizes) else 0,
)
sharing.mistake(
    "The smallest number that fits is taken: the largest is asked for.", lambda *sizes: min(most_heads(*sizes), 1)
)
