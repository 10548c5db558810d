"""Finding a published file on this machine, or downloading it once, with its checksum.

Searched in this order: the folders of INSIDEOUT_DATA, the user's cache, the network. A download is written beside
its place and renamed, so that an interrupted one leaves nothing that looks whole.
"""

import hashlib
import http.client
import os
import urllib.request
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


def data_folders() -> list[Path]:
    """The folders of INSIDEOUT_DATA, in order."""
    listed = os.environ.get("INSIDEOUT_DATA", "").split(os.pathsep)
    return [Path(folder).expanduser() for folder in listed if folder]


def cache_folder() -> Path:
    """Where downloads and built corpora are kept: INSIDEOUT_HOME/data, else the user's cache."""
    return files.cache_folder("data")


def sha256_of(path: Path) -> str:
    """The file's checksum, in hexadecimal."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def find_or_download(published: Published, timeout: float = 30.0) -> Path:
    """The path of a published file whose checksum has been checked.

    Raises BadInput when a file found has another checksum, and when it is nowhere and cannot be downloaded.
    """
    for folder in [*data_folders(), cache_folder()]:
        path = folder / published.file
        if path.is_file():
            found = sha256_of(path)
            if found != published.sha256:
                raise BadInput(
                    f"{path} is not the published file: its sha256 is {found}, expected {published.sha256}. "
                    "Remove or rename it; to use it as it is, give its path instead of the name."
                )
            return path
    return _download(published, cache_folder() / published.file, timeout)


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
    try:
        files.write_whole(path, content)
    except OSError as error:
        raise BadInput(f"Could not write {path}: {error}. Free some space, or set INSIDEOUT_HOME.") from error
    return path
