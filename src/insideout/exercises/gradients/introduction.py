"""Exercises on the example of part 1: counting the parameters, a slope by nudging, the floor without attention.

Practised in book/1-understanding-gradients/00_introduction.md; the module is insideout/gradients/config.py.
Standard library only.
"""

import math
import random
from collections.abc import Callable, Hashable, Sequence
from itertools import pairwise

from insideout.exercises.catalogue import Exercise, Mistake
from insideout.gradients import Config, count_parameters

Ids = list[int]
Function = Callable[[float], float]

# parameters: vocab_size, context_length, d_model, n_layers, d_ff -> how many numbers are learned


def draw_sizes(rng: random.Random) -> tuple[int, int, int, int, int]:
    """Sizes such that no two ways of counting agree: all are at least 2, and the blocks too."""
    while True:
        sizes = rng.randint(5, 60), rng.randint(5, 60), rng.randint(5, 60), rng.randint(2, 6), rng.randint(5, 200)
        if apart([float(count(*sizes)) for count in (parameters, *(count for _, count in COUNTS))], 0.5):
            return sizes


def parameters(vocab_size: int, context_length: int, d_model: int, n_layers: int, d_ff: int) -> int:
    return count_parameters(Config(vocab_size, context_length, d_model, n_layers, n_heads=1, d_ff=d_ff))


COUNTS: list[tuple[str, Callable[[int, int, int, int, int], int]]] = [
    (
        "Only one block is counted: everything in a block stands there n_layers times.",
        lambda v, t, c, n, f: parameters(v, t, c, 1, f),
    ),
    (
        "The positions are missing: each place has a row of d_model numbers too.",
        lambda v, t, c, n, f: parameters(v, t, c, n, f) - t * c,
    ),
    (
        "The LM head is missing. Here it is a matrix of its own, not the token embedding used again.",
        lambda v, t, c, n, f: parameters(v, t, c, n, f) - c * v,
    ),
    (
        "Attention has four matrices: the output projection is missing.",
        lambda v, t, c, n, f: parameters(v, t, c, n, f) - n * c * c,
    ),
    (
        "Attention is given biases: here its four matrices have none.",
        lambda v, t, c, n, f: parameters(v, t, c, n, f) + n * 4 * c,
    ),
    (
        "The biases of the feed-forward network are missing: d_ff on the way up, d_model on the way down.",
        lambda v, t, c, n, f: parameters(v, t, c, n, f) - n * (f + c),
    ),
    (
        "The norm after the last block is missing: it too has a gain and a bias.",
        lambda v, t, c, n, f: parameters(v, t, c, n, f) - 2 * c,
    ),
    (
        "The norms have gains but no biases: both are learned.",
        lambda v, t, c, n, f: parameters(v, t, c, n, f) - (2 * n + 1) * c,
    ),
]

# slope: f, x, h -> (f(x + h) − f(x − h)) / 2h


def draw_function(rng: random.Random) -> tuple[Function, float, float]:
    """A cubic with a slope, a bend and a twist at x, and a nudge large enough that they show."""
    a, b, c = (rng.choice((-1.0, 1.0)) * rng.uniform(0.5, 2.0) for _ in range(3))
    x, h = rng.uniform(-1.0, 1.0), rng.uniform(0.1, 0.3)

    def cubic(at: float) -> float:
        d = at - x
        return a * d + b * d * d + c * d * d * d

    while abs(slope(cubic, x, h)) < 0.2:  # so that the wrong sign shows
        h *= 0.5
    return cubic, x, h


def slope(f: Function, x: float, h: float) -> float:
    return (f(x + h) - f(x - h)) / (2.0 * h)


# floor: sentences -> the lowest mean loss from word and place


def draw_sentences(rng: random.Random) -> tuple[list[Ids]]:
    """Four sentences of six ids in which word, place and what follows are tangled."""
    while True:
        sentences = [[rng.randrange(3) for _ in range(6)] for _ in range(4)]
        values = [floor(sentences), *(mistake.function(sentences) for mistake in FLOOR_MISTAKES)]
        if apart(values, 0.01):
            return (sentences,)


def answers(sentences: Sequence[Ids], seen: Callable[[Ids, int], Hashable]) -> list[Ids]:
    """For each thing that can be seen, the ids that came next."""
    found: dict[Hashable, Ids] = {}
    for ids in sentences:
        for t in range(len(ids) - 1):
            found.setdefault(seen(ids, t), []).append(ids[t + 1])
    return list(found.values())


def word_and_place(ids: Ids, t: int) -> Hashable:
    return t, ids[t]


def lowest(groups: list[Ids]) -> float:
    """The mean of −ln(share) over all answers."""
    losses = [-math.log(group.count(answer) / len(group)) for group in groups for answer in group]
    return sum(losses) / len(losses)


def floor(sentences: Sequence[Ids]) -> float:
    return lowest(answers(sentences, word_and_place))


def floor_mean_of_groups(sentences: Sequence[Ids]) -> float:
    groups = answers(sentences, word_and_place)
    return sum(lowest([group]) for group in groups) / len(groups)


FLOOR_MISTAKES = [
    Mistake(
        "The place is ignored: the same word at another place may be followed by something else.",
        lambda sentences: lowest(answers(sentences, lambda ids, t: ids[t])),
    ),
    Mistake(
        "The word is ignored: the model sees which word stands at the place.",
        lambda sentences: lowest(answers(sentences, lambda ids, t: t)),
    ),
    Mistake(
        "The logarithm has base 2: that is the loss in bits, and nats are asked for.",
        lambda sentences: floor(sentences) / math.log(2.0),
    ),
    Mistake(
        "The sum is divided by the number of words: the last word of a sentence predicts nothing.",
        lambda sentences: floor(sentences) * (len(sentences[0]) - 1) / len(sentences[0]),
    ),
    Mistake(
        "Each pair of word and place counts once: it must count as often as it occurs.",
        floor_mean_of_groups,
    ),
]


def apart(values: Sequence[float], distance: float) -> bool:
    """Do all values differ from one another by more than `distance`?"""
    ordered = sorted(values)
    return all(b - a > distance for a, b in pairwise(ordered))


exercises: list[Exercise] = [
    Exercise(
        id="gradients.introduction.parameters",
        difficulty=2,
        minutes=10,
        reference=parameters,
        draw=draw_sizes,
        tolerance=0.0,
        hints=[
            "Three groups: what stands before the blocks, what stands in each block, what stands behind them.",
            "A block has two norms, four square matrices, and the way up and down with a bias each. "
            "Do not forget the norm at the end.",
        ],
        mistakes=[Mistake(diagnosis, function) for diagnosis, function in COUNTS],
    ),
    Exercise(
        id="gradients.introduction.slope",
        difficulty=1,
        minutes=5,
        reference=slope,
        draw=draw_function,
        tolerance=1e-9,
        hints=[
            "A slope is a change of f divided by the change of its input.",
            "From x − h to x + h, how far did the input move?",
        ],
        mistakes=[
            Mistake(
                "Divided by h: from x − h to x + h the input moved by 2h.",
                lambda f, x, h: (f(x + h) - f(x - h)) / h,
            ),
            Mistake(
                "Only nudged up: the bend of the curve stays in. Take f(x + h) − f(x − h).",
                lambda f, x, h: (f(x + h) - f(x)) / h,
            ),
            Mistake(
                "Only nudged down: the bend of the curve stays in. Take f(x + h) − f(x − h).",
                lambda f, x, h: (f(x) - f(x - h)) / h,
            ),
            Mistake(
                "The sign is wrong: a slope is positive where the function rises.",
                lambda f, x, h: -slope(f, x, h),
            ),
        ],
    ),
    Exercise(
        id="gradients.introduction.floor",
        difficulty=3,
        minutes=15,
        reference=floor,
        draw=draw_sentences,
        tolerance=1e-9,
        hints=[
            "Collect, for every pair of place and word, all the words that came next. "
            "The last word of a sentence has none.",
            "The best probability for an answer is its share among them. Take −ln of it for each prediction, "
            "and the mean over all predictions.",
        ],
        mistakes=FLOOR_MISTAKES,
    ),
]
