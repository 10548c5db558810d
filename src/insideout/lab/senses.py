"""The networks with a sense for Countdown that two chapters search with: practised once, and kept.

    sense(0).value(24)((3, 8))

Used in part 4, by the chapters on trees of thoughts and on Monte Carlo tree search.
"""

from collections.abc import Mapping
from typing import Any

from insideout.data.problems.countdown import Countdown, Game
from insideout.lab.studies import study
from insideout.reasoning.countdown_sense import Sense, practised
from insideout.scales import scale

SUITE = Countdown([4])
"""The games that are searched: four numbers up to 20, targets from 10 to 50, no numbers twice in two splits."""
SIZES: Mapping[str, tuple[int, int]] = {"tiny": (60, 60), "laptop": (3000, 1200), "gpu": (3000, 1200)}
"""Games to practise on, and steps."""


def games(split: str, n: int, seed: int = 0) -> list[Game]:
    """So many games of a split."""
    return [question.truth for question in SUITE.draw(split, n, seed=seed)]  # type: ignore[arg-type]


def practise(size: tuple[int, int], seed: int) -> dict[str, Any]:
    """A sense of its own games and its own beginning."""
    n_games, n_steps = size
    trained = practised(games("train", n_games, seed), n_steps, seed)
    return {"weights": {name: weight.tolist() for name, weight in trained.state_dict().items()}}


def sense(seed: int = 0) -> Sense:
    """The sense of a seed at the present scale; it practises for half a minute if that was not done yet."""
    return senses(seed + 1, first=seed)[0]


def senses(n: int, first: int = 0) -> list[Sense]:
    """The senses of several seeds, practised at once where there are cores."""
    import torch

    found = study("countdown-sense", practise, {"sense": SIZES[scale()]}, seeds=range(first, n))
    made = []
    for run in found["sense"]:
        each = Sense()
        each.load_state_dict({name: torch.tensor(weight) for name, weight in run["weights"].items()})
        made.append(each.eval())
    return made
