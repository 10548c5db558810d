"""What an exercise is: a reference that decides right from wrong, a way to draw inputs, and known mistakes.

    def draw(rng: random.Random, T: int, V: int = 2) -> tuple[Any, ...]:
        return matrix(rng, T, V), ids(rng, T, V)

    loss = Exercise("gradients.loss.cross_entropy", stars=2, minutes=12, reference=cross_entropy, draw=draw)

    @loss.mistake("The sign is wrong: log p is negative, and the loss is −log p.")
    def _(logits: Matrix, targets: Targets) -> float:
        return -cross_entropy(logits, targets)

The arguments of `draw` after `rng` are sizes, and the catalogue chooses them: all different, all equal (so that what
lies on its side still fits), each of them 1, all as small as they go. A size's default is the least that it may be; a
size without one may be 1. A draw without sizes chooses for itself. `edges` are cases, or ways to draw them, that must
be answered too. What is drawn is drawn again until every mistake is told from the reference and from the others.

An exercise `part.slug.name` stands in its part's package, in the module of that slug, and is practised in that chapter.
Its statement, its stub and its hints stand in the chapter alone.
"""

import contextlib
import copy
import inspect
import io
import pkgutil
import random
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from difflib import get_close_matches
from importlib import import_module
from types import NoneType
from typing import Any

from insideout.errors import BadInput
from insideout.exercises.chapters import PARTS, chapter
from insideout.exercises.comparing import difference, is_finite

Arguments = tuple[Any, ...]
N_DRAWS = 8
MOST_DRAWS = 200


@dataclass(frozen=True)
class Mistake:
    """A wrong way to solve the exercise: what to tell whoever took it, and what it computes.

    It may raise, as a naive exponential does: it then fits whatever is wrong in that case.
    """

    diagnosis: str
    function: Callable[..., Any]


@dataclass(frozen=True, eq=False)
class Case:
    """Arguments to try an answer on, and what the exercise's own functions made of them."""

    arguments: Arguments
    sizes: dict[str, int]
    """What the sizes were, by name; empty where the draw has none."""
    drawn: bool = True
    """Drawn by the rule, and not an edge that only decides."""
    known: "dict[Callable[..., Any], Outcome]" = field(default_factory=dict, repr=False)

    def of(self, function: Callable[..., Any]) -> "Outcome":
        """What the reference or a mistake makes of this case; computed once."""
        if function not in self.known:
            self.known[function] = outcome(function, self)
        return self.known[function]


@dataclass(frozen=True)
class Outcome:
    """What a function made of a case: a value, or what it raised."""

    value: Any = None
    error: Exception | None = None
    arguments: Arguments = ()
    """The arguments after the call."""


@dataclass(eq=False)
class Exercise:
    """One exercise and its grader."""

    id: str
    """`part.slug.name`; the part's module of that slug holds it, and its chapter."""
    stars: int = field(kw_only=True)
    """How hard, 1 to 3."""
    minutes: int = field(kw_only=True)
    """How long a reader may expect to need."""
    reference: Callable[..., Any] = field(kw_only=True)
    """A right solution."""
    draw: Callable[..., Arguments] = field(kw_only=True)
    """Fresh random arguments, from `rng` and perhaps sizes."""
    tolerance: float | int = field(default=1e-9, kw_only=True)
    """The largest difference allowed, relative to max(1, |right value|); 0 for what must be exact.

    An answer in float32 may always be off by 1e-5, but for a tolerance of 0. Where float32 inside is a fair way to
    a float64 answer (angles, counts divided), say 1e-5 here.
    """
    edges: Sequence[Arguments | Callable[[random.Random], Arguments]] = field(default=(), kw_only=True)
    """Cases that must be right too: arguments, or ways to draw them."""
    compare: Callable[[Any, Any], str] | None = field(default=None, kw_only=True)
    """compare(given, right): in one sentence how they differ, empty when they do not. For samplers and distributions,
    where `right` is what the reference says and `given` what the answer drew."""
    section: str = field(default="", kw_only=True)
    """The heading in the chapter where this is explained."""
    mistakes: list[Mistake] = field(default_factory=list, kw_only=True)

    def __post_init__(self) -> None:
        self.tolerance = float(self.tolerance)

    def mistake(self, diagnosis: str, function: Callable[..., Any] | None = None) -> Callable[..., Any]:
        """Add a wrong way to solve it: as a decorator, or with the function beside."""

        def add(function: Callable[..., Any]) -> Callable[..., Any]:
            self.mistakes.append(Mistake(diagnosis, function))
            return function

        return add if function is None else add(function)

    @property
    def topic(self) -> str:
        """`part.slug`: the module and the chapter."""
        return self.id.rpartition(".")[0]

    @property
    def rating(self) -> str:
        """The stars as the chapters write them: ★★☆."""
        return "★" * self.stars + "☆" * (3 - self.stars)

    def complaint(self, given: Outcome, right: Outcome) -> str:
        """In one sentence, what is wrong with an outcome; empty when it is right."""
        if given.error is not None:
            return f"Your function raised {type(given.error).__name__}."
        return (self.compare or self.difference)(given.value, right.value)

    def difference(self, given: Any, right: Any) -> str:
        """In one sentence, how two values differ by more than the tolerance; empty when they do not."""
        return difference(given, right, self.tolerance)

    def sizes(self) -> dict[str, int]:
        """The sizes that the draw asks for, each with the least that it may be."""
        asked = list(inspect.signature(self.draw).parameters.values())[1:]
        return {each.name: 1 if each.default is each.empty else each.default for each in asked}

    def edge_cases(self, rng: random.Random) -> Iterator[Case]:
        """What only decides: the edges, each size 1 among different ones, all sizes as small as they go."""
        for edge in self.edges:
            yield Case(edge(rng) if callable(edge) else edge, {}, drawn=False)
        least = self.sizes()
        if least:
            for name in least:
                sizes = all_different(least, rng) | {name: least[name]}
                yield Case(self.draw(rng, **sizes), sizes, drawn=False)
            yield Case(self.draw(rng, **least), least, drawn=False)

    def draws(self, rng: random.Random) -> Iterator[Case]:
        """By the rule, without end: all sizes different, every third time all equal."""
        least = self.sizes()
        n = 0
        while True:
            n += 1
            sizes = dict.fromkeys(least, max((4, *least.values()))) if n % 3 == 0 else all_different(least, rng)
            yield Case(self.draw(rng, **sizes), sizes)

    def cases(self, rng: random.Random) -> list[Case]:
        """The edges, and as many draws as it takes to tell every mistake from the reference and from the others."""
        chosen = list(self.edge_cases(rng))
        untold = {(i, j) for i in range(len(self.mistakes)) for j in (None, *range(i))}
        for n, case in enumerate(self.draws(rng)):
            told = self.told(case, untold)
            if n < N_DRAWS or told:
                chosen.append(case)
            untold -= told
            if (n + 1 >= N_DRAWS and not untold) or n + 1 >= MOST_DRAWS:
                return chosen
        raise AssertionError("draws never end")

    def told(self, case: Case, untold: set[tuple[int, int | None]]) -> set[tuple[int, int | None]]:
        """Of the pairs (mistake, reference or earlier mistake), those that this case tells apart."""
        if not untold:
            return set()
        right = case.of(self.reference)
        found = [case.of(mistake.function) for mistake in self.mistakes]
        return {
            (i, j) for i, j in untold
            if (self.shows(found[i], right) if j is None else not self.fits(found[i], found[j], right))
        }  # fmt: skip

    def shows(self, mistaken: Outcome, right: Outcome) -> bool:
        """Does the mistake show in this case: by another value, or by leaving the numbers?"""
        if mistaken.error is not None:
            return leaves_numbers(mistaken.error)
        return bool(self.difference(mistaken.value, right.value))

    def fits(self, given: Outcome, mistaken: Outcome, right: Outcome) -> bool:
        """May `given` be this mistake's work?

        Where the mistake leaves the numbers (overflow, 0 divided by 0), so must the answer; where it raises otherwise,
        for sizes that do not fit say, the answer need only be wrong.
        """
        if mistaken.error is None:
            return given.error is None and not (self.compare or self.difference)(given.value, mistaken.value)
        if leaves_numbers(mistaken.error):
            lost = leaves_numbers(given.error) if given.error is not None else not is_finite(given.value)
            return lost and bool(self.complaint(given, right))
        return bool(self.complaint(given, right))


def outcome(function: Callable[..., Any], case: Case, quiet: bool = True) -> Outcome:
    """What a function makes of a case, on a copy of its arguments; what it prints is dropped when quiet."""
    arguments = tuple(map(copied, case.arguments))
    with contextlib.redirect_stdout(io.StringIO()) if quiet else contextlib.nullcontext():
        try:
            return Outcome(function(*arguments), arguments=arguments)
        except Exception as error:
            return Outcome(error=error, arguments=arguments)


def copied(x: Any) -> Any:
    """A copy of all that a call could change; `copy.deepcopy` alone takes long for many rows of numbers."""
    if type(x) is list:
        return x[:] if set(map(type, x)) <= {float, int, NoneType} else [copied(each) for each in x]
    if type(x) is dict:
        return {name: copied(each) for name, each in x.items()}
    return x if type(x) in (float, int, str) else copy.deepcopy(x)


def leaves_numbers(error: Exception) -> bool:
    """Overflow, division by 0, the logarithm of nothing."""
    return isinstance(error, ArithmeticError) or any(part in str(error) for part in ("math domain", "expected a "))


def all_different(least: dict[str, int], rng: random.Random) -> dict[str, int]:
    """A number of 2 or more for each size, no two the same, none below its least."""
    highest = max(least.values(), default=0) + len(least) + 2
    while True:
        sizes = dict(zip(least, rng.sample(range(2, highest + 1), len(least)), strict=True))
        if all(sizes[name] >= least[name] for name in least):
            return sizes


def topics() -> list[str]:
    """The modules that hold exercises, `part.slug`, in the book's order; by slug where the book is not at hand."""
    package = import_module("insideout.exercises")
    parts = [info.name for info in pkgutil.iter_modules(package.__path__) if info.ispkg]
    found = [
        f"{part}.{info.name}"
        for part in parts
        for info in pkgutil.iter_modules(import_module(f"insideout.exercises.{part}").__path__)
    ]
    order = list(PARTS)
    return sorted(found, key=lambda topic: (order.index(topic.partition(".")[0]), chapter(topic).number or 0, topic))


def exercises_of(topic: str) -> list[Exercise]:
    """A module's exercises, as they stand there; none where it needs something that a bare Python does not have."""
    try:
        module = import_module(f"insideout.exercises.{topic}")
    except ModuleNotFoundError as error:
        if error.name and error.name.startswith("insideout"):
            raise
        return []
    return [each for each in vars(module).values() if isinstance(each, Exercise) and each.topic == topic]


def all_exercises() -> list[Exercise]:
    """Every exercise of the book, by topic."""
    return [each for topic in topics() for each in exercises_of(topic)]


def find(id: str) -> Exercise:
    """The exercise of that id; imports its module alone. Raises BadInput, naming the nearest, when there is none."""
    topic = id.rpartition(".")[0] if isinstance(id, str) else ""
    if topic in topics():
        for each in exercises_of(topic):
            if each.id == id:
                return each
    known = [each.id for each in all_exercises()]
    near = get_close_matches(str(id), known, n=1)
    advice = f"did you mean '{near[0]}'?" if near else "`insideout check` lists them."
    raise BadInput(f"There is no exercise '{id}': {advice}")
