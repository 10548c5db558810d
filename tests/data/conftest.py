"""Published data, where this machine has it."""

import os
from pathlib import Path

import pytest


@pytest.fixture(scope="session")
def shared_data() -> str:
    """The INSIDEOUT_DATA that the tests were started with; skips when it has no tinyshakespeare.txt."""
    folders = _AT_START.split(os.pathsep)
    if not any(folder and (Path(folder) / "tinyshakespeare.txt").exists() for folder in folders):
        pytest.skip("tinyshakespeare.txt is not in a folder of INSIDEOUT_DATA")
    return _AT_START


_AT_START = os.environ.get("INSIDEOUT_DATA", "")
