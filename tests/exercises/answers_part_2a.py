"""Answers that readers might give to chapters 00 to 04 of part 2: right ones in other styles, and plausible wrong ones.

Few of the wrong ones are in the catalogues, and then by another way. Used by test_answers.py.
"""

import math
from collections import Counter
from itertools import pairwise

import numpy as np
import torch
from torch import nn
from torch.nn import functional as F

RIGHT, WRONG = "right", "wrong"
INF = float("inf")
ANSWERS = {}

# 00 introduction


def a(c, h, g, d):
    return c * h * d + 2 * c * g * d + h * d * c


ANSWERS["transformer.introduction.attention"] = {
    RIGHT: [
        a,
        lambda c, h, g, d: 2 * c * d * (h + g),
        lambda c, h, g, d: np.int64(a(c, h, g, d)),
        lambda c, h, g, d: torch.tensor(a(c, h, g, d)),
        lambda c, h, g, d: sum(torch.empty(m, n).numel() for m, n in ((c, h * d), (c, g * d), (c, g * d), (h * d, c))),
        lambda c, h, g, d: float(a(c, h, g, d)),
    ],
    WRONG: [
        lambda c, h, g, d: 4 * c * h * d,
        lambda c, h, g, d: 4 * c * g * d,
        lambda c, h, g, d: 3 * c * c + c * c,
        lambda c, h, g, d: c * h * d + 2 * c * g * d,
        lambda c, h, g, d: c * h * d + c * g * d + h * d * c,
        lambda c, h, g, d: c * h * d + 2 * c * g * d + c * c,
        lambda c, h, g, d: c * h * d + 2 * c * g * d + h * c,
        lambda c, h, g, d: a(c, h, g, c // h),
        lambda c, h, g, d: c * (h + 2 * g + h),
        lambda c, h, g, d: a(c, h, g, d) + 4 * c,
        lambda c, h, g, d: a(c, h, g, d) + 2 * c,
        lambda c, h, g, d: 2 * c * h * d + 2 * c * (h // g) * d,
        lambda c, h, g, d: 2 * c * h * d + 2 * g * d * d,
        lambda c, h, g, d: a(c, h, g, d) / 2,
        lambda c, h, g, d: 2 * c * d * h * g,
        lambda c, h, g, d: h * (c * d + d * c) + g * (c * d),
    ],
}


def p(v, t, c, n, f):
    return (v + t) * c + n * (4 * c * (c + 1) + 2 * c * f + f + c + 4 * c) + 2 * c


ANSWERS["transformer.introduction.parameters"] = {
    RIGHT: [
        p,
        lambda *sizes: np.int64(p(*sizes)),
        lambda v, t, c, n, f: v * c + t * c + 2 * c + n * (4 * c * c + 9 * c + 2 * c * f + f),
        lambda v, t, c, n, f: (
            torch.empty(v, c).numel()
            + torch.empty(t, c).numel()
            + sum(2 * (c + c) + 4 * (c * c + c) + (c * f + f) + (f * c + c) for _ in range(n))
            + c
            + c
        ),
    ],
    WRONG: [
        lambda v, t, c, n, f: p(v, t, c, n, f) + v * c,
        lambda v, t, c, n, f: p(v, t, c, n, f) + v * c + v,
        lambda v, t, c, n, f: p(v, t, c, n, f) - t * c,
        lambda v, t, c, n, f: p(v, t, c, n, f) - 2 * c,
        lambda v, t, c, n, f: p(v, t, c, n, f) - c,
        lambda v, t, c, n, f: p(v, t, c, n, f) - n * 4 * c,
        lambda v, t, c, n, f: p(v, t, c, n, f) - n * (f + c),
        lambda v, t, c, n, f: p(v, t, c, n, f) - n * c * c,
        lambda v, t, c, n, f: p(v, t, c, n, f) + n * c * f,
        lambda v, t, c, n, f: n * p(v, t, c, 1, f),
        lambda v, t, c, n, f: p(v, t, c, n - 1, f),
        lambda v, t, c, n, f: p(v, t, c, n, 4 * c),
        lambda v, t, c, n, f: v * c + 12 * n * c * c,
        lambda v, t, c, n, f: v * c + t * c + n * (4 * c * c + 2 * c * f),
        lambda v, t, c, n, f: p(v, t, c, n, f) - n * c,
        lambda v, t, c, n, f: p(v, t, c, n, f) - n * 2 * c,
        lambda v, t, c, n, f: (v + t + c) * c + n * (4 * c * (c + 1) + 2 * c * f + f + c + 4 * c),
    ],
}


def fits(v, n, c, budget):
    return v * c + 12 * n * c * c <= budget


def widest(v, n, budget, fits=fits, start=0):
    low, high = start, 1 << 20
    while low < high:
        middle = (low + high + 1) // 2
        low, high = (middle, high) if fits(v, n, middle, budget) else (low, middle - 1)
    return low


ANSWERS["transformer.introduction.width"] = {
    RIGHT: [
        widest,
        lambda v, n, b: (math.isqrt(v * v + 48 * n * b) - v) // (24 * n),
        lambda v, n, b: next(c for c in range(10**6) if not fits(v, n, c + 1, b)),
        lambda v, n, b: int(np.floor((-v + np.sqrt(float(v * v + 48 * n * b))) / (24 * n))),
        lambda v, n, b: max(c for c in range(3000) if v * c + n * (4 * c * c + 8 * c * c) <= b),
    ],
    WRONG: [
        lambda v, n, b: next(c for c in range(10**6) if not fits(v, n, c, b)),
        lambda v, n, b: next(c for c in range(10**6) if v * (c + 1) + 12 * n * (c + 1) ** 2 >= b),
        lambda v, n, b: math.isqrt(b // (12 * n)),
        lambda v, n, b: math.isqrt(max(0, b - v) // (12 * n)),
        lambda v, n, b: widest(2 * v, n, b),
        lambda v, n, b: widest(v, 1, b),
        lambda v, n, b: widest(v, n, b, lambda v, n, c, b: v * c + 4 * n * c * c <= b),
        lambda v, n, b: widest(v, n, b, lambda v, n, c, b: v * c + 8 * n * c * c <= b),
        lambda v, n, b: widest(v, n, b, lambda v, n, c, b: v * c + 16 * n * c * c <= b),
        lambda v, n, b: widest(v, n, b, lambda v, n, c, b: v * c + 12 * n * c <= b),
        lambda v, n, b: widest(v, n, b, lambda v, n, c, b: n * (v * c + 12 * c * c) <= b),
        lambda v, n, b: widest(v, n, b, lambda v, n, c, b: v * c + 12 * n * c * c + 2 * c <= b),
        lambda v, n, b: widest(v, n, b) // 64 * 64,
        lambda v, n, b: -(-widest(v, n, b) // 8) * 8,
        lambda v, n, b: (math.sqrt(v * v + 48 * n * b) - v) / (24 * n),
        lambda v, n, b: round((math.sqrt(v * v + 48 * n * b) - v) / (24 * n)),
        lambda v, n, b: int((math.sqrt(v * v + 48 * n * b) - v) / 24 * n),
        lambda v, n, b: b // (v + 12 * n),
    ],
}

# 01 tokens, embeddings, positions


def joined(ids, pair, new):
    out, i = [], 0
    while i < len(ids):
        if i + 1 < len(ids) and (ids[i], ids[i + 1]) == tuple(pair):
            out.append(new)
            i += 2
        else:
            out.append(ids[i])
            i += 1
    return out


def by_rank(ids, merges, pick=min, first=256):
    rank = {tuple(pair): r for r, pair in enumerate(merges)}
    ids = list(ids)
    while True:
        here = [(rank[x, y], i) for i, (x, y) in enumerate(pairwise(ids)) if (x, y) in rank]
        if not here:
            return ids
        r, i = pick(here)
        ids[i : i + 2] = [first + r]


def in_place(ids, merges):
    for r, (x, y) in enumerate(merges):
        i = 0
        while i < len(ids) - 1:
            if ids[i] == x and ids[i + 1] == y:
                ids[i : i + 2] = [256 + r]
            i += 1
    return ids


def cut_short(ids, merges):
    for r, pair in enumerate(merges):
        out, i = [], 0
        while i < len(ids) - 1:
            if (ids[i], ids[i + 1]) == pair:
                out.append(256 + r)
                i += 2
            else:
                out.append(ids[i])
                i += 1
        ids = out
    return ids


def no_skip(ids, merges):
    for r, pair in enumerate(merges):
        out = []
        for i in range(len(ids)):
            if i + 1 < len(ids) and (ids[i], ids[i + 1]) == pair:
                out.append(256 + r)
            else:
                out.append(ids[i])
        ids = out
    return ids


def first_only(ids, merges):
    ids = list(ids)
    for r, pair in enumerate(merges):
        for i in range(len(ids) - 1):
            if (ids[i], ids[i + 1]) == pair:
                ids[i : i + 2] = [256 + r]
                break
    return ids


def once(ids, merges):
    rank = {pair: 256 + r for r, pair in enumerate(merges)}
    out, i = [], 0
    while i < len(ids):
        if tuple(ids[i : i + 2]) in rank:
            out.append(rank[tuple(ids[i : i + 2])])
            i += 2
        else:
            out.append(ids[i])
            i += 1
    return out


def greedy_stack(ids, merges):
    rank = {pair: 256 + r for r, pair in enumerate(merges)}
    out = []
    for id in ids:
        out.append(id)
        while len(out) > 1 and (out[-2], out[-1]) in rank:
            out[-2:] = [rank[out[-2], out[-1]]]
    return out


def replay(ids, merges, new=lambda r: 256 + r, merges_of=lambda m: m):
    for r, pair in enumerate(merges_of(merges)):
        ids = joined(ids, pair, new(r))
    return ids


ANSWERS["transformer.tokens_embeddings_positions.encode"] = {
    RIGHT: [
        replay,
        by_rank,
        lambda ids, merges: in_place(list(ids), merges),
        lambda ids, merges: np.array(replay(ids, merges)),
        lambda ids, merges: torch.tensor(replay(ids, merges)),
        lambda ids, merges: tuple(replay(tuple(ids), merges)),
    ],
    WRONG: [
        in_place,
        cut_short,
        no_skip,
        first_only,
        once,
        greedy_stack,
        lambda ids, merges: by_rank(ids, merges, max),
        lambda ids, merges: by_rank(ids, merges, lambda here: min(here, key=lambda x: x[1])),
        lambda ids, merges: replay(ids, merges, lambda r: 257 + r),
        lambda ids, merges: replay(ids, merges, lambda r: r),
        lambda ids, merges: replay(ids, merges, lambda r: 256),
        lambda ids, merges: replay(ids, merges, merges_of=lambda m: m[::-1]),
        lambda ids, merges: replay(ids, merges, merges_of=lambda m: m[1:]),
        lambda ids, merges: replay(ids, merges, merges_of=lambda m: [(y, x) for x, y in m]),
        lambda ids, merges: replay(ids, merges, merges_of=sorted),
        lambda ids, merges: replay(ids, merges)[::-1],
        lambda ids, merges: len(replay(ids, merges)),
        lambda ids, merges: [256 + r for r, (x, y) in enumerate(merges)],
    ],
}


def turned(x, base, first=0, speed=None, sign=1, cos=torch.cos, sin=torch.sin, join=None, position=None):
    T, D = x.shape[-2:]
    i = torch.arange(D // 2, dtype=torch.float64)
    angle = (first + torch.arange(T, dtype=torch.float64))[:, None] * (
        base ** (-2 * i / D) if speed is None else speed(i, D, base)
    )
    angle = angle if position is None else position(angle)
    a, b = x[..., : D // 2], x[..., D // 2 :]
    parts = a * cos(angle) - sign * b * sin(angle), b * cos(angle) + sign * a * sin(angle)
    return torch.cat(parts, -1) if join is None else join(parts)


def turned_complex(x, base):
    T, D = x.shape[-2:]
    angle = torch.outer(torch.arange(T), base ** (-2 * torch.arange(D // 2) / D))
    z = torch.complex(x[..., : D // 2], x[..., D // 2 :]) * torch.polar(torch.ones_like(angle), angle)
    return torch.cat([z.real, z.imag], -1)


def turned_single(x, base):
    T, D = x.shape[-2:]
    speed = 1.0 / base ** (torch.arange(0, D, 2).float() / D)
    angle = torch.outer(torch.arange(T).float(), speed)
    angle = torch.cat([angle, angle], -1)
    half = torch.cat([-x[..., D // 2 :], x[..., : D // 2]], -1)
    return x * angle.cos() + half * angle.sin()


def turned_by_loop(x, base):
    y = x.clone()
    D = x.shape[-1]
    for t in range(x.shape[-2]):
        for i in range(D // 2):
            phi = t * base ** (-2 * i / D)
            y[..., t, i] = x[..., t, i] * math.cos(phi) - x[..., t, i + D // 2] * math.sin(phi)
            y[..., t, i + D // 2] = x[..., t, i + D // 2] * math.cos(phi) + x[..., t, i] * math.sin(phi)
    return y


def turned_in_place(x, base):
    D = x.shape[-1]
    for t in range(x.shape[-2]):
        for i in range(D // 2):
            phi = t * base ** (-2 * i / D)
            x[..., t, i] = x[..., t, i] * math.cos(phi) - x[..., t, i + D // 2] * math.sin(phi)
            x[..., t, i + D // 2] = x[..., t, i + D // 2] * math.cos(phi) + x[..., t, i] * math.sin(phi)
    return x


def turned_neighbours(x, base):
    T, D = x.shape[-2:]
    angle = torch.outer(torch.arange(T), base ** (-torch.arange(0, D, 2) / D))
    y = torch.empty_like(x)
    y[..., 0::2] = x[..., 0::2] * angle.cos() - x[..., 1::2] * angle.sin()
    y[..., 1::2] = x[..., 1::2] * angle.cos() + x[..., 0::2] * angle.sin()
    return y


ANSWERS["transformer.tokens_embeddings_positions.rotate"] = {
    RIGHT: [
        turned,
        turned_complex,
        turned_single,
        turned_by_loop,
        lambda x, base: turned(x, base).numpy(),
        lambda x, base: turned(x.float(), base).float(),
    ],
    WRONG: [
        turned_in_place,
        turned_neighbours,
        lambda x, base: turned(x, base, first=1),
        lambda x, base: turned(x, base, sign=-1),
        lambda x, base: turned(x, base, speed=lambda i, D, base: base ** (-i / D)),
        lambda x, base: turned(x, base, speed=lambda i, D, base: base ** (2 * i / D)),
        lambda x, base: turned(x, base, speed=lambda i, D, base: base ** (-2 * (i + 1) / D)),
        lambda x, base: turned(x, base, speed=lambda i, D, base: base ** (-2 * i)),
        lambda x, base: turned(x, base, speed=lambda i, D, base: base ** (-4 * i / D)),
        lambda x, base: turned(x, 10000.0),
        lambda x, base: turned(x, base, cos=torch.sin, sin=torch.cos),
        lambda x, base: turned(x, base, join=lambda parts: torch.stack(parts, -1).flatten(-2)),
        lambda x, base: turned(x, base, join=lambda parts: torch.cat(parts[::-1], -1)),
        lambda x, base: turned(x, base, join=lambda parts: torch.stack(parts, -1)),
        lambda x, base: turned(x, base, join=lambda parts: parts[0]),
        lambda x, base: turned(x.transpose(1, 2), base).transpose(1, 2),
        lambda x, base: turned(x, base, position=lambda angle: angle[-1:]),
        lambda x, base: turned(x, base, position=lambda angle: angle.flip(0)),
        lambda x, base: x + turned(torch.ones_like(x), base),
        lambda x, base: turned(x, base, position=lambda angle: angle / 2),
    ],
}


def al(n_heads, n, slope=lambda h, H: 2.0 ** (-8 * h / H), first=1, fill=-INF, distance=lambda t, s: t - s):
    bias = np.zeros((n_heads, n, n))
    for h in range(n_heads):
        for t in range(n):
            for s in range(n):
                bias[h, t, s] = fill if s > t and fill is not None else -slope(h + first, n_heads) * distance(t, s)
    return bias


def al_torch(H, n):
    slope = torch.tensor([2 ** (-8 * (h + 1) / H) for h in range(H)])
    d = torch.arange(n).unsqueeze(1) - torch.arange(n).unsqueeze(0)
    return (-slope.view(-1, 1, 1) * d).masked_fill(d < 0, -INF)


ANSWERS["transformer.tokens_embeddings_positions.alibi"] = {
    RIGHT: [
        al,
        al_torch,
        lambda H, n: al(H, n).tolist(),
        lambda H, n: (
            torch.stack(
                [(2 ** (-8 * h / H) * (torch.arange(n)[None, :] - torch.arange(n)[:, None])) for h in range(1, H + 1)]
            )
            + torch.full((n, n), -INF).triu(1)
        ),
        lambda H, n: torch.tensor(al(H, n), dtype=torch.float32),
    ],
    WRONG: [
        lambda H, n: al(H, n, first=0),
        lambda H, n: al(H, n, fill=None),
        lambda H, n: al(H, n, fill=0.0),
        lambda H, n: al(H, n, fill=-1e9),
        lambda H, n: al(H, n, fill=None, distance=lambda t, s: abs(t - s)),
        lambda H, n: al(H, n, distance=lambda t, s: s - t),
        lambda H, n: al(H, n, distance=lambda t, s: t - s + 1),
        lambda H, n: al(H, n, distance=lambda t, s: (t - s) ** 2),
        lambda H, n: al(H, n, distance=lambda t, s: n - 1 - s),
        lambda H, n: al(H, n, slope=lambda h, H: 2.0**-h),
        lambda H, n: al(H, n, slope=lambda h, H: 2.0 ** (-h / H)),
        lambda H, n: al(H, n, slope=lambda h, H: -8 * h / H),
        lambda H, n: al(H, n, slope=lambda h, H: 1.0),
        lambda H, n: al(H, n, slope=lambda h, H: 1 / h),
        lambda H, n: al(H, n, slope=lambda h, H: 2.0 ** (-8 / H)),
        lambda H, n: al(H, n)[::-1].copy(),
        lambda H, n: np.exp(al(H, n)),
        lambda H, n: al(H, n)[0],
        lambda H, n: al(H, n).transpose(0, 2, 1),
        lambda H, n: torch.tensor(al(H, n)).softmax(-1),
    ],
}

# 02 attention


def np_scores(q, k, lengths):
    q, k = q.numpy(), k.numpy()
    s = np.einsum("bhtd,bhsd->bhts", q, k) / math.sqrt(q.shape[-1])
    for b, n in enumerate(lengths.tolist()):
        s[b, :, :, n:] = -np.inf
    return s


def pad(s, lengths, fill=-INF, dim=-1, beyond=lambda place, n: place >= n):
    hidden = beyond(torch.arange(s.shape[-1]), lengths[:, None])[:, None, None, :]
    return s.masked_fill(hidden if dim == -1 else hidden.transpose(-2, -1), fill)


def qk(q, k):
    return q @ k.mT / math.sqrt(q.size(-1))


ANSWERS["transformer.attention.scores"] = {
    RIGHT: [
        np_scores,
        lambda q, k, n: torch.where(torch.arange(k.size(2)) < n.view(-1, 1, 1, 1), qk(q, k), -INF),
        lambda q, k, n: qk(q.float(), k.float()).masked_fill(
            torch.arange(k.size(2))[None, None, None] >= n[:, None, None, None], -INF
        ),
        lambda q, k, n: torch.stack(
            [torch.cat([s[..., :m], torch.full_like(s[..., m:], -INF)], -1) for s, m in zip(qk(q, k), n, strict=True)]
        ),
    ],
    WRONG: [
        lambda q, k, n: qk(q, k),
        lambda q, k, n: pad(q @ k.mT, n),
        lambda q, k, n: pad(q @ k.mT / q.size(-1), n),
        lambda q, k, n: pad(q @ k.mT / math.sqrt(k.size(-2)), n),
        lambda q, k, n: pad(qk(q, k), n, 0.0),
        lambda q, k, n: pad(qk(q, k), n, -1e9),
        lambda q, k, n: pad(qk(q, k), n, INF),
        lambda q, k, n: pad(qk(q, k), n, dim=-2),
        lambda q, k, n: pad(qk(q, k), n, beyond=lambda place, n: place > n),
        lambda q, k, n: pad(qk(q, k), n, beyond=lambda place, n: place >= n - 1),
        lambda q, k, n: pad(qk(q, k), n, beyond=lambda place, n: place < n),
        lambda q, k, n: pad(qk(q, k), n, beyond=lambda place, n: place >= n.max()),
        lambda q, k, n: pad(qk(k, q), n),
        lambda q, k, n: pad(qk(q, k), n).tril(),
        lambda q, k, n: pad(qk(q, k), n) + torch.full((q.size(2), q.size(2)), -INF).triu(1),
        lambda q, k, n: pad(qk(q, k), n).softmax(-1),
        lambda q, k, n: pad(qk(q, k), n).mean(1),
        lambda q, k, n: qk(q, k)[..., : n.max()],
        lambda q, k, n: pad(q @ k.reshape(*k.shape[:2], k.size(3), k.size(2)) / math.sqrt(q.size(-1)), n),
        lambda q, k, n: pad(qk(q, k).transpose(0, 1), n),
    ],
}


def soft(s, dim=-1):
    e = torch.exp(s - s.amax(dim, keepdim=True))
    return e / e.sum(dim, keepdim=True)


def future(s, k=1):
    return torch.ones(s.shape[-2:], dtype=torch.bool).triu(k)


def loop_pattern(q, k):
    out = torch.zeros(*q.shape[:3], k.shape[2], dtype=q.dtype)
    for b in range(q.shape[0]):
        for h in range(q.shape[1]):
            for t in range(q.shape[2]):
                s = torch.stack([q[b, h, t] @ k[b, h, i] for i in range(t + 1)]) / q.shape[-1] ** 0.5
                out[b, h, t, : t + 1] = soft(s)
    return out


ANSWERS["transformer.attention.pattern"] = {
    RIGHT: [
        loop_pattern,
        lambda q, k: soft(torch.where(future(qk(q, k)), -INF, qk(q, k))),
        lambda q, k: F.scaled_dot_product_attention(
            q, k, torch.eye(k.shape[2], dtype=k.dtype).expand(*k.shape[:2], -1, -1), is_causal=True
        ),
        lambda q, k: (qk(q, k) + torch.full((q.shape[2], k.shape[2]), -INF).triu(1)).softmax(-1).numpy(),
        lambda q, k: qk(q.double(), k).masked_fill(future(qk(q, k)), -1e30).softmax(-1),
    ],
    WRONG: [
        lambda q, k: soft(qk(q, k)),
        lambda q, k: soft((q @ k.mT).masked_fill(future(q @ k.mT), -INF)),
        lambda q, k: soft(qk(q, k)).tril(),
        lambda q, k: soft(qk(q, k).tril()),
        lambda q, k: soft(qk(q, k).masked_fill(future(qk(q, k), 0), -INF)),
        lambda q, k: soft(qk(q, k).masked_fill(future(qk(q, k), 2), -INF)),
        lambda q, k: soft(qk(q, k).masked_fill(~future(qk(q, k)), -INF)),
        lambda q, k: soft(qk(q, k).masked_fill(future(qk(q, k)).T, -INF)),
        lambda q, k: soft(qk(q, k).masked_fill(future(qk(q, k)), -INF), 2),
        lambda q, k: soft(qk(q, k).masked_fill(future(qk(q, k)), -INF), 1),
        lambda q, k: soft(qk(q, k).masked_fill(future(qk(q, k)), -1.0)),
        lambda q, k: qk(q, k).masked_fill(future(qk(q, k)), -INF),
        lambda q, k: qk(q, k).masked_fill(future(qk(q, k)), -INF).log_softmax(-1),
        lambda q, k: soft(qk(k, q).masked_fill(future(qk(q, k)), -INF)),
        lambda q, k: soft((q @ k.mT / q.size(-2) ** 0.5).masked_fill(future(q @ k.mT), -INF)),
        lambda q, k: soft((q @ k.mT / q.size(1) ** 0.5).masked_fill(future(q @ k.mT), -INF)),
        lambda q, k: soft(qk(q, k).masked_fill(future(qk(q, k)), -INF))[:, 0],
        lambda q, k: soft(qk(q, k).masked_fill(future(qk(q, k)), -INF)).mean(1),
        lambda q, k: soft(qk(q, k).masked_fill(future(qk(q, k)), -INF)) @ k,
        lambda q, k: qk(q, k).tril() / qk(q, k).tril().sum(-1, keepdim=True),
    ],
}


def by_max(z1, l1, z2, l2):
    m = torch.max(l1, l2)
    a, b = (l1 - m).exp().unsqueeze(-1), (l2 - m).exp().unsqueeze(-1)
    return (a * z1 + b * z2) / (a + b)


def np_pieces(z1, l1, z2, l2):
    z1, l1, z2, l2 = (each.numpy() for each in (z1, l1, z2, l2))
    total = np.logaddexp(l1, l2)
    return np.exp(l1 - total)[..., None] * z1 + np.exp(l2 - total)[..., None] * z2


def mix(z1, z2, a):
    return a[..., None] * z1 + (1 - a)[..., None] * z2


ANSWERS["transformer.attention.pieces"] = {
    RIGHT: [
        by_max,
        np_pieces,
        lambda z1, l1, z2, l2: mix(z1, z2, torch.sigmoid(l1 - l2)),
        lambda z1, l1, z2, l2: z2 + (z1 - z2) * torch.softmax(torch.stack([l1, l2], -1), -1)[..., :1],
    ],
    WRONG: [
        lambda z1, l1, z2, l2: mix(z1, z2, l1.exp() / (l1.exp() + l2.exp())),
        lambda z1, l1, z2, l2: mix(z1, z2, torch.sigmoid(l2 - l1)),
        lambda z1, l1, z2, l2: mix(z1, z2, l1 / (l1 + l2)),
        lambda z1, l1, z2, l2: mix(z1, z2, torch.full_like(l1, 0.5)),
        lambda z1, l1, z2, l2: z1 + z2,
        lambda z1, l1, z2, l2: torch.cat([z1, z2], dim=2),
        lambda z1, l1, z2, l2: torch.cat([z1, z2], dim=-1),
        lambda z1, l1, z2, l2: mix(z1, z2, torch.sigmoid(l1)),
        lambda z1, l1, z2, l2: mix(z1, z2, (l1 > l2).to(z1)),
        lambda z1, l1, z2, l2: mix(z1, z2, torch.exp(l1 - torch.maximum(l1, l2))),
        lambda z1, l1, z2, l2: (
            z1 * (l1 - torch.logaddexp(l1, l2))[..., None] + z2 * (l2 - torch.logaddexp(l1, l2))[..., None]
        ),
        lambda z1, l1, z2, l2: z1 * l1.exp()[..., None] + z2 * l2.exp()[..., None],
        lambda z1, l1, z2, l2: mix(z1, z2, torch.sigmoid(l1.mean() - l2.mean())),
        lambda z1, l1, z2, l2: mix(z1, z2, torch.softmax(l1, -1)),
        lambda z1, l1, z2, l2: torch.logaddexp(l1, l2),
        lambda z1, l1, z2, l2: mix(z1, z2, torch.sigmoid(2 * (l1 - l2))),
        lambda z1, l1, z2, l2: mix(z1, z2, torch.sigmoid((l1 - l2) / math.sqrt(z1.shape[-1]))),
    ],
}


def ops(h, t, s, d):
    return h * 2 * (2 * t * s * d)


ANSWERS["transformer.attention.cost"] = {
    RIGHT: [
        ops,
        lambda h, t, s, d: 4 * h * t * s * d,
        lambda h, t, s, d: np.int64(ops(h, t, s, d)),
        lambda h, t, s, d: sum((d + d) * t * s + (s + s) * t * d for _ in range(h)),
    ],
    WRONG: [
        lambda h, t, s, d: 2 * h * t * s * d,
        lambda h, t, s, d: h * t * s * d,
        lambda h, t, s, d: 8 * h * t * s * d,
        lambda h, t, s, d: 4 * t * s * d,
        lambda h, t, s, d: 4 * h * t * t * d,
        lambda h, t, s, d: 4 * h * s * s * d,
        lambda h, t, s, d: 4 * h * t * s,
        lambda h, t, s, d: 4 * t * s * d * d,
        lambda h, t, s, d: h * (t * s * (2 * d - 1) + t * d * (2 * s - 1)),
        lambda h, t, s, d: h * (2 * t * s * d + 2 * t * t * d),
        lambda h, t, s, d: h * (2 * t * s * d + 2 * t * s * s),
        lambda h, t, s, d: 2 * h * t * (s + 1) * d,
        lambda h, t, s, d: h * (2 * t * s * d + t * s * d),
        lambda h, t, s, d: 4 * h * t * s * d + 3 * h * t * s,
        lambda h, t, s, d: 4 * (h + t + s + d),
        lambda h, t, s, d: 4 * h * h * t * s * d,
    ],
}

# 03 multi-head attention


def sp(x, h, g, order=(0, 1, 2), cut=None, widths=None):
    B, T, W = x.shape
    d = W // (h + 2 * g)
    counts = (h, g, g)
    parts, at = {}, 0
    for i in order:
        w = counts[i] * d if widths is None else widths(W, d)
        parts[i] = x[..., at : at + w]
        at += w
    cut = cut or (lambda y, n: y.reshape(B, T, n, -1).transpose(1, 2))
    return tuple(cut(parts[i], counts[i]) for i in range(3))


def sp_by_loop(x, h, g):
    d = x.shape[-1] // (h + 2 * g)
    heads = [x[..., i * d : (i + 1) * d] for i in range(h + 2 * g)]
    return torch.stack(heads[:h], 1), torch.stack(heads[h : h + g], 1), torch.stack(heads[h + g :], 1)


ANSWERS["transformer.multi_head_attention.split"] = {
    RIGHT: [
        sp,
        sp_by_loop,
        lambda x, h, g: x.unflatten(-1, (h + 2 * g, -1)).transpose(1, 2).split([h, g, g], dim=1),
        lambda x, h, g: [y.numpy() for y in sp(x, h, g)],
        lambda x, h, g: tuple(
            torch.tensor_split(x.reshape(*x.shape[:2], h + 2 * g, -1).permute(0, 2, 1, 3), (h, h + g), dim=1)
        ),
    ],
    WRONG: [
        lambda x, h, g: sp(x, h, g, cut=lambda y, n: y.reshape(x.shape[0], n, x.shape[1], -1)),
        lambda x, h, g: sp(x, h, g, cut=lambda y, n: y.reshape(*x.shape[:2], n, -1)),
        lambda x, h, g: sp(x, h, g, cut=lambda y, n: y.reshape(*x.shape[:2], -1, n).permute(0, 3, 1, 2)),
        lambda x, h, g: sp(x, h, g, cut=lambda y, n: y.reshape(*x.shape[:2], n, -1).permute(0, 2, 3, 1)),
        lambda x, h, g: sp(x, h, g, cut=lambda y, n: y.reshape(*x.shape[:2], n, -1).permute(2, 0, 1, 3)),
        lambda x, h, g: sp(x, h, g, cut=lambda y, n: y),
        lambda x, h, g: sp(x, h, g, order=(0, 2, 1)),
        lambda x, h, g: sp(x, h, g, order=(1, 2, 0)),
        lambda x, h, g: sp(x, h, g, widths=lambda W, d: W // 3),
        lambda x, h, g: sp(x, h, h),
        lambda x, h, g: sp(x, g, g),
        lambda x, h, g: sp(x, h, g)[:2],
        lambda x, h, g: torch.cat(sp(x, h, g), 1),
        lambda x, h, g: (sp(x, h, g)[0], *(y.repeat_interleave(h // g, 1) for y in sp(x, h, g)[1:])),
        lambda x, h, g: sp(x, h, g)[::-1],
        lambda x, h, g: (sp(x, h, g)[0], sp(x, h, g)[1], sp(x, h, g)[1]),
        lambda x, h, g: tuple(y.flip(1) for y in sp(x, h, g)),
    ],
}
ANSWERS["transformer.multi_head_attention.merge"] = {
    RIGHT: [
        lambda z: torch.cat(list(z.unbind(1)), -1),
        lambda z: torch.cat([z[:, h] for h in range(z.shape[1])], dim=2),
        lambda z: z.permute(0, 2, 1, 3).reshape(z.shape[0], z.shape[2], -1),
        lambda z: z.numpy().swapaxes(1, 2).reshape(z.shape[0], z.shape[2], -1),
        lambda z: z.transpose(1, 2).contiguous().view(z.shape[0], z.shape[2], -1).tolist(),
    ],
    WRONG: [
        lambda z: z.reshape(z.shape[0], z.shape[2], -1),
        lambda z: z.transpose(1, 3).reshape(z.shape[0], z.shape[2], -1),
        lambda z: z.transpose(2, 3).reshape(z.shape[0], z.shape[2], -1),
        lambda z: torch.stack(list(z.unbind(1)), -1).flatten(2),
        lambda z: torch.cat(list(z.unbind(1)), 1),
        lambda z: z.transpose(1, 2),
        lambda z: z.transpose(1, 2).flatten(1),
        lambda z: z.sum(1),
        lambda z: z.mean(1),
        lambda z: z[:, 0],
        lambda z: torch.cat(list(z.unbind(1))[::-1], -1),
        lambda z: torch.cat(list(z.unbind(1)), 0),
        lambda z: z.transpose(1, 2).flatten(2).transpose(1, 2),
        lambda z: z.transpose(0, 2).reshape(z.shape[0], z.shape[2], -1),
        lambda z: z.transpose(1, 2).flatten(0, 1),
        lambda z: z.amax(1),
    ],
}


def att(q, k, v, mask=True, scale=None, dim=-1):
    s = q @ k.transpose(-2, -1) / (q.shape[-1] ** 0.5 if scale is None else scale(q))
    if mask:
        s = s.masked_fill(torch.ones(s.shape[-2:], dtype=torch.bool).triu(1), -INF)
    return s.softmax(dim) @ v


def rep(q, k):
    return torch.repeat_interleave(k, q.shape[1] // k.shape[1], dim=1)


def tile(q, k):
    return torch.tile(k, (1, q.shape[1] // k.shape[1], 1, 1))


def gq_loop(q, k, v):
    each = q.shape[1] // k.shape[1]
    return torch.stack([att(q[:, h], k[:, h // each], v[:, h // each]) for h in range(q.shape[1])], 1)


def gq_folded(q, k, v):
    B, H, T, D = q.shape
    G = k.shape[1]
    z = att(q.reshape(B, G, H // G, T, D), k[:, :, None], v[:, :, None])
    return z.reshape(B, H, T, D)


ANSWERS["transformer.multi_head_attention.grouped"] = {
    RIGHT: [
        gq_loop,
        gq_folded,
        lambda q, k, v: F.scaled_dot_product_attention(q, rep(q, k), rep(q, v), is_causal=True),
        lambda q, k, v: F.scaled_dot_product_attention(q, k, v, is_causal=True, enable_gqa=True),
        lambda q, k, v: att(q, rep(q, k), rep(q, v)).float(),
    ],
    WRONG: [
        lambda q, k, v: att(q, tile(q, k), tile(q, v)),
        lambda q, k, v: att(q, rep(q, k), tile(q, v)),
        lambda q, k, v: att(q, rep(q, k), rep(q, v), mask=False),
        lambda q, k, v: att(q, rep(q, k), rep(q, v), scale=lambda q: 1.0),
        lambda q, k, v: att(q, rep(q, k), rep(q, v), scale=lambda q: q.shape[-1]),
        lambda q, k, v: att(q, rep(q, k), rep(q, v), scale=lambda q: (q.shape[1] * q.shape[-1]) ** 0.5),
        lambda q, k, v: att(q, rep(q, k), rep(q, v), dim=-2),
        lambda q, k, v: att(q, k[:, :1], v[:, :1]),
        lambda q, k, v: att(q, k[:, -1:], v[:, -1:]),
        lambda q, k, v: att(q, k.mean(1, keepdim=True), v.mean(1, keepdim=True)),
        lambda q, k, v: att(q[:, : k.shape[1]], k, v),
        lambda q, k, v: att(q[:, :: q.shape[1] // k.shape[1]], k, v),
        lambda q, k, v: att(q, rep(q, v), rep(q, k)),
        lambda q, k, v: att(q, rep(q, k), rep(q, k)),
        lambda q, k, v: att(q, rep(q, k), rep(q, v)).transpose(1, 2),
        lambda q, k, v: att(q, rep(q, k), rep(q, v)).transpose(1, 2).flatten(2),
        lambda q, k, v: att(q, rep(q, k).flip(1), rep(q, v).flip(1)),
        lambda q, k, v: att(q, k, v),
        lambda q, k, v: (q @ rep(q, k).mT / q.shape[-1] ** 0.5).softmax(-1).tril() @ rep(q, v),
        lambda q, k, v: (q @ rep(q, k).mT / q.shape[-1] ** 0.5).tril().softmax(-1) @ rep(q, v),
    ],
}


def kv(L, N, H, T, D, S, budget, one=None, divides=True, fits=lambda need, budget: need <= budget, top=None):
    one = 2 * L * N * T * D * S if one is None else one
    return max(
        (g for g in range(1, (top or H) + 1) if (H % g == 0 or not divides) and fits(g * one, budget)), default=0
    )


def kv_down(L, N, H, T, D, S, budget):
    g = H
    while g and (H % g or 2 * L * N * g * T * D * S > budget):
        g -= 1
    return g


ANSWERS["transformer.multi_head_attention.sharing"] = {
    RIGHT: [
        kv,
        kv_down,
        lambda L, N, H, T, D, S, b: np.int64(kv(L, N, H, T, D, S, b)),
        lambda L, N, H, T, D, S, b: max(
            [g for g in range(1, H + 1) if H % g == 0 and g <= b // (2 * L * N * T * D * S)] + [0]
        ),
    ],
    WRONG: [
        lambda L, N, H, T, D, S, b: kv(L, N, H, T, D, S, b, one=L * N * T * D * S),
        lambda L, N, H, T, D, S, b: kv(L, N, H, T, D, S, b, one=2 * N * T * D * S),
        lambda L, N, H, T, D, S, b: kv(L, N, H, T, D, S, b, one=2 * L * T * D * S),
        lambda L, N, H, T, D, S, b: kv(L, N, H, T, D, S, b, one=2 * L * N * D * S),
        lambda L, N, H, T, D, S, b: kv(L, N, H, T, D, S, b, one=2 * L * N * T * S),
        lambda L, N, H, T, D, S, b: kv(L, N, H, T, D, S, b, one=2 * L * N * T * D),
        lambda L, N, H, T, D, S, b: kv(L, N, H, T, D, S, b, one=2 * L * N * T * D * S * 8),
        lambda L, N, H, T, D, S, b: kv(L, N, H, T, D, S, b, one=2 * L * N * T * T * D * S),
        lambda L, N, H, T, D, S, b: kv(L, N, H, T, D, S, b, one=2 * L * N * T * D * S // H),
        lambda L, N, H, T, D, S, b: kv(L, N, H, T, D, S, b, divides=False),
        lambda L, N, H, T, D, S, b: b // (2 * L * N * T * D * S),
        lambda L, N, H, T, D, S, b: kv(L, N, H, T, D, S, b, fits=lambda need, b: need < b),
        lambda L, N, H, T, D, S, b: kv(L, N, H, T, D, S, b, top=H - 1),
        lambda L, N, H, T, D, S, b: max(1, kv(L, N, H, T, D, S, b)),
        lambda L, N, H, T, D, S, b: kv(L, N, H, T, D, S, b) or None,
        lambda L, N, H, T, D, S, b: H // max(1, kv(L, N, H, T, D, S, b)),
        lambda L, N, H, T, D, S, b: next(
            (2**i for i in range(9, -1, -1) if H % 2**i == 0 and 2**i * 2 * L * N * T * D * S <= b), 0
        ),
        lambda L, N, H, T, D, S, b: min(H, round(b / (2 * L * N * T * D * S))),
    ],
}

# 04 the feed-forward layer


def sw(x, g, u, d, bend=F.silu):
    return F.linear(bend(F.linear(x, g)) * F.linear(x, u), d)


def sw_np(x, g, u, d):
    x, g, u, d = (each.numpy() for each in (x, g, u, d))
    z = x @ g.T
    return (z / (1 + np.exp(-z)) * (x @ u.T)) @ d.T


ANSWERS["transformer.feed_forward.swiglu"] = {
    RIGHT: [
        sw,
        sw_np,
        lambda x, g, u, d: torch.einsum("btf,cf->btc", nn.SiLU()(x @ g.T) * (x @ u.T), d),
        lambda x, g, u, d: sw(x.float(), g.float(), u.float(), d.float()),
        lambda x, g, u, d: (d @ (F.silu(g @ x.mT) * (u @ x.mT))).mT,
    ],
    WRONG: [
        lambda x, g, u, d: sw(x, g, u, d, torch.sigmoid),
        lambda x, g, u, d: sw(x, g, u, d, F.gelu),
        lambda x, g, u, d: sw(x, g, u, d, F.relu),
        lambda x, g, u, d: sw(x, g, u, d, torch.tanh),
        lambda x, g, u, d: sw(x, g, u, d, lambda y: y),
        lambda x, g, u, d: sw(x, g, u, d, F.mish),
        lambda x, g, u, d: sw(x, g, u, d, F.softplus),
        lambda x, g, u, d: sw(x, u, g, d),
        lambda x, g, u, d: F.silu(x @ g.T * (x @ u.T)) @ d.T,
        lambda x, g, u, d: (F.silu(x @ g.T) + x @ u.T) @ d.T,
        lambda x, g, u, d: F.silu(x @ g.T) @ d.T,
        lambda x, g, u, d: F.silu(x @ u.T) @ d.T,
        lambda x, g, u, d: F.silu(x @ g.T) * (x @ u.T),
        lambda x, g, u, d: F.silu((F.silu(x @ g.T) * (x @ u.T)) @ d.T),
        lambda x, g, u, d: sw(x, g, u, d) + x,
        lambda x, g, u, d: F.silu(x @ g.T) * (x @ u.T) @ d,
        lambda x, g, u, d: sw(x, g, u, d, lambda y: y * torch.exp(y)),
        lambda x, g, u, d: sw(x, g, u, d, lambda y: y / (1 + torch.exp(y))),
        lambda x, g, u, d: F.silu(x @ g.T) @ d.T * (F.silu(x @ u.T) @ d.T),
    ],
}


def up_to(w, m):
    return math.ceil(w / m) * m


ANSWERS["transformer.feed_forward.width"] = {
    RIGHT: [
        lambda f, m: up_to(2 * f // 3, m),
        lambda f, m: (2 * f // 3 + m - 1) // m * m,
        lambda f, m: m * -(-(f // 3 * 2) // m),
        lambda f, m: next(w for w in range(f // 3 * 2, 10**6) if w % m == 0),
        lambda f, m: 2 * f // 3 + -(2 * f // 3) % m,
    ],
    WRONG: [
        lambda f, m: 2 * f // 3,
        lambda f, m: 2 * f / 3,
        lambda f, m: 2 * f // 3 // m * m,
        lambda f, m: (2 * f // 3 // m + 1) * m,
        lambda f, m: (2 * f // 3 + m) // m * m,
        lambda f, m: round(2 * f / 3 / m) * m,
        lambda f, m: up_to(f, m),
        lambda f, m: up_to(f // 2, m),
        lambda f, m: up_to(f // 3, m),
        lambda f, m: up_to(3 * f // 2, m),
        lambda f, m: up_to(3 * f // 4, m),
        lambda f, m: 2 * up_to(f, m) // 3,
        lambda f, m: 2 * up_to(f // 3, m),
        lambda f, m: up_to(2 * f // 3, m) // m,
        lambda f, m: up_to(8 * f // 3, m),
        lambda f, m: math.ceil(2 * f / 3 / m),
        lambda f, m: up_to(2 * f // 3, 64),
        lambda f, m: up_to(2 * f // 3 + 1, m),
        lambda f, m: 2 * f // 3 + m - 2 * f // 3 % m,
    ],
}


def top(s, k):
    return s >= s.topk(k, -1).values[:, -1:]


def ga_loop(s, k):
    out = torch.zeros_like(s)
    for i, row in enumerate(s):
        best = sorted(range(len(row)), key=lambda e: -row[e].item())[:k]
        for e, w in zip(best, torch.softmax(row[best], 0), strict=True):
            out[i, e] = w
    return out


ANSWERS["transformer.feed_forward.gates"] = {
    RIGHT: [
        ga_loop,
        lambda s, k: torch.zeros_like(s).scatter(1, s.topk(k).indices, s.topk(k).values.softmax(-1)),
        lambda s, k: torch.where(top(s, k), s, -INF).softmax(-1).numpy(),
        lambda s, k: F.normalize(s.softmax(-1) * top(s, k), p=1, dim=-1, eps=0.0),
        lambda s, k: torch.zeros(s.shape).scatter(1, s.topk(k).indices, s.topk(k).values.softmax(-1).float()),
    ],
    WRONG: [
        lambda s, k: s.softmax(-1),
        lambda s, k: s.softmax(-1) * top(s, k),
        lambda s, k: (s * top(s, k)).softmax(-1),
        lambda s, k: s.topk(k).values.softmax(-1),
        lambda s, k: torch.where(top(-s, k), s, -INF).softmax(-1),
        lambda s, k: torch.where(top(s, 2), s, -INF).softmax(-1),
        lambda s, k: torch.where(top(s, 1), s, -INF).softmax(-1),
        lambda s, k: torch.where(s > s.topk(k).values[:, -1:], s, -INF).softmax(-1),
        lambda s, k: top(s, k).double() / k,
        lambda s, k: top(s, k).double(),
        lambda s, k: torch.where(top(s, k), s, -INF).softmax(0),
        lambda s, k: torch.where(top(s, k), s.sigmoid(), 0.0),
        lambda s, k: F.normalize(torch.where(top(s, k), s.sigmoid(), 0.0), p=1, dim=-1),
        lambda s, k: F.normalize(s * top(s, k), p=1, dim=-1),
        lambda s, k: F.normalize(s.softmax(-1) * top(s, k), dim=-1),
        lambda s, k: torch.zeros_like(s).index_copy(1, s.topk(k).indices[0], s.topk(k).values.softmax(-1)),
        lambda s, k: torch.where(top(s, k), s.softmax(-1), 0.0).softmax(-1),
        lambda s, k: torch.where(s >= s.flatten().topk(k).values[-1], s, -INF).softmax(-1),
        lambda s, k: torch.zeros_like(s).scatter(1, s.topk(k).indices, s.topk(k).values.softmax(-1).flip(-1)),
        lambda s, k: torch.where(top(s, k), s, -INF).log_softmax(-1),
    ],
}


def ba(p, c, f=None, P=None, factor=None):
    E = p.shape[1]
    f = torch.bincount(c.flatten(), minlength=E) / c.numel() if f is None else f(p, c)
    P = p.mean(0) if P is None else P(p)
    return (E if factor is None else factor(p, c)) * (f * P).sum()


def ba_loop(p, c):
    counted = Counter(c.flatten().tolist())
    E = p.shape[1]
    return E * sum(counted[e] / c.numel() * p[:, e].mean().item() for e in range(E))


def counts(p, c):
    return torch.bincount(c.flatten(), minlength=p.shape[1]).double()


ANSWERS["transformer.feed_forward.balance"] = {
    RIGHT: [
        ba,
        ba_loop,
        lambda p, c: ba(p, c).item(),
        lambda p, c: p.shape[1] * (F.one_hot(c, p.shape[1]).double().mean((0, 1)) @ p.mean(0)),
        lambda p, c: (
            p.shape[1] * np.dot(np.bincount(c.numpy().ravel(), minlength=p.shape[1]) / c.numel(), p.numpy().mean(0))
        ),
    ],
    WRONG: [
        lambda p, c: ba(p, c, factor=lambda p, c: 1),
        lambda p, c: ba(p, c, factor=lambda p, c: c.shape[1]),
        lambda p, c: ba(p, c, factor=lambda p, c: len(p)),
        lambda p, c: ba(p, c, factor=lambda p, c: p.shape[1] ** 2),
        lambda p, c: ba(p, c, f=lambda p, c: counts(p, c) / len(p)),
        lambda p, c: ba(p, c, f=counts),
        lambda p, c: ba(p, c, f=lambda p, c: p.mean(0)),
        lambda p, c: ba(p, c, P=lambda p: p.sum(0)),
        lambda p, c: ba(p, c, P=lambda p: p.max(0).values),
        lambda p, c: ba(p, c, f=lambda p, c: counts(p, c[:, :1]) / len(p)),
        lambda p, c: p.shape[1] * ((counts(p, c) / c.numel()) ** 2).sum(),
        lambda p, c: p.shape[1] * (counts(p, c) / c.numel() * p.mean(0)),
        lambda p, c: p.shape[1] * (counts(p, c) / c.numel() * p.mean(0)).mean(),
        lambda p, c: -(counts(p, c) / c.numel() * p.mean(0).log()).sum(),
        lambda p, c: p.gather(1, c).mean() * p.shape[1],
        lambda p, c: (counts(p, c) / c.numel() - p.mean(0)).abs().sum(),
        lambda p, c: p.shape[1] * (torch.bincount(c.flatten()) / c.numel() * p.mean(0)).sum(),
        lambda p, c: ba(p, c) - 1,
        lambda p, c: (counts(p, c) / c.numel()).var(),
    ],
}
