"""Which number format the matrix products use, decided by measuring, and the loss scale float16 needs.

Taught in book/2-building-a-transformer/08_memory_and_speed.md. Source: Micikevicius et al. 2018, §3.
"""

import contextlib
import time
from functools import lru_cache

import torch
from torch import nn

from insideout.errors import BadInput

WORTH_IT = 1.5
"""How many times faster bfloat16 must be before auto takes it: a model also does what matrix products cannot speed up,
and rounding to 16 bits costs time."""
HOPELESS = 5.0
"""Once warm, so many times slower than float32 is too slow to be looked at again: without instructions for bfloat16 a
pass can take a second and more."""


def choose(precision: str, device: torch.device) -> str:
    """The format to use: `precision` itself, or for "auto" the faster of float32 and bfloat16 on this device."""
    if precision == "float16" and device.type == "cpu":
        raise BadInput("precision is float16, which is for GPUs; on a CPU use bfloat16, float32 or auto.")
    if precision != "auto":
        return precision
    return "bfloat16" if bfloat16_speedup(str(device)) >= WORTH_IT else "float32"


@lru_cache
def bfloat16_speedup(device: str) -> float:
    """How many times faster a small network's forward and backward pass is in bfloat16. 0: not supported."""
    try:
        usual = _seconds(torch.device(device), "float32")
        return usual / _seconds(torch.device(device), "bfloat16", hopeless=HOPELESS * usual)
    except RuntimeError:
        return 0.0


def _seconds(device: torch.device, precision: str, hopeless: float = float("inf")) -> float:
    """Best of several passes, after two to warm up; the second alone where it took longer than `hopeless`.

    Leaves the random state as it was.
    """
    width, rows = (256, 1024) if device.type == "cpu" else (2048, 8192)  # enough work to keep a GPU busy
    with torch.random.fork_rng(devices=[device] if device.type == "cuda" else []):
        network = nn.Sequential(nn.Linear(width, 4 * width), nn.ReLU(), nn.Linear(4 * width, width)).to(device)
    x = torch.ones(rows, width, device=device)
    best = float("inf")
    for attempt in range(7):
        _wait(device)
        start = time.perf_counter()
        with autocast(precision, device):
            loss = network(x).sum()
        loss.backward()
        _wait(device)
        taken = time.perf_counter() - start
        if attempt >= 2:
            best = min(best, taken)
        elif attempt == 1 and taken > hopeless:
            return taken
    return best


def _wait(device: torch.device) -> None:
    if device.type == "cuda":
        torch.cuda.synchronize(device)
    elif device.type == "mps":
        torch.mps.synchronize()


def autocast(precision: str, device: torch.device) -> contextlib.AbstractContextManager[object]:
    """A context in which matrix products use `precision`; weights and sums stay as they are."""
    if precision == "float32":
        return contextlib.nullcontext()
    return torch.autocast(device.type, dtype=getattr(torch, precision))


class LossScale:
    """float16 loses gradients below 6e-8, so the loss is multiplied up before the backward pass.

    The factor is halved when a gradient overflows (that step is skipped) and doubled after `patience` good ones.
    Other formats need none: the factor stays 1.
    """

    def __init__(self, precision: str, patience: int = 2000):
        self.active = precision == "float16"
        self.value = 2.0**16 if self.active else 1.0
        self.good = 0
        self.patience = patience

    def update(self, finite: bool) -> None:
        if not self.active:
            return
        self.good = self.good + 1 if finite else 0
        if not finite:
            self.value /= 2
        elif self.good == self.patience:
            self.value, self.good = self.value * 2, 0
