"""Activation patching: put one activation of a clean run into a corrupted run, and see how much of the answer returns.

    effect(l, t) = (metric(corrupted, patched at l, t) - metric(corrupted)) / (metric(clean) - metric(corrupted))

0: nothing returned; 1: everything did. Values outside of [0, 1] happen.
Taught in book/2-building-a-transformer/10_interpretability.md. Sources: Meng et al. 2022, §2.1 (causal tracing);
Wang et al. 2023 (two prompts of one template); Zhang and Nanda 2024 (which corruption, which metric).
Shapes: L layers, B pairs of prompts, T positions, C d_model, V vocabulary.
"""

import math
from collections.abc import Callable

import torch
from jaxtyping import Float, Int
from torch import Tensor

from insideout.errors import BadInput
from insideout.transformer.interpret.hooks import Change, edit, record, run
from insideout.transformer.model import GPT

SUFFIX = {"residual": "", "attention": ".attention", "feed_forward": ".feed_forward"}


def patch(
    model: GPT,
    clean_ids: Int[Tensor, "B T"],
    corrupted_ids: Int[Tensor, "B2 T2"],
    metric: Callable[[Tensor], Tensor | float],
    component: str = "residual",
) -> Float[Tensor, "L T"]:
    """How much of the clean answer returns when one layer at one position is given its clean activation.

    The prompts are pairs, equal token for token but for what is asked about; `metric` maps logits (B, T, V) to one
    number, best a difference of logits (Zhang and Nanda 2024), averaged over the pairs. `component` is the residual
    stream after each layer, or what its "attention" or "feed_forward" layer adds. Costs L · T forward passes.

    What it shows: the activation is *sufficient*, in this pair and in company of all that the prompts share, to bring
    the answer back. It does not show that the model needs it: another path may do as well. To ask that, exchange
    the prompts, so that a corrupted activation is put into the clean run, and read 1 as an answer wholly lost.

    Raises BadInput for prompts that do not align, a metric that gives no finite number, or one that gives the same
    number for both prompts.
    """
    if component not in SUFFIX:
        raise BadInput(f"There is nothing to patch at '{component}': choose one of {', '.join(SUFFIX)}.")
    _check_aligned(clean_ids, corrupted_ids)
    n_layers, n_positions = model.config.n_layers, clean_ids.shape[1]
    names = [f"blocks.{layer}{SUFFIX[component]}" for layer in range(n_layers)]
    clean = record(model, clean_ids, [*names, "head"])
    best, worst = _measure(metric, clean["head"]), _measure(metric, run(model, corrupted_ids))
    if best == worst:
        raise BadInput(
            f"The metric is {best:g} for the clean and for the corrupted prompts, so there is no effect to recover: "
            "choose prompts or a metric that tell the two apart."
        )
    effect = torch.zeros(n_layers, n_positions, dtype=torch.float64)
    for layer, name in enumerate(names):
        for t in range(n_positions):
            with edit(model, {name: _restore(clean[name], t)}):
                patched = _measure(metric, run(model, corrupted_ids))
            effect[layer, t] = (patched - worst) / (best - worst)
    return effect


def _restore(clean: Float[Tensor, "B T C"], position: int) -> Change:
    """Replaces what stands at one position by what stood there in the clean run."""

    def restore(x: Tensor) -> Tensor:
        x = x.clone()
        x[:, position] = clean[:, position]
        return x

    return restore


def _measure(metric: Callable[[Tensor], Tensor | float], logits: Float[Tensor, "B T V"]) -> float:
    value = metric(logits)
    if isinstance(value, Tensor) and value.numel() != 1:
        raise BadInput(f"The metric gave a tensor of shape {tuple(value.shape)}: it must give one number.")
    if not math.isfinite(number := float(value)):
        raise BadInput(f"The metric gave {number}, which is no number to compare.")
    return number


def _check_aligned(clean: Int[Tensor, "B T"], corrupted: Int[Tensor, "B2 T2"]) -> None:
    if clean.shape != corrupted.shape:
        raise BadInput(
            f"The prompts do not align: clean has {clean.shape[0]} of {clean.shape[1]} tokens, corrupted has "
            f"{corrupted.shape[0]} of {corrupted.shape[1]}. Choose pairs of equally many tokens."
        )
    same = (clean == corrupted).all(dim=1)
    if bool(same.any()):
        raise BadInput(f"The clean and the corrupted prompt of pair {int(same.nonzero()[0])} are the same.")
