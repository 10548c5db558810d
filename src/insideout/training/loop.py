"""The training loop, for any model and any objective.

    gradient of a step = (Σ over micro steps and ranks of ∇ loss_sum) / (Σ of count)

so that accumulating, or training on several devices, gives the gradient of the one large batch, also when the
parts hold different numbers of tokens. Everything random in a step is a function of (seed, step), therefore a
run that was killed and resumed is the run that was never stopped, bit for bit on a CPU.
Taught in book/2-building-a-transformer/07_training.md.
"""

import contextlib
import math
import time
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path

import torch
from torch import Tensor, nn

from insideout.errors import BadInput
from insideout.training import checkpoint, distributed, precision
from insideout.training.config import TrainConfig
from insideout.training.distributed import data_rank, to_device
from insideout.training.ema import EMA
from insideout.training.events import Event, Measured, Note, Started, Step
from insideout.training.interrupt import Interrupted, catching_signals
from insideout.training.invariants import refuse_non_finite
from insideout.training.metrics import Metric, MetricsFile
from insideout.training.objective import BatchFunction, LossFunction, Objective, Source, StepState, Sums, measured
from insideout.training.optimizers import Optimizers
from insideout.training.resume import (
    TrainResult,
    TrainState,
    check_folder,
    own_randomness,
    restore,
    save,
    seed_all,
    start_folder,
    step_seed,
)
from insideout.training.schedule import learning_rate
from insideout.training.weights import Base

__all__ = ["Interrupted", "TrainResult", "train"]

Validate = Callable[[nn.Module], float | Tensor | Mapping[str, float]]


def train(
    model: nn.Module,
    objective: Objective | LossFunction,
    batches: Source | BatchFunction,
    config: TrainConfig,
    *,
    out: Path,
    validate: Validate | None = None,
    on_event: Callable[[Event], None] | None = None,
    resume: bool = False,
    device: str | torch.device = "cpu",
    companions: Mapping[str, str] | None = None,
) -> TrainResult:
    """Update `model` in place, config.steps times; write out/metrics.jsonl and out/checkpoints.

    `objective` is a loss, or a loss with its metrics and checks (objective.py). `batches(step, micro_step)` gives a
    batch of tensors, steps counted from 0, or is a `Source`; under torchrun batches should differ by
    `distributed.data_rank(config.parallel)`. `validate(model)` gives the loss on held-out data, or several numbers by
    name. `companions` are fingerprints of what the weights are good for (a tokenizer, …): a checkpoint with others is
    refused. `on_event` is told what happens (events.py), on the main process. Random numbers drawn elsewhere are not
    disturbed. Raises Interrupted on Ctrl-C, and BadInput on a directory in use, a checkpoint that does not fit, a full
    disk, a loss that is not finite or not what a loss must be, and a check that fails.
    """
    check_folder(out, resume)
    if config.early_stop_patience and validate is None:
        raise BadInput(
            "early_stop_patience is set, and nothing is measured on held-out data: give validate, or unset it."
        )
    objective = objective if isinstance(objective, Objective) else Objective(objective)
    shown = shown_by(objective, config)
    source = batches if isinstance(batches, Source) else None
    batch_at: BatchFunction = batches if source is None else source.batch_at  # type: ignore[assignment]
    device = distributed.start(device)
    model.to(device)
    join(model, config, device)
    average = EMA(model, config.ema_half_life) if config.ema_half_life else None
    training = TrainState(model, Base(model), Optimizers(model, config), average, source, companions or {})
    result, scale = TrainResult(), precision.LossScale("float32")
    saved = checkpoint.latest(out) if resume else None
    if saved is not None:
        result, scale = restore(saved, training, config)
    else:
        chosen = precision.choose(config.precision, device)
        [slower] = distributed.total([float(chosen == "float32")], device)  # all ranks use the same format
        result.precision = "float32" if slower else chosen
        scale = precision.LossScale(result.precision)
    runner: nn.Module = model
    if distributed.world_size() > 1 and config.parallel == "ddp":
        runner = distributed.replicate(model, device)
    if config.compile:
        runner = torch.compile(runner)  # type: ignore[assignment]

    def tell(event: Event) -> None:
        if on_event is not None and distributed.is_main():
            with contextlib.suppress(BrokenPipeError):  # who listened has left, as in `… | head`: go on without
                on_event(event)

    metrics = None
    if distributed.is_main():
        start_folder(out)
        metrics = MetricsFile(out / "metrics.jsonl", result.step)
    distributed.barrier()
    tell(Started(result.step, config.steps, shown))
    if why := nothing_to_do(result, config):
        tell(Note(why))
    for check in objective.checks:
        check(StepState(model, result.step))
    began = time.perf_counter() - result.seconds
    saved_step = result.step if saved is not None else -1
    try:
        with catching_signals() as signalled, own_randomness(device), memory_trouble():
            while result.step < config.steps and not result.stopped_early:
                step_began = time.perf_counter()
                lr = learning_rate(result.step, config)
                training.optimizers.set_lr(lr)
                sums, asked = accumulate(
                    runner, objective, batch_at, config, result, scale, device, lambda: bool(signalled)
                )
                loss = sums.loss / sums.count
                norm = distributed.gradient_norm(training.optimizers.names, config.clip)
                refuse_non_finite(loss, norm, result.step + 1, lr, scale, saved_step)
                if math.isfinite(norm):
                    training.optimizers.step()
                result.step, result.loss = result.step + 1, loss
                if average is not None:
                    average.update(result.step)
                found = sums.means()
                for check in objective.checks:
                    check(StepState(model, result.step, loss, norm, lr, found))
                scale.update(math.isfinite(norm))
                training.optimizers.zero_grad()
                speed = sums.count / (time.perf_counter() - step_began)
                values = {"loss": loss, "lr": lr, f"{objective.counted}_per_second": speed, "gradient_norm": norm}
                values |= found
                last = result.step == config.steps
                looked: dict[str, float] = {}
                if validate is not None and (last or due(result.step, config.eval_every)):
                    looked = evaluate(validate, model, average, objective, result, config, device)
                result.seconds = time.perf_counter() - began
                if metrics is not None:
                    metrics.write({"step": result.step, **values, **looked, "seconds": result.seconds})
                tell(Step(result.step, loss, result.seconds, finite(values)))
                if looked:
                    tell(Measured(result.step, finite(looked)))
                if asked or last or result.stopped_early or due(result.step, config.checkpoint_every):
                    if metrics is not None:
                        metrics.sync()
                    save(out, training, result, config, scale)
                    saved_step = result.step
                if asked and not last:
                    raise Interrupted(result.step, out)
    finally:
        if metrics is not None:
            metrics.close()
    distributed.barrier()
    return result


def shown_by(objective: Objective, config: TrainConfig) -> tuple[Metric, ...]:
    """Every number that the run may give: with an average of the weights, what it measures as well."""
    shown = {metric.name: metric for metric in objective.shown}
    averaged = [metric.of_average() for metric in objective.shown] if config.ema_half_life else []
    return tuple(({metric.name: metric for metric in averaged} | shown).values())


def join(model: nn.Module, config: TrainConfig, device: torch.device) -> None:
    """Prepare the model for how it is trained: activations recomputed, cut over processes, or the same on all."""
    if config.checkpoint_activations:
        if not hasattr(model, "checkpoint_activations"):
            raise BadInput(f"{type(model).__name__} cannot recompute activations: unset checkpoint_activations.")
        model.checkpoint_activations = True  # type: ignore[assignment]
    if distributed.world_size() == 1:
        return
    if config.parallel == "fsdp":
        distributed.shard(model, device)
    elif config.parallel == "tensor":
        if not hasattr(model, "split"):
            raise BadInput(f"{type(model).__name__} has no method split: choose parallel fsdp or ddp.")
        model.split(device, distributed.world_size())  # type: ignore[operator]
    else:
        distributed.same_weights(model)


def nothing_to_do(result: TrainResult, config: TrainConfig) -> str:
    """Why a resumed run makes no step, in a sentence; or ""."""
    if result.stopped_early:
        return (
            f"The run stopped early at step {result.step:,}, after {result.evaluations_without_best} measurements "
            "without a new best: to go on, raise early_stop_patience or steps."
        )
    if result.step >= config.steps:
        return f"The run has made all its steps, {result.step:,}: to go on, raise steps."
    return ""


def accumulate(
    runner: nn.Module,
    objective: Objective,
    batch_at: BatchFunction,
    config: TrainConfig,
    result: TrainResult,
    scale: precision.LossScale,
    device: torch.device,
    interrupted: Callable[[], bool],
) -> tuple[Sums, bool]:
    """Leave the step's gradient in the parameters; give the sums over all ranks, and if Ctrl-C was pressed on any."""
    runner.train()
    sums, unit = Sums(objective), 1.0
    ranks, data_ranks = distributed.world_size(), distributed.data_ranks(config.parallel)
    for micro_step in range(config.accumulation):
        seed_all(step_seed(config.seed, result.step, micro_step, data_rank(config.parallel)))
        batch = to_device(batch_at(result.step, micro_step), device)
        if data_ranks < ranks:
            batch = distributed.same_everywhere(batch)
        with distributed.gradient_sync(runner, now=micro_step == config.accumulation - 1):
            with precision.autocast(result.precision, device):
                loss, count = sums.add(objective.loss(runner, batch))
            if micro_step == 0:  # a first guess at the divisor keeps the numbers near 1; mended exactly below
                [unit] = distributed.total([count], device)
                unit = unit / ranks or 1.0
            (loss * (scale.value / unit)).backward()  # type: ignore[no-untyped-call]
    asked, *totals = distributed.total([float(interrupted()), *sums.as_list()], device)
    sums.replace(totals)
    if sums.count == 0:
        raise BadInput(
            f"Step {result.step + 1} has no {objective.counted} to learn from: every target in its batches is masked."
        )
    # ranks: DDP and FSDP gave the mean over them, not the sum; with "tensor" each of them counted everything.
    factor = unit * ranks / (sums.count * scale.value)
    if factor != 1:
        for parameter in runner.parameters():
            if parameter.grad is not None:
                parameter.grad.mul_(factor)
    if data_ranks < ranks:
        sums.replace([total * data_ranks / ranks for total in sums.as_list()])
    return sums, asked > 0


def evaluate(
    validate: Validate,
    model: nn.Module,
    average: EMA | None,
    objective: Objective,
    result: TrainResult,
    config: TrainConfig,
    device: torch.device,
) -> dict[str, float]:
    """What held-out data say, with dropout off, also of the averaged weights; decides whether to stop early."""
    model.eval()
    with torch.no_grad(), precision.autocast(result.precision, device):
        found = measured(validate(model), objective)
        if average is not None:
            with average.in_use():
                found |= {f"ema_{name}": value for name, value in measured(validate(model), objective).items()}
    model.train()
    result.measured = finite(found)
    judged, patience = found.get(objective.judged_by), config.early_stop_patience
    if judged is None:
        if patience:
            raise BadInput(
                f"early_stop_patience is set, and {objective.judged_by}, which it looks at, is not measured."
            )
        return found
    if not math.isfinite(judged):
        raise BadInput(f"At step {result.step} {objective.judged_by} is {judged}: the run has diverged. Lower lr.")
    if result.best is None or is_better(judged, result.best, objective):
        result.best, result.evaluations_without_best = judged, 0
    else:
        result.evaluations_without_best += 1
    result.stopped_early = patience > 0 and result.evaluations_without_best >= patience
    return found


def is_better(value: float, best: float, objective: Objective) -> bool:
    """Has the judged number moved the right way?"""
    name = objective.judged_by.removeprefix("ema_")
    [metric] = [metric for metric in objective.shown if metric.name == name]
    return value > best if metric.better == "higher" else value < best


def finite(values: Mapping[str, float]) -> dict[str, float]:
    """Without those that are not."""
    return {name: value for name, value in values.items() if math.isfinite(value)}


def due(step: int, every: int) -> bool:
    return every > 0 and step % every == 0


@contextlib.contextmanager
def memory_trouble() -> Iterator[None]:
    """Say in one sentence that the memory does not suffice."""
    try:
        yield
    except (MemoryError, RuntimeError) as error:
        full = isinstance(error, MemoryError | torch.OutOfMemoryError)
        if not full and not any(words in str(error) for words in ("t allocate memory", "not enough memory")):
            raise
        raise BadInput(
            "A step does not fit into this machine's memory: make batch_size smaller, and accumulation larger by the "
            f"same factor, or set checkpoint_activations ({str(error).splitlines()[0][:120]})."
        ) from error
