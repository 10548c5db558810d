"""Exercises on byte-pair encoding and on positions: how a word is cut by the merges learned, RoPE's turn, ALiBi's bias.

Practised in book/2-building-a-transformer/01_tokens_embeddings_positions.md; the modules are
insideout/transformer/bpe.py and positions.py. Sources: Gage 1994; Sennrich, Haddow and Birch 2016, algorithm 1;
Su et al. 2021, §3.2 to 3.4; Press et al. 2022, §3. Shapes: B batch, H heads, T positions, D head width.
"""

import random
from collections.abc import Callable
from itertools import pairwise

import torch
from torch import Tensor

from insideout.exercises.catalogue import Exercise, Mistake

Ids = list[int]
Pair = tuple[int, int]


def differ(functions: list[Callable[..., object]], *arguments: object) -> bool:
    """Does every function give another answer?"""
    answers = [repr(function(*arguments)) for function in functions]
    return len(set(answers)) == len(answers)


# encode: a word's ids, merges -> the ids after the merges


def merge(ids: Ids, pair: Pair, new: int) -> Ids:
    merged, i = [], 0
    while i < len(ids):
        if tuple(ids[i : i + 2]) == pair:
            merged.append(new)
            i += 2
        else:
            merged.append(ids[i])
            i += 1
    return merged


def encode(ids: Ids, merges: list[Pair]) -> Ids:
    for r, pair in enumerate(merges):
        ids = merge(ids, pair, 256 + r)
    return ids


def encode_leftmost_first(ids: Ids, merges: list[Pair]) -> Ids:
    rank = {pair: r for r, pair in enumerate(merges)}
    while found := [i for i, pair in enumerate(pairwise(ids)) if pair in rank]:
        i = found[0]
        ids = [*ids[:i], 256 + rank[ids[i], ids[i + 1]], *ids[i + 2 :]]
    return ids


def encode_latest_first(ids: Ids, merges: list[Pair]) -> Ids:
    rank = {pair: r for r, pair in enumerate(merges)}
    while found := [pair for pair in pairwise(ids) if pair in rank]:
        pair = max(found, key=rank.__getitem__)
        ids = merge(ids, pair, 256 + rank[pair])
    return ids


def encode_longest_first(ids: Ids, merges: list[Pair]) -> Ids:
    spelling: dict[int, Ids] = {id: [id] for id in range(256)}
    for r, (left, right) in enumerate(merges):
        spelling[256 + r] = spelling[left] + spelling[right]
    encoded, i = [], 0
    while i < len(ids):
        fitting = [id for id, spelled in spelling.items() if ids[i : i + len(spelled)] == spelled]
        longest = max(fitting, key=lambda id: len(spelling[id]))
        encoded.append(longest)
        i += len(spelling[longest])
    return encoded


def encode_one_each(ids: Ids, merges: list[Pair]) -> Ids:
    for r, pair in enumerate(merges):
        places = [i for i, found in enumerate(pairwise(ids)) if found == pair]
        if places:
            ids = [*ids[: places[0]], 256 + r, *ids[places[0] + 2 :]]
    return ids


def draw_merges(rng: random.Random) -> tuple[Ids, list[Pair]]:
    """A word over three bytes, and five merges, each of two tokens that stand side by side in it by then."""
    wrong = [encode_one_each, encode_leftmost_first, encode_latest_first, encode_longest_first]
    while True:
        ids = [rng.randrange(3) for _ in range(16)]
        merges: list[Pair] = []
        merged = ids
        for r in range(5):
            merges.append(rng.choice(list(pairwise(merged))))
            merged = merge(merged, merges[r], 256 + r)
            if len(merged) < 2:
                break
        if differ([encode, *wrong], ids, merges):
            return ids, merges


# rotate: x, base -> x turned


def draw_heads(rng: random.Random) -> tuple[Tensor, float]:
    """Queries (B, H, T, D), and a base small enough that every pair turns."""
    x = torch.randn(2, 3, 7, 8, generator=torch.Generator().manual_seed(rng.getrandbits(31)), dtype=torch.float64)
    return x, rng.choice([20.0, 50.0, 100.0])


def angles(x: Tensor, base: float, first: int = 0, power: float = 2.0) -> Tensor:
    """(T, D/2): position times speed."""
    n, width = x.shape[-2:]
    pair = torch.arange(width // 2, dtype=x.dtype)
    return (first + torch.arange(n, dtype=x.dtype))[:, None] * base ** (-power * pair / width)


def turn(x: Tensor, angle: Tensor, sign: float = 1.0) -> Tensor:
    a, b = x.chunk(2, dim=-1)
    return torch.cat([a * angle.cos() - sign * b * angle.sin(), b * angle.cos() + sign * a * angle.sin()], dim=-1)


def rotated(x: Tensor, base: float) -> Tensor:
    return turn(x, angles(x, base))


def rotated_neighbours(x: Tensor, base: float) -> Tensor:
    angle = angles(x, base)
    a, b = x[..., 0::2], x[..., 1::2]
    pairs = (a * angle.cos() - b * angle.sin(), b * angle.cos() + a * angle.sin())
    return torch.stack(pairs, dim=-1).flatten(-2)


def rotated_without_minus(x: Tensor, base: float) -> Tensor:
    angle = angles(x, base)
    a, b = x.chunk(2, dim=-1)
    return torch.cat([a * angle.cos() + b * angle.sin(), b * angle.cos() + a * angle.sin()], dim=-1)


# alibi: n_heads, n -> (H, T, T)


def draw_sizes(rng: random.Random) -> tuple[int, int]:
    """Heads and positions."""
    return rng.choice([2, 4, 8]), rng.randrange(4, 9)


def slopes(n_heads: int, first: int = 1) -> Tensor:
    return 2.0 ** (-8.0 * torch.arange(first, n_heads + first, dtype=torch.float64) / n_heads)


def bias(slope: Tensor, n: int) -> Tensor:
    """-slope · (t - s), without a mask."""
    place = torch.arange(n, dtype=torch.float64)
    return -slope[:, None, None] * (place[:, None] - place)


def hide_future(scores: Tensor) -> Tensor:
    future = torch.ones(scores.shape[-2:], dtype=torch.bool).triu(1)
    return scores.masked_fill(future, float("-inf"))


def alibi(n_heads: int, n: int) -> Tensor:
    return hide_future(bias(slopes(n_heads), n))


exercises: list[Exercise] = [
    Exercise(
        id="transformer.tokens_embeddings_positions.encode",
        difficulty=2,
        minutes=12,
        reference=encode,
        draw=draw_merges,
        tolerance=1e-9,
        hints=[
            "Of the pairs that are present, join the one that was learned first.",
            "A merge only makes ids larger than all before it, so no earlier merge can apply again: one pass over the "
            "merges, in the order learned, is enough.",
        ],
        mistakes=[
            Mistake(
                "The leftmost pair that is in the list is joined first; the pair learned first must be.",
                encode_leftmost_first,
            ),
            Mistake(
                "The pair learned last is joined first: the merges are applied in the order learned.",
                encode_latest_first,
            ),
            Mistake(
                "From the left, the longest token that fits is taken. That is another tokenizer: BPE replays merges.",
                encode_longest_first,
            ),
            Mistake(
                "Each merge joins only its first occurrence; it must join all of them.",
                encode_one_each,
            ),
        ],
    ),
    Exercise(
        id="transformer.tokens_embeddings_positions.rotate",
        difficulty=2,
        minutes=15,
        reference=rotated,
        draw=draw_heads,
        tolerance=1e-9,
        hints=[
            "First the angles, (T, D/2): the position times base to the power of -2i/D.",
            "x.chunk(2, dim=-1) gives both halves. A turn by φ makes (a, b) into (a cos φ - b sin φ, b cos φ + a sin "
            "φ).",
        ],
        mistakes=[
            Mistake(
                "Neighbours are paired, 0 with 1; here dimension i is paired with i + D/2. Both are RoPE, but weights "
                "trained with one cannot be read with the other.",
                rotated_neighbours,
            ),
            Mistake(
                "The pairs turn the other way: scores still depend on the distance alone, but these are the angles "
                "of another model.",
                lambda x, base: turn(x, angles(x, base), sign=-1.0),
            ),
            Mistake(
                "Positions are counted from 1: the first is 0 and does not turn.",
                lambda x, base: turn(x, angles(x, base, first=1)),
            ),
            Mistake(
                "The power is -i/D: it is -2i/D, so that the slowest pair is nearly base times slower.",
                lambda x, base: turn(x, angles(x, base, power=1.0)),
            ),
            Mistake(
                "All pairs turn at the same speed: then far positions look like near ones.",
                lambda x, base: turn(x, angles(x, base, power=0.0)),
            ),
            Mistake(
                "A minus sign is missing: this is no rotation, and lengths change.",
                rotated_without_minus,
            ),
        ],
    ),
    Exercise(
        id="transformer.tokens_embeddings_positions.alibi",
        difficulty=2,
        minutes=10,
        reference=alibi,
        draw=draw_sizes,
        tolerance=1e-6,
        hints=[
            "torch.arange(n)[:, None] - torch.arange(n) is the distance from every query to every key.",
            "Head h, counted from 1, has the slope 2 to the power of -8h/H.",
        ],
        mistakes=[
            Mistake(
                "The sign is wrong: far keys would gain by their distance.",
                lambda n_heads, n: hide_future(-bias(slopes(n_heads), n)),
            ),
            Mistake(
                "Later keys are not hidden: without a mask ALiBi would even favour them.",
                lambda n_heads, n: bias(slopes(n_heads), n),
            ),
            Mistake(
                "Heads are counted from 0: the first slope is then 1, and the slowest head forgets faster than it "
                "should.",
                lambda n_heads, n: hide_future(bias(slopes(n_heads, first=0), n)),
            ),
            Mistake(
                "All heads have the same slope: each needs its own.",
                lambda n_heads, n: hide_future(bias(slopes(n_heads)[:1].expand(n_heads), n)),
            ),
            Mistake(
                "Queries and keys are exchanged: rows are queries, and row t hides the keys after t.",
                lambda n_heads, n: alibi(n_heads, n).transpose(-2, -1),
            ),
        ],
    ),
]
