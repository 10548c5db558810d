"""Answers that readers might give to chapter 07 of part 5: right ones in other styles, and wrong ones.

Used by test_answers.py.
"""

import torch

RIGHT, WRONG = "right", "wrong"


def by_cases(v_c, v_u, w, t, interval):
    if t < interval[0] or t > interval[1]:
        return v_c
    match w:
        case 0:
            return v_u
        case 1:
            return v_c
    return v_u + w * (v_c - v_u)


def copied(v_c, v_u, w, t, interval):
    found = v_c.clone()
    if min(interval) <= t <= max(interval) and w not in (0, 1):
        found = v_u.add(v_c.sub(v_u) * w)
    elif w == 0 and interval[0] <= t <= interval[1]:
        found = v_u.clone()
    return found


def by_strength(v_c, v_u, w, t, interval):
    low, high = interval
    strength = w if low <= t <= high else 1
    if strength == 1:
        return v_c
    return v_u + strength * (v_c - v_u) if strength != 0 else v_u


def by_tables(v_c, v_u, w, t, interval):
    ends = {0: v_u, 1: v_c}
    weight = w if interval[0] <= t and t <= interval[1] else 1
    return ends.get(weight, v_u + weight * (v_c - v_u))


def inner(t, i):
    return i[0] <= t <= i[1]


def line(c, u, w):
    return c if w == 1 else u if w == 0 else u + w * (c - u)


def whole(p, prior):
    return (prior[:, None] * p).sum(0)


def of_class(p, prior, y):
    return prior[y] * p[y] / whole(p, prior)


def n(x):
    return x / x.sum()


def by_places(p, prior, y, w):
    found = []
    for k in range(p.shape[1]):
        px = sum(float(prior[c] * p[c, k]) for c in range(len(prior)))
        found.append(px * (float(prior[y] * p[y, k]) / px) ** w)
    return torch.tensor([each / sum(found) for each in found], dtype=torch.float64)


ANSWERS = {
    "images.guidance.guided": {
        RIGHT: [by_cases, copied, by_strength, by_tables],
        WRONG: [
            lambda c, u, w, t, i: u + w * (c - u) if inner(t, i) else c,
            lambda c, u, w, t, i: w * c + (1 - w) * u if inner(t, i) else c,
            lambda c, u, w, t, i: c + w * (c - u) if inner(t, i) else c,
            lambda c, u, w, t, i: (1 + w) * c - w * u if inner(t, i) else c,
            lambda c, u, w, t, i: line(u, c, w) if inner(t, i) else c,
            lambda c, u, w, t, i: line(c, u, w),
            lambda c, u, w, t, i: line(c, u, w) if inner(t, i) else u,
            lambda c, u, w, t, i: line(c, u, w) if i[0] < t < i[1] else c,
            lambda c, u, w, t, i: line(c, u, w) if i[0] <= t < i[1] else c,
            lambda c, u, w, t, i: line(c, u, w) if i[0] < t <= i[1] else c,
            lambda c, u, w, t, i: c if inner(t, i) else line(c, u, w),
            lambda c, u, w, t, i: line(c, u, w) if t >= i[0] else c,
            lambda c, u, w, t, i: line(c, u, w) if t <= i[1] else c,
            lambda c, u, w, t, i: c,
            lambda c, u, w, t, i: w * c if inner(t, i) else c,
            lambda c, u, w, t, i: w * (c - u) if inner(t, i) else c,
            lambda c, u, w, t, i: u + w * (u - c) if inner(t, i) else c,
        ],
    },
    "images.guidance.tilted": {
        RIGHT: [
            by_places,
            lambda p, prior, y, w: n(whole(p, prior) ** (1 - w) * (prior[y] * p[y]) ** w),
            lambda p, prior, y, w: n((prior @ p) ** (1 - w) * p[y] ** w),
            lambda p, prior, y, w: ((1 - w) * (prior @ p).log() + w * p[y].log()).softmax(0),
        ],
        WRONG: [
            lambda p, prior, y, w: p[y],
            lambda p, prior, y, w: prior @ p,
            lambda p, prior, y, w: n(p[y] ** w),
            lambda p, prior, y, w: (prior @ p) * of_class(p, prior, y) ** w,
            lambda p, prior, y, w: n(of_class(p, prior, y) ** w),
            lambda p, prior, y, w: n((prior @ p) * p[y] ** w),
            lambda p, prior, y, w: n(p[y] * of_class(p, prior, y) ** w),
            lambda p, prior, y, w: n(p.mean(0) * (p[y] / p.sum(0)) ** w),
            lambda p, prior, y, w: n((prior @ p) * (p[y] / p.sum(0)) ** w),
            lambda p, prior, y, w: n((prior @ p) * of_class(p, prior, y) ** (w - 1)),
            lambda p, prior, y, w: n((prior @ p) * of_class(p, prior, y) ** (w + 1)),
            lambda p, prior, y, w: n((prior @ p) * of_class(p, prior, y) * w),
            lambda p, prior, y, w: (prior @ p) + w * (p[y] - (prior @ p)),
            lambda p, prior, y, w: n(((prior @ p) + w * (p[y] - (prior @ p))).clamp(min=0)),
            lambda p, prior, y, w: n((prior @ p) ** w * of_class(p, prior, y)),
            lambda p, prior, y, w: n((prior @ p) * (1 - of_class(p, prior, y)) ** w),
        ],
    },
}
