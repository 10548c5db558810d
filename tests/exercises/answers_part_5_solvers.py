"""Answers that readers might give to the exercises on solvers: right ones in other styles, and wrong ones.

Used by test_answers.py.
"""

import math

import numpy as np
import torch

RIGHT, WRONG = "right", "wrong"
ANSWERS = {}


def with_names(field, x, t, h):
    k1 = field(x, t)
    euler = x + h * k1
    k2 = field(euler, t + h)
    return 0.5 * (euler + x + h * k2)  # the mean of two ends


def by_correction(field, x, t, h):
    k1 = field(x, t)
    return x + h * k1 + h / 2 * (field(x + h * k1, t + h) - k1)


def one_by_one(field, x, t, h):
    return torch.stack([by_correction(field, row[None], t, h)[0] for row in x])


def from_where(place, time, share):
    """A step whose second question is elsewhere."""

    def answer(field, x, t, h):
        k1 = field(x, t)
        return x + h * ((1 - share) * k1 + share * field(x + place(h) * k1, t + time(h)))

    return answer


def nothing(h):
    return 0.0


def whole(h):
    return h


ANSWERS["images.solvers.heun"] = {
    RIGHT: [
        with_names, by_correction, one_by_one, from_where(whole, whole, 0.5),
        lambda field, x, t, h: with_names(field, x, t, h).tolist(),
    ],
    WRONG: [
        from_where(whole, whole, 0.0),
        from_where(whole, nothing, 0.5),
        from_where(nothing, whole, 0.5),
        from_where(whole, whole, 1.0),
        from_where(lambda h: h / 2, lambda h: h / 2, 1.0),
        from_where(lambda h: h / 2, lambda h: h / 2, 0.5),
        from_where(lambda h: 1.0, whole, 0.5),
        from_where(lambda h: 2 * h / 3, lambda h: 2 * h / 3, 0.75),
        lambda field, x, t, h: x + 2 * (with_names(field, x, t, h) - x),
        lambda field, x, t, h: with_names(field, x, t, h) - x,
        lambda field, x, t, h: (with_names(field, x, t, h) - x) / h,
        lambda field, x, t, h: x + (with_names(field, x, t, h) - x) / h,
        lambda field, x, t, h: with_names(field, x + h * field(x, t), t + h, h),
        lambda field, x, t, h: by_correction(field, x, t, -h),
        lambda field, x, t, h: x - (by_correction(field, x, t, h) - x),
        lambda field, x, t, h: by_correction(field, x, t, h) + h * field(x, t),
    ],
}  # fmt: skip


def by_numpy(errors, calls):
    return -np.polyfit(np.log(calls.numpy()), np.log(errors.numpy()), 1)[0]


def by_least_squares(errors, calls):
    table = torch.stack([calls.log(), torch.ones_like(calls)], 1)
    return -torch.linalg.lstsq(table, errors.log()[:, None]).solution[0, 0]


def by_lists(errors, calls):
    x, y = [math.log(each) for each in calls.tolist()], [math.log(each) for each in errors.tolist()]
    n = len(x)
    return -(n * sum(a * b for a, b in zip(x, y, strict=True)) - sum(x) * sum(y)) / (
        n * sum(a * a for a in x) - sum(x) ** 2
    )


def by_covariance(errors, calls):
    table = torch.cov(torch.stack([calls.log(), errors.log()]))
    return -table[0, 1] / table[0, 0]


ANSWERS["images.solvers.order"] = {
    RIGHT: [by_numpy, by_least_squares, by_lists, by_covariance, lambda errors, calls: by_lists(errors * 7, calls / 3)],
    WRONG: [
        lambda errors, calls: -by_numpy(errors, calls),
        lambda errors, calls: -np.polyfit(np.log(calls.numpy()), errors.numpy(), 1)[0],
        lambda errors, calls: -np.polyfit(calls.numpy(), np.log(errors.numpy()), 1)[0],
        lambda errors, calls: -np.polyfit(calls.numpy(), errors.numpy(), 1)[0],
        lambda errors, calls: -np.polyfit(np.log(errors.numpy()), np.log(calls.numpy()), 1)[0],
        lambda errors, calls: math.log(errors[0] / errors[-1]) / math.log(calls[-1] / calls[0]),
        lambda errors, calls: math.log(errors[-2] / errors[-1]) / math.log(calls[-1] / calls[-2]),
        lambda errors, calls: -float(errors.log() @ calls.log() / (calls.log() @ calls.log())),
        lambda errors, calls: -torch.cov(torch.stack([calls.log(), errors.log()]))[0, 1],
        lambda errors, calls: -torch.cov(torch.stack([calls.log(), errors.log()]), correction=0)[0, 1],
        lambda errors, calls: -np.corrcoef(np.log(calls.numpy()), np.log(errors.numpy()))[0, 1],
        lambda errors, calls: 1 / by_numpy(errors, calls),
        lambda errors, calls: (errors[:-1] / errors[1:]).log().mean() / math.log(2),
        lambda errors, calls: round(float(by_numpy(errors, calls))),
        lambda errors, calls: -np.mean(np.diff(np.log(errors.numpy())) / np.diff(np.log(calls.numpy()))),
        lambda errors, calls: by_numpy(errors, calls) / math.log(10),
        lambda errors, calls: 10 ** by_numpy(errors, calls),
    ],
}  # fmt: skip
