"""Answers that readers might give to later exercises of part 2: right ones in other styles, and plausible wrong ones.

Few of the wrong ones are in the catalogues, and then by another way. Used by test_answers.py.
"""

import math

import numpy as np
import torch
from torch.nn import functional as F

RIGHT, WRONG = "right", "wrong"
EPS = 1e-5
ANSWERS = {}

# the transformer block


def rms(x, e, dim=-1):
    return torch.sqrt(torch.mean(x**2, dim=dim, keepdim=True) + e)


def llama_norm(x, g, e):
    y = x.to(torch.float32)
    return g * (y * torch.rsqrt(y.pow(2).mean(-1, keepdim=True) + e)).to(x.dtype)


def norm_by_loop(x, g, e):
    y = torch.empty_like(x)
    for b in range(len(x)):
        for t in range(len(x[b])):
            y[b, t] = x[b, t] / (sum(n * n for n in x[b, t]) / len(x[b, t]) + e) ** 0.5 * g
    return y


def norm_in_place(x, g, e):
    x /= rms(x, e)
    x *= g
    return x


ANSWERS["transformer.transformer_block.rms_norm"] = {
    RIGHT: [
        lambda x, g, e: F.rms_norm(x, (x.shape[-1],), g, e),
        llama_norm,
        norm_by_loop,
        lambda x, g, e: torch.einsum("btc,c->btc", x / rms(x, e), g),
        lambda x, g, e: x * g / torch.sqrt(x.norm(dim=-1, keepdim=True) ** 2 / x.shape[-1] + e),
        lambda x, g, e: (g * x / rms(x, e)).numpy().astype(np.float32),
    ],
    WRONG: [
        lambda x, g, e: F.layer_norm(x, (x.shape[-1],), g, None, e),
        lambda x, g, e: F.normalize(x, dim=-1) * g,
        lambda x, g, e: g * x / torch.sqrt(torch.mean(x**2) + e),
        lambda x, g, e: g * x / rms(x, e, dim=1),
        lambda x, g, e: g * x / rms(x, e, dim=0),
        lambda x, g, e: x / rms(x, e),
        lambda x, g, e: g * x / torch.sqrt(x.pow(2).mean(-1, keepdim=True)) + e,
        lambda x, g, e: g * x / (x.pow(2).mean(-1, keepdim=True).sqrt() + e),
        lambda x, g, e: g * x * rms(x, e),
        lambda x, g, e: g * x / rms(x, e * e),
        lambda x, g, e: g * x / rms(x, 1e-5),
        lambda x, g, e: g * x / torch.sqrt(x.mean(-1, keepdim=True) ** 2 + e),
        lambda x, g, e: g * x / (x.std(-1, keepdim=True) + e),
        lambda x, g, e: g * x / torch.sqrt((x**2).sum(-1, keepdim=True) / (x.shape[-1] - 1) + e),
        lambda x, g, e: (1 + g) * x / rms(x, e),
        lambda x, g, e: g + x / rms(x, e),
        lambda x, g, e: g.abs() * x / rms(x, e),
        lambda x, g, e: g * x / torch.sqrt(x.pow(2).mean(-1) + e),
        lambda x, g, e: rms(x, e),
        lambda x, g, e: torch.round(g * x / rms(x, e), decimals=3),
        lambda x, g, e: [row / rms(row, e) * g for row in x],
        norm_in_place,
        lambda x, g, e: (g * x / rms(x, e)).mean(0, keepdim=True),
        lambda x, g, e: g * x / rms(x, -e / 2),
    ],
}


def chain(js, g, step, order=None):
    out = [g]
    for j in reversed(list(js)) if order is None else order(js):
        out.insert(0, step(j, out[0]))
    return torch.stack(out)


def by_matrices(js, g):
    eye, rows, product = torch.eye(len(g), dtype=g.dtype), [g], torch.eye(len(g), dtype=g.dtype)
    for j in js.flip(0):
        product = (eye + j).T @ product
        rows.append(product @ g)
    return torch.stack(rows).flip(0)


def by_autograd(js, g):
    xs, x = [], torch.zeros_like(g, requires_grad=True)
    xs.append(x)
    for j in js:
        x = x + j @ x
        xs.append(x)
    return torch.stack([*torch.autograd.grad(xs[-1], xs, g)])


def by_recursion(js, g):
    if len(js) == 0:
        return [g]
    below = by_recursion(js[1:], g)
    return [below[0] + below[0] @ js[0], *below]


ANSWERS["transformer.transformer_block.through_skips"] = {
    RIGHT: [
        by_matrices,
        by_autograd,
        lambda js, g: torch.stack(by_recursion(js, g)),
        lambda js, g: chain(js, g, lambda j, x: x + x @ j),
        lambda js, g: np.stack([np.array(row) for row in by_recursion(js, g)]),
    ],
    WRONG: [
        lambda js, g: chain(js, g, lambda j, x: j.T @ x),
        lambda js, g: chain(js, g, lambda j, x: x + j @ x),
        lambda js, g: chain(js, g, lambda j, x: x + j.T @ x, order=list),
        lambda js, g: chain(js, g, lambda j, x: x + j.T @ x).flip(0),
        lambda js, g: chain(js, g, lambda j, x: x + j.T @ x)[:-1],
        lambda js, g: chain(js, g, lambda j, x: x + j.T @ x)[1:],
        lambda js, g: chain(js, g, lambda j, x: x + j.T @ x)[0],
        lambda js, g: chain(js, g, lambda j, x: 2 * x + j.T @ x),
        lambda js, g: chain(js, g, lambda j, x: x - j.T @ x),
        lambda js, g: chain(js, g, lambda j, x: x + j.T @ g),
        lambda js, g: chain(js, g, lambda j, x: g + j.T @ x),
        lambda js, g: chain(js, g, lambda j, x: (x + j.T @ x) / 2),
        lambda js, g: chain(js, g, lambda j, x: (x + j.T @ x) / 2**0.5),
        lambda js, g: chain(js, g, lambda j, x: x + j.T.abs() @ x),
        lambda js, g: chain(js, g, lambda j, x: x + j.sum(0)),
        lambda js, g: chain(js, g, lambda j, x: x + j.diag() * x),
        lambda js, g: chain(js, g, lambda j, x: x + (j * x).sum(0)),
        lambda js, g: g + torch.stack([j.T @ g for j in js]),
        lambda js, g: g + js.sum(0).T @ g,
        lambda js, g: chain(js, g, lambda j, x: x + j.T @ x).norm(dim=1),
        lambda js, g: chain(js, g, lambda j, x: torch.linalg.solve(torch.eye(len(g), dtype=g.dtype) + j, x)),
        lambda js, g: chain(js, g, lambda j, x: x + x),
    ],
}
ANSWERS["transformer.transformer_block.stream_size"] = {
    RIGHT: [
        lambda s, b, n: (math.hypot(s, b * (2 * n) ** 0.5), math.hypot(s, b)),
        lambda s, b, n: (np.sqrt(s**2 + 2 * n * b**2), np.sqrt(s**2 + b**2)),
        lambda s, b, n: torch.tensor([s * s + 2 * n * b * b, s * s + b * b], dtype=torch.float64).sqrt(),
        lambda s, b, n: [math.sqrt(s * s + sum(b * b for _ in range(2 * n))), (s * s + b * b) ** 0.5],
    ],
    WRONG: [
        lambda s, b, n: (math.sqrt(s**2 + n * b**2), math.sqrt(s**2 + b**2)),
        lambda s, b, n: (math.sqrt(s**2 + n * b**2), math.sqrt(s**2 + b**2 / 2)),
        lambda s, b, n: (s + 2 * n * b, s + b),
        lambda s, b, n: (s + math.sqrt(2 * n) * b, s + b),
        lambda s, b, n: (math.sqrt(s**2 + 2 * n * b**2), math.sqrt(s**2 + b**2 / (2 * n))),
        lambda s, b, n: (math.sqrt(s**2 + 2 * n * b**2), math.sqrt(s**2 + 2 * n * b**2) / math.sqrt(2 * n)),
        lambda s, b, n: (s**2 + 2 * n * b**2, s**2 + b**2),
        lambda s, b, n: (math.sqrt(s**2 + 2 * n * b**2), s),
        lambda s, b, n: (math.sqrt(s**2 + 2 * n * b**2), b),
        lambda s, b, n: (math.sqrt(s**2 + 2 * n * b**2), math.sqrt(s**2 + 2 * b**2)),
        lambda s, b, n: (math.sqrt(s**2 + 2 * n * b**2), math.sqrt(s**2 + 2 * n * b**2)),
        lambda s, b, n: math.sqrt(s**2 + 2 * n * b**2),
        lambda s, b, n: (math.sqrt(s**2 + b**2), math.sqrt(s**2 + 2 * n * b**2)),
        lambda s, b, n: (math.sqrt(s + 2 * n * b), math.sqrt(s + b)),
        lambda s, b, n: (s * math.sqrt(1 + 2 * n * b**2), s * math.sqrt(1 + b**2)),
        lambda s, b, n: (math.sqrt(s**2 + (2 * n + 1) * b**2), math.sqrt(s**2 + b**2)),
        lambda s, b, n: (math.sqrt(s**2 + 4 * n * b**2), math.sqrt(s**2 + 2 * b**2)),
        lambda s, b, n: (s * (1 + b) ** (2 * n), s * (1 + b / math.sqrt(2 * n)) ** (2 * n)),
        lambda s, b, n: (round(math.sqrt(s**2 + 2 * n * b**2), 2), round(math.sqrt(s**2 + b**2), 2)),
        lambda s, b, n: (math.sqrt(2 * n) * b, b),
    ],
}


def norm_back(x, gain, e, g, shared=lambda n, d: (n * d).mean(-1, keepdim=True), front=None):
    r = 1 / rms(x, e)
    n, d = x * r, gain * g
    return (r if front is None else front(r)) * (d - n * shared(n, d))


def norm_back_autograd(x, gain, e, g):
    y = x.clone().requires_grad_()
    F.rms_norm(y, (x.shape[-1],), gain, e).backward(g)
    return y.grad


def norm_back_jacobian(x, gain, e, g):
    c, rows = x.shape[-1], []
    for a, b in zip(x, g, strict=True):
        m = (a @ a) / c + e
        rows.append((torch.diag(gain) / m**0.5 - torch.outer(gain * a, a) / (c * m**1.5)).T @ b)
    return torch.stack(rows)


ANSWERS["transformer.transformer_block.rms_norm_gradient"] = {
    RIGHT: [
        norm_back_autograd,
        norm_back_jacobian,
        lambda x, gain, e, g: (
            gain * g / rms(x, e) - x * (gain * g * x).sum(-1, keepdim=True) / (x.shape[-1] * rms(x, e) ** 3)
        ),
        lambda x, gain, e, g: torch.stack(
            [norm_back(a[None], gain, e, b[None])[0] for a, b in zip(x, g, strict=True)]
        ).numpy(),
    ],
    WRONG: [
        lambda x, gain, e, g: gain * g / rms(x, e),
        lambda x, gain, e, g: g / rms(x, e),
        lambda x, gain, e, g: norm_back(x, gain, e, g, shared=lambda n, d: (n * d).sum(-1, keepdim=True)),
        lambda x, gain, e, g: norm_back(x, gain, e, g, shared=lambda n, d: -(n * d).mean(-1, keepdim=True)),
        lambda x, gain, e, g: norm_back(x, gain, e, g, shared=lambda n, d: (n * d).mean()),
        lambda x, gain, e, g: norm_back(x, gain, e, g, shared=lambda n, d: (n * d).mean(0, keepdim=True)),
        lambda x, gain, e, g: norm_back(x, gain, e, g, shared=lambda n, d: d.mean(-1, keepdim=True)),
        lambda x, gain, e, g: norm_back(x, gain, e, g, shared=lambda n, d: (n * d).mean(-1, keepdim=True) / 2),
        lambda x, gain, e, g: norm_back(x, gain, e, g, shared=lambda n, d: 2 * (n * d).mean(-1, keepdim=True)),
        lambda x, gain, e, g: norm_back(x, gain, e, g, front=lambda r: 1.0),
        lambda x, gain, e, g: norm_back(x, gain, e, g, front=lambda r: 1 / r),
        lambda x, gain, e, g: norm_back(x, gain, e, g, front=lambda r: r**2),
        lambda x, gain, e, g: norm_back(x, gain, 0.0, g),
        lambda x, gain, e, g: norm_back(x, torch.ones_like(gain), e, g),
        lambda x, gain, e, g: gain * norm_back(x, torch.ones_like(gain), e, g),
        lambda x, gain, e, g: -norm_back(x, gain, e, g),
        lambda x, gain, e, g: (g * x / rms(x, e)).sum(0),
        lambda x, gain, e, g: norm_back(x, gain, e, g) - norm_back(x, gain, e, g).mean(-1, keepdim=True),
        lambda x, gain, e, g: gain * g / rms(x, e) - x * (gain * g * x).mean(-1, keepdim=True) / rms(x, e) ** 2,
        lambda x, gain, e, g: gain * g / rms(x, e) - x * (g * x).mean(-1, keepdim=True) / rms(x, e) ** 3,
        lambda x, gain, e, g: gain * (g - x * (g * x).mean(-1, keepdim=True)) / rms(x, e),
        lambda x, gain, e, g: gain * x / rms(x, e),
        lambda x, gain, e, g: norm_back(x, gain, e, g).mean(0),
    ],
}

# the complete model


def loss_by_loop(logits, ids):
    total = 0.0
    for row, tokens in zip(logits.tolist(), ids.tolist(), strict=True):
        for z, token in zip(row[:-1], tokens[1:], strict=True):
            top = max(z)
            total += top + math.log(sum(math.exp(x - top) for x in z)) - z[token]
    return total / (len(ids) * (len(ids[0]) - 1))


def ce(logits, ids, **more):
    return F.cross_entropy(logits.flatten(0, 1), ids.flatten(), **more)


ANSWERS["transformer.complete_model.loss"] = {
    RIGHT: [
        loss_by_loop,
        lambda z, ids: F.cross_entropy(z[:, :-1].transpose(1, 2), ids[:, 1:]),
        lambda z, ids: F.nll_loss(z.log_softmax(-1)[:, :-1].reshape(-1, z.shape[-1]), ids[:, 1:].reshape(-1)),
        lambda z, ids: z[:, :-1].logsumexp(-1).mean() - torch.take_along_dim(z[:, :-1], ids[:, 1:, None], -1).mean(),
        lambda z, ids: ce(z, torch.cat([ids[:, 1:], torch.full_like(ids[:, :1], -100)], 1)),
        lambda z, ids: ce(z[:, :-1], ids[:, 1:]).float().item(),
    ],
    WRONG: [
        lambda z, ids: ce(z, ids),
        lambda z, ids: ce(z[:, 1:], ids[:, :-1]),
        lambda z, ids: ce(z.flatten(0, 1)[None, :-1], ids.flatten()[None, 1:]),
        lambda z, ids: ce(z[:, :-1].softmax(-1), ids[:, 1:]),
        lambda z, ids: ce(z[:, :-1].log_softmax(-1).exp(), ids[:, 1:]),
        lambda z, ids: ce(z[:, :-1], ids[:, 1:]) / math.log(2),
        lambda z, ids: ce(z[:, :-1], ids[:, 1:]).exp(),
        lambda z, ids: ce(z[:, :-1], ids[:, 1:], reduction="sum"),
        lambda z, ids: ce(z[:, :-1], ids[:, 1:], reduction="sum") / ids.numel(),
        lambda z, ids: ce(z[:, :-1], ids[:, 1:], reduction="sum") / len(ids),
        lambda z, ids: ce(z[:, :-1], ids[:, 1:], reduction="none"),
        lambda z, ids: ce(z[:, :-1], ids[:, 1:], ignore_index=0),
        lambda z, ids: ce(z[:, :-1], ids[:, 1:], label_smoothing=0.1),
        lambda z, ids: ce(z[:1, :-1], ids[:1, 1:]),
        lambda z, ids: ce(z[:, :-1], ids[:, :-1]),
        lambda z, ids: -ce(z[:, :-1], ids[:, 1:]),
        lambda z, ids: (1 - z.softmax(-1)[:, :-1].gather(-1, ids[:, 1:, None])).mean(),
        lambda z, ids: -z[:, :-1].gather(-1, ids[:, 1:, None]).mean(),
        lambda z, ids: -z[:, :-1].softmax(-1).gather(-1, ids[:, 1:, None]).mean().log(),
        lambda z, ids: -z[:, :-1].log_softmax(1).gather(-1, ids[:, 1:, None]).mean(),
        lambda z, ids: -z[:, :-1].log_softmax(0).gather(-1, ids[:, 1:, None]).mean(),
        lambda z, ids: ce(z[:, :-1], ids.roll(1, 1)[:, 1:]),
        lambda z, ids: (z[:, :-1].argmax(-1) != ids[:, 1:]).double().mean(),
        lambda z, ids: F.cross_entropy(z[:, :-1].reshape(len(ids), z.shape[-1], -1), ids[:, 1:]),
        lambda z, ids: ce(z[:, :-1], ids[:, 1:]).round(decimals=2),
        lambda z, ids: ce(z[:, -2:-1], ids[:, -1:]),
    ],
}


def counted(v, t, c, n, f, qkvo=4, up_down=2, mixing=2, head=1):
    return 2 * n * (qkvo * c * c + up_down * c * f + mixing * t * c) + 2 * head * v * c


ANSWERS["transformer.complete_model.flops"] = {
    RIGHT: [
        counted,
        lambda v, t, c, n, f: 2 * c * (v + n * (4 * c + 2 * f + 2 * t)),
        lambda v, t, c, n, f: np.int64(counted(v, t, c, n, f)),
        lambda v, t, c, n, f: float(counted(v, t, c, n, f)),
        lambda v, t, c, n, f: torch.tensor(counted(v, t, c, n, f)),
        lambda v, t, c, n, f: (n * (8 * t * c * c + 4 * t * c * f + 4 * t * t * c) + 2 * t * v * c) // t,
    ],
    WRONG: [
        lambda v, t, c, n, f: counted(v, t, c, n, f) // 2,
        lambda v, t, c, n, f: counted(v, t, c, n, f, qkvo=3),
        lambda v, t, c, n, f: counted(v, t, c, n, f, qkvo=2),
        lambda v, t, c, n, f: counted(v, t, c, n, f, up_down=3),
        lambda v, t, c, n, f: counted(v, t, c, n, f, up_down=1),
        lambda v, t, c, n, f: counted(v, t, c, n, f, mixing=1),
        lambda v, t, c, n, f: counted(v, t, c, n, f, mixing=0),
        lambda v, t, c, n, f: counted(v, t, c, n, f, mixing=0) + 4 * n * t * t,
        lambda v, t, c, n, f: counted(v, t, c, n, f, mixing=0) + 4 * n * t * t * c,
        lambda v, t, c, n, f: counted(v, t, c, n, f, mixing=4),
        lambda v, t, c, n, f: counted(v, t, c, n, f, head=0),
        lambda v, t, c, n, f: counted(v, t, c, n, f, head=2),
        lambda v, t, c, n, f: counted(v, t, c, n, f, head=n),
        lambda v, t, c, n, f: counted(v, t, c, n, f) * t,
        lambda v, t, c, n, f: counted(v, t, c, n, f) * 3,
        lambda v, t, c, n, f: counted(v, t, c, n, f) / n,
        lambda v, t, c, n, f: counted(v, t, c, n, f) + 2 * t * c,
        lambda v, t, c, n, f: counted(v, t, c, n, f) + n * (9 * c + f),
        lambda v, t, c, n, f: counted(v, t, c, n, 4 * c),
        lambda v, t, c, n, f: counted(v, t, c, n, f) + v,
        lambda v, t, c, n, f: 2 * (v * c + t * c + n * (4 * c * c + 2 * c * f)),
        lambda v, t, c, n, f: 24 * n * c * c + 2 * v * c,
        lambda v, t, c, n, f: counted(v, t, c, n, f) - n * t * c,
        lambda v, t, c, n, f: 6 * (v * c + n * (4 * c * c + 2 * c * f)),
    ],
}


def nucleus_loop(p, mass):
    out = torch.zeros_like(p)
    for b, row in enumerate(p):
        total = 0.0
        for i in row.argsort(descending=True):
            if total >= mass:
                break
            out[b, i] = row[i]
            total += row[i].item()
    return out / out.sum(-1, keepdim=True)


def nucleus_hf(p, mass):
    """As Hugging Face does it: from the smallest up, remove what sums to no more than 1 − mass."""
    ordered, order = p.sort(descending=False)
    remove = ordered.cumsum(-1) <= 1 - mass
    remove[..., -1:] = False
    out = p.masked_fill(remove.scatter(1, order, remove), 0.0)
    return out / out.sum(-1, keepdim=True)


def nucleus_rank(p, mass):
    order = p.argsort(descending=True)
    rank = order.argsort()
    ordered = p.gather(-1, order)
    keep = (ordered.cumsum(-1) - ordered < mass).gather(-1, rank)
    return F.normalize(p * keep, p=1, dim=-1)


def nucleus_numpy(p, mass):
    p = p.numpy()
    out = np.zeros_like(p)
    for b in range(len(p)):
        order = np.argsort(-p[b])
        n = int(np.searchsorted(np.cumsum(p[b][order]), mass)) + 1
        out[b, order[:n]] = p[b, order[:n]]
    return out / out.sum(1, keepdims=True)


def cut(p, rule, back=lambda kept, order, p: torch.zeros_like(p).scatter(-1, order, kept), divide=True):
    ordered, order = p.sort(dim=-1, descending=True)
    kept = back(ordered * rule(ordered, ordered.cumsum(-1)), order, p)
    return kept / kept.sum(-1, keepdim=True) if divide else kept


ANSWERS["transformer.complete_model.top_p"] = {
    RIGHT: [nucleus_loop, nucleus_hf, nucleus_rank, nucleus_numpy],
    WRONG: [
        lambda p, m: cut(p, lambda o, c: c <= m),
        lambda p, m: cut(p, lambda o, c: c < m),
        lambda p, m: cut(p, lambda o, c: c - o <= m),
        lambda p, m: cut(p, lambda o, c: c - o < m, divide=False),
        lambda p, m: cut(p, lambda o, c: c - o < m) * m,
        lambda p, m: cut(p, lambda o, c: c - o < m, divide=False) / m,
        lambda p, m: cut(p, lambda o, c: c - o < m, back=lambda k, o, p: k),
        lambda p, m: cut(p, lambda o, c: c - o < m, back=lambda k, o, p: k.gather(-1, o)),
        lambda p, m: cut(p, lambda o, c: c - o < 1 - m),
        lambda p, m: cut(p, lambda o, c: c - o > m),
        lambda p, m: cut(p, lambda o, c: o >= m * o[..., :1]),
        lambda p, m: cut(p, lambda o, c: o > (1 - m) * o[..., :1]),
        lambda p, m: cut(p, lambda o, c: torch.arange(p.shape[-1]) < max(1, round(m * p.shape[-1]))),
        lambda p, m: p * (p.cumsum(-1) - p < m) / (p * (p.cumsum(-1) - p < m)).sum(-1, keepdim=True),
        lambda p, m: cut(p, lambda o, c: c - o < m, divide=False).log().softmax(-1)[:1],
        lambda p, m: cut(p, lambda o, c: c - o < m, divide=False).softmax(-1),
        lambda p, m: (lambda k: k / k.sum())(cut(p, lambda o, c: c - o < m, divide=False)),
        lambda p, m: p,
        lambda p, m: F.one_hot(p.argmax(-1), p.shape[-1]).double(),
        lambda p, m: cut(p, lambda o, c: (c - o).roll(1, -1) < m),
        lambda p, m: (cut(p, lambda o, c: c - o < m) > 0).double(),
        lambda p, m: cut(p, lambda o, c: c - o < m) > 0,
        lambda p, m: -torch.sort(-p * (p > 0.1)).values,
        lambda p, m: cut(p, lambda o, c: o.sum() - c < m),
    ],
}


def entropy_at(z, tau):
    p = (z / tau).softmax(-1)
    return -(p * p.log()).sum(-1)


def var_under(z, tau, weight=None):
    p = (z / (tau if weight is None else weight)).softmax(-1)
    return (p * z**2).sum(-1) - (p * z).sum(-1) ** 2


def slope_by_autograd(z, tau):
    t = torch.full(z.shape[:1], tau, dtype=z.dtype, requires_grad=True)
    p = (z / t[:, None]).log_softmax(-1)
    return torch.autograd.grad(-(p.exp() * p).sum(), t)[0]


def slope_by_parts(z, tau):
    """−Σ dp/dτ (ln p + 1), with dp/dτ = −p (z − ⟨z⟩) / τ²."""
    p = (z / tau).softmax(-1)
    dp = -p * (z - (p * z).sum(-1, keepdim=True)) / tau**2
    return -(dp * (p.log() + 1)).sum(-1)


ANSWERS["transformer.complete_model.temperature"] = {
    RIGHT: [
        lambda z, tau: var_under(z, tau) / tau**3,
        slope_by_autograd,
        slope_by_parts,
        lambda z, tau: [var_under(row[None], tau).item() / tau**3 for row in z],
        lambda z, tau: var_under(z / tau, 1.0) / tau,
    ],
    WRONG: [
        lambda z, tau: var_under(z, tau),
        lambda z, tau: var_under(z, tau) / tau,
        lambda z, tau: var_under(z, tau) / tau**2,
        lambda z, tau: var_under(z, tau) / tau**4,
        lambda z, tau: -var_under(z, tau) / tau**3,
        lambda z, tau: -var_under(z, tau) / tau,
        lambda z, tau: var_under(z, tau, 1.0) / tau**3,
        lambda z, tau: var_under(z, tau, 1 / tau) / tau**3,
        lambda z, tau: z.var(-1) / tau**3,
        lambda z, tau: z.var(-1, unbiased=False) / tau**3,
        lambda z, tau: (z / tau).var(-1, unbiased=False) / tau,
        lambda z, tau: var_under(z, tau).sqrt() / tau**3,
        lambda z, tau: entropy_at(z, tau),
        lambda z, tau: entropy_at(z, tau) / tau,
        lambda z, tau: ((z / tau).softmax(-1) * z**2).sum(-1) / tau**3,
        lambda z, tau: ((z / tau).softmax(-1) * z).sum(-1) / tau**2,
        lambda z, tau: (entropy_at(z, tau + 0.01) - entropy_at(z, tau)) / 0.01,
        lambda z, tau: var_under(z, tau) / tau**3 / math.log(2),
        lambda z, tau: (var_under(z, tau) / tau**3).mean(),
        lambda z, tau: (var_under(z, tau) / tau**3)[:, None],
        lambda z, tau: (var_under(z, tau) / tau**3).sum(),
        lambda z, tau: var_under(z.softmax(-1), tau) / tau**3,
        lambda z, tau: 2 * var_under(z, tau) / tau**3,
        lambda z, tau: (entropy_at(z, 1.0) - entropy_at(z, tau)) / (1 - tau),
    ],
}

# training

ANSWERS["transformer.training.accumulate"] = {
    RIGHT: [
        lambda g, n: ((n / n.sum())[:, None] * g).sum(0),
        lambda g, n: sum(a * b.item() for a, b in zip(g, n, strict=True)) / n.sum().item(),
        lambda g, n: torch.einsum("kp,k->p", g, n.double()) / n.sum(),
        lambda g, n: np.average(g.numpy(), axis=0, weights=n.numpy()),
        lambda g, n: (g.T * n / n.sum()).sum(1).tolist(),
        lambda g, n: (g.float() * n[:, None]).sum(0) / n.sum(),
    ],
    WRONG: [
        lambda g, n: g.mean(0),
        lambda g, n: g.sum(0),
        lambda g, n: (g * n[:, None]).sum(0),
        lambda g, n: (g * n[:, None]).mean(0),
        lambda g, n: (g * n[:, None]).sum(0) / len(n),
        lambda g, n: (g * n[:, None]).sum(0) / n.sum() / len(n),
        lambda g, n: g.sum(0) / n.sum(),
        lambda g, n: (g / n[:, None]).sum(0) / n.sum(),
        lambda g, n: (g / n[:, None]).mean(0),
        lambda g, n: (g * n[:, None]) / n.sum(),
        lambda g, n: g[-1],
        lambda g, n: g[n.argmax()],
        lambda g, n: (g * n[:, None].sqrt()).sum(0) / n.sqrt().sum(),
        lambda g, n: (g * n[:, None] ** 2).sum(0) / (n**2).sum(),
        lambda g, n: (g * n.double().softmax(0)[:, None]).sum(0),
        lambda g, n: (g * n[:, None]).sum(0) / n.max(),
        lambda g, n: (g * n[:, None]).sum() / n.sum(),
        lambda g, n: -(g * n[:, None]).sum(0) / n.sum(),
        lambda g, n: (g * n.flip(0)[:, None]).sum(0) / n.sum(),
        lambda g, n: (g * n[:, None]).sum(1) / n.sum(),
        lambda g, n: (g.abs() * n[:, None]).sum(0) / n.sum(),
        lambda g, n: (g * n[:, None]).sum(0) // n.sum(),
        lambda g, n: (g * (n[:, None] // n.sum())).sum(0),
    ],
}


def lr_list(steps, w, top, low, up=lambda s, w: (s + 1) / w, p=lambda s, steps, w: (s - w + 1) / (steps - w)):
    """Step by step, as a loop would ask for it."""
    out = []
    for s in range(steps):
        if s < w:
            out.append(top * up(s, w))
        else:
            out.append(low + 0.5 * (top - low) * (1 + math.cos(math.pi * p(s, steps, w))))
    return out


def fallen(steps, w, top, low, shape):
    fall = [low + (top - low) * shape((s + 1) / (steps - w)) for s in range(steps - w)]
    return [top * (s + 1) / w for s in range(w)] + fall


ANSWERS["transformer.training.learning_rate"] = {
    RIGHT: [
        lr_list,
        lambda n, w, top, low: np.concatenate(
            [np.arange(1, w + 1) / w * top, low + (top - low) * (1 + np.cos(np.linspace(0, np.pi, n - w + 1)[1:])) / 2]
        ),
        lambda n, w, top, low: (
            [top * (s + 1) / w for s in range(w)]
            + (low + (top - low) * (1 + torch.cos(torch.pi * torch.arange(1, n - w + 1) / (n - w))) / 2).tolist()
        ),
        lambda n, w, top, low: fallen(n, w, top, low, lambda x: math.cos(math.pi * x / 2) ** 2),
        lambda n, w, top, low: [torch.tensor(each) for each in lr_list(n, w, top, low)],
    ],
    WRONG: [
        lambda n, w, top, low: lr_list(n, w, top, low, up=lambda s, w: s / w),
        lambda n, w, top, low: lr_list(n, w, top, low, up=lambda s, w: (s + 1) / (w + 1)),
        lambda n, w, top, low: lr_list(n, w, top, low, up=lambda s, w: s / max(1, w - 1)),
        lambda n, w, top, low: lr_list(n, w, top, low, up=lambda s, w: 1.0),
        lambda n, w, top, low: lr_list(n, w, top, low, up=lambda s, w: ((s + 1) / w) ** 2),
        lambda n, w, top, low: lr_list(n, w, top, low, p=lambda s, n, w: (s - w) / (n - w)),
        lambda n, w, top, low: lr_list(n, w, top, low, p=lambda s, n, w: (s - w) / max(1, n - w - 1)),
        lambda n, w, top, low: lr_list(n, w, top, low, p=lambda s, n, w: (s + 1) / n),
        lambda n, w, top, low: lr_list(n, w, top, low, p=lambda s, n, w: s / n),
        lambda n, w, top, low: lr_list(n, w, top, low, p=lambda s, n, w: (s - w + 1) / n),
        lambda n, w, top, low: lr_list(n, w, top, 0.0),
        lambda n, w, top, low: [each + low for each in lr_list(n, w, top, 0.0)],
        lambda n, w, top, low: [max(low, each) for each in lr_list(n, w, top, 0.0)],
        lambda n, w, top, low: fallen(n, w, top, low, lambda x: 1 - x),
        lambda n, w, top, low: fallen(n, w, top, low, lambda x: math.cos(math.pi * x / 2)),
        lambda n, w, top, low: fallen(n, w, top, low, lambda x: 1 + math.cos(math.pi * x)),
        lambda n, w, top, low: fallen(n, w, top, low, lambda x: math.cos(math.pi * x)),
        lambda n, w, top, low: fallen(n, w, top, low, lambda x: (1 + math.sin(math.pi * x)) / 2),
        lambda n, w, top, low: fallen(n, w, top, low, lambda x: (1 + math.cos(2 * math.pi * x)) / 2),
        lambda n, w, top, low: fallen(n, w, top, low, lambda x: (1 + math.cos(180 * x)) / 2),
        lambda n, w, top, low: fallen(n, w, top, low, lambda x: (1 - x) ** 2),
        lambda n, w, top, low: lr_list(n, w, top, low)[w:],
        lambda n, w, top, low: lr_list(n, w, top, low)[:-1],
        lambda n, w, top, low: lr_list(n, w, top, low)[-1],
        lambda n, w, top, low: [low + (top - low) * (1 + math.cos(math.pi * (s + 1) / n)) / 2 for s in range(n)],
        lambda n, w, top, low: [x / top for x in lr_list(n, w, top, low)],
        lambda n, w, top, low: [round(x, 2) for x in lr_list(n, w, top, low)],
    ],
}


def directions(g):
    u, s, vh = torch.linalg.svd(g, full_matrices=False)
    return u, s, vh


def ratio(g):
    return g.shape[0] / g.shape[1]


def muon(g, s=lambda s: torch.ones_like(s), scale=lambda g: max(1.0, ratio(g)) ** 0.5):
    u, values, vh = directions(g)
    return -scale(g) * (u * s(values)) @ vh


def muon_by_eigen(g):
    if g.shape[0] < g.shape[1]:
        return muon_by_eigen(g.T).T / max(1.0, 1 / ratio(g)) ** 0.5
    values, v = torch.linalg.eigh(g.T @ g)
    return -(max(1.0, ratio(g)) ** 0.5) * g @ v @ torch.diag(values**-0.5) @ v.T


def newton_schulz(g, rounds=60):
    x = g / g.norm()
    for _ in range(rounds):
        x = 1.5 * x - 0.5 * x @ x.T @ x
    return -(max(1.0, ratio(g)) ** 0.5) * x


ANSWERS["transformer.training.muon"] = {
    RIGHT: [
        muon_by_eigen,
        newton_schulz,
        lambda g: muon(g.float()),
        lambda g: (
            -(max(1.0, ratio(g)) ** 0.5)
            * sum(torch.outer(a, b) for a, b in zip(directions(g)[0].T, directions(g)[2], strict=True))
        ),
        lambda g: (
            -np.sqrt(max(1, ratio(g))) * (lambda u, s, vh: u @ vh)(*np.linalg.svd(g.numpy(), full_matrices=False))
        ),
    ],
    WRONG: [
        lambda g: -muon(g),
        lambda g: muon(g, scale=lambda g: 1.0),
        lambda g: muon(g, scale=lambda g: ratio(g) ** 0.5),
        lambda g: muon(g, scale=lambda g: max(1.0, ratio(g))),
        lambda g: muon(g, scale=lambda g: max(1.0, 1 / ratio(g)) ** 0.5),
        lambda g: muon(g, scale=lambda g: 1 / max(1.0, ratio(g)) ** 0.5),
        lambda g: muon(g, scale=lambda g: 0.2 * max(g.shape) ** 0.5),
        lambda g: muon(g, scale=lambda g: max(1, g.shape[0] // g.shape[1]) ** 0.5),
        lambda g: muon(g, scale=lambda g: max(1.0, ratio(g)) ** 0.25),
        lambda g: muon(g, s=lambda s: s),
        lambda g: muon(g, s=lambda s: s / s.max()),
        lambda g: muon(g, s=lambda s: s / s.norm()),
        lambda g: muon(g, s=lambda s: 1 / s),
        lambda g: muon(g, s=lambda s: s.sqrt()),
        lambda g: muon(g, s=lambda s: (s > 1.0).double()),
        lambda g: muon(g, s=lambda s: s / s.mean()),
        lambda g: newton_schulz(g, rounds=3),
        lambda g: -(max(1.0, ratio(g)) ** 0.5) * g / g.norm(),
        lambda g: -(max(1.0, ratio(g)) ** 0.5) * torch.sign(g),
        lambda g: -(max(1.0, ratio(g)) ** 0.5) * F.normalize(g, dim=1),
        lambda g: -(max(1.0, ratio(g)) ** 0.5) * F.normalize(g, dim=0),
        lambda g: -(max(1.0, ratio(g)) ** 0.5) * torch.linalg.svd(g)[0] @ torch.linalg.svd(g)[2],
        lambda g: -(max(1.0, ratio(g)) ** 0.5) * directions(g)[0] @ directions(g)[2].T,
        lambda g: muon(g).T,
        lambda g: -(max(1.0, ratio(g)) ** 0.5) * torch.linalg.pinv(g),
    ],
}

# the KV cache


def cache(layers, heads, groups, d, rows, n, window, size):
    return 2 * layers * groups * d * size * rows * min(n, window)


ANSWERS["transformer.kv_cache.memory"] = {
    RIGHT: [
        cache,
        lambda layers, heads, groups, d, rows, n, window, size: sum(
            2 * groups * d * size for _ in range(layers) for _ in range(rows) for t in range(n) if t >= n - window
        ),
        lambda *a: np.int64(cache(*a)),
        lambda *a: float(cache(*a)),
        lambda *a: torch.tensor(cache(*a)),
    ],
    WRONG: [
        lambda L, h, g, d, b, n, w, s: cache(L, h, g, d, b, n, w, s) // 2,
        lambda L, h, g, d, b, n, w, s: cache(L, h, h, d, b, n, w, s),
        lambda L, h, g, d, b, n, w, s: cache(L, h, h // g, d, b, n, w, s),
        lambda L, h, g, d, b, n, w, s: 2 * L * g * d * s * b * n,
        lambda L, h, g, d, b, n, w, s: 2 * L * g * d * s * b * w,
        lambda L, h, g, d, b, n, w, s: 2 * L * g * d * s * b * max(n, w),
        lambda L, h, g, d, b, n, w, s: 2 * L * g * d * s * b * (n % w),
        lambda L, h, g, d, b, n, w, s: 2 * L * g * d * s * min(b * n, w),
        lambda L, h, g, d, b, n, w, s: 2 * L * g * d * b * min(n, w),
        lambda L, h, g, d, b, n, w, s: 2 * L * g * d * b * min(n, w) * 8 * s,
        lambda L, h, g, d, b, n, w, s: 2 * L * g * d * b * min(n, w) * 2,
        lambda L, h, g, d, b, n, w, s: 2 * L * g * d * s * min(n, w),
        lambda L, h, g, d, b, n, w, s: 2 * g * d * s * b * min(n, w),
        lambda L, h, g, d, b, n, w, s: 2 * L * d * s * b * min(n, w),
        lambda L, h, g, d, b, n, w, s: 2 * L * g * s * b * min(n, w),
        lambda L, h, g, d, b, n, w, s: 2 * L * g * d * s * b * min(n - 1, w),
        lambda L, h, g, d, b, n, w, s: 2 * L * g * d * s * b * min(n, w + 1),
        lambda L, h, g, d, b, n, w, s: 2 * L * (h + 2 * g) * d * s * b * min(n, w),
        lambda L, h, g, d, b, n, w, s: L * (g * d * s * b * min(n, w) + g),
        lambda L, h, g, d, b, n, w, s: 2 * L * g * d * s * b * min(n, w) ** 2,
        lambda L, h, g, d, b, n, w, s: 2 * L * g * d * s * b * abs(n - w),
        lambda L, h, g, d, b, n, w, s: cache(L, h, g, d, b, n, w, s) / 2**20,
    ],
}


def joined(a, b):
    return torch.cat([a, b], dim=2)


def one(q, k, v, scale=lambda d: d**-0.5, dim=-1):
    return (q @ k.mT * scale(q.shape[-1])).softmax(dim) @ v


def step_by_mask(q, k, v, pk, pv):
    """Put the query behind S others, use the usual mask, take the last row."""
    ks, vs = joined(pk, k), joined(pv, v)
    qs = torch.cat([torch.zeros_like(pk), q], dim=2)
    return F.scaled_dot_product_attention(qs, ks, vs, is_causal=True)[:, :, -1:]


def step_online(q, k, v, pk, pv):
    """One key at a time, with a running largest score, sum and value."""
    scores = (joined(pk, k) * q).sum(-1) / q.shape[-1] ** 0.5  # (B, H, S + 1)
    values, top = joined(pv, v), scores[..., :1]
    total, mixed = torch.ones_like(top), values[:, :, 0]
    for i in range(1, scores.shape[-1]):
        new = torch.maximum(top, scores[..., i : i + 1])
        old, fresh = (top - new).exp(), (scores[..., i : i + 1] - new).exp()
        total, mixed, top = total * old + fresh, mixed * old + values[:, :, i] * fresh, new
    return (mixed / total)[:, :, None]


ANSWERS["transformer.kv_cache.step"] = {
    RIGHT: [
        step_by_mask,
        step_online,
        lambda q, k, v, pk, pv: F.scaled_dot_product_attention(q, joined(pk, k), joined(pv, v)),
        lambda q, k, v, pk, pv: one(q, joined(k, pk), joined(v, pv)),
        lambda q, k, v, pk, pv: torch.einsum(
            "bhqs,bhsd->bhqd",
            (torch.einsum("bhqd,bhsd->bhqs", q, joined(pk, k)) / math.sqrt(q.size(-1))).softmax(-1),
            joined(pv, v),
        ),
        lambda q, k, v, pk, pv: one(q.float(), joined(pk, k).float(), joined(pv, v).float()).double(),
    ],
    WRONG: [
        lambda q, k, v, pk, pv: one(q, pk, pv),
        lambda q, k, v, pk, pv: one(q, k, v),
        lambda q, k, v, pk, pv: one(q, joined(pk, k), joined(pv, v), scale=lambda d: 1.0),
        lambda q, k, v, pk, pv: one(q, joined(pk, k), joined(pv, v), scale=lambda d: 1 / d),
        lambda q, k, v, pk, pv: one(q, joined(pk, k), joined(pv, v), scale=lambda d: d**0.5),
        lambda q, k, v, pk, pv: one(q, joined(pk, k), joined(pv, v), scale=lambda d: pk.shape[2] ** -0.5),
        lambda q, k, v, pk, pv: one(q, joined(pk, k), joined(pv, v), dim=-2),
        lambda q, k, v, pk, pv: one(q, joined(pk, k), joined(pv, v), dim=1),
        lambda q, k, v, pk, pv: one(q, joined(pk, k), joined(v, pv)),
        lambda q, k, v, pk, pv: one(q, joined(pk, k), joined(pv, v).flip(2)),
        lambda q, k, v, pk, pv: F.scaled_dot_product_attention(q, joined(pk, k), joined(pv, v), is_causal=True),
        lambda q, k, v, pk, pv: one(q, joined(pk, v), joined(pv, k)),
        lambda q, k, v, pk, pv: one(q, joined(pv, v), joined(pk, k)),
        lambda q, k, v, pk, pv: one(k, joined(pk, q), joined(pv, v)),
        lambda q, k, v, pk, pv: one(q, pk, pv) + v,
        lambda q, k, v, pk, pv: (one(q, pk, pv) + v) / 2,
        lambda q, k, v, pk, pv: (q @ joined(pk, k).mT / q.shape[-1] ** 0.5) @ joined(pv, v),
        lambda q, k, v, pk, pv: one(q, joined(pk, k), joined(pv, v))[:, :, 0],
        lambda q, k, v, pk, pv: one(joined(pk, q), joined(pk, k), joined(pv, v)),
        lambda q, k, v, pk, pv: (q @ joined(pk, k).mT / q.shape[-1] ** 0.5).softmax(-1),
        lambda q, k, v, pk, pv: joined(pv, v).mean(2, keepdim=True),
        lambda q, k, v, pk, pv: one(q, joined(pk[:, :, 1:], k), joined(pv[:, :, 1:], v)),
        lambda q, k, v, pk, pv: torch.cat([pk, k], dim=1),
        lambda q, k, v, pk, pv: one(q, joined(pk, k), joined(pv, v)).mean(1, keepdim=True),
    ],
}


def outcome_by_loop(p, q, r):
    out, refused = torch.zeros_like(p), 0.0
    for x in range(len(p)):
        keep = min(1.0, p[x].item() / q[x].item()) if q[x] > 0 else 0.0
        out[x] += q[x] * keep
        refused += q[x] * (1 - keep)
    return out + refused * r


ANSWERS["transformer.kv_cache.outcome"] = {
    RIGHT: [
        outcome_by_loop,
        lambda p, q, r: torch.minimum(p, q) + r * (q - p).clamp(min=0).sum(),
        lambda p, q, r: torch.where(p < q, p, q) + (p - q).abs().sum() / 2 * r,
        lambda p, q, r: np.minimum(p, q) + (1 - np.minimum(p, q).sum()) * r.numpy(),
        lambda p, q, r: [min(a, b) + c * (1 - torch.minimum(p, q).sum()) for a, b, c in zip(p, q, r, strict=True)],
    ],
    WRONG: [
        lambda p, q, r: p,
        lambda p, q, r: q,
        lambda p, q, r: r,
        lambda p, q, r: torch.minimum(p, q),
        lambda p, q, r: torch.minimum(p, q) / torch.minimum(p, q).sum(),
        lambda p, q, r: torch.minimum(p, q) + torch.minimum(p, q).sum() * r,
        lambda p, q, r: torch.minimum(p, q) + r,
        lambda p, q, r: torch.maximum(p, q) + (1 - torch.minimum(p, q).sum()) * r,
        lambda p, q, r: torch.minimum(p, q) + (1 - torch.minimum(p, q)) * r,
        lambda p, q, r: torch.minimum(p, q) + (p - q).abs().sum() * r,
        lambda p, q, r: torch.minimum(p, q) + (p - q).clamp(min=0) * r,
        lambda p, q, r: (p / q).clamp(max=1) * p + (1 - (p / q).clamp(max=1)) * r,
        lambda p, q, r: (p / q).clamp(max=1) * q + (1 - (p / q).clamp(max=1)) * r,
        lambda p, q, r: (p / q).clamp(max=1) + (1 - (p / q).clamp(max=1).mean()) * r,
        lambda p, q, r: q * (q / p).clamp(max=1) + (1 - (q * (q / p).clamp(max=1)).sum()) * r,
        lambda p, q, r: (p + q) / 2 + 0 * r,
        lambda p, q, r: 0.5 * torch.minimum(p, q) + 0.5 * r,
        lambda p, q, r: torch.minimum(p, q) + (1 - torch.minimum(p, q).sum()) * p,
        lambda p, q, r: torch.minimum(p, q) + (1 - torch.minimum(p, q).sum()) * q,
        lambda p, q, r: torch.minimum(p, q) + (1 - torch.minimum(p, q).sum()) / len(p),
        lambda p, q, r: q + (1 - torch.minimum(p, q).sum()) * r,
        lambda p, q, r: torch.minimum(p, q).sum() * q + (1 - torch.minimum(p, q).sum()) * r,
        lambda p, q, r: torch.minimum(p, q).sum() * p + (1 - torch.minimum(p, q).sum()) * r,
        lambda p, q, r: torch.minimum(p, q) + (1 - torch.minimum(p, q).sum()) ** 2 * r,
        lambda p, q, r: (torch.minimum(p, q) + (1 - torch.minimum(p, q).sum()) * r).sum(),
    ],
}


def expected_tokens(a, n):
    """By cases: i drafts are kept, then one is refused; or all are."""
    return sum((i + 1) * a**i * (1 - a) for i in range(n)) + (n + 1) * a**n


ANSWERS["transformer.kv_cache.tokens"] = {
    RIGHT: [
        expected_tokens,
        lambda a, n: (1 - a ** (n + 1)) / (1 - a),
        lambda a, n: 1 + sum(a**i for i in range(1, n + 1)),
        lambda a, n: np.polyval(np.ones(n + 1), a),
        lambda a, n: float((torch.tensor(a, dtype=torch.float64) ** torch.arange(n + 1)).sum()),
    ],
    WRONG: [
        lambda a, n: 1 + a * n,
        lambda a, n: a * n,
        lambda a, n: a**n,
        lambda a, n: 1 / (1 - a),
        lambda a, n: a / (1 - a),
        lambda a, n: (1 - a**n) / (1 - a),
        lambda a, n: (1 - a ** (n + 2)) / (1 - a),
        lambda a, n: sum(a**i for i in range(1, n + 1)),
        lambda a, n: 1 + sum(a**i for i in range(n + 1)),
        lambda a, n: sum(i * a**i for i in range(1, n + 1)),
        lambda a, n: sum(i * a**i * (1 - a) for i in range(n + 1)),
        lambda a, n: sum((i + 1) * a**i * (1 - a) for i in range(n)),
        lambda a, n: sum((i + 1) * a**i * (1 - a) for i in range(n)) + n * a**n,
        lambda a, n: 1 + n * a**n,
        lambda a, n: n + 1,
        lambda a, n: (n + 1) * a,
        lambda a, n: (n + 1) / expected_tokens(a, n),
        lambda a, n: expected_tokens(1 - a, n),
        lambda a, n: round(expected_tokens(a, n)),
        lambda a, n: int(expected_tokens(a, n)),
        lambda a, n: min(n, expected_tokens(a, n)),
        lambda a, n: 1 - a ** (n + 1) / (1 - a),
        lambda a, n: [a**i for i in range(n + 1)],
    ],
}

# interpretability

ANSWERS["transformer.interpretability.effect"] = {
    RIGHT: [
        lambda c, k, p: (k - p) / (k - c),
        lambda c, k, p: 1 - (c - p) / (c - k),
        lambda c, k, p: p / (c - k) - k / (c - k),
        lambda c, k, p: float(np.interp(0.0, [0.0], [(p - k) / (c - k)])),
        lambda c, k, p: torch.tensor((p - k) / (c - k), dtype=torch.float64),
    ],
    WRONG: [
        lambda c, k, p: (c - p) / (c - k),
        lambda c, k, p: (p - k) / (k - c),
        lambda c, k, p: (p - k) / abs(c - k),
        lambda c, k, p: abs(p - k) / abs(c - k),
        lambda c, k, p: abs(p - k) / (c - k),
        lambda c, k, p: max(0.0, (p - k) / (c - k)),
        lambda c, k, p: min(1.0, (p - k) / (c - k)),
        lambda c, k, p: min(1.0, max(0.0, (p - k) / (c - k))),
        lambda c, k, p: max(-1.0, min(1.0, (p - k) / (c - k))),
        lambda c, k, p: 100 * (p - k) / (c - k),
        lambda c, k, p: p / c,
        lambda c, k, p: p - k,
        lambda c, k, p: (p - k) / c,
        lambda c, k, p: (p - k) / k,
        lambda c, k, p: p - k / (c - k),
        lambda c, k, p: (p - k) / c - k,
        lambda c, k, p: (p - c) / (k - c) if p > c else (p - k) / (c - k),
        lambda c, k, p: (p - k) / (c - p),
        lambda c, k, p: (p - k) / (c + k),
        lambda c, k, p: (p + k) / (c + k),
        lambda c, k, p: round((p - k) / (c - k), 2),
        lambda c, k, p: (p - k) // (c - k),
        lambda c, k, p: ((p - k) / (c - k)) ** 2,
        lambda c, k, p: (c - k) / (p - k) if p != k else 0.0,
        lambda c, k, p: math.exp(p) / math.exp(c),
    ],
}


def look(x, gain, head, size=lambda x: rms(x, EPS), after=lambda z: z):
    return after((x / size(x) * gain) @ head.T)


ANSWERS["transformer.interpretability.lens"] = {
    RIGHT: [
        lambda x, gain, head: F.linear(F.rms_norm(x, (x.shape[-1],), gain, 1e-5), head),
        lambda x, gain, head: torch.stack([look(layer, gain, head) for layer in x]),
        lambda x, gain, head: torch.einsum("ltc,c,vc->ltv", x / rms(x, EPS), gain, head),
        lambda x, gain, head: (x @ (head * gain).T) / rms(x, EPS),
        lambda x, gain, head: llama_norm(x, gain, 1e-5) @ head.T,
        lambda x, gain, head: look(x, gain, head).float(),
    ],
    WRONG: [
        lambda x, gain, head: x @ head.T,
        lambda x, gain, head: (x * gain) @ head.T,
        lambda x, gain, head: (x / rms(x, EPS)) @ head.T,
        lambda x, gain, head: F.layer_norm(x, (x.shape[-1],), gain, None, 1e-5) @ head.T,
        lambda x, gain, head: look(x, gain, head, lambda x: x.pow(2).mean(-1, keepdim=True).sqrt()),
        lambda x, gain, head: look(x, gain, head, lambda x: x.pow(2).mean(-1, keepdim=True).sqrt() + EPS),
        lambda x, gain, head: look(x, gain, head, lambda x: rms(x, 1e-6)),
        lambda x, gain, head: look(x, gain, head, lambda x: rms(x, 1e-8)),
        lambda x, gain, head: look(x, gain, head, lambda x: x.norm(dim=-1, keepdim=True) + EPS),
        lambda x, gain, head: look(x, gain, head, lambda x: rms(x, EPS, 1)),
        lambda x, gain, head: look(x, gain, head, lambda x: rms(x, EPS, 0)),
        lambda x, gain, head: look(x, gain, head, lambda x: torch.sqrt(x.pow(2).mean() + EPS)),
        lambda x, gain, head: look(x, gain, head, lambda x: x.std(-1, keepdim=True) + EPS),
        lambda x, gain, head: look(x, gain, head, lambda x: 1 / rms(x, EPS)),
        lambda x, gain, head: look(x, gain, head, lambda x: rms(x[-1], EPS)),
        lambda x, gain, head: look(x, gain, head, after=lambda z: z.softmax(-1)),
        lambda x, gain, head: look(x, gain, head, after=lambda z: z.log_softmax(-1)),
        lambda x, gain, head: look(x, gain, head, after=lambda z: z.argmax(-1)),
        lambda x, gain, head: look(x, gain, head, after=lambda z: z / rms(z, EPS)),
        lambda x, gain, head: look(x, gain, head)[-1],
        lambda x, gain, head: look(x, gain, head)[:-1],
        lambda x, gain, head: look(torch.cat([x[:1], x[1:] - x[:-1]]), gain, head),
        lambda x, gain, head: look(x.cumsum(0), gain, head),
        lambda x, gain, head: look(x, gain, head).sum(0),
        lambda x, gain, head: look(x, 1 + gain, head),
        lambda x, gain, head: look(x, gain, head).mT,
        lambda x, gain, head: [look(layer, gain, head) for layer in x],
    ],
}


def matching(pattern, p, hits, start=None, divide=lambda n, p: n - p):
    """Add pattern[:, t, s] for the s of hits(t, p), divide by a number of positions."""
    n, total = pattern.shape[-1], torch.zeros(len(pattern), dtype=pattern.dtype)
    for t in range(p if start is None else start, n):
        for s in hits(t, p):
            if 0 <= s < n:
                total = total + pattern[:, t, s]
    return total / divide(n, p)


def after_copies(t, p):
    return range(t - p + 1, 0, -p)


def by_diagonals(pattern, p):
    n, total = pattern.shape[-1], 0
    for k in range(1, n // p + 1):
        total = total + pattern.diagonal(1 - k * p, dim1=-2, dim2=-1)[:, 1:].sum(-1)
    return total / (n - p)


def by_content(pattern, p):
    """From the tokens: s counts where the token before s is the token at t."""
    n = pattern.shape[-1]
    tokens = torch.arange(n) % p
    hit = torch.zeros(n, n, dtype=torch.bool)
    for t in range(n):
        for s in range(1, t + 1):
            hit[t, s] = bool(tokens[s - 1] == tokens[t]) and s - 1 < t
    return (pattern * hit).sum((1, 2)) / (n - p)


ANSWERS["transformer.interpretability.induction"] = {
    RIGHT: [
        by_diagonals,
        by_content,
        lambda a, p: matching(a, p, after_copies),
        lambda a, p: [
            float(np.mean([sum(h[t, s] for s in after_copies(t, p)) for t in range(p, h.shape[0])])) for h in a.numpy()
        ],
        lambda a, p: matching(a.float(), p, after_copies),
    ],
    WRONG: [
        lambda a, p: matching(a, p, lambda t, p: range(t - p, -1, -p)),
        lambda a, p: matching(a, p, lambda t, p: range(t - p - 1, -1, -p)),
        lambda a, p: matching(a, p, lambda t, p: range(t - p + 2, 0, -p)),
        lambda a, p: matching(a, p, lambda t, p: range(t - p + 1, -1, -p)),
        lambda a, p: matching(a, p, lambda t, p: [t - p + 1]),
        lambda a, p: matching(a, p, lambda t, p: [t % p + 1]),
        lambda a, p: matching(a, p, lambda t, p: [t - p + 1, t - 2 * p + 1] if t >= 2 * p else [t - p + 1]) * 0.5,
        lambda a, p: matching(a, p, lambda t, p: [t - 1]),
        lambda a, p: matching(a, p, lambda t, p: range(t - p + 1, 0, -1)),
        lambda a, p: matching(a, p, after_copies, divide=lambda n, p: n),
        lambda a, p: matching(a, p, after_copies, divide=lambda n, p: 1),
        lambda a, p: matching(a, p, after_copies, divide=lambda n, p: n - p + 1),
        lambda a, p: matching(a, p, after_copies, divide=lambda n, p: p),
        lambda a, p: matching(a, p, after_copies, divide=lambda n, p: n // p),
        lambda a, p: matching(a, p, after_copies, start=p + 1),
        lambda a, p: matching(a, p, after_copies, start=p + 1, divide=lambda n, p: n - p - 1),
        lambda a, p: matching(a, p, after_copies, start=0, divide=lambda n, p: n),
        lambda a, p: matching(a.mT, p, after_copies),
        lambda a, p: matching(a, p + 1, after_copies),
        lambda a, p: matching(a, p, after_copies).mean(),
        lambda a, p: matching(a, p, after_copies).sum(),
        lambda a, p: matching(a, p, after_copies)[:, None],
        lambda a, p: a.diagonal(1 - p, dim1=-2, dim2=-1).mean(-1),
        lambda a, p: a[:, -1, -p + 1 :].sum(-1),
        lambda a, p: matching(a.log(), p, after_copies).exp(),
    ],
}


def adds(z, output, x, gain, row, size=None, cut=None):
    s = torch.sqrt((x**2).mean() + EPS) if size is None else size(x)
    out = []
    for h in range(len(z)):
        d = z.shape[1]
        block = output[:, h * d : (h + 1) * d] if cut is None else cut(output, h, *z.shape)
        out.append(((block @ z[h]) * gain * row).sum() / s)
    return torch.stack(out)


ANSWERS["transformer.interpretability.attribution"] = {
    RIGHT: [
        adds,
        lambda z, o, x, gain, row: torch.einsum("c,chd,hd->h", row * gain / rms(x, EPS), o.view(len(x), *z.shape), z),
        lambda z, o, x, gain, row: [float(each) for each in adds(z, o, x, gain, row)],
        lambda z, o, x, gain, row: (torch.block_diag(*z) @ o.T) @ (row * gain) / rms(x, EPS),
        lambda z, o, x, gain, row: adds(z.float(), o.float(), x.float(), gain.float(), row.float()),
    ],
    WRONG: [
        lambda z, o, x, gain, row: adds(z, o, x, gain, row, size=lambda x: 1.0),
        lambda z, o, x, gain, row: adds(z, o, x, torch.ones_like(gain), row),
        lambda z, o, x, gain, row: adds(z, o, x, torch.ones_like(gain), row, size=lambda x: 1.0),
        lambda z, o, x, gain, row: adds(z, o, x, gain, torch.ones_like(row)),
        lambda z, o, x, gain, row: adds(z, o, x, gain, row, size=lambda x: (x**2).mean()),
        lambda z, o, x, gain, row: adds(z, o, x, gain, row, size=lambda x: (x**2).mean().sqrt()),
        lambda z, o, x, gain, row: adds(z, o, x, gain, row, size=lambda x: (x**2).mean().sqrt() + EPS),
        lambda z, o, x, gain, row: adds(z, o, x, gain, row, size=lambda x: x.norm()),
        lambda z, o, x, gain, row: adds(z, o, x, gain, row, size=lambda x: x.std()),
        lambda z, o, x, gain, row: adds(z, o, x, gain, row, size=lambda x: 1 / (x**2).mean().sqrt()),
        lambda z, o, x, gain, row: adds(z, o, x, gain, row, size=lambda x: x.abs().mean()),
        lambda z, o, x, gain, row: adds(z, o, x, gain, row, cut=lambda o, h, H, d: o[:, h::H]),
        lambda z, o, x, gain, row: adds(z, o, x, gain, row, cut=lambda o, h, H, d: o[:, :d]),
        lambda z, o, x, gain, row: adds(z, o, x, gain, row, cut=lambda o, h, H, d: o[: len(x), -d:]),
        lambda z, o, x, gain, row: adds(z, o.T, x, gain, row),
        lambda z, o, x, gain, row: adds(z.flip(0), o, x, gain, row),
        lambda z, o, x, gain, row: adds(z, o, x, gain, row).sum(),
        lambda z, o, x, gain, row: adds(z, o, x, gain, row).cumsum(0),
        lambda z, o, x, gain, row: adds(z, o, x, gain, row).abs(),
        lambda z, o, x, gain, row: adds(z, o, x, gain, row).softmax(0),
        lambda z, o, x, gain, row: adds(z, o, x, gain, row) / adds(z, o, x, gain, row).sum(),
        lambda z, o, x, gain, row: adds(z, o, x, gain, row) + (row * gain * x).sum() / rms(x, EPS),
        lambda z, o, x, gain, row: adds(z, o, x, x * gain, row),
        lambda z, o, x, gain, row: adds(z, o, z.flatten(), gain, row),
        lambda z, o, x, gain, row: (o @ z.flatten() * gain * row) / rms(x, EPS),
    ],
}

# scaling laws


def line(x, y):
    return np.polyfit(np.array(x), np.array(y), 1)[0]


ANSWERS["transformer.scaling_laws.exponent"] = {
    RIGHT: [
        lambda n, loss, e: -line(n.log(), (loss - e).log()),
        lambda n, loss, e: -line(n.log2(), (loss - e).log2()),
        lambda n, loss, e: (
            -torch.linalg.lstsq(torch.stack([n.log10(), torch.ones_like(n)], 1), (loss - e).log10()[:, None]).solution[
                0, 0
            ]
        ),
        lambda n, loss, e: (
            -(len(n) * (n.log() * (loss - e).log()).sum() - n.log().sum() * (loss - e).log().sum())
            / (len(n) * (n.log() ** 2).sum() - n.log().sum() ** 2)
        ),
    ],
    WRONG: [
        lambda n, loss, e: line(n.log(), (loss - e).log()),
        lambda n, loss, e: -line(n.log(), loss.log()),
        lambda n, loss, e: -line(n.log(), loss.log() - e),
        lambda n, loss, e: -line(n.log(), (loss + e).log()),
        lambda n, loss, e: -line(n.log(), (loss / e).log()),
        lambda n, loss, e: -line(n, (loss - e).log()),
        lambda n, loss, e: -line(n.log(), loss - e),
        lambda n, loss, e: -line(n, loss - e),
        lambda n, loss, e: -line(n.log2(), (loss - e).log()),
        lambda n, loss, e: -line(n.log(), (loss - e).log10()),
        lambda n, loss, e: -line((loss - e).log(), n.log()),
        lambda n, loss, e: -1 / line(n.log(), (loss - e).log()),
        lambda n, loss, e: -((loss[-1] - e).log() - (loss[0] - e).log()) / (n[-1].log() - n[0].log()),
        lambda n, loss, e: -((loss - e).log() / n.log()).mean(),
        lambda n, loss, e: -((loss - e).log() * n.log()).sum() / (n.log() ** 2).sum(),
        lambda n, loss, e: -np.corrcoef(n.log(), (loss - e).log())[0, 1],
        lambda n, loss, e: -np.cov(n.log(), (loss - e).log())[0, 1],
        lambda n, loss, e: np.exp(np.polyfit(n.log(), (loss - e).log(), 1)[1]),
        lambda n, loss, e: np.polyfit(n.log(), (loss - e).log(), 1),
        lambda n, loss, e: -line(n.log(), (loss - loss.min() + 1e-6).log()),
        lambda n, loss, e: -line(n.log()[:-1], (loss - e).log()[:-1]) if len(n) > 2 else 0.0,
        lambda n, loss, e: abs(round(line(n.log(), (loss - e).log()), 2)),
        lambda n, loss, e: -(torch.diff((loss - e).log()) / torch.diff(n.log())).mean(),
        lambda n, loss, e: math.exp(-line(n.log(), (loss - e).log())),
    ],
}


def law_of(law, n, d):
    return law["E"] + law["A"] / n ** law["a"] + law["B"] / d ** law["b"]


def residuals(law, n, d, loss):
    return law_of(law, n, d).log() - loss.log()


def hub(r, c):
    return torch.where(r.abs() <= c, 0.5 * r**2, c * (r.abs() - 0.5 * c))


def objective_loop(law, n, d, loss, c):
    total = 0.0
    for x, y, z in zip(n.tolist(), d.tolist(), loss.tolist(), strict=True):
        r = abs(math.log(law_of(law, x, y) / z))
        total += r * r / 2 if r < c else c * r - c * c / 2
    return total


ANSWERS["transformer.scaling_laws.objective"] = {
    RIGHT: [
        objective_loop,
        lambda law, n, d, loss, c: F.huber_loss(law_of(law, n, d).log(), loss.log(), reduction="sum", delta=c),
        lambda law, n, d, loss, c: c * F.smooth_l1_loss(law_of(law, n, d).log(), loss.log(), reduction="sum", beta=c),
        lambda law, n, d, loss, c: (lambda r: (r.clamp(max=c) * (r - r.clamp(max=c) / 2)).sum())(
            residuals(law, n, d, loss).abs()
        ),
        lambda law, n, d, loss, c: np.sum(hub(residuals(law, n, d, loss), c).numpy()),
    ],
    WRONG: [
        lambda law, n, d, loss, c: hub(law_of(law, n, d) - loss, c).sum(),
        lambda law, n, d, loss, c: hub(law_of(law, n, d) / loss - 1, c).sum(),
        lambda law, n, d, loss, c: hub((law_of(law, n, d) / loss).log10(), c).sum(),
        lambda law, n, d, loss, c: hub((law_of(law, n, d) / loss).log2(), c).sum(),
        lambda law, n, d, loss, c: hub(residuals(law, n, d, loss), c).mean(),
        lambda law, n, d, loss, c: hub(residuals(law, n, d, loss), c),
        lambda law, n, d, loss, c: hub(residuals(law, n, d, loss), 1.0).sum(),
        lambda law, n, d, loss, c: (0.5 * residuals(law, n, d, loss) ** 2).sum(),
        lambda law, n, d, loss, c: residuals(law, n, d, loss).abs().sum(),
        lambda law, n, d, loss, c: F.smooth_l1_loss(law_of(law, n, d).log(), loss.log(), reduction="sum", beta=c),
        lambda law, n, d, loss, c: F.huber_loss(law_of(law, n, d).log(), loss.log(), delta=c),
        lambda law, n, d, loss, c: F.huber_loss(law_of(law, n, d).log(), loss, reduction="sum", delta=c),
        lambda law, n, d, loss, c: (lambda r: torch.where(r.abs() <= c, r**2 / 2, c * r.abs()).sum())(
            residuals(law, n, d, loss)
        ),
        lambda law, n, d, loss, c: (lambda r: torch.where(r.abs() <= c, r**2, c * (r.abs() - c / 2)).sum())(
            residuals(law, n, d, loss)
        ),
        lambda law, n, d, loss, c: (lambda r: torch.where(r.abs() <= c, r**2 / 2, c * (r.abs() + c / 2)).sum())(
            residuals(law, n, d, loss)
        ),
        lambda law, n, d, loss, c: (lambda r: torch.where(r.abs() <= c, r**2, 2 * c * r.abs() - c**2).sum())(
            residuals(law, n, d, loss)
        ),
        lambda law, n, d, loss, c: (lambda r: torch.where(r <= c, r**2 / 2, c * (r - c / 2)).sum())(
            residuals(law, n, d, loss)
        ),
        lambda law, n, d, loss, c: (lambda r: torch.where(r <= c, r**2 / 2, c * (r - c / 2)).sum())(
            -residuals(law, n, d, loss)
        ),
        lambda law, n, d, loss, c: (c**2 * ((1 + (residuals(law, n, d, loss) / c) ** 2).sqrt() - 1)).sum(),
        lambda law, n, d, loss, c: hub(residuals(law, d, n, loss), c).sum(),
        lambda law, n, d, loss, c: hub(residuals({**law, "E": 0.0}, n, d, loss), c).sum(),
        lambda law, n, d, loss, c: hub(residuals({**law, "a": law["b"], "b": law["a"]}, n, d, loss), c).sum(),
        lambda law, n, d, loss, c: hub(
            (law["E"] + (law["A"] / n) ** law["a"] + (law["B"] / d) ** law["b"]).log() - loss.log(), c
        ).sum(),
        lambda law, n, d, loss, c: hub(
            (law["E"] + law["A"] * n ** law["a"] + law["B"] * d ** law["b"]).log() - loss.log(), c
        ).sum(),
        lambda law, n, d, loss, c: hub(residuals(law, n, d, loss).sum(), c),
        lambda law, n, d, loss, c: hub(residuals(law, n, d, loss) / c, 1.0).sum(),
    ],
}


def by_search(law, flops):
    """Halve the range of log N in which the slope turns."""
    low, high = 0.0, math.log(flops / 6)

    def slope(x):
        n = math.exp(x)
        return -law["a"] * law["A"] / n ** law["a"] + law["b"] * law["B"] / (flops / 6 / n) ** law["b"]

    for _ in range(200):
        middle = (low + high) / 2
        low, high = (middle, high) if slope(middle) < 0 else (low, middle)
    n = math.exp((low + high) / 2)
    return n, flops / 6 / n


def best(law, flops, top=lambda A, a, B, b: a * A / (b * B), power=lambda a, b: b / (a + b), root=None, six=6.0):
    A, a, B, b = law["A"], law["a"], law["B"], law["b"]
    n = top(A, a, B, b) ** (1 / (a + b) if root is None else root(a, b)) * (flops / six) ** power(a, b)
    return n, flops / six / n


ANSWERS["transformer.scaling_laws.optimal"] = {
    RIGHT: [
        best,
        by_search,
        lambda law, c: [np.float64(x) for x in best(law, c)],
        lambda law, c: torch.tensor(best(law, c), dtype=torch.float64),
        lambda law, c: (
            best(law, c)[0],
            (law["b"] * law["B"] / law["a"] / law["A"]) ** (1 / (law["a"] + law["b"]))
            * (c / 6) ** (law["a"] / (law["a"] + law["b"])),
        ),
    ],
    WRONG: [
        lambda law, c: best(law, c, six=1.0),
        lambda law, c: best(law, c, six=2.0),
        lambda law, c: (best(law, c)[0], c / best(law, c)[0]),
        lambda law, c: best(law, c, top=lambda A, a, B, b: A / B),
        lambda law, c: best(law, c, top=lambda A, a, B, b: b * B / (a * A)),
        lambda law, c: best(law, c, top=lambda A, a, B, b: b * A / (a * B)),
        lambda law, c: best(law, c, top=lambda A, a, B, b: a / b),
        lambda law, c: best(law, c, top=lambda A, a, B, b: 1.0),
        lambda law, c: best(law, c, power=lambda a, b: a / (a + b)),
        lambda law, c: best(law, c, power=lambda a, b: 0.5),
        lambda law, c: best(law, c, power=lambda a, b: b),
        lambda law, c: best(law, c, power=lambda a, b: 1 / (a + b)),
        lambda law, c: best(law, c, root=lambda a, b: 1.0),
        lambda law, c: best(law, c, root=lambda a, b: 1 / (a * b)),
        lambda law, c: best(law, c, root=lambda a, b: a + b),
        lambda law, c: best(law, c)[::-1],
        lambda law, c: best(law, c)[0],
        lambda law, c: tuple(round(x) for x in best(law, c)),
        lambda law, c: ((c / 6) ** 0.5, (c / 6) ** 0.5),
        lambda law, c: ((c / 120) ** 0.5, 20 * (c / 120) ** 0.5),
        lambda law, c: (c / 12, 2.0),
        lambda law, c: (best(law, c)[0], 20 * best(law, c)[0]),
        lambda law, c: (best(law, c)[0], best(law, c)[0] * c / 6),
        lambda law, c: (best(law, c)[0] * 1.01, best(law, c)[1] / 1.01),
    ],
}

# memory and speed


def pk(L, P, n, kept, C, again, stays=12, a=4, g=4, combine=max, activations=None):
    if activations is None:
        held = L * C + kept if again else L * kept
    else:
        held = activations(L, kept, C, again)
    return stays * L * P + combine(a * held * n, g * L * P)


ANSWERS["transformer.memory_and_speed.peak"] = {
    RIGHT: [
        pk,
        lambda L, P, n, kept, C, again: 4 * (3 * L * P + max(L * P, n * (kept + (L * C if again else (L - 1) * kept)))),
        lambda *x: np.int64(pk(*x)),
        lambda *x: torch.tensor(float(pk(*x)), dtype=torch.float64),
    ],
    WRONG: [
        lambda *x: pk(*x, combine=lambda a, b: a + b),
        lambda *x: pk(*x, combine=min),
        lambda *x: pk(*x, combine=lambda a, b: a),
        lambda *x: pk(*x, combine=lambda a, b: b),
        lambda *x: pk(*x, stays=4),
        lambda *x: pk(*x, stays=8),
        lambda *x: pk(*x, stays=16),
        lambda *x: pk(*x, stays=0),
        lambda *x: pk(*x, a=2),
        lambda *x: pk(*x, stays=3, a=1, g=1),
        lambda *x: pk(*x, stays=24, a=8, g=8),
        lambda *x: pk(*x, activations=lambda L, kept, C, again: L * C if again else L * kept),
        lambda *x: pk(*x, activations=lambda L, kept, C, again: L * kept),
        lambda *x: pk(*x, activations=lambda L, kept, C, again: L * kept if again else L * C + kept),
        lambda *x: pk(*x, activations=lambda L, kept, C, again: L * (C + kept) if again else L * kept),
        lambda *x: pk(*x, activations=lambda L, kept, C, again: kept if again else L * kept),
        lambda *x: pk(*x, activations=lambda L, kept, C, again: (L - 1) * C + kept if again else L * kept),
        lambda L, P, n, kept, C, again: max(12 * L * P, 4 * n * (L * C + kept if again else L * kept), 4 * L * P),
    ],
}


def bf(x, bits=7, rule=np.round, power=np.floor):
    spacing = 2.0 ** (power(np.log2(np.abs(x.numpy()))) - bits)
    return rule(x.numpy() / spacing) * spacing


def by_frexp(x):
    m, e = torch.frexp(x)
    return torch.ldexp(torch.round(m * 256) / 256, e)


ANSWERS["transformer.memory_and_speed.rounding"] = {
    RIGHT: [
        bf,
        by_frexp,
        lambda x: x.to(torch.bfloat16).to(torch.float64),
        lambda x: x.bfloat16().float(),
        lambda x: [math.copysign(float(torch.tensor(abs(n.item())).bfloat16()), n.item()) for n in x],
    ],
    WRONG: [
        lambda x: bf(x, rule=np.trunc),
        lambda x: bf(x, rule=np.floor),
        lambda x: bf(x, rule=np.ceil),
        lambda x: bf(x, bits=8),
        lambda x: bf(x, bits=6),
        lambda x: bf(x, bits=10),
        lambda x: bf(x, bits=23),
        lambda x: bf(x, power=np.round),
        lambda x: bf(x, power=np.ceil),
        lambda x: np.abs(bf(x)),
        lambda x: torch.round(x * 128) / 128,
        lambda x: torch.round(x, decimals=2),
        lambda x: x.half().double(),
        lambda x: x.float().double(),
        lambda x: torch.round(x),
        lambda x: 2.0 ** torch.round(torch.log2(x.abs())) * x.sign(),
        lambda x: bf(x, rule=lambda y: np.floor(y + 0.5)) + x.numpy() * 0 + 2.0**-7,
    ],
}


def with_another(x, i, value):
    return [*x[:i], value, *x[i + 1 :]]


def hc(n, M, L, C, T, devices, most, share, price, six=6, twelve=12, seconds=3600):
    hours = n * (six * M + twelve * L * T * C) / (devices * most * share) / seconds
    return hours, hours * devices * price


ANSWERS["transformer.memory_and_speed.plan"] = {
    RIGHT: [
        hc,
        lambda *x: list(hc(*x)),
        lambda *x: np.array(hc(*x)),
        lambda n, M, L, C, T, d, p, u, c: (
            6 * n * (M + 2 * L * T * C) / p / u / d / 3600,
            6 * n * (M + 2 * L * T * C) / p / u / 3600 * c,
        ),
    ],
    WRONG: [
        lambda *x: hc(*x, six=2),
        lambda *x: hc(*x, six=2, twelve=4),
        lambda *x: hc(*x, six=4),
        lambda *x: hc(*x, twelve=6),
        lambda *x: hc(*x, twelve=0),
        lambda *x: hc(*x, twelve=4),
        lambda *x: hc(*x, seconds=1),
        lambda *x: hc(*x, seconds=60),
        lambda *x: hc(*x, seconds=86400),
        lambda *x: hc(*with_another(x, 5, 1)),
        lambda *x: hc(*with_another(x, 7, 1.0)),
        lambda *x: hc(*with_another(x, 7, 1 - x[7])),
        lambda *x: hc(*x)[::-1],
        lambda *x: (hc(*x)[0], hc(*x)[0] * x[8]),
        lambda *x: (hc(*x)[0] * x[5], hc(*x)[1]),
        lambda *x: hc(*x)[0],
        lambda *x: (hc(*x)[0], hc(*x)[1] / x[7]),
        lambda *x: hc(*with_another(x, 4, 1)),
    ],
}
