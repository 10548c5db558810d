"""Answers that readers might give to chapter 08 of part 5: right ones in other styles, and wrong ones.

Used by test_answers.py.
"""

import math

import torch
from torch.nn import functional as F

RIGHT, WRONG = "right", "wrong"


def table(p, t, x=None):
    found = F.normalize(p, dim=1) @ F.normalize(t, dim=1).T
    return found if x is None else found * min(math.e**x, 100)


def own(s):
    return torch.arange(len(s))


def by_entropy(p, t, x):
    s = table(p, t, x)
    rows, columns = (F.cross_entropy(each, own(s), reduction="none") for each in (s, s.T))
    return 0.5 * rows + 0.5 * columns


def by_cosine(p, t, x):
    s = torch.cosine_similarity(p[:, None], t[None], dim=-1) * torch.tensor(x).double().exp().clamp(max=100)
    return (s.logsumexp(0) + s.logsumexp(1)) / 2 - torch.diag(s)


def by_loops(p, t, x):
    n, times, found = len(p), math.exp(min(x, math.log(100))), []
    s = [[times * float(p[i] @ t[j] / (p[i].norm() * t[j].norm())) for j in range(n)] for i in range(n)]
    for i in range(n):
        row = math.log(sum(math.exp(s[i][j] - s[i][i]) for j in range(n)))
        column = math.log(sum(math.exp(s[j][i] - s[i][i]) for j in range(n)))
        found.append((row + column) / 2)
    return torch.tensor(found, dtype=torch.float64)


def by_mean(p, t, x):
    s = table(p, t, x)
    return -torch.stack([s.log_softmax(0).diag(), s.log_softmax(1).diag()]).mean(0)


def both(s):
    return (F.cross_entropy(s, own(s), reduction="none") + F.cross_entropy(s.T, own(s), reduction="none")) / 2


def by_sorting(s, same, k):
    hits = 0
    for fits, right in zip(s.tolist(), same.tolist(), strict=True):
        order = sorted(range(len(fits)), key=lambda j: -fits[j])
        hits += any(right[j] for j in order[:k])
    return hits / len(s)


def by_rank(s, same, k):
    best = s.masked_fill(~same, float("-inf")).max(1).values
    return ((s > best[:, None]).sum(1) < k).double().mean()


def by_order(s, same, k):
    order = s.argsort(dim=1, descending=True)[:, :k]
    return torch.take_along_dim(same, order, 1).any(dim=1).float().mean().item()


def by_masks(s, same, k):
    least = s.sort(dim=1).values[:, -k]
    return float(((s >= least[:, None]) & same).any(1).sum()) / s.shape[0]


def hit(s, same, k):
    return same.gather(1, s.topk(min(k, s.shape[1]), dim=1).indices)


ANSWERS = {
    "images.words_and_pictures.loss": {
        RIGHT: [by_entropy, by_cosine, by_loops, by_mean],
        WRONG: [
            lambda p, t, x: F.cross_entropy(table(p, t, x), own(p), reduction="none"),
            lambda p, t, x: F.cross_entropy(table(p, t, x).T, own(p), reduction="none"),
            lambda p, t, x: 2 * both(table(p, t, x)),
            lambda p, t, x: -both(table(p, t, x)),
            lambda p, t, x: both(table(p, t, x)).mean(),
            lambda p, t, x: both(table(p, t, x)).sum(),
            lambda p, t, x: both(min(math.exp(x), 100) * p @ t.T),
            lambda p, t, x: both(min(math.exp(x), 100) * F.normalize(p, dim=1) @ t.T),
            lambda p, t, x: both(min(math.exp(x), 100) * p @ F.normalize(t, dim=1).T),
            lambda p, t, x: both(min(math.exp(x), 100) * F.normalize(p, dim=0) @ F.normalize(t, dim=0).T),
            lambda p, t, x: both(table(p, t)),
            lambda p, t, x: both(x * table(p, t)),
            lambda p, t, x: both(math.exp(x) * table(p, t)),
            lambda p, t, x: both(table(p, t) / min(math.exp(x), 100)),
            lambda p, t, x: 1 - table(p, t).diagonal(),
            lambda p, t, x: -table(p, t, x).diagonal(),
            lambda p, t, x: -(table(p, t, x).softmax(0) + table(p, t, x).softmax(1)).diagonal() / 2,
            lambda p, t, x: both(min(math.exp(x), 10) * table(p, t)),
        ],
    },
    "images.words_and_pictures.recall": {
        RIGHT: [by_sorting, by_rank, by_order, by_masks],
        WRONG: [
            lambda s, same, k: float((hit(s, same, k).sum(1) == same.sum(1)).double().mean()),
            lambda s, same, k: float(hit(s, same, k).double().mean()),
            lambda s, same, k: float(hit(s, same, k).sum() / same.sum()),
            lambda s, same, k: float((hit(s, same, k).sum(1) / same.sum(1)).mean()),
            lambda s, same, k: float(hit(s, same, k).any(1).sum()),
            lambda s, same, k: float(hit(s, same, k).sum(1).double().mean()),
            lambda s, same, k: float(hit(s, same, 1).any(1).double().mean()),
            lambda s, same, k: float(hit(-s, same, k).any(1).double().mean()),
            lambda s, same, k: float(hit(s, same, k + 1).any(1).double().mean()),
            lambda s, same, k: float(same.gather(0, s.topk(min(k, len(s)), dim=0).indices).any(0).double().mean()),
            lambda s, same, k: float(hit(s, same, k)[:, -1].double().mean()),
            lambda s, same, k: 1 - float(hit(s, same, k).any(1).double().mean()),
            lambda s, same, k: float(same[:, :k].any(1).double().mean()),
            lambda s, same, k: float(same[:, -k:].any(1).double().mean()),
            lambda s, same, k: float(hit(s, same, k).all(1).double().mean()),
            lambda s, same, k: float(hit(s, torch.eye(*s.shape, dtype=torch.bool), k).any(1).double().mean()),
        ],
    },
}
