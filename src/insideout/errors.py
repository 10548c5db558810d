"""The one error a reader is meant to see: bad input, said in one clear sentence."""

import re

LONGEST_WORD, LONGEST = 250, 1000
"""Characters. Whoever hands us a book by mistake need not read it again in the sentence that refuses it."""


class BadInput(ValueError):
    """Something handed to us cannot be used. The message says what, where, and what to do.

    The command line prints it and leaves with exit code 2; nothing has been overwritten. What is quoted at too great a
    length is shortened.
    """

    def __init__(self, sentence: str) -> None:
        words = re.sub(rf"\S{{{LONGEST_WORD + 1},}}", lambda word: shortened(word[0], LONGEST_WORD), sentence)
        super().__init__(shortened(words, LONGEST))


def shortened(text: str, most: int) -> str:
    """A text of at most so many characters: where it is longer, its middle is left out."""
    tail = most // 4
    return text if len(text) <= most else f"{text[: most - tail - 1]}…{text[len(text) - tail :]}"


def first_line(error: BaseException) -> str:
    """An error's first line, without its full stop: another library's word within a sentence of ours."""
    return next(iter(str(error).strip().splitlines()), type(error).__name__).strip().rstrip(".:")
