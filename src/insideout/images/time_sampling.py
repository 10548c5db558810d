"""At which times a model is trained: evenly, or more often in the middle, where noise and data are hard to tell apart.

Shapes: n pictures. t = 0 is noise, 1 is data. Used in part 5, by the chapters on flow matching and on the transformer.
"""

import torch
from jaxtyping import Float
from torch import Tensor

from insideout.checks import real, whole
from insideout.errors import BadInput

__all__ = ["logit_normal", "uniform"]


def uniform(n: int, generator: torch.Generator | None = None) -> Float[Tensor, " n"]:
    """n times, every one in [0, 1) as likely as another. Raises BadInput for fewer than 1."""
    _check(n)
    return torch.rand(n, generator=generator)


def logit_normal(
    n: int, mean: float = 0.0, deviation: float = 1.0, generator: torch.Generator | None = None
) -> Float[Tensor, " n"]:
    """n times σ(z) with z normal: half of them below σ(mean), few near the ends. A mean above 0 is nearer the data.

    The paper counts t from the data to the noise: its mean has the other sign.
    Raises BadInput for fewer than 1, or a deviation that is not above 0. Source: Esser et al. 2024, eq. 19.
    """
    _check(n)
    real("mean", mean)
    if not real("deviation", deviation) > 0:
        raise BadInput(f"deviation is {deviation}: it must be a number above 0.")
    return torch.sigmoid(mean + deviation * torch.randn(n, generator=generator))


def _check(n: int) -> None:
    """There is a time to draw."""
    whole("n", n, 1)
