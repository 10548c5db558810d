"""`{api} insideout.transformer`: what is public of the modules in a package's folder, found on disk.

Public is what a module's or its package's `__all__` says; where there is none, what is used from elsewhere: by another
part of the library, a chapter or a benchmark. Helpers are not shown, nor modules with nothing public.
"""

import ast
import re
from functools import cache
from importlib import import_module
from pathlib import Path
from typing import Any

from docutils import nodes
from docutils.statemachine import StringList
from execution import notebooks, steps
from sphinx.application import Sphinx
from sphinx.util.docutils import SphinxDirective

import insideout

SOURCE = Path(insideout.__file__).parent
ROOT = Path(__file__).resolve().parents[2]


def modules_of(package: str) -> list[str]:
    """Full names of the modules in a package's folder, the package itself first."""
    folder = SOURCE.parent / package.replace(".", "/")
    names = sorted(path.stem for path in folder.glob("[!_]*.py"))
    return [package, *(f"{package}.{name}" for name in names)] if folder.is_dir() else [package]


def public(module: str) -> list[str]:
    """The public names that a module defines, in the order of its file."""
    loaded = import_module(module)
    package = import_module(module.rpartition(".")[0])
    tree = ast.parse(Path(str(loaded.__file__)).read_text(encoding="utf-8"))
    names = [name for node in tree.body for name in defined(node) if not name.startswith("_")]
    if hasattr(loaded, "__path__"):
        return names  # a package: what stands in its own file
    if hasattr(loaded, "__all__"):
        chosen = set(loaded.__all__)
    elif hasattr(package, "__all__"):
        chosen = {name for name in package.__all__ if getattr(getattr(package, name), "__module__", module) == module}
    else:
        chosen = used_from_elsewhere()[module]
    return [name for name in dict.fromkeys(names) if name in chosen]


def defined(node: ast.stmt) -> list[str]:
    """The names that a statement of a module defines."""
    if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
        return [node.name]
    targets = node.targets if isinstance(node, ast.Assign) else [node.target] if isinstance(node, ast.AnnAssign) else []
    return [target.id for target in targets if isinstance(target, ast.Name)]


@cache
def used_from_elsewhere() -> dict[str, set[str]]:
    """For every module, which of its names are used by what is not of the same part of the library."""
    code = {
        path: path.read_text(encoding="utf-8") for path in [*SOURCE.rglob("*.py"), *(ROOT / "benchmarks").glob("*.py")]
    }
    code |= {path: "\n".join(text for kind, text in steps(path) if kind == "code") for path in notebooks()}
    found: dict[str, set[str]] = {module_name(path): set() for path in SOURCE.rglob("*.py")}
    for path, text in code.items():
        tree, modules, own = ast.parse(text), dict[str, str](), part_of(path)
        for node in ast.walk(tree):
            if isinstance(node, ast.ImportFrom) and node.module in found and node.module.split(".")[1:2] != own:
                for alias in node.names:
                    inside = f"{node.module}.{alias.name}"
                    if inside in found:
                        modules[alias.asname or alias.name] = inside
                    else:
                        found[str(node.module)].add(alias.name)
        for node in ast.walk(tree):
            if isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name) and node.value.id in modules:
                found[modules[node.value.id]].add(node.attr)
    return found


def part_of(path: Path) -> list[str]:
    """["transformer"] for what stands in that folder; [] for what is not of the library."""
    return module_name(path).split(".")[1:2] if path.is_relative_to(SOURCE) else []


def module_name(path: Path) -> str:
    """The full name of a file of the library."""
    parts = path.relative_to(SOURCE.parent).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


class ApiDirective(SphinxDirective):
    """One section per module: its docstring, then its public members in the order of the file."""

    required_arguments = 1

    def run(self) -> list[nodes.Node]:
        """Sections made by autodoc."""
        sections: list[nodes.Node] = []
        for module in modules_of(self.arguments[0]):
            members = public(module)
            package_says = hasattr(import_module(module), "__path__") and hasattr(import_module(module), "__all__")
            if not members and not package_says:
                continue
            section = nodes.section(ids=[module.replace(".", "-")], names=[module])
            section += nodes.title("", "", nodes.literal("", module.removeprefix("insideout.")))
            options = [f"   :members: {', '.join(members)}", "   :show-inheritance:"] if members else []
            lines = ["```{eval-rst}", f".. automodule:: {module}", *options, "```"]
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
