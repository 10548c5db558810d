"""`insideout train-images`: the stage `folder_drawer`: a model learns to draw such pictures as lie in a folder."""

from insideout.cli.commands.run import Word, run_stage
from insideout.cli.commands.shared import program, quoted
from insideout.recipes.folder_drawer import SHEET, FolderDrawer


def main(given: list[str]) -> int:
    """Train as the flags say."""
    from insideout.recipes.folder_drawer import STAGE

    about = "Train a model that draws on a folder of pictures, in folders by class or not."
    return run_stage(STAGE, given, Word("train-images", about, after=after))


def after(run: FolderDrawer) -> str:
    """What it draws, and how to let it draw more."""
    n = run.about["data"]["pictures"]
    held_out = n["development"] + n["test"]
    return (
        f"\nLearned from {n['train']:,} pictures, {held_out:,} held out.\nDrawn: {run.path / SHEET}\n"
        f"Report: {run.report}\n\nLet it draw:\n    {program()} draw --model {quoted(run.path)}"
    )
