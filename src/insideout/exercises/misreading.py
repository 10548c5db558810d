"""Slips in the use of an argument, recognised by what the reference makes of other arguments.

    misread(exercise, names, cases, given, rights)      a sentence, or empty

Two arguments exchanged, one used for another, transposed, reversed, cut short, left out, off by one: for each of these
the reference is asked what would come out, and the answer is named when it agrees in every case.
"""

from collections.abc import Callable, Iterator, Sequence
from itertools import combinations, permutations
from typing import Any

from insideout.exercises.catalogue import Arguments, Case, Exercise, Outcome, outcome
from insideout.exercises.comparing import is_array

Change = Callable[[Arguments], Arguments | None]


def misread(
    exercise: Exercise, names: Sequence[str], cases: Sequence[Case], given: Sequence[Outcome], rights: Sequence[Outcome]
) -> str:
    """The first change of the arguments with which the reference gives every answer; empty when there is none."""
    if exercise.compare is not None:
        return ""
    by_size = sorted(range(len(cases)), key=lambda i: len(str(rights[i].value)))
    telling = [i for i in by_size if exercise.complaint(given[i], rights[i])]
    order = telling[:1] + telling[-1:] + by_size
    for sentence, change in changes(names, cases[0].arguments):
        n_shown = 0
        for i in order:
            arguments = attempt(change, cases[i].arguments)
            if arguments is None:
                if exercise.complaint(given[i], rights[i]):
                    break
                continue
            found = outcome(exercise.reference, Case(arguments, {}))
            if not exercise.fits(given[i], found, rights[i]):
                break
            n_shown += exercise.shows(found, rights[i]) and found.error is None
        else:
            if n_shown >= min(3, len(telling)):
                return sentence
    return ""


def attempt(change: Change, arguments: Arguments) -> Arguments | None:
    """The changed arguments; None where they cannot be changed so."""
    try:
        return change(arguments)
    except (TypeError, ValueError, IndexError, ZeroDivisionError, RuntimeError):
        return None


def changes(names: Sequence[str], arguments: Arguments) -> Iterator[tuple[str, Change]]:
    """All changes to try, each with its sentence."""
    kinds = [kind_of(each) for each in arguments]
    places = range(len(arguments))
    for i, j in combinations(places, 2):
        if kinds[i] == kinds[j]:
            sentence = f"This is what comes out when `{names[i]}` and `{names[j]}` have changed places."
            yield sentence, exchanged(i, j)
    for i, j in permutations(places, 2):
        if kinds[i] == kinds[j]:
            yield (
                f"This is what comes out when `{names[j]}` stands where `{names[i]}` belongs.",
                put(i, another(j)),
            )
    for i in places:
        for how, change in CHANGES.get(kinds[i], ()):
            yield f"This is what comes out when `{names[i]}` {how}.", put(i, change)


def exchanged(i: int, j: int) -> Change:
    def change(arguments: Arguments) -> Arguments:
        result = list(arguments)
        result[i], result[j] = result[j], result[i]
        return tuple(result)

    return change


def another(j: int) -> Callable[[Any, Arguments], Any]:
    """The j-th argument in place of this one."""
    return lambda x, arguments: arguments[j]


def put(i: int, replace: Callable[[Any, Arguments], Any]) -> Change:
    """The arguments with another i-th one."""
    return lambda arguments: (*arguments[:i], replace(arguments[i], arguments), *arguments[i + 1 :])


def kind_of(x: Any) -> str:
    """Number, count, list, rows, tensor or function: what changes make sense."""
    if isinstance(x, bool | str | dict):
        return "other"
    if isinstance(x, int):
        return "count"
    if isinstance(x, float):
        return "number"
    if callable(x):
        return "function"
    if is_array(x):
        return f"tensor{len(x.shape)}"
    if isinstance(x, list) and x and isinstance(x[0], list) and not isinstance(x[0][0] if x[0] else 0, list):
        return "rows"
    if isinstance(x, list) and not any(isinstance(each, list | tuple | dict) for each in x):
        return "list"
    return "sequence" if isinstance(x, list) else "other"


def each(x: Any, function: Callable[[Any], Any]) -> Any:
    """The function of every number in nested lists; None stays."""
    if isinstance(x, list):
        return [each(y, function) for y in x]
    return None if x is None else function(x)


Replace = Callable[[Any, Arguments], Any]

ANY_LIST: list[tuple[str, Replace]] = [
    ("is reversed", lambda x, a: x[::-1]),
    ("is sorted", lambda x, a: sorted(x)),
    ("lacks its last entry", lambda x, a: x[:-1]),
    ("lacks its first entry", lambda x, a: x[1:]),
    ("is its first entry alone", lambda x, a: x[:1]),
    ("is its last entry alone", lambda x, a: x[-1:]),
    ("is moved by one place to the left", lambda x, a: [*x[1:], x[0]]),
    ("is moved by one place to the right", lambda x, a: [x[-1], *x[:-1]]),
]
NUMBERS: list[tuple[str, Replace]] = [
    ("is 0 throughout: is it used?", lambda x, a: each(x, lambda y: y * 0)),
    ("is 1 throughout: is it used?", lambda x, a: each(x, lambda y: y * 0 + 1)),
    ("has the wrong sign", lambda x, a: each(x, lambda y: -y)),
    ("counts twice", lambda x, a: each(x, lambda y: 2 * y)),
    ("has lost its signs", lambda x, a: each(x, abs)),
    ("has lost its negative numbers", lambda x, a: each(x, lambda y: max(y, 0 * y))),
    ("is squared", lambda x, a: each(x, lambda y: y * y)),
    ("is one more", lambda x, a: each(x, lambda y: y + 1)),
    ("is one less", lambda x, a: each(x, lambda y: y - 1)),
]
TENSOR: list[tuple[str, Replace]] = [
    ("is reversed", lambda x, a: x.flip(0)),
    ("is reversed along its last axis", lambda x, a: x.flip(-1)),
    ("is 0 throughout: is it used?", lambda x, a: x * 0),
    ("is 1 throughout: is it used?", lambda x, a: x * 0 + 1),
    ("has the wrong sign", lambda x, a: -x),
    ("counts twice", lambda x, a: 2 * x),
    ("has lost its signs", lambda x, a: x.abs()),
    ("is squared", lambda x, a: x * x),
    ("is one more", lambda x, a: x + 1),
    ("is one less", lambda x, a: x - 1),
    ("is moved by one place", lambda x, a: x.roll(1, -1)),
]
MATRIX: list[tuple[str, Replace]] = [
    ("is transposed", lambda x, a: x.transpose(-2, -1)),
    ("is its last row alone", lambda x, a: x[..., -1:, :]),
]
CHANGES: dict[str, list[tuple[str, Replace]]] = {
    "count": [
        ("is one more", lambda x, a: x + 1),
        ("is one less", lambda x, a: x - 1),
        ("is twice as large", lambda x, a: 2 * x),
        ("is half as large", lambda x, a: x // 2),
        ("is 1: is it used?", lambda x, a: 1),
        ("is 0: is it used?", lambda x, a: 0),
    ],
    "number": [
        ("is 0: is it used?", lambda x, a: 0.0),
        ("is 1: is it used?", lambda x, a: 1.0),
        ("has the wrong sign", lambda x, a: -x),
        ("is twice as large", lambda x, a: 2.0 * x),
        ("is half as large", lambda x, a: x / 2.0),
        ("is squared", lambda x, a: x * x),
        ("is replaced by 1 minus it", lambda x, a: 1.0 - x),
        ("is replaced by 1 over it", lambda x, a: 1.0 / x),
        *((f"is {value:g}, whatever is given", lambda x, a, value=value: value)
          for value in (1e-5, 1e-6, 1e-8, 1e-12, 0.9, 0.99, 0.999, 0.5)),
    ],
    "list": ANY_LIST + NUMBERS,
    "sequence": ANY_LIST,
    "rows": [
        ("is transposed", lambda x, a: [list(column) for column in zip(*x, strict=True)]),
        ("lacks its last column", lambda x, a: [row[:-1] for row in x]),
        ("lacks its first column", lambda x, a: [row[1:] for row in x]),
        ("has its columns reversed", lambda x, a: [row[::-1] for row in x]),
        ("has the same row, its first, everywhere", lambda x, a: [x[0]] * len(x)),
        *ANY_LIST,
        *NUMBERS,
    ],
    "tensor0": TENSOR[2:8],
    "tensor1": TENSOR,
    **{f"tensor{n}": MATRIX + TENSOR for n in (2, 3, 4)},
    "function": [("is left out: is it called?", lambda x, a: lambda y: y)],
}  # fmt: skip
