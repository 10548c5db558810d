"""A hash of the source files that decide how a model comes out, so that a stale model is never used silently."""

import hashlib
from functools import lru_cache
from pathlib import Path

PACKAGES = ("data", "training", "transformer")


@lru_cache
def code_version(packages: tuple[str, ...] = PACKAGES) -> str:
    """The first 16 digits of the sha256 of these packages' source files, names included."""
    digest = hashlib.sha256()
    root = Path(__file__).resolve().parents[1]
    for package in packages:
        for file in sorted((root / package).rglob("*.py")):
            digest.update(f"{file.relative_to(root).as_posix()}\0".encode())
            digest.update(file.read_bytes() + b"\0")
    return digest.hexdigest()[:16]
