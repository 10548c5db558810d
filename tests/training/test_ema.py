"""The averaged weights are the sum they are defined as, from the first step on; a resumed run has the same bits."""

import hashlib
import math

import pytest
import torch

from insideout.errors import BadInput
from insideout.training import checkpoint
from insideout.training.ema import EMA, newest_share
from insideout.training.events import Measured, Started, Step
from insideout.training.loop import train
from insideout.training.metrics import Metric
from insideout.training.objective import Objective
from tests.training.tiny import Tiny, batch_at, config, fingerprint, loss_fn, records, validate


def bits(tensors):
    digest = hashlib.sha256()
    for name, tensor in sorted(tensors.items()):
        digest.update(name.encode() + tensor.contiguous().numpy().tobytes())
    return digest.hexdigest()


def trained(out, half_life, model=None, **changes):
    """The weights after each step in float64, and the checkpoint's average."""
    model, history = model or Tiny(), []

    def note(event):
        if isinstance(event, Step):
            history.append({name: p.detach().double().clone() for name, p in model.named_parameters()})

    train(model, loss_fn, batch_at, config(ema_half_life=half_life, **changes), out=out, on_event=note)
    return history, checkpoint.load(checkpoint.latest(out)).average


@pytest.mark.parametrize("half_life", [0.5, 3.0, 1000.0])
def test_the_average_is_its_definition(tmp_path, half_life):
    history, average = trained(tmp_path, half_life)
    beta, t = 0.5 ** (1 / half_life), len(history)
    assert t == 12 and average.keys() == history[0].keys()
    total = sum(beta ** (t - s) for s in range(1, t + 1))
    for name, found in average.items():
        expected = sum(beta ** (t - s) * history[s - 1][name] for s in range(1, t + 1)) / total
        assert torch.allclose(found.double(), expected, atol=1e-6), name


def test_of_a_short_run_it_is_the_mean_and_not_the_start(tmp_path):
    start = dict(Tiny().named_parameters())
    history, average = trained(tmp_path, 1e7, steps=6)
    for name, found in average.items():
        mean = torch.stack([weights[name] for weights in history]).mean(0)
        assert torch.allclose(found.double(), mean, atol=1e-6), name
    moved = math.sqrt(sum(float((average[name] - p.detach()).square().sum()) for name, p in start.items()))
    assert moved > 0.1


def test_half_of_it_comes_from_the_last_half_life_of_steps():
    for half_life in (1.0, 7.0, 200.0):
        beta, long = 0.5 ** (1 / half_life), 40 * int(half_life)
        assert newest_share(1, half_life) == 1.0
        assert newest_share(long, half_life) == pytest.approx(1 - beta, rel=1e-6)
        weights = [(1 - beta) * beta**back for back in range(long)]
        assert sum(weights[: int(half_life)]) == pytest.approx(0.5, rel=1e-6)


def test_it_changes_nothing_else_and_neither_does_looking_at_it(tmp_path):
    plain, averaged = Tiny(dropout=0.3), Tiny(dropout=0.3)
    train(plain, loss_fn, batch_at, config(), out=tmp_path / "plain", validate=validate)
    train(averaged, loss_fn, batch_at, config(ema_half_life=2.0), out=tmp_path / "ema", validate=validate)
    assert fingerprint(plain) == fingerprint(averaged)
    raw = [record.get("validation_loss") for record in records(tmp_path / "plain")]
    assert raw == [record.get("validation_loss") for record in records(tmp_path / "ema")]


def test_both_are_measured_and_told(tmp_path):
    model, events = Tiny(), []
    settings = config(ema_half_life=2.0)
    train(model, loss_fn, batch_at, settings, out=tmp_path, validate=validate, on_event=events.append)
    last = [event for event in events if isinstance(event, Measured)][-1]
    folder = checkpoint.latest(tmp_path)
    for averaged, name in ((False, "validation_loss"), (True, "ema_validation_loss")):
        other = Tiny(seed=3)
        checkpoint.load_into(folder, other, averaged)
        with torch.no_grad():
            assert last.values[name] == records(tmp_path)[-1][name] == validate(other.eval())
    assert last.values["validation_loss"] != last.values["ema_validation_loss"]
    [started] = [event for event in events if isinstance(event, Started)]
    [shown] = [metric for metric in started.metrics if metric.name == "ema_validation_loss"]
    assert shown.title == "held-out loss, averaged weights" and shown.section == "Loss"


def test_early_stopping_can_look_at_the_average(tmp_path):
    values = iter([3.0, 1.0, 2.0, 2.0, 1.0, 3.0])  # the model's own falls, its average's does not
    objective = Objective(loss_fn, judged_by="ema_validation_loss")
    settings = config(ema_half_life=2.0, early_stop_patience=2, eval_every=1)
    result = train(Tiny(), objective, batch_at, settings, out=tmp_path, validate=lambda model: next(values))
    assert (result.step, result.stopped_early, result.best) == (3, True, 1.0)


def test_a_measurement_that_fails_leaves_the_models_own_weights():
    model = Tiny()
    average, before = EMA(model, 2.0), fingerprint(model)
    average.update(1)
    with torch.no_grad():
        model.head.weight += 1
    moved = fingerprint(model)
    with pytest.raises(ZeroDivisionError), average.in_use():
        assert fingerprint(model) == before
        raise ZeroDivisionError
    assert fingerprint(model) == moved != before


@pytest.mark.parametrize("die_at", [2, 3, 5, 7, 10])
def test_killed_and_resumed_it_has_the_same_bits(tmp_path, die_at):
    class Killed(Exception):
        pass

    def die(event):
        if isinstance(event, Step) and event.step == die_at:
            raise Killed

    settings = config(ema_half_life=3.0)
    straight = Tiny(dropout=0.3)
    train(straight, loss_fn, batch_at, settings, out=tmp_path / "straight", validate=validate)
    with pytest.raises(Killed):
        train(Tiny(dropout=0.3), loss_fn, batch_at, settings, out=tmp_path / "killed", validate=validate, on_event=die)
    again = Tiny(dropout=0.3, seed=4 if die_at > 3 else 0)  # from the first checkpoint on, other weights do not matter
    train(again, loss_fn, batch_at, settings, out=tmp_path / "killed", validate=validate, resume=True)
    assert fingerprint(again) == fingerprint(straight)
    ends = [checkpoint.load(checkpoint.latest(tmp_path / name)).average for name in ("straight", "killed")]
    assert bits(ends[0]) == bits(ends[1])
    looked = [[record.get("ema_validation_loss") for record in records(tmp_path / n)] for n in ("straight", "killed")]
    assert looked[0] == looked[1]


def test_of_16_bits_it_is_kept_in_32(tmp_path):
    model = Tiny().bfloat16()
    average = EMA(model, 100.0)
    for step in range(1, 101):
        average.update(step)
    assert all(tensor.dtype == torch.float32 for tensor in average.tensors().values())
    assert torch.allclose(average.tensors()["head.weight"], model.head.weight.float(), rtol=1e-5)
    before = fingerprint(model.float())
    model.bfloat16()
    with average.in_use():
        pass
    assert fingerprint(model.float()) == before


def test_what_does_not_go_on_with_it(tmp_path):
    trained(tmp_path / "with", 2.0, steps=3)
    trained(tmp_path / "without", 0.0, steps=3)
    with pytest.raises(BadInput, match=r"has ema_half_life 0\.0, not 2\.0"):
        settings = config(steps=6, ema_half_life=2.0)
        train(Tiny(), loss_fn, batch_at, settings, out=tmp_path / "without", resume=True)
    with pytest.raises(BadInput, match="no averaged weights: train with ema_half_life"):
        checkpoint.load_into(checkpoint.latest(tmp_path / "without"), Tiny(), averaged=True)
    (checkpoint.latest(tmp_path / "with") / "average.safetensors").unlink()
    with pytest.raises(BadInput, match="damaged"):
        train(Tiny(), loss_fn, batch_at, config(ema_half_life=2.0), out=tmp_path / "with", resume=True)


def test_frozen_weights_have_no_average(tmp_path):
    model = Tiny()
    model.blocks.requires_grad_(False)
    _, average = trained(tmp_path, 2.0, model, optimizer="adamw")
    assert sorted(average) == ["embedding.weight", "head.weight", "norm.bias", "norm.weight"]


def test_a_stages_own_metric_is_measured_of_both(tmp_path):
    def look(model):
        return {"validation_loss": validate(model), "size": float(model.head.weight.norm())}

    objective = Objective(loss_fn, (Metric("size"),))
    train(Tiny(), objective, batch_at, config(ema_half_life=2.0), out=tmp_path, validate=look)
    assert {"size", "ema_size"} <= records(tmp_path)[-1].keys()
