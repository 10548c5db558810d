"""Exercises on diffusion and flow: the velocity that a predicted noise means, and a step of DDIM.

Practised in book/5-from-noise-to-images/03_diffusion_and_flow.md; the module is insideout/images/paths.py.
Shapes: B points.
"""

import random

import torch
from torch import Tensor

from insideout.exercises.catalogue import Exercise
from insideout.exercises.drawing import tensor, two_digits

# velocity: noise, x, t -> the velocity on the straight path


def draw_noise(rng: random.Random, B: int) -> tuple[Tensor, Tensor, float]:
    """Noise and x at B places, and a time."""
    return tensor(rng, B, 2), tensor(rng, B, 2), two_digits(rng.uniform(0.15, 0.85))


def from_noise(noise: Tensor, x: Tensor, t: float) -> Tensor:
    return (x - noise) / t


velocity = Exercise(
    "images.diffusion_and_flow.velocity", stars=1, minutes=8, reference=from_noise, draw=draw_noise,
    edges=[(torch.ones(1, 2, dtype=torch.float64), torch.zeros(1, 2, dtype=torch.float64), 1.0)],
    section="Two equations, two unknowns",
)  # fmt: skip
velocity.mistake("This is the data: the velocity is data − noise.", lambda noise, x, t: (x - (1 - t) * noise) / t)
velocity.mistake(
    "The sign is wrong: with t = 1 at the data the velocity is data − noise.", lambda noise, x, t: (noise - x) / t
)
velocity.mistake("It is not divided by t.", lambda noise, x, t: x - noise)
velocity.mistake(
    "This divides by 1 − t, as if the data had been predicted.",
    lambda noise, x, t: (x - noise) / max(1 - t, 1e-9),
)
velocity.mistake(
    "What was predicted is taken for the data: it is the noise.",
    lambda noise, x, t: (noise - x) / max(1 - t, 1e-9),
)
velocity.mistake(
    "a and s are exchanged: at t the noise has the share 1 − t.",
    lambda noise, x, t: (x - t * noise) / max(1 - t, 0.01) - noise,
)
velocity.mistake("x is taken for the data: x still has noise in it.", lambda noise, x, t: x - t * noise - noise)
velocity.mistake(
    "The noise is not multiplied by its share 1 − t before it is taken away.",
    lambda noise, x, t: (x - noise) / t - noise,
)
velocity.mistake(
    "The data are not divided by t: x less the noise is t · data.", lambda noise, x, t: x - (1 - t) * noise - noise
)
velocity.mistake(
    "Data and noise are added: the velocity is their difference.", lambda noise, x, t: (x - (1 - t) * noise) / t + noise
)
velocity.mistake("This is the score, −noise / (1 − t).", lambda noise, x, t: -noise / max(1 - t, 1e-9))
velocity.mistake("This is minus the noise: the data are missing.", lambda noise, x, t: -noise)
velocity.mistake(
    "The noise is added to x instead of taken away.", lambda noise, x, t: (x + (1 - t) * noise) / t - noise
)

# ddim: noise, x, a, s, a_next, s_next -> the next x


def draw_mix(rng: random.Random, B: int) -> tuple[Tensor, Tensor, float, float, float, float]:
    """Noise and x at B places, and the shares now and next; on no path in particular."""
    a, s, a_next, s_next = (two_digits(rng.uniform(0.3, 0.95)) for _ in range(4))
    return tensor(rng, B, 2), tensor(rng, B, 2), a, s, a_next, s_next


def mixed_again(noise: Tensor, x: Tensor, a: float, s: float, a_next: float, s_next: float) -> Tensor:
    return a_next * (x - s * noise) / a + s_next * noise


ddim = Exercise(
    "images.diffusion_and_flow.ddim", stars=2, minutes=10, reference=mixed_again, draw=draw_mix,
    section="A thousand steps",
)  # fmt: skip
ddim.mistake("This is the data: mix them with the noise again.", lambda n, x, a, s, a2, s2: (x - s * n) / a)
ddim.mistake("The noise is not added again.", lambda n, x, a, s, a2, s2: a2 * (x - s * n) / a)
ddim.mistake("The data are not divided by a.", lambda n, x, a, s, a2, s2: a2 * (x - s * n) + s2 * n)
ddim.mistake("The data are not multiplied by a_next.", lambda n, x, a, s, a2, s2: (x - s * n) / a + s2 * n)
ddim.mistake(
    "The noise comes back with its old share: use s_next.", lambda n, x, a, s, a2, s2: a2 * (x - s * n) / a + s * n
)
ddim.mistake("The data come back with their old share: use a_next.", lambda n, x, a, s, a2, s2: x - s * n + s2 * n)
ddim.mistake("The noise comes back whole: multiply it by s_next.", lambda n, x, a, s, a2, s2: a2 * (x - s * n) / a + n)
ddim.mistake(
    "The whole noise is taken away: its share in x is s.", lambda n, x, a, s, a2, s2: a2 * (x - n) / a + s2 * n
)
ddim.mistake("The next noise is subtracted.", lambda n, x, a, s, a2, s2: a2 * (x - s * n) / a - s2 * n)
ddim.mistake(
    "The present noise is added to x instead of taken away.", lambda n, x, a, s, a2, s2: a2 * (x + s * n) / a + s2 * n
)
ddim.mistake("a and s are exchanged.", lambda n, x, a, s, a2, s2: a2 * (x - a * n) / s + s2 * n)
ddim.mistake("a_next and s_next are exchanged.", lambda n, x, a, s, a2, s2: s2 * (x - s * n) / a + a2 * n)
ddim.mistake(
    "Now and next are exchanged: x is mixed with a and s.", lambda n, x, a, s, a2, s2: a * (x - s2 * n) / a2 + s * n
)
ddim.mistake(
    "What was predicted is taken for the data: it is the noise.",
    lambda n, x, a, s, a2, s2: a2 * n + s2 * (x - a * n) / s,
)
ddim.mistake(
    "The shares are taken for their squares, the ᾱ of other texts: a and s multiply data and noise as they are.",
    lambda n, x, a, s, a2, s2: a2**0.5 * (x - s**0.5 * n) / a**0.5 + s2**0.5 * n,
)
