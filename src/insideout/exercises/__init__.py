"""The book's exercises and their graders.

    from insideout.exercises import check
    check("transformer.attention.pattern", my_function)

An exercise lives in the module that its id names: `transformer.attention.pattern` in
`insideout/exercises/transformer/attention.py`. Names load on first use, so that importing this package stays light.
"""

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from insideout.exercises.catalogue import Exercise, Mistake, all_exercises, find
    from insideout.exercises.grading import Verdict, check, grade

__all__ = ["Exercise", "Mistake", "Verdict", "all_exercises", "check", "find", "grade"]

_HOME = {"Exercise": "catalogue", "Mistake": "catalogue", "all_exercises": "catalogue", "find": "catalogue"}


def __getattr__(name: str) -> Any:
    if name not in __all__:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from importlib import import_module

    return getattr(import_module(f"{__name__}.{_HOME.get(name, 'grading')}"), name)
