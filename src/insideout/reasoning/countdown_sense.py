"""A small network with a sense for Countdown: which step to take, and whether the target can still be made.

    sense = practised(games, n_steps=1200, seed=0)             on games whose truth is known
    problem = CountdownTree(game, sense.policy(game.target), sense.value(game.target))

It sees the numbers that a step leaves, and the target, and has two opinions: how likely a player of the examples would
take this step (its policy, learned from one solution of each game), and how likely the target can still be made (its
value, learned from exhaustive search). It does not calculate ahead. It stands for a large model that is asked for steps
and for what it thinks of them, and is far from perfect, as that one is.

Taught in book/4-reasoning-with-transformers/06_tree_of_thoughts.md. Source of the shape: Zaheer et al. 2017 (Deep
Sets), for numbers that come in no order.
"""

import random
from collections.abc import Callable, Iterable, Sequence
from typing import NamedTuple

import torch
from jaxtyping import Float, Int
from torch import Tensor, nn
from torch.nn import functional as F

from insideout.data.problems.countdown import MOST, Game, Move, moves, solvable
from insideout.errors import BadInput

__all__ = ["Sense", "practised"]

Numbers = tuple[int, ...]
LARGEST = 200
"""Numbers from here on differ in their size alone."""


class Sense(nn.Module):
    """Two opinions of what a step leaves: of the step, and of the target."""

    def __init__(self, width: int = 48) -> None:
        super().__init__()
        self.number = nn.Embedding(LARGEST + 1, width)
        self.target = nn.Embedding(LARGEST + 1, width)
        self.size = nn.Linear(2, width)
        self.meets = nn.Sequential(nn.Linear(2 * width, width), nn.GELU(), nn.Linear(width, width), nn.GELU())
        self.opinions = nn.Sequential(nn.Linear(2 * width, width), nn.GELU(), nn.Linear(width, 2))
        self.known: dict[tuple[Numbers, int], tuple[float, float]] = {}

    def forward(self, numbers: Int[Tensor, "B n"], targets: Int[Tensor, " B"]) -> Float[Tensor, "B 2"]:
        """Logits of both. Rows of `numbers` are filled up with 0."""
        goals = targets.unsqueeze(1)  # (B, 1)
        sizes = torch.stack([numbers.float().log1p(), (numbers - goals) / (numbers + goals)], -1)  # (B, n, 2)
        seen = self.number(numbers.clamp(max=LARGEST)) + self.size(sizes)  # (B, n, C)
        wanted = self.target(targets.clamp(max=LARGEST))  # (B, C)
        each = self.meets(torch.cat([seen, wanted.unsqueeze(1).expand_as(seen)], -1))  # (B, n, C)
        together = (each * (numbers > 0).unsqueeze(-1)).sum(1)  # (B, C): in no order
        return self.opinions(torch.cat([together, wanted], -1))

    @torch.no_grad()
    def of(self, states: Sequence[Numbers], target: int) -> list[tuple[float, float]]:
        """Both logits of each state; what was asked once is remembered."""
        new = [state for state in dict.fromkeys(states) if (state, target) not in self.known]
        if new:
            found = self(filled(new), torch.full((len(new),), target)).tolist()
            self.known |= {(state, target): (step, goal) for state, (step, goal) in zip(new, found, strict=True)}
        return [self.known[state, target] for state in states]

    def policy(self, target: int, temperature: float = 1.0) -> Callable[[Numbers, Sequence[Move]], list[float]]:
        """For a `CountdownTree`: how probable each step is. Raises BadInput for a temperature not above 0."""
        if not temperature > 0:
            raise BadInput(f"The temperature is {temperature}: it must be above 0.")

        def priors(state: Numbers, steps: Sequence[Move]) -> list[float]:
            logits = torch.tensor([step for step, _ in self.of([move.left for move in steps], target)])
            return (logits.double() / temperature).softmax(-1).tolist()

        return priors

    def value(self, target: int) -> Callable[[Numbers], float]:
        """For a `CountdownTree`: how likely the target can still be made, from 0 to 1."""

        def promising(state: Numbers) -> float:
            return torch.tensor(self.of([state], target)[0][1]).sigmoid().item()

        return promising


def filled(states: Sequence[Numbers], length: int = MOST) -> Int[Tensor, "B n"]:
    """States as rows of one length, filled up with 0."""
    return torch.tensor([state + (0,) * (length - len(state)) for state in states])


# Practice


class Position(NamedTuple):
    """A state of a game by what its steps leave: can the target still be made, and which step did the example take?"""

    left: list[Numbers]
    target: int
    solvable: list[bool]
    taken: int
    """-100 where there is no example, as in other losses."""


def positions(games: Iterable[Game], seed: int = 0) -> list[Position]:
    """Of each game those on the way of its solution, and those on a way drawn blindly, which may be lost."""
    source, found = random.Random(seed), []
    for game in games:
        for example in (True, False):
            state = game.numbers
            for move in game.moves:
                steps = moves(state)
                can = [solvable(each.left, game.target, use_all=game.use_all) for each in steps]
                taken = steps.index(move) if example else -100
                if example or state != game.numbers:
                    found.append(Position([each.left for each in steps], game.target, can, taken))
                state = move.left if example else source.choice(steps).left
    return found


def practised(games: Sequence[Game], n_steps: int = 1200, seed: int = 0, batch: int = 40, lr: float = 6e-3) -> Sense:
    """A sense trained on games by AdamW: cross-entropy of the example's step, and of what can still be made.

    `batch` counts positions, each with all its steps; the rate rises to `lr` and falls to 0. Raises BadInput without
    games, and for steps below 1.
    """
    if not games or n_steps < 1:
        raise BadInput(f"{len(games)} games and {n_steps} steps teach nothing: give at least 1 of each.")
    seen, source = positions(games, seed), random.Random(seed)
    longest = max(len(each.left[0]) for each in seen)
    torch.manual_seed(seed)
    sense = Sense()
    optimizer = torch.optim.AdamW(sense.parameters(), lr=lr, weight_decay=0.01)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, lr, total_steps=n_steps)
    for _ in range(n_steps):
        drawn = source.choices(seen, k=batch)
        lengths = [len(each.left) for each in drawn]
        states = filled([state for each in drawn for state in each.left], longest)
        targets = torch.tensor([each.target for each in drawn]).repeat_interleave(torch.tensor(lengths))
        step, goal = sense(states, targets).unbind(-1)
        rows = nn.utils.rnn.pad_sequence(step.split(lengths), batch_first=True, padding_value=float("-inf"))
        can = torch.tensor([float(each) for position in drawn for each in position.solvable])
        loss = F.binary_cross_entropy_with_logits(goal, can)
        taken = torch.tensor([each.taken for each in drawn])
        if (taken >= 0).any():
            loss = loss + F.cross_entropy(rows, taken)
        optimizer.zero_grad()
        loss.backward()  # type: ignore[no-untyped-call]
        optimizer.step()
        schedule.step()
    return sense.eval()
