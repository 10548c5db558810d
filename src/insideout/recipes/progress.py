"""What a person sees while a model trains: the numbers, the time left, and a sample that learns to write.

A live display in a terminal; one plain line for each measurement where the output goes to a file or a notebook.
"""

import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

from rich.columns import Columns
from rich.console import Console, Group
from rich.live import Live
from rich.panel import Panel
from rich.progress_bar import ProgressBar
from rich.table import Table
from rich.text import Text

from insideout.words import duration, number

Event = dict[str, Any]


class State:
    """The latest of everything, from the events of a run."""

    def __init__(self, title: str) -> None:
        self.title, self.note = title, "Starting"
        self.steps, self.step = 0, 0
        self.loss: float | None = None
        self.validation_loss: float | None = None
        self.bits_per_byte: float | None = None
        self.speed: float | None = None
        self.first: tuple[int, float] | None = None  # step and seconds of the first event, to estimate the rest
        self.left: float | None = None
        self.sample, self.sample_step, self.prompt = "", 0, ""

    def take(self, event: Event) -> None:
        """Note what an event says. Loss and speed are running means, so that they can be read."""
        if event["kind"] == "note":
            self.note = event["text"]
        elif event["kind"] == "start":
            config = event["config"]
            self.steps, self.prompt = config.train.steps, config.sample_prompt
            self.note = "Training"
        elif event["kind"] == "step":
            self.step = event["step"]
            self.loss = blend(self.loss, event["loss"])
            self.speed = blend(self.speed, event["tokens_per_second"])
            self.first = self.first or (event["step"] - 1, 0.0 if event["step"] == 1 else event["seconds"])
            done = event["step"] - self.first[0]
            self.left = (event["seconds"] - self.first[1]) / done * (self.steps - event["step"])
            if "validation_loss" in event:
                self.validation_loss = event["validation_loss"]
                self.bits_per_byte = event["bits_per_byte"]
                self.sample, self.sample_step = event.get("sample", ""), event["step"]

    def __rich__(self) -> Group:
        numbers = Table.grid(padding=(0, 2))
        for _ in LABELS:
            numbers.add_column(no_wrap=True)
        numbers.add_row(*(Text(name, style="dim") for name in LABELS))
        numbers.add_row(
            f"{self.step:,} of {self.steps:,}",
            number(self.loss, 3),
            number(self.validation_loss, 3),
            number(self.bits_per_byte, 3),
            number(self.speed, 0),
            duration(self.left),
        )
        bar = ProgressBar(total=max(1, self.steps), completed=self.step, width=72)
        parts: list[Any] = [Text(f"{self.title}: {self.note}", style="bold"), Columns([bar]), numbers]
        if self.sample:
            begun = self.prompt if self.sample.startswith(self.prompt) else ""
            text = Text.assemble((begun, "bold"), self.sample[len(begun) :])
            parts.append(Panel(text, title=f"a sample, step {self.sample_step:,}", title_align="left", width=76))
        return Group(*parts)

    def line(self) -> str:
        """The same in one line."""
        return (
            f"step {self.step:>6,} of {self.steps:,}   loss {number(self.loss, 3)}   "
            f"held-out {number(self.validation_loss, 3)}   {number(self.bits_per_byte, 3)} bits/byte   "
            f"{number(self.speed, 0)} tokens/s   {duration(self.left)} left"
        )


LABELS = ("step", "loss", "held-out loss", "bits per byte", "tokens/s", "time left")


def blend(before: float | None, now: float, share: float = 0.1) -> float:
    """A running mean that forgets: `share` of the new, the rest of the old."""
    return now if before is None else (1 - share) * before + share * now


@contextmanager
def progress(title: str = "insideout", console: Console | None = None) -> Iterator[Callable[[Event], None]]:
    """Give a function that shows the events of a run as they come."""
    console = console or Console(file=sys.stderr)
    state = State(title)
    if not console.is_terminal:

        def write(event: Event) -> None:
            state.take(event)
            if event["kind"] == "note":
                print(f"{state.title}: {state.note}", file=console.file, flush=True)
            elif event["kind"] == "step" and "validation_loss" in event:
                print(state.line(), file=console.file, flush=True)
                if state.sample:
                    print(f"    {' '.join(state.sample.split())[:200]}", file=console.file, flush=True)

        yield write
        return
    with Live(state, console=console, refresh_per_second=4, redirect_stdout=False, redirect_stderr=False) as live:

        def show(event: Event) -> None:
            state.take(event)
            live.update(state)

        yield show
