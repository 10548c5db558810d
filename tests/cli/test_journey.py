"""`insideout journey`: one command, the whole life, one report; stopped, it goes on; called again, it makes nothing."""

import html
import re

import pytest

from insideout.cli.main import main
from insideout.recipes import board, journey, stage
from insideout.recipes.journey import LIFE
from insideout.recipes.settings import change
from insideout.recipes.stage import find
from insideout.training.interrupt import Interrupted

SHORT = {
    "base": {"steps": 4, "warmup_steps": 1, "eval_every": 2},
    "sft": {"steps": 3, "warmup_steps": 1, "questions": 2},
    "reward": {"steps": 2, "warmup_steps": 1},
    "dpo": {"steps": 2, "warmup_steps": 1, "questions": 2},
    "ppo": {"steps": 4, "questions": 2},
    "thinker": {"steps": 2, "warmup_steps": 1, "questions": 2},
    "solver": {"steps": 2, "warmup_steps": 1, "questions": 2},
}


@pytest.fixture(scope="module")
def home(tmp_path_factory):
    """A home of very short stages that all of these tests share."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("INSIDEOUT_HOME", str(tmp_path_factory.mktemp("home")))
        patch.setitem(board.QUESTIONS, "tiny", 4)
        for name, changes in SHORT.items():
            settings = find(name).settings
            patch.setitem(settings, "tiny", change(settings["tiny"], changes))
        yield


@pytest.fixture
def call(home, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)

    def call(*arguments):
        with pytest.raises(SystemExit) as left:
            main(["journey", "--scale", "tiny", *map(str, arguments)])
        return left.value.code, *capsys.readouterr()

    return call


def refuse(*_):
    pytest.fail("it was made again")


def test_one_command_takes_the_model_through_its_life_and_ends_in_one_report(call, tmp_path, monkeypatch):
    real = stage.make_stored

    def stopped(wanted, inputs, tell):
        if wanted.stage.name == "thinker":
            raise Interrupted(7, wanted.folder)
        real(wanted, inputs, tell)

    monkeypatch.setattr(stage, "make_stored", stopped)
    code, _, err = call()
    assert code == 130 and "Stopped in thinker, after step 7; the same command goes on from there." in err

    began = []
    monkeypatch.setattr(stage, "make_stored", lambda *each: (began.append(each[0].stage.name), real(*each)))
    code, out, err = call()
    assert code == 0 and began == ["thinker", "solver"], "what was there is not made again"
    for number, part in enumerate(LIFE, 1):
        assert f"Stage {number} of {len(LIFE)}, {part.stage}: {part.words}" in err
    report = tmp_path / "runs" / "journey-tiny" / "report.html"
    assert out.splitlines()[-1].startswith("Report: ") and report.is_file()
    page = html.unescape(report.read_text("utf-8"))
    headings = re.findall(r"<h2>(.*?)</h2>", page)
    for heading in ("In short", "The scoreboard", "The same five prompts", "What was forgotten", "What it cost"):
        assert heading in headings
    for part in LIFE:
        assert f"<th>{part.stage}</th>" in page
    assert page.count("<figcaption>prompt ") == 5 and "bits per byte" in page and "http" not in page
    for prompt in journey.five_prompts("tiny"):
        assert prompt.words in page

    monkeypatch.setattr(stage, "make_stored", refuse)
    code, again, err = call("--out", tmp_path / "elsewhere")
    assert code == 0 and err.count("(stored)") == len(LIFE) and "Scoring" not in err
    assert again.splitlines()[:-1] == out.splitlines()[:-1]
    assert (tmp_path / "elsewhere" / "report.html").read_text("utf-8") == report.read_text("utf-8")


def test_what_cannot_be_is_refused_in_one_sentence_before_anything_is_made(call, tmp_path, monkeypatch):
    monkeypatch.setattr(stage, "make_stored", refuse)
    (tmp_path / "file").write_text("")
    for arguments, words in ((("--out", tmp_path / "file"), "choose another --out"), (("--out", ""), "--out"),
                             (("--scale", "huge"), "huge"), (("--stage", "sft"), "stage")):  # fmt: skip
        code, out, err = call(*arguments)
        assert code == 2 and words in err and err.count("\n") == 1 and not out
