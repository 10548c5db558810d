r"""Reading an answer: what number does a text end in, and is it the right one?

    verdict("She has 9 · 2 = 18 dollars. #### 18", "18")      right, wrong or unreadable
    strict("... The answer is 18.", "18")                     the same, but only in the form that was asked for

An answer is *stated* where it follows `####`, `A:`, `Answer:`, `the answer is`, or stands in `\boxed{}`. The last
statement counts; where there is none, the last number of the text. Never counted: what stands in thinking that has been
closed, all of a text whose thinking has not, and what a model goes on to write after its answer (`Q: ...`). A statement
of two numbers (`12 or 15`, `3 + 4`) is unreadable: nothing is evaluated, and nobody is right by saying several things.

Numbers are compared exactly, as fractions. A percent sign is a unit that may be left out (50% is 50, and 0.5); so are a
currency and other units. Standard library only. Used in part 4.
Sources: Cobbe et al. 2021 (GSM8K: `#### `, and commas in numbers); Hendrycks et al. 2021 (MATH: `\boxed{}`).
"""

import re
from fractions import Fraction
from typing import Literal, NamedTuple

from insideout.errors import BadInput, shortened

__all__ = ["Found", "strict", "verdict"]

Found = Literal["right", "wrong", "unreadable"]

LONGEST = 60
"""Digits of a number that is read; a longer one is unreadable."""
LARGEST = 60
"""Largest exponent that is read."""

ONES = [
    "zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine", "ten", "eleven", "twelve",
    "thirteen", "fourteen", "fifteen", "sixteen", "seventeen", "eighteen", "nineteen",
]  # fmt: skip
DECADES = ("twenty", "thirty", "forty", "fifty", "sixty", "seventy", "eighty", "ninety")
TENS = {word: 10 * n for n, word in enumerate(DECADES, 2)}
WORDS = {word: n for n, word in enumerate(ONES)} | TENS
WORDS |= {f"{ten}{joint}{one}": TENS[ten] + WORDS[one] for ten in TENS for one in ONES[1:10] for joint in ("-", " ")}
SCALES = {"hundred": 10**2, "thousand": 10**3, "million": 10**6, "billion": 10**9}
HALVES = {"½": "1/2", "⅓": "1/3", "⅔": "2/3", "¼": "1/4", "¾": "3/4", "⅕": "1/5", "⅛": "1/8"}

CURRENCY = r"[$£€¥₹]"
PLAIN = r"(?:\d{1,3}(?:,\d{3})+|\d+)(?:\.\d+)?|\.\d+"
NUMBER = re.compile(
    rf"(?P<sign>(?<![\w.)])[-+])?\s?{CURRENCY}?(?P<minus>-)?(?<![\w.:/])"
    rf"(?:(?P<whole>\d+)[ ](?P<over>\d+)/(?P<under>\d+)|(?P<top>{PLAIN})\s?/\s?(?P<bottom>\d+)"
    rf"|(?P<plain>{PLAIN})(?:[eE](?P<exponent>[-+]?\d+))?)"
    r"(?![\d:/]|,\d|\.\d|(?:st|nd|rd|th)\b)(?P<percent>\s?%|\s?percent\b)?"
    rf"(?:\s(?P<scale>{'|'.join(SCALES)})\b)?"
)
WORD = re.compile(
    rf"\b(?P<word>{'|'.join(sorted(WORDS, key=len, reverse=True))})(?:\s(?P<scale>{'|'.join(SCALES)}))?\b"
)
STATED = re.compile(
    r"####|\\boxed\{|^[ \t]*\**A\**[ \t]*:|\banswer\b[ \t]*\**[ \t]*(?::|=|is\b)(?:[ \t]*:)?",
    re.IGNORECASE | re.MULTILINE,
)
STRICT = re.compile(r"^[ \t]*(?:####|A:|(?:So |Therefore, )?[Tt]he answer is:?)[ \t]*(?P<said>.+?)\.?[ \t]*$")
NEXT_PROBLEM = re.compile(r"\n[ \t]*(?:Q|Question|Problem)\s*:", re.IGNORECASE)
ANOTHER = re.compile(r"\s*(?:or|and|to|,|;|–|-|/)\s*(?:\w+\s+){0,1}$", re.IGNORECASE)
OPERATOR = re.compile(r"^\s*(?:[+*×·÷/^]|-\s?\d|\\times|\\cdot|x\s\d)")
SENTENCE = re.compile(r"(?<!\d)[.!?](?:\s|$)|(?<=\d)[.!?](?:\s+\D|\s*$)|\n")


class Value(NamedTuple):
    """A number as it was written."""

    number: Fraction
    percent: bool


def verdict(response: str, gold: str) -> Found:
    """Is the answer of a response the gold one? `gold` is a number, or a worked solution that states one.

    Raises BadInput for a gold answer that cannot be read: it is an error, never a reward.
    """
    return compared(answer_of(response), gold)


def strict(response: str, gold: str) -> Found:
    """The same, but unreadable unless the last line says `#### n`, `A: n` or `The answer is n.`, and nothing more."""
    told = told_aloud(response)
    lines = [line for line in (told or "").splitlines() if line.strip()]
    found = STRICT.match(lines[-1]) if lines else None
    said = found["said"].strip() if found else ""
    number = NUMBER.match(said)
    whole = number is not None and number.end() == len(said)
    return compared(value_of(number) if whole and number is not None else None, gold)


def compared(answer: Value | None, gold: str) -> Found:
    """The verdict on an answer as it was read."""
    told = told_aloud(gold) or ""
    sure = STATED.search(told) or len({value_of(each) for each in NUMBER.finditer(told)}) == 1
    wanted = answer_of(gold) if sure else None
    if wanted is None:
        raise BadInput(
            f"The gold answer {shortened(gold, 60)!r} cannot be read: give one number, or a solution that states it."
        )
    if answer is None:
        return "unreadable"
    return "right" if meanings(answer) & meanings(wanted) else "wrong"


def meanings(value: Value) -> set[Fraction]:
    """What a number may mean: a percentage is so many, or so many hundredths."""
    return {value.number, value.number / 100} if value.percent else {value.number}


def answer_of(text: str) -> Value | None:
    """The number that a text states last, else its last number; None where there is none that can be read."""
    told = told_aloud(text)
    if told is None:
        return None
    statements = list(STATED.finditer(told))
    if statements:
        last = statements[-1]
        return stated(told[last.end() :], boxed=last[0].endswith("{"))
    numbers = list(NUMBER.finditer(told))
    return value_of(numbers[-1]) if numbers else None


def told_aloud(text: str) -> str | None:
    """A text without its thinking, up to where it goes on to another problem. None: the thinking never ends.

    Raises BadInput for what is no text.
    """
    if not isinstance(text, str):
        raise BadInput(f"An answer is read from text, not {type(text).__name__}: give a str.")
    text = text.replace("−", "-").replace("\u202f", " ").replace("\u00a0", " ")
    for sign, written in HALVES.items():
        text = re.sub(rf"(\d){sign}", rf"\1 {written}", text).replace(sign, written)
    text = re.sub(r"\*\*([^*\n]{1,80})\*\*", r"\1", text)  # bold
    text = re.sub(r"\\[dt]?frac\{(\d+)\}\{(\d+)\}", r"\1/\2", text)
    text = re.sub(r"\\text\{([^{}]*)\}", r" \1", text).replace("\\$", "$").replace("\\%", "%").replace("{,}", ",")
    opened, closed = text.rfind("<think>"), text.rfind("</think>")
    if opened > closed:
        return None
    text = text[closed + len("</think>") :] if closed >= 0 else text
    first = min((found.end() for found in (STATED.search(text), NUMBER.search(text)) if found), default=0)
    cut = NEXT_PROBLEM.search(text, first)
    return text[: cut.start()] if cut else text


def stated(said: str, boxed: bool) -> Value | None:
    """The one number that a statement gives. None where it gives none, an expression, or several that differ."""
    if re.match(r"\s*not\b", said):
        return None
    said = said[: closing(said)] if boxed else said.lstrip(" \t*:$" if not said.lstrip().startswith("$") else " \t*:")
    end = SENTENCE.search(said)
    said = said[: end.start()] if end else said
    if "=" in said:
        said = said.rpartition("=")[2]
    found = [(each.start(), each.end(), value_of(each)) for each in NUMBER.finditer(said)]
    if not found:
        found = [(each.start(), each.end(), in_words(each)) for each in WORD.finditer(said.lower())]
    if not found:
        return None
    (_, end_of_first, first), *others = found
    if OPERATOR.match(said[end_of_first:]):
        return None  # an expression, which nobody evaluates
    for start, _, other in others[:1]:
        if other != first and ANOTHER.fullmatch(said[end_of_first:start]):
            return None
    return first


def closing(said: str) -> int:
    """Where the brace closes that was opened before."""
    depth = 1
    for i, letter in enumerate(said):
        depth += {"{": 1, "}": -1}.get(letter, 0)
        if depth == 0:
            return i
    return len(said)


def value_of(found: re.Match[str]) -> Value | None:
    """A number from its parts; None for one too long to be meant, or divided by 0."""
    parts = found.groupdict()
    if sum(letter.isdigit() for letter in found[0]) > LONGEST:
        return None
    exponent = int(parts["exponent"] or 0) if len(parts["exponent"] or "") < 5 else LARGEST + 1
    if abs(exponent) > LARGEST or any(parts[name] and not int(parts[name]) for name in ("under", "bottom")):
        return None
    if parts["whole"] is not None:
        number = int(parts["whole"]) + Fraction(int(parts["over"]), int(parts["under"]))
    elif parts["top"] is not None:
        number = Fraction(parts["top"].replace(",", "")) / int(parts["bottom"])
    else:
        number = Fraction(parts["plain"].replace(",", "")) * Fraction(10) ** exponent
    number *= SCALES.get(parts["scale"] or "", 1)
    return Value(-number if "-" in (parts["sign"], parts["minus"]) else number, parts["percent"] is not None)


def in_words(found: re.Match[str]) -> Value:
    """A number that was written in words."""
    return Value(Fraction(WORDS[found["word"]] * SCALES.get(found["scale"] or "", 1)), False)
