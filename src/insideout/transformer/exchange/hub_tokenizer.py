"""A pretrained model's own tokenizer, from `transformers`, with the manners of ours.

    encode(text)                  special tokens that somebody typed are plain text
    encode(text, special=True)    they are found
    stop_ids                      where this model's text ends

`theirs` is the tokenizer of `transformers` itself, for what only it knows, such as a chat template.
Taught in book/2-building-a-transformer/06_complete_model.md.
"""

import copy
import hashlib
from collections.abc import Collection, Sequence
from functools import cached_property
from itertools import chain
from typing import Any

from tokenizers import AddedToken

from insideout.errors import BadInput
from insideout.transformer.tokenizer import asked_for, check_ids, check_text, cut_at


class HubTokenizer:
    """A tokenizer of `transformers`, and the tokens at which its model's text ends."""

    def __init__(self, theirs: Any, stop_ids: Sequence[int] | None = None) -> None:
        """Without `stop_ids`, the tokenizer's own end token, if it has one."""
        self.theirs = theirs
        own = () if theirs.eos_token_id is None else (theirs.eos_token_id,)
        self.stop_ids = own if stop_ids is None else tuple(stop_ids)

    @property
    def vocab_size(self) -> int:
        """How many different tokens there are (V), special tokens included."""
        return len(self.theirs)

    @cached_property
    def special_ids(self) -> dict[str, int]:
        """The id of each special token."""
        return {str(token): id for id, token in self.theirs.added_tokens_decoder.items() if token.special}

    @property
    def pad_id(self) -> int | None:
        """The token that fills a batch up, if there is one. In some models it is the end token too."""
        return self.theirs.pad_token_id

    @property
    def begin_id(self) -> int | None:
        """The token that opens a text, if there is one."""
        return self.theirs.bos_token_id

    @property
    def end_id(self) -> int | None:
        """The token that closes a text, if there is one."""
        return self.theirs.eos_token_id

    @cached_property
    def fingerprint(self) -> str:
        """A hash that differs whenever the ids of some text would."""
        fast = getattr(self.theirs, "backend_tokenizer", None)
        content = fast.to_str() if fast is not None else repr(sorted(self.theirs.get_vocab().items()))
        return hashlib.sha256(content.encode()).hexdigest()

    def encode(self, text: str, *, special: bool | Collection[str] = False, around: bool = True) -> list[int]:
        """A text's ids. Special tokens written in it are plain text, but for those named, or, with True, all.

        What the model's tokenizer puts around every text (Llama's begin token) is put, unless `around` is false.
        Raises BadInput for what is no text, and for a name that is no special token.
        """
        check_text(text)
        if isinstance(special, bool):
            inside = self._ids(text, split_special_tokens=not special)
        else:
            pieces = cut_at(text, asked_for(special, self.special_ids))
            inside = list(chain.from_iterable([self.special_ids[p]] if found else self._ids(p) for found, p in pieces))
        before, after = self._around if around else ([], [])
        return [*before, *inside, *after]

    def decode(self, ids: Any, *, special: bool = True) -> str:
        """The text of some ids, special tokens shown or left out. Raises BadInput for what is no id."""
        numbers = check_ids(ids, self.vocab_size)
        return str(self.theirs.decode(numbers, skip_special_tokens=not special, clean_up_tokenization_spaces=False))

    def with_special(
        self, tokens: Sequence[str], *, pad: str | None = None, begin: str | None = None, end: str | None = None
    ) -> "HubTokenizer":
        """This tokenizer with more special tokens, numbered on from its last id; all ids so far stay.

        The model may need a row for each: see `vocabulary.grow`. Raises BadInput for a token that there is already.
        """
        there, known = self.theirs.get_vocab(), {*self.special_ids, *tokens}
        for token in tokens:
            check_text(token)
            if token in there or not token or any(character.isspace() for character in token):
                raise BadInput(f"The special token {token!r} is empty, holds a blank or is a token already: rename it.")
        theirs = copy.deepcopy(self.theirs)
        theirs.add_tokens([AddedToken(token, special=True, normalized=False) for token in tokens], special_tokens=True)
        for name, role in {"pad_token": pad, "bos_token": begin, "eos_token": end}.items():
            if role is not None and role not in known:
                raise BadInput(f"{name} is {role!r}, which is none of the special tokens: add it to them.")
            if role is not None:
                setattr(theirs, name, role)
        return HubTokenizer(theirs, self.stop_ids if end is None else None)

    @cached_property
    def _around(self) -> tuple[list[int], list[int]]:
        """What stands before and behind the tokens of every text."""
        bare, whole = self._ids("a"), self._ids("a", add_special_tokens=True)
        first = next(i for i in range(len(whole) + 1) if whole[i : i + len(bare)] == bare)
        return whole[:first], whole[first + len(bare) :]

    def _ids(self, text: str, *, add_special_tokens: bool = False, split_special_tokens: bool = True) -> list[int]:
        ids: list[int] = self.theirs.encode(
            text, add_special_tokens=add_special_tokens, split_special_tokens=split_special_tokens
        )
        return ids
