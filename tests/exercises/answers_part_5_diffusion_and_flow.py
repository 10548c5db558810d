"""Answers that readers might give to the exercises on diffusion and flow: right ones in other styles, and wrong ones.

Used by test_answers.py.
"""

import torch

RIGHT, WRONG = "right", "wrong"
ANSWERS = {}


def by_solving(noise, x, t):
    """Two equations a point: x = t d + (1 − t) n, with n known."""
    data = x / t - noise / t + noise
    return data - noise


def by_table(noise, x, t):
    return [[(b - a) / t for a, b in zip(n, p, strict=True)] for n, p in zip(noise.tolist(), x.tolist(), strict=True)]


def by_score(noise, x, t):
    """v = (x + (1 − t) score) / t, with (1 − t) score = −noise."""
    return x / t + (-noise) / t


def mixing(share=lambda t: 1 - t, size=lambda t: t, sign=-1.0):
    """Answers by way of the data, with another share, divisor or sign."""

    def answer(noise, x, t):
        return (x - share(t) * noise) / max(size(t), 1e-9) + sign * noise

    return answer


ANSWERS["images.diffusion_and_flow.velocity"] = {
    RIGHT: [by_solving, by_table, by_score, mixing(), lambda noise, x, t: by_solving(noise, x, t).numpy()],
    WRONG: [
        mixing(sign=0.0),
        mixing(sign=1.0),
        mixing(share=lambda t: t, size=lambda t: 1 - t),
        mixing(share=lambda t: 1.0),
        mixing(size=lambda t: 1.0),
        mixing(share=lambda t: t - 1),
        mixing(share=lambda t: 0.0),
        mixing(size=lambda t: 1 - t),
        lambda noise, x, t: -by_solving(noise, x, t),
        lambda noise, x, t: t * by_solving(noise, x, t),
        lambda noise, x, t: (x - noise) / max(1 - t, 1e-9),
        lambda noise, x, t: (noise - x) / max(1 - t, 1e-9),
        lambda noise, x, t: -noise / max(1 - t, 1e-9),
        lambda noise, x, t: -noise,
        lambda noise, x, t: x - t * noise - noise,
        lambda noise, x, t: torch.zeros_like(x),
    ],
}  # fmt: skip


def two_lines(noise, x, a, s, a_next, s_next):
    data = x / a - s / a * noise
    return torch.stack([data, noise], -1) @ torch.tensor([a_next, s_next], dtype=x.dtype)


def by_scale(noise, x, a, s, a_next, s_next):
    """x shrunk or grown, and the noise corrected."""
    return a_next / a * x + (s_next - a_next * s / a) * noise


def row_by_row(noise, x, a, s, a_next, s_next):
    return torch.stack([by_scale(n, p, a, s, a_next, s_next) for n, p in zip(noise, x, strict=True)])


def listed(*arguments):
    return two_lines(*arguments).tolist()


ANSWERS["images.diffusion_and_flow.ddim"] = {
    RIGHT: [two_lines, by_scale, row_by_row, listed],
    WRONG: [
        lambda n, x, a, s, a2, s2: two_lines(n, x, a, s, 1, 0),
        lambda n, x, a, s, a2, s2: two_lines(n, x, a, s, a2, 0),
        lambda n, x, a, s, a2, s2: two_lines(n, x, a, s, a * a2, s2),
        lambda n, x, a, s, a2, s2: two_lines(n, x, a, s, 1, s2),
        lambda n, x, a, s, a2, s2: two_lines(n, x, a, s, a2, s),
        lambda n, x, a, s, a2, s2: two_lines(n, x, a, s, a, s2),
        lambda n, x, a, s, a2, s2: two_lines(n, x, a, s, a2, 1),
        lambda n, x, a, s, a2, s2: two_lines(n, x, a, 1, a2, s2),
        lambda n, x, a, s, a2, s2: two_lines(n, x, a, s, a2, -s2),
        lambda n, x, a, s, a2, s2: two_lines(n, x, a, -s, a2, s2),
        lambda n, x, a, s, a2, s2: two_lines(n, x, s, a, a2, s2),
        lambda n, x, a, s, a2, s2: two_lines(n, x, a, s, s2, a2),
        lambda n, x, a, s, a2, s2: two_lines(n, x, a2, s2, a, s),
        lambda n, x, a, s, a2, s2: two_lines(n, x, a, s, a2, s2) - x,
        lambda n, x, a, s, a2, s2: two_lines(n, x, a**2, s, a2, s2),
        lambda n, x, a, s, a2, s2: two_lines(n, x, a**0.5, s**0.5, a2**0.5, s2**0.5),
    ],
}  # fmt: skip
