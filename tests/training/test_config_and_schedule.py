"""Settings that cannot work are refused; the learning rate has the shape that was asked for."""

import re
import subprocess
import sys
from dataclasses import fields
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from insideout.errors import BadInput
from insideout.training.config import TrainConfig
from insideout.training.schedule import learning_rate


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("steps", 0), ("batch_size", 0), ("accumulation", 0), ("lr", 0.0), ("lr", float("nan")), ("muon_lr", -1.0),
        ("min_lr", 2.0), ("min_lr", -0.1), ("warmup_steps", 2001), ("warmup_steps", -1), ("weight_decay", -0.1),
        ("clip", -1.0), ("clip", float("nan")), ("beta1", 1.0), ("beta2", -0.1), ("eval_every", -1),
        ("checkpoint_every", -1), ("early_stop_patience", -1), ("seed", -1), ("decay", "step"), ("optimizer", "sgd"),
        ("precision", "int8"), ("parallel", "pipeline"), ("lr", 1e5), ("muon_lr", 1e300), ("clip", 1e-320),
        ("weight_decay", 1e30),
    ],
)  # fmt: skip
def test_impossible_settings_are_refused_by_name(field, value):
    config = object.__new__(TrainConfig)  # past the annotations, which the tests enforce and users do not
    vars(config).update({name.name: name.default for name in fields(TrainConfig)} | {field: value})
    with pytest.raises(BadInput, match="^" + re.escape(f"{field} is {value}")):
        config.__post_init__()


def test_config_imports_no_torch():
    code = "import sys, insideout.training.config; sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code]).returncode == 0


@st.composite
def configs(draw):
    steps = draw(st.integers(1, 300))
    lr = draw(st.floats(1e-5, 1.0))
    return TrainConfig(
        steps=steps,
        warmup_steps=draw(st.integers(0, steps)),
        lr=lr,
        min_lr=lr * draw(st.floats(0, 1)),
        decay=draw(st.sampled_from(["cosine", "linear"])),
    )


@given(configs())
def test_schedule_rises_then_falls_to_min_lr(config):
    rates = [learning_rate(step, config) for step in range(config.steps)]
    warmup = config.warmup_steps
    close = 1e-12 + 1e-9 * config.lr
    assert all(0 < rate <= config.lr + close for rate in rates[:warmup])
    assert all(config.min_lr - close <= rate <= config.lr + close for rate in rates[warmup:])
    assert all(b > a for a, b in pairwise(rates[:warmup]))
    assert all(b <= a + close for a, b in pairwise(rates[warmup:]))
    assert max(rates) == pytest.approx(config.lr)
    if warmup < config.steps and config.steps > 1:
        assert rates[-1] == pytest.approx(config.min_lr, abs=close)


def test_schedule_by_hand():
    config = TrainConfig(steps=13, warmup_steps=5, lr=1.0, min_lr=0.2)
    assert [learning_rate(s, config) for s in range(5)] == pytest.approx([0.2, 0.4, 0.6, 0.8, 1.0])
    assert learning_rate(8, config) == pytest.approx(0.6)  # half way down the cosine
    assert learning_rate(6, TrainConfig(steps=13, warmup_steps=5, lr=1.0, min_lr=0.2, decay="linear")) == pytest.approx(
        0.8
    )
