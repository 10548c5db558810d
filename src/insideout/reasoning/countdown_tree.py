"""Countdown as a problem to search: a state is the numbers that are left, a step puts two of them together.

    problem = CountdownTree(question.truth)                  all steps alike, the value perfect
    problem = CountdownTree(question.truth, policy, value)   as a model of ours believes
    expression_of([move.step for move in search(problem, beam(5)).moves], question.truth.numbers)

Whether a state is a solution can be checked, for the target is told.
Taught in book/4-reasoning-with-transformers/06_tree_of_thoughts.md. Standard library only.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from insideout.data.problems.countdown import Game, Move, moves, solvable, solved
from insideout.reasoning.search import Branch

__all__ = ["CountdownTree"]

Numbers = tuple[int, ...]
Policy = Callable[[Numbers, Sequence[Move]], Sequence[float]]
"""How probable each of these moves is."""


@dataclass(frozen=True)
class CountdownTree:
    """A game of Countdown, with somebody's idea of which steps are likely and which numbers promising."""

    game: Game
    policy: Policy | None = None
    """None: every step is as likely."""
    evaluator: Callable[[Numbers], float] | None = None
    """None: the truth, by exhaustive search."""

    @property
    def start(self) -> Numbers:
        """The game's numbers."""
        return self.game.numbers

    def branches(self, state: Numbers) -> list[Branch]:
        """Every step that the rules allow; none after a solution."""
        if self.solved(state):
            return []
        found = moves(state)
        priors = [1.0] * len(found) if self.policy is None else self.policy(state, found)
        return [Branch(move, move.left, prior) for move, prior in zip(found, priors, strict=True)]

    def value(self, state: Numbers) -> float:
        """The evaluator's."""
        return self.truth(state) if self.evaluator is None else self.evaluator(state)

    def truth(self, state: Numbers) -> float:
        """1 if the target can still be made, else 0."""
        return float(solvable(state, self.game.target, use_all=self.game.use_all))

    def solved(self, state: Numbers) -> bool:
        """Has the target been made?"""
        return solved(state, self.game.target, use_all=self.game.use_all)
