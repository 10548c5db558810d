"""Tokens per second and model-FLOPs utilisation of the 124M model on a GPU, in bfloat16 with torch.compile.

Three ways in one run: the model as it is, with the readable attention in place of the fused one, and cut by FSDP2 on
one device. Utilisation = FLOPs the model needs per token · tokens/s / peak. A token costs 6 N for the matrices (N
without the position table and counting the tied head once) and 12 L C T for attention (Chowdhery et al. 2022,
appendix B). Usage: python benchmarks/gpu_throughput.py --peak-tflops 989. Without a GPU it measures nothing and says
so; --rehearse runs a tiny model through the same lines on the CPU and records nothing.
"""

import argparse
import json
import sys
import time
from datetime import date
from pathlib import Path
from typing import Any

import torch
import torch.distributed as dist
from torch import Tensor, nn

from insideout.training import distributed
from insideout.transformer.config import GPTConfig
from insideout.transformer.loss import next_token_loss
from insideout.transformer.model import GPT

WAYS = ("fused attention", "readable attention", "FSDP2 on one device")


class Readable(nn.Module):
    """A GPT whose attention is computed as the formula says it, T × T pattern and all."""

    def __init__(self, model: GPT) -> None:
        super().__init__()
        self.model = model

    def forward(self, ids: Tensor) -> Tensor:
        logits: Tensor = self.model(ids, explain=True)
        return logits


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--peak-tflops", type=float, default=989.0, help="dense bf16 peak of the card (H100/H200: 989)")
    parser.add_argument("--batch-size", type=int, default=32)
    parser.add_argument("--steps", type=int, default=30)
    parser.add_argument("--rehearse", action="store_true", help="a tiny model on the CPU, nothing recorded")
    arguments = parser.parse_args()
    if not torch.cuda.is_available() and not arguments.rehearse:
        sys.exit("No GPU here: nothing was measured.")
    torch.set_float32_matmul_precision("high")
    rows = {way: measure(way, arguments) for way in WAYS}
    record = {
        "model": "GPT-2 small shape, 50,304 tokens", "ways": rows, "peak_tflops": arguments.peak_tflops,
        "torch": torch.__version__, "date": date.today().isoformat(),
    }  # fmt: skip
    if not arguments.rehearse:
        record["device"] = torch.cuda.get_device_name()
        path = Path(__file__).parent / "results" / "gpu_throughput.json"
        path.parent.mkdir(exist_ok=True)
        path.write_text(json.dumps(record, indent=2) + "\n")
    print(json.dumps(record, indent=2))


def measure(way: str, arguments: argparse.Namespace) -> dict[str, Any]:
    """Train for some steps in one of the ways, and time all but the first ten."""
    device = torch.device("cpu" if arguments.rehearse else "cuda")
    tiny = {"vocab_size": 256, "context_length": 32, "d_model": 32, "n_layers": 2, "n_heads": 2}
    config = GPTConfig.gpt2(**(tiny if arguments.rehearse else {"vocab_size": 50304}))  # a multiple of 64 is faster
    torch.manual_seed(0)
    model = GPT(config).to(device)
    n_parameters, length = model.n_parameters, config.context_length
    runner: Any = Readable(model) if way.startswith("readable") else model
    if way.startswith("FSDP2"):
        backend = "gloo" if arguments.rehearse else "nccl"
        dist.init_process_group(backend, store=dist.HashStore(), rank=0, world_size=1)  # type: ignore[attr-defined]
        distributed.shard(model, device)
    if not arguments.rehearse:
        torch.cuda.reset_peak_memory_stats()
        runner = torch.compile(runner)
    optimizer = torch.optim.AdamW(model.parameters(), lr=3e-4, fused=True)
    ids = torch.randint(config.vocab_size, (arguments.batch_size, length + 1), device=device)
    batch = (ids[:, :-1].contiguous(), ids[:, 1:].contiguous())

    def steps(n: int) -> float:
        start = time.perf_counter()
        for _ in range(n):
            with torch.autocast(device.type, torch.bfloat16):
                total, count = next_token_loss(runner, batch)
            (total / count).backward()
            optimizer.step()
            optimizer.zero_grad(set_to_none=True)
        if not arguments.rehearse:
            torch.cuda.synchronize()
        return time.perf_counter() - start

    steps(10)
    tokens_per_second = arguments.steps * arguments.batch_size * length / steps(arguments.steps)
    n_matrix = n_parameters - length * config.d_model
    flops_per_token = 6 * n_matrix + 12 * config.n_layers * config.d_model * length
    if dist.is_initialized():
        dist.destroy_process_group()
    return {
        "parameters": n_parameters,
        "tokens_per_second": tokens_per_second,
        "utilisation": flops_per_token * tokens_per_second / (arguments.peak_tflops * 1e12),
        "peak_memory_GiB": None if arguments.rehearse else torch.cuda.max_memory_allocated() / 2**30,
    }


if __name__ == "__main__":
    main()
