"""Where things are kept on the reader's machine: INSIDEOUT_HOME, else the folders that the system sets aside.

Standard library only, unless platformdirs is there to know the system's customs better.
"""

import os
from pathlib import Path


def cache_folder(name: str) -> Path:
    """For what can be made again: downloads, trained models, records of claims."""
    return _home("user_cache_dir", ".cache") / name


def data_folder() -> Path:
    """For what cannot: the reader's progress."""
    return _home("user_data_dir", ".local/share")


def _home(kind: str, customary: str) -> Path:
    chosen = os.environ.get("INSIDEOUT_HOME")
    if chosen:
        return Path(chosen).expanduser()
    try:
        import platformdirs
    except ModuleNotFoundError:
        return Path.home() / customary / "insideout"
    return Path(getattr(platformdirs, kind)("insideout"))
