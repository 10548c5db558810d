"""Exercises on text conditioning: cross-attention with pads, and captions that say the same.

Practised in book/5-from-noise-to-images/09_text_conditioning.md; the module is insideout/images/painter.py.
Shapes: T patches, L places of a caption, D width.
"""

import math
import random
from collections.abc import Callable

import torch
from torch import Tensor

from insideout.exercises.catalogue import Exercise
from insideout.exercises.drawing import tensor

# cross_attention

Asked = tuple[Tensor, Tensor, Tensor, Tensor]


def draw_asked(rng: random.Random, T: int = 2, L: int = 3, D: int = 2) -> Asked:
    """Queries, keys and values, and a mask of which the end, or another place, is pads."""
    mask = torch.ones(L, dtype=torch.bool)
    mask[rng.sample(range(L), rng.randint(1, L - 1))] = False
    return tensor(rng, T, D, deviation=2), tensor(rng, L, D, deviation=2), tensor(rng, L, D), mask


def asked(q: Tensor, k: Tensor, v: Tensor, mask: Tensor) -> Tensor:
    if not mask.any():
        return torch.zeros_like(q)
    return weights(q, k, mask) @ v


def scores(q: Tensor, k: Tensor) -> Tensor:
    return q @ k.T / math.sqrt(q.shape[1])


def weights(q: Tensor, k: Tensor, mask: Tensor) -> Tensor:
    return scores(q, k).masked_fill(~mask, float("-inf")).softmax(1)


Q, K, V = (
    torch.tensor(each).double() for each in ([[1.0, -2.0]], [[30.0, 1.0], [2.0, 0.5]], [[1.0, 3.0], [5.0, -1.0]])
)
cross_attention = Exercise(
    "images.text_conditioning.cross_attention", stars=2, minutes=12, reference=asked, draw=draw_asked,
    edges=[(Q, K, V, torch.tensor([False, False])), (Q, K, V, torch.tensor([True, True])),
           (Q, K, V, torch.tensor([False, True])), (-30 * Q, K, V, torch.tensor([False, True]))],
    section="Patches that ask words",
)  # fmt: skip
Made = Callable[[Tensor, Tensor, Tensor, Tensor], Tensor]
ASKED_MISTAKES: list[tuple[str, Made]] = [
    ("Pads are looked at: the mask is not used.", lambda q, k, v, m: scores(q, k).softmax(1) @ v),
    (
        "The mask is turned round: it is true where there is a word.",
        lambda q, k, v, m: asked(q, k, v, ~m),
    ),
    (
        "The pads' scores are set to 0, which is a score like any other: set them to minus infinity.",
        lambda q, k, v, m: scores(q, k).masked_fill(~m, 0.0).softmax(1) @ v,
    ),
    (
        "The pads' weights are set to 0 after the softmax, so that the rest no longer sums to 1.",
        lambda q, k, v, m: (scores(q, k).softmax(1) * m) @ v,
    ),
    (
        "Without a word this is 0/0: give zeros.",
        lambda q, k, v, m: weights(q, k, m) @ v,
    ),
    (
        "Without a word there is nothing to take a mean of: give zeros, not the mean of the pads.",
        lambda q, k, v, m: asked(q, k, v, m) if m.any() else v.mean(0).expand(len(q), -1),
    ),
    (
        "The scores are not divided by the root of D.",
        lambda q, k, v, m: asked(q * math.sqrt(q.shape[1]), k, v, m),
    ),
    ("The scores are divided by D, not by its root.", lambda q, k, v, m: asked(q / math.sqrt(q.shape[1]), k, v, m)),
    (
        "The softmax goes over the patches: each patch's weights on the words must sum to 1.",
        lambda q, k, v, m: scores(q, k).softmax(0).masked_fill(~m, 0.0) @ v,
    ),
    (
        "The masked scores go through a softmax over the patches: each patch's weights on the words must sum to 1.",
        lambda q, k, v, m: scores(q, k).masked_fill(~m, -1e9).softmax(0) @ v,
    ),
    ("The scores themselves weigh the values: the softmax is missing.", lambda q, k, v, m: (scores(q, k) * m) @ v),
    ("This is the mean of the keys: take that of the values.", lambda q, k, v, m: asked(q, k, k, m)),
    (
        "All words count alike: the queries and keys are not used.",
        lambda q, k, v, m: v[m].mean(0).expand(len(q), -1) if m.any() else torch.zeros_like(q),
    ),
    (
        "Only the best word is taken: a softmax is softer.",
        lambda q, k, v, m: v[scores(q, k).masked_fill(~m, float("-inf")).argmax(1)] if m.any() else torch.zeros_like(q),
    ),
    (
        "The query is added, as a residual would be: return what attention gives.",
        lambda q, k, v, m: q + asked(q, k, v, m),
    ),
    (
        "The weights are divided by the number of words: the softmax has made them sum to 1.",
        lambda q, k, v, m: asked(q, k, v, m) / m.sum().clamp(min=1),
    ),
]
for diagnosis, made in ASKED_MISTAKES:
    cross_attention.mistake(diagnosis, made)

# canonical

Said = tuple[str, str, str]
RELATIONS = ("above", "below", "left of", "right of")
THINGS = ("red circle", "blue square", "green triangle", "yellow circle", "red square", "blue triangle")


def draw_said(rng: random.Random) -> Said:
    """Two things and their relation."""
    first, second = rng.sample(THINGS, 2)
    return first, rng.choice(RELATIONS), second


def same_side(first: str, relation: str, second: str) -> Said:
    turned = {"below": "above", "right of": "left of"}
    return (second, turned[relation], first) if relation in turned else (first, relation, second)


canonical = Exercise(
    "images.text_conditioning.canonical", stars=1, minutes=8, reference=same_side, draw=draw_said,
    edges=[("red circle", relation, "blue square") for relation in RELATIONS]
    + [("blue square", relation, "red circle") for relation in RELATIONS],
    section="Ten captions",
)  # fmt: skip
OPPOSITE = {"above": "below", "below": "above", "left of": "right of", "right of": "left of"}
KEPT = ("above", "left of")
SAID_MISTAKES: list[tuple[str, Callable[[str, str, str], Said]]] = [
    ("It is left as it is.", lambda a, r, b: (a, r, b)),
    (
        "The relation is turned, and the things are not: this is another scene.",
        lambda a, r, b: (a, r if r in KEPT else OPPOSITE[r], b),
    ),
    (
        "The things change places, and the relation does not turn: this is another scene.",
        lambda a, r, b: (a, r, b) if r in KEPT else (b, r, a),
    ),
    (
        "Below becomes left of, and right of becomes above: they have been confused.",
        lambda a, r, b: (a, r, b) if r in KEPT else (b, "left of" if r == "below" else "above", a),
    ),
    (
        "Below and right of are kept, and not above and left of.",
        lambda a, r, b: (b, OPPOSITE[r], a) if r in KEPT else (a, r, b),
    ),
    ("All four are turned.", lambda a, r, b: (b, OPPOSITE[r], a)),
    ("Right of is not turned.", lambda a, r, b: (b, "above", a) if r == "below" else (a, r, b)),
    ("Below is not turned.", lambda a, r, b: (b, "left of", a) if r == "right of" else (a, r, b)),
    (
        "The things are put in alphabetical order: the relation decides the order.",
        lambda a, r, b: (a, r, b) if a < b else (b, OPPOSITE[r], a),
    ),
    (
        "The things are put in alphabetical order and the relation stays, so that the scene becomes another.",
        lambda a, r, b: (min(a, b), r, max(a, b)),
    ),
    (
        "The relation is put first: give what, relation, to what.",
        lambda a, r, b: (same_side(a, r, b)[1], same_side(a, r, b)[0], same_side(a, r, b)[2]),
    ),
    (
        "The first and the last have changed places throughout.",
        lambda a, r, b: (same_side(a, r, b)[2], same_side(a, r, b)[1], same_side(a, r, b)[0]),
    ),
    (
        "The relation is lost: it must stand between the things.",
        lambda a, r, b: (same_side(a, r, b)[0], "", same_side(a, r, b)[2]),
    ),
]
for diagnosis, wrong in SAID_MISTAKES:
    canonical.mistake(diagnosis, wrong)
