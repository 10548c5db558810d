"""Exercises on the loss: which position predicts what, log probabilities, mean cross-entropy.

Practised in book/1-understanding-gradients/07_loss.md; the module is insideout/gradients/loss.py.
Standard library only. Shapes: T positions, V vocabulary.
"""

import random
from collections.abc import Callable, Sequence
from math import exp, log

from insideout.exercises import drawing
from insideout.exercises.catalogue import Exercise
from insideout.gradients import Matrix, softmax, transpose
from insideout.gradients import cross_entropy as library_cross_entropy

Targets = Sequence[int | None]


# pairs: ids -> [position, target] for every position that predicts something


def draw_ids(rng: random.Random, T: int = 2) -> tuple[list[int]]:
    """Ids of a small vocabulary, so that some stand twice."""
    return (drawing.ids(rng, T, 9),)


def next_pairs(ids: list[int]) -> list[list[int]]:
    return [[t, ids[t + 1]] for t in range(len(ids) - 1)]


pairs = Exercise(
    "gradients.loss.pairs", stars=1, minutes=5, reference=next_pairs, draw=draw_ids, tolerance=0,
    edges=[([7],), ([4, 4, 4],), ([3, 0, 3, 1],)], section="Who predicts what",
)  # fmt: skip
pairs.mistake(
    "The targets are not shifted: each position is asked for the token that it has just read.",
    lambda ids: [[t, ids[t]] for t in range(len(ids) - 1)],
)
pairs.mistake(
    "The targets are not shifted, and the last position predicts too: each is asked for its own token.",
    lambda ids: [[t, token] for t, token in enumerate(ids)],
)
pairs.mistake(
    "The targets are shifted the wrong way: each position is asked for the token before it.",
    lambda ids: [[t, ids[t - 1]] for t in range(1, len(ids))],
)
pairs.mistake(
    "The last position predicts the first token: the end does not lead back to the beginning.",
    lambda ids: [[t, ids[(t + 1) % len(ids)]] for t in range(len(ids))],
)
pairs.mistake(
    "The targets are shifted by two: a position predicts the very next token.",
    lambda ids: [[t, ids[t + 2]] for t in range(len(ids) - 2)],
)
pairs.mistake(
    "The last position stands there with None: it predicts nothing, so it has no pair.",
    lambda ids: [*next_pairs(ids), [len(ids) - 1, None]],
)
pairs.mistake(
    "Positions are counted from 1: the first one is 0.", lambda ids: [[t + 1, token] for t, token in next_pairs(ids)]
)
pairs.mistake("Target and position have changed places.", lambda ids: [[token, t] for t, token in next_pairs(ids)])
pairs.mistake(
    "The pairs hold the token that was read, not its position.",
    lambda ids: [[ids[t], token] for t, token in next_pairs(ids)],
)
pairs.mistake(
    "`ids.index` finds where a token stands first: one that comes twice gets the wrong position. Count with `range`.",
    lambda ids: [[ids.index(token), ids[t + 1]] for t, token in enumerate(ids[:-1])],
)
pairs.mistake("The last pair is missing: position T − 2 predicts the last token.", lambda ids: next_pairs(ids)[:-1])


# logprobs: logits -> their log probabilities, row by row


def draw_large_logits(rng: random.Random, T: int, V: int = 2) -> tuple[Matrix]:
    """Ordinary rows; some so high that their exponentials overflow, some so low or so wide that they vanish."""

    def row() -> list[float]:
        numbers = drawing.vector(rng, V, 2.0)
        numbers[rng.randrange(V)] -= rng.choice((0.0, 900.0))
        level = rng.choice((0.0, 0.0, 800.0, -1000.0))
        return [number + level for number in numbers]

    return ([row() for _ in range(T)],)


def log_sum_exp(row: Sequence[float]) -> float:
    largest = max(row)
    return largest + log(sum(exp(number - largest) for number in row))


def log_softmax(logits: Matrix) -> Matrix:
    return [[number - log_sum_exp(row) for number in row] for row in logits]


def with_one_maximum(logits: Matrix) -> Matrix:
    largest = max(max(row) for row in logits)
    totals = [largest + log(sum(exp(number - largest) for number in row)) for row in logits]
    return [[number - total for number in row] for row, total in zip(logits, totals, strict=True)]


logprobs = Exercise(
    "gradients.loss.logprobs", stars=2, minutes=10, reference=log_softmax, draw=draw_large_logits,
    section="Straight from the logits",
)  # fmt: skip
logprobs.mistake(
    "exp of a large logit overflows, and of very low ones the sum is 0: subtract each row's largest logit first.",
    lambda logits: [[number - log(sum(map(exp, row))) for number in row] for row in logits],
)
logprobs.mistake(
    "The probability is computed first, and its logarithm then: a small one becomes 0, which has none. Stay with the "
    "logits: z − log Σ e^z.",
    lambda logits: [[log(p) for p in row] for row in softmax(logits)],
)
logprobs.mistake(
    "One maximum is subtracted from all rows, and in a row far below it every exponential is 0: each row has its own.",
    with_one_maximum,
)
logprobs.mistake(
    "The largest logit was taken out of the sum and not added back after the logarithm.",
    lambda logits: [[number - log_sum_exp(row) + max(row) for number in row] for row in logits],
)
for size in ("1e-8", "1e-9", "1e-10", "1e-12", "1e-30"):
    logprobs.mistake(
        f"A small constant ({size}) inside the logarithm caps the answer near {log(float(size)):.0f}: keep the logits.",
        lambda logits, size=size: [[log(p + float(size)) for p in row] for row in softmax(logits)],
    )
logprobs.mistake("These are the probabilities: their logarithms are asked for.", softmax)
logprobs.mistake(
    "The logarithm has base 2 (bits): the natural one is asked for (nats).",
    lambda logits: [[number / log(2.0) for number in row] for row in log_softmax(logits)],
)
logprobs.mistake(
    "The sum runs over the positions, down a column: it belongs over the words of one row.",
    lambda logits: transpose(log_softmax(transpose(logits))),
)
logprobs.mistake(
    "Only the largest logit is subtracted: log Σ e^z is still missing.",
    lambda logits: [[number - max(row) for number in row] for row in logits],
)


# cross_entropy: logits, targets -> the mean loss


def draw_cross_entropy(rng: random.Random, T: int, V: int = 2) -> tuple[Matrix, list[int | None]]:
    """Logits, and targets of which some are None; the ids 0 and V − 1 are among them where there is room."""
    return drawing.matrix(rng, T, V, 1.5), drawing.targets(rng, T, V)


def mean_loss(logits: Matrix, targets: Targets) -> float:
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

cross_entropy = Exercise(
    "gradients.loss.cross_entropy", stars=2, minutes=12, reference=mean_loss, draw=draw_cross_entropy,
    edges=[([[1.0, 2.0, 4.0], [0.5, 0.0, -1.0]], [0, 2]), ([[1.0, 2.0], [3.0, 0.5], [0.0, 1.0]], [None, 1, None])],
    section="Straight from the logits",
)  # fmt: skip
cross_entropy.mistake(
    "The sum is divided by all T positions: divide by the N that have a target.",
    lambda logits, targets: sum(surprises(logits, targets)) / len(targets),
)
cross_entropy.mistake(
    "The losses are added up, and not divided by the number of positions that have a target.",
    lambda logits, targets: sum(surprises(logits, targets)),
)
cross_entropy.mistake(
    "The sign is wrong: log p is negative, and the loss is −log p.",
    lambda logits, targets: -mean_loss(logits, targets),
)
cross_entropy.mistake(
    "The logarithm of the mean probability was taken: take the mean of the logarithms.",
    lambda logits, targets: -log(mean(chances(logits, targets))),
)
cross_entropy.mistake(
    "The price of a guess is taken as 1 − p: it is −log p.",
    lambda logits, targets: 1.0 - mean(chances(logits, targets)),
)
cross_entropy.mistake(
    "The price of a guess is taken as p: it is −log p.", lambda logits, targets: mean(chances(logits, targets))
)
cross_entropy.mistake(
    "The logarithm has base 2 (bits): the natural one is asked for (nats).",
    lambda logits, targets: mean_loss(logits, targets) / log(2.0),
)
cross_entropy.mistake(
    "A target of 0 is skipped: `if target:` is false for the id 0. Ask `if target is not None:`.",
    lambda logits, targets: mean_loss(logits, [target or None for target in targets]),
)
cross_entropy.mistake(
    "A target of 0 is skipped, but counted: `if target:` is false for the id 0. Ask `if target is not None:`.",
    lambda logits, targets: (
        sum(surprises(logits, [target or None for target in targets])) / sum(target is not None for target in targets)
    ),
)
cross_entropy.mistake(
    "Each position is priced by the target of the next one: `targets` is shifted already.",
    lambda logits, targets: mean_loss(logits[:-1], targets[1:]),
)
cross_entropy.mistake(
    "The last position is left out: the targets say themselves where nothing is predicted.",
    lambda logits, targets: mean_loss(logits[:-1], targets[:-1]),
)
cross_entropy.mistake(
    "The logits are taken for probabilities: a softmax comes first.",
    lambda logits, targets: mean([-log(row[t]) for row, t in zip(logits, targets, strict=True) if t is not None]),
)
cross_entropy.mistake(
    "The softmax is taken twice: log Σ e^z − z needs the logits, not the probabilities.",
    lambda logits, targets: mean_loss(softmax(logits), targets),
)
cross_entropy.mistake(
    "This is −z of the true word alone: the term log Σ e^z is missing.",
    lambda logits, targets: mean([-row[t] for row, t in zip(logits, targets, strict=True) if t is not None]),
)
cross_entropy.mistake(
    "A position without a target is priced as if its target were 0: it costs nothing and is not counted.",
    lambda logits, targets: mean_loss(logits, [target or 0 for target in targets]),
)
