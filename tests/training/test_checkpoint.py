"""A checkpoint is whole or absent, and nothing that is not one is loaded."""

import errno
import json

import pytest
import torch

from insideout.errors import BadInput
from insideout.training import checkpoint
from tests.training.tiny import Tiny, fingerprint


def saved(out, step, model):
    folder = checkpoint.folder_of(out, step)
    checkpoint.save(folder, model, {"a/step": torch.tensor(3.0)}, {"step": step})
    return folder


def test_round_trip_with_tied_weights(tmp_path):
    model = Tiny()
    model.head.weight = model.embedding.weight
    found = checkpoint.load(saved(tmp_path, 7, model))
    assert found.state == {"step": 7}
    assert found.optimizer["a/step"] == 3
    assert "head.weight" not in found.model
    other = Tiny(seed=1)
    other.head.weight = other.embedding.weight
    checkpoint.load_model(other, found.model)
    assert fingerprint(other) == fingerprint(model)
    assert other.head.weight is other.embedding.weight


def test_keeps_the_last_two_and_cleans_leftovers(tmp_path):
    assert checkpoint.latest(tmp_path) is None
    model = Tiny()
    saved(tmp_path, 1, model)
    leftover = tmp_path / "checkpoints" / ".step-00000099.part"
    leftover.mkdir()
    (leftover / "model.safetensors").write_bytes(b"half")
    assert checkpoint.latest(tmp_path).name == "step-00000001"
    for step in (2, 3):
        saved(tmp_path, step, model)
    assert sorted(p.name for p in (tmp_path / "checkpoints").iterdir()) == ["step-00000002", "step-00000003"]


@pytest.mark.parametrize("name", ["model.safetensors", "optimizer.safetensors", "state.json"])
@pytest.mark.parametrize("damage", ["truncated", "missing", "foreign"])
def test_damage_is_bad_input(tmp_path, name, damage):
    path = saved(tmp_path, 1, Tiny()) / name
    if damage == "truncated":
        path.write_bytes(path.read_bytes()[:-9])
    elif damage == "missing":
        path.unlink()
    else:
        path.write_bytes(b"\x80\x04\x95 a pickle, perhaps")
    with pytest.raises(BadInput, match="step-00000001"):
        checkpoint.load(path.parent)


def test_state_of_another_program_is_bad_input(tmp_path):
    folder = saved(tmp_path, 1, Tiny())
    (folder / "state.json").write_text(json.dumps({"step": 1}))
    with pytest.raises(BadInput, match="not written by this library"):
        checkpoint.load(folder)


def test_weights_of_another_model_are_bad_input_and_nothing_is_copied(tmp_path):
    tensors = checkpoint.load(saved(tmp_path, 1, Tiny())).model
    other = Tiny(seed=1)
    before = fingerprint(other)
    tensors["head.weight"] = torch.zeros(2, 2)
    with pytest.raises(BadInput, match=r"another model: head\.weight"):
        checkpoint.load_model(other, tensors)
    assert fingerprint(other) == before


def test_full_disk_is_bad_input_and_keeps_what_was_there(tmp_path, monkeypatch):
    saved(tmp_path, 1, Tiny())
    write = checkpoint.write

    def full(path, data):
        if path.name == "optimizer.safetensors":
            write(path, data[:5])
            raise OSError(errno.ENOSPC, "No space left on device")
        write(path, data)

    monkeypatch.setattr(checkpoint, "write", full)
    with pytest.raises(BadInput, match="disk is full"):
        saved(tmp_path, 2, Tiny())
    assert [p.name for p in (tmp_path / "checkpoints").iterdir()] == ["step-00000001"]
    checkpoint.load(checkpoint.latest(tmp_path))
