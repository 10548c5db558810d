"""A claim is said by the sentence in which its value stands, or, where there is none, by its name."""

import re
from fnmatch import fnmatch
from pathlib import Path

import pytest
from docutils import nodes
from execution import Cell, Execution, Number, chapters
from statements import as_nodes, in_words, read, sentences, statements

FRONT = """---
jupytext:
  text_representation: {extension: .md, format_name: myst}
kernelspec: {display_name: Python 3, language: python, name: python3}
---
"""
CHAPTER = f"""{FRONT}
# Sums

## Build it

Before any claim {{eval}}`faster` may not be taken.

```{{code-cell}} ipython3
faster = claim("a.b.faster", ratio, at_least=3, unit="×")
claim("a.b.loss", middle, at_most=1, interval=ends)
claim("a.b.same-tokens", ours == theirs)
claim(name + "apart", gap, at_most=1e-12)
for k in (1, 2):
    claim(f"a.b.order-{{k}}", slopes[k], at_least=k)
```

First words, e.g. these. Writing with $K = 2$ is {{eval}}`faster` as fast. The loss is {{eval}}`round(middle, 2)`
nats (see {{cite}}`kwon2023`).

- They differ by {{eval}}`other_name`.

## Measure it

Elsewhere {{eval}}`slopes` and {{eval}}`faster` stand too.
"""


@pytest.fixture
def said(tmp_path: Path) -> dict[str, tuple[str, int]]:
    path = tmp_path / "00_sums.md"
    path.write_text(CHAPTER, encoding="utf-8")

    def number(expression: str, html: str) -> Number:
        return Number(1, expression, [{"data": {"text/html": f"<span>{html}</span>", "text/plain": "no"}}])

    numbers = [number("faster", "5.3×"), number("round(middle, 2)", "0.51"), number("other_name", "10⁻¹⁶")]
    shown = {"faster": "5.3×", "loss": "0.512", "same-tokens": "true", "apart": "1.30e-16", "order-2": "2"}
    claims = [{"id": f"a.b.{name}", "shown": value} for name, value in shown.items()]
    found = statements(path, Execution("", [Cell("", [])], numbers, claims, 0.0))
    return {id.rpartition(".")[2]: tuple(each) for id, each in found.items()}


def test_the_sentence_shows_the_value(said) -> None:
    assert said["faster"] == ("Writing with $K = 2$ is 5.3× as fast.", 2)  # by the variable that it was given to
    assert said["loss"][0].startswith("The loss is 0.51 nats")  # by one that it was made from
    assert said["apart"] == ("- They differ by 10⁻¹⁶.", 2)  # by the number itself


def test_a_claim_that_no_sentence_shows_is_said_by_its_name(said) -> None:
    assert said["same-tokens"] == ("Same tokens.", 2)
    assert said["order-2"] == ("Order 2.", 2)  # another section's sentence is not about it


def test_words_are_written_for_claims_that_are_made() -> None:
    calls = [call for path in chapters() for call in read(path)[1]]
    ids = [re.sub(r"\\(.)", r"\1", call.id.pattern) for call in calls]
    for topic, words in in_words().items():
        made = any(fnmatch(id, topic) for id in ids) or any(c.id.fullmatch(topic.rstrip("*") + "1") for c in calls)
        assert made and words.endswith("."), topic


def test_sentences_end_where_they_end() -> None:
    assert sentences("One $x. Y$ two `a. B`. Three (see 4.5)? *Four.* Five") == [
        "One $x. Y$ two `a. B`.", "Three (see 4.5)?", "*Four.*", "Five",
    ]  # fmt: skip


def test_a_sentence_becomes_a_line_of_the_page() -> None:
    made = as_nodes("- The **cache** of `KVCache` is $2T$ {cite}`kwon2023`, see [there](x.md).")
    assert [type(each) for each in made if each.astext()] == [
        nodes.Text, nodes.literal, nodes.Text, nodes.math, nodes.Text, nodes.Text, nodes.Text,
    ]  # fmt: skip
    assert "".join(each.astext() for each in made) == "The cache of KVCache is 2T, see there."
