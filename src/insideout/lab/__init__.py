"""What a person touches: the command line, recipes, claims, reports, the doctor.

    from insideout.lab import check, claim, recipe, scale

Used by every chapter. Names load on first use, so that importing this package stays light.
"""

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from insideout.estimates import difference, interval
    from insideout.exercises import check
    from insideout.lab.claims import Claimed, ClaimFailed, claim, claim_less, claim_mean
    from insideout.lab.findings import say
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

_HOME: dict[str, str] = {
    "check": "insideout.exercises",
    "compare": "insideout.recipes.scoreboard",
    "recipe": "insideout.recipes.stage",
    "scale": "insideout.scales",
    "say": "insideout.lab.findings",
    "study": "insideout.lab.studies",
}
_HOME |= dict.fromkeys(("scores", "stage_scores"), "insideout.recipes.board")
_HOME |= dict.fromkeys(("difference", "interval"), "insideout.estimates")
_HOME |= dict.fromkeys(("small_budget", "small_config", "small_text", "train_small"), "insideout.lab.small")


def __getattr__(name: str) -> Any:
    if name not in __all__:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from importlib import import_module

    return getattr(import_module(_HOME.get(name, "insideout.lab.claims")), name)
