"""What a function reaches: never too little, held against what really runs; and no more than it must."""

import ast
import dataclasses
import inspect
import os
import shutil
import sys
import textwrap
from pathlib import Path

import pytest

from insideout.recipes import code, key, pretrain
from insideout.recipes.code import code_key, reached
from insideout.recipes.stage import make_in

MAKE = "insideout.recipes.pretrain:make"
TRANSFORMER = "insideout.transformer"


@pytest.fixture
def package(tmp_path, monkeypatch):
    """A copy of the whole package, to be edited."""
    copy = tmp_path / "insideout"
    shutil.copytree(code.PACKAGE, copy, ignore=shutil.ignore_patterns("__pycache__"))
    monkeypatch.setattr(code, "PACKAGE", copy)
    forget()
    yield copy
    forget()


def forget():
    """As in a new process."""
    code._keys.clear()
    code._modules.clear()
    code._file_in_package.cache_clear()


def edit(package, file, old, new):
    path = package / file
    text = path.read_text(encoding="utf-8")
    assert text.count(old) >= 1, (file, old)
    path.write_text(text.replace(old, new, 1), encoding="utf-8")
    os.utime(path, ns=(1, path.stat().st_mtime_ns + 1))  # however coarse the clock


def change_body(package, file, name):
    """Add a statement to the function or method of this name."""
    path = package / file
    tree = ast.parse(path.read_text(encoding="utf-8"))
    *above, last = name.split(".")
    body = tree.body
    for each in above:
        body = next(node for node in body if isinstance(node, ast.ClassDef) and node.name == each).body
    [function] = [node for node in body if isinstance(node, ast.FunctionDef) and node.name == last]
    lines = path.read_text(encoding="utf-8").split("\n")
    first = function.body[-1]
    lines.insert(first.lineno - 1, " " * first.col_offset + "changed = 1")
    path.write_text("\n".join(lines), encoding="utf-8")
    os.utime(path, ns=(1, path.stat().st_mtime_ns + 1))


@pytest.mark.parametrize(
    ("root", "attributes", "file", "name"),
    [
        (MAKE, [], "training/loop.py", "accumulate"),
        (MAKE, [], "training/optimizers.py", "orthogonalise"),
        (MAKE, [], "recipes/texts.py", "held_out_loss"),
        (MAKE, [], "data/text/cut.py", "cut_safely"),
        (MAKE, [], "transformer/bpe.py", "train"),
        (MAKE, [], "transformer/kernels.py", "RMSNorm.backward"),
        (MAKE, [], "transformer/attention.py", "CausalSelfAttention.forward"),
        (MAKE, [], "transformer/config.py", "GPTConfig.head_width"),
        (f"{TRANSFORMER}.generation.speculative:speculate", [], "transformer/generation/speculative.py", "speculate"),
        (f"{TRANSFORMER}.generation.generate:generate", [], "transformer/generation/decoder.py", "Decoder.attend"),
        (f"{TRANSFORMER}.interpret:induction_scores", [], "transformer/interpret/heads.py", "induction_scores"),
        ("insideout.lab.small:train_small", [], "recipes/texts.py", "held_out_loss"),
        ("insideout.recipes.runs:Run", ["model"], "recipes/runs.py", "Run.model_config"),
        ("insideout.recipes.runs:Run", ["model"], "transformer/positions.py", "rope_table"),
    ],
)  # fmt: skip
def test_an_edit_to_what_is_reached_changes_the_key(package, root, attributes, file, name):
    before = code_key([root], attributes)
    change_body(package, file, name)
    assert code_key([root], attributes) != before


def test_an_edit_to_a_table_or_a_default_changes_the_key(package):
    keys = [code_key([MAKE])]
    edit(package, "data/text/python_docs.py", "_SHORTEST = 40", "_SHORTEST = 41")
    keys.append(code_key([MAKE]))
    edit(package, "transformer/config.py", "norm_eps: float = 1e-5", "norm_eps: float = 1e-6")
    keys.append(code_key([MAKE]))
    edit(
        package, "recipes/pretrain.py", "validation_tokens=2048", "validation_tokens=4096"
    )  # settings are keyed as such
    assert code_key([MAKE]) == keys[-1] and len(set(keys)) == 3


def test_what_is_not_reached_does_not(package):
    before = code_key([MAKE], apart=key.APART)
    for file, name in (
        ("transformer/tensor_parallel.py", "summed"),
        ("transformer/interpret/heads.py", "induction_scores"),
        ("transformer/generation/speculative.py", "speculate"),
        ("recipes/report.py", "write_report"),
        ("recipes/progress.py", "progress"),
        ("recipes/stage.py", "draw_report"),
        ("recipes/runs.py", "take_next"),
        ("planner/plan.py", "plan"),
    ):
        change_body(package, file, name)
    assert code_key([MAKE], apart=key.APART) == before


def test_comments_docstrings_and_layout_do_not(package):
    before = code_key([MAKE])
    for path in package.rglob("*.py"):
        text = path.read_text(encoding="utf-8")
        tree = ast.parse(text)
        for node in ast.walk(tree):  # without any docstring, comment or layout of ours
            if isinstance(node, ast.Module | ast.ClassDef | ast.FunctionDef) and ast.get_docstring(node):
                node.body = node.body[1:] or [ast.Pass()]
        path.write_text("# Written otherwise.\n" + ast.unparse(tree), encoding="utf-8")
        os.utime(path, ns=(1, path.stat().st_mtime_ns + 1))
    assert code_key([MAKE]) == before


def ran(work):
    """Every function of the package that runs meanwhile, "module:name"."""
    found, home = set(), str(code.PACKAGE)

    def look(frame, event, _):
        is_function = frame.f_code.co_flags & inspect.CO_OPTIMIZED  # and not the body of a class or a module
        if event == "call" and is_function and frame.f_code.co_filename.startswith(home):
            name = frame.f_code.co_qualname.split(".<locals>")[0]
            if not name.startswith("<"):
                found.add(f"{frame.f_globals['__name__']}:{name}")

    sys.setprofile(look)
    try:
        work()
    finally:
        sys.setprofile(None)
    return found


def missing(found, names):
    """Those that ran and were not reached."""
    return sorted(name for name in found if name not in names and name.partition(":")[0] not in key.APART)


def test_all_that_runs_is_reached(tmp_path, monkeypatch):
    """The oracle: a run is watched by the interpreter itself."""
    monkeypatch.setenv("INSIDEOUT_HOME", str(tmp_path / "home"))
    tiny = pretrain.SETTINGS["tiny"]
    (tmp_path / "text.txt").write_text("The grey cat sat, and 12 mice ran. " * 300)
    config = dataclasses.replace(
        tiny, corpus=(str(tmp_path / "text.txt"),),
        train=dataclasses.replace(tiny.train, steps=2, warmup_steps=1, eval_every=1),
    )  # fmt: skip
    quiet = lambda event: None  # noqa: E731
    names = reached([MAKE], apart=key.APART)
    by_make = ran(lambda: make_in(pretrain.STAGE, config, tmp_path / "run", "tiny", quiet))
    by_driver = {
        name for name in by_make if name.split(":")[0] in ("insideout.recipes.stage", "insideout.recipes.report")
    }
    outside = reached(["insideout.recipes.stage:make_in", "insideout.recipes.pretrain:report"])
    assert len(by_make) > 150 and "insideout.training.loop:train" in by_make and by_driver
    assert not missing(by_make, names.keys() | outside.keys())
    rest = [name for name in missing(by_make, names) if name.split(":")[0].startswith("insideout.trans")]
    assert rest == []  # what makes the model is reached from `make` itself


def test_all_that_a_use_of_models_runs_is_reached():
    import torch

    from insideout.transformer.config import GPTConfig
    from insideout.transformer.generation.generate import generate
    from insideout.transformer.generation.speculative import speculate
    from insideout.transformer.interpret import ablate, induction_scores, record
    from insideout.transformer.model import GPT

    torch.manual_seed(0)
    model, draft = (GPT(GPTConfig(50, 32, 16, n, 2)).eval() for n in (2, 1))

    def use():
        generate(model, [[1, 2, 3]], 6, temperature=0.5, top_k=5)
        speculate(model, draft, [[1, 2, 3]], 6, n_draft=2)
        induction_scores(model, torch.randint(0, 50, (2, 4)).repeat(1, 3), 4)
        record(model, torch.ones(1, 4, dtype=torch.long), "*.pattern")
        with ablate(model, [(0, 0)]):
            model(torch.ones(1, 4, dtype=torch.long))

    used = (GPTConfig, GPT, generate, speculate, ablate, induction_scores, record)
    roots = [f"{each.__module__}:{each.__qualname__}" for each in used]
    found = ran(use)
    assert len(found) > 60 and missing(found, reached(roots)) == []


def test_one_process_runs_nothing_of_what_is_set_apart(tmp_path, monkeypatch):
    monkeypatch.setenv("INSIDEOUT_HOME", str(tmp_path / "home"))
    assert key.APART[0] == "insideout.transformer.tensor_parallel"
    tiny = pretrain.SETTINGS["tiny"]
    (tmp_path / "text.txt").write_text("The grey cat sat, and 12 mice ran. " * 300)
    train = dataclasses.replace(tiny.train, steps=2, warmup_steps=1, parallel="tensor")
    config = dataclasses.replace(tiny, corpus=(str(tmp_path / "text.txt"),), train=train)
    found = ran(lambda: make_in(pretrain.STAGE, config, tmp_path / "run", "tiny", lambda event: None))
    assert not {name for name in found if name.startswith("insideout.transformer.tensor_parallel:")}


# Python itself, on modules of a few lines. What is changed is the number 1.

REACHED = {
    "a module beside": """
        import two
        def f(): return two.g()
        # two
        def g(): return 1
    """,
    "an import inside": """
        def f():
            from two import g as h
            return h()
        # two
        def g(): return 1
    """,
    "an import of all": """
        from two import *
        def f(): return g()
        # two
        def g(): return 1
    """,
    "a module handed on": """
        import two
        def f(): return repr(two)
        # two
        def g(): return 1
    """,
    "a name made up": """
        import two
        def f(n): return getattr(two, n)()
        # two
        def g(): return 1
    """,
    "a method of what is handed in": """
        from two import A
        def f(): return g(A())
        def g(x): return x.m()
        # two
        class A:
            def m(self): return 1
    """,
    "a method of a parameter's class": """
        import two
        def f(x: "two.A"): return x.m()
        # two
        class A:
            def m(self): return 1
    """,
    "a property": """
        from two import A
        def f(): return A().p
        # two
        class A:
            @property
            def p(self): return 1
    """,
    "a base's method": """
        from two import A
        class B(A): pass
        def f(): return B().m()
        # two
        class A:
            def m(self): return 1
    """,
    "what another library calls": """
        import json
        class E(json.JSONEncoder):
            def default(self, o): return 1
        def f(): return E()
    """,
    "a special method": """
        class A:
            def __add__(self, o): return 1
        def f(): return A() + 2
    """,
    "a table of functions": """
        def g(): return 1
        T = {"g": g}
        def f(n): return T[n]()
    """,
    "what fills a table elsewhere": """
        from two import T
        import three
        def f(n): return T[n]()
        # two
        T = {}
        # three
        import two
        def g(): return 1
        two.T["g"] = g
    """,
    "what registers itself": """
        T = []
        def keep(g):
            T.append(g)
            return g
        @keep
        def h(): return 1
        def f(): return T[0]()
    """,
    "a default": """
        def g(): return 1
        def f(x=g()): return x
    """,
    "a decorator": """
        def d(g): return lambda: 1
        @d
        def f(): return 3
    """,
    "a definition that is tried": """
        try:
            import two
        except ImportError:
            two = None
        def f(): return two.g()
        # two
        def g(): return 1
    """,
    "a class inside": """
        def f():
            class A:
                def m(self): return 1
            return A().m()
    """,
    "a base of a base": """
        import json
        from two import A
        class B(A): pass
        def f(): return B()
        # two
        import json
        class A(json.JSONEncoder):
            def default(self, o): return 1
    """,
    "a match": """
        from two import A
        def f(x):
            match x:
                case A(p=p): return p
        # two
        class A:
            __match_args__ = ("p",)
            q = 1
    """,
    "a function with some arguments": """
        from functools import partial
        def g(n, m): return n + m + 1
        h = partial(g, 3)
        def f(): return h(4)
    """,
    "what a closure holds": """
        def g(n):
            def h(): return n
            return h
        h = g(1)
        def f(): return h()
    """,
    "what makes a field": """
        from dataclasses import dataclass, field
        def g(): return 1
        @dataclass
        class A:
            x: int = field(default_factory=g)
        def f(): return A()
    """,
    "a table that a loop fills": """
        T = {}
        for i in range(1):
            T[i] = i
        def f(): return T
    """,
    "a function exchanged in another module": """
        import two
        two.g = lambda: 1
        def f(): return two.g()
        # two
        def g(): return 3
    """,
    "what subclasses are given": """
        class A:
            def __init_subclass__(cls): cls.z = 1
        class B(A): pass
        def f(): return B.z
    """,
}
NOT_REACHED = {
    "another function": """
        def f(): return 3
        def g(): return 1
    """,
    "another method": """
        class A:
            def m(self): return 3
            def n(self): return 1
        def f(): return A().m()
    """,
    "a global that is not read": """
        X = 1
        def f(): return 3
    """,
    "a comment": """
        def f():
            return 3  # 1
    """,
    "a docstring": """
        def f():
            '''Text 1.'''
            return 3
    """,
    "a field's docstring": """
        class A:
            x: int = 3
            '''Text 1.'''
        def f(): return A
    """,
}


def key_before_and_after(folder, monkeypatch, text):
    """The key of f in the first module, before and after its 1, or another module's, becomes a 2."""
    monkeypatch.syspath_prepend(folder)
    forget()
    parts = ("# one\n" + textwrap.dedent(text).strip("\n")).split("# ")
    files = {}
    for part in parts[1:]:
        name, _, body = part.partition("\n")
        if name in ("one", "two", "three"):
            files[name] = body
        else:  # a comment of the text
            files[list(files)[-1]] += f"# {part}"
    for name, body in files.items():
        (folder / f"{name}.py").write_text(body)
    before = code_key(["one:f"])
    [changed] = [name for name, body in files.items() if "1" in body]
    (folder / f"{changed}.py").write_text(files[changed].replace("1", "2"))
    os.utime(folder / f"{changed}.py", ns=(1, 1))
    return before, code_key(["one:f"])


@pytest.mark.parametrize("name", REACHED)
def test_ways_to_reach(tmp_path, monkeypatch, name):
    before, after = key_before_and_after(tmp_path, monkeypatch, REACHED[name])
    assert before != after


@pytest.mark.parametrize("name", NOT_REACHED)
def test_what_changes_nothing(tmp_path, monkeypatch, name):
    before, after = key_before_and_after(tmp_path, monkeypatch, NOT_REACHED[name])
    assert before == after


def test_it_is_quick():
    import time

    forget()
    began = time.process_time()
    first = code_key([MAKE], apart=key.APART)
    once = time.process_time() - began
    began = time.process_time()
    assert code_key([MAKE], apart=key.APART) == first
    assert once < 1.5 and time.process_time() - began < 0.02  # parsed once a process; then a look at the clock


def test_installed_modules_are_not_ours():
    assert code.file_of("pytest") is None and code.file_of("torch.nn") is None and code.file_of("json") is None
    assert code.file_of("insideout.files") == Path(code.PACKAGE) / "files.py"
