"""A classifier of digits: it says whether a drawn digit is the one that was asked for, and its features measure KID.

It is trained on the training pictures alone, moved by a pixel at random; how often it is right is told on the test.
"""

import dataclasses
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from insideout.errors import BadInput
from insideout.images.classifier import ClassifierConfig
from insideout.recipes.job import Inputs, Job
from insideout.recipes.picture_model import (
    PictureClassifier,
    batches,
    begin_pictures,
    companions,
    pictures_of,
    read_pictures,
    sources,
)
from insideout.recipes.stage import Stage
from insideout.scales import Scale
from insideout.training.config import TrainConfig
from insideout.training.events import Event, Started
from insideout.training.metrics import Metric, together

if TYPE_CHECKING:
    from torch import nn

    from insideout.data.pictures.labelled import Pictures


@dataclass(frozen=True)
class DigitsClassifierConfig:
    """Which pictures, the classifier's sizes, and how it is trained."""

    data: str = "digits"
    """digits, mnist, fashion-mnist, or the path of IDX files or of a folder of pictures."""
    size: int = 0
    """Pixels of a side; 0: as the pictures are."""
    shift: int = 1
    """By how many pixels they are moved at random while training."""
    device: Literal["auto", "cpu", "cuda", "mps"] = "auto"
    """Where to compute; auto takes an accelerator when there is one."""
    model: ClassifierConfig = field(default_factory=ClassifierConfig)
    """Its sizes; channels and n_classes are those of the pictures."""
    train: TrainConfig = field(default_factory=TrainConfig)
    """How it is trained."""

    def __post_init__(self) -> None:
        if not self.data:
            raise BadInput("data is empty: give digits, mnist, or the path of pictures.")
        if self.size < 0 or not 0 <= self.shift <= 8:
            raise BadInput("size must be at least 0, and shift lie between 0 and 8.")


SETTINGS: dict[Scale, DigitsClassifierConfig] = {
    "tiny": DigitsClassifierConfig(
        model=ClassifierConfig(width=8, n_features=16),
        train=TrainConfig(
            steps=60, batch_size=32, lr=5e-3, min_lr=5e-4, warmup_steps=5, precision="float32", eval_every=30,
            checkpoint_every=60,
        ),
    ),
    "laptop": DigitsClassifierConfig(
        model=ClassifierConfig(width=16),
        train=TrainConfig(
            steps=600, batch_size=64, lr=4e-3, min_lr=4e-5, warmup_steps=30, precision="float32", eval_every=100,
            checkpoint_every=300,
        ),
    ),
    "gpu": DigitsClassifierConfig(
        data="mnist", shift=2, model=ClassifierConfig(width=64, n_features=64),
        train=TrainConfig(
            steps=4000, batch_size=256, lr=2e-3, min_lr=2e-5, warmup_steps=100, eval_every=500, checkpoint_every=1000,
        ),
    ),
}  # fmt: skip

METRICS = (
    Metric("validation_loss", "held-out loss", unit="nats per picture", section="Loss"),
    Metric("accuracy", "right in training", unit="%", section="Pictures named right", better="higher"),
    Metric("validation_accuracy", "right on held-out pictures", unit="%", section="Pictures named right",
           better="higher"),
)  # fmt: skip


def make(config: DigitsClassifierConfig, inputs: Inputs, job: Job) -> None:
    """Train a classifier, the result last."""
    import torch

    from insideout.estimates import proportion
    from insideout.images.classifier import Classifier, classifier_loss, shifted
    from insideout.machine import choose_device
    from insideout.training import distributed
    from insideout.training.loop import train
    from insideout.training.objective import Objective

    device = distributed.start(choose_device(config.device))
    data = pictures_of(config.data, config.size)
    sizes = dataclasses.replace(config.model, channels=data["train"].shape[0], n_classes=len(data["train"].names))
    torch.manual_seed(config.train.seed)
    model = Classifier(sizes)
    model.features(data["train"].pictures[:1])  # they are large enough, or are refused

    def validate(model: "nn.Module") -> dict[str, float]:
        loss, right = judged(model, data["development"])
        return {"validation_loss": loss, "validation_accuracy": right / len(data["development"])}

    def listen(event: Event) -> None:
        if isinstance(event, Started):
            begin_pictures(job, model, sizes, data, device)
        job.tell(event)

    result = train(
        model, Objective(classifier_loss, METRICS, counted="pictures"),
        batches(data["train"], config.train, lambda pictures: shifted(pictures, config.shift)), config.train,
        out=job.folder, validate=validate, on_event=listen,
        resume=job.resume and (job.folder / "checkpoints").is_dir(), device=device, companions=companions(sizes),
    )  # fmt: skip
    if distributed.is_main():
        model.eval()
        with torch.no_grad():
            loss, right = judged(model, data["test"])
        found = proportion(right, len(data["test"]))
        job.end(
            **dataclasses.asdict(result), test_loss=loss, test_accuracy=found.mean,
            test_accuracy_interval=[found.low, found.high],
        )  # fmt: skip
    distributed.barrier()


def judged(model: "nn.Module", pictures: "Pictures", batch_size: int = 500) -> tuple[float, int]:
    """(mean loss in nats, how many are named right)."""
    import torch
    from torch.nn import functional as F

    device = next(model.parameters()).device
    loss, right = 0.0, 0
    for rows in torch.split(torch.arange(len(pictures)), batch_size):
        logits, labels = model(pictures.pictures[rows].to(device)).float(), pictures.labels[rows].to(device)
        loss += float(F.cross_entropy(logits, labels, reduction="sum"))
        right += int((logits.argmax(1) == labels).sum())
    return loss / len(pictures), right


def load(folder: Path) -> PictureClassifier:
    """The classifier in a folder."""
    return read_pictures(PictureClassifier, folder, "digits_classifier", DigitsClassifierConfig)


def report(folder: Path) -> Path:
    """Write report.html; return its path."""
    from insideout.recipes.report import Card, figure, write_report

    run = load(folder)
    result: dict[str, Any] = run.result() or {}
    right = result.get("test_accuracy")
    cards = (
        Card("named right", figure(None if right is None else 100 * right, 1) + " %", "of the test pictures"),
        Card("held-out loss", figure(result.get("test_loss"), 3), "nats per picture, on the test"),
    )
    return write_report(
        run, together(METRICS, "pictures"), title="A classifier of pictures",
        lead=f"{run.about['n_parameters']:,} parameters, at {run.about['scale']} scale.", cards=cards,
    )  # fmt: skip


STAGE = Stage(
    "digits_classifier", "A classifier that judges drawn digits; its features measure distances.", SETTINGS, make, load,
    sources=sources, free=("device", "checkpoint_every"), report=report,
)  # fmt: skip
