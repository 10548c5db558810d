"""Exercises on supervised fine-tuning: the loss over what is learned, and its gradient at the logits.

Practised in book/3-fine-tuning-a-transformer/04_supervised_fine_tuning.md; the modules are insideout/recipes/sft.py and
insideout/transformer/loss.py. Shapes: B rows, T positions, V vocabulary.
"""

import random

import torch
from torch import Tensor

from insideout.data.batch import IGNORE
from insideout.exercises.catalogue import Exercise
from insideout.exercises.drawing import tensor

# loss: logits, ids, weights -> the weighted mean of the surprise


def draw_said(rng: random.Random, B: int, T: int = 3, V: int = 3) -> tuple[Tensor, Tensor, Tensor]:
    """Logits (B, T, V), ids (B, T), and each token's weight, (B, T): prompts that end at different places, and some
    of their words are learned a little."""
    ids = torch.tensor([[rng.randrange(V) for _ in range(T)] for _ in range(B)])
    weights = torch.zeros(B, T, dtype=torch.float64)
    for row in range(B):
        start = rng.randrange(1, T)
        weights[row, :start] = rng.choice([0.0, 0.3])
        weights[row, start : start + rng.randint(1, T)] = 1.0
    return 2 * tensor(rng, B, T, V), ids, weights


def of_the_next(logits: Tensor, ids: Tensor) -> Tensor:
    """Each token's log-probability where it is said, (B, T - 1)."""
    return logits[:, :-1].log_softmax(-1).gather(-1, ids[:, 1:, None]).squeeze(-1)


def sft_loss(logits: Tensor, ids: Tensor, weights: Tensor) -> Tensor:
    w = weights[:, 1:]
    return -(w * of_the_next(logits, ids)).sum() / w.sum()


def of_each_row(logits: Tensor, ids: Tensor, weights: Tensor) -> Tensor:
    w = weights[:, 1:]
    return -((w * of_the_next(logits, ids)).sum(1) / w.sum(1)).mean()


def with_weights(logits: Tensor, ids: Tensor, w: Tensor) -> Tensor:
    """The loss with other weights of what is said, (B, T - 1)."""
    return -(w * of_the_next(logits, ids)).sum() / w.sum()


def not_shifted(logits: Tensor, ids: Tensor, weights: Tensor) -> Tensor:
    said = logits.log_softmax(-1).gather(-1, ids[..., None]).squeeze(-1)
    return -(weights * said).sum() / weights.sum()


def shifted_back(logits: Tensor, ids: Tensor, weights: Tensor) -> Tensor:
    said = logits[:, 1:].log_softmax(-1).gather(-1, ids[:, :-1, None]).squeeze(-1)
    return -(weights[:, :-1] * said).sum() / weights[:, :-1].sum()


def shifted_twice(logits: Tensor, ids: Tensor, weights: Tensor) -> Tensor:
    said = logits[:, :-2].log_softmax(-1).gather(-1, ids[:, 2:, None]).squeeze(-1)
    return -(weights[:, 2:] * said).sum() / weights[:, 2:].sum()


loss = Exercise(
    "finetuning.supervised_fine_tuning.loss", stars=2, minutes=15, reference=sft_loss, draw=draw_said, tolerance=1e-5,
    edges=[
        (torch.zeros(2, 4, 5, dtype=torch.float64), torch.tensor([[0, 1, 2, 3], [4, 3, 2, 1]]),
         torch.tensor([[0.0, 0.0, 0.0, 1.0], [0.0, 1.0, 1.0, 1.0]], dtype=torch.float64)),
        (torch.tensor([[[0.0, 3.0], [2.0, 0.0], [0.0, 1.0], [4.0, 0.0]]], dtype=torch.float64),
         torch.tensor([[0, 1, 1, 0]]), torch.tensor([[0.3, 0.3, 1.0, 1.0]], dtype=torch.float64)),
    ],
    section="The idea, in one drawing",
)  # fmt: skip
loss.mistake(
    "There is no shift: position t is asked for the token that it has just read. It says the token after it.",
    not_shifted,
)
loss.mistake("The shift goes the other way: position t would say the token before it.", shifted_back)
loss.mistake("The shift is made twice: position t says the token right after it.", shifted_twice)
loss.mistake(
    "The ids are shifted and the weights are not: the last word of the prompt is learned, and the stop is not. "
    "A weight belongs to the token that is said.",
    lambda logits, ids, weights: with_weights(logits, ids, weights[:, :-1]),
)
loss.mistake(
    "Each row is averaged first, and then the rows: the tokens of a short answer count more than those of a long one. "
    "Divide once, by the sum of all weights.",
    of_each_row,
)
loss.mistake(
    "The weighted sum is divided by the number of tokens that are said: divide by the sum of the weights.",
    lambda logits, ids, weights: -(weights[:, 1:] * of_the_next(logits, ids)).mean(),
)
loss.mistake(
    "The weighted sum is divided by the number of all tokens: divide by the sum of the weights.",
    lambda logits, ids, weights: -(weights[:, 1:] * of_the_next(logits, ids)).sum() / ids.numel(),
)
loss.mistake(
    "The weighted sum is divided by how many tokens have a weight at all: a token of weight 0.3 counts 0.3 there too.",
    lambda logits, ids, weights: (
        -(weights[:, 1:] * of_the_next(logits, ids)).sum() / (weights[:, 1:] > 0).sum()
    ),
)  # fmt: skip
loss.mistake(
    "The sum of all weights is taken before the shift: the first token of a row is said by nobody, and must not count.",
    lambda logits, ids, weights: -(weights[:, 1:] * of_the_next(logits, ids)).sum() / weights.sum(),
)
loss.mistake(
    "This is the sum: divide it by the sum of the weights.",
    lambda logits, ids, weights: -(weights[:, 1:] * of_the_next(logits, ids)).sum(),
)
loss.mistake(
    "This is the sum divided by the number of rows: divide it by the sum of the weights.",
    lambda logits, ids, weights: -(weights[:, 1:] * of_the_next(logits, ids)).sum() / len(ids),
)
loss.mistake(
    "The weights are not used: prompts and padding are learned like answers.",
    lambda logits, ids, weights: -of_the_next(logits, ids).mean(),
)
loss.mistake(
    "Every token that has a weight counts alike: a weight of 0.3 must count 0.3.",
    lambda logits, ids, weights: with_weights(logits, ids, (weights[:, 1:] > 0).double()),
)
loss.mistake(
    "Only tokens of weight 1 count: those between 0 and 1 count too, by so much.",
    lambda logits, ids, weights: with_weights(logits, ids, (weights[:, 1:] == 1).double()),
)
loss.mistake(
    "The weights are squared: each is used once.",
    lambda logits, ids, weights: -(weights[:, 1:] ** 2 * of_the_next(logits, ids)).sum() / weights[:, 1:].sum(),
)
loss.mistake(
    "The sign is wrong: a surprise is minus a log-probability.",
    lambda logits, ids, weights: -sft_loss(logits, ids, weights),
)
loss.mistake(
    "The loss is in bits: take the natural logarithm.",
    lambda logits, ids, weights: sft_loss(logits, ids, weights) / torch.log(torch.tensor(2.0)),
)
loss.mistake(
    "Logits were taken for log-probabilities: a log-softmax over the vocabulary is missing.",
    lambda logits, ids, weights: (
        -(weights[:, 1:] * logits[:, :-1].gather(-1, ids[:, 1:, None]).squeeze(-1)).sum() / weights[:, 1:].sum()
    ),
)  # fmt: skip
loss.mistake(
    "The softmax goes over the positions: it goes over the vocabulary, the last axis.",
    lambda logits, ids, weights: (
        -(weights[:, 1:] * logits[:, :-1].log_softmax(1).gather(-1, ids[:, 1:, None]).squeeze(-1)).sum()
        / weights[:, 1:].sum()
    ),
)  # fmt: skip
loss.mistake(
    "The weights are turned around: 0 is what is not learned.",
    lambda logits, ids, weights: with_weights(logits, ids, 1 - weights[:, 1:] + 1e-9),
)
loss.mistake(
    "This is the mean probability: the loss is the mean of minus its logarithm.",
    lambda logits, ids, weights: (weights[:, 1:] * of_the_next(logits, ids).exp()).sum() / weights[:, 1:].sum(),
)

# gradient: logits, targets -> the gradient at the logits


def draw_targets(rng: random.Random, T: int = 3, V: int = 3) -> tuple[Tensor, Tensor]:
    """Logits (T, V), and what each position is to say, (T,), at least two of them, or -100."""
    targets = torch.tensor([rng.randrange(V) for _ in range(T)])
    hidden = rng.sample(range(T), rng.randint(1, T - 2))
    targets[hidden] = IGNORE
    return tensor(rng, T, V), targets


def parts_of(logits: Tensor, targets: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """Probabilities (T, V), 1 at the token to be said, (T, V), and which positions are learned, (T, 1)."""
    learned = targets != IGNORE
    right = torch.zeros_like(logits)
    right[learned, targets[learned]] = 1.0
    return logits.softmax(-1), right, learned[:, None].to(logits.dtype)


def by_formula(logits: Tensor, targets: Tensor) -> Tensor:
    p, right, learned = parts_of(logits, targets)
    return (p - right) * learned / learned.sum()


def late(logits: Tensor, targets: Tensor) -> Tensor:
    """The targets are moved by one."""
    return by_formula(logits, torch.cat([targets[1:], targets.new_full((1,), IGNORE)]))


def at_right_alone(logits: Tensor, targets: Tensor) -> Tensor:
    p, right, learned = parts_of(logits, targets)
    return (p - 1) * right / learned.sum()


def over_positions(logits: Tensor, targets: Tensor) -> Tensor:
    _, right, learned = parts_of(logits, targets)
    return (logits.softmax(0) - right) * learned / learned.sum()


def from_logits(logits: Tensor, targets: Tensor) -> Tensor:
    _, right, learned = parts_of(logits, targets)
    return (logits - right) * learned / learned.sum()


def through_softmax(logits: Tensor, targets: Tensor) -> Tensor:
    """As for a squared error: once too often through the softmax."""
    p, right, learned = parts_of(logits, targets)
    return (p - right) * p * (1 - p) * learned / learned.sum()


gradient = Exercise(
    "finetuning.supervised_fine_tuning.gradient", stars=2, minutes=12, reference=by_formula, draw=draw_targets,
    tolerance=1e-5,
    edges=[
        (torch.zeros(3, 4, dtype=torch.float64), torch.tensor([IGNORE, 2, 3])),
        (torch.tensor([[2.0, 0.0, 0.0], [0.0, 0.0, 2.0], [1.0, 0.0, 0.0], [0.0, 1.0, 0.0]], dtype=torch.float64),
         torch.tensor([0, IGNORE, 0, 1])),
    ],
    section="Check it",
)  # fmt: skip
gradient.mistake(
    "It is not divided by the number of learned positions: this is the gradient of the sum.",
    lambda logits, targets: by_formula(logits, targets) * (targets != IGNORE).sum(),
)
gradient.mistake(
    "It is divided by all positions: the mean goes over the learned ones.",
    lambda logits, targets: by_formula(logits, targets) * (targets != IGNORE).sum() / len(targets),
)
gradient.mistake(
    "What is not learned has a gradient: those rows are 0, probabilities and all.",
    lambda logits, targets: (
        (parts_of(logits, targets)[0] - parts_of(logits, targets)[1]) / (targets != IGNORE).sum()
    ),
)  # fmt: skip
gradient.mistake(
    "What is not learned has a gradient, and the sum is divided by all positions: −100 marks what does not count.",
    lambda logits, targets: (parts_of(logits, targets)[0] - parts_of(logits, targets)[1]) / len(targets),
)
gradient.mistake(
    "−100 was taken for a token: as an index it means a place counted from the end. Leave those rows out.",
    lambda logits, targets: (
        (logits.softmax(-1) - torch.nn.functional.one_hot(targets % logits.shape[-1], logits.shape[-1])) / len(targets)
    ),
)  # fmt: skip
gradient.mistake(
    "The sign is wrong: the loss falls when the right token's logit rises, so its gradient is negative.",
    lambda logits, targets: -by_formula(logits, targets),
)
gradient.mistake(
    "1 is never taken away at the right token: this is only where the probabilities lie.",
    lambda logits, targets: parts_of(logits, targets)[0] * parts_of(logits, targets)[2] / (targets != IGNORE).sum(),
)
gradient.mistake("Only the right token has a gradient: the others must be pushed down.", at_right_alone)
gradient.mistake("The softmax goes over the positions: it goes over the vocabulary, the last axis.", over_positions)
gradient.mistake("Logits stand where probabilities belong: take the softmax first.", from_logits)
gradient.mistake("The targets are shifted once more: here they are already what each position says.", late)
gradient.mistake(
    "The gradient has been taken through the softmax once too often: with the logarithm, p − 1 is all that is left.",
    through_softmax,
)
gradient.mistake(
    "1 is added at the right token: it is taken away.",
    lambda logits, targets: (
        (parts_of(logits, targets)[0] + parts_of(logits, targets)[1]) * parts_of(logits, targets)[2]
        / (targets != IGNORE).sum()
    ),
)  # fmt: skip
gradient.mistake(
    "The mask is turned around: what is learned is 0 here, and what is not has a gradient.",
    lambda logits, targets: (
        parts_of(logits, targets)[0] * (1 - parts_of(logits, targets)[2]) / (targets == IGNORE).sum()
    ),
)  # fmt: skip
gradient.mistake(
    "Only the learned rows are returned: the gradient has the shape of the logits.",
    lambda logits, targets: by_formula(logits, targets)[targets != IGNORE],
)
gradient.mistake(
    "Positions that are learned and positions that are not count as halves of one mean: divide by the learned ones.",
    lambda logits, targets: by_formula(logits, targets) * (targets != IGNORE).sum() / (targets.numel() * 2),
)
