"""Text to token ids and back: a tokenizer of characters, and one of byte pairs.

    decode(encode(text)) = text

Part 2 of the book, the chapter on tokens. The merges are learned by bpe.py, which is to be read; encoding runs in
Hugging Face tokenizers, which is fast, with the same ids. Both are saved as a standard tokenizer.json, which
`transformers.PreTrainedTokenizerFast(tokenizer_file=...)` loads too.
"""

import hashlib
import json
from collections.abc import Iterable, Sequence
from functools import cached_property
from itertools import chain
from pathlib import Path
from typing import Any

import numpy as np
import tokenizers
from jaxtyping import Int64
from tokenizers import AddedToken, decoders, models, pre_tokenizers

from insideout import files
from insideout.data.text.cut import cut_safely
from insideout.errors import BadInput
from insideout.transformer import bpe

_PIECE = 1 << 14  # characters given to one thread at a time


class CharacterTokenizer:
    """A token is a character that occurs in the training text; ids follow the characters' order in Unicode."""

    def __init__(self, characters: Sequence[str]):
        self.characters = list(characters)
        self._ids = {character: id for id, character in enumerate(self.characters)}
        if not self.characters or len(self._ids) < len(self.characters) or any(len(c) != 1 for c in self._ids):
            raise BadInput("A character tokenizer needs at least one character, and each only once.")

    @classmethod
    def train(cls, text: str | Iterable[str]) -> "CharacterTokenizer":
        """The tokenizer of all characters of a text, given whole or in chunks."""
        characters: set[str] = set()
        for chunk in [text] if isinstance(text, str) else text:
            characters.update(chunk)
        if not characters:
            raise BadInput("The text to train the tokenizer on is empty: give a text with at least one character.")
        for character in characters:
            _check_text(character)
        return cls(sorted(characters))

    @property
    def vocab_size(self) -> int:
        """How many different tokens there are (V)."""
        return len(self.characters)

    @cached_property
    def fingerprint(self) -> str:
        """A hash that differs whenever the ids of some text would."""
        return _hash(["character", self.characters])

    def encode(self, text: str) -> list[int]:
        """A text's ids. Raises BadInput for a character that was not in the training text."""
        try:
            return [self._ids[character] for character in text]
        except KeyError as error:
            raise BadInput(
                f"The character {error.args[0]!r} was not in the text that this tokenizer was trained on: leave it "
                "out, or train with the bpe tokenizer, which knows every byte."
            ) from None

    def decode(self, ids: Iterable[int]) -> str:
        """The text of some ids."""
        return "".join(self.characters[id] for id in _check_ids(ids, self.vocab_size))

    def save(self, path: str | Path) -> None:
        """Write a standard tokenizer.json."""
        fast = tokenizers.Tokenizer(models.WordLevel(self._ids, unk_token="<unk>"))
        fast.pre_tokenizer = pre_tokenizers.Split(tokenizers.Regex(r"[\s\S]"), "isolated")
        fast.decoder = decoders.Fuse()
        _write(path, fast)


class BPETokenizer:
    """Byte-level BPE: 256 bytes, then the merges in the order learned, then the special tokens."""

    def __init__(self, merges: Sequence[bpe.Pair], special_tokens: Sequence[str] = ()):
        self.merges = [(int(left), int(right)) for left, right in merges]
        self.special_tokens = list(special_tokens)
        for token in self.special_tokens:
            if not token or any(character.isspace() for character in token):
                raise BadInput(f"The special token {token!r} is empty or holds a blank: choose one such as <|end|>.")
        if len(set(self.special_tokens)) < len(self.special_tokens):
            raise BadInput("A special token is listed twice: list each once.")
        self.tokens = bpe.vocabulary(self.merges) + [token.encode() for token in self.special_tokens]
        first = 256 + len(self.merges)
        self.special_ids = {token: first + i for i, token in enumerate(self.special_tokens)}
        self._fast = _byte_level(self.merges, self.special_tokens)
        self._plain = _byte_level(self.merges, []) if self.special_tokens else self._fast

    @classmethod
    def train(cls, text: str | Iterable[str], vocab_size: int, special_tokens: Sequence[str] = ()) -> "BPETokenizer":
        """Learn a vocabulary of `vocab_size` tokens, special tokens included, from a text, whole or in chunks.

        The vocabulary is smaller when the text runs out of pairs to merge.
        """
        n_merges = vocab_size - 256 - len(special_tokens)
        if n_merges < 0:
            raise BadInput(
                f"vocab_size is {vocab_size}; it must be at least {256 + len(special_tokens)}: "
                f"256 bytes and {len(special_tokens)} special tokens."
            )
        chunks = iter([text] if isinstance(text, str) else text)
        counts = bpe.count_words(_without(chunks, special_tokens))
        if not counts:
            raise BadInput("The text to train the tokenizer on is empty: give a text with at least one character.")
        return cls(bpe.train(counts, n_merges), special_tokens)

    @property
    def vocab_size(self) -> int:
        """How many different tokens there are (V), special tokens included."""
        return len(self.tokens)

    @cached_property
    def fingerprint(self) -> str:
        """A hash that differs whenever the ids of some text would."""
        return _hash(["bpe", self.merges, self.special_tokens])

    def encode(self, text: str, *, special: bool = True) -> list[int]:
        """A text's ids. Special tokens written in it are found, unless `special` is false: then they are plain text."""
        _check_text(text)
        fast = self._fast if special else self._plain
        pieces = [text] if len(text) <= _PIECE else list(cut_safely([text], _PIECE))
        encoded = fast.encode_batch_fast(pieces, add_special_tokens=False)
        return list(chain.from_iterable(piece.ids for piece in encoded))

    def encode_bytes(self, data: bytes, *, special: bool = True) -> list[int]:
        """The ids of any bytes. What is valid UTF-8 is encoded as text, every other byte as its own token."""
        ids: list[int] = []
        run: list[str] = []
        for character in data.decode("utf-8", "surrogateescape"):
            if "\udc80" <= character <= "\udcff":  # the stand-in for a byte that is not UTF-8
                ids += self.encode("".join(run), special=special)
                ids.append(bpe.BYTE_TO_ID[ord(character) - 0xDC00])
                run = []
            else:
                run.append(character)
        return ids + self.encode("".join(run), special=special)

    def decode_bytes(self, ids: Iterable[int]) -> bytes:
        """The bytes of some ids, exactly."""
        return b"".join(self.tokens[id] for id in _check_ids(ids, self.vocab_size))

    def decode(self, ids: Iterable[int]) -> str:
        """The text of some ids; bytes that are not UTF-8 (half a character, say) become U+FFFD."""
        return self.decode_bytes(ids).decode("utf-8", "replace")

    def save(self, path: str | Path) -> None:
        """Write a standard tokenizer.json."""
        _write(path, self._fast)


def load_tokenizer(path: str | Path) -> CharacterTokenizer | BPETokenizer:
    """The tokenizer in a tokenizer.json. Raises BadInput for a file that is missing, truncated or of another kind."""
    path = Path(path)
    try:
        about = json.loads(path.read_bytes())
    except OSError as error:
        raise BadInput(f"Could not read the tokenizer {path}: {error.strerror}. Check the path.") from error
    except ValueError as error:
        raise BadInput(f"The tokenizer {path} is truncated or not JSON ({error}): save it again.") from error
    try:
        kind, vocab = about["model"]["type"], {str(t): int(i) for t, i in about["model"]["vocab"].items()}
        added = {str(token["content"]): int(token["id"]) for token in about["added_tokens"]}
        inverse = sorted(vocab, key=vocab.__getitem__)
        if kind == "WordLevel" and not added and sorted(vocab.values()) == list(range(len(vocab))):
            characters = CharacterTokenizer(inverse)
            if about["pre_tokenizer"]["type"] == "Split" and about["normalizer"] is None:
                return characters
        if kind == "BPE" and about["normalizer"] is None and _is_gpt2_split(about["pre_tokenizer"]):
            return _load_bpe(about["model"]["merges"], vocab, added)
    except (KeyError, TypeError, ValueError, AttributeError, IndexError):
        pass
    raise BadInput(
        f"The tokenizer {path} is neither of single characters nor GPT-2's kind of byte-level BPE: "
        "use one that was trained here, or a model's own through the transformers library."
    )


def _load_bpe(merges: list[Any], vocab: dict[str, int], added: dict[str, int]) -> BPETokenizer:
    pairs = [merge.split(" ") if isinstance(merge, str) else merge for merge in merges]
    specials = sorted(added, key=added.__getitem__)
    tokenizer = BPETokenizer([(vocab[left], vocab[right]) for left, right in pairs], specials)
    expected = {_symbols(token): id for id, token in enumerate(tokenizer.tokens[: 256 + len(pairs)])}
    if {t: i for t, i in vocab.items() if t not in added} != expected or tokenizer.special_ids != added:
        raise ValueError
    return tokenizer


def _is_gpt2_split(about: dict[str, Any]) -> bool:
    return about["type"] == "ByteLevel" and not about["add_prefix_space"] and about.get("use_regex", True) is True


def _byte_level(merges: Sequence[bpe.Pair], special_tokens: Sequence[str]) -> tokenizers.Tokenizer:
    """The same tokenizer in Hugging Face tokenizers."""
    symbols = [_symbols(token) for token in bpe.vocabulary(merges)]
    vocab = {symbol: id for id, symbol in enumerate(symbols)}
    if len(vocab) < len(symbols):
        raise BadInput("Two merges make the same token: these are not the merges of one training.")
    fast = tokenizers.Tokenizer(models.BPE(vocab, [(symbols[left], symbols[right]) for left, right in merges]))
    fast.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=True)
    fast.decoder = decoders.ByteLevel()
    fast.add_special_tokens([AddedToken(token, special=True, normalized=False) for token in special_tokens])
    return fast


def _symbols(token: bytes) -> str:
    return "".join(bpe.BYTE_TO_SYMBOL[byte] for byte in token)


def _without(chunks: Iterable[str], special_tokens: Sequence[str]) -> Iterable[str]:
    """The text with special tokens taken out: their spelling is not worth merges."""
    for piece in cut_safely(chunks):
        for token in special_tokens:
            piece = piece.replace(token, "\n")
        yield piece


def _check_text(text: str) -> None:
    try:
        text.encode()
    except UnicodeEncodeError as error:
        raise BadInput(
            f"The text holds half a surrogate pair at character {error.start}, which UTF-8 cannot hold: "
            "read the file with the right encoding."
        ) from None


def _check_ids(ids: Iterable[int], vocab_size: int) -> Int64[np.ndarray, " T"]:
    array = np.fromiter(ids, dtype=np.int64)
    if len(array) and not (array.min() >= 0 and array.max() < vocab_size):
        wrong = int(array[(array < 0) | (array >= vocab_size)][0])
        raise BadInput(f"There is no token {wrong}: ids go from 0 to {vocab_size - 1}. Is it another tokenizer's?")
    return array


def _hash(content: list[Any]) -> str:
    return hashlib.sha256(json.dumps(content).encode()).hexdigest()


def _write(path: str | Path, fast: tokenizers.Tokenizer) -> None:
    try:
        files.write_whole(Path(path), fast.to_str(pretty=True))
    except OSError as error:
        raise BadInput(f"Could not write the tokenizer {path}: {error.strerror}. Choose another folder.") from error
