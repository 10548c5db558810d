"""Losses and metrics are sums: however a batch is cut, they are those of the whole; what is no loss is refused."""

import json
from typing import Any

import pytest
import torch
from torch.nn import functional as F

from insideout.errors import BadInput
from insideout.training.loop import train
from insideout.training.metrics import Metric
from insideout.training.objective import Objective, Sums, measured
from tests.training.tiny import Tiny, batch, batch_at, config, fingerprint, loss_fn, records

METRICS = (Metric("accuracy", unit="%"), Metric("first_right", unit="%"), Metric("rows"), Metric("never"))


def loss_with_metrics(model, ids_and_targets):
    """The loss; a sum over its own targets, two with counts of their own, one of them often nothing."""
    ids, targets = ids_and_targets
    logits = model(ids)
    kept = targets != -100
    loss = F.cross_entropy(logits.flatten(0, 1), targets.flatten(), ignore_index=-100, reduction="sum")
    right = (logits.argmax(-1) == targets) & kept
    metrics = {
        "accuracy": right.sum(),
        "first_right": (right[:, 0].sum(), kept[:, 0].sum()),
        "rows": (float(len(ids)), 1),
        "never": (0.0, 0),
    }
    return loss, int(kept.sum()), metrics


OBJECTIVE = Objective(loss_with_metrics, METRICS)


def ragged(step, micro_step):
    """Parts of one batch, of different heights; the last one small and mostly masked, one without any target."""
    ids, targets = batch(step, rows=12)
    first, last = [(0, 5), (5, 9), (9, 11), (11, 12)][micro_step]
    ids, targets = ids[first:last], targets[first:last].clone()
    if micro_step == 2:
        targets[:] = -100
    if micro_step == 3:
        targets[:, 1:] = -100
    return ids, targets


def whole(step, micro_step):
    parts = [ragged(step, k) for k in range(4)]
    return torch.cat([ids for ids, _ in parts]), torch.cat([targets for _, targets in parts])


@pytest.mark.parametrize("optimizer", ["adamw", "muon"])
def test_ragged_parts_have_the_gradient_and_the_metrics_of_the_whole(tmp_path, optimizer):
    many, one = Tiny().double(), Tiny().double()
    settings = {"optimizer": optimizer, "steps": 5, "eval_every": 0}
    train(many, OBJECTIVE, ragged, config(accumulation=4, **settings), out=tmp_path / "many")
    train(one, OBJECTIVE, whole, config(accumulation=1, **settings), out=tmp_path / "one")
    for (name, p), q in zip(many.named_parameters(), one.parameters(), strict=True):
        assert torch.allclose(p, q, rtol=0, atol=1e-12), name
    for a, b in zip(records(tmp_path / "many"), records(tmp_path / "one"), strict=True):
        for name in ("loss", "gradient_norm", "accuracy", "first_right"):
            assert a[name] == pytest.approx(b[name], abs=1e-12), name
        assert (a["rows"], b["rows"]) == (3, 12) and "never" not in a
    assert any(0 < record["accuracy"] < 1 for record in records(tmp_path / "one"))


def test_a_metric_is_divided_by_what_was_counted_for_it():
    sums = Sums(OBJECTIVE)
    zero = torch.zeros((), requires_grad=True)
    sums.add((zero + 6, 3, {"accuracy": 2, "first_right": (1, 4)}))
    sums.add((zero + 4, 1, {"accuracy": torch.tensor(1), "first_right": (torch.tensor(2.0), torch.tensor(1))}))
    sums.add((zero + 1, 0))
    assert (sums.loss, sums.count) == (11, 4)
    assert sums.means() == {"accuracy": 3 / 4, "first_right": 3 / 5}


def test_metrics_change_nothing_and_have_their_place_in_every_record(tmp_path):
    with_metrics, without = Tiny(dropout=0.3), Tiny(dropout=0.3)
    train(with_metrics, OBJECTIVE, batch_at, config(), out=tmp_path / "with")
    train(without, loss_fn, batch_at, config(), out=tmp_path / "without")
    assert fingerprint(with_metrics) == fingerprint(without)
    first = json.loads((tmp_path / "with" / "metrics.jsonl").read_text().splitlines()[0])
    assert list(first) == [
        "step", "loss", "lr", "tokens_per_second", "gradient_norm", "accuracy", "first_right", "rows", "seconds",
    ]  # fmt: skip


def test_a_stage_says_what_is_counted(tmp_path):
    train(Tiny(), Objective(loss_fn, counted="pairs"), batch_at, config(steps=3), out=tmp_path)
    assert all("pairs_per_second" in r and "tokens_per_second" not in r for r in records(tmp_path))


LOSS = torch.ones((), requires_grad=True)
WRONG: dict[str, tuple[Any, str]] = {
    "a mean alone": (LOSS, "must give"),
    "a list": ([LOSS, 3], "must give"),
    "one of a tuple": ((LOSS,), "must give"),
    "four of a tuple": ((LOSS, 1, {}, {}), "must give"),
    "a loss for each": ((LOSS.expand(3), 3), r"tensor of shape \(3,\).*one number"),
    "a float": ((1.0, 3), "float 1.0"),
    "detached": ((LOSS.detach(), 3), "does not depend on any weight"),
    "a bool": ((LOSS, True), "bool True"),
    "a bool in a tensor": ((LOSS, torch.tensor(True)), "count of the loss"),
    "a negative count": ((LOSS, -3), "int -3.*at least 0"),
    "no number": ((LOSS, None), "None"),
    "a word": ((LOSS, "3"), "str '3'"),
    "not a number": ((LOSS, float("nan")), "nan"),
    "infinite": ((LOSS, torch.tensor(float("inf"))), "inf"),
    "several counts": ((LOSS, torch.ones(2)), r"shape \(2,\)"),
    "metrics as a list": ((LOSS, 3, [1]), "must be a dict"),
    "unnamed": ((LOSS, 3, {"precision": 1}), r"add Metric\('precision'\)"),
    "the loop's own": ((LOSS, 3, {"lr": 1}), r"gives a metric lr"),
    "a metric for each": ((LOSS, 3, {"accuracy": torch.ones(3)}), "metric accuracy .*one number"),
    "a metric of three": ((LOSS, 3, {"accuracy": (1, 2, 3)}), "metric accuracy .*one number"),
    "a metric's negative count": ((LOSS, 3, {"accuracy": (1, -2)}), "count of the metric accuracy"),
    "a metric's count a bool": ((LOSS, 3, {"accuracy": (1, False)}), "count of the metric accuracy"),
}


@pytest.mark.parametrize("name", WRONG)
def test_what_is_no_loss_is_one_sentence(tmp_path, name):
    given, said = WRONG[name]
    with pytest.raises(BadInput, match=said) as error:
        train(Tiny(), Objective(lambda model, _: given, METRICS), batch_at, config(), out=tmp_path)
    assert "\n" not in str(error.value) and str(error.value).endswith(".")
    assert not list((tmp_path / "checkpoints").iterdir()) and not (tmp_path / "metrics.jsonl").read_bytes()


def test_no_gradient_in_no_grad_is_said(tmp_path):
    def blind(model, ids_and_targets):
        with torch.no_grad():
            return loss_fn(model, ids_and_targets)

    with pytest.raises(BadInput, match="does not depend on any weight that is trained"):
        train(Tiny(), blind, batch_at, config(), out=tmp_path)


def test_one_masked_part_is_no_trouble_and_all_masked_is(tmp_path):
    def masked(step, micro_step):
        ids, targets = batch(step)
        return ids, targets if micro_step == 1 or step < 2 else torch.full_like(targets, -100)

    train(Tiny(), loss_fn, masked, config(steps=4, warmup_steps=1), out=tmp_path / "a")
    with pytest.raises(BadInput, match=r"^Step 3 has no pairs to learn from: every target"):
        objective = Objective(loss_fn, counted="pairs")
        train(Tiny(), objective, lambda s, m: masked(s, 0), config(steps=4), out=tmp_path / "b")


def test_names_that_would_collide_are_refused():
    for metrics in ((Metric("step"),), (Metric("accuracy"), Metric("accuracy"))):
        with pytest.raises(BadInput, match="Two numbers of a record would be called"):
            Objective(loss_fn, metrics)
    with pytest.raises(BadInput, match=r"called 'held out'"):
        Metric("held out")
    with pytest.raises(BadInput, match=r"judged_by is accuracy, which is no metric"):
        Objective(loss_fn, judged_by="accuracy")


def test_what_is_measured_must_be_named(tmp_path):
    assert measured(torch.tensor(2.0), Objective(loss_fn)) == {"validation_loss": 2.0}
    with pytest.raises(BadInput, match=r"add Metric\('reward'\)"):
        train(Tiny(), loss_fn, batch_at, config(), out=tmp_path / "a", validate=lambda model: {"reward": 1.0})
    with pytest.raises(BadInput, match=r"validation_loss .*one number"):
        train(Tiny(), loss_fn, batch_at, config(), out=tmp_path / "b", validate=lambda model: torch.ones(2))


def test_a_metric_shows_its_number():
    assert Metric("x").show(1234.5678) == "1,234.568"
    assert Metric("x", digits=0).show(1234.5678) == "1,235"
    assert Metric("x", unit="%").show(0.256) == "25.6%"
    assert Metric("x").show(0.00001) == "1.0e-05"
    assert Metric("x").show(0.0) == "0.000"
    assert Metric("x").show(None) == Metric("x").show(float("nan")) == "–"
    assert Metric("bits_per_byte").title == "bits per byte"
