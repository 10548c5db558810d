"""A model of the reader's own pictures: trained by a command, drawn from by another, and what is refused before."""

import json
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image, ImageSequence

from insideout.cli.main import main
from insideout.errors import BadInput
from insideout.recipes.folder_drawer import SETTINGS, FolderDrawer, flipped, load, own_pictures
from insideout.recipes.settings import change
from insideout.recipes.stage import plan


@pytest.fixture(scope="module")
def home(tmp_path_factory):
    home = tmp_path_factory.mktemp("home")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("INSIDEOUT_HOME", str(home))
        patch.setenv("INSIDEOUT_SCALE", "tiny")
        yield home


def write(folder, names, size=(12, 10), channels=3):
    random = np.random.default_rng(0)
    for name in names:
        file = folder / name
        file.parent.mkdir(parents=True, exist_ok=True)
        values = random.integers(0, 256, (*size, channels), dtype=np.uint8)
        Image.fromarray(values if channels == 3 else values[:, :, 0]).save(file)
    return folder


def run(*arguments):
    with pytest.raises(SystemExit) as left:
        main([str(each) for each in arguments])
    return left.value.code


CLASSES = [f"{name}/{i}.png" for name in ("cats", "dogs") for i in range(10)]


def test_a_folder_with_classes_is_learned_and_drawn(home, tmp_path, capsys):
    photos, out = write(tmp_path / "photos", CLASSES), tmp_path / "model"
    assert run("train-images", "--data", photos, "--size", 8, "--steps", 10, "--flip", "--out", out) == 0
    said = capsys.readouterr().out
    assert "Learned from 16 pictures, 4 held out" in said and f"draw --model {out}" in said
    found = load(out)
    assert isinstance(found, FolderDrawer) and found.names == ("cats", "dogs") and found.n_classes == 2
    assert {name: len(each) for name, each in found.splits().items()} == {"train": 16, "development": 2, "test": 2}
    with Image.open(out / "drawn.png") as sheet, Image.open(out / "drawn.gif") as way:
        assert sheet.size == way.size == (2 * 33 + 1, 20 * 33 + 1) and len(list(ImageSequence.Iterator(way))) == 21
    assert found.report.read_text().count("data:image/") == 2
    drawn = tmp_path / "dogs.png"
    assert run("draw", "--model", out, "--label", "dogs", "--steps", 2, "--out", drawn) == 0 and drawn.is_file()
    write(photos, ["dogs/new.png"])
    own_pictures.cache_clear()  # as in another process
    with pytest.raises(BadInput, match="are not those that"):
        found.splits()


def test_a_folder_without_classes_is_drawn_from_as_it_is(home, tmp_path, capsys):
    photos, out = write(tmp_path / "photos", [f"{i}.png" for i in range(10)], (8, 8), channels=1), tmp_path / "model"
    assert run("train-images", "--data", photos, "--steps", 10, "--out", out) == 0
    assert load(out).n_classes == 0 and load(out).shape == (1, 8, 8)
    capsys.readouterr()
    drawn = tmp_path / "drawn.png"
    assert run("draw", "--model", out, "--n", 12, "--steps", 2, "--out", drawn) == 0
    assert "12 pictures, 4 calls of the field each" in capsys.readouterr().out
    with Image.open(drawn) as sheet:
        assert sheet.size == (10 * 49 + 1, 2 * 49 + 1)
    for more, words in (
        (("--label", "0"), "knows no classes: leave out --label"), (("--guidance", "2"), "nothing to guide to")
    ):  # fmt: skip
        assert run("draw", "--model", out, *more, "--out", tmp_path / "none.png") == 2
        assert words in capsys.readouterr().err and not (tmp_path / "none.png").exists()


def test_a_run_goes_on_where_it_was(home, tmp_path):
    photos, out = write(tmp_path / "photos", CLASSES, (8, 8)), tmp_path / "model"
    assert run("train-images", "--data", photos, "--steps", 10, "--out", out) == 0
    before = (out / "drawn.png").read_bytes()
    for name in ("result.json", "drawn.png", "drawn.gif"):
        (out / name).unlink()
    assert run("train-images", "--resume", "--out", out) == 0
    assert (out / "drawn.png").read_bytes() == before and json.loads((out / "result.json").read_text())["step"] == 10


def damage(folder: Path, how: str) -> Path:
    write(folder, CLASSES, (8, 8))
    if how == "corrupt":
        file = folder / "dogs" / "3.png"
        file.write_bytes(file.read_bytes()[:-60])
    elif how == "text":
        (folder / "cats" / "note.png").write_text("no picture")
    elif how == "sizes":
        write(folder, ["cats/large.png"], (9, 9))
    elif how == "empty":
        folder = folder / "empty"
        folder.mkdir()
    elif how == "few":
        folder = write(folder / "few", ["1.png", "2.png"])
    elif how == "none":
        folder = folder / "none"
    elif how == "oblong":
        folder = write(folder / "oblong", [f"{i}.png" for i in range(9)], (8, 10))
    elif how == "patch":
        folder = write(folder / "patch", [f"{i}.png" for i in range(9)], (10, 10))
    return folder


@pytest.mark.parametrize(
    ("how", "words"),
    [
        ("corrupt", "3.png is no picture, or damaged"), ("text", "note.png is no picture, or damaged"),
        ("sizes", "differ in size"), ("empty", "is empty: put pictures in it"),
        ("few", "has 2 pictures: give at least"),
        ("none", "There is no folder"), ("oblong", "give a size"), ("patch", "size 10 is not divisible by patch 4"),
    ],
)  # fmt: skip
def test_folders_are_checked_before_anything_is_written(home, tmp_path, capsys, how, words):
    out = tmp_path / "model"
    assert run("train-images", "--data", damage(tmp_path / "photos", how), "--out", out) == 2
    said = capsys.readouterr().err
    assert words in said and said.count("\n") == 1 and not out.exists()


@pytest.mark.parametrize(
    ("changes", "words"),
    [({"data": ""}, "data is empty"), ({"size": -1}, "size must lie"),
     ({"label_dropout": 2.0}, "label_dropout between"), ({"guidance": 200.0}, "guidance is 200")],
)  # fmt: skip
def test_settings_that_cannot_be_are_refused(changes, words):
    with pytest.raises(BadInput, match=words):
        change(SETTINGS["tiny"], changes)


def test_other_pictures_make_another_result_and_the_checkpoints_do_not(home, tmp_path):
    photos = str(write(tmp_path / "photos", CLASSES, (8, 8)))
    first = plan("folder_drawer", "tiny", changes={"data": photos}).key
    assert plan("folder_drawer", "tiny", changes={"data": photos, "checkpoint_every": 7}).key == first
    assert plan("folder_drawer", "tiny", changes={"data": photos, "flip": True}).key != first
    write(Path(photos), ["cats/new.png"], (8, 8))
    assert plan("folder_drawer", "tiny", changes={"data": photos}).key != first


def test_a_flip_mirrors_whole_pictures_about_half_of_them():
    torch.manual_seed(0)
    pictures = torch.randn(200, 3, 4, 4)
    found = flipped(pictures)
    mirrored = (found == pictures.flip(-1)).flatten(1).all(1)
    assert ((found == pictures).flatten(1).all(1) ^ mirrored).all() and 70 < int(mirrored.sum()) < 130
