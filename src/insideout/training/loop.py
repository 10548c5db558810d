"""The training loop, for any model and any loss.

    gradient of a step = (Σ over micro steps and ranks of ∇ loss_sum) / (Σ of count)

so that accumulating, or training on several devices, gives the gradient of the one large batch, also when the
parts hold different numbers of tokens. Everything random in a step is a function of (seed, step), therefore a
run that was killed and resumed is the run that was never stopped, bit for bit on a CPU.
Used from book/2-building-a-transformer on.
"""

import dataclasses
import math
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from insideout.errors import BadInput
from insideout.training import checkpoint, distributed, precision
from insideout.training.config import TrainConfig
from insideout.training.interrupt import Interrupted, catching_signals
from insideout.training.metrics import MetricsFile
from insideout.training.optimizers import Optimizers
from insideout.training.resume import TrainResult, check_folder, restore, start_folder, step_seed
from insideout.training.schedule import learning_rate

__all__ = ["Interrupted", "TrainResult", "train"]


def train(
    model: nn.Module,
    loss_fn: Callable[[nn.Module, Any], tuple[Tensor, Any]],
    batch_at: Callable[[int, int], Any],
    config: TrainConfig,
    *,
    out: Path,
    validate: Callable[[nn.Module], float] | None = None,
    on_event: Callable[[dict[str, Any]], None] | None = None,
    resume: bool = False,
    device: str | torch.device = "cpu",
) -> TrainResult:
    """Update `model` in place, config.steps times; write out/metrics.jsonl and out/checkpoints.

    `batch_at(step, micro_step)` gives a batch of tensors (steps count from 0; under torchrun it should differ by
    `distributed.data_rank(config.parallel)`); `loss_fn(model, batch)` gives (sum of the losses, how many there were).
    `on_event` gets each record of the metrics. Raises Interrupted on Ctrl-C, BadInput on a directory in use, a
    checkpoint that does not fit, a full disk or a loss that is not finite.
    """
    check_folder(out, resume)
    device = distributed.start(device)
    model.to(device)
    if config.checkpoint_activations:
        if not hasattr(model, "checkpoint_activations"):
            raise BadInput(f"{type(model).__name__} cannot recompute activations: unset checkpoint_activations.")
        model.checkpoint_activations = True  # type: ignore[assignment]
    many = distributed.world_size() > 1
    if many and config.parallel == "fsdp":
        distributed.shard(model, device)
    if many and config.parallel == "tensor":
        if not hasattr(model, "split"):
            raise BadInput(f"{type(model).__name__} cannot be split by heads: choose parallel fsdp or ddp.")
        model.split(device, distributed.world_size())  # type: ignore[operator]
    optimizers = Optimizers(model, config)
    scale = precision.LossScale("float32")
    result = TrainResult()
    saved = checkpoint.latest(out) if resume else None
    if saved is not None:
        result, scale = restore(saved, model, optimizers, config)
    else:
        chosen = precision.choose(config.precision, device)
        [slower] = distributed.total([float(chosen == "float32")], device)  # all ranks use the same format
        result.precision = "float32" if slower else chosen
        scale = precision.LossScale(result.precision)
    runner: nn.Module = distributed.replicate(model, device) if many and config.parallel == "ddp" else model
    if config.compile:
        runner = torch.compile(runner)  # type: ignore[assignment]

    def save() -> None:
        if metrics is not None:
            metrics.sync()
        state: dict[str, Any] = {"result": dataclasses.asdict(result), "config": dataclasses.asdict(config)}
        state["data_ranks"] = distributed.data_ranks(config.parallel)
        state["loss_scale"] = {"value": scale.value, "good": scale.good}
        checkpoint.save(checkpoint.folder_of(out, result.step), model, optimizers.tensors(), state)

    metrics = None
    if distributed.is_main():
        start_folder(out)
        metrics = MetricsFile(out / "metrics.jsonl", result.step)
    distributed.barrier()
    began = time.perf_counter() - result.seconds
    saved_step = result.step if saved is not None else -1
    try:
        with catching_signals() as signalled:
            while result.step < config.steps and not result.stopped_early:
                step_began = time.perf_counter()
                lr = learning_rate(result.step, config)
                optimizers.set_lr(lr)
                loss, count, asked = accumulate(
                    runner, loss_fn, batch_at, config, result, scale, device, lambda: bool(signalled)
                )
                norm = distributed.gradient_norm(optimizers.names, config.clip)
                refuse_non_finite(loss, norm, result, lr, scale, saved_step)
                if math.isfinite(norm):
                    optimizers.step()
                scale.update(math.isfinite(norm))
                optimizers.zero_grad()
                result.step += 1
                result.loss = loss
                seconds = time.perf_counter() - step_began
                record = {
                    "step": result.step, "loss": loss, "lr": lr, "tokens_per_second": count / seconds,
                    "gradient_norm": norm if math.isfinite(norm) else None,
                }  # fmt: skip
                last = result.step == config.steps
                if validate is not None and (last or due(result.step, config.eval_every)):
                    record["validation_loss"] = evaluate(validate, model, result, config, device)
                result.seconds = record["seconds"] = time.perf_counter() - began
                if metrics is not None:
                    metrics.write(record)
                    if on_event is not None:
                        on_event(record)
                if asked or last or result.stopped_early or due(result.step, config.checkpoint_every):
                    save()
                    saved_step = result.step
                if asked and not last:
                    raise Interrupted(result.step, out)
    finally:
        if metrics is not None:
            metrics.close()
    distributed.barrier()
    return result


def accumulate(
    runner: nn.Module,
    loss_fn: Callable[[nn.Module, Any], tuple[Tensor, Any]],
    batch_at: Callable[[int, int], Any],
    config: TrainConfig,
    result: TrainResult,
    scale: precision.LossScale,
    device: torch.device,
    interrupted: Callable[[], bool],
) -> tuple[float, float, bool]:
    """Leave the step's gradient in the parameters; give (mean loss, count, was Ctrl-C pressed on any rank)."""
    runner.train()
    loss_sum, count, unit = 0.0, 0.0, 1.0
    ranks, data_ranks = distributed.world_size(), distributed.data_ranks(config.parallel)
    for micro_step in range(config.accumulation):
        torch.manual_seed(step_seed(config.seed, result.step, micro_step, distributed.data_rank(config.parallel)))
        batch = to_device(batch_at(result.step, micro_step), device)
        if data_ranks < ranks:
            batch = distributed.same_everywhere(batch)
        with distributed.gradient_sync(runner, now=micro_step == config.accumulation - 1):
            with precision.autocast(result.precision, device):
                part_sum, part_count = loss_fn(runner, batch)
            if micro_step == 0:  # a first guess at the divisor keeps the numbers near 1; mended exactly below
                [unit] = distributed.total([float(part_count)], device)
                unit = unit / ranks or 1.0
            (part_sum * (scale.value / unit)).backward()  # type: ignore[no-untyped-call]
        loss_sum += float(part_sum.detach())
        count += float(part_count)
    loss_sum, count, asked = distributed.total([loss_sum, count, float(interrupted())], device)
    if count == 0:
        raise BadInput(f"No token of step {result.step + 1} has a loss: every target in its batches is masked.")
    # ranks: DDP and FSDP gave the mean over them, not the sum; with tensor parallelism each of them counted all tokens.
    factor = unit * ranks / (count * scale.value)
    if factor != 1:
        for parameter in runner.parameters():
            if parameter.grad is not None:
                parameter.grad.mul_(factor)
    return loss_sum / count, count * data_ranks / ranks, asked > 0


def evaluate(
    validate: Callable[[nn.Module], float],
    model: nn.Module,
    result: TrainResult,
    config: TrainConfig,
    device: torch.device,
) -> float:
    """The loss on held-out data, with dropout off; decides whether to stop early."""
    model.eval()
    with torch.no_grad(), precision.autocast(result.precision, device):
        loss = float(validate(model))
    model.train()
    result.validation_loss = loss
    if result.best_validation_loss is None or loss < result.best_validation_loss:
        result.best_validation_loss, result.evaluations_without_best = loss, 0
    else:
        result.evaluations_without_best += 1
    patience = config.early_stop_patience
    result.stopped_early = patience > 0 and result.evaluations_without_best >= patience
    return loss


def refuse_non_finite(
    loss: float, norm: float, result: TrainResult, lr: float, scale: precision.LossScale, saved_step: int
) -> None:
    """Stop before a NaN reaches the weights. With float16 an overflowing gradient is expected and skipped."""
    if math.isfinite(loss) and (math.isfinite(norm) or (scale.active and scale.value > 1e-3)):
        return
    what = f"The loss is {loss}" if not math.isfinite(loss) else f"The gradient's norm is {norm}"
    where = f"; the checkpoint of step {saved_step} is kept" if saved_step > 0 else ""
    raise BadInput(
        f"{what} at step {result.step + 1}: the run has diverged. Start again with a lower lr (it was {lr:.3g}), "
        f"more warmup_steps or precision float32{where}."
    )


def due(step: int, every: int) -> bool:
    return every > 0 and step % every == 0


def to_device(batch: Any, device: torch.device) -> Any:
    """Move the tensors of a batch, which may lie in tuples, lists and dicts."""
    if isinstance(batch, Tensor):
        return batch.to(device, non_blocking=True)
    if isinstance(batch, tuple | list):
        return type(batch)(to_device(part, device) for part in batch)
    if isinstance(batch, dict):
        return {key: to_device(part, device) for key, part in batch.items()}
    return batch
