"""Shapes in the annotations are enforced in every test, by jaxtyping's import hook with beartype.

And how several processes share the tests: a file goes to one process, so that what its tests share is made once; the
chapters go one by one; what takes longest comes first, so that no process works alone at the end.
"""

import os
import signal
from typing import Any

import pytest
from jaxtyping import install_import_hook

os.environ.setdefault("INSIDEOUT_SCALE", "tiny")
os.environ.setdefault("OMP_NUM_THREADS", "1")  # the tensors are tiny: a second thread would only wait
for asked in ("SIGINT", "SIGHUP"):  # a shell's background jobs ignore these, and so would what the tests start
    if signal.getsignal(number := getattr(signal, asked, signal.SIGINT)) == signal.SIG_IGN:
        signal.signal(number, signal.default_int_handler if asked == "SIGINT" else signal.SIG_DFL)
install_import_hook(
    [
        "insideout.finetuning", "insideout.images", "insideout.reasoning", "insideout.transformer",
        "insideout.training", "insideout.exercises.transformer", "insideout.data.batch", "insideout.data.suite",
        "insideout.data.fetch", "insideout.data.text", "insideout.data.pictures",
    ],
    "beartype.beartype",
)  # fmt: skip

ONE_BY_ONE = ("tests/book/test_chapters.py", "tests/book/test_bare_python.py")
LONGEST_FIRST = (*ONE_BY_ONE, "tests/training/test_distributed.py", "tests/book/test_site.py")


def rank(nodeid: str) -> int:
    """The earlier it begins the lower."""
    file = nodeid.partition("::")[0]
    return LONGEST_FIRST.index(file) if file in LONGEST_FIRST else len(LONGEST_FIRST)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """The longest first; all else in its order."""
    items.sort(key=lambda item: rank(item.nodeid))


@pytest.hookimpl(optionalhook=True)  # of pytest-xdist
def pytest_xdist_make_scheduler(config: pytest.Config, log: Any) -> Any:
    """How tests are dealt out to several processes."""
    from xdist.scheduler import LoadScopeScheduling

    class ByFile(LoadScopeScheduling):
        def _split_scope(self, nodeid: str) -> str:
            file = nodeid.partition("::")[0]
            return nodeid if file in ONE_BY_ONE else file

    return ByFile(config, log)
