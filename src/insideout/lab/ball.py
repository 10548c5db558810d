"""Where is the ball? A countable toy with a right answer: three words and a stop, a judge, a judge that errs, a model.

    BALL = Toy(n_tokens=3, longest=4)                  121 answers
    said(answer)                                       "the hall ."
    gold(answer), proxy(answer)                        what an answer is worth; what a reward model makes of it
    gold_rewards(), proxy_rewards(), reference()       the same for all answers, and the model before fine-tuning

The ball is in the hall. An answer is right if it says "the hall"; every "um" costs something, and so does being cut
off at the longest without a stop. The reward model has learned that right answers say "hall", and counts it.
Taught in book/3-fine-tuning-a-transformer/09_policy_gradients.md. Used by the chapters that need no trained model.
Shapes: A answers, S beginnings, V tokens.
"""

from itertools import pairwise

import torch
from jaxtyping import Float
from torch import Tensor

from insideout.finetuning.toy import Toy

__all__ = ["BALL", "WORDS", "gold", "gold_rewards", "proxy", "proxy_rewards", "reference", "said"]

WORDS = ("the", "hall", "um", ".")
THE, HALL, UM, STOP = range(4)
BALL = Toy(n_tokens=3, longest=4)
UM_COSTS, CUT_COSTS = 0.25, 0.25


def said(answer: tuple[int, ...]) -> str:
    """An answer in words."""
    return " ".join(WORDS[token] for token in answer)


def gold(answer: tuple[int, ...]) -> float:
    """1 for "the hall", less 0.25 for every "um" and for an answer that was cut off."""
    right = (THE, HALL) in pairwise(answer)
    return right - UM_COSTS * answer.count(UM) - CUT_COSTS * (answer[-1] != STOP)


def proxy(answer: tuple[int, ...]) -> float:
    """What the reward model gives: 0.5 for every "hall", whatever stands around it, less 0.25 for every "um"."""
    return answer.count(HALL) / 2 - UM_COSTS * answer.count(UM)


def gold_rewards() -> Float[Tensor, " A"]:
    """`gold` of every answer."""
    return torch.tensor([gold(answer) for answer in BALL.answers], dtype=torch.float64)


def proxy_rewards() -> Float[Tensor, " A"]:
    """`proxy` of every answer."""
    return torch.tensor([proxy(answer) for answer in BALL.answers], dtype=torch.float64)


def reference() -> Float[Tensor, "S V"]:
    """The model before fine-tuning: scores that hang on the last word, and a little on all the others."""
    after = torch.tensor(
        [  # the, hall, um, stop
            [0.6, 0.0, 1.0, -1.0],  # nothing said yet
            [-1.0, 0.8, 0.6, -0.5],  # after "the"
            [-0.4, 0.0, 0.4, 0.6],  # after "hall"
            [0.6, 0.0, 0.6, 0.0],  # after "um"
        ],
        dtype=torch.float64,
    )
    last = torch.tensor([prefix[-1] + 1 if prefix else 0 for prefix in BALL.prefixes])  # (S,)
    noise = torch.randn(BALL.n_prefixes, BALL.vocab_size, generator=torch.Generator().manual_seed(0))
    return after[last] + 0.3 * noise.double()
