"""`insideout plan`: what a training run will need."""

from dataclasses import dataclass, field
from typing import Annotated, Any, Literal

import tyro

from insideout.cli.commands.shared import value_of
from insideout.errors import BadInput
from insideout.transformer.config import GPTConfig


@dataclass(frozen=True)
class MakePlan:
    """Say what a training run will need: memory of each device, time and cost."""

    preset: str = "gpt2"
    """The model: gpt2, llama, qwen3, or that of a scale: tiny, laptop, gpu. Its sizes can be changed by flags."""
    parameters: float | None = None
    """Instead of a preset: about how many parameters; the plan chooses the sizes."""
    model: Annotated[GPTConfig, tyro.conf.arg(name="")] = field(default_factory=GPTConfig.gpt2)
    """The sizes, by default those of the preset."""
    device: str = "h100"
    """The kind: a100-40, a100-80, h100, h200, b200, l4, l40s, rtx4090, mi300x, tpu-v4, tpu-v5e, tpu-v5p or custom."""
    devices: int = 1
    """How many of them."""
    parallel: Literal["ddp", "fsdp", "tensor"] = "ddp"
    """What each device has: a copy of the model (ddp), a slice of each weight (fsdp) or some heads (tensor)."""
    batch_size: int = 8
    """Sequences in one forward pass on each device; with parallel tensor, on all of them together."""
    accumulation: int = 1
    """Forward passes whose gradients are added up before one update."""
    precision: Literal["float32", "bfloat16", "float16"] = "bfloat16"
    """Number format of the matrix products."""
    optimizer: Literal["adamw", "muon"] = "adamw"
    """What updates the weights."""
    checkpoint_activations: bool = False
    """Recompute activations in the backward pass instead of keeping them."""
    tokens: float | None = None
    """To train on. Default: what the budget pays for, or else 20 for each parameter."""
    budget: float | None = None
    """Money to spend, in the currency of the price."""
    price: float | None = None
    """Of one device for an hour."""
    utilisation: float = 0.4
    """Share of the device's published peak speed that the run will reach."""
    tflops: float | None = None
    """With device custom: its peak speed in this precision, in 10^12 operations a second."""
    memory: float | None = None
    """With device custom: its memory in GiB."""
    bandwidth: float | None = None
    """With device custom: its memory bandwidth in GB a second."""
    json: bool = False
    """Print JSON instead of a table."""

    def run(self) -> int:
        from insideout.planner.devices import choose_device
        from insideout.planner.memory import Load
        from insideout.planner.plan import Setup, plan, table, to_dict

        load = Load(
            self.model, self.batch_size, self.accumulation, self.precision, self.optimizer,
            self.checkpoint_activations, self.parallel, self.devices,
        )  # fmt: skip
        device = choose_device(self.device, self.tflops, self.memory, self.bandwidth)
        made = plan(Setup(load, device, self.tokens, self.budget, self.price, self.utilisation))
        if self.json:
            import json

            print(json.dumps(to_dict(made), indent=1))
        else:
            from rich.console import Console

            Console(highlight=False).print(table(made))
        return 0


def defaults(given: list[str]) -> Any:
    """The model whose sizes the flags of `plan` default to: a preset, or one of about --parameters."""
    from insideout.planner import counts, plan
    from insideout.recipes.pretrain import SETTINGS
    from insideout.scales import SCALES, to_scale

    preset, parameters = value_of("--preset", given), value_of("--parameters", given)
    if preset and parameters:
        raise BadInput("--preset and --parameters were both given: give one.")
    if not parameters:
        name = preset or "gpt2"
        return MakePlan(preset=name, model=SETTINGS[to_scale(name)].model if name in SCALES else plan.preset(name))
    try:
        wanted = float(parameters)
    except ValueError:
        raise BadInput(f"--parameters is {parameters!r}; it must be a number, such as 7e9.") from None
    return MakePlan(preset="", parameters=wanted, model=counts.shape_of(wanted))
