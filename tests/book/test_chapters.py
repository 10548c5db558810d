"""Every chapter runs from its first cell to its last at tiny scale, as a notebook, the way Jupyter would run it.

What it gave is kept for test_site.py, which shows it on the pages. Those of part 1 also run on a bare Python, in
test_bare_python.py.
"""

import re
from pathlib import Path

import jupytext
import pytest
from execution import chapters, execution, notebooks

from tests.book.naming import topic

BOOK = Path(__file__).parents[2] / "book"
CHAPTERS = chapters()


def test_there_are_chapters() -> None:
    assert CHAPTERS, f"no chapter in {BOOK}"


@pytest.mark.parametrize("path", notebooks(), ids=lambda path: path.stem)
def test_runs_as_a_notebook(
    path: Path, shared: Path, book_environment: dict[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, value in book_environment.items():
        monkeypatch.setenv(name, value)
    found = execution(path, shared / "executed")
    assert found.cells and any(cell.outputs for cell in found.cells)
    foreign = [claim["id"] for claim in found.claims if not claim["id"].startswith(f"{topic(path)}.")]
    assert not foreign, f"{path.name} makes claims that are not named for it: {foreign}"


@pytest.mark.parametrize("path", CHAPTERS, ids=lambda path: path.stem)
def test_keeps_the_form(path: Path) -> None:
    text = path.read_text(encoding="utf-8")
    sections = re.findall(r"^## (\w+)", text, flags=re.M)
    for section in ("Build", "Check", "Measure", "Break", "Practise", "Recap"):
        assert section in sections, f"{path.name} has no section {section}"
    exercises, solutions = text.count("{exercise}"), text.count("{solution}")
    assert exercises >= 2, f"{path.name} has {exercises} exercises; a chapter has at least two"
    assert exercises == solutions == len(re.findall(r"^check\(", text, flags=re.M))
    assert "Predict" in text and "What you predicted" in text


@pytest.mark.parametrize("path", CHAPTERS, ids=lambda path: path.stem)
def test_numbers_in_the_prose_are_computed_before_they_are_said(path: Path) -> None:
    code = ""
    for cell in jupytext.read(path).cells:
        if cell.cell_type == "code":
            code += cell.source + "\n"
        for name in re.findall(r"\{eval\}`(\w+)", cell.source if cell.cell_type == "markdown" else ""):
            assert re.search(rf"\b{name}\b", code), f"{path.name} says {name} before a cell has computed it"
