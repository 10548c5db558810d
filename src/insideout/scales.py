"""The three scales: one word that chooses how large everything is.

    tiny     seconds, for tests          laptop   minutes on two cores, what the book's claims are about
    gpu      one accelerator or several

What a scale means for a stage stands in that stage's file, in one table. `INSIDEOUT_SCALE` chooses, else laptop.
"""

import os
from typing import Literal, get_args

from insideout.errors import BadInput

Scale = Literal["tiny", "laptop", "gpu"]
SCALES: tuple[Scale, ...] = get_args(Scale)


def scale() -> Scale:
    """The scale at which everything runs: INSIDEOUT_SCALE, else laptop."""
    return to_scale(os.environ.get("INSIDEOUT_SCALE") or "laptop", "INSIDEOUT_SCALE")


def to_scale(name: str, where: str = "--scale") -> Scale:
    """A scale by name. Raises BadInput for another word."""
    if name not in SCALES:
        raise BadInput(f"{where} is {name!r}; it must be one of {', '.join(SCALES)}.")
    return name
