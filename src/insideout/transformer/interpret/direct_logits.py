"""Direct logit attribution: a logit is a sum, so whose terms are they?

    x = embedding + Σ heads + Σ biases + Σ feed-forward            the last residual stream at one position
    logit = w · norm(x) = Σ (u · part) + w · β

with w the token's row of the head. The norm is linear once its scale s is fixed to what it was in this pass:

    RMSNorm:  u = w ⊙ γ / s,  s = √(mean(x²) + ε)
    LayerNorm:  the same for x less its mean, s = √(variance + ε); since u · (part - mean(part)) =
    (u - mean(u)) · part, it is enough to subtract the mean from u

This counts what a part writes to the logit directly, not what later layers made of it. Of a capped head it explains the
logit before the cap.
Taught in book/2-building-a-transformer/10_interpretability.md. Source: Elhage et al. 2021 (the residual stream as a
sum, each head's term in it). Shapes: B = 1 text, L layers, H heads, T positions, C d_model, D head width, V vocabulary.
"""

from dataclasses import dataclass

import torch
from jaxtyping import Float, Int
from torch import Tensor, nn

from insideout.errors import BadInput
from insideout.transformer.interpret.hook_points import hook_points
from insideout.transformer.interpret.hooks import record
from insideout.transformer.model import GPT


@dataclass(frozen=True)
class Attribution:
    """What each part of the model adds to one logit, in logits."""

    embedding: Float[Tensor, ""]  # the token and, where one is added, its position
    heads: Float[Tensor, "L H"]
    attention_bias: Float[Tensor, " L"]  # the bias of attention's output, which no head owns; 0 without biases
    feed_forward: Float[Tensor, " L"]  # its bias included; 0 in a layer that has none
    norm_bias: Float[Tensor, ""]  # β of the final LayerNorm; 0 for RMSNorm

    @property
    def logit(self) -> Float[Tensor, ""]:
        """The sum of all parts: the model's logit, but for rounding."""
        return self.embedding + self.heads.sum() + self.attention_bias.sum() + self.feed_forward.sum() + self.norm_bias


@torch.no_grad()
def attribution(model: GPT, ids: Int[Tensor, "B T"], position: int, token: int) -> Attribution:
    """Which parts of the model made the logit of `token` at `position` (-1 is the last) of one text, ids (1, T).

    Only differences between logits change a prediction: to ask why one token and not another, subtract the
    attributions of the two. Raises BadInput for more than one text, a position outside of it, or a token outside the
    vocabulary.
    """
    if len(ids) != 1:
        raise BadInput(f"There are {len(ids)} texts: give one at a time, as ids[i : i + 1].")
    n, vocab_size = ids.shape[1], model.config.vocab_size
    if not -n <= position < n:
        raise BadInput(f"There is no position {position} in a text of {n} tokens: choose one from {-n} to {n - 1}.")
    if not 0 <= token < vocab_size:
        raise BadInput(f"There is no token {token}: ids go from 0 to {vocab_size - 1}.")
    last = f"blocks.{model.config.n_layers - 1}"
    summands = [name for name in hook_points(model) if name == "embedding" or name.endswith((".z", ".feed_forward"))]
    parts = {name: x[0] for name, x in record(model, ids, [*summands, last]).items()}
    weights = dict(model.named_parameters())
    u, norm_bias = _frozen_direction(model, parts[last][position], token)
    nothing = u.new_zeros(())
    heads, attention_bias, feed_forward = [], [], []
    for layer in range(model.config.n_layers):
        block = f"blocks.{layer}"
        z = parts[f"{block}.attention.z"][:, position]  # (H, D)
        through = (u @ weights[f"{block}.attention.output.weight"]).view_as(z)  # (C) (C, H D) -> (H, D)
        heads.append((z * through).sum(-1))  # (H)
        bias = weights.get(f"{block}.attention.output.bias")
        attention_bias.append(nothing if bias is None else u @ bias)
        added = parts.get(f"{block}.feed_forward")
        feed_forward.append(nothing if added is None else u @ added[position])
    return Attribution(
        embedding=u @ parts["embedding"][position],
        heads=torch.stack(heads),
        attention_bias=torch.stack(attention_bias),
        feed_forward=torch.stack(feed_forward),
        norm_bias=norm_bias,
    )


def _frozen_direction(model: GPT, x: Float[Tensor, " C"], token: int) -> tuple[Float[Tensor, " C"], Float[Tensor, ""]]:
    """u and w · β: u's product with the residual stream x, plus w · β, is the token's logit."""
    w, gain = model.head.weight[token], model.norm.get_parameter("weight")
    u = w * gain  # (C)
    if isinstance(model.norm, nn.LayerNorm):
        scale = (x.var(correction=0) + model.config.norm_eps).sqrt()
        shift = model.norm.bias
        return (u - u.mean()) / scale, u.new_zeros(()) if shift is None else w @ shift
    return u / (x.square().mean() + model.config.norm_eps).sqrt(), u.new_zeros(())
