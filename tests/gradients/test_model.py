"""Every gradient against torch in float64, against finite differences and against the engine."""

import pytest

from insideout.gradients import (
    Config,
    adamw_step,
    backward,
    engine_gradients,
    finite_differences,
    forward,
    generate,
    init_params,
    next_token_targets,
    parameter_shapes,
    relative_error,
    resolution,
)
from insideout.lab.torch_gradients import torch_loss_and_gradients
from tests.gradients.cases import random_case

CHAPTER = Config(vocab_size=8, context_length=6, d_model=8, n_layers=1, n_heads=2, d_ff=32)
IDS = [0, 1, 2, 3, 1, 4]


def test_the_cases_are_as_varied_as_they_should_be():
    cases = [random_case(seed) for seed in range(200)]
    assert {c.n_layers for _, _, c, _ in cases} == {1, 2, 3}
    assert {c.n_heads for _, _, c, _ in cases} == {1, 2, 3, 4}
    assert sum(len(ids) == 1 for _, ids, _, _ in cases) >= 20
    assert sum(len(ids) == 1 and targets is not None for _, ids, _, targets in cases) >= 5
    assert sum(len(set(ids)) < len(ids) for _, ids, _, _ in cases) >= 50
    assert sum(c.vocab_size == 2 for _, _, c, _ in cases) >= 20


@pytest.mark.parametrize("block", range(10))
def test_gradients_equal_torch_in_200_configurations(block):
    for seed in range(20 * block, 20 * block + 20):
        params, ids, config, targets = random_case(seed)
        loss, trace = forward(params, ids, config, targets)
        gradients = backward(params, trace)
        expected_loss, expected = torch_loss_and_gradients(params, ids, config, targets or next_token_targets(ids))
        assert loss == pytest.approx(expected_loss, rel=1e-12, abs=1e-15)
        assert list(gradients) == list(parameter_shapes(config))
        for name in gradients:
            assert relative_error(gradients[name], expected[name]) <= 1e-12, (seed, name)


@pytest.mark.parametrize("block", range(10))
def test_the_engine_arrives_at_the_same_gradients(block):
    for seed in range(20 * block, 20 * block + 20, 3):
        params, ids, config, targets = random_case(seed)
        loss, trace = forward(params, ids, config, targets)
        engine_loss, found = engine_gradients(params, ids, config, targets)
        assert engine_loss == pytest.approx(loss, rel=1e-12, abs=1e-15)
        for name, gradient in backward(params, trace).items():
            assert relative_error(gradient, found[name]) <= 1e-11, (seed, name)


def small(seed):
    config = random_case(seed)[2]
    return config.d_model <= 6 and config.d_ff <= 6 and config.n_layers <= 2


@pytest.mark.parametrize("seed", [seed for seed in range(200) if small(seed)][:10])
def test_gradients_equal_central_differences(seed):
    params, ids, config, targets = random_case(seed)
    loss, trace = forward(params, ids, config, targets)
    h = 1e-3
    for name, gradient in backward(params, trace).items():
        measured = finite_differences(params, ids, config, name, targets=targets, h=h, order=6)
        floor = resolution(loss, h) / 1e-9
        assert relative_error(gradient, measured, floor) <= 1e-9, name
        # what is too small to resolve is at least as small as the difference says
        assert relative_error([*flat(gradient), 1.0], [*flat(measured), 1.0]) <= 1e-10, name


def flat(parameter):
    return [n for row in parameter for n in row] if isinstance(parameter[0], list) else parameter


def test_a_wrong_gradient_is_noticed():
    params = init_params(CHAPTER, 0)
    _, trace = forward(params, IDS, CHAPTER)
    name = "layers.0.norm_2.bias"
    gradient = backward(params, trace)[name]
    measured = finite_differences(params, IDS, CHAPTER, name)
    assert relative_error(gradient, measured) <= 1e-9
    gradient[3] *= 1.0001
    assert relative_error(gradient, measured) > 1e-7


def test_the_last_token_and_the_unused_positions_have_exactly_zero_gradient():
    params = init_params(Config(8, 9, 8, 2, 2, 16), 0)
    config = Config(8, 9, 8, 2, 2, 16)
    gradients = backward(params, forward(params, IDS, config)[1])
    assert not any(gradients["token_embedding"][4])  # token 4 stands only at the end, where nothing is predicted
    assert all(not any(gradients["position_embedding"][t]) for t in (5, 6, 7, 8))
    assert all(any(gradients["position_embedding"][t]) for t in range(5))
    assert not any(gradients["token_embedding"][7])  # a token that does not occur


def test_one_token_predicts_nothing_unless_told_what():
    params = init_params(CHAPTER, 0)
    loss, trace = forward(params, [3], CHAPTER)
    assert loss == 0.0
    assert not any(n for g in backward(params, trace).values() for n in flat(g))
    loss, trace = forward(params, [3], CHAPTER, targets=[5])
    gradients = backward(params, trace)
    assert loss > 0.1 and any(flat(gradients["lm_head"]))
    assert not any(flat(gradients["layers.0.attention.query"]))  # one key: the pattern is 1 whatever the query


def test_record_holds_the_gradients_of_the_intermediates():
    params = init_params(CHAPTER, 0)
    _, trace = forward(params, IDS, CHAPTER)
    notes = {}
    assert backward(params, trace, notes) == backward(params, trace)
    assert len(notes["layers.0.scores"]) == 2 and len(notes["x"]) == 6
    assert all(abs(sum(row)) < 1e-15 for head in notes["layers.0.scores"] for row in head)  # softmax ignores shifts


def test_forward_and_backward_leave_the_parameters_alone():
    params, again = init_params(CHAPTER, 0), init_params(CHAPTER, 0)
    backward(params, forward(params, IDS, CHAPTER)[1])
    finite_differences(params, IDS, CHAPTER, "final_norm.gain")
    assert params == again


def test_training_closes_the_loop_and_the_model_writes_its_sentence():
    params, state, loss = init_params(CHAPTER, 0), None, 9.0
    for _step in range(300):
        loss, trace = forward(params, IDS, CHAPTER)
        if loss < 0.01:
            break
        params, state = adamw_step(params, backward(params, trace), state, lr=1e-2)
    assert loss < 0.01
    assert generate(params, IDS[:1], CHAPTER, 5) == IDS
    assert generate(params, IDS[:1], CHAPTER, 99) == IDS  # stops when the context is full


BAD = [
    ([], None, "empty"),
    ([0, 8], None, r"ids\[1\] is 8, outside the vocabulary 0\.\.7"),
    ([-1], None, "outside the vocabulary"),
    ([0.5], None, "an id is an int"),
    ([0] * 7, None, "length 7, but there are only 6"),
    ([0, 1], [1], "length 1, but there are 2"),
    ([0, 1], [1, 8], r"targets\[1\] is 8, outside the vocabulary"),
]


@pytest.mark.parametrize(("ids", "targets", "message"), BAD)
def test_bad_ids_and_targets_are_refused(ids, targets, message):
    params = init_params(CHAPTER, 0)
    for function in (forward, engine_gradients):
        with pytest.raises(ValueError, match=message):
            function(params, ids, CHAPTER, targets)


def test_parameters_that_do_not_fit_are_refused():
    params = init_params(CHAPTER, 0)
    with pytest.raises(ValueError, match=r"lm_head has shape 8×7, the config says 8×8"):
        forward({**params, "lm_head": [row[:7] for row in params["lm_head"]]}, IDS, CHAPTER)
    with pytest.raises(ValueError, match="lm_head is ragged: row 0 has 8 numbers and row 1 has 7"):
        forward({**params, "lm_head": [row[: 8 - i] for i, row in enumerate(params["lm_head"])]}, IDS, CHAPTER)
    with pytest.raises(ValueError, match=r"missing \['lm_head'\]"):
        forward({k: v for k, v in params.items() if k != "lm_head"}, IDS, CHAPTER)
    with pytest.raises(ValueError, match=r"final_norm\.gain must be a non-empty list of numbers"):
        forward({**params, "final_norm.gain": [[1.0] * 8]}, IDS, CHAPTER)
    with pytest.raises(ValueError, match="d_model 9 does not split into 2"):
        Config(8, 6, 9, 1, 2, 16)
    with pytest.raises(ValueError, match="n_layers must be an int of at least 1"):
        Config(8, 6, 8, 0, 2, 16)
    with pytest.raises(ValueError, match="no parameter is called 'nope'"):
        finite_differences(params, IDS, CHAPTER, "nope")
