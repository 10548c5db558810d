"""`insideout prm`: the stage `prm`: a model learns to judge each step of a worked answer."""

from insideout.cli.commands.run import Word, run_stage
from insideout.cli.commands.shared import program, quoted
from insideout.recipes.verifier import VerifierRun


def main(given: list[str]) -> int:
    """Train as the flags say."""
    from insideout.recipes.prm import STAGE

    return run_stage(STAGE, given, Word("prm", "Train a process reward model on worked answers.", after=after))


def after(run: VerifierRun) -> str:
    """How right it is, and how to use it."""
    result = run.result() or {}
    found, blind = result.get("step_auc"), result.get("length_only_step_auc")
    told = "" if found is None else f"Right steps above wrong ones, of held-out answers: {found:.3f} (AUC)"
    told += "" if blind is None or found is None else f"; by lengths alone: {blind:.3f}"
    how = f"{program()} solve 3+5+2+4 --method best-of --verifier {quoted(run.path)}"
    return f"\n{told}.\nReport: {run.report}\n\nLet it choose among answers:\n    {how}"
