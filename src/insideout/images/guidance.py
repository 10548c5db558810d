"""Guidance: away from what a weaker prediction says, along the line to a stronger one, and beyond.

    weaker + w (stronger − weaker)

w = 0 is the weaker, w = 1 the stronger, more is guidance. Some of the field call 0 what is 1 here. The same line serves
velocity, noise, data and score, since each is linear in the others and the two weights sum to 1.
What is drawn with w above 1 comes from no distribution that anything was trained on: not from p(x) p(y | x)^w either.
Shapes: B pictures of any shape. Taught in book/5-from-noise-to-images/07_guidance.md.
"""

from jaxtyping import Float
from torch import Tensor

from insideout.checks import check_shapes, real
from insideout.errors import BadInput
from insideout.images.solvers import Field

__all__ = ["autoguidance", "classifier_free", "guided"]


def classifier_free(
    conditional: Float[Tensor, "*shape"], unconditional: Float[Tensor, "*shape"], w: float
) -> Float[Tensor, "*shape"]:
    """unconditional + w (conditional − unconditional); at w = 1 and w = 0 one of the two itself, bit for bit.

    Raises BadInput for a w that is not a number. Source: Ho and Salimans 2022, eq. 6, whose w is ours less 1.
    """
    return _along(conditional, unconditional, w)


def autoguidance(
    model: Float[Tensor, "*shape"], worse_model: Float[Tensor, "*shape"], w: float
) -> Float[Tensor, "*shape"]:
    """worse + w (model − worse): both are told the same condition; the worse is smaller, or was trained less.

    Where the two err alike, the worse errs further. What the condition leaves open is not narrowed.
    Raises BadInput for a w that is not a number.
    Source: Karras et al. 2024 (Guiding a diffusion model with a bad version of itself).
    """
    return _along(model, worse_model, w)


def guided(stronger: Field, weaker: Field, w: float, interval: tuple[float, float] = (0.0, 1.0)) -> Field:
    """A field for the solvers, guided while t is in the interval, both ends too; elsewhere the stronger one alone.

    The weaker one is asked only where it counts: at w = 1, and outside the interval, a picture costs half. Pictures of
    one call share their time. Raises BadInput for a w that is not a number, or an interval that is not in order within
    [0, 1]. Source: Kynkäänniemi et al. 2024 (Applying guidance in a limited interval), §2.
    """
    low, high = (real("a time of the interval", each) for each in interval)
    if not 0 <= low <= high <= 1:
        raise BadInput(f"The interval is {interval}: give two times in order within [0, 1], where 0 is noise.")
    _check(w)

    def field(x: Tensor, t: Tensor) -> Tensor:
        if t.numel() > 1 and bool((t != t.flatten()[0]).any()):
            raise BadInput("A guided field was given pictures at different times: give it one time a call.")
        if w == 1 or not low <= float(t.flatten()[0]) <= high:
            return stronger(x, t)
        return weaker(x, t) if w == 0 else _along(stronger(x, t), weaker(x, t), w)

    return field


def _along(stronger: Tensor, weaker: Tensor, w: float) -> Tensor:
    """The point w of the way from the weaker to the stronger."""
    _check(w)
    check_shapes(stronger=stronger, weaker=weaker)
    if w == 1:  # else u + (c − u) is c but for rounding
        return stronger
    return weaker if w == 0 else weaker + w * (stronger - weaker)


def _check(w: float) -> None:
    """A weight that can be used."""
    real("w", w)
