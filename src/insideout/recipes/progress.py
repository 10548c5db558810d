"""What a person sees while something trains: the numbers, the time left, and a sample that learns to write.

A live display in a terminal, as wide as that is; one plain line for each measurement where the output goes to a file
or a notebook. Which numbers there are, a stage says (training.metrics). Whatever becomes of the output, training goes
on.
"""

import contextlib
import os
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any, TextIO, cast

from rich.columns import Columns
from rich.console import Console, ConsoleOptions, Group
from rich.live import Live
from rich.panel import Panel
from rich.progress_bar import ProgressBar
from rich.table import Table
from rich.text import Text

from insideout.training.events import Event, Measured, Note, Sample, Started, Step
from insideout.training.metrics import Metric
from insideout.words import duration, harmless

WIDEST = 76


class State:
    """The latest of everything, from the events of a run."""

    def __init__(self, title: str) -> None:
        self.title, self.note = title, "Starting"
        self.steps, self.step = 0, 0
        self.metrics: dict[str, Metric] = {"loss": Metric("loss")}
        self.values: dict[str, float] = {}
        self.first: tuple[int, float] | None = None  # step and seconds of the first event, to estimate the rest
        self.left: float | None = None
        self.sample: Sample | None = None

    def take(self, event: Event) -> None:
        """Note what an event says. The numbers of the steps are running means, so that they can be read."""
        match event:
            case Note(text):
                self.note = text
            case Started(step, steps, metrics):
                self.step, self.steps, self.note = step, steps, "Training"
                self.metrics = {metric.name: metric for metric in metrics}
            case Step():
                self.step = event.step
                for name, value in event.values.items():
                    self.values[name] = blend(self.values.get(name), value)
                self.first = self.first or (event.step - 1, 0.0 if event.step == 1 else event.seconds)
                done = event.step - self.first[0]
                self.left = (event.seconds - self.first[1]) / done * (self.steps - event.step)
            case Measured():
                self.values |= event.values
            case Sample():
                self.sample = event

    def numbers(self) -> list[tuple[str, str]]:
        """Labels and values: the step, each live metric that there is a number of, the time left."""
        shown = [m for m in self.metrics.values() if m.live and (m.name in self.values or m.name == "loss")]
        return [
            ("step", f"{self.step:,} of {self.steps:,}"),
            *((metric.title, metric.show(self.values.get(metric.name))) for metric in shown),
            ("time left", duration(self.left)),
        ]

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> Iterator[Any]:
        width = min(WIDEST, options.max_width)
        yield Text(harmless(f"{self.title}: {self.note}"), style="bold")
        if self.steps:
            yield Columns([ProgressBar(total=self.steps, completed=self.step, width=width)])
            yield Group(*rows(self.numbers(), width))
        if self.sample:
            prompt = self.sample.prompt
            begun = prompt if self.sample.text.startswith(prompt) else ""
            text = Text.assemble((harmless(begun), "bold"), harmless(self.sample.text[len(begun) :]))
            yield Panel(text, title=f"a sample, step {self.sample.step:,}", title_align="left", width=width)

    def line(self) -> str:
        """The numbers in one line."""
        (_, step), *metrics, (_, left) = self.numbers()
        return "   ".join([f"step {step}", *(f"{label} {value}" for label, value in metrics), f"{left} left"])


def rows(numbers: list[tuple[str, str]], width: int, gap: int = 2) -> list[Table]:
    """Labels above their values, side by side as far as the width goes, then below."""
    tables: list[Table] = []
    while numbers:
        n, used = 0, -gap
        while n < len(numbers) and (n == 0 or used + gap + max(map(len, numbers[n])) <= width):
            used += gap + max(map(len, numbers[n]))
            n += 1
        table = Table.grid(padding=(0, gap, 0, 0))
        table.add_row(*(Text(label, style="dim") for label, _ in numbers[:n]))
        table.add_row(*(Text(value) for _, value in numbers[:n]))
        tables.append(table)
        numbers = numbers[n:]
    return tables


def blend(before: float | None, now: float, share: float = 0.1) -> float:
    """A running mean that forgets: `share` of the new, the rest of the old."""
    return now if before is None else (1 - share) * before + share * now


class Quiet:
    """A stream that never fails: what it cannot write (a letter unknown to its encoding) becomes a question mark, and
    when its reader has left, or its disk is full, the rest is written nowhere."""

    def __init__(self, stream: TextIO | None) -> None:
        self.stream = stream
        self.encoding = getattr(stream, "encoding", None) or "utf-8"

    def write(self, text: str) -> int:
        if self.stream is not None:
            try:
                self.stream.write(text.encode(self.encoding, "replace").decode(self.encoding))
            except (OSError, ValueError):
                self.leave()
        return len(text)

    def flush(self) -> None:
        if self.stream is not None:
            try:
                self.stream.flush()
            except (OSError, ValueError):
                self.leave()

    def leave(self) -> None:
        """Write no more, and point the descriptor at nothing, so that what is still buffered troubles nobody."""
        with contextlib.suppress(OSError, ValueError, AttributeError):
            nowhere = os.open(os.devnull, os.O_WRONLY)
            os.dup2(nowhere, cast(TextIO, self.stream).fileno())
            os.close(nowhere)
        self.stream = None

    def isatty(self) -> bool:
        return self.stream is not None and self.stream.isatty()

    def fileno(self) -> int:
        if self.stream is None:
            raise OSError("this stream has been left")
        return self.stream.fileno()


@contextmanager
def progress(title: str = "insideout", console: Console | None = None) -> Iterator[Callable[[Event], None]]:
    """Give a function that shows the events of a run as they come."""
    console = console or Console(file=cast(TextIO, Quiet(sys.stderr)))
    state = State(title)
    if not console.is_terminal:

        def write(event: Event) -> None:
            state.take(event)
            if isinstance(event, Note):
                print(harmless(f"{state.title}: {state.note}"), file=console.file, flush=True)
            elif isinstance(event, Measured):
                print(state.line(), file=console.file, flush=True)
            elif isinstance(event, Sample):
                print(f"    {harmless(' '.join(event.text.split()))[:200]}", file=console.file, flush=True)

        yield write
        return
    with Live(state, console=console, refresh_per_second=4, redirect_stdout=False, redirect_stderr=False) as live:

        def show(event: Event) -> None:
            state.take(event)
            live.update(state)

        yield show
