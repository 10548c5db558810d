"""The sizes of an autoencoder, checked before one is built. Imports no torch, so that help texts are quick.

Used in part 5, by the chapters on the autoencoder and on latent diffusion.
"""

from dataclasses import dataclass

from insideout.errors import BadInput
from insideout.training.config import check_types

__all__ = ["AutoencoderConfig"]

GROUPS = 8
"""Of its normalisation."""


@dataclass(frozen=True)
class AutoencoderConfig:
    """An encoder and a decoder."""

    size: int = 16
    """Pixels of a side."""
    channels: int = 3
    """Numbers of a pixel."""
    width: int = 32
    """Feature maps at full resolution; twice as many at each lower one."""
    n_halvings: int = 2
    """How often the side is halved."""
    latent_channels: int = 4
    """Numbers of a place in the latent."""

    def __post_init__(self) -> None:
        check_types(self)
        for name, least in (("size", 1), ("channels", 1), ("width", GROUPS), ("n_halvings", 0), ("latent_channels", 1)):
            if getattr(self, name) < least:
                raise BadInput(f"{name} is {getattr(self, name)}; it must be at least {least}.")
        if self.width % GROUPS:
            raise BadInput(f"width is {self.width}; it must be a multiple of {GROUPS}.")
        if self.size % 2**self.n_halvings:
            raise BadInput(f"size {self.size} cannot be halved {self.n_halvings} times: choose fewer n_halvings.")

    @property
    def latent_shape(self) -> tuple[int, int, int]:
        """(Z, h, w) of a latent."""
        side = self.size // 2**self.n_halvings
        return self.latent_channels, side, side
