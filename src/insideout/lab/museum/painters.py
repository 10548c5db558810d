"""Small runs of the stages that paint, each with or without a fault: digits of 8 × 8 pixels from noise, in seconds.

    digits_drawer    a diffusion transformer that is told which digit to draw
    latent_drawer    the same, of the latents of an autoencoder that was trained without a fault
    vae              the autoencoder
    clip             words and pictures in one space

Each is the stage of its name, with small settings, and leaves its files. Beside them lies drawn.json: some of what it
painted, and numbers that no loss tells. A picture is judged by the nearest digit of the training set: a judge that
needs no training. Used in book/5-from-noise-to-images/12_few_steps.md, by the broken painters of part 5.
"""

import json
import tempfile
from collections.abc import Callable, Mapping
from dataclasses import replace
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

from insideout import files
from insideout.images.autoencoder_config import AutoencoderConfig
from insideout.images.config import DiTConfig
from insideout.recipes import clip, digits_drawer, latent_drawer, vae
from insideout.recipes.job import Job
from insideout.scales import Scale
from insideout.training.config import TrainConfig

if TYPE_CHECKING:
    from torch import Tensor

KINDS = ("digits_drawer", "latent_drawer", "vae", "clip")
DRAWN = "drawn.json"
STEPS: dict[str, dict[str, int]] = {
    "tiny": {"digits_drawer": 12, "latent_drawer": 12, "vae": 12, "clip": 8, "begun": 12},
    "laptop": {"digits_drawer": 240, "latent_drawer": 240, "vae": 150, "clip": 120, "begun": 300},
}
"""Updates of each kind of run, and of the autoencoder whose latents are drawn."""
N_DRAWN = {"tiny": 10, "laptop": 100}
"""Pictures that are judged."""
GUIDANCE, DRAWING_STEPS = 3.0, 8
"""How strongly the second row is guided, and the steps of Heun's solver."""


def train_config(steps: int, lr: float, batch_size: int, seed: int, **more: Any) -> TrainConfig:
    """How a run is trained."""
    return TrainConfig(
        steps=steps, batch_size=batch_size, lr=lr, min_lr=lr / 20, warmup_steps=min(20, steps // 2), weight_decay=0.0,
        precision="float32", eval_every=max(1, steps // 8), checkpoint_every=0, seed=seed, **more,
    )  # fmt: skip


def settings(kind: str, seed: int, at: Scale) -> Any:
    """A run's settings, of the class that the stage of its name has."""
    small = at == "tiny"
    steps = STEPS["tiny" if small else "laptop"][kind]
    average = {"ema_half_life": max(2.0, steps / 20)}
    if kind in ("digits_drawer", "latent_drawer"):
        pixels = kind == "digits_drawer"
        model = DiTConfig(
            size=8 if pixels else 4, channels=1 if pixels else 2, patch=4 if pixels else 2,
            d_model=16 if small else 96, n_layers=1, n_heads=2 if small else 4, n_classes=10,
        )  # fmt: skip
        train = train_config(steps, 1e-2, 16 if small else 48, seed, **average)
        if pixels:
            return digits_drawer.DigitsDrawerConfig(model=model, train=train)
        return latent_drawer.LatentDrawerConfig(model=model, train=train)
    if kind == "vae":
        sizes = AutoencoderConfig(size=8, channels=1, width=8, n_halvings=1, latent_channels=2)
        return vae.VAEConfig(beta=0.01, model=sizes, train=train_config(steps, 1e-2, 16 if small else 32, seed))
    return clip.CLIPRecipeConfig(
        size=16, patch=4, d_model=16 if small else 32, n_layers=1, n_heads=2, d_common=16, pairs=16 if small else 64,
        train=train_config(steps, 4e-3, 16 if small else 32, seed, optimizer="muon", clip=20.0),
    )  # fmt: skip


def begun(kind: str, at: Scale) -> Any:
    """What a run of this kind goes on from, made without a fault."""
    return sound_vae(at) if kind == "latent_drawer" else None


@lru_cache(maxsize=2)
def sound_vae(at: Scale) -> Any:
    """An autoencoder whose latents are left as large as they like: a small price of KL, as large models have it."""
    folder = Path(tempfile.mkdtemp(prefix="insideout-museum-"))
    config = settings("vae", 1, at)
    train = replace(config.train, steps=STEPS["tiny" if at == "tiny" else "laptop"]["begun"])
    config = replace(config, beta=1e-5, train=train)
    vae.make(config, {}, Job(folder, config, lambda event: None, at, stage="vae"))
    return vae.load(folder)


def drawer(config: Any, begun: Any, job: Job, at: Scale) -> None:
    """Digits from noise."""
    digits_drawer.make(config, {}, job)
    paint(digits_drawer.load(job.folder), job, at, {})


def latents(config: Any, begun: Any, job: Job, at: Scale) -> None:
    """Digits from noise, by latents."""
    latent_drawer.make(config, {"vae": begun}, job)
    run = latent_drawer.load(job.folder)
    learned = run.autoencoder().encode(run.splits()["train"].pictures)
    paint(run, job, at, {"latent_deviation": float(learned.std())})


def paint(run: Any, job: Job, at: Scale, found: dict[str, float]) -> None:
    """Draw with what was learned, with guidance and without, and judge it."""
    n = N_DRAWN["tiny" if at == "tiny" else "laptop"]
    labels = [i % 10 for i in range(n)]
    rows = []
    for name, w in (("plain", 1.0), ("guided", GUIDANCE)):
        drawn = run.draw(labels, n_steps=DRAWING_STEPS, guidance=w).x
        found |= {f"{name}_{key}": value for key, value in judged(drawn, labels).items()}
        rows.append(drawn[:10])
    keep(job, found, {"drawn": rows[0], f"guidance {GUIDANCE:g}": rows[1]})


def autoencoder(config: Any, begun: Any, job: Job, at: Scale) -> None:
    """An autoencoder: what comes back of digits, and what is made of noise."""
    import torch

    vae.make(config, {}, job)
    run = vae.load(job.folder)
    model, test = run.model(), run.splits()["test"]
    n = N_DRAWN["tiny" if at == "tiny" else "laptop"]
    back = model.decode(model.encode(test.pictures[:n]))
    noise = torch.randn(n, *model.config.latent_shape, generator=torch.Generator().manual_seed(0))
    made = model.decode(noise)
    found = {
        "error": float((back - test.pictures[:n]).square().mean()),
        "named_right": judged(back, test.labels[:n].tolist())["named_right"], "from_noise": judged(made, [])["apart"],
    }  # fmt: skip
    keep(job, found, {"a digit": test.pictures[:10], "and back": back[:10], "of noise": made[:10]})


def matcher(config: Any, begun: Any, job: Job, at: Scale) -> None:
    """Words and pictures in one space."""
    clip.make(config, {}, job)
    keep(job, {}, {})


@lru_cache(maxsize=1)
def real_digits() -> Any:
    """What pictures are judged by, whatever is broken."""
    from insideout.data.pictures.digits import load_digits

    return load_digits()["train"]


def judged(pictures: "Tensor", labels: list[int]) -> dict[str, float]:
    """How like digits pictures are. apart: the root mean square from the nearest training digit, a pixel, mean.

    named_right: of how many it is of the class that was asked for. ink: the mean of all pixels, -1 is paper.
    """
    import torch

    known = real_digits()
    seen = pictures.clamp(-1, 1)  # as a screen shows it
    apart, nearest = torch.cdist(seen.flatten(1), known.pictures.flatten(1)).min(1)
    found = {"apart": float(apart.mean()) / seen[0].numel() ** 0.5, "ink": float(seen.mean())}
    if labels:
        found["named_right"] = float((known.labels[nearest] == torch.tensor(labels)).float().mean())
    return found


def keep(job: Job, found: Mapping[str, float], pictures: "Mapping[str, Tensor]") -> None:
    """Write what was painted beside the files of the run."""
    from insideout.data.pictures.labelled import to_bytes

    rows = {name: to_bytes(each)[:, 0].tolist() for name, each in pictures.items()}
    files.save(job.folder / DRAWN, json.dumps({"found": dict(found), "pictures": rows}) + "\n")


RUNS: dict[str, Callable[[Any, Any, Job, Scale], None]] = {
    "digits_drawer": drawer, "latent_drawer": latents, "vae": autoencoder, "clip": matcher,
}  # fmt: skip
