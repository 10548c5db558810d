"""The report of a run: one HTML file that opens from disk with no network, in light and dark.

Curves of the loss on training and held-out text, what the model wrote along the way, sizes, settings, speed, seed and
machine: all that someone needs to judge the run, or to make it again.
"""

import dataclasses
import html
import math
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from insideout.recipes.chart import Line, line_chart, thinned
from insideout.recipes.runs import Run
from insideout.words import duration

SAMPLES_SHOWN = 6


def write_report(run: Run) -> Path:
    """Write report.html into the run's directory, beside and renamed; return its path."""
    from insideout.files import write_whole

    write_whole(run.report, render(run).encode())
    return run.report


def render(run: Run) -> str:
    """The page."""
    about, config, metrics = run.about, run.config, run.metrics()
    result = run.result() or {}
    name = ", ".join(Path(each).name or each for each in config.corpus)
    training = thinned([(r["step"], r["loss"]) for r in metrics])
    held_out = [(r["step"], r["validation_loss"]) for r in metrics if "validation_loss" in r]
    loss_lines = [Line("training", training, "training"), Line("held-out", held_out, "held-out", dots=True)]
    speed = thinned([(r["step"], r["tokens_per_second"]) for r in metrics], 120)
    rate = thinned([(r["step"], r["lr"]) for r in metrics], 200)
    random = math.log(about["vocab_size"])
    steps = config.train.steps
    headline = [
        ("bits per byte", figure(result.get("bits_per_byte"), 3), "on all held-out text"),
        ("held-out loss", figure(result.get("validation_loss"), 3), f"nats per token; chance is {random:.2f}"),
        ("tokens per second", figure(result.get("tokens_per_second"), 0), "held-out measurements included"),
        ("time", duration(result.get("seconds")), f"{result.get('step', len(metrics)):,} of {steps:,} steps"),
    ]
    cards = "".join(
        f'<div class="card"><div class="label">{label}</div><div class="value">{value}</div>'
        f'<div class="label">{note}</div></div>'
        for label, value, note in headline
    )
    describe = "Loss on training and on held-out text against the step"
    sections = [
        section("Loss", line_chart(loss_lines, "step", "loss, nats per token", describe), loss_words(config)),
        section("What it wrote along the way", samples(run)),
        section("Sizes", table(sizes(run, result))),
        section(
            "Speed and learning rate",
            line_chart(
                [Line("speed", speed, "training")], "step", "tokens per second", "Tokens per second by step", True
            )
            + line_chart(
                [Line("learning rate", rate, "held-out")], "step", "learning rate", "Learning rate by step", True
            ),
        ),
        section("Settings", settings(run)),
        section("Machine", table([*machine_rows(about, result)])),
    ]
    return PAGE.format(
        title=html.escape(f"{name}: a training run"), name=html.escape(name), scale=html.escape(about["scale"]),
        parameters=f"{about['n_parameters']:,}", cards=cards, body="\n".join(sections), style=STYLE,
    )  # fmt: skip


def loss_words(config: Any) -> str:
    """What the curves are, in words."""
    part = f"about {config.validation_tokens:,} held-out tokens" if config.validation_tokens else "all held-out tokens"
    return (
        f"Training loss is the mean over each step's batch; held-out loss is over {part}, the same ones each time. "
        f"Held out is the last {config.validation_fraction:.0%} of the text, which is never trained on."
    )


def figure(value: float | None, digits: int) -> str:
    """A number for the headline, or a dash."""
    return "–" if value is None else f"{value:,.{digits}f}"


def section(title: str, body: str, words: str = "") -> str:
    note = f'<p class="note">{html.escape(words)}</p>' if words else ""
    return f"<section><h2>{html.escape(title)}</h2>{body}{note}</section>"


def samples(run: Run) -> str:
    """A few samples from the first to the last, the prompt set apart."""
    found = run.samples()
    if not found:
        return "<p>No samples were asked for.</p>"
    last = len(found) - 1
    n = min(SAMPLES_SHOWN, len(found))
    chosen = [found[round(i * last / max(1, n - 1))] for i in range(n)]
    prompt = run.config.sample_prompt
    blocks = []
    for record in chosen:
        text = record["text"]
        begun = prompt if text.startswith(prompt) else ""
        written = f"<b>{html.escape(begun)}</b>{html.escape(text[len(begun) :])}"
        blocks.append(f"<figure><figcaption>step {record['step']:,}</figcaption><pre>{written}</pre></figure>")
    return "".join(blocks)


def sizes(run: Run, result: dict[str, Any]) -> list[tuple[str, str]]:
    """What the run is made of."""
    about, config = run.about, run.config
    per_step = config.train.batch_size * config.train.accumulation * config.model.context_length
    seen = result.get("tokens_seen")
    passes = f", {seen / about['tokens']['train']:.2g} times the training text" if seen else ""
    return [
        ("parameters", f"{about['n_parameters']:,}"),
        ("vocabulary", f"{about['vocab_size']:,} tokens ({config.tokenizer})"),
        ("text", f"{about['corpus']['bytes']:,} bytes, {about['bytes_per_token']:.2f} bytes per token"),
        ("training tokens", f"{about['tokens']['train']:,}"),
        ("held-out tokens", f"{about['tokens']['validation']:,}"),
        ("tokens per step", f"{per_step:,}"),
        ("tokens seen", f"{seen:,}{passes}" if seen else "–"),
    ]


def machine_rows(about: dict[str, Any], result: dict[str, Any]) -> Iterable[tuple[str, str]]:
    yield "machine", about["machine"]
    yield "threads", str(about["threads"])
    yield "precision", result.get("precision", "–")
    yield "code version", about["code_version"]
    yield "sha256 of the text", about["corpus"]["fingerprint"]


def table(rows: Iterable[tuple[str, str]]) -> str:
    cells = "".join(f"<tr><th>{html.escape(k)}</th><td>{html.escape(str(v))}</td></tr>" for k, v in rows)
    return f"<table>{cells}</table>"


def settings(run: Run) -> str:
    """Every setting, the seed among them, in three groups."""
    config = run.config
    own = [f for f in dataclasses.fields(config) if f.name not in ("model", "train")]
    groups = [
        ("Text", [(f.name, show(getattr(config, f.name))) for f in own]),
        ("Model", [(f.name, show(getattr(config.model, f.name))) for f in dataclasses.fields(config.model)]),
        ("Training", [(f.name, show(getattr(config.train, f.name))) for f in dataclasses.fields(config.train)]),
    ]
    return (
        f'<p>Seed <b>{config.train.seed}</b>.</p><div class="groups">'
        + "".join(f"<div><h3>{title}</h3>{table(rows)}</div>" for title, rows in groups)
        + "</div>"
    )


def show(value: Any) -> str:
    """A setting's value as a person writes it."""
    if isinstance(value, tuple):
        return ", ".join(map(str, value))
    if value is None or isinstance(value, bool):
        return {None: "default", True: "yes", False: "no"}[value]
    return f"{value:g}" if isinstance(value, float) else str(value)


STYLE = """
:root { color-scheme: light dark; --ink: #1c1e21; --soft: #5b6168; --paper: #fdfdfc; --card: #f3f3f0; --rule: #dcdcd6;
  --training: #0072b2; --held-out: #c2560a; }
@media (prefers-color-scheme: dark) { :root { --ink: #e8e6e3; --soft: #a3a8ae; --paper: #16181b; --card: #1f2226;
  --rule: #353a40; --training: #56b4e9; --held-out: #f0a04b; } }
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
.curve.training { stroke: var(--training); } .curve.held-out { stroke: var(--held-out); }
.dot.training { fill: var(--training); } .dot.held-out { fill: var(--held-out); }
figure { margin: 0 0 1rem; }
pre { margin: .2rem 0 0; padding: .8rem 1rem; background: var(--card); border-radius: .5rem; white-space: pre-wrap;
  overflow-wrap: anywhere; font: .86rem/1.5 ui-monospace, "SF Mono", Menlo, Consolas, monospace; }
table { border-collapse: collapse; width: 100%; font-size: .9rem; }
th, td { text-align: left; vertical-align: top; padding: .3rem .6rem .3rem 0; border-bottom: 1px solid var(--rule);
  overflow-wrap: anywhere; }
th { font-weight: 400; color: var(--soft); width: 11.5rem; }
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
<h1>A GPT trained on {name}</h1>
<p class="lead">{parameters} parameters, at {scale} scale. Transformers from the Inside Out.</p>
<div class="cards">{cards}</div>
{body}
</body>
</html>
"""
