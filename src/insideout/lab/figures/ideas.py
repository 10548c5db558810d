"""One drawing an idea: vectors as arrows, heads, the cache, two runs and a patch, induction, a graph of gradients.

Each takes real numbers or real words, and gives a `Drawing`, or several to step through with `frames`.
Standard library only.
"""

import math
from collections.abc import Mapping, Sequence
from typing import NamedTuple

from insideout.lab.figures.drawing import Box, Drawing
from insideout.lab.figures.style import BLUE, GREEN, GREY, ORANGE, PINK, YELLOW


def arrows(vectors: Mapping[str, Sequence[float]], *, lit: str = "", unit: float = 0, size: float = 300) -> Drawing:
    """Vectors of two numbers as arrows from one origin; with `lit`, each name is followed by its dot product with it.

    Raises ValueError for a vector that has not two numbers.
    """
    if any(len(vector) != 2 for vector in vectors.values()):
        raise ValueError("arrows: each vector needs two numbers")
    far = max((abs(float(x)) for vector in vectors.values() for x in vector), default=1.0) or 1.0
    unit = unit or (size / 2 - 46) / far
    said = ", ".join(f"{name} ({float(a):g}, {float(b):g})" for name, (a, b) in vectors.items())
    d = Drawing(size + 150, size, f"Arrows from one origin: {said}")
    x0, y0 = size / 2 + 60, size / 2
    d.line([(70, y0), (size + 50, y0)], colour=GREY, width=0.8)
    d.line([(x0, 10), (x0, size - 10)], colour=GREY, width=0.8)
    taken: list[tuple[float, float]] = []
    for name, (a, b) in sorted(vectors.items(), key=lambda each: each[0] != lit):  # the lit one below the others
        x, y = x0 + float(a) * unit, y0 - float(b) * unit
        is_lit = name == lit
        d.line([(x0, y0), (x, y)], colour=ORANGE if is_lit else BLUE, width=6 if is_lit else 2, head=True)
        dot = (
            sum(float(u) * float(v) for u, v in zip(vectors[lit], (a, b), strict=True)) if lit and not is_lit else None
        )
        words = name if dot is None else f"{name}: {dot:g}"
        left = float(a) < -1e-9
        tx, ty = x + (-8 if left else 8), y + (-8 if b > 0 else 16 if b < 0 else -8)
        while any(abs(tx - u) < 60 and abs(ty - v) < 14 for u, v in taken):
            ty += 15
        taken.append((tx, ty))
        d.text(tx, ty, words, size=12.5, anchor="end" if left else "start", bold=is_lit)
    return d


def heads(n_heads: int, d_head: int, n_positions: int = 4) -> Drawing:
    """A row of numbers is cut into heads, each reads with a pattern of its own, and the parts are laid side by side."""
    shown = min(n_heads, 4)
    cell, strip = 11.0, 4
    d = Drawing(700, 52 + shown * 74, f"{n_heads} heads of width {d_head}: cut, read each by its own pattern, merge")
    colours = (BLUE, ORANGE, GREEN, PINK)
    top = 44.0
    middle = top + (shown * 74 - 20) / 2
    for h in range(shown):
        colour = colours[h]
        d.matrix(20 + h * strip * cell, middle - n_positions * cell / 2, n_positions, strip, cell=cell, colour=colour)
        y = top + h * 74
        part = d.matrix(280, y, n_positions, strip, cell=cell, colour=colour)
        d.line([(20 + shown * strip * cell + 8, middle), (272, y + n_positions * cell / 2)], head=True)
        values = [[(0.15 + 0.7 * (((i * 5 + j * 3 + h * 7) % 9) / 9)) if j <= i else -1 for j in range(n_positions)]
                  for i in range(n_positions)]  # fmt: skip
        pattern = d.matrix(390, y, n_positions, n_positions, cell=cell, values=values, colour=colour)
        d.line([part.right, (384, part.right[1])], head=True)
        d.line([(pattern.x + pattern.width + 4, pattern.right[1]), (508, middle)], head=True)
        d.matrix(516 + h * strip * cell, middle - n_positions * cell / 2, n_positions, strip, cell=cell, colour=colour)
        d.text(302, y - 5, f"head {h}: T×{d_head}", size=11)
    more = "" if shown == n_heads else f" ({shown} of {n_heads} drawn)"
    d.text(20, 20, f"T×{n_heads * d_head}{more}", size=12, anchor="start")
    d.text(412, 20, "patterns, T×T each", size=12)
    d.text(516, middle - n_positions * cell / 2 - 8, f"side by side: T×{n_heads * d_head}", size=12, anchor="start")
    return d


def cache_steps(words: Sequence[str], prompt: int) -> tuple[list[Drawing], list[str]]:
    """The cache growing: the prompt is read at once, then each token adds a column of keys and values, and is the only
    query. Gives drawings and captions for `frames`. Raises ValueError where the prompt is not shorter than the text."""
    if not 0 < prompt < len(words):
        raise ValueError(f"cache_steps: a prompt of {prompt} and {len(words)} words")
    cell, left = 34.0, 86.0
    drawings, captions = [], []
    for n in range(prompt, len(words) + 1):
        new = range(prompt) if n == prompt else range(n - 1, n)
        d = Drawing(left + cell * len(words) + 20, 214, f"{n} columns of keys and values; {len(new)} of them new")
        for j, word in enumerate(words):
            if j < n:
                shown = word.replace(" ", "·").replace("\n", "↵")
                d.text(left + j * cell + cell / 2, 18, shown[:5], size=11, mono=True, bold=j in new)
        for name, y, colour in (("keys", 32.0, BLUE), ("values", 82.0, GREEN)):
            d.text(left - 10, y + 22, name, size=12, anchor="end")
            for j in range(n):
                d.box(left + j * cell + 2, y, cell - 4, 38, colour=colour, lit=j in new)
        for i, q in enumerate(new):
            y = 146.0 if len(new) == 1 else 140 + i * (60 / max(1, len(new)))
            high = 26.0 if len(new) == 1 else 60 / len(new) - 3
            for j in range(q + 1):
                d.box(left + j * cell + 2, y, cell - 4, high, colour=ORANGE, lit=j == q, round=2)
        d.text(left - 10, 164, "query reads" if len(new) == 1 else "queries read", size=12, anchor="end")
        drawings.append(d)
        if n == prompt:
            captions.append(f"The prompt: {prompt} tokens are read in one call. Their keys and values are kept.")
        else:
            captions.append(
                f"Token {n - 1}: one query, one new column. The {n - 1} columns before it are read, not computed again."
            )
    return drawings, captions


def patching(clean: Sequence[str], corrupted: Sequence[str], layer: int, position: int, n_layers: int = 3) -> Drawing:
    """Two runs of a model: one place of the clean run is put into the corrupted one, and what comes after it changes.

    Raises ValueError where the texts differ in length, or there is no such layer or position.
    """
    if len(clean) != len(corrupted) or not 0 <= position < len(clean) or not 0 <= layer < n_layers:
        raise ValueError("patching: two texts of one length, a layer and a position that there are")
    wide, row = 58.0, 34.0
    d = Drawing(
        130 + 2 * (wide * len(clean)) + 60, 62 + row * n_layers + 46,
        f"Layer {layer} at position {position} of the clean run replaces that of the corrupted run",
    )  # fmt: skip
    places: list[Box] = []
    for number, (title, words) in enumerate((("clean", clean), ("corrupted", corrupted))):
        x0 = 80 + number * (wide * len(clean) + 60)
        d.text(x0 + wide * len(clean) / 2, 16, title, size=12.5, bold=True)
        for i in range(n_layers):
            y = 28 + (n_layers - 1 - i) * row
            if number == 0:
                d.text(72, y + 18, f"layer {i}", size=11, anchor="end")
            for t in range(len(words)):
                here = i == layer and t == position
                touched = number == 1 and t >= position and i > layer
                box = d.box(x0 + t * wide + 4, y, wide - 8, row - 8, lit=here or touched,
                            colour=ORANGE if here or touched else BLUE)  # fmt: skip
                if here:
                    places.append(box)
        for t, word in enumerate(words):
            changed = clean[t] != corrupted[t]
            d.text(x0 + t * wide + wide / 2, 48 + row * n_layers, word.replace(" ", "·")[:7], size=11.5, mono=True,
                   bold=changed, colour=PINK if changed else "currentColor")  # fmt: skip
    start, end = places
    d.curve(start.top, end.top, bend=22, width=2.4)
    return d


def induction(words: Sequence[str], first: int, second: int) -> Drawing:
    """The two steps of induction: a word that came before is met again, and what followed it then is said now.

    `first` and `second` are the positions of the word's two occurrences. Raises ValueError where they are not.
    """
    if not 0 <= first < second < len(words) or words[first] != words[second]:
        raise ValueError("induction: the word must stand at both positions")
    d = Drawing(40 + sum(max(26.0, len(word) * 8 + 18) for word in words) + 80, 176,
                f"{words[second]!r} is met again; {words[first + 1]!r}, which followed it, is copied")  # fmt: skip
    boxes = d.tokens(14, 92, words, lit=(first, second))
    after = boxes[first + 1]
    d.curve(boxes[second].top, after.top, bend=46, width=2.6)
    d.text((boxes[second].top[0] + after.top[0]) / 2, 34, "2  find what followed it, and copy", size=12)
    x, y = after.bottom
    d.line([(x, y + 2), (x, y + 22), (boxes[first].bottom[0], y + 22), (boxes[first].bottom[0], y + 4)],
           colour=GREEN, width=2.2, head=True)  # fmt: skip
    d.text(14, y + 40, "1  each word notes the one before it", size=12, anchor="start")
    right = boxes[-1].right
    guess = d.box(right[0] + 26, boxes[-1].y, max(30.0, len(words[first + 1]) * 8 + 14), 28,
                  words[first + 1].replace(" ", "·"), colour=GREEN, lit=True, mono=True)  # fmt: skip
    d.arrow((right[0] + 4, right[1]), (guess.x - 2, right[1]))
    return d


def learned_tokens(rows: Mapping[str, Sequence[tuple[str, float]]], *, width: float = 520) -> Drawing:
    """Named rows of tokens, each (text, how much it is learned): 1 is filled, 0 a grey line. Long rows go on below."""
    high, gap, size = 24.0, 4.0, 12.0
    placed: list[tuple[float, float, float, str, float]] = []
    titles: list[tuple[float, str]] = []
    y = 0.0
    for name, tokens in rows.items():
        y += 20
        titles.append((y - 6, name))
        x = 1.0
        for text, learned in tokens:
            shown = text.replace(" ", "·").replace("\n", "↵")
            wide = max(16.0, len(shown) * size * 0.62 + 8)
            if x > 1 and x + wide > width - 1:
                x, y = 1.0, y + high + gap
            placed.append((x, y, wide, shown, learned))
            x += wide + gap
        y += high + 14
    said = "; ".join(
        f"{name}: {sum(learned > 0 for _, learned in tokens)} of {len(tokens)} tokens are learned"
        for name, tokens in rows.items()
    )
    d = Drawing(width, y, said + ".")
    for at, name in titles:
        d.text(1, at, name, anchor="start", bold=True)
    for x, top, wide, shown, learned in placed:
        colour = ORANGE if learned == 1 else YELLOW
        d.box(x, top, wide, high, shown, colour=colour, lit=learned == 1, quiet=learned == 0, size=size, mono=True)
    return d


class Step(NamedTuple):
    """A node of a computation: its name, number and gradient (None: not there yet), and the names it is made from."""

    name: str
    value: float
    gradient: float | None = None
    inputs: tuple[str, ...] = ()


def graph(steps: Sequence[Step], lit: Sequence[str] = (), digits: int = 3) -> Drawing:
    """A computation as a graph from left to right: in each node its value, and below it its gradient where it is known.

    Raises ValueError for an input that is no step before.
    """
    depth: dict[str, int] = {}
    for step in steps:
        if any(name not in depth for name in step.inputs):
            raise ValueError(f"graph: an input of {step.name!r} is not a step before it")
        depth[step.name] = 1 + max((depth[name] for name in step.inputs), default=-1)
    last = max(depth.values(), default=0)
    for step in reversed(steps):  # a leaf stands just before what uses it
        users = [depth[other.name] for other in steps if step.name in other.inputs]
        if not step.inputs and users:
            depth[step.name] = min(users) - 1
    columns = [[step for step in steps if depth[step.name] == i] for i in range(last + 1)]
    tallest = max(map(len, columns), default=1)
    wide, high, across, down = 96.0, 54.0, 136.0, 74.0
    numbers = "; ".join(f"{each.name} = {each.value:.{digits}g}" for each in steps)
    d = Drawing(across * (last + 1) - across + wide + 20, down * tallest + 10, f"A computation: {numbers}")
    boxes: dict[str, Box] = {}
    for i, column in enumerate(columns):
        for j, step in enumerate(column):
            y = 8 + down * (j + (tallest - len(column)) / 2)
            boxes[step.name] = Box(10 + across * i, y, wide, high)
    for step in steps:
        for name in step.inputs:
            d.line([boxes[name].right, boxes[step.name].left], head=True, width=1.4)
    for step in steps:
        box = boxes[step.name]
        d.box(*box, colour=BLUE, lit=step.name in lit)
        d.text(box.centre[0], box.y + 15, step.name, size=11.5, bold=True)
        d.text(box.centre[0], box.y + 31, number(step.value, digits), size=11.5)
        if step.gradient is not None:
            d.text(box.centre[0], box.y + 46, f"∂ℒ: {number(step.gradient, digits)}", size=11.5, colour=ORANGE)
    return d


def number(x: float, digits: int) -> str:
    """A number in a node, with a true minus sign."""
    return "0" if x == 0 or math.isnan(x) else f"{x:.{digits}g}".replace("-", "−")
