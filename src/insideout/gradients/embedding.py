"""Token and position embeddings: look two rows up and add them.

    X_t = E[id_t] + P[t]

Taught in book/1-understanding-gradients/01_tokens_and_embeddings.md and 09_backpropagation.md.
"""

from collections.abc import Sequence

from insideout.gradients.matrices import Matrix, shape, zeros


def check_ids(ids: Sequence[int], vocab_size: int, context_length: int) -> None:
    """Raises ValueError for an empty sequence, one too long, or an id outside the vocabulary."""
    if len(ids) == 0:
        raise ValueError("ids is an empty sequence (length 0): give at least one token")
    if len(ids) > context_length:
        raise ValueError(f"ids has length {len(ids)}, but there are only {context_length} positions (context_length)")
    for t, token in enumerate(ids):
        if isinstance(token, bool) or not isinstance(token, int):
            raise ValueError(f"ids[{t}] of the {len(ids)} ids is {token!r}: an id is an int")
        if not 0 <= token < vocab_size:
            raise ValueError(f"ids[{t}] is {token}, outside the vocabulary 0..{vocab_size - 1} (size {vocab_size})")


def embed(ids: Sequence[int], token_embedding: Matrix, position_embedding: Matrix) -> Matrix:
    """The row of each token plus the row of its position: V×C and context×C -> T×C."""
    (v, c), (n, width) = shape(token_embedding, "token_embedding"), shape(position_embedding, "position_embedding")
    if c != width:
        raise ValueError(f"embed: token_embedding {v}×{c} and position_embedding {n}×{width} differ in width")
    check_ids(ids, v, n)
    return [
        [e + p for e, p in zip(token_embedding[token], position_embedding[t], strict=True)]
        for t, token in enumerate(ids)
    ]


def embed_backward(dx: Matrix, ids: Sequence[int], vocab_size: int, context_length: int) -> tuple[Matrix, Matrix]:
    """(dtoken_embedding V×C, dposition_embedding context×C) of `embed`, from dx T×C.

    ∂X_t/∂E[w] is 1 where id_t = w and 0 elsewhere, so a row of E collects from every position where its token stands
    (`+=`: a token said twice is taught twice), and each position has its own row of P:

        dE[w] = Σ_{t: id_t = w} dX_t        dP[t] = dX_t

    Tokens that do not occur and positions that are not reached have gradient zero.
    """
    check_ids(ids, vocab_size, context_length)
    t, c = shape(dx, "dx of embed_backward")
    if t != len(ids):
        raise ValueError(f"embed_backward: dx is {t}×{c}, but there are {len(ids)} ids")
    dtoken, dposition = zeros(vocab_size, c), zeros(context_length, c)
    for position, token in enumerate(ids):
        for j, gradient in enumerate(dx[position]):
            dtoken[token][j] += gradient
            dposition[position][j] += gradient
    return dtoken, dposition
