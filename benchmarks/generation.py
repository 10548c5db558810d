"""Generation, measured side by side in one run: with and without our cache, and against `transformers`.

The same weights on both sides (ours exported to a Llama), greedy, 256 new tokens after a prompt of 16, at batch 1 and
batch 32. Medians of interleaved repeats; the tokens must be identical. Writes benchmarks/results/generation.json.
"""

import json
import statistics
import time
from datetime import date
from pathlib import Path
from typing import Any

import torch

from insideout.lab.machine import machine
from insideout.transformer.config import GPTConfig
from insideout.transformer.generate import generate
from insideout.transformer.hub import to_hf
from insideout.transformer.model import GPT

NEW, PROMPT, REPEATS = 256, 16, 3


def timed(function) -> tuple[float, list[list[int]]]:
    start = time.perf_counter()
    result = function()
    return time.perf_counter() - start, result


def main() -> None:
    results = {f"{kv_heads} key-value heads of 6": measure(kv_heads) for kv_heads in (6, 2)}
    record = {
        "what": "256 new tokens, greedy, float32",
        "model": "Llama, d_model 192, 4 layers, 2,048 tokens",
        "results": results,
        "machine": machine(),
        "threads": torch.get_num_threads(),
        "date": date.today().isoformat(),
    }
    path = Path(__file__).parent / "results" / "generation.json"
    path.parent.mkdir(exist_ok=True)
    path.write_text(json.dumps(record, indent=2) + "\n")
    print(json.dumps(record, indent=2))


def measure(kv_heads: int) -> dict[str, Any]:
    """All candidates, in turns, for a model with so many key and value heads."""
    torch.manual_seed(0)
    config = GPTConfig.llama(
        vocab_size=2048, context_length=512, d_model=192, n_layers=4, n_heads=6, n_kv_heads=kv_heads, d_ff=512
    )
    model = GPT(config).eval()
    theirs = to_hf(model)
    rows: dict[str, Any] = {}
    for batch in (1, 32):
        ids = torch.randint(config.vocab_size, (batch, PROMPT))
        candidates = {
            "cached": lambda ids=ids: generate(model, ids, NEW, temperature=0.0),
            "uncached": lambda ids=ids: generate(model, ids, NEW, temperature=0.0, use_cache=False),
            "transformers": lambda ids=ids: theirs.generate(
                ids, attention_mask=torch.ones_like(ids), max_new_tokens=NEW, do_sample=False
            ).tolist(),
        }
        seconds: dict[str, list[float]] = {name: [] for name in candidates}
        texts = {}
        for _ in range(REPEATS):
            for name, function in candidates.items():
                if name == "uncached" and batch > 1 and seconds[name]:
                    continue  # slow, and its ratio is asked at batch 1
                spent, texts[name] = timed(function)
                seconds[name].append(spent)
        medians = {name: statistics.median(values) for name, values in seconds.items()}
        rows[f"batch {batch}"] = {
            "seconds": medians,
            "cached over uncached": medians["uncached"] / medians["cached"],
            "ours over transformers": medians["transformers"] / medians["cached"],
            "identical tokens": texts["cached"] == texts["uncached"] == texts["transformers"],
        }
    return rows


if __name__ == "__main__":
    main()
