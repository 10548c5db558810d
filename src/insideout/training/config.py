"""How a model is trained: every number the loop needs, checked before anything is written.

Used from book/2-building-a-transformer on. Imports no torch, so that help texts are quick.
"""

import sys
from dataclasses import dataclass
from types import NoneType, UnionType
from typing import Any, Literal, TypeVar, get_args, get_origin, get_type_hints

from insideout.errors import BadInput

MOST = 10**9
"""No run has so many steps, and no batch so many examples."""
FASTEST = 1000
"""With such a learning rate every run diverges."""
SHORTEST = 1e-4
"""A gradient that is clipped to less than this is lost in AdamW's epsilon."""
LATER = {"later": True}
"""Marks a field that is younger than trained models: at its default it enters no fingerprint, so theirs stay."""


@dataclass(frozen=True)
class TrainConfig:
    """Settings of one training run."""

    steps: int = 2000
    """How many times the weights are updated."""
    batch_size: int = 32
    """Examples in one forward pass, on each device; with parallel tensor, on all of them together."""
    accumulation: int = 1
    """Forward passes whose gradients are added up before one update."""
    lr: float = 1e-3
    """Highest learning rate of AdamW; with muon, of everything that is not a hidden matrix."""
    min_lr: float = 1e-4
    """Learning rate at the last step. Muon's rate falls by the same factor."""
    warmup_steps: int = 100
    """Steps over which the learning rate rises from 0 in a straight line."""
    decay: Literal["cosine", "linear"] = "cosine"
    """Shape of the way down from lr to min_lr."""
    optimizer: Literal["adamw", "muon"] = "adamw"
    """AdamW for everything, or Muon for hidden matrices and AdamW for the rest."""
    muon_lr: float = 0.02
    """Highest learning rate of Muon, in units of an update whose singular values are about 1."""
    weight_decay: float = 0.1
    """Each step shrinks the matrices by lr times this. Vectors and embeddings are not shrunk."""
    beta1: float = 0.9
    """How much of the running mean of the gradient AdamW keeps from step to step."""
    beta2: float = 0.95
    """How much of the running mean of the squared gradient AdamW keeps from step to step."""
    clip: float = 1.0
    """Longest gradient allowed; a longer one is scaled down to this norm. 0: no clipping."""
    precision: Literal["auto", "float32", "bfloat16", "float16"] = "auto"
    """Number format of the matrix products. auto: bfloat16 where this device is measured to be faster with it."""
    compile: bool = False
    """Compile the model with torch.compile: slow to start, faster from then on."""
    parallel: Literal["ddp", "fsdp", "tensor"] = "ddp"
    """Under torchrun, each device has a copy of the model (ddp), slices of weights (fsdp) or of layers (tensor)."""
    eval_every: int = 100
    """Steps between measurements on held-out data. 0: only after the last step."""
    checkpoint_every: int = 500
    """Steps between checkpoints. 0: only after the last step and on Ctrl-C."""
    early_stop_patience: int = 0
    """Stop after this many measurements on held-out data without a new best. 0: never."""
    ema_half_life: float = 0.0
    """Keep an average of the weights in which those of so many steps ago count half. 0: none."""
    checkpoint_activations: bool = False
    """Recompute activations in the backward pass instead of keeping them: less memory, about a third slower."""
    seed: int = 0
    """Decides the batches and the dropout of every step."""

    def __post_init__(self) -> None:
        check_types(self)
        for name in ("steps", "batch_size", "accumulation"):
            self._require(name, 1 <= getattr(self, name) <= MOST, f"at least 1, and at most {MOST:,}")
        for name in ("lr", "muon_lr"):
            self._require(name, 0 < getattr(self, name) <= FASTEST, f"above 0, and at most {FASTEST:,}")
            shrinks = getattr(self, name) * self.weight_decay
            self._require("weight_decay", shrinks <= 1, f"at most 1 / {name}: a step would turn every weight around")
        self._require("min_lr", 0 <= self.min_lr <= self.lr, f"between 0 and lr ({self.lr})")
        self._require("warmup_steps", 0 <= self.warmup_steps <= self.steps, f"between 0 and steps ({self.steps})")
        for name in ("weight_decay", "clip", "ema_half_life"):
            self._require(name, getattr(self, name) >= 0, "at least 0")
        words = f"0 (no clipping) or at least {SHORTEST:g}: AdamW makes no step of what is near 0"
        self._require("clip", self.clip == 0 or self.clip >= SHORTEST, words)
        for name in ("beta1", "beta2"):
            self._require(name, 0 <= getattr(self, name) < 1, "at least 0 and less than 1")
        for name in ("eval_every", "checkpoint_every", "early_stop_patience"):
            self._require(name, 0 <= getattr(self, name) <= MOST, f"at least 0, and at most {MOST:,}")
        self._require("seed", 0 <= self.seed < 2**64, "at least 0 and less than 2**64")

    def _require(self, name: str, holds: bool, what: str) -> None:
        if not holds:
            raise BadInput(f"{name} is {getattr(self, name)}; it must be {what}.")


Settings = TypeVar("Settings")


def check_types(settings: Any) -> None:
    """Does every field of a dataclass hold what its annotation says? BadInput names the first that does not."""
    for name, kind in get_type_hints(type(settings)).items():
        if not fits(getattr(settings, name), kind):
            raise BadInput(f"{name} is {str(getattr(settings, name))[:80]}; it must be {described(kind)}.")


def read_as(kind: type[Settings], values: Any, where: str) -> Settings:
    """The dataclass whose fields a JSON object holds. Raises BadInput, naming `where`, for anything else."""
    if not isinstance(values, dict):
        raise BadInput(f"{where} is {str(values)[:80]}; it must be an object with the fields of {kind.__name__}.")
    hints, found = get_type_hints(kind), {}
    for name, value in values.items():
        if name not in hints:
            raise BadInput(f"{where} has {name}, which this version of the library does not know.")
        if not fits(value, hints[name]):
            raise BadInput(f"{where} has {name} {str(value)[:80]}; it must be {described(hints[name])}.")
        found[name] = fitted(value, hints[name])
    try:
        return kind(**found)
    except BadInput as error:
        raise BadInput(f"{where}: {error}") from error


def fits(value: Any, kind: Any) -> bool:
    """Is the value of this type? A bool is no number, an int is a float too, and floats are finite."""
    try:
        fitted(value, kind)
    except TypeError:
        return False
    return True


def fitted(value: Any, kind: Any) -> Any:
    """The value as its type, an int as a float where one is wanted; TypeError where it is of another.

    Knows int, float, bool, str, None, Literal, and lists, dicts and unions of these.
    """
    origin, inner = get_origin(kind), get_args(kind)
    number = isinstance(value, int | float) and not isinstance(value, bool)
    if origin is Literal and type(value) is str and value in inner:
        return value
    if origin is dict and isinstance(value, dict):
        return {fitted(name, inner[0]): fitted(each, inner[1]) for name, each in value.items()}
    if origin is list and isinstance(value, list):
        return [fitted(each, inner[0]) for each in value]
    if origin is UnionType:
        return fitted(value, next((each for each in inner if fits(value, each)), inner[0]))
    if kind is float and number and abs(value) <= sys.float_info.max:
        return float(value)
    if (kind is int and number and isinstance(value, int)) or (kind in (bool, str, NoneType) and type(value) is kind):
        return value
    raise TypeError(kind)


def described(kind: Any) -> str:
    """A type for a sentence."""
    words = {int: "a whole number", float: "a finite number", bool: "true or false", str: "text", NoneType: "none"}
    origin, inner = get_origin(kind), get_args(kind)
    if origin is Literal:
        return "one of " + ", ".join(inner)
    if origin in (dict, list):
        return f"a {origin.__name__}, each {described(inner[-1])}"
    return words[kind] if kind in words else " or ".join(described(each) for each in inner)
