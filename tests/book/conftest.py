"""Where the book is, and one home for everything that its chapters train in these tests."""

import os
from pathlib import Path

import pytest

BOOK = Path(__file__).parents[2] / "book"
CHAPTERS = sorted(BOOK.glob("[0-9]*/[0-9][0-9]_*.md"))


@pytest.fixture(scope="session")
def book_environment(tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    """The environment of a reader at tiny scale, with a home that is thrown away."""
    home = tmp_path_factory.mktemp("home")
    return os.environ | {
        "INSIDEOUT_SCALE": "tiny",
        "INSIDEOUT_HOME": str(home),
        "INSIDEOUT_CLAIMS": str(home / "claims"),
    }
