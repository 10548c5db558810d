"""Prompt lookup: the text drafts for itself, so that one call of the model can give several tokens.

Text repeats: names, phrases, the form of a list. So guess that it goes on as it did when it last stood like this, and
let the model check the guess, as in speculative decoding with a draft model (`transformer.speculative`):

    guess   what followed the latest earlier occurrence of the last 3 tokens, or else of the last 2
    read    the last token and the guess, in one call
    keep    the guess up to the first token that is not the model's best, and the model's best token there

What comes out is the greedy text, whatever is guessed: a guess decides only how many calls it takes. A guess that is
wrong costs, so a text first shows that it can be guessed: its guesses are not read, but held against the next token all
the same. A row drafts one token after a guess that was right, twice as many after each further one, half as many after
one that was wrong.

Taught in book/2-building-a-transformer/08_kv_cache.md. Sources: Yang et al. 2023 (drafts copied from a reference);
Saxena 2023 (prompt lookup).
"""

from collections.abc import Collection, Iterable, Sequence

import numpy as np
import torch

from insideout.transformer.generation.decoder import Decoder

MOST = 7  # tokens that a row drafts at most


class Row:
    """One text of a batch, and what followed each two and three of its tokens when they last occurred."""

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


def continue_by_lookup(decoder: Decoder, rows: Sequence[Row], most: int) -> int:
    """Write every row to its end, greedily; returns the number of calls. The decoder holds all but each last token.

    While all rows stand at one position a call is cheaper, and the first drafts end that. So they wait until more than
    two thirds of the rows would draft. From then on a row's own share in the cost of a call is so small that every row
    drafts as much as it may, unless fewer than a third of the drafts have been kept.
    """
    active, calls, drafted, kept = list(rows), 0, 0, 0
    while True:
        for index in [index for index, row in enumerate(active) if row.done][::-1]:
            active[index] = active[-1]  # as in the decoder, the last row takes its place
            active.pop()
            decoder.drop(index)
        if not active:
            return calls
        starts = [len(row.ids) - 1 for row in active]
        aligned = len(set(starts)) == 1
        freely = not aligned and 3 * kept >= drafted
        wanted = [most if freely else row.n_draft for row in active]
        guesses = [row.guess(n or 1) for row, n in zip(active, wanted, strict=True)]
        drafts = [guess if n else [] for guess, n in zip(guesses, wanted, strict=True)]
        if aligned and 3 * sum(map(bool, drafts)) <= 2 * len(active):
            drafts, packed = [[]] * len(active), None
            decoder.position = starts[0]
        else:
            packed = decoder.pack(starts, [len(draft) + 1 for draft in drafts])
        read = [token for row, draft in zip(active, drafts, strict=True) for token in (row.ids[-1], *draft)]
        best = decoder(torch.from_numpy(np.array(read)), packed).numpy().argmax(-1).tolist()
        calls, first = calls + 1, 0
        for row, guess, draft in zip(active, guesses, drafts, strict=True):
            kept += row.check(guess, best[first : first + len(draft) + 1], most)
            first += len(draft) + 1
        drafted += len(read) - len(active)
