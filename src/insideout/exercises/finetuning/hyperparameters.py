"""Exercises on hyper-parameters: a schedule with warm-up, and a choice that is reported on other data.

Practised in book/3-fine-tuning-a-transformer/18_hyperparameters.md; the module is insideout/training/schedule.py.
"""

import math
import random
from collections.abc import Callable

from insideout.exercises.catalogue import Exercise

# schedule: step, steps, warmup, peak, floor -> the learning rate

Rate = Callable[[int, int, int, float, float], float]


def draw_step(rng: random.Random) -> tuple[int, int, int, float, float]:
    """Any step, now in the warm-up, now behind it."""
    warmup = rng.choice([0, 2, 3, 5, 8])
    steps = warmup + rng.randint(5, 20)
    step = rng.randrange(warmup) if warmup and rng.random() < 0.4 else rng.randrange(warmup, steps)
    return step, steps, warmup, rng.choice([0.3, 0.02]), rng.choice([0.01, 0.002])


def progress(step: int, steps: int, warmup: int) -> float:
    top = max(warmup - 1, 0)
    return (step - top) / (steps - 1 - top)


def fallen(p: float, peak: float, floor: float) -> float:
    return floor + (peak - floor) * (1 + math.cos(math.pi * p)) / 2


def scheduled(step: int, steps: int, warmup: int, peak: float, floor: float) -> float:
    return peak * (step + 1) / warmup if step < warmup else fallen(progress(step, steps, warmup), peak, floor)


def behind(fall: Rate) -> Rate:
    """A fall of its own, with the right climb."""
    return lambda s, n, w, peak, floor: peak * (s + 1) / w if s < w else fall(s, n, w, peak, floor)


def climbing(climb: Rate) -> Rate:
    """A climb of its own, with the right fall."""
    return lambda s, n, w, peak, floor: climb(s, n, w, peak, floor) if s < w else scheduled(s, n, w, peak, floor)


schedule = Exercise(
    "finetuning.hyperparameters.schedule", stars=2, minutes=12, reference=scheduled, draw=draw_step,
    edges=[
        (0, 10, 0, 0.3, 0.01), (9, 10, 0, 0.3, 0.01), (0, 10, 4, 0.3, 0.01), (3, 10, 4, 0.3, 0.01),
        (4, 10, 4, 0.3, 0.01), (9, 10, 4, 0.3, 0.01), (0, 3, 1, 0.02, 0.002), (1, 3, 1, 0.02, 0.002),
    ],
    section="The rate of each step",
)  # fmt: skip
SCHEDULE_MISTAKES: list[tuple[str, Rate]] = [
    ("The climb begins at 0, so that the first update does nothing: (step + 1) / warmup.",
     climbing(lambda s, n, w, peak, floor: peak * s / w)),
    ("The climb does not reach the peak at its last update: divide by warmup.",
     climbing(lambda s, n, w, peak, floor: peak * (s + 1) / (w + 1))),
    ("The climb begins at the floor: it begins at peak / warmup.",
     climbing(lambda s, n, w, peak, floor: floor + (peak - floor) * (s + 1) / w)),
    ("There is no warm-up.", lambda s, n, w, peak, floor: fallen(s / (n - 1), peak, floor)),
    ("The warm-up is not a straight line: it goes up as the cosine comes down.",
     climbing(lambda s, n, w, peak, floor: peak * (1 - math.cos(math.pi * (s + 1) / w)) / 2)),
    ("The fall ends at 0: it ends at the floor.",
     behind(lambda s, n, w, peak, floor: fallen(progress(s, n, w), peak, 0.0))),
    ("The floor is added to a fall from the whole peak: then the first update after the climb lies above it.",
     behind(lambda s, n, w, peak, floor: floor + fallen(progress(s, n, w), peak, 0.0))),
    ("The fall is cut off at the floor: it should arrive there with its last update.",
     behind(lambda s, n, w, peak, floor: max(floor, fallen(progress(s, n, w), peak, 0.0)))),
    ("This falls along a straight line: a cosine is asked for.",
     behind(lambda s, n, w, peak, floor: floor + (peak - floor) * (1 - progress(s, n, w)))),
    ("The fall goes on as if there had been no warm-up: p begins at 0 behind it.",
     behind(lambda s, n, w, peak, floor: fallen(s / (n - 1), peak, floor))),
    ("The last update does not have the floor: it is number steps − 1.",
     behind(lambda s, n, w, peak, floor: fallen((s - max(w - 1, 0)) / (n - max(w - 1, 0)), peak, floor))),
    ("The peak comes twice: the fall begins with the first update after the warm-up.",
     behind(lambda s, n, w, peak, floor: fallen((s - w) / (n - 1 - w), peak, floor))),
    ("π is missing in the cosine.",
     behind(lambda s, n, w, peak, floor: floor + (peak - floor) * (1 + math.cos(progress(s, n, w))) / 2)),
    ("The cosine goes up again: half a period is asked for, πp.",
     behind(lambda s, n, w, peak, floor: fallen(2 * progress(s, n, w), peak, floor))),
    ("It is not halved: 1 + cos goes from 2 to 0.",
     behind(lambda s, n, w, peak, floor: 2 * fallen(progress(s, n, w), peak, floor) - floor)),
    ("It rises after the warm-up: the sign of the cosine is wrong.",
     behind(lambda s, n, w, peak, floor: fallen(1 - progress(s, n, w), peak, floor))),
    ("The peak is kept after the warm-up: it should fall.", behind(lambda s, n, w, peak, floor: peak)),
]  # fmt: skip
for diagnosis, made in SCHEDULE_MISTAKES:
    schedule.mistake(diagnosis, made)


# chosen: development, test -> (name, mean of its test losses)

Losses = dict[str, list[float]]
Choice = tuple[str, float]


def draw_sweep(rng: random.Random) -> tuple[Losses, Losses]:
    """Five settings with three seeds, development and test near each other; one of them flew away once."""
    names = rng.sample(["1e-4", "3e-4", "1e-3", "3e-3", "1e-2", "3e-2"], 5)
    development: Losses = {}
    test: Losses = {}
    for name in names:
        centre = rng.uniform(1.0, 1.4)
        development[name] = [centre + rng.gauss(0, 0.25) for _ in range(3)]
        test[name] = [centre + rng.gauss(0.1, 0.25) for _ in range(3)]
    flown = rng.choice(names)
    development[flown] = [0.2, math.nan, 0.3] if rng.random() < 0.5 else [math.nan, 0.2, 0.1]
    return development, test


def average(values: list[float]) -> float:
    return sum(values) / len(values)


def sound(development: Losses) -> Losses:
    return {name: losses for name, losses in development.items() if not any(map(math.isnan, losses))}


def choose(development: Losses, test: Losses) -> Choice:
    best = min(sound(development), key=lambda name: average(development[name]))
    return best, average(test[best])


def without_nan(losses: list[float]) -> list[float]:
    return [loss for loss in losses if not math.isnan(loss)]


Choosing = Callable[[Losses, Losses], object]

chosen = Exercise(
    "finetuning.hyperparameters.chosen", stars=2, minutes=10, reference=choose, draw=draw_sweep,
    edges=[({"a": [1.0, 2.0], "b": [1.2, 1.4]}, {"a": [0.5, 0.7], "b": [3.0, 5.0]}), ({"a": [1.0]}, {"a": [2.0]})],
    section="The best of many",
)  # fmt: skip
CHOSEN_MISTAKES: list[tuple[str, Choosing]] = [
    ("It is chosen on test data: then what is reported is too good.",
     lambda d, t: choose(t, t)),
    ("What is reported is the loss on development data, which has chosen.", lambda d, t: choose(d, d)),
    ("The setting with the highest loss is chosen.",
     lambda d, t: (best := max(sound(d), key=lambda name: average(d[name])), average(t[best]))),
    ("It is chosen by the best single seed, not by the mean.",
     lambda d, t: (best := min(sound(d), key=lambda name: min(d[name])), average(t[best]))),
    ("It is chosen by the worst seed, not by the mean.",
     lambda d, t: (best := min(sound(d), key=lambda name: max(d[name])), average(t[best]))),
    ("It is chosen by the first seed alone.",
     lambda d, t: (best := min(sound(d), key=lambda name: d[name][0]), average(t[best]))),
    ("It is chosen by the median, not by the mean.",
     lambda d, t: (best := min(sound(d), key=lambda name: sorted(d[name])[len(d[name]) // 2]), average(t[best]))),
    ("It is chosen by the last seed alone.",
     lambda d, t: (best := min(sound(d), key=lambda name: d[name][-1]), average(t[best]))),
    ("The best seed is reported: the mean over the seeds is asked for.",
     lambda d, t: (choose(d, t)[0], min(t[choose(d, t)[0]]))),
    ("The worst seed is reported: the mean over the seeds is asked for.",
     lambda d, t: (choose(d, t)[0], max(t[choose(d, t)[0]]))),
    ("The first seed is reported: the mean over the seeds is asked for.",
     lambda d, t: (choose(d, t)[0], t[choose(d, t)[0]][0])),
    ("The nan are left out of the mean: a setting that flies away with one seed cannot be chosen.",
     lambda d, t: (best := min(d, key=lambda name: average(without_nan(d[name]))), average(t[best]))),
    ("It is chosen on development and test data together.",
     lambda d, t: (best := min(sound(d), key=lambda name: average(d[name] + t[name])), average(t[best]))),
    ("The sum over the seeds is reported, not the mean.",
     lambda d, t: (choose(d, t)[0], sum(t[choose(d, t)[0]]))),
    ("The lowest test loss of all is reported beside the name that development data chose.",
     lambda d, t: (choose(d, t)[0], min(map(average, t.values())))),
]  # fmt: skip
for diagnosis, choosing in CHOSEN_MISTAKES:
    chosen.mistake(diagnosis, choosing)
