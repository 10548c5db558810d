"""The autoencoder: its KL against integration, its scaler, and what it refuses."""

import math

import pytest
import torch
from safetensors.torch import load, save

from insideout.data.pictures.scenes import scenes
from insideout.errors import BadInput
from insideout.images.autoencoder import (
    VAE_METRICS,
    Autoencoder,
    AutoencoderConfig,
    autoencoder_loss,
    gaussian_kl,
    load_autoencoder,
    save_autoencoder,
)
from insideout.training.objective import Objective, Sums

SMALL = AutoencoderConfig(width=8, n_halvings=2, latent_channels=3)


@pytest.fixture(scope="module")
def pictures():
    return scenes("train", 48, seed=1).pictures


@pytest.fixture
def model():
    torch.manual_seed(0)
    return Autoencoder(SMALL)


def test_the_kl_is_the_integral_that_it_stands_for():
    mean, deviation = 0.7, 0.4
    z = torch.linspace(-6, 6, 20_001).double()
    density = torch.exp(-(((z - mean) / deviation) ** 2) / 2) / (deviation * math.sqrt(2 * math.pi))
    log_ratio = -(((z - mean) / deviation) ** 2) / 2 - math.log(deviation) + z**2 / 2
    integral = float(torch.trapezoid(density * log_ratio, z))
    found = gaussian_kl(torch.full((1, 1), mean).double(), torch.full((1, 1), 2 * math.log(deviation)).double())
    assert float(found) == pytest.approx(integral, rel=1e-6)
    assert gaussian_kl(torch.zeros(2, 3), torch.zeros(2, 3)).tolist() == [0, 0]
    assert gaussian_kl(torch.ones(1, 3), torch.zeros(1, 3)).item() == pytest.approx(1.5)


def test_fitted_latents_have_mean_0_and_deviation_1_and_come_back(model, pictures):
    model.fit_scaler(pictures, batch_size=20)
    latents = model.encode(pictures)
    assert latents.shape[1:] == SMALL.latent_shape == (3, 4, 4)
    assert latents.mean((0, 2, 3)).abs().max() < 1e-3
    torch.testing.assert_close(latents.std((0, 2, 3)), torch.ones(3), atol=1e-3, rtol=0)
    mean, _ = model.posterior(pictures)
    torch.testing.assert_close(model.decode(latents), model.up(mean))


def test_the_scaler_travels_with_the_weights(model, pictures):
    model.fit_scaler(pictures)
    other = Autoencoder(SMALL)
    other.load_state_dict(load(save(model.state_dict())))
    assert torch.equal(other.encode(pictures), model.encode(pictures))


def test_before_it_is_fitted_nothing_is_encoded_or_decoded(model, pictures):
    with pytest.raises(BadInput, match="scaler is not fitted"):
        model.encode(pictures)
    with pytest.raises(BadInput, match="scaler is not fitted"):
        model.decode(torch.zeros(1, 3, 4, 4))
    with torch.no_grad():
        model.down[-1].weight[1].zero_()
    with pytest.raises(BadInput, match="Latent channel 1 is the same for all 48 pictures"):
        model.fit_scaler(pictures)
    with pytest.raises(BadInput, match="not fitted"):
        model.encode(pictures)


def test_it_learns_and_its_loss_is_its_parts(model, pictures):
    loss_of = autoencoder_loss(beta=0.01)
    sums = Sums(Objective(loss_of, VAE_METRICS, counted="pictures"))
    optimizer = torch.optim.AdamW(model.parameters(), lr=5e-3)
    errors = []
    for _ in range(15):
        optimizer.zero_grad()
        loss, count = sums.add(loss_of(model, {"pictures": pictures}))
        (loss / count).backward()
        optimizer.step()
        errors.append(float(loss.detach()) / count)
    means = sums.means()
    assert errors[-1] < 0.6 * errors[0]
    assert sums.loss / sums.count == pytest.approx(means["error"] + 0.01 * means["kl"] / pictures[0].numel(), rel=1e-5)


def test_what_cannot_be_is_refused(model, pictures):
    model.fit_scaler(pictures)
    with pytest.raises(BadInput, match="they are of another autoencoder"):
        model.decode(torch.zeros(1, 4, 4, 4))
    with pytest.raises(BadInput, match="the autoencoder reads"):
        model.encode(torch.zeros(1, 3, 8, 8))
    with pytest.raises(BadInput, match="cannot be halved 3 times"):
        AutoencoderConfig(size=20, n_halvings=3)
    with pytest.raises(BadInput, match="β is -1"):
        autoencoder_loss(-1.0)


def test_it_is_saved_with_its_scaler_and_sizes(model, pictures, tmp_path):
    path = tmp_path / "autoencoder.safetensors"
    with pytest.raises(BadInput, match="scaler is not fitted"):
        save_autoencoder(model, path)
    assert not path.exists()
    model.fit_scaler(pictures)
    save_autoencoder(model, path)
    found = load_autoencoder(path)
    assert found.config == SMALL and not found.training
    assert torch.equal(found.decode(found.encode(pictures)), model.decode(model.encode(pictures)))
    path.write_bytes(save({"down.0.weight": torch.zeros(1)}))
    with pytest.raises(BadInput, match="holds no autoencoder"):
        load_autoencoder(path)
