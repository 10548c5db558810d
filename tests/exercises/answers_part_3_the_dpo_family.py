"""Answers that readers might give to chapter 15 of part 3: right ones in other styles, and wrong ones.

Few of the wrong ones are in the catalogues, and then by another way. Used by test_answers.py.
"""

import math

import numpy as np
import torch
import torch.nn.functional as F

RIGHT, WRONG = "right", "wrong"
ANSWERS = {}

# ipo: policy_w, policy_l, ref_w, ref_l, beta -> one number


def by_ratios(w, x, rw, rx, beta):
    return torch.mean(((w - x) - (rw - rx) - 0.5 / beta) ** 2)


def by_mse(w, x, rw, rx, beta):
    h = w - x - rw + rx
    return F.mse_loss(h, torch.full_like(h, 1 / (2 * beta)))


def by_loop(w, x, rw, rx, beta):
    each = [
        ((a - c) - (b - d) - 1 / (2 * beta)) ** 2
        for a, b, c, d in zip(w.tolist(), x.tolist(), rw.tolist(), rx.tolist(), strict=True)
    ]
    return sum(each) / len(each)


def by_numpy(w, x, rw, rx, beta):
    a, b, c, d = (np.asarray(each) for each in (w, x, rw, rx))
    return float(np.mean(np.square(a - b - c + d - 1 / (2 * beta))))


def ipo_with(
    gap=lambda w, x, rw, rx: (w - rw) - (x - rx),
    target=lambda b: 1 / (2 * b),
    far=torch.square,
    reduce=torch.mean,
    scale=lambda b: 1.0,
):
    return lambda w, x, rw, rx, beta: reduce(far(scale(beta) * gap(w, x, rw, rx) - target(beta)))


ANSWERS["finetuning.the_dpo_family.ipo"] = {
    RIGHT: [by_ratios, by_mse, by_loop, by_numpy],
    WRONG: [
        ipo_with(gap=lambda w, x, rw, rx: (x - rx) - (w - rw)),
        ipo_with(gap=lambda w, x, rw, rx: w - x),
        ipo_with(gap=lambda w, x, rw, rx: w - rw),
        ipo_with(gap=lambda w, x, rw, rx: (w - x) + (rw - rx)),
        ipo_with(target=lambda b: 1 / b),
        ipo_with(target=lambda b: b / 2),
        ipo_with(target=lambda b: 0.0),
        ipo_with(target=lambda b: -1 / (2 * b)),
        ipo_with(target=lambda b: 1.0),
        ipo_with(target=lambda b: 2 * b),
        ipo_with(scale=lambda b: b),
        ipo_with(far=torch.abs),
        ipo_with(far=lambda d: d),
        ipo_with(far=lambda d: d**2 / 2),
        ipo_with(reduce=torch.sum),
        ipo_with(reduce=lambda d: d),
        lambda w, x, rw, rx, b: F.softplus(-b * ((w - rw) - (x - rx))).mean(),
        lambda w, x, rw, rx, b: (((w - rw) - (x - rx)).mean() - 1 / (2 * b)) ** 2,
    ],
}

# kto: policy, ref, good, z, beta -> one number


def by_signs(policy, ref, good, z, beta):
    side = 2.0 * good.to(policy.dtype) - 1
    return (1 - torch.sigmoid(side * beta * (policy - ref - z))).mean()


def by_cases(policy, ref, good, z, beta):
    gain = policy - ref
    up, down = 1 - torch.sigmoid(beta * (gain[good] - z)), 1 - torch.sigmoid(beta * (z - gain[~good]))
    return torch.cat([up, down]).mean()


def by_one(policy, ref, good, z, beta):
    total = 0.0
    for p, r, g in zip(policy.tolist(), ref.tolist(), good.tolist(), strict=True):
        x = beta * (p - r - z) * (1 if g else -1)
        total += 1 - 1 / (1 + math.exp(-x))
    return total / len(policy)


def by_arrays(policy, ref, good, z, beta):
    x = beta * (np.asarray(policy) - np.asarray(ref) - z)
    return float(np.where(np.asarray(good), 1 / (1 + np.exp(x)), 1 / (1 + np.exp(-x))).mean())


def kto_with(
    gain=lambda p, r: p - r,
    good=lambda g: g,
    up=lambda d, z, b: b * (d - z),
    down=lambda d, z, b: b * (z - d),
    each=lambda v: 1 - v.sigmoid(),
    reduce=torch.mean,
):
    def made(policy, ref, is_good, z, beta):
        d = gain(policy, ref)
        return reduce(each(torch.where(good(is_good), up(d, z, beta), down(d, z, beta))))

    return made


ANSWERS["finetuning.the_dpo_family.kto"] = {
    RIGHT: [by_signs, by_cases, by_one, by_arrays],
    WRONG: [
        kto_with(good=lambda g: ~g),
        kto_with(good=lambda g: g | ~g),
        kto_with(good=lambda g: g & ~g),
        kto_with(up=lambda d, z, b: b * d, down=lambda d, z, b: -b * d),
        kto_with(up=lambda d, z, b: b * (d + z), down=lambda d, z, b: -b * (d + z)),
        kto_with(down=lambda d, z, b: -b * d),
        kto_with(down=lambda d, z, b: -b * (d + z)),
        kto_with(up=lambda d, z, b: d - z, down=lambda d, z, b: z - d),
        kto_with(up=lambda d, z, b: b * d - z, down=lambda d, z, b: z - b * d),
        kto_with(up=lambda d, z, b: (d - z) / b, down=lambda d, z, b: (z - d) / b),
        kto_with(gain=lambda p, r: p),
        kto_with(gain=lambda p, r: r - p),
        kto_with(each=lambda v: v.sigmoid()),
        kto_with(each=lambda v: -F.logsigmoid(v)),
        kto_with(each=lambda v: (1 - v).clamp(min=0)),
        kto_with(each=lambda v: -v),
        kto_with(reduce=torch.sum),
        kto_with(reduce=lambda x: x),
        lambda p, r, g, z, b: kto_with()(p[g], r[g], g[g], z, b),
    ],
}
