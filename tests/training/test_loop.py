"""The loop: accumulation is the larger batch, resuming is exact, and trouble is said in one sentence."""

import contextlib
import json
import os
import signal
import time
from dataclasses import replace
from pathlib import Path

import pytest
import torch

from insideout.errors import BadInput
from insideout.training import checkpoint, loop, precision
from insideout.training.events import Measured, Started, Step
from insideout.training.loop import Interrupted, train
from insideout.training.metrics import MetricsFile
from tests.training.tiny import Tiny, batch, batch_at, config, fingerprint, loss_fn, losses, validate


@pytest.fixture(autouse=True)
def one_thread():
    torch.set_num_threads(1)


@pytest.mark.parametrize("optimizer", ["adamw", "muon"])
def test_accumulation_equals_the_larger_batch(tmp_path, optimizer):
    def whole_batch(step, micro_step):
        parts = [batch_at(step, k) for k in range(3)]
        return torch.cat([ids for ids, _ in parts]), torch.cat([targets for _, targets in parts])

    many, one = Tiny().double(), Tiny().double()
    settings = config(optimizer=optimizer, steps=5, accumulation=3)
    a = train(many, loss_fn, batch_at, settings, out=tmp_path / "many")
    b = train(one, loss_fn, whole_batch, replace(settings, accumulation=1), out=tmp_path / "one")
    assert a.loss == pytest.approx(b.loss, abs=1e-12)
    for (name, p), q in zip(many.named_parameters(), one.parameters(), strict=True):
        assert torch.allclose(p, q, rtol=0, atol=1e-12), name
    assert fingerprint(many) != fingerprint(Tiny().double())


def test_one_step_by_hand(tmp_path):
    """The loop's first AdamW step equals the same step written out."""
    model, twin = Tiny(), Tiny()
    settings = config(optimizer="adamw", accumulation=1, steps=1, warmup_steps=0, weight_decay=0.0, clip=0.0)
    result = train(model, loss_fn, batch_at, settings, out=tmp_path)
    total, count = loss_fn(twin, batch_at(0, 0))
    (total / count).backward()
    assert result.loss == pytest.approx(total.item() / count)
    [record] = (json.loads(line) for line in (tmp_path / "metrics.jsonl").read_text().splitlines())
    length = torch.cat([q.grad.flatten() for q in twin.parameters()]).norm()
    assert record["gradient_norm"] == pytest.approx(float(length), rel=1e-5)
    for p, q in zip(model.parameters(), twin.parameters(), strict=True):
        expected = q - 0.01 * q.grad / (q.grad.abs() + 1e-8)  # after one step m̂ = g and v̂ = g²
        assert torch.allclose(p, expected, atol=2e-6)


def test_learns_and_reports_every_step(tmp_path):
    events = []
    settings = config(steps=60, eval_every=20, checkpoint_every=0)
    result = train(Tiny(), loss_fn, batch_at, settings, out=tmp_path, validate=validate, on_event=events.append)
    started, *told = events
    steps, looks = [e for e in told if isinstance(e, Step)], [e for e in told if isinstance(e, Measured)]
    assert isinstance(started, Started) and (started.step, started.steps) == (0, 60) and told == events[1:]
    assert [step.step for step in steps] == list(range(1, 61)) and len(told) == 63
    assert all({"loss", "lr", "tokens_per_second", "gradient_norm"} == step.values.keys() for step in steps)
    assert {metric.name for metric in started.metrics} == {*steps[0].values, "validation_loss"}
    assert [look.step for look in looks] == [20, 40, 60]
    found = {look.step: look.values["validation_loss"] for look in looks}
    assert losses(tmp_path) == [(e.step, e.loss, e.values["lr"], found.get(e.step)) for e in steps]
    assert result.validation_loss == looks[-1].values["validation_loss"] < 0.7 * steps[0].loss


@pytest.mark.parametrize("optimizer", ["adamw", "muon"])
def test_ctrl_c_saves_and_resuming_is_exact(tmp_path, optimizer):
    settings = config(optimizer=optimizer)
    straight = Tiny(dropout=0.3)
    train(straight, loss_fn, batch_at, settings, out=tmp_path / "straight", validate=validate)

    def pressed_at_8(step, micro_step):
        if (step, micro_step) == (7, 0):
            os.kill(os.getpid(), signal.SIGINT)
        return batch_at(step, micro_step)

    before = signal.getsignal(signal.SIGINT)
    out = tmp_path / "interrupted"
    with pytest.raises(Interrupted, match=r"step 8 .*--resume") as stopped:
        train(Tiny(dropout=0.3), loss_fn, pressed_at_8, settings, out=out, validate=validate)
    assert stopped.value.step == 8
    assert signal.getsignal(signal.SIGINT) is before
    with (out / "metrics.jsonl").open("a") as file:  # what a run killed later would have left
        file.write('{"step": 9, "loss": 1}\n{"step": 10, "lo')
    resumed = Tiny(dropout=0.3, seed=5)
    torch.manual_seed(77)
    result = train(resumed, loss_fn, batch_at, settings, out=out, validate=validate, resume=True)
    assert result.step == 12
    assert fingerprint(resumed) == fingerprint(straight)
    assert losses(out) == losses(tmp_path / "straight")
    again = Tiny(dropout=0.3, seed=5)
    train(again, loss_fn, batch_at, settings, out=out, validate=validate, resume=True)  # finished: nothing to do
    assert fingerprint(again) == fingerprint(straight)


def test_same_seed_same_run_other_seed_other_dropout(tmp_path):
    def run(name, seed):
        model = Tiny(dropout=0.3)
        torch.manual_seed(len(name))  # whatever was drawn before must not matter
        train(model, loss_fn, batch_at, config(seed=seed), out=tmp_path / name)
        return fingerprint(model)

    assert run("a", 1) == run("bcd", 1) != run("c", 2)


def test_early_stop(tmp_path):
    values = iter([3.0, 2.0, 2.5, 2.4, 1.0])
    settings = config(steps=30, eval_every=2, early_stop_patience=2)
    result = train(Tiny(), loss_fn, batch_at, settings, out=tmp_path, validate=lambda model: next(values))
    assert (result.step, result.stopped_early, result.best) == (8, True, 2.0)
    again = train(Tiny(), loss_fn, batch_at, settings, out=tmp_path, validate=lambda model: 1 / 0, resume=True)
    assert (again.step, again.stopped_early) == (8, True)


def test_validation_runs_without_dropout_and_gradients(tmp_path):
    seen = []

    def look(model):
        seen.append((model.training, torch.is_grad_enabled()))
        return 1.0

    model = Tiny()
    train(model, loss_fn, batch_at, config(steps=4), out=tmp_path, validate=look)
    assert seen == [(False, False)]
    assert model.training


def test_directory_in_use_and_nothing_to_resume(tmp_path):
    out = tmp_path / "run"
    with pytest.raises(BadInput, match=r"no run in .*run to resume"):
        train(Tiny(), loss_fn, batch_at, config(), out=out, resume=True)
    assert not out.exists()
    train(Tiny(), loss_fn, batch_at, config(steps=3), out=out)
    before = {path: path.read_bytes() for path in out.rglob("*") if path.is_file()}
    with pytest.raises(BadInput, match=r"already holds a run.*--resume"):
        train(Tiny(), loss_fn, batch_at, config(steps=3), out=out)
    assert {path: path.read_bytes() for path in out.rglob("*") if path.is_file()} == before
    (tmp_path / "file").write_text("")
    with pytest.raises(BadInput, match="is a file"):
        train(Tiny(), loss_fn, batch_at, config(), out=tmp_path / "file")


def test_resuming_with_other_settings_or_model_is_refused(tmp_path):
    train(Tiny(), loss_fn, batch_at, config(steps=3), out=tmp_path)
    with pytest.raises(BadInput, match=r"has lr 0\.01, not 0\.02"):
        train(Tiny(), loss_fn, batch_at, config(steps=3, lr=0.02), out=tmp_path, resume=True)
    with pytest.raises(BadInput, match=r"has batch_size 32, not 16"):
        train(Tiny(), loss_fn, batch_at, config(steps=3, batch_size=16), out=tmp_path, resume=True)
    shared = config(steps=4, batch_size=16, accumulation=4)  # an update of as many sequences
    assert train(Tiny(), loss_fn, batch_at, shared, out=tmp_path, resume=True).step == 4
    other = Tiny()
    other.head = torch.nn.Linear(8, 12, bias=False)
    with pytest.raises(BadInput, match="another model"):
        train(other, loss_fn, batch_at, config(steps=3), out=tmp_path, resume=True)
    longer = train(Tiny(), loss_fn, batch_at, config(steps=5), out=tmp_path, resume=True)
    assert longer.step == 5


def test_damaged_checkpoint_is_bad_input(tmp_path):
    train(Tiny(), loss_fn, batch_at, config(steps=3), out=tmp_path)
    path = checkpoint.latest(tmp_path) / "model.safetensors"
    path.write_bytes(path.read_bytes()[:100])
    with pytest.raises(BadInput, match="damaged"):
        train(Tiny(), loss_fn, batch_at, config(steps=5), out=tmp_path, resume=True)


@pytest.mark.parametrize("bad", [float("nan"), float("inf")])
def test_non_finite_loss_stops_before_the_weights_are_touched(tmp_path, bad):
    def poisoned(model, ids_and_targets):
        total, count = loss_fn(model, ids_and_targets)
        return (total * bad, count) if (tmp_path / "metrics.jsonl").read_text().count("\n") == 4 else (total, count)

    model = Tiny()
    with pytest.raises(BadInput, match=r"at step 5: .*lower lr .*checkpoint of step 3 is kept"):
        train(model, poisoned, batch_at, config(), out=tmp_path)
    assert all(parameter.isfinite().all() for parameter in model.parameters())


def test_no_targets_is_bad_input(tmp_path):
    with pytest.raises(BadInput, match=r"Step 1 has no tokens .*every target .* is masked"):
        train(Tiny(), loss_fn, lambda s, m: (batch(0)[0], torch.full((4, 6), -100)), config(), out=tmp_path)


def test_clipping_bounds_the_step(tmp_path):
    model, seen = Tiny(), []
    real = torch.nn.utils.clip_grad_norm_

    def spy(parameters, largest):
        parameters = list(parameters)
        norm = real(parameters, largest)
        seen.append(torch.cat([p.grad.flatten() for p in parameters]).norm().item())
        return norm

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(torch.nn.utils, "clip_grad_norm_", spy)
        train(model, loss_fn, batch_at, config(clip=0.01, steps=3), out=tmp_path)
    assert seen == pytest.approx([0.01] * 3, rel=1e-3)


def test_activation_checkpointing_is_asked_for_or_refused(tmp_path):
    with pytest.raises(BadInput, match="cannot recompute"):
        train(Tiny(), loss_fn, batch_at, config(checkpoint_activations=True), out=tmp_path / "a")
    model = Tiny()
    model.checkpoint_activations = False
    train(model, loss_fn, batch_at, config(checkpoint_activations=True, steps=3), out=tmp_path / "b")
    assert model.checkpoint_activations


def test_precision_is_measured_and_kept_on_resume(tmp_path, monkeypatch):
    speed = precision.bfloat16_speedup("cpu")
    assert speed >= 0
    monkeypatch.setattr(precision, "bfloat16_speedup", lambda device: 2.0)
    result = train(Tiny(), loss_fn, batch_at, config(steps=3, precision="auto"), out=tmp_path)
    assert result.precision == "bfloat16"
    monkeypatch.setattr(precision, "bfloat16_speedup", lambda device: 0.5)
    assert precision.choose("auto", torch.device("cpu")) == "float32"
    again = train(Tiny(), loss_fn, batch_at, config(steps=4, precision="auto"), out=tmp_path, resume=True)
    assert again.precision == "bfloat16"
    with pytest.raises(BadInput, match="float16, which is for GPUs"):
        train(Tiny(), loss_fn, batch_at, config(precision="float16"), out=tmp_path / "half")


def test_a_format_that_is_far_slower_is_not_looked_at_again(monkeypatch):
    passes, clock = [], [0.0]

    def taking(name, device):
        passes.append(name)
        clock[0] += {"float32": 1.0, "bfloat16": slowness}[name]
        return contextlib.nullcontext()

    monkeypatch.setattr(precision, "autocast", taking)
    monkeypatch.setattr(time, "perf_counter", lambda: clock[0])
    for slowness, n in ((0.5, 7), (4.0, 7), (40.0, 2)):
        passes.clear()
        assert precision.bfloat16_speedup.__wrapped__("cpu") == 1 / slowness
        assert (passes.count("float32"), passes.count("bfloat16")) == (7, n)


def test_loss_scale_halves_on_overflow_and_doubles_with_patience():
    scale = precision.LossScale("float16", patience=2)
    start = scale.value
    scale.update(finite=False)
    assert scale.value == start / 2
    scale.update(finite=True)
    scale.update(finite=True)
    assert scale.value == start
    plain = precision.LossScale("float32")
    plain.update(finite=False)
    assert plain.value == 1


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="needs /dev/full")
def test_full_disk_during_metrics_is_bad_input(tmp_path, monkeypatch):
    class Full(MetricsFile):
        def __init__(self, path, step):
            super().__init__(path, step)
            self.file.close()
            self.file = Path("/dev/full").open("wb", buffering=0)  # noqa: SIM115

    monkeypatch.setattr(loop, "MetricsFile", Full)
    with pytest.raises(BadInput, match=r"^The disk is full: .*metrics.jsonl could not be written"):
        train(Tiny(), loss_fn, batch_at, config(), out=tmp_path)


def test_gpt_trains_through_the_loop(tmp_path):
    from insideout.transformer.config import GPTConfig
    from insideout.transformer.loss import next_token_loss
    from insideout.transformer.model import GPT

    torch.manual_seed(0)
    model = GPT(GPTConfig(vocab_size=11, context_length=8, d_model=16, n_layers=2, n_heads=2))
    settings = config(steps=30, checkpoint_activations=True, muon_lr=0.05)
    result = train(model, next_token_loss, batch_at, settings, out=tmp_path)
    first = losses(tmp_path)[0][1]
    assert result.loss < 0.8 * first
    assert "head.weight" not in checkpoint.load(checkpoint.latest(tmp_path)).model  # tied
