"""The answers that stand in notebooks, graded without running the notebooks.

    for answer in answers(Path("my-book/1-understanding-gradients/07_loss.ipynb")):
        answer.run()                        the call of `check` in its cell gives the verdict

An answer runs with what it uses and no more: of the cells above it the imports, functions and values whose names it
needs, and what these need in turn. So a chapter's experiments are not repeated for a function of three lines.
"""

import ast
import linecache
import symtable
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from insideout.errors import BadInput
from insideout.files import below
from insideout.lab.copies import exercise_of, read, source


@dataclass(frozen=True)
class Statement:
    """A statement of a cell, with the names that it gives and those that it takes."""

    node: ast.stmt
    file: str
    gives: frozenset[str]
    takes: frozenset[str]

    @property
    def later(self) -> bool:
        """Are its names looked up when it is called, and not when it is run?"""
        return isinstance(self.node, ast.FunctionDef | ast.AsyncFunctionDef)


@dataclass(frozen=True)
class Answer:
    """A cell that answers an exercise, and what of the cells above it uses."""

    exercise: str
    place: str
    """The notebook and the cell, in words."""
    statements: tuple[Statement, ...] = ()
    trouble: str = ""
    """Why the cell cannot be run: it is not Python."""
    tried: bool = True
    """Is anything there but the stub?"""

    def run(self) -> None:
        """Run it, and so grade it. Raises what its code raises outside of the function that is graded."""
        from insideout.exercises.grading import check

        names: dict[str, Any] = {"__name__": "__main__", "check": check}
        for each in self.statements:
            module = ast.Module([each.node], type_ignores=[])
            exec(compile(module, each.file, "exec", dont_inherit=True), names)


def notebooks(path: Path) -> list[Path]:
    """A notebook, or those in a folder at any depth; what a program keeps for itself is left out."""
    if path.is_file():
        return [path]
    inside = (each for each in below(path) if each.suffix == ".ipynb" and each.is_file())
    return sorted(each for each in inside if not any(part.startswith(".") for part in each.relative_to(path).parts))


def answers(path: Path) -> list[Answer]:
    """The answers in a notebook, in its order. Raises BadInput where it cannot be read."""
    notebook = read(path)
    if notebook is None:
        raise BadInput(f"{path} cannot be read as a notebook.")
    found, above = [], list[Statement]()
    for number, cell in enumerate(notebook["cells"], 1):
        if cell["cell_type"] != "code":
            continue
        code, place = without_magics(source(cell)), f"{path.name}, cell {number}"
        try:
            own = list(statements(code, place))
        except (SyntaxError, ValueError) as error:
            own = []
            if exercise_of(cell):
                line = f" at line {error.lineno} ({error.msg})" if isinstance(error, SyntaxError) else ""
                found.append(Answer(exercise_of(cell), place, trouble=f"it is not Python{line}"))
        else:
            if exercise_of(cell):
                used = (*needed(own, above), *own)
                found.append(Answer(exercise_of(cell), place, used, tried=not is_stub(own)))
        above += own
    return found


def without_magics(code: str) -> str:
    """A cell's code without the lines that only a notebook understands; the others keep their numbers."""
    return "\n".join("" if line.startswith(("%", "!")) else line for line in code.split("\n"))


def statements(code: str, file: str) -> Iterator[Statement]:
    """The statements of a cell. Raises SyntaxError."""
    linecache.cache[file] = (len(code), None, code.splitlines(keepends=True), file)
    for node in ast.parse(code, file).body:
        table = symtable.symtable(ast.unparse(node), file, "exec")
        symbols = table.get_symbols()
        gives = {each.get_name() for each in symbols if each.is_assigned() or each.is_imported()}
        takes = {each.get_name() for each in symbols if each.is_referenced()} | set(taken_inside(table))
        yield Statement(node, file, frozenset(gives), frozenset(takes))


def taken_inside(table: symtable.SymbolTable) -> Iterator[str]:
    """Names of the page that functions and classes take."""
    for child in table.get_children():
        yield from (each.get_name() for each in child.get_symbols() if each.is_global())
        yield from taken_inside(child)


def needed(own: Sequence[Statement], above: Sequence[Statement]) -> list[Statement]:
    """Of the statements above a cell, those that give the names it takes, or what these take, in order."""
    chosen: set[int] = set()
    waiting = [(name, len(above)) for each in own for name in each.takes]
    while waiting:
        name, end = waiting.pop()
        at = next((i for i in reversed(range(end)) if name in above[i].gives), None)
        if at is not None and at not in chosen:
            chosen.add(at)
            waiting += [(each, len(above) if above[at].later else at) for each in above[at].takes]
    return [above[i] for i in sorted(chosen)]


def is_stub(own: Sequence[Statement]) -> bool:
    """Is every function of the cell as the book left it? A docstring or a comment makes no answer."""
    functions = [each.node for each in own if isinstance(each.node, ast.FunctionDef)]

    def empty(function: ast.FunctionDef) -> bool:
        body = [
            each for each in function.body if not (isinstance(each, ast.Expr) and isinstance(each.value, ast.Constant))
        ]
        raised = body[0].exc if len(body) == 1 and isinstance(body[0], ast.Raise) else None
        name = raised.func if isinstance(raised, ast.Call) else raised
        return isinstance(name, ast.Name) and name.id == "NotImplementedError"

    return bool(functions) and empty(functions[-1])
