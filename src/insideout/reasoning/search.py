"""Search among steps of thought: one tree, several ways to grow it.

    found = search(problem, beam(width=5), budget=100)            breadth first, the most promising of each depth kept
    found = search(problem, depth_first(threshold=0.2), ...)      backtracks from what does not look promising
    found = search(problem, mcts(simulations=30, rule="puct"))    goes where it went well, and where it has not been
    found = search(problem, walks(n=8))                           no search: draws chains, one after the other
    found.solved, found.moves, found.expanded, found.evaluated

A problem says which steps may come next, each with its probability under the model (`branches`), how promising a state
is, from 0 to 1 (`value`), and whether it is solved, as far as that can be checked without knowing the answer. What a
strategy costs is how often it asked for branches and for values: the budget is of branches, and what runs out of it
gives the best that it has. Whatever is checked and right is taken at once.

Taught in book/4-reasoning-with-transformers/06_tree_of_thoughts.md and 07_monte_carlo_tree_search.md. Standard library
only.
Sources: Yao et al. 2023 (Tree of Thoughts); Kocsis and Szepesvári 2006 (UCT); Silver et al. 2017 (AlphaGo Zero, PUCT).
"""

import math
import random
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal, NamedTuple, Protocol, runtime_checkable

from insideout.checks import real, whole
from insideout.errors import BadInput

__all__ = ["Branch", "Found", "Node", "Problem", "Tree", "beam", "depth_first", "dialled", "mcts", "search", "walks"]


class Branch(NamedTuple):
    """A step that may come next."""

    move: Any
    state: Any
    """Where it leads."""
    prior: float
    """Its probability under the model, among the branches of its state."""


@runtime_checkable
class Problem(Protocol):
    """What is searched."""

    start: Any

    def branches(self, state: Any) -> Sequence[Branch]:
        """The steps that may come next; none where it ends."""
        ...

    def value(self, state: Any) -> float:
        """How promising a state is, from 0 to 1: how likely it leads to a solution, as far as one can tell."""
        ...

    def solved(self, state: Any) -> bool | None:
        """Is it a solution? None where that cannot be checked: then an end is as good as its value."""
        ...


@dataclass(eq=False)
class Node:
    """A state, and how one came there."""

    state: Any
    parent: "Node | None" = None
    move: Any = None
    prior: float = 1.0
    children: "list[Node] | None" = None
    """None: it has not been asked yet what may follow."""
    value: float | None = None
    """None: it has not been evaluated."""
    visits: int = 0
    total: float = 0.0
    """The sum of what its visits were worth."""

    @property
    def mean(self) -> float:
        """What a visit was worth; 0 without any."""
        return self.total / self.visits if self.visits else 0.0

    def line(self) -> "list[Node]":
        """From the root to here."""
        found = [self]
        while found[-1].parent is not None:
            found.append(found[-1].parent)
        return found[::-1]


class Found(NamedTuple):
    """What a search came to."""

    moves: tuple[Any, ...]
    state: Any
    solved: bool | None
    """None: it ended, and nobody can check it. False: it is no solution, or no end."""
    expanded: int
    """How often it was asked what may follow."""
    evaluated: int
    """How often a state was evaluated."""


class Spent(Exception):
    """The budget is used up."""


@dataclass
class Tree:
    """The states that were seen. Each is expanded and evaluated once, and that is counted."""

    problem: Problem
    budget: int | None = None
    source: random.Random = field(default_factory=random.Random)
    expanded: int = 0
    evaluated: int = 0
    ends: list[Node] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.root = Node(self.problem.start)

    def children(self, node: Node) -> list[Node]:
        """What may follow. Raises Spent where the budget is used up, BadInput for priors that are no probabilities."""
        if node.children is None:
            if self.budget is not None and self.expanded >= self.budget:
                raise Spent
            self.expanded += 1
            found = list(self.problem.branches(node.state))
            total = sum(branch.prior for branch in found)
            if found and not (all(branch.prior >= 0 for branch in found) and 0 < total < math.inf):
                raise BadInput(f"The priors of {node.state!r} are no probabilities: give at least 0, and not all 0.")
            node.children = [Node(branch.state, node, branch.move, branch.prior / total) for branch in found]
            if not found:
                self.ends.append(node)
        return node.children

    def solved(self, node: Node) -> bool:
        """Is it, for sure, a solution?"""
        return self.problem.solved(node.state) is True

    def value(self, node: Node) -> float:
        """How promising a node is: 1 for a solution, else as the problem says. Raises BadInput outside [0, 1]."""
        if node.value is None:
            if self.solved(node):
                node.value = 1.0
            else:
                self.evaluated += 1
                node.value = float(self.problem.value(node.state))
                if not 0 <= node.value <= 1:
                    raise BadInput(f"The value of {node.state!r} is {node.value}: it must lie between 0 and 1.")
        return node.value

    def worth(self, node: Node) -> float:
        """What coming there is worth: nothing where it ended and is no solution, else its value."""
        ended = node.children == [] and self.problem.solved(node.state) is False
        return 0.0 if ended else self.value(node)

    def drawn(self, node: Node) -> Node:
        """A child, by its prior."""
        children = self.children(node)
        return self.source.choices(children, [child.prior for child in children])[0]

    def best(self) -> Node:
        """The end of the highest worth, the first among equals; the root where none was reached."""
        return max(self.ends, key=self.worth, default=self.root)


Strategy = Callable[[Tree], Node]
"""Grows a tree, and says where it came to."""


def search(problem: Problem, strategy: Strategy, *, budget: int | None = None, seed: int = 0) -> Found:
    """Solve a problem by a strategy, asking at most `budget` times what may follow. Raises BadInput for one below 1."""
    if budget is not None and whole("budget", budget, 0) < 1:
        raise BadInput(f"A budget of {budget} expansions finds nothing: give at least 1.")
    tree = Tree(problem, budget, random.Random(seed))
    try:
        node = tree.root if tree.solved(tree.root) else strategy(tree)
    except Spent:
        seen = next((each for each in everything(tree.root) if tree.solved(each)), None)
        node = seen or tree.best()
    line = node.line()
    ended = node.children == [] or tree.solved(node)
    solved = problem.solved(node.state) if ended else False
    return Found(tuple(each.move for each in line[1:]), node.state, solved, tree.expanded, tree.evaluated)


def everything(node: Node) -> Iterator[Node]:
    """A node and all below it that was seen."""
    waiting = [node]
    while waiting:
        each = waiting.pop()
        yield each
        waiting += reversed(each.children or [])


# Strategies


def walks(n: int = 1) -> Strategy:
    """Draw up to n chains by the priors, each from the beginning, until one is a solution; else the best end."""
    whole("n", n, 1)

    def grow(tree: Tree) -> Node:
        for _ in range(n):
            node = tree.root
            while not tree.solved(node) and tree.children(node):
                node = tree.drawn(node)
            if tree.solved(node):
                return node
        return tree.best()

    return grow


def beam(width: int | None = 5) -> Strategy:
    """Breadth first: of each depth the `width` most promising states go on; all of them, unevaluated, with None.

    Source: Yao et al. 2023, algorithm 1.
    """
    if width is not None:
        whole("width", width, 1)

    def grow(tree: Tree) -> Node:
        level = [tree.root]
        while level:
            following: list[Node] = []
            for node in level:
                for child in tree.children(node):
                    if tree.solved(child):
                        return child
                    following.append(child)
            ranked = following if width is None else sorted(following, key=tree.value, reverse=True)
            level = ranked[:width]
        return tree.best()

    return grow


def depth_first(threshold: float = 0.0) -> Strategy:
    """The most promising child first, down to an end, then back; what is worth less than the threshold is left out.

    It ends at the first solution, or at the first end where nothing can be checked. Source: Yao et al. 2023, alg. 2.
    """
    if not 0 <= real("threshold", threshold) <= 1:
        raise BadInput(f"The threshold is {threshold}: values lie between 0 and 1.")

    def grow(tree: Tree) -> Node:
        open_nodes = [tree.root]
        while open_nodes:
            node = open_nodes.pop()
            if tree.solved(node):
                return node
            children = tree.children(node)
            if not children and tree.problem.solved(node.state) is None:
                return node
            kept = [child for child in children if tree.value(child) >= threshold]
            open_nodes += sorted(kept, key=tree.value, reverse=True)[::-1]  # the best one last: it is taken first
        return tree.best()

    return grow


def mcts(
    simulations: int, *, rule: Literal["uct", "puct"] = "puct", c: float = 1.4, playouts: bool = False
) -> Strategy:
    """Monte Carlo tree search: before each step so many simulations, then to the child that was visited most.

    A simulation goes down from the present state by the rule, to a node that was not expanded, expands and evaluates it
    (`playouts`: by a chain drawn from there by the priors, 1 if it is solved), and adds what it found to all above it.

        uct:  mean + c √(ln N / n), what was never visited first        puct:  mean + c · prior · √N / (1 + n)

    with n visits of the child and N of its parent. Without simulations each step is drawn by its prior: a walk.
    A solution that is met on the way is taken at once. Raises BadInput for settings out of range.
    """
    whole("simulations", simulations, 0)
    if rule not in ("uct", "puct") or real("c", c) < 0:
        raise BadInput(f"There is no rule {rule!r} with c = {c}: choose uct or puct, and c from 0 on.")
    score = uct if rule == "uct" else puct

    def grow(tree: Tree) -> Node:
        node = tree.root
        while not tree.solved(node) and tree.children(node):
            for _ in range(simulations):
                solution = simulate(tree, node, lambda parent, child: score(parent, child, c), playouts)
                if solution is not None:
                    return solution
            children = tree.children(node)
            most = max(children, key=lambda child: (child.visits, child.mean, child.prior))
            node = most if most.visits else tree.drawn(node)
        return node

    return grow


def simulate(tree: Tree, start: Node, score: Callable[[Node, Node], float], playouts: bool) -> Node | None:
    """One simulation from a node. A solution, where one was met."""
    node = start
    while node.children and (node is start or node.visits):
        parent = node
        node = max(node.children, key=lambda child: score(parent, child))
    if not tree.solved(node):
        tree.children(node)
    end = node
    while playouts and not tree.solved(end) and tree.children(end):
        end = tree.drawn(end)
    if playouts:
        worth = 1.0 if tree.solved(end) else tree.worth(end) if tree.problem.solved(end.state) is None else 0.0
    else:
        worth = tree.worth(node)
    below = node.line()
    for each in below[below.index(start) :]:
        each.visits += 1
        each.total += worth
    return end if tree.solved(end) else None


def uct(parent: Node, child: Node, c: float) -> float:
    """Upper confidence bound of a child; what was never visited comes first."""
    if not child.visits:
        return math.inf
    return child.mean + c * math.sqrt(math.log(max(parent.visits, 1)) / child.visits)


def puct(parent: Node, child: Node, c: float) -> float:
    """The same, led by the prior."""
    return child.mean + c * child.prior * math.sqrt(max(parent.visits, 1)) / (1 + child.visits)


def dialled(value: Callable[[Any], float], quality: float, seed: int = 0) -> Callable[[Any], float]:
    """An evaluator of a quality between 0 and 1: of that share of the states it tells the truth, of the others nothing.

    Which ones depends on the state and the seed alone, so that asking again does not help. 1: the value itself; 0: a
    number in [0, 1) that has nothing to do with it. States are told apart by their `repr`.
    """
    if not 0 <= real("quality", quality) <= 1:
        raise BadInput(f"The quality is {quality}: it must lie between 0 and 1.")

    def told(state: Any) -> float:
        luck = random.Random(f"{seed} {state!r}")
        return value(state) if luck.random() < quality else luck.random()

    return told
