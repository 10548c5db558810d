"""Answers that readers might give to chapter 09 of part 5: right ones in other styles, and wrong ones.

Used by test_answers.py.
"""

import math

import torch
from torch.nn import functional as F

RIGHT, WRONG = "right", "wrong"


def by_words(q, k, v, mask):
    if not mask.any():
        return q.new_zeros(len(q), v.shape[1])
    return F.softmax(q @ k[mask].T * q.shape[-1] ** -0.5, dim=-1) @ v[mask]


def by_the_library(q, k, v, mask):
    if mask.sum() == 0:
        return q * 0
    return F.scaled_dot_product_attention(q[None], k[None], v[None], attn_mask=mask[None, None].expand(1, len(q), -1))[
        0
    ]


def by_nan(q, k, v, mask):
    s = torch.where(mask, torch.einsum("td,ld->tl", q, k) / math.sqrt(q.size(1)), torch.tensor(-torch.inf).double())
    return torch.nan_to_num(torch.softmax(s, -1)) @ v


def by_loops(q, k, v, mask):
    found = torch.zeros(len(q), v.shape[1], dtype=q.dtype)
    there = [j for j in range(len(k)) if mask[j]]
    for i in range(len(q)):
        s = [float(q[i] @ k[j]) / len(q[i]) ** 0.5 for j in there]
        e = [math.exp(each - max(s)) for each in s]
        for j, each in zip(there, e, strict=True):
            found[i] += each / sum(e) * v[j]
    return found


def scored(q, k):
    return q @ k.T / q.shape[1] ** 0.5


def hidden(q, k, m, value=float("-inf")):
    return scored(q, k).masked_fill(~m, value)


def by_match(a, r, b):
    match r:
        case "below":
            return b, "above", a
        case "right of":
            return b, "left of", a
    return a, r, b


def by_cases(a, r, b):
    if r == "below" or r == "right of":
        a, b = b, a
        r = "above" if r == "below" else "left of"
    return (a, r, b)


def by_index(a, r, b):
    relations = ["above", "left of", "below", "right of"]
    at = relations.index(r)
    return ([a, b][at // 2], relations[at % 2], [b, a][at // 2])


def by_replacing(a, r, b):
    turned = r.replace("below", "above").replace("right", "left")
    return (a, r, b) if turned == r else (b, turned, a)


ANSWERS = {
    "images.text_conditioning.cross_attention": {
        RIGHT: [by_words, by_the_library, by_nan, by_loops],
        WRONG: [
            lambda q, k, v, m: scored(q, k).softmax(-1) @ v,
            lambda q, k, v, m: by_words(q, k, v, ~m),
            lambda q, k, v, m: hidden(q, k, m, 0.0).softmax(-1) @ v,
            lambda q, k, v, m: scored(q, k).softmax(-1).masked_fill(~m, 0) @ v,
            lambda q, k, v, m: hidden(q, k, m).softmax(-1) @ v,
            lambda q, k, v, m: hidden(q, k, m, -1e9).softmax(-1) @ v,
            lambda q, k, v, m: by_words(q * q.shape[1] ** 0.5, k, v, m),
            lambda q, k, v, m: by_words(q / q.shape[1] ** 0.5, k, v, m),
            lambda q, k, v, m: hidden(q, k, m, -1e9).softmax(0) @ v,
            lambda q, k, v, m: scored(q, k).softmax(0).masked_fill(~m, 0) @ v,
            lambda q, k, v, m: (scored(q, k) * m) @ v,
            lambda q, k, v, m: by_words(q, k, k, m),
            lambda q, k, v, m: by_words(q, v, k, m),
            lambda q, k, v, m: v[m].mean(0).repeat(len(q), 1) if m.any() else torch.zeros_like(q),
            lambda q, k, v, m: q + by_words(q, k, v, m),
            lambda q, k, v, m: by_words(q, k, v, m) / max(1, int(m.sum())),
            lambda q, k, v, m: by_words(q, k, v, m) if m.any() else v.mean(0).repeat(len(q), 1),
        ],
    },
    "images.text_conditioning.canonical": {
        RIGHT: [by_match, by_cases, by_index, by_replacing],
        WRONG: [
            lambda a, r, b: (a, r, b),
            lambda a, r, b: (b, r, a),
            lambda a, r, b: (a, by_match(a, r, b)[1], b),
            lambda a, r, b: (by_match(a, r, b)[0], r, by_match(a, r, b)[2]),
            lambda a, r, b: (b, "above", a) if r == "below" else (a, r, b),
            lambda a, r, b: (b, "left of", a) if r == "right of" else (a, r, b),
            lambda a, r, b: (b, "left of", a) if r in ("below", "right of") else (a, r, b),
            lambda a, r, b: (b, "above", a) if r in ("below", "right of") else (a, r, b),
            lambda a, r, b: tuple(reversed(by_match(a, r, b))),
            lambda a, r, b: (min(a, b), r, max(a, b)),
            lambda a, r, b: (min(a, b), by_match(a, r, b)[1], max(a, b)),
            lambda a, r, b: (by_match(a, r, b)[1], by_match(a, r, b)[0], by_match(a, r, b)[2]),
            lambda a, r, b: (by_match(a, r, b)[0], "", by_match(a, r, b)[2]),
            lambda a, r, b: (
                (a, r, b) if r in ("below", "right of") else (b, {"above": "below", "left of": "right of"}[r], a)
            ),
            lambda a, r, b: (
                b,
                {"above": "below", "below": "above", "left of": "right of", "right of": "left of"}[r],
                a,
            ),
            lambda a, r, b: (
                a,
                {"above": "below", "below": "above", "left of": "right of", "right of": "left of"}[r],
                b,
            ),
            lambda a, r, b: " ".join(by_match(a, r, b)),
        ],
    },
}
