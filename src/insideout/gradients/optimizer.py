"""AdamW: a step for every number, sized by the number's own history of gradients.

    m ← β₁ m + (1 − β₁) g        v ← β₂ v + (1 − β₂) g²        m̂ = m/(1 − β₁ᵗ)        v̂ = v/(1 − β₂ᵗ)
    p ← p − lr · λ · p − lr · m̂ / (√v̂ + ε)

Taught in book/1-understanding-gradients/10_adamw.md. Sources: Kingma and Ba 2015; Loshchilov and Hutter 2019.
Steps return new parameters and leave the old ones as they are, so before and after can be compared.
"""

from collections.abc import Mapping
from math import sqrt
from typing import NamedTuple

from insideout.gradients.config import Parameter, Parameters


class AdamWNumber(NamedTuple):
    """One AdamW step of one number, with every intermediate."""

    m: float  # mean of the gradients, older ones counting less
    v: float  # mean of their squares, likewise
    m_hat: float  # m without its bias towards the 0 it began at
    v_hat: float
    step: float  # lr · m_hat / (√v_hat + ε)
    decay: float  # lr · weight decay · parameter
    parameter: float  # after the step


class AdamWState(NamedTuple):
    """What AdamW remembers: the number of steps taken, and m and v in the shapes of the parameters."""

    steps: int
    m: Parameters
    v: Parameters


def adamw_state(params: Mapping[str, Parameter]) -> AdamWState:
    """The state before the first step: all zero."""
    return AdamWState(0, _zeros_like(params), _zeros_like(params))


def adamw_number(
    parameter: float,
    gradient: float,
    m: float,
    v: float,
    step: int,
    *,
    lr: float = 1e-3,
    beta1: float = 0.9,
    beta2: float = 0.999,
    epsilon: float = 1e-8,
    weight_decay: float = 0.01,
) -> AdamWNumber:
    """The step numbered `step` (the first is 1) of one number."""
    m = beta1 * m + (1.0 - beta1) * gradient
    v = beta2 * v + (1.0 - beta2) * gradient * gradient
    m_hat = m / (1.0 - beta1**step)
    v_hat = v / (1.0 - beta2**step)
    change = lr * m_hat / (sqrt(v_hat) + epsilon)
    decay = lr * weight_decay * parameter
    return AdamWNumber(m, v, m_hat, v_hat, change, decay, parameter - decay - change)


def adamw_step(
    params: Mapping[str, Parameter],
    gradients: Mapping[str, Parameter],
    state: AdamWState | None,
    *,
    lr: float = 1e-3,
    beta1: float = 0.9,
    beta2: float = 0.999,
    epsilon: float = 1e-8,
    weight_decay: float = 0.01,
) -> tuple[Parameters, AdamWState]:
    """(new parameters, new state). Pass None or `adamw_state(params)` as the first state.

    Raises ValueError when names or shapes of parameters, gradients and state differ.
    """
    old = adamw_state(params) if state is None else state
    for what, others in (("gradients", gradients), ("state.m", old.m), ("state.v", old.v)):
        _check_alike(params, others, what)
    step = old.steps + 1
    correction1, correction2 = 1.0 - beta1**step, 1.0 - beta2**step
    keep = 1.0 - lr * weight_decay

    def rows(
        p: list[float], g: list[float], m: list[float], v: list[float]
    ) -> tuple[list[float], list[float], list[float]]:
        """`adamw_number` for a whole row."""
        new_m = [beta1 * a + (1.0 - beta1) * b for a, b in zip(m, g, strict=True)]
        new_v = [beta2 * a + (1.0 - beta2) * b * b for a, b in zip(v, g, strict=True)]
        new_p = [
            keep * number - lr * (a / correction1) / (sqrt(b / correction2) + epsilon)
            for number, a, b in zip(p, new_m, new_v, strict=True)
        ]
        return new_p, new_m, new_v

    new_params: Parameters = {}
    new_m: Parameters = {}
    new_v: Parameters = {}
    for name in params:
        parts = [_rows(source[name]) for source in (params, gradients, old.m, old.v)]
        stepped = [rows(*row) for row in zip(*parts, strict=True)]
        for target, index in ((new_params, 0), (new_m, 1), (new_v, 2)):
            found = [row[index] for row in stepped]
            target[name] = found if isinstance(params[name][0], list | tuple) else found[0]
    return new_params, AdamWState(step, new_m, new_v)


def sgd_step(params: Mapping[str, Parameter], gradients: Mapping[str, Parameter], *, lr: float) -> Parameters:
    """Plain gradient descent, p ← p − lr · g: what AdamW is compared with."""
    _check_alike(params, gradients, "gradients")
    result: Parameters = {}
    for name, parameter in params.items():
        stepped = [
            [p - lr * g for p, g in zip(*pair, strict=True)]
            for pair in zip(_rows(parameter), _rows(gradients[name]), strict=True)
        ]
        result[name] = stepped if isinstance(parameter[0], list | tuple) else stepped[0]
    return result


def _rows(parameter: Parameter) -> list[list[float]]:
    """A matrix as it is, a vector as a matrix of one row."""
    return parameter if isinstance(parameter[0], list | tuple) else [parameter]


def _zeros_like(params: Mapping[str, Parameter]) -> Parameters:
    return {
        name: [[0.0] * len(row) for row in _rows(p)] if isinstance(p[0], list | tuple) else [0.0] * len(p)
        for name, p in params.items()
    }


def _check_alike(params: Mapping[str, Parameter], others: Mapping[str, Parameter], what: str) -> None:
    if params.keys() != others.keys():
        raise ValueError(f"{what} has other names than params: {sorted(params.keys() ^ others.keys())} differ")
    for name, parameter in params.items():
        mine, theirs = ([len(row) for row in _rows(p)] for p in (parameter, others[name]))
        if mine != theirs:
            raise ValueError(
                f"{name}: params has {len(mine)} rows of {sorted(set(mine))} numbers, "
                f"{what} has {len(theirs)} of {sorted(set(theirs))}"
            )
