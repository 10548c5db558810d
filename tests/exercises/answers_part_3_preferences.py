"""Answers that readers might give to chapter 06 of part 3: right ones in other styles, and wrong ones.

Few of the wrong ones are in the catalogues, and then by another way. Used by test_answers.py.
"""

import math

import numpy as np
import torch

RIGHT, WRONG = "right", "wrong"
ANSWERS = {}

# ceiling: one, two, sharpness -> the mean of max(p, 1 - p)


def by_max(one, two, sharpness):
    p = torch.sigmoid(sharpness * (one - two))
    return torch.maximum(p, 1 - p).mean()


def by_loop(one, two, sharpness):
    total = 0.0
    for a, b in zip(one.tolist(), two.tolist(), strict=True):
        p = 1 / (1 + math.exp(-sharpness * (a - b)))
        total += max(p, 1 - p)
    return total / len(one)


def by_numpy(one, two, sharpness):
    gap = np.abs(np.asarray(one) - np.asarray(two)) * sharpness
    return float(np.mean(1 / (1 + np.exp(-gap))))


def by_distance(one, two, sharpness):
    p = torch.sigmoid(sharpness * (one - two))
    return 0.5 + (p - 0.5).abs().mean()


def ceiling_with(of=lambda p: torch.maximum(p, 1 - p), gap=lambda a, b, s: s * (a - b), reduce=torch.mean):
    return lambda one, two, sharpness: reduce(of(torch.sigmoid(gap(one, two, sharpness))))


def likelier(p):
    return torch.maximum(p, 1 - p)


ANSWERS["finetuning.preferences.ceiling"] = {
    RIGHT: [by_max, by_loop, by_numpy, by_distance],
    WRONG: [
        ceiling_with(of=lambda p: p),
        ceiling_with(of=lambda p: 1 - p),
        ceiling_with(of=lambda p: torch.minimum(p, 1 - p)),
        ceiling_with(of=lambda p: p * p + (1 - p) * (1 - p)),
        ceiling_with(of=lambda p: likelier(p).log()),
        ceiling_with(of=lambda p: -likelier(p).log()),
        ceiling_with(of=lambda p: 100 * likelier(p)),
        ceiling_with(gap=lambda a, b, s: a - b),
        ceiling_with(gap=lambda a, b, s: (a - b) / s),
        ceiling_with(gap=lambda a, b, s: s * (a + b)),
        ceiling_with(gap=lambda a, b, s: s * a - b),
        ceiling_with(gap=lambda a, b, s: s * (a - b) ** 2),
        ceiling_with(reduce=torch.sum),
        ceiling_with(reduce=torch.median),
        ceiling_with(reduce=lambda x: x),
        ceiling_with(of=lambda p: likelier(p.mean())),
        ceiling_with(of=lambda p: (p > 0.5).double()),
        ceiling_with(reduce=torch.max),
    ],
}

# length_test: chosen, rejected -> standard deviations from a fair coin


def by_signs(chosen, rejected):
    signs = torch.sign(chosen - rejected)
    n = signs.abs().sum()
    return signs.sum() / n.sqrt() if n else 0.0


def by_lists(chosen, rejected):
    wins = losses = 0
    for a, b in zip(chosen.tolist(), rejected.tolist(), strict=True):
        wins, losses = wins + (a > b), losses + (a < b)
    n = wins + losses
    return (wins - losses) / math.sqrt(n) if n else 0.0


def by_share(chosen, rejected):
    unequal = chosen != rejected
    n = int(unequal.sum())
    if n == 0:
        return 0.0
    share = (chosen > rejected)[unequal].double().mean()
    return (share - 0.5) / math.sqrt(0.25 / n)


def by_arrays(chosen, rejected):
    gap = np.asarray(chosen) - np.asarray(rejected)
    gap = gap[gap != 0]
    return 0.0 if gap.size == 0 else float(((gap > 0).sum() - gap.size / 2) / np.sqrt(gap.size / 4))


def z_with(
    hits=lambda c, r: (c > r).sum(), tries=lambda c, r: (c != r).sum(), mean=0.5, per=lambda n: math.sqrt(n) / 2
):
    def made(chosen, rejected):
        n = float(tries(chosen, rejected))
        return (float(hits(chosen, rejected)) - mean * n) / per(n) if n else 0.0

    return made


def everything(c, r):
    return len(c)


ANSWERS["finetuning.preferences.length_test"] = {
    RIGHT: [by_signs, by_lists, by_share, by_arrays],
    WRONG: [
        z_with(tries=everything),
        z_with(hits=lambda c, r: (c >= r).sum(), tries=everything),
        z_with(hits=lambda c, r: (c >= r).sum()),
        z_with(hits=lambda c, r: (c < r).sum()),
        z_with(hits=lambda c, r: (c <= r).sum(), tries=everything),
        z_with(per=lambda n: math.sqrt(n)),
        z_with(per=lambda n: n / 4),
        z_with(per=lambda n: n / 2),
        z_with(per=lambda n: n),
        z_with(per=lambda n: 1.0),
        z_with(mean=0.0),
        z_with(mean=0.0, per=lambda n: n),
        z_with(mean=1.0),
        lambda c, r: (c - r).mean(),
        lambda c, r: (c.mean() - r.mean()) / r.mean(),
        lambda c, r: abs(by_lists(c, r)),
        lambda c, r: (c - r).sum() / math.sqrt(len(c)),
        lambda c, r: z_with()(c, r) ** 2,
    ],
}
