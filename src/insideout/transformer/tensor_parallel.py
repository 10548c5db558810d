"""Tensor parallelism: every process reads the same batch, and each matrix is cut into one slice per process.

    attention      heads are dealt out: process r computes heads r·H/n to (r+1)·H/n
    feed-forward   y = Σ_r f(x W_up[r]) W_down[r]       hidden units are dealt out, the parts are summed
    embedding      rows of the vocabulary are dealt out, in a tied embedding and head alike

What has no large matrix (norms, positions) is computed everywhere, alike. torch's ColwiseParallel and RowwiseParallel
do the cutting and the exchange; gradients come out right because every slice is a DTensor.

The rows of query_key_value are [queries | keys | values], so its n equal slices are not n sets of heads: slice 0 of 2
would hold all queries and half of the keys. The usual ways out reorder the rows, or keep three matrices; both change
what a checkpoint holds. Here the matrix is cut as it lies, its product (H + 2G)·D wide is gathered, and each process
takes its heads out of that. The price is one all-gather a layer more than Megatron's two all-reduces; the gain is that
a parameter has the same rows in the same order however many processes hold it, and that a key-value head may serve
queries of several processes, which grouped-query models need when there are more processes than such heads.

After `split` the model is one process's share: `config.n_heads` and `n_kv_heads` count its own heads, and a KVCache
made from it holds only those. Attention dropout draws the same mask on each process, for other heads.
Taught in book/2-building-a-transformer/08_memory_and_speed.md. Source: Shoeybi et al. 2019 (Megatron-LM), §3.
Shapes: B batch, T positions, H heads, G key-value heads, D head width.
"""

import dataclasses
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.distributed.device_mesh import DeviceMesh, init_device_mesh
from torch.distributed.tensor import DTensor, Partial, Replicate, distribute_module
from torch.distributed.tensor.parallel import ColwiseParallel, RowwiseParallel, SequenceParallel, parallelize_module

from insideout.errors import BadInput
from insideout.training.distributed import rank, same_weights


def split(model: nn.Module, device: torch.device, n_ranks: int) -> None:
    """Cut a GPT over all processes, in place; everyone gets rank 0's weights.

    Raises BadInput when heads or hidden units do not divide by the processes, or the model is no GPT of ours.
    """
    check(model, n_ranks)
    config: Any = model.config
    heads, kv_heads = own_heads(config.n_heads, config.kv_heads, n_ranks, rank())
    same_weights(model)
    mesh = init_device_mesh(device.type, (n_ranks,))
    for block in model.blocks:  # type: ignore[union-attr]
        plan: dict[str, Any] = {
            "attention.query_key_value": ColwiseParallel(output_layouts=Replicate(), use_local_output=False),
            "attention.output": RowwiseParallel(),
        }
        if block.feed_forward is not None:
            plan |= {"feed_forward.up": ColwiseParallel(), "feed_forward.down": RowwiseParallel()}
            if block.feed_forward.gate is not None:
                plan["feed_forward.gate"] = ColwiseParallel()
            everywhere(block.feed_forward_norm, mesh)
        if config.qk_norm:  # what torch deals out here is dimension 1, which it takes for positions; ours are heads
            plan["attention.query_norm"] = plan["attention.key_norm"] = SequenceParallel(
                sequence_dim=1, use_local_output=True
            )
        parallelize_module(block, mesh, plan)
        if config.qk_norm:  # one gain for all heads: its gradient is a sum over the processes
            block.attention.query_norm.weight.register_hook(summed)
            block.attention.key_norm.weight.register_hook(summed)
        everywhere(block.attention_norm, mesh)
        take_heads(block.attention, config, heads, kv_heads)
    tied = model.head.weight is model.token_embedding.weight  # type: ignore[union-attr]
    parallelize_module(
        model,
        mesh,
        {
            "token_embedding": RowwiseParallel(input_layouts=Replicate()),
            "head": ColwiseParallel(output_layouts=Replicate()),
        },
    )
    if tied:
        model.head.weight = model.token_embedding.weight  # type: ignore[union-attr]
    everywhere(model.norm, mesh)  # type: ignore[arg-type]
    if model.position_embedding is not None:
        everywhere(model.position_embedding, mesh)  # type: ignore[arg-type]
    if config.token_shift:
        everywhere(model.token_shift, mesh)  # type: ignore[arg-type]
    if config.pair_rows:
        everywhere(model.pair_embedding, mesh)  # type: ignore[arg-type]
    if config.positions == "alibi":
        model.slopes = model.slopes[heads.start : heads.stop]  # type: ignore[index]
    model.config = dataclasses.replace(config, n_heads=len(heads), n_kv_heads=len(kv_heads), d_head=config.head_width)


def check(model: nn.Module, n_ranks: int) -> None:
    """Can this model be cut into so many slices?"""
    config: Any = getattr(model, "config", None)
    if not all(hasattr(model, name) for name in ("blocks", "token_embedding", "head")) or config is None:
        raise BadInput(f"{type(model).__name__} cannot be split by heads: choose parallel fsdp or ddp.")
    for block in model.blocks:  # type: ignore[union-attr]
        if not (block.feed_forward is None or hasattr(block.feed_forward, "up")):
            raise BadInput(f"{type(block.feed_forward).__name__} cannot be split: choose parallel fsdp or ddp.")
    for name, size in (("n_heads", config.n_heads), ("d_ff", config.ff_width)):
        if size % n_ranks:
            raise BadInput(
                f"{name} {size} cannot be dealt out to {n_ranks} processes: start a number of processes that divides "
                f"{size}, or choose parallel fsdp."
            )


def summed(gradient: DTensor) -> DTensor:
    """The parts that the processes have, added up, on each of them."""
    return gradient.redistribute(placements=[Replicate()])


def own_heads(n_heads: int, n_kv_heads: int, n_ranks: int, rank: int) -> tuple[range, range]:
    """Which query heads this process computes, and the key-value heads that they read.

    Raises BadInput when the queries of a process would use parts of several groups.
    """
    n_own, group = n_heads // n_ranks, n_heads // n_kv_heads
    if n_own % group and group % n_own:
        raise BadInput(
            f"n_kv_heads {n_kv_heads} and {n_ranks} processes do not divide each other: choose parallel fsdp, or "
            f"a number of processes that divides {n_kv_heads} or is a multiple of it."
        )
    heads = range(rank * n_own, (rank + 1) * n_own)
    return heads, range(heads.start // group, (heads.stop - 1) // group + 1)


def everywhere(module: nn.Module, mesh: DeviceMesh) -> None:
    """Let every process hold the module whole and compute it on the same numbers."""

    def lift(module: nn.Module, inputs: Any, mesh: DeviceMesh) -> Any:
        return tuple(DTensor.from_local(each, mesh, [Replicate()], run_check=False) for each in inputs)

    def lower(module: nn.Module, output: Any, mesh: DeviceMesh) -> Any:
        return output.to_local()

    distribute_module(module, mesh, input_fn=lift, output_fn=lower)


def take_heads(attention: Any, config: Any, heads: range, kv_heads: range) -> None:
    """Let an attention layer go on with its own heads out of all (H + 2G)·D numbers of a position."""
    width = config.head_width
    parts = [
        slice((first + own.start) * width, (first + own.stop) * width)
        for first, own in ((0, heads), (config.n_heads, kv_heads), (config.n_heads + config.kv_heads, kv_heads))
    ]

    def own(module: nn.Module, inputs: Any, output: DTensor) -> Float[Tensor, "B T own_heads_times_D"]:
        # Each process uses other columns, so that the gradients of the whole are parts still to be summed.
        everyone = output.to_local(grad_placements=[Partial()])  # (B, T, (H + 2G) D)
        return torch.cat([everyone[..., part] for part in parts], dim=-1)

    attention.query_key_value.register_forward_hook(own)
    attention.n_heads, attention.kv_heads = len(heads), len(kv_heads)
