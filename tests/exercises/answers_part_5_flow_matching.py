"""Answers that readers might give to the exercises on flow matching: right ones in other styles, and wrong ones.

Used by test_answers.py.
"""

import math

import torch

RIGHT, WRONG = "right", "wrong"
ANSWERS = {}


def weights_of(points, x, t, scale=None, centre=None):
    """Bayes' rule written out, point by point."""
    s = (1 - t) if scale is None else scale
    rows = []
    for place in x.tolist():
        logs = [
            -sum((a - (t if centre is None else centre) * b) ** 2 for a, b in zip(place, point, strict=True))
            / (2 * s * s)
            for point in points.tolist()
        ]
        top = max(logs)
        found = [math.exp(each - top) for each in logs]
        rows.append([each / sum(found) for each in found])
    return torch.tensor(rows, dtype=x.dtype)


def by_loops(points, x, t):
    return [[sum(w * (p[i] - place[i]) / (1 - t) for w, p in zip(row, points.tolist(), strict=True)) for i in range(2)]
            for row, place in zip(weights_of(points, x, t).tolist(), x.tolist(), strict=True)]  # fmt: skip


def by_density(points, x, t):
    parts = torch.distributions.Independent(torch.distributions.Normal(t * points, 1 - t), 1)
    logs = parts.log_prob(x[:, None])
    w = (logs - logs.logsumexp(1, keepdim=True)).exp()
    noise = (x[:, None] - t * points) / (1 - t)  # (B, K, 2)
    return (w[..., None] * (points - noise)).sum(1)


def end(points, x, t, **told):
    return weights_of(points, x, t, **told) @ points


def weighed(exponents, t):
    return torch.softmax(exponents / (2 * (1 - t) ** 2), 1)


ANSWERS["images.flow_matching.field"] = {
    RIGHT: [
        by_loops,
        by_density,
        lambda points, x, t: (end(points, x, t) - x) / (1 - t),
        lambda points, x, t: torch.einsum("bk,kd->bd", weights_of(points, x, t), points) / (1 - t) - x / (1 - t),
        lambda points, x, t: (by_density(points, x, t)).numpy(),
    ],
    WRONG: [
        lambda points, x, t: end(points, x, t),
        lambda points, x, t: end(points, x, t) - x,
        lambda points, x, t: (x - end(points, x, t)) / (1 - t),
        lambda points, x, t: (end(points, x, t, centre=1.0) - x) / (1 - t),
        lambda points, x, t: (end(points, x, t, scale=0.5**0.5) - x) / (1 - t),
        lambda points, x, t: (end(points, x, t, scale=(1 - t) / 2**0.5) - x) / (1 - t),
        lambda points, x, t: (end(points, x, t, scale=(1 - t) ** 0.5) - x) / (1 - t),
        lambda points, x, t: (weighed(-torch.cdist(x, t * points), t) @ points - x) / (1 - t),
        lambda points, x, t: (weighed(torch.cdist(x, t * points) ** 2, t) @ points - x) / (1 - t),
        lambda points, x, t: (points.mean(dim=0) - x) / (1 - t),
        lambda points, x, t: (points[torch.cdist(x, t * points).argmin(1)] - x) / (1 - t),
        lambda points, x, t: by_density(points, x, 1 - t),
        lambda points, x, t: (end(points, x, t) - x) / max(t, 1e-9),
        lambda points, x, t: -by_density(points, x, t),
        lambda points, x, t: by_density(points, x, t) / 2,
        lambda points, x, t: end(points, x, t) - t * x,
        lambda points, x, t: by_density(points, x, t).mean(0),
    ],
}  # fmt: skip


def floor_by_loops(weights, points, t):
    found = []
    for row in weights.tolist():
        mean = [sum(w * p[i] for w, p in zip(row, points.tolist(), strict=True)) for i in range(2)]
        found.append(
            sum(w * sum((p[i] - mean[i]) ** 2 for i in range(2)) for w, p in zip(row, points.tolist(), strict=True))
            / (1 - t) ** 2
        )
    return found


def by_pairs(weights, points, t):
    """Half of the mean squared distance of two that are drawn."""
    apart = torch.cdist(points, points) ** 2
    return torch.einsum("bk,kj,bj->b", weights, apart, weights) / 2 / (1 - t) ** 2


def deviations(weights, points):
    return weights[..., None] * (points - (weights @ points)[:, None]) ** 2


def variance(weights, points):
    return deviations(weights, points).sum((1, 2))


def about_x(weights, points, t):
    velocities = points / (1 - t)  # but for a number that is the same for all
    return weights @ velocities.square().sum(1) - (weights @ velocities).square().sum(1)


ANSWERS["images.flow_matching.floor"] = {
    RIGHT: [
        floor_by_loops,
        by_pairs,
        about_x,
        lambda weights, points, t: variance(weights, points) / (1 - t) ** 2,
        lambda weights, points, t: (variance(weights, points / (1 - t))).numpy(),
    ],
    WRONG: [
        lambda weights, points, t: variance(weights, points),
        lambda weights, points, t: variance(weights, points) / (1 - t),
        lambda weights, points, t: variance(weights, points * t / (1 - t)),
        lambda weights, points, t: variance(weights, points) + variance(weights, points * t / (1 - t)),
        lambda weights, points, t: variance(weights, points) + 2.0,
        lambda weights, points, t: by_pairs(weights, points, t) / 2,
        lambda weights, points, t: 2 * by_pairs(weights, points, t),
        lambda weights, points, t: deviations(weights, points).sum(1) / (1 - t) ** 2,
        lambda weights, points, t: weights @ points.square().sum(1) / (1 - t) ** 2,
        lambda weights, points, t: by_pairs(torch.ones_like(weights) / len(points), points, t),
        lambda weights, points, t: variance(weights, points) / t**2,
        lambda weights, points, t: variance(weights, points) * (1 - t) ** 2,
        lambda weights, points, t: variance(weights, points).sqrt() / (1 - t),
        lambda weights, points, t: by_pairs(weights, points, t).mean(),
        lambda weights, points, t: -by_pairs(weights, points, t),
        lambda weights, points, t: variance(weights, points) / (1 - t) ** 4,
    ],
}  # fmt: skip
