"""Saying what was found: the sentence is chosen by the interval, so that no page says what its run did not show.

    finding = say(
        faster,                                                      an Interval, or paired samples
        above="The cache pays.", below="It costs more than it saves.", unclear="Five repeats do not decide it.",
    )

Standard library only.
"""

from collections.abc import Sequence
from typing import Any

from insideout.errors import BadInput
from insideout.estimates import Interval, interval


class Finding(str):
    """A sentence that was chosen; `outcome` says by what."""

    outcome: str

    def __new__(cls, sentence: str, outcome: str) -> "Finding":
        self = super().__new__(cls, sentence)
        self.outcome = outcome
        return self

    def _repr_html_(self) -> str:
        import html

        return f'<span class="finding">{html.escape(self)}</span>'


def say(found: Interval | Sequence[Any], *, above: str, below: str, unclear: str, than: float = 0.0) -> Finding:
    """`above` where the whole 95% interval lies above `than`, `below` where it lies below, else `unclear`.

    `found` is an interval, or the samples that it is made of. Raises BadInput where a sentence is empty.
    """
    for name, sentence in (("above", above), ("below", below), ("unclear", unclear)):
        if not sentence.strip():
            raise BadInput(f"say: the sentence for {name!r} is empty; every way it may come out needs its own.")
    if not isinstance(found, Interval):
        found = interval(found)
    if found.low > than:
        return Finding(above, "above")
    if found.high < than:
        return Finding(below, "below")
    return Finding(unclear, "unclear")
