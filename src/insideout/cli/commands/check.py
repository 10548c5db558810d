"""`insideout check`: answers to exercises, and progress."""

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any

import tyro

from insideout.errors import BadInput


@dataclass(frozen=True)
class Check:
    """Run a file of answers to exercises, or list the exercises and your progress."""

    file: Annotated[Path | None, tyro.conf.Positional] = None
    """A Python file that calls check(id, answer). Left out: list exercises and progress."""

    def run(self) -> int:
        if self.file is None:
            return self.show_progress()
        if not self.file.is_file():
            raise BadInput(f"There is no file {self.file}: give a Python file that calls check(id, answer).")
        import runpy

        runpy.run_path(str(self.file), run_name="__main__")
        return 0

    def show_progress(self) -> int:
        from insideout.exercises import all_exercises
        from insideout.exercises.progress import progress

        kept = progress()
        exercises = all_exercises()
        solved = 0
        for each in exercises:
            entry: dict[str, Any] = kept.get(each.id, {})
            solved += bool(entry.get("solved"))
            mark = "✓" if entry.get("solved") else "✗" if entry else "○"
            print(f"{mark} {each.id:<24} {each.stars}  {each.minutes:>2} min")
        print(f"\n{solved} of {len(exercises)} solved.")
        return 0
