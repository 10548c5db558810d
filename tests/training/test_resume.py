"""What a resumed run checks, that it goes on where it should, and that nobody else's random numbers are touched."""

import json
import random
import shutil
import signal
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import safetensors.torch
import torch

from insideout.errors import BadInput
from insideout.training import checkpoint
from insideout.training.config import TrainConfig
from insideout.training.events import Note
from insideout.training.loop import train
from insideout.training.metrics import Metric, read
from insideout.training.objective import Objective
from insideout.training.resume import step_seed
from tests.training.tiny import Tiny, batch_at, config, fingerprint, loss_fn, losses, records, validate


@pytest.fixture(autouse=True)
def one_thread():
    torch.set_num_threads(1)


@pytest.fixture(scope="module")
def stored(tmp_path_factory):
    """A run of six steps, to be copied and damaged."""
    out = tmp_path_factory.mktemp("stored") / "run"
    train(Tiny(), loss_fn, batch_at, config(steps=6), out=out, validate=validate)
    return out


@pytest.fixture
def run(stored, tmp_path):
    return Path(shutil.copytree(stored, tmp_path / "run"))


def go_on(run, **changes):
    model = Tiny(seed=1)
    train(model, loss_fn, batch_at, config(**{"steps": 9} | changes), out=run, validate=validate, resume=True)
    return model


def change_state(run, path, value):
    file = checkpoint.latest(run) / "state.json"
    state = json.loads(file.read_text())
    inner = state
    for name in path[:-1]:
        inner = inner[name]
    inner[path[-1]] = value
    file.write_text(json.dumps(state))


def paths(value, before=()):
    """Every place in the state."""
    yield before
    if isinstance(value, dict):
        for name, inner in value.items():
            yield from paths(inner, (*before, name))


NOT = {
    "a string": "x", "an empty string": "", "a list": [1], "a dict": {"a": 1}, "null": None, "true": True,
    "a half": 0.5, "huge": 10**400, "negative": -1, "nan": float("nan"), "infinite": float("inf"), "a number": 7,
}  # fmt: skip


def test_no_wrong_type_in_a_state_is_a_traceback(stored, run):
    """Each field is given each wrong value: the run goes on as it should, or says in a sentence why not."""
    state = json.loads((checkpoint.latest(stored) / "state.json").read_text())
    refused, model = 0, Tiny()
    before = fingerprint(model)
    for path in list(paths(state))[1:]:
        for value in NOT.values():
            shutil.copy(checkpoint.latest(stored) / "state.json", checkpoint.latest(run) / "state.json")
            change_state(run, path, value)
            metrics = (run / "metrics.jsonl").read_bytes()
            try:
                train(model, loss_fn, batch_at, config(steps=6), out=run, resume=True)
            except BadInput as error:
                refused += 1
                assert "\n" not in str(error) and len(str(error)) < 600, (path, value)
                assert fingerprint(model) == before and (run / "metrics.jsonl").read_bytes() == metrics, (path, value)
            else:  # the value was a right one there
                model = Tiny()
    assert refused > 350


@pytest.mark.parametrize("text", ["[]", "3", "null", '"x"', "{}", "[" * 100_000, '{"format": []}', "\ud800", ""])
def test_a_state_that_is_no_object_is_one_sentence(run, text):
    (checkpoint.latest(run) / "state.json").write_bytes(text.encode(errors="surrogatepass"))
    with pytest.raises(BadInput, match=r"state\.json|step-00000006"):
        go_on(run)


@pytest.mark.parametrize("missing", ["result", "config", "loss_scale"])
def test_a_state_that_lacks_something_is_one_sentence(run, missing):
    file = checkpoint.latest(run) / "state.json"
    state = json.loads(file.read_text())
    del state[missing]
    file.write_text(json.dumps(state))
    with pytest.raises(BadInput, match=r"state\.json"):
        go_on(run)


def test_a_checkpoint_under_another_steps_name_is_refused(run):
    checkpoint.latest(run).rename(run / "checkpoints" / "step-00000008")
    with pytest.raises(BadInput, match="is of step 6: it is another checkpoint's"):
        go_on(run)


def test_a_checkpoint_as_it_was_first_written_still_loads(stored, run):
    """Without the list of files, the base and the parameters without moments; the result under its older names."""
    file = checkpoint.latest(run) / "state.json"
    state = json.loads(file.read_text())
    for name in ("files", "base", "without_moments"):
        del state[name]
    del state["config"]["ema_half_life"]
    result = state["result"]
    state["result"] = {
        "step": 6, "loss": result["loss"], "validation_loss": result["measured"]["validation_loss"],
        "best_validation_loss": result["best"], "evaluations_without_best": 0, "stopped_early": False, "seconds": 1.0,
        "precision": "float32",
    }  # fmt: skip
    file.write_text(json.dumps(state))
    old = fingerprint(go_on(run))
    assert old == fingerprint(go_on(Path(shutil.copytree(stored, run.parent / "new"))))


@pytest.mark.parametrize("optimizer", ["adamw", "muon"])
@pytest.mark.parametrize("gone", ["one quantity", "all of a parameter", "everything"])
def test_missing_moments_are_refused(tmp_path, optimizer, gone):
    train(Tiny(), loss_fn, batch_at, config(steps=3, optimizer=optimizer), out=tmp_path)
    path = checkpoint.latest(tmp_path) / "optimizer.safetensors"
    tensors = safetensors.torch.load_file(path)
    lost = {
        "one quantity": ["head.weight/exp_avg_sq"],
        "all of a parameter": [key for key in tensors if key.startswith("blocks.0.weight/")],
        "everything": list(tensors),
    }[gone]
    safetensors.torch.save_file({key: tensor for key, tensor in tensors.items() if key not in lost}, path)
    change_state(tmp_path, ["files", "optimizer.safetensors"], path.stat().st_size)
    model = Tiny(seed=2)
    before = fingerprint(model)
    with pytest.raises(BadInput, match=r"optimizer's state lacks [a-z0-9._]+/[a-z_]+ .*is damaged"):
        train(model, loss_fn, batch_at, config(steps=6, optimizer=optimizer), out=tmp_path, resume=True)
    assert fingerprint(model) == before


def test_a_parameter_that_no_gradient_has_reached_has_no_moments_and_the_run_goes_on(tmp_path):
    def make(seed=0):
        model = Tiny(seed=seed)
        model.unused = torch.nn.Linear(3, 3)
        return model

    straight, again = make(), make(1)
    train(straight, loss_fn, batch_at, config(steps=6), out=tmp_path / "straight")
    train(make(), loss_fn, batch_at, config(steps=3), out=tmp_path / "parts")
    state = checkpoint.load_state(checkpoint.latest(tmp_path / "parts"))
    assert state["without_moments"] == ["unused.bias", "unused.weight"]
    change_state(tmp_path / "parts", ["config", "steps"], 6)
    train(again, loss_fn, batch_at, config(steps=6), out=tmp_path / "parts", resume=True)


@pytest.mark.parametrize(("name", "odd"), [("step", torch.ones(1)), ("exp_avg", torch.ones(11, 8, dtype=torch.long))])
def test_moments_of_another_kind_are_refused(run, name, odd):
    path = checkpoint.latest(run) / "optimizer.safetensors"
    tensors = safetensors.torch.load_file(path) | {f"head.weight/{name}": odd}
    safetensors.torch.save_file(tensors, path)
    change_state(run, ["files", "optimizer.safetensors"], path.stat().st_size)
    with pytest.raises(BadInput, match="does not fit this optimizer"):
        go_on(run)


def test_weights_that_are_no_floats_are_refused(run):
    path = checkpoint.latest(run) / "model.safetensors"
    tensors = safetensors.torch.load_file(path)
    tensors["head.weight"] = tensors["head.weight"].long()
    safetensors.torch.save_file(tensors, path)
    change_state(run, ["files", "model.safetensors"], path.stat().st_size)
    with pytest.raises(BadInput, match=r"another model: head\.weight"):
        go_on(run)


# An early stop


def stopping(values, **changes):
    """Settings of a run that measures `values`, one each second step."""
    iterator = iter(values)
    return config(**{"steps": 30, "eval_every": 2, "early_stop_patience": 2} | changes), lambda model: next(iterator)


VALUES = [3.0, 2.0, 2.5, 2.4, 1.0, 1.5, 0.5, 2.0, 2.0, 2.0, 2.0, 2.0, 2.0, 2.0, 2.0]


def test_after_an_early_stop_more_patience_goes_on_as_if_it_had_been_there(tmp_path):
    settings, look = stopping(VALUES)
    assert train(Tiny(dropout=0.3), loss_fn, batch_at, settings, out=tmp_path / "a", validate=look).step == 8
    settings, look = stopping(VALUES[4:], early_stop_patience=3)
    again = Tiny(dropout=0.3, seed=1)
    result = train(again, loss_fn, batch_at, settings, out=tmp_path / "a", validate=look, resume=True)
    settings, look = stopping(VALUES, early_stop_patience=3)
    straight = Tiny(dropout=0.3)
    expected = train(straight, loss_fn, batch_at, settings, out=tmp_path / "b", validate=look)
    assert (result.step, result.best, result.stopped_early) == (20, 0.5, True)
    assert (expected.step, expected.best, expected.evaluations_without_best) == (20, 0.5, 3)
    assert fingerprint(again) == fingerprint(straight) and losses(tmp_path / "a") == losses(tmp_path / "b")


def test_after_an_early_stop_more_steps_go_on_with_patience_anew(tmp_path):
    settings, look = stopping(VALUES)
    train(Tiny(), loss_fn, batch_at, settings, out=tmp_path, validate=look)
    settings, look = stopping([2.5, 2.5, 2.5], steps=40)
    result = train(Tiny(), loss_fn, batch_at, settings, out=tmp_path, validate=look, resume=True)
    assert (result.step, result.stopped_early) == (12, True)


def test_after_an_early_stop_no_patience_goes_to_the_end(tmp_path):
    settings, look = stopping(VALUES)
    train(Tiny(), loss_fn, batch_at, settings, out=tmp_path, validate=look)
    settings, look = stopping(VALUES, early_stop_patience=0)
    result = train(Tiny(), loss_fn, batch_at, settings, out=tmp_path, validate=look, resume=True)
    assert (result.step, result.stopped_early) == (30, False)


def test_a_run_that_does_not_go_on_says_why(tmp_path):
    settings, look = stopping(VALUES)
    train(Tiny(), loss_fn, batch_at, settings, out=tmp_path / "a", validate=look)
    events = []
    same = {"validate": look, "resume": True, "on_event": events.append}
    train(Tiny(), loss_fn, batch_at, settings, out=tmp_path / "a", **same)
    [note] = [event.text for event in events if isinstance(event, Note)]
    assert "stopped early at step 8" in note and "raise early_stop_patience or steps" in note
    train(Tiny(), loss_fn, batch_at, config(steps=3), out=tmp_path / "b")
    events.clear()
    train(Tiny(), loss_fn, batch_at, config(steps=3), out=tmp_path / "b", resume=True, on_event=events.append)
    [note] = [event.text for event in events if isinstance(event, Note)]
    assert "has made all its steps, 3: to go on, raise steps" in note


def test_higher_can_be_better(tmp_path):
    objective = Objective(loss_fn, (Metric("reward", better="higher"),), judged_by="reward")
    values = iter([1.0, 2.0, 1.5, 1.6, 9.0])
    settings = config(steps=30, eval_every=2, early_stop_patience=2)
    look = {"validate": lambda model: {"reward": next(values)}}
    result = train(Tiny(), objective, batch_at, settings, out=tmp_path, **look)
    assert (result.step, result.best, result.measured) == (8, 2.0, {"reward": 1.6})


def test_patience_without_anything_to_look_at_is_refused(tmp_path):
    with pytest.raises(BadInput, match="nothing is measured on held-out data"):
        train(Tiny(), loss_fn, batch_at, config(early_stop_patience=2), out=tmp_path / "a")
    assert not (tmp_path / "a").exists()
    objective = Objective(loss_fn, (Metric("reward"),))
    look = {"validate": lambda model: {"reward": 1.0}}
    with pytest.raises(BadInput, match="validation_loss, which it looks at, is not measured"):
        train(Tiny(), objective, batch_at, config(early_stop_patience=2), out=tmp_path / "b", **look)


@pytest.mark.parametrize("bad", [float("nan"), float("inf")])
def test_a_held_out_loss_that_is_not_finite_stops(tmp_path, bad):
    with pytest.raises(BadInput, match=r"At step 4 validation_loss is (nan|inf): the run has diverged"):
        train(Tiny(), loss_fn, batch_at, config(), out=tmp_path, validate=lambda model: bad)


# Random numbers


def drawn():
    return random.random(), np.random.rand(), torch.rand(1).item()


ALONE = """
import random, sys
import numpy as np, torch
from pathlib import Path
sys.path.insert(0, sys.argv[1])
from insideout.errors import BadInput
from insideout.training.loop import train
from tests.training.test_resume import drawn
from tests.training.tiny import Tiny, batch_at, config, loss_fn, validate
model, out = Tiny(dropout=0.3), Path(sys.argv[2])
def seeded():
    random.seed(3), np.random.seed(3), torch.manual_seed(3)
seeded()
expected = [drawn() for _ in range(3)]
seeded()
found = [drawn()]
train(model, loss_fn, batch_at, config(steps=3), out=out / "a", validate=validate)
found.append(drawn())
try:
    train(model, lambda model, batch: 1, batch_at, config(steps=3), out=out / "b")
except BadInput:
    found.append(drawn())
assert found == expected, (found, expected)
"""


def test_training_leaves_the_callers_random_numbers_alone(tmp_path):
    """In a process without the tests' type checker, which draws from Python's generator."""
    root = str(Path(__file__).parents[2])
    done = subprocess.run([sys.executable, "-c", ALONE, root, str(tmp_path)], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr


def test_all_three_generators_are_functions_of_the_step(tmp_path):
    """What a batch draws, also from Python's or NumPy's, is the same after a resume, and whatever was drawn before."""

    def noisy(step, micro_step):
        seen.setdefault((step, micro_step), []).append(drawn())
        return batch_at(step, micro_step)

    seen: dict = {}
    train(Tiny(), loss_fn, noisy, config(steps=6), out=tmp_path / "a")
    drawn()
    train(Tiny(), loss_fn, noisy, config(steps=3), out=tmp_path / "b")
    drawn()
    train(Tiny(), loss_fn, noisy, config(steps=6), out=tmp_path / "b", resume=True)
    assert len(seen) == 12 and all(len(draws) == 2 and draws[0] == draws[1] for draws in seen.values())
    assert len({draw[i] for draws in seen.values() for draw in draws for i in [0]}) == 12
    assert len({draws[0][1] for draws in seen.values()}) == len({draws[0][2] for draws in seen.values()}) == 12


@pytest.mark.parametrize("seed", [0, 2**32, 2**63, 2**64 - 1])
def test_every_seed_that_is_allowed_works(tmp_path, seed):
    train(Tiny(), loss_fn, batch_at, config(steps=3, seed=seed), out=tmp_path)
    assert 0 <= step_seed(seed, 1, 0, 0) < 2**63


# Files and signals


def test_a_metrics_file_that_is_damaged_is_one_sentence_and_stays(run):
    path = run / "metrics.jsonl"
    lines = path.read_bytes().split(b"\n")
    for damage in (b"{", b"[1]", b'{"step": "4"}', b'{"loss": 1}', b"\xff\xfe", b"[" * 100_000, b"true"):
        damaged = b"\n".join([*lines[:3], damage, *lines[4:]])
        path.write_bytes(damaged)
        with pytest.raises(BadInput, match=r"Line 4 of .*metrics\.jsonl is damaged"):
            go_on(run)
        assert path.read_bytes() == damaged
    path.write_bytes(b"\n".join(lines)[:-9])  # the last one was cut off by a crash: made again
    go_on(run)
    assert [record["step"] for record in read(path)] == [1, 2, 3, 4, 5, 7, 8, 9]


def test_a_number_that_is_not_finite_is_null_in_the_file(tmp_path):
    objective = Objective(
        lambda model, batch: (*loss_fn(model, batch), {"odd": float("nan"), "even": 1.0}),
        (Metric("odd"), Metric("even")),
    )
    events = []
    train(Tiny(), objective, batch_at, config(steps=3), out=tmp_path, on_event=events.append)
    assert "NaN" not in (tmp_path / "metrics.jsonl").read_text()
    assert all(record["odd"] is None for record in records(tmp_path))
    assert "odd" not in events[-1].values and "even" in events[-1].values


CHILD = """
import os, signal, sys
sys.path.insert(0, sys.argv[1])
from pathlib import Path
from insideout.training.loop import Interrupted, train
from tests.training.tiny import Tiny, batch_at, config, loss_fn
sent = getattr(signal, sys.argv[3])
def hit(step, micro_step):
    if (step, micro_step) == (4, 0):
        for _ in range(int(sys.argv[4])):
            os.kill(os.getpid(), sent)
    return batch_at(step, micro_step)
try:
    train(Tiny(), loss_fn, hit, config(checkpoint_every=0), out=Path(sys.argv[2]))
except Interrupted as stopped:
    sys.exit(stopped.step)
"""


@pytest.mark.skipif(not hasattr(signal, "SIGHUP"), reason="Windows has no such signals")
@pytest.mark.parametrize(
    ("sent", "times"), [("SIGHUP", 1), ("SIGTERM", 1), ("SIGINT", 1), ("SIGTERM", 2), ("SIGHUP", 2)]
)
def test_every_signal_that_asks_to_leave_saves_first(tmp_path, sent, times):
    root = str(Path(__file__).parents[2])
    done = subprocess.run([sys.executable, "-c", CHILD, root, str(tmp_path / "run"), sent, str(times)])
    assert done.returncode == 5
    assert checkpoint.latest(tmp_path / "run").name == "step-00000005"


@pytest.mark.skipif(not hasattr(signal, "SIGHUP"), reason="Windows has no such signals")
def test_a_signal_that_is_ignored_stays_so(tmp_path):
    """Under nohup a run outlives its terminal."""
    root = str(Path(__file__).parents[2])
    ignoring = f"import signal; signal.signal(signal.SIGHUP, signal.SIG_IGN)\n{CHILD}"
    done = subprocess.run([sys.executable, "-c", ignoring, root, str(tmp_path / "run"), "SIGHUP", "1"])
    assert done.returncode == 0
    assert checkpoint.latest(tmp_path / "run").name == "step-00000012"


def test_whoever_stops_listening_does_not_end_the_run(tmp_path):
    heard = []

    def leave(event):
        heard.append(event)
        raise BrokenPipeError

    result = train(Tiny(), loss_fn, batch_at, config(), out=tmp_path, on_event=leave)
    assert result.step == 12 and len(heard) == 13


def test_what_does_not_fit_into_memory_is_one_sentence(tmp_path):
    def huge(step, micro_step):
        torch.empty(10**15)

    with pytest.raises(BadInput, match=r"does not fit into this machine's memory: make batch_size smaller"):
        train(Tiny(), loss_fn, huge, config(), out=tmp_path / "a")
    with pytest.raises(BadInput, match="does not fit into this machine's memory"):
        train(Tiny(), loss_fn, lambda s, m: np.empty(10**15), config(), out=tmp_path / "b")


def test_folders_are_synced_where_they_cannot_be_opened(tmp_path, monkeypatch):
    """Windows refuses to open a folder."""
    import os

    real = os.open

    def refuse(path, flags, *rest, **more):
        if Path(path).is_dir():
            raise PermissionError(13, "Permission denied", str(path))
        return real(path, flags, *rest, **more)

    monkeypatch.setattr(os, "open", refuse)
    train(Tiny(), loss_fn, batch_at, config(), out=tmp_path / "run")
    assert checkpoint.latest(tmp_path / "run").name == "step-00000012"


def test_settings_hold_what_their_annotations_say():
    for name, value in (("steps", 2.0), ("steps", True), ("lr", "1"), ("compile", 1), ("decay", 3), ("clip", None)):
        settings = object.__new__(TrainConfig)  # past the annotations, which the tests enforce and users do not
        vars(settings).update(vars(TrainConfig()) | {name: value})
        with pytest.raises(BadInput, match=rf"^{name} is {value}; it must be"):
            settings.__post_init__()
