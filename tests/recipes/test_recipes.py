"""A recipe trains once, is found again, is found again after `train` made the same, and is never stale."""

from dataclasses import replace

import pytest

from insideout.errors import BadInput
from insideout.recipes import config as settings
from insideout.recipes import stage as recipes
from insideout.recipes.pretrain import run_pretrain
from insideout.recipes.stage import adopt, place, recipe
from insideout.training.events import Step


@pytest.fixture(autouse=True)
def small(tmp_path, monkeypatch):
    """The pretrain recipe at tiny scale on a small text, in a home of its own."""
    (tmp_path / "text.txt").write_text(
        "".join(f"Line {i} says that {i * i % 97} is odd or even.\n" for i in range(150))
    )
    whole = settings.PRETRAIN["tiny"]
    config = replace(
        whole, corpus=(str(tmp_path / "text.txt"),), tokenizer="character", sample_prompt="Line",
        train=replace(whole.train, steps=4, warmup_steps=1, eval_every=2, checkpoint_every=2),
    )  # fmt: skip
    monkeypatch.setitem(settings.PRETRAIN, "tiny", config)
    monkeypatch.setenv("INSIDEOUT_HOME", str(tmp_path / "home"))
    monkeypatch.setenv("INSIDEOUT_SCALE", "tiny")
    return config


def test_trained_once_then_found(capsys):
    events = []
    first = recipe("pretrain", on_event=events.append)
    assert [e.step for e in events if isinstance(e, Step)] == [1, 2, 3, 4] and first.path == place("pretrain")
    before = first.report.stat().st_mtime_ns
    again = recipe("pretrain", on_event=lambda event: pytest.fail("it trained again"))
    assert again.path == first.path and again.report.stat().st_mtime_ns == before
    assert again.model().n_parameters == first.about["n_parameters"]


def test_what_train_made_is_adopted(small, tmp_path, monkeypatch):
    run = run_pretrain(small, tmp_path / "run")
    assert adopt(run) == place("pretrain")
    monkeypatch.setattr("insideout.recipes.pretrain.run_pretrain", lambda *_: pytest.fail("it trained again"))
    assert recipe("pretrain").result() == run.result()


def test_other_settings_are_not_adopted(small, tmp_path):
    other = replace(small, train=replace(small.train, steps=3))
    assert adopt(run_pretrain(other, tmp_path / "run")) is None and not place("pretrain").exists()


def test_the_place_changes_with_settings_text_and_code(small, monkeypatch):
    places = [place("pretrain")]
    monkeypatch.setitem(settings.PRETRAIN, "tiny", replace(small, train=replace(small.train, seed=1)))
    places.append(place("pretrain"))
    with open(small.corpus[0], "a") as file:  # noqa: PTH123
        file.write("One more line.\n")
    places.append(place("pretrain"))
    monkeypatch.setattr(recipes, "code_version", lambda: "another")
    places.append(place("pretrain"))
    assert len(set(places)) == 4


def test_a_stopped_recipe_goes_on(monkeypatch):
    class Stop(Exception):
        pass

    def stop(event):
        if isinstance(event, Step) and event.step == 3:
            raise Stop

    with pytest.raises(Stop):
        recipe("pretrain", on_event=stop)
    events = []
    run = recipe("pretrain", on_event=events.append)
    assert [e.step for e in events if isinstance(e, Step)] == [3, 4] and [r["step"] for r in run.metrics()] == [
        1,
        2,
        3,
        4,
    ]


def test_unknown_names_are_bad_input():
    with pytest.raises(BadInput, match="no recipe"):
        recipe("cake")
