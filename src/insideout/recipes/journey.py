"""The journey: one model from random weights to a solver, stage by stage, and one report of its whole life.

    base → sft → pairs → reward → ppo
                   └───→ dpo → thinker → solver

    journey = travel("tiny")        makes what is not stored, scores every stage, asks each the same five prompts
    journey.board()                 the scoreboard, stages side by side
    write_report(journey, Path("report.html"))

Each stage is a recipe, which begins with what the one before it left: nothing here trains. So a journey that was
stopped goes on where it was, and what was made by itself is not made again. ppo and dpo are two ways from the same
assistant; the life goes on from dpo.
Taught in book/4-reasoning-with-transformers/14_the_journey.md.
"""

import html
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

from insideout import files
from insideout.data.problems.sums import Sums
from insideout.data.suite import Question, Suite
from insideout.data.town.instructions import Town
from insideout.errors import BadInput
from insideout.estimates import Interval
from insideout.recipes.board import QUESTIONS, SEED, Board, StageScores, shown, stage_scores
from insideout.recipes.chart import Line, line_chart
from insideout.recipes.report import Card, Section, charts, page, table
from insideout.recipes.runs import read_object
from insideout.recipes.scoreboard import Scores, compare, score
from insideout.recipes.stage import find, obtain, plan, time_taken, whole
from insideout.scales import Scale
from insideout.training.metrics import Metric
from insideout.words import duration, rounded


@dataclass(frozen=True)
class Part:
    """A stage of the life."""

    stage: str
    """Its recipe."""
    words: str
    """What happens to the model."""
    minutes: float
    """About how long, at laptop scale on one core: a guess, for the time left before a pace is known."""


LIFE = (
    Part("base", "Pretraining: it reads stories of the town", 2.0),
    Part("sft", "Supervised fine-tuning: it learns to answer", 8.0),
    Part("pairs", "Its answers are compared, two and two", 4.0),
    Part("reward", "A copy of it learns which answers are preferred: the reward model", 5.0),
    Part("ppo", "It learns from that reward, with a critic", 7.0),
    Part("dpo", "Another way from the same start: it learns from the pairs directly", 6.0),
    Part("thinker", "Reasoning SFT: it is taught to think", 4.0),
    Part("solver", "GRPO: it learns from which of its answers are right", 5.0),
)

MANNERS = {"greedy": 0.0, "sampled": 1.0}
"""How every stage is asked: for its likeliest answer, and for one drawn as it believes; with the temperature."""
ANSWER_SHOWN = 400
"""Characters of an answer that the report shows."""


@dataclass(frozen=True)
class Prompt:
    """One of the five that every stage is asked."""

    suite: Suite
    question: Question
    part: str
    """The part of the verdict that says whether an answer is right."""

    @property
    def words(self) -> str:
        """What was asked last."""
        prompt = self.question.prompt
        return prompt if isinstance(prompt, str) else prompt[-1].content


@dataclass(frozen=True)
class Said:
    """What a stage answered."""

    text: str
    right: bool


@dataclass(frozen=True)
class Leg:
    """A stage of the life, made and looked at."""

    part: Part
    result: Any
    seconds: float | None
    """That it took to make; None where that was not noted."""
    learned: tuple[float, str] | None
    """From how much: a number, and of what (tokens, pairs). About: from the speed of each step."""
    scores: StageScores | None
    """None for a stage that writes nothing."""
    said: tuple[Said, ...]
    """Its answers to the five prompts, the likeliest."""
    sums: Mapping[str, Scores] = field(default_factory=dict)
    """Its scores in the sums that the thinker learns, greedy and sampled: asked of every stage that writes."""

    def skill(self, name: str, manner: str = "greedy") -> Scores:
        """Its scores in the town's instructions or in sums, of the likeliest answers or of drawn ones."""
        assert self.scores is not None, "only of a stage that writes"
        found = self.sums if name == "sums" else {each: getattr(self.scores, each)[name] for each in MANNERS}
        return found[manner]


@dataclass(frozen=True)
class Journey:
    """A whole life."""

    scale: Scale
    legs: tuple[Leg, ...]
    prompts: tuple[Prompt, ...]

    def __getitem__(self, stage: str) -> Leg:
        """One stage of it. Raises BadInput for one that is not part of it."""
        for leg in self.legs:
            if leg.part.stage == stage:
                return leg
        raise BadInput(
            f"{stage!r} is no stage of the journey; there is {', '.join(leg.part.stage for leg in self.legs)}."
        )

    @cached_property
    def writing(self) -> tuple[Leg, ...]:
        """The stages that write, and so are scored."""
        return tuple(leg for leg in self.legs if leg.scores is not None)

    def board(self) -> Board:
        """The scoreboard."""
        return Board([leg.scores for leg in self.writing if leg.scores is not None])

    @property
    def seconds(self) -> float:
        """That all stages took to make, as far as it was noted."""
        return sum(leg.seconds for leg in self.legs if leg.seconds is not None)


def five_prompts(at: Scale) -> tuple[Prompt, ...]:
    """Three questions of the town and two sums, a short one and a long one, all of the test split."""
    lengths = (1, 2) if at == "tiny" else (2, 5)
    asked: list[tuple[Suite, str]] = [(Town((kind,)), "correct") for kind in ("where", "list", "decline")]
    asked += [(Sums((k,), largest=6), "strict") for k in lengths]
    return tuple(Prompt(suite, suite.draw("test", 1)[0], part) for suite, part in asked)


def travel(
    at: Scale, announce: Callable[[str, str], None] = lambda stage, words: None, life: Sequence[Part] = LIFE
) -> Journey:
    """Make, or find, every stage of a life in order, score it, and ask it the five prompts.

    `announce` is told the stage that begins, and a sentence of it with the time left. Raises Interrupted on Ctrl-C,
    after saving.
    """
    prompts, legs = five_prompts(at), list[Leg]()
    for part in life:
        plan(part.stage, at)  # a stage that cannot be is told before anything is made
    for number, part in enumerate(life):
        known = whole(plan(part.stage, at).folder)
        left = "" if known else time_left(legs, life[number:], at)
        words = f"Stage {number + 1} of {len(life)}, {part.stage}: {part.words}{' (stored)' * known}{left}"
        announce(part.stage, words)
        legs.append(leg_of(part, at, prompts))
    return Journey(at, tuple(legs), prompts)


def leg_of(part: Part, at: Scale, prompts: Sequence[Prompt]) -> Leg:
    """One stage, made or found, scored and asked."""
    wanted = plan(part.stage, at)
    result = obtain(wanted)
    writes = hasattr(result, "writer")
    scores = stage_scores(part.stage, scale=at) if writes else None
    said = tuple(asked(result.writer(0.0), prompts)) if writes else ()
    sums = {manner: added(result.writer(temperature), at) for manner, temperature in MANNERS.items()} if writes else {}
    return Leg(part, result, seconds_of(wanted.folder), learned(result), scores, said, sums)


def added(writer: Any, at: Scale) -> Scores:
    """How well a model adds: test sums such as the thinker learns."""
    return score(writer, find("thinker").settings[at].suite, QUESTIONS[at], SEED)


def asked(writer: Any, prompts: Sequence[Prompt]) -> Iterator[Said]:
    """What a model answers to each prompt."""
    for each in prompts:
        [[answer]] = writer.write([each.question.prompt], 1, 0, each.suite.max_new_tokens)
        yield Said(answer.text, bool(each.suite.judge(each.question, answer.text)[each.part]))


def seconds_of(folder: Path) -> float | None:
    """Seconds of training, over all sittings; of a stage that does not train, those of its making."""
    for file, name in (("result.json", "seconds"), ("about.json", "seconds")):
        found = read_object(folder / file).get(name) if (folder / file).is_file() else None
        if isinstance(found, int | float):
            return float(found)
    return None


def learned(result: Any) -> tuple[float, str] | None:
    """How much a stage learned from: what each step took times its speed; a step that also measured counts as others.

    None for a stage that does not train.
    """
    records = result.metrics() if hasattr(result, "metrics") else []
    of = next(
        (name.removesuffix("_per_second") for record in records for name in record if name.endswith("_per_second")), ""
    )
    amounts, before = [], 0.0
    for record in records:
        if "validation_loss" not in record and "greedy" not in record and "correct" not in record and of:
            amounts.append(record[f"{of}_per_second"] * (record["seconds"] - before))
        before = record["seconds"]
    return (sum(amounts) / len(amounts) * len(records), of) if amounts else None


def time_left(done: Sequence[Leg], waiting: Sequence[Part], at: Scale) -> str:
    """What to say of the time that the stages from here on will take: as last time, or by the pace until now.

    Before anything is known of this machine, the guess is told at laptop scale, and nothing at others.
    """
    known = [(leg.seconds, leg.part.minutes) for leg in done if leg.seconds is not None]
    pace = sum(took for took, _ in known) / sum(minutes for _, minutes in known) if known else None
    if pace is None and at == "laptop":
        pace = 60.0
    seconds = 0.0
    for part in waiting:
        wanted = plan(part.stage, at)
        took = 0.0 if whole(wanted.folder) else time_taken(wanted) or (pace and pace * part.minutes)
        if took is None:
            return ""
        seconds += took
    return f"; about {duration(seconds)} left in all"


# What the life says


@dataclass(frozen=True)
class Change:
    """What a stage gave, or took: a skill before and after, with the difference, question by question."""

    stage: str
    suite: str
    part: str
    before: Interval
    after: Interval
    by: Interval


BEGAN_WITH = {"sft": "base", "ppo": "sft", "dpo": "sft", "thinker": "dpo", "solver": "thinker"}
"""Which stage each began with, of those that write."""
SKILLS = {"instructions": "correct", "sums": "strict"}
"""The part of the verdict that counts."""


def changes(journey: Journey) -> list[Change]:
    """What each stage changed of every skill that both it and the stage before it were asked for."""
    found, legs = [], {leg.part.stage: leg for leg in journey.writing}
    for stage, before in BEGAN_WITH.items():
        if stage in legs and before in legs:
            for name, part in SKILLS.items():
                now, then = legs[stage].skill(name), legs[before].skill(name)
                found.append(Change(stage, name, part, then[part], now[part], compare(now, then, part)))
    return found


def changed(by: Interval) -> str:
    """A difference in words, by its interval: what cannot be told from 0 is not called a change."""
    size = f"{100 * by.mean:+.1f} ± {100 * by.half:.1f} points".replace("-", "−")
    if by.low > 0:
        return f"gained: {size}"
    return f"lost: {size}" if by.high < 0 else f"no change that could be seen: {size}"


# The report

CURVES = (
    Metric("validation_loss", "held-out loss", section="Held-out loss"),
    Metric("held_out_accuracy", "held-out pairs in the right order", unit="%", section="Held-out pairs"),
    Metric("correct", "questions of the town, likeliest answer", unit="%", section="Development questions"),
    Metric("town", "questions of the town, likeliest answer", unit="%", section="Development questions"),
    Metric("greedy", "sums, likeliest answer", unit="%", section="Development questions"),
    Metric("sampled", "sums, drawn answers", unit="%", section="Development questions"),
)
"""What the report draws of every stage that was measured on its way."""


def write_report(journey: Journey, path: Path) -> Path:
    """Write the report of a life: one HTML file; return its path. Raises BadInput where it cannot."""
    last = journey.legs[-1]
    title = "One model's life"
    lead = (
        f"From random weights to {last.part.stage}: {len(journey.legs)} stages, {duration(journey.seconds)} of "
        f"training, {last.result.about['n_parameters']:,} parameters, at {journey.scale} scale."
    )
    try:
        files.write_whole(path, page(title, lead, cards(journey), list(sections(journey))))
    except OSError as error:
        raise files.disk_trouble(error, path) from error
    return path


def cards(journey: Journey) -> list[Card]:
    """The headline: what the last stage can do, beside the first."""
    found, first, last = [], journey.writing[0], journey.writing[-1]
    for name, part in SKILLS.items():
        before, after = (shown(leg.skill(name).metrics[part]) for leg in (first, last))
        found.append(Card(f"{name}, right", f"{after} %", f"{first.part.stage}: {before} %"))
    return [*found, Card("time", duration(journey.seconds), "of all stages, scoring not counted")]


def sections(journey: Journey) -> Iterator[Section]:
    """Everything below the headline."""
    yield Section(
        "The stages", table((leg.part.stage, leg.part.words) for leg in journey.legs),
        "ppo and dpo begin with the same assistant; the life goes on from dpo.",
    )  # fmt: skip
    yield Section(
        "In short", in_short(journey),
        "Right answers to test questions, the likeliest and one that is drawn, in %; held-out stories in bits per "
        "byte. Sums are such as the thinker learns, and every stage is asked them.",
    )  # fmt: skip
    yield Section(
        "The scoreboard", f'<div class="wide">{journey.board()._repr_html_()}</div>',
        "Test questions that no stage was trained on; ± half a 95% interval. A dash: it was not asked. Its sums have "
        "more numbers, and larger ones, than those that were learned.",
    )  # fmt: skip
    yield Section("The same five prompts", "".join(answers_to(i, journey) for i in range(len(journey.prompts))))
    yield Section(
        "What each stage gave, and what it took", table(gave_and_took(journey)),
        "The likeliest answers to the same test questions, compared one by one, with the stage that it began with.",
    )  # fmt: skip
    yield Section(
        "What was forgotten", forgetting(journey),
        "Held-out stories, in bits per byte, of every stage: the higher, the more of its first text it has forgotten.",
    )  # fmt: skip
    for leg in journey.legs:
        records = leg.result.metrics() if hasattr(leg.result, "metrics") else []
        for section in charts(records, CURVES):
            yield Section(f"{leg.part.stage}: {section.title[:1].lower()}{section.title[1:]}", section.body)
    yield Section("What it cost", table(costs(journey)), "Tokens, or pairs, that the loss was taken of, about.")
    yield Section("Machine", table(machines(journey)))


def in_short(journey: Journey) -> str:
    """The few measures that a life is told by."""
    legs = journey.writing
    rows = {
        f"{name}{', drawn' if manner == 'sampled' else ''}": [leg.skill(name, manner).metrics[part] for leg in legs]
        for name, part in SKILLS.items()
        for manner in MANNERS
    }
    rows["stories, bits per byte"] = [leg.scores.model["forgotten"] for leg in legs if leg.scores is not None]
    head = "".join(f"<th>{leg.part.stage}</th>" for leg in legs)
    body = "".join(
        f"<tr><th>{name}</th>{''.join(f'<td>{shown(each)}</td>' for each in values)}</tr>"
        for name, values in rows.items()
    )
    return f'<div class="wide"><table><tr><th></th>{head}</tr>{body}</table></div>'


def answers_to(i: int, journey: Journey) -> str:
    """One prompt, and what every stage answered."""
    rows = "".join(
        f'<tr><th>{leg.part.stage}</th><td class="said">{"right" if leg.said[i].right else "wrong"}</td>'
        f"<td>{html.escape(leg.said[i].text.strip()[:ANSWER_SHOWN]) or '(nothing)'}</td></tr>"
        for leg in journey.writing
    )
    words = html.escape(journey.prompts[i].words)
    return f"<figure><figcaption>prompt {i + 1}</figcaption><pre>{words}</pre><table>{rows}</table></figure>"


def gave_and_took(journey: Journey) -> Iterator[tuple[str, str]]:
    """A line for each change."""
    for each in changes(journey):
        yield (
            f"{each.stage}, {each.suite}",
            f"{100 * each.before.mean:.1f} → {100 * each.after.mean:.1f} %, {changed(each.by)}",
        )


def forgetting(journey: Journey) -> str:
    """Bits per byte of held-out stories by stage, drawn and told."""
    known = [
        (leg.part.stage, leg.scores.model["forgotten"])
        for leg in journey.writing
        if leg.scores and "forgotten" in leg.scores.model
    ]
    points = [(float(i), metric.value.mean) for i, (_, metric) in enumerate(known, 1)]
    drawn = line_chart(
        [Line("held-out stories", points, "line-0", dots=True)], "stage", "bits per byte", "bits per byte by stage"
    )
    return drawn + table(
        (f"{i} {stage}", f"{shown(metric)} bits per byte") for i, (stage, metric) in enumerate(known, 1)
    )


def costs(journey: Journey) -> Iterator[tuple[str, str]]:
    """A line for each stage, and the sum."""
    for leg in journey.legs:
        much = f", {rounded(float(f'{leg.learned[0]:.2g}'), 2)} {leg.learned[1]}" if leg.learned else ""
        yield leg.part.stage, f"{duration(leg.seconds) if leg.seconds is not None else 'not noted'}{much}"
    yield "in all", duration(journey.seconds)


def machines(journey: Journey) -> Iterator[tuple[str, str]]:
    """Where each stage was made, and when."""
    for leg in journey.legs:
        for origin in getattr(leg.result, "origins", ())[:1]:
            yield leg.part.stage, f"{origin.machine}, {origin.date[:16].replace('T', ' ')}"
