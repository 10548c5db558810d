"""Exercises on PPO: its clipped loss, and advantages from a critic.

Practised in book/3-fine-tuning-a-transformer/10_ppo.md; the modules are insideout/finetuning/policy.py and
insideout/finetuning/advantages.py. Shapes: B answers, T steps.
"""

import random
from collections.abc import Callable

import torch
from torch import Tensor

from insideout.exercises.catalogue import Exercise
from insideout.exercises.drawing import tensor

# clipped_loss: logprobs, old, advantages, mask, clip -> the mean over the mask

Tokens = tuple[Tensor, Tensor, Tensor, Tensor, float]


def draw_tokens(rng: random.Random, B: int, T: int = 3) -> Tokens:
    """Log-probabilities before and now, so far apart that many ratios leave the interval, advantages, and a mask."""
    mask = torch.zeros(B, T, dtype=torch.bool)
    for row in range(B):
        mask[row, rng.randrange(T - 1) :] = True
    old = -1 - tensor(rng, B, T).abs()
    return old + 0.6 * tensor(rng, B, T), old, tensor(rng, B, T), mask, rng.choice([0.1, 0.2, 0.3])


def draw_four(rng: random.Random) -> Tokens:
    """The four cases, and one in the middle."""
    ratios = torch.tensor([[1.5, 0.5, 1.5, 0.5, 1.1]], dtype=torch.float64)
    signs = torch.tensor([[2.0, 3.0, -5.0, -7.0, 11.0]], dtype=torch.float64)
    return ratios.log() - 2, torch.full_like(ratios, -2.0), signs, torch.ones(1, 5, dtype=torch.bool), 0.2


def objectives(logprobs: Tensor, old: Tensor, advantages: Tensor, clip: float) -> tuple[Tensor, Tensor]:
    ratio = (logprobs - old).exp()
    return ratio * advantages, ratio.clamp(1 - clip, 1 + clip) * advantages


def clipped(logprobs: Tensor, old: Tensor, advantages: Tensor, mask: Tensor, clip: float) -> Tensor:
    return -torch.minimum(*objectives(logprobs, old, advantages, clip))[mask].mean()


def inverted(logprobs: Tensor, old: Tensor, advantages: Tensor, mask: Tensor, clip: float) -> Tensor:
    one, two = objectives(logprobs, old, advantages, clip)
    return -torch.where(advantages > 0, torch.minimum(one, two), torch.maximum(one, two))[mask].mean()


clipped_loss = Exercise(
    "finetuning.ppo.clipped_loss", stars=2, minutes=10, reference=clipped, draw=draw_tokens, edges=[draw_four],
    section="The clip, in its four cases",
)  # fmt: skip
Made = Callable[[Tensor, Tensor, Tensor, Tensor, float], Tensor]
LOSS_MISTAKES: list[tuple[str, Made]] = [
    (
        "The sign is wrong: this is the objective, which is to grow; a loss is its negative.",
        lambda n, o, a, m, c: -clipped(n, o, a, m, c),
    ),
    (
        "The maximum is taken instead of the minimum.",
        lambda n, o, a, m, c: -torch.maximum(*objectives(n, o, a, c))[m].mean(),
    ),
    ("The maximum is taken where the advantage is negative: it is the minimum in both cases.", inverted),
    (
        "The ratio is only clipped: without the minimum, a token that went the wrong way is never pulled back.",
        lambda n, o, a, m, c: -objectives(n, o, a, c)[1][m].mean(),
    ),
    ("The clip is missing.", lambda n, o, a, m, c: -objectives(n, o, a, c)[0][m].mean()),
    (
        "The ratio is upside down: new over old.",
        lambda n, o, a, m, c: clipped(o, n, a, m, c),
    ),
    (
        "The mask is not used: prompt and padding are in the mean.",
        lambda n, o, a, m, c: clipped(n, o, a, torch.ones_like(m), c),
    ),
    (
        "The sum over the mask is divided by all positions.",
        lambda n, o, a, m, c: clipped(n, o, a, m, c) * m.double().mean(),
    ),
    (
        "This is the sum: the mean over the tokens of the mask is asked for.",
        lambda n, o, a, m, c: clipped(n, o, a, m, c) * m.sum(),
    ),
    (
        "The ratio is a difference of logarithms: take its exponential.",
        lambda n, o, a, m, c: -torch.minimum((n - o) * a, (n - o).clamp(1 - c, 1 + c) * a)[m].mean(),
    ),
    (
        "The logarithm of the ratio is clipped between −ε and ε: the ratio itself is clipped around 1.",
        lambda n, o, a, m, c: -torch.minimum((n - o).exp() * a, (n - o).clamp(-c, c).exp() * a)[m].mean(),
    ),
    (
        "The ratio is clipped between −ε and ε: the interval lies around 1.",
        lambda n, o, a, m, c: -torch.minimum((n - o).exp() * a, (n - o).exp().clamp(-c, c) * a)[m].mean(),
    ),
    (
        "It is clipped above only.",
        lambda n, o, a, m, c: -torch.minimum((n - o).exp() * a, (n - o).exp().clamp(max=1 + c) * a)[m].mean(),
    ),
    (
        "It is clipped below only.",
        lambda n, o, a, m, c: -torch.minimum((n - o).exp() * a, (n - o).exp().clamp(min=1 - c) * a)[m].mean(),
    ),
    (
        "The objective is clipped, advantage and all: clip the ratio, then multiply.",
        lambda n, o, a, m, c: -torch.minimum((n - o).exp() * a, ((n - o).exp() * a).clamp(1 - c, 1 + c))[m].mean(),
    ),
    (
        "Ratios are multiplied over the answer: each token has its own.",
        lambda n, o, a, m, c: clipped(((n - o) * m).sum(1, keepdim=True).expand_as(n), torch.zeros_like(o), a, m, c),
    ),
    (
        "The mean is taken of each answer first: every token counts alike.",
        lambda n, o, a, m, c: torch.stack(
            [clipped(n[i : i + 1], o[i : i + 1], a[i : i + 1], m[i : i + 1], c) for i in range(len(n))]
        ).mean(),
    ),
    (
        "One number is asked for, not one a token.",
        lambda n, o, a, m, c: -torch.minimum(*objectives(n, o, a, c)) * m,
    ),
    (
        "The minimum is of the means: each token has its own.",
        lambda n, o, a, m, c: -torch.minimum(*(each[m].mean() for each in objectives(n, o, a, c))),
    ),
]  # fmt: skip
for diagnosis, made in LOSS_MISTAKES:
    clipped_loss.mistake(diagnosis, made)

# gae: rewards, values, gamma, lam -> the advantages of one episode


def draw_episode(rng: random.Random, T: int = 3) -> tuple[Tensor, Tensor, float, float]:
    """Rewards and values of T steps, γ and λ neither 0 nor 1."""
    return tensor(rng, T), tensor(rng, T), rng.choice([0.5, 0.8, 0.9]), rng.choice([0.3, 0.6, 0.95])


def advantages_of(rewards: Tensor, values: Tensor, gamma: float, lam: float) -> Tensor:
    advantages, later, after = torch.zeros_like(rewards), 0.0, 0.0
    for t in reversed(range(len(rewards))):
        later = float(rewards[t]) + gamma * after - float(values[t]) + gamma * lam * later
        advantages[t], after = later, float(values[t])
    return advantages


def deltas(rewards: Tensor, values: Tensor, gamma: float) -> Tensor:
    return advantages_of(rewards, values, gamma, 0.0)


gae = Exercise(
    "finetuning.ppo.gae", stars=2, minutes=12, reference=advantages_of, draw=draw_episode,
    edges=[(torch.tensor([0.0, 0.0, 0.0, 0.0, 1.0], dtype=torch.float64),
            torch.tensor([0.1, 0.2, 0.4, 0.3, 0.8], dtype=torch.float64), 1.0, 0.95)],
    section="A critic, and advantages from it",
)  # fmt: skip


def upside(rewards: Tensor, values: Tensor, gamma: float, lam: float) -> Tensor:
    found, earlier = torch.zeros_like(rewards), 0.0
    for t, delta in enumerate(deltas(rewards, values, gamma).tolist()):
        earlier = delta + gamma * lam * earlier
        found[t] = earlier
    return found


GAE_MISTAKES: list[tuple[str, Callable[[Tensor, Tensor, float, float], Tensor]]] = [
    ("These are the TD errors: λ adds up those that come after.", lambda r, v, g, k: deltas(r, v, g)),
    ("λ is not used: this is the whole return less the value.", lambda r, v, g, k: advantages_of(r, v, g, 1.0)),
    ("γ is not used.", lambda r, v, g, k: advantages_of(r, v, 1.0, k)),
    (
        "γ is missing at the next advantage: both γ and λ stand there.",
        lambda r, v, g, k: advantages_of(r + (g - 1) * torch.cat([v[1:], v[:1] * 0]), v, 1.0, k),
    ),
    (
        "γ is missing at the next value.",
        lambda r, v, g, k: advantages_of(r + (1 - g) * torch.cat([v[1:], v[:1] * 0]), v, g, k),
    ),
    ("The sum runs forwards: an advantage is made of what comes after.", upside),
    (
        "These are the returns, which the critic is to learn: take the values off.",
        lambda r, v, g, k: advantages_of(r, v, g, k) + v,
    ),
    ("The values are not used at all.", lambda r, v, g, k: advantages_of(r, v * 0, g, k)),
    (
        "The value is read one step too late: it is what was expected before the step.",
        lambda r, v, g, k: advantages_of(r, torch.cat([v[1:], v[:1] * 0]), g, k),
    ),
    (
        "After the last step its own value is taken again: nothing comes behind the end.",
        lambda r, v, g, k: advantages_of(torch.cat([r[:-1], r[-1:] + g * v[-1:]]), v, g, k),
    ),
    (
        "The sign is wrong: better than expected is positive.",
        lambda r, v, g, k: -advantages_of(r, v, g, k),
    ),
    ("γ and λ have changed places.", lambda r, v, g, k: advantages_of(r, v, k, g)),
    (
        "The values have the wrong sign: what was expected is taken off, what is expected now added.",
        lambda r, v, g, k: advantages_of(r, -v, g, k),
    ),
    (
        "The next value is missing in the TD error.",
        lambda r, v, g, k: advantages_of(r - g * torch.cat([v[1:], v[:1] * 0]), v, g, k),
    ),
    (
        "The mean is taken off, as whitening does: the advantages themselves are asked for.",
        lambda r, v, g, k: advantages_of(r, v, g, k) - advantages_of(r, v, g, k).mean(),
    ),
    (
        "The result is still turned around: the first step comes first.",
        lambda r, v, g, k: advantages_of(r, v, g, k).flip(0),
    ),
]
for said, wrong in GAE_MISTAKES:
    gae.mistake(said, wrong)
