"""The stage that draws sentences, and its command."""

import pytest
import torch
from PIL import Image

from insideout.cli.main import main
from insideout.data.pictures.captions import PAD_ID
from insideout.data.pictures.scenes import scenes
from insideout.errors import BadInput
from insideout.images.painter import draw_captions
from insideout.recipes import scenes_drawer
from insideout.recipes.settings import change
from insideout.recipes.stage import recipe

TINY = scenes_drawer.SETTINGS["tiny"]


@pytest.fixture(scope="module")
def drawer(tmp_path_factory):
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("INSIDEOUT_HOME", str(tmp_path_factory.mktemp("home")))
        yield recipe("scenes_drawer", scale="tiny", tell=lambda event: None)


def test_it_learns_and_draws_with_its_averaged_weights(drawer):
    losses = [record["ema_validation_loss"] for record in drawer.metrics() if "ema_validation_loss" in record]
    assert losses[-1] < losses[0]
    averaged, last = drawer.model(), drawer.model(averaged=False)
    assert any(not torch.equal(a, b) for a, b in zip(averaged.parameters(), last.parameters(), strict=True))
    assert draw_captions(averaged, ["a red circle"], n_steps=2).x.shape == (1, 3, 16, 16)
    assert drawer.report.is_file() and drawer.shape == (3, 16, 16)


def test_batches_are_scenes_that_train_and_some_say_nothing():
    config = change(TINY, {"batch_size": 400, "caption_dropout": 0.25})
    batch_at = scenes_drawer.batches(config)
    batch, again, later = batch_at(3, 0), batch_at(3, 0), batch_at(4, 0)
    assert torch.equal(batch["pictures"], again["pictures"]) and torch.equal(batch["ids"], again["ids"])
    assert not torch.equal(batch["pictures"], later["pictures"])
    silent = (batch["ids"] == PAD_ID).all(1).float().mean()
    assert silent == pytest.approx(0.25, abs=5 * (0.25 * 0.75 / 400) ** 0.5)


def test_real_scenes_are_judged_right_and_others_pictures_wrong():
    made = scenes("test", 60)
    right = scenes_drawer.judged(made.captions, made.pictures)
    assert all(right["correct"]) and len(right["relation"]) < 60 == len(right["shape"])
    wrong = scenes_drawer.judged(made.captions, made.pictures.roll(1, 0))
    assert sum(wrong["correct"]) < 10


@pytest.mark.parametrize(
    ("changes", "words"),
    [({"caption_dropout": 2.0}, "caption_dropout"), ({"questions": 1}, "questions"), ({"size": 8}, "size is 8"),
     ({"text_width": 0}, "text_width"), ({"channels": 1}, "channels")],
)  # fmt: skip
def test_settings_that_cannot_be_are_refused(changes, words):
    with pytest.raises(BadInput, match=words):
        change(TINY, changes)


def run(*arguments):
    with pytest.raises(SystemExit) as left:
        main(["draw", *arguments])
    return left.value.code


def test_a_sentence_becomes_a_picture(drawer, tmp_path, capsys):
    out, asked = tmp_path / "drawn.png", "a red circle above a blue square"
    assert run("--model", str(drawer.path), "--prompt", asked, "--n", "2", "--steps", "2", "--out", str(out)) == 0
    assert "2 pictures, 4 calls" in capsys.readouterr().out
    with Image.open(out) as sheet:
        assert sheet.size == (49, 2 * 49 + 1) or sheet.size[1] > sheet.size[0]


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (("--prompt", "a red cirle"), "the nearest is 'circle'"),
        (("--label", "3"), "give --prompt"),
        ((), "give --prompt"),
    ],
)
def test_what_cannot_be_drawn_is_refused_in_one_sentence(drawer, tmp_path, monkeypatch, capsys, arguments, words):
    monkeypatch.chdir(tmp_path)
    assert run("--model", str(drawer.path), *arguments) == 2
    said = capsys.readouterr().err
    assert words in said and said.count("\n") == 1 and not list(tmp_path.iterdir())
