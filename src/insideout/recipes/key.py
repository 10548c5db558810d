"""The key of a result: a hash of all that decides it, so that a stale one is never used.

settings, but for those that the stage declares free · keys of the inputs · fingerprints of data that are read ·
the code reached from `make` (code.py), and from `load` of what it needs · torch's version
"""

import hashlib
import json
from collections.abc import Iterable, Mapping
from typing import Any

from insideout.machine import torch_version
from insideout.recipes.code import code_key

APART = (
    "insideout.transformer.tensor_parallel", "insideout.recipes.code", "insideout.recipes.stage",
    "insideout.recipes.found",
)  # fmt: skip
"""Code that decides nothing here: what runs only where several processes share one model, since stored results are made
by one; what finds names for what is kept; what finds and stores results, from which every stage there is could be
reached, so that a new one would make others anew (what a stage needs, it is handed: `make` calls no recipe); and what
finds out what a folder holds, since a plan adds what reads it."""


def key_of(name: str, settings: Any, inputs: Mapping[str, str], sources: Mapping[str, str], code: str) -> str:
    """The key, 16 hexadecimal digits, from settings as JSON knows them and the keys of all else."""
    parts = [name, settings, dict(inputs), dict(sources), code, torch_version()]
    return hashlib.sha256(json.dumps(parts, sort_keys=True).encode()).hexdigest()[:16]


def code_of(functions: Iterable[Any]) -> str:
    """The key of the code that these functions, each at the top of a file, reach when one process runs them."""
    return code_key([f"{each.__module__}:{each.__qualname__}" for each in functions], apart=APART)
