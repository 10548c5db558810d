"""A folder of pictures of the reader's own: all files that Pillow reads, in folders by class or not.

    load_folder("photos")                       all of one size, as they are
    load_folder("photos", size=32)              the square in the middle of each, at 32 × 32

    photos/cats/1.png  photos/dogs/7.jpg        two classes, cats and dogs
    photos/1.png       photos/2.png             one class

Grey pictures stay grey if all are; else all get three colours, and what is transparent lies on white.
Every file is looked at before any is kept: one that is damaged, or of another size, is named and nothing is loaded.
"""

from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from insideout import files
from insideout.data.pictures.labelled import Pictures, Splits, cut, from_bytes
from insideout.errors import BadInput
from insideout.machine import memory

__all__ = ["load_folder"]

GREY = ("1", "L", "LA", "I;16", "I", "F")
"""Pillow's names of what has no colour."""


def load_folder(path: str | Path, size: int | None = None) -> Splits:
    """The pictures of a folder, cut into training, development and test (a tenth each, at least one).

    With a size, each is cut to the square in its middle and drawn at size × size. Raises BadInput for a folder that is
    empty, holds no pictures, too few or too many, one that is damaged, and for sizes that differ where none is given.
    """
    folder = files.expanded(str(path), "The folder of pictures")
    if size is not None and not 1 <= size <= 4096:
        raise BadInput(f"size is {size}: it must lie between 1 and 4096 pixels.")
    found = _pictures_in(folder)
    shapes = {file: _look(file) for file in found}
    width, height = _one_size(folder, shapes) if size is None else (size, size)
    grey = all(mode in GREY for _, mode in shapes.values())
    _check_room(len(found), width, height, 1 if grey else 3)
    names = _classes(folder, found)
    pictures = torch.stack([_read(file, size, grey) for file in found])
    labels = torch.tensor([names.index(_class_of(folder, file)) if len(names) > 1 else 0 for file in found])
    tenth = max(1, len(found) // 10)
    return cut(Pictures(from_bytes(pictures), labels, names), tenth, tenth, str(folder))


def _pictures_in(folder: Path) -> list[Path]:
    """All files in the folder, at any depth, whose names say that they are pictures."""
    from PIL import Image

    if not folder.is_dir():
        raise BadInput(f"There is no folder {folder}: give one that holds pictures.")
    Image.init()
    try:
        inside = sorted(each for each in files.below(folder) if each.is_file() and not each.name.startswith("."))
    except OSError as error:
        raise BadInput(f"{folder} cannot be read ({error.strerror}).") from error
    if not inside:
        raise BadInput(f"The folder {folder} is empty: put pictures in it, such as .png or .jpg.")
    found = [each for each in inside if each.suffix.lower() in Image.EXTENSION]
    if not found:
        raise BadInput(
            f"The folder {folder} has {len(inside)} files and no picture among them, the first being {inside[0].name}: "
            "give a folder of .png, .jpg or the like."
        )
    if len(found) < 3:
        raise BadInput(f"The folder {folder} has {len(found)} pictures: give at least 3, one of them for each split.")
    return found


def _open(file: Path) -> Any:
    """The picture in a file, not yet read."""
    from PIL import Image

    try:
        return Image.open(file)
    except (OSError, ValueError, SyntaxError, Image.DecompressionBombError) as error:
        raise _damaged(file, error) from error


def _damaged(file: Path, error: Exception) -> BadInput:
    why = " ".join(str(error).replace(str(file), "it").split())
    return BadInput(f"{file} is no picture, or damaged ({why}): mend it or take it out of the folder.")


def _look(file: Path) -> tuple[tuple[int, int], str]:
    """Its size, and how its colours are kept."""
    with _open(file) as picture:
        return picture.size, picture.mode


def _one_size(folder: Path, shapes: dict[Path, tuple[tuple[int, int], str]]) -> tuple[int, int]:
    """The size that all have."""
    (first, (wanted, _)), *others = shapes.items()
    for file, (found, _) in others:
        if found != wanted:
            raise BadInput(
                f"The pictures in {folder} differ in size: {first.name} is {wanted[0]} × {wanted[1]}, {file.name} "
                f"{found[0]} × {found[1]}. Give a size, and the middle of each is drawn at it."
            )
    return wanted


def _check_room(n: int, width: int, height: int, channels: int) -> None:
    """Do they fit, five bytes a value, while they are read?"""
    needed, there = 5 * n * width * height * channels, memory()
    if there is not None and needed > there / 2:
        raise BadInput(
            f"{n:,} pictures of {width} × {height} take {needed / 2**30:,.1f} GiB of memory, and this machine has "
            f"{there / 2**30:,.0f}: give a smaller size, or fewer pictures."
        )


def _class_of(folder: Path, file: Path) -> str:
    """The folder right under the given one; "" for a file that lies in none."""
    inside = file.relative_to(folder).parts
    return inside[0] if len(inside) > 1 else ""


def _classes(folder: Path, found: list[Path]) -> tuple[str, ...]:
    """Names of the classes: the folders' own, where every picture lies in one; else one class, the folder itself."""
    names = sorted({_class_of(folder, file) for file in found})
    return (folder.name,) if "" in names else tuple(names)


def _read(file: Path, size: int | None, grey: bool) -> Tensor:
    """(1 or 3, H, W) bytes."""
    from PIL import Image, ImageOps

    with _open(file) as picture:
        try:
            picture.load()
            if not grey and (picture.has_transparency_data):
                over = picture.convert("RGBA")
                picture = Image.alpha_composite(Image.new("RGBA", over.size, "white"), over)
            if picture.mode in ("I;16", "I", "F"):  # Pillow would cut these off at 255
                values = np.asarray(picture, dtype=np.float64)
                picture = Image.fromarray((values * (255 / max(values.max(), 1))).astype(np.uint8))
            drawn = picture.convert("L" if grey else "RGB")
            if size is not None:
                drawn = ImageOps.fit(drawn, (size, size), Image.Resampling.LANCZOS)
        except (OSError, ValueError, SyntaxError, Image.DecompressionBombError) as error:
            raise _damaged(file, error) from error
    drawn_values = torch.from_numpy(np.asarray(drawn, dtype=np.uint8).copy())  # (H, W) or (H, W, 3)
    return drawn_values[None] if grey else drawn_values.permute(2, 0, 1)
