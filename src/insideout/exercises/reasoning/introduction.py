"""Exercises on steps that must be taken one after the other: follow a ball under cups, and put moves together in pairs.

Practised in book/4-reasoning-with-transformers/00_introduction.md.
"""

import random
from collections.abc import Callable

from insideout.exercises.catalogue import Exercise

Swaps = list[tuple[int, int]]
Move = list[int]

# follow: start, swaps -> the place after each swap


def draw_game(rng: random.Random) -> tuple[int, Swaps]:
    """A cup and some swaps, most of which touch the ball."""
    cups = rng.randint(3, 5)
    swaps: Swaps = []
    for _ in range(rng.randint(2, 6)):
        a, b = rng.sample(range(1, cups + 1), 2)
        swaps.append((a, b))
    return rng.randint(1, cups), swaps


def walked(start: int, swaps: Swaps, rule: Callable[[int, int, int], int] | None = None) -> list[int]:
    """The places, by a rule of (place, a, b)."""
    step = rule or (lambda at, a, b: b if at == a else a if at == b else at)
    places = []
    for a, b in swaps:
        start = step(start, a, b)
        places.append(start)
    return places


follow = Exercise(
    "reasoning.introduction.follow", stars=1, minutes=6, reference=walked, draw=draw_game,
    edges=[(3, []), (2, [(2, 1)]), (1, [(2, 3), (3, 2)]), (4, [(4, 1), (1, 4)])],
    section="A game that needs one step after the other",
)  # fmt: skip
follow.mistake("The first place is in the list too: only those after a swap are asked for.", lambda start, swaps: [
    start, *walked(start, swaps)])  # fmt: skip
follow.mistake("Only the last place is returned: all steps are asked for.", lambda start, swaps: (
    walked(start, swaps) or [start])[-1])  # fmt: skip
follow.mistake("Only the last place is in the list: the place after every swap belongs there.", lambda start, swaps: (
    walked(start, swaps)[-1:]))  # fmt: skip
follow.mistake(
    "A swap moves the ball only from the first cup to the second: from the second it goes to the first.",
    lambda start, swaps: walked(start, swaps, lambda at, a, b: b if at == a else at),
)


@follow.mistake(
    "A ball under the first cup of a swap stays: two ifs, one after the other, take it to b and straight back to a."
)
def _(start: int, swaps: Swaps) -> list[int]:
    places = []
    for a, b in swaps:
        if start == a:
            start = b
        if start == b:
            start = a
        places.append(start)
    return places


@follow.mistake("A swap that leaves the ball alone adds no place: it is a step too, and the place is written again.")
def _(start: int, swaps: Swaps) -> list[int]:
    places = []
    for a, b in swaps:
        if start in (a, b):
            start = a + b - start
            places.append(start)
    return places


@follow.mistake("Every swap is applied to the first place: go on from where the ball is.")
def _(start: int, swaps: Swaps) -> list[int]:
    return [walked(start, [swap])[0] for swap in swaps]


@follow.mistake("The place is added before the swap: it is asked for after it.")
def _(start: int, swaps: Swaps) -> list[int]:
    return [start, *walked(start, swaps)][:-1]


follow.mistake("The swaps are applied from the last to the first.", lambda start, swaps: walked(start, swaps[::-1]))
follow.mistake(
    "The ball always goes to the second cup of a swap: it moves only when it is under one of the two.",
    lambda start, swaps: walked(start, swaps, lambda at, a, b: b),
)
follow.mistake(
    "A ball under neither cup moves too: it stays where it is.",
    lambda start, swaps: walked(start, swaps, lambda at, a, b: b if at == a else a),
)

# in_pairs: moves -> the one that they all make, and the rounds


def draw_moves(rng: random.Random) -> tuple[list[Move]]:
    """Rearrangements whose order matters."""
    n = rng.randint(3, 5)
    return ([rng.sample(range(n), n) for _ in range(rng.randint(2, 9))],)


def together(p: Move, q: Move) -> Move:
    """First p, then q."""
    return [q[i] for i in p]


def paired(
    moves: list[Move], join: Callable[[Move, Move], Move] = together, leave: bool = False
) -> tuple[Move, int]:  # fmt: skip
    """By rounds of pairs."""
    rounds = 0
    while len(moves) > 1:
        pairs = [join(p, q) for p, q in zip(moves[::2], moves[1::2], strict=False)]
        moves = pairs if leave else pairs + moves[2 * len(pairs) :]
        rounds += 1
    return list(moves[0]), rounds


def in_line(moves: list[Move]) -> Move:
    """One after the other."""
    found = list(moves[0])
    for each in moves[1:]:
        found = together(found, each)
    return found


in_pairs = Exercise(
    "reasoning.introduction.in_pairs", stars=2, minutes=12, reference=paired, draw=draw_moves,
    edges=[([[1, 2, 0]],), ([[1, 2, 0], [1, 0, 2]],), ([[1, 2, 0], [1, 0, 2], [0, 2, 1]],)], section="Measure it",
)  # fmt: skip
in_pairs.mistake(
    "Within a pair the second move is done first: first p, then q takes i to q[p[i]].",
    lambda moves: paired(moves, lambda p, q: [p[i] for i in q]),
)
in_pairs.mistake(
    "A move that is left over is lost: it waits for the next round.", lambda moves: paired(moves, leave=True)
)
in_pairs.mistake("One move is put to the others at a time: that takes one round for each.", lambda moves: (
    in_line(moves), len(moves) - 1))  # fmt: skip
in_pairs.mistake("Only the rearrangement is returned: the rounds are asked for too.", lambda moves: paired(moves)[0])
in_pairs.mistake("Only the number of rounds is returned.", lambda moves: paired(moves)[1])
in_pairs.mistake("The two results stand the other way round.", lambda moves: paired(moves)[::-1])
in_pairs.mistake("One round too many is counted: with one move left it is done.", lambda moves: (
    in_line(moves), paired(moves)[1] + 1))  # fmt: skip
in_pairs.mistake("The rounds are those of a whole power of two below: one that is left over needs a round too.",
    lambda moves: (in_line(moves), len(moves).bit_length() - 1))  # fmt: skip
in_pairs.mistake("The pairs that were made are counted: all pairs of a round count once.", lambda moves: (
    in_line(moves), len(moves) // 2))  # fmt: skip


@in_pairs.mistake("The halves are put together, first with middle: neighbours belong together, for the order counts.")
def _(moves: list[Move]) -> tuple[Move, int]:
    rounds = 0
    while len(moves) > 1:
        half = (len(moves) + 1) // 2
        moves = [together(p, q) for p, q in zip(moves[:half], moves[half:], strict=False)] + (
            [moves[half - 1]] if len(moves) % 2 else [])  # fmt: skip
        rounds += 1
    return list(moves[0]), rounds


@in_pairs.mistake("The one that is left over is put in front: it comes last, and stays there.")
def _(moves: list[Move]) -> tuple[Move, int]:
    rounds = 0
    while len(moves) > 1:
        pairs = [together(p, q) for p, q in zip(moves[::2], moves[1::2], strict=False)]
        moves, rounds = moves[2 * len(pairs) :] + pairs, rounds + 1
    return list(moves[0]), rounds


in_pairs.mistake("Numbers at the same place are added up: a rearrangement is applied, not added.", lambda moves: (
    [sum(column) for column in zip(*moves, strict=True)], paired(moves)[1]))  # fmt: skip
