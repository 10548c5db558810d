"""Answers that readers might give to the exercises on rewards for pictures: right ones of other styles, and wrong ones.

Used by test_answers.py.
"""

import math

import torch
from torch.distributions import Independent, MultivariateNormal, Normal, kl_divergence

RIGHT, WRONG = "right", "wrong"
ANSWERS = {}


def parts(x, v, t, h, c):
    noise = x - t * v
    return x + h * v - h * c * noise, math.sqrt(2 * c * (1 - t) * h)


def by_torch(x_next, x, v, t, h, c):
    mean, sigma = parts(x, v, t, h, c)
    return Independent(Normal(mean, sigma), 1).log_prob(x_next)


def by_a_matrix(x_next, x, v, t, h, c):
    mean, sigma = parts(x, v, t, h, c)
    return MultivariateNormal(mean, sigma**2 * torch.eye(x.shape[1])).log_prob(x_next)


def by_the_score(x_next, x, v, t, h, c):
    s = 1 - t
    score = -(x - t * v) / s
    mean, variance = x + h * (v + c * s * score), 2 * c * s * h
    D = x.shape[1]
    return -((x_next - mean) ** 2).sum(1) / (2 * variance) - D / 2 * math.log(2 * math.pi * variance)


def picture_by_picture(x_next, x, v, t, h, c):
    found = []
    for after, before, velocity in zip(x_next, x, v, strict=True):
        mean, sigma = parts(before, velocity, t, h, c)
        found.append(float(Normal(mean, sigma).log_prob(after).sum()))
    return found


def other(mean=None, variance=None, last=lambda each: each.sum(1)):
    def answer(x_next, x, v, t, h, c):
        middle, sigma = parts(x, v, t, h, c)
        middle = mean(x, v, t, h, c) if mean else middle
        sigma = variance(t, h, c) ** 0.5 if variance else sigma
        return last(Normal(middle, sigma).log_prob(x_next))

    return answer


ANSWERS["images.rewards_for_pictures.step_logprob"] = {
    RIGHT: [by_torch, by_a_matrix, by_the_score, picture_by_picture],
    WRONG: [
        other(mean=lambda x, v, t, h, c: x + h * v),
        other(mean=lambda x, v, t, h, c: x + h * (v + c * (x - t * v))),
        other(mean=lambda x, v, t, h, c: x + h * (v - c * (x - t * v) / (1 - t))),
        other(mean=lambda x, v, t, h, c: x + h * (v - c * (x + (1 - t) * v))),
        other(mean=lambda x, v, t, h, c: x + h * (v - (x - t * v))),
        other(mean=lambda x, v, t, h, c: x + h * v - c * (x - t * v)),
        other(mean=lambda x, v, t, h, c: x + h * (v - c * (x - v))),
        other(variance=lambda t, h, c: 2 * c * (1 - t)),
        other(variance=lambda t, h, c: 2 * c * (1 - t) * h * h),
        other(variance=lambda t, h, c: c * (1 - t) * h),
        other(variance=lambda t, h, c: 2 * c * t * h),
        other(variance=lambda t, h, c: (2 * c * (1 - t) * h) ** 2),
        other(variance=lambda t, h, c: 2 * (1 - t) * h),
        other(last=lambda each: each.mean(1)),
        other(last=lambda each: each.sum()),
        other(last=lambda each: each.sum(1).exp()),
        other(last=lambda each: -each.sum(1)),
        other(last=lambda each: each),
    ],
}  # fmt: skip


def by_divergence(means, reference, deviations):
    sigma = deviations[:, None, None]
    return kl_divergence(Normal(means, sigma), Normal(reference, sigma)).sum((0, 2)).mean()


def in_a_loop(means, reference, deviations):
    total = 0.0
    for mean, theirs, sigma in zip(means, reference, deviations, strict=True):
        total += float(((mean - theirs) ** 2).sum(1).mean()) / (2 * float(sigma) ** 2)
    return total


def by_scaling_first(means, reference, deviations):
    z = (means - reference) / deviations.reshape(-1, 1, 1)
    return 0.5 * z.pow(2).sum() / means.shape[1]


def by_einsum(means, reference, deviations):
    apart = means - reference
    return torch.einsum("nbd,nbd,n->", apart, apart, 0.5 / deviations**2) / apart.shape[1]


def table(m, r, s):
    return (m - r).square().sum(-1) / (2 * s[:, None] ** 2)


ANSWERS["images.rewards_for_pictures.way_kl"] = {
    RIGHT: [by_divergence, in_a_loop, by_scaling_first, by_einsum],
    WRONG: [
        lambda m, r, s: 2 * table(m, r, s).sum(0).mean(),
        lambda m, r, s: table(m, r, s).mean(),
        lambda m, r, s: table(m, r, s).sum(),
        lambda m, r, s: table(m, r, s).sum(0),
        lambda m, r, s: table(m, r, s).mean(1),
        lambda m, r, s: table(m, r, s)[-1].mean(),
        lambda m, r, s: table(m, r, s)[0].mean(),
        lambda m, r, s: table(m, r, s).amax(0).mean(),
        lambda m, r, s: -table(m, r, s).sum(0).mean(),
        lambda m, r, s: table(m, r, s).sum(0).mean() / m.shape[-1],
        lambda m, r, s: ((m - r).square().sum(-1) / (2 * s[:, None])).sum(0).mean(),
        lambda m, r, s: ((m - r).square().sum(-1) / 2).sum(0).mean(),
        lambda m, r, s: ((m - r).abs().sum(-1) / (2 * s[:, None] ** 2)).sum(0).mean(),
        lambda m, r, s: ((m - r).norm(dim=-1) / (2 * s[:, None] ** 2)).sum(0).mean(),
        lambda m, r, s: ((m - r).mean(1).square().sum(-1) / (2 * s**2)).sum(),
        lambda m, r, s: ((m - r).square().sum(-1) * s[:, None] ** 2 / 2).sum(0).mean(),
        lambda m, r, s: 0.0,
    ],
}  # fmt: skip
