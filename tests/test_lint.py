"""What the linters have to find: a name that nobody defined, in the body of a function, wherever Python is written."""

import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
FOLDERS = ("src/insideout/transformer", "book/_ext", "tests/training", "benchmarks")
CODE = '''"""A module."""

from jaxtyping import Float
from torch import Tensor


def doubled(x: Float[Tensor, " B"], y: Float[Tensor, "B T"]) -> Float[Tensor, "B T"]:
    """Twice y."""
    return 2 * y
'''


def ruff(code: str, folder: str) -> str:
    command = [
        sys.executable,
        "-m",
        "ruff",
        "check",
        "--output-format=concise",
        f"--stdin-filename={folder}/new.py",
        "-",
    ]
    return subprocess.run(command, input=code, cwd=ROOT, capture_output=True, text=True).stdout


def mypy(folder: Path) -> str:
    settings = ["--config-file", str(ROOT / "pyproject.toml"), "--follow-imports=skip", "--cache-dir", str(folder)]
    command = [sys.executable, "-m", "mypy", *settings, "."]
    return subprocess.run(command, cwd=folder, capture_output=True, text=True).stdout


@pytest.mark.parametrize("folder", FOLDERS)
def test_ruff_finds_an_undefined_name_and_leaves_shapes_alone(folder: str) -> None:
    assert ruff(CODE, folder) == "All checks passed!\n"
    assert "F821 Undefined name `z`" in ruff(CODE.replace("2 * y", "2 * z"), folder)
    assert "F821 Undefined name `Tensr`" in ruff(CODE.replace("y: Float[Tensor", "y: Float[Tensr"), folder)


def test_mypy_finds_an_undefined_name(tmp_path: Path) -> None:
    for part in FOLDERS:  # with the settings that hold for each of them
        folder = tmp_path / part
        folder.mkdir(parents=True)
        (folder / "wrong.py").write_text(CODE.replace("2 * y", "2 * z"))
    said = mypy(tmp_path).splitlines()
    for part in FOLDERS:
        assert [line for line in said if line.startswith(f"{part}/wrong.py:9") and "[name-defined]" in line], said
