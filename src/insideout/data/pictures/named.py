"""Pictures by name or path: one function for every set that a model can be trained on.

    load_pictures("digits")  load_pictures("mnist")  load_pictures("path/to/folder", size=32)

A path of IDX files, or of a folder that holds them, is read as such; any other folder is one of pictures.
"""

from pathlib import Path

from insideout import files
from insideout.data.pictures.digits import DIGITS, load_digits
from insideout.data.pictures.folder import load_folder
from insideout.data.pictures.idx import NAMED, load_idx, published_as
from insideout.data.pictures.labelled import Splits
from insideout.errors import BadInput

__all__ = ["fingerprint", "load_pictures"]


def load_pictures(name: str, size: int | None = None) -> Splits:
    """The pictures of a name or path, cut into training, development and test; digits and folders at another size.

    Raises BadInput for a name that is neither known nor a path, for a size that these pictures cannot have, and where
    what is read is damaged.
    """
    if name == "digits":
        return load_digits(size or 8)
    path = Path() if name in NAMED else files.expanded(name, "The pictures")
    is_idx = name in NAMED or path.is_file() or any(path.glob("*-images-idx3-ubyte*"))
    if not is_idx and not path.is_dir():
        raise BadInput(f"There are no pictures {name!r}: give digits, {', '.join(NAMED)}, or the path of a folder.")
    if not is_idx:
        return load_folder(path, size)
    splits = load_idx(name)
    height, width = splits["train"].shape[1:]
    if size not in (None, height) or (size is not None and height != width):
        raise BadInput(f"The pictures of {name} are {height} × {width}: leave out size, here {size}.")
    return splits


def fingerprint(name: str, size: int | None = None) -> str:
    """What decides the pictures of a name or path. Of what was published it is the checksums: nothing is fetched.

    Raises BadInput where load_pictures does, for a path.
    """
    if name == "digits":
        return DIGITS.sha256
    if name in NAMED:
        return published_as(name)
    return " ".join(each.fingerprint for each in load_pictures(name, size).values())
