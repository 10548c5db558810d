"""Exercises on the KL leash: k3 over the tokens of an answer, the best policy at a price, the controller of the price.

Practised in book/3-fine-tuning-a-transformer/11_the_kl_leash.md; the modules are insideout/finetuning/divergence.py,
toy.py and kl_controller.py beside it. Shapes: B answers, T tokens, A answers that can be given.
"""

import random

import torch
from torch import Tensor

from insideout.exercises.catalogue import Exercise
from insideout.exercises.drawing import tensor

# k3: logprobs, ref, mask -> the mean over the tokens of the mask


def draw_tokens(rng: random.Random, B: int, T: int = 2) -> tuple[Tensor, Tensor, Tensor]:
    """Log-probabilities of drawn tokens under the policy and the reference, and which belong to the answer."""
    mask = torch.zeros(B, T, dtype=torch.bool)
    for row in range(B):
        begin = rng.randrange(T)
        mask[row, begin : begin + rng.randint(1, T)] = True
    return -tensor(rng, B, T).abs(), -tensor(rng, B, T).abs(), mask


def near_draw(rng: random.Random) -> tuple[Tensor, Tensor, Tensor]:
    """Policy and reference so near that only expm1 keeps the digits: k3 is about d² / 2."""
    logprobs = -torch.ones(1, 3, dtype=torch.float64)
    return logprobs, logprobs + 0.5, torch.tensor([[True, True, False]])


def mean_k3(logprobs: Tensor, ref: Tensor, mask: Tensor) -> Tensor:
    d = logprobs - ref
    return (torch.expm1(-d) + d)[mask].mean()


k3 = Exercise(
    "finetuning.the_kl_leash.k3", stars=1, minutes=8, reference=mean_k3, draw=draw_tokens, edges=[near_draw],
    section="Told from samples: k1, k2, k3",
)  # fmt: skip
k3.mistake(
    "The difference is taken the wrong way round: it is the policy's log-probability less the reference's.",
    lambda logprobs, ref, mask: mean_k3(ref, logprobs, mask),
)
k3.mistake("This is k1, the plain difference.", lambda logprobs, ref, mask: (logprobs - ref)[mask].mean())
k3.mistake(
    "This is k2, half of the squared difference.",
    lambda logprobs, ref, mask: ((logprobs - ref).square() / 2)[mask].mean(),
)
k3.mistake(
    "The −1 is missing: at equal log-probabilities k3 is 0.",
    lambda logprobs, ref, mask: mean_k3(logprobs, ref, mask) + 1,
)
k3.mistake(
    "The mask is not used: prompt and padding are in the mean.",
    lambda logprobs, ref, mask: mean_k3(logprobs, ref, torch.ones_like(mask)),
)
k3.mistake(
    "The sum over the mask is divided by all positions: divide by how many are in the mask.",
    lambda logprobs, ref, mask: mean_k3(logprobs, ref, mask) * mask.double().mean(),
)
k3.mistake(
    "This is the sum: the mean over the tokens of the mask is asked for.",
    lambda logprobs, ref, mask: mean_k3(logprobs, ref, mask) * mask.sum(),
)
k3.mistake(
    "The difference is missing behind the exponential: without it the mean is 0, whatever the KL is.",
    lambda logprobs, ref, mask: torch.expm1(ref - logprobs)[mask].mean(),
)
k3.mistake(
    "The difference is subtracted: e^(−d) − 1 + d, with a plus.",
    lambda logprobs, ref, mask: (torch.expm1(ref - logprobs) - (logprobs - ref))[mask].mean(),
)
k3.mistake(
    "The mean is taken of each answer first: every token counts alike.",
    lambda logprobs, ref, mask: torch.stack(
        [mean_k3(a[None], b[None], m[None]) for a, b, m in zip(logprobs, ref, mask, strict=True)]
    ).mean(),
)  # fmt: skip
k3.mistake(
    "The mask is inverted: True is what belongs to the answer.",
    lambda logprobs, ref, mask: mean_k3(logprobs, ref, ~mask),
)
k3.mistake(
    "One number is asked for, not one a token.",
    lambda logprobs, ref, mask: (torch.expm1(ref - logprobs) + logprobs - ref) * mask,
)
k3.mistake(
    "Probabilities are differenced: k3 is made of their logarithms.",
    lambda logprobs, ref, mask: mean_k3(logprobs.exp(), ref.exp(), mask),
)

# tilted: ref, rewards, beta -> log-probabilities of the best policy


def draw_rewards(rng: random.Random, A: int = 3) -> tuple[Tensor, Tensor, float]:
    """A reference's log-probabilities, what answers are worth, and a price other than 1."""
    return tensor(rng, A).log_softmax(-1), tensor(rng, A), rng.choice([0.25, 0.5, 2.0, 3.0])


def tilt(ref: Tensor, rewards: Tensor, beta: float) -> Tensor:
    return (ref + rewards / beta).log_softmax(-1)


tilted = Exercise(
    "finetuning.the_kl_leash.tilted", stars=2, minutes=10, reference=tilt, draw=draw_rewards,
    edges=[(torch.tensor([0.5, 0.25, 0.25], dtype=torch.float64).log(),
            torch.tensor([0.0, 1.0, 3.0], dtype=torch.float64), 0.001)],
    section="The best policy at a price",
)  # fmt: skip
tilted.mistake(
    "The rewards are multiplied by beta: a higher price must hold the policy nearer, so divide.",
    lambda ref, rewards, beta: tilt(ref, rewards, 1 / beta),
)
tilted.mistake(
    "The reference is missing: without it this is the best policy for another leash, entropy.",
    lambda ref, rewards, beta: (rewards / beta).log_softmax(-1),
)
tilted.mistake("It does not sum to 1: subtract log Z.", lambda ref, rewards, beta: ref + rewards / beta)
tilted.mistake(
    "These are probabilities: their logarithms are asked for.",
    lambda ref, rewards, beta: tilt(ref, rewards, beta).exp(),
)
tilted.mistake(
    "The sign is wrong: what is worth more must become likelier.", lambda ref, rewards, beta: tilt(ref, -rewards, beta)
)
tilted.mistake(
    "The price stands at the reference too: log π_ref is not divided by beta.",
    lambda ref, rewards, beta: ((ref + rewards) / beta).log_softmax(-1),
)
tilted.mistake("The price is not used.", lambda ref, rewards, beta: tilt(ref, rewards, 1.0))
tilted.mistake(
    "The reference's probabilities are used as if they were their logarithms.",
    lambda ref, rewards, beta: tilt(ref.exp(), rewards, beta),
)
tilted.mistake("This is the reference: nothing was tilted.", lambda ref, rewards, beta: ref)
tilted.mistake(
    "Z is taken without the reference: sum π_ref times e^(r / beta).",
    lambda ref, rewards, beta: ref + rewards / beta - (rewards / beta).logsumexp(-1),
)
tilted.mistake(
    "The largest score is subtracted instead of log Z.",
    lambda ref, rewards, beta: ref + rewards / beta - (ref + rewards / beta).max(),
)
tilted.mistake(
    "The exponential overflows where beta is small: use logsumexp.",
    lambda ref, rewards, beta: (
        (ref.exp() * (rewards / beta).exp()) / (ref.exp() * (rewards / beta).exp()).sum()
    ).log(),
)

# controller: beta, kl, target, n, horizon -> the new price


def draw_measured(rng: random.Random) -> tuple[float, float, float, int, int]:
    """A price, a KL on either side of its target, at times far off, a batch and a horizon."""
    target = rng.uniform(0.5, 8.0)
    factor = rng.choice(
        [rng.uniform(0.82, 0.97), rng.uniform(1.03, 1.18), rng.uniform(1.5, 4.0), rng.uniform(-0.2, 0.5)]
    )
    return rng.uniform(0.01, 1.0), factor * target, target, rng.choice([16, 32, 64]), rng.choice([500, 1000, 2000])


def price(beta: float, kl: float, target: float, n: int, horizon: int) -> float:
    error = max(-0.2, min(0.2, kl / target - 1))
    return beta * (1 + error * n / horizon)


controller = Exercise(
    "finetuning.the_kl_leash.controller", stars=2, minutes=8, reference=price, draw=draw_measured,
    edges=[(0.1, 6.0, 6.0, 64, 1000), (0.1, 60.0, 6.0, 64, 1000), (0.1, 0.0, 6.0, 64, 1000)],
    section="A price that finds itself",
)  # fmt: skip
controller.mistake(
    "The sign is wrong: a policy that is too far away must pay more.",
    lambda beta, kl, target, n, horizon: 2 * beta - price(beta, kl, target, n, horizon),
)
controller.mistake(
    "The error is not clipped.",
    lambda beta, kl, target, n, horizon: beta * (1 + (kl / target - 1) * n / horizon),
)
controller.mistake(
    "The error is not relative: divide it by the target.",
    lambda beta, kl, target, n, horizon: beta * (1 + max(-0.2, min(0.2, kl - target)) * n / horizon),
)
controller.mistake(
    "The horizon is not used: the whole error is applied at once.",
    lambda beta, kl, target, n, horizon: beta * (1 + max(-0.2, min(0.2, kl / target - 1))),
)
controller.mistake(
    "The batch's size is not used.",
    lambda beta, kl, target, n, horizon: beta * (1 + max(-0.2, min(0.2, kl / target - 1)) / horizon),
)
controller.mistake(
    "The change is added to the price: it multiplies it.",
    lambda beta, kl, target, n, horizon: beta + max(-0.2, min(0.2, kl / target - 1)) * n / horizon,
)
controller.mistake(
    "Only the sign of the error is used, so that the price never rests: this is no proportional controller.",
    lambda beta, kl, target, n, horizon: beta * (1 + 0.2 * ((kl > target) - (kl < target)) * n / horizon),
)
controller.mistake(
    "It is clipped above only: a policy too near is let go too fast.",
    lambda beta, kl, target, n, horizon: beta * (1 + min(0.2, kl / target - 1) * n / horizon),
)
controller.mistake(
    "It is clipped below only: a policy too far is pulled too hard.",
    lambda beta, kl, target, n, horizon: beta * (1 + max(-0.2, kl / target - 1) * n / horizon),
)
controller.mistake(
    "The error is relative to the KL: divide it by the target.",
    lambda beta, kl, target, n, horizon: beta * (1 + max(-0.2, min(0.2, 1 - target / (kl or 1e-9))) * n / horizon),
)
controller.mistake(
    "This is the factor: multiply the old price by it.",
    lambda beta, kl, target, n, horizon: price(1.0, kl, target, n, horizon),
)
controller.mistake(
    "The clip comes after the horizon: the error itself is what is bounded.",
    lambda beta, kl, target, n, horizon: beta * (1 + max(-0.2, min(0.2, (kl / target - 1) * n / horizon * 10))),
)
controller.mistake(
    "Batch and horizon have changed places.", lambda beta, kl, target, n, horizon: price(beta, kl, target, horizon, n)
)
