"""`insideout scores`: what every stage can do, side by side."""

from dataclasses import dataclass, field
from typing import Annotated

import tyro

from insideout import scales
from insideout.errors import BadInput


@dataclass(frozen=True)
class ShowScores:
    """Print one table of stages and what was measured of them, with 95% intervals."""

    stages: Annotated[tuple[str, ...], tyro.conf.Positional] = ()
    """Which; they are made and measured where that has not been done. Default: all that are stored."""
    scale: scales.Scale = field(default_factory=scales.scale)
    """At which scale."""

    def run(self) -> int:
        from rich.console import Console

        from insideout.recipes.board import QUESTIONS, scores, stored
        from insideout.recipes.stage import in_order, plan

        for name in self.stages:
            plan(name, self.scale)  # a name that is none is told before anything is made
        names = self.stages or stored(self.scale)
        if not names:
            first = in_order()[0]
            raise BadInput(f"No result is stored at {self.scale} scale: make one by `insideout run {first}`.")
        board, console = scores(*names, scale=self.scale), Console()
        for table in board.tables(console.width):
            console.print(table)
        console.print(
            f"{self.scale} scale; {QUESTIONS[self.scale]} test questions a suite; ± half a 95% interval", style="dim"
        )
        return 0
