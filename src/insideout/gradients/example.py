"""The one example of part 1: two sentences of five words, and the small transformer that learns to write them.

    cats chase dogs and dogs chase cats .          dogs chase cats and cats chase dogs .

Every chapter computes on the first. Both hold "chase", "and" and "chase" at positions 1, 3 and 5, and there position
and word do not say what comes next: only an earlier word does. Without attention the mean loss over the two cannot fall
below 3 ln 2 / 7, because at 3 of the 7 predictions both answers are equally likely.
Taught in book/1-understanding-gradients/00_introduction.md.
"""

from collections.abc import Sequence

from insideout.gradients.config import Config, Parameters, init_params

WORDS = ["cats", "chase", "dogs", "and", "."]
SENTENCE = "cats chase dogs and dogs chase cats ."
MIRROR = "dogs chase cats and cats chase dogs ."
CONFIG = Config(vocab_size=5, context_length=8, d_model=12, n_layers=1, n_heads=2, d_ff=24)
SEED = 0


def encode(text: str) -> list[int]:
    """The id of each word. Raises ValueError for a word that is not among WORDS."""
    words = text.split()
    for word in words:
        if word not in WORDS:
            raise ValueError(f"{word!r} is not one of the words {', '.join(WORDS)}")
    return [WORDS.index(word) for word in words]


def decode(ids: Sequence[int]) -> str:
    """The words of the ids."""
    return " ".join(WORDS[i] for i in ids)


def starting_params() -> Parameters:
    """The untrained parameters that all chapters share: the same numbers each time."""
    return init_params(CONFIG, SEED)
