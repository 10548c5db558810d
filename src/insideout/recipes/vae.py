"""A variational autoencoder of pictures: what the model that draws latents is built on.

    pictures (1, 16, 16)  ->  encoder  ->  latents (1, 8, 8), scaled  ->  decoder  ->  pictures

The handwritten digits, drawn larger, by default; MNIST, or pictures of the reader's own, by --data. When it has
learned, its scaler is fitted to the training pictures, and both are kept in one file, autoencoder.safetensors, so that
nobody can have the one without the other.
"""

import dataclasses
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from insideout.errors import BadInput
from insideout.images.autoencoder_config import AutoencoderConfig
from insideout.recipes.job import Inputs, Job
from insideout.recipes.picture_model import (
    AUTOENCODER,
    PictureModel,
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
    from torch import Tensor, nn

    from insideout.images.autoencoder import Autoencoder


@dataclass(frozen=True)
class VAEConfig:
    """Which pictures, the autoencoder's sizes, and how it is trained."""

    data: str = "digits"
    """digits, mnist, fashion-mnist, or the path of IDX files or of a folder of pictures."""
    size: int = 0
    """Pixels of a side; 0: as the pictures are."""
    beta: float = 1e-3
    """Weight of the KL: twice the variance that the decoder allows a pixel."""
    device: Literal["auto", "cpu", "cuda", "mps"] = "auto"
    """Where to compute; auto takes an accelerator when there is one."""
    model: AutoencoderConfig = field(default_factory=AutoencoderConfig)
    """Its sizes; size and channels are those of the pictures."""
    train: TrainConfig = field(default_factory=TrainConfig)
    """How it is trained."""

    def __post_init__(self) -> None:
        if not self.data:
            raise BadInput("data is empty: give digits, mnist, or the path of pictures.")
        if self.size < 0 or not 0 <= self.beta < float("inf"):
            raise BadInput("size must be at least 0, and beta a number of at least 0.")


SETTINGS: dict[Scale, VAEConfig] = {
    "tiny": VAEConfig(
        model=AutoencoderConfig(size=8, channels=1, width=8, n_halvings=1, latent_channels=1),
        train=TrainConfig(
            steps=30, batch_size=16, lr=3e-3, min_lr=3e-4, warmup_steps=5, precision="float32", eval_every=15,
            checkpoint_every=15,
        ),
    ),
    "laptop": VAEConfig(
        size=16, model=AutoencoderConfig(size=16, channels=1, width=16, n_halvings=1, latent_channels=1),
        train=TrainConfig(
            steps=400, batch_size=32, lr=2e-3, min_lr=5e-5, warmup_steps=20, precision="float32", eval_every=100,
            checkpoint_every=100,
        ),
    ),
    "gpu": VAEConfig(
        data="mnist", model=AutoencoderConfig(size=28, channels=1, width=64, n_halvings=2, latent_channels=4),
        train=TrainConfig(
            steps=10_000, batch_size=256, lr=1e-3, min_lr=1e-5, warmup_steps=200, eval_every=1000,
            checkpoint_every=2000,
        ),
    ),
}  # fmt: skip


class PictureAutoencoder(PictureModel):
    """A trained autoencoder with its fitted scaler."""

    def model(self, device: str = "cpu") -> "Autoencoder":
        """It, ready to be used."""
        from insideout.images.autoencoder import load_autoencoder

        return load_autoencoder(self.path / AUTOENCODER).to(device)


def make(config: VAEConfig, inputs: Inputs, job: Job) -> None:
    """Train an autoencoder, fit its scaler, and write both, the result last."""
    import torch

    from insideout.images.autoencoder import VAE_METRICS, Autoencoder, autoencoder_loss, save_autoencoder
    from insideout.machine import choose_device
    from insideout.training import distributed
    from insideout.training.loop import train
    from insideout.training.objective import Objective

    device = distributed.start(choose_device(config.device))
    data = pictures_of(config.data, config.size)
    channels, height, width = data["train"].shape
    if height != width:
        raise BadInput(f"The pictures are {height} × {width}: the autoencoder reads squares; give a size.")
    sizes = dataclasses.replace(config.model, size=height, channels=channels)
    torch.manual_seed(config.train.seed)
    model = Autoencoder(sizes)

    def validate(model: "nn.Module") -> dict[str, float]:
        return {"validation_loss": held_out(model, data["development"].pictures, config.beta)}

    def listen(event: Event) -> None:
        if isinstance(event, Started):
            begin_pictures(job, model, sizes, data, device)
        job.tell(event)

    result = train(
        model, Objective(autoencoder_loss(config.beta), VAE_METRICS, counted="pictures"),
        batches(data["train"], config.train), config.train, out=job.folder, validate=validate, on_event=listen,
        resume=job.resume and (job.folder / "checkpoints").is_dir(), device=device, companions=companions(sizes),
    )  # fmt: skip
    if distributed.is_main():
        model.eval()
        model.fit_scaler(data["train"].pictures)
        save_autoencoder(model, job.folder / AUTOENCODER)
        error = reconstruction_error(model, data["test"].pictures)
        job.end(**dataclasses.asdict(result), **result.measured, test_error=error)
    distributed.barrier()


def held_out(model: "nn.Module", pictures: "Tensor", beta: float, batch_size: int = 256) -> float:
    """The loss on pictures, with the same draws each time."""
    import torch

    from insideout.images.autoencoder import autoencoder_loss

    device, loss_of, total = next(model.parameters()).device, autoencoder_loss(beta), 0.0
    with torch.no_grad(), torch.random.fork_rng():
        torch.manual_seed(0)
        for each in torch.split(pictures, batch_size):
            total += float(loss_of(model, {"pictures": each.to(device)})[0])
    return total / len(pictures)


def reconstruction_error(model: "Autoencoder", pictures: "Tensor", batch_size: int = 256) -> float:
    """Mean square of what is lost on the way through the latent and back."""
    import torch

    device = next(model.parameters()).device
    parts = (each.to(device) for each in torch.split(pictures, batch_size))
    return sum(float((model.decode(model.encode(each)) - each).square().sum()) for each in parts) / pictures.numel()


def load(folder: Path) -> PictureAutoencoder:
    """The autoencoder in a folder."""
    return read_pictures(PictureAutoencoder, folder, "vae", VAEConfig)


def report(folder: Path) -> Path:
    """Write report.html; return its path."""
    from insideout.images.autoencoder import VAE_METRICS
    from insideout.recipes.report import Card, figure, write_report

    run = load(folder)
    result: dict[str, Any] = run.result() or {}
    cards = (
        Card("lost on the way", figure(result.get("test_error"), 5), "mean square per number, test pictures"),
        Card("time", duration(result.get("seconds")), f"{result.get('step', 0):,} steps"),
    )
    return write_report(
        run, together(VAE_METRICS, "pictures"), title="Pictures as latents",
        lead=f"{run.about['n_parameters']:,} parameters, at {run.about['scale']} scale.", cards=cards,
    )  # fmt: skip


STAGE = Stage(
    "vae", "A variational autoencoder: pictures as small latents, and back.", SETTINGS, make, load,
    sources=sources, free=("device", "checkpoint_every"), report=report,
)  # fmt: skip
