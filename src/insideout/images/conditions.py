"""What a model of pictures is told beside the noisy picture: its time, its class, or no class at all.

The null class is one more row of the table, learned like the others from the pictures whose class was dropped. It is
what guidance steers away from. Taught in book/5-from-noise-to-images/06_class_conditioning.md.
Source: Ho and Salimans 2022.
"""

import torch
from jaxtyping import Float, Int64
from torch import Tensor, nn

from insideout.errors import BadInput
from insideout.images.embeddings import TimeEmbedding

__all__ = ["Condition"]


class Condition(nn.Module):
    """Time and class as one vector for each picture."""

    def __init__(self, width: int, n_classes: int) -> None:
        super().__init__()
        self.time = TimeEmbedding(width)
        self.n_classes = n_classes
        self.table = nn.Embedding(n_classes + 1, width) if n_classes else None  # the last row is the null class

    @property
    def null_class(self) -> int:
        """The label that says nothing."""
        return self.n_classes

    def forward(self, t: Float[Tensor, " B"], labels: Int64[Tensor, " B"] | None) -> Float[Tensor, "B C"]:
        """Without labels each picture has the null class. Raises BadInput for a label out of range or of no use."""
        told = self.time(t)
        if self.table is None:
            if labels is not None:
                raise BadInput("This model knows no classes: give it no labels, or build it with n_classes.")
            return told
        if labels is None:
            labels = torch.full(t.shape, self.null_class, device=t.device)
        check_labels(labels, self.n_classes)
        return told + self.table(labels)


def check_labels(labels: Tensor, n_classes: int) -> None:
    """Raise BadInput for a label that is no class and not the null class, n_classes."""
    if labels.numel() and not 0 <= int(labels.min()) <= int(labels.max()) <= n_classes:
        wrong = int(labels[(labels < 0) | (labels > n_classes)][0])
        raise BadInput(
            f"The label {wrong} is out of range: classes go from 0 to {n_classes - 1}, and {n_classes} stands for none."
        )
