"""`insideout train`: a GPT on text, from scratch."""

import os
import sys
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Annotated, Any

import tyro

from insideout import scales
from insideout.cli.commands.shared import RUNS, program, quoted, value_of
from insideout.recipes.config import PretrainConfig, pretrain_config


@dataclass(frozen=True)
class Train:
    """Train a GPT on text, from scratch, and write a report."""

    config: Annotated[PretrainConfig, tyro.conf.arg(name="")] = field(default_factory=PretrainConfig)
    """The settings, by default those of the scale."""
    scale: scales.Scale = "laptop"
    """Which defaults to use: tiny (seconds), laptop (minutes on two cores) or gpu."""
    out: Path | None = None
    """Directory for the run. Default: runs/CORPUS-SCALE-N, with the next free N."""
    resume: bool = False
    """Go on with the run in --out, or with the newest in runs/."""

    def run(self) -> int:
        from insideout.recipes.pretrain import run_pretrain
        from insideout.recipes.progress import progress
        from insideout.recipes.runs import next_free
        from insideout.recipes.stage import adopt
        from insideout.training.interrupt import Interrupted

        os.environ["INSIDEOUT_SCALE"] = self.scale
        corpus = "+".join(Path(name).stem for name in self.config.corpus)
        out = self.out or next_free(RUNS, f"{corpus}-{self.scale}")
        try:
            with progress(title=f"A GPT on {corpus}") as show:
                run = run_pretrain(self.config, out, self.resume, show)
        except Interrupted as stopped:
            print(f"\nStopped after step {stopped.step:,}; everything is saved. Go on with:", file=sys.stderr)
            print(f"    {program()} train --resume --out {quoted(out)}", file=sys.stderr)
            return 130
        if int(os.environ.get("RANK", "0")) == 0:
            adopt(run)
            print(summary(run))
        return 0


def defaults(given: list[str]) -> Any:
    """What the flags of `train` default to."""
    from insideout.recipes import runs

    at = scales.to_scale(value_of("--scale", given)) if value_of("--scale", given) else scales.scale()
    out = value_of("--out", given)
    default = Train(config=pretrain_config(at), scale=at, out=Path(out) if out else None)
    if "--resume" in given:
        run = runs.Run(out) if out else runs.newest_run(RUNS)
        recorded = scales.to_scale(run.about.get("scale", at), str(run.path / "config.json"))
        default = replace(default, config=run.config, out=run.path, scale=recorded)
    return default


def summary(run: Any) -> str:
    """How a run ended, where its report is, and three things to do next."""
    result = run.result()
    lines = [
        f"\nTrained {run.about['n_parameters']:,} parameters in {result['seconds']:.0f} s at "
        f"{result['tokens_per_second']:,.0f} tokens/s.",
        f"Held-out loss {result['validation_loss']:.3f} nats per token, {result['bits_per_byte']:.3f} bits per byte.",
        f"\nReport: {run.report}",
        "\nNext:",
        f'    {program()} sample --run {quoted(run.path)} --prompt "To read a file, "',
        f"    {program()} train --corpus PATH      your own text: a .txt, a .jsonl or a folder",
        "    make book                        the book, with this model in it"
        if Path("Makefile").is_file()
        else f"    {program()} check                the exercises",
    ]
    return "\n".join(lines)
