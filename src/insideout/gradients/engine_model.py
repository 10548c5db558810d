"""The transformer of part 1 once more, written with the engine: forward only, the gradients come by themselves.

    softmax(S) = e^S / Σ e^S        LayerNorm(x) = γ (x − mean) (var + ε)^(−1/2) + β        built from + × @ exp log

Taught in book/1-understanding-gradients/12_an_autograd_engine.md. Nothing here is taken from the hand-written backward
pass: the engine differentiates sums, products, exponentials and powers, and must arrive at the same numbers.
"""

from collections.abc import Mapping, Sequence
from math import sqrt

from insideout.gradients.config import Config, Parameter, Parameters, check_params
from insideout.gradients.embedding import check_ids
from insideout.gradients.engine import Node
from insideout.gradients.layer_norm import EPSILON
from insideout.gradients.loss import check_targets, next_token_targets
from insideout.gradients.matrices import Matrix, zeros

FORBIDDEN = -1e9  # added to a score, leaves a weight of exactly e^(−10⁹) = 0


def layer_norm(x: Node, gain: Node, bias: Node) -> Node:
    """Rows of mean 0 and variance 1, then gain and bias: T×C -> T×C."""
    c = len(x.value[0])
    centred = x - x.sum_columns() * (1.0 / c)
    variance = (centred * centred).sum_columns() * (1.0 / c)
    return centred * (variance + Node([[EPSILON]])).power(-0.5) * gain + bias


def softmax(scores: Node) -> Node:
    """Rows that sum to 1. Each row's largest number is subtracted as a constant: it changes nothing."""
    exponentials = (scores - Node([[max(row)] for row in scores.value])).exp()
    return exponentials * exponentials.sum_columns().power(-1.0)


def cross_entropy(logits: Node, targets: Sequence[int | None]) -> Node:
    """Mean of log Σ e^z − z_target over the positions with a target; 1×1."""
    t, v = len(logits.value), len(logits.value[0])
    n = check_targets(targets, t, v)
    if n == 0:
        return logits.sum() * 0.0
    largest = Node([[max(row)] for row in logits.value])
    log_probabilities = logits - largest - (logits - largest).exp().sum_columns().log()
    chosen: Matrix = [[-1.0 / n if j == target else 0.0 for j in range(v)] for target in targets]
    return (log_probabilities * Node(chosen)).sum()


def attention(x: Node, weight: Mapping[str, Node], n_heads: int) -> Node:
    """Causal attention: T×C -> T×C. A head's columns are cut out by a matrix of zeros and ones."""
    t, c = len(x.value), len(x.value[0])
    d = c // n_heads
    mask = Node([[0.0 if s <= i else FORBIDDEN for s in range(t)] for i in range(t)])
    q, k, v = (x @ weight[name] for name in ("query", "key", "value"))
    merged: Node | None = None
    for h in range(n_heads):
        head = zeros(c, d)
        for j in range(d):
            head[h * d + j][j] = 1.0
        cut = Node(head)  # C×D
        scores = (q @ cut) @ (k @ cut).transpose() * (1.0 / sqrt(d)) + mask
        z = softmax(scores) @ (v @ cut) @ cut.transpose()  # back in its own columns, zeros elsewhere
        merged = z if merged is None else merged + z
    assert merged is not None
    return merged @ weight["output"]


def engine_loss(
    nodes: Mapping[str, Node], ids: Sequence[int], config: Config, targets: Sequence[int | None] | None = None
) -> Node:
    """The loss as a node, from parameters as nodes; the same function of them as `model.forward`."""
    check_ids(ids, config.vocab_size, config.context_length)
    x = nodes["token_embedding"].rows(ids) + nodes["position_embedding"].rows(range(len(ids)))
    for i in range(config.n_layers):
        part = {name.removeprefix(f"layers.{i}."): node for name, node in nodes.items()}
        weight = {name: part["attention." + name] for name in ("query", "key", "value", "output")}
        x = x + attention(layer_norm(x, part["norm_1.gain"], part["norm_1.bias"]), weight, config.n_heads)
        y = layer_norm(x, part["norm_2.gain"], part["norm_2.bias"])
        hidden = (y @ part["feed_forward.up"] + part["feed_forward.up_bias"]).gelu()
        x = x + (hidden @ part["feed_forward.down"] + part["feed_forward.down_bias"])
    logits = layer_norm(x, nodes["final_norm.gain"], nodes["final_norm.bias"]) @ nodes["lm_head"]
    return cross_entropy(logits, next_token_targets(ids) if targets is None else targets)


def engine_gradients(
    params: Mapping[str, Parameter], ids: Sequence[int], config: Config, targets: Sequence[int | None] | None = None
) -> tuple[float, Parameters]:
    """(loss, gradients) of the transformer by the engine: names and shapes as `model.backward` returns them."""
    check_params(params, config)
    nodes = {name: Node(parameter) for name, parameter in params.items()}
    loss = engine_loss(nodes, ids, config, targets)
    loss.backward()
    gradients: Parameters = {}
    for name, node in nodes.items():
        assert node.gradient is not None
        gradients[name] = node.gradient if isinstance(params[name][0], list | tuple) else node.gradient[0]
    return loss.value[0][0], gradients
