"""A chapter is executed once, and remembered until something that decides its results changes.

    found = execution(path, folder)     what its cells showed, the numbers in its prose, its claims; executed if need be
    found = stored(path, folder)        the same, or None where it would have to be executed

The key: the code of its cells and the expressions in its prose, the code of the library that they reach, the results of
the stages that it asks for, whether a real model is here, the scale, and the versions of what computes and draws. No
word of its prose is in it.
What a chapter gave is one file, there whole or not at all: a build that is killed goes on with the chapter it was at.
"""

import ast
import contextlib
import hashlib
import json
import os
import re
import signal
import tempfile
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from platform import python_version
from typing import Any

import jupytext
import nbformat
import yaml
from nbclient import NotebookClient
from nbclient.exceptions import CellExecutionError, DeadKernelError

from insideout.exercises.catalogue import topics
from insideout.files import locked, write_whole
from insideout.lab.figures.live import ON_SITE
from insideout.recipes.code import code_key, file_of
from insideout.recipes.key import APART
from insideout.recipes.stage import STAGES, plan
from insideout.scales import scale
from insideout.transformer.exchange import smollm2

BOOK = Path(__file__).resolve().parents[1]
FORM = 2
"""Raised when what is stored changes its form."""
NUMBER = re.compile(r"\{eval\}`([^`]+)`")
RAW = re.compile(r"\b(?:np\.|numpy\.|torch\.)?(?:float|int|uint)\d+\(|\btensor\(|\bdtype=")
"""What Python calls a number, where a sentence wants the number alone."""
FORBIDDEN = re.compile("[\x00-\x08\x0b\x0c\x0e-\x1a\x1c-\x1f\ufffe\uffff]")
"""What XML, and so an EPUB, has no place for; the escape that begins a colour is taken out where it is shown."""
COLOUR = re.compile(r"\x1b\[[0-9;]*m")
COMPUTES_AND_DRAWS = ("torch", "numpy", "matplotlib")
Output = dict[str, Any]


class NotExecuted(Exception):
    """A chapter's code raised, or a number of its prose cannot be computed."""


@dataclass
class Cell:
    """A code cell as it was executed, and what it showed, without the error output."""

    code: str
    outputs: list[Output]


@dataclass
class Number:
    """A number in the prose: how many code cells stand before it, the expression, and what it showed."""

    after: int
    expression: str
    outputs: list[Output]


@dataclass
class Execution:
    """What a chapter gave, in the order of the text."""

    key: str
    cells: list[Cell]
    numbers: list[Number]
    claims: list[dict[str, Any]]
    seconds: float


def chapters(book: Path = BOOK) -> list[Path]:
    """The book's chapters, in its order."""
    return sorted(path for path in book.glob("[0-9]*/[0-9][0-9]_*.md") if front_matter(path))


def notebooks(book: Path = BOOK) -> list[Path]:
    """The pages that have cells: the chapters, then all others."""
    others = sorted(path for path in [*book.glob("*.md"), *book.glob("*/*.md")] if is_notebook(path))
    return list(dict.fromkeys([*chapters(book), *others]))


def front_matter(path: Path) -> dict[str, Any]:
    """The `insideout:` keys of a page's front matter; empty when it has none."""
    return all_front_matter(path).get("insideout") or {}


def is_notebook(path: Path) -> bool:
    """Does this page have cells?"""
    return "jupytext" in all_front_matter(path)


def all_front_matter(path: Path) -> dict[str, Any]:
    """What stands between the two lines of dashes at the top of a page."""
    text = path.read_text(encoding="utf-8") if path.suffix == ".md" and path.is_file() else ""
    if not text.startswith("---\n"):
        return {}
    return yaml.safe_load(text[4:].split("\n---", 1)[0]) or {}


def steps(path: Path) -> Iterator[tuple[str, str]]:
    """("code", a cell's) and ("number", an expression of the prose), in the order of the text."""
    for cell in jupytext.read(path).cells:
        if cell.cell_type == "code":
            yield "code", cell.source
        else:
            yield from (("number", one_line(found)) for found in NUMBER.findall(cell.source))


def one_line(expression: str) -> str:
    """An expression without its line breaks."""
    return " ".join(expression.split())


def key(path: Path) -> str:
    """The key of a chapter's results, 16 hexadecimal digits."""
    text = list(steps(path))
    code = "\n".join(each for kind, each in text if kind == "code")
    versions = [python_version(), *map(installed, COMPUTES_AND_DRAWS)]
    results = [plan(name).key for name in stages(code)]
    real_model = str(smollm2.on_this_machine()) if "smollm2" in code else ""
    parts = [FORM, text, reached(code), results, real_model, scale(), versions]
    return hashlib.sha256(json.dumps(parts).encode()).hexdigest()[:16]


def installed(package: str) -> str:
    """The version of a package, or that it is absent."""
    try:
        return version(package)
    except PackageNotFoundError:
        return "absent"


def stages(code: str) -> list[str]:
    """The stages whose results the code asks for: by `recipe("name")`, or all it names where it asks by a variable."""
    nodes = list(ast.walk(ast.parse(code)))
    asked = [node.args[0] for node in nodes if isinstance(node, ast.Call) and node.args and called(node) == "recipe"]
    by_name = all(isinstance(each, ast.Constant) for each in asked)
    found = (each.value for each in (asked if by_name else nodes) if isinstance(each, ast.Constant))
    return sorted({value for value in found if isinstance(value, str) and value in STAGES})


def called(node: ast.Call) -> str:
    """The name of what is called, without what it belongs to."""
    return getattr(node.func, "id", getattr(node.func, "attr", ""))


def reached(code: str) -> str:
    """The key of the code of ours that a page's code reaches: what it imports, with the attributes that it takes.

    Of a stage, what loads its result; what makes it is in the result's own key. Exercises are found by their names, so
    those of other chapters, which could be found too, are left out.
    """
    roots, attributes, words = set(), set(), set()
    for node in ast.walk(ast.parse(code)):
        if isinstance(node, ast.ImportFrom) and (node.module or "").startswith("insideout"):
            names = [f"{node.module}.{alias.name}" for alias in node.names]
            roots |= {name if file_of(name) else ":".join(name.rsplit(".", 1)) for name in names}
        elif isinstance(node, ast.Attribute):
            attributes.add(node.attr)
        elif isinstance(node, ast.Constant) and isinstance(node.value, str):
            words.add(node.value.rpartition(".")[0])
    loads = [plan(name).stage.load for name in stages(code)]
    roots |= {f"{load.__module__}:{load.__qualname__}" for load in loads}
    others = {f"insideout.exercises.{topic}" for topic in topics() if topic not in words}
    return code_key(roots - {"insideout.lab:recipe"}, attributes, apart={*APART, *others})


def place_of(path: Path, folder: Path) -> Path:
    """The file in which a chapter's results at this scale are kept."""
    return folder / scale() / f"{path.parent.name}--{path.stem}.json"


def stored(path: Path, folder: Path) -> Execution | None:
    """What the chapter gave when it was executed with the key that it has now; else None."""
    return kept(path, folder, key(path))


def kept(path: Path, folder: Path, wanted: str) -> Execution | None:
    """What is stored under this key."""
    try:
        found = json.loads(place_of(path, folder).read_text(encoding="utf-8"))
        if found["key"] != wanted:
            return None
        cells = [Cell(**each) for each in found.pop("cells")]
        numbers = [Number(**each) for each in found.pop("numbers")]
        return Execution(cells=cells, numbers=numbers, **found)
    except (OSError, ValueError, KeyError, TypeError):  # none, or one that is damaged
        return None


def execution(path: Path, folder: Path) -> Execution:
    """What the chapter gives: as stored, else executed now. Raises NotExecuted."""
    with locked(place_of(path, folder)):
        wanted = key(path)
        found = kept(path, folder, wanted)
        if found is None:
            found = execute(path, wanted)
            write_whole(place_of(path, folder), json.dumps(asdict(found), ensure_ascii=False))
    return found


def execute(path: Path, key: str) -> Execution:
    """Run a chapter from its first cell to its last, as Jupyter would, in a kernel of its own."""
    all_steps, start = list(steps(path)), time.perf_counter()
    notebook = nbformat.v4.new_notebook(cells=[nbformat.v4.new_code_cell(text) for _, text in all_steps])
    notebook.metadata.kernelspec = {"name": "python3", "display_name": "Python 3"}
    client = NotebookClient(notebook, timeout=None, resources={"metadata": {"path": str(path.parent)}})
    with tempfile.TemporaryDirectory() as claims:
        try:
            run(client, environment(Path(claims)))
        except CellExecutionError as error:
            raise NotExecuted(f"{path.parent.name}/{path.name} stops here:\n{COLOUR.sub('', str(error))}") from None
        except DeadKernelError:
            raise NotExecuted(f"{path.parent.name}/{path.name}: its kernel died; was there enough memory?") from None
        recorded = [json.loads(each.read_text(encoding="utf-8")) for each in sorted(Path(claims).glob("*.json"))]
    found = Execution(key, [], [], recorded, time.perf_counter() - start)
    for (kind, text), cell in zip(all_steps, notebook.cells, strict=True):
        outputs = [allowed(dict(each)) for each in cell.outputs if each.get("name") != "stderr"]
        if kind == "code":
            found.cells.append(Cell(text, outputs))
        elif not any("data" in each for each in outputs):
            raise NotExecuted(f"{path.parent.name}/{path.name}: {{eval}}`{text}` gives nothing to show.")
        elif raw := RAW.search(str(outputs)):
            raise NotExecuted(
                f"{path.parent.name}/{path.name}: {{eval}}`{text}` says {raw[0]!r}: round it, or call float() on it."
            )
        else:
            found.numbers.append(Number(len(found.cells), text, outputs))
    return found


def allowed(shown: Any) -> Any:
    """What a cell showed, without the characters that a page must not hold: an untrained model writes those too."""
    if isinstance(shown, dict):
        return {name: allowed(value) for name, value in shown.items()}
    return FORBIDDEN.sub("\ufffd", shown) if isinstance(shown, str) else shown


def run(client: Any, environment: dict[str, str]) -> None:
    """Execute a notebook; Ctrl-C ends its kernel and is passed on."""
    with ThreadPoolExecutor(1) as pool:  # in the main thread nbclient would take Ctrl-C for itself
        done = pool.submit(client.execute, env=environment)
        try:
            done.result()
        except KeyboardInterrupt:
            with contextlib.suppress(AttributeError, OSError):  # it may not have begun, or be gone
                os.kill(client.km.provisioner.pid, signal.SIGKILL)
            raise


def environment(claims: Path) -> dict[str, str]:
    """What a kernel finds in its environment: settings of the book's own, not the reader's, and a folder for claims."""
    settings = BOOK / "_build" / "ipython"
    write_whole(settings / "profile_default" / "ipython_kernel_config.py", "c.Application.log_level = 40\n")
    ours = {
        "INSIDEOUT_CLAIMS": str(claims),
        "INSIDEOUT_SCALE": scale(),
        "IPYTHONDIR": str(settings),
        "PYDEVD_DISABLE_FILE_VALIDATION": "1",
        ON_SITE: "1",
    }
    return {name: value for name, value in os.environ.items() if name != "MPLBACKEND"} | ours
