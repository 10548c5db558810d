"""An exercise on byte-pair encoding: how a word is cut by the merges learned.

Practised in book/2-building-a-transformer/01_tokens_embeddings_positions.md; the module is
insideout/transformer/bpe.py. Standard library only. Sources: Gage 1994; Sennrich, Haddow and Birch 2016, algorithm 1.
"""

import random
from collections.abc import Callable
from itertools import pairwise

from insideout.exercises.catalogue import Exercise, Mistake

Ids = list[int]
Pair = tuple[int, int]


def differ(functions: list[Callable[..., object]], *arguments: object) -> bool:
    """Does every function give another answer?"""
    answers = [repr(function(*arguments)) for function in functions]
    return len(set(answers)) == len(answers)


# tokens.encode: a word's ids, merges -> the ids after the merges


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


exercises: list[Exercise] = [
    Exercise(
        id="tokens.encode",
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
]
