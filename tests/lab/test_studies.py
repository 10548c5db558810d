"""Studies: every variant and seed once, remembered, and the same whether they run together or one by one."""

import json
import os
from pathlib import Path

import pytest

from insideout.errors import BadInput
from insideout.lab.studies import study, workers_for

CALLS: list[tuple[int, int]] = []


@pytest.fixture(autouse=True)
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("INSIDEOUT_HOME", str(tmp_path))
    CALLS.clear()
    return tmp_path


def square(variant: int, seed: int) -> dict[str, float]:
    CALLS.append((variant, seed))
    return {"loss": variant**2 + 0.1 * seed, "process": os.getpid()}


def fails_at_two(variant: int, seed: int) -> dict[str, float]:
    if variant == 2:
        raise BadInput("Two is not trained.")
    return square(variant, seed)


def trained(variant: int, seed: int) -> dict[str, list[float]]:
    import torch

    torch.manual_seed(seed)
    layer = torch.nn.Linear(variant, variant)
    layer(torch.randn(5, variant)).square().sum().backward()
    return {"gradient": layer.weight.grad.flatten().tolist(), "threads": [torch.get_num_threads()]}


def test_every_variant_and_seed_runs_once_and_is_remembered() -> None:
    first = study("squares", square, {"two": 2, "three": 3}, seeds=2)
    assert first.values("three", "loss") == pytest.approx([9.0, 9.1])
    assert CALLS == [(2, 0), (2, 1), (3, 0), (3, 1)]
    again = study("squares", square, {"two": 2, "three": 3, "four": 4}, seeds=2)
    assert CALLS[4:] == [(4, 0), (4, 1)]  # only what is new
    assert again["two"] == first["two"]


def test_runs_at_once_give_what_they_give_one_by_one(home: Path) -> None:
    together = study("gradients", trained, {"2": 2, "3": 3}, seeds=2, at_once=2)
    for path in (home / "studies").rglob("*.json"):
        path.unlink()
    alone = study("gradients", trained, {"2": 2, "3": 3}, seeds=2, at_once=1)
    assert [together.values(name, "gradient") for name in ("2", "3")] == [
        alone.values(name, "gradient") for name in ("2", "3")
    ]


def test_runs_at_once_leave_this_process_alone() -> None:
    found = study("squares", square, {"two": 2, "three": 3}, seeds=2, at_once=2)
    assert CALLS == []
    assert os.getpid() not in found.values("two", "process") + found.values("three", "process")


def test_what_was_done_before_a_failure_is_kept(home: Path) -> None:
    with pytest.raises(BadInput, match="Two is not trained"):
        study("fails", fails_at_two, {"one": 1, "two": 2, "three": 3}, seeds=1)
    kept = [json.loads(path.read_text()) for path in (home / "studies").rglob("*.json")]
    assert [run["loss"] for run in kept] == [1.0]


def test_a_failure_elsewhere_is_the_same_failure() -> None:
    with pytest.raises(BadInput, match="Two is not trained"):
        study("fails", fails_at_two, {"one": 1, "two": 2}, seeds=2, at_once=2)


def test_a_result_that_cannot_be_stored_is_one_sentence() -> None:
    def strange(variant: int, seed: int) -> dict[str, object]:
        return {"loss": object()}

    with pytest.raises(BadInput, match="cannot be stored"):
        study("strange", strange, {"one": 1}, seeds=1)


def test_one_run_a_core_at_laptop_scale_only(monkeypatch: pytest.MonkeyPatch) -> None:
    for scale, n_runs, expected in (("tiny", 10, 1), ("gpu", 10, 1), ("laptop", 1, 1), ("laptop", 0, 1)):
        monkeypatch.setenv("INSIDEOUT_SCALE", scale)
        assert workers_for(n_runs) == expected
    monkeypatch.setenv("INSIDEOUT_SCALE", "laptop")
    assert 1 <= workers_for(100) <= 8
