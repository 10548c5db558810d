"""An outside reference for part 1: the same transformer in torch float64, written from the equations.

It shares no code with `insideout.gradients`; torch's autograd finds the gradients. Needs torch.
Used by book/1-understanding-gradients/08_gradient_of_the_loss.md and 09_backpropagation.md, and by the tests.
"""

import math
from collections.abc import Mapping, Sequence

import torch
from torch import Tensor
from torch.nn import functional as F

from insideout.gradients import Config, Parameter, Parameters


def torch_loss_and_gradients(
    params: Mapping[str, Parameter], ids: Sequence[int], config: Config, targets: Sequence[int | None]
) -> tuple[float, Parameters]:
    """(loss, {name: gradient as nested lists}) by torch's autograd; parameters are lists as the library has them."""
    p = {name: torch.tensor(value, dtype=torch.float64, requires_grad=True) for name, value in params.items()}

    def norm(x: Tensor, name: str) -> Tensor:
        return F.layer_norm(x, (x.shape[-1],), p[name + ".gain"], p[name + ".bias"], eps=1e-5)

    t, h = len(ids), config.n_heads
    x = p["token_embedding"][torch.tensor(list(ids))] + p["position_embedding"][:t]
    future = torch.ones(t, t, dtype=torch.bool).triu(1)
    for i in range(config.n_layers):
        layer = f"layers.{i}."
        y = norm(x, layer + "norm_1")
        q, k, v = ((y @ p[f"{layer}attention.{n}"]).view(t, h, -1).transpose(0, 1) for n in ("query", "key", "value"))
        scores = (q @ k.transpose(1, 2) / math.sqrt(q.shape[-1])).masked_fill(future, -math.inf)
        z = (scores.softmax(-1) @ v).transpose(0, 1).reshape(t, -1)
        x = x + z @ p[layer + "attention.output"]
        hidden = norm(x, layer + "norm_2") @ p[layer + "feed_forward.up"] + p[layer + "feed_forward.up_bias"]
        x = x + F.gelu(hidden) @ p[layer + "feed_forward.down"] + p[layer + "feed_forward.down_bias"]
    logits = norm(x, "final_norm") @ p["lm_head"]
    wanted = [(i, target) for i, target in enumerate(targets) if target is not None]
    if not wanted:  # nothing is predicted: loss 0 and gradients 0, by definition
        return 0.0, {name: torch.zeros_like(value).tolist() for name, value in p.items()}
    rows, answers = (list(part) for part in zip(*wanted, strict=True))
    loss = F.cross_entropy(logits[rows], torch.tensor(answers))
    loss.backward()  # type: ignore[no-untyped-call]
    gradients = {name: value.grad for name, value in p.items()}
    return loss.item(), {name: gradient.tolist() for name, gradient in gradients.items() if gradient is not None}
