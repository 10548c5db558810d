"""Is a gradient right? Nudge each number both ways and watch the loss.

    f'(x) ≈ (f(x + h) − f(x − h)) / 2h                                         order 2, error ~ h²
    f'(x) ≈ 2/3 (f(x + h) − f(x − h))/h − 1/12 (f(x + 2h) − f(x − 2h))/h       order 4, error ~ h⁴

Taught in book/1-understanding-gradients/08_gradient_of_the_loss.md. Both are central differences. The loss itself is
only known to about 16 digits, so the difference carries noise of about 10⁻¹⁶ · loss / h: a small h suits the error
and a large h the noise. Order 4 allows a large h.
"""

from collections.abc import Iterator, Mapping, Sequence
from math import inf, isfinite, isinf, isnan
from sys import float_info

from insideout.gradients.config import Config, Parameter
from insideout.gradients.model import forward

# order -> weights of f(x + kh) − f(x − kh), k = 1, 2, 3 (from the Taylor series: terms up to h^order cancel)
STENCILS = {2: (1 / 2,), 4: (2 / 3, -1 / 12), 6: (3 / 4, -3 / 20, 1 / 60)}


def finite_differences(
    params: Mapping[str, Parameter],
    ids: Sequence[int],
    config: Config,
    name: str,
    *,
    targets: Sequence[int | None] | None = None,
    h: float = 1e-3,
    order: int = 4,
) -> Parameter:
    """The gradient of parameter `name` by central differences, in its own shape; `params` is left as it was.

    Costs `order` forward passes for each number. Raises ValueError for an unknown name or order, or h not above 0.
    """
    if name not in params:
        raise ValueError(f"no parameter is called {name!r}; there are {', '.join(params)}")
    if order not in STENCILS:
        raise ValueError(f"order must be 2, 4 or 6, not {order!r}")
    if not h > 0:
        raise ValueError(f"h must be above 0, not {h!r}")
    parameter = params[name]
    is_matrix = isinstance(parameter[0], list)
    rows: list[list[float]] = [list(r) for r in parameter] if is_matrix else [list(parameter)]  # type: ignore[arg-type]
    nudged: dict[str, Parameter] = {**params, name: rows if is_matrix else rows[0]}

    def loss_at(row: list[float], j: int, value: float) -> float:
        kept, row[j] = row[j], value
        loss, _ = forward(nudged, ids, config, targets)
        row[j] = kept
        return loss

    def slope(row: list[float], j: int) -> float:
        total = 0.0
        for k, weight in enumerate(STENCILS[order], start=1):
            total += weight * (loss_at(row, j, row[j] + k * h) - loss_at(row, j, row[j] - k * h))
        return total / h

    found = [[slope(row, j) for j in range(len(row))] for row in rows]
    return found if is_matrix else found[0]


def resolution(loss: float, h: float = 1e-3) -> float:
    """The noise of a central difference: a few last digits of the loss, divided by h. Smaller gradients drown in it."""
    return 8.0 * float_info.epsilon * max(1.0, loss) / h


def relative_error(ours: Parameter, reference: Parameter, floor: float = 0.0) -> float:
    """Largest |ours − reference| over the largest |number| of either: one relative error for a whole parameter.

    Where no number of either exceeds `floor` (what the reference can resolve) there is nothing to compare: 0. Infinite
    where one holds NaN, or an infinity that the other does not. Raises ValueError when the shapes differ.
    """
    pairs = list(_pairs(ours, reference))
    difference = max((_difference(a, b) for a, b in pairs), default=0.0)
    largest = max((abs(number) for pair in pairs for number in pair if isfinite(number)), default=0.0)
    if isinf(difference) or largest <= floor or largest == 0:
        return difference if isinf(difference) else 0.0
    return difference / largest


def relative_error_of_each(ours: Parameter, reference: Parameter, floor: float = 0.0) -> float:
    """The largest relative error of any single number whose size exceeds `floor`; 0 if none does.

    Infinite as `relative_error` is.
    """
    found = [(_difference(a, b), max(abs(a), abs(b))) for a, b in _pairs(ours, reference)]
    errors = (
        inf if isinf(difference) else difference / size for difference, size in found if size and not size <= floor
    )
    return max(errors, default=0.0)


def _difference(a: float, b: float) -> float:
    """|a − b|, never NaN, which every comparison would let pass: infinite where either is NaN."""
    gap = 0.0 if a == b else abs(a - b)
    return inf if isnan(gap) else gap


def _pairs(ours: Parameter, reference: Parameter) -> Iterator[tuple[float, float]]:
    def rows(p: Parameter) -> list[list[float]]:
        return p if isinstance(p[0], list | tuple) else [p]

    if not ours or not reference or isinstance(ours[0], list | tuple) != isinstance(reference[0], list | tuple):
        raise ValueError("cannot compare a matrix with a vector, or with nothing")
    mine, theirs = rows(ours), rows(reference)
    if [len(row) for row in mine] != [len(row) for row in theirs]:
        raise ValueError(
            f"cannot compare {len(mine)} rows of {len(mine[0])} numbers with {len(theirs)} rows of {len(theirs[0])}"
        )
    for a, b in zip(mine, theirs, strict=True):
        yield from zip(a, b, strict=True)
