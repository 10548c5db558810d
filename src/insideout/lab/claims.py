"""Claims: a number that the prose relies on, with the bound that must hold for the prose to stay true.

    speedup = claim("kv-cache.speedup", 5.31, at_least=3, unit="×")        ->  5.3×

A claim that fails its bound raises, and so fails the build. A claim is about one scale; at another it is recorded as
"not checked", never as passed. Its machine and date are those of the measurement: numbers that come out of a recipe or
a study know them, and keep them through arithmetic (recipes/origin.py); where they were lost, or the claim is a mere
true or false, `measured=` names the results. Records are JSON files, one a claim and scale, in INSIDEOUT_CLAIMS, else
in INSIDEOUT_HOME/claims. Gathered on the page "What this book claims".
"""

import ast
import html
import json
import linecache
import math
import os
import sys
from collections.abc import Iterable, Sequence
from pathlib import Path
from types import FrameType
from typing import Any

from insideout import files
from insideout.errors import BadInput
from insideout.lab.measured import difference, interval
from insideout.recipes.origin import here_and_now, origins_of
from insideout.scales import scale, to_scale
from insideout.words import in_prose, rounded, with_unit


class ClaimFailed(AssertionError):
    """A bound does not hold: the text around the claim is no longer true."""


class Claimed(float):
    """A claimed value: a number to compute with, shown rounded and with its unit."""

    unit: str
    status: str
    boolean: bool
    bound: str
    """What was claimed, in words."""

    def __new__(
        cls, value: float, unit: str = "", status: str = "passed", boolean: bool = False, bound: str = ""
    ) -> "Claimed":
        self = super().__new__(cls, value)
        self.unit, self.status, self.boolean, self.bound = unit, status, boolean, bound
        return self

    def __getnewargs__(self) -> tuple[float, str, str, bool, str]:  # type: ignore[override]
        return float(self), self.unit, self.status, self.boolean, self.bound

    def __str__(self) -> str:
        if self.boolean:
            return "true" if self else "false"
        if math.isnan(self) and self.status == "not checked":
            return "not measured"
        return with_unit(rounded(float(self), 2 if self.unit == "×" else 3), self.unit)

    __repr__ = __str__

    def __format__(self, spec: str) -> str:
        """f"{x}" shows the unit; with a format, f"{x:.1f}", it is the bare number."""
        return format(float(self), spec) if spec else str(self)

    def _repr_html_(self) -> str:
        """As a sentence shows it; what was measured, and what was claimed, is in the tooltip."""
        checked = {"passed": "checked", "not checked": "not checked at this scale"}.get(self.status, self.status)
        title = "; ".join(filter(None, [str(self), self.bound and f"claimed: {self.bound}", checked]))
        return f'<span class="claim" title="{html.escape(title)}">{html.escape(in_prose(str(self)))}</span>'

    def _repr_latex_(self) -> None:
        """None: books on paper show the plain text."""


def claims_folder() -> Path:
    """Where claims are recorded."""
    chosen = os.environ.get("INSIDEOUT_CLAIMS")
    if chosen:
        return Path(chosen).expanduser()
    return files.cache_folder("claims")


def claim(
    id: str,
    value: Any,
    *,
    at_least: float | None = None,
    at_most: float | None = None,
    unit: str = "",
    at: str = "laptop",
    seeds: Sequence[int] | int | None = None,
    interval: tuple[float, float] | None = None,
    note: str = "",
    measured: Any = None,
) -> Claimed:
    """Record a value and the bound it must keep; return it to be shown in the text.

    A boolean must be True. A number needs a bound, `at_least`, `at_most` or both. The bound is checked when the
    present scale is `at`. None is what could not be measured here, for want of a file or a library: it is recorded as
    not checked. `seeds` and `interval` (95%) say how sure we are; `measured` are results (of a study, a run,
    or numbers from them) that the value was computed from, where it does not know this itself. Raises ClaimFailed when
    the bound fails, BadInput where another claim of this process has the same id.
    """
    at = to_scale(at, f"the scale `at` of claim {id!r}")
    if not id or not all(part.replace("-", "").replace("_", "").isalnum() for part in id.split(".")):
        raise BadInput(f"{id!r} cannot name a claim: use words of letters, digits and dashes, joined by dots.")
    present = scale()
    alone_of_its_name(id, present)
    origins = origins_of(measured, value, at_least, at_most, interval) or (here_and_now(),)
    if hasattr(value, "item"):  # a tensor or NumPy number
        value = value.item()
    boolean = isinstance(value, bool)
    if value is not None and not boolean and at_least is None and at_most is None:
        raise BadInput(f"Claim {id!r} has no bound, so it cannot fail: give at_least or at_most.")
    number = math.nan if value is None else float(value)
    holds = value is True if boolean else within(number, at_least, at_most)
    status = "not checked" if present != at or value is None else "passed" if holds else "failed"
    limits = {"unit": unit, "at_least": at_least, "at_most": at_most}
    claimed = Claimed(number, unit, status, boolean, bound(boolean, limits))
    record = {
        "id": id,
        "value": value if boolean or math.isfinite(number) else str(number),
        "shown": str(claimed),
        "unit": unit,
        "at_least": at_least,
        "at_most": at_most,
        "at": at,
        "scale": present,
        "status": status,
        "seeds": list(seeds) if isinstance(seeds, Sequence) else seeds,
        "interval": None if interval is None else [float(end) for end in interval],
        "note": note,
        "machine": "; ".join(dict.fromkeys(origin.machine for origin in origins)),
        "date": origins[0].date,
        "measured": [origin._asdict() for origin in origins],
    }
    path = claims_folder() / f"{id}--{present}.json"
    try:
        files.write_whole(path, json.dumps(record, indent=1, ensure_ascii=False) + "\n")
    except OSError as error:
        raise BadInput(f"Could not record a claim at {path} ({error.strerror}): set INSIDEOUT_CLAIMS.") from error
    if status == "failed":
        raise ClaimFailed(f"Claim {id} does not hold: it is {claimed}, and must be {bound(boolean, record)}.")
    return claimed


_made: dict[tuple[str, str], str] = {}
"""The claims of this process, by place and id: the call that made each."""


def alone_of_its_name(id: str, present: str) -> None:
    """Raise BadInput where another call of this process made a claim of this id. The same call may be run again."""
    text = calling()
    before = _made.setdefault((str(claims_folder()), f"{id} {present}"), text)
    if before != text:
        raise BadInput(f"Claim {id!r} is made twice, by {before} and by {text}: give one of them another id.")


def calling() -> str:
    """The statement of the page that is running, with those of its functions on the way to a claim."""
    frame: FrameType | None = sys._getframe(1)
    while frame is not None and frame.f_globals is globals():
        frame = frame.f_back
    page = frame.f_globals if frame is not None else {}
    found: list[str] = []
    while frame is not None and frame.f_globals is page:
        found.append(statement(frame))
        frame = frame.f_back
    return " in ".join(found)


def statement(frame: FrameType) -> str:
    """The statement at which a frame stands; where its source is not known, its place."""
    lines = linecache.getlines(frame.f_code.co_filename, frame.f_globals)
    try:
        around = [
            node
            for node in ast.walk(ast.parse("".join(lines)))
            if isinstance(node, ast.stmt) and node.lineno <= frame.f_lineno <= (node.end_lineno or 0)
        ]
        return ast.unparse(min(around, key=lambda node: ((node.end_lineno or 0) - node.lineno, -node.col_offset)))
    except (SyntaxError, ValueError):
        return f"{frame.f_code.co_filename}, line {frame.f_lineno}"


def within(value: float, at_least: float | None, at_most: float | None) -> bool:
    """Does the value keep its bounds? A value that is not a number keeps none."""
    if math.isnan(value):
        return False
    return (at_least is None or value >= at_least) and (at_most is None or value <= at_most)


def bound(boolean: bool, record: dict[str, Any]) -> str:
    """The bound in words: "at least 3×"."""
    if boolean:
        return "true"
    words = {"at_least": "at least", "at_most": "at most"}
    return " and ".join(
        f"{words[side]} {with_unit(f'{record[side]:g}', record['unit'])}" for side in words if record[side] is not None
    )


def recorded() -> list[dict[str, Any]]:
    """All claims on record, by id and scale. A file that is not a claim's is left out."""
    records = []
    for path in sorted(claims_folder().glob("*.json")):
        try:
            record = json.loads(path.read_text(encoding="utf-8"))
        except (OSError, ValueError):
            continue
        if isinstance(record, dict) and "id" in record and "status" in record:
            records.append(record)
    return records


def claim_mean(id: str, samples: Iterable[Any], **bounds: Any) -> Claimed:
    """`claim` of the samples' mean, recorded with their number and interval. The bound is on the mean."""
    found = interval(samples)
    return claim(id, found.mean, seeds=found.n, interval=(found.low, found.high), **bounds)


def claim_less(id: str, ours: Sequence[Any], baseline: Sequence[Any], **keywords: Any) -> Claimed:
    """Claim that `ours` is less than `baseline`, pair by pair: the whole interval of the difference lies below 0.

    Returns baseline − ours, by how much less it is. Swap the two to claim more.
    """
    found = difference(baseline, ours)
    return claim(id, found.mean, at_least=found.half, seeds=found.n, interval=(found.low, found.high), **keywords)
