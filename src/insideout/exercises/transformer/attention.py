"""Exercises on scaled dot-product attention: padded scores, the pattern, two pieces put together, the cost.

Practised in book/2-building-a-transformer/02_attention.md; the module is insideout/transformer/attention.py.
Sources: Vaswani et al. 2017, §3.2; Milakov and Gimelshein 2018 (a softmax in pieces); Dao et al. 2022.
Shapes: B batch, T queries, S keys, H heads, D head width.
"""

import random

import torch
from torch import Tensor

from insideout.exercises.catalogue import Exercise
from insideout.exercises.drawing import distinct, tensor, tensor_of
from insideout.transformer.attention import attention_pattern, causal_mask

INFINITY = float("inf")


def raw(q: Tensor, k: Tensor) -> Tensor:
    return q @ k.transpose(-2, -1)  # (B, H, T, S)


def scaled(q: Tensor, k: Tensor) -> Tensor:
    return raw(q, k) / q.shape[-1] ** 0.5


def hide_future(scores: Tensor, fill: float = -INFINITY) -> Tensor:
    return scores.masked_fill(~causal_mask(*scores.shape[-2:]), fill)


# scores: q, k, lengths -> Q Kᵀ / √D, no text reading its padding


def draw_padded(rng: random.Random, B: int, H: int, T: int, D: int) -> tuple[Tensor, Tensor, Tensor]:
    """Queries and keys (B, H, T, D), and how many positions of each row of the batch are text, 1 to T."""
    lengths = [rng.randint(1, T) for _ in range(B)]
    return tensor(rng, B, H, T, D), tensor(rng, B, H, T, D), tensor_of(lengths)


def is_padding(k: Tensor, lengths: Tensor, first: int = 0) -> Tensor:
    """True where a key is beyond its row's length, (B, 1, 1, S)."""
    return (torch.arange(k.shape[-2]) + first >= lengths[:, None])[:, None, None, :]


def padded_scores(q: Tensor, k: Tensor, lengths: Tensor) -> Tensor:
    return scaled(q, k).masked_fill(is_padding(k, lengths), -INFINITY)


def padded_by_reshaping(q: Tensor, k: Tensor, lengths: Tensor) -> Tensor:
    shuffled = k.reshape(*k.shape[:-2], k.shape[-1], k.shape[-2])  # (B, H, D, S)
    return (q @ shuffled / q.shape[-1] ** 0.5).masked_fill(is_padding(k, lengths), -INFINITY)


scores = Exercise(
    "transformer.attention.scores", stars=1, minutes=8, reference=padded_scores, draw=draw_padded,
    edges=[lambda rng: (tensor(rng, 2, 3, 5, 4), tensor(rng, 2, 3, 5, 4), tensor_of([5, 1]))],
    section="Every position at once",
)  # fmt: skip
scores.mistake("The padding is not hidden: `lengths` says where each text ends.", lambda q, k, lengths: scaled(q, k))
scores.mistake(
    "The scores are not divided by √D: they grow as heads grow wider.",
    lambda q, k, lengths: padded_scores(q * q.shape[-1] ** 0.5, k, lengths),
)
scores.mistake(
    "The scores are divided by D, not by √D.", lambda q, k, lengths: padded_scores(q / q.shape[-1] ** 0.5, k, lengths)
)
scores.mistake(
    "The scores are divided by the square root of the number of positions; it is the head width D that makes dot "
    "products grow.",
    lambda q, k, lengths: padded_scores(q * (q.shape[-1] / q.shape[-2]) ** 0.5, k, lengths),
)
scores.mistake(
    "The rows of the padding are hidden, not its columns: a row belongs to a query, and it is keys that are not read.",
    lambda q, k, lengths: scaled(q, k).masked_fill(is_padding(k, lengths).transpose(-2, -1), -INFINITY),
)
scores.mistake(
    "Rows and columns of the padding are both hidden: a row that is all −∞ has no softmax.",
    lambda q, k, lengths: padded_scores(q, k, lengths).masked_fill(is_padding(k, lengths).transpose(-2, -1), -INFINITY),
)
scores.mistake(
    "The text is hidden and the padding read: the condition is turned round.",
    lambda q, k, lengths: scaled(q, k).masked_fill(~is_padding(k, lengths), -INFINITY),
)
scores.mistake(
    "The scores of padding are 0, not −∞: a score of 0 still gets weight.",
    lambda q, k, lengths: scaled(q, k).masked_fill(is_padding(k, lengths), 0.0),
)
for fill in (-1e9, -1e4, -1e5, -1e6, -1e10):
    scores.mistake(
        f"The scores of padding are {fill:.0e}, not −∞: such a number is small only as long as all others are larger.",
        lambda q, k, lengths, fill=fill: scaled(q, k).masked_fill(is_padding(k, lengths), fill),
    )
scores.mistake(
    "One key too many is read: with length n, the last one is n − 1.",
    lambda q, k, lengths: scaled(q, k).masked_fill(is_padding(k, lengths, first=-1), -INFINITY),
)
scores.mistake(
    "One key too few is read: with length n, the last one is n − 1.",
    lambda q, k, lengths: scaled(q, k).masked_fill(is_padding(k, lengths, first=1), -INFINITY),
)
scores.mistake(
    "The future is hidden too: here no causal mask is asked for.",
    lambda q, k, lengths: hide_future(padded_scores(q, k, lengths)),
)
scores.mistake(
    "All rows of the batch are cut at one length: each has its own.",
    lambda q, k, lengths: padded_scores(q, k, lengths.max().expand(len(lengths))),
)
scores.mistake(
    "All rows of the batch are cut at the first one's length: each has its own.",
    lambda q, k, lengths: padded_scores(q, k, lengths[0].expand(len(lengths))),
)
scores.mistake(
    "These are weights: the softmax comes later.", lambda q, k, lengths: padded_scores(q, k, lengths).softmax(dim=-1)
)
scores.mistake(
    "Rows and columns are exchanged: row t must hold the scores of query t.",
    lambda q, k, lengths: padded_scores(k, q, lengths),
)
scores.mistake(
    "k was reshaped where it must be transposed: the shape is right and the numbers are shuffled.",
    padded_by_reshaping,
)

# pattern: q, k -> softmax(Q Kᵀ / √D + mask)


def draw_queries_and_keys(rng: random.Random, B: int, H: int, T: int, D: int) -> tuple[Tensor, Tensor]:
    """Queries and keys (B, H, T, D), large enough that the softmax is not flat, and now and then so large that the
    exponentials of the scores overflow."""
    deviation = rng.choice((2.0, 2.0, 2.0, 60.0))
    return tensor(rng, B, H, T, D, deviation=deviation), tensor(rng, B, H, T, D, deviation=deviation)


def masked_by(allowed: Tensor, q: Tensor, k: Tensor) -> Tensor:
    return scaled(q, k).masked_fill(~allowed, -INFINITY).softmax(dim=-1)


def strictly_past(q: Tensor, k: Tensor) -> Tensor:
    return masked_by(causal_mask(q.shape[-2], k.shape[-2]).tril(-1), q, k)


def transposed_mask(q: Tensor, k: Tensor) -> Tensor:
    return masked_by(causal_mask(q.shape[-2], k.shape[-2]).transpose(-2, -1), q, k)


def one_ahead(q: Tensor, k: Tensor) -> Tensor:
    return masked_by(torch.ones(q.shape[-2], k.shape[-2], dtype=torch.bool).tril(1), q, k)


def naively(q: Tensor, k: Tensor) -> Tensor:
    powers = hide_future(scaled(q, k)).exp()
    return powers / powers.sum(dim=-1, keepdim=True)


pattern = Exercise(
    "transformer.attention.pattern", stars=2, minutes=10, reference=attention_pattern, draw=draw_queries_and_keys,
    section="Hide the future",
)  # fmt: skip
pattern.mistake(
    "The scores are not divided by √D: softmax saturates as heads grow wider.",
    lambda q, k: hide_future(raw(q, k)).softmax(dim=-1),
)
pattern.mistake(
    "The scores are divided by D, not by √D.", lambda q, k: hide_future(raw(q, k) / q.shape[-1]).softmax(dim=-1)
)
pattern.mistake(
    "The scores are divided by the square root of the number of positions: it is the head width, D.",
    lambda q, k: hide_future(raw(q, k) / q.shape[-2] ** 0.5).softmax(dim=-1),
)
pattern.mistake(
    "The scores are multiplied by √D: divide by it.",
    lambda q, k: hide_future(raw(q, k) * q.shape[-1] ** 0.5).softmax(dim=-1),
)
pattern.mistake(
    "The weights are divided by √D, after the softmax: it is the scores that are divided, before it.",
    lambda q, k: hide_future(raw(q, k)).softmax(dim=-1) / q.shape[-1] ** 0.5,
)
pattern.mistake("exp of a large score overflows: subtract each row's largest first, or use `softmax`.", naively)
pattern.mistake("There is no mask: every position reads the future.", lambda q, k: scaled(q, k).softmax(dim=-1))
pattern.mistake("There is neither mask nor division by √D.", lambda q, k: raw(q, k).softmax(dim=-1))
pattern.mistake(
    "The mask is applied after the softmax: rows no longer sum to 1.",
    lambda q, k: hide_future(scaled(q, k).softmax(dim=-1), 0.0),
)
pattern.mistake(
    "−∞ is put in after the softmax, where a weight of 0 is due: mask the scores, before it.",
    lambda q, k: hide_future(scaled(q, k).softmax(dim=-1)),
)
pattern.mistake("The mask lets each position read the future and hides the past: it is transposed.", transposed_mask)
pattern.mistake(
    "A position cannot read itself: the diagonal is masked too, and the first row has nothing left.", strictly_past
)
pattern.mistake(
    "A position cannot read itself: the diagonal is masked too, and the first row's weights are 0.",
    lambda q, k: strictly_past(q, k).nan_to_num(0.0),
)
pattern.mistake("Each position reads one key of the future: the mask begins one too late.", one_ahead)
pattern.mistake(
    "The masked scores are set to 0, not to −∞: a score of 0 still gets weight.",
    lambda q, k: hide_future(scaled(q, k), 0.0).softmax(dim=-1),
)
pattern.mistake(
    "The scores are multiplied by the mask, and so are 0 where they should be −∞; the diagonal is gone too.",
    lambda q, k: (scaled(q, k) * causal_mask(q.shape[-2], k.shape[-2]).tril(-1)).softmax(dim=-1),
)
pattern.mistake(
    "The mask, 1 and 0, is added to the scores: where it is 0 they should become −∞.",
    lambda q, k: (scaled(q, k) + causal_mask(q.shape[-2], k.shape[-2]).to(q.dtype)).softmax(dim=-1),
)
pattern.mistake(
    "The softmax runs over the queries instead of the keys.",
    lambda q, k: hide_future(scaled(q, k)).softmax(dim=-2),
)
pattern.mistake(
    "The softmax runs over the heads: each row of keys has its own.",
    lambda q, k: hide_future(scaled(q, k)).softmax(dim=1),
)
pattern.mistake("These are the masked scores: the softmax is missing.", lambda q, k: hide_future(scaled(q, k)))
pattern.mistake(
    "These are the logarithms of the weights: `softmax`, not `log_softmax`.",
    lambda q, k: hide_future(scaled(q, k)).log_softmax(dim=-1),
)
pattern.mistake(
    "Queries and keys have changed places: row t must hold what query t reads.", lambda q, k: attention_pattern(k, q)
)
pattern.mistake(
    "The exponentials are not divided by the sum of their row.", lambda q, k: hide_future(scaled(q, k)).exp()
)

# pieces: z1, l1, z2, l2 -> attention over all keys, from attention over two parts of them


def draw_pieces(rng: random.Random, B: int, H: int, T: int, D: int) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """What was read, (B, H, T, D), and the logarithm of Σ e^score, (B, H, T), of the first keys and of the others.

    Every other case has logarithms whose exponentials overflow or vanish.
    """
    level = rng.choice((0.0, 0.0, 900.0, -900.0))
    l1, l2 = (level + tensor(rng, B, H, T, deviation=1.5) for _ in range(2))
    return tensor(rng, B, H, T, D), l1, tensor(rng, B, H, T, D), l2


def together(z1: Tensor, l1: Tensor, z2: Tensor, l2: Tensor) -> Tensor:
    share = torch.sigmoid(l1 - l2)[..., None]  # e^l1 / (e^l1 + e^l2)
    return share * z1 + (1 - share) * z2


def together_naively(z1: Tensor, l1: Tensor, z2: Tensor, l2: Tensor) -> Tensor:
    a, b = l1.exp()[..., None], l2.exp()[..., None]
    return (a * z1 + b * z2) / (a + b)


def draw_one_sided(rng: random.Random) -> tuple[Tensor, ...]:
    """The second piece had nothing that may be read: its sum is 0, and its logarithm −∞."""
    z1, l1, z2, _ = draw_pieces(rng, 1, 2, 3, 4)
    return z1, l1, torch.zeros_like(z2), torch.full_like(l1, -INFINITY)


pieces = Exercise(
    "transformer.attention.pieces", stars=3, minutes=15, reference=together, draw=draw_pieces,
    edges=[draw_one_sided], section="Measure it: what it costs",
)  # fmt: skip
pieces.mistake(
    "e^l overflows, or vanishes in both: subtract the larger of l1 and l2 from both first.", together_naively
)
pieces.mistake("Both pieces have the same weight: the one whose sum is larger must count more.",
               lambda z1, l1, z2, l2: (z1 + z2) / 2)  # fmt: skip
pieces.mistake("The pieces are added: their weights must add up to 1.", lambda z1, l1, z2, l2: z1 + z2)
pieces.mistake(
    "The logarithms themselves are the weights: the sums are e^l1 and e^l2.",
    lambda z1, l1, z2, l2: (l1[..., None] * z1 + l2[..., None] * z2) / (l1 + l2)[..., None],
)
pieces.mistake(
    "The weights have changed places: z1 goes with l1, and z2 with l2.",
    lambda z1, l1, z2, l2: together(z2, l1, z1, l2),
)
pieces.mistake(
    "The pieces are weighted by e^(l − the larger one), and not divided by the sum of these weights.",
    lambda z1, l1, z2, l2: (
        (l1 - torch.maximum(l1, l2)).exp()[..., None] * z1 + (l2 - torch.maximum(l1, l2)).exp()[..., None] * z2
    ),
)
pieces.mistake(
    "The piece with the larger sum is taken alone: both count.",
    lambda z1, l1, z2, l2: torch.where((l1 > l2)[..., None], z1, z2),
)
pieces.mistake(
    "The softmax of the two logarithms is in base 2: the scores went into e^score.",
    lambda z1, l1, z2, l2: together(z1, l1 * 0.6931471805599453, z2, l2 * 0.6931471805599453),
)
pieces.mistake(
    "The pieces are laid one behind the other: every query reads one mean, of the same shape as before.",
    lambda z1, l1, z2, l2: torch.cat([z1, z2], dim=-2),
)
pieces.mistake(
    "The pieces are laid side by side: every query reads one mean, of the same shape as before.",
    lambda z1, l1, z2, l2: torch.cat([z1, z2], dim=-1),
)
pieces.mistake(
    "The weight depends on l1 alone: it is e^l1 / (e^l1 + e^l2).",
    lambda z1, l1, z2, l2: together(z1, l1, z2, torch.zeros_like(l2)),
)
pieces.mistake(
    "The weights are logarithms, l − log(e^l1 + e^l2): take their exponentials.",
    lambda z1, l1, z2, l2: (
        (l1 - torch.logaddexp(l1, l2))[..., None] * z1 + (l2 - torch.logaddexp(l1, l2))[..., None] * z2
    ),
)
pieces.mistake(
    "The pieces are weighted by e^l1 and e^l2, and not divided by the sum of both.",
    lambda z1, l1, z2, l2: l1.exp()[..., None] * z1 + l2.exp()[..., None] * z2,
)
pieces.mistake(
    "This is the new logarithm, log(e^l1 + e^l2): asked for is what is read.",
    lambda z1, l1, z2, l2: torch.logaddexp(l1, l2),
)
pieces.mistake(
    "The logarithms are divided by √D: the scores were divided already.",
    lambda z1, l1, z2, l2: together(z1, l1 / z1.shape[-1] ** 0.5, z2, l2 / z1.shape[-1] ** 0.5),
)
pieces.mistake(
    "All queries have the same weight, from the means of l1 and l2: each has its own.",
    lambda z1, l1, z2, l2: together(z1, l1.mean().expand(l1.shape), z2, l2.mean().expand(l2.shape)),
)
pieces.mistake("Only the first piece is returned.", lambda z1, l1, z2, l2: z1)
pieces.mistake("Only the second piece is returned.", lambda z1, l1, z2, l2: z2)

# cost: the multiply-adds of the two matrix products, counted as two operations each


def draw_sizes(rng: random.Random) -> tuple[int, ...]:
    """Heads, queries, keys, head width: four different sizes."""
    return distinct(rng, 4, 2, 43)


def operations(n_heads: int, n_queries: int, n_keys: int, d_head: int) -> int:
    return 4 * n_heads * n_queries * n_keys * d_head


cost = Exercise(
    "transformer.attention.cost", stars=1, minutes=5, reference=operations, draw=draw_sizes, tolerance=0,
    edges=[(1, 5, 7, 3), (3, 1, 7, 5), (3, 5, 5, 5)], section="Measure it: what it costs",
)  # fmt: skip
cost.mistake(
    "The result is half as large as it should be: a multiplication and its addition are two operations, and there are "
    "two products.",
    lambda h, t, s, d: 2 * h * t * s * d,
)
cost.mistake("The heads are not counted: each does this work.", lambda h, t, s, d: 4 * t * s * d)
cost.mistake(
    "The number of keys is missing: every query is compared with every key.", lambda h, t, s, d: 4 * h * t * t * d
)
cost.mistake(
    "The number of queries is missing: every query is compared with every key.", lambda h, t, s, d: 4 * h * s * s * d
)
cost.mistake(
    "This counts only one product, and one operation per multiply-add: the values' product is missing too.",
    lambda h, t, s, d: h * t * s * d,
)
cost.mistake(
    "Only the keys that a causal mask leaves are counted: the two products compute all of them.",
    lambda h, t, s, d: 2 * h * t * (t + 1) * d,
)
cost.mistake(
    "The last addition of each sum is left out: count as many additions as multiplications.",
    lambda h, t, s, d: h * (t * s * (2 * d - 1) + t * d * (2 * s - 1)),
)
cost.mistake(
    "The heads are squared: each head computes with its own width alone.", lambda h, t, s, d: 4 * h * h * t * s * d
)
cost.mistake(
    "The two products are multiplied: their operations are added.", lambda h, t, s, d: h * (2 * t * s * d) ** 2
)
