"""Intervals of numbers that know where and when they were measured: what they are made of, they know too.

interval(runs.values("rope", "loss")).mean          claimed, it quotes the day on which the study ran
"""

from collections.abc import Iterable, Sequence
from typing import Any

from insideout import estimates
from insideout.estimates import Interval
from insideout.recipes.origin import measured, origins_of


def interval(samples: Iterable[Any]) -> Interval:
    """Mean and 95% interval of independent samples, at least two; see `estimates.interval`."""
    samples = list(samples)
    return known(estimates.interval(samples), samples)


def difference(ours: Sequence[Any], baseline: Sequence[Any]) -> Interval:
    """Interval of `ours` minus `baseline`, pair by pair; see `estimates.difference`."""
    ours, baseline = list(ours), list(baseline)
    return known(estimates.difference(ours, baseline), [ours, baseline])


def known(found: Interval, samples: Any) -> Interval:
    """The interval, its numbers with the origins of the samples, if these have any."""
    origins = origins_of(samples)
    return Interval(*measured(tuple(found), origins)) if origins else found
