"""A reverse-mode autograd engine whose nodes hold matrices: the hand derivation of part 1, made automatic.

    dparent += dnode · ∂node/∂parent        over all nodes, in the reverse order of their creation

Taught in book/1-understanding-gradients/12_an_autograd_engine.md. In the manner of Karpathy's micrograd (2020), whose
nodes hold one number. A vector is a matrix of one row, a number a 1×1 matrix; plain numbers may stand beside nodes, as
in 2 * a - 1. Each operation writes its value and, as `pull`, how a gradient on the value becomes a gradient on each
parent.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from itertools import count
from math import erf, exp, log, pi, pow, sqrt
from operator import add as plus
from operator import mul

from insideout.gradients.matrices import Matrix, Vector, add, apply, matmul, multiply, shape, transpose, zeros

Pull = Callable[[Matrix], Sequence[Matrix]]
_serial = count()


class Node:
    """A matrix, the nodes it was computed from, and its gradient once `backward` has run."""

    __slots__ = ("gradient", "parents", "pull", "serial", "value")

    def __init__(self, value: Matrix | Vector, parents: tuple[Node, ...] = (), pull: Pull | None = None):
        rows = value if value and isinstance(value[0], list | tuple) else [value]
        shape(rows, "value of a node")  # type: ignore[arg-type]
        self.value: Matrix = rows  # type: ignore[assignment]
        self.parents, self.pull = parents, pull
        self.gradient: Matrix | None = None
        self.serial = next(_serial)  # parents exist before their children: creation order is a topological order

    def backward(self) -> None:
        """Sets `.gradient` of this node and of all it was computed from to ∂(this node)/∂(them).

        The gradients start afresh on every call, so a second call gives the same answer and not twice it.
        No recursion: the graph may be as deep as memory allows.
        """
        if shape(self.value) != (1, 1):
            raise ValueError(f"backward starts from one number, a 1×1 node; this one is {shape(self.value)}")
        seen, nodes, waiting = {self.serial}, [self], [self]
        while waiting:
            for parent in waiting.pop().parents:
                if parent.serial not in seen:  # the set is asked, never iterated over
                    seen.add(parent.serial)
                    nodes.append(parent)
                    waiting.append(parent)
        nodes.sort(key=lambda node: node.serial, reverse=True)
        for node in nodes:
            node.gradient = None
        self.gradient = [[1.0]]
        for node in nodes:
            if node.pull is None or node.gradient is None:
                continue
            for parent, part in zip(node.parents, node.pull(node.gradient), strict=True):
                if parent.gradient is None:
                    parent.gradient = [list(row) for row in part]  # its own: both sides of a sum are sent the same
                else:
                    parent.gradient = add(parent.gradient, part)  # += : used twice

    def __add__(self, other: Node | float) -> Node:
        if isinstance(other, int | float):
            return self.map(lambda x: x + other, lambda x, y: 1.0)
        if not isinstance(other, Node):
            return NotImplemented
        return Node(add(*_broadcast(self, other)), (self, other), lambda d: (_fold(d, self), _fold(d, other)))

    def __mul__(self, other: Node | float) -> Node:
        if isinstance(other, int | float):
            return self.map(lambda x: other * x, lambda x, y: other)
        if not isinstance(other, Node):
            return NotImplemented
        a, b = _broadcast(self, other)
        return Node(
            multiply(a, b), (self, other), lambda d: (_fold(multiply(d, b), self), _fold(multiply(d, a), other))
        )

    __radd__, __rmul__ = __add__, __mul__  # 2 * a, and the 0 that Python's sum begins with

    def __neg__(self) -> Node:
        return self * -1.0

    def __sub__(self, other: Node | float) -> Node:
        return self + other * -1.0

    def __rsub__(self, other: float) -> Node:
        return -self + other

    def __truediv__(self, other: Node | float) -> Node:
        return self * other**-1.0

    def __rtruediv__(self, other: float) -> Node:
        return self**-1.0 * other

    def __pow__(self, exponent: float) -> Node:
        return self.power(exponent)

    def __matmul__(self, other: Node) -> Node:
        if not isinstance(other, Node):
            return NotImplemented
        a, b = self.value, other.value
        return Node(matmul(a, b), (self, other), lambda d: (matmul(d, transpose(b)), matmul(transpose(a), d)))

    def map(self, function: Callable[[float], float], slope: Callable[[float, float], float]) -> Node:
        """function(x) of every number; slope(x, y) is its derivative, given x and y = function(x)."""
        x = self.value
        y = apply(function, x)
        return Node(
            y, (self,), lambda d: ([list(map(mul, r, map(slope, s, t))) for r, s, t in zip(d, x, y, strict=True)],)
        )

    def exp(self) -> Node:
        return self.map(exp, lambda x, y: y)

    def log(self) -> Node:
        return self.map(log, lambda x, y: 1.0 / x)

    def relu(self) -> Node:
        return self.map(lambda x: x if x > 0.0 else 0.0, lambda x, y: 1.0 if x > 0.0 else 0.0)

    def power(self, exponent: float) -> Node:
        """x^exponent of every number. Raises ValueError where that is no real number, such as a root of -1."""
        if not isinstance(exponent, int | float):
            raise TypeError(f"an exponent is a number, not {type(exponent).__name__}")
        return self.map(lambda x: pow(x, exponent), lambda x, y: exponent * pow(x, exponent - 1.0) if exponent else 0.0)

    def gelu(self) -> Node:
        return self.map(
            lambda x: 0.5 * x * (1.0 + erf(x * sqrt(0.5))),
            lambda x, y: 0.5 * (1.0 + erf(x * sqrt(0.5))) + x * exp(-0.5 * x * x) / sqrt(2.0 * pi),
        )

    def transpose(self) -> Node:
        return Node(transpose(self.value), (self,), lambda d: (transpose(d),))

    def sum_columns(self) -> Node:
        """The sum of each row: m×n -> m×1."""
        n = len(self.value[0])
        return Node([[sum(row)] for row in self.value], (self,), lambda d: ([row * n for row in d],))

    def sum(self) -> Node:
        """The sum of all numbers: m×n -> 1×1."""
        m, n = shape(self.value)
        return Node([[sum(map(sum, self.value))]], (self,), lambda d: ([d[0] * n for _ in range(m)],))

    def rows(self, indices: Sequence[int]) -> Node:
        """The rows with these indices; an index may come twice."""
        m, n = shape(self.value)
        if not indices or not all(0 <= i < m for i in indices):
            raise ValueError(f"rows {list(indices)} of a {m}×{n} node: give at least one index, all in 0..{m - 1}")

        def pull(d: Matrix) -> Sequence[Matrix]:
            result = zeros(m, n)
            for i, row in zip(indices, d, strict=True):
                result[i] = list(map(plus, result[i], row))
            return (result,)

        return Node([list(self.value[i]) for i in indices], (self,), pull)


def _broadcast(a: Node, b: Node) -> tuple[Matrix, Matrix]:
    """Both values, a single row or column repeated until the shapes agree."""
    (m, n), (p, q) = shape(a.value), shape(b.value)
    if (m, n) == (p, q):
        return a.value, b.value
    if (m != p and 1 not in (m, p)) or (n != q and 1 not in (n, q)):
        raise ValueError(f"shapes {m}×{n} and {p}×{q} do not fit: sides must be equal, or one of them 1")
    x, y = ([r * (max(n, q) // len(r)) for r in node.value] * (max(m, p) // len(node.value)) for node in (a, b))
    return x, y


def _fold(d: Matrix, node: Node) -> Matrix:
    """The gradient of a repeated row or column is the sum over its copies."""
    d = [[sum(column) for column in zip(*d, strict=True)]] if len(node.value) == 1 < len(d) else d
    return [[sum(row)] for row in d] if len(node.value[0]) == 1 < len(d[0]) else d
