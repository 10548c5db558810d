"""AdamW and Muon, which parameter gets which, and their state as a flat dict of tensors.

    AdamW   m ← β₁m + (1-β₁)g     v ← β₂v + (1-β₂)g²     w ← w - lr·wd·w - lr·m̂ / (√v̂ + ε)
    Muon    m ← 0.95m + 0.05g     w ← w - lr·wd·w - lr·√max(1, rows/columns) · orthogonal(0.05g + 0.95m)

Muon replaces the update of a hidden matrix by nearly the nearest matrix whose singular values are all 1, so that only
the weakest directions are left behind. Embeddings, heads and vectors are not such maps; they stay with AdamW. Which
parameter is what, a module says by a method `parameter_roles()`; `roles` is what holds where none does.
Taught in book/2-building-a-transformer/07_training.md. Sources: Loshchilov and Hutter 2019; Jordan 2024, "Muon: an
optimizer for hidden layers in neural networks".
"""

from collections import defaultdict
from collections.abc import Callable, Collection, Mapping
from typing import Any, Literal, get_args

import torch
from jaxtyping import Float
from torch import Tensor, nn

from insideout.errors import BadInput
from insideout.training.config import TrainConfig
from insideout.training.distributed import like, whole

Role = Literal["hidden", "decayed", "undecayed"]
"""hidden: a matrix between hidden layers, for Muon, and decayed; decayed and undecayed: for AdamW."""


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
        of: dict[Role, list[Tensor]] = {"hidden": [], "decayed": [], "undecayed": []}
        role = roles(model)
        for parameter, name in self.names.items():
            of[role[name]].append(parameter)
        hidden = of["hidden"] if config.optimizer == "muon" else []
        if config.optimizer == "muon" and not hidden:
            raise BadInput(
                f"optimizer is muon, and {type(model).__name__} has no hidden matrix to train: choose adamw, or give "
                "it a method parameter_roles."
            )
        decayed = of["decayed"] if hidden else of["hidden"] + of["decayed"]
        groups = [
            {"params": decayed, "weight_decay": config.weight_decay},
            {"params": of["undecayed"], "weight_decay": 0.0},
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

    def without_state(self) -> list[str]:
        """The parameters that have none yet, since no gradient ever reached them."""
        moved = {parameter for part in self.parts for parameter, state in part.state.items() if state}
        return sorted(name for parameter, name in self.names.items() if parameter not in moved)

    def load_tensors(self, tensors: Mapping[str, Tensor], without_state: Collection[str] = ()) -> None:
        """Put back what `tensors` gave, in place of the present state."""
        for key, place in self.blank(tensors, without_state).items():
            place.copy_(like(tensors[key], place))

    def blank(self, tensors: Mapping[str, Tensor], without_state: Collection[str] = ()) -> dict[str, Tensor]:
        """Replace the present state by zeros of these names and shapes, and give them, to be filled in place.

        Of `tensors` only names and shapes count. BadInput, and nothing replaced, when one does not fit or is missing;
        only the parameters named in `without_state` may have none.
        """
        owner = {p: part for part in self.parts for group in part.param_groups for p in group["params"]}
        parameters = {name: parameter for parameter, name in self.names.items()}
        needed = {
            f"{name}/{quantity}"
            for name, parameter in parameters.items()
            if name not in without_state
            for quantity in quantities(owner[parameter])
        }
        found: list[tuple[str, Tensor, str]] = []
        for key, value in tensors.items():
            name, _, quantity = key.rpartition("/")
            if name not in parameters:
                raise BadInput(f"The optimizer's state has {key}, but the model trains no parameter {name}.")
            parameter = parameters[name]
            shape = () if quantity == "step" else parameter.shape
            if quantity not in quantities(owner[parameter]) or value.shape != shape or not value.is_floating_point():
                raise BadInput(f"The optimizer's state {key} {tuple(value.shape)} does not fit this optimizer.")
            found.append((key, parameter, quantity))
        if missing := sorted(needed - tensors.keys()):
            raise BadInput(
                f"The optimizer's state lacks {missing[0]} ({len(missing)} such in all): the checkpoint is damaged. "
                "Remove its folder to go on from the one before it."
            )
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


def quantities(part: torch.optim.Optimizer) -> tuple[str, ...]:
    """What an optimizer remembers of each parameter."""
    return ("momentum",) if isinstance(part, Muon) else ("step", "exp_avg", "exp_avg_sq")


def roles(model: nn.Module) -> dict[str, Role]:
    """The role of each parameter, by name.

    A module may say it of the parameters below it, by a method `parameter_roles() -> {name: role}`, its names counted
    from itself; what a module says goes before what one inside it says. Of the others, vectors and embeddings are
    undecayed, the matrices of a layer in an nn.ModuleList are hidden, and the rest (heads, projections into and out of
    the model) are decayed. Raises BadInput for a name or a role that is not there.
    """
    found: dict[str, Role] = {}
    embeddings = {p for module in model.modules() if isinstance(module, nn.Embedding) for p in module.parameters()}
    layers = {
        parameter
        for module in model.modules()
        if isinstance(module, nn.ModuleList)
        for parameter in module.parameters()
    }
    for name, parameter in model.named_parameters():
        if parameter.ndim < 2 or parameter in embeddings:
            found[name] = "undecayed"
        else:
            found[name] = "hidden" if parameter.ndim == 2 and parameter in layers else "decayed"
    names = {parameter: name for name, parameter in model.named_parameters()}
    for path, module in reversed(list(model.named_modules())):  # from the inside out
        if hasattr(module, "parameter_roles"):
            own = dict(module.named_parameters(remove_duplicate=False))
            for name, role in module.parameter_roles().items():
                if name not in own or role not in get_args(Role) or (role == "hidden" and own[name].ndim != 2):
                    raise BadInput(
                        f"{type(module).__name__}{f' at {path}' if path else ''} says that its parameter {name} is "
                        f"{role}: it must be one of its parameters, and " + ", ".join(get_args(Role)) + " (hidden for "
                        "matrices alone)."
                    )
                found[names[own[name]]] = role
    return found
