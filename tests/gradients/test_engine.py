"""The engine where small engines fail: values used twice, backward called twice, very deep graphs, order."""

import inspect

import pytest
import torch

from insideout.gradients import Node, engine, relative_error, relative_error_of_each


def test_it_is_short():
    assert len(inspect.getsource(engine).splitlines()) <= 185


def test_a_value_used_twice_collects_both_gradients():
    x = Node([3.0, -2.0])
    ((x * x) + x).sum().backward()
    assert x.gradient == [[7.0, -3.0]]
    y = Node([[2.0]])
    a = y * y
    (a * a + a).backward()  # y⁴ + y²
    assert y.gradient == [[36.0]] and a.gradient == [[9.0]]


def test_backward_twice_gives_the_same_answer():
    x = Node([[2.0]])
    y = x * x
    loss = y * y
    loss.backward()
    loss.backward()
    assert x.gradient == [[32.0]] and y.gradient == [[8.0]]
    y.backward()  # another start: now the derivative of y, with nothing left of the loss's
    assert x.gradient == [[4.0]]


def test_a_graph_of_100_000_nodes_in_depth():
    node = x = Node([[1.0]])
    for _ in range(100_000):
        node = node + x
    node.backward()
    assert x.gradient == [[100_001.0]]
    del node  # taking a deep graph apart must not recurse either


def test_order_is_that_of_creation_and_the_same_every_time():
    def run():
        visited = []
        x = Node([[1.5, 2.0]])
        a, b = x.exp(), x.log()
        c = a * b
        loss = (c + a).sum()
        for name, node in {"a": a, "b": b, "c": c}.items():
            node.pull = lambda d, pull=node.pull, name=name: (visited.append(name), pull(d))[1]
        loss.backward()
        return visited, x.gradient

    first = run()
    assert first[0] == ["c", "b", "a"]
    assert all(run() == first for _ in range(5))


def test_every_operation_against_torch():
    a0, b0 = [[0.5, -1.2], [2.0, 0.3], [1.0, 0.1]], [[1.0, 0.2, 3.0], [0.7, -0.4, 0.9]]
    row0, column0 = [0.1, 2.0, 0.3], [[0.4], [1.1], [0.2]]
    a, b, row, column = (Node(value) for value in (a0, b0, row0, column0))
    y = (a @ b + row) * column - a.rows([0, 0, 2]).sum_columns()
    z = y.gelu().transpose() @ y.relu() + (y * y + Node([[1.0]])).power(-0.5)
    (z.exp() + Node([[1.0]])).log().sum().backward()

    ta, tb, tr, tc = (torch.tensor(v, dtype=torch.float64, requires_grad=True) for v in (a0, b0, row0, column0))
    ty = (ta @ tb + tr) * tc - ta[[0, 0, 2]].sum(1, keepdim=True)
    tz = torch.nn.functional.gelu(ty).T @ ty.relu() + (ty * ty + 1).pow(-0.5)
    (tz.exp() + 1).log().sum().backward()
    for ours, theirs in ((a, ta), (b, tb), (row, tr), (column, tc)):
        expected = theirs.grad.tolist()
        assert relative_error(ours.gradient, expected if isinstance(expected[0], list) else [expected]) <= 1e-12


def test_what_a_reader_will_type():
    """Numbers beside nodes, minus, division, powers, Python's sum: against torch."""
    a0, b0 = [[0.5, -1.2], [2.0, 0.3]], [[1.5, -0.2], [3.0, 0.7]]

    def typed(a, b):
        return sum([2 * a, a / b, -a, a**2, 1 - b, a - 1, 3 / b, b**3 / 2, a + 1.5, 2.0 - a * b, b**0, sum([a, b]), +1])

    a, b, ta, tb = Node(a0), Node(b0), *(torch.tensor(v, dtype=torch.float64, requires_grad=True) for v in (a0, b0))
    ours, theirs = typed(a, b), typed(ta, tb)
    assert relative_error(ours.value, theirs.tolist()) <= 1e-14
    ours.sum().backward()
    theirs.sum().backward()
    assert (
        relative_error(a.gradient, ta.grad.tolist()) <= 1e-14 and relative_error(b.gradient, tb.grad.tolist()) <= 1e-14
    )
    zero = Node([[0.0]])
    (zero**1 + zero**2 + zero**0).sum().backward()
    assert zero.gradient == [[1.0]]


def test_what_is_neither_node_nor_number_is_refused():
    a = Node([[1.0, -2.0]])
    for wrong in (
        lambda: a + "1", lambda: "1" * a, lambda: a @ 2.0, lambda: a / "2", lambda: a**a, lambda: a - None,
        lambda: sum([a, [1.0]]),
    ):  # fmt: skip
        with pytest.raises(TypeError):
            wrong()
    for no_number in (lambda: a**0.5, lambda: Node([[0.0]]) ** -1, lambda: 1 / Node([[0.0]]), lambda: a / 0):
        with pytest.raises((ValueError, ZeroDivisionError)):
            no_number()


def test_every_gradient_is_a_matrix_of_its_own():
    """What is written into one gradient changes no other, not even another row."""
    a, b, c = Node([[1.0, 2.0], [3.0, 4.0]]), Node([[5.0, 6.0], [7.0, 8.0]]), Node([[1.0], [2.0]])
    s = a + b
    end = (s + s.sum_columns() + s.transpose() + c + s.rows([0, 0])).sum()
    end.backward()
    held = [row for node in (a, b, c, s, end) for row in node.gradient]
    assert len({id(row) for row in held}) == len(held)
    before = [list(row) for row in b.gradient]
    for row in a.gradient:
        row[0] += 100.0
    assert b.gradient == before


def test_a_gradient_that_is_no_number_is_an_error_without_bound():
    inf, nan = float("inf"), float("nan")
    right = [[1.0, 1.0], [2.0, -inf]]
    assert relative_error(right, right) == relative_error_of_each(right, right) == 0.0
    for wrong in (
        [[1.0, nan], [2.0, -inf]],
        [[1.0, 1.0], [2.0, inf]],
        [[inf, 1.0], [2.0, -inf]],
        [[1.0, 1.0], [2.0, 3.0]],
    ):
        for compare in (relative_error, relative_error_of_each):
            assert compare(wrong, right) == compare(right, wrong) == compare(wrong, right, 1e-3) == inf
    assert relative_error([nan], [nan]) == relative_error_of_each([nan], [nan], 0.5) == inf
    assert relative_error([1.0, 1e-9], [1.0, 2e-9]) == pytest.approx(1e-9)
    assert relative_error_of_each([1.0, 1e-9], [1.0, 2e-9], 1e-6) == 0.0


@pytest.mark.parametrize("pair", [([[1.0]], [1.0]), ([1.0], [[1.0]]), ([], [1.0]), ([1.0], []), ([], [])])
def test_what_has_no_like_is_not_compared(pair):
    for compare in (relative_error, relative_error_of_each):
        with pytest.raises(ValueError, match="cannot compare"):
            compare(*pair)


def test_two_zeros_do_not_differ_whatever_the_floor():
    assert relative_error([0.0], [0.0], floor=-1.0) == relative_error_of_each([0.0], [0.0], floor=-1.0) == 0.0


def test_shapes_that_do_not_fit_are_refused():
    a, b = Node([[1.0, 2.0], [3.0, 4.0]]), Node([[1.0, 2.0, 3.0]])
    with pytest.raises(ValueError, match="shapes 2×2 and 1×3"):
        a + b
    with pytest.raises(ValueError, match="shapes 2×2 and 1×3"):
        a * b
    with pytest.raises(ValueError, match="got 2×2 and 1×3"):
        a @ b
    with pytest.raises(ValueError, match="1×1"):
        a.backward()
    with pytest.raises(ValueError, match="ragged"):
        Node([[1.0], [1.0, 2.0]])
    with pytest.raises(ValueError, match="2×2"):
        a.rows([2])
    with pytest.raises(ValueError, match="1×0"):
        Node([])
