"""The solutions printed in the chapters pass their own graders, and the stubs printed there do not."""

import math
import re
from pathlib import Path

import pytest
import torch

from insideout import gradients
from insideout.exercises import grade

BOOK = Path(__file__).parents[2] / "book"
SOLUTION = re.compile(r"^:{3,}\{solution\} (\S+)\n.*?^```python\n(.*?)^```", re.MULTILINE | re.DOTALL)
STUB = re.compile(r"^:tags: \[exercise\]\n(.*?)^check\(\"(.+?)\"", re.MULTILINE | re.DOTALL)
TEXTS = [path.read_text(encoding="utf-8") for path in sorted(BOOK.glob("[1-5]-*/*.md"))]
SOLUTIONS = [found for text in TEXTS for found in SOLUTION.findall(text)]
STUBS = [(id, code) for text in TEXTS for code, id in STUB.findall(text)]


def last_function(code):
    names = {"torch": torch, "math": math} | {name: getattr(gradients, name) for name in gradients.__all__}
    exec(code, names)
    return names[re.findall(r"^def (\w+)", code, flags=re.MULTILINE)[-1]]


def test_every_stub_has_a_solution():
    assert len(SOLUTIONS) >= 4
    assert sorted(id for id, _ in SOLUTIONS) == sorted(id for id, _ in STUBS)


@pytest.mark.parametrize(("id", "code"), SOLUTIONS)
def test_the_printed_solution_passes(id, code):
    verdict = grade(id, last_function(code))
    assert verdict.passed, verdict.message


@pytest.mark.parametrize(("id", "code"), STUBS)
def test_the_printed_stub_does_not(id, code):
    assert grade(id, last_function(code)).outcome == "not yet"
