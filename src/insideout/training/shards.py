"""Tensors that several processes hold in slices, on disk: one safetensors file from each process.

    folder/shard-00001-model-00001-of-00001.safetensors      rank 0's slices, and what all hold alike
    folder/shard-00002-model-00001-of-00001.safetensors      rank 1's slices ...

torch's distributed checkpoint (DCP) writes and reads them. No process ever holds a whole tensor: each writes its own
slices, and reads from every file only the rows and columns that it needs, so that any number of processes can load
what any other number has saved.

DCP's usual format keeps its index in a file `.metadata`, which is a pickle: loading one runs whatever it says. This
is its other format, of the Hugging Face Hub, where each file's own JSON header says where its slices belong. Nothing
on disk is a pickle. (To plan who writes what, DCP does send pickled plans between the processes of one run.)
Used from book/2-building-a-transformer/08_memory_and_speed.md on.
"""

import warnings
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError
from torch import Tensor

from insideout.errors import BadInput
from insideout.training.distributed import world_size


def write(folder: Path, tensors: Mapping[str, Tensor]) -> None:
    """Write this process's slices into `folder`, and force them to disk; all processes call this together.

    Raises OSError on every process when one of them cannot write.
    """
    from torch.distributed.checkpoint.api import CheckpointException
    from torch.distributed.checkpoint.hf_storage import HuggingFaceStorageWriter
    from torch.distributed.checkpoint.state_dict_saver import save

    try:
        save(dict(tensors), storage_writer=HuggingFaceStorageWriter(str(folder), save_distributed=True))
    except CheckpointException as error:
        raise reason(error.failures) from error


def describe(folder: Path) -> dict[str, Tensor]:
    """The tensors of a folder by name: their shapes and dtypes, without their numbers (device "meta").

    Raises BadInput when a file is not what it should be.
    """
    from torch.distributed.checkpoint.hf_storage import HuggingFaceStorageReader
    from torch.distributed.checkpoint.metadata import TensorStorageMetadata

    try:
        found = HuggingFaceStorageReader(str(folder)).read_metadata().state_dict_metadata
    except (OSError, ValueError, KeyError, TypeError, SafetensorError) as error:
        raise damaged(folder.parent, error) from error
    return {
        name: torch.empty(entry.size, dtype=entry.properties.dtype, device="meta")
        for name, entry in found.items()
        if isinstance(entry, TensorStorageMetadata)
    }


def read(folder: Path, tensors: Mapping[str, Tensor], alone: bool = False) -> None:
    """Fill the tensors in place, whole ones or slices; all processes call this together, unless `alone`.

    Names and shapes must have been checked against `describe`. Raises BadInput when the files cannot be read.
    """
    from torch.distributed.checkpoint.api import CheckpointException
    from torch.distributed.checkpoint.hf_storage import HuggingFaceStorageReader
    from torch.distributed.checkpoint.state_dict_loader import load

    reader = HuggingFaceStorageReader(str(folder))
    places = {name: tensor.detach() for name, tensor in tensors.items()}
    try:
        with warnings.catch_warnings():
            warnings.filterwarnings("ignore", message="torch.distributed is disabled")
            load(places, storage_reader=reader, no_dist=alone or world_size() == 1)
    except CheckpointException as error:
        raise damaged(folder.parent, reason(error.failures)) from error
    except (OSError, ValueError, SafetensorError) as error:
        raise damaged(folder.parent, error) from error


def reason(failures: Mapping[int, tuple[BaseException, Any]]) -> BaseException:
    """Of what went wrong on each process, a trouble with the disk, or else the first."""
    found = [error for error, _ in failures.values()]
    return next((error for error in found if isinstance(error, OSError)), found[0])


def damaged(checkpoint: Path, error: BaseException) -> BadInput:
    """The sentence for a checkpoint that cannot be read."""
    return BadInput(
        f"The checkpoint {checkpoint} is damaged or not a checkpoint ({error}): "
        "remove that folder to go on from the one before it."
    )
