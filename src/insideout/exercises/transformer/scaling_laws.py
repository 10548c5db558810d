"""Exercises on scaling laws.

Practised in book/2-building-a-transformer/11_scaling_laws.md; the module is insideout/planner/scaling_laws.py.
Source: Hoffmann et al. 2022, §3. Shapes: R runs.
"""

import random

import torch
from torch import Tensor

from insideout.exercises.catalogue import Exercise, Mistake

# exponent: the exponent of a power law above a floor


def draw_power_law(rng: random.Random) -> tuple[Tensor, Tensor, float]:
    """Sizes (R,), losses (R,) with a little noise, and the loss E that is never undercut."""
    floor, a = rng.uniform(0.8, 1.6), rng.uniform(0.2, 0.5)
    n = torch.tensor([2.0**k * rng.uniform(0.8, 1.2) for k in range(13, 20)], dtype=torch.float64)
    noise = torch.tensor([rng.gauss(0, 0.03) for _ in n], dtype=torch.float64)
    return n, floor + 20 * n**-a * noise.exp(), floor


def slope(x: Tensor, y: Tensor) -> Tensor:
    x = x - x.mean()
    return (x * y).sum() / (x * x).sum()


def exponent(n: Tensor, loss: Tensor, floor: float) -> Tensor:
    return -slope(n.log(), (loss - floor).log())


def exponent_of_ends(n: Tensor, loss: Tensor, floor: float) -> Tensor:
    above = (loss - floor).log()
    return -(above[-1] - above[0]) / (n[-1].log() - n[0].log())


# objective: the Huber loss of the residuals of log L


def draw_fit(rng: random.Random) -> tuple[dict[str, float], Tensor, Tensor, Tensor, float]:
    """A law, sizes (R,), tokens (R,), losses (R,) of which two are far off, and δ."""
    law = {
        "E": rng.uniform(0.8, 1.6), "A": rng.uniform(20, 40), "a": rng.uniform(0.25, 0.4),
        "B": rng.uniform(20, 40), "b": rng.uniform(0.25, 0.4),
    }  # fmt: skip
    n = torch.tensor([rng.uniform(2e4, 4e5) for _ in range(8)], dtype=torch.float64)
    d = torch.tensor([rng.uniform(1e5, 1e6) for _ in range(8)], dtype=torch.float64)
    residuals = [rng.uniform(-0.01, 0.01) for _ in range(6)] + [rng.uniform(0.1, 0.3), rng.uniform(-0.3, -0.1)]
    return law, n, d, predicted(law, n, d) * torch.tensor(residuals, dtype=torch.float64).exp(), 0.02


def predicted(law: dict[str, float], n: Tensor, d: Tensor) -> Tensor:
    return law["E"] + law["A"] * n ** -law["a"] + law["B"] * d ** -law["b"]


def huber_of(residuals: Tensor, delta: float) -> Tensor:
    size = residuals.abs()
    return torch.where(size <= delta, residuals**2 / 2, delta * (size - delta / 2))


def objective(law: dict[str, float], n: Tensor, d: Tensor, loss: Tensor, delta: float) -> Tensor:
    return huber_of(predicted(law, n, d).log() - loss.log(), delta).sum()


def objective_with_a_jump(law: dict[str, float], n: Tensor, d: Tensor, loss: Tensor, delta: float) -> Tensor:
    residuals = predicted(law, n, d).log() - loss.log()
    return torch.where(residuals.abs() <= delta, residuals**2 / 2, delta * residuals.abs()).sum()


# optimal: the best size and amount of data for a budget


def draw_budget(rng: random.Random) -> tuple[dict[str, float], float]:
    """A law with two different exponents, and a budget in floating-point operations."""
    a = rng.uniform(0.25, 0.4)
    law = {"E": 1.2, "A": rng.uniform(10, 20), "a": a, "B": rng.uniform(30, 60), "b": a + rng.choice((-0.1, 0.1))}
    return law, 10 ** rng.uniform(11, 14)


def best_split(law: dict[str, float], n_times_d: float) -> tuple[float, float]:
    a, b = law["a"], law["b"]
    n = ((a * law["A"]) / (b * law["B"]) * n_times_d**b) ** (1 / (a + b))
    return n, n_times_d / n


def optimal(law: dict[str, float], flops: float) -> tuple[float, float]:
    return best_split(law, flops / 6)


def equal_terms(law: dict[str, float], flops: float) -> tuple[float, float]:
    n = (law["A"] / law["B"] * (flops / 6) ** law["b"]) ** (1 / (law["a"] + law["b"]))
    return n, flops / 6 / n


exercises: list[Exercise] = [
    Exercise(
        id="transformer.scaling_laws.exponent",
        difficulty=1,
        minutes=8,
        reference=exponent,
        draw=draw_power_law,
        tolerance=1e-8,
        hints=[
            "Take E away first. What is left is A / N^a; what does its logarithm look like against log N?",
            "The slope of the least-squares line is Σ (x − mean)(y − mean) / Σ (x − mean)². Mind its sign.",
        ],
        mistakes=[
            Mistake(
                "E is still in the loss: a power law above a floor is no straight line until the floor is taken away.",
                lambda n, loss, floor: -slope(n.log(), loss.log()),
            ),
            Mistake(
                "The sign is wrong: the loss falls as N to the power −a, and a is positive.",
                lambda n, loss, floor: slope(n.log(), (loss - floor).log()),
            ),
            Mistake("Only the first and the last run are used; fit the line to all of them.", exponent_of_ends),
            Mistake(
                "The line is fitted against N, not against its logarithm.",
                lambda n, loss, floor: -slope(n, (loss - floor).log()),
            ),
        ],
    ),
    Exercise(
        id="transformer.scaling_laws.objective",
        difficulty=2,
        minutes=15,
        reference=objective,
        draw=draw_fit,
        tolerance=1e-10,
        hints=[
            "A residual is log L(N, D) − log of the measured loss, one for each run.",
            "Within δ: r²/2. Beyond: a straight line from where the parabola ends, with the slope it has there.",
        ],
        mistakes=[
            Mistake(
                "The residuals are differences of losses; take logarithms first, so that 1% weighs the same anywhere.",
                lambda law, n, d, loss, delta: huber_of(predicted(law, n, d) - loss, delta).sum(),
            ),
            Mistake(
                "This is the plain squared error: one run gone astray would pull the whole law.",
                lambda law, n, d, loss, delta: ((predicted(law, n, d).log() - loss.log()) ** 2 / 2).sum(),
            ),
            Mistake(
                "Beyond δ the line is δ|r|; it must be δ(|r| − δ/2), or it jumps where the parts meet.",
                objective_with_a_jump,
            ),
            Mistake(
                "This is the mean over the runs; the sum is asked for.",
                lambda law, n, d, loss, delta: objective(law, n, d, loss, delta) / len(n),
            ),
        ],
    ),
    Exercise(
        id="transformer.scaling_laws.optimal",
        difficulty=3,
        minutes=20,
        reference=optimal,
        draw=draw_budget,
        tolerance=1e-8,
        hints=[
            "D is not free: 6 N D is the budget. Put D = C / (6 N) into L, so that only N is left.",
            "Set the derivative by N to 0. You should find a A / N^a = b B / D^b. Now put D back in terms of N.",
        ],
        mistakes=[
            Mistake(
                "The factor 6 is missing: a parameter and a token cost six operations, not one.",
                lambda law, flops: best_split(law, flops),
            ),
            Mistake(
                "The two terms are made equal; it is their slopes that must be, a A / N^a = b B / D^b.", equal_terms
            ),
            Mistake(
                "The budget is split evenly, N = D; the law says how much each is worth.",
                lambda law, flops: ((flops / 6) ** 0.5, (flops / 6) ** 0.5),
            ),
            Mistake(
                "The order of the results is exchanged: return (N, D).",
                lambda law, flops: tuple(reversed(optimal(law, flops))),
            ),
        ],
    ),
]
