"""Slips that can be made in any exercise, recognised by how the answers differ from the right ones.

    diagnose(answers, rights, inputs, tolerance)      a sentence, or empty

All answers are looked at together: one factor, one missing term, one shift that explains every case. `inputs` are the
arguments of each case by name, so that a factor or a missing term can be called by what it is: a number among them,
the length of a list, the list itself. A diagnosis is only given when it explains all cases.
"""

import math
import struct
from collections.abc import Callable, Iterator, Sequence
from itertools import combinations_with_replacement
from typing import Any

from insideout.exercises.comparing import NotNumbers, Numbers, Ragged, gaps, is_array

Inputs = dict[str, Any]
Knowns = dict[str, float]
Pairs = list[tuple[Numbers, Numbers]]
Change = Callable[[Numbers], Numbers | None]


def diagnose(answers: Sequence[Any], rights: Sequence[Any], inputs: Sequence[Inputs], tolerance: float) -> str:
    """What turns all right answers into the given ones, in a sentence; empty when nothing known does."""
    if all(isinstance(right, tuple) for right in rights):
        return diagnose_results(answers, rights, inputs, tolerance)
    if all(isinstance(right, dict) for right in rights):
        if not all(isinstance(a, dict) and a.keys() == b.keys() for a, b in zip(answers, rights, strict=True)):
            return ""
        keys = [key for key in rights[0] if all(key in right for right in rights)]
        in_order = [[tuple(each[key] for key in keys) for each in some] for some in (answers, rights)]
        return diagnose_results(in_order[0], in_order[1], inputs, tolerance, [str(key) for key in keys])
    try:
        pairs = [(Numbers.of(a), Numbers.of(b)) for a, b in zip(answers, rights, strict=True)]
    except (NotNumbers, Ragged):
        return ""
    tolerance = max(tolerance, 1e-9)
    knowns = [known_numbers(each) for each in inputs]
    return (
        by_terms_left(pairs, tolerance)
        or by_change(pairs, tolerance)
        or by_factor(pairs, knowns)
        or by_term(pairs, knowns)
        or by_input(pairs, inputs, tolerance)
        or by_rounding(pairs)
        or by_alias(answers, rights)
        or by_place(pairs, tolerance)
        or by_rows_of_it(pairs, tolerance)
        or by_pattern(pairs)
    )


def known_numbers(inputs: Inputs) -> Knowns:
    """The numbers of a case that have names: its scalar arguments, and the lengths of the others."""
    found: Knowns = {}
    for name, value in inputs.items():
        if isinstance(value, int | float) and not isinstance(value, bool):
            found[name] = float(value)
        elif isinstance(value, list | tuple):
            found[f"len({name})"] = float(len(value))
            if value and isinstance(value[0], list | tuple):
                found[f"len({name}[0])"] = float(len(value[0]))
            else:
                found[f"(the number of {name} that are not None)"] = float(sum(each is not None for each in value))
        elif is_array(value):
            found |= {f"{name}.shape[{i}]": float(size) for i, size in enumerate(value.shape)}
    return found


def diagnose_results(
    answers: Sequence[Any], rights: Sequence[Any], inputs: Sequence[Inputs], tolerance: float, names: Sequence[str] = ()
) -> str:
    """The same for tuples of results: the first result that is wrong, or two that have changed places."""
    n = len(rights[0])
    if not all(isinstance(each, tuple | list) and len(each) == n for each in answers):
        return ""
    wrong = [i for i in range(n) if not all(same(a[i], b[i], tolerance) for a, b in zip(answers, rights, strict=True))]
    if len(wrong) > 1:
        for i, j in [(i, j) for i in wrong for j in wrong if i < j]:
            if all(
                same(a[i], b[j], tolerance) and same(a[j], b[i], tolerance)
                for a, b in zip(answers, rights, strict=True)
            ):
                return f"{called(i, n, names)} and {called(j, n, names).lower()} have changed places."
    for i in wrong:
        found = diagnose([each[i] for each in answers], [each[i] for each in rights], inputs, tolerance)
        if found:
            return f"{called(i, n, names)}: {found[0].lower()}{found[1:]}"
    if wrong and len(wrong) < n:
        rest = "the others are" if n > 2 else "the other is"
        return f"{called(wrong[0], n, names)} is wrong; {rest} right." if len(wrong) == 1 else ""
    return ""


def called(i: int, n: int, names: Sequence[str]) -> str:
    """What a result is called."""
    return names[i] if names else f"The {('first', 'second', 'third', 'fourth', 'fifth', 'sixth')[min(i, 5)]} result"


def same(given: Any, right: Any, tolerance: float) -> bool:
    """Do two values hold the same numbers?"""
    try:
        return agree(Numbers.of(given), Numbers.of(right), tolerance)
    except (NotNumbers, Ragged):
        return False


def agree(a: Numbers, b: Numbers | None, tolerance: float) -> bool:
    if b is None or not (a.values or b.values):
        return b is not None
    return a.shape == b.shape and max(gaps(a.values, b.values), default=0.0) <= tolerance


# changes of the whole value: its form, its order, a function of each number


def by_change(pairs: Pairs, tolerance: float) -> str:
    """The change that makes every given value of the right one."""
    for sentence, change in CHANGES:
        changed = [change(right) for _, right in pairs]
        if any(each is None for each in changed):
            changed = [right if each is None else each for each, (_, right) in zip(changed, pairs, strict=True)]
        if all(agree(given, each, tolerance) for (given, _), each in zip(pairs, changed, strict=True)) and any(
            each is not None and not agree(each, right, tolerance)
            for each, (_, right) in zip(changed, pairs, strict=True)
        ):
            return sentence
    return ""


def reshaped(x: Numbers, shape: tuple[int, ...], values: list[Any]) -> Numbers:
    return Numbers(shape, x.family, values, x.plain)


def transposed(x: Numbers) -> Numbers | None:
    if len(x.shape) < 2:
        return None
    *outer, rows, columns = x.shape
    n = rows * columns
    values = [
        x.values[at + i * columns + j]
        for at in range(0, len(x.values), n or 1)
        for j in range(columns)
        for i in range(rows)
    ]
    return reshaped(x, (*outer, columns, rows), values)


def flattened(x: Numbers) -> Numbers | None:
    return reshaped(x, (len(x.values),), x.values) if len(x.shape) > 1 else None


def joined(x: Numbers) -> Numbers | None:
    return reshaped(x, (x.shape[0] * x.shape[1], *x.shape[2:]), x.values) if len(x.shape) > 2 else None


def side_by_side(x: Numbers) -> Numbers | None:
    if len(x.shape) != 3:
        return None
    n, rows, columns = x.shape
    values = [x.values[(k * rows + i) * columns + j] for i in range(rows) for k in range(n) for j in range(columns)]
    return reshaped(x, (rows, n * columns), values)


def one_deeper(x: Numbers) -> Numbers | None:
    return reshaped(x, (1, *x.shape), x.values)


def one_column(x: Numbers) -> Numbers | None:
    return reshaped(x, (*x.shape, 1), x.values) if x.shape else None


def unpacked(x: Numbers) -> Numbers | None:
    return reshaped(x, x.shape[1:], x.values) if x.shape and x.shape[0] == 1 else None


def rows_of(x: Numbers) -> list[list[Any]]:
    size = math.prod(x.shape[1:])
    return [x.values[i * size : (i + 1) * size] for i in range(x.shape[0])]


def by_rows(pick: Callable[[list[list[Any]]], list[list[Any]]]) -> Change:
    """A change of the order or number of rows (or of a list's entries)."""

    def change(x: Numbers) -> Numbers | None:
        if not x.shape or not x.shape[0]:
            return None
        rows = pick(rows_of(x))
        return reshaped(x, (len(rows), *x.shape[1:]), [number for row in rows for number in row])

    return change


def by_columns(pick: Callable[[list[Any]], list[Any]]) -> Change:
    """The same along the last axis of a matrix."""

    def change(x: Numbers) -> Numbers | None:
        if len(x.shape) < 2 or not x.values:
            return None
        width = x.shape[-1]
        rows = [pick(x.values[i : i + width]) for i in range(0, len(x.values), width)]
        return reshaped(x, (*x.shape[:-1], len(rows[0])), [number for row in rows for number in row])

    return change


def by_number(function: Callable[[float], float]) -> Change:
    """A function of each number; none where it cannot be taken of them all."""

    def change(x: Numbers) -> Numbers | None:
        try:
            return reshaped(x, x.shape, [function(float(value)) for value in x.values])
        except (ValueError, ZeroDivisionError, OverflowError, TypeError):
            return None

    return change


def along(axis: int, combine: Callable[[list[float]], float]) -> Change:
    """Rows (axis −1) or columns (axis 0) combined into one number each."""

    def change(x: Numbers) -> Numbers | None:
        if not x.shape or (axis == 0 and len(x.shape) < 2) or 0 in x.shape:
            return None
        try:
            if axis == 0:
                return reshaped(x, x.shape[1:], [combine(list(each)) for each in zip(*rows_of(x), strict=True)])
            width = x.shape[-1]
            cut = [x.values[i : i + width] for i in range(0, len(x.values), width)]
            return reshaped(x, x.shape[:-1], [combine(each) for each in cut])
        except TypeError:
            return None

    return change


def overall(combine: Callable[[list[float]], float]) -> Change:
    def change(x: Numbers) -> Numbers | None:
        if len(x.shape) < 2 or not x.values:
            return None
        try:
            return reshaped(x, (), [combine(x.values)])
        except TypeError:
            return None

    return change


def mean(numbers: list[float]) -> float:
    return sum(numbers) / len(numbers)


def to_unit_sum(x: Numbers) -> Numbers | None:
    """Each row divided by its sum."""
    if not x.shape:
        return None
    width = x.shape[-1]
    rows = [x.values[i : i + width] for i in range(0, len(x.values), width)] if width else []
    try:
        return reshaped(x, x.shape, [number / sum(row) for row in rows for number in row])
    except (ZeroDivisionError, TypeError):
        return None


def diagonal(x: Numbers) -> Numbers | None:
    if len(x.shape) != 2 or x.shape[0] != x.shape[1]:
        return None
    return reshaped(x, x.shape[:1], [row[i] for i, row in enumerate(rows_of(x))])


def diagonal_alone(x: Numbers) -> Numbers | None:
    if len(x.shape) != 2:
        return None
    return reshaped(x, x.shape, [y if i == j else 0.0 for i, row in enumerate(rows_of(x)) for j, y in enumerate(row)])


def hard(x: Numbers) -> Numbers | None:
    if len(x.shape) != 2 or x.family == "complex numbers":
        return None
    return reshaped(x, x.shape, [float(y == max(row)) for row in rows_of(x) for y in row])


def one_row(at: int) -> Change:
    """One row, or entry, in place of all."""
    return lambda x: reshaped(x, x.shape[1:], rows_of(x)[at]) if x.shape and x.shape[0] else None


IN_LOOP = "Only the first row (or entry) is returned: is the `return` inside the loop?"
OVERWRITTEN = "Only the last row (or entry) is returned: collect one for each turn of the loop."
WHOLE_NUMBERS = "The numbers are whole: is `//` or `int` used where a fraction is expected?"
DOWN = "The rows (or entries) are shifted down by one: each should stand one place earlier."
UP = "The rows (or entries) are shifted up by one: each should stand one place later."
RIGHT = "The columns are shifted right by one: each should stand one place earlier."
LEFT = "The columns are shifted left by one: each should stand one place later."
NO_LOG = "The logarithm is missing: every number is e to the power of the right one."
NO_MINUS_LOG = "The logarithm and its sign are missing: every number is e to the power of minus the right one."
FLAT = "The result is flattened: the rows should stay apart, and here all numbers stand in one list."

CHANGES: list[tuple[str, Change]] = [
    ("The sign is wrong: every number is the negative of the right one.", by_number(lambda x: -x)),
    ("The result is transposed: its rows are what should be its columns.", transposed),
    (FLAT, flattened),
    ("The result is one level too deep: a list around what is expected.", one_deeper),
    ("The result is one level too deep: each number stands in a list of its own.", one_column),
    ("The result is one level too shallow: what is expected is a list of this.", unpacked),
    ("The outer lists are joined end to end: they should stay apart.", joined),
    ("The matrices are laid side by side in one: they should stay apart.", side_by_side),
    ("The first row (or entry) is missing; the others are right.", by_rows(lambda rows: rows[1:])),
    ("The last row (or entry) is missing; the others are right.", by_rows(lambda rows: rows[:-1])),
    ("The first column is missing; the others are right.", by_columns(lambda row: row[1:])),
    ("The last column is missing; the others are right.", by_columns(lambda row: row[:-1])),
    ("The rows (or entries) come in reverse order.", by_rows(lambda rows: rows[::-1])),
    ("The columns come in reverse order.", by_columns(lambda row: row[::-1])),
    (DOWN, by_rows(lambda rows: [rows[-1], *rows[:-1]])),
    (UP, by_rows(lambda rows: [*rows[1:], rows[0]])),
    (RIGHT, by_columns(lambda row: [row[-1], *row[:-1]])),
    (LEFT, by_columns(lambda row: [*row[1:], row[0]])),
    ("The rows (or entries) are sorted: they should stay in their order.", by_rows(sorted)),
    ("Each row is added up to one number: the numbers themselves are expected.", along(-1, sum)),
    ("Each row is averaged to one number: the numbers themselves are expected.", along(-1, mean)),
    ("The columns are added up, over the rows: the rows themselves are expected.", along(0, sum)),
    ("The columns are averaged, over the rows: the rows themselves are expected.", along(0, mean)),
    ("All numbers are added up to one: they themselves are expected.", overall(sum)),
    ("All numbers are averaged to one: they themselves are expected.", overall(mean)),
    ("Only the largest number of each row is returned.", along(-1, max)),
    ("Only the largest number of all is returned.", overall(max)),
    ("Only the diagonal is returned.", diagonal),
    ("Only the diagonal is there; the other numbers are 0.", diagonal_alone),
    ("The numbers are 1 where a row is largest and 0 elsewhere.", hard),
    (IN_LOOP, by_rows(lambda rows: rows[:1])),
    (IN_LOOP, one_row(0)),
    (OVERWRITTEN, one_row(-1)),
    ("The sizes are right, the signs are lost: is an absolute value taken?", by_number(abs)),
    ("Negative numbers have become 0: is something cut off below 0?", by_number(lambda x: max(x, 0.0))),
    ("The numbers are cut off at 0 and 1.", by_number(lambda x: min(max(x, 0.0), 1.0))),
    ("The numbers are cut off above 1.", by_number(lambda x: min(x, 1.0))),
    (WHOLE_NUMBERS, by_number(lambda x: float(math.floor(x)))),
    (WHOLE_NUMBERS, by_number(lambda x: float(int(x)))),
    ("The numbers are rounded up to whole ones.", by_number(lambda x: float(math.ceil(x)))),
    ("The numbers are rounded to whole ones.", by_number(lambda x: float(round(x)))),
    ("Every number is the square of the right one: is a root missing?", by_number(lambda x: x * x)),
    ("Every number is the root of the right one: one root too many.", by_number(math.sqrt)),
    ("Every number is 1 over the right one: the fraction is upside down.", by_number(lambda x: 1.0 / x)),
    ("Every number is 1 minus the right one.", by_number(lambda x: 1.0 - x)),
    (NO_LOG, by_number(math.exp)),
    (NO_MINUS_LOG, by_number(lambda x: math.exp(-x))),
    ("Every number is the logarithm of the right one: one logarithm too many.", by_number(math.log)),
    ("Every number is minus the logarithm of the right one.", by_number(lambda x: -math.log(x))),
    ("The rows are divided by their sums, so that each adds up to 1.", to_unit_sum),
    ("The result is all zeros.", lambda x: reshaped(x, x.shape, [0] * len(x.values))),
    ("The result is all ones.", lambda x: reshaped(x, x.shape, [1] * len(x.values))),
]


# one factor, one term


def constants_of(pairs: Pairs, combine: Callable[[Any, Any], float | None]) -> list[float | None]:
    """For each pair the one number that `combine` gives for all entries; nan if they differ, None if it is free."""
    found: list[float | None] = []
    for given, right in pairs:
        if given.shape != right.shape:
            return [math.nan]
        each = [combine(x, y) for x, y in zip(given.values, right.values, strict=True)]
        numbers = [number for number in each if number is not None]
        if not numbers:
            found.append(None)
        elif all(math.isfinite(x) and abs(x - numbers[0]) <= 1e-7 * max(1.0, abs(numbers[0])) for x in numbers):
            found.append(numbers[0])
        else:
            found.append(math.nan)
    return found


def by_factor(pairs: Pairs, knowns: Sequence[Knowns]) -> str:
    """One factor for all numbers of a case: a constant, or a constant times known quantities or their roots."""

    def ratio(x: Any, y: Any) -> float | None:
        if isinstance(x, complex) or isinstance(y, complex):
            return math.nan
        if abs(y) < 1e-6 or not math.isfinite(y):
            return None if x == y or abs(x - y) < 1e-9 else math.nan
        return float(x / y)

    factors = constants_of(pairs, ratio)
    if any(each is not None and (math.isnan(each) or each == 0.0) for each in factors):
        return ""
    cases = [(each, known) for each, known in zip(factors, knowns, strict=True) if each is not None]
    if len(cases) < 2 or all(abs(each - 1.0) < 1e-6 for each, _ in cases):
        return ""
    values = [each for each, _ in cases]
    if steady(values):
        return f"Every number is {factor_text(values[0])}."
    if all(abs(each) == 1.0 for each in values):
        return ""
    for text, products in products_of([known for _, known in cases], (1.0, -1.0, 0.5, -0.5), most=2):
        rest = [value / product for value, product in zip(values, products, strict=True)]
        if steady(rest) and (coefficient := simple(rest[0])):
            return f"Every number is the right one times {join(coefficient, text)}."
    return ""


def factor_text(factor: float) -> str:
    """A constant factor in words."""
    for value, text in (
        (math.log(2.0), "the right one times ln 2: bits turned into nats once too often"),
        (1.0 / math.log(2.0), "the right one divided by ln 2: in bits, where nats are expected"),
        (1.0 / math.log(10.0), "the right one divided by ln 10: a logarithm of base 10"),
        (180.0 / math.pi, "the right one times 180/π: in degrees"),
    ):
        if abs(abs(factor) / value - 1.0) < 1e-7:
            return text if factor > 0 else f"{text}, with the wrong sign"
    size = abs(factor)
    sign = ", with the wrong sign" if factor < 0 else ""
    if size > 1.0:
        return f"too large by the factor {simple(size) or f'{size:.6g}'}{sign}"
    return f"too small by the factor {simple(1.0 / size) or f'{1.0 / size:.6g}'}{sign}"


def by_terms_left(pairs: Pairs, tolerance: float) -> str:
    """A list whose mean or sum is the one number that is expected."""
    if not all(not right.shape and len(given.shape) == 1 and given.values for given, right in pairs):
        return ""
    for name, combine in (("mean", mean), ("sum", sum)):
        if all(max(gaps([combine(a.values)], b.values)) <= tolerance for a, b in pairs):
            return f"This is a list, and its {name} is the right number: return the {name}."
    return ""


def by_term(pairs: Pairs, knowns: Sequence[Knowns]) -> str:
    """One number added everywhere, or left out: a constant, or a constant times known quantities."""

    def gap_of(x: Any, y: Any) -> float | None:
        if isinstance(x, complex) or isinstance(y, complex) or not math.isfinite(y):
            return None if x == y else math.nan
        return float(x - y)

    terms = constants_of(pairs, gap_of)
    if any(each is None or math.isnan(each) for each in terms) or len(terms) < 2:
        return ""
    found = [each for each in terms if each is not None]
    if all(abs(each) < 1e-9 for each in found):
        return ""
    if steady(found):
        amount = simple(abs(found[0])) or f"{abs(found[0]):.6g}"
        return f"Every number is too {'large' if found[0] > 0 else 'small'} by {amount}."
    for text, products in products_of(knowns, (1.0,), most=3):
        if any(product == 0.0 for product in products):
            continue
        rest = [value / product for value, product in zip(found, products, strict=True)]
        if steady(rest) and (coefficient := simple(abs(rest[0]))):
            return f"The result is too {'large' if rest[0] > 0 else 'small'} by {join(coefficient, text)}."
    return two_terms(found, knowns) if all(each == int(each) for each in found) else ""


def two_terms(found: Sequence[float], knowns: Sequence[Knowns]) -> str:
    """A difference of counts as two products, each a few times."""
    products = [("1", [1.0] * len(found)), *products_of(knowns, (1.0,), most=3)]
    for i, (text_a, a) in enumerate(products):
        for text_b, b in products[:i]:
            determinant = a[0] * b[1] - a[1] * b[0]
            if determinant == 0.0:
                continue
            x = (found[0] * b[1] - found[1] * b[0]) / determinant
            y = (a[0] * found[1] - a[1] * found[0]) / determinant
            if x != int(x) or y != int(y) or not 0 < max(abs(x), abs(y)) <= 8 or 0.0 in (x, y):
                continue
            if all(abs(x * u + y * v - z) < 1e-6 for u, v, z in zip(a, b, found, strict=True)):
                terms = [(x, text_a), (y, text_b)]
                signs = " and ".join(
                    f"too {'large' if n > 0 else 'small'} by {join(simple(abs(n)), text)}" for n, text in terms
                )
                return f"The result is {signs}."
    return ""


def steady(values: Sequence[float]) -> bool:
    """Are all values the same number?"""
    return all(abs(each - values[0]) <= 1e-7 * max(1e-3, abs(values[0])) for each in values)


def simple(x: float) -> str:
    """A whole number or a plain fraction as text; empty for any other."""
    sign = "−" if x < 0 else ""
    for denominator in (1, 2, 3, 4, 8):
        numerator = abs(x) * denominator
        if abs(numerator - round(numerator)) < 1e-6 and 0 < round(numerator) <= 1000:
            return f"{sign}{round(numerator)}" if denominator == 1 else f"{sign}{round(numerator)}/{denominator}"
    return ""


def join(coefficient: str, text: str) -> str:
    return text if coefficient == "1" else f"{coefficient} · {text}"


def products_of(knowns: Sequence[Knowns], powers: Sequence[float], most: int) -> Iterator[tuple[str, list[float]]]:
    """Products of up to `most` known quantities, each to one of the powers, with their value in every case."""
    names = [name for name in knowns[0] if all(known.get(name, 0.0) > 0.0 for known in knowns)]
    factors = [(name, power) for name in names for power in powers]
    for n in range(1, most + 1):
        for chosen in combinations_with_replacement(factors, n):
            text = " · ".join(power_text(name, power) for name, power in chosen)
            yield text, [math.prod(known[name] ** power for name, power in chosen) for known in knowns]


def power_text(name: str, power: float) -> str:
    return {1.0: name, -1.0: f"1/{name}", 0.5: f"√{name}", -0.5: f"1/√{name}"}[power]


# an argument that is the result, or was added to it or multiplied with it


def by_input(pairs: Pairs, inputs: Sequence[Inputs], tolerance: float) -> str:
    """An argument returned as it came, or added to every result, or multiplied with it, number by number."""
    for name in inputs[0]:
        try:
            arguments = [Numbers.of(each[name]) for each in inputs]
        except (NotNumbers, Ragged):
            continue
        both = list(zip(pairs, arguments, strict=True))
        if all(agree(given, argument, tolerance) for (given, _), argument in both):
            return f"This is `{name}` as it came in."
        if not any(argument.shape for argument in arguments):
            continue
        for sentence, combine in COMBINED:
            found = [combined(right, argument, combine) for (_, right), argument in both]
            if all(agree(given, each, tolerance) for (given, _), each in zip(pairs, found, strict=True)):
                return sentence.format(name)
    return ""


COMBINED: list[tuple[str, Callable[[Any, Any], Any]]] = [
    ("`{}` is added to the result.", lambda y, a: y + a),
    ("`{}` is subtracted from the result.", lambda y, a: y - a),
    ("The result is multiplied by `{}`, number by number.", lambda y, a: y * a),
    ("The result is divided by `{}`, number by number.", lambda y, a: y / a),
]


def combined(right: Numbers, argument: Numbers, combine: Callable[[Any, Any], Any]) -> Numbers | None:
    """combine(right, argument) number by number, for an argument of the same shape, or one row for all."""
    if not right.values or right.shape[len(right.shape) - len(argument.shape) :] != argument.shape:
        return None
    try:
        repeated = argument.values * (len(right.values) // len(argument.values))
        return reshaped(right, right.shape, [combine(y, a) for y, a in zip(right.values, repeated, strict=True)])
    except (ZeroDivisionError, OverflowError):
        return None


# numbers that are nearly right, rows that are one row, places that are wrong


def by_rounding(pairs: Pairs) -> str:
    """Right but for rounding to a few decimals, or to float32."""
    values = [(x, y) for given, right in pairs for x, y in zip(given.values, right.values, strict=False)]
    if any(given.shape != right.shape for given, right in pairs) or not all(isinstance(x, float) for x, _ in values):
        return ""
    if not all(math.isfinite(x) for x, _ in values):
        return ""
    for decimals in range(1, 9):
        if all(abs(x - y) <= 0.51 * 10.0**-decimals and round(x, decimals) == x for x, y in values):
            return f"The numbers are rounded to {decimals} decimals: return them as they are."
    try:
        single = all(struct.unpack("f", struct.pack("f", x))[0] == x for x, _ in values)
    except OverflowError:
        return ""
    if single and max(gaps([x for x, _ in values], [y for _, y in values]), default=0.0) < 1e-3:
        return "The numbers are in float32, and have lost half of their digits: keep the precision of the input."
    return ""


def by_alias(answers: Sequence[Any], rights: Sequence[Any]) -> str:
    """Rows that are one and the same list, as `[[0] * n] * m` makes them."""
    for given, right in zip(answers, rights, strict=True):
        if not (isinstance(given, list) and isinstance(right, list) and len(given) == len(right)):
            continue
        for i in range(len(given)):
            for j in range(i):
                if isinstance(given[i], list) and given[i] is given[j] and right[i] != right[j]:
                    return (
                        f"Rows {j} and {i} are one and the same list, as `[[0] * n] * m` makes them: a number written "
                        "into one is in all. Make each row anew: `[[0] * n for _ in range(m)]`."
                    )
    return ""


def by_place(pairs: Pairs, tolerance: float) -> str:
    """Where the wrong numbers stand, when it is the same place in every case."""
    wrong_in: list[set[tuple[int, ...]]] = []
    for given, right in pairs:
        if given.shape != right.shape or not right.shape:
            return ""
        off = enumerate(gaps(given.values, right.values))
        cells = (place(i, right.shape) for i, far in off if far > tolerance)
        wrong_in.append(set(cells))
    shapes = [right.shape for _, right in pairs]
    if not any(wrong_in):
        return ""
    for sentence, inside in PLACES:
        everywhere = [(cell, shape) for wrong, shape in zip(wrong_in, shapes, strict=True) for cell in wrong]
        outside = any(
            not inside(place(i, shape), shape)
            for wrong, shape in zip(wrong_in, shapes, strict=True) if wrong for i in range(math.prod(shape))
        )  # fmt: skip
        if outside and all(inside(cell, shape) for cell, shape in everywhere):
            return sentence
    return ""


def place(i: int, shape: tuple[int, ...]) -> tuple[int, ...]:
    """The indices of the i-th number."""
    at: list[int] = []
    for size in reversed(shape):
        at.append(i % size)
        i //= size
    return tuple(reversed(at))


PLACES: list[tuple[str, Callable[[tuple[int, ...], tuple[int, ...]], bool]]] = [
    ("Only the first row (or entry) is wrong.", lambda at, shape: at[0] == 0),
    ("Only the last row (or entry) is wrong.", lambda at, shape: at[0] == shape[0] - 1),
    ("Only the first column is wrong.", lambda at, shape: len(shape) > 1 and at[-1] == 0),
    ("Only the last column is wrong.", lambda at, shape: len(shape) > 1 and at[-1] == shape[-1] - 1),
    ("Only the diagonal is wrong.", lambda at, shape: len(shape) > 1 and at[-1] == at[-2]),
    ("Only what stands above the diagonal is wrong.", lambda at, shape: len(shape) > 1 and at[-1] > at[-2]),
    ("Only what stands below the diagonal is wrong.", lambda at, shape: len(shape) > 1 and at[-1] < at[-2]),
    ("Only the first row (or entry) is right.", lambda at, shape: at[0] > 0),
    ("Only the last row (or entry) is right.", lambda at, shape: at[0] < shape[0] - 1),
    ("Only the first column is right.", lambda at, shape: len(shape) > 1 and at[-1] > 0),
    ("Only the diagonal is right.", lambda at, shape: len(shape) > 1 and at[-1] != at[-2]),
]


# rows that are right but misplaced, scales that are off


def by_rows_of_it(pairs: Pairs, tolerance: float) -> str:
    """The right rows in another order, some of them, or more behind them."""
    shapes = {(given.shape, right.shape) for given, right in pairs}
    if any(not a or not b or a[1:] != b[1:] for a, b in shapes):
        return ""
    rows = [(rows_of(given), rows_of(right)) for given, right in pairs]

    def found(row: list[Any], among: list[list[Any]]) -> bool:
        return any(max(gaps(row, each), default=0.0) <= tolerance for each in among)

    def begins(short: list[list[Any]], long: list[list[Any]]) -> bool:
        return all(found(a, [b]) for a, b in zip(short, long, strict=False))

    if all(a == b for a, b in shapes):
        if all(all(found(x, b) for x in a) and all(found(y, a) for y in b) for a, b in rows):
            return "The rows (or entries) are the right ones, in another order."
    elif all(len(a) <= len(b) and begins(a, b) for a, b in rows):
        return "The first rows (or entries) are right, and then some are missing."
    elif all(len(a) <= len(b) and begins(a[::-1], b[::-1]) for a, b in rows):
        return "The last rows (or entries) are right, but some before them are missing."
    elif all(len(a) >= len(b) and begins(b, a) for a, b in rows):
        return "The rows (or entries) are right, but more come behind them."
    elif all(all(found(x, b) for x in a) for a, b in rows):
        return "Every row (or entry) is one of the right ones, but their number is not right."
    return ""


def by_pattern(pairs: Pairs) -> str:
    """All numbers of a case, of a row or of a column off by one factor, or by one amount."""
    if any(given.shape != right.shape or len(right.values) < 2 for given, right in pairs if math.prod(right.shape) > 1):
        return ""
    many = [(given, right) for given, right in pairs if len(right.values) > 1]
    if not many or any(isinstance(x, complex) for pair in many for each in pair for x in each.values):
        return ""
    for sentence, groups in GROUPS:
        cut = [(groups(given), groups(right)) for given, right in many]
        pieces = [(a, b) for x, y in cut for a, b in zip(x, y, strict=True) if len(b) > 1]
        if len(pieces) < 2:
            continue
        if all(one_factor(a, b) for a, b in pieces):
            return sentence.format("factor")
        if all(one_amount(a, b) for a, b in pieces):
            return sentence.format("amount")
    return ""


def one_factor(given: list[Any], right: list[Any]) -> bool:
    at = max(range(len(right)), key=lambda i: abs(right[i]))
    if not math.isfinite(right[at]) or abs(right[at]) < 1e-9 or not math.isfinite(given[at]):
        return given == right
    factor = given[at] / right[at]
    return factor != 0.0 and max(gaps(given, [factor * y for y in right])) < 1e-7


def one_amount(given: list[Any], right: list[Any]) -> bool:
    if not all(map(math.isfinite, [*given, *right])):
        return given == right
    return max(gaps(given, [y + given[0] - right[0] for y in right])) < 1e-7


def each_row(x: Numbers) -> list[list[Any]]:
    width = x.shape[-1]
    return [x.values[i : i + width] for i in range(0, len(x.values), width)]


def each_column(x: Numbers) -> list[list[Any]]:
    return [list(each) for each in zip(*each_row(x), strict=True)] if len(x.shape) == 2 else [x.values]


GROUPS: list[tuple[str, Callable[[Numbers], list[list[Any]]]]] = [
    (
        "The numbers are right among themselves, but all are off by one {}, which differs from case to case.",
        lambda x: [x.values],
    ),
    ("Each row is right in itself, but off by one {}, which differs from row to row.", each_row),
    ("Each column is right in itself, but off by one {}, which differs from column to column.", each_column),
]
