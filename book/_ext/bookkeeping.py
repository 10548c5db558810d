"""Cells that only keep books are folded on the pages: those that `insideout.lab.bookkeeping` names."""

import re
from typing import Any

from sphinx.application import Sphinx

from insideout.lab.bookkeeping import is_folded

FOLD = re.compile(r"^(?P<fence>`{3,})\{code-cell\}[^\n]*\n(?P<body>.*?)^(?P=fence)[ \t]*$", flags=re.M | re.S)
TAGS = re.compile(r"^:tags: \[(.*)\]$", flags=re.M)
PROMPT = "Numbers of this paragraph, recorded and checked"


def parts(cell: str) -> tuple[str, str]:
    """The options of a code cell's text (lines that begin with a colon, or a YAML block), and its code."""
    options = re.match(r"(?:---\n.*?\n---\n|(?::[^\n]*\n)*)", cell, flags=re.S)
    end = options.end() if options else 0
    return cell[:end], cell[end:]


def folded(text: str) -> str:
    """A chapter's text with the tag `hide-cell` on every cell that only keeps books."""

    def marked(found: re.Match[str]) -> str:
        options, code = parts(found["body"])
        if options.startswith("---") or "hide" in options or "remove" in options or not is_folded(code):
            return found[0]
        tags = TAGS.search(options)
        line = f":tags: [{tags[1]}, hide-cell]" if tags else ":tags: [hide-cell]"
        kept = TAGS.sub("", options).strip("\n")
        options = "\n".join(filter(None, [line, kept])) + "\n"
        opening = found[0][: found.start("body") - found.start()]
        return f"{opening}{options}{code}{found['fence']}"

    return FOLD.sub(marked, text)


def fold(app: Sphinx, docname: str, source: list[str]) -> None:
    """Before a chapter is parsed: fold what only keeps books."""
    if source[0].startswith("---\n"):
        source[0] = folded(source[0])


def setup(app: Sphinx) -> dict[str, Any]:
    """Register with Sphinx."""
    app.connect("source-read", fold)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
