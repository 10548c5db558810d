"""Digits from noise, drawn as latents: a diffusion transformer that never sees a pixel, and the decoder at its end.

    noise (1, 8, 8)  ->  transformer, step by step  ->  latent (1, 8, 8)  ->  decoder of the vae  ->  picture

The pictures, and their classes, are those of the autoencoder; every latent is computed once, before training. The
autoencoder is kept beside the model: latents of one are noise to the decoder of another.
Taught in book/5-from-noise-to-images/11_latent_diffusion.md. Source: Rombach et al. 2022, §3.
"""

import dataclasses
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from insideout import files
from insideout.errors import BadInput
from insideout.images.config import DiTConfig
from insideout.recipes.job import Inputs, Job
from insideout.recipes.picture_model import (
    AUTOENCODER,
    LatentDrawer,
    batches,
    begin_pictures,
    companions,
    fingerprint_of,
    read_pictures,
)
from insideout.recipes.stage import Stage
from insideout.scales import Scale
from insideout.training.config import TrainConfig
from insideout.training.events import Event, Started
from insideout.training.metrics import together
from insideout.words import duration

if TYPE_CHECKING:
    from torch import Tensor, nn

    from insideout.data.pictures.labelled import Splits
    from insideout.images.autoencoder import Autoencoder


@dataclass(frozen=True)
class LatentDrawerConfig:
    """How latents become noise, the model's sizes, and how it is trained."""

    path_name: Literal["linear", "cosine", "vp"] = "linear"
    """The path from noise to data."""
    times: Literal["uniform", "logit_normal"] = "logit_normal"
    """At which times it is trained: evenly, or more often in the middle."""
    label_dropout: float = 0.1
    """Share of the pictures whose class is dropped, each by a coin of its own."""
    device: Literal["auto", "cpu", "cuda", "mps"] = "auto"
    """Where to compute; auto takes an accelerator when there is one."""
    model: DiTConfig = field(default_factory=DiTConfig)
    """Its sizes; size and channels are those of the latents, n_classes that of the pictures."""
    train: TrainConfig = field(default_factory=TrainConfig)
    """How it is trained."""

    def __post_init__(self) -> None:
        if not 0 <= self.label_dropout <= 1:
            raise BadInput("label_dropout must lie between 0 and 1.")


SETTINGS: dict[Scale, LatentDrawerConfig] = {
    "tiny": LatentDrawerConfig(
        model=DiTConfig(size=4, patch=2, d_model=32, n_layers=1, n_heads=2, n_classes=10),
        train=TrainConfig(
            steps=40, batch_size=16, lr=3e-3, min_lr=3e-4, warmup_steps=5, optimizer="muon", precision="float32",
            ema_half_life=10.0, eval_every=20, checkpoint_every=20,
        ),
    ),
    "laptop": LatentDrawerConfig(
        model=DiTConfig(size=8, patch=2, d_model=96, n_layers=4, n_heads=4, n_classes=10),
        train=TrainConfig(
            steps=1500, batch_size=64, lr=2e-3, min_lr=5e-5, warmup_steps=50, optimizer="muon", weight_decay=0.01,
            precision="float32", ema_half_life=100.0, eval_every=250, checkpoint_every=500,
        ),
    ),
    "gpu": LatentDrawerConfig(
        model=DiTConfig(size=7, channels=4, patch=1, d_model=384, n_layers=8, n_heads=6, n_classes=10),
        train=TrainConfig(
            steps=20_000, batch_size=256, lr=5e-4, min_lr=1e-5, warmup_steps=500, optimizer="muon", weight_decay=0.01,
            compile=True, ema_half_life=1000.0, eval_every=1000, checkpoint_every=2000,
        ),
    ),
}  # fmt: skip


def make(config: LatentDrawerConfig, inputs: Inputs, job: Job) -> None:
    """Train a diffusion transformer on latents, the result last."""
    import torch

    from insideout.images.dit import DiT
    from insideout.images.flow import FLOW_METRICS, flow_loss, held_out_loss
    from insideout.images.paths import PATHS
    from insideout.machine import choose_device
    from insideout.training import distributed
    from insideout.training.loop import train
    from insideout.training.objective import Objective

    device = distributed.start(choose_device(config.device))
    source = inputs["vae"]
    pictures, autoencoder = source.splits(), source.model(str(device))
    latents = encoded(pictures, autoencoder)
    channels, height, _ = latents["train"].shape
    sizes = dataclasses.replace(config.model, size=height, channels=channels, n_classes=len(pictures["train"].names))
    torch.manual_seed(config.train.seed)
    model, path = DiT(sizes), PATHS[config.path_name]

    def validate(model: "nn.Module") -> dict[str, float]:
        held_out = latents["development"]
        return {"validation_loss": held_out_loss(model, held_out.pictures, held_out.labels, path)}

    def listen(event: Event) -> None:
        if isinstance(event, Started):
            file = source.path / AUTOENCODER
            begin_pictures(
                job, model, sizes, pictures, device, autoencoder=fingerprint_of(file),
                pictures={"data": source.config.data, "size": source.config.size},
            )  # fmt: skip
            files.save(job.folder / AUTOENCODER, files.content_of(file))
        job.tell(event)

    result = train(
        model, Objective(flow_loss(path, config.times, config.label_dropout), FLOW_METRICS, counted="pictures"),
        batches(latents["train"], config.train), config.train, out=job.folder, validate=validate, on_event=listen,
        resume=job.resume and (job.folder / "checkpoints").is_dir(), device=device, companions=companions(sizes),
    )  # fmt: skip
    if distributed.is_main():
        job.end(**dataclasses.asdict(result), **result.measured)
    distributed.barrier()


def encoded(pictures: "Splits", autoencoder: "Autoencoder", batch_size: int = 256) -> "Splits":
    """The latents of all pictures, with the same labels."""
    import torch

    from insideout.data.pictures.labelled import Pictures

    def latents_of(of: "Tensor") -> "Tensor":
        device = autoencoder.scale.device
        return torch.cat([autoencoder.encode(each.to(device)).cpu() for each in torch.split(of, batch_size)])

    return {split: Pictures(latents_of(each.pictures), each.labels, each.names) for split, each in pictures.items()}


def load(folder: Path) -> LatentDrawer:
    """The model in a folder."""
    return read_pictures(LatentDrawer, folder, "latent_drawer", LatentDrawerConfig)


def report(folder: Path) -> Path:
    """Write report.html; return its path."""
    from insideout.images.flow import FLOW_METRICS
    from insideout.recipes.report import Card, figure, write_report

    run = load(folder)
    result: dict[str, Any] = run.result() or {}
    averaged = "ema_validation_loss" if run.config.train.ema_half_life else "validation_loss"
    cards = (
        Card("held-out loss", figure(result.get(averaged), 3), "mean square per number of a latent"),
        Card("time", duration(result.get("seconds")), f"{result.get('step', 0):,} steps"),
    )
    return write_report(
        run, together(FLOW_METRICS, "pictures"), title="Digits from noise, by latents",
        lead=f"{run.about['n_parameters']:,} parameters, at {run.about['scale']} scale.", cards=cards,
    )  # fmt: skip


STAGE = Stage(
    "latent_drawer", "A diffusion transformer that draws latents, which the vae makes pictures of.", SETTINGS, make,
    load, needs=("vae",), free=("device", "checkpoint_every"), report=report,
)  # fmt: skip
