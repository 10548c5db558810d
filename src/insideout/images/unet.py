"""A small U-Net: down to lower resolutions and up again, with what was seen on the way down beside.

Each level has residual blocks of two 3 × 3 convolutions, told time and class by a gain and a shift of their second
normalisation; attention stands at the lowest resolution alone. The last convolution begins at 0, as the transformer's
last layer does, so that the two are compared from the same start.
Shapes: B pictures, C feature maps. Used in part 5, by the chapters on flow matching and on the transformer.
Sources: Ronneberger et al. 2015; Ho et al. 2020, appendix B; Dhariwal and Nichol 2021.
"""

import torch
from jaxtyping import Float, Int64
from torch import Tensor, nn
from torch.nn import functional as F

from insideout.errors import BadInput
from insideout.images.conditions import Condition
from insideout.images.config import UNetConfig
from insideout.images.dit import Attention

__all__ = ["UNet"]

GROUPS = 8


class UNet(nn.Module):
    """Velocities of noisy pictures, from their times and classes: called as the diffusion transformer is."""

    def __init__(self, config: UNetConfig) -> None:
        super().__init__()
        self.config = config
        told = 4 * config.width
        widths = [config.width * 2**level for level in range(config.n_levels)]
        self.condition = Condition(told, config.n_classes)
        self.into = nn.Conv2d(config.channels, config.width, 3, padding=1)
        self.down = nn.ModuleList()
        self.up = nn.ModuleList()
        before = config.width
        for width in widths:
            blocks = [ResidualBlock(before if i == 0 else width, width, told) for i in range(config.n_blocks)]
            self.down.append(nn.ModuleList(blocks))
            before = width
        self.middle = ResidualBlock(before, before, told)
        self.norm = nn.GroupNorm(GROUPS, before)
        self.attention = Attention(before, max(1, before // 32))
        for width in reversed(widths):
            blocks = [ResidualBlock(before + width if i == 0 else width, width, told) for i in range(config.n_blocks)]
            self.up.append(nn.ModuleList(blocks))
            before = width
        self.out_norm = nn.GroupNorm(GROUPS, before)
        self.out = nn.Conv2d(before, config.channels, 3, padding=1)
        nn.init.zeros_(self.out.weight)
        nn.init.zeros_(self.out.bias)  # type: ignore[arg-type]

    @property
    def n_parameters(self) -> int:
        """How many numbers the model learns."""
        return sum(parameter.numel() for parameter in self.parameters())

    @property
    def n_classes(self) -> int:
        """Classes it can be told; the label n_classes is the null class."""
        return self.config.n_classes

    def forward(
        self, x: Float[Tensor, "B channels H W"], t: Float[Tensor, " B"], labels: Int64[Tensor, " B"] | None = None
    ) -> Float[Tensor, "B channels H W"]:
        """The velocity of each picture at its time. Raises BadInput as the diffusion transformer does."""
        size = self.config.size
        if x.shape[1:] != (self.config.channels, size, size):
            raise BadInput(
                f"The pictures are {tuple(x.shape[1:])}; the model draws {(self.config.channels, size, size)}."
            )
        told = F.silu(self.condition(t, labels))
        h, seen = self.into(x), []
        for level, blocks in enumerate(self.down):
            if level:
                h = F.avg_pool2d(h, 2)
            for block in blocks:  # type: ignore[attr-defined]
                h = block(h, told)
            seen.append(h)
        h = self.middle(h, told)
        places = self.norm(h).flatten(2).transpose(1, 2)  # (B, H W, C)
        h = h + self.attention(places, places).transpose(1, 2).reshape(h.shape)
        for level, blocks in enumerate(self.up):
            if level:
                h = F.interpolate(h, scale_factor=2, mode="nearest")
            h = torch.cat([h, seen.pop()], 1)
            for block in blocks:  # type: ignore[attr-defined]
                h = block(h, told)
        return self.out(F.silu(self.out_norm(h)))


class ResidualBlock(nn.Module):
    """x + two convolutions of it; the second's norm is told the condition."""

    def __init__(self, before: int, width: int, told: int) -> None:
        super().__init__()
        self.first_norm, self.second_norm = nn.GroupNorm(GROUPS, before), nn.GroupNorm(GROUPS, width)
        self.first = nn.Conv2d(before, width, 3, padding=1)
        self.second = nn.Conv2d(width, width, 3, padding=1)
        self.modulation = nn.Linear(told, 2 * width)
        self.past = nn.Conv2d(before, width, 1) if before != width else nn.Identity()
        nn.init.zeros_(self.second.weight)
        nn.init.zeros_(self.second.bias)  # type: ignore[arg-type]

    def forward(self, x: Float[Tensor, "B before H W"], told: Float[Tensor, "B told"]) -> Float[Tensor, "B C H W"]:
        h = self.first(F.silu(self.first_norm(x)))
        scale, shift = self.modulation(told)[:, :, None, None].chunk(2, dim=1)
        return self.past(x) + self.second(F.silu(self.second_norm(h) * (1 + scale) + shift))
