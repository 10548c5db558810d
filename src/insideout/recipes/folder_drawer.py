"""Pictures of the reader's own from noise: a diffusion transformer, trained by flow matching on a folder.

    photos/cats/1.png  photos/dogs/7.png     it is told which class to draw
    photos/1.png       photos/2.png          it is told nothing, and draws one of them all

Near copies are on one side of the cut only (data.pictures.by_content). Everything is checked before anything is
written. Beside model, curves and report a run keeps drawn.png, what it draws at its end, the same noise for the same
seed, and drawn.gif, how that came out of noise. Taught in book/5-from-noise-to-images/14_your_own_pictures.md.
"""

import base64
import dataclasses
from dataclasses import dataclass, field
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from insideout import files
from insideout.errors import BadInput
from insideout.images.config import DiTConfig
from insideout.recipes.job import Inputs, Job
from insideout.recipes.picture_model import Drawer, batches, begin_pictures, companions, pictures_of, read_pictures
from insideout.recipes.stage import Stage
from insideout.scales import Scale
from insideout.training.config import TrainConfig
from insideout.training.events import Event, Started
from insideout.training.metrics import together
from insideout.words import duration

if TYPE_CHECKING:
    from torch import Tensor, nn

    from insideout.data.pictures.labelled import Splits

SHEET, ANIMATION = "drawn.png", "drawn.gif"
SHOWN = 40
"""Pictures on the sheet, at most 10 classes in columns."""


@dataclass(frozen=True)
class FolderDrawerConfig:
    """Which pictures, how they become noise, the model's sizes, and how it is trained."""

    data: str = "digits"
    """The path of a folder of pictures, in folders by class or not; or digits, mnist, fashion-mnist."""
    size: int = 0
    """Pixels of a side: the square in the middle of each picture is drawn at it; 0: as the pictures are."""
    flip: bool = False
    """Mirror each picture or not, by a coin, each time it comes. Right for what has no left and right."""
    path_name: Literal["linear", "cosine", "vp"] = "linear"
    """The path from noise to data."""
    times: Literal["uniform", "logit_normal"] = "logit_normal"
    """At which times it is trained: evenly, or more often in the middle."""
    label_dropout: float = 0.1
    """Share of the pictures whose class is dropped, each by a coin of its own."""
    guidance: float = 1.5
    """How far towards the class the pictures on the sheet go."""
    device: Literal["auto", "cpu", "cuda", "mps"] = "auto"
    """Where to compute; auto takes an accelerator when there is one."""
    model: DiTConfig = field(default_factory=DiTConfig)
    """Its sizes; size, channels and n_classes are those of the pictures."""
    train: TrainConfig = field(default_factory=TrainConfig)
    """How it is trained."""

    def __post_init__(self) -> None:
        if not self.data:
            raise BadInput("data is empty: give the path of a folder of pictures.")
        if not 0 <= self.size <= 4096 or not 0 <= self.label_dropout <= 1:
            raise BadInput("size must lie between 0 and 4096, and label_dropout between 0 and 1.")
        if not -100 <= self.guidance <= 100:
            raise BadInput(f"guidance is {self.guidance}; it must lie between -100 and 100, and 1 is none.")


SETTINGS: dict[Scale, FolderDrawerConfig] = {
    "tiny": FolderDrawerConfig(
        model=DiTConfig(size=8, patch=4, d_model=32, n_layers=1, n_heads=2),
        train=TrainConfig(
            steps=40, batch_size=16, lr=3e-3, min_lr=3e-4, warmup_steps=5, optimizer="muon", precision="float32",
            ema_half_life=10.0, eval_every=20, checkpoint_every=20,
        ),
    ),
    "laptop": FolderDrawerConfig(
        model=DiTConfig(size=8, patch=2, d_model=96, n_layers=4, n_heads=4),
        train=TrainConfig(
            steps=1200, batch_size=64, lr=2e-3, min_lr=5e-5, warmup_steps=50, optimizer="muon", weight_decay=0.01,
            precision="float32", ema_half_life=100.0, eval_every=200, checkpoint_every=400,
        ),
    ),
    "gpu": FolderDrawerConfig(
        model=DiTConfig(size=64, channels=3, patch=4, d_model=384, n_layers=12, n_heads=6),
        train=TrainConfig(
            steps=30_000, batch_size=128, lr=5e-4, min_lr=1e-5, warmup_steps=500, optimizer="muon", weight_decay=0.01,
            compile=True, ema_half_life=1000.0, eval_every=1000, checkpoint_every=2000,
        ),
    ),
}  # fmt: skip


class FolderDrawer(Drawer):
    """A trained model that draws pictures such as were in a folder."""

    @property
    def n_classes(self) -> int:
        """Classes that it can be told to draw; 0 for a folder without folders in it."""
        return int(self.about["model"]["n_classes"])

    def splits(self) -> "Splits":
        """The pictures that it learned from and those held out. Raises BadInput where they are others by now."""
        found = own_pictures(self.config.data, self.config.size)
        if found["train"].fingerprint != self.about["data"]["fingerprint"]:
            raise BadInput(f"The pictures of {self.config.data} are not those that {self.path} learned from.")
        return found


@lru_cache(maxsize=2)
def own_pictures(data: str, size: int) -> "Splits":
    """The pictures of a folder, cut by what they show; those of a known name, and of IDX files, as they are cut."""
    from insideout.data.pictures.by_content import load_by_content
    from insideout.data.pictures.idx import NAMED

    path = Path() if data in ("digits", *NAMED) else files.expanded(data, "The folder of pictures")
    if data in ("digits", *NAMED) or path.is_file() or any(path.glob("*-images-idx3-ubyte*")):
        return pictures_of(data, size)
    return load_by_content(path, size or None)


def sources(config: FolderDrawerConfig) -> dict[str, str]:
    """The fingerprints of the pictures, split by split."""
    from insideout.data.pictures.named import fingerprint

    if config.data == "digits":
        return {"pictures": fingerprint("digits", config.size or None)}
    own_pictures.cache_clear()  # the folder may have changed
    return {name: each.fingerprint for name, each in own_pictures(config.data, config.size).items()}


def make(config: FolderDrawerConfig, inputs: Inputs, job: Job) -> None:
    """Train a diffusion transformer, draw with it, the result last."""
    import torch

    from insideout.images.dit import DiT
    from insideout.images.flow import FLOW_METRICS, flow_loss, held_out_loss
    from insideout.images.paths import PATHS
    from insideout.machine import choose_device
    from insideout.training import distributed
    from insideout.training.loop import train
    from insideout.training.objective import Objective

    device = distributed.start(choose_device(config.device))
    data = own_pictures(config.data, config.size)
    channels, height, width = data["train"].shape
    if height != width:
        raise BadInput(f"The pictures are {height} × {width}: the model draws squares; give a size.")
    n_classes = len(data["train"].names) if len(data["train"].names) > 1 else 0
    sizes = dataclasses.replace(config.model, size=height, channels=channels, n_classes=n_classes)
    torch.manual_seed(config.train.seed)
    model, path = DiT(sizes), PATHS[config.path_name]
    told = batches(data["train"], config.train, flipped if config.flip else None)

    def batch_at(step: int, micro_step: int) -> dict[str, Any]:
        batch = told(step, micro_step)
        return batch if n_classes else {"pictures": batch["pictures"]}

    def validate(model: "nn.Module") -> dict[str, float]:
        held_out = data["development"]
        labels = held_out.labels if n_classes else None
        return {"validation_loss": held_out_loss(model, held_out.pictures, labels, path)}

    def listen(event: Event) -> None:
        if isinstance(event, Started):
            begin_pictures(job, model, sizes, data, device)
        job.tell(event)

    result = train(
        model, Objective(flow_loss(path, config.times, config.label_dropout), FLOW_METRICS, counted="pictures"),
        batch_at, config.train, out=job.folder, validate=validate, on_event=listen,
        resume=job.resume and (job.folder / "checkpoints").is_dir(), device=device, companions=companions(sizes),
    )  # fmt: skip
    if distributed.is_main():
        write_drawn(load(job.folder), str(device))
        job.end(**dataclasses.asdict(result), **result.measured)
    distributed.barrier()


def flipped(pictures: "Tensor") -> "Tensor":
    """Each mirrored, left for right, or not, by a coin. (B, C, H, W) -> (B, C, H, W)"""
    import torch

    return torch.where(torch.rand(len(pictures), 1, 1, 1) < 0.5, pictures.flip(-1), pictures)


def write_drawn(run: FolderDrawer, device: str) -> None:
    """The sheet and the animation: a class a column, up to ten of them."""
    import torch

    from insideout.images.files import sheet, write_animation, write_png

    columns = min(10, run.n_classes) or 10
    labels = torch.arange(columns).repeat(SHOWN // columns) if run.n_classes else None
    guidance = run.config.guidance if run.n_classes else 1.0
    drawn = run.draw(labels, device, n=SHOWN, guidance=guidance, seed=run.config.train.seed, keep_trajectory=True)
    enlarged = max(1, -(-32 // run.shape[1]))
    write_png(sheet(drawn.x, columns, enlarged), run.path / SHEET)
    if drawn.trajectory is not None:
        write_animation([sheet(each, columns, enlarged) for each in drawn.trajectory], run.path / ANIMATION)


def load(folder: Path) -> FolderDrawer:
    """The model in a folder."""
    return read_pictures(FolderDrawer, folder, "folder_drawer", FolderDrawerConfig)


def report(folder: Path) -> Path:
    """Write report.html, with the pictures in it; return its path."""
    from insideout.images.flow import FLOW_METRICS
    from insideout.recipes.report import Card, Section, figure, write_report

    run = load(folder)
    result: dict[str, Any] = run.result() or {}
    averaged = "ema_validation_loss" if run.config.train.ema_half_life else "validation_loss"
    counts = run.about["data"].get("pictures", {})
    cards = (
        Card("held-out loss", figure(result.get(averaged), 3), "mean square per pixel, of the weights it draws with"),
        Card("pictures", f"{counts.get('train', 0):,}", f"learned from; {counts.get('development', 0):,} and "
             f"{counts.get('test', 0):,} held out"),
        Card("time", duration(result.get("seconds")), f"{result.get('step', 0):,} steps"),
    )  # fmt: skip
    shown = [
        f'<img src="data:image/{kind};base64,{base64.b64encode(files.content_of(folder / name)).decode()}" '
        f'alt="{words}" style="max-width: 100%; image-rendering: pixelated">'
        for name, kind, words in ((SHEET, "png", "drawn pictures"), (ANIMATION, "gif", "their way from noise"))
        if (folder / name).is_file()
    ]
    words = "A class a column, and the first ten classes." if run.n_classes else ""
    return write_report(
        run, together(FLOW_METRICS, "pictures"), title="Pictures from noise",
        lead=f"{run.about['n_parameters']:,} parameters, at {run.about['scale']} scale.", cards=cards,
        sections=[Section("What it draws, and how that came out of noise", " ".join(shown), words)] if shown else [],
    )  # fmt: skip


STAGE = Stage(
    "folder_drawer", "A diffusion transformer that draws pictures such as lie in a folder.", SETTINGS, make, load,
    sources=sources, free=("device", "checkpoint_every"), report=report,
)  # fmt: skip
