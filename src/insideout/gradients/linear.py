"""The linear map, the LM head that is one, and the residual sum; each beside its backward.

    Y = X W + b

Taught in book/1-understanding-gradients/02_queries_keys_values.md and 09_backpropagation.md.
Throughout part 1, `dx` is the gradient of the loss with respect to `x`: the same shape, ∂loss/∂x number by number.
"""

from insideout.gradients.matrices import (
    Matrix,
    Vector,
    add,
    add_to_rows,
    matmul,
    same_shape,
    shape,
    sum_of_rows,
    transpose,
)


def linear(x: Matrix, w: Matrix, b: Vector | None = None) -> Matrix:
    """X W + b: x T×n, w n×m, b m (or None) -> T×m."""
    y = matmul(x, w)
    return y if b is None else add_to_rows(y, b)


def linear_backward(dy: Matrix, x: Matrix, w: Matrix) -> tuple[Matrix, Matrix, Vector]:
    """(dx, dw, db) of `linear`, from dy T×m.

    Y_tj = Σ_i X_ti W_ij + b_j, so ∂Y_tj/∂X_ti = W_ij, ∂Y_tj/∂W_ij = X_ti, ∂Y_tj/∂b_j = 1. The chain rule sums over
    every output that a number reaches:

        dX_ti = Σ_j dY_tj W_ij   = (dY Wᵀ)_ti     X_ti reaches all columns j of row t
        dW_ij = Σ_t X_ti dY_tj   = (Xᵀ dY)_ij     W_ij serves all rows t
        db_j  = Σ_t dY_tj
    """
    (t, n), (rows, m) = shape(x, "x of linear_backward"), shape(w, "w of linear_backward")
    got = shape(dy, "dy of linear_backward")
    if n != rows or got != (t, m):
        raise ValueError(f"linear_backward: x {t}×{n} and w {rows}×{m} do not fit dy {got[0]}×{got[1]}")
    return matmul(dy, transpose(w)), matmul(transpose(x), dy), sum_of_rows(dy)


def lm_head(x: Matrix, w: Matrix) -> Matrix:
    """Logits, one per word of the vocabulary and position: x T×C, w C×V -> T×V. A linear map without bias."""
    return linear(x, w)


def lm_head_backward(dlogits: Matrix, x: Matrix, w: Matrix) -> tuple[Matrix, Matrix]:
    """(dx, dw) of `lm_head`: dX = dlogits Wᵀ, dW = Xᵀ dlogits, as derived in `linear_backward`."""
    dx, dw, _ = linear_backward(dlogits, x, w)
    return dx, dw


def residual(x: Matrix, branch: Matrix) -> Matrix:
    """x + f(x), where `branch` is f(x): both T×C."""
    return add(x, branch)


def residual_backward(dy: Matrix) -> tuple[Matrix, Matrix]:
    """(dx, dbranch) of `residual`: ∂y/∂x = ∂y/∂branch = 1, so each receives all of dy.

    When the branch was computed from the same x, its own gradient with respect to x is *added* to this dx.
    """
    shape(dy, "dy of residual_backward")
    return [list(row) for row in dy], [list(row) for row in dy]


def accumulate(dx: Matrix, more: Matrix) -> Matrix:
    """The total gradient of a value used twice: the sum of what its uses send back."""
    same_shape(dx, more, "accumulate")
    return add(dx, more)
