"""How a model of pictures is told where it is: the time of each picture, and the place of each patch.

    time(t)   = [cos(ω_i · 1000 t), sin(ω_i · 1000 t)]      ω_i = 10000^(-i / half), i = 0 … half − 1
    place     = [row's sines and cosines, column's sines and cosines]

The waves were made for steps 0 … 1000. Fed with t in [0, 1] as it is, nearly all of them stand still, and the model is
blind to time; hence the factor, which belongs to the embedding and to nothing else.
Shapes: B pictures, T patches, C width. Taught in book/5-from-noise-to-images/04_diffusion_transformer.md.
Sources: Vaswani et al. 2017, §3.5; Dhariwal and Nichol 2021; Peebles and Xie 2023, §3.2.
"""

import math

import torch
from jaxtyping import Float
from torch import Tensor, nn

from insideout.errors import BadInput

__all__ = ["TimeEmbedding", "places", "waves"]

TIME_SCALE = 1000.0
LONGEST = 10_000.0


def waves(position: Float[Tensor, " n"], width: int) -> Float[Tensor, "n width"]:
    """Cosines, then sines, of a position at width / 2 frequencies from 1 down to nearly 1/10000.

    Raises BadInput for a width that is not even and above 0.
    """
    if width < 2 or width % 2:
        raise BadInput(f"The width of the waves is {width}: it must be even, a sine to every cosine.")
    half = width // 2
    frequencies = torch.exp(-math.log(LONGEST) / half * torch.arange(half, device=position.device))
    angles = position.float()[:, None] * frequencies  # (n, half)
    return torch.cat([angles.cos(), angles.sin()], dim=1)


class TimeEmbedding(nn.Module):
    """The time of each picture, 0 noise to 1 data, as a vector: waves, then two layers."""

    def __init__(self, width: int, n_waves: int = 128, scale: float = TIME_SCALE) -> None:
        super().__init__()
        self.n_waves, self.scale = n_waves, scale
        self.layers = nn.Sequential(nn.Linear(n_waves, width), nn.SiLU(), nn.Linear(width, width))

    def forward(self, t: Float[Tensor, " B"]) -> Float[Tensor, "B C"]:
        """Raises BadInput for a time outside [0, 1]."""
        if not ((t >= 0) & (t <= 1)).all():
            raise BadInput(f"t reaches from {float(t.min()):g} to {float(t.max()):g}: it must lie in [0, 1].")
        return self.layers(waves(self.scale * t.float(), self.n_waves))


def places(rows: int, columns: int, width: int) -> Float[Tensor, "T C"]:
    """The place of each patch, row by row: half the width tells the row, half the column. T = rows · columns.

    Raises BadInput for a width that is not a multiple of 4.
    """
    if width < 4 or width % 4:
        raise BadInput(f"The width of the places is {width}: it must be a multiple of 4.")
    row, column = waves(torch.arange(rows).float(), width // 2), waves(torch.arange(columns).float(), width // 2)
    return torch.cat([row.repeat_interleave(columns, dim=0), column.repeat(rows, 1)], dim=1)
