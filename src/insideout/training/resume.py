"""What a run must remember to go on as if it had never stopped, and the checks that it may.

Every random choice of a step is seeded by (seed, step), so there is no generator to save: weights, the optimizers'
state, the step's number and the number format are all there is. It may go on with another number of processes and
another way of joining them; batch_size and accumulation may then change too, if an update has as many sequences.
"""

import hashlib
from dataclasses import dataclass, fields
from pathlib import Path

from torch import nn

from insideout.errors import BadInput
from insideout.training import checkpoint, precision, shards
from insideout.training.config import TrainConfig
from insideout.training.distributed import data_ranks
from insideout.training.optimizers import Optimizers

MAY_CHANGE = ("steps", "eval_every", "checkpoint_every", "early_stop_patience", "compile", "precision", "parallel")
"""Settings that a resumed run may change. A changed `steps` also changes the learning rate's way down."""


@dataclass
class TrainResult:
    """How a run ended. Losses are None for a run that made no step or had no validation."""

    step: int = 0
    loss: float | None = None
    validation_loss: float | None = None
    best_validation_loss: float | None = None
    evaluations_without_best: int = 0
    stopped_early: bool = False
    seconds: float = 0.0
    precision: str = ""


def restore(
    saved: Path, model: nn.Module, optimizers: Optimizers, config: TrainConfig
) -> tuple[TrainResult, precision.LossScale]:
    """Put model and optimizers back to where the checkpoint was made; all processes call this together."""
    state = checkpoint.load_state(saved)
    try:
        result = TrainResult(**state["result"])
        before = TrainConfig(**state["config"])
        scale = precision.LossScale(result.precision)
        scale.value, scale.good = state["loss_scale"]["value"], state["loss_scale"]["good"]
    except (KeyError, TypeError) as error:
        raise BadInput(f"{saved / 'state.json'} lacks {error}: it is from another version of this library.") from error
    may_change: tuple[str, ...] = MAY_CHANGE
    if sequences(before, state.get("data_ranks", 1)) == sequences(config, data_ranks(config.parallel)):
        may_change += ("batch_size", "accumulation")
    for field in fields(config):
        then, now = getattr(before, field.name), getattr(config, field.name)
        if then != now and field.name not in may_change:
            raise BadInput(f"The run in {saved.parents[1]} has {field.name} {then}, not {now}: resume it with {then}.")
    if checkpoint.is_sliced(saved):  # every process reads what it needs, and no more
        weights = checkpoint.fitting(model, shards.describe(saved / "model"))
        moments = optimizers.blank(shards.describe(saved / "optimizer"))
        shards.read(saved / "model", weights)
        shards.read(saved / "optimizer", moments)
    else:
        found = checkpoint.load(saved)
        checkpoint.load_model(model, found.model)
        optimizers.load_tensors(found.optimizer)
    return result, scale


def sequences(config: TrainConfig, data_ranks: int) -> int:
    """How many sequences one update is made from."""
    return config.batch_size * config.accumulation * data_ranks


def check_folder(out: Path, resume: bool) -> None:
    """A new run needs a directory without one; a resumed run needs one that was begun."""
    checkpoints, metrics = out / "checkpoints", out / "metrics.jsonl"
    if resume and not checkpoints.is_dir():
        raise BadInput(f"There is no run in {out} to resume: leave out --resume to start one.")
    if not resume and (checkpoint.latest(out) or (metrics.exists() and metrics.stat().st_size)):
        raise BadInput(f"{out} already holds a run: go on with it by --resume, or choose another folder by --out.")
    if not resume and out.exists() and not out.is_dir():
        raise BadInput(f"{out} is a file, not a folder: choose another folder by --out.")


def start_folder(out: Path) -> None:
    """Make the run's folders; remove what a killed run left half written."""
    try:
        (out / "checkpoints").mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise checkpoint.disk_trouble(error, out) from error
    checkpoint.clean(out / "checkpoints")


def step_seed(seed: int, step: int, micro_step: int, rank: int) -> int:
    """A seed for each (step, micro step, rank), unrelated to its neighbours'."""
    digest = hashlib.blake2b(f"{seed}/{step}/{micro_step}/{rank}".encode(), digest_size=8).digest()
    return int.from_bytes(digest) >> 1
