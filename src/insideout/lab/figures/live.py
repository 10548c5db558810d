"""Figures that answer a hand: hover a word, step through a process, drag a number.

    reads(words, {"before": patterns, "after": patterns})       whom does this word read, in each head?
    frames([drawing, drawing, …], captions)                     one step at a time
    temperature(words, logits)                                  the next token's probabilities as the temperature moves

Each is data as JSON in the page, one script of ours (live.js), and a still picture that stands there where no script
runs: on paper, in an EPUB, in a notebook that is not trusted. Standard library only.
"""

import html
import json
import math
import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from insideout.lab.figures.drawing import Drawing
from insideout.lab.figures.style import BLUE

SCRIPT = Path(__file__).with_name("live.js")
ON_SITE = "INSIDEOUT_SITE"
"""Set while the site is built, whose pages hold the script once."""


class Live:
    """A figure for a hand: its kind, its data, and the picture that stands for it where no script runs."""

    def __init__(self, kind: str, data: Mapping[str, Any], still: Drawing | Sequence[Drawing]) -> None:
        self.kind, self.data = kind, data
        self.stills = [still] if isinstance(still, Drawing) else list(still)

    def __repr__(self) -> str:
        return "\n".join(map(repr, self.stills))

    def _repr_html_(self) -> str:
        data = json.dumps(self.data, ensure_ascii=False, allow_nan=False).replace("</", "<\\/")
        still = "".join(f'<div class="figure">{each.svg()}</div>' for each in self.stills)
        script = "" if os.environ.get(ON_SITE) else f"<script>{SCRIPT.read_text(encoding='utf-8')}</script>"
        return (
            f'<div class="live" data-kind="{html.escape(self.kind)}"><script type="application/json">{data}</script>'
            f'<div class="still">{still}</div></div>{script}'
        )


def reads(
    words: Sequence[str], patterns: Mapping[str, Mapping[str, Sequence[Sequence[float]]]], start: int | None = None
) -> Live:
    """Hover a word and see which words it reads: `patterns[state][head]` is a T×T matrix whose rows sum to 1.

    `start` is the word looked at first, the last one unless given. Raises ValueError where sizes differ.
    """
    n = len(words)
    for state, heads in patterns.items():
        for head, matrix in heads.items():
            if len(matrix) != n or any(len(row) != n for row in matrix):
                raise ValueError(f"reads: {state}, {head} is not {n}×{n}, as there are words")
    start = n - 1 if start is None else start
    data = {
        "words": [str(word) for word in words],
        "start": start,
        "states": [
            {"name": state, "heads": [{"name": head, "rows": rounded(matrix)} for head, matrix in heads.items()]}
            for state, heads in patterns.items()
        ],
    }
    state, heads = list(patterns.items())[-1]
    head, matrix = next(iter(heads.items()))
    return Live("reads", data, reading(words, matrix, start, f"{state}, {head}" if len(patterns) > 1 else head))


def reading(words: Sequence[str], row_of: Sequence[Sequence[float]], at: int, title: str = "") -> Drawing:
    """A row of words, and arcs from the word at `at` to those that it reads, as strong as it reads them."""
    size, gap = 12.5, 5.0
    widths = [max(22.0, len(word) * size * 0.62 + 10) for word in words]
    total = sum(widths) + gap * (len(words) - 1)
    row = [float(x) for x in row_of[at]]
    best = max(range(len(row)), key=row.__getitem__)
    d = Drawing(
        max(total + 16, 240), 132,
        f"{title + ': ' if title else ''}{words[at]!r} reads {words[best]!r} most, with weight {row[best]:.2f}",
    )  # fmt: skip
    boxes, x = [], 8.0
    for i, (word, width) in enumerate(zip(words, widths, strict=True)):
        shown = word.replace(" ", "·").replace("\n", "↵")
        box = d.box(x, 80, width, 26, shown, colour=BLUE, lit=i == at, size=size, mono=True)
        boxes.append(box)
        if row[i] >= 0.005:
            d.text(x + width / 2, 122, f"{row[i]:.2f}".lstrip("0") if row[i] < 0.995 else "1", size=10.5)
        x += width + gap
    for i, weight in enumerate(row):
        if weight >= 0.02:
            far = abs(boxes[i].top[0] - boxes[at].top[0])
            d.curve(boxes[at].top, boxes[i].top, bend=min(66, 22 + far * 0.2), width=0.8 + 5 * weight,
                    opacity=min(1.0, 0.25 + weight), head=i != at)  # fmt: skip
    if title:
        d.text(8, 14, title, size=12, anchor="start")
    return d


def frames(drawings: Sequence[Drawing], captions: Sequence[str] = (), still: Sequence[int] = ()) -> Live:
    """A process, one picture at a time, each with what to notice. Where no script runs, the pictures of `still` stand
    one below the other (the last alone unless given). Raises ValueError without drawings or with another number of
    captions."""
    if not drawings or (captions and len(captions) != len(drawings)):
        raise ValueError(f"frames: {len(drawings)} drawings and {len(captions)} captions")
    data = {"frames": [each.svg() for each in drawings], "captions": list(captions)}
    return Live("frames", data, [drawings[i] for i in still] or [drawings[-1]])


def temperature(words: Sequence[str], logits: Sequence[float], start: float = 1.0, keep: int = 12) -> Live:
    """Probabilities of the next token as the temperature is dragged from 0.1 to 3; the `keep` likeliest are shown."""
    if len(words) != len(logits):
        raise ValueError(f"temperature: {len(words)} words and {len(logits)} logits")
    order = sorted(range(len(words)), key=lambda i: -float(logits[i]))
    top = float(logits[order[0]])
    rest = [float(logits[i]) - top for i in order]
    weights = [math.exp(x / start) for x in rest]
    whole = sum(weights)
    shown = [str(words[i]) for i in order[:keep]]
    d = Drawing(440, 22 * len(shown) + 30, f"At temperature {start:g} the likeliest next token is {shown[0]!r}")
    for i, word in enumerate(shown):
        p, y = weights[i] / whole, 24 + 22 * i
        d.text(112, y + 12, word.replace(" ", "·").replace("\n", "↵"), size=12, anchor="end", mono=True)
        d.box(120, y, max(1.0, 260 * p), 16, colour=BLUE, lit=True, round=2)
        d.text(126 + 260 * p, y + 12, f"{p:.3f}", size=11, anchor="start")
    d.text(120, 14, f"temperature {start:g}", size=12, anchor="start")
    return Live("temperature", {"words": shown, "logits": [round(x, 3) for x in rest], "start": start}, d)


def rounded(matrix: Sequence[Sequence[float]]) -> list[list[float]]:
    """Three digits: what a screen can show."""
    return [[round(float(x), 3) for x in row] for row in matrix]
