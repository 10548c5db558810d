"""Answers that readers might give to the exercises on the autoencoder: right ones in other styles, and wrong ones.

Used by test_answers.py.
"""

import torch
from torch.distributions import Normal, kl_divergence

RIGHT, WRONG = "right", "wrong"
ANSWERS = {}


def by_torch(mean, log_variance):
    return kl_divergence(Normal(mean, (log_variance / 2).exp()), Normal(0.0, 1.0)).sum(-1)


def one_by_one(mean, log_variance):
    found = torch.zeros(len(mean), dtype=mean.dtype)
    for b in range(mean.shape[0]):
        for m, v in zip(mean[b], log_variance[b], strict=True):
            found[b] += 0.5 * (m * m + torch.exp(v) - 1.0 - v)
    return found


def in_the_papers_form(mean, log_variance):
    return -0.5 * torch.sum(1 + log_variance - mean.pow(2) - log_variance.exp(), dim=1)


def by_parts(mean, log_variance):
    return mean.pow(2).sum(1) / 2 + torch.expm1(log_variance).sum(1) / 2 - log_variance.sum(1) / 2


ANSWERS["images.autoencoder.kl"] = {
    RIGHT: [by_torch, one_by_one, in_the_papers_form, by_parts, lambda m, v: by_torch(m, v).tolist()],
    WRONG: [
        lambda m, v: by_torch(m, v) * 2,
        lambda m, v: -0.5 * torch.mean(1 + v - m.pow(2) - v.exp(), dim=1),
        lambda m, v: -0.5 * torch.sum(1 + v - m.pow(2) - v.exp()),
        lambda m, v: by_torch(m, v).mean(),
        lambda m, v: 0.5 * (m**2 + v.exp() - 1 - v),
        lambda m, v: 0.5 * (m**2 + v.exp() - v).sum(-1),
        lambda m, v: 0.5 * (m**2 + v.exp() - 1).sum(-1),
        lambda m, v: 0.5 * (v.exp() - 1 - v).sum(-1),
        lambda m, v: 0.5 * (m + v.exp() - 1 - v).sum(-1),
        lambda m, v: 0.5 * (m**2 + v.exp() - 1 + v).sum(-1),
        lambda m, v: 0.5 * torch.sum(1 + v - m.pow(2) - v.exp(), dim=1),
        lambda m, v: 0.5 * (m**2 + torch.exp(0.5 * v) - 1 - v).sum(-1),
        lambda m, v: kl_divergence(Normal(m, v.exp()), Normal(0.0, 1.0)).sum(-1),
        lambda m, v: kl_divergence(Normal(0.0, 1.0), Normal(m, (v / 2).exp())).sum(-1),
        lambda m, v: by_torch(m, v) / torch.log(torch.tensor(2.0)),
        lambda m, v: (m**2 + v.exp() - 1 - v).sum(0) / 2,
        lambda m, v: 0.5 * (m**2 + v.exp() - 1).sum(-1) - v.sum(-1),
    ],
}  # fmt: skip


def in_one_row(fitted_to, latents):
    flat = fitted_to.transpose(0, 1).flatten(1)  # (Z, N h w)
    middle = flat.mean(1)
    width = (flat.pow(2).mean(1) - middle.pow(2)).sqrt()
    return (latents - middle[None, :, None, None]) / width[None, :, None, None]


def channel_by_channel(fitted_to, latents):
    out = torch.empty_like(latents)
    for z in range(latents.shape[1]):
        values = fitted_to[:, z]
        out[:, z] = (latents[:, z] - values.mean()) / values.std(unbiased=False)
    return out


def by_variance(fitted_to, latents):
    variance, mean = torch.var_mean(fitted_to, dim=(0, 2, 3), correction=0)
    return (latents - mean.view(1, -1, 1, 1)) * variance.view(1, -1, 1, 1).rsqrt()


def by_batch_norm(fitted_to, latents):
    variance, mean = torch.var_mean(fitted_to, dim=(0, 2, 3), correction=0)
    return torch.nn.functional.batch_norm(latents, mean, variance, eps=0.0)


def with_numpy(fitted_to, latents):
    values = fitted_to.numpy()
    mean, width = values.mean(axis=(0, 2, 3)), values.std(axis=(0, 2, 3))
    return torch.tensor((latents.numpy() - mean[:, None, None]) / width[:, None, None])


def wrongly(change):
    def answer(fitted_to, latents):
        variance, mean = torch.var_mean(fitted_to, dim=(0, 2, 3), correction=0)
        return change(latents, mean.view(1, -1, 1, 1), variance.view(1, -1, 1, 1).sqrt())

    return answer


ANSWERS["images.autoencoder.scaler"] = {
    RIGHT: [in_one_row, channel_by_channel, by_variance, by_batch_norm, with_numpy],
    WRONG: [
        lambda f, z: in_one_row(z, z),
        lambda f, z: in_one_row(f, f),
        lambda f, z: (z - f.mean()) / f.std(correction=0),
        lambda f, z: (z - f.mean(0)) / f.std(0, correction=0),
        lambda f, z: (z - f.mean((0, 1))) / f.std((0, 1), correction=0),
        wrongly(lambda z, m, s: z / s),
        wrongly(lambda z, m, s: z - m),
        wrongly(lambda z, m, s: (z + m) / s),
        wrongly(lambda z, m, s: (z - m) * s),
        wrongly(lambda z, m, s: (z - m) / s**2),
        wrongly(lambda z, m, s: ((z - m) / s - m) / s),
        wrongly(lambda z, m, s: z * s + m),
        wrongly(lambda z, m, s: z / s - m),
        wrongly(lambda z, m, s: (m - z) / s),
        lambda f, z: (z - f.mean((0, 2, 3), keepdim=True)) / f.std((0, 2, 3), keepdim=True),
        lambda f, z: (z - f.mean((0, 2, 3), keepdim=True)) / f.pow(2).mean((0, 2, 3), keepdim=True).sqrt(),
        lambda f, z: z * 0.18215,
    ],
}  # fmt: skip
