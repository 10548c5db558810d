"""Rollouts: answers a second with their log-probabilities, beside `transformers` in the same run.

A Llama of the laptop recipe's shape, trained for a little while on python-docs, answers held-out prompts: 128 answers
of 24 new tokens at temperature 1, 8 to each of 16 prompts of 32 tokens, as group methods ask for them, and one to each
of 128 prompts. `transformers` draws as many with `generate(output_scores=True)` and `compute_transition_scores`. The
same weights on both sides, in float32; ratios are of interleaved repeats. Log-probabilities are compared with a plain
forward pass over the finished texts. Our `generate`, which gives none, and the recipe's own model stand beside it.
Writes benchmarks/results/rollout.json.
"""

import argparse
import dataclasses
import json
import statistics
import time
from collections.abc import Callable
from datetime import date
from pathlib import Path
from typing import Any

import numpy as np
import torch
from generation import TRAINING
from torch import Tensor, nn

from insideout.lab.small import small_text, train_small
from insideout.machine import machine
from insideout.recipes.pretrain import SETTINGS
from insideout.transformer.config import GPTConfig
from insideout.transformer.exchange.hub import to_hf
from insideout.transformer.generation.generate import generate
from insideout.transformer.generation.rollout import rollout
from insideout.transformer.model import GPT

ANSWERS, NEW, PROMPT = 128, 24, 32
MODELS = {
    "Llama": GPTConfig.llama(
        vocab_size=2048, context_length=256, d_model=192, n_layers=4, n_heads=6, n_kv_heads=6, d_ff=512
    ),
    "the recipe's": SETTINGS["laptop"].model,
}


def plain_logprobs(logits: Tensor, ids: Tensor) -> Tensor:
    """Of the last NEW tokens of each text, from a forward pass over it."""
    found = logits[:, :-1].log_softmax(-1).gather(-1, ids[:, 1:, None]).squeeze(-1)
    return found[:, -NEW:]


def candidates(model: GPT, theirs: nn.Module | None, prompts: Tensor, n: int) -> dict[str, Callable[[int], Any]]:
    """What is timed: each takes a seed."""

    def ours(seed: int) -> tuple[Tensor, Tensor]:
        wrote = rollout(model, prompts, n, NEW, seed=seed)
        return wrote.ids, wrote.logprobs[:, PROMPT:]

    found: dict[str, Callable[[int], Any]] = {
        "rollout": ours,
        "generate, without log-probabilities": lambda seed: generate(
            model, prompts.repeat_interleave(n, dim=0), NEW, seed=seed
        ),
    }

    def beside(seed: int) -> tuple[Tensor, Tensor]:
        torch.manual_seed(seed)
        wrote = theirs.generate(  # type: ignore[union-attr, operator]
            prompts, attention_mask=torch.ones_like(prompts), do_sample=True, top_k=0, temperature=1.0,
            num_return_sequences=n, min_new_tokens=NEW, max_new_tokens=NEW, eos_token_id=None, pad_token_id=0,
            output_scores=True, return_dict_in_generate=True,
        )  # fmt: skip
        logprobs = theirs.compute_transition_scores(  # type: ignore[union-attr, operator]
            wrote.sequences, wrote.scores, normalize_logits=True
        )
        return wrote.sequences, logprobs

    if theirs is not None:
        found["transformers, with scores"] = beside
    return found


def measure(name: str, steps: int, repeats: int) -> dict[str, Any]:
    """Both shapes of a batch, for one model."""
    config = MODELS[name]
    model, result = train_small(config, 0, dataclasses.replace(TRAINING, steps=steps, eval_every=steps))
    assert isinstance(model, GPT)
    theirs = to_hf(model).eval() if name == "Llama" else None
    held_out = torch.from_numpy(small_text(2048, 256)[0].validation.ids.astype(np.int64))
    rows: dict[str, Any] = {"held-out loss, nats a token": result["loss"]}
    for n in (8, 1):
        starts = torch.arange(ANSWERS // n) * ((len(held_out) - PROMPT) // (ANSWERS // n))
        prompts = held_out[starts[:, None] + torch.arange(PROMPT)]  # (prompts, PROMPT)
        writers = candidates(model, theirs, prompts, n)
        seconds: dict[str, list[float]] = {each: [] for each in writers}
        for repeat in range(repeats + 1):
            for each, write in writers.items():
                start = time.perf_counter()
                write(repeat)
                if repeat:  # the first pays for the later ones
                    seconds[each].append(time.perf_counter() - start)
        off = {}
        for each, other in (("rollout", model), ("transformers, with scores", theirs)):
            if other is not None:
                ids, logprobs = writers[each](0)
                with torch.no_grad():
                    logits = model(ids) if other is model else other(ids).logits
                off[each] = float((plain_logprobs(logits, ids) - logprobs).abs().max())
        row: dict[str, Any] = {
            "answers a second": {
                each: {"median": ANSWERS / statistics.median(t), "of each repeat": sorted(ANSWERS / x for x in t)}
                for each, t in seconds.items()
            },
            "log-probabilities off a plain pass by": off,
        }
        if theirs is not None:
            pairs = zip(seconds["rollout"], seconds["transformers, with scores"], strict=True)
            ratios = sorted(b / a for a, b in pairs)
            row["rollout over transformers"] = {"median": statistics.median(ratios), "of each repeat": ratios}
        rows[f"{n} answers to each of {ANSWERS // n} prompts"] = row
    return rows


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--steps", type=int, default=100, help="training steps before: what is timed hardly depends on")
    parser.add_argument("--repeats", type=int, default=9)
    parser.add_argument("--threads", type=int, default=torch.get_num_threads())
    arguments = parser.parse_args()
    torch.set_num_threads(arguments.threads)
    results = {name: measure(name, arguments.steps, arguments.repeats) for name in MODELS}
    rate = results["Llama"]["8 answers to each of 16 prompts"]["answers a second"]["rollout"]["median"]
    record = {
        "what": f"{ANSWERS} answers of {NEW} new tokens at once, temperature 1, float32; prompts of {PROMPT} tokens",
        "must reach": "600 answers a second on two cores, log-probabilities within 1e-5 of a plain forward pass",
        "answers a second": rate,
        "reached": rate >= 600,
        "results": results,
        "machine": machine(),
        "threads": arguments.threads,
        "date": date.today().isoformat(),
    }
    path = Path(__file__).parent / "results" / "rollout.json"
    path.parent.mkdir(exist_ok=True)
    path.write_text(json.dumps(record, indent=2) + "\n")
    print(json.dumps(record, indent=2))


if __name__ == "__main__":
    main()
