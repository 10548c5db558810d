"""From a sentence to a picture: an encoder of words and a diffusion transformer that reads them, trained as one.

    words = encoder(ids)                           (B, L, W), and which of them are words and not pads
    velocity = dit(x_t, t, text=words)             each patch looks for the words that concern it, by cross-attention

Some captions are dropped while it learns, so that one model knows scenes and what all of them have in common, and can
be guided. A caption that says nothing is pads alone. The encoder learns together with what reads it; that of CLIP
learned by itself before, from many more texts than there are pictures to draw.
Shapes: B pictures, L words. Used in part 5. Sources: Rombach et al. 2022, §3.3 (cross-attention to a text); Saharia et
al. 2022 (Imagen), §2.2 (guidance by a text that is dropped).
"""

from collections.abc import Sequence

import torch
from jaxtyping import Float, Int64
from torch import Tensor, nn

from insideout.checks import whole
from insideout.data.pictures.captions import Caption, encode
from insideout.errors import BadInput
from insideout.images.config import DiTConfig
from insideout.images.dit import DiT
from insideout.images.flow import field_of, noise_for
from insideout.images.guidance import guided
from insideout.images.solvers import Solution, Solver, solve
from insideout.images.text_encoder import CLIPConfig, TextEncoder
from insideout.training.optimizers import Role

__all__ = ["Painter", "draw_captions"]


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
        if ids is None:
            return self.dit(x, t)
        text, mask = self.words(ids)
        return self.dit(x, t, text=text, text_mask=mask)


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
    field = guided(field_of(model.dit, text=text, text_mask=mask), field_of(model.dit), guidance, interval)
    config = model.dit.config
    start = noise_for(len(ids), (config.channels, config.size, config.size), seed).to(device)
    try:
        return solve(field, start, n_steps, solver, keep_trajectory=keep_trajectory)
    finally:
        model.train(was_training)
