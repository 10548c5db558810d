"""The settings of one pretraining run, and how they are written to and read from config.json.

Imports no torch, so that help texts are quick.
"""

import dataclasses
from dataclasses import dataclass, field
from typing import Any, Literal

from insideout.errors import BadInput
from insideout.scales import Scale, scale
from insideout.training.config import TrainConfig
from insideout.transformer.config import GPTConfig


@dataclass(frozen=True)
class PretrainConfig:
    """What to learn from, how the text becomes tokens, the model, and how it is trained."""

    corpus: tuple[str, ...] = ("python-docs",)
    """Names (python-docs, tinyshakespeare, …) or paths of text files, JSON lines or folders."""
    tokenizer: Literal["bpe", "character"] = "bpe"
    """bpe learns vocab_size tokens from the corpus; with character, the corpus's characters are the vocabulary."""
    validation_fraction: float = 0.1
    """Share of the corpus, from its end, that is held out."""
    validation_tokens: int = 16_384
    """Held-out tokens measured along the way; after the last step all of them are. 0: always all."""
    sample_prompt: str = "The "
    """How the samples along the way begin."""
    sample_tokens: int = 96
    """Length of these samples. 0: none."""
    device: Literal["auto", "cpu", "cuda", "mps"] = "auto"
    """Where to compute; auto takes an accelerator when there is one."""
    model: GPTConfig = field(default_factory=GPTConfig)
    """The model's sizes and choices."""
    train: TrainConfig = field(default_factory=TrainConfig)
    """How it is trained."""

    def __post_init__(self) -> None:
        if not self.corpus:
            raise BadInput("No corpus was given: name one, such as python-docs, or give the path of a text file.")
        if self.tokenizer not in ("bpe", "character"):
            raise BadInput(f"tokenizer is {self.tokenizer}; it must be bpe or character.")
        if not 0 < self.validation_fraction < 1:
            raise BadInput(f"validation_fraction is {self.validation_fraction}; it must lie between 0 and 1.")
        if self.validation_tokens < 0 or self.sample_tokens < 0:
            raise BadInput("validation_tokens and sample_tokens must be at least 0.")
        if not self.sample_prompt:
            raise BadInput("sample_prompt is empty: give at least one character.")
        if self.sample_tokens >= self.model.context_length:
            raise BadInput(
                f"sample_tokens {self.sample_tokens} does not fit in the context length "
                f"{self.model.context_length}: make it smaller."
            )


def to_dict(config: PretrainConfig) -> dict[str, Any]:
    """The settings as JSON knows them."""
    return dataclasses.asdict(config) | {"corpus": list(config.corpus)}


def from_dict(values: dict[str, Any], where: str = "config.json") -> PretrainConfig:
    """The settings that `to_dict` wrote. Raises BadInput, naming `where`, for anything else."""
    try:
        model, train = GPTConfig(**values["model"]), TrainConfig(**values["train"])
        return PretrainConfig(**(values | {"corpus": tuple(values["corpus"]), "model": model, "train": train}))
    except BadInput:
        raise
    except (KeyError, TypeError, AttributeError) as error:
        raise BadInput(f"{where} is not a run's settings, or from another version of this library: {error}.") from error


PRETRAIN: dict[Scale, PretrainConfig] = {
    "tiny": PretrainConfig(
        validation_tokens=2048,
        sample_tokens=24,
        model=GPTConfig(vocab_size=512, context_length=32, d_model=32, n_layers=2, n_heads=2),
        train=TrainConfig(
            steps=40, batch_size=8, lr=3e-3, min_lr=3e-4, warmup_steps=5, optimizer="muon", precision="float32",
            eval_every=20, checkpoint_every=20,
        ),
    ),
    "laptop": PretrainConfig(
        model=GPTConfig(vocab_size=2048, context_length=256, d_model=192, n_layers=4, n_heads=6),
        train=TrainConfig(
            steps=400, batch_size=8, lr=3e-3, min_lr=1e-4, warmup_steps=20, optimizer="muon", eval_every=50,
            checkpoint_every=200,
        ),
    ),
    "gpu": PretrainConfig(
        validation_tokens=131_072,
        sample_tokens=128,
        model=GPTConfig(vocab_size=8192, context_length=1024, d_model=768, n_layers=12, n_heads=12),
        train=TrainConfig(
            steps=5000, batch_size=32, accumulation=4, lr=1e-3, min_lr=1e-4, warmup_steps=200, optimizer="muon",
            compile=True, eval_every=250, checkpoint_every=1000,
        ),
    ),
}  # fmt: skip


def pretrain_config(at: Scale | None = None) -> PretrainConfig:
    """The settings of the `pretrain` recipe at a scale (default: the present one)."""
    return PRETRAIN[at or scale()]
