"""What the book draws with: charts, drawings, the map of the model, and figures that answer a hand.

    heat_maps, curves, bars, flow, Table        numbers
    Drawing, model_map                          what you draw yourself, and where we are
    Plane                                       points, arrows and paths in a square of the plane
    arrows, heads, cache_steps, patching, induction, graph, learned_tokens      one idea each
    reads, frames, temperature                  to touch

One style: inline SVG in the page's own colours. Where matplotlib is not installed, charts are printed as text.
In a notebook, importing this package is enough to have matplotlib's own figures in the style too.
"""

from insideout.lab.figures.charts import Map, Table, bars, curves, flow, heat_maps
from insideout.lab.figures.drawing import Box, Drawing
from insideout.lab.figures.ideas import Step, arrows, cache_steps, graph, heads, induction, learned_tokens, patching
from insideout.lab.figures.live import frames, reading, reads, temperature
from insideout.lab.figures.maps import model_map
from insideout.lab.figures.plane import Plane
from insideout.lab.figures.style import (
    BLUE,
    COLOURS,
    DASHES,
    GREEN,
    GREY,
    MARKERS,
    ORANGE,
    PINK,
    SKY,
    YELLOW,
    in_notebook,
    use_style,
)

__all__ = [
    "BLUE",
    "COLOURS",
    "DASHES",
    "GREEN",
    "GREY",
    "MARKERS",
    "ORANGE",
    "PINK",
    "SKY",
    "YELLOW",
    "Box",
    "Drawing",
    "Map",
    "Plane",
    "Step",
    "Table",
    "arrows",
    "bars",
    "cache_steps",
    "curves",
    "flow",
    "frames",
    "graph",
    "heads",
    "heat_maps",
    "induction",
    "learned_tokens",
    "model_map",
    "patching",
    "reading",
    "reads",
    "temperature",
    "use_style",
]  # fmt: skip

if in_notebook():
    use_style()
