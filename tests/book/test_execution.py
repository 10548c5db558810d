"""What a chapter gave is remembered until something that decides it changes; a build that is killed leaves nothing."""

import json
import os
import re
import signal
import subprocess
import sys
import time
from pathlib import Path

import execution as module
import pytest
from execution import NotExecuted, execution, key, stored

BOOK = Path(__file__).parents[2] / "book"
FRONT = """---
jupytext:
  text_representation: {extension: .md, format_name: myst}
kernelspec: {display_name: Python 3, language: python, name: python3}
insideout:
  modules: []
---
"""
CHAPTER = f"""{FRONT}
# A chapter

Words about twice two.

```{{code-cell}} ipython3
:tags: [hide-input]
import os
from insideout.lab import claim
with open(os.environ["COUNTER"], "a") as file:
    file.write("once ")
```

```{{code-cell}} ipython3
four = claim("a.b.four", 2 + 2, at_least=4, at_most=4)
print("a sum")
four
```

It is {{eval}}`four`, and half of it {{eval}}`float(four) / 2`.

```{{code-cell}} ipython3
four = 5
```

Now it is {{eval}}`four`.
"""


@pytest.fixture(autouse=True)
def reader(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("INSIDEOUT_SCALE", "tiny")
    monkeypatch.setenv("INSIDEOUT_HOME", str(tmp_path / "home"))
    monkeypatch.setenv("COUNTER", str(tmp_path / "counter"))


@pytest.fixture
def chapter(tmp_path: Path) -> Path:
    """A book of two parts, of one chapter each; the first of them."""
    for part in ("1-one", "2-two"):
        (tmp_path / "book" / part).mkdir(parents=True)
        (tmp_path / "book" / part / "00_sum.md").write_text(CHAPTER, encoding="utf-8")
    (tmp_path / "book/index.md").write_text("# Book\n\n```{toctree}\n:glob:\n\n*/*\n```\n\n```{claims}\n```\n")
    return tmp_path / "book/1-one/00_sum.md"


def runs(tmp_path: Path) -> int:
    counter = tmp_path / "counter"
    return len(counter.read_text().split()) if counter.exists() else 0


def edit(path: Path, old: str, new: str) -> None:
    text = path.read_text(encoding="utf-8")
    assert old in text
    path.write_text(text.replace(old, new), encoding="utf-8")


def test_it_is_executed_once(chapter: Path, tmp_path: Path) -> None:
    found = execution(chapter, tmp_path / "kept")
    assert found.cells[0].outputs == []
    assert found.cells[1].outputs[0]["text"] == "a sum\n"
    assert [(each.after, each.expression) for each in found.numbers] == [
        (2, "four"), (2, "float(four) / 2"), (3, "four"),
    ]  # fmt: skip
    assert [each.outputs[0]["data"]["text/plain"] for each in found.numbers] == ["4", "2.0", "5"]
    assert [(each["id"], each["scale"]) for each in found.claims] == [("a.b.four", "tiny")]
    assert execution(chapter, tmp_path / "kept") == found and runs(tmp_path) == 1


def test_prose_and_time_stamps_change_nothing(chapter: Path, tmp_path: Path) -> None:
    execution(chapter, tmp_path / "kept")
    edit(chapter, "Words about", "Other words about")
    os.utime(chapter, (2e9, 2e9))
    execution(chapter, tmp_path / "kept")
    assert runs(tmp_path) == 1


@pytest.mark.parametrize(
    ("old", "new"),
    [("2 + 2", "1 + 3"), ("{eval}`float(four) / 2`", "{eval}`float(four) / 4`"), ("# A chapter", "{eval}`1`\n# A")],
)
def test_other_code_or_other_numbers_run_it_again(chapter: Path, tmp_path: Path, old: str, new: str) -> None:
    before = key(chapter)
    edit(chapter, old, new)
    assert key(chapter) != before


def test_scale_torch_and_code_of_the_library_decide(chapter: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    keys = [key(chapter)]
    monkeypatch.setenv("INSIDEOUT_SCALE", "laptop")
    keys.append(key(chapter))
    for name, other in (("installed", lambda package: f"{package} of tomorrow"), ("reached", lambda code: "other")):
        monkeypatch.setattr(module, name, other)
        keys.append(key(chapter))
    assert len(set(keys)) == len(keys)


def test_each_scale_keeps_its_own(chapter: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    execution(chapter, tmp_path / "kept")
    monkeypatch.setenv("INSIDEOUT_SCALE", "laptop")
    assert stored(chapter, tmp_path / "kept") is None
    assert execution(chapter, tmp_path / "kept").claims[0]["status"] == "passed"
    monkeypatch.setenv("INSIDEOUT_SCALE", "tiny")
    assert execution(chapter, tmp_path / "kept").claims[0]["status"] == "not checked"
    assert runs(tmp_path) == 2


@pytest.mark.parametrize("damage", [lambda text: text[: len(text) // 2], lambda text: "{}", lambda text: "[]"])
def test_what_is_damaged_is_made_again(chapter: Path, tmp_path: Path, damage) -> None:
    found = execution(chapter, tmp_path / "kept")
    (path,) = (tmp_path / "kept" / "tiny").glob("*.json")
    path.write_text(damage(path.read_text()))
    assert stored(chapter, tmp_path / "kept") is None
    assert execution(chapter, tmp_path / "kept").claims[0]["id"] == found.claims[0]["id"]
    assert runs(tmp_path) == 2


@pytest.mark.parametrize(
    ("old", "new", "said"),
    [
        ("2 + 2", "2 / 0", "ZeroDivisionError"),
        ("at_least=4", 'at_least=5, at="tiny"', "Claim a.b.four does not hold"),
        ("{eval}`float(four) / 2`", "{eval}`fore`", "NameError"),
        ("{eval}`float(four) / 2`", "{eval}`None`", "{eval}`None` gives nothing to show"),
        ("2 + 2", "os._exit(1)", "its kernel died"),
    ],
)
def test_a_chapter_that_fails_is_named_and_not_kept(chapter: Path, tmp_path: Path, old: str, new: str, said: str):
    edit(chapter, old, new)
    with pytest.raises(NotExecuted, match="1-one/00_sum") as caught:
        execution(chapter, tmp_path / "kept")
    assert said in str(caught.value)
    assert stored(chapter, tmp_path / "kept") is None


# ---- the pages ----------------------------------------------------------------------------------------------------


def build(chapter: Path, out: Path, *flags: str) -> subprocess.Popen[str]:
    command = [sys.executable, str(BOOK / "build.py"), "--book", str(chapter.parents[1]), "--out", str(out), *flags]
    return subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)


def pages(out: Path) -> dict[str, str]:
    """The words of the pages, by the name of their folder."""
    paths = [*(out / "html").glob("*/00_sum.html"), out / "html/index.html"]
    return {path.parent.name: re.sub(r"<[^>]*>", "", path.read_text(encoding="utf-8")) for path in paths}


def test_a_part_alone_then_all_of_it_and_then_what_fails_leaves_the_old_pages(chapter: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    said, error = build(chapter, out, "--part", "2").communicate(timeout=120)
    assert "1 other pages have no results, and say so." in said, error
    found = pages(out)
    assert "was not executed in this build" in found["1-one"] and "It was not executed in this build." in found["html"]
    assert "It is …, and half of it …." in found["1-one"]
    assert "was not executed" not in found["2-two"] and "a sum" in found["2-two"]
    assert found["html"].count("a.b.four") == 1 and runs(tmp_path) == 1
    edit(chapter, "Words about", "New words about")
    said, error = build(chapter, out).communicate(timeout=120)
    assert "1 to execute, 1 unchanged" in said, error
    found = pages(out)
    assert found["html"].count("a.b.four") == 2 and runs(tmp_path) == 2
    assert "not executed" not in found["1-one"] + found["2-two"] + found["html"]
    assert "New words about" in found["1-one"]
    assert len(list((out / "epub").glob("*.epub"))) == 1 and not (out / "unfinished").exists()
    edit(chapter, "New words about", "{eval}`four` words, and")
    process = build(chapter, out)
    assert "NameError: name 'four' is not defined" in process.communicate(timeout=120)[1]
    assert process.returncode == 1 and pages(out) == found


def test_an_unknown_part_is_one_sentence(chapter: Path, tmp_path: Path) -> None:
    process = build(chapter, tmp_path / "out", "--part", "7")
    assert process.communicate(timeout=60)[1] == "There is no part '7': choose one of 1, 2.\n"
    assert process.returncode == 1 and not (tmp_path / "out/html").exists()


def test_a_killed_build_leaves_nothing_that_looks_whole_and_the_next_goes_on(chapter: Path, tmp_path: Path) -> None:
    second, out = tmp_path / "book/2-two/00_sum.md", tmp_path / "out"
    edit(second, "four = 5", "import time\ntime.sleep(600)")
    process = build(chapter, out)
    wait_for(lambda: runs(tmp_path) == 2)
    process.send_signal(signal.SIGKILL)
    process.communicate()
    assert not (out / "html").exists() and not (out / "epub").exists()
    assert [path.name for path in (out / "executed/tiny").glob("[!.]*")] == ["1-one--00_sum.json"]
    edit(second, "import time\ntime.sleep(600)", "four = 6")
    said, error = build(chapter, out).communicate(timeout=120)
    assert "1 to execute, 1 unchanged" in said, error
    assert "2-two" in pages(out) and runs(tmp_path) == 3


def test_two_builds_into_one_folder_do_not_mix(chapter: Path, tmp_path: Path) -> None:
    edit(chapter, "four = 5", "import time\ntime.sleep(600)")
    first = build(chapter, tmp_path / "out")
    wait_for(lambda: runs(tmp_path) == 1)
    second = build(chapter, tmp_path / "out")
    assert "Another build is writing" in second.communicate(timeout=60)[1] and second.returncode == 1
    first.send_signal(signal.SIGINT)
    assert "Stopped. The next build goes on" in first.communicate(timeout=60)[1] and first.returncode == 130


def wait_for(condition) -> None:
    end = time.monotonic() + 120
    while not condition():
        assert time.monotonic() < end, "it did not happen within two minutes"
        time.sleep(0.1)


def test_what_is_stored_is_plain_json(chapter: Path, tmp_path: Path) -> None:
    execution(chapter, tmp_path / "kept")
    (path,) = (tmp_path / "kept" / "tiny").glob("*.json")
    assert json.loads(path.read_text())["key"] == key(chapter)


def test_a_number_that_shows_its_type_is_refused_when_it_is_made(chapter: Path) -> None:
    edit(chapter, "float(four) / 2", "__import__('numpy').float64(2.5)")
    with pytest.raises(NotExecuted, match=r"float64.*: round it"):
        execution(chapter, chapter.parent / "kept")


def test_a_page_holds_no_character_that_xml_has_no_place_for(chapter: Path) -> None:
    edit(chapter, 'print("a sum")', "print('a' + chr(15) + 'b')")
    found = execution(chapter, chapter.parent / "kept")
    (shown,) = (each["text"] for cell in found.cells for each in cell.outputs if "text" in each)
    assert shown == "a\ufffdb\n"
