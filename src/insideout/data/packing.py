"""Packing: which documents lie together in a row, so that few tokens of the rows are padding.

    best_fit([5, 2, 6, 3], row_length=8)  ->  [[2, 1], [0, 3]]        the documents' numbers, a list a row

The longest document first, each into the fullest row that still has room for it, and into a new row where none has.
Finding the fewest rows is NP-hard; this rule needs at most 11/9 of them and 4 more. No document is cut.
Taught in book/3-fine-tuning-a-transformer/03_loss_masks_and_packing.md. Sources: Ding et al. 2024 (Fewer truncations
improve language modeling), §3; Johnson et al. 1974 (the bound).
"""

from bisect import bisect_left, insort
from collections.abc import Sequence

from insideout.errors import BadInput

__all__ = ["best_fit", "filled", "first_fit"]

Rows = list[list[int]]


def best_fit(lengths: Sequence[int], row_length: int) -> Rows:
    """Best-fit decreasing: each row's documents by number. The same for the same lengths, in O(n log n) comparisons.

    Raises BadInput for a document that is longer than a row, with its number.
    """
    check(lengths, row_length)
    rows: Rows = []
    free: list[tuple[int, int]] = []  # (room, row), the fullest row first
    for number in sorted(range(len(lengths)), key=lambda number: -lengths[number]):
        at = bisect_left(free, (lengths[number], 0))
        room, row = free.pop(at) if at < len(free) else (row_length, len(rows))
        if row == len(rows):
            rows.append([])
        rows[row].append(number)
        insort(free, (room - lengths[number], row))
    return rows


def first_fit(lengths: Sequence[int], row_length: int) -> Rows:
    """The documents in their own order, each into the first row that has room for it. To be compared with.

    Raises BadInput as `best_fit` does.
    """
    check(lengths, row_length)
    rows: Rows = []
    free: list[int] = []
    for number, length in enumerate(lengths):
        row = next((row for row, room in enumerate(free) if room >= length), len(rows))
        if row == len(rows):
            rows.append([])
            free.append(row_length)
        rows[row].append(number)
        free[row] -= length
    return rows


def filled(rows: Sequence[Sequence[int]], lengths: Sequence[int], row_length: int) -> float:
    """Which share of these rows' tokens is documents; the rest is padding, computed for nothing."""
    return sum(lengths[number] for row in rows for number in row) / (len(rows) * row_length)


def check(lengths: Sequence[int], row_length: int) -> None:
    """Raises BadInput for a document that is longer than a row."""
    for number, length in enumerate(lengths):
        if length > row_length:
            raise BadInput(f"Document {number} has {length} tokens and a row has room for {row_length}: shorten it.")
