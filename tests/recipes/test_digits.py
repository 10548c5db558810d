"""The recipes of pictures and the command that draws, on pictures made here: what they leave, and what they refuse."""

import dataclasses
import gzip
import json
import os
import signal
from collections import Counter

import numpy as np
import pytest
import torch
from PIL import Image, ImageSequence

from insideout.cli.main import main
from insideout.errors import BadInput
from insideout.images.flow import draw_pictures
from insideout.images.solvers import Solution
from insideout.recipes import digits_classifier, digits_drawer
from insideout.recipes.picture_model import batches, pictures_of
from insideout.recipes.picture_scores import measure
from insideout.recipes.settings import change
from insideout.recipes.stage import plan, recipe
from insideout.training.config import TrainConfig
from insideout.training.events import Step
from insideout.training.loop import Interrupted


@pytest.fixture(scope="module")
def home(tmp_path_factory):
    """A home with results that all of these tests share, and IDX files of bright rows, by class."""
    home = tmp_path_factory.mktemp("home")
    data = home / "rows"
    data.mkdir()
    labels = np.arange(200, dtype=np.uint8) % 3
    pictures = np.random.default_rng(0).integers(0, 60, (200, 8, 8)).astype(np.uint8)
    pictures[np.arange(200), 2 * labels] = 250
    for name, values in (("images-idx3", pictures), ("labels-idx1", labels)):
        head = bytes([0, 0, 8, values.ndim]) + b"".join(n.to_bytes(4, "big") for n in values.shape)
        (data / f"t10k-{name}-ubyte.gz").write_bytes(gzip.compress(head + values.tobytes()))
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("INSIDEOUT_HOME", str(home))
        yield home


def made(name, home, **changes):
    return recipe(name, scale="tiny", tell=lambda event: None, data=str(home / "rows"), **changes)


@pytest.fixture
def drawer(home):
    return made("digits_drawer", home)


def test_the_classifier_learns_and_is_judged_on_the_test(home):
    found = made("digits_classifier", home)
    result = found.result()
    assert result["test_accuracy"] > 0.9 and result["test_accuracy_interval"][0] < result["test_accuracy"]
    model, test = found.model(), found.splits()["test"]
    right = float((model(test.pictures).argmax(1) == test.labels).float().mean())
    assert right == pytest.approx(result["test_accuracy"])
    assert (
        found.names == ("0", "1", "2") and found.shape == (1, 8, 8) and model.features(test.pictures).shape == (20, 16)
    )


def test_a_model_that_draws_learns_and_draws_with_its_averaged_weights(drawer):
    losses = [record["ema_validation_loss"] for record in drawer.metrics() if "ema_validation_loss" in record]
    assert losses[-1] < losses[0] and drawer.result()["ema_validation_loss"] == losses[-1]
    averaged, last = drawer.model(), drawer.model(averaged=False)
    assert any(not torch.equal(a, b) for a, b in zip(averaged.parameters(), last.parameters(), strict=True))
    drawn = draw_pictures(averaged, [0, 1, 2], drawer.shape, n_steps=2).x
    assert drawn.shape == (3, 1, 8, 8) and torch.isfinite(drawn).all()
    assert drawer.report.is_file() and averaged.config.n_classes == 3


def test_real_pictures_beat_noise_and_copies_are_found(home, drawer, monkeypatch):
    classifier = made("digits_classifier", home)
    splits = drawer.splits()

    def scores_of(pictures):
        drawn = Solution(pictures, 2, None)
        monkeypatch.setattr("insideout.images.flow.draw_pictures", lambda *given, **named: drawn)
        return measure(drawer, classifier, "test")

    train, test, other = splits["train"], splits["test"], splits["development"]
    copied = torch.stack([train.pictures[train.labels == label][i] for i, label in enumerate(other.labels)])
    copies, noise = scores_of(copied), scores_of(torch.randn(other.pictures.shape))
    assert copies.accuracy.mean > 0.9 > noise.accuracy.mean and copies.kid.mean < noise.kid.mean
    assert copies.nearest.mean == 0 < copies.real_nearest.low and noise.nearest.mean > copies.real_nearest.high
    assert copies.real_accuracy.mean == pytest.approx(classifier.result()["test_accuracy"])
    monkeypatch.undo()
    drawn = measure(drawer, classifier, "development", n_steps=2)
    assert drawn.n_calls == 4 and drawn.accuracy.n == len(test)


def test_what_is_measured_has_the_classes_of_independent_pictures(home, drawer, monkeypatch):
    """With the classes of the reference itself KID would be too small, and below that of real pictures."""
    splits, asked = drawer.splits(), []

    def note(model, labels, shape, **settings):
        asked.extend(labels.tolist())
        return Solution(torch.zeros(len(labels), *shape), 2, None)

    monkeypatch.setattr("insideout.images.flow.draw_pictures", note)
    measure(drawer, made("digits_classifier", home), "test")
    assert asked == splits["development"].labels.tolist()


def test_a_classifier_of_other_pictures_measures_nothing(home, drawer):
    classifier = made("digits_classifier", home)
    other = dataclasses.replace(classifier, about=classifier.about | {"data": {"fingerprint": "another"}})
    with pytest.raises(BadInput, match="learned from other pictures"):
        measure(drawer, other, "test")


def test_each_picture_comes_once_before_any_comes_again(home):
    pictures = pictures_of(str(home / "rows"), 0)["train"].take(range(10))
    pictures = type(pictures)(torch.arange(10.0).reshape(10, 1, 1, 1), pictures.labels, pictures.names)
    of = batches(pictures, TrainConfig(steps=1, warmup_steps=0, batch_size=4, accumulation=2))
    seen = [int(value) for step in range(5) for micro in range(2) for value in of(step, micro)["pictures"].flatten()]
    assert [Counter(seen[i : i + 10]) for i in range(0, 40, 10)] == [Counter(range(10))] * 4
    assert seen[:10] != seen[10:20] and torch.equal(of(3, 1)["pictures"], of(3, 1)["pictures"])


def test_a_stopped_run_goes_on_to_the_same_weights(home, drawer):
    def stop(event):
        if isinstance(event, Step) and event.step == 25:
            os.kill(os.getpid(), signal.SIGINT)

    with pytest.raises(Interrupted):
        recipe("digits_drawer", scale="tiny", tell=stop, data=str(home / "rows"), size=8)
    again = made("digits_drawer", home, size=8)
    for a, b in zip(drawer.model().parameters(), again.model().parameters(), strict=True):
        assert torch.equal(a, b)


def test_other_pictures_make_another_result(home, tmp_path):
    before = plan("digits_drawer", "tiny", changes={"data": str(home / "rows")}).key
    assert plan("digits_drawer", "tiny", changes={"data": str(home / "rows"), "label_dropout": 0.2}).key != before
    other = tmp_path / "rows"
    other.mkdir()
    for i in range(4):
        Image.new("L", (8, 8), 10 * i).save(other / f"{i}.png")
    assert plan("digits_drawer", "tiny", changes={"data": str(other)}).key != before


@pytest.mark.parametrize("data", ["digits", "mnist", "fashion-mnist"])
def test_nothing_is_fetched_to_find_a_result(tmp_path, monkeypatch, data):
    monkeypatch.setenv("INSIDEOUT_HOME", str(tmp_path))
    monkeypatch.setenv("INSIDEOUT_DATA", "")

    def fetched(*given, **named):
        raise AssertionError("something was fetched")

    monkeypatch.setattr("insideout.data.fetch.find_or_download", fetched)
    before = plan("digits_drawer", "tiny", changes={"data": data}).key
    folder = tmp_path / "data" / data
    folder.mkdir(parents=True)
    for kind in ("images-idx3", "labels-idx1"):
        (folder / f"t10k-{kind}-ubyte").write_bytes(b"")
    after = plan("digits_drawer", "tiny", changes={"data": data}).key
    assert (after == before) == (data == "digits")  # the 10,000 alone are other pictures than all of them


@pytest.mark.parametrize(
    ("settings", "changes", "words"),
    [
        (digits_drawer.SETTINGS["tiny"], {"label_dropout": 1.5}, "label_dropout lie between"),
        (digits_drawer.SETTINGS["tiny"], {"data": ""}, "data is empty"),
        (digits_classifier.SETTINGS["tiny"], {"shift": 9}, "shift lie between"),
        (digits_classifier.SETTINGS["tiny"], {"data": ""}, "data is empty"),
    ],
)
def test_settings_that_cannot_be_are_refused(settings, changes, words):
    with pytest.raises(BadInput, match=words):
        change(settings, changes)


def test_a_patch_that_does_not_fit_is_refused_before_anything_is_written(home):
    with pytest.raises(BadInput, match="size 8 is not divisible by patch 3"):
        made("digits_drawer", home, patch=3)


def run(*arguments):
    with pytest.raises(SystemExit) as left:
        main(["draw", *arguments])
    return left.value.code


def test_the_command_draws_and_shows_the_way(drawer, tmp_path, capsys):
    out, way = tmp_path / "drawn.png", tmp_path / "way.gif"
    chosen = ("--model", str(drawer.path), "--label", "2", "0", "--n", "3", "--steps", "2", "--solver", "euler")
    assert run(*chosen, "--out", str(out), "--animation", str(way)) == 0
    assert "6 pictures, 2 calls of the field each" in capsys.readouterr().out
    with Image.open(out) as sheet, Image.open(way) as shown:
        assert (
            sheet.size == (2 * 49 + 1, 3 * 49 + 1)
            and shown.size == sheet.size
            and len(list(ImageSequence.Iterator(shown))) == 3
        )
    before = out.read_bytes()
    assert run(*chosen, "--out", str(out)) == 0 and out.read_bytes() == before
    assert run(*chosen, "--out", str(out), "--seed", "1") == 0 and out.read_bytes() != before


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (("--label", "7"), "There is no class '7'; there is 0, 1, 2"),
        (("--steps", "0"), "steps is 0; it must lie between 1"),
        (("--guidance", "1000"), "guidance is 1000"),
        (("--guidance", "nan"), "guidance is nan"),
        (("--n", "0"), "n is 0"),
        (("--out", "drawn.jpg"), "--out is 'drawn.jpg'"),
        (("--out", "nowhere/drawn.png"), "its folder is not there"),
        (("--animation", "way.mp4"), "ends in .gif or .png or .apng"),
        (("--out", "a.png", "--animation", "a.png"), "the same file"),
        (("--seed", "-1"), "seed is -1"),
        (("--solver", "huen"), "heun"),
        (("--prompt", "a red circle"), "draws classes and reads no prompt"),
    ],
)
def test_the_command_refuses_in_one_sentence(drawer, tmp_path, monkeypatch, capsys, arguments, words):
    monkeypatch.chdir(tmp_path)
    assert run("--model", str(drawer.path), *arguments) == 2
    said = capsys.readouterr().err
    assert words in said and said.count("\n") == 1
    assert not list(tmp_path.iterdir())


def test_only_what_draws_can_draw(home, tmp_path, capsys):
    assert run("--recipe", "digits_classifier", "--out", str(tmp_path / "a.png")) == 2
    drawers = "digits_drawer, folder_drawer, latent_drawer, scenes_drawer"
    assert f"does not draw: choose one of {drawers}" in capsys.readouterr().err
    assert run("--recipe", "digits_drawr", "--out", str(tmp_path / "a.png")) == 2
    assert "did you mean digits_drawer" in capsys.readouterr().err
    assert run("--model", str(tmp_path), "--out", str(tmp_path / "a.png")) == 2
    assert "There is no model in" in capsys.readouterr().err
    classifier = made("digits_classifier", home)
    assert run("--model", str(classifier.path), "--out", str(tmp_path / "a.png")) == 2
    assert "holds no model that draws" in capsys.readouterr().err


def test_a_damaged_result_is_refused(drawer, tmp_path):
    for name, values in (
        ("other", {"format": "another"}),
        ("lacking", json.loads((drawer.path / "config.json").read_text()) | {"data": {}}),
    ):
        folder = tmp_path / name
        folder.mkdir()
        (folder / "config.json").write_text(json.dumps(values))
        with pytest.raises(BadInput, match=r"config\.json"):
            digits_drawer.load(folder)
    with pytest.raises(BadInput, match="There is no run"):
        digits_drawer.load(tmp_path)
