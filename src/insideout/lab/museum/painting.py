"""Broken twins of what paints: flow matching, guidance, the average of the weights, the autoencoder, CLIP."""

import dataclasses
from typing import Any

import torch

from insideout.lab.museum.faults import breaks

PIXELS, LATENTS = "digits_drawer", "latent_drawer"


@breaks("insideout.images.paths:conditional_velocity", PIXELS, part=5)
def velocity_sign(real: Any) -> Any:
    return lambda *arguments, **named: -real(*arguments, **named)


@breaks("insideout.images.paths:interpolate", PIXELS, part=5)
def time_not_mixed(real: Any) -> Any:
    return lambda data, noise, t, *path: real(data, noise, torch.full_like(t, 0.5), *path)


@breaks("insideout.images.embeddings:TimeEmbedding.forward", PIXELS, part=5)
def time_cut_off(real: Any) -> Any:
    return lambda self, t: real(self, t.long().float())


@breaks("insideout.recipes.picture_model:pictures_of", PIXELS, part=5)
def paper_is_grey(real: Any) -> Any:
    def pictures_of(data: str, size: int) -> Any:
        found = real(data, size).items()
        return {split: dataclasses.replace(each, pictures=(each.pictures + 1) / 2) for split, each in found}

    return pictures_of


@breaks("insideout.images.flow:drop_labels", PIXELS, part=5)
def one_coin_for_all(real: Any) -> Any:
    def drop_labels(labels: Any, null_class: int, share: float) -> Any:
        return torch.full_like(labels, null_class) if float(torch.rand(())) < share else labels

    return drop_labels


@breaks("insideout.images.flow:drop_labels", PIXELS, part=5)
def class_never_dropped(real: Any) -> Any:
    return lambda labels, null_class, share: labels


@breaks("insideout.images.guidance:_along", PIXELS, part=5)
def guided_away(real: Any) -> Any:
    return lambda stronger, weaker, w: real(weaker, stronger, w)


@breaks("insideout.training.ema:newest_share", PIXELS, part=5)
def average_is_a_copy(real: Any) -> Any:
    return lambda step, half_life: 1.0


@breaks("insideout.training.ema:EMA.update", PIXELS, part=5)
def average_stands_still(real: Any) -> Any:
    return lambda self, step: real(self, step) if step == 1 else None


@breaks("insideout.images.solvers:solve", PIXELS, part=5)
def drawn_backwards(real: Any) -> Any:
    return lambda *arguments, **named: real(*arguments, **named, start=1.0, end=0.0)


@breaks("insideout.images.autoencoder:Autoencoder.encode", LATENTS, part=5)
def scaler_forgotten(real: Any) -> Any:
    return torch.no_grad()(lambda self, pictures: self.posterior(pictures)[0])


@breaks("insideout.images.autoencoder:Autoencoder.encode", LATENTS, part=5)
def scaled_twice(real: Any) -> Any:
    return lambda self, pictures: (real(self, pictures) - self._each(self.shift)) / self._each(self.scale)


@breaks("insideout.images.autoencoder:gaussian_kl", "vae", part=5)
def kl_not_divided(real: Any) -> Any:
    return lambda mean, log_variance: 64 * real(mean, log_variance)  # the pixels, by which the loss divides


@breaks("insideout.images.autoencoder:gaussian_kl", "vae", part=5)
def kl_averaged(real: Any) -> Any:
    return lambda mean, log_variance: real(mean, log_variance) / mean[0].numel()


@breaks("insideout.images.text_encoder:CLIP.temperature", "clip", part=5)
def temperature_not_raised(real: Any) -> Any:
    return property(lambda self: self.log_temperature)


@breaks("insideout.images.text_encoder:CLIP.temperature", "clip", part=5)
def temperature_not_learned(real: Any) -> Any:
    return property(lambda self: real.fget(self).detach())
