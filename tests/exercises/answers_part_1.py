"""Answers that readers might give to the exercises of part 1: right ones in other styles, and plausible wrong ones.

None of the wrong ones is taken from the catalogues: they are what a grader that nobody can fool has to refuse, unseen.
Used by test_answers.py.
"""

import math
from collections import Counter, defaultdict
from itertools import pairwise

import numpy as np

from insideout import gradients as g

RIGHT, WRONG = "right", "wrong"


def tr(a):
    return [list(row) for row in zip(*a, strict=True)]


def mm(a, b):
    """A matrix product that does not look at sizes, as a reader writes it."""
    return [[sum(x * y for x, y in zip(row, column)) for column in zip(*b)] for row in a]  # noqa: B905


def soft(row):
    powers = [math.exp(x - max(row)) for x in row]
    return [x / sum(powers) for x in powers]


def npsoft(s):
    s = np.asarray(s, dtype=float)
    e = np.exp(s - s.max(-1, keepdims=True))
    return e / e.sum(-1, keepdims=True)


def causal(s):
    return np.where(np.tril(np.ones(np.shape(s))) > 0, s, -np.inf)


def phi(x):
    return math.exp(-x * x / 2) / math.sqrt(2 * math.pi)


def Phi(x):
    return (1 + math.erf(x / math.sqrt(2))) / 2


Phis, phis = np.vectorize(Phi), np.vectorize(phi)
ANSWERS = {}

# 00 introduction


def p(v, t, c, n, f):
    return v * c + t * c + n * (4 * c + 4 * c * c + c * f + f + f * c + c) + 2 * c + c * v


ANSWERS["gradients.introduction.parameters"] = {
    RIGHT: [
        p,
        lambda v, t, c, n, f: c * (2 * v + t + 2) + n * (4 * c * c + 2 * c * f + 5 * c + f),
        lambda v, t, c, n, f: np.int64(p(v, t, c, n, f)),
        lambda v, t, c, n, f: float(p(v, t, c, n, f)),
    ],
    WRONG: [
        lambda v, t, c, n, f: p(v, t, c, n, f) - n * c,  # one bias of the norms forgotten
        lambda v, t, c, n, f: p(v, t, c, n, f) - n * f,  # bias of the way up forgotten
        lambda v, t, c, n, f: p(v, t, c, n, f) - n * 4 * c * c,
        lambda v, t, c, n, f: p(v, t, c, n, f) - n * 2 * c * c,
        lambda v, t, c, n, f: p(v, t, c, n, f) - v * c - t * c,
        lambda v, t, c, n, f: p(v, t, c, n, f) + n * (2 * c * f + f + c),
        lambda v, t, c, n, f: p(v, t, c, n, f) - t * c + t,
        lambda v, t, c, n, f: p(v, t, c, n, f) + 2 * c,
        lambda v, t, c, n, f: p(v, t, c, n, f) - t * c + t * t,
        lambda v, t, c, n, f: p(v, t, c, n + 1, f),
        lambda v, t, c, n, f: p(v, t, c, n - 1, f),
        lambda v, t, c, n, f: p(v, t, c, n, f) + n * 2 * c * f,
        lambda v, t, c, n, f: 12 * n * c * c + 2 * v * c,
        lambda v, t, c, n, f: p(v, t, c, n, f) - 1,
        lambda v, t, c, n, f: v * c + t * c + n * (4 * c * c + 2 * c * f) + v * c,
    ],
}
ANSWERS["gradients.introduction.slope"] = {
    RIGHT: [
        lambda f, x, h: f(x + h) / (2 * h) - f(x - h) / (2 * h),
        lambda f, x, h: ((f(x + h) - f(x)) / h + (f(x) - f(x - h)) / h) / 2,
        lambda f, x, h: np.float64(f(x + h) - f(x - h)) / h / 2,
        lambda f, x, h: 0.5 * (f(h + x) - f(-h + x)) / h,
    ],
    WRONG: [
        lambda f, x, h: f(x + h) - f(x - h) / (2 * h),
        lambda f, x, h: (f(x + h) - f(x)) / (2 * h),
        lambda f, x, h: (f(x + 2 * h) - f(x)) / (2 * h),
        lambda f, x, h: (f(x + h) - f(x - h)) / (h * h),
        lambda f, x, h: (f(x + h) - f(x - h)) / (2 * x),
        lambda f, x, h: f((x + h) - (x - h)) / (2 * h),
        lambda f, x, h: (f(x * (1 + h)) - f(x * (1 - h))) / (2 * h),
        lambda f, x, h: abs(f(x + h) - f(x - h)) / (2 * h),
        lambda f, x, h: round((f(x + h) - f(x - h)) / (2 * h), 3),
        lambda f, x, h: (f(x + h) - f(x - h)) // (2 * h),
        lambda f, x, h: 2 * h / (f(x + h) - f(x - h)),
        lambda f, x, h: (f(x - h) - f(x + h)) / (2 * h),
        lambda f, x, h: (f(x + 1e-5) - f(x - 1e-5)) / 2e-5,
        lambda f, x, h: f(x),
        lambda f, x, h: [(f(x + h) - f(x - h)) / (2 * h)],
    ],
}


def grouped(sentences, key=lambda t, w: (t, w)):
    found = defaultdict(list)
    for ids in sentences:
        for t, (a, b) in enumerate(pairwise(ids)):
            found[key(t, a)].append(b)
    return found


def entropy(group, base=math.e):
    return -sum(n / len(group) * math.log(n / len(group), base) for n in Counter(group).values())


def floor_of(sentences):
    groups = grouped(sentences).values()
    return sum(len(group) * entropy(group) for group in groups) / sum(map(len, groups))


ANSWERS["gradients.introduction.floor"] = {
    RIGHT: [
        floor_of,
        lambda s: np.mean([-np.log(v.count(w) / len(v)) for v in grouped(s).values() for w in v]),
        lambda s: (
            sum(math.log(len(v)) - math.log(v.count(w)) for v in grouped(s).values() for w in v)
            / sum(len(ids) - 1 for ids in s)
        ),
        lambda s: abs(floor_of(s)),
    ],
    WRONG: [
        lambda s: floor_of(s) / math.log(10),
        lambda s: sum(entropy(v) for v in grouped(s).values()),
        lambda s: max(entropy(v) for v in grouped(s).values()),
        lambda s: math.exp(floor_of(s)),
        lambda s: (
            -math.log(sum(v.count(w) / len(v) for v in grouped(s).values() for w in v) / len(s) / (len(s[0]) - 1))
        ),
        lambda s: sum(len(v) * math.log(len(v)) for v in grouped(s).values()) / len(s) / (len(s[0]) - 1),
        lambda s: sum(math.log(len(set(v))) for v in grouped(s).values()) / len(grouped(s)),
        lambda s: floor_of([ids[:-1] for ids in s]) if len(s[0]) > 2 else 0.0,
        lambda s: floor_of(s) * len(s),
        lambda s: floor_of(s[:1]),
        lambda s: sum(len(v) * entropy(v) for v in grouped(s).values()) / len(s),
        lambda s: (
            sum(len(v) * entropy(v) for v in grouped(s).values() if len(v) > 1)
            / max(1, sum(len(v) for v in grouped(s).values() if len(v) > 1))
        ),
        lambda s: sum(len(v) * entropy(v) for v in grouped(s).values()) / len({w for ids in s for w in ids}),
        lambda s: math.log(len({w for ids in s for w in ids})),
        lambda s: entropy([w for ids in s for w in ids]),
    ],
}

# 01 tokens and embeddings


def loops(a, b):
    c = [[0.0] * len(b[0]) for _ in a]
    for i in range(len(a)):
        for j in range(len(b[0])):
            for k in range(len(b)):
                c[i][j] += a[i][k] * b[k][j]
    return c


def loops_aliased(a, b):
    c = [[0.0] * len(b[0])] * len(a)
    for i in range(len(a)):
        for j in range(len(b[0])):
            c[i][j] = sum(a[i][k] * b[k][j] for k in range(len(b)))
    return c


def loops_early(a, b):
    c = []
    for row in a:
        c.append([sum(x * y for x, y in zip(row, column, strict=True)) for column in zip(*b, strict=True)])
        return c
    return c


ANSWERS["gradients.tokens_and_embeddings.matmul"] = {
    RIGHT: [loops, lambda a, b: np.array(a) @ np.array(b), mm, lambda a, b: tuple(map(tuple, mm(a, b)))],
    WRONG: [
        loops_aliased,
        loops_early,
        lambda a, b: [[sum(x * y for x, y in zip(row, column)) for column in b] for row in a],  # noqa: B905
        lambda a, b: [sum(x * y for x, y in zip(row, col)) for col in zip(*b) for row in a],  # noqa: B905
        lambda a, b: [x for row in mm(a, b) for x in row],
        lambda a, b: [
            [sum(a[i][k] * b[k][j] for k in range(len(a[0]))) for j in range(len(a[0]))] for i in range(len(a))
        ],
        lambda a, b: [
            [sum(a[i][k] * b[k][j] for k in range(len(b[0]))) for j in range(len(b[0]))] for i in range(len(a))
        ],
        lambda a, b: [[sum(a[i][k] * b[k][j] for k in range(len(b))) for j in range(len(b))] for i in range(len(a))],
        lambda a, b: [[sum(a[i][k] * b[k][i] for k in range(len(b))) for j in range(len(b[0]))] for i in range(len(a))],
        lambda a, b: [[round(x, 6) for x in row] for row in mm(a, b)],
        lambda a, b: [[-x for x in row] for row in mm(a, b)],
        lambda a, b: [[x / len(b) for x in row] for row in mm(a, b)],
        lambda a, b: mm(tr(b), a),
        lambda a, b: mm(b, a),
        lambda a, b: [[sum(row) * sum(column) for column in zip(*b)] for row in a],  # noqa: B905
        lambda a, b: [[int(x) for x in row] for row in mm(a, b)],
    ],
}


def hot(ids, v):
    return np.eye(v)[ids]


ANSWERS["gradients.tokens_and_embeddings.one_hot"] = {
    RIGHT: [
        hot,
        lambda ids, v: [[int(j == i) for j in range(v)] for i in ids],
        lambda ids, v: [[j == i for j in range(v)] for i in ids],
        lambda ids, v: [[0.0] * i + [1.0] + [0.0] * (v - i - 1) for i in ids],
    ],
    WRONG: [
        lambda ids, v: np.eye(v)[[i - 1 for i in ids]],
        lambda ids, v: np.eye(v + 1)[ids],
        lambda ids, v: np.eye(v)[sorted(ids)],
        lambda ids, v: np.eye(v)[sorted(set(ids))],
        lambda ids, v: np.eye(v)[ids].T,
        lambda ids, v: np.eye(v)[ids[::-1]],
        lambda ids, v: np.eye(v)[ids][:, ::-1],
        lambda ids, v: [[1.0 if j == ids.index(i) else 0.0 for j in range(v)] for i in ids],
        lambda ids, v: [[1.0 if j <= i else 0.0 for j in range(v)] for i in ids],
        lambda ids, v: [[1.0 if j == i and i > 0 else 0.0 for j in range(v)] for i in ids],
        lambda ids, v: np.eye(len(set(ids)))[[sorted(set(ids)).index(i) for i in ids]],
        lambda ids, v: [1.0 if j == i else 0.0 for i in ids for j in range(v)],
        lambda ids, v: np.eye(v)[ids].sum(0),
        lambda ids, v: [[float(i) * (j == i) for j in range(v)] for i in ids],
        lambda ids, v: np.eye(max(*ids, 1) + 1)[ids],
        lambda ids, v: np.eye(v)[ids[:-1]],
        lambda ids, v: [[1.0 if j == i else -1.0 for j in range(v)] for i in ids],
    ],
}


def changing(ids, e, pos):
    rows = []
    for t, i in enumerate(ids):
        row = e[i]
        for j in range(len(row)):
            row[j] += pos[t][j]
        rows.append(list(row))
    return rows


ANSWERS["gradients.tokens_and_embeddings.embed"] = {
    RIGHT: [
        lambda ids, e, pos: np.array(e)[ids] + np.array(pos)[: len(ids)],
        lambda ids, e, pos: [[a + b for a, b in zip(e[i], row, strict=True)] for i, row in zip(ids, pos, strict=False)],
        lambda ids, e, pos: [np.add(e[i], pos[t]) for t, i in enumerate(ids)],
        lambda ids, e, pos: np.eye(len(e))[ids] @ np.array(e) + np.eye(len(pos))[range(len(ids))] @ np.array(pos),
    ],
    WRONG: [
        changing,
        lambda ids, e, pos: [e[i] + pos[t] for t, i in enumerate(ids)],
        lambda ids, e, pos: np.array(e)[ids] + np.array(pos)[len(pos) - len(ids) :],
        lambda ids, e, pos: np.array(e)[ids] + np.array(pos)[: len(ids)][::-1],
        lambda ids, e, pos: np.array(e)[ids] - np.array(pos)[: len(ids)],
        lambda ids, e, pos: (np.array(e)[ids] + np.array(pos)[: len(ids)]) / 2,
        lambda ids, e, pos: np.array(e)[sorted(ids)] + np.array(pos)[: len(ids)],
        lambda ids, e, pos: np.array(e)[ids] + np.array(pos)[[(t + 1) % len(pos) for t in range(len(ids))]],
        lambda ids, e, pos: np.array(e)[[i - 1 for i in ids]] + np.array(pos)[: len(ids)],
        lambda ids, e, pos: np.array(e)[ids] + np.array(pos)[[t - 1 for t in range(len(ids))]],
        lambda ids, e, pos: np.array(e)[ids] * np.array(pos)[: len(ids)],
        lambda ids, e, pos: np.array(e)[ids] + np.array(pos)[: len(ids)].sum(0),
        lambda ids, e, pos: np.array(e)[: len(ids)] + np.array(pos)[ids],
        lambda ids, e, pos: np.array(e)[ids] + np.array(pos)[ids],
        lambda ids, e, pos: (np.array(e)[ids] + np.array(pos)[: len(ids)]).T,
        lambda ids, e, pos: np.array(e)[ids] + np.array([[t] * len(e[0]) for t in range(len(ids))]),
    ],
}

# 02 queries, keys, values

ANSWERS["gradients.queries_keys_values.linear"] = {
    RIGHT: [
        lambda x, w, b: np.array(x) @ np.array(w) + np.array(b),
        lambda x, w, b: [
            [sum(xi * wi[j] for xi, wi in zip(row, w, strict=True)) + b[j] for j in range(len(b))] for row in x
        ],
        lambda x, w, b: mm([[*row, 1.0] for row in x], [*w, b]),
        lambda x, w, b: [tuple(y + c for y, c in zip(row, b, strict=True)) for row in mm(x, w)],
    ],
    WRONG: [
        lambda x, w, b: mm(x, tr(w)),
        lambda x, w, b: [[y + b[-1] for y in row] for row in mm(x, w)],
        lambda x, w, b: [[y + b[min(t, len(b) - 1)] for y in row] for t, row in enumerate(mm(x, w))],
        lambda x, w, b: [*mm(x, w)[:-1], [y + c for y, c in zip(mm(x, w)[-1], b, strict=True)]],
        lambda x, w, b: [[y + c for y, c in zip(row, b[::-1], strict=True)] for row in mm(x, w)],
        lambda x, w, b: [[y + 2 * c for y, c in zip(row, b, strict=True)] for row in mm(x, w)],
        lambda x, w, b: [[y + c / len(x) for y, c in zip(row, b, strict=True)] for row in mm(x, w)],
        lambda x, w, b: [[max(0.0, y + c) for y, c in zip(row, b, strict=True)] for row in mm(x, w)],
        lambda x, w, b: [[y + abs(c) for y, c in zip(row, b, strict=True)] for row in mm(x, w)],
        lambda x, w, b: tr([[y + c for y, c in zip(row, b, strict=True)] for row in mm(x, w)]),
        lambda x, w, b: [y + c for y, c in zip(mm(x, w)[0], b, strict=True)],
        lambda x, w, b: mm([[*row, 1.0] for row in x], [b, *w]),
        lambda x, w, b: [[(y + c) / 2 for y, c in zip(row, b, strict=True)] for row in mm(x, w)],
        lambda x, w, b: [[y + x[t][j % len(x[0])] for j, y in enumerate(row)] for t, row in enumerate(mm(x, w))],
        lambda x, w, b: [sum(row) + sum(b) for row in mm(x, w)],
    ],
}
ANSWERS["gradients.queries_keys_values.project"] = {
    RIGHT: [
        lambda n, q, k, v: [mm(n, w) for w in (q, k, v)],
        lambda n, q, k, v: tuple(np.array(n) @ np.array(w) for w in (q, k, v)),
        lambda n, q, k, v: (mm(n, q), np.array(n) @ np.array(k), tuple(mm(n, v))),
        lambda n, q, k, v: tuple(tr(mm(tr(w), tr(n))) for w in (q, k, v)),
    ],
    WRONG: [
        lambda n, q, k, v: (mm(n, q), mm(n, k)),
        lambda n, q, k, v: {"q": mm(n, q), "k": mm(n, k), "v": mm(n, v)},
        lambda n, q, k, v: (mm(n, k), mm(n, v), mm(n, q)),
        lambda n, q, k, v: (mm(n, v), mm(n, k), mm(n, q)),
        lambda n, q, k, v: (mm(n, q), mm(mm(n, q), k), mm(n, v)),
        lambda n, q, k, v: (mm(n, q), mm(n, k), n),
        lambda n, q, k, v: (n, mm(n, k), mm(n, v)),
        lambda n, q, k, v: (mm(n, q), tr(mm(n, k)), mm(n, v)),
        lambda n, q, k, v: (np.array(mm(n, q)) / len(q[0]) ** 0.5, mm(n, k), mm(n, v)),
        lambda n, q, k, v: (mm(n, q), mm(n, k), npsoft(mm(n, v))),
        lambda n, q, k, v: (mm(n, q)[-1], mm(n, k), mm(n, v)),
        lambda n, q, k, v: mm(n, q),
        lambda n, q, k, v: (mm(n, tr(q)), mm(n, tr(k)), mm(n, tr(v))),
        lambda n, q, k, v: (mm(n, v), mm(n, v), mm(n, v)),
        lambda n, q, k, v: (np.add(n, 1) @ np.array(q), mm(n, k), mm(n, v)),
    ],
}
ANSWERS["gradients.queries_keys_values.between"] = {
    RIGHT: [
        lambda q, k: np.array(q) @ np.array(k).T,
        lambda q, k: [[sum(a * b for a, b in zip(x, y, strict=True)) for y in k] for x in q],
        lambda q, k: tr(mm(k, tr(q))),
        lambda q, k: np.einsum("cd,ed->ce", q, k).tolist(),
    ],
    WRONG: [
        mm,
        lambda q, k: mm(tr(q), k),
        lambda q, k: mm(k, tr(q)),
        lambda q, k: np.array(q) @ np.array(k).T / math.sqrt(len(q)),
        lambda q, k: np.array(q) @ np.array(k).T / len(q[0]),
        lambda q, k: np.outer(np.array(q).ravel(), np.array(k).ravel()),
        lambda q, k: np.array(q) * np.array(k),
        lambda q, k: np.array(q) + np.array(k),
        lambda q, k: np.array(q) @ np.array(q).T,
        lambda q, k: np.array(k) @ np.array(k).T,
        lambda q, k: -np.array(q) @ np.array(k).T,
        lambda q, k: np.diag(np.diag(np.array(q) @ np.array(k).T)),
        lambda q, k: (np.array(q) @ np.array(k).T + np.array(k) @ np.array(q).T) / 2,
        lambda q, k: float((np.array(q) * np.array(k)).sum()),
        lambda q, k: np.round(np.array(q) @ np.array(k).T, 2),
    ],
}

# 03 attention


def S(q, k):
    return np.array(q) @ np.array(k).T / len(q[0]) ** 0.5


ANSWERS["gradients.attention.scores"] = {
    RIGHT: [
        S,
        lambda q, k: [[sum(a * b for a, b in zip(x, y, strict=True)) * len(x) ** -0.5 for y in k] for x in q],
        lambda q, k: mm([[a / math.sqrt(len(r)) for a in r] for r in q], tr(k)),
        lambda q, k: np.einsum("td,sd->ts", q, k) / np.sqrt(np.shape(q)[1]),
    ],
    WRONG: [
        lambda q, k: np.array(q) @ np.array(k).T,
        lambda q, k: np.array(q) @ np.array(k).T / len(q) ** 0.5,
        lambda q, k: np.array(q) @ np.array(k).T / len(q[0]) ** 2,
        lambda q, k: np.array(q) @ np.array(k).T / (2 * len(q[0])) ** 0.5,
        lambda q, k: np.array(q) @ np.array(k).T / math.log(len(q[0]) + 1),
        lambda q, k: np.array(q) @ np.array(k).T / 2.0,
        lambda q, k: S(q, k).T,
        lambda q, k: np.triu(S(q, k)),
        lambda q, k: np.tril(S(q, k)),
        lambda q, k: np.abs(S(q, k)),
        lambda q, k: -S(q, k),
        lambda q, k: S(q, q),
        lambda q, k: causal(S(q, k)),
        lambda q, k: npsoft(S(q, k)),
        lambda q, k: np.diag(S(q, k)),
        lambda q, k: S(q, k) - S(q, k).max(-1, keepdims=True),
        lambda q, k: S(q, k)[-1],
    ],
}


def exps(rows, less):
    result = []
    for row in rows:
        powers = [math.exp(x - less(row, rows)) for x in row]
        result.append([x / sum(powers) for x in powers])
    return result


def np_naive(s):
    with np.errstate(all="ignore"):
        e = np.exp(np.array(s))
        return e / e.sum(-1, keepdims=True)


def clipped(s):
    e = np.exp(np.clip(np.array(s), -700, 700))
    return e / e.sum(-1, keepdims=True)


ANSWERS["gradients.attention.softmax"] = {
    RIGHT: [
        npsoft,
        lambda s: [
            [1 / sum(math.exp(min(y - x, 700)) for y in row) if max(row) - x < 700 else 0.0 for x in row] for row in s
        ],
        lambda s: [soft(row) for row in s],
        lambda s: np.exp(np.array(s) - np.logaddexp.reduce(np.array(s), axis=-1, keepdims=True)),
    ],
    WRONG: [
        lambda s: exps(s, lambda row, rows: 0.0),
        np_naive,
        clipped,
        lambda s: exps(s, lambda row, rows: max(map(max, rows))),
        lambda s: exps(s, lambda row, rows: sum(row) / len(row)),
        lambda s: exps(s, lambda row, rows: min(row)),
        lambda s: exps(s, lambda row, rows: 1000.0),
        lambda s: exps(s, lambda row, rows: rows[0][0]),
        lambda s: npsoft(np.array(s).T).T,
        lambda s: npsoft(np.array(s).ravel()).reshape(np.shape(s)),
        lambda s: [[math.exp(x - max(row)) / len(row) for x in row] for row in s],
        lambda s: [[math.exp(x - max(row)) / (1 + math.exp(x - max(row))) for x in row] for row in s],
        lambda s: np.log(npsoft(s) + 1e-300),
        lambda s: npsoft(np.array(s) / 2),
        lambda s: npsoft(np.abs(s)),
        lambda s: npsoft(s)[0],
        lambda s: [[x / (max(row) or 1) for x in row] for row in s],
        lambda s: npsoft(np.array(s) / (np.abs(s).max() + 1)),
    ],
}


def H(q, k, v, scores=S, mask=causal, weigh=npsoft):
    return weigh(mask(scores(q, k))) @ np.array(v)


ANSWERS["gradients.attention.head"] = {
    RIGHT: [
        H,
        lambda q, k, v: [
            mm(
                [soft([sum(a * b for a, b in zip(q[t], k[s], strict=True)) / len(q[t]) ** 0.5 for s in range(t + 1)])],
                v[: t + 1],
            )[0]
            for t in range(len(q))
        ],
        lambda q, k, v: H(q, k, v, mask=lambda s: s + np.triu(np.full(s.shape, -1e9), 1)),
        lambda q, k, v: g.weighted_values(g.softmax(g.causal_mask(g.scaled_scores(q, k))), v),
    ],
    WRONG: [
        lambda q, k, v: H(q, k, v, mask=lambda s: s),
        lambda q, k, v: H(q, k, v, scores=lambda q, k: S(q, k) * len(q[0]) ** 0.5),
        lambda q, k, v: H(q, k, v, scores=lambda q, k: S(q, k) / len(q[0]) ** 0.5),
        lambda q, k, v: H(q, k, v, mask=lambda s: np.tril(s)),
        lambda q, k, v: H(q, k, v, mask=lambda s: np.where(np.tril(np.ones(s.shape), 1) > 0, s, -np.inf)),
        lambda q, k, v: H(q, k, v, mask=lambda s: np.where(np.triu(np.ones(s.shape)) > 0, s, -np.inf)),
        lambda q, k, v: H(q, k, v, mask=lambda s: s, weigh=lambda s: np.tril(npsoft(s))),
        lambda q, k, v: H(q, k, v, mask=lambda s: s + np.triu(np.full(s.shape, -2.0), 1)),
        lambda q, k, v: H(q, k, v, mask=lambda s: s * np.tril(np.ones(s.shape)) - 1e-9 * np.triu(np.ones(s.shape), 1)),
        lambda q, k, v: H(q, k, v, weigh=lambda s: npsoft(s.T).T),
        lambda q, k, v: H(q, k, v, weigh=lambda s: npsoft(s).T),
        lambda q, k, v: H(k, q, v),
        lambda q, k, v: H(q, k, q),
        lambda q, k, v: np.array([np.mean(v[: t + 1], axis=0) for t in range(len(v))]),
        lambda q, k, v: H(q, k, v) + np.array(v),
        lambda q, k, v: H(q, k, v)[-1],
        lambda q, k, v: H(q[::-1], k[::-1], v[::-1])[::-1],
        lambda q, k, v: np.array([v[int(np.argmax(row))] for row in causal(S(q, k))]),
        lambda q, k, v: H(q, k, v, weigh=lambda s: npsoft(npsoft(s))),
    ],
}

# 04 several heads


def cut(x, h):
    x = np.array(x)
    return x.reshape(len(x), h, -1).transpose(1, 0, 2)


ANSWERS["gradients.multi_head_attention.split"] = {
    RIGHT: [
        cut,
        lambda x, h: list(np.split(np.array(x), h, axis=1)),
        lambda x, h: [tr(tr(x)[i * (len(x[0]) // h) : (i + 1) * (len(x[0]) // h)]) for i in range(h)],
        lambda x, h: [[[row[i * (len(row) // h) + j] for j in range(len(row) // h)] for row in x] for i in range(h)],
    ],
    WRONG: [
        lambda x, h: np.array(x).reshape(h, len(x), -1),
        lambda x, h: np.array(x).reshape(len(x), -1, h).transpose(2, 0, 1),
        lambda x, h: np.array(x).reshape(len(x), h, -1),
        lambda x, h: cut(x, len(x[0]) // h),
        lambda x, h: cut(x, h).transpose(0, 2, 1),
        lambda x, h: cut(x, h)[::-1],
        lambda x, h: np.array(x)[:, : len(x[0]) // h],
        lambda x, h: [[row[i * h : (i + 1) * h] for row in x] for i in range(h)],
        lambda x, h: [[row[i * (len(x) // h) : (i + 1) * (len(x) // h)] for row in x] for i in range(h)],
        lambda x, h: [[row[i * (len(row) // h) : (i + 1) * (len(row) // h) + 1] for row in x] for i in range(h)],
        lambda x, h: [[row[i * (len(row) // h) :] for row in x] for i in range(h)],
        lambda x, h: np.array_split(np.array(x), h, axis=0),
        lambda x, h: cut(x, h)[0],
        lambda x, h: cut(x, h) / h,
        lambda x, h: cut(x, h).reshape(-1, len(x[0]) // h),
        lambda x, h: list(cut(x, h))[:-1],
    ],
}


def W(z, w, h):
    d = len(z[0][0])
    return np.array(w)[h * d : (h + 1) * d]


ANSWERS["gradients.multi_head_attention.parts"] = {
    RIGHT: [
        lambda z, w: [np.array(each) @ W(z, w, h) for h, each in enumerate(z)],
        lambda z, w: np.einsum("htd,hdc->htc", z, np.array(w).reshape(len(z), -1, len(w))),
        lambda z, w: [mm(each, w[h * len(w) // len(z) : (h + 1) * len(w) // len(z)]) for h, each in enumerate(z)],
        lambda z, w: [
            np.concatenate([np.array(e) * (i == h) for i, e in enumerate(z)], 1) @ np.array(w) for h in range(len(z))
        ],
    ],
    WRONG: [
        lambda z, w: sum(np.array(each) @ W(z, w, h) for h, each in enumerate(z)),
        lambda z, w: [np.array(each) @ W(z, w, 0) for each in z],
        lambda z, w: [np.array(each) @ W(z, w, len(z) - 1 - h) for h, each in enumerate(z)],
        lambda z, w: [np.array(each) @ W(z, np.array(w).T, h) for h, each in enumerate(z)],
        lambda z, w: [np.array(each) @ np.array(w)[:, : len(each[0])].T for each in z],
        lambda z, w: [np.array(each) @ W(z, w, h) / len(z) ** 0.5 for h, each in enumerate(z)],
        lambda z, w: [(np.array(each) @ W(z, w, h)).T for h, each in enumerate(z)],
        lambda z, w: [np.concatenate(z, 1) @ np.array(w)] * len(z),
        lambda z, w: [np.array(each) @ W(z, w, h) for h, each in enumerate(z)][::-1],
        lambda z, w: [np.array(each) @ W(z, w, h)[:, : len(each[0])] for h, each in enumerate(z)],
        lambda z, w: [np.array(each) @ np.array(w)[h :: len(z)] for h, each in enumerate(z)],
        lambda z, w: [np.array(each) @ W(z, w, (h + 1) % len(z)) for h, each in enumerate(z)],
        lambda z, w: np.concatenate([np.array(each) @ W(z, w, h) for h, each in enumerate(z)], 0),
        lambda z, w: np.concatenate([np.array(each) @ W(z, w, h) for h, each in enumerate(z)], 1),
        lambda z, w: [np.array(each) @ W(z, w, h) for h, each in enumerate(z)][:1],
    ],
}


def A(q, k, v, w, h, head=H, split=cut, merge=lambda z: np.concatenate(list(z), 1)):
    return merge([head(*each) for each in zip(split(q, h), split(k, h), split(v, h), strict=True)]) @ np.array(w)


ANSWERS["gradients.multi_head_attention.attention"] = {
    RIGHT: [
        A,
        lambda q, k, v, w, h: sum(
            H(*each) @ np.array(w)[i * len(w) // h : (i + 1) * len(w) // h]
            for i, each in enumerate(zip(cut(q, h), cut(k, h), cut(v, h), strict=True))
        ),
        lambda q, k, v, w, h: A(q, k, v, w, h).tolist(),
        lambda q, k, v, w, h: A(
            np.array(q) / (len(w) / h) ** 0.5,
            k,
            v,
            w,
            h,
            lambda a, b, c: H(a, b, c, scores=lambda a, b: np.array(a) @ np.array(b).T),
        ),
    ],
    WRONG: [
        lambda q, k, v, w, h: A(np.array(q) / h**0.5, k, v, w, h),
        lambda q, k, v, w, h: A(np.array(q) * (len(w) / h) ** 0.5, k, v, w, h),
        lambda q, k, v, w, h: A(q, k, v, w, 1),
        lambda q, k, v, w, h: A(q, k, v, w, len(w) // h),
        lambda q, k, v, w, h: A(q, k, v, w, h, lambda a, b, c: H(a, b, c, mask=lambda s: s)),
        lambda q, k, v, w, h: A(q, k, v, np.array(w).T, h),
        lambda q, k, v, w, h: A(q, k, v, np.eye(len(w)), h),
        lambda q, k, v, w, h: A(q, k, v, w, h, merge=lambda z: np.array(z).reshape(len(q), -1)),
        lambda q, k, v, w, h: A(q, k, v, w, h, merge=lambda z: np.array(z).transpose(1, 2, 0).reshape(len(q), -1)),
        lambda q, k, v, w, h: A(q, k, v, w, h, split=lambda x, h: np.array(x).reshape(h, len(x), -1)),
        lambda q, k, v, w, h: A(
            q, k, v, w, h, split=lambda x, h: np.array(x).reshape(len(x), -1, h).transpose(2, 0, 1)
        ),
        lambda q, k, v, w, h: A(k, q, v, w, h),
        lambda q, k, v, w, h: A(q, k, k, w, h),
        lambda q, k, v, w, h: A(q, k, v, w, h, lambda a, b, c: H(a, b, c, weigh=lambda s: npsoft(s).T)),
        lambda q, k, v, w, h: A(q, k, v, w, h) / h,
        lambda q, k, v, w, h: A(q, k, v, w, h)[-1],
        lambda q, k, v, w, h: A(q, k, v, w, h) + np.array(q),
        lambda q, k, v, w, h: A(q, k, v, w, h, lambda a, b, c: H(a, b, c, mask=np.tril)),
    ],
}

# 05 feed-forward


def over(f):
    return lambda h: [[f(x) for x in row] for row in h]


ANSWERS["gradients.feed_forward.gelu"] = {
    RIGHT: [
        over(lambda x: x * Phi(x)),
        over(lambda x: 0.5 * x * math.erfc(-x / math.sqrt(2))),
        lambda h: np.array(h) * Phis(np.array(h)),
        over(lambda x: x - x * Phi(-x)),
    ],
    WRONG: [
        over(lambda x: 0.5 * x * (1 + math.tanh(math.sqrt(2 / math.pi) * (x + 0.044715 * x**3)))),
        over(lambda x: 0.5 * x * (1 + math.tanh(x))),
        over(lambda x: x / (1 + math.exp(-1.702 * x))),
        over(lambda x: x / (1 + math.exp(-x))),
        over(lambda x: 0.5 * x * (1 + math.erf(x))),
        over(lambda x: 0.5 * x * (1 - math.erf(x / math.sqrt(2)))),
        over(lambda x: x * (1 + math.erf(x / math.sqrt(2)))),
        over(lambda x: 0.5 * (1 + math.erf(x / math.sqrt(2)))),
        over(lambda x: max(0, x)),
        over(lambda x: x if x > 0 else 0.01 * x),
        over(lambda x: abs(x) * Phi(x)),
        over(lambda x: x * phi(x)),
        over(lambda x: x * Phi(x) if x > 0 else 0.0),
        over(lambda x: round(x * Phi(x), 4)),
        over(lambda x: math.log1p(math.exp(x))),
        over(lambda x: x * Phi(2 * x)),
        lambda h: [x * Phi(x) for row in h for x in row],
        over(lambda x: 0.5 * x * 1 + math.erf(x / math.sqrt(2))),
        lambda h: [x * Phi(x) for x in h[0]],
    ],
}
ANSWERS["gradients.feed_forward.slope"] = {
    RIGHT: [
        over(lambda x: Phi(x) + x * phi(x)),
        lambda h: Phis(np.array(h)) + np.array(h) * phis(np.array(h)),
        over(lambda x: 0.5 * math.erfc(-x / 2**0.5) + x * phi(x)),
        over(
            lambda x: (
                ((x + 1e-4) * Phi(x + 1e-4) - (x - 1e-4) * Phi(x - 1e-4)) / 2e-4 - 1e-8 / 6 * (x * (x * x - 4) * phi(x))
            )
        ),
    ],
    WRONG: [
        over(Phi),
        over(lambda x: Phi(x) - x * phi(x)),
        over(lambda x: Phi(x) + phi(x)),
        over(lambda x: Phi(x) * phi(x)),
        over(lambda x: Phi(x) + x * x * phi(x)),
        over(lambda x: x * Phi(x) + phi(x)),
        over(lambda x: Phi(x) + x * math.exp(-x * x / 2)),
        over(lambda x: Phi(x) + x * math.exp(-x * x / 2) / math.sqrt(math.pi)),
        over(lambda x: Phi(x) + x * math.exp(-x * x) / math.sqrt(2 * math.pi)),
        over(lambda x: Phi(x) + x * math.exp(-(x**2) / 2) / 2 * math.pi),
        over(lambda x: (Phi(x) + x * phi(x)) / 2),
        over(lambda x: Phi(x) + abs(x * phi(x))),
        over(lambda x: 1.0 if x > 0 else 0.0),
        over(lambda x: x * Phi(x)),
        over(lambda x: Phi(x) + x * phi(x) if x > 0 else 0.0),
        over(lambda x: ((x + 1e-3) * Phi(x + 1e-3) - x * Phi(x)) / 1e-3),
        over(lambda x: 1 / (1 + math.exp(-1.702 * x)) + x * phi(x)),
    ],
}


def B(b1, w2, b2):
    return (np.array(b1) @ np.array(w2) + np.array(b2)).tolist()


ANSWERS["gradients.feed_forward.collapse"] = {
    RIGHT: [
        lambda u, b1, d, b2: (mm(u, d), B(b1, d, b2)),
        lambda u, b1, d, b2: [np.array(u) @ np.array(d), np.array(b1) @ np.array(d) + np.array(b2)],
        lambda u, b1, d, b2: (
            mm(u, d),
            [sum(x * row[j] for x, row in zip(b1, d, strict=True)) + b2[j] for j in range(len(b2))],
        ),
        lambda u, b1, d, b2: (tr(mm(tr(d), tr(u))), tuple(B(b1, d, b2))),
    ],
    WRONG: [
        lambda u, b1, d, b2: (mm(d, u), B(b1, d, b2)),
        lambda u, b1, d, b2: (mm(u, d), b2),
        lambda u, b1, d, b2: (mm(u, d), B(b1, d, [0.0] * len(b2))),
        lambda u, b1, d, b2: (mm(u, d), [x + y for x, y in zip(b1, b2)]),  # noqa: B905
        lambda u, b1, d, b2: (mm(u, d), [2 * x for x in B(b1, d, b2)]),
        lambda u, b1, d, b2: (mm(u, d), [B(b1, d, b2)]),
        lambda u, b1, d, b2: (mm(u, d), B([-x for x in b1], d, b2)),
        lambda u, b1, d, b2: (mm(u, d), B(b1, d, [-x for x in b2])),
        lambda u, b1, d, b2: mm(u, d),
        lambda u, b1, d, b2: (B(b1, d, b2), mm(u, d)),
        lambda u, b1, d, b2: (tr(mm(u, d)), B(b1, d, b2)),
        lambda u, b1, d, b2: (mm(u, d), [x * y for x, y in zip(B(b1, d, [0] * len(b2)), b2, strict=True)]),
        lambda u, b1, d, b2: (mm(u, d), sum(B(b1, d, b2))),
        lambda u, b1, d, b2: (mm(u, d), B([max(0, x) for x in b1], d, b2)),
        lambda u, b1, d, b2: ([[x + y for x, y in zip(r, b2, strict=True)] for r in mm(u, d)], B(b1, d, b2)),
        lambda u, b1, d, b2: (mm(u, d), [0.0] * len(b2)),
    ],
}

# 06 residuals and norms


def N(x, e, ddof=0, axis=-1, mean=True):
    x = np.array(x)
    return (x - mean * x.mean(axis, keepdims=True)) / np.sqrt(x.var(axis, keepdims=True, ddof=ddof) + e)


ANSWERS["gradients.residuals_and_layer_norm.normalise"] = {
    RIGHT: [
        N,
        lambda x, e: [
            [(v - sum(r) / len(r)) * (sum(u * u for u in r) / len(r) - (sum(r) / len(r)) ** 2 + e) ** -0.5 for v in r]
            for r in x
        ],
        lambda x, e: N(x, e).tolist(),
        lambda x, e: g.layer_norm(x, [1.0] * len(x[0]), [0.0] * len(x[0]), e)[0],
    ],
    WRONG: [
        lambda x, e: N(x, e, ddof=1) if len(x[0]) > 1 else N(x, e),
        lambda x, e: N(x, e, axis=0),
        lambda x, e: N(x, e, axis=None),
        lambda x, e: N(x, e, mean=False),
        lambda x, e: N(x, 0.0) if np.var(x, -1).all() else N(x, e),
        lambda x, e: N(x, 1e-5),
        lambda x, e: N(x, 2 * e),
        lambda x, e: N(x, e**2),
        lambda x, e: (np.array(x) - np.mean(x, -1, keepdims=True)) / (np.std(x, -1, keepdims=True) + e),
        lambda x, e: (np.array(x) - np.mean(x, -1, keepdims=True)) / np.maximum(np.std(x, -1, keepdims=True), e),
        lambda x, e: np.array(x) / np.sqrt(np.mean(np.square(x), -1, keepdims=True) + e),
        lambda x, e: (np.array(x) - np.mean(x, -1, keepdims=True)) / (np.var(x, -1, keepdims=True) + e),
        lambda x, e: (np.array(x) - np.median(x, -1, keepdims=True)) / np.sqrt(np.var(x, -1, keepdims=True) + e),
        lambda x, e: np.array(x) - np.mean(x, -1, keepdims=True),
        lambda x, e: np.array(x) - np.mean(x, -1, keepdims=True) / np.sqrt(np.var(x, -1, keepdims=True) + e),
        lambda x, e: npsoft(x),
        lambda x, e: N(x, e) + e,
        lambda x, e: np.array(x) / np.linalg.norm(x, axis=-1, keepdims=True),
    ],
}


def U(row, e):
    return np.sqrt(np.var(row) + e) * np.ones(len(row)), np.mean(row) * np.ones(len(row))


ANSWERS["gradients.residuals_and_layer_norm.undo"] = {
    RIGHT: [
        U,
        lambda r, e: ([math.sqrt(np.var(r) + e) for _ in r], [sum(r) / len(r) for _ in r]),
        lambda r, e: ([float(np.sqrt(np.var(r) + e))] * len(r), [float(np.mean(r))] * len(r)),
        lambda r, e: list(U(r, e)),
    ],
    WRONG: [
        lambda r, e: U(r, 0.0),
        lambda r, e: U(r, e**2),
        lambda r, e: (np.std(r) * np.ones(len(r)) + e, U(r, e)[1]),
        lambda r, e: (U(r, e)[0] ** 2, U(r, e)[1]),
        lambda r, e: (1 / U(r, e)[0], U(r, e)[1]),
        lambda r, e: (U(r, e)[0], -U(r, e)[1]),
        lambda r, e: (U(r, e)[0], U(r, e)[1] / U(r, e)[0]),
        lambda r, e: (U(r, e)[0], 0 * U(r, e)[1]),
        lambda r, e: (U(r, e)[0][:1], U(r, e)[1][:1]),
        lambda r, e: (U(r, e)[0][0], U(r, e)[1][0]),
        lambda r, e: (U(r, e)[1], U(r, e)[0]),
        lambda r, e: (U(r, e)[0], np.median(r) * np.ones(len(r))),
        lambda r, e: (np.sqrt(np.var(r, ddof=1) + e) * np.ones(len(r)), U(r, e)[1]),
        lambda r, e: (U(r, e)[0], np.array(r)),
        lambda r, e: (np.array(r), U(r, e)[1]),
        lambda r, e: (U(r, e)[0], U(r, e)[1] + e),
        lambda r, e: np.stack(U(r, e)).T,
    ],
}


def add(a, b):
    return (np.array(a) + np.array(b)).tolist()


ANSWERS["gradients.residuals_and_layer_norm.block"] = {
    RIGHT: [
        lambda x, n, a, m, f: add(add(x, a(n(x))), f(m(add(x, a(n(x)))))),
        lambda x, n, a, m, f: add(x, add(a(n(x)), f(m(add(x, a(n(x))))))),
        lambda x, n, a, m, f: (lambda y: np.array(y) + np.array(f(m(y))))(add(x, a(n(x)))),
        lambda x, n, a, m, f: [
            [u + v for u, v in zip(*rows, strict=True)]
            for rows in zip(add(x, a(n(x))), f(m(add(x, a(n(x))))), strict=True)
        ],
    ],
    WRONG: [
        lambda x, n, a, m, f: f(m(add(x, a(n(x))))),
        lambda x, n, a, m, f: add(x, f(m(a(n(x))))),
        lambda x, n, a, m, f: add(x, f(m(add(x, a(n(x)))))),
        lambda x, n, a, m, f: add(add(x, a(n(x))), f(m(x))),
        lambda x, n, a, m, f: add(add(x, a(n(x))), f(m(a(n(x))))),
        lambda x, n, a, m, f: add(add(x, a(x)), f(m(add(x, a(x))))),
        lambda x, n, a, m, f: add(add(x, n(a(x))), m(f(add(x, n(a(x)))))),
        lambda x, n, a, m, f: m(add(n(add(x, a(x))), f(n(add(x, a(x)))))),
        lambda x, n, a, m, f: add(add(n(x), a(n(x))), f(m(add(n(x), a(n(x)))))),
        lambda x, n, a, m, f: add(add(x, a(m(x))), f(n(add(x, a(m(x)))))),
        lambda x, n, a, m, f: add(add(x, f(n(x))), a(m(add(x, f(n(x)))))),
        lambda x, n, a, m, f: add(x, a(n(x))),
        lambda x, n, a, m, f: add(add(x, x), f(m(add(x, a(n(x)))))),
        lambda x, n, a, m, f: add(add(x, a(n(x))), f(m(n(add(x, a(n(x))))))),
        lambda x, n, a, m, f: (np.array(add(add(x, a(n(x))), f(m(add(x, a(n(x))))))) / 2).tolist(),
        lambda x, n, a, m, f: a(n(x)) + f(m(x)),
        lambda x, n, a, m, f: add(x, add(a(n(x)), f(m(x)))),
    ],
}

# 07 the loss


def lsm(z):
    z = np.array(z)
    return z - np.logaddexp.reduce(z, axis=-1, keepdims=True)


ANSWERS["gradients.loss.pairs"] = {
    RIGHT: [
        lambda ids: list(enumerate(ids[1:])),
        lambda ids: [[t, b] for t, (a, b) in enumerate(pairwise(ids))],
        lambda ids: [(np.int64(t), np.int64(x)) for t, x in enumerate(ids[1:])],
        lambda ids: [[t - 1, ids[t]] for t in range(1, len(ids))],
    ],
    WRONG: [
        lambda ids: list(enumerate(ids)),
        lambda ids: list(enumerate(ids[:-1])),
        lambda ids: list(enumerate(ids[1:], 1)),
        lambda ids: [[ids.index(a), b] for a, b in pairwise(ids)],
        lambda ids: [list(each) for each in pairwise(ids)],
        lambda ids: list(enumerate(ids[1:]))[::-1],
        lambda ids: [[b, t] for t, b in enumerate(ids[1:])],
        lambda ids: [[t, ids[(t + 1) % len(ids)]] for t in range(len(ids))],
        lambda ids: [[t, ids[t - 1]] for t in range(len(ids))],
        lambda ids: [[t, ids[t + 1]] for t in range(len(ids) - 1) if ids[t + 1]],
        lambda ids: [[t, ids[t + 1] if t + 1 < len(ids) else 0] for t in range(len(ids))],
        lambda ids: dict(enumerate(ids[1:])),
        lambda ids: [[t, ids[t + 1]] for t in range(len(ids) - 2)],
        lambda ids: [[t, ids[-1]] for t in range(len(ids) - 1)],
        lambda ids: [x for each in enumerate(ids[1:]) for x in each],
        lambda ids: ids[1:],
        lambda ids: enumerate(ids[1:]),
    ],
}
ANSWERS["gradients.loss.logprobs"] = {
    RIGHT: [
        lsm,
        lambda z: [[x - max(r) - math.log(sum(math.exp(y - max(r)) for y in r)) for x in r] for r in z],
        lambda z: [
            [
                -math.log(sum(math.exp(y - x) for y in r))
                if max(r) - x < 700
                else x - max(r) - math.log(sum(math.exp(y - max(r)) for y in r))
                for x in r
            ]
            for r in z
        ],
        lambda z: lsm(z).tolist(),
    ],
    WRONG: [
        lambda z: [[math.log(p) for p in soft(r)] for r in z],
        lambda z: [[math.log(max(p, 1e-300)) for p in soft(r)] for r in z],
        lambda z: [[math.log(max(p, 1e-15)) for p in soft(r)] for r in z],
        lambda z: [[math.log(p + 1e-20) for p in soft(r)] for r in z],
        lambda z: [[x - math.log(sum(math.exp(y) for y in r)) for x in r] for r in z],
        lambda z: np.log(np_naive(z)),
        lambda z: lsm(z) / math.log(10),
        lambda z: lsm(z) / math.log(2),
        lambda z: -lsm(z),
        lambda z: np.exp(lsm(z)),
        lambda z: lsm(np.array(z).T).T,
        lambda z: np.array(z) - np.array(z).max(),
        lambda z: np.array(z) - np.logaddexp.reduce(np.array(z).ravel()),
        lambda z: np.array(z) - np.mean(z, -1, keepdims=True),
        lambda z: np.array(z) - np.sum(z, -1, keepdims=True),
        lambda z: lsm(z) - np.array(z).max(-1, keepdims=True),
        lambda z: (
            np.array(z)
            - np.max(z, -1, keepdims=True)
            + np.log(np.exp(np.array(z) - np.max(z, -1, keepdims=True)).sum(-1, keepdims=True))
        ),
        lambda z: lsm(z).max(-1),
        lambda z: np.log(npsoft(np.clip(z, -50, 50))),
    ],
}


def ce(z, y, keep=lambda t, y: y is not None, over=lambda n, z, y: n, cost=lambda r, t: -lsm(r)[t]):
    found = [cost(r, t) for i, (r, t) in enumerate(zip(z, y, strict=True)) if keep(i, t)]
    return sum(found) / over(len(found), z, y)


ANSWERS["gradients.loss.cross_entropy"] = {
    RIGHT: [
        ce,
        lambda z, y: np.mean([-lsm(r)[t] for r, t in zip(z, y, strict=True) if t is not None]),
        lambda z, y: (
            -sum(math.log(soft(r)[t]) for r, t in zip(z, y, strict=True) if t is not None) / (len(y) - y.count(None))
        ),
        lambda z, y: g.cross_entropy(z, y)[0],
    ],
    WRONG: [
        lambda z, y: ce(z, y, keep=lambda i, t: bool(t)),
        lambda z, y: ce(z, y, over=lambda n, z, y: len(y)),
        lambda z, y: ce(z, y, over=lambda n, z, y: len(z[0])),
        lambda z, y: ce(z, y, over=lambda n, z, y: 1),
        lambda z, y: ce(z, y, over=lambda n, z, y: max(1, n - 1)),
        lambda z, y: ce(z, y, cost=lambda r, t: -lsm(r)[t] / math.log(2)),
        lambda z, y: ce(z, y, cost=lambda r, t: lsm(r)[t]),
        lambda z, y: ce(z, y, cost=lambda r, t: -math.log(soft(r)[t] + 1e-6)),
        lambda z, y: ce(z, y, cost=lambda r, t: 1 - soft(r)[t]),
        lambda z, y: ce(z, y, cost=lambda r, t: -lsm(soft(r))[t]),
        lambda z, y: ce(z, y, cost=lambda r, t: -sum(soft(r) * lsm(r))),
        lambda z, y: ce(
            z, y, cost=lambda r, t: -lsm(r)[t] - sum(math.log(1 - p) for i, p in enumerate(soft(r)) if i != t)
        ),
        lambda z, y: ce(z, [0 if t is None else t for t in y]),
        lambda z, y: ce(z, [len(z[0]) - 1 if t is None else t for t in y]),
        lambda z, y: ce(z[:-1], y[:-1]) if any(t is not None for t in y[:-1]) else 0.0,
        lambda z, y: ce(z[:-1], y[1:]) if any(t is not None for t in y[1:]) else 0.0,
        lambda z, y: max(-lsm(r)[t] for r, t in zip(z, y, strict=True) if t is not None),
        lambda z, y: math.exp(ce(z, y)),
        lambda z, y: [-lsm(r)[t] for r, t in zip(z, y, strict=True) if t is not None],
        lambda z, y: ce(z, y, cost=lambda r, t: (1 - soft(r)[t]) ** 2),
        lambda z, y: ce(z, y, cost=lambda r, t: -math.log(soft(r)[t], 10)),
        lambda z, y: ce(z, y, cost=lambda r, t: -lsm(r)[(t + 1) % len(r)]),
        lambda z, y: ce(z, y, cost=lambda r, t: -lsm(r)[t - 1]),
    ],
}

# 08 the gradient of the loss


def bumped(x, i, h):
    return [v + h * (i == j) for j, v in enumerate(x)]


def in_place(f, x, h):
    slopes = []
    for i in range(len(x)):
        x[i] += h
        up = f(x)
        x[i] -= 2 * h
        slopes.append((up - f(x)) / (2 * h))
        x[i] += h
    return slopes


def not_back(f, x, h):
    slopes = []
    for i in range(len(x)):
        x[i] += h
        up = f(x)
        x[i] -= 2 * h
        slopes.append((up - f(x)) / (2 * h))
    return slopes


def one_list(f, x, h):
    up = down = x
    slopes = []
    for i in range(len(x)):
        up[i] += h
        down[i] -= h
        slopes.append((f(up) - f(down)) / (2 * h))
    return slopes


ANSWERS["gradients.gradient_of_the_loss.central_differences"] = {
    RIGHT: [
        in_place,
        lambda f, x, h: [(f(bumped(x, i, h)) - f(bumped(x, i, -h))) / (2 * h) for i in range(len(x))],
        lambda f, x, h: np.array([f(bumped(x, i, h)) - f(bumped(x, i, -h)) for i in range(len(x))]) / 2 / h,
        lambda f, x, h: tuple(
            (f([*x[:i], x[i] + h, *x[i + 1 :]]) - f([*x[:i], x[i] - h, *x[i + 1 :]])) / h / 2 for i in range(len(x))
        ),
    ],
    WRONG: [
        not_back,
        one_list,
        lambda f, x, h: [(f(bumped(x, i, h)) - f(x)) / h for i in range(len(x))],
        lambda f, x, h: [(f(bumped(x, i, h)) - f(x)) / (2 * h) for i in range(len(x))],
        lambda f, x, h: [(f(bumped(x, i, 2 * h)) - f(bumped(x, i, -2 * h))) / (2 * h) for i in range(len(x))],
        lambda f, x, h: [(f(bumped(x, i, h / 2)) - f(bumped(x, i, -h / 2))) / h for i in range(len(x))],
        lambda f, x, h: [(f(bumped(x, i, h)) - f(bumped(x, i, -h))) / h for i in range(len(x))],
        lambda f, x, h: [(f(bumped(x, i, h)) - f(bumped(x, i, -h))) / 2 * h for i in range(len(x))],
        lambda f, x, h: [(f(bumped(x, i, -h)) - f(bumped(x, i, h))) / (2 * h) for i in range(len(x))],
        lambda f, x, h: [(f(bumped(x, i, 1e-5)) - f(bumped(x, i, -1e-5))) / 2e-5 for i in range(len(x))],
        lambda f, x, h: [(f(bumped(x, 0, h)) - f(bumped(x, 0, -h))) / (2 * h) for i in range(len(x))],
        lambda f, x, h: [(f(bumped(x, i, h)) - f(bumped(x, i, -h))) / (2 * h) for i in range(len(x) - 1)],
        lambda f, x, h: [(f(bumped(x, i, h)) - 2 * f(x) + f(bumped(x, i, -h))) / h**2 for i in range(len(x))],
        lambda f, x, h: [(f([v + h for v in x]) - f([v - h for v in x])) / (2 * h)] * len(x),
        lambda f, x, h: sum((f(bumped(x, i, h)) - f(bumped(x, i, -h))) / (2 * h) for i in range(len(x))) / len(x),
        lambda f, x, h: [abs(f(bumped(x, i, h)) - f(bumped(x, i, -h))) / (2 * h) - h for i in range(len(x))],
        lambda f, x, h: [(f(bumped(x, i, h)) - f(bumped(x, i, -h))) / (2 * h) for i in reversed(range(len(x)))],
    ],
}


def G(z, y, n=None, one=1.0):
    n = sum(t is not None for t in y) if n is None else n
    rows = [np.zeros(len(r)) if t is None else npsoft(r) - one * np.eye(len(r))[t] for r, t in zip(z, y, strict=True)]
    return np.array(rows) / n


ANSWERS["gradients.gradient_of_the_loss.logits"] = {
    RIGHT: [
        G,
        lambda z, y: G(z, y).tolist(),
        lambda z, y: [
            [0.0] * len(r) if t is None else [(p - (j == t)) / (len(y) - y.count(None)) for j, p in enumerate(soft(r))]
            for r, t in zip(z, y, strict=True)
        ],
        lambda z, y: g.cross_entropy_backward(g.softmax(z), y),
    ],
    WRONG: [
        lambda z, y: G(z, y, n=len(y)),
        lambda z, y: G(z, y, n=len(z[0])),
        lambda z, y: G(z, y, n=len(z) * len(z[0])),
        lambda z, y: G(z, y, n=1),
        lambda z, y: G(z, y, n=2),
        lambda z, y: -G(z, y),
        lambda z, y: G(z, y, one=0.0),
        lambda z, y: G(z, y, one=-1.0),
        lambda z, y: G(z, [t or None for t in y], n=max(1, sum(t is not None for t in y))),
        lambda z, y: G(z, [0 if t is None else t for t in y]),
        lambda z, y: np.array([r for r, t in zip(G(z, y), y, strict=True) if t is not None]),
        lambda z, y: G(z, [None if t is None else (t + 1) % len(z[0]) for t in y]),
        lambda z, y: G(z, [*y[1:], None], n=1),
        lambda z, y: (
            np.array(
                [
                    [0.0 if t is None else (j == t) * (p - 1) for j, p in enumerate(soft(r))]
                    for r, t in zip(z, y, strict=True)
                ]
            )
            / max(1, len(y) - y.count(None))
        ),
        lambda z, y: (
            np.array(
                [
                    [0.0 if t is None else p * ((j == t) - p) for j, p in enumerate(soft(r))]
                    for r, t in zip(z, y, strict=True)
                ]
            )
            / max(1, len(y) - y.count(None))
        ),
        lambda z, y: G(z, y).sum(0),
        lambda z, y: G(z, y) / math.log(2),
        lambda z, y: (
            np.array([npsoft(r) - (0 if t is None else np.eye(len(r))[t]) for r, t in zip(z, y, strict=True)])
            / (len(y) - y.count(None))
        ),
        lambda z, y: [
            [0.0] * len(r) if t is None else [p - (j == t) / (len(y) - y.count(None)) for j, p in enumerate(soft(r))]
            for r, t in zip(z, y, strict=True)
        ],
        lambda z, y: G([r[::-1] for r in z], y),
    ],
}


def L(d, n, ga, b, w, dy=None, y=None):
    d, n, w = map(np.array, (d, n, w))
    dy = d @ w.T if dy is None else dy
    y = n * np.array(ga) + np.array(b) if y is None else y
    return (dy * n).sum(0), dy.sum(0), y.T @ d


ANSWERS["gradients.gradient_of_the_loss.last_parameters"] = {
    RIGHT: [
        L,
        lambda *a: [x.tolist() for x in L(*a)],
        lambda d, n, ga, b, w: (
            [sum(x * y for x, y in zip(p, q, strict=True)) for p, q in zip(tr(mm(d, tr(w))), tr(n), strict=True)],
            [sum(c) for c in zip(*mm(d, tr(w)), strict=True)],
            mm(tr([[u * s + v for u, s, v in zip(r, ga, b, strict=True)] for r in n]), d),
        ),
        lambda *a: tuple(map(list, L(*a))),
    ],
    WRONG: [
        lambda d, n, ga, b, w: (L(d, n, ga, b, w)[0], L(d, n, ga, b, w)[1], np.array(n).T @ np.array(d)),
        lambda d, n, ga, b, w: (
            L(d, n, ga, b, w)[0] / len(d),
            L(d, n, ga, b, w)[1] / len(d),
            L(d, n, ga, b, w)[2] / len(d),
        ),
        lambda d, n, ga, b, w: (*L(d, n, ga, b, w)[:2], L(d, n, ga, b, w)[2].T),
        lambda d, n, ga, b, w: (*L(d, n, ga, b, w)[:2], L(d, n, ga, b, w)[2] / len(d)),
        lambda d, n, ga, b, w: (L(d, n, ga, b, w)[0] * np.array(ga), *L(d, n, ga, b, w)[1:]),
        lambda d, n, ga, b, w: (L(d, n, ga, b, w)[0], L(d, n, ga, b, w)[0], L(d, n, ga, b, w)[2]),
        lambda d, n, ga, b, w: (L(d, n, ga, b, w)[1], L(d, n, ga, b, w)[0], L(d, n, ga, b, w)[2]),
        lambda d, n, ga, b, w: (L(d, n, ga, b, w)[0], L(d, n, ga, b, w)[1].sum(), L(d, n, ga, b, w)[2]),
        lambda d, n, ga, b, w: ((np.array(d) @ np.array(w).T * np.array(n)).mean(0), *L(d, n, ga, b, w)[1:]),
        lambda d, n, ga, b, w: ((np.array(d) @ np.array(w).T * np.array(n)), *L(d, n, ga, b, w)[1:]),
        lambda d, n, ga, b, w: ((np.array(d) @ np.array(w).T * np.array(n)).sum(1), *L(d, n, ga, b, w)[1:]),
        lambda d, n, ga, b, w: tuple(-x for x in L(d, n, ga, b, w)),
        lambda d, n, ga, b, w: L(d, n, ga, [0.0] * len(b), w),
        lambda d, n, ga, b, w: L(d, n, [1.0] * len(ga), b, w),
        lambda d, n, ga, b, w: (L(d, n, ga, b, w)[0] + L(d, n, ga, b, w)[1], *L(d, n, ga, b, w)[1:]),
        lambda d, n, ga, b, w: L(d, n, ga, b, w)[:2],
        lambda d, n, ga, b, w: (
            L(d[:-1] or d, n[:-1] or n, ga, b, w) if len(d) > 1 else L(d, n, ga, b, [[0.0] * len(r) for r in w])
        ),
    ],
}

# 09 backpropagation


def GL(da, x, w, slope=lambda h: Phis(h) + h * phis(h), form=lambda h: h * Phis(h)):
    da, x, w = map(np.array, (da, x, w))
    h = x @ w
    dh = da * slope(h)
    return form(h), dh @ w.T, x.T @ dh


ANSWERS["gradients.backpropagation.gelu"] = {
    RIGHT: [
        GL,
        lambda *a: [x.tolist() for x in GL(*a)],
        lambda da, x, w: (
            g.gelu(mm(x, w)),
            mm(g.gelu_backward(da, mm(x, w)), tr(w)),
            mm(tr(x), g.gelu_backward(da, mm(x, w))),
        ),
        lambda da, x, w: GL(da, x, w, form=lambda h: h - h * Phis(-h)),
    ],
    WRONG: [
        lambda da, x, w: GL(da, x, w, slope=Phis),
        lambda da, x, w: GL(da, x, w, slope=lambda h: Phis(h) + h * h * phis(h)),
        lambda da, x, w: GL(da, x, w, slope=lambda h: Phis(h) - h * phis(h)),
        lambda da, x, w: GL(da, x, w, slope=lambda h: (h > 0) * 1.0),
        lambda da, x, w: GL(da, x, w, slope=lambda h: h * Phis(h)),
        lambda da, x, w: GL(da, x, w, slope=lambda h: Phis(h * Phis(h)) + h * phis(h)),
        lambda da, x, w: GL(da, x, w, form=lambda h: np.maximum(h, 0)),
        lambda da, x, w: GL(da, x, w, form=lambda h: h),
        lambda da, x, w: GL(
            da, x, w, form=lambda h: 0.5 * h * (1 + np.tanh((2 / np.pi) ** 0.5 * (h + 0.044715 * h**3)))
        ),
        lambda da, x, w: (GL(da, x, w)[0], GL(da, x, w)[1].T, GL(da, x, w)[2]),
        lambda da, x, w: (GL(da, x, w)[0], GL(da, x, w)[1], GL(da, x, w)[2].T),
        lambda da, x, w: (GL(da, x, w)[0], GL(da, x, w)[1], GL(da, x, w)[2] / len(x)),
        lambda da, x, w: (GL(da, x, w)[0], GL(da, x, w)[2], GL(da, x, w)[1]),
        lambda da, x, w: (GL(da, x, w)[0], np.array(da) @ np.array(w).T, np.array(x).T @ np.array(da)),
        lambda da, x, w: GL(da, x, w)[1:],
        lambda da, x, w: (np.array(x) @ np.array(w), *GL(da, x, w)[1:]),
        lambda da, x, w: (GL(da, x, w)[0], -GL(da, x, w)[1], -GL(da, x, w)[2]),
        lambda da, x, w: (GL(da, x, w)[0], GL(da, x, w)[1], np.array(x).T @ (np.array(da) * GL(da, x, w)[0])),
        lambda da, x, w: (*GL(da, x, w)[:2], GL(da, x, w)[0].T @ np.array(da)),
    ],
}


def SB(dp, p):
    dp, p = np.array(dp), np.array(p)
    return p * (dp - (p * dp).sum(-1, keepdims=True))


ANSWERS["gradients.backpropagation.softmax"] = {
    RIGHT: [
        SB,
        lambda dp, p: [
            [sum(g_ * b * ((i == j) - a) for j, (g_, b) in enumerate(zip(r, q, strict=True))) for i, a in enumerate(q)]
            for r, q in zip(dp, p, strict=True)
        ],
        lambda dp, p: [np.array(r) @ (np.diag(q) - np.outer(q, q)) for r, q in zip(dp, p, strict=True)],
        lambda dp, p: np.array(p) * np.array(dp) - np.array(p) * (np.array(p) * np.array(dp)).sum(1)[:, None],
    ],
    WRONG: [
        lambda dp, p: np.array(p) * np.array(dp),
        lambda dp, p: np.array(p) * (1 - np.array(p)) * np.array(dp),
        lambda dp, p: np.array(p) * (np.array(dp) - np.mean(dp, -1, keepdims=True)),
        lambda dp, p: np.array(p) * (np.array(dp) - np.sum(dp, -1, keepdims=True)),
        lambda dp, p: np.array(dp) - (np.array(p) * np.array(dp)).sum(-1, keepdims=True),
        lambda dp, p: -SB(dp, p),
        lambda dp, p: SB(np.array(dp).T, np.array(p).T).T,
        lambda dp, p: SB(p, dp),
        lambda dp, p: SB(dp, npsoft(p)),
        lambda dp, p: np.array(p) * (np.array(dp) - (np.array(p) * np.array(dp)).sum()),
        lambda dp, p: np.array(p) * np.array(dp) - (np.array(p) * np.array(dp)).sum(-1, keepdims=True),
        lambda dp, p: np.array(p) * (np.array(dp) - (np.array(p) * np.array(dp)).mean(-1, keepdims=True)),
        lambda dp, p: SB(dp, p) / len(p[0]),
        lambda dp, p: SB(dp, p) / len(p),
        lambda dp, p: np.array(p) * (np.array(dp) - np.max(dp, -1, keepdims=True)),
        lambda dp, p: [np.diag(q) - np.outer(q, q) for q in p],
        lambda dp, p: np.array(p) - np.array(dp),
        lambda dp, p: SB(dp, p)[:, :-1],
        lambda dp, p: (
            np.array(p) ** 2 * np.array(dp) - np.array(p) * (np.array(p) * np.array(dp)).sum(-1, keepdims=True)
        ),
    ],
}


def LN(dy, x, ga, e=1e-5, ddof=0, m=1.0, a=1.0, inside=True, rr=1.0):
    dy, x, ga = map(np.array, (dy, x, ga))
    r = (x.var(-1, keepdims=True, ddof=ddof) + e) ** -0.5
    n = (x - x.mean(-1, keepdims=True)) * r
    dn = dy * (ga if inside else 1.0)
    dx = r**rr * (dn - m * dn.mean(-1, keepdims=True) - a * n * (dn * n).mean(-1, keepdims=True))
    return dx, (dy * n).sum(0), dy.sum(0)


ANSWERS["gradients.backpropagation.layer_norm"] = {
    RIGHT: [
        LN,
        lambda *a: [x.tolist() for x in LN(*a)],
        lambda dy, x, ga: (
            np.array(
                [
                    np.array(ga)
                    * np.array(d)
                    @ (np.eye(len(r)) - 1 / len(r) - np.outer(c, c) / len(r) / (np.var(r) + 1e-5))
                    / (np.var(r) + 1e-5) ** 0.5
                    for d, r, c in zip(dy, x, np.array(x) - np.mean(x, -1, keepdims=True), strict=True)
                ]
            ),
            *LN(dy, x, ga)[1:],
        ),
        lambda dy, x, ga: (LN(dy, x, ga)[0].tolist(), list(LN(dy, x, ga)[1]), tuple(LN(dy, x, ga)[2])),
    ],
    WRONG: [
        lambda dy, x, ga: LN(dy, x, ga, e=0.0),
        lambda dy, x, ga: LN(dy, x, ga, e=1e-6),
        lambda dy, x, ga: LN(dy, x, ga, m=0.0),
        lambda dy, x, ga: LN(dy, x, ga, a=0.0),
        lambda dy, x, ga: LN(dy, x, ga, m=0.0, a=0.0),
        lambda dy, x, ga: LN(dy, x, ga, m=-1.0),
        lambda dy, x, ga: LN(dy, x, ga, a=2.0),
        lambda dy, x, ga: LN(dy, x, ga, inside=False),
        lambda dy, x, ga: LN(dy, x, ga, rr=0.0),
        lambda dy, x, ga: LN(dy, x, ga, rr=3.0),
        lambda dy, x, ga: LN(dy, x, ga, ddof=1),
        lambda dy, x, ga: (LN(dy, x, ga, inside=False)[0] * np.array(ga), *LN(dy, x, ga)[1:]),
        lambda dy, x, ga: (LN(dy, x, ga)[0], LN(dy, x, ga)[1] / len(dy), LN(dy, x, ga)[2]),
        lambda dy, x, ga: (LN(dy, x, ga)[0], LN(dy, x, ga)[1], LN(dy, x, ga)[2] / len(dy)),
        lambda dy, x, ga: (LN(dy, x, ga)[0], (np.array(dy) * np.array(x)).sum(0), LN(dy, x, ga)[2]),
        lambda dy, x, ga: (LN(dy, x, ga)[0], LN(dy, x, ga)[2], LN(dy, x, ga)[1]),
        lambda dy, x, ga: (-LN(dy, x, ga)[0], *LN(dy, x, ga)[1:]),
        lambda dy, x, ga: (np.array(dy) * np.array(ga), *LN(dy, x, ga)[1:]),
        lambda dy, x, ga: (LN(dy, x, ga)[0], *(c.sum() for c in LN(dy, x, ga)[1:])),
        lambda dy, x, ga: (LN(dy, x, ga)[0], (np.array(dy) * np.array(ga)).sum(0), LN(dy, x, ga)[2]),
        lambda dy, x, ga: LN(dy, x, ga)[0],
    ],
}


def scatter(dx, ids, v):
    total = np.zeros((v, len(dx[0])))
    np.add.at(total, ids, np.array(dx))
    return total


def buffered(dx, ids, v):
    total = np.zeros((v, len(dx[0])))
    total[ids] += np.array(dx)
    return total


def aliased(dx, ids, v):
    total = [[0.0] * len(dx[0])] * v
    for row, i in zip(dx, ids, strict=True):
        for j, x in enumerate(row):
            total[i][j] += x
    return total


def borrowed(dx, ids, v):
    total = [None] * v
    for row, i in zip(dx, ids, strict=True):
        if total[i] is None:
            total[i] = row
        else:
            for j, x in enumerate(row):
                total[i][j] += x
    return [[0.0] * len(dx[0]) if row is None else row for row in total]


ANSWERS["gradients.backpropagation.embedding"] = {
    RIGHT: [
        scatter,
        lambda dx, ids, v: mm(tr([[1.0 * (j == i) for j in range(v)] for i in ids]), dx),
        lambda dx, ids, v: [
            [sum(r[j] for r, i in zip(dx, ids, strict=True) if i == t) for j in range(len(dx[0]))] for t in range(v)
        ],
        lambda dx, ids, v: scatter(dx, ids, v).tolist(),
    ],
    WRONG: [
        buffered,
        aliased,
        borrowed,
        lambda dx, ids, v: scatter(dx, ids, v)[: max(ids) + 1] if max(ids) + 1 < v else scatter(dx, ids, v + 1),
        lambda dx, ids, v: scatter(dx, ids, v + 1),
        lambda dx, ids, v: scatter(dx, ids, v)[sorted(set(ids))] if len(set(ids)) < v else scatter(dx, ids, v)[::-1],
        lambda dx, ids, v: scatter(dx, ids, v) / len(ids),
        lambda dx, ids, v: -scatter(dx, ids, v),
        lambda dx, ids, v: scatter(dx, sorted(ids), v),
        lambda dx, ids, v: scatter(dx, ids[::-1], v),
        lambda dx, ids, v: scatter(dx, [i - 1 for i in ids], v),
        lambda dx, ids, v: scatter(dx, [(i + 1) % v for i in ids], v),
        lambda dx, ids, v: scatter(dx, ids, v).T,
        lambda dx, ids, v: scatter(dx, ids, v).sum(-1),
        lambda dx, ids, v: scatter(dx, [t % v for t in range(len(ids))], v),
        lambda dx, ids, v: {i: scatter(dx, ids, v)[i].tolist() for i in ids},
        lambda dx, ids, v: scatter(np.ones(np.shape(dx)), ids, v),
        lambda dx, ids, v: np.array(dx)[ids] if max(ids) < len(dx) else dx,
    ],
}

# 10 AdamW


def fm(gs, b, start=0.0):
    for x in gs:
        start = b * start + (1 - b) * x
    return start


ANSWERS["gradients.adamw.mean"] = {
    RIGHT: [
        lambda gs, b: fm(gs, b) / (1 - b ** len(gs)),
        lambda gs, b: sum(b**i * x for i, x in enumerate(reversed(gs))) / sum(b**i for i in range(len(gs))),
        lambda gs, b: np.average(gs, weights=[b ** (len(gs) - 1 - i) for i in range(len(gs))]),
        lambda gs, b: (1 - b) * sum(x * b ** (len(gs) - t) for t, x in enumerate(gs, 1)) / (1 - b ** len(gs)),
    ],
    WRONG: [
        fm,
        lambda gs, b: fm(gs, b, gs[0]),
        lambda gs, b: fm(gs, b, gs[0]) / (1 - b ** len(gs)),
        lambda gs, b: fm(gs[1:], b, gs[0]),
        lambda gs, b: fm(gs, b) / (1 - b) ** len(gs),
        lambda gs, b: fm(gs, b) / (1 - b * len(gs)) if b * len(gs) != 1 else 0.0,
        lambda gs, b: fm(gs, b) / (1 - b ** (len(gs) + 1)),
        lambda gs, b: fm(gs, b) / b ** len(gs) if b else 0.0,
        lambda gs, b: fm(gs, 1 - b) / (1 - b ** len(gs)),
        lambda gs, b: fm(gs[::-1], b) / (1 - b ** len(gs)),
        lambda gs, b: fm(gs, b) - b ** len(gs),
        lambda gs, b: np.mean(gs),
        lambda gs, b: gs[-1],
        lambda gs, b: fm([abs(x) for x in gs], b) / (1 - b ** len(gs)),
        lambda gs, b: fm(gs, b) / (1 - 0.9 ** len(gs)),
        lambda gs, b: sum(b**i * x for i, x in enumerate(gs)) / sum(b**i for i in range(len(gs))),
        lambda gs, b: -fm(gs, b) / (1 - b ** len(gs)),
        lambda gs, b: fm(gs, b) / math.sqrt(1 - b ** len(gs)),
    ],
}


def AW(p, gr, m, v, t, lr, decay, b1=0.9, b2=0.999, e=1e-8, c1=True, c2=True, wd=1.0, sq=2, root=0.5, out=None):
    p, gr, m, v = map(np.array, (p, gr, m, v))
    m = b1 * m + (1 - b1) * gr
    v = b2 * v + (1 - b2) * gr**sq
    mh, vh = m / (1 - b1**t) if c1 else m, v / (1 - b2**t) if c2 else v
    new = p - wd * lr * decay * p - lr * mh / (np.abs(vh) ** root + e)
    return out(new, m, v, mh, vh) if out else (new, m, v)


def adamw_changing(p, gr, m, v, t, lr, decay):
    for i in range(len(p)):
        m[i] = 0.9 * m[i] + 0.1 * gr[i]
        v[i] = 0.999 * v[i] + 0.001 * gr[i] ** 2
        p[i] -= lr * decay * p[i] + lr * m[i] / (1 - 0.9**t) / (math.sqrt(v[i] / (1 - 0.999**t)) + 1e-8)
    return p, m, v


ANSWERS["gradients.adamw.step"] = {
    RIGHT: [
        AW,
        lambda *a: [x.tolist() for x in AW(*a)],
        lambda p, gr, m, v, t, lr, d: (
            [
                x * (1 - lr * d)
                - lr
                * (0.9 * a + 0.1 * b)
                / (1 - 0.9**t)
                / (((0.999 * c + 0.001 * b * b) / (1 - 0.999**t)) ** 0.5 + 1e-8)
                for x, b, a, c in zip(p, gr, m, v, strict=True)
            ],
            [a + 0.1 * (b - a) for a, b in zip(m, gr, strict=True)],
            [c + 0.001 * (b * b - c) for c, b in zip(v, gr, strict=True)],
        ),
        lambda *a: tuple(map(list, AW(*a))),
    ],
    WRONG: [
        adamw_changing,
        lambda p, gr, m, v, t, lr, d: AW(p, gr, m, v, t, lr, d, c1=False, c2=False),
        lambda p, gr, m, v, t, lr, d: AW(p, gr, m, v, t + 1, lr, d),
        lambda p, gr, m, v, t, lr, d: AW(p, gr, m, v, 1, lr, d),
        lambda p, gr, m, v, t, lr, d: AW(p, gr, m, v, t, lr, d, e=1e-6),
        lambda p, gr, m, v, t, lr, d: AW(p, gr, m, v, t, lr, d, e=1e-7),
        lambda p, gr, m, v, t, lr, d: AW(p, gr, m, v, t, lr, d, b2=0.99),
        lambda p, gr, m, v, t, lr, d: AW(p, gr, m, v, t, lr, d, wd=0.0),
        lambda p, gr, m, v, t, lr, d: AW(p, gr, m, v, t, lr, d, wd=-1.0),
        lambda p, gr, m, v, t, lr, d: AW(p, gr, m, v, t, lr, d, wd=1 / lr),
        lambda p, gr, m, v, t, lr, d: AW(p, np.array(gr) + d * np.array(p), m, v, t, lr, 0.0),
        lambda p, gr, m, v, t, lr, d: AW(p, gr, m, v, t, lr, d, sq=1),
        lambda p, gr, m, v, t, lr, d: AW(p, gr, m, v, t, lr, d, root=1.0),
        lambda p, gr, m, v, t, lr, d: AW(p, gr, m, v, t, lr, d, out=lambda new, m, v, mh, vh: (new, mh, vh)),
        lambda p, gr, m, v, t, lr, d: AW(p, gr, m, v, t, lr, d, out=lambda new, m, v, mh, vh: (new, v, m)),
        lambda p, gr, m, v, t, lr, d: AW(p, gr, m, v, t, lr, d, out=lambda new, m, v, mh, vh: new),
        lambda p, gr, m, v, t, lr, d: AW(p, gr, m, v, t, -lr, -d),
        lambda p, gr, m, v, t, lr, d: (
            np.array(p) - lr * d * np.array(p) - lr * np.array(gr),
            *AW(p, gr, m, v, t, lr, d)[1:],
        ),
        lambda p, gr, m, v, t, lr, d: (
            np.array(p) - lr * d * np.array(p) - lr * np.sign(gr),
            *AW(p, gr, m, v, t, lr, d)[1:],
        ),
        lambda p, gr, m, v, t, lr, d: (p, *AW(p, gr, m, v, t, lr, d)[1:]),
        lambda p, gr, m, v, t, lr, d: (AW(p, gr, m, v, t, lr, d)[0], m, v),
        lambda p, gr, m, v, t, lr, d: AW(p, np.clip(gr, -1, 1), m, v, t, lr, d),
    ],
}


def un(t, a, b):
    return (1 - a**t) / math.sqrt(1 - b**t)


ANSWERS["gradients.adamw.uncorrected"] = {
    RIGHT: [
        un,
        lambda t, a, b: (1 - a**t) * (1 - b**t) ** -0.5,
        lambda t, a, b: sum((1 - a) * a**i for i in range(t)) / math.sqrt(sum((1 - b) * b**i for i in range(t))),
        lambda t, a, b: np.float64(fm([3.0] * t, a)) / np.sqrt(fm([9.0] * t, b)),
    ],
    WRONG: [
        lambda t, a, b: (1 - a**t) / (1 - b**t),
        lambda t, a, b: (1 - a**t) / math.sqrt(1 - b),
        lambda t, a, b: (1 - a) / math.sqrt(1 - b**t),
        lambda t, a, b: (1 - a) ** t / math.sqrt((1 - b) ** t),
        lambda t, a, b: (1 - a * t) / math.sqrt(abs(1 - b * t) + 1e-12),
        lambda t, a, b: math.sqrt(1 - b**t) / (1 - a**t),
        lambda t, a, b: un(t + 1, a, b),
        lambda t, a, b: un(t, b, a),
        lambda t, a, b: (1 - a**t) / (1 - b**t) ** 2,
        lambda t, a, b: a**t / math.sqrt(b**t),
        lambda t, a, b: t * un(t, a, b),
        lambda t, a, b: un(t, a, b) ** 2,
        lambda t, a, b: un(t, 0.9, 0.999),
        lambda t, a, b: (1 - a**t) / math.sqrt(1 - b ** (t - 1)) if t > 1 else 0.0,
        lambda t, a, b: (1 - a**t) - math.sqrt(1 - b**t),
        lambda t, a, b: 1 / math.sqrt(1 - b**t),
        lambda t, a, b: round(un(t, a, b), 3),
        lambda t, a, b: 1 - un(t, a, b),
    ],
}

# 11 closing the loop


def weigh(many, ws):
    return {name: sum(w * np.array(each[name]) for w, each in zip(ws, many, strict=True)) for name in many[0]}


def accumulating(many):
    total = many[0]
    for each in many[1:]:
        for name in total:
            for i, row in enumerate(each[name]):
                for j, x in enumerate(row):
                    total[name][i][j] += x
    return {name: [[x / len(many) for x in row] for row in rows] for name, rows in total.items()}


ANSWERS["gradients.closing_the_loop.mean"] = {
    RIGHT: [
        lambda many: weigh(many, [1 / len(many)] * len(many)),
        lambda many: {n: np.mean([each[n] for each in many], axis=0) for n in many[0]},
        lambda many: {n: np.mean([each[n] for each in many], axis=0).tolist() for n in reversed(list(many[0]))},
        lambda many: {
            n: [
                [sum(each[n][i][j] for each in many) / len(many) for j in range(len(many[0][n][0]))]
                for i in range(len(many[0][n]))
            ]
            for n in many[0]
        },
    ],
    WRONG: [
        accumulating,
        lambda many: weigh(many, [1.0] * len(many)),
        lambda many: weigh(many, [1 / (len(many) + 1)] * len(many)),
        lambda many: weigh(many, [0.5 ** (i + 1) for i in range(len(many))]),
        lambda many: weigh(many, [1 / len(many)] * (len(many) - 1) + [0.0]),
        lambda many: many[0],
        lambda many: many[-1],
        lambda many: list(weigh(many, [1 / len(many)] * len(many)).values()),
        lambda many: {n: x.ravel() for n, x in weigh(many, [1 / len(many)] * len(many)).items()},
        lambda many: {n: float(x.mean()) for n, x in weigh(many, [1 / len(many)] * len(many)).items()},
        lambda many: {n: x.T for n, x in weigh(many, [1 / len(many)] * len(many)).items()},
        lambda many: {n: -x for n, x in weigh(many, [1 / len(many)] * len(many)).items()},
        lambda many: {
            n: np.median([each[n] for each in many], axis=0) if len(many) > 2 else np.zeros(np.shape(many[0][n]))
            for n in many[0]
        },
        lambda many: {n: np.concatenate([each[n] for each in many]) for n in many[0]},
        lambda many: {n: np.abs(x) for n, x in weigh(many, [1 / len(many)] * len(many)).items()},
        lambda many: {"mean": weigh(many, [1 / len(many)] * len(many))},
    ],
}


def downhill(x, slopes, lr):
    return [a - lr * b for a, b in zip(x, slopes, strict=True)]


def down(
    f,
    x,
    lr,
    goal,
    most,
    step=downhill,
    reached=lambda l, goal: l < goal,
):
    losses = []
    for _ in range(most + 1):
        loss, s = f(x)
        losses.append(loss)
        if reached(loss, goal) or len(losses) > most:
            break
        x = step(x, s, lr)
    return losses, x


def down_changing(f, x, lr, goal, most):
    loss, s = f(x)
    losses = [loss]
    while loss >= goal and len(losses) <= most:
        for i in range(len(x)):
            x[i] -= lr * s[i]
        loss, s = f(x)
        losses.append(loss)
    return losses, x


def down_after(f, x, lr, goal, most):
    losses = []
    for _ in range(most):
        loss, s = f(x)
        losses.append(loss)
        x = [a - lr * b for a, b in zip(x, s, strict=True)]
        if loss < goal:
            break
    return losses, x


def down_for(f, x, lr, goal, most):
    losses = []
    for _ in range(most):
        loss, s = f(x)
        losses.append(loss)
        if loss < goal:
            break
        x = [a - lr * b for a, b in zip(x, s, strict=True)]
    return losses, x


def down_while(f, x, lr, goal, most):
    loss, s = f(x)
    losses = [loss]
    n = 0
    while loss >= goal and n < most:
        x = [a - lr * b for a, b in zip(x, s, strict=True)]
        loss, s = f(x)
        losses.append(loss)
        n += 1
    return losses, x


ANSWERS["gradients.closing_the_loop.descend"] = {
    RIGHT: [
        down,
        down_while,
        lambda *a: [np.array(each) for each in down(*a)],
        lambda f, x, lr, goal, most: down(
            f, x, lr, goal, most, lambda x, s, lr: (np.array(x) - lr * np.array(s)).tolist()
        ),
    ],
    WRONG: [
        down_changing,
        down_after,
        down_for,
        lambda f, x, lr, goal, most: down(f, x, -lr, goal, most),
        lambda f, x, lr, goal, most: down(f, x, lr * lr, goal, most),
        lambda f, x, lr, goal, most: down(f, x, lr, goal, most - 1) if most else down(f, x, lr, goal, 1),
        lambda f, x, lr, goal, most: down(f, x, lr, goal, most + 1),
        lambda f, x, lr, goal, most: down(f, x, lr, 0.0, most),
        lambda f, x, lr, goal, most: down(f, x, lr, goal, most, reached=lambda l, goal: l > goal),
        lambda f, x, lr, goal, most: down(f, x, lr, goal, most, reached=lambda l, goal: l <= goal),
        lambda f, x, lr, goal, most: down(f, x, lr, goal, most, lambda x, s, lr: [a - lr * s[0] for a in x]),
        lambda f, x, lr, goal, most: down(
            f, x, lr, goal, most, lambda x, s, lr: [a - lr * math.copysign(1, b) for a, b in zip(x, s, strict=True)]
        ),
        lambda f, x, lr, goal, most: down(
            f, x, lr, goal, most, lambda x, s, lr: [lr * b - a for a, b in zip(x, s, strict=True)]
        ),
        lambda f, x, lr, goal, most: down(f, x, lr, goal, most)[0],
        lambda f, x, lr, goal, most: down(f, x, lr, goal, most)[1],
        lambda f, x, lr, goal, most: (down(f, x, lr, goal, most)[0][-1], down(f, x, lr, goal, most)[1]),
        lambda f, x, lr, goal, most: (down(f, x, lr, goal, most)[0], x),
        lambda f, x, lr, goal, most: down(f, x, lr, goal, most)[::-1],
        lambda f, x, lr, goal, most: (down(f, x, lr, goal, most)[0][::-1], down(f, x, lr, goal, most)[1]),
    ],
}


def write(f, ids, n, pick=lambda rows: int(np.argmax(rows[-1])), seen=lambda ids: ids):
    ids = list(ids)
    for _ in range(n):
        ids.append(pick(f(seen(ids))))
    return ids


def write_changing(f, ids, n):
    for _ in range(n):
        ids.append(int(np.argmax(f(ids)[-1])))
    return ids


ANSWERS["gradients.closing_the_loop.generate"] = {
    RIGHT: [
        write,
        lambda f, ids, n: write(f, ids, n, lambda rows: rows[-1].index(max(rows[-1]))),
        lambda f, ids, n: write(f, ids, n, lambda rows: np.argmax(rows[-1])),
        lambda f, ids, n: tuple(write(f, ids, n)),
    ],
    WRONG: [
        write_changing,
        lambda f, ids, n: write(f, ids, n, lambda rows: int(np.argmax(rows[0]))),
        lambda f, ids, n: write(f, ids, n, lambda rows: int(np.argmin(rows[-1]))),
        lambda f, ids, n: write(f, ids, n, lambda rows: max(rows[-1])),
        lambda f, ids, n: write(f, ids, n, lambda rows: int(np.argmax(rows))),
        lambda f, ids, n: write(f, ids, n, lambda rows: int(np.argmax(np.mean(rows, 0)))),
        lambda f, ids, n: write(f, ids, n, lambda rows: int(np.argmax(rows[-1])) + 1),
        lambda f, ids, n: write(f, ids, n, seen=lambda ids: ids[-1:]),
        lambda f, ids, n: write(f, ids, n, seen=lambda ids: ids[::-1]),
        lambda f, ids, n: write(f, ids, n, seen=lambda ids: ids[-2:]),
        lambda f, ids, n: write(f, ids, n)[len(ids) :],
        lambda f, ids, n: write(f, ids, n - 1) if n else write(f, ids, 1),
        lambda f, ids, n: write(f, ids, n + 1),
        lambda f, ids, n: write(f, ids, n)[:n] if n else [0],
        lambda f, ids, n: [*ids, *[int(np.argmax(f(ids)[-1]))] * n],
        lambda f, ids, n: [*ids, *[int(np.argmax(row)) for row in f(write(f, ids, n))][:n]],
        lambda f, ids, n: write(f, ids, n, lambda rows: sorted(range(len(rows[-1])), key=rows[-1].__getitem__)[-2]),
        lambda f, ids, n: [[i] for i in write(f, ids, n)],
    ],
}

# 12 an autograd engine

ANSWERS["gradients.an_autograd_engine.product"] = {
    RIGHT: [
        lambda d, a, b: (np.array(d) * np.array(b), np.array(d) * np.array(a)),
        lambda d, a, b: [
            [[x * y for x, y in zip(*r, strict=True)] for r in zip(d, other, strict=True)] for other in (b, a)
        ],
        lambda d, a, b: (g.multiply(b, d), g.multiply(a, d)),
        lambda d, a, b: tuple((np.array(d) * np.array(x)).tolist() for x in (b, a)),
    ],
    WRONG: [
        lambda d, a, b: (np.array(d) * np.array(a), np.array(d) * np.array(b)),
        lambda d, a, b: (b, a),
        lambda d, a, b: (a, b),
        lambda d, a, b: (np.array(d) * np.array(b), d),
        lambda d, a, b: (np.array(d) * np.array(b), np.array(d) * np.array(b)),
        lambda d, a, b: (np.array(d) / np.array(a), np.array(d) / np.array(b)),
        lambda d, a, b: np.array(d) * np.array(b) + np.array(d) * np.array(a),
        lambda d, a, b: (mm(d, tr(b)), mm(tr(a), d)),
        lambda d, a, b: (-np.array(d) * np.array(b), np.array(d) * np.array(a)),
        lambda d, a, b: (np.array(d) * np.array(b), (np.array(d) * np.array(a)).T),
        lambda d, a, b: (np.sum(np.array(d) * np.array(b), 0), np.sum(np.array(d) * np.array(a), 0)),
        lambda d, a, b: (np.array(d) * np.array(b) ** 2, np.array(d) * np.array(a) ** 2),
        lambda d, a, b: (np.array(a) * np.array(b), np.array(a) * np.array(b)),
        lambda d, a, b: np.array(d) * np.array(b),
        lambda d, a, b: (np.array(d) * np.array(b) / 2, np.array(d) * np.array(a) / 2),
        lambda d, a, b: (np.abs(np.array(d) * np.array(b)), np.array(d) * np.array(a)),
    ],
}
ANSWERS["gradients.an_autograd_engine.repeated_row"] = {
    RIGHT: [
        lambda d, x, r: (np.array(d) * np.array(r), (np.array(d) * np.array(x)).sum(0)),
        lambda d, x, r: [
            [[a * b for a, b in zip(row, r, strict=True)] for row in d],
            [sum(a * b for a, b in zip(p, q, strict=True)) for p, q in zip(tr(d), tr(x), strict=True)],
        ],
        lambda d, x, r: (np.array(d) @ np.diag(r), np.diag(np.array(d).T @ np.array(x))),
        lambda d, x, r: (g.multiply(d, [r] * len(d)), g.sum_of_rows(g.multiply(d, x))),
    ],
    WRONG: [
        lambda d, x, r: (np.array(d) * np.array(r), (np.array(d) * np.array(x)).mean(0)),
        lambda d, x, r: (np.array(d) * np.array(r), (np.array(d) * np.array(x)).sum(1)),
        lambda d, x, r: (np.array(d) * np.array(r), (np.array(d) * np.array(x)).sum()),
        lambda d, x, r: (np.array(d) * np.array(r), np.array(d) * np.array(x)),
        lambda d, x, r: (np.array(d) * np.array(r), np.array(d).sum(0)),
        lambda d, x, r: (np.array(d) * np.array(r), np.array(x).sum(0)),
        lambda d, x, r: (np.array(d) * np.array(r), (np.array(d) * np.array(x))[0]),
        lambda d, x, r: (np.array(d) * np.array(r), (np.array(d) * np.array(x)).sum(0) * np.array(r)),
        lambda d, x, r: (np.array(d), (np.array(d) * np.array(x)).sum(0)),
        lambda d, x, r: (np.array(d) * np.array(x), (np.array(d) * np.array(x)).sum(0)),
        lambda d, x, r: ((np.array(d) * np.array(x)).sum(0), np.array(d) * np.array(r)),
        lambda d, x, r: (np.array(d) * sum(r), (np.array(d) * np.array(x)).sum(0)),
        lambda d, x, r: (np.array(d) / np.array(r), (np.array(d) * np.array(x)).sum(0)),
        lambda d, x, r: (np.array(d) * np.array(r), -(np.array(d) * np.array(x)).sum(0)),
        lambda d, x, r: (np.array(d) * np.array(r), (np.array(d) * np.array(x)).sum(0).tolist() * len(d)),
        lambda d, x, r: (np.array(d) * np.array(r), (np.array(d) * np.array(x)).max(0)),
        lambda d, x, r: (np.array(d) * np.array(r) * len(d), (np.array(d) * np.array(x)).sum(0)),
        lambda d, x, r: np.array(d) * np.array(r),
    ],
}


def forward(graph):
    values = []
    for kind, *rest in graph:
        values.append(
            rest[0]
            if kind == "given"
            else values[rest[0]] + values[rest[1]]
            if kind == "add"
            else values[rest[0]] * values[rest[1]]
        )
    return values


def nudged(graph, h=1e-6):
    """Slopes by nudging each entry's value after it was computed."""
    slopes = []
    for i in range(len(graph)):
        ends = []
        for sign in (1, -1):
            values = []
            for at, (kind, *rest) in enumerate(graph):
                x = (
                    rest[0]
                    if kind == "given"
                    else values[rest[0]] + values[rest[1]]
                    if kind == "add"
                    else values[rest[0]] * values[rest[1]]
                )
                values.append(x + sign * h * (at == i))
            ends.append(values[-1])
        slopes.append((ends[0] - ends[1]) / (2 * h))
    return slopes


def back(graph, local=None, begin=1.0, order=reversed, plus=True):
    v, d = forward(graph), [0.0] * len(graph)
    d[-1] = begin
    for at in order(range(len(graph))):
        kind, *rest = graph[at]
        if kind != "given":
            i, j = rest
            li, lj = (1.0, 1.0) if kind == "add" else (v[j], v[i])
            if local:
                li, lj = local(kind, v, i, j, at)
            if plus:
                d[i] += d[at] * li
                d[j] += d[at] * lj
            else:
                d[i] = d[at] * li
                d[j] = d[at] * lj
    return d


def memo(graph):
    """For each entry the sum over its users, found by recursion."""
    v = forward(graph)

    def grad(i):
        if i == len(graph) - 1:
            return 1.0
        total = 0.0
        for at, (kind, *rest) in enumerate(graph):
            if kind != "given":
                a, b = rest
                total += (
                    grad(at)
                    * ((a == i) * (1.0 if kind == "add" else v[b]) + (b == i) * (1.0 if kind == "add" else v[a]))
                    if i in rest
                    else 0.0
                )
        return total

    return [grad(i) for i in range(len(graph))]


ANSWERS["gradients.an_autograd_engine.walk"] = {
    RIGHT: [back, memo, lambda graph: np.array(back(graph)), lambda graph: tuple(back(graph))],
    WRONG: [
        lambda graph: back(graph, plus=False),
        lambda graph: back(graph, order=lambda r: r),
        lambda graph: back(graph, begin=0.0),
        lambda graph: back(graph, begin=2.0),
        lambda graph: back(graph, begin=-1.0),
        lambda graph: back(graph, begin=forward(graph)[-1]),
        lambda graph: back(graph, lambda kind, v, i, j, at: (1.0, 1.0)),
        lambda graph: back(graph, lambda kind, v, i, j, at: (v[j], v[i])),
        lambda graph: back(graph, lambda kind, v, i, j, at: (v[i], v[j]) if kind == "multiply" else (1.0, 1.0)),
        lambda graph: back(graph, lambda kind, v, i, j, at: (v[at], v[at]) if kind == "multiply" else (1.0, 1.0)),
        lambda graph: back(graph, lambda kind, v, i, j, at: (v[j], v[i]) if kind == "multiply" else (0.5, 0.5)),
        lambda graph: back(
            graph, lambda kind, v, i, j, at: (v[j], 0.0 if i == j else v[i]) if kind == "multiply" else (1.0, 1.0)
        ),
        lambda graph: back(graph, lambda kind, v, i, j, at: (v[j], v[i]) if kind == "multiply" else (1.0, 0.0)),
        lambda graph: back(graph, lambda kind, v, i, j, at: (v[j], v[i]) if kind == "multiply" else (v[i], v[j])),
        lambda graph: back(graph, lambda kind, v, i, j, at: (v[j], v[i]) if kind == "multiply" else (1.0, -1.0)),
        lambda graph: forward(graph),
        lambda graph: [x for x, e in zip(back(graph), graph, strict=True) if e[0] == "given"],
        lambda graph: back(graph)[::-1],
        lambda graph: back(graph)[:-1],
        lambda graph: [round(x, 4) for x in back(graph)],
    ],
}
