"""A ball under five cups that are swapped: the smallest game that takes one step after the other.

    start, swaps, places = games(1000, n_swaps=10, seed=0)           where the ball is after each swap

To say where the ball is after any number of swaps is as hard as any problem of the class NC¹; with four cups it is not.
Taught in book/4-reasoning-with-transformers/00_introduction.md. Source: Barrington 1989.
"""

import itertools

import torch
from jaxtyping import Int
from torch import Tensor

from insideout.checks import whole

__all__ = ["CUPS", "MOVE", "PAIRS", "games", "stays"]

CUPS = 5
PAIRS: list[tuple[int, int]] = list(itertools.combinations(range(CUPS), 2))
"""The ten swaps."""


def moves() -> Int[Tensor, "10 5"]:
    """Where each swap takes a ball from each place."""
    table = torch.arange(CUPS).repeat(len(PAIRS), 1)
    for s, (a, b) in enumerate(PAIRS):
        table[s, a], table[s, b] = b, a
    return table


MOVE = moves()


def games(n: int, n_swaps: int, seed: int) -> tuple[Int[Tensor, " N"], Int[Tensor, "N K"], Int[Tensor, "N K"]]:
    """n games: where the ball is at first, the swaps, and where it is after each of them; all as likely as another.

    Raises BadInput for none, or for less than one swap.
    """
    n, n_swaps = whole("the number of games", n, 1), whole("n_swaps", n_swaps, 1)
    source = torch.Generator().manual_seed(seed)
    start = torch.randint(CUPS, (n,), generator=source)
    swaps = torch.randint(len(PAIRS), (n, n_swaps), generator=source)
    places = [start]
    for s in swaps.T:
        places.append(MOVE[s, places[-1]])
    return start, swaps, torch.stack(places[1:], 1)


def stays(n_swaps: int) -> float:
    """How likely the ball is where it was at first: six swaps of ten leave it alone."""
    return 1 / CUPS + (1 - 1 / CUPS) * 0.5**n_swaps
