"""The critic: from each beginning of an answer, how much reward is still to come.

    V(s_t) = w · h_t + b        h_t: what the critic's own transformer makes of the tokens up to t

It has the policy's architecture and begins with its weights, but is a model of its own: the two want other things of
what they read. Position t reads ids[t] and tells the value of where the next token is chosen, beside the policy's
logits. Taught in book/3-fine-tuning-a-transformer/10_ppo.md.
Sources: Schulman et al. 2016 (GAE), §4; Stiennon et al. 2020, app. G.1 (a network apart from the policy's).
Shapes: B rows, T positions, V vocabulary, C d_model.
"""

import copy

import torch
from jaxtyping import Float, Int
from torch import Tensor, nn

from insideout.transformer.config import GPTConfig
from insideout.transformer.model import GPT

__all__ = ["Critic", "Learner"]


class Critic(nn.Module):
    """A copy of a GPT whose head gives one number a position."""

    def __init__(self, like: GPT, seed: int = 0) -> None:
        super().__init__()
        self.body = copy.deepcopy(like).requires_grad_()
        width = like.config.d_model
        self.body.head = nn.Linear(width, 1, device=like.token_embedding.weight.device)
        generator = torch.Generator().manual_seed(seed)
        with torch.no_grad():  # not 0: else the first gradient stops at the head
            rows = torch.randn(1, width, generator=generator) * (width + 1) ** -0.5
            self.body.head.weight.copy_(rows)
            self.body.head.bias.zero_()

    def forward(self, ids: Int[Tensor, "B T"]) -> Float[Tensor, "B T"]:
        """The value at each position."""
        values: Tensor = self.body(ids)
        return values.squeeze(-1)


class Learner(nn.Module):
    """What is trained together: the policy, and its critic where it has one."""

    def __init__(self, policy: GPT, critic: Critic | None = None) -> None:
        super().__init__()
        self.policy = policy
        self.critic = critic

    @property
    def config(self) -> GPTConfig:
        """The policy's sizes."""
        return self.policy.config

    @property
    def n_parameters(self) -> int:
        """Of the policy alone: what is used afterwards."""
        return self.policy.n_parameters

    def forward(self, ids: Int[Tensor, "B T"]) -> tuple[Float[Tensor, "B T V"], Float[Tensor, "B T"] | None]:
        """The policy's scores of the next token and the critic's value, at each position."""
        return self.policy(ids), None if self.critic is None else self.critic(ids)
