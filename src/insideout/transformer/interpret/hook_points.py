"""Names for everything a GPT computes on the way to its logits.

    blocks.2                      the residual stream after layer 2
    blocks.2.attention.pattern    what that layer's heads read from
    blocks.*.attention            what each layer's attention adds; * stands for one part of a name
    *.pattern                     every pattern: a glob may leave out the beginning

Most names are the addresses of modules, and what is found there is the module's output.
Taught in book/2-building-a-transformer/10_interpretability.md. Shapes: B batch, T positions, S keys (S = T without
a cache), C d_model, H heads, D head width, V vocabulary.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from difflib import get_close_matches
from pathlib import PurePosixPath

from insideout.errors import BadInput
from insideout.transformer.model import GPT


@dataclass(frozen=True)
class HookPoint:
    """One tensor of the forward pass: which module it passes, and on which side."""

    name: str
    meaning: str  # and its shape
    module: str = ""  # the module's address, unless it is the name
    is_input: bool = False  # the module's input rather than its output
    needs_formula: bool = False  # exists only where attention is computed as it is written, not in the fused path
    by_head: bool = False  # the module has the heads side by side, (B, T, H D)

    @property
    def address(self) -> str:
        """Where the module is found in the model."""
        return self.module or self.name


BEFORE = (
    HookPoint("token_embedding", "the tokens' vectors (B, T, C)"),
    HookPoint("position_embedding", "the learned positions' vectors (1, T, C)"),
    HookPoint("embedding", "the residual stream before the first layer (B, T, C)", "blocks.0", is_input=True),
)
INSIDE = (  # once for each layer
    HookPoint("attention_norm", "the residual stream normalised, as attention reads it (B, T, C)"),
    HookPoint("attention.query", "each head's queries, as it uses them (B, H, T, D)", needs_formula=True),
    HookPoint("attention.key", "each head's keys, as it uses them (B, H, S, D)", needs_formula=True),
    HookPoint("attention.value", "each head's values (B, H, S, D)", needs_formula=True),
    HookPoint("attention.scores", "how well queries fit keys, -inf where masked (B, H, T, S)", needs_formula=True),
    HookPoint("attention.pattern", "where each position reads, rows sum to 1 (B, H, T, S)", needs_formula=True),
    HookPoint("attention.z", "what each head read (B, H, T, D)", "attention.output", is_input=True, by_head=True),
    HookPoint("attention", "what attention adds to the residual stream (B, T, C)"),
    HookPoint("feed_forward_norm", "the residual stream normalised, as the feed-forward layer reads it (B, T, C)"),
    HookPoint("feed_forward.hidden", "the hidden activations (B, T, d_ff)", "feed_forward.down", is_input=True),
    HookPoint("feed_forward", "what the feed-forward layer adds to the residual stream (B, T, C)"),
    HookPoint("", "the residual stream after this layer (B, T, C)"),
)
AFTER = (
    HookPoint("norm", "the final residual stream normalised, as the head reads it (B, T, C)"),
    HookPoint("head", "the logits (B, T, V)"),
)


def all_hook_points(model: GPT) -> dict[str, HookPoint]:
    """Every hook point of this model by name, in the order of the forward pass."""
    layers = [_of_layer(point, layer) for layer in range(model.config.n_layers) for point in INSIDE]
    exists = dict(model.named_modules())
    return {point.name: point for point in (*BEFORE, *layers, *AFTER) if point.address in exists}


def hook_points(model: GPT) -> dict[str, str]:
    """The names that `record` and `edit` know, each with what is found there and its shape, in forward order."""
    return {name: point.meaning for name, point in all_hook_points(model).items()}


def find(model: GPT, wanted: str | Sequence[str]) -> list[HookPoint]:
    """The hook points of some names or globs, in forward order. Raises BadInput, with the nearest, where none fits."""
    known = all_hook_points(model)
    chosen: set[str] = set()
    for name in [wanted] if isinstance(wanted, str) else wanted:
        found = [each for each in known if _fits(each, name)]
        if not found:
            raise BadInput(f"There is no hook point '{name}' in this model: {_advice(name, list(known))}")
        chosen.update(found)
    return [point for name, point in known.items() if name in chosen]


def _of_layer(point: HookPoint, layer: int) -> HookPoint:
    name, address = (f"blocks.{layer}.{part}".removesuffix(".") for part in (point.name, point.address))
    return replace(point, name=name, module=address)


def _fits(name: str, wanted: str) -> bool:
    if "*" not in wanted:
        return name == wanted
    return PurePosixPath(name.replace(".", "/")).match(wanted.replace(".", "/"))


def _advice(name: str, known: list[str]) -> str:
    every_layer = [".".join("*" if part.isdigit() else part for part in each.split(".")) for each in known]
    anywhere = [f"*.{each.rpartition('.')[2]}" for each in every_layer]
    near = get_close_matches(name, [*known, *every_layer, *anywhere], n=1)
    return f"did you mean '{near[0]}'?" if near else "hook_points(model) lists those that there are."
