"""How strong the leash is: the price β of a nat of KL, fixed, or moved until the policy lies as far away as is wanted.

    controller = AdaptiveKL(beta=0.1, target=6.0, horizon=10_000)
    ... train a batch at the price controller.beta, and measure its KL ...
    controller.update(kl, n=256)                    dearer if the policy is further away than the target, else cheaper

    e = clip((KL − target) / target, −0.2, 0.2)          β ← β (1 + e · n / horizon)

The KL is that of the batch that was just trained on, as the policy drew it, in nats: of whole answers if the target is.
Taught in book/3-fine-tuning-a-transformer/11_the_kl_leash.md. Source: Ziegler et al. 2019, §2.2, where n / horizon is
K = 0.1.
"""

from dataclasses import dataclass
from math import isfinite

from insideout.errors import BadInput
from insideout.finetuning.checks import check_positive
from insideout.transformer.generation.inputs import real, whole

__all__ = ["AdaptiveKL", "FixedKL"]

CLIP = 0.2
"""The most that an error counts, as a share of the target."""


@dataclass
class FixedKL:
    """A price that stays what it is; 0 is no leash. Raises BadInput for a β below 0."""

    beta: float

    def __post_init__(self) -> None:
        if real("beta", self.beta) < 0:
            raise BadInput(f"beta is {self.beta}: it must be at least 0, or going away from the reference is rewarded.")

    def update(self, kl: float, n: int) -> None:
        """Nothing is changed."""
        check_measured(kl, n)


@dataclass
class AdaptiveKL:
    """A price that follows the measured KL, in proportion to how far off it is, within bounds.

    `target` is in nats, `horizon` in answers: an error of the whole clip, kept up for one horizon, moves log β by about
    0.2. Raises BadInput unless all three are above 0.
    """

    beta: float
    target: float
    horizon: int

    def __post_init__(self) -> None:
        check_positive("beta", self.beta)
        check_positive("target", self.target)
        self.horizon = whole("horizon", self.horizon, 1)

    def update(self, kl: float, n: int) -> None:
        """Move the price after n answers whose mean KL, estimated, was `kl` nats; an estimate may be below 0.

        Raises BadInput for a KL that is not finite, and for more answers than the horizon has.
        """
        check_measured(kl, n)
        if n > self.horizon:
            raise BadInput(f"A batch of {n} answers is longer than the horizon, {self.horizon}: beta would jump.")
        error = min(max((kl - self.target) / self.target, -CLIP), CLIP)
        self.beta *= 1 + error * n / self.horizon


def check_measured(kl: float, n: int) -> None:
    """Raises BadInput for what no batch can have measured."""
    if not isfinite(kl):
        raise BadInput(
            f"The KL is {kl}: it is not finite, so that the policy has broken, or left its reference; stop here."
        )
    whole("n", n, 1)
