"""A batch: documents laid out in rows, with what is to be learned from them carried beside.

    document = [Segment(prompt, learn=False), Segment(answer, learn=True)]
    padded(documents, pad_id)                    a document a row
    packed(documents, pad_id, row_length)        several a row, that neither see each other nor share positions
    laid_out(rows, documents, pad_id)            each where one wants it

A document is built from segments, and each says whether it is learned. So nothing is ever searched for among token ids,
where a marker may look different beside other text, and padding may look like a stop (the mask that is all zero, or
never teaches to stop). The shift by one is made here, once:

    position t reads ids[t] and says targets[t], the token after it

and all else, log-probabilities and rewards too, stands at the position that says the token it belongs to.
Used from part 2 on. Shapes: B rows, T positions, D documents.
"""

import math
import operator
from collections.abc import Sequence
from dataclasses import dataclass, fields, replace
from typing import Any, Literal

import torch
from jaxtyping import Bool, Float, Int, Shaped
from torch import Tensor

from insideout.data.packing import best_fit
from insideout.errors import BadInput

IGNORE = -100
"""A target that is not learned: padding, what is only read, and what would follow a document's last token."""


MOST = 2**31
"""No vocabulary has so many tokens, and no row."""
ROUNDING = 1e-5
"""By how much a log-probability may lie above 0."""


@dataclass(frozen=True)
class Segment:
    """Tokens from one hand: a prompt, an answer, a tool's reply."""

    ids: Sequence[int]
    learn: bool | float
    """Is the model to learn to say this? A number between 0 and 1 is the weight of each of these tokens in the loss."""
    logprobs: Sequence[float] | None = None
    """Of what a model drew: each token's log-probability, in nats, in the distribution that it was drawn from."""
    rewards: Sequence[float] | None = None
    """Of what a model drew: what each token earned."""


Document = Sequence[Segment]


@dataclass(frozen=True, eq=False)
class Batch:
    """Documents in rows. Made by `padded` and `packed`."""

    ids: Int[Tensor, "B T"]
    targets: Int[Tensor, "B T"]
    """The token after each, or IGNORE."""
    segments: Int[Tensor, "B T"]
    """Which document a token is of, 0 to D - 1 in the order they were given; -1 in padding."""
    positions: Int[Tensor, "B T"]
    """Where it stands in that document."""
    rows: Int[Tensor, " D"]
    """Where each document lies: its row, the column of its first token,"""
    starts: Int[Tensor, " D"]
    lengths: Int[Tensor, " D"]
    """and how many tokens it has."""
    weights: Float[Tensor, "B T"] | None = None
    """Of each target in the loss; None where all count alike."""
    logprobs: Float[Tensor, "B T"] | None = None
    """Of what was drawn, when it was drawn; 0 elsewhere."""
    rewards: Float[Tensor, "B T"] | None = None
    """Of what was drawn; 0 elsewhere."""
    finished: Bool[Tensor, " D"] | None = None
    """Did each document end by itself? False: it was cut off, and its last token is no stop."""
    plain: bool = False
    """Every row is one document that begins at column 0: plain causal attention reads it right, and fastest."""

    @property
    def mask(self) -> Bool[Tensor, "B T"]:
        """Which positions say something that is learned."""
        return self.targets != IGNORE

    @property
    def n_targets(self) -> int:
        """How many there are."""
        return int(self.mask.sum())

    @property
    def reading(self) -> dict[str, Tensor]:
        """What a model must be told, beside the ids: `model(batch.ids, **batch.reading)`."""
        return {} if self.plain else {"segments": self.segments}

    def at_ends(self, x: Shaped[Tensor, "B T *rest"]) -> Shaped[Tensor, " D *rest"]:
        """x where each document's last token was read: a score of it is the same for any padding and any packing."""
        return x[self.rows, self.starts + self.lengths - 1]

    def sums(self, x: Float[Tensor, "B T"]) -> Float[Tensor, " D"]:
        """Σ of x over the learned positions of each document."""
        total = torch.zeros(len(self.rows), dtype=x.dtype, device=x.device)
        return total.index_add(0, self.segments[self.mask], x[self.mask])

    def take(self, rows: Sequence[int]) -> "Batch":
        """These rows and their documents, in this order, for minibatches. Raises BadInput for one that is not there."""
        try:
            rows = [range(len(self.ids))[operator.index(row)] for row in rows]
        except (TypeError, IndexError):
            raise BadInput(f"These are not rows of a batch that has {len(self.ids)}: {list(rows)!r}.") from None
        if not rows:
            raise BadInput("No row was chosen to be taken.")
        of_row: dict[int, list[int]] = {}
        for number, row in enumerate(self.rows.tolist()):
            of_row.setdefault(row, []).append(number)
        moved = [(new, number) for new, row in enumerate(rows) for number in of_row[int(row)]]
        kept = torch.tensor([number for _, number in moved], device=self.ids.device)
        at = torch.tensor([int(row) for row in rows], device=self.ids.device)
        segments = torch.full_like(self.segments[at], -1)
        for number, (new, old) in enumerate(moved):
            segments[new][self.segments[at[new]] == old] = number
        per_position = ("ids", "targets", "positions", "weights", "logprobs", "rewards")
        held: dict[str, Any] = {name: getattr(self, name) for name in per_position}
        held = {name: None if x is None else x[at] for name, x in held.items()}
        return replace(
            self, **held, segments=segments,
            rows=torch.tensor([new for new, _ in moved], device=self.ids.device), starts=self.starts[kept],
            lengths=self.lengths[kept], finished=None if self.finished is None else self.finished[kept],
        )  # fmt: skip

    def to(self, device: torch.device | str) -> "Batch":
        """The same on another device."""
        held: dict[str, Any] = {field.name: getattr(self, field.name) for field in fields(self)}
        moved: dict[str, Any] = {name: x.to(device) for name, x in held.items() if isinstance(x, Tensor)}
        return replace(self, **moved)


def padded(
    documents: Sequence[Document],
    pad_id: int | None,
    *,
    side: Literal["left", "right"] = "right",
    read_only: bool = False,
    finished: Sequence[bool] | None = None,
) -> Batch:
    """A document a row, filled up with `pad_id` to the longest.

    The pad token is its own: it may occur in no document, unless a model drew it. As padding it is never a target, and
    no document sees it. None is enough where all are equally long. Raises BadInput for a document without a token to
    learn from, unless all are `read_only`, and for one that cannot be used.
    """
    return laid_out([[i] for i in range(len(documents))], documents, pad_id, None, side, read_only, finished)


def packed(
    documents: Sequence[Document],
    pad_id: int | None,
    row_length: int,
    *,
    read_only: bool = False,
    finished: Sequence[bool] | None = None,
) -> Batch:
    """Several documents a row, in as few rows as `best_fit` finds. Raises BadInput as `padded` does."""
    if not is_whole(row_length) or not 0 < row_length < MOST:
        raise BadInput(f"row_length is {row_length!r}; it must be a number of tokens.")
    rows = best_fit([length_of(document) for document in documents], row_length)
    return laid_out(rows, documents, pad_id, row_length, "right", read_only, finished)


def laid_out(
    rows: Sequence[Sequence[int]],
    documents: Sequence[Document],
    pad_id: int | None,
    row_length: int | None = None,
    side: Literal["left", "right"] = "right",
    read_only: bool = False,
    finished: Sequence[bool] | None = None,
) -> Batch:
    """The batch whose rows hold the documents of these numbers, each exactly once. For whoever packs in another way."""
    if not documents:
        raise BadInput("There are no documents to make a batch of.")
    if side not in ("left", "right"):
        raise BadInput(f"side is {side!r}; rows are filled up on the left or on the right.")
    if pad_id is not None and (not is_whole(pad_id) or not 0 <= pad_id < MOST):
        raise BadInput(f"pad_id is {pad_id!r}; it must be the id of a token.")
    if sorted(number for row in rows for number in row) != list(range(len(documents))):
        raise BadInput("Each document must lie in exactly one row.")
    if finished is not None and len(finished) != len(documents):
        raise BadInput(f"{len(finished)} flags say whether {len(documents)} documents finished: give one to each.")
    for number, document in enumerate(documents):
        check_document(number, document, pad_id, read_only)
    is_drawn = [any(segment.logprobs is not None for segment in document) for document in documents]
    if len(set(is_drawn)) > 1:
        raise BadInput(f"Document {is_drawn.index(False)} has no logprobs, but others have: make two batches.")
    columns = [columns_of(document) for document in documents]
    lengths = [len(column["ids"]) for column in columns]
    full = [sum(lengths[number] for number in row) for row in rows]
    width = max(full) if row_length is None else row_length
    if max(full) > width:
        which = rows[full.index(max(full))]
        raise BadInput(f"Document {which[0]} has {max(full)} tokens and a row has room for {width}: shorten it.")
    if min(full) < width and pad_id is None:
        raise BadInput("Rows of different lengths must be filled up: give the id of a pad token.")

    fill: dict[str, Any] = {"ids": pad_id or 0, "targets": IGNORE, "segments": -1, "positions": 0}
    fill |= {"weights": 0.0, "logprobs": 0.0, "rewards": 0.0}
    held = {name: torch.full((len(rows), width), value) for name, value in fill.items()}
    place = torch.zeros(len(documents), 2, dtype=torch.long)
    for row, numbers in enumerate(rows):
        at = width - full[row] if side == "left" else 0
        for number in numbers:
            here = slice(at, at + lengths[number])
            held["segments"][row, here] = number
            for name, column in columns[number].items():
                held[name][row, here] = column
            place[number] = torch.tensor([row, at])
            at += lengths[number]
    segments = [segment for document in documents for segment in document]
    unused = set() if any(0 < segment.learn < 1 for segment in segments) else {"weights"}
    unused |= {name for name in ("logprobs", "rewards") if all(getattr(s, name) is None for s in segments)}
    return Batch(
        **{name: column for name, column in held.items() if name not in unused},
        rows=place[:, 0], starts=place[:, 1], lengths=torch.tensor(lengths),
        finished=None if finished is None else torch.tensor([bool(each) for each in finished]),
        plain=len(rows) == len(documents) and int(place[:, 1].max()) == 0,
    )  # fmt: skip


def length_of(document: Document) -> int:
    """How many tokens a document has."""
    return sum(len(segment.ids) for segment in document)


def token_id(value: Any) -> int:
    """An id as an int. Raises TypeError for what is no whole number."""
    if isinstance(value, bool):
        raise TypeError
    return operator.index(value)


def is_whole(value: Any) -> bool:
    """Is it one whole number?"""
    try:
        return token_id(value) is not None
    except TypeError:
        return False


def is_number(value: Any) -> bool:
    """Is it one finite number?"""
    try:
        return not isinstance(value, str | bytes) and math.isfinite(value)
    except (TypeError, ValueError, OverflowError):
        return False


def columns_of(document: Document) -> dict[str, Tensor]:
    """A document's numbers, (T,) each: what is said of token t + 1 stands at position t, which says it."""
    ids = torch.tensor([int(id) for segment in document for id in segment.ids])
    weights = torch.tensor([float(segment.learn) for segment in document for _ in segment.ids])
    columns = {"weights": weights}
    for name in ("logprobs", "rewards"):
        each = [(segment.ids, getattr(segment, name)) for segment in document]
        parts = [[0.0] * len(ids) if numbers is None else numbers for ids, numbers in each]
        columns[name] = torch.tensor([float(x) for part in parts for x in part])
    columns = {name: torch.cat([x[1:], x.new_zeros(1)]) for name, x in columns.items()}  # nothing follows the last
    following = torch.cat([ids[1:], ids.new_zeros(1)])
    targets = following.where(columns["weights"] > 0, IGNORE)
    return columns | {"ids": ids, "targets": targets, "positions": torch.arange(len(ids))}


def check_document(number: int, document: Document, pad_id: int | None, read_only: bool) -> None:
    """Raises BadInput for a document that has no tokens, holds the pad token, teaches nothing, or does not fit."""
    where = f"Document {number}"
    try:
        ids = [token_id(id) for segment in document for id in segment.ids]
    except (TypeError, AttributeError):
        raise BadInput(f"{where} is no list of segments whose ids are whole numbers.") from None
    if not ids:
        raise BadInput(f"{where} has no tokens: leave it out.")
    for extreme in (min(ids), max(ids)):
        if not 0 <= extreme < MOST:
            raise BadInput(f"{where} holds {extreme}, which is no token's id.")
    given = [id for segment in document if segment.logprobs is None for id in segment.ids]
    if pad_id is not None and pad_id in given:  # a policy may draw it: then it is learned like any other
        raise BadInput(f"{where} holds the pad token {pad_id}: padding needs a token of its own, not the stop token.")
    for segment in document:
        if not isinstance(segment.learn, int | float) or not 0 <= segment.learn <= 1:
            raise BadInput(f"{where} has a segment of weight {segment.learn!r}; it must lie between 0 and 1.")
        for name in ("logprobs", "rewards"):
            numbers = getattr(segment, name)
            if numbers is not None and len(numbers) != len(segment.ids):
                raise BadInput(f"{where} has {len(numbers)} {name} for {len(segment.ids)} tokens: give one to each.")
        if segment.rewards is not None and not all(is_number(x) for x in segment.rewards):
            raise BadInput(f"{where} has a reward that is no finite number.")
    drawn = [segment for segment in document if segment.logprobs is not None]
    for segment in document if drawn else ():
        if segment.learn and segment.logprobs is None:
            raise BadInput(
                f"{where} was drawn, but a segment to learn from has no logprobs: keep what it was drawn by."
            )
        if segment.logprobs is not None and not all(is_number(x) and x < ROUNDING for x in segment.logprobs):
            raise BadInput(f"{where} has a log-probability that is not a number of 0 or less.")
    if any(document[0] is segment for segment in drawn):
        raise BadInput(
            f"{where} begins with what was drawn: it needs a prompt, if only a token that begins every text."
        )
    learned = [segment.learn > 0 for segment in document for _ in segment.ids][1:]  # nothing says the first token
    if not read_only and not any(learned):
        raise BadInput(f"{where} has no token to learn from: mark a segment by learn=True, or leave the document out.")
