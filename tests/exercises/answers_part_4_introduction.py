"""Answers that readers might give to the introduction of part 4: right in other styles, and plausibly wrong."""

from functools import reduce
from itertools import accumulate
from math import ceil, log2

RIGHT, WRONG = "right", "wrong"
ANSWERS = {}

# follow: start, swaps -> the place after each swap


def by_cups(start, swaps):
    cups = [i == start for i in range(20)]
    places = []
    for a, b in swaps:
        cups[a], cups[b] = cups[b], cups[a]
        places.append(cups.index(True))
    return places


def by_dict(start, swaps):
    places = []
    for a, b in swaps:
        start = {a: b, b: a}.get(start, start)
        places.append(start)
    return places


def by_accumulate(start, swaps):
    return list(accumulate(swaps, lambda at, swap: sum(swap) - at if at in swap else at, initial=start))[1:]


def by_elif(start, swaps):
    places, at = [], start
    for first, second in swaps:
        if at == first:
            at = second
        elif at == second:
            at = first
        places += [at]
    return places


def by_recursion(start, swaps):
    if not swaps:
        return []
    (a, b), *rest = swaps
    at = b if start == a else a if start == b else start
    return [at, *by_recursion(at, rest)]


def two_ifs(start, swaps):
    places = []
    for a, b in swaps:
        if start == a:
            start = b
        if start == b:
            start = a
        places.append(start)
    return places


def only_moves(start, swaps):
    return [at for at, swap in zip(by_dict(start, swaps), swaps, strict=False) if at in swap]


def one_way(start, swaps):
    places = []
    for a, b in swaps:
        if start == a:
            start = b
        places.append(start)
    return places


def other_way(start, swaps):
    return one_way(start, [(b, a) for a, b in swaps])


def before(start, swaps):
    places = []
    for a, b in swaps:
        places.append(start)
        start = {a: b, b: a}.get(start, start)
    return places


def in_a_loop_too_deep(start, swaps):
    places = []
    for a, b in swaps:
        start = {a: b, b: a}.get(start, start)
    places.append(start)
    return places


ANSWERS["reasoning.introduction.follow"] = {
    RIGHT: [by_cups, by_dict, by_accumulate, by_elif, by_recursion],
    WRONG: [
        lambda start, swaps: [start, *by_dict(start, swaps)],
        lambda start, swaps: list(accumulate(swaps, lambda at, s: sum(s) - at if at in s else at, initial=start)),
        lambda start, swaps: by_dict(start, swaps)[-1] if swaps else start,
        lambda start, swaps: by_dict(start, swaps)[-1:],
        in_a_loop_too_deep,
        two_ifs,
        only_moves,
        one_way,
        other_way,
        before,
        lambda start, swaps: by_dict(start, list(reversed(swaps))),
        lambda start, swaps: by_dict(start, swaps)[::-1],
        lambda start, swaps: [{a: b, b: a}.get(start, start) for a, b in swaps],
        lambda start, swaps: [b for _, b in swaps],
        lambda start, swaps: [a for a, _ in swaps],
        lambda start, swaps: [b if start == a else a for a, b in swaps],
        lambda start, swaps: tuple(at - 1 for at in by_dict(start, swaps)),
        lambda start, swaps: [start] * len(swaps),
    ],
}

# in_pairs: moves -> the one that they all make, and the rounds


def whole(moves):
    return reduce(lambda p, q: [q[i] for i in p], moves)


def by_log(moves):
    return list(whole(moves)), ceil(log2(len(moves)))


def by_halving(moves):
    n, rounds = len(moves), 0
    while n > 1:
        n, rounds = n - n // 2, rounds + 1
    return [*whole(moves)], rounds


def by_loop(moves):
    moves, rounds = [list(each) for each in moves], 0
    while len(moves) > 1:
        new = []
        for j in range(0, len(moves), 2):
            if j + 1 < len(moves):
                p, q = moves[j], moves[j + 1]
                new.append([q[p[i]] for i in range(len(p))])
            else:
                new.append(moves[j])
        moves = new
        rounds += 1
    return moves[0], rounds


def by_bits(moves):
    return list(whole(moves)), (len(moves) - 1).bit_length()


def by_padding(moves):
    same = list(range(len(moves[0])))
    rounds = 0
    while len(moves) > 1:
        moves = moves + [same] * (len(moves) % 2)
        moves = [[moves[j + 1][i] for i in moves[j]] for j in range(0, len(moves), 2)]
        rounds += 1
    return list(moves[0]), rounds


def rounds_of(moves):
    return (len(moves) - 1).bit_length()


def turned(moves):
    return list(reduce(lambda p, q: [p[i] for i in q], moves))


def leaves(moves):
    rounds = 0
    while len(moves) > 1:
        moves = [[q[i] for i in p] for p, q in zip(moves[::2], moves[1::2], strict=False)]
        rounds += 1
    return list(moves[0]), rounds


def in_front(moves):
    rounds = 0
    while len(moves) > 1:
        rest = moves[-1:] if len(moves) % 2 else []
        moves = rest + [[q[i] for i in p] for p, q in zip(moves[::2], moves[1::2], strict=False)]
        rounds += 1
    return list(moves[0]), rounds


def one_round(moves):
    pairs = [[q[i] for i in p] for p, q in zip(moves[::2], moves[1::2], strict=False)]
    return list(pairs[0] if pairs else moves[0]), 1 if pairs else 0


ANSWERS["reasoning.introduction.in_pairs"] = {
    RIGHT: [by_log, by_halving, by_loop, by_bits, by_padding],
    WRONG: [
        lambda moves: (turned(moves), rounds_of(moves)),
        lambda moves: (list(whole(moves[::-1])), rounds_of(moves)),
        leaves,
        lambda moves: leaves(moves[: len(moves) // 2 * 2 or 1]),
        in_front,
        lambda moves: (list(whole(moves)), len(moves) - 1),
        lambda moves: (list(whole(moves)), len(moves)),
        lambda moves: list(whole(moves)),
        lambda moves: whole(moves),
        rounds_of,
        lambda moves: (rounds_of(moves), list(whole(moves))),
        lambda moves: (list(whole(moves)), rounds_of(moves) + 1),
        lambda moves: (list(whole(moves)), len(moves).bit_length()),
        lambda moves: (list(whole(moves)), int(log2(len(moves)))),
        lambda moves: (list(whole(moves)), len(moves) // 2),
        one_round,
        lambda moves: ([sum(each) for each in zip(*moves, strict=False)], rounds_of(moves)),
        lambda moves: (list(moves[-1]), rounds_of(moves)),
    ],
}
