"""What suites of problems with one number as their answer share: judging, solutions to learn from, labels of steps.

    suite.judge(question, response)           strict, lenient, format, readable
    suite.solution(question, "think")         <think>4+3=7 ...</think>#### 5
    suite.steps_right(question, response)     [True, True, False, None]

strict: the right answer, stated as it was asked for. lenient: the right answer, however it is stated. format: stated as
it was asked for, right or not. readable: some answer was found. Used in part 4. Standard library only.
"""

import random
from abc import abstractmethod
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

from insideout.checks import whole
from insideout.data.problems.reading import strict, verdict
from insideout.data.problems.steps import FORMS, Form, Step, read_step, solution, steps_in
from insideout.data.suite import Message, Question, Split, Suite, Verdict, tries
from insideout.errors import BadInput

__all__ = ["PARTS", "Worked", "WorkedSuite", "judged"]

PARTS = ("strict", "lenient", "format", "readable")


@dataclass(frozen=True)
class Worked:
    """A problem's answer, and the steps that lead to it, in order."""

    answer: int
    steps: tuple[Step, ...]
    structure: tuple[str, ...] = ()
    """What happens, step by step, without its numbers and words."""
    n_distractors: int = 0
    """Sentences that have nothing to do with the answer."""
    numbers: tuple[int, ...] = field(default=())
    """That were given, in the order of the solution."""


def judged(response: str, gold: str) -> Verdict:
    """The parts of a verdict on a response whose answer is a number. Raises BadInput for a gold that cannot be read."""
    stated, found = strict(response, gold), verdict(response, gold)
    values = (stated == "right", found == "right", stated != "unreadable", found != "unreadable")
    return Verdict(dict(zip(PARTS, values, strict=True)))


class WorkedSuite(Suite):
    """Problems of so many steps. To make one: `problem(random, k)`, which may fail and give None."""

    parts = PARTS

    def __init__(self, steps: Sequence[int], held_out_steps: Sequence[int], cue: str, chat: bool) -> None:
        """`steps`: how many there may be, each as often; of `held_out_steps` no training question has as many.

        `cue` is said after every question. With `chat` a question is a conversation, else a text to be continued.
        """
        known = tuple(sorted({whole("the number of steps", each, 0) for each in steps}))
        if not known or known[0] < 1:
            raise BadInput(f"Problems of {list(steps)} steps cannot be made: give numbers from 1 on.")
        if not set(held_out_steps) < set(known):
            raise BadInput(
                f"The lengths {list(held_out_steps)} cannot be held out of {list(known)}: hold out some of them, and "
                "leave one at least to train on."
            )
        self.steps, self.held_out_steps = known, tuple(sorted(set(held_out_steps)))
        self.cue, self.chat = cue, chat
        self.max_new_tokens = 8 + 12 * known[-1]  # even with a token for each digit and sign

    @abstractmethod
    def problem(self, source: random.Random, k: int, split: Split | None) -> tuple[str, Worked, str] | None:
        """Its words, its truth and its family; None for a try that failed, or that cannot belong to the split."""

    def stream(self, split: Split, seed: int = 0) -> Iterator[Question]:
        """Questions of a split without end; one may come twice."""
        source = random.Random(f"{self.name} {split} {seed}")
        lengths = [k for k in self.steps if split != "train" or k not in self.held_out_steps]
        while True:
            k = source.choice(lengths)  # first the length, so that each is as frequent in every split
            for _ in tries(f"{self.name} of {k} steps", split):
                question = self._tried(source, k, split)
                if question is not None and self.split_of(question) == split:
                    yield question
                    break

    def propose(self, random: random.Random) -> Question:
        """Any question, of any split."""
        k = random.choice(self.steps)
        found = (self._tried(random, k, None) for _ in tries(f"{self.name} of {k} steps", "possible"))
        return next(question for question in found if question is not None)

    def _tried(self, source: random.Random, k: int, split: Split | None) -> Question | None:
        found = self.problem(source, k, split)
        if found is None:
            return None
        text, truth, family = found
        text = f"{text} {self.cue}" if self.cue else text
        prompt = (Message("user", text),) if self.chat else f"{text}\n"
        return Question(prompt, truth, f"{k} step{'s' if k > 1 else ''}", family)

    def split_of(self, question: Question) -> Split:
        """By a hash of its family; of lengths that are held out half belong to development, half to test."""
        return self.split_of_family(question.family, len(question.truth.steps))

    def split_of_family(self, family: str, k: int) -> Split:
        """Where the problems of a family, of k steps, belong."""
        split = super().split_of(Question("", family=family))
        if k not in self.held_out_steps:
            return split
        return "development" if random.Random(f"{self.name} {family}").random() < 0.5 else "test"

    def judge(self, question: Question, answer: str) -> Verdict:
        """strict, lenient, format, readable."""
        return judged(answer, str(question.truth.answer))

    def solution(self, question: Question, form: Form = "think") -> str:
        """The worked solution. Raises BadInput for a form that there is not."""
        return solution([step.text for step in question.truth.steps], str(question.truth.answer), form)

    def demonstrations(self, split: Split, seed: int = 0, form: Form = "think") -> Iterator[tuple[Message, ...]]:
        """Conversations that end with a worked solution, without end."""
        if form not in FORMS:
            raise BadInput(f"There is no form {form!r} of a solution: choose {', '.join(FORMS)}.")
        for question in self.stream(split, seed):
            asked = question.prompt
            turns = (Message("user", asked.rstrip("\n")),) if isinstance(asked, str) else asked
            yield (*turns, Message("assistant", self.solution(question, form)))

    def steps_right(self, question: Question, response: str) -> list[bool | None]:
        """A label for each step of a response: True up to the first that is wrong, False for it, None after it.

        Exact, with nothing estimated. A step is right if it is the next one of the solution, whichever way round a sum
        or a product is written: in these problems each step needs the one before it. After the first error there is no
        right and wrong: what goes on from there leads nowhere. A line that says no step is wrong, and so is one too
        many. The same numbers grouped otherwise (first all that is found, then the sum) count as wrong.
        Source: labels up to the first error, Lightman et al. 2023, §2.
        """
        needed = question.truth.steps
        labels: list[bool | None] = []
        for i, line in enumerate(steps_in(response)):
            said = read_step(line)
            failed = bool(labels) and labels[-1] is not True
            labels.append(None if failed else said is not None and i < len(needed) and said.same(needed[i]))
        return labels
