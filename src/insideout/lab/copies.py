"""The reader's own copy of the book: a notebook a chapter, in a folder of theirs, in which nothing is overwritten.

    reports = bring_up_to_date(Path("my-book"))     makes what is missing, and gives the rest what is new in the book

Beside the copies, in `.book`, lies each chapter as it was handed out last. So it is known of every cell who has changed
it since: a cell that the reader has not touched gets the book's newer text, one that they wrote in stays as it is, and
cells of their own stay behind the cell that they follow. Where both have changed a cell, the reader's stays, and the
book's newer one is shown beneath it.
"""

import hashlib
import json
import re
from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from difflib import SequenceMatcher
from pathlib import Path
from typing import Any

from insideout import files
from insideout.errors import BadInput
from insideout.exercises.chapters import BOOK
from insideout.lab.bookkeeping import is_folded

Cell = dict[str, Any]
Notebook = dict[str, Any]
ANSWER = re.compile(r"^check\(\s*[\"']([\w.]+)[\"']", re.MULTILINE)
"""The call that makes a cell an answer to an exercise."""
SECTION = re.compile(r"^(?=#{1,4} )|^(?=:{3,}\{exercise\})", re.MULTILINE)
CITATION = re.compile(r"\{cite(?::\w+)?\}`([^`]+)`")
HIDDEN = {"hide-input", "hide-cell", "remove-input"}
LIKE = 0.5
"""How alike a cell and a changed one have to be, to be taken for the same."""


@dataclass
class Report:
    """What was done to a copy; in print, one line of what its reader has to know, empty where nothing was done."""

    name: str
    new: bool = False
    renamed_from: str = ""
    replaced: int = 0
    added: int = 0
    removed: int = 0
    kept: list[str] = field(default_factory=list)
    """Cells that both the book and the reader have changed: the reader's stayed."""
    trouble: str = ""

    def __str__(self) -> str:
        if self.trouble:
            return f"{self.name}: {self.trouble}"
        counts = {"replaced": self.replaced, "added": self.added, "removed": self.removed}
        parts = [f"{n} cell{'s' * (n > 1)} {word}" for word, n in counts.items() if n]
        if self.renamed_from:
            parts.insert(0, f"renamed, it was {self.renamed_from}")
        if self.kept:
            both = ", ".join(self.kept)
            parts.append(f"changed by you and in the book: {both} (yours stays, the book's is shown beneath)")
        return f"{self.name}: {'; '.join(parts)}" if parts else ""


def bring_up_to_date(folder: Path, book: Path = BOOK) -> list[Report]:
    """Make the copies that `folder` lacks, and merge into the others what has changed in the book since.

    Raises BadInput where there is no book, the folder lies in it, or cannot be written.
    """
    chapters = sorted(book.glob("[0-9]*-*/[0-9][0-9]_*.md"))
    if not chapters:
        raise BadInput(
            "The chapters are not beside this package: they are in the project's folder, where `make lab` opens them. "
            "Each page of the site offers its notebook too."
        )
    if folder.resolve().is_relative_to(book.resolve()):
        raise BadInput(f"{folder} lies in the book itself: give a folder of your own, such as my-book.")
    try:
        with files.locked(folder / ".book" / "copies"):
            return [brought_up_to_date(path, folder) for path in chapters]
    except OSError as error:
        raise files.disk_trouble(error, folder) from None


def brought_up_to_date(chapter: Path, folder: Path) -> Report:
    """Make or update the copy of one chapter. The copy is written before what it is said to be merged with."""
    part, name = chapter.parent.name, f"{chapter.stem}.ipynb"
    copy, base = folder / part / name, folder / ".book" / part / f"{chapter.stem[3:]}.json"
    report = Report(f"{part}/{name}")
    before = read(base)
    if before is not None and before.get("name", name) != name:
        former = folder / part / str(before["name"])
        if former.is_file() and not copy.exists():
            former.rename(copy)
            report.renamed_from = former.name
    mine = read(copy)
    if mine is None and copy.exists():
        report.trouble = "not brought up to date, because it cannot be read as a notebook"
        return report
    if mine is not None and before is None:
        report.trouble = "left as it is, because what was handed out of it is not known; rename it to get a new copy"
        return report
    after = handed_out(chapter)
    if mine is None or before is None:
        report.new = True
        write(copy, after)
    else:
        after["cells"] = under_old_ids(after["cells"], before["cells"])
        if said(after["cells"]) != said(before["cells"]):
            written_in = said(mine["cells"]) != said(before["cells"])
            if written_in:  # for once it is not what the reader wanted
                write(folder / ".book" / "before" / part / name, mine)
            mine["cells"] = merged(with_ids(mine["cells"], before["cells"]), before["cells"], after["cells"], report)
            write(copy, mine)
        elif not report.renamed_from:
            return report
    write(
        base, {"name": name, "cells": [{k: each[k] for k in ("id", "cell_type", "source")} for each in after["cells"]]}
    )
    return report


# three versions of a chapter


def merged(mine: Sequence[Cell], before: Sequence[Cell], after: Sequence[Cell], report: Report) -> list[Cell]:
    """The book's newer cells with all that the reader wrote. The order is the book's; their own follow their cell."""
    old, new = by_id(before), by_id(after)
    theirs: dict[str, Cell] = {}
    following: dict[str, list[Cell]] = defaultdict(list)
    """The reader's own cells, by the id of the book's cell that they follow."""
    at = ""
    for cell in mine:
        id = cell["id"]
        of_the_book = id in old or id in new
        if not of_the_book or id in theirs:
            following[at].append(cell)
        elif id in new:
            theirs[id], at = cell, id
        elif same(cell, old[id]):
            report.removed += 1
        else:  # the book has dropped it, and the reader has written in it
            following[at].append(cell)
    result, present = list(following[""]), by_id(mine)
    for cell in after:
        id = cell["id"]
        if id in theirs:
            chosen, shown = updated(theirs[id], old.get(id), cell, report)
            result += [chosen, *(each for each in shown if each["id"] not in present)]
        elif id not in old:  # else the reader has removed it
            result.append(cell)
            report.added += 1
        result += following[id]
    return result


def updated(mine: Cell, before: Cell | None, after: Cell, report: Report) -> tuple[Cell, list[Cell]]:
    """One cell in three versions: the one that stays, and what is shown beneath it."""
    if same(mine, after) or before is None or same(before, after):
        return mine, []
    if same(mine, before):
        report.replaced += 1
        return after, []
    report.kept.append(called(mine))
    code = f"```python\n{source(after)}\n```" if after["cell_type"] == "code" else source(after)
    beneath = f"*The book has changed the cell above, and so have you. Yours stays; this is the book's:*\n\n{code}"
    id = fresh_id("markdown", f"{after['id']} {beneath}")
    return mine, [{"id": id, "cell_type": "markdown", "metadata": {}, "source": beneath}]


def under_old_ids(cells: Sequence[Cell], before: Sequence[Cell]) -> list[Cell]:
    """Cells under the ids of those that they come from: equal, answers to one exercise, or, between such, alike."""
    pairs = dict(matches(cells, before))
    taken = set(pairs.values())
    result = []
    for i, cell in enumerate(cells):
        id = pairs.get(i) or cell["id"]
        while i not in pairs and id in taken:
            id = f"{id}-"
        taken.add(id)
        result.append(cell | {"id": id})
    return result


def with_ids(cells: Sequence[Cell], before: Sequence[Cell]) -> list[Cell]:
    """The reader's cells; where a program has lost their ids, under those of the cells that they come from."""
    known = by_id(before)
    if any(cell.get("id") in known for cell in cells):
        return [cell | {"id": cell.get("id") or fresh_id(cell["cell_type"], source(cell))} for cell in cells]
    fresh = [cell | {"id": fresh_id(cell["cell_type"], source(cell))} for cell in cells]
    return under_old_ids(fresh, before)


def matches(cells: Sequence[Cell], before: Sequence[Cell]) -> Iterator[tuple[int, str]]:
    """Pairs of the place of a cell and the id of the earlier one that it comes from."""
    answers = {exercise: each["id"] for each in before if (exercise := exercise_of(each))}
    matcher = SequenceMatcher(
        None, [essence(each) for each in before], [essence(each) for each in cells], autojunk=False
    )
    used: set[str] = set()
    for kind, low, high, start, end in matcher.get_opcodes():
        if kind == "equal":
            pairs = list(zip(range(start, end), range(low, high), strict=True))
        else:
            pairs = list(alike(cells, before, range(start, end), range(low, high)))
        for place, earlier in pairs:
            used.add(before[earlier]["id"])
            yield place, before[earlier]["id"]
    for place, cell in enumerate(cells):
        id = answers.get(exercise_of(cell))
        if id is not None and id not in used:  # an exercise that has moved
            used.add(id)
            yield place, id


def alike(cells: Sequence[Cell], before: Sequence[Cell], places: range, earlier: range) -> Iterator[tuple[int, int]]:
    """In a stretch that differs, each cell and the next earlier one of its kind that it is like."""
    first = earlier.start
    for place in places:
        for candidate in range(first, earlier.stop):
            a, b = cells[place], before[candidate]
            if a["cell_type"] != b["cell_type"] or exercise_of(a) != exercise_of(b):
                continue
            if exercise_of(a) or SequenceMatcher(None, source(a), source(b), autojunk=False).ratio() >= LIKE:
                yield place, candidate
                first = candidate + 1
                break


# cells


def handed_out(chapter: Path) -> Notebook:
    """A chapter as a notebook: a cell a section, and cells whose code is not the lesson folded."""
    try:
        import jupytext
    except ModuleNotFoundError:
        raise BadInput(
            "Copies of the chapters need jupytext: in the project's folder, python -m pip install -e '.[lab]'."
        ) from None
    cells: list[Cell] = []
    for cell in jupytext.read(chapter).cells:
        if cell.cell_type == "code":
            cells.append(code_cell(cell.source, list(cell.metadata.get("tags", []))))
        else:
            cells += [
                {"cell_type": "markdown", "metadata": {}, "source": text} for text in sections(cited(cell.source))
            ]
    taken: set[str] = set()
    for cell in cells:
        id = fresh_id(cell["cell_type"], essence(cell))
        while id in taken:
            id = f"{id}-"
        taken.add(id)
        cell["id"] = id
    kernel = {"name": "python3", "display_name": "Python 3", "language": "python"}
    return {"cells": cells, "metadata": {"kernelspec": kernel}, "nbformat": 4, "nbformat_minor": 5}


def cited(text: str) -> str:
    """Citations as words: most keys are a name and a year, and a notebook has no list of references."""

    def words(found: re.Match[str]) -> str:
        keys = [key.strip() for key in found[1].split(",")]
        named = [(re.match(r"([a-z]+)(\d{4})", key), key) for key in keys]
        return f"({'; '.join(f'{name[1].capitalize()} {name[2]}' if name else key for name, key in named)})"

    return CITATION.sub(words, text)


def sections(text: str) -> list[str]:
    """A stretch of prose, cut where a section or an exercise begins."""
    return [each.strip("\n") for each in SECTION.split(text) if each.strip()]


def code_cell(code: str, tags: list[str]) -> Cell:
    """A cell of code, folded in Jupyter and in Colab where it is not the lesson: it draws, or only keeps books."""
    metadata: dict[str, Any] = {"tags": tags} if tags else {}
    if HIDDEN & set(tags) or is_folded(code):
        metadata |= {"jupyter": {"source_hidden": True}, "cellView": "form"}
    return {"cell_type": "code", "metadata": metadata, "source": code, "outputs": [], "execution_count": None}


def fresh_id(kind: str, text: str) -> str:
    """The id of a cell that is new: the same for the same cell, so that an update that was stopped can be repeated."""
    return hashlib.sha256(f"{kind} {text}".encode()).hexdigest()[:12]


def source(cell: Cell) -> str:
    """The text of a cell, which may be stored in lines."""
    text = cell.get("source", "")
    return text if isinstance(text, str) else "".join(text)


def exercise_of(cell: Cell) -> str:
    """The exercise that a cell answers, or nothing."""
    found = ANSWER.search(source(cell)) if cell["cell_type"] == "code" else None
    return found[1] if found else ""


def essence(cell: Cell) -> str:
    """What makes a cell the same as another."""
    return f"answer {exercise_of(cell)}" if exercise_of(cell) else f"{cell['cell_type']} {source(cell)}"


def same(a: Cell, b: Cell) -> bool:
    """Do two cells say the same? Blank lines at their ends do not count."""
    return a["cell_type"] == b["cell_type"] and source(a).strip() == source(b).strip()


def said(cells: Iterable[Cell]) -> list[tuple[str, str]]:
    """What cells say, in order."""
    return [(cell["cell_type"], source(cell).strip()) for cell in cells]


def called(cell: Cell) -> str:
    """How a sentence calls a cell."""
    first = next((line.strip() for line in source(cell).splitlines() if line.strip()), "an empty cell")
    return exercise_of(cell) or f"“{first[:50]}{'…' if len(first) > 50 else ''}”"


def by_id(cells: Iterable[Cell]) -> dict[str, Cell]:
    return {cell["id"]: cell for cell in cells}


def read(path: Path) -> Notebook | None:
    """A notebook, or what was handed out; None where there is none, or it cannot be understood."""
    try:
        found = json.loads(path.read_text(encoding="utf-8"))
        for cell in found["cells"]:
            if not (isinstance(cell["cell_type"], str) and isinstance(source(cell), str)):
                return None
    except (OSError, ValueError, KeyError, TypeError):
        return None
    return dict(found)


def write(path: Path, content: Notebook) -> None:
    """As Jupyter writes it, whole or not at all."""
    files.write_whole(path, json.dumps(content, ensure_ascii=False, indent=1) + "\n")
