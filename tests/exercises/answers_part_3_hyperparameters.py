"""Answers that readers might give to chapter 18 of part 3: right ones in other styles, and wrong ones.

Few of the wrong ones are in the catalogues, and then by another way. Used by test_answers.py.
"""

import math
from statistics import fmean, median

import numpy as np
import torch

RIGHT, WRONG = "right", "wrong"
ANSWERS = {}

# schedule: step, steps, warmup, peak, floor -> the learning rate


def by_cases(step, steps, warmup, peak, floor):
    if warmup > 0 and step <= warmup - 1:
        return (step + 1) / warmup * peak
    begin = warmup - 1 if warmup else 0
    done = (step - begin) / (steps - 1 - begin)
    return floor + 0.5 * (peak - floor) * (1 + math.cos(done * math.pi))


def by_table(step, steps, warmup, peak, floor):
    climb = [peak * (i + 1) / warmup for i in range(warmup)]
    n = steps - max(warmup - 1, 0)
    fall = [(peak + floor) / 2 + (peak - floor) / 2 * math.cos(math.pi * i / (n - 1)) for i in range(n)]
    return (climb[:-1] + fall if warmup else fall)[step]


def by_numpy(step, steps, warmup, peak, floor):
    climb = np.linspace(0, peak, warmup + 1)[1:]
    p = np.linspace(0, 1, steps - max(warmup - 1, 0))
    fall = floor + (peak - floor) * np.cos(np.pi / 2 * p) ** 2
    return np.concatenate([climb[:-1], fall])[step]


def by_torch(step, steps, warmup, peak, floor):
    if step < warmup:
        return torch.tensor(peak, dtype=torch.float64) * (step + 1) / warmup
    top = max(warmup - 1, 0)
    p = torch.tensor((step - top) / (steps - 1 - top), dtype=torch.float64)
    return torch.lerp(
        torch.tensor(floor, dtype=torch.float64),
        torch.tensor(peak, dtype=torch.float64),
        (1 + torch.cos(math.pi * p)) / 2,
    )


def rate_with(
    climb=lambda s, w, peak, floor: peak * (s + 1) / w,
    top=lambda w: max(w - 1, 0),
    last=lambda n: n - 1,
    shape=lambda p: (1 + math.cos(math.pi * p)) / 2,
    end=lambda peak, floor, x: floor + (peak - floor) * x,
):
    def answer(step, steps, warmup, peak, floor):
        if step < warmup:
            return climb(step, warmup, peak, floor)
        p = (step - top(warmup)) / (last(steps) - top(warmup))
        return end(peak, floor, shape(p))

    return answer


ANSWERS["finetuning.hyperparameters.schedule"] = {
    RIGHT: [by_cases, by_table, by_numpy, by_torch, rate_with()],
    WRONG: [
        rate_with(climb=lambda s, w, peak, floor: peak * s / w),
        rate_with(climb=lambda s, w, peak, floor: peak * (s + 1) / (w + 1)),
        rate_with(climb=lambda s, w, peak, floor: floor + (peak - floor) * (s + 1) / w),
        rate_with(climb=lambda s, w, peak, floor: peak),
        rate_with(end=lambda peak, floor, x: peak * x),
        rate_with(end=lambda peak, floor, x: floor + peak * x),
        rate_with(end=lambda peak, floor, x: max(floor, peak * x)),
        rate_with(shape=lambda p: 1 - p),
        rate_with(top=lambda w: 0),
        rate_with(last=lambda n: n),
        rate_with(top=lambda w: w),
        rate_with(shape=lambda p: (1 + math.cos(p)) / 2),
        rate_with(shape=lambda p: (1 + math.cos(2 * math.pi * p)) / 2),
        rate_with(shape=lambda p: 1 + math.cos(math.pi * p)),
        rate_with(shape=lambda p: (1 - math.cos(math.pi * p)) / 2),
        rate_with(shape=lambda p: 1.0),
        rate_with(shape=lambda p: math.cos(math.pi * p / 2)),
    ],
}

# chosen: development, test -> (name, mean of its test losses)


def by_loop(development, test):
    best, lowest = None, math.inf
    for name, losses in development.items():
        total = sum(losses)
        if total == total and total / len(losses) < lowest:
            best, lowest = name, total / len(losses)
    return best, sum(test[best]) / len(test[best])


def by_infinity(development, test):
    means = {n: math.inf if any(x != x for x in each) else fmean(each) for n, each in development.items()}
    best = min(means, key=means.get)
    return best, fmean(test[best])


def by_argmin(development, test):
    names = list(development)
    means = [np.mean(development[name]) for name in names]
    best = names[int(np.nanargmin(means))]
    return best, float(np.mean(test[best]))


def by_sorting(development, test):
    means = sorted((sum(v) / len(v), k) for k, v in development.items() if not math.isnan(sum(v)))
    return (means[0][1], fmean(test[means[0][1]]))


def choice_with(
    by=fmean, pick=min, fair=lambda each: not any(map(math.isnan, each)), report=fmean, where=lambda d, t: d
):
    def answer(development, test):
        read = where(development, test)
        sound = [name for name in development if fair(read[name])]
        best = pick(sound, key=lambda name: by(read[name]))
        return best, report(test[best])

    return answer


def dropped(each):
    return fmean(x for x in each if not math.isnan(x))


def anything(each):
    return True


ANSWERS["finetuning.hyperparameters.chosen"] = {
    RIGHT: [by_loop, by_infinity, by_argmin, by_sorting, choice_with()],
    WRONG: [
        choice_with(where=lambda d, t: t),
        lambda d, t: by_loop(d, d),
        choice_with(pick=max),
        choice_with(by=min),
        choice_with(by=max),
        choice_with(by=lambda each: each[0]),
        choice_with(by=lambda each: each[-1]),
        choice_with(by=median),
        choice_with(report=min),
        choice_with(report=max),
        choice_with(report=lambda each: each[0]),
        choice_with(by=dropped, fair=anything),
        choice_with(by=lambda each: sum(0.0 if math.isnan(x) else x for x in each) / len(each), fair=anything),
        choice_with(report=sum),
        choice_with(report=median),
        lambda d, t: by_loop(d, t)[0],
        lambda d, t: by_loop(d, t)[::-1],
        choice_with(by=lambda each: -fmean(each)),
    ],
}
