"""Pictures as files: many in one PNG, and their way from noise as an animation, by Pillow.

    write_png(sheet(pictures, columns=10), path)
    write_animation([sheet(each) for each in trajectory], path)        .gif, or .png for an animated PNG

Shapes: N pictures of C channels, 1 or 3, in [-1, 1]. Used in part 5.
"""

import io
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch
from jaxtyping import Float, UInt8
from torch import Tensor

from insideout.checks import whole
from insideout.data.pictures.labelled import to_bytes
from insideout.errors import BadInput
from insideout.files import save

__all__ = ["sheet", "write_animation", "write_png"]

GROUND = 128
"""Grey between the pictures, which shows on white and on black."""


def sheet(
    pictures: Float[Tensor, "N C H W"], columns: int = 10, enlarged: int = 1, gap: int = 1
) -> UInt8[Tensor, "height width 3"]:
    """The pictures in rows, each pixel drawn `enlarged` times, with a gap of so many pixels around each.

    Raises BadInput for none, for other than 1 or 3 channels, and for fewer than 1 column or an enlargement below 1.
    """
    if pictures.dim() != 4:
        raise BadInput(f"The pictures have the shape {tuple(pictures.shape)}: give (N, channels, height, width).")
    n, channels, height, width = pictures.shape
    if n < 1 or channels not in (1, 3):
        raise BadInput(f"There are {n} pictures of {channels} channels: give at least 1, of 1 or 3 channels.")
    if whole("columns", columns, 0) < 1 or whole("enlarged", enlarged, 0) < 1 or whole("gap", gap, 0) < 0:
        raise BadInput(f"columns is {columns}, enlarged {enlarged} and gap {gap}: at least 1, 1 and 0 are needed.")
    columns = min(columns, n)
    rows = -(-n // columns)
    values = to_bytes(pictures).expand(-1, 3, -1, -1)
    values = values.repeat_interleave(enlarged, 2).repeat_interleave(enlarged, 3).permute(0, 2, 3, 1)  # (N, H, W, 3)
    height, width = height * enlarged, width * enlarged
    canvas = torch.full((rows * (height + gap) + gap, columns * (width + gap) + gap, 3), GROUND, dtype=torch.uint8)
    for i, each in enumerate(values):
        top, left = gap + i // columns * (height + gap), gap + i % columns * (width + gap)
        canvas[top : top + height, left : left + width] = each
    return canvas


def write_png(values: UInt8[Tensor, "height width 3"], path: Path) -> None:
    """A PNG, there whole or not at all. Raises BadInput where the disk does not take it."""
    written = io.BytesIO()
    _image(values).save(written, format="PNG")
    save(path, written.getvalue())


def write_animation(
    frames: Sequence[UInt8[Tensor, "height width 3"]], path: Path, milliseconds: int = 80, last: int = 1500
) -> None:
    """The frames one after another, again and again, the last one shown for longer: a GIF or an animated PNG.

    Raises BadInput for no frame, for another ending than .gif, .png or .apng, and where the disk does not take it.
    """
    kinds = {".gif": "GIF", ".png": "PNG", ".apng": "PNG"}
    if not frames:
        raise BadInput("There is no frame to show: give at least one.")
    if path.suffix.lower() not in kinds:
        raise BadInput(f"{path} ends in {path.suffix or 'nothing'}: an animation ends in .gif, .png or .apng.")
    first, *others = [_image(each) for each in frames]
    written = io.BytesIO()
    first.save(
        written, format=kinds[path.suffix.lower()], save_all=True, append_images=others, loop=0,
        duration=[milliseconds] * len(others) + [last],
    )  # fmt: skip
    save(path, written.getvalue())


def _image(values: Tensor) -> Any:
    from PIL import Image

    return Image.fromarray(values.numpy())
