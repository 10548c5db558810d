"""Exercises on documents in rows: packing by best fit, the document mask, one loss from ragged parts.

Practised in book/3-fine-tuning-a-transformer/03_loss_masks_and_packing.md; the modules are insideout/data/packing.py
and insideout/data/batch.py. Shapes: B rows, T positions.
"""

import random
from collections.abc import Callable, Sequence

import torch
from torch import Tensor

from insideout.exercises.catalogue import Exercise
from insideout.exercises.drawing import tensor

Rows = list[list[int]]
Parts = list[tuple[Tensor, Tensor]]

# pack: lengths, row_length -> rows


def draw_lengths(rng: random.Random) -> tuple[list[int], int]:
    """Nine to twelve documents, some of them equally long."""
    row_length = rng.randint(10, 16)
    return [rng.randint(1, row_length - rng.choice((0, 4, 7))) for _ in range(rng.randint(9, 12))], row_length


def by_rule(
    lengths: Sequence[int],
    row_length: int,
    order: Callable[[int], float] | None = None,
    choose: Callable[[Sequence[int], Sequence[int]], int] | None = None,
    strict: bool = False,
) -> Rows:
    """The documents in the order of a key, each into a row chosen of those that have room; by default, best fit."""
    rows: Rows = []
    room: list[int] = []
    for number in sorted(range(len(lengths)), key=order or (lambda number: -lengths[number])):
        fitting = [row for row in range(len(rows)) if room[row] - strict >= lengths[number]]
        row = len(rows) if not fitting else min(fitting, key=lambda row: room[row])
        if fitting and choose is not None:
            row = choose(fitting, room)
        if row == len(rows):
            rows.append([])
            room.append(row_length)
        rows[row].append(number)
        room[row] -= lengths[number]
    return rows


def next_fit(lengths: Sequence[int], row_length: int) -> Rows:
    rows: Rows = [[]]
    room = row_length
    for number in sorted(range(len(lengths)), key=lambda number: -lengths[number]):
        if lengths[number] > room:
            rows.append([])
            room = row_length
        rows[-1].append(number)
        room -= lengths[number]
    return rows


pack = Exercise(
    "finetuning.loss_masks_and_packing.pack", stars=2, minutes=15, reference=by_rule, draw=draw_lengths, tolerance=0,
    edges=[([5, 2, 6, 3], 8), ([4, 4, 4, 4], 8), ([3, 7, 3, 7, 3], 10)], section="Best fit",
)  # fmt: skip
pack.mistake(
    "The documents come in their own order: the longest comes first.",
    lambda lengths, row_length: by_rule(lengths, row_length, order=lambda number: 0),
)
pack.mistake(
    "This is first fit: of the rows with room, take the fullest one.",
    lambda lengths, row_length: by_rule(lengths, row_length, choose=lambda fitting, room: fitting[0]),
)
pack.mistake(
    "This is first fit, in the documents' own order: the longest first, and into the fullest row that has room.",
    lambda lengths, row_length: by_rule(
        lengths, row_length, order=lambda number: 0, choose=lambda fitting, room: fitting[0]
    ),
)
pack.mistake(
    "The document goes to the emptiest row that has room: take the fullest one.",
    lambda lengths, row_length: by_rule(
        lengths, row_length, choose=lambda fitting, room: max(fitting, key=lambda row: room[row])
    ),
)
pack.mistake(
    "The shortest document comes first: the longest has the fewest places to go, so it is put away first.",
    lambda lengths, row_length: by_rule(lengths, row_length, order=lambda number: lengths[number]),
)
pack.mistake(
    "A row that a document would just fill counts as too small: room equal to the length is enough.",
    lambda lengths, row_length: by_rule(lengths, row_length, strict=True),
)
pack.mistake("Only the row begun last is looked at: earlier rows may have room too.", next_fit)
pack.mistake(
    "Of equally full rows the last one is taken: take the first.",
    lambda lengths, row_length: by_rule(
        lengths, row_length, choose=lambda fitting, room: min(fitting, key=lambda row: (room[row], -row))
    ),
)
pack.mistake(
    "Of equally long documents the later one comes first: keep their order.",
    lambda lengths, row_length: by_rule(lengths, row_length, order=lambda number: 1000 * -lengths[number] - number),
)
pack.mistake(
    "These are the documents' lengths: give their numbers.",
    lambda lengths, row_length: [[lengths[number] for number in row] for row in by_rule(lengths, row_length)],
)
pack.mistake(
    "Each document has a row of its own: nothing is packed.",
    lambda lengths, row_length: [[number] for number in range(len(lengths))],
)

# mask: segments -> who may read whom


def draw_segments(rng: random.Random, B: int, T: int = 4) -> tuple[Tensor]:
    """Rows of some documents, (B, T), most with padding at the end."""
    rows, number = [], 0
    for _ in range(B):
        row: list[int] = []
        padding = rng.randint(0, 2)
        while len(row) < T - padding:
            row += [number] * rng.randint(1, 3)
            number += 1
        rows.append(row[: T - padding] + [-1] * min(padding, T))
    return (torch.tensor(rows),)


def document_mask(segments: Tensor) -> Tensor:
    same = segments[:, :, None] == segments[:, None, :]
    return same.tril() & (segments >= 0)[:, :, None]


mask = Exercise(
    "finetuning.loss_masks_and_packing.mask", stars=2, minutes=10, reference=document_mask, draw=draw_segments,
    tolerance=0, edges=[(torch.tensor([[0, 0, 1, 1, -1, -1]]),)], section="Who may read whom",
)  # fmt: skip
mask.mistake(
    "This is the causal mask alone: a token reads the documents before its own.",
    lambda segments: torch.ones(len(segments), segments.shape[1], segments.shape[1], dtype=torch.bool).tril(),
)
mask.mistake(
    "A token reads all of its document, what comes later too: keep what is not later.",
    lambda segments: (segments[:, :, None] == segments[:, None, :]) & (segments >= 0)[:, :, None],
)
mask.mistake(
    "Padding reads padding: both have the number −1, and neither is a document.",
    lambda segments: (segments[:, :, None] == segments[:, None, :]).tril(),
)
mask.mistake("The mask is turned: i reads j, and i is the row.", lambda segments: document_mask(segments).mT)
mask.mistake("The mask is inverted: True is what may be read.", lambda segments: ~document_mask(segments))
mask.mistake(
    "A token may not read itself: j ≤ i, not j < i.",
    lambda segments: document_mask(segments) & ~torch.eye(segments.shape[1], dtype=torch.bool),
)
mask.mistake(
    "Earlier documents may be read: only the same one may.",
    lambda segments: (
        (segments[:, :, None] >= segments[:, None, :]).tril()
        & (segments >= 0)[:, :, None] & (segments >= 0)[:, None, :]
    ),
)  # fmt: skip
mask.mistake(
    "Neighbours of another document are read: compare each position with each, not with the one before.",
    lambda segments: (
        (segments[:, :, None] - segments[:, None, :]).abs().le(1).tril() & (segments >= 0)[:, :, None]
    ),
)  # fmt: skip
mask.mistake(
    "The rows of the batch are compared with each other: (B, T, T), one mask a row.",
    lambda segments: document_mask(segments)[0],
)

# accumulate: parts -> the loss of the one large batch


def draw_parts(rng: random.Random) -> tuple[Parts]:
    """Three or four parts of other sizes, each with something to learn."""
    parts = []
    for _ in range(rng.randint(3, 4)):
        B, T = rng.randint(1, 3), rng.randint(2, 6)
        learned = torch.tensor([[rng.random() < rng.choice((0.2, 0.8)) for _ in range(T)] for _ in range(B)])
        learned[0, -1] = True
        parts.append((tensor(rng, B, T).abs(), learned))
    return (parts,)


def loss_of(parts: Parts) -> Tensor:
    return torch.cat([losses[learned] for losses, learned in parts]).mean()


accumulate = Exercise(
    "finetuning.loss_masks_and_packing.accumulate", stars=1, minutes=8, reference=loss_of, draw=draw_parts,
    tolerance=1e-6,
    edges=[([(torch.ones(1, 4, dtype=torch.float64), torch.tensor([[True, False, False, False]])),
             (torch.full((2, 3), 2.0, dtype=torch.float64), torch.ones(2, 3, dtype=torch.bool))],)],
    section="Accumulation with ragged counts",
)  # fmt: skip
accumulate.mistake(
    "This is the mean of the parts' means: a token in a part with few answers counts more. Sum, count, divide once.",
    lambda parts: torch.stack([losses[learned].mean() for losses, learned in parts]).mean(),
)
accumulate.mistake(
    "The means of the parts are added up: sum the losses, sum the counts, and divide once.",
    lambda parts: torch.stack([losses[learned].mean() for losses, learned in parts]).sum(),
)
accumulate.mistake(
    "The mask is not used: what is only read does not count.",
    lambda parts: torch.cat([losses.flatten() for losses, _ in parts]).mean(),
)
accumulate.mistake(
    "The sum is right and is divided by all positions: only the learned ones count.",
    lambda parts: (
        torch.cat([losses[learned] for losses, learned in parts]).sum() / sum(losses.numel() for losses, _ in parts)
    ),
)
accumulate.mistake(
    "The sum is divided by the number of parts: divide by how many tokens are learned.",
    lambda parts: torch.cat([losses[learned] for losses, learned in parts]).sum() / len(parts),
)
accumulate.mistake(
    "The sum is divided by the number of rows: divide by how many tokens are learned.",
    lambda parts: (
        torch.cat([losses[learned] for losses, learned in parts]).sum() / sum(len(losses) for losses, _ in parts)
    ),
)
accumulate.mistake(
    "This is the sum: divide it by how many tokens are learned.",
    lambda parts: torch.cat([losses[learned] for losses, learned in parts]).sum(),
)
accumulate.mistake(
    "This is the mean over the rows' means: each token counts once.",
    lambda parts: torch.stack([
        losses[row][learned[row]].mean()
        for losses, learned in parts for row in range(len(losses)) if bool(learned[row].any())
    ]).mean(),
)  # fmt: skip
accumulate.mistake("Only the last part counts: it is overwritten in the loop.", lambda parts: loss_of(parts[-1:]))
accumulate.mistake("Only the first part counts: add the others.", lambda parts: loss_of(parts[:1]))
accumulate.mistake(
    "The mask is inverted: True is what is learned.",
    lambda parts: loss_of([(losses, ~learned) for losses, learned in parts]),
)
