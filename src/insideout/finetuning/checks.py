"""What is handed to losses and advantages, checked: a shape that is not meant would broadcast, and teach in silence.

Used by the modules beside it. Whatever cannot be used raises BadInput with one sentence.
"""

from typing import Any

import torch
from torch import Tensor

from insideout.checks import check_shapes, real
from insideout.errors import BadInput

__all__ = ["check_mask", "check_positive", "check_range", "check_shapes"]


def check_mask(mask: Tensor, name: str = "mask") -> None:
    """True and False, not 1 and 0."""
    if mask.dtype != torch.bool:
        raise BadInput(f"The numbers of {name} are {mask.dtype}, and it must be torch.bool: give {name}.bool().")


def check_positive(name: str, value: Any) -> None:
    """A finite number above 0."""
    if not real(name, value) > 0:
        raise BadInput(f"{name} is {value}: it must be a finite number above 0.")


def check_range(name: str, value: Any, low: float, high: float) -> None:
    """A number from `low` to `high`."""
    if not low <= real(name, value) <= high:
        raise BadInput(f"{name} is {value}: it must lie between {low:g} and {high:g}.")
