"""What a run must remember to go on as if it had never stopped, and the checks that it may.

Every random choice of a step is seeded by (seed, step), so there is no generator to save: weights, the optimizers'
state, the step's number and the number format are all there is, and what the source of the batches remembers, if it
has a memory. A run may go on with another number of processes and another way of joining them; batch_size and
accumulation may then change too, if an update is made from as many examples.
"""

import contextlib
import hashlib
import math
import random
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass, field, fields
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import nn

from insideout.errors import BadInput
from insideout.files import disk_trouble, sweep
from insideout.training import checkpoint, precision, shards, weights
from insideout.training.config import TrainConfig, fits, read_as
from insideout.training.distributed import data_ranks
from insideout.training.ema import EMA
from insideout.training.objective import Source
from insideout.training.optimizers import Optimizers

MAY_CHANGE = ("steps", "eval_every", "checkpoint_every", "early_stop_patience", "compile", "precision", "parallel")
"""Settings that a resumed run may change. A changed `steps` also changes the learning rate's way down."""


@dataclass
class TrainResult:
    """How a run ended, or where it is. A loss of None: no step was made."""

    step: int = 0
    loss: float | None = None
    measured: dict[str, float] = field(default_factory=dict)
    """What the last look at held-out data found, by name."""
    best: float | None = None
    """The best of what early stopping looks at."""
    evaluations_without_best: int = 0
    stopped_early: bool = False
    seconds: float = 0.0
    precision: str = ""

    @property
    def validation_loss(self) -> float | None:
        """The last loss on held-out data, or None where there was none."""
        return self.measured.get("validation_loss")


@dataclass
class TrainState:
    """All that moves while a run trains: what a checkpoint holds."""

    model: nn.Module
    base: weights.Base
    optimizers: Optimizers
    average: EMA | None
    source: Source | None
    companions: Mapping[str, str] = field(default_factory=dict)
    """Fingerprints of what the weights are good for: a tokenizer, an architecture."""


def save(out: Path, training: TrainState, result: TrainResult, config: TrainConfig, scale: precision.LossScale) -> None:
    """Write the checkpoint of the present step; all processes call this together."""
    state: dict[str, Any] = {
        "result": asdict(result),
        "config": asdict(config),
        "data_ranks": data_ranks(config.parallel),
        "loss_scale": {"value": scale.value, "good": scale.good},
        "base": training.base.unchanged(),
        "without_moments": training.optimizers.without_state(),
        "companions": dict(training.companions),
    }
    checkpoint.save(
        checkpoint.folder_of(out, result.step), training.model, training.optimizers.tensors(), state,
        average=None if training.average is None else training.average.tensors(),
        source=None if training.source is None else checkpoint.packed(training.source.state()),
    )  # fmt: skip


def restore(saved: Path, training: TrainState, config: TrainConfig) -> tuple[TrainResult, precision.LossScale]:
    """Put everything back to where the checkpoint was made; all processes call this together.

    Raises BadInput, before anything is changed, for a checkpoint that is damaged, of another model or of other
    settings.
    """
    state = checkpoint.load_state(saved)
    where = str(saved / "state.json")
    result, before, scale, ranks, without_moments = read_state(state, where)
    if result.step != int(saved.name.removeprefix("step-")):
        raise BadInput(f"{where} is of step {result.step}: it is another checkpoint's. Remove this folder.")
    check_settings(before, config, ranks, saved)
    checkpoint.check_companions(saved, state, training.companions)
    checkpoint.check_base(saved, state, training.base)
    source = checkpoint.load_source(saved)
    if (source is None) != (training.source is None):
        was = "a function" if source is None else "a source with a memory"
        raise BadInput(f"The batches of the run in {saved.parents[1]} came from {was}: give it such a one.")
    averages = {} if training.average is None else training.average.tensors()
    if checkpoint.is_sliced(saved):  # every process reads what it needs, and no more
        found = {part: shards.describe(saved / part) for part in checkpoint.PARTS if (saved / part).is_dir()}
        places = {"model": weights.fitting(training.model, found["model"])}
        weights.same_names(averages, found.get("average", {}))
        places["optimizer"] = training.optimizers.blank(found["optimizer"], without_moments)
        if averages:
            places["average"] = averages
        for part, tensors in places.items():
            shards.read(saved / part, tensors)
    else:
        read = checkpoint.load(saved)
        weights.fitting(training.model, read.model)
        weights.same_names(averages, read.average)
        training.optimizers.load_tensors(read.optimizer, without_moments)
        weights.load_model(training.model, read.model)
        weights.copy(averages, read.average)
    if training.source is not None and source is not None:
        training.source.load_state(source)
    if "base" not in state:  # an older checkpoint, which holds the frozen weights too
        training.base.look()
    if result.stopped_early:
        patient = config.early_stop_patience == 0 or result.evaluations_without_best < config.early_stop_patience
        if config.steps > before.steps and not patient:
            result.evaluations_without_best = 0  # more steps were asked for: be patient anew
            patient = True
        result.stopped_early = not patient
    return result, scale


def read_state(
    state: dict[str, Any], where: str
) -> tuple[TrainResult, TrainConfig, precision.LossScale, int, list[str]]:
    """What state.json says: result, settings, loss scale, ranks, parameters without moments. Wrong types: BadInput."""
    told = state.get("result")
    if isinstance(told, dict) and "best_validation_loss" in told:  # as it was written before there were other measures
        told = dict(told)
        last = told.pop("validation_loss", None)
        told |= {
            "best": told.pop("best_validation_loss"),
            "measured": {} if last is None else {"validation_loss": last},
        }
    result = read_as(TrainResult, told, f"{where}, result,")
    config = read_as(TrainConfig, state.get("config"), f"{where}, config,")
    ranks, scaled, without = state.get("data_ranks", 1), state.get("loss_scale"), state.get("without_moments", [])
    scale = precision.LossScale(result.precision)
    sound = (
        fits(ranks, int)
        and ranks >= 1
        and isinstance(scaled, dict)
        and fits(scaled.get("value"), float)
        and scaled["value"] > 0
        and fits(scaled.get("good"), int)
        and scaled["good"] >= 0
        and fits(without, list[str])
        and fits(state.get("base"), str | None)
        and result.precision in ("float32", "bfloat16", "float16")
        and result.step >= 0
        and result.evaluations_without_best >= 0
        and 0 <= result.seconds < math.inf
    )
    if not sound or scaled is None:
        raise BadInput(f"{where} is damaged: remove its folder to go on from the checkpoint before it.")
    scale.value, scale.good = scaled["value"], scaled["good"]
    return result, config, scale, ranks, without


def check_settings(before: TrainConfig, config: TrainConfig, ranks: int, saved: Path) -> None:
    """May a run of these settings go on with those?"""
    may_change: tuple[str, ...] = MAY_CHANGE
    if examples(before, ranks) == examples(config, data_ranks(config.parallel)):
        may_change += ("batch_size", "accumulation")
    for each in fields(config):
        then, now = getattr(before, each.name), getattr(config, each.name)
        if then != now and each.name not in may_change:
            raise BadInput(f"The run in {saved.parents[1]} has {each.name} {then}, not {now}: resume it with {then}.")


def examples(config: TrainConfig, data_ranks: int) -> int:
    """How many examples one update is made from."""
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
        raise disk_trouble(error, out) from error
    sweep(out / "checkpoints")


def step_seed(seed: int, step: int, micro_step: int, rank: int) -> int:
    """A seed for each (step, micro step, rank), unrelated to its neighbours'."""
    digest = hashlib.blake2b(f"{seed}/{step}/{micro_step}/{rank}".encode(), digest_size=8).digest()
    return int.from_bytes(digest) >> 1


def seed_all(seed: int) -> None:
    """Seed the generators of torch (on every device), Python and NumPy; 0 <= seed < 2**63."""
    torch.manual_seed(seed)
    random.seed(seed)
    np.random.seed(seed % 2**32)


@contextlib.contextmanager
def own_randomness(device: torch.device) -> Iterator[None]:
    """Whatever is drawn or seeded inside, the caller's generators go on outside as if nothing had been."""
    python, numpy = random.getstate(), np.random.get_state()
    with torch.random.fork_rng([device] if device.type == "cuda" else []):
        try:
            yield
        finally:
            random.setstate(python)
            np.random.set_state(numpy)
