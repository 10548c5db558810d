"""Exercises on the feed-forward layer: SwiGLU, widths of equal size, a router's gates, the balance loss.

Practised in book/2-building-a-transformer/04_feed_forward.md; the modules are insideout/transformer/feed_forward.py and
experts.py. Sources: Shazeer 2020 (SwiGLU); Shazeer et al. 2017 (gates); Fedus et al. 2022, §2.2 (balance loss).
Shapes: B batch, T positions, C d_model, F hidden width, N positions of all texts, E experts, K experts per position.
"""

import random

import torch
from torch import Tensor
from torch.nn import functional as F

from insideout.exercises.catalogue import Exercise, Mistake
from insideout.transformer.experts import balance_loss


def numbers(rng: random.Random, *shape: int) -> Tensor:
    """Normal float64 numbers."""
    return torch.randn(shape, generator=torch.Generator().manual_seed(rng.getrandbits(31)), dtype=torch.float64)


# swiglu: x, gate, up, down -> W_down (silu(W_gate x) ⊙ W_up x)


def draw_layer(rng: random.Random) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """x (B, T, C), gate and up (F, C), down (C, F)."""
    return numbers(rng, 2, 5, 8), numbers(rng, 12, 8), numbers(rng, 12, 8), numbers(rng, 8, 12)


def hidden(x: Tensor, gate: Tensor, up: Tensor) -> Tensor:
    return F.silu(x @ gate.T) * (x @ up.T)  # (B, T, F)


def swiglu(x: Tensor, gate: Tensor, up: Tensor, down: Tensor) -> Tensor:
    return hidden(x, gate, up) @ down.T


# width: d_ff, multiple -> the gated layer's hidden width, rounded up


def draw_widths(rng: random.Random) -> tuple[int, int]:
    """A width whose two thirds are whole, and no multiple of the second number."""
    multiple = rng.choice((8, 16, 32, 64))
    width = multiple * rng.randint(5, 40) + 2 * rng.randint(1, multiple // 2 - 1)  # even, between two multiples
    return 3 * width // 2, multiple


def rounded_up(width: int, multiple: int) -> int:
    return -(-width // multiple) * multiple


def gated_width(d_ff: int, multiple: int) -> int:
    return rounded_up(2 * d_ff // 3, multiple)


# gates: scores, k -> the gate of every expert, 0 where it is not chosen


def draw_scores(rng: random.Random) -> tuple[Tensor, int]:
    """A router's scores (N, E) and how many experts a position gets, at least two of five."""
    return 2 * numbers(rng, 6, 5), rng.choice((2, 3))


def chosen(scores: Tensor, k: int, largest: bool = True) -> Tensor:
    """True for the experts among the k largest of their row, (N, E)."""
    places = scores.topk(k, dim=-1, largest=largest).indices
    return torch.zeros_like(scores, dtype=torch.bool).scatter(-1, places, True)


def gates(scores: Tensor, k: int) -> Tensor:
    return scores.masked_fill(~chosen(scores, k), float("-inf")).softmax(dim=-1)


def gates_not_shared_out(scores: Tensor, k: int) -> Tensor:
    return scores.softmax(dim=-1) * chosen(scores, k)


def gates_of_the_smallest(scores: Tensor, k: int) -> Tensor:
    return scores.masked_fill(~chosen(scores, k, largest=False), float("-inf")).softmax(dim=-1)


def gates_over_positions(scores: Tensor, k: int) -> Tensor:
    p = scores.softmax(dim=0) * chosen(scores, k)
    return p / p.sum(dim=-1, keepdim=True)


# balance: probabilities, chosen -> E Σ f P


def draw_routing(rng: random.Random) -> tuple[Tensor, Tensor]:
    """Probabilities (N, E) and two choices a position, (N, K): the most probable experts."""
    scores = 2 * numbers(rng, 9, 4) + numbers(rng, 4)
    return scores.softmax(dim=-1), scores.topk(2, dim=-1).indices


def shares(probabilities: Tensor, chosen: Tensor) -> Tensor:
    """What share of the choices fell on each expert, (E,)."""
    return chosen.flatten().bincount(minlength=probabilities.shape[-1]).double() / chosen.numel()


def balance(probabilities: Tensor, chosen: Tensor) -> float:
    return balance_loss(probabilities, chosen).item()


def balance_of_probabilities(p: Tensor, chosen: Tensor) -> float:
    return p.shape[-1] * p.mean(dim=0).square().sum().item()


def balance_of_choices(p: Tensor, chosen: Tensor) -> float:
    return p.shape[-1] * shares(p, chosen).square().sum().item()


exercises: list[Exercise] = [
    Exercise(
        id="transformer.feed_forward.swiglu",
        difficulty=1,
        minutes=8,
        reference=swiglu,
        draw=draw_layer,
        tolerance=1e-9,
        hints=[
            "Two matrices read x, and their results have the same shape. What joins them?",
            "silu(a) = a · sigmoid(a). It bends one of the two before they are multiplied.",
        ],
        mistakes=[
            Mistake(
                "SiLU is on the wrong branch: it bends the gate, and up stays as it is.",
                lambda x, gate, up, down: swiglu(x, up, gate, down),
            ),
            Mistake(
                "Nothing is bent: the gate is multiplied as it is, without SiLU.",
                lambda x, gate, up, down: (x @ gate.T * (x @ up.T)) @ down.T,
            ),
            Mistake(
                "The gate is bent by the plain sigmoid. That is GLU; SwiGLU has silu(a) = a · sigmoid(a).",
                lambda x, gate, up, down: (torch.sigmoid(x @ gate.T) * (x @ up.T)) @ down.T,
            ),
            Mistake(
                "The gate is bent by GELU. That is GEGLU; SwiGLU has SiLU.",
                lambda x, gate, up, down: (F.gelu(x @ gate.T) * (x @ up.T)) @ down.T,
            ),
            Mistake(
                "The two branches are added; they must be multiplied, number by number.",
                lambda x, gate, up, down: (F.silu(x @ gate.T) + x @ up.T) @ down.T,
            ),
            Mistake(
                "These are the hidden numbers: the way back to d_model is missing.",
                lambda x, gate, up, down: hidden(x, gate, up),
            ),
        ],
    ),
    Exercise(
        id="transformer.feed_forward.width",
        difficulty=1,
        minutes=6,
        reference=gated_width,
        draw=draw_widths,
        tolerance=0.0,
        hints=[
            "Count the numbers in the matrices of both layers. d_model stands in both counts and falls out.",
            "Rounding up to a multiple of m: divide by m, round up, multiply by m.",
        ],
        mistakes=[
            Mistake(
                "The width is right and not rounded up to the multiple.",
                lambda d_ff, multiple: 2 * d_ff // 3,
            ),
            Mistake(
                "Rounded down; up is asked for, so that the layer is not smaller.",
                lambda d_ff, multiple: 2 * d_ff // 3 // multiple * multiple,
            ),
            Mistake(
                "Half the width is too little: three matrices stand against two, not four against two.",
                lambda d_ff, multiple: rounded_up(d_ff // 2, multiple),
            ),
            Mistake(
                "The width is not made smaller: with a third matrix the layer has half as many numbers again.",
                rounded_up,
            ),
        ],
    ),
    Exercise(
        id="transformer.feed_forward.gates",
        difficulty=2,
        minutes=12,
        reference=gates,
        draw=draw_scores,
        tolerance=1e-10,
        hints=[
            "Which k experts does each row choose? topk gives their places.",
            "What number, put in place of the other scores before the softmax, makes their weight exactly 0?",
        ],
        mistakes=[
            Mistake(
                "The chosen probabilities are not divided by their sum: the gates of a position must add up to 1.",
                gates_not_shared_out,
            ),
            Mistake(
                "Nothing is chosen: every expert has a gate, so every expert has to compute.",
                lambda scores, k: scores.softmax(dim=-1),
            ),
            Mistake("The experts with the smallest scores are chosen.", gates_of_the_smallest),
            Mistake(
                "The scores of the others are set to 0, not to -∞: a score of 0 still gets weight.",
                lambda scores, k: (scores * chosen(scores, k)).softmax(dim=-1),
            ),
            Mistake(
                "The chosen experts have equal gates: how well each one fits is lost, and the router learns nothing.",
                lambda scores, k: chosen(scores, k) / k,
            ),
            Mistake(
                "The softmax runs over the positions; each position weighs its experts.",
                gates_over_positions,
            ),
        ],
    ),
    Exercise(
        id="transformer.feed_forward.balance",
        difficulty=2,
        minutes=12,
        reference=balance,
        draw=draw_routing,
        tolerance=1e-10,
        hints=[
            "f is counted from the choices alone, and its E numbers add up to 1. P is a mean of probabilities.",
            "torch.bincount counts how often each number occurs.",
        ],
        mistakes=[
            Mistake(
                "The factor E is missing: spread evenly, the sum is 1/E and not 1.",
                lambda p, chosen: balance(p, chosen) / p.shape[-1],
            ),
            Mistake(
                "The shares do not add up to 1: divide by the number of choices, which is K for each position.",
                lambda p, chosen: balance(p, chosen) * chosen.shape[-1],
            ),
            Mistake("The choices are not used: f is what was chosen, not what was probable.", balance_of_probabilities),
            Mistake(
                "The probabilities are not used: a count has no gradient, so nothing would push the router.",
                balance_of_choices,
            ),
            Mistake(
                "Only the first choice of each position is counted.",
                lambda p, chosen: balance(p, chosen[:, :1]),
            ),
        ],
    ),
]
