"""What makes a page a chapter: what it gave when it was executed, its times and a link to its notebook at the top.

A page is a chapter when its front matter has an `insideout:` key. Sphinx executes nothing: `build.py` does, and here
its results are put in their places (execution.py). A chapter without results is shown all the same, and says so.
"""

import logging as python_logging
from html import escape
from pathlib import Path
from typing import Any

import myst_nb.sphinx_
import nbformat
from docutils import nodes
from execution import Execution, front_matter, is_notebook, one_line, stored
from myst_nb.core.execute.base import NotebookClientBase
from sphinx import addnodes
from sphinx.application import Sphinx
from sphinx.environment import BuildEnvironment
from sphinx.errors import ExtensionError
from sphinx.util import logging

NOT_EXECUTED = "This page was not executed in this build: its numbers and figures are missing. Run `make book`."


def share_doctrees(app: Sphinx, config: Any) -> None:
    """HTML and EPUB builds beside each other read the same parsed pages."""
    if app.doctreedir == app.outdir / ".doctrees":
        app.doctreedir = app.outdir.parent / "doctrees"
        app.doctreedir.mkdir(parents=True, exist_ok=True)


def executions(app: Sphinx) -> dict[str, Execution | None]:
    """What each notebook gave, by the name of its page, in the book's order; None for one that was not executed."""
    found: dict[str, Execution | None] | None = getattr(app, "_executions", None)
    if found is None:
        paths = {name: Path(app.env.doc2path(name)) for name in sorted(app.env.found_docs)}
        folder = Path(app.confdir) / app.config.executed
        found = {name: stored(path, folder) for name, path in paths.items() if is_notebook(path)}
        app._executions = found  # type: ignore[attr-defined]
    return found


class Remembered(NotebookClientBase):
    """Stands where MyST-NB expects a kernel, and says what the kernel said when the chapter was executed."""

    found: Execution | None = None

    def start_client(self) -> None:
        """Put the outputs into their cells."""
        self.n_before = [0]
        for cell in self.notebook.cells:
            self.n_before.append(self.n_before[-1] + (cell.cell_type == "code"))
        self.seen = 0
        if self.found is not None:
            code = [cell for cell in self.notebook.cells if cell.cell_type == "code"]
            if [cell.source for cell in code] != [cell.code for cell in self.found.cells]:
                raise ExtensionError(f"{self.path}: its cells are not those that were executed.")
            for cell, executed in zip(code, self.found.cells, strict=True):
                cell.outputs = [nbformat.from_dict(each) for each in executed.outputs]

    def code_cell_outputs(self, cell_index: int) -> tuple[int | None, list[Any]]:
        """What a cell showed."""
        self.seen = self.n_before[cell_index + 1]
        return super().code_cell_outputs(cell_index)

    def eval_variable(self, name: str) -> list[Any]:
        """What an expression in the prose was, after the cells before it."""
        if self.found is None:
            return [nbformat.v4.new_output("display_data", {"text/plain": "…"})]
        for number in self.found.numbers:
            if number.after >= self.seen and number.expression == one_line(name):
                return [nbformat.from_dict(each) for each in number.outputs]
        raise NotImplementedError


def remember(app: Sphinx) -> None:
    """Let MyST-NB ask us for what its kernels would have said."""

    # MyST-NB has no other way in: its parser calls the function of this name for every notebook.
    def client(notebook: Any, path: str, *arguments: Any, **_: Any) -> NotebookClientBase:
        made = Remembered(notebook, Path(path), *arguments[:2])
        made.found = executions(app)[app.env.docname]
        return made

    myst_nb.sphinx_.create_client = client


def say_so(app: Sphinx, doctree: nodes.document) -> None:
    """A page that was not executed says so beneath its title."""
    title = next(iter(doctree.findall(nodes.title)), None)
    if title is not None and executions(app).get(app.env.docname, True) is None:
        before, command, after = NOT_EXECUTED.split("`")
        words = nodes.paragraph("", "", nodes.Text(before), nodes.literal("", command), nodes.Text(after))
        note = nodes.warning("", words, classes=["not-executed"])
        title.parent.insert(title.parent.index(title) + 1, note)


class UnevaluatedNumbers(python_logging.Handler):
    """Remembers every {eval} that gave no number: MyST-NB only warns, and a sentence would lose its number."""

    def __init__(self) -> None:
        super().__init__(python_logging.WARNING)
        self.found: list[str] = []

    def emit(self, record: python_logging.LogRecord) -> None:
        """Called for every warning."""
        if getattr(record, "subtype", None) == "eval":
            self.found.append(f"{getattr(record, 'location', '')}: {record.getMessage()}")


def refuse_unevaluated(app: Sphinx, env: BuildEnvironment) -> list[str]:
    """Fail before anything is written when a number in the prose is missing."""
    if app._unevaluated.found:  # type: ignore[attr-defined]
        raise ExtensionError("numbers in the prose did not evaluate:\n" + "\n".join(app._unevaluated.found))  # type: ignore[attr-defined]
    return []


def notebook_name(docname: str) -> str:
    """Where the notebook of a chapter lies in the site."""
    return f"notebooks/{docname}.ipynb"


def minutes(number: Any) -> str:
    """A time in words."""
    return "under a minute" if float(number) < 1 else "1 minute" if float(number) == 1 else f"{number:g} minutes"


def linked(app: Sphinx, docname: str, module: str) -> str:
    """A module's name, as a link to its page of the API reference."""
    found = app.env.domains.python_domain.modules.get(f"insideout.{module}")
    shown = f"<code>{escape(module)}</code>"
    if found is None:
        return shown
    target = f"{app.builder.get_relative_uri(docname, found.docname)}#{found.node_id}"
    return f'<a href="{escape(target)}">{shown}</a>'


def add_facts(app: Sphinx, doctree: nodes.document, docname: str) -> None:
    """The line beneath a chapter's title: times, modules, notebook."""
    facts = front_matter(Path(app.env.doc2path(docname)))
    title = next(iter(doctree.findall(nodes.title)), None)
    if not facts or title is None:
        return
    parts = []
    if "read_minutes" in facts:
        parts.append(f"<span>Reading: {minutes(facts['read_minutes'])}</span>")
    if "run_minutes" in facts:
        parts.append(f"<span>Running: {minutes(facts['run_minutes'])} on a laptop</span>")
    if facts.get("modules"):
        names = ", ".join(linked(app, docname, name) for name in facts["modules"])
        parts.append(f"<span>Library: {names}</span>")
    if app.builder.name != "epub":
        up = "../" * docname.count("/")
        name = escape(up + notebook_name(docname))
        parts.append(f'<a class="notebook-download" href="{name}" download>Download as a notebook (.ipynb)</a>')
    line = nodes.raw("", f'<p class="chapter-facts">{" ".join(parts)}</p>', format="html")
    for said in [node for node in title.parent.children[:4] if node.astext().startswith("Reading:")]:
        title.parent.remove(said)  # the notebook says it in a sentence of its own; here it is this line
    title.parent.insert(title.parent.index(title) + 1, line)


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
    app.add_config_value("executed", "_build/executed", "")
    app._unevaluated = UnevaluatedNumbers()  # type: ignore[attr-defined]
    python_logging.getLogger(logging.NAMESPACE).addHandler(app._unevaluated)  # type: ignore[attr-defined]
    app.connect("config-inited", share_doctrees)
    app.connect("builder-inited", remember)
    app.connect("doctree-read", say_so)
    app.connect("env-updated", refuse_unevaluated)
    app.connect("doctree-resolved", add_facts)
    app.connect("doctree-resolved", fold_solutions, priority=900)
    app.connect("doctree-resolved", wrap_tables)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
