"""`insideout dpo`: the stage `dpo`: a model learns from pairs directly which answers are preferred."""

from insideout.cli.commands.run import Word, run_stage
from insideout.cli.commands.shared import program, quoted
from insideout.recipes.dpo import Preferring


def main(given: list[str]) -> int:
    """Tune as the flags say."""
    from insideout.recipes.dpo import STAGE

    return run_stage(STAGE, given, Word("dpo", "Tune a model on pairs of answers: DPO and its family.", after=after))


def after(run: Preferring) -> str:
    """How it ended, and how to talk to it."""
    result = run.result() or {}
    right = result.get("held_out_accuracy")
    found = "" if right is None else f"Held-out pairs in the right order: {right:.1%}.\n"
    return f"\n{found}Report: {run.report}\n\nTalk to it:\n    {program()} chat --model {quoted(run.path)}"
