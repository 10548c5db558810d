"""Answers that readers might give to the chapter on self-consistency: right in other styles, and plausibly wrong."""

from collections import Counter, defaultdict
from math import comb, factorial
from statistics import mode

RIGHT, WRONG = "right", "wrong"
ANSWERS = {}

# vote: answers -> each winner's part of the win


def by_loop(answers):
    counts = defaultdict(int)
    for each in answers:
        if each is not None:
            counts[each] += 1
    if not counts:
        return {}
    most = max(counts.values())
    winners = {each for each in counts if counts[each] == most}
    return {each: 1.0 / len(winners) for each in winners}


def by_sorting(answers):
    ranked = Counter(each for each in answers if each is not None).most_common()
    level = [each for each, n in ranked if n == ranked[0][1]]
    return dict.fromkeys(level, 1 / max(len(level), 1))


def by_count(answers):
    given = [each for each in answers if each is not None]
    best = [each for each in set(given) if all(given.count(each) >= given.count(other) for other in given)]
    return {each: 1 / len(best) for each in best}


def by_passing(answers):
    won, most = [], 1
    for each in dict.fromkeys(answers):
        n = answers.count(each)
        if each is None or n < most:
            continue
        won = [each] if n > most else [*won, each]
        most = n
    return {each: len(won) ** -1 for each in won}


def counts_of(answers):
    return Counter(each for each in answers if each is not None)


ANSWERS["reasoning.self_consistency.vote"] = {
    RIGHT: [by_loop, by_sorting, by_count, by_passing],
    WRONG: [
        lambda answers: {mode(answers): 1.0} if answers else {},
        lambda answers: {mode([a for a in answers if a]): 1.0} if any(answers) else {},
        lambda answers: {counts_of(answers).most_common(1)[0][0]: 1.0} if counts_of(answers) else {},
        lambda answers: {max(sorted(counts_of(answers)), key=counts_of(answers).get): 1.0} if any(answers) else {},
        lambda answers: dict.fromkeys(by_loop(answers), 1),
        lambda answers: by_loop(answers) if len(by_loop(answers)) < 2 else {},
        lambda answers: dict(counts_of(answers)),
        lambda answers: {a: n / len(answers) for a, n in counts_of(answers).items()},
        lambda answers: {a: n / max(1, sum(counts_of(answers).values())) for a, n in counts_of(answers).items()},
        lambda answers: by_loop(["none" if a is None else a for a in answers]),
        lambda answers: by_loop([0 if a is None else a for a in answers]),
        lambda answers: {a: 1.0 for a, n in counts_of(answers).items() if n > len(answers) / 2},
        lambda answers: {a: 1.0 for a, n in counts_of(answers).items() if n > sum(counts_of(answers).values()) / 2},
        lambda answers: set(by_loop(answers)),
        lambda answers: list(by_loop(answers)),
        lambda answers: next(iter(by_loop(answers)), None),
        lambda answers: {a: by_loop(answers).get(a, 0) for a in counts_of(answers)},
        lambda answers: {a: 1 / n for a, n in counts_of(answers).items() if n == max(counts_of(answers).values())},
    ],
}

# two_answers: p, k -> how likely the right one wins


def by_tails(p, k):
    above = sum(comb(k, v) * p**v * (1 - p) ** (k - v) for v in range(k // 2 + 1, k + 1))
    return above if k % 2 else above + comb(k, k // 2) * (p * (1 - p)) ** (k // 2) / 2


def by_steps(p, k):
    chances = [1.0]
    for _ in range(k):
        chances = [
            (chances[v] * (1 - p) if v < len(chances) else 0) + (chances[v - 1] * p if v else 0)
            for v in range(len(chances) + 1)
        ]
    return sum(c * ((v > k - v) + 0.5 * (v == k - v)) for v, c in enumerate(chances))


def by_factorials(p, k):
    def chance(v):
        return factorial(k) / factorial(v) / factorial(k - v) * p**v * (1 - p) ** (k - v)

    return sum((1 + (v > k - v) - (v < k - v)) / 2 * chance(v) for v in range(k + 1))


def by_both_sides(p, k):
    win = sum(comb(k, v) * p**v * (1 - p) ** (k - v) for v in range(k + 1) if v > k / 2)
    lose = sum(comb(k, v) * p**v * (1 - p) ** (k - v) for v in range(k + 1) if v < k / 2)
    return win + (1 - win - lose) / 2


def above(p, k, low):
    return sum(comb(k, v) * p**v * (1 - p) ** (k - v) for v in range(max(low, 0), k + 1))


ANSWERS["reasoning.self_consistency.two_answers"] = {
    RIGHT: [by_tails, by_steps, by_factorials, by_both_sides],
    WRONG: [
        lambda p, k: above(p, k, (k + 1) // 2),
        lambda p, k: above(p, k, k // 2 + 1),
        lambda p, k: above(p, k, k // 2),
        lambda p, k: above(1 - p, k, k // 2 + 1),
        lambda p, k: 1 - by_tails(p, k),
        lambda p, k: 1 - (1 - p) ** k,
        lambda p, k: p**k,
        lambda p, k: p,
        lambda p, k: p * k,
        lambda p, k: float(p > 0.5),
        lambda p, k: sum(p**v * (1 - p) ** (k - v) for v in range(k // 2 + 1, k + 1)) + (
            0 if k % 2 else (p * (1 - p)) ** (k // 2) / 2),
        lambda p, k: by_tails(p, k) - p**k,
        lambda p, k: sum(comb(k, v) * p**v for v in range(k // 2 + 1, k + 1)) + (
            0 if k % 2 else comb(k, k // 2) * p ** (k // 2) / 2),
        lambda p, k: comb(k, k // 2 + 1) * p ** (k // 2 + 1) * (1 - p) ** (k - k // 2 - 1) if k > 1 else 0.0,
        lambda p, k: by_tails(p, k) + (0 if k % 2 else 0.25),
        lambda p, k: round(by_tails(p, k), 2),
    ],
}  # fmt: skip
