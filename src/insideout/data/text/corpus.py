"""Text to learn from: by name, by path, or already on this machine.

    load_corpus(["python-docs"])            ships with Python, no download
    load_corpus(["tinyshakespeare"])        INSIDEOUT_DATA, else the cache, else the network
    load_corpus(["notes.txt", "folder"])    .txt, .md or any text file; .jsonl with a `text` field; a folder of these

Everything is streamed, so a corpus may be larger than memory. Loading reads it once: to check that it is text, and
to count and fingerprint it.
"""

import codecs
import hashlib
import json
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from insideout.data.fetch import Published, cache_folder, data_folders, find_or_download
from insideout.data.text.python_docs import python_docs
from insideout.errors import BadInput
from insideout.files import below, expanded

_BLOCK = 1 << 20  # bytes read at a time
_BETWEEN = "\n\n"  # between two documents
_TEXT_FILES = {".txt", ".md", ".rst", ".text", ".jsonl"}

Source = Callable[[], Iterator[str]]


@dataclass(frozen=True)
class Named:
    """A corpus known by name: its files, and for .jsonl the fields that make up a document's text."""

    files: tuple[Published, ...]
    fields: tuple[str, ...] = ("text",)


NAMED = {
    "tinyshakespeare": Named(
        (
            Published(
                "tinyshakespeare.txt",
                "https://raw.githubusercontent.com/karpathy/char-rnn/master/data/tinyshakespeare/input.txt",
                "86c4e6aa9db7c042ec79f339dcb96d42b0075e16b8fc2e86bf0ca57e2dc565ed",
            ),
        )
    ),
    "gsm8k": Named(
        (
            Published(
                "gsm8k/train.jsonl",
                "https://raw.githubusercontent.com/openai/grade-school-math/master/grade_school_math/data/train.jsonl",
                "17f347dc51477c50d4efb83959dbb7c56297aba886e5544ee2aaed3024813465",
            ),
        ),
        fields=("question", "answer"),
    ),
}


@dataclass(frozen=True)
class Corpus:
    """A text, streamed. Its fingerprint is the sha256 of the text in UTF-8."""

    name: str
    fingerprint: str
    n_bytes: int
    n_characters: int
    sources: tuple[Source, ...] = field(repr=False)

    def chunks(self) -> Iterator[str]:
        """The text in pieces of at most about a megabyte; joined they are the whole.

        Raises BadInput, at the end, where it is no longer the text that was counted.
        """
        digest = hashlib.sha256()
        for chunk in _join(self.sources):
            digest.update(chunk.encode())
            yield chunk
        if digest.hexdigest() != self.fingerprint:
            raise BadInput(f"The corpus {self.name} has changed while it was read: begin again when it is complete.")

    def text(self) -> str:
        """The whole text at once; needs that much memory."""
        return "".join(self.chunks())


def load_corpus(names: Sequence[str]) -> Corpus:
    """The corpora of these names and paths, one after the other, as one.

    Raises BadInput for a name that is not known, and for a file that is missing, empty, binary or not UTF-8.
    """
    if not names:
        raise BadInput("No corpus was given: name one, such as python-docs, or give the path of a text file.")
    sources: list[Source] = []
    for name in names:
        sources.extend(_sources(name))
    digest, n_bytes, n_characters, blank = hashlib.sha256(), 0, 0, True
    for chunk in _join(sources):
        encoded = chunk.encode()
        digest.update(encoded)
        n_bytes, n_characters = n_bytes + len(encoded), n_characters + len(chunk)
        blank = blank and not chunk.strip()
    if blank:
        raise BadInput(f"The corpus {', '.join(names)} is empty: give a file with some text in it.")
    return Corpus("+".join(names), digest.hexdigest(), n_bytes, n_characters, tuple(sources))


def _join(sources: Iterable[Source]) -> Iterator[str]:
    for number, source in enumerate(sources):
        if number:
            yield _BETWEEN
        yield from source()


def _sources(name: str) -> list[Source]:
    """Where a name's or a path's text is read from."""
    if name == "python-docs":
        text = python_docs()
        return [lambda: (text[i : i + _BLOCK] for i in range(0, len(text), _BLOCK))]
    if name in NAMED:
        known = NAMED[name]
        return [_file(find_or_download(published), known.fields) for published in known.files]
    if not name.strip():
        raise BadInput("A corpus has no name: give one, such as python-docs, or the path of a text file.")
    path = expanded(name, "A corpus")
    try:
        if path.exists():
            return _at(path)
    except OSError as error:  # too long, or not to be looked at
        why = (error.strerror or str(error)).lower()
        raise BadInput(f"The corpus {name!r} can be no file or folder ({why}): give a path, not a text.") from error
    if path.name == name and not path.suffix:  # a bare word: perhaps a file that someone put by hand
        for folder in [*data_folders(), cache_folder()]:
            for candidate in (folder / f"{name}.txt", folder / f"{name}.jsonl", folder / name):
                if candidate.exists():
                    return _at(candidate)
        raise BadInput(
            f"There is no corpus {name!r}. Known names: python-docs, {', '.join(sorted(NAMED))}. For another, put "
            f"{name}.txt or {name}.jsonl in {cache_folder()} or in a folder listed in INSIDEOUT_DATA, or give a path."
        )
    raise BadInput(f"There is no file or folder {path}: check the path, or name a corpus such as python-docs.")


def _at(path: Path) -> list[Source]:
    if not path.is_dir():
        return [_file(path, ("text",))]
    inside = (file for file in below(path) if file.suffix.lower() in _TEXT_FILES and file.is_file())
    files = sorted(file for file in inside if not any(p.startswith(".") for p in file.relative_to(path).parts))
    if not files:
        raise BadInput(f"The folder {path} holds no text files; looked for {', '.join(sorted(_TEXT_FILES))}.")
    full = [file for file in files if file.stat().st_size]  # an empty one adds nothing
    if not full:
        raise BadInput(f"The text files of the folder {path} are empty: give one with some text in it.")
    return [_file(file, ("text",)) for file in full]


def _file(path: Path, fields: tuple[str, ...]) -> Source:
    if not path.is_file():
        raise BadInput(f"{path} is a pipe or a device, which cannot be read twice: write its text to a file.")
    if path.stat().st_size == 0:
        raise BadInput(f"{path} is empty: give a file with some text in it.")
    if path.suffix.lower() == ".jsonl":
        return lambda: _json_lines(path, fields)
    return lambda: _plain(path)


def _plain(path: Path) -> Iterator[str]:
    """Text of a file, decoded as it is read; line ends are kept as they are, a byte order mark is dropped."""
    decoder, at = codecs.getincrementaldecoder("utf-8-sig")(), 0
    try:
        with path.open("rb") as file:
            while True:
                block = file.read(_BLOCK)
                if b"\0" in block:
                    raise BadInput(
                        f"{path} is a binary file (a NUL byte at {at + block.index(0):,}): give a text file in UTF-8."
                    )
                held = len(decoder.getstate()[0])  # bytes of a character begun in the block before
                try:
                    text = decoder.decode(block, final=not block)
                except UnicodeDecodeError as error:
                    raise BadInput(
                        f"{path} is not UTF-8 text (byte {at - held + error.start:,} cannot be decoded): "
                        "convert it to UTF-8 first."
                    ) from error
                at += len(block)
                if text:
                    yield text
                if not block:
                    return
    except OSError as error:
        raise BadInput(f"Could not read {path}: {error.strerror}. Check that the file may be read.") from error


def _json_lines(path: Path, fields: tuple[str, ...]) -> Iterator[str]:
    """A document a line: the named fields of a JSON object, joined by newlines."""
    first = True
    for number, line in enumerate(_lines(_plain(path)), start=1):
        if not line.strip():
            continue
        try:
            record = json.loads(line)
        except (ValueError, RecursionError) as error:
            raise BadInput(f"{path}, line {number}: not valid JSON ({error}). Mend or remove the line.") from error
        if not isinstance(record, dict) or not all(isinstance(record.get(name), str) for name in fields):
            raise BadInput(f"{path}, line {number}: needs an object with {' and '.join(fields)} as a string.")
        text = "\n".join(record[name] for name in fields)
        if any("\ud800" <= character <= "\udfff" for character in text):
            raise BadInput(f"{path}, line {number}: holds half a surrogate pair, which is not text. Mend the line.")
        yield text if first else _BETWEEN + text
        first = False


def _lines(chunks: Iterable[str]) -> Iterator[str]:
    rest = ""
    for chunk in chunks:
        *whole, rest = (rest + chunk).split("\n")
        yield from whole
    if rest:
        yield rest
