"""Words and pictures in one space: two encoders, trained so that a picture and its caption lie near each other (CLIP).

    similarity(i, j) = exp(τ) · cos(picture i, caption j)           τ is learned, and at most ln 100
    loss = ½ (cross-entropy along the rows + along the columns)     each picture finds its caption, and back

Where two captions of a batch are the same words, each is right for both pictures: the target is shared between them,
and not one of them called wrong. Pads are neither read nor counted. Shapes: B pairs, L words, C d_model, E of the
common space. Taught in book/5-from-noise-to-images/08_words_and_pictures.md.
Source: Radford et al. 2021, §2.3 and figure 3.
"""

import math
from collections.abc import Mapping
from dataclasses import dataclass

import torch
from jaxtyping import Bool, Float, Int64
from torch import Tensor, nn
from torch.nn import functional as F

from insideout.checks import check_shapes
from insideout.errors import BadInput
from insideout.images.dit import Attention, patchify
from insideout.training.config import check_types
from insideout.training.metrics import Metric

__all__ = ["CLIP", "CLIP_METRICS", "CLIPConfig", "TextEncoder", "clip_loss", "contrastive_loss"]

HIGHEST = math.log(100)
"""Of τ: beyond it, training is known to become unstable."""

CLIP_METRICS = (
    Metric("validation_loss", "held-out loss", unit="nats per pair", section="Loss"),
    Metric("finds_caption", "pictures that find their caption", unit="%", section="Retrieval in the batch",
           better="higher"),
    Metric("finds_picture", "captions that find their picture", unit="%", section="Retrieval in the batch",
           better="higher"),
    Metric("temperature", "exp(τ)", section="Temperature", live=False),
)  # fmt: skip


@dataclass(frozen=True)
class CLIPConfig:
    """Sizes of both encoders."""

    vocab_size: int = 20
    """Words, the pad among them, whose id is 0."""
    length: int = 10
    """The most words of a text."""
    size: int = 16
    """Pixels of a side."""
    channels: int = 3
    """Numbers of a pixel."""
    patch: int = 4
    """Pixels of a patch's side."""
    d_model: int = 64
    """Width of a word's and of a patch's vector."""
    n_layers: int = 2
    """Layers of each encoder."""
    n_heads: int = 2
    """Heads of attention."""
    d_common: int = 32
    """Width of the space that both lie in."""

    def __post_init__(self) -> None:
        check_types(self)
        for name in ("vocab_size", "length", "size", "channels", "patch", "d_model", "n_layers", "n_heads", "d_common"):
            if getattr(self, name) < 1:
                raise BadInput(f"{name} is {getattr(self, name)}; it must be at least 1.")
        if self.size % self.patch:
            raise BadInput(f"size {self.size} is not divisible by patch {self.patch}.")
        if self.d_model % self.n_heads:
            raise BadInput(f"d_model {self.d_model} is not divisible by n_heads {self.n_heads}.")


class Layer(nn.Module):
    """x + attention(norm(x)), then x + feed-forward(norm(x)): every position reads from all that are no pads."""

    def __init__(self, width: int, n_heads: int) -> None:
        super().__init__()
        self.attention = Attention(width, n_heads)
        self.first, self.second = nn.LayerNorm(width), nn.LayerNorm(width)
        self.up, self.down = nn.Linear(width, 4 * width), nn.Linear(4 * width, width)

    def forward(self, x: Float[Tensor, "B T C"], mask: Bool[Tensor, "B T"] | None = None) -> Float[Tensor, "B T C"]:
        inside = self.first(x)
        x = x + self.attention(inside, inside, mask)
        return x + self.down(F.gelu(self.up(self.second(x))))


class TextEncoder(nn.Module):
    """A vector for each word of a text, and one for all of it: their mean, pads left out."""

    def __init__(self, config: CLIPConfig) -> None:
        super().__init__()
        self.config = config
        self.words = nn.Embedding(config.vocab_size, config.d_model)
        self.position = nn.Parameter(torch.randn(config.length, config.d_model))  # as large as the words
        self.layers = nn.ModuleList([Layer(config.d_model, config.n_heads) for _ in range(config.n_layers)])
        self.norm = nn.LayerNorm(config.d_model)

    def forward(self, ids: Int64[Tensor, "B L"]) -> tuple[Float[Tensor, "B L C"], Bool[Tensor, "B L"]]:
        """(vectors of the words, True where there is a word). Raises BadInput for other ids, or too many."""
        if ids.shape[1] > self.config.length:
            raise BadInput(f"The text has {ids.shape[1]} words; the encoder reads at most {self.config.length}.")
        if ids.numel() and not 0 <= int(ids.min()) <= int(ids.max()) < self.config.vocab_size:
            wrong = int(ids[(ids < 0) | (ids >= self.config.vocab_size)][0])
            raise BadInput(f"A word has the id {wrong}: ids go from 0 to {self.config.vocab_size - 1}.")
        mask = ids != 0
        readable = mask | ~mask.any(1, keepdim=True)  # a text of pads alone would leave nothing to read
        x = self.words(ids) + self.position[: ids.shape[1]]
        for layer in self.layers:
            x = layer(x, readable)
        return self.norm(x), mask

    def pooled(self, ids: Int64[Tensor, "B L"]) -> Float[Tensor, "B C"]:
        """One vector for each text; 0 for a text without words."""
        vectors, mask = self(ids)
        return (vectors * mask[..., None]).sum(1) / mask.sum(1, keepdim=True).clamp(min=1)


class PictureEncoder(nn.Module):
    """One vector for each picture: patches with their places, layers of attention, the mean."""

    def __init__(self, config: CLIPConfig) -> None:
        super().__init__()
        self.config = config
        self.into = nn.Linear(config.channels * config.patch**2, config.d_model)
        self.place = nn.Parameter(0.02 * torch.randn((config.size // config.patch) ** 2, config.d_model))
        self.layers = nn.ModuleList([Layer(config.d_model, config.n_heads) for _ in range(config.n_layers)])
        self.norm = nn.LayerNorm(config.d_model)

    def forward(self, pictures: Float[Tensor, "B channels H W"]) -> Float[Tensor, "B C"]:
        """Raises BadInput for pictures of another size."""
        wanted = (self.config.channels, self.config.size, self.config.size)
        if pictures.shape[1:] != wanted:
            raise BadInput(f"The pictures are {tuple(pictures.shape[1:])}; the encoder reads {wanted}.")
        x = self.into(patchify(pictures, self.config.patch)) + self.place
        for layer in self.layers:
            x = layer(x)
        return self.norm(x).mean(1)


class CLIP(nn.Module):
    """Both encoders, their ways into the common space, and the temperature."""

    def __init__(self, config: CLIPConfig) -> None:
        super().__init__()
        self.config = config
        self.text, self.picture = TextEncoder(config), PictureEncoder(config)
        self.text_out = nn.Linear(config.d_model, config.d_common, bias=False)
        self.picture_out = nn.Linear(config.d_model, config.d_common, bias=False)
        self.log_temperature = nn.Parameter(torch.tensor(math.log(1 / 0.07)))

    @property
    def temperature(self) -> Float[Tensor, ""]:
        """exp(τ), at most 100: what cosines are multiplied by."""
        return self.log_temperature.clamp(max=HIGHEST).exp()

    def embed_text(self, ids: Int64[Tensor, "B L"]) -> Float[Tensor, "B E"]:
        """Texts in the common space, each of length 1."""
        return F.normalize(self.text_out(self.text.pooled(ids)), dim=-1)

    def embed_pictures(self, pictures: Float[Tensor, "B channels H W"]) -> Float[Tensor, "B E"]:
        """Pictures in the common space, each of length 1."""
        return F.normalize(self.picture_out(self.picture(pictures)), dim=-1)

    def forward(self, pictures: Float[Tensor, "N channels H W"], ids: Int64[Tensor, "M L"]) -> Float[Tensor, "N M"]:
        """How well each picture fits each text: exp(τ) times their cosine."""
        return self.temperature * self.embed_pictures(pictures) @ self.embed_text(ids).T


def contrastive_loss(similarity: Float[Tensor, "B B"], same: Bool[Tensor, "B B"] | None = None) -> Float[Tensor, " B"]:
    """For each pair half the cross-entropy of its row and half that of its column, in nats.

    `same` says which captions are the same words: all of them are right, equally. Default: each is the same as itself.
    Raises BadInput for a table that is not square, where a caption is not the same as itself, or one the same as
    another that is not the same as it.
    """
    if similarity.dim() != 2 or len(similarity) != similarity.shape[1] or not len(similarity):
        raise BadInput(f"The similarities have the shape {tuple(similarity.shape)}: give (B, B), each pair with each.")
    if same is None:
        same = torch.eye(len(similarity), dtype=torch.bool, device=similarity.device)
    check_shapes(similarity=similarity, same=same)
    if same.dtype != torch.bool or not same.diagonal().all() or not torch.equal(same, same.T):
        raise BadInput("same says that a caption is not the same as itself, or one the same as another that is not the "
                       "same as it: it must be of True and False, True on its diagonal, and symmetric.")  # fmt: skip
    target = same / same.sum(1, keepdim=True)  # (B, B), rows sum to 1; same is symmetric, so that columns would too
    rows = -(target * similarity.log_softmax(1)).sum(1)
    columns = -(target.T * similarity.log_softmax(0)).sum(0)
    return (rows + columns) / 2


def clip_loss(model: nn.Module, batch: Mapping[str, Tensor]) -> tuple[Tensor, Tensor, dict[str, Tensor]]:
    """The loss for insideout.training: a batch holds pictures (B, C, H, W) and captions' ids (B, L).

    Gives (Σ over pairs, how many, metrics). Other pictures of the batch are what each is told from: the loss depends
    on the batch size, and batches of parts are no part of a larger one.
    """
    ids = batch["ids"]
    similarity = model(batch["pictures"], ids)
    same = (ids[:, None] == ids[None]).all(-1)
    n = len(ids)
    mine = torch.arange(n, device=ids.device)
    found = {
        "finds_caption": same[mine, similarity.argmax(1)].sum(),
        "finds_picture": same[mine, similarity.argmax(0)].sum(),
        "temperature": n * model.temperature.detach(),  # type: ignore[operator]
    }
    return contrastive_loss(similarity, same).sum(), torch.tensor(n), found
