"""A function of a page is described with all that it uses: a change of that is seen, and no other."""

import ast
import os
import subprocess
import sys
import textwrap
from pathlib import Path

import pytest

from insideout.errors import BadInput
from insideout.lab.page import described


def page(text, **names):
    """A page, run from top to bottom; its function f, described."""
    names |= {"__name__": "__main__"}
    exec(compile(textwrap.dedent(text), "cell", "exec"), names)
    return described(names["f"], "f")


SEEN = {
    "its own code": "def f(): return 1",
    "a number": "N = 1\ndef f(): return N",
    "a float": "N = 1.5\ndef f(): return N",
    "a string": "S = 'a1'\ndef f(): return S",
    "a list": "L = [0, [1]]\ndef f(): return L",
    "a dict's value": "D = {'a': 1}\ndef f(): return D",
    "a dict's key": "D = {1: 'a'}\ndef f(): return D",
    "a set": "S = {1, 5}\ndef f(): return S",
    "a tuple": "T = (0, (1,))\ndef f(): return T",
    "a range": "R = range(1, 5)\ndef f(): return R",
    "a slice": "R = slice(1, 5)\ndef f(x): return x[R]",
    "a tensor": "import torch\nT = torch.tensor([0.0, 1.0])\ndef f(): return T",
    "a tensor's type": "import torch\nT = torch.zeros(2).long() if 1 == 1 else torch.zeros(2)\ndef f(): return T",
    "an array": "import numpy as np\nA = np.array([0, 1])\ndef f(): return A",
    "a model's weight": """
        import torch
        M = torch.nn.Linear(2, 2)
        torch.nn.init.constant_(M.weight, 1)
        torch.nn.init.zeros_(M.bias)
        def f(x): return M(x)
    """,
    "a model's mode": """
        import torch
        torch.manual_seed(0)
        M = torch.nn.Linear(2, 2).train(1 == 1)
        def f(x): return M(x)
    """,
    "a function of the page": "def g(): return 1\ndef f(): return g()",
    "a function of a function": "def h(): return 1\ndef g(): return h()\ndef f(): return g()",
    "a lambda": "g = lambda: 1\ndef f(): return g()",
    "a function in a table": "def g(): return 1\nT = {'g': g}\ndef f(n): return T[n]()",
    "a function inside": "def f():\n    def g(): return 1\n    return g()",
    "a comprehension": "def f(): return [x + 1 for x in range(9)]",
    "a closure": "def make(n):\n    def f(): return n\n    return f\nf = make(1)",
    "a closure that is a list": "def make(n):\n    def f(): return n\n    return f\nf = make([0, 1])",
    "a default": "def f(n=1): return n",
    "a default by keyword": "def f(*, n=1): return n",
    "a default of a function inside": "def f():\n    def g(n=1): return n\n    return g()",
    "a decorator of the page": "def d(g):\n    return lambda: g() + 1\n@d\ndef f(): return 5",
    "under a decorator of the page": "def d(g):\n    return lambda: g() + 5\n@d\ndef f(): return 1",
    "under functools.wraps": """
        import functools
        def d(g):
            @functools.wraps(g)
            def h(): return g()
            return h
        @d
        def f(): return 1
    """,
    "under a decorator of torch": "import torch\n@torch.no_grad()\ndef f(): return 1",
    "under a context manager": "import contextlib\n@contextlib.contextmanager\ndef g(): yield 1\ndef f(): return g()",
    "under a cache": "import functools\n@functools.lru_cache\ndef g(): return 1\ndef f(): return g()",
    "a partial": "import functools\ndef g(a): return a\nh = functools.partial(g, 1)\ndef f(): return h()",
    "a method": "class A:\n    def m(self): return 1\ndef f(): return A().m()",
    "an attribute of a class": "class A:\n    n = 1\ndef f(): return A.n",
    "a property": "class A:\n    @property\n    def p(self): return 1\ndef f(): return A().p",
    "a static method": "class A:\n    @staticmethod\n    def m(): return 1\ndef f(): return A.m()",
    "a class method": "class A:\n    @classmethod\n    def m(cls): return 1\ndef f(): return A.m()",
    "a base": "class A:\n    n = 1\nclass B(A): pass\ndef f(): return B()",
    "a metaclass": "class M(type):\n    n = 1\nclass A(metaclass=M): pass\ndef f(): return A()",
    "a module of torch, changed": """
        import torch
        class M(torch.nn.Module):
            def forward(self, x): return x + 1
        def f(): return M()
    """,
    "an object": "class A:\n    def __init__(self): self.n = [1]\na = A()\ndef f(): return a",
    "an object with slots": "class A:\n    __slots__ = ('n',)\na = A()\na.n = 1\ndef f(): return a",
    "a dataclass": "import dataclasses\n@dataclasses.dataclass\nclass A:\n    n: int = 1\ndef f(): return A()",
    "a value of a dataclass": """
        import dataclasses
        @dataclasses.dataclass
        class A:
            n: int
        a = A(1)
        def f(): return a
    """,
    "a factory of a dataclass": """
        import dataclasses
        @dataclasses.dataclass
        class A:
            n: list = dataclasses.field(default_factory=lambda: [1])
        def f(): return A()
    """,
    "a named tuple": "import typing\nclass A(typing.NamedTuple):\n    n: int\na = A(1)\ndef f(): return a",
    "an enum": "import enum\nclass A(enum.Enum):\n    n = 1\ndef f(): return A.n",
    "a bound method": """
        class A:
            def __init__(self): self.n = 1
            def m(self): return self.n
        g = A().m
        def f(): return g()
    """,
    "a dict with another default": "import collections\nD = collections.defaultdict(list, {1: [2]})\ndef f(): return D",
    "a subclass of dict": "class D(dict): pass\nd = D(a=1)\ndef f(): return d",
    "a fraction": "import fractions\nF = fractions.Fraction(1, 3)\ndef f(): return F",
    "a date": "import datetime\nD = datetime.date(2026, 1, 5)\ndef f(): return D",
    "a generator's state": "import numpy as np\nR = np.random.default_rng(1)\ndef f(): return R.random()",
    "a generator of torch": "import torch\nG = torch.Generator().manual_seed(1)\ndef f(): return G",
    "a regular expression": "import re\nR = re.compile('a1')\ndef f(s): return R.match(s)",
    "an attribute of a function": "def g(): return g.n\ng.n = 1\ndef f(): return g()",
    "which of two is called": "def g(): return 5\ndef h(): return 6\nk = g if 1 == 1 else h\ndef f(): return k()",
    "a config of this library": "import insideout.transformer.config as c\nC = c.GPTConfig(d_ff=1)\ndef f(): return C",
    "a model of this library": """
        import torch
        from insideout.transformer.config import GPTConfig
        from insideout.transformer.model import GPT
        torch.manual_seed(1)
        M = GPT(GPTConfig(20, 8, 8, 1, 2))
        def f(x): return M(x)
    """,
}  # fmt: skip


@pytest.mark.parametrize("what", SEEN)
def test_a_change_is_seen(what):
    before, after = (
        page(SEEN[what]),
        page(SEEN[what].replace("1", "2", 1) if what != "its own code" else "def f(): return 2"),
    )
    again = page(SEEN[what])
    assert before.digest.hexdigest() == again.digest.hexdigest(), "it is not the same twice"
    assert before.digest.hexdigest() != after.digest.hexdigest()


def test_a_module_beside_the_page_is_seen(tmp_path, monkeypatch):
    monkeypatch.syspath_prepend(tmp_path)
    for text in ("import beside\ndef f(): return beside.g()", "from beside import g\ndef f(): return g()",
                 "import beside\ndef f(): return beside.N", "from beside import A\ndef f(): return A()"):  # fmt: skip
        digests = []
        for n in (1, 2):
            (tmp_path / "beside.py").write_text(f"N = {n}\ndef g(): return {n}\nclass A:\n    n = {n}\n")
            sys.modules.pop("beside", None)
            sys.path_importer_cache.clear()
            for cache in tmp_path.rglob("*.pyc"):
                cache.unlink()
            digests.append(page(text).digest.hexdigest())
        assert digests[0] != digests[1], text


def test_an_import_inside_names_what_is_taken(tmp_path, monkeypatch):
    found = page("def f():\n    from insideout.transformer.positions import rope_table\n    return rope_table")
    assert "insideout.transformer.positions:rope_table" in found.roots
    (tmp_path / "beside.py").write_text("def g(): return 1")
    monkeypatch.syspath_prepend(tmp_path)
    assert "beside:g" in page("def f():\n    from beside import g\n    return g()").roots


SAME = {
    "a comment": ("def f(x):\n    return x  # so", "def f(x):\n    # thus\n\n    return x"),
    "a docstring": ('def f(x):\n    """So."""\n    return x', "def f(x):\n    return x"),
    "one inside": ('def f():\n    def g():\n        """So."""\n    return g', "def f():\n def g(): pass\n return g"),
    "a class's": ('class A:\n    """So."""\n    n = 3\ndef f(): return A', "class A: n = 3\ndef f(): return A"),
    "layout": ("def f(x): return [x,\n    (x + 3)]", "def f(x):\n    return [x, x+3]"),
    "what it does not read": ("N = 3\ndef f(): return 5", "N = 4\ndef f(): return 5"),
    "its place on the page": ("def f(): return 5", "\n\n\nx = 3\ndef f(): return 5"),
    "equal things apart": ("a = [3]\nb = a\ndef f(): return a, b", "a = [3]\nb = [3]\ndef f(): return a, b"),
    "a set's order": ("S = {'a', 'b', 'c'}\ndef f(): return S", "S = {'c', 'b', 'a'}\ndef f(): return S"),
    "an annotation's string": ("def f(x: int): return x", "def f(x: int): return x"),
}  # fmt: skip


@pytest.mark.parametrize("what", SAME)
def test_what_changes_nothing_is_not(what):
    before, after = (page(text).digest.hexdigest() for text in SAME[what])
    assert before == after


def test_layout_changes_no_function_of_this_file():
    text = open(__file__, encoding="utf-8").read()  # noqa: PTH123, SIM115
    names = [node.name for node in ast.parse(text).body if isinstance(node, ast.FunctionDef)]
    bare = (
        text.split("SEEN = {")[0]
        + "SEEN, SAME = {}, {}\n\n\n@pytest"
        + text.split("}  # fmt: skip\n\n\n@pytest", 1)[1].split("\nSAME = {")[0]
    )
    pages = []
    for each in (bare, ast.unparse(ast.parse(bare))):
        here = {"__name__": "__main__", "__file__": __file__}
        exec(compile(each, "cell", "exec"), here)
        pages.append(here)
    compared = [name for name in names if name in pages[0]]
    assert len(compared) > 3
    for name in compared:
        assert described(pages[0][name]).digest.hexdigest() == described(pages[1][name]).digest.hexdigest(), name


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("import threading\nK = threading.Lock()\ndef f(): return K", "K"),
        ("G = (x for x in range(3))\ndef f(): return next(G)", "G"),
        ("T = {'a': [open(__file__)]}\ndef f(): return T", "T"),
        ("def make():\n    import threading\n    k = threading.Lock()\n    return lambda: k\nf = make()", "k"),
        ("import threading\ndef f(k=threading.Lock()): return k", "default"),
        ("L = []\nfor _ in range(99999): L = [L]\ndef f(): return L", "deeply"),
    ],
)
def test_what_cannot_be_described_is_named_and_never_skipped(text, says):
    with pytest.raises(BadInput, match=says):
        page(text, __file__=__file__)


def test_things_that_hold_themselves():
    first = page("L = [3]\nL.append(L)\ndef g(n): return f(n)\ndef f(n): return g(n), L")
    assert (
        first.digest.hexdigest()
        == page("L = [3]\nL.append(L)\ndef g(n): return f(n)\ndef f(n): return g(n), L").digest.hexdigest()
    )
    assert (
        first.digest.hexdigest()
        != page("L = [4]\nL.append(L)\ndef g(n): return f(n)\ndef f(n): return g(n), L").digest.hexdigest()
    )


def test_it_is_the_same_in_every_process(tmp_path):
    (tmp_path / "say.py").write_text(
        "import sys; sys.path.insert(0, sys.argv[1])\n"
        "import test_page\n"
        "print(*(test_page.page(text).digest.hexdigest() for text in test_page.SEEN.values()))\n"
    )
    here = str(Path(__file__).parent)
    told = [
        subprocess.run(
            [sys.executable, str(tmp_path / "say.py"), here], capture_output=True, text=True, check=True,
            env=os.environ | {"PYTHONHASHSEED": seed},
        ).stdout
        for seed in ("1", "2")
    ]  # fmt: skip
    assert told[0] == told[1] and len(told[0].split()) == len(SEEN)


def test_what_is_used_of_the_library_is_named():
    found = page("""
        from insideout.lab import small_config, train_small
        from insideout.transformer import positions
        from insideout.transformer.generation import speculative
        def f(model, draft):
            positions.rope_table(4, None)
            train_small(small_config(), 0)
            return speculative.speculate(model, draft).tokens_per_call
    """)
    wanted = {
        "insideout.lab.small:train_small", "insideout.lab.small:small_config",
        "insideout.transformer.positions:rope_table", "insideout.transformer.generation.speculative:speculate",
    }  # fmt: skip
    assert wanted <= found.roots and "tokens_per_call" in found.attributes


def test_functions_of_other_libraries_are_their_names():
    found = [
        page(f"import math\nfrom threading import Thread\ng = math.{name}\ndef f(): return g, Thread")
        for name in ("sin", "cos")
    ]
    assert found[0].digest.hexdigest() != found[1].digest.hexdigest() and not found[0].roots
