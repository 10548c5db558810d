"""Recording and editing: put a function on a hook point, and run the model as it is.

    edit:    x  ->  function(x), and the model goes on with that
    record:  x  ->  x, which is also kept

Recording is the edit that changes nothing. The functions are torch's forward hooks; the model's own code holds names
(modules that compute nothing) and no more. Hooks act on the model itself, not on what torch.compile made of it.
Taught in book/2-building-a-transformer/10_interpretability.md. Shapes: B batch, T positions, V vocabulary.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from typing import Any

import torch
from jaxtyping import Float, Int
from torch import Tensor, nn

from insideout.errors import BadInput
from insideout.transformer.interpret.hook_points import HookPoint, find
from insideout.transformer.model import GPT

Change = Callable[[Tensor], Tensor]


@contextmanager
def edit(model: GPT, changes: Mapping[str, Change]) -> Iterator[None]:
    """Inside the `with`, every forward pass replaces the tensor x at each hook point by `function(x)`.

    `changes` maps names or globs to functions; the shapes are those that `hook_points(model)` tells. Where several
    edits meet in one point, they apply in the order given, an outer `with` before an inner one. With a KV cache there
    are only the new positions, but all keys and values. A function is given a copy, which it may change in place.

    For query, key, value, scores and pattern, the model computes attention by the readable formula, whose numbers
    differ from the fused ones by rounding. Raises BadInput for a name that does not exist, and for a function that
    returns anything but a tensor of the same shape and type.
    """
    chosen = [(point, function) for wanted, function in changes.items() for point in find(model, wanted)]
    with ExitStack() as hooks:
        if any(point.needs_formula for point, _ in chosen):
            hooks.enter_context(model.register_forward_pre_hook(_by_formula, with_kwargs=True))
        for point, function in chosen:
            hooks.enter_context(_register(model, point, function))
        yield


def record(model: GPT, ids: Int[Tensor, "B T"], names: str | Sequence[str]) -> dict[str, Tensor]:
    """The activations at some hook points when the model reads `ids`: name -> tensor, in the order of the forward pass.

    `names` are names or globs; the shapes are those that `hook_points(model)` tells. One forward pass without dropout
    and without gradients, by attention's readable formula where `edit` would use it. Inside an `edit`, what is
    recorded is the edited tensor. Raises BadInput for a name that does not exist, an empty text, or an id outside
    the vocabulary.
    """
    held: dict[str, Tensor] = {}
    with edit(model, {point.name: _keep(held, point.name) for point in find(model, names)}):
        run(model, ids)
    return held


@torch.no_grad()
def run(model: GPT, ids: Int[Tensor, "B T"]) -> Float[Tensor, "B T V"]:
    """The logits, without dropout and without gradients. Raises BadInput for no ids or ids not in the vocabulary."""
    vocab_size = model.config.vocab_size
    if ids.numel() == 0:
        raise BadInput("There is nothing to read: give at least one text of at least one token.")
    if int(ids.min()) < 0 or int(ids.max()) >= vocab_size:
        raise BadInput(f"A text holds an id outside the vocabulary of {vocab_size} tokens: is it another tokenizer's?")
    was_training = model.training
    model.eval()
    try:
        return model(ids)
    finally:
        model.train(was_training)


def _keep(held: dict[str, Tensor], name: str) -> Change:
    def keep(x: Tensor) -> Tensor:
        held[name] = x.clone()
        return x

    return keep


def _register(model: GPT, point: HookPoint, function: Change) -> Any:
    """The handle of a hook, which removes it when its `with` ends."""
    module = model.get_submodule(point.address)

    def change(x: Tensor) -> Tensor:
        if point.by_head:
            x = x.reshape(*x.shape[:2], model.config.n_heads, -1).transpose(1, 2)  # (B, T, H D) -> (B, H, T, D)
        changed = function(x.clone())  # hook points share memory: what is changed in place would change others too
        if not isinstance(changed, Tensor):
            raise BadInput(
                f"The edit of '{point.name}' returned {type(changed).__name__}: return the tensor to go on with."
            )
        if changed.shape != x.shape or changed.dtype != x.dtype:
            raise BadInput(
                f"The edit of '{point.name}' returned {changed.dtype} of shape {tuple(changed.shape)}: "
                f"return {x.dtype} of shape {tuple(x.shape)}."
            )
        return changed.transpose(1, 2).flatten(2) if point.by_head else changed

    if point.is_input:
        return module.register_forward_pre_hook(lambda module, inputs: (change(inputs[0]), *inputs[1:]))
    return module.register_forward_hook(lambda module, inputs, output: change(output))


def _by_formula(module: nn.Module, inputs: Any, named: dict[str, Any]) -> tuple[Any, dict[str, Any]]:
    """The same call with attention computed as it is written: GPT.forward(ids, cache, explain=True)."""
    return inputs[:2], named | {"explain": True}
