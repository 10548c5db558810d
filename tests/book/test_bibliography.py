"""The bibliography can be read whole, and holds what the chapters cite."""

import re
from pathlib import Path

from pybtex.database import parse_file

BOOK = Path(__file__).parents[2] / "book"


def test_every_entry_is_closed_and_every_citation_has_one() -> None:
    entries = set(parse_file(str(BOOK / "references.bib")).entries)  # raises where an entry is open, or stands twice
    for path in BOOK.glob("[0-9]*/*.md"):
        cited = re.findall(r"\{cite\}`([^`]+)`", path.read_text("utf-8"))
        missing = {key.strip() for keys in cited for key in keys.split(",")} - entries
        assert not missing, f"{path.name} cites {missing}"
