"""Exercises on the autograd engine: a product's pull, a repeated row, and the whole walk back through a graph.

Practised in book/1-understanding-gradients/12_an_autograd_engine.md; the module is insideout/gradients/engine.py.
Standard library only. Shapes: T positions, C width.
"""

import random
from collections.abc import Callable
from typing import Any

from insideout.exercises.catalogue import Exercise
from insideout.exercises.drawing import away, matrix, vector
from insideout.gradients import Matrix, Vector, multiply, scale, sum_of_rows, transpose

Graph = list[tuple[Any, ...]]

# product: d, a, b -> (da, db) of Y = A ⊙ B


def draw_product(rng: random.Random, I: int, J: int) -> tuple[Matrix, Matrix, Matrix]:
    return matrix(rng, I, J), matrix(rng, I, J), matrix(rng, I, J)


def both_pulls(d: Matrix, a: Matrix, b: Matrix) -> tuple[Matrix, Matrix]:
    return multiply(d, b), multiply(d, a)


product = Exercise(
    "gradients.an_autograd_engine.product", stars=1, minutes=6, reference=both_pulls, draw=draw_product,
    section="What the rules had in common",
)  # fmt: skip
product.mistake(
    "The factors have changed places: A reaches Y with the factor B, and B with the factor A.",
    lambda d, a, b: (multiply(d, a), multiply(d, b)),
)
product.mistake(
    "The gradient d is missing: these are the local slopes, which must be multiplied by it.", lambda d, a, b: (b, a)
)
product.mistake("This is the pull of a sum: a product sends d times the other factor.", lambda d, a, b: (d, d))
product.mistake(
    "d is multiplied by the product itself: each factor's gradient holds the other factor alone.",
    lambda d, a, b: (multiply(d, multiply(a, b)), multiply(d, multiply(a, b))),
)
product.mistake("Both gradients hold B: that of B holds A.", lambda d, a, b: (multiply(d, b), multiply(d, b)))
product.mistake("Both gradients hold A: that of A holds B.", lambda d, a, b: (multiply(d, a), multiply(d, a)))
product.mistake(
    "The other factor is transposed, as in a matrix product: here it is number by number.",
    lambda d, a, b: (multiply(d, transpose(b)), multiply(d, transpose(a))),
)
product.mistake(
    "These are the pulls of a matrix product, d Bᵀ and Aᵀ d: here it is number by number.",
    lambda d, a, b: (
        [[sum(x * y for x, y in zip(r, s, strict=True)) for s in b] for r in d],
        [[sum(x * y for x, y in zip(r, s, strict=True)) for s in transpose(d)] for r in transpose(a)],
    ),
)
product.mistake(
    "The two gradients are added up to one: return the pair.",
    lambda d, a, b: [[x + y for x, y in zip(*rows, strict=True)] for rows in zip(*both_pulls(d, a, b), strict=True)],
)
product.mistake(
    "The gradient of the second factor is the quotient's: a product sends d ⊙ A.",
    lambda d, a, b: (multiply(d, b), scale(multiply(d, a), -1.0)),
)
product.mistake(
    "d is added to the other factor: it is multiplied by it.",
    lambda d, a, b: (
        [[x + y for x, y in zip(*rows, strict=True)] for rows in zip(d, b, strict=True)],
        [[x + y for x, y in zip(*rows, strict=True)] for rows in zip(d, a, strict=True)],
    ),
)

# repeated_row: d, x, r -> (dx, dr) of Y_tj = X_tj r_j


def draw_row(rng: random.Random, T: int, C: int) -> tuple[Matrix, Matrix, Vector]:
    """d and x T×C, r with C numbers."""
    return matrix(rng, T, C), matrix(rng, T, C), vector(rng, C)


def through_row(d: Matrix, r: Vector) -> Matrix:
    return multiply(d, [r] * len(d))


def row_gradients(d: Matrix, x: Matrix, r: Vector) -> tuple[Matrix, Vector]:
    return through_row(d, r), sum_of_rows(multiply(d, x))


repeated_row = Exercise(
    "gradients.an_autograd_engine.repeated_row", stars=2, minutes=10, reference=row_gradients, draw=draw_row,
    section="A value used twice",
)  # fmt: skip
repeated_row.mistake(
    "The gradient of the row is averaged over the positions: the gradients of its copies add up.",
    lambda d, x, r: (through_row(d, r), scale([sum_of_rows(multiply(d, x))], 1.0 / len(d))[0]),
)
repeated_row.mistake(
    "The row keeps only the gradient of its last copy: `=` where `+=` is due.",
    lambda d, x, r: (through_row(d, r), multiply(d, x)[-1]),
)
repeated_row.mistake(
    "The row keeps only the gradient of its first copy: all copies add up.",
    lambda d, x, r: (through_row(d, r), multiply(d, x)[0]),
)
repeated_row.mistake(
    "The gradient of the row has a row for each position: it is one row, the sum of them.",
    lambda d, x, r: (through_row(d, r), multiply(d, x)),
)
repeated_row.mistake(
    "This is the row's gradient in a sum: in a product its factor is X.",
    lambda d, x, r: (through_row(d, r), sum_of_rows(d)),
)
repeated_row.mistake(
    "The gradient d is missing in the row's gradient.", lambda d, x, r: (through_row(d, r), sum_of_rows(x))
)
repeated_row.mistake(
    "The gradient of x is d as it came: x reaches Y with the factor r.",
    lambda d, x, r: (d, sum_of_rows(multiply(d, x))),
)
repeated_row.mistake(
    "The gradient of x holds x: x reaches Y with the factor r.",
    lambda d, x, r: (multiply(d, x), sum_of_rows(multiply(d, x))),
)
repeated_row.mistake(
    "The row's gradient is multiplied by r: its factor is X alone.",
    lambda d, x, r: (through_row(d, r), sum_of_rows(multiply(through_row(d, r), x))),
)
repeated_row.mistake(
    "The row is repeated along the positions, not the columns: Y_tj = X_tj r_j.",
    lambda d, x, r: (
        [[number * factor for number in row] for row, factor in zip(d, r, strict=True)], sum_of_rows(multiply(d, x))
    ),
)  # fmt: skip
repeated_row.mistake(
    "The row's gradient is added up along the columns: add up over the positions, C numbers.",
    lambda d, x, r: (through_row(d, r), [sum(row) for row in multiply(d, x)]),
)
repeated_row.mistake(
    "The row's gradient is a matrix of one row: a list is expected.",
    lambda d, x, r: (through_row(d, r), [sum_of_rows(multiply(d, x))]),
)
repeated_row.mistake(
    "The row's gradient is the product of two sums: multiply first, then add up.",
    lambda d, x, r: (through_row(d, r), [a * b for a, b in zip(sum_of_rows(d), sum_of_rows(x), strict=True)]),
)

# walk: a graph of numbers -> the gradient of its end with respect to every entry


def draw_graph(rng: random.Random, N: int = 3) -> tuple[Graph]:
    """Some given numbers, one multiplied by itself, and operations of which most reach the end, by several ways."""
    graph: Graph = [("given", number) for number in away(rng, 2 + N // 2, 0.5, 1.5)]
    for _ in range(N):
        i, j = rng.randrange(len(graph)), rng.randrange(max(0, len(graph) - 3), len(graph))
        i = j if rng.random() < 0.25 else i
        graph.append((rng.choice(("add", "multiply")), *rng.sample((i, j), 2)))
    return (graph,)


def values_of(graph: Graph) -> Vector:
    values: Vector = []
    for kind, *rest in graph:
        if kind == "given":
            values.append(rest[0])
        else:
            a, b = (values[at] for at in rest)
            values.append(a + b if kind == "add" else a * b)
    return values


def walked(
    graph: Graph, add_up: bool = True, backwards: bool = True, factor: str = "other", with_itself: str = "twice",
    start: float | None = 1.0, sums: str = "1",
) -> Vector:  # fmt: skip
    """The walk, or one with a part of it wrong."""
    values = values_of(graph)
    gradients = [0.0] * len(graph)
    gradients[-1] = values[-1] if start is None else start
    for at in reversed(range(len(graph))) if backwards else range(len(graph)):
        kind, *rest = graph[at]
        if kind == "given":
            continue
        i, j = rest
        used = ((i, j),) if with_itself == "once" and i == j else ((i, j), (j, i))
        for parent, other in used:
            slope = {"other": values[other], "own": values[parent], "both": values[at], "1": 1.0}[factor]
            if kind == "add":
                slope = {"1": 1.0, "other": values[other], "half": 0.5}[sums]
            gradients[parent] = gradients[at] * slope + (gradients[parent] if add_up else 0.0)
    return gradients


def one_end(end: int) -> Callable[[Graph], Vector]:
    """The walk in which only the first (0) or second (1) of two entries is reached."""

    def mistaken(graph: Graph) -> Vector:
        values, gradients = values_of(graph), [0.0] * len(graph)
        gradients[-1] = 1.0
        for at in reversed(range(len(graph))):
            kind, *rest = graph[at]
            if kind != "given":
                slope = 1.0 if kind == "add" else values[rest[1 - end]]
                gradients[rest[end]] += gradients[at] * slope
        return gradients

    return mistaken


def each_once(graph: Graph) -> Vector:
    """The walk that recurses from the end and sends a gradient on each time it arrives, all of what has arrived."""
    values, gradients = values_of(graph), [0.0] * len(graph)

    def arrive(at: int, amount: float, depth: int) -> None:
        gradients[at] += amount
        kind, *rest = graph[at]
        if kind != "given" and depth < 12:
            i, j = rest
            arrive(i, gradients[at] * (1.0 if kind == "add" else values[j]), depth + 1)
            arrive(j, gradients[at] * (1.0 if kind == "add" else values[i]), depth + 1)

    arrive(len(graph) - 1, 1.0, 0)
    return gradients


walk = Exercise(
    "gradients.an_autograd_engine.walk", stars=3, minutes=25, reference=walked, draw=draw_graph,
    edges=[
        ([("given", 2.0)],), ([("given", 3.0), ("multiply", 0, 0)],), ([("given", 3.0), ("add", 0, 0)],),
        ([("given", 2.0), ("given", 5.0), ("multiply", 0, 1), ("given", 7.0), ("add", 2, 0)],),
        ([("given", 2.0), ("multiply", 0, 0), ("multiply", 1, 1), ("multiply", 2, 2)],),
    ], section="In which order?",
)  # fmt: skip
walk.mistake(
    "`=` where `+=` is due: an entry that is used twice keeps only one part.", lambda graph: walked(graph, add_up=False)
)
walk.mistake(
    "The walk runs forward: an entry sends its gradient on before it has one. Begin at the end.",
    lambda graph: walked(graph, backwards=False),
)
walk.mistake(
    "A product sends each entry its own value: it sends the value of the other.",
    lambda graph: walked(graph, factor="own"),
)
walk.mistake(
    "A product sends the value of the product: it sends each entry the value of the other.",
    lambda graph: walked(graph, factor="both"),
)
walk.mistake(
    "A product sends the gradient on as a sum does: it has the other's value as a factor.",
    lambda graph: walked(graph, factor="1"),
)
walk.mistake(
    "A sum sends the other's value as a factor, as a product does: its factor is 1.",
    lambda graph: walked(graph, sums="other"),
)
walk.mistake("A sum sends half to each entry: it sends all to both.", lambda graph: walked(graph, sums="half"))
walk.mistake(
    "A product of an entry with itself counts once: the entry is reached twice.",
    lambda graph: walked(graph, with_itself="once"),
)
walk.mistake("The end's own gradient is missing: it is 1.", lambda graph: [*walked(graph)[:-1], 0.0])
walk.mistake("The walk begins with the end's value: it begins with 1.", lambda graph: walked(graph, start=None))
walk.mistake("The walk begins with 0, and stays there: it begins with 1 at the end.", lambda graph: [0.0] * len(graph))
walk.mistake("Only the first of two entries is reached: a gradient goes to both.", one_end(0))
walk.mistake("Only the second of two entries is reached: a gradient goes to both.", one_end(1))
walk.mistake(
    "What has arrived so far is sent on each time something arrives: an entry sends its own once, when it is whole.",
    each_once,
)
walk.mistake(
    "Only the given entries have a gradient: every entry has one.",
    lambda graph: [g if entry[0] == "given" else 0.0 for g, entry in zip(walked(graph), graph, strict=True)],
)
walk.mistake(
    "Only the gradients of the given entries are returned: every entry has one.",
    lambda graph: [g for g, entry in zip(walked(graph), graph, strict=True) if entry[0] == "given"],
)
walk.mistake("These are the values: the gradients are asked for.", values_of)
walk.mistake(
    "The gradients stand in the order of the walk: entry i's belongs in place i.", lambda graph: walked(graph)[::-1]
)
