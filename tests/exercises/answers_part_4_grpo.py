"""Answers that readers might give to the chapter on GRPO: right ones in other styles, and wrong ones.

Few of the wrong ones are in the catalogue, and then by another way. Used by test_answers.py.
"""

import numpy as np
import torch

RIGHT, WRONG = "right", "wrong"
ANSWERS = {}

# advantages: rewards -> (P, G)


def by_loops(rewards):
    found = []
    for group in rewards.tolist():
        mean = sum(group) / len(group)
        deviation = (sum((r - mean) ** 2 for r in group) / len(group)) ** 0.5
        found.append([(r - mean) / deviation if deviation > 1e-12 else 0.0 for r in group])
    return torch.tensor(found, dtype=rewards.dtype)


def by_numpy(rewards):
    r = rewards.numpy()
    centred = r - r.mean(axis=1, keepdims=True)
    deviation = r.std(axis=1, keepdims=True)
    same = np.ptp(r, axis=1, keepdims=True) == 0
    return torch.from_numpy(np.where(same, 0, centred / np.where(same, 1, deviation)))


def by_squares(rewards):
    mean = rewards.mean(-1, keepdim=True)
    variance = rewards.square().mean(-1, keepdim=True) - mean.square()
    variance = torch.where(variance > 1e-12, variance, torch.inf)
    return (rewards - mean) * variance.rsqrt()


def by_nan(rewards):
    mean = rewards.mean(1)[:, None]
    return torch.nan_to_num(
        (rewards - mean) / rewards.std(1, unbiased=False)[:, None] * (rewards.amax(1) > rewards.amin(1))[:, None]
    )


def z(rewards, correction=0, epsilon=0.0):
    deviation = rewards.std(1, correction=correction, keepdim=True)
    same = rewards.amax(1, keepdim=True) == rewards.amin(1, keepdim=True)
    return torch.where(same, 0, (rewards - rewards.mean(1, keepdim=True)) / torch.where(same, 1, deviation + epsilon))


ANSWERS["reasoning.grpo.advantages"] = {
    RIGHT: [by_loops, by_numpy, by_squares, by_nan, lambda rewards: torch.cat([z(group[None]) for group in rewards])],
    WRONG: [
        lambda rewards: z(rewards, correction=1),
        lambda rewards: z(rewards, correction=1, epsilon=1e-4),
        lambda rewards: rewards - rewards.mean(1)[:, None],
        lambda rewards: (rewards - rewards.mean(1)[:, None]) / rewards.std(1, unbiased=False)[:, None],
        lambda rewards: (rewards - rewards.mean(1)[:, None]) / rewards.std(1)[:, None],
        lambda rewards: (rewards - rewards.mean()) / max(float(rewards.std(correction=0)), 1e-9),
        lambda rewards: (rewards - rewards.mean(1)[:, None]) / max(float(rewards.std(correction=0)), 1e-9),
        lambda rewards: z(rewards.T).T,
        lambda rewards: -1 * by_loops(rewards),
        lambda rewards: by_loops(rewards).relu(),
        lambda rewards: z(rewards) / torch.where(z(rewards) == 0, 1, rewards.std(1, correction=0)[:, None]),
        lambda rewards: z(rewards) * rewards.shape[1] / (rewards.shape[1] - 1),
        lambda rewards: z(rewards, epsilon=0.1),
        lambda rewards: z(rewards) + (rewards.amax(1) == rewards.amin(1))[:, None],
        lambda rewards: torch.where(z(rewards) == 0, rewards, z(rewards)),
        lambda rewards: torch.zeros_like(rewards),
        lambda rewards: z(rewards).sign(),
        lambda rewards: rewards.sign() * z(rewards).abs(),
    ],
}  # fmt: skip

# loss: logprobs, old_logprobs, advantages, mask -> a number


def loss_by_loops(n, o, a, m):
    total = 0.0
    for i in range(len(n)):
        terms = []
        for t in range(n.shape[1]):
            if m[i, t]:
                ratio = torch.exp(n[i, t] - o[i, t])
                clipped = min(max(ratio, 0.8), 1.28)
                terms.append(min(ratio * a[i], clipped * a[i]))
        total = total + sum(terms) / len(terms)
    return -total / len(n)


def loss_by_cases(n, o, a, m):
    ratio = n.exp() / o.exp()
    A = a.unsqueeze(1).expand_as(ratio)
    each = torch.where(A > 0, ratio.clamp(max=1.28) * A, ratio.clamp(min=0.8) * A)
    return -(each.masked_fill(~m, 0).sum(-1) / m.sum(-1)).mean()


def loss_by_maximum(n, o, a, m):
    ratio = torch.exp(n - o)
    each = torch.max(-ratio * a[:, None], -torch.clip(ratio, 0.8, 1.28) * a[:, None])
    weights = m / m.sum(1, keepdim=True) / len(m)
    return (each * weights).sum()


def loss_by_rows(n, o, a, m):
    found = []
    for new, old, A, here in zip(n, o, a, m, strict=True):
        ratio = (new[here] - old[here]).exp()
        found.append(torch.min(ratio * A, ratio.clamp(0.8, 1.28) * A).mean())
    return -torch.stack(found).mean()


def core(n, o, a, m, low=0.8, high=1.28, choose=torch.min):
    ratio = (n - o).exp()
    return choose(ratio * a[:, None], ratio.clamp(low, high) * a[:, None])


def folded(each, m):
    return -((each * m).sum(1) / m.sum(1)).mean()


ANSWERS["reasoning.grpo.loss"] = {
    RIGHT: [loss_by_loops, loss_by_cases, loss_by_maximum, loss_by_rows],
    WRONG: [
        lambda n, o, a, m: -loss_by_loops(n, o, a, m),
        lambda n, o, a, m: -core(n, o, a, m)[m].mean(),
        lambda n, o, a, m: -(core(n, o, a, m) * m).mean(),
        lambda n, o, a, m: -core(n, o, a, m).mean(),
        lambda n, o, a, m: -(core(n, o, a, m) * m).sum() / len(n),
        lambda n, o, a, m: len(n) * loss_by_rows(n, o, a, m),
        lambda n, o, a, m: folded(torch.exp(n - o) * a.unsqueeze(-1), m),
        lambda n, o, a, m: folded(torch.exp(n - o).clamp(0.8, 1.28) * a.unsqueeze(-1), m),
        lambda n, o, a, m: folded(core(n, o, a, m, choose=torch.max), m),
        lambda n, o, a, m: loss_by_rows(o, n, a, m),
        lambda n, o, a, m: folded(core(n, o, a, m, high=1.2), m),
        lambda n, o, a, m: folded(core(n, o, a, m, low=0.72), m),
        lambda n, o, a, m: folded(core(n, o, a, m, low=0.72, high=1.2), m),
        lambda n, o, a, m: folded(core(n, o, a, m, low=0.2, high=0.28), m),
        lambda n, o, a, m: folded(a[:, None] * n, m),
        lambda n, o, a, m: folded(core(((n - o) * m).sum(1, keepdim=True).expand_as(n), 0 * o, a, m), m),
        lambda n, o, a, m: folded(core(n, o, a.abs(), m), m),
        lambda n, o, a, m: -(core(n, o, a, m) * m).sum(),
        lambda n, o, a, m: (core(n, o, a, m) * m).sum(1) / m.sum(1),
    ],
}  # fmt: skip
