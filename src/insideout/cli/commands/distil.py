"""`insideout distil`: the stage `distil`: a small model learns from a large one that reasons."""

from insideout.cli.commands.run import Word, run_stage
from insideout.recipes.language_model import LanguageModel


def main(given: list[str]) -> int:
    """Learn as the flags say."""
    from insideout.recipes.distil import STAGE

    about = "Let a small model learn from a large one that reasons: from its answers, or from what it believes."
    return run_stage(STAGE, given, Word("distil", about, after=after))


def after(run: LanguageModel) -> str:
    """How it ended."""
    result = run.result() or {}
    told = []
    if result.get("traces") is not None:
        dropped = ", ".join(f"{n:,} {why}" for why, n in result["dropped"].items()) or "none"
        told.append(f"Learned from {result['traces']:,} answers of the teacher; left out: {dropped}.")
    if result.get("sampled") is not None:
        told.append(
            f"Right answers to development problems: {result['sampled']:.0%} of those drawn, {result['greedy']:.0%} of "
            "the likeliest."
        )
    return "\n" + "".join(f"{line}\n" for line in told) + f"Report: {run.report}"
