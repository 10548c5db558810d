"""A fault as a switch: one function of the library, replaced by its broken twin for as long as a run takes.

    with fault("mask_off_by_one"):
        ...                                 whatever trains here, trains with a loss mask that is one place late

The real code stays free of ifs: the twin is put wherever the library holds the function, under a name, in a class or in
a table, and taken out again. Some faults cannot be had without more, since the real code would stop the run with a
sentence: then the guard that says it is switched off too, and the fault names it (`guard`).

While a fault is on, recipes keep what they make under keys of its own, so that no broken result is ever taken for a
sound one; a study is refused, since its runs may go on in processes in which nothing was switched: put the switch into
what it runs. The twins stand in tuning.py, pairs.py, policies.py, reasoning.py and painting.py beside this. Used in
book/3-fine-tuning-a-transformer/20_broken_trainers.md.
"""

import contextlib
import importlib
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

from insideout.errors import BadInput

__all__ = ["FAULTS", "Fault", "active", "breaks", "fault", "find"]

Twin = Callable[[Any], Any]
"""From the real function, its broken twin."""


@dataclass(frozen=True)
class Fault:
    """A classic fault."""

    name: str
    target: str
    """The one function that is replaced: "insideout.data.batch:Batch.reading"."""
    twin: Twin
    kind: str
    """The kind of run that it breaks, by the name of its stage: sft, reward, grpo, vae, …"""
    guard: str = ""
    """What in the real code would stop such a run, and is switched off with it."""
    part: int = 3
    """Of the book."""


FAULTS: dict[str, Fault] = {}
"""Every fault, by name. Filled by the modules beside this one."""
BROKEN = ("tuning", "pairs", "policies", "reasoning", "painting")
"""The modules that hold the twins."""
_on: list[str] = []


def breaks(target: str, kind: str, **more: Any) -> Callable[[Twin], Twin]:
    """Register the decorated function, from the real one to its broken twin, as the fault of its own name."""

    def register(twin: Twin) -> Twin:
        name = twin.__name__
        FAULTS[name] = Fault(name, target, twin, kind, **more)
        return twin

    return register


def find(name: str) -> Fault:
    """The fault of that name. Raises BadInput where there is none."""
    from difflib import get_close_matches

    for module in BROKEN:
        importlib.import_module(f"{__package__}.{module}")
    if name not in FAULTS:
        near = get_close_matches(name, FAULTS, 1)
        hint = f"did you mean {near[0]}?" if near else "insideout.lab.museum.FAULTS has them all."
        raise BadInput(f"There is no fault {name!r}: {hint}")
    return FAULTS[name]


def active() -> tuple[str, ...]:
    """The faults that are on."""
    return tuple(_on)


@contextlib.contextmanager
def fault(name: str = "") -> Iterator[None]:
    """Run with this fault; an empty name is none. Raises BadInput for one that there is not, or inside of another."""
    if not name:
        yield
        return
    chosen = find(name)
    if _on:
        raise BadInput(f"The fault {_on[0]} is on already: one at a time, or nobody could tell which is to be seen.")
    with contextlib.ExitStack() as stack:
        stack.enter_context(replaced(chosen.target, chosen.twin))
        if chosen.guard:
            stack.enter_context(replaced(chosen.guard, silenced))
        stack.enter_context(replaced("insideout.recipes.key:key_of", own_keys))
        stack.enter_context(replaced("insideout.lab.studies:study", refusing))
        _on.append(name)
        stack.callback(_on.pop)
        yield


def silenced(real: Any) -> Any:
    """A guard that asks nothing; where it makes a check, one that asks nothing."""

    def quiet(*arguments: Any, **named: Any) -> Any:
        return quiet

    return quiet


def own_keys(real: Any) -> Any:
    """Keys of results that are made under a fault."""

    def key_of(name: str, settings: Any, inputs: Any, sources: Any, code: str) -> str:
        return str(real(name, settings, inputs, dict(sources) | {"fault": " ".join(_on)}, code))

    return key_of


def refusing(real: Any) -> Any:
    """A study that does not begin."""

    def study(*arguments: Any, **named: Any) -> Any:
        raise BadInput(f"The fault {_on[0]} is on, and a study was begun: switch it on inside of the study's runs.")

    return study


@contextlib.contextmanager
def replaced(target: str, twin: Twin) -> Iterator[None]:
    """The twin in place of the function, wherever the library holds it."""
    module, _, path = target.partition(":")
    owner: Any = importlib.import_module(module)
    *inside, name = path.split(".")
    for each in inside:
        owner = getattr(owner, each)
    real = vars(owner)[name]
    broken = twin(real)
    put(owner, name, real, broken)
    try:
        yield
    finally:
        put(owner, name, broken, real)


def put(owner: Any, name: str, old: Any, new: Any) -> None:
    """In a class, the one attribute; of a module, every name and every table of the library that holds the function."""
    setattr(owner, name, new)
    if isinstance(owner, type):
        return
    for module in [each for key, each in sys.modules.items() if key.partition(".")[0] == "insideout"]:
        for held, value in list(vars(module).items()):
            if value is old:
                setattr(module, held, new)
            elif isinstance(value, dict):
                for key in [key for key, each in value.items() if each is old]:
                    value[key] = new
