"""Exercises on the autoencoder: the KL of an encoder's guess, and the scaler between it and whoever draws latents.

Practised in book/5-from-noise-to-images/10_autoencoder.md; the module is insideout/images/autoencoder.py.
Shapes: B pictures, Z numbers or channels of a latent.
"""

import random
from collections.abc import Callable

from torch import Tensor

from insideout.exercises.catalogue import Exercise
from insideout.exercises.drawing import tensor

# kl: mean, log_variance -> (B,)


def draw_guess(rng: random.Random, B: int, Z: int = 3) -> tuple[Tensor, Tensor]:
    """Means and logarithms of variances, of both signs."""
    return tensor(rng, B, Z), tensor(rng, B, Z)


def kl_of(mean: Tensor, log_variance: Tensor) -> Tensor:
    return (mean.square() + log_variance.exp() - 1 - log_variance).sum(1) / 2


kl = Exercise(
    "images.autoencoder.kl", stars=1, minutes=8, reference=kl_of, draw=draw_guess, section="KL of two normals"
)
KL_MISTAKES: list[tuple[str, Callable[[Tensor, Tensor], Tensor]]] = [
    ("The half is missing.", lambda m, v: 2 * kl_of(m, v)),
    ("The numbers of a latent are averaged: their KLs add up.", lambda m, v: kl_of(m, v) / m.shape[1]),
    ("The pictures are summed too: one KL for each.", lambda m, v: kl_of(m, v).sum()),
    ("The pictures are averaged too: one KL for each.", lambda m, v: kl_of(m, v).mean()),
    ("Each number's KL is given: sum them for each picture.", lambda m, v: (m.square() + v.exp() - 1 - v) / 2),
    ("The −1 is missing: an encoder that says nothing costs 0.", lambda m, v: (m.square() + v.exp() - v).sum(1) / 2),
    ("The logarithm of the variance is missing.", lambda m, v: (m.square() + v.exp() - 1).sum(1) / 2),
    ("The variance is missing.", lambda m, v: (m.square() - 1 - v).sum(1) / 2),
    ("The mean is missing.", lambda m, v: (v.exp() - 1 - v).sum(1) / 2),
    ("The mean must be squared.", lambda m, v: (m + v.exp() - 1 - v).sum(1) / 2),
    ("log σ² has the wrong sign: a narrow guess costs.", lambda m, v: (m.square() + v.exp() - 1 + v).sum(1) / 2),
    ("The sign is wrong: a KL is never below 0.", lambda m, v: -kl_of(m, v)),
    ("log_variance is log σ², and is used as σ².", lambda m, v: (m.square() + v - 1 - v.abs().log()).sum(1) / 2),
    ("exp of log σ² is σ² already: it is squared again.", lambda m, v: (m.square() + (2 * v).exp() - 1 - v).sum(1) / 2),
    ("log_variance is taken for log σ.", lambda m, v: kl_of(m, 2 * v)),
    ("σ stands where σ² should: exp(log σ² / 2).", lambda m, v: (m.square() + (v / 2).exp() - 1 - v).sum(1) / 2),
    (
        "This is the KL the other way round, of N(0, 1) from the guess.",
        lambda m, v: ((1 + m.square()) * (-v).exp() - 1 + v).sum(1) / 2,
    ),
    ("These are bits: in nats the logarithm is natural.", lambda m, v: kl_of(m, v) / 0.6931471805599453),
    ("The sum goes over the pictures: over the numbers of each it must go.",
     lambda m, v: (m.square() + v.exp() - 1 - v).sum(0) / 2),
]  # fmt: skip
for diagnosis, made in KL_MISTAKES:
    kl.mistake(diagnosis, made)

# scaler: fitted_to, latents -> latents, scaled by what the training latents say


def draw_latents(rng: random.Random, N: int = 3, B: int = 2, Z: int = 2) -> tuple[Tensor, Tensor]:
    """Latents whose channels differ in mean and width, and others beside them."""

    def some(n: int) -> Tensor:
        return tensor(rng, n, Z, 2, 2) * widths + middles

    widths, middles = 1 + tensor(rng, 1, Z, 1, 1).abs(), 2 * tensor(rng, 1, Z, 1, 1)
    return some(N), some(B)


def scaled(fitted_to: Tensor, latents: Tensor, over: tuple[int, ...] = (0, 2, 3), correction: int = 0) -> Tensor:
    mean = fitted_to.mean(over, keepdim=True)
    return (latents - mean) / fitted_to.std(over, keepdim=True, correction=correction)


def parts(fitted_to: Tensor) -> tuple[Tensor, Tensor]:
    return fitted_to.mean((0, 2, 3), keepdim=True), fitted_to.std((0, 2, 3), keepdim=True, correction=0)


scaler = Exercise(
    "images.autoencoder.scaler", stars=2, minutes=10, reference=scaled, draw=draw_latents,
    section="The scaler, forgotten and applied twice",
)  # fmt: skip
SCALER_MISTAKES: list[tuple[str, Callable[[Tensor, Tensor], Tensor]]] = [
    ("It is fitted to the latents themselves: fit it to those of the training pictures.", lambda f, z: scaled(z, z)),
    ("The training latents are scaled: scale the others.", lambda f, z: scaled(f, f)),
    ("One mean and deviation for all channels: one for each.", lambda f, z: scaled(f, z, (0, 1, 2, 3))),
    ("One for each place: all places of a channel share theirs.", lambda f, z: scaled(f, z, (0,))),
    ("The pictures keep one each: all of them share theirs.", lambda f, z: (
        (z - f.mean((2, 3), keepdim=True)[:1]) / f.std((2, 3), keepdim=True, correction=0)[:1]
    )),
    ("The channels are averaged, not the places: over the axes 0, 2 and 3.", lambda f, z: scaled(f, z, (0, 1))),
    ("The shift is missing.", lambda f, z: z / parts(f)[1]),
    ("The scale is missing.", lambda f, z: z - parts(f)[0]),
    ("The shift has the wrong sign.", lambda f, z: (z + parts(f)[0]) / parts(f)[1]),
    ("Multiplied by the deviation: divide by it.", lambda f, z: (z - parts(f)[0]) * parts(f)[1]),
    ("Divided by the variance: its root is the deviation.", lambda f, z: (z - parts(f)[0]) / parts(f)[1] ** 2),
    ("Applied twice.", lambda f, z: scaled(f, scaled(f, z))),
    ("This is the way back: the decoder's side.", lambda f, z: z * parts(f)[1] + parts(f)[0]),
    ("Scaled first and shifted after: subtract before you divide.", lambda f, z: z / parts(f)[1] - parts(f)[0]),
    (
        "Divided by the root of the mean square: the deviation is measured from the mean.",
        lambda f, z: (z - parts(f)[0]) / f.square().mean((0, 2, 3), keepdim=True).sqrt(),
    ),
    ("The deviation is of n − 1: here it is divided by n.", lambda f, z: scaled(f, z, correction=1)),
    ("Brought into [0, 1] by the largest and the smallest: use mean and deviation.", lambda f, z: (
        (z - f.amin((0, 2, 3), keepdim=True)) / (f.amax((0, 2, 3), keepdim=True) - f.amin((0, 2, 3), keepdim=True))
    )),
]  # fmt: skip
for diagnosis, made in SCALER_MISTAKES:
    scaler.mistake(diagnosis, made)
