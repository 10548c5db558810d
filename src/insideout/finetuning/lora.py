"""LoRA: beside a frozen matrix, the product of two thin ones is learned.

    y = x Wᵀ + b + scale · (x Aᵀ) Bᵀ        A (r, in), B (out, r), B = 0 at first        scale = α / r, or α / √r

    add_adapter(model, LoRAConfig(rank=8))      in place; from here on only A and B are trained
    with adapters_off(model): ...               the model it began as: a reference without a second copy
    merge(model), unmerge(model)                W + scale · B A, and back

Of attention's joined matrix each third, queries, keys and values, has an A and B of its own, as in `peft` and the
models it knows; GPT-2 has one for all, there too. Several adapters may share one base.
Taught in book/3-fine-tuning-a-transformer/05_lora.md. Sources: Hu et al. 2021 (LoRA), §4.1; Kalajdzievski 2023 (rsLoRA,
α / √r).
"""

import contextlib
import math
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from fnmatch import fnmatch

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.nn import functional as F

from insideout.errors import BadInput
from insideout.finetuning.quantised import QuantisedLinear, dequantised_copy
from insideout.training.config import fits
from insideout.transformer.exchange.families import family_of
from insideout.transformer.generation.inputs import SEEDS, real, whole
from insideout.transformer.model import GPT

__all__ = [
    "Adapter", "LoRAConfig", "LoRALinear", "adapters", "adapters_off", "add_adapter", "merge", "merged_copy", "unmerge",
    "use",
]  # fmt: skip

THIRDS = ("query", "key", "value")


@dataclass(frozen=True)
class LoRAConfig:
    """How large an adapter is, how strong, and where. Raises BadInput for what is out of range."""

    rank: int = 8
    """Rows of A, columns of B."""
    alpha: float = 16.0
    """The product is scaled by alpha / rank."""
    targets: tuple[str, ...] = ("blocks.*",)
    """Which linear layers, by patterns of their names or by names' ends: `value`, `attention.output`, `blocks.0.*`."""
    dropout: float = 0.0
    """Of what A reads, while training."""
    rslora: bool = False
    """Scale by alpha / √rank instead, so that a larger rank does not learn more slowly."""

    def __post_init__(self) -> None:
        whole("rank", self.rank, 0)
        for name in ("alpha", "dropout"):
            real(name, getattr(self, name))
        if (
            not fits(self.rslora, bool)
            or not isinstance(self.targets, list | tuple)
            or not fits(list(self.targets), list[str])
        ):
            raise BadInput(
                f"rslora is {self.rslora!r} and the targets are {self.targets!r}: give True or False, and a tuple of "
                "names or patterns."
            )
        if self.rank < 1 or not 0 < self.alpha < math.inf or not 0 <= self.dropout < 1 or not self.targets:
            raise BadInput(
                f"The adapter's rank is {self.rank}, alpha {self.alpha}, dropout {self.dropout}, with "
                f"{len(self.targets)} targets: rank must be at least 1, alpha above 0, dropout from 0 to below 1, and "
                "there must be a target."
            )

    @property
    def scale(self) -> float:
        """What the product B A is multiplied by."""
        return self.alpha / (math.sqrt(self.rank) if self.rslora else self.rank)


Rows = tuple[int, int]
"""The first row of a part, and how many it has."""


class Adapter(nn.Module):
    """A and B for a linear layer, or for some parts of its rows."""

    def __init__(self, linear: nn.Linear, parts: Mapping[str, Rows], config: LoRAConfig, generator: torch.Generator):
        """A is uniform within ±1/√in, so that x Aᵀ is about as large as x; B is 0, so that nothing changes yet."""
        super().__init__()
        self.parts, self.config, self.n_rows = dict(parts), config, linear.out_features
        width = linear.in_features
        self.A, self.B = nn.ParameterDict(), nn.ParameterDict()
        for part, (_, n_rows) in self.parts.items():
            if config.rank > min(width, n_rows):
                raise BadInput(f"The rank is {config.rank}, more than the {n_rows} × {width} matrix itself can have.")
            uniform = torch.rand(config.rank, width, generator=generator) * 2 - 1
            self.A[part] = nn.Parameter((uniform / math.sqrt(width)).to(linear.weight))
            self.B[part] = nn.Parameter(linear.weight.new_zeros(n_rows, config.rank))

    def forward(self, x: Float[Tensor, "*B in_features"]) -> Float[Tensor, "*B out_features"]:
        x = F.dropout(x, self.config.dropout, self.training)
        found = {part: F.linear(F.linear(x, self.A[part]), self.B[part]) for part in self.parts}
        return self.config.scale * self._in_rows(found, -1)

    def delta(self) -> Float[Tensor, "out_features in_features"]:
        """scale · B A: what the adapter adds to the matrix."""
        return self.config.scale * self._in_rows({part: self.B[part] @ self.A[part] for part in self.parts}, 0)

    def _in_rows(self, found: Mapping[str, Tensor], axis: int) -> Tensor:
        """The parts at their rows, 0 where there is no part."""
        first = next(iter(found.values()))
        if first.shape[axis] == self.n_rows:
            return first
        shape = list(first.shape)
        shape[axis] = self.n_rows
        whole = first.new_zeros(shape)
        for part, numbers in found.items():
            whole.narrow(axis, *self.parts[part]).copy_(numbers)
        return whole


class LoRALinear(nn.Module):
    """A frozen linear layer, and the adapters beside it."""

    def __init__(self, base: nn.Linear) -> None:
        super().__init__()
        self.base, self.adapters = base, nn.ModuleDict()
        self.active: tuple[str, ...] = ()
        self.merged: tuple[str, ...] = ()
        """Those whose product is in the base's matrix now."""

    def forward(self, x: Float[Tensor, "*B in_features"]) -> Float[Tensor, "*B out_features"]:
        y = self.base(x)
        for name in () if self.merged else self.active:
            if name in self.adapters:
                y = y + self.adapter(name)(x)
        return y

    def adapter(self, name: str) -> Adapter:
        """The adapter of that name."""
        found = self.adapters[name]
        assert isinstance(found, Adapter)
        return found

    @property
    def weight(self) -> Tensor:
        """What x is multiplied by: the base's matrix and what the active adapters add."""
        deltas = [self.adapter(name).delta() for name in self.active if name in self.adapters and not self.merged]
        return sum(deltas, start=self.base.weight)

    @property
    def bias(self) -> Tensor | None:
        """The base's."""
        return self.base.bias


def add_adapter(model: GPT, config: LoRAConfig, name: str = "default", seed: int = 0) -> None:
    """Put an adapter beside every linear layer that the config names, freeze all else, and use it alone.

    Raises BadInput for a name that is taken or no name, a pattern that fits no layer, a rank that is too high, and for
    a head that shares its matrix with the embedding.
    """
    well_formed = isinstance(name, str) and re.fullmatch(r"[A-Za-z]\w*", name)
    if not well_formed or hasattr(nn.ModuleDict, name) or name in adapters(model):
        raise BadInput(f"The adapter's name is {name!r}: choose another, of letters, digits and _, that is not taken.")
    check_unmerged(model)
    seed = whole("seed", seed, 0, SEEDS - 1)
    chosen: dict[str, dict[str, Rows]] = {}
    used: set[str] = set()
    for module, parts in layers(model).items():
        for part, rows in parts.items():
            fitting = {pattern for pattern in config.targets if matches(pattern, module, part)}
            used |= fitting
            if fitting:
                chosen.setdefault(module, {})[part] = rows
    if missed := [pattern for pattern in config.targets if pattern not in used]:
        raise BadInput(
            f"No linear layer fits {missed[0]!r}: there are {', '.join(kinds(model))}, in each of the blocks."
        )
    if "head" in chosen and model.config.tie_embeddings:
        raise BadInput(
            "The head's matrix is the embedding's too, so that an adapter of it could not be merged: leave it out."
        )
    generator = torch.Generator().manual_seed(seed)
    made = {
        module: Adapter(base_of(model.get_submodule(module)), parts, config, generator)
        for module, parts in chosen.items()
    }
    for module, adapter in made.items():  # all could be made: now in place
        layer = model.get_submodule(module)
        if not isinstance(layer, LoRALinear):
            layer = LoRALinear(base_of(layer))
            model.set_submodule(module, layer)
        layer.adapters[name] = adapter.train(model.training)
    use(model, name)


def use(model: nn.Module, *names: str) -> None:
    """Let these adapters act, and be trained; all else is frozen. Raises BadInput for one that is not there."""
    check_unmerged(model)
    for name in names:
        if name not in adapters(model):
            raise BadInput(f"There is no adapter {name!r}: there is {', '.join(adapters(model)) or 'none'}.")
    for parameter in model.parameters():
        parameter.requires_grad_(False)
    for layer in adapted(model).values():
        layer.active = names
        for name, adapter in layer.adapters.items():
            adapter.requires_grad_(name in names)


def adapters(model: nn.Module) -> list[str]:
    """The names of a model's adapters, in the order of the alphabet."""
    return sorted({name for layer in adapted(model).values() for name in layer.adapters})


@contextlib.contextmanager
def adapters_off(model: nn.Module) -> Iterator[None]:
    """The base alone, exactly, for as long as this lasts. Raises BadInput while an adapter is merged into it."""
    check_unmerged(model)
    before = {layer: layer.active for layer in adapted(model).values()}
    try:
        for layer in before:
            layer.active = ()
        yield
    finally:
        for layer, active in before.items():
            layer.active = active


@torch.no_grad()
def merge(model: nn.Module) -> None:
    """Add what the active adapters add to the base's matrices: as fast as without. `unmerge` takes it out again.

    Raises BadInput where it was done already, and where the base is quantised.
    """
    check_unmerged(model)
    if any(isinstance(layer.base, QuantisedLinear) for layer in adapted(model).values()):
        raise BadInput("The base is quantised and cannot hold the sum: use merged_copy, of ordinary matrices.")
    for layer in adapted(model).values():
        active = tuple(name for name in layer.active if name in layer.adapters)
        layer.base.weight.copy_(layer.weight)
        layer.merged = active


@torch.no_grad()
def unmerge(model: nn.Module) -> None:
    """Subtract again what was merged; equal to what was before up to rounding."""
    for layer in adapted(model).values():
        for name in layer.merged:
            layer.base.weight.sub_(layer.adapter(name).delta())
        layer.merged = ()


def merged_copy(model: GPT) -> GPT:
    """A plain GPT with the active adapters in its matrices, none of them quantised; the model stays as it is."""
    plain = dequantised_copy(model)
    if not any(layer.merged for layer in adapted(plain).values()):
        merge(plain)
    for name, layer in adapted(plain).items():
        plain.set_submodule(name, layer.base)
    return plain.requires_grad_()


def adapted(model: nn.Module) -> dict[str, LoRALinear]:
    """The layers that have adapters, by name."""
    return {name: module for name, module in model.named_modules() if isinstance(module, LoRALinear)}


def base_of(layer: nn.Module) -> nn.Linear:
    """The linear layer itself."""
    linear = layer.base if isinstance(layer, LoRALinear) else layer
    assert isinstance(linear, nn.Linear)
    return linear


def layers(model: GPT) -> dict[str, dict[str, Rows]]:
    """Every linear layer within the blocks or the head, and the parts of its rows that an adapter may be for."""
    wrapped, found = adapted(model), {}
    config, joined = model.config, is_gpt2(model)
    for name, module in model.named_modules():
        if not isinstance(module, nn.Linear | LoRALinear) or (
            name.removesuffix(".base") in wrapped and name not in wrapped
        ):
            continue
        if name.endswith("attention.query_key_value") and not joined:
            sizes = [heads * config.head_width for heads in (config.n_heads, config.kv_heads, config.kv_heads)]
            found[name] = {part: (sum(sizes[:i]), sizes[i]) for i, part in enumerate(THIRDS)}
        else:
            found[name] = {"all": (0, base_of(module).out_features)}
    return found


def is_gpt2(model: GPT) -> bool:
    """Is it of the family that keeps queries, keys and values in one layer?"""
    try:
        return family_of(model.config) == "gpt2"
    except BadInput:  # of no family
        return False


def address(module: str, part: str) -> str:
    """`blocks.0.attention.value`: the name of a part."""
    return module if part == "all" else f"{module.rpartition('.')[0]}.{part}"


def matches(pattern: str, module: str, part: str) -> bool:
    """Does a pattern mean this part of this layer?"""
    names = (module, address(module, part))
    return any(fnmatch(name, pattern) or name.endswith(f".{pattern}") for name in names)


def kinds(model: GPT) -> Sequence[str]:
    """The ends of the layers' names, each once."""
    found = [address(module, part) for module, parts in layers(model).items() for part in parts]
    return list(dict.fromkeys(re.sub(r"^blocks\.\d+\.", "", name) for name in found))


def check_unmerged(model: nn.Module) -> None:
    """Raises BadInput where adapters are in the base's matrices now."""
    if any(layer.merged for layer in adapted(model).values()):
        raise BadInput("An adapter is merged into the base: unmerge it first.")
