"""Answers that readers might give to chapter 07 of part 3: right ones in other styles, and wrong ones.

Few of the wrong ones are in the catalogues, and then by another way. Used by test_answers.py.
"""

import numpy as np
import torch
import torch.nn.functional as F

RIGHT, WRONG = "right", "wrong"
ANSWERS = {}

# pair_loss: chosen, rejected, margin, weight -> one number


def by_softplus(chosen, rejected, margin, weight):
    return F.softplus(margin - chosen + rejected).mean() + weight * ((chosen + rejected) ** 2).mean()


def by_logits(chosen, rejected, margin, weight):
    gap = chosen - rejected - margin
    return F.binary_cross_entropy_with_logits(gap, torch.ones_like(gap)) + weight * (chosen + rejected).pow(2).mean()


def by_numpy(chosen, rejected, margin, weight):
    c, r = np.asarray(chosen), np.asarray(rejected)
    return float(np.mean(np.logaddexp(0.0, margin - (c - r)) + weight * (c + r) ** 2))


def by_pairs(chosen, rejected, margin, weight):
    total = 0.0
    for c, r in zip(chosen, rejected, strict=True):
        total = total - F.logsigmoid(c - r - margin) + weight * (c + r) * (c + r)
    return total / len(chosen)


def by_cross_entropy(chosen, rejected, margin, weight):
    two = torch.stack([chosen - margin, rejected], dim=1)
    return -two.log_softmax(1)[:, 0].mean() + weight * (chosen + rejected).square().mean()


def loss_with(
    gap=lambda c, r, m: c - r - m,
    surprise=lambda x: F.softplus(-x),
    centre=lambda c, r: (c + r) ** 2,
    reduce=torch.mean,
    weigh=lambda w: w,
):
    return lambda chosen, rejected, margin, weight: reduce(
        surprise(gap(chosen, rejected, margin)) + weigh(weight) * centre(chosen, rejected)
    )


ANSWERS["finetuning.reward_model.pair_loss"] = {
    RIGHT: [by_softplus, by_logits, by_numpy, by_pairs, by_cross_entropy],
    WRONG: [
        loss_with(gap=lambda c, r, m: r - c - m),
        loss_with(gap=lambda c, r, m: c - r + m),
        loss_with(gap=lambda c, r, m: c - r),
        loss_with(gap=lambda c, r, m: m * (c - r)),
        loss_with(gap=lambda c, r, m: c - m),
        loss_with(centre=lambda c, r: 0 * c),
        loss_with(centre=lambda c, r: (c - r) ** 2),
        loss_with(centre=lambda c, r: c**2 + r**2),
        loss_with(centre=lambda c, r: c + r),
        loss_with(centre=lambda c, r: (c + r).abs()),
        loss_with(centre=lambda c, r: ((c + r) / 2) ** 2),
        loss_with(weigh=lambda w: 1.0),
        loss_with(weigh=lambda w: -w),
        loss_with(reduce=torch.sum),
        loss_with(reduce=lambda x: x),
        loss_with(surprise=lambda x: -F.softplus(-x)),
        loss_with(surprise=torch.sigmoid),
        loss_with(surprise=lambda x: -torch.log(1 / (1 + torch.exp(-x)))),
        loss_with(surprise=lambda x: (1 - x).clamp(min=0)),
    ],
}

# at_ends: numbers, mask -> (B,)


def by_flip(numbers, mask):
    from_the_end = mask.flip(1).int().argmax(1)
    return numbers.gather(1, (mask.shape[1] - 1 - from_the_end)[:, None]).squeeze(1)


def by_rows(numbers, mask):
    return torch.stack([row[keep][-1] for row, keep in zip(numbers, mask, strict=True)])


def by_nonzero(numbers, mask):
    return torch.stack([numbers[b, mask[b].nonzero()[-1, 0]] for b in range(len(mask))])


def by_one_hot(numbers, mask):
    counted = mask.int().cumsum(1)
    last = mask & (counted == counted[:, -1:])
    return (numbers * last).sum(1)


def by_arrays(numbers, mask):
    return torch.tensor(
        [float(np.asarray(x)[np.asarray(m)][-1]) for x, m in zip(numbers, mask, strict=True)], dtype=numbers.dtype
    )


def read_at(place):
    def made(numbers, mask):
        last = mask.shape[1] - 1
        where = [min(max(place([i for i, m in enumerate(row) if m], last + 1), 0), last) for row in mask.tolist()]
        return torch.stack([numbers[b, i] for b, i in enumerate(where)])

    return made


ANSWERS["finetuning.reward_model.at_ends"] = {
    RIGHT: [by_flip, by_rows, by_nonzero, by_one_hot, by_arrays],
    WRONG: [
        read_at(lambda held, T: T - 1),
        read_at(lambda held, T: len(held) - 1),
        read_at(lambda held, T: len(held)),
        read_at(lambda held, T: held[0]),
        read_at(lambda held, T: 0),
        read_at(lambda held, T: held[-1] - 1),
        read_at(lambda held, T: held[-1] + 1),
        read_at(lambda held, T: held[0] - 1 if held[0] else held[-1]),
        read_at(lambda held, T: T - 2),
        read_at(lambda held, T: held[len(held) // 2]),
        lambda x, m: (x * m).sum(1),
        lambda x, m: (x * m).sum(1) / m.sum(1),
        lambda x, m: (x * m).mean(1),
        lambda x, m: x.mean(1),
        lambda x, m: (x * m)[:, -1],
        lambda x, m: x.masked_fill(~m, -1e9).amax(1),
        lambda x, m: x[m],
        lambda x, m: x * m,
    ],
}
