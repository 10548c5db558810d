"""Part 1: a transformer's forward and backward pass by hand, in plain Python. Standard library only.

Taught, chapter by chapter, in book/1-understanding-gradients. Each operation stands beside its backward, with the
derivation between.
"""

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
from insideout.gradients.check import finite_differences, relative_error, relative_error_of_each, resolution
from insideout.gradients.config import Config, Parameter, Parameters, count_parameters, init_params, parameter_shapes
from insideout.gradients.embedding import embed, embed_backward
from insideout.gradients.engine import Node
from insideout.gradients.engine_model import engine_gradients, engine_loss
from insideout.gradients.feed_forward import feed_forward, feed_forward_backward, gelu, gelu_backward
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
from insideout.gradients.loss import cross_entropy, cross_entropy_backward, next_token_targets
from insideout.gradients.matrices import (
    Matrix,
    Vector,
    add,
    add_to_rows,
    apply,
    matmul,
    multiply,
    scale,
    shape,
    sum_of_rows,
    transpose,
    zeros,
)
from insideout.gradients.model import LayerTrace, NormTrace, Trace, backward, forward, generate
from insideout.gradients.optimizer import AdamWNumber, AdamWState, adamw_number, adamw_state, adamw_step, sgd_step

__all__ = [
    "AdamWNumber",
    "AdamWState",
    "Config",
    "LayerTrace",
    "Matrix",
    "Node",
    "NormTrace",
    "Parameter",
    "Parameters",
    "Trace",
    "Vector",
    "accumulate",
    "adamw_number",
    "adamw_state",
    "adamw_step",
    "add",
    "add_to_rows",
    "apply",
    "backward",
    "causal_mask",
    "causal_mask_backward",
    "count_parameters",
    "cross_entropy",
    "cross_entropy_backward",
    "embed",
    "embed_backward",
    "engine_gradients",
    "engine_loss",
    "feed_forward",
    "feed_forward_backward",
    "finite_differences",
    "forward",
    "gelu",
    "gelu_backward",
    "generate",
    "init_params",
    "layer_norm",
    "layer_norm_backward",
    "linear",
    "linear_backward",
    "lm_head",
    "lm_head_backward",
    "matmul",
    "merge_heads",
    "merge_heads_backward",
    "multiply",
    "next_token_targets",
    "parameter_shapes",
    "relative_error",
    "relative_error_of_each",
    "residual",
    "residual_backward",
    "resolution",
    "scale",
    "scaled_scores",
    "scaled_scores_backward",
    "sgd_step",
    "shape",
    "softmax",
    "softmax_backward",
    "split_heads",
    "split_heads_backward",
    "sum_of_rows",
    "transpose",
    "weighted_values",
    "weighted_values_backward",
    "zeros",
]
