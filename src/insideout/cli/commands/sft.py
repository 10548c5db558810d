"""`insideout sft`: the stage `sft`: a model is tuned on conversations, and answers.

Taught in book/3-fine-tuning-a-transformer/21_your_own_assistant.md.
"""

from insideout.cli.commands.run import Word, run_stage
from insideout.cli.commands.shared import program, quoted
from insideout.recipes.language_model import LanguageModel


def main(given: list[str]) -> int:
    """Tune as the flags say."""
    from insideout.recipes.sft import STAGE

    return run_stage(STAGE, given, Word("sft", "Tune a model on conversations, so that it answers.", after=after))


def after(run: LanguageModel) -> str:
    """How it ended, and how to talk to it."""
    result = run.result() or {}
    right = result.get("correct")
    found = "" if right is None else f"Right answers to development questions of the town: {right:.0%}.\n"
    return f"\n{found}Report: {run.report}\n\nTalk to it:\n    {program()} chat --model {quoted(run.path)}"
