"""How far drawn pictures are from real ones, told from their features: FID, KID, precision and recall.

    fid(features, reference)          squared distance of two Gaussians with the same means and covariances; biased in n
    kid(features, reference)          squared distance of kernel means; unbiased: 0 on average where the two are alike
    kid_interval(features, reference) the same from disjoint parts, with its interval
    energy(points, reference)         of points, not of features: 0 only where the two distributions are one; unbiased
    precision_and_recall(...)         the share of drawn pictures that look real, of real ones that could be drawn

Shapes: N drawn pictures, M real ones, D features each. All of it is computed in float64.
Taught in book/5-from-noise-to-images/05_measuring_pictures.md.
"""

from typing import NamedTuple

import torch
from jaxtyping import Float
from torch import Tensor

from insideout.checks import whole
from insideout.errors import BadInput
from insideout.estimates import Interval, interval

__all__ = ["PrecisionRecall", "energy", "fid", "kid", "kid_interval", "precision_and_recall"]

ROWS = 512
"""Pictures that are held against all others at once: a table of all pairs would not fit."""


def fid(features: Float[Tensor, "N D"], reference: Float[Tensor, "M _"]) -> float:
    """‖μ₁ − μ₂‖² + Tr(C₁ + C₂ − 2 (C₁^½ C₂ C₁^½)^½), at least 0: the Fréchet distance of two Gaussians, squared.

    The last trace is the sum of the singular values of C₁^½ C₂^½, and so of R₁ R₂ᵀ for any R with RᵀR = C: no
    covariance is formed and no root taken of a rounded eigenvalue. Too large on average, the more so the fewer the
    pictures: compare at one n, beside real against real. Raises BadInput for features that don't fit each other, that
    are not finite, or of D pictures or fewer, whose covariance is singular.
    Source: Heusel et al. 2017, eq. 6; Dowson and Landau 1982.
    """
    ours, theirs = _checked(features, reference)
    for name, rows in (("features", ours), ("reference", theirs)):
        n, width = rows.shape
        if n <= width:
            raise BadInput(
                f"FID needs more pictures than features: {name} has {n} pictures of {width} features. Give at least "
                f"{width + 1} pictures, or use kid, which needs only 2."
            )
    shift = (ours.mean(0) - theirs.mean(0)).square().sum()
    root, their_root = _covariance_factor(ours), _covariance_factor(theirs)  # (D, D) each
    overlap = torch.linalg.svdvals(root @ their_root.T).sum()
    return max(0.0, float(shift + root.square().sum() + their_root.square().sum() - 2 * overlap))


def kid(features: Float[Tensor, "N D"], reference: Float[Tensor, "M _"]) -> float:
    """E k(x, x') + E k(y, y') − 2 E k(x, y) over pairs of different pictures, with k(x, y) = (x·y / D + 1)³.

    Unbiased at every n, so that it may be below 0. Raises BadInput for features that don't fit each other, that are not
    finite, or of fewer than 2 pictures. Source: Bińkowski et al. 2018, §3 and eq. 4; Gretton et al. 2012, eq. 3.
    """
    return _kid(*_checked(features, reference))


def kid_interval(
    features: Float[Tensor, "N D"], reference: Float[Tensor, "M _"], n_parts: int = 10, seed: int = 0
) -> Interval:
    """Mean of kid over disjoint random parts, which are independent, and its 95% interval.

    Subsets that overlap, as they are often drawn, share pictures: their interval would be too narrow.
    Raises BadInput where kid does, for fewer than 2 parts, and where a part would have fewer than 2 pictures.
    """
    ours, theirs = _checked(features, reference)
    if whole("n_parts", n_parts, 0) < 2:
        raise BadInput(f"n_parts is {n_parts}: an interval needs at least 2 parts.")
    if (fewest := min(len(ours), len(theirs))) < 2 * n_parts:
        raise BadInput(
            f"{fewest} pictures don't fill {n_parts} parts of at least 2: give more pictures or fewer parts."
        )
    generator = torch.Generator().manual_seed(seed)
    parts, their_parts = (
        rows[torch.randperm(len(rows), generator=generator).to(rows.device)].tensor_split(n_parts)
        for rows in (ours, theirs)
    )
    return interval(_kid(x, y) for x, y in zip(parts, their_parts, strict=True))


def energy(points: Float[Tensor, "N D"], reference: Float[Tensor, "M _"]) -> float:
    """2 E‖x − y‖ − E‖x − x'‖ − E‖y − y'‖ over pairs of different points: the energy distance, unbiased, so that it may
    be below 0. Its expectation is 0 only where both are drawn from one distribution.

    Raises BadInput where kid does. Source: Székely and Rizzo 2013, eq. 5.
    """
    ours, theirs = _checked(points, reference)
    n, m = len(ours), len(theirs)
    across = _apart(ours, theirs).mean()
    within, their_within = _apart(ours, ours).sum() / (n * (n - 1)), _apart(theirs, theirs).sum() / (m * (m - 1))
    return float(2 * across - within - their_within)


class PrecisionRecall(NamedTuple):
    """Two shares in [0, 1]: of the drawn pictures that look real, of the real ones that could have been drawn."""

    precision: float
    recall: float


def precision_and_recall(
    features: Float[Tensor, "N D"], reference: Float[Tensor, "M _"], k: int = 3
) -> PrecisionRecall:
    """The share of each set within a ball of the other: one ball a picture, as far as its k-th nearest of its own set.

    Raises BadInput for features that don't fit each other, that are not finite, or of k pictures or fewer.
    Source: Kynkäänniemi et al. 2019, §2, eq. 1 and 2.
    """
    ours, theirs = _checked(features, reference)
    if not 1 <= whole("k", k, 0) < min(len(ours), len(theirs)):
        raise BadInput(
            f"k is {k}: it must be at least 1 and below the number of pictures, here {min(len(ours), len(theirs))}."
        )
    return PrecisionRecall(_covered(ours, theirs, k), _covered(theirs, ours, k))


def _covariance_factor(rows: Tensor) -> Tensor:
    """R, upper triangular, with RᵀR the rows' covariance (of n − 1). (N, D) -> (D, D)"""
    return torch.linalg.qr(rows - rows.mean(0), mode="r").R / (len(rows) - 1) ** 0.5


def _kid(ours: Tensor, theirs: Tensor) -> float:
    """The unbiased estimate: a picture is not held against itself."""
    n, m = len(ours), len(theirs)
    within = _kernel_sum(ours, ours) - _kernel(ours.square().sum(1), ours.shape[1]).sum()
    their_within = _kernel_sum(theirs, theirs) - _kernel(theirs.square().sum(1), theirs.shape[1]).sum()
    across = _kernel_sum(ours, theirs) / (n * m)
    return float(within / (n * (n - 1)) + their_within / (m * (m - 1)) - 2 * across)


def _kernel(products: Tensor, width: int) -> Tensor:
    """k(x, y) from x·y."""
    return (products / width + 1) ** 3


def _kernel_sum(x: Tensor, y: Tensor) -> Tensor:
    """Σ k over all pairs. (N, D), (M, D) -> ()"""
    return torch.stack([_kernel(rows @ y.T, x.shape[1]).sum() for rows in torch.split(x, ROWS)]).sum()


def _covered(points: Tensor, centres: Tensor, k: int) -> float:
    """The share of points within a ball around one of the centres. (N, D), (M, D) -> share"""
    radii = torch.cat(
        [_apart(rows, centres).kthvalue(k + 1).values for rows in torch.split(centres, ROWS)]
    )  # (M,), 0 is itself
    inside = [(_apart(rows, centres) <= radii).any(1) for rows in torch.split(points, ROWS)]
    return float(torch.cat(inside).double().mean())


def _apart(x: Tensor, y: Tensor) -> Tensor:
    """Distances of all pairs, exactly 0 for equal points. (N, D), (M, D) -> (N, M)"""
    return torch.cdist(x, y, compute_mode="donot_use_mm_for_euclid_dist")


def _checked(features: Tensor, reference: Tensor) -> tuple[Tensor, Tensor]:
    """Both in float64, once they can be compared at all."""
    for name, rows in (("features", features), ("reference", reference)):
        if rows.dim() != 2 or rows.shape[1] == 0:
            raise BadInput(f"{name} has the shape {tuple(rows.shape)}: it must be (pictures, features).")
        if len(rows) < 2:
            raise BadInput(f"{name} has {len(rows)} pictures: give at least 2.")
        if not torch.isfinite(rows).all():
            raise BadInput(f"{name} has a number that is not finite, first in picture {_first_not_finite(rows)}.")
    if features.shape[1] != reference.shape[1]:
        raise BadInput(
            f"features has {features.shape[1]} numbers a picture and reference {reference.shape[1]}: both must come "
            "from one network."
        )
    return features.detach().double(), reference.detach().double()


def _first_not_finite(rows: Tensor) -> int:
    """The first picture with a number that is not finite."""
    return int((~torch.isfinite(rows)).any(1).nonzero()[0])
