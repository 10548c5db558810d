"""Exercises on latent diffusion: what a smaller side saves, and what a wrong width of the latents does to time.

Practised in book/5-from-noise-to-images/11_latent_diffusion.md; the stage is insideout/recipes/latent_drawer.py.
Shapes: B pictures.
"""

import random
from collections.abc import Callable

import torch
from torch import Tensor

from insideout.exercises.catalogue import Exercise
from insideout.exercises.drawing import two_digits

# saving: n_patches, d_model, n_layers, factor -> how many times cheaper a call gets


def draw_sizes(rng: random.Random) -> tuple[int, int, int, int]:
    """Sizes at which pairs and matrices both count."""
    return rng.choice([144, 576, 1296]), rng.choice([16, 32, 64]), rng.randint(2, 6), rng.choice([2, 3, 4, 6])


def work(n_patches: float, d_model: int) -> float:
    return 12 * d_model**2 * n_patches + 2 * d_model * n_patches**2


def saved(n_patches: int, d_model: int, n_layers: int, factor: int) -> float:
    return work(n_patches, d_model) / work(n_patches / factor**2, d_model)


saving = Exercise(
    "images.latent_diffusion.saving", stars=2, minutes=10, reference=saved, draw=draw_sizes, tolerance=1e-6,
    section="What a step costs",
)  # fmt: skip
SAVING_MISTAKES: list[tuple[str, Callable[[int, int, int, int], float]]] = [
    ("This is the factor of the patches: pairs fall faster.", lambda T, C, L, f: f**2),
    ("This is the factor of the pairs: the matrices are multiplied once a patch.", lambda T, C, L, f: f**4),
    ("This is the factor of the side.", lambda T, C, L, f: f),
    ("The patches fall by the square of the factor: both sides get smaller.",
     lambda T, C, L, f: work(T, C) / work(T / f, C)),
    ("This is the share that is left: how many times cheaper is asked for.", lambda T, C, L, f: 1 / saved(T, C, L, f)),
    ("This is what is saved, not by what factor.",
     lambda T, C, L, f: L * (work(T, C) - work(T / f**2, C))),
    ("This is the share that is saved: divide before by after.", lambda T, C, L, f: 1 - 1 / saved(T, C, L, f)),
    ("This is the work before: divide it by that after.", lambda T, C, L, f: L * work(T, C)),
    ("The blocks are counted on one side only: they cancel.", lambda T, C, L, f: L * saved(T, C, L, f)),
    ("The blocks are counted after, and not before: they cancel.", lambda T, C, L, f: saved(T, C, L, f) / L),
    ("The matrices have 12 C², not 4 C²: the feed-forward layer has eight of them.",
     lambda T, C, L, f: (4 * C * C * T + 2 * C * T * T) / (4 * C * C * T / f**2 + 2 * C * T * T / f**4)),
    ("Pairs are used twice: for the scores and for the sum of the values.",
     lambda T, C, L, f: (12 * C * C * T + C * T * T) / (12 * C * C * T / f**2 + C * T * T / f**4)),
    ("The factors 12 and 2 are missing.",
     lambda T, C, L, f: (C * C * T + C * T * T) / (C * C * T / f**2 + C * T * T / f**4)),
    ("The two factors are averaged: weigh each by its share of the work.", lambda T, C, L, f: (f**2 + f**4) / 2),
    ("The width is divided too: it stays.", lambda T, C, L, f: work(T, C) / work(T / f**2, C // f)),
    ("The patches fall by the fourth power: that is the pairs.", lambda T, C, L, f: work(T, C) / work(T / f**4, C)),
]  # fmt: skip
for told, made in SAVING_MISTAKES:
    saving.mistake(told, made)

# really: t, s -> the time at which latents of deviation 1 have as much signal


def draw_times(rng: random.Random, B: int = 3) -> tuple[Tensor, float]:
    """Times, both ends among them, and a width that is not 1."""
    times = [0.0, 1.0, *(two_digits(rng.uniform(0.1, 0.9)) for _ in range(B))]
    return torch.tensor(times, dtype=torch.float64), two_digits(rng.choice([rng.uniform(0.15, 0.6), rng.uniform(2, 6)]))


def same_ratio(t: Tensor, s: float) -> Tensor:
    return s * t / (s * t + 1 - t)


really = Exercise(
    "images.latent_diffusion.really", stars=2, minutes=10, reference=same_ratio, draw=draw_times,
    section="The wrong width",
)  # fmt: skip
REALLY_MISTAKES: list[tuple[str, Callable[[Tensor, float], Tensor]]] = [
    ("This is the ratio of signal to noise: which time has it?", lambda t, s: s * t / (1 - t).clamp(min=1e-9)),
    ("This is s t: what becomes of the noise?", lambda t, s: s * t),
    ("Divided by the noise alone, and one is added: the ratio has to be over 1 plus itself.",
     lambda t, s: 1 + s * t / (1 - t).clamp(min=1e-9)),
    ("The width multiplies the noise: it is the latents that are too narrow.", lambda t, s: t / (t + s * (1 - t))),
    ("The noise's share of it: the data's is asked for.", lambda t, s: 1 - same_ratio(t, s)),
    ("The variance stands in place of the deviation.", lambda t, s: same_ratio(t, s * s)),
    ("The root of the width stands in place of the width.", lambda t, s: same_ratio(t, s**0.5)),
    ("Not divided: s t + 1 − t is how much of both there is.", lambda t, s: s * t + 1 - t),
    ("Divided by 1 + s t: the noise is 1 − t.", lambda t, s: s * t / (1 + s * t)),
    ("The time is the other way round: t = 1 is data.", lambda t, s: same_ratio(1 - t, s)),
    ("s of the numerator is missing.", lambda t, s: t / (s * t + 1 - t)),
    ("These are shares of variance: signal and noise are compared by their deviations.",
     lambda t, s: (s * t) ** 2 / ((s * t) ** 2 + (1 - t) ** 2)),
    ("t is left as it is: the width must matter.", lambda t, s: t),
    ("Clipped at 1: no time is beyond the data once both shares are counted.", lambda t, s: (s * t).clamp(max=1)),
    ("Divided by the length of both: signal and noise do not add as squares here.",
     lambda t, s: s * t / ((s * t) ** 2 + (1 - t) ** 2).sqrt()),
]  # fmt: skip
for told, answer in REALLY_MISTAKES:
    really.mistake(told, answer)
