"""Small GPTs for studies: the same text, the same budget, one change at a time.

The text is `python-docs`, its last tenth held out, as tokens of a byte-level BPE. A run takes some seconds on one core,
so that a comparison can have several seeds. The sizes of each scale are in the table below; each function takes a
scale as `at`, by default the present one. Used from part 2 on.
"""

import dataclasses
import tempfile
from collections.abc import Callable
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

from insideout.files import cache_folder
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


CORPUS, HELD_OUT = "python-docs", 0.1


def small_config(*, at: Scale | None = None, **changes: Any) -> GPTConfig:
    """The study model's sizes at a scale, with changes."""
    return dataclasses.replace(SIZES[at or scale()], **changes)


def small_budget(*, at: Scale | None = None, **changes: Any) -> TrainConfig:
    """How a study trains at a scale, with changes. Held-out loss is measured four times along the way."""
    base = BUDGETS[at or scale()]
    steps = changes.get("steps", base.steps)
    return dataclasses.replace(base, **{"eval_every": max(1, steps // 4), "checkpoint_every": 0} | changes)


def small_text(
    vocab_size: int | None = None, context_length: int | None = None, *, at: Scale | None = None
) -> "tuple[TokenData, BPETokenizer | CharacterTokenizer]":
    """The studies' tokens, (train and validation), and their tokenizer; learned once and kept."""
    sizes = small_config(at=at)
    return _text(vocab_size or sizes.vocab_size, context_length or sizes.context_length, cache_folder("data"))


@lru_cache(maxsize=4)
def _text(vocab_size: int, context_length: int, folder: Path) -> "tuple[TokenData, BPETokenizer | CharacterTokenizer]":
    """Kept by all that it depends on."""
    from insideout.data.text.corpus import load_corpus
    from insideout.data.text.tokens import prepare
    from insideout.recipes.texts import make_tokenizer

    corpus = load_corpus([CORPUS])
    tokenizer = make_tokenizer("bpe", vocab_size, HELD_OUT, corpus)
    return prepare(corpus, tokenizer, folder / "tokens", HELD_OUT, context_length), tokenizer


def train_small(
    model: "GPTConfig | nn.Module",
    seed: int,
    budget: TrainConfig | None = None,
    *,
    on_event: "Callable[[Event], None] | None" = None,
    train_tokens: int | None = None,
    loss_fn: "LossFunction | None" = None,
    at: Scale | None = None,
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
    from insideout.recipes.texts import held_out_loss
    from insideout.training.events import Measured, Step
    from insideout.training.loop import train
    from insideout.transformer.loss import next_token_loss
    from insideout.transformer.model import GPT

    if isinstance(model, GPTConfig):
        torch.manual_seed(seed)
        model = GPT(model)
    config: GPTConfig = model.config  # type: ignore[assignment]
    budget = dataclasses.replace(budget or small_budget(at=at), seed=seed)
    data, _ = small_text(config.vocab_size, config.context_length, at=at)
    text = data.train if train_tokens is None else Tokens(data.train.ids[:train_tokens])
    curve: list[float] = []
    steps: list[int] = []
    validation: list[float] = []

    def batch_at(step: int, micro_step: int) -> Any:
        return sample_batch(text, step, budget.batch_size, config.context_length, seed, micro_step)

    def measure(module: "nn.Module") -> float:
        tokens = VALIDATION_TOKENS[at or scale()]
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
