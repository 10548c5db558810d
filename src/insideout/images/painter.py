"""From a sentence to a picture: an encoder of words and a diffusion transformer that reads them, trained as one.

    words = encoder(ids)                           (B, L, W), and which of them are words and not pads
    data = dit(x_t, t, text=words)                 each patch looks for the words that concern it, by cross-attention
    velocity = (data − x_t) / (1 − t)              on the straight path; divided by no less than 0.05

What the transformer gives is the picture that it believes in. A scene is flat and simple, and so is that; a velocity
holds the noise too, every number of a patch of it, which a narrow model would have to carry through all its layers.

Some captions are dropped while it learns, so that one model knows scenes and what all of them have in common, and can
be guided. A caption that says nothing is pads alone. The encoder learns together with what reads it; that of CLIP
learned by itself before, from many more texts than there are pictures to draw.
Shapes: B pictures, L words. Taught in book/5-from-noise-to-images/09_text_conditioning.md. Sources: Rombach et al.
2022, §3.3 (cross-attention to a text); Saharia et al. 2022 (Imagen), §2.2 (guidance by a text that is dropped); Li and
He 2025, §4 (pictures predicted, velocities compared).
"""

from collections.abc import Mapping, Sequence

import torch
from jaxtyping import Bool, Float, Int64
from torch import Tensor, nn

from insideout.checks import whole
from insideout.data.pictures.captions import Caption, encode
from insideout.errors import BadInput
from insideout.images.config import DiTConfig
from insideout.images.dit import DiT
from insideout.images.flow import Loss, noise_for, squared_error
from insideout.images.guidance import guided
from insideout.images.paths import LINEAR
from insideout.images.solvers import Field, Solution, Solver, solve
from insideout.images.text_encoder import CLIPConfig, TextEncoder
from insideout.images.time_sampling import logit_normal
from insideout.training.optimizers import Role

__all__ = ["NEAREST", "Painter", "draw_captions", "painter_loss"]

NEAREST = 0.05
"""The least that is left of the way to the data, where a difference is divided by it."""


class Painter(nn.Module):
    """Velocities of noisy pictures, from their times and captions."""

    def __init__(self, dit: DiTConfig, words: CLIPConfig) -> None:
        """Raises BadInput where the transformer reads no texts, or others than the encoder writes."""
        super().__init__()
        if dit.text_width != words.d_model:
            raise BadInput(
                f"The words' vectors have width {words.d_model} and the model of pictures reads {dit.text_width}: "
                "give its text_width the width of the words."
            )
        self.dit, self.words = DiT(dit), TextEncoder(words)

    @property
    def n_parameters(self) -> int:
        """How many numbers it learns."""
        return sum(parameter.numel() for parameter in self.parameters())

    def parameter_roles(self) -> dict[str, Role]:
        """As the diffusion transformer says."""
        return {f"dit.{name}": role for name, role in self.dit.parameter_roles().items()}

    def forward(
        self, x: Float[Tensor, "B channels H W"], t: Float[Tensor, " B"], ids: Int64[Tensor, "B L"] | None = None
    ) -> Float[Tensor, "B channels H W"]:
        """The velocity of each picture at its time. Without ids it is told nothing."""
        text, mask = (None, None) if ids is None else self.words(ids)
        return self.velocity(x, t, text, mask)

    def velocity(
        self,
        x: Float[Tensor, "B channels H W"],
        t: Float[Tensor, " B"],
        text: Float[Tensor, "B L words"] | None = None,
        mask: Bool[Tensor, "B L"] | None = None,
    ) -> Float[Tensor, "B channels H W"]:
        """The same, from the vectors of the words."""
        data = self.dit(x, t, text=text, text_mask=mask)
        return (data - x) / (1 - t).clamp(min=NEAREST)[:, None, None, None]

    def field(self, text: Tensor | None = None, mask: Tensor | None = None) -> Field:
        """Its velocity field for pictures of these texts, or of none, for the solvers."""
        return lambda x, t: self.velocity(x, t, text, mask)


def painter_loss(mean: float = 0.0, deviation: float = 1.0) -> Loss:
    """The loss for insideout.training: a batch holds pictures (B, C, H, W) and captions' ids (B, L), pads for nothing.

    Times are logit-normal; a mean below 0 is nearer the noise, where the caption decides what x_t does not yet show.
    Gives (Σ over pictures of the mean square, how many pictures, {metric: (Σ, count)}).
    """

    def loss(model: nn.Module, batch: Mapping[str, Tensor]) -> tuple[Tensor, Tensor, dict[str, tuple[Tensor, Tensor]]]:
        data = batch["pictures"]
        t = logit_normal(len(data), mean, deviation).clamp(max=1 - NEAREST).to(data.device)
        error = squared_error(model, data, torch.randn_like(data), t, LINEAR, {"ids": batch["ids"]})  # (B,)
        near_data, seen = t >= 0.5, error.detach()
        found = {
            "loss_near_noise": (seen[~near_data].sum(), (~near_data).sum()),
            "loss_near_data": (seen[near_data].sum(), near_data.sum()),
        }
        return error.sum(), torch.tensor(len(data)), found

    return loss


@torch.no_grad()
def draw_captions(
    model: Painter, captions: Sequence[str | Caption], *, n_steps: int = 20, solver: Solver = "heun",
    guidance: float = 1.0, interval: tuple[float, float] = (0.0, 1.0), seed: int = 0, keep_trajectory: bool = False,
) -> Solution:  # fmt: skip
    """A picture of each caption, drawn from noise; an empty one says nothing.

    Picture i begins with the same noise whatever the others, the guidance and the steps. Raises BadInput for an unknown
    word or another order of words, no captions, a number of steps below 1, or a guidance that is no number.
    """
    if isinstance(captions, str) or not captions:
        raise BadInput("There is no picture to draw: give at least one caption.")
    if not 1 <= whole("steps", n_steps, 0) <= 10_000:
        raise BadInput(f"steps is {n_steps}: it must lie between 1 and 10,000.")
    device = next(model.parameters()).device
    ids = torch.tensor(encode(captions), device=device)
    was_training = model.training
    model.eval()
    text, mask = model.words(ids)  # once for all steps
    field = guided(model.field(text, mask), model.field(), guidance, interval)
    config = model.dit.config
    start = noise_for(len(ids), (config.channels, config.size, config.size), seed).to(device)
    try:
        return solve(field, start, n_steps, solver, keep_trajectory=keep_trajectory)
    finally:
        model.train(was_training)
