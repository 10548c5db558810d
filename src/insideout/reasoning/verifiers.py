r"""Verifiers: models that read a worked answer and say how likely it is right, as a whole or step by step.

    outcome   one mark, at the answer's end            was it right?              ORM
    process   a mark at each step's end, and there     is it right up to here?    PRM

    trace = traced(chat, prompt, response)             tokens, and where each step ends, counted while they are made
    batch = marked([trace], [[True, True, False, None]], pad_id)
    scores(model, [trace], pad_id)                     [[0.98, 0.95, 0.03, 0.02]]

The two differ only in where they are asked. A `Verifier` is the writer's own network. What it says at a mark is

    log-odds = a · log p(the piece that ends there) + head(the state there)

its own probability of the piece, and an opinion. Once a step has been read, the network's last layers are busy with
what comes next, and what it had expected is gone: so it is told. While it learns to judge, it may go on learning to
write what is right (Cobbe et al. 2021, §4.2, train both at once), so that its probability knows more than the writer's.

Where a step ends is never searched for among token ids, where a line end may be part of another token: a response is
cut into pieces as text, each is made into ids by itself, and its last place is known.
Taught in book/4-reasoning-with-transformers/04_process_reward_models.md. Used in part 4.
Sources: Cobbe et al. 2021, §4 (outcome); Uesato et al. 2022; Lightman et al. 2023, §2 (process). Shapes: B rows, T
positions, S marks.
"""

import copy
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from math import fsum, isfinite, prod
from typing import Literal, NamedTuple, get_args

import torch
from jaxtyping import Float, Int
from torch import Tensor, nn
from torch.nn import functional as F

from insideout.data.batch import Batch, Document, Segment, length_of, padded
from insideout.data.problems.steps import END_THINK, THINK, pieces
from insideout.data.suite import Prompt
from insideout.errors import BadInput
from insideout.finetuning.messages import check_messages
from insideout.reasoning.thinking import ThinkingFormat
from insideout.training.metrics import Metric
from insideout.training.objective import Objective
from insideout.transformer.config import GPTConfig
from insideout.transformer.model import GPT

__all__ = [
    "HOW", "How", "LengthOnly", "Marked", "Traced", "Verifier", "aggregate", "marked", "masked", "own_probabilities",
    "scores", "traced", "verifier_objective",
]  # fmt: skip

How = Literal["min", "product", "last", "mean"]
HOW: tuple[How, ...] = get_args(How)
Label = bool | float | None
FIRST = 0.1
"""Deviation of the first opinions, for states of mean square 1."""

METRICS = (
    Metric("accuracy", "marks told right from wrong", unit="%", section="Accuracy", better="higher"),
    Metric("said_right", "mean probability said", section="Probabilities", live=False,
           words="Beside the share of marks that are right: a verifier that says it always has learned nothing."),
    Metric("are_right", "share that is right", section="Probabilities", live=False),
)  # fmt: skip


class Traced(NamedTuple):
    """A question and an answer as tokens, and where a verifier is asked."""

    document: Document
    marks: tuple[int, ...]
    """Places in the document, counted from its first token: the last token of each step, and the last of all."""

    @property
    def pieces(self) -> list[tuple[int, int]]:
        """(the place before it, its last place) of what ends at each mark, from the mark before on."""
        return list(zip((len(self.document[0].ids) - 1, *self.marks[:-1]), self.marks, strict=True))

    @property
    def at_end(self) -> "Traced":
        """Asked once, at the end: what an outcome model reads."""
        return Traced(self.document, self.marks[-1:])


def traced(chat: ThinkingFormat, prompt: Prompt, response: str, finished: bool = True) -> Traced:
    """An answer, made into ids piece by piece. An answer that did not finish has no stop.

    Raises BadInput for a prompt that is no conversation, and for an answer without a token.
    """
    document: list[Segment] = [Segment(chat.prompt(check_messages(prompt, answered=False)), learn=False)]
    place, marks = length_of(document), list[int]()
    for piece in pieces(response):
        ids = chat.tokenizer.encode(piece.text, special=(THINK, END_THINK))
        document.append(Segment(ids, learn=False))
        place += len(ids)
        if piece.is_step:
            marks.append(place - 1)
    if finished:
        document.append(Segment([chat.stop_id], learn=False))
        place += 1
    if place == length_of(document[:1]):
        raise BadInput("The answer has no token, so that there is nothing to judge: leave it out.")
    return Traced(document, (*marks, place - 1))


def masked(labels: Sequence[bool | None]) -> list[bool | None]:
    """What comes after the first error has no label: from there on there is no right and wrong to be learned."""
    found: list[bool | None] = []
    for label in labels:
        found.append(label if all(each is True for each in found) else None)
    return found


@dataclass(frozen=True, eq=False)
class Marked:
    """A batch, and the places at which its verifier is asked."""

    batch: Batch
    rows: Int[Tensor, " S"]
    columns: Int[Tensor, " S"]
    begins: Int[Tensor, " S"]
    """The column before each piece: the mark before, or the question's last token."""
    labels: Float[Tensor, " S"]
    """1 right, 0 wrong; between them, a share of rollouts that came out right."""

    def to(self, device: torch.device | str) -> "Marked":
        """The same on another device."""
        moved = {name: getattr(self, name).to(device) for name in ("batch", "rows", "columns", "begins", "labels")}
        return replace(self, **moved)


def marked(traces: Sequence[Traced], labels: Sequence[Sequence[Label]], pad_id: int) -> Marked:
    """Answers with a label for each mark; one labelled None is not asked.

    Raises BadInput unless there is exactly one label to each mark, from 0 to 1, and one at least that is no None.
    """
    if len(traces) != len(labels):
        raise BadInput(f"{len(traces)} answers and {len(labels)} lists of labels: give one to each.")
    where, found = list[tuple[int, int, int]](), list[float]()
    for number, (trace, given) in enumerate(zip(traces, labels, strict=True)):
        if len(given) != len(trace.marks):
            raise BadInput(
                f"Answer {number} has {len(trace.marks)} marks and {len(given)} labels: give one to each step, and one "
                "to the end, so that none is paired with another's."
            )
        for (begin, mark), label in zip(trace.pieces, given, strict=True):
            if label is None:
                continue
            if not 0 <= float(label) <= 1:
                raise BadInput(f"Answer {number} has a label {label!r}: a label is 0, 1, or between them.")
            where.append((number, begin, mark))
            found.append(float(label))
    if not found:
        raise BadInput("Not one mark of these answers has a label: there is nothing to learn.")
    batch = padded([trace.document for trace in traces], pad_id, read_only=True)
    numbers, begins, marks = torch.tensor(where).unbind(1)
    starts = batch.starts[numbers]
    return Marked(batch, batch.rows[numbers], starts + marks, starts + begins, torch.tensor(found))


class Verifier(nn.Module):
    """A GPT that judges what it reads. Its opinion is the logit of a token that it never writes: the pad."""

    def __init__(self, gpt: GPT, pad_id: int, own: bool = True) -> None:
        """Takes a GPT as it is. Without `own` it is not told its own probability. `of` makes one of a writer."""
        super().__init__()
        self.gpt, self.pad_id = gpt, pad_id
        self.trust = nn.Parameter(torch.full((1,), float(own)), requires_grad=own)
        self.offset = nn.Parameter(torch.full((1,), 2.0 if own else 0.0))

    @classmethod
    def of(cls, gpt: GPT, pad_id: int, seed: int = 0, own: bool = True) -> "Verifier":
        """A copy of a writer, with a small new row for its opinion, drawn from the seed. The writer stays as it is."""
        trunk, width = copy.deepcopy(gpt), gpt.config.d_model
        new = torch.randn(width, generator=torch.Generator().manual_seed(seed)) * FIRST / width**0.5
        with torch.no_grad():
            trunk.head.weight[pad_id] = new.to(trunk.head.weight)
        return cls(trunk.requires_grad_(True), pad_id, own)

    @property
    def config(self) -> GPTConfig:
        """The network's sizes."""
        return self.gpt.config

    @property
    def n_parameters(self) -> int:
        """How many numbers it learns."""
        return self.gpt.n_parameters + 1 + self.trust.requires_grad

    def forward(
        self, ids: Int[Tensor, "B T"], segments: Int[Tensor, "B T"] | None = None
    ) -> tuple[Float[Tensor, "B T"], Float[Tensor, "B T"], Float[Tensor, "B T"]]:
        """Its opinion at every position; log p of the token there, given those before; the same times its trust."""
        logits = self.gpt(ids, segments=segments).float()  # (B, T, V)
        opinion = logits[..., self.pad_id] + self.offset
        words = logits.index_fill(-1, torch.tensor([self.pad_id], device=ids.device), float("-inf")).log_softmax(-1)
        own = words[:, :-1].gather(-1, ids[:, 1:, None])[..., 0]  # (B, T - 1)
        own = F.pad(own.masked_fill(ids[:, 1:] == self.pad_id, 0.0), (1, 0))
        return opinion, own, own * self.trust


def since(x: Float[Tensor, "B T"], asked: Marked) -> Float[Tensor, " S"]:
    """Σ of x over the tokens of the piece that ends at each mark."""
    total = x.cumsum(1)
    return total[asked.rows, asked.columns] - total[asked.rows, asked.begins]


def verifier_objective(words: float = 0.0) -> Objective:
    """Binary cross-entropy of each mark. Who knows nothing but how many are right pays the entropy of that share.

    `words`: how much each token of a right piece weighs beside it, as something to be written.
    """

    def loss(model: nn.Module, asked: Marked) -> tuple[Tensor, int, dict[str, float]]:
        opinion, own, trusted = model(asked.batch.ids, **asked.batch.reading)
        logits = opinion[asked.rows, asked.columns] + since(trusted, asked)
        total = F.binary_cross_entropy_with_logits(logits, asked.labels, reduction="sum")
        if words:
            total = total - words * (since(own, asked) * (asked.labels == 1)).sum()
        told = (logits.detach() > 0) == (asked.labels > 0.5)
        found = {"accuracy": told.sum(), "said_right": logits.detach().sigmoid().sum(), "are_right": asked.labels.sum()}
        return total, len(logits), {name: float(value) for name, value in found.items()}

    return Objective(loss, METRICS, counted="marks")


class LengthOnly:
    """A verifier that cannot read: it knows how long a question is, and how long the answer up to the mark.

    Beside every verifier that can read, for answers that fail are often longer, or shorter, than those that do not.
    """

    def __init__(self, traces: Sequence[Traced], labels: Sequence[Sequence[Label]]) -> None:
        """What share of the marks at such places was right, of answers with labels."""
        self.seen: dict[tuple[int, int], list[float]] = {}
        for trace, given in zip(traces, labels, strict=True):
            for place, label in zip(places(trace), given, strict=True):
                if label is not None:
                    self.seen.setdefault(place, []).append(float(label))
        known = [label for each in self.seen.values() for label in each]
        self.share = fsum(known) / len(known) if known else 0.5

    def scores(self, traces: Sequence[Traced]) -> list[list[float]]:
        """As the function `scores` gives them. A share of few is drawn towards that of all."""

        def of(place: tuple[int, int]) -> float:
            seen = self.seen.get(place, [])
            return (fsum(seen) + self.share) / (len(seen) + 1)

        return [[of(place) for place in places(trace)] for trace in traces]


def places(trace: Traced) -> list[tuple[int, int]]:
    """(tokens of the question, tokens up to there) of each mark."""
    asked = len(trace.document[0].ids)
    return [(asked, mark) for mark in trace.marks]


def scores(model: Verifier, traces: Sequence[Traced], pad_id: int, at_once: int = 128) -> list[list[float]]:
    """How likely each mark of each answer is right, from 0 to 1, dropout off. Raises BadInput for one that is too long.

    The same alone as in any batch, whatever is padded.
    """

    def told(asked: Marked) -> Tensor:
        opinion, _, trusted = model(asked.batch.ids, **asked.batch.reading)
        return (opinion[asked.rows, asked.columns] + since(trusted, asked)).double().sigmoid()

    return at_marks(model, model.config, told, traces, pad_id, at_once)


def own_probabilities(gpt: GPT, traces: Sequence[Traced], pad_id: int, at_once: int = 128) -> list[list[float]]:
    """How likely a writer would have written the piece that ends at each mark. Raises BadInput as `scores` does."""
    reader = Verifier(gpt, pad_id)

    def told(asked: Marked) -> Tensor:
        return since(reader(asked.batch.ids, **asked.batch.reading)[1], asked).double().exp().clamp(max=1.0)

    return at_marks(reader, gpt.config, told, traces, pad_id, at_once)


@torch.no_grad()
def at_marks(
    model: nn.Module, config: GPTConfig, told: Callable[[Marked], Tensor], traces: Sequence[Traced], pad_id: int,
    at_once: int,
) -> list[list[float]]:  # fmt: skip
    """A number for each mark of each answer, read a few answers at a time."""
    longest = max((length_of(trace.document) for trace in traces), default=0)
    if longest > config.context_length:
        raise BadInput(
            f"An answer has {longest} tokens with its question, and the verifier's context holds "
            f"{config.context_length}: leave it out."
        )
    training, found, device = model.training, list[list[float]](), next(model.parameters()).device
    model.eval()
    try:
        for first in range(0, len(traces), at_once):
            some = traces[first : first + at_once]
            asked = marked(some, [[0.0] * len(trace.marks) for trace in some], pad_id).to(device)
            each = iter(told(asked).tolist())
            found += [[next(each) for _ in trace.marks] for trace in some]
    finally:
        model.train(training)
    return found


def aggregate(probabilities: Sequence[float], how: How = "product") -> float:
    """One score for an answer, of its steps' probabilities.

    min: as good as its worst step. product: as if steps failed independently. last: what is said at the end, when all
    has been read. mean: how good its steps are on average, which a long answer can raise.
    Raises BadInput for no probability, one out of [0, 1], and for another `how`. Source: Lightman et al. 2023, app. F.
    """
    if how not in HOW:
        raise BadInput(f"Step scores are put together by {', '.join(HOW)}, and not by {how!r}.")
    if not probabilities or not all(isfinite(each) and 0 <= each <= 1 for each in probabilities):
        raise BadInput(f"The probabilities of steps are {list(probabilities)}: give at least one, each from 0 to 1.")
    ways: dict[How, Callable[[Sequence[float]], float]] = {
        "min": min, "product": prod, "last": lambda each: each[-1], "mean": lambda each: fsum(each) / len(each),
    }  # fmt: skip
    return ways[how](probabilities)
