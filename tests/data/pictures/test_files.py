"""Digits, IDX files and folders: what is read, how it is cut, and what is refused in one sentence."""

import gzip
import os
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from insideout.data import fetch
from insideout.data.pictures import digits, idx
from insideout.data.pictures.folder import load_folder
from insideout.data.pictures.labelled import Pictures, cut, from_bytes, to_bytes
from insideout.data.pictures.named import load_pictures
from insideout.errors import BadInput

AT_START = os.environ.get("INSIDEOUT_DATA", "")


def packed(values, n_dimensions=None):
    """An IDX file's bytes."""
    values = np.asarray(values, dtype=np.uint8)
    sizes = b"".join(int(n).to_bytes(4, "big") for n in values.shape)
    return bytes([0, 0, 8, n_dimensions or values.ndim]) + sizes + values.tobytes()


def write_idx(folder, part, n, side=6, zipped=True):
    """n pictures with labels; picture i is filled with the byte i."""
    folder.mkdir(parents=True, exist_ok=True)
    pictures = np.arange(n)[:, None, None] * np.ones((1, side, side))
    for name, values in (("images-idx3", pictures % 256), ("labels-idx1", np.arange(n) % 10)):
        content = packed(values)
        file = folder / f"{part}-{name}-ubyte{'.gz' * zipped}"
        file.write_bytes(gzip.compress(content) if zipped else content)
    return folder


def write_pictures(folder, names, size=(6, 6), mode="RGB"):
    for i, name in enumerate(names):
        file = folder / name
        file.parent.mkdir(parents=True, exist_ok=True)
        Image.new(mode, size, 40 + 10 * i if mode == "L" else (40 + 10 * i, 0, 255)).save(file)
    return folder


def test_bytes_come_back():
    every = torch.arange(256, dtype=torch.uint8)
    assert torch.equal(to_bytes(from_bytes(every)), every)
    assert from_bytes(every)[[0, 255]].tolist() == [-1, 1]
    assert to_bytes(torch.tensor([-3.0, 7.0])).tolist() == [0, 255]
    with pytest.raises(BadInput, match="not finite"):
        to_bytes(torch.tensor([float("nan")]))


def test_a_cut_shares_nothing_and_loses_nothing():
    whole = Pictures(torch.arange(50.0).reshape(50, 1, 1, 1), torch.arange(50), tuple(map(str, range(50))))
    splits = cut(whole, 7, 5, "a name")
    assert [len(splits[name]) for name in ("train", "development", "test")] == [38, 7, 5]
    assert sorted(label for each in splits.values() for label in each.labels.tolist()) == list(range(50))
    for each in splits.values():
        assert torch.equal(each.pictures.flatten().long(), each.labels)
    with pytest.raises(BadInput, match="give more pictures"):
        cut(whole, 25, 25, "a name")


@pytest.mark.parametrize(("labels", "names"), [([0, 3], ("a", "b")), ([-1, 0], ("a", "b"))])
def test_labels_out_of_range_are_refused(labels, names):
    with pytest.raises(BadInput, match="labels"):
        Pictures(torch.zeros(2, 1, 4, 4), torch.tensor(labels), names)


@pytest.mark.parametrize("zipped", [True, False])
def test_idx_files_are_read_byte_for_byte(tmp_path, zipped):
    splits = load_pictures(str(write_idx(tmp_path / "own", "t10k", 30, zipped=zipped)))
    assert [len(splits[name]) for name in ("train", "development", "test")] == [24, 3, 3]
    for each in splits.values():
        assert each.shape == (1, 6, 6) and each.names == tuple("0123456789")
        filled = to_bytes(each.pictures)[:, 0, 0, 0]
        assert torch.equal(filled % 10, each.labels)
        assert (each.pictures == each.pictures[:, :1, :1, :1]).all()


def test_training_files_and_test_files_are_kept_apart(tmp_path):
    write_idx(write_idx(tmp_path / "own", "train", 24), "t10k", 11)
    splits = load_pictures(str(tmp_path / "own"))
    assert {name: len(each) for name, each in splits.items()} == {"train": 22, "development": 2, "test": 11}
    assert to_bytes(splits["test"].pictures)[:, 0, 0, 0].tolist() == list(range(11))


def test_files_under_a_published_name_must_be_those(tmp_path, monkeypatch):
    monkeypatch.setenv("INSIDEOUT_DATA", str(tmp_path))
    write_idx(tmp_path / "mnist", "t10k", 30)
    with pytest.raises(BadInput, match="not the file of mnist that was published"):
        load_pictures("mnist")


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (b"", "no IDX file"),
        (b"\x89PNG\r\n", "no IDX file"),
        (gzip.compress(packed(np.zeros((3, 4, 4))), mtime=0)[:-20], "cannot be unpacked"),
        (packed(np.zeros((3, 4, 4)))[:-1], "damaged: its header says 3 × 4 × 4 bytes, and it holds 47"),
        (packed(np.zeros((3, 4, 4))) + b"\0", "damaged"),
        (b"\0\0\x08\x03\0\0", "damaged"),
        (b"\0\0\x0d\x01" + bytes(8), "IDX type 13"),
    ],
    ids=("empty", "a PNG", "cut gzip", "cut", "too long", "cut header", "another type"),
)
def test_damaged_idx_files_are_refused(tmp_path, content, words):
    file = tmp_path / "train-images-idx3-ubyte"
    file.write_bytes(content)
    with pytest.raises(BadInput, match=words):
        idx.read_idx(file)


def test_labels_must_be_there_and_be_enough(tmp_path):
    folder = write_idx(tmp_path / "own", "t10k", 30)
    labels = folder / "t10k-labels-idx1-ubyte.gz"
    labels.write_bytes(gzip.compress(packed(np.zeros(29))))
    with pytest.raises(BadInput, match="one each is needed"):
        load_pictures(str(folder))
    labels.unlink()
    with pytest.raises(BadInput, match="has no labels"):
        load_pictures(str(folder))


def test_mnist_is_found_and_cut(monkeypatch):
    folders = [Path(folder) for folder in AT_START.split(os.pathsep) if folder]
    if not any((folder / "mnist" / "t10k-images-idx3-ubyte.gz").is_file() for folder in folders):
        pytest.skip("mnist is not in a folder of INSIDEOUT_DATA")
    monkeypatch.setenv("INSIDEOUT_DATA", AT_START)
    splits = load_pictures("mnist")
    assert splits["train"].shape == (1, 28, 28) and len(splits["test"]) in (1000, 10_000)
    assert float(splits["train"].pictures.min()) == -1 and float(splits["train"].pictures.max()) == 1
    counts = splits["train"].labels.bincount(minlength=10)
    assert len(counts) == 10 and counts.min() > 0.07 * counts.sum()


def test_the_digits_are_the_ones_that_were_published():
    try:
        splits = digits.load_digits()
    except BadInput:
        assert fetch.find(digits.DIGITS) is None
        pytest.skip("the digits are not here, and cannot be fetched")
    assert {name: len(each) for name, each in splits.items()} == {"train": 1197, "development": 300, "test": 300}
    whole = torch.cat([each.pictures for each in splits.values()])
    assert whole.shape == (1797, 1, 8, 8) and float(whole.min()) == -1 and float(whole.max()) == 1
    assert len(whole.flatten(1).unique(dim=0)) == 1797  # no picture twice, and so in two splits
    assert torch.cat([each.labels for each in splits.values()]).bincount().tolist() == [
        178, 182, 177, 183, 181, 182, 181, 179, 174, 180,
    ]  # fmt: skip
    larger = digits.load_digits(16)["test"].pictures
    assert larger.shape == (300, 1, 16, 16) and float(larger.min()) >= -1 and float(larger.max()) <= 1
    torch.testing.assert_close(larger.mean((1, 2, 3)), splits["test"].pictures.mean((1, 2, 3)), atol=0.03, rtol=0)
    for size in (0, 12, -8):
        with pytest.raises(BadInput, match="multiple of 8"):
            digits.load_digits(size)


def test_a_folder_is_read_with_its_classes(tmp_path):
    names = [f"{kind}/{i}.png" for kind in ("cats", "dogs") for i in range(6)]
    splits = load_pictures(str(write_pictures(tmp_path / "own", names)))
    assert [len(splits[name]) for name in ("train", "development", "test")] == [10, 1, 1]
    assert splits["train"].names == ("cats", "dogs") and splits["train"].shape == (3, 6, 6)
    for each in splits.values():
        red = to_bytes(each.pictures)[:, 0, 0, 0].long()
        assert torch.equal((red >= 100).long(), each.labels)  # the seventh is the first dog
        assert (to_bytes(each.pictures)[:, 2] == 255).all()


def test_grey_pictures_stay_grey_and_mixed_sizes_are_cut_to_their_middle(tmp_path):
    write_pictures(tmp_path, ["1.png", "2.png"], mode="L")
    tall = Image.new("L", (6, 12), 0)
    tall.paste(255, (0, 3, 6, 9))  # white in the middle, black above and below
    tall.save(tmp_path / "3.png")
    with pytest.raises(BadInput, match=r"differ in size: 1\.png is 6 × 6, 3\.png 6 × 12"):
        load_folder(tmp_path)
    splits = load_folder(tmp_path, size=6)
    every = torch.cat([each.pictures for each in splits.values()])
    assert every.shape == (3, 1, 6, 6) and (every == 1).all((1, 2, 3)).sum() == 1


def test_what_is_transparent_lies_on_white(tmp_path):
    write_pictures(tmp_path, ["1.png", "2.png"])
    Image.new("RGBA", (6, 6), (0, 0, 0, 0)).save(tmp_path / "3.png")
    every = torch.cat([each.pictures for each in load_folder(tmp_path).values()])
    assert (every == 1).all((1, 2, 3)).sum() == 1


def test_folders_that_cannot_be_used_are_refused(tmp_path):
    with pytest.raises(BadInput, match="There is no folder"):
        load_folder(tmp_path / "none")
    with pytest.raises(BadInput, match="is empty"):
        load_folder(tmp_path)
    (tmp_path / "notes.txt").write_text("none")
    with pytest.raises(BadInput, match=r"1 files and no picture among them, the first being notes\.txt"):
        load_folder(tmp_path)
    write_pictures(tmp_path, ["1.png", "2.png"])
    with pytest.raises(BadInput, match="has 2 pictures: give at least 3"):
        load_folder(tmp_path)
    write_pictures(tmp_path, ["1.png", "2.png", "3.png", "4.png"], size=(40, 40))
    whole = (tmp_path / "3.png").read_bytes()
    for damaged in (whole[:-30], b"no picture", b"", whole[:20] + b"\xff" * 40):
        (tmp_path / "3.png").write_bytes(damaged)
        with pytest.raises(BadInput, match=r"3\.png is no picture, or damaged"):
            load_folder(tmp_path)
    with pytest.raises(BadInput, match="size is 0"):
        load_folder(tmp_path, size=0)


def test_too_many_pixels_for_this_machine_are_refused_before_any_is_read(tmp_path, monkeypatch):
    monkeypatch.setattr("insideout.data.pictures.folder.memory", lambda: 1000)
    with pytest.raises(BadInput, match="GiB of memory"):
        load_folder(write_pictures(tmp_path, ["1.png", "2.png", "3.png"]))


def test_what_is_neither_a_name_nor_a_path_is_refused(tmp_path):
    with pytest.raises(BadInput, match="There are no pictures 'digit'"):
        load_pictures("digit")
    with pytest.raises(BadInput, match="leave out size, here 16"):
        load_pictures(str(write_idx(tmp_path / "own", "t10k", 30)), size=16)
