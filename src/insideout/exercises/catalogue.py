"""What an exercise is: a reference that decides right from wrong, and a catalogue of known mistakes.

An exercise `topic.name` stands in `insideout/exercises/topic.py`, in that module's list `exercises`.
Used by every chapter's "Practise" section.
"""

import pkgutil
import random
from collections.abc import Callable
from dataclasses import dataclass, field
from difflib import get_close_matches
from importlib import import_module
from typing import Any

from insideout.errors import BadInput


@dataclass(frozen=True)
class Mistake:
    """A wrong way to solve the exercise: what to tell whoever took it, and what it computes."""

    diagnosis: str
    function: Callable[..., Any]


@dataclass(frozen=True)
class Exercise:
    """One exercise and its grader."""

    id: str
    """`topic.name`; the topic is the module that holds it."""
    difficulty: int
    """1 to 3 stars."""
    minutes: int
    """How long a reader may expect to need."""
    reference: Callable[..., Any]
    """A right solution."""
    draw: Callable[[random.Random], tuple[Any, ...]]
    """Fresh random arguments, such that every catalogued mistake changes the answer."""
    tolerance: float
    """The largest difference allowed, relative to max(1, |right value|)."""
    hints: list[str] = field(default_factory=list)
    mistakes: list[Mistake] = field(default_factory=list)

    @property
    def stars(self) -> str:
        """The difficulty as the chapters write it: ★★☆."""
        return "★" * self.difficulty + "☆" * (3 - self.difficulty)


def topics() -> list[str]:
    """The modules that hold exercises, `part.slug`, in the book's order of parts."""
    package = import_module("insideout.exercises")
    parts = [info.name for info in pkgutil.iter_modules(package.__path__) if info.ispkg]
    return [
        f"{part}.{info.name}"
        for part in sorted(parts)
        for info in pkgutil.iter_modules(import_module(f"insideout.exercises.{part}").__path__)
    ]


def exercises_of(topic: str) -> list[Exercise]:
    """A module's exercises; none where it needs something, torch perhaps, that a bare Python does not have."""
    try:
        module = import_module(f"insideout.exercises.{topic}")
    except ModuleNotFoundError as error:
        if error.name and error.name.startswith("insideout"):
            raise
        return []
    found: list[Exercise] = getattr(module, "exercises", [])
    return found


def all_exercises() -> list[Exercise]:
    """Every exercise of the book, by topic."""
    return [each for topic in topics() for each in exercises_of(topic)]


def find(id: str) -> Exercise:
    """The exercise of that id. Raises BadInput, naming the nearest, when there is none."""
    known = {each.id: each for each in all_exercises()}
    if id not in known:
        near = get_close_matches(id, known, n=1)
        advice = f"did you mean '{near[0]}'?" if near else f"there are: {', '.join(known)}."
        raise BadInput(f"There is no exercise '{id}': {advice}")
    return known[id]
