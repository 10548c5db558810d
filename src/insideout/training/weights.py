"""Which tensors of a model a checkpoint holds, and what it must know of the others.

A model that is trained as a whole is stored as a whole. Where some of its parameters are frozen (a base model under
its adapters), only what is trained is stored: megabytes in place of gigabytes. Of the frozen rest, the base, a
fingerprint is kept, so that the trained part is never put beside another base.
"""

import hashlib
from collections.abc import Mapping

import torch
from torch import Tensor, nn

from insideout.errors import BadInput
from insideout.training.distributed import like, whole


def model_tensors(model: nn.Module) -> dict[str, Tensor]:
    """The model's own weights by name, not copies; one that is used under two names is there once, under the first."""
    tensors: dict[str, Tensor] = {}
    seen: set[Tensor] = set()
    for name, tensor in model.state_dict(keep_vars=True).items():
        if tensor not in seen:
            seen.add(tensor)
            tensors[name] = tensor
    return tensors


def trained_tensors(model: nn.Module) -> dict[str, Tensor]:
    """Those that a checkpoint holds, by name, not copies.

    All, if no parameter is frozen; else the trainable ones, and the buffers of modules that have such of their own.
    """
    tensors = model_tensors(model)
    if not any_frozen(model):
        return tensors

    def trained(name: str, tensor: Tensor) -> bool:
        if isinstance(tensor, nn.Parameter):
            return tensor.requires_grad
        owner = model.get_submodule(name.rpartition(".")[0])
        return any(parameter.requires_grad for parameter in owner.parameters(recurse=False))

    return {name: tensor for name, tensor in tensors.items() if trained(name, tensor)}


def any_frozen(model: nn.Module) -> bool:
    """Is there a parameter that is not trained?"""
    return not all(parameter.requires_grad for parameter in model.parameters())


def load_model(model: nn.Module, tensors: Mapping[str, Tensor]) -> None:
    """Copy the weights into the model. A name or a shape that does not fit: BadInput, and nothing is copied."""
    copy(fitting(model, tensors), tensors)


def fitting(model: nn.Module, tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """The model's own weights, or its trained ones, if `tensors` has the same names and shapes; else BadInput."""
    own = trained_tensors(model)
    if own.keys() != tensors.keys() and any_frozen(model):
        everything = model_tensors(model)
        own = everything if everything.keys() == tensors.keys() else own
    odd = sorted(own.keys() ^ tensors.keys())
    odd += [
        name
        for name in own
        if name in tensors
        and (
            own[name].shape != tensors[name].shape or own[name].is_floating_point() != tensors[name].is_floating_point()
        )
    ]
    if odd:
        raise BadInput(
            f"The checkpoint is of another model: {odd[0]} is missing or of another shape "
            f"({len(odd)} such in all). Use the settings that the run was started with."
        )
    return {name: tensor.detach() for name, tensor in own.items()}


def same_names(own: Mapping[str, Tensor], found: Mapping[str, Tensor]) -> None:
    """Are these averages of those weights? Else BadInput."""
    odd = sorted(own.keys() ^ found.keys()) + [n for n in own if n in found and own[n].shape != found[n].shape]
    if odd:
        raise BadInput(f"The checkpoint's averaged weights are of another model: {odd[0]} is missing or does not fit.")


def copy(places: Mapping[str, Tensor], found: Mapping[str, Tensor]) -> None:
    """Copy tensors into those of the same names."""
    with torch.no_grad():
        for name, tensor in places.items():
            tensor.copy_(like(found[name], tensor))


class Base:
    """The frozen weights that something is trained beside, watched so that they stay what they are."""

    def __init__(self, model: nn.Module):
        self.model = model
        self.look()

    def look(self) -> None:
        """Take the frozen weights as they are now; under several processes all must call it together."""
        trained = trained_tensors(self.model)
        self.tensors = {name: t for name, t in model_tensors(self.model).items() if name not in trained}
        self.fingerprint = fingerprint(self.tensors) if self.tensors else None
        """None where everything is trained."""
        self.versions = {name: tensor._version for name, tensor in self.tensors.items()}

    def unchanged(self) -> str | None:
        """The fingerprint, or BadInput if a frozen weight is not what it was: the checkpoint would not hold it."""
        now = {name: t for name, t in model_tensors(self.model).items() if name in self.tensors}
        touched = [n for n, t in self.tensors.items() if now.get(n) is not t or t._version != self.versions[n]]
        if touched and fingerprint(now) != self.fingerprint:
            raise BadInput(
                f"{touched[0]} is frozen and yet has changed while training, so that a checkpoint of what is trained "
                "would not be whole: unfreeze it, or leave it alone."
            )
        return self.fingerprint


def fingerprint(tensors: Mapping[str, Tensor]) -> str:
    """A hash of names, dtypes, shapes and every bit; the same on each device and however they are sliced."""
    digest = hashlib.blake2b(digest_size=16)
    for name, tensor in sorted(tensors.items()):
        digest.update(f"{name} {tensor.dtype} {tuple(tensor.shape)}\n".encode())
        flat = whole(tensor.detach()).cpu().contiguous().flatten()
        digest.update(flat.view(torch.uint8).numpy().data)
    return digest.hexdigest()
