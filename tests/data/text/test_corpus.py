"""Corpora by name and by path, and the errors a reader meets."""

import hashlib
import http.client
import os
import sysconfig
import urllib.error
import urllib.request
from pathlib import Path

import pytest

from insideout.data import fetch
from insideout.data.text import corpus as corpora
from insideout.data.text import python_docs
from insideout.data.text.corpus import load_corpus
from insideout.errors import BadInput


@pytest.fixture(autouse=True)
def own_folders(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """An empty home, no data folders, no network."""
    monkeypatch.setenv("INSIDEOUT_HOME", str(tmp_path / "home"))
    monkeypatch.setenv("INSIDEOUT_DATA", "")

    def offline(*args: object, **kwargs: object) -> object:
        raise urllib.error.URLError("no network in tests")

    monkeypatch.setattr(urllib.request, "urlopen", offline)


def publish(monkeypatch: pytest.MonkeyPatch, content: bytes, url: str = "https://example.invalid/poem.txt") -> None:
    published = fetch.Published("poem.txt", url, hashlib.sha256(content).hexdigest())
    monkeypatch.setitem(corpora.NAMED, "poem", corpora.Named((published,)))


# ---- by path -------------------------------------------------------------------------------------------------------


def test_text_is_kept_exactly_and_streamed(tmp_path: Path):
    text = "héllo 🙂\r\nworld\n" * 100_000  # several blocks, characters across their edges
    path = tmp_path / "a.txt"
    path.write_bytes(text.encode())
    corpus = load_corpus([str(path)])
    assert corpus.text() == text and len(list(corpus.chunks())) > 1
    assert corpus.n_bytes == len(text.encode()) and corpus.n_characters == len(text)
    assert corpus.fingerprint == hashlib.sha256(text.encode()).hexdigest()


def test_any_suffix_and_a_byte_order_mark(tmp_path: Path):
    path = tmp_path / "letter.from-home"
    path.write_bytes(b"\xef\xbb\xbfhello")
    assert load_corpus([str(path)]).text() == "hello"


def test_json_lines_folders_and_several(tmp_path: Path):
    (tmp_path / "sub").mkdir()
    (tmp_path / ".git").mkdir()
    (tmp_path / ".git" / "x.txt").write_text("hidden")
    (tmp_path / "b.md").write_text("two")
    (tmp_path / "a.jsonl").write_text('{"text": "one"}\n\n{"text": "né", "id": 3}\n')
    (tmp_path / "sub" / "c.txt").write_text("three")
    (tmp_path / "sub" / "picture.png").write_bytes(b"\0")
    assert load_corpus([str(tmp_path)]).text() == "one\n\nné\n\ntwo\n\nthree"
    both = load_corpus([str(tmp_path / "b.md"), str(tmp_path / "sub" / "c.txt")])
    assert both.text() == "two\n\nthree" and both.n_characters == 10


@pytest.mark.parametrize(
    ("name", "content", "says"),
    [
        ("a.txt", b"", "is empty"),
        ("a.txt", b" \n\n ", "is empty"),
        ("a.txt", b"abc\0def", "binary file .a NUL byte at 3"),
        ("a.txt", b"caf\xe9 noir", "not UTF-8 text .byte 3"),
        ("a.txt", b"caf\xc3", "not UTF-8 text .byte 3"),
        ("a.txt", b"x" * (2**20 - 1) + b"\xc3" + b"x", "byte 1,048,575"),
        ("a.jsonl", b'{"text": "a"}\n{"text": \n', "line 2: not valid JSON"),
        ("a.jsonl", b'{"words": "a"}\n', "line 1: needs an object with text"),
        ("a.jsonl", b'{"text": 3}\n', "line 1: needs"),
        ("a.jsonl", b'{"text": "\\ud800"}\n', "surrogate"),
    ],
)
def test_a_bad_file_is_told_in_a_sentence(tmp_path: Path, name: str, content: bytes, says: str):
    (tmp_path / name).write_bytes(content)
    with pytest.raises(BadInput, match=says):
        load_corpus([str(tmp_path / name)])


def test_missing_paths_unknown_names_and_empty_folders(tmp_path: Path):
    with pytest.raises(BadInput, match=r"no file or folder .*none\.txt"):
        load_corpus([str(tmp_path / "none.txt")])
    with pytest.raises(BadInput, match=r"no corpus 'nonsense'.*python-docs.*tinyshakespeare"):
        load_corpus(["nonsense"])
    (tmp_path / "empty").mkdir()
    with pytest.raises(BadInput, match="holds no text files"):
        load_corpus([str(tmp_path / "empty")])
    with pytest.raises(BadInput, match="No corpus was given"):
        load_corpus([])


# ---- by name -------------------------------------------------------------------------------------------------------


def test_a_name_without_network_says_where_to_put_the_file(tmp_path: Path):
    with pytest.raises(BadInput, match=r"no network in tests.*by hand at .*home/data/tinyshakespeare\.txt"):
        load_corpus(["tinyshakespeare"])


def test_a_download_that_breaks_off_is_bad_input(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    def breaks_off(*args: object, **kwargs: object) -> object:
        raise http.client.IncompleteRead(b"half")

    monkeypatch.setattr(urllib.request, "urlopen", breaks_off)
    with pytest.raises(BadInput, match="Could not download"):
        load_corpus(["tinyshakespeare"])


def test_data_folders_are_searched_first(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    publish(monkeypatch, b"a poem")
    for folder in ("one", "two"):
        (tmp_path / folder).mkdir()
    (tmp_path / "two" / "poem.txt").write_bytes(b"a poem")
    monkeypatch.setenv("INSIDEOUT_DATA", os.pathsep.join([str(tmp_path / "one"), str(tmp_path / "two")]))
    assert load_corpus(["poem"]).text() == "a poem"


def test_a_file_put_by_hand_is_found_by_its_name(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("INSIDEOUT_DATA", str(tmp_path))
    (tmp_path / "tinystories.txt").write_text("Once upon a time.")
    assert load_corpus(["tinystories"]).text() == "Once upon a time."


def test_a_checksum_that_differs_is_bad_input(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    publish(monkeypatch, b"a poem")
    monkeypatch.setenv("INSIDEOUT_DATA", str(tmp_path))
    (tmp_path / "poem.txt").write_bytes(b"another poem")
    with pytest.raises(BadInput, match=r"poem\.txt is not the published file"):
        load_corpus(["poem"])
    assert (tmp_path / "poem.txt").read_bytes() == b"another poem"


def test_a_download_is_checked_kept_and_not_repeated(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    source = tmp_path / "served.txt"
    source.write_bytes(b"a poem")
    monkeypatch.undo()  # the real urlopen, reading a file: URL
    monkeypatch.setenv("INSIDEOUT_HOME", str(tmp_path / "home"))
    monkeypatch.setenv("INSIDEOUT_DATA", "")
    publish(monkeypatch, b"a poem", source.as_uri())
    kept = tmp_path / "home" / "data" / "poem.txt"

    source.write_bytes(b"a forged poem")
    with pytest.raises(BadInput, match="sent a file with sha256"):
        load_corpus(["poem"])
    assert not kept.exists()

    source.write_bytes(b"a poem")
    assert load_corpus(["poem"]).text() == "a poem" and kept.read_bytes() == b"a poem"
    source.unlink()
    assert load_corpus(["poem"]).text() == "a poem"
    assert [file.name for file in kept.parent.iterdir()] == ["poem.txt"]


def test_published_tinyshakespeare_and_gsm8k(monkeypatch: pytest.MonkeyPatch, shared_data: str):
    monkeypatch.setenv("INSIDEOUT_DATA", shared_data)
    corpus = load_corpus(["tinyshakespeare"])
    assert corpus.n_characters == 1_115_394
    assert corpus.fingerprint == corpora.NAMED["tinyshakespeare"].files[0].sha256
    if any((Path(folder) / "gsm8k/train.jsonl").exists() for folder in shared_data.split(os.pathsep)):
        assert load_corpus(["gsm8k"]).text().count("#### ") == 7473


# ---- python-docs ---------------------------------------------------------------------------------------------------


def test_docstrings_in_the_order_of_the_source_without_running_it(tmp_path: Path):
    path = tmp_path / "module.py"
    path.write_text(
        '"""Module."""\nraise SystemExit\n\nclass A:\n    """A."""\n    def f(self):\n        """f."""\n'
        '    async def g(self):\n        """g.\n\n        More.   \n          Yet more.\n        """\n'
        '\ndef h():\n    "h."\n'
    )
    assert list(python_docs.docstrings(path)) == ["Module.", "A.", "f.", "g.\n\nMore.\n  Yet more.", "h."]


def test_files_that_do_not_parse_are_passed_over(tmp_path: Path):
    for name, content in {"a.py": b"def", "b.py": b"\xff\xfe", "c.py": b'"""nul \0"""'}.items():
        (tmp_path / name).write_bytes(content)
        assert list(python_docs.docstrings(tmp_path / name)) == []


def test_build_is_deterministic_and_skips_tests(tmp_path: Path):
    for name in ("a.py", "pkg/b.py", "test/c.py", "site-packages/d.py"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text(f'"""The documentation of the module {name}, which is long enough."""')
    text = python_docs.build(tmp_path)
    assert text == python_docs.build(tmp_path)
    assert "module a.py" in text and "module pkg/b.py" in text and "c.py" not in text and "d.py" not in text


def test_python_docs_is_built_once_and_then_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    library = tmp_path / "library"
    library.mkdir()
    (library / "a.py").write_text('"""A docstring that is certainly longer than forty characters."""')
    monkeypatch.setattr(sysconfig, "get_path", lambda name: str(library))
    first = load_corpus(["python-docs"])
    assert "certainly longer" in first.text() and first.n_bytes > 100_000  # with the topics
    (library / "a.py").unlink()
    assert load_corpus(["python-docs"]).fingerprint == first.fingerprint


# ---- what is no text -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("name", "says"),
    [
        ("", "has no name"), (" ", "has no name"), ("~nobody-knows-them/a", "no such home"), ("a\0b.txt", "no file"),
        ("It was a dark and stormy night. " * 200, "not a text"), ("loop.txt", "no file"), ("brackets.jsonl", "line 1"),
        ("empty", "are empty"), ("pipe.txt", "cannot be read twice"), (os.devnull, "cannot be read twice"),
    ],
)  # fmt: skip
def test_what_is_no_text_is_one_sentence(tmp_path, monkeypatch, name, says):
    monkeypatch.chdir(tmp_path)
    Path("notes.txt").write_text("The folder that one stands in is not what an empty name means.")
    Path("loop.txt").symlink_to("loop.txt")
    Path("brackets.jsonl").write_text("[" * 100_000)
    Path("empty").mkdir()
    Path("empty/a.txt").touch()
    if hasattr(os, "mkfifo"):
        os.mkfifo("pipe.txt")
    elif "pipe" in name:
        pytest.skip("no pipes here")
    with pytest.raises(BadInput, match=says) as refused:
        load_corpus([name])
    assert len(str(refused.value)) <= 1000


def test_an_empty_file_among_others_is_passed_over(tmp_path):
    (tmp_path / "a.txt").touch()
    (tmp_path / "b.txt").write_text("one")
    assert load_corpus([str(tmp_path)]).text() == "one"


@pytest.mark.parametrize("change", ["more", "other", "gone"])
def test_a_corpus_that_changes_while_it_is_read_is_refused(tmp_path, change):
    """And nothing of it is kept: neither its tokens nor the merges learned from it."""
    from insideout.data.text.tokens import prepare
    from insideout.recipes.texts import make_tokenizer

    file = tmp_path / "a.txt"
    file.write_text("one two three " * 50)
    corpus = load_corpus([str(file)])
    tokenizer = make_tokenizer("bpe", 260, 0.1, corpus)
    before = {path for path in tmp_path.rglob("*") if path.is_file()}
    if change == "gone":
        file.unlink()
    else:
        file.write_text(("one two three " if change == "more" else "two one three ") * (51 if change == "more" else 50))
    for use in (
        lambda: corpus.text(),
        lambda: make_tokenizer("bpe", 261, 0.1, corpus),
        lambda: make_tokenizer("character", 261, 0.1, corpus),
        lambda: prepare(corpus, tokenizer, tmp_path / "tokens"),
    ):
        with pytest.raises(BadInput, match=r"changed|Could not read"):
            use()
    assert {path for path in tmp_path.rglob("*") if path.is_file()} <= before
