"""What must hold while something is trained, whatever it is; where it does not, the run ends in one sentence.

Nearly every known fault of a trainer runs to its end without an error: the loss falls, and a part that was never
trained is judged as if it had been. A check is a function of the step's state (objective.py); each stage adds its own.
"""

import math
from collections.abc import Iterable, Mapping

from torch import Tensor, nn

from insideout.errors import BadInput
from insideout.training.distributed import whole
from insideout.training.objective import Check, StepState
from insideout.training.precision import LossScale


def refuse_non_finite(loss: float, norm: float, step: int, lr: float, scale: LossScale, saved_step: int) -> None:
    """Stop before a NaN reaches the weights. With float16 an overflowing gradient is expected and skipped."""
    if math.isfinite(loss) and (math.isfinite(norm) or (scale.active and scale.value > 1e-3)):
        return
    what = f"The loss is {loss}" if not math.isfinite(loss) else f"The gradient's norm is {norm}"
    where = f"; the checkpoint of step {saved_step} is kept" if saved_step > 0 else ""
    raise BadInput(
        f"{what} at step {step}: the run has diverged. Start again with a lower lr (it was {lr:.3g}), "
        f"more warmup_steps or precision float32{where}."
    )


def every_group_changes(groups: Mapping[str, Iterable[Tensor]] | None = None) -> Check:
    """A check that the first update moved each group of weights, by a gradient and not by weight decay alone.

    Without `groups` they are the parts of the model: its direct submodules that have trainable weights. A critic whose
    loss was detached, an adapter that is not in the forward pass, or a head that nothing reads is found so.
    """
    chosen = None if groups is None else {name: list(group) for name, group in groups.items()}
    before: dict[str, list[float]] = {}

    def check(state: StepState) -> None:
        if state.loss is not None and not before:
            return  # it was looked at
        members = parts(state.model) if chosen is None else chosen
        now = {name: sums(group) for name, group in members.items()}
        if state.loss is None:
            before.clear()
            before.update(now)
        elif state.gradient_norm is not None and math.isfinite(state.gradient_norm):  # else the update was left out
            for name, group in members.items():
                if now[name] == before[name] or not any(has_gradient(weight) for weight in group):
                    raise BadInput(
                        f"The first update taught {name} nothing: the loss does not reach it. Look for a detach, a "
                        "no_grad, or a part that the forward pass leaves out; or freeze it."
                    )
            before.clear()

    return check


def parts(model: nn.Module) -> dict[str, list[Tensor]]:
    """The trainable weights of each direct submodule, and the model's own."""
    found: dict[str, list[Tensor]] = {}
    for name, parameter in model.named_parameters():
        if parameter.requires_grad:
            first, _, rest = name.partition(".")
            found.setdefault(first if rest else "the model itself", []).append(parameter)
    return found


def sums(group: Iterable[Tensor]) -> list[float]:
    """Numbers that change when a weight does: the sum and the sum of squares of each."""
    wide = [whole(weight.detach()).double() for weight in group]
    return [float(number) for weight in wide for number in (weight.sum(), weight.square().sum())]


def has_gradient(weight: Tensor) -> bool:
    """Is there a gradient, and any number in it that is not 0?"""
    return weight.grad is not None and bool(whole(weight.grad).any())
