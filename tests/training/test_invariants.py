"""What must hold while training is asserted: a part that nothing reaches is found at the first update."""

import pytest
import torch
from torch import nn

from insideout.errors import BadInput
from insideout.training import checkpoint
from insideout.training.invariants import every_group_changes
from insideout.training.loop import train
from insideout.training.metrics import Metric
from insideout.training.objective import Objective
from tests.training.tiny import Tiny, batch_at, config, fingerprint, loss_fn, records


class Critic(nn.Module):
    """A model with a critic, as PPO has: its value is a second loss."""

    def __init__(self):
        super().__init__()
        self.actor, self.critic = Tiny(dropout=0.3), nn.Linear(11, 1)

    def forward(self, ids):
        logits = self.actor(ids)
        return logits, self.critic(logits.detach()).squeeze(-1)


def both(model, ids_and_targets, detached=False):
    logits, values = model(ids_and_targets[0])
    loss, count = loss_fn(lambda ids: logits, ids_and_targets)
    value_loss = (values.detach() if detached else values).sub(1).square().sum()
    return loss + (0 * values.sum() if detached else 0) + value_loss, count


def test_a_critic_whose_loss_was_detached_is_found(tmp_path):
    """Its gradient is exactly 0 and weight decay moves it all the same."""
    checks = (every_group_changes(),)
    train(Critic(), Objective(both, checks=checks), batch_at, config(), out=tmp_path / "a")
    model = Critic()
    before = fingerprint(model.critic)
    broken = Objective(lambda m, b: both(m, b, detached=True), checks=checks)
    with pytest.raises(BadInput, match=r"^The first update taught critic nothing: the loss does not reach it"):
        train(model, broken, batch_at, config(warmup_steps=0), out=tmp_path / "b")
    assert fingerprint(model.critic) != before  # so that only looking at the weights would not have found it
    assert not list((tmp_path / "b" / "checkpoints").iterdir())


@pytest.mark.parametrize("optimizer", ["adamw", "muon"])
def test_a_part_without_any_gradient_is_found(tmp_path, optimizer):
    model = Tiny()
    model.forgotten = nn.Linear(3, 3)
    objective = Objective(loss_fn, checks=(every_group_changes(),))
    with pytest.raises(BadInput, match="taught forgotten nothing"):
        train(model, objective, batch_at, config(optimizer=optimizer), out=tmp_path / "a")
    model.forgotten.requires_grad_(False)
    train(model, objective, batch_at, config(optimizer=optimizer), out=tmp_path / "b")


def test_groups_can_be_named(tmp_path):
    model = Tiny()
    groups = {"first layer": model.blocks[0].parameters(), "head": [model.head.weight]}
    train(model, Objective(loss_fn, checks=(every_group_changes(groups),)), batch_at, config(), out=tmp_path / "a")

    def cut(m, b):
        m.blocks[0].weight.requires_grad_(False)
        m.blocks[0].bias.requires_grad_(False)
        return loss_fn(m, b)

    other = Tiny()
    groups = {"first layer": other.blocks[0].parameters()}
    with pytest.raises(BadInput, match="taught first layer nothing"):
        objective = Objective(cut, checks=(every_group_changes(groups),))
        train(other, objective, batch_at, config(), out=tmp_path / "b")


def test_an_update_too_small_to_change_anything_is_found(tmp_path):
    settings = config(lr=1e-30, min_lr=0.0, optimizer="adamw", weight_decay=0.0)
    with pytest.raises(BadInput, match=r"taught .* nothing"):
        train(Tiny(), Objective(loss_fn, checks=(every_group_changes(),)), batch_at, settings, out=tmp_path)


def test_the_check_changes_nothing_and_holds_again_after_a_resume(tmp_path):
    checked, plain = Tiny(dropout=0.3), Tiny(dropout=0.3)
    objective = Objective(loss_fn, checks=(every_group_changes(),))
    train(checked, objective, batch_at, config(steps=6), out=tmp_path / "checked")
    train(plain, loss_fn, batch_at, config(steps=6), out=tmp_path / "plain")
    assert fingerprint(checked) == fingerprint(plain)
    train(checked, objective, batch_at, config(steps=9), out=tmp_path / "checked", resume=True)


def test_a_check_sees_the_state_of_every_step_with_its_gradients(tmp_path):
    seen = []

    def look(state):
        gradients = [p.grad for p in state.model.parameters()]
        if state.step:
            assert all(g is not None for g in gradients)
            length = torch.cat([g.flatten() for g in gradients]).norm().item()
            assert length == pytest.approx(min(state.gradient_norm, 1.0), rel=1e-4)
        seen.append((state.step, state.loss, state.lr, dict(state.metrics)))

    objective = Objective(
        lambda model, batch: (*loss_fn(model, batch), {"half": (1, 2)}), (Metric("half"),), checks=(look,)
    )
    train(Tiny(), objective, batch_at, config(steps=4), out=tmp_path)
    assert seen[0] == (0, None, None, {})
    told = records(tmp_path)
    assert seen[1:] == [(r["step"], r["loss"], r["lr"], {"half": 0.5}) for r in told] and len(told) == 4


def test_a_check_that_fails_ends_the_run_and_nothing_of_that_step_is_saved(tmp_path):
    """As PPO will assert that its ratio is exactly 1 before the first update of a batch."""

    def ratio_is_one(state):
        if state.metrics and state.metrics["off_one"] != 0:
            raise BadInput(f"At step {state.step} the ratio is not 1: rollouts and training disagree.")

    calls = iter(range(100))

    def loss(model, batch):
        return *loss_fn(model, batch), {"off_one": 1e-7 if next(calls) >= 2 * 7 else 0.0}

    objective = Objective(loss, (Metric("off_one"),), checks=(ratio_is_one,))
    with pytest.raises(BadInput, match="At step 8 the ratio is not 1"):
        train(Tiny(), objective, batch_at, config(), out=tmp_path)
    assert checkpoint.latest(tmp_path).name == "step-00000006" and len(records(tmp_path)) == 7
