r"""Worked solutions: a step is one short line of arithmetic, and the answer follows in a place of its own.

    <think>4+3=7\n7-2=5</think>#### 5        "think": with the two think tokens around the steps
    4+3=7\n7-2=5\n#### 5                     "steps": for a tokenizer without them
    #### 5                                   "direct": the answer at once

A step costs five tokens where each number is one; no word is spent on what the question has said already, and the two
marks are one token each where the tokenizer knows them. `#### 5` is how GSM8K states an answer, so one reader reads
both, and what stands before it is never mistaken for the answer.

A response is cut into pieces, each step with the line end behind it: made into ids piece by piece, the last token of a
step is known without searching for it. Used in part 4. Standard library only.
"""

import operator
import re
from collections.abc import Callable, Iterator, Sequence
from typing import Literal, NamedTuple, get_args

from insideout.errors import BadInput

__all__ = ["END_THINK", "FORMS", "THINK", "Form", "Piece", "Step", "pieces", "read_step", "solution", "steps_in"]

THINK, END_THINK = "<think>", "</think>"
Form = Literal["think", "steps", "direct"]
FORMS: tuple[Form, ...] = get_args(Form)

SIGNS: dict[str, Callable[[int, int], int]] = {
    "+": operator.add, "-": operator.sub, "*": operator.mul, "/": operator.floordiv,
}  # fmt: skip
_STEP = re.compile(r"\s*(\d{1,9})\s*([-+*/])\s*(\d{1,9})\s*=\s*(\d{1,9})\s*")
_ANSWER = re.compile(r"[ \t]*(?:####|A:|(?:So |Therefore, )?[Tt]he answer is)")


class Step(NamedTuple):
    """a sign b = c, of whole numbers from 0 on. What it says need not be so."""

    left: int
    sign: str
    right: int
    result: int

    @property
    def holds(self) -> bool:
        """Is the arithmetic right? A division must leave no rest."""
        if self.sign == "/" and (self.right == 0 or self.left % self.right):
            return False
        return SIGNS[self.sign](self.left, self.right) == self.result

    @property
    def text(self) -> str:
        """`4+3=7`."""
        return f"{self.left}{self.sign}{self.right}={self.result}"

    def same(self, other: "Step") -> bool:
        """Does it say the same? 4+3=7 is 3+4=7."""
        return self == other or (self.sign in "+*" and self == other.turned)

    @property
    def turned(self) -> "Step":
        """The two numbers the other way round."""
        return self._replace(left=self.right, right=self.left)


class Piece(NamedTuple):
    """A stretch of a response. All of them, joined, are the response."""

    text: str
    is_step: bool


def step(left: int, sign: str, right: int) -> Step:
    """The step that holds."""
    return Step(left, sign, right, SIGNS[sign](left, right))


def read_step(line: str) -> Step | None:
    """The step that a line says, blanks allowed; None where it says none."""
    found = _STEP.fullmatch(line)
    return Step(int(found[1]), found[2], int(found[3]), int(found[4])) if found else None


def solution(steps: Sequence[str], answer: str, form: Form = "think") -> str:
    """A worked solution. Raises BadInput for a form that there is not."""
    if form not in FORMS:
        raise BadInput(f"There is no form {form!r} of a solution: choose {', '.join(FORMS)}.")
    stated = f"#### {answer}"
    if form == "direct":
        return stated
    lines = "\n".join(steps)
    return f"{THINK}{lines}{END_THINK}{stated}" if form == "think" else f"{lines}\n{stated}"


def pieces(response: str) -> list[Piece]:
    """A response, cut behind each step: the lines of its thinking, or those before its answer, that are not empty.

    The line end belongs to its step. The marks, and the answer, are no steps.
    """
    begin = response.find(THINK)
    begin = begin + len(THINK) if begin >= 0 else 0
    end = response.find(END_THINK, begin)
    found = [Piece(response[:begin], False)]
    thought = response[begin:end] if end >= 0 else response[begin:]
    rest = response[end:] if end >= 0 else ""
    lines = thought.splitlines(keepends=True)
    for i, line in enumerate(lines):
        if end < 0 and _ANSWER.match(line):
            rest = "".join(lines[i:])
            break
        found.append(Piece(line, bool(line.strip())))
    found.append(Piece(rest, False))
    return [piece for piece in found if piece.text]


def steps_in(response: str) -> Iterator[str]:
    """The steps of a response as they are written, without blanks around them."""
    return (piece.text.strip() for piece in pieces(response) if piece.is_step)
