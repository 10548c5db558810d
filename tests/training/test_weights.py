"""Of a model that is partly frozen, what is trained is stored, and never put beside another base."""

import json

import pytest
import torch
from torch import nn

from insideout.errors import BadInput
from insideout.training import checkpoint
from insideout.training.events import Step
from insideout.training.loop import train
from insideout.training.weights import Base, trained_tensors
from tests.training.tiny import Tiny, batch_at, config, fingerprint, loss_fn, losses


class Adapted(nn.Module):
    """A frozen Tiny, with a small matrix beside its first layer and a head of its own; both have buffers."""

    def __init__(self, seed: int = 0, base_seed: int = 0) -> None:
        super().__init__()
        self.base = Tiny(seed=base_seed).requires_grad_(False)
        self.base.register_buffer("table", torch.arange(3.0) + base_seed)
        torch.manual_seed(100 + seed)
        self.down, self.up = nn.Linear(8, 2, bias=False), nn.Linear(2, 8, bias=False)
        self.head = nn.Linear(11, 11)
        self.head.register_buffer("scale", torch.ones(1))
        self.skip = nn.Parameter(torch.zeros(1))

    def forward(self, ids):
        x = self.base.embedding(ids)
        x = x + self.up(self.down(x)) + self.skip
        return self.head(self.base.head(self.base.norm(x)) * self.head.scale)


TRAINED = ["down.weight", "head.bias", "head.scale", "head.weight", "skip", "up.weight"]


def settings(**changes):
    return config(**{"optimizer": "adamw", "ema_half_life": 2.0} | changes)


def test_only_what_is_trained_is_stored(tmp_path):
    model = Adapted()
    train(model, loss_fn, batch_at, settings(), out=tmp_path)
    found = checkpoint.load(checkpoint.latest(tmp_path))
    assert sorted(found.model) == TRAINED
    assert {key.rpartition("/")[0] for key in found.optimizer} == set(TRAINED) - {"head.scale"} == set(found.average)
    assert found.state["base"] == Base(Adapted(seed=5)).fingerprint
    assert fingerprint(model.base) == fingerprint(Adapted().base)
    fresh = Adapted(seed=5)
    checkpoint.load_into(checkpoint.latest(tmp_path), fresh)
    assert fingerprint(fresh) == fingerprint(model)


def test_killed_and_resumed_is_the_run_that_was_never_stopped(tmp_path):
    class Killed(Exception):
        pass

    def die(event):
        if isinstance(event, Step) and event.step == 8:
            raise Killed

    straight, again = Adapted(), Adapted(seed=5)
    train(straight, loss_fn, batch_at, settings(), out=tmp_path / "straight")
    with pytest.raises(Killed):
        train(Adapted(), loss_fn, batch_at, settings(), out=tmp_path / "killed", on_event=die)
    train(again, loss_fn, batch_at, settings(), out=tmp_path / "killed", resume=True)
    assert fingerprint(again) == fingerprint(straight)
    assert losses(tmp_path / "killed") == losses(tmp_path / "straight")


def other_base():
    return Adapted(base_seed=1)


def other_buffer():
    model = Adapted()
    model.base.table += 1
    return model


def one_bit():
    model = Adapted()
    model.base.head.weight.data.view(torch.int32)[0, 0] ^= 1
    return model


def other_dtype():
    model = Adapted()
    model.base.embedding.half()
    return model


def thawed():
    return Adapted().requires_grad_(True)


def less_trained():
    model = Adapted()
    model.skip.requires_grad_(False)
    return model


@pytest.mark.parametrize("make", [other_base, other_buffer, one_bit, other_dtype, thawed, less_trained])
def test_another_base_is_refused_and_nothing_is_changed(tmp_path, make):
    train(Adapted(), loss_fn, batch_at, settings(steps=3), out=tmp_path)
    model = make()
    before = fingerprint(model)
    with pytest.raises(BadInput, match=r"was trained with (other|more or fewer) frozen weights") as error:
        train(model, loss_fn, batch_at, settings(steps=6), out=tmp_path, resume=True)
    assert "\n" not in str(error.value) and fingerprint(model) == before
    with pytest.raises(BadInput, match="frozen weights"):
        checkpoint.load_into(checkpoint.latest(tmp_path), model)
    assert fingerprint(model) == before and len(losses(tmp_path)) == 3


@pytest.mark.parametrize("what", ["parameter", "buffer", "replaced"])
def test_frozen_weights_that_change_while_training_are_noticed(tmp_path, what):
    model = Adapted()

    def change(event):
        if isinstance(event, Step) and event.step == 2:
            if what == "parameter":
                with torch.no_grad():
                    model.base.norm.weight += 1
            elif what == "buffer":
                model.base.table += 1
            else:
                model.base.table = torch.zeros(3)

    with pytest.raises(BadInput, match=r"base\.(norm\.weight|table) is frozen and yet has changed"):
        train(model, loss_fn, batch_at, settings(), out=tmp_path, on_event=change)
    assert not list((tmp_path / "checkpoints").iterdir())


def test_touched_but_equal_is_no_trouble(tmp_path):
    model = Adapted()

    def touch(event):
        with torch.no_grad():
            model.base.norm.weight.mul_(1)

    train(model, loss_fn, batch_at, settings(steps=3), out=tmp_path, on_event=touch)


def test_a_whole_model_is_stored_whole_and_has_no_base(tmp_path):
    train(Tiny(), loss_fn, batch_at, config(steps=3), out=tmp_path)
    found = checkpoint.load(checkpoint.latest(tmp_path))
    assert found.model.keys() == Tiny().state_dict().keys() and found.state["base"] is None
    frozen = Tiny(seed=3).requires_grad_(False)  # as a reference copy: it takes whole weights, frozen or not
    checkpoint.load_model(frozen, found.model)
    assert torch.equal(frozen.head.weight, found.model["head.weight"])
    assert trained_tensors(frozen) == {}


def test_an_older_checkpoint_of_a_partly_frozen_model_holds_the_base_too(tmp_path):
    """Before there were fingerprints, everything was stored; such a run goes on, and its base is then taken from it."""
    model = Adapted()
    train(model, loss_fn, batch_at, settings(steps=3), out=tmp_path)
    folder = checkpoint.latest(tmp_path)
    found = checkpoint.load(folder)
    state = {name: found.state[name] for name in ("result", "config", "data_ranks", "loss_scale")}
    everything = {name: tensor.clone() for name, tensor in model.state_dict().items()}
    checkpoint.save(folder, everything, found.optimizer, state, average=found.average)
    straight, again = Adapted(), Adapted(seed=5, base_seed=1)
    train(straight, loss_fn, batch_at, settings(steps=6), out=tmp_path / "straight")
    train(again, loss_fn, batch_at, settings(steps=6), out=tmp_path, resume=True)
    assert again.base.table.tolist() == model.base.table.tolist()
    assert json.loads((checkpoint.latest(tmp_path) / "state.json").read_text())["base"] == Base(model).fingerprint
