"""`insideout recipes`: the stages, and which results are stored."""

import os
from dataclasses import dataclass, field

from insideout import scales


@dataclass(frozen=True)
class Recipes:
    """List the recipes, and which results are stored."""

    scale: scales.Scale = field(default_factory=scales.scale)
    """At which scale."""

    def run(self) -> int:
        from insideout.recipes.stage import RECIPES, finished, place

        os.environ["INSIDEOUT_SCALE"] = self.scale
        for name, each in RECIPES.items():
            path = place(name, self.scale)
            print(f"{name:<12} {each.about}\n{'':<12} {path if finished(path) else 'not made yet'}")
        return 0
