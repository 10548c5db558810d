"""Exercises on training: the schedule, accumulated gradients, Muon's direction.

Practised in book/2-building-a-transformer/07_training.md; the modules are insideout/training/loop.py, schedule.py
and optimizers.py. Sources: Goyal et al. 2017, §2.2 (warm-up); Loshchilov and Hutter 2017, §3 (cosine); Jordan 2024
(Muon). Shapes: K parts, P parameters, R rows, C columns.
"""

import math
import random
from collections.abc import Callable

import torch
from torch import Tensor

from insideout.exercises.catalogue import Exercise, Mistake


def numbers(rng: random.Random, *shape: int) -> Tensor:
    """Normal float64 numbers."""
    return torch.randn(shape, generator=torch.Generator().manual_seed(rng.getrandbits(31)), dtype=torch.float64)


# learning_rate: a straight climb, then half a cosine, as a list with one rate a step


def draw_schedule(rng: random.Random) -> tuple[int, int, float, float]:
    """steps, warmup_steps, lr, min_lr."""
    return rng.randint(20, 40), rng.randint(4, 8), rng.uniform(2, 3), rng.uniform(0.2, 0.5)


def half_cosine(progress: float) -> float:
    return (1 + math.cos(math.pi * progress)) / 2


def schedule(
    steps: int, warmup_steps: int, lr: float, min_lr: float, shape: Callable[[float], float] = half_cosine
) -> list[float]:
    climb = [lr * (step + 1) / warmup_steps for step in range(warmup_steps)]
    left = steps - warmup_steps
    return climb + [min_lr + (lr - min_lr) * shape((step + 1) / left) for step in range(left)]


def schedule_from_zero(steps: int, warmup_steps: int, lr: float, min_lr: float) -> list[float]:
    climb = [lr * step / warmup_steps for step in range(warmup_steps)]
    return climb + schedule(steps, warmup_steps, lr, min_lr)[warmup_steps:]


def schedule_never_there(steps: int, warmup_steps: int, lr: float, min_lr: float) -> list[float]:
    left = steps - warmup_steps
    fall = [min_lr + (lr - min_lr) * half_cosine(step / left) for step in range(left)]
    return schedule(steps, warmup_steps, lr, min_lr)[:warmup_steps] + fall


def schedule_over_all(steps: int, warmup_steps: int, lr: float, min_lr: float) -> list[float]:
    fall = [min_lr + (lr - min_lr) * half_cosine(step / (steps - 1)) for step in range(warmup_steps, steps)]
    return schedule(steps, warmup_steps, lr, min_lr)[:warmup_steps] + fall


# accumulate: gradients of the parts' own means (K, P), tokens (K,) -> gradient of the mean over all


def draw_parts(rng: random.Random) -> tuple[Tensor, Tensor]:
    """The gradient of each part's mean loss, and how many tokens it is a mean of; no two parts are of one length."""
    return numbers(rng, 4, 6), torch.tensor(rng.sample(range(2, 60), 4))


def accumulated(gradients: Tensor, counts: Tensor) -> Tensor:
    return counts.to(gradients.dtype) @ gradients / counts.sum()


# muon: the direction with the same singular vectors, and singular values of 1


def draw_matrix(rng: random.Random) -> tuple[Tensor]:
    """A matrix (R, C), tall, so that the scale matters, with singular values that are spread."""
    return (numbers(rng, 7, 4) @ torch.diag(torch.tensor([3.0, 1.0, 0.5, 0.2], dtype=torch.float64)),)


def parts_of(gradient: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    u, s, vh = torch.linalg.svd(gradient, full_matrices=False)
    return u, s, vh


def scale_of(gradient: Tensor) -> float:
    return float(max(1.0, gradient.shape[0] / gradient.shape[1]) ** 0.5)


def muon_direction(gradient: Tensor) -> Tensor:
    u, _, vh = parts_of(gradient)
    return -scale_of(gradient) * (u @ vh)


def muon_not_transposed(gradient: Tensor) -> Tensor:
    u, _, vh = parts_of(gradient)
    return -scale_of(gradient) * (u @ vh.mT)


exercises: list[Exercise] = [
    Exercise(
        id="transformer.training.learning_rate",
        difficulty=2,
        minutes=12,
        reference=schedule,
        draw=draw_schedule,
        tolerance=1e-10,
        hints=[
            "The climb has warmup_steps rates, the fall has the other ones. Write two lists and join them.",
            "The fall's first rate lies already below lr and its last is min_lr: what is the progress at each of them?",
        ],
        mistakes=[
            Mistake(
                "The first step has a rate of 0: it is wasted. Let the climb begin at lr / warmup_steps.",
                schedule_from_zero,
            ),
            Mistake(
                "The way down is a straight line, not half a cosine.",
                lambda n, w, lr, low: schedule(n, w, lr, low, shape=lambda progress: 1 - progress),
            ),
            Mistake(
                "The cosine falls to 0, not to min_lr.",
                lambda n, w, lr, low: schedule(n, w, lr, low)[:w] + schedule(n, w, lr, 0.0)[w:],
            ),
            Mistake(
                "The last step does not have min_lr: the progress must reach 1 in it.",
                schedule_never_there,
            ),
            Mistake(
                "The progress is counted from step 0, so the rate drops when the climb ends: count it from there.",
                schedule_over_all,
            ),
            Mistake(
                "This is a whole cosine, down and up again: half of one goes from 1 to −1.",
                lambda n, w, lr, low: schedule(n, w, lr, low, shape=lambda progress: half_cosine(2 * progress)),
            ),
        ],
    ),
    Exercise(
        id="transformer.training.accumulate",
        difficulty=1,
        minutes=8,
        reference=accumulated,
        draw=draw_parts,
        tolerance=1e-10,
        hints=[
            "From a part's mean, get back its sum: multiply by the number of its tokens.",
            "Add up the sums, then divide once, by all tokens.",
        ],
        mistakes=[
            Mistake(
                "This is the mean of the means: a token of a short part counts for more than one of a long part.",
                lambda g, n: g.mean(dim=0),
            ),
            Mistake(
                "The means are added up and not divided: the gradient grows with the number of parts.",
                lambda g, n: g.sum(dim=0),
            ),
            Mistake("The sums are added up and not divided by the number of tokens.", lambda g, n: n.to(g.dtype) @ g),
            Mistake(
                "The sums are divided by the number of parts; divide them by the number of tokens.",
                lambda g, n: n.to(g.dtype) @ g / len(n),
            ),
            Mistake("Only the last part is left: were the gradients cleared in between?", lambda g, n: g[-1]),
        ],
    ),
    Exercise(
        id="transformer.training.muon",
        difficulty=3,
        minutes=20,
        reference=muon_direction,
        draw=draw_matrix,
        tolerance=1e-8,
        hints=[
            "torch.linalg.svd(gradient, full_matrices=False) gives U, the singular values, and V already transposed.",
            "Put a 1 in the place of every singular value. Then mind the sign: the update goes against the gradient.",
        ],
        mistakes=[
            Mistake("The sign is wrong: this goes uphill.", lambda g: -muon_direction(g)),
            Mistake(
                "The factor √max(1, rows / columns) is missing.",
                lambda g: muon_direction(g) / scale_of(g),
            ),
            Mistake(
                "V is transposed once too often: torch.linalg.svd gives Vᵀ, not V.",
                muon_not_transposed,
            ),
            Mistake(
                "The singular values are still there: this is the gradient itself, against its direction.",
                lambda g: -scale_of(g) * g,
            ),
            Mistake(
                "The matrix is divided by its length: its singular values stay uneven. Each of them must become 1.",
                lambda g: -scale_of(g) * g / g.norm(),
            ),
            Mistake(
                "Each number became its sign, as in Adam's first step: it is the singular values that become 1.",
                lambda g: -scale_of(g) * g.sign(),
            ),
        ],
    ),
]
