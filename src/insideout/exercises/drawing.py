"""The shared ways to draw inputs for an exercise: `rng` first, then the sizes.

    matrix(rng, 3, 4)                a list of 3 rows of 4 normal numbers; vector(rng, 4) one of them
    away(rng, 5)                     numbers well away from 0, of both signs
    distinct(rng, 3, 2, 60)          3 different whole numbers from 2 to 60
    ids(rng, 6, 10)                  token ids, 0 and the last one among them when there is room
    targets(rng, 6, 10)              one target or None for each position, both kinds among them
    distribution(rng, 5)             probabilities that add up to 1; distributions(rng, 3, 5) rows of them
    tensor(rng, 2, 3, 4)             normal float64 numbers as a tensor
    described(f, "x² + 1")           a function that the grader can show

Standard library only; torch is imported where a tensor is asked for.
"""

import math
import random
from collections.abc import Callable, Sequence
from functools import update_wrapper
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from torch import Tensor


class RoundNumbers(random.Random):
    """Draws numbers of two digits, for cases that are read."""

    def gauss(self, mu: float = 0.0, sigma: float = 1.0) -> float:
        return two_digits(super().gauss(mu, sigma))

    def uniform(self, a: float, b: float) -> float:
        return min(max(a, b), max(min(a, b), two_digits(super().uniform(a, b))))


def two_digits(x: float) -> float:
    return float(f"{x:.2g}")


def vector(rng: random.Random, n: int, deviation: float = 1.0) -> list[float]:
    """n normal numbers."""
    return [rng.gauss(0.0, deviation) for _ in range(n)]


def matrix(rng: random.Random, rows: int, columns: int, deviation: float = 1.0) -> list[list[float]]:
    """Rows of normal numbers."""
    return [vector(rng, columns, deviation) for _ in range(rows)]


def away(rng: random.Random, n: int, low: float = 0.5, high: float = 2.0) -> list[float]:
    """n numbers of random sign, low to high in size."""
    return [rng.choice((-1.0, 1.0)) * rng.uniform(low, high) for _ in range(n)]


def distinct(rng: random.Random, n: int, low: int, high: int) -> tuple[int, ...]:
    """n different whole numbers from low to high, in random order."""
    return tuple(rng.sample(range(low, high + 1), n))


def ids(rng: random.Random, n: int, vocab_size: int) -> list[int]:
    """n token ids, repeats allowed; the first and last of the vocabulary are among them when n is at least 2."""
    edges = [0, vocab_size - 1][: n if n >= 2 else 0]
    drawn = edges + [rng.randrange(vocab_size) for _ in range(n - len(edges))]
    rng.shuffle(drawn)
    return drawn


def targets(rng: random.Random, n: int, vocab_size: int) -> list[int | None]:
    """n targets: the ids 0 and vocab_size − 1 where there is room, and about a third of them None, never all."""
    n_none = rng.randint(1, max(1, n // 3)) if n >= 2 else 0
    drawn: list[int | None] = [*ids(rng, n - n_none, vocab_size), *[None] * n_none]
    rng.shuffle(drawn)
    return drawn


def distribution(rng: random.Random, n: int) -> list[float]:
    """n probabilities, none of them 0, that add up to 1."""
    weights = [math.exp(number) for number in vector(rng, n)]
    return [weight / sum(weights) for weight in weights]


def distributions(rng: random.Random, rows: int, n: int) -> list[list[float]]:
    """Rows of probabilities, each adding up to 1."""
    return [distribution(rng, n) for _ in range(rows)]


def tensor(rng: random.Random, *shape: int, deviation: float = 1.0) -> "Tensor":
    """Normal float64 numbers."""
    import torch

    return torch.tensor(vector(rng, math.prod(shape), deviation), dtype=torch.float64).reshape(shape)


def tensor_of(numbers: Sequence[Any]) -> "Tensor":
    """Nested lists as a tensor: float64, or int64 where all are whole."""
    import torch

    found = torch.tensor(numbers)
    return found if not found.is_floating_point() else torch.tensor(numbers, dtype=torch.float64)


def described(function: Callable[..., Any], text: str) -> Callable[..., Any]:
    """The function, shown as `text` wherever the grader prints it."""
    return _Described(function, text)


class _Described:
    """A function with a text to show."""

    def __init__(self, function: Callable[..., Any], text: str):
        self.function, self.text = function, text
        update_wrapper(self, function)

    def __call__(self, *arguments: Any) -> Any:
        return self.function(*arguments)

    def __repr__(self) -> str:
        return self.text
