"""How good drawn pictures are, in numbers with their intervals, beside what real ones get.

    measure(recipe("digits_drawer"), recipe("digits_classifier"), "development", guidance=1.5)

accuracy   the share that a classifier, which never saw them, takes for what was asked for; and that of real pictures
kid        the distance of drawn pictures from real ones of the split, in the classifier's features
floor      that of other real pictures from the same ones: no model can be nearer
           what is drawn has the classes of these others: with those of the split itself it would agree in its classes
           as no independent pictures do, and kid would be too small
nearest    how far a drawn picture is from the nearest training picture, and how far a held-out one is: copies
           are nearer

Settings are chosen on development pictures; what is reported is measured on the test.
"""

from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

from insideout.errors import BadInput
from insideout.estimates import Interval, interval, proportion
from insideout.images.solvers import Solver
from insideout.recipes.picture_model import Drawer, PictureClassifier

if TYPE_CHECKING:
    from torch import Tensor

OTHER: dict[str, Literal["development", "test"]] = {"development": "test", "test": "development"}


@dataclass(frozen=True)
class PictureScores:
    """What was measured of n drawn pictures."""

    accuracy: Interval
    real_accuracy: Interval
    kid: Interval
    floor: Interval
    precision: float
    """Share of the drawn that look real."""
    recall: float
    """Share of the real that could have been drawn."""
    nearest: Interval
    """Distance of a drawn picture from the nearest training picture, in root mean square of its numbers."""
    real_nearest: Interval
    n_calls: int
    """Of the model's field, for a picture."""


def measure(
    drawer: Drawer,
    classifier: PictureClassifier,
    split: Literal["development", "test"],
    *,
    guidance: float = 1.0,
    n_steps: int = 20,
    solver: Solver = "heun",
    seed: int = 0,
) -> PictureScores:
    """As many pictures as the other of development and test has, with its classes, drawn and held against the split.

    Raises BadInput for a classifier of other pictures, and where drawing does.
    """
    import torch

    from insideout.images.distances import kid_interval, precision_and_recall

    if classifier.about["data"]["fingerprint"] != drawer.about["data"]["fingerprint"]:
        raise BadInput("The classifier learned from other pictures than the model that draws: give one of the same.")
    splits, judge = drawer.splits(), classifier.model()
    real, other = splits[split], splits[OTHER[split]]
    drawn, n_calls = [], 0
    for rows in torch.split(torch.arange(len(other)), 500):
        solution = drawer.draw(
            other.labels[rows], n_steps=n_steps, solver=solver, guidance=guidance, seed=seed * 1_000_003 + int(rows[0])
        )
        drawn.append(solution.x.clamp(-1, 1))
        n_calls = solution.n_calls
    pictures = torch.cat(drawn)
    with torch.no_grad():
        features, real_features, others = (judge.features(each) for each in (pictures, real.pictures, other.pictures))
        right, real_right = (
            int((judge.to_classes(each).argmax(1) == asked.labels).sum())
            for each, asked in ((features, other), (real_features, real))
        )
    shares = precision_and_recall(features, real_features)
    return PictureScores(
        proportion(right, len(other)), proportion(real_right, len(real)), kid_interval(features, real_features),
        kid_interval(others, real_features), shares.precision, shares.recall,
        interval(nearest(pictures, splits["train"].pictures).tolist()),
        interval(nearest(real.pictures, splits["train"].pictures).tolist()), n_calls,
    )  # fmt: skip


def nearest(pictures: "Tensor", among: "Tensor") -> "Tensor":
    """The distance of each from the nearest, in root mean square of its numbers. (N, C, H, W), (M, …) -> (N,)"""
    import torch

    each, them = pictures.flatten(1), among.flatten(1)
    found = [
        torch.cdist(rows, them, compute_mode="donot_use_mm_for_euclid_dist").min(1).values
        for rows in torch.split(each, 500)
    ]
    return torch.cat(found) / each.shape[1] ** 0.5
