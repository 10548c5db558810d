"""Pictures with their classes, in the range that models are trained in, and how a set of them is cut into three.

    pictures  (N, C, H, W) float32 in [-1, 1]: -1 is black, 1 is white or full colour
    labels    (N,) int64, from 0 on

Used from book/5-from-noise-to-images on.
"""

import hashlib
import random
from collections.abc import Sequence
from dataclasses import dataclass

import torch
from jaxtyping import Float, Int64, UInt8
from torch import Tensor

from insideout.checks import check_floating
from insideout.data.suite import Split
from insideout.errors import BadInput

__all__ = ["Pictures", "Splits", "cut", "from_bytes", "to_bytes"]

Splits = dict[Split, "Pictures"]
"""What is trained on, what choices are made by, and what is reported on."""


@dataclass(frozen=True)
class Pictures:
    """Pictures with their classes."""

    pictures: Float[Tensor, "N C H W"]
    labels: Int64[Tensor, " N"]
    names: tuple[str, ...]
    """Of the classes, by label."""

    def __post_init__(self) -> None:
        if self.pictures.dim() != 4 or len(self.pictures) != len(self.labels):
            raise BadInput(
                f"{len(self.labels)} labels and pictures of shape {tuple(self.pictures.shape)}: give (N, C, H, W) with "
                "a label each."
            )
        if len(self.labels) and not 0 <= int(self.labels.min()) <= int(self.labels.max()) < len(self.names):
            raise BadInput(
                f"The labels go from {int(self.labels.min())} to {int(self.labels.max())}, and there are "
                f"{len(self.names)} classes: they must lie between 0 and {len(self.names) - 1}."
            )

    def __len__(self) -> int:
        return len(self.labels)

    @property
    def shape(self) -> tuple[int, int, int]:
        """(C, H, W) of each."""
        channels, height, width = self.pictures.shape[1:]
        return channels, height, width

    @property
    def fingerprint(self) -> str:
        """A hash of all pictures and labels."""
        digest = hashlib.sha256(str((tuple(self.pictures.shape), self.names)).encode())
        digest.update(to_bytes(self.pictures).numpy().tobytes())
        digest.update(self.labels.numpy().tobytes())
        return digest.hexdigest()

    def take(self, rows: Sequence[int] | Tensor) -> "Pictures":
        """These of them, in this order."""
        rows = torch.as_tensor(rows, dtype=torch.int64)
        return Pictures(self.pictures[rows], self.labels[rows], self.names)


def from_bytes(values: UInt8[Tensor, "*shape"]) -> Float[Tensor, "*shape"]:
    """Bytes as numbers: 0 -> -1, 255 -> 1. Raises BadInput for what is no bytes."""
    if values.dtype != torch.uint8:
        raise BadInput(f"The values are {values.dtype}, not bytes, torch.uint8: they may be in [-1, 1] already.")
    return values.float() / 127.5 - 1


def to_bytes(pictures: Float[Tensor, "*shape"]) -> UInt8[Tensor, "*shape"]:
    """Numbers as bytes, rounded; what lies outside [-1, 1] is cut off. Raises BadInput for nan, inf and bytes."""
    check_floating(pictures=pictures)
    if not torch.isfinite(pictures).all():
        raise BadInput("A picture has a number that is not finite: the model that drew it has diverged.")
    return ((pictures.detach().float().cpu().clamp(-1, 1) + 1) * 127.5).round().to(torch.uint8)


def cut(whole: Pictures, development: int, test: int, name: str) -> Splits:
    """So many for development and for the test, chosen at random but always the same, the rest for training.

    `name` decides the order. Raises BadInput where nothing is left to train on.
    """
    if development < 1 or test < 1 or development + test >= len(whole):
        raise BadInput(
            f"{name} has {len(whole)} pictures, of which {development} were to be kept for development and {test} for "
            "the test: give more pictures."
        )
    order = shuffled(len(whole), name)
    return {
        "train": whole.take(order[development + test :]),
        "development": whole.take(order[:development]),
        "test": whole.take(order[development : development + test]),
    }


def shuffled(n: int, name: str) -> list[int]:
    """The numbers below n in an order that the name alone decides."""
    order = list(range(n))
    random.Random(f"pictures {name}").shuffle(order)
    return order
