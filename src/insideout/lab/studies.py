"""A study: one experiment, run for every variant and every seed, and remembered.

    results = study("positions", train_one, {"rope": rope, "learned": learned}, seeds=3)
    results.values("rope", "loss")                      the number of each seed

Where a run takes seconds, at laptop scale, one goes on in every core. Each is stored under the hash of its variant, its
seed, the source of the experiment (with every function and class of the page that it uses), the library's training code
and the scale. So a page rebuilds in seconds, an interrupted study goes on where it was, and a changed line runs again.
Used from part 2 on.
"""

import dataclasses
import hashlib
import inspect
import json
import sys
import time
import types
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from joblib import Parallel, cpu_count, delayed

from insideout import files
from insideout.errors import BadInput
from insideout.estimates import Interval, interval
from insideout.files import write_whole
from insideout.recipes.code import code_key
from insideout.scales import scale


class Results:
    """What a study found: for each variant a list with one dict a seed."""

    def __init__(self, runs: Mapping[str, Sequence[Mapping[str, Any]]]) -> None:
        self.runs = dict(runs)

    def __iter__(self) -> Iterator[str]:
        return iter(self.runs)

    def __getitem__(self, variant: str) -> Sequence[Mapping[str, Any]]:
        return self.runs[variant]

    def values(self, variant: str, key: str) -> list[Any]:
        """One result of every seed."""
        return [run[key] for run in self.runs[variant]]

    def interval(self, variant: str, key: str) -> Interval:
        """Mean and 95% interval over the seeds."""
        return interval(self.values(variant, key))

    def seconds(self) -> float:
        """How long all runs took when they were made, added up."""
        return float(sum(run["seconds"] for runs in self.runs.values() for run in runs))


def study(
    name: str,
    train_one: Callable[[Any, int], Mapping[str, Any]],
    variants: Mapping[str, Any],
    seeds: int | Sequence[int] = 3,
    at_once: int | None = None,
) -> Results:
    """Run `train_one(variant, seed)` for all that is not stored yet; give all results, with "seconds" added.

    A variant is anything whose repr says what it is: a number, a tuple, a frozen dataclass such as GPTConfig.
    `train_one` returns numbers, strings and lists of them, by name. Progress goes to the error output.
    `at_once` runs go on together, each in a process with a copy of what `train_one` uses of the page; None lets
    `workers_for` choose. 1 keeps them in this process, one after another: for runs that measure how fast they are.
    """
    if not name.replace("-", "").isalnum():
        raise BadInput(f"{name!r} cannot name a study: use letters, digits and dashes.")
    source = source_of(train_one)
    each = range(seeds) if isinstance(seeds, int) else seeds
    tasks = [(label, seed, place(name, label, variants[label], seed, source)) for label in variants for seed in each]
    results = [stored(path) for _, _, path in tasks]
    missing = [index for index, result in enumerate(results) if result is None]
    waiting = [(index, variants[tasks[index][0]], tasks[index][1]) for index in missing]
    start, workers = time.perf_counter(), workers_for(len(waiting)) if at_once is None else at_once
    if waiting:
        print(f"Study {name}: {len(waiting)} runs, {workers} at once", file=sys.stderr)
    for done, (index, new) in enumerate(run_all(train_one, waiting, workers), 1):
        label, seed, path = tasks[index]
        left = (time.perf_counter() - start) / done * (len(waiting) - done)
        print(f"Study {name}: {done} of {len(waiting)} done ({label}, seed {seed}), {left:.0f} s left", file=sys.stderr)
        try:
            write_whole(path, json.dumps(new, ensure_ascii=False).encode())
        except TypeError as error:
            raise BadInput(f"Study {name}: a result cannot be stored ({error}): return numbers and lists.") from None
        results[index] = new
    found: dict[str, list[Mapping[str, Any]]] = {label: [] for label in variants}
    for (label, _, _), result in zip(tasks, results, strict=True):
        assert result is not None
        found[label].append(result)
    return Results(found)


def workers_for(n_runs: int) -> int:
    """How many runs go on together: one a core at laptop scale, where a run keeps one core busy, and at most 8.

    Runs of the tiny scale are over before a process has started; those of the gpu scale share one device.
    """
    return min(cpu_count(only_physical_cores=True), n_runs, 8) if scale() == "laptop" and n_runs else 1


def run_all(
    train_one: Callable[[Any, int], Mapping[str, Any]], waiting: Sequence[tuple[int, Any, int]], workers: int
) -> Iterator[tuple[int, dict[str, Any]]]:
    """The index and result of each run, as they end. With one worker they run here, in their order."""
    if workers == 1:
        yield from (run_one(index, train_one, variant, seed) for index, variant, seed in waiting)
    else:
        pool = Parallel(n_jobs=workers, batch_size=1, return_as="generator_unordered")
        yield from pool(delayed(run_one)(index, train_one, variant, seed) for index, variant, seed in waiting)


def run_one(
    index: int, train_one: Callable[[Any, int], Mapping[str, Any]], variant: Any, seed: int
) -> tuple[int, dict[str, Any]]:
    """One run, with how long it took."""
    start = time.perf_counter()
    result = dict(train_one(variant, seed))
    return index, result | {"seconds": time.perf_counter() - start}


def place(name: str, label: str, variant: Any, seed: int, source: str) -> Path:
    """Where one run is stored."""
    code = code_key(["insideout.lab.small"])
    key = json.dumps([name, label, described(variant), seed, source, code, scale()])
    digest = hashlib.sha256(key.encode()).hexdigest()[:16]
    return files.cache_folder("studies") / name / f"{scale()}-{digest}.json"


def described(variant: Any) -> str:
    """What a variant is, in words that do not change from one run of Python to the next."""
    if isinstance(variant, type) or callable(variant):
        return source_of(variant)
    if isinstance(variant, tuple | list):
        return "[" + ", ".join(map(described, variant)) + "]"
    if isinstance(variant, dict):
        return "{" + ", ".join(f"{key!r}: {described(value)}" for key, value in variant.items()) + "}"
    words = repr(variant)
    if " at 0x" in words:
        raise BadInput(f"A variant of a study needs a repr that says what it is, not {words}.")
    return words


def source_of(function: Any) -> str:
    """The source of a function or class, and of all that it uses from the page it stands on."""
    found: dict[str, str] = {}
    waiting = [function]
    while waiting:
        each = waiting.pop()
        name = f"{each.__module__}.{each.__qualname__}"
        if name in found:
            continue
        try:
            found[name] = text_of(each)
        except (OSError, TypeError):
            raise BadInput(f"The source of {name} cannot be read: define it in a cell or a file.") from None
        if each.__module__.startswith("insideout."):
            continue  # what of the library decides about a model is in code_version
        for used in names_in(each):
            value = getattr(sys.modules.get(each.__module__), used, None)
            if inspect.isfunction(value) or inspect.isclass(value):
                if value.__module__ in (each.__module__, "__main__"):
                    waiting.append(value)
            elif isinstance(value, bool | int | float | str | tuple) or dataclasses.is_dataclass(value):
                found[f"{each.__module__}.{used}"] = repr(value)
    return "\n".join(f"# {name}\n{found[name]}" for name in sorted(found))


def text_of(each: Any) -> str:
    """The source of a function or class. Python finds none for a class from a notebook's cell: then its methods'."""
    try:
        return inspect.getsource(each)
    except (OSError, TypeError):
        if not inspect.isclass(each):
            raise
    parts = [f"class {each.__qualname__}({', '.join(base.__qualname__ for base in each.__bases__)})"]
    for name, member in sorted(vars(each).items()):
        if isinstance(member, types.FunctionType) and member.__code__.co_filename != "<string>":  # not a dataclass's
            parts.append(inspect.getsource(member))
        elif isinstance(member, bool | int | float | str | tuple) and not name.startswith("__"):
            parts.append(f"{name} = {member!r}")
    return "\n".join(parts)


def names_in(function: Any) -> set[str]:
    """The global names that a function uses, or the methods of a class, nested functions included."""
    members = vars(function).values() if inspect.isclass(function) else [function]
    codes = [member.__code__ for member in members if isinstance(member, types.FunctionType)]
    bases = {base.__name__ for base in function.__bases__} if inspect.isclass(function) else set()
    names: set[str] = set(bases)
    while codes:
        code = codes.pop()
        names |= set(code.co_names)
        codes += [constant for constant in code.co_consts if isinstance(constant, types.CodeType)]
    return names


def stored(path: Path) -> dict[str, Any] | None:
    """A run's result, or None where there is none, or a damaged one."""
    try:
        result = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return None
    return result if isinstance(result, dict) else None
