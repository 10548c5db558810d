"""What a person touches: the command line, recipes, claims, reports, the doctor.

    from insideout.lab import check, claim, recipe, scale

Used by every chapter. Names load on first use, so that importing this package stays light.
"""

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from insideout.exercises import check
    from insideout.lab.claims import Claimed, ClaimFailed, claim
    from insideout.lab.recipes import recipe
    from insideout.lab.scales import scale

__all__ = ["ClaimFailed", "Claimed", "check", "claim", "recipe", "scale"]

_HOME = {
    "check": "insideout.exercises",
    "recipe": "insideout.lab.recipes",
    "scale": "insideout.lab.scales",
}


def __getattr__(name: str) -> Any:
    if name not in __all__:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from importlib import import_module

    return getattr(import_module(_HOME.get(name, "insideout.lab.claims")), name)
