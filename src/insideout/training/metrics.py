"""The numbers of a run: what each is called and how it is shown, and the file that keeps them, one JSON object a line.

A stage names its metrics once; the loop, the progress display, metrics.jsonl and the report follow. Imports no torch.
"""

import json
import math
import os
from collections.abc import Mapping
from dataclasses import dataclass, replace
from itertools import takewhile
from pathlib import Path
from typing import Any, Literal

from insideout.errors import BadInput
from insideout.files import disk_trouble


@dataclass(frozen=True)
class Metric:
    """How one number of a run is called and shown."""

    name: str
    """In metrics.jsonl, and in what an objective or a measurement gives."""
    label: str = ""
    """For people. Default: the name, its underscores as spaces."""
    unit: str = ""
    """Such as nats per token. With %, the number is a share, and 0.25 is shown as 25%."""
    digits: int = 3
    """Decimals shown."""
    section: str = ""
    """Heading in the report; metrics of one section share a chart. Default: not drawn."""
    words: str = ""
    """A sentence under that chart."""
    live: bool = True
    """Shown while training."""
    from_zero: bool = False
    """The chart's axis begins at 0."""
    better: Literal["lower", "higher"] = "lower"
    """Which way is good; early stopping asks."""

    def __post_init__(self) -> None:
        if not self.name.isidentifier():
            raise BadInput(f"A metric is called {self.name!r}: choose a name of letters, digits and underscores.")

    @property
    def title(self) -> str:
        """The label, or what the name says."""
        return self.label or self.name.replace("_", " ")

    def show(self, value: float | None) -> str:
        """The number as a person would write it, without its unit unless that is %."""
        if value is None or not math.isfinite(value):
            return "–"
        if self.unit == "%":
            return f"{100 * value:,.{max(0, self.digits - 2)}f}%"
        if value and abs(value) < 0.5 * 10**-self.digits:
            return f"{value:.1e}"
        return f"{value:,.{self.digits}f}"

    def of_average(self) -> "Metric":
        """The same, measured with averaged weights."""
        return replace(self, name=f"ema_{self.name}", label=f"{self.title}, averaged weights")


RESERVED = ("step", "seconds")
"""Every record has these beside its metrics."""


def of_every_run(counted: str) -> tuple[Metric, ...]:
    """What the loop measures by itself. `counted`: what the loss counts, in the plural."""
    return (
        Metric("loss", section="Loss"),
        Metric("validation_loss", "held-out loss", section="Loss"),
        Metric(f"{counted}_per_second", f"{counted}/s", digits=0, section="Speed", from_zero=True),
        Metric("lr", "learning rate", digits=5, section="Learning rate", from_zero=True, live=False),
        Metric("gradient_norm", section="Length of the gradient", from_zero=True, live=False),
    )


def together(own: tuple[Metric, ...], counted: str) -> tuple[Metric, ...]:
    """The losses, a stage's metrics, and what else the loop measures; a stage's own word goes before the loop's.

    Raises BadInput where two have one name.
    """
    names = [metric.name for metric in own]
    for name in names:
        if names.count(name) > 1 or name in RESERVED:
            raise BadInput(f"Two numbers of a record would be called {name}: give the metric another name.")
    ours = {metric.name: metric for metric in of_every_run(counted)}
    theirs = {metric.name: metric for metric in own}
    losses = {name: ours[name] for name in ("loss", "validation_loss")}
    return tuple(theirs.get(name, metric) for name, metric in (losses | theirs | ours).items())


class MetricsFile:
    """`out/metrics.jsonl`, opened to go on after `step`: later lines, and one cut off by a crash, are dropped."""

    def __init__(self, path: Path, step: int):
        self.path = path
        try:
            earlier = takewhile(lambda line: line[0]["step"] <= step, lines(path) if path.exists() else [])
            keep = sum(length for _, length in earlier)
            self.file = path.open("ab", buffering=0)
            self.file.truncate(keep)
        except OSError as error:
            raise disk_trouble(error, path) from error

    def write(self, record: Mapping[str, Any]) -> None:
        """Add one line. A number that is not finite is written as null."""
        finite = {k: v if not isinstance(v, float) or math.isfinite(v) else None for k, v in record.items()}
        line = (json.dumps(finite) + "\n").encode()
        try:
            written = self.file.write(line)
            while written < len(line):
                written += self.file.write(line[written:])
        except OSError as error:
            raise disk_trouble(error, self.path) from error

    def sync(self) -> None:
        """Force the lines to disk: a checkpoint must not be newer than the lines it stands for."""
        try:
            os.fsync(self.file.fileno())
        except OSError as error:
            raise disk_trouble(error, self.path) from error

    def close(self) -> None:
        self.file.close()


def read(path: Path) -> list[dict[str, Any]]:
    """The records of a metrics file. A last line that was cut off is left out; any other damage is BadInput."""
    try:
        return [record for record, _ in lines(path)]
    except OSError as error:
        raise BadInput(f"{path} cannot be read ({error.strerror or error}).") from error


def lines(path: Path) -> list[tuple[dict[str, Any], int]]:
    """Each record of a metrics file and the bytes of its line."""
    found: list[tuple[dict[str, Any], int]] = []
    whole = path.read_bytes().split(b"\n")
    for number, line in enumerate(whole[:-1], 1):  # what follows the last line break was cut off
        try:
            record = json.loads(line)
        except (ValueError, RecursionError):
            record = None
        if not isinstance(record, dict) or type(record.get("step")) is not int:
            raise BadInput(f"Line {number} of {path} is damaged: remove that line, or take the file from a copy.")
        found.append((record, len(line) + 1))
    return found
