"""A search seen at work: the tree as it grows, one question after the other.

    searched(problem, beam(2), lambda node: node.move.step.text, keep=3)       step through it

Each frame is a state that was asked what may follow. Used in part 4. Standard library only.
"""

import random
from collections.abc import Callable
from typing import TYPE_CHECKING, NamedTuple

from insideout.lab.figures.drawing import Box, Drawing
from insideout.lab.figures.live import Live, frames
from insideout.lab.figures.style import BLUE, GREEN, ORANGE

if TYPE_CHECKING:
    from insideout.reasoning.search import Node, Problem, Strategy

ROW, COLUMN, WIDTH, HEIGHT = 25.0, 168.0, 104.0, 19.0
"""From box to box, and of a box, in pixels."""


class Grown(NamedTuple):
    """A search that was watched."""

    root: "Node"
    asked: "list[Node]"
    """The states that were asked what may follow, in this order."""
    end: "Node | None"
    """Where it came to; None where the budget was used up."""


def grown(problem: "Problem", strategy: "Strategy", budget: int | None = None, seed: int = 0) -> Grown:
    """Run a search and note in which order it asked."""
    from insideout.reasoning.search import Spent, Tree

    class Watched(Tree):
        def children(self, node: "Node") -> "list[Node]":
            new = node.children is None
            found = super().children(node)
            if new:
                asked.append(node)
            return found

    asked: list[Node] = []
    tree = Watched(problem, budget, random.Random(seed))
    try:
        end = strategy(tree)
    except Spent:
        end = None
    return Grown(tree.root, asked, end)


def searched(
    problem: "Problem", strategy: "Strategy", words: "Callable[[Node], str]", *, keep: int = 4,
    budget: int | None = None, seed: int = 0, note: "Callable[[Node], str] | None" = None,
) -> Live:  # fmt: skip
    """A search, step by step. `words` names a node in its box, `note` stands beside it: its value, unless given.

    Of each state's children the `keep` of the highest value (or prior) are drawn, and all that were gone to.
    """
    note = note or (lambda node: "" if node.value is None else f"{node.value:.2f}")
    found = grown(problem, strategy, budget, seed)
    asked, drawn = set(map(id, found.asked)), {}
    for node in found.asked:
        children = node.children or []
        ranked = sorted(children, key=lambda child: (child.value is not None, child.value or 0, child.prior))[::-1]
        wanted = {id(child) for child in ranked[:keep]} | {id(child) for child in children if id(child) in asked}
        if found.end is not None:
            wanted.add(id(found.end))
        drawn[id(node)] = [child for child in ranked if id(child) in wanted]
    places: dict[int, tuple[float, float]] = {}

    def place(node: "Node", depth: int, row: float) -> float:
        """Give a node and all below it their places; the first row that is free after them."""
        free = row
        for child in drawn.get(id(node), []):
            free = place(child, depth + 1, free)
        if len(node.children or []) > len(drawn.get(id(node), [])):
            free += 0.8  # a line for those that are not drawn
        free = max(free, row + 1)
        places[id(node)] = (8 + COLUMN * depth, 8 + ROW * ((row + free - 1) / 2))
        return free

    height = 16 + ROW * place(found.root, 0, 0)
    width = max(x for x, _ in places.values()) + WIDTH + 50
    pictures, captions = [], []
    for n, now in enumerate(found.asked, 1):
        known = {id(found.root)} | {id(child) for node in found.asked[:n] for child in node.children or []}
        over = n == len(found.asked) and found.end is not None
        d = Drawing(width, height, f"The tree after {n} questions: {words(now)} was asked last")
        for node in found.asked[:n]:
            below(d, node, drawn[id(node)], places)
        seen = [found.root, *(child for node in found.asked[:n] for child in drawn[id(node)])]
        path = {id(each) for each in (found.end.line() if over and found.end else now.line())}
        for node in seen:
            if id(node) in known:
                solved = problem.solved(node.state) is True
                on = id(node) in path
                colour = GREEN if solved else ORANGE if on else BLUE
                x, y = places[id(node)]
                quiet = id(node) not in asked and not solved and not on
                d.box(x, y, WIDTH, HEIGHT, words(node), colour=colour, lit=on, quiet=quiet, size=11, mono=True)
                d.text(x + WIDTH + 4, y + 14, note(node), size=10, anchor="start")
        pictures.append(d)
        what = f"Question {n}: what may follow {words(now)}? {len(now.children or [])} steps."
        captions.append(what + (f" It ends at {words(found.end)}." if over and found.end else ""))
    return frames(pictures, captions, still=[len(pictures) - 1])


def below(d: Drawing, node: "Node", shown: "list[Node]", places: dict[int, tuple[float, float]]) -> None:
    """Lines from a node to its children, and how many are not drawn."""
    x, y = places[id(node)]
    start = Box(x, y, WIDTH, HEIGHT).right
    for child in shown:
        to = Box(*places[id(child)], WIDTH, HEIGHT).left
        d.line([(start[0] + 30, start[1]), to], width=1)
    missing = len(node.children or []) - len(shown)
    if missing > 0:
        low = max([places[id(child)][1] for child in shown], default=y - ROW)
        d.text(x + COLUMN, low + ROW + 10, f"and {missing} more", size=10, anchor="start", italic=True)
