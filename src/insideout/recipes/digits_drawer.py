"""Digits from noise: a diffusion transformer that is told which digit to draw, trained by flow matching.

Each picture's class is dropped one time in ten, so that one model knows the digits and what all of them have in common,
and can be guided. What is drawn with are the averaged weights. MNIST, or pictures of the reader's own, by --data.
"""

import dataclasses
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from insideout.errors import BadInput
from insideout.images.config import DiTConfig
from insideout.recipes.job import Inputs, Job
from insideout.recipes.picture_model import (
    Drawer,
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
from insideout.training.metrics import together
from insideout.words import duration

if TYPE_CHECKING:
    from torch import nn


@dataclass(frozen=True)
class DigitsDrawerConfig:
    """Which pictures, how they become noise, the model's sizes, and how it is trained."""

    data: str = "digits"
    """digits, mnist, fashion-mnist, or the path of IDX files or of a folder of pictures."""
    size: int = 0
    """Pixels of a side; 0: as the pictures are."""
    path_name: Literal["linear", "cosine", "vp"] = "linear"
    """The path from noise to data."""
    times: Literal["uniform", "logit_normal"] = "logit_normal"
    """At which times it is trained: evenly, or more often in the middle."""
    label_dropout: float = 0.1
    """Share of the pictures whose class is dropped, each by a coin of its own."""
    device: Literal["auto", "cpu", "cuda", "mps"] = "auto"
    """Where to compute; auto takes an accelerator when there is one."""
    model: DiTConfig = field(default_factory=DiTConfig)
    """Its sizes; size, channels and n_classes are those of the pictures."""
    train: TrainConfig = field(default_factory=TrainConfig)
    """How it is trained."""

    def __post_init__(self) -> None:
        if not self.data:
            raise BadInput("data is empty: give digits, mnist, or the path of pictures.")
        if self.size < 0 or not 0 <= self.label_dropout <= 1:
            raise BadInput("size must be at least 0, and label_dropout lie between 0 and 1.")


SETTINGS: dict[Scale, DigitsDrawerConfig] = {
    "tiny": DigitsDrawerConfig(
        model=DiTConfig(size=8, patch=4, d_model=32, n_layers=1, n_heads=2, n_classes=10),
        train=TrainConfig(
            steps=40, batch_size=16, lr=3e-3, min_lr=3e-4, warmup_steps=5, optimizer="muon", precision="float32",
            ema_half_life=10.0, eval_every=20, checkpoint_every=20,
        ),
    ),
    "laptop": DigitsDrawerConfig(
        model=DiTConfig(size=8, patch=2, d_model=96, n_layers=4, n_heads=4, n_classes=10),
        train=TrainConfig(
            steps=2000, batch_size=64, lr=2e-3, min_lr=5e-5, warmup_steps=50, optimizer="muon", weight_decay=0.01,
            precision="float32", ema_half_life=100.0, eval_every=250, checkpoint_every=500,
        ),
    ),
    "gpu": DigitsDrawerConfig(
        data="mnist", model=DiTConfig(size=28, patch=2, d_model=384, n_layers=8, n_heads=6, n_classes=10),
        train=TrainConfig(
            steps=20_000, batch_size=256, lr=5e-4, min_lr=1e-5, warmup_steps=500, optimizer="muon", weight_decay=0.01,
            compile=True, ema_half_life=1000.0, eval_every=1000, checkpoint_every=2000,
        ),
    ),
}  # fmt: skip


def make(config: DigitsDrawerConfig, inputs: Inputs, job: Job) -> None:
    """Train a diffusion transformer, the result last."""
    import torch

    from insideout.images.dit import DiT
    from insideout.images.flow import FLOW_METRICS, flow_loss, held_out_loss
    from insideout.images.paths import PATHS
    from insideout.machine import choose_device
    from insideout.training import distributed
    from insideout.training.loop import train
    from insideout.training.objective import Objective

    device = distributed.start(choose_device(config.device))
    data = pictures_of(config.data, config.size)
    channels, height, width = data["train"].shape
    if height != width:
        raise BadInput(f"The pictures are {height} × {width}: the model draws squares; give a size.")
    sizes = dataclasses.replace(config.model, size=height, channels=channels, n_classes=len(data["train"].names))
    torch.manual_seed(config.train.seed)
    model, path = DiT(sizes), PATHS[config.path_name]

    def validate(model: "nn.Module") -> dict[str, float]:
        held_out = data["development"]
        return {"validation_loss": held_out_loss(model, held_out.pictures, held_out.labels, path)}

    def listen(event: Event) -> None:
        if isinstance(event, Started):
            begin_pictures(job, model, sizes, data, device)
        job.tell(event)

    result = train(
        model, Objective(flow_loss(path, config.times, config.label_dropout), FLOW_METRICS, counted="pictures"),
        batches(data["train"], config.train), config.train, out=job.folder, validate=validate, on_event=listen,
        resume=job.resume and (job.folder / "checkpoints").is_dir(), device=device, companions=companions(sizes),
    )  # fmt: skip
    if distributed.is_main():
        job.end(**dataclasses.asdict(result), **result.measured)
    distributed.barrier()


def load(folder: Path) -> Drawer:
    """The model in a folder."""
    return read_pictures(Drawer, folder, "digits_drawer", DigitsDrawerConfig)


def report(folder: Path) -> Path:
    """Write report.html; return its path."""
    from insideout.images.flow import FLOW_METRICS
    from insideout.recipes.report import Card, figure, write_report

    run = load(folder)
    result: dict[str, Any] = run.result() or {}
    averaged = "ema_validation_loss" if run.config.train.ema_half_life else "validation_loss"
    cards = (
        Card("held-out loss", figure(result.get(averaged), 3), "mean square per pixel, of the weights it draws with"),
        Card("time", duration(result.get("seconds")), f"{result.get('step', 0):,} steps"),
    )
    return write_report(
        run, together(FLOW_METRICS, "pictures"), title="Digits from noise",
        lead=f"{run.about['n_parameters']:,} parameters, at {run.about['scale']} scale.", cards=cards,
    )  # fmt: skip


STAGE = Stage(
    "digits_drawer", "A diffusion transformer that draws the digit it is told.", SETTINGS, make, load,
    sources=sources, free=("device", "checkpoint_every"), report=report,
)  # fmt: skip
