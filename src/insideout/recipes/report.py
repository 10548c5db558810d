"""The report of a stage: one HTML file that opens from disk with no network, in light and dark.

Curves of every number that the stage names (training.metrics), one chart for each of its sections; what the model wrote
along the way; sizes, settings, speed, seed and machine: all that someone needs to judge the run, or to make it again.
What a stage wants to show beside that, it hands over as sections of its own.
"""

import dataclasses
import html
import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

from insideout.files import write_whole
from insideout.recipes.chart import Line, line_chart, thinned
from insideout.training.metrics import Metric

SAMPLES_SHOWN = 6
DOTS = 60
"""A curve of fewer points than this shows them."""


@dataclass(frozen=True)
class Section:
    """A heading, HTML under it, and a sentence."""

    title: str
    body: str
    words: str = ""


@dataclass(frozen=True)
class Card:
    """A number of the headline, with what it is above it and a remark below."""

    label: str
    value: str
    note: str = ""


class Reported(Protocol):
    """What a report is drawn from: a run on disk."""

    @property
    def about(self) -> Mapping[str, Any]: ...
    @property
    def config(self) -> Any: ...
    @property
    def report(self) -> Path: ...
    def metrics(self) -> list[dict[str, Any]]: ...
    def samples(self) -> list[dict[str, Any]]: ...
    def result(self) -> dict[str, Any] | None: ...


def write_report(
    run: Reported,
    shown: Sequence[Metric],
    *,
    title: str,
    lead: str,
    cards: Sequence[Card] = (),
    sections: Sequence[Section] = (),
) -> Path:
    """Write report.html into the run's directory, beside and renamed; return its path.

    In order: `cards`, the chart of the first section of `shown`, samples, the stage's own `sections`, the other charts,
    settings and machine. Raises OSError.
    """
    first, *others = charts(run.metrics(), shown) or [Section("Curves", "<p>Nothing was measured.</p>")]
    prompt = getattr(run.config, "sample_prompt", "")
    written = [Section("What it wrote along the way", samples(found, prompt))] if (found := run.samples()) else []
    last = [
        Section("Settings", settings(run.config)),
        Section("Machine", table(machine_rows(run.about, run.result() or {}))),
    ]
    write_whole(run.report, page(title, lead, cards, [first, *written, *sections, *others, *last]))
    return run.report


def page(title: str, lead: str, cards: Sequence[Card], sections: Sequence[Section]) -> str:
    """The whole page."""
    headline = "".join(
        f'<div class="card"><div class="label">{html.escape(card.label)}</div>'
        f'<div class="value">{html.escape(card.value)}</div><div class="label">{html.escape(card.note)}</div></div>'
        for card in cards
    )
    body = "\n".join(drawn(section) for section in sections)
    return PAGE.format(title=html.escape(title), lead=html.escape(lead), cards=headline, body=body, style=STYLE)


def drawn(section: Section) -> str:
    note = f'<p class="note">{html.escape(section.words)}</p>' if section.words else ""
    return f"<section><h2>{html.escape(section.title)}</h2>{section.body}{note}</section>"


def charts(records: Sequence[Mapping[str, Any]], shown: Sequence[Metric]) -> list[Section]:
    """A chart for each section of the metrics that something was recorded for, in their order.

    What was measured of averaged weights too is drawn beside that of the model's own.
    """
    lines: dict[str, list[tuple[Metric, list[tuple[float, float]]]]] = {}
    for metric in (each for own in shown for each in (own, own.of_average())):
        points = [(r["step"], r[metric.name]) for r in records if is_finite(r.get(metric.name))]
        if metric.section and points:
            factor = 100 if metric.unit == "%" else 1
            lines.setdefault(metric.section, []).append((metric, [(x, factor * y) for x, y in points]))
    return [Section(title, chart(title, found), words_of(found)) for title, found in lines.items()]


def chart(title: str, found: Sequence[tuple[Metric, list[tuple[float, float]]]]) -> str:
    """The curves of one section."""
    lines = [
        Line(metric.title, thinned(points), f"line-{i % 6}", dots=len(points) <= DOTS)
        for i, (metric, points) in enumerate(found)
    ]
    units = list(dict.fromkeys(metric.unit for metric, _ in found if metric.unit))
    label = ", ".join([title.lower() if len(found) > 1 else found[0][0].title, *units])
    from_zero = all(metric.from_zero for metric, _ in found)
    names = " and ".join(metric.title for metric, _ in found)
    return line_chart(lines, "step", label, f"{names} against the step", from_zero)


def words_of(found: Sequence[tuple[Metric, Any]]) -> str:
    """What the curves of a section are."""
    return " ".join(dict.fromkeys(metric.words for metric, _ in found if metric.words))


def is_finite(value: Any) -> bool:
    """Is there a number to draw?"""
    return isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value)


def figure(value: float | None, digits: int) -> str:
    """A number for the headline, or a dash."""
    return "–" if value is None else f"{value:,.{digits}f}"


def samples(found: Sequence[Mapping[str, Any]], prompt: str = "") -> str:
    """A few samples from the first to the last, the prompt set apart."""
    last = len(found) - 1
    n = min(SAMPLES_SHOWN, len(found))
    chosen = [found[round(i * last / max(1, n - 1))] for i in range(n)]
    blocks = []
    for record in chosen:
        text = record["text"]
        begun = prompt if text.startswith(prompt) else ""
        written = f"<b>{html.escape(begun)}</b>{html.escape(text[len(begun) :])}"
        blocks.append(f"<figure><figcaption>step {record['step']:,}</figcaption><pre>{written}</pre></figure>")
    return "".join(blocks)


def machine_rows(about: Mapping[str, Any], result: Mapping[str, Any]) -> Iterable[tuple[str, str]]:
    """Where and with what it was made, as far as it was noted."""
    for name in ("machine", "threads", "code_version"):
        if name in about:
            yield name.replace("_", " "), str(about[name])
    yield "precision", result.get("precision") or "–"


def table(rows: Iterable[tuple[str, str]]) -> str:
    """Two columns of text."""
    cells = "".join(f"<tr><th>{html.escape(k)}</th><td>{html.escape(str(v))}</td></tr>" for k, v in rows)
    return f"<table>{cells}</table>"


def settings(config: Any) -> str:
    """Every setting, a group for each dataclass inside the config, and the seed by itself."""
    parts = {field.name: getattr(config, field.name) for field in dataclasses.fields(config)}
    inner = {name: value for name, value in parts.items() if dataclasses.is_dataclass(value)}
    groups = {"Its own": {name: value for name, value in parts.items() if name not in inner}}
    groups |= {
        name.replace("_", " ").capitalize(): {f.name: getattr(value, f.name) for f in dataclasses.fields(value)}
        for name, value in inner.items()
    }
    seeds = {values["seed"] for values in groups.values() if "seed" in values}
    said = f"<p>Seed <b>{seeds.pop()}</b>.</p>" if len(seeds) == 1 else ""
    columns = "".join(
        f"<div><h3>{html.escape(title)}</h3>{table((n, show(v)) for n, v in values.items())}</div>"
        for title, values in groups.items()
        if values
    )
    return f'{said}<div class="groups">{columns}</div>'


def show(value: Any) -> str:
    """A setting's value as a person writes it."""
    if isinstance(value, tuple):
        return ", ".join(map(str, value))
    if value is None or isinstance(value, bool):
        return {None: "default", True: "yes", False: "no"}[value]
    return f"{value:g}" if isinstance(value, float) else str(value)


STYLE = """
:root { color-scheme: light dark; --ink: #1c1e21; --soft: #5b6168; --paper: #fdfdfc; --card: #f3f3f0; --rule: #dcdcd6;
  --line-0: #0072b2; --line-1: #c2560a; --line-2: #007a5a; --line-3: #a6487c; --line-4: #6b5b00; --line-5: #5b6168; }
@media (prefers-color-scheme: dark) { :root { --ink: #e8e6e3; --soft: #a3a8ae; --paper: #16181b; --card: #1f2226;
  --rule: #353a40; --line-0: #56b4e9; --line-1: #f0a04b; --line-2: #3fc79a; --line-3: #e39bc4; --line-4: #d6c74a;
  --line-5: #a3a8ae; } }
* { box-sizing: border-box; }
body { margin: 0 auto; max-width: 60rem; padding: 2rem 1.25rem 4rem; background: var(--paper); color: var(--ink);
  font: 16px/1.55 system-ui, -apple-system, "Segoe UI", Roboto, "Helvetica Neue", sans-serif; }
h1 { font-size: 1.7rem; line-height: 1.2; margin: 0 0 .3rem; }
h2 { font-size: 1.15rem; margin: 2.6rem 0 .8rem; }
h3 { font-size: .95rem; margin: 1rem 0 .4rem; color: var(--soft); font-weight: 600; }
.note, .lead, .label, figcaption { color: var(--soft); }
.note { font-size: .9rem; max-width: 44rem; }
.cards { display: grid; grid-template-columns: repeat(auto-fit, minmax(10.5rem, 1fr)); gap: .8rem; margin-top: 1.4rem; }
.card { background: var(--card); border-radius: .5rem; padding: .8rem 1rem; }
.label, figcaption { font-size: .82rem; }
.value { font-size: 1.6rem; font-weight: 600; font-variant-numeric: tabular-nums; line-height: 1.35; }
.chart { width: 100%; height: auto; display: block; overflow: visible; }
.chart text { fill: var(--soft); font-size: 13px; font-variant-numeric: tabular-nums; }
.chart .name { fill: var(--ink); }
.chart .grid { stroke: var(--rule); }
.chart .axis { stroke: var(--soft); }
.curve { fill: none; stroke-width: 2; stroke-linejoin: round; }
.line-0 { --line: var(--line-0); } .line-1 { --line: var(--line-1); } .line-2 { --line: var(--line-2); }
.line-3 { --line: var(--line-3); } .line-4 { --line: var(--line-4); } .line-5 { --line: var(--line-5); }
.curve { stroke: var(--line); } .dot { fill: var(--line); }
figure { margin: 0 0 1rem; }
pre { margin: .2rem 0 0; padding: .8rem 1rem; background: var(--card); border-radius: .5rem; white-space: pre-wrap;
  overflow-wrap: anywhere; font: .86rem/1.5 ui-monospace, "SF Mono", Menlo, Consolas, monospace; }
table { border-collapse: collapse; width: 100%; font-size: .9rem; }
th, td { text-align: left; vertical-align: top; padding: .3rem .6rem .3rem 0; border-bottom: 1px solid var(--rule);
  overflow-wrap: anywhere; }
th { font-weight: 400; color: var(--soft); width: 11.5rem; }
.wide { overflow-x: auto; }
.wide th, .wide td, .said { white-space: nowrap; overflow-wrap: normal; width: auto; }
.groups { display: grid; grid-template-columns: repeat(auto-fit, minmax(17rem, 1fr)); gap: 0 2rem; }
@media (max-width: 34rem) { body { padding-top: 1.25rem; } .chart text { font-size: 24px; } th { width: 9.5rem; }
  .cards { grid-template-columns: 1fr 1fr; } .value { font-size: 1.35rem; } }
"""

PAGE = """<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>{title}</title>
<style>{style}</style>
</head>
<body>
<h1>{title}</h1>
<p class="lead">{lead}</p>
<div class="cards">{cards}</div>
{body}
</body>
</html>
"""
