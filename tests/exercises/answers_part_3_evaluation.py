"""Answers that readers might give to chapter 19 of part 3: right ones in other styles, and wrong ones.

Few of the wrong ones are in the catalogues, and then by another way. Used by test_answers.py.
"""

import math

import numpy as np
import torch

RIGHT, WRONG = "right", "wrong"
ANSWERS = {}

# perplexity: a list of log-probabilities a text -> exp of the mean surprise


def by_loop(logprobs):
    total, count = 0.0, 0
    for text in logprobs:
        for x in text:
            total -= x
            count += 1
    return math.exp(total / count)


def by_numpy(logprobs):
    return float(np.exp(-np.mean(np.concatenate([np.array(text) for text in logprobs]))))


def by_torch(logprobs):
    return torch.tensor([x for text in logprobs for x in text], dtype=torch.float64).mean().neg().exp()


def by_weights(logprobs):
    lengths = [len(text) for text in logprobs]
    means = [sum(text) / len(text) if text else 0.0 for text in logprobs]
    return math.exp(-sum(n * m for n, m in zip(lengths, means, strict=True)) / sum(lengths))


def by_root(logprobs):
    tokens = [x for text in logprobs for x in text]
    return math.prod(math.exp(x) for x in tokens) ** (-1 / len(tokens))


def tokens_then(of):
    return lambda logprobs: of(np.array([x for text in logprobs for x in text]))


def texts_then(of):
    return lambda logprobs: of([np.array(text) for text in logprobs if text])


ANSWERS["finetuning.evaluation.perplexity"] = {
    RIGHT: [by_loop, by_numpy, by_torch, by_weights, by_root],
    WRONG: [
        texts_then(lambda each: float(np.mean([np.exp(-x.mean()) for x in each]))),
        texts_then(lambda each: float(np.exp(-np.mean([x.mean() for x in each])))),
        tokens_then(lambda x: float(-x.mean())),
        tokens_then(lambda x: float(np.exp(x.mean()))),
        tokens_then(lambda x: float(np.exp(-x.sum()))),
        tokens_then(lambda x: float(np.exp(-x).mean())),
        tokens_then(lambda x: float(1 / np.exp(x).mean())),
        tokens_then(lambda x: float(2.0 ** -x.mean())),
        tokens_then(lambda x: float(10.0 ** -x.mean())),
        lambda logprobs: math.exp(-sum(map(sum, logprobs)) / len(logprobs)),
        texts_then(lambda each: float(np.exp(-sum(x.sum() for x in each) / len(each)))),
        tokens_then(lambda x: float(np.exp(-np.median(x)))),
        tokens_then(lambda x: float(np.exp(-x.sum() / (len(x) + 1)))),
        tokens_then(lambda x: float(-x.mean() / math.log(2))),
        texts_then(lambda each: float(max(np.exp(-x.mean()) for x in each))),
        texts_then(lambda each: float(np.exp(-each[-1].mean()))),
        lambda logprobs: [math.exp(-sum(text) / len(text)) for text in logprobs if text],
    ],
}

# kappa: ours, theirs -> (p − e) / (1 − e)


def by_table(ours, theirs):
    labels = sorted({*ours, *theirs})
    table = np.zeros((len(labels), len(labels)))
    for a, b in zip(ours, theirs, strict=True):
        table[labels.index(a), labels.index(b)] += 1
    table /= table.sum()
    p, e = table.trace(), (table.sum(0) * table.sum(1)).sum()
    return float((p - e) / (1 - e)) if e < 1 else 0.0


def by_counts(ours, theirs):
    n = len(ours)
    same = sum(a == b for a, b in zip(ours, theirs, strict=True))
    chance = sum(ours.count(x) * theirs.count(x) for x in set(ours))
    return 0.0 if chance == n * n else (n * same - chance) / (n * n - chance)


def by_disagreement(ours, theirs):
    n = len(ours)
    off = sum(a != b for a, b in zip(ours, theirs, strict=True)) / n
    expected = sum(a != b for a in ours for b in theirs) / n**2
    return 1 - off / expected if expected else 0.0


def by_all_couples(ours, theirs):
    n = len(ours)
    e = sum(a == b for a in ours for b in theirs) / n / n
    if e == 1:
        return 0.0
    p = len([1 for i in range(n) if ours[i] == theirs[i]]) / n
    return (p - e) / (1 - e)


def kappa_with(e=None, end=lambda p, e: (p - e) / (1 - e), never=0.0):
    def answer(ours, theirs):
        n = len(ours)
        p = sum(a == b for a, b in zip(ours, theirs, strict=True)) / n
        habit = sum(a == b for a in ours for b in theirs) / n**2
        chance = habit if e is None else e(ours, theirs)
        return never if chance == 1 and never is not None else end(p, chance)

    return answer


ANSWERS["finetuning.evaluation.kappa"] = {
    RIGHT: [by_table, by_counts, by_disagreement, by_all_couples, kappa_with()],
    WRONG: [
        kappa_with(end=lambda p, e: p, never=1.0),
        kappa_with(end=lambda p, e: e, never=1.0),
        kappa_with(end=lambda p, e: p - e),
        kappa_with(end=lambda p, e: (p - e) / e if e else 0.0),
        kappa_with(e=lambda a, b: 1 / len({*a, *b})),
        kappa_with(e=lambda a, b: 0.5),
        kappa_with(e=lambda a, b: sum(x == y for x in a for y in a) / len(a) ** 2),
        kappa_with(e=lambda a, b: sum(x == y for x in b for y in b) / len(b) ** 2),
        kappa_with(e=lambda a, b: sum(x == y for x in a + b for y in a + b) / len(a + b) ** 2),
        kappa_with(end=lambda p, e: max(0.0, (p - e) / (1 - e))),
        kappa_with(never=1.0),
        kappa_with(end=lambda p, e: -(p - e) / (1 - e)),
        kappa_with(never=None),
        kappa_with(end=lambda p, e: (p - e) / (1 - e) * 100),
        kappa_with(end=lambda p, e: (p - e) / (1 - p) if p < 1 else 1.0),
        kappa_with(end=lambda p, e: abs(p - e) / (1 - e)),
        kappa_with(e=lambda a, b: sum(a.count(x) * b.count(x) for x in a) / len(a) ** 2),
    ],
}
