"""Prompt lookup: the text drafts for itself, so that one call of the model can give several tokens.

Text repeats: names, phrases, the form of a list. So guess that it goes on as it did when it last stood like this, and
let the model check the guess, as in speculative decoding with a draft model (`generation.speculative`):

    guess   what followed the latest earlier occurrence of the last 3 tokens, or else of the last 2
    read    the last token and the guess, in one call
    keep    the guess up to the first token that is not the model's best, and the model's best token there

What comes out is the greedy text, whatever is guessed: a guess decides only how many calls it takes. A guess that is
wrong costs, so a text first shows that it can be guessed: its guesses are not read, but held against the next token all
the same. It drafts one token after a guess that was right, twice as many after each further one, half as many after one
that was wrong.

Taught in book/2-building-a-transformer/09_kv_cache.md. Sources: Yang et al. 2023 (drafts copied from a reference);
Saxena 2023 (prompt lookup).
"""

from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass

import torch
from jaxtyping import Int
from torch import Tensor

from insideout.transformer.generation.inputs import Stop, check_room, prompt_lists, stop_ids, whole
from insideout.transformer.generation.reading import begin, only_reading
from insideout.transformer.generation.sampling import check_scores
from insideout.transformer.model import GPT


@dataclass(frozen=True)
class LookedUp:
    """What was written, and in how many calls."""

    ids: list[list[int]]
    """Prompts and continuations."""
    calls: list[int]
    """How often the model was called for each text, the reading of its prompt not counted."""


class Draft:
    """A text, and what followed each two and three of its tokens when they last occurred."""

    def __init__(self, ids: Sequence[int], end: int, stops: Collection[int]) -> None:
        self.ids: list[int] = []
        self.end, self.stops, self.done = end, stops, False
        self.n_draft = 0
        self.last: tuple[int | None, ...] = (None, None, None)
        self.followed: dict[tuple[int | None, ...], int] = {}  # some tokens -> where the next one stands
        for token in ids:
            self.note(token)

    def note(self, token: int) -> None:
        """Append a token, and remember what it followed."""
        two = self.last[1:]
        self.followed[self.last] = self.followed[two] = len(self.ids)
        self.last = (*two, token)
        self.ids.append(token)

    def add(self, tokens: Iterable[int]) -> None:
        """Append what the model wrote, up to a stop or the end."""
        for token in tokens:
            self.note(token)
            if token in self.stops or len(self.ids) == self.end:
                self.done = True
                return

    def guess(self, n: int) -> list[int]:
        """Up to `n` tokens that may come next: what came next before, over and over."""
        room = self.end - len(self.ids) - 1  # a call gives one token more than it keeps
        place = self.followed.get(self.last) or self.followed.get(self.last[1:])
        if not place:
            return []
        period = len(self.ids) - place
        return [self.ids[place + step % period] for step in range(min(n, room))]

    def check(self, guess: Sequence[int], best: Sequence[int], most: int) -> int:
        """Append what the model would have written: `best` has its choice after the last token and each one drafted.

        Returns how many drafts were kept.
        """
        right, compared = 0, min(len(guess), len(best))  # a guess that was not drafted: its first token
        while right < compared and guess[right] == best[right]:
            right += 1
        self.n_draft = min(most, 2 * self.n_draft or 1) if 0 < right == compared else self.n_draft // 2
        kept = min(right, len(best) - 1)
        self.add(best[: kept + 1])
        return kept


def generate_by_lookup(
    model: GPT,
    ids: Sequence[Sequence[int]] | Int[Tensor, "B T"],
    max_new_tokens: int,
    *,
    stop: Stop = None,
    n_draft: int = 8,
) -> LookedUp:
    """Continue each prompt greedily, as `generate` does at temperature 0, in fewer calls where the text repeats itself.

    One text after the other; up to `n_draft` tokens are drafted for a call.
    Raises BadInput as `generate` does, and for n_draft below 1.
    """
    prompts = prompt_lists(ids, model.config.vocab_size)
    most, limit = whole("n_draft", n_draft, 1), whole("max_new_tokens", max_new_tokens, 0)
    check_room(prompts, limit, model.config.context_length)
    stops, calls = stop_ids(stop, model.config.vocab_size), [0] * len(prompts)
    if limit == 0:
        return LookedUp(prompts, calls)
    with only_reading(model):
        for row, prompt in enumerate(prompts):
            reader, logits = begin(model, [prompt], limit)
            check_scores(logits)
            text = Draft(prompt, len(prompt) + limit, stops)
            text.add(logits.argmax(-1).tolist())
            while not text.done:
                guess = text.guess(text.n_draft or 1)
                drafted = guess if text.n_draft else []
                read = torch.tensor([[text.ids[-1], *drafted]], device=logits.device)  # (1, 1 + drafts)
                logits = reader(read)[0]  # (1 + drafts, V)
                check_scores(logits)
                kept = text.check(guess, logits.argmax(-1).tolist(), most)
                if kept < len(drafted):
                    reader.forget(len(drafted) - kept)
                calls[row] += 1
            prompts[row] = text.ids
    return LookedUp(prompts, calls)
