"""What a chapter says about its exercises: their titles, statements, stubs and hints stand there and nowhere else.

    chapter("gradients.loss")                 its number, title and headings
    practice("gradients.loss.pairs")          title, statement, stub, hints

Where the book is not beside the package, a chapter is known by its slug alone, and there is nothing to show.
"""

import re
from dataclasses import dataclass
from functools import cache
from pathlib import Path

BOOK = Path(__file__).parents[3] / "book"
PARTS = {
    "gradients": "Understanding gradients",
    "transformer": "Building a transformer",
    "finetuning": "Fine-tuning a transformer",
    "reasoning": "Reasoning",
    "images": "Images",
}
"""The packages of the parts in the book's order, with the parts' titles."""


@dataclass(frozen=True)
class Practice:
    """An exercise as its chapter gives it."""

    title: str
    statement: str
    stub: str
    hints: tuple[str, ...]


@dataclass(frozen=True)
class Chapter:
    """A chapter: `number` and `path` are None, and `headings` empty, where the book is not at hand."""

    title: str
    number: int | None = None
    path: Path | None = None
    headings: tuple[str, ...] = ()
    practices: tuple[tuple[str, Practice], ...] = ()

    @property
    def name(self) -> str:
        """How a sentence calls it."""
        return f"“{self.title}”" if self.number is None else f"chapter {self.number:02}, “{self.title}”"


@cache
def chapter(topic: str) -> Chapter:
    """The chapter of `part.slug`."""
    part, _, slug = topic.partition(".")
    number = list(PARTS).index(part) + 1 if part in PARTS else 0
    for path in sorted(BOOK.glob(f"{number}-*/[0-9][0-9]_{slug}.md")):
        try:
            text = path.read_text(encoding="utf-8")
        except (OSError, ValueError):
            break
        outside_cells = re.sub(r"^```.*?^```", "", text, flags=re.MULTILINE | re.DOTALL)
        headings = re.findall(r"^#{1,4} +(.+?) *$", outside_cells, re.MULTILINE)
        return Chapter(headings[0], int(path.name[:2]), path, tuple(headings[1:]), tuple(practices(text)))
    return Chapter(slug.replace("_", " ").capitalize())


def practice(id: str) -> Practice | None:
    """The exercise as its chapter gives it; None where the book is not at hand."""
    return dict(chapter(id.rpartition(".")[0]).practices).get(id)


EXERCISE = re.compile(r"^:{3,}\{exercise\} *(.*?)\n:label: *(\S+)\n(.*?)^:{3,} *$", re.MULTILINE | re.DOTALL)
STUB = re.compile(r"^```\{code-cell\}[^\n]*\n:tags: \[exercise\]\n(.*?)^```", re.MULTILINE | re.DOTALL)
HINT = re.compile(r"^:{3,}\{dropdown\} *Hint.*?\n(.*?)^:{3,} *$", re.MULTILINE | re.DOTALL)


def practices(text: str) -> list[tuple[str, Practice]]:
    """The exercises of a chapter's text, by id."""
    found = list(EXERCISE.finditer(text))
    ends = [*(each.start() for each in found[1:]), len(text)]
    result = []
    for each, end in zip(found, ends, strict=True):
        title, id, statement = each.groups()
        rest = text[each.end() : end]
        stub = STUB.search(rest)
        hints = tuple(hint.strip() for hint in HINT.findall(rest.partition("{solution}")[0]))
        result.append((id, Practice(title.strip(), statement.strip(), stub[1].strip() if stub else "", hints)))
    return result
