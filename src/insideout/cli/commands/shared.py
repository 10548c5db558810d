"""What several commands need: where runs lie, flags that decide the defaults of others, how to call us again."""

import shlex
import shutil
import sys
from pathlib import Path
from typing import Any

from insideout.errors import BadInput

RUNS = Path("runs")


def value_of(flag: str, given: list[str]) -> str | None:
    """The value after a flag, or None: for the few flags that decide the defaults of the others."""
    for i, each in enumerate(given):
        if each.startswith(f"{flag}="):
            return each.split("=", 1)[1]
        if each == flag and i + 1 < len(given):
            return given[i + 1]
    return None


def loaded(name: str) -> tuple[Any, Any]:
    """Model and tokenizer: of a run's directory, or pretrained: smollm2, a folder, a .gguf file, a name on the Hub."""
    from insideout.recipes.runs import Run
    from insideout.transformer.exchange.hub import load

    if not name.strip():
        raise BadInput("The model has no name: give a run's directory, smollm2, a folder, or a name on the Hub.")
    try:
        folder = Path(name).expanduser()
        is_run = any((folder / left).exists() for left in ("checkpoints", "metrics.jsonl"))
    except (OSError, RuntimeError):  # a name that no folder can have
        is_run = False
    if not is_run:
        return load(name)
    run = Run(folder)
    return run.model(), run.tokenizer()


def program() -> str:
    """How to call this command from where the person stands: its name when it is on the PATH, else its path."""
    called = Path(sys.argv[0])
    if called.name != "insideout" or (shutil.which("insideout") and Path(str(shutil.which("insideout"))) == called):
        return "insideout"
    try:
        return str(called.resolve().relative_to(Path.cwd()))
    except ValueError:
        return str(called)


def quoted(words: Any) -> str:
    """A path or a prompt as a shell takes it."""
    return shlex.quote(str(words))
