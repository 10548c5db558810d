"""The diffusion transformer: a picture is cut into patches, and a transformer says where each of its pixels must go.

    x + place ── n × [ x + g₁ ⊙ attention(a₁ ⊙ norm(x) + b₁)
                       x + g₂ ⊙ cross-attention to a text (a₂ ⊙ norm(x) + b₂), where there is one
                       x + g₃ ⊙ feed-forward(a₃ ⊙ norm(x) + b₃) ] ── a ⊙ norm(x) + b ── linear ── patches of velocity

The gains 1 + a, shifts b and gates g are linear in the picture's time and class (adaLN). Their weights begin at 0, and
so do the gates: at first every block is the identity, and the velocity 0 (adaLN-Zero).
Attention is not causal: every patch reads from all. Shapes: B pictures, T patches, C d_model, H heads, D head width,
L words. Taught in book/5-from-noise-to-images/04_diffusion_transformer.md. Source: Peebles and Xie 2023, §3.
"""

import torch
from jaxtyping import Bool, Float, Int64
from torch import Tensor, nn
from torch.nn import functional as F

from insideout.errors import BadInput
from insideout.images.conditions import Condition
from insideout.images.config import DiTConfig
from insideout.images.embeddings import places
from insideout.training.optimizers import Role

__all__ = ["DiT", "patchify", "unpatchify"]


def patchify(pictures: Float[Tensor, "B channels H W"], patch: int) -> Float[Tensor, "B T patch_values"]:
    """Patches of patch × patch pixels, row by row, all numbers of each in one vector.

    Raises BadInput where a side is not divisible by the patch.
    """
    batch, channels, height, width = pictures.shape
    if patch < 1 or height % patch or width % patch:
        raise BadInput(f"Pictures of {height} × {width} cannot be cut into patches of {patch} × {patch}.")
    cut = pictures.reshape(batch, channels, height // patch, patch, width // patch, patch)
    return cut.permute(0, 2, 4, 3, 5, 1).flatten(3).flatten(1, 2)  # (B, row, column, p, p, channels) -> (B, T, …)


def unpatchify(
    patches: Float[Tensor, "B T patch_values"], patch: int, height: int, width: int
) -> Float[Tensor, "B channels height width"]:
    """The pictures that patchify cut. Raises BadInput where so many patches don't make such pictures."""
    batch, n, values = patches.shape
    rows, columns = height // patch, width // patch
    if rows * columns != n or values % patch**2:
        raise BadInput(
            f"{n} patches of {values} numbers make no pictures of {height} × {width} with patches of {patch}."
        )
    laid = patches.reshape(batch, rows, columns, patch, patch, values // patch**2)
    return laid.permute(0, 5, 1, 3, 2, 4).reshape(batch, values // patch**2, height, width)


class DiT(nn.Module):
    """Velocities of noisy pictures, from their times and, as it was built, their classes or texts."""

    def __init__(self, config: DiTConfig) -> None:
        super().__init__()
        self.config = config
        values, width = config.channels * config.patch**2, config.d_model
        self.into = nn.Linear(values, width)
        self.register_buffer("place", places(config.size // config.patch, config.size // config.patch, width))
        self.condition = Condition(width, config.n_classes)
        self.text_into = nn.Linear(config.text_width, width) if config.text_width else None
        self.null_word = nn.Parameter(torch.zeros(width)) if config.text_width else None
        self.blocks = nn.ModuleList([Block(config) for _ in range(config.n_layers)])
        self.final = Modulation(width, 2)
        self.out = nn.Linear(width, values)
        self._initialise()

    def _initialise(self) -> None:
        for module in self.modules():
            if isinstance(module, nn.Linear):
                nn.init.xavier_uniform_(module.weight)
                nn.init.zeros_(module.bias)
            elif isinstance(module, nn.Embedding):
                nn.init.normal_(module.weight, std=0.02)
        for module in self.modules():
            if isinstance(module, Modulation):
                nn.init.zeros_(module.linear.weight)
        nn.init.zeros_(self.out.weight)

    def parameter_roles(self) -> dict[str, Role]:
        """The modulations begin at 0 and are no layers between layers: AdamW's, not Muon's."""
        return {name: "decayed" for name, each in self.named_parameters() if "modulation" in name and each.ndim == 2}

    @property
    def n_parameters(self) -> int:
        """How many numbers the model learns."""
        return sum(parameter.numel() for parameter in self.parameters())

    @property
    def n_classes(self) -> int:
        """Classes it can be told; the label n_classes is the null class."""
        return self.config.n_classes

    def forward(
        self,
        x: Float[Tensor, "B channels H W"],
        t: Float[Tensor, " B"],
        labels: Int64[Tensor, " B"] | None = None,
        text: Float[Tensor, "B L words"] | None = None,
        text_mask: Bool[Tensor, "B L"] | None = None,
    ) -> Float[Tensor, "B channels H W"]:
        """The velocity of each picture at its time. Without labels, or without a text, it is told nothing.

        `text_mask` is True where there is a word; pads are neither read nor counted. Raises BadInput for pictures of
        another size, a label out of range, a time outside [0, 1], and for a text where the model reads none.
        """
        size = self.config.size
        if x.shape[1:] != (self.config.channels, size, size):
            raise BadInput(
                f"The pictures are {tuple(x.shape[1:])}; the model draws {(self.config.channels, size, size)}."
            )
        told = F.silu(self.condition(t, labels))  # (B, C)
        words, mask = self._words(len(x), text, text_mask)
        h = self.into(patchify(x, self.config.patch)) + self.place
        for block in self.blocks:
            h = block(h, told, words, mask)
        shift, scale = self.final(told)
        return unpatchify(self.out(modulated(h, shift, scale)), self.config.patch, size, size)

    def _words(self, n: int, text: Tensor | None, mask: Tensor | None) -> tuple[Tensor | None, Tensor | None]:
        """What cross-attention reads: a learned null word, always there, and the text's. (B, 1 + L, C), (B, 1 + L)"""
        if self.text_into is None or self.null_word is None:
            if text is not None:
                raise BadInput("This model reads no text: give it none, or build it with text_width.")
            return None, None
        null = self.null_word.expand(n, 1, -1)
        there = torch.ones(n, 1, dtype=torch.bool, device=null.device)
        if text is None:
            return null, there
        if mask is None:
            mask = torch.ones(text.shape[:2], dtype=torch.bool, device=text.device)
        if text.shape[2] != self.config.text_width or mask.shape != text.shape[:2]:
            raise BadInput(
                f"The text is {tuple(text.shape)} with a mask {tuple(mask.shape)}: give (B, L, "
                f"{self.config.text_width}) and (B, L)."
            )
        return torch.cat([null, self.text_into(text)], 1), torch.cat([there, mask], 1)


class Modulation(nn.Module):
    """n vectors for each picture, linear in its condition; all 0 at the beginning."""

    def __init__(self, width: int, n: int) -> None:
        super().__init__()
        self.n = n
        self.linear = nn.Linear(width, n * width)

    def forward(self, told: Float[Tensor, "B C"]) -> tuple[Tensor, ...]:
        return self.linear(told)[:, None].chunk(self.n, dim=-1)  # n × (B, 1, C)


def modulated(
    x: Float[Tensor, "B T C"], shift: Float[Tensor, "B 1 C"], scale: Float[Tensor, "B 1 C"]
) -> Float[Tensor, "B T C"]:
    """norm(x) · (1 + scale) + shift; the norm has no weights of its own."""
    return F.layer_norm(x, x.shape[-1:], eps=1e-6) * (1 + scale) + shift


class Block(nn.Module):
    """Attention between patches, to the words of a text where there is one, and a feed-forward layer."""

    def __init__(self, config: DiTConfig) -> None:
        super().__init__()
        width = config.d_model
        self.attention = Attention(width, config.n_heads)
        self.cross = Attention(width, config.n_heads) if config.text_width else None
        self.up = nn.Linear(width, config.widening * width)
        self.down = nn.Linear(config.widening * width, width)
        self.modulation = Modulation(width, 9 if self.cross else 6)

    def forward(
        self, x: Float[Tensor, "B T C"], told: Float[Tensor, "B C"], words: Tensor | None, mask: Tensor | None
    ) -> Float[Tensor, "B T C"]:
        shift, scale, gate, shift_up, scale_up, gate_up, *rest = self.modulation(told)
        inside = modulated(x, shift, scale)
        x = x + gate * self.attention(inside, inside)
        if self.cross is not None and words is not None and mask is not None:
            shift_text, scale_text, gate_text = rest
            x = x + gate_text * self.cross(modulated(x, shift_text, scale_text), words, mask)
        return x + gate_up * self.down(F.gelu(self.up(modulated(x, shift_up, scale_up)), approximate="tanh"))


class Attention(nn.Module):
    """softmax(Q Kᵀ / √D) V for every head, from what asks to what is read; pads are not read."""

    def __init__(self, width: int, n_heads: int) -> None:
        super().__init__()
        self.n_heads = n_heads
        self.q, self.k, self.v, self.out = (nn.Linear(width, width) for _ in range(4))

    def forward(
        self, x: Float[Tensor, "B T C"], read: Float[Tensor, "B S C"], mask: Bool[Tensor, "B S"] | None = None
    ) -> Float[Tensor, "B T C"]:
        q, k, v = (self._heads(layer(each)) for layer, each in ((self.q, x), (self.k, read), (self.v, read)))
        found = F.scaled_dot_product_attention(q, k, v, attn_mask=None if mask is None else mask[:, None, None])
        return self.out(found.transpose(1, 2).flatten(2))  # (B, H, T, D) -> (B, T, C)

    def _heads(self, x: Tensor) -> Tensor:
        """(B, T, C) -> (B, H, T, D)"""
        return x.reshape(*x.shape[:2], self.n_heads, -1).transpose(1, 2)
