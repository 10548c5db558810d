"""What the site hands out: notebooks that any program opens, and the project as one file."""

import base64
import json
import re
import tarfile
from pathlib import Path
from xml.etree import ElementTree

import jupytext
import nbformat
import pytest
from downloads import pack, plain
from execution import Cell, Execution, Number, chapters
from sphinx.errors import ExtensionError

BOOK = Path(__file__).parents[2] / "book"
INSTALL = "%pip install here"
RAW = re.compile(r":::|\{[\w:-]+\}`|^\([\w.-]+\)=$|\]\((?!https?:)[^)]*\.md", re.M)


def prose(notebook: nbformat.NotebookNode) -> str:
    """All words, without blocks of code."""
    text = "\n\n".join(cell.source for cell in notebook.cells if cell.cell_type == "markdown")
    return re.sub(r"^```.*?^```", "", text, flags=re.M | re.S)


@pytest.mark.parametrize("path", chapters(), ids=lambda path: path.parent.name[0] + "-" + path.stem)
def test_a_chapter_is_written_for_any_program(path: Path) -> None:
    notebook = plain(path, None, "9.99", INSTALL)
    nbformat.validate(notebook)
    assert not RAW.findall(prose(notebook))
    first, *others = (cell.source for cell in notebook.cells if cell.cell_type == "code")
    assert first == INSTALL and notebook.cells[0].source == INSTALL
    assert others == [cell.source for cell in jupytext.read(path).cells if cell.cell_type == "code"]
    text = path.read_text(encoding="utf-8")
    folded = len(re.findall(r"^:::+\{(?:dropdown|solution)\}", text, flags=re.M))
    assert prose(notebook).count("<details>") == prose(notebook).count("</details>") == folded
    assert "# 9.99 " in prose(notebook) and "> **Predict**" in prose(notebook)


CHAPTER = """---
jupytext:
  text_representation: {extension: .md, format_name: myst}
kernelspec: {display_name: Python 3, language: python, name: python3}
insideout: {}
---

# A sum

```{code-cell} ipython3
:tags: [hide-input]
figure
```

*Twice two is {eval}`float(four)
/ 1`, {eval}`words` {cite}`vaswani2017,loshchilov2019`.*

```{code-cell} ipython3
four = claim("a.b", 4, at_least=4)
```

(a-mark)=
Now it is {eval}`four`, and $x_1$ stays.

::::{solution} a.b
:class: dropdown
```python
f = {"{eval}`x`": 1}
```
:::{admonition} Mind
:class: tip
Two

lines.
:::
::::
"""


@pytest.fixture
def notebook(tmp_path: Path) -> nbformat.NotebookNode:
    path = tmp_path / "00_sum.md"
    path.write_text(CHAPTER, encoding="utf-8")
    svg = '<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 40 20" style="max-width: 60px"><g>{}</g></svg>'
    live = f'<div class="live" data-kind="reads"></div><div class="wide">{svg}</div><div class="narrow">{svg}</div>'
    figure = {"output_type": "execute_result", "metadata": {}, "data": {"text/html": live, "text/plain": "a figure"}}
    cells = [Cell("figure", [figure]), Cell('four = claim("a.b", 4, at_least=4)', [])]

    def number(after: int, expression: str, value: str) -> Number:
        return Number(after, expression, [{"output_type": "execute_result", "data": {"text/plain": value}}])

    numbers = [number(1, "float(four) / 1", "4.0"), number(1, "words", "'a *star* of $5'"), number(2, "four", "4")]
    return plain(path, Execution("", cells, numbers, [], 0.0), "1.00", INSTALL)


def test_numbers_are_filled_in_and_outputs_kept(notebook: nbformat.NotebookNode) -> None:
    said = "\n".join(cell.source for cell in notebook.cells if cell.cell_type == "markdown")
    assert r"*Twice two is 4.0, a \*star\* of \$5 ([Vaswani et al., 2017](" in said
    assert "Loshchilov and Hutter, 2019" in said
    assert "Now it is 4, and $x_1$ stays." in said and "(a-mark)" not in said
    assert 'f = {"{eval}`x`": 1}' in said  # code is not prose
    assert "<summary>Solution</summary>\n\n```python" in said and "> **Mind**\n>\n> Two\n>\n> lines." in said
    figure, books = [cell for cell in notebook.cells if cell.cell_type == "code"][1:]
    assert figure.outputs[0].execution_count == figure.execution_count == 1
    html = figure.outputs[0].data["text/html"]
    assert "<script>" in html  # there is no page around it
    (image,) = re.findall(
        r'<img alt="Twice two is 4.0, [^"]*" width="60" src="data:image/svg\+xml;base64,([^"]+)">', html
    )
    drawn = ElementTree.fromstring(base64.b64decode(image))  # an image stands alone: with its size, and paper behind it
    assert (drawn.get("width"), drawn.get("height")) == ("40", "20") and "#fff" in str(drawn.get("style"))
    assert "<svg" not in html
    for cell in (figure, books):  # drawing and book-keeping are folded, in Jupyter and in Colab
        assert cell.metadata.jupyter.source_hidden and cell.metadata.cellView == "form"


@pytest.mark.parametrize("unknown", ["{ref2}`x`", ":::{margin}\nx\n:::"])
def test_what_cannot_be_said_plainly_fails_the_build(tmp_path: Path, unknown: str) -> None:
    path = tmp_path / "00_sum.md"
    path.write_text(CHAPTER + "\n" + unknown + "\n", encoding="utf-8")
    with pytest.raises(ExtensionError, match="teach it to downloads"):
        plain(path, None, "", INSTALL)


def test_the_project_as_one_file(tmp_path: Path) -> None:
    pack(tmp_path / "project-1.tar.gz")
    with tarfile.open(tmp_path / "project-1.tar.gz") as archive:
        names = {name.removeprefix("project-1/") for name in archive.getnames()}
        makefile = archive.extractfile("project-1/Makefile")
        assert makefile is not None and makefile.read() == (BOOK.parent / "Makefile").read_bytes()
    needed = {"pyproject.toml", "constraints.txt", "README.md", "LICENSE", "src/insideout/lab/figures/live.js"}
    needed |= {path.relative_to(BOOK.parent).as_posix() for path in chapters()}
    assert needed <= names
    assert not [name for name in names if re.search(r"(^|/)(_build|__pycache__|\.venv|\.git|my-book)/", name)]


def test_a_notebook_is_plain_json(notebook: nbformat.NotebookNode) -> None:
    assert json.loads(nbformat.writes(notebook))["nbformat_minor"] >= 5
