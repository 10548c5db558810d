"""A square of the plane inside a drawing: points, arrows of a field, paths. One SVG path a call keeps it small.

    d = Drawing(300, 300, "A field of arrows towards two moons")
    plane = Plane(d, 10, 10, 280, reach=2.5)                from −2.5 to 2.5 both ways
    plane.arrows(xy, velocities), plane.points(data, colour=ORANGE), plane.paths(trajectories)

x runs to the right and y up. What lies outside is left out. Used in part 5.
"""

import math
from collections.abc import Iterable, Sequence
from typing import Any

from insideout.lab.figures.drawing import Box, Drawing
from insideout.lab.figures.style import BLUE, GREY, ORANGE, paint

__all__ = ["Plane"]


class Plane:
    """Where a square of the plane stands in a drawing, and what is drawn into it. Coordinates are rows of two."""

    def __init__(
        self, drawing: Drawing, x: float, y: float, size: float, *, reach: float = 2.6, title: str = ""
    ) -> None:
        self.drawing, self.box, self.reach = drawing, Box(x, y, size, size), reach
        drawing.parts.append(
            f'<rect x="{x:.1f}" y="{y:.1f}" width="{size:.1f}" height="{size:.1f}" rx="4" '
            f'style="fill: none; stroke: {paint(GREY)}; stroke-opacity: 0.5"/>'
        )
        if title:
            drawing.text(x + size / 2, y - 7, title, size=13)

    def points(self, xy: Any, colour: str = BLUE, width: float = 3.0, opacity: float = 0.7) -> None:
        """A round dot at each point."""
        self._stroke("".join(f"M{x:.1f} {y:.1f}h0" for x, y in self._inside(xy)), colour, width, opacity)

    def arrows(
        self, xy: Any, vectors: Any, colour: str = GREY, longest: float = 0.0, width: float = 1.3, opacity: float = 0.9
    ) -> None:
        """An arrow at each point, drawn to scale; `longest` shortens those that are longer, in units of the plane."""
        found = []
        for (x, y), (u, v) in zip(_rows(xy), _rows(vectors), strict=True):
            far = math.hypot(u, v)
            if max(abs(x), abs(y)) > self.reach or far == 0:
                continue
            shrunk = min(1.0, longest / far) if longest else 1.0
            (x0, y0), (x1, y1) = self.at(x, y), self.at(x + shrunk * u, y + shrunk * v)
            long = math.hypot(x1 - x0, y1 - y0)
            head = min(4.0, 0.45 * long) / (long or 1.0)
            back = [((x0 - x1) * head, (y0 - y1) * head)]
            wings = [(x1 + bx + 0.6 * side * by, y1 + by - 0.6 * side * bx) for bx, by in back for side in (1, -1)]
            found.append(
                f"M{x0:.1f} {y0:.1f}L{x1:.1f} {y1:.1f}M{wings[0][0]:.1f} {wings[0][1]:.1f}L{x1:.1f} {y1:.1f}"
                f"L{wings[1][0]:.1f} {wings[1][1]:.1f}"
            )
        self._stroke("".join(found), colour, width, opacity)

    def paths(self, paths: Iterable[Any], colour: str = ORANGE, width: float = 1.0, opacity: float = 0.6) -> None:
        """A line along each path, a sequence of points."""
        found = []
        for path in paths:
            on = self._inside(path)
            found.append("M" + "L".join(f"{x:.1f} {y:.1f}" for x, y in on) if len(on) > 1 else "")
        self._stroke("".join(found), colour, width, opacity)

    def at(self, x: float, y: float) -> tuple[float, float]:
        """Where a point of the plane stands in the drawing."""
        per = self.box.width / (2 * self.reach)
        return self.box.x + (x + self.reach) * per, self.box.y + (self.reach - y) * per

    def _inside(self, xy: Any) -> list[tuple[float, float]]:
        return [self.at(x, y) for x, y in _rows(xy) if max(abs(x), abs(y)) <= self.reach]

    def _stroke(self, path: str, colour: str, width: float, opacity: float) -> None:
        if path:
            self.drawing.parts.append(
                f'<path d="{path}" style="fill: none; stroke: {paint(colour)}; stroke-width: {width:g}; '
                f'stroke-opacity: {opacity:g}; stroke-linecap: round; stroke-linejoin: round"/>'
            )


def _rows(xy: Any) -> Sequence[Sequence[float]]:
    """Rows of two numbers, from a tensor too."""
    return xy.tolist() if hasattr(xy, "tolist") else xy
