"""A table of vectors for pairs of neighbouring tokens, found by a hash.

    x_t = E[id_t] + P[row(id_{t−1}, id_t)]          nothing is added at a text's first token

With a vocabulary of V tokens there are V² pairs, so P has fewer rows, and pairs that the hash sends to one row share
it. The first layer then knows the last two tokens without attention: what a table of counted pairs knows is learned in
the first steps, and the layers learn the rest.
Taught in book/2-building-a-transformer/12_learning_faster.md. Source: Svenstrup et al. 2017 (hash embeddings).
Shapes: B batch, T positions, C d_model.
"""

from jaxtyping import Float, Int
from torch import Tensor, nn

FACTORS = 2_654_435_761, 2_246_822_519
"""Large and odd, so that neighbouring numbers end up far apart."""


class PairEmbedding(nn.Embedding):
    """A vector for each of `rows` sets of pairs."""

    def __init__(self, rows: int, d_model: int) -> None:
        super().__init__(rows, d_model)

    def forward(  # type: ignore[override]
        self, ids: Int[Tensor, "B T"], before: Int[Tensor, "B T"], positions: Int[Tensor, "#B T"]
    ) -> Float[Tensor, "B T C"]:
        """`before` holds the tokens one place earlier; at position 0 the result is 0."""
        return super().forward(pair_row(before, ids, self.num_embeddings)) * (positions > 0)[..., None]


def pair_row(before: Int[Tensor, "*rows"], ids: Int[Tensor, "*rows"], rows: int) -> Int[Tensor, "*rows"]:
    """The row of each pair, 0 to rows - 1. It does not depend on the size of the vocabulary, which may grow."""
    first, second = FACTORS
    return ((before * first) ^ (ids * second // 128)) % rows
