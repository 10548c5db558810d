"""Tokens per second and model-FLOPs utilisation of the 124M model on a GPU, in bfloat16 with torch.compile.

Utilisation = FLOPs the model needs per token · tokens/s / peak. A token costs 6 N for the matrices (N without the
position table and counting the tied head once) and 12 L C T for attention (Chowdhery et al. 2022, appendix B).
Usage: python benchmarks/gpu_throughput.py --peak-tflops 989. Without a GPU it says so and measures nothing.
"""

import argparse
import json
import sys
import time
from datetime import date
from pathlib import Path

import torch

from insideout.transformer.config import GPTConfig
from insideout.transformer.loss import next_token_loss
from insideout.transformer.model import GPT


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--peak-tflops", type=float, default=989.0, help="dense bf16 peak of the card (H100/H200: 989)")
    parser.add_argument("--batch-size", type=int, default=32)
    parser.add_argument("--steps", type=int, default=30)
    arguments = parser.parse_args()
    if not torch.cuda.is_available():
        sys.exit("No GPU here: nothing was measured.")
    torch.manual_seed(0)
    torch.set_float32_matmul_precision("high")
    config = GPTConfig.gpt2(vocab_size=50304)  # a multiple of 64 keeps the head's matrix product fast
    model = GPT(config).cuda()
    compiled = torch.compile(model)
    optimizer = torch.optim.AdamW(model.parameters(), lr=3e-4, fused=True)
    length = config.context_length
    ids = torch.randint(config.vocab_size, (arguments.batch_size, length + 1), device="cuda")
    batch = (ids[:, :-1].contiguous(), ids[:, 1:].contiguous())

    def step() -> None:
        with torch.autocast("cuda", torch.bfloat16):
            total, count = next_token_loss(compiled, batch)
        (total / count).backward()
        optimizer.step()
        optimizer.zero_grad(set_to_none=True)

    for _ in range(10):
        step()
    torch.cuda.synchronize()
    start = time.perf_counter()
    for _ in range(arguments.steps):
        step()
    torch.cuda.synchronize()
    seconds = time.perf_counter() - start
    tokens_per_second = arguments.steps * arguments.batch_size * length / seconds
    n_matrix = model.n_parameters - config.context_length * config.d_model
    flops_per_token = 6 * n_matrix + 12 * config.n_layers * config.d_model * length
    record = {
        "model": "GPT-2 small shape, 50,304 tokens", "parameters": model.n_parameters,
        "tokens_per_second": tokens_per_second,
        "utilisation": flops_per_token * tokens_per_second / (arguments.peak_tflops * 1e12),
        "peak_tflops": arguments.peak_tflops, "peak_memory_GiB": torch.cuda.max_memory_allocated() / 2**30,
        "device": torch.cuda.get_device_name(), "torch": torch.__version__, "date": date.today().isoformat(),
    }  # fmt: skip
    path = Path(__file__).parent / "results" / "gpu_throughput.json"
    path.parent.mkdir(exist_ok=True)
    path.write_text(json.dumps(record, indent=2) + "\n")
    print(json.dumps(record, indent=2))


if __name__ == "__main__":
    main()
