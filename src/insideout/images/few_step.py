"""Few steps: from a field that needs many calls to one that needs few.

    reflow        train again on pairs of noise and where the field carried it: paths that hardly bend
    consistency   learn the mean velocity from here to the data, so that one call arrives there:
                  jump(x, t) = x + (1 − t) model(x, t);   what is right at t + h tells what is right at t

Both keep the model's form: it takes x and t and gives a velocity, so a model that draws can be trained on from where it
is. All of it is of the linear path. Shapes: B pictures of any shape; t is the time of each picture, (B,).
Taught in book/5-from-noise-to-images/12_few_steps.md.
Sources: Liu et al. 2022 (Flow straight and fast), §2; Song et al. 2023 (Consistency models), §3 and algorithms 1 and 2.
"""

from collections.abc import Callable, Mapping

import torch
from jaxtyping import Float
from torch import Tensor, nn

from insideout.checks import check_shapes, whole
from insideout.errors import BadInput
from insideout.images.paths import conditional_velocity, interpolate
from insideout.images.solvers import Field, Solution, Solver, solve
from insideout.images.time_sampling import uniform

__all__ = ["consistency_loss", "consistency_target", "draw_by_jumps", "jump", "reflow_loss", "reflow_pairs"]

Loss = Callable[[nn.Module, Mapping[str, Tensor]], tuple[Tensor, Tensor, dict[str, tuple[Tensor, Tensor]]]]


@torch.no_grad()
def reflow_pairs(
    field: Field, noise: Float[Tensor, "B ..."], n_steps: int = 20, solver: Solver = "heun"
) -> tuple[Tensor, Tensor]:
    """(data, noise) that belong together: each noise, and where the field carries it.

    The data have the distribution that the field draws; its errors come with them. Source: Liu et al. 2022, §2.1.
    """
    return solve(field, noise, n_steps, solver).x, noise


def reflow_loss() -> Loss:
    """The loss for insideout.training on pairs: a batch holds pictures, the noise of each, and what the model is told.

    Gives (Σ over pictures of the mean square, how many pictures, {}). Raises BadInput for a batch without noise.
    """

    def loss(model: nn.Module, batch: Mapping[str, Tensor]) -> tuple[Tensor, Tensor, dict[str, tuple[Tensor, Tensor]]]:
        told = dict(batch)
        data, noise = told.pop("pictures"), told.pop("noise", None)
        if noise is None:
            raise BadInput("The batch has no noise: reflow learns from pairs, which reflow_pairs makes.")
        check_shapes(data=data, noise=noise)
        t = uniform(len(data)).to(data.device)
        error = model(interpolate(data, noise, t), t, **told).float() - conditional_velocity(data, noise, t)
        return error.square().flatten(1).mean(1).sum(), torch.tensor(len(data)), {}

    return loss


def jump(field: Field, x: Float[Tensor, "B ..."], t: Float[Tensor, " B"]) -> Float[Tensor, "B ..."]:
    """x + (1 − t) field(x, t): where one step of Euler to t = 1 arrives. At t = 1 it is x itself."""
    return x + _as_wide(1 - t, x) * field(x, t)


@torch.no_grad()
def consistency_target(
    slow: Field, field: Field, x: Float[Tensor, "B ..."], t: Float[Tensor, " B"], h: float
) -> Float[Tensor, "B ..."]:
    """The mean velocity from (x, t) to the data: a step h of Heun's along `field`, and from there the jump of `slow`.

    Where `slow` jumps rightly from t + h, this is right at t. Raises BadInput where t + h is beyond 1.
    Source: Song et al. 2023, eq. 7, written for velocities; there the step is along the field of diffusion.
    """
    if not 0 < h <= 1 or float((t + h).max()) > 1 + 1e-6:
        raise BadInput(f"From t = {float(t.max()):g} a step of {h:g} leads beyond 1, or nowhere.")
    later, wide = (t + h).clamp(max=1), _as_wide(torch.full_like(t, h), x)
    first = field(x, t)
    moved = x + wide * (first + field(x + wide * first, later)) / 2
    return (jump(slow, moved, later) - x) / _as_wide(1 - t, x)


def consistency_loss(field_of: Callable[[Mapping[str, Tensor]], Field], slow: nn.Module, n_times: int = 16) -> Loss:
    """The loss for insideout.training: a batch holds pictures, and what the model is told beside its time.

    `field_of(told)` is the teacher's field, `slow` a copy of the model that the caller keeps behind it, such as an
    average of its weights; times are multiples of 1 / n_times. Raises BadInput for fewer than 2 times.
    Source: Song et al. 2023, algorithm 2 (consistency distillation).
    """
    whole("n_times", n_times, 2)

    def loss(model: nn.Module, batch: Mapping[str, Tensor]) -> tuple[Tensor, Tensor, dict[str, tuple[Tensor, Tensor]]]:
        told = dict(batch)
        data = told.pop("pictures")
        t = (torch.randint(n_times, (len(data),)) / n_times).to(data.device)
        x = interpolate(data, torch.randn_like(data), t)
        wanted = consistency_target(lambda x, t: slow(x, t, **told), field_of(told), x, t, 1 / n_times)
        error = _as_wide(1 - t, x) * (model(x, t, **told).float() - wanted)  # of where it arrives
        return error.square().flatten(1).mean(1).sum(), torch.tensor(len(data)), {}

    return loss


@torch.no_grad()
def draw_by_jumps(
    field: Field, noise: Float[Tensor, "B ..."], n_calls: int, generator: torch.Generator | None = None
) -> Solution:
    """Jump to the data; noise it again to t = 1/n, 2/n, …, and jump from there: n_calls jumps in all.

    Raises BadInput for fewer than 1 call. Source: Song et al. 2023, algorithm 1.
    """
    whole("n_calls", n_calls, 1)
    x = noise
    for i in range(n_calls):
        t = torch.full((len(x),), i / n_calls, dtype=x.dtype, device=x.device)
        if i:
            fresh = torch.randn(x.shape, generator=generator, dtype=x.dtype, device=x.device)
            x = interpolate(x, fresh, t)
        x = jump(field, x, t)
    return Solution(x, n_calls, None)


def _as_wide(t: Tensor, x: Tensor) -> Tensor:
    """(B,) -> (B, 1, …), as many axes as x has."""
    return t.reshape(-1, *[1] * (x.dim() - 1))
