"""Byte-level byte-pair encoding, readable: how a vocabulary is learned from text, and how text becomes tokens.

Begin with the 256 bytes as tokens. Again and again, join the pair of neighbours seen most often:

    merge r:   (a, b) = argmax over pairs of count(a, b);   token 256 + r = a b

To encode, split the text into words with GPT-2's pattern, then apply the merges to each word in the order learned.
Taught in book/2-building-a-transformer/01_tokens_embeddings_positions.md. Sources: Gage 1994; Sennrich, Haddow and
Birch 2016 (algorithm 1); Radford et al. 2019 (bytes, the pattern). The fast path, with the same ids by test, is
tokenizer.py.
"""

import heapq
from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator
from itertools import pairwise

from tokenizers import pre_tokenizers

from insideout.data.text.cut import cut_safely

Pair = tuple[int, int]

# GPT-2's pattern: a contraction, or a run of letters, digits or other signs with at most one blank before it, or
# blanks. Python's re has no \p{L} (any letter) and \p{N} (any digit); tokenizers has the pattern built in.
PATTERN = r"""'(?:[sdmt]|ll|ve|re)| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|\s+(?!\S)|\s+"""

_SPLIT = pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=True)


def byte_symbols() -> dict[int, str]:
    """GPT-2's printable stand-in for each byte: tokenizer.json can only hold characters.

    Printable bytes stand for themselves, the other 68 for the characters from U+0100 on: a blank is shown as Ġ.
    """
    printable = {*range(ord("!"), ord("~") + 1), *range(ord("¡"), ord("¬") + 1), *range(ord("®"), ord("ÿ") + 1)}
    others = [byte for byte in range(256) if byte not in printable]
    return {byte: chr(byte) for byte in sorted(printable)} | {byte: chr(256 + i) for i, byte in enumerate(others)}


BYTE_TO_SYMBOL = byte_symbols()
SYMBOL_TO_BYTE = {symbol: byte for byte, symbol in BYTE_TO_SYMBOL.items()}
# GPT-2 numbers the bytes in the order of their stand-ins: "!" is token 0, the blank token 220.
BYTE_TOKENS = [bytes([SYMBOL_TO_BYTE[symbol]]) for symbol in sorted(SYMBOL_TO_BYTE)]
BYTE_TO_ID = {token[0]: id for id, token in enumerate(BYTE_TOKENS)}


def words(text: str) -> Iterator[bytes]:
    """The text split by GPT-2's pattern, as UTF-8; joined, the words are the text."""
    for piece in cut_safely([text]):
        for word, _ in _SPLIT.pre_tokenize_str(piece):
            yield bytes(SYMBOL_TO_BYTE[symbol] for symbol in word)


def count_words(chunks: Iterable[str]) -> Counter[bytes]:
    """How often each word occurs in a stream of text. Merges never cross words, so this is all that training needs."""
    counts: Counter[str] = Counter()
    for piece in cut_safely(chunks):
        counts.update(word for word, _ in _SPLIT.pre_tokenize_str(piece))
    return Counter({bytes(SYMBOL_TO_BYTE[symbol] for symbol in word): n for word, n in counts.items()})


def merge(ids: list[int], pair: Pair, new: int) -> list[int]:
    """Every occurrence of the pair, from the left, replaced by the new token: merge([1, 2, 2], (1, 2), 9) = [9, 2]."""
    merged, i = [], 0
    while i < len(ids):
        if i + 1 < len(ids) and (ids[i], ids[i + 1]) == pair:
            merged.append(new)
            i += 2
        else:
            merged.append(ids[i])
            i += 1
    return merged


def train(counts: Counter[bytes], n_merges: int) -> list[Pair]:
    """The first `n_merges` merges, fewer when no pair is left; of equally frequent pairs the one with smaller ids.

    Counting all pairs anew for each merge would be simplest. But a merge changes only the words that hold the pair, so
    the counts are kept and only those words are counted out and in again. The largest count comes from a heap that may
    hold old entries: one whose count is no longer true is put back with the count of now.
    """
    spelled = [[BYTE_TO_ID[byte] for byte in word] for word in counts]  # each word as ids
    times = list(counts.values())
    pair_count: Counter[Pair] = Counter()
    found_in: defaultdict[Pair, set[int]] = defaultdict(set)  # the words that (may) hold a pair
    for w, ids in enumerate(spelled):
        for pair in pairwise(ids):
            pair_count[pair] += times[w]
            found_in[pair].add(w)
    heap = [(-count, pair) for pair, count in pair_count.items()]
    heapq.heapify(heap)

    merges: list[Pair] = []
    while heap and len(merges) < n_merges:
        negative, pair = heapq.heappop(heap)
        if -negative != pair_count[pair]:  # an old entry; counts in the heap are never too small
            if pair_count[pair] > 0:
                heapq.heappush(heap, (-pair_count[pair], pair))
            continue
        new = 256 + len(merges)
        merges.append(pair)
        touched: set[Pair] = set()
        for w in found_in.pop(pair):
            before = spelled[w]
            after = merge(before, pair, new)
            for old in pairwise(before):
                pair_count[old] -= times[w]
            for now in pairwise(after):
                pair_count[now] += times[w]
                if new in now:
                    found_in[now].add(w)
                    touched.add(now)
            spelled[w] = after
        for now in touched:
            heapq.heappush(heap, (-pair_count[now], now))
    return merges


def vocabulary(merges: Iterable[Pair]) -> list[bytes]:
    """The bytes that each token stands for, by id."""
    tokens = list(BYTE_TOKENS)
    for left, right in merges:
        tokens.append(tokens[left] + tokens[right])
    return tokens


def encode_word(word: bytes, rank: dict[Pair, int]) -> list[int]:
    """One word's tokens: of the pairs present, merge the one learned first, until none is left."""
    ids = [BYTE_TO_ID[byte] for byte in word]
    while len(ids) > 1:
        pair = min(pairwise(ids), key=lambda pair: rank.get(pair, len(rank)))
        if pair not in rank:
            break
        ids = merge(ids, pair, 256 + rank[pair])
    return ids


def encode(text: str, merges: list[Pair]) -> list[int]:
    """A text's tokens, the readable way."""
    rank = {pair: r for r, pair in enumerate(merges)}
    return [id for word in words(text) for id in encode_word(word, rank)]
