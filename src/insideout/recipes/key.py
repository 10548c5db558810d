"""A hash of the source files that decide how a model comes out, so that a stale model is never used silently.

Those files are the ones that training imports, directly or by way of others: reading weights from elsewhere or looking
into a model can change without any model being trained again.
"""

import ast
import hashlib
from collections.abc import Iterator
from functools import lru_cache
from pathlib import Path

ROOTS = (
    "training.loop",
    "transformer.model",
    "transformer.loss",
    "transformer.tokenizer",
    "data.corpus",
    "data.tokens",
)
"""Where a training run starts: modules of insideout."""
PACKAGE = Path(__file__).resolve().parents[1]


@lru_cache
def code_version(roots: tuple[str, ...] = ROOTS) -> str:
    """The first 16 digits of the sha256 of the roots' files and of all of ours that they import, names included."""
    digest = hashlib.sha256()
    for file in sorted(imported(roots)):
        digest.update(f"{file.relative_to(PACKAGE).as_posix()}\0".encode())
        digest.update(file.read_bytes() + b"\0")
    return digest.hexdigest()[:16]


def imported(roots: tuple[str, ...]) -> set[Path]:
    """The files of these modules and of every module of insideout that they import, however deep."""
    found: set[Path] = set()
    waiting = [file_of(root) for root in roots]
    while waiting:
        file = waiting.pop()
        if file is not None and file not in found:
            found.add(file)
            waiting += [file_of(name) for name in imports(file)]
    return found


def file_of(name: str) -> Path | None:
    """The file of a module, named from below insideout; None where there is no such module."""
    path = PACKAGE / name.replace(".", "/")
    places = (path.with_suffix(".py"), path / "__init__.py")
    return next((place for place in places if place.is_file()), None)


def imports(file: Path) -> Iterator[str]:
    """What a file imports from insideout, at its top or inside functions."""
    for node in ast.walk(ast.parse(file.read_bytes())):
        if isinstance(node, ast.ImportFrom) and (node.module or "").startswith("insideout."):
            module = (node.module or "").removeprefix("insideout.")
            yield module
            yield from (f"{module}.{alias.name}" for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module == "insideout":
            yield from (alias.name for alias in node.names)
