"""Exercises on measuring pictures: the distance of two normals, the unbiased kernel distance, recall.

Practised in book/5-from-noise-to-images/05_measuring_pictures.md; the module is insideout/images/distances.py.
Shapes: N drawn pictures, M real ones, D features.
"""

import random
from collections.abc import Callable

import torch
from torch import Tensor

from insideout.exercises.catalogue import Exercise
from insideout.exercises.drawing import tensor

Normals = tuple[Tensor, Tensor, Tensor, Tensor]
Pair = tuple[Tensor, Tensor]

# frechet


def draw_normals(rng: random.Random, D: int) -> Normals:
    """Means and deviations, the deviations well away from 0 and 1."""
    means = tensor(rng, D), tensor(rng, D)
    deviations = [torch.tensor([rng.uniform(0.2, 3.0) for _ in range(D)], dtype=torch.float64) for _ in range(2)]
    return means[0], deviations[0], means[1], deviations[1]


def squares(mean: Tensor, deviation: Tensor, other_mean: Tensor, other_deviation: Tensor) -> Tensor:
    return (mean - other_mean).square().sum() + (deviation - other_deviation).square().sum()


Made = Callable[[Tensor, Tensor, Tensor, Tensor], Tensor]
frechet = Exercise(
    "images.measuring_pictures.frechet", stars=1, minutes=8, reference=squares, draw=draw_normals,
    section="FID: two clouds, as if they were normal",
)  # fmt: skip
FRECHET_MISTAKES: list[tuple[str, Made]] = [
    (
        "The widths are missing: two normals with one middle can still differ.",
        lambda m, s, a, b: (m - a).square().sum(),
    ),
    ("The middles are missing.", lambda m, s, a, b: (s - b).square().sum()),
    (
        "The variances are subtracted and squared: it is the deviations.",
        lambda m, s, a, b: (m - a).square().sum() + (s.square() - b.square()).square().sum(),
    ),
    (
        "The product term is missing: C₁ + C₂ alone is not 0 where the two are alike.",
        lambda m, s, a, b: (m - a).square().sum() + (s.square() + b.square()).sum(),
    ),
    (
        "The product term stands there once: it is taken off twice.",
        lambda m, s, a, b: (m - a).square().sum() + (s.square() + b.square() - s * b).sum(),
    ),
    (
        "The product of the variances has no root: √(σ₁² σ₂²) = σ₁ σ₂.",
        lambda m, s, a, b: (m - a).square().sum() + (s.square() + b.square() - 2 * (s * b).square()).sum(),
    ),
    (
        "The deviations are taken for variances: they are squared already where you take the root.",
        lambda m, s, a, b: (m - a).square().sum() + (s.sqrt() - b.sqrt()).square().sum(),
    ),
    (
        "The difference of the means is not squared.",
        lambda m, s, a, b: (m - a).abs().sum() + (s - b).square().sum(),
    ),
    ("The root of it is returned: the squared distance is asked for.", lambda m, s, a, b: squares(m, s, a, b).sqrt()),
    ("The mean over the features is returned: they are added up.", lambda m, s, a, b: squares(m, s, a, b) / len(m)),
    (
        "One number is asked for: add the features up.",
        lambda m, s, a, b: (m - a).square() + (s - b).square(),
    ),
    (
        "The length of the difference is not squared.",
        lambda m, s, a, b: (m - a).norm() + (s - b).square().sum(),
    ),
    (
        "The differences are added up before they are squared.",
        lambda m, s, a, b: (m - a).sum().square() + (s - b).sum().square(),
    ),
    (
        "The deviations are added: the distance of two equal normals would not be 0.",
        lambda m, s, a, b: (m - a).square().sum() + (s + b).square().sum(),
    ),
]
for diagnosis, made in FRECHET_MISTAKES:
    frechet.mistake(diagnosis, made)

# kid


def draw_features(rng: random.Random, N: int = 2, M: int = 2, D: int = 1) -> Pair:
    """Two sets of features, the second one moved."""
    return tensor(rng, N, D), 0.5 + tensor(rng, M, D)


def kernel(x: Tensor, y: Tensor, degree: int = 3) -> Tensor:
    return (x @ y.T / x.shape[1] + 1) ** degree


def among(x: Tensor, degree: int = 3) -> Tensor:
    k = kernel(x, x, degree)
    return (k.sum() - k.trace()) / (len(x) * (len(x) - 1))


def unbiased(x: Tensor, y: Tensor, degree: int = 3) -> Tensor:
    return among(x, degree) + among(y, degree) - 2 * kernel(x, y, degree).mean()


def with_kernel(k: Callable[[Tensor, Tensor], Tensor]) -> Callable[[Tensor, Tensor], Tensor]:
    """The unbiased distance with another kernel."""

    def within(x: Tensor) -> Tensor:
        table = k(x, x)
        return (table.sum() - table.trace()) / (len(x) * (len(x) - 1))

    return lambda x, y: within(x) + within(y) - 2 * k(x, y).mean()


def without_diagonal(x: Tensor) -> Tensor:
    k = kernel(x, x)
    return k.sum() - k.trace()


kid = Exercise(
    "images.measuring_pictures.kid", stars=2, minutes=12, reference=unbiased, draw=draw_features,
    section="KID: pairs, and no normal",
)  # fmt: skip
KID_MISTAKES: list[tuple[str, Callable[[Tensor, Tensor], Tensor]]] = [
    (
        "A picture is held against itself: leave the diagonal out, or the distance is too large.",
        lambda x, y: kernel(x, x).mean() + kernel(y, y).mean() - 2 * kernel(x, y).mean(),
    ),
    (
        "The diagonal is left out of the sum and counted in the mean: there are n (n − 1) pairs.",
        lambda x, y: without_diagonal(x) / len(x) ** 2 + without_diagonal(y) / len(y) ** 2 - 2 * kernel(x, y).mean(),
    ),
    (
        "The diagonal is counted out, and still in the sum.",
        lambda x, y: (
            kernel(x, x).sum() / (len(x) * (len(x) - 1))
            + kernel(y, y).sum() / (len(y) * (len(y) - 1))
            - 2 * kernel(x, y).mean()
        ),
    ),
    (
        "The 2 is missing: the pairs of one and the other count twice.",
        lambda x, y: among(x) + among(y) - kernel(x, y).mean(),
    ),
    ("The sign of the last term is wrong.", lambda x, y: among(x) + among(y) + 2 * kernel(x, y).mean()),
    ("The sign is wrong: alike within, and less alike across, is a distance above 0.", lambda x, y: -unbiased(x, y)),
    ("The kernel is a square: its power is 3.", lambda x, y: unbiased(x, y, 2)),
    ("The kernel is linear: its power is 3.", lambda x, y: unbiased(x, y, 1)),
    ("The kernel lacks the + 1.", with_kernel(lambda x, y: (x @ y.T / x.shape[1]) ** 3)),
    ("The product is not divided by D.", with_kernel(lambda x, y: (x @ y.T + 1) ** 3)),
    (
        "The product is divided by √D, as in attention: it is D here.",
        with_kernel(lambda x, y: (x @ y.T / x.shape[1] ** 0.5 + 1) ** 3),
    ),
    ("It is divided by D after the + 1.", with_kernel(lambda x, y: ((x @ y.T + 1) / x.shape[1]) ** 3)),
    ("The drawn pictures among themselves are missing.", lambda x, y: among(y) - 2 * kernel(x, y).mean()),
    ("The real pictures among themselves are missing.", lambda x, y: among(x) - 2 * kernel(x, y).mean()),
    ("The pairs of one and the other are missing.", lambda x, y: among(x) + among(y)),
    (
        "The features are averaged before the kernel: the mean of kernels is asked for.",
        lambda x, y: (
            kernel(x.mean(0, keepdim=True), x.mean(0, keepdim=True)).sum()
            + kernel(y.mean(0, keepdim=True), y.mean(0, keepdim=True)).sum()
            - 2 * kernel(x.mean(0, keepdim=True), y.mean(0, keepdim=True)).sum()
        ),
    ),
    ("It is cut off at 0: an unbiased estimate may lie below.", lambda x, y: unbiased(x, y).clamp(min=0)),
    (
        "The root is returned: the squared distance is asked for.",
        lambda x, y: unbiased(x, y).clamp(min=0).sqrt(),
    ),
    (
        "A pair of one and the other with the same number is left out: they are different pictures.",
        lambda x, y: (
            among(x)
            + among(y)
            - 2 * (kernel(x, y).sum() - kernel(x, y).diagonal().sum()) / (len(x) * len(y) - min(len(x), len(y)))
        ),
    ),
]
for diagnosis, wrong in KID_MISTAKES:
    kid.mistake(diagnosis, wrong)

# recall


def draw_clouds(rng: random.Random) -> tuple[Tensor, Tensor, int]:
    """Two clouds that overlap in part, and a small k."""
    n, m, width = rng.randint(6, 12), rng.randint(7, 13), rng.randint(1, 3)
    return tensor(rng, n, width), 0.7 + 1.5 * tensor(rng, m, width), rng.randint(1, 3)


def share(drawn: Tensor, real: Tensor, k: int) -> Tensor:
    radii = torch.cdist(drawn, drawn).sort(dim=1).values[:, k]
    return (torch.cdist(real, drawn) <= radii).any(dim=1).double().mean()


def radii_of(points: Tensor, k: int) -> Tensor:
    return torch.cdist(points, points).sort(dim=1).values[:, k]


recall = Exercise(
    "images.measuring_pictures.recall", stars=2, minutes=12, reference=share, draw=draw_clouds,
    edges=[
        (torch.tensor([[0.0], [1.0], [3.0]]).double(), torch.tensor([[2.0], [-1.0], [-1.5], [5.0]]).double(), 1),
        (torch.tensor([[0.0], [0.0], [4.0]]).double(), torch.tensor([[0.0], [0.5], [4.0], [9.0]]).double(), 1),
    ],
    section="Precision and recall: bad pictures, missing pictures",
)  # fmt: skip
RECALL_MISTAKES: list[tuple[str, Callable[[Tensor, Tensor, int], Tensor]]] = [
    (
        "This is precision: the balls are around the drawn pictures, and the real ones are counted.",
        lambda x, y, k: share(y, x, k),
    ),
    (
        "Off by one: the nearest of a picture's own set is the picture itself.",
        lambda x, y, k: (torch.cdist(y, x) <= radii_of(x, k - 1)).any(1).double().mean(),
    ),
    (
        "Off by one: the ball reaches to the neighbour after the k-th.",
        lambda x, y, k: (
            (torch.cdist(y, x) <= torch.cdist(x, x).sort(1).values[:, min(k + 1, len(x) - 1)]).any(1).double().mean()
        ),
    ),
    (
        "The share of the balls that hold a real picture is returned: the share of the real pictures is asked for.",
        lambda x, y, k: (torch.cdist(y, x) <= radii_of(x, k)).any(0).double().mean(),
    ),
    (
        "A real picture has to lie in all balls here: one is enough.",
        lambda x, y, k: (torch.cdist(y, x) <= radii_of(x, k)).all(1).double().mean(),
    ),
    (
        "The share of pairs is returned: a real picture counts once, however many balls hold it.",
        lambda x, y, k: (torch.cdist(y, x) <= radii_of(x, k)).double().mean(),
    ),
    ("How many is returned: the share is asked for.", lambda x, y, k: share(x, y, k) * len(y)),
    ("The share outside is returned.", lambda x, y, k: 1 - share(x, y, k)),
    (
        "The radii are those of the real pictures among themselves.",
        lambda x, y, k: (torch.cdist(y, x) <= radii_of(y, min(k, len(y) - 1))[:, None]).any(1).double().mean(),
    ),
    (
        "One radius is used for all balls, the mean: each has its own.",
        lambda x, y, k: (torch.cdist(y, x) <= radii_of(x, k).mean()).any(1).double().mean(),
    ),
    (
        "One radius is used for all balls, the largest: each has its own.",
        lambda x, y, k: (torch.cdist(y, x) <= radii_of(x, k).max()).any(1).double().mean(),
    ),
    (
        "The nearest neighbour is always taken: k is not used.",
        lambda x, y, k: (torch.cdist(y, x) <= radii_of(x, 1)).any(1).double().mean(),
    ),
    (
        "The edge belongs to the ball: ≤, not <.",
        lambda x, y, k: (torch.cdist(y, x) < radii_of(x, k)).any(1).double().mean(),
    ),
    (
        "Squared distances are held against radii.",
        lambda x, y, k: (torch.cdist(y, x).square() <= radii_of(x, k)).any(1).double().mean(),
    ),
    (
        "The k-th nearest from the far end is taken: sort upwards.",
        lambda x, y, k: (
            (torch.cdist(y, x) <= torch.cdist(x, x).sort(dim=1, descending=True).values[:, k]).any(1).double().mean()
        ),
    ),
    (
        "The nearest drawn picture alone is asked whether its ball reaches: another ball may.",
        lambda x, y, k: (
            (torch.cdist(y, x).min(1).values <= radii_of(x, k)[torch.cdist(y, x).argmin(1)]).double().mean()
        ),
    ),
]
for diagnosis, wrong_share in RECALL_MISTAKES:
    recall.mistake(diagnosis, wrong_share)
