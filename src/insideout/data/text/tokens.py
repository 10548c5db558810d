"""Tokens on disk, and batches of them: a corpus is tokenised once and read through a memory map from then on.

The first 90% of the characters train, the last 10% validate. A batch is a function of (seed, step, micro step, rank)
and of nothing else, so a run that was stopped goes on with exactly the batches it would have had.
Shapes: B batch, T context length.
"""

import errno
import hashlib
import json
import zlib
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol, runtime_checkable

import numpy as np
import torch
from jaxtyping import Int64, UInt
from torch import Tensor

from insideout.data.text.corpus import Corpus
from insideout.data.text.cut import cut_safely
from insideout.errors import BadInput
from insideout.files import locked, whole_folder

_FORMAT = 2  # change it when the files' layout changes
PARTS = ("train", "validation")


@runtime_checkable
class Tokenizer(Protocol):
    """What is needed of a tokenizer here."""

    @property
    def vocab_size(self) -> int: ...

    @property
    def fingerprint(self) -> str: ...

    def encode(self, text: str) -> list[int]: ...


@dataclass(frozen=True)
class Tokens:
    """A long row of token ids, memory-mapped: uint16 when the vocabulary fits, else uint32."""

    ids: UInt[np.ndarray, " N"]

    def __len__(self) -> int:
        return len(self.ids)


@dataclass(frozen=True)
class TokenData:
    """A tokenised corpus."""

    train: Tokens
    validation: Tokens
    validation_bytes_per_token: float
    """UTF-8 bytes of the held-out text per token of it: bits per byte = loss / (ln 2 · this)."""


def prepare(
    corpus: Corpus,
    tokenizer: Tokenizer,
    folder: Path,
    validation_fraction: float = 0.1,
    context_length: int | None = None,
) -> TokenData:
    """The corpus as token ids, tokenised into `folder` unless it has been already.

    Raises BadInput when the disk is full, when a part would have fewer than two tokens, and, given a context length,
    when the training part is not longer than it.
    """
    if not 0 < validation_fraction < 1:
        raise BadInput(f"validation_fraction is {validation_fraction}; it must lie between 0 and 1.")
    key = f"{_FORMAT} {corpus.fingerprint} {tokenizer.fingerprint} {validation_fraction!r}"
    place = folder / f"tokens-{hashlib.sha256(key.encode()).hexdigest()[:16]}"
    data = _read(place)
    if data is None:
        _write(corpus, tokenizer, place, int((1 - validation_fraction) * corpus.n_characters))
        data = _read(place)
        if data is None:
            raise BadInput(f"The tokens written to {place} cannot be read back: check the disk.")
    for part, tokens in (("training", data.train), ("validation", data.validation)):
        if len(tokens) < 2:
            raise BadInput(
                f"The corpus {corpus.name} is too short: its {part} part has {len(tokens)} tokens. Give a longer text."
            )
    if context_length is not None:
        _check_length(data.train, context_length)
    return data


def sample_batch(
    tokens: Tokens, step: int, batch_size: int, context_length: int, seed: int, micro_step: int = 0, rank: int = 0
) -> tuple[Int64[Tensor, "B T"], Int64[Tensor, "B T"]]:
    """Random windows and, for each position, the token that follows. Depends on the arguments alone."""
    _check_length(tokens, context_length)
    random = np.random.default_rng([seed % 2**64, step, micro_step, rank])
    starts = random.integers(0, len(tokens) - context_length, size=batch_size)
    rows = np.stack([tokens.ids[start : start + context_length + 1] for start in starts])  # (B, T+1)
    return _inputs_and_targets(rows)


def windows(
    tokens: Tokens, context_length: int, batch_size: int
) -> Iterator[tuple[Int64[Tensor, "B T"], Int64[Tensor, "B T"]]]:
    """Windows side by side: every token but the first is a target exactly once.

    The windows are full except the last, which may be short and then comes in a batch of its own.
    """
    n_targets = len(tokens) - 1
    full = n_targets // context_length
    for first in range(0, full, batch_size):
        starts = range(first * context_length, min(first + batch_size, full) * context_length, context_length)
        yield _inputs_and_targets(np.stack([tokens.ids[start : start + context_length + 1] for start in starts]))
    if n_targets > full * context_length:
        yield _inputs_and_targets(np.asarray(tokens.ids[full * context_length :])[None])


def _inputs_and_targets(rows: UInt[np.ndarray, "B T_plus_1"]) -> tuple[Int64[Tensor, "B T"], Int64[Tensor, "B T"]]:
    ids = torch.from_numpy(rows.astype(np.int64))  # (B, T+1)
    return ids[:, :-1].contiguous(), ids[:, 1:].contiguous()


def _check_length(tokens: Tokens, context_length: int) -> None:
    if len(tokens) <= context_length:
        raise BadInput(
            f"The corpus has {len(tokens):,} training tokens, too few for a context of {context_length:,}: "
            "give a longer text, or a smaller context_length."
        )


def _read(place: Path) -> TokenData | None:
    """The tokens in `place`, or None where they are absent or damaged: another size, another content."""
    try:
        about = json.loads((place / "about.json").read_text(encoding="utf-8"))
        if about.pop("checksum") != _checksum(place, about):
            return None
        parts = {}
        for part in PARTS:
            path, n, dtype = place / f"{part}.bin", int(about[part]), np.dtype(about["dtype"])
            if path.stat().st_size != n * dtype.itemsize:
                return None
            parts[part] = Tokens(np.memmap(path, dtype, mode="r", shape=(n,)) if n else np.empty(0, dtype))
        return TokenData(parts["train"], parts["validation"], float(about["validation_bytes_per_token"]))
    except (OSError, ValueError, KeyError, TypeError, AttributeError, RecursionError):
        return None


def _checksum(place: Path, about: dict[str, Any]) -> int:
    """CRC-32 of the tokens and of what is said about them. It costs less than the corpus, which was read anyway."""
    found = zlib.crc32(json.dumps(about, sort_keys=True).encode())
    for part in PARTS:
        with (place / f"{part}.bin").open("rb") as file:
            while block := file.read(1 << 20):
                found = zlib.crc32(block, found)
    return found


def _write(corpus: Corpus, tokenizer: Tokenizer, place: Path, split: int) -> None:
    """Tokenise into `place`, unless another process does so meanwhile: it is whole or absent."""
    dtype = np.dtype(np.uint16 if tokenizer.vocab_size <= 2**16 else np.uint32)
    try:
        with locked(place):
            if _read(place) is not None:
                return
            with whole_folder(place) as beside:
                n_train, _ = _write_part(beside / "train.bin", _between(corpus.chunks(), 0, split), tokenizer, dtype)
                rest = _between(corpus.chunks(), split, corpus.n_characters)
                n_validation, n_bytes = _write_part(beside / "validation.bin", rest, tokenizer, dtype)
                about = {
                    "corpus": corpus.name,
                    "corpus_fingerprint": corpus.fingerprint,
                    "tokenizer_fingerprint": tokenizer.fingerprint,
                    "dtype": dtype.name,
                    "train": n_train,
                    "validation": n_validation,
                    "validation_bytes_per_token": n_bytes / max(1, n_validation),
                }
                about["checksum"] = _checksum(beside, about)
                (beside / "about.json").write_text(json.dumps(about, indent=2) + "\n", encoding="utf-8")
    except OSError as error:
        cure = "free some space" if error.errno == errno.ENOSPC else "check that it may be written"
        raise BadInput(f"Could not write tokens to {place.parent}: {error.strerror}; {cure}.") from error


def _write_part(path: Path, text: Iterable[str], tokenizer: Tokenizer, dtype: np.dtype) -> tuple[int, int]:
    """Tokenise a stream of text into a file; returns the numbers of tokens and of bytes of text."""
    n_tokens = n_bytes = 0
    with path.open("wb") as file:
        for piece in cut_safely(text, size=1 << 20):
            ids = np.asarray(tokenizer.encode(piece), dtype=dtype)
            file.write(ids.tobytes())
            n_tokens, n_bytes = n_tokens + len(ids), n_bytes + len(piece.encode())
    return n_tokens, n_bytes


def _between(chunks: Iterable[str], start: int, stop: int) -> Iterator[str]:
    """Characters start to stop of a streamed text."""
    at = 0
    for chunk in chunks:
        if at >= stop:
            return
        piece = chunk[max(0, start - at) : stop - at]
        at += len(chunk)
        if piece:
            yield piece
