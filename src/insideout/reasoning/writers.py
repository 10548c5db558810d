"""Whoever answers, through one interface, with what it costs.

    writer = Counted(GPTWriter(model, tokenizer))         a model of ours
    writer = Counted(HubWriter(model, tokenizer))         a pretrained one, ours or of `transformers`   hub_writer.py
    writer = ServerWriter(url, "its name")                an OpenAI-compatible server                   server_writer.py
    writer.write(prompts, n, seed, max_new_tokens)        [[Answer, ...], ...]
    writer.usage                                          tokens in and out, calls, tries that failed

A method of reasoning takes a `Metered` writer and nothing else, so that each runs on every one of these, and its tokens
are counted where they are spent: those of branches that failed and of verifiers too.
Taught in book/4-reasoning-with-transformers/13_other_models.md.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Protocol, runtime_checkable

from insideout.data.suite import Answer, Prompt, Writer

__all__ = ["Counted", "Metered", "Usage"]


@dataclass
class Usage:
    """What was spent. One is added to another in its place, and may be taken from a later one."""

    calls: int = 0
    """Prompts that were read. Several answers to one prompt need one reading, or, from a server, one each."""
    answers: int = 0
    tokens_in: int = 0
    """That were read."""
    tokens_out: int = 0
    """That were written, those that end an answer included."""
    failed: int = 0
    """Tries of a server that came to nothing; each was made again."""

    def __iadd__(self, other: "Usage") -> "Usage":
        for name, number in vars(other).items():
            setattr(self, name, getattr(self, name) + number)
        return self

    def __sub__(self, other: "Usage") -> "Usage":
        return Usage(**{name: number - getattr(other, name) for name, number in vars(self).items()})

    def copy(self) -> "Usage":
        """As it is now: taken from a later one, what was spent in between."""
        return Usage(**vars(self))


@runtime_checkable
class Metered(Protocol):
    """A writer that counts."""

    usage: Usage

    def write(self, prompts: Sequence[Prompt], n: int, seed: int, max_new_tokens: int) -> list[list[Answer]]:
        """n answers to each prompt."""
        ...


@runtime_checkable
class Local(Writer, Protocol):
    """A writer that knows the tokens of a prompt."""

    def ids_of(self, prompt: Prompt) -> list[int]:
        """The tokens that the model is given."""
        ...


@dataclass
class Counted:
    """A writer on this machine, counted. Each prompt is read once for all its answers, as our writers do."""

    writer: Local
    usage: Usage = field(default_factory=Usage)

    def write(self, prompts: Sequence[Prompt], n: int, seed: int, max_new_tokens: int) -> list[list[Answer]]:
        """The writer's answers."""
        written = self.writer.write(prompts, n, seed, max_new_tokens)
        self.usage += Usage(
            calls=len(prompts),
            answers=sum(len(answers) for answers in written),
            tokens_in=sum(len(self.writer.ids_of(prompt)) for prompt in prompts),
            tokens_out=sum(len(answer.ids) for answers in written for answer in answers),
        )
        return written
