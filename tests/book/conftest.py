"""Where the book is, and one home for everything that its chapters make in these tests, shared by all processes."""

import os
from pathlib import Path

import pytest

BOOK = Path(__file__).parents[2] / "book"


@pytest.fixture(scope="session")
def shared(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder of this session that the processes of pytest-xdist have in common."""
    own = tmp_path_factory.getbasetemp()
    folder = (own.parent if "PYTEST_XDIST_WORKER" in os.environ else own) / "book"
    folder.mkdir(exist_ok=True)
    return folder


@pytest.fixture(scope="session")
def book_environment(shared: Path) -> dict[str, str]:
    """The environment of a reader at tiny scale, with a home that is thrown away."""
    return os.environ | {"INSIDEOUT_SCALE": "tiny", "INSIDEOUT_HOME": str(shared / "home")}
