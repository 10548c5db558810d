"""A folder of the reader's own pictures, cut by what they show: a picture and its near copies are on one side only.

    load_by_content("photos", size=32)     training, development and test: a tenth each is held out, at least one

Photographs come in bursts, and are saved twice. If one of a pair is trained on and the other held out, a model that
only copies is praised for it. So pictures that look alike, seen at 8 × 8 in grey, are one group; a group's own hash
decides where it goes. Neither names nor the order of the files matter, and few others move when a picture is added.
Shapes: N pictures. Taught in book/5-from-noise-to-images/14_your_own_pictures.md.
"""

import hashlib
from pathlib import Path

import torch
from jaxtyping import Float
from torch import Tensor
from torch.nn import functional as F

from insideout.data.pictures.folder import load_folder
from insideout.data.pictures.labelled import Pictures, Splits, to_bytes
from insideout.errors import BadInput

__all__ = ["ALIKE", "groups_alike", "load_by_content", "split_by_content"]

ALIKE = 0.04
"""Root mean square, of 2 from black to white, below which two pictures seen at 8 × 8 are near copies."""
ROWS = 512


def load_by_content(path: str | Path, size: int | None = None) -> Splits:
    """The pictures of a folder, each at size × size where a size is given, cut by what they show.

    Raises BadInput where load_folder does, where fewer than 3 differ, and for a class without a picture to train on.
    """
    found = load_folder(path, size)
    whole = Pictures(
        torch.cat([each.pictures for each in found.values()]), torch.cat([each.labels for each in found.values()]),
        found["train"].names,
    )  # fmt: skip
    return split_by_content(whole, str(path))


def split_by_content(whole: Pictures, name: str) -> Splits:
    """Groups of near copies go, in the order of their hashes, to development and to the test while a tenth has room.

    Raises BadInput where fewer than 3 pictures differ, and where a class has no picture left to train on.
    """
    numbers, hashes = groups_alike(whole.pictures), _hashes(whole.pictures)
    groups: dict[int, list[int]] = {}
    for row, number in enumerate(numbers):
        groups.setdefault(number, []).append(row)
    if len(groups) < 3:
        raise BadInput(
            f"Of the {len(whole)} pictures in {name} only {len(groups)} differ, the others being near copies: give at "
            "least 3 that differ, one for each split."
        )
    room = max(len(whole) // 10, sorted(map(len, groups.values()))[1])
    sides: dict[str, list[int]] = {"train": [], "development": [], "test": []}
    for rows in sorted(groups.values(), key=lambda rows: min(hashes[row] for row in rows)):
        emptier = min(("development", "test"), key=lambda side: len(sides[side]))
        sides[emptier if len(sides[emptier]) + len(rows) <= room else "train"] += rows
    lacking = set(range(len(whole.names))) - {int(whole.labels[row]) for row in sides["train"]}
    if lacking:
        raise BadInput(
            f"All pictures of the class {whole.names[min(lacking)]!r} in {name} are held out: give it more that differ."
        )
    by_hash = {side: whole.take(sorted(rows, key=lambda row: hashes[row])) for side, rows in sides.items()}
    return {"train": by_hash["train"], "development": by_hash["development"], "test": by_hash["test"]}


def groups_alike(pictures: Float[Tensor, "N C H W"], alike: float = ALIKE) -> list[int]:
    """A number for each picture, the same for near copies, and for what near copies link. All pairs are compared.

    A copy that was saved again, resized or made a little lighter is found; a mirrored or a cropped one is not.
    """
    small = _thumbnails(pictures)  # (N, 64)
    number = list(range(len(small)))

    def first(row: int) -> int:
        while number[row] != row:
            number[row] = number[number[row]]
            row = number[row]
        return row

    for start in range(0, len(small), ROWS):
        apart = torch.cdist(small[start : start + ROWS], small, compute_mode="donot_use_mm_for_euclid_dist") / 8
        for a, b in (apart < alike).nonzero().tolist():
            if start + a < b:
                number[max(first(start + a), first(b))] = min(first(start + a), first(b))
    return [first(row) for row in range(len(small))]


def _thumbnails(pictures: Tensor) -> Tensor:
    """Each in grey, as 8 × 8 means of its parts. (N, C, H, W) -> (N, 64)"""
    return F.adaptive_avg_pool2d(pictures.mean(1, keepdim=True), 8).flatten(1)


def _hashes(pictures: Tensor) -> list[str]:
    """Of the bytes of each picture."""
    return [hashlib.sha256(each.numpy().tobytes()).hexdigest() for each in to_bytes(pictures)]
