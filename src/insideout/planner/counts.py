"""How many numbers a GPT learns and how many operations a token costs, from its config alone.

    a block's matrices    C (A + 2K) + A C, and 2 C F, with swiglu 3 C F       A = H·D, K = G·D, F hidden units
    around the blocks     V C for the head, V C more for an embedding of its own, T C for learned positions
    training a token      6 M + 12 L A T operations, M in all matrices that it is multiplied with

Each number of a matrix takes part in one multiplication and one addition forward, and two of each backward. Attention
makes T scores and T weighted sums of width A a layer, counted in full though the causal half is zero. That is PaLM's
convention; others count the causal half, 6 L A T, as Kaplan et al. and llm.c do, or none of it. A utilisation is only
comparable within one convention. A table that is only looked up costs nothing.
Taught in book/2-building-a-transformer/00_introduction.md and 06_complete_model.md. Sources: Chowdhery et al. 2022,
appendix B (all of attention); Kaplan et al. 2020, §2.1 (half of it).
"""

import math
from dataclasses import dataclass

from insideout.errors import BadInput
from insideout.transformer.config import GPTConfig

MOST_PARAMETERS = 1e15
"""More than this no plan is made for."""


@dataclass(frozen=True)
class Counts:
    """Where a model's parameters are: how many numbers."""

    n_layers: int
    block_matrices: int
    """In the matrices of one block."""
    block_vectors: int
    """In the gains and biases of one block."""
    head: int
    """V C: the head, which may be the embedding as well."""
    embedding: int
    """V C of an embedding of its own; 0 when it is the head."""
    rest: int
    """Learned positions, the last norm, and the gain of a token shift."""

    @property
    def block(self) -> int:
        """In one block."""
        return self.block_matrices + self.block_vectors

    @property
    def matrices(self) -> int:
        """M: numbers that every token is multiplied with."""
        return self.n_layers * self.block_matrices + self.head

    @property
    def total(self) -> int:
        """N: all of them."""
        return self.n_layers * self.block + self.head + self.embedding + self.rest


def widths(config: GPTConfig) -> tuple[int, int]:
    """A and K: how many numbers the queries of a position have, and its keys."""
    return config.n_heads * config.head_width, config.kv_heads * config.head_width


def count(config: GPTConfig) -> Counts:
    """The parameters of a model, without building it; as many as `GPT(config).n_parameters`."""
    c, f, (a, k) = config.d_model, config.ff_width, widths(config)
    ups = {"none": 0, "swiglu": 2}.get(config.mlp, 1)  # matrices from C to F
    norm = c * (2 if config.norm == "layernorm" and config.bias else 1)
    vectors = norm * (2 if ups else 1) + (2 * config.head_width if config.qk_norm else 0)
    if config.bias or config.attention_bias:
        vectors += a + 2 * k + c
    if config.bias and ups:
        vectors += ups * f + c
    return Counts(
        n_layers=config.n_layers,
        block_matrices=c * (a + 2 * k) + a * c + (ups + 1 if ups else 0) * c * f,
        block_vectors=vectors,
        head=config.vocab_size * c,
        embedding=0 if config.tie_embeddings else config.vocab_size * c,
        rest=norm
        + (config.context_length * c if config.positions == "learned" else 0)
        + (c if config.token_shift else 0)
        + config.pair_rows * c,
    )


def flops_per_token(config: GPTConfig) -> float:
    """Floating-point operations of training one token, forward and backward: 6 M + 12 L A T, all of attention."""
    reach = min(config.context_length, config.window or config.context_length)
    return 6.0 * count(config).matrices + 12.0 * config.n_layers * widths(config)[0] * reach


def recomputed_flops_per_token(config: GPTConfig) -> float:
    """Operations of the blocks' second forward pass when activations are recomputed: 2 M without the head, 4 L A T."""
    return (flops_per_token(config) - 6.0 * count(config).head) / 3


def shape_of(n_parameters: float, vocab_size: int = 50_304, context_length: int = 2048) -> GPTConfig:
    """A GPT of about so many parameters, with the default choices and a width of about 100 times its depth.

    Heads are 64 wide, 128 from a width of 1,024 on. Raises BadInput for a number that the vocabulary would use up, or
    above MOST_PARAMETERS. Source of the proportion: Kaplan et al. 2020, §3.1, which finds the loss to depend little on
    it.
    """
    if not n_parameters <= MOST_PARAMETERS:  # nor for nan
        raise BadInput(f"{n_parameters:g} parameters are no model to plan: give at most {MOST_PARAMETERS:g}.")
    if n_parameters < 4 * vocab_size * 64:
        raise BadInput(
            f"{n_parameters:g} parameters are too few for a vocabulary of {vocab_size:,}: give at least "
            f"{4 * vocab_size * 64:,}, or the sizes one by one."
        )

    def shape(width: int, layers: int) -> GPTConfig:
        heads = width // (128 if width >= 1024 else 64)
        return GPTConfig(vocab_size, context_length, d_model=width, n_layers=layers, n_heads=heads)

    def badness(config: GPTConfig) -> float:
        """Being 3% off in size is as bad as a proportion off by e."""
        off = abs(math.log(count(config).total / n_parameters)) / 0.03
        return off + abs(math.log(config.d_model / config.n_layers / 100))

    most = int((n_parameters / 12) ** 0.5) + 1024
    found = []
    for width in (*range(64, 1024, 64), *range(1024, 4096, 256), *range(4096, most, 1024)):  # heads can be dealt out
        layers = (n_parameters - vocab_size * width) / (12 * width**2)
        if 0.5 <= layers <= 1000:
            found.append(shape(width, round(layers)))
    return min(found, key=badness)
