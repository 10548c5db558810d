"""Recipes: named training results that are made once and found again.

    run = recipe("pretrain")        trains it if it is not there, else loads it

A result is stored under the hash of its settings, its inputs and the code's version, so that a stale model is never
used silently. Chapters, the command line and the tests all ask the same recipes. Used from part 2 on.
"""

import contextlib
import hashlib
import json
import shutil
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

from insideout import files
from insideout.errors import BadInput
from insideout.recipes.config import PretrainConfig, pretrain_config, to_dict
from insideout.recipes.key import code_version
from insideout.recipes.runs import Run
from insideout.scales import Scale, scale
from insideout.training.events import Event

PARTIAL = ".partial-"


@dataclass(frozen=True)
class Recipe:
    """A stage: its settings at each scale, and how it is made."""

    name: str
    about: str
    """One line for the list of recipes."""
    config: Callable[[Scale], PretrainConfig]


RECIPES = {
    "pretrain": Recipe("pretrain", "The book's small GPT, pretrained on Python's own documentation.", pretrain_config),
}


def recipes_folder() -> Path:
    """INSIDEOUT_HOME/recipes, else recipes in the user's cache."""
    return files.cache_folder("recipes")


def find(name: str) -> Recipe:
    """A recipe by name. Raises BadInput for an unknown one."""
    if name not in RECIPES:
        raise BadInput(f"There is no recipe {name!r}; there is {', '.join(sorted(RECIPES))}.")
    return RECIPES[name]


def place(name: str, at: Scale | None = None) -> Path:
    """Where the recipe's result is stored: name-scale-hash of settings, inputs and code."""
    from insideout.data.text.corpus import load_corpus

    at = at or scale()
    config = find(name).config(at)
    key = {
        "config": to_dict(config),
        "inputs": [load_corpus(config.corpus).fingerprint],
        "code": code_version(),
    }
    digest = hashlib.sha256(json.dumps(key, sort_keys=True).encode()).hexdigest()
    return recipes_folder() / f"{name}-{at}-{digest[:16]}"


def finished(path: Path) -> bool:
    """Is a whole result there? It is renamed into place when finished, so a folder is enough; a damaged one is not."""
    return (path / "config.json").is_file() and (path / "result.json").is_file()


def recipe(name: str, on_event: Callable[[Event], None] | None = None) -> Run:
    """The recipe's result at the present scale, trained if it is not stored yet, with the progress shown.

    Training that was stopped half way goes on where it was.
    """
    from insideout.recipes.pretrain import run_pretrain
    from insideout.recipes.progress import progress

    path = place(name)
    if finished(path):
        return Run(path)
    config = find(name).config(scale())
    with locked(path):
        if finished(path):  # another process made it while we waited
            return Run(path)
        partial = path.with_name(PARTIAL + path.name)
        resume = (partial / "config.json").is_file()
        if on_event is not None:
            run_pretrain(config, partial, resume, on_event)
        else:
            with progress(title=f"Recipe {name} ({scale()}), trained once") as show:
                run_pretrain(config, partial, resume, show)
        put(partial, path)
    return Run(path)


def adopt(run: Run) -> Path | None:
    """Store a finished run as the recipe's result, if that is what it is: same settings, text and code.

    Returns the recipe's place, or None where the run is of no recipe. A result already stored is kept.
    """
    result = run.result()
    if result is None or run.about.get("code_version") != code_version():
        return None
    for name, found in RECIPES.items():
        at: Scale = scale()
        if run.config != found.config(at) or run.about.get("scale") != at:
            continue
        path = place(name, at)
        if finished(path):
            return path
        with locked(path):
            partial = path.with_name(PARTIAL + path.name)
            if not finished(path):
                shutil.rmtree(partial, ignore_errors=True)
                shutil.copytree(run.path, partial)
                put(partial, path)
        return path
    return None


def put(partial: Path, path: Path) -> None:
    """Rename a finished result into place."""
    if path.exists():  # it was not whole
        shutil.rmtree(path)
    partial.rename(path)


@contextlib.contextmanager
def locked(path: Path) -> Iterator[None]:
    """One process at a time makes a result; the others wait. The lock dies with its process."""
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        file = path.with_name(f".{path.name}.lock").open("w")
    except OSError as error:
        raise BadInput(f"Could not write {path.parent} ({error.strerror}): set INSIDEOUT_HOME.") from error
    with file:
        try:
            import fcntl

            fcntl.flock(file, fcntl.LOCK_EX)
        except ImportError:  # Windows: without a lock, the last to finish wins
            pass
        yield
