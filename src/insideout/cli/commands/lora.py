"""`insideout lora`: the stage `lora`: an adapter is tuned on conversations, beside a model that stays as it is.

Taught in book/3-fine-tuning-a-transformer/21_your_own_assistant.md.
"""

from insideout.cli.commands.run import Word, run_stage
from insideout.cli.commands.sft import after


def main(given: list[str]) -> int:
    """Tune as the flags say."""
    from insideout.recipes.lora import STAGE

    about = "Tune an adapter on conversations, beside a model that stays as it is."
    return run_stage(STAGE, given, Word("lora", about, after=after))
