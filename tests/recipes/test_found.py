"""A folder is read as what it holds: every stage that writes can be named, asked and gone on from."""

import json

import pytest

from insideout.cli.main import main
from insideout.errors import BadInput
from insideout.reasoning.thinking import ThinkingWriter
from insideout.recipes import found
from insideout.recipes.pretrained import Pretrained
from insideout.recipes.runs import FORMAT, Run
from insideout.recipes.settings import change
from insideout.recipes.stage import STAGES, find, planned, recipe

SHORT = {"steps": 2, "warmup_steps": 1, "questions": 2, "samples": 1}


@pytest.fixture(scope="module")
def home(tmp_path_factory):
    """A home whose results all of these tests share."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("INSIDEOUT_HOME", str(tmp_path_factory.mktemp("home")))
        yield


def begun(folder, **about):
    folder.mkdir()
    (folder / "config.json").write_text(json.dumps({"format": FORMAT} | about))
    return str(folder)


def test_every_stage_is_read_by_its_own_load(tmp_path):
    for name in STAGES:
        assert found.reader_of(begun(tmp_path / name, stage=name)) == find(name).load, name
    assert found.reader_of(begun(tmp_path / "old")) is Run, "runs of before there were stages"
    assert found.reader_of("smollm2") is Pretrained and found.reader_of("someone/something") is Pretrained


@pytest.mark.parametrize(
    ("about", "words"),
    [
        ({"stage": "unheard"}, "'unheard', which there is not"),
        ({"stage": "base"}, "is damaged|lacks"),
        (None, "There is no"),
    ],
)
def test_what_cannot_be_is_refused_in_one_sentence(tmp_path, about, words):
    folder = str(tmp_path / "run") if about is None else begun(tmp_path / "run", **about)
    with pytest.raises(BadInput, match=words) as refused:
        found.trained(folder)
    assert "\n" not in str(refused.value)


def test_one_that_writes_nothing_is_refused(tmp_path, monkeypatch):
    monkeypatch.setattr(found, "reader_of", lambda path: lambda folder: object())
    with pytest.raises(BadInput, match="holds no model that could be tuned or asked"):
        found.trained(begun(tmp_path / "run", stage="pairs"))


def test_a_model_that_reasons_can_be_talked_to_and_asked(home, capsys):
    run = recipe("reasoner", scale="tiny", tell=lambda event: None, **SHORT)
    assert isinstance(found.trained(str(run.path)).writer(0.0), ThinkingWriter)
    for word, question in (("chat", "--ask"), ("solve", None)):
        with pytest.raises(SystemExit) as left:
            main([word, *([question] if question else []), "3+5", "--model", str(run.path), "--max-new-tokens", "4"])
        assert left.value.code == 0, capsys.readouterr().err


def test_what_reads_the_model_that_is_named_is_part_of_the_key(home, monkeypatch):
    run = recipe("reasoner", scale="tiny", tell=lambda event: None, **SHORT)
    stage = find("grpo")
    named = planned(stage, change(stage.settings["tiny"], {"model": str(run.path)}), "tiny")
    key = named.key
    monkeypatch.setattr("insideout.recipes.stage.reader_of", lambda path: Pretrained)
    again = planned(stage, named.settings, "tiny")
    assert again.sources == named.sources and again.key != key
