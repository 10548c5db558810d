"""Exercises on few steps: several jumps with fresh noise between them, and the rule of shortcut models.

Practised in book/5-from-noise-to-images/12_few_steps.md; the module is insideout/images/few_step.py.
Shapes: B points, n times that noise is added.
"""

import random
from collections.abc import Callable
from typing import Any

from torch import Tensor

from insideout.exercises.catalogue import Exercise
from insideout.exercises.drawing import described, tensor, two_digits

Velocity = Callable[..., Tensor]

# jumps: u, noise, fresh -> where the last jump arrives


def draw_jumps(rng: random.Random, n: int, B: int = 2) -> tuple[Velocity, Tensor, Tensor]:
    """A mean velocity that bends with place and time, noise, and fresh noise."""
    a, b = (two_digits(rng.choice((-1, 1)) * rng.uniform(0.5, 1.2)) for _ in range(2))

    def u(x: Tensor, t: float) -> Tensor:
        return a * x.flip(-1) + b * (1 + t * t) * x

    text = f"lambda x, t: {a:g} * x.flip(-1) + {b:g} * (1 + t * t) * x"
    return described(u, text), tensor(rng, B, 2), tensor(rng, n, B, 2)


def jumped(
    u: Velocity, noise: Tensor, fresh: Tensor, time: Callable[[int, int], float] = lambda i, n: i / (n + 1),
    mix: Callable[[Tensor, Tensor, float], Tensor] = lambda x, new, t: t * x + (1 - t) * new,
    step: Callable[[float], float] = lambda t: 1 - t, asked: Callable[[float], float] = lambda t: t,
) -> Tensor:  # fmt: skip
    x = noise + u(noise, 0.0)
    for i, new in enumerate(fresh, 1):
        t = time(i, len(fresh))
        x = mix(x, new, t)
        x = x + step(t) * u(x, asked(t))
    return x


jumps = Exercise(
    "images.few_steps.jumps", stars=2, minutes=12, reference=jumped, draw=draw_jumps,
    section="Consistency: what is right later is right now",
)  # fmt: skip
JUMP_MISTAKES: list[tuple[str, Callable[[Velocity, Tensor, Tensor], Any]]] = [
    ("Only the first jump is made.", lambda u, x, new: jumped(u, x, new[:0])),
    ("The last of the fresh noises is left out.",
     lambda u, x, new: jumped(u, x, new[:-1], time=lambda i, n: i / (n + 2))),
    ("Data and noise are exchanged: at time t there is t of the data.",
     lambda u, x, new: jumped(u, x, new, mix=lambda x, new, t: (1 - t) * x + t * new)),
    ("The noise is added without taking anything of the data.",
     lambda u, x, new: jumped(u, x, new, mix=lambda x, new, t: x + (1 - t) * new)),
    ("No fresh noise is mixed in.", lambda u, x, new: jumped(u, x, new, mix=lambda x, new, t: x)),
    ("The data are scaled, and no noise added.", lambda u, x, new: jumped(u, x, new, mix=lambda x, new, t: t * x)),
    ("The first noise is mixed in again: take the fresh one.",
     lambda u, x, new: jumped(u, x, x.expand_as(new))),
    ("Each jump has the length 1: from t it is 1 − t.", lambda u, x, new: jumped(u, x, new, step=lambda t: 1.0)),
    ("The jump has the length t: it is 1 − t from t to the end.",
     lambda u, x, new: jumped(u, x, new, step=lambda t: t)),
    ("The velocity is always asked at t = 0: ask at the time that was gone back to.",
     lambda u, x, new: jumped(u, x, new, asked=lambda t: 0.0)),
    ("The velocity is asked at the end: ask where the jump begins.",
     lambda u, x, new: jumped(u, x, new, asked=lambda t: 1.0)),
    ("The times are i / n: with n fresh noises there are n + 1 jumps.",
     lambda u, x, new: jumped(u, x, new, time=lambda i, n: i / n)),
    ("The times begin at 0: the first time to go back to is 1 / (n + 1).",
     lambda u, x, new: jumped(u, x, new, time=lambda i, n: (i - 1) / (n + 1))),
    ("The times go backwards: each is nearer to the data than the one before.",
     lambda u, x, new: jumped(u, x, new, time=lambda i, n: 1 - i / (n + 1))),
    ("Mixed by roots, as the variance-preserving path does: the linear one has t and 1 − t.",
     lambda u, x, new: jumped(u, x, new, mix=lambda x, new, t: t * x + (1 - t * t) ** 0.5 * new)),
    ("The step is taken against the velocity.", lambda u, x, new: jumped(u, x, new, step=lambda t: t - 1)),
    ("The mixture is returned, not where the jump from it arrives.",
     lambda u, x, new: jumped(u, x, new, step=lambda t: 0.0)),
]  # fmt: skip
for diagnosis, made in JUMP_MISTAKES:
    jumps.mistake(diagnosis, made)

# shortcut: u, x, t, d -> the target for u(x, t, 2 d)


def draw_step(rng: random.Random, B: int) -> tuple[Velocity, Tensor, float, float]:
    """A velocity that bends with place, time and length, B points, a time and a length."""
    a, b, c = (two_digits(rng.choice((-1, 1)) * rng.uniform(0.5, 1.5)) for _ in range(3))

    def u(x: Tensor, t: float, d: float) -> Tensor:
        return a * x + b * (1 + t) * x.flip(-1) + c * d + t * t

    text = f"lambda x, t, d: {a:g} * x + {b:g} * (1 + t) * x.flip(-1) + {c:g} * d + t * t"
    return described(u, text), tensor(rng, B, 2), two_digits(rng.uniform(0.1, 0.4)), two_digits(rng.uniform(0.1, 0.25))


def two_steps(u: Velocity, x: Tensor, t: float, d: float) -> Tensor:
    first = u(x, t, d)
    return (first + u(x + d * first, t + d, d)) / 2


shortcut = Exercise(
    "images.few_steps.shortcut", stars=2, minutes=12, reference=two_steps, draw=draw_step,
    section="Consistency: what is right later is right now",
)  # fmt: skip
SHORTCUT_MISTAKES: list[tuple[str, Callable[[Velocity, Tensor, float, float], Any]]] = [
    ("This is what the model says of the long step: the two short ones are to teach it.",
     lambda u, x, t, d: u(x, t, 2 * d)),
    ("This is the first short step alone.", lambda u, x, t, d: u(x, t, d)),
    ("This is the second short step alone.", lambda u, x, t, d: u(x + d * u(x, t, d), t + d, d)),
    ("The two velocities are added: take their mean.", lambda u, x, t, d: 2 * two_steps(u, x, t, d)),
    ("This is where the two steps arrive: the velocity that leads there is asked for.",
     lambda u, x, t, d: x + 2 * d * two_steps(u, x, t, d)),
    ("This is the way: divide it by its time, 2 d.", lambda u, x, t, d: 2 * d * two_steps(u, x, t, d)),
    ("The second step begins at x: it begins where the first arrives.",
     lambda u, x, t, d: (u(x, t, d) + u(x, t + d, d)) / 2),
    ("The second step begins at the time t: it begins at t + d.",
     lambda u, x, t, d: (u(x, t, d) + u(x + d * u(x, t, d), t, d)) / 2),
    ("The second step begins at t + 2 d: that is where it ends.",
     lambda u, x, t, d: (u(x, t, d) + u(x + d * u(x, t, d), t + 2 * d, d)) / 2),
    ("The first step goes too far: its length is d.",
     lambda u, x, t, d: (u(x, t, d) + u(x + 2 * d * u(x, t, d), t + d, d)) / 2),
    ("The first step is not multiplied by d.",
     lambda u, x, t, d: (u(x, t, d) + u(x + u(x, t, d), t + d, d)) / 2),
    ("The short steps are asked with the length 2 d: theirs is d.",
     lambda u, x, t, d: (u(x, t, 2 * d) + u(x + d * u(x, t, 2 * d), t + d, 2 * d)) / 2),
    ("The short steps are asked with the length d / 2: two steps of d make one of 2 d.",
     lambda u, x, t, d: two_steps(u, x, t, d / 2)),
    ("The second step is asked with the length 2 d.",
     lambda u, x, t, d: (u(x, t, d) + u(x + d * u(x, t, d), t + d, 2 * d)) / 2),
    ("The first step goes backwards.",
     lambda u, x, t, d: (u(x, t, d) + u(x - d * u(x, t, d), t + d, d)) / 2),
    ("The length 0 is asked for: the model's velocity over d is needed.",
     lambda u, x, t, d: (u(x, t, 0.0) + u(x + d * u(x, t, 0.0), t + d, 0.0)) / 2),
]  # fmt: skip
for diagnosis, answer in SHORTCUT_MISTAKES:
    shortcut.mistake(diagnosis, answer)
