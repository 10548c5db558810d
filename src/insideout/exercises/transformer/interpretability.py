"""Exercises on looking inside: the logit lens, prefix matching, a patch's effect, what each head wrote to a logit.

Practised in book/2-building-a-transformer/10_interpretability.md; the module is insideout/transformer/interpret/.
Sources: Elhage et al. 2021; Olsson et al. 2022; Meng et al. 2022. Shapes: H heads, T positions, C d_model, D head
width, V vocabulary.
"""

import random

import torch
from torch import Tensor

from insideout.exercises.catalogue import Exercise, Mistake

EPS = 1e-5


def numbers(rng: random.Random, *shape: int) -> Tensor:
    """Normal float64 numbers."""
    return torch.randn(shape, generator=torch.Generator().manual_seed(rng.getrandbits(31)), dtype=torch.float64)


# effect: the metric on the clean, the corrupted and the patched run -> the share of the answer returned


def draw_metrics(rng: random.Random) -> tuple[float, float, float]:
    """Clean well above corrupted, and the patched run somewhere between, none of them near 0 or 1."""
    corrupted = -rng.uniform(2, 4)
    clean = rng.uniform(5, 8)
    return clean, corrupted, corrupted + rng.uniform(0.2, 0.4) * (clean - corrupted)


def effect(clean: float, corrupted: float, patched: float) -> float:
    return (patched - corrupted) / (clean - corrupted)


# lens: the residual stream after each layer, gain, head -> logits


def draw_streams(rng: random.Random) -> tuple[Tensor, Tensor, Tensor]:
    """Streams (L, T, C) whose mean is not 0, the final norm's gain (C,), the head's weight (V, C)."""
    return 1 + 3 * numbers(rng, 3, 4, 8), 1 + 0.3 * numbers(rng, 8), numbers(rng, 5, 8)


def root_mean_square(x: Tensor, dim: int = -1) -> Tensor:
    return (x.square().mean(dim=dim, keepdim=True) + EPS).sqrt()


def lens(streams: Tensor, gain: Tensor, head: Tensor) -> Tensor:
    return (gain * streams / root_mean_square(streams)) @ head.mT


def lens_with_layernorm(streams: Tensor, gain: Tensor, head: Tensor) -> Tensor:
    centred = streams - streams.mean(dim=-1, keepdim=True)
    return lens(centred, gain, head)


def lens_of_additions(streams: Tensor, gain: Tensor, head: Tensor) -> Tensor:
    return lens(streams.diff(dim=0, prepend=torch.zeros_like(streams[:1])), gain, head)


# induction: patterns of a text that repeats every p tokens -> each head's prefix-matching score


def draw_patterns(rng: random.Random) -> tuple[Tensor, int]:
    """Causal patterns (H, T, T) of a text that holds its first tokens three times or a little more, and the period."""
    period = rng.randint(3, 5)
    length = 3 * period + rng.randint(0, 2)
    scores = 2 * numbers(rng, 4, length, length)
    future = torch.ones(length, length, dtype=torch.bool).triu(1)
    return scores.masked_fill(future, float("-inf")).softmax(dim=-1), period


def weight_on(pattern: Tensor, period: int, ahead: int, first_query: int | None = None, copies: int = 99) -> Tensor:
    """Mean over queries t of the weight on t - k · period + ahead, for k = 1, 2, ... as far as `copies` and text go."""
    length = pattern.shape[-1]
    queries = range(period if first_query is None else first_query, length)
    total = pattern.new_zeros(pattern.shape[0])
    for t in queries:
        for k in range(1, copies + 1):
            s = t - k * period + ahead
            if s >= max(0, ahead):
                total = total + pattern[:, t, s]
    return total / len(queries)


def induction(pattern: Tensor, period: int) -> Tensor:
    return weight_on(pattern, period, ahead=1)


# attribution: what the heads read, W_O, the last stream, gain, the token's row -> each head's share


def draw_parts(rng: random.Random) -> tuple[Tensor, Tensor, Tensor, Tensor, Tensor]:
    """z (H, D), the output weight (C, H·D), the residual stream (C,), the norm's gain (C,), the head's row (C,)."""
    n_heads, d_head = 3, 4
    width = n_heads * d_head
    gain = 1 + 0.3 * numbers(rng, width)
    return (
        numbers(rng, n_heads, d_head),
        numbers(rng, width, width),
        2 + 3 * numbers(rng, width),
        gain,
        numbers(rng, width),
    )


def attribution(z: Tensor, output: Tensor, x: Tensor, gain: Tensor, row: Tensor) -> Tensor:
    direction = row * gain / root_mean_square(x)  # (C)
    return (z * (direction @ output).view_as(z)).sum(dim=-1)  # (H)


def attribution_transposed(z: Tensor, output: Tensor, x: Tensor, gain: Tensor, row: Tensor) -> Tensor:
    return attribution(z, output.mT, x, gain, row)


def attribution_own_scale(z: Tensor, output: Tensor, x: Tensor, gain: Tensor, row: Tensor) -> Tensor:
    written = torch.stack([output.view(len(x), *z.shape)[:, h] @ z[h] for h in range(len(z))])  # (H, C)
    return (written / root_mean_square(written)) @ (row * gain)


def attribution_interleaved(z: Tensor, output: Tensor, x: Tensor, gain: Tensor, row: Tensor) -> Tensor:
    direction = row * gain / root_mean_square(x)
    return (z * (direction @ output).view(z.shape[1], z.shape[0]).mT).sum(dim=-1)


exercises: list[Exercise] = [
    Exercise(
        id="transformer.interpretability.effect",
        difficulty=1,
        minutes=5,
        reference=effect,
        draw=draw_metrics,
        tolerance=1e-10,
        hints=[
            "Two runs fix the scale: what must the answer be when patched equals corrupted, and when it equals clean?",
            "How far did the patch move the metric, as a share of the whole way?",
        ],
        mistakes=[
            Mistake(
                "This is the share that is still missing: a patch that returns everything must give 1.",
                lambda clean, corrupted, patched: (clean - patched) / (clean - corrupted),
            ),
            Mistake(
                "The patched metric is divided by the clean one: a patch that does nothing must give 0.",
                lambda clean, corrupted, patched: patched / clean,
            ),
            Mistake(
                "This is how far the metric moved, not which share of the way: divide by clean less corrupted.",
                lambda clean, corrupted, patched: patched - corrupted,
            ),
            Mistake(
                "The move is divided by the clean metric; the whole way is clean less corrupted.",
                lambda clean, corrupted, patched: (patched - corrupted) / clean,
            ),
        ],
    ),
    Exercise(
        id="transformer.interpretability.lens",
        difficulty=2,
        minutes=10,
        reference=lens,
        draw=draw_streams,
        tolerance=1e-10,
        hints=[
            "What does the model do with the last layer's stream? Do the same with every layer's.",
            "RMSNorm divides each position's vector by the root of its mean square (plus 1e-5), then multiplies by the "
            "gain.",
        ],
        mistakes=[
            Mistake(
                "The final norm is missing: the head was trained to read a normalised stream.",
                lambda streams, gain, head: streams @ head.mT,
            ),
            Mistake(
                "The norm's gain is missing.",
                lambda streams, gain, head: lens(streams, torch.ones_like(gain), head),
            ),
            Mistake("This is LayerNorm: RMSNorm does not subtract the mean.", lens_with_layernorm),
            Mistake(
                "The norm runs over the positions; it must run over the numbers of each position.",
                lambda streams, gain, head: (gain * streams / root_mean_square(streams, dim=-2)) @ head.mT,
            ),
            Mistake(
                "This reads what each layer added; the lens reads the whole stream after the layer.",
                lens_of_additions,
            ),
        ],
    ),
    Exercise(
        id="transformer.interpretability.induction",
        difficulty=2,
        minutes=15,
        reference=induction,
        draw=draw_patterns,
        tolerance=1e-10,
        hints=[
            "In the copy before, the token of position t stood at t - p. What should come next stood one further.",
            "In the third copy there are two such places. Add their weights, then take the mean over all t from p on.",
        ],
        mistakes=[
            Mistake(
                "This looks at where the same token stood; an induction head looks one further, at what followed it.",
                lambda pattern, period: weight_on(pattern, period, ahead=0),
            ),
            Mistake(
                "This looks one place before the earlier copy of the token; what followed it is one place after.",
                lambda pattern, period: weight_on(pattern, period, ahead=-1),
            ),
            Mistake(
                "Only the last copy is counted: earlier copies of the token tell what follows just as well.",
                lambda pattern, period: weight_on(pattern, period, ahead=1, copies=1),
            ),
            Mistake(
                "The mean includes the first copy, where there is nothing to match: start at t = p.",
                lambda pattern, period: weight_on(pattern, period, ahead=1, first_query=0),
            ),
            Mistake(
                "This is the sum over the positions, not the mean: a longer text would score higher.",
                lambda pattern, period: induction(pattern, period) * (pattern.shape[-1] - period),
            ),
        ],
    ),
    Exercise(
        id="transformer.interpretability.attribution",
        difficulty=3,
        minutes=20,
        reference=attribution,
        draw=draw_parts,
        tolerance=1e-10,
        hints=[
            "The logit is row · (gain * x / s), with s the root mean square of x. With s fixed it is linear in x: "
            "write it as u · x.",
            "Head h adds output[:, h·D : (h+1)·D] @ z[h] to x. What does u make of that?",
        ],
        mistakes=[
            Mistake(
                "The norm's scale is missing: divide by the root mean square of x.",
                lambda z, output, x, gain, row: attribution(z, output, x, gain, row) * root_mean_square(x),
            ),
            Mistake(
                "The norm's gain is missing.",
                lambda z, output, x, gain, row: attribution(z, output, x, torch.ones_like(gain), row),
            ),
            Mistake(
                "Each head's output is normalised by itself: the scale is that of the whole stream, the same for all.",
                attribution_own_scale,
            ),
            Mistake("The output weight is transposed: torch keeps it as outputs × inputs.", attribution_transposed),
            Mistake(
                "The columns of the output weight are dealt out in turn: head h owns D columns side by side.",
                attribution_interleaved,
            ),
        ],
    ),
]
