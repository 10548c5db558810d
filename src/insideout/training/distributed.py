"""Several devices, one run: torchrun starts the processes, torch's DDP, FSDP2 or tensor parallelism joins them.

                keeps on each device           computes on each device      exchanges
    ddp         the whole model                its own batch                gradients
    fsdp        a slice of every weight        its own batch                weights, layer by layer, and gradients
    tensor      a slice of every matrix        its share of the same batch  activations

How a model is cut for "tensor" is its own affair: it brings a method `split(device, n_ranks)`.
DDP and FSDP2 give the mean over ranks of each rank's gradient; the loop turns that mean into the gradient of the
mean loss over all ranks (see loop.py). With one process every function here does nothing.
Taught in book/2-building-a-transformer/08_memory_and_speed.md. Sources: Li et al. 2020 (DDP); Zhao et al. 2023 (FSDP).
"""

import contextlib
import os
from collections.abc import Callable, Iterable, Iterator
from dataclasses import fields, is_dataclass, replace
from typing import Any

import torch
import torch.distributed as dist
from torch import Tensor, nn
from torch.distributed.tensor import DTensor, distribute_tensor
from torch.nn.parallel import DistributedDataParallel

from insideout.machine import told


def start(device: str | torch.device) -> torch.device:
    """Join the other processes if torchrun started us, and say which device is ours."""
    device = torch.device(device)
    if "RANK" not in os.environ or told("WORLD_SIZE") < 2:
        return device
    if device.type == "cuda":
        device = torch.device("cuda", told("LOCAL_RANK"))
        torch.cuda.set_device(device)
    if not dist.is_initialized():
        dist.init_process_group("nccl" if device.type == "cuda" else "gloo")
    return device


def rank() -> int:
    """This process's number, 0 to world_size() - 1."""
    return dist.get_rank() if dist.is_available() and dist.is_initialized() else 0


def world_size() -> int:
    """How many processes train together."""
    return dist.get_world_size() if dist.is_available() and dist.is_initialized() else 1


def data_ranks(parallel: str) -> int:
    """How many different batches a micro step has, one for each process; with "tensor" all work on the same."""
    return 1 if parallel == "tensor" else world_size()


def data_rank(parallel: str) -> int:
    """Which of them is this process's, 0 to data_ranks(parallel) - 1."""
    return 0 if parallel == "tensor" else rank()


def is_main() -> bool:
    """True on the one process that writes files."""
    return rank() == 0


def barrier() -> None:
    """Wait for the others."""
    if world_size() > 1:
        dist.barrier()


def total(values: list[float], device: torch.device) -> list[float]:
    """Each number summed over all processes, in float64."""
    if world_size() == 1:
        return values
    tensor = torch.tensor(values, dtype=torch.float64, device=device)
    dist.all_reduce(tensor)
    return [float(value) for value in tensor.tolist()]


def everyone(work: Callable[[], None]) -> None:
    """Do `work` and wait for the others. An OSError on one process is an OSError on all, so that none waits forever."""
    mine: OSError | None = None
    try:
        work()
    except OSError as error:
        mine = error
    on_gpu = world_size() > 1 and dist.get_backend() == "nccl"
    [failed] = total([float(mine is not None)], torch.device("cuda" if on_gpu else "cpu"))
    if mine is not None:
        raise mine
    if failed:
        raise OSError("another process could not write its part")


def same_everywhere(batch: Any) -> Any:
    """Rank 0's numbers in the tensors of a batch; shapes must agree."""
    for tensor in tensors_of(batch):
        dist.broadcast(tensor, src=0)
    return batch


def tensors_of(batch: Any) -> Iterator[Tensor]:
    """The tensors of a batch, which may lie in tuples, lists, dicts and dataclasses."""
    if isinstance(batch, Tensor):
        yield batch
    elif isinstance(batch, tuple | list):
        for part in batch:
            yield from tensors_of(part)
    elif isinstance(batch, dict):
        yield from tensors_of(tuple(batch.values()))
    elif is_dataclass(batch):
        yield from tensors_of(tuple(getattr(batch, field.name) for field in fields(batch)))


def to_device(batch: Any, device: torch.device) -> Any:
    """The batch with its tensors on the device; they may lie in tuples, lists, dicts and dataclasses."""
    if isinstance(batch, Tensor):
        return batch.to(device, non_blocking=True)
    if isinstance(batch, tuple | list):
        parts = [to_device(part, device) for part in batch]
        return type(batch)(*parts) if hasattr(batch, "_fields") else type(batch)(parts)
    if isinstance(batch, dict):
        return {key: to_device(part, device) for key, part in batch.items()}
    if hasattr(batch, "to"):
        return batch.to(device)
    if is_dataclass(batch) and not isinstance(batch, type):
        return replace(batch, **{f.name: to_device(getattr(batch, f.name), device) for f in fields(batch) if f.init})
    return batch


def same_weights(model: nn.Module) -> None:
    """Everyone starts from rank 0's weights. (DDP does this by itself.)"""
    for tensor in [*model.parameters(), *model.buffers()]:
        dist.broadcast(tensor.data, src=0)


def shard(model: nn.Module, device: torch.device) -> None:
    """FSDP2, in place: each entry of a ModuleList (a block) is gathered on its own, the rest together."""
    from torch.distributed.device_mesh import init_device_mesh
    from torch.distributed.fsdp import fully_shard

    same_weights(model)
    mesh = init_device_mesh(device.type, (world_size(),))
    for module in list(model.modules()):
        if isinstance(module, nn.ModuleList):
            for block in module:
                fully_shard(block, mesh=mesh)
    fully_shard(model, mesh=mesh)


def forget_gathered(model: nn.Module) -> None:
    """FSDP2 may still hold whole weights from the last forward pass: after the slices were changed, gather anew."""
    if world_size() > 1:
        from torch.distributed.fsdp import FSDPModule

        for module in model.modules():
            if isinstance(module, FSDPModule):
                module.reshard()


def replicate(model: nn.Module, device: torch.device) -> nn.Module:
    """DDP: a wrapper to call in the model's place."""
    return DistributedDataParallel(model, device_ids=[device.index] if device.type == "cuda" else None)


@contextlib.contextmanager
def gradient_sync(runner: nn.Module, now: bool) -> Iterator[None]:
    """DDP exchanges gradients in this backward pass only if `now`: once per update is enough.

    FSDP does so each time: until then it would hold the whole gradient on each device, which it is there to avoid.
    """
    if isinstance(runner, DistributedDataParallel) and not now:
        with runner.no_sync():
            yield
    else:
        yield


def whole(tensor: Tensor) -> Tensor:
    """The full tensor behind a slice (all processes must ask together); any other tensor as it is."""
    if not isinstance(tensor, DTensor):
        return tensor
    full: Tensor = tensor.full_tensor()  # type: ignore[no-untyped-call, operator, unused-ignore]
    return full


def like(tensor: Tensor, reference: Tensor) -> Tensor:
    """`tensor` on the device of `reference`, with its dtype, and sliced over the processes as it is."""
    tensor = tensor.to(reference.device, reference.dtype)
    if isinstance(reference, DTensor):
        return distribute_tensor(tensor, reference.device_mesh, reference.placements)
    return tensor


def gradient_norm(parameters: Iterable[Tensor], largest: float) -> float:
    """Length of the whole gradient, which is scaled down in place if it is longer than `largest` (0: never)."""
    return float(whole(nn.utils.clip_grad_norm_(parameters, largest or float("inf"))))
