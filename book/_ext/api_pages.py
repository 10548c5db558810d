"""`{api} insideout.transformer`: the documentation of every module of a package, found on disk."""

import re
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from docutils import nodes
from docutils.statemachine import StringList
from sphinx.application import Sphinx
from sphinx.util.docutils import SphinxDirective


def modules_of(package: str) -> list[str]:
    """Full names of the modules in a package's folder that do not begin with an underscore, the package first."""
    try:
        spec = find_spec(package)
    except ModuleNotFoundError:
        return []
    if spec is None:
        return []
    if not spec.submodule_search_locations:
        return [package]
    folder = Path(next(iter(spec.submodule_search_locations)))
    inside = sorted(path for path in folder.rglob("*.py") if not path.name.startswith("_"))
    return [".".join((package, *path.relative_to(folder).with_suffix("").parts)) for path in inside]


class ApiDirective(SphinxDirective):
    """One section per module: its docstring, then its public members in the order of the file."""

    required_arguments = 1

    def run(self) -> list[nodes.Node]:
        """Sections made by autodoc."""
        sections: list[nodes.Node] = []
        for module in modules_of(self.arguments[0]):
            section = nodes.section(ids=[module.replace(".", "-")], names=[module])
            section += nodes.title("", "", nodes.literal("", module.removeprefix(self.arguments[0] + ".")))
            lines = ["```{eval-rst}", f".. automodule:: {module}", "   :members:", "   :show-inheritance:", "```"]
            self.state.nested_parse(StringList(lines, source=module), self.content_offset, section)
            sections.append(section)
        return sections


def as_rst(app: Sphinx, what: str, name: str, thing: Any, options: Any, lines: list[str]) -> None:
    """Docstrings are plain prose: indented blocks are code, and a lone * or | means itself."""
    out: list[str] = []
    for i, line in enumerate(lines):
        indented = line.startswith("    ")
        if indented and not (i and (lines[i - 1].startswith("    ") or (out and out[-1].startswith("    ")))):
            if out and out[-1].strip():
                out.append("")
            out += ["::", ""]
        if not indented:
            parts = re.split(r"(`+[^`]*`+)", line)
            line = "".join(p if p.startswith("`") else re.sub(r"([*|]|(?<=\w)_(?=\W|$))", r"\\\1", p) for p in parts)
        if out and not indented and line.strip() and out[-1].startswith("    "):
            out.append("")
        out.append(line)
    lines[:] = out


def setup(app: Sphinx) -> dict[str, Any]:
    """Register with Sphinx."""
    app.add_directive("api", ApiDirective)
    app.connect("autodoc-process-docstring", as_rst)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
