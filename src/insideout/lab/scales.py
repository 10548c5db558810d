"""The three scales, and what pretraining means at each. All of its numbers stand in this one table.

    tiny     seconds, for tests          laptop   minutes on two cores, what the book's claims are about
    gpu      one accelerator or several

`INSIDEOUT_SCALE` chooses, else laptop. Imports no torch.
"""

import os
from typing import Literal, get_args

from insideout.errors import BadInput
from insideout.lab.config import PretrainConfig
from insideout.training.config import TrainConfig
from insideout.transformer.config import GPTConfig

Scale = Literal["tiny", "laptop", "gpu"]
SCALES: tuple[Scale, ...] = get_args(Scale)


def scale() -> Scale:
    """The scale at which everything runs: INSIDEOUT_SCALE, else laptop."""
    return to_scale(os.environ.get("INSIDEOUT_SCALE") or "laptop", "INSIDEOUT_SCALE")


def to_scale(name: str, where: str = "--scale") -> Scale:
    """A scale by name. Raises BadInput for another word."""
    if name not in SCALES:
        raise BadInput(f"{where} is {name!r}; it must be one of {', '.join(SCALES)}.")
    return name


PRETRAIN: dict[Scale, PretrainConfig] = {
    "tiny": PretrainConfig(
        validation_tokens=2048,
        sample_tokens=24,
        model=GPTConfig(vocab_size=512, context_length=32, d_model=32, n_layers=2, n_heads=2),
        train=TrainConfig(
            steps=40, batch_size=8, lr=3e-3, min_lr=3e-4, warmup_steps=5, optimizer="muon", precision="float32",
            eval_every=20, checkpoint_every=20,
        ),
    ),
    "laptop": PretrainConfig(
        model=GPTConfig(vocab_size=2048, context_length=256, d_model=192, n_layers=4, n_heads=6),
        train=TrainConfig(
            steps=400, batch_size=8, lr=3e-3, min_lr=1e-4, warmup_steps=20, optimizer="muon", eval_every=50,
            checkpoint_every=200,
        ),
    ),
    "gpu": PretrainConfig(
        validation_tokens=131_072,
        sample_tokens=128,
        model=GPTConfig(vocab_size=8192, context_length=1024, d_model=768, n_layers=12, n_heads=12),
        train=TrainConfig(
            steps=5000, batch_size=32, accumulation=4, lr=1e-3, min_lr=1e-4, warmup_steps=200, optimizer="muon",
            compile=True, eval_every=250, checkpoint_every=1000,
        ),
    ),
}  # fmt: skip


def pretrain_config(at: Scale | None = None) -> PretrainConfig:
    """The settings of the `pretrain` recipe at a scale (default: the present one)."""
    return PRETRAIN[at or scale()]
