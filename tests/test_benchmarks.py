"""What the benchmarks ask for is what a reader can ask for: their flags are those of the command."""

import importlib.util
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

FILE = Path(__file__).parents[1] / "benchmarks/learning_speed.py"


@pytest.fixture(scope="module")
def learning_speed() -> Any:
    spec = importlib.util.spec_from_file_location("learning_speed", FILE)
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_a_later_flag_takes_the_place_of_an_earlier_one(learning_speed: Any) -> None:
    found = learning_speed.by_name("--a 1 --qk-norm --b 2 --a 3 --no-qk-norm --c x")
    assert list(found.values()) == [["--a", "3"], ["--no-qk-norm"], ["--b", "2"], ["--c", "x"]]


def test_every_flag_is_one_of_train(learning_speed: Any) -> None:
    command = [sys.executable, "-c", "from insideout.cli.main import main; main()", "train", "--help"]
    told = subprocess.run(command, capture_output=True, text=True).stdout.replace("--no-", "--")
    known = set(re.findall(r"--[a-z][\w-]*", told))
    for flags in (learning_speed.REFERENCE, learning_speed.OURS, learning_speed.LONGER, learning_speed.COMMON):
        assert set(learning_speed.by_name(flags)) <= known
