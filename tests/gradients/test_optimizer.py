"""AdamW against torch's, step by step, and against the numbers shown one at a time."""

import pytest
import torch

from insideout.gradients import (
    Config,
    adamw_number,
    adamw_state,
    adamw_step,
    backward,
    forward,
    init_params,
    relative_error,
    sgd_step,
)

CONFIG = Config(5, 4, 4, 1, 2, 8)
IDS = [0, 1, 4, 1]
SETTINGS = {"lr": 3e-2, "weight_decay": 0.1}


def test_ten_steps_equal_torch():
    params, state = init_params(CONFIG, 1), None
    twins = {name: torch.nn.Parameter(torch.tensor(p, dtype=torch.float64)) for name, p in params.items()}
    optimizer = torch.optim.AdamW(twins.values(), betas=(0.9, 0.999), eps=1e-8, **SETTINGS)
    for _step in range(10):
        gradients = backward(params, forward(params, IDS, CONFIG)[1])
        for name, twin in twins.items():
            twin.grad = torch.tensor(gradients[name], dtype=torch.float64)
        optimizer.step()
        params, state = adamw_step(params, gradients, state, **SETTINGS)
        assert all(relative_error(params[name], twin.tolist()) <= 1e-12 for name, twin in twins.items())
    assert state.steps == 10


def test_the_step_is_the_number_by_number_one():
    params = init_params(CONFIG, 1)
    gradients = backward(params, forward(params, IDS, CONFIG)[1])
    once, state = adamw_step(params, gradients, adamw_state(params), **SETTINGS)
    twice, _ = adamw_step(once, gradients, state, **SETTINGS)
    p, g = params["lm_head"][2][1], gradients["lm_head"][2][1]
    first = adamw_number(p, g, 0.0, 0.0, 1, **SETTINGS)
    second = adamw_number(first.parameter, g, first.m, first.v, 2, **SETTINGS)
    assert once["lm_head"][2][1] == pytest.approx(first.parameter, rel=1e-14)
    assert twice["lm_head"][2][1] == pytest.approx(second.parameter, rel=1e-14)
    assert params == init_params(CONFIG, 1)


def test_the_first_step_moves_every_parameter_by_the_learning_rate():
    for gradient in (1e-3, -0.2, 40.0):
        assert abs(adamw_number(1.0, gradient, 0.0, 0.0, 1, lr=0.01).step) == pytest.approx(0.01, rel=1e-4)


def test_sgd_follows_the_gradient():
    assert sgd_step({"a": [[1.0]], "b": [2.0]}, {"a": [[3.0]], "b": [4.0]}, lr=0.5) == {"a": [[-0.5]], "b": [0.0]}


def test_gradients_that_do_not_fit_are_refused():
    with pytest.raises(ValueError, match="other names"):
        adamw_step({"a": [1.0]}, {"b": [1.0]}, None)
    with pytest.raises(ValueError, match=r"a: params has 1 rows of \[2\] numbers, gradients has 1 of \[3\]"):
        adamw_step({"a": [1.0, 2.0]}, {"a": [1.0, 2.0, 3.0]}, None)
    with pytest.raises(ValueError, match="a: params has 2 rows"):
        sgd_step({"a": [[1.0], [2.0]]}, {"a": [[1.0]]}, lr=1.0)
