"""Answers that readers might give to chapter 06 of part 5: right ones in other styles, and wrong ones.

Used by test_answers.py.
"""

import torch

RIGHT, WRONG = "right", "wrong"


def by_clone(labels, null, share, u):
    found = labels.clone()
    found[u < share] = null
    return found


def by_list(labels, null, share, u):
    return torch.tensor(
        [null if coin < share else label for label, coin in zip(labels.tolist(), u.tolist(), strict=True)]
    )


def by_enumeration(both, p, q):
    found = {}
    for b, a, t in ((b, a, t) for b in (0, 1) for a in (0, 1) for t in (0, 1)):
        chance = (both if b else 1 - both) * (p if a else 1 - p) * (q if t else 1 - q)
        key = (b or a, b or t)
        found[key] = found.get(key, 0) + chance
    return found[0, 0], found[0, 1], found[1, 0], found[1, 1]


def by_rest(both, p, q):
    seen = (1 - both) * (1 - p) * (1 - q)
    only_class = (1 - both) * (1 - p) - seen
    only_text = (1 - both) * (1 - q) - seen
    return seen, only_class, only_text, 1 - seen - only_class - only_text


def f(b, p, q):
    return (1 - b) * (1 - p) * (1 - q), (1 - b) * (1 - p) * q, (1 - b) * p * (1 - q), b + (1 - b) * p * q


ANSWERS = {
    "images.class_conditioning.drop": {
        RIGHT: [
            by_clone,
            by_list,
            lambda y, n, s, u: y.masked_fill(u < s, n),
            lambda y, n, s, u: torch.where(u >= s, y, torch.tensor(n)),
            lambda y, n, s, u: y + (n - y) * (u < s).long(),
        ],
        WRONG: [
            lambda y, n, s, u: torch.where(u > s, n, y),
            lambda y, n, s, u: torch.where(u >= s, n, y),
            lambda y, n, s, u: torch.where(u <= s, n, y),
            lambda y, n, s, u: y.masked_fill(u <= s, n),
            lambda y, n, s, u: torch.where(u < 1 - s, n, y),
            lambda y, n, s, u: torch.where(u[0] < s, n, y),
            lambda y, n, s, u: torch.full_like(y, n) if u[0] < s else y,
            lambda y, n, s, u: torch.where(u.mean() < s, n, y),
            lambda y, n, s, u: torch.where(u < s, 0, y),
            lambda y, n, s, u: torch.where(u < s, -1, y),
            lambda y, n, s, u: y[u >= s],
            lambda y, n, s, u: y * (u >= s),
            lambda y, n, s, u: y,
            lambda y, n, s, u: torch.full_like(y, n),
            lambda y, n, s, u: torch.where(u < s, n - 1, y),
            lambda y, n, s, u: torch.where(u < s, n + 1, y),
        ],
    },
    "images.class_conditioning.seen": {
        RIGHT: [
            by_enumeration,
            by_rest,
            lambda b, p, q: (
                [(1 - b) * x for x in ((1 - p) * (1 - q), (1 - p) * q, p * (1 - q))] + [1 - (1 - b) * (1 - p * q)]
            ),
            lambda b, p, q: tuple(x * (1 - b) + y * b for x, y in zip(f(0, p, q), (0, 0, 0, 1), strict=True)),
        ],
        WRONG: [
            lambda b, p, q: f(0, p, q),
            lambda b, p, q: (f(b, p, q)[0], f(b, p, q)[2], f(b, p, q)[1], f(b, p, q)[3]),
            lambda b, p, q: f(b, p, q)[::-1],
            lambda b, p, q: ((1 - p) * (1 - q), (1 - p) * q, p * (1 - q), b + p * q),
            lambda b, p, q: (*f(b, p, q)[:3], (1 - b) * p * q),
            lambda b, p, q: (*f(b, p, q)[:3], b),
            lambda b, p, q: ((1 - b) * (1 - p - q), *f(b, p, q)[1:]),
            lambda b, p, q: (f(b, p, q)[0], (1 - b) * q, (1 - b) * p, f(b, p, q)[3]),
            lambda b, p, q: f(b, 1 - p, 1 - q),
            lambda b, p, q: f(1 - b, p, q),
            lambda b, p, q: f(b, q, p),
            lambda b, p, q: ((1 - p) * (1 - q), (1 - p) * q, p * (1 - q), p * q),
            lambda b, p, q: (*f(b, p, q)[:3], b * p * q),
            lambda b, p, q: (*f(b, p, q)[:3], b + p * q),
            lambda b, p, q: (f(b, p, q)[0], f(b, p, q)[1], f(b, p, q)[2], 1 - b - (1 - b) * p * q),
            lambda b, p, q: (1 - b - p - q, q, p, b),
        ],
    },
}
