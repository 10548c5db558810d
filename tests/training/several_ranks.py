"""Run by test_distributed.py: one process, then two joined by DDP, then by FSDP2, on the same data.

argv: a folder. Forks before torch is used. The large batch is the two ranks' batches together.
"""

import json
import os
import sys
from pathlib import Path

import torch
import torch._dynamo  # the first optimizer imports it: once here, not in every fork
import torch.distributed.fsdp
from tiny import Tiny, batch, config, loss_fn, losses, validate

from insideout.training import distributed
from insideout.training.loop import train

base = Path(sys.argv[1])


def part(step: int, micro_step: int, rank: int):
    return batch(1000 * step + 10 * micro_step + rank)  # counts differ between ranks


def run(name: str, optimizer: str, parallel: str, ranks: int, steps: int = 6, resume: bool = False) -> None:
    torch.set_num_threads(1)
    distributed.start("cpu")

    def batch_at(step: int, micro_step: int):
        if ranks == 2:
            return part(step, micro_step, distributed.rank())
        pair = [part(step, micro_step, rank) for rank in range(2)]
        return tuple(torch.cat(both) for both in zip(*pair, strict=True))

    model = Tiny(seed=distributed.rank())  # rank 0's weights must reach everyone
    settings = config(optimizer=optimizer, parallel=parallel, steps=steps, eval_every=3)
    train(model, loss_fn, batch_at, settings, out=base / name, validate=validate, resume=resume)


def forked(ranks: int, port: int, *arguments, **keywords) -> None:
    children = []
    for rank in range(ranks):
        pid = os.fork()
        if pid == 0:
            code = 1
            try:
                if ranks > 1:
                    os.environ |= {
                        "RANK": str(rank), "LOCAL_RANK": str(rank), "WORLD_SIZE": str(ranks),
                        "MASTER_ADDR": "127.0.0.1", "MASTER_PORT": str(port),
                    }  # fmt: skip
                run(*arguments, ranks=ranks, **keywords)
                code = 0
            except BaseException:
                import traceback

                traceback.print_exc()
            finally:
                sys.stderr.flush()
                os._exit(code)
        children.append(pid)
    statuses = [os.waitpid(pid, 0)[1] for pid in children]
    assert statuses == [0] * ranks, (arguments, statuses)


def free_port() -> int:
    import socket

    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


report = {}
for optimizer in ("adamw", "muon"):
    forked(1, 0, f"one-{optimizer}", optimizer, "ddp")
    report[f"one-{optimizer}"] = losses(base / f"one-{optimizer}")
    for parallel in ("ddp", "fsdp"):
        name = f"{parallel}-{optimizer}"
        forked(2, free_port(), name, optimizer, parallel)
        report[name] = losses(base / name)
# A checkpoint of two ranks goes on with one, and the other way round.
forked(2, free_port(), "fsdp-adamw", "adamw", "fsdp", steps=8, resume=True)
forked(1, 0, "one-adamw", "adamw", "ddp", steps=8, resume=True)
report["longer-fsdp"], report["longer-one"] = losses(base / "fsdp-adamw"), losses(base / "one-adamw")
forked(1, 0, "fsdp-muon", "muon", "ddp", steps=8, resume=True)
forked(1, 0, "one-muon", "muon", "ddp", steps=8, resume=True)
report["longer-moved"], report["longer-one-muon"] = losses(base / "fsdp-muon"), losses(base / "one-muon")
print(json.dumps(report))
