"""Training throughput and peak memory beside `transformers`, on the CPU, in one run.

A GPT-2 and a Llama of the laptop recipe's shape, batch and precision; the same weights on both sides (ours exported
with `to_hf`), the same batches, the same optimizer and the same autocast. What differs is the model and how its loss
is computed. The recipe's precision is the one that training measures to be faster on this machine; where that is
bfloat16, float32 is measured too, and reported beside it. Steps are timed in turns: forward, backward and update. The
ratio is that of the medians, its interval a bootstrap over the turns. Memory is what torch's allocator counted at once
while a model was built and trained for two steps; it does not depend on the clock. Writes
benchmarks/results/training_throughput.json.
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
from insideout.machine import machine
from insideout.recipes.pretrain import SETTINGS as PRETRAIN
from insideout.training import precision
from insideout.transformer.config import GPTConfig
from insideout.transformer.exchange.hub import to_hf
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

    def __init__(self, model: nn.Module, loss: Loss, number_format: str) -> None:
        self.model, self.loss, self.number_format = model.train(), loss, number_format
        self.optimizer = torch.optim.AdamW(model.parameters(), lr=RECIPE.train.lr, fused=True)

    def step(self, batch: Batch) -> float:
        with precision.autocast(self.number_format, torch.device("cpu")):
            loss = self.loss(self.model, batch)
        loss.backward()
        nn.utils.clip_grad_norm_(self.model.parameters(), RECIPE.train.clip)
        self.optimizer.step()
        self.optimizer.zero_grad(set_to_none=True)
        return float(loss.detach())


def measure(config: GPTConfig, number_format: str, turns: int, steps: int) -> dict[str, Any]:
    """Both sides of one family, in one number format."""
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
            trainer = Trainer(copy.deepcopy(whole), loss, number_format)
            trainer.step(batch()), trainer.step(batch())

        memory[name] = peak_bytes(two_steps)
    sides = {
        name: Trainer(whole, loss, number_format)
        for name, whole, loss in (("ours", model, our_loss), ("transformers", other, their_loss))
    }
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
    chosen = precision.choose(RECIPE.train.precision, torch.device("cpu"))
    record = {
        "what": "training, AdamW; batch, shape and precision of the laptop recipe",
        "shape": SHAPE | {"batch_size": RECIPE.train.batch_size},
        "must reach": "1.3 times the throughput, no more memory, in the recipe's precision",
        "the recipe's precision here": chosen,
        "results": {
            number_format: {
                name: measure(config, number_format, arguments.turns, arguments.steps)
                for name, config in FAMILIES.items()
            }
            for number_format in dict.fromkeys([chosen, "float32"])
        },
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
