"""Best fit: every document in one row, none too full, rarely more rows than there must be, never cut."""

import itertools
import random

import pytest

from insideout.data.packing import best_fit, filled, first_fit
from insideout.errors import BadInput


def least(lengths, row_length):
    """The fewest rows, by trying every way."""
    for n in itertools.count(1):
        for chosen in itertools.product(range(n), repeat=len(lengths)):
            room = [row_length] * n
            for row, length in zip(chosen, lengths, strict=True):
                room[row] -= length
            if min(room) >= 0:
                return n
    return 0


def by_searching(lengths, row_length):
    """The rule as it is said: the fullest row with room, looked for among all."""
    rows, room = [], []
    for number in sorted(range(len(lengths)), key=lambda number: (-lengths[number], number)):
        fitting = [row for row in range(len(rows)) if room[row] >= lengths[number]]
        row = min(fitting, key=lambda row: (room[row], row), default=len(rows))
        if row == len(rows):
            rows.append([])
            room.append(row_length)
        rows[row].append(number)
        room[row] -= lengths[number]
    return rows


def drawn(seed, n, row_length):
    rng = random.Random(seed)
    return [rng.randint(1, rng.choice((row_length, row_length // 3))) for _ in range(n)]


def test_by_hand():
    assert best_fit([5, 2, 6, 3], 8) == [[2, 1], [0, 3]]
    assert first_fit([5, 2, 6, 3], 8) == [[0, 1], [2], [3]]
    assert filled([[2, 1], [0, 3]], [5, 2, 6, 3], 8) == 1.0
    assert filled([[0, 1], [2], [3]], [5, 2, 6, 3], 8) == 16 / 24
    assert best_fit([], 8) == []


@pytest.mark.parametrize("seed", range(40))
def test_the_rows_are_those_of_the_rule_as_it_is_said(seed):
    lengths = drawn(seed, 60, 32)
    assert best_fit(lengths, 32) == by_searching(lengths, 32)


@pytest.mark.parametrize("pack", [best_fit, first_fit])
@pytest.mark.parametrize("seed", range(10))
def test_every_document_lies_in_one_row_that_has_room_for_it(pack, seed):
    lengths = drawn(seed, 300, 64)
    rows = pack(lengths, 64)
    assert sorted(itertools.chain(*rows)) == list(range(300))
    assert all(sum(lengths[number] for number in row) <= 64 for row in rows)


def test_few_rows_more_than_the_fewest():
    more = 0
    for seed in range(30):
        lengths = drawn(seed, 7, 12)
        n, fewest = len(best_fit(lengths, 12)), least(lengths, 12)
        assert n <= 11 / 9 * fewest + 4
        more += n - fewest
    assert more <= 1


def test_many_documents_fill_nearly_all():
    lengths = drawn(0, 20_000, 64)
    assert (
        filled(best_fit(lengths, 64), lengths, 64) > 0.995 > filled(first_fit(lengths[:2000], 64), lengths[:2000], 64)
    )


@pytest.mark.parametrize("pack", [best_fit, first_fit])
def test_a_document_longer_than_a_row_is_named(pack):
    with pytest.raises(BadInput, match="Document 1 has 9 tokens and a row has room for 8"):
        pack([2, 9], 8)
