"""Each operation's backward against central differences of its own forward, and its refusals."""

import math
import random

import pytest

from insideout.gradients import (
    add,
    add_to_rows,
    causal_mask,
    causal_mask_backward,
    cross_entropy,
    cross_entropy_backward,
    embed,
    embed_backward,
    feed_forward,
    feed_forward_backward,
    gelu,
    gelu_backward,
    layer_norm,
    layer_norm_backward,
    linear,
    linear_backward,
    lm_head,
    lm_head_backward,
    matmul,
    merge_heads,
    merge_heads_backward,
    relative_error,
    residual,
    residual_backward,
    scaled_scores,
    scaled_scores_backward,
    shape,
    softmax,
    softmax_backward,
    split_heads,
    split_heads_backward,
    transpose,
    weighted_values,
    weighted_values_backward,
)

rng = random.Random(0)


def draw(*size):
    return [draw(*size[1:]) for _ in range(size[0])] if size else rng.gauss(0, 1)


def rows_of(value):
    """The rows of a vector, a matrix, or a list of matrices, as one list of the lists that hold numbers."""
    return [value] if not isinstance(value[0], list) else [row for part in value for row in rows_of(part)]


def dot(a, b):
    return sum(x * y for p, q in zip(rows_of(a), rows_of(b), strict=True) for x, y in zip(p, q, strict=True))


def measured(function, arguments, index, dy, h=1e-3):
    """∂(dy · function)/∂arguments[index] by central differences of order 4."""
    result = []
    for row in rows_of(arguments[index]):
        line = []
        for j, kept in enumerate(row):
            values = []
            for k in (1, -1, 2, -2):
                row[j] = kept + k * h
                values.append(dot(function(*arguments), dy))
            row[j] = kept
            line.append((2 / 3 * (values[0] - values[1]) - 1 / 12 * (values[2] - values[3])) / h)
        result.append(line)
    return result


X, W, B, Q, K, V = draw(4, 3), draw(3, 5), draw(5), draw(4, 3), draw(4, 3), draw(4, 3)
GAIN, BIAS = draw(3), draw(3)
UP, UP_BIAS, DOWN, DOWN_BIAS = draw(3, 7), draw(7), draw(7, 3), draw(3)
PATTERN, SQUARE = softmax(draw(4, 4)), draw(4, 4)
HEADS = [draw(4, 2), draw(4, 2), draw(4, 2)]
IDS = [2, 0, 2, 1]
TARGETS = [1, None, 0, 2]


def visible(scores):
    """The mask's output without its infinities, which no difference can be taken of."""
    return [[0.0 if n == -math.inf else n for n in row] for row in causal_mask(scores)]


def layer_norm_gradients(dy, x, gain, bias):
    _, n, r = layer_norm(x, gain, bias)
    return layer_norm_backward(dy, n, r, gain)


def feed_forward_gradients(dy, x, up, up_bias, down, down_bias):
    return feed_forward_backward(dy, x, feed_forward(x, up, up_bias, down, down_bias)[1], up, down)


OPERATIONS = {
    "linear": (linear, [X, W, B], lambda dy, x, w, b: linear_backward(dy, x, w)),
    "lm_head": (lm_head, [X, W], lm_head_backward),
    "residual": (residual, [Q, K], lambda dy, a, b: residual_backward(dy)),
    "embed": (
        lambda e, p: embed(IDS, e, p),
        [draw(5, 3), draw(6, 3)],
        lambda dy, e, p: embed_backward(dy, IDS, 5, 6),
    ),
    "scaled_scores": (scaled_scores, [Q, K], scaled_scores_backward),
    "causal_mask": (visible, [SQUARE], lambda dy, s: (causal_mask_backward(dy),)),
    "softmax": (softmax, [SQUARE], lambda dy, s: (softmax_backward(dy, softmax(s)),)),
    "weighted_values": (weighted_values, [PATTERN, V], weighted_values_backward),
    "split_heads": (lambda x: split_heads(x, 3), [draw(4, 6)], lambda dy, x: (split_heads_backward(dy),)),
    "merge_heads": (merge_heads, [HEADS], lambda dy, h: (merge_heads_backward(dy, 3),)),
    "layer_norm": (lambda *a: layer_norm(*a)[0], [X, GAIN, BIAS], layer_norm_gradients),
    "gelu": (gelu, [X], lambda dy, x: (gelu_backward(dy, x),)),
    "feed_forward": (
        lambda *a: feed_forward(*a)[0],
        [X, UP, UP_BIAS, DOWN, DOWN_BIAS],
        feed_forward_gradients,
    ),
    "cross_entropy": (
        lambda z: [cross_entropy(z, TARGETS)[0]],
        [draw(4, 3)],
        lambda dy, z: (
            [[dy[0] * d for d in row] for row in cross_entropy_backward(cross_entropy(z, TARGETS)[1], TARGETS)],
        ),
    ),
}


@pytest.mark.parametrize("name", OPERATIONS)
def test_backward_equals_central_differences(name):
    function, arguments, backward = OPERATIONS[name]
    dy = [[rng.gauss(0, 1) for _ in row] for row in rows_of(function(*arguments))]
    value = function(*arguments)
    if not isinstance(value[0], list):
        dy = dy[0]
    elif isinstance(value[0][0], list):
        dy = [dy[4 * h : 4 * h + 4] for h in range(len(value))]
    gradients = backward(dy, *arguments)
    assert len(gradients) == len(arguments)
    for index, gradient in enumerate(gradients):
        expected = measured(function, arguments, index, dy)
        assert relative_error(rows_of(gradient), expected) <= 1e-9, index


def test_softmax_and_loss_survive_huge_numbers():
    assert softmax([[1e4, 0.0, -math.inf]]) == [[1.0, 0.0, 0.0]]
    loss, probabilities = cross_entropy([[0.0, 1e4]], [0])
    assert loss == 1e4 and probabilities == [[0.0, 1.0]]


def test_masked_positions_get_weight_and_gradient_zero():
    pattern = softmax(causal_mask(SQUARE))
    assert pattern[0] == [1.0, 0.0, 0.0, 0.0]
    dscores = causal_mask_backward(softmax_backward(draw(4, 4), pattern))
    assert all(dscores[t][s] == 0.0 for t in range(4) for s in range(t + 1, 4))


REFUSED = [
    (lambda: matmul(X, X), "got 4×3 and 4×3"),
    (lambda: add(X, W), "got 4×3 and 3×5"),
    (lambda: add_to_rows(X, B), "4×3 and a vector of 5"),
    (lambda: shape([]), "empty list"),
    (lambda: shape([1.0, 2.0]), "list of rows"),
    (lambda: shape([[]]), "1×0"),
    (lambda: transpose([[1.0, 2.0], [3.0]]), "ragged: row 0 has 2 numbers and row 1 has 1"),
    (lambda: linear_backward(X, X, W), "x 4×3 and w 3×5 do not fit dy 4×3"),
    (lambda: embed([5], draw(5, 3), draw(6, 3)), r"outside the vocabulary 0\.\.4"),
    (lambda: embed([0], draw(5, 3), draw(6, 4)), "5×3 and position_embedding 6×4"),
    (lambda: embed_backward(X, [0], 5, 6), "dx is 4×3, but there are 1 ids"),
    (lambda: scaled_scores(Q, W), "4×3 and keys 3×5"),
    (lambda: scaled_scores_backward(X, Q, K), "do not fit dscores 4×3"),
    (lambda: causal_mask(X), "square T×T matrix, got 4×3"),
    (lambda: softmax([[-math.inf, -math.inf]]), "all 2 numbers of row 0"),
    (lambda: softmax_backward(X, SQUARE), "got 4×3 and 4×4"),
    (lambda: weighted_values(PATTERN, W), "got 4×4 and 3×5"),
    (lambda: weighted_values_backward(W, PATTERN, V), "dz 3×5"),
    (lambda: split_heads(X, 2), "3 columns .* 2 equal heads"),
    (lambda: merge_heads([draw(4, 2), draw(4, 3)]), "4×2, 4×3"),
    (lambda: merge_heads([]), "empty"),
    (lambda: layer_norm(X, B, BIAS), "need 3 numbers, not 5, 3"),
    (lambda: layer_norm_backward(X, W, [1.0], GAIN), "got 4×3 and 3×5"),
    (lambda: layer_norm_backward(X, X, [1.0], GAIN), "inverse_deviations 1 numbers"),
    (lambda: gelu_backward(X, W), "got 4×3 and 3×5"),
    (lambda: cross_entropy(X, [0]), "length 1, but there are 4"),
    (lambda: cross_entropy(X, [0, 1, 2, 3]), r"targets\[3\] is 3"),
    (lambda: relative_error(X, W), "cannot compare 4 rows"),
]


@pytest.mark.parametrize("index", range(len(REFUSED)))
def test_shapes_that_do_not_fit_are_refused_by_name(index):
    call, message = REFUSED[index]
    with pytest.raises(ValueError, match=message):
        call()
