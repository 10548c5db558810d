"""Word problems of the town: people who find, lose, give and compare what they have, in k steps.

    Anna had 4 apples. Ben had 2 more apples than Anna. Ben ate 3 apples. How many apples does Ben have now?
    <think>4+2=6\n6-3=3</think>#### 3                                    "2 steps"

What happens, step by step (more, loses), is a problem's structure. For two steps and more it decides the split: what
is asked in the test is a structure that no training question has, not just other numbers. A problem of one step is
told apart by its numbers too, since there are only a few structures. Whole lengths may be held out besides.

Numbers stand in digits, and all that is ever said or worked out lies between 1 and `largest`: 20 by default, so that
the tables to be known, sums and differences up to 20, halves and doubles, are few hundred lines. The difficulty is k.
Distractors are sentences with nothing to do with the answer: somebody else's goods, other goods of the same person, or
what happens to somebody after he was compared with.

Used in part 4. Standard library only.
"""

import random
from collections.abc import Sequence
from dataclasses import dataclass, field

from insideout.checks import whole
from insideout.data.problems.steps import Step, step
from insideout.data.problems.worked import Worked, WorkedSuite
from insideout.data.suite import Split
from insideout.data.town.stories import people_of
from insideout.data.town.world import GOODS
from insideout.errors import BadInput

__all__ = ["HAPPENINGS", "LAST", "WordProblems"]

HAPPENINGS: dict[str, tuple[str, ...]] = {
    "gains": ("{x} found {n} more {g}.", "{x} bought {n} more {g}.", "Then {x} got {n} more {g}."),
    "loses": ("{x} {lost} {n} {g}.", "Then {x} {lost} {n} {g}."),
    "gives": ("{x} gave {n} {g} to {y}.", "Then {x} gave {y} {n} {g}."),
    "receives": ("{y} gave {n} {g} to {x}.", "Then {y} gave {x} {n} {g}."),
    "more": ("{y} had {n} more {g} than {x}.",),
    "fewer": ("{y} had {n} fewer {g} than {x}.",),
    "twice": ("{y} had twice as many {g} as {x}.",),
    "half": ("{y} had half as many {g} as {x}.",),
}
"""What each step may be: x is of whom was told last, y somebody new, whom the story follows after a comparison."""
KINDS = tuple(HAPPENINGS)
LAST = ("with", "both")
"""What only the last step may be: what two people have together, one of them new, or the one compared with before."""
HAS = "{x} had {n} {g}."
ASKED = ("How many {g} does {x} have?", "How many {g} does {x} have now?")
TOGETHER = ("How many {g} do {x} and {y} have together?", "How many {g} do {x} and {y} have in all?")
COMPARING = ("more", "fewer", "twice", "half")
SIGN = {
    "gains": "+", "receives": "+", "more": "+", "with": "+", "both": "+", "loses": "-", "gives": "-", "fewer": "-",
    "twice": "*", "half": "/",
}  # fmt: skip


@dataclass
class Telling:
    """A problem while it is told."""

    goods: str
    people: list[str]
    """Not yet in the story."""
    sentences: list[str]
    steps: list[Step] = field(default_factory=list)
    numbers: list[int] = field(default_factory=list)
    before: tuple[str, int] | None = None
    """Who was compared with last, and what he had."""
    compared: list[tuple[int, str]] = field(default_factory=list)
    """Who was compared with, and behind how many sentences."""


def filled(wording: str, goods: str, n: int = 0, **words: str) -> str:
    """A wording with its words: one apple, 2 apples."""
    g = goods[:-1] if n == 1 and "{n}" in wording else goods
    return wording.format(n=n, g=g, lost=GOODS[goods], **words)


class WordProblems(WorkedSuite):
    """Problems of one step to eight."""

    name = "word problems"

    def __init__(
        self, steps: Sequence[int] = range(1, 9), *, largest: int = 20, distractors: int = 1,
        held_out_steps: Sequence[int] = (), cue: str = "", chat: bool = True,
    ) -> None:  # fmt: skip
        """Numbers up to `largest`, and up to so many `distractors` a problem, each number of them as often.

        Raises BadInput where no problem can be made of that.
        """
        super().__init__(steps, held_out_steps, cue, chat)
        if whole("largest", largest, 0) < 6 or not 0 <= whole("distractors", distractors, 0) <= 3 or self.steps[-1] > 8:
            raise BadInput(
                f"Problems of {self.steps[-1]} steps with numbers up to {largest} and {distractors} distractors cannot "
                "be told: give at most 8 steps, numbers up to 6 or more, and from 0 to 3 distractors."
            )
        self.largest, self.distractors = largest, distractors

    def problem(self, source: random.Random, k: int, split: Split | None) -> tuple[str, Worked, str] | None:
        """A structure at first, then the numbers that it can have."""
        structure = structure_of(source, k)
        if split and k > 1 and self.split_of_family(" ".join(structure), k) != split:
            return None
        goods, people = source.choice(sorted(GOODS)), source.sample(people_of("train"), 14)
        who, has = people.pop(), source.randint(1, self.largest)
        tale = Telling(goods, people, [filled(HAS, goods, has, x=who)], numbers=[has])
        question = ASKED
        for what in structure:
            number = self.number(source, what, has, tale.before)
            if number is None:
                return None
            made = step(has, SIGN[what], number)
            tale.steps.append(made)
            if what not in ("twice", "half", "both"):
                tale.numbers.append(number)
            other = tale.before[0] if what == "both" and tale.before else people.pop()
            if what in LAST:
                question = TOGETHER
            if what == "with":
                tale.sentences.append(filled(HAS, goods, number, x=other))
            elif what != "both":
                tale.sentences.append(filled(source.choice(HAPPENINGS[what]), goods, number, x=who, y=other))
            if what in COMPARING:
                tale.compared.append((len(tale.sentences), who))
                tale.before, who = (who, has), other
            has = made.result
        asked = filled(source.choice(question), goods, x=who, y=other)
        if structure[-1] == "both":
            tale.compared.pop()
        n_distractors = source.randint(0, self.distractors)
        for _ in range(n_distractors):
            self.distract(source, tale, who)
        family = " ".join(structure if k > 1 else (*structure, *map(str, tale.numbers)))
        truth = Worked(has, tuple(tale.steps), structure, n_distractors, tuple(tale.numbers))
        return " ".join([*tale.sentences, asked]), truth, family

    def number(self, source: random.Random, what: str, has: int, before: tuple[str, int] | None) -> int | None:
        """The other number of a step, with which all stays between 1 and the largest; None where there is none."""
        if what == "twice":
            return 2 if 2 * has <= self.largest else None
        if what == "half":
            return 2 if has % 2 == 0 else None
        if what == "both":
            return before[1] if before and has + before[1] <= self.largest else None
        most = self.largest - has if SIGN[what] == "+" else has - 1
        return source.randint(1, most) if most > 0 else None

    def distract(self, source: random.Random, tale: Telling, who: str) -> None:
        """One sentence more that changes nothing, somewhere behind the first."""
        kind = source.choice(("somebody", "something", "later" if tale.compared else "somebody"))
        n, first = source.randint(1, self.largest // 2), 1
        if kind == "later":
            first, someone = source.choice(tale.compared)
            said = filled(source.choice(HAPPENINGS["gains"]), tale.goods, n, x=someone)
        elif kind == "something":
            said = filled(HAS, source.choice([each for each in sorted(GOODS) if each != tale.goods]), n, x=who)
        else:
            said = filled(HAS, tale.goods, n, x=tale.people.pop())
        at = source.randint(first, len(tale.sentences))
        tale.sentences.insert(at, said)
        tale.compared = [(each + (each >= at), name) for each, name in tale.compared]


def structure_of(source: random.Random, k: int) -> tuple[str, ...]:
    """What happens in k steps. What two have together is asked in a quarter of the problems."""
    found = source.choices(KINDS, k=k)
    if source.random() < 0.25:
        found[-1] = source.choice(["with", "both"] if any(each in COMPARING for each in found[:-1]) else ["with"])
    return tuple(found)
