"""The reading of answers: styles, traps, mutations, real solutions."""

import json
import os
import random
import re
import time
from pathlib import Path

import pytest

from insideout.data.problems import strict, verdict
from insideout.errors import BadInput

RIGHT = [
    ("#### 18", "18"), ("A: 18", "18"), ("9 * 2 = 18\n#### 18", "18"), ("The answer is 18.", "18"),
    ("So the answer is $18.", "18"), ("She makes 18", "18"), ("She makes 18 dollars every day.", "18"),
    (r"Hence \boxed{18}.", "18"), (r"\boxed{\frac{1}{2}}", "1/2"), (r"$\boxed{1{,}234}$", "1234"),
    (r"\boxed{18\text{ apples}}", "18"), ("Answer: 18 apples", "18"), ("**Answer:** 18", "18"),
    ("The answer is 1,234", "1234"), ("#### 1,234,567", "1234567"), ("The answer is 18.0", "18"),
    ("The answer is 18.00 dollars", "18"), ("A: $18.50", "18.5"), ("A: -5", "-5"), ("A: −5", "-5"),
    ("A: -$5", "-5"), ("A: $-5", "-5"), ("The answer is 1/2", "0.5"), ("The answer is 1 1/2", "1.5"),
    ("The answer is 1½ hours", "3/2"), ("The answer is .5", "0.5"), ("The answer is 50%", "50"),
    ("The answer is 50%", "0.5"), ("The answer is 0.5", "50%"), ("The answer is 50 percent", "50"),
    ("#### 3 + 15 = 18", "18"), ("The answer is 3 × 6 = 18.", "18"), ("The answer is 2 million", "2000000"),
    ("The answer is 1.5e3", "1500"), ("the answer is eighteen", "18"), ("The answer is twenty-one apples.", "21"),
    ("The answer is 12. No, wait. The answer is 18.", "18"), ("<think>maybe 12</think>The answer is 18.", "18"),
    ("maybe 12</think>18", "18"), ("A: 18\n\nQ: Tom has 7 apples.\nA: 7", "18"),
    ("18\nQuestion: what is 3 + 4?\nAnswer: 7", "18"), ("18", "Natalia sold 48/2 = 24.\n#### 18"),
    ("The answer is 18 dollars for 3 days.", "18"), ("ANSWER: 18", "18"), ("The final answer is: 18", "18"),
    ("It was 2 dozen.\nThe answer is 24 km", "24"), ("#### 18.", "18"), ("#### 0", "0"), ("A: 007", "7"),
    ("The answer is **18**.", "18"), ("**18**", "18"), ("**Answer: 18 apples**", "18"), ("**A:** $18", "18"),
    ("He ran 5 km on the 3rd day", "5"), ("The answer is 18, because 3 times 6 is 18.", "18"),
]  # fmt: skip
WRONG = [
    ("#### 17", "18"), ("A: 1", "18"), ("A: 181", "18"), ("A: -18", "18"), ("A: 1.8", "18"), ("A: 18.5", "18"),
    ("The answer is 18. No, wait. The answer is 12.", "18"), ("<think>18</think>The answer is 12.", "18"),
    ("18 is half of 36", "18"), ("The answer is 1,800", "18"), ("The answer is 18 million", "18"),
    ("18\n#### 17", "18"), ("A: 17\nQ: Tom has 18.\nA: 18", "18"), ("The answer is 1/18", "18"), ("A: 180%", "18"),
    ("The answer is seventeen", "18"), ("20 - 2 is left", "18"), ("A: 5", "-5"),
]  # fmt: skip
UNREADABLE = [
    "", " ", "I do not know.", "The answer is", "####", "<think>The answer is 18", "<think>a</think><think>#### 18",
    "The answer is 18 or 20.", "The answer is 18 and 20", "A: 18, 20", "A: between 18 and 20", "The answer is 3 + 15",
    "The answer is 3 * 6", "The answer is 3 ** 6", "The answer is not 18.", "A: 18/0",
    "The answer is unclear, see 18?"[:22], "the 18th of May", "at 3:18", "A: x",
    "A: 1e999999999", f"A: {'9' * 5000}", r"\boxed{}", "The answer is 12-18",
]  # fmt: skip


@pytest.mark.parametrize(("response", "gold"), RIGHT)
def test_right(response, gold):
    assert verdict(response, gold) == "right"


@pytest.mark.parametrize(("response", "gold"), WRONG)
def test_wrong(response, gold):
    assert verdict(response, gold) == "wrong"


@pytest.mark.parametrize("response", UNREADABLE)
def test_unreadable(response):
    assert verdict(response, "18") == "unreadable"


@pytest.mark.parametrize("gold", ["", "none", "####", "The answer is 3 or 4", "12 or 15", "<think>5"])
def test_a_gold_answer_that_cannot_be_read_is_an_error(gold):
    with pytest.raises(BadInput, match="gold answer"):
        verdict("#### 18", gold)


@pytest.mark.parametrize(
    ("response", "found"),
    [
        ("2 * 9 = 18\n#### 18", "right"), ("The answer is 18.", "right"), ("The answer is: 18", "right"),
        ("So.\nA: 18", "right"), ("#### 17", "wrong"),
        ("The answer is $18", "right"), ("18", "unreadable"), ("#### 18 dollars", "unreadable"),
        ("#### 18\nI hope this helps.", "unreadable"), ("The answer is 3 * 6 = 18", "unreadable"),
        ("<think>#### 18", "unreadable"), (r"\boxed{18}", "unreadable"), ("", "unreadable"),
    ],
)  # fmt: skip
def test_the_strict_form(response, found):
    assert strict(response, "18") == found


def test_what_is_strictly_right_is_right():
    for response, gold in RIGHT:
        assert strict(response, gold) in ("right", "unreadable"), response


def written(n, source):
    """A number in one of the ways to write it."""
    return source.choice((f"{n}", f"{n:,}", f"{n}.0", f"${n:,}", f"{n:,} apples", f"{2 * n}/2"))


FORMS = (
    "Some words about 3 and 4.\n#### {}", "We add 3 and 4.\nA: {}", "First 3, then 4. The answer is {}.",
    "3 of 4.\nAnswer: {}", "<think>3 or 4?</think>\nThe answer is {}.", "{}", "So \\boxed{{{}}}",
)  # fmt: skip


@pytest.mark.parametrize("form", FORMS)
def test_mutations(form):
    source = random.Random(form)
    for _ in range(200):
        n = source.randrange(10_000)
        response = form.format(written(n, source))
        assert verdict(response, str(n)) == "right", response
        for other in (n + 1, n * 10 + 1, n + 1000):
            assert verdict(form.format(written(other, source)), str(n)) == "wrong", (form, other, n)
        if n:
            assert verdict(form.format(f"-{n}"), str(n)) == "wrong"
        assert verdict(f"<think>{response.replace('<think>', '').replace('</think>', '')}", str(n)) == "unreadable"


LONG = (
    "1," * 20_000, "1 1/" * 20_000, "the answer is " * 20_000, "####" * 20_000, "-$" * 40_000, "\\frac{1}{" * 20_000,
    "9" * 100_000, "<think>" * 20_000, "\nQ:" * 30_000, "twenty " * 20_000,
    "1" + "\n" * 50_000, "**" * 50_000, "1 " + " " * 50_000,
)  # fmt: skip


@pytest.mark.parametrize("text", LONG)
def test_nothing_hangs(text):
    began = time.process_time()
    verdict(text, "18")
    strict(text, "18")
    assert time.process_time() - began < 2


def solutions():
    folders = [Path(each) for each in os.environ.get("INSIDEOUT_DATA", "").split(os.pathsep) if each]
    files = [file for folder in folders for file in sorted((folder / "gsm8k").glob("*.jsonl"))]
    return [json.loads(line) for file in files for line in file.read_text("utf-8").splitlines()]


def test_real_solutions():
    found = solutions()
    if not found:
        pytest.skip("GSM8K is needed: name the folder of its folder in INSIDEOUT_DATA")
    for each in found[:1500]:
        gold = each["answer"]
        number = gold.rpartition("####")[2].strip()
        assert verdict(gold, gold) == verdict(gold, number) == "right", gold
        assert verdict(f"The answer is {number}.", gold) == strict(f"#### {number}", gold) == "right"
        other = re.sub(r"\d", lambda digit: str((int(digit[0]) + 1) % 10), number)
        assert verdict(f"#### {other}", gold) == "wrong", (other, gold)
