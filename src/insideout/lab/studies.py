"""A study: one experiment, run for every variant and every seed, and remembered.

    results = study("positions", train_one, {"rope": rope, "learned": learned}, seeds=3)
    results.values("rope", "loss")                      the number of each seed

Where a run takes seconds, at laptop scale, one goes on in every core. Each is stored under a key of all that decides
it: variant, seed and scale, the experiment with everything of the page that it uses (page.py), the library's code that
these reach (recipes/code.py), torch's version and Python's. So a page rebuilds in seconds, an interrupted study goes on
where it was, and a changed line runs again. What is read back equals what was computed, types and all, and knows where
and when it was measured. Used from part 2 on.
"""

import contextlib
import hashlib
import json
import os
import sys
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from joblib import Parallel, cpu_count, delayed

from insideout import files, scales
from insideout.errors import BadInput
from insideout.estimates import Interval
from insideout.lab.measured import interval
from insideout.lab.page import described
from insideout.machine import torch_version
from insideout.recipes.code import code_key
from insideout.recipes.origin import Origin, Origins, here_and_now, measured, origins_of
from insideout.scales import Scale

FORMAT = "insideout study 1"
WHEN_LEFT = 1.0
"""Seconds between looks of a worker at whether its study is still there."""

Experiment = Callable[[Any, int], Mapping[str, Any]]


class Results:
    """What a study found: for each variant a list with one dict a seed. Its numbers know their origins."""

    def __init__(self, runs: Mapping[str, Sequence[Mapping[str, Any]]]) -> None:
        self.runs = dict(runs)

    @property
    def origins(self) -> Origins:
        """Where and when it was measured."""
        return origins_of(self.runs)

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
        return sum(run["seconds"] for runs in self.runs.values() for run in runs)


def study(
    name: str,
    train_one: Experiment,
    variants: Mapping[str, Any],
    seeds: int | Sequence[int] = 3,
    at_once: int | None = None,
    scale: Scale | None = None,
) -> Results:
    """Run `train_one(variant, seed)` for all that is not stored yet; give all results, with "seconds" added.

    A variant is anything that can be described (page.py): a number, a tuple, a dataclass such as GPTConfig, a function.
    `train_one` returns numbers and strings, and lists, tuples, dicts and sets of them, by name. Progress goes to the
    error output. `at_once` runs go on together, each in a process with a copy of what `train_one` uses of the page;
    None lets `workers_for` choose. 1 keeps them in this process, one after another: for runs that measure how fast they
    are. Raises BadInput for what cannot be described or stored.
    """
    if not name.replace("-", "").isalnum():
        raise BadInput(f"{name!r} cannot name a study: use letters, digits and dashes.")
    at, each = scale or scales.scale(), list(range(seeds) if isinstance(seeds, int) else seeds)
    key = Key(name, train_one, at)
    tasks = [(label, seed, key.place(label, variants[label], seed)) for label in variants for seed in each]
    results = [stored(path) for _, _, path in tasks]
    missing = [index for index, result in enumerate(results) if result is None]
    waiting = [(index, variants[tasks[index][0]], tasks[index][1]) for index in missing]
    start, workers = time.perf_counter(), workers_for(len(waiting), at) if at_once is None else at_once
    if waiting:
        prepare(tasks[0][2].parent)
        tell(f"Study {name}: {len(waiting)} runs, {workers} at once")
    for done, (index, new) in enumerate(run_all(train_one, waiting, workers, at), 1):
        label, seed, path = tasks[index]
        left = (time.perf_counter() - start) / done * (len(waiting) - done)
        tell(f"Study {name}: {done} of {len(waiting)} done ({label}, seed {seed}), {left:.0f} s left")
        results[index] = store(path, new, f"Study {name}: the result of {label}, seed {seed}")
    found: dict[str, list[Mapping[str, Any]]] = {label: [] for label in variants}
    for (label, _, _), result in zip(tasks, results, strict=True):
        assert result is not None
        found[label].append(result)
    return Results(found)


class Key:
    """What all runs of a study share of their key."""

    def __init__(self, name: str, train_one: Experiment, at: Scale) -> None:
        self.name, self.at = name, at
        self.experiment = described(train_one, getattr(train_one, "__name__", "the experiment"))

    def place(self, label: str, variant: Any, seed: int) -> Path:
        """Where a run is stored."""
        of = described(variant, f"the variant {label!r}")
        code = code_key(self.experiment.roots | of.roots, self.experiment.attributes | of.attributes)
        parts = [
            self.name, label, seed, self.at, of.digest.hexdigest(), self.experiment.digest.hexdigest(), code,
            torch_version(), sys.version,
        ]  # fmt: skip
        digest = hashlib.sha256(json.dumps(parts).encode()).hexdigest()[:16]
        return files.cache_folder("studies") / self.name / f"{self.at}-{digest}.json"


def workers_for(n_runs: int, at: Scale | None = None) -> int:
    """How many runs go on together: one a core at laptop scale, where a run keeps one core busy, and at most 8.

    Runs of the tiny scale are over before a process has started; those of the gpu scale share one device.
    """
    laptop = (at or scales.scale()) == "laptop"
    return min(cpu_count(only_physical_cores=True), n_runs, 8) if laptop and n_runs else 1


def run_all(
    train_one: Experiment, waiting: Sequence[tuple[int, Any, int]], workers: int, at: Scale
) -> Iterator[tuple[int, dict[str, Any]]]:
    """The index and result of each run, as they end. With one worker they run here, in their order."""
    if workers == 1:
        yield from (run_one(index, train_one, variant, seed, at) for index, variant, seed in waiting)
    else:
        ours = {name: value for name, value in os.environ.items() if name.startswith("INSIDEOUT_")}
        pool = Parallel(n_jobs=workers, batch_size=1, return_as="generator_unordered")
        yield from pool(
            delayed(run_elsewhere)(os.getpid(), ours, index, train_one, variant, seed, at)
            for index, variant, seed in waiting
        )


def run_one(index: int, train_one: Experiment, variant: Any, seed: int, at: Scale) -> tuple[int, dict[str, Any]]:
    """One run, with how long it took."""
    start = time.perf_counter()
    with scales.at(at):
        result = dict(train_one(variant, seed))
    if "seconds" in result:
        raise BadInput('A run of a study gives "seconds", which the study adds by itself: choose another name.')
    return index, result | {"seconds": time.perf_counter() - start}


def run_elsewhere(parent: int, ours: Mapping[str, str], *task: Any) -> tuple[int, dict[str, Any]]:
    """One run in a worker, which may have been started before our environment was what it is; it leaves with us.

    `parent` is our process: a worker that comes to its first task when we are gone already has another one by then.
    """
    os.environ.update(ours)
    if not any(thread.name == "leaves" for thread in threading.enumerate()):
        threading.Thread(target=leave_with, args=(parent,), name="leaves", daemon=True).start()
    return run_one(*task)


def leave_with(parent: int) -> None:
    """End this worker, busy or idle, when the process that started it is gone."""
    while os.getppid() == parent:
        time.sleep(WHEN_LEFT)
    os._exit(1)


def tell(words: str) -> None:
    """A line on the error output, if somebody still reads it."""
    with contextlib.suppress(OSError):
        print(words, file=sys.stderr)


def prepare(folder: Path) -> None:
    """Make sure of a place to store results before anything runs."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise files.disk_trouble(error, folder) from error
    if not os.access(folder, os.W_OK):
        raise files.disk_trouble(PermissionError(13, "Permission denied"), folder)
    files.sweep(folder, older=3600)


def store(path: Path, result: Mapping[str, Any], what: str) -> dict[str, Any]:
    """Write a run's result, with where and when it was measured; give it as it will be read back."""
    origin = here_and_now()
    content = json.dumps(encoded(dict(result), what))
    record = {
        "format": FORMAT, "machine": origin.machine, "date": origin.date,
        "sha256": hashlib.sha256(content.encode()).hexdigest(), "result": content,
    }  # fmt: skip
    files.save(path, json.dumps(record) + "\n")
    return dict(measured(decoded(json.loads(content)), [origin]))


def stored(path: Path) -> dict[str, Any] | None:
    """A run's result, or None where there is none, or a damaged one."""
    try:
        record = json.loads(path.read_text(encoding="utf-8"))
        content = record["result"]
        if record["format"] != FORMAT or hashlib.sha256(content.encode()).hexdigest() != record["sha256"]:
            return None
        return dict(measured(decoded(json.loads(content)), [Origin(str(record["machine"]), str(record["date"]))]))
    except (OSError, ValueError, KeyError, TypeError, AttributeError, RecursionError):
        return None


CONTAINERS: dict[str, type] = {"list": list, "tuple": tuple, "set": set, "frozenset": frozenset}


def encoded(value: Any, what: str) -> Any:
    """A value as JSON from which `decoded` gives it back, equal and of the same type. BadInput where it cannot."""
    kind = type(value)
    if value is None or kind in (bool, int, float, str):
        return value
    if isinstance(value, float) and kind.__module__.startswith("insideout."):  # a number that knows more of itself
        return float(value)
    if kind is complex:
        return {"complex": [value.real, value.imag]}
    if kind is bytes:
        return {"bytes": value.hex()}
    if kind is dict:
        return {"dict": [[encoded(key, what), encoded(each, f"{what}, {key!r}")] for key, each in value.items()]}
    for name, container in CONTAINERS.items():
        if kind is container:
            return {name: [encoded(each, what) for each in value]}
    raise BadInput(
        f"{what}, cannot be stored: it holds a {kind.__module__}.{kind.__qualname__}. Return numbers, strings, and "
        "lists, tuples, dicts and sets of them; of an array or tensor x.item() or x.tolist()."
    )


def decoded(value: Any) -> Any:
    """The value that `encoded` was given."""
    if not isinstance(value, dict):
        return value
    [(name, inside)] = value.items()
    if name == "dict":
        return {decoded(key): decoded(each) for key, each in inside}
    if name == "complex":
        return complex(*inside)
    if name == "bytes":
        return bytes.fromhex(inside)
    return CONTAINERS[name](decoded(each) for each in inside)
