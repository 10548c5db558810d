"""Files and folders are whole or absent, whatever happens to the process that writes them."""

import os
import subprocess
import sys
import time

import pytest

from insideout import files
from insideout.data.pictures.folder import load_folder
from insideout.errors import BadInput
from insideout.lab.answers import notebooks

KILLED = """
import os, sys
from pathlib import Path
from insideout import files
folder = Path(sys.argv[1])
with files.locked(folder), files.whole_folder(folder) as beside:
    (beside / "half.txt").write_text("half")
    os._exit(9)
"""


def names(folder):
    return sorted(path.name for path in folder.iterdir())


def test_a_folder_is_replaced_whole(tmp_path):
    place = tmp_path / "above" / "result"
    for content in ("first", "second"):
        with files.locked(place), files.whole_folder(place) as beside:
            (beside / "inside").mkdir()
            (beside / "inside" / f"{content}.txt").write_text(content)
            assert not place.exists() or (place / "inside" / "first.txt").exists()
    assert names(place / "inside") == ["second.txt"] and names(place.parent) == ["result"]


def test_where_the_work_fails_the_old_folder_stays(tmp_path):
    place = tmp_path / "result"
    place.mkdir()
    (place / "old.txt").write_text("old")
    with pytest.raises(ZeroDivisionError), files.whole_folder(place) as beside:
        (beside / "new.txt").write_text(str(1 / 0))
    assert names(tmp_path) == ["result"] and names(place) == ["old.txt"]


def test_what_a_killed_process_left_is_swept_once_nobody_works_on_it(tmp_path):
    place = tmp_path / "result"
    done = subprocess.run([sys.executable, "-c", KILLED, str(place)], check=False)
    assert done.returncode == 9 and not place.exists()
    (tmp_path / ".report.html.abcdefgh.part").write_text("half")
    (tmp_path / "mine.part").write_text("no leftover: its name begins with no dot")
    assert names(tmp_path / ".result.part") == ["half.txt"]
    with files.locked(place):  # as a process does that is making it
        files.sweep(tmp_path)
    assert names(tmp_path) == [".result.part", "mine.part"]
    files.sweep(tmp_path, older=3600)
    assert ".result.part" in names(tmp_path)
    long_ago = time.time() - 7200
    os.utime(tmp_path / ".result.part", (long_ago, long_ago))
    files.sweep(tmp_path, older=3600)
    assert names(tmp_path) == ["mine.part"]


def test_a_folder_is_never_half_removed_under_its_name(tmp_path, monkeypatch):
    place = tmp_path / "result"
    place.mkdir()
    monkeypatch.setattr("shutil.rmtree", lambda *_, **__: None)  # killed before anything could be removed
    files.discard(place)
    assert names(tmp_path) == [".result.old.part"]
    assert all(map(files.is_leftover, names(tmp_path)))


@pytest.mark.parametrize("name", ["", " "])
def test_an_empty_path_is_not_the_present_folder(name):
    with pytest.raises(BadInput, match="--out is empty"):
        files.expanded(name, "--out")


def test_what_may_never_end_is_not_read(tmp_path):
    (tmp_path / "text").write_bytes(b"\xff")
    assert files.content_of(tmp_path / "text") == b"\xff"
    os.mkfifo(tmp_path / "pipe")
    for path in ("/dev/zero", tmp_path / "pipe"):
        with pytest.raises(BadInput, match="a pipe or a device"):
            files.content_of(path)
    for path in (tmp_path, tmp_path / "none", None, "a\0b"):
        with pytest.raises(BadInput, match="Could not read"):
            files.content_of(path)


def test_a_whole_disk_is_not_looked_through(tmp_path, monkeypatch):
    monkeypatch.setattr(files, "MANY", 3)
    for name in ("a.png", "b.txt", "c.ipynb"):
        (tmp_path / name).write_text("x")
    assert len(list(files.below(tmp_path))) == 3
    (tmp_path / "d").write_text("x")
    for look in (lambda: list(files.below(tmp_path)), lambda: notebooks(tmp_path), lambda: load_folder(tmp_path)):
        with pytest.raises(BadInput, match="holds more than 3 files"):
            look()
