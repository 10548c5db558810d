"""`insideout reward`: the stage `reward`: a model learns from pairs to score answers."""

from insideout.cli.commands.run import Word, run_stage
from insideout.cli.commands.shared import program, quoted
from insideout.recipes.reward import Rewarder


def main(given: list[str]) -> int:
    """Train as the flags say."""
    from insideout.recipes.reward import STAGE

    return run_stage(STAGE, given, Word("reward", "Train a reward model on pairs of answers.", after=after))


def after(run: Rewarder) -> str:
    """How right it is, and how to ask it."""
    result = run.result() or {}
    right, ceiling = result.get("held_out_accuracy"), result.get("ceiling")
    found = "" if right is None else f"Held-out pairs in the right order: {right:.1%}"
    found += "" if ceiling is None else f"; the best judge there could be: {ceiling:.1%}"
    how = f"{program()} judge --model {quoted(run.path)} --data FILE.jsonl"
    return f"\n{found}.\nReport: {run.report}\n\nLet it judge answers:\n    {how}"
