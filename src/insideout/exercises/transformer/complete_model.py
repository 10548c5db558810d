"""Exercises on the complete model: the shifted loss, the work of a token, temperature, top-p.

Practised in book/2-building-a-transformer/06_complete_model.md; the modules are insideout/transformer/model.py, loss.py
and generate.py. Sources: Kaplan et al. 2020, §2.1 (counting the work); Holtzman et al. 2020 (top-p).
Shapes: B batch, T positions, V vocabulary.
"""

import math
import random
from collections.abc import Callable

import torch
from torch import Tensor
from torch.nn import functional as F

from insideout.exercises.catalogue import Exercise, Mistake


def numbers(rng: random.Random, *shape: int) -> Tensor:
    """Normal float64 numbers."""
    return torch.randn(shape, generator=torch.Generator().manual_seed(rng.getrandbits(31)), dtype=torch.float64)


# loss: logits, ids -> mean surprise at the next token


def draw_logits_and_ids(rng: random.Random) -> tuple[Tensor, Tensor]:
    """Logits (B, T, V) and the ids (B, T) that they were computed from."""
    generator = torch.Generator().manual_seed(rng.getrandbits(31))
    return 2 * numbers(rng, 3, 9, 11), torch.randint(11, (3, 9), generator=generator)


def surprise(logits: Tensor, targets: Tensor, reduction: str = "mean") -> Tensor:
    return F.cross_entropy(logits.flatten(0, 1), targets.flatten(), reduction=reduction)


def next_token_loss(logits: Tensor, ids: Tensor) -> Tensor:
    return surprise(logits[:, :-1], ids[:, 1:])


# flops: the work of one token in a forward pass

Sizes = tuple[int, int, int, int, int]


def draw_sizes(rng: random.Random) -> Sizes:
    """vocab_size, n_positions, d_model, n_layers, d_ff, such that no two ways of counting agree."""
    while True:
        sizes = tuple(rng.randint(low, 60) for low in (8, 3, 5, 2, 7))
        counts = [flops(*sizes), *(mistake.function(*sizes) for mistake in FLOPS_MISTAKES)]
        if len(set(counts)) == len(counts):
            return sizes  # type: ignore[return-value]


def flops(vocab_size: int, n_positions: int, d_model: int, n_layers: int, d_ff: int) -> int:
    matrices = n_layers * (4 * d_model**2 + 2 * d_model * d_ff) + vocab_size * d_model
    return 2 * matrices + 4 * n_layers * n_positions * d_model


FLOPS_MISTAKES = [
    Mistake(
        "A multiplication and its addition are counted as one operation; the convention is two.",
        lambda v, t, c, n, f: flops(v, t, c, n, f) // 2,
    ),
    Mistake(
        "The head is missing: it is the product of every position with the whole table.",
        lambda v, t, c, n, f: flops(v, t, c, n, f) - 2 * v * c,
    ),
    Mistake(
        "The embedding is counted as a product: it is a lookup of one row, and costs none.",
        lambda v, t, c, n, f: flops(v, t, c, n, f) + 2 * v * c,
    ),
    Mistake(
        "The products of queries with keys and of the pattern with values are missing: they need no parameters.",
        lambda v, t, c, n, f: flops(v, t, c, n, f) - 4 * n * t * c,
    ),
    Mistake(
        "Only one product of attention is counted: the scores, or the mixing of values.",
        lambda v, t, c, n, f: flops(v, t, c, n, f) - 2 * n * t * c,
    ),
    Mistake(
        "This is the work of the whole text: divide by its positions.",
        lambda v, t, c, n, f: flops(v, t, c, n, f) * t,
    ),
    Mistake(
        "This is a training step, forward and backward: the forward pass is a third of it.",
        lambda v, t, c, n, f: flops(v, t, c, n, f) * 3,
    ),
]

# temperature: logits, kept entropy -> how the entropy answers to the temperature


def draw_logits_and_temperature(rng: random.Random) -> tuple[Tensor, float]:
    """Logits (B, V) and a temperature that is not 1."""
    return 2 * numbers(rng, 4, 9), rng.choice([rng.uniform(0.4, 0.8), rng.uniform(1.3, 2.0)])


def slope(logits: Tensor, temperature: float, power: int = 3) -> Tensor:
    p = (logits / temperature).softmax(-1)
    return variance(p, logits) / temperature**power


def variance(p: Tensor, logits: Tensor) -> Tensor:
    mean = (p * logits).sum(-1, keepdim=True)
    return (p * (logits - mean).square()).sum(-1)


def slope_at_one(logits: Tensor, temperature: float) -> Tensor:
    return variance(logits.softmax(-1), logits) / temperature**3


def slope_unweighted(logits: Tensor, temperature: float) -> Tensor:
    return logits.var(-1, correction=0) / temperature**3


# top_p: probabilities, mass -> the fewest likely tokens that reach it, made to sum to 1


def draw_probabilities(rng: random.Random) -> tuple[Tensor, float]:
    """Distributions (B, V), one of them with a token that alone has more than the mass."""
    while True:
        logits = 1.5 * numbers(rng, 5, 12)
        logits[0, rng.randrange(12)] += 8.0
        arguments = logits.softmax(-1), rng.uniform(0.4, 0.8)
        answers = [top_p(*arguments), *(function(*arguments) for _, function in TOP_P_MISTAKES)]
        if all((a - b).abs().max() > 1e-3 for i, a in enumerate(answers) for b in answers[:i]):
            return arguments


def renormalised(p: Tensor) -> Tensor:
    return p / p.sum(-1, keepdim=True)


def kept(p: Tensor, enough: Callable[[Tensor, Tensor], Tensor], descending: bool = True) -> Tensor:
    """The probabilities where `enough(sorted, cumulative)` says to keep, else 0."""
    ordered, order = p.sort(dim=-1, descending=descending)
    return torch.zeros_like(p).scatter(-1, order, ordered * enough(ordered, ordered.cumsum(-1)))


def top_p(p: Tensor, mass: float) -> Tensor:
    return renormalised(kept(p, lambda ordered, total: total - ordered < mass))


def top_p_short(p: Tensor, mass: float) -> Tensor:
    """Stops before the mass is reached; keeps the best all the same, so that there is something to divide."""
    return renormalised(kept(p, lambda ordered, total: (total <= mass) | (total == total[..., :1])))


def top_p_sorted(p: Tensor, mass: float) -> Tensor:
    ordered = p.sort(dim=-1, descending=True).values
    return renormalised(ordered * (ordered.cumsum(-1) - ordered < mass))


TOP_P_MISTAKES: list[tuple[str, Callable[[Tensor, float], Tensor]]] = [
    (
        "The kept probabilities are not divided by their sum: what is drawn from must sum to 1.",
        lambda p, mass: kept(p, lambda ordered, total: total - ordered < mass),
    ),
    (
        "It stops one token too early: the token with which the mass is reached belongs to the set.",
        top_p_short,
    ),
    (
        "The probabilities are in sorted order: each must stand at its own token again.",
        top_p_sorted,
    ),
    (
        "The least likely tokens are kept: sort from the largest down.",
        lambda p, mass: renormalised(kept(p, lambda ordered, total: total - ordered < mass, descending=False)),
    ),
    (
        "This keeps tokens by their own probability, relative to the best: that is min-p.",
        lambda p, mass: renormalised(p.where(p >= mass * p.amax(-1, keepdim=True), 0.0)),
    ),
    (
        "The probabilities are made to sum to 1 by a softmax, which changes their ratios: divide by their sum.",
        lambda p, mass: (
            kept(p, lambda ordered, total: total - ordered < mass)
            .masked_fill(kept(p, lambda ordered, total: total - ordered < mass) == 0, -math.inf)
            .softmax(-1)
        ),
    ),
]

exercises: list[Exercise] = [
    Exercise(
        id="transformer.complete_model.loss",
        difficulty=1,
        minutes=10,
        reference=next_token_loss,
        draw=draw_logits_and_ids,
        tolerance=1e-10,
        hints=[
            "The logits at position t are about the token at t + 1. Which position has no answer in the text?",
            "Cut the last position off the logits and the first off the ids. Then they lie one above the other.",
        ],
        mistakes=[
            Mistake(
                "The labels are not shifted: this asks the model to repeat the token it has just read.",
                lambda logits, ids: surprise(logits, ids),
            ),
            Mistake(
                "The labels are shifted the wrong way: this asks for the token before.",
                lambda logits, ids: surprise(logits[:, 1:], ids[:, :-1]),
            ),
            Mistake(
                "The labels are shifted twice: this asks for the token after the next.",
                lambda logits, ids: surprise(logits[:, :-2], ids[:, 2:]),
            ),
            Mistake(
                "The text is bent into a ring: the last position is asked for the first token. Leave it out.",
                lambda logits, ids: surprise(logits, ids.roll(-1, dims=1)),
            ),
            Mistake(
                "This is the sum, and the mean over all predictions is asked for.",
                lambda logits, ids: surprise(logits[:, :-1], ids[:, 1:], "sum"),
            ),
            Mistake(
                "The sign is wrong: the loss is minus the log-probability.",
                lambda logits, ids: -next_token_loss(logits, ids),
            ),
            Mistake(
                "The sum is divided by the number of texts alone: divide by the number of predictions.",
                lambda logits, ids: surprise(logits[:, :-1], ids[:, 1:], "sum") / len(ids),
            ),
        ],
    ),
    Exercise(
        id="transformer.complete_model.flops",
        difficulty=2,
        minutes=10,
        reference=flops,
        draw=draw_sizes,
        tolerance=1e-10,
        hints=[
            "A vector times an (a, b) matrix takes a·b multiplications and as many additions. Which are there?",
            "Attention has two more products, without parameters: a query with T keys, and T weights with T values. "
            "All heads together are d_model wide.",
        ],
        mistakes=FLOPS_MISTAKES,
    ),
    Exercise(
        id="transformer.complete_model.temperature",
        difficulty=3,
        minutes=20,
        reference=slope,
        draw=draw_logits_and_temperature,
        tolerance=1e-9,
        hints=[
            "With β = 1/τ, ln p_i = β z_i − ln Σ exp(β z). Write the entropy as ln Σ exp(β z) − β mean(z).",
            "The derivative of ln Σ exp(β z) with respect to β is mean(z), and that of mean(z) is the variance of z. "
            "At the end, dβ/dτ = −1/τ².",
        ],
        mistakes=[
            Mistake(
                "The variance is divided by τ², not by τ³: one factor comes from β itself, two from dβ/dτ.",
                lambda logits, t: slope(logits, t, 2),
            ),
            Mistake("The variance is not divided by τ³.", lambda logits, t: slope(logits, t, 0)),
            Mistake(
                "The probabilities are those at temperature 1: take the variance under p at this temperature.",
                slope_at_one,
            ),
            Mistake(
                "All tokens weigh the same in this variance: weigh each with its probability.",
                slope_unweighted,
            ),
            Mistake(
                "The sign is wrong: the entropy grows with the temperature.",
                lambda logits, t: -slope(logits, t),
            ),
            Mistake(
                "This is the derivative with respect to β = 1/τ: multiply by dβ/dτ = −1/τ².",
                lambda logits, t: -slope(logits, t, 1),
            ),
        ],
    ),
    Exercise(
        id="transformer.complete_model.top_p",
        difficulty=2,
        minutes=15,
        reference=top_p,
        draw=draw_probabilities,
        tolerance=1e-9,
        hints=[
            "Sort from the largest down. A token stays if those before it have not reached the mass yet.",
            "`sort` also gives the order. `scatter` puts sorted numbers back where they came from.",
        ],
        mistakes=[Mistake(diagnosis, function) for diagnosis, function in TOP_P_MISTAKES],
    ),
]
