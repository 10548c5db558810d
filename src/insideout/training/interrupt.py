"""Ctrl-C asks the loop to finish its step, save and leave; so do SIGTERM, which clusters send before they kill, and
SIGHUP, which comes when the terminal is closed or the connection to it is lost."""

import contextlib
import signal
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

ASKING = [getattr(signal, name) for name in ("SIGINT", "SIGTERM", "SIGHUP") if hasattr(signal, name)]
"""Windows has no SIGHUP."""


class Interrupted(Exception):
    """Ctrl-C: the run was saved after the step it was in."""

    def __init__(self, step: int, out: Path):
        super().__init__(f"Stopped after step {step} and saved in {out}. Go on with --resume.")
        self.step = step
        self.out = out


@contextlib.contextmanager
def catching_signals() -> Iterator[list[int]]:
    """A list that is empty until Ctrl-C, SIGTERM or SIGHUP arrives. A Ctrl-C after that stops at once, unsaved.

    A signal that was ignored before (by nohup, say) stays so. Signals come in pairs when a machine shuts down, so only
    Ctrl-C, which a person types, is taken for impatience.
    """
    seen: list[int] = []
    if threading.current_thread() is not threading.main_thread():
        yield seen
        return

    def remember(number: int, frame: Any) -> None:
        if seen and number == signal.SIGINT:
            raise KeyboardInterrupt
        seen.append(number)

    before = {}
    for number in ASKING:
        if signal.getsignal(number) is not signal.SIG_IGN:
            before[number] = signal.signal(number, remember)
    try:
        yield seen
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
