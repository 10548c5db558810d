"""One rule of names, and nothing named that is not there.

A chapter's slug, in its part's package, names its exercises and its claims. A chapter lists the modules that it
teaches, and each of them names its chapter back. Files, modules, commands, flags and make targets exist where a text
names them.
"""

import ast
import io
import re
import shlex
import subprocess
import sys
import tokenize
from functools import cache
from importlib import import_module
from pathlib import Path

import pytest
from execution import chapters, front_matter, stages, steps

from insideout.cli.main import COMMANDS
from insideout.exercises.catalogue import all_exercises, topics
from tests.book.naming import PARTS, topic

ROOT = Path(__file__).parents[1]
SOURCE = ROOT / "src/insideout"
CHAPTERS = chapters()
PAGES = [
    *sorted((ROOT / "book").glob("*.md")),
    *sorted((ROOT / "book").glob("[1-5r]*/*.md")),
    *(ROOT / name for name in ("README.md", "CONTRIBUTING.md")),
]
MODULES = {
    ".".join(("insideout", *path.relative_to(SOURCE).with_suffix("").parts)).removesuffix(".__init__"): path
    for path in sorted(SOURCE.rglob("*.py"))
}
DOCSTRINGS = {name: ast.get_docstring(ast.parse(path.read_text("utf-8"))) or "" for name, path in MODULES.items()}


def name_of(path: Path) -> str:
    return path.relative_to(ROOT).as_posix()


# ---- one rule of names ----------------------------------------------------------------------------------------------


def test_every_chapter_has_its_module_of_exercises_and_every_module_its_chapter() -> None:
    assert sorted(topics()) == sorted(map(topic, CHAPTERS))


@pytest.mark.parametrize("chapter", CHAPTERS, ids=topic)
def test_a_chapters_exercises_are_those_of_its_module_by_its_name(chapter: Path) -> None:
    text = chapter.read_text("utf-8")
    labels = re.findall(r"\{exercise\}[^\n]*\n:label: (\S+)", text)
    checked = re.findall(r"^check\(\"([^\"]+)\"", text, flags=re.M)
    assert sorted(labels) == sorted(checked)
    assert sorted(labels) == sorted(each.id for each in all_exercises() if each.id.startswith(f"{topic(chapter)}."))
    for id in re.findall(r"\bclaim\w*\(\s*f?\"([^\"]+)\"", text):  # those that are put together: test_chapters.py
        assert id.startswith(f"{topic(chapter)}."), f"{name_of(chapter)} claims {id}"


# ---- chapters and the modules they teach ----------------------------------------------------------------------------


def taught_in(docstring: str) -> list[str]:
    """The chapters after "Taught in", up to the full stop; one without a folder is in the folder before it."""
    found = []
    for sentence in re.findall(r"Taught in (.*?)(?:\.\s|\.?$|;)", " ".join(docstring.split())):
        folder = ""
        for path in re.findall(r"[\w./-]+\.md|book/[\w./-]*", sentence):
            folder = path.rpartition("/")[0] or folder
            found.append(f"{folder}/{path.rpartition('/')[2]}")
    return found


@pytest.mark.parametrize("chapter", CHAPTERS, ids=topic)
def test_a_chapter_lists_the_modules_that_name_it(chapter: Path) -> None:
    listed = front_matter(chapter)["modules"]
    naming = [
        name.removeprefix("insideout.") for name, text in DOCSTRINGS.items() if name_of(chapter) in taught_in(text)
    ]
    assert listed and len(set(listed)) == len(listed)
    more, less = sorted(set(listed) - set(naming)), sorted(set(naming) - set(listed))
    assert not more, f'{name_of(chapter)} lists {more}, whose docstrings do not say "Taught in {name_of(chapter)}"'
    assert not less, f"{less} are taught in {name_of(chapter)} by their docstrings; its `modules:` does not list them"


@pytest.mark.parametrize("name", MODULES)
def test_a_module_is_taught_in_chapters_that_exist(name: str) -> None:
    for path in taught_in(DOCSTRINGS[name]):
        assert (ROOT / path) in CHAPTERS, f"{name} is taught in {path}, which is no chapter"


def test_what_no_chapter_teaches_says_who_uses_it() -> None:
    here = [name for name in MODULES if name.split(".")[1:2] in ([part] for part in PARTS.values())]
    assert len(here) > 30
    untaught = [name for name in here if not taught_in(DOCSTRINGS[name]) and "Used " not in DOCSTRINGS[name]]
    untaught = [name for name in untaught if MODULES[name].name != "__init__.py"]
    assert not untaught, f'the docstrings of {untaught} say neither "Taught in book/..." nor "Used by ..."'


@pytest.mark.parametrize("chapter", CHAPTERS, ids=topic)
def test_a_chapter_needs_the_stages_that_its_cells_ask_for(chapter: Path) -> None:
    code = "\n".join(text for kind, text in steps(chapter) if kind == "code")
    assert sorted(front_matter(chapter)["needs"]) == stages(code)


# ---- what is named exists -------------------------------------------------------------------------------------------


def words_of(path: Path) -> str:
    """What a person reads in a page (its cells apart) or in a module (docstrings and comments)."""
    text = path.read_text("utf-8")
    if path.suffix == ".md":
        return re.sub(r"^(`{3,})\{code-cell\}.*?^\1", "", text, flags=re.M | re.S)
    tree = ast.walk(ast.parse(text))
    kinds = (ast.Module, ast.ClassDef, ast.FunctionDef, ast.AsyncFunctionDef)
    told = [ast.get_docstring(node) or "" for node in tree if isinstance(node, kinds)]
    tokens = tokenize.generate_tokens(io.StringIO(text).readline)
    return "\n".join(told + [token.string for token in tokens if token.type == tokenize.COMMENT])


TEXTS = {
    name_of(path): words_of(path)
    for path in [*PAGES, *MODULES.values(), *(ROOT / "book").rglob("_ext/*.py"), *(ROOT / "benchmarks").glob("*.py")]
}


@cache
def every_file() -> frozenset[str]:
    """Files that belong to the project, by path and by name."""
    listed = subprocess.run(["git", "ls-files", "-co", "--exclude-standard"], cwd=ROOT, capture_output=True, text=True)
    paths = listed.stdout.split() or [name_of(path) for path in ROOT.rglob("*") if ".venv" not in path.parts]
    return frozenset(paths) | {path.rpartition("/")[2] for path in paths}


@pytest.mark.parametrize("where", TEXTS)
def test_files_that_are_named_exist(where: str) -> None:
    home = (ROOT / where).parent
    for named in re.findall(r"(?<![\w/.<{*])(?:[\w-]+/)*[a-z0-9][\w-]+\.(?:py|md|bib|toml)\b(?![\w(/])", TEXTS[where]):
        places = (home / named, SOURCE / named, SOURCE.parent / named, ROOT / "book" / named)
        known = named in every_file() or any(place.exists() for place in places)
        assert known, f"{where} names {named}, which does not exist"


@pytest.mark.parametrize("where", TEXTS)
def test_modules_that_are_named_exist(where: str) -> None:
    for named in set(re.findall(r"(?<![\w./-])insideout(?:\.[a-z_]\w*)+", TEXTS[where])):
        assert exists(named), f"{where} names {named}, which does not exist"


@cache
def exists(name: str) -> bool:
    """Is there such a module, or such a name in a module?"""
    parts = name.split(".")
    for n in range(len(parts), 0, -1):
        module = ".".join(parts[:n])
        if module in MODULES:
            thing = import_module(module)
            for attribute in parts[n:]:
                if not hasattr(thing, attribute):
                    return False
                thing = getattr(thing, attribute)
            return True
    return False


@cache
def flags_of(command: str) -> frozenset[str]:
    """The flags that a command knows, by its own help."""
    asked = [sys.executable, "-m", "insideout.cli.main", *command.split(), "--help"]
    done = subprocess.run(asked, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    return frozenset(re.findall(r"--[\w.-]*\w", done.stdout))


OF_OTHERS = {"--dist", "--nproc-per-node", "--standalone", "--index-url", "--no-deps"}
"""Flags of pytest, torchrun and pip."""


@pytest.mark.parametrize("path", PAGES, ids=name_of)
def test_commands_flags_and_targets_that_are_named_exist(path: Path) -> None:
    text = TEXTS[name_of(path)]
    quoted = re.findall(r"`([^`\n]+)`", text) + re.findall(r"^ *((?:insideout|make|torchrun) [^\n]*)", text, flags=re.M)
    targets = re.findall(r"^([a-z-]+):", (ROOT / "Makefile").read_text(), flags=re.M)
    for line in quoted:
        line = re.sub(r"\s#.*", "", line)
        words = shlex.split(line) if line.count('"') % 2 == 0 and line.count("'") % 2 == 0 else line.split()
        if words[:1] == ["make"] and len(words) > 1 and "=" not in words[1]:
            assert words[1] in targets, f"{path.name}: {line}: make knows {targets}"
        known = frozenset().union(*map(flags_of, COMMANDS)) | OF_OTHERS
        at = next((i for i, word in enumerate(words) if word.endswith("insideout")), None)
        if at is not None and words[at + 1 : at + 2] and re.fullmatch(r"[a-z-]+", words[at + 1]):
            assert words[at + 1] in COMMANDS, f"{path.name}: {line}: insideout knows {list(COMMANDS)}"
            known, words = flags_of(words[at + 1]), words[at + 1 :]
        for word in words:
            if re.match(r"--\w", word):
                flag = word.split("=")[0]
                assert flag in known, f"{path.name}: {line}: there is no {flag}"
