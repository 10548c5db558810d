"""What a claim says, in words: the sentence of the prose in which its value stands, found and not written again.

    found = statements(path, executed)      {"transformer.kv_cache.same-logits": Statement("The largest …", 4)}

The value is in the sentence when the sentence shows the variable that the claim was given to, or, in the section of the
claim, one that it was made from, or a number that is the same in print. What no sentence shows, such as that two
tensors are equal, is said in `reference/claims_in_words.yml`, which is no code: other words run no chapter again. What
is not there either is said by its name.
"""

import ast
import re
from collections.abc import Iterator
from dataclasses import dataclass
from fnmatch import fnmatch
from functools import cache
from pathlib import Path
from typing import Any, NamedTuple

import jupytext
import yaml
from docutils import nodes
from downloads import Numbers
from execution import BOOK, NUMBER, Execution

from insideout.lab.bookkeeping import CLAIMS, called
from insideout.lab.bookkeeping import statements as parsed
from insideout.words import in_prose

HEADING = re.compile(r"^#{1,4} +(.+)$")
KEPT = re.compile(r"\{eval\}`[^`]+`|`[^`]+`|\$[^$]+\$")
"""What holds no end of a sentence."""
SENTENCE = re.compile(r"(?:(?<=[.?])|(?<=[.?][*\"”)]))\s+(?=[*\"“(\0]*[A-Z0-9\0])")
INLINE = re.compile(r"`(?P<code>[^`]+)`|\$(?P<math>[^$]+)\$|\[(?P<words>[^\]]*)\]\([^)]*\)")


class Statement(NamedTuple):
    """A claim in words, in Markdown, and the number of the heading beneath which it stands."""

    words: str
    heading: int


@dataclass(frozen=True)
class Paragraph:
    """A paragraph of prose: how many code cells stand before it, and its heading's number."""

    after: int
    heading: int
    text: str


@dataclass(frozen=True)
class Call:
    """A call that makes a claim: a pattern of its id, and the names that may be shown in a sentence about it."""

    id: re.Pattern[str]
    certain: int
    """Letters of the id that the code says."""
    after: int
    heading: int
    given_to: tuple[str, ...]
    made_from: tuple[str, ...]


def statements(path: Path, executed: Execution) -> dict[str, Statement]:
    """The chapter's claims, by id, in words."""
    paragraphs, calls = read(path)
    result = {}
    for record in executed.claims:
        fitting = [call for call in calls if call.id.fullmatch(record["id"])]
        call = max(fitting, key=lambda call: call.certain, default=None)
        found = sentence_about(call, record["shown"], paragraphs, executed) if call is not None else None
        if found is not None:
            paragraph, words = found
            numbers = Numbers(executed, paragraph.after)
            result[record["id"]] = Statement(filled_in(words, numbers), paragraph.heading)
        else:
            result[record["id"]] = Statement(unshown(record["id"]), call.heading if call is not None else 0)
    return result


def unshown(id: str) -> str:
    """The words for a claim that no sentence shows."""
    name = id.rpartition(".")[2].replace("-", " ")
    fitting = (said for pattern, said in in_words().items() if fnmatch(id, pattern))
    return next(fitting, f"{name[:1].upper()}{name[1:]}.")


@cache
def in_words() -> dict[str, str]:
    """The words written for claims that no sentence shows, by patterns of their ids, a chapter's own first."""
    written = yaml.safe_load((BOOK / "reference" / "claims_in_words.yml").read_text(encoding="utf-8"))
    chapters = {topic: said for topic, said in written.items() if isinstance(said, dict)}
    own = {f"{topic}.{name}": str(words) for topic, said in chapters.items() for name, words in said.items()}
    return own | {pattern: str(said) for pattern, said in written.items() if pattern not in chapters}


def read(path: Path) -> tuple[list[Paragraph], list[Call]]:
    """A chapter's paragraphs and claims, in order."""
    paragraphs, calls, heading, n_code = list[Paragraph](), list[Call](), 0, 0
    for cell in jupytext.read(path).cells:
        if cell.cell_type == "code":
            calls += calls_in(cell.source, n_code, heading)
            n_code += 1
            continue
        for text in re.split(
            r"\n\s*\n|\n(?=[-*] |\d+\. |:::|#)", re.sub(r"^```.*?^```", "", cell.source, flags=re.M | re.S)
        ):
            if HEADING.match(text.strip()):
                heading += 1
                text = text.strip().partition("\n")[2]
            text = re.sub(r"^:::.*$|^:[\w-]+:.*$", "", text, flags=re.M).strip()
            if text:
                paragraphs.append(Paragraph(n_code, heading, text))
    return paragraphs, calls


def calls_in(code: str, n_code: int, heading: int) -> Iterator[Call]:
    """The claims that a cell makes."""
    for statement in parsed(code):
        for inner in ast.walk(statement):
            targets = inner.targets if isinstance(inner, ast.Assign) else []
            given = tuple(names_in(targets)) if targets else ()
            for node in ast.walk(inner) if targets or inner is statement else []:
                if called(node) in CLAIMS and isinstance(node, ast.Call):
                    pattern, certain = pattern_of(id_of(node))
                    values = [
                        *node.args[1:],
                        *(each.value for each in node.keywords if each.arg in ("value", "interval")),
                    ]
                    yield Call(re.compile(pattern), certain, n_code, heading, given, tuple(names_in(values)))


def id_of(call: ast.Call) -> ast.expr:
    """What a call gives as the id."""
    named = [each.value for each in call.keywords if each.arg == "id"]
    return call.args[0] if call.args else named[0] if named else ast.Constant("")


def pattern_of(id: ast.expr) -> tuple[str, int]:
    """A pattern for the ids that an expression may give, and how many of its letters are certain."""
    if isinstance(id, ast.Constant):
        return re.escape(str(id.value)), len(str(id.value))
    parts = [id.left, id.right] if isinstance(id, ast.BinOp) else id.values if isinstance(id, ast.JoinedStr) else []
    found = [pattern_of(part) for part in parts] or [(".+", 0)]
    return "".join(pattern for pattern, _ in found), sum(certain for _, certain in found)


def names_in(expressions: list[Any]) -> Iterator[str]:
    """The names in some expressions; a lone underscore is nobody's."""
    for expression in expressions:
        for node in ast.walk(expression):
            if isinstance(node, ast.Name) and node.id != "_":
                yield node.id


def filled_in(words: str, numbers: Numbers) -> str:
    """A sentence with its numbers."""
    return NUMBER.sub(lambda number: numbers[number[1]], words)


def sentence_about(
    call: Call, shown: str, paragraphs: list[Paragraph], executed: Execution
) -> tuple[Paragraph, str] | None:
    """The sentence after a claim that shows its value."""
    below = [each for each in paragraphs if each.after > call.after]
    here = [each for each in below if each.heading == call.heading]

    def names(sentence: str, _: Paragraph) -> set[str]:
        return {word for number in NUMBER.findall(sentence) for word in re.findall(r"[^\W\d]\w*", number)}

    def values(sentence: str, paragraph: Paragraph) -> set[str]:
        numbers = Numbers(executed, paragraph.after)
        return {numbers[number] for number in NUMBER.findall(sentence)}

    telling = {in_prose(shown)} if len(re.sub(r"\D", "", shown)) >= 3 else set()
    for look, wanted, chosen in (
        (names, set(call.given_to), below), (names, set(call.made_from), here), (values, telling, here),
    ):  # fmt: skip
        for paragraph in chosen:
            for sentence in sentences(paragraph.text):
                if look(sentence, paragraph) & wanted:
                    return paragraph, sentence
    return None


def sentences(paragraph: str) -> list[str]:
    """The sentences of a paragraph, each in one line."""
    kept: list[str] = []

    def put_away(found: re.Match[str]) -> str:
        kept.append(found[0])
        return f"\0{len(kept) - 1}\0"

    parts = SENTENCE.split(KEPT.sub(put_away, " ".join(paragraph.split())))
    return [re.sub(r"\0(\d+)\0", lambda found: kept[int(found[1])], part) for part in parts]


def as_nodes(words: str) -> list[nodes.Node]:
    """A sentence of Markdown as a line of the page: code and formulas, and the rest as words."""
    words = re.sub(r"\s*\{cite(:\w+)?\}`[^`]+`", "", re.sub(r"^([-*]|\d+\.) ", "", words))
    made: list[nodes.Node] = []
    at = 0
    for found in INLINE.finditer(words):
        made.append(nodes.Text(plain(words[at : found.start()])))
        if found["code"] is not None:
            made.append(nodes.literal("", found["code"]))
        elif found["math"] is not None:
            made.append(nodes.math("", found["math"]))
        else:
            made.append(nodes.Text(plain(found["words"])))
        at = found.end()
    return [*made, nodes.Text(plain(words[at:]))]


def plain(words: str) -> str:
    """Words without signs of emphasis."""
    return re.sub(r"\*+(?=\S)|(?<=\S)\*+", "", words)
