"""`insideout lab`: the reader's own copy of the chapters, brought up to date, in JupyterLab."""

import subprocess
import sys
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import Annotated

import tyro

from insideout import files
from insideout.errors import BadInput


@dataclass(frozen=True)
class Lab:
    """Open your own copy of the chapters in JupyterLab. It is brought up to date first; what you wrote stays."""

    folder: Annotated[Path, tyro.conf.Positional] = Path("my-book")
    """Where the copy is, or shall be."""
    no_open: bool = False
    """Bring the copy up to date, and open nothing."""

    def run(self) -> int:
        from insideout.lab.copies import bring_up_to_date

        folder = files.expanded(str(self.folder), "the folder")
        if folder.exists() and not folder.is_dir():
            raise BadInput(f"{folder} is a file: give a folder, such as my-book.")
        reports = bring_up_to_date(folder)
        for line in filter(None, map(str, reports)):
            print(line)
        made, n = sum(each.new for each in reports), len(reports)
        print(f"Your copy of the book is in {folder}: {n} chapters{f', {made} of them new' if made else ''}.")
        print(f"`insideout check {folder}` marks the answers that you have written there.", flush=True)
        return 0 if self.no_open else jupyter(folder)


def jupyter(folder: Path) -> int:
    """Run JupyterLab until it is stopped; give its exit code."""
    if find_spec("jupyterlab") is None:
        raise BadInput(
            "JupyterLab is not installed: in the project's folder, python -m pip install -e '.[lab]'. Your copy is "
            "there; any other program for notebooks opens it too."
        )
    quiet = "--LabApp.check_for_updates_class=jupyterlab.NeverCheckForUpdate"
    try:
        return subprocess.run([sys.executable, "-m", "jupyterlab", quiet, str(folder)]).returncode
    except KeyboardInterrupt:  # Jupyter has been told too
        return 0
