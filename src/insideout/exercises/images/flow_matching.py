"""Exercises on flow matching: the exact field of a set of points, and the floor under its loss.

Practised in book/5-from-noise-to-images/01_flow_matching.md; the module is insideout/images/paths.py.
Shapes: B places, K points.
"""

import random

import torch
from torch import Tensor

from insideout.exercises.catalogue import Exercise
from insideout.exercises.drawing import tensor, two_digits
from insideout.images.paths import marginal_velocity, posterior

# field: points, x, t -> the marginal velocity


def draw_places(rng: random.Random, B: int, K: int = 2) -> tuple[Tensor, Tensor, float]:
    """K points, B places, and a time in the middle."""
    return tensor(rng, K, 2), tensor(rng, B, 2), two_digits(rng.uniform(0.2, 0.8))


def led_here(points: Tensor, x: Tensor, t: float) -> Tensor:
    return posterior(points, x, t)


def apart_from(points: Tensor, x: Tensor, t: float) -> Tensor:
    return (x[:, None] - t * points).square().sum(-1)


field = Exercise(
    "images.flow_matching.field", stars=2, minutes=12, reference=marginal_velocity, draw=draw_places,
    edges=[(torch.tensor([[1.0, 0.0], [0.0, 3.0]], dtype=torch.float64), torch.zeros(1, 2, dtype=torch.float64), 0.0)],
    section="The field, exactly",
)  # fmt: skip
field.mistake(
    "This is where you will end, the weighted mean of the points: the velocity is the way there, over the time left.",
    lambda points, x, t: led_here(points, x, t) @ points,
)
field.mistake(
    "The way is not divided by the time that is left, 1 − t.", lambda points, x, t: led_here(points, x, t) @ points - x
)
field.mistake(
    "The velocity points the wrong way, from the data to the noise.",
    lambda points, x, t: (x - led_here(points, x, t) @ points) / (1 - t),
)
field.mistake(
    "x is compared with the points themselves: at time t a point's lines pass around t times the point.",
    lambda points, x, t: (
        (torch.softmax(-(x[:, None] - points).square().sum(-1) / (2 * (1 - t) ** 2), 1) @ points - x) / (1 - t)
    ),
)
field.mistake(
    "The spread of the noise is missing in the weights: divide by 2 (1 − t)².",
    lambda points, x, t: (torch.softmax(-apart_from(points, x, t), 1) @ points - x) / (1 - t),
)
field.mistake(
    "The squared distance is divided by (1 − t)² alone: a normal density has 2 (1 − t)².",
    lambda points, x, t: (torch.softmax(-apart_from(points, x, t) / (1 - t) ** 2, 1) @ points - x) / (1 - t),
)
field.mistake(
    "The distance is divided by 2 (1 − t): the noise has the standard deviation 1 − t, so it is squared.",
    lambda points, x, t: (torch.softmax(-apart_from(points, x, t) / (2 * (1 - t)), 1) @ points - x) / (1 - t),
)
field.mistake(
    "The distance is not squared in the weights: a normal density falls with its square.",
    lambda points, x, t: (
        (torch.softmax(-apart_from(points, x, t).sqrt() / (2 * (1 - t) ** 2), 1) @ points - x) / (1 - t)
    ),
)
field.mistake(
    "The weights favour the farthest points: the exponent of a density is negative.",
    lambda points, x, t: (torch.softmax(apart_from(points, x, t) / (2 * (1 - t) ** 2), 1) @ points - x) / (1 - t),
)
field.mistake(
    "The softmax runs over the places: for each place the weights of the points sum to 1.",
    lambda points, x, t: (torch.softmax(-apart_from(points, x, t) / (2 * (1 - t) ** 2), 0) @ points - x) / (1 - t),
)
field.mistake(
    "All points count alike: those whose lines pass near x are likelier.",
    lambda points, x, t: (points.mean(0) - x) / (1 - t),
)
field.mistake(
    "Only the likeliest point counts: the field is the mean over all of them, weighted.",
    lambda points, x, t: (points[led_here(points, x, t).argmax(1)] - x) / (1 - t),
)
field.mistake(
    "Time runs the other way: here t = 0 is noise and t = 1 is data.",
    lambda points, x, t: marginal_velocity(points, x, 1 - t),
)
field.mistake(
    "This divides by t, the time that has passed: 1 − t is left.",
    lambda points, x, t: (led_here(points, x, t) @ points - x) / max(t, 1e-9),
)

# floor: weights, points, t -> the least squared error at each place


def draw_weights(rng: random.Random, B: int, K: int = 2) -> tuple[Tensor, Tensor, float]:
    """Weights of K points at each of B places, and a time in the middle."""
    return tensor(rng, B, K).softmax(1), tensor(rng, K, 2), two_digits(rng.uniform(0.2, 0.8))


def spread(weights: Tensor, points: Tensor) -> Tensor:
    """The weighted variance of the points, summed over their coordinates."""
    return (weights @ points.square() - (weights @ points).square()).sum(1)


def least_error(weights: Tensor, points: Tensor, t: float) -> Tensor:
    return spread(weights, points) / (1 - t) ** 2


CERTAIN = torch.tensor([[1.0, 0.0]], dtype=torch.float64)
floor = Exercise(
    "images.flow_matching.floor", stars=3, minutes=15, reference=least_error,
    draw=draw_weights,
    edges=[(CERTAIN, torch.tensor([[1.0, 2.0], [3.0, 0.0]], dtype=torch.float64), 0.5)],
    section="Measure it: the floor",
)  # fmt: skip
floor.mistake(
    "This is the variance of the data: noise = (x − t data)/(1 − t) varies with it, so that of data − noise is larger.",
    lambda weights, points, t: spread(weights, points),
)
floor.mistake(
    "It is divided by 1 − t: a variance is divided by the square.",
    lambda weights, points, t: spread(weights, points) / (1 - t),
)
floor.mistake(
    "This is the variance of the noise alone, t²/(1 − t)² of the data's: data − noise is asked for.",
    lambda weights, points, t: spread(weights, points) * t**2 / (1 - t) ** 2,
)
floor.mistake(
    "The variances of data and noise are added as if they were independent: given x, one tells the other.",
    lambda weights, points, t: spread(weights, points) * (1 + t**2 / (1 - t) ** 2),
)
floor.mistake(
    "The noise is given a variance of 1 for each coordinate: given x and the data, nothing in it is left to chance.",
    lambda weights, points, t: spread(weights, points) + 2,
)
floor.mistake(
    "The mean over the coordinates is taken: the sum is asked for.",
    lambda weights, points, t: spread(weights, points) / 2 / (1 - t) ** 2,
)
floor.mistake(
    "The coordinates are still apart: add them up, to one number a place.",
    lambda weights, points, t: (weights @ points.square() - (weights @ points).square()) / (1 - t) ** 2,
)
floor.mistake(
    "The square of the mean is not subtracted: this is a mean square, not a variance.",
    lambda weights, points, t: (weights @ points.square()).sum(1) / (1 - t) ** 2,
)
floor.mistake(
    "All points count alike: weigh them.",
    lambda weights, points, t: (points.var(0, correction=0).sum() / (1 - t) ** 2).expand(len(weights)),
)
floor.mistake(
    "It is divided by t²: at time t the noise has the share 1 − t.",
    lambda weights, points, t: spread(weights, points) / t**2,
)
floor.mistake(
    "It is multiplied by (1 − t)²: near the data, small differences of x mean large ones of the velocity.",
    lambda weights, points, t: spread(weights, points) * (1 - t) ** 2,
)
floor.mistake(
    "This is a standard deviation: the squared error is the variance.",
    lambda weights, points, t: spread(weights, points).sqrt() / (1 - t),
)
floor.mistake(
    "The mean over the places is taken: each place has its own floor.",
    lambda weights, points, t: (spread(weights, points) / (1 - t) ** 2).mean(),
)
floor.mistake(
    "This is the error of naming the likeliest point: the weighted mean is a better prediction.",
    lambda weights, points, t: (
        (weights * (points - points[weights.argmax(1)][:, None]).square().sum(-1)).sum(1) / (1 - t) ** 2
    ),
)
