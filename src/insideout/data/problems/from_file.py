"""Problems of your own, from a .jsonl: one question and its answer a line, every line checked before any is used.

    {"question": "Tom has 3 apples and eats one. How many are left?", "answer": "3 - 1 = 2\\n#### 2"}
    {"question": "How much is 3 + 4?", "answer": 7}

    suite = FromFile("problems.jsonl")            a tenth of the questions each for development and test, by their words
    suite = FromFile("train.jsonl", test="test.jsonl")

An answer is a number, or a solution that states one, as GSM8K's do. Used in part 4. Standard library only.
"""

import random
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from insideout.data.conversations import lines, named, said
from insideout.data.problems.reading import verdict
from insideout.data.problems.worked import PARTS, judged
from insideout.data.suite import Message, Question, Split, Suite, Verdict
from insideout.errors import BadInput

__all__ = ["FromFile", "read_problems"]

_CALCULATOR = re.compile(r"<<[^<>]*>>")


def read_problems(path: str | Path) -> list[tuple[str, str]]:
    """Every line's question and answer. Raises BadInput, with the line's number, for one that is not what it should be:
    without a question or an answer, with an answer that cannot be read, or with the question of another line and
    another answer.
    """
    found: dict[str, str] = {}
    for line, where in lines(path):
        question, answer = one(line, where)
        if question in found and verdict(found[question], answer) != "right":
            raise BadInput(f"{where} asks what an earlier line asks, and has another answer: keep one of the two.")
        found.setdefault(question, answer)
    return list(found.items())


def one(line: dict[str, Any], where: str) -> tuple[str, str]:
    """The question and the answer of a line."""
    if "question" not in line or "answer" not in line:
        raise BadInput(f"{where} has {named(line)}: it needs a question and an answer.")
    question, answer = said(line, "question", where), line["answer"]
    if isinstance(answer, int | float) and not isinstance(answer, bool):
        answer = str(answer)
    elif not isinstance(answer, str) or not answer.strip():
        raise BadInput(f"{where} has no answer: give a number, or a solution that states one.")
    try:
        verdict("", answer)
    except BadInput as error:
        raise BadInput(f"{where}: {error}") from None
    return question, answer


class FromFile(Suite):
    """The problems of a file, and of another one for the test."""

    parts = PARTS
    max_new_tokens = 256

    def __init__(
        self, path: str | Path, *, test: str | Path | None = None, cue: str = "", chat: bool = True, name: str = ""
    ) -> None:
        """Without `test`, questions are split by a hash of their words. `cue` is said after every question.

        Raises BadInput as `read_problems` does, for a question that stands in both files, and for a split without any.
        """
        self.name = name or Path(path).stem
        self.cue, self.chat = cue, chat
        self.shares = {"train": 0.8, "development": 0.1, "test": 0.1} if test is None else {
            "train": 0.9, "development": 0.1, "test": 0.0,
        }  # fmt: skip
        learned = [self._asked(*each) for each in read_problems(path)]
        kept = [] if test is None else [self._asked(*each) for each in read_problems(test)]
        both = {each.family for each in learned} & {each.family for each in kept}
        if both:
            raise BadInput(f"{path} and {test} share {len(both)} questions, such as {min(both)!r}: test on others.")
        self._questions: dict[Split, list[Question]] = {"train": [], "development": [], "test": kept}
        for question in learned:
            self._questions[super().split_of(question)].append(question)
        self._test = {question.family for question in kept}

    def _asked(self, question: str, answer: str) -> Question:
        text = f"{question} {self.cue}" if self.cue else question
        prompt = (Message("user", text),) if self.chat else f"{text}\n"
        return Question(prompt, answer, kind_of(answer), question)

    def split_of(self, question: Question) -> Split:
        """Where a question belongs: to the test if it is of the test's file, else by a hash of its words."""
        return "test" if question.family in self._test else super().split_of(question)

    def stream(self, split: Split, seed: int = 0) -> Iterator[Question]:
        """The questions of a split in a random order, all of them before any comes again."""
        questions = self._questions[split]
        if not questions:
            raise BadInput(f"{self.name} has no {split} questions: give a file with more lines.")
        source = random.Random(f"{self.name} {split} {seed}")
        while True:
            yield from source.sample(questions, len(questions))

    def judge(self, question: Question, answer: str) -> Verdict:
        """strict, lenient, format, readable."""
        return judged(answer, question.truth)

    def solution(self, question: Question) -> str:
        """The answer as the file has it, without GSM8K's calls of a calculator; a bare number as `#### 7`."""
        answer = _CALCULATOR.sub("", question.truth)
        return answer if "####" in answer or len(answer.split()) > 1 else f"#### {answer.strip()}"

    def demonstrations(self, split: Split, seed: int = 0) -> Iterator[tuple[Message, ...]]:
        """Conversations that end with the file's answer, without end."""
        for question in self.stream(split, seed):
            asked = question.prompt
            turns = (Message("user", asked.rstrip("\n")),) if isinstance(asked, str) else asked
            yield (*turns, Message("assistant", self.solution(question)))


def kind_of(answer: str) -> str:
    """How many lines lead to a stated answer: GSM8K's number of steps. Nothing where there are none."""
    n = len([line for line in answer.splitlines() if line.strip() and not line.lstrip().startswith("####")])
    return "" if "####" not in answer or n == 0 else f"{n} step{'s' if n > 1 else ''}"
