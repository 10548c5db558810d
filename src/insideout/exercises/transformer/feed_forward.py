"""Exercises on the feed-forward layer: SwiGLU, widths of equal size, a router's gates, the balance loss.

Practised in book/2-building-a-transformer/04_feed_forward.md; the modules are insideout/transformer/feed_forward.py and
experts.py. Sources: Shazeer 2020 (SwiGLU); Shazeer et al. 2017 (gates); Fedus et al. 2022, §2.2 (balance loss).
Shapes: B batch, T positions, C d_model, F hidden width, N positions of all texts, E experts, K experts per position.
"""

import random
from collections.abc import Callable

import torch
from torch import Tensor
from torch.nn import functional as F

from insideout.exercises.catalogue import Exercise
from insideout.exercises.drawing import tensor

# swiglu: x, gate, up, down -> W_down (silu(W_gate x) ⊙ W_up x)


def draw_layer(rng: random.Random, B: int, T: int, C: int, F: int) -> tuple[Tensor, ...]:
    """x (B, T, C), gate and up (F, C), down (C, F)."""
    return tensor(rng, B, T, C), tensor(rng, F, C), tensor(rng, F, C), tensor(rng, C, F)


def hidden(x: Tensor, gate: Tensor, up: Tensor) -> Tensor:
    return F.silu(x @ gate.T) * (x @ up.T)  # (B, T, F)


def gated(x: Tensor, gate: Tensor, up: Tensor, down: Tensor) -> Tensor:
    return hidden(x, gate, up) @ down.T


def bent_by(bend: Callable[[Tensor], Tensor]) -> Callable[..., Tensor]:
    """The layer with another bend."""
    return lambda x, gate, up, down: (bend(x @ gate.T) * (x @ up.T)) @ down.T


swiglu = Exercise(
    "transformer.feed_forward.swiglu", stars=1, minutes=8, reference=gated, draw=draw_layer,
    section="Which activation function",
)  # fmt: skip
swiglu.mistake(
    "SiLU is on the wrong branch: it bends the gate, and up stays as it is.",
    lambda x, gate, up, down: gated(x, up, gate, down),
)
swiglu.mistake("Nothing is bent: the gate is multiplied as it is, without SiLU.", bent_by(lambda a: a))
swiglu.mistake(
    "The gate is bent by the plain sigmoid. That is GLU; SwiGLU has silu(a) = a · sigmoid(a).", bent_by(torch.sigmoid)
)
swiglu.mistake("The gate is bent by GELU. That is GEGLU; SwiGLU has SiLU.", bent_by(F.gelu))
swiglu.mistake(
    "The gate is bent by GELU in the form with tanh. That is GEGLU; SwiGLU has SiLU.",
    bent_by(lambda a: F.gelu(a, approximate="tanh")),
)
swiglu.mistake("The gate is bent by ReLU. That is ReGLU; SwiGLU has SiLU.", bent_by(F.relu))
swiglu.mistake("The gate is bent by tanh; SwiGLU has SiLU.", bent_by(torch.tanh))
swiglu.mistake("The gate is bent by a softmax; SwiGLU has SiLU.", bent_by(lambda a: a.softmax(dim=-1)))
swiglu.mistake("SiLU has the sigmoid of −a: it is a · sigmoid(a).", bent_by(lambda a: a * torch.sigmoid(-a)))
swiglu.mistake(
    "SiLU has a sigmoid of 1.702 a, as the approximation of GELU: it is a · sigmoid(a).",
    bent_by(lambda a: a * torch.sigmoid(1.702 * a)),
)
swiglu.mistake(
    "Both branches are bent: only the gate is.",
    lambda x, gate, up, down: (F.silu(x @ gate.T) * F.silu(x @ up.T)) @ down.T,
)
swiglu.mistake(
    "The product is bent: the gate is bent first, and then multiplied.",
    lambda x, gate, up, down: F.silu(x @ gate.T * (x @ up.T)) @ down.T,
)
swiglu.mistake(
    "The two branches are added; they must be multiplied, number by number.",
    lambda x, gate, up, down: (F.silu(x @ gate.T) + x @ up.T) @ down.T,
)
swiglu.mistake(
    "The gate is not used: this is the plain layer, with SiLU.",
    lambda x, gate, up, down: F.silu(x @ up.T) @ down.T,
)
swiglu.mistake(
    "The matrix up is not used: the bent gate is multiplied by what up makes of x.",
    lambda x, gate, up, down: F.silu(x @ gate.T) @ down.T,
)
swiglu.mistake(
    "The matrix gate is read twice, and up not at all.", lambda x, gate, up, down: gated(x, gate, gate, down)
)
swiglu.mistake("The matrix up is read twice, and gate not at all.", lambda x, gate, up, down: gated(x, up, up, down))
swiglu.mistake(
    "These are the hidden numbers: the way back to d_model is missing.",
    lambda x, gate, up, down: hidden(x, gate, up),
)
swiglu.mistake(
    "x is added to the result: the residual connection is outside the layer.",
    lambda x, gate, up, down: x + gated(x, gate, up, down),
)

# width: d_ff, multiple -> the gated layer's hidden width, rounded up


def draw_widths(rng: random.Random) -> tuple[int, int]:
    """A width whose two thirds are whole; one in four times a multiple of the second number already."""
    multiple = rng.choice((3, 5, 8, 16, 32, 64))
    parts = rng.randint(3, 40) * multiple + rng.choice((0, *(rng.randint(1, multiple - 1) for _ in range(3))))
    return 3 * ((parts + 1) // 2), multiple


def rounded_up(width: int, multiple: int) -> int:
    return -(-width // multiple) * multiple


def gated_width(d_ff: int, multiple: int) -> int:
    return rounded_up(2 * d_ff // 3, multiple)


width = Exercise(
    "transformer.feed_forward.width", stars=1, minutes=6, reference=gated_width, draw=draw_widths, tolerance=0,
    edges=[(48, 8), (3072, 64), (3072, 1), (3, 64), (51, 8), (99, 64), (2304, 256)],
    section="The same number of parameters",
)  # fmt: skip
width.mistake("The width is right and not rounded up to the multiple.", lambda d_ff, multiple: 2 * d_ff // 3)
width.mistake(
    "Rounded down; up is asked for, so that the layer is not smaller.",
    lambda d_ff, multiple: 2 * d_ff // 3 // multiple * multiple,
)
width.mistake(
    "Rounded to the nearest multiple; up is asked for, so that the layer is not smaller.",
    lambda d_ff, multiple: round(2 * d_ff / 3 / multiple) * multiple,
)
width.mistake(
    "A width that is a multiple already gets one more: (w + m − 1) // m · m leaves it.",
    lambda d_ff, multiple: (2 * d_ff // 3 // multiple + 1) * multiple,
)
width.mistake(
    "Half the width is too little: three matrices stand against two, not four against two.",
    lambda d_ff, multiple: rounded_up(-(-d_ff // 2), multiple),
)
width.mistake(
    "A third of the width is too little: 3 · C · w numbers must be 2 · C · d_ff.",
    lambda d_ff, multiple: rounded_up(d_ff // 3, multiple),
)
width.mistake(
    "The width grows by a half: with three matrices for two it must shrink, to two thirds.",
    lambda d_ff, multiple: rounded_up(-(-3 * d_ff // 2), multiple),
)
width.mistake(
    "The width is not made smaller: with a third matrix the layer has half as many numbers again.", rounded_up
)
width.mistake(
    "d_ff is rounded before two thirds are taken: round the result.",
    lambda d_ff, multiple: 2 * rounded_up(d_ff, multiple) // 3,
)
width.mistake(
    "The width is 8/3 of d_ff: that is of d_model, and d_ff is already 4 times as wide.",
    lambda d_ff, multiple: rounded_up(8 * d_ff // 3, multiple),
)
width.mistake(
    "This is how many multiples there are: multiply by `multiple` again.",
    lambda d_ff, multiple: -(-(2 * d_ff // 3) // multiple),
)

# gates: scores, k -> the gate of every expert, 0 where it is not chosen


def draw_scores(rng: random.Random, N: int, E: int = 3) -> tuple[Tensor, int]:
    """A router's scores (N, E) and how many experts a position gets: at least two, and not all."""
    return tensor(rng, N, E, deviation=2.0), rng.randint(2, E - 1)


def chosen(scores: Tensor, k: int, largest: bool = True) -> Tensor:
    """True for the experts among the k largest of their row, (N, E)."""
    places = scores.topk(k, dim=-1, largest=largest).indices
    return torch.zeros_like(scores, dtype=torch.bool).scatter(-1, places, True)


def shared_out(scores: Tensor, k: int, largest: bool = True) -> Tensor:
    return scores.masked_fill(~chosen(scores, k, largest), float("-inf")).softmax(dim=-1)


def over_positions(scores: Tensor, k: int) -> Tensor:
    p = scores.softmax(dim=0) * chosen(scores, k)
    return p / p.sum(dim=-1, keepdim=True)


def by_sum(numbers: Tensor) -> Tensor:
    return numbers / numbers.sum(dim=-1, keepdim=True)


def threshold_of_all(scores: Tensor, k: int) -> Tensor:
    """One threshold for all positions: the k-th largest score of the first."""
    return scores.masked_fill(scores < scores[:1].topk(k).values[:, -1:], float("-inf")).softmax(dim=-1)


gates = Exercise(
    "transformer.feed_forward.gates", stars=2, minutes=12, reference=shared_out, draw=draw_scores,
    edges=[
        lambda rng: (tensor(rng, 4, 3), 3),  # all
        lambda rng: (tensor(rng, 4, 5) - 9.0, 2),  # all scores below 0
        lambda rng: (tensor(rng, 4, 5, deviation=300.0), 2),
    ],
    section="The router",
)  # fmt: skip
gates.mistake(
    "The chosen probabilities are not divided by their sum: the gates of a position must add up to 1.",
    lambda scores, k: scores.softmax(dim=-1) * chosen(scores, k),
)
gates.mistake(
    "Nothing is chosen: every expert has a gate, so every expert has to compute.",
    lambda scores, k: scores.softmax(dim=-1),
)
gates.mistake("The experts with the smallest scores are chosen.", lambda scores, k: shared_out(scores, k, False))
gates.mistake("Only one expert is chosen: take the k best.", lambda scores, k: shared_out(scores, 1))
gates.mistake("Two experts are chosen, whatever k is.", lambda scores, k: shared_out(scores, 2))
gates.mistake(
    "The gates are sigmoids of the chosen scores: here they share 1 among them, by a softmax.",
    lambda scores, k: scores.sigmoid() * chosen(scores, k),
)
gates.mistake(
    "The gates are sigmoids of the chosen scores, divided by their sum: here a softmax is asked for.",
    lambda scores, k: by_sum(scores.sigmoid() * chosen(scores, k)),
)
gates.mistake(
    "The chosen probabilities are divided by the root of the sum of their squares: divide by their sum.",
    lambda scores, k: F.normalize(scores.softmax(dim=-1) * chosen(scores, k), dim=-1),
)
gates.mistake(
    "These are the logarithms of the gates: `softmax`, not `log_softmax`.",
    lambda scores, k: shared_out(scores, k).log(),
)
gates.mistake(
    "A second softmax is taken over the probabilities of the chosen and the zeros of the others: one is enough.",
    lambda scores, k: (scores.softmax(dim=-1) * chosen(scores, k)).softmax(dim=-1),
)
gates.mistake("One expert too few is chosen: take the k best.", lambda scores, k: shared_out(scores, k - 1))
gates.mistake(
    "One expert too many is chosen: take the k best.", lambda scores, k: shared_out(scores, min(k + 1, len(scores[0])))
)
gates.mistake(
    "The scores of the others are set to 0, not to −∞: a score of 0 still gets weight.",
    lambda scores, k: (scores * chosen(scores, k)).softmax(dim=-1),
)
gates.mistake(
    "A softmax of the gates is taken once more: they are shared out already.",
    lambda scores, k: shared_out(scores, k).softmax(dim=-1),
)
gates.mistake(
    "The probabilities are the scores of a second softmax: take one, over the chosen scores.",
    lambda scores, k: scores.softmax(dim=-1).masked_fill(~chosen(scores, k), float("-inf")).softmax(dim=-1),
)
gates.mistake(
    "The chosen experts have equal gates: how well each one fits is lost, and the router learns nothing.",
    lambda scores, k: chosen(scores, k).to(scores) / k,
)
gates.mistake("These are ones for the chosen experts: they must be weighed.", lambda scores, k: chosen(scores, k) * 1.0)
gates.mistake(
    "The scores themselves are divided by their sum, without a softmax: they may be negative.",
    lambda scores, k: scores * chosen(scores, k) / (scores * chosen(scores, k)).sum(dim=-1, keepdim=True),
)
gates.mistake(
    "The chosen scores stand there as they are: a softmax over them is missing.",
    lambda scores, k: scores * chosen(scores, k),
)
gates.mistake(
    "Only the k gates are returned, the largest first: each belongs to its expert's column, and 0 to the others'.",
    lambda scores, k: scores.topk(k, dim=-1).values.softmax(dim=-1),
)
gates.mistake("The softmax runs over the positions; each position weighs its experts.", over_positions)
gates.mistake(
    "The k best positions are chosen for each expert: choose experts for each position.",
    lambda scores, k: shared_out(scores.T, min(k, len(scores))).T,
)
gates.mistake("One threshold is used for all positions: each has its own k-th largest score.", threshold_of_all)
gates.mistake(
    "The softmax is in base 2, or the scores are divided before it: take them as they are.",
    lambda scores, k: shared_out(scores * 0.6931471805599453, k),
)

# balance: probabilities, chosen -> E Σ f P


def draw_routing(rng: random.Random, N: int, E: int = 3) -> tuple[Tensor, Tensor]:
    """Probabilities (N, E) and the choices of each position, (N, K): the most probable experts, one to E − 1.

    Some experts are so much liked that others, the last one among them, may be chosen by nobody.
    """
    scores = tensor(rng, N, E) + tensor(rng, E, deviation=1.5)
    return scores.softmax(dim=-1), scores.topk(rng.randint(1, E - 1), dim=-1).indices


def draw_last_unchosen(rng: random.Random) -> tuple[Tensor, Tensor]:
    scores = tensor(rng, 5, 4) - torch.tensor([0.0, 0.0, 0.0, 30.0], dtype=torch.float64)
    return scores.softmax(dim=-1), scores.topk(2, dim=-1).indices


def shares(probabilities: Tensor, chosen: Tensor) -> Tensor:
    """What share of the choices fell on each expert, (E,)."""
    return chosen.flatten().bincount(minlength=probabilities.shape[-1]).double() / chosen.numel()


def balance_of(probabilities: Tensor, chosen: Tensor) -> Tensor:
    return probabilities.shape[-1] * (shares(probabilities, chosen) * probabilities.mean(dim=0)).sum()


def without_minlength(p: Tensor, chosen: Tensor) -> Tensor:
    counts = chosen.flatten().bincount()
    return p.shape[-1] * (counts / chosen.numel() * p.mean(dim=0)).sum()


balance = Exercise(
    "transformer.feed_forward.balance", stars=2, minutes=12, reference=balance_of, draw=draw_routing, tolerance=1e-5,
    edges=[draw_last_unchosen], section="Keep them all at work",
)  # fmt: skip
balance.mistake(
    "The factor E is missing: spread evenly, the sum is 1/E and not 1.",
    lambda p, chosen: balance_of(p, chosen) / len(p[0]),
)
balance.mistake(
    "The shares do not add up to 1: divide by the number of choices, which is K for each position.",
    lambda p, chosen: balance_of(p, chosen) * chosen.shape[-1],
)
balance.mistake(
    "The choices are counted and not divided by their number: f is a share.",
    lambda p, chosen: balance_of(p, chosen) * chosen.numel(),
)
balance.mistake(
    "The probabilities are added up over the positions, not averaged.",
    lambda p, chosen: balance_of(p, chosen) * len(p),
)
balance.mistake(
    "The choices are not used: f is what was chosen, not what was probable.",
    lambda p, chosen: p.shape[-1] * p.mean(dim=0).square().sum(),
)
balance.mistake(
    "The probabilities are not used: a count has no gradient, so nothing would push the router.",
    lambda p, chosen: p.shape[-1] * shares(p, chosen).square().sum(),
)
balance.mistake("Only the first choice of each position is counted.", lambda p, chosen: balance_of(p, chosen[:, :1]))
balance.mistake("Only the last choice of each position is counted.", lambda p, chosen: balance_of(p, chosen[:, -1:]))
balance.mistake(
    "The factor is K, the choices of a position: it is E, the number of experts.",
    lambda p, chosen: balance_of(p, chosen) / p.shape[-1] * chosen.shape[-1],
)
balance.mistake(
    "The factor is N, the number of positions: it is E, the number of experts.",
    lambda p, chosen: balance_of(p, chosen) / p.shape[-1] * len(p),
)
balance.mistake(
    "f is multiplied by the probabilities of each position, and the mean taken over all numbers: the sum over the "
    "experts is asked for, times E.",
    lambda p, chosen: balance_of(p, chosen) / p.shape[-1] ** 2,
)
balance.mistake(
    "This is the mean probability of what was chosen: f and P are averaged apart, and then multiplied.",
    lambda p, chosen: p.shape[-1] * p.gather(-1, chosen).mean(),
)
balance.mistake(
    "The logarithm of P is taken: f and P are multiplied as they are.",
    lambda p, chosen: p.shape[-1] * (shares(p, chosen) * p.mean(dim=0).log()).sum(),
)
balance.mistake(
    "Experts that nobody chose at the end of the list are not counted, and the sizes do not fit: `minlength`.",
    without_minlength,
)
