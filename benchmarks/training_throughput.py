"""Training throughput and peak memory beside `transformers`, on the CPU, in one run.

A GPT-2 and a Llama of the laptop recipe's shape, batch and precision; the same weights on both sides (ours exported
with `to_hf`), the same batches and the same optimizer. What differs is the model and how its loss is computed. Steps
are timed in turns: forward, backward and update. The ratio is that of the medians, its interval a bootstrap over the
turns. Memory is what torch's allocator counted at once while a model was built and trained for two steps; it does not
depend on the clock. Writes benchmarks/results/training_throughput.json.
"""

import argparse
import copy
import json
import statistics
import time
from collections.abc import Callable
from datetime import date
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from insideout.lab.allocations import peak_bytes
from insideout.lab.machine import machine
from insideout.lab.scales import PRETRAIN
from insideout.transformer.config import GPTConfig
from insideout.transformer.hub import to_hf
from insideout.transformer.loss import next_token_loss
from insideout.transformer.model import GPT

RECIPE = PRETRAIN["laptop"]
SHAPE = {
    name: getattr(RECIPE.model, name) for name in ("vocab_size", "context_length", "d_model", "n_layers", "n_heads")
}
FAMILIES = {"GPT-2": GPTConfig.gpt2(**SHAPE, dropout=0.0), "Llama": GPTConfig.llama(**SHAPE, n_kv_heads=6, d_ff=512)}
Batch = tuple[Tensor, Tensor]
Loss = Callable[[nn.Module, Batch], Tensor]


def our_loss(model: nn.Module, batch: Batch) -> Tensor:
    total, count = next_token_loss(model, batch)
    return total / count


def their_loss(model: nn.Module, batch: Batch) -> Tensor:
    """As `transformers` computes it, from the same targets."""
    ids, targets = batch
    loss: Tensor = model(input_ids=ids, labels=targets, shift_labels=targets, use_cache=False).loss
    return loss


class Trainer:
    """A model, its optimizer, and one step of training."""

    def __init__(self, model: nn.Module, loss: Loss) -> None:
        self.model, self.loss = model.train(), loss
        self.optimizer = torch.optim.AdamW(model.parameters(), lr=RECIPE.train.lr, fused=True)

    def step(self, batch: Batch) -> float:
        loss = self.loss(self.model, batch)
        loss.backward()  # type: ignore[no-untyped-call]
        nn.utils.clip_grad_norm_(self.model.parameters(), RECIPE.train.clip)
        self.optimizer.step()
        self.optimizer.zero_grad(set_to_none=True)
        return float(loss.detach())


def measure(config: GPTConfig, turns: int, steps: int) -> dict[str, Any]:
    """Both sides of one family."""
    torch.manual_seed(0)
    model = GPT(config)
    other = to_hf(model)
    for module in other.modules():
        if isinstance(module, nn.Dropout):
            module.p = 0.0
    rows = RECIPE.train.batch_size

    def batch() -> Batch:
        ids = torch.randint(config.vocab_size, (rows, config.context_length + 1))
        return ids[:, :-1].contiguous(), ids[:, 1:].contiguous()

    memory = {}
    for name, whole, loss in (("ours", model, our_loss), ("transformers", other, their_loss)):

        def two_steps(whole: nn.Module = whole, loss: Loss = loss) -> None:
            trainer = Trainer(copy.deepcopy(whole), loss)
            trainer.step(batch()), trainer.step(batch())

        memory[name] = peak_bytes(two_steps)
    sides = {"ours": Trainer(model, our_loss), "transformers": Trainer(other, their_loss)}
    seconds: dict[str, list[float]] = {name: [] for name in sides}
    gap = 0.0
    for turn in range(turns + 1):
        batches = [batch() for _ in range(steps)]
        losses = {}
        for name, trainer in sides.items():
            start = time.perf_counter()
            losses[name] = [trainer.step(each) for each in batches]
            spent = (time.perf_counter() - start) / steps
            if turn:  # the first turn warms up
                seconds[name].append(spent)
        gap = max(gap, *(abs(a - b) for a, b in zip(*losses.values(), strict=True)))
    tokens = rows * config.context_length
    drawn = torch.randint(turns, (2000, turns), generator=torch.Generator().manual_seed(0))
    ours, theirs = (torch.tensor(seconds[name]) for name in ("ours", "transformers"))
    ratios = theirs[drawn].median(dim=1).values / ours[drawn].median(dim=1).values
    ratio = statistics.median(seconds["transformers"]) / statistics.median(seconds["ours"])
    ends = [float(ratios.quantile(end)) for end in (0.025, 0.975)]
    return {
        "parameters": model.n_parameters,
        "tokens_per_second": {name: tokens / statistics.median(each) for name, each in seconds.items()},
        "ours over transformers": ratio,
        "95% interval": ends,
        "peak_bytes": memory,
        "memory, ours over transformers": memory["ours"] / memory["transformers"],
        "largest difference of the losses": gap,
        "reached": ratio >= 1.3 and memory["ours"] <= memory["transformers"],
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--turns", type=int, default=15)
    parser.add_argument("--steps", type=int, default=4, help="steps a turn")
    arguments = parser.parse_args()
    record = {
        "what": "training, float32, AdamW; batch and shape of the laptop recipe",
        "shape": SHAPE | {"batch_size": RECIPE.train.batch_size},
        "must reach": "1.3 times the throughput, no more memory",
        "families": {name: measure(config, arguments.turns, arguments.steps) for name, config in FAMILIES.items()},
        "machine": machine(),
        "threads": torch.get_num_threads(),
        "date": date.today().isoformat(),
    }
    path = Path(__file__).parent / "results" / "training_throughput.json"
    path.parent.mkdir(exist_ok=True)
    path.write_text(json.dumps(record, indent=2) + "\n")
    print(json.dumps(record, indent=2))


if __name__ == "__main__":
    main()
