"""Ctrl-C asks the loop to finish its step, save and leave; so does SIGTERM, which clusters send before they kill."""

import contextlib
import signal
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any


class Interrupted(Exception):
    """Ctrl-C: the run was saved after the step it was in."""

    def __init__(self, step: int, out: Path):
        super().__init__(f"Stopped after step {step} and saved in {out}. Go on with --resume.")
        self.step = step
        self.out = out


@contextlib.contextmanager
def catching_signals() -> Iterator[list[int]]:
    """A list that is empty until Ctrl-C (or SIGTERM) arrives. A second Ctrl-C stops at once, unsaved."""
    seen: list[int] = []
    if threading.current_thread() is not threading.main_thread():
        yield seen
        return

    def remember(number: int, frame: Any) -> None:
        if seen:
            raise KeyboardInterrupt
        seen.append(number)

    before = {number: signal.signal(number, remember) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield seen
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
