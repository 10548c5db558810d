"""Whole files, and where things are kept on the reader's machine.

    write_whole(path, content)      there whole or not at all, whatever happens meanwhile
    with locked(path):              one process at a time
    cache_folder("data")            what can be made again        data_folder()     what cannot

INSIDEOUT_HOME decides where, else the folders that the system sets aside. Standard library only, unless platformdirs
is there to know the system's customs better.
"""

import contextlib
import errno
import os
import tempfile
from collections.abc import Iterator
from pathlib import Path

from insideout.errors import BadInput


def cache_folder(name: str) -> Path:
    """For what can be made again: downloads, trained models, records of claims."""
    return _home("user_cache_dir", ".cache") / name


def data_folder() -> Path:
    """For what cannot: the reader's progress."""
    return _home("user_data_dir", ".local/share")


def _home(kind: str, customary: str) -> Path:
    chosen = os.environ.get("INSIDEOUT_HOME")
    if chosen:
        return Path(chosen).expanduser()
    try:
        import platformdirs
    except ModuleNotFoundError:
        return Path.home() / customary / "insideout"
    return Path(getattr(platformdirs, kind)("insideout"))


def write_whole(path: Path, content: bytes | str) -> None:
    """Write a new file beside `path`, force it to disk, and rename it into place; text is written as UTF-8.

    Killed at any moment, `path` holds what it held before or all of `content`. Raises OSError.
    """
    if isinstance(content, str):
        content = content.encode()
    path.parent.mkdir(parents=True, exist_ok=True)
    descriptor, beside = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name[:100]}.")
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


def sync_folder(folder: Path) -> None:
    """Force a folder's list of names to disk, where the system can (Windows cannot open a folder)."""
    with contextlib.suppress(PermissionError):
        handle = os.open(folder, os.O_RDONLY)
        try:
            os.fsync(handle)
        finally:
            os.close(handle)


def disk_trouble(error: OSError, where: Path) -> BadInput:
    """The sentence for a file that cannot be written."""
    if error.errno in (errno.ENOSPC, errno.EDQUOT):
        return BadInput(f"The disk is full: {where} could not be written. Free some space; what was saved is whole.")
    return BadInput(f"{where} could not be written ({error.strerror or error}): choose another folder.")


@contextlib.contextmanager
def locked(path: Path, wait: bool = True) -> Iterator[None]:
    """One process at a time works on `path`; the others wait, or, with `wait=False`, get BlockingIOError at once.

    The lock is a file beside, and dies with its process. Raises OSError where it cannot be made.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.with_name(f".{path.name}.lock").open("w") as file:
        try:
            import fcntl

            fcntl.flock(file, fcntl.LOCK_EX | (0 if wait else fcntl.LOCK_NB))
        except ModuleNotFoundError:  # Windows
            import msvcrt

            msvcrt.locking(file.fileno(), msvcrt.LK_LOCK if wait else msvcrt.LK_NBLCK, 1)  # type: ignore[attr-defined]
        yield
