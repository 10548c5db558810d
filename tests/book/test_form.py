"""What stands open on a page is the lesson: cells that only keep books are folded, and few such lines stay in sight."""

import ast
import re
from pathlib import Path

import jupytext
import pytest
from bookkeeping import FOLD, folded, parts

from insideout.lab.bookkeeping import is_folded, keeps_books, statements

BOOK = Path(__file__).parents[2] / "book"
CHAPTERS = sorted(BOOK.glob("[0-9]*/[0-9][0-9]_*.md"))


def open_lines(text: str) -> tuple[int, int]:
    """Lines of code in sight, and how many of them keep books."""
    lines = books = 0
    for found in FOLD.finditer(text):
        options, code = parts(found["body"])
        if "hide" in options or "exercise" in options or is_folded(code):
            continue
        for each in statements(code):
            n = (each.end_lineno or each.lineno) - each.lineno + 1
            lines, books = lines + n, books + n * keeps_books(each)
    return lines, books


@pytest.mark.parametrize("path", CHAPTERS, ids=lambda path: path.parent.name[0] + "-" + path.stem)
def test_at_most_a_twentieth_of_the_code_in_sight_keeps_books(path: Path) -> None:
    lines, books = open_lines(path.read_text(encoding="utf-8"))
    assert books <= 0.05 * lines, (
        f"{books} of {lines} lines in sight are claims and rounding: give them a cell of their own"
    )


def test_the_rule_folds_books_and_nothing_else() -> None:
    lesson = "```{code-cell} ipython3\nz = weights @ values\nz\n```\n"
    books = (
        '```{code-cell} ipython3\nx = claim("a.b", z.max(), at_most=1)\nlow, high = (round(e, 2) for e in ends)\n```\n'
    )
    tagged = '```{code-cell} ipython3\n:tags: [remember]\n_ = claim("a.c", True)\n```\n'
    mixed = '```{code-cell} ipython3\nz = f(x)\n_ = claim("a.d", z, at_most=1)\n```\n'
    text = f"{lesson}\n{books}\n{tagged}\n{mixed}"
    done = folded(text)
    assert done.count("hide-cell") == 2
    assert "{code-cell} ipython3\n:tags: [hide-cell]\nx = claim(" in done
    assert ":tags: [remember, hide-cell]\n_ = claim(" in done
    assert folded(done) == done
    assert re.sub(r"^:tags: .*\n", "", done, flags=re.M) == re.sub(r"^:tags: .*\n", "", text, flags=re.M)
    assert open_lines(text) == (4, 1)


def test_a_number_written_with_so_many_digits_is_book_keeping_and_other_words_are_not() -> None:
    assert is_folded('shown = f"{loss:.2f}"\n')
    assert is_folded('low, high = f"{ends.low:+.3f}", f"{ends.high:+.3f}"\n')
    assert not is_folded('place = f"blocks.{layer}.attention"\n')


@pytest.mark.parametrize("path", CHAPTERS, ids=lambda path: path.parent.name[0] + "-" + path.stem)
def test_no_cell_takes_an_imported_name_for_a_value_of_its_own(path: Path) -> None:
    cells = [cell.source for cell in jupytext.read(path).cells if cell.cell_type == "code"]
    lines = [node for cell in cells for node in ast.parse(cell).body]
    imported = {
        (alias.asname or alias.name).split(".")[0]
        for node in lines if isinstance(node, ast.Import | ast.ImportFrom) for alias in node.names
    }  # fmt: skip
    taken = {
        name.id for node in lines if not isinstance(node, ast.FunctionDef | ast.ClassDef) for name in ast.walk(node)
        if isinstance(name, ast.Name) and isinstance(name.ctx, ast.Store)
    }  # fmt: skip
    assert not imported & taken, "a later cell that means the import would get the value"
