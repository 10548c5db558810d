"""Exercises on the autograd engine: a product's pull, a repeated row, and the whole walk back through a graph.

Practised in book/1-understanding-gradients/12_an_autograd_engine.md; the module is insideout/gradients/engine.py.
Standard library only. Shapes: T positions, C width.
"""

import random
from itertools import combinations
from typing import Any

from insideout.exercises.catalogue import Exercise, Mistake
from insideout.gradients import Matrix, Vector, multiply, scale, sum_of_rows

Graph = list[tuple[Any, ...]]


def numbers(rng: random.Random, rows: int, columns: int) -> Matrix:
    """Normal numbers."""
    return [[rng.gauss(0.0, 1.0) for _ in range(columns)] for _ in range(rows)]


# product: d, a, b -> (da, db) of Y = A ⊙ B


def draw_product(rng: random.Random) -> tuple[Matrix, Matrix, Matrix]:
    """Three matrices of one shape."""
    return numbers(rng, 3, 4), numbers(rng, 3, 4), numbers(rng, 3, 4)


def product(d: Matrix, a: Matrix, b: Matrix) -> tuple[Matrix, Matrix]:
    return multiply(d, b), multiply(d, a)


# repeated_row: d, x, r -> (dx, dr) of Y_tj = X_tj r_j


def draw_row(rng: random.Random) -> tuple[Matrix, Matrix, Vector]:
    """d and x T×C, r with C numbers."""
    return numbers(rng, 5, 4), numbers(rng, 5, 4), numbers(rng, 1, 4)[0]


def through_row(d: Matrix, r: Vector) -> Matrix:
    return multiply(d, [r] * len(d))


def repeated_row(d: Matrix, x: Matrix, r: Vector) -> tuple[Matrix, Vector]:
    return through_row(d, r), sum_of_rows(multiply(d, x))


# walk: a graph of numbers -> the gradient of its end with respect to every entry


def values_of(graph: Graph) -> Vector:
    values: Vector = []
    for kind, *rest in graph:
        if kind == "given":
            values.append(rest[0])
        else:
            a, b = (values[place] for place in rest)
            values.append(a + b if kind == "add" else a * b)
    return values


def walk(
    graph: Graph, add_up: bool = True, backwards: bool = True, others_value: bool = True, last_end_only: bool = False
) -> Vector:
    """The walk, or one with a part of it wrong."""
    values = values_of(graph)
    gradients = [0.0] * len(graph)
    gradients[-1] = 1.0
    places = range(len(graph))
    for place in reversed(places) if backwards else places:
        kind, *rest = graph[place]
        if kind == "given":
            continue
        i, j = rest
        used = ((i, j),) if last_end_only and i == j else ((i, j), (j, i))
        for parent, other in used:
            factor = 1.0 if kind == "add" else values[other if others_value else parent]
            gradients[parent] = gradients[place] * factor + (gradients[parent] if add_up else 0.0)
    return gradients


def without_plus(graph: Graph) -> Vector:
    return walk(graph, add_up=False)


def forwards(graph: Graph) -> Vector:
    return walk(graph, backwards=False)


def own_value(graph: Graph) -> Vector:
    return walk(graph, others_value=False)


def once_with_itself(graph: Graph) -> Vector:
    return walk(graph, last_end_only=True)


def end_not_counted(graph: Graph) -> Vector:
    return [*walk(graph)[:-1], 0.0]


def draw_graph(rng: random.Random) -> tuple[Graph]:
    """Four given numbers, one multiplied by itself, six more operations that all reach the end."""
    answers = (walk, without_plus, forwards, own_value, once_with_itself, end_not_counted)
    while True:
        graph: Graph = [("given", rng.choice((-1.0, 1.0)) * rng.uniform(0.5, 1.5)) for _ in range(4)]
        graph.append(("multiply", 0, 0))
        for place in range(5, 11):
            graph.append((rng.choice(("add", "multiply")), place - 1, rng.randrange(place)))
        found = [answer(graph) for answer in answers]
        gaps = (max(abs(x - y) for x, y in zip(a, b, strict=True)) for a, b in combinations(found, 2))
        if min(gaps) > 1e-3 and max(map(abs, found[0])) < 100.0:
            return (graph,)


exercises: list[Exercise] = [
    Exercise(
        id="gradients.an_autograd_engine.product",
        difficulty=1,
        minutes=6,
        reference=product,
        draw=draw_product,
        tolerance=1e-9,
        hints=[
            "Y_ij = A_ij B_ij. With what factor does A_ij reach Y_ij?",
            "Each factor's gradient holds the other factor.",
        ],
        mistakes=[
            Mistake(
                "The factors have changed places: A reaches Y with the factor B, and B with the factor A.",
                lambda d, a, b: (multiply(d, a), multiply(d, b)),
            ),
            Mistake(
                "The gradient d is missing: these are the local slopes, which must be multiplied by it.",
                lambda d, a, b: (b, a),
            ),
            Mistake("This is the pull of a sum: a product sends d times the other factor.", lambda d, a, b: (d, d)),
        ],
    ),
    Exercise(
        id="gradients.an_autograd_engine.repeated_row",
        difficulty=2,
        minutes=10,
        reference=repeated_row,
        draw=draw_row,
        tolerance=1e-9,
        hints=[
            "r_j reaches Y_tj at every position t, with factor X_tj.",
            "What is used at T positions collects T gradients. They add up.",
        ],
        mistakes=[
            Mistake(
                "The gradient of the row is averaged over the positions: the gradients of its copies add up.",
                lambda d, x, r: (through_row(d, r), scale([sum_of_rows(multiply(d, x))], 1.0 / len(d))[0]),
            ),
            Mistake(
                "The row keeps only the gradient of its last copy: `=` where `+=` is due.",
                lambda d, x, r: (through_row(d, r), multiply(d, x)[-1]),
            ),
            Mistake(
                "This is the row's gradient in a sum: in a product its factor is X.",
                lambda d, x, r: (through_row(d, r), sum_of_rows(d)),
            ),
            Mistake(
                "The gradient of x is d as it came: x reaches Y with the factor r.",
                lambda d, x, r: (d, sum_of_rows(multiply(d, x))),
            ),
        ],
    ),
    Exercise(
        id="gradients.an_autograd_engine.walk",
        difficulty=3,
        minutes=25,
        reference=walk,
        draw=draw_graph,
        tolerance=1e-9,
        hints=[
            "Go through the entries once forward to find their values. Then begin with a list of zeros, put 1 at the "
            "end, and go backward.",
            "A product of an entry with itself uses it twice: both parts must arrive, so +=, two times.",
        ],
        mistakes=[
            Mistake("`=` where `+=` is due: an entry that is used twice keeps only one part.", without_plus),
            Mistake(
                "The walk runs forward: an entry sends its gradient on before it has one. Begin at the end.", forwards
            ),
            Mistake("In a product each factor got its own value: it must get the other's.", own_value),
            Mistake(
                "An entry multiplied by itself sends back only one part: it is used twice, and both add up.",
                once_with_itself,
            ),
            Mistake("The gradient of the end itself is missing: it is 1.", end_not_counted),
        ],
    ),
]
