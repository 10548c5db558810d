"""Grade an answer: fresh random inputs, then shape, kind of number and values, then a diagnosis.

    verdict = grade("transformer.attention.pattern", my_function)      looks, and says nothing
    check("transformer.attention.pattern", my_function)                also shows the verdict and keeps the progress

An answer is right when it agrees with the reference on every draw. When it agrees with a catalogued mistake
on every draw instead, the verdict says which. Used by every chapter's "Practise" section. Standard library only:
tensors are read as the nested lists of numbers that they are.
"""

import copy
import html
import math
import random
import sys
from dataclasses import dataclass
from typing import Any

from insideout.exercises.catalogue import Exercise, find
from insideout.exercises.progress import keep

N_DRAWS = 3


@dataclass(frozen=True)
class Verdict:
    """What the grader found: `outcome` is "right", "wrong" or "not yet"; `message` says it in words."""

    id: str
    outcome: str
    message: str

    @property
    def passed(self) -> bool:
        return self.outcome == "right"

    def __bool__(self) -> bool:
        return self.passed

    def __str__(self) -> str:
        mark = {"right": "✓", "wrong": "✗", "not yet": "○"}[self.outcome]
        return f"{mark} {self.id}: {self.message}"

    def as_html(self) -> str:
        """A bar beside the words, in the page's own text colour, so that it reads in light and dark."""
        colour = {"right": "#009E73", "wrong": "#D55E00", "not yet": "#56B4E9"}[self.outcome]
        return f'<div style="border-left: 4px solid {colour}; padding: 0.3em 0.8em">{html.escape(str(self))}</div>'

    def _ipython_display_(self) -> None:
        """Nothing: `check` has already shown it."""


def check(id: str, answer: Any, seed: int | None = None) -> Verdict:
    """Grade the answer, show the verdict in the terminal or the notebook, and note it in the reader's progress."""
    verdict = grade(id, answer, seed)
    if sys.modules.get("ipykernel") and "IPython" in sys.modules:
        from IPython.display import display

        bundle = {"text/plain": str(verdict), "text/html": verdict.as_html()}
        display(bundle, raw=True)  # type: ignore[no-untyped-call]
    else:
        print(verdict)
    if verdict.outcome != "not yet":
        try:
            keep(id, verdict.passed)
        except OSError as error:
            print(f"(Your progress could not be written: {error.strerror}.)", file=sys.stderr)
    return verdict


def grade(id: str | Exercise, answer: Any, seed: int | None = None) -> Verdict:
    """The verdict on an answer. Never raises for what the answer does; BadInput for an unknown id."""
    exercise = find(id) if isinstance(id, str) else id
    seed = random.SystemRandom().randrange(2**31) if seed is None else seed

    def verdict(outcome: str, message: str) -> Verdict:
        return Verdict(exercise.id, outcome, message)

    if not callable(answer):
        return verdict("wrong", f"The answer must be a function, and this is a {type(answer).__name__}.")
    rng = random.Random(seed)
    draws = [exercise.draw(rng) for _ in range(N_DRAWS)]
    answers = []
    for arguments in draws:
        try:
            answers.append(answer(*copy.deepcopy(arguments)))
        except NotImplementedError:
            return verdict("not yet", "Not yet. Replace `raise NotImplementedError` with your answer and run again.")
        except Exception as error:
            first_line = (str(error).strip().splitlines() or ["no message"])[0].rstrip(".")
            return verdict("wrong", f"Your function raised {type(error).__name__}: {first_line}.")
    complaints = [
        difference(given, exercise.reference(*copy.deepcopy(arguments)), exercise.tolerance)
        for given, arguments in zip(answers, draws, strict=True)
    ]
    if not any(complaints):
        return verdict("right", f"Right, on {N_DRAWS} fresh inputs.")
    for mistake in exercise.mistakes:
        expected = (mistake.function(*copy.deepcopy(arguments)) for arguments in draws)
        if all(not difference(a, e, exercise.tolerance) for a, e in zip(answers, expected, strict=True)):
            return verdict("wrong", mistake.diagnosis)
    return verdict("wrong", next(filter(None, complaints)))


def difference(given: Any, right: Any, tolerance: float) -> str:
    """In one sentence, how `given` differs from `right`; empty when it does not."""
    if given is None:
        return "Your function returned nothing: is a `return` missing?"
    if isinstance(right, tuple):
        if not isinstance(given, tuple | list) or len(given) != len(right):
            return f"Wrong form: {len(right)} results are expected, as a tuple."
        parts = [difference(g, r, tolerance) for g, r in zip(given, right, strict=True)]
        return next((f"Result {i + 1}: {part}" for i, part in enumerate(parts) if part), "")
    if isinstance(right, dict):
        if not isinstance(given, dict):
            return f"Wrong form: a dict with {len(right)} names is expected, and this is a {type(given).__name__}."
        if given.keys() != right.keys():
            missing, unknown = sorted(right.keys() - given.keys()), sorted(given.keys() - right.keys())
            return f"Wrong names: missing {missing}, not expected {unknown}."
        parts_by_name = {name: difference(given[name], right[name], tolerance) for name in right}
        return next((f"{name}: {part}" for name, part in parts_by_name.items() if part), "")
    try:
        a, b = Numbers.of(given), Numbers.of(right)
    except Ragged:
        return "Wrong shape: the rows do not all have the same length."
    except TypeError:
        return f"Wrong kind: numbers, a matrix or a tensor are expected, and this is a {type(given).__name__}."
    if a.shape != b.shape:
        return f"Wrong shape: {a.shape_text}, where {b.shape_text} is expected."
    if a.family != b.family and not (a.plain and (a.family, b.family) == ("integers", "floating-point numbers")):
        return f"Wrong kind of number: {a.family}, where {b.family} is expected."
    pairs = list(zip(a.values, b.values, strict=True))
    if any(is_nan(x) and not is_nan(y) for x, y in pairs):
        return "The shape is right, but some values are not numbers (nan): was a whole row masked, or 0 divided by 0?"
    gaps = [gap(x, y) for x, y in pairs]
    worst = max(gaps, default=0.0)
    if worst <= tolerance:
        return ""
    if worst < 1e-5:
        return f"Nearly: the values are off by {worst:.1e}. Keep the inputs' dtype; do not round or convert."
    share = sum(each > tolerance for each in gaps) / len(gaps)
    return f"The shape is right, the values are not: {share:.0%} of them differ, by up to {worst:.2g}."


def is_nan(x: Any) -> bool:
    return x != x


def gap(x: Any, y: Any) -> float:
    """|x − y| relative to max(1, |y|); equal infinities and two nans count as the same."""
    if x == y or (is_nan(x) and is_nan(y)):
        return 0.0
    distance = abs(x - y)
    return math.inf if is_nan(distance) else distance / max(1.0, min(abs(y), 1e300))


class Ragged(Exception):
    """Rows of different lengths: a list of lists that is no matrix."""


@dataclass(frozen=True)
class Numbers:
    """A number, nested lists of numbers or a tensor, laid out flat."""

    shape: tuple[int, ...]
    family: str
    values: list[Any]
    plain: bool
    """Python's own numbers, where 0 may stand for 0.0."""

    @classmethod
    def of(cls, x: Any) -> "Numbers":
        """Raises TypeError for what holds no numbers, and Ragged."""
        if hasattr(x, "tolist") and hasattr(x, "dtype"):
            kind = str(x.dtype)
            known = (("bool", "booleans"), ("complex", "complex numbers"), ("float", "floating-point numbers"))
            family = next((name for part, name in known if part in kind), "integers")
            return cls(tuple(x.shape), family, flat(x.tolist(), tuple(x.shape)), plain=False)
        shape: list[int] = []
        first = x
        while isinstance(first, list | tuple):
            shape.append(len(first))
            if not first:
                break
            first = first[0]
        values = flat(x, tuple(shape))
        if any(not isinstance(value, bool | int | float | complex) for value in values):
            raise TypeError("not a number")
        kinds = {type(value) for value in values}
        if kinds == {bool}:
            family = "booleans"
        elif complex in kinds:
            family = "complex numbers"
        else:
            family = "floating-point numbers" if float in kinds or not kinds else "integers"
        return cls(tuple(shape), family, values, plain=True)

    @property
    def shape_text(self) -> str:
        """A shape as the book writes it; a single number has none."""
        return str(self.shape) if self.shape else "a single number"


def flat(x: Any, shape: tuple[int, ...]) -> list[Any]:
    """The numbers of nested lists of that shape, row by row."""
    if not shape:
        if isinstance(x, list | tuple):
            raise Ragged
        return [x]
    if not isinstance(x, list | tuple) or len(x) != shape[0]:
        raise Ragged
    return [number for row in x for number in flat(row, shape[1:])]
