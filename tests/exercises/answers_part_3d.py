"""Answers that readers might give to chapters 03 and 05 of part 3: right ones in other styles, and wrong ones.

Few of the wrong ones are in the catalogues, and then by another way. Used by test_answers.py.
"""

import bisect

import numpy as np
import torch
from torch.nn import functional as F

RIGHT, WRONG = "right", "wrong"
ANSWERS = {}

# pack: lengths, row_length -> rows


def by_full(lengths, row_length, key=lambda i, lengths: (-lengths[i], i), best=max, fits=lambda sum, cap: sum <= cap):
    """Rows by what is in them, not by their room."""
    rows = []
    for i in sorted(range(len(lengths)), key=lambda i: key(i, lengths)):
        full = [sum(lengths[j] for j in row) for row in rows]
        fitting = [r for r in range(len(rows)) if fits(full[r] + lengths[i], row_length)]
        if fitting:
            rows[best(fitting, key=lambda r: full[r])].append(i)
        else:
            rows.append([i])
    return rows


def by_bisection(lengths, row_length):
    rows, free = [], []
    for i in np.argsort(-np.array(lengths), kind="stable").tolist():
        at = bisect.bisect_left(free, (lengths[i], -1))
        room, row = free.pop(at) if at < len(free) else (row_length, len(rows))
        if row == len(rows):
            rows.append([])
        rows[row].append(i)
        bisect.insort(free, (room - lengths[i], row))
    return rows


def in_order(i, lengths):
    return i


def shortest(i, lengths):
    return lengths[i], i


def first(fitting, key):
    return fitting[0]


def last(fitting, key):
    return fitting[-1]


def last_of_full(fitting, key):
    return max(fitting, key=lambda row: (key(row), row))


def one_row_at_a_time(lengths, row_length):
    left, rows = list(range(len(lengths))), []
    while left:
        room, row = row_length, []
        for i in list(left):
            if lengths[i] <= room:
                row.append(i)
                left.remove(i)
                room -= lengths[i]
        rows.append(row)
    return rows


ANSWERS["finetuning.loss_masks_and_packing.pack"] = {
    RIGHT: [
        by_full,
        by_bisection,
        lambda lengths, row_length: tuple(tuple(row) for row in by_full(lengths, row_length)),
        lambda lengths, row_length: [np.array(row).tolist() for row in by_bisection(lengths, row_length)],
    ],
    WRONG: [
        lambda lengths, row_length: by_full(lengths, row_length, key=in_order),
        lambda lengths, row_length: by_full(lengths, row_length, best=first),
        lambda lengths, row_length: by_full(lengths, row_length, key=in_order, best=first),
        lambda lengths, row_length: by_full(lengths, row_length, best=min),
        lambda lengths, row_length: by_full(lengths, row_length, key=shortest),
        lambda lengths, row_length: by_full(lengths, row_length, fits=lambda sum, cap: sum < cap),
        lambda lengths, row_length: by_full(lengths, row_length, fits=lambda sum, cap: True),
        lambda lengths, row_length: by_full(lengths, row_length, best=last_of_full),
        lambda lengths, row_length: by_full(lengths, row_length, key=lambda i, lengths: (-lengths[i], -i)),
        lambda lengths, row_length: by_full(sorted(lengths, reverse=True), row_length),
        lambda lengths, row_length: [[lengths[i] for i in row] for row in by_full(lengths, row_length)],
        lambda lengths, row_length: [[i] for i in range(len(lengths))],
        lambda lengths, row_length: [sorted(row)[::-1] for row in by_full(lengths, row_length)],
        lambda lengths, row_length: by_full(lengths, row_length)[::-1],
        lambda lengths, row_length: len(by_full(lengths, row_length)),
        lambda lengths, row_length: by_full(lengths, row_length)[:-1],
        one_row_at_a_time,
    ],
}

# mask: segments -> who may read whom


def by_loops(segments):
    B, T = segments.shape
    found = torch.zeros(B, T, T, dtype=torch.bool)
    for b in range(B):
        for i in range(T):
            for j in range(i + 1):
                found[b, i, j] = segments[b, i] == segments[b, j] and segments[b, i] >= 0
    return found


def equal(segments):
    return segments.unsqueeze(2) == segments.unsqueeze(1)


def there(segments):
    return (segments >= 0).unsqueeze(2)


ANSWERS["finetuning.loss_masks_and_packing.mask"] = {
    RIGHT: [
        by_loops,
        lambda segments: torch.tril(equal(segments)) & there(segments),
        lambda segments: by_loops(segments).numpy(),
        lambda segments: by_loops(segments).tolist(),
    ],
    WRONG: [
        lambda segments: equal(segments).tril(),
        lambda segments: equal(segments) & there(segments),
        lambda segments: equal(segments),
        lambda segments: torch.ones_like(equal(segments)).tril(),
        lambda segments: torch.ones_like(equal(segments)).tril() & there(segments),
        lambda segments: by_loops(segments).transpose(1, 2),
        lambda segments: torch.triu(equal(segments)) & there(segments),
        lambda segments: ~by_loops(segments),
        lambda segments: torch.tril(equal(segments), -1) & there(segments),
        lambda segments: by_loops(segments)[0],
        lambda segments: by_loops(segments)[:, 0],
        lambda segments: torch.zeros_like(equal(segments)),
        lambda segments: (segments.unsqueeze(2) >= segments.unsqueeze(1)).tril() & there(segments),
        lambda segments: torch.tril(~equal(segments)) & there(segments),
        lambda segments: by_loops(segments[:, 1:]),
        lambda segments: torch.zeros(equal(segments).shape).masked_fill(~by_loops(segments), float("-inf")),
    ],
}

# accumulate: parts -> the loss of the one large batch


def sums_of(parts):
    return [float((losses * mask).sum()) for losses, mask in parts], [int(mask.sum()) for _, mask in parts]


ANSWERS["finetuning.loss_masks_and_packing.accumulate"] = {
    RIGHT: [
        lambda parts: sum(sums_of(parts)[0]) / sum(sums_of(parts)[1]),
        lambda parts: torch.cat([losses.masked_select(mask) for losses, mask in parts]).mean(),
        lambda parts: np.concatenate([losses.numpy()[mask.numpy()] for losses, mask in parts]).mean(),
        lambda parts: sum(
            losses[mask].mean() * mask.sum() / sum(sums_of(parts)[1]) for losses, mask in parts
        ),
    ],
    WRONG: [
        lambda parts: np.mean([s / n for s, n in zip(*sums_of(parts), strict=True)]),
        lambda parts: sum(s / n for s, n in zip(*sums_of(parts), strict=True)),
        lambda parts: torch.cat([losses.flatten() for losses, _ in parts]).mean(),
        lambda parts: torch.stack([losses.mean() for losses, _ in parts]).mean(),
        lambda parts: torch.stack([(losses * mask).mean() for losses, mask in parts]).mean(),
        lambda parts: sum(sums_of(parts)[0]) / sum(losses.numel() for losses, _ in parts),
        lambda parts: sum(sums_of(parts)[0]) / len(parts),
        lambda parts: sum(sums_of(parts)[0]) / sum(len(losses) for losses, _ in parts),
        lambda parts: sum(sums_of(parts)[0]),
        lambda parts: sums_of(parts)[0][-1] / sums_of(parts)[1][-1],
        lambda parts: sums_of(parts)[0][0] / sums_of(parts)[1][0],
        lambda parts: sum(sums_of(parts)[0]) / sums_of(parts)[1][-1],
        lambda parts: -sum(sums_of(parts)[0]) / sum(sums_of(parts)[1]),
        lambda parts: torch.cat([losses[~mask] for losses, mask in parts]).mean(),
        lambda parts: torch.cat([losses[mask] for losses, mask in parts]).median(),
        lambda parts: [s / n for s, n in zip(*sums_of(parts), strict=True)],
    ],
}  # fmt: skip

# count: the parameters of an adapter


def rows_and_columns(shapes, rank, share=False):
    extra = sum(rank * rows + rank * columns for rows, columns in shapes)
    return extra / sum(rows * columns for rows, columns in shapes) if share else extra


ANSWERS["finetuning.lora.count"] = {
    RIGHT: [
        rows_and_columns,
        lambda shapes, rank: int(np.sum(shapes) * rank),
        lambda shapes, rank: sum(
            torch.zeros(rank, columns).numel() + torch.zeros(rows, rank).numel() for rows, columns in shapes
        ),
        lambda shapes, rank: float(rank * sum(map(sum, shapes))),
    ],
    WRONG: [
        lambda shapes, rank: sum(rank * rows * columns for rows, columns in shapes),
        lambda shapes, rank: sum(rows * columns for rows, columns in shapes),
        lambda shapes, rank: sum(rows + columns for rows, columns in shapes),
        lambda shapes, rank: sum(rank * rows for rows, _ in shapes),
        lambda shapes, rank: sum(rank * columns for _, columns in shapes),
        lambda shapes, rank: 2 * rows_and_columns(shapes, rank),
        lambda shapes, rank: rows_and_columns(shapes, rank, share=True),
        lambda shapes, rank: rows_and_columns(shapes[:1], rank),
        lambda shapes, rank: rows_and_columns(shapes[-1:], rank),
        lambda shapes, rank: len(shapes) * rows_and_columns(shapes[:1], rank),
        lambda shapes, rank: rows_and_columns(shapes, rank) + sum(rows * columns for rows, columns in shapes),
        lambda shapes, rank: sum(rank * rows + rank * columns + rank * rank for rows, columns in shapes),
        lambda shapes, rank: sum(2 * rank * rows for rows, _ in shapes),
        lambda shapes, rank: sum(2 * rank * max(shape) for shape in shapes),
        lambda shapes, rank: rank * rank * len(shapes),
        lambda shapes, rank: rows_and_columns(shapes, rank) / 2,
        lambda shapes, rank: sum(rows * columns - rank * (rows + columns) for rows, columns in shapes),
    ],
}

# forward: x, W, A, B, alpha -> y


def two_products(x, W, A, B, alpha):
    return F.linear(x, W) + alpha / A.shape[0] * F.linear(F.linear(x, A), B)


def beside(x, W, A, B, alpha, scale):
    return x @ W.T + scale * (x @ A.T) @ B.T


ANSWERS["finetuning.lora.forward"] = {
    RIGHT: [
        two_products,
        lambda x, W, A, B, alpha: x @ (W + alpha / len(A) * B @ A).T,
        lambda x, W, A, B, alpha: torch.einsum("ni,oi->no", x, W + alpha / B.shape[1] * torch.mm(B, A)),
        lambda x, W, A, B, alpha: two_products(x, W, A, B, alpha).numpy(),
    ],
    WRONG: [
        lambda x, W, A, B, alpha: beside(x, W, A, B, alpha, 1),
        lambda x, W, A, B, alpha: beside(x, W, A, B, alpha, alpha),
        lambda x, W, A, B, alpha: beside(x, W, A, B, alpha, 1 / A.shape[0]),
        lambda x, W, A, B, alpha: beside(x, W, A, B, alpha, alpha / A.shape[0] ** 0.5),
        lambda x, W, A, B, alpha: beside(x, W, A, B, alpha, A.shape[0] / alpha),
        lambda x, W, A, B, alpha: beside(x, W, A, B, alpha, alpha / A.shape[1]),
        lambda x, W, A, B, alpha: beside(x, W, A, B, alpha, alpha / B.shape[0]),
        lambda x, W, A, B, alpha: beside(x, W, A, B, alpha, -alpha / A.shape[0]),
        lambda x, W, A, B, alpha: beside(x, 0 * W, A, B, alpha, alpha / A.shape[0]),
        lambda x, W, A, B, alpha: beside(x, W, A, B, alpha, 0),
        lambda x, W, A, B, alpha: alpha / A.shape[0] * beside(x, W, A, B, alpha, 1),
        lambda x, W, A, B, alpha: x @ W + alpha / A.shape[0] * (x @ A.T) @ B.T,
        lambda x, W, A, B, alpha: x @ W.T + alpha / A.shape[0] * x @ B @ A,
        lambda x, W, A, B, alpha: W + alpha / A.shape[0] * B @ A,
        lambda x, W, A, B, alpha: alpha / A.shape[0] * B @ A,
        lambda x, W, A, B, alpha: two_products(x, W, A, B, alpha).T,
        lambda x, W, A, B, alpha: beside(x, W, A, B, alpha, alpha / (2 * A.shape[0])),
    ],
}
