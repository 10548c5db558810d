"""A run on disk, such that there is no moment at which killing it loses more than the last few steps.

    out/checkpoints/step-00000100/{model.safetensors, optimizer.safetensors, state.json}

A checkpoint is written into a folder beside, forced to disk, and renamed: it is there whole or not at all.
The last two are kept. Nothing is pickled, so loading one runs no code.

Where several processes hold slices of the tensors (FSDP, tensor parallelism), each writes its own into a file of
the folders model/ and optimizer/ instead (see shards.py); state.json then lists these files with their sizes. The
folder must be one that all processes see.
"""

import errno
import json
import os
import re
import shutil
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import safetensors.torch
import torch
from safetensors import SafetensorError
from torch import Tensor, nn
from torch.distributed.tensor import DTensor

from insideout.errors import BadInput
from insideout.training import shards
from insideout.training.distributed import everyone, is_main, like

FORMAT = "insideout checkpoint 1"
NAME = re.compile(r"step-\d{8,}")
PARTIAL = ".partial-"
KEEP = 2


@dataclass(frozen=True)
class Checkpoint:
    """What `load` gives back."""

    model: dict[str, Tensor]
    optimizer: dict[str, Tensor]
    state: dict[str, Any]


def folder_of(out: Path, step: int) -> Path:
    """Where the checkpoint of a step lies."""
    return out / "checkpoints" / f"step-{step:08d}"


def save(
    folder: Path,
    model: nn.Module | Mapping[str, Tensor],
    optimizer_tensors: Mapping[str, Tensor],
    state: dict[str, Any],
) -> None:
    """Write a checkpoint, then remove all but the last two. A full disk is BadInput and leaves the old ones whole.

    All processes call this together. Slices are written by each of them, whole tensors by the main one.
    """
    tensors = model_tensors(model) if isinstance(model, nn.Module) else dict(model)
    sliced = any(isinstance(tensor, DTensor) for tensor in tensors.values())
    if not sliced and not is_main():
        return
    partial = folder.parent / f"{PARTIAL}{folder.name}"

    def begin() -> None:
        if is_main():
            folder.parent.mkdir(parents=True, exist_ok=True)
            clean(folder.parent)
            partial.mkdir()

    def finish() -> None:
        if is_main():
            files = {"files": _sizes(partial)} if sliced else {}
            write(partial / "state.json", json.dumps({"format": FORMAT, **files, **state}, indent=1).encode())
            _sync_folder(partial)
            _put_in_place(partial, folder)

    try:
        if sliced:
            everyone(begin)
            shards.write(partial / "model", tensors)
            shards.write(partial / "optimizer", optimizer_tensors)
            everyone(finish)
        else:
            begin()
            write(partial / "model.safetensors", _serialised(tensors))
            write(partial / "optimizer.safetensors", _serialised(optimizer_tensors))
            finish()
    except OSError as error:
        if is_main():
            shutil.rmtree(partial, ignore_errors=True)
        raise disk_trouble(error, folder) from error


def load(folder: Path) -> Checkpoint:
    """Read a checkpoint, all tensors whole, in this process alone. Truncated, incomplete or foreign: BadInput."""
    state = load_state(folder)
    if is_sliced(folder):
        model, optimizer = (
            {name: torch.empty_like(each, device="cpu") for name, each in shards.describe(folder / part).items()}
            for part in ("model", "optimizer")
        )
        shards.read(folder / "model", model, alone=True)
        shards.read(folder / "optimizer", optimizer, alone=True)
        return Checkpoint(model, optimizer, state)
    try:
        model, optimizer = (
            safetensors.torch.load_file(folder / name) for name in ("model.safetensors", "optimizer.safetensors")
        )
    except (OSError, ValueError, SafetensorError) as error:
        raise shards.damaged(folder, error) from error
    return Checkpoint(model, optimizer, state)


def load_state(folder: Path) -> dict[str, Any]:
    """What a checkpoint says about its run; of one in slices, that each file is there in its full length."""
    try:
        state = json.loads((folder / "state.json").read_bytes())
        if not isinstance(state, dict) or state.pop("format", None) != FORMAT:
            raise BadInput(f"{folder / 'state.json'} was not written by this library: choose another run directory.")
        files = state.pop("files", None)
        if (files is not None or is_sliced(folder)) and files != _sizes(folder):
            raise ValueError("its files are not those that were written")
    except BadInput:
        raise
    except (OSError, ValueError) as error:
        raise shards.damaged(folder, error) from error
    return state


def is_sliced(folder: Path) -> bool:
    """Was this checkpoint written by several processes, each its slices?"""
    return (folder / "model").is_dir()


def latest(out: Path) -> Path | None:
    """The newest complete checkpoint of a run, or None. Half-written ones do not count."""
    found = _complete(out / "checkpoints")
    return found[-1] if found else None


def clean(checkpoints: Path) -> None:
    """Remove what a killed run left half written."""
    for leftover in checkpoints.glob(f"{PARTIAL}*"):
        shutil.rmtree(leftover, ignore_errors=True)


def model_tensors(model: nn.Module) -> dict[str, Tensor]:
    """The model's own weights by name, not copies; one that is used under two names is there once, under the first."""
    tensors: dict[str, Tensor] = {}
    seen: set[Tensor] = set()
    for name, tensor in model.state_dict(keep_vars=True).items():
        if tensor not in seen:
            seen.add(tensor)
            tensors[name] = tensor.detach()
    return tensors


def load_model(model: nn.Module, tensors: Mapping[str, Tensor]) -> None:
    """Copy the weights into the model. A name or a shape that does not fit: BadInput, and nothing is copied."""
    for name, tensor in fitting(model, tensors).items():
        tensor.copy_(like(tensors[name], tensor))


def fitting(model: nn.Module, tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """The model's own weights, if `tensors` has the same names and shapes; else BadInput."""
    own = model_tensors(model)
    odd = sorted(own.keys() ^ tensors.keys())
    odd += [name for name in own if name in tensors and own[name].shape != tensors[name].shape]
    if odd:
        raise BadInput(
            f"The checkpoint is of another model: {odd[0]} is missing or of another shape "
            f"({len(odd)} such in all). Use the settings that the run was started with."
        )
    return own


def write(path: Path, data: bytes) -> None:
    """Write a file and force it to disk."""
    with path.open("wb") as file:
        file.write(data)
        file.flush()
        os.fsync(file.fileno())


def disk_trouble(error: OSError, where: Path) -> BadInput:
    """The sentence for a file that cannot be written."""
    if error.errno in (errno.ENOSPC, errno.EDQUOT):
        return BadInput(
            f"The disk is full: {where} could not be written. Free some space and go on with --resume; "
            "what was saved before is whole."
        )
    return BadInput(f"{where} could not be written ({error.strerror or error}): choose another folder.")


def _serialised(tensors: Mapping[str, Tensor]) -> bytes:
    return safetensors.torch.save({name: tensor.contiguous().cpu() for name, tensor in tensors.items()})


def _sizes(folder: Path) -> dict[str, int]:
    """The files of slices, with how many bytes each has."""
    found = sorted(path for part in ("model", "optimizer") for path in (folder / part).glob("*"))
    return {path.relative_to(folder).as_posix(): path.stat().st_size for path in found}


def _put_in_place(partial: Path, folder: Path) -> None:
    """Give a folder that is whole its name, and remove all checkpoints but the last two."""
    if folder.exists():
        _discard(folder)
    partial.rename(folder)
    _sync_folder(folder.parent)
    for old in _complete(folder.parent)[:-KEEP]:
        _discard(old)


def _complete(checkpoints: Path) -> list[Path]:
    """Checkpoint folders, oldest first. Only whole ones bear such a name."""
    if not checkpoints.is_dir():
        return []
    found = [path for path in checkpoints.iterdir() if NAME.fullmatch(path.name) and path.is_dir()]
    return sorted(found, key=lambda path: int(path.name.removeprefix("step-")))


def _discard(folder: Path) -> None:
    """Remove a checkpoint so that, killed half way, none is left that looks whole."""
    doomed = folder.with_name(f"{PARTIAL}old-{folder.name}")
    folder.rename(doomed)
    shutil.rmtree(doomed, ignore_errors=True)


def _sync_folder(folder: Path) -> None:
    handle = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
