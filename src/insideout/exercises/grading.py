"""Grade an answer: fresh random inputs, then shape, kind of number and values, then a diagnosis.

    verdict = grade("attention.pattern", my_function)      looks, and says nothing
    check("attention.pattern", my_function)                also shows the verdict and keeps the progress

An answer is right when it agrees with the reference on every draw. When it agrees with a catalogued mistake
on every draw instead, the verdict says which. Used by every chapter's "Practise" section.
"""

import copy
import html
import random
import sys
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from insideout.exercises.catalogue import Exercise, find
from insideout.exercises.progress import keep

N_DRAWS = 3


@dataclass(frozen=True)
class Verdict:
    """What the grader found: `outcome` is "right", "wrong" or "not yet"; `message` says it in words."""

    id: str
    outcome: str
    message: str

    @property
    def passed(self) -> bool:
        return self.outcome == "right"

    def __bool__(self) -> bool:
        return self.passed

    def __str__(self) -> str:
        mark = {"right": "✓", "wrong": "✗", "not yet": "○"}[self.outcome]
        return f"{mark} {self.id}: {self.message}"

    def as_html(self) -> str:
        """A bar beside the words, in the page's own text colour, so that it reads in light and dark."""
        colour = {"right": "#009E73", "wrong": "#D55E00", "not yet": "#56B4E9"}[self.outcome]
        return f'<div style="border-left: 4px solid {colour}; padding: 0.3em 0.8em">{html.escape(str(self))}</div>'

    def _ipython_display_(self) -> None:
        """Nothing: `check` has already shown it."""


def check(id: str, answer: Any, seed: int | None = None) -> Verdict:
    """Grade the answer, show the verdict in the terminal or the notebook, and note it in the reader's progress."""
    verdict = grade(id, answer, seed)
    if sys.modules.get("ipykernel") and "IPython" in sys.modules:
        from IPython.display import display

        bundle = {"text/plain": str(verdict), "text/html": verdict.as_html()}
        display(bundle, raw=True)  # type: ignore[no-untyped-call]
    else:
        print(verdict)
    if verdict.outcome != "not yet":
        try:
            keep(id, verdict.passed)
        except OSError as error:
            print(f"(Your progress could not be written: {error.strerror}.)", file=sys.stderr)
    return verdict


def grade(id: str | Exercise, answer: Any, seed: int | None = None) -> Verdict:
    """The verdict on an answer. Never raises for what the answer does; BadInput for an unknown id."""
    exercise = find(id) if isinstance(id, str) else id
    seed = random.SystemRandom().randrange(2**31) if seed is None else seed

    def verdict(outcome: str, message: str) -> Verdict:
        return Verdict(exercise.id, outcome, message)

    if not callable(answer):
        return verdict("wrong", f"The answer must be a function, and this is a {type(answer).__name__}.")
    rng = torch.Generator().manual_seed(seed)
    draws = [exercise.draw(rng) for _ in range(N_DRAWS)]
    answers = []
    for arguments in draws:
        try:
            answers.append(answer(*copy.deepcopy(arguments)))
        except NotImplementedError:
            return verdict("not yet", "Not yet. Replace `raise NotImplementedError` with your answer and run again.")
        except Exception as error:
            first_line = (str(error).strip().splitlines() or ["no message"])[0].rstrip(".")
            return verdict("wrong", f"Your function raised {type(error).__name__}: {first_line}.")
    complaints = [
        difference(given, exercise.reference(*copy.deepcopy(arguments)), exercise.tolerance)
        for given, arguments in zip(answers, draws, strict=True)
    ]
    if not any(complaints):
        return verdict("right", f"Right, on {N_DRAWS} fresh inputs.")
    for mistake in exercise.mistakes:
        expected = (mistake.function(*copy.deepcopy(arguments)) for arguments in draws)
        if all(not difference(a, e, exercise.tolerance) for a, e in zip(answers, expected, strict=True)):
            return verdict("wrong", mistake.diagnosis)
    return verdict("wrong", next(filter(None, complaints)))


def difference(given: Any, right: Any, tolerance: float) -> str:
    """In one sentence, how `given` differs from `right`; empty when it does not."""
    if given is None:
        return "Your function returned nothing: is a `return` missing?"
    if isinstance(right, tuple):
        if not isinstance(given, tuple | list) or len(given) != len(right):
            return f"Wrong form: {len(right)} results are expected, as a tuple."
        parts = [difference(g, r, tolerance) for g, r in zip(given, right, strict=True)]
        return next((f"Result {i + 1}: {part}" for i, part in enumerate(parts) if part), "")
    try:
        a, b = torch.as_tensor(given), torch.as_tensor(right)
    except (TypeError, ValueError, RuntimeError):
        return f"Wrong kind: numbers or a tensor are expected, and this is a {type(given).__name__}."
    if a.shape != b.shape:
        return f"Wrong shape: {shape_of(a)}, where {shape_of(b)} is expected."
    if family(a) != family(b):
        return f"Wrong kind of number: {family(a)}, where {family(b)} is expected."
    wide = torch.complex128 if a.is_complex() else torch.float64
    a, b = a.detach().to("cpu", wide), b.detach().to("cpu", wide)
    if bool((a.isnan() & ~b.isnan()).any()):
        return "The shape is right, but some values are not numbers (nan): was a whole row masked, or 0 divided by 0?"
    same = (a == b) | (a.isnan() & b.isnan())  # infinities compare equal, and their difference would be nan
    gap = torch.where(same, 0.0, (a - b).abs() / b.abs().clamp(min=1.0))
    worst = float(gap.max()) if gap.numel() else 0.0
    if worst <= tolerance:
        return ""
    if worst < 1e-5:
        return f"Nearly: the values are off by {worst:.1e}. Keep the inputs' dtype; do not round or convert."
    share = float((gap > tolerance).double().mean())
    return f"The shape is right, the values are not: {share:.0%} of them differ, by up to {worst:.2g}."


def shape_of(x: Tensor) -> str:
    """A shape as the book writes it; a single number has none."""
    return str(tuple(x.shape)) if x.dim() else "a single number"


def family(x: Tensor) -> str:
    """Which kind of number a tensor holds; float32 and float64 are one kind."""
    if x.dtype == torch.bool:
        return "booleans"
    if x.is_complex():
        return "complex numbers"
    return "floating-point numbers" if x.is_floating_point() else "integers"
