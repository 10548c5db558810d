"""Exercises on scaling laws: an exponent, the objective of a fit, the best split of a budget.

Practised in book/2-building-a-transformer/11_scaling_laws.md; the module is insideout/planner/scaling_laws.py.
Source: Hoffmann et al. 2022, §3. Shapes: R runs.
"""

import random
from collections.abc import Callable

import torch
from torch import Tensor

from insideout.exercises.catalogue import Exercise
from insideout.exercises.drawing import tensor_of

Law = dict[str, float]

# exponent: the exponent of a power law above a floor


def draw_power_law(rng: random.Random, R: int = 2) -> tuple[Tensor, Tensor, float]:
    """Sizes (R,) in no order, losses (R,) with a little noise, and the loss E that is never undercut."""
    floor, a = rng.uniform(0.8, 1.6), rng.uniform(0.2, 0.5)
    n = [2.0**k * rng.uniform(0.8, 1.2) for k in rng.sample(range(11, 20), R)]
    return tensor_of(n), tensor_of([floor + 20 * size**-a * 2.0 ** rng.gauss(0, 0.05) for size in n]), floor


def centred(x: Tensor) -> Tensor:
    return x - x.mean()


def slope(x: Tensor, y: Tensor) -> Tensor:
    return (centred(x) * centred(y)).sum() / centred(x).square().sum()


def exponent_of(n: Tensor, loss: Tensor, floor: float) -> Tensor:
    return -slope(n.log(), (loss - floor).log())


exponent = Exercise(
    "transformer.scaling_laws.exponent", stars=1, minutes=8, reference=exponent_of, draw=draw_power_law, tolerance=1e-8,
    edges=[(tensor_of([1.0, 4.0, 16.0]), tensor_of([3.0, 2.0, 1.5]), 1.0),
           (tensor_of([100.0, 10.0]), tensor_of([2.0, 2.0]), 0.5)],
    section="The law",
)  # fmt: skip
exponent.mistake(
    "E is still in the loss: a power law above a floor is no straight line until the floor is taken away.",
    lambda n, loss, floor: -slope(n.log(), loss.log()),
)
exponent.mistake(
    "The sign is wrong: the loss falls as N to the power −a, and a is positive.",
    lambda n, loss, floor: -exponent_of(n, loss, floor),
)
exponent.mistake(
    "Only the first and the last run are used; fit the line to all of them.",
    lambda n, loss, floor: exponent_of(n[[0, -1]], loss[[0, -1]], floor),
)
exponent.mistake(
    "Only the smallest and the largest run are used; fit the line to all of them.",
    lambda n, loss, floor: exponent_of(n[n.argsort()[[0, -1]]], loss[n.argsort()[[0, -1]]], floor),
)
exponent.mistake(
    "The line is fitted against N, not against its logarithm.",
    lambda n, loss, floor: -slope(n, (loss - floor).log()),
)
exponent.mistake(
    "The line is fitted to the loss above E, not to its logarithm.",
    lambda n, loss, floor: -slope(n.log(), loss - floor),
)
exponent.mistake(
    "Neither N nor the loss above E is taken by its logarithm.", lambda n, loss, floor: -slope(n, loss - floor)
)
exponent.mistake(
    "The line is bound to pass through 0: take the means away first.",
    lambda n, loss, floor: -(n.log() * (loss - floor).log()).sum() / n.log().square().sum(),
)
exponent.mistake(
    "The mean of log N is not taken away below the fraction: Σ (x − mean)².",
    lambda n, loss, floor: -(centred(n.log()) * centred((loss - floor).log())).sum() / n.log().square().sum(),
)
exponent.mistake(
    "This is the line the other way, of log N against the logarithm of the loss.",
    lambda n, loss, floor: -slope((loss - floor).log(), n.log()),
)
exponent.mistake(
    "This is the correlation: divide by Σ (x − mean)² of log N alone.",
    lambda n, loss, floor: (
        -(centred(n.log()) * centred((loss - floor).log())).sum()
        / (centred(n.log()).square().sum() * centred((loss - floor).log()).square().sum()).sqrt()
    ),
)
exponent.mistake(
    "This is the mean of the slopes from run to run: fit one line to all of them.",
    lambda n, loss, floor: -((loss - floor).log().diff() / n.log().diff()).mean(),
)
exponent.mistake(
    "The slope is not divided by Σ (x − mean)².",
    lambda n, loss, floor: -(centred(n.log()) * centred((loss - floor).log())).sum(),
)
exponent.mistake("The fraction is upside down: this is 1/a.", lambda n, loss, floor: 1 / exponent_of(n, loss, floor))
exponent.mistake(
    "This is the factor A: the exponent a is asked for.",
    lambda n, loss, floor: ((loss - floor).log().mean() + exponent_of(n, loss, floor) * n.log().mean()).exp(),
)

# objective: the Huber loss of the residuals of log L


def draw_fit(rng: random.Random, R: int) -> tuple[Law, Tensor, Tensor, Tensor, float]:
    """A law, sizes (R,), tokens (R,), losses (R,) near the law and far off, above it and below, and δ."""
    law = {
        "E": rng.uniform(0.8, 1.6), "A": rng.uniform(20, 40), "a": rng.uniform(0.25, 0.4),
        "B": rng.uniform(20, 40), "b": rng.uniform(0.25, 0.4),
    }  # fmt: skip
    n = tensor_of([rng.uniform(2e4, 4e5) for _ in range(R)])
    d = tensor_of([rng.uniform(1e5, 1e6) for _ in range(R)])
    delta = rng.uniform(0.2, 0.6)
    sizes = [delta * rng.choice((rng.uniform(0.3, 0.9), rng.uniform(1.5, 4.0))) for _ in range(R)]
    residuals = tensor_of([rng.choice((-1.0, 1.0)) * size for size in sizes])
    return law, n, d, predicted(law, n, d) * residuals.exp(), delta


def predicted(law: Law, n: Tensor, d: Tensor) -> Tensor:
    return law["E"] + law["A"] * n ** -law["a"] + law["B"] * d ** -law["b"]


def huber(r: Tensor, delta: float) -> Tensor:
    size = r.abs()
    return torch.where(size <= delta, r**2 / 2, delta * (size - delta / 2))


def summed(
    price: Callable[[Tensor, float], Tensor] = huber,
    residual: Callable[[Tensor, Tensor], Tensor] = lambda p, loss: p.log() - loss.log(),
    model: Callable[[Law, Tensor, Tensor], Tensor] = predicted,
) -> Callable[[Law, Tensor, Tensor, Tensor, float], Tensor]:
    """The sum over the runs of price(residual(predicted, measured), δ)."""

    def objective(law: Law, n: Tensor, d: Tensor, loss: Tensor, delta: float) -> Tensor:
        return price(residual(model(law, n, d), loss), delta).sum()

    return objective


right_objective = summed()

LAW = {"E": 1.0, "A": 30.0, "a": 0.3, "B": 40.0, "b": 0.35}

objective = Exercise(
    "transformer.scaling_laws.objective", stars=2, minutes=15, reference=right_objective, draw=draw_fit,
    edges=[(LAW, tensor_of([1e5]), tensor_of([1e6]), tensor_of([20.0]), 0.01),
           (LAW, tensor_of([1e5, 2e5]), tensor_of([1e6, 3e5]), tensor_of([0.4, 2.3]), 5.0)],
    section="Fit it: in logarithms",
)  # fmt: skip
objective.mistake(
    "The residuals are differences of losses; take logarithms first, so that 1% weighs the same anywhere.",
    summed(residual=lambda p, loss: p - loss),
)
objective.mistake(
    "The residuals are shares of the measured loss: take the difference of the logarithms.",
    summed(residual=lambda p, loss: (p - loss) / loss),
)
objective.mistake(
    "Only the predicted loss is taken by its logarithm: take the measured one by its own.",
    summed(residual=lambda p, loss: p.log() - loss),
)
objective.mistake(
    "This is the plain squared error: one run gone astray would pull the whole law.", summed(lambda r, delta: r**2 / 2)
)
objective.mistake(
    "This is the sum of the absolute residuals: within δ it should be a parabola.", summed(lambda r, delta: r.abs())
)
objective.mistake(
    "Beyond δ the line is δ|r|; it must be δ(|r| − δ/2), or it jumps where the parts meet.",
    summed(lambda r, delta: torch.where(r.abs() <= delta, r**2 / 2, delta * r.abs())),
)
objective.mistake(
    "Beyond δ the line is |r| − δ/2; its slope must be δ, the parabola's where they meet.",
    summed(lambda r, delta: torch.where(r.abs() <= delta, r**2 / 2, r.abs() - delta / 2)),
)
objective.mistake(
    "Beyond δ the line is δ(|r| − δ); it must be δ(|r| − δ/2), or it jumps where the parts meet.",
    summed(lambda r, delta: torch.where(r.abs() <= delta, r**2 / 2, delta * (r.abs() - delta))),
)
objective.mistake(
    "Within δ the parabola is r²; it is r²/2, or it jumps where the parts meet.",
    summed(lambda r, delta: torch.where(r.abs() <= delta, r**2, delta * (r.abs() - delta / 2))),
)
objective.mistake(
    "Parabola and line have changed places: the parabola is for residuals within δ.",
    summed(lambda r, delta: torch.where(r.abs() > delta, r**2 / 2, delta * (r.abs() - delta / 2))),
)
objective.mistake(
    "A residual far below 0 is taken to be within δ: compare its size, |r|.",
    summed(lambda r, delta: torch.where(r <= delta, r**2 / 2, delta * (r - delta / 2))),
)
objective.mistake(
    "A residual far above 0 is taken to be within δ: compare its size, |r|.",
    summed(lambda r, delta: torch.where(r >= -delta, r**2 / 2, delta * (-r - delta / 2))),
)
objective.mistake(
    "Beyond δ the line takes r, not |r|: a residual far below 0 must cost as much as one above.",
    summed(lambda r, delta: torch.where(r.abs() <= delta, r**2 / 2, delta * (r - delta / 2))),
)
objective.mistake(
    "Beyond δ the price stays at δ²/2: it should go on as a line.",
    summed(lambda r, delta: r.abs().clamp(max=delta) ** 2 / 2),
)
objective.mistake(
    "The runs beyond δ are left out: they cost δ(|r| − δ/2).",
    summed(lambda r, delta: torch.where(r.abs() <= delta, r**2 / 2, 0.0)),
)
objective.mistake(
    "The sum is divided by δ (smooth L1): the parabola is r²/2 itself.",
    summed(lambda r, delta: huber(r, delta) / delta),
)
objective.mistake(
    "The residuals are divided by δ first: here δ is only where the line begins.",
    summed(lambda r, delta: huber(r / delta, 1.0)),
)
objective.mistake(
    "This is the mean over the runs; the sum is asked for.", summed(lambda r, delta: huber(r, delta) / len(r))
)
objective.mistake(
    "The Huber loss is taken of the sum of the residuals: take it of each, then add up.",
    summed(lambda r, delta: huber(r.sum(), delta)),
)
objective.mistake(
    "The prices are not added up.", lambda law, n, d, loss, delta: huber(predicted(law, n, d).log() - loss.log(), delta)
)
objective.mistake(
    "E is missing in the predicted loss.",
    summed(model=lambda law, n, d: predicted(law | {"E": 0.0}, n, d)),
)
objective.mistake(
    "The exponents have the wrong sign: the loss falls with size and tokens.",
    summed(model=lambda law, n, d: predicted(law | {"a": -law["a"], "b": -law["b"]}, n, d)),
)
objective.mistake(
    "The powers are taken of A / n and B / d: A and B themselves stand above the fraction.",
    summed(model=lambda law, n, d: law["E"] + (law["A"] / n) ** law["a"] + (law["B"] / d) ** law["b"]),
)
objective.mistake(
    "Sizes and tokens have changed places: A and a belong to n.", summed(model=lambda law, n, d: predicted(law, d, n))
)
objective.mistake(
    "The exponents have changed places: a belongs to n, b to d.",
    summed(model=lambda law, n, d: predicted(law | {"a": law["b"], "b": law["a"]}, n, d)),
)

# optimal: the best size and amount of data for a budget


def draw_budget(rng: random.Random) -> tuple[Law, float]:
    """A law with two different exponents, and a budget in floating-point operations."""
    a = rng.uniform(0.25, 0.4)
    law = {"E": 1.2, "A": rng.uniform(10, 20), "a": a, "B": rng.uniform(30, 60), "b": a + rng.choice((-0.1, 0.1))}
    return law, 10 ** rng.uniform(8, 14)


def split(law: Law, flops: float) -> tuple[float, float]:
    a, b = law["a"], law["b"]
    n = (a * law["A"] / (b * law["B"]) * (flops / 6) ** b) ** (1 / (a + b))
    return n, flops / 6 / n


def of_size(size: Callable[[float, float, float, float, float], float]) -> Callable[[Law, float], tuple[float, float]]:
    """An answer with N = size(A, a, B, b, C / 6), and D what is left of the budget."""

    def answer(law: Law, flops: float) -> tuple[float, float]:
        n = size(law["A"], law["a"], law["B"], law["b"], flops / 6)
        return n, flops / 6 / n

    return answer


optimal = Exercise(
    "transformer.scaling_laws.optimal", stars=3, minutes=20, reference=split, draw=draw_budget, tolerance=1e-6,
    edges=[(LAW, 6e5), (LAW | {"a": 0.3, "b": 0.3}, 6e10), (LAW | {"A": 40.0, "a": 0.35}, 6e8)],
    section="Measure it: spend it well",
)  # fmt: skip
optimal.mistake(
    "The factor 6 is missing: a parameter and a token cost six operations, not one.",
    lambda law, flops: split(law, 6 * flops),
)
optimal.mistake(
    "The factor 6 is missing in D: N · D is a sixth of the budget.",
    lambda law, flops: (split(law, flops)[0], flops / split(law, flops)[0]),
)
optimal.mistake(
    "The factor is 2, for the forward pass alone: training takes 6 operations.",
    lambda law, flops: split(law, 3 * flops),
)
optimal.mistake(
    "The two terms are made equal; it is their slopes that must be, a A / N^a = b B / D^b.",
    of_size(lambda A, a, B, b, c: (A / B * c**b) ** (1 / (a + b))),
)
optimal.mistake(
    "The fraction is upside down: a A is above, b B below.",
    of_size(lambda A, a, B, b, c: (b * B / (a * A) * c**b) ** (1 / (a + b))),
)
optimal.mistake(
    "a and b have changed places in the fraction: a A is above, b B below.",
    of_size(lambda A, a, B, b, c: (b * A / (a * B) * c**b) ** (1 / (a + b))),
)
optimal.mistake(
    "The budget has the power a in N: it is b, the exponent of the tokens.",
    of_size(lambda A, a, B, b, c: (a * A / (b * B) * c**a) ** (1 / (a + b))),
)
optimal.mistake(
    "The budget has the power 1/2 in N: that holds where a and b are equal. Here it is b / (a + b).",
    of_size(lambda A, a, B, b, c: (a * A / (b * B)) ** (1 / (a + b)) * c**0.5),
)
optimal.mistake(
    "The budget has the power 1 / (a + b) in N: it is b / (a + b), since D carries the exponent b.",
    of_size(lambda A, a, B, b, c: (a * A / (b * B) * c) ** (1 / (a + b))),
)
optimal.mistake(
    "The root is missing: N to the power a + b is what the equation gives.",
    of_size(lambda A, a, B, b, c: a * A / (b * B) * c**b),
)
optimal.mistake(
    "In Python `x ** 1 / (a + b)` is x divided by a + b: put the exponent in parentheses.",
    of_size(lambda A, a, B, b, c: (a * A / (b * B) * c**b) / (a + b)),
)
optimal.mistake(
    "The root is taken of the fraction alone, and the budget keeps the power b: it is b / (a + b).",
    of_size(lambda A, a, B, b, c: (a * A / (b * B)) ** (1 / (a + b)) * c**b),
)
optimal.mistake(
    "The root is taken of the budget alone: the fraction has the power 1 / (a + b) too.",
    of_size(lambda A, a, B, b, c: a * A / (b * B) * c ** (b / (a + b))),
)
optimal.mistake(
    "The fraction is missing: A, a, B and b say how much a parameter is worth beside a token.",
    of_size(lambda A, a, B, b, c: c ** (b / (a + b))),
)
optimal.mistake(
    "The budget is split evenly, N = D; the law says how much each is worth.",
    of_size(lambda A, a, B, b, c: c**0.5),
)
optimal.mistake(
    "This is the rule of 20 tokens for each parameter: the law at hand says how many.",
    of_size(lambda A, a, B, b, c: (c / 20) ** 0.5),
)
optimal.mistake("The order of the results is exchanged: return (N, D).", lambda law, flops: split(law, flops)[::-1])
optimal.mistake("Only N is returned: D is asked for too.", lambda law, flops: split(law, flops)[0])
