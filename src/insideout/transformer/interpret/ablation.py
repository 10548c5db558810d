"""Ablation: what does the model lose without a head?

    z_h -> 0                   zero: what the head read is taken away
    z_h -> mean of z_h         mean: it says what it says on average, and nothing of this text

A model has never met a head that is silent, so zero may do damage that has nothing to do with the head's work; the
mean keeps the head's constant part. Either way other heads may step in: little loss does not prove little use.
Taught in book/2-building-a-transformer/10_interpretability.md. Sources: Olsson et al. 2022 (ablating induction
heads); Wang et al. 2023 (mean ablation over a reference distribution).
Shapes: B batch, H heads, T positions, D head width.
"""

from collections import defaultdict
from collections.abc import Iterator, Sequence
from contextlib import contextmanager

from jaxtyping import Int
from torch import Tensor

from insideout.errors import BadInput
from insideout.transformer.interpret.hooks import Change, edit, record
from insideout.transformer.model import GPT


@contextmanager
def ablate(
    model: GPT,
    heads: Sequence[tuple[int, int]],
    how: str = "zero",
    reference: Int[Tensor, "B T"] | None = None,
) -> Iterator[None]:
    """Inside the `with`, the outputs z of some heads, given as (layer, head), are replaced.

    "zero" replaces them by 0; "mean" by their mean over all positions of the `reference` texts, read by the model as
    it is. A mean over the text at hand would tell each position about its future, so the reference must be given.
    Raises BadInput for a head that does not exist, another `how`, or a mean without reference.
    """
    if how not in ("zero", "mean"):
        raise BadInput(f"how is '{how}'; it must be 'zero' or 'mean'.")
    if how == "mean" and reference is None:
        raise BadInput("A mean needs texts to be taken over: give them as reference=ids.")
    of_layer: defaultdict[int, list[int]] = defaultdict(list)
    for layer, head in heads:
        if not (0 <= layer < model.config.n_layers and 0 <= head < model.config.n_heads):
            raise BadInput(
                f"There is no head {head} in a layer {layer}: layers go from 0 to {model.config.n_layers - 1}, "
                f"heads from 0 to {model.config.n_heads - 1}."
            )
        of_layer[layer].append(head)
    names = {layer: f"blocks.{layer}.attention.z" for layer in of_layer}
    means: dict[int, Tensor] = {}
    if how == "mean" and reference is not None:
        z = record(model, reference, list(names.values()))  # each (B, H, T, D)
        means = {layer: z[name].mean(dim=(0, 2))[:, None] for layer, name in names.items()}  # (H, 1, D)
    with edit(model, {names[layer]: _replace(chosen, means.get(layer)) for layer, chosen in of_layer.items()}):
        yield


def _replace(heads: list[int], mean: Tensor | None) -> Change:
    def replace(z: Tensor) -> Tensor:
        z = z.clone()
        z[:, heads] = 0 if mean is None else mean[heads]  # (B, chosen, T, D)
        return z

    return replace
