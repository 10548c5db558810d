"""Where and when a number was measured, kept with the number.

    loss = Measured(2.31, (Origin("a machine", "2026-01-31T12:00:00+00:00"),))
    origins_of([loss - 1, 5.0])         the origin of loss

A result that was stored last week was measured last week: a claim about it says so, wherever it is made. Arithmetic
keeps the origins of both sides. What another library computes from such numbers is a plain number again: then the
claim is told by `measured=`. Standard library only.
"""

import operator
from collections.abc import Callable, Iterable, Mapping
from datetime import UTC, datetime
from typing import Any, NamedTuple

from insideout.machine import machine


class Origin(NamedTuple):
    """A machine, in one line, and a moment, in ISO 8601 and UTC."""

    machine: str
    date: str


Origins = tuple[Origin, ...]


def here_and_now(accelerator: str = "") -> Origin:
    """This machine, this second."""
    return Origin(machine(accelerator), datetime.now(UTC).isoformat(timespec="seconds"))


class Measured(float):
    """A number that knows its origins; else a float like any other."""

    origins: Origins

    def __new__(cls, value: float, origins: Origins = ()) -> "Measured":
        self = super().__new__(cls, value)
        self.origins = origins
        return self

    def __getnewargs__(self) -> tuple[float, Origins]:  # type: ignore[override]
        return float(self), self.origins


def _keeping(operation: Callable[..., Any], swapped: bool = False) -> Callable[..., Any]:
    """An operation of floats whose result has the origins of both sides."""

    def method(self: Measured, *others: Any) -> Any:
        numbers = [float(self), *others]
        if not all(isinstance(other, int | float) or other is None for other in others):
            return NotImplemented
        result = operation(
            *(float(x) if isinstance(x, Measured) else x for x in (numbers[::-1] if swapped else numbers))
        )
        return Measured(result, origins_of(self, *others)) if isinstance(result, float) else result

    return method


for _name in ("add", "sub", "mul", "truediv", "floordiv", "mod", "pow"):
    setattr(Measured, f"__{_name}__", _keeping(getattr(operator, _name)))
    setattr(Measured, f"__r{_name}__", _keeping(getattr(operator, _name), swapped=True))
for _name in ("neg", "pos", "abs"):
    setattr(Measured, f"__{_name}__", _keeping(getattr(operator, _name)))
Measured.__round__ = _keeping(round)  # type: ignore[method-assign]


def origins_of(*values: Any) -> Origins:
    """All origins in these values, each once, the oldest first: of numbers and of what else has `origins`."""
    found: dict[Origin, None] = {}
    waiting = list(values)
    while waiting:
        value = waiting.pop()
        if isinstance(getattr(value, "origins", None), tuple):
            found |= dict.fromkeys(value.origins)
        elif isinstance(value, Mapping):
            waiting += value.values()
        elif isinstance(value, list | tuple | set | frozenset):
            waiting += value
    return tuple(sorted(found, key=lambda origin: origin.date))


def measured(value: Any, origins: Iterable[Origin]) -> Any:
    """The same value, in which every float knows its origins, in lists, tuples and dicts too."""
    origins = tuple(origins)
    if type(value) is float:
        return Measured(value, origins)
    if type(value) in (list, tuple):
        return type(value)(measured(each, origins) for each in value)
    if type(value) is dict:
        return {name: measured(each, origins) for name, each in value.items()}
    return value
