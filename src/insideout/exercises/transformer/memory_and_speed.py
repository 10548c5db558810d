"""Exercises on memory and speed: the peak of a training step, bfloat16, and what a run takes.

Practised in book/2-building-a-transformer/08_memory_and_speed.md; the modules are insideout/planner/memory.py and
plan.py. Sources: Korthikanti et al. 2023, §4 (activations); Micikevicius et al. 2018, §3 (16 bits); Chowdhery et al.
2022, appendix B (operations and utilisation). Shapes: N numbers.
"""

import random

import torch
from torch import Tensor

from insideout.exercises.catalogue import Exercise
from insideout.exercises.drawing import distinct

# peak: bytes of the blocks alone, at the larger of two moments


def draw_load(rng: random.Random) -> tuple[int, int, int, int, int, bool]:
    """Layers, parameters a block, tokens, kept a token, width, computed again; now one moment is the larger, now the
    other."""
    n_layers, width, n_tokens = distinct(rng, 3, 3, 30)
    kept = width * rng.randrange(4, 8) + 1
    n_parameters = rng.choice((1, 4, 40)) * n_tokens * width + rng.randrange(1, 50)
    return n_layers, n_parameters, n_tokens, kept, width, rng.random() < 0.5


def peak_of(n_layers: int, n_parameters: int, n_tokens: int, kept: int, d_model: int, again: bool) -> int:
    activations = n_layers * d_model + kept if again else n_layers * kept
    return 12 * n_layers * n_parameters + max(4 * activations * n_tokens, 4 * n_layers * n_parameters)


peak = Exercise(
    "transformer.memory_and_speed.peak", stars=2, minutes=12, reference=peak_of, draw=draw_load, tolerance=0,
    edges=[(2, 5000, 7, 40, 11, False), (2, 100, 7, 40, 11, False), (3, 100, 7, 40, 5, True), (1, 9, 7, 40, 11, True)],
    section="Compute it again",
)  # fmt: skip
peak.mistake(
    "Activations and gradients are added up; they are not all there at once: take the larger.",
    lambda L, P, n, kept, C, again: 16 * L * P + 4 * n * (L * C + kept if again else L * kept),
)
peak.mistake(
    "AdamW's two means are missing: each is as large as the weights.",
    lambda L, P, n, kept, C, again: peak_of(L, P, n, kept, C, again) - 8 * L * P,
)
peak.mistake(
    "Only one of AdamW's two means is counted.",
    lambda L, P, n, kept, C, again: peak_of(L, P, n, kept, C, again) - 4 * L * P,
)
peak.mistake(
    "The block under way is missing: while it is computed again it has all that it would have kept.",
    lambda L, P, n, kept, C, again: 12 * L * P + max(4 * n * (L * C if again else L * kept), 4 * L * P),
)
peak.mistake(
    "Computed again or not makes no difference here: with `again` a block keeps d_model numbers a token.",
    lambda L, P, n, kept, C, again: peak_of(L, P, n, kept, C, False),
)
peak.mistake(
    "The gradients at the end of the backward pass are forgotten: with little text they are the larger part.",
    lambda L, P, n, kept, C, again: 12 * L * P + 4 * n * (L * C + kept if again else L * kept),
)
peak.mistake("The activations as the backward pass begins are forgotten.", lambda L, P, n, kept, C, again: 16 * L * P)
peak.mistake(
    "These are numbers, not bytes: each takes 4 bytes.",
    lambda L, P, n, kept, C, again: peak_of(L, P, n, kept, C, again) // 4,
)
peak.mistake(
    "Numbers kept have 2 bytes here; in float32 they have 4.",
    lambda L, P, n, kept, C, again: 12 * L * P + max(2 * n * (L * C + kept if again else L * kept), 4 * L * P),
)


# rounding: to the nearest number with 7 bits of fraction


def draw_numbers(rng: random.Random, N: int = 2) -> tuple[Tensor]:
    """Numbers of several sizes, (N,), none of them half-way between two of bfloat16."""
    numbers: list[float] = []
    while len(numbers) < N:
        x = rng.choice((-1, 1)) * rng.uniform(1, 2) * 2.0 ** rng.randrange(-6, 7)
        place = abs(x) / 2.0 ** (torch.tensor(abs(x)).log2().floor().item() - 7)
        if abs(place % 1 - 0.5) > 0.02 and 0.02 < place % 1 < 0.98:
            numbers.append(x)
    return (torch.tensor(numbers, dtype=torch.float64),)


def spacing_of(x: Tensor, bits: int = 7) -> Tensor:
    return 2.0 ** (torch.floor(torch.log2(x.abs())) - bits)


def nearest(x: Tensor) -> Tensor:
    return torch.round(x / spacing_of(x)) * spacing_of(x)


rounding = Exercise(
    "transformer.memory_and_speed.rounding", stars=3, minutes=20, reference=nearest, draw=draw_numbers,
    section="Build it: fewer bits",
)  # fmt: skip
rounding.mistake(
    "The digits are cut off, not rounded: of the two neighbours take the nearer one.",
    lambda x: torch.trunc(x / spacing_of(x)) * spacing_of(x),
)
rounding.mistake(
    "Rounded down: of the two neighbours take the nearer one, below or above.",
    lambda x: torch.floor(x / spacing_of(x)) * spacing_of(x),
)
rounding.mistake(
    "Rounded up: of the two neighbours take the nearer one.", lambda x: torch.ceil(x / spacing_of(x)) * spacing_of(x)
)
rounding.mistake(
    "The spacing is 2⁻⁷ everywhere; it is so between 1 and 2 alone, and grows with the number.",
    lambda x: torch.round(x * 128) / 128,
)
rounding.mistake(
    "One bit of fraction too few: after the leading 1 there are 7 more.",
    lambda x: torch.round(x / spacing_of(x, 6)) * spacing_of(x, 6),
)
rounding.mistake(
    "One bit of fraction too many: the leading 1 is not stored, and after it there are 7.",
    lambda x: torch.round(x / spacing_of(x, 8)) * spacing_of(x, 8),
)
rounding.mistake(
    "These are float16's 10 bits of fraction; bfloat16 has 7.",
    lambda x: torch.round(x / spacing_of(x, 10)) * spacing_of(x, 10),
)


# plan: hours and cost of a run


def draw_run(rng: random.Random) -> tuple[int | float, ...]:
    """Tokens, numbers in matrices, layers, width, positions, devices, peak, utilisation, price; attention matters."""
    n_layers, width, n_positions, n_devices = distinct(rng, 4, 2, 40)
    n_matrices = n_layers * width * rng.randrange(10, 60)
    return (
        rng.randrange(10**6, 10**8), n_matrices, n_layers, width, n_positions, n_devices, rng.uniform(1e6, 1e8),
        rng.uniform(0.2, 0.8), rng.uniform(1.5, 4),
    )  # fmt: skip


def run_of(
    n_tokens: int | float,
    n_matrices: int,
    n_layers: int | float,
    width: int,
    n_positions: int,
    n_devices: int,
    peak: int | float,
    utilisation: int | float,
    price: int | float,
) -> tuple[float, float]:  # fmt: skip
    operations = n_tokens * (6 * n_matrices + 12 * n_layers * n_positions * width)
    hours = operations / (n_devices * peak * utilisation) / 3600
    return hours, hours * n_devices * price


plan = Exercise(
    "transformer.memory_and_speed.plan", stars=2, minutes=10, reference=run_of, draw=draw_run,
    section="Measure it: a plan",
)  # fmt: skip


def scaled(found: tuple[float, float], hours: int | float, cost: int | float) -> tuple[float, float]:
    """Hours and cost, each times a number."""
    return found[0] * hours, found[1] * cost


plan.mistake(
    "The utilisation is missing: no run reaches the published peak.",
    lambda n, M, L, A, T, devices, most, share, price: run_of(n, M, L, A, T, devices, most, 1.0, price),
)
plan.mistake(
    "Only the forward pass is counted, 2M + 4LTA; the backward pass takes twice as much again.",
    lambda n, *rest: run_of(n / 3, *rest),
)
plan.mistake(
    "Attention's own operations are missing, 12LTA for each token.", lambda n, M, L, *rest: run_of(n, M, 0, *rest)
)
plan.mistake(
    "Half of attention is counted, 6LTA; here all positions are.", lambda n, M, L, *rest: run_of(n, M, L / 2, *rest)
)
plan.mistake(
    "The devices work at once: divide the hours by their number.",
    lambda n, M, L, A, T, devices, *rest: scaled(run_of(n, M, L, A, T, devices, *rest), devices, 1),
)
plan.mistake(
    "Only one device is paid for; each of them costs its price every hour.",
    lambda n, M, L, A, T, devices, *rest: scaled(run_of(n, M, L, A, T, devices, *rest), 1, 1 / devices),
)
plan.mistake("These are seconds: an hour has 3600.", lambda *run: scaled(run_of(*run), 3600, 3600))
plan.mistake("These are minutes: divide by 60 once more.", lambda *run: scaled(run_of(*run), 60, 60))
plan.mistake("The first number is in seconds: an hour has 3600.", lambda *run: scaled(run_of(*run), 3600, 1))
