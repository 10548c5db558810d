"""A run on disk, such that there is no moment at which killing it loses more than the last few steps.

    out/checkpoints/step-00000100/
        model.safetensors            what is trained (see weights.py)
        optimizer.safetensors        the optimizers' means of it
        average.safetensors          its average over the steps, where one is kept
        source-00000.safetensors     what the source of the batches remembers, of each rank, if it has a memory
        state.json                   the rest

A checkpoint is written into a folder beside, forced to disk, and renamed: it is there whole or not at all.
The last two are kept. Nothing is pickled, so loading one runs no code.

Where several processes hold slices of the tensors (FSDP, tensor parallelism), each writes its own into a file of the
folders model/, optimizer/ and average/ instead (see shards.py). Whenever several processes write, state.json lists the
files with their sizes, and the folder must be one that all of them see.
"""

import json
import os
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import safetensors.torch
import torch
from safetensors import SafetensorError, safe_open
from torch import Tensor, nn
from torch.distributed.tensor import DTensor

from insideout.errors import BadInput
from insideout.files import discard, disk_trouble, partial_of, put, sweep
from insideout.training import shards
from insideout.training.distributed import everyone, is_main, rank, world_size
from insideout.training.weights import Base, fitting, load_model, model_tensors, trained_tensors

__all__ = ["Checkpoint", "fitting", "load", "load_model", "model_tensors", "save"]

FORMAT = "insideout checkpoint 1"
NAME = re.compile(r"step-\d{8,}")
PARTS = ("model", "optimizer", "average")
KEEP = 2


@dataclass(frozen=True)
class Checkpoint:
    """What `load` gives back."""

    model: dict[str, Tensor]
    optimizer: dict[str, Tensor]
    state: dict[str, Any]
    average: dict[str, Tensor] = field(default_factory=dict)
    """The averaged weights; empty where none were kept."""


def folder_of(out: Path, step: int) -> Path:
    """Where the checkpoint of a step lies."""
    return out / "checkpoints" / f"step-{step:08d}"


def save(
    folder: Path,
    model: nn.Module | Mapping[str, Tensor],
    optimizer_tensors: Mapping[str, Tensor],
    state: dict[str, Any],
    *,
    average: Mapping[str, Tensor] | None = None,
    source: bytes | None = None,
) -> None:
    """Write a checkpoint, then remove all but the last two. A full disk is BadInput and leaves the old ones whole.

    All processes call this together. Slices are written by each of them, whole tensors by the main one; `source`, what
    `packed` made of this process's source of batches, by each.
    """
    tensors = trained_tensors(model) if isinstance(model, nn.Module) else dict(model)
    parts = {"model": {name: tensor.detach() for name, tensor in tensors.items()}, "optimizer": optimizer_tensors}
    if average is not None:
        parts["average"] = average
    sliced = any(isinstance(tensor, DTensor) for tensor in tensors.values())
    together = world_size() > 1 and (sliced or source is not None)
    if not together and not is_main():
        return
    partial = partial_of(folder)

    def begin() -> None:
        if is_main():
            folder.parent.mkdir(parents=True, exist_ok=True)
            sweep(folder.parent)
            partial.mkdir()

    def write_whole_tensors() -> None:
        if is_main() and not sliced:
            for name, part in parts.items():
                write(partial / f"{name}.safetensors", _serialised(part))
        if source is not None:
            write(partial / f"source-{rank():05d}.safetensors", source)

    def finish() -> None:
        if is_main():
            about = {"format": FORMAT, "files": _sizes(partial), **state}
            write(partial / "state.json", json.dumps(about, indent=1).encode())
            put(partial, folder)
            for old in _complete(folder.parent)[:-KEEP]:
                discard(old)

    do = everyone if together else (lambda work: work())
    try:
        do(begin)
        if sliced:
            for name, part in parts.items():
                shards.write(partial / name, part)
        do(write_whole_tensors)
        do(finish)
    except OSError as error:
        if is_main():
            sweep(folder.parent)
        raise disk_trouble(error, folder) from error


def load(folder: Path) -> Checkpoint:
    """Read a checkpoint, all tensors whole, in this process alone. Truncated, incomplete or foreign: BadInput."""
    state = load_state(folder)
    found: dict[str, dict[str, Tensor]] = {}
    for part in PARTS:
        if is_sliced(folder) and (folder / part).is_dir():
            described = shards.describe(folder / part).items()
            found[part] = {name: torch.empty_like(each, device="cpu") for name, each in described}
            shards.read(folder / part, found[part], alone=True)
        elif part != "average" or (folder / "average.safetensors").is_file():
            try:
                found[part] = safetensors.torch.load_file(folder / f"{part}.safetensors")
            except (OSError, ValueError, SafetensorError) as error:
                raise shards.damaged(folder, error) from error
    return Checkpoint(found["model"], found["optimizer"], state, found.get("average", {}))


def load_into(folder: Path, model: nn.Module, averaged: bool = False) -> None:
    """Put the weights of a checkpoint into the model, to use it: those of the last step, or their average.

    Raises BadInput for another model, for frozen weights other than those it was trained beside, and for an average
    that was not kept.
    """
    found = load(folder)
    check_base(folder, found.state, Base(model))
    if averaged and not found.average:
        raise BadInput(f"{folder} has no averaged weights: train with ema_half_life, or use the others.")
    load_model(model, found.model | found.average if averaged else found.model)


def check_base(folder: Path, state: Mapping[str, Any], base: Base) -> None:
    """Are the frozen weights those that the checkpoint was trained beside? Older checkpoints hold them themselves."""
    if "base" in state and state["base"] != base.fingerprint:
        raise BadInput(
            f"{folder} was trained with {'other' if base.fingerprint and state['base'] else 'more or fewer'} frozen "
            "weights: give it the base model, and freeze the parts, that it began with."
        )


def check_companions(folder: Path, state: Mapping[str, Any], companions: Mapping[str, str]) -> None:
    """Were these weights trained for what they are to be used with (a tokenizer, an architecture), by fingerprint?"""
    trained_for = state.get("companions")
    for name, fingerprint in companions.items():
        if isinstance(trained_for, dict) and trained_for.get(name, fingerprint) != fingerprint:
            raise BadInput(f"{folder} was trained with another {name} than the run has now: restore the one it had.")


def load_state(folder: Path) -> dict[str, Any]:
    """What a checkpoint says about its run; also that each file is there in its full length, where it lists them."""
    try:
        state = json.loads((folder / "state.json").read_bytes())
        if not isinstance(state, dict) or state.pop("format", None) != FORMAT:
            raise BadInput(f"{folder / 'state.json'} was not written by this library: choose another run directory.")
        files = state.pop("files", None)
        if (files is not None or is_sliced(folder)) and files != _sizes(folder):
            raise ValueError("its files are not those that were written")
    except BadInput:
        raise
    except (OSError, ValueError, RecursionError) as error:
        raise shards.damaged(folder, error) from error
    return state


def packed(state: Mapping[Any, Any]) -> bytes:
    """What a source of batches remembers, as one file: its tensors, and its other values as JSON in the header.

    Raises BadInput for a value that would not come back as it is: a tuple, a set, a dict whose keys are no strings.
    """
    tensors = {name: value for name, value in state.items() if isinstance(value, Tensor)}
    values = {name: value for name, value in state.items() if not isinstance(value, Tensor)}
    for name, value in state.items():
        if not isinstance(name, str) or not (name in tensors or comes_back(value)):
            raise BadInput(
                f"The source's state holds {name!r}, which is neither a tensor nor a value of JSON (numbers, strings, "
                "lists, dicts with strings as keys): turn it into one."
            )
    contiguous = {
        name: tensor.detach().cpu().clone(memory_format=torch.contiguous_format) for name, tensor in tensors.items()
    }
    return safetensors.torch.save(contiguous, metadata={"values": json.dumps(values)})


def load_source(folder: Path) -> dict[str, Any] | None:
    """What this process's source remembered, or None where none had a memory."""
    files = sorted(folder.glob("source-*.safetensors"))
    if not files:
        return None
    if len(files) != world_size():
        raise BadInput(
            f"The batches of {folder} came from a source with a memory, in {len(files)} processes: go on with as many."
        )
    try:
        with safe_open(folder / f"source-{rank():05d}.safetensors", "pt") as file:
            values = json.loads(file.metadata()["values"])
            return values | {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
    except (OSError, ValueError, TypeError, KeyError, RecursionError, SafetensorError) as error:
        raise shards.damaged(folder, error) from error


def comes_back(value: Any) -> bool:
    """Is this what JSON would give back of it, types and all?"""
    if isinstance(value, dict):
        return type(value) is dict and all(type(k) is str and comes_back(v) for k, v in value.items())
    if isinstance(value, list):
        return type(value) is list and all(comes_back(each) for each in value)
    return type(value) in (str, int, float, bool, type(None))


def is_sliced(folder: Path) -> bool:
    """Was this checkpoint written by several processes, each its slices?"""
    return (folder / "model").is_dir()


def latest(out: Path) -> Path | None:
    """The newest complete checkpoint of a run, or None. Half-written ones do not count."""
    found = _complete(out / "checkpoints")
    return found[-1] if found else None


def write(path: Path, data: bytes) -> None:
    """Write a file and force it to disk."""
    with path.open("wb") as file:
        file.write(data)
        file.flush()
        os.fsync(file.fileno())


def _serialised(tensors: Mapping[str, Tensor]) -> bytes:
    return safetensors.torch.save({name: tensor.contiguous().cpu() for name, tensor in tensors.items()})


def _sizes(folder: Path) -> dict[str, int]:
    """The files of a checkpoint beside state.json, with how many bytes each has."""
    found = sorted(folder.rglob("*.safetensors"))
    return {path.relative_to(folder).as_posix(): path.stat().st_size for path in found}


def _complete(checkpoints: Path) -> list[Path]:
    """Checkpoint folders, oldest first. Only whole ones bear such a name."""
    if not checkpoints.is_dir():
        return []
    found = [path for path in checkpoints.iterdir() if NAME.fullmatch(path.name) and path.is_dir()]
    return sorted(found, key=lambda path: int(path.name.removeprefix("step-")))
