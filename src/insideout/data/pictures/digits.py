"""1,797 handwritten digits of 8 × 8 pixels: the default, small enough that a model learns them in a minute or two.

    digits = load_digits()           {"train": 1,197, "development": 300, "test": 300} pictures (N, 1, 8, 8)
    load_digits(size=16)             the same, drawn larger

They come with scikit-learn: its file is read where that is installed, without importing it, or else fetched once from
the package index, out of the same wheel, like the small language model. Ink is 1, paper is -1.
Taught in book/5-from-noise-to-images/00_introduction.md.
Source: Alpaydin and Kaynak 1998 (UCI, optical recognition of handwritten digits), the test set; CC BY 4.0.
"""

import gzip
import importlib.util
from pathlib import Path

import torch
from torch import Tensor
from torch.nn import functional as F

from insideout.data import fetch
from insideout.data.pictures.labelled import Pictures, Splits, cut
from insideout.errors import BadInput

__all__ = ["load_digits"]

DIGITS = fetch.PublishedInWheel(
    file="digits.csv.gz",
    sha256="09f66e6debdee2cd2b5ae59e0d6abbb73fc2b0e0185d2e1957e9ebb51e23aa22",
    requirement="scikit-learn==1.9.1",
    wheel="scikit_learn-1.9.1-cp311-cp311-manylinux_2_27_x86_64.manylinux_2_28_x86_64.whl",
    member="sklearn/datasets/data/digits.csv.gz",
    built_for=("--platform", "manylinux_2_28_x86_64", "--python-version", "3.11", "--implementation", "cp"),
)
SIDE, DARKEST = 8, 16
N_DEVELOPMENT = N_TEST = 300


def load_digits(size: int = SIDE) -> Splits:
    """The digits, drawn at size × size, cut into training, development and test.

    Raises BadInput for a size that is not a multiple of 8, and where the file can be had nowhere.
    """
    if size < SIDE or size % SIDE:
        raise BadInput(f"size is {size}: the digits have {SIDE} × {SIDE} pixels; give a multiple of {SIDE}.")
    rows = torch.tensor(_rows(_file()), dtype=torch.float32)  # (N, 64 + 1)
    pictures = rows[:, :-1].reshape(-1, 1, SIDE, SIDE) / (DARKEST / 2) - 1
    whole = Pictures(_enlarged(pictures, size), rows[:, -1].long(), tuple("0123456789"))
    return cut(whole, N_DEVELOPMENT, N_TEST, "digits")


def on_this_machine() -> Path | None:
    """The file, where nothing needs to be fetched for it; else None."""
    installed = importlib.util.find_spec("sklearn")
    for folder in (installed and installed.submodule_search_locations) or []:
        file = Path(folder) / "datasets" / "data" / "digits.csv.gz"
        if file.is_file() and fetch.sha256_of(file) == DIGITS.sha256:
            return file
    return fetch.find(DIGITS)


def _file() -> Path:
    return on_this_machine() or fetch.find_or_download(DIGITS)


def _rows(file: Path) -> list[list[float]]:
    """A row a digit: its 64 values of 0 to 16, and which digit it is."""
    with gzip.open(file, "rt", encoding="ascii") as opened:
        return [[float(value) for value in line.split(",")] for line in opened]


def _enlarged(pictures: Tensor, size: int) -> Tensor:
    """Between two pixels in a straight line. (N, 1, 8, 8) -> (N, 1, size, size)"""
    if size == SIDE:
        return pictures
    return F.interpolate(pictures, size=(size, size), mode="bilinear", align_corners=False)
