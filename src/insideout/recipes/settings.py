"""Settings: nested, frozen dataclasses, and how they are written, read, and changed by name.

    to_dict(settings)                               as JSON knows them
    from_dict(PretrainConfig, values, "config.json")       back, every type checked
    change(settings, {"seed": 2, "d_model": 64})    the same settings, with what these names mean inside them

A name is a field's own, if only one field anywhere inside has it, or its whole path joined by underscores:
teacher_d_model. Imports no torch, so that help texts are quick.
"""

import dataclasses
import difflib
from collections.abc import Iterable, Mapping
from dataclasses import is_dataclass
from pathlib import Path
from typing import Any, TypeVar, get_args, get_origin, get_type_hints

from insideout.errors import BadInput
from insideout.training.config import described, fits

S = TypeVar("S")
Path_ = tuple[str, ...]


def to_dict(settings: Any) -> Any:
    """The settings as JSON knows them: dicts, lists, numbers, strings. Left out: a later field at its default.

    So what was made before there was such a field (training.config.LATER) keeps its fingerprint and its key.
    """
    if is_dataclass(settings) and not isinstance(settings, type):
        return {
            field.name: to_dict(getattr(settings, field.name))
            for field in dataclasses.fields(settings)
            if not (field.metadata.get("later") and getattr(settings, field.name) == field.default)
        }
    if isinstance(settings, Mapping):
        return {str(name): to_dict(value) for name, value in settings.items()}
    if isinstance(settings, list | tuple):
        return [to_dict(value) for value in settings]
    return str(settings) if isinstance(settings, Path) else settings


def from_dict(kind: type[S], values: Any, where: str) -> S:
    """The settings that `to_dict` wrote. Raises BadInput, naming `where` and the field, for anything else."""
    if not isinstance(values, dict):
        raise BadInput(f"{where} holds no settings but {str(values)[:80]!r}: it is damaged, or from another version.")
    hints, found = get_type_hints(kind), {}
    fields = {field.name: field for field in dataclasses.fields(kind)}  # type: ignore[arg-type]
    for name, value in values.items():
        if name not in fields:
            raise BadInput(f"{where} has a setting {name!r} that is not known: it is from another version.")
        found[name] = fitted(hints[name], value, name, where)
    for name, field in fields.items():
        if name not in found and field.default is field.default_factory is dataclasses.MISSING:
            raise BadInput(f"{where} lacks {name}: it is damaged, or from another version.")
    try:
        return kind(**found)
    except BadInput as error:
        raise BadInput(f"{where}: {error}") from error


def fitted(kind: Any, value: Any, name: str, where: str) -> Any:
    """A value as its field's type wants it. Raises BadInput where it is of another type."""
    origin, inside = get_origin(kind), get_args(kind)
    if hasattr(kind, "__metadata__"):  # Annotated
        return fitted(inside[0], value, name, where)
    if is_dataclass(kind) and isinstance(kind, type):
        return value if isinstance(value, kind) else from_dict(kind, value, f"{where}, {name}")
    if origin is tuple and isinstance(value, list | tuple):
        return tuple(fitted(inside[0], each, name, where) for each in value)
    if not fits(value, kind):
        words = f"a list, each {described(inside[0])}" if origin is tuple else described(kind)
        raise BadInput(f"{where}: {name} is {str(value)[:80]!r}; it must be {words}.")
    return float(value) if kind is float else value


def leaves(settings: Any, before: Path_ = ()) -> dict[Path_, Any]:
    """Every setting by its path: ("train", "seed") -> 0. A nested dataclass is listed too, before what it holds."""
    found: dict[Path_, Any] = {}
    for field in dataclasses.fields(settings):
        path, value = (*before, field.name), getattr(settings, field.name)
        found[path] = value
        if is_dataclass(value) and not isinstance(value, type):
            found |= leaves(value, path)
    return found


def path_of(settings: Any, name: str) -> Path_:
    """Where the setting of this name is. Raises BadInput where there is none, or more than one."""
    paths = list(leaves(settings))
    exact = [path for path in paths if "_".join(path) == name]
    found = exact or [path for path in paths if path[-1] == name]
    if len(found) == 1:
        return found[0]
    if found:
        several = " or ".join("_".join(path) for path in found)
        raise BadInput(f"{name} may mean {several}: write out which.")
    known = [path[-1] for path in paths]
    near = difflib.get_close_matches(name, known, n=1, cutoff=0.0)
    raise BadInput(f"There is no setting {name}; the nearest is {near[0]}." if near else f"There is no setting {name}.")


def change(settings: S, changes: Mapping[str, Any]) -> S:
    """The settings with some of them changed, by name. Raises BadInput for a name or a value that does not fit."""
    new: dict[Path_, Any] = {}
    for name, value in changes.items():
        path = path_of(settings, name)
        if path in new:
            raise BadInput(f"{'_'.join(path)} was given twice.")
        new[path] = fitted(hint(type(settings), path), value, name, "These settings")
    return _replaced(settings, new)


def hint(kind: Any, path: Path_) -> Any:
    """The type of the field at a path."""
    for name in path:
        kind = get_type_hints(kind)[name]
        if hasattr(kind, "__metadata__"):
            kind = get_args(kind)[0]
    return kind


def _replaced(settings: S, new: Mapping[Path_, Any]) -> S:
    """All at once, so that settings that only go together can be changed together."""
    here = {path[0]: value for path, value in new.items() if len(path) == 1}
    deeper: dict[str, dict[Path_, Any]] = {}
    for path, value in new.items():
        if len(path) > 1:
            deeper.setdefault(path[0], {})[path[1:]] = value
    for name, inside in deeper.items():
        here[name] = _replaced(here.get(name, getattr(settings, name)), inside)
    return dataclasses.replace(settings, **here)  # type: ignore[type-var]


def without(values: Any, paths: Iterable[Path_]) -> Any:
    """Settings as JSON knows them, but for those at these paths."""
    if not isinstance(values, dict):
        return values
    paths = list(paths)
    here, below = {path[0] for path in paths if len(path) == 1}, [path for path in paths if len(path) > 1]
    return {
        name: without(value, [path[1:] for path in below if path[0] == name])
        for name, value in values.items()
        if name not in here
    }


def first_difference(then: Any, now: Any, may_change: tuple[str, ...] = ()) -> tuple[str, Any, Any] | None:
    """The first setting that differs, with both its values, looked for inside settings that hold others."""
    for field in dataclasses.fields(then):
        a, b = getattr(then, field.name), getattr(now, field.name)
        if field.name in may_change or a == b:
            continue
        if is_dataclass(a) and type(a) is type(b):
            return first_difference(a, b)
        return field.name, a, b
    return None
