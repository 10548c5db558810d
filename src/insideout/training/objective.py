"""What is trained for, and on what: the contract between the loop and every stage.

    loss(model, batch) -> (Σ loss, count)   or   (Σ loss, count, {metric: Σ or (Σ, count)})

Sums and counts, never means. The loop adds them up over the micro steps of an update and over all ranks, and divides
once:

    loss = Σ loss / Σ count        metric = Σ metric / Σ of its own count, or of the loss's where it brings none

so that a batch cut into parts, however ragged, gives the gradient and the metrics of the one large batch. (The mean of
the parts' means does not: a token's weight would depend on the cut.)

Batches come from a function of (step, micro step), or from a `Source`, whose state goes into the checkpoint: what is
sampled from the model itself cannot be computed anew from a seed.
"""

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol, runtime_checkable

import torch
from torch import Tensor, nn

from insideout.errors import BadInput
from insideout.training.metrics import Metric, of_every_run, together

LossFunction = Callable[[nn.Module, Any], tuple[Any, ...]]
BatchFunction = Callable[[int, int], Any]


@runtime_checkable
class Source(Protocol):
    """Where batches come from, if that has a memory: a buffer of rollouts, a queue, a place in a stream."""

    def batch_at(self, step: int, micro_step: int) -> Any:
        """The batch of a micro step; asked in order, each once. The random state is the step's own."""
        ...

    def state(self) -> dict[str, Any]:
        """All that the coming batches depend on, apart from the model: tensors, and values that JSON can hold."""
        ...

    def load_state(self, state: Mapping[str, Any]) -> None:
        """Go on from what `state` gave."""
        ...


@dataclass(frozen=True)
class StepState:
    """What a check sees: the run at its beginning, then after each update, the gradients still in place."""

    model: nn.Module
    step: int
    """Updates made."""
    loss: float | None = None
    """None at the beginning, before this process has made an update."""
    gradient_norm: float | None = None
    """Before clipping. Not finite where float16 overflowed and the update was left out."""
    lr: float | None = None
    metrics: Mapping[str, float] = field(default_factory=dict)
    """The objective's own."""


Check = Callable[[StepState], None]
"""An invariant: raises BadInput, in one sentence, where it does not hold, and so ends the run."""


@dataclass(frozen=True)
class Objective:
    """A loss, and what belongs to it."""

    loss: LossFunction
    metrics: tuple[Metric, ...] = ()
    """What the loss and the measurements on held-out data give beside the loss. One that bears the name of a number of
    the loop's own (loss, validation_loss, gradient_norm, lr, …) says how that is shown."""
    checks: Sequence[Check] = ()
    """Asserted while training (see invariants.py)."""
    counted: str = "tokens"
    """What `count` counts, in the plural: tokens, pairs, pictures."""
    judged_by: str = "validation_loss"
    """Which of the measured numbers early stopping looks at."""

    def __post_init__(self) -> None:
        if self.judged_by.removeprefix("ema_") not in {metric.name for metric in self.shown}:
            raise BadInput(f"judged_by is {self.judged_by}, which is no metric of this objective: name one that is.")

    @property
    def shown(self) -> tuple[Metric, ...]:
        """Every number of a run, the loop's own among them."""
        return together(tuple(self.metrics), self.counted)


class Sums:
    """Loss, count and metrics of an update, added up part by part."""

    def __init__(self, objective: Objective) -> None:
        own = {metric.name for metric in of_every_run(objective.counted)}
        self.names = [metric.name for metric in objective.metrics if metric.name not in own]
        self.loss, self.count = 0.0, 0.0
        self.metrics = dict.fromkeys(self.names, (0.0, 0.0))

    def add(self, given: Any) -> tuple[Tensor, float]:
        """Check what a loss gave, add it, and give (Σ loss with its graph, count). BadInput for anything else."""
        if not isinstance(given, tuple) or len(given) not in (2, 3):
            raise BadInput(
                f"The loss gave {described(given)}: it must give (sum of the losses, how many), and may add a dict of "
                "metrics."
            )
        loss, count = given[0], count_of(given[1], "loss")
        if not isinstance(loss, Tensor) or loss.numel() != 1:
            raise BadInput(f"The loss is {described(loss)}: it must be a tensor of one number, the sum of the losses.")
        if not loss.requires_grad:
            raise BadInput(
                "The loss does not depend on any weight that is trained: look for a detach, a no_grad, or a frozen "
                "weight on its way."
            )
        metrics = given[2] if len(given) == 3 else {}
        if not isinstance(metrics, Mapping):
            raise BadInput(f"The metrics of a loss are {described(metrics)}: they must be a dict.")
        for name, value in metrics.items():
            if name not in self.metrics:
                raise BadInput(
                    f"The loss gives a metric {name}, which its objective does not name: add Metric({name!r}) there."
                )
            part, weight = value if isinstance(value, tuple) and len(value) == 2 else (value, count)
            total, weights = self.metrics[name]
            total += number_of(part, f"The metric {name}")
            self.metrics[name] = (total, weights + count_of(weight, f"metric {name}"))
        self.loss += float(loss.detach())
        self.count += count
        return loss, count

    def as_list(self) -> list[float]:
        """All of it in an order that is the same on every rank."""
        return [self.loss, self.count, *(each for name in self.names for each in self.metrics[name])]

    def replace(self, values: Sequence[float]) -> None:
        """Take the totals over all ranks, in that order."""
        self.loss, self.count, *rest = values
        self.metrics = {name: (rest[2 * i], rest[2 * i + 1]) for i, name in enumerate(self.names)}

    def means(self) -> dict[str, float]:
        """Each metric that something was counted for."""
        return {name: total / count for name, (total, count) in self.metrics.items() if count}


def measured(given: Any, objective: Objective) -> dict[str, float]:
    """What a measurement on held-out data found: its one number is validation_loss, or a dict of named ones."""
    values = given if isinstance(given, Mapping) else {"validation_loss": given}
    known = {metric.name for metric in objective.shown}
    for name in values:
        if name not in known:
            raise BadInput(
                f"The measurement gives {name}, which its objective does not name: add Metric({name!r}) there."
            )
    return {name: number_of(value, f"The measured {name}") for name, value in values.items()}


def number_of(value: Any, what: str) -> float:
    """One number, from a number or a tensor of one; else BadInput."""
    try:
        if not isinstance(value, bool | str | bytes):
            return float(value)
    except (TypeError, ValueError, RuntimeError, OverflowError):
        pass
    raise BadInput(f"{what} is {described(value)}: it must be one number.")


def count_of(value: Any, what: str) -> float:
    """How many; BadInput for what cannot be a number of things."""
    count = number_of(value, f"The count of the {what}")
    if not (count >= 0 and math.isfinite(count)) or (isinstance(value, Tensor) and value.dtype == torch.bool):
        raise BadInput(f"The count of the {what} is {described(value)}: it must be a finite number, at least 0.")
    return count


def described(value: Any) -> str:
    """A value for a sentence: a tensor by its shape, a container by its length, the rest as it is."""
    if isinstance(value, Tensor):
        return f"a tensor of shape {tuple(value.shape)}" if value.numel() != 1 else f"a tensor of {value.item()}"
    if isinstance(value, tuple | list | dict):
        return f"a {type(value).__name__} of {len(value)}"
    return f"{type(value).__name__} {value!r}"[:80]
