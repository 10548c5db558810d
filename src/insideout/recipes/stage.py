"""Stages: the life of the models as a graph of results, each made once and found again.

    run = recipe("pretrain")                        makes it if it is not there, else loads it
    runs = [recipe("pretrain", seed=s, n_layers=2) for s in range(3)]      an ablation

A stage is one file: settings at three scales, what it needs, `make` and `load`. Its result is stored under a key of all
that decides it (key.py), so that a stale one is never used: a changed setting, input, function or torch makes a new
one, a comment does not. It is there whole or not at all; one that is damaged is made anew; work that was stopped half
way goes on. Chapters, the command line and the tests all ask the same recipes. Used from part 2 on.
"""

import difflib
import hashlib
import json
import re
import shutil
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property
from importlib import import_module
from pathlib import Path
from typing import Any, Generic, TypeVar

from insideout import files
from insideout.errors import BadInput
from insideout.machine import machine, software, told, torch_version
from insideout.recipes.found import reader_of
from insideout.recipes.job import Inputs, Job, Tell
from insideout.recipes.key import code_of, key_of
from insideout.recipes.origin import here_and_now
from insideout.recipes.runs import held, read_object
from insideout.recipes.settings import change, path_of, to_dict, without
from insideout.scales import SCALES, Scale, scale
from insideout.words import duration

S = TypeVar("S")
R = TypeVar("R")


def stages_in(folder: Path) -> dict[str, Any]:
    """The stages in a folder of modules, found by their statement `STAGE = Stage("NAME", ...`."""
    found: dict[str, Any] = {}
    for file in sorted(folder.glob("*.py")):
        line = re.search(r'^STAGE = Stage\(\s*"([\w-]+)"', file.read_text(encoding="utf-8"), re.MULTILINE)
        if line:
            found[line[1]] = f"insideout.recipes.{file.stem}"
    return found


STAGES = stages_in(Path(__file__).parent)
"""Every stage: its name, and the module whose STAGE it is."""

MODELS = ("model", "teacher")
"""Settings that name a model, in place of an input of that name."""
RESULT = "insideout result 1"
PARTIAL = ".partial-"


@dataclass(frozen=True)
class Stage(Generic[S, R]):
    """One step of a model's life."""

    name: str
    about: str
    """One line for the list of recipes."""
    settings: Mapping[Scale, S]
    """A dataclass for each scale. Its fields become flags, and may be named as arguments of `recipe`."""
    make: Callable[[S, Inputs, Job], None]
    """Check everything, call `job.begin`, then write the result into `job.folder`. A function at the top of a file."""
    load: Callable[[Path], R]
    """The result in a folder, typed. Raises BadInput where it is damaged."""
    needs: tuple[str, ...] | Mapping[str, str] = ()
    """Stages whose results `make` gets as `inputs`: their names, or name of the input -> name of the stage.
    A setting of an input's name, where it is not empty, names what is used in its place; `make` reads that itself."""
    changed: Callable[[Scale], Mapping[str, Mapping[str, Any]]] = lambda at: {}
    """Settings in which an input differs from the recipe of its stage: name of the input -> settings by name."""
    sources: Callable[[S], Mapping[str, str]] = lambda settings: {}
    """Fingerprints of the data that `make` reads from elsewhere."""
    free: tuple[str, ...] = ()
    """Settings that do not decide the result."""
    report: Callable[[Path], Any] | None = None
    """Draws the report of a finished folder."""

    @property
    def free_paths(self) -> tuple[tuple[str, ...], ...]:
        """Where these settings are."""
        return tuple(path_of(self.settings["tiny"], name) for name in self.free)

    @property
    def inputs(self) -> dict[str, str]:
        """What it needs: name of the input -> name of the stage."""
        return dict(self.needs) if isinstance(self.needs, Mapping) else {name: name for name in self.needs}

    def needed(self, settings: S) -> dict[str, str]:
        """Those of its inputs that no setting replaces."""
        return {name: of for name, of in self.inputs.items() if not getattr(settings, name, "")}


@dataclass(frozen=True)
class Plan:
    """What was asked for: a stage with its settings, and the same of all that it needs."""

    stage: Stage[Any, Any]
    settings: Any
    scale: Scale
    inputs: Mapping[str, "Plan"]

    @cached_property
    def decisive(self) -> Any:
        """The settings that decide the result, as JSON knows them."""
        return without(to_dict(self.settings), self.stage.free_paths)

    @cached_property
    def sources(self) -> dict[str, str]:
        """Fingerprints of the data read."""
        return dict(self.stage.sources(self.settings))

    @cached_property
    def code(self) -> str:
        """The key of the code: of `make`, and of what loads its inputs, or the model that is used in their place."""
        named = [getattr(self.settings, name, "") for name in self.stage.inputs if name in MODELS]
        loads = [each.stage.load for each in self.inputs.values()]
        return code_of([self.stage.make, *loads, *(reader_of(name) for name in named if name)])

    @cached_property
    def key(self) -> str:
        """The key of the result."""
        inputs = {name: each.key for name, each in self.inputs.items()}
        return key_of(self.stage.name, self.decisive, inputs, self.sources, self.code)

    @property
    def folder(self) -> Path:
        """Where the result is stored."""
        return recipes_folder() / f"{self.stage.name}-{self.scale}-{self.key}"

    def job(self, folder: Path, tell: Tell, resume: bool = False) -> Job:
        """The making of this result in a folder."""
        return Job(
            folder, self.settings, tell, self.scale, self.stage.name, self.code, self.stage.free_paths, resume
        )  # fmt: skip


def find(name: str) -> Stage[Any, Any]:
    """A stage by name. Raises BadInput for an unknown one."""
    if name not in STAGES:
        near = difflib.get_close_matches(name, STAGES, n=1)
        hint = f"did you mean {near[0]}?" if near else f"there is {', '.join(STAGES)}."
        raise BadInput(f"There is no recipe {name!r}; {hint}")
    found = STAGES[name]
    return getattr(import_module(found), "STAGE") if isinstance(found, str) else found  # noqa: B009


def in_order() -> list[str]:
    """The stages' names, each after those that it needs; else by name."""
    order: list[str] = []

    def add(name: str) -> None:
        for needed in find(name).inputs.values():
            add(needed)
        if name not in order:
            order.append(name)

    for name in sorted(STAGES):
        add(name)
    return order


def plan(
    name: str, scale_: Scale | None = None, seed: int | None = None, changes: Mapping[str, Any] | None = None
) -> Plan:
    """The stage of this name with these settings changed, and all that it needs, at a scale.

    The name of an input, given a dict, changes the settings of that stage.
    """
    stage, at = find(name), scale_ or scale()
    settings = dict(changes or {}) | ({} if seed is None else {"seed": seed})
    replaceable = [each for each in stage.inputs if hasattr(stage.settings[at], each)]
    below = {
        each: settings.pop(each, {})
        for each in stage.inputs
        if not (each in replaceable and isinstance(settings.get(each), str))
    }
    for each, changed in below.items():
        if not isinstance(changed, Mapping):
            raise BadInput(f"{each} is an input of {name}: give a dict of settings to change, not {changed!r}.")
    return planned(stage, change(stage.settings[at], settings), at, below)


def planned(
    stage: Stage[Any, Any], settings: Any, at: Scale, below: Mapping[str, Mapping[str, Any]] | None = None
) -> Plan:
    """A stage with these settings, and what it needs: the recipes of the same scale, with changes `below`, by input."""
    changed = stage.changed(at)
    inputs = {
        each: plan(of, at, changes={**changed.get(each, {}), **(below or {}).get(each, {})})
        for each, of in stage.needed(settings).items()
    }
    return Plan(stage, settings, at, inputs)


def recipe(
    name: str, *, scale: Scale | None = None, seed: int | None = None, tell: Tell | None = None, **changes: Any
) -> Any:
    """The result of a stage, typed by its `load`; made first, with all that it needs, where it is not stored.

    `changes` are settings by name (see settings.py); the scale is the present one if none is given. Progress is shown,
    or told to `tell`. Raises BadInput for a name or a value that does not fit, Interrupted on Ctrl-C, after saving.
    """
    return obtain(plan(name, scale, seed, changes), tell)


def recipes_folder() -> Path:
    """INSIDEOUT_HOME/recipes, else recipes in the user's cache."""
    return files.cache_folder("recipes")


def obtain(wanted: Plan, tell: Tell | None = None) -> Any:
    """The result, found or made."""
    if whole(wanted.folder):
        return wanted.stage.load(wanted.folder)
    if told("WORLD_SIZE") > 1:
        raise BadInput(f"The recipe {wanted.stage.name} is made by one process: start it without torchrun.")
    inputs = {name: obtain(each, tell) for name, each in wanted.inputs.items()}
    try:
        with files.locked(wanted.folder):
            if not whole(wanted.folder):  # else another process made it while we waited
                files.sweep(recipes_folder())
                make_stored(wanted, inputs, tell)
    except OSError as error:
        raise files.disk_trouble(error, wanted.folder) from error
    return wanted.stage.load(wanted.folder)


def make_stored(wanted: Plan, inputs: Inputs, tell: Tell | None) -> None:
    """Make a result beside its place, and rename it into place. What was begun there before goes on."""
    partial = wanted.folder.with_name(PARTIAL + wanted.folder.name)
    resume = (partial / "config.json").is_file()
    if not resume:
        shutil.rmtree(partial, ignore_errors=True)  # killed before it had begun
    partial.mkdir(parents=True, exist_ok=True)
    files.sweep(partial)
    began = time.perf_counter()
    with shown(wanted, tell) as show:
        job = wanted.job(partial, show, resume)
        try:
            wanted.stage.make(wanted.settings, inputs, job)
        except BadInput:
            if not resume or job.begun:
                if not job.begun:
                    shutil.rmtree(partial, ignore_errors=True)
                raise
            shutil.rmtree(partial)  # what was left there cannot be gone on with
            partial.mkdir()
            wanted.stage.make(wanted.settings, inputs, wanted.job(partial, show))
    certify(wanted, partial, time.perf_counter() - began)
    draw_report(wanted.stage, partial)
    files.put(partial, wanted.folder)


def make_in(
    stage: Stage[Any, R], settings: Any, folder: Path, at: Scale, tell: Tell, resume: bool = False, **naming: Any
) -> R:
    """Make a stage's result in a folder of somebody's own; its inputs are the recipes at this scale.

    `naming` is for `held`, which guards the folder. Raises BadInput before anything is written where something cannot
    be used.
    """
    with held(folder, resume, **naming) as out:
        wanted = planned(stage, settings, at)
        inputs = {name: obtain(each) for name, each in wanted.inputs.items()}
        stage.make(settings, inputs, wanted.job(out, tell, resume))
        if not told("RANK"):
            draw_report(stage, out)
        return stage.load(out)


def draw_report(stage: Stage[Any, Any], folder: Path) -> None:
    """Draw the report, if the stage has one. Whatever happens, the result is there."""
    if stage.report is None:
        return
    try:
        stage.report(folder)
    except Exception as error:
        words = " ".join(str(error).split()) or type(error).__name__
        print(f"The report of {folder} could not be drawn ({words}); the result is saved.", file=sys.stderr)


def shown(wanted: Plan, tell: Tell | None) -> Any:
    """A context that gives the function to tell: the one asked for, or one that shows progress."""
    from contextlib import nullcontext

    from insideout.recipes.progress import progress

    if tell is not None:
        return nullcontext(tell)
    took = time_taken(wanted)
    estimate = f", about {duration(took)} as last time" if took else ""
    return progress(title=f"Recipe {wanted.stage.name} ({wanted.scale}), made once{estimate}")


def time_taken(wanted: Plan) -> float | None:
    """Seconds that the newest result of this stage and scale took to make on this machine; None if there is none."""
    found: list[tuple[str, float]] = []
    for file in recipes_folder().glob(f"{wanted.stage.name}-{wanted.scale}-*/about.json"):
        try:
            about = json.loads(file.read_text(encoding="utf-8"))
            if about["machine"] == machine():
                found.append((str(about["date"]), float(about["seconds"])))
        except (OSError, ValueError, KeyError, TypeError):
            continue
    return max(found)[1] if found else None


def certify(wanted: Plan, folder: Path, seconds: float | None = None) -> None:
    """Write about.json: what the result was made from, where and when, and a checksum of each of its files."""
    origin = here_and_now()
    about = {
        "format": RESULT,
        "stage": wanted.stage.name,
        "key": wanted.key,
        "scale": wanted.scale,
        "settings": to_dict(wanted.settings),
        "inputs": {name: each.key for name, each in wanted.inputs.items()},
        "sources": wanted.sources,
        "code": wanted.code,
        "machine": origin.machine,
        "date": origin.date,
        "versions": {"software": software(), "torch": torch_version()},
        "seconds": seconds,
        "files": {name: checksum(folder / name) for name in result_files(folder)},
    }
    files.save(folder / "about.json", json.dumps(about, indent=1, ensure_ascii=False) + "\n")


def whole(folder: Path) -> bool:
    """Is there a result, with all its files as they were written?"""
    try:
        about = json.loads((folder / "about.json").read_text(encoding="utf-8"))
        kept = about["files"]
        return about["format"] == RESULT and bool(kept) and all(kept[name] == checksum(folder / name) for name in kept)
    except (OSError, ValueError, KeyError, TypeError, RecursionError):
        return False


def result_files(folder: Path) -> Iterator[str]:
    """What belongs to a result: all but its description and its report, which can be drawn again."""
    for path in sorted(folder.rglob("*")):
        name = path.relative_to(folder).as_posix()
        if path.is_file() and name not in ("about.json", "report.html") and not path.name.startswith("."):
            yield name


def checksum(file: Path) -> str:
    """The sha256 of a file."""
    with file.open("rb") as opened:
        return hashlib.file_digest(opened, "sha256").hexdigest()


def adopt(stage: Stage[Any, Any], settings: Any, folder: Path) -> Path | None:
    """Store a finished folder as a recipe's result, if that is what it is: a scale's settings, the same data and code.

    Returns the recipe's place, or None where it is of no recipe. A result already stored is kept.
    """
    begun = read_object(folder / "config.json")
    if begun.get("mixed", True) or told("WORLD_SIZE") > 1 or not (folder / "result.json").is_file():
        return None
    for at in SCALES:
        wanted = plan(stage.name, at)
        ran = Plan(stage, settings, at, wanted.inputs)
        if ran.decisive != wanted.decisive or ran.key != wanted.key or begun.get("code_version") != wanted.code:
            continue
        try:
            with files.locked(wanted.folder):
                if not whole(wanted.folder):
                    with files.whole_folder(wanted.folder) as copy:
                        shutil.copytree(folder, copy, ignore=shutil.ignore_patterns(".*"), dirs_exist_ok=True)
                        certify(wanted, copy)
        except OSError as error:
            raise files.disk_trouble(error, wanted.folder) from error
        return wanted.folder
    return None
