"""Answers that readers might give to chapter 04 of part 5: right ones in other styles, and wrong ones.

Used by test_answers.py.
"""

import numpy as np
import torch
from torch.nn import functional as F

RIGHT, WRONG = "right", "wrong"


def by_loops(pictures, p):
    rows, columns = pictures.shape[2] // p, pictures.shape[3] // p
    found = [
        pictures[:, :, i * p : (i + 1) * p, j * p : (j + 1) * p].permute(0, 2, 3, 1).flatten(1)
        for i in range(rows)
        for j in range(columns)
    ]
    return torch.stack(found, 1)


def by_unfold(pictures, p):
    squares = pictures.unfold(2, p, p).unfold(3, p, p)  # (B, c, rows, columns, p, p)
    return squares.permute(0, 2, 3, 4, 5, 1).flatten(3).flatten(1, 2)


def by_f_unfold(pictures, p):
    found = F.unfold(pictures, p, stride=p).transpose(1, 2)  # (B, T, c p p)
    return found.unflatten(2, (pictures.shape[1], p * p)).transpose(2, 3).flatten(2)


def by_numpy(pictures, p):
    B, c, H, W = pictures.shape
    x = pictures.numpy().transpose(0, 2, 3, 1).reshape(B, H // p, p, W // p, p, c)
    return torch.tensor(x.transpose(0, 1, 3, 2, 4, 5).reshape(B, -1, p * p * c))


def cut(x, p, order, rows_first=True):
    B, c, H, W = x.shape
    return x.reshape(B, c, H // p, p, W // p, p).permute(*order).reshape(B, -1, p * p * c)


def ln(x):
    return F.layer_norm(x, x.shape[-1:], eps=1e-6)


def by_picture(x, shift, scale, gate, branch):
    steered = torch.stack([ln(a) * (1 + s) + b for a, b, s in zip(x, shift, scale, strict=True)])
    return torch.stack([a + g * f for a, g, f in zip(x, gate, branch(steered), strict=True)])


def by_affine(x, shift, scale, gate, branch):
    return torch.addcmul(x, gate.unsqueeze(1), branch(torch.addcmul(shift[:, None], ln(x), 1 + scale[:, None])))


def by_standard(x, shift, scale, gate, branch):
    var, mean = torch.var_mean(x, dim=-1, keepdim=True, correction=0)
    h = (x - mean) * (var + 1e-6).rsqrt()
    return x + gate[:, None, :] * branch(h + h * scale[:, None, :] + shift[:, None, :])


def by_einsum(x, shift, scale, gate, branch):
    h = torch.einsum("btc,bc->btc", ln(x), 1 + scale) + shift.unsqueeze(-2)
    return x + torch.einsum("btc,bc->btc", branch(h), gate)


def counted(size, channels, patch, C, L):
    total, T = 0, (size // patch) * (size // patch)
    total += 2 * T * patch * patch * channels * C
    for _ in range(L):
        total += 4 * T * C * C
        total += 2 * T * T * C
        total += 2 * T * C * (4 * C)
    return total


def each(squares=12, pairs=2, ends=2, times=1, n=None):
    def found(size, channels, patch, C, L):
        T, v = (size // patch) ** 2, patch**2 * channels
        return times * ((n or L) * (T * squares * C**2 + pairs * T**2 * C) + ends * T * v * C)

    return found


ANSWERS = {
    "images.diffusion_transformer.patchify": {
        RIGHT: [by_loops, by_unfold, by_f_unfold, by_numpy],
        WRONG: [
            lambda x, p: x.reshape(len(x), -1, p * p * x.shape[1]),
            lambda x, p: x.view(len(x), (x.shape[2] // p) * (x.shape[3] // p), -1),
            lambda x, p: F.unfold(x, p, stride=p).transpose(1, 2),
            lambda x, p: F.unfold(x, p, stride=p),
            lambda x, p: cut(x, p, (0, 4, 2, 3, 5, 1)),
            lambda x, p: cut(x, p, (0, 2, 4, 5, 3, 1)),
            lambda x, p: cut(x, p, (0, 4, 2, 5, 3, 1)),
            lambda x, p: cut(x, p, (0, 2, 3, 4, 5, 1)),
            lambda x, p: cut(x, p, (0, 2, 4, 1, 3, 5)),
            lambda x, p: cut(x, p, (0, 2, 4, 1, 5, 3)),
            lambda x, p: by_loops(x, p).transpose(1, 2),
            lambda x, p: by_loops(x, p).flatten(0, 1),
            lambda x, p: by_loops(x[:, :1], p),
            lambda x, p: by_loops(x, p).unflatten(2, (p * p, -1)).mean(2),
            lambda x, p: by_loops(x, p).unflatten(2, (p, p, -1)),
            lambda x, p: by_loops(x.transpose(2, 3), p),
            lambda x, p: by_loops(x, p).flip(1),
            lambda x, p: by_unfold(x, p)[:, :, : p * p],
        ],
    },
    "images.diffusion_transformer.steered_branch": {
        RIGHT: [by_picture, by_affine, by_standard, by_einsum],
        WRONG: [
            lambda x, b, a, g, f: x + g[:, None] * f(ln(x) * a[:, None] + b[:, None]),
            lambda x, b, a, g, f: x + f(ln(x) * (1 + a[:, None]) + b[:, None]),
            lambda x, b, a, g, f: x + (1 + g[:, None]) * f(ln(x) * (1 + a[:, None]) + b[:, None]),
            lambda x, b, a, g, f: g[:, None] * f(ln(x) * (1 + a[:, None]) + b[:, None]),
            lambda x, b, a, g, f: g[:, None] * (x + f(ln(x) * (1 + a[:, None]) + b[:, None])),
            lambda x, b, a, g, f: x + g[:, None] * f(x * (1 + a[:, None]) + b[:, None]),
            lambda x, b, a, g, f: x + g[:, None] * f(ln(x) * (1 + b[:, None]) + a[:, None]),
            lambda x, b, a, g, f: x + b[:, None] * f(ln(x) * (1 + a[:, None]) + g[:, None]),
            lambda x, b, a, g, f: x + a[:, None] * f(ln(x) * (1 + g[:, None]) + b[:, None]),
            lambda x, b, a, g, f: x + g[:, None] * f(ln(x) * (1 + a[:, None])),
            lambda x, b, a, g, f: x + g[:, None] * f(ln(x) + b[:, None]),
            lambda x, b, a, g, f: x + g[:, None] * f((ln(x) + b[:, None]) * (1 + a[:, None])),
            lambda x, b, a, g, f: x + f(g[:, None] * (ln(x) * (1 + a[:, None]) + b[:, None])),
            lambda x, b, a, g, f: ln(x) + g[:, None] * f(ln(x) * (1 + a[:, None]) + b[:, None]),
            lambda x, b, a, g, f: (
                x
                + g[:, None]
                * f((x - x.mean(-1, keepdim=True)) / x.std(-1, keepdim=True) * (1 + a[:, None]) + b[:, None])
            ),
            lambda x, b, a, g, f: x + g[:, None] * f(F.rms_norm(x, x.shape[-1:]) * (1 + a[:, None]) + b[:, None]),
            lambda x, b, a, g, f: x + g[:, None] * f(F.layer_norm(x, x.shape[1:]) * (1 + a[:, None]) + b[:, None]),
        ],
    },
    "images.diffusion_transformer.multiply_adds": {
        RIGHT: [
            counted,
            each(),
            lambda s, c, p, C, L: 2 * (s // p) ** 2 * C * (L * (6 * C + (s // p) ** 2) + p * p * c),
            lambda s, c, p, C, L: int(
                np.prod([s // p, s // p, C]) * (12 * L * C + 2 * L * (s // p) ** 2) + 2 * s * s * c * C
            ),
        ],
        WRONG: [
            each(1, 1),
            each(1, 1, 0),
            each(4),
            each(8),
            each(11),
            each(10),
            each(pairs=1),
            each(pairs=0),
            each(ends=0),
            each(ends=1),
            each(n=1),
            each(times=2),
            each(pairs=4),
            lambda s, c, p, C, L: L * 12 * C**2 + 2 * p**2 * c * C,
            lambda s, c, p, C, L: each()(s, 1, p, C, L),
            lambda s, c, p, C, L: each()(s, c, 1, C, L),
            lambda s, c, p, C, L: (s // p) * (12 * L * C * C + 2 * p * p * c * C) + 2 * L * (s // p) ** 2 * C,
        ],
    },
}
