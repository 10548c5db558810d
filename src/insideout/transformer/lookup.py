"""Prompt lookup: the text drafts for itself, so that one call of the model can give several tokens.

Text repeats: names, phrases, the form of a list. So guess that it goes on as it did when it last stood like this, and
let the model check the guess, as in speculative decoding with a draft model (`transformer.speculative`):

    draft   what followed the latest earlier occurrence of the last 3 tokens, or else of the last 2
    read    the last token and the draft, in one call
    keep    the draft up to the first token that is not the model's best, and the model's best token there

What comes out is the greedy text, whatever is drafted: a draft decides only how many calls it takes. A row whose drafts
are kept drafts twice as much, one whose draft is refused half as much.

Taught in book/2-building-a-transformer/08_kv_cache.md. Sources: Yang et al. 2023 (drafts copied from a reference);
Saxena 2023 (prompt lookup).
"""

from collections.abc import Collection, Iterable, Sequence

import torch

from insideout.transformer.decode import Decoder, pack

LONGEST, SHORTEST = 3, 2  # how many last tokens are looked up
FIRST, MOST = 2, 8  # tokens drafted at first, and at most
FEW = 4  # rows up to which `generate` looks up by itself: with many, starting a call is not what costs


class Row:
    """One text of a batch, and what followed each few of its tokens when they last occurred."""

    def __init__(self, ids: Sequence[int], end: int, stops: Collection[int]) -> None:
        self.ids: list[int] = []
        self.end, self.stops, self.done = end, stops, False
        self.n_draft = FIRST
        self.followed: dict[tuple[int, ...], int] = {}  # some tokens -> where the next one stands
        for token in ids:
            self.note(token)

    def note(self, token: int) -> None:
        """Append a token, and remember what it followed."""
        for n in range(SHORTEST, LONGEST + 1):
            if len(self.ids) >= n:
                self.followed[tuple(self.ids[-n:])] = len(self.ids)
        self.ids.append(token)

    def add(self, tokens: Iterable[int]) -> None:
        """Append what the model wrote, up to a stop or the end."""
        for token in tokens:
            self.note(token)
            if token in self.stops or len(self.ids) == self.end:
                self.done = True
                return

    def draft(self, most: int) -> list[int]:
        """Up to `most` tokens that may come next: what came next before, over and over."""
        room = 0 if self.done else self.end - len(self.ids) - 1  # a call gives one token more than it keeps
        n = min(most, self.n_draft, room)
        for length in range(LONGEST, SHORTEST - 1, -1):
            place = self.followed.get(tuple(self.ids[-length:]))
            if place is not None:
                period = len(self.ids) - place
                return [self.ids[place + step % period] for step in range(n)]
        return []

    def check(self, drafted: Sequence[int], best: Sequence[int], most: int) -> int:
        """Append what the model would have written; `best` has its choice after the last token and after each draft.

        Returns how many drafts were kept.
        """
        kept = 0
        while kept < len(drafted) and drafted[kept] == best[kept]:
            kept += 1
        if drafted:
            self.n_draft = min(most, 2 * self.n_draft) if kept == len(drafted) else max(1, self.n_draft // 2)
        self.add(best[: kept + 1])
        return kept


def continue_by_lookup(decoder: Decoder, rows: Sequence[Row], n_draft: int) -> int:
    """Write every row to its end, greedily; returns the number of calls. The decoder holds all but each last token."""
    active, calls = list(rows), 0
    while not all(row.done for row in active):
        drafts = [row.draft(n_draft) for row in active]
        starts, counts = [len(row.ids) - 1 for row in active], [len(draft) + 1 for draft in drafts]
        read = [token for row, draft in zip(active, drafts, strict=True) for token in (row.ids[-1], *draft)]
        if len(set(starts)) == 1 and max(counts) == 1:  # a plain step starts fewer operations
            decoder.position, packed = starts[0], None
        else:
            packed = pack(starts, counts, decoder.embedding.dtype)
        best, calls = decoder(torch.tensor(read), packed).argmax(-1).tolist(), calls + 1
        first = 0
        for row, draft in zip(active, drafts, strict=True):
            if not row.done:
                row.check(draft, best[first : first + len(draft) + 1], n_draft)
            first += len(draft) + 1
        unfinished = [index for index, row in enumerate(active) if not row.done]
        if 4 * len(unfinished) <= 3 * len(active):  # leaving rows out copies the cache: not for every row
            decoder.keep(unfinished)
            active = [active[index] for index in unfinished]
    return calls
