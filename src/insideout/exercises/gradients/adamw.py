"""Exercises on AdamW: the forgetting mean, one whole step, and what the bias correction is worth.

Practised in book/1-understanding-gradients/10_adamw.md; the module is insideout/gradients/optimizer.py.
Standard library only. Source: Loshchilov and Hutter 2019, algorithm 2.
"""

import random
from math import sqrt

from insideout.exercises.catalogue import Exercise
from insideout.exercises.drawing import away
from insideout.gradients import Vector, adamw_number

BETA1, BETA2, EPSILON = 0.9, 0.999, 1e-8

Stepped = tuple[Vector, Vector, Vector]

# mean: gradients, beta -> the forgetting mean, corrected


def draw_gradients(rng: random.Random, N: int) -> tuple[Vector, float]:
    return away(rng, N), rng.uniform(0.6, 0.95)


def raw_mean(gradients: Vector, beta: float, start: float = 0.0) -> float:
    m = start
    for g in gradients:
        m = beta * m + (1.0 - beta) * g
    return m


def corrected_mean(gradients: Vector, beta: float) -> float:
    return raw_mean(gradients, beta) / (1.0 - beta ** len(gradients))


def corrected_each_time(gradients: Vector, beta: float) -> float:
    m = 0.0
    for t, g in enumerate(gradients):
        m = (beta * m + (1.0 - beta) * g) / (1.0 - beta ** (t + 1))
    return m


mean = Exercise(
    "gradients.adamw.mean", stars=1, minutes=8, reference=corrected_mean, draw=draw_gradients,
    edges=[([2.0], 0.9), ([0.0, 0.0, 1.0], 0.5), ([1.0, -1.0], 0.0)], section="What the zero at the beginning does",
)  # fmt: skip
mean.mistake("The mean is not corrected: its weights add up to 1 − βᵗ, and it is too small.", raw_mean)
mean.mistake(
    "This is the plain mean: all gradients weigh the same, and nothing is forgotten.",
    lambda gradients, beta: sum(gradients) / len(gradients),
)
mean.mistake(
    "The mean begins at the first gradient, not at 0: that gradient then weighs too much.",
    lambda gradients, beta: raw_mean(gradients[1:], beta, start=gradients[0]),
)
mean.mistake(
    "The weights run the wrong way: the oldest gradient must weigh least.",
    lambda gradients, beta: corrected_mean(gradients[::-1], beta),
)
mean.mistake(
    "β and 1 − β have changed places: the old mean keeps the share β.",
    lambda gradients, beta: corrected_mean(gradients, 1.0 - beta),
)
mean.mistake(
    "The correction counts one step too few: after t gradients it is 1 − βᵗ.",
    lambda gradients, beta: raw_mean(gradients, beta) / (1.0 - beta ** (len(gradients) - 1)),
)
mean.mistake(
    "The correction counts one step too many: after t gradients it is 1 − βᵗ.",
    lambda gradients, beta: raw_mean(gradients, beta) / (1.0 - beta ** (len(gradients) + 1)),
)
mean.mistake(
    "The mean is corrected by 1 − β, as after one step: after t it is 1 − βᵗ.",
    lambda gradients, beta: raw_mean(gradients, beta) / (1.0 - beta),
)
mean.mistake(
    "The mean is corrected in every step, and the correction is carried on: divide once, at the end.",
    corrected_each_time,
)
mean.mistake(
    "The mean begins at the first gradient, and is corrected as if it had begun at 0.",
    lambda gradients, beta: raw_mean(gradients, beta, start=gradients[0]) / (1.0 - beta ** len(gradients)),
)
mean.mistake(
    "The correction is (1 − β)ᵗ: the power is of β alone, 1 − βᵗ.",
    lambda gradients, beta: raw_mean(gradients, beta) / (1.0 - beta) ** len(gradients),
)
mean.mistake(
    "The correction is 1 − β · t: it is a power, 1 − βᵗ.",
    lambda gradients, beta: raw_mean(gradients, beta) / (1.0 - beta * len(gradients)),
)
mean.mistake(
    "The correction is βᵗ: it is 1 − βᵗ.", lambda gradients, beta: raw_mean(gradients, beta) / beta ** len(gradients)
)
mean.mistake(
    "The mean is multiplied by 1 − βᵗ: it is divided by it.",
    lambda gradients, beta: raw_mean(gradients, beta) * (1.0 - beta ** len(gradients)),
)
mean.mistake("The last gradient is left out.", lambda gradients, beta: corrected_mean(gradients[:-1], beta))
mean.mistake("The first gradient is left out.", lambda gradients, beta: corrected_mean(gradients[1:], beta))
mean.mistake(
    "All means are returned: the last one is asked for.",
    lambda gradients, beta: [corrected_mean(gradients[: t + 1], beta) for t in range(len(gradients))],
)
mean.mistake(
    "The new gradient comes in whole: its share is 1 − β.",
    lambda gradients, beta: corrected_mean(gradients, beta) / (1.0 - beta),
)
mean.mistake(
    "This is the mean of the squares: that is v. The gradients themselves are asked for.",
    lambda gradients, beta: corrected_mean([g * g for g in gradients], beta),
)

# step: p, g, m, v, t, lr, decay -> (p, m, v)


def draw_step(rng: random.Random, N: int) -> tuple[Vector, Vector, Vector, Vector, int, float, float]:
    """Numbers well away from 0, and a decay that is felt; now and then gradients so small that ε counts."""
    size = rng.choice((1.0, 1.0, 1e-8))
    g, m = [size * x for x in away(rng, N)], [size * x for x in away(rng, N)]
    v = [(0.1 * size * x) ** 2 for x in away(rng, N)]
    return away(rng, N), g, m, v, rng.randint(2, 9), rng.uniform(0.05, 0.2), rng.uniform(0.2, 0.8)


def adamw(p: Vector, g: Vector, m: Vector, v: Vector, t: int, lr: float, decay: float) -> Stepped:
    settings = {"lr": lr, "beta1": BETA1, "beta2": BETA2, "epsilon": EPSILON, "weight_decay": decay}
    steps = [adamw_number(*four, t, **settings) for four in zip(p, g, m, v, strict=True)]
    return [s.parameter for s in steps], [s.m for s in steps], [s.v for s in steps]


class ByHand:
    """AdamW with one of its parts changed."""

    def __init__(
        self, beta1: float = BETA1, beta2: float = BETA2, square: bool = True, correct: str = "mv", root: bool = True,
        epsilon: str = "outside", decay: str = "p", sign: float = 1.0, later: int = 0, keep_corrected: bool = False,
        rate_on_decay: bool = True, numerator: str = "m",
    ):  # fmt: skip
        self.beta1, self.beta2, self.square, self.correct, self.root = beta1, beta2, square, correct, root
        self.epsilon, self.decay, self.sign, self.later, self.keep_corrected = (
            epsilon,
            decay,
            sign,
            later,
            keep_corrected,
        )
        self.rate_on_decay, self.numerator = rate_on_decay, numerator

    def __call__(self, p: Vector, g: Vector, m: Vector, v: Vector, t: int, lr: float, decay: float) -> Stepped:
        rows = [self.number(*four, t + self.later, lr, decay) for four in zip(p, g, m, v, strict=True)]
        return [row[0] for row in rows], [row[1] for row in rows], [row[2] for row in rows]

    def number(
        self, p: float, g: float, m: float, v: float, t: int, lr: float, decay: float
    ) -> tuple[float, float, float]:
        if self.decay == "g":
            g += decay * p
        m = self.beta1 * m + (1 - self.beta1) * g
        v = self.beta2 * v + (1 - self.beta2) * (g * g if self.square else abs(g))
        m_hat = m / (1 - self.beta1**t) if "m" in self.correct else m
        v_hat = v / (1 - self.beta2**t) if "v" in self.correct else v
        if self.epsilon == "inside":
            size = sqrt(v_hat + EPSILON)
        else:
            size = (sqrt(v_hat) if self.root else v_hat) + (EPSILON if self.epsilon == "outside" else 0.0)
        moved = p - self.sign * lr * (g if self.numerator == "g" else m_hat) / size
        if self.decay in ("p", "-p", "new"):
            factor = (lr if self.rate_on_decay else 1.0) * decay * (-1.0 if self.decay == "-p" else 1.0)
            moved -= factor * (moved if self.decay == "new" else p)
        return (moved, m_hat, v_hat) if self.keep_corrected else (moved, m, v)


step = Exercise(
    "gradients.adamw.step", stars=2, minutes=15, reference=adamw, draw=draw_step,
    edges=[
        ([1.0], [0.5], [0.0], [0.0], 1, 0.1, 0.1),
        ([1.0, -2.0], [0.0, 0.0], [0.0, 0.0], [0.0, 0.0], 1, 0.1, 0.5),
        ([1.0], [-2.0], [0.1], [0.3], 3, 0.1, 0.0),
    ], section="The step",
)  # fmt: skip
step.mistake("The bias correction is missing: divide m by 1 − β₁ᵗ and v by 1 − β₂ᵗ first.", ByHand(correct=""))
step.mistake("m is corrected and v is not: divide v by 1 − β₂ᵗ too.", ByHand(correct="m"))
step.mistake("v is corrected and m is not: divide m by 1 − β₁ᵗ too.", ByHand(correct="v"))
step.mistake("The steps are counted from 0: the first step is number 1.", ByHand(later=-1))
step.mistake("The steps are counted one too far: this step is number t.", ByHand(later=1))
step.mistake(
    "The decay is inside the gradient (an L2 penalty): take it from the parameter, outside the fraction.",
    ByHand(decay="g"),
)
step.mistake(
    "The decay is not multiplied by the learning rate: the parameter loses η λ p.", ByHand(rate_on_decay=False)
)
step.mistake("The decay is missing: the parameter loses η λ p.", ByHand(decay=""))
step.mistake("The decay has the wrong sign: the parameter loses η λ p.", ByHand(decay="-p"))
step.mistake(
    "The decay is taken from the parameter after its step: it is λ times what the parameter was before.",
    ByHand(decay="new"),
)
step.mistake("The step goes uphill: it is subtracted.", ByHand(sign=-1.0))
step.mistake("The root is missing: divide by √v̂, not by v̂.", ByHand(root=False))
step.mistake("ε is under the root: it is added after it.", ByHand(epsilon="inside"))
step.mistake("ε is missing: where all gradients were 0, 0 is divided by 0.", ByHand(epsilon=""))
step.mistake("v is a mean of the gradients' sizes: it must be one of their squares.", ByHand(square=False))
step.mistake("The step takes g: it takes the mean m̂.", ByHand(numerator="g"))
step.mistake("β₁ and β₂ have changed places: m has 0.9, v has 0.999.", ByHand(beta1=BETA2, beta2=BETA1))
step.mistake("β and 1 − β have changed places: the old means keep the shares β.", ByHand(1 - BETA1, 1 - BETA2))
step.mistake("v has β₁: its own is 0.999.", ByHand(beta2=BETA1))
step.mistake(
    "The corrected means are handed on: m and v themselves go to the next step, not m̂ and v̂.",
    ByHand(keep_corrected=True),
)
step.mistake(
    "The old means are handed on: the next step needs the new ones.",
    lambda p, g, m, v, t, lr, decay: (adamw(p, g, m, v, t, lr, decay)[0], list(m), list(v)),
)
step.mistake(
    "The step is taken with the old means: first the means, then the step.",
    lambda p, g, m, v, t, lr, decay: (
        [
            x - lr * decay * x - lr * a / (1 - BETA1**t) / (sqrt(b / (1 - BETA2**t)) + EPSILON)
            for x, a, b in zip(p, m, v, strict=True)
        ], *adamw(p, g, m, v, t, lr, decay)[1:],
    ),
)  # fmt: skip

# uncorrected: t, beta1, beta2 -> length of the uncorrected step over the learning rate


def length(t: int, beta1: float, beta2: float) -> float:
    return (1.0 - beta1**t) / sqrt(1.0 - beta2**t)


uncorrected = Exercise(
    "gradients.adamw.uncorrected", stars=2, minutes=10, reference=length,
    draw=lambda rng: (rng.randint(2, 12), rng.uniform(0.6, 0.9), rng.uniform(0.95, 0.999)),
    edges=[(1, 0.9, 0.999), (1000, 0.9, 0.999), (3, 0.5, 0.5)], section="What the zero at the beginning does",
)  # fmt: skip
uncorrected.mistake(
    "The root is missing: the step divides by √v.", lambda t, beta1, beta2: (1.0 - beta1**t) / (1.0 - beta2**t)
)
uncorrected.mistake(
    "This is the other way up: the factor by which the correction shortens the step.",
    lambda t, beta1, beta2: 1.0 / length(t, beta1, beta2),
)
uncorrected.mistake(
    "This is the length at step 1: after t steps the weights add up to 1 − βᵗ.",
    lambda t, beta1, beta2: length(1, beta1, beta2),
)
uncorrected.mistake(
    "This is 1, the corrected step: without the correction m and v are both too small, by unequal shares.",
    lambda t, beta1, beta2: 1.0,
)
uncorrected.mistake("β₁ and β₂ have changed places.", lambda t, beta1, beta2: length(t, beta2, beta1))
uncorrected.mistake("v is taken as g²: it too begins at 0, and is too small.", lambda t, beta1, beta2: 1.0 - beta1**t)
uncorrected.mistake(
    "m is taken as g: it too begins at 0, and is too small.", lambda t, beta1, beta2: (1.0 - beta2**t) ** -0.5
)
uncorrected.mistake(
    "Both weights have a root: only v has one.", lambda t, beta1, beta2: sqrt((1.0 - beta1**t) / (1.0 - beta2**t))
)
uncorrected.mistake(
    "One step too few is counted: the weights add up to 1 − βᵗ.", lambda t, beta1, beta2: length(t - 1, beta1, beta2)
)
uncorrected.mistake(
    "One step too many is counted: the weights add up to 1 − βᵗ.", lambda t, beta1, beta2: length(t + 1, beta1, beta2)
)
uncorrected.mistake(
    "The weights are multiplied by t: they add up to 1 − βᵗ.",
    lambda t, beta1, beta2: (1.0 - beta1) * t / sqrt((1.0 - beta2) * t),
)
uncorrected.mistake(
    "What is left of the zero is taken, βᵗ: the weights of the gradients are the rest, 1 − βᵗ.",
    lambda t, beta1, beta2: beta1**t / sqrt(beta2**t),
)
uncorrected.mistake("The sign is wrong: a length is positive.", lambda t, beta1, beta2: -length(t, beta1, beta2))
uncorrected.mistake(
    "The lengths of all steps up to t are added up: that of step t alone is asked for.",
    lambda t, beta1, beta2: sum(length(i + 1, beta1, beta2) for i in range(t)),
)
