"""LayerNorm: each position's vector gets mean 0 and variance 1 (less by ε), then a learned gain γ and bias β.

    n = (x − mean(x)) / √(var(x) + ε)        y = γ n + β

Taught in book/1-understanding-gradients/06_residuals_and_layer_norm.md and 09_backpropagation.md.
Source: Ba, Kiros and Hinton 2016, §3. The variance is the mean squared deviation (divided by C, not by C − 1).
"""

from math import sqrt
from operator import mul

from insideout.gradients.matrices import Matrix, Vector, length, same_shape, shape

EPSILON = 1e-5


def layer_norm(x: Matrix, gain: Vector, bias: Vector, epsilon: float = EPSILON) -> tuple[Matrix, Matrix, Vector]:
    """(y T×C, normalised n T×C, inverse deviation 1/√(var + ε) of each row); x T×C, gain C, bias C."""
    t, c = shape(x, "x of layer_norm")
    if length(gain, "gain") != c or length(bias, "bias") != c:
        raise ValueError(f"layer_norm: x is {t}×{c}, so gain and bias need {c} numbers, not {len(gain)}, {len(bias)}")
    y, normalised, inverse_deviations = [], [], []
    for row in x:
        mean = sum(row) / c
        centred = [number - mean for number in row]
        inverse = 1.0 / sqrt(sum(map(mul, centred, centred)) / c + epsilon)
        n = [number * inverse for number in centred]
        y.append([g * number + b for g, number, b in zip(gain, n, bias, strict=True)])
        normalised.append(n)
        inverse_deviations.append(inverse)
    return y, normalised, inverse_deviations


def layer_norm_backward(
    dy: Matrix, normalised: Matrix, inverse_deviations: Vector, gain: Vector
) -> tuple[Matrix, Vector, Vector]:
    """(dx, dgain, dbias) of `layer_norm`, from dy T×C and what the forward pass kept.

    y_j = γ_j n_j + β_j, in every row, so summed over the rows t

        dγ_j = Σ_t dY_tj N_tj        dβ_j = Σ_t dY_tj        dn_j = dy_j γ_j

    Within one row n_j = (x_j − μ) r with r = (var + ε)^(−1/2). A number x_i reaches n_j in three ways:
    directly, by the mean (∂μ/∂x_i = 1/C), and by the variance (∂var/∂x_i = 2 (x_i − μ)/C = 2 n_i/(C r), where the
    mean inside it adds nothing since Σ_j (x_j − μ) = 0), with ∂r/∂var = −r³/2. Together

        ∂n_j/∂x_i = r (δ_ij − 1/C) + (x_j − μ)(−r³/2)(2 n_i / (C r)) = r (δ_ij − 1/C − n_i n_j / C)

        dx_i = Σ_j dn_j ∂n_j/∂x_i = r (dn_i − mean(dn) − n_i mean(dn n))

    γ stays inside both means: it differs from number to number.
    """
    t, c = same_shape(dy, normalised, "layer_norm_backward")
    if length(gain, "gain") != c or length(inverse_deviations, "inverse_deviations") != t:
        raise ValueError(
            f"layer_norm_backward: dy is {t}×{c}, gain holds {len(gain)} and "
            f"inverse_deviations {len(inverse_deviations)} numbers"
        )
    dx: Matrix = []
    dgain, dbias = [0.0] * c, [0.0] * c
    for gradients, n, r in zip(dy, normalised, inverse_deviations, strict=True):
        for j, gradient in enumerate(gradients):
            dgain[j] += gradient * n[j]
            dbias[j] += gradient
        dn = list(map(mul, gradients, gain))
        mean, mean_along = sum(dn) / c, sum(map(mul, dn, n)) / c
        dx.append([r * (d - mean - number * mean_along) for d, number in zip(dn, n, strict=True)])
    return dx, dgain, dbias
