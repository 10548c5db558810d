"""The three scales: one word that chooses how large everything is.

    tiny     seconds, for tests          laptop   minutes on two cores, what the book's claims are about
    gpu      one accelerator or several

What a scale means for a stage stands in that stage's file, in one table. The scale is an argument that is handed down;
where it is left out, it is that of the `with at(…)` around it, else what INSIDEOUT_SCALE says, else laptop.
"""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Literal, get_args

from insideout.errors import BadInput

Scale = Literal["tiny", "laptop", "gpu"]
SCALES: tuple[Scale, ...] = get_args(Scale)

_present: ContextVar[Scale | None] = ContextVar("scale", default=None)


def scale() -> Scale:
    """The scale where none is given: that of `at`, else INSIDEOUT_SCALE, else laptop."""
    return _present.get() or to_scale(os.environ.get("INSIDEOUT_SCALE") or "laptop", "INSIDEOUT_SCALE")


@contextmanager
def at(chosen: Scale) -> Iterator[None]:
    """Inside, `scale()` is this one: for functions that take no scale, such as a study's."""
    before = _present.set(chosen)
    try:
        yield
    finally:
        _present.reset(before)


def to_scale(name: str, where: str = "--scale") -> Scale:
    """A scale by name. Raises BadInput for another word."""
    if name not in SCALES:
        raise BadInput(f"{where} is {name!r}; it must be one of {', '.join(SCALES)}.")
    return name
