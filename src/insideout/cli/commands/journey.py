"""`insideout journey`: one model's whole life, from random weights to a solver, and one report of it."""

import sys
from dataclasses import dataclass, field
from pathlib import Path

from insideout import files, scales
from insideout.cli.commands.shared import RUNS
from insideout.errors import BadInput


@dataclass(frozen=True)
class Travel:
    """Take one model from random weights through pretraining, fine-tuning, rewards and preferences to reasoning.

    Stopped at any moment, the same command goes on from there. It ends in one report.
    """

    scale: scales.Scale = field(default_factory=scales.scale)
    """tiny: a minute; laptop: half an hour or so on two cores; gpu."""
    out: str | None = None
    """The folder of the report. Default: runs/journey-SCALE."""

    def run(self) -> int:
        from rich.console import Console

        from insideout.recipes.journey import travel, write_report
        from insideout.training.interrupt import Interrupted

        out = folder_for(str(RUNS / f"journey-{self.scale}") if self.out is None else self.out)

        where: list[str] = []

        def announce(stage: str, words: str) -> None:
            where.append(stage)
            print(words, file=sys.stderr, flush=True)

        try:
            journey = travel(self.scale, announce)
        except Interrupted as stopped:
            words = f"Stopped in {where[-1]}, after step {stopped.step:,}; the same command goes on from there."
            print(f"\n{words}", file=sys.stderr)
            return 130
        report, console = write_report(journey, out / "report.html"), Console()
        for table in journey.board().tables(console.width):
            console.print(table)
        print(f"\nReport: {report}")
        return 0


def folder_for(path: str) -> Path:
    """The folder, made if it is not there. Raises BadInput where it cannot be written to, before anything is made."""
    folder = files.expanded(path, "--out")
    try:
        folder.mkdir(parents=True, exist_ok=True)
        (folder / ".begun").touch()
        (folder / ".begun").unlink()
    except OSError as error:
        raise BadInput(
            f"The report cannot be written into {folder} ({error.strerror}): choose another --out."
        ) from error
    return folder
