"""A run directory: what a training run leaves, and how to read it.

    config.json  tokenizer.json  metrics.jsonl  samples.jsonl  result.json  checkpoints/  report.html

Imports torch only when a model is asked for.
"""

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

from insideout.errors import BadInput
from insideout.recipes.config import PretrainConfig, from_dict

if TYPE_CHECKING:
    from insideout.transformer.model import GPT
    from insideout.transformer.tokenizer import BPETokenizer, CharacterTokenizer

FORMAT = "insideout run 1"


class Run:
    """A training run on disk. Raises BadInput when the folder holds none."""

    def __init__(self, path: str | Path) -> None:
        self.path = Path(path)
        file = self.path / "config.json"
        if not file.is_file():
            raise BadInput(f"There is no run in {self.path}: give the folder that `insideout train` wrote.")
        try:
            self.about: dict[str, Any] = json.loads(file.read_text(encoding="utf-8"))
            if self.about["format"] != FORMAT:
                raise KeyError("format")
        except (OSError, ValueError, KeyError, TypeError) as error:
            raise BadInput(f"{file} is damaged or was not written by this library: choose another run.") from error
        self.config: PretrainConfig = from_dict(self.about.get("config", {}), str(file))

    def __repr__(self) -> str:
        return f"Run({str(self.path)!r})"

    def model(self, device: str = "cpu") -> "GPT":
        """The model of the newest checkpoint, ready to be used (dropout off)."""
        from insideout.training import checkpoint
        from insideout.transformer.model import GPT

        newest = checkpoint.latest(self.path)
        if newest is None:
            raise BadInput(f"The run {self.path} has no checkpoint yet: let it train, or go on with it by --resume.")
        model = GPT(self.model_config())
        checkpoint.load_model(model, checkpoint.load(newest).model)
        return model.eval().to(device)

    def model_config(self) -> Any:
        """The model as it was built: with a tokenizer's own vocabulary size."""
        import dataclasses

        return dataclasses.replace(self.config.model, vocab_size=self.about["vocab_size"])

    def tokenizer(self) -> "BPETokenizer | CharacterTokenizer":
        """The run's tokenizer. Raises BadInput when it is not the one the model was trained with."""
        from insideout.transformer.tokenizer import load_tokenizer

        tokenizer = load_tokenizer(self.path / "tokenizer.json")
        if tokenizer.fingerprint != self.about["tokenizer_fingerprint"]:
            raise BadInput(f"{self.path / 'tokenizer.json'} is not the one this run was trained with: restore it.")
        return tokenizer

    def metrics(self) -> list[dict[str, Any]]:
        """A record for each step: step, loss, lr, tokens_per_second, gradient_norm, seconds, some validation_loss."""
        return json_lines(self.path / "metrics.jsonl")

    def samples(self) -> list[dict[str, Any]]:
        """What the model wrote along the way: step and text."""
        return json_lines(self.path / "samples.jsonl")

    def result(self) -> dict[str, Any] | None:
        """How it ended, or None for a run that is not finished."""
        try:
            result = json.loads((self.path / "result.json").read_text(encoding="utf-8"))
        except (OSError, ValueError):
            return None
        return result if isinstance(result, dict) else None

    @property
    def report(self) -> Path:
        """Where the report lies."""
        return self.path / "report.html"


def json_lines(path: Path) -> list[dict[str, Any]]:
    """The records of a file of JSON lines that have a step. A line that was cut off is left out."""
    records = []
    try:
        lines = path.read_text(encoding="utf-8").splitlines()
    except FileNotFoundError:
        return []
    for line in lines:
        try:
            record = json.loads(line)
        except ValueError:
            continue
        if isinstance(record, dict) and "step" in record:
            records.append(record)
    return records


def next_free(folder: Path, name: str) -> Path:
    """folder/name-n with the smallest n above every n there is."""
    taken = [p.name.removeprefix(f"{name}-") for p in folder.glob(f"{name}-*")] if folder.is_dir() else []
    return folder / f"{name}-{max((int(n) for n in taken if n.isdecimal()), default=0) + 1}"


def newest_run(folder: Path) -> Run:
    """The run that was written to last. Raises BadInput when there is none."""
    found = sorted(folder.glob("*/config.json"), key=lambda file: file.stat().st_mtime)
    if not found:
        raise BadInput(f"There are no runs in {folder}: train one with `insideout train`, or name a folder with --run.")
    return Run(found[-1].parent)
