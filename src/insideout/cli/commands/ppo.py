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
    rewards = [record["reward"] for record in records if record.get("reward") is not None]
    if rewards:
        told.append(f"Reward of what was drawn: {rewards[0]:.3f} at first, {rewards[-1]:.3f} at last.")
    if result.get("correct") is not None:
        told.append(f"Right answers to development questions of the town: {result['correct']:.0%}.")
    found = "".join(f"{line}\n" for line in told)
    return f"\n{found}Report: {run.report}\n\nTalk to it:\n    {program()} chat --model {quoted(run.path)}"
