"""Values in print: short enough to read, long enough to tell two apart.

show([[0.123456, 2]])                        '[[0.1235, 2]]'
show_two(1.0000001, 1.0)                     ('1.0000001', '1')
write(text, file)                            to a stream of any encoding
"""

import sys
from typing import Any, TextIO

from insideout.exercises.comparing import as_list, is_array

LONGEST = 240
"""Characters of a value that is shown whole."""


def show(value: Any, digits: int = 4) -> str:
    """A value on one line; one too long for it by its form."""
    text = whole(value, digits)
    if len(text) <= LONGEST:
        return text
    return f"{form(value)}, beginning {text[: LONGEST // 3].rstrip(' ,')} …"


def show_two(given: Any, right: Any) -> tuple[str, str]:
    """Two values with as many digits as it takes to tell them apart."""
    for digits in (4, 8, 17):
        texts = show(given, digits), show(right, digits)
        if whole(given, digits) != whole(right, digits):
            break
    return texts


def whole(value: Any, digits: int = 4) -> str:
    """All of a value, its numbers rounded to so many digits."""
    if is_array(value):
        numbers = whole(as_list(value), digits)
        return f"{type(value).__name__.lower()}({numbers})" if value.shape else numbers
    if isinstance(value, float):
        return f"{value:.{digits}g}"
    if isinstance(value, list):
        return f"[{', '.join(whole(each, digits) for each in value)}]"
    if isinstance(value, tuple):
        return f"({', '.join(whole(each, digits) for each in value)}{',' if len(value) == 1 else ''})"
    if isinstance(value, dict):
        return f"{{{', '.join(f'{key!r}: {whole(each, digits)}' for key, each in value.items())}}}"
    if callable(value) and " at 0x" in repr(value):
        return "a function"
    text = repr(value)
    return text if " at 0x" not in text else f"a {type(value).__name__}"


def form(value: Any) -> str:
    """What a long value is."""
    if is_array(value):
        return f"a {type(value).__name__.lower()} of shape {tuple(value.shape)}"
    if isinstance(value, list | tuple) and value and all(isinstance(row, list | tuple) for row in value):
        return f"{len(value)} rows"
    if isinstance(value, list | tuple | dict):
        return f"a {type(value).__name__} of {len(value)}"
    return f"a {type(value).__name__}"


PLAIN = str.maketrans({
    "✓": "+", "✗": "x", "○": "o", "★": "*", "☆": ".", "“": '"', "”": '"', "→": "->", "√": "sqrt ", "−": "-", "·": "*",
    "×": "x", "…": "...", "≤": "<=", "≥": ">=", "∞": "inf", "Σ": "sum ", "β": "beta", "ε": "epsilon", "γ": "gamma",
    "η": "eta", "λ": "lambda", "μ": "mu", "τ": "tau", "Φ": "Phi", "φ": "phi", "⊙": "*", "½": "1/2", "ᵀ": "^T",
    "²": "^2", "ᵗ": "^t", "—": "-", "–": "-",
})  # fmt: skip


def write(text: str, file: TextIO | None = None) -> None:
    """Print a line to a stream of any encoding: what it cannot show is spelled out, or becomes a question mark."""
    file = sys.stdout if file is None else file
    encoding = getattr(file, "encoding", None) or "utf-8"
    try:
        text.encode(encoding)
    except (UnicodeEncodeError, LookupError):
        plain = "".join(each if fits(each, encoding) else each.translate(PLAIN) for each in text)
        text = plain.encode("ascii" if not fits("é", encoding) else encoding, "replace").decode(encoding, "replace")
    print(text, file=file)


def fits(character: str, encoding: str) -> bool:
    try:
        character.encode(encoding)
    except (UnicodeEncodeError, LookupError):
        return False
    return True
