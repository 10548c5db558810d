"""How sure a mean of a few runs is: Student's 95% confidence interval.

    mean ± t(n − 1) · s / √n        s² = Σ (x − mean)² / (n − 1)

Used from part 2 on. Source: Student 1908; the quantiles are those of any statistics table. Standard library only.
"""

from collections.abc import Iterable, Sequence
from math import sqrt
from statistics import fmean, stdev
from typing import Any, NamedTuple

# The 97.5% point of Student's t distribution, by degrees of freedom.
STUDENT = (
    12.706, 4.303, 3.182, 2.776, 2.571, 2.447, 2.365, 2.306, 2.262, 2.228, 2.201, 2.179, 2.160, 2.145, 2.131,
    2.120, 2.110, 2.101, 2.093, 2.086, 2.080, 2.074, 2.069, 2.064, 2.060, 2.056, 2.052, 2.048, 2.045, 2.042,
)  # fmt: skip
NORMAL = 1.960


class Interval(NamedTuple):
    """A mean and its 95% confidence interval."""

    mean: float
    low: float
    high: float
    n: int
    """How many samples it is made of."""

    @property
    def half(self) -> float:
        """Half the interval's width."""
        return (self.high - self.low) / 2


def interval(samples: Iterable[Any]) -> Interval:
    """Mean and 95% interval of independent samples, at least two. Raises ValueError for fewer."""
    values = [float(x) for x in samples]
    n = len(values)
    if n < 2:
        raise ValueError(f"an interval needs at least 2 samples, got {n}")
    quantile = STUDENT[n - 2] if n - 2 < len(STUDENT) else NORMAL
    mean, half = fmean(values), quantile * stdev(values) / sqrt(n)
    return Interval(mean, mean - half, mean + half, n)


def difference(ours: Sequence[Any], baseline: Sequence[Any]) -> Interval:
    """Interval of `ours` minus `baseline`, pair by pair: run i of both shares its seed and its data."""
    return interval(float(a) - float(b) for a, b in zip(ours, baseline, strict=True))
