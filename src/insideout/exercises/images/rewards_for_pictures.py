"""Exercises on rewards for pictures: the log-probability of a step of the SDE, and the KL of a whole way.

Practised in book/5-from-noise-to-images/13_rewards_for_pictures.md; the module is insideout/images/rewarded.py.
Shapes: B pictures of D numbers, n steps.
"""

import math
import random
from collections.abc import Callable
from typing import Any

from torch import Tensor

from insideout.exercises.catalogue import Exercise
from insideout.exercises.drawing import tensor, two_digits

# step_logprob: x_next, x, v, t, h, c -> (B,), in nats


def draw_step(rng: random.Random, B: int = 2, D: int = 2) -> tuple[Tensor, Tensor, Tensor, float, float, float]:
    """A place, a velocity, and where a step led, about as far away as it is wide."""
    x, v = tensor(rng, B, D), tensor(rng, B, D)
    t, h, c = (two_digits(rng.uniform(*each)) for each in ((0.15, 0.8), (0.1, 0.3), (0.3, 0.9)))
    return x + h * v + 0.5 * tensor(rng, B, D), x, v, t, h, c


def logprob_of(
    x_next: Tensor, x: Tensor, v: Tensor, t: float, h: float, c: float,
    mean: Callable[..., Tensor] = lambda x, v, t, h, c: x + h * (v - c * (x - t * v)),
    variance: Callable[..., float] = lambda t, h, c: 2 * c * (1 - t) * h,
    rest: Callable[[float], float] = lambda sigma: math.log(sigma) + math.log(2 * math.pi) / 2,
) -> Tensor:  # fmt: skip
    sigma = variance(t, h, c) ** 0.5
    return (-(((x_next - mean(x, v, t, h, c)) / sigma) ** 2) / 2 - rest(sigma)).sum(1)


step_logprob = Exercise(
    "images.rewards_for_pictures.step_logprob", stars=2, minutes=15, reference=logprob_of, draw=draw_step,
    section="A step is a Gaussian",
)  # fmt: skip


def wrongly(**changed: Any) -> Callable[..., Tensor]:
    """The same with another part."""
    return lambda *given: logprob_of(*given, **changed)


LOGPROB_MISTAKES: list[tuple[str, Callable[..., Any]]] = [
    ("Nothing is taken away for the noise: the mean is x + h (v − c · noise).",
     wrongly(mean=lambda x, v, t, h, c: x + h * v)),
    ("The expected noise is added: it is taken away.",
     wrongly(mean=lambda x, v, t, h, c: x + h * (v + c * (x - t * v)))),
    ("The score was taken where the noise belongs: noise = −s · score.",
     wrongly(mean=lambda x, v, t, h, c: x + h * (v - c * (x - t * v) / (1 - t)))),
    ("This is the expected data, x + (1 − t) v: the noise is x − t v.",
     wrongly(mean=lambda x, v, t, h, c: x + h * (v - c * (x + (1 - t) * v)))),
    ("The churn is missing in the mean.",
     wrongly(mean=lambda x, v, t, h, c: x + h * (v - (x - t * v)))),
    ("The mean forgets where the step began: add x.",
     wrongly(mean=lambda x, v, t, h, c: h * (v - c * (x - t * v)))),
    ("The correction is not multiplied by h.",
     wrongly(mean=lambda x, v, t, h, c: x + h * v - c * (x - t * v))),
    ("The step's length is missing in the variance: 2 c (1 − t) h.",
     wrongly(variance=lambda t, h, c: 2 * c * (1 - t))),
    ("The variance has h²: noise grows with the root of the time, its variance with the time.",
     wrongly(variance=lambda t, h, c: 2 * c * (1 - t) * h * h)),
    ("The 2 is missing in the variance.", wrongly(variance=lambda t, h, c: c * (1 - t) * h)),
    ("The share of noise at t is 1 − t, not t.", wrongly(variance=lambda t, h, c: 2 * c * t * h)),
    ("The variance is taken where the step ends: it is decided where it begins.",
     wrongly(variance=lambda t, h, c: 2 * c * (1 - t - h) ** 2 * h)),
    ("The variance was taken for the deviation: take its root.",
     wrongly(variance=lambda t, h, c: (2 * c * (1 - t) * h) ** 2)),
    ("log σ is missing.", wrongly(rest=lambda sigma: math.log(2 * math.pi) / 2)),
    ("½ log 2π is missing.", wrongly(rest=math.log)),
    ("The mean over the D numbers was taken: their log densities add up.",
     lambda x_next, *g: logprob_of(x_next, *g) / x_next.shape[1]),
    ("This is the density: its logarithm is asked for.", lambda *g: logprob_of(*g).exp()),
    ("The pictures were added up too: one number for each is asked for.", lambda *g: logprob_of(*g).sum()),
    ("The sign is wrong: this is minus the log-probability.", lambda *g: -logprob_of(*g)),
]  # fmt: skip
for diagnosis, answer in LOGPROB_MISTAKES:
    step_logprob.mistake(diagnosis, answer)

# way_kl: means, reference_means, deviations -> a number, in nats


def draw_means(rng: random.Random, n: int = 2, B: int = 2, D: int = 2) -> tuple[Tensor, Tensor, Tensor]:
    """Means of two policies, and the deviations of the steps."""
    return tensor(rng, n, B, D), tensor(rng, n, B, D), 0.4 + tensor(rng, n).abs()


def kl_table(means: Tensor, reference: Tensor, deviations: Tensor) -> Tensor:
    """(n, B)"""
    return (means - reference).square().sum(-1) / (2 * deviations[:, None] ** 2)


def kl_of_ways(means: Tensor, reference: Tensor, deviations: Tensor) -> Tensor:
    return kl_table(means, reference, deviations).sum(0).mean()


way_kl = Exercise(
    "images.rewards_for_pictures.way_kl", stars=2, minutes=10, reference=kl_of_ways, draw=draw_means,
    section="A step is a Gaussian",
)  # fmt: skip
KL_MISTAKES: list[tuple[str, Callable[[Tensor, Tensor, Tensor], Any]]] = [
    ("The ½ is missing.", lambda m, r, s: 2 * kl_of_ways(m, r, s)),
    ("The deviation is not squared.", lambda m, r, s: ((m - r).square().sum(-1) / (2 * s[:, None])).sum(0).mean()),
    ("The squares are multiplied by the variance: divide.",
     lambda m, r, s: ((m - r).square().sum(-1) * s[:, None] ** 2 / 2).sum(0).mean()),
    ("The deviations are left out.", lambda m, r, s: ((m - r).square().sum(-1) / 2).sum(0).mean()),
    ("The mean over the steps was taken: the KL of a way is the sum of its steps'.",
     lambda m, r, s: kl_table(m, r, s).mean()),
    ("The mean over the D numbers was taken: sum over them.",
     lambda m, r, s: kl_of_ways(m, r, s) / m.shape[-1]),
    ("The pictures were added up: average over them.", lambda m, r, s: kl_table(m, r, s).sum()),
    ("This is one number for each picture: average over them.", lambda m, r, s: kl_table(m, r, s).sum(0)),
    ("This is one number for each step: add them up.", lambda m, r, s: kl_table(m, r, s).mean(1)),
    ("Only the first step was counted.", lambda m, r, s: kl_table(m, r, s)[0].mean()),
    ("Only the last step was counted.", lambda m, r, s: kl_table(m, r, s)[-1].mean()),
    ("The differences are not squared, their sizes are added up.",
     lambda m, r, s: ((m - r).abs().sum(-1) / (2 * s[:, None] ** 2)).sum(0).mean()),
    ("The differences were added up before they were squared.",
     lambda m, r, s: ((m - r).sum(-1).square() / (2 * s[:, None] ** 2)).sum(0).mean()),
    ("The pictures were averaged before squaring: each has a KL of its own.",
     lambda m, r, s: ((m - r).mean(1).square().sum(-1) / (2 * s**2)).sum()),
    ("One deviation was taken for all steps, their mean: each step has its own.",
     lambda m, r, s: ((m - r).square().sum(-1) / (2 * s.mean() ** 2)).sum(0).mean()),
    ("The root was taken: KL has the square of the distance.",
     lambda m, r, s: ((m - r).norm(dim=-1) / (2 * s[:, None] ** 2)).sum(0).mean()),
    ("The sign is wrong: KL is never below 0.", lambda m, r, s: -kl_of_ways(m, r, s)),
    ("The largest step was taken: add all of them up.", lambda m, r, s: kl_table(m, r, s).amax(0).mean()),
]  # fmt: skip
for diagnosis, computed in KL_MISTAKES:
    way_kl.mistake(diagnosis, computed)
