"""Scenes from sentences: a diffusion transformer that reads a caption word by word, trained by flow matching.

    stream of (caption, picture)  ->  painter          "a red circle above a blue square"  ->  the picture

Pictures are made while it trains and none comes twice. Combinations of things are held out, so that what it is tested
on was never seen put together, and every picture that it draws is read and judged by rule (data.pictures.checker). A
caption is dropped one time in ten, so that it can be guided. What is drawn with are the averaged weights.
"""

import dataclasses
import hashlib
import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from insideout.data.pictures.captions import LONGEST, VOCABULARY
from insideout.data.suite import Split
from insideout.errors import BadInput
from insideout.images.config import DiTConfig
from insideout.recipes.job import Inputs, Job
from insideout.recipes.picture_model import PictureModel, companions, read_pictures
from insideout.recipes.settings import from_dict
from insideout.recipes.stage import Stage
from insideout.scales import Scale
from insideout.training.config import TrainConfig
from insideout.training.events import Event, Started
from insideout.training.metrics import Metric, together
from insideout.words import duration

if TYPE_CHECKING:
    from torch import Tensor, nn

    from insideout.data.pictures.captions import Caption
    from insideout.images.painter import Painter


@dataclass(frozen=True)
class ScenesDrawerConfig:
    """The pictures' size, the models' sizes, and how they are trained."""

    time_mean: float = -0.5
    """At which times it is trained, logit-normal: the mean, below 0 nearer the noise,"""
    time_deviation: float = 1.2
    """and the deviation."""
    caption_dropout: float = 0.1
    """Share of the pictures whose caption is dropped, each by a coin of its own."""
    word_layers: int = 2
    """Layers of the encoder of words."""
    word_heads: int = 4
    """Its heads of attention."""
    questions: int = 100
    """Development captions that are drawn and judged along the way."""
    steps_drawn: int = 10
    """Steps of Heun's method with which they are drawn,"""
    guidance: float = 2.0
    """and how far towards the caption."""
    device: Literal["auto", "cpu", "cuda", "mps"] = "auto"
    """Where to compute; auto takes an accelerator when there is one."""
    model: DiTConfig = field(default_factory=lambda: DiTConfig(channels=3, text_width=64))
    """Sizes of the model that draws; text_width is the width of a word's vector."""
    train: TrainConfig = field(default_factory=TrainConfig)
    """How it is trained."""

    def __post_init__(self) -> None:
        if not 0 <= self.caption_dropout <= 1:
            raise BadInput(f"caption_dropout is {self.caption_dropout}; it must lie between 0 and 1.")
        if not (math.isfinite(self.time_mean) and 0 < self.time_deviation < math.inf):
            raise BadInput("time_mean must be a number, and time_deviation one above 0.")
        if self.questions < 2 or self.steps_drawn < 1:
            raise BadInput("questions must be at least 2, and steps_drawn at least 1.")
        if self.model.channels != 3 or not self.model.text_width or self.model.n_classes:
            raise BadInput(
                "A scene has 3 channels, and a text says what it shows: channels 3, n_classes 0, a text_width."
            )
        if not 16 <= self.model.size <= 128:
            raise BadInput(f"size is {self.model.size}; a scene has 16 to 128 pixels a side.")


SETTINGS: dict[Scale, ScenesDrawerConfig] = {
    "tiny": ScenesDrawerConfig(
        questions=4, steps_drawn=2, word_layers=1, word_heads=2,
        model=DiTConfig(size=16, channels=3, patch=4, d_model=32, n_layers=1, n_heads=2, text_width=16),
        train=TrainConfig(
            steps=20, batch_size=8, lr=3e-3, min_lr=3e-4, warmup_steps=5, optimizer="muon", precision="float32",
            ema_half_life=5.0, eval_every=10, checkpoint_every=10,
        ),
    ),
    "laptop": ScenesDrawerConfig(
        questions=60, word_layers=1,
        model=DiTConfig(size=24, channels=3, patch=8, d_model=64, n_layers=4, n_heads=4, text_width=64),
        train=TrainConfig(
            steps=1200, batch_size=32, lr=2e-3, min_lr=5e-5, warmup_steps=50, optimizer="muon", weight_decay=0.01,
            precision="float32", ema_half_life=50.0, eval_every=600, checkpoint_every=100,
        ),
    ),
    "gpu": ScenesDrawerConfig(
        questions=500, steps_drawn=20, word_layers=4,
        model=DiTConfig(size=32, channels=3, patch=2, d_model=384, n_layers=12, n_heads=6, text_width=256),
        train=TrainConfig(
            steps=30_000, batch_size=256, lr=5e-4, min_lr=1e-5, warmup_steps=500, optimizer="muon", weight_decay=0.01,
            compile=True, ema_half_life=1000.0, eval_every=2000, checkpoint_every=2000,
        ),
    ),
}  # fmt: skip

METRICS = (
    Metric("loss", "training loss", unit="per number of a picture", section="Loss"),
    Metric("validation_loss", "held-out loss", section="Loss", words="Of scenes whose combinations are held out."),
    Metric("loss_near_noise", "loss at t below ½", section="Loss by time"),
    Metric("loss_near_data", "loss at t from ½", section="Loss by time"),
    Metric("correct", "pictures in which all is right", unit="%", section="Development captions", better="higher",
           words="Captions whose combinations are held out, drawn and read by rule."),
    Metric("shape", "pictures whose shapes are right", unit="%", section="Development captions", better="higher"),
    Metric("colour", "pictures whose colours are right", unit="%", section="Development captions", better="higher"),
    Metric("relation", "pairs that stand as they should", unit="%", section="Development captions", better="higher"),
)  # fmt: skip


class SceneDrawer(PictureModel):
    """A trained model that draws what a sentence says."""

    def model(self, device: str = "cpu", averaged: bool | None = None) -> "Painter":
        """It, ready to be used: its averaged weights, where an average was kept, unless said otherwise."""
        sizes: DiTConfig = from_dict(DiTConfig, self.about.get("model"), f"{self.path}, model")
        model = painter(self.config, sizes)
        self._load(model, sizes, device, bool(self.config.train.ema_half_life) if averaged is None else averaged)
        return model


def painter(config: ScenesDrawerConfig, sizes: DiTConfig) -> "Painter":
    """A new model of these sizes."""
    from insideout.images.painter import Painter
    from insideout.images.text_encoder import CLIPConfig

    words = CLIPConfig(
        vocab_size=len(VOCABULARY), length=LONGEST, d_model=sizes.text_width, n_layers=config.word_layers,
        n_heads=config.word_heads,
    )  # fmt: skip
    return Painter(sizes, words)


def batches(config: ScenesDrawerConfig) -> Callable[[int, int], dict[str, Any]]:
    """The batch of a step, {pictures, ids}: scenes of the training split that are made for it alone."""
    import torch

    from insideout.data.pictures.captions import encode
    from insideout.data.pictures.scenes import scenes
    from insideout.training import distributed

    train = config.train

    def batch_at(step: int, micro_step: int) -> dict[str, Any]:
        place = (step * train.accumulation + micro_step) * distributed.data_ranks(train.parallel)
        seed = (train.seed + 1) * 1_000_003 + place + distributed.data_rank(train.parallel)
        made = scenes("train", train.batch_size, seed, config.model.size)
        ids = torch.tensor(encode(made.captions))  # (B, L)
        silent = torch.rand(len(ids), generator=torch.Generator().manual_seed(seed)) < config.caption_dropout
        return {"pictures": made.pictures, "ids": torch.where(silent[:, None], 0, ids)}

    return batch_at


def judged(captions: "Sequence[Caption]", pictures: "Tensor") -> dict[str, list[bool]]:
    """What is right about each picture, part by part; of those whose caption speaks of the part."""
    from insideout.data.pictures.checker import PARTS, judge

    verdicts = [judge(caption, picture) for caption, picture in zip(captions, pictures, strict=True)]
    return {part: [bool(each[part]) for each in verdicts if each[part] is not None] for part in PARTS}


def drawn_and_judged(
    model: "Painter", split: Split, n: int, *, n_steps: int, guidance: float, seed: int = 0
) -> dict[str, list[bool]]:
    """Draw the first n captions of a split, and judge them, part by part."""
    from itertools import islice

    from insideout.data.pictures.scenes import stream
    from insideout.images.painter import draw_captions

    captions = [caption for caption, _ in islice(stream(split, seed + 1_000_000), n)]
    return judged(captions, draw_captions(model, captions, n_steps=n_steps, guidance=guidance, seed=seed).x)


def held_out_loss(model: "nn.Module", config: ScenesDrawerConfig, n: int = 256) -> float:
    """The loss on scenes of development, at times spread evenly from 0 nearly to 1, with the same noise each time."""
    import torch

    from insideout.data.pictures.captions import encode
    from insideout.data.pictures.scenes import scenes
    from insideout.images.flow import squared_error
    from insideout.images.painter import NEAREST
    from insideout.images.paths import LINEAR

    made, generator = scenes("development", n, 0, config.model.size), torch.Generator().manual_seed(0)
    noise = torch.randn(made.pictures.shape, generator=generator)
    t = (1 - NEAREST) * (torch.randperm(n, generator=generator) + 0.5) / n
    device = next(model.parameters()).device
    data, noise, t, ids = (each.to(device) for each in (made.pictures, noise, t, torch.tensor(encode(made.captions))))
    with torch.no_grad():
        return float(squared_error(model, data, noise, t, LINEAR, {"ids": ids}).mean())


def make(config: ScenesDrawerConfig, inputs: Inputs, job: Job) -> None:
    """Train a model that draws what it is told, the result last."""
    from statistics import fmean

    import torch

    from insideout.images.painter import painter_loss
    from insideout.machine import accelerator, choose_device, machine
    from insideout.training import distributed
    from insideout.training.loop import train
    from insideout.training.objective import Objective

    device = distributed.start(choose_device(config.device))
    torch.manual_seed(config.train.seed)
    model, sizes = painter(config, config.model), config.model

    def validate(model: Any) -> dict[str, float]:
        found = drawn_and_judged(
            model, "development", config.questions, n_steps=config.steps_drawn, guidance=config.guidance
        )
        shares = {part: fmean(found[part]) for part in ("correct", "shape", "colour", "relation") if found[part]}
        return {"validation_loss": held_out_loss(model, config)} | shares

    def listen(event: Event) -> None:
        if isinstance(event, Started):
            words = "\n".join(VOCABULARY)
            job.begin(
                model=dataclasses.asdict(sizes), n_parameters=model.n_parameters,
                machine=machine(accelerator(device)), threads=torch.get_num_threads(),
                data={
                    "shape": [3, sizes.size, sizes.size], "names": list(VOCABULARY),
                    "fingerprint": hashlib.sha256(words.encode()).hexdigest(),
                },
            )  # fmt: skip
        job.tell(event)

    result = train(
        model, Objective(painter_loss(config.time_mean, config.time_deviation), METRICS, counted="pictures"),
        batches(config), config.train,
        out=job.folder, validate=validate, on_event=listen,
        resume=job.resume and (job.folder / "checkpoints").is_dir(), device=device, companions=companions(sizes),
    )  # fmt: skip
    if distributed.is_main():
        job.end(**dataclasses.asdict(result), **result.measured)
    distributed.barrier()


def load(folder: Path) -> SceneDrawer:
    """The model in a folder."""
    return read_pictures(SceneDrawer, folder, "scenes_drawer", ScenesDrawerConfig)


def report(folder: Path) -> Path:
    """Write report.html; return its path."""
    from insideout.recipes.report import Card, figure, write_report

    run = load(folder)
    result: dict[str, Any] = run.result() or {}

    def percent(name: str) -> str:
        found = result.get(f"ema_{name}", result.get(name))
        return figure(None if found is None else 100 * found, 0) + " %"

    cards = (
        Card("all right", percent("correct"), "of development captions, whose combinations are held out"),
        Card("shapes right", percent("shape"), "of these"),
        Card("time", duration(result.get("seconds")), f"{result.get('step', 0):,} steps"),
    )
    return write_report(
        run, together(METRICS, "pictures"), title="Scenes from sentences",
        lead=f"{run.about['n_parameters']:,} parameters, at {run.about['scale']} scale.", cards=cards,
    )  # fmt: skip


STAGE = Stage(
    "scenes_drawer", "A diffusion transformer that draws what a sentence says.", SETTINGS, make, load,
    free=("device", "checkpoint_every"), report=report,
)  # fmt: skip
