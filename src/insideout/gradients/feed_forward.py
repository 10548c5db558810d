"""The feed-forward network, applied to every position alone: up, GELU, down.

    f(x) = GELU(x W₁ + b₁) W₂ + b₂        GELU(x) = x Φ(x),  Φ(x) = (1 + erf(x/√2)) / 2

Taught in book/1-understanding-gradients/05_feed_forward.md and 09_backpropagation.md.
Source: Hendrycks and Gimpel 2016, the exact form; its derivative below is that of this form, not of the tanh form.
"""

from math import erf, exp, pi, sqrt
from typing import NamedTuple

from insideout.gradients.linear import linear, linear_backward
from insideout.gradients.matrices import Matrix, Vector, apply, same_shape

_ROOT_HALF = sqrt(0.5)
_DENSITY_AT_0 = 1.0 / sqrt(2.0 * pi)


def gelu_number(x: float) -> float:
    """x Φ(x): x times the chance that a standard normal number is smaller than x."""
    return x * 0.5 * (1.0 + erf(x * _ROOT_HALF))


def gelu_slope(x: float) -> float:
    """GELU'(x) = Φ(x) + x φ(x), by the product rule and Φ' = φ, the normal density e^(−x²/2)/√(2π)."""
    return 0.5 * (1.0 + erf(x * _ROOT_HALF)) + x * _DENSITY_AT_0 * exp(-0.5 * x * x)


def gelu(x: Matrix) -> Matrix:
    """GELU of every number: T×F -> T×F."""
    return apply(gelu_number, x)


def gelu_backward(dy: Matrix, x: Matrix) -> Matrix:
    """dx of `gelu`. Each output depends on one input alone: dX_ij = dY_ij GELU'(X_ij)."""
    same_shape(dy, x, "gelu_backward")
    return [[d * gelu_slope(number) for d, number in zip(*rows, strict=True)] for rows in zip(dy, x, strict=True)]


class FeedForwardTrace(NamedTuple):
    """What the forward pass keeps for the backward pass."""

    hidden: Matrix  # x W₁ + b₁, T×F
    activated: Matrix  # GELU(hidden), T×F


def feed_forward(
    x: Matrix, up: Matrix, up_bias: Vector, down: Matrix, down_bias: Vector
) -> tuple[Matrix, FeedForwardTrace]:
    """(y T×C, trace): x T×C, up C×F, up_bias F, down F×C, down_bias C."""
    hidden = linear(x, up, up_bias)
    activated = gelu(hidden)
    return linear(activated, down, down_bias), FeedForwardTrace(hidden, activated)


def feed_forward_backward(
    dy: Matrix, x: Matrix, trace: FeedForwardTrace, up: Matrix, down: Matrix
) -> tuple[Matrix, Matrix, Vector, Matrix, Vector]:
    """(dx, dup, dup_bias, ddown, ddown_bias) of `feed_forward`: its three steps, walked backwards.

        dactivated = dY W₂ᵀ,  dhidden = dactivated ⊙ GELU'(hidden),  dX = dhidden W₁ᵀ

    and each linear map leaves the gradients of its own weights on the way (see `linear_backward`).
    """
    dactivated, ddown, ddown_bias = linear_backward(dy, trace.activated, down)
    dhidden = gelu_backward(dactivated, trace.hidden)
    dx, dup, dup_bias = linear_backward(dhidden, x, up)
    return dx, dup, dup_bias, ddown, ddown_bias
