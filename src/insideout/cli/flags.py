"""Settings as flags: a dataclass becomes the options of a command, its fields' docstrings their help.

A nested dataclass needs no prefix where its fields' names are its own: --d-model. Where a command has two of a thing,
they have one: --teacher.d-model, --student.d-model.
"""

import ast
import contextlib
import dataclasses
import inspect
import io
import re
import textwrap
from collections import Counter
from functools import lru_cache
from itertools import pairwise
from typing import Annotated, Any, get_type_hints

from insideout.errors import BadInput

TITLES = (
    "Value error", "Parsing error", "Required options", "Unrecognized options", "Invalid choice", "Missing argument",
)  # fmt: skip
"""Of tyro's frames."""


def parse(kind: Any, given: list[str], word: str, default: Any = None) -> Any:
    """The command's dataclass with what the flags say. Raises BadInput, in one sentence, for what cannot be read."""
    import tyro

    said = io.StringIO()
    try:
        with contextlib.redirect_stderr(said):
            return tyro.cli(
                kind,
                args=given,
                prog=f"insideout {word}",
                default=default if default is not None else tyro.MISSING_NONPROP,
                config=(tyro.conf.FlagCreatePairsOff,),
                description=kind.__doc__,
            )
    except SystemExit as left:
        if left.code == 0:  # --help
            raise
        raise BadInput(sentence(said.getvalue(), word)) from None


def sentence(said: str, word: str) -> str:
    """tyro's framed message as one line: no frame, no title, no settings' inner names."""
    lines = [re.sub(r"[│╭╮╰╯─]+|-{5,}", " ", line).strip() for line in said.splitlines()]
    kept = [line for line in lines if line and "For full helptext" not in line]
    if kept and kept[0] in TITLES:
        kept = kept[1:]
    text = re.sub(r"^Error parsing [\w.-]+: ", "", " ".join(kept))
    text = re.sub(
        r"no type matching (\S+) could be instantiated from \[(.*?)\]\..*?(?= Argument|$)", r"\2 is no \1", text
    )
    what, _, flag = text.partition(" Argument helptext: ")
    text = f"{flag.split()[0]}: {what}" if flag else text.split(" (required) ")[0]
    text = text or "these flags cannot be used."
    return text if text.endswith((".", "?")) else f"{text}. See insideout {word} --help."


def command_of(settings: Any, about: str, *own: tuple[str, Any, str, Any]) -> tuple[type, Any]:
    """A command whose options are the settings and a few of its `own`, (name, type, help, default): class and default.

    The parsed command gives its settings back by `settings_of`.
    """
    import tyro

    names = Counter(names_in(type(settings)) + [name for name, *_ in own])
    fields = [(name, Annotated[kind, tyro.conf.arg(help=words)]) for name, kind, words, _ in own]
    inner = mirror(type(settings), names)
    made = dataclasses.make_dataclass("Command", [("settings", Annotated[inner, tyro.conf.arg(name="")]), *fields])
    made.__doc__ = about
    return made, made(reflected(inner, settings), *(value for *_, value in own))


def settings_of(command: Any, settings: Any) -> Any:
    """The settings that a parsed command holds, of the same classes as `settings`. Raises BadInput, as these do."""
    return _back(command.settings, settings)


def _back(found: Any, like: Any) -> Any:
    values = {
        field.name: _back(getattr(found, field.name), getattr(like, field.name))
        if dataclasses.is_dataclass(getattr(like, field.name))
        else getattr(found, field.name)
        for field in dataclasses.fields(like)
    }
    return dataclasses.replace(like, **values)


def names_in(kind: type) -> list[str]:
    """The names of all settings in a dataclass, those of nested ones too."""
    found = []
    for name, hint in get_type_hints(kind).items():
        found += names_in(hint) if dataclasses.is_dataclass(hint) else [name]  # type: ignore[arg-type]
    return found


def mirror(kind: type, names: Counter[str]) -> type:
    """The same dataclass without its checks, which are made later, and with prefixes where names are not its own."""
    import tyro

    fields, words = [], docstrings(kind)
    for name, hint in get_type_hints(kind, include_extras=True).items():
        if dataclasses.is_dataclass(hint):
            own = all(names[each] == 1 for each in names_in(hint))  # type: ignore[arg-type]
            kept = mirror(hint, names)  # type: ignore[arg-type]
            kept.__doc__ = words.get(name) or kept.__doc__
            fields.append((name, Annotated[kept, tyro.conf.OmitArgPrefixes] if own else kept))
        else:
            fields.append((name, Annotated[hint, tyro.conf.arg(help=words.get(name))]))
    made = dataclasses.make_dataclass(kind.__name__, fields)
    made.__doc__ = kind.__doc__
    return made


def reflected(made: type, settings: Any) -> Any:
    """The values of settings in their mirror."""
    values = {}
    for name, hint in get_type_hints(made).items():
        value = getattr(settings, name)
        values[name] = reflected(hint, value) if dataclasses.is_dataclass(value) else value
    return made(**values)


@lru_cache
def docstrings(kind: type) -> dict[str, str]:
    """The string under each field of a class, and of those that it goes on from, in one line."""
    found = {}
    for each in filter(dataclasses.is_dataclass, reversed(kind.__mro__)):
        body = ast.parse(textwrap.dedent(inspect.getsource(each))).body[0].body  # type: ignore[attr-defined]
        for field, after in pairwise(body):
            words = after.value if isinstance(after, ast.Expr) else None
            if isinstance(field, ast.AnnAssign) and isinstance(words, ast.Constant):
                found[ast.unparse(field.target)] = " ".join(str(words.value).split())
    return found
