"""What a training run will need: memory on each device, time and cost, before anything is bought.

    seconds of a step = the longer of    tokens · (operations a token) / (devices · peak · utilisation)
                                         (bytes that the update reads and writes) / bandwidth
    cost              = hours · devices · price of a device for an hour

Utilisation is the share of the published peak that a run reaches, all waiting included, with attention counted in full.
Without recomputed activations it is the "model FLOPs utilisation" of PaLM; recomputed ones count as work here, so that
a given utilisation stands for the same speed of the device. The operations are those of counts.py, the bytes those of
memory.py. A plan fits when its peak leaves a tenth of the memory free, for the driver, communication and gaps between
tensors.
Taught in book/2-building-a-transformer/08_memory_and_speed.md. Sources: Chowdhery et al. 2022, appendix B
(utilisation); Hoffmann et al. 2022 (20 tokens a parameter).
"""

import math
from collections.abc import Iterator
from dataclasses import asdict, dataclass, fields, replace
from typing import TYPE_CHECKING, Any

from insideout.errors import BadInput
from insideout.planner.counts import count, flops_per_token, recomputed_flops_per_token
from insideout.planner.devices import Device
from insideout.planner.memory import Load, Memory, peak
from insideout.scales import SCALES
from insideout.transformer.config import GPTConfig

if TYPE_CHECKING:
    from rich.table import Table

GIB = 2**30
USABLE = 0.9
"""Share of a device's memory that a plan may fill."""
TOKENS_PER_PARAMETER = 20
MOST_DEVICES = 4096
"""That a remedy proposes."""
LEAST, MOST = 1e-9, 1e21
"""Of tokens, money and shares."""


@dataclass(frozen=True)
class Setup:
    """What is planned: the load, the devices, and how much of what."""

    load: Load
    device: Device
    tokens: float | None = None
    """To train on. None: what the budget allows, or else 20 for each parameter."""
    budget: float | None = None
    """Money to spend, in the currency of the price."""
    price: float | None = None
    """Of one device for an hour."""
    utilisation: float = 0.4
    """Share of the published peak that is reached, between 0 and 1."""

    def __post_init__(self) -> None:
        if not LEAST <= self.utilisation <= 1:
            raise BadInput(f"utilisation is {self.utilisation}; it must be above 0, at least {LEAST:g}, and at most 1.")
        for name in ("tokens", "budget", "price"):
            value = getattr(self, name)
            if value is not None and not (math.isfinite(value) and value > 0):
                raise BadInput(f"{name} is {value}; it must be a finite number above 0.")
            if value is not None and not LEAST <= value <= MOST:
                raise BadInput(f"{name} is {value:g}; a plan is made for numbers from {LEAST:g} to {MOST:g}.")
        if self.tokens is not None and self.budget is not None:
            raise BadInput("tokens and budget were both given: give one, and the plan says the other.")
        if self.budget is not None and self.price is None:
            raise BadInput("A budget was given without a price: give the price of one device for an hour.")


@dataclass(frozen=True)
class Plan:
    """What a setup needs."""

    setup: Setup
    parameters: int
    """N, all of them."""
    flops_per_token: float
    """6 M + 12 L A T."""
    moment: str
    """When most memory is in use."""
    memory: Memory
    """Bytes on each device at that moment."""
    tokens_per_step: int
    """batch_size · context_length · accumulation · devices; with tensor, without devices."""
    step_seconds: float
    update_seconds: float
    """Of that at least, to read weights, gradients and optimizer state, and write weights and state."""
    steps: int
    """tokens / tokens_per_step, rounded up; down if a budget must not be exceeded."""

    @property
    def tokens(self) -> int:
        return self.steps * self.tokens_per_step

    @property
    def total_flops(self) -> float:
        """Of all tokens, without recomputed activations."""
        return self.tokens * self.flops_per_token

    @property
    def hours(self) -> float:
        return self.steps * self.step_seconds / 3600

    @property
    def device_hours(self) -> float:
        return self.hours * self.setup.load.n_devices

    @property
    def cost(self) -> float | None:
        return None if self.setup.price is None else self.device_hours * self.setup.price


def plan(setup: Setup) -> Plan:
    """Compute a plan. Raises BadInput, saying what would help, when a device has not enough memory."""
    load, device = replace(setup.load, kernels="gpu"), setup.device
    moment, memory = peak(load)
    if memory.total > room(device):
        raise BadInput(too_large(setup, memory))
    ranks = 1 if load.parallel == "tensor" else load.n_devices
    tokens_per_step = load.batch_size * load.config.context_length * load.accumulation * ranks
    operations = flops_per_token(load.config)
    if load.checkpoint_activations:
        operations += recomputed_flops_per_token(load.config)
    speed = load.n_devices * device.flops(load.precision) * setup.utilisation
    update_seconds = (2 * (memory.parameters + memory.optimizer) + memory.parameters) / device.bandwidth
    step_seconds = max(tokens_per_step * operations / speed, update_seconds)
    if setup.budget is not None and setup.price is not None:
        hours = setup.budget / (setup.price * load.n_devices)
        steps = math.floor(hours * 3600 / step_seconds)
        if steps < 1:
            raise BadInput(
                f"The budget {setup.budget:g} pays {hours * 3600:.3g} s, and one step takes {step_seconds:.3g} s."
            )
    else:
        wanted = setup.tokens or TOKENS_PER_PARAMETER * count(load.config).total
        steps = math.ceil(wanted / tokens_per_step)
    return Plan(
        setup, count(load.config).total, flops_per_token(load.config), moment, memory, tokens_per_step, step_seconds,
        update_seconds, steps,
    )  # fmt: skip


def preset(name: str) -> GPTConfig:
    """A published model by name. Raises BadInput for another word."""
    known = {"gpt2": GPTConfig.gpt2, "llama": GPTConfig.llama, "qwen3": GPTConfig.qwen3}
    if name in known:
        return known[name]()
    raise BadInput(f"--preset is {name!r}; it must be one of {', '.join([*known, *SCALES])}.")


def room(device: Device) -> float:
    """Bytes of a device that a plan may fill."""
    return USABLE * device.memory * GIB


def too_large(setup: Setup, memory: Memory) -> str:
    """By how much it does not fit, and what would."""
    there = room(setup.device) / GIB
    says = (
        f"Each device would need {memory.total / GIB:.1f} GiB, {memory.total / GIB - there:.1f} GiB more than the "
        f"{there:.1f} GiB that can be used of {setup.device.name}'s {setup.device.memory:g}"
    )
    for what, load in remedies(replace(setup.load, kernels="gpu")):
        needed = peak(load)[1].total
        if needed <= room(setup.device):
            return f"{says}: with {what} it would need {needed / GIB:.1f} GiB."
    return f"{says}, and nothing makes it fit, not even fsdp over {MOST_DEVICES:,} devices: choose a smaller model."


def remedies(load: Load) -> Iterator[tuple[str, Load]]:
    """Ways to need less memory for the same update, the least painful first."""
    again = replace(load, checkpoint_activations=True)
    if not load.checkpoint_activations:
        yield "checkpoint_activations", again
    for each, words in ((load, ""), (again, " and checkpoint_activations")):
        size = load.batch_size
        while size % 2 == 0:
            size //= 2
            accumulation = load.accumulation * load.batch_size // size
            smaller = replace(each, batch_size=size, accumulation=accumulation)
            yield f"batch_size {size}, accumulation {accumulation}{words}", smaller
    sliced = replace(load, parallel="fsdp")
    if load.n_devices > 1 and load.parallel != "fsdp":
        yield "parallel fsdp", sliced
        yield "parallel fsdp and checkpoint_activations", replace(sliced, checkpoint_activations=True)
    sliced = replace(sliced, checkpoint_activations=True, batch_size=1)
    n = load.n_devices
    while n <= MOST_DEVICES:
        yield f"parallel fsdp on {n:,} devices, batch_size 1 and checkpoint_activations", replace(sliced, n_devices=n)
        n *= 2


def to_dict(made: Plan) -> dict[str, Any]:
    """The plan as JSON knows it; units are in the names."""
    load = asdict(made.setup.load)
    return {
        "model": load.pop("config"),
        "load": load,
        "device": asdict(made.setup.device),
        "utilisation": made.setup.utilisation,
        "parameters": made.parameters,
        "flops_per_token": made.flops_per_token,
        "memory_bytes": {**asdict(made.memory), "total": made.memory.total, "usable": room(made.setup.device)},
        "peak_at": made.moment,
        "tokens": made.tokens,
        "tokens_per_step": made.tokens_per_step,
        "steps": made.steps,
        "step_seconds": made.step_seconds,
        "update_seconds": made.update_seconds,
        "tokens_per_second": made.tokens_per_step / made.step_seconds,
        "total_flops": made.total_flops,
        "hours": made.hours,
        "device_hours": made.device_hours,
        "price_per_device_hour": made.setup.price,
        "cost": made.cost,
    }


def table(made: Plan) -> "Table":
    """The plan for the eye: what, how much, and how that comes about."""
    from rich.table import Table

    from insideout.words import duration

    setup, load, memory, config = made.setup, made.setup.load, made.memory, made.setup.load.config
    shown = Table(box=None, pad_edge=False, header_style="dim")
    shown.add_column("")
    shown.add_column("", justify="right")
    shown.add_column("how", style="dim")

    def row(what: str, much: str, how: str = "") -> None:
        shown.add_row(what, much, how)

    def number(x: float, digits: int = 0) -> str:
        return f"{x:,.{digits}f}" if x < 1e12 else f"{x:.3g}"

    row("[bold]model", "")
    row("parameters", f"{made.parameters:,}", f"{config.n_layers} layers of width {config.d_model:,}")
    row(
        "operations a token",
        f"{made.flops_per_token:.3g}",
        "6 for each number in a matrix, 12 · layers · width · context",
    )
    row("[bold]memory of each device", "", f"at its peak: {made.moment}")
    state = "8 bytes for each parameter" if load.optimizer == "adamw" else "4 bytes in hidden matrices, 8 elsewhere"
    how = {
        "parameters": "4 bytes each",
        "gradients": "4 bytes for each that exists then",
        "optimizer": f"{load.optimizer}: {state}",
        "low_precision": f"the matrices in {load.precision}",
        "activations": f"of {load.batch_size} · {config.context_length:,} tokens",
        "logits": "12 bytes · vocabulary · tokens",
        "exchange": f"{load.parallel} over {load.n_devices} devices",
        "working": "of the computation under way",
    }
    for field in fields(memory):
        value = getattr(memory, field.name)
        if value:
            row(field.name.replace("_", " "), f"{value / GIB:.2f} GiB", how[field.name])
    row(
        "together",
        f"{memory.total / GIB:.2f} GiB",
        f"of {room(setup.device) / GIB:.1f} that can be used of {setup.device.memory:g}",
    )
    row("[bold]time", "")
    row(
        "devices",
        f"{load.n_devices} {setup.device.name}",
        f"{setup.device.flops(load.precision) / 1e12:g} TFLOP/s each, {setup.device.source}",
    )
    row("utilisation", f"{100 * setup.utilisation:.3g}%", "of that peak, as given")
    row("tokens a step", f"{made.tokens_per_step:,}", "batch · context · accumulation · devices that read their own")
    row(
        "a step",
        f"{made.step_seconds:.3g} s",
        f"{number(made.tokens_per_step / made.step_seconds)} tokens/s; the update at least {made.update_seconds:.2g} s",
    )
    row(
        "tokens",
        number(made.tokens),
        f"{number(made.steps)} steps, {made.tokens / made.parameters:.3g} tokens for each parameter",
    )
    row("operations", f"{made.total_flops:.3g}", "without recomputed activations")
    time = duration(made.hours * 3600) if made.hours < 1e6 else f"{number(made.hours)} h"
    row("[bold]together", f"[bold]{time}", f"{number(made.device_hours, 1)} device hours")
    if made.cost is not None:
        row("[bold]cost", f"[bold]{number(made.cost, 2)}", f"at {setup.price:g} for a device and hour")
    return shown
