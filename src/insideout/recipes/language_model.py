"""What a stage that trains a language model leaves, and how to read it: model, tokenizer, curves, how it ended.

    config.json  tokenizer.json  metrics.jsonl  samples.jsonl  result.json  checkpoints/  report.html

The same files as those of a run of `insideout train`, whatever it was trained on. Imports torch only when a model is
asked for. Used from part 3 on.
"""

import hashlib
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from insideout.errors import BadInput
from insideout.recipes.origin import Origin, measured
from insideout.recipes.runs import FORMAT, check_types, companions_of, json_lines, read_object
from insideout.recipes.settings import from_dict

if TYPE_CHECKING:
    from insideout.transformer.config import GPTConfig
    from insideout.transformer.model import GPT
    from insideout.transformer.tokenizer import BPETokenizer, CharacterTokenizer

FACTS = {"stage": str, "tokenizer_fingerprint": str, "n_parameters": int, "machine": str, "scale": str}


@dataclass(frozen=True)
class LanguageModel:
    """A trained language model on disk. `read` checks the folder; so does everything that is asked of it."""

    path: Path
    about: dict[str, Any]
    config: Any
    """The settings of its stage."""

    @property
    def origins(self) -> tuple[Origin, ...]:
        """Where and when it was made."""
        result = read_object(self.path / "result.json")
        return (Origin(str(result["machine"]), str(result["date"])),)

    @property
    def fingerprint(self) -> str:
        """A hash of what was made: the newest weights and the tokenizer."""
        digest = hashlib.sha256((self.path / "tokenizer.json").read_bytes())
        for file in sorted(path for path in self.newest().rglob("model*") if path.is_file()):
            digest.update(file.read_bytes())
        return digest.hexdigest()

    @property
    def report(self) -> Path:
        """Where the report lies."""
        return self.path / "report.html"

    def newest(self) -> Path:
        """The newest checkpoint. Raises BadInput where there is none."""
        from insideout.training import checkpoint

        newest = checkpoint.latest(self.path)
        if newest is None:
            raise BadInput(f"{self.path} has no checkpoint: make it anew.")
        return newest

    def model_config(self) -> "GPTConfig":
        """The model's sizes, as it was built."""
        from insideout.transformer.config import GPTConfig

        return from_dict(GPTConfig, self.about.get("model"), f"{self.path / 'config.json'}, model")

    def model(self, device: str = "cpu") -> "GPT":
        """The model of the newest checkpoint, ready to be used (dropout off)."""
        from insideout.training import checkpoint
        from insideout.transformer.model import GPT

        newest, config = self.newest(), self.model_config()
        found = checkpoint.load(newest)
        checkpoint.check_companions(newest, found.state, companions_of(config, self.about["tokenizer_fingerprint"]))
        model = GPT(config)
        checkpoint.load_model(model, found.model)
        return model.eval().to(device)

    def tokenizer(self) -> "BPETokenizer | CharacterTokenizer":
        """Its tokenizer. Raises BadInput when it is not the one the model was trained with."""
        from insideout.transformer.tokenizer import load_tokenizer

        tokenizer = load_tokenizer(self.path / "tokenizer.json")
        if tokenizer.fingerprint != self.about["tokenizer_fingerprint"]:
            raise BadInput(f"{self.path / 'tokenizer.json'} is not the one this model was trained with: restore it.")
        return tokenizer

    def metrics(self) -> list[dict[str, Any]]:
        """A record for each step: step, loss, lr, gradient_norm, seconds, and what was measured."""
        from insideout.training.metrics import read

        file = self.path / "metrics.jsonl"
        records = read(file) if file.exists() else []
        return [measured(record, self.origins) for record in records] if self.result() else records

    def samples(self) -> list[dict[str, Any]]:
        """What the model wrote along the way: step and text."""
        return json_lines(self.path / "samples.jsonl")

    def result(self) -> dict[str, Any] | None:
        """How it ended, or None where it has not."""
        file = self.path / "result.json"
        return measured(read_object(file), self.origins) if file.is_file() else None


def read(kind: type[LanguageModel], folder: Path, stage: str, settings: type[Any]) -> Any:
    """The result of a stage in a folder, as its kind. Raises BadInput where the folder holds none, or a damaged one."""
    file = folder / "config.json"
    if not file.is_file():
        raise BadInput(f"There is no run in {folder}: give the folder of one.")
    about = read_object(file)
    if about.get("format") != FORMAT or about.get("stage") != stage:
        raise BadInput(f"{file} is damaged or not of a run of {stage}: choose another folder.")
    check_types(about, FACTS, file, needed=FACTS)
    return kind(folder, about, from_dict(settings, about.get("config"), str(file)))
