"""Exercises on the loss: which position predicts what, log probabilities, mean cross-entropy.

Practised in book/1-understanding-gradients/07_loss.md; the module is insideout/gradients/loss.py.
Standard library only. Shapes: T positions, V vocabulary.
"""

import random
from collections.abc import Callable, Sequence
from math import exp, log

from insideout.exercises.catalogue import Exercise, Mistake
from insideout.gradients import Matrix, softmax, transpose
from insideout.gradients import cross_entropy as library_cross_entropy

Targets = Sequence[int | None]


# pairs: ids -> [position, target] for every position that predicts something


def draw_ids(rng: random.Random) -> tuple[list[int]]:
    """Six different ids, none equal to its position, so that no two ways of shifting look alike."""
    return (rng.sample(range(10, 30), 6),)


def pairs(ids: list[int]) -> list[list[int]]:
    return [[t, ids[t + 1]] for t in range(len(ids) - 1)]


def pairs_round(ids: list[int]) -> list[list[int]]:
    return [[t, ids[(t + 1) % len(ids)]] for t in range(len(ids))]


# logprobs: logits -> their log probabilities, row by row


def draw_large_logits(rng: random.Random) -> tuple[Matrix]:
    """T×V with one row so high that its exponentials overflow, and one so wide that a probability underflows to 0."""
    logits = [[rng.gauss(0.0, 2.0) for _ in range(5)] for _ in range(4)]
    logits[1] = [number + 800.0 for number in logits[1]]
    logits[2][rng.randrange(5)] -= 900.0
    return (logits,)


def log_sum_exp(row: Sequence[float]) -> float:
    largest = max(row)
    return largest + log(sum(exp(number - largest) for number in row))


def logprobs(logits: Matrix) -> Matrix:
    return [[number - log_sum_exp(row) for number in row] for row in logits]


def logprobs_not_added_back(logits: Matrix) -> Matrix:
    return [[number - log_sum_exp(row) + max(row) for number in row] for row in logits]


def logprobs_padded(logits: Matrix) -> Matrix:
    return [[log(p + 1e-12) for p in row] for row in softmax(logits)]


def logprobs_padded_less(logits: Matrix) -> Matrix:
    return [[log(p + 1e-10) for p in row] for row in softmax(logits)]


def logprobs_base_2(logits: Matrix) -> Matrix:
    return [[number / log(2.0) for number in row] for row in logprobs(logits)]


# cross_entropy: logits, targets -> the mean loss


def draw_cross_entropy(rng: random.Random) -> tuple[Matrix, list[int | None]]:
    """Logits T×V and targets, of which two, the last among them, are None."""
    logits = [[rng.gauss(0.0, 1.5) for _ in range(5)] for _ in range(7)]
    targets: list[int | None] = [rng.randrange(5) for _ in range(7)]
    targets[rng.randrange(1, 5)] = targets[-1] = None
    return logits, targets


def cross_entropy(logits: Matrix, targets: Targets) -> float:
    return library_cross_entropy(logits, targets)[0]


def of_the_answers(price: Callable[[float], float]) -> Callable[[Matrix, Targets], list[float]]:
    """The price of each probability that a true answer was given."""

    def prices(logits: Matrix, targets: Targets) -> list[float]:
        rows = zip(softmax(logits), targets, strict=True)
        return [price(row[target]) for row, target in rows if target is not None]

    return prices


def mean(numbers: Sequence[float]) -> float:
    return sum(numbers) / len(numbers)


surprises = of_the_answers(lambda p: -log(p))
chances = of_the_answers(lambda p: p)


exercises: list[Exercise] = [
    Exercise(
        id="gradients.loss.pairs",
        difficulty=1,
        minutes=5,
        reference=pairs,
        draw=draw_ids,
        tolerance=0.0,
        hints=[
            "Position t has read the tokens 0 to t. Which token is the first that it has not read?",
            "The last position has nothing to predict, so there is one pair fewer than there are tokens.",
        ],
        mistakes=[
            Mistake(
                "The targets are not shifted: each position is asked for the token that it has just read.",
                lambda ids: [[t, ids[t]] for t in range(len(ids) - 1)],
            ),
            Mistake(
                "The targets are not shifted, and the last position predicts too: each is asked for its own token.",
                lambda ids: [[t, token] for t, token in enumerate(ids)],
            ),
            Mistake(
                "The targets are shifted the wrong way: each position is asked for the token before it.",
                lambda ids: [[t, ids[t - 1]] for t in range(1, len(ids))],
            ),
            Mistake(
                "The last position predicts the first token: the end does not lead back to the beginning.", pairs_round
            ),
            Mistake(
                "The targets are shifted by two: a position predicts the very next token.",
                lambda ids: [[t, ids[t + 2]] for t in range(len(ids) - 2)],
            ),
        ],
    ),
    Exercise(
        id="gradients.loss.logprobs",
        difficulty=2,
        minutes=10,
        reference=logprobs,
        draw=draw_large_logits,
        tolerance=1e-9,
        hints=[
            "log(e^z / Σ e^z) = z − log Σ e^z. No probability has to be computed.",
            "Take the largest logit m of a row out of the sum: Σ e^z = e^m Σ e^(z − m). What becomes of its logarithm?",
        ],
        mistakes=[
            Mistake(
                "The largest logit was taken out of the sum and not added back after the logarithm.",
                logprobs_not_added_back,
            ),
            Mistake(
                "A small constant (1e-12) inside the logarithm caps the answer near −28: stay with the logits.",
                logprobs_padded,
            ),
            Mistake(
                "A small constant (1e-10) inside the logarithm caps the answer near −23: stay with the logits.",
                logprobs_padded_less,
            ),
            Mistake("These are the probabilities: their logarithms are asked for.", softmax),
            Mistake("The logarithm has base 2 (bits): the natural one is asked for (nats).", logprobs_base_2),
            Mistake(
                "The sum runs over the positions, down a column: it belongs over the words of one row.",
                lambda logits: transpose(logprobs(transpose(logits))),
            ),
        ],
    ),
    Exercise(
        id="gradients.loss.cross_entropy",
        difficulty=2,
        minutes=12,
        reference=cross_entropy,
        draw=draw_cross_entropy,
        tolerance=1e-9,
        hints=[
            "One position costs log Σ e^z − z_target. Where the target is None, nothing is added and nothing counted.",
            "How many positions does the mean run over?",
        ],
        mistakes=[
            Mistake(
                "The sum is divided by all T positions: divide by the N that have a target.",
                lambda logits, targets: sum(surprises(logits, targets)) / len(targets),
            ),
            Mistake(
                "The losses are added up, and not divided by the number of positions that have a target.",
                lambda logits, targets: sum(surprises(logits, targets)),
            ),
            Mistake(
                "The sign is wrong: log p is negative, and the loss is −log p.",
                lambda logits, targets: -cross_entropy(logits, targets),
            ),
            Mistake(
                "The logarithm of the mean probability was taken: take the mean of the logarithms.",
                lambda logits, targets: -log(mean(chances(logits, targets))),
            ),
            Mistake(
                "The price of a guess is taken as 1 − p: it is −log p.",
                lambda logits, targets: 1.0 - mean(chances(logits, targets)),
            ),
            Mistake(
                "The logarithm has base 2 (bits): the natural one is asked for (nats).",
                lambda logits, targets: cross_entropy(logits, targets) / log(2.0),
            ),
        ],
    ),
]
