"""One style for every figure: colours safe for colour-blind readers, vector graphics, the page's own light or dark.

A figure is inline SVG. Its lines and letters have the colour of the text around it (`currentColor`), and its palette
can be lightened by the page (`var(--figure-blue, …)`), so that it reads in light, in dark, on paper and in a notebook.
Standard library only; matplotlib's figures join in where it is installed. Colours: Okabe and Ito 2008.
"""

import contextlib
import html
import io
import re
import sys
from collections.abc import Iterator
from typing import Any

BLUE, ORANGE, GREEN, PINK, GREY = "#0072B2", "#D55E00", "#009E73", "#CC79A7", "#7F7F7F"
SKY, YELLOW = "#56B4E9", "#E69F00"
COLOURS = (BLUE, ORANGE, GREEN, PINK, SKY, YELLOW)
DASHES = ("-", "--", "-.", ":")
MARKERS = ("o", "s", "^", "D")
NAMES = {BLUE: "blue", ORANGE: "orange", GREEN: "green", PINK: "pink", GREY: "grey", SKY: "sky", YELLOW: "yellow"}
INK = "currentColor"
PAPER_INK = "#1a1a1a"
"""For letters on a cell that is light in the dark too."""
FONT = "var(--book-sans, system-ui, -apple-system, 'Segoe UI', Roboto, Arial, sans-serif)"
MONO = "var(--book-mono, ui-monospace, Menlo, Consolas, monospace)"


def paint(colour: str) -> str:
    """A colour of the palette as the page may change it; any other as it is."""
    return f"var(--figure-{NAMES[colour]}, {colour})" if colour in NAMES else colour


def use_style() -> None:
    """Draw matplotlib's figures in this style, in a notebook as inline SVG; nothing is done without matplotlib."""
    try:
        import matplotlib
        from cycler import cycler
        from matplotlib.figure import Figure
    except ModuleNotFoundError:
        return
    matplotlib.rcParams.update(
        {
            "axes.axisbelow": True, "axes.grid": True, "axes.spines.right": False, "axes.spines.top": False,
            "axes.prop_cycle": cycler(color=COLOURS), "figure.constrained_layout.use": True,
            "figure.dpi": 100, "font.size": 11, "grid.alpha": 0.3, "legend.framealpha": 0.0, "lines.linewidth": 1.8,
            "savefig.transparent": True, "svg.fonttype": "none",
        }
    )  # fmt: skip
    shell = _shell()
    if shell is None:
        return
    with contextlib.suppress(ModuleNotFoundError):  # it names its own format as it is loaded: first it, then ours
        import matplotlib_inline.backend_inline  # noqa: F401
    formatters = shell.display_formatter.formatters
    for kind in ("image/png", "image/svg+xml", "image/jpeg"):  # one form of a figure is enough
        formatters[kind].pop(Figure, None)
    formatters["text/html"].for_type(Figure, svg_of)


def in_notebook() -> bool:
    """Is there a shell that shows figures?"""
    return "IPython" in sys.modules and _shell() is not None


def _shell() -> Any:
    """The notebook's shell, or None outside one."""
    try:
        from IPython import get_ipython
    except ModuleNotFoundError:
        return None
    return get_ipython()


def svg_of(figure: Any) -> str:
    """A matplotlib figure as inline SVG in the page's own colours; letters stay letters. A wide chart in two forms: not
    a drawing, without axes, whose words would no longer fit their places."""
    if figure.get_figwidth() <= PHONE_WIDTH or not any(each.axison for each in figure.axes):
        return f'<div class="figure">{_svg(figure)}</div>'
    wide = _svg(figure)
    with _on_a_phone(figure):
        return two_forms(wide, _svg(figure))


def two_forms(wide: str, narrow: str, kind: str = "figure") -> str:
    """The same picture twice: for a page, and for a phone. The width of the window chooses."""
    narrow = re.sub(r"min-width: \d+px", "min-width: 0", narrow)
    return f'{CHOICE}<div class="{kind}"><div class="wide">{wide}</div><div class="narrow">{narrow}</div></div>'


CHOICE = (
    "<style>.figure .narrow{display:none}@media(max-width:600px){.figure .wide{display:none}"
    ".figure .narrow{display:block}}</style>"
)


PHONE_WIDTH = 3.9
"""Inches of a figure whose letters are read on a phone that shows it whole."""


@contextlib.contextmanager
def _on_a_phone(figure: Any) -> Iterator[None]:
    """A figure as wide as a phone, panels of one row below each other, each with its own numbers; then as it was."""
    width, height = figure.get_size_inches()
    panels = [each for each in figure.axes if each.get_subplotspec() is not None]
    places = [each.get_subplotspec() for each in panels]
    numbered = [each.yaxis.get_tick_params().get("labelleft", True) for each in panels]
    grids = {id(place.get_gridspec()): place.get_gridspec() for place in places}
    in_a_row = len(panels) > 1 and len(grids) == 1 and next(iter(grids.values())).nrows == 1
    # a panel keeps its height, but for what a narrow one would stretch
    tall = max(0.8 * height, min(height, 2.6)) * (len(panels) if in_a_row else 1)
    try:
        figure.set_size_inches(PHONE_WIDTH, tall)
        if in_a_row:
            below = figure.add_gridspec(len(panels), 1)
            for row, each in enumerate(panels):
                each.set_subplotspec(below[row, 0])
                each.tick_params(labelleft=True)
        yield
    finally:
        figure.set_size_inches(width, height)
        for each, place, shown in zip(panels, places, numbered, strict=True):
            each.set_subplotspec(place)
            each.tick_params(labelleft=shown)


def _svg(figure: Any) -> str:
    """The figure's <svg>, in its present size."""
    file = io.StringIO()
    figure.savefig(file, format="svg", transparent=True, bbox_inches="tight", metadata={"Date": None, "Creator": None})
    text = file.getvalue()
    text = text[text.index("<svg") :]
    used = set(re.findall(r"(?:url\(#|href=\"#)([^)\"]+)", text))
    text = re.sub(r' id="([^"]*)"', lambda found: found.group(0) if found.group(1) in used else "", text)
    text = re.sub(r"<metadata>.*?</metadata>\s*|<!--.*?-->\s*", "", text, flags=re.S)
    for colour in NAMES:
        text = re.sub(rf"(?<=: ){colour}\b", paint(colour), text, flags=re.I)
    text = re.sub(r"(?<=: )#000000\b", INK, text)
    text = re.sub(r"font: ([\d.]+px) [^;\"]*", rf"font: \1 {FONT}", text)
    text = re.sub(r"font-family: [^;\"]*", f"font-family: {FONT}", text)
    width, height = (float(size) for size in re.findall(r'viewBox="0 0 ([\d.]+) ([\d.]+)"', text)[0])
    text = re.sub(
        r"<svg [^>]*>", opening(width * 4 / 3, height * 4 / 3, "", f"0 0 {width:g} {height:g}"), text, count=1
    )
    return text.strip()


def opening(width: float, height: float, describe: str = "", box: str = "") -> str:
    """The <svg …> of a figure: its own width, never wider than the page; on a phone a wide one is scrolled."""
    box = box or f"0 0 {width:g} {height:g}"
    label = f' aria-label="{html.escape(describe)}"' if describe else ""
    narrowest = min(width, 560)  # narrower, and letters could not be read
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" xmlns:xlink="http://www.w3.org/1999/xlink" role="img"{label} '
        f'viewBox="{box}" fill="currentColor" '
        f'style="width: 100%; max-width: {width:.0f}px; min-width: {narrowest:.0f}px; height: auto">'
    )
