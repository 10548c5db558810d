"""A bare Python of each supported version arrives at the same numbers, with the standard library alone."""

import ast
import json
import subprocess
import sys
from pathlib import Path

import pytest

import insideout.gradients

SOURCE = Path(insideout.gradients.__file__).parent
SCRIPT = """
import json
from insideout.gradients import *
config = Config(8, 6, 8, 2, 2, 16)
ids, params, state = [0, 1, 2, 3, 1, 4], init_params(config, 0), None
for step in range(5):
    loss, trace = forward(params, ids, config)
    gradients = backward(params, trace)
    params, state = adamw_step(params, gradients, state, lr=1e-2)
node = start = Node([[1.0]])
for _ in range(100_000):
    node = node + start
node.backward()
print(json.dumps([loss, gradients["token_embedding"], engine_gradients(params, ids, config)[0], start.gradient]))
"""


def interpreter(version):
    names = sorted((Path.home() / ".pyenv" / "versions").glob(f"{version}.*/bin/python"))
    return names[-1] if names else None


def run(python):
    done = subprocess.run(
        [str(python), "-S", "-E", "-c", f"import sys; sys.path.insert(0, {str(SOURCE.parents[1])!r})\n{SCRIPT}"],
        capture_output=True, text=True, check=True, timeout=60,
    )  # fmt: skip
    return json.loads(done.stdout)


@pytest.fixture(scope="module")
def here():
    """The same numbers from the Python that runs the tests."""
    printed: list[str] = []
    exec(SCRIPT.replace("100_000", "0"), {"print": printed.append})
    return json.loads(printed[0])


@pytest.mark.parametrize("version", ["3.11", "3.12", "3.13"])
def test_the_numbers_agree_across_versions(version, here):
    python = interpreter(version)
    if python is None:
        pytest.skip(f"no Python {version} found")
    loss, gradient, engine_loss, deep = run(python)
    assert loss == pytest.approx(here[0], rel=1e-9)
    assert insideout.gradients.relative_error(gradient, here[1]) <= 1e-9
    assert engine_loss == pytest.approx(here[2], rel=1e-9)
    assert deep == [[100_001.0]]


def test_only_the_standard_library_is_imported():
    for path in SOURCE.glob("*.py"):
        for node in ast.walk(ast.parse(path.read_text())):
            names = [node.module] if isinstance(node, ast.ImportFrom) else []
            names += [alias.name for alias in node.names] if isinstance(node, ast.Import) else []
            for name in names:
                ours = name.startswith("insideout.gradients")
                assert ours or name.split(".")[0] in sys.stdlib_module_names, (path.name, name)


def test_modules_stay_readable():
    assert all(len(path.read_text().splitlines()) <= 300 for path in SOURCE.glob("*.py"))
