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

from insideout.exercises.catalogue import Exercise
from insideout.exercises.drawing import tensor, tensor_of

# accumulate: gradients of the parts' own means (K, P), tokens (K,) -> gradient of the mean over all


def draw_parts(rng: random.Random, K: int, P: int) -> tuple[Tensor, Tensor]:
    """The gradient of each part's mean loss, and how many tokens it is a mean of; no two parts are of one length."""
    return tensor(rng, K, P), torch.tensor(rng.sample(range(2, 60), K))


def accumulated(gradients: Tensor, counts: Tensor) -> Tensor:
    return counts.to(gradients.dtype) @ gradients / counts.sum()


accumulate = Exercise(
    "transformer.training.accumulate", stars=1, minutes=8, reference=accumulated, draw=draw_parts, tolerance=1e-5,
    edges=[(tensor_of([[1.0, -2.0], [3.0, 5.0]]), torch.tensor([1, 99])),
           (tensor_of([[1.0, -2.0], [3.0, 5.0]]), torch.tensor([7, 7]))],
    section="A large batch in parts",
)  # fmt: skip
accumulate.mistake(
    "This is the mean of the means: a token of a short part counts for more than one of a long part.",
    lambda g, n: g.mean(dim=0),
)
accumulate.mistake(
    "The means are added up and not divided: the gradient grows with the number of parts.", lambda g, n: g.sum(dim=0)
)
accumulate.mistake("The sums are added up and not divided by the number of tokens.", lambda g, n: n.to(g.dtype) @ g)
accumulate.mistake(
    "The sums are divided by the number of parts; divide them by the number of tokens.",
    lambda g, n: n.to(g.dtype) @ g / len(n),
)
accumulate.mistake(
    "The weighted means are divided by the tokens and by the parts: divide once, by all tokens.",
    lambda g, n: accumulated(g, n) / len(n),
)
accumulate.mistake(
    "The means are divided by the tokens of their part: multiply, and each becomes the sum it was.",
    lambda g, n: (g / n[:, None]).sum(dim=0),
)
accumulate.mistake(
    "The means are added up and divided by all tokens: multiply each by its own number of tokens first.",
    lambda g, n: g.sum(dim=0) / n.sum(),
)
accumulate.mistake(
    "A part weighs the less the more tokens it has: it should weigh as many as it has.",
    lambda g, n: (g / n[:, None]).sum(dim=0) / (1 / n.to(g.dtype)).sum(),
)
accumulate.mistake(
    "The sums are divided by the longest part: divide by the tokens of all parts.",
    lambda g, n: n.to(g.dtype) @ g / n.max(),
)
accumulate.mistake(
    "The counts lie along the parameters: each belongs to a part, a row. `counts[:, None]` turns them.",
    lambda g, n: (g * n).sum(dim=0) / n.sum(),
)
accumulate.mistake(
    "The parts are not added up: one number for each parameter is asked for.",
    lambda g, n: g * n[:, None] / n.sum(),
)
accumulate.mistake("Only the last part is left: were the gradients cleared in between?", lambda g, n: g[-1])
accumulate.mistake(
    "The means are divided by the tokens of their part, and then averaged: multiply, and divide by all tokens.",
    lambda g, n: (g / n[:, None]).mean(dim=0),
)
accumulate.mistake(
    "The means are divided by the tokens of their part, and by all tokens: multiply by those of their part.",
    lambda g, n: (g / n[:, None]).sum(dim=0) / n.sum(),
)
accumulate.mistake("Only the longest part is used.", lambda g, n: g[n.argmax()])
accumulate.mistake(
    "The sum runs over the parameters: add up the parts, `sum(dim=0)`.", lambda g, n: (g * n[:, None]).sum(1) / n.sum()
)
accumulate.mistake(
    "Each part has the share of all others: its own share of the tokens is its weight.",
    lambda g, n: (g * (1 - n / n.sum())[:, None]).sum(dim=0),
)

# learning_rate: a straight climb, then half a cosine, as a list with one rate a step


def draw_schedule(rng: random.Random) -> tuple[int, int, float, float]:
    """steps, warmup_steps, lr, min_lr; at least two steps of each kind."""
    warmup_steps = rng.randint(2, 7)
    return warmup_steps + rng.randint(2, 12), warmup_steps, rng.uniform(2, 3), rng.uniform(0.2, 0.5)


def half_cosine(progress: float) -> float:
    return (1 + math.cos(math.pi * progress)) / 2


def joined(
    progress: Callable[[int, int, int], float] = lambda s, left, w: (s + 1) / left,
    shape: Callable[[float], float] = half_cosine,
    climb: Callable[[int, int, float, float], float] = lambda s, w, lr, low: lr * (s + 1) / w,
) -> Callable[[int, int, float, float], list[float]]:
    """A climb and a fall: from the progress of the fall's step s of `left`, its shape, and the climb's step s of w."""

    def rates(steps: int, warmup_steps: int, lr: float, min_lr: float) -> list[float]:
        left = steps - warmup_steps
        up = [climb(s, warmup_steps, lr, min_lr) for s in range(warmup_steps)]
        return up + [min_lr + (lr - min_lr) * shape(progress(s, left, warmup_steps)) for s in range(left)]

    return rates


schedule = joined()

learning_rate = Exercise(
    "transformer.training.learning_rate", stars=2, minutes=12, reference=schedule, draw=draw_schedule, tolerance=1e-5,
    edges=[(2, 1, 1.0, 0.1), (9, 8, 2.0, 0.5), (12, 1, 2.0, 0.0), (6, 3, 1.0, 1.0), (101, 10, 1.0, 0.1)],
    section="How far to step, and when",
)  # fmt: skip
learning_rate.mistake(
    "The first step has a rate of 0: it is wasted. Let the climb begin at lr / warmup_steps.",
    joined(climb=lambda s, w, lr, low: lr * s / w),
)
learning_rate.mistake(
    "The climb does not reach lr: its last rate should be lr itself.",
    joined(climb=lambda s, w, lr, low: lr * (s + 1) / (w + 1)),
)
learning_rate.mistake(
    "The climb goes from 0 to lr: it should begin at lr / warmup_steps.",
    joined(climb=lambda s, w, lr, low: lr * s / (w - 1)),
)
learning_rate.mistake(
    "The climb begins at min_lr: it goes from lr / warmup_steps to lr.",
    joined(climb=lambda s, w, lr, low: low + (lr - low) * (s + 1) / w),
)
learning_rate.mistake("There is no climb: the first rates are all lr.", joined(climb=lambda s, w, lr, low: lr))
learning_rate.mistake("The climb is not multiplied by lr.", joined(climb=lambda s, w, lr, low: (s + 1) / w))
learning_rate.mistake(
    "The way down is a straight line, not half a cosine.", joined(shape=lambda progress: 1 - progress)
)
learning_rate.mistake(
    "The cosine falls to 0, not to min_lr.",
    lambda n, w, lr, low: schedule(n, w, lr, low)[:w] + schedule(n, w, lr, 0.0)[w:],
)
learning_rate.mistake(
    "The cosine falls to 0 and min_lr is added to it: the fall is only lr − min_lr high.",
    lambda n, w, lr, low: schedule(n, w, lr, low)[:w] + [low + each for each in schedule(n, w, lr, 0.0)[w:]],
)
learning_rate.mistake(
    "The cosine falls to 0 and is cut off at min_lr: it should reach min_lr only at the end.",
    lambda n, w, lr, low: schedule(n, w, lr, low)[:w] + [max(low, each) for each in schedule(n, w, lr, 0.0)[w:]],
)
learning_rate.mistake(
    "The last step does not have min_lr: the progress must reach 1 in it.", joined(lambda s, left, w: s / left)
)
learning_rate.mistake(
    "The rate is lr in two steps: the fall begins at once, one step behind the climb's last.",
    joined(lambda s, left, w: s / (left - 1)),
)
learning_rate.mistake(
    "The last step does not have min_lr: the fall is one step too long.",
    joined(lambda s, left, w: (s + 1) / (left + 1)),
)
learning_rate.mistake(
    "The progress is counted from step 0, so the rate drops when the climb ends: count it from there.",
    joined(lambda s, left, w: (s + w) / (left + w - 1)),
)
learning_rate.mistake(
    "The progress counts all steps of the run, climb and all: it is the share of the fall that is done.",
    joined(lambda s, left, w: (s + w + 1) / (left + w)),
)
learning_rate.mistake(
    "The fall is stretched over all steps of the run, and ends before it is down: it has steps − warmup_steps.",
    joined(lambda s, left, w: (s + 1) / (left + w)),
)
learning_rate.mistake(
    "This is a whole cosine, down and up again: half of one goes from 1 to −1.",
    joined(shape=lambda progress: half_cosine(2 * progress)),
)
learning_rate.mistake(
    "This is a quarter of a cosine, from 1 to 0: half of one goes from 1 to −1, then (1 + cos) / 2.",
    joined(shape=lambda progress: math.cos(math.pi * progress / 2)),
)
learning_rate.mistake(
    "The cosine is not halved: it goes from 1 to −1, and (1 + cos) / 2 from 1 to 0.",
    joined(shape=lambda progress: 1 + math.cos(math.pi * progress)),
)
learning_rate.mistake(
    "The cosine goes below 0: take (1 + cos) / 2, from 1 to 0.",
    joined(shape=lambda progress: math.cos(math.pi * progress)),
)
learning_rate.mistake(
    "π is missing in the cosine: half a turn is π.", joined(shape=lambda progress: (1 + math.cos(progress)) / 2)
)
learning_rate.mistake(
    "The fall goes up: at progress 0 the rate is lr, at 1 it is min_lr.",
    joined(shape=lambda progress: 1 - half_cosine(progress)),
)
learning_rate.mistake(
    "The fall has as many steps as the whole run: of its steps, the climb has taken warmup_steps.",
    lambda n, w, lr, low: schedule(n + w, w, lr, low),
)

# muon: the direction with the same singular vectors, and singular values of 1


def draw_matrix(rng: random.Random, R: int, C: int) -> tuple[Tensor]:
    """A matrix (R, C), tall, wide or square, with singular values that are spread."""
    u, _, vh = parts_of(tensor(rng, R, C))
    return ((u * tensor_of([rng.uniform(1.5, 2.0) * 0.6**i for i in range(min(R, C))])) @ vh,)


def parts_of(gradient: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    u, s, vh = torch.linalg.svd(gradient, full_matrices=False)
    return u, s, vh


def scale_of(gradient: Tensor) -> float:
    return float(max(1.0, gradient.shape[0] / gradient.shape[1]) ** 0.5)


def flat(gradient: Tensor) -> Tensor:
    """The same singular vectors, all singular values 1."""
    u, _, vh = parts_of(gradient)
    return u @ vh


def against(
    direction: Callable[[Tensor], Tensor], scale: Callable[[Tensor], float] = scale_of
) -> Callable[[Tensor], Tensor]:
    """An answer that goes against a direction, with a scale."""

    def update(gradient: Tensor) -> Tensor:
        return -scale(gradient) * direction(gradient)

    return update


def polynomial(gradient: Tensor) -> Tensor:
    x = gradient / gradient.norm()
    for _ in range(5):
        gram = x @ x.mT
        x = 3.4445 * x + (-4.7750 * gram + 2.0315 * gram @ gram) @ x
    return x


def shape_ratio(gradient: Tensor) -> float:
    return gradient.shape[0] / gradient.shape[1]


muon = Exercise(
    "transformer.training.muon", stars=3, minutes=20, reference=against(flat), draw=draw_matrix, tolerance=1e-5,
    edges=[(tensor_of([[3.0, 0.0], [0.0, -0.1]]),), (tensor_of([[0.6, 0.8, 0.0]]),), (tensor_of([[1e-3], [2e-3]]),)],
    section="Another way to step: Muon",
)  # fmt: skip
muon.mistake("The sign is wrong: this goes uphill.", lambda g: scale_of(g) * flat(g))
muon.mistake("The factor √max(1, rows / columns) is missing.", against(flat, lambda g: 1.0))
muon.mistake(
    "The factor is √(rows / columns) in wide matrices too: there it is 1.",
    against(flat, lambda g: shape_ratio(g) ** 0.5),
)
muon.mistake(
    "Rows and columns have changed places in the factor: it is √max(1, rows / columns).",
    against(flat, lambda g: max(1.0, 1 / shape_ratio(g)) ** 0.5),
)
muon.mistake(
    "The root is missing in the factor √max(1, rows / columns).", against(flat, lambda g: max(1.0, shape_ratio(g)))
)
muon.mistake(
    "The factor is the root of the larger side: it is √max(1, rows / columns).",
    against(flat, lambda g: max(g.shape) ** 0.5),
)
muon.mistake("The result is divided by the factor: it is multiplied by it.", against(flat, lambda g: 1 / scale_of(g)))
muon.mistake(
    "The factor takes the smaller of 1 and rows / columns: it takes the larger.",
    against(flat, lambda g: min(1.0, shape_ratio(g)) ** 0.5),
)
muon.mistake(
    "The factor divides without a remainder: use `/`, not `//`.",
    against(flat, lambda g: max(1, g.shape[0] // g.shape[1]) ** 0.5),
)
muon.mistake(
    "V is transposed once too often: torch.linalg.svd gives Vᵀ, not V.",
    against(lambda g: parts_of(g)[0] @ parts_of(g)[2].mT),
)
muon.mistake(
    "The singular values are still there: this is the gradient itself, against its direction.", against(lambda g: g)
)
muon.mistake(
    "The matrix is divided by its length: its singular values stay uneven. Each of them must become 1.",
    against(lambda g: g / g.norm()),
)
muon.mistake(
    "The matrix is divided by its largest singular value, and the others stay below 1. Each of them must become 1.",
    against(lambda g: g / parts_of(g)[1][0]),
)
muon.mistake(
    "Each number became its sign, as in Adam's first step: it is the singular values that become 1.",
    against(lambda g: g.sign()),
)
muon.mistake(
    "The singular values are inverted: each must become 1.",
    against(lambda g: (parts_of(g)[0] / parts_of(g)[1]) @ parts_of(g)[2]),
)
muon.mistake(
    "The singular values are replaced by their roots: each must become 1.",
    against(lambda g: (parts_of(g)[0] * parts_of(g)[1].sqrt()) @ parts_of(g)[2]),
)
muon.mistake(
    "Only the strongest direction is kept: all singular values become 1.",
    against(lambda g: parts_of(g)[0][:, :1] @ parts_of(g)[2][:1]),
)
muon.mistake(
    "The rows are brought to length 1: it is the singular values that become 1.",
    against(lambda g: g / g.norm(dim=1, keepdim=True)),
)
muon.mistake("These are the left singular vectors alone: Vᵀ is missing.", against(lambda g: parts_of(g)[0]))
muon.mistake(
    "This is Q of a QR decomposition: its columns are at right angles too, but it is not the matrix nearest to the "
    "gradient. Use U Vᵀ.",
    against(lambda g: torch.linalg.qr(g).Q),
)
muon.mistake(
    "This is the polynomial, which brings the singular values only near 1: use a decomposition.", against(polynomial)
)
muon.mistake(
    "The columns are brought to length 1: it is the singular values that become 1.",
    against(lambda g: g / g.norm(dim=0, keepdim=True)),
)
muon.mistake(
    "The singular values are divided by their mean, and stay uneven: each must become 1.",
    against(lambda g: g / parts_of(g)[1].mean()),
)
muon.mistake(
    "The singular values are squared: each must become 1.",
    against(lambda g: (parts_of(g)[0] * parts_of(g)[1].square()) @ parts_of(g)[2]),
)
