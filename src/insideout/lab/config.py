"""The settings of one pretraining run, and how they are written to and read from config.json.

Imports no torch, so that help texts are quick.
"""

import dataclasses
from dataclasses import dataclass, field
from typing import Any, Literal

from insideout.errors import BadInput
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
