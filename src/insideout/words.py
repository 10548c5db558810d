"""Numbers, units and times as a person would write them. Standard library only."""

import math
import re
import unicodedata

STEERING = ("Cc", "Cf", "Cs", "Zl", "Zp")
"""Unicode's control and format characters, halves of surrogate pairs, and line separators."""
SAFE = "\n\t\u00ad\u200c\u200d"
"""Of these, what a text may need: line break, tab, soft hyphen, and the joiners of scripts and emoji."""
NO_SPACE = ("×", "%", "°")


def rounded(value: float, digits: int) -> str:
    """A number to so many significant digits, without an exponent where a reader would not expect one.

    rounded(5.31, 2) = "5.3"; rounded(1234.5, 3) = "1,234"; rounded(2e-9, 3) = "2.00e-09".
    """
    if not math.isfinite(value):
        return {True: "∞", False: "−∞"}[value > 0] if math.isinf(value) else "not a number"
    if value == 0:
        return "0"
    if value == int(value) and abs(value) < 1e15:
        return f"{int(value):,}"
    size = math.floor(math.log10(abs(value)))
    if size < -4:
        return f"{value:.{digits - 1}e}"
    return f"{value:,.{max(0, digits - 1 - size)}f}"


EXPONENT = re.compile(r"(?P<sign>[-−]?)(?P<digits>\d+(?:\.\d+)?)e(?P<power>[+-]\d+)")
RAISED = str.maketrans("-0123456789", "⁻⁰¹²³⁴⁵⁶⁷⁸⁹")
ROUNDING = -9
"""Powers of ten below which only the order of a number is said in a sentence: such are differences from rounding."""


def in_prose(text: str) -> str:
    """Exponents as a sentence shows them: 4.77e-07 as 4.77 × 10⁻⁷, and 1.30e-16, which is rounding, as 10⁻¹⁶."""

    def raised(found: re.Match[str]) -> str:
        sign, size = "−" if found["sign"] else "", math.log10(float(found["digits"])) + int(found["power"])
        if size < ROUNDING:
            return f"{sign}10{str(round(size)).translate(RAISED)}"
        return f"{sign}{found['digits']} × 10{str(int(found['power'])).translate(RAISED)}"

    return EXPONENT.sub(raised, text)


def with_unit(number: str, unit: str) -> str:
    """`5.3×`, `12 %` with a narrow no-break space, `3 s`."""
    if not unit:
        return number
    return number + unit if unit in NO_SPACE[:1] else f"{number}\u202f{unit}"


def number(value: float | None, digits: int) -> str:
    """A number with so many decimals; a dash where there is none yet."""
    return "–" if value is None else f"{value:,.{digits}f}"


def duration(seconds: float | None) -> str:
    """63.2 -> "1 min 03 s"."""
    if seconds is None:
        return "–"
    minutes, rest = divmod(round(max(0.0, seconds)), 60)
    hours, minutes = divmod(minutes, 60)
    if hours:
        return f"{hours} h {minutes:02d} min"
    return f"{minutes} min {rest:02d} s" if minutes else f"{rest} s"


def harmless(text: str) -> str:
    """Text that a terminal can be given: what would steer it (escape, bell, a change of writing direction) is written
    out as Python would write it."""
    return "".join(repr(c)[1:-1] if c not in SAFE and unicodedata.category(c) in STEERING else c for c in text)
