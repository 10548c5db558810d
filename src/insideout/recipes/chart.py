"""A line chart as inline SVG, drawn so that the page's own colours (and so its dark mode) apply to it.

Hand-written because it must carry no font and no colour of its own: classes are styled by the page.
"""

import html
import math
from collections.abc import Sequence
from dataclasses import dataclass

WIDTH, HEIGHT = 720, 350
RIGHT, TOP, BOTTOM = 24, 44, 64  # room for letters of up to 24 units, which a phone needs
CHARACTER = 13.5

Point = tuple[float, float]


@dataclass(frozen=True)
class Line:
    """One curve: its name in the legend, its points, and the page's class for its colour."""

    name: str
    points: Sequence[Point]
    css: str
    dots: bool = False


def ticks(low: float, high: float, about: int = 6) -> list[float]:
    """Round numbers from low to high, about so many: 1, 2 or 5 times a power of ten apart."""
    if high <= low:
        return [low]
    raw = (high - low) / about
    power = 10.0 ** math.floor(math.log10(raw))
    step = next(m * power for m in (1, 2, 5, 10) if m * power >= raw * 0.999)
    first = math.ceil(low / step - 1e-9)
    return [i * step for i in range(first, math.floor(high / step + 1e-9) + 1)]


def label(value: float, step: float) -> str:
    """A tick's number, with as many decimals as its neighbours need."""
    decimals = max(0, -math.floor(math.log10(step) + 1e-9)) if step > 0 else 0
    return f"{value:,.{decimals}f}"


def line_chart(lines: Sequence[Line], x_label: str, y_label: str, describe: str, from_zero: bool = False) -> str:
    """Curves over a shared grid, axes named with their units, a legend at the top right."""
    points = [point for line in lines for point in line.points]
    if not points:
        return "<p>Nothing was measured.</p>"
    x_high = max(x for x, _ in points)
    x_low = min(0.0, min(x for x, _ in points))
    y_low, y_high = min(y for _, y in points), max(y for _, y in points)
    margin = 0.05 * (y_high - y_low) or 0.5
    y_low, y_high = 0.0 if from_zero else y_low - margin, y_high + margin
    x_high = x_high if x_high > x_low else x_low + 1

    y_ticks, x_ticks = ticks(y_low, y_high), ticks(x_low, x_high)
    y_step = y_ticks[1] - y_ticks[0] if len(y_ticks) > 1 else 1
    x_step = x_ticks[1] - x_ticks[0] if len(x_ticks) > 1 else 1
    left = 12 + CHARACTER * max(len(label(y, y_step)) for y in y_ticks)

    def x_at(x: float) -> float:
        return left + (x - x_low) / (x_high - x_low) * (WIDTH - left - RIGHT)

    def y_at(y: float) -> float:
        return HEIGHT - BOTTOM - (y - y_low) / (y_high - y_low) * (HEIGHT - TOP - BOTTOM)

    parts = [f'<svg class="chart" viewBox="0 0 {WIDTH} {HEIGHT}" role="img" aria-label="{html.escape(describe)}">']
    for y in y_ticks:
        parts.append(f'<line class="grid" x1="{left}" x2="{WIDTH - RIGHT}" y1="{y_at(y):.1f}" y2="{y_at(y):.1f}"/>')
        name = label(y, y_step)
        parts.append(f'<text x="{left - 8:.1f}" y="{y_at(y) + 4:.1f}" text-anchor="end">{name}</text>')
    for x in x_ticks:
        name = label(x, x_step)
        parts.append(f'<text x="{x_at(x):.1f}" y="{HEIGHT - BOTTOM + 26}" text-anchor="middle">{name}</text>')
    base = HEIGHT - BOTTOM
    parts.append(f'<line class="axis" x1="{left}" x2="{WIDTH - RIGHT}" y1="{base}" y2="{base}"/>')
    middle = (left + WIDTH - RIGHT) / 2
    parts.append(f'<text class="name" x="{middle}" y="{HEIGHT - 8}" text-anchor="middle">{html.escape(x_label)}</text>')
    parts.append(f'<text class="name" x="0" y="20">{html.escape(y_label)}</text>')
    for line in lines:
        path = " ".join(f"{x_at(x):.1f},{y_at(y):.1f}" for x, y in line.points)
        parts.append(f'<polyline class="curve {line.css}" points="{path}"/>')
        if line.dots:
            parts += [
                f'<circle class="dot {line.css}" cx="{x_at(x):.1f}" cy="{y_at(y):.1f}" r="3.5">'
                f"<title>{html.escape(line.name)}, step {x:,.0f}: {y:.3f}</title></circle>"
                for x, y in line.points
            ]
    for line, (x, y) in zip(lines, legend([line.name for line in lines]), strict=True) if len(lines) > 1 else []:
        parts.append(f'<line class="curve {line.css}" x1="{x}" x2="{x + 26}" y1="{y - 5}" y2="{y - 5}"/>')
        parts.append(f'<text class="name" x="{x + 34}" y="{y}">{html.escape(line.name)}</text>')
    return "\n".join([*parts, "</svg>"])


def legend(names: Sequence[str]) -> list[Point]:
    """Where each name of the legend begins: at the top right, in a further row where they need more than its share."""
    x, y = float(WIDTH - RIGHT), 20.0
    places: list[Point] = []
    for name in reversed(names):
        width = max(165.0, 40 + CHARACTER * len(name))
        if places and x - width < 0.3 * WIDTH:
            x, y = float(WIDTH - RIGHT), y + 20
        x -= width
        places.append((x, y))
    return places[::-1]


def thinned(points: Sequence[Point], at_most: int = 400) -> list[Point]:
    """Means over runs of neighbours, so that a long run draws a short path; the last point ends at the last step."""
    size = math.ceil(len(points) / at_most) if points else 1
    runs = [points[i : i + size] for i in range(0, len(points), size)]
    return [(sum(x for x, _ in run) / len(run), sum(y for _, y in run) / len(run)) for run in runs]
