"""Small GPTs for studies: the same text, the same budget, one change at a time.

The text is `python-docs`, its last tenth held out, as tokens of a byte-level BPE. A run takes some seconds on one core,
so that a comparison can have several seeds. The sizes of each scale are in the table below. Used from part 2 on.
"""

import dataclasses
import tempfile
from collections.abc import Callable
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

from insideout.recipes.config import PretrainConfig
from insideout.scales import Scale, scale
from insideout.training.config import TrainConfig
from insideout.transformer.config import GPTConfig

if TYPE_CHECKING:
    from torch import Tensor, nn

    from insideout.data.text.tokens import TokenData
    from insideout.training.events import Event
    from insideout.transformer.tokenizer import BPETokenizer, CharacterTokenizer

LossFunction = Callable[["nn.Module", Any], "tuple[Tensor, Any]"]

SIZES: dict[Scale, GPTConfig] = {
    "tiny": GPTConfig(vocab_size=300, context_length=32, d_model=16, n_layers=2, n_heads=2),
    "laptop": GPTConfig(vocab_size=512, context_length=128, d_model=64, n_layers=2, n_heads=4),
    "gpu": GPTConfig(vocab_size=512, context_length=256, d_model=256, n_layers=4, n_heads=8),
}
BUDGETS: dict[Scale, TrainConfig] = {
    "tiny": TrainConfig(steps=6, batch_size=4, lr=3e-3, min_lr=3e-4, warmup_steps=2, precision="float32"),
    "laptop": TrainConfig(steps=300, batch_size=16, lr=3e-3, min_lr=3e-4, warmup_steps=30, precision="float32"),
    "gpu": TrainConfig(steps=2000, batch_size=64, lr=2e-3, min_lr=2e-4, warmup_steps=100),
}
VALIDATION_TOKENS: dict[Scale, int] = {"tiny": 256, "laptop": 32_768, "gpu": 131_072}


def small_config(**changes: Any) -> GPTConfig:
    """The study model's sizes at the present scale, with changes."""
    return dataclasses.replace(SIZES[scale()], **changes)


def small_budget(**changes: Any) -> TrainConfig:
    """How a study trains at the present scale, with changes. Held-out loss is measured four times along the way."""
    base = BUDGETS[scale()]
    steps = changes.get("steps", base.steps)
    return dataclasses.replace(base, **{"eval_every": max(1, steps // 4), "checkpoint_every": 0} | changes)


@lru_cache(maxsize=4)
def small_text(
    vocab_size: int | None = None, context_length: int | None = None
) -> "tuple[TokenData, BPETokenizer | CharacterTokenizer]":
    """The studies' tokens, (train and validation), and their tokenizer; learned once and kept."""
    from insideout.data.fetch import cache_folder
    from insideout.data.text.corpus import load_corpus
    from insideout.data.text.tokens import prepare
    from insideout.recipes.pretrain import make_tokenizer

    size = small_config(**({} if vocab_size is None else {"vocab_size": vocab_size}))
    config = PretrainConfig(model=size, sample_tokens=0)
    corpus = load_corpus(config.corpus)
    tokenizer = make_tokenizer(config, corpus)
    folder = cache_folder() / "tokens"
    return prepare(
        corpus, tokenizer, folder, config.validation_fraction, context_length or size.context_length
    ), tokenizer


def train_small(
    model: "GPTConfig | nn.Module",
    seed: int,
    budget: TrainConfig | None = None,
    *,
    on_event: "Callable[[Event], None] | None" = None,
    train_tokens: int | None = None,
    loss_fn: "LossFunction | None" = None,
) -> "tuple[nn.Module, dict[str, Any]]":
    """Train a GPT on the studies' text: (the model, {"loss", "curve", "steps", "validation"}).

    The seed decides weights and batches, so run i of two variants reads the same text. A module given instead of a
    config is trained as it is; it needs a `config`. "loss" is the mean over the held-out tokens that the scale's budget
    looks at, the same ones for every run, in nats a token; "curve" is the training loss of each step, "validation" the
    held-out loss at "steps". `train_tokens` keeps the first so many tokens of the text only, to make it scarce.
    `loss_fn(model, batch)`, (sum of the losses, how many), replaces the training loss; the held-out loss stays.
    `on_event` is told what happens (training.events): after each update a Step.
    """
    import torch

    from insideout.data.text.tokens import Tokens, sample_batch
    from insideout.recipes.pretrain import held_out_loss
    from insideout.training.events import Measured, Step
    from insideout.training.loop import train
    from insideout.transformer.loss import next_token_loss
    from insideout.transformer.model import GPT

    if isinstance(model, GPTConfig):
        torch.manual_seed(seed)
        model = GPT(model)
    config: GPTConfig = model.config  # type: ignore[assignment]
    budget = dataclasses.replace(budget or small_budget(), seed=seed)
    data, _ = small_text(config.vocab_size, config.context_length)
    text = data.train if train_tokens is None else Tokens(data.train.ids[:train_tokens])
    curve: list[float] = []
    steps: list[int] = []
    validation: list[float] = []

    def batch_at(step: int, micro_step: int) -> Any:
        return sample_batch(text, step, budget.batch_size, config.context_length, seed, micro_step)

    def measure(module: "nn.Module") -> float:
        tokens = VALIDATION_TOKENS[scale()]
        return held_out_loss(module, data.validation, config.context_length, budget.batch_size, tokens)

    def note(event: "Event") -> None:
        if isinstance(event, Step):
            curve.append(event.loss)
        elif isinstance(event, Measured):
            steps.append(event.step)
            validation.append(event.values["validation_loss"])
        if on_event is not None:
            on_event(event)

    threads = torch.get_num_threads()
    torch.set_num_threads(1)  # matrices this small are not worth sharing between cores
    try:
        with tempfile.TemporaryDirectory() as folder:
            train(
                model, loss_fn or next_token_loss, batch_at, budget, out=Path(folder), validate=measure, on_event=note
            )
    finally:
        torch.set_num_threads(threads)
    model.eval()
    return model, {"loss": validation[-1], "curve": curve, "steps": steps, "validation": validation}
