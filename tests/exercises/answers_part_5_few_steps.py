"""Answers that readers might give to the exercises on few steps: right ones in other styles, and wrong ones.

Used by test_answers.py.
"""

import torch

RIGHT, WRONG = "right", "wrong"
ANSWERS = {}


def with_a_list_of_times(u, noise, fresh):
    n = len(fresh)
    x = noise + 1.0 * u(noise, 0.0)
    for t, new in zip([(i + 1) / (n + 1) for i in range(n)], fresh, strict=True):
        mixed = new + t * (x - new)
        x = mixed + u(mixed, t) * (1 - t)
    return x


def with_the_first_in_the_loop(u, noise, fresh):
    data = torch.zeros_like(noise)
    for i, new in enumerate([noise, *fresh]):
        t = i / (len(fresh) + 1)
        x = torch.lerp(new, data, t)
        data = x + (1 - t) * u(x, t)
    return data


def by_recursion(u, noise, fresh, n=None):
    n = n or len(fresh) + 1
    if len(fresh) == 0:
        return noise + u(noise, 0.0)
    t = len(fresh) / n
    x = t * by_recursion(u, noise, fresh[:-1], n) + (1 - t) * fresh[-1]
    return x + (1 - t) * u(x, t)


def point_by_point(u, noise, fresh):
    rows = [with_a_list_of_times(u, noise[b : b + 1], fresh[:, b : b + 1]) for b in range(len(noise))]
    return torch.cat(rows)


def wrongly(mix=None, step=None, time=None, asked=None, first=1.0):
    def answer(u, noise, fresh):
        n = len(fresh)
        x = noise + first * u(noise, 0.0)
        for i in range(n):
            t = time(i, n) if time else (i + 1) / (n + 1)
            x = mix(x, fresh[i], t) if mix else t * x + (1 - t) * fresh[i]
            x = x + (step(t) if step else 1 - t) * u(x, asked(t) if asked else t)
        return x

    return answer


ANSWERS["images.few_steps.jumps"] = {
    RIGHT: [
        with_a_list_of_times, with_the_first_in_the_loop, by_recursion, point_by_point,
        lambda u, noise, fresh: by_recursion(u, noise, fresh).tolist(),
    ],
    WRONG: [
        lambda u, noise, fresh: noise + u(noise, 0.0),
        wrongly(mix=lambda x, new, t: (1 - t) * x + t * new),
        wrongly(mix=lambda x, new, t: x + (1 - t) * new),
        wrongly(mix=lambda x, new, t: x + new),
        wrongly(mix=lambda x, new, t: x),
        wrongly(mix=lambda x, new, t: t * x),
        wrongly(mix=lambda x, new, t: t * x + (1 - t * t) ** 0.5 * new),
        wrongly(step=lambda t: 1.0),
        wrongly(step=lambda t: t),
        wrongly(step=lambda t: t - 1),
        wrongly(asked=lambda t: 0.0),
        wrongly(asked=lambda t: 1.0),
        wrongly(asked=lambda t: 1 - t),
        wrongly(time=lambda i, n: (i + 1) / n),
        wrongly(time=lambda i, n: i / (n + 1)),
        wrongly(time=lambda i, n: 1 - (i + 1) / (n + 1)),
        wrongly(time=lambda i, n: 0.5 + 0.01 * i),
        wrongly(first=0.5),
    ],
}  # fmt: skip


def by_where_it_arrives(u, x, t, d):
    middle = x + d * u(x, t, d)
    end = middle + d * u(middle, t + d, d)
    return (end - x) / (2 * d)


def with_names(u, x, t, d):
    k1 = u(x, t, d)
    k2 = u(x + k1 * d, t + d, d)
    return torch.stack([k1, k2]).mean(0)


def one_by_one(u, x, t, d):
    return torch.cat([by_where_it_arrives(u, row[None], t, d) for row in x])


def in_a_loop(u, x, t, d):
    total, at = torch.zeros_like(x), x
    for i in range(2):
        v = u(at, t + i * d, d)
        total, at = total + 0.5 * v, at + d * v
    return total


def twice(where, when, length=lambda d: d, share=0.5):
    def answer(u, x, t, d):
        k1 = u(x, t, length(d))
        return (1 - share) * k1 + share * u(x + where(d) * k1, t + when(d), length(d))

    return answer


ANSWERS["images.few_steps.shortcut"] = {
    RIGHT: [by_where_it_arrives, with_names, one_by_one, in_a_loop, lambda *given: with_names(*given).tolist()],
    WRONG: [
        lambda u, x, t, d: u(x, t, 2 * d),
        lambda u, x, t, d: u(x, t, d),
        twice(lambda d: d, lambda d: d, share=1.0),
        lambda u, x, t, d: 2 * with_names(u, x, t, d),
        lambda u, x, t, d: x + 2 * d * with_names(u, x, t, d),
        lambda u, x, t, d: 2 * d * with_names(u, x, t, d),
        lambda u, x, t, d: d * with_names(u, x, t, d),
        twice(lambda d: 0.0, lambda d: d),
        twice(lambda d: d, lambda d: 0.0),
        twice(lambda d: d, lambda d: 2 * d),
        twice(lambda d: 2 * d, lambda d: d),
        twice(lambda d: 1.0, lambda d: d),
        twice(lambda d: -d, lambda d: d),
        twice(lambda d: d, lambda d: d, length=lambda d: 2 * d),
        twice(lambda d: d, lambda d: d, length=lambda d: 0.0),
        lambda u, x, t, d: with_names(u, x, t, d / 2),
        twice(lambda d: 2 * d, lambda d: 2 * d),
    ],
}  # fmt: skip
