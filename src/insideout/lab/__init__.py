"""What a chapter measures with: claims, intervals, studies, small models, figures.

    from insideout.lab import check, claim, recipe, scale

Used by every chapter. Names load on first use, so that importing this package stays light.
"""

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from insideout.exercises import check
    from insideout.lab.claims import Claimed, ClaimFailed, claim, claim_less, claim_mean
    from insideout.lab.findings import say
    from insideout.lab.measured import difference, interval
    from insideout.lab.small import small_budget, small_config, small_text, train_small
    from insideout.lab.studies import study
    from insideout.recipes.board import scores, stage_scores
    from insideout.recipes.scoreboard import compare
    from insideout.recipes.stage import recipe
    from insideout.scales import scale

__all__ = [
    "ClaimFailed", "Claimed", "check", "claim", "claim_less", "claim_mean", "compare", "difference", "interval",
    "recipe", "say", "scale", "scores", "small_budget", "small_config", "small_text", "stage_scores", "study",
    "train_small",
]  # fmt: skip

_HOME = {
    "compare": "recipes.scoreboard",
    "check": "exercises",
    "difference": "lab.measured",
    "interval": "lab.measured",
    "recipe": "recipes.stage",
    "say": "lab.findings",
    "scale": "scales",
    "scores": "recipes.board",
    "stage_scores": "recipes.board",
    "small_budget": "lab.small",
    "small_config": "lab.small",
    "small_text": "lab.small",
    "study": "lab.studies",
    "train_small": "lab.small",
}
"""Modules of insideout; all other names are lab.claims'. Without its own name, so that code.py does not take all of
them for modules that are used."""


def __getattr__(name: str) -> Any:
    if name not in __all__:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from importlib import import_module

    return getattr(import_module(f"insideout.{_HOME.get(name, 'lab.claims')}"), name)
