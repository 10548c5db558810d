"""Studies: every variant and seed once, remembered as it was found, and the same together or one by one."""

import json
import os
import subprocess
import sys
import textwrap
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from insideout import scales
from insideout.errors import BadInput
from insideout.lab.studies import decoded, encoded, study, workers_for


@pytest.fixture(autouse=True)
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("INSIDEOUT_HOME", str(tmp_path))
    return tmp_path


def files(home: Path) -> list[Path]:
    return sorted((home / "studies").rglob("*.json"))


def square(variant: int, seed: int) -> dict[str, float]:
    print("called", variant, seed)
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
    assert layer.weight.grad is not None
    return {"gradient": layer.weight.grad.flatten().tolist(), "threads": [torch.get_num_threads()]}


def at_which_scale(variant: int, seed: int) -> dict[str, str]:
    return {"scale": scales.scale(), "home": os.environ["INSIDEOUT_HOME"]}


def called(capsys: pytest.CaptureFixture[str]) -> list[tuple[int, int]]:
    return [(int(a), int(b)) for _, a, b in (line.split() for line in capsys.readouterr().out.splitlines())]


def test_every_variant_and_seed_runs_once_and_is_remembered(capsys: pytest.CaptureFixture[str]) -> None:
    first = study("squares", square, {"two": 2, "three": 3}, seeds=2)
    assert first.values("three", "loss") == pytest.approx([9.0, 9.1])
    assert called(capsys) == [(2, 0), (2, 1), (3, 0), (3, 1)]
    again = study("squares", square, {"two": 2, "three": 3, "four": 4}, seeds=2)
    assert called(capsys) == [(4, 0), (4, 1)]  # only what is new
    assert again["two"] == first["two"]


def test_what_is_read_back_equals_what_was_computed() -> None:
    def strange(variant: int, seed: int) -> dict[str, object]:
        return {
            "int keys": {0: 0.5, 1: 1}, "tuple": (1, [2.5, (3,)]), "none": None, "true": True, "text": "é\ud800",
            "set": {1, 2}, "frozen": frozenset({"a"}), "bytes": b"\0\xff", "complex": 1 + 2j, "large": 10**30,
            "small": -0.0, "infinite": float("inf"), "keys": {(1, 2): {None: True}}, "empty": [{}, (), ""],
        }  # fmt: skip

    def types_in(value: object) -> object:
        if isinstance(value, dict):
            return [(type(key), types_in(each)) for key, each in value.items()]
        if isinstance(value, list | tuple):
            return [type(value), *map(types_in, value)]
        return float if isinstance(value, float) else type(value)

    computed = study("strange", strange, {"one": 1}, seeds=1)
    read_back = study("strange", strange, {"one": 1}, seeds=1)
    assert computed["one"] == read_back["one"] and types_in(computed["one"]) == types_in(read_back["one"])
    given = strange(1, 0)
    assert {name: read_back["one"][0][name] for name in given} == given
    assert types_in({name: read_back["one"][0][name] for name in given}) == types_in(given)


@pytest.mark.parametrize("value", ["tensor", "array", "number of NumPy", "object", "int of its own"])
def test_a_result_that_would_not_come_back_is_refused(value: str, home: Path) -> None:
    def strange(variant: int, seed: int) -> dict[str, object]:
        import enum

        import numpy as np
        import torch

        own = enum.IntEnum("own", ["a"])
        found = {"tensor": torch.zeros(1), "array": np.zeros(1), "number of NumPy": np.float64(1), "object": object()}
        return {"loss": [1.0, found.get(value, own(1))]}

    with pytest.raises(BadInput, match="'loss', cannot be stored"):
        study("strange", strange, {"one": 1}, seeds=1)
    assert files(home) == []


def test_seconds_are_the_studys_own() -> None:
    def slow(variant: int, seed: int) -> dict[str, float]:
        return {"seconds": 5.0}

    with pytest.raises(BadInput, match="seconds"):
        study("slow", slow, {"one": 1}, seeds=1)


def test_numbers_know_where_and_when_they_were_measured(home: Path) -> None:
    first = study("squares", square, {"two": 2}, seeds=2)
    [origin] = first.origins
    for path in files(home):
        record = json.loads(path.read_text())
        path.write_text(json.dumps(record | {"machine": "another", "date": "2001-01-01T00:00:00+00:00"}))
    again = study("squares", square, {"two": 2}, seeds=2)
    assert origin.machine != "another" and again["two"] == first["two"]
    for value in (again.values("two", "loss")[0], again.interval("two", "loss").high, again.seconds()):
        assert [each.machine for each in value.origins] == ["another"]


@pytest.mark.parametrize("damage", ["cut", "a digit", "another format", "a list"])
def test_a_damaged_result_is_made_again(home: Path, damage: str, capsys: pytest.CaptureFixture[str]) -> None:
    first = study("squares", square, {"two": 2}, seeds=1)
    [path] = files(home)
    text = path.read_text()
    damaged = {"cut": text[:40], "a digit": text.replace("4.0", "5.0"), "another format": text.replace("study 1", "0")}
    path.write_text(damaged.get(damage, "[]"))
    assert path.read_text() != text
    assert study("squares", square, {"two": 2}, seeds=1).values("two", "loss") == first.values("two", "loss")
    assert called(capsys) == [(2, 0), (2, 0)]


def test_the_scale_is_handed_down_and_part_of_the_key(home: Path) -> None:
    found = [study("scales", at_which_scale, {"one": 1}, seeds=1, scale=at) for at in scales.SCALES]
    assert [each["one"][0]["scale"] for each in found] == list(scales.SCALES) and len(files(home)) == 3


def test_runs_at_once_give_what_they_give_one_by_one(home: Path) -> None:
    together = study("gradients", trained, {"2": 2, "3": 3}, seeds=2, at_once=2)
    for path in files(home):
        path.unlink()
    alone = study("gradients", trained, {"2": 2, "3": 3}, seeds=2, at_once=1)
    assert [together.values(name, "gradient") for name in ("2", "3")] == [
        alone.values(name, "gradient") for name in ("2", "3")
    ]


def test_runs_at_once_are_elsewhere_at_the_same_scale_and_home(home: Path, capsys: pytest.CaptureFixture[str]) -> None:
    found = study("squares", square, {"two": 2, "three": 3}, seeds=2, at_once=2)
    assert called(capsys) == []
    assert os.getpid() not in found.values("two", "process") + found.values("three", "process")
    there = study("scales", at_which_scale, {"one": 1}, seeds=2, at_once=2, scale="gpu")
    assert there.values("one", "scale") == ["gpu"] * 2 and there.values("one", "home") == [str(home)] * 2


def test_what_was_done_before_a_failure_is_kept(home: Path) -> None:
    with pytest.raises(BadInput, match="Two is not trained"):
        study("fails", fails_at_two, {"one": 1, "two": 2, "three": 3}, seeds=1)
    assert len(files(home)) == 1


def test_a_failure_elsewhere_is_the_same_failure() -> None:
    with pytest.raises(BadInput, match="Two is not trained"):
        study("fails", fails_at_two, {"one": 1, "two": 2}, seeds=2, at_once=2)


def test_what_cannot_be_described_is_refused_before_anything_runs(capsys: pytest.CaptureFixture[str]) -> None:
    import threading

    lock = threading.Lock()

    def locked(variant: int, seed: int) -> dict[str, float]:
        with lock:
            return square(variant, seed)

    for experiment, variant in ((locked, 1), (square, lock)):
        with pytest.raises(BadInput, match="lock"):
            study("locked", experiment, {"one": variant}, seeds=1)
    assert called(capsys) == []


@pytest.mark.skipif(os.name != "posix" or os.getuid() == 0, reason="root may write anywhere")
def test_a_folder_that_cannot_be_written_is_said_before_anything_runs(home: Path) -> None:
    (home / "studies").mkdir()
    (home / "studies").chmod(0o555)
    with pytest.raises(BadInput, match="INSIDEOUT_HOME"):
        study("squares", square, {"two": 2}, seeds=1)


def test_a_home_that_is_a_file_is_said_before_anything_runs(
    home: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    (home / "file").write_text("")
    monkeypatch.setenv("INSIDEOUT_HOME", str(home / "file"))
    with pytest.raises(BadInput, match="INSIDEOUT_HOME"):
        study("squares", square, {"two": 2}, seeds=1)
    assert called(capsys) == []


def test_a_full_disk_is_one_sentence(monkeypatch: pytest.MonkeyPatch) -> None:
    def full(path: Path, content: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("insideout.files.write_whole", full)
    with pytest.raises(BadInput, match="disk is full"):
        study("squares", square, {"two": 2}, seeds=1)


def test_one_run_a_core_at_laptop_scale_only() -> None:
    assert (
        workers_for(10, "tiny") == workers_for(10, "gpu") == workers_for(1, "laptop") == workers_for(0, "laptop") == 1
    )
    assert 1 <= workers_for(100, "laptop") <= 8


def test_encoding_keeps_every_value_apart() -> None:
    values = [{}, [], (), {"list": [1]}, [["list", 1]], {"dict": []}, {1: 2}, {"1": 2}, [1.0], [1], [True], "dict"]
    back = [decoded(json.loads(json.dumps(encoded(value, "it")))) for value in values]
    assert back == values and [type(each) for each in back] == [type(each) for each in values]


@pytest.mark.skipif(os.name != "posix", reason="processes are looked at as Linux and macOS show them")
def test_workers_leave_with_the_study_that_started_them(tmp_path: Path) -> None:
    script = tmp_path / "page.py"
    script.write_text(
        textwrap.dedent(f"""
            import os, time
            from insideout.lab.studies import study

            def slow(variant, seed):
                open({str(tmp_path)!r} + f"/worker-{{os.getpid()}}", "w").close()
                time.sleep(60 if variant else 1)
                return {{"loss": 1.0}}

            study("slow", slow, {{"quick": 0, "slow": 1}}, seeds=2, at_once=3)
        """)
    )
    started = subprocess.Popen([sys.executable, str(script)], env=os.environ | {"INSIDEOUT_HOME": str(tmp_path)})

    def workers() -> list[int]:
        return [int(path.name.split("-")[1]) for path in tmp_path.glob("worker-*")]

    def until(holds: Callable[[], bool], seconds: float) -> bool:
        end = time.monotonic() + seconds
        while time.monotonic() < end:
            if holds():
                return True
            time.sleep(0.2)
        return False

    def alive(process: int) -> bool:
        try:
            os.kill(process, 0)
        except ProcessLookupError:
            return False
        stat = Path(f"/proc/{process}/stat")
        return not (stat.exists() and stat.read_text().rpartition(")")[2].split()[0] == "Z")

    assert until(lambda: len(workers()) >= 2, 60)  # a third may come too late to find work: then it is idle
    started.kill()
    started.wait()
    assert until(lambda: not any(map(alive, workers())), 30), "a worker outlived its study"


def test_progress_that_nobody_reads_ends_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    class Gone:
        def write(self, words: str) -> int:
            raise BrokenPipeError

        def flush(self) -> None:
            raise BrokenPipeError

    monkeypatch.setattr(sys, "stderr", Gone())
    assert study("squares", square, {"two": 2}, seeds=1).values("two", "loss") == [4.0]
