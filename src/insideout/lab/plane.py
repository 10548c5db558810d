"""A flow in the plane, small enough to train on a page: a network for the field, its training, what is measured of it.

    model = train_field(pairs_of(points), seed=0)           pairs_of: data beside noise, drawn anew at every step
    energy_parts(drawn, real)                               how far two sets of points are apart, ten times
    detour(trajectory)                                      how long the ways are, beside straight lines: at least 1

Taught in book/5-from-noise-to-images/01_flow_matching.md, which builds all of it. Used in part 5, by the chapters on
solvers and on diffusion and flow. Shapes: B points (B, 2).
"""

from collections.abc import Callable

import torch
from jaxtyping import Float
from torch import Tensor, nn

from insideout.images.distances import energy
from insideout.images.embeddings import waves
from insideout.images.paths import LINEAR, Path, conditional_velocity, interpolate
from insideout.images.time_sampling import uniform

__all__ = ["PlaneField", "detour", "energy_parts", "pairs_of", "train_field"]

Pairs = Callable[[int, torch.Generator], tuple[Tensor, Tensor]]
"""How many, and a generator -> data and noise that belong together, (B, 2) each."""


class PlaneField(nn.Module):
    """A velocity for each point and time: three hidden layers over the place and the waves of the time."""

    def __init__(self, width: int = 128, n_waves: int = 32, scale: float = 1.0) -> None:
        super().__init__()
        self.n_waves, self.scale = n_waves, scale
        self.layers = nn.Sequential(
            nn.Linear(2 + n_waves, width), nn.SiLU(), nn.Linear(width, width), nn.SiLU(),
            nn.Linear(width, width), nn.SiLU(), nn.Linear(width, 2),
        )  # fmt: skip

    def forward(self, x: Float[Tensor, "B 2"], t: Float[Tensor, " B"]) -> Float[Tensor, "B 2"]:
        return self.layers(torch.cat([x, waves(self.scale * t, self.n_waves)], dim=1))


def pairs_of(points: Float[Tensor, "K 2"]) -> Pairs:
    """Any of the points beside any noise: the independent coupling."""

    def draw(n: int, generator: torch.Generator) -> tuple[Tensor, Tensor]:
        chosen = torch.randint(len(points), (n,), generator=generator)
        return points[chosen], torch.randn(n, 2, generator=generator)

    return draw


def train_field(
    pairs: Pairs, seed: int = 0, n_steps: int = 1500, batch_size: int = 256, rate: float = 2e-3, scale: float = 1.0,
    path: Path = LINEAR,
) -> PlaneField:  # fmt: skip
    """A field trained by flow matching with Adam, the rate falling to 0 by a cosine; the same for the same seed."""
    torch.manual_seed(seed)
    generator = torch.Generator().manual_seed(seed)
    model = PlaneField(scale=scale)
    optimizer = torch.optim.Adam(model.parameters(), lr=rate)
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, n_steps)
    for _ in range(n_steps):
        data, noise = pairs(batch_size, generator)
        t = uniform(batch_size, generator)
        error = model(interpolate(data, noise, t, path), t) - conditional_velocity(data, noise, t, path)
        loss = error.square().mean()
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        schedule.step()
    return model.eval()


def energy_parts(drawn: Float[Tensor, "N 2"], real: Float[Tensor, "M 2"], n_parts: int = 10) -> list[float]:
    """The energy distance of n_parts disjoint parts of each: independent samples, for an interval."""
    return [energy(x, y) for x, y in zip(drawn.tensor_split(n_parts), real.tensor_split(n_parts), strict=True)]


def detour(trajectory: Float[Tensor, "S B 2"]) -> float:
    """The length of all ways, divided by that of the straight lines from their starts to their ends: at least 1."""
    ways = (trajectory[1:] - trajectory[:-1]).norm(dim=-1).sum()
    return float(ways / (trajectory[-1] - trajectory[0]).norm(dim=-1).sum())
