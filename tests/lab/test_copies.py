"""The reader's own copy: nothing they wrote is lost, what they left alone follows the book, answers are collected."""

import json
import re
from pathlib import Path

import pytest

from insideout.cli import main as cli
from insideout.errors import BadInput
from insideout.lab.answers import answers, notebooks
from insideout.lab.copies import bring_up_to_date, exercise_of, source

BOOK = Path(__file__).parents[2] / "book"
FRONT = """---
jupytext:
  text_representation: {extension: .md, format_name: myst}
kernelspec: {display_name: Python 3, language: python, name: python3}
insideout:
  modules: []
---

"""


def stub(name: str, exercise: str, arguments: str = "x", words: str = "Do it.") -> str:
    return f"""
:::{{exercise}} {name}
:label: {exercise}
★☆☆ · 5 minutes. {words}
:::

```{{code-cell}} ipython3
:tags: [exercise]
def {name}({arguments}):
    raise NotImplementedError

check("{exercise}", {name})
```

::::{{solution}} {exercise}
The solution of {name}.
::::
"""


CHAPTER = f"""{FRONT}# The loss

The first words of the chapter.

```{{code-cell}} ipython3
:tags: [hide-input]
import math
from insideout.lab import check
```

## Build it

Words about logarithms {{cite}}`napier1614,briggs1617a`.

```{{code-cell}} ipython3
open("was-run", "w").close()                # an experiment that no answer needs
base = 2
def nats(p):
    return -math.log(p)
nats(1 / base)
```

## Practise
{stub("pairs", "gradients.loss.pairs", "ids")}
{stub("logprobs", "gradients.loss.logprobs", "logits")}
{stub("mean_loss", "gradients.loss.cross_entropy", "logits, targets")}

## Recap

What is now known.
"""
ANSWERS = {
    "gradients.loss.pairs": "def pairs(ids):\n    return [[t, ids[t + 1]] for t in range(len(ids) - 1)]\n",
    "gradients.loss.logprobs": """def logprobs(logits):
    shifted = [[z - max(row) for z in row] for row in logits]
    return [[z - math.log(sum(map(math.exp, row))) for z in row] for row in shifted]
""",
    "gradients.loss.cross_entropy": "def mean_loss(logits, targets):\n    return nats(0.5)\n",
}


@pytest.fixture
def book(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("INSIDEOUT_HOME", str(tmp_path / "home"))
    monkeypatch.chdir(tmp_path)
    path = tmp_path / "book/1-understanding-gradients/07_loss.md"
    path.parent.mkdir(parents=True)
    path.write_text(CHAPTER, encoding="utf-8")
    return tmp_path / "book"


def edit(path: Path, *pairs: tuple[str, str]) -> None:
    text = path.read_text(encoding="utf-8")
    for old, new in pairs:
        assert old in text
        text = text.replace(old, new)
    path.write_text(text, encoding="utf-8")


def opened(path: Path):
    return json.loads(path.read_text(encoding="utf-8"))


def texts(path: Path) -> list[str]:
    return [source(cell) for cell in opened(path)["cells"]]


def answer(path: Path, given: dict[str, str] = ANSWERS) -> None:
    """Write answers as Jupyter would: sources in lines, outputs, a count."""
    notebook = opened(path)
    for cell in notebook["cells"]:
        id = exercise_of(cell)
        if id in given:
            call = re.search(r"^check\(.*", source(cell), re.M)
            cell["source"] = f"{given[id]}\n{call[0]}".splitlines(keepends=True)
            cell["outputs"] = [{"output_type": "stream", "name": "stdout", "text": ["seen\n"]}]
            cell["execution_count"] = 3
    path.write_text(json.dumps(notebook), encoding="utf-8")


def test_open_answer_update_open_again(book: Path, tmp_path: Path) -> None:
    mine, chapter = tmp_path / "mine", book / "1-understanding-gradients/07_loss.md"
    (report,) = bring_up_to_date(mine, book)
    copy = mine / "1-understanding-gradients/07_loss.ipynb"
    assert report.new and str(report) == "" and "pairs" in "".join(texts(copy))
    assert "logarithms (Napier 1614; Briggs 1617)." in "".join(texts(copy))
    answer(copy)
    notebook = opened(copy)
    notes = {"cell_type": "markdown", "id": "own", "metadata": {}, "source": "My own notes."}
    place = next(i for i, cell in enumerate(notebook["cells"]) if source(cell).startswith("open("))
    notebook["cells"].insert(place + 1, notes)
    copy.write_text(json.dumps(notebook), encoding="utf-8")
    before = copy.read_bytes()

    assert str(bring_up_to_date(mine, book)[0]) == "" and copy.read_bytes() == before  # nothing is new

    edit(
        chapter,
        ("The first words of the chapter.", "Better first words."),
        ("base = 2", "base = 10"),
        ("## Recap", f"{stub('shift', 'gradients.loss.shift')}\n## Recap"),
        ("def pairs(ids)", "def pairs(tokens)"),  # answered: theirs stays
    )
    (report,) = bring_up_to_date(mine, book)
    now = "\n".join(texts(copy))
    assert (report.replaced, report.kept) == (2, ["gradients.loss.pairs"]) and report.added >= 1
    assert "gradients.loss.pairs (yours stays" in str(report)
    assert "Better first words." in now and "The first words" not in now
    assert "base = 10" in now and "base = 2" not in now
    assert 'check("gradients.loss.shift", shift)' in now
    for code in ANSWERS.values():
        assert code in now
    assert "def pairs(tokens)" in now  # shown beneath the answer
    cells = opened(copy)["cells"]
    (pairs,) = [cell for cell in cells if exercise_of(cell) == "gradients.loss.pairs"]
    assert pairs["outputs"] and pairs["execution_count"] == 3
    sources = [source(cell) for cell in cells]
    assert sources[sources.index("My own notes.") - 1].startswith("open(")
    assert json.loads(before)["cells"] == opened(mine / ".book/before/1-understanding-gradients/07_loss.ipynb")["cells"]
    after = copy.read_bytes()
    assert str(bring_up_to_date(mine, book)[0]) == "" and copy.read_bytes() == after  # said once


def test_what_the_reader_removed_stays_away_and_what_the_book_drops_goes_unless_written_in(book: Path, tmp_path: Path):
    mine, chapter = tmp_path / "mine", book / "1-understanding-gradients/07_loss.md"
    bring_up_to_date(mine, book)
    copy = mine / "1-understanding-gradients/07_loss.ipynb"
    answer(copy, {"gradients.loss.pairs": ANSWERS["gradients.loss.pairs"]})
    notebook = opened(copy)
    notebook["cells"] = [cell for cell in notebook["cells"] if "Words about logarithms" not in source(cell)]
    copy.write_text(json.dumps(notebook), encoding="utf-8")
    text = chapter.read_text(encoding="utf-8")
    start, end = text.index(":::{exercise} pairs"), text.index(":::{exercise} mean_loss")
    chapter.write_text((text[:start] + text[end:]).replace("What is now known.", "More is known."), encoding="utf-8")
    bring_up_to_date(mine, book)
    now = "\n".join(texts(copy))
    assert "Words about logarithms" not in now and "More is known." in now
    assert ANSWERS["gradients.loss.pairs"] in now and "def logprobs" not in now


def test_ids_may_get_lost_and_a_chapter_may_get_another_number(book: Path, tmp_path: Path) -> None:
    mine, chapter = tmp_path / "mine", book / "1-understanding-gradients/07_loss.md"
    bring_up_to_date(mine, book)
    copy = mine / "1-understanding-gradients/07_loss.ipynb"
    answer(copy)
    notebook = opened(copy) | {"nbformat_minor": 4}
    notebook["cells"] = [{k: v for k, v in cell.items() if k != "id"} for cell in notebook["cells"]]
    copy.write_text(json.dumps(notebook), encoding="utf-8")
    edit(chapter, ("Words about logarithms", "Words about the natural logarithm"))
    chapter.rename(chapter.with_name("08_loss.md"))
    (report,) = bring_up_to_date(mine, book)
    moved = copy.with_name("08_loss.ipynb")
    now = "\n".join(texts(moved))
    assert not copy.exists() and "it was 07_loss.ipynb" in str(report)
    assert now.count("natural logarithm") == 1 and "Words about logarithms" not in now
    assert all(now.count(code) == 1 for code in ANSWERS.values())


def test_an_update_that_was_stopped_is_repeated(book: Path, tmp_path: Path) -> None:
    mine, chapter = tmp_path / "mine", book / "1-understanding-gradients/07_loss.md"
    bring_up_to_date(mine, book)
    copy, base = mine / "1-understanding-gradients/07_loss.ipynb", mine / ".book/1-understanding-gradients/loss.json"
    answer(copy)
    before = base.read_bytes()
    edit(
        chapter,
        ("base = 2", "base = 10"),
        ("def pairs(ids)", "def pairs(tokens)"),
        ("## Recap", f"{stub('shift', 'gradients.loss.shift')}\n## Recap"),
    )
    bring_up_to_date(mine, book)
    done = texts(copy)
    base.write_bytes(before)  # as if it had been stopped between the two files
    bring_up_to_date(mine, book)
    assert texts(copy) == done


def test_what_cannot_be_merged_is_left_and_said(book: Path, tmp_path: Path) -> None:
    mine = tmp_path / "mine"
    bring_up_to_date(mine, book)
    copy = mine / "1-understanding-gradients/07_loss.ipynb"
    copy.write_text("{ half a noteb", encoding="utf-8")
    assert "cannot be read" in str(bring_up_to_date(mine, book)[0]) and copy.read_text() == "{ half a noteb"
    copy.unlink()
    assert bring_up_to_date(mine, book)[0].new and "pairs" in copy.read_text()  # deleted: made anew
    other = tmp_path / "other/1-understanding-gradients/07_loss.ipynb"
    other.parent.mkdir(parents=True)
    other.write_text(copy.read_text().replace("first words", "own words"))
    assert "left as it is" in str(bring_up_to_date(tmp_path / "other", book)[0]) and "own words" in other.read_text()
    with pytest.raises(BadInput, match="lies in the book itself"):
        bring_up_to_date(book / "mine", book)
    with pytest.raises(BadInput, match="not beside this package"):
        bring_up_to_date(mine, tmp_path / "nowhere")


def test_answers_are_collected_without_running_the_chapter(book: Path, tmp_path: Path, capsys) -> None:
    bring_up_to_date(tmp_path / "mine", book)
    answer(tmp_path / "mine/1-understanding-gradients/07_loss.ipynb", {
        **ANSWERS, "gradients.loss.logprobs": "def logprobs(logits):\n    return [[1 for z in row] for row in logits\n",
    })  # fmt: skip
    with pytest.raises(SystemExit) as left:
        cli.main(["check", "mine"])
    said = capsys.readouterr().out
    assert left.value.code == 1
    assert "✓ gradients.loss.pairs" in said and "✗ gradients.loss.cross_entropy" in said
    assert re.search(r"✗ gradients.loss.logprobs \(07_loss.ipynb, cell \d+\): it is not Python at line 2", said)
    assert "3 exercises: 1 right, 2 wrong." in said
    assert not (tmp_path / "was-run").exists()


def test_a_folder_without_answers_is_one_sentence(tmp_path: Path, capsys, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    with pytest.raises(SystemExit) as left:
        cli.main(["check", "."])
    assert left.value.code == 2 and "holds no answer" in capsys.readouterr().err


SOLUTION = re.compile(r"^:{3,}\{solution\} (\S+)\n.*?^```python\n(.*?)^```", re.MULTILINE | re.DOTALL)


def test_every_printed_solution_passes_in_its_chapter(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys) -> None:
    """With what the chapter imports and defines, and nothing else."""
    monkeypatch.setenv("INSIDEOUT_HOME", str(tmp_path / "home"))
    bring_up_to_date(tmp_path / "mine")
    for copy in notebooks(tmp_path / "mine"):
        chapter = (BOOK / copy.relative_to(tmp_path / "mine")).with_suffix(".md")
        answer(copy, dict(SOLUTION.findall(chapter.read_text(encoding="utf-8"))))
    assert all(each.tried for copy in notebooks(tmp_path / "mine") for each in answers(copy))
    with pytest.raises(SystemExit) as left:
        cli.main(["check", str(tmp_path / "mine")])
    said = capsys.readouterr().out
    assert left.value.code == 0, said
    assert f"{said.count('✓')} exercises: {said.count('✓')} right." in said
