"""The logit lens: what would the model say if it stopped after this layer?

    logits_l = head(norm(x_l))        x_l the residual stream after layer l

Every layer adds to one residual stream, so the final norm and head can read it anywhere. They were trained to read
the last layer's: an early layer may know more than this lens shows.
Taught in book/2-building-a-transformer/10_interpretability.md. Source: nostalgebraist 2020, "interpreting GPT: the
logit lens"; its weakness, Belrose et al. 2023. Shapes: L layers, B batch, T positions, V vocabulary.
"""

import torch
from jaxtyping import Float, Int
from torch import Tensor

from insideout.transformer.interpret.hooks import record
from insideout.transformer.model import GPT


@torch.no_grad()
def logit_lens(model: GPT, ids: Int[Tensor, "B T"]) -> Float[Tensor, "L B T V"]:
    """The logits read off the residual stream after each layer; the last layer's are the model's own.

    Raises BadInput for an empty text or an id outside the vocabulary.
    """
    streams = record(model, ids, "blocks.*")  # L times (B, T, C)
    return torch.stack([model.head(model.norm(stream)) for stream in streams.values()])
