"""Part 1 runs on a bare Python: every cell of its chapters, with the standard library and nothing else installed."""

import re
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
CHAPTERS = sorted((ROOT / "book/1-understanding-gradients").glob("[0-9][0-9]_*.md"))
CELL = re.compile(r"^```\{code-cell\}[^\n]*\n((?::[^\n]*\n)*)(.*?)^```", re.MULTILINE | re.DOTALL)
RUN = """
import sys
sys.path.insert(0, sys.argv[1])
names = {}
for cell in sys.stdin.read().split("\\0"):
    exec(compile(cell, "cell", "exec"), names)
assert not {"torch", "numpy", "matplotlib"} & set(sys.modules)
"""


def test_part_1_is_whole():
    assert [path.stem[:2] for path in CHAPTERS] == [f"{i:02}" for i in range(13)]


@pytest.mark.parametrize("path", CHAPTERS, ids=lambda path: path.stem)
def test_needs_nothing_installed(path, book_environment):
    cells = [code for _, code in CELL.findall(path.read_text(encoding="utf-8"))]
    done = subprocess.run(
        [sys.executable, "-S", "-E", "-c", RUN, str(ROOT / "src")],
        input="\0".join(cells), env=book_environment, capture_output=True, text=True, timeout=600,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr[-2000:]
