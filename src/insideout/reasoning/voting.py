"""Voting: many answers are drawn, the most frequent wins. Self-consistency.

    vote(["7", "7", "8", None])                      {"7": 1.0}: what each answer has of the win, ties split
    plurality({"7": 0.4, "8": 0.35}, k=9)            how likely each is to win the vote of 9, exactly
    stopped(answers, sure=0.95)                      draw on until the leader is unlikely to be overtaken

None is an answer that could not be read: it has no vote. With more than two answers a right one may win with far less
than half of the draws; what counts is whether it is the most likely, the mode, for then more votes help, without end,
and else they harm. `vote`, and `majority_at_k` for answers that have been drawn, are in `estimates`.
Taught in book/4-reasoning-with-transformers/02_self_consistency.md. Standard library only.
Source: Wang et al. 2023 (Self-consistency).
"""

from collections import Counter
from collections.abc import Hashable, Iterable, Mapping, Sequence
from math import comb, exp, fsum, isfinite
from typing import NamedTuple

from insideout.checks import whole
from insideout.errors import BadInput
from insideout.estimates import _ballots, vote

__all__ = ["Stopped", "lead", "plurality", "probability_weights", "share_calibration", "shares", "stopped"]

ROUNDING = 1e-5
"""By how much a log-probability may lie above 0."""


def shares(answers: Iterable[Hashable | None], weights: Iterable[float] | None = None) -> dict[Hashable, float]:
    """The share of each answer among the votes that could be read; empty where none could."""
    counts = _ballots(list(answers), None if weights is None else list(weights))
    total = fsum(counts.values())
    return {answer: count / total for answer, count in counts.items()} if total > 0 else {}


def probability_weights(logprobs: Sequence[Sequence[float]], *, by_length: bool = True) -> list[float]:
    """A weight for each answer, from its tokens' log-probabilities in nats: how probable it was to be written.

    By length: exp(mean log p), the geometric mean of a token; else exp(Σ log p − the largest such sum), which counts
    almost only the shortest. Raises BadInput for an answer without tokens, and for what is no log-probability.
    Source: Wang et al. 2023, §2 and table 1, normalized and unnormalized weighted sum.
    """
    if any(not tokens for tokens in logprobs):
        raise BadInput("An answer has no tokens, so that it has no probability: leave it out, or give it no vote.")
    if not all(isfinite(each) and each <= ROUNDING for tokens in logprobs for each in tokens):
        raise BadInput("A token's log-probability is not finite, or above 0: give the logarithms of probabilities.")
    if by_length:
        return [exp(fsum(tokens) / len(tokens)) for tokens in logprobs]
    sums = [fsum(tokens) for tokens in logprobs]
    return [exp(each - max(sums)) for each in sums]


def plurality(probabilities: Mapping[Hashable, float], k: int) -> dict[Hashable, float]:
    """For each answer the probability that it wins a vote of k independent draws, a tie of m giving each 1/m. Exact.

    What the probabilities lack to 1 are draws that cannot be read; where all k are such, nobody wins. It is
    Σ_v C(k, v) p^v · P(nobody else has more than v), over all sizes of ties, counted answer by answer.
    Raises BadInput for what is no distribution, and for k below 1.
    """
    k, left = whole("k", k, 1), 1 - fsum(probabilities.values())
    if left < -1e-9 or not all(0 <= p <= 1 for p in probabilities.values()):
        raise BadInput(f"A vote of {k} by {dict(probabilities)}: give k from 1 on, and probabilities that sum to 1.")
    unread, won = max(left, 0.0), {}
    for answer, p in probabilities.items():
        ways = []
        for votes in range(1, k + 1):
            rest = k - votes
            # (others drawn, of them level) -> probability of any such filling of that many places
            states = {(n, 0): comb(rest, n) * unread**n for n in range(rest + 1)}
            for other, q in probabilities.items():
                if other != answer:
                    states = _with_another(states, q, votes, rest)
            ends = (chance / (level + 1) for (n, level), chance in states.items() if n == rest)
            ways.append(comb(k, votes) * p**votes * fsum(ends))
        won[answer] = fsum(ways)
    return won


def _with_another(
    states: Mapping[tuple[int, int], float], q: float, at_most: int, rest: int
) -> dict[tuple[int, int], float]:
    grown: dict[tuple[int, int], float] = {}
    for (n, level), chance in states.items():
        for more in range(min(at_most, rest - n) + 1):
            key = (n + more, level + (more == at_most))
            grown[key] = grown.get(key, 0.0) + chance * comb(rest - n, more) * q**more
    return grown


class Stopped(NamedTuple):
    """How a vote that was ended early came out."""

    answers: list[Hashable | None]
    """That were drawn."""
    won: dict[Hashable, float]
    """What each has of the win."""


def lead(answers: Iterable[Hashable | None]) -> float:
    """The probability that the leading answer is likelier than the second: P(p₁ > p₂), believing nothing beforehand.

    With v₁ and v₂ votes, and the others left aside, that is P(θ > ½) for θ of Beta(v₁ + 1, v₂ + 1), which is a sum of
    binomials. ½ where there is no vote. Source: Aggarwal et al. 2023 (Adaptive-Consistency), the Beta criterion.
    """
    counts = sorted(Counter(answer for answer in answers if answer is not None).values(), reverse=True)
    first, second = [*counts, 0, 0][:2]
    n = first + second + 1
    return sum(comb(n, i) for i in range(first + 1)) / 2**n


def stopped(answers: Iterable[Hashable | None], *, sure: float = 0.95, most: int = 40) -> Stopped:
    """Answers are taken one after the other until the leader is `sure`, or there are `most`.

    No more are drawn from `answers` than are used, so that it may be a generator that calls a model. Raises BadInput
    unless `sure` lies in (½, 1) and `most` is 1 at least, and where there is no answer at all.
    """
    most = whole("most", most, 1)
    if not 0.5 < sure < 1:
        raise BadInput(f"A vote ended at {sure} after at most {most}: give a probability above 0.5 and below 1.")
    drawn: list[Hashable | None] = []
    source = iter(answers)
    while len(drawn) < most and (not drawn or lead(drawn) < sure):
        try:
            drawn.append(next(source))
        except StopIteration:
            break
    if not drawn:
        raise BadInput("There is no answer to vote on: draw at least one.")
    return Stopped(drawn, vote(drawn))


def share_calibration(
    votes: Sequence[Sequence[Hashable | None]], golds: Sequence[Hashable]
) -> tuple[list[float], list[bool]]:
    """(its share, is it right?) for every different answer to every question, for `estimates.reliability` and its kin.

    Is of all answers that got three votes in ten about three in ten right? So no tie needs to be broken, and answers
    that lost count too. Raises BadInput where there is not one gold answer to each question.
    """
    if len(votes) != len(golds):
        raise BadInput(f"{len(votes)} votes and {len(golds)} gold answers: give one to each question.")
    found = [(share, answer == gold) for each, gold in zip(votes, golds, strict=True)
             for answer, share in shares(each).items()]  # fmt: skip
    return [share for share, _ in found], [right for _, right in found]
