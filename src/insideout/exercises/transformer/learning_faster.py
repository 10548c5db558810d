"""Exercises on learning faster: the gradient through a cap, and a vector for each pair.

Practised in book/2-building-a-transformer/12_learning_faster.md; the modules are insideout/transformer/head.py and
pairs.py. Sources: Gemma Team 2024, §2 (capped logits); Svenstrup et al. 2017 (hashed tables). Shapes: N positions,
V vocabulary, T positions of one text, C width, R rows of the table.
"""

import random

import torch
from torch import Tensor

from insideout.exercises.catalogue import Exercise
from insideout.exercises.drawing import ids, tensor

# through_the_cap: logits (N, V), targets (N,), cap -> gradient of the mean cross-entropy, (N, V)


def draw_logits(rng: random.Random, N: int = 2, V: int = 3) -> tuple[Tensor, Tensor, float]:
    """Logits well within the cap, near it and beyond."""
    targets = torch.tensor([rng.randrange(V) for _ in range(N)])
    return tensor(rng, N, V, deviation=3.0), targets, rng.uniform(1.5, 4.0)


def one_hot(logits: Tensor, targets: Tensor) -> Tensor:
    return torch.nn.functional.one_hot(targets, logits.shape[-1]).to(logits)


def gradient(logits: Tensor, targets: Tensor, cap: float) -> Tensor:
    squeezed = torch.tanh(logits / cap)
    wrong = (cap * squeezed).softmax(-1) - one_hot(logits, targets)
    return wrong / len(targets) * (1 - squeezed.square())


through_the_cap = Exercise(
    "transformer.learning_faster.through_the_cap", stars=2, minutes=12, reference=gradient, draw=draw_logits,
    section="A cap on the logits",
    edges=[(torch.tensor([[30.0, -2.0, 0.5], [0.0, 0.0, 9.0]], dtype=torch.float64), torch.tensor([1, 2]), 5.0)],
)  # fmt: skip
through_the_cap.mistake(
    "This is the gradient at the capped logits: the cap's own slope, 1 − tanh², is missing.",
    lambda x, y, c: ((c * torch.tanh(x / c)).softmax(-1) - one_hot(x, y)) / len(y),
)
through_the_cap.mistake(
    "The probabilities are those of the raw logits; the loss sees the capped ones.",
    lambda x, y, c: (x.softmax(-1) - one_hot(x, y)) / len(y) * (1 - torch.tanh(x / c).square()),
)
through_the_cap.mistake(
    "There is no cap in this: it is the gradient of the raw logits' cross-entropy.",
    lambda x, y, c: (x.softmax(-1) - one_hot(x, y)) / len(y),
)
through_the_cap.mistake("The rows are added up; the loss is their mean.", lambda x, y, c: gradient(x, y, c) * len(y))
through_the_cap.mistake(
    "Divided by all numbers; the mean is over the positions alone.", lambda x, y, c: gradient(x, y, c) / x.shape[-1]
)
through_the_cap.mistake("The sign is turned: it is p minus 1 at the target.", lambda x, y, c: -gradient(x, y, c))
through_the_cap.mistake(
    "The slope is 1 − tanh²; the square is missing.",
    lambda x, y, c: ((c * torch.tanh(x / c)).softmax(-1) - one_hot(x, y)) / len(y) * (1 - torch.tanh(x / c)),
)
through_the_cap.mistake(
    "In the slope the logits are not divided by the cap.",
    lambda x, y, c: ((c * torch.tanh(x / c)).softmax(-1) - one_hot(x, y)) / len(y) * (1 - torch.tanh(x).square()),
)
through_the_cap.mistake(
    "The slope has the cap as a factor; c · tanh(x / c) has slope 1 at 0, for the two cancel.",
    lambda x, y, c: gradient(x, y, c) * c,
)
through_the_cap.mistake(
    "The slope is divided by the cap; c · tanh(x / c) has slope 1 at 0, for the two cancel.",
    lambda x, y, c: gradient(x, y, c) / c,
)
through_the_cap.mistake(
    "The 1 at the target is missing: what is left are probabilities.",
    lambda x, y, c: (c * torch.tanh(x / c)).softmax(-1) / len(y) * (1 - torch.tanh(x / c).square()),
)
through_the_cap.mistake(
    "The logits are cut off at the cap; it squeezes them smoothly.",
    lambda x, y, c: (x.clamp(-c, c).softmax(-1) - one_hot(x, y)) / len(y) * (x.abs() < c),
)
through_the_cap.mistake(
    "The cap is not multiplied back: tanh(x / c) lies between −1 and 1.",
    lambda x, y, c: (torch.tanh(x / c).softmax(-1) - one_hot(x, y)) / len(y) * (1 - torch.tanh(x / c).square()),
)


# pairs: ids (T,), embedding (V, C), table (R, C) -> (T, C)


def draw_text(rng: random.Random, T: int = 3, V: int = 3, C: int = 2) -> tuple[Tensor, Tensor, Tensor]:
    """A text, and a table with fewer rows than there are pairs."""
    rows = rng.randrange(4, max(5, V * V))
    return torch.tensor(ids(rng, T, V)), tensor(rng, V, C), tensor(rng, rows, C)


def with_pairs(tokens: Tensor, embedding: Tensor, table: Tensor) -> Tensor:
    return summed(tokens, embedding, table, tokens[:-1] * len(embedding) + tokens[1:])


def summed(tokens: Tensor, embedding: Tensor, table: Tensor, numbers: Tensor) -> Tensor:
    """Embeddings, and from the second token on the rows of these numbers."""
    x = embedding[tokens].clone()
    x[1:] += table[numbers % len(table)]
    return x


pairs = Exercise(
    "transformer.learning_faster.pairs", stars=2, minutes=12, reference=with_pairs, draw=draw_text,
    section="A table of pairs",
)  # fmt: skip
pairs.mistake(
    "The pair is the wrong way round: the token before comes first, times V.",
    lambda t, e, p: summed(t, e, p, t[1:] * len(e) + t[:-1]),
)
pairs.mistake(
    "The token before is multiplied by the width; it is the size of the vocabulary.",
    lambda t, e, p: summed(t, e, p, t[:-1] * e.shape[1] + t[1:]),
)
pairs.mistake(
    "The two numbers are only added, so that ab and ba share a row: multiply the first by V.",
    lambda t, e, p: summed(t, e, p, t[:-1] + t[1:]),
)
pairs.mistake(
    "The row depends on the token itself alone, as it does if the one before is multiplied by the number of rows.",
    lambda t, e, p: summed(t, e, p, t[1:]),
)
pairs.mistake("The row depends on the token before alone.", lambda t, e, p: summed(t, e, p, t[:-1]))
pairs.mistake(
    "The row depends on the token before alone: add the token itself to its number times V.",
    lambda t, e, p: summed(t, e, p, t[:-1] * len(e)),
)


@pairs.mistake("The pair is that of a token and the one after it: the model would see what it is to predict.")
def _(tokens: Tensor, embedding: Tensor, table: Tensor) -> Tensor:
    x = embedding[tokens].clone()
    x[:-1] += table[(tokens[:-1] * len(embedding) + tokens[1:]) % len(table)]
    return x


@pairs.mistake(
    "The first token gets the pair that it makes with the last: `roll` goes round. Nothing stands before it."
)
def _(tokens: Tensor, embedding: Tensor, table: Tensor) -> Tensor:
    return embedding[tokens] + table[(tokens.roll(1) * len(embedding) + tokens) % len(table)]


@pairs.mistake("The first token gets a pair with token 0. Nothing stands before it, so nothing is added.")
def _(tokens: Tensor, embedding: Tensor, table: Tensor) -> Tensor:
    before = torch.cat([tokens.new_zeros(1), tokens[:-1]])
    return embedding[tokens] + table[(before * len(embedding) + tokens) % len(table)]


@pairs.mistake("The pairs' vectors stand in the place of the tokens'; they are added to them.")
def _(tokens: Tensor, embedding: Tensor, table: Tensor) -> Tensor:
    x = embedding[tokens].clone()
    x[1:] = table[(tokens[:-1] * len(embedding) + tokens[1:]) % len(table)]
    return x


@pairs.mistake("The first token is lost: it has no pair, but it has its own vector.")
def _(tokens: Tensor, embedding: Tensor, table: Tensor) -> Tensor:
    return with_pairs(tokens, embedding, table)[1:]


@pairs.mistake("Only the pairs' vectors are returned; the tokens' own belong to the sum.")
def _(tokens: Tensor, embedding: Tensor, table: Tensor) -> Tensor:
    return with_pairs(tokens, embedding, table) - embedding[tokens]


@pairs.mistake("The vector of the token before is added, which is token shift; here it is a row of the table.")
def _(tokens: Tensor, embedding: Tensor, table: Tensor) -> Tensor:
    x = embedding[tokens].clone()
    x[1:] += embedding[tokens[:-1]]
    return x
