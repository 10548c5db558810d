"""Exercises on evaluation: perplexity over texts of different lengths, and agreement beyond habit.

Practised in book/3-fine-tuning-a-transformer/19_evaluation.md; κ is in insideout/estimates.py.
"""

import math
import random
from collections import Counter
from collections.abc import Callable
from statistics import fmean

from insideout.exercises.catalogue import Exercise

Texts = list[list[float]]
Labels = list[str]

# perplexity: a list of log-probabilities a text -> exp of the mean surprise


def draw_texts(rng: random.Random) -> tuple[Texts]:
    """Texts of different lengths, one of them empty, tokens likely and unlikely."""
    lengths = rng.sample([1, 2, 3, 4, 5, 7], 3)
    texts = [[-rng.expovariate(1 / (0.5 + i)) for _ in range(n)] for i, n in enumerate(lengths)]
    texts.insert(rng.randrange(4), [])
    return (texts,)


def flat(texts: Texts) -> list[float]:
    return [x for text in texts for x in text]


def of_all(texts: Texts) -> float:
    return math.exp(-fmean(flat(texts)))


perplexity = Exercise(
    "finetuning.evaluation.perplexity", stars=1, minutes=8, reference=of_all, draw=draw_texts,
    edges=[([[0.0, 0.0]],), ([[-1.0], [-3.0, -3.0, -3.0]],), ([[-math.log(50)] * 4, []],)], section="Perplexity",
)  # fmt: skip
PERPLEXITY_MISTAKES: list[tuple[str, Callable[[Texts], float]]] = [
    (
        "This is the mean of the texts' perplexities: average the surprise over all tokens, then take exp once.",
        lambda texts: fmean(math.exp(-fmean(text)) for text in texts if text),
    ),
    (
        "Every text counts alike here, however long it is: every token should.",
        lambda texts: math.exp(-fmean(fmean(text) for text in texts if text)),
    ),
    ("The exponential is missing: this is the loss, in nats a token.", lambda texts: -fmean(flat(texts))),
    ("The sign is wrong: log-probabilities are negative, surprise is not.", lambda texts: math.exp(fmean(flat(texts)))),
    (
        "The sum is divided by the number of texts: divide by the number of tokens.",
        lambda texts: math.exp(-sum(flat(texts)) / len(texts)),
    ),
    (
        "The sum is divided by the number of texts that are not empty: divide by the number of tokens.",
        lambda texts: math.exp(-sum(flat(texts)) / sum(map(bool, texts))),
    ),
    ("The sum is not divided by the number of tokens.", lambda texts: math.exp(-sum(flat(texts)))),
    (
        "The exponential is taken of each token, and then the mean: average first.",
        lambda texts: fmean(math.exp(-x) for x in flat(texts)),
    ),
    (
        "Probabilities are averaged: average their logarithms.",
        lambda texts: 1 / fmean(math.exp(x) for x in flat(texts)),
    ),
    ("The logarithms are natural, and this raises 2 to them.", lambda texts: 2 ** (-fmean(flat(texts)))),
    ("The logarithms are natural, and this raises 10 to them.", lambda texts: 10 ** (-fmean(flat(texts)))),
    (
        "An empty text counts as one that is foreseen entirely: it has no token, and does not count.",
        lambda texts: math.exp(-fmean(fmean(text) if text else 0.0 for text in texts)),
    ),
    ("Only the first text is counted.", lambda texts: math.exp(-fmean(next(text for text in texts if text)))),
    ("The first token of each text is left out.", lambda texts: math.exp(-fmean(flat([t[1:] for t in texts])))),
]
for diagnosis, made in PERPLEXITY_MISTAKES:
    perplexity.mistake(diagnosis, made)


# kappa: ours, theirs -> (p − e) / (1 − e)


def draw_labels(rng: random.Random) -> tuple[Labels, Labels]:
    """Two judges with different habits, three labels, one of which only one of them uses."""
    ours = rng.choices(["good", "bad", "unclear"], [6, 3, 1], k=rng.randint(8, 14))
    theirs = [each if rng.random() < 0.6 else rng.choice(["good", "bad", "bad", "mixed"]) for each in ours]
    return ours, theirs


def agreed(ours: Labels, theirs: Labels) -> float:
    return fmean(a == b for a, b in zip(ours, theirs, strict=True))


def by_habit(ours: Labels, theirs: Labels) -> float:
    mine, others = Counter(ours), Counter(theirs)
    return sum(mine[label] * others[label] for label in mine) / len(ours) ** 2


def beyond(p: float, e: float) -> float:
    return (p - e) / (1 - e) if e < 1 else 0.0


def kappa_of(ours: Labels, theirs: Labels) -> float:
    return beyond(agreed(ours, theirs), by_habit(ours, theirs))


kappa = Exercise(
    "finetuning.evaluation.kappa", stars=2, minutes=12, reference=kappa_of, draw=draw_labels,
    edges=[
        (["good"] * 4, ["good"] * 4), (["good", "bad"] * 3, ["good", "bad"] * 3), (["good", "bad"], ["bad", "good"]),
        (["good"] * 9 + ["bad"], ["good"] * 10),
    ],
    section="κ: agreement beyond habit",
)  # fmt: skip
KAPPA_MISTAKES: list[tuple[str, Callable[[Labels, Labels], float]]] = [
    ("This is the share on which they agree: what their habits alone would give must be taken off.", agreed),
    ("This is what their habits alone would give.", by_habit),
    ("It is not divided by 1 − e: full agreement must be 1.", lambda a, b: agreed(a, b) - by_habit(a, b)),
    (
        "It is divided by e: divide by 1 − e, the most that there is to gain.",
        lambda a, b: (agreed(a, b) - by_habit(a, b)) / by_habit(a, b),
    ),
    (
        "Chance is taken as one over the number of labels: it is what these judges' own habits give.",
        lambda a, b: beyond(agreed(a, b), 1 / len({*a, *b})),
    ),
    ("Chance is taken as one half, whatever the judges' habits are.", lambda a, b: beyond(agreed(a, b), 0.5)),
    (
        "Both habits are taken from the first judge: a label counts by what each of the two does.",
        lambda a, b: beyond(agreed(a, b), by_habit(a, a)),
    ),
    (
        "Both habits are taken from the second judge: a label counts by what each of the two does.",
        lambda a, b: beyond(agreed(a, b), by_habit(b, b)),
    ),
    (
        "The two judges' habits are pooled: that is Scott's π, where both are one judge.",
        lambda a, b: beyond(agreed(a, b), by_habit([*a, *b], [*a, *b])),
    ),
    (
        "A negative agreement is cut off at 0: judges may agree less than chance.",
        lambda a, b: max(0.0, kappa_of(a, b)),
    ),
    (
        "Where both always say one label, 1.0 is returned: nothing can be told from that, and 0.0 is asked for.",
        lambda a, b: 1.0 if by_habit(a, b) == 1 else kappa_of(a, b),
    ),
    ("The sign is wrong: chance is taken from what they agree on, not the other way.", lambda a, b: -kappa_of(a, b)),
    (
        "The formula divides by zero where both judges always say one label: return 0.0 there.",
        lambda a, b: (agreed(a, b) - by_habit(a, b)) / (1 - by_habit(a, b)),
    ),
]  # fmt: skip
for diagnosis, fault in KAPPA_MISTAKES:
    kappa.mistake(diagnosis, fault)
