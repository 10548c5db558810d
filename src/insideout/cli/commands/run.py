"""`insideout run`: make a stage's result."""

import os
import sys
from dataclasses import dataclass, field
from typing import Annotated

import tyro

from insideout import scales


@dataclass(frozen=True)
class Run:
    """Make a recipe's result, unless it is stored already, and print where it is."""

    name: Annotated[str, tyro.conf.Positional]
    """Which recipe; `insideout recipes` lists them."""
    scale: scales.Scale = field(default_factory=scales.scale)
    """At which scale."""

    def run(self) -> int:
        from insideout.recipes.stage import recipe
        from insideout.training.interrupt import Interrupted

        os.environ["INSIDEOUT_SCALE"] = self.scale
        try:
            print(recipe(self.name).path)
        except Interrupted as stopped:
            print(f"\nStopped after step {stopped.step:,}; the same command goes on from there.", file=sys.stderr)
            return 130
        return 0
