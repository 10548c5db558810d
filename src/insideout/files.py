"""Whole files and folders, and where things are kept on the reader's machine.

    write_whole(path, content)      there whole or not at all, whatever happens meanwhile
    save(path, content)             the same, and a disk that does not take it is one sentence
    with whole_folder(path) as new: the same for a folder: made beside, then put in its place
    with locked(path):              one process at a time
    sweep(folder)                   away with what killed processes left half written
    cache_folder("data")            what can be made again        data_folder()     what cannot

INSIDEOUT_HOME decides where, else the folders that the system sets aside. Standard library only, unless platformdirs
is there to know the system's customs better.
"""

import contextlib
import errno
import os
import re
import shutil
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import IO

from insideout.errors import BadInput, first_line


def cache_folder(name: str) -> Path:
    """For what can be made again: downloads, trained models, records of claims."""
    return _home("user_cache_dir", ".cache") / name


def data_folder() -> Path:
    """For what cannot: the reader's progress."""
    return _home("user_data_dir", ".local/share")


def _home(kind: str, customary: str) -> Path:
    chosen = os.environ.get("INSIDEOUT_HOME")
    if chosen:
        return expanded(chosen, "INSIDEOUT_HOME")
    try:
        import platformdirs
    except ModuleNotFoundError:
        return Path.home() / customary / "insideout"
    return Path(getattr(platformdirs, kind)("insideout"))


def expanded(name: str, what: str) -> Path:
    """A path as a person writes it, ~ meaning home. Raises BadInput where nobody has that home, or it is no path."""
    if not name.strip():
        raise BadInput(f"{what} is empty: give a path, or . for the present folder.")
    try:
        return Path(name).expanduser()
    except (RuntimeError, ValueError):
        raise BadInput(f"{what} is {name!r}, and there is no such home: write the path out.") from None


def content_of(path: str | Path) -> bytes:
    """All of a file. Raises BadInput for one that cannot be read, and for a pipe or a device, which may never end."""
    try:
        file = Path(path)
        endless = file.exists() and not file.is_file() and not file.is_dir()
        content = b"" if endless else file.read_bytes()
    except (OSError, ValueError, TypeError) as error:
        raise BadInput(f"Could not read {path}: {first_line(error)}. Check the path.") from error
    if endless:
        raise BadInput(f"{path} is a pipe or a device, which cannot be read twice: write its text to a file.")
    return content


MANY = 200_000
"""Files and folders below one that is looked through: more are a whole disk, named by mistake."""


def below(folder: Path) -> Iterator[Path]:
    """All files and folders in a folder, at any depth. Raises BadInput where there are too many to look through."""
    for n, each in enumerate(folder.rglob("*"), 1):
        if n > MANY:
            raise BadInput(f"{folder} holds more than {MANY:,} files and folders: name the one that is meant.")
        yield each


LEFTOVER = re.compile(r"\.(.+)\.part")
"""How a file or a folder is called while it is written."""


def write_whole(path: Path, content: bytes | str) -> None:
    """Write a new file beside `path`, force it to disk, and rename it into place; text is written as UTF-8.

    Killed at any moment, `path` holds what it held before or all of `content`. Raises OSError.
    """
    if isinstance(content, str):
        content = content.encode()
    path.parent.mkdir(parents=True, exist_ok=True)
    descriptor, beside = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name[:100]}.", suffix=".part")
    try:
        with os.fdopen(descriptor, "wb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        Path(beside).chmod(0o644)
        Path(beside).replace(path)
    except BaseException:
        Path(beside).unlink(missing_ok=True)
        raise


@contextlib.contextmanager
def whole_folder(folder: Path) -> Iterator[Path]:
    """A new folder beside, to be written into, that replaces `folder` where the block ends well and vanishes otherwise.

    Killed at any moment, `folder` is what it was before or all that was written. For one process at a time: hold
    `locked(folder)`. Raises OSError.
    """
    beside = partial_of(folder)
    folder.parent.mkdir(parents=True, exist_ok=True)
    shutil.rmtree(beside, ignore_errors=True)  # of one that was killed
    beside.mkdir()
    try:
        yield beside
        for path in beside.rglob("*"):
            sync(path)
        put(beside, folder)
    except BaseException:
        shutil.rmtree(beside, ignore_errors=True)
        raise


def partial_of(folder: Path) -> Path:
    """Where a folder is made before it gets its name."""
    return folder.with_name(f".{folder.name}.part")


def put(finished: Path, folder: Path) -> None:
    """Give a finished folder its name, in place of what bore it. Nothing half written or half removed ever bears it."""
    sync(finished)
    if folder.exists():
        discard(folder)
    finished.rename(folder)
    sync(folder.parent)


def discard(folder: Path) -> None:
    """Remove a folder so that, killed half way, none is left that looks whole."""
    doomed = partial_of(folder.with_name(f"{folder.name}.old"))
    shutil.rmtree(doomed, ignore_errors=True)
    folder.rename(doomed)
    shutil.rmtree(doomed, ignore_errors=True)


def sync(path: Path) -> None:
    """Force a file, or a folder's list of names, to disk, where the system can (Windows opens no folder)."""
    with contextlib.suppress(PermissionError):
        handle = os.open(path, os.O_RDONLY)
        try:
            os.fsync(handle)
        finally:
            os.close(handle)


def save(path: Path, content: bytes | str) -> None:
    """`write_whole`, raising BadInput where the disk does not take it."""
    try:
        write_whole(path, content)
    except OSError as error:
        raise disk_trouble(error, path) from error


def is_leftover(name: str) -> bool:
    """Is this the name of a file or folder that a killed process was writing?"""
    return bool(LEFTOVER.fullmatch(name))


def sweep(folder: Path, older: float = 0.0) -> None:
    """Remove what killed processes left half written here, if it was last touched more than `older` seconds ago.

    A folder that another process is making, and so has locked, stays.
    """
    with contextlib.suppress(OSError):
        for path in list(folder.iterdir()):
            found = LEFTOVER.fullmatch(path.name)
            if found is None or time.time() - path.stat().st_mtime < older:
                continue
            if not path.is_dir():
                path.unlink()
                continue
            with contextlib.suppress(BlockingIOError), locked(folder / found[1], wait=False):
                shutil.rmtree(path, ignore_errors=True)


def disk_trouble(error: OSError, where: Path) -> BadInput:
    """The sentence for a file that cannot be written."""
    if error.errno in (errno.ENOSPC, errno.EDQUOT):
        return BadInput(f"The disk is full: {where} could not be written. Free some space; what was saved is whole.")
    cure = "set INSIDEOUT_HOME to a folder that can be written" if in_home(where) else "choose another folder"
    return BadInput(f"{where} could not be written ({error.strerror or error}): {cure}.")


def in_home(path: Path) -> bool:
    """Does it lie where INSIDEOUT_HOME decides?"""
    return any(path.is_relative_to(folder) for folder in (cache_folder(""), data_folder()))


def lock_of(path: Path) -> Path:
    """The file beside `path` that is locked."""
    return path.with_name(f".{path.name}.lock")


@contextlib.contextmanager
def locked(path: Path, wait: bool = True) -> Iterator[None]:
    """One process at a time works on `path`; the others wait, or, with `wait=False`, get BlockingIOError at once.

    The lock is a file beside, which is removed at the end; it dies with its process. Raises OSError where it cannot be
    made.
    """
    lock_of(path).parent.mkdir(parents=True, exist_ok=True)
    while True:
        with lock_of(path).open("a") as file:
            _lock(file, wait)
            if not _is_still(lock_of(path), file):
                continue  # who held it before removed it meanwhile
            try:
                yield
            finally:
                with contextlib.suppress(OSError):  # Windows removes no open file
                    lock_of(path).unlink()
            return


def _is_still(path: Path, file: IO[str]) -> bool:
    try:
        return os.path.samestat(os.fstat(file.fileno()), path.stat())
    except OSError:
        return False


def _lock(file: IO[str], wait: bool) -> None:
    try:
        import fcntl

        fcntl.flock(file, fcntl.LOCK_EX | (0 if wait else fcntl.LOCK_NB))
    except ModuleNotFoundError:  # Windows
        import msvcrt

        msvcrt.locking(file.fileno(), msvcrt.LK_LOCK if wait else msvcrt.LK_NBLCK, 1)  # type: ignore[attr-defined]
