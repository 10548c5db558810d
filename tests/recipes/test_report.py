"""A report shows what the stage names, and nothing that is not there."""

import re
from dataclasses import dataclass, field

import pytest

from insideout.recipes.chart import Line, legend, line_chart
from insideout.recipes.report import Card, Section, charts, write_report
from insideout.training.config import TrainConfig
from insideout.training.metrics import Metric, together

SHOWN = together(
    (
        Metric("loss", "policy loss", section="Loss", words="What is minimised is not what is wanted."),
        Metric("reward", section="Reward", unit="points", better="higher"),
        Metric("gold_reward", section="Reward", unit="points", better="higher"),
        Metric("accuracy", section="Right answers", unit="%"),
        Metric("kl", "KL to the start"),
    ),
    "rollouts",
)


@dataclass
class Settings:
    corpus: tuple[str, ...] = ("<town>", "more")
    beta: float = 0.05
    train: TrainConfig = field(default_factory=lambda: TrainConfig(seed=7))


class Run:
    """As much of a run as a report needs."""

    def __init__(self, path, records, samples=()):
        self.about = {"machine": "an abacus & a <friend>"}
        self.config, self.report = Settings(), path / "report.html"
        self.records, self.texts = records, list(samples)

    def metrics(self):
        return self.records

    def samples(self):
        return self.texts

    def result(self):
        return None


def records(n=20):
    for step in range(1, n + 1):
        yield {
            "step": step, "loss": 1 / step, "lr": 0.1, "rollouts_per_second": 9.0, "gradient_norm": None, "kl": 0.1,
            "reward": float(step), "accuracy": step / 100,
        } | ({"gold_reward": 0.5 * step, "validation_loss": 2.0} if step % 5 == 0 else {})  # fmt: skip


def headings(page):
    return re.findall("<h2>(.*?)</h2>", page)


def test_a_stage_that_names_its_metrics_has_its_report(tmp_path):
    run = Run(tmp_path, list(records()), [{"step": 5, "text": "<b>Once</b>"}])
    own = Section("What the critic knows", "<p>little</p>", "And that is said.")
    write_report(
        run, SHOWN, title="PPO <town>", lead="A lead & more.", cards=[Card("gold", "1 < 2", "points")], sections=[own]
    )
    page = run.report.read_text(encoding="utf-8")
    assert headings(page) == [
        "Loss", "What it wrote along the way", "What the critic knows", "Reward", "Right answers", "Speed",
        "Learning rate", "Settings", "Machine",
    ]  # fmt: skip
    for said in (
        "policy loss",
        "held-out loss",
        "gold reward",
        "reward, points",
        "Seed <b>7</b>",
        "not what is wanted",
    ):
        assert said in page, said
    for escaped in ("PPO &lt;town&gt;", "A lead &amp; more.", "1 &lt; 2", "&lt;b&gt;Once", "&lt;friend&gt;"):
        assert escaped in page, escaped
    assert "<script" not in page and "http" not in page and "KL" not in page and "nan" not in page


def test_a_chart_has_a_line_for_each_metric_of_its_section_and_shares_are_percent():
    found = {section.title: section for section in charts(list(records()), SHOWN)}
    assert found["Reward"].body.count("<polyline") == 2 and found["Loss"].words.startswith("What is minimised")
    points = re.search('points="(.*?)"', found["Right answers"].body)
    assert points and len(points[1].split()) == 20
    assert re.findall('text-anchor="end">(.*?)<', found["Right answers"].body)[-1] == "20"
    assert "Length of the gradient" not in found  # it was never finite


def test_averaged_weights_are_drawn_beside_the_models_own():
    measured = [record | {"ema_validation_loss": 1.9} for record in records() if "validation_loss" in record]
    [loss] = [section for section in charts(measured, SHOWN) if section.title == "Loss"]
    assert loss.body.count("<polyline") == 3 and "held-out loss, averaged weights" in loss.body


@pytest.mark.parametrize(
    "odd", [[], [{"step": 1}], [{"step": 1, "loss": None}], [{"step": 1, "loss": float("nan"), "reward": "x"}]]
)
def test_where_nothing_was_measured_that_is_said(tmp_path, odd):
    run = Run(tmp_path, odd)
    write_report(run, SHOWN, title="t", lead="l")
    page = run.report.read_text(encoding="utf-8")
    assert "Nothing was measured" in page and headings(page) == ["Curves", "Settings", "Machine"]


@pytest.mark.parametrize("n", [1, 2, 3, 5, 8])
def test_names_of_a_legend_do_not_run_into_each_other_or_out_of_the_picture(n):
    names = ["held-out loss, averaged weights"[: 5 + 5 * i] for i in range(n)]
    places = legend(names)
    for (x, y), (next_x, next_y), name in zip(places, places[1:], names, strict=False):
        assert y != next_y or x + 34 + 8 * len(name) <= next_x
    assert all(0 <= x < 720 for x, _ in places)
    picture = line_chart([Line(name, [(1, 2.0), (2, 1.0)], "line-0") for name in names], "x", "y", "what")
    assert picture.count("<polyline") == n
