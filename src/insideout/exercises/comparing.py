"""Is an answer right? Values are compared by what they hold, not by what they are made of.

    difference(given, right, tolerance)      in one sentence how the two differ; empty when they do not

A list of lists, a tuple of rows, an array and a tensor of the same numbers are the same answer. Standard library only:
tensors and arrays are read as the nested lists that they are.
"""

import math
from dataclasses import dataclass
from numbers import Number, Real
from typing import Any

SINGLE = 1e-5
"""What an answer in float32 or less may be off by, where the tolerance is smaller."""


def difference(given: Any, right: Any, tolerance: float) -> str:
    """In one sentence, how `given` differs from `right`; empty when it does not."""
    if given is None or right is None:
        return "" if given is right else "Your function returned nothing: is a `return` missing?"
    if isinstance(right, tuple):
        given = list(given) if is_array(given) and given.shape[:1] == (len(right),) else given
        if not isinstance(given, tuple | list):
            return f"Wrong form: {len(right)} results are expected, as a tuple, and this is {a_kind(given)}."
        if len(given) != len(right):
            return f"Wrong form: {len(right)} results are expected, as a tuple, and these are {len(given)}."
        parts = [difference(g, r, tolerance) for g, r in zip(given, right, strict=True)]
        return next((f"Result {i + 1}: {part}" for i, part in enumerate(parts) if part), "")
    if isinstance(right, dict):
        if not isinstance(given, dict):
            return f"Wrong form: a dict with {len(right)} names is expected, and this is {a_kind(given)}."
        if given.keys() != right.keys():
            missing, unknown = (
                sorted(map(repr, a - b)) for a, b in [(set(right), set(given)), (set(given), set(right))]
            )
            return f"Wrong names: missing [{', '.join(missing)}], not expected [{', '.join(unknown)}]."
        parts_by_name = {name: difference(given[name], right[name], tolerance) for name in right}
        return next((f"{name}: {part}" for name, part in parts_by_name.items() if part), "")
    if isinstance(right, str):
        return "" if given == right else f"Yours is {given!r}, expected {right!r}."
    try:
        b = Numbers.of(right)
    except (Ragged, NotNumbers):  # entries of unequal length, or some that are no numbers
        return "" if equal(given, right, tolerance) else "The entries are not the expected ones."
    try:
        a = Numbers.of(given)
    except Ragged:
        return "Wrong shape: the rows do not all have the same length."
    except NotNumbers as error:
        return f"Wrong kind: numbers, a matrix or a tensor are expected, and this is {error}."
    if a.shape != b.shape:
        return f"Wrong shape: {a.shape_text}, where {b.shape_text} is expected."
    if not b.plain and len(b.shape) > 1 and a.many_tensors:
        return f"Wrong form: a list of {b.shape[0]} tensors, where one tensor is expected. Join them by `torch.stack`."
    if (a.family == COMPLEX) != (b.family == COMPLEX) or ((a.family == TRUTHS) != (b.family == TRUTHS) and not a.plain):
        return f"Wrong kind of number: {a.family}, where {b.family} is expected."
    if b.family in (WHOLE, TRUTHS) and not b.plain and a.family != b.family:  # indices and masks
        return f"Wrong kind of number: {a.family}, where {b.family} is expected."
    if any(x != x and y == y for x, y in zip(a.values, b.values, strict=True)):
        return "The shape is right, but some values are not numbers (nan): was a whole row masked, or 0 divided by 0?"
    far = gaps(a.values, b.values)
    allowed = max(tolerance, SINGLE) if a.short and tolerance > 0 else tolerance
    if max(far, default=0.0) <= allowed:
        return ""
    if a.family != b.family and not a.plain:
        return f"Wrong kind of number: {a.family}, where {b.family} is expected."
    if len(far) == 1:
        return f"Yours is {a.values[0]:.6g}, and {b.values[0]:.6g} is expected."
    share = sum(each > allowed for each in far) / len(far)
    return f"The shape is right, the values are not: {share:.0%} of them differ, by up to {max(far):.2g}."


def equal(given: Any, right: Any, tolerance: float) -> bool:
    """Do two lists agree entry by entry?"""
    if isinstance(right, list | tuple):
        alike = isinstance(given, list | tuple) and len(given) == len(right)
        return alike and all(equal(g, r, tolerance) for g, r in zip(given, right, strict=True))
    try:
        return not difference(given, right, tolerance)
    except (Ragged, NotNumbers):
        return bool(given == right)


WHOLE, FLOATING, COMPLEX, TRUTHS = "integers", "floating-point numbers", "complex numbers", "booleans"


def gaps(given: list[Any], right: list[Any]) -> list[float]:
    """|x − y| relative to max(1, |y|) of each pair; equal infinities and two nans are 0 apart."""
    found = []
    for x, y in zip(given, right, strict=True):
        try:
            far = 0.0 if x == y or (x != x and y != y) else abs(x - y) / max(1.0, min(abs(y), 1e300))
        except OverflowError:  # a whole number too large for a float
            far = math.inf
        found.append(math.inf if far != far else far)
    return found


def a_kind(x: Any) -> str:
    """A value's type with its article, and the way out where there is a usual one."""
    name = type(x).__name__
    text = f"{'an' if name[:1].lower() in 'aeiou' else 'a'} {name}"
    if hasattr(x, "__next__") or name in ("dict_values", "dict_keys", "zip", "map"):
        return f"{text}: wrap it in `list(…)`"
    return f"{text}, not called" if callable(x) else text


class Ragged(Exception):
    """Rows of different lengths: a list of lists that is no matrix."""


class NotNumbers(Exception):
    """Something that holds no numbers; says what it is."""


@dataclass(frozen=True)
class Numbers:
    """A number, nested lists of numbers, an array or a tensor, laid out flat."""

    shape: tuple[int, ...]
    family: str
    values: list[Any]
    plain: bool
    """Held in lists, where an integer may stand for a float."""
    short: bool = False
    """Computed in fewer than 64 bits."""
    many_tensors: bool = False
    """A list of tensors of at least one dimension."""

    @classmethod
    def of(cls, x: Any) -> "Numbers":
        """Raises NotNumbers, and Ragged."""
        if is_array(x):
            kind = str(x.dtype)
            known = (("bool", TRUTHS), ("complex", COMPLEX), ("float", FLOATING))
            family = next((name for part, name in known if part in kind), WHOLE)
            shape = tuple(x.shape)
            return cls(shape, family, as_list(x.reshape(-1)), plain=False, short=is_short(x))
        if type(x) is list and x and set(map(type, x)) == {list} and len(set(map(len, x))) == 1:
            values = [number for row in x for number in row]
            if set(map(type, values)) == {float}:  # by far the most frequent
                return cls((len(x), len(x[0])), FLOATING, values, True)
        seen: list[Any] = []
        unpacked = opened(x, seen)
        shape_of: list[int] = []
        first = unpacked
        while isinstance(first, list):
            shape_of.append(len(first))
            if not first:
                break
            first = first[0]
        values = flat(unpacked, tuple(shape_of))
        kinds = set(map(type, values))
        if strange := next((kind for kind in kinds if not issubclass(kind, Number)), None):
            value = next(each for each in values if type(each) is strange)
            raise NotNumbers(a_kind(value) if value is x else f"a list that holds {a_kind(value)}")
        if kinds == {bool}:
            family = TRUTHS
        elif complex in kinds:
            family = COMPLEX
        else:
            family = FLOATING if float in kinds or not kinds else WHOLE
        many = isinstance(x, list | tuple) and bool(x) and all(is_array(each) and len(each.shape) > 0 for each in x)
        return cls(tuple(shape_of), family, values, True, any(map(is_short, seen)), many)

    @property
    def shape_text(self) -> str:
        """A shape as the book writes it; a single number has none."""
        return str(self.shape) if self.shape else "a single number"


def is_finite(x: Any) -> bool:
    """Are all numbers of a value finite? What holds no numbers is not."""
    if isinstance(x, tuple | dict):
        return all(map(is_finite, x.values() if isinstance(x, dict) else x))
    try:
        return all(abs(value) < math.inf for value in Numbers.of(x).values)
    except (NotNumbers, Ragged):
        return False


def is_array(x: Any) -> bool:
    """A tensor, an array, or one of an array library's own numbers."""
    return hasattr(x, "tolist") and hasattr(x, "dtype") and hasattr(x, "shape")


def is_short(x: Any) -> bool:
    return any(part in str(getattr(x, "dtype", "")) for part in ("float32", "float16"))


def as_list(x: Any) -> Any:
    """A tensor's or an array's numbers in nested lists."""
    return (x.detach() if hasattr(x, "detach") else x).tolist()


def opened(x: Any, seen: list[Any]) -> Any:
    """Nested lists of Python's numbers, from lists, tuples, arrays and tensors; the last two are noted in `seen`."""
    if isinstance(x, list | tuple | range):
        return list(x) if set(map(type, x)) <= {float, int, bool} else [opened(each, seen) for each in x]
    if is_array(x):
        seen.append(x)
        return as_list(x)
    if isinstance(x, Real) and not isinstance(x, int | float):  # a fraction
        return float(x)
    return x


def flat(x: Any, shape: tuple[int, ...]) -> list[Any]:
    """The numbers of nested lists of that shape, row by row."""
    if not shape:
        if isinstance(x, list | tuple):
            raise Ragged
        return [x]
    if not isinstance(x, list | tuple) or len(x) != shape[0]:
        raise Ragged
    if len(shape) == 1 and not any(isinstance(each, list | tuple) for each in x):
        return list(x)
    return [number for row in x for number in flat(row, shape[1:])]
