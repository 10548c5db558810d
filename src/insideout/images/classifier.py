"""A small classifier of pictures: it judges what is drawn, and its features are what distances are measured in.

    3 × [convolution 3 × 3, norm, ReLU, convolution, norm, ReLU, halved] ── mean over places ── features ── classes

Features of a network trained on these very pictures tell good digits from bad ones better than those of a network
trained on photographs. Shapes: B pictures, D features. Taught in book/5-from-noise-to-images/05_measuring_pictures.md.
"""

from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.nn import functional as F

from insideout.errors import BadInput
from insideout.training.config import check_types

__all__ = ["Classifier", "ClassifierConfig", "classifier_loss", "shifted"]

GROUPS = 8


@dataclass(frozen=True)
class ClassifierConfig:
    """Its sizes."""

    channels: int = 1
    """Numbers of a pixel."""
    n_classes: int = 10
    """Classes that it tells apart."""
    width: int = 32
    """Feature maps of the first level; twice as many at each further one."""
    n_levels: int = 2
    """Levels, each at half the resolution of the one before."""
    n_features: int = 32
    """Numbers that it makes of a picture, before it names the class."""
    dropout: float = 0.2
    """Share of the features that is left out at random while training."""

    def __post_init__(self) -> None:
        check_types(self)
        for name, least in (("channels", 1), ("n_classes", 2), ("width", 8), ("n_levels", 1), ("n_features", 1)):
            if getattr(self, name) < least:
                raise BadInput(f"{name} is {getattr(self, name)}; it must be at least {least}.")
        if self.width % GROUPS or not 0 <= self.dropout < 1:
            raise BadInput(f"width must be a multiple of {GROUPS}, and dropout at least 0 and below 1.")


class Classifier(nn.Module):
    """Names the class of a picture."""

    def __init__(self, config: ClassifierConfig) -> None:
        super().__init__()
        self.config = config
        before, levels = config.channels, []
        for level in range(config.n_levels):
            width = config.width * 2**level
            levels.append(
                nn.Sequential(
                    nn.Conv2d(before, width, 3, padding=1), nn.GroupNorm(GROUPS, width), nn.ReLU(),
                    nn.Conv2d(width, width, 3, padding=1), nn.GroupNorm(GROUPS, width), nn.ReLU(),
                )
            )  # fmt: skip
            before = width
        self.levels = nn.ModuleList(levels)
        self.to_features = nn.Linear(4 * before, config.n_features)
        self.to_classes = nn.Linear(config.n_features, config.n_classes)

    @property
    def n_parameters(self) -> int:
        """How many numbers the model learns."""
        return sum(parameter.numel() for parameter in self.parameters())

    def features(self, pictures: Float[Tensor, "B channels H W"]) -> Float[Tensor, "B D"]:
        """What the class is told from. Raises BadInput for pictures with other channels, or too small ones."""
        smallest = 2**self.config.n_levels
        if pictures.shape[1] != self.config.channels or min(pictures.shape[2:]) < smallest:
            raise BadInput(
                f"The pictures are {tuple(pictures.shape[1:])}: the classifier reads {self.config.channels} channels, "
                f"{smallest} × {smallest} at least."
            )
        h = pictures
        for level, layers in enumerate(self.levels):
            h = layers(F.max_pool2d(h, 2) if level else h)
        return torch.tanh(self.to_features(F.adaptive_avg_pool2d(h, 2).flatten(1)))

    def forward(self, pictures: Float[Tensor, "B channels H W"]) -> Float[Tensor, "B classes"]:
        """Logits of the classes."""
        return self.to_classes(F.dropout(self.features(pictures), self.config.dropout, self.training))


def classifier_loss(model: nn.Module, batch: dict[str, Tensor]) -> tuple[Tensor, Tensor, dict[str, Tensor]]:
    """Cross-entropy, summed over the pictures, how many, and how many were named right."""
    logits, labels = model(batch["pictures"]), batch["labels"]
    right = (logits.argmax(1) == labels).sum()
    return F.cross_entropy(logits.float(), labels, reduction="sum"), torch.tensor(len(labels)), {"accuracy": right}


def shifted(pictures: Float[Tensor, "B channels H W"], most: int) -> Float[Tensor, "B channels H W"]:
    """Each picture moved by up to `most` pixels, at random, its edge repeated: more pictures than were taken."""
    if most == 0:
        return pictures
    padded = F.pad(pictures, (most,) * 4, mode="replicate")
    height, width = pictures.shape[2:]
    places = torch.randint(2 * most + 1, (len(pictures), 2))
    return torch.stack(
        [each[:, row : row + height, column : column + width] for each, (row, column) in
         zip(padded, places.tolist(), strict=True)]
    )  # fmt: skip
