"""An average of the weights over the steps, which forgets: half of it comes from the last `half_life` of them.

    average(t) = Σ_{s ≤ t} β^(t-s) w(s) / Σ_{s ≤ t} β^(t-s)              β = ½^(1 / half_life),  s = 1 … t
               = average(t-1) + (w(t) - average(t-1)) · (1-β) / (1-β^t)

The divisor 1-β^t is the warm-up: the average begins as the first trained weights and is never pulled to the random ones
of the start, so that a run shorter than the half-life has the mean of its steps. What weight a step has is computed
from its number, never kept. Sources: Polyak and Juditsky 1992; the correction, Kingma and Ba 2015, §3.
"""

import contextlib
import math
from collections.abc import Iterator

import torch
from torch import Tensor, nn

from insideout.training.distributed import forget_gathered


class EMA:
    """The averaged copy of a model's trainable weights, in at least 32 bits. Buffers are not averaged."""

    def __init__(self, model: nn.Module, half_life: float):
        self.model, self.half_life = model, half_life
        self.pairs: dict[str, tuple[Tensor, Tensor]] = {}  # name: (the model's own, its average)
        for name, parameter in model.named_parameters():
            if parameter.requires_grad:
                wide = torch.promote_types(parameter.dtype, torch.float32)
                self.pairs[name] = (parameter, torch.zeros_like(parameter, dtype=wide, requires_grad=False))

    def tensors(self) -> dict[str, Tensor]:
        """The averages by name, not copies."""
        return {name: average for name, (_, average) in self.pairs.items()}

    @torch.no_grad()
    def update(self, step: int) -> None:
        """Take in the weights as they are after update number `step`, counted from 1."""
        share = newest_share(step, self.half_life)
        for own, average in self.pairs.values():
            average.lerp_(own.to(average.dtype), share)

    @contextlib.contextmanager
    def in_use(self) -> Iterator[None]:
        """Inside, the model has the averaged weights; afterwards its own, to the bit."""
        with torch.no_grad():
            kept = [own.clone() for own, _ in self.pairs.values()]
            try:
                for own, average in self.pairs.values():
                    own.copy_(average)
                forget_gathered(self.model)
                yield
            finally:
                for (own, _), before in zip(self.pairs.values(), kept, strict=True):
                    own.copy_(before)
                forget_gathered(self.model)


def newest_share(step: int, half_life: float) -> float:
    """How much of the average is the newest weights: 1 at the first step, in the end 1 - β."""
    return math.expm1(-math.log(2) / half_life) / math.expm1(-math.log(2) * step / half_life)
