"""What several commands need: where runs lie, flags that decide the defaults of others, how to call us again."""

import shlex
import shutil
import sys
from pathlib import Path

RUNS = Path("runs")


def value_of(flag: str, given: list[str]) -> str:
    """The value after a flag, or nothing: for the few flags that decide the defaults of the others."""
    for i, each in enumerate(given):
        if each.startswith(f"{flag}="):
            return each.split("=", 1)[1]
        if each == flag and i + 1 < len(given):
            return given[i + 1]
    return ""


def program() -> str:
    """How to call this command from where the person stands: its name when it is on the PATH, else its path."""
    called = Path(sys.argv[0])
    if called.name != "insideout" or (shutil.which("insideout") and Path(str(shutil.which("insideout"))) == called):
        return "insideout"
    try:
        return str(called.resolve().relative_to(Path.cwd()))
    except ValueError:
        return str(called)


def quoted(path: Path) -> str:
    """A path as a shell takes it."""
    return shlex.quote(str(path))
