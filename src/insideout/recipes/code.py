"""Which of our code a function reaches, read from the source: parsed, never run, without comments and docstrings.

    reached(["insideout.recipes.pretrain:make"])  ->  {"insideout.training.loop:train": "FunctionDef 'train' …

A name is followed to its function, class or global, through imports at the top or inside functions. An attribute of
something unknown reaches every method of that name in the classes reached so far or later, wherever they stand. Special
methods, and all methods of a class with a base that is not ours (torch may call them), are reached with the class.
Where a name is made up at run time (`getattr(x, name)`, `import_module(name)`) the whole module, or all that the name
may mean, is reached. What a module does when it is imported belongs to all of it. So too much may be reached, and
never too little. "Ours" is this package, and any module that is neither installed nor of Python's own library.
"""

import ast
import contextlib
import hashlib
import re
import sys
import sysconfig
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from functools import cached_property, lru_cache
from importlib.util import find_spec
from pathlib import Path
from typing import Any

PACKAGE = Path(__file__).resolve().parents[1]
OURS = PACKAGE.name
NAME_OF_OURS = re.compile(rf"{OURS}(\.\w+)+")
HARMLESS = {("property",), ("staticmethod",), ("classmethod",)}
"""Decorators, besides those of other libraries, that register nothing anywhere."""
ANY_NAME = {"globals", "eval", "exec", "vars", "locals"}
OF_LIBRARIES = {"import_module", "attrgetter", "methodcaller"}

Target = tuple[str, str]
"""A module and a name in it; no name: the module itself."""
Stamp = tuple[int, int]
"""When a file was changed, and its size."""


@dataclass
class Uses:
    """What a piece of code mentions."""

    chains: list[tuple[str, ...]] = field(default_factory=list)
    """("positions", "rope", "shape"): a name and the attributes taken from it."""
    attributes: set[str] = field(default_factory=set)
    """Attributes of anything else."""
    imports: dict[str, list[Target]] = field(default_factory=dict)
    """What imports inside it bind."""
    imported: list[str] = field(default_factory=list)
    """Modules that these imports run."""
    mentioned: set[str] = field(default_factory=set)
    """Modules whose names stand in its strings."""
    made_up: list[str] = field(default_factory=list)
    """Where names are made up at run time: "" for this module, else how the modules' names begin."""


@dataclass
class Piece:
    """A function, the head of a class or a statement of a module."""

    node: ast.stmt
    package: str

    @cached_property
    def text(self) -> str:
        """Its code, without comments, docstrings and layout."""
        return self._read[0]

    @cached_property
    def uses(self) -> Uses:
        """What it mentions."""
        return self._read[1]

    @cached_property
    def _read(self) -> tuple[str, Uses]:
        return read(self.node, self.package)


@dataclass
class Class:
    """A class: its head, with all that is not a method, and its methods by name."""

    head: Piece
    methods: dict[str, list[Piece]]
    always: set[str]
    bases: list[tuple[str, ...]]


@dataclass
class Module:
    """A parsed file."""

    name: str
    path: Path
    pieces: dict[str, list[Piece]] = field(default_factory=dict)
    classes: dict[str, list[Class]] = field(default_factory=dict)
    imports: dict[str, list[Target]] = field(default_factory=dict)
    imported: list[str] = field(default_factory=list)
    """What importing this module imports in turn."""
    at_import: list[Piece] = field(default_factory=list)
    """Statements that do more than give a value a name."""


def reached(roots: Iterable[str], attributes: Iterable[str] = (), apart: Iterable[str] = ()) -> dict[str, str]:
    """All code of ours that the roots ("module:name", or "module" for all of it) reach, by name.

    `attributes` are those that callers take from what they get; modules in `apart` are not entered.
    """
    return Walk(roots, attributes, apart).run()


def code_key(roots: Iterable[str], attributes: Iterable[str] = (), apart: Iterable[str] = ()) -> str:
    """The first 16 digits of a hash of all that the roots reach; kept while no file of it changes."""
    asked = (tuple(sorted(roots)), tuple(sorted(attributes)), tuple(sorted(apart)))
    kept = _keys.get(asked)
    if kept is not None and all(stamp(path) == before for path, before in kept[1]):
        return kept[0]
    walk = Walk(*asked)
    digest = hashlib.sha256(repr(sorted(walk.run().items())).encode()).hexdigest()[:16]
    _keys[asked] = (digest, [(path, stamp(path)) for path in walk.read])
    return digest


_keys: dict[tuple[tuple[str, ...], ...], tuple[str, list[tuple[Path, Stamp | None]]]] = {}
_modules: dict[Path, tuple[Stamp | None, Module]] = {}


def stamp(path: Path) -> Stamp | None:
    """When a file was changed and how long it is; None where it is gone."""
    try:
        found = path.stat()
    except OSError:
        return None
    return found.st_mtime_ns, found.st_size


class Walk:
    """From the roots outwards, until nothing new is reached."""

    def __init__(self, roots: Iterable[str], attributes: Iterable[str], apart: Iterable[str]) -> None:
        self.apart, self.attributes = set(apart), set(attributes)
        self.found: dict[str, str] = {}
        self.read: set[Path] = set()
        self.waiting: list[tuple[Module, Piece]] = []
        self.seen: set[Target] = set()
        self.classes: list[tuple[Module, str, Class]] = []
        self.entered: set[str] = set()
        self.whole_ones: set[str] = set()
        for root in roots:
            module, _, name = root.partition(":")
            self.follow(module, name) if name else self.whole(module)

    def run(self) -> dict[str, str]:
        """Follow everything; give the code by name."""
        while self.waiting:
            while self.waiting:
                module, piece = self.waiting.pop()
                self.uses(module, piece.uses)
            for module, name, each in self.classes:  # an attribute may have come up after the class
                for method in each.methods.keys() & self.attributes:
                    self.method(module, name, each, method)
        return self.found

    def take(self, module: Module, name: str, piece: Piece) -> None:
        """This piece is reached."""
        label = f"{module.name}:{name}"
        self.found[label] = f"{self.found[label]}\n{piece.text}" if label in self.found else piece.text
        self.waiting.append((module, piece))

    def enter(self, name: str) -> Module | None:
        """A module is imported, so what it does then is reached, and what it imports is imported."""
        if name in self.apart:
            return None
        module = parsed(name)
        if module is None or name in self.entered:
            return module
        self.entered.add(name)
        self.read.add(module.path)
        if "." in name:
            self.enter(name.rpartition(".")[0])
        for piece in module.at_import:
            self.take(module, "at import", piece)
        for each in module.imported:
            self.enter(each)
        return module

    def follow(self, module_name: str, name: str) -> None:
        """A name of a module is used: "train", or "GPT.forward"."""
        name, _, method = name.partition(".")
        if method:
            self.attributes.add(method)
        submodule = f"{module_name}.{name}"
        module = self.enter(module_name)
        if module is None or (module_name, name) in self.seen:
            return
        self.seen.add((module_name, name))
        known = False
        for piece in module.pieces.get(name, []):
            self.take(module, name, piece)
            known = True
        for each in module.classes.get(name, []):
            self.take(module, name, each.head)
            self.classes.append((module, name, each))
            known = True
            everything = module_name in self.whole_ones or self.foreign(module, each)
            for method_name in each.methods:
                if everything or method_name in each.always or method_name in self.attributes:
                    self.method(module, name, each, method_name)
        for target in [*module.imports.get(name, []), *stars(module, name)]:
            self.target(target)
            known = True
        if not known and self.enter(submodule) is None and not name.startswith("__"):
            self.whole(module_name)  # a name that comes from nowhere: made by code that we cannot follow

    def method(self, module: Module, name: str, each: Class, method: str) -> None:
        """A method of a class is reached."""
        label = f"{name}.{method}"
        if (module.name, label) not in self.seen:
            self.seen.add((module.name, label))
            for piece in each.methods[method]:
                self.take(module, label, piece)

    def whole(self, name: str) -> None:
        """All of a module is reached."""
        module = self.enter(name)
        if module is None or name in self.whole_ones:
            return
        self.whole_ones.add(name)
        for each in [*module.pieces, *module.classes, *module.imports]:
            self.follow(name, each)
        for class_name, classes in module.classes.items():
            for each_class in classes:
                for method in each_class.methods:
                    self.method(module, class_name, each_class, method)

    def target(self, target: Target) -> None:
        """What an import binds is used."""
        module, name = target
        if not name:
            self.enter(module)
        elif parsed(f"{module}.{name}") is not None:
            self.enter(f"{module}.{name}")
        elif parsed(module) is not None:
            self.follow(module, name)

    def uses(self, module: Module, uses: Uses) -> None:
        """Follow all that a piece mentions."""
        for name in uses.imported:
            self.enter(name)
        for chain in uses.chains:
            self.chain(module, uses, chain)
        for name in uses.mentioned:
            if parsed(name) is not None:
                self.whole(name)
        for start in uses.made_up:
            for name in [module.name] if not start else modules_like(start):
                self.whole(name)
        self.attributes |= uses.attributes

    def chain(self, module: Module, uses: Uses, chain: tuple[str, ...]) -> None:
        """A name, and what is taken from it."""
        first, *rest = chain
        targets = uses.imports.get(first) or module.imports.get(first) or stars(module, first)
        if first in module.pieces or first in module.classes:
            self.follow(module.name, first)
            self.attributes.update(rest)
        for target in targets:
            self.along(target, rest)
        if not targets:
            self.attributes.update(rest)

    def along(self, target: Target, rest: list[str]) -> None:
        """From an import's target along attributes, as far as they are modules."""
        name = ".".join(filter(None, target))
        if parsed(name) is None:  # not a module of ours: a name in one, or of another library
            if parsed(target[0]) is not None:
                self.follow(*target)
                self.attributes.update(rest)
            return
        self.enter(name)
        if not rest:
            self.whole(name)  # the module itself is handed on: anything may be taken from it
        elif parsed(f"{name}.{rest[0]}") is not None:
            self.along((f"{name}.{rest[0]}", ""), rest[1:])
        else:
            self.follow(name, rest[0])
            self.attributes.update(rest[1:])

    def foreign(self, module: Module, each: Class, depth: int = 0) -> bool:
        """Has a class, near or far, a base of another library, which may call any of its methods?"""
        for base in each.bases:
            targets = module.imports.get(base[0], [])
            if base == ("object",) or depth > 20:
                continue
            if len(base) == 1 and base[0] in module.classes:
                if any(self.foreign(module, parent, depth + 1) for parent in module.classes[base[0]]):
                    return True
                continue
            name = ".".join([*filter(None, targets[0] if targets else ("",)), *base[1:]])
            home = parsed(name.rpartition(".")[0])
            parents = home.classes.get(name.rpartition(".")[2], []) if home is not None else []
            if home is None or not parents or any(self.foreign(home, parent, depth + 1) for parent in parents):
                return True
        return False


def stars(module: Module, name: str) -> list[Target]:
    """Where `from … import *` may have brought a name from."""
    found = []
    for home, _ in module.imports.get("*", []):
        other = parsed(home)
        if other is not None and (name in other.pieces or name in other.classes or name in other.imports):
            found.append((home, name))
    return found


def parsed(name: str) -> Module | None:
    """A module of ours, parsed; None for any other name."""
    path = file_of(name)
    if path is None:
        return None
    kept, now = _modules.get(path), stamp(path)
    if kept is None or kept[0] != now:
        kept = _modules[path] = (now, parse(name, path))
    return kept[1]


def file_of(name: str) -> Path | None:
    """The file of a module of ours."""
    return _file_in_package(name) if name == OURS or name.startswith(f"{OURS}.") else _file_beside(name)


@lru_cache(maxsize=4096)
def _file_in_package(name: str) -> Path | None:
    return _module_file(PACKAGE, name.split(".")[1:])


def _file_beside(name: str) -> Path | None:
    """The file of a module that somebody wrote for themselves."""
    first, *rest = name.split(".")
    if first in sys.stdlib_module_names or first in _others or not first.isidentifier() or first == "__main__":
        return None
    place = getattr(sys.modules.get(first), "__file__", None)
    if place is None:
        try:
            place = getattr(find_spec(first), "origin", None)
        except (ImportError, ValueError):
            return None
    if place is None:
        return None
    if not is_ours(Path(place)):
        _others.add(first)
        return None
    if not rest:
        return Path(place)
    return _module_file(Path(place).parent, rest) if Path(place).name == "__init__.py" else None


_others: set[str] = set()


def _module_file(base: Path, parts: list[str]) -> Path | None:
    path = base.joinpath(*parts)
    places = (path.with_suffix(".py"), path / "__init__.py") if parts else (path / "__init__.py",)
    return next((each for each in places if each.is_file()), None)


def is_ours(path: Path) -> bool:
    """Is this file neither installed nor of Python's own library? Nor compiled."""
    if path.suffix != ".py":
        return False
    path = path.resolve()
    if path.is_relative_to(PACKAGE):
        return True
    return not any(path.is_relative_to(folder) for folder in _installed())


@lru_cache
def _installed() -> tuple[Path, ...]:
    names = ("stdlib", "platstdlib", "purelib", "platlib")
    return tuple({Path(sysconfig.get_path(name)).resolve() for name in names})


def modules_like(start: str) -> Iterator[str]:
    """The modules of this package whose name begins so."""
    for path in sorted(PACKAGE.rglob("*.py")):
        parts = [OURS, *path.relative_to(PACKAGE).with_suffix("").parts]
        name = ".".join(parts[:-1] if parts[-1] == "__init__" else parts)
        if name.startswith(start):
            yield name


def parse(name: str, path: Path) -> Module:
    """Read a file into pieces."""
    module = Module(name, path)
    tree = ast.parse(path.read_bytes())
    without_docstrings(tree)
    package = name if path.name == "__init__.py" else name.rpartition(".")[0]
    for statement in tree.body:
        read_statement(module, package, statement)
    return module


def without_docstrings(node: ast.AST) -> None:
    """Take them out of a module, its classes and functions, those of attributes too."""
    for name in ("body", "orelse", "finalbody", "handlers", "cases"):
        block = getattr(node, name, None)
        if isinstance(block, list):
            kept = [each for each in block if not is_docstring(each)]
            setattr(node, name, kept or [ast.Pass()] * (name == "body"))
            for each in kept:
                without_docstrings(each)


def is_docstring(node: ast.AST) -> bool:
    """A string that stands alone does nothing."""
    return isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant) and isinstance(node.value.value, str)


def read_statement(module: Module, package: str, node: ast.stmt) -> None:
    """Sort one statement of a module: what it defines, imports or does."""
    if isinstance(node, ast.Import | ast.ImportFrom):
        bind(node, package, module.imports, module.imported)
    elif isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
        piece = Piece(node, package)
        module.pieces.setdefault(node.name, []).append(piece)
        if registers(node, module):
            module.at_import.append(piece)
    elif isinstance(node, ast.ClassDef):
        made = class_of(node, package)
        module.classes.setdefault(node.name, []).append(made)
        if registers(node, module):
            module.at_import.append(made.head)
    elif isinstance(node, ast.If) and "TYPE_CHECKING" in ast.dump(node.test):
        for each in node.body:
            if isinstance(each, ast.Import | ast.ImportFrom):
                bind(each, package, module.imports, [])
        for each in node.orelse:
            read_statement(module, package, each)
    else:
        piece = Piece(node, package)
        names = {each.id for each in ast.walk(node) if isinstance(each, ast.Name) and isinstance(each.ctx, ast.Store)}
        for name in names:
            module.pieces.setdefault(name, []).append(piece)
        for name, targets in piece.uses.imports.items():  # try: import …
            module.imports.setdefault(name, []).extend(targets)
        if not isinstance(node, ast.Assign | ast.AnnAssign | ast.Pass) or any(
            isinstance(each, ast.Attribute | ast.Subscript) and isinstance(each.ctx, ast.Store)
            for each in ast.walk(node)
        ):
            module.at_import.append(piece)
            for inner in ast.walk(node):
                if isinstance(inner, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
                    module.pieces.setdefault(inner.name, []).append(piece)


def registers(node: ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef, module: Module) -> bool:
    """Is it decorated by something of ours, which may keep it somewhere?"""
    for decorator in node.decorator_list:
        chain = chain_of(decorator.func if isinstance(decorator, ast.Call) else decorator)
        if not chain or chain[0] in module.pieces or chain[0] in module.classes:
            return True
        targets = module.imports.get(chain[0], [])
        if any(target[0].split(".")[0] == OURS for target in targets) or (not targets and chain not in HARMLESS):
            return True
    return False


def class_of(node: ast.ClassDef, package: str) -> Class:
    """A class's head and methods."""
    methods: dict[str, list[Piece]] = {}
    always: set[str] = set()
    rest: list[ast.stmt] = []
    for each in node.body:
        if isinstance(each, ast.FunctionDef | ast.AsyncFunctionDef):
            methods.setdefault(each.name, []).append(Piece(each, package))
            if each.name.startswith("__") or any(chain_of(d) not in HARMLESS for d in each.decorator_list):
                always.add(each.name)
        else:
            rest.append(each)
    head = ast.ClassDef(node.name, node.bases, node.keywords, rest, node.decorator_list)
    bases = [chain_of(base.value if isinstance(base, ast.Subscript) else base) for base in node.bases]
    return Class(Piece(head, package), methods, always, [base or ("?",) for base in bases])


def read(node: ast.stmt, package: str) -> tuple[str, Uses]:
    """A statement's code as one string, and what it mentions; of its annotations, those of parameters."""
    words: list[str] = []
    uses = Uses()
    waiting: list[tuple[Any, bool]] = [(node, True)]
    while waiting:
        each, counts = waiting.pop()
        if isinstance(each, list):
            words.append(str(len(each)))
            waiting += [(inner, counts) for inner in each]
            continue
        if not isinstance(each, ast.AST):
            words.append(repr(each))
            continue
        words.append(type(each).__name__)
        inside = counts
        if counts:
            inside = mention(each, package, uses)
        for name in each._fields:
            if name not in ("ctx", "type_comment"):
                annotation = name in ("annotation", "returns")
                waiting.append((getattr(each, name, None), inside and not annotation))
    return " ".join(words), uses


def mention(node: ast.AST, package: str, uses: Uses) -> bool:
    """Note what a node mentions by itself; say whether what is inside it may mention more."""
    if isinstance(node, ast.Name | ast.Attribute):
        chain = chain_of(node)
        if chain:
            uses.chains.append(chain)
            return False
        uses.attributes.add(node.attr)  # type: ignore[union-attr]
    elif isinstance(node, ast.Import | ast.ImportFrom):
        bind(node, package, uses.imports, uses.imported)
        return False
    elif isinstance(node, ast.Constant):
        if isinstance(node.value, str) and NAME_OF_OURS.fullmatch(node.value.partition(":")[0]):
            uses.mentioned.add(node.value.partition(":")[0])
    elif isinstance(node, ast.Call):
        look_at_call(node, package, uses)
    elif isinstance(node, ast.arg):  # what is handed in is of this class, whoever made it
        names = [n for n in ast.walk(written(node.annotation)) if isinstance(n, ast.Name | ast.Attribute)]
        uses.chains += [chain for each in names if (chain := chain_of(each))]
    return True


def written(annotation: ast.expr | None) -> ast.AST:
    """An annotation, also one that is written as a string."""
    if isinstance(annotation, ast.Constant) and isinstance(annotation.value, str):
        with contextlib.suppress(SyntaxError):
            return ast.parse(annotation.value, mode="eval")
    return annotation or ast.Pass()


def look_at_call(node: ast.Call, package: str, uses: Uses) -> None:
    """Calls that make up names: getattr, import_module and their kin."""
    chain, arguments = chain_of(node.func), node.args
    name = chain[-1] if chain else ""
    if len(chain) > 1 and chain[0] != "builtins" and name not in OF_LIBRARIES:
        return
    if name in ("getattr", "setattr", "hasattr", "delattr", "attrgetter", "methodcaller"):
        words = arguments if name in ("attrgetter", "methodcaller") else arguments[1:2]
        for word in words:
            if isinstance(word, ast.Constant) and isinstance(word.value, str):
                uses.attributes.update(word.value.split("."))
            elif word is words[0]:
                uses.made_up.append("")
    elif name in ANY_NAME:
        uses.made_up.append("")
    elif name in ("import_module", "__import__"):
        named = arguments[0] if arguments else None
        if isinstance(named, ast.JoinedStr) and named.values and isinstance(named.values[0], ast.Constant):
            uses.made_up.append(str(named.values[0].value))
        elif not isinstance(named, ast.Constant):
            uses.made_up.append(package or OURS)


def chain_of(node: ast.AST) -> tuple[str, ...]:
    """("a", "b", "c") for a.b.c; nothing for f(x).b."""
    names: list[str] = []
    while isinstance(node, ast.Attribute):
        names.append(node.attr)
        node = node.value
    return (node.id, *reversed(names)) if isinstance(node, ast.Name) else ()


def bind(node: ast.Import | ast.ImportFrom, package: str, names: dict[str, list[Target]], imported: list[str]) -> None:
    """What an import binds, and which modules it runs."""
    if isinstance(node, ast.Import):
        for alias in node.names:
            imported.append(alias.name)
            bound = alias.asname or alias.name.split(".")[0]
            names.setdefault(bound, []).append((alias.name if alias.asname else bound, ""))
        return
    home = node.module or ""
    if node.level:
        start = package.split(".")[: len(package.split(".")) - node.level + 1]
        home = ".".join([*start, *([home] if home else [])])
    imported.append(home)
    for alias in node.names:
        imported.append(f"{home}.{alias.name}")  # perhaps a module
        names.setdefault(alias.asname or alias.name, []).append((home, alias.name if alias.name != "*" else ""))
