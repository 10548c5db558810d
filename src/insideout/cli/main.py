"""The command `insideout`: finds the command that was asked for, and turns bad input into one sentence.

Exit codes: 0 done, 1 trouble, 2 bad input (nothing was overwritten), 130 stopped by Ctrl-C.
"""

import contextlib
import io
import os
import re
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from importlib import import_module
from typing import Any

from insideout.errors import BadInput


@dataclass(frozen=True)
class Command:
    """A word of the command line, and where it stands: `commands/MODULE.py`, a dataclass of that name."""

    about: str
    """Its line in the list of commands."""
    kind: str
    """The dataclass in its module."""


COMMANDS = {
    "train": Command("train a GPT on text, from scratch, and write a report", "Train"),
    "sample": Command("let a trained model write", "Sample"),
    "plan": Command("say what a training run will need: memory, time and cost", "MakePlan"),
    "doctor": Command("look at this machine; known trouble, each with its cure", "Doctor"),
    "check": Command("run your answers to exercises, or list your progress", "Check"),
    "run": Command("make a recipe's result, unless it is stored already", "Run"),
    "recipes": Command("list the recipes, and which results are stored", "Recipes"),
}


def help_text() -> str:
    """What `insideout --help` shows."""
    commands = "".join(f"  {name:<10} {each.about}\n" for name, each in COMMANDS.items())
    return f"""usage: insideout COMMAND [flags]

Transformers from the Inside Out: train, look inside, and check what you have built.

{commands}
  insideout COMMAND --help    all flags of a command
  --debug                     show the traceback of an error
  --version                   show the version
"""


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
        print(help_text(), end="")
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
    """The command with its flags. A module's `defaults(given)`, where it has one, says what the flags default to."""
    import tyro

    module = import_module(f"insideout.cli.commands.{name}")
    kind = getattr(module, COMMANDS[name].kind)
    default = module.defaults(given) if hasattr(module, "defaults") else None
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


if __name__ == "__main__":
    main()
