"""A run on disk, such that there is no moment at which killing it loses more than the last few steps.

    out/checkpoints/step-00000100/{model.safetensors, optimizer.safetensors, state.json}

A checkpoint is written into a folder beside, forced to disk, and renamed: it is there whole or not at all.
The last two are kept. Nothing is pickled, so loading one runs no code.
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

from insideout.errors import BadInput
from insideout.training.distributed import is_main, like, whole

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
    """Write a checkpoint, then remove all but the last two. A full disk is BadInput and leaves the old ones whole."""
    tensors = model_tensors(model) if isinstance(model, nn.Module) else dict(model)
    if not is_main():
        return
    partial = folder.parent / f"{PARTIAL}{folder.name}"
    try:
        folder.parent.mkdir(parents=True, exist_ok=True)
        clean(folder.parent)
        partial.mkdir()
        write(partial / "model.safetensors", _serialised(tensors))
        write(partial / "optimizer.safetensors", _serialised(optimizer_tensors))
        write(partial / "state.json", json.dumps({"format": FORMAT, **state}, indent=1).encode())
        _sync_folder(partial)
        if folder.exists():
            _discard(folder)
        partial.rename(folder)
        _sync_folder(folder.parent)
        for old in _complete(folder.parent)[:-KEEP]:
            _discard(old)
    except OSError as error:
        shutil.rmtree(partial, ignore_errors=True)
        raise disk_trouble(error, folder) from error


def load(folder: Path) -> Checkpoint:
    """Read a checkpoint. Truncated, incomplete or foreign: BadInput."""
    try:
        state = json.loads((folder / "state.json").read_bytes())
        if not isinstance(state, dict) or state.pop("format", None) != FORMAT:
            raise BadInput(f"{folder / 'state.json'} was not written by this library: choose another run directory.")
        model, optimizer = (
            safetensors.torch.load_file(folder / name) for name in ("model.safetensors", "optimizer.safetensors")
        )
    except (OSError, ValueError, SafetensorError) as error:
        if isinstance(error, BadInput):
            raise
        raise BadInput(
            f"The checkpoint {folder} is damaged or not a checkpoint ({error}): "
            "remove that folder to go on from the one before it."
        ) from error
    return Checkpoint(model, optimizer, state)


def latest(out: Path) -> Path | None:
    """The newest complete checkpoint of a run, or None. Half-written ones do not count."""
    found = _complete(out / "checkpoints")
    return found[-1] if found else None


def clean(checkpoints: Path) -> None:
    """Remove what a killed run left half written."""
    for leftover in checkpoints.glob(f"{PARTIAL}*"):
        shutil.rmtree(leftover, ignore_errors=True)


def model_tensors(model: nn.Module) -> dict[str, Tensor]:
    """The model's weights by name; a weight that is used under two names is there once, under the first."""
    tensors: dict[str, Tensor] = {}
    seen: set[Tensor] = set()
    for name, tensor in model.state_dict(keep_vars=True).items():
        if tensor not in seen:
            seen.add(tensor)
            tensors[name] = whole(tensor.detach())
    return tensors


def load_model(model: nn.Module, tensors: Mapping[str, Tensor]) -> None:
    """Copy the weights into the model. A name or a shape that does not fit: BadInput, and nothing is copied."""
    own: dict[str, Tensor] = {}
    seen: set[Tensor] = set()
    for name, tensor in model.state_dict(keep_vars=True).items():
        if tensor not in seen:
            seen.add(tensor)
            own[name] = tensor
    odd = sorted(own.keys() ^ tensors.keys())
    odd += [name for name in own if name in tensors and own[name].shape != tensors[name].shape]
    if odd:
        raise BadInput(
            f"The checkpoint is of another model: {odd[0]} is missing or of another shape "
            f"({len(odd)} such in all). Use the settings that the run was started with."
        )
    with torch.no_grad():
        for name, tensor in own.items():
            tensor.copy_(like(tensors[name], tensor))


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
