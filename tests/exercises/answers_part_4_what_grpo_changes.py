"""Answers that readers might give to the chapter on what GRPO changes: right ones in other styles, and wrong ones.

Few of the wrong ones are in the catalogue, and then by another way. Used by test_answers.py.
"""

import math

import numpy as np
import torch

RIGHT, WRONG = "right", "wrong"
ANSWERS = {}

# ratio: logprobs, old_logprobs, mask -> (N,)


def by_loops(n, o, m):
    found = []
    for row in range(len(n)):
        here = [float(n[row, t] - o[row, t]) for t in range(n.shape[1]) if m[row, t]]
        found.append(math.exp(sum(here) / len(here)))
    return torch.tensor(found, dtype=n.dtype)


def by_products(n, o, m):
    ratios = torch.where(m, n.exp() / o.exp(), torch.ones_like(n))
    return ratios.prod(dim=1) ** (1 / m.sum(dim=1))


def by_numpy(n, o, m):
    change = np.ma.array((n - o).numpy(), mask=~m.numpy())
    return torch.from_numpy(np.exp(change.mean(axis=1)).filled())


def by_rows(n, o, m):
    return torch.stack([(a[k] - b[k]).mean().exp() for a, b, k in zip(n, o, m, strict=True)])


def mean_log(n, o, m):
    return ((n - o) * m).sum(-1) / m.float().sum(-1)


ANSWERS["reasoning.what_grpo_changes.ratio"] = {
    RIGHT: [by_loops, by_products, by_numpy, by_rows, lambda n, o, m: torch.exp(mean_log(n, o, m))],
    WRONG: [
        lambda n, o, m: ((n - o) * m).sum(-1).exp(),
        lambda n, o, m: torch.where(m, n.exp() / o.exp(), torch.ones_like(n)).prod(1),
        lambda n, o, m: torch.stack([(a[k] - b[k]).exp().mean() for a, b, k in zip(n, o, m, strict=True)]),
        lambda n, o, m: 1 / by_loops(n, o, m),
        mean_log,
        lambda n, o, m: torch.exp((n - o).sum(1) / n.shape[1]),
        lambda n, o, m: torch.exp(((n - o) * m).mean(1)),
        lambda n, o, m: torch.exp((n - o) * m),
        lambda n, o, m: by_rows(n, o, m).clamp(0.8, 1.2),
        lambda n, o, m: by_rows(n, o, m).mean(),
        lambda n, o, m: torch.exp((n * m).sum(1) / m.sum(1)),
        lambda n, o, m: torch.exp(((n - o) * m).mean(0)),
        lambda n, o, m: torch.exp(((n - o) * m).sum(1) / m.sum(1).sqrt()),
        lambda n, o, m: torch.exp((n - o) * m).mean(-1),
        lambda n, o, m: torch.stack([(a[k] - b[k]).median().exp() for a, b, k in zip(n, o, m, strict=True)]) + 0.01,
        lambda n, o, m: by_rows(n, o, m).clamp(max=1.0),
        lambda n, o, m: by_rows(n, o, m)[:, None].expand_as(n),
        lambda n, o, m: torch.exp(((n - o) * m).sum(1) / m.sum()),
    ],
}  # fmt: skip

# weights: logprobs, behaviour, mask, cap -> (N, T)


def weights_by_loops(n, o, m, c):
    found = torch.zeros_like(n)
    for i in range(n.shape[0]):
        for t in range(n.shape[1]):
            if m[i, t]:
                found[i, t] = min(math.exp(n[i, t] - o[i, t]), c)
    return found


def weights_by_numpy(n, o, m, c):
    return torch.from_numpy(np.where(m.numpy(), np.minimum(np.exp(n.numpy() - o.numpy()), c), 0.0))


def weights_by_minimum(n, o, m, c):
    with torch.no_grad():
        return torch.minimum(n.exp() / o.exp(), torch.tensor(c, dtype=n.dtype)).masked_fill(~m, 0)


def weights_by_logs(n, o, m, c):
    return (n - o).clamp(max=math.log(c)).exp().detach() * m


def capped(n, o, m, c):
    return torch.exp(n - o).clip(max=c) * m


ANSWERS["reasoning.what_grpo_changes.weights"] = {
    RIGHT: [weights_by_loops, weights_by_numpy, weights_by_minimum, weights_by_logs],
    WRONG: [
        lambda n, o, m, c: n.exp() / o.exp() * m,
        lambda n, o, m, c: weights_by_loops(o, n, m, c),
        lambda n, o, m, c: torch.exp(n - o).clip(1 / c, c) * m,
        lambda n, o, m, c: torch.exp((n - o).clip(max=c)) * m,
        lambda n, o, m, c: (n - o).clip(max=c) * m,
        lambda n, o, m, c: torch.exp(n - o).clip(max=c),
        lambda n, o, m, c: torch.exp((n - o) * m).clip(max=c),
        lambda n, o, m, c: torch.exp(n - o) * (torch.exp(n - o) <= c) * m,
        lambda n, o, m, c: torch.exp(((n - o) * m).sum(1, keepdim=True)).clip(max=c) * m,
        lambda n, o, m, c: capped(n, o, m, c) / capped(n, o, m, c).sum(),
        lambda n, o, m, c: torch.exp(n - o).clip(min=c) * m,
        lambda n, o, m, c: m * c,
        lambda n, o, m, c: n.exp().clip(max=c) * m,
        lambda n, o, m, c: capped(n, o, ~m, c),
        lambda n, o, m, c: capped(n, o, m, c).mean(1),
        lambda n, o, m, c: torch.exp(n - o).clip(max=1 + c) * m,
        lambda n, o, m, c: torch.exp(n - o).clip(max=1.0) * m,
        lambda n, o, m, c: capped(n, o, m, c) * c,
    ],
}  # fmt: skip
