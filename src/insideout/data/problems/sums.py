"""Sums of n numbers, one addition a step: the plainest problems, for a start and for what can be counted.

    3+5+2+4        <think>3+5=8\n8+2=10\n10+4=14</think>#### 14        "3 steps"

Which numbers are added, in any order, decides the split: no test question is a training question turned around.
Used in part 4. Standard library only.
"""

import random
from collections.abc import Sequence

from insideout.checks import whole
from insideout.data.problems.steps import Step, step
from insideout.data.problems.worked import Worked, WorkedSuite
from insideout.data.suite import Split
from insideout.errors import BadInput
from insideout.scales import Scale

__all__ = ["Sums", "suite"]


class Sums(WorkedSuite):
    """Sums of two numbers and more."""

    name = "sums"

    def __init__(
        self, steps: Sequence[int] = (1, 2, 3, 4), *, largest: int = 9, held_out_steps: Sequence[int] = (),
        cue: str = "", chat: bool = True,
    ) -> None:  # fmt: skip
        """`steps` additions, of numbers from 1 to `largest`. Raises BadInput for numbers of which there is none."""
        super().__init__(steps, held_out_steps, cue, chat)
        if whole("largest", largest, 0) < 2:
            raise BadInput(f"Sums of numbers up to {largest} are all alike: let the largest be at least 2.")
        self.largest = largest

    def problem(self, source: random.Random, k: int, split: Split | None) -> tuple[str, Worked, str]:
        """k + 1 numbers."""
        numbers = [source.randint(1, self.largest) for _ in range(k + 1)]
        steps: list[Step] = []
        total = numbers[0]
        for number in numbers[1:]:
            steps.append(step(total, "+", number))
            total += number
        truth = Worked(total, tuple(steps), ("plus",) * k, numbers=tuple(numbers))
        return "+".join(map(str, numbers)), truth, " ".join(map(str, sorted(numbers)))


def suite(at: Scale) -> Sums:
    """What the scoreboard asks models that solve sums: of up to six additions."""
    return Sums(range(1, 3 if at == "tiny" else 7))
