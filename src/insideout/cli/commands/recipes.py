"""`insideout recipes`: the stages, and which results are stored."""

from dataclasses import dataclass, field

from insideout import scales


@dataclass(frozen=True)
class Recipes:
    """List the recipes, and which results are stored."""

    scale: scales.Scale = field(default_factory=scales.scale)
    """At which scale."""

    def run(self) -> int:
        from insideout.recipes.stage import in_order, plan, whole

        for name in in_order():
            wanted = plan(name, self.scale)
            print(f"{name:<12} {wanted.stage.about}")
            print(f"{'':<12} {wanted.folder if whole(wanted.folder) else 'not made yet'}")
        return 0
