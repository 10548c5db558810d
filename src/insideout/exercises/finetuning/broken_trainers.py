"""Exercises on broken trainers: is the stop learned, and how far is the first ratio from 1.

Practised in book/3-fine-tuning-a-transformer/20_broken_trainers.md. Shapes: B rows, T positions.
"""

import random

import torch
from torch import Tensor

from insideout.exercises.catalogue import Exercise
from insideout.exercises.drawing import tensor

IGNORE, STOP = -100, 3

# learned_stops: targets, segments, stop -> the share of documents whose last learned target is the stop


def draw_rows(rng: random.Random) -> tuple[Tensor, Tensor, int]:
    """Rows with one to three documents each and padding behind: prompts, answers, and stops that are there or not."""
    targets, segments, number, width = [], [], 0, 16
    for _ in range(rng.randint(2, 4)):
        row: list[int] = []
        place: list[int] = []
        for _ in range(rng.randint(1, 2)):
            prompt, answer = rng.randint(1, 3), rng.randint(1, 3)
            said = [rng.choice([1, 2, 4, 5]) for _ in range(answer)]
            if rng.random() < 0.3:
                said[0] = STOP  # a stop that is not the last
            last = rng.choice([STOP, STOP, IGNORE, 5])
            said = [IGNORE] * answer if rng.random() < 0.15 else [*said, last]
            document = [IGNORE] * prompt + said
            row += document
            place += [number] * len(document)
            number += 1
        row, place = row[:width], place[:width]
        targets.append(row + [IGNORE] * (width - len(row)))
        segments.append(place + [-1] * (width - len(place)))
    return torch.tensor(targets), torch.tensor(segments), STOP


def share_of_stops(targets: Tensor, segments: Tensor, stop: int) -> float:
    numbers = [number for number in sorted(set(segments.flatten().tolist())) if number >= 0]
    ended = 0
    for number in numbers:
        learned = targets[(segments == number) & (targets != IGNORE)]
        ended += len(learned) > 0 and int(learned[-1]) == stop
    return ended / len(numbers)


ROW = (torch.tensor([[IGNORE, 1, STOP, IGNORE, 2, 2]]), torch.tensor([[0, 0, 0, 1, 1, 1]]), STOP)

learned_stops = Exercise(
    "finetuning.broken_trainers.learned_stops", stars=1, minutes=10, reference=share_of_stops, draw=draw_rows,
    edges=[ROW, (torch.full((1, 4), IGNORE), torch.tensor([[0, 0, -1, -1]]), STOP)],
    section="A fault as a switch",
)  # fmt: skip


def of_documents(targets: Tensor, segments: Tensor) -> list[list[int]]:
    """What is learned of each document, the padding left out."""
    return [
        targets[(segments == number) & (targets != IGNORE)].tolist()
        for number in sorted(set(segments.flatten().tolist()))
        if number >= 0
    ]


learned_stops.mistake(
    "A stop anywhere among the learned targets is counted: it must be the last of them.",
    lambda targets, segments, stop: (
        sum(stop in each for each in of_documents(targets, segments)) / len(of_documents(targets, segments))
    ),
)
learned_stops.mistake(
    "Documents of which nothing is learned are left out: they count as documents without a stop.",
    lambda targets, segments, stop: (
        sum(each[-1] == stop for each in of_documents(targets, segments) if each)
        / sum(bool(each) for each in of_documents(targets, segments))
    ),
)
learned_stops.mistake(
    "The last target of each row is looked at: a row may hold several documents.",
    lambda targets, segments, stop: (
        sum(bool(len(row[row != IGNORE])) and int(row[row != IGNORE][-1]) == stop for row in targets) / len(targets)
    ),
)
learned_stops.mistake(
    "The last place of each document is looked at, also where nothing is learned there.",
    lambda targets, segments, stop: (
        sum(int(targets[segments == n][-1]) == stop for n in sorted(set(segments.flatten().tolist())) if n >= 0)
        / len([n for n in sorted(set(segments.flatten().tolist())) if n >= 0])
    ),
)
learned_stops.mistake(
    "The padding, −1, is counted as a document.",
    lambda targets, segments, stop: (
        sum(bool(each) and each[-1] == stop for each in of_documents(targets, segments))
        / len(sorted(set(segments.flatten().tolist())))
    ),
)
learned_stops.mistake(
    "This is their number: a share of the documents is asked for.",
    lambda targets, segments, stop: (
        1.0 * sum(bool(each) and each[-1] == stop for each in of_documents(targets, segments))
    ),
)
learned_stops.mistake(
    "The share of the learned targets is taken: each document counts once, however long it is.",
    lambda targets, segments, stop: (
        int((targets == stop).sum()) / int((targets != IGNORE).sum()) if (targets != IGNORE).any() else 0.0
    ),
)
learned_stops.mistake(
    "The number of documents is divided by rows.",
    lambda targets, segments, stop: (
        sum(bool(each) and each[-1] == stop for each in of_documents(targets, segments)) / len(targets)
    ),
)
learned_stops.mistake(
    "The share of those without a stop is taken.",
    lambda targets, segments, stop: 1 - share_of_stops(targets, segments, stop),
)
learned_stops.mistake(
    "The first learned target is looked at, and not the last.",
    lambda targets, segments, stop: (
        sum(bool(each) and each[0] == stop for each in of_documents(targets, segments))
        / len(of_documents(targets, segments))
    ),
)
learned_stops.mistake(
    "All stops are counted, several of one document too.",
    lambda targets, segments, stop: int((targets == stop).sum()) / len(of_documents(targets, segments)),
)

# first_ratio: logprobs, old_logprobs, mask -> the largest distance of the ratio from 1


def draw_ratios(rng: random.Random, B: int, T: int = 3) -> tuple[Tensor, Tensor, Tensor]:
    """Log-probabilities that are near each other, farther below than above at times, and −∞ outside of the mask."""
    mask = torch.rand(B, T, generator=torch.Generator().manual_seed(rng.randrange(10**6))) < 0.6
    mask[0, 0] = True
    old = -tensor(rng, B, T).abs()
    new = old + rng.choice([0.02, 0.5]) * tensor(rng, B, T) - rng.choice([0.0, 0.4])
    gone = ~mask & (torch.arange(T) % 2 == 1)
    return new.masked_fill(gone, -torch.inf), old.masked_fill(gone, -torch.inf), mask


def distance(logprobs: Tensor, old_logprobs: Tensor, mask: Tensor) -> float:
    off = torch.expm1(logprobs[mask] - old_logprobs[mask]).abs()
    return float(off.max()) if len(off) else 0.0


first_ratio = Exercise(
    "finetuning.broken_trainers.first_ratio", stars=2, minutes=10, reference=distance, draw=draw_ratios,
    edges=[(torch.zeros(1, 2), torch.zeros(1, 2), torch.zeros(1, 2, dtype=torch.bool))],
    section="Where the real code refuses",
)  # fmt: skip


def chosen(logprobs: Tensor, old: Tensor, mask: Tensor) -> Tensor:
    """log π − log π_old of the tokens of the mask, or one 0 where there is none."""
    return (logprobs[mask] - old[mask]) if bool(mask.any()) else torch.zeros(1)


first_ratio.mistake(
    "Only ratios above 1 are seen: take the size of what they are off before the largest is taken.",
    lambda logprobs, old, mask: float(torch.expm1(chosen(logprobs, old, mask)).max()),
)
first_ratio.mistake(
    "This is the distance of the logarithms from 0: the ratio is their exponential.",
    lambda logprobs, old, mask: float(chosen(logprobs, old, mask).abs().max()),
)
first_ratio.mistake(
    "This is the largest ratio: its distance from 1 is asked for.",
    lambda logprobs, old, mask: float(chosen(logprobs, old, mask).exp().max()),
)
first_ratio.mistake(
    "Old and new have changed places: the ratio is the new probability over the old.",
    lambda logprobs, old, mask: float(torch.expm1(-chosen(logprobs, old, mask)).abs().max()),
)
first_ratio.mistake(
    "The mean over the tokens hides the one that is off: take the largest.",
    lambda logprobs, old, mask: float(torch.expm1(chosen(logprobs, old, mask)).abs().mean()),
)
first_ratio.mistake(
    "The mean of the ratios is held against 1, where those above and below cancel: take each one's distance.",
    lambda logprobs, old, mask: float(torch.expm1(chosen(logprobs, old, mask)).mean().abs()),
)
first_ratio.mistake(
    "Log-probabilities are summed first: this is the ratio of whole answers.",
    lambda logprobs, old, mask: float(
        torch.expm1(
            logprobs.masked_fill(~mask, 0).sum(-1) - old.masked_fill(~mask, 0).sum(-1)
        ).abs().max()
    ),
)  # fmt: skip
first_ratio.mistake(
    "The mask is multiplied with: −∞ less −∞ is no number, and stays none. Choose the tokens first.",
    lambda logprobs, old, mask: float((torch.expm1(logprobs - old).abs() * mask).max()),
)
first_ratio.mistake(
    "The mask is inverted.", lambda logprobs, old, mask: float(torch.expm1(chosen(logprobs, old, ~mask)).abs().max())
)
first_ratio.mistake(
    "Only ratios below 1 are seen.",
    lambda logprobs, old, mask: float((-torch.expm1(chosen(logprobs, old, mask))).max()),
)
first_ratio.mistake(
    "This is the smallest distance: the largest is asked for.",
    lambda logprobs, old, mask: float(torch.expm1(chosen(logprobs, old, mask)).abs().min()),
)
first_ratio.mistake(
    "The difference of the probabilities is taken: the ratio is their quotient.",
    lambda logprobs, old, mask: (
        float((logprobs[mask].exp() - old[mask].exp()).abs().max()) if bool(mask.any()) else 0.0
    ),
)
