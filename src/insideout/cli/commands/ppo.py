"""`insideout ppo`: the stage `ppo`: a model that answers learns from what its answers are worth, with a critic."""

from insideout.cli.commands.run import Word, run_stage
from insideout.cli.commands.shared import program, quoted
from insideout.recipes.language_model import LanguageModel


def main(given: list[str]) -> int:
    """Learn as the flags say."""
    from insideout.recipes.ppo import STAGE

    about = "Let a model learn from rewards of its own answers, with a critic (PPO)."
    return run_stage(STAGE, given, Word("ppo", about, after=after))


def after(run: LanguageModel) -> str:
    """How it ended, and how to talk to it."""
    result, records = run.result() or {}, run.metrics()
    told = []
    if records and records[0].get("reward") is not None and records[-1].get("reward") is not None:
        told.append(
            f"Reward of what was drawn: {records[0]['reward']:.3f} at first, {records[-1]['reward']:.3f} at last."
        )
    if result.get("correct") is not None:
        told.append(f"Right answers to development questions of the town: {result['correct']:.0%}.")
    found = "".join(f"{line}\n" for line in told)
    return f"\n{found}Report: {run.report}\n\nTalk to it:\n    {program()} chat --model {quoted(run.path)}"
