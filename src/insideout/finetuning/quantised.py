"""Frozen matrices in 8 or 4 bits, so that a model too large to be trained can stand behind an adapter (QLoRA).

    int8    w ≈ s · c               s = max |w| / 127 of a block of 64 numbers, c a whole number from -127 to 127
    nf4     w ≈ s · LEVELS[c]       s = max |w| of a block, c one of 16 levels, two in a byte

    quantise_linears(model, "nf4")  in place; then add_adapter(model, ...)
    dequantised_copy(model)         an ordinary model again

The levels of NF4 are quantiles of a normal distribution, as which trained weights are spread: each is used as often as
the others, whereas evenly spaced ones would mostly be wasted on what hardly occurs. The scales of the blocks are
numbers too, half a bit for each weight; `double` keeps them in 8 bits, and 0.13 bits remain.
A product makes the matrix in full for as long as it takes, and again for the gradient: memory is saved, not time.
The numbers that a gradient goes through are those of the model in use, the rounded ones; they are never changed.
Taught in book/3-fine-tuning-a-transformer/17_memory.md. Sources: Dettmers et al. 2023 (QLoRA), §3 and appendix E;
Dettmers et al. 2022 (8-bit optimizers), §2, for quantising by blocks. Shapes: N numbers of a matrix, K = N / 64 blocks.
"""

import copy
from dataclasses import dataclass
from typing import Any, TypeVar

import torch
from jaxtyping import Float, Int8, UInt8
from torch import Tensor, nn
from torch.nn import functional as F

from insideout.errors import BadInput

M = TypeVar("M", bound=nn.Module)
__all__ = [
    "BLOCK", "KINDS", "LEVELS", "Quantised", "QuantisedLinear", "dequantise", "dequantised_copy", "quantise",
    "quantise_linears",
]  # fmt: skip

KINDS = ("int8", "nf4")
BLOCK = 64
"""Numbers that share a scale."""
MANY = 256
"""Scales that share a scale of their own, with `double`."""


def nf4_levels() -> Float[Tensor, " 16"]:
    """The levels of NF4 in [-1, 1]: quantiles of N(0, 1), 7 below zero, zero itself, 8 above.

    A half with k levels takes the quantiles between ½ and p evenly in probability, where p = ½ (1 − 1/32 + 1 − 1/30)
    leaves out the tails, which have no end. Source: Dettmers et al. 2023, §3; the constants are in appendix E.
    """
    most = (1 - 1 / 32 + 1 - 1 / 30) / 2
    above = torch.special.ndtri(torch.linspace(0.5, most, 9, dtype=torch.float64))[1:]
    below = -torch.special.ndtri(torch.linspace(0.5, most, 8, dtype=torch.float64))[1:].flip(0)
    return (torch.cat([below, torch.zeros(1, dtype=torch.float64), above]) / above[-1]).float()


LEVELS = nf4_levels()
BORDERS = (LEVELS[1:] + LEVELS[:-1]) / 2


@dataclass(frozen=True)
class Quantised:
    """A matrix as whole numbers and scales."""

    kind: str
    shape: tuple[int, ...]
    codes: Int8[Tensor, " N"] | UInt8[Tensor, " half_N"]
    """int8: one a number; nf4: two in a byte, the first in the upper half."""
    scales: Float[Tensor, " K"] | Int8[Tensor, " K"]
    mean: Float[Tensor, ""] | None = None
    """With `double`: what was subtracted from the scales,"""
    coarse: Float[Tensor, " K_256th"] | None = None
    """and what their whole numbers are multiplied by, 256 at a time."""

    @property
    def n_bytes(self) -> int:
        """Memory: of codes and scales."""
        held = (self.codes, self.scales, self.mean, self.coarse)
        return sum(each.numel() * each.element_size() for each in held if each is not None)


def quantise(weight: Float[Tensor, "*shape"], kind: str = "nf4", *, double: bool = False) -> Quantised:
    """Each number as the nearest that its block of 64 can say; blocks go along the rows.

    Raises BadInput for another kind, numbers that are not finite, and none at all.
    """
    if kind not in KINDS:
        raise BadInput(f"There is no kind {kind!r} of quantising: choose int8 or nf4.")
    if weight.numel() == 0 or not bool(torch.isfinite(weight).all()):
        raise BadInput("Only finite numbers can be quantised, and at least one: the weights are damaged.")
    values = weight.detach().float().flatten()  # (N,)
    blocks = F.pad(values, (0, -len(values) % BLOCK)).view(-1, BLOCK)  # (K, 64)
    scales = blocks.abs().amax(1)  # (K,)
    inside = blocks / torch.where(scales > 0, scales, 1)[:, None]  # within [-1, 1]
    if kind == "int8":
        codes = (127 * inside).round().to(torch.int8).flatten()[: len(values)]
    else:
        levels = torch.bucketize(inside, BORDERS.to(inside.device)).to(torch.uint8).flatten()  # 0 to 15
        codes = (levels[::2] << 4) | levels[1::2]  # (N / 2,); a block is even
    if not double:
        return Quantised(kind, tuple(weight.shape), codes, scales)
    mean = scales.mean()
    rows = F.pad(scales - mean, (0, -len(scales) % MANY)).view(-1, MANY)
    coarse = rows.abs().amax(1) / 127
    fine = (rows / torch.where(coarse > 0, coarse, 1)[:, None]).round().to(torch.int8).flatten()[: len(scales)]
    return Quantised(kind, tuple(weight.shape), codes, fine, mean, coarse)


def dequantise(held: Quantised, dtype: torch.dtype = torch.float32) -> Float[Tensor, "..."]:
    """The matrix that the whole numbers stand for."""
    n = 1
    for size in held.shape:
        n *= size
    scales = held.scales.float()
    if held.mean is not None and held.coarse is not None:
        scales = scales * held.coarse.repeat_interleave(MANY)[: len(scales)] + held.mean
    if held.kind == "int8":
        inside = held.codes.float() / 127
    else:
        levels = torch.stack([held.codes >> 4, held.codes & 15], dim=1).flatten()
        inside = LEVELS.to(levels.device)[levels.long()]
    inside = F.pad(inside, (0, len(scales) * BLOCK - len(inside)))
    values = (inside.view(-1, BLOCK) * scales[:, None]).flatten()[:n]
    return values.view(held.shape).to(dtype)


class Product(torch.autograd.Function):
    """x Wᵀ, of which only x's gradient is wanted: W is made when it is needed, and not kept in between."""

    @staticmethod
    def forward(ctx: Any, x: Tensor, layer: "QuantisedLinear") -> Tensor:
        ctx.layer, ctx.dtype = layer, x.dtype
        return F.linear(x, layer.matrix(x.dtype))

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor, None]:
        return gradients[0] @ ctx.layer.matrix(gradients[0].dtype), None


class QuantisedLinear(nn.Linear):
    """A linear layer whose frozen matrix is kept in whole numbers."""

    def __init__(self, linear: nn.Linear, kind: str, double: bool = False) -> None:
        """Raises BadInput as `quantise` does."""
        nn.Module.__init__(self)  # not Linear's: there is no matrix to make
        self.in_features, self.out_features = linear.in_features, linear.out_features
        held = quantise(linear.weight, kind, double=double)
        self.kind, self.dtype = kind, linear.weight.dtype
        for name in ("codes", "scales", "mean", "coarse"):
            self.register_buffer(name, getattr(held, name))
        self.bias = linear.bias
        self.requires_grad_(False)

    @property
    def held(self) -> Quantised:
        """Its matrix, as it is kept."""
        parts = {name: getattr(self, name) for name in ("codes", "scales", "mean", "coarse")}
        return Quantised(self.kind, (self.out_features, self.in_features), **parts)

    def matrix(self, dtype: torch.dtype) -> Float[Tensor, "out_features in_features"]:
        """The matrix that it multiplies with."""
        return dequantise(self.held, dtype)

    @property
    def weight(self) -> Tensor:  # type: ignore[override]
        """The matrix, made anew each time: what is written into it is lost."""
        return self.matrix(self.dtype)

    def forward(self, x: Float[Tensor, "*B in_features"]) -> Float[Tensor, "*B out_features"]:
        y: Tensor = Product.apply(x, self)  # type: ignore[no-untyped-call]
        return y if self.bias is None else y + self.bias


def quantise_linears(model: nn.Module, kind: str, *, double: bool = True) -> None:
    """Put every linear layer within the blocks into whole numbers, in place. Embedding, norms and head stay.

    Raises BadInput for another kind, and where that was done already, or where adapters stand beside the layers.
    """
    from insideout.finetuning.lora import LoRALinear  # it knows this module's layers

    if kind not in KINDS:
        raise BadInput(f"There is no kind {kind!r} of quantising: choose int8 or nf4.")
    if any(isinstance(module, QuantisedLinear | LoRALinear) for module in model.modules()):
        raise BadInput("The model has adapters, or is quantised already: quantise it once, before adapters are added.")
    found = [name for name, module in model.named_modules() if name.startswith("blocks.") and type(module) is nn.Linear]
    made = {name: QuantisedLinear(model.get_submodule(name), kind, double) for name in found}  # type: ignore[arg-type]
    for name, layer in made.items():
        model.set_submodule(name, layer)


def dequantised_copy(model: M) -> M:
    """The same function with ordinary matrices, up to rounding."""
    plain = copy.deepcopy(model)
    for name, layer in [each for each in plain.named_modules() if isinstance(each[1], QuantisedLinear)]:
        biased, device = layer.bias is not None, layer.codes.device
        linear = nn.Linear(layer.in_features, layer.out_features, biased, device, layer.dtype)
        with torch.no_grad():
            linear.weight.copy_(layer.weight)
            if layer.bias is not None:
                linear.bias = layer.bias
        plain.set_submodule(name, linear.train(layer.training))
    return plain
