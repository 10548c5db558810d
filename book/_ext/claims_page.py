"""Tables of everything the book claims, in words, filled in when all pages have been read."""

from pathlib import Path
from typing import Any

from chapters import executions
from docutils import nodes
from execution import front_matter
from sphinx.application import Sphinx
from sphinx.util.docutils import SphinxDirective
from statements import Statement, as_nodes, statements

HEADINGS = ("Claim", "Value", "Bound", "95% interval", "Seeds", "Scale", "Result", "Machine", "Date")


class claims_table(nodes.General, nodes.Element):
    """Stands for the tables until the claims are known."""


class ClaimsDirective(SphinxDirective):
    """`{claims}`: the tables go here."""

    def run(self) -> list[nodes.Node]:
        """Leave a placeholder."""
        return [claims_table()]


def with_unit(value: float, unit: str) -> str:
    """A bound as a person would write it."""
    return f"{value:.4g}" + (unit if unit in ("", "×") else f"\u202f{unit}")


def row(record: dict[str, Any]) -> tuple[str, ...]:
    """The cells of one claim, after its name. The keys are those that insideout.lab.claims writes."""
    sides = (("at least", record["at_least"]), ("at most", record["at_most"]))
    bounds = [f"{words} {with_unit(limit, record['unit'])}" for words, limit in sides if limit is not None]
    interval, seeds = record["interval"], record["seeds"]
    return (
        record["shown"],
        " and ".join(bounds) or "true",
        f"{interval[0]:.3g} to {interval[1]:.3g}" if interval else "",
        str(len(seeds) if isinstance(seeds, list) else seeds or ""),
        record["scale"],
        record["status"],
        in_words(record["machine"]),
        record["date"][:10],
    )


def in_words(machine: Any) -> str:
    """The machine in one line."""
    return ", ".join(str(value) for value in machine.values()) if isinstance(machine, dict) else str(machine)


def tables(app: Sphinx, docname: str) -> list[nodes.Node]:
    """For each chapter a heading that leads to it, where and when its claims were measured, and the claims."""
    found: list[nodes.Node] = []
    for chapter, executed in executions(app).items():
        path = Path(app.env.doc2path(chapter))
        if not front_matter(path):
            continue  # no chapter: it claims nothing
        claims = executed.claims if executed is not None else []
        target = app.builder.get_relative_uri(docname, chapter)
        title = nodes.reference("", app.env.titles[chapter].astext(), internal=True, refuri=target)
        found.append(nodes.rubric("", "", title))
        if not claims:
            why = "It makes no claim." if executed is not None else "It was not executed in this build."
            found.append(nodes.paragraph("", why, classes=["claims-place"]))
            continue
        places = {row(record)[-2:] for record in claims}
        if len(places) == 1:  # said once, not in every row
            [(machine, day)] = places
            found.append(nodes.paragraph("", f"{day}, {machine}", classes=["claims-place"]))
        n_columns = len(HEADINGS) - (2 if len(places) == 1 else 0)
        said = statements(path, executed) if executed is not None else {}
        places_of = headings(app, chapter)
        found.append(
            table([(record, *in_place(said[record["id"]], places_of, target)) for record in claims], n_columns)
        )
    return found


def headings(app: Sphinx, chapter: str) -> list[tuple[str, str]]:
    """A chapter's headings, each with its anchor, in order."""
    contents = app.env.tocs[chapter].findall(nodes.reference)
    return [(each.astext(), each.get("anchorname", "")) for each in contents]


def in_place(statement: Statement, places: list[tuple[str, str]], page: str) -> tuple[list[nodes.Node], nodes.Node]:
    """A statement, and a link to the section in which it stands."""
    words, anchor = places[statement.heading - 1] if 0 < statement.heading <= len(places) else ("the chapter", "")
    return as_nodes(statement.words), nodes.reference("", words, internal=True, refuri=page + anchor)


def table(claims: list[tuple[dict[str, Any], list[nodes.Node], nodes.Node]], n_columns: int) -> nodes.Node:
    """The first columns of some claims."""
    group = nodes.tgroup(cols=n_columns)
    group += [nodes.colspec(colwidth=1) for _ in range(n_columns)]
    head, body = nodes.thead(), nodes.tbody()
    head += line([nodes.Text(text) for text in HEADINGS[:n_columns]])
    for record, words, place in claims:
        name = nodes.literal("", str(record.get("id", "")))
        said = nodes.entry("", nodes.paragraph("", "", *words))
        said += nodes.paragraph("", "", place, nodes.Text(" · "), name, classes=["claims-place"])
        cells = line([nodes.Text(cell) for cell in row(record)[: n_columns - 1]])
        cells.insert(0, said)
        body += cells
    group += [head, body]
    box = nodes.container(classes=["table-scroll", "claims"])
    box += nodes.table("", group)
    return box


def line(cells: list[nodes.Node]) -> nodes.row:
    """One row of a table."""
    return nodes.row("", *(nodes.entry("", nodes.paragraph("", "", cell)) for cell in cells))


def fill(app: Sphinx, doctree: nodes.document, docname: str) -> None:
    """Put the tables in their place."""
    for place in list(doctree.findall(claims_table)):
        place.replace_self(tables(app, docname))


def setup(app: Sphinx) -> dict[str, Any]:
    """Register with Sphinx."""
    app.add_node(claims_table)
    app.add_directive("claims", ClaimsDirective)
    app.connect("doctree-resolved", fill)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
