"""What any set of questions offers, and who answers them.

    questions = suite.draw("test", 500, seed=0)              the same 500, on every machine, stored nowhere
    [[answer]] = writer.write([question.prompt], 1, seed=0, max_new_tokens=24)
    suite.judge(question, answer.text)["correct"]            a verdict has named parts

Training, development and test share no question: which of them a question is in follows from the question itself, not
from when it was drawn. What is chosen, a checkpoint or a temperature, is chosen on development questions; what is
reported, on test. One suite serves training, rewards and the scoreboard. Used from part 2 on. Standard library only.
"""

import hashlib
import math
import random
from abc import ABC, abstractmethod
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal, NamedTuple, Protocol, get_args

from insideout.checks import whole
from insideout.errors import BadInput

Split = Literal["train", "development", "test"]
SPLITS: tuple[Split, ...] = get_args(Split)


class Message(NamedTuple):
    """A turn of a conversation."""

    role: str
    content: str


Prompt = str | tuple[Message, ...]
"""A text to be continued, or a conversation to be answered: never one in the other's place."""


@dataclass(frozen=True)
class Question:
    """What is asked, and the truth that answers are judged by."""

    prompt: Prompt
    truth: Any = None
    kind: str = ""
    """What sort of question it is, for scores by kind."""
    family: str = ""
    """Questions of one family lie in one split: a template, a world, a source. Default: each is alone."""


Part = bool | float | None


@dataclass(frozen=True)
class Verdict:
    """What a judge says of an answer: True or False, a number where there are degrees, None where it does not apply.

    A verdict as a whole is neither true nor false: ask for a part, `verdict["correct"]`. So an answer that could not
    be read is never taken for a right one.
    """

    parts: Mapping[str, Part]

    def __post_init__(self) -> None:
        if not self.parts:
            raise BadInput("A verdict needs at least one part.")
        for name, value in self.parts.items():
            if not (value is None or (isinstance(value, bool | int | float) and math.isfinite(value))):
                raise BadInput(f"The verdict's part {name} is {value!r}: it must be True, False, a number or None.")

    def __getitem__(self, part: str) -> Part:
        return self.parts[part]

    def __bool__(self) -> bool:
        raise TypeError(f"A verdict is neither true nor false: ask for one of its parts, {', '.join(self.parts)}.")


TRIES = 100_000
"""After so many a question of a split is taken for one that there is not."""


def tries(name: str, split: str) -> Iterator[int]:
    """Counts what is tried to find one question of a split. Raises BadInput after so many that there can be none."""
    yield from range(TRIES)
    raise BadInput(
        f"{name} has no {split} question, as far as {TRIES:,} tries can tell: allow larger numbers, or more kinds."
    )


class Suite(ABC):
    """A set of questions. To make one: give a name, its verdict's parts, `propose` (or `stream`) and `judge`."""

    name: str
    parts: tuple[str, ...]
    """What its verdicts tell, the one that matters most first."""
    max_new_tokens: int = 64
    """Enough for any right answer."""
    shares: Mapping[Split, float] = {"train": 0.8, "development": 0.1, "test": 0.1}
    """Of the families of questions."""

    def propose(self, random: random.Random) -> Question:
        """Any question, of any split."""
        raise NotImplementedError(f"{type(self).__name__} gives neither propose nor stream")

    @abstractmethod
    def judge(self, question: Question, answer: str) -> Verdict:
        """What is right about an answer. Nothing that was written is ever run."""

    def split_of(self, question: Question) -> Split:
        """Where a question belongs: by a hash of its family."""
        family = question.family or repr(question.prompt)
        digest = hashlib.sha256(f"{self.name}\0{family}".encode()).digest()
        point = int.from_bytes(digest[:8], "big") / 2**64
        for split in SPLITS:
            point -= self.shares[split]
            if point < 0:
                return split
        return "train"

    def stream(self, split: Split, seed: int = 0) -> Iterator[Question]:
        """Questions of a split without end; one may come twice."""
        source = random.Random(f"{self.name} {split} {seed}")
        while True:
            for _ in tries(self.name, split):
                question = self.propose(source)
                if self.split_of(question) == split:
                    break
            yield question

    def draw(self, split: Split, n: int, seed: int = 0) -> list[Question]:
        """The first n of the stream, without repetitions. Raises BadInput where there are not so many."""
        if split not in SPLITS or whole("n", n, 0) < 1:
            raise BadInput(f"{n} questions of {split!r}: give at least 1, of {', '.join(SPLITS)}.")
        found: dict[Prompt, Question] = {}
        repeated = 0
        for question in self.stream(split, seed):
            repeated = repeated + 1 if question.prompt in found else 0
            found.setdefault(question.prompt, question)
            if len(found) == n:
                return list(found.values())
            if repeated > 1000 + 10 * len(found):
                break
        raise BadInput(f"{self.name} has no more than about {len(found)} {split} questions: ask for fewer than {n}.")


@dataclass(frozen=True)
class Answer:
    """What was written after a prompt."""

    text: str
    ids: tuple[int, ...]
    """Its tokens as they were drawn, with the one that ended it: never the text read again."""
    finished: bool | None
    """Did it end by itself? False: it was cut off. None: the writer knows no way to end."""
    logprobs: tuple[float, ...] | None = None
    """Of each token, in nats, in the distribution that it was drawn from."""


class Writer(Protocol):
    """Whoever answers: a model of ours, one of another library, a server."""

    def write(self, prompts: Sequence[Prompt], n: int, seed: int, max_new_tokens: int) -> list[list[Answer]]:
        """n answers to each prompt. The same seed gives the same answers, whatever the other prompts."""
        ...
