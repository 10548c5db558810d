"""Cutting a stream of text into pieces that tokenise as the whole does.

GPT-2's pre-tokenisation never lets a match run from a non-space into a space, and it never looks back. So a cut
between a non-space and the blank or newline after it changes nothing: tokens(a + b) = tokens(a) + tokens(b).
Characters have no such care, they may be cut anywhere. Used by tokens.py and by transformer/tokenizer.py.
"""

import re
from collections.abc import Iterable, Iterator

# Python's \s holds every character of the pattern's \s and a few more, so \S here is a non-space there too.
_BOUNDARY = re.compile(r"\S[ \n]")


def cut_safely(chunks: Iterable[str], size: int = 1 << 16) -> Iterator[str]:
    """The same text in pieces of about `size` characters, cut only where no token can cross."""
    rest = ""
    for chunk in chunks:
        text, start = rest + chunk, 0
        while len(text) - start > size:
            found = _BOUNDARY.search(text, start + size - 1)
            if found is None:
                break
            yield text[start : found.end() - 1]
            start = found.end() - 1
        rest = text[start:]
    if rest:
        yield rest
