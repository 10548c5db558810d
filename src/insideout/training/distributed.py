"""Several devices, one run: torchrun starts the processes, torch's DDP or FSDP2 joins them.

DDP keeps a whole copy of the model on each device and averages the gradients; FSDP2 keeps a slice of every
weight on each and gathers them layer by layer. Both give the mean over ranks of each rank's gradient; the loop
turns that mean into the gradient of the loss per token over all ranks (see loop.py). With one process every
function here does nothing. Sources: Li et al. 2020 (DDP); Zhao et al. 2023 (FSDP).
"""

import contextlib
import os
from collections.abc import Iterable, Iterator
from typing import Any

import torch
import torch.distributed as dist
from torch import Tensor, nn
from torch.distributed.tensor import DTensor, distribute_tensor
from torch.nn.parallel import DistributedDataParallel


def start(device: str | torch.device) -> torch.device:
    """Join the other processes if torchrun started us, and say which device is ours."""
    device = torch.device(device)
    if "RANK" not in os.environ or int(os.environ.get("WORLD_SIZE", "1")) < 2:
        return device
    if device.type == "cuda":
        device = torch.device("cuda", int(os.environ.get("LOCAL_RANK", "0")))
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


def shard(model: nn.Module, device: torch.device) -> None:
    """FSDP2, in place: each entry of a ModuleList (a block) is gathered on its own, the rest together."""
    from torch.distributed.device_mesh import init_device_mesh
    from torch.distributed.fsdp import fully_shard

    for tensor in [*model.parameters(), *model.buffers()]:
        dist.broadcast(tensor.data, src=0)  # DDP does this too: everyone starts from rank 0's weights
    mesh = init_device_mesh(device.type, (world_size(),))
    for module in list(model.modules()):
        if isinstance(module, nn.ModuleList):
            for block in module:
                fully_shard(block, mesh=mesh)
    fully_shard(model, mesh=mesh)


def replicate(model: nn.Module, device: torch.device) -> nn.Module:
    """DDP: a wrapper to call in the model's place."""
    return DistributedDataParallel(model, device_ids=[device.index] if device.type == "cuda" else None)


@contextlib.contextmanager
def gradient_sync(runner: nn.Module, now: bool) -> Iterator[None]:
    """Exchange gradients in this backward pass only if `now`: once per update is enough."""
    if isinstance(runner, DistributedDataParallel) and not now:
        with runner.no_sync():
            yield
        return
    choose_sync: Any = getattr(runner, "set_requires_gradient_sync", None)  # FSDP2's switch
    if choose_sync is not None:
        choose_sync(now)
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
