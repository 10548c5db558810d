"""Every command that the README names does what it says: `make` targets exist, `insideout` runs, at tiny scale."""

import os
import re
import shlex
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from insideout.data.pictures.digits import load_digits
from insideout.errors import BadInput

ROOT = Path(__file__).parents[1]
README = (ROOT / "README.md").read_text(encoding="utf-8")
COMMANDS = re.findall(r"^\| `([^`]+)` \|", README, flags=re.M) + re.findall(r"^(make \w+)", README, flags=re.M)
OURS = [command for command in COMMANDS if command.startswith("insideout ")]
MAKE = sorted({command for command in COMMANDS if command.startswith("make ")})


def test_the_readme_names_its_commands():
    assert len(OURS) >= 5
    assert {"make run", "make test", "make book", "make lab", "make bench"} <= set(MAKE)


@pytest.mark.parametrize("command", MAKE)
def test_a_make_target_exists(command):
    done = subprocess.run([*shlex.split(command), "-n"], cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr


def test_the_tour_runs_from_top_to_bottom(tmp_path):
    folders = os.environ.get("INSIDEOUT_DATA", "").split(os.pathsep)
    if not any((Path(folder) / "tinyshakespeare.txt").is_file() for folder in folders if folder):
        pytest.skip("tinyshakespeare.txt is needed: name its folder in INSIDEOUT_DATA")
    environment = os.environ | {"INSIDEOUT_HOME": str(tmp_path / "home"), "INSIDEOUT_SCALE": "tiny"}
    (tmp_path / "notes.txt").write_text("The quick notes of somebody who writes every day.\n" * 400, encoding="utf-8")
    (tmp_path / "photos").mkdir()
    for i in range(8):
        noise = np.random.default_rng(i).integers(0, 256, (20, 24, 3), dtype=np.uint8)
        Image.fromarray(noise).save(tmp_path / "photos" / f"{i}.png")
    for command in OURS:
        words = shlex.split(command.replace("--scale laptop", "--scale tiny"))[1:]
        if words[0].startswith("train") and "--scale" not in words:
            words += ["--scale", "tiny"]
        if "--resume" in words:  # a run that there is to go on with
            begun = [word for word in words if word != "--resume"]
            run(begun, tmp_path, environment)
        if words[0] == "draw" and not digits_within_reach(tmp_path):
            continue  # its pictures come from the package index, once
        run(words, tmp_path, environment)
    assert (tmp_path / "runs/mine/report.html").is_file()
    assert (tmp_path / "runs/notes/report.html").is_file()


def digits_within_reach(folder):
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("INSIDEOUT_HOME", str(folder / "home"))
        try:
            return bool(load_digits())
        except BadInput:
            return False


def run(words, folder, environment):
    done = subprocess.run(
        [sys.executable, "-c", "from insideout.cli.main import main; main()", *words],
        cwd=folder, env=environment, capture_output=True, text=True, timeout=300,
    )  # fmt: skip
    assert done.returncode == 0, (words, done.stdout[-1000:], done.stderr[-2000:])
