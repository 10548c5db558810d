"""Captions of scenes: what they can say, how they are read, and how they become ids.

    parse("a small red circle above a blue square")
        Caption(Thing("red", "circle", "small"), "above", Thing("blue", "square"))
    parse("two green triangles")                          Caption(Thing("green", "triangle"), count=2)
    str(caption)                                          the words again

What is left unsaid may be either way: "a red circle" is small or large. An unknown word is refused, with the nearest
one that is known. Standard library only. Used in part 5, by the chapters on words and pictures.
"""

import difflib
import hashlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import NamedTuple

from insideout.data.suite import SPLITS, Split
from insideout.errors import BadInput

__all__ = ["COLOURS", "COUNTS", "LONGEST", "PAD_ID", "RELATIONS", "SHAPES", "SIZES", "VOCABULARY", "Caption", "Thing"]

SHAPES = ("circle", "square", "triangle")
COLOURS = ("red", "green", "blue", "yellow")
SIZES = ("small", "large")
COUNTS = {"a": 1, "two": 2}
RELATIONS = ("above", "below", "left of", "right of")
OPPOSITE = {"above": "below", "below": "above", "left of": "right of", "right of": "left of"}

PAD_ID = 0
VOCABULARY = (
    "<pad>", *COUNTS, *SIZES, *COLOURS, *SHAPES, *(f"{shape}s" for shape in SHAPES), "above", "below", "left", "right",
    "of",
)  # fmt: skip
"""Every word, by its id."""
LONGEST = 10
"""Words of the longest caption: a small red circle left of a large blue square."""
SHARES: dict[Split, float] = {"train": 0.75, "development": 0.1, "test": 0.15}
"""Of the combinations."""


class Thing(NamedTuple):
    """What is said of an object."""

    colour: str
    shape: str
    size: str = ""
    """Empty where it is left open."""

    def __str__(self) -> str:
        return " ".join(word for word in (self.size, self.colour, self.shape) if word)


@dataclass(frozen=True)
class Caption:
    """What a picture has to show: one thing, several alike, or two in a relation."""

    thing: Thing
    relation: str = ""
    other: Thing | None = None
    count: int = 1

    def __post_init__(self) -> None:
        things = [self.thing] if self.other is None else [self.thing, self.other]
        known = all(each.colour in COLOURS and each.shape in SHAPES and each.size in ("", *SIZES) for each in things)
        alone = self.other is None and not self.relation and self.count in COUNTS.values()
        related = self.other is not None and self.relation in RELATIONS and self.count == 1
        if not known or not (alone or related):
            raise BadInput(
                f"No caption says {self.count} {self.thing} {self.relation} {self.other or ''}: give one thing, two "
                f"alike, or two in a relation. {_known()}"
            )

    def __str__(self) -> str:
        if self.count > 1:
            return f"{next(word for word, n in COUNTS.items() if n == self.count)} {self.thing}s"
        words = f"a {self.thing}"
        return words if self.other is None else f"{words} {self.relation} a {self.other}"

    @property
    def combination(self) -> str:
        """What is combined, sizes apart, and the same however it is put: A above B is B below A."""
        first = f"{self.thing.colour} {self.thing.shape}"
        if self.other is None:
            return f"{self.count} {first}"
        second = f"{self.other.colour} {self.other.shape}"
        if self.relation in ("below", "right of"):
            return f"{second} {OPPOSITE[self.relation]} {first}"
        return f"{first} {self.relation} {second}"

    @property
    def split(self) -> Split:
        """Where it belongs, by a hash of its combination: what is tested was never seen put together."""
        digest = hashlib.sha256(f"scenes\0{self.combination}".encode()).digest()
        point = int.from_bytes(digest[:8], "big") / 2**64
        for split in SPLITS:
            point -= SHARES[split]
            if point < 0:
                return split
        return "train"

    @property
    def kind(self) -> str:
        """one, several or two: for scores by kind."""
        return "two" if self.other is not None else "several" if self.count > 1 else "one"


def parse(text: str) -> Caption:
    """The caption in a text. Raises BadInput for an unknown word, naming the nearest known, and for another order."""
    words = text.lower().replace(",", " ").rstrip(". \n").split()
    for word in words:
        if word not in VOCABULARY[1:]:
            near = difflib.get_close_matches(word, VOCABULARY[1:], n=1, cutoff=0.0)
            raise BadInput(f"{word!r} is not a word of the captions; the nearest is {near[0]!r}. {_known()}")
    waiting = list(words)
    try:
        count = COUNTS[waiting.pop(0)]
        thing = _thing(waiting, plural=count > 1)
        if not waiting:
            return Caption(thing, count=count)
        relation = waiting.pop(0)
        if relation in ("left", "right"):
            relation += " " + waiting.pop(0)
        if count > 1 or relation not in RELATIONS or waiting.pop(0) != "a":
            raise ValueError
        other = _thing(waiting, plural=False)
        if waiting:
            raise ValueError
        return Caption(thing, relation, other)
    except (IndexError, KeyError, ValueError):
        raise BadInput(
            f"The caption {text!r} is put together otherwise than they are: write such as 'a small red circle', 'two "
            "blue squares' or 'a red circle above a large blue square'."
        ) from None


def _thing(waiting: list[str], plural: bool) -> Thing:
    """The thing that the next words name, which are taken away. Raises ValueError for other words."""
    size = waiting.pop(0) if waiting[0] in SIZES else ""
    colour, shape = waiting.pop(0), waiting.pop(0)
    if plural != shape.endswith("s") or colour not in COLOURS or shape.removesuffix("s") not in SHAPES:
        raise ValueError
    return Thing(colour, shape.removesuffix("s"), size)


def _known() -> str:
    return f"Colours are {', '.join(COLOURS)}; shapes {', '.join(SHAPES)}; relations {', '.join(RELATIONS)}."


def encode(captions: Sequence[str | Caption]) -> list[list[int]]:
    """Ids of each caption's words, filled up with PAD_ID to LONGEST. Raises BadInput for what `parse` does not read.

    An empty text is the caption that says nothing: pads alone.
    """
    rows = []
    for caption in captions:
        words = str(parse(caption) if isinstance(caption, str) and caption.strip() else caption).split()
        ids = [VOCABULARY.index(word) for word in words]
        rows.append(ids + [PAD_ID] * (LONGEST - len(ids)))
    return rows


def every_combination() -> Iterator[Caption]:
    """One caption of every combination, none of them with a size."""
    things = [Thing(colour, shape) for colour in COLOURS for shape in SHAPES]
    for thing in things:
        for count in COUNTS.values():
            yield Caption(thing, count=count)
        for relation in ("above", "left of"):
            for other in things:
                if other != thing:
                    yield Caption(thing, relation, other)
