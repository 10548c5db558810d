"""What a stage's `make` is handed beside its settings and inputs: where to make the result, and whom to tell."""

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from insideout import files
from insideout.recipes.origin import here_and_now
from insideout.recipes.runs import FORMAT, read_object
from insideout.recipes.settings import to_dict, without
from insideout.scales import Scale

Tell = Callable[[Any], None]
"""Told what happens, event by event."""
Inputs = Mapping[str, Any]
"""The results of what a stage needs, by name."""


@dataclass
class Job:
    """One making of one result. `make` checks everything, then calls `begin`, then writes, and last of all `end`."""

    folder: Path
    settings: Any
    tell: Tell
    scale: Scale
    stage: str = ""
    """The stage's name."""
    code: str = ""
    """The key of its code."""
    free: tuple[tuple[str, ...], ...] = ()
    """Where in the settings those are that do not decide the result."""
    resume: bool = False
    """The folder holds a part of it: go on from there."""
    begun: bool = field(default=False, init=False)

    def begin(self, **facts: Any) -> None:
        """All is checked: from here on the folder is written to. config.json gets the settings and facts of the stage.

        Only the main one of several processes calls it.
        """
        self.begun = True
        mixed = self.resume and self.began_otherwise()
        for name in ("result.json", "about.json"):
            (self.folder / name).unlink(missing_ok=True)  # what goes on is not finished
        about = {
            "format": FORMAT, "stage": self.stage, "config": to_dict(self.settings), "scale": self.scale,
            "code_version": self.code, "mixed": mixed,
        }  # fmt: skip
        self._write("config.json", about | facts)

    def end(self, **facts: Any) -> None:
        """How it ended, in result.json, with where and when. Only the main process calls it."""
        origin = here_and_now()
        self._write("result.json", {"machine": origin.machine, "date": origin.date} | facts)

    def began_otherwise(self) -> bool:
        """Was an earlier part made with other code, or with other settings of those that decide?"""
        before = read_object(self.folder / "config.json")
        then, now = (without(values, self.free) for values in (before.get("config"), to_dict(self.settings)))
        same = before.get("code_version") == self.code and then == now
        return bool(before.get("mixed", False)) or not same

    def _write(self, name: str, values: Mapping[str, Any]) -> None:
        files.save(self.folder / name, json.dumps(values, indent=1, ensure_ascii=False) + "\n")
