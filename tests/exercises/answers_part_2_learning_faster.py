"""Answers that readers might give to the chapter on learning faster: right ones in other styles, and wrong ones.

Few of the wrong ones are in the catalogue, and then by another way. Used by test_answers.py.
"""

import math

import torch
from torch.nn import functional as F

RIGHT, WRONG = "right", "wrong"
ANSWERS = {}

# through_the_cap: logits (N, V), targets (N,), cap -> (N, V)


def by_autograd(logits, targets, cap):
    x = logits.detach().clone().requires_grad_()
    F.cross_entropy(cap * torch.tanh(x / cap), targets).backward()
    return x.grad


def by_loops(logits, targets, cap):
    found = torch.zeros_like(logits)
    for n, row in enumerate(logits.tolist()):
        z = [cap * math.tanh(each / cap) for each in row]
        powers = [math.exp(each - max(z)) for each in z]
        for v, each in enumerate(z):
            p = powers[v] / sum(powers)
            found[n, v] = (p - (v == int(targets[n]))) / len(targets) * (1 - (each / cap) ** 2)
    return found


def by_jacobian(logits, targets, cap):
    rows = []
    for x, y in zip(logits, targets, strict=True):
        z = cap * torch.tanh(x / cap)
        p = z.softmax(0)
        p = p - torch.eye(len(x), dtype=p.dtype)[y]
        rows.append(torch.diag(1 / torch.cosh(x / cap) ** 2) @ p)
    return torch.stack(rows) / len(rows)


def by_sigmoid(logits, targets, cap):
    t = 2 * torch.sigmoid(2 * logits / cap) - 1
    p = F.log_softmax(cap * t, dim=1).exp()
    return (p.scatter_add(1, targets[:, None], -torch.ones_like(p[:, :1]))) * (1 - t) * (1 + t) / logits.shape[0]


def parts(x, y, c):
    t = torch.tanh(x / c)
    return t, (c * t).softmax(-1), F.one_hot(y, x.shape[1]).to(x)


def with_slope(slope):
    def answer(x, y, c):
        t, p, hot = parts(x, y, c)
        return (p - hot) / len(y) * slope(x, t, c)

    return answer


def from_raw(slope):
    return lambda x, y, c: (x.softmax(-1) - parts(x, y, c)[2]) / len(y) * slope(x, torch.tanh(x / c), c)


ANSWERS["transformer.learning_faster.through_the_cap"] = {
    RIGHT: [by_autograd, by_loops, by_jacobian, by_sigmoid],
    WRONG: [
        with_slope(lambda x, t, c: torch.ones_like(x)),
        from_raw(lambda x, t, c: 1 - t * t),
        from_raw(lambda x, t, c: torch.ones_like(x)),
        with_slope(lambda x, t, c: 1 - t),
        with_slope(lambda x, t, c: 1 / torch.cosh(x) ** 2),
        with_slope(lambda x, t, c: c * (1 - t**2)),
        with_slope(lambda x, t, c: (1 - t**2) / c),
        with_slope(lambda x, t, c: (1 - t**2) * 2),
        with_slope(lambda x, t, c: t),
        lambda x, y, c: by_autograd(x, y, c) * len(y),
        lambda x, y, c: by_autograd(x, y, c) / x.shape[1],
        lambda x, y, c: -by_autograd(x, y, c),
        lambda x, y, c: parts(x, y, c)[1] / len(y) / torch.cosh(x / c) ** 2,
        lambda x, y, c: (torch.tanh(x / c).softmax(-1) - parts(x, y, c)[2]) / len(y) / torch.cosh(x / c) ** 2,
        lambda x, y, c: (x.clamp(-c, c).softmax(-1) - parts(x, y, c)[2]) / len(y) * ((x > -c) & (x < c)),
        lambda x, y, c: by_autograd(x, y, 2 * c),
        lambda x, y, c: by_autograd(x, y, c)[0],
        lambda x, y, c: F.cross_entropy(c * torch.tanh(x / c), y),
    ],
}

# pairs: ids (T,), embedding (V, C), table (R, C) -> (T, C)


def one_by_one(ids, embedding, table):
    rows = [embedding[ids[0]]]
    for a, b in zip(ids.tolist(), ids.tolist()[1:], strict=False):
        rows.append(embedding[b] + table[(a * len(embedding) + b) % len(table)])
    return torch.stack(rows)


def padded(ids, embedding, table):
    row = (ids.roll(1) * embedding.shape[0] + ids) % table.shape[0]
    row[0] = table.shape[0]
    return embedding[ids] + torch.cat([table, torch.zeros_like(table[:1])])[row]


def masked(ids, embedding, table):
    before = F.pad(ids, (1, 0))[:-1]
    there = (torch.arange(len(ids)) > 0).to(table.dtype)[:, None]
    return F.embedding(ids, embedding) + there * F.embedding(
        (before * len(embedding) + ids).remainder(len(table)), table
    )


def by_one_hot(ids, embedding, table):
    V, R = len(embedding), len(table)
    x = F.one_hot(ids, V).to(embedding) @ embedding
    pairs = F.one_hot((V * ids[:-1] + ids[1:]) % R, R).to(table) @ table
    return torch.cat([x[:1], x[1:] + pairs])


def rows_of(number):
    def answer(ids, embedding, table):
        x = embedding[ids].clone()
        row = number(ids[:-1], ids[1:], len(embedding), len(table), embedding.shape[1])
        return torch.cat([x[:1], x[1:] + table[row % len(table)]])

    return answer


ANSWERS["transformer.learning_faster.pairs"] = {
    RIGHT: [one_by_one, padded, masked, by_one_hot],
    WRONG: [
        rows_of(lambda a, b, V, R, C: b * V + a),
        rows_of(lambda a, b, V, R, C: a * R + b),
        rows_of(lambda a, b, V, R, C: a * C + b),
        rows_of(lambda a, b, V, R, C: a + b),
        rows_of(lambda a, b, V, R, C: b),
        rows_of(lambda a, b, V, R, C: a),
        rows_of(lambda a, b, V, R, C: a * V),
        rows_of(lambda a, b, V, R, C: a * b),
        rows_of(lambda a, b, V, R, C: a * V + b + 1),
        lambda ids, e, p: e[ids] + p[(torch.cat([ids[-1:], ids[:-1]]) * len(e) + ids) % len(p)],
        lambda ids, e, p: e[ids] + p[(F.pad(ids, (1, 0))[:-1] * len(e) + ids) % len(p)],
        lambda ids, e, p: torch.cat([one_by_one(ids, e, p)[1:] - e[ids[1:]] + e[ids[:-1]], e[ids[-1:]]]),
        lambda ids, e, p: torch.cat([e[ids[:1]], one_by_one(ids, e, p)[1:] - e[ids[1:]]]),
        lambda ids, e, p: one_by_one(ids, e, p)[1:],
        lambda ids, e, p: torch.cat([torch.zeros_like(e[:1]), one_by_one(ids, e, p)[1:] - e[ids[1:]]]),
        lambda ids, e, p: torch.cat([e[ids[:1]], e[ids[1:]] + e[ids[:-1]]]),
        lambda ids, e, p: e[ids],
    ],
}
