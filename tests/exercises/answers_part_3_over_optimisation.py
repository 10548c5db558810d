"""Answers that readers might give to chapter 13 of part 3: right ones in other styles, and wrong ones.

Few of the wrong ones are in the catalogues, and then by another way. Used by test_answers.py.
"""

import itertools

import numpy as np
import torch

RIGHT, WRONG = "right", "wrong"
ANSWERS = {}

# best_of: scores, gold, n -> one number


def by_enumeration(scores, gold, n):
    s, g = scores.tolist(), gold.tolist()
    kept = [g[max(draws, key=s.__getitem__)] for draws in itertools.product(range(len(s)), repeat=n)]
    return sum(kept) / len(kept)


def by_ranks(scores, gold, n):
    K = len(scores)
    total = 0.0
    for i in range(K):
        below = int((scores < scores[i]).sum())
        total += (((below + 1) / K) ** n - (below / K) ** n) * float(gold[i])
    return total


def by_differences(scores, gold, n):
    K = len(scores)
    reached = (torch.arange(K + 1, dtype=gold.dtype) / K) ** n
    return torch.dot(reached.diff(), gold[torch.argsort(scores)])


def by_numpy(scores, gold, n):
    order = np.argsort(np.asarray(scores))
    k = np.arange(len(order))
    return float((((k + 1.0) ** n - k**n * 1.0) / float(len(order)) ** n * np.asarray(gold)[order]).sum())


def best_with(order=lambda s: s.argsort(), chance=None, value=lambda s, g: g, draws=lambda n: n):
    def made(scores, gold, n):
        K, m = len(scores), draws(n)
        k = torch.arange(1, K + 1, dtype=gold.dtype)
        c = chance(k, K, m) if chance else (k / K) ** m - ((k - 1) / K) ** m
        return (c * value(scores, gold)[order(scores)]).sum()

    return made


ANSWERS["finetuning.over_optimisation.best_of"] = {
    RIGHT: [by_enumeration, by_ranks, by_differences, by_numpy],
    WRONG: [
        best_with(order=lambda s: (-s).argsort()),
        best_with(order=lambda s: torch.arange(len(s))),
        best_with(order=lambda s: s.argsort().argsort()),
        best_with(chance=lambda k, K, n: (k / K) ** n),
        best_with(chance=lambda k, K, n: k**n - (k - 1) ** n),
        best_with(chance=lambda k, K, n: k**0 / K),
        best_with(chance=lambda k, K, n: (k == K).to(k.dtype)),
        best_with(chance=lambda k, K, n: 1 - (1 - k / K) ** n),
        best_with(chance=lambda k, K, n: (k / K) ** (n - 1) - ((k - 1) / K) ** (n - 1)),
        best_with(draws=lambda n: n + 1),
        best_with(draws=lambda n: 1),
        best_with(draws=lambda n: 2 * n),
        best_with(value=lambda s, g: s),
        lambda s, g, n: by_enumeration(g, g, n),
        lambda s, g, n: g[s.topk(min(n, len(s))).indices].mean(),
        lambda s, g, n: g[s.argmax()],
        lambda s, g, n: g.max(),
        lambda s, g, n: by_enumeration(-s, g, n),
        lambda s, g, n: g.mean(),
    ],
}

# cautious: scores, reference, caution -> (D,)


def by_variance(scores, reference, caution):
    c = scores - reference.mean(dim=1)[:, None]
    mean = c.mean(0)
    return mean - caution * ((c - mean) ** 2).mean(0).sqrt()


def by_arrays(scores, reference, caution):
    c = np.asarray(scores) - np.asarray(reference).mean(1, keepdims=True)
    return torch.tensor(c.mean(0) - caution * c.std(0))


def by_models(scores, reference, caution):
    rows = [row - sum(ref) / len(ref) for row, ref in zip(scores, reference, strict=True)]
    mean = sum(rows) / len(rows)
    return mean - caution * (sum((row - mean) ** 2 for row in rows) / len(rows)) ** 0.5


def by_var(scores, reference, caution):
    c = scores.sub(reference.sum(1, keepdim=True) / reference.shape[1])
    variance, mean = torch.var_mean(c, dim=0, unbiased=False)
    return mean - caution * variance.sqrt()


def cautious_with(
    zero=lambda s, r: r.mean(1, keepdim=True),
    centre=lambda c: c.mean(0),
    spread=lambda c: c.std(0, correction=0),
    weigh=lambda k: k,
):
    def made(scores, reference, caution):
        c = scores - zero(scores, reference)
        return centre(c) - weigh(caution) * spread(c)

    return made


ANSWERS["finetuning.over_optimisation.cautious"] = {
    RIGHT: [by_variance, by_arrays, by_models, by_var],
    WRONG: [
        cautious_with(zero=lambda s, r: 0.0),
        cautious_with(zero=lambda s, r: s.mean(1, keepdim=True)),
        cautious_with(zero=lambda s, r: r.mean()),
        cautious_with(zero=lambda s, r: r[:, :1]),
        cautious_with(zero=lambda s, r: -r.mean(1, keepdim=True)),
        cautious_with(zero=lambda s, r: r.sum(1, keepdim=True)),
        cautious_with(zero=lambda s, r: r.amax(1, keepdim=True)),
        cautious_with(centre=lambda c: c.amin(0)),
        cautious_with(centre=lambda c: c.sum(0)),
        cautious_with(centre=lambda c: 0.0),
        cautious_with(spread=lambda c: c.std(0)),
        cautious_with(spread=lambda c: c.var(0, correction=0)),
        cautious_with(spread=lambda c: c.amax(0) - c.amin(0)),
        cautious_with(spread=lambda c: (c - c.mean(0)).abs().mean(0) * 2),
        cautious_with(spread=lambda c: 0.0),
        cautious_with(weigh=lambda k: -k),
        cautious_with(weigh=lambda k: 1.0),
        cautious_with(weigh=lambda k: 1 / k),
        lambda s, r, k: (s - r.mean(1, keepdim=True)).amin(0),
    ],
}
