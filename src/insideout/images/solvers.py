"""From noise to pictures: solvers that follow a velocity field from t = 0 to t = 1, and count how often they ask it.

    solver   calls a step   error at step length h
    euler    1              h
    heun     2              h²
    rk4      4              h⁴
    sde      1              noise taken away and added anew on the way; the same distribution at every t

What a picture costs is calls of the model, not steps: compare solvers at equal calls.
Shapes: x (B, …), B pictures of any shape; a field takes x and the time of each picture, (B,), and gives velocities.
Taught in book/5-from-noise-to-images/02_solvers.md.
"""

from collections.abc import Callable
from typing import Literal, NamedTuple, get_args

import torch
from jaxtyping import Float
from torch import Tensor

from insideout.checks import check_floating, real, whole
from insideout.errors import BadInput
from insideout.images.paths import LINEAR, Path, convert

__all__ = ["CALLS", "Field", "Solution", "Solver", "solve", "solve_sde"]

Field = Callable[[Tensor, Tensor], Tensor]
"""A velocity field: (B, …), (B,) -> (B, …)."""
Solver = Literal["euler", "heun", "rk4"]
CALLS: dict[str, int] = {"euler": 1, "heun": 2, "rk4": 4}
"""Calls of the field in one step."""


class Solution(NamedTuple):
    """Where the solver came to, how often it asked the field, and where it has been."""

    x: Tensor
    """(B, …)"""
    n_calls: int
    trajectory: Tensor | None
    """(n_steps + 1, B, …), from the start to the end, where it was asked for."""


def solve(
    field: Field,
    x: Float[Tensor, "B ..."],
    n_steps: int,
    solver: Solver = "heun",
    *,
    start: float = 0.0,
    end: float = 1.0,
    keep_trajectory: bool = False,
) -> Solution:
    """Follow dx/dt = field(x, t) from start to end in equal steps; from 1 to 0 it finds the noise of a picture.

    Heun and RK4 ask the field at the end too; where it has no value there (marginal_velocity at t = 1), end before it.
    Raises BadInput for fewer than 1 step, another solver, or times outside [0, 1].
    Sources: Heun 1900; Kutta 1901; for diffusion Karras et al. 2022, §3 and algorithm 1.
    """
    if solver not in get_args(Solver):
        raise BadInput(f"{solver!r} is none of the solvers {', '.join(get_args(Solver))}.")
    _check(x, n_steps, start, end)
    h = (end - start) / n_steps
    states = [x]
    for i in range(n_steps):
        t, middle = start + i * h, start + (i + 0.5) * h
        after = end if i == n_steps - 1 else start + (i + 1) * h  # exactly at the end, not a rounding beyond it
        k1 = _ask(field, x, t)
        if solver == "euler":
            slope = k1
        elif solver == "heun":
            k2 = _ask(field, x + h * k1, after)
            slope = (k1 + k2) / 2
        else:
            k2 = _ask(field, x + h / 2 * k1, middle)
            k3 = _ask(field, x + h / 2 * k2, middle)
            k4 = _ask(field, x + h * k3, after)
            slope = (k1 + 2 * k2 + 2 * k3 + k4) / 6
        x = x + h * slope
        if keep_trajectory:
            states.append(x)
    return Solution(x, n_steps * CALLS[solver], torch.stack(states) if keep_trajectory else None)


def solve_sde(
    field: Field,
    x: Float[Tensor, "B ..."],
    n_steps: int,
    *,
    path: Path = LINEAR,
    churn: float = 1.0,
    generator: torch.Generator | None = None,
    keep_trajectory: bool = False,
) -> Solution:
    """Follow dx = (v − churn · E[noise | x]) dt + √(2 churn s(t)) dW from t = 0 to 1, by Euler and Maruyama.

    Since −E[noise | x] / s is the score, the drift that is added takes away just what the new noise spreads: every x_t
    keeps the distribution that it has without, at churn 0, which is Euler's solver. The last step adds no noise, since
    none would take it away. Raises BadInput for fewer than 1 step, or a churn that is not a number of at least 0.
    Sources: Song et al. 2021, §3 and appendix D; the noise √s: Ma et al. 2024 (SiT), §2.3.
    """
    if not 0 <= churn < float("inf"):
        raise BadInput(f"churn is {churn}: it must be a number of at least 0, which is the solver without noise.")
    _check(x, n_steps, 0.0, 1.0)
    h = 1 / n_steps
    states = [x]
    for i in range(n_steps):
        times = torch.full((len(x),), i * h, dtype=x.dtype, device=x.device)
        velocity = field(x, times)
        moved = x + h * velocity
        if churn > 0 and i < n_steps - 1:
            noise = convert(velocity, x, times, path, given="velocity", wanted="noise")  # E[noise | x]
            fresh = torch.randn(x.shape, generator=generator, dtype=x.dtype, device=x.device)
            spread = (2 * churn * path.s(times) * h).sqrt().reshape(-1, *[1] * (x.dim() - 1))
            moved = moved - h * churn * noise + spread * fresh
        x = moved
        if keep_trajectory:
            states.append(x)
    return Solution(x, n_steps, torch.stack(states) if keep_trajectory else None)


def _ask(field: Field, x: Tensor, t: float) -> Tensor:
    """The field's velocity where all pictures are at one time."""
    return field(x, torch.full((len(x),), t, dtype=x.dtype, device=x.device))


def _check(x: Tensor, n_steps: int, start: float, end: float) -> None:
    """There is something that moves, and a way to go."""
    check_floating(x=x)
    whole("n_steps", n_steps, 1)
    for name, time in (("start", start), ("end", end)):
        real(name, time)
    if not (0 <= start <= 1 and 0 <= end <= 1):
        raise BadInput(f"The times are {start:g} and {end:g}: both must lie in [0, 1], where 0 is noise and 1 is data.")
