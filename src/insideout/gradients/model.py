"""The whole transformer: forward with a trace of every intermediate, and backward over that trace.

    x₀ = E[ids] + P;   x ← x + attention(norm(x));   x ← x + feed_forward(norm(x));   logits = norm(x) W

Taught in book/1-understanding-gradients/07_loss.md (forward), 09_backpropagation.md (backward) and
11_closing_the_loop.md (both, many times).
Pre-norm blocks (Radford et al. 2019), learned positions, mean loss over the positions that predict something.
Shapes: T positions, C d_model, H heads, D head width, F d_ff, V vocabulary.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from insideout.gradients.attention import (
    causal_mask,
    causal_mask_backward,
    merge_heads,
    merge_heads_backward,
    scaled_scores,
    scaled_scores_backward,
    softmax,
    softmax_backward,
    split_heads,
    split_heads_backward,
    weighted_values,
    weighted_values_backward,
)
from insideout.gradients.config import Config, Parameter, Parameters, check_params, matrix, parameter_shapes, vector
from insideout.gradients.embedding import check_ids, embed, embed_backward
from insideout.gradients.feed_forward import FeedForwardTrace, feed_forward, feed_forward_backward
from insideout.gradients.layer_norm import layer_norm, layer_norm_backward
from insideout.gradients.linear import (
    accumulate,
    linear,
    linear_backward,
    lm_head,
    lm_head_backward,
    residual,
    residual_backward,
)
from insideout.gradients.loss import check_targets, cross_entropy, cross_entropy_backward, next_token_targets
from insideout.gradients.matrices import Matrix, Vector


@dataclass
class NormTrace:
    """One LayerNorm: its output and what its backward needs."""

    output: Matrix  # T×C
    normalised: Matrix  # T×C
    inverse_deviations: Vector  # T


@dataclass
class LayerTrace:
    """One block, in the order of computation."""

    x: Matrix  # T×C, what enters
    norm_1: NormTrace
    q: list[Matrix]  # H of T×D
    k: list[Matrix]  # H of T×D
    v: list[Matrix]  # H of T×D
    scores: list[Matrix]  # H of T×T, scaled
    masked: list[Matrix]  # H of T×T, −∞ in the future
    pattern: list[Matrix]  # H of T×T, rows sum to 1
    z: list[Matrix]  # H of T×D
    merged: Matrix  # T×C
    attention_output: Matrix  # T×C
    x_middle: Matrix  # T×C, after the first residual
    norm_2: NormTrace
    feed_forward: FeedForwardTrace
    feed_forward_output: Matrix  # T×C
    x_out: Matrix  # T×C, after the second residual


@dataclass
class Trace:
    """Every intermediate of one forward pass."""

    config: Config
    ids: list[int]
    targets: list[int | None]
    x: Matrix  # T×C, embeddings
    layers: list[LayerTrace]
    final_norm: NormTrace
    logits: Matrix  # T×V
    probabilities: Matrix  # T×V
    loss: float


def forward(
    params: Mapping[str, Parameter], ids: Sequence[int], config: Config, targets: Sequence[int | None] | None = None
) -> tuple[float, Trace]:
    """(loss, trace). Without `targets`, position t predicts ids[t + 1] and the last position predicts nothing.

    With `targets` (one id or None for each position) the loss is the mean over the positions that have one. Where no
    position has one, as in a one-token sequence without targets, the loss is 0 and all gradients are 0.
    Raises ValueError, with the shapes, for ids or parameters that do not fit the config.
    """
    check_params(params, config)
    check_ids(ids, config.vocab_size, config.context_length)
    wanted = next_token_targets(ids) if targets is None else list(targets)
    check_targets(wanted, len(ids), config.vocab_size)

    x = embeddings = embed(ids, matrix(params, "token_embedding"), matrix(params, "position_embedding"))
    layers: list[LayerTrace] = []
    for i in range(config.n_layers):
        layers.append(_block(params, f"layers.{i}.", x, config.n_heads))
        x = layers[-1].x_out
    final_norm = _norm(params, "final_norm.", x)
    logits = lm_head(final_norm.output, matrix(params, "lm_head"))
    loss, probabilities = cross_entropy(logits, wanted)
    return loss, Trace(config, list(ids), wanted, embeddings, layers, final_norm, logits, probabilities, loss)


def _norm(params: Mapping[str, Parameter], name: str, x: Matrix) -> NormTrace:
    return NormTrace(*layer_norm(x, vector(params, name + "gain"), vector(params, name + "bias")))


def _block(params: Mapping[str, Parameter], layer: str, x: Matrix, n_heads: int) -> LayerTrace:
    norm_1 = _norm(params, layer + "norm_1.", x)
    q, k, v = (
        split_heads(linear(norm_1.output, matrix(params, layer + "attention." + name)), n_heads)
        for name in ("query", "key", "value")
    )
    scores = [scaled_scores(*pair) for pair in zip(q, k, strict=True)]
    masked = [causal_mask(head) for head in scores]
    pattern = [softmax(head) for head in masked]
    z = [weighted_values(*pair) for pair in zip(pattern, v, strict=True)]
    merged = merge_heads(z)
    attention_output = linear(merged, matrix(params, layer + "attention.output"))
    x_middle = residual(x, attention_output)
    norm_2 = _norm(params, layer + "norm_2.", x_middle)
    ff = layer + "feed_forward."
    feed_forward_output, kept = feed_forward(
        norm_2.output,
        matrix(params, ff + "up"),
        vector(params, ff + "up_bias"),
        matrix(params, ff + "down"),
        vector(params, ff + "down_bias"),
    )
    x_out = residual(x_middle, feed_forward_output)
    return LayerTrace(
        x, norm_1, q, k, v, scores, masked, pattern, z, merged, attention_output, x_middle, norm_2, kept,
        feed_forward_output, x_out,
    )  # fmt: skip


def backward(
    params: Mapping[str, Parameter], trace: Trace, record: dict[str, Matrix | list[Matrix]] | None = None
) -> Parameters:
    """The gradient of the loss with respect to every parameter: same names, same shapes, same order.

    Walks the trace from the loss to the embeddings. A dict given as `record` receives the gradients of the
    intermediates as well, under names such as "logits", "layers.0.scores" (one matrix a head) or "x".
    """
    config = trace.config
    check_params(params, config)
    found: Parameters = {}
    notes = {} if record is None else record

    dlogits = notes["logits"] = cross_entropy_backward(trace.probabilities, trace.targets)
    dnormed, found["lm_head"] = lm_head_backward(dlogits, trace.final_norm.output, matrix(params, "lm_head"))
    dx = _norm_backward(params, "final_norm.", dnormed, trace.final_norm, found)
    for i in reversed(range(config.n_layers)):
        notes[f"layers.{i}.x_out"] = dx
        dx = _block_backward(params, f"layers.{i}.", dx, trace.layers[i], found, notes)
    notes["x"] = dx
    found["token_embedding"], found["position_embedding"] = embed_backward(
        dx, trace.ids, config.vocab_size, config.context_length
    )
    return {name: found[name] for name in parameter_shapes(config)}


def _norm_backward(
    params: Mapping[str, Parameter], name: str, dy: Matrix, trace: NormTrace, found: Parameters
) -> Matrix:
    dx, found[name + "gain"], found[name + "bias"] = layer_norm_backward(
        dy, trace.normalised, trace.inverse_deviations, vector(params, name + "gain")
    )
    return dx


def _block_backward(
    params: Mapping[str, Parameter],
    layer: str,
    dx_out: Matrix,
    trace: LayerTrace,
    found: Parameters,
    notes: dict[str, Matrix | list[Matrix]],
) -> Matrix:
    """dx of a block, from dx_out; leaves the gradients of its parameters in `found`."""
    ff, attention = layer + "feed_forward.", layer + "attention."

    # x_out = x_middle + feed_forward(norm_2(x_middle)): two ways back to x_middle
    dskip, dbranch = residual_backward(dx_out)
    dnorm_2, found[ff + "up"], found[ff + "up_bias"], found[ff + "down"], found[ff + "down_bias"] = (
        feed_forward_backward(
            dbranch, trace.norm_2.output, trace.feed_forward, matrix(params, ff + "up"), matrix(params, ff + "down")
        )
    )
    dx_middle = accumulate(dskip, _norm_backward(params, layer + "norm_2.", dnorm_2, trace.norm_2, found))

    # x_middle = x + attention(norm_1(x)): two ways back to x
    dskip, dbranch = residual_backward(dx_middle)
    dmerged, found[attention + "output"], _ = linear_backward(
        dbranch, trace.merged, matrix(params, attention + "output")
    )
    dz = merge_heads_backward(dmerged, len(trace.z))
    dpattern, dv, dscores, dq, dk = [], [], [], [], []
    for h, dz_head in enumerate(dz):
        dpattern_head, dv_head = weighted_values_backward(dz_head, trace.pattern[h], trace.v[h])
        dscores_head = causal_mask_backward(softmax_backward(dpattern_head, trace.pattern[h]))
        dq_head, dk_head = scaled_scores_backward(dscores_head, trace.q[h], trace.k[h])
        dpattern.append(dpattern_head)
        dv.append(dv_head)
        dscores.append(dscores_head)
        dq.append(dq_head)
        dk.append(dk_head)

    # the normalised input went to queries, keys and values: three gradients add up
    dnorm_1: Matrix | None = None
    for name, dheads in (("query", dq), ("key", dk), ("value", dv)):
        dpart, found[attention + name], _ = linear_backward(
            split_heads_backward(dheads), trace.norm_1.output, matrix(params, attention + name)
        )
        dnorm_1 = dpart if dnorm_1 is None else accumulate(dnorm_1, dpart)
    assert dnorm_1 is not None
    notes |= {layer + "norm_2": dnorm_2, layer + "x_middle": dx_middle, layer + "merged": dmerged, layer + "z": dz}
    notes |= {layer + "pattern": dpattern, layer + "scores": dscores}
    notes |= {layer + "q": dq, layer + "k": dk, layer + "v": dv, layer + "norm_1": dnorm_1}
    return accumulate(dskip, _norm_backward(params, layer + "norm_1.", dnorm_1, trace.norm_1, found))


def generate(params: Mapping[str, Parameter], ids: Sequence[int], config: Config, n_tokens: int) -> list[int]:
    """`ids` followed by up to `n_tokens` more, each the likeliest next token; ends when the context is full."""
    result = list(ids)
    check_ids(result, config.vocab_size, config.context_length)
    while n_tokens > 0 and len(result) < config.context_length:
        last = forward(params, result, config)[1].logits[-1]
        result.append(max(range(len(last)), key=last.__getitem__))
        n_tokens -= 1
    return result
