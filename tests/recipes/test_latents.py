"""The stages of latents: an autoencoder with its scaler, and the model that draws in its latents."""

import gzip
import json
import shutil

import numpy as np
import pytest
import torch

from insideout.cli.main import main
from insideout.errors import BadInput
from insideout.images.flow import draw_pictures
from insideout.recipes import latent_drawer, vae
from insideout.recipes.picture_scores import measure
from insideout.recipes.stage import recipe


@pytest.fixture(scope="module")
def home(tmp_path_factory):
    """A home with IDX files of bright rows, by class, and what is made of them."""
    home = tmp_path_factory.mktemp("home")
    data = home / "rows"
    data.mkdir()
    labels = np.arange(200, dtype=np.uint8) % 3
    pictures = np.random.default_rng(0).integers(0, 60, (200, 8, 8)).astype(np.uint8)
    pictures[np.arange(200), 2 * labels] = 250
    for name, values in (("images-idx3", pictures), ("labels-idx1", labels)):
        head = bytes([0, 0, 8, values.ndim]) + b"".join(n.to_bytes(4, "big") for n in values.shape)
        (data / f"t10k-{name}-ubyte.gz").write_bytes(gzip.compress(head + values.tobytes()))
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("INSIDEOUT_HOME", str(home))
        yield home


def made(name, **changes):
    return recipe(name, scale="tiny", tell=lambda event: None, **changes)


@pytest.fixture(scope="module")
def autoencoder(home):
    return made("vae", data=str(home / "rows"))


@pytest.fixture(scope="module")
def drawer(home, autoencoder):
    return made("latent_drawer", vae={"data": str(home / "rows")})


def test_the_autoencoder_learns_and_keeps_a_scaler_that_fits_its_training_pictures(autoencoder):
    losses = [each["validation_loss"] for each in autoencoder.metrics() if "validation_loss" in each]
    assert losses[-1] < losses[0]
    model, splits = autoencoder.model(), autoencoder.splits()
    latents = model.encode(splits["train"].pictures)
    assert latents.shape[1:] == (1, 4, 4)
    assert float(latents.mean()) == pytest.approx(0, abs=1e-4) and float(latents.std()) == pytest.approx(1, abs=1e-2)
    back = model.decode(model.encode(splits["test"].pictures))
    error = float((back - splits["test"].pictures).square().mean())
    assert error == pytest.approx(autoencoder.result()["test_error"], rel=1e-4)
    assert autoencoder.report.is_file()


def test_what_learned_latents_draws_pictures_of_its_own_decoder(drawer, autoencoder):
    drawn = drawer.draw([0, 1, 2], n_steps=2, seed=3, keep_trajectory=True)
    latents = draw_pictures(drawer.model(), [0, 1, 2], (1, 4, 4), n_steps=2, seed=3).x
    assert torch.equal(drawn.x, autoencoder.model().decode(latents)) and drawn.n_calls == 4
    assert drawn.trajectory.shape == (3, 3, *drawer.shape)
    assert torch.allclose(drawn.trajectory[-1], drawn.x, atol=1e-5)
    losses = [each["ema_validation_loss"] for each in drawer.metrics() if "ema_validation_loss" in each]
    assert losses[-1] < losses[0] and drawer.names == ("0", "1", "2") and drawer.report.is_file()


def test_the_model_learns_scaled_latents_with_their_labels(autoencoder):
    pictures, model = autoencoder.splits(), autoencoder.model()
    latents = latent_drawer.encoded(pictures, model, batch_size=50)
    assert torch.allclose(latents["test"].pictures, model.encode(pictures["test"].pictures), atol=1e-5)
    assert torch.equal(latents["train"].labels, pictures["train"].labels)
    assert float(latents["train"].pictures.std()) == pytest.approx(1, abs=0.01)


def test_it_is_measured_like_any_model_that_draws(home, drawer):
    found = measure(drawer, made("digits_classifier", data=str(home / "rows")), "test", n_steps=2)
    assert found.n_calls == 4 and found.accuracy.n == len(drawer.splits()["development"])


def test_another_autoencoder_in_its_place_is_refused(drawer, home, tmp_path):
    folder = tmp_path / "moved"
    shutil.copytree(drawer.path, folder)
    other = made("vae", data=str(home / "rows"), seed=1)
    shutil.copy(other.path / "autoencoder.safetensors", folder)
    with pytest.raises(BadInput, match="is not the autoencoder whose latents were learned"):
        latent_drawer.load(folder).draw([0])


def test_the_command_draws_by_latents(drawer, tmp_path, capsys):
    out, animation = tmp_path / "a.png", tmp_path / "b.gif"
    arguments = ["--steps", "2", "--label", "1", "2", "--out", str(out), "--animation", str(animation)]
    with pytest.raises(SystemExit) as left:
        main(["draw", "--model", str(drawer.path), *arguments])
    assert left.value.code == 0
    assert out.is_file() and animation.is_file() and "4 calls of the field each" in capsys.readouterr().out


def test_settings_that_cannot_be_are_refused(home):
    for change, words in (
        ({"beta": -1.0}, "beta a number"),
        ({"data": ""}, "data is empty"),
        ({"size": -1}, "size must"),
    ):
        with pytest.raises(BadInput, match=words):
            vae.VAEConfig(**change)
    with pytest.raises(BadInput, match="label_dropout"):
        latent_drawer.LatentDrawerConfig(label_dropout=2.0)
    with pytest.raises(BadInput, match="cannot be halved 4 times"):
        made("vae", data=str(home / "rows"), n_halvings=4)


def test_a_damaged_file_is_refused(autoencoder, tmp_path):
    folder = tmp_path / "moved"
    shutil.copytree(autoencoder.path, folder)
    file = folder / "autoencoder.safetensors"
    for content in (file.read_bytes()[:-100], b"", json.dumps({}).encode()):
        file.write_bytes(content)
        with pytest.raises(BadInput, match=r"autoencoder\.safetensors"):
            vae.load(folder).model()
