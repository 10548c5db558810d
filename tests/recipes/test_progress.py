"""The live display fits any terminal and steers none; whatever becomes of its output, training goes on."""

import io
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest
from rich.console import Console

from insideout.recipes.progress import Quiet, State, progress
from insideout.training.events import Measured, Note, Sample, Started, Step
from insideout.training.metrics import Metric, together
from insideout.words import harmless

STAGE = (
    Metric("reward", better="higher"),
    Metric("clipped", "clipped ratios", unit="%", digits=3),
    Metric("hidden", live=False),
)
HOSTILE = "The\x1b[2J\x1b]0;owned\x07 red\r\x9b31m \u202efox\x00\ud800\x08"


def told(sample="The fox"):
    """A stage's events, half way."""
    yield Note("Reading")
    yield Started(0, 12_345, together(STAGE, "pairs"))
    values = {"loss": 2.0, "pairs_per_second": 1234.0, "reward": -0.5, "clipped": 0.125, "hidden": 7.0, "lr": 0.125}
    for step in (1, 6000):
        yield Step(step, 2.0, step / 10, values)
    yield Measured(6000, {"validation_loss": 2.5})
    yield Sample(6000, sample, "The")


def shown(width, sample="The fox"):
    state, file = State("PPO"), io.StringIO()
    for event in told(sample):
        state.take(event)
    Console(file=file, width=width, force_terminal=False).print(state)
    return file.getvalue()


@pytest.mark.parametrize("width", [12, 20, 40, 60, 80, 120, 200])
def test_it_fits_any_width_and_cuts_no_number_off(width):
    page = shown(width)
    assert max(map(len, page.splitlines())) <= width and "…" not in page
    flat = "".join(page.split())
    for part in ("6,000of12,345", "2.000", "2.500", "-0.500", "12.5%", "1,234", "10min34s", "step6,000"):
        assert part in flat or width < 40, part
    for label in ("loss", "held-out loss", "reward", "clipped ratios", "pairs/s", "time left"):
        assert label in page or width < 20, label
    assert "hidden" not in page and "lr" not in page


def test_labels_stand_above_their_numbers():
    lines = shown(200).splitlines()
    at = next(i for i, line in enumerate(lines) if line.startswith("step"))
    for label, value in (("clipped ratios", "12.5%"), ("pairs/s", "1,234"), ("reward", "-0.500")):
        assert lines[at].index(label) == lines[at + 1].index(value)


def test_what_a_model_wrote_does_not_steer_the_terminal():
    plain = io.StringIO()
    with progress("PPO", Console(file=plain, force_terminal=False)) as show:
        for event in told(HOSTILE):
            show(event)
    for page in (shown(80, HOSTILE), plain.getvalue()):
        assert not any(c in page for c in "\x1b\x07\r\x9b\u202e\x00\ud800\x08")
        assert "\\x1b" in page and "red" in page and "fox" in page
    live = io.StringIO()
    with progress("PPO", Console(file=live, force_terminal=True, width=80)) as show:
        for event in told(HOSTILE):
            show(event)
    steered = live.getvalue()
    assert "\x1b[2J" not in steered and "\x07" not in steered and "\x9b" not in steered and "\u202e" not in steered


def test_harmless_leaves_text_as_it_is():
    text = "naïve 文字 👩\u200d👩 نص\u200c\tزیر\n\u00a0½"
    assert harmless(text) == text
    assert harmless("a\x1b\x00\u2028b") == "a\\x1b\\x00\\u2028b"


class Gone(io.StringIO):
    """A stream whose reader has left, or whose disk is full."""

    def __init__(self, error):
        super().__init__()
        self.error = error

    def write(self, text):
        raise self.error

    flush = write


@pytest.mark.parametrize("error", [BrokenPipeError(), OSError(28, "No space left"), ValueError("I/O on closed file")])
@pytest.mark.parametrize("terminal", [True, False])
def test_a_stream_that_fails_ends_nothing(error, terminal):
    console = Console(file=Quiet(Gone(error)), force_terminal=terminal, width=80)
    with progress("PPO", console) as show:
        for event in told():
            show(event)


@pytest.mark.parametrize("encoding", ["ascii", "cp1252", "utf-8"])
@pytest.mark.parametrize("terminal", [True, False])
def test_any_encoding_will_do(encoding, terminal):
    raw = io.BytesIO()
    stream = io.TextIOWrapper(raw, encoding=encoding)
    console = Console(file=Quiet(stream), force_terminal=terminal, width=80)
    with progress("PPO", console) as show:
        for event in told("The naïve 文字"):
            show(event)
    stream.flush()
    page = re.sub(r"\x1b\[[0-9;?]*[a-zA-Z]", "", raw.getvalue().decode(encoding))
    assert "The na" in page and ("文字" in page) == (encoding == "utf-8")


def test_no_stream_at_all_will_do():
    with progress("PPO", Console(file=Quiet(None))) as show:
        show(Note("x"))


CHILD = """
import sys, time
sys.path.insert(0, sys.argv[1])
from pathlib import Path
from insideout.recipes.progress import progress
from insideout.training.loop import train
from tests.training.tiny import Tiny, batch_at, config, loss_fn, validate
with progress() as show:
    train(Tiny(), loss_fn, batch_at, config(eval_every=1), out=Path(sys.argv[2]), validate=validate, on_event=show)
Path(sys.argv[2], "ended").touch()
"""


def test_a_reader_that_leaves_does_not_end_the_run(tmp_path):
    """As in `… 2>&1 | head -1`: the pipe is closed after the first line."""
    command = [sys.executable, "-c", CHILD, str(Path(__file__).parents[2]), str(tmp_path / "run")]
    child = subprocess.Popen(command, stderr=subprocess.PIPE, env=os.environ)
    assert child.stderr is not None
    assert child.stderr.readline()
    child.stderr.close()
    assert child.wait(timeout=120) == 0 and (tmp_path / "run" / "ended").exists()
