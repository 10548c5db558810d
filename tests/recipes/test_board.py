"""The board: each stage scored once, kept beside its result, never stale, and readable in 80 columns."""

import json
import re
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import pytest
import torch

from insideout.data.suite import Question, Suite, Verdict
from insideout.data.text.tokens import Tokens
from insideout.errors import BadInput
from insideout.estimates import Interval
from insideout.recipes import board, pretrain
from insideout.recipes.board import Board, StageScores, scores, shown, stage_scores
from insideout.recipes.code import PACKAGE
from insideout.recipes.origin import origins_of
from insideout.recipes.scoreboard import HeldOut, Metric, forgotten
from insideout.recipes.stage import STAGES, Stage, plan, recipe
from insideout.transformer.config import GPTConfig
from insideout.transformer.generation.writer import GPTWriter
from insideout.transformer.model import GPT
from insideout.transformer.tokenizer import CharacterTokenizer


@dataclass(frozen=True)
class Settings:
    """Of a stage that draws random weights."""

    seed: int = 0


class Random:
    """A model with random weights."""

    def __init__(self, folder: Path) -> None:
        torch.manual_seed(int((folder / "seed").read_text()))
        config = GPTConfig(vocab_size=11, context_length=16, d_model=16, n_layers=1, n_heads=2)
        self.gpt = GPT(config).eval()
        with torch.no_grad():
            for parameter in self.gpt.parameters():
                parameter.add_(0.3 * torch.randn_like(parameter))

    def writer(self, temperature: float = 1.0) -> GPTWriter:
        return GPTWriter(self.gpt, CharacterTokenizer.train("0123456789."), temperature, stop=0)

    def held_out(self) -> HeldOut:
        return HeldOut(Tokens((np.arange(300) % 11).astype(np.uint16)), 1.0, 16)


def make(settings, inputs, job):
    job.begin()
    (job.folder / "seed").write_text(str(settings.seed))
    job.end()


def make_nothing(settings, inputs, job):
    job.begin()
    (job.folder / "seed").write_text("nothing")
    job.end()


def nothing(folder: Path) -> str:
    return (folder / "seed").read_text()


class Digits(Suite):
    """Which digit comes next?"""

    name, parts, max_new_tokens = "digits", ("correct",), 3

    def propose(self, random):
        n = random.randint(0, 10**6)
        return Question(str(n), str((n + 1) % 10), kind="odd" if n % 2 else "even")

    def judge(self, question, answer):
        return Verdict({"correct": answer[:1] == question.truth})


def digits(at) -> Suite:
    return Digits()


@pytest.fixture(autouse=True)
def home(tmp_path, monkeypatch):
    """Three stages, first -> second, and one that writes nothing; one suite; a home of its own."""
    monkeypatch.setenv("INSIDEOUT_HOME", str(tmp_path))
    monkeypatch.setenv("INSIDEOUT_SCALE", "tiny")
    for name in list(STAGES):
        monkeypatch.delitem(STAGES, name)
    monkeypatch.setattr(board, "SUITES", {"digits": digits})
    at = {scale: Settings() for scale in ("tiny", "laptop", "gpu")}
    later = {scale: Settings(seed=1) for scale in at}
    monkeypatch.setitem(STAGES, "first", Stage("first", "Random.", at, make=make, load=Random))
    second = Stage("second", "Other weights.", later, needs=("first",), make=make, load=Random)
    monkeypatch.setitem(STAGES, "second", second)
    silent = Stage("silent", "Nothing.", at, make=make_nothing, load=nothing)
    monkeypatch.setitem(STAGES, "silent", silent)


def refuse(*_):
    pytest.fail("it was measured again")


def test_scores_are_measured_once_and_kept_beside_the_result(monkeypatch):
    found = stage_scores("second")
    kept = plan("second").folder / "scores.json"
    assert kept.is_file() and found["digits"]["correct"].n == board.QUESTIONS["tiny"]
    assert set(found.model) == {"KL to the start, digits", "forgotten"} and found.model["forgotten"].unit == "bits/byte"
    assert found.model["KL to the start, digits"].value.low > 0
    assert "KL to the start, digits" not in stage_scores("first").model, "it has no start"
    monkeypatch.setattr(board, "measure", refuse)
    monkeypatch.setattr(board, "key_of_scores", lambda wanted: json.loads(kept.read_text())["key"])
    again = stage_scores("second")
    assert again == found and again["digits"].answered == found["digits"].answered
    with pytest.raises(BadInput, match="there is digits"):
        again["copying"]


def test_a_scores_origin_is_that_of_the_measurement(monkeypatch):
    kept = plan("first").folder / "scores.json"
    stage_scores("first")
    kept.write_text(re.sub(r'"machine": "[^"]*"', '"machine": "another"', kept.read_text()))
    value = stage_scores("first")["digits"]["correct"]
    assert [origin.machine for origin in origins_of(value)] == ["another"]


def test_stale_or_damaged_scores_are_measured_anew(monkeypatch):
    first = stage_scores("first")
    kept = plan("first").folder / "scores.json"
    whole = kept.read_text()
    for damaged in (whole[:500], "[]", "{}", whole.replace('"greedy"', '"gredy"'), whole.replace('"mean"', '"men"')):
        kept.write_text(damaged)
        assert stage_scores("first") == first
        assert json.loads(kept.read_text())["key"] == json.loads(whole)["key"]
    keys = {board.key_of_scores(plan("first")), board.key_of_scores(plan("first", seed=3))}
    keys.add(board.key_of_scores(plan("first", "laptop")))
    monkeypatch.setattr(board, "SUITES", {"numerals": digits})
    keys.add(board.key_of_scores(plan("first")))
    monkeypatch.setattr(board, "code_of", lambda functions: "other code")
    keys.add(board.key_of_scores(plan("first")))
    assert len(keys) == 5


def test_a_suite_is_found_by_its_file():
    found = board.suites_in(PACKAGE / "data")
    assert "copying" in found and all(isinstance(make("tiny"), Suite) for make in found.values())
    assert "suite" not in found  # what all suites share is none


def test_skills_are_told_twice_and_the_rest_of_drawn_answers():
    found = stage_scores("first")
    names = [name for _, name, _ in found.rows()]
    assert names == ["correct", "correct, sampled", "correct, even", "correct, odd", "stop rate", "length", "forgotten"]
    rows = {name: metric for _, name, metric in found.rows()}
    assert rows["length"] == found.sampled["digits"].metrics["length"]
    assert rows["correct"] == found.greedy["digits"].metrics["correct"]


def test_a_pretrained_model_is_scored_with_what_its_run_holds(tmp_path, monkeypatch):
    words = "Line {0} says that {1} is odd or even, and nobody asked about {0} again.\n\n"
    (tmp_path / "text.txt").write_text("".join(words.format(i, i * i % 97) for i in range(150)))
    tiny = pretrain.SETTINGS["tiny"]
    config = replace(
        tiny, corpus=(str(tmp_path / "text.txt"),), sample_tokens=0, model=replace(tiny.model, vocab_size=270),
        train=replace(tiny.train, steps=4, warmup_steps=1, eval_every=0, checkpoint_every=0),
    )  # fmt: skip
    monkeypatch.setitem(pretrain.SETTINGS, "tiny", config)
    monkeypatch.setitem(STAGES, "pretrain", "insideout.recipes.pretrain")
    found = stage_scores("pretrain")
    assert "stop rate" not in found.sampled["digits"].metrics and found.sampled["digits"]["length"].mean == 3
    run = recipe("pretrain", tell=refuse)
    everything = forgotten(run.model(), replace(run.held_out(), n_windows=10**6)).value
    assert everything.n > 20 and everything.mean == pytest.approx(run.result()["bits_per_byte"], rel=0.02)
    assert everything.low < found.model["forgotten"].value.mean < everything.high


def test_what_writes_nothing_has_no_scores():
    with pytest.raises(BadInput, match="silent writes no answers"):
        stage_scores("silent")
    with pytest.raises(BadInput, match="no recipe"):
        scores("frist")


def stage(name: str, **metrics: Metric) -> StageScores:
    return StageScores(name, "tiny", {}, {}, {key.replace("_", " "): metric for key, metric in metrics.items()})


def test_the_table_has_a_dash_for_what_was_not_measured():
    share, size = Metric(Interval(0.931, 0.909, 0.953, 500)), Metric(Interval(12.25, 12.0, 12.5, 500), "tokens")
    table = Board([stage("one", stop_rate=share, length=size), stage("two", length=size)])
    assert table.rows() == [
        ("model", "stop rate (%)", ["93.1 ± 2.2", "–"]),
        ("model", "length (tokens)", ["12.25 ± 0.25", "12.25 ± 0.25"]),
    ]
    assert "<td>stop rate (%)</td><td>93.1 ± 2.2</td><td>–</td>" in table._repr_html_()
    text = str(table)
    assert [line.split() for line in text.splitlines() if "stop" in line] == [
        ["stop", "rate", "(%)", "93.1", "±", "2.2", "–"]
    ]


@pytest.mark.parametrize(("value", "unit", "words"), [
    ((0.5, 0.4, 0.6), "%", "50.0 ± 10.0"), ((1.0, 0.992, 1.0), "%", "100.0 ± 0.4"),
    ((3.14159, 3.13, 3.15), "", "3.142 ± 0.010"),
    ((1234.5, 1200.0, 1269.0), "", "1,234 ± 34"), ((2.0, 2.0, 2.0), "nats", "2 ± 0"),
    ((1e-7, 0.0, 2e-7), "", "0.0000 ± 0.0000"),
])  # fmt: skip
def test_a_value_has_as_many_digits_as_its_interval_allows(value: tuple[float, ...], unit: str, words: str):
    assert shown(Metric(Interval(value[0], value[1], value[2], 9), unit)) == words


def test_many_stages_keep_to_80_columns():
    share = Metric(Interval(0.931, 0.909, 0.953, 500))
    names = [f"stage-{i}" for i in range(9)]
    text = str(Board([stage(name, stop_rate=share, a_measure_with_quite_a_long_name=share) for name in names]))
    assert max(map(len, text.splitlines())) <= 80
    assert re.findall(r"stage-\d", text) == names


def test_the_command_prints_what_is_stored_and_makes_nothing(capsys):
    from insideout.cli.main import main

    def run(*given: str) -> tuple[int, str, str]:
        with pytest.raises(SystemExit) as left:
            main(["scores", *given])
        said = capsys.readouterr()
        return int(left.value.code or 0), said.out, said.err

    code, out, err = run()
    assert code == 2 and out == "" and "No result is stored at tiny scale" in err and err.count("\n") == 1
    assert run("frist")[0] == 2
    code, out, _ = run("first")
    assert code == 0 and "first" in out and "stop rate (%)" in out and "tiny scale; 12 test questions" in out
    assert max(map(len, out.splitlines())) <= 80
    assert recipe("silent") == "nothing"
    code, again, _ = run()
    assert again == out, "now it is stored, as is a stage that writes nothing"
    code, both, _ = run("first", "second")
    assert code == 0 and "KL to the start" in both and "–" in both
