"""`insideout draw`: let a trained model draw, from noise."""

import difflib
import math
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, get_type_hints

from insideout import files, scales
from insideout.cli.commands.shared import RUNS
from insideout.errors import BadInput, shortened

if TYPE_CHECKING:
    from insideout.images.solvers import Solution
    from insideout.recipes.picture_model import Drawer
    from insideout.recipes.scenes_drawer import SceneDrawer

FRAMES = 40
"""The most that an animation has."""
MOST = 10**9
"""Numbers of all pictures together that are kept at once: 4 GB."""
SMALLEST = 48
"""Pictures with a smaller side are drawn larger, by a whole factor."""


@dataclass(frozen=True)
class Draw:
    """Let a trained model draw, from noise."""

    recipe: str = ""
    """Whose model: the name of a recipe that draws. It is made first where it is not stored. Default: digits_drawer, or
    scenes_drawer where there is a prompt."""
    model: str | None = None
    """Instead of a recipe, the folder of a run of one."""
    label: tuple[str, ...] = ()
    """What to draw: classes by name or number. Default: each class once."""
    prompt: tuple[str, ...] = ()
    """What to draw, in words: sentences such as "a red circle above a blue square", for a model that reads them."""
    n: int = 1
    """How many of each."""
    steps: int = 20
    """Steps of the solver."""
    solver: Literal["euler", "heun", "rk4"] = "heun"
    """How the field is followed: one, two or four calls of the model a step."""
    guidance: float | None = None
    """How far to go towards the class: 1 is as it was learned, 0 leaves the class out. Default: 1.5, and 1 for a model
    that knows no classes."""
    seed: int = 0
    """Another seed, other pictures."""
    out: str = "drawn.png"
    """The file for the pictures."""
    animation: str | None = None
    """A file for their way from noise: .gif, or .png for an animated PNG."""
    scale: scales.Scale | None = None
    """Of the recipe: tiny, laptop or gpu. Default: the present one."""

    def run(self) -> int:
        out = writable(self.out, "--out", (".png",))
        animation = writable(self.animation, "--animation", (".gif", ".png", ".apng")) if self.animation else None
        if out == animation:
            raise BadInput("--out and --animation name the same file: give two.")
        if not 1 <= self.n <= 1000:
            raise BadInput(f"n is {self.n}; it must lie between 1 and 1,000.")
        if not 1 <= self.steps <= 10_000:
            raise BadInput(f"steps is {self.steps}; it must lie between 1 and 10,000.")
        if self.guidance is not None and not -100 <= self.guidance <= 100:
            raise BadInput(f"guidance is {self.guidance}; it must lie between -100 and 100, and 1 is none.")
        if not 0 <= self.seed < 2**63:
            raise BadInput(f"seed is {self.seed}; it must be at least 0 and less than 2^63.")
        if self.prompt:
            from insideout.data.pictures.captions import encode

            encode(self.prompt)  # before a model is made
        drawer = found(self.recipe or ("scenes_drawer" if self.prompt else "digits_drawer"), self.model, self.scale)
        from insideout.images.files import sheet, write_animation, write_png

        n_kept = (self.steps + 1 if animation else 1) * self.n * max(1, len(self.label or self.prompt or drawer.names))
        if n_kept * math.prod(drawer.shape) > MOST:
            raise BadInput(f"{n_kept:,} pictures would have to be kept at once: ask for fewer, or for fewer steps.")
        solution, columns = self.drawn(drawer, animation is not None)
        enlarged = -(-SMALLEST // drawer.shape[1])
        write_png(sheet(solution.x, columns, enlarged), out)
        n = len(solution.x)
        print(f"{n} picture{'s' if n > 1 else ''}, {solution.n_calls} calls of the field each: {out}")
        if animation is not None and solution.trajectory is not None:
            every = -(-len(solution.trajectory) // FRAMES)
            kept = [*solution.trajectory[:-1:every], solution.trajectory[-1]]
            write_animation([sheet(each, columns, enlarged) for each in kept], animation)
            print(f"Their way from noise: {animation}")
        return 0

    def drawn(self, drawer: "Drawer | SceneDrawer", keep_trajectory: bool) -> "tuple[Solution, int]":
        """The pictures, and how many columns they make. Raises BadInput where the model cannot be asked so."""
        from insideout.images.painter import draw_captions
        from insideout.recipes.picture_model import Drawer

        classless = isinstance(drawer, Drawer) and not drawer.about["model"]["n_classes"]
        guidance = self.guidance if self.guidance is not None else 1.0 if classless else 1.5
        how: dict[str, Any] = {
            "n_steps": self.steps, "solver": self.solver, "guidance": guidance, "seed": self.seed,
            "keep_trajectory": keep_trajectory,
        }  # fmt: skip
        if isinstance(drawer, Drawer):
            if self.prompt:
                raise BadInput("This model draws classes and reads no prompt: name them by --label.")
            if classless:
                if self.label:
                    raise BadInput("This model knows no classes: leave out --label, and say by --n how many to draw.")
                return drawer.draw(None, n=self.n, **how), min(10, self.n)
            labels = labels_of(self.label or drawer.names, drawer.names)
            return drawer.draw(labels * self.n, **how), len(labels)
        if self.label or not self.prompt:
            raise BadInput('This model draws what a sentence says: give --prompt, such as "a red circle".')
        return draw_captions(drawer.model(), self.prompt * self.n, **how), len(self.prompt)


def writable(name: str, flag: str, endings: tuple[str, ...]) -> Path:
    """The path of a file that can be written. Raises BadInput for another ending, or a folder that is not there."""
    path = files.expanded(name, flag) if name else Path()
    if path.suffix.lower() not in endings:
        raise BadInput(f"{flag} is {name!r}: name a file that ends in {' or '.join(endings)}.")
    if path.is_dir() or not path.parent.is_dir():
        raise BadInput(f"{path} cannot be written: {'it is a folder' if path.is_dir() else 'its folder is not there'}.")
    return path


def found(recipe: str, folder: str | None, at: scales.Scale | None) -> "Drawer | SceneDrawer":
    """The model that draws: of a run's folder, or of a recipe, which is made if need be."""
    from insideout.recipes import stage
    from insideout.recipes.picture_model import Drawer
    from insideout.recipes.runs import read_object
    from insideout.recipes.scenes_drawer import SceneDrawer

    if folder is not None:
        path = files.expanded(folder, "--model") if folder else RUNS
        about = path / "config.json"
        if not about.is_file():
            raise BadInput(f"There is no model in {path}: give the folder of a run of ours.")
        result = stage.find(str(read_object(about).get("stage"))).load(path)
    else:
        wanted = stage.find(recipe)
        if not draws(wanted):
            named = ", ".join(name for name in stage.STAGES if draws(stage.find(name)))
            raise BadInput(f"The recipe {recipe} does not draw: choose one of {named}.")
        result = stage.recipe(recipe, scale=at)
    if not isinstance(result, Drawer | SceneDrawer):
        raise BadInput(f"{folder} holds no model that draws: give the folder of one that does.")
    return result


def draws(stage: Any) -> bool:
    """Does a stage make a model that draws?"""
    from insideout.recipes.picture_model import Drawer
    from insideout.recipes.scenes_drawer import SceneDrawer

    made = get_type_hints(stage.load).get("return")
    return isinstance(made, type) and issubclass(made, Drawer | SceneDrawer)


def labels_of(asked: tuple[str, ...], names: tuple[str, ...]) -> list[int]:
    """Classes by name or number. Raises BadInput for one that is not there, naming the nearest."""
    labels = []
    for each in asked:
        if each in names:
            labels.append(names.index(each))
        elif each.isdecimal() and len(each) < 10 and int(each) < len(names):
            labels.append(int(each))
        else:
            near = difflib.get_close_matches(each, names, n=1)
            hint = f"did you mean {near[0]!r}?" if near else f"there is {', '.join(names)}."
            raise BadInput(f"There is no class {shortened(each, 80)!r}; {hint}")
    return labels
