"""Generation, measured side by side in one run: with and without our cache, and against `transformers`.

A Llama of the laptop recipe's shape, trained on python-docs, continues held-out text: greedy, 256 new tokens after
prompts of 16, eight of them one at a time (batch 1) and 32 together (batch 32). The same weights on both sides, in
float32. Medians of interleaved repeats; the tokens must be identical. For a single text `generate` drafts from the text
itself; the same with one token a call stands beside it, and so does `transformers` with its own prompt lookup. At batch
32 it also says how long a step's attention and matrix products take by themselves, on warm memory.
Writes benchmarks/results/generation.json.
"""

import json
import statistics
import time
from datetime import date
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch.nn import functional as F

from insideout.lab.machine import machine
from insideout.lab.small import small_text, train_small
from insideout.training.config import TrainConfig
from insideout.transformer.cache import KVCache
from insideout.transformer.config import GPTConfig
from insideout.transformer.decode import Decoder
from insideout.transformer.generate import generate
from insideout.transformer.hub import to_hf
from insideout.transformer.lookup import MOST, Row
from insideout.transformer.model import GPT

NEW, PROMPT, REPEATS, ALONE = 256, 16, 5, 8
TRAINING = TrainConfig(
    steps=400, batch_size=8, optimizer="muon", lr=3e-3, min_lr=3e-4, warmup_steps=20, checkpoint_every=0, eval_every=400
)


def timed(write, prompts) -> tuple[float, list[list[int]]]:
    """How long all the prompts take, one call after another, and the texts."""
    start = time.perf_counter()
    texts = [text for ids in prompts for text in write(ids)]
    return time.perf_counter() - start, texts


def main() -> None:
    results = {f"{kv_heads} key-value heads of 6": measure(kv_heads) for kv_heads in (6, 2)}
    record = {
        "what": "256 new tokens, greedy, float32; a trained model, held-out prompts of 16 tokens",
        "model": "Llama, d_model 192, 4 layers, 2,048 tokens",
        "must reach": "5 times as fast with the cache as without, 3 times as fast as transformers at batch 1 and 32",
        "results": results,
        "machine": machine(),
        "threads": torch.get_num_threads(),
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


def tokens_per_call(text: list[int]) -> float:
    """How many tokens a call gave while this text was written with lookup; drafts and checks are replayed."""
    row, calls = Row(text[: PROMPT + 1], len(text), ()), 1
    while not row.done:
        known = len(row.ids)
        row.check(row.draft(MOST), text[known : known + MOST + 1], MOST)
        calls += 1
    return (len(text) - PROMPT) / calls


def median_ms(function) -> float:
    times = []
    for _ in range(50):
        start = time.perf_counter()
        function()
        times.append(1e3 * (time.perf_counter() - start))
    return statistics.median(times)


@torch.inference_mode()
def alone(model: GPT, batch: int) -> dict[str, float]:
    """Milliseconds that attention and the matrix products of one step take, at the text's mean length."""
    config, length = model.config, PROMPT + NEW // 2
    decoder = Decoder(model, KVCache(config, batch, PROMPT + NEW))
    q = torch.randn(batch, config.kv_heads, config.n_heads // config.kv_heads, config.head_width)
    matrices = [m for layer in decoder.layers for m in (layer.query_key_value, layer.output, layer.up, layer.down)]
    inputs = {n: torch.randn(batch, n) for n in {m.shape[0] for m in matrices}}

    def attend() -> None:
        for slots in decoder.slots:
            F.scaled_dot_product_attention(q, *slots[:, :, :length].chunk(2, dim=1))

    def multiply() -> None:
        for matrix in [*matrices, decoder.head]:
            torch.mm(inputs[matrix.shape[0]], matrix)

    return {"attention": median_ms(attend), "matrix products": median_ms(multiply)}


def measure(kv_heads: int) -> dict[str, Any]:
    """All candidates, in turns, for a model with so many key and value heads."""
    model, loss = trained(kv_heads)
    theirs = to_hf(model)
    held_out = torch.from_numpy(small_text(2048, NEW + PROMPT)[0].validation.ids.astype(np.int64))
    rows: dict[str, Any] = {"held-out loss, nats a token": loss}
    for batch, n_texts in ((1, ALONE), (32, 32)):
        starts = torch.arange(n_texts) * ((len(held_out) - PROMPT) // n_texts)
        prompts = held_out[starts[:, None] + torch.arange(PROMPT)].split(batch)  # (B, PROMPT) each

        def beside(ids: torch.Tensor, **options: int) -> list[list[int]]:
            mask = torch.ones_like(ids)
            return theirs.generate(ids, attention_mask=mask, max_new_tokens=NEW, do_sample=False, **options).tolist()

        candidates = {
            "ours": lambda ids: generate(model, ids, NEW, temperature=0.0),
            "ours, one token a call": lambda ids: generate(model, ids, NEW, temperature=0.0, lookup=0),
            "ours, no cache": lambda ids: generate(model, ids, NEW, temperature=0.0, use_cache=False),
            "transformers": beside,
            "transformers, prompt lookup": lambda ids, beside=beside: beside(ids, prompt_lookup_num_tokens=MOST),
        }
        if batch > 1:  # they look up for a single text only, and we, unless told otherwise, for a few
            del candidates["transformers, prompt lookup"], candidates["ours, one token a call"]
        seconds: dict[str, list[float]] = {name: [] for name in candidates}
        texts = {}
        for _ in range(REPEATS):
            for name, function in candidates.items():
                if name == "ours, no cache" and batch > 1 and seconds[name]:
                    continue  # slow, and its ratio is asked at batch 1
                spent, texts[name] = timed(function, prompts)
                seconds[name].append(spent)
        medians = {name: statistics.median(values) for name, values in seconds.items()}
        plain = medians.get("ours, one token a call", medians["ours"])
        rows[f"batch {batch}"] = {
            "seconds": medians,
            "ours over transformers": medians["transformers"] / medians["ours"],
            "one token a call: ours over transformers": medians["transformers"] / plain,
            "one token a call: cached over uncached": medians["ours, no cache"] / plain,
            "identical tokens": all(text == texts["ours"] for text in texts.values()),
            "texts": n_texts,
        }
        if batch > 1:
            rows[f"batch {batch}"]["milliseconds a step"] = {
                "ours": 1e3 * medians["ours"] / NEW,
                **{f"of these {name} alone": ms for name, ms in alone(model, batch).items()},
                "a third of transformers'": 1e3 * medians["transformers"] / NEW / 3,
            }
        if batch == 1:
            given = [tokens_per_call(text) for text in texts["ours"]]
            rows["batch 1"]["tokens a call of ours"] = statistics.harmonic_mean(given)
            rows["batch 1"]["lookup: ours over transformers"] = medians["transformers, prompt lookup"] / medians["ours"]
    return rows


if __name__ == "__main__":
    main()
