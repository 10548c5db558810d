"""What every stage leaves that trains a model, whatever it learns from: curves, checkpoints, how it ended.

    config.json  metrics.jsonl  samples.jsonl  result.json  checkpoints/  report.html

A language model adds its tokenizer (language_model.py), a model of pictures its data (picture_model.py). Imports no
torch. Used from part 3 on.
"""

from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar

from insideout.errors import BadInput
from insideout.recipes.origin import Origin, measured
from insideout.recipes.runs import check_types, json_lines, read_object


@dataclass(frozen=True)
class TrainedModel:
    """A trained model on disk. Whoever reads the folder checks it; so does everything that is asked of it."""

    path: Path
    about: dict[str, Any]
    config: Any
    """The settings of its stage."""

    ended: ClassVar[dict[str, Any]] = {"machine": str, "date": str, "step": int, "seconds": float}
    """What result.json must hold, and of which type."""
    may_end: ClassVar[dict[str, Any]] = {}
    """What it may hold."""

    @property
    def origins(self) -> tuple[Origin, ...]:
        """Where and when it was made."""
        ended = self._ended()
        return () if ended is None else (Origin(ended["machine"], ended["date"]),)

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

    def metrics(self) -> list[dict[str, Any]]:
        """A record for each step: step, loss, lr, gradient_norm, seconds, and what was measured."""
        from insideout.training.metrics import read

        file = self.path / "metrics.jsonl"
        records = read(file) if file.exists() else []
        return [measured(record, self.origins) for record in records]

    def samples(self) -> list[dict[str, Any]]:
        """What the model wrote along the way: step and text."""
        return json_lines(self.path / "samples.jsonl")

    def result(self) -> dict[str, Any] | None:
        """How it ended, or None where it has not."""
        ended = self._ended()
        return None if ended is None else measured(ended, self.origins)

    def _ended(self) -> dict[str, Any] | None:
        file = self.path / "result.json"
        if not file.is_file():
            return None
        found = read_object(file)
        check_types(found, self.ended | self.may_end, file, needed=self.ended.keys())
        return found
