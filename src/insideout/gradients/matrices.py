"""Matrices as lists of lists: the dozen functions all of part 1 is built on.

A `Vector` is a list of floats, a `Matrix` a list of rows of equal length. Every function returns new lists and
leaves its arguments alone. Shapes that do not fit raise a `ValueError` that names them.

    (A B)_ij = Σ_k A_ik B_kj

Taught in book/1-understanding-gradients/01_tokens_and_embeddings.md. Standard library only.
"""

import random
from collections.abc import Callable
from operator import add as add_numbers
from operator import mul

Vector = list[float]
Matrix = list[list[float]]


def shape(a: Matrix, name: str = "matrix") -> tuple[int, int]:
    """(rows, columns) of `a`; raises ValueError when it is empty, no matrix, or its rows differ in length."""
    if not isinstance(a, list | tuple) or not a or not all(isinstance(row, list | tuple) for row in a):
        raise ValueError(f"{name} must be a non-empty list of rows, each a list of numbers, not {_describe(a)}")
    n_columns = len(a[0])
    for i, row in enumerate(a):
        if len(row) != n_columns:
            raise ValueError(f"{name} is ragged: row 0 has {n_columns} numbers and row {i} has {len(row)}")
    if n_columns == 0:
        raise ValueError(f"{name} has shape {len(a)}×0: its rows are empty")
    return len(a), n_columns


def length(v: Vector, name: str = "vector") -> int:
    """How many numbers `v` holds; raises ValueError when it is empty or holds rows."""
    if not isinstance(v, list | tuple) or not v or isinstance(v[0], list | tuple):
        raise ValueError(f"{name} must be a non-empty list of numbers, not {_describe(v)}")
    return len(v)


def same_shape(a: Matrix, b: Matrix, operation: str) -> tuple[int, int]:
    """The common shape of `a` and `b`, or a ValueError that names both."""
    first, second = shape(a, f"first matrix of {operation}"), shape(b, f"second matrix of {operation}")
    if first != second:
        raise ValueError(f"{operation} needs equal shapes, got {first[0]}×{first[1]} and {second[0]}×{second[1]}")
    return first


def zeros(rows: int, columns: int) -> Matrix:
    """A rows×columns matrix of zeros."""
    return [[0.0] * columns for _ in range(rows)]


def gaussian(rows: int, columns: int, scale: float, rng: random.Random) -> Matrix:
    """A rows×columns matrix of normal numbers with mean 0 and standard deviation `scale`."""
    return [[rng.gauss(0.0, scale) for _ in range(columns)] for _ in range(rows)]


def transpose(a: Matrix) -> Matrix:
    """Aᵀ: m×n -> n×m."""
    shape(a, "matrix of transpose")
    return [list(column) for column in zip(*a, strict=True)]


def matmul(a: Matrix, b: Matrix) -> Matrix:
    """A B: (m×k) (k×n) -> m×n. Entry ij is row i of A times column j of B."""
    (m, k), (rows, n) = shape(a, "first matrix of matmul"), shape(b, "second matrix of matmul")
    if k != rows:
        raise ValueError(f"matmul needs as many columns on the left as rows on the right, got {m}×{k} and {rows}×{n}")
    columns = list(zip(*b, strict=True))
    return [[sum(map(mul, row, column)) for column in columns] for row in a]


def add(a: Matrix, b: Matrix) -> Matrix:
    """A + B, number by number."""
    same_shape(a, b, "add")
    return [list(map(add_numbers, x, y)) for x, y in zip(a, b, strict=True)]


def multiply(a: Matrix, b: Matrix) -> Matrix:
    """A ⊙ B, number by number."""
    same_shape(a, b, "multiply")
    return [list(map(mul, x, y)) for x, y in zip(a, b, strict=True)]


def scale(a: Matrix, factor: float) -> Matrix:
    """factor · A."""
    shape(a, "matrix of scale")
    return [[factor * number for number in row] for row in a]


def add_to_rows(a: Matrix, v: Vector) -> Matrix:
    """A with the vector `v` added to each of its rows: m×n and n -> m×n."""
    (m, n), k = shape(a, "matrix of add_to_rows"), length(v, "vector of add_to_rows")
    if k != n:
        raise ValueError(f"add_to_rows needs a vector as long as the rows, got {m}×{n} and a vector of {k}")
    return [list(map(add_numbers, row, v)) for row in a]


def sum_of_rows(a: Matrix) -> Vector:
    """The sum of all rows: m×n -> n."""
    shape(a, "matrix of sum_of_rows")
    return [sum(column) for column in zip(*a, strict=True)]


def apply(function: Callable[[float], float], a: Matrix) -> Matrix:
    """The function of every number."""
    shape(a, "matrix of apply")
    return [list(map(function, row)) for row in a]


def _describe(a: object) -> str:
    return "an empty list" if isinstance(a, list | tuple) and not a else f"{type(a).__name__} {a!r:.60}"
