"""One answer out of many that somebody has scored: the best, a vote weighted by scores, a vote of the better ones.

    best(answers, scores)                  {"14": 1.0}: what each answer has of the win, as of a vote, ties split
    weighted(answers, scores)              every answer votes with its score
    filtered(answers, scores, keep=0.5)    the better half votes

Scores are of a verifier, or of whoever has one to give. None is an answer that could not be read: it is never chosen.
Taught in book/4-reasoning-with-transformers/05_best_of_n.md. Standard library only.
Sources: Cobbe et al. 2021, §4 (best of n, and votes of the best); Uesato et al. 2022, §2.4 (weighted).
"""

from collections.abc import Hashable, Sequence
from math import ceil, isfinite

from insideout.errors import BadInput
from insideout.estimates import vote

__all__ = ["best", "filtered", "weighted"]


def best(answers: Sequence[Hashable | None], scores: Sequence[float]) -> dict[Hashable, float]:
    """The answer with the highest score; of those that are level each has its part. Empty where none can be read.

    Raises BadInput unless there is one finite score to each answer.
    """
    checked(answers, scores)
    readable = [score for answer, score in zip(answers, scores, strict=True) if answer is not None]
    top = [answer for answer, score in zip(answers, scores, strict=True) if readable and score == max(readable)]
    kept = [answer for answer in top if answer is not None]
    return {answer: kept.count(answer) / len(kept) for answer in dict.fromkeys(kept)}


def weighted(answers: Sequence[Hashable | None], scores: Sequence[float]) -> dict[Hashable, float]:
    """The answer whose scores have the largest sum. Raises BadInput as `best` does, and for a score below 0."""
    checked(answers, scores)
    return vote(answers, list(scores))


def filtered(answers: Sequence[Hashable | None], scores: Sequence[float], keep: float = 0.5) -> dict[Hashable, float]:
    """The vote of that share of the answers with the highest scores, one at least; all that are level with the last.

    Raises BadInput as `best` does, and for a share that is not above 0 and at most 1.
    """
    checked(answers, scores)
    if not 0 < keep <= 1:
        raise BadInput(f"keep is {keep}: a share of the answers is above 0 and at most 1.")
    readable = [(answer, score) for answer, score in zip(answers, scores, strict=True) if answer is not None]
    if not readable:
        return {}
    last = sorted((score for _, score in readable), reverse=True)[ceil(keep * len(readable)) - 1]
    return vote([answer for answer, score in readable if score >= last])


def checked(answers: Sequence[Hashable | None], scores: Sequence[float]) -> None:
    """Raises BadInput unless there is one finite score to each answer."""
    if len(answers) != len(scores) or not all(isfinite(score) for score in scores):
        raise BadInput(f"{len(scores)} scores for {len(answers)} answers: give one to each, and finite.")
