"""Answers that readers might give to chapter 05 of part 5: right ones in other styles, and wrong ones.

Used by test_answers.py.
"""

import numpy as np
import torch

RIGHT, WRONG = "right", "wrong"


def k3(x, y):
    return (x @ y.T / x.shape[1] + 1) ** 3


def off_diagonal(k):
    return k[~torch.eye(len(k), dtype=torch.bool)].mean()


def by_loops(x, y):
    def k(a, b):
        return (float(a @ b) / len(a) + 1) ** 3

    xx = [k(x[i], x[j]) for i in range(len(x)) for j in range(len(x)) if i != j]
    yy = [k(y[i], y[j]) for i in range(len(y)) for j in range(len(y)) if i != j]
    xy = [k(a, b) for a in x for b in y]
    return sum(xx) / len(xx) + sum(yy) / len(yy) - 2 * sum(xy) / len(xy)


def upper(k):
    return k[torch.triu_indices(len(k), len(k), 1).unbind()].mean()


def numpy_kid(x, y):
    x, y = x.numpy(), y.numpy()
    k = lambda a, b: (np.einsum("nd,md->nm", a, b) / a.shape[1] + 1) ** 3  # noqa: E731
    n, m = len(x), len(y)
    return (
        (k(x, x).sum() - np.trace(k(x, x))) / n / (n - 1)
        + (k(y, y).sum() - np.trace(k(y, y))) / m / (m - 1)
        - 2 * k(x, y).mean()
    )


def distances(x, y):
    return (x[:, None] - y[None]).square().sum(-1).sqrt()


def radii(x, k):
    return distances(x, x).sort(1).values[:, k]


def recall_by_loops(drawn, real, k):
    sizes = [sorted(float((a - b).norm()) for j, b in enumerate(drawn) if j != i)[k - 1] for i, a in enumerate(drawn)]
    inside = [any(float((r - a).norm()) <= size for a, size in zip(drawn, sizes, strict=True)) for r in real]
    return sum(inside) / len(inside)


def recall_by_mask(drawn, real, k):
    own = torch.cdist(drawn, drawn)
    own.fill_diagonal_(float("inf"))
    size = own.kthvalue(k).values
    return float((torch.cdist(real, drawn) - size <= 0).any(-1).float().double().mean())


def recall_by_topk(drawn, real, k):
    size = torch.cdist(drawn, drawn).topk(k + 1, largest=False).values[:, -1]
    return sum(bool((torch.cdist(r[None], drawn)[0] <= size).any()) for r in real) / len(real)


def recall_by_numpy(drawn, real, k):
    d, r = drawn.numpy(), real.numpy()
    own = np.sort(np.linalg.norm(d[:, None] - d[None], axis=-1), axis=1)[:, k]
    return np.mean((np.linalg.norm(r[:, None] - d[None], axis=-1) <= own).any(1))


ANSWERS = {
    "images.measuring_pictures.frechet": {
        RIGHT: [
            lambda m, s, a, b: ((m - a) ** 2 + (s - b) ** 2).sum(),
            lambda m, s, a, b: float(((m - a) ** 2).sum() + (s**2 + b**2 - 2 * s * b).sum()),
            lambda m, s, a, b: sum((p - q) ** 2 + (u - v) ** 2 for p, u, q, v in zip(m, s, a, b, strict=True)),
            lambda m, s, a, b: torch.cat([m - a, s - b]).norm() ** 2,
            lambda m, s, a, b: torch.dot(m - a, m - a) + torch.dot(b - s, b - s),
        ],
        WRONG: [
            lambda m, s, a, b: ((m - a) ** 2).sum(),
            lambda m, s, a, b: ((s - b) ** 2).sum(),
            lambda m, s, a, b: torch.cat([m - a, s - b]).norm(),
            lambda m, s, a, b: ((m - a) ** 2).mean() + ((s - b) ** 2).mean(),
            lambda m, s, a, b: ((m - a) ** 2).sum() + ((s**2 - b**2) ** 2).sum(),
            lambda m, s, a, b: ((m - a) ** 2).sum() + (s**2 + b**2).sum(),
            lambda m, s, a, b: ((m - a) ** 2).sum() + (s**2 + b**2 - s * b).sum(),
            lambda m, s, a, b: ((m - a) ** 2).sum() + (s + b - 2 * (s * b).sqrt()).sum(),
            lambda m, s, a, b: (m - a).abs().sum() + ((s - b) ** 2).sum(),
            lambda m, s, a, b: ((m - a) ** 2).sum() + (s - b).abs().sum(),
            lambda m, s, a, b: (m - a) ** 2 + (s - b) ** 2,
            lambda m, s, a, b: ((m + a) ** 2).sum() + ((s - b) ** 2).sum(),
            lambda m, s, a, b: ((m - a) ** 2).sum() + ((s + b) ** 2).sum(),
            lambda m, s, a, b: ((m - a) ** 2).sum() - ((s - b) ** 2).sum(),
            lambda m, s, a, b: (m - a).sum() ** 2 + (s - b).sum() ** 2,
            lambda m, s, a, b: ((m - a) ** 2).sum() + (s**2 + b**2 - 2 * (s * b) ** 2).sum(),
        ],
    },
    "images.measuring_pictures.kid": {
        RIGHT: [
            by_loops,
            numpy_kid,
            lambda x, y: off_diagonal(k3(x, x)) + off_diagonal(k3(y, y)) - 2 * k3(x, y).mean(),
            lambda x, y: upper(k3(x, x)) + upper(k3(y, y)) - 2 * k3(y, x).mean(),
            lambda x, y: float(off_diagonal(k3(x, x)) - k3(x, y).mean() + off_diagonal(k3(y, y)) - k3(x, y).mean()),
        ],
        WRONG: [
            lambda x, y: k3(x, x).mean() + k3(y, y).mean() - 2 * k3(x, y).mean(),
            lambda x, y: off_diagonal(k3(x, x)) + off_diagonal(k3(y, y)) - k3(x, y).mean(),
            lambda x, y: off_diagonal(k3(x, x)) + off_diagonal(k3(y, y)),
            lambda x, y: off_diagonal(k3(x, x)) - k3(x, y).mean(),
            lambda x, y: off_diagonal(k3(y, y)) - 2 * k3(x, y).mean(),
            lambda x, y: 2 * k3(x, y).mean() - off_diagonal(k3(x, x)) - off_diagonal(k3(y, y)),
            lambda x, y: (off_diagonal(k3(x, x)) + off_diagonal(k3(y, y)) - 2 * k3(x, y).mean()).abs(),
            lambda x, y: max(0.0, float(off_diagonal(k3(x, x)) + off_diagonal(k3(y, y)) - 2 * k3(x, y).mean())),
            lambda x, y: (
                (k3(x, x).sum() - k3(x, x).trace()) / len(x) ** 2
                + (k3(y, y).sum() - k3(y, y).trace()) / len(y) ** 2
                - 2 * k3(x, y).mean()
            ),
            lambda x, y: k3(x, x).fill_diagonal_(0).mean() + k3(y, y).fill_diagonal_(0).mean() - 2 * k3(x, y).mean(),
            lambda x, y: upper(k3(x, x)) / 2 + upper(k3(y, y)) / 2 - 2 * k3(x, y).mean(),
            lambda x, y: upper((x @ x.T + 1) ** 3) + upper((y @ y.T + 1) ** 3) - 2 * ((x @ y.T + 1) ** 3).mean(),
            lambda x, y: (
                upper((x @ x.T / x.shape[1] + 1) ** 2)
                + upper((y @ y.T / x.shape[1] + 1) ** 2)
                - 2 * ((x @ y.T / x.shape[1] + 1) ** 2).mean()
            ),
            lambda x, y: (
                upper((x @ x.T / x.shape[1]) ** 3)
                + upper((y @ y.T / x.shape[1]) ** 3)
                - 2 * ((x @ y.T / x.shape[1]) ** 3).mean()
            ),
            lambda x, y: (
                upper((x @ x.T / x.shape[1] ** 0.5 + 1) ** 3)
                + upper((y @ y.T / x.shape[1] ** 0.5 + 1) ** 3)
                - 2 * ((x @ y.T / x.shape[1] ** 0.5 + 1) ** 3).mean()
            ),
            lambda x, y: (x.mean(0) - y.mean(0)).square().sum(),
        ],
    },
    "images.measuring_pictures.recall": {
        RIGHT: [recall_by_loops, recall_by_mask, recall_by_topk, recall_by_numpy],
        WRONG: [
            lambda x, y, k: (distances(x, y) <= radii(y, k)).any(1).double().mean(),
            lambda x, y, k: (distances(y, x) <= radii(x, k - 1)).any(1).double().mean(),
            lambda x, y, k: (distances(y, x) <= radii(x, k + 1)).any(1).double().mean(),
            lambda x, y, k: (distances(y, x) <= radii(x, k)).all(1).double().mean(),
            lambda x, y, k: (distances(y, x) <= radii(x, k)).any(0).double().mean(),
            lambda x, y, k: (distances(y, x) <= radii(x, k)).double().mean(),
            lambda x, y, k: (distances(y, x) <= radii(x, k)).any(1).sum(),
            lambda x, y, k: (distances(y, x) > radii(x, k)).any(1).double().mean(),
            lambda x, y, k: 1 - (distances(y, x) <= radii(x, k)).any(1).double().mean(),
            lambda x, y, k: (distances(y, x) < radii(x, k)).any(1).double().mean(),
            lambda x, y, k: (distances(y, x) <= radii(x, k).mean()).any(1).double().mean(),
            lambda x, y, k: (distances(y, x) <= radii(x, k).max()).any(1).double().mean(),
            lambda x, y, k: (distances(y, x) <= radii(x, k).median()).any(1).double().mean(),
            lambda x, y, k: (distances(y, x) <= radii(x, 1)).any(1).double().mean(),
            lambda x, y, k: (distances(y, x) ** 2 <= radii(x, k)).any(1).double().mean(),
            lambda x, y, k: (distances(y, x) <= radii(y, k)[:, None]).any(1).double().mean(),
        ],
    },
}
