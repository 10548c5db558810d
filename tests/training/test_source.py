"""A source whose batches depend on the model resumes bit for bit, wherever the run was killed."""

import json

import pytest
import torch

from insideout.errors import BadInput
from insideout.training import checkpoint
from insideout.training.events import Step
from insideout.training.loop import train
from insideout.training.objective import Source
from tests.training.tiny import Replay, Tiny, batch_at, config, fingerprint, loss_fn, losses


class Killed(Exception):
    pass


def run(out, resume=False, die_at=None, every=3, **changes):
    """Train on what the model itself writes; die after a step, nothing saved."""

    def die(event):
        if isinstance(event, Step) and event.step == die_at:
            raise Killed

    model = Tiny(dropout=0.3)
    source = Replay(model, every)
    torch.manual_seed(1000 + (die_at or 0))  # whatever was drawn before must not matter
    train(model, loss_fn, source, config(**changes), out=out, resume=resume, on_event=die)
    return fingerprint(model), source.state(), losses(out)


def same(a, b):
    assert a[0] == b[0] and a[2] == b[2]
    assert torch.equal(a[1].pop("buffer"), b[1].pop("buffer")) and a[1] == b[1]


@pytest.mark.parametrize("die_at", range(1, 12))
def test_killed_at_any_step_and_resumed(tmp_path, die_at):
    straight = run(tmp_path / "straight", every=4)  # a buffer is used across checkpoints, which are made every 3 steps
    assert straight[1]["filled"] == 3
    with pytest.raises(Killed):
        run(tmp_path / "killed", die_at=die_at, every=4)
    same(run(tmp_path / "killed", resume=True, every=4), straight)


def test_the_memory_matters(tmp_path, monkeypatch):
    """Without its state the run would end elsewhere, so that the test above can fail."""
    straight = run(tmp_path / "straight", every=4)
    with pytest.raises(Killed):
        run(tmp_path / "killed", die_at=7, every=4)
    monkeypatch.setattr(Replay, "load_state", lambda self, state: None)
    assert run(tmp_path / "killed", resume=True, every=4)[0] != straight[0]


def test_a_function_is_no_source_and_the_other_way_round(tmp_path):
    assert isinstance(Replay(Tiny()), Source) and not isinstance(batch_at, Source)
    run(tmp_path / "source", steps=3)
    with pytest.raises(BadInput, match="came from a source with a memory: give it such a one"):
        train(Tiny(), loss_fn, batch_at, config(steps=6), out=tmp_path / "source", resume=True)
    train(Tiny(), loss_fn, batch_at, config(steps=3), out=tmp_path / "function")
    with pytest.raises(BadInput, match="came from a function: give it such a one"):
        run(tmp_path / "function", resume=True, steps=6)


@pytest.mark.parametrize(
    "state",
    [
        {"place": (1, 2)},
        {"counts": {0: 1}},
        {"deep": [{"set": {1}}]},
        {"lists": [torch.ones(2)]},
        {3: "a number for a name"},
        {"object": object()},
    ],
)
def test_a_state_that_would_come_back_changed_is_refused(tmp_path, monkeypatch, state):
    monkeypatch.setattr(Replay, "state", lambda self: state)
    with pytest.raises(BadInput, match="neither a tensor nor a value of JSON"):
        run(tmp_path)
    assert not list((tmp_path / "checkpoints").iterdir())


def test_a_state_comes_back_as_it_was(tmp_path):
    wide = torch.randn(4, 6)
    state = {
        "columns": wide[:, ::2], "bytes": torch.arange(4, dtype=torch.uint8), "half": wide.bfloat16(), "none": None,
        "flag": True, "text": "naïve \ud800", "deep": {"list": [1, 2.5, {"a": None}]}, "least": -float("inf"),
        "empty": torch.zeros(0), "same": wide, "again": wide,
    }  # fmt: skip
    checkpoint.save(checkpoint.folder_of(tmp_path, 1), Tiny(), {}, {}, source=checkpoint.packed(state))
    found = checkpoint.load_source(checkpoint.folder_of(tmp_path, 1))
    assert found.keys() == state.keys()
    for name, value in state.items():
        if isinstance(value, torch.Tensor):
            assert torch.equal(found[name], value) and found[name].dtype == value.dtype
        else:
            assert found[name] == value and type(found[name]) is type(value)
    assert checkpoint.load_source(checkpoint.folder_of(tmp_path, 2)) is None


@pytest.mark.parametrize("damage", ["truncated", "foreign", "missing", "another header"])
def test_a_damaged_memory_is_bad_input(tmp_path, damage):
    run(tmp_path, steps=3)
    folder = checkpoint.latest(tmp_path)
    path = folder / "source-00000.safetensors"
    if damage == "missing":
        path.unlink()
    elif damage == "another header":
        before = path.read_bytes()
        path.write_bytes(before.replace(b'"values"', b'"v-lues"'))
    else:
        path.write_bytes(path.read_bytes()[:-5] if damage == "truncated" else b"\x80\x04\x95 a pickle, perhaps")
    with pytest.raises(BadInput, match="step-00000003 is damaged"):
        run(tmp_path, resume=True, steps=6)


def test_nothing_of_a_source_is_a_pickle(tmp_path):
    run(tmp_path, steps=3)
    folder = checkpoint.latest(tmp_path)
    assert sorted(p.name for p in folder.iterdir()) == [
        "model.safetensors", "optimizer.safetensors", "source-00000.safetensors", "state.json",
    ]  # fmt: skip
    files = json.loads((folder / "state.json").read_text())["files"]
    assert files == {p.name: p.stat().st_size for p in folder.glob("*.safetensors")}
