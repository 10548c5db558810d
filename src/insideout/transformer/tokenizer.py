"""Text to token ids and back: a tokenizer of characters, and one of byte pairs.

    decode(encode(text)) = text

Special tokens (pad, begin, end, who speaks) stand for no text: `encode` makes none of them from what somebody wrote,
unless they are asked for. So a user who types "<|end|>" ends nothing.
Taught in book/2-building-a-transformer/01_tokens_embeddings_positions.md. The merges are learned by bpe.py, which is to
be read; encoding runs in Hugging Face tokenizers, which is fast, with the same ids. Both are saved as a standard
tokenizer.json, which `transformers.PreTrainedTokenizerFast(tokenizer_file=...)` loads too.
"""

import hashlib
import json
import operator
import re
from collections.abc import Collection, Iterable, Iterator, Sequence
from functools import cached_property
from itertools import chain
from pathlib import Path
from typing import Any, TypeVar

import tokenizers
from tokenizers import AddedToken, decoders, models, pre_tokenizers

from insideout import files
from insideout.checks import whole
from insideout.data.text.cut import cut_safely
from insideout.errors import BadInput
from insideout.transformer import bpe

_PIECE = 1 << 14  # characters given to one thread at a time
_ROLES = {"pad": "pad_token", "begin": "bos_token", "end": "eos_token"}  # ours, and tokenizer_config.json's

Kind = TypeVar("Kind", bound="Tokenizer")


class Tokenizer:
    """What both tokenizers share: special tokens, whose ids follow the ordinary ones, in the order they were added.

    Three of them may have a role that others rely on: `pad` fills a batch up, `begin` opens a text, `end` closes it.
    """

    special_ids: dict[str, int]
    """The id of each special token."""
    stop_ids: tuple[int, ...]
    """The tokens at which the model's text ends: what `generate` takes as `stop`."""

    def __init__(self, special_tokens: Sequence[str], n_ordinary: int, roles: dict[str, str]) -> None:
        self.special_tokens, self.roles = list(special_tokens), dict(roles)
        for token in self.special_tokens:
            check_text(token)
            if not token or any(character.isspace() for character in token):
                raise BadInput(f"The special token {token!r} is empty or holds a blank: choose one such as <|end|>.")
        if len(set(self.special_tokens)) < len(self.special_tokens):
            raise BadInput("A special token is listed twice: list each once.")
        self.special_ids = {token: n_ordinary + i for i, token in enumerate(self.special_tokens)}
        for role, token in self.roles.items():
            if token not in self.special_ids:
                raise BadInput(f"{role} is {token!r}, which is none of the special tokens: add it to them.")
        self.stop_ids = () if self.end_id is None else (self.end_id,)

    @property
    def pad_id(self) -> int | None:
        """The token that fills a batch up, if there is one."""
        return self.special_ids.get(self.roles.get("pad", ""))

    @property
    def begin_id(self) -> int | None:
        """The token that opens a text, if there is one."""
        return self.special_ids.get(self.roles.get("begin", ""))

    @property
    def end_id(self) -> int | None:
        """The token that closes a text, if there is one."""
        return self.special_ids.get(self.roles.get("end", ""))

    def encode(self, text: str, *, special: bool | Collection[str] = False) -> list[int]:
        """A text's ids. Special tokens written in it are plain text, but for those named, or, with True, all.

        Raises BadInput for what is no text of this tokenizer's, and for a name that is no special token.
        """
        check_text(text)
        asked = asked_for(special, self.special_ids)
        return list(
            chain.from_iterable(
                [self.special_ids[piece]] if found else self._encode(piece) for found, piece in cut_at(text, asked)
            )
        )

    def with_special(
        self: Kind, tokens: Sequence[str], *, pad: str | None = None, begin: str | None = None, end: str | None = None
    ) -> Kind:
        """This tokenizer with more special tokens, numbered on from its last id; all ids so far stay.

        A model of its own needs a row for each: see `vocabulary.grow`. Roles are given by the tokens' names, and kept
        where none is given. Raises BadInput for a token that there is already.
        """
        for token in tokens:
            if token in self.special_ids:
                raise BadInput(f"{token} is a special token already: leave it out.")
        given = {"pad": pad, "begin": begin, "end": end}
        roles = self.roles | {role: token for role, token in given.items() if token is not None}
        same: Kind = self._like([*self.special_tokens, *tokens], roles)
        return same

    def save(self, path: str | Path) -> None:
        """Write a standard tokenizer.json, and the roles, where there are any, beside it as tokenizer_config.json.

        Raises BadInput where they cannot be written.
        """
        path = Path(path)
        try:
            if self.roles:
                about = {
                    "tokenizer_class": "PreTrainedTokenizerFast",
                    "clean_up_tokenization_spaces": False,
                    **{_ROLES[role]: token for role, token in self.roles.items()},
                }
                files.write_whole(config_beside(path), json.dumps(about, indent=2, ensure_ascii=False) + "\n")
            files.write_whole(path, self._fast.to_str(pretty=True))
        except OSError as error:
            raise files.disk_trouble(error, path) from error
        except ValueError as error:  # a null character
            raise BadInput(
                f"The tokenizer cannot be written to {str(path)!r} ({error}): choose another name."
            ) from error

    @cached_property
    def _fast(self) -> tokenizers.Tokenizer:
        """The same tokenizer in Hugging Face tokenizers."""
        raise NotImplementedError

    def _encode(self, text: str) -> list[int]:
        """The ids of text without special tokens."""
        raise NotImplementedError

    def _like(self, special_tokens: list[str], roles: dict[str, str]) -> Any:
        """The same tokenizer with these special tokens."""
        raise NotImplementedError


class CharacterTokenizer(Tokenizer):
    """A token is a character that occurs in the training text; ids follow the characters' order in Unicode."""

    def __init__(self, characters: Sequence[str], special_tokens: Sequence[str] = (), **roles: str):
        self.characters = list(characters)
        self._ids = {character: id for id, character in enumerate(self.characters)}
        if not self.characters or len(self._ids) < len(self.characters) or any(len(c) != 1 for c in self._ids):
            raise BadInput("A character tokenizer needs at least one character, and each only once.")
        _check_apart(special_tokens, self._ids)
        super().__init__(special_tokens, len(self.characters), roles)
        self.tokens = [*self.characters, *self.special_tokens]

    @classmethod
    def train(cls, text: str | Iterable[str]) -> "CharacterTokenizer":
        """The tokenizer of all characters of a text, given whole or in chunks."""
        characters: set[str] = set()
        for chunk in chunks_of(text):
            characters.update(chunk)
        if not characters:
            raise BadInput("The text to train the tokenizer on is empty: give a text with at least one character.")
        for character in characters:
            check_text(character)
        return cls(sorted(characters))

    @property
    def vocab_size(self) -> int:
        """How many different tokens there are (V), special tokens included."""
        return len(self.tokens)

    @cached_property
    def fingerprint(self) -> str:
        """A hash that differs whenever the ids of some text would."""
        return _hash(["character", self.characters, *([self.special_tokens] if self.special_tokens else [])])

    def decode(self, ids: Any, *, special: bool = True) -> str:
        """The text of some ids, special tokens shown or left out. Raises BadInput for what is no id."""
        shown = self.vocab_size if special else len(self.characters)
        return "".join(self.tokens[id] for id in check_ids(ids, self.vocab_size) if id < shown)

    def _encode(self, text: str) -> list[int]:
        try:
            return [self._ids[character] for character in text]
        except KeyError as error:
            raise BadInput(
                f"The character {error.args[0]!r} was not in the text that this tokenizer was trained on: leave it "
                "out, or train with the bpe tokenizer, which knows every byte."
            ) from None

    def _like(self, special_tokens: list[str], roles: dict[str, str]) -> "CharacterTokenizer":
        return CharacterTokenizer(self.characters, special_tokens, **roles)

    @cached_property
    def _fast(self) -> tokenizers.Tokenizer:
        fast = tokenizers.Tokenizer(models.WordLevel(self._ids, unk_token="<unk>"))
        fast.pre_tokenizer = pre_tokenizers.Split(tokenizers.Regex(r"[\s\S]"), "isolated")
        fast.decoder = decoders.Fuse()
        return _with_special(fast, self.special_tokens)


class BPETokenizer(Tokenizer):
    """Byte-level BPE: 256 bytes, then the merges in the order learned, then the special tokens."""

    def __init__(self, merges: Sequence[bpe.Pair], special_tokens: Sequence[str] = (), **roles: str):
        self.merges = _check_merges(merges)
        ordinary = bpe.vocabulary(self.merges)
        self._plain = _byte_level(self.merges, ordinary)
        _check_apart(special_tokens, [_symbols(token) for token in ordinary])
        super().__init__(special_tokens, len(ordinary), roles)
        self.tokens = ordinary + [token.encode() for token in self.special_tokens]

    @classmethod
    def train(cls, text: str | Iterable[str], vocab_size: int, special_tokens: Sequence[str] = ()) -> "BPETokenizer":
        """Learn a vocabulary of `vocab_size` tokens, special tokens included, from a text, whole or in chunks.

        The vocabulary is smaller when the text runs out of pairs to merge.
        """
        n_merges = whole("vocab_size", vocab_size, 1) - 256 - len(special_tokens)
        if n_merges < 0:
            raise BadInput(
                f"vocab_size is {vocab_size}; it must be at least {256 + len(special_tokens)}: "
                f"256 bytes and {len(special_tokens)} special tokens."
            )
        counts = bpe.count_words(_without(chunks_of(text), special_tokens))
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

    def encode_bytes(self, data: bytes, *, special: bool | Collection[str] = False) -> list[int]:
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

    def decode_bytes(self, ids: Any, *, special: bool = True) -> bytes:
        """The bytes of some ids, exactly; special tokens shown or left out. Raises BadInput for what is no id."""
        shown = self.vocab_size if special else self.vocab_size - len(self.special_tokens)
        return b"".join(self.tokens[id] for id in check_ids(ids, self.vocab_size) if id < shown)

    def decode(self, ids: Any, *, special: bool = True) -> str:
        """The text of some ids; bytes that are not UTF-8 (half a character, say) become U+FFFD."""
        return self.decode_bytes(ids, special=special).decode("utf-8", "replace")

    def _encode(self, text: str) -> list[int]:
        pieces = [text] if len(text) <= _PIECE else list(cut_safely([text], _PIECE))
        encoded = self._plain.encode_batch_fast(pieces, add_special_tokens=False)
        return list(chain.from_iterable(piece.ids for piece in encoded))

    def _like(self, special_tokens: list[str], roles: dict[str, str]) -> "BPETokenizer":
        return BPETokenizer(self.merges, special_tokens, **roles)

    @cached_property
    def _fast(self) -> tokenizers.Tokenizer:
        return _with_special(_byte_level(self.merges, bpe.vocabulary(self.merges)), self.special_tokens)


def load_tokenizer(path: str | Path) -> CharacterTokenizer | BPETokenizer:
    """The tokenizer in a tokenizer.json, with the roles in the tokenizer_config.json beside it, if there is one.

    Raises BadInput for a file that is missing, truncated or of another kind.
    """
    path = Path(path)
    tokenizer = _read(_read_json(path))
    if tokenizer is None:
        raise BadInput(
            f"The tokenizer {path} is neither of single characters nor GPT-2's kind of byte-level BPE: "
            "use one that was trained here, or a model's own through the transformers library."
        )
    roles = _roles(config_beside(path))
    return tokenizer._like(tokenizer.special_tokens, roles) if roles else tokenizer


def _read(about: dict[str, Any]) -> CharacterTokenizer | BPETokenizer | None:
    """Our tokenizer with the same ids as the one that a tokenizer.json describes; None if there is none."""
    try:
        kind, vocab = about["model"]["type"], {str(t): _whole(i) for t, i in about["model"]["vocab"].items()}
        added = {_text(token["content"]): _whole(token["id"]) for token in about["added_tokens"] if _is_plain(token)}
        specials = sorted(added, key=added.__getitem__)
        tokenizer: CharacterTokenizer | BPETokenizer | None = None
        if about["normalizer"] is not None or len(added) < len(about["added_tokens"]):
            return None
        if kind == "WordLevel" and about["pre_tokenizer"]["type"] == "Split":
            characters = {token: id for token, id in vocab.items() if token not in added}
            if sorted(characters.values()) == list(range(len(characters))):
                tokenizer = CharacterTokenizer(sorted(characters, key=characters.__getitem__), specials)
        elif kind == "BPE" and _is_gpt2_split(about["pre_tokenizer"]) and _is_plain_bpe(about["model"]):
            tokenizer = _load_bpe(about["model"]["merges"], vocab, added)
        return tokenizer if tokenizer is not None and tokenizer.special_ids == added else None
    except (KeyError, TypeError, ValueError, AttributeError, IndexError, OverflowError):
        return None


def config_beside(path: Path) -> Path:
    """Where the roles of a tokenizer's special tokens are kept: beside tokenizer.json, tokenizer_config.json."""
    return path.with_name(f"{path.stem}_config.json")


def asked_for(special: bool | Collection[str], known: Collection[str]) -> list[str]:
    """The special tokens that `encode` was asked to find. Raises BadInput for a name that is none."""
    if isinstance(special, bool):
        return list(known) if special else []
    if not isinstance(special, Collection):
        raise BadInput(f"special is {special!r}: give True, False, or the names of special tokens.")
    names = [special] if isinstance(special, str) else list(special)
    for name in names:
        if name not in known:
            raise BadInput(f"{name!r} is no special token of this tokenizer: it has {', '.join(known) or 'none'}.")
    return names


def cut_at(text: str, tokens: Sequence[str]) -> list[tuple[bool, str]]:
    """The text cut at these tokens, the longest where several fit: (is it one?, the piece)."""
    if not tokens:
        return [(False, text)]
    pattern = "|".join(re.escape(token) for token in sorted(tokens, key=len, reverse=True))
    pieces = re.split(f"({pattern})", text)  # text, token, text, token, text
    return [(i % 2 == 1, piece) for i, piece in enumerate(pieces) if piece]


def check_ids(ids: Any, vocab_size: int) -> list[int]:
    """The ids as whole numbers. Raises BadInput for anything else, and for an id outside the vocabulary."""
    if getattr(ids, "ndim", 1) != 1 or isinstance(ids, str | bytes | dict):
        raise BadInput("Ids are one list of whole numbers: give the ids of one text.")
    try:
        numbers: list[int] = [_whole(each) for each in (ids.tolist() if hasattr(ids, "tolist") else ids)]
    except TypeError as error:
        raise BadInput(f"Ids are one list of whole numbers, and {error}: give the ids of one text.") from None
    if numbers and not (min(numbers) >= 0 and max(numbers) < vocab_size):
        wrong = next(id for id in numbers if not 0 <= id < vocab_size)
        raise BadInput(f"There is no token {wrong}: ids go from 0 to {vocab_size - 1}. Is it another tokenizer's?")
    return numbers


def _whole(value: Any) -> int:
    """A whole number as int. TypeError for a truth value, a fraction, a text."""
    if type(value) is int:
        return value
    if isinstance(value, bool) or "bool" in str(getattr(value, "dtype", "")):
        raise TypeError(f"{value} is a truth value")
    return operator.index(value)


def _text(value: Any) -> str:
    if not isinstance(value, str):
        raise TypeError(f"{value!r} is no text")
    return value


def _load_bpe(merges: list[Any], vocab: dict[str, int], added: dict[str, int]) -> BPETokenizer:
    pairs = [merge.split(" ") if isinstance(merge, str) else merge for merge in merges]
    specials = sorted(added, key=added.__getitem__)
    tokenizer = BPETokenizer([(vocab[left], vocab[right]) for left, right in pairs], specials)
    expected = {_symbols(token): id for id, token in enumerate(tokenizer.tokens[: 256 + len(pairs)])}
    if {t: i for t, i in vocab.items() if t not in added} != expected:
        raise ValueError
    return tokenizer


def _is_gpt2_split(about: dict[str, Any]) -> bool:
    return about["type"] == "ByteLevel" and not about["add_prefix_space"] and about.get("use_regex", True) is True


def _is_plain_bpe(model: dict[str, Any]) -> bool:
    """Nothing that would give other ids: no dropout, no affixes, no tokens found before merging."""
    settings = ("dropout", "continuing_subword_prefix", "end_of_word_suffix", "ignore_merges")
    return not any(model.get(name) for name in settings)


def _is_plain(token: dict[str, Any]) -> bool:
    """An added token that is special and takes no blanks with it."""
    return token["special"] is True and not any(token.get(name) for name in ("lstrip", "rstrip", "single_word"))


def _roles(path: Path) -> dict[str, str]:
    """Which special token has which role, from a tokenizer_config.json, as we or `transformers` write it."""
    about, roles = _read_json(path) if _is_there(path) else {}, {}
    for role, name in _ROLES.items():
        value = about.get(name)
        token = value.get("content") if isinstance(value, dict) else value
        if token is not None and not isinstance(token, str):
            raise BadInput(f"{name} in {path} is {value!r}; it must be a special token.")
        if token is not None:
            roles[role] = token
    return roles


def _is_there(path: Path) -> bool:
    try:
        return path.exists()
    except OSError:  # a name that is too long
        return False


def _read_json(path: Path) -> dict[str, Any]:
    try:
        content = path.read_bytes()
    except (OSError, ValueError) as error:  # ValueError: a path with a null character
        raise BadInput(f"Could not read the tokenizer {path}: {_reason(error)}. Check the path.") from error
    try:
        about = json.loads(content)
    except (ValueError, RecursionError) as error:
        raise BadInput(f"The tokenizer {path} is truncated or not JSON ({error}): save it again.") from error
    if not isinstance(about, dict):
        raise BadInput(
            f"The tokenizer {path} is neither ours nor of another kind that we know: it holds no JSON object."
        )
    return about


def _reason(error: Exception) -> str:
    return str(getattr(error, "strerror", None) or error)


def _check_merges(merges: Sequence[bpe.Pair]) -> list[bpe.Pair]:
    """The merges as pairs of ids, each of tokens that exist by then."""
    checked: list[bpe.Pair] = []
    for left, right in merges:
        pair = (_whole(left), _whole(right))
        if not all(0 <= id < 256 + len(checked) for id in pair):
            raise BadInput(f"Merge {len(checked)} joins {pair}, but only ids from 0 to {255 + len(checked)} exist yet.")
        checked.append(pair)
    return checked


def _check_apart(special_tokens: Sequence[str], ordinary: Collection[str]) -> None:
    """BadInput for a special token that is spelled like an ordinary one: to Hugging Face they would be the same."""
    both = set(special_tokens) & set(ordinary)
    if both:
        raise BadInput(f"The special token {min(both)} is an ordinary token too: spell it otherwise, such as <|end|>.")


def _byte_level(merges: Sequence[bpe.Pair], tokens: Sequence[bytes]) -> tokenizers.Tokenizer:
    """The same merges in Hugging Face tokenizers."""
    symbols = [_symbols(token) for token in tokens]
    vocab = {symbol: id for id, symbol in enumerate(symbols)}
    if len(vocab) < len(symbols):
        raise BadInput("Two merges make the same token: these are not the merges of one training.")
    fast = tokenizers.Tokenizer(models.BPE(vocab, [(symbols[left], symbols[right]) for left, right in merges]))
    fast.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=True)
    fast.decoder = decoders.ByteLevel()
    return fast


def _with_special(fast: tokenizers.Tokenizer, special_tokens: Sequence[str]) -> tokenizers.Tokenizer:
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


def chunks_of(text: str | Iterable[str]) -> Iterator[str]:
    """A text whole, or chunk by chunk. Raises BadInput for what is none."""
    if isinstance(text, bytes | dict | Path) or not isinstance(text, Iterable):
        raise BadInput(f"A tokenizer is trained on text, not {type(text).__name__}: give a str, or several.")
    for chunk in [text] if isinstance(text, str) else text:
        check_text(chunk)
        yield chunk


def check_text(text: Any) -> None:
    """Raises BadInput for anything but a str that UTF-8 can hold."""
    if not isinstance(text, str):
        raise BadInput(f"A tokenizer reads text, not {type(text).__name__}: give a str.")
    try:
        text.encode()
    except UnicodeEncodeError as error:
        raise BadInput(
            f"The text holds half a surrogate pair at character {error.start}, which UTF-8 cannot hold: "
            "read the file with the right encoding."
        ) from None


def _hash(content: list[Any]) -> str:
    return hashlib.sha256(json.dumps(content).encode()).hexdigest()
