"""Exercises on AdamW: the forgetting mean, one whole step, and what the bias correction is worth.

Practised in book/1-understanding-gradients/10_adamw.md; the module is insideout/gradients/optimizer.py.
Standard library only.
"""

import random
from collections.abc import Callable
from math import sqrt

from insideout.exercises.catalogue import Exercise, Mistake
from insideout.gradients import Vector, adamw_number

BETA1, BETA2, EPSILON = 0.9, 0.999, 1e-8

Stepped = tuple[Vector, Vector, Vector]
StepRule = Callable[[Vector, Vector, Vector, Vector, int, float, float], Stepped]


# mean: gradients, beta -> the forgetting mean, corrected


def draw_gradients(rng: random.Random) -> tuple[Vector, float]:
    """4 to 6 gradients of one number, each larger than the last by at least 1, and beta."""
    n = rng.randint(4, 6)
    gradients = [rng.uniform(0.5, 1.0)]
    while len(gradients) < n:
        gradients.append(gradients[-1] + rng.uniform(1.0, 2.0))
    return gradients, rng.uniform(0.6, 0.9)


def raw_mean(gradients: Vector, beta: float, start: float = 0.0) -> float:
    m = start
    for g in gradients:
        m = beta * m + (1.0 - beta) * g
    return m


def corrected_mean(gradients: Vector, beta: float) -> float:
    return raw_mean(gradients, beta) / (1.0 - beta ** len(gradients))


# step: p, g, m, v, t, lr, decay -> (p, m, v)


def draw_step(rng: random.Random) -> tuple[Vector, Vector, Vector, Vector, int, float, float]:
    """Vectors of 5 numbers well away from 0, a step after the first, and a decay that is felt."""

    def vector() -> Vector:
        return [rng.choice((-1.0, 1.0)) * rng.uniform(0.5, 2.0) for _ in range(5)]

    v = [0.01 * number * number for number in vector()]
    return vector(), vector(), vector(), v, rng.randint(2, 9), rng.uniform(0.05, 0.2), rng.uniform(0.2, 0.8)


def adamw(p: Vector, g: Vector, m: Vector, v: Vector, t: int, lr: float, decay: float) -> Stepped:
    settings = {"lr": lr, "beta1": BETA1, "beta2": BETA2, "epsilon": EPSILON, "weight_decay": decay}
    steps = [adamw_number(*four, t, **settings) for four in zip(p, g, m, v, strict=True)]
    return [s.parameter for s in steps], [s.m for s in steps], [s.v for s in steps]


def by_hand(
    correct: bool = True, root: bool = True, square: bool = True, lr_on_decay: bool = True, keep_corrected: bool = False
) -> StepRule:
    """AdamW with one of its parts left out."""

    def step(p: Vector, g: Vector, m: Vector, v: Vector, t: int, lr: float, decay: float) -> Stepped:
        m = [BETA1 * a + (1.0 - BETA1) * b for a, b in zip(m, g, strict=True)]
        v = [BETA2 * a + (1.0 - BETA2) * (b * b if square else abs(b)) for a, b in zip(v, g, strict=True)]
        c1, c2 = (1.0 - BETA1**t, 1.0 - BETA2**t) if correct else (1.0, 1.0)
        m_hat, v_hat = [a / c1 for a in m], [b / c2 for b in v]
        new = [
            x - (lr if lr_on_decay else 1.0) * decay * x - lr * a / ((sqrt(b) if root else b) + EPSILON)
            for x, a, b in zip(p, m_hat, v_hat, strict=True)
        ]
        return (new, m_hat, v_hat) if keep_corrected else (new, m, v)

    return step


def step_counted_from_0(p: Vector, g: Vector, m: Vector, v: Vector, t: int, lr: float, decay: float) -> Stepped:
    return adamw(p, g, m, v, t - 1, lr, decay)


def decay_in_gradient(p: Vector, g: Vector, m: Vector, v: Vector, t: int, lr: float, decay: float) -> Stepped:
    return adamw(p, [a + decay * b for a, b in zip(g, p, strict=True)], m, v, t, lr, 0.0)


# uncorrected: t, beta1, beta2 -> length of the uncorrected step over the learning rate


def draw_betas(rng: random.Random) -> tuple[int, float, float]:
    """A step after the first, and two memories, the second the longer."""
    return rng.randint(2, 12), rng.uniform(0.6, 0.9), rng.uniform(0.95, 0.999)


def uncorrected(t: int, beta1: float, beta2: float) -> float:
    return (1.0 - beta1**t) / sqrt(1.0 - beta2**t)


exercises: list[Exercise] = [
    Exercise(
        id="gradients.adamw.mean",
        difficulty=1,
        minutes=8,
        reference=corrected_mean,
        draw=draw_gradients,
        tolerance=1e-9,
        hints=[
            "Begin with m = 0.0 and apply m ← β m + (1 − β) g once for each gradient, the oldest first.",
            "After t gradients the weights add up to 1 − βᵗ. Divide by that once, at the end.",
        ],
        mistakes=[
            Mistake("The mean is not corrected: its weights add up to 1 − βᵗ, and it is too small.", raw_mean),
            Mistake(
                "This is the plain mean: all gradients weigh the same, and nothing is forgotten.",
                lambda gradients, beta: sum(gradients) / len(gradients),
            ),
            Mistake(
                "The mean begins at the first gradient, not at 0: that gradient then weighs too much.",
                lambda gradients, beta: raw_mean(gradients[1:], beta, start=gradients[0]),
            ),
            Mistake(
                "The weights run the wrong way: the oldest gradient must weigh least.",
                lambda gradients, beta: corrected_mean(gradients[::-1], beta),
            ),
            Mistake(
                "β and 1 − β have changed places: the old mean keeps the share β.",
                lambda gradients, beta: corrected_mean(gradients, 1.0 - beta),
            ),
        ],
    ),
    Exercise(
        id="gradients.adamw.step",
        difficulty=2,
        minutes=15,
        reference=adamw,
        draw=draw_step,
        tolerance=1e-9,
        hints=[
            "First the two means, then their corrected copies, then the step. Keep the means themselves uncorrected: "
            "the next step continues from them.",
            "The new parameter is p − η λ p − η m̂ / (√v̂ + ε). The decay never meets the fraction.",
        ],
        mistakes=[
            Mistake(
                "The bias correction is missing: divide m by 1 − β₁ᵗ and v by 1 − β₂ᵗ first.", by_hand(correct=False)
            ),
            Mistake("The steps are counted from 0: the first step is number 1.", step_counted_from_0),
            Mistake(
                "The decay is inside the gradient (an L2 penalty): take it from the parameter, outside the fraction.",
                decay_in_gradient,
            ),
            Mistake(
                "The decay is not multiplied by the learning rate: the parameter loses η λ p.",
                by_hand(lr_on_decay=False),
            ),
            Mistake("The root is missing: divide by √v̂, not by v̂.", by_hand(root=False)),
            Mistake("v is a mean of the gradients' sizes: it must be one of their squares.", by_hand(square=False)),
            Mistake(
                "The corrected means are handed on: m and v themselves go to the next step, not m̂ and v̂.",
                by_hand(keep_corrected=True),
            ),
        ],
    ),
    Exercise(
        id="gradients.adamw.uncorrected",
        difficulty=2,
        minutes=10,
        reference=uncorrected,
        draw=draw_betas,
        tolerance=1e-9,
        hints=[
            "If every gradient is g, then m_t is g times what the weights add up to.",
            "The same holds for v_t and g². The step divides by the root of v_t, and g drops out.",
        ],
        mistakes=[
            Mistake(
                "The root is missing: the step divides by √v.",
                lambda t, beta1, beta2: (1.0 - beta1**t) / (1.0 - beta2**t),
            ),
            Mistake(
                "This is the other way up: the factor by which the correction shortens the step.",
                lambda t, beta1, beta2: 1.0 / uncorrected(t, beta1, beta2),
            ),
            Mistake(
                "This is the length at step 1: after t steps the weights add up to 1 − βᵗ.",
                lambda t, beta1, beta2: uncorrected(1, beta1, beta2),
            ),
            Mistake(
                "This is 1, the corrected step: without the correction m and v are both too small, by unequal shares.",
                lambda t, beta1, beta2: 1.0,
            ),
        ],
    ),
]
