"""Answers that readers might give to the exercises on latent diffusion: right ones in other styles, and wrong ones.

Used by test_answers.py.
"""

from fractions import Fraction

import torch

RIGHT, WRONG = "right", "wrong"
ANSWERS = {}


def by_counting(T, C, L, f):
    before = after = 0
    small = T // f**2
    for _ in range(L):
        before += 12 * C * C * T + 2 * C * T * T
        after += 12 * C * C * small + 2 * C * small * small
    return before / after


def by_fractions(T, C, L, f):
    small = Fraction(T, f * f)
    return float((6 * C * T + T * T) / (6 * C * small + small**2))


def by_shares(T, C, L, f):
    pairs = T / (6 * C + T)
    return 1 / ((1 - pairs) / f**2 + pairs / f**4)


def factored_out(T, C, L, f):
    return f**2 * (6 * C + T) / (6 * C + T / f**2)


ANSWERS["images.latent_diffusion.saving"] = {
    RIGHT: [by_counting, by_fractions, by_shares, factored_out, lambda *sizes: torch.tensor(by_counting(*sizes))],
    WRONG: [
        lambda T, C, L, f: f * f,
        lambda T, C, L, f: f**4,
        lambda T, C, L, f: f,
        lambda T, C, L, f: f**3,
        lambda T, C, L, f: 1 / by_counting(T, C, L, f),
        lambda T, C, L, f: 1 - 1 / by_counting(T, C, L, f),
        lambda T, C, L, f: L * by_counting(T, C, L, f),
        lambda T, C, L, f: by_counting(T, C, L, f) / L,
        lambda T, C, L, f: f * (6 * C + T) / (6 * C + T / f),
        lambda T, C, L, f: f**2 * (2 * C + T) / (2 * C + T / f**2),
        lambda T, C, L, f: f**2 * (12 * C + T) / (12 * C + T / f**2),
        lambda T, C, L, f: f**2 * (C + T) / (C + T / f**2),
        lambda T, C, L, f: (f**2 + f**4) / 2,
        lambda T, C, L, f: L * (12 * C * C * T + 2 * C * T * T),
        lambda T, C, L, f: L * (12 * C * C * T / f**2 + 2 * C * T * T / f**4),
        lambda T, C, L, f: f**2 * (4 * C + T) / (4 * C + T / f**2),
        lambda T, C, L, f: f**2 * (6 * C + T) / (6 * C + T),
        lambda T, C, L, f: by_counting(T, C, L, f) ** 0.5,
    ],
}  # fmt: skip


def by_the_ratio(t, s):
    return 1 / (1 + (1 - t) / (s * t))


def one_by_one(t, s):
    return torch.tensor([0.0 if each == 0 else s * each / (s * each + (1 - each)) for each in t.tolist()])


def by_log_odds(t, s):
    return torch.sigmoid(torch.logit(t) + torch.log(torch.tensor(s, dtype=t.dtype)))


def normalised(t, s):
    both = torch.stack([s * t, 1 - t])
    return both[0] / both.sum(0)


ANSWERS["images.latent_diffusion.really"] = {
    RIGHT: [by_the_ratio, one_by_one, by_log_odds, normalised, lambda t, s: 1 - (1 - t) / (1 + (s - 1) * t)],
    WRONG: [
        lambda t, s: s * t,
        lambda t, s: t,
        lambda t, s: t / (t + s * (1 - t)),
        lambda t, s: 1 - normalised(t, s),
        lambda t, s: normalised(t, s * s),
        lambda t, s: normalised(t, s**0.5),
        lambda t, s: normalised(t, 1 / s),
        lambda t, s: normalised(1 - t, s),
        lambda t, s: s * t + (1 - t),
        lambda t, s: s * t / (1 + s * t),
        lambda t, s: t / (s * t + 1 - t),
        lambda t, s: (s * t) ** 2 / ((s * t) ** 2 + (1 - t) ** 2),
        lambda t, s: s * t / ((s * t) ** 2 + (1 - t) ** 2).sqrt(),
        lambda t, s: (s * t).clamp(max=1),
        lambda t, s: s * t / (1 - t).clamp(min=1e-9),
        lambda t, s: t**s,
        lambda t, s: t / s,
    ],
}  # fmt: skip
