import itertools

import pytest

from insideout.errors import BadInput
from insideout.lab.cups import CUPS, PAIRS, games, stays


def swapped(start: int, swaps: list[int]) -> list[int]:
    cups, places = [i == start for i in range(CUPS)], []
    for s in swaps:
        a, b = PAIRS[s]
        cups[a], cups[b] = cups[b], cups[a]
        places.append(cups.index(True))
    return places


def test_the_ball_is_where_swapped_cups_say() -> None:
    start, swaps, places = games(50, 7, seed=3)
    assert places.tolist() == [swapped(*game) for game in zip(start.tolist(), swaps.tolist(), strict=True)]


def test_a_seed_is_a_game_and_another_is_another() -> None:
    assert games(20, 4, 0)[1].tolist() == games(20, 4, 0)[1].tolist() != games(20, 4, 1)[1].tolist()


@pytest.mark.parametrize("k", [0, 1, 2, 3])
def test_the_ball_is_at_home_as_often_as_the_formula_says(k: int) -> None:
    every = [[2, *swapped(2, list(swaps))][-1] == 2 for swaps in itertools.product(range(len(PAIRS)), repeat=k)]
    assert sum(every) / len(every) == pytest.approx(stays(k), abs=1e-12)


@pytest.mark.parametrize(("n", "k"), [(0, 3), (3, 0), (-1, 1)])
def test_no_games_and_no_swaps_are_refused(n: int, k: int) -> None:
    with pytest.raises(BadInput):
        games(n, k, 0)
