"""The sizes of a model of pictures, checked before one is built. Imports no torch, so that help texts are quick.

Used in part 5, by the chapters on flow matching and on the diffusion transformer.
"""

from dataclasses import dataclass

from insideout.errors import BadInput
from insideout.training.config import check_types

__all__ = ["DiTConfig", "UNetConfig"]


@dataclass(frozen=True)
class DiTConfig:
    """A diffusion transformer."""

    size: int = 16
    """Pixels of a side."""
    channels: int = 1
    """Numbers of a pixel: 1 grey, 3 colours, or those of a latent."""
    patch: int = 2
    """Pixels of a patch's side; a patch is a position."""
    d_model: int = 128
    """Width of a position's vector."""
    n_layers: int = 6
    """Blocks."""
    n_heads: int = 4
    """Heads of attention."""
    widening: int = 4
    """How many times wider the inside of a feed-forward layer is."""
    n_classes: int = 0
    """Classes that it can be told to draw; 0: it is told none. One more, the null class, says nothing."""
    text_width: int = 0
    """Width of the vectors of a text that it can read by cross-attention; 0: it reads none."""

    def __post_init__(self) -> None:
        check_types(self)
        _at_least(self, size=1, channels=1, patch=1, d_model=4, n_layers=1, n_heads=1, widening=1)
        _at_least(self, n_classes=0, text_width=0)
        if self.size % self.patch:
            raise BadInput(
                f"size {self.size} is not divisible by patch {self.patch}: choose a patch of "
                f"{' or '.join(str(n) for n in range(1, self.size + 1) if self.size % n == 0)}."
            )
        if self.d_model % self.n_heads:
            raise BadInput(f"d_model {self.d_model} is not divisible by n_heads {self.n_heads}.")
        if self.d_model % 4:
            raise BadInput(
                f"d_model is {self.d_model}; it must be a multiple of 4: a quarter each tells row and column."
            )

    @property
    def n_patches(self) -> int:
        """Positions of a picture."""
        return (self.size // self.patch) ** 2


@dataclass(frozen=True)
class UNetConfig:
    """A small U-Net."""

    size: int = 16
    """Pixels of a side."""
    channels: int = 1
    """Numbers of a pixel."""
    width: int = 32
    """Feature maps at full resolution; twice as many at each lower one."""
    n_levels: int = 2
    """Resolutions, each half the one above."""
    n_blocks: int = 1
    """Residual blocks at each resolution, on either side."""
    n_classes: int = 0
    """Classes that it can be told to draw; 0: it is told none."""

    def __post_init__(self) -> None:
        check_types(self)
        _at_least(self, size=1, channels=1, width=8, n_levels=1, n_blocks=1, n_classes=0)
        if self.width % 8:
            raise BadInput(f"width is {self.width}; it must be a multiple of 8, the groups of its normalisation.")
        if self.size % 2 ** (self.n_levels - 1):
            raise BadInput(
                f"size {self.size} cannot be halved {self.n_levels - 1} times: choose fewer n_levels, or another size."
            )


def _at_least(config: object, **least: int) -> None:
    for name, number in least.items():
        if getattr(config, name) < number:
            raise BadInput(f"{name} is {getattr(config, name)}; it must be at least {number}.")
