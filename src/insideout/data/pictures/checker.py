"""The checker: reads a picture of a scene by rule, and judges it by its caption. No network, nothing learned.

    read(picture)                 [Seen("red", "circle", "small", x, y, misfit), …]
    judge(caption, picture)       Verdict(correct, count, colour, shape, size, relation)

    1  what is brighter than half is a thing; pixels that touch belong to one thing, specks are passed over
    2  its colour is the nearest of the palette to its mean
    3  its shape is the one of its area, at its centroid, whose picture differs least (the misfit); that tells its size

A colour or a shape that is near none is "", and is never right. Used in part 5, where text to image is measured.
"""

import itertools
import math
from typing import NamedTuple

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

from insideout.checks import check_finite, check_floating
from insideout.data.pictures.captions import SHAPES, Caption, Thing, parse
from insideout.data.pictures.scenes import AREAS, PALETTE, RADII, Item, coverage, holds
from insideout.data.suite import Verdict
from insideout.errors import BadInput

__all__ = ["PARTS", "Seen", "judge", "read"]

PARTS = ("correct", "count", "colour", "shape", "size", "relation")
FARTHEST = 0.35
"""A mean colour further than this from all of the palette, in a cube of side 1, is none."""
MISFIT = 0.16
"""The most that a thing may differ from its shape: squares of the differences, as a share of the shape's own."""
SPECK = 0.3
"""What has less than this share of a small triangle's area is no thing."""
BETWEEN = math.sqrt(RADII["small"] * RADII["large"])
"""The radius from which on a thing is large."""


class Seen(NamedTuple):
    """A thing that was found."""

    colour: str
    shape: str
    size: str
    x: float
    y: float
    misfit: float
    """How much its shape differs from the nearest: 0 is not at all."""


def read(picture: Float[Tensor, "channels height width"]) -> list[Seen]:
    """The things in a picture, from the top down. Raises BadInput unless it is (3, side, side), and finite."""
    if picture.dim() != 3 or picture.shape[0] != 3 or picture.shape[1] != picture.shape[2]:
        raise BadInput(f"The picture has the shape {tuple(picture.shape)}: a scene's is (3, side, side).")
    check_floating(picture=picture)
    check_finite(picture=picture)  # else what is nan would be dark, and a model that diverged one that draws nothing
    raw = ((picture.detach().double().cpu() + 1) / 2).numpy()  # (3, side, side)
    light = raw.clip(0, 1)
    side = picture.shape[1]
    brightness = light.max(0)
    labels, n = _pieces(brightness > 0.5)
    down, across = np.indices(brightness.shape) + 0.5
    found, alphas = [], []
    for piece in range(1, n + 1):
        inside = labels == piece
        mean = light[:, inside & (brightness >= np.median(brightness[inside]))].mean(1)
        apart = {name: math.dist(mean, colour) for name, colour in PALETTE.items()}
        colour = min(apart, key=apart.__getitem__)
        near = _grown(inside) & ((labels == 0) | inside)  # its soft edge too
        paint = np.array(PALETTE[colour])
        alpha = np.where(near, np.tensordot(paint, raw, 1) / (paint @ paint), 0.0).clip(-1, 1)  # noise has the mean 0
        total = float(alpha.sum())
        if total < SPECK * AREAS["triangle"] * (RADII["small"] * side) ** 2:
            continue
        x, y = (float((alpha * each).sum()) / (total * side) for each in (across, down))
        radii = [math.sqrt(total / area) / side for area in AREAS.values()]  # if it were a circle, a square, a triangle
        found.append((colour if apart[colour] <= FARTHEST else "", x, y, radii))
        alphas.append(alpha)
    if not found:
        return []
    places, sizes = (torch.tensor(each) for each in ([(x, y) for _, x, y, _ in found], [radii for *_, radii in found]))
    drawn = torch.stack([coverage(places, sizes[:, i], side)[i] for i in range(len(SHAPES))]).double().numpy()
    misfits = np.square(drawn - np.stack(alphas)).sum((2, 3)) / np.square(drawn).sum((2, 3))
    seen = []
    for (colour, x, y, radii), misfit in zip(found, misfits.T, strict=True):
        best = int(misfit.argmin())
        shape = SHAPES[best] if misfit[best] <= MISFIT else ""
        size = "large" if radii[best] >= BETWEEN else "small"
        seen.append(Seen(colour, shape, size, x, y, float(misfit[best])))
    return sorted(seen, key=lambda each: (each.y, each.x))


def judge(caption: Caption | str, picture: Float[Tensor, "channels height width"]) -> Verdict:
    """What is right about a picture. Parts that the caption does not speak of are None; `correct` is all of it at once.

    Colours, shapes and sizes are right where those that were asked for are there, in any order; `relation` is judged of
    the two things that are most like those asked for. Raises BadInput where `parse` or `read` does.
    """
    caption = parse(caption) if isinstance(caption, str) else caption
    wanted = [caption.thing] * caption.count + ([] if caption.other is None else [caption.other])
    seen = read(picture)
    count = len(seen) == len(wanted)
    orders = list(itertools.permutations(seen, len(wanted))) if count else []
    sizes = any(thing.size for thing in wanted)
    parts: dict[str, bool | None] = {
        "count": count,
        "colour": any(all(s.colour == w.colour for s, w in zip(order, wanted, strict=True)) for order in orders),
        "shape": any(all(s.shape == w.shape for s, w in zip(order, wanted, strict=True)) for order in orders),
        "size": any(all(w.size in ("", s.size) for s, w in zip(order, wanted, strict=True)) for order in orders)
        if sizes
        else None,
        "relation": None,
    }
    right = any(
        all(_like(s, w) == 3 for s, w in zip(order, wanted, strict=True)) and _related(caption, order)
        for order in orders
    )
    if caption.relation:
        best = max(orders, key=lambda order: sum(_like(s, w) for s, w in zip(order, wanted, strict=True)), default=None)
        parts["relation"] = best is not None and _related(caption, best)
    return Verdict({"correct": right, **parts})


def _like(seen: Seen, wanted: Thing) -> int:
    """How many of colour, shape and size are as wanted: 3 is all."""
    return (seen.colour == wanted.colour) + (seen.shape == wanted.shape) + (wanted.size in ("", seen.size))


def _related(caption: Caption, order: tuple[Seen, ...]) -> bool:
    """Does the caption's relation hold between the first two?"""
    if not caption.relation:
        return True
    first, second = (Item(Thing(s.colour, s.shape, s.size), s.x, s.y) for s in order[:2])
    return holds(caption.relation, first, second)


def _pieces(bright: np.ndarray) -> tuple[np.ndarray, int]:
    """Pixels that touch by a side bear the same number, from 1 on; 0 is dark."""
    labels, n = np.zeros(bright.shape, dtype=np.int64), 0
    for start in map(tuple, np.argwhere(bright)):
        if labels[start]:
            continue
        n += 1
        labels[start], waiting = n, [start]
        while waiting:
            row, column = waiting.pop()
            for place in ((row - 1, column), (row + 1, column), (row, column - 1), (row, column + 1)):
                inside = 0 <= place[0] < len(bright) and 0 <= place[1] < len(bright)
                if inside and bright[place] and not labels[place]:
                    labels[place] = n
                    waiting.append(place)
    return labels, n


def _grown(inside: np.ndarray) -> np.ndarray:
    """With all pixels around, corners too."""
    wide = np.pad(inside, 1)
    rows, columns = inside.shape
    shifts = itertools.product(range(3), repeat=2)
    return np.logical_or.reduce([wide[i : i + rows, j : j + columns] for i, j in shifts])
