"""Charts: heat maps with their numbers, curves, bars, shapes drawn as boxes and arrows, tables.

Drawn by matplotlib where it is installed; otherwise the same numbers are printed as text, so that the chapters run on
a bare Python. Data are plain lists. Part 1 draws with nothing else.
"""

import html
import math
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

from insideout.lab.figures.style import BLUE, COLOURS, DASHES, GREY, ORANGE, PAPER_INK, use_style
from insideout.words import harmless


class Map(NamedTuple):
    """A matrix to draw, what it is called, and the names of its rows and columns (numbers unless given)."""

    title: str
    matrix: Sequence[Sequence[float]]
    rows: Sequence[str] = ()
    columns: Sequence[str] = ()


def heat_maps(*maps: Map, digits: int = 2, across: int = 2) -> None:
    """Matrices as coloured grids with every number in its cell; blue below zero, orange above, white at zero.

    All maps share one colour scale, so equal colours are equal numbers. `across` maps stand side by side.
    Exact zeros read "0" and −∞ reads "−∞".
    """
    pyplot = _pyplot()
    if pyplot is None:
        for each in maps:
            print(_map_as_text(each, digits))
        return
    from matplotlib.colors import LinearSegmentedColormap

    colours = LinearSegmentedColormap.from_list("blue-white-orange", [BLUE, "#FFFFFF", ORANGE])
    finite = [abs(x) for each in maps for row in each.matrix for x in row if math.isfinite(x)]
    limit = max(finite, default=0.0) or 1.0
    across = min(across, len(maps))
    down = -(-len(maps) // across)
    widest = max(len(each.matrix[0]) for each in maps)
    heights = [max(len(each.matrix) for each in maps[i * across : (i + 1) * across]) * 0.36 + 0.75 for i in range(down)]
    cell = 0.145 * (digits + 2.4)
    size = (max(3.2, across * (widest * cell + 1.1)), sum(heights))
    _, panels = pyplot.subplots(down, across, figsize=size, squeeze=False, layout="constrained", height_ratios=heights)
    for axes, each in zip([panel for row in panels for panel in row], maps, strict=False):
        shown = [[x if math.isfinite(x) else math.nan for x in row] for row in each.matrix]
        axes.set_facecolor("#D9D9D9")
        axes.imshow(shown, cmap=colours, vmin=-limit, vmax=limit, aspect="auto")
        for i, row in enumerate(each.matrix):
            for j, x in enumerate(row):
                dark = math.isfinite(x) and abs(x) > 0.7 * limit
                ink = "#ffffff" if dark else PAPER_INK if math.isfinite(x) else "black"  # none behind it: the page's
                axes.text(j, i, _cell(x, digits), ha="center", va="center", fontsize=8, color=ink)
        n_rows, n_columns = len(each.matrix), len(each.matrix[0])
        axes.set_xticks(range(n_columns), each.columns or range(n_columns), fontsize=8)
        axes.set_yticks(range(n_rows), each.rows or range(n_rows), fontsize=8)
        if any(len(name) > 4 for name in each.columns):
            axes.tick_params(axis="x", labelrotation=45)
        axes.tick_params(length=0)
        axes.grid(visible=False)
        axes.spines[:].set_visible(False)
        axes.set_title(f"{each.title}   {n_rows}×{n_columns}", fontsize=10)
    for axes in [panel for row in panels for panel in row][len(maps) :]:
        axes.set_visible(False)
    pyplot.show()


def curves(
    series: Mapping[str, Sequence[float]],
    xlabel: str,
    ylabel: str,
    x: Sequence[float] | None = None,
    levels: Mapping[str, float] | None = None,
    bands: Mapping[str, tuple[Sequence[float], Sequence[float]]] | None = None,
    logarithmic: bool = False,
) -> None:
    """Lines over `x` (1, 2, ... unless given). `levels` are named horizontal lines; `bands` shade (low, high)."""
    pyplot = _pyplot()
    if pyplot is None:
        print(_curves_as_text(series, xlabel, ylabel, x, levels or {}))
        return
    _, axes = pyplot.subplots(figsize=(7, 3.6), layout="constrained")
    for i, (name, values) in enumerate(series.items()):
        places = list(x) if x is not None else list(range(1, len(values) + 1))
        axes.plot(places, values, label=name, color=COLOURS[i % 6], linestyle=DASHES[i % 4])
        if bands and name in bands:
            axes.fill_between(places, *bands[name], color=COLOURS[i % 6], alpha=0.2, linewidth=0)
    for i, (name, level) in enumerate((levels or {}).items()):
        axes.axhline(level, color=GREY, linestyle=DASHES[(i + 1) % 4], label=name)
    _finish(axes, xlabel, ylabel)
    if logarithmic:
        axes.set_yscale("log")
    if len(series) + len(levels or {}) > 1:
        axes.legend()
    pyplot.show()


def bars(
    values: Mapping[str, float] | Mapping[str, tuple[float, ...]], ylabel: str, xlabel: str = "",
    logarithmic: bool = False,
) -> None:  # fmt: skip
    """A bar for each name; a value may be (middle, low, high) or an `Interval`, drawn with its ends."""
    triples = {name: v[:3] if isinstance(v, tuple) else (v, v, v) for name, v in values.items()}
    pyplot = _pyplot()
    if pyplot is None:
        width = max(map(len, triples))
        print(ylabel)
        for name, (middle, low, high) in triples.items():
            print(f"  {name:<{width}}  {middle:.4g}" + (f"  [{low:.4g}, {high:.4g}]" if low != high else ""))
        return
    _, axes = pyplot.subplots(figsize=(7, 3.2), layout="constrained")
    middles = [middle for middle, _, _ in triples.values()]
    errors = [[m - low for m, low, _ in triples.values()], [high - m for m, _, high in triples.values()]]
    axes.bar(list(triples), middles, color=BLUE, yerr=errors if any(errors[0] + errors[1]) else None, capsize=4)
    _finish(axes, xlabel, ylabel)
    if logarithmic:
        axes.set_yscale("log")
    if sum(map(len, triples)) > 70:
        axes.tick_params(axis="x", labelrotation=45)
    pyplot.show()


def flow(stages: Sequence[tuple[str, str]], back: Sequence[str] = (), title: str = "") -> None:
    """Boxes in a row, each (name, shape), joined by arrows forward; `back` names each gradient arrow, right to left.

    flow([("x", "8×12"), ("q", "8×6"), ("scores", "8×8")], back=["dscores K / √D", "dq W_Qᵀ"])
    """
    if back and len(back) != len(stages) - 1:
        raise ValueError(f"flow: {len(stages)} stages have {len(stages) - 1} arrows back, not {len(back)}")
    pyplot = _pyplot()
    if pyplot is None:
        print((title + "\n" if title else "") + " → ".join(f"{name} ({shape})" for name, shape in stages))
        if back:
            names = [f"d{name}" for name, _ in reversed(stages)]
            print(names[0] + "".join(f" ← [{how}] ← {name}" for how, name in zip(back, names[1:], strict=True)))
        return
    widths = [max(len(name) * 0.115, len(shape) * 0.1) + 0.35 for name, shape in stages]
    longest = max(map(len, back), default=0) * 0.085
    gap = max(0.55, longest + 0.1)
    total = sum(widths) + gap * (len(stages) - 1)
    _, axes = pyplot.subplots(figsize=(min(11.0, total + 0.4), 1.7 if back else 1.2), layout="constrained")
    left, edges = 0.0, []
    for (name, shape), width in zip(stages, widths, strict=True):
        axes.add_patch(pyplot.Rectangle((left, 0), width, 0.8, facecolor="#0072B220", edgecolor=BLUE, linewidth=1.2))
        axes.text(left + width / 2, 0.52, name, ha="center", va="center", fontsize=10, color="black")
        axes.text(left + width / 2, 0.22, shape, ha="center", va="center", fontsize=8.5, color="black")
        edges.append((left, left + width))
        left += width + gap
    for i in range(len(stages) - 1):
        start, end = edges[i][1], edges[i + 1][0]
        axes.annotate("", (end, 0.58), (start, 0.58), arrowprops={"arrowstyle": "-|>", "color": BLUE, "lw": 1.6})
        if back:
            arrow = {"arrowstyle": "-|>", "color": ORANGE, "lw": 1.6, "linestyle": "--"}
            axes.annotate("", (start, 0.2), (end, 0.2), arrowprops=arrow)
            how = back[len(back) - 1 - i]
            axes.text((start + end) / 2, -0.12, how, ha="center", va="top", fontsize=8.5, color=ORANGE)
    axes.set(xlim=(-0.1, left - gap + 0.1), ylim=(-0.45 if back else -0.1, 0.95))
    axes.set_axis_off()
    if title:
        axes.set_title(title, fontsize=10)
    pyplot.show()


class Table:
    """Rows under headings, shown as a table in a notebook and as aligned text elsewhere."""

    def __init__(self, headings: Sequence[str], rows: Sequence[Sequence[Any]]) -> None:
        self.headings = list(headings)
        self.rows = [[_entry(x) for x in row] for row in rows]
        for row in self.rows:
            if len(row) != len(self.headings):
                raise ValueError(f"Table: {len(self.headings)} headings and a row of {len(row)}")

    def __repr__(self) -> str:
        lines = [self.headings, *self.rows]
        widths = [max(len(line[i]) for line in lines) for i in range(len(self.headings))]
        return "\n".join("  ".join(x.ljust(w) for x, w in zip(line, widths, strict=True)).rstrip() for line in lines)

    def _repr_html_(self) -> str:
        head = "".join(f"<th>{html.escape(x)}</th>" for x in self.headings)
        body = "".join("<tr>" + "".join(f"<td>{html.escape(x)}</td>" for x in row) + "</tr>" for row in self.rows)
        return f"<table><thead><tr>{head}</tr></thead><tbody>{body}</tbody></table>"


def _pyplot() -> Any:
    """matplotlib.pyplot in the book's style, or None on a Python without it."""
    try:
        import matplotlib.pyplot as pyplot
    except ModuleNotFoundError:
        return None
    use_style()
    return pyplot


def _finish(axes: Any, xlabel: str, ylabel: str) -> None:
    axes.set(xlabel=xlabel, ylabel=ylabel)
    axes.spines[["top", "right"]].set_visible(False)
    axes.grid(alpha=0.3)
    axes.set_axisbelow(True)


def _cell(x: float, digits: int) -> str:
    if x == 0:
        return "0"
    if math.isinf(x):
        return "∞" if x > 0 else "−∞"
    text = f"{x:.{digits}f}"
    if float(text) == 0:  # small, and not nothing
        text = f"{x:.0e}".replace("e-0", "e-") if digits > 1 else f"{0.0:.{digits}f}"
    return text.replace("-", "−")


def _entry(x: Any) -> str:
    if isinstance(x, float) and type(x) is float:
        return f"{x:.2e}" if x and not 1e-3 <= abs(x) < 1e5 else f"{x:.4g}"
    return harmless(str(x))


def _map_as_text(each: Map, digits: int) -> str:
    rows = list(each.rows) or [str(i) for i in range(len(each.matrix))]
    columns = list(each.columns) or [str(j) for j in range(len(each.matrix[0]))]
    cells = [[_cell(x, digits) for x in row] for row in each.matrix]
    first = max(map(len, rows))
    widths = [max(len(columns[j]), *(len(row[j]) for row in cells)) for j in range(len(columns))]
    lines = [f"{each.title}   {len(rows)}×{len(columns)}"]
    lines.append(" " * first + "".join("  " + name.rjust(w) for name, w in zip(columns, widths, strict=True)))
    for name, row in zip(rows, cells, strict=True):
        lines.append(name.ljust(first) + "".join("  " + x.rjust(w) for x, w in zip(row, widths, strict=True)))
    return "\n".join(lines) + "\n"


def _curves_as_text(
    series: Mapping[str, Sequence[float]], xlabel: str, ylabel: str, x: Sequence[float] | None,
    levels: Mapping[str, float],
) -> str:  # fmt: skip
    """Ten points along the way for each line."""
    n = max(len(values) for values in series.values())
    chosen = sorted({round(i * (n - 1) / 9) for i in range(10)})
    places = list(x) if x is not None else list(range(1, n + 1))
    rows = [[f"{places[i]:g}", *(f"{v[i]:.4g}" if i < len(v) else "" for v in series.values())] for i in chosen]
    lines = [f"{ylabel}, by {xlabel}", repr(Table([xlabel, *series], rows))]
    return "\n".join([*lines, *(f"{name}: {level:.4g}" for name, level in levels.items())])
