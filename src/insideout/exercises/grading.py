"""Grade an answer: right in every case, or wrong with its diagnosis, a small failing case, and where to read again.

    verdict = grade("transformer.attention.pattern", my_function)      looks, and says nothing
    check("transformer.attention.pattern", my_function)                also shows the verdict and keeps the progress

An answer is right when it agrees with the reference in every case. When it agrees with a catalogued mistake instead,
the verdict says which; else it says how the answer differs (a factor, a sign, a shift), if that can be said in a
sentence. Used by every chapter's "Practise" section.
"""

import contextlib
import html
import inspect
import linecache
import random
import sys
import sysconfig
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from functools import lru_cache
from pathlib import Path
from types import FrameType, TracebackType
from typing import Any

from insideout.errors import BadInput
from insideout.exercises.catalogue import Case, Exercise, Outcome, exercises_of, find, outcome, topics
from insideout.exercises.chapters import chapter, practice
from insideout.exercises.comparing import NotNumbers, Numbers, Ragged
from insideout.exercises.diagnosing import diagnose
from insideout.exercises.drawing import RoundNumbers
from insideout.exercises.misreading import misread
from insideout.exercises.progress import keep, progress
from insideout.exercises.showing import show, show_two, whole, write

SAYS_IT = ("Your function returned nothing", "Wrong form", "Wrong kind", "Wrong names")
"""Complaints that say what to do."""

ADVICE: dict[type | None, str] = {
    IndexError: "An index runs past the end of a list: how many entries has it, and how many turns the loop?",
    ZeroDivisionError: "Something is divided by 0 in the case above: which number is that, and when is it 0?",
    OverflowError: "A number became too large for a float: is the exponential taken of a large one?",
    KeyError: "The dict has no such name in the case above.",
    RecursionError: "The function calls itself without end.",
}

SEARCH_SECONDS = 0.25
ENOUGH = 5
"""How long a smaller failing case is looked for, and how many have to be found."""


@dataclass(frozen=True)
class Verdict:
    """What the grader found: `outcome` is "right", "wrong" or "not yet"; `message` says it in a sentence."""

    id: str
    outcome: str
    message: str
    named: bool = False
    """The message says what was done wrong, and not only that something was."""
    case: tuple[tuple[str, str], ...] = ()
    """The smallest failing case: each argument by name, then yours and expected."""
    advice: tuple[str, ...] = field(default=(), compare=False)
    """What to do next: a section to read, a hint, the next exercise."""

    @property
    def passed(self) -> bool:
        return self.outcome == "right"

    def __bool__(self) -> bool:
        return self.passed

    def __str__(self) -> str:
        mark = {"right": "✓", "wrong": "✗", "not yet": "○"}[self.outcome]
        lines = [f"{mark} {self.id}: {self.message}"]
        if self.case:
            width = max(len(name) for name, _ in self.case)
            lines.append("  A case in which it fails:")
            lines += [f"    {name:<{width}} = {value}" for name, value in self.case]
        return "\n".join(lines + [f"  {each}" for each in self.advice])

    def as_html(self) -> str:
        """A bar beside the words, in the page's own text colour, so that it reads in light and dark."""
        colour = {"right": "#009E73", "wrong": "#D55E00", "not yet": "#56B4E9"}[self.outcome]
        return (
            f'<div style="border-left: 4px solid {colour}; padding: 0.3em 0.8em; white-space: pre-wrap; '
            f'overflow-wrap: anywhere">{html.escape(str(self))}</div>'
        )

    def _ipython_display_(self) -> None:
        """Nothing: `check` has already shown it."""


_listeners: list[list[Verdict]] = []


@contextlib.contextmanager
def collected() -> Iterator[list[Verdict]]:
    """All verdicts that `check` gives meanwhile."""
    verdicts: list[Verdict] = []
    _listeners.append(verdicts)
    try:
        yield verdicts
    finally:
        _listeners.remove(verdicts)


def check(id: str, answer: Any, seed: int | None = None) -> Verdict:
    """Grade the answer, show the verdict in the terminal or the notebook, and note it in the reader's progress.

    An id that is not known is said, and counts as wrong.
    """
    try:
        exercise = find(id)
    except BadInput as error:
        verdict = Verdict(str(id), "wrong", str(error))
    else:
        verdict = grade(exercise, answer, seed)
        if verdict.outcome != "not yet":
            verdict = kept(exercise, verdict)
    if in_notebook():
        from IPython.display import display

        bundle = {"text/plain": str(verdict), "text/html": verdict.as_html()}
        display(bundle, raw=True)  # type: ignore[no-untyped-call]
    else:
        write(str(verdict))
    for each in _listeners:
        each.append(verdict)
    return verdict


def in_notebook() -> bool:
    """Is this code the cell of a notebook? That some library is imported does not say so."""
    ipython = sys.modules.get("IPython")
    return ipython is not None and hasattr(ipython.get_ipython(), "kernel")


def kept(exercise: Exercise, verdict: Verdict) -> Verdict:
    """The verdict noted in the reader's progress, with what comes next."""
    try:
        keep(exercise.id, verdict.passed)
        advice = next_steps(exercise) if verdict.passed else offered_hint(exercise)
    except OSError as error:
        advice = (f"(Your progress could not be written: {error.strerror or error}.)",)
    return Verdict(verdict.id, verdict.outcome, verdict.message, verdict.named, verdict.case, verdict.advice + advice)


def next_steps(exercise: Exercise) -> tuple[str, ...]:
    """How many of the chapter are done, and which exercise is next."""
    solved = {id for id, entry in progress().items() if entry["solved"]}
    here = exercises_of(exercise.topic)
    left = [each for each in here if each.id not in solved]
    done = f"{len(here) - len(left)} of {len(here)} of {chapter(exercise.topic).name} done."
    if left:
        at = here.index(exercise) if exercise in here else 0
        following = next((each for each in left if each in here[at:]), left[0])
        return (f"{done} Next: {following.id} ({following.rating}, {following.minutes} minutes).",)
    later = topics()[topics().index(exercise.topic) + 1 :]
    return (f"{done} Next: {chapter(later[0]).name}." if later else done,)


def offered_hint(exercise: Exercise) -> tuple[str, ...]:
    """The next hint's place, where the chapter has one that was not shown yet."""
    found = practice(exercise.id)
    shown = progress().get(exercise.id, {}).get("hints", 0)
    if not found or shown >= len(found.hints):
        return ()
    which = f"Hint {shown + 1} of {len(found.hints)}" if len(found.hints) > 1 else "A hint"
    return (f"{which}: beneath the exercise, or `insideout check {exercise.id} --hint`.",)


def grade(id: str | Exercise, answer: Any, seed: int | None = None) -> Verdict:
    """The verdict on an answer. Never raises for what the answer does; BadInput for an unknown id."""
    exercise = find(id) if isinstance(id, str) else id
    seed = random.SystemRandom().randrange(2**31) if seed is None else seed
    if not callable(answer):
        return Verdict(exercise.id, "wrong", f"The answer must be a function, and this is a {type(answer).__name__}.")
    cases = cases_of(exercise, seed)
    if misfit := wrong_arguments(exercise, answer, cases[0]):
        return Verdict(exercise.id, "wrong", misfit, named=True)
    given: list[Outcome] = []
    for case in cases:
        given.append(outcome(answer, case, quiet=len(given) > 0))
        if is_stub(given[-1].error, answer):
            message = "Not yet. Replace `raise NotImplementedError` with your answer and run again."
            return Verdict(exercise.id, "not yet", message)
    rights = [case.of(exercise.reference) for case in cases]
    complaints = [exercise.complaint(a, b) for a, b in zip(given, rights, strict=True)]
    if any(complaints):
        return wrong(exercise, answer, cases, given, rights, [each for each in complaints if each])
    name, values = changed_input(exercise, answer, cases, given)
    if name:
        message = f"The values are right, but your function changes its input `{name}`. Work on a copy of it."
        return Verdict(exercise.id, "wrong", message, True, values)
    return Verdict(exercise.id, "right", f"Right, in all of {len(cases)} cases.")


@lru_cache(maxsize=4)
def cases_of(exercise: Exercise, seed: int) -> list[Case]:
    """The exercise's cases of that seed; the last few are kept, for whoever grades many answers."""
    return exercise.cases(random.Random(seed))


def wrong(
    exercise: Exercise,
    answer: Any,
    cases: list[Case],
    given: list[Outcome],
    rights: list[Outcome],
    complaints: list[str],
) -> Verdict:
    """The verdict on an answer that is wrong in some of the cases."""
    names = names_of(exercise, answer)
    message = (
        catalogued(exercise, cases, given, rights)
        or (complaints[0] if all(each.startswith(SAYS_IT) for each in complaints) else "")
        or described(exercise, names, cases, given, rights)
        or misread(exercise, names, cases, given, rights)
    )
    raised = next((raised_text(each.error, answer) for each in given if each.error is not None), "")
    case, a, b = smallest(exercise, answer, cases, given, rights)
    text = message or (f"Your function raised {raised}." if raised else exercise.complaint(a, b))
    error = next((each.error for each in given if each.error is not None), None)
    advice = [f"It raised {raised}." if message else ADVICE.get(type(error), "")] if raised else []
    if name := changed_input(exercise, answer, cases, given)[0]:
        advice.append(f"Your function also changes its input `{name}`: work on a copy of it.")
    if exercise.section or chapter(exercise.topic).number is not None:
        here = f"“{exercise.section}” in " if exercise.section else ""
        advice.append(f"Read again: {here}{chapter(exercise.topic).name}.")
    named = bool(message or raised) or text.startswith(SAYS_IT)
    return Verdict(exercise.id, "wrong", text, named, shown(exercise, answer, case, a, b), tuple(filter(None, advice)))


def changed_input(
    exercise: Exercise, answer: Any, cases: Sequence[Case], given: Sequence[Outcome]
) -> tuple[str, tuple[tuple[str, str], ...]]:
    """The argument that a call has changed, by name, with its value before and after; empty where there is none."""
    names = names_of(exercise, answer)
    for case, each in zip(cases, given, strict=True):
        for name, before, after in zip(names, case.arguments, each.arguments, strict=False):
            if changed(before, after):
                return name, (("before", show(before)), ("after", show(after)))
    return "", ()


def catalogued(exercise: Exercise, cases: Sequence[Case], given: Sequence[Outcome], rights: Sequence[Outcome]) -> str:
    """The diagnosis of the first mistake that fits in every case, else of the first that fits in every drawn one."""
    everywhere = list(range(len(cases)))
    drawn = [i for i in everywhere if cases[i].drawn]
    for chosen in (everywhere, drawn):
        for mistake in exercise.mistakes:
            found = {i: cases[i].of(mistake.function) for i in chosen}
            if any(exercise.shows(found[i], rights[i]) for i in chosen) and all(
                exercise.fits(given[i], found[i], rights[i]) for i in chosen
            ):
                return mistake.diagnosis
    return ""


def described(
    exercise: Exercise, names: Sequence[str], cases: Sequence[Case], given: Sequence[Outcome], rights: Sequence[Outcome]
) -> str:
    """What is wrong with the values, where one sentence explains all cases; empty if anything was raised."""
    if exercise.compare is not None or any(each.error is not None for each in given):
        return ""
    answers, expected = [each.value for each in given], [each.value for each in rights]
    inputs = [dict(zip(names, case.arguments, strict=False)) for case in cases]
    return diagnose(answers, expected, inputs, exercise.tolerance)


def smallest(
    exercise: Exercise, answer: Any, cases: Sequence[Case], given: Sequence[Outcome], rights: Sequence[Outcome]
) -> tuple[Case, Outcome, Outcome]:
    """The failing case that is shortest in print, after a short search among small ones with round numbers."""
    failing = [each for each in zip(cases, given, rights, strict=True) if exercise.complaint(each[1], each[2])]

    def length(found: tuple[Case, Outcome, Outcome]) -> int:
        case, a, b = found
        return len(whole(case.arguments)) + len(whole(b.value)) + (len(whole(a.value)) if a.error is None else 0)

    until, at_most = time.monotonic() + SEARCH_SECONDS, len(failing) + ENOUGH
    for case in small_cases(exercise):
        if time.monotonic() > until or len(failing) == at_most:
            break
        right = outcome(exercise.reference, case)
        mine = outcome(answer, case)
        if right.error is None and exercise.complaint(mine, right):
            failing.append((case, mine, right))
    return min(failing, key=length)


def small_cases(exercise: Exercise) -> Iterator[Case]:
    """Cases to look at, the smallest sizes first."""
    rng = RoundNumbers(0)
    least = exercise.sizes()
    for more in range(3) if least else range(1):
        for _ in range(20 if least else 60):
            sizes = {name: low + rng.randint(0, more) for name, low in least.items()}
            try:
                yield Case(exercise.draw(rng, **sizes), sizes)
            except Exception:  # round numbers may not suit the draw
                return


def shown(exercise: Exercise, answer: Any, case: Case, given: Outcome, right: Outcome) -> tuple[tuple[str, str], ...]:
    """A case in print: the arguments by name, what came out and what should have."""
    rows = [(name, show(value)) for name, value in zip(names_of(exercise, answer), case.arguments, strict=False)]
    if exercise.compare is not None:
        return tuple(rows)
    if given.error is not None:
        return (*rows, ("yours", f"raised {type(given.error).__name__}"), ("expected", show(right.value)))
    yours, expected = show_two(given.value, right.value)
    return (*rows, ("yours", yours), ("expected", expected))


# the learner's function: its arguments, its lines, its stub


def names_of(exercise: Exercise, answer: Any) -> list[str]:
    """What the arguments are called: in the answer if it names them one by one, else in the reference."""
    for function in (answer, exercise.reference):
        try:
            parameters = list(inspect.signature(function).parameters.values())
        except (ValueError, TypeError):
            continue
        if all(each.kind in (each.POSITIONAL_ONLY, each.POSITIONAL_OR_KEYWORD) for each in parameters):
            return [each.name for each in parameters]
    return [f"argument {i + 1}" for i in range(9)]


def wrong_arguments(exercise: Exercise, answer: Any, case: Case) -> str:
    """What is wrong with the number of arguments that the function takes; empty if nothing."""
    try:
        signature = inspect.signature(answer)
    except (ValueError, TypeError):
        return ""
    try:
        signature.bind(*case.arguments)
    except TypeError:
        n = len(case.arguments)
        expected = ", ".join(names_of(exercise, exercise.reference)[:n])
        return f"Your function takes the arguments {signature}, and is given {n}: {expected}."
    return ""


def is_stub(error: Exception | None, answer: Any) -> bool:
    """Is this the stub's own `raise NotImplementedError`, and not one from inside a library?"""
    if not isinstance(error, NotImplementedError):
        return False
    last = last_frame(error.__traceback__)
    if last is None or not is_learners(last[0], answer):
        return False
    line = linecache.getline(last[0].f_code.co_filename, last[1]).strip()
    return line.startswith("raise NotImplementedError") if line else not error.args


def raised_text(error: Exception, answer: Any) -> str:
    """What was raised, and in which of the learner's lines."""
    first = (str(error).strip().splitlines() or [""])[0].rstrip(".")
    text = f"{type(error).__name__}: {first}" if first else type(error).__name__
    frames = [each for each in frames_of(error.__traceback__) if is_learners(each[0], answer)]
    if not frames:
        return text
    frame, number = frames[-1]
    name = frame.f_code.co_filename
    line = linecache.getline(name, number).strip()
    file = "the cell" if name.startswith("<ipython") or "ipykernel" in name else Path(name).name
    where = f"line {number}" if name.startswith("<") and file != "the cell" else f"line {number} of {file}"
    return f"{text}, in {where}: {line}" if line else f"{text}, in {where}"


def frames_of(traceback: TracebackType | None) -> list[tuple[FrameType, int]]:
    """The frames of a traceback, the outermost first, each with its line."""
    found = []
    while traceback is not None:
        found.append((traceback.tb_frame, traceback.tb_lineno))
        traceback = traceback.tb_next
    return found


def last_frame(traceback: TracebackType | None) -> tuple[FrameType, int] | None:
    found = frames_of(traceback)
    return found[-1] if found else None


OURS = str(Path(__file__).parents[1])
LIBRARIES = tuple({sysconfig.get_paths()[name] for name in ("stdlib", "platstdlib", "purelib", "platlib")})


def is_learners(frame: FrameType, answer: Any) -> bool:
    """Is this frame the learner's code, and neither ours nor a library's?"""
    name = frame.f_code.co_filename
    if name == getattr(getattr(inspect.unwrap(answer), "__code__", None), "co_filename", None):
        return True
    return not name.startswith((OURS, *LIBRARIES, "<frozen", "<@beartype"))


def changed(before: Any, after: Any) -> bool:
    """Has the call changed this argument? What is put back but for rounding has not changed."""
    if callable(before) or isinstance(before, random.Random):
        return False
    if isinstance(before, dict):
        return (
            not isinstance(after, dict)
            or before.keys() != after.keys()
            or any(changed(before[k], after[k]) for k in before)
        )
    if isinstance(before, list | tuple):
        if set(map(type, before)) <= {float, int} and before == after:
            return False
        return len(before) != len(after) or any(changed(a, b) for a, b in zip(before, after, strict=True))
    try:
        a, b = Numbers.of(before), Numbers.of(after)
    except (NotNumbers, Ragged):
        return bool(type(before) is not type(after))
    return a.shape != b.shape or any(
        not (x == y or abs(x - y) <= 1e-9 * max(1.0, abs(x)) or (x != x and y != y))
        for x, y in zip(a.values, b.values, strict=True)
    )
