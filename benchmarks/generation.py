"""Generation, measured side by side in one run: with and without our cache, and against `transformers`.

A Llama of the laptop recipe's shape, trained on python-docs, continues held-out text: greedy, 256 new tokens after
prompts of 16, eight of them one at a time (batch 1), eight together and 32 together. The same weights on both sides, in
float32. Medians of interleaved repeats; the tokens must be identical. `generate` drafts from the texts themselves; the
same with one token a call stands beside it, and so does `transformers` with its own prompt lookup, which is for single
texts. How much lookup gives depends on the text, and a small model's greedy text repeats itself. So we also
measure what it costs on text that people wrote, with the model's choices replaced by theirs.
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

from insideout.lab.small import small_text, train_small
from insideout.machine import machine
from insideout.training.config import TrainConfig
from insideout.transformer.config import GPTConfig
from insideout.transformer.exchange.hub import to_hf
from insideout.transformer.generation.cache import KVCache
from insideout.transformer.generation.decoder import Decoder
from insideout.transformer.generation.generate import generate
from insideout.transformer.generation.lookup import MOST, Row, continue_by_lookup
from insideout.transformer.model import GPT

NEW, PROMPT, REPEATS = 256, 16, 7
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


class Dictated(Row):
    """A row whose text is there already: whatever the model says, that text is taken for its choice."""

    def __init__(self, text: list[int]) -> None:
        super().__init__(text[: PROMPT + 1], len(text), ())
        self.text = text

    def check(self, guess, best, most):
        return super().check(guess, self.text[len(self.ids) :][: len(best)], most)


@torch.inference_mode()
def dictated(model: GPT, ids: torch.Tensor, most: int) -> tuple[float, int]:
    """Seconds and calls after the prompts, for texts that are there already; most = 0: one token a call."""
    cache = KVCache(model.config, len(ids), PROMPT + NEW)
    model(ids[:, :PROMPT], cache)
    decoder, written, rows = Decoder(model, cache), torch.zeros_like(ids), [Dictated(text) for text in ids.tolist()]
    start, calls = time.perf_counter(), NEW - 1
    if most:
        calls = continue_by_lookup(decoder, rows, most)
    else:
        for at in range(PROMPT, PROMPT + NEW - 1):
            written[:, at + 1] = decoder(ids[:, at]).argmax(-1)
    return time.perf_counter() - start, calls


def measure(kv_heads: int) -> dict[str, Any]:
    """All candidates, in turns, for a model with so many key and value heads."""
    model, loss = trained(kv_heads)
    theirs = to_hf(model)
    held_out = torch.from_numpy(small_text(2048, NEW + PROMPT)[0].validation.ids.astype(np.int64))
    rows: dict[str, Any] = {"held-out loss, nats a token": loss}
    for batch, n_texts in ((1, 8), (8, 8), (32, 32)):
        stretch = (len(held_out) - PROMPT) // n_texts
        starts = torch.arange(n_texts) * stretch + stretch // 2  # lookup's settings were chosen at the stretches' begin
        by_people = held_out[starts[:, None] + torch.arange(PROMPT + NEW)]  # (texts, PROMPT + NEW)
        prompts = by_people[:, :PROMPT].split(batch)  # (B, PROMPT) each

        def beside(ids: torch.Tensor, **options: int) -> list[list[int]]:
            mask = torch.ones_like(ids)
            return theirs.generate(ids, attention_mask=mask, max_new_tokens=NEW, do_sample=False, **options).tolist()

        candidates: dict[str, Any] = {
            "ours": lambda ids: generate(model, ids, NEW, temperature=0.0),
            "ours, one token a call": lambda ids: generate(model, ids, NEW, temperature=0.0, lookup=0),
            "ours, no cache": lambda ids: generate(model, ids, NEW, temperature=0.0, use_cache=False),
            "transformers": beside,
            "transformers, prompt lookup": lambda ids, beside=beside: beside(ids, prompt_lookup_num_tokens=MOST),
        }
        if batch > 1:
            del candidates["transformers, prompt lookup"]
        seconds: dict[str, list[float]] = {name: [] for name in candidates}
        texts = {}
        for _ in range(REPEATS):
            for name, function in candidates.items():
                if name == "ours, no cache" and batch > 1 and seconds[name]:
                    continue  # slow, and its ratio is asked at batch 1
                spent, texts[name] = timed(function, prompts)
                seconds[name].append(spent)
        medians = {name: statistics.median(values) for name, values in seconds.items()}
        plain = medians["ours, one token a call"]
        costs = []
        for _ in range(REPEATS):
            both = {most: sum(dictated(model, ids, most)[0] for ids in by_people.split(batch)) for most in (MOST, 0)}
            costs.append(both[MOST] / both[0])
        calls = [dictated(model, ids, MOST)[1] for ids in torch.tensor(texts["ours"]).split(batch)]
        rows[f"batch {batch}"] = {
            "seconds": medians,
            "ours over transformers": medians["transformers"] / medians["ours"],
            "one token a call: ours over transformers": medians["transformers"] / plain,
            "one token a call: cached over uncached": medians["ours, no cache"] / plain,
            "identical tokens": all(text == texts["ours"] for text in texts.values()),
            "texts": n_texts,
            f"calls of ours for {NEW - 1} tokens": statistics.mean(calls),
            "text that people wrote: time with lookup over without": statistics.median(costs),
        }
        if batch == 1:
            rows["batch 1"]["lookup: ours over transformers"] = medians["transformers, prompt lookup"] / medians["ours"]
    return rows


if __name__ == "__main__":
    main()
