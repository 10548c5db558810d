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

from insideout.exercises.catalogue import Exercise
from insideout.exercises.drawing import distinct, ids, tensor, tensor_of

# loss: logits, ids -> mean surprise at the next token


def draw_logits_and_ids(rng: random.Random, B: int, V: int = 2, T: int = 2) -> tuple[Tensor, Tensor]:
    """Logits (B, T, V) and the ids (B, T) that they were computed from."""
    return tensor(rng, B, T, V, deviation=2.0), torch.tensor([ids(rng, T, V) for _ in range(B)])


def surprise(logits: Tensor, targets: Tensor, **options: str | int) -> Tensor:
    return F.cross_entropy(logits.flatten(0, 1), targets.flatten(), **options)  # type: ignore[arg-type]


def next_token_loss(logits: Tensor, ids: Tensor) -> Tensor:
    return surprise(logits[:, :-1], ids[:, 1:])


def chosen(scores: Tensor, ids: Tensor) -> Tensor:
    """Each position's score of the token that follows, (B, T - 1)."""
    return scores[:, : ids.shape[1] - 1].gather(-1, ids[:, 1:, None])[..., 0]


loss = Exercise(
    "transformer.complete_model.loss", stars=1, minutes=10, reference=next_token_loss, draw=draw_logits_and_ids,
    tolerance=1e-5,
    edges=[(tensor_of([[[2.0, 0.0, -1.0], [9.0, 9.0, 9.0]]]), torch.tensor([[1, 0]])),
           (tensor_of([[[30.0, 0.0], [0.0, -30.0], [0.0, 1.0]]]), torch.tensor([[1, 1, 0]]))],
    section="What it is asked",
)  # fmt: skip
loss.mistake(
    "The labels are not shifted: this asks the model to repeat the token it has just read.",
    lambda logits, ids: surprise(logits, ids),
)
loss.mistake(
    "The labels are shifted the wrong way: this asks for the token before.",
    lambda logits, ids: surprise(logits[:, 1:], ids[:, :-1]),
)
loss.mistake(
    "The labels are shifted twice: this asks for the token after the next.",
    lambda logits, ids: surprise(logits[:, :-2], ids[:, 2:]),
)
loss.mistake(
    "The text is bent into a ring: the last position is asked for the first token. Leave it out.",
    lambda logits, ids: surprise(logits, ids.roll(-1, dims=1)),
)
loss.mistake(
    "All texts are joined before the shift, so the last position of one is asked for the first token of the next. "
    "Shift first, then flatten.",
    lambda logits, ids: F.cross_entropy(logits.flatten(0, 1)[:-1], ids.flatten()[1:]),
)
loss.mistake(
    "The logits are not shifted, but cut off: position 0 is left out, and each is asked for its own token.",
    lambda logits, ids: surprise(logits[:, 1:], ids[:, 1:]),
)
loss.mistake(
    "The last position is left out, but the ids are not shifted: each is asked for its own token.",
    lambda logits, ids: surprise(logits[:, :-1], ids[:, :-1]),
)
loss.mistake(
    "This is the sum, and the mean over all predictions is asked for.",
    lambda logits, ids: surprise(logits[:, :-1], ids[:, 1:], reduction="sum"),
)
loss.mistake(
    "The sum is divided by the number of texts alone: divide by the number of predictions.",
    lambda logits, ids: surprise(logits[:, :-1], ids[:, 1:], reduction="sum") / len(ids),
)
loss.mistake(
    "The sum is divided by all positions: the last of each text predicts nothing, so T − 1 are counted.",
    lambda logits, ids: surprise(logits[:, :-1], ids[:, 1:], reduction="sum") / ids.numel(),
)
loss.mistake(
    "These are the losses of all predictions: return their mean.",
    lambda logits, ids: -chosen(logits.log_softmax(-1), ids),
)
loss.mistake(
    "The sign is wrong: the loss is minus the log-probability.", lambda logits, ids: -next_token_loss(logits, ids)
)
loss.mistake(
    "A softmax is taken before the cross-entropy, which takes its own: give it the logits.",
    lambda logits, ids: next_token_loss(logits.softmax(-1), ids),
)
loss.mistake(
    "The softmax runs over the positions: it must run over the vocabulary, the last axis.",
    lambda logits, ids: -chosen(logits.log_softmax(1), ids).mean(),
)
loss.mistake(
    "The mean is taken of the probabilities, then the logarithm: take the logarithms first.",
    lambda logits, ids: -chosen(logits.softmax(-1), ids).mean().log(),
)
loss.mistake(
    "This is the mean probability of the next token: its price is −ln p.",
    lambda logits, ids: chosen(logits.softmax(-1), ids).mean(),
)
loss.mistake(
    "This is the mean of 1 − p: the price of a token is −ln p.",
    lambda logits, ids: 1 - chosen(logits.softmax(-1), ids).mean(),
)
loss.mistake(
    "This is the mean logit of the next token, with a minus: the term ln Σ e^z is missing.",
    lambda logits, ids: -chosen(logits, ids).mean(),
)
loss.mistake(
    "This is the mean entropy of the predictions: it never looks at which token came.",
    lambda logits, ids: -(logits[:, :-1].softmax(-1) * logits[:, :-1].log_softmax(-1)).sum(-1).mean(),
)
loss.mistake(
    "The logits were reshaped to (B, V, T): that shuffles them. To exchange two axes, use `transpose`.",
    lambda logits, ids: F.cross_entropy(logits[:, :-1].reshape(len(ids), logits.shape[2], -1), ids[:, 1:]),
)
loss.mistake(
    "The id 0 is left out as if it were padding: it is a token like any other.",
    lambda logits, ids: surprise(logits[:, :-1], ids[:, 1:], ignore_index=0),
)
loss.mistake(
    "Only the last prediction of each text is priced: every position but the last predicts.",
    lambda logits, ids: surprise(logits[:, -2:-1], ids[:, -1:]),
)
loss.mistake(
    "Only the first text is priced: take the mean over all.", lambda logits, ids: next_token_loss(logits[:1], ids[:1])
)
loss.mistake(
    "The softmax runs over the positions that predict: it must run over the vocabulary, the last axis.",
    lambda logits, ids: -chosen(logits[:, :-1].log_softmax(1), ids).mean(),
)
loss.mistake(
    "The softmax runs over the texts: it must run over the vocabulary, the last axis.",
    lambda logits, ids: -chosen(logits.log_softmax(0), ids).mean(),
)
loss.mistake(
    "This is the share of tokens that are not the likeliest: the price of a token is −ln p.",
    lambda logits, ids: (logits[:, :-1].argmax(-1) != ids[:, 1:]).to(logits.dtype).mean(),
)
loss.mistake(
    "The sum is divided by the number of positions of one text: divide by the number of predictions in all texts.",
    lambda logits, ids: surprise(logits[:, :-1], ids[:, 1:], reduction="sum") / ids.shape[1],
)
loss.mistake(
    "This is the mean squared error of the probabilities: the price of a token is −ln p.",
    lambda logits, ids: (
        (logits[:, :-1].softmax(-1) - F.one_hot(ids[:, 1:], logits.shape[-1]).to(logits.dtype)).square().mean()
    ),
)

# flops: the work of one token in a forward pass


def work(
    vocab_size: int, n_positions: int, d_model: int, n_layers: int, d_ff: int, projections: int = 4, ways: int = 2,
    heads: int = 1, products: int = 2,
) -> int:  # fmt: skip
    """The operations of a token, from how many matrices of each kind, and products of attention, are counted."""
    block = projections * d_model**2 + ways * d_model * d_ff + products * n_positions * d_model
    return 2 * (n_layers * block + heads * vocab_size * d_model)


def flops_of(vocab_size: int, n_positions: int, d_model: int, n_layers: int, d_ff: int) -> int:
    return work(vocab_size, n_positions, d_model, n_layers, d_ff)


flops = Exercise(
    "transformer.complete_model.flops", stars=2, minutes=10, reference=flops_of, tolerance=0,
    draw=lambda rng: distinct(rng, 5, 2, 60), edges=[(1, 1, 1, 1, 1), (50, 1, 4, 3, 16), (7, 64, 8, 2, 32)],
    section="Measure it: the work of a token",
)  # fmt: skip
flops.mistake(
    "A multiplication and its addition are counted as one operation; the convention is two.",
    lambda v, t, c, n, f: work(v, t, c, n, f) // 2,
)
flops.mistake(
    "The head is missing: it is the product of every position with the whole table.",
    lambda v, t, c, n, f: work(v, t, c, n, f, heads=0),
)
flops.mistake(
    "The embedding is counted as a product: it is a lookup of one row, and costs none.",
    lambda v, t, c, n, f: work(v, t, c, n, f, heads=2),
)
flops.mistake("The head is counted in every layer: there is one.", lambda v, t, c, n, f: work(v, t, c, n, f, heads=n))
flops.mistake(
    "The products of queries with keys and of the pattern with values are missing: they need no parameters.",
    lambda v, t, c, n, f: work(v, t, c, n, f, products=0),
)
flops.mistake(
    "Attention's products are halved: the scores and the mixing of values take 2 T d_model operations each.",
    lambda v, t, c, n, f: work(v, t, c, n, f, products=1),
)
flops.mistake(
    "Attention's products are those of the whole text: a token has one query, so T d_model and not T² d_model.",
    lambda v, t, c, n, f: work(v, t, c, n, f, products=2 * t),
)
flops.mistake(
    "Attention's products are counted once: every layer has them.",
    lambda v, t, c, n, f: work(v, t, c, n, f, products=0) + 4 * t * c,
)
flops.mistake(
    "Attention has four projections: that of the output is missing.",
    lambda v, t, c, n, f: work(v, t, c, n, f, projections=3),
)
flops.mistake(
    "Attention has four projections, for queries, keys, values and the output: only one is counted.",
    lambda v, t, c, n, f: work(v, t, c, n, f, projections=1),
)
flops.mistake(
    "The projections are missing: queries, keys, values and the output take a d_model × d_model matrix each.",
    lambda v, t, c, n, f: work(v, t, c, n, f, projections=0),
)
flops.mistake(
    "One of the two matrices of the feed-forward layer is missing.", lambda v, t, c, n, f: work(v, t, c, n, f, ways=1)
)
flops.mistake(
    "The feed-forward layer is counted with three matrices: here it has two.",
    lambda v, t, c, n, f: work(v, t, c, n, f, ways=3),
)
flops.mistake("The feed-forward layer is missing.", lambda v, t, c, n, f: work(v, t, c, n, f, ways=0))
flops.mistake(
    "The feed-forward layer is taken to be 4 d_model wide: its width is d_ff.",
    lambda v, t, c, n, f: work(v, t, c, n, 4 * c),
)
flops.mistake("One layer alone is counted.", lambda v, t, c, n, f: work(v, t, c, 1, f))
flops.mistake(
    "This is the work of the whole text: divide by its positions.", lambda v, t, c, n, f: work(v, t, c, n, f) * t
)
flops.mistake(
    "This is a training step, forward and backward: the forward pass is a third of it.",
    lambda v, t, c, n, f: work(v, t, c, n, f) * 3,
)
flops.mistake(
    "These are the numbers in the matrices: each takes two operations, and attention has two products more.",
    lambda v, t, c, n, f: work(v, t, c, n, f, products=0) // 2,
)
flops.mistake(
    "Biases and gains are counted: they are to be ignored.",
    lambda v, t, c, n, f: work(v, t, c, n, f) + n * (9 * c + f),
)
flops.mistake(
    "This is the rule 2 · 12 d_model² for each layer: it takes the width of the feed-forward layer as 4 d_model, and "
    "leaves out attention's own products.",
    lambda v, t, c, n, f: work(v, t, c, n, 4 * c, products=0),
)
flops.mistake(
    "These are 6 operations for each number in the matrices, as in training: forward it is 2, and attention has two "
    "products more.",
    lambda v, t, c, n, f: 3 * work(v, t, c, n, f, products=0),
)
flops.mistake(
    "Attention's products are left out, and the table of positions is counted: it is a lookup.",
    lambda v, t, c, n, f: work(v, t, c, n, f, products=0) + 2 * t * c,
)
flops.mistake(
    "Only the keys that the causal mask leaves are counted, half of them on average: the masked half counts too.",
    lambda v, t, c, n, f: work(v, t, c, n, f, products=1) + 2 * n * c,
)

# top_p: probabilities, mass -> the fewest likely tokens that reach it, made to sum to 1


def draw_probabilities(rng: random.Random, B: int, V: int = 2) -> tuple[Tensor, float]:
    """Distributions (B, V), some with a token that has more than the mass; now and then one that reaches it exactly."""
    if V > 2 and rng.random() < 0.3:  # halves of halves, which add up without rounding
        halves = [0.5**i for i in range(1, V)] + [0.5 ** (V - 1)]
        return tensor_of([rng.sample(halves, V) for _ in range(B)]), sum(halves[: rng.randint(1, V - 2)])
    logits = tensor(rng, B, V, deviation=1.5)
    for row in logits:
        row[rng.randrange(V)] += rng.choice((0.0, 0.0, 8.0))
    return logits.softmax(-1), rng.uniform(0.4, 0.8)


def renormalised(p: Tensor) -> Tensor:
    return p / p.sum(-1, keepdim=True)


def kept(p: Tensor, enough: Callable[[Tensor, Tensor], Tensor], descending: bool = True) -> Tensor:
    """The probabilities where `enough(sorted, cumulative)` says to keep, else 0."""
    ordered, order = p.sort(dim=-1, descending=descending)
    return torch.zeros_like(p).scatter(-1, order, ordered * enough(ordered, ordered.cumsum(-1)))


def smallest_set(p: Tensor, mass: float) -> Tensor:
    return kept(p, lambda ordered, total: total - ordered < mass)


def nucleus(p: Tensor, mass: float) -> Tensor:
    return renormalised(smallest_set(p, mass))


def one_too_many(p: Tensor, mass: float) -> Tensor:
    def enough(ordered: Tensor, total: Tensor) -> Tensor:
        ahead = (total - ordered < mass).to(p.dtype)
        return torch.cat([torch.ones_like(ahead[..., :1]), ahead[..., :-1]], dim=-1)

    return renormalised(kept(p, enough))


def sorted_away(p: Tensor, mass: float) -> Tensor:
    ordered = p.sort(dim=-1, descending=True).values
    return renormalised(ordered * (ordered.cumsum(-1) - ordered < mass))


def mask_unsorted(p: Tensor, mass: float) -> Tensor:
    ordered = p.sort(dim=-1, descending=True).values
    return renormalised(p * (ordered.cumsum(-1) - ordered < mass))


def gathered(p: Tensor, mass: float) -> Tensor:
    ordered, order = p.sort(dim=-1, descending=True)
    return renormalised((ordered * (ordered.cumsum(-1) - ordered < mass)).gather(-1, order))


top_p = Exercise(
    "transformer.complete_model.top_p", stars=2, minutes=15, reference=nucleus, draw=draw_probabilities,
    edges=[
        (tensor_of([[0.125, 0.5, 0.25, 0.125]]), 0.5), (tensor_of([[0.125, 0.5, 0.25, 0.125]]), 0.75),
        (tensor_of([[0.25, 0.0625, 0.5, 0.125, 0.0625]]), 1.0), (tensor_of([[0.0, 0.75, 0.0, 0.25]]), 0.8),
        (tensor_of([[0.3, 0.6, 0.1], [0.2, 0.7, 0.1]]), 0.01),
    ], section="Choosing a token",
)  # fmt: skip
top_p.mistake("The kept probabilities are not divided by their sum: what is drawn from must sum to 1.", smallest_set)
top_p.mistake(
    "The kept probabilities are divided by the mass: divide each row by the sum of what it keeps.",
    lambda p, mass: smallest_set(p, mass) / mass,
)
top_p.mistake(
    "The kept probabilities are divided by the sum of all rows: each row is a distribution of its own.",
    lambda p, mass: smallest_set(p, mass) / smallest_set(p, mass).sum(),
)
top_p.mistake(
    "It stops one token too early: the token with which the mass is reached belongs to the set.",
    lambda p, mass: renormalised(kept(p, lambda ordered, total: (total <= mass) | (total == total[..., :1]))),
)
top_p.mistake(
    "It stops one token too early, and where the first token alone exceeds the mass, nothing is left: that token "
    "belongs to the set.",
    lambda p, mass: renormalised(kept(p, lambda ordered, total: total <= mass)),
)
top_p.mistake(
    "It stops one token too early, also where the mass is reached exactly: that token belongs to the set.",
    lambda p, mass: renormalised(kept(p, lambda ordered, total: (total < mass) | (total == total[..., :1]))),
)
top_p.mistake(
    "One token too many is kept where the mass is reached exactly: a token stays if those before it have less.",
    lambda p, mass: renormalised(kept(p, lambda ordered, total: total - ordered <= mass)),
)
top_p.mistake("One token too many is kept: stop with the one that reaches the mass.", one_too_many)
top_p.mistake("The probabilities are in sorted order: each must stand at its own token again.", sorted_away)
top_p.mistake(
    "What to keep is known in sorted order, and laid on tokens that are not sorted: put it back first.", mask_unsorted
)
top_p.mistake(
    "`gather` with the order sorts once more: to put numbers back where they came from, use `scatter`.", gathered
)
top_p.mistake(
    "The least likely tokens are kept: sort from the largest down.",
    lambda p, mass: renormalised(kept(p, lambda ordered, total: total - ordered < mass, descending=False)),
)
top_p.mistake(
    "The tokens are taken in the order of their ids: the most likely come first.",
    lambda p, mass: renormalised(p * (p.cumsum(-1) - p < mass)),
)
top_p.mistake(
    "This keeps tokens by their own probability, relative to the best: that is min-p.",
    lambda p, mass: renormalised(p.where(p >= mass * p.amax(-1, keepdim=True), 0.0)),
)
top_p.mistake(
    "The probabilities are made to sum to 1 by a softmax, which changes their ratios: divide by their sum.",
    lambda p, mass: smallest_set(p, mass).masked_fill(smallest_set(p, mass) == 0, -math.inf).softmax(-1),
)
top_p.mistake(
    "All kept tokens are equally likely: they should keep their ratios.",
    lambda p, mass: renormalised((smallest_set(p, mass) > 0).to(p.dtype)),
)
top_p.mistake(
    "Only the most likely token is kept.", lambda p, mass: renormalised(p.where(p >= p.amax(-1, keepdim=True), 0.0))
)
top_p.mistake(
    "It stops one token too early, also where the mass is reached exactly, and where the first token has it all, "
    "nothing is left: the token that reaches the mass belongs to the set.",
    lambda p, mass: renormalised(kept(p, lambda ordered, total: total < mass)),
)
top_p.mistake(
    "What should be dropped is kept: a token stays if those before it have less than the mass.",
    lambda p, mass: renormalised(kept(p, lambda ordered, total: total - ordered >= mass)),
)
top_p.mistake(
    "The softmax at the end also gives the dropped tokens a share, e⁰: divide by the sum.",
    lambda p, mass: smallest_set(p, mass).softmax(-1),
)
top_p.mistake(
    "At least two tokens are kept: one is enough where it reaches the mass alone.",
    lambda p, mass: renormalised(
        kept(p, lambda ordered, total: (total - ordered < mass) | (torch.arange(p.shape[-1]) < 2))
    ),
)

# temperature: logits, temperature -> how the entropy answers to the temperature


def draw_logits_and_temperature(rng: random.Random, B: int, V: int = 2) -> tuple[Tensor, float]:
    """Logits (B, V) with a mean away from 0, and a temperature that is not 1."""
    logits = tensor(rng, B, V, deviation=2.0) + 1.5
    return logits, rng.choice((rng.uniform(0.4, 0.8), rng.uniform(1.3, 2.0)))


def variance(p: Tensor, x: Tensor) -> Tensor:
    mean = (p * x).sum(-1, keepdim=True)
    return (p * (x - mean).square()).sum(-1)


def slope(logits: Tensor, temperature: float, power: int = 3) -> Tensor:
    return variance((logits / temperature).softmax(-1), logits) / temperature**power


def entropy_slope(logits: Tensor, temperature: float) -> Tensor:
    return slope(logits, temperature)


temperature = Exercise(
    "transformer.complete_model.temperature", stars=3, minutes=20, reference=entropy_slope,
    draw=draw_logits_and_temperature,
    edges=[(tensor_of([[1.0, 1.0, 1.0]]), 0.5), (tensor_of([[3.0, -1.0]]), 1.0), (tensor_of([[0.0, 2.0, 5.0]]), 0.3)],
    section="Choosing a token",
)  # fmt: skip
temperature.mistake(
    "The variance is divided by τ², not by τ³: one factor comes from β itself, two from dβ/dτ.",
    lambda logits, t: slope(logits, t, 2),
)
temperature.mistake(
    "The variance is divided by τ, not by τ³: one factor comes from β itself, two from dβ/dτ.",
    lambda logits, t: slope(logits, t, 1),
)
temperature.mistake("The variance is not divided by τ³.", lambda logits, t: slope(logits, t, 0))
temperature.mistake("The variance is multiplied by τ³: divide.", lambda logits, t: slope(logits, t, -3))
temperature.mistake(
    "The variance is that of the logits divided by τ, which has the factor 1/τ² already: take that of the logits.",
    lambda logits, t: slope(logits, t, 5),
)
temperature.mistake(
    "The probabilities are those at temperature 1: take the variance under p at this temperature.",
    lambda logits, t: variance(logits.softmax(-1), logits) / t**3,
)
temperature.mistake(
    "The probabilities are those at temperature 1/τ: the logits are divided by τ.",
    lambda logits, t: variance((logits * t).softmax(-1), logits) / t**3,
)
temperature.mistake(
    "All tokens weigh the same in this variance: weigh each with its probability.",
    lambda logits, t: logits.var(-1, correction=0) / t**3,
)
temperature.mistake(
    "All tokens weigh the same in this variance, which is also divided by V − 1: weigh each with its probability.",
    lambda logits, t: logits.var(-1) / t**3,
)
temperature.mistake(
    "The mean is one of all tokens alike: weigh each logit with its probability there too.",
    lambda logits, t: ((logits / t).softmax(-1) * (logits - logits.mean(-1, keepdim=True)).square()).sum(-1) / t**3,
)
temperature.mistake(
    "The mean is not taken away: the variance is the mean square less the square of the mean.",
    lambda logits, t: ((logits / t).softmax(-1) * logits.square()).sum(-1) / t**3,
)
temperature.mistake(
    "This is the root of the variance: the variance itself is asked for.",
    lambda logits, t: variance((logits / t).softmax(-1), logits).sqrt() / t**3,
)
temperature.mistake("The sign is wrong: the entropy grows with the temperature.", lambda logits, t: -slope(logits, t))
temperature.mistake(
    "This is the derivative with respect to β = 1/τ: multiply by dβ/dτ = −1/τ².",
    lambda logits, t: -slope(logits, t, 1),
)
temperature.mistake(
    "This is the entropy itself: its derivative is asked for.",
    lambda logits, t: -((logits / t).softmax(-1) * (logits / t).log_softmax(-1)).sum(-1),
)
temperature.mistake(
    "This is the derivative of the mean logit, or of ln Z: the entropy is ln Z − β⟨z⟩.",
    lambda logits, t: -((logits / t).softmax(-1) * logits).sum(-1) / t**2,
)
temperature.mistake(
    "This is the variance of the probabilities: it is that of the logits.",
    lambda logits, t: (logits / t).softmax(-1).var(-1, correction=0) / t**3,
)
temperature.mistake(
    "This is the entropy divided by τ: its derivative is asked for.",
    lambda logits, t: -((logits / t).softmax(-1) * (logits / t).log_softmax(-1)).sum(-1) / t,
)
temperature.mistake(
    "This is the mean logit over τ², which cancels: what is left is the variance.",
    lambda logits, t: ((logits / t).softmax(-1) * logits).sum(-1) / t**2,
)
