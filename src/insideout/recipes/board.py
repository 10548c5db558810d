"""The board: every stage of the models' life, scored alike and side by side.

    scores("pretrain", "sft")                     one table, stages beside each other
    stage_scores("pretrain")["copying"]           what stands in it, with every answer

A stage's scores are kept beside its result, in one scores.json, under the key of all that decides them: the result, the
questions, the code. They are measured when first asked for. Skills are told twice, of the likeliest answer and of one
drawn as the model believes, since training may raise one and lower the other; all else is of the drawn ones.
`insideout scores` and the chapters show the same table. Used from part 2 on.
"""

import html
import json
import math
import re
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING, Any

from insideout import files
from insideout.data.suite import Suite
from insideout.errors import BadInput
from insideout.recipes.code import PACKAGE
from insideout.recipes.key import code_of, key_of
from insideout.recipes.origin import Origin, here_and_now, measured
from insideout.recipes.scoreboard import (
    MANNERS,
    HeldOut,
    Metric,
    Scores,
    forgotten,
    from_dict,
    kl_to_start,
    metrics_from_dict,
    metrics_to_dict,
    score,
    to_dict,
)
from insideout.recipes.stage import Plan, in_order, obtain, plan, whole
from insideout.scales import Scale
from insideout.words import rounded

if TYPE_CHECKING:
    from rich.table import Table

FILE, FORMAT = "scores.json", "insideout scores 1"
QUESTIONS: dict[Scale, int] = {"tiny": 12, "laptop": 500, "gpu": 900}
"""How many of each suite are asked."""
SEED = 0


def suites_in(folder: Path) -> dict[str, Callable[[Scale], Suite]]:
    """The suites in a folder of the package, by the names of their files: those with a function `suite(at)`."""
    found = {}
    for file in sorted(folder.rglob("*.py")):
        if re.search(r"^def suite\(at: Scale\)", file.read_text(encoding="utf-8"), re.MULTILINE):
            module = ".".join(file.with_suffix("").parts[len(PACKAGE.parent.parts) :])
            found[file.stem] = import_module(module).suite
    return found


SUITES = suites_in(PACKAGE / "data")
"""What every stage is asked."""


@dataclass(frozen=True)
class StageScores:
    """What was measured of a stage's result."""

    stage: str
    scale: Scale
    greedy: Mapping[str, Scores]
    """By suite: of the likeliest answer to each question."""
    sampled: Mapping[str, Scores]
    """By suite: of one drawn at temperature 1."""
    model: Mapping[str, Metric]
    """What does not depend on questions being right: KL to the start, and what was forgotten."""

    def __getitem__(self, suite: str) -> Scores:
        """The scores of the likeliest answers on a suite."""
        if suite not in self.greedy:
            raise BadInput(f"{self.stage} was not asked {suite!r}; there is {', '.join(self.greedy)}.")
        return self.greedy[suite]

    def rows(self) -> Iterator[tuple[str, str, Metric]]:
        """(group, name, metric): suite by suite, then the model's own."""
        for suite, likeliest in self.greedy.items():
            drawn = self.sampled[suite].metrics
            for name, metric in likeliest.metrics.items():
                if name not in MANNERS:
                    yield suite, name, metric
                    if name in drawn and ", " not in name:
                        yield suite, f"{name}, sampled", drawn[name]
            yield from ((suite, name, drawn[name]) for name in MANNERS if name in drawn)
        yield from (("model", name, metric) for name, metric in self.model.items())


def stage_scores(name: str, *, scale: Scale | None = None, seed: int | None = None, **changes: Any) -> StageScores:
    """The scores of a stage's result, found or measured; the result is made first where it is not stored.

    The arguments are those of `recipe`. Raises BadInput for a stage that writes nothing.
    """
    wanted = plan(name, scale, seed, changes)
    result = obtain(wanted)
    file, key = wanted.folder / FILE, key_of_scores(wanted)
    kept = read(file, key)
    if kept is None:
        print(f"Scoring {name} ({wanted.scale}): {QUESTIONS[wanted.scale]} questions a suite", file=sys.stderr)
        kept = measure(wanted, result, SUITES)
        write(file, key, kept)
    return read(file, key) or kept  # as it was kept, with where and when it was measured


def key_of_scores(wanted: Plan) -> str:
    """The key of all that decides a result's scores."""
    settings = {"questions": QUESTIONS[wanted.scale], "seed": SEED, "suites": list(SUITES)}
    return key_of("scores", settings, {"result": wanted.key}, {}, code_of([measure, *SUITES.values()]))


def measure(wanted: Plan, result: Any, suites: Mapping[str, Callable[[Scale], Suite]]) -> StageScores:
    """Ask a result every suite's questions."""
    n, at = QUESTIONS[wanted.scale], wanted.scale
    likeliest, drawing = (writer_of(wanted.stage.name, result, temperature) for temperature in (0.0, 1.0))
    greedy, sampled = {}, {}
    model: dict[str, Metric] = {}
    start = start_of(wanted)
    for name, make in suites.items():
        suite = make(at)
        if not is_asked(result, name, suite):
            continue
        greedy[name], sampled[name] = (score(writer, suite, n, SEED) for writer in (likeliest, drawing))
        if start is not None and start.tokenizer.fingerprint == drawing.tokenizer.fingerprint:
            asked = suite.draw("test", n, SEED)
            model[f"KL to the start, {name}"] = kl_to_start(drawing, start, asked, SEED, suite.max_new_tokens)
    text = first_text(wanted)
    if text is not None:
        model["forgotten"] = forgotten(drawing.model, text)
    return StageScores(wanted.stage.name, at, greedy, sampled, model)


def is_asked(result: Any, name: str, suite: Suite) -> bool:
    """Is a result asked this suite? Those that it names; one that names none continues texts, and holds no talks."""
    named = getattr(result, "suites", ())
    return name in named if named else isinstance(suite.draw("test", 1, SEED)[0].prompt, str)


def stored(at: Scale) -> tuple[str, ...]:
    """The stages whose results are there at a scale, and write."""
    plans = (plan(name, at) for name in in_order())
    return tuple(each.stage.name for each in plans if whole(each.folder) and hasattr(obtain(each), "writer"))


def writer_of(name: str, result: Any, temperature: float) -> Any:
    """Who writes for a stage's result: what its `writer` gives."""
    if not hasattr(result, "writer"):
        raise BadInput(f"{name} writes no answers, so that it has no scores: ask for a stage that does.")
    return result.writer(temperature)


def start_of(wanted: Plan) -> Any:
    """The model that a stage began with, as a writer: the first of its inputs that writes."""
    results = (obtain(each) for each in wanted.inputs.values())
    return next((each.writer(1.0) for each in results if hasattr(each, "writer")), None)


def first_text(wanted: Plan) -> HeldOut | None:
    """The held-out text of the stage that everything began with; None where it began with a model of no stage."""
    while wanted.inputs:
        wanted = next(iter(wanted.inputs.values()))
    first = obtain(wanted)
    return first.held_out() if hasattr(first, "held_out") else None


def read(file: Path, key: str) -> StageScores | None:
    """Scores that were kept under this key; None where there are none, or damaged ones."""
    try:
        kept = json.loads(file.read_text(encoding="utf-8"))
        if kept["format"] != FORMAT or kept["key"] != key:
            return None
        kept = measured(kept, [Origin(kept["machine"], kept["date"])])
        greedy, sampled = ({name: from_dict(each) for name, each in kept[how].items()} for how in ("greedy", "sampled"))
        return StageScores(kept["stage"], kept["scale"], greedy, sampled, metrics_from_dict(kept["model"]))
    except (OSError, ValueError, KeyError, TypeError, AttributeError):
        return None


def write(file: Path, key: str, scores: StageScores) -> None:
    """Keep them: there whole or not at all."""
    origin = here_and_now()
    kept = {
        "format": FORMAT, "key": key, "stage": scores.stage, "scale": scores.scale, **origin._asdict(),
        "model": metrics_to_dict(scores.model),
        "greedy": {name: to_dict(each) for name, each in scores.greedy.items()},
        "sampled": {name: to_dict(each) for name, each in scores.sampled.items()},
    }  # fmt: skip
    try:
        files.write_whole(file, json.dumps(kept, indent=1, ensure_ascii=False) + "\n")
    except OSError as error:
        raise files.disk_trouble(error, file) from error


class Board:
    """Stages beside each other, measures below each other."""

    def __init__(self, stages: Sequence[StageScores]) -> None:
        self.stages = list(stages)

    def rows(self) -> list[tuple[str, str, list[str]]]:
        """(group, measure with its unit, what each stage reached or a dash): as measured, not yet as drawn."""
        found = [{(group, name): metric for group, name, metric in each.rows()} for each in self.stages]
        groups = dict.fromkeys(group for each in found for group, _ in each)
        keys = [key for group in groups for key in dict.fromkeys(k for each in found for k in each) if key[0] == group]
        rows = []
        for key in keys:
            unit = next(each[key].unit for each in found if key in each)
            label = f"{key[1]} ({unit})" if unit else key[1]
            rows.append((key[0], label, [shown(each[key]) if key in each else "–" for each in found]))
        return rows

    def tables(self, width: int = 80) -> "Iterator[Table]":
        """The table, in as many pieces as it takes to be no wider."""
        from rich import box
        from rich.table import Table

        rows = self.rows()
        names = [each.stage for each in self.stages]
        label = max(len(name) for _, name, _ in rows) + 2
        column = max(len(word) for word in [*names, *(cell for *_, cells in rows for cell in cells)])
        at_once = max(1, (width - label - 2) // (column + 3))
        for first in range(0, len(names), at_once):
            here = slice(first, first + at_once)
            table = Table(box=box.SIMPLE_HEAD, pad_edge=False, show_edge=False)
            table.add_column("", no_wrap=True)
            for name in names[here]:
                table.add_column(name, justify="right", no_wrap=True)
            for i, (group, name, cells) in enumerate(rows):
                if i == 0 or rows[i - 1][0] != group:
                    table.add_row(group, style="bold")
                table.add_row(f"  {name}", *cells[here])
            yield table

    def __str__(self) -> str:
        """As `insideout scores` prints it, at most 80 columns wide."""
        from io import StringIO

        from rich.console import Console

        out = StringIO()
        for table in self.tables():
            Console(file=out, width=80).print(table)
        return "\n".join(line.rstrip() for line in out.getvalue().splitlines())

    __repr__ = __str__

    def _repr_html_(self) -> str:
        """For a notebook and the book."""
        head = "".join(f"<th>{html.escape(each.stage)}</th>" for each in self.stages)
        body, before = [], ""
        for group, name, cells in self.rows():
            if group != before:
                body.append(f'<tr><th colspan="{len(self.stages) + 1}">{html.escape(group)}</th></tr>')
                before = group
            body.append("<tr>" + "".join(f"<td>{html.escape(cell)}</td>" for cell in (name, *cells)) + "</tr>")
        return f'<table class="scores"><tr><th></th>{head}</tr>{"".join(body)}</table>'


def scores(*stages: str, scale: Scale | None = None) -> Board:
    """The board of these stages, at a scale; each is made and scored where that has not been done."""
    return Board([stage_scores(name, scale=scale) for name in stages])


def shown(metric: Metric) -> str:
    """A value and half its interval: "93.1 ± 2.2", with as many digits as the interval allows."""
    factor = 100 if metric.unit == "%" else 1
    value, half = metric.value.mean * factor, metric.value.half * factor
    if half == 0:
        return f"{rounded(value, 4)} ± 0"
    digits = 1 if metric.unit == "%" else max(0, min(4, 1 - math.floor(math.log10(half))))
    return f"{value:,.{digits}f} ± {half:.{digits}f}"
