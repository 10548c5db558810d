"""`insideout rloo`: the stage `rloo`: a model that answers learns from what its answers are worth, side by side."""

from insideout.cli.commands.ppo import after
from insideout.cli.commands.run import Word, run_stage


def main(given: list[str]) -> int:
    """Learn as the flags say."""
    from insideout.recipes.rloo import STAGE

    about = "Let a model learn from rewards of its own answers, each compared with the others (RLOO)."
    return run_stage(STAGE, given, Word("rloo", about, after=after))
