"""More tokens for a trained model: rows for special tokens that are added after the training.

    new row = mean of all rows + a little noise        in the embedding, and in the head

A row far from the others would make the new token likely, or unlikely, everywhere. With the mean of the head's rows its
logit is the mean of all logits, so that the new tokens together take little from the old ones: with n old and k new
ones, at most k / (n + k) but for the noise. That is a tenth of each column's deviation, and tells new tokens apart. Old
rows stay as they are, and so do the old tokens' logits.
Used by whoever fine-tunes.
Source: Hewitt 2021 (Initializing new word embeddings for pretrained language models). Shapes: V vocabulary, C d_model.
"""

import copy
import dataclasses

import torch
from jaxtyping import Float
from torch import Tensor, nn

from insideout.errors import BadInput
from insideout.transformer.head import make_head
from insideout.transformer.model import GPT

NOISE = 0.1
"""The new rows' deviation from the mean row, as a share of the old rows'."""


def grow(model: GPT, vocab_size: int, seed: int = 0) -> GPT:
    """A copy of the model with rows for `vocab_size` tokens. Raises BadInput if it has more than that already."""
    held = model.config.vocab_size
    if vocab_size < held:
        raise BadInput(f"The model has {held} tokens and vocab_size is {vocab_size}: a vocabulary can only grow.")
    grown = copy.deepcopy(model)
    grown.config = dataclasses.replace(model.config, vocab_size=vocab_size)
    generator, d_model = torch.Generator().manual_seed(seed), model.config.d_model
    grown.token_embedding = nn.Embedding(vocab_size, d_model, device="meta")
    with torch.device("meta"):
        grown.head = make_head(grown.config)
    for ours, theirs in ((grown.token_embedding, model.token_embedding), (grown.head, model.head)):
        rows = with_rows(theirs.weight, vocab_size, generator)
        ours.weight = nn.Parameter(rows, requires_grad=theirs.weight.requires_grad)
    if model.config.tie_embeddings:
        grown.head.weight = grown.token_embedding.weight
    return grown.train(model.training)


@torch.no_grad()
def with_rows(weight: Float[Tensor, "V C"], n_rows: int, generator: torch.Generator) -> Float[Tensor, "W C"]:
    """The matrix with rows put below it: the mean row, and noise."""
    mean, deviation = weight.float().mean(0), weight.float().std(0, correction=0)  # (C,)
    noise = torch.randn(n_rows - len(weight), weight.shape[1], generator=generator).to(weight.device)
    return torch.cat([weight, (mean + NOISE * deviation * noise).to(weight.dtype)])
