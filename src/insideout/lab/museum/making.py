"""A run of any kind, with or without a fault.

    make("sft", folder, fault_name="mask_off_by_one")      config.json, metrics.jsonl, samples.jsonl, result.json

What a run goes on from was made without the fault. Each hall of the museum holds the kinds of one part of the book.
Used in book/3-fine-tuning-a-transformer/20_broken_trainers.md, and by the broken trainers of parts 4 and 5.
"""

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from insideout.errors import BadInput
from insideout.lab.museum import painters, runs, thinkers
from insideout.lab.museum.faults import fault, find
from insideout.recipes.job import Job
from insideout.scales import Scale, scale

HALLS: Mapping[int, tuple[str, ...]] = {3: runs.KINDS, 4: thinkers.KINDS, 5: painters.KINDS}
"""The kinds of run of each hall, by the part of the book."""
KINDS = tuple(kind for kinds in HALLS.values() for kind in kinds)


def hall_of(kind: str) -> int:
    """Where runs of this kind hang. Raises BadInput for another kind."""
    for hall, kinds in HALLS.items():
        if kind in kinds:
            return hall
    raise BadInput(f"There is no kind of run {kind!r}: choose one of {', '.join(KINDS)}.")


def settings(kind: str, seed: int, at: Scale) -> Any:
    """A run's settings, of the class that the stage of its name has. Raises BadInput for another kind."""
    return {3: runs, 4: thinkers, 5: painters}[hall_of(kind)].settings(kind, seed, at)


def make(
    kind: str, folder: Path, *, fault_name: str = "", seed: int = 0, at: Scale | None = None, **changes: Any
) -> Path:
    """Train into a folder, and give it. `changes` are of the settings. Raises BadInput where a run stops itself."""
    import torch

    at = at or scale()
    if fault_name and find(fault_name).kind != kind:
        raise BadInput(f"The fault {fault_name} is of a run of {find(fault_name).kind}, and this one is of {kind}.")
    config = replace(settings(kind, seed, at), **changes)
    threads = torch.get_num_threads()
    torch.set_num_threads(1)  # matrices this small are not worth sharing between cores
    try:
        begun = begun_of(kind, at)
        folder.mkdir(parents=True, exist_ok=True)
        job = Job(folder, config, lambda event: None, at, stage=kind)
        with fault(fault_name):
            RUNS[kind](config, begun, job, at)
    finally:
        torch.set_num_threads(threads)
    return folder


def begun_of(kind: str, at: Scale) -> Any:
    """What a run goes on from, made without a fault; None where it begins with random weights."""
    hall = hall_of(kind)
    if hall == 3:
        return None if kind == "sft" else runs.start(at)
    return thinkers.begun(kind, at) if hall == 4 else painters.begun(kind, at)


RUNS = runs.RUNS | thinkers.RUNS | painters.RUNS
