"""The planner against measurement, and against published runs.

Memory: for each configuration the formula's peak beside what torch's CPU allocator counted while the library's own loop
trained it, on one device, and on two that know of each other through gloo; and the form for a GPU's kernels beside
autograd's own kernels on a CPU, since no GPU is asked. Operations and utilisation: against published runs, each by its
makers' own count of attention. It measures bytes, not seconds, so it may run beside other work. Writes
benchmarks/results/planner.json.
"""

import json
import os
import subprocess
import sys
from dataclasses import replace
from datetime import date
from pathlib import Path
from typing import Any
from unittest.mock import patch

from insideout.lab.allocations import training_peak
from insideout.machine import machine
from insideout.planner.counts import count
from insideout.planner.memory import Load, peak
from insideout.planner.published import PUBLISHED
from insideout.recipes.pretrain import pretrain_config
from insideout.transformer import kernels
from insideout.transformer.config import GPTConfig

MOST_ERROR = 0.10
LAPTOP = pretrain_config("laptop").model
SMALL = GPTConfig(vocab_size=1024, context_length=128, d_model=192, n_layers=4, n_heads=6)
LLAMA = GPTConfig.llama(
    vocab_size=4096,
    context_length=256,
    d_model=256,
    n_layers=6,
    n_heads=8,
    n_kv_heads=2,
    d_ff=704,
    tie_embeddings=False,
)
QWEN3 = GPTConfig.qwen3(
    vocab_size=4096, context_length=128, d_model=256, n_layers=6, n_heads=8, n_kv_heads=4, d_head=64, d_ff=768
)
ONE = {
    "laptop recipe, Muon": Load(LAPTOP, 8, optimizer="muon"),
    "laptop recipe, bfloat16": Load(LAPTOP, 8, precision="bfloat16"),
    "laptop recipe, activations recomputed": Load(LAPTOP, 8, checkpoint_activations=True),
    "laptop recipe, 4 batches of 2": Load(LAPTOP, 2, accumulation=4),
    "GPT-2 124M, 1 text of 256": Load(GPTConfig.gpt2(context_length=256), 1),
    "GPT-2 shape, deep": Load(
        GPTConfig.gpt2(vocab_size=512, context_length=128, d_model=192, n_layers=16, n_heads=6), 4
    ),
    "Llama shape, untied, grouped heads": Load(LLAMA, 4),
    "Llama shape, bfloat16": Load(LLAMA, 4, precision="bfloat16"),
    "Qwen3 shape": Load(QWEN3, 4),
    "ALiBi": Load(replace(SMALL, positions="alibi"), 4),
    "sliding window": Load(replace(SMALL, window=32), 4),
    "wide, short, Muon": Load(replace(SMALL, d_model=384, context_length=16), 1, optimizer="muon"),
}
GPU = {
    "GPT-2 shape, LayerNorm": ONE["GPT-2 shape, deep"],
    "LayerNorm and QK-norm, bfloat16": Load(replace(SMALL, norm="layernorm"), 4, precision="bfloat16"),
    "LayerNorm and QK-norm, float32": Load(replace(SMALL, norm="layernorm"), 4),
    "RMSNorm, not fused": ONE["Llama shape, untied, grouped heads"],
    "RMSNorm, not fused, bfloat16": ONE["Llama shape, bfloat16"],
    "RMSNorm and QK-norm, not fused": Load(SMALL, 4),
}
"""On a CPU, autograd has no fused RMSNorm; a GPU has."""
TWO = {
    f"two devices, {parallel}, {name}": replace(load, parallel=parallel, n_devices=2)
    for parallel in ("ddp", "fsdp", "tensor")
    for name, load in (("small", Load(SMALL, 4)), ("wide", Load(replace(SMALL, d_model=384, context_length=16), 1)))
}


def main() -> None:
    memory = [row(name, load, training_peak(load)) for name, load in ONE.items()]
    with patch.object(kernels, "by_hand", lambda *inputs: False):  # autograd's own kernels, as on a GPU
        as_gpu = [row(name, replace(load, kernels="gpu"), training_peak(load)) for name, load in GPU.items()]
    command = [sys.executable, "-m", "torch.distributed.run", "--nproc-per-node", "2", __file__]
    done = subprocess.run(command, capture_output=True, text=True, env=os.environ | {"OMP_NUM_THREADS": "1"})
    if done.returncode:
        sys.exit(done.stderr)
    [found] = [line for line in done.stdout.splitlines() if line.startswith("{")]
    memory += [row(name, TWO[name], measured) for name, measured in json.loads(found).items()]
    published: list[dict[str, Any]] = [
        {
            "run": each.name,
            "attention counted": each.counts,
            "parameters, ours over published": round(count(each.config).total / each.parameters, 4),
            "operations, ours over published": each.flops_ratio and round(each.flops_ratio, 4),
            "device hours": each.device_hours,
            "utilisation by the hours": each.utilisation_of_hours and round(each.utilisation_of_hours, 3),
            "utilisation by the speed": each.utilisation_of_speed and round(each.utilisation_of_speed, 3),
            "utilisation published": each.utilisation,
            "source": each.source,
            "the hours also hold": each.also_in_hours or None,
        }
        for each in PUBLISHED
    ]
    worst = max(abs(each["error"]) for each in memory)
    record = {
        "memory": memory,
        "worst error": worst,
        "error at most": MOST_ERROR,
        "reached": worst <= MOST_ERROR,
        "a GPU's kernels, against autograd's on a CPU": as_gpu,
        "published runs": published,
        "machine": machine(),
        "date": date.today().isoformat(),
    }
    path = Path(__file__).parent / "results" / "planner.json"
    path.parent.mkdir(exist_ok=True)
    path.write_text(json.dumps(record, indent=1, ensure_ascii=False) + "\n")
    for each in memory + as_gpu:
        print(f"{each['configuration']:40} {each['measured MB']:9.2f} MB {each['error']:+8.1%}  {each['at its peak']}")
    for each in published:
        print("  ".join(f"{name} {value}" for name, value in each.items() if name != "source" and value is not None))


def row(name: str, load: Load, measured: int) -> dict[str, Any]:
    """One line of the table."""
    moment, memory = peak(load)
    return {
        "configuration": name,
        "measured MB": round(measured / 1e6, 3),
        "predicted MB": round(memory.total / 1e6, 3),
        "error": round(memory.total / measured - 1, 4),
        "at its peak": moment,
    }


def as_one_of_two() -> None:
    """Measure what two processes share. gloo's threads free their buffers when they get to it, so the least of five."""
    from insideout.training import distributed

    distributed.start("cpu")
    found = {name: min(training_peak(load) for _ in range(5)) for name, load in TWO.items()}
    distributed.barrier()
    if distributed.is_main():
        print(json.dumps(found), flush=True)


if __name__ == "__main__":
    as_one_of_two() if "RANK" in os.environ else main()
