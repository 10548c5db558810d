"""Exercises on process reward models: where steps end, and a loss that ends at the first error.

Practised in book/4-reasoning-with-transformers/04_process_reward_models.md; the module is
insideout/reasoning/verifiers.py.
"""

import random
from collections.abc import Sequence
from itertools import accumulate
from math import exp, log1p

from insideout.exercises.catalogue import Exercise

Pieces = list[tuple[list[int], bool]]

# marks: tokens of the question, pieces of the answer -> where each step ends


def draw_pieces(rng: random.Random) -> tuple[int, Pieces]:
    """A question and an answer of a few pieces; not all of them are steps, and some are one token long."""
    n = rng.randint(3, 6)
    pieces = [([rng.randint(1, 60) for _ in range(rng.randint(1, 6))], rng.random() < 0.65) for _ in range(n)]
    if not any(is_step for _, is_step in pieces):
        pieces[1] = (pieces[1][0], True)
    pieces[0], pieces[-1] = ([7, *pieces[0][0]], False), ([*pieces[-1][0], 8], False)
    return rng.randint(3, 12), pieces


def ends(n_prompt: int, pieces: Pieces) -> list[int]:
    """The place after each piece."""
    return list(accumulate((len(ids) for ids, _ in pieces), initial=n_prompt))[1:]


def places(n_prompt: int, pieces: Pieces, shift: int = -1) -> list[int]:
    return [end + shift for end, (_, is_step) in zip(ends(n_prompt, pieces), pieces, strict=True) if is_step]


marks = Exercise(
    "reasoning.process_reward_models.marks", stars=1, minutes=10, reference=places, draw=draw_pieces,
    edges=[(4, []), (4, [([1, 2], False)]), (5, [([1], True)]), (1, [([1, 2], True), ([3], True)])],
    section="Where a step ends",
)  # fmt: skip
marks.mistake(
    "These are the places after the steps: the last token of a step stands one before.",
    lambda n_prompt, pieces: places(n_prompt, pieces, 0),
)
marks.mistake(
    "Every mark is one place too early: after n tokens the last one has place n − 1.",
    lambda n_prompt, pieces: places(n_prompt, pieces, -2),
)
marks.mistake(
    "Places are counted from the answer's first token: the question's tokens come before.",
    lambda n_prompt, pieces: places(0, pieces),
)
marks.mistake(
    "Every piece has a mark here: only those that are steps do.",
    lambda n_prompt, pieces: [end - 1 for end in ends(n_prompt, pieces)],
)
marks.mistake(
    "These pieces are the ones that are no steps.",
    lambda n_prompt, pieces: places(n_prompt, [(ids, not is_step) for ids, is_step in pieces]),
)


@marks.mistake("Pieces that are no steps are passed over, and so their tokens were not counted.")
def _(n_prompt: int, pieces: Pieces) -> list[int]:
    return places(n_prompt, [piece for piece in pieces if piece[1]])


@marks.mistake("These are the places of the first tokens of the steps: a step is judged when it has been read.")
def _(n_prompt: int, pieces: Pieces) -> list[int]:
    return [end - len(ids) for end, (ids, is_step) in zip(ends(n_prompt, pieces), pieces, strict=True) if is_step]


@marks.mistake("These are numbers of pieces: places are counted in tokens.")
def _(n_prompt: int, pieces: Pieces) -> list[int]:
    return [i for i, (_, is_step) in enumerate(pieces) if is_step]


@marks.mistake("Only the last step has a mark: each of them has one.")
def _(n_prompt: int, pieces: Pieces) -> list[int]:
    return places(n_prompt, pieces)[-1:]


@marks.mistake("The last step is missing: a search for what separates steps finds one fewer than there are.")
def _(n_prompt: int, pieces: Pieces) -> list[int]:
    return places(n_prompt, pieces)[:-1]


@marks.mistake("These are the lengths of the steps: the places of their last tokens are asked for.")
def _(n_prompt: int, pieces: Pieces) -> list[int]:
    return [len(ids) for ids, is_step in pieces if is_step]


@marks.mistake("These are the tokens at the marks: their places are asked for.")
def _(n_prompt: int, pieces: Pieces) -> list[int]:
    return [ids[-1] for ids, is_step in pieces if is_step]


@marks.mistake("The end of the answer has a mark too: here only steps do.")
def _(n_prompt: int, pieces: Pieces) -> list[int]:
    return [*places(n_prompt, pieces), *[end - 1 for end in ends(n_prompt, pieces)[-1:]]]


@marks.mistake("One mark for each step, but counted one token to a piece.")
def _(n_prompt: int, pieces: Pieces) -> list[int]:
    return [n_prompt + i for i, (_, is_step) in enumerate(pieces) if is_step]


# loss: logits and labels of one answer's steps -> the mean loss of those that are learned


def draw_steps(rng: random.Random) -> tuple[list[float], list[bool]]:
    """A few steps, with an error before the end in most answers."""
    n = rng.randint(3, 6)
    labels = [rng.random() < 0.75 for _ in range(n)]
    if rng.random() < 0.6:
        labels[rng.randrange(1, n - 1)] = False
    return [round(rng.gauss(0.5, 2.0), 2) for _ in range(n)], labels


def softplus(x: float) -> float:
    return max(x, 0.0) + log1p(exp(-abs(x)))


def learned(labels: Sequence[bool]) -> int:
    """How many steps are learned."""
    return list(labels).index(False) + 1 if False in labels else len(labels)


def each_loss(logits: Sequence[float], labels: Sequence[bool]) -> list[float]:
    return [softplus(-z if right else z) for z, right in zip(logits, labels, strict=True)]


def until_first_error(logits: list[float], labels: list[bool]) -> float:
    n = learned(labels)
    return sum(each_loss(logits[:n], labels[:n])) / n


loss = Exercise(
    "reasoning.process_reward_models.loss", stars=2, minutes=15, reference=until_first_error, draw=draw_steps,
    edges=[([0.3], [True]), ([0.3], [False]), ([800.0, -2.0], [False, True]), ([-800.0, 1.0], [True, False]),
           ([2.0, 1.0, -1.0], [True, True, True])], section="Exact labels",
)  # fmt: skip
loss.mistake(
    "Steps after the first error are learned too: they have no label.",
    lambda logits, labels: sum(each_loss(logits, labels)) / len(labels),
)
loss.mistake(
    "The first wrong step itself is not learned: it is the one that teaches what an error looks like.",
    lambda logits, labels: (
        sum(each_loss(logits, labels)[: list(labels).index(False) if False in labels else None])
        / max(1, learned(labels) - (False in labels))
    ),
)
loss.mistake(
    "Steps without a label are counted in the mean: divide by the number of those that are learned.",
    lambda logits, labels: sum(each_loss(logits, labels)[: learned(labels)]) / len(labels),
)
loss.mistake(
    "This is the sum: the mean over the steps that are learned is asked for.",
    lambda logits, labels: sum(each_loss(logits, labels)[: learned(labels)]),
)
loss.mistake(
    "The sign is wrong for every step: a right step with a large logit has a small loss.",
    lambda logits, labels: until_first_error([-z for z in logits], labels),
)
loss.mistake(
    "Wrong steps have no loss here: −log(1 − σ(z)) is theirs.",
    lambda logits, labels: (
        sum(softplus(-z) for z, right in zip(logits, labels, strict=True) if right) / learned(labels)
    ),
)
loss.mistake(
    "Every step up to the first error is taken for a right one, the error too.",
    lambda logits, labels: sum(softplus(-z) for z in logits[: learned(labels)]) / learned(labels),
)
loss.mistake(
    "Steps after the first error are learned as wrong ones: they have no label.",
    lambda logits, labels: sum(
        each_loss(logits, [right and i < learned(labels) for i, right in enumerate(labels)])
    ) / len(labels),
)  # fmt: skip
loss.mistake(
    "Only the last step that is learned is counted: all of them are.",
    lambda logits, labels: each_loss(logits, labels)[learned(labels) - 1],
)
loss.mistake(
    "Only the first step is counted: a process model learns from each of them.",
    lambda logits, labels: each_loss(logits, labels)[0],
)
loss.mistake(
    "This is the mean log-likelihood: the loss has the other sign.",
    lambda logits, labels: -until_first_error(logits, labels),
)
loss.mistake(
    "This is 1 − σ(z), or σ(z): the logarithm of the probability is missing.",
    lambda logits, labels: (
        sum(1 - exp(-each) for each in each_loss(logits, labels)[: learned(labels)]) / learned(labels)
    ),
)
