"""A small kit to draw ideas: boxes, arrows, rows of tokens, matrices. It makes SVG that any page can hold.

    d = Drawing(420, 120, "A query meets two keys.")
    query, key = d.box(20, 40, 90, 40, "query"), d.box(300, 40, 90, 40, "key")
    d.arrow(query.right, key.left, "q · k")
    d                                                   shown at the end of a cell

Lengths are pixels at full width, x to the right and y down. Standard library only, so that part 1 can draw.
"""

import html
import math
from collections.abc import Sequence
from typing import NamedTuple

from insideout.lab.figures.style import BLUE, FONT, GREY, INK, MONO, ORANGE, opening, paint
from insideout.words import harmless

Point = tuple[float, float]


class Box(NamedTuple):
    """Where something stands, with the middles of its sides."""

    x: float
    y: float
    width: float
    height: float

    @property
    def left(self) -> Point:
        return self.x, self.y + self.height / 2

    @property
    def right(self) -> Point:
        return self.x + self.width, self.y + self.height / 2

    @property
    def top(self) -> Point:
        return self.x + self.width / 2, self.y

    @property
    def bottom(self) -> Point:
        return self.x + self.width / 2, self.y + self.height

    @property
    def centre(self) -> Point:
        return self.x + self.width / 2, self.y + self.height / 2


class Drawing:
    """A picture of boxes, arrows and words; `describe` says in a sentence what it shows, for who cannot see it."""

    def __init__(self, width: float, height: float, describe: str) -> None:
        self.width, self.height, self.describe = width, height, describe
        self.parts: list[str] = []

    def __repr__(self) -> str:
        return f"[{self.describe}]"

    def svg(self) -> str:
        """The picture as one <svg> element."""
        inside = "\n".join(self.parts)
        return f"{opening(self.width, self.height, self.describe)}\n{inside}\n</svg>"

    def _repr_html_(self) -> str:
        return f'<div class="figure">{self.svg()}</div>'

    def text(
        self, x: float, y: float, words: str, *, size: float = 13, anchor: str = "middle", colour: str = INK,
        bold: bool = False, mono: bool = False, italic: bool = False,
    ) -> None:  # fmt: skip
        """Words whose middle, "start" or "end" is at x, on the base line y."""
        style = f"font: {'italic ' if italic else ''}{'600 ' if bold else ''}{size:g}px {MONO if mono else FONT}"
        fill = f"; fill: {paint(colour)}" if colour != INK else ""
        self.parts.append(
            f'<text x="{x:.1f}" y="{y:.1f}" text-anchor="{anchor}" style="{style}{fill}">'
            f"{html.escape(harmless(words))}</text>"
        )

    def box(
        self, x: float, y: float, width: float, height: float, words: str = "", below: str = "", *,
        colour: str = BLUE, lit: bool = False, quiet: bool = False, size: float = 13, mono: bool = False,
        round: float = 5,
    ) -> Box:  # fmt: skip
        """A box with its name and, smaller, what is said below it. `lit` fills it, `quiet` leaves only a grey line."""
        colour = GREY if quiet else colour
        fill = "none" if quiet else paint(colour)
        opacity = 0.32 if lit else 0.1
        self.parts.append(
            f'<rect x="{x:.1f}" y="{y:.1f}" width="{width:.1f}" height="{height:.1f}" rx="{round:g}" '
            f'style="fill: {fill}; fill-opacity: {opacity}; stroke: {paint(colour)}; '
            f'stroke-width: {2.4 if lit else 1.2}"/>'
        )
        middle = y + height / 2 + size * 0.36 - (size * 0.55 if below else 0)
        if words:
            self.text(x + width / 2, middle, words, size=size, bold=lit, mono=mono)
        if below:
            self.text(x + width / 2, middle + size * 1.15, below, size=size * 0.82, mono=mono)
        return Box(x, y, width, height)

    def line(
        self, points: Sequence[Point], *, colour: str = GREY, width: float = 1.6, dashed: bool = False,
        head: bool = False,
    ) -> None:  # fmt: skip
        """Straight lines from point to point, with an arrow's head at the end if wanted."""
        dash = "; stroke-dasharray: 5 4" if dashed else ""
        points = list(points)
        if head:
            (x0, y0), (x1, y1) = points[-2:]
            far = math.hypot(x1 - x0, y1 - y0) or 1.0
            along, size = ((x1 - x0) / far, (y1 - y0) / far), 4.5 + width
            back = x1 - along[0] * size * 1.5, y1 - along[1] * size * 1.5
            wing = -along[1] * size * 0.62, along[0] * size * 0.62
            corners = ((x1, y1), (back[0] + wing[0], back[1] + wing[1]), (back[0] - wing[0], back[1] - wing[1]))
            tip = " ".join(f"{x:.1f},{y:.1f}" for x, y in corners)
            self.parts.append(f'<polygon points="{tip}" style="fill: {paint(colour)}"/>')
            points[-1] = (x1 - along[0] * size, y1 - along[1] * size)
        path = " ".join(f"{x:.1f},{y:.1f}" for x, y in points)
        self.parts.append(
            f'<polyline points="{path}" style="fill: none; stroke: {paint(colour)}; stroke-width: {width:g}; '
            f'stroke-linejoin: round{dash}"/>'
        )

    def arrow(
        self, start: Point, end: Point, words: str = "", *, colour: str = GREY, width: float = 1.6,
        dashed: bool = False, above: float = 6,
    ) -> None:  # fmt: skip
        """An arrow, with words beside its middle: above it, or to the right where it runs up or down."""
        self.line([start, end], colour=colour, width=width, dashed=dashed, head=True)
        if words:
            x, y = (start[0] + end[0]) / 2, (start[1] + end[1]) / 2
            if abs(end[0] - start[0]) >= abs(end[1] - start[1]):
                self.text(x, y - above, words, size=11)
            else:
                self.text(x + 7, y + 4, words, size=11, anchor="start")

    def curve(
        self, start: Point, end: Point, *, bend: float = 40, colour: str = ORANGE, width: float = 1.8,
        opacity: float = 1.0, head: bool = True,
    ) -> None:  # fmt: skip
        """An arc from point to point that rises by `bend` on its way (sinks, if negative)."""
        (x0, y0), (x1, y1) = start, end
        top = min(y0, y1) - bend if bend > 0 else max(y0, y1) - bend
        tip = ""
        if head:
            sign = 1 if bend > 0 else -1
            tip = (
                f'<polygon points="{x1:.1f},{y1:.1f} {x1 - 4.5:.1f},{y1 - 8 * sign:.1f} {x1 + 4.5:.1f},'
                f'{y1 - 8 * sign:.1f}" style="fill: {paint(colour)}; fill-opacity: {opacity:.2f}"/>'
            )
            y1 -= 6 * sign
        self.parts.append(
            f'<path d="M {x0:.1f} {y0:.1f} C {x0:.1f} {top:.1f}, {x1:.1f} {top:.1f}, {x1:.1f} {y1:.1f}" style="fill: '
            f'none; stroke: {paint(colour)}; stroke-width: {width:g}; stroke-opacity: {opacity:.2f}"/>{tip}'
        )

    def plus(self, x: float, y: float, radius: float = 9, *, colour: str = BLUE, sign: str = "+") -> Box:
        """A circle in which two streams are added (or whatever `sign` says)."""
        self.parts.append(
            f'<circle cx="{x:.1f}" cy="{y:.1f}" r="{radius:g}" style="fill: var(--pst-color-background, #fff); '
            f'stroke: {paint(colour)}; stroke-width: 1.6"/>'
        )
        self.text(x, y + radius * 0.55, sign, size=radius * 1.7)
        return Box(x - radius, y - radius, 2 * radius, 2 * radius)

    def tokens(
        self, x: float, y: float, words: Sequence[str], *, width: float = 0, height: float = 28, gap: float = 6,
        lit: Sequence[int] = (), colour: str = BLUE, size: float = 13,
    ) -> list[Box]:  # fmt: skip
        """A row of tokens; blanks are shown as ·, line ends as ↵. As wide as their letters unless `width` is given."""
        boxes = []
        for i, word in enumerate(words):
            shown = word.replace(" ", "·").replace("\n", "↵")
            wide = width or max(20.0, len(shown) * size * 0.62 + 12)
            boxes.append(self.box(x, y, wide, height, shown, colour=colour, lit=i in lit, size=size, mono=True))
            x += wide + gap
        return boxes

    def matrix(
        self, x: float, y: float, rows: int, columns: int, *, cell: float = 16, values: Sequence[Sequence[float]] = (),
        row_names: Sequence[str] = (), column_names: Sequence[str] = (), title: str = "", colour: str = BLUE,
        lit: Sequence[tuple[int, int]] = (), digits: int | None = None,
    ) -> Box:  # fmt: skip
        """A grid. `values` from 0 to 1 fill its cells (below 0: not there at all); names stand at rows and columns."""
        for i in range(rows):
            for j in range(columns):
                value = values[i][j] if values else 0.12
                if value < 0:
                    continue
                left, top, strong = x + j * cell, y + i * cell, (i, j) in lit
                self.parts.append(
                    f'<rect x="{left:.1f}" y="{top:.1f}" width="{cell - 1.5:.1f}" height="{cell - 1.5:.1f}" rx="2" '
                    f'style="fill: {paint(ORANGE if strong else colour)}; fill-opacity: '
                    f"{max(0.06, min(1.0, 0.9 if strong and not values else value)):.3f}; "
                    f"stroke: {paint(ORANGE if strong else colour)}; stroke-opacity: {1 if strong else 0.35}; "
                    f'stroke-width: {1.6 if strong else 0.8}"/>'
                )
                if digits is not None and values:
                    self.text(
                        left + cell / 2 - 1, top + cell / 2 + 3.5, f"{value:.{digits}f}", size=min(11, cell * 0.36)
                    )
        for i, name in enumerate(row_names):
            self.text(x - 6, y + i * cell + cell / 2 + 4, name, size=min(12, cell * 0.8), anchor="end", mono=True)
        for j, name in enumerate(column_names):
            self.text(x + j * cell + cell / 2, y - 6, name, size=min(12, cell * 0.8), mono=True)
        if title:
            self.text(x + columns * cell / 2, y + rows * cell + 16, title, size=12)
        return Box(x, y, columns * cell, rows * cell)
