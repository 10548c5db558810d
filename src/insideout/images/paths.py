"""Paths from noise to data, and the four names of what a model of them predicts.

    x_t = a(t) data + s(t) noise         t = 0 is noise, t = 1 is data, here and wherever pictures are drawn

    path      a(t)             s(t)
    linear    t                1 − t
    cosine    sin(πt/2)        cos(πt/2)
    vp        √ᾱ(1 − t)        √(1 − ᾱ(1 − t))      the variance-preserving path of diffusion; at t = 0, a = 0.0066

Velocity dx_t/dt, noise, data and score ∇ log p are one thing: beside x_t and t each gives the others, and since that is
linear, it holds for their averages over all pairs that could have led to x_t, which is what a model learns.
Much of the field counts time the other way; a formula that is copied from there has t and 1 − t exchanged.
Shapes: B pictures of any shape; t is one number, or one a picture (B,). K points.
Taught in book/5-from-noise-to-images/01_flow_matching.md and 03_diffusion_and_flow.md.
Sources: Lipman et al. 2022 (Flow matching); Albergo and Vanden-Eijnden 2022 (Stochastic interpolants); Liu et al. 2022
(Rectified flow); Song et al. 2021 (Score-based generative modeling through SDEs), eq. 33 for the path vp.
"""

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal, get_args

import torch
from jaxtyping import Float
from torch import Tensor

from insideout.checks import check_floating, check_shapes
from insideout.errors import BadInput

__all__ = [
    "COSINE", "LINEAR", "PATHS", "VARIANCE_PRESERVING", "Kind", "Path", "Time", "conditional_velocity", "convert",
    "interpolate", "marginal_velocity", "posterior",
]  # fmt: skip

Kind = Literal["velocity", "noise", "data", "score"]
Time = float | Float[Tensor, " n"] | Float[Tensor, ""]
"""One time, or one a picture."""


@dataclass(frozen=True)
class Path:
    """How much data and how much noise is in x_t, and how fast that changes. Each function takes a tensor of times."""

    name: str
    a: Callable[[Tensor], Tensor]
    s: Callable[[Tensor], Tensor]
    a_slope: Callable[[Tensor], Tensor]
    s_slope: Callable[[Tensor], Tensor]


LINEAR = Path("linear", lambda t: t, lambda t: 1 - t, torch.ones_like, lambda t: -torch.ones_like(t))
COSINE = Path(
    "cosine",
    lambda t: torch.where(t == 0, 0.0, torch.sin(math.pi / 2 * t)),
    lambda t: torch.where(t == 1, 0.0, torch.cos(math.pi / 2 * t)),  # of π/2, rounded, the cosine is 6e-17
    lambda t: math.pi / 2 * torch.cos(math.pi / 2 * t),
    lambda t: -math.pi / 2 * torch.sin(math.pi / 2 * t),
)

BETA_FIRST, BETA_LAST = 0.1, 20.0
"""The rates at which noise comes in, at the data and at the noise: those of DDPM's 1,000 steps, in continuous time."""


def _log_a(t: Tensor) -> Tensor:
    """log a: −½ ∫ β, from the data to where we are."""
    left = 1 - t
    return -left * BETA_FIRST / 2 - left.square() * (BETA_LAST - BETA_FIRST) / 4


def _log_a_slope(t: Tensor) -> Tensor:
    """½ β."""
    return (BETA_FIRST + (1 - t) * (BETA_LAST - BETA_FIRST)) / 2


def _vp_s(t: Tensor) -> Tensor:
    """√(1 − a²), exact near the data too."""
    return torch.sqrt(-torch.expm1(2 * _log_a(t)))


VARIANCE_PRESERVING = Path(
    "vp",
    lambda t: torch.exp(_log_a(t)),
    _vp_s,
    lambda t: torch.exp(_log_a(t)) * _log_a_slope(t),
    lambda t: -torch.exp(2 * _log_a(t)) * _log_a_slope(t) / _vp_s(t),  # a² + s² = 1, so that s s' = −a a'
)
PATHS = {path.name: path for path in (LINEAR, COSINE, VARIANCE_PRESERVING)}


def interpolate(
    data: Float[Tensor, "*shape"], noise: Float[Tensor, "*shape"], t: Time, path: Path = LINEAR
) -> Float[Tensor, "*shape"]:
    """x_t = a(t) data + s(t) noise. Raises BadInput for a t outside [0, 1], and for data and noise of other shapes."""
    check_shapes(data=data, noise=noise)
    times = _times(t, data)
    return path.a(times) * data + path.s(times) * noise


def conditional_velocity(
    data: Float[Tensor, "*shape"], noise: Float[Tensor, "*shape"], t: Time, path: Path = LINEAR
) -> Float[Tensor, "*shape"]:
    """dx_t/dt = a'(t) data + s'(t) noise, of one pair: what flow matching asks a model to predict.

    Raises BadInput for a t outside [0, 1], and at t = 1 of the path vp, where it is infinite.
    Source: Lipman et al. 2022, eq. 14; Albergo and Vanden-Eijnden 2022, eq. 9.
    """
    check_shapes(data=data, noise=noise)
    times = _times(t, data)
    return path.a_slope(times) * data + _s_slope(times, path) * noise


def convert(
    value: Float[Tensor, "*shape"],
    x: Float[Tensor, "*shape"],
    t: Time,
    path: Path = LINEAR,
    *,
    given: Kind,
    wanted: Kind,
) -> Float[Tensor, "*shape"]:
    """One of velocity, noise, data and score from another, at x_t: exactly, by solving x_t and dx_t/dt for the pair.

    Raises BadInput for another name, for a t outside [0, 1], and where one does not tell the other: at t = 0 there is
    no data in x_t, at t = 1 no noise.
    """
    for kind in (given, wanted):
        if kind not in get_args(Kind):
            raise BadInput(f"{kind!r} is none of {', '.join(get_args(Kind))}.")
    check_shapes(value=value, x=x)
    times = _times(t, x)
    if given == wanted:
        return value
    if wanted == "data":
        return _data(value, x, times, path, given)
    noise = _noise(value, x, times, path, given)
    if wanted == "noise":
        return noise
    if wanted == "score":
        return -noise / _nonzero(path.s(times), times, "noise")
    data = _data(value, x, times, path, given)
    return path.a_slope(times) * data + _s_slope(times, path) * noise


def posterior(
    points: Float[Tensor, "K ..."], x: Float[Tensor, "B ..."], t: Time, path: Path = LINEAR
) -> Float[Tensor, "B K"]:
    """p(point | x_t = x) of equally likely points: softmax of −‖x − a point‖² / 2s², since the noise is normal.

    Raises BadInput for a t outside [0, 1), no points, or points of another shape.
    """
    check_floating(points=points, x=x)
    if len(points) == 0:
        raise BadInput("There are no points: give at least one.")
    if points.shape[1:] != x.shape[1:]:
        raise BadInput(f"A point has the shape {tuple(points.shape[1:])} and what is placed {tuple(x.shape[1:])}.")
    times = _times(t, x).reshape(-1, 1, 1)  # (B, 1, 1), or (1, 1, 1) for one t
    s = _nonzero(path.s(times), times, "noise")
    scaled_points, scaled_x = path.a(times) / s * points.flatten(1), x.flatten(1)[:, None] / s  # (B, K, D), (B, 1, D)
    apart = torch.cdist(scaled_x, scaled_points, compute_mode="donot_use_mm_for_euclid_dist")[:, 0]  # (B, K)
    return torch.softmax(-apart.square() / 2, dim=-1)


def marginal_velocity(
    points: Float[Tensor, "K ..."], x: Float[Tensor, "*shape"], t: Time, path: Path = LINEAR
) -> Float[Tensor, "*shape"]:
    """E[dx_t/dt | x_t = x] for data that is one of these points: the field that no model can better, in closed form.

    Each pair's velocity is weighed by how likely it led here. Followed from noise, it ends in the points themselves:
    a model that learned it perfectly would only copy. Raises BadInput for a t outside [0, 1), or no points.
    Source: Lipman et al. 2022, eq. 8.
    """
    expected = (posterior(points, x, t, path) @ points.flatten(1)).reshape(x.shape)  # E[data | x_t = x]
    return convert(expected, x, t, path, given="data", wanted="velocity")


def _data(value: Tensor, x: Tensor, t: Tensor, path: Path, given: Kind) -> Tensor:
    """The data, from any of the four."""
    if given == "velocity":
        a, s, a_slope, s_slope = path.a(t), path.s(t), path.a_slope(t), _s_slope(t, path)
        return (s * value - s_slope * x) / (a_slope * s - a * s_slope)
    if given == "data":
        return value
    a, s = _nonzero(path.a(t), t, "data"), path.s(t)
    return (x - s * value) / a if given == "noise" else (x + s.square() * value) / a


def _noise(value: Tensor, x: Tensor, t: Tensor, path: Path, given: Kind) -> Tensor:
    """The noise, from any of the four."""
    if given == "velocity":
        a, s, a_slope, s_slope = path.a(t), path.s(t), path.a_slope(t), _s_slope(t, path)
        return (a_slope * x - a * value) / (a_slope * s - a * s_slope)
    if given == "noise":
        return value
    s = _nonzero(path.s(t), t, "noise")
    return (x - path.a(t) * value) / s if given == "data" else -s * value


def _s_slope(t: Tensor, path: Path) -> Tensor:
    """s'(t), where it is finite."""
    slope = path.s_slope(t)
    if not torch.isfinite(slope).all():
        raise BadInput(f"The velocity of the path {path.name} is infinite at t = 1: stop before it.")
    return slope


def _nonzero(share: Tensor, t: Tensor, what: str) -> Tensor:
    """A share that is to be divided by."""
    if (zero := share == 0).any():
        raise BadInput(f"At t = {float(t[zero][0]):g} there is no {what} in x_t, so that it tells nothing of it.")
    return share


def _times(t: Time, x: Tensor) -> Tensor:
    """Times in x's type, shaped to multiply it. () or (B,) -> (1 or B, 1, …)"""
    check_floating(x=x)
    times = torch.as_tensor(t, dtype=x.dtype, device=x.device)
    if not ((times >= 0) & (times <= 1)).all():  # not a number is outside too
        outside = times[~((times >= 0) & (times <= 1))].flatten()[0]
        raise BadInput(f"t is {float(outside):g}: it must lie in [0, 1], where 0 is noise and 1 is data.")
    if times.dim() > 1 or (times.dim() == 1 and len(times) not in (1, len(x))):
        raise BadInput(
            f"t has the shape {tuple(times.shape)}: give one number, or one for each of the {len(x)} pictures."
        )
    return times.reshape(-1, *[1] * (x.dim() - 1))
