"""What is handed to a writer, checked before anything is read: prompts, stops, settings.

Used by all of this folder. Whatever cannot be used raises BadInput with one sentence.
Whole numbers may be Python's, NumPy's or a tensor's.
"""

import operator
from collections.abc import Collection, Sequence
from typing import Any, SupportsIndex

from insideout.checks import real as real
from insideout.checks import whole as whole
from insideout.errors import BadInput

Stop = SupportsIndex | Collection[SupportsIndex] | None
"""A token that ends a text, or several, in whatever holds them."""
SEEDS = 2**63
"""Seeds are below this; torch's generators take no more."""


def check_sampling(temperature: Any, top_k: Any = None, top_p: Any = None, min_p: Any = None) -> None:
    """Raise BadInput unless these settings describe a distribution (`sampling.filtered_probabilities`)."""
    if real("temperature", temperature) < 0:
        raise BadInput(f"temperature is {temperature}; it must be 0 (greedy) or more.")
    if top_k is not None:
        whole("top_k", top_k, 1)
    for name, value in (("top_p", top_p), ("min_p", min_p)):
        if value is not None and not 0 < real(name, value) <= 1:
            raise BadInput(f"{name} is {value}; it must be above 0 and at most 1.")


def prompt_lists(prompts: Any, vocab_size: int) -> list[list[int]]:
    """A batch of prompts as lists of token ids: from lists, tuples, arrays or tensors, (B, T) or one a row.

    Raises BadInput for no prompts, an empty one, one line of ids that is no batch, text, or an id outside the
    vocabulary.
    """
    rows = listed(prompts)
    if rows is None:
        raise BadInput("Prompts come as a batch of token ids, such as [[1, 2, 3]]: encode a text first.")
    if not rows:
        raise BadInput("There is no prompt: give at least one, of at least one token.")
    return [one_prompt(row, vocab_size) for row in rows]


def one_prompt(row: Any, vocab_size: int) -> list[int]:
    ids = listed(row)
    if ids is None:
        raise BadInput(f"Prompts come as a batch, one list of token ids each, such as [[1, 2, 3]]; one is {row!r}.")
    if not ids:
        raise BadInput("A prompt is empty: give at least one token.")
    return [token_id("A prompt holds", i, vocab_size) for i in ids]


def token_id(where: str, value: Any, vocab_size: int) -> int:
    """A token id. Raises BadInput, which begins with `where`, for what is none of this vocabulary."""
    try:
        if isinstance(value, bool):
            raise TypeError
        number = operator.index(value)
    except TypeError:
        raise BadInput(f"{where} {value!r}, which is no token id: ids are whole numbers.") from None
    if not 0 <= number < vocab_size:
        raise BadInput(f"{where} {number}, an id outside the vocabulary of {vocab_size} tokens.")
    return number


def listed(value: Any) -> list[Any] | None:
    """A list, tuple, range, array or tensor of at least one dimension as a list; None for anything else."""
    if hasattr(value, "tolist"):
        try:
            value = value.tolist()  # a number, if it has no dimension
        except (RuntimeError, NotImplementedError):  # a tensor without numbers, or a sparse one
            return None
    return list(value) if isinstance(value, (list, tuple, range)) else None


def stop_ids(stop: Any, vocab_size: int) -> frozenset[int]:
    """The tokens that end a text: from None, one id, or a list, set, array or tensor of ids."""
    if isinstance(stop, (set, frozenset)):
        stop = list(stop)
    several = listed(stop)
    if several is None:
        several = [] if stop is None else [stop]
    return frozenset(token_id("stop holds", each, vocab_size) for each in several)


def check_room(prompts: Sequence[Sequence[int]], n_new: int, context_length: int) -> None:
    """Raise BadInput unless `n_new` tokens fit behind the longest prompt."""
    longest = max(map(len, prompts))
    room = context_length - longest
    if n_new <= max(room, 0):
        return
    if room < 1:
        raise BadInput(
            f"A prompt has {longest} tokens, which leaves no room to write in a context length of {context_length}: "
            "shorten it."
        )
    raise BadInput(
        f"The prompt's {longest} tokens and {n_new} new ones exceed the context length {context_length}: ask for at "
        f"most {room}."
    )
