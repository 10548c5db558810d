"""Generation, measured side by side in one run: with and without our cache, and against `transformers`.

A Llama of the laptop recipe's shape, trained on python-docs, continues held-out text: greedy, 256 new tokens after
prompts of 16, eight of them one at a time (batch 1), eight together and 32 together. The same weights on both sides, in
float32. Medians of interleaved repeats; the tokens must be identical. For single texts prompt lookup, ours and theirs,
stands beside: how much it gives depends on the text, and a small model's greedy text repeats itself.
Writes benchmarks/results/generation.json.
"""

import argparse
import json
import statistics
import time
from datetime import date
from pathlib import Path
from typing import Any

import numpy as np
import torch

from insideout.lab.small import small_text, train_small
from insideout.machine import machine
from insideout.training.config import TrainConfig
from insideout.transformer.config import GPTConfig
from insideout.transformer.exchange.hub import to_hf
from insideout.transformer.generation.generate import generate
from insideout.transformer.generation.lookup import generate_by_lookup
from insideout.transformer.model import GPT

NEW, PROMPT, DRAFTS = 256, 16, 8
TRAINING = TrainConfig(
    steps=400, batch_size=8, optimizer="muon", lr=3e-3, min_lr=3e-4, warmup_steps=20, checkpoint_every=0, eval_every=400
)


def timed(write, prompts) -> tuple[float, list[list[int]]]:
    """How long all the prompts take, one call after another, and the texts."""
    start = time.perf_counter()
    texts = [text for ids in prompts for text in write(ids)]
    return time.perf_counter() - start, texts


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--repeats", type=int, default=7)
    parser.add_argument("--threads", type=int, default=torch.get_num_threads())
    arguments = parser.parse_args()
    torch.set_num_threads(arguments.threads)
    results = {f"{kv_heads} key-value heads of 6": measure(kv_heads, arguments.repeats) for kv_heads in (6, 2)}
    record = {
        "what": "256 new tokens, greedy, float32; a trained model, held-out prompts of 16 tokens",
        "model": "Llama, d_model 192, 4 layers, 2,048 tokens",
        "must reach": "5 times as fast with the cache as without, 3 times as fast as transformers at batch 1",
        "results": results,
        "machine": machine(),
        "threads": arguments.threads,
        "date": date.today().isoformat(),
    }
    path = Path(__file__).parent / "results" / "generation.json"
    path.parent.mkdir(exist_ok=True)
    path.write_text(json.dumps(record, indent=2) + "\n")
    print(json.dumps(record, indent=2))


def trained(kv_heads: int) -> tuple[GPT, float]:
    """The model, and its held-out loss in nats a token."""
    config = GPTConfig.llama(
        vocab_size=2048, context_length=NEW + PROMPT, d_model=192, n_layers=4, n_heads=6, n_kv_heads=kv_heads, d_ff=512
    )
    model, result = train_small(config, 0, TRAINING)
    assert isinstance(model, GPT)
    return model, result["loss"]


def measure(kv_heads: int, repeats: int) -> dict[str, Any]:
    """All candidates, in turns, for a model with so many key and value heads."""
    model, loss = trained(kv_heads)
    theirs = to_hf(model)
    held_out = torch.from_numpy(small_text(2048, NEW + PROMPT)[0].validation.ids.astype(np.int64))
    rows: dict[str, Any] = {"held-out loss, nats a token": loss}
    for batch, n_texts in ((1, 8), (8, 8), (32, 32)):
        stretch = (len(held_out) - PROMPT) // n_texts
        starts = torch.arange(n_texts) * stretch + stretch // 2
        prompts = held_out[starts[:, None] + torch.arange(PROMPT)].split(batch)  # (B, PROMPT) each

        def beside(ids: torch.Tensor, **options: int) -> list[list[int]]:
            mask = torch.ones_like(ids)
            return theirs.generate(ids, attention_mask=mask, max_new_tokens=NEW, do_sample=False, **options).tolist()

        candidates: dict[str, Any] = {
            "ours": lambda ids: generate(model, ids, NEW, temperature=0.0),
            "ours, prompt lookup": lambda ids: generate_by_lookup(model, ids, NEW, n_draft=DRAFTS).ids,
            "ours, no cache": lambda ids: generate(model, ids, NEW, temperature=0.0, use_cache=False),
            "transformers": beside,
            "transformers, prompt lookup": lambda ids, beside=beside: beside(ids, prompt_lookup_num_tokens=DRAFTS),
        }
        if batch > 1:
            del candidates["ours, prompt lookup"], candidates["transformers, prompt lookup"]
        seconds: dict[str, list[float]] = {name: [] for name in candidates}
        texts = {}
        for _ in range(repeats):
            for name, function in candidates.items():
                if name == "ours, no cache" and batch > 1 and seconds[name]:
                    continue  # slow, and its ratio is asked at batch 1
                spent, texts[name] = timed(function, prompts)
                seconds[name].append(spent)
        medians = {name: statistics.median(values) for name, values in seconds.items()}
        ratios = [b / a for a, b in zip(seconds["ours"], seconds["transformers"], strict=True)]
        rows[f"batch {batch}"] = {
            "seconds": medians,
            "ours over transformers": statistics.median(ratios),
            "of each repeat": sorted(ratios),
            "cached over uncached": medians["ours, no cache"] / medians["ours"],
            "identical tokens": all(text == texts["ours"] for text in texts.values()),
            "texts": n_texts,
        }
        if batch == 1:
            ours, theirs_too = medians["ours, prompt lookup"], medians["transformers, prompt lookup"]
            rows["batch 1"]["lookup: ours over ours without"] = medians["ours"] / ours
            rows["batch 1"]["lookup: ours over transformers"] = theirs_too / ours
    return rows


if __name__ == "__main__":
    main()
