"""Answers to the exercises of part 5's introduction: right ones in other styles, and wrong ones.

Used by test_answers.py.
"""

import math

import numpy as np
import torch

RIGHT, WRONG = "right", "wrong"
ANSWERS = {}


def by_loops(drawn, train):
    return [min(math.dist(one, other) for other in train.tolist()) for one in drawn.tolist()]


def by_numpy(drawn, train):
    a, b = drawn.numpy(), train.numpy()
    return np.sqrt(((a[:, None] - b[None]) ** 2).sum(2).min(1))


def by_topk(drawn, train):
    return torch.cdist(drawn, train).topk(1, dim=1, largest=False).values[:, 0]


def table(drawn, train, p=2.0):
    return torch.cdist(drawn, train, p=p)


ANSWERS["images.introduction.nearest"] = {
    RIGHT: [
        by_loops, by_numpy, by_topk,
        lambda drawn, train: torch.stack([(train - one).norm(dim=1).min() for one in drawn]),
    ],
    WRONG: [
        lambda drawn, train: torch.tensor(by_loops(drawn, train)) ** 2,
        lambda drawn, train: table(drawn, train).amax(1),
        lambda drawn, train: table(drawn, train).mean(dim=1),
        lambda drawn, train: table(train, drawn).amin(1),
        lambda drawn, train: table(drawn, train).argmin(dim=-1),
        lambda drawn, train: table(drawn, train),
        lambda drawn, train: table(drawn, train).amin(),
        lambda drawn, train: table(drawn, train, p=1.0).amin(1),
        lambda drawn, train: table(drawn, train).amin(1) / drawn.shape[1] ** 0.5,
        lambda drawn, train: table(drawn, train, p=math.inf).amin(1),
        lambda drawn, train: (drawn - train.mean(dim=0)).square().sum(1).sqrt(),
        lambda drawn, train: table(drawn, train).sum(1),
        lambda drawn, train: table(drawn, train).median(1).values,
        lambda drawn, train: table(drawn, train).amin(1).mean(),
        lambda drawn, train: -table(drawn, train).amin(1),
        lambda drawn, train: table(drawn, drawn).amin(1),
    ],
}  # fmt: skip


def of(distances, bar):
    return sum(1 for each in distances if each < bar) / len(distances)


def counted(drawn, train, held_out):
    return of(by_loops(drawn, train), min(by_loops(held_out, train)))


ANSWERS["images.introduction.copies"] = {
    RIGHT: [
        counted,
        lambda d, t, h: np.mean(by_numpy(d, t) < by_numpy(h, t).min()),
        lambda d, t, h: (by_topk(d, t)[:, None] < by_topk(h, t)).all(1).double().mean(),
        lambda d, t, h: float(np.count_nonzero(by_numpy(d, t) ** 2 < by_numpy(h, t).min() ** 2) / len(d)),
    ],
    WRONG: [
        lambda d, t, h: counted(d, t, h) * len(d),
        lambda d, t, h: 1 - counted(d, t, h),
        lambda d, t, h: np.mean(by_numpy(d, t) < by_numpy(h, t).mean()),
        lambda d, t, h: np.mean(by_numpy(d, t) < by_numpy(h, t).max()),
        lambda d, t, h: np.mean(by_numpy(d, t) < float(by_topk(h, t).median())),
        lambda d, t, h: of(by_loops(d, h), min(by_loops(h, t))),
        lambda d, t, h: (torch.cdist(d, t).mean(1) < torch.cdist(h, t).mean(1).min()).double().mean(),
        lambda d, t, h: of(by_loops(d, t), 1e-12),
        lambda d, t, h: counted(h, t, d),
        lambda d, t, h: of(by_loops(t, d), min(by_loops(h, t))),
        lambda d, t, h: (by_topk(d, t) < by_topk(h, t).min()).double(),
        lambda d, t, h: (by_topk(d, t) ** 2 < by_topk(h, t).min()).double().mean(),
        lambda d, t, h: -counted(d, t, h),
        lambda d, t, h: counted(d, t, h) * 100,
        lambda d, t, h: by_topk(d, t).min() < by_topk(h, t).min(),
        lambda d, t, h: (torch.cdist(d, t) < by_topk(h, t).min()).double().mean(),
    ],
}  # fmt: skip
