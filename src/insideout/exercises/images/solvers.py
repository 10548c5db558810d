"""Exercises on solvers: a step of Heun's, and the order of a solver, read off its errors.

Practised in book/5-from-noise-to-images/02_solvers.md; the module is insideout/images/solvers.py.
Shapes: B points, N numbers of calls.
"""

import random
from collections.abc import Callable

import torch
from torch import Tensor

from insideout.exercises.catalogue import Exercise
from insideout.exercises.drawing import described, tensor, two_digits

Field = Callable[[Tensor, float], Tensor]

# heun: field, x, t, h -> where the step arrives


def draw_step(rng: random.Random, B: int) -> tuple[Field, Tensor, float, float]:
    """A field that bends with place and time, B points, a time and a step."""
    a, b, c = (two_digits(rng.choice((-1, 1)) * rng.uniform(0.5, 1.5)) for _ in range(3))

    def field(x: Tensor, t: float) -> Tensor:
        return a * x + b * t * x.flip(-1) + c * t * t

    text = f"lambda x, t: {a:g} * x + {b:g} * t * x.flip(-1) + {c:g} * t * t"
    return (
        described(field, text),
        tensor(rng, B, 2),
        two_digits(rng.uniform(0.1, 0.5)),
        two_digits(rng.uniform(0.1, 0.4)),
    )


def heun_step(field: Field, x: Tensor, t: float, h: float) -> Tensor:
    first = field(x, t)
    return x + h * (first + field(x + h * first, t + h)) / 2


heun = Exercise(
    "images.solvers.heun", stars=1, minutes=8, reference=heun_step, draw=draw_step, section="Euler, Heun, Runge–Kutta"
)
heun.mistake("This is Euler's step: ask once more at its end.", lambda field, x, t, h: x + h * field(x, t))
heun.mistake(
    "The second time is not later: ask at t + h.",
    lambda field, x, t, h: x + h * (field(x, t) + field(x + h * field(x, t), t)) / 2,
)
heun.mistake(
    "The second place is the first: ask where Euler's step arrives.",
    lambda field, x, t, h: x + h * (field(x, t) + field(x, t + h)) / 2,
)
heun.mistake(
    "The two velocities are added: take their mean.",
    lambda field, x, t, h: x + h * (field(x, t) + field(x + h * field(x, t), t + h)),
)
heun.mistake(
    "The step begins again at x, not where Euler's step arrived.",
    lambda field, x, t, h: heun_step(field, x, t, h) + h * field(x, t),
)
heun.mistake(
    "Only the second velocity is used: take the mean of both.",
    lambda field, x, t, h: x + h * field(x + h * field(x, t), t + h),
)
heun.mistake(
    "This is the midpoint's method, of the same order: Heun asks at the end and takes the mean.",
    lambda field, x, t, h: x + h * field(x + h / 2 * field(x, t), t + h / 2),
)
heun.mistake(
    "The second question is half way: Heun's is at the end of the step.",
    lambda field, x, t, h: x + h * (field(x, t) + field(x + h / 2 * field(x, t), t + h / 2)) / 2,
)
heun.mistake(
    "The way to the second place is not multiplied by h.",
    lambda field, x, t, h: x + h * (field(x, t) + field(x + field(x, t), t + h)) / 2,
)
heun.mistake(
    "The mean velocity is not multiplied by h.",
    lambda field, x, t, h: x + (field(x, t) + field(x + h * field(x, t), t + h)) / 2,
)
heun.mistake("This is the change: add it to x.", lambda field, x, t, h: heun_step(field, x, t, h) - x)
heun.mistake(
    "The step goes backwards: x + h · velocity.",
    lambda field, x, t, h: heun_step(field, x, t, -h),
)
heun.mistake(
    "This is the mean velocity: go along it for h.",
    lambda field, x, t, h: (heun_step(field, x, t, h) - x) / h,
)

# order: errors, calls -> minus the slope of log error against log calls


def draw_errors(rng: random.Random, N: int = 3) -> tuple[Tensor, Tensor]:
    """Errors that fall about as calls to some power, and calls that are not evenly spaced."""
    calls = torch.tensor(sorted(rng.sample(range(4, 200), N)), dtype=torch.float64)
    power = rng.uniform(0.8, 3.5)
    return 3 * calls**-power * (0.3 * tensor(rng, N)).exp(), calls


def slope(y: Tensor, x: Tensor) -> Tensor:
    x = x - x.mean()
    return (x * y).sum() / (x * x).sum()


order = Exercise(
    "images.solvers.order", stars=2, minutes=10, reference=lambda errors, calls: -slope(errors.log(), calls.log()),
    draw=draw_errors, section="Measure it: error against calls",
)  # fmt: skip
order.mistake(
    "The sign is wrong: an error that falls has an order above 0.",
    lambda errors, calls: slope(errors.log(), calls.log()),
)
order.mistake("The logarithm of the errors is missing.", lambda errors, calls: -slope(errors, calls.log()))
order.mistake("The logarithm of the calls is missing.", lambda errors, calls: -slope(errors.log(), calls))
order.mistake(
    "Both logarithms are missing: a power is a straight line only on logarithmic axes.",
    lambda errors, calls: -slope(errors, calls),
)
order.mistake(
    "The two are exchanged: the slope of the error against the calls is asked for.",
    lambda errors, calls: -slope(calls.log(), errors.log()),
)
order.mistake(
    "Only the first and the last are used: fit all of them.",
    lambda errors, calls: -(errors[-1] / errors[0]).log() / (calls[-1] / calls[0]).log(),
)
order.mistake(
    "Only the last two are used: fit all of them.",
    lambda errors, calls: -(errors[-1] / errors[-2]).log() / (calls[-1] / calls[-2]).log(),
)
order.mistake(
    "The line is forced through the origin: subtract the mean of log calls first.",
    lambda errors, calls: -(errors.log() * calls.log()).sum() / calls.log().square().sum(),
)
order.mistake(
    "This is the mean of the slopes between neighbours: fit one line.",
    lambda errors, calls: -((errors[1:] / errors[:-1]).log() / (calls[1:] / calls[:-1]).log()).mean(),
)
order.mistake(
    "This is the correlation: divide by the variance of log calls alone.",
    lambda errors, calls: -torch.corrcoef(torch.stack([calls.log(), errors.log()]))[0, 1],
)
order.mistake(
    "This is the covariance: divide by the variance of log calls.",
    lambda errors, calls: -((calls.log() - calls.log().mean()) * errors.log()).mean(),
)
order.mistake(
    "This is the covariance, of N − 1: divide by the variance of log calls.",
    lambda errors, calls: -((calls.log() - calls.log().mean()) * errors.log()).sum() / (len(calls) - 1),
)
order.mistake(
    "The covariance and the variance are divided by different numbers, N and N − 1.",
    lambda errors, calls: -slope(errors.log(), calls.log()) * len(calls) / (len(calls) - 1),
)
order.mistake(
    "The logarithms have different bases: either will do, but for both the same.",
    lambda errors, calls: -slope(errors.log10(), calls.log()),
)
