"""What a function of a page is, with all that it uses, in words that are the same in every process.

A study is stored under these words, so nothing may be left out: the function's own code (its instructions, which know
no comments, docstrings or layout), closures, defaults and decorators, and the globals of the page that it reads, to any
depth: functions, classes, numbers, lists, dicts, tensors, arrays, models, modules beside the page. What belongs to
this library is named, as a root for `recipes.code`; what belongs to another is its name. A value that cannot be
described is an error that names it, and never skipped. Nothing is pickled; an object of another library is taken apart
as pickle would.
"""

import copyreg
import dataclasses
import dis
import enum
import functools
import hashlib
import inspect
import sys
import types
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from insideout.errors import BadInput
from insideout.recipes.code import OURS, is_ours

PLAIN = (type(None), bool, int, float, complex, str, bytes, type(Ellipsis), type(NotImplemented), range)
IGNORED = {
    "__module__", "__doc__", "__dict__", "__weakref__", "__firstlineno__", "__static_attributes__", "__qualname__",
    "__annotations__", "__annotations_cache__", "__annotate_func__", "__dataclass_fields__", "__dataclass_params__",
    "__parameters__", "__orig_bases__", "__abstractmethods__", "_abc_impl", "__match_args__",
}  # fmt: skip
"""Of a class's attributes, those that say nothing about what it does, or say again what is described otherwise."""
MISSING = object()


class Words:
    """A description under way: a digest of the words, and what of this library is used."""

    def __init__(self, outer: "Words | None" = None) -> None:
        self.digest = hashlib.sha256()
        self.roots: set[str] = outer.roots if outer else set()
        """Functions, classes, globals and modules of this library, as `recipes.code` takes them."""
        self.attributes: set[str] = outer.attributes if outer else set()
        """Attributes that are taken from anything."""
        self.open: dict[int, int] = outer.open if outer else {}
        """Objects being described, by id, and how deep."""
        self.done: dict[int, tuple[str, Any]] = outer.done if outer else {}
        """Objects described; each is kept, so that its id is nobody else's meanwhile."""

    def say(self, *words: str) -> None:
        """Add to the description."""
        for word in words:
            encoded = word.encode("utf-8", "surrogatepass")
            self.digest.update(f"{len(encoded)}:".encode() + encoded)


def described(value: Any, name: str = "it") -> Words:
    """A value in words. Raises BadInput, naming the part, for what cannot be described."""
    words = Words()
    try:
        describe(value, name, words)
    except RecursionError:
        raise BadInput(f"{name} is nested too deeply to be described: make it inside the function.") from None
    return words


def describe(value: Any, name: str, words: Words) -> None:
    """Add a value, which is found under a name, to the words. Equal things are described alike, shared or not."""
    if type(value) in PLAIN:
        words.say(type(value).__name__, repr(value))
    elif isinstance(value, types.ModuleType):
        module(value, words)
    elif id(value) in words.open:
        words.say("the one around", str(words.open[id(value)]))
    else:
        if id(value) not in words.done:
            words.open[id(value)] = len(words.open)
            inner = Words(words)
            look_at(value, name, inner)
            del words.open[id(value)]
            words.done[id(value)] = (inner.digest.hexdigest(), value)
        words.say(words.done[id(value)][0])


def look_at(value: Any, name: str, words: Words) -> None:
    """Describe a value by what it is."""
    if isinstance(value, type):
        class_of(value, name, words)
    elif isinstance(value, types.FunctionType):
        function(value, name, words)
    elif isinstance(value, types.MethodType):
        words.say("method")
        describe(value.__self__, f"{name}.__self__", words)
        describe(value.__func__, name, words)
    elif isinstance(value, types.BuiltinFunctionType | types.MethodWrapperType | types.WrapperDescriptorType):
        words.say("builtin", str(getattr(value, "__module__", "")), value.__qualname__)
        owner = getattr(value, "__self__", None)
        if not isinstance(owner, types.ModuleType | type(None)):
            describe(owner, f"{name}.__self__", words)
    elif type(value) in (list, tuple, dict, set, frozenset):
        container(value, name, words)
    elif is_array(value):
        array(value, name, words)
    else:
        thing(value, name, words)


def container(value: Any, name: str, words: Words) -> None:
    """A list, tuple, dict or set, item by item."""
    words.say(type(value).__name__, str(len(value)))
    if isinstance(value, dict):
        for key, each in value.items():
            describe(key, f"a key of {name}", words)
            describe(each, f"{name}[{key!r}]"[:200], words)
    elif isinstance(value, set | frozenset):
        found = []
        for each in value:
            one = Words(words)
            describe(each, f"an element of {name}", one)
            found.append(one.digest.hexdigest())
        words.say(*sorted(found))
    else:
        for i, each in enumerate(value):
            describe(each, f"{name}[{i}]", words)


def is_array(value: Any) -> bool:
    """A tensor of torch or an array of NumPy, if these are in use."""
    torch, numpy = sys.modules.get("torch"), sys.modules.get("numpy")
    return (torch is not None and isinstance(value, torch.Tensor)) or (
        numpy is not None and isinstance(value, numpy.ndarray)
    )


def array(value: Any, name: str, words: Words) -> None:
    """Its type, shape and numbers."""
    import numpy

    words.say(type(value).__name__, str(value.dtype), str(tuple(value.shape)))
    if not isinstance(value, numpy.ndarray):
        import torch

        words.say(str(value.requires_grad))
        whole = value.detach().cpu()
        if whole.layout is not torch.strided or whole.is_quantized or whole.is_meta:
            raise cannot(name, value)
        value = whole.contiguous().reshape(-1).view(torch.uint8).numpy() if whole.numel() else numpy.empty(0)
    if value.dtype == object:
        container(value.tolist(), name, words)
    else:
        words.say(hashlib.sha256(numpy.ascontiguousarray(value).data).hexdigest())


def module(value: types.ModuleType, words: Words) -> None:
    """A module that is handed on as it is: of ours, all of it."""
    words.say("module", value.__name__)
    if belongs(value.__name__, getattr(value, "__file__", None)) != "another":
        words.roots.add(value.__name__)


def belongs(module_name: str | None, file: str | None = None) -> str:
    """Whose a module is: "library" (this one), "page" (the reader's own, with what lies beside it) or "another"."""
    if module_name == OURS or (module_name or "").startswith(f"{OURS}."):
        return "library"
    if module_name in (None, "__main__"):
        return "page"
    file = file or getattr(sys.modules.get(str(module_name)), "__file__", None)
    if file is None:
        return "another" if str(module_name) in sys.modules else "page"
    return "page" if is_ours(Path(file)) else "another"


def thing(value: Any, name: str, words: Words) -> None:
    """An object: its class, and its state."""
    kind = type(value)
    whose = belongs(kind.__module__)
    fingerprint = getattr(value, "fingerprint", None) if whose == "library" else None
    if isinstance(value, enum.Enum):
        words.say("enum", value.name)
        describe(kind, f"the class of {name}", words)
    elif isinstance(fingerprint, str):
        words.say("fingerprint", fingerprint)
        describe(kind, f"the class of {name}", words)
    elif isinstance(value, staticmethod | classmethod):
        words.say(kind.__name__)
        describe(value.__func__, name, words)
    elif isinstance(value, property):
        words.say("property")
        container([value.fget, value.fset, value.fdel], name, words)
    elif isinstance(value, functools.cached_property):
        words.say("cached_property")
        describe(value.func, name, words)
    elif hasattr(value, "cache_parameters") and hasattr(value, "__wrapped__"):  # functools.lru_cache
        words.say("cached", repr(value.cache_parameters()))
        describe(value.__wrapped__, name, words)
    elif whose != "another" and not {"__reduce_ex__", "__reduce__"} & {n for c in kind.__mro__[:-1] for n in vars(c)}:
        describe(kind, f"the class of {name}", words)
        state = dict(getattr(value, "__dict__", {}))
        for each in kind.__mro__:
            slots = each.__dict__.get("__slots__", ())
            state |= {slot: getattr(value, slot, None) for slot in ([slots] if isinstance(slots, str) else slots)}
        builtins: tuple[Any, ...] = (list, tuple, dict, set, frozenset, str, int, float)
        for builtin in builtins:
            if isinstance(value, builtin):  # a subclass
                describe(builtin(value), name, words)
        container(state, name, words)
    else:
        taken_apart(value, name, words)


def taken_apart(value: Any, name: str, words: Words) -> None:
    """An object of another library, as pickle would take it apart."""
    reducer = copyreg.dispatch_table.get(type(value))
    try:
        parts = reducer(value) if reducer else value.__reduce_ex__(2)
    except Exception as error:
        raise cannot(name, value) from error
    describe(type(value), f"the class of {name}", words)
    if isinstance(parts, str):
        words.say("global", parts)
        return
    words.say("reduced", str(len(parts)))
    for i, part in enumerate(parts):
        describe(list(part) if i > 2 and isinstance(part, Iterator) else part, name, words)


def cannot(name: str, value: Any) -> BadInput:
    """The sentence for what cannot be described."""
    return BadInput(
        f"This study uses {name}, a {type(value).__module__}.{type(value).__qualname__}, and what that is cannot be "
        "told from one day to the next: make it inside the function, or hand over the numbers that decide it."
    )


def importable(value: Any) -> bool:
    """Is it found again under its own name, as a function or class of an installed library is?"""
    found: Any = sys.modules.get(value.__module__ or "")
    for part in value.__qualname__.split("."):
        found = getattr(found, part, MISSING)
    return found is value


def function(value: types.FunctionType, name: str, words: Words) -> None:
    """A function with all that it uses."""
    whose, inside = belongs(value.__module__), "<locals>" in value.__qualname__
    if whose == "library":
        root = f"{value.__module__}:{value.__qualname__.split('.<locals>')[0]}"
        words.say("ours", root)
        words.roots.add(root)
        if not inside:
            return
    elif whose == "another" and importable(value):
        words.say("theirs", value.__module__, value.__qualname__)
        return
    elif of_another(value.__code__):  # a decorator of theirs around a function of the page
        words.say("theirs", str(value.__globals__.get("__name__")), value.__code__.co_qualname)
    else:
        words.say("function")
        code(value.__code__, name, words, value.__globals__)
    for free, cell in zip(value.__code__.co_freevars, value.__closure__ or (), strict=True):
        try:
            describe(cell.cell_contents, f"{free} (in {name})", words)
        except ValueError as error:
            if isinstance(error, BadInput):
                raise
            words.say("empty")  # not filled yet
    container(list(value.__defaults__ or ()), f"a default of {name}", words)
    container(dict(value.__kwdefaults__ or {}), f"a default of {name}", words)
    container(dict(vars(value)), name, words)  # what was set on it, and what a decorator wrapped


def of_another(value: types.CodeType) -> bool:
    """Does this code stand in a file of another library?"""
    file = Path(value.co_filename)
    return value.co_filename.startswith("<frozen") or (file.is_absolute() and file.exists() and not is_ours(file))


def code(value: types.CodeType, name: str, words: Words, names: dict[str, Any]) -> None:
    """The instructions of a function of the page, and the globals that they read."""
    words.say(
        "code", str(value.co_argcount), str(value.co_posonlyargcount), str(value.co_kwonlyargcount),
        str(value.co_flags & 0x2F), str(value.co_varnames), value.co_exceptiontable.hex(),
    )  # fmt: skip
    steps: list[dis.Instruction] = []
    index: dict[int, int] = {}
    for each in dis.get_instructions(value):
        index[each.offset] = len(steps)
        if each.opname not in ("EXTENDED_ARG", "CACHE", "NOP"):
            steps.append(each)
    before = (None, None, None)
    chain: list[str] = []
    for i, each in enumerate(steps):
        after = steps[i + 1] if i + 1 < len(steps) else None
        if after is not None and after.opname == "STORE_NAME" and after.argval == "__doc__":
            continue  # the docstring of a class inside
        words.say(each.opname)
        if each.opname in ("LOAD_CONST", "RETURN_CONST", "KW_NAMES"):
            constant(each.argval, name, words, names)
        elif each.opcode in dis.hasjrel or each.opcode in dis.hasjabs:
            words.say(str(index.get(each.argval, -1) - i))
        else:
            words.say(str(each.argval))
        if each.opname in ("LOAD_GLOBAL", "LOAD_NAME", "LOAD_FROM_DICT_OR_GLOBALS"):
            follow(chain, name, words, names)
            chain = [each.argval]
        elif each.opname in ("LOAD_ATTR", "LOAD_METHOD") and chain:
            chain.append(each.argval)
        elif each.opname != "PUSH_NULL":
            follow(chain, name, words, names)
            chain = []
        if each.opname in ("LOAD_ATTR", "LOAD_METHOD", "STORE_ATTR", "DELETE_ATTR", "LOAD_SUPER_ATTR"):
            words.attributes.add(each.argval)
        if each.opname == "IMPORT_NAME":
            imported(each.argval, before[-1], words)
        before = (*before[1:], each.argval)
    follow(chain, name, words, names)


def constant(value: Any, name: str, words: Words, names: dict[str, Any]) -> None:
    """A constant of the code; a function that is defined inside is one."""
    if isinstance(value, types.CodeType):
        words.say(value.co_name)
        code(value, name, words, names)
    else:
        describe(value, f"a constant of {name}", words)


def follow(chain: list[str], name: str, words: Words, names: dict[str, Any]) -> None:
    """A global that is read, and the attributes taken from it, as far as these lead through modules."""
    if not chain:
        return
    first, *rest = chain
    value = names.get(first, MISSING)
    if value is MISSING:
        builtins = names.get("__builtins__", {})
        there = first in (builtins if isinstance(builtins, dict) else vars(builtins))
        words.say("builtin" if there else "absent", first)
        return
    path = first
    while isinstance(value, types.ModuleType) and rest:
        home, attribute = value, rest.pop(0)
        value, path = getattr(home, attribute, MISSING), f"{path}.{attribute}"
        whose = belongs(home.__name__, getattr(home, "__file__", None))
        if whose == "another":
            words.say("theirs", home.__name__, attribute)
            return
        if value is MISSING:
            words.roots.add(home.__name__)
            return
        if not isinstance(value, types.ModuleType) and whose == "library":
            words.roots.add(f"{home.__name__}:{attribute}")
    words.say("global", path)
    describe(value, path if name == path else f"{path} (in {name})", words)


def imported(module_name: str, names: Any, words: Words) -> None:
    """An import inside a function: the names taken, or all of a module."""
    if belongs(module_name) != "another":
        for each in names or ():
            words.roots.add(f"{module_name}:{each}")
        if not names:
            words.roots.add(module_name)


def class_of(value: type, name: str, words: Words) -> None:
    """A class: of the page, its bases and all that it holds."""
    whose = belongs(value.__module__)
    if whose == "library":
        root = f"{value.__module__}:{value.__qualname__.split('.')[0]}"
        words.say("ours", root, value.__qualname__)
        words.roots.add(root)
        return
    if whose == "another":
        if not importable(value) and value.__module__ != "builtins":
            raise cannot(name, value)
        words.say("theirs", value.__module__, value.__qualname__)
        return
    words.say("class", value.__qualname__)
    for base in (type(value), *value.__bases__):
        if base is not object and base is not type:
            describe(base, f"a base of {name}", words)
    words.say(repr(inspect.get_annotations(value)))
    if dataclasses.is_dataclass(value):
        words.say(repr(value.__dataclass_params__))  # type: ignore[attr-defined]
        for field in dataclasses.fields(value):
            words.say(field.name, str(field.init), str(field.kw_only), str(field.compare))
            for default in (field.default, field.default_factory):
                if default is not dataclasses.MISSING:
                    describe(default, f"{name}.{field.name}", words)
    for attribute, member in sorted(vars(value).items()):
        generated = isinstance(member, types.FunctionType) and member.__code__.co_filename == "<string>"
        slot = isinstance(member, types.MemberDescriptorType | types.GetSetDescriptorType)
        if attribute not in IGNORED and not (generated and dataclasses.is_dataclass(value)) and not slot:
            words.say(attribute)
            describe(member, f"{name}.{attribute}", words)
