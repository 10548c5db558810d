"""What makes a page a chapter: read in order, executed once, with its times and its notebook at the top.

A page is a chapter when its front matter has an `insideout:` key. Each chapter's claims are recorded in a folder of
its own, emptied when the chapter is read again, so the page of claims holds this build's claims and no others.
"""

import logging as python_logging
import os
import shutil
from html import escape
from pathlib import Path
from typing import Any

import jupytext
import yaml
from docutils import nodes
from sphinx import addnodes
from sphinx.application import Sphinx
from sphinx.environment import BuildEnvironment
from sphinx.errors import ExtensionError
from sphinx.util import logging


def front_matter(path: Path) -> dict[str, Any]:
    """The `insideout:` keys of a chapter's front matter; empty when it has none."""
    text = path.read_text(encoding="utf-8") if path.suffix == ".md" and path.is_file() else ""
    if not text.startswith("---\n"):
        return {}
    return (yaml.safe_load(text[4:].split("\n---", 1)[0]) or {}).get("insideout") or {}


def share_doctrees(app: Sphinx, config: Any) -> None:
    """HTML and EPUB builds beside each other read the same parsed pages, so each chapter is executed once."""
    if app.doctreedir == app.outdir / ".doctrees":
        app.doctreedir = app.outdir.parent / "doctrees"
        app.doctreedir.mkdir(parents=True, exist_ok=True)


def claims_folder(app: Sphinx) -> Path:
    """Where the chapters' claims of this build are recorded."""
    return Path(app.outdir).parent / "claims"


def in_order(app: Sphinx, env: BuildEnvironment, docnames: list[str]) -> None:
    """Chapters first, in the book's order; then the rest."""
    docnames.sort(key=lambda name: (not name[:1].isdigit(), name))


def begin(app: Sphinx, docname: str, source: list[str]) -> None:
    """Before a page is read: an empty folder for its claims, which its kernel finds in the environment."""
    folder = claims_folder(app) / docname.replace("/", "--")
    shutil.rmtree(folder, ignore_errors=True)
    os.environ["INSIDEOUT_CLAIMS"] = str(folder)


def forget(app: Sphinx, env: BuildEnvironment, docname: str) -> None:
    """A page that is gone, or is to be read again, claims nothing."""
    shutil.rmtree(claims_folder(app) / docname.replace("/", "--"), ignore_errors=True)


class UnevaluatedNumbers(python_logging.Handler):
    """Remembers every {eval} that gave no number: MyST-NB only warns, and a sentence would lose its number."""

    def __init__(self) -> None:
        super().__init__(python_logging.WARNING)
        self.found: list[str] = []

    def emit(self, record: python_logging.LogRecord) -> None:
        """Called for every warning."""
        if getattr(record, "subtype", None) in ("eval", "exec"):
            self.found.append(f"{getattr(record, 'location', '')}: {record.getMessage()}")


def refuse_unevaluated(app: Sphinx, env: BuildEnvironment) -> list[str]:
    """Fail before anything is stored when a number in the prose could not be computed."""
    if app._unevaluated.found:  # type: ignore[attr-defined]
        raise ExtensionError("numbers in the prose did not evaluate:\n" + "\n".join(app._unevaluated.found))  # type: ignore[attr-defined]
    return []


def notebook_name(docname: str) -> str:
    """Where the notebook of a chapter lies in the site."""
    return f"notebooks/{docname}.ipynb"


def minutes(number: Any) -> str:
    """A time in words."""
    return "under a minute" if float(number) < 1 else "1 minute" if float(number) == 1 else f"{number:g} minutes"


def add_facts(app: Sphinx, doctree: nodes.document, docname: str) -> None:
    """The line beneath a chapter's title: times, module, notebook."""
    facts = front_matter(Path(app.env.doc2path(docname)))
    title = next(iter(doctree.findall(nodes.title)), None)
    if not facts or title is None:
        return
    parts = []
    if "read_minutes" in facts:
        parts.append(f"<span>Reading: {minutes(facts['read_minutes'])}</span>")
    if "run_minutes" in facts:
        parts.append(f"<span>Running: {minutes(facts['run_minutes'])} on a laptop</span>")
    if "module" in facts:
        parts.append(f"<span>Module: <code>{escape(str(facts['module']))}</code></span>")
    if app.builder.name != "epub":
        up = "../" * docname.count("/")
        name = escape(up + notebook_name(docname))
        parts.append(f'<a class="notebook-download" href="{name}" download>Download as a notebook (.ipynb)</a>')
    line = nodes.raw("", f'<p class="chapter-facts">{" ".join(parts)}</p>', format="html")
    for said in [node for node in title.parent.children[:4] if node.astext().startswith("Reading:")]:
        title.parent.remove(said)  # the notebook says it in a sentence of its own; here it is this line
    title.parent.insert(title.parent.index(title) + 1, line)


def write_notebooks(app: Sphinx, error: Exception | None) -> None:
    """Each chapter as a notebook beside the site, not executed: running it is the reader's part."""
    if error is not None or app.builder.format != "html" or app.builder.name == "epub":
        return
    for docname in app.env.found_docs:
        source = Path(app.env.doc2path(docname))
        if front_matter(source):
            target = Path(app.outdir) / notebook_name(docname)
            target.parent.mkdir(parents=True, exist_ok=True)
            jupytext.write(jupytext.read(source), target, fmt="ipynb")


def wrap_tables(app: Sphinx, doctree: nodes.document, docname: str) -> None:
    """Tables scroll inside their own box, so that a phone's page stays as wide as the phone."""
    if app.builder.format != "html" or app.builder.name == "epub":
        return
    for table in list(doctree.findall(nodes.table)):
        if not isinstance(table.parent, nodes.container) and not isinstance(table.parent, addnodes.desc_content):
            box = nodes.container(classes=["table-scroll"])
            table.parent.replace(table, box)
            box += table


def fold_solutions(app: Sphinx, doctree: nodes.document, docname: str) -> None:
    """Solutions as <details>: folded without a script, opened by keyboard too."""
    if app.builder.format != "html":
        return
    for solution in [node for node in doctree.findall(nodes.Element) if type(node).__name__ == "solution_node"]:
        inside = [child for child in solution.children if not isinstance(child, nodes.title)]
        for child in inside:
            solution.remove(child)
        anchors = "".join(f'<span id="{escape(name)}"></span>' for name in solution["ids"])
        opening = f'{anchors}<details class="book-solution"><summary>Solution</summary><div class="book-solution-text">'
        start, end = nodes.raw("", opening, format="html"), nodes.raw("", "</div></details>", format="html")
        at = solution.parent.index(solution)
        solution.parent[at : at + 1] = [start, *inside, end]


def setup(app: Sphinx) -> dict[str, Any]:
    """Register with Sphinx."""
    app._unevaluated = UnevaluatedNumbers()  # type: ignore[attr-defined]
    python_logging.getLogger(logging.NAMESPACE).addHandler(app._unevaluated)  # type: ignore[attr-defined]
    app.connect("config-inited", share_doctrees)
    app.connect("env-before-read-docs", in_order)
    app.connect("source-read", begin)
    app.connect("env-purge-doc", forget)
    app.connect("env-updated", refuse_unevaluated)
    app.connect("doctree-resolved", add_facts)
    app.connect("doctree-resolved", fold_solutions, priority=900)
    app.connect("doctree-resolved", wrap_tables)
    app.connect("build-finished", write_notebooks)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
