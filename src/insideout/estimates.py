"""How sure a number is: the statistics of every comparison, standard library only.

    interval, difference            a mean of runs; ours minus a baseline, pair by pair        Student 1908
    proportion, paired_proportions  a share of right answers; two models on the same questions Wilson; Bonett and Price
    win_rate                        how often one model's answer is the better, ties split     Bonett and Price
    bootstrap                       any statistic                                              Efron 1979
    binomial_test, mcnemar          is it more than chance?                                    Clopper, McNemar
    detectable_difference           how large a difference could this comparison see?
    pass_at_k, vote, majority_at_k  many answers to one question                               Chen et al.; Wang et al.
    best_at_k                       the one of them that somebody scores highest
    k1, k2, k3                      the divergence of two models, from samples                 Schulman 2020
    reliability, calibration_error, brier, auc, cohens_kappa       confidences, scores and judges against the truth

All intervals are of 95%. Used in every part. Taught in book/3-fine-tuning-a-transformer/19_evaluation.md.
"""

import random
from collections import Counter
from collections.abc import Callable, Hashable, Iterable, Sequence
from functools import lru_cache
from math import atan, comb, cos, exp, expm1, isfinite, lgamma, log, pi, sin, sqrt
from statistics import NormalDist, fmean, stdev
from typing import Any, NamedTuple, TypeVar

from insideout.checks import real, whole
from insideout.errors import BadInput

__all__ = [
    "Bin",
    "Interval",
    "auc",
    "best_at_k",
    "binomial_test",
    "bootstrap",
    "brier",
    "calibration_error",
    "cohens_kappa",
    "detectable_difference",
    "difference",
    "interval",
    "k1",
    "k2",
    "k3",
    "majority_at_k",
    "mcnemar",
    "paired_proportions",
    "pass_at_k",
    "proportion",
    "reliability",
    "student_cdf",
    "student_quantile",
    "vote",
    "win_rate",
]

T = TypeVar("T")
LEVEL = 0.95
_NORMAL = NormalDist()
_Z = _NORMAL.inv_cdf((1 + LEVEL) / 2)


class Interval(NamedTuple):
    """An estimate and its 95% confidence interval."""

    mean: float
    low: float
    high: float
    n: int
    """How many samples it is made of."""

    @property
    def half(self) -> float:
        """Half the interval's width."""
        return (self.high - self.low) / 2


# Means


def interval(samples: Iterable[Any]) -> Interval:
    """Mean and 95% interval of independent samples, at least two: mean ± t(n − 1) · s / √n.

    Raises BadInput, a ValueError, for fewer. Source: Student 1908.
    """
    values = [float(x) for x in samples]
    n = len(values)
    if n < 2:
        raise BadInput(f"an interval needs at least 2 samples, got {n}")
    mean, half = fmean(values), student_quantile((1 + LEVEL) / 2, n - 1) * stdev(values) / sqrt(n)
    return Interval(mean, mean - half, mean + half, n)


def difference(ours: Sequence[Any], baseline: Sequence[Any]) -> Interval:
    """Interval of `ours` minus `baseline`, pair by pair: run i of both shares its seed and its data."""
    return interval(float(a) - float(b) for a, b in _pairs(ours, baseline))


def _pairs(ours: Sequence[T], baseline: Sequence[T]) -> list[tuple[T, T]]:
    """One of each. Raises BadInput where there are not as many of both."""
    if len(ours) != len(baseline):
        raise BadInput(f"{len(ours)} and {len(baseline)} cannot be paired: give as many of the one as of the other")
    return list(zip(ours, baseline, strict=True))


def student_cdf(t: float, freedom: int) -> float:
    """P(T ≤ t) of Student's distribution, exactly. Source: Abramowitz and Stegun 1964, 26.7.3 and 26.7.4."""
    freedom = whole("freedom", freedom, 1)
    angle = atan(abs(t) / sqrt(freedom))
    odd, square = freedom % 2, cos(angle) ** 2
    term = cos(angle) if odd else 1.0
    total = 0.0
    for i in range(1 + odd, freedom, 2):  # 1 + 1/2 cos² + 1·3/(2·4) cos⁴ …, or cos + 2/3 cos³ + 2·4/(3·5) cos⁵ …
        total += term
        term *= square * i / (i + 1)
    inside = 2 / pi * (angle + sin(angle) * total) if odd else sin(angle) * total  # P(|T| ≤ |t|)
    return (1 + inside) / 2 if t >= 0 else (1 - inside) / 2


@lru_cache(maxsize=4096)
def student_quantile(p: float, freedom: int) -> float:
    """The t below which Student's variable with so many degrees of freedom lies with probability p, in (0, 1)."""
    if not 0 < p < 1 or whole("freedom", freedom, 1) < 1:
        raise BadInput(f"p is {p}: a quantile is of a probability above 0 and below 1")
    if p < 0.5:
        return -student_quantile(1 - p, freedom)
    if freedom > 1000:  # close to normal: Abramowitz and Stegun 1964, 26.7.5
        z = _NORMAL.inv_cdf(p)
        return z + (z**3 + z) / (4 * freedom) + (5 * z**5 + 16 * z**3 + 3 * z) / (96 * freedom**2)
    high = 1.0
    while student_cdf(high, freedom) < p:
        high *= 2
    return _bisect(lambda t: student_cdf(t, freedom) - p, 0.0, high)


def _bisect(rising: Callable[[float], float], low: float, high: float) -> float:
    """Where a rising function is 0."""
    for _ in range(80):
        middle = (low + high) / 2
        low, high = (middle, high) if rising(middle) < 0 else (low, middle)
    return (low + high) / 2


def bootstrap(
    samples: Sequence[T], statistic: Callable[[Sequence[T]], float], n_resamples: int = 2000, seed: int = 0
) -> Interval:
    """A statistic of independent samples, and the middle 95% of what it is when they are drawn again with replacement.

    Answers to one question are not independent: hand over questions, each with all its answers. For a statistic that
    counts what differs, such as a number of distinct words, drawing again is biased. Source: Efron 1979 (percentile).
    """
    whole("n_resamples", n_resamples, 1)
    if len(samples) < 2:
        raise BadInput(f"a bootstrap needs at least 2 samples, got {len(samples)}")
    drawn = random.Random(seed)
    found = sorted(statistic(drawn.choices(samples, k=len(samples))) for _ in range(n_resamples))
    cut = (1 - LEVEL) / 2
    low, high = found[round(cut * (n_resamples - 1))], found[round((1 - cut) * (n_resamples - 1))]
    return Interval(float(statistic(samples)), low, high, len(samples))


# Shares


def proportion(successes: int, n: int) -> Interval:
    """A share and its interval, which never leaves [0, 1] and is right near both ends. Source: Wilson 1927."""
    successes, n = whole("successes", successes, 0), whole("n", n, 0)
    if not 0 <= successes <= n or n < 1:
        raise BadInput(f"{successes} of {n} is not a share")
    p, squared = successes / n, _Z**2
    middle = (p + squared / (2 * n)) / (1 + squared / n)
    half = _Z / (1 + squared / n) * sqrt(p * (1 - p) / n + squared / (4 * n * n))
    low = 0.0 if successes == 0 else middle - half  # exactly, where rounding would leave it just beside
    high = 1.0 if successes == n else middle + half
    return Interval(p, low, high, n)


def paired_proportions(ours: Sequence[bool], baseline: Sequence[bool]) -> Interval:
    """How much more often `ours` is right, question by question, and its interval.

    Only questions on which the two disagree carry news; where they are few, the interval is cautious. Source: Bonett
    and Price 2012 (Wald's, with one added to each kind of disagreement).
    """
    gained, lost, n = _disagreements(ours, baseline)
    up, down = (gained + 1) / (n + 2), (lost + 1) / (n + 2)
    half = _Z * sqrt((up + down - (up - down) ** 2) / (n + 2))
    return Interval((gained - lost) / n, max(-1.0, up - down - half), min(1.0, up - down + half), n)


def win_rate(ours: Sequence[float], theirs: Sequence[float]) -> Interval:
    """How often `ours` scores above `theirs`, question by question, a tie counting one half: 0.5 if they are equals.

    The interval is that of `paired_proportions`, of wins less losses: many ties make it narrow, and say nothing else.
    """
    pairs = _pairs(ours, theirs)
    if not all(isfinite(each) for pair in pairs for each in pair):
        raise BadInput("a win rate needs scores that are finite")
    ahead = paired_proportions([a > b for a, b in pairs], [b > a for a, b in pairs])
    return Interval((1 + ahead.mean) / 2, (1 + ahead.low) / 2, (1 + ahead.high) / 2, ahead.n)


def _disagreements(ours: Sequence[bool], baseline: Sequence[bool]) -> tuple[int, int, int]:
    pairs = [(bool(a), bool(b)) for a, b in _pairs(ours, baseline)]
    if not pairs:
        raise BadInput("there are no pairs to compare")
    return pairs.count((True, False)), pairs.count((False, True)), len(pairs)


def binomial_test(successes: int, n: int, chance: float) -> float:
    """How likely so many successes, or more, are by chance alone: P(X ≥ successes), exactly."""
    successes, n = whole("successes", successes, 0), whole("n", n, 0)
    if not 0 <= successes <= n or not 0 <= chance <= 1:
        raise BadInput(f"{successes} of {n} at a chance of {chance} cannot be tested")
    if successes == 0 or chance == 1:
        return 1.0
    if chance == 0:
        return 0.0
    ways = lgamma(n + 1)
    terms = (
        ways - lgamma(k + 1) - lgamma(n - k + 1) + k * log(chance) + (n - k) * log(1 - chance)
        for k in range(successes, n + 1)
    )
    return min(1.0, sum(map(exp, terms)))


def mcnemar(ours: Sequence[bool], baseline: Sequence[bool]) -> float:
    """How likely disagreements this uneven, in either direction, are between two models that are equally good.

    Source: McNemar 1947, in its exact form.
    """
    gained, lost, _ = _disagreements(ours, baseline)
    return min(1.0, 2 * binomial_test(max(gained, lost), gained + lost, 0.5))


def detectable_difference(n: int, deviation: float, power: float = 0.8) -> float:
    """The smallest true difference that n pairs would find, in `power` of all attempts, by an interval without 0.

    `deviation` is the standard deviation of the pairs' differences. Where answers are right or wrong, it is about
    √(share of questions on which the two disagree). Exact for normal differences; say it before the comparison.
    """
    if whole("n", n, 0) < 2 or real("deviation", deviation) < 0 or not LEVEL > power > 1 - LEVEL:
        raise BadInput(
            f"{n} pairs of deviation {deviation} at a power of {power}: give at least 2, and power .05 to .95"
        )
    t = student_quantile((1 + LEVEL) / 2, n - 1)
    return _bisect(lambda shift: _power(shift, t, n - 1) - power, 0.0, 50.0 * t) * deviation / sqrt(n)


def _power(shift: float, t: float, freedom: int) -> float:
    """P(|T| > t) where the mean lies `shift` standard errors from 0: the normal's, averaged over s / σ."""
    half = freedom / 2
    constant = log(2) + half * log(half) - lgamma(half)
    width = (1 + 9 / sqrt(2 * freedom)) / 500
    total = 0.0
    for i in range(500):  # the midpoint rule over s / σ, as far as it has any density
        s = (i + 0.5) * width
        density = exp(constant + (freedom - 1) * log(s) - half * s * s)
        total += width * density * (_NORMAL.cdf(shift - t * s) + _NORMAL.cdf(-shift - t * s))
    return total


# Many answers to one question


def pass_at_k(n: int, n_correct: int, k: int) -> float:
    """The probability that one of k answers at least is right, told from n answers, c right: 1 − C(n−c, k) / C(n, k).

    Unbiased; "any of the first k" is too, but noisier, and 1 − (1 − c/n)^k is not. Refuses k > n, about which n answers
    say nothing. Source: Chen et al. 2021, equation 1.
    """
    n, n_correct, k = whole("n", n, 0), whole("n_correct", n_correct, 0), whole("k", k, 0)
    if not 1 <= k <= n or not 0 <= n_correct <= n:
        raise BadInput(
            f"pass@{k} cannot be told from {n} answers, {n_correct} of them right: draw at least {max(k, 1)}"
        )
    return 1 - comb(n - n_correct, k) / comb(n, k)


def vote(answers: Sequence[Hashable | None], weights: Sequence[float] | None = None) -> dict[Hashable, float]:
    """The answers with the most votes, each with its share of the win: a tie of m gives each 1/m.

    None, an answer that could not be read, has no vote; where all are None nobody wins. With `weights`, a vote counts
    so much. What order answers came in makes no difference. Source: Wang et al. 2023.
    """
    counts = _ballots(answers, weights)
    if not counts:
        return {}
    most = max(counts.values())
    winners = [answer for answer, count in counts.items() if count == most]
    return dict.fromkeys(winners, 1 / len(winners))


def _ballots(answers: Sequence[Hashable | None], weights: Sequence[float] | None = None) -> dict[Hashable, float]:
    """How many votes each answer has, or their weight. Raises BadInput unless there is one to each, from 0 on."""
    given = [1.0] * len(answers) if weights is None else weights
    if len(given) != len(answers) or not all(isfinite(each) and each >= 0 for each in given):
        raise BadInput(f"{len(given)} weights for {len(answers)} answers: give one to each, finite and not below 0.")
    counts: dict[Hashable, float] = {}
    for answer, weight in zip(answers, given, strict=True):
        if answer is not None:
            counts[answer] = counts.get(answer, 0.0) + weight
    return counts


def majority_at_k(answers: Sequence[Hashable | None], k: int) -> dict[Hashable, float]:
    """For each answer the probability that it wins the vote of k of these, drawn without replacement, ties split.

    Exact: all C(n, k) draws are counted, none is made. The sum may be below 1, since k unread answers elect nobody.
    """
    n, k = len(answers), whole("k", k, 0)
    if not 1 <= k <= n:
        raise BadInput(f"a vote of {k} cannot be told from {n} answers: draw at least {max(k, 1)}")
    counts = Counter(answer for answer in answers if answer is not None)
    unread, won = n - counts.total(), {}
    for answer, count in counts.items():
        ways = 0.0
        for votes in range(1, min(count, k) + 1):
            # (others drawn, of them level with this answer) -> in how many ways, with none above it
            states = {(drawn, 0): comb(unread, drawn) for drawn in range(min(unread, k - votes) + 1)}
            for other, held in counts.items():
                if other != answer:
                    states = _draw_another(states, held, votes, k - votes)
            rest = sum(number / (level + 1) for (drawn, level), number in states.items() if drawn == k - votes)
            ways += comb(count, votes) * rest
        won[answer] = ways / comb(n, k)
    return won


def _draw_another(states: dict[tuple[int, int], int], held: int, at_most: int, room: int) -> dict[tuple[int, int], int]:
    grown: Counter[tuple[int, int]] = Counter()
    for (drawn, level), number in states.items():
        for more in range(min(held, at_most, room - drawn) + 1):
            grown[drawn + more, level + (more == at_most)] += number * comb(held, more)
    return grown


def best_at_k(scores: Sequence[float], correct: Sequence[bool], k: int) -> float:
    """The probability that the highest score of k answers, drawn without replacement of these, is of a right one.

    Exact: of all C(n, k) draws those are counted whose best is this one. Answers with one score share the win. With
    scores that know the truth it is pass@k, with a constant score the share of right answers.
    """
    pairs, k = _pairs(list(scores), list(correct)), whole("k", k, 0)
    n = len(pairs)
    if not 1 <= k <= n:
        raise BadInput(f"the best of {k} cannot be told from {n} answers: draw at least {max(k, 1)}")
    if not all(isfinite(score) for score, _ in pairs):
        raise BadInput("a score is not finite: give each answer a number")
    level: dict[float, list[bool]] = {}
    for score, right in pairs:
        level.setdefault(float(score), []).append(bool(right))
    below, won = 0, 0.0
    for score in sorted(level):  # the best of a draw is of this level: all are from here or below, not all from below
        here = level[score]
        won += (comb(below + len(here), k) - comb(below, k)) / comb(n, k) * fmean(here)
        below += len(here)
    return won


# Divergence


def k1(log_ratio: float) -> float:
    """KL(q ‖ p) from one sample x of q, with log_ratio = log q(x) − log p(x). Unbiased; of either sign; noisy.

    Schulman writes all three with r = p(x)/q(x), so that log_ratio = −log r. Source: Schulman 2020.
    """
    return log_ratio


def k2(log_ratio: float) -> float:
    """½ log_ratio²: never negative, less noisy than k1, but biased unless q and p are close. Source: Schulman 2020."""
    return log_ratio * log_ratio / 2


def k3(log_ratio: float) -> float:
    """(r − 1) − log r: unbiased and never negative. Source: Schulman 2020.

    r − 1 by expm1, since near r = 1 the plain difference keeps no digits and can fall below 0.
    """
    return max(0.0, expm1(-log_ratio) + log_ratio)


# Confidences, scores and judges, against the truth


class Bin(NamedTuple):
    """Answers whose confidence lies in one stretch, [low, high)."""

    low: float
    high: float
    n: int
    confidence: float
    """Their mean confidence."""
    accuracy: float
    """The share of them that is right."""


def reliability(confidences: Sequence[float], correct: Sequence[bool], n_bins: int = 10) -> list[Bin]:
    """Confidence against accuracy in stretches of equal width; empty ones are left out, 1.0 belongs to the last.

    Source: DeGroot and Fienberg 1983.
    """
    _check_confidences(confidences, correct)
    whole("n_bins", n_bins, 1)
    held: dict[int, list[tuple[float, bool]]] = {}
    for confidence, right in zip(confidences, correct, strict=True):
        held.setdefault(min(int(confidence * n_bins), n_bins - 1), []).append((confidence, bool(right)))
    return [
        Bin(i / n_bins, (i + 1) / n_bins, len(held[i]), fmean(c for c, _ in held[i]), fmean(r for _, r in held[i]))
        for i in sorted(held)
    ]


def calibration_error(confidences: Sequence[float], correct: Sequence[bool], n_bins: int = 10) -> float:
    """Expected calibration error: Σ n_b / n · |accuracy − confidence| over the bins. Source: Naeini et al. 2015.

    Noise makes it positive for a perfect model too, the more so with few answers a bin: compare at equal n.
    """
    bins = reliability(confidences, correct, n_bins)
    return sum(each.n * abs(each.accuracy - each.confidence) for each in bins) / len(confidences)


def brier(confidences: Sequence[float], correct: Sequence[bool]) -> float:
    """Mean squared distance of confidence from the truth, 0 or 1. Saying 0.5 always gives 0.25. Source: Brier 1950."""
    _check_confidences(confidences, correct)
    return fmean((confidence - bool(right)) ** 2 for confidence, right in zip(confidences, correct, strict=True))


def _check_confidences(confidences: Sequence[float], correct: Sequence[bool]) -> None:
    if not confidences or len(confidences) != len(correct):
        raise BadInput(f"{len(confidences)} confidences and {len(correct)} answers: give one to each, at least one")
    for confidence in confidences:
        if not 0 <= confidence <= 1:
            raise BadInput(f"a confidence is {confidence}; it must lie between 0 and 1")


def auc(scores: Sequence[float], labels: Sequence[bool]) -> float:
    """The probability that a right one scores above a wrong one, a tie counting one half: a constant score has 0.5.

    The area under the ROC curve, and Mann and Whitney's U (1947) as a share.
    """
    pairs = _pairs(list(scores), list(labels))
    rights = [float(score) for score, label in pairs if label]
    wrongs = [float(score) for score, label in pairs if not label]
    if not rights or not wrongs or not all(map(isfinite, rights + wrongs)):
        raise BadInput("an AUC needs a right and a wrong one, and scores that are finite")
    below, level = Counter(wrongs), 0  # walk up the scores: how many wrong ones lie below each right one
    won = 0.0
    ups = Counter(rights)
    for score in sorted(below | ups):
        won += ups[score] * (level + below[score] / 2)
        level += below[score]
    return won / (len(rights) * len(wrongs))


def cohens_kappa(ours: Sequence[Hashable], theirs: Sequence[Hashable]) -> float:
    """Agreement of two judges beyond what their habits alone would give: (p − e) / (1 − e). Source: Cohen 1960."""
    n = len(ours)
    agreed = sum(a == b for a, b in _pairs(ours, theirs))
    habits, others = Counter(ours), Counter(theirs)
    chance = sum(habits[label] * others[label] for label in habits)  # n² e
    if n == 0 or chance == n * n:
        raise BadInput("kappa is not defined where both judges say one and the same thing always")
    return (n * agreed - chance) / (n * n - chance)
