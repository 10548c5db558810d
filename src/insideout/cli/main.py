"""The command `insideout`: finds the command that was asked for, and turns bad input into one sentence.

Exit codes: 0 done, 1 trouble, 2 bad input (nothing was overwritten), 130 stopped by Ctrl-C.
"""

import contextlib
import io
import os
import re
import sys
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from insideout.errors import BadInput

HELP = """usage: insideout COMMAND [flags]

Transformers from the Inside Out: train, look inside, and check what you have built.

  train      train a GPT on text, from scratch, and write a report
  sample     let a trained model write
  plan       say what a training run will need: memory, time and cost
  doctor     look at this machine; known trouble, each with its cure
  check      run your answers to exercises, or list your progress
  run        make a recipe's result, unless it is stored already
  recipes    list the recipes, and which results are stored

  insideout COMMAND --help    all flags of a command
  --debug                     show the traceback of an error
  --version                   show the version
"""

COMMANDS = {
    "train": "Train", "sample": "Sample", "plan": "MakePlan", "doctor": "Doctor", "check": "Check", "run": "MakeRecipe",
    "recipes": "Recipes",
}  # fmt: skip


def main(arguments: Sequence[str] | None = None) -> None:
    """Run the command line and leave with its exit code."""
    given = list(sys.argv[1:] if arguments is None else arguments)
    debug = "--debug" in given
    given = [each for each in given if each != "--debug"]
    try:
        code = run(given)
        sys.stdout.flush()
    except BadInput as error:
        if debug:
            raise
        print(f"insideout: {' '.join(str(error).split())}", file=sys.stderr)
        code = 2
    except BrokenPipeError:  # the reader of our output has left
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        code = 1
    except KeyboardInterrupt:
        if debug:
            raise
        print("\nStopped.", file=sys.stderr)
        code = 130
    sys.exit(code)


def run(given: list[str]) -> int:
    """Do what the arguments say; return the exit code."""
    if not given or given[0] in ("--help", "-h", "help"):
        print(HELP, end="")
        return 0
    if given[0] == "--version":
        from insideout import __version__

        print(__version__)
        return 0
    if given[0] not in COMMANDS:
        raise BadInput(f"There is no command {given[0]!r}: choose one of {', '.join(COMMANDS)}, or see --help.")
    command = parse(given[0], given[1:])
    return int(command.run())


def parse(name: str, given: list[str]) -> Any:
    """The command with its flags.

    `train` takes its defaults from the scale, or from the run that it resumes; `plan` its sizes from the preset.
    """
    import tyro

    from insideout.cli import commands

    kind = getattr(commands, COMMANDS[name])
    default = None
    if name == "train":
        default = train_defaults(given)
    elif name == "plan":
        default = plan_defaults(given)
    elif name in ("run", "recipes"):
        from insideout.scales import scale

        at = scale()
        if "--scale" not in " ".join(given):
            given = [*given, "--scale", at]
    said = io.StringIO()
    try:
        with contextlib.redirect_stderr(said):
            return parsed(tyro, kind, name, given, default)
    except SystemExit as left:
        if left.code == 0:  # --help
            raise
        raise BadInput(sentence(said.getvalue(), name)) from None


def parsed(tyro: Any, kind: Any, name: str, given: list[str], default: Any) -> Any:
    """What tyro makes of the flags."""
    return tyro.cli(
        kind,
        args=given,
        prog=f"insideout {name}",
        default=default if default is not None else tyro.MISSING_NONPROP,
        config=(tyro.conf.OmitArgPrefixes, tyro.conf.FlagCreatePairsOff),
        description=kind.__doc__,
    )


def sentence(said: str, name: str) -> str:
    """tyro's framed message as one line: no frame, no title, no settings' inner names."""
    lines = [re.sub(r"[│╭╮╰╯─]+|-{5,}", " ", line).strip() for line in said.splitlines()]
    kept = [line for line in lines if line and "For full helptext" not in line]
    if kept and kept[0] in ("Value error", "Parsing error", "Required options", "Unrecognized options"):
        kept = kept[1:]
    text = re.sub(r"^Error parsing [\w.-]+: ", "", " ".join(kept))
    what, _, flag = text.partition(" Argument helptext: ")
    text = f"{flag.split()[0]}: {what}" if flag else text.split(" (required) ")[0]
    text = text or "these flags cannot be used."
    return text if text.endswith((".", "?")) else f"{text}. See insideout {name} --help."


def train_defaults(given: list[str]) -> Any:
    """What the flags of `train` default to."""
    from insideout import scales
    from insideout.cli import commands
    from insideout.recipes import config, runs

    at = scales.to_scale(value_of("--scale", given)) if value_of("--scale", given) else scales.scale()
    out = value_of("--out", given)
    default = commands.Train(config=config.pretrain_config(at), scale=at, out=Path(out) if out else None)
    if "--resume" in given:
        run = runs.Run(out) if out else runs.newest_run(commands.RUNS)
        recorded = scales.to_scale(run.about.get("scale", at), str(run.path / "config.json"))
        default = replace(default, config=run.config, out=run.path, scale=recorded)
    return default


def plan_defaults(given: list[str]) -> Any:
    """The model whose sizes the flags of `plan` default to: a preset, or one of about --parameters."""
    from insideout.cli import commands
    from insideout.planner import counts, plan
    from insideout.recipes.config import PRETRAIN
    from insideout.scales import SCALES, to_scale

    preset, parameters = value_of("--preset", given), value_of("--parameters", given)
    if preset and parameters:
        raise BadInput("--preset and --parameters were both given: give one.")
    if not parameters:
        name = preset or "gpt2"
        return commands.MakePlan(
            preset=name, model=PRETRAIN[to_scale(name)].model if name in SCALES else plan.preset(name)
        )
    try:
        wanted = float(parameters)
    except ValueError:
        raise BadInput(f"--parameters is {parameters!r}; it must be a number, such as 7e9.") from None
    return commands.MakePlan(preset="", parameters=wanted, model=counts.shape_of(wanted))


def value_of(flag: str, given: list[str]) -> str:
    """The value after a flag, or nothing: for the few flags that decide the defaults of the others."""
    for i, each in enumerate(given):
        if each.startswith(f"{flag}="):
            return each.split("=", 1)[1]
        if each == flag and i + 1 < len(given):
            return given[i + 1]
    return ""


if __name__ == "__main__":
    main()
