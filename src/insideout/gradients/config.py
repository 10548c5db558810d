"""The size of the transformer of part 1, and the names and shapes of its parameters.

Taught in book/1-understanding-gradients/00_introduction.md, where the parameters are counted.
Matrices multiply from the right (Y = X W), so a weight has shape inputs×outputs.
"""

import random
from collections.abc import Mapping
from dataclasses import dataclass, fields
from math import sqrt

from insideout.gradients.matrices import Matrix, Vector, gaussian, length, shape

Parameter = Matrix | Vector
Parameters = dict[str, Matrix | Vector]


@dataclass(frozen=True)
class Config:
    """Sizes. Attention and LM head have no biases; the feed-forward network and LayerNorm have."""

    vocab_size: int
    context_length: int
    d_model: int
    n_layers: int
    n_heads: int
    d_ff: int

    def __post_init__(self) -> None:
        for field in fields(self):
            value = getattr(self, field.name)
            if isinstance(value, bool) or not isinstance(value, int) or value < 1:
                raise ValueError(f"Config: {field.name} must be an int of at least 1, not {value!r}")
        if self.d_model % self.n_heads:
            raise ValueError(f"Config: d_model {self.d_model} does not split into {self.n_heads} equal heads")


def parameter_shapes(config: Config) -> dict[str, tuple[int, ...]]:
    """Name -> shape of every parameter, in the order of the forward pass; vectors have one number in their shape."""
    v, c, f = config.vocab_size, config.d_model, config.d_ff
    shapes: dict[str, tuple[int, ...]] = {"token_embedding": (v, c), "position_embedding": (config.context_length, c)}
    for i in range(config.n_layers):
        layer = f"layers.{i}."
        shapes |= {layer + "norm_1.gain": (c,), layer + "norm_1.bias": (c,)}
        shapes |= {layer + "attention." + name: (c, c) for name in ("query", "key", "value", "output")}
        shapes |= {layer + "norm_2.gain": (c,), layer + "norm_2.bias": (c,)}
        shapes |= {layer + "feed_forward.up": (c, f), layer + "feed_forward.up_bias": (f,)}
        shapes |= {layer + "feed_forward.down": (f, c), layer + "feed_forward.down_bias": (c,)}
    return shapes | {"final_norm.gain": (c,), "final_norm.bias": (c,), "lm_head": (c, v)}


def count_parameters(config: Config) -> int:
    """How many numbers the model learns."""
    return sum(s[0] * s[1] if len(s) == 2 else s[0] for s in parameter_shapes(config).values())


def init_params(config: Config, seed: int) -> Parameters:
    """Fresh parameters: weights normal with deviation 1/√inputs, embeddings 0.5, gains 1, biases 0.

    The same config and seed give the same numbers on every supported Python.
    """
    rng = random.Random(seed)
    params: Parameters = {}
    for name, size in parameter_shapes(config).items():
        if len(size) == 1:
            params[name] = [1.0 if name.endswith("gain") else 0.0] * size[0]
        else:
            deviation = 0.5 if name.endswith("embedding") else 1.0 / sqrt(size[0])
            params[name] = gaussian(size[0], size[1], deviation, rng)
    return params


def matrix(params: Mapping[str, Parameter], name: str) -> Matrix:
    """The parameter `name`, which is a matrix."""
    value = params[name]
    shape(value, name)  # type: ignore[arg-type]
    return value  # type: ignore[return-value]


def vector(params: Mapping[str, Parameter], name: str) -> Vector:
    """The parameter `name`, which is a vector."""
    value = params[name]
    length(value, name)  # type: ignore[arg-type]
    return value  # type: ignore[return-value]


def check_params(params: Mapping[str, Parameter], config: Config) -> None:
    """Raises ValueError when a parameter is missing, unknown, ragged or of another shape than the config says."""
    expected = parameter_shapes(config)
    if params.keys() != expected.keys():
        missing, unknown = sorted(expected.keys() - params.keys()), sorted(params.keys() - expected.keys())
        raise ValueError(f"the parameters do not fit the config: missing {missing}, unknown {unknown}")
    for name, size in expected.items():
        got = shape(matrix(params, name), name) if len(size) == 2 else (length(vector(params, name), name),)
        if got != size:
            raise ValueError(f"{name} has shape {'×'.join(map(str, got))}, the config says {'×'.join(map(str, size))}")
