"""How a model is trained: every number the loop needs, checked before anything is written.

Used from book/2-building-a-transformer on. Imports no torch, so that help texts are quick.
"""

import math
from dataclasses import dataclass
from typing import Literal

from insideout.errors import BadInput


@dataclass(frozen=True)
class TrainConfig:
    """Settings of one training run."""

    steps: int = 2000
    """How many times the weights are updated."""
    batch_size: int = 32
    """Sequences in one forward pass, on each device; with parallel tensor, on all of them together."""
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
    """Under torchrun, each device has a copy of the model (ddp), slices of weights (fsdp) or some heads (tensor)."""
    eval_every: int = 100
    """Steps between measurements on held-out data. 0: only after the last step."""
    checkpoint_every: int = 500
    """Steps between checkpoints. 0: only after the last step and on Ctrl-C."""
    early_stop_patience: int = 0
    """Stop after this many measurements on held-out data without a new best. 0: never."""
    checkpoint_activations: bool = False
    """Recompute activations in the backward pass instead of keeping them: less memory, about a third slower."""
    seed: int = 0
    """Decides the batches and the dropout of every step."""

    def __post_init__(self) -> None:
        for name in ("steps", "batch_size", "accumulation"):
            self._require(name, getattr(self, name) >= 1, "at least 1")
        for name in ("lr", "muon_lr"):
            value = getattr(self, name)
            self._require(name, math.isfinite(value) and value > 0, "a finite number above 0")
        self._require("min_lr", 0 <= self.min_lr <= self.lr, f"between 0 and lr ({self.lr})")
        self._require("warmup_steps", 0 <= self.warmup_steps <= self.steps, f"between 0 and steps ({self.steps})")
        for name in ("weight_decay", "clip"):
            value = getattr(self, name)
            self._require(name, math.isfinite(value) and value >= 0, "a finite number, at least 0")
        for name in ("beta1", "beta2"):
            self._require(name, 0 <= getattr(self, name) < 1, "at least 0 and less than 1")
        for name in ("eval_every", "checkpoint_every", "early_stop_patience", "seed"):
            self._require(name, getattr(self, name) >= 0, "at least 0")
        choices = {
            "decay": ("cosine", "linear"),
            "optimizer": ("adamw", "muon"),
            "precision": ("auto", "float32", "bfloat16", "float16"),
            "parallel": ("ddp", "fsdp", "tensor"),
        }
        for name, allowed in choices.items():
            self._require(name, getattr(self, name) in allowed, "one of " + ", ".join(allowed))

    def _require(self, name: str, holds: bool, what: str) -> None:
        if not holds:
            raise BadInput(f"{name} is {getattr(self, name)}; it must be {what}.")
