"""Exercises on reward models: the loss of a pair, and the score that is read where a text ends.

Practised in book/3-fine-tuning-a-transformer/07_reward_model.md; the module is insideout/finetuning/reward_model.py.
Shapes: P pairs; B rows, T positions.
"""

import random
from collections.abc import Callable

import torch
from torch import Tensor
from torch.nn.functional import logsigmoid

from insideout.exercises.catalogue import Exercise
from insideout.exercises.drawing import tensor

# pair_loss: chosen, rejected, margin, weight -> the mean loss


def draw_scores(rng: random.Random, P: int = 2) -> tuple[Tensor, Tensor, float, float]:
    """Scores of pairs, a margin and a weight of centring."""
    return tensor(rng, P), tensor(rng, P), rng.choice([0.3, 0.5, 2.0]), rng.choice([0.1, 0.2, 0.7])


def mean_loss(chosen: Tensor, rejected: Tensor, margin: float, weight: float) -> Tensor:
    return (-logsigmoid(chosen - rejected - margin) + weight * (chosen + rejected).square()).mean()


FAR = torch.tensor([-900.0, 1.0], dtype=torch.float64), torch.tensor([900.0, 0.5], dtype=torch.float64), 0.5, 0.1
pair_loss = Exercise(
    "finetuning.reward_model.pair_loss", stars=1, minutes=8, reference=mean_loss, draw=draw_scores, edges=[FAR],
    section="The loss",
)  # fmt: skip
LOSS_MISTAKES: list[tuple[str, Callable[[Tensor, Tensor, float, float], Tensor]]] = [
    ("The sign of the gap is wrong: chosen less rejected.", lambda c, r, m, w: mean_loss(r, c, m, w)),
    ("The margin is added: it is taken off the gap.", lambda c, r, m, w: mean_loss(c, r, -m, w)),
    ("The margin is not used.", lambda c, r, m, w: mean_loss(c, r, 0.0, w)),
    ("Centring is not used.", lambda c, r, m, w: mean_loss(c, r, m, 0.0)),
    ("The weight of centring is not used.", lambda c, r, m, w: mean_loss(c, r, m, 1.0)),
    (
        "Centring is of the difference: it is the sum that must stay near 0.",
        lambda c, r, m, w: (-logsigmoid(c - r - m) + w * (c - r).square()).mean(),
    ),
    (
        "Centring squares each score: it is their sum that is squared.",
        lambda c, r, m, w: (-logsigmoid(c - r - m) + w * (c.square() + r.square())).mean(),
    ),
    (
        "The sum is not squared.",
        lambda c, r, m, w: (-logsigmoid(c - r - m) + w * (c + r)).mean(),
    ),
    (
        "The mean of the two scores is squared: it is their sum.",
        lambda c, r, m, w: mean_loss(c, r, m, w / 4),
    ),
    (
        "Centring is taken off: it must make the loss larger.",
        lambda c, r, m, w: mean_loss(c, r, m, -w),
    ),
    (
        "The sign of the logarithm is wrong: it is negative, and a loss is not.",
        lambda c, r, m, w: (logsigmoid(c - r - m) + w * (c + r).square()).mean(),
    ),
    (
        "The logarithm is missing.",
        lambda c, r, m, w: ((c - r - m).sigmoid() + w * (c + r).square()).mean(),
    ),
    ("This is the sum over the pairs: the mean is asked for.", lambda c, r, m, w: mean_loss(c, r, m, w) * len(c)),
    (
        "One number is asked for: take the mean over the pairs.",
        lambda c, r, m, w: -logsigmoid(c - r - m) + w * (c + r).square(),
    ),
    (
        "The gaps are averaged before the sigmoid: each pair has its own loss.",
        lambda c, r, m, w: -logsigmoid((c - r - m).mean()) + w * (c + r).square().mean(),
    ),
    (
        "The exponential overflows, or the logarithm gets 0, where a pair is far on the wrong side: use logsigmoid.",
        lambda c, r, m, w: (-(c - r - m).sigmoid().log() + w * (c + r).square()).mean(),
    ),
]
for diagnosis, made in LOSS_MISTAKES:
    pair_loss.mistake(diagnosis, made)

# at_ends: numbers, mask -> the number at each row's last token


def draw_rows(rng: random.Random, B: int = 2, T: int = 5) -> tuple[Tensor, Tensor]:
    """Numbers at every position, and rows of which some are padded on the left and some on the right."""
    mask = torch.zeros(B, T, dtype=torch.bool)
    for row in range(B):
        first = rng.randrange(T - 2)
        mask[row, first : rng.randint(first + 2, T - 1) if row % 2 == 0 else T] = True
    return tensor(rng, B, T), mask


def at_last(numbers: Tensor, mask: Tensor) -> Tensor:
    last = (torch.arange(mask.shape[1]) * mask).argmax(1)
    return numbers[torch.arange(len(numbers)), last]


def at(numbers: Tensor, places: Tensor) -> Tensor:
    return numbers[torch.arange(len(numbers)), places.clamp(0, numbers.shape[1] - 1)]


def first_of(mask: Tensor) -> Tensor:
    return mask.int().argmax(1)


at_ends = Exercise(
    "finetuning.reward_model.at_ends", stars=2, minutes=8, reference=at_last, draw=draw_rows,
    edges=[(torch.tensor([[1.0, 2.0, 4.0, 8.0]], dtype=torch.float64), torch.tensor([[False, True, True, True]]))],
    section="Check it",
)  # fmt: skip
ENDS_MISTAKES: list[tuple[str, Callable[[Tensor, Tensor], Tensor]]] = [
    ("The last column is read, padding or not.", lambda x, m: x[:, -1]),
    (
        "The number of tokens less one is taken for the place: with padding on the left it is another.",
        lambda x, m: at(x, m.sum(1) - 1),
    ),
    ("The first token is read: a score is read where the text ends.", lambda x, m: at(x, first_of(m))),
    ("The first column is read.", lambda x, m: x[:, 0]),
    ("It is read one place before the end.", lambda x, m: at(x, (torch.arange(m.shape[1]) * m).argmax(1) - 1)),
    ("It is read one place behind the end.", lambda x, m: at(x, (torch.arange(m.shape[1]) * m).argmax(1) + 1)),
    ("This is the mean over the tokens.", lambda x, m: (x * m).sum(1) / m.sum(1)),
    ("This is the sum over the tokens.", lambda x, m: (x * m).sum(1)),
    ("This is the largest number of the row.", lambda x, m: x.masked_fill(~m, -1e9).max(1).values),
    ("This is the mean over all positions.", lambda x, m: x.mean(1)),
    (
        "It is read before the first padding, which may stand on the left.",
        lambda x, m: at(x, torch.where(m.all(1), m.shape[1], (~m).int().argmax(1)) - 1),
    ),
    ("Row 0's end is used for all.", lambda x, m: x[:, int((torch.arange(m.shape[1]) * m).argmax(1)[0])]),
    ("A number for every row and column is given: index rows and places together.", lambda x, m: x * m),
]
for said, wrong in ENDS_MISTAKES:
    at_ends.mistake(said, wrong)
