"""What a stage that learns from pictures leaves, and how to read it: model, curves, how it ended.

    config.json  metrics.jsonl  result.json  checkpoints/  report.html

And how such a stage goes through its pictures: all of them once before any comes again, in an order that seed and
epoch decide. Imports torch only when a model is asked for. Used from part 5 on.
"""

import dataclasses
import hashlib
import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

from insideout.errors import BadInput
from insideout.recipes.job import Job
from insideout.recipes.runs import FORMAT, check_types, read_object
from insideout.recipes.settings import from_dict
from insideout.recipes.trained_model import TrainedModel

if TYPE_CHECKING:
    from torch import Tensor, nn

    from insideout.data.pictures.labelled import Pictures, Splits
    from insideout.images.autoencoder import Autoencoder
    from insideout.images.classifier import Classifier
    from insideout.images.dit import DiT
    from insideout.images.solvers import Solution
    from insideout.training.config import TrainConfig

FACTS = {"stage": str, "n_parameters": int, "machine": str, "scale": str}
AUTOENCODER = "autoencoder.safetensors"
R = TypeVar("R", bound="PictureModel")


@dataclass(frozen=True)
class PictureModel(TrainedModel):
    """A model of pictures on disk. `read_pictures` checks the folder; so does everything that is asked of it."""

    @property
    def names(self) -> tuple[str, ...]:
        """Of the classes, by label."""
        return tuple(self.about["data"]["names"])

    @property
    def shape(self) -> tuple[int, int, int]:
        """(C, H, W) of a picture."""
        channels, height, width = self.about["data"]["shape"]
        return channels, height, width

    def splits(self) -> "Splits":
        """The pictures that it learned from and those held out. Raises BadInput where they are others by now."""
        found = pictures_of(self.config.data, self.config.size)
        if found["train"].fingerprint != self.about["data"]["fingerprint"]:
            raise BadInput(f"The pictures of {self.config.data} are not those that {self.path} learned from.")
        return found

    def _load(self, model: "nn.Module", sizes: Any, device: str, averaged: bool) -> None:
        """The newest weights into a model of these sizes, ready to be used."""
        from insideout.training import checkpoint

        newest = self.newest()
        checkpoint.check_companions(newest, checkpoint.load_state(newest), companions(sizes))
        checkpoint.load_into(newest, model, averaged)
        model.eval().to(device)


class PictureClassifier(PictureModel):
    """A trained classifier."""

    def model(self, device: str = "cpu") -> "Classifier":
        """It, ready to be used (dropout off)."""
        from insideout.images.classifier import Classifier, ClassifierConfig

        sizes: ClassifierConfig = from_dict(ClassifierConfig, self.about.get("model"), f"{self.path}, model")
        model = Classifier(sizes)
        self._load(model, sizes, device, averaged=False)
        return model


class Drawer(PictureModel):
    """A trained model that draws."""

    def model(self, device: str = "cpu", averaged: bool | None = None) -> "DiT":
        """It, ready to be used: its averaged weights, where an average was kept, unless said otherwise."""
        from insideout.images.config import DiTConfig
        from insideout.images.dit import DiT

        sizes: DiTConfig = from_dict(DiTConfig, self.about.get("model"), f"{self.path}, model")
        model = DiT(sizes)
        self._load(model, sizes, device, bool(self.config.train.ema_half_life) if averaged is None else averaged)
        return model

    def draw(self, labels: "Sequence[int] | Tensor | None", device: str = "cpu", **how: Any) -> "Solution":
        """Pictures of these classes, as insideout.images.flow.draw_pictures draws them."""
        from insideout.images.flow import draw_pictures

        return draw_pictures(self.model(device), labels, self.shape, **how)


class LatentDrawer(Drawer):
    """A trained model that draws latents, beside the autoencoder that makes pictures of them."""

    def autoencoder(self, device: str = "cpu") -> "Autoencoder":
        """The one whose latents it learned. Raises BadInput for another in its place."""
        from insideout.images.autoencoder import load_autoencoder

        file = self.path / AUTOENCODER
        if fingerprint_of(file) != self.about["autoencoder"]:
            raise BadInput(f"{file} is not the autoencoder whose latents were learned: its decoder reads others.")
        return load_autoencoder(file).to(device)

    def splits(self) -> "Splits":
        """The pictures whose latents it learned, and those held out. Raises BadInput where they are others by now."""
        found = pictures_of(**self.about["pictures"])
        if found["train"].fingerprint != self.about["data"]["fingerprint"]:
            raise BadInput(f"The pictures of {self.about['pictures']['data']} are not those of {self.path}.")
        return found

    def draw(self, labels: "Sequence[int] | Tensor | None", device: str = "cpu", **how: Any) -> "Solution":
        """Latents of these classes, drawn from noise and decoded; so is each step of their way, where it is kept."""
        from insideout.images.flow import draw_pictures

        autoencoder = self.autoencoder(device)
        drawn = draw_pictures(self.model(device), labels, autoencoder.config.latent_shape, **how)
        path = drawn.trajectory
        shown = None if path is None else autoencoder.decode(path.flatten(0, 1)).reshape(*path.shape[:2], *self.shape)
        return drawn._replace(x=autoencoder.decode(drawn.x), trajectory=shown)


def fingerprint_of(file: Path) -> str:
    """Of all that a file holds. Raises BadInput where it cannot be read."""
    from insideout import files

    return hashlib.sha256(files.content_of(file)).hexdigest()


def companions(sizes: Any) -> dict[str, str]:
    """What the weights are good for, by fingerprint: models of these sizes."""
    return {"model": hashlib.sha256(json.dumps(dataclasses.asdict(sizes), sort_keys=True).encode()).hexdigest()}


@lru_cache(maxsize=2)
def pictures_of(data: str, size: int) -> "Splits":
    """The pictures by name or path, kept; size 0: as they are."""
    from insideout.data.pictures.named import load_pictures

    return load_pictures(data, size or None)


def sources(config: Any) -> dict[str, str]:
    """The fingerprint of the pictures that a stage reads."""
    from insideout.data.pictures.named import fingerprint

    return {"pictures": fingerprint(config.data, config.size or None)}


def begin_pictures(job: Job, model: "nn.Module", sizes: Any, data: "Splits", device: Any, **facts: Any) -> None:
    """All is checked: config.json says what is being made."""
    import torch

    from insideout.machine import accelerator, machine

    train = data["train"]
    job.begin(
        model=dataclasses.asdict(sizes), n_parameters=sum(each.numel() for each in model.parameters()),
        machine=machine(accelerator(device)), threads=torch.get_num_threads(),
        data={
            "shape": list(train.shape), "names": list(train.names), "fingerprint": train.fingerprint,
            "pictures": {name: len(each) for name, each in data.items()},
        },
        **facts,
    )  # fmt: skip


def batches(
    pictures: "Pictures", config: "TrainConfig", changed: "Callable[[Tensor], Tensor] | None" = None
) -> Callable[[int, int], dict[str, Any]]:
    """The batch of a step, {pictures, labels}: each picture once before any comes again; then perhaps `changed`."""
    import torch

    from insideout.training import distributed

    n = len(pictures)

    @lru_cache(maxsize=2)
    def order(epoch: int) -> Any:
        return torch.randperm(n, generator=torch.Generator().manual_seed((config.seed + 1) * 1_000_003 + epoch))

    def batch_at(step: int, micro_step: int) -> dict[str, Any]:
        place = (step * config.accumulation + micro_step) * distributed.data_ranks(config.parallel)
        first = (place + distributed.data_rank(config.parallel)) * config.batch_size
        rows = torch.stack([order(at // n)[at % n] for at in range(first, first + config.batch_size)])
        chosen = pictures.pictures[rows]
        return {"pictures": chosen if changed is None else changed(chosen), "labels": pictures.labels[rows]}

    return batch_at


def read_pictures(kind: type[R], folder: Path, stage: str, settings: type[Any]) -> R:
    """The result of a stage in a folder, as its kind. Raises BadInput where the folder holds none, or a damaged one."""
    file = folder / "config.json"
    if not file.is_file():
        raise BadInput(f"There is no run in {folder}: give the folder of one.")
    about = read_object(file)
    if about.get("format") != FORMAT or about.get("stage") != stage:
        raise BadInput(f"{file} is damaged or not of a run of {stage}: choose another folder.")
    check_types(about, FACTS, file, needed=FACTS)
    check_types(about.get("data"), {"shape": list[int], "names": list[str], "fingerprint": str}, file,
                needed=("shape", "names", "fingerprint"))  # fmt: skip
    if len(about["data"]["shape"]) != 3 or min(about["data"]["shape"]) < 1:
        raise BadInput(f"{file} is damaged: the shape of its pictures is {about['data']['shape']}. Restore it.")
    return kind(folder, about, from_dict(settings, about.get("config"), str(file)))
