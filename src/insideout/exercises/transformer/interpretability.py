"""Exercises on looking inside: the logit lens, prefix matching, a patch's effect, what each head wrote to a logit.

Practised in book/2-building-a-transformer/10_interpretability.md; the module is insideout/transformer/interpret/.
Sources: Elhage et al. 2021; Olsson et al. 2022; Meng et al. 2022. Shapes: L layers, H heads, T positions, C d_model,
D head width, V vocabulary.
"""

import random
from collections.abc import Callable

import torch
from torch import Tensor

from insideout.exercises.catalogue import Exercise
from insideout.exercises.drawing import away, tensor, tensor_of

EPS = 1e-5

# effect: the metric on the clean, the corrupted and the patched run -> the share of the answer returned


def draw_metrics(rng: random.Random) -> tuple[float, float, float]:
    """Clean above or below corrupted, none near 0; the patched run between the two, short of them or beyond."""
    clean, corrupted = away(rng, 2, 1.0, 4.0)
    clean += 6.0 * rng.choice((-1.0, 1.0))
    share = rng.choice((rng.uniform(0.2, 0.4), rng.uniform(0.6, 0.9), rng.uniform(-0.8, -0.3), rng.uniform(1.2, 1.7)))
    return clean, corrupted, corrupted + share * (clean - corrupted)


def share_returned(clean: float, corrupted: float, patched: float) -> float:
    return (patched - corrupted) / (clean - corrupted)


effect = Exercise(
    "transformer.interpretability.effect", stars=1, minutes=5, reference=share_returned, draw=draw_metrics,
    edges=[(3.0, -1.0, -1.0), (3.0, -1.0, 3.0), (2.0, 0.0, 1.0), (0.0, 4.0, 3.0), (0.5, 2.5, 3.5), (-2.0, 1.0, -3.0)],
    section="Patching: where is it kept?",
)  # fmt: skip
effect.mistake(
    "This is the share that is still missing: a patch that returns everything must give 1.",
    lambda clean, corrupted, patched: (clean - patched) / (clean - corrupted),
)
effect.mistake(
    "The patched metric is divided by the clean one: a patch that does nothing must give 0.",
    lambda clean, corrupted, patched: patched / clean,
)
effect.mistake(
    "This is how far the metric moved, not which share of the way: divide by clean less corrupted.",
    lambda clean, corrupted, patched: patched - corrupted,
)
effect.mistake(
    "The move is divided by the clean metric; the whole way is clean less corrupted.",
    lambda clean, corrupted, patched: (patched - corrupted) / clean,
)
effect.mistake(
    "The move is divided by the corrupted metric; the whole way is clean less corrupted.",
    lambda clean, corrupted, patched: (patched - corrupted) / corrupted,
)
effect.mistake(
    "The move is not counted from the corrupted run: a patch that does nothing must give 0.",
    lambda clean, corrupted, patched: patched / (clean - corrupted),
)
effect.mistake(
    "This is how far the patch is from the clean run, as a share of what the clean run has: count from the corrupted.",
    lambda clean, corrupted, patched: (clean - patched) / clean,
)
effect.mistake(
    "The move is divided by what is left of the way: the whole way is clean less corrupted.",
    lambda clean, corrupted, patched: (patched - corrupted) / (clean - patched),
)
effect.mistake(
    "The share has lost its sign: a patch can push the wrong way.",
    lambda clean, corrupted, patched: abs(share_returned(clean, corrupted, patched)),
)
effect.mistake(
    "The whole way is taken without its sign: where the clean metric is the lower one, less is better.",
    lambda clean, corrupted, patched: (patched - corrupted) / abs(clean - corrupted),
)
effect.mistake(
    "The share is cut off at 0 and 1: a patch can push the wrong way, or further than the clean run goes.",
    lambda clean, corrupted, patched: min(max(share_returned(clean, corrupted, patched), 0.0), 1.0),
)
effect.mistake(
    "The share is cut off at 0: a patch can push the wrong way.",
    lambda clean, corrupted, patched: max(share_returned(clean, corrupted, patched), 0.0),
)
effect.mistake(
    "The share is cut off at 1: a patch can push further than the clean run goes.",
    lambda clean, corrupted, patched: min(share_returned(clean, corrupted, patched), 1.0),
)
effect.mistake(
    "The sign is wrong: one of the two differences is taken the other way round.",
    lambda clean, corrupted, patched: -share_returned(clean, corrupted, patched),
)
effect.mistake(
    "The move has lost its sign: a patch can push the wrong way.",
    lambda clean, corrupted, patched: abs(patched - corrupted) / (clean - corrupted),
)
effect.mistake(
    "Parentheses are missing: a division comes before a difference.",
    lambda clean, corrupted, patched: patched - corrupted / (clean - corrupted),
)
effect.mistake(
    "The whole way is a difference, clean less corrupted, and not a sum.",
    lambda clean, corrupted, patched: (patched - corrupted) / (clean + corrupted),
)

# lens: the residual stream after each layer, gain, head -> logits


def draw_streams(rng: random.Random, L: int, T: int, V: int, C: int = 2) -> tuple[Tensor, Tensor, Tensor]:
    """Streams (L, T, C) whose mean is not 0, some so small that ε is felt; the norm's gain (C,); the head (V, C)."""
    size = rng.choice((1.0, 1.0, 0.002))
    return size * (1 + 3 * tensor(rng, L, T, C)), tensor_of(away(rng, C, 0.5, 1.5)), tensor(rng, V, C)


def root_mean_square(x: Tensor, dim: int | tuple[int, ...] = -1, epsilon: float = EPS) -> Tensor:
    return (x.square().mean(dim=dim, keepdim=True) + epsilon).sqrt()


def read(
    size: Callable[[Tensor], Tensor] = root_mean_square,
    stream: Callable[[Tensor], Tensor] = lambda x: x,
    after: Callable[[Tensor], Tensor] = lambda x: x,
    of_gain: Callable[[Tensor], Tensor] = lambda x: x,
) -> Callable[[Tensor, Tensor, Tensor], Tensor]:
    """The lens with another size, another stream, something done to the logits, or to the gain."""

    def lens(streams: Tensor, gain: Tensor, head: Tensor) -> Tensor:
        x = stream(streams)
        return after((of_gain(gain) * x / size(x)) @ head.mT)

    return lens


def added(streams: Tensor) -> Tensor:
    return streams.diff(dim=0, prepend=torch.zeros_like(streams[:1]))


lens = Exercise(
    "transformer.interpretability.lens", stars=2, minutes=10, reference=read(), draw=draw_streams, tolerance=1e-5,
    edges=[(tensor_of([[[0.0, 0.0], [30.0, -40.0]]]), tensor_of([1.0, 2.0]), tensor_of([[1.0, 0.5]]))],
    section="The logit lens: when does it know?",
)  # fmt: skip
lens.mistake(
    "The final norm is missing: the head was trained to read a normalised stream.",
    lambda streams, gain, head: streams @ head.mT,
)
lens.mistake(
    "The norm is missing, and only its gain is there: divide each position by its root mean square.",
    read(torch.ones_like),
)
lens.mistake("The norm's gain is missing.", read(of_gain=torch.ones_like))
lens.mistake(
    "The normed stream is multiplied by 1 + γ: here the gain is γ itself.", read(of_gain=lambda gain: 1 + gain)
)
lens.mistake(
    "This is LayerNorm: RMSNorm does not subtract the mean.",
    read(stream=lambda x: x - x.mean(dim=-1, keepdim=True)),
)
lens.mistake(
    "The norm runs over the positions; it must run over the numbers of each position.",
    read(lambda x: root_mean_square(x, -2)),
)
lens.mistake(
    "All positions of a layer share one size: each has its own.", read(lambda x: root_mean_square(x, (-2, -1)))
)
lens.mistake(
    "The size is that of the last layer's stream: each layer's stream is normed by its own.",
    read(lambda x: root_mean_square(x[-1:])),
)
lens.mistake("ε is missing under the root.", read(lambda x: root_mean_square(x, epsilon=0.0)))
lens.mistake("ε is 1e-6: here it is 1e-5.", read(lambda x: root_mean_square(x, epsilon=1e-6)))
lens.mistake("ε is added after the root; it belongs under it.", read(lambda x: root_mean_square(x, epsilon=0.0) + EPS))
lens.mistake("The root is missing: the stream is divided by its mean square.", read(lambda x: root_mean_square(x) ** 2))
lens.mistake(
    "The squares are added up; RMSNorm takes their mean.",
    read(lambda x: (x.square().sum(dim=-1, keepdim=True) + EPS).sqrt()),
)
lens.mistake("This reads what each layer added; the lens reads the whole stream after the layer.", read(stream=added))
lens.mistake(
    "The streams are added up: each is a sum already, of all that was written before it.",
    read(stream=lambda x: x.cumsum(dim=0)),
)
lens.mistake(
    "The head is not transposed: its rows are tokens, (V, C).",
    lambda streams, gain, head: read()(streams, gain, head.mT),
)
lens.mistake("These are probabilities: the logits are asked for.", read(after=lambda x: x.softmax(dim=-1)))
lens.mistake("These are log-probabilities: the logits are asked for.", read(after=lambda x: x.log_softmax(dim=-1)))
lens.mistake("These are the likeliest tokens: the logits are asked for.", read(after=lambda x: x.argmax(dim=-1)))
lens.mistake(
    "The norm runs over the layers; it must run over the numbers of each position.",
    read(lambda x: root_mean_square(x, 0)),
)

# induction: patterns of a text that repeats every p tokens -> each head's prefix-matching score


def patterns(rng: random.Random, H: int, period: int, length: int) -> tuple[Tensor, int]:
    """Causal patterns (H, T, T) of random weights, and the period."""
    scores = 2 * tensor(rng, H, length, length)
    future = torch.ones(length, length, dtype=torch.bool).triu(1)
    return scores.masked_fill(future, float("-inf")).softmax(dim=-1), period


def draw_patterns(rng: random.Random, H: int) -> tuple[Tensor, int]:
    """Patterns of a text of one copy and a bit, or up to three copies and a bit."""
    period = rng.randint(2, 4)
    return patterns(rng, H, period, period + rng.randint(2, 2 * period + 2))


def weights(
    pattern: Tensor, period: int, ahead: int = 1, copies: int = 99, from_position: int = 1, first: int | None = None,
) -> tuple[Tensor, Tensor]:  # fmt: skip
    """Where a query t may look, (T, T): at t − k · period + ahead, for k = 1, 2, ... as far as `copies` and text go.

    Also which queries are averaged, (T,): those from `first` on.
    """
    length = pattern.shape[-1]
    t, s = torch.arange(length)[:, None], torch.arange(length)
    back = t + ahead - s  # a multiple of the period
    at_earlier = (back % period == 0) & (back >= period) & (back <= copies * period) & (s >= max(from_position, 0))
    queries = torch.arange(length) >= (period if first is None else first)
    return at_earlier.to(pattern.dtype), queries.to(pattern.dtype)


def weight_on(pattern: Tensor, period: int, **options: int) -> Tensor:
    looked, queries = weights(pattern, period, **options)
    return (pattern * looked).sum(dim=-1) @ queries / queries.sum()


def prefix_matching(pattern: Tensor, period: int) -> Tensor:
    return weight_on(pattern, period)


def mean_of_copies(pattern: Tensor, period: int) -> Tensor:
    looked, queries = weights(pattern, period)
    return (pattern * looked).sum(dim=-1) / looked.sum(dim=-1).clamp(min=1) @ queries / queries.sum()


def first_copy(pattern: Tensor, period: int) -> Tensor:
    looked, queries = weights(pattern, period)
    once = looked * (torch.arange(pattern.shape[-1]) <= period)
    return (pattern * once).sum(dim=-1) @ queries / queries.sum()


def all_pairs(pattern: Tensor, period: int) -> Tensor:
    looked, _ = weights(pattern, period)
    return (pattern * looked).sum(dim=(-2, -1)) / looked.sum()


induction = Exercise(
    "transformer.interpretability.induction", stars=2, minutes=15, reference=prefix_matching, draw=draw_patterns,
    edges=[
        (tensor_of([[[1.0, 0.0, 0.0], [0.5, 0.5, 0.0], [0.25, 0.5, 0.25]]]), 2),
        (tensor_of([[[1.0, 0.0, 0.0, 0.0], [0.5, 0.5, 0.0, 0.0], [0.3, 0.5, 0.2, 0.0], [0.1, 0.2, 0.3, 0.4]]]), 2),
        lambda rng: patterns(rng, 2, 2, 9), lambda rng: patterns(rng, 1, 3, 6), lambda rng: patterns(rng, 2, 4, 5),
    ], section="A score for each step", tolerance=1e-5,
)  # fmt: skip
induction.mistake(
    "This looks at where the same token stood; an induction head looks one further, at what followed it.",
    lambda pattern, period: weight_on(pattern, period, ahead=0, from_position=0),
)
induction.mistake(
    "This looks one place before the earlier copy of the token; what followed it is one place after.",
    lambda pattern, period: weight_on(pattern, period, ahead=-1, from_position=0),
)
induction.mistake(
    "This looks two places after the earlier copy of the token; what followed it is one place after.",
    lambda pattern, period: weight_on(pattern, period, ahead=2),
)
induction.mistake(
    "Only the last copy is counted: earlier copies of the token tell what follows just as well.",
    lambda pattern, period: weight_on(pattern, period, copies=1),
)
induction.mistake(
    "Only the last two copies are counted: all earlier ones tell what follows.",
    lambda pattern, period: weight_on(pattern, period, copies=2),
)
induction.mistake(
    "Only the first copy is counted: later copies of the token tell what follows just as well.", first_copy
)
induction.mistake(
    "Position 0 is counted, which follows no copy of anything.",
    lambda pattern, period: weight_on(pattern, period, from_position=0),
)
induction.mistake(
    "The mean includes the first copy, where there is nothing to match: start at t = p.",
    lambda pattern, period: weight_on(pattern, period, first=0),
)
induction.mistake(
    "The first position with an earlier copy is left out: start at t = p.",
    lambda pattern, period: weight_on(pattern, period, first=period + 1),
)
induction.mistake(
    "The mean starts one position too early: token p is the first that has an earlier copy, counting from 0.",
    lambda pattern, period: weight_on(pattern, period, first=period - 1),
)
induction.mistake(
    "Only the last position is looked at: take the mean over all from p on.",
    lambda pattern, period: weight_on(pattern, period, first=pattern.shape[-1] - 1),
)
induction.mistake(
    "This is the sum over the positions, not the mean: a longer text would score higher.",
    lambda pattern, period: prefix_matching(pattern, period) * (pattern.shape[-1] - period),
)
induction.mistake("The weights on the earlier copies are averaged: at each position they are added up.", mean_of_copies)
induction.mistake(
    "This is the mean over all pairs of a position and an earlier copy: add up the copies, then take the mean over "
    "positions.",
    all_pairs,
)
induction.mistake(
    "Rows and columns have changed places: the rows are queries, pattern[h, t, s].",
    lambda pattern, period: prefix_matching(pattern.mT, period),
)
induction.mistake(
    "The heads are averaged: a score for each is asked for.",
    lambda pattern, period: prefix_matching(pattern, period).mean(),
)
induction.mistake(
    "The scores are kept for each position: take the mean over those from p on.",
    lambda pattern, period: (pattern * weights(pattern, period)[0]).sum(dim=-1)[:, period:],
)
induction.mistake(
    "This looks at the token before: that is the mark of a previous-token head.",
    lambda pattern, period: pattern.diagonal(-1, dim1=-2, dim2=-1)[:, period - 1 :].mean(dim=-1),
)
induction.mistake(
    "This is the mean along one diagonal, that of the last copy: earlier copies count too, and position 0 does not.",
    lambda pattern, period: pattern.diagonal(1 - period, dim1=-2, dim2=-1).mean(dim=-1),
)
induction.mistake(
    "The first position with an earlier copy is left out, but counted in the mean: start at t = p.",
    lambda pattern, period: (
        weight_on(pattern, period, first=period + 1) * (pattern.shape[-1] - period - 1) / (pattern.shape[-1] - period)
    ),
)

# attribution: what the heads read, W_O, the last stream, gain, the token's row -> each head's share


def draw_heads(rng: random.Random, H: int, D: int) -> tuple[Tensor, Tensor, Tensor, Tensor, Tensor]:
    """z (H, D), the output weight (C, H·D), the residual stream (C,), the norm's gain (C,), the head's row (C,).

    The stream is as wide as all heads together, or not; now and then it is so small that ε is felt.
    """
    C = H * D + rng.choice((0, 0, 1, 3))
    x = rng.choice((1.0, 1.0, 0.002)) * (2 + 3 * tensor(rng, C))
    return tensor(rng, H, D), tensor(rng, C, H * D), x, tensor_of(away(rng, C, 0.5, 1.5)), tensor(rng, C)


def shares(z: Tensor, output: Tensor, u: Tensor) -> Tensor:
    """What each head adds along u, (H,)."""
    return (z * (u @ output).view_as(z)).sum(dim=-1)


def written_along(
    direction: Callable[[Tensor, Tensor, Tensor], Tensor],
) -> Callable[[Tensor, Tensor, Tensor, Tensor, Tensor], Tensor]:
    """An answer with u = direction(x, gain, row)."""

    def written(z: Tensor, output: Tensor, x: Tensor, gain: Tensor, row: Tensor) -> Tensor:
        return shares(z, output, direction(x, gain, row))

    return written


def of_each(z: Tensor, output: Tensor) -> Tensor:
    """What each head writes to the stream, (H, C)."""
    return torch.stack([output.view(len(output), *z.shape)[:, h] @ z[h] for h in range(len(z))])


def interleaved(z: Tensor, output: Tensor, x: Tensor, gain: Tensor, row: Tensor) -> Tensor:
    u = row * gain / root_mean_square(x)
    return (z * (u @ output).view(z.shape[1], z.shape[0]).mT).sum(dim=-1)


right_shares = written_along(lambda x, gain, row: row * gain / root_mean_square(x))

attribution = Exercise(
    "transformer.interpretability.attribution", stars=3, minutes=20, reference=right_shares, draw=draw_heads,
    tolerance=1e-5, section="Direct logit attribution: who says it?",
)  # fmt: skip
attribution.mistake(
    "The norm's scale is missing: divide by the root mean square of x.", written_along(lambda x, gain, row: row * gain)
)
attribution.mistake("The norm's gain is missing.", written_along(lambda x, gain, row: row / root_mean_square(x)))
attribution.mistake(
    "The final norm is missing, scale and gain: the head reads a normalised stream.",
    written_along(lambda x, gain, row: row),
)
attribution.mistake(
    "The result is multiplied by the norm's scale: divide by it.",
    written_along(lambda x, gain, row: row * gain * root_mean_square(x)),
)
attribution.mistake(
    "The result is divided by the gain: it is multiplied by it.",
    written_along(lambda x, gain, row: row / gain / root_mean_square(x)),
)
attribution.mistake(
    "The row of the head is missing: a token's logit is its row times the normed stream.",
    written_along(lambda x, gain, row: gain / root_mean_square(x)),
)
attribution.mistake(
    "The root is missing: the scale is the root of the mean square of x.",
    written_along(lambda x, gain, row: row * gain / root_mean_square(x) ** 2),
)
attribution.mistake(
    "The scale is the standard deviation of x, about its mean: RMSNorm takes nothing away.",
    written_along(lambda x, gain, row: row * gain / (x.var(correction=0) + EPS).sqrt()),
)
attribution.mistake(
    "The scale is the length of x: it is the root of the mean of its squares.",
    written_along(lambda x, gain, row: row * gain / (x.square().sum() + EPS).sqrt()),
)
attribution.mistake(
    "ε is missing under the root.", written_along(lambda x, gain, row: row * gain / root_mean_square(x, epsilon=0.0))
)
attribution.mistake(
    "Each head's output is normalised by itself: the scale is that of the whole stream, the same for all.",
    lambda z, output, x, gain, row: (of_each(z, output) / root_mean_square(of_each(z, output))) @ (row * gain),
)
attribution.mistake(
    "The scale is that of what the heads wrote together: it is that of the last stream x.",
    lambda z, output, x, gain, row: of_each(z, output) @ (row * gain) / root_mean_square(of_each(z, output).sum(0)),
)
attribution.mistake(
    "The output weight is transposed: torch keeps it as outputs × inputs.",
    lambda z, output, x, gain, row: right_shares(z, output.mT, x, gain, row),
)
attribution.mistake(
    "The columns of the output weight are dealt out in turn: head h owns D columns side by side.", interleaved
)
attribution.mistake(
    "This is the heads' sum: a number for each head is asked for.",
    lambda z, output, x, gain, row: right_shares(z, output, x, gain, row).sum(),
)
attribution.mistake(
    "This is what each head writes to the stream: ask what it adds to the logit.",
    lambda z, output, x, gain, row: of_each(z, output),
)
attribution.mistake(
    "The numbers of each head are not added up.",
    lambda z, output, x, gain, row: z * (row * gain / root_mean_square(x) @ output).view_as(z),
)
attribution.mistake(
    "This is the logit of the whole stream: ask what each head adds to it.",
    lambda z, output, x, gain, row: (row * gain * x / root_mean_square(x)).sum(),
)
attribution.mistake(
    "The heads' outputs are multiplied by the stream: x gives the norm its scale, and nothing else.",
    written_along(lambda x, gain, row: row * gain * x / root_mean_square(x)),
)
