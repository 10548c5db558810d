"""A mixture of experts: many feed-forward layers, of which a router gives each position only a few.

    p = softmax(W_router x)        y = Σ over the k largest p_e of g_e · FeedForward_e(x)

The gates g are the chosen p, divided by their sum when k > 1. With k = 1 that would make the gate 1, and the router
would learn nothing from the loss; there g = p. A layer with E experts has E times the parameters of one and does the
work of k. Left alone, a router sends more to the experts that learned first; the balance loss holds against that:

    balance = E · Σ_e f_e P_e        f_e: share of the choices that fell on e,  P_e: mean of p_e

It is 1 when choices and probabilities are spread evenly, E / k when all go to the same experts. f has no gradient, P
has one. Taught in book/2-building-a-transformer/04_feed_forward.md. Sources: Shazeer et al. 2017 (top-k routing, a loss
for balance); Fedus et al. 2022, §2.2 (k = 1, this form of the loss).
Shapes: B batch, T positions, N = B·T, C d_model, E experts, K experts per position.
"""

from typing import Any

import torch
from jaxtyping import Float, Int
from torch import Tensor, nn

from insideout.errors import BadInput
from insideout.transformer.config import GPTConfig
from insideout.transformer.feed_forward import FeedForward


class MixtureOfExperts(nn.Module):
    """In the place of a block's feed-forward layer: `block.feed_forward = MixtureOfExperts(config, 8, 2)`.

    Each expert is as wide as the config's feed-forward layer; for the work of one such layer in all, divide d_ff by
    `top_k`. Call `model.initialise()` afterwards, to give the experts GPT's initial weights.
    """

    def __init__(self, config: GPTConfig, n_experts: int, top_k: int) -> None:
        super().__init__()
        if config.mlp == "none":
            raise BadInput("mlp is none, and experts are feed-forward layers: choose another mlp.")
        if not 1 <= top_k <= n_experts:
            raise BadInput(f"top_k is {top_k}; it must be at least 1 and at most n_experts, which is {n_experts}.")
        self.top_k = top_k
        self.router = nn.Linear(config.d_model, n_experts, bias=False)
        self.experts = nn.ModuleList(FeedForward(config) for _ in range(n_experts))
        self.routing: tuple[Tensor, Tensor] | None = None  # of the last forward pass: probabilities, choices

    def forward(self, x: Float[Tensor, "B T C"]) -> Float[Tensor, "B T C"]:
        flat = x.flatten(0, 1)  # (N, C)
        probabilities = self.router(flat).float().softmax(dim=-1)  # (N, E)
        gates, chosen = probabilities.topk(self.top_k, dim=-1)  # (N, K), (N, K)
        self.routing = probabilities, chosen
        if self.top_k > 1:
            gates = gates / gates.sum(dim=-1, keepdim=True)
        out = torch.zeros_like(flat)
        for number, expert in enumerate(self.experts):  # called with no position, too: every parameter has a gradient
            position, place = (chosen == number).nonzero(as_tuple=True)  # who chose it, and as which of their K
            answer = expert(flat[None, position])[0] * gates[position, place, None]  # (n, C)
            out = out.index_add(0, position, answer.to(out.dtype))
        return out.view_as(x)

    def __getstate__(self) -> dict[str, Any]:
        """What a copy takes along: not the graph of the last forward pass, which cannot be copied."""
        return self.__dict__ | {"routing": None}


def balance_loss(probabilities: Float[Tensor, "N E"], chosen: Int[Tensor, "N K"]) -> Float[Tensor, ""]:
    """How unevenly the experts are used: 1 when evenly."""
    n_experts = probabilities.shape[-1]
    share = chosen.flatten().bincount(minlength=n_experts) / chosen.numel()  # f, (E,)
    return n_experts * (share * probabilities.mean(dim=0)).sum()


def mean_balance_loss(model: nn.Module) -> Float[Tensor, ""]:
    """The balance loss of the last forward pass, averaged over the model's layers of experts.

    Add about 0.01 of it to the loss per token. Raises BadInput if the model has no such layer, or has not been run.
    """
    layers = [module for module in model.modules() if isinstance(module, MixtureOfExperts)]
    routings = [layer.routing for layer in layers if layer.routing is not None]
    if not routings:
        raise BadInput("No layer of experts has been run: put MixtureOfExperts into a block, and call the model first.")
    return torch.stack([balance_loss(*routing) for routing in routings]).mean()
