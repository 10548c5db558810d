r"""A beam over the steps of a chain: whoever judges steps decides, after each, which beginnings are gone on with.

    found = step_beam(writer, prm.marks, prompts, width=2, each=4, seed=0, max_new_tokens=44)
    found[0].answer.text, found[0].written, found[0].read

From each of `width` beginnings `each` next steps are drawn; all are judged, and the best `width` different ones kept.
A beginning is worth the product of its steps' probabilities. So a wrong step is left where it is made, and costs one
step instead of a whole answer. What was drawn and left is counted: `written` are all tokens drawn, `read` what the
judge read of them, each token once, as when it keeps what it has read.

A step ends with a line end, or with the answer's end. Which tokens hold a line end is asked of the vocabulary.
Taught in book/4-reasoning-with-transformers/12_accuracy_against_tokens.md.
Sources: Lightman et al. 2023 (a score is the product of its steps'); Snell et al. 2024 (beam search against a process
reward model); Yao et al. 2023 (breadth first, a few kept).
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

from insideout.checks import whole
from insideout.data.suite import Answer, Prompt
from insideout.errors import BadInput
from insideout.reasoning.opening import go_on
from insideout.reasoning.thinking import ThinkingWriter
from insideout.reasoning.verifiers import aggregate
from insideout.transformer.generation.rollout import row_seeds

__all__ = ["Beamed", "Judge", "step_beam"]

Judge = Callable[[Sequence[Prompt], Sequence[str], Sequence[bool]], list[list[float]]]
"""Questions, what was answered so far, whether it has ended -> a probability for each step, and one for the last token;
as `VerifierRun.marks` of a process model."""


@dataclass(frozen=True)
class Beamed:
    """The answer that came out, and what it cost."""

    answer: Answer
    score: float
    """The product of its steps' probabilities."""
    written: int
    """Tokens that were drawn, those of beginnings that were left included."""
    read: int
    """Tokens that the judge read: the question once, and all that was written."""


@dataclass
class Kept:
    """A beginning, or a whole answer."""

    ids: tuple[int, ...] = ()
    logprobs: tuple[float, ...] = ()
    ended: bool = False
    """Whether it ended by itself."""
    full: bool = False
    """Whether it has as many tokens as it may."""
    score: float = 1.0


@dataclass
class Search:
    """One question."""

    prompt: Prompt
    asked: list[int]
    kept: list[Kept] = field(default_factory=lambda: [Kept()])
    written: int = 0

    @property
    def open(self) -> list[Kept]:
        """What can be gone on with."""
        return [one for one in self.kept if not one.ended and not one.full]


def step_beam(
    writer: ThinkingWriter, judge: Judge, prompts: Sequence[Prompt], width: int, each: int, seed: int,
    max_new_tokens: int,
) -> list[Beamed]:  # fmt: skip
    """One answer to each prompt: the best that was kept. What one is given depends on all prompts of the call.

    Raises BadInput for a width or a number of steps below 1, temperature 0, and prompts that leave no room.
    """
    width, each, limit = whole("width", width, 1), whole("each", each, 1), whole("max_new_tokens", max_new_tokens, 1)
    if writer.temperature == 0 and each > 1:
        raise BadInput(f"At temperature 0 {each} steps drawn from one beginning are the same: choose one above 0.")
    searches = [Search(prompt, writer.ids_of(prompt)) for prompt in prompts]
    room = writer.model.config.context_length - max((len(one.asked) for one in searches), default=0)
    if room < 1:
        raise BadInput("A question leaves no room for an answer: the context must hold more tokens.")
    limit, turn = min(limit, room), 0
    ends, breaks = stops(writer)
    while going := [(one, begun) for one in searches for begun in one.open]:
        texts = [one.asked + list(begun.ids) for one, begun in going]
        left = max(limit - len(begun.ids) for _, begun in going)
        drawn = go_on(writer, texts, left, (*ends, *breaks), row_seeds(seed + turn, each * len(texts)), each)
        for one in searches:
            one.kept = [begun for begun in one.kept if begun.ended or begun.full]
        for row, (ids, logprobs, _) in enumerate(drawn):
            one, begun = going[row // each]
            ids, logprobs = ids[: limit - len(begun.ids)], logprobs[: limit - len(begun.ids)]
            one.written += len(ids)
            both = (*begun.ids, *ids)
            one.kept.append(Kept(both, (*begun.logprobs, *logprobs), both[-1] in ends, len(both) >= limit))
        score(writer, judge, searches, ends)
        for one in searches:
            different = {kept.ids: kept for kept in one.kept}
            one.kept = sorted(different.values(), key=lambda kept: -kept.score)[:width]
        turn += 1
    return [told(writer, one) for one in searches]


def stops(writer: ThinkingWriter) -> tuple[set[int], set[int]]:
    """The tokens that end an answer, and those that hold a line end."""
    given = writer.stop if isinstance(writer.stop, tuple) else (writer.stop,)
    ends = {token for token in given if token is not None}
    size = writer.tokenizer.vocab_size
    return ends, {token for token in range(size) if "\n" in writer.tokenizer.decode([token])} - ends


def score(writer: ThinkingWriter, judge: Judge, searches: Sequence[Search], ends: set[int]) -> None:
    """Give every beginning its score; what is written twice is judged once."""
    rows = {(one.prompt, text_of(writer, kept, ends), kept.ended): 0.0 for one in searches for kept in one.kept}
    known = [row for row in rows if row[1]]
    marks = judge(*map(list, zip(*known, strict=True))) if known else []
    for row, given in zip(known, marks, strict=True):
        rows[row] = aggregate(given if row[2] or len(given) == 1 else given[:-1])  # of an end that has not come: not
    for one in searches:
        for kept in one.kept:
            kept.score = rows[one.prompt, text_of(writer, kept, ends), kept.ended]


def text_of(writer: ThinkingWriter, kept: Kept, ends: set[int]) -> str:
    """What was written so far, without the end."""
    return writer.tokenizer.decode([token for token in kept.ids if token not in ends])


def told(writer: ThinkingWriter, one: Search) -> Beamed:
    """The best of one question's answers; one that ended before one that did not."""
    best = max(one.kept, key=lambda kept: (kept.ended, kept.score))
    ids = best.ids[:-1] if best.ended else best.ids
    answer = Answer(writer.tokenizer.decode(list(ids)), best.ids, best.ended, best.logprobs)
    return Beamed(answer, best.score, one.written, len(one.asked) + one.written)
