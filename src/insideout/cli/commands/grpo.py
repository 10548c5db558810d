"""`insideout grpo`: the stage `grpo`: a model that reasons learns from which of its answers are right."""

from insideout.cli.commands.run import Word, run_stage
from insideout.recipes.language_model import LanguageModel


def main(given: list[str]) -> int:
    """Learn as the flags say."""
    from insideout.recipes.grpo import STAGE

    about = "Let a model that reasons learn from which of its answers are right, each compared with the others (GRPO)."
    return run_stage(STAGE, given, Word("grpo", about, after=after))


def after(run: LanguageModel) -> str:
    """How it ended."""
    result, records = run.result() or {}, run.metrics()
    told = []
    rewards = [record["reward"] for record in records if record.get("reward") is not None]
    if rewards:
        told.append(
            f"Right answers of those drawn to learn from: {rewards[0]:.0%} at first, {rewards[-1]:.0%} at last."
        )
    if result.get("sampled") is not None:
        told.append(
            f"Right answers to development problems: {result['sampled']:.0%} of those drawn, {result['greedy']:.0%} of "
            "the likeliest."
        )
    return "\n" + "".join(f"{line}\n" for line in told) + f"Report: {run.report}"
