"""Causal attention in five steps, each beside its backward: scores, mask, softmax, weighted values, heads.

    Z = softmax(Q Kᵀ / √D + mask) V        for each head

Taught in book/1-understanding-gradients/03_attention.md, 04_multi_head_attention.md and 09_backpropagation.md.
Source: Vaswani et al. 2017, §3.2. Shapes: T positions, C d_model, H heads, D = C / H.
"""

from math import exp, inf, sqrt
from operator import mul

from insideout.gradients.matrices import Matrix, Vector, matmul, same_shape, scale, shape, transpose


def scaled_scores(q: Matrix, k: Matrix) -> Matrix:
    """Q Kᵀ / √D: q T×D, k T×D -> T×T. Row t: how well query t fits each key."""
    (t, d), (s, width) = shape(q, "q of scaled_scores"), shape(k, "k of scaled_scores")
    if d != width:
        raise ValueError(f"scaled_scores: queries {t}×{d} and keys {s}×{width} differ in width")
    return scale(matmul(q, transpose(k)), 1.0 / sqrt(d))


def scaled_scores_backward(dscores: Matrix, q: Matrix, k: Matrix) -> tuple[Matrix, Matrix]:
    """(dq, dk) of `scaled_scores`.

    S_ts = Σ_d Q_td K_sd / √D, so ∂S_ts/∂Q_td = K_sd / √D and ∂S_ts/∂K_sd = Q_td / √D:

        dQ = dS K / √D        dK = dSᵀ Q / √D
    """
    (t, d), (s, width) = shape(q, "q of scaled_scores_backward"), shape(k, "k of scaled_scores_backward")
    got = shape(dscores, "dscores")
    if d != width or got != (t, s):
        raise ValueError(f"scaled_scores_backward: q {t}×{d} and k {s}×{width} do not fit dscores {got[0]}×{got[1]}")
    factor = 1.0 / sqrt(d)
    return scale(matmul(dscores, k), factor), scale(matmul(transpose(dscores), q), factor)


def causal_mask(scores: Matrix) -> Matrix:
    """The scores with −∞ wherever key s comes after query t: T×T -> T×T."""
    _square(scores, "causal_mask")
    return [[number if s <= t else -inf for s, number in enumerate(row)] for t, row in enumerate(scores)]


def causal_mask_backward(dmasked: Matrix) -> Matrix:
    """dscores of `causal_mask`: kept numbers pass their gradient on (∂ = 1), replaced ones have none (∂ = 0)."""
    _square(dmasked, "causal_mask_backward")
    return [[number if s <= t else 0.0 for s, number in enumerate(row)] for t, row in enumerate(dmasked)]


def softmax_row(row: Vector) -> Vector:
    """exp(row_j) / Σ_k exp(row_k). The largest number is subtracted first: same result, no overflow."""
    largest = max(row)
    exponentials = [exp(number - largest) for number in row]
    total = sum(exponentials)
    return [number / total for number in exponentials]


def softmax(scores: Matrix) -> Matrix:
    """Each row becomes a probability distribution: T×S -> T×S. A row must hold one number that is not −∞."""
    shape(scores, "scores of softmax")
    for t, row in enumerate(scores):
        if max(row) == -inf:
            raise ValueError(f"softmax: all {len(row)} numbers of row {t} are −∞, so nothing is left to choose from")
    return [softmax_row(row) for row in scores]


def softmax_backward(dp: Matrix, p: Matrix) -> Matrix:
    """dscores of `softmax`, from dp and its own output p, both T×S.

    In one row P_j = e^{S_j} / Σ_k e^{S_k}. The quotient rule gives ∂P_j/∂S_i = P_j (δ_ij − P_i): as long as no P is
    0 or 1, raising S_i raises P_i and lowers all others. Summed over the outputs j:

        dS_i = Σ_j dP_j P_j (δ_ij − P_i) = P_i (dP_i − Σ_j P_j dP_j)

    Where P_i is 0 (a masked score), dS_i is 0.
    """
    same_shape(dp, p, "softmax_backward")
    result: Matrix = []
    for gradients, probabilities in zip(dp, p, strict=True):
        mean = sum(map(mul, probabilities, gradients))  # Σ_j P_j dP_j, the mean gradient under P
        result.append([q * (g - mean) for q, g in zip(probabilities, gradients, strict=True)])
    return result


def weighted_values(pattern: Matrix, v: Matrix) -> Matrix:
    """P V: pattern T×S, v S×D -> T×D. Row t is the mean of the values, weighted by row t of the pattern."""
    return matmul(pattern, v)


def weighted_values_backward(dz: Matrix, pattern: Matrix, v: Matrix) -> tuple[Matrix, Matrix]:
    """(dpattern, dv) of `weighted_values`.

    Z_td = Σ_s P_ts V_sd, so ∂Z_td/∂P_ts = V_sd and ∂Z_td/∂V_sd = P_ts:

        dP = dZ Vᵀ        dV = Pᵀ dZ
    """
    (t, s), (rows, d) = shape(pattern, "pattern"), shape(v, "v of weighted_values_backward")
    got = shape(dz, "dz")
    if s != rows or got != (t, d):
        raise ValueError(f"weighted_values_backward: pattern {t}×{s}, v {rows}×{d}, dz {got[0]}×{got[1]} do not fit")
    return matmul(dz, transpose(v)), matmul(transpose(pattern), dz)


def split_heads(x: Matrix, n_heads: int) -> list[Matrix]:
    """T×C -> H matrices of T×D: head h takes columns h·D to (h + 1)·D."""
    t, c = shape(x, "x of split_heads")
    if n_heads < 1 or c % n_heads:
        raise ValueError(f"split_heads: {c} columns (x is {t}×{c}) do not split into {n_heads} equal heads")
    d = c // n_heads
    return [[list(row[h * d : (h + 1) * d]) for row in x] for h in range(n_heads)]


def split_heads_backward(dheads: list[Matrix]) -> Matrix:
    """dx of `split_heads`. Each number of x went to one place; its gradient comes back from there: a merge."""
    return merge_heads(dheads)


def merge_heads(heads: list[Matrix]) -> Matrix:
    """H matrices of T×D, side by side -> T×C."""
    if not heads:
        raise ValueError("merge_heads: the list of heads is empty (0 heads)")
    shapes = [shape(head, f"head {h}") for h, head in enumerate(heads)]
    if len(set(shapes)) > 1:
        raise ValueError(f"merge_heads: heads differ in shape: {', '.join(f'{t}×{d}' for t, d in shapes)}")
    return [[number for part in rows for number in part] for rows in zip(*heads, strict=True)]


def merge_heads_backward(dx: Matrix, n_heads: int) -> list[Matrix]:
    """dheads of `merge_heads`: the gradient of each column goes back to the head it came from: a split."""
    return split_heads(dx, n_heads)


def _square(a: Matrix, operation: str) -> None:
    rows, columns = shape(a, f"matrix of {operation}")
    if rows != columns:
        raise ValueError(f"{operation} needs a square T×T matrix, got {rows}×{columns}")
