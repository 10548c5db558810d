"""AdamW and Muon, which parameter gets which, and their state as a flat dict of tensors.

    AdamW   m ← β₁m + (1-β₁)g     v ← β₂v + (1-β₂)g²     w ← w - lr·wd·w - lr·m̂ / (√v̂ + ε)
    Muon    m ← 0.95m + 0.05g     w ← w - lr·wd·w - lr·√max(1, rows/columns) · orthogonal(0.05g + 0.95m)

Muon replaces the update of a hidden matrix by the nearest matrix whose singular values are all about 1, so that
no direction is left behind. Embeddings, heads and vectors are not such maps; they stay with AdamW.
Used from book/2-building-a-transformer on. Sources: Loshchilov and Hutter 2019; Jordan 2024, "Muon: an optimizer
for hidden layers in neural networks".
"""

from collections import defaultdict
from collections.abc import Callable, Mapping
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor, nn

from insideout.errors import BadInput
from insideout.training.config import TrainConfig
from insideout.training.distributed import like, whole

HEADS = ("head", "lm_head", "output_head", "unembedding")


def orthogonalise(matrices: Float[Tensor, "N R C"], steps: int = 5) -> Float[Tensor, "N R C"]:
    """U Vᵀ of each matrix U S Vᵀ, nearly: Newton-Schulz moves the singular values towards 1.

    Those above 1/500 of the matrix's Frobenius norm end between 0.68 and 1.21, smaller ones lower: 0.001 of the norm
    ends at 0.47, 0.0001 at 0.05.

    The polynomial aX + b(XXᵀ)X + c(XXᵀ)²X acts on the singular values alone. Its slope a at 0 is steep, which
    lifts small ones fast, at the price of never settling exactly on 1 (Jordan 2024).
    """
    a, b, c = 3.4445, -4.7750, 2.0315
    x = matrices.bfloat16() if matrices.is_cuda else matrices
    tall = x.shape[-2] > x.shape[-1]
    if tall:
        x = x.mT  # (N, C, R): X Xᵀ is then the smaller of the two products
    x = x / (x.norm(dim=(-2, -1), keepdim=True) + 1e-7)  # no singular value above 1
    for _ in range(steps):
        gram = x @ x.mT
        x = a * x + (b * gram + c * gram @ gram) @ x
    return (x.mT if tall else x).to(matrices.dtype)


class Muon(torch.optim.Optimizer):
    """Momentum, orthogonalised. For 2-D hidden weights only."""

    def __init__(self, params: Any, lr: float = 0.02, weight_decay: float = 0.0, momentum: float = 0.95):
        super().__init__(params, {"lr": lr, "weight_decay": weight_decay, "momentum": momentum})

    @torch.no_grad()
    def step(self, closure: Callable[[], float] | None = None) -> None:  # type: ignore[override]
        for group in self.param_groups:
            same_shape: dict[torch.Size, list[Tensor]] = defaultdict(list)
            for parameter in group["params"]:
                if parameter.grad is not None:
                    same_shape[parameter.shape].append(parameter)
            for parameters in same_shape.values():  # equal shapes go through Newton-Schulz together
                self._move(parameters, group)

    def _move(self, parameters: list[Tensor], group: dict[str, Any]) -> None:
        """One step of several matrices of one shape."""
        directions = torch.stack([whole(self._direction(p, group["momentum"])) for p in parameters])  # (N, R, C)
        scale = max(1.0, directions.shape[1] / directions.shape[2]) ** 0.5
        for parameter, update in zip(parameters, orthogonalise(directions), strict=True):
            parameter.mul_(1 - group["lr"] * group["weight_decay"])
            parameter.add_(like(update, parameter), alpha=-group["lr"] * scale)

    def _direction(self, parameter: Tensor, beta: float) -> Tensor:
        """Nesterov's look ahead: the momentum after this gradient, and this gradient once more."""
        state = self.state[parameter]
        if "momentum" not in state:
            state["momentum"] = torch.zeros_like(parameter)
        assert parameter.grad is not None
        state["momentum"].lerp_(parameter.grad, 1 - beta)
        return torch.lerp(parameter.grad, state["momentum"], beta)


class Optimizers:
    """The one or two optimizers of a run, moved by one schedule and stored by parameter name."""

    def __init__(self, model: nn.Module, config: TrainConfig):
        self.config = config
        self.names: dict[Tensor, str] = {
            parameter: name for name, parameter in model.named_parameters() if parameter.requires_grad
        }
        if not self.names:
            raise BadInput("The model has no trainable parameter: unfreeze at least one.")
        hidden, decayed, kept = parameter_groups(model)
        if config.optimizer == "adamw":
            hidden, decayed = [], hidden + decayed
        groups = [
            {"params": decayed, "weight_decay": config.weight_decay},
            {"params": kept, "weight_decay": 0.0},
        ]
        groups = [group for group in groups if group["params"]]
        self.parts: list[torch.optim.Optimizer] = []
        if groups:
            betas = (config.beta1, config.beta2)
            fused = all(p.device.type in ("cpu", "cuda") for p in self.names)
            self.parts.append(torch.optim.AdamW(groups, lr=config.lr, betas=betas, eps=1e-8, fused=fused))
        if hidden:
            self.parts.append(Muon(hidden, lr=config.muon_lr, weight_decay=config.weight_decay))

    def set_lr(self, lr: float) -> None:
        """AdamW gets `lr`; Muon gets its own rate, scaled by the same factor."""
        for part in self.parts:
            for group in part.param_groups:
                group["lr"] = lr * self.config.muon_lr / self.config.lr if isinstance(part, Muon) else lr

    def step(self) -> None:
        for part in self.parts:
            part.step()

    def zero_grad(self) -> None:
        for part in self.parts:
            part.zero_grad(set_to_none=True)

    def tensors(self) -> dict[str, Tensor]:
        """All state, under "parameter name/quantity"; cut over the processes as its parameter is."""
        return {
            f"{self.names[parameter]}/{quantity}": value
            for part in self.parts
            for parameter, state in part.state.items()
            for quantity, value in state.items()
        }

    def load_tensors(self, tensors: Mapping[str, Tensor]) -> None:
        """Put back what `tensors` gave, in place of the present state."""
        for key, place in self.blank(tensors).items():
            place.copy_(like(tensors[key], place))

    def blank(self, tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
        """Replace the present state by zeros of these names and shapes, and give them, to be filled in place.

        Of `tensors` only names and shapes count. BadInput, and nothing replaced, when one does not fit.
        """
        owner = {p: part for part in self.parts for group in part.param_groups for p in group["params"]}
        parameters = {name: parameter for parameter, name in self.names.items()}
        found: list[tuple[str, Tensor, str]] = []
        for key, value in tensors.items():
            name, _, quantity = key.rpartition("/")
            if name not in parameters:
                raise BadInput(f"The optimizer's state has {key}, but the model has no parameter {name}.")
            parameter = parameters[name]
            expected = ("momentum",) if isinstance(owner[parameter], Muon) else ("step", "exp_avg", "exp_avg_sq")
            if quantity not in expected or (quantity != "step" and value.shape != parameter.shape):
                raise BadInput(f"The optimizer's state {key} {tuple(value.shape)} does not fit this optimizer.")
            found.append((key, parameter, quantity))
        for part in self.parts:
            part.state.clear()
        blank: dict[str, Tensor] = {}
        for key, parameter, quantity in found:
            if quantity == "step":
                zeros = torch.zeros((), dtype=tensors[key].dtype, device=parameter.device)
            else:
                zeros = torch.zeros_like(parameter)
            owner[parameter].state[parameter][quantity] = blank[key] = zeros
        return blank


def parameter_groups(model: nn.Module) -> tuple[list[Tensor], list[Tensor], list[Tensor]]:
    """The trainable parameters as (hidden matrices, other decayed ones, not decayed ones)."""
    embeddings = {p for module in model.modules() if isinstance(module, nn.Embedding) for p in module.parameters()}
    hidden: list[Tensor] = []
    decayed: list[Tensor] = []
    kept: list[Tensor] = []
    for name, parameter in model.named_parameters():
        if not parameter.requires_grad:
            continue
        if parameter.ndim < 2 or parameter in embeddings:
            kept.append(parameter)
        elif parameter.ndim == 2 and not set(name.split(".")) & set(HEADS):
            hidden.append(parameter)
        else:
            decayed.append(parameter)
    return hidden, decayed, kept
