"""Pictures in IDX files, the format of MNIST and Fashion-MNIST: a header of sizes, then a byte a pixel.

    load_idx("mnist")                by name: INSIDEOUT_DATA, the cache, the network
    load_idx("path/to/folder")       a folder with *-images-idx3-ubyte and *-labels-idx1-ubyte, or one file of images

    0 0 8 n | size of each of n dimensions, 4 bytes, the greatest first | the values, a byte each

Where the 60,000 training pictures are there, a twelfth of them is kept for development, and the 10,000 are the test.
Where only the 10,000 are, they are cut into 8,000, 1,000 and 1,000. Source: LeCun, Cortes and Burges 1998; Xiao
et al. 2017 (Fashion-MNIST).
"""

import gzip
import hashlib
import math
import zlib
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from insideout import files
from insideout.data import fetch
from insideout.data.pictures.labelled import Pictures, Splits, cut, from_bytes, shuffled
from insideout.errors import BadInput

__all__ = ["NAMED", "load_idx", "read_idx"]

MNIST_FROM = "https://storage.googleapis.com/cvdf-datasets/mnist/"
FASHION_FROM = "http://fashion-mnist.s3-website.eu-central-1.amazonaws.com/"
SHA256 = {
    "mnist/train-images-idx3-ubyte.gz": "440fcabf73cc546fa21475e81ea370265605f56be210a4024d2ca8f203523609",
    "mnist/train-labels-idx1-ubyte.gz": "3552534a0a558bbed6aed32b30c495cca23d567ec52cac8be1a0730e8010255c",
    "mnist/t10k-images-idx3-ubyte.gz": "8d422c7b0a1c1c79245a5bcf07fe86e33eeafee792b84584aec276f5a2dbc4e6",
    "mnist/t10k-labels-idx1-ubyte.gz": "f7ae60f92e00ec6debd23a6088c31dbd2371eca3ffa0defaefb259924204aec6",
    "fashion-mnist/train-images-idx3-ubyte.gz": "3aede38d61863908ad78613f6a32ed271626dd12800ba2636569512369268a84",
    "fashion-mnist/train-labels-idx1-ubyte.gz": "a04f17134ac03560a47e3764e11b92fc97de4d1bfaf8ba1a3aa29af54cc90845",
    "fashion-mnist/t10k-images-idx3-ubyte.gz": "346e55b948d973a97e58d2351dde16a484bd415d4595297633bb08f03db6a073",
    "fashion-mnist/t10k-labels-idx1-ubyte.gz": "67da17c76eaffca5446c3361aaab5c3cd6d1c2608764d35dfb1850b086bf8dd5",
}
"""Of the files as they were published."""
UNPACKED = {
    "mnist/train-images-idx3-ubyte.gz": "ba891046e6505d7aadcbbe25680a0738ad16aec93bde7f9b65e87a2fc25776db",
    "mnist/train-labels-idx1-ubyte.gz": "65a50cbbf4e906d70832878ad85ccda5333a97f0f4c3dd2ef09a8a9eef7101c5",
    "mnist/t10k-images-idx3-ubyte.gz": "0fa7898d509279e482958e8ce81c8e77db3f2f8254e26661ceb7762c4d494ce7",
    "mnist/t10k-labels-idx1-ubyte.gz": "ff7bcfd416de33731a308c3f266cc351222c34898ecbeaf847f06e48f7ec33f2",
}
"""Of what is in them: many a copy was packed anew."""
NAMED = {
    "mnist": (MNIST_FROM, tuple("0123456789")),
    "fashion-mnist": (
        FASHION_FROM,
        ("T-shirt", "trousers", "pullover", "dress", "coat", "sandal", "shirt", "sneaker", "bag", "ankle boot"),
    ),
}
"""Where each comes from, and what its classes are called."""
PARTS = ("train", "t10k")


def load_idx(name: str) -> Splits:
    """Pictures (N, 1, H, W) with labels, cut into training, development and test: by name, or a folder or file.

    Raises BadInput for what cannot be found, is damaged, is not what was published under this name, or lacks labels.
    """
    names: tuple[str, ...] = ()
    if name in NAMED:
        names = NAMED[name][1]
        found = _named(name)
    else:
        found = _in_folder(files.expanded(name, "The pictures"))
    read = {part: _read_pair(images, labels, names) for part, (images, labels) in found.items()}
    n_classes = max(len(each.names) for each in read.values())
    names = names or tuple(str(label) for label in range(n_classes))
    read = {part: Pictures(each.pictures, each.labels, names) for part, each in read.items()}
    if set(read) == set(PARTS):
        if read["train"].shape != read["t10k"].shape:
            raise BadInput(f"{name}: the training pictures are {read['train'].shape}, the others {read['t10k'].shape}.")
        order = shuffled(len(read["train"]), name)
        n = max(1, len(order) // 12)
        return {
            "train": read["train"].take(order[n:]),
            "development": read["train"].take(order[:n]),
            "test": read["t10k"],
        }
    [whole] = read.values()
    tenth = max(1, len(whole) // 10)
    return cut(whole, tenth, tenth, name if name in NAMED else "idx")


def read_idx(file: Path) -> Tensor:
    """The bytes in an IDX file, packed by gzip or not, as a tensor of its shape.

    Raises BadInput for a file that cannot be read, is cut off, too long, or of another kind.
    """
    content = _content(file)
    if len(content) < 4 or content[:2] != b"\0\0" or not 1 <= content[3] <= 4:
        raise BadInput(f"{file} is no IDX file: it does not begin with two zeros, a type and up to 4 dimensions.")
    if content[2] != 8:
        raise BadInput(f"{file} holds numbers of IDX type {content[2]}: only bytes, type 8, are read.")
    head = 4 + 4 * content[3]
    shape = [int.from_bytes(content[at : at + 4], "big") for at in range(4, head, 4)]
    if len(content) < head or len(content) - head != math.prod(shape):
        raise BadInput(
            f"{file} is damaged: its header says {' × '.join(map(str, shape))} bytes, and it holds "
            f"{max(0, len(content) - head):,}."
        )
    return torch.from_numpy(np.frombuffer(content, np.uint8, offset=head).copy()).reshape(shape)


def _content(file: Path) -> bytes:
    """All of a file, unpacked where it is packed."""
    try:
        content = file.read_bytes()
        return gzip.decompress(content) if content[:2] == b"\x1f\x8b" else content
    except (EOFError, zlib.error, gzip.BadGzipFile) as error:
        raise BadInput(f"{file} is damaged: it cannot be unpacked ({error}).") from error
    except OSError as error:
        raise BadInput(f"{file} cannot be read ({error.strerror}).") from error


def _read_pair(images: Path, labels: Path, names: tuple[str, ...]) -> Pictures:
    """Images and their labels."""
    pictures, classes = read_idx(images), read_idx(labels)
    if pictures.dim() != 3 or not pictures.numel():
        raise BadInput(f"{images} holds {tuple(pictures.shape)}: it must hold pictures, (N, height, width).")
    if classes.shape != pictures.shape[:1]:
        raise BadInput(
            f"{labels} holds labels {tuple(classes.shape)} for {len(pictures)} pictures: one each is needed."
        )
    known = names or tuple(str(label) for label in range(int(classes.max()) + 1))
    return Pictures(from_bytes(pictures)[:, None], classes.long(), known)


def _named(name: str) -> dict[str, tuple[Path, Path]]:
    """Images and labels by part: what is on this machine, if the 10,000 are; else all of it is fetched."""
    found: dict[str, tuple[Path, Path]] = {}
    for part in PARTS:
        images, labels = _here(name, part, "images"), _here(name, part, "labels")
        if images is not None and labels is not None:
            found[part] = (images, labels)
    if "t10k" in found:
        return found
    return {part: (_fetched(name, part, "images"), _fetched(name, part, "labels")) for part in PARTS}


def published_as(name: str) -> str:
    """The checksums of the files of a name: of those on this machine, if the 10,000 are; else of all of them."""
    here = [part for part in PARTS if all(_place_here(name, part, kind) for kind in ("images", "labels"))]
    parts = here if "t10k" in here else PARTS
    return " ".join(SHA256[_place(name, part, kind)] for part in parts for kind in ("images", "labels"))


def _here(name: str, part: str, kind: str) -> Path | None:
    """A file on this machine, packed or not, its checksum compared."""
    file = _place_here(name, part, kind)
    if file is not None:
        _compare(file, _place(name, part, kind), name)
    return file


def _place_here(name: str, part: str, kind: str) -> Path | None:
    """Where a file lies on this machine, packed or not."""
    for folder in [*fetch.data_folders(), fetch.cache_folder()]:
        for file in (folder / _place(name, part, kind), (folder / _place(name, part, kind)).with_suffix("")):
            if file.is_file():
                return file
    return None


def _compare(file: Path, place: str, name: str) -> None:
    """Raise BadInput where a file is not what was published."""
    if fetch.sha256_of(file) == SHA256[place]:
        return
    if place in UNPACKED and hashlib.sha256(_content(file)).hexdigest() == UNPACKED[place]:
        return
    raise BadInput(
        f"{file} is not the file of {name} that was published: its checksum differs. Remove it; to use it as it is, "
        "give the path of its folder instead of the name."
    )


def _place(name: str, part: str, kind: str) -> str:
    return f"{name}/{part}-{kind}-{'idx3' if kind == 'images' else 'idx1'}-ubyte.gz"


def _fetched(name: str, part: str, kind: str) -> Path:
    """A file, downloaded where it is not here."""
    place = _place(name, part, kind)
    published = fetch.Published(place, NAMED[name][0] + Path(place).name, SHA256[place])
    return _here(name, part, kind) or fetch.find_or_download(published, timeout=120)


def _in_folder(path: Path) -> dict[str, tuple[Path, Path]]:
    """Images and labels by part: those in a folder, or one file of images with its labels beside it."""
    if path.is_dir():
        images = sorted(each for each in path.iterdir() if "-images-idx3-ubyte" in each.name)
        if not images:
            raise BadInput(f"{path} has no IDX files: they are called train-images-idx3-ubyte, perhaps with .gz.")
    elif path.is_file():
        images = [path]
    else:
        raise BadInput(f"There is no {path}: give a name ({', '.join(NAMED)}), or the path of IDX files.")
    pairs: dict[str, tuple[Path, Path]] = {}
    for each in images:
        name = each.name.replace("images", "labels").replace("idx3", "idx1")
        beside = [each.with_name(name), each.with_name(name.removesuffix(".gz")), each.with_name(f"{name}.gz")]
        labels = next((file for file in beside if file.is_file() and file != each), None)
        if labels is None:
            raise BadInput(f"{each} has no labels: {name} must lie beside it.")
        pairs["train" if each.name.startswith("train") else "t10k"] = (each, labels)
    return pairs
