"""The corpus that needs no download: English technical prose that ships with every CPython.

Two sources: the language reference in `pydoc_data.topics`, and the docstrings of the standard library, read from the
source files with `ast` and never imported. A document is a topic or a module. Documents are ordered by a hash of
their name: always the same order, and the last tenth, held out for validation, resembles the rest.
"""

import ast
import contextlib
import hashlib
import importlib
import sys
import sysconfig
import warnings
from collections.abc import Iterator
from pathlib import Path

from insideout.data.fetch import cache_folder
from insideout.errors import BadInput
from insideout.files import write_whole

_SHORTEST = 40  # characters; shorter docstrings ("Return x.") are labels, not prose
_SKIPPED = {"site-packages", "dist-packages", "test", "tests", "idle_test", "pydoc_data", "turtledemo", "__pycache__"}
_FORMAT = "1"  # change it when the same Python would give another text


def python_docs() -> str:
    """The corpus's text; built on first use (some seconds), then read from the cache."""
    version = hashlib.sha256(f"{_FORMAT} {sys.version}".encode()).hexdigest()[:12]
    kept = cache_folder() / f"python-docs-{version}.txt"
    try:
        text = kept.read_bytes().decode()
        if text:
            return text
    except (OSError, UnicodeDecodeError):
        pass
    text = build(Path(sysconfig.get_path("stdlib")))
    with contextlib.suppress(OSError):  # a read-only home: build it again next time
        write_whole(kept, text.encode())
    return text


def build(library: Path) -> str:
    """Topics and docstrings as one text, documents apart by two blank lines."""
    documents = dict(_topics()) | dict(_modules(library))
    if not documents:
        raise BadInput(
            f"This Python carries no documentation: neither pydoc_data.topics nor source files in {library}. "
            "Train on a file of your own instead: --corpus PATH."
        )
    names = sorted(documents, key=lambda name: hashlib.sha256(name.encode()).digest())
    return "\n\n\n".join(documents[name] for name in names) + "\n"


def _topics() -> Iterator[tuple[str, str]]:
    try:
        topics = importlib.import_module("pydoc_data.topics").topics
    except (ImportError, AttributeError):
        return
    for name, text in topics.items():
        yield f"topic {name}", _clean(text)


def _modules(library: Path) -> Iterator[tuple[str, str]]:
    seen: set[str] = set()
    for path in sorted(library.rglob("*.py"), key=lambda path: path.relative_to(library).as_posix()):
        name = path.relative_to(library)
        if _SKIPPED & set(name.parts) or name.name == "_sysconfigdata.py" or name.parts[0].startswith("config-"):
            continue
        kept = []
        for text in docstrings(path):
            if len(text) >= _SHORTEST and text not in seen:
                seen.add(text)
                kept.append(text)
        if kept:
            yield f"module {name.as_posix()}", "\n\n".join(kept)


def docstrings(path: Path) -> Iterator[str]:
    """Docstrings of a source file, its classes and functions, in the order of the source; nothing is run."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            tree = ast.parse(path.read_bytes())
    except (OSError, SyntaxError, ValueError):
        return
    waiting: list[ast.AST] = [tree]
    while waiting:
        node = waiting.pop()
        if isinstance(node, ast.Module | ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef):
            text = ast.get_docstring(node)
            if text:
                yield _clean(text)
        waiting.extend(reversed(list(ast.iter_child_nodes(node))))


def _clean(text: str) -> str:
    """No blanks at line ends, no NUL, nothing that UTF-8 cannot hold."""
    text = text.replace("\0", "").encode("utf-8", "ignore").decode()
    return "\n".join(line.rstrip() for line in text.strip().splitlines())
