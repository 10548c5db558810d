"""What the gradients written by hand are worth: a training step with them and without, in one run.

The laptop recipe's model and a Llama of its shape, the recipe's batch and optimizer, in the precision that the recipe
finds to be faster on this machine, and in float32. Without them every operation is torch's: `F.rms_norm`,
`F.cross_entropy`, `F.scaled_dot_product_attention`, and RoPE and ReLU² as their formulas say. Steps are timed in pairs,
with and without in alternating order, on the same weights and batch. The gain is the median of the pairs' ratios, its
interval a bootstrap over the pairs. Beside it stands what is lost when one kernel alone is left out. They stay if the
gain is at least 15% in the recipe's precision. Writes benchmarks/results/kernels.json.
"""

import argparse
import json
import time
from collections.abc import Callable
from contextlib import ExitStack
from datetime import date
from pathlib import Path
from typing import Any
from unittest.mock import patch

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from insideout.lab.allocations import peak_bytes
from insideout.machine import machine
from insideout.recipes.pretrain import SETTINGS
from insideout.training import precision
from insideout.training.optimizers import Optimizers
from insideout.transformer import kernels
from insideout.transformer.config import GPTConfig
from insideout.transformer.loss import next_token_loss
from insideout.transformer.model import GPT

RECIPE = SETTINGS["laptop"]
SIZES = {
    name: getattr(RECIPE.model, name) for name in ("vocab_size", "context_length", "d_model", "n_layers", "n_heads")
}
MODELS = {"the recipe's": RECIPE.model, "Llama": GPTConfig.llama(**SIZES, n_kv_heads=6, d_ff=512)}
WORTH_IT = 1.15
"""How many times as fast they must make a step of the recipe's model in its precision."""


def turned(x: Tensor, cosine: Tensor, sine: Tensor) -> Tensor:
    first, second = x.chunk(2, dim=-1)
    return x * cosine + torch.cat([-second, first], dim=-1) * sine


TORCH: dict[str, Callable[..., Tensor]] = {
    "rms_norm": lambda x, gain, epsilon: F.rms_norm(x, gain.shape, gain, epsilon),
    "rotate": turned,
    "relu_squared": lambda h: F.relu(h).square(),
    "cross_entropy": lambda logits, targets, ignore: F.cross_entropy(
        kernels.exact(logits), targets, ignore_index=ignore, reduction="sum"
    ),
    "attention": lambda q, k, v, mask, dropout, is_causal: F.scaled_dot_product_attention(
        q, k, v, mask, dropout, is_causal=is_causal
    ),
}


def stepper(config: GPTConfig, number_format: str) -> Callable[[], None]:
    """One training step of the recipe, as a function."""
    torch.manual_seed(0)
    model = GPT(config)
    optimizers = Optimizers(model, RECIPE.train)
    ids = torch.randint(config.vocab_size, (RECIPE.train.batch_size, config.context_length + 1))
    batch = ids[:, :-1].contiguous(), ids[:, 1:].contiguous()

    def step() -> None:
        with precision.autocast(number_format, torch.device("cpu")):
            total, count = next_token_loss(model, batch)
        (total / count).backward()
        nn.utils.clip_grad_norm_(model.parameters(), RECIPE.train.clip)
        optimizers.step()
        model.zero_grad(set_to_none=True)

    return step


def seconds(step: Callable[[], None], without: tuple[str, ...] = ()) -> float:
    """One step's time, with these kernels replaced by torch's operations."""
    with ExitStack() as replaced:
        for name in without:
            replaced.enter_context(patch.object(kernels, name, TORCH[name]))
        start = time.perf_counter()
        step()
        return time.perf_counter() - start


def gain(step: Callable[[], None], without: tuple[str, ...], pairs: int) -> dict[str, Any]:
    """Times as fast with the kernels as without: the median of the pairs' ratios, and a 95% bootstrap interval."""
    for each in ((), without):
        seconds(step, each)  # the first calls pay for later ones
    times = []
    for pair in range(pairs):
        order = ((), without) if pair % 2 else (without, ())
        taken = {each: seconds(step, each) for each in order}
        times.append((taken[()], taken[without]))
    with_them, left_out = torch.tensor(times, dtype=torch.float64).T
    ratios = left_out / with_them
    drawn = torch.randint(pairs, (4000, pairs), generator=torch.Generator().manual_seed(0))
    medians = ratios[drawn].quantile(0.5, dim=1)
    return {
        "times as fast": float(ratios.quantile(0.5)),
        "95% interval": [float(medians.quantile(end)) for end in (0.025, 0.975)],
        "pairs": pairs,
        "seconds a step": {"with": float(with_them.quantile(0.5)), "without": float(left_out.quantile(0.5))},
    }


def measure(config: GPTConfig, number_format: str, pairs: int) -> dict[str, Any]:
    """All of them, then each alone."""
    everything = tuple(TORCH)
    used = [name for name in everything if name != "relu_squared" or config.mlp == "relu2"]
    if number_format != "bfloat16":
        used.remove("attention")  # by hand in bfloat16 alone
    step = stepper(config, number_format)
    whole = gain(step, everything, pairs)
    memory = {}
    for name, without in (("with", ()), ("without", everything)):
        fresh = stepper(config, number_format)
        memory[name] = peak_bytes(lambda fresh=fresh, without=without: seconds(fresh, without))  # type: ignore[misc]
    return whole | {
        "peak bytes of a step": memory,
        "one left out": {name: gain(step, (name,), max(3, pairs // 2)) for name in used},
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--pairs", type=int, default=40)
    parser.add_argument("--threads", type=int, default=torch.get_num_threads())
    arguments = parser.parse_args()
    torch.set_num_threads(arguments.threads)
    chosen = precision.choose(RECIPE.train.precision, torch.device("cpu"))
    results = {
        number_format: {name: measure(config, number_format, arguments.pairs) for name, config in MODELS.items()}
        for number_format in dict.fromkeys([chosen, "float32"])
    }
    decisive = results[chosen]["the recipe's"]
    record = {
        "what": "a training step with the gradients written by hand, and without; batch and optimizer of the recipe",
        "shape": SIZES | {"batch_size": RECIPE.train.batch_size, "optimizer": RECIPE.train.optimizer},
        "must reach": f"{WORTH_IT} times as fast, the recipe's model in the recipe's precision",
        "the recipe's precision here": chosen,
        "reached": decisive["times as fast"] >= WORTH_IT,
        "results": results,
        "machine": machine(),
        "threads": arguments.threads,
        "date": date.today().isoformat(),
    }
    path = Path(__file__).parent / "results" / "kernels.json"
    path.parent.mkdir(exist_ok=True)
    path.write_text(json.dumps(record, indent=2) + "\n")
    print(json.dumps(record, indent=2))


if __name__ == "__main__":
    main()
