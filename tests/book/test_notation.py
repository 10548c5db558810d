"""The notation page is complete and exact: every capital and Greek letter of a formula is on it, and none besides."""

import re
from collections import defaultdict
from pathlib import Path

import pytest

BOOK = Path(__file__).parents[2] / "book"
PARTS = {1: "1-understanding-gradients", 2: "2-building-a-transformer", 3: "3-fine-tuning-a-transformer"}
PAGE = (BOOK / "reference/notation.md").read_text(encoding="utf-8")
GREEK = (
    "alpha|beta|gamma|delta|epsilon|varepsilon|zeta|eta|theta|kappa|lambda|mu|nu|xi|rho|sigma|tau|phi|varphi|chi|psi|"
    "omega|Gamma|Delta|Theta|Lambda|Xi|Pi|Sigma|Phi|Psi|Omega"
)
WORDS = r"\\(?:text|operatorname|begin|end|class)\s*\*?\{[^}]*\}"
LETTER = rf"\\mathcal\s*\{{?[A-Z]\}}?|\\(?:hat|bar)\s*\{{?[a-z]\}}?|\\(?:{GREEK})(?![A-Za-z])|\\[A-Za-z]+|[A-Z]"


def formulas(text: str) -> list[str]:
    """What stands between dollars, outside of code."""
    text = re.sub(r"^```.*?^```", "", text, flags=re.S | re.M)
    text = re.sub(r"`[^`\n]*`", "", text)
    return re.findall(r"\$\$(.+?)\$\$", text, re.S) + re.findall(
        r"\$([^$\n]+?)\$", re.sub(r"\$\$.+?\$\$", "", text, flags=re.S)
    )


def letters(formula: str) -> set[str]:
    """Its capitals, Greek letters, and letters with a hat or a bar."""
    found = re.findall(LETTER, re.sub(WORDS, " ", formula))
    named = {re.sub(r"[{}\s]", "", each) for each in found}
    return {each for each in named if not each.startswith("\\") or re.match(rf"\\(mathcal|hat|bar|{GREEK})", each)}


def rows(title: str) -> list[list[str]]:
    """The table below a heading."""
    section = PAGE.split(f"\n## {title}\n")[1].split("\n## ")[0]
    return [
        [cell.strip() for cell in line.strip("|").split(" | ")] for line in re.findall(r"^\|(.+)\|$", section, re.M)
    ][2:]


def listed(title: str) -> dict[str, set[str]]:
    """Letter -> the chapters in which it is said to stand."""
    found: dict[str, set[str]] = defaultdict(set)
    for letter, *_, last in rows(title):
        for each in formulas(letter):
            found.update({name: found[name] | set(last.split(", ")) for name in letters(each)})
    return found


EVERYWHERE = {name for row in rows("In every formula") for each in formulas(row[0]) for name in letters(each)}


@pytest.mark.parametrize("part", PARTS)
def test_every_letter_of_a_formula_is_on_the_page_for_its_chapter(part: int) -> None:
    used: dict[str, set[str]] = defaultdict(set)
    for path in sorted((BOOK / PARTS[part]).glob("[0-9][0-9]_*.md")):
        for formula in formulas(path.read_text(encoding="utf-8")):
            for name in letters(formula) - EVERYWHERE:
                used[name].add(path.name[:2])
    assert used == listed(f"In part {part}")


def test_what_means_one_thing_everywhere_is_not_listed_again() -> None:
    assert not EVERYWHERE & {name for part in PARTS for name in listed(f"In part {part}")}


def test_shapes_use_the_letters_of_the_page() -> None:
    known = {name for row in rows("Shapes") for each in formulas(row[0]) for name in letters(each)} | set("NEKR")
    used: dict[str, set[str]] = defaultdict(set)
    for part in PARTS.values():
        for path in (BOOK / part).glob("[0-9][0-9]_*.md"):
            for shape in re.findall(r"#.*?(\([A-Z][A-Za-z0-9 ,+·/−-]*\))", path.read_text(encoding="utf-8")):
                for letter in re.findall(r"\b[A-Z]\b", shape):
                    used[letter].add(path.name)
    assert used.keys() <= known, {letter: used[letter] for letter in used.keys() - known}
