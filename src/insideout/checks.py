"""What is handed to a function, checked: a wrong kind of number or an unmeant shape would mislead in silence.

    n = whole("n", n, 1)                        an int of at least 1
    beta = real("beta", beta)                   a float, finite
    check_shapes(data=data, noise=noise)        tensors of floating-point numbers, or masks, of one shape
    check_finite(rewards=rewards)               and without nan and inf

Whole numbers may be Python's, NumPy's or a tensor's; True is none. Used in every part. Standard library only.
"""

import math
import operator
from typing import Any

from insideout.errors import BadInput

__all__ = ["check_finite", "check_floating", "check_shapes", "real", "whole"]


def whole(name: str, value: Any, low: int, high: int | None = None) -> int:
    """`value` as an int from `low` to `high`. Raises BadInput for another one, and for what is no whole number."""
    try:
        if isinstance(value, bool):
            raise TypeError
        number = operator.index(value)
    except TypeError:
        raise BadInput(f"{name} is {value!r}; it must be a whole number.") from None
    if number < low:
        raise BadInput(f"{name} is {number}; it must be at least {low}.")
    if high is not None and number > high:
        raise BadInput(f"{name} is {number}; it must be at most {high}.")
    return number


def real(name: str, value: Any) -> float:
    """`value` as a float, finite. Raises BadInput for anything else."""
    try:
        if isinstance(value, (str, bytes, bool)):
            raise TypeError
        number = float(value)
    except (TypeError, ValueError, RuntimeError, OverflowError):
        raise BadInput(f"{name} is {value!r}; it must be a number.") from None
    if not math.isfinite(number):
        raise BadInput(f"{name} is {number}; it must be finite.")
    return number


def check_floating(**tensors: Any) -> None:
    """Tensors of floating-point numbers: in whole ones a fraction that is written would be cut off."""
    for name, tensor in tensors.items():
        if not callable(getattr(tensor, "is_floating_point", None)):
            raise BadInput(f"{name} is a {type(tensor).__name__}: give a torch tensor.")
        if not tensor.is_floating_point():
            raise BadInput(f"The numbers of {name} are {tensor.dtype}: give floating-point numbers, {name}.float().")


def check_shapes(**tensors: Any) -> None:
    """All of one shape, (B, 1) beside (B,) would become (B, B); each of floating-point numbers, or a mask."""
    check_floating(**{name: x for name, x in tensors.items() if str(getattr(x, "dtype", "")) != "torch.bool"})
    (first, like), *others = tensors.items()
    for name, tensor in others:
        if tensor.shape != like.shape:
            raise BadInput(
                f"{first} has the shape {tuple(like.shape)} and {name} {tuple(tensor.shape)}: they must have the same."
            )


def check_finite(**tensors: Any) -> None:
    """No nan and no inf: where numbers are compared, nan is less and more than nothing, and passes for equal."""
    for name, tensor in tensors.items():
        strange = ~tensor.isfinite()
        if bool(strange.any()):
            raise BadInput(
                f"{name} has a number that is {float(tensor[strange].flatten()[0])}: all of them must be finite."
            )
