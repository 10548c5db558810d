"""`insideout run`: any stage, its settings as flags; its result is stored as a recipe, or goes into a folder."""

import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from insideout import files, scales
from insideout.cli.commands.shared import program, quoted, value_of
from insideout.cli.flags import command_of, parse, settings_of
from insideout.errors import BadInput
from insideout.machine import told

USAGE = "Name the recipe to make: insideout run NAME. `insideout recipes` lists them."


@dataclass(frozen=True)
class Word:
    """A command that runs a stage: how it is called, and where its results go."""

    word: str
    about: str
    runs: Path | None = None
    """The folder in which runs get folders of their own; None: results are stored as recipes."""
    name: Callable[[Any], str] = lambda settings: "run"
    """What such a folder is called, before the scale and a number."""
    after: Callable[[Any], str] = lambda result: ""
    """What to say when it is done."""


def main(given: list[str]) -> int:
    """Run a stage by name."""
    from insideout.recipes.stage import find

    if not given or given[0] in ("--help", "-h"):
        print(f"usage: insideout run NAME [flags]\n\n{USAGE}\ninsideout run NAME --help lists the flags.")
        return 0 if given else 2
    if given[0].startswith("-"):
        raise BadInput(USAGE)
    stage = find(given[0])
    return run_stage(stage, given[1:], Word(f"run {stage.name}", stage.about))


def run_stage(stage: Any, given: list[str], word: Word) -> int:
    """Do what the flags say: make the stage's result in a folder, or as a recipe."""
    from insideout.recipes.progress import progress
    from insideout.recipes.stage import adopt, make_in
    from insideout.training.interrupt import Interrupted

    settings, at, folder = defaults(stage, given, word)
    kind, default = command_of(
        settings, word.about,
        ("scale", scales.Scale, "Which defaults to use: tiny (seconds), laptop (minutes on two cores) or gpu.", at),
        ("out", Path | None, where_to(word), folder),
        ("resume", bool, f"Go on with the run in --out{', or with the newest in runs/' * bool(word.runs)}.", False),
    )  # fmt: skip
    asked_for = parse(kind, given, word.word, default)
    settings = settings_of(asked_for, settings)
    out = folder if folder is not None else asked_for.out
    title, naming = stage.name, {}
    if word.runs is not None:
        title = f"A GPT on {word.name(settings)}"
        if out is None:
            out, naming = word.runs, {"name": f"{word.name(settings)}-{at}", "share": shared_number(settings)}
    if out is None:
        return stored(stage, settings, at, word)
    main_one = not told("RANK")
    try:
        with progress(title=title) as tell:
            result = make_in(stage, settings, out, at, tell, asked_for.resume, **naming)
    except Interrupted as stopped:
        if main_one:
            print(f"\nStopped after step {stopped.step:,}; everything is saved. Go on with:", file=sys.stderr)
            print(f"    {program()} {word.word} --resume --out {quoted(stopped.out)}", file=sys.stderr)
        return 130
    if main_one:
        adopt(stage, getattr(result, "config", settings), result.path)
        print(word.after(result) or f"Done: {result.path}")
    return 0


def stored(stage: Any, settings: Any, at: scales.Scale, word: Word) -> int:
    """Make the result, unless it is stored already, and print where it is."""
    from insideout.recipes.stage import obtain, planned
    from insideout.training.interrupt import Interrupted

    wanted = planned(stage, settings, at)
    try:
        obtain(wanted)
    except Interrupted as stopped:
        print(f"\nStopped after step {stopped.step:,}; the same command goes on from there.", file=sys.stderr)
        return 130
    print(wanted.folder)
    return 0


def defaults(stage: Any, given: list[str], word: Word) -> tuple[Any, scales.Scale, Path | None]:
    """What the flags default to, at which scale, and the folder: for a run that goes on, its own."""
    from insideout.recipes.runs import newest_run, read_begun

    named = value_of("--scale", given)
    at = scales.to_scale(named) if named is not None else scales.scale()
    named = value_of("--out", given)
    if named == "":
        raise BadInput("--out is empty: name a folder.")
    out = files.expanded(named, "--out") if named else None
    if "--resume" not in given:
        return stage.settings[at], at, out
    if out is None and word.runs is None:
        raise BadInput("--resume needs --out: a recipe that was stopped goes on by itself.")
    out = out or newest_run(word.runs or Path()).path
    settings, at = read_begun(out, stage.name, type(stage.settings[at]))
    return settings, at, out


def where_to(word: Word) -> str:
    """The help of --out."""
    default = (
        "runs/CORPUS-SCALE-N, with the next free N" if word.runs else "the store of recipes, where it is found again"
    )
    return f"Directory for the run. Default: {default}."


def shared_number(settings: Any) -> Callable[[int], int]:
    """Where several processes train together, what tells all of them the first one's number."""
    if told("WORLD_SIZE") < 2:
        return lambda n: n

    def share(n: int) -> int:
        from insideout.machine import choose_device
        from insideout.training import distributed

        device = distributed.start(choose_device(settings.device))
        return int(distributed.total([float(n)], device)[0])

    return share
