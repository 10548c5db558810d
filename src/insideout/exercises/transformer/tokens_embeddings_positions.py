"""Exercises on byte-pair encoding and on positions: how a word is cut by the merges learned, RoPE's turn, ALiBi's bias.

Practised in book/2-building-a-transformer/01_tokens_embeddings_positions.md; the modules are
insideout/transformer/bpe.py and positions.py. Sources: Gage 1994; Sennrich, Haddow and Birch 2016, algorithm 1;
Su et al. 2021, §3.2 to 3.4; Press et al. 2022, §3. Shapes: B batch, H heads, T positions, D head width.
"""

import random
from itertools import pairwise

import torch
from torch import Tensor

from insideout.exercises.catalogue import Exercise
from insideout.exercises.drawing import tensor

Ids = list[int]
Pair = tuple[int, int]

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


def replayed(ids: Ids, merges: list[Pair], first: int = 256) -> Ids:
    for r, pair in enumerate(merges):
        ids = merge(ids, pair, first + r)
    return ids


def leftmost_first(ids: Ids, merges: list[Pair]) -> Ids:
    rank = {pair: r for r, pair in enumerate(merges)}
    while found := [i for i, pair in enumerate(pairwise(ids)) if pair in rank]:
        i = found[0]
        ids = [*ids[:i], 256 + rank[ids[i], ids[i + 1]], *ids[i + 2 :]]
    return ids


def latest_first(ids: Ids, merges: list[Pair]) -> Ids:
    rank = {pair: r for r, pair in enumerate(merges)}
    while found := [pair for pair in pairwise(ids) if pair in rank]:
        pair = max(found, key=rank.__getitem__)
        ids = merge(ids, pair, 256 + rank[pair])
    return ids


def backwards(ids: Ids, merges: list[Pair]) -> Ids:
    for r in reversed(range(len(merges))):
        ids = merge(ids, merges[r], 256 + r)
    return ids


def longest_first(ids: Ids, merges: list[Pair]) -> Ids:
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


def one_each(ids: Ids, merges: list[Pair]) -> Ids:
    for r, pair in enumerate(merges):
        places = [i for i, found in enumerate(pairwise(ids)) if found == pair]
        if places:
            ids = [*ids[: places[0]], 256 + r, *ids[places[0] + 2 :]]
    return ids


def until_missing(ids: Ids, merges: list[Pair]) -> Ids:
    for r, pair in enumerate(merges):
        if pair not in pairwise(ids):
            break
        ids = merge(ids, pair, 256 + r)
    return ids


def one_pass(ids: Ids, merges: list[Pair]) -> Ids:
    """From left to right once, each pair that was learned, of the bytes alone."""
    rank = {pair: r for r, pair in enumerate(merges)}
    encoded, i = [], 0
    while i < len(ids):
        found = rank.get((ids[i], ids[i + 1])) if i + 1 < len(ids) else None
        encoded.append(ids[i] if found is None else 256 + found)
        i += 1 if found is None else 2
    return encoded


def overlapping(ids: Ids, merges: list[Pair]) -> Ids:
    """Every place where the pair stands is replaced, those too that share a token with the place before."""
    for r, pair in enumerate(merges):
        at = [i for i, found in enumerate(pairwise(ids)) if found == pair]
        ids = [256 + r if i in at else id for i, id in enumerate(ids) if i - 1 not in at or i in at]
    return ids


def from_the_right(ids: Ids, merges: list[Pair]) -> Ids:
    for r, (left, right) in enumerate(merges):
        ids = merge(ids[::-1], (right, left), 256 + r)[::-1]
    return ids


def either_order(ids: Ids, merges: list[Pair]) -> Ids:
    for r, (left, right) in enumerate(merges):
        joined: Ids = []
        for id in ids:
            if joined and (joined[-1], id) in ((left, right), (right, left)):
                joined[-1] = 256 + r
            else:
                joined.append(id)
        ids = joined
    return ids


def draw_merges(rng: random.Random) -> tuple[Ids, list[Pair]]:
    """Merges learned on one word of three bytes, and that word or another to cut."""
    a, b, c = rng.sample(range(256), 3)
    learned = [rng.choice((a, a, b, c)) for _ in range(18)]
    merges: list[Pair] = []
    merged = learned
    for r in range(rng.randint(3, 7)):
        if len(merged) < 2:
            break
        merges.append(rng.choice(list(pairwise(merged))))
        merged = merge(merged, merges[r], 256 + r)
    other = [rng.choice((a, a, b, c)) for _ in range(rng.randint(8, 20))]
    return rng.choice((learned, other)), merges


encode = Exercise(
    "transformer.tokens_embeddings_positions.encode", stars=2, minutes=12, reference=replayed, draw=draw_merges,
    tolerance=0,
    edges=[
        ([7], [(7, 7)]), ([7, 7, 7], [(7, 7)]), ([7, 7, 7, 7, 7], [(7, 7), (256, 7), (256, 256)]), ([1, 2, 3], []),
        ([0, 255, 0, 255], [(255, 0), (0, 256)]), ([1, 2, 3, 4], [(2, 3), (1, 2), (3, 4), (1, 256)]),
        ([9, 8], [(9, 8)]), ([9, 9, 8], [(9, 8), (9, 256)]),
    ],
    section="There and back",
)  # fmt: skip
encode.mistake("The leftmost pair that is in the list is joined first; the pair learned first must be.", leftmost_first)
encode.mistake(
    "The pair learned last is joined first, again and again: the merges are applied in the order learned.", latest_first
)
encode.mistake("The merges are replayed from the last to the first: they go in the order learned.", backwards)
encode.mistake(
    "From the left, the longest token that fits is taken. That is another tokenizer: BPE replays merges.", longest_first
)
encode.mistake("Each merge joins only its first occurrence; it must join all of them.", one_each)
encode.mistake(
    "The merges end at the first pair that the word does not hold: pass over it, later ones may be there.",
    until_missing,
)
encode.mistake("One pass joins bytes alone: what was joined must be able to join again.", one_pass)
encode.mistake("Of three equal tokens both pairs are joined: after joining two, go on behind them.", overlapping)
encode.mistake("The word is joined from its end: of three equal tokens the first two are joined.", from_the_right)
encode.mistake("A pair is joined in either order: (a, b) is not (b, a).", either_order)
for first, sentence in (
    (257, "The new ids are one too large: merge r makes token 256 + r, counted from 0."),
    (255, "The new ids are one too small: merge r makes token 256 + r, counted from 0."),
    (0, "The new ids are r: merge r makes token 256 + r."),
):
    encode.mistake(sentence, lambda ids, merges, first=first: replayed(ids, merges, first))
encode.mistake("All merges make the token 256: merge r makes 256 + r.", lambda ids, merges: made_one(ids, merges))
encode.mistake("Only the first merge is made: the others come after it.", lambda ids, merges: replayed(ids, merges[:1]))
encode.mistake("The last merge is not made.", lambda ids, merges: replayed(ids, merges[:-1]))
encode.mistake("Nothing is merged: these are the bytes.", lambda ids, merges: ids)


def made_one(ids: Ids, merges: list[Pair]) -> Ids:
    for pair in merges:
        ids = merge(ids, pair, 256)
    return ids


# rotate: x, base -> x turned


def draw_heads(rng: random.Random, B: int, H: int, T: int, pairs: int) -> tuple[Tensor, float]:
    """Queries (B, H, T, D), of D / 2 pairs, and a base small enough that every pair turns."""
    return tensor(rng, B, H, T, 2 * pairs), rng.uniform(5.0, 100.0)


def angles(x: Tensor, base: float, first: float = 0.0, power: float = 2.0, pair: float = 0.0) -> Tensor:
    """(T, D/2): position times speed."""
    n, width = x.shape[-2:]
    numbers = torch.arange(width // 2, dtype=x.dtype) + pair
    return (first + torch.arange(n, dtype=x.dtype))[:, None] * base ** (-power * numbers / width)


def turn(x: Tensor, angle: Tensor, sign: float = 1.0) -> Tensor:
    a, b = x.chunk(2, dim=-1)
    return torch.cat([a * angle.cos() - sign * b * angle.sin(), b * angle.cos() + sign * a * angle.sin()], dim=-1)


def rotated(x: Tensor, base: float) -> Tensor:
    return turn(x, angles(x, base))


def neighbours(x: Tensor, base: float) -> Tensor:
    angle = angles(x, base)
    a, b = x[..., 0::2], x[..., 1::2]
    pairs = (a * angle.cos() - b * angle.sin(), b * angle.cos() + a * angle.sin())
    return torch.stack(pairs, dim=-1).flatten(-2)


def unlike_pairs(x: Tensor, base: float) -> Tensor:
    """The angles of neighbours, for pairs that are half a width apart."""
    angle = angles(x, base).repeat_interleave(2, dim=-1)
    a, b = x.chunk(2, dim=-1)
    return x * angle.cos() + torch.cat([-b, a], dim=-1) * angle.sin()


def put_together_wrong(x: Tensor, base: float) -> Tensor:
    a, b = rotated(x, base).chunk(2, dim=-1)
    return torch.stack([a, b], dim=-1).flatten(-2)


def without_minus(x: Tensor, base: float) -> Tensor:
    angle = angles(x, base)
    a, b = x.chunk(2, dim=-1)
    return torch.cat([a * angle.cos() + b * angle.sin(), b * angle.cos() + a * angle.sin()], dim=-1)


def written_over(x: Tensor, base: float) -> Tensor:
    """The turned first half is used for the second."""
    angle = angles(x, base)
    a, b = x.chunk(2, dim=-1)
    a = a * angle.cos() - b * angle.sin()
    return torch.cat([a, b * angle.cos() + a * angle.sin()], dim=-1)


def exchanged(x: Tensor, base: float) -> Tensor:
    angle = angles(x, base)
    a, b = x.chunk(2, dim=-1)
    return torch.cat([a * angle.sin() - b * angle.cos(), b * angle.sin() + a * angle.cos()], dim=-1)


def heads_as_positions(x: Tensor, base: float) -> Tensor:
    return rotated(x.transpose(1, 2), base).transpose(1, 2)


rotate = Exercise(
    "transformer.tokens_embeddings_positions.rotate", stars=2, minutes=15, reference=rotated, draw=draw_heads,
    tolerance=1e-5, section="A turn: RoPE",
)  # fmt: skip
rotate.mistake(
    "Neighbours are paired, 0 with 1; here dimension i is paired with i + D/2. Both are RoPE, but weights trained with "
    "one cannot be read with the other.",
    neighbours,
)
rotate.mistake(
    "The pairs turn the other way: scores still depend on the distance alone, but these are the angles of "
    "another model.",
    lambda x, base: turn(x, angles(x, base), sign=-1.0),
)
rotate.mistake(
    "Positions are counted from 1: the first is 0 and does not turn.",
    lambda x, base: turn(x, angles(x, base, first=1.0)),
)
rotate.mistake(
    "Pairs are counted from 1: the first has i = 0, and turns by one radian a position.",
    lambda x, base: turn(x, angles(x, base, pair=1.0)),
)
rotate.mistake(
    "The power is −i/D: it is −2i/D, so that the slowest pair is nearly base times slower.",
    lambda x, base: turn(x, angles(x, base, power=1.0)),
)
rotate.mistake(
    "The power is −4i/D: i counts pairs, and 2i is in the power once.",
    lambda x, base: turn(x, angles(x, base, power=4.0)),
)
rotate.mistake(
    "The power is +2i/D: later pairs must turn more slowly.", lambda x, base: turn(x, angles(x, base, power=-2.0))
)
rotate.mistake(
    "All pairs turn at the same speed: then far positions look like near ones.",
    lambda x, base: turn(x, angles(x, base, power=0.0)),
)
rotate.mistake("The base is 10,000, whatever is given.", lambda x, base: rotated(x, 10_000.0))
rotate.mistake(
    "The angle is the speed alone: multiply it by the position.",
    lambda x, base: turn(x, angles(x, base, first=1.0)[:1].expand(x.shape[-2], -1)),
)
rotate.mistake("A minus sign is missing: this is no rotation, and lengths change.", without_minus)
rotate.mistake("The turned first half is used for the second: take both from the old values.", written_over)
rotate.mistake("Sine and cosine have changed places.", exchanged)
rotate.mistake(
    "The angles are repeated in pairs of neighbours, and the dimensions are paired half a width apart: repeat all of "
    "the angles twice, one after the other.",
    unlike_pairs,
)
rotate.mistake("The halves are put together in turn; one belongs behind the other: `torch.cat`.", put_together_wrong)
rotate.mistake("The heads turn by their number: it is the position, the last axis but one.", heads_as_positions)
rotate.mistake(
    "The angles are taken for degrees: sine and cosine want radians.",
    lambda x, base: turn(x, angles(x, base) * 0.017453292519943295),
)

# alibi: n_heads, n -> (H, T, T)


def draw_sizes(rng: random.Random, T: int) -> tuple[int, int]:
    """Heads, a power of two as in the paper, and positions."""
    return rng.choice([2, 4, 8, 16]), T


def slopes(n_heads: int, first: int = 1, range_: float = 8.0) -> Tensor:
    return 2.0 ** (-range_ * torch.arange(first, n_heads + first, dtype=torch.float64) / n_heads)


def bias(slope: Tensor, n: int) -> Tensor:
    """−slope · (t − s), without a mask."""
    place = torch.arange(n, dtype=torch.float64)
    return -slope[:, None, None] * (place[:, None] - place)


def hide_future(scores: Tensor, fill: float = float("-inf")) -> Tensor:
    return scores.masked_fill(torch.ones(scores.shape[-2:], dtype=torch.bool).triu(1), fill)


def priced(n_heads: int, n: int) -> Tensor:
    return hide_future(bias(slopes(n_heads), n))


def shifted_rows(n_heads: int, n: int) -> Tensor:
    """slope · s: each row is off by a constant, which the softmax does not see."""
    return hide_future(slopes(n_heads)[:, None, None] * torch.arange(n, dtype=torch.float64).expand(n, n))


alibi = Exercise(
    "transformer.tokens_embeddings_positions.alibi", stars=2, minutes=10, reference=priced, draw=draw_sizes,
    edges=[(1, 3), (2, 1), (8, 8), (4, 4), (2, 5)], section="A price on distance: ALiBi",
)  # fmt: skip
alibi.mistake(
    "The sign is wrong: far keys would gain by their distance.",
    lambda n_heads, n: hide_future(-bias(slopes(n_heads), n)),
)
alibi.mistake(
    "Later keys are not hidden: without a mask ALiBi would even favour them.",
    lambda n_heads, n: bias(slopes(n_heads), n),
)
alibi.mistake(
    "Later keys are not hidden: the distance is taken as its absolute value, and they may be read.",
    lambda n_heads, n: -bias(slopes(n_heads), n).abs(),
)
alibi.mistake(
    "Later keys get 0, and so the highest of all scores: they must get −∞.",
    lambda n_heads, n: hide_future(bias(slopes(n_heads), n), 0.0),
)
alibi.mistake(
    "Later keys are hidden, and the key itself too: it costs 0, and may be read.",
    lambda n_heads, n: priced(n_heads, n).masked_fill(torch.eye(n, dtype=torch.bool), float("-inf")),
)
alibi.mistake(
    "Heads are counted from 0: the first slope is then 1, and the slowest head forgets faster than it should.",
    lambda n_heads, n: hide_future(bias(slopes(n_heads, first=0), n)),
)
alibi.mistake(
    "The slopes are 2 to the power of −h, as with 8 heads: it is −8h/H.",
    lambda n_heads, n: hide_future(bias(slopes(n_heads, range_=float(n_heads)), n)),
)
alibi.mistake(
    "The slopes are 2 to the power of −h/H: it is −8h/H.",
    lambda n_heads, n: hide_future(bias(slopes(n_heads, range_=1.0), n)),
)
alibi.mistake(
    "The slopes are e to the power of −8h/H: it is 2.",
    lambda n_heads, n: hide_future(bias(slopes(n_heads, range_=11.541560327111707), n)),
)
alibi.mistake(
    "The slopes come in reverse: the first head's is the steepest.",
    lambda n_heads, n: hide_future(bias(slopes(n_heads).flip(0), n)),
)
alibi.mistake(
    "All heads have the same slope: each needs its own.",
    lambda n_heads, n: hide_future(bias(slopes(n_heads)[:1].expand(n_heads), n)),
)
alibi.mistake(
    "Queries and keys are exchanged: rows are queries, and row t hides the keys after t.",
    lambda n_heads, n: priced(n_heads, n).transpose(-2, -1),
)
alibi.mistake(
    "The price is slope · s, so each row is off by a constant. The softmax does not see it, but asked for is "
    "−slope · (t − s), which is 0 for the key itself.",
    shifted_rows,
)
alibi.mistake(
    "The distance is counted from 1: a key at the query's own place costs 0.",
    lambda n_heads, n: priced(n_heads, n) - slopes(n_heads)[:, None, None],
)
alibi.mistake(
    "The slope is missing: every head pays 1 for each place.",
    lambda n_heads, n: hide_future(bias(torch.ones(n_heads, dtype=torch.float64), n)),
)
alibi.mistake(
    "The heads come last, (T, T, H): they come first.", lambda n_heads, n: priced(n_heads, n).permute(1, 2, 0)
)
