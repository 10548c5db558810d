"""Contamination: how much of a test stands, word for word, in what was trained on.

    shares = overlaps(tests, training, n=8)          of each test's runs of 8 words, which share stands in the training
    hits = [text for text, share in zip(tests, shares) if share >= 0.5]

Words are compared without case and punctuation. What was said in other words is not found: a low share clears nobody.
Source: Brown et al. 2020, appendix C, who look for runs of 13 words. Standard library only.
Taught in book/3-fine-tuning-a-transformer/19_evaluation.md.
"""

import re
from collections.abc import Iterable, Iterator, Sequence

from insideout.checks import whole
from insideout.errors import BadInput

__all__ = ["ngrams", "overlaps"]


def ngrams(text: str, n: int) -> Iterator[tuple[str, ...]]:
    """Its runs of n words, in their order; a shorter text is one run. Case and punctuation do not count."""
    words = re.findall(r"\w+", text.lower())
    for first in range(max(1, len(words) - n + 1) if words else 0):
        yield tuple(words[first : first + n])


def overlaps(tests: Sequence[str], training: Iterable[str], n: int = 8) -> list[float]:
    """For each test the share of its runs of n words that stand in a training text; 0 for a text without words.

    The training texts are read once, one at a time, and may be a stream. Raises BadInput for n below 1.
    """
    if whole("n", n, 0) < 1:
        raise BadInput(f"n is {n}: a run has at least 1 word.")
    runs = [list(ngrams(test, n)) for test in tests]
    wanted = {run for each in runs for run in each}
    lengths = sorted({len(run) for run in wanted})
    seen: set[tuple[str, ...]] = set()
    for text in training:
        words = re.findall(r"\w+", text.lower())
        for length in lengths:
            for first in range(len(words) - length + 1):
                run = tuple(words[first : first + length])
                if run in wanted:
                    seen.add(run)
    return [sum(run in seen for run in each) / len(each) if each else 0.0 for each in runs]
