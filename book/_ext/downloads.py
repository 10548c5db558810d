"""What the site hands out: each chapter as a notebook for any program that opens notebooks, and the project itself.

A notebook is written in plain Markdown and HTML: numbers filled in, solutions and hints folded, citations as links. Its
code is the chapter's own, with what it showed when it was executed; a first cell installs the library where it is not
there: from the address of the site (`html_baseurl`), or, where it has none, from the file beside the notebook.
"""

import ast
import base64
import re
import subprocess
import tarfile
from collections.abc import Iterator
from functools import cache
from html import escape, unescape
from itertools import pairwise
from pathlib import Path
from typing import Any

import jupytext
import nbformat
from chapters import executions, notebook_name
from docutils import nodes
from execution import BOOK, Execution, Number, front_matter, one_line
from navigation import MAKERS, Listing, number_of
from pybtex.database import parse_file
from sphinx.application import Sphinx
from sphinx.errors import ExtensionError

import insideout
from insideout.lab.copies import code_cell, fresh_id, sections
from insideout.lab.figures.live import SCRIPT

ROOT = Path(insideout.__file__).resolve().parents[2]
PROJECT = "transformers-inside-out"
DIRECTIVE = re.compile(r"(?P<fence>:{3,})\{(?P<name>[\w:-]+)\}[ \t]*(?P<title>.*)$")
OPTION = re.compile(r":[\w-]+:")
ROLE = re.compile(r"\{(?P<name>[\w:-]+)\}`(?P<text>[^`]+)`")
TARGET = re.compile(r"^\([\w.-]+\)=\n?", re.MULTILINE)
FOLDS = {"dropdown": "", "solution": "Solution"}
BOXES = {"admonition": "", "note": "Note", "tip": "Tip", "warning": "Warning", "important": "Important"}
INSTALL = """# Once, where the library of this book is missing.
# It is {where}.
import importlib.util

if importlib.util.find_spec("insideout") is None:
    %pip install --quiet {source}

# Below, numbers and figures are those of the book's own run.
# Run the cells, and they are yours."""


def plain(path: Path, executed: Execution | None, number: str, install: str) -> nbformat.NotebookNode:
    """A chapter as a notebook without anything that needs Sphinx or MyST."""
    notebook = nbformat.v4.new_notebook()
    notebook.metadata.kernelspec = {"name": "python3", "display_name": "Python 3", "language": "python"}
    notebook.cells = [nbformat.v4.new_code_cell(install, id="install")]
    seen = 0
    for cell in jupytext.read(path).cells:
        if cell.cell_type == "code":
            made = code_cell(cell.source, list(cell.metadata.get("tags", [])))
            if executed is not None:
                made["outputs"] = shown(executed.cells[seen].outputs, seen + 1)
                made["execution_count"] = seen + 1
            seen += 1
            notebook.cells.append(nbformat.from_dict(made | {"id": f"code-{seen}"}))
            continue
        text = re.sub(r"^# (?=\S)", f"# {number} ", cell.source, count=1, flags=re.M) if number else cell.source
        for part in sections(text):
            said = as_markdown(part, Numbers(executed, seen), path)
            if said.strip():
                id = f"{fresh_id('markdown', said)}-{len(notebook.cells)}"
                notebook.cells.append(nbformat.v4.new_markdown_cell(said, id=id))
    for cell, after in pairwise(notebook.cells):
        caption = re.match(r"\*(?!\*)(.+?)\*(?:\n\n|$)", after.source, flags=re.S) if cell.cell_type == "code" else None
        for output in cell.outputs if cell.cell_type == "code" else []:
            if "text/html" in output.get("data", {}):
                output.data["text/html"] = pictures(output.data["text/html"], caption[1] if caption else "")
    nbformat.validate(notebook)
    return notebook


def shown(outputs: list[dict[str, Any]], count: int) -> list[Any]:
    """What a cell showed. A live figure brings its script, since there is no page around it."""
    made = []
    for each in outputs:
        output = dict(each)
        if output["output_type"] == "execute_result":
            output["execution_count"] = count
        html = output.get("data", {}).get("text/html", "")
        if 'class="live"' in html:
            script = f"<script>{SCRIPT.read_text(encoding='utf-8')}</script>"
            output["data"] = output["data"] | {"text/html": html + script}
        made.append(nbformat.from_dict(output))
    return made


def pictures(html: str, caption: str) -> str:
    """Drawings as images: Jupyter shows no other in a notebook that it does not trust yet. The form for phones is left
    out, and there is paper behind, since an image does not know the colours around it."""

    def image(svg: re.Match[str]) -> str:
        opening, inside = svg["opening"], svg["inside"]
        label = re.search(r'aria-label="([^"]*)"', opening)
        size = re.search(r'viewBox="0 0 ([\d.]+) ([\d.]+)"', opening)
        width = re.search(r"max-width: ([\d.]+)px", opening)
        if size is None:
            return svg[0]
        style = f'width="{size[1]}" height="{size[2]}" style="background: #fff; color: #000"'
        data = base64.b64encode((re.sub(r'style="[^"]*"', style, opening, count=1) + inside).encode()).decode()
        alt = label[1] if label else escape(re.sub(r"[*`]", "", caption))
        wide = round(float(width[1] if width else size[1]))
        return f'<img alt="{alt}" width="{wide}" src="data:image/svg+xml;base64,{data}">'

    html = re.sub(r'<style>\.figure \.narrow.*?</style>|<div class="narrow"><svg.*?</svg></div>', "", html, flags=re.S)
    return re.sub(r"(?P<opening><svg\b[^>]*>)(?P<inside>.*?</svg>)", image, html, flags=re.S)


class Numbers:
    """The numbers of the prose after so many code cells, as words."""

    def __init__(self, executed: Execution | None, after: int) -> None:
        numbers = executed.numbers if executed is not None else []
        self.found = {each.expression: words_of(each) for each in numbers if each.after == after}

    def __getitem__(self, expression: str) -> str:
        return self.found.get(one_line(expression), "…")


def words_of(number: Number) -> str:
    """What a number of the prose says on the site, without its markup; a text without its quotes."""
    data: dict[str, str] = next((output["data"] for output in number.outputs if "data" in output), {})
    if "text/html" in data:
        return unescape(re.sub(r"<[^>]*>", "", data["text/html"]))
    value = str(data.get("text/plain", "…"))
    return str(ast.literal_eval(value)) if value[:1] in ("'", '"') else value


def literally(text: str) -> str:
    """A text in which Markdown takes no sign for its own."""
    return re.sub(r"([\\`*_$<|])", r"\\\1", text)


def as_markdown(text: str, numbers: Numbers, path: Path) -> str:
    """A stretch of a chapter's prose in plain Markdown and HTML. Raises ExtensionError for what it does not know."""
    return "\n".join(lines(TARGET.sub("", text).split("\n"), numbers, path))


def lines(given: list[str], numbers: Numbers, path: Path) -> Iterator[str]:
    """Line by line: blocks of code as they are, directives by what they mean, and roles in all else."""
    waiting, code, prose = list(given), "", list[str]()
    while waiting:
        line = waiting.pop(0)
        if code:
            code = "" if line.strip() == code else code
            yield line
            continue
        directive, fence = DIRECTIVE.fullmatch(line), re.match("`{3,}", line)
        if directive is None and fence is None:
            prose.append(line)
            continue
        yield from inline(prose, numbers, path)
        prose = []
        if directive is not None:
            at = waiting.index(directive["fence"])
            yield from block(directive["name"], directive["title"].strip(), waiting[:at], numbers, path)
            waiting = waiting[at + 1 :]
        elif fence is not None:
            code = fence[0]
            yield line
    yield from inline(prose, numbers, path)


def inline(prose: list[str], numbers: Numbers, path: Path) -> list[str]:
    """Prose with what its roles mean. A number's expression may be broken over two lines."""
    return ROLE.sub(lambda role: words_for(role, numbers, path), "\n".join(prose)).split("\n") if prose else []


def words_for(role: re.Match[str], numbers: Numbers, path: Path) -> str:
    """A role in plain words."""
    name, text = role["name"].partition(":")[0], role["text"]
    if name == "eval":
        return literally(numbers[text])
    if name == "cite":
        return f"({'; '.join(citation(key.strip()) for key in text.split(','))})"
    if name == "math":
        return f"${text}$"
    if name in ("ref", "doc", "term", "numref"):
        return text.partition("<")[0].strip() or text
    raise ExtensionError(f"{path}: a notebook cannot say {role[0]}: teach it to downloads.py.")


def block(name: str, title: str, body: list[str], numbers: Numbers, path: Path) -> Iterator[str]:
    """A directive in plain Markdown and HTML."""
    while body and OPTION.match(body[0]):
        body = body[1:]
    inside = list(lines(body, numbers, path))
    while inside and not inside[-1].strip():
        inside.pop()
    if name == "exercise":
        yield from (f"#### Exercise: {title}" if title else "#### Exercise", "", *inside)
    elif name in FOLDS:
        yield from ("<details>", f"<summary>{FOLDS[name] or title}</summary>", "", *inside, "", "</details>")
    elif name in BOXES:
        yield from (f"> **{BOXES[name] or title}**", ">", *(f"> {line}".rstrip() for line in inside))
    elif name == "math":
        yield from ("$$", *inside, "$$")
    else:
        raise ExtensionError(f"{path}: a notebook cannot show the directive {name!r}: teach it to downloads.py.")


@cache
def literature() -> Any:
    """The book's references."""
    return parse_file(str(BOOK / "references.bib"))


def citation(key: str) -> str:
    """ "Vaswani et al., 2017", as a link where the reference has one."""
    entry = literature().entries[key]
    names = [" ".join(person.prelast_names + person.last_names) for person in entry.persons.get("author", [])]
    names = [re.sub(r"[{}\\]", "", name) for name in names]
    who = names[0] if len(names) == 1 else " and ".join(names) if len(names) == 2 else f"{names[0]} et al."
    fields = entry.fields
    address = fields.get("url") or (f"https://doi.org/{fields['doi']}" if "doi" in fields else "")
    words = f"{who}, {fields.get('year', '')}"
    return f"[{words}]({address})" if address else words


def archive_name(app: Sphinx) -> str:
    """How the project is called as one file."""
    return f"{PROJECT}-{app.config.release}.tar.gz"


def install_cell(app: Sphinx) -> str:
    """The code of a notebook's first cell."""
    name, address = archive_name(app), app.config.html_baseurl.rstrip("/")
    if address:
        return INSTALL.format(where="on the site", source=f"{address}/{name}")
    return INSTALL.format(where="the file that the site's front page gives, beside this notebook", source=f"./{name}")


def start(app: Sphinx, docname: str) -> list[nodes.Node]:
    """`{start}`: from this page to a model that learns, in three lines."""
    name, address = archive_name(app), app.config.html_baseurl.rstrip("/")
    folder = name.removesuffix(".tar.gz")
    fetched = f"curl -sL {address}/{name} | tar xz" if address else f"tar xzf {name}"
    first = f"{fetched} && cd {folder}"
    code = (
        f"{first}\nmake run    # installs once, then trains a GPT on real English text, in minutes\n"
        "make lab    # your own copy of the chapters, as notebooks"
    )
    if app.builder.name == "epub":
        file: nodes.Node = nodes.literal("", name)
    else:
        up = "../" * docname.count("/")
        file = nodes.raw("", f'<a href="{up}{name}" download>{name}</a>', format="html")
    before = nodes.paragraph("", "", nodes.Text("The project is one file, "), file, nodes.Text(". In its folder:"))
    return [before, nodes.literal_block(code, code, language="bash")]


def write_downloads(app: Sphinx, error: Exception | None) -> None:
    """The notebooks and the project, beside the pages."""
    if error is not None or app.builder.format != "html" or app.builder.name == "epub":
        return
    for docname, executed in executions(app).items():
        source = Path(app.env.doc2path(docname))
        if front_matter(source):
            target = Path(app.outdir) / notebook_name(docname)
            target.parent.mkdir(parents=True, exist_ok=True)
            nbformat.write(plain(source, executed, number_of(docname), install_cell(app)), target)
    pack(Path(app.outdir) / archive_name(app))


def pack(target: Path) -> None:
    """The project as one file, without what it has made: what git knows, or all but what it would ignore."""
    folder = target.name.removesuffix(".tar.gz")
    with tarfile.open(target, "w:gz", compresslevel=6) as archive:
        for path in project_files():
            info = archive.gettarinfo(ROOT / path, f"{folder}/{path}")
            info.uid = info.gid = info.mtime = 0
            info.uname = info.gname = ""
            with (ROOT / path).open("rb") as file:
                archive.addfile(info, file)


def project_files() -> list[str]:
    """The project's files, by their paths inside it."""
    command = ["git", "-C", str(ROOT), "ls-files", "--cached", "--others", "--exclude-standard", "-z"]
    try:
        found = subprocess.run(command, capture_output=True, text=True, check=True).stdout.split("\0")
    except (OSError, subprocess.CalledProcessError):  # no git here: the project came as an archive
        made = {"_build", "__pycache__", "build", "runs", "my-book", "jupyter_execute"}
        names = (path.relative_to(ROOT) for path in ROOT.rglob("*"))
        hidden = (name.as_posix() for name in names if not any(p.startswith(".") or p in made for p in name.parts))
        found = [*hidden, ".gitignore"]
    return sorted(name for name in found if name and (ROOT / name).is_file() and not (ROOT / name).is_symlink())


def setup(app: Sphinx) -> dict[str, Any]:
    """Register with Sphinx."""
    app.setup_extension("navigation")
    MAKERS["start"] = start
    app.add_directive("start", Listing)
    app.connect("build-finished", write_downloads)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
