"""The map of the model, drawn from its configuration, with the piece that a chapter is about lit up.

    model_map(config, lit=("attention",))

Tokens become rows of numbers; the rows run along the stream; in each block two branches leave it, compute, and are
added back; at the end the rows become scores of the next token. Standard library only.
"""

from typing import Any

from insideout.lab.figures.drawing import Box, Drawing, Point
from insideout.lab.figures.style import BLUE, GREEN, GREY, ORANGE, two_forms

PIECES = (
    "tokens", "embedding", "positions", "norm", "attention", "cache", "residual", "feed_forward", "block", "stream",
    "head", "softmax", "loss", "gradient", "update",
)  # fmt: skip


class ModelMap:
    """The same picture twice: lying for a wide page, standing for a narrow one."""

    def __init__(self, wide: Drawing, narrow: Drawing) -> None:
        self.wide, self.narrow = wide, narrow

    def __repr__(self) -> str:
        return repr(self.wide)

    def _repr_html_(self) -> str:
        return two_forms(self.wide.svg(), self.narrow.svg(), "figure map")


def model_map(config: Any, lit: tuple[str, ...] = (), positions: int | None = None) -> ModelMap:
    """The model of this configuration (part 1's or part 2's) with the pieces `lit`, of `PIECES`, lit up.

    `positions` is the number of tokens on the arrows, T unless given. Raises ValueError for a piece there is not.
    """
    for name in lit:
        if name not in PIECES:
            raise ValueError(f"model_map: there is no piece {name!r}; there are {', '.join(PIECES)}")
    return ModelMap(
        _draw(config, set(lit), positions, standing=False), _draw(config, set(lit), positions, standing=True)
    )


def _draw(config: Any, lit: set[str], positions: int | None, standing: bool) -> Drawing:
    t = str(positions or "T")
    width = config.d_model
    hidden = getattr(config, "ff_width", None) or getattr(config, "d_ff", 4 * width)
    rows, scores = f"{t}×{width}", f"{t}×{config.vocab_size}"
    learns = bool(lit & {"loss", "gradient", "update"})
    said = "lit: " + ", ".join(name.replace("_", "-") for name in PIECES if name in lit) if lit else "nothing lit"
    describe = (
        f"The model: {t} tokens, embedding, {config.n_layers} block{'s' if config.n_layers > 1 else ''} of attention "
        f"({config.n_heads} heads) and feed-forward on a stream {width} wide, norm, head, scores of "
        f"{config.vocab_size} tokens; {said}."
    )
    d = Drawing(372, 222 if "cache" in lit else 198, describe)  # its length is known at the end
    stream = 64.0  # how far across the stream runs
    long, high = (44.0, 108.0) if standing else (78.0, 44.0)  # a box along the stream, and across it

    def at(along: float, across: float) -> Point:
        return (across, along) if standing else (along, across)

    def station(along: float, words: str, below: str, name: str, across: float = stream) -> Box:
        """A box on the stream; gives its place."""
        x, y = at(along, across - high / 2)
        w, h = (high, long) if standing else (long, high)
        return d.box(x, y, w, h, words, below, lit=name in lit, colour=BLUE, size=12.5)

    def ends(box: Box) -> tuple[Point, Point]:
        return (box.top, box.bottom) if standing else (box.left, box.right)

    gap = 26.0 if standing else 30.0
    along = 8.0
    tokens = station(along, "tokens", f"{t} ids", "tokens")
    along += long + gap
    embedding = station(along, "embedding", "+ positions" if positions_added(config) else rows, "embedding")
    if "positions" in lit and "embedding" not in lit:
        station(along, "", "", "positions")
    d.arrow(ends(tokens)[1], ends(embedding)[0], "" if standing else t)
    start = along + long

    # the block: a frame, and the stream that runs through it
    one = 112.0 if standing else 184.0  # along, of one branch
    frame_start, frame_end = start + gap, start + gap + 2 * one + (26 if standing else 20)
    x, y = at(frame_start, 8)
    w, h = (356.0, frame_end - frame_start) if standing else (frame_end - frame_start, d.height - 16)
    d.box(x, y, w, h, colour=GREEN if "block" in lit else GREY, lit="block" in lit, quiet="block" not in lit, round=10)
    times = f"block × {config.n_layers}"
    x, y = (358.0, frame_start + 17) if standing else (frame_end - 8, 24.0)
    d.text(x, y, times, size=12, anchor="end")

    norm_end = frame_end + gap
    carries = "stream" in lit or "residual" in lit
    path = [at(start, stream), at(norm_end, stream)]
    d.line(path, colour=ORANGE if carries else GREY, width=3.4 if carries else 2.2, head=True)
    if standing:
        d.text(stream + 8, start + gap / 2 + 4, rows, size=10.5, anchor="start")
    else:
        d.text(frame_start + 52, stream - 8, rows, size=10.5)

    heads = f"{config.n_heads} head{'s' if config.n_heads > 1 else ''} of {width // config.n_heads}"
    branches = (("attention", "attention", heads), ("feed_forward", "feed-forward", f"{width} → {hidden} → {width}"))
    for number, (name, words, below) in enumerate(branches):
        leave = frame_start + 14 + number * one
        branch = 208.0 if standing else 140.0
        arrive = leave + one - 14
        norm_long, box_long = (26.0, 44.0) if standing else (38.0, 98.0)
        turn = leave + 5
        if standing:
            d.line([at(leave, stream), at(leave, branch), at(leave + 9, branch)], head=True)
            norm = d.box(branch - 60, leave + 9, 120, norm_long, "norm", lit="norm" in lit, size=11.5)
            d.line([norm.bottom, at(leave + 46, branch)], head=True)
            box = d.box(branch - 88, leave + 46, 176, box_long, words, below, lit=name in lit, size=12.5)
            end = [box.bottom, at(arrive, branch), at(arrive, stream + 9)]
        else:
            d.line([at(turn, stream), at(turn, branch), at(turn + 9, branch)], head=True)
            norm = d.box(turn + 9, branch - 16, norm_long, 32, "norm", lit="norm" in lit, size=11)
            d.line([norm.right, at(turn + 57, branch)], head=True)
            box = d.box(turn + 57, branch - 24, box_long, 48, words, below, lit=name in lit, size=12)
            end = [box.right, at(arrive, branch), at(arrive, stream + 9)]
        d.line(end, head=True, colour=ORANGE if "residual" in lit else GREY)
        px, py = at(arrive, stream)
        d.plus(px, py, colour=ORANGE if "residual" in lit else GREY)
        if name == "attention" and "cache" in lit:
            if standing:
                d.box(302, box.y, 56, box_long, "keys,", "values", lit=True, colour=GREEN, size=12)
            else:
                d.box(box.x, box.y + 51, box_long, 22, "keys, values", lit=True, colour=GREEN, size=11)

    norm = station(norm_end, "norm", "", "norm")
    head_start = norm_end + long + gap
    head = station(head_start, "head", scores, "head")
    d.arrow(ends(norm)[1], ends(head)[0])
    last = head_start + long + gap
    words, name = ("loss", "loss") if learns else ("softmax", "softmax")
    end_box = station(last, words, "one number" if learns else "next token", name)
    d.arrow(ends(head)[1], ends(end_box)[0])
    if standing:
        d.height = last + long + 8
    else:
        d.width = last + long + 8
    if lit & {"gradient", "update"}:  # back along the stream
        far, first = (4.0 if standing else d.height + 8), 8 + long + gap + long / 2
        d.line([at(last + long / 2, far), at(first, far)], colour=ORANGE, width=2.4, dashed=True, head=True)
        if not standing:
            d.text(at(last / 2, 0)[0], far + 16, "gradients, back through every step", size=11.5, colour=ORANGE)
            d.height += 30
    return d


def positions_added(config: Any) -> bool:
    """Are positions added to the embedding (part 1, GPT-2), rather than turned into queries and keys?"""
    return getattr(config, "positions", "learned") in ("learned", "sinusoidal")
