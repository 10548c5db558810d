"""Scenes: small pictures of one or two coloured shapes, with captions that say what is to be seen.

    found = scenes("train", 64, seed=0)        pictures (64, 3, 16, 16) and their captions
    draw([[Item(Thing("red", "circle", "small"), 0.5, 0.5)]])

As many as are wanted are made on the spot; none is stored. Of the combinations of colours, shapes, counts and relations
a part is held out, by a hash: of them no picture is ever trained on, so that drawing one right is no memory.
A picture has nine cells, three by three, and a thing stands in the middle of one. Edges are soft: a pixel is covered in
part, by its distance to the outline. Background is black.
Used in part 5, by the chapters on words and pictures and on text conditioning.
"""

import math
import random
from collections.abc import Iterator, Sequence
from typing import NamedTuple

import torch
from jaxtyping import Float
from torch import Tensor

from insideout.checks import whole
from insideout.data.pictures.captions import COLOURS, RELATIONS, SHAPES, SIZES, Caption, Thing
from insideout.data.suite import SPLITS, Split
from insideout.errors import BadInput

__all__ = ["PALETTE", "Item", "Scenes", "coverage", "draw", "item_of", "place", "scenes", "stream"]

SIDE = 16
SMALLEST_SIDE, LARGEST_SIDE = 16, 128
RADII = {"small": 1.8 / 16, "large": 2.4 / 16}
"""Of a circle, as a share of the picture's side; the other shapes are about as wide."""
SOFTNESS = 1.2 / 16
"""Width of an edge, as a share of the side."""
GAP = 1.0 / 16
"""The least room between two things."""
CELLS = 3
"""Of a row and of a column: a thing stands in the middle of one."""
CLEAR = 1.5 / 16
"""By how much more a thing must lie above another than beside it, to be above."""
PALETTE: dict[str, tuple[float, float, float]] = {
    "red": (1.0, 0.15, 0.15), "green": (0.15, 0.9, 0.25), "blue": (0.2, 0.4, 1.0), "yellow": (1.0, 0.9, 0.15),
}  # fmt: skip
"""Red, green and blue, each from 0 to 1."""
KINDS = {"one": 0.2, "several": 0.2, "two": 0.6}
"""How often each kind of caption is drawn."""
SAID = 1 / 3
"""How often a caption says a thing's size."""
SQUARE = 0.95
"""Half the side of a square, for a circle of radius 1."""
INNER = 0.55
"""Radius of the circle within a triangle: its tip is no higher than a cell."""
AREAS = {"circle": math.pi, "square": 4 * SQUARE**2, "triangle": 3 * math.sqrt(3) * INNER**2}
"""Of each shape, for a circle of radius 1."""


class Item(NamedTuple):
    """A thing in its place. x and y are shares of the side, from the left and from the top, of its centroid."""

    thing: Thing
    x: float
    y: float


class Scenes(NamedTuple):
    """Pictures with what they show."""

    pictures: Tensor
    """(N, 3, side, side) in [-1, 1]"""
    captions: list[Caption]
    items: list[list[Item]]


def scenes(split: Split, n: int, seed: int = 0, side: int = SIDE) -> Scenes:
    """The first n scenes of a split's stream. Raises BadInput for another split, fewer than 1, or a side too small."""
    whole("n", n, 1)
    source = stream(split, seed)
    pairs = [next(source) for _ in range(n)]
    items = [each for _, each in pairs]
    return Scenes(draw(items, side), [caption for caption, _ in pairs], items)


def stream(split: Split, seed: int = 0) -> Iterator[tuple[Caption, list[Item]]]:
    """Captions of a split with a picture's items for each, without end."""
    if split not in SPLITS:
        raise BadInput(f"There is no split {split!r}: choose one of {', '.join(SPLITS)}.")
    source = random.Random(f"scenes {split} {seed}")
    while True:
        caption = _propose(source)
        if caption.split == split:
            yield caption, place(caption, source)


def place(caption: Caption, source: random.Random) -> list[Item]:
    """Items that show what a caption says, anywhere that they can be. Raises BadInput where there is no room for them.

    Where the caption leaves a size open, it is drawn too.
    """
    things = [caption.thing] * caption.count + ([] if caption.other is None else [caption.other])
    for _ in range(2000):
        sized = [thing if thing.size else thing._replace(size=source.choice(SIZES)) for thing in things]
        found = [item_of(thing, source) for thing in sized]
        if _apart(found) and (not caption.relation or holds(caption.relation, found[0], found[1], CLEAR)):
            return found
    raise BadInput(f"There is no room for {caption}: say fewer, or smaller ones.")


def item_of(thing: Thing, source: random.Random) -> Item:
    """A thing of a given size, in any cell."""
    x, y = ((source.randrange(CELLS) + 0.5) / CELLS for _ in range(2))
    return Item(thing, x, y)


def holds(relation: str, first: Item, second: Item, clear: float = 0.0) -> bool:
    """Is the first in this relation to the second? It is above where it is higher by more than it is aside."""
    across, down = second.x - first.x, second.y - first.y
    along, aside = {
        "above": (down, across), "below": (-down, across), "left of": (across, down), "right of": (-across, down),
    }[relation]  # fmt: skip
    return along > abs(aside) + clear


def draw(items: Sequence[Sequence[Item]], side: int = SIDE) -> Float[Tensor, "N 3 side side"]:
    """The pictures of some scenes. Raises BadInput for none, or a side that shapes cannot be told apart at."""
    if not items:
        raise BadInput("There is no scene to draw: give at least one.")
    if not SMALLEST_SIDE <= whole("side", side, 0) <= LARGEST_SIDE:
        raise BadInput(f"side is {side}: it must lie between {SMALLEST_SIDE} and {LARGEST_SIDE} pixels.")
    pictures = torch.zeros(len(items), 3, side, side)
    for slot in range(max(len(each) for each in items)):  # the first thing of every scene, then the second, …
        rows = [row for row, each in enumerate(items) if slot < len(each)]
        there = [items[row][slot] for row in rows]
        radius = torch.tensor([RADII[item.thing.size or "small"] for item in there])
        centre = torch.tensor([[item.x, item.y] for item in there])
        colour = torch.tensor([PALETTE[item.thing.colour] for item in there])
        every = coverage(centre, radius, side)  # (shape, n, side, side)
        shape = torch.tensor([SHAPES.index(item.thing.shape) for item in there])
        alpha = every[shape, torch.arange(len(there))][:, None]  # (n, 1, side, side)
        pictures[rows] = pictures[rows] * (1 - alpha) + alpha * colour[:, :, None, None]
    return 2 * pictures - 1


def coverage(centre: Float[Tensor, "n 2"], radius: Float[Tensor, " n"], side: int) -> Float[Tensor, "3 n side side"]:
    """How much of each pixel a circle, a square and a triangle cover, with the same centroid.

    A pixel's share falls from 1 to 0 over the edge's width, by its middle's distance to the outline.
    """
    middles = (torch.arange(side) + 0.5) / side
    x = middles[None, None, :] - centre[:, 0, None, None]  # (n, 1, side)
    y = middles[None, :, None] - centre[:, 1, None, None]  # (n, side, 1)
    r = radius[:, None, None]
    circle = torch.sqrt(x**2 + y**2) - r
    square = torch.maximum(x.abs(), y.abs()) - SQUARE * r
    triangle = torch.maximum(y, math.sqrt(3) / 2 * x.abs() - y / 2) - INNER * r  # its tip is up
    return torch.clamp(0.5 - torch.stack([circle, square, triangle]) / SOFTNESS, 0, 1)


def _propose(source: random.Random) -> Caption:
    """Any caption, of any split."""
    [kind] = source.choices(list(KINDS), list(KINDS.values()))
    thing = Thing(source.choice(COLOURS), source.choice(SHAPES), _maybe_size(source))
    if kind == "one":
        return Caption(thing)
    if kind == "several":
        return Caption(thing, count=2)
    while True:
        other = Thing(source.choice(COLOURS), source.choice(SHAPES), _maybe_size(source))
        if other[:2] != thing[:2]:
            return Caption(thing, source.choice(RELATIONS), other)


def _maybe_size(source: random.Random) -> str:
    return source.choice(SIZES) if source.random() < SAID else ""


def _reach(thing: Thing) -> tuple[float, float, float, float]:
    """How far it reaches to the left, right, up and down."""
    r = RADII[thing.size]
    if thing.shape == "triangle":
        half = math.sqrt(3) * INNER * r
        return half, half, 2 * INNER * r, INNER * r
    half = SQUARE * r if thing.shape == "square" else r
    return half, half, half, half


def _apart(items: list[Item]) -> bool:
    """Is there a gap between every two of them, across or down?"""
    for i, first in enumerate(items):
        left, right, up, down = _reach(first.thing)
        for second in items[:i]:
            left_2, right_2, up_2, down_2 = _reach(second.thing)
            across = max(first.x - left - second.x - right_2, second.x - left_2 - first.x - right)
            along = max(first.y - up - second.y - down_2, second.y - up_2 - first.y - down)
            if max(across, along) < GAP:
                return False
    return True
