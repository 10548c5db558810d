"""Finding the way through many chapters: numbers, links that nobody writes, pages of a part, exercises, and times.

A chapter's title begins with its number, 2.08, on the page, in the sidebar and in the search. "chapter 08" in the prose
leads there (within the part, unless "part 1" stands before it), and so does the first mention of a word of the glossary
to the glossary. `{part}` lists a part's chapters, `{practise}` all exercises, `{times}` adds up what everything takes.
"""

import re
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

from docutils import nodes
from execution import RAW, front_matter
from sphinx.application import Sphinx
from sphinx.environment import BuildEnvironment
from sphinx.errors import ExtensionError
from sphinx.util.docutils import SphinxDirective

CHAPTER = re.compile(r"(\d+)-[^/]+/(\d\d)_")
MENTION = re.compile(r"(?:[Pp]art (?P<part>\d),? )?[Cc]hapters? (?P<list>\d\d(?:(?:, | and | to |, and )\d\d)*)")
EXERCISE = re.compile(
    r"\{exercise\} *(?P<title>[^\n]*)\n:label: (?P<id>[\w.]+)\n(?P<stars>[★☆]+) · (?P<minutes>\d+) min"
)
SKIPPED = (nodes.reference, nodes.literal, nodes.title, nodes.math, nodes.literal_block, nodes.raw, nodes.term)


class Exercise(NamedTuple):
    """An exercise as its chapter announces it."""

    title: str
    id: str
    stars: str
    minutes: int


def number_of(docname: str) -> str:
    """ "2.08" of a chapter, or nothing."""
    found = CHAPTER.match(docname)
    return f"{found[1]}.{found[2]}" if found else ""


def chapters_of(env: BuildEnvironment, part: str = "") -> list[str]:
    """The chapters of a part, or of all of them, in order."""
    return sorted(
        name for name in env.found_docs if CHAPTER.match(name) and name.startswith(f"{part}-" if part else "")
    )


def exercises_of(env: BuildEnvironment, docname: str) -> list[Exercise]:
    """The exercises of a chapter, in its order."""
    text = Path(env.doc2path(docname)).read_text(encoding="utf-8")
    return [
        Exercise(each["title"].strip() or each["id"], each["id"], each["stars"], int(each["minutes"]))
        for each in EXERCISE.finditer(text)
    ]


def add_number(app: Sphinx, docname: str, source: list[str]) -> None:
    """Before a chapter is read: its number, in front of its title."""
    number = number_of(docname)
    if number:
        source[0] = re.sub(r"^# (?=\S)", f"# {number} ", source[0], count=1, flags=re.M)


def link_words(app: Sphinx, doctree: nodes.document, docname: str) -> None:
    """Turn mentions of chapters, and the first one of each word of the glossary, into links."""
    own = CHAPTER.match(docname)
    targets = {number_of(name): name for name in chapters_of(app.env)}
    terms = {} if docname == "reference/glossary" else glossary(app)

    def to_chapters(text: str) -> list[tuple[int, int, str]]:
        found = []
        for mention in MENTION.finditer(text):
            part = mention["part"] or (own[1] if own else "")
            for digits in re.finditer(r"\d\d", mention["list"]):
                target = targets.get(f"{part}.{digits[0]}")
                if target and target != docname:
                    at = mention.start("list")
                    first = mention.start() if at + digits.start() == at else at + digits.start()
                    found.append((first, at + digits.end(), app.builder.get_relative_uri(docname, target)))
        return found

    def to_glossary(text: str) -> list[tuple[int, int, str]]:
        found: list[tuple[int, int, str]] = []
        for term in list(terms):
            mention = re.search(rf"\b{re.escape(term)}s?\b", text, flags=re.I)
            if mention and all(mention.end() <= start or mention.start() >= end for start, end, _ in found):
                place, anchor = terms.pop(term)
                found.append((*mention.span(), f"{app.builder.get_relative_uri(docname, place)}#{anchor}"))
        return found

    for node in list(doctree.findall(nodes.Text)):
        if any(isinstance(parent, SKIPPED) for parent in ancestors(node)):
            continue
        if not any(isinstance(parent, nodes.paragraph) for parent in ancestors(node)):
            continue
        links = to_chapters(node.astext()) + (to_glossary(node.astext()) if own else [])
        if links:
            node.parent.replace(node, linked(node.astext(), links))


def ancestors(node: nodes.Node) -> list[nodes.Node]:
    """All that a node stands in."""
    found = []
    while node.parent is not None:
        node = node.parent
        found.append(node)
    return found


def glossary(app: Sphinx) -> dict[str, tuple[str, str]]:
    """The words of the glossary, longest first, each with its page and anchor."""
    objects = app.env.get_domain("std").get_objects()
    terms = {shown: (page, anchor) for name, shown, kind, page, anchor, _ in objects if kind == "term"}
    return dict(sorted(terms.items(), key=lambda each: -len(each[0])))


def linked(text: str, links: list[tuple[int, int, str]]) -> list[nodes.Node]:
    """A text with some of its stretches as links; where two overlap, the earlier and longer one stays."""
    made: list[nodes.Node] = []
    at = 0
    for start, end, address in sorted(links, key=lambda each: (each[0], -each[1])):
        if start < at:
            continue
        if start > at:
            made.append(nodes.Text(text[at:start]))
        made.append(nodes.reference("", text[start:end], internal=True, refuri=address, classes=["quiet"]))
        at = end
    return [*made, nodes.Text(text[at:])] if at < len(text) else made


def refuse_raw_numbers(app: Sphinx, doctree: nodes.document, docname: str) -> None:
    """A number in the prose that shows what Python calls it fails the build."""
    if not number_of(docname):
        return
    for node in doctree.findall(nodes.paragraph):
        if any("cell" in parent.get("classes", []) for parent in ancestors(node) if isinstance(parent, nodes.Element)):
            continue
        said = "".join(
            text.astext() for text in node.findall(nodes.Text)
            if not any(isinstance(parent, nodes.literal) for parent in ancestors(text))
        )  # fmt: skip
        found = RAW.search(said)
        if found:
            raise ExtensionError(f"{docname}: the prose says {found[0]!r}: round the number, or call float() on it")


class placeholder(nodes.General, nodes.Element):  # type: ignore[misc]
    """Stands for a list that is made when all pages are known."""


class Listing(SphinxDirective):
    """`{part}`, `{practise}` or `{times}`: a list of chapters, of exercises, of hours."""

    def run(self) -> list[nodes.Node]:
        """Leave a placeholder."""
        return [placeholder(kind=self.name)]


def link_to(app: Sphinx, docname: str, target: str, words: str, anchor: str = "") -> nodes.reference:
    """A link to a page of the book."""
    address = app.builder.get_relative_uri(docname, target) + (f"#{anchor}" if anchor else "")
    return nodes.reference("", words, internal=True, refuri=address)


def table(headings: list[str], rows: list[list[nodes.Node]]) -> nodes.Node:
    """A table in a box of its own, which scrolls on a phone."""
    group = nodes.tgroup(cols=len(headings))
    group += [nodes.colspec(colwidth=1) for _ in headings]
    head, body = nodes.thead(), nodes.tbody()
    head += nodes.row("", *(nodes.entry("", nodes.paragraph("", words)) for words in headings))
    for row in rows:
        body += nodes.row("", *(nodes.entry("", nodes.paragraph("", "", cell)) for cell in row))
    group += [head, body]
    return nodes.table("", group)


def part_table(app: Sphinx, docname: str) -> list[nodes.Node]:
    """The chapters of the part that this page heads, with what each takes."""
    rows = []
    for chapter in chapters_of(app.env, docname.split("-", 1)[0]):
        facts = front_matter(Path(app.env.doc2path(chapter)))
        exercises = exercises_of(app.env, chapter)
        rows.append(
            [
                link_to(app, docname, chapter, app.env.titles[chapter].astext()),
                nodes.Text(f"{facts.get('read_minutes', 0):g} min"),
                nodes.Text(f"{facts.get('run_minutes', 0):g} min"),
                nodes.Text(f"{len(exercises)}, {sum(each.minutes for each in exercises)} min"),
            ]
        )
    return [table(["Chapter", "Reading", "Running", "Exercises"], rows)]


def practise_tables(app: Sphinx, docname: str) -> list[nodes.Node]:
    """All exercises, by chapter."""
    made: list[nodes.Node] = []
    for chapter in chapters_of(app.env):
        exercises = exercises_of(app.env, chapter)
        made.append(nodes.rubric("", "", link_to(app, docname, chapter, app.env.titles[chapter].astext())))
        rows = [
            [link_to(app, docname, chapter, each.title, each.id), nodes.Text(each.stars),
             nodes.Text(f"{each.minutes} min"), nodes.literal("", each.id)]
            for each in exercises
        ]  # fmt: skip
        made.append(table(["Exercise", "", "About", "Its name"], rows))
    return made


def times_table(app: Sphinx, docname: str) -> list[nodes.Node]:
    """Chapters, exercises and hours of each part, added up from what the chapters say."""
    rows: list[list[nodes.Node]] = []
    for part in sorted({chapter.split("-", 1)[0] for chapter in chapters_of(app.env)}):
        chapters = chapters_of(app.env, part)
        facts = [front_matter(Path(app.env.doc2path(chapter))) for chapter in chapters]
        exercises = [each for chapter in chapters for each in exercises_of(app.env, chapter)]
        index = chapters[0].rsplit("/", 1)[0] + "/index"
        title = app.env.titles[index].astext() if index in app.env.titles else f"Part {part}"
        name: nodes.Node = link_to(app, docname, index, title) if index in app.env.found_docs else nodes.Text(title)
        rows.append(
            [
                name,
                nodes.Text(str(len(chapters))),
                nodes.Text(hours(sum(each.get("read_minutes", 0) for each in facts))),
                nodes.Text(f"{len(exercises)}, {hours(sum(each.minutes for each in exercises))}"),
                nodes.Text(hours(sum(each.get("run_minutes", 0) for each in facts))),
            ]
        )
    return [table(["Part", "Chapters", "Reading", "Exercises", "Running"], rows)]


def hours(minutes: float) -> str:
    """Minutes as a person says them."""
    return f"{minutes:.0f} minutes" if minutes < 90 else f"{minutes / 60:.0f} hours"


MAKERS: dict[str, Callable[[Sphinx, str], list[nodes.Node]]] = {
    "part": part_table, "practise": practise_tables, "times": times_table,
}  # fmt: skip


def fill(app: Sphinx, doctree: nodes.document, docname: str) -> None:
    """Put the lists in their places."""
    for place in list(doctree.findall(placeholder)):
        place.replace_self(MAKERS[place["kind"]](app, docname))


def setup(app: Sphinx) -> dict[str, Any]:
    """Register with Sphinx."""
    app.add_node(placeholder)
    for name in MAKERS:
        app.add_directive(name, Listing)
    app.connect("source-read", add_number)
    app.connect("doctree-resolved", refuse_raw_numbers)
    app.connect("doctree-resolved", link_words)
    app.connect("doctree-resolved", fill, priority=400)  # before tables get their boxes
    return {"parallel_read_safe": True, "parallel_write_safe": True}
