"""A variational autoencoder: pictures as small latents, in which a model draws for a fraction of the cost, and back.

    loss = mean square of (decoder(z) − x) + β · KL(N(mean, σ²) ‖ N(0, 1)) / numbers of a picture,   z = mean + σ ε
    latent = (z − shift) / scale,   one shift and scale a channel, fitted to the training pictures

The scaler is part of the model and is saved with it: `encode` gives latents of mean 0 and deviation 1, `decode` takes
them. So it can neither be forgotten nor applied twice; before it is fitted, both are refused.
Shapes: B pictures, Z latent channels, h × w their resolution.
Taught in book/5-from-noise-to-images/10_autoencoder.md.
Sources: Kingma and Welling 2013, §3 and appendix B; Rombach et al. 2022, §3.1 and appendix G.
"""

import dataclasses
import itertools
import json
from collections.abc import Callable, Mapping
from pathlib import Path

import torch
from jaxtyping import Float
from safetensors import SafetensorError
from safetensors.torch import load, save
from torch import Tensor, nn

from insideout import files
from insideout.checks import check_shapes
from insideout.errors import BadInput
from insideout.images.autoencoder_config import GROUPS, AutoencoderConfig
from insideout.training.metrics import Metric

__all__ = [
    "VAE_METRICS", "Autoencoder", "AutoencoderConfig", "autoencoder_loss", "gaussian_kl", "load_autoencoder",
    "save_autoencoder",
]  # fmt: skip

NARROWEST, WIDEST = -12.0, 6.0
"""Of log σ²."""

VAE_METRICS = (
    Metric("validation_loss", "held-out loss", section="Loss"),
    Metric("error", "mean square of the error", section="Parts of the loss", digits=5),
    Metric("kl", "KL from the normal distribution", unit="nats per picture", section="KL"),
)


class Autoencoder(nn.Module):
    """Encoder, decoder, and the scaler between them and whoever draws latents."""

    def __init__(self, config: AutoencoderConfig) -> None:
        super().__init__()
        self.config = config
        widths = [config.width * 2**i for i in range(config.n_halvings + 1)]
        down: list[nn.Module] = [nn.Conv2d(config.channels, widths[0], 3, padding=1)]
        up: list[nn.Module] = [nn.Conv2d(config.latent_channels, widths[-1], 3, padding=1), Step(widths[-1])]
        for narrow, wide in itertools.pairwise(widths):
            down += [Step(narrow), nn.Conv2d(narrow, wide, 3, stride=2, padding=1)]
        for narrow, wide in reversed(list(itertools.pairwise(widths))):
            up += [nn.Upsample(scale_factor=2, mode="nearest"), nn.Conv2d(wide, narrow, 3, padding=1), Step(narrow)]
        down += [Step(widths[-1]), nn.GroupNorm(GROUPS, widths[-1]), nn.SiLU()]
        up += [nn.GroupNorm(GROUPS, widths[0]), nn.SiLU(), nn.Conv2d(widths[0], config.channels, 3, padding=1)]
        self.down = nn.Sequential(*down, nn.Conv2d(widths[-1], 2 * config.latent_channels, 3, padding=1))
        self.up = nn.Sequential(*up)
        self.shift: Tensor
        self.scale: Tensor
        self.register_buffer("shift", torch.zeros(config.latent_channels))
        self.register_buffer("scale", torch.zeros(config.latent_channels))  # 0: not fitted

    @property
    def n_parameters(self) -> int:
        """How many numbers the model learns."""
        return sum(parameter.numel() for parameter in self.parameters())

    def posterior(self, pictures: Float[Tensor, "B channels H W"]) -> tuple[Float[Tensor, "B Z h w"], Tensor]:
        """(mean, log σ²) of z. Raises BadInput for pictures of another size."""
        wanted = (self.config.channels, self.config.size, self.config.size)
        if pictures.shape[1:] != wanted:
            raise BadInput(f"The pictures are {tuple(pictures.shape[1:])}; the autoencoder reads {wanted}.")
        mean, log_variance = self.down(pictures).chunk(2, dim=1)
        return mean, log_variance.clamp(NARROWEST, WIDEST)

    def forward(self, pictures: Float[Tensor, "B channels H W"]) -> tuple[Tensor, Tensor, Tensor]:
        """(the pictures as they come back from a z that was drawn, mean, log σ²)."""
        mean, log_variance = self.posterior(pictures)
        z = mean + torch.exp(log_variance / 2) * torch.randn_like(mean)
        return self.up(z), mean, log_variance

    @torch.no_grad()
    def fit_scaler(self, pictures: Float[Tensor, "N channels H W"], batch_size: int = 256) -> None:
        """Fit shift and scale so that latents of these pictures have mean 0 and deviation 1 in each channel.

        Raises BadInput for a channel in which all latents are the same, which then tells nothing.
        """
        device = self.shift.device
        means = torch.cat([self.posterior(each.to(device))[0] for each in torch.split(pictures, batch_size)]).double()
        deviation = means.std((0, 2, 3))
        if len(means) < 2 or not (deviation > 1e-6).all():
            dead = int(deviation.argmin())
            raise BadInput(
                f"Latent channel {dead} is the same for all {len(means)} pictures: lower β, or train longer."
            )
        self.shift.copy_(means.mean((0, 2, 3)))
        self.scale.copy_(deviation)

    @torch.no_grad()
    def encode(self, pictures: Float[Tensor, "B channels H W"]) -> Float[Tensor, "B Z h w"]:
        """The pictures' latents, scaled. Raises BadInput before the scaler is fitted."""
        self._check_fitted()
        mean, _ = self.posterior(pictures)
        return (mean - self._each(self.shift)) / self._each(self.scale)

    @torch.no_grad()
    def decode(self, latents: Float[Tensor, "B Z h w"]) -> Float[Tensor, "B channels H W"]:
        """The pictures of scaled latents. Raises BadInput for latents of another shape, or before it is fitted."""
        self._check_fitted()
        if latents.shape[1:] != self.config.latent_shape:
            raise BadInput(
                f"The latents are {tuple(latents.shape[1:])}, and this decoder's {self.config.latent_shape}: they "
                "are of another autoencoder."
            )
        return self.up(latents * self._each(self.scale) + self._each(self.shift))

    def _each(self, of_channels: Tensor) -> Tensor:
        """(Z,) -> (1, Z, 1, 1)"""
        return of_channels[None, :, None, None]

    def _check_fitted(self) -> None:
        if not (self.scale > 0).all():
            raise BadInput("The autoencoder's scaler is not fitted: call fit_scaler with the training pictures.")


class Step(nn.Module):
    """x + two convolutions of it."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.layers = nn.Sequential(
            nn.GroupNorm(GROUPS, width), nn.SiLU(), nn.Conv2d(width, width, 3, padding=1),
            nn.GroupNorm(GROUPS, width), nn.SiLU(), nn.Conv2d(width, width, 3, padding=1),
        )  # fmt: skip

    def forward(self, x: Float[Tensor, "B C H W"]) -> Float[Tensor, "B C H W"]:
        return x + self.layers(x)


def gaussian_kl(mean: Float[Tensor, "B ..."], log_variance: Float[Tensor, "B ..."]) -> Float[Tensor, " B"]:
    """KL(N(mean, σ²) ‖ N(0, 1)) = ½ Σ (mean² + σ² − 1 − log σ²), in nats, of each picture."""
    check_shapes(mean=mean, log_variance=log_variance)
    each = mean.square() + torch.expm1(log_variance) - log_variance
    return each.flatten(1).sum(1) / 2


def autoencoder_loss(
    beta: float = 1e-4,
) -> Callable[[nn.Module, Mapping[str, Tensor]], tuple[Tensor, Tensor, dict[str, Tensor]]]:
    """The loss for insideout.training: a batch holds pictures. Gives (Σ over pictures, how many, metrics).

    With β = 0 it is a plain autoencoder but for the noise. Raises BadInput for a β that is not a number of at least 0.
    """
    if not 0 <= beta < float("inf"):
        raise BadInput(f"β is {beta}: it must be a number of at least 0.")

    def loss(model: nn.Module, batch: Mapping[str, Tensor]) -> tuple[Tensor, Tensor, dict[str, Tensor]]:
        pictures = batch["pictures"]
        back, mean, log_variance = model(pictures)
        error = (back - pictures).float().square().flatten(1).mean(1)
        kl = gaussian_kl(mean.float(), log_variance.float())
        total = (error + beta * kl / pictures[0].numel()).sum()
        n = torch.tensor(len(pictures))
        return total, n, {"error": error.detach().sum(), "kl": kl.detach().sum()}

    return loss


def save_autoencoder(model: Autoencoder, path: Path) -> None:
    """Weights, scaler and sizes in one file. Raises BadInput before the scaler is fitted, and on a full disk."""
    model._check_fitted()
    sizes = {"autoencoder": json.dumps(dataclasses.asdict(model.config))}
    files.save(path, save({name: each.contiguous().cpu() for name, each in model.state_dict().items()}, sizes))


def load_autoencoder(path: Path) -> Autoencoder:
    """What save_autoencoder wrote, ready to be used. Raises BadInput for a file that is damaged or something else."""
    content = files.content_of(path)
    try:
        length = int.from_bytes(content[:8], "little")
        about = json.loads(content[8 : 8 + length])["__metadata__"]["autoencoder"]
        model = Autoencoder(AutoencoderConfig(**json.loads(about)))
        model.load_state_dict(load(content))
    except (BadInput, KeyError, RuntimeError, SafetensorError, TypeError, ValueError) as error:
        raise BadInput(f"{path} is damaged or holds no autoencoder: make it anew.") from error
    return model.eval()
