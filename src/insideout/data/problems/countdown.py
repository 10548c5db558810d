r"""Countdown: make the target from these numbers, each used once, with + - * /.

    Make 14 from 2 5 7 9.
    <think>5+2=7 (left: 7 7 9)\n9-7=2 (left: 2 7)\n7*2=14 (left: 14)</think>#### (9-7)*(5+2)        "4 numbers"

The rules are those of Stream of Search: every number is used, exactly once; a difference is taken so that it is not
negative, and a division leaves no rest. A step takes two of the numbers that are left and puts their result in their
place. (`use_all=False`: at most once, as on television.) Negative numbers within an expression are let pass, since
whatever can be made with them can be made without; fractions are not, since with them more can be made.

All is known by exhaustive search: what can be made of any numbers (`reachable`), whether the target still can
(`solvable`, the perfect value of a state), how often blind luck makes it (`chance`), and so for each step of a response
whether it was one to take. What was written is read by a parser of its own, never run. Used in part 4. Standard library
only. Sources: Gandhi et al. 2024 (Stream of Search), §3 and its code; Yao et al. 2023 (Tree of Thoughts), §4.1, for
steps that say what is left.
"""

import random
import re
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Literal, NamedTuple

from insideout.checks import whole
from insideout.data.problems.reading import told_aloud
from insideout.data.problems.steps import FORMS, Form, Step, solution, step, steps_in
from insideout.data.problems.worked import PARTS
from insideout.data.suite import Message, Question, Split, Suite, Verdict, tries
from insideout.errors import BadInput

__all__ = [
    "Countdown", "Expression", "Game", "Move", "chance", "expression_of", "moves", "parse", "reachable", "solvable",
    "solve",
]  # fmt: skip

Numbers = tuple[int, ...]
"""From the smallest to the largest."""

LONGEST = 120
"""Characters of an expression that is read."""
MOST = 5
"""Numbers in a game: with six the search takes seconds, and is left out."""
_STEP = re.compile(r"\s*(\d{1,9})\s*([-+*/])\s*(\d{1,9})\s*=\s*(\d{1,9})(?:\s*\(left:((?:\s*\d{1,9})*)\s*\))?\s*")
_TOKEN = re.compile(r"\s*(\d{1,9}|[-+*/()])")
_RUN = re.compile(r"[\d()+*/ \t-]+")
OTHER_SIGNS = {"×": "*", "·": "*", "÷": "/", "−": "-", "\\times": "*", "\\cdot": "*", "\\div": "/"}
_STATED = re.compile(r"[ \t]*####[ \t]*(?P<said>[^\n]+?)[ \t]*")


class Move(NamedTuple):
    """A step, and the numbers that are left after it."""

    step: Step
    left: Numbers

    @property
    def text(self) -> str:
        """`3+5=8 (left: 2 8)`."""
        return f"{self.step.text} (left: {' '.join(map(str, self.left))})"


# What can be made


def moves(numbers: Iterable[int]) -> list[Move]:
    """Every step that the rules allow, each once: the larger number first, the smaller pairs first."""
    held = sorted(numbers)
    found: dict[Move, None] = {}
    for i in range(len(held)):
        for j in range(i + 1, len(held)):
            small, large = held[i], held[j]
            rest = held[:i] + held[i + 1 : j] + held[j + 1 :]
            for made in combined(large, small):
                found[Move(made, tuple(sorted([*rest, made.result])))] = None
    return list(found)


def combined(large: int, small: int) -> Iterator[Step]:
    """What two numbers give."""
    yield step(large, "+", small)
    yield step(large, "-", small)
    yield step(large, "*", small)
    if small and large % small == 0:
        yield step(large, "/", small)


@lru_cache(maxsize=200_000)
def reachable(numbers: Numbers) -> frozenset[int]:
    """All that can be made of these numbers, each used exactly once.

    Split in two in every way, and what the two parts give put together: all expressions, without their order of steps.
    """
    check_searchable(numbers)
    if len(numbers) == 1:
        return frozenset(numbers)
    found = set()
    for mask in range(1, 2 ** len(numbers) - 1, 2):  # the first number lies in the first part: no split comes twice
        one = reachable(tuple(number for i, number in enumerate(numbers) if mask >> i & 1))
        other = reachable(tuple(number for i, number in enumerate(numbers) if not mask >> i & 1))
        found |= {made.result for a in one for b in other for made in combined(max(a, b), min(a, b))}
    return frozenset(found)


def check_searchable(numbers: Numbers) -> None:
    """Raises BadInput for more numbers than can be searched."""
    if len(numbers) > MOST + 1:
        raise BadInput(f"{len(numbers)} numbers cannot be searched: with each one more it takes 100 times as long. "
                       f"Give at most {MOST}.")  # fmt: skip


def solvable(numbers: Iterable[int], target: int, *, use_all: bool = True) -> bool:
    """Can the target be made of these numbers? The perfect value of a state: 1 or 0."""
    held = tuple(sorted(numbers))
    check_searchable(held)
    if use_all:
        return target in reachable(held)
    parts = {tuple(n for i, n in enumerate(held) if mask >> i & 1) for mask in range(1, 2 ** len(held))}
    return any(target in reachable(part) for part in parts)


def solved(numbers: Iterable[int], target: int, *, use_all: bool = True) -> bool:
    """Has the target been made?"""
    held = tuple(numbers)
    return held == (target,) if use_all else target in held


def chance(numbers: Iterable[int], target: int, *, use_all: bool = True) -> float:
    """The probability that the target is made by drawing each step blindly among those allowed: how hard a game is."""
    held = tuple(sorted(numbers))
    check_searchable(held)
    return _chance(held, target, use_all)


@lru_cache(maxsize=200_000)
def _chance(numbers: Numbers, target: int, use_all: bool) -> float:
    if solved(numbers, target, use_all=use_all):
        return 1.0
    following = moves(numbers)
    return sum(_chance(move.left, target, use_all) for move in following) / len(following) if following else 0.0


def solve(numbers: Iterable[int], target: int, *, use_all: bool = True) -> list[Move] | None:
    """The first way to the target in the order of `moves`; None where there is none."""
    held, found = tuple(sorted(numbers)), []
    if not solvable(held, target, use_all=use_all):
        return None
    while not solved(held, target, use_all=use_all):
        move = next(each for each in moves(held) if solvable(each.left, target, use_all=use_all))
        found.append(move)
        held = move.left
    return found


def expression_of(steps: Sequence[Step], numbers: Iterable[int]) -> str:
    """The steps as one expression, of the number that was made last, with no more brackets than it needs.

    Raises BadInput for a step whose numbers are not there.
    """
    held: dict[int, list[tuple[str, str]]] = {}  # a value -> how it was made, and by which sign last
    for number in numbers:
        held.setdefault(number, []).append((str(number), ""))
    last = ""
    for each in steps:
        sides = []
        for value in (each.left, each.right):
            if not held.get(value):
                raise BadInput(f"The step {each.text} takes {value}, which is not there: take numbers that are left.")
            sides.append(held[value].pop())
        (left, low), (right, high) = sides
        left = f"({left})" if each.sign in "*/" and low in ("+", "-") else left
        inside = {"+": (), "-": ("+", "-"), "*": ("+", "-", "/"), "/": ("+", "-", "*", "/")}[each.sign]
        right = f"({right})" if high in inside else right
        last = f"{left}{each.sign}{right}"
        held.setdefault(each.result, []).append((last, each.sign))
    return last or " ".join(map(str, numbers))


# Reading what was written


class Expression(NamedTuple):
    """What an expression uses and gives."""

    numbers: Numbers
    value: int | None
    """None where a division leaves a rest, or is by 0."""


def parse(text: str) -> Expression | None:
    """An expression of whole numbers, + - * / and brackets, by recursive descent; None for anything else.

    × · ÷ − are read too. Nothing is run, and what is longer than 120 characters is not read.
    """
    text = plain(text)
    if len(text) > LONGEST:
        return None
    tokens, at = [], 0
    text = text.strip()
    while at < len(text):
        found = _TOKEN.match(text, at)
        if found is None:
            return None
        tokens.append(found[1])
        at = found.end()
    reader = _Reader(tokens)
    try:
        value = reader.sum()
    except NoExpression:
        return None
    return Expression(tuple(sorted(reader.numbers)), value) if reader.at == len(tokens) else None


class NoExpression(Exception):
    """What stands there cannot be read."""


class _Reader:
    """A value of None is that of an expression whose division leaves a rest, or is by 0."""

    def __init__(self, tokens: Sequence[str]) -> None:
        self.tokens, self.at = tokens, 0
        self.numbers: list[int] = []

    def next(self, wanted: str) -> str:
        """The next token if it is one of those wanted, taken; else an empty one."""
        token = self.tokens[self.at] if self.at < len(self.tokens) else ""
        found = token if token and token in wanted else ""
        self.at += bool(found)
        return found

    def sum(self) -> int | None:
        """product {+- product}"""
        value = self.product()
        while sign := self.next("+-"):
            value = applied(value, sign, self.product())
        return value

    def product(self) -> int | None:
        """number {*/ number}"""
        value = self.number()
        while sign := self.next("*/"):
            value = applied(value, sign, self.number())
        return value

    def number(self) -> int | None:
        """digits, or a sum in brackets."""
        if self.next("("):
            value = self.sum()
            if not self.next(")"):
                raise NoExpression
            return value
        if self.at == len(self.tokens) or not self.tokens[self.at].isdigit():
            raise NoExpression
        self.numbers.append(int(self.tokens[self.at]))
        self.at += 1
        return self.numbers[-1]


def applied(left: int | None, sign: str, right: int | None) -> int | None:
    """One operation; what has no value spreads."""
    if left is None or right is None or (sign == "/" and (right == 0 or left % right)):
        return None
    return step(left, sign, right).result


def read_move(line: str, numbers: Numbers) -> Move | None:
    """The move that a line says, if the rules allow it with these numbers left; None for anything else.

    What it says is left may be missing; where it stands it must be right.
    """
    found = _STEP.fullmatch(line)
    if found is None:
        return None
    said = Step(int(found[1]), found[2], int(found[3]), int(found[4]))
    left = None if found[5] is None else tuple(sorted(map(int, found[5].split())))
    for move in moves(numbers):
        if said.same(move.step) and left in (None, move.left):
            return move
    return None


# The suite


@dataclass(frozen=True)
class Game:
    """A problem: the target, the numbers, and one way to it."""

    numbers: Numbers
    target: int
    moves: tuple[Move, ...]
    use_all: bool = True

    @property
    def answer(self) -> str:
        """An expression that gives the target."""
        return expression_of([move.step for move in self.moves], self.numbers)


class Countdown(Suite):
    """Games of so many numbers, all of which can be won."""

    name = "countdown"
    parts = PARTS

    def __init__(
        self, n_numbers: Sequence[int] = (3, 4), *, largest: int = 20, targets: tuple[int, int] = (10, 50),
        held_out: Literal["numbers", "targets"] = "numbers", use_all: bool = True, cue: str = "", chat: bool = True,
    ) -> None:  # fmt: skip
        """Numbers from 1 to `largest`, a target from the first to the second of `targets`.

        What decides the split: the numbers, in any order, or the target, as in Stream of Search. `cue` is said after
        every question. Raises BadInput for games that cannot be made or searched.
        """
        self.n_numbers = tuple(sorted({whole("how many numbers", each, 0) for each in n_numbers}))
        if not self.n_numbers or self.n_numbers[0] < 2 or self.n_numbers[-1] > MOST:
            raise BadInput(f"Games of {list(n_numbers)} numbers cannot be made: give from 2 to {MOST} numbers.")
        low, high = (whole("a target", each, 0) for each in targets)
        if whole("largest", largest, 0) < 2 or not 1 <= low <= high or held_out not in ("numbers", "targets"):
            raise BadInput(
                f"Games of numbers up to {largest} with targets from {low} to {high}, split by {held_out!r}, cannot be "
                "made: give numbers up to 2 or more, targets from small to large, and split by numbers or targets."
            )
        if low > largest ** self.n_numbers[0]:
            raise BadInput(
                f"No target from {low} on can be made of {self.n_numbers[0]} numbers up to {largest}: give smaller "
                "targets, or larger numbers."
            )
        self.largest, self.targets, self.held_out = largest, targets, held_out
        self.use_all, self.cue, self.chat = use_all, cue, chat
        self.max_new_tokens = 24 * self.n_numbers[-1]

    def stream(self, split: Split, seed: int = 0) -> Iterator[Question]:
        """Questions of a split without end; one may come twice. First how many numbers, each as often."""
        source = random.Random(f"{self.name} {split} {seed}")
        while True:
            n = source.choice(self.n_numbers)
            for _ in tries(f"{self.name} of {n} numbers", split):
                numbers = [source.randint(1, self.largest) for _ in range(n)]
                target = source.randint(*self.targets)
                family = self.family(numbers, target)
                if self.split_of(Question("", family=family)) == split and (asked := self._asked(numbers, target)):
                    yield asked
                    break

    def question(self, numbers: Sequence[int], target: int) -> Question:
        """A game of one's own. Raises BadInput where it cannot be won, or searched."""
        numbers, target = [whole("a number", each, 0) for each in numbers], whole("the target", target, 0)
        if not 1 <= len(numbers) <= MOST:
            raise BadInput(f"A game of {list(numbers)} cannot be searched: give from 1 to {MOST} numbers from 0 on.")
        question = self._asked(numbers, target)
        if question is None:
            raise BadInput(
                f"{target} cannot be made of {' '.join(map(str, numbers))}: every expression was tried. Choose another "
                "target, or other numbers."
            )
        return question

    def family(self, numbers: Iterable[int], target: int) -> str:
        """What decides the split."""
        return str(target) if self.held_out == "targets" else " ".join(map(str, sorted(numbers)))

    def _asked(self, numbers: Sequence[int], target: int) -> Question | None:
        found = solve(numbers, target, use_all=self.use_all)
        if found is None:
            return None
        text = f"Make {target} from {' '.join(map(str, numbers))}."
        text = f"{text} {self.cue}" if self.cue else text
        prompt = (Message("user", text),) if self.chat else f"{text}\n"
        game = Game(tuple(sorted(numbers)), target, tuple(found), self.use_all)
        return Question(prompt, game, f"{len(numbers)} numbers", self.family(numbers, target))

    def judge(self, question: Question, answer: str) -> Verdict:
        """strict: the last line is `####` and an expression that is right. lenient: the last expression is right,
        however it is stated, or the steps themselves make the target. format and readable: right or not.
        """
        game: Game = question.truth
        told = told_aloud(answer)
        lines = [line for line in (told or "").splitlines() if line.strip()]
        found = _STATED.fullmatch(lines[-1]) if lines else None
        stated = parse(found["said"]) if found else None
        said = stated or last_expression(told or "")
        ended = None if told is None else end_of(game, answer)
        made = ended is not None and solved(ended, game.target, use_all=game.use_all)
        values = (
            self.right(game, stated),
            self.right(game, said) or made,
            stated is not None,
            said is not None or made,
        )
        return Verdict(dict(zip(PARTS, values, strict=True)))

    def right(self, game: Game, said: Expression | None) -> bool:
        """Does an expression make the target, of the right numbers?"""
        if said is None or said.value != game.target:
            return False
        used, held = Counter(said.numbers), Counter(game.numbers)
        return used == held if game.use_all else used <= held

    def solution(self, question: Question, form: Form = "think") -> str:
        """The steps and the expression. Raises BadInput for a form that there is not."""
        return solution([move.text for move in question.truth.moves], question.truth.answer, form)

    def demonstrations(self, split: Split, seed: int = 0, form: Form = "think") -> Iterator[tuple[Message, ...]]:
        """Conversations that end with a solution, without end."""
        if form not in FORMS:
            raise BadInput(f"There is no form {form!r} of a solution: choose {', '.join(FORMS)}.")
        for question in self.stream(split, seed):
            asked = question.prompt
            turns = (Message("user", asked.rstrip("\n")),) if isinstance(asked, str) else asked
            yield (*turns, Message("assistant", self.solution(question, form)))

    def steps_right(self, question: Question, response: str) -> list[bool | None]:
        """A label for each step of a response: True up to the first that is wrong, False for it, None after it.

        Right is a step that the rules allow and from which the target can still be made, whichever way: exact, by
        exhaustive search. After the target was made no step is needed, so that one more is wrong.
        """
        game: Game = question.truth
        held: Numbers | None = game.numbers
        labels: list[bool | None] = []
        for line in steps_in(response):
            if held is None:
                labels.append(None)
                continue
            done = solved(held, game.target, use_all=game.use_all)
            move = None if done else read_move(line, held)
            right = move is not None and solvable(move.left, game.target, use_all=game.use_all)
            held = move.left if right and move is not None else None
            labels.append(right)
        return labels


def last_expression(text: str) -> Expression | None:
    """The last expression in a text that has an operation in it, a sign of a list before it left out."""
    found = None
    for each in _RUN.finditer(plain(text)):
        run = each[0].lstrip(" \t+-*/").rstrip(" \t+-*/")
        if any(sign in run for sign in "+-*/"):
            found = parse(run) or found
    return found


def plain(text: str) -> str:
    """The signs of a keyboard for others that mean the same."""
    for sign, typed in OTHER_SIGNS.items():
        text = text.replace(sign, typed)
    return text


def end_of(game: Game, response: str) -> Numbers | None:
    """The numbers that are left after the steps of a response; None where one of them is not allowed."""
    held, any_step = game.numbers, False
    for line in steps_in(response):
        move = read_move(line, held)
        if move is None:
            return None
        held, any_step = move.left, True
    return held if any_step else None
