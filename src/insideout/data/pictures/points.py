"""Points in the plane: distributions whose every field is known, or can be drawn.

    moons          two half circles, one in the other
    spiral         one arm, noisier the further out
    checkerboard   every other field of a board of 4 × 4, evenly filled
    gaussians      eight round heaps on a circle

All have a mean near 0 and reach about as far as standard normal noise. Shapes: (n, 2).
Taught in book/5-from-noise-to-images/01_flow_matching.md.
"""

import math
from collections.abc import Callable

import torch
from jaxtyping import Float
from torch import Tensor

from insideout.checks import whole
from insideout.errors import BadInput

__all__ = ["DISTRIBUTIONS", "checkerboard", "gaussians", "moons", "points", "spiral"]


def moons(n: int, generator: torch.Generator, noise: float = 0.07) -> Float[Tensor, "n 2"]:
    """Two half circles of radius 1, each with its end in the middle of the other, and noise around them."""
    angle = math.pi * torch.rand(n, generator=generator)
    lower = torch.rand(n, generator=generator) < 0.5
    upper = torch.stack([angle.cos() - 0.5, angle.sin() - 0.25], 1)
    # the lower one is the upper one turned by half a turn about the origin
    on_curve = torch.where(lower[:, None], -upper, upper)
    return on_curve + noise * torch.randn(n, 2, generator=generator)


def spiral(n: int, generator: torch.Generator, turns: float = 1.5, noise: float = 0.04) -> Float[Tensor, "n 2"]:
    """One arm from the middle out to radius 2, evenly filled by length."""
    share = torch.rand(n, generator=generator).sqrt()  # of the way out: the arm is longer further out
    angle = 2 * math.pi * turns * share
    on_curve = 2 * share[:, None] * torch.stack([angle.cos(), angle.sin()], 1)
    return on_curve + noise * (1 + share[:, None]) * torch.randn(n, 2, generator=generator)


def checkerboard(n: int, generator: torch.Generator) -> Float[Tensor, "n 2"]:
    """Evenly on the dark fields of a 4 × 4 board over [-2, 2]²."""
    field = torch.randint(8, (n,), generator=generator)
    row, column = field // 2, 2 * (field % 2)
    corner = torch.stack([column + row % 2, row], 1) - 2.0
    return corner + torch.rand(n, 2, generator=generator)


def gaussians(
    n: int, generator: torch.Generator, radius: float = 1.75, deviation: float = 0.15
) -> Float[Tensor, "n 2"]:
    """Eight normal heaps, equally likely, on a circle."""
    angle = 2 * math.pi / 8 * torch.randint(8, (n,), generator=generator)
    centres = radius * torch.stack([angle.cos(), angle.sin()], 1)
    return centres + deviation * torch.randn(n, 2, generator=generator)


DISTRIBUTIONS: dict[str, Callable[[int, torch.Generator], Tensor]] = {
    "moons": moons, "spiral": spiral, "checkerboard": checkerboard, "gaussians": gaussians,
}  # fmt: skip


def points(name: str, n: int, seed: int = 0) -> Float[Tensor, "n 2"]:
    """n points of a distribution, the same for the same seed. Raises BadInput for another name, or fewer than 1."""
    if name not in DISTRIBUTIONS:
        raise BadInput(f"There are no points called {name!r}: choose one of {', '.join(DISTRIBUTIONS)}.")
    whole("n", n, 1)
    return DISTRIBUTIONS[name](n, torch.Generator().manual_seed(seed))
