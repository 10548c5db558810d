"""The table of everything the book claims, filled in when pages are written, after every chapter has been read."""

import json
from pathlib import Path
from typing import Any

from chapters import claims_folder
from docutils import nodes
from sphinx.application import Sphinx
from sphinx.environment import BuildEnvironment
from sphinx.util.docutils import SphinxDirective

HEADINGS = ("Claim", "Value", "Bound", "95% interval", "Seeds", "Scale", "Result", "Machine", "Date")


class claims_table(nodes.General, nodes.Element):
    """Stands for the table until the claims are known."""


class ClaimsDirective(SphinxDirective):
    """`{claims}`: the table goes here."""

    def run(self) -> list[nodes.Node]:
        """Leave a placeholder."""
        return [claims_table()]


def records(folder: Path) -> list[tuple[str, dict[str, Any]]]:
    """(chapter, record) of every claim, in the book's order."""
    found = []
    for path in sorted(folder.glob("*/**/*.json")):
        loaded = json.loads(path.read_text(encoding="utf-8"))
        chapter = path.relative_to(folder).parts[0].replace("--", "/")
        found += [(chapter, record) for record in (loaded if isinstance(loaded, list) else [loaded])]
    return found


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


def table(app: Sphinx, docname: str) -> nodes.Node:
    """The table, each claim's name leading to its chapter."""
    claims = records(claims_folder(app))
    if not claims:
        return nodes.paragraph("", "No chapter of this build makes a claim.")
    group = nodes.tgroup(cols=len(HEADINGS))
    group += [nodes.colspec(colwidth=1) for _ in HEADINGS]
    head, body = nodes.thead(), nodes.tbody()
    head += line([nodes.Text(text) for text in HEADINGS])
    for chapter, record in claims:
        name: nodes.Node = nodes.literal("", str(record.get("id", "")))
        if chapter in app.env.found_docs:
            target = app.builder.get_relative_uri(docname, chapter)
            name = nodes.reference("", "", name, internal=True, refuri=target)
        body += line([name, *(nodes.Text(cell) for cell in row(record))])
    group += [head, body]
    box = nodes.container(classes=["table-scroll", "claims"])
    box += nodes.table("", group)
    return box


def line(cells: list[nodes.Node]) -> nodes.row:
    """One row of a table."""
    return nodes.row("", *(nodes.entry("", nodes.paragraph("", "", cell)) for cell in cells))


def fill(app: Sphinx, doctree: nodes.document, docname: str) -> None:
    """Put the table in its place."""
    for place in list(doctree.findall(claims_table)):
        place.replace_self(table(app, docname))


def always_rewrite(app: Sphinx, env: BuildEnvironment) -> list[str]:
    """The page of claims changes when any chapter does."""
    return [name for name in ("reference/claims",) if name in env.found_docs]


def setup(app: Sphinx) -> dict[str, Any]:
    """Register with Sphinx."""
    app.add_node(claims_table)
    app.add_directive("claims", ClaimsDirective)
    app.connect("doctree-resolved", fill)
    app.connect("env-updated", always_rewrite)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
