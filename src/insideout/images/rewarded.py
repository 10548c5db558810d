"""A flow as a policy, so that it can learn from rewards of what it draws: each step of the SDE is a Gaussian.

    x_{i+1} = μ(x_i) + σ_i ε        μ(x) = x + h (v − c E[noise | x])        σ_i² = 2 c s(t_i) h

solve_sde draws so, and keeps every x_t that it had, whatever the churn c. The last step adds no noise, and so has no
log-probability: a policy gradient leaves out what the weights do to the reward by that step alone. Nor has the first
noise, which no weight decides. With c = 0 nothing is left to chance, and there is no policy. Advantages and the clipped
loss are those of any policy: insideout.finetuning.

    trajectory = solve_sde(field, noise, n_steps, churn=c, keep_trajectory=True).trajectory
    logprobs = step_logprobs(field, trajectory, churn=c)                     (n_steps − 1, B)

Shapes: B pictures of any shape, n steps, of which n − 1 are drawn.
Taught in book/5-from-noise-to-images/13_rewards_for_pictures.md.
Sources: Black et al. 2023 (DDPO), §4.3; Liu et al. 2025 (Flow-GRPO), §4.
"""

import math
from collections.abc import Sequence

import torch
from jaxtyping import Float
from torch import Tensor

from insideout.checks import check_floating, check_shapes, whole
from insideout.errors import BadInput
from insideout.images.paths import LINEAR, Path, convert
from insideout.images.solvers import Field

__all__ = ["gaussian_kl", "gaussian_logprobs", "step_deviations", "step_logprobs", "step_means"]


def step_deviations(n_steps: int, *, churn: float = 1.0, path: Path = LINEAR) -> Float[Tensor, " n"]:
    """σ of each step that is drawn, n_steps − 1 of them, in float64.

    Raises BadInput for fewer than 2 steps, and for a churn that is not above 0: a step without noise has no density.
    """
    if not 0 < churn < math.inf:
        raise BadInput(f"churn is {churn}: it must be above 0, since a step without noise has no log-probability.")
    whole("n_steps", n_steps, 2)
    t = torch.arange(n_steps - 1, dtype=torch.float64) / n_steps
    return (2 * churn * path.s(t) / n_steps).sqrt()


def step_means(
    field: Field, trajectory: Float[Tensor, "states B ..."], steps: Sequence[int] | None = None, *, churn: float = 1.0,
    path: Path = LINEAR,
) -> Float[Tensor, "n B ..."]:  # fmt: skip
    """μ of each drawn step, or of those in `steps`, from where it began; the field is asked once for all of them.

    Raises BadInput for a trajectory of fewer than 2 steps, and for a step that is not drawn.
    """
    chosen, n_steps = _chosen(trajectory, steps)
    x = trajectory[chosen]  # (n, B, …)
    n, B = x.shape[:2]
    t = (torch.tensor(chosen, dtype=x.dtype, device=x.device) / n_steps).repeat_interleave(B)
    flat = x.flatten(0, 1)
    velocity = field(flat, t)
    noise = convert(velocity, flat, t, path, given="velocity", wanted="noise")  # E[noise | x]
    return (flat + (velocity - churn * noise) / n_steps).reshape(n, B, *x.shape[2:])


def step_logprobs(
    field: Field, trajectory: Float[Tensor, "states B ..."], steps: Sequence[int] | None = None, *, churn: float = 1.0,
    path: Path = LINEAR,
) -> Float[Tensor, "n B"]:  # fmt: skip
    """log π(x_{i+1} | x_i) of each drawn step, or of those in `steps`: of whole pictures, in nats.

    The churn must be that which was drawn with. Raises BadInput where step_means and step_deviations do.
    """
    chosen, n_steps = _chosen(trajectory, steps)
    deviations = step_deviations(n_steps, churn=churn, path=path)[chosen].to(trajectory)
    means = step_means(field, trajectory, chosen, churn=churn, path=path)
    return gaussian_logprobs(trajectory[[i + 1 for i in chosen]], means, deviations)


def gaussian_logprobs(
    x: Float[Tensor, "n B ..."], means: Float[Tensor, "n B ..."], deviations: Float[Tensor, " n"]
) -> Float[Tensor, "n B"]:
    """−Σ over numbers of (x − μ)² / 2σ² + log σ + ½ log 2π."""
    check_shapes(x=x, means=means)
    sigma = deviations[:, None]
    squares = (x - means).flatten(2).square().sum(-1)  # (n, B)
    width = math.prod(x.shape[2:])
    return -squares / (2 * sigma.square()) - width * (sigma.log() + math.log(2 * math.pi) / 2)


def gaussian_kl(
    means: Float[Tensor, "n B ..."], reference_means: Float[Tensor, "n B ..."], deviations: Float[Tensor, " n"]
) -> Float[Tensor, "n B"]:
    """‖μ − μ_ref‖² / 2σ²: KL of two steps with one deviation, in nats, exactly. Its sum over a trajectory that the
    policy drew is, on average, the KL of the whole way."""
    check_shapes(means=means, reference_means=reference_means)
    return (means - reference_means).flatten(2).square().sum(-1) / (2 * deviations[:, None].square())


def _chosen(trajectory: Tensor, steps: Sequence[int] | None) -> tuple[list[int], int]:
    """Which steps, and of how many."""
    check_floating(trajectory=trajectory)
    n_steps = len(trajectory) - 1
    if trajectory.dim() < 3 or n_steps < 2:
        raise BadInput(
            f"The trajectory has the shape {tuple(trajectory.shape)}: give (n_steps + 1, B, …), of at least 2 steps."
        )
    chosen = list(range(n_steps - 1)) if steps is None else [int(each) for each in steps]
    if not chosen or not 0 <= min(chosen) <= max(chosen) < n_steps - 1:
        raise BadInput(
            f"The steps {chosen} were asked for: {n_steps - 1} of {n_steps} are drawn, numbered from 0, and the last "
            "step adds no noise."
        )
    return chosen, n_steps
