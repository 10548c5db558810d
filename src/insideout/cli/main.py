"""The command `insideout`: finds the command that was asked for, and turns bad input into one sentence.

Exit codes: 0 done, 1 trouble, 2 bad input (nothing was overwritten), 130 stopped by Ctrl-C.
"""

import codecs
import contextlib
import errno
import os
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from importlib import import_module
from typing import Any, TextIO

from insideout.errors import BadInput, shortened
from insideout.words import harmless


@dataclass(frozen=True)
class Command:
    """A word of the command line, and where it stands: `commands/WORD.py`, with _ for -."""

    about: str
    """Its line in the list of commands."""
    kind: str = ""
    """The dataclass in its module. A module without one has a function `main`, which takes the flags as they are."""


COMMANDS = {
    "train": Command("train a GPT on text, from scratch, and write a report"),
    "sft": Command("tune a model on conversations, so that it answers"),
    "lora": Command("tune an adapter beside a frozen model, so that it answers"),
    "reward": Command("train a reward model on pairs of answers"),
    "dpo": Command("tune a model on pairs of answers directly"),
    "judge": Command("let a reward model score answers", "Judge"),
    "ppo": Command("let a model learn from rewards of its own answers, with a critic"),
    "rloo": Command("let a model learn from rewards of its own answers, side by side"),
    "grpo": Command("let a model that reasons learn from which of its answers are right"),
    "distil": Command("let a small model learn from a large one that reasons"),
    "journey": Command("take one model through its whole life, and write a report", "Travel"),
    "prm": Command("train a verifier that judges each step of a worked answer"),
    "chat": Command("talk to a tuned model", "Chat"),
    "solve": Command("let a model think about a question, once or many times", "Solve"),
    "sample": Command("let a trained model write", "Sample"),
    "train-images": Command("train a model that draws, on a folder of your own pictures"),
    "draw": Command("let a trained model draw, from noise", "Draw"),
    "export": Command("write a model for transformers or ONNX Runtime", "Export"),
    "plan": Command("say what a training run will need: memory, time and cost", "MakePlan"),
    "doctor": Command("look at this machine, or at a run: known trouble, each with its cure", "Doctor"),
    "lab": Command("open your own copy of the chapters as notebooks", "Lab"),
    "check": Command("run your answers to exercises, or list your progress", "Check"),
    "run": Command("make a recipe's result, unless it is stored already"),
    "scores": Command("show what every stage can do, side by side", "ShowScores"),
    "recipes": Command("list the recipes, and which results are stored", "Recipes"),
}


def help_text() -> str:
    """What `insideout --help` shows."""
    commands = "".join(f"  {name:<12} {each.about}\n" for name, each in COMMANDS.items())
    return f"""usage: insideout COMMAND [flags]

Transformers from the Inside Out: train, look inside, and check what you have built.

{commands}
  insideout COMMAND --help    all flags of a command
  --debug                     show the traceback of an error
  --version                   show the version
"""


def main(arguments: Sequence[str] | None = None) -> None:
    """Run the command line and leave with its exit code."""
    open_streams()
    given = list(sys.argv[1:] if arguments is None else arguments)
    debug = "--debug" in given
    given = [each for each in given if each != "--debug"]
    try:
        code = run(given)
        sys.stdout.flush()
    except BadInput as error:
        if debug:
            raise
        code = complain(str(error), 2)
    except BrokenPipeError:  # the reader of our output has left
        code = 1
    except OSError as error:
        if debug:
            raise
        where = f" ({shortened(str(error.filename), 80)})" if error.filename else ""
        what = "The output could not be written: the disk is full" if error.errno == errno.ENOSPC else error.strerror
        code = complain(f"{what or error}{where}.", 2 if error.errno == errno.ENAMETOOLONG else 1)
    except (MemoryError, RuntimeError) as error:
        if debug or (isinstance(error, RuntimeError) and "memory" not in str(error)):  # torch's own is a RuntimeError
            raise
        code = complain("There is not enough memory for this: choose a smaller model, context or batch.", 1)
    except KeyboardInterrupt:
        if debug:
            raise
        code = complain("Stopped.", 130)
    close_streams()
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
    word, flags = given[0], given[1:]
    module = import_module(f"insideout.cli.commands.{word.replace('-', '_')}")
    if not COMMANDS[word].kind:
        return int(module.main(flags))
    from insideout.cli.flags import parse

    default = module.defaults(flags) if hasattr(module, "defaults") else None
    command: Any = parse(getattr(module, COMMANDS[word].kind), flags, word, default)
    return int(command.run())


def complain(words: str, code: int) -> int:
    """One line on the error output, if that can still be written to; gives the exit code."""
    with contextlib.suppress(OSError):
        print(f"insideout: {harmless(' '.join(words.split()))}", file=sys.stderr, flush=True)
    return code


PLAIN = {"✓": "+", "✗": "x", "○": "o", "●": "*", "★": "*", "☆": ".", "×": "x", "−": "-", "–": "-", "…": "...",
         "→": "->", "≥": ">=", "≤": "<=", "·": "-", "µ": "u", "²": "2", "\u202f": " ", "⏎": "/"}  # fmt: skip
"""How these are written where an output cannot hold them."""


def open_streams() -> None:
    """Every output can be written to: a closed one goes nowhere, and what an encoding lacks is written plainly."""
    codecs.register_error("insideout", plainly)
    for name in ("stdout", "stderr"):
        stream: TextIO | None = getattr(sys, name)
        if stream is None:
            setattr(sys, name, open(os.devnull, "w", encoding="utf-8"))  # noqa: PTH123, SIM115
        elif hasattr(stream, "reconfigure"):
            stream.reconfigure(errors="insideout")
    if sys.stdin is None:  # closed: there is nothing to be heard
        sys.stdin = open(os.devnull, encoding="utf-8")  # noqa: PTH123, SIM115
    elif hasattr(sys.stdin, "reconfigure"):
        sys.stdin.reconfigure(errors="replace")


def plainly(error: UnicodeError) -> tuple[str, int]:
    """Stand-ins for characters that an encoding lacks."""
    if not isinstance(error, UnicodeEncodeError):
        raise error
    return "".join(PLAIN.get(each, "?") for each in error.object[error.start : error.end]), error.end


def close_streams() -> None:
    """Write out what waits, so that Python has nothing to complain about when it leaves."""
    for stream in (sys.stdout, sys.stderr):
        try:
            stream.flush()
        except (OSError, ValueError):
            with contextlib.suppress(OSError, ValueError):
                os.dup2(os.open(os.devnull, os.O_WRONLY), stream.fileno())


if __name__ == "__main__":
    main()
