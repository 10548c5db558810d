"""Writing with a real model of 135 million parameters, ours beside `transformers`, in one run.

SmolLM2-135M-Instruct, the same weights on both sides, answers questions greedily: 64 new tokens after a prompt of 32,
one text at a time (batch 1) and eight together. Medians of interleaved repeats; in float32 the tokens must be the same.
With bfloat16 weights too, at batch 8 only where the processor has instructions for them. Our logits are also held
against a model that `transformers` read from the same GGUF file by itself.
Writes benchmarks/results/smollm2.json.
"""

import json
import statistics
import time
from collections.abc import Callable
from datetime import date
from pathlib import Path
from typing import Any

import torch
import transformers

from insideout.machine import machine
from insideout.transformer.exchange.hub import load, to_hf
from insideout.transformer.exchange.smollm2 import find_or_fetch
from insideout.transformer.generation.generate import generate
from insideout.transformer.model import GPT

NEW, PROMPT, REPEATS = 64, 32, 5
TEXT = (
    "Rivers carry water from the hills to the sea. On their way they pass through fields and towns, and people have "
    "always lived near them, since they give water to drink, fish to eat and a way to travel. In the year 1984 a map "
    "was drawn of every river in the country, however small, and it took eleven people three years to finish it. Some "
    "of the rivers have no name. Others have several, one for each village that they pass, and nobody knows which is "
    "right. When it rains for many days the water rises, and the fields beside it become lakes for a week or two. "
    "Then the birds come, first the gulls and later the herons, and stay until the ground is dry again. "
)


def main() -> None:
    transformers.logging.set_verbosity_error()
    transformers.logging.disable_progress_bar()
    place = find_or_fetch()
    model, tokenizer = load(place, dtype=torch.float32)
    ids = torch.tensor(tokenizer.encode(TEXT))
    prompts = torch.stack([ids[start : start + PROMPT] for start in range(0, 8 * 12, 12)])  # (8, 32)
    record: dict[str, Any] = {
        "what": f"tokens per second, greedy: {NEW} new tokens after prompts of {PROMPT}; medians of {REPEATS} repeats",
        "model": f"SmolLM2-135M-Instruct, {model.n_parameters:,} parameters, from {place.name}",
        "results": {},
    }
    if place.suffix == ".gguf":
        theirs = transformers.AutoModelForCausalLM.from_pretrained(
            place.parent, gguf_file=place.name, dtype=torch.float32
        )
        with torch.no_grad():
            ours, other = model(prompts), theirs(prompts).logits
        record["largest logit, and largest difference to transformers' own reading of the file"] = [
            other.abs().max().item(), (ours - other).abs().max().item(),
        ]  # fmt: skip
        del theirs
    record["results"]["float32"] = {f"batch {batch}": measure(model, prompts[:batch]) for batch in (1, 8)}
    low = model.bfloat16()
    fast = torch.backends.cpu.get_cpu_capability() == "AVX512" and torch.ops.mkldnn._is_mkldnn_bf16_supported()
    record["bfloat16 instructions"] = fast
    record["results"]["bfloat16"] = {
        f"batch {batch}": measure(low, prompts[:batch]) for batch in ((1, 8) if fast else (1,))
    }
    record |= {"machine": machine(), "threads": torch.get_num_threads(), "date": date.today().isoformat()}
    path = Path(__file__).parent / "results" / "smollm2.json"
    path.write_text(json.dumps(record, indent=2) + "\n")
    print(json.dumps(record, indent=2))


def measure(model: GPT, prompts: torch.Tensor) -> dict[str, Any]:
    """Tokens per second on either side, in turns, for one batch."""
    theirs, mask = to_hf(model), torch.ones_like(prompts)
    settings: dict[str, Any] = dict(max_new_tokens=NEW, do_sample=False, pad_token_id=0)
    candidates: dict[str, Callable[[], list[list[int]]]] = {
        "ours": lambda: generate(model, prompts, NEW, temperature=0.0),
        "transformers": lambda: theirs.generate(prompts, attention_mask=mask, **settings).tolist(),
    }
    seconds: dict[str, list[float]] = {name: [] for name in candidates}
    texts = {}
    for _ in range(REPEATS):
        for name, write in candidates.items():
            start = time.perf_counter()
            texts[name] = write()
            seconds[name].append(time.perf_counter() - start)
    rates = {name: NEW * len(prompts) / statistics.median(spent) for name, spent in seconds.items()}
    ratios = [theirs / ours for ours, theirs in zip(seconds["ours"], seconds["transformers"], strict=True)]
    return {
        "tokens per second": rates,
        "ours over transformers, each repeat": [round(ratio, 2) for ratio in sorted(ratios)],
        "same text": texts["ours"] == texts["transformers"],
    }


if __name__ == "__main__":
    main()
