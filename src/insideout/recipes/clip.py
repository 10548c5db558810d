"""Words and pictures in one space: two encoders that learn, from scenes with their captions, which belong together.

    stream of (caption, picture)  ->  CLIP          a table of how well each picture fits each caption

Pairs are made while it trains and none comes twice. Combinations of things are held out: of these, pairs of development
are looked at on the way, and those of the test at the end. Used in part 5.
"""

import dataclasses
import hashlib
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from insideout.data.pictures.captions import LONGEST, VOCABULARY
from insideout.data.suite import Split
from insideout.errors import BadInput
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
    from insideout.images.text_encoder import CLIP


@dataclass(frozen=True)
class CLIPRecipeConfig:
    """The encoders' sizes, and how they are trained."""

    size: int = 24
    """Pixels of a scene's side."""
    patch: int = 8
    """Pixels of a patch's side."""
    d_model: int = 64
    """Width of a word's and of a patch's vector."""
    n_layers: int = 2
    """Layers of each encoder."""
    n_heads: int = 4
    """Heads of attention."""
    d_common: int = 32
    """Width of the space that both lie in."""
    pairs: int = 128
    """Held-out pairs that are told from each other."""
    device: Literal["auto", "cpu", "cuda", "mps"] = "auto"
    """Where to compute; auto takes an accelerator when there is one."""
    train: TrainConfig = field(default_factory=TrainConfig)
    """How they are trained; batch_size is how many pairs are told from each other."""

    def __post_init__(self) -> None:
        if self.pairs < 2 or self.train.batch_size < 2:
            raise BadInput("pairs and batch_size must be at least 2: a pair is told from others.")
        if self.train.accumulation != 1:
            raise BadInput(
                "accumulation must be 1: the pairs of a batch are told from each other, so that parts of a batch are "
                "an easier task than the whole."
            )
        if not 16 <= self.size <= 128 or self.patch < 1 or self.size % self.patch:
            raise BadInput(
                f"size is {self.size}; it must lie between 16 and 128, and be divisible by patch {self.patch}."
            )


SETTINGS: dict[Scale, CLIPRecipeConfig] = {
    "tiny": CLIPRecipeConfig(
        size=16, patch=4, d_model=16, n_layers=1, n_heads=2, d_common=8, pairs=16,
        train=TrainConfig(
            steps=30, batch_size=16, lr=3e-3, min_lr=3e-4, warmup_steps=5, precision="float32", eval_every=15,
            checkpoint_every=15,
        ),
    ),
    "laptop": CLIPRecipeConfig(
        train=TrainConfig(
            steps=300, batch_size=64, lr=2e-3, min_lr=2e-5, warmup_steps=30, optimizer="muon", weight_decay=0.01,
            precision="float32", eval_every=100, checkpoint_every=300,
        ),
    ),
    "gpu": CLIPRecipeConfig(
        size=48, d_model=256, n_layers=6, n_heads=8, d_common=128, pairs=512,
        train=TrainConfig(
            steps=10_000, batch_size=1024, lr=1e-3, min_lr=1e-5, warmup_steps=200, weight_decay=0.01, eval_every=500,
            checkpoint_every=1000,
        ),
    ),
}  # fmt: skip


class Matcher(PictureModel):
    """A trained model that says how well a picture fits a caption."""

    def model(self, device: str = "cpu") -> "CLIP":
        """It, ready to be used."""
        from insideout.images.text_encoder import CLIP, CLIPConfig

        sizes: CLIPConfig = from_dict(CLIPConfig, self.about.get("model"), f"{self.path}, model")
        model = CLIP(sizes)
        self._load(model, sizes, device, averaged=False)
        return model


def batches(train: TrainConfig, size: int) -> Callable[[int, int], dict[str, Any]]:
    """The batch of a step, {pictures, ids}: pairs of the training split that are made for it alone."""
    import torch

    from insideout.data.pictures.captions import encode
    from insideout.data.pictures.scenes import scenes
    from insideout.training import distributed

    def batch_at(step: int, micro_step: int) -> dict[str, Any]:
        place = step * distributed.data_ranks(train.parallel) + distributed.data_rank(train.parallel)
        made = scenes("train", train.batch_size, (train.seed + 1) * 1_000_003 + place, size)
        return {"pictures": made.pictures, "ids": torch.tensor(encode(made.captions))}

    return batch_at


def told_apart(model: "CLIP", split: Split, n: int, seed: int = 0) -> dict[str, float]:
    """Of n pairs of a split: the loss, and the shares of pictures and of captions that find each other."""
    import torch

    from insideout.data.pictures.captions import encode
    from insideout.data.pictures.scenes import scenes
    from insideout.images.text_encoder import clip_loss

    made, device = scenes(split, n, seed, model.config.size), next(model.parameters()).device
    batch = {"pictures": made.pictures.to(device), "ids": torch.tensor(encode(made.captions), device=device)}
    with torch.no_grad():
        loss, _, found = clip_loss(model, batch)
    return {
        "validation_loss": float(loss) / n,
        "validation_finds_caption": float(found["finds_caption"]) / n,
        "validation_finds_picture": float(found["finds_picture"]) / n,
    }


def make(config: CLIPRecipeConfig, inputs: Inputs, job: Job) -> None:
    """Train both encoders, the result last."""
    import torch

    from insideout.images.text_encoder import CLIP, CLIP_METRICS, CLIPConfig, clip_loss
    from insideout.machine import accelerator, choose_device, machine
    from insideout.training import distributed
    from insideout.training.loop import train
    from insideout.training.objective import Objective

    device = distributed.start(choose_device(config.device))
    torch.manual_seed(config.train.seed)
    sizes = CLIPConfig(
        vocab_size=len(VOCABULARY), length=LONGEST, size=config.size, patch=config.patch, d_model=config.d_model,
        n_layers=config.n_layers, n_heads=config.n_heads, d_common=config.d_common,
    )  # fmt: skip
    model = CLIP(sizes)

    def validate(model: Any) -> dict[str, float]:
        return told_apart(model, "development", config.pairs)

    def listen(event: Event) -> None:
        if isinstance(event, Started):
            job.begin(
                model=dataclasses.asdict(sizes), n_parameters=sum(each.numel() for each in model.parameters()),
                machine=machine(accelerator(device)), threads=torch.get_num_threads(),
                data={
                    "shape": [3, sizes.size, sizes.size], "names": list(VOCABULARY),
                    "fingerprint": hashlib.sha256("\n".join(VOCABULARY).encode()).hexdigest(),
                },
            )  # fmt: skip
        job.tell(event)

    result = train(
        model, Objective(clip_loss, (*CLIP_METRICS, *HELD_OUT), counted="pairs"), batches(config.train, config.size),
        config.train, out=job.folder, validate=validate, on_event=listen,
        resume=job.resume and (job.folder / "checkpoints").is_dir(), device=device, companions=companions(sizes),
    )  # fmt: skip
    if distributed.is_main():
        model.eval()
        job.end(
            **dataclasses.asdict(result), **result.measured, temperature=float(model.temperature.detach()),
            **{f"test_{name.removeprefix('validation_')}": found
               for name, found in told_apart(model, "test", config.pairs).items()},
        )  # fmt: skip
    distributed.barrier()


HELD_OUT = (
    Metric("validation_finds_caption", "held-out pictures that find their caption", unit="%",
           section="Retrieval of held-out pairs", better="higher"),
    Metric("validation_finds_picture", "held-out captions that find their picture", unit="%",
           section="Retrieval of held-out pairs", better="higher"),
)  # fmt: skip


def load(folder: Path) -> Matcher:
    """The model in a folder."""
    return read_pictures(Matcher, folder, "clip", CLIPRecipeConfig)


def report(folder: Path) -> Path:
    """Write report.html; return its path."""
    from insideout.images.text_encoder import CLIP_METRICS
    from insideout.recipes.report import Card, figure, write_report

    run = load(folder)
    result: dict[str, Any] = run.result() or {}

    def percent(name: str) -> str:
        found = result.get(name)
        return figure(None if found is None else 100 * found, 0) + " %"

    cards = (
        Card("find their caption", percent("test_finds_caption"), f"of {run.config.pairs} test pictures"),
        Card("find their picture", percent("test_finds_picture"), f"of {run.config.pairs} test captions"),
        Card("time", duration(result.get("seconds")), f"{result.get('step', 0):,} steps"),
    )
    return write_report(
        run, together((*CLIP_METRICS, *HELD_OUT), "pairs"), title="Words and pictures in one space",
        lead=f"{run.about['n_parameters']:,} parameters, at {run.about['scale']} scale.", cards=cards,
    )  # fmt: skip


STAGE = Stage(
    "clip", "Two encoders that say how well a picture fits a caption.", SETTINGS, make, load,
    free=("device", "checkpoint_every"), report=report,
)  # fmt: skip
