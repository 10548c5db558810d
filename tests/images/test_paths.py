"""Paths: slopes against finite differences, conversions against the pair itself, the marginal field simulated."""

import itertools
import math

import pytest
import torch

from insideout.errors import BadInput
from insideout.images import paths
from insideout.images.paths import COSINE, LINEAR, PATHS, VARIANCE_PRESERVING

KINDS = ("velocity", "noise", "data", "score")
EVERY = pytest.mark.parametrize("path", PATHS.values(), ids=PATHS)


def normal(*shape, seed=0):
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def test_the_ends_of_a_path_are_noise_and_data():
    data, noise = normal(2, 3, seed=1), normal(2, 3, seed=2)
    for path in (LINEAR, COSINE):
        assert torch.equal(paths.interpolate(data, noise, 0.0, path), noise)
        assert torch.equal(paths.interpolate(data, noise, 1.0, path), data)
    assert torch.equal(paths.interpolate(data, noise, 1.0, VARIANCE_PRESERVING), data)
    start = paths.interpolate(data, noise, 0.0, VARIANCE_PRESERVING)
    assert 0 < (start - noise).abs().max() < 0.02  # not quite all noise, as in DDPM


def test_numbers_by_hand():
    data, noise, quarter = torch.tensor([[8.0]]), torch.tensor([[4.0]]), torch.tensor([0.25])
    assert paths.interpolate(data, noise, quarter).item() == 5
    assert paths.conditional_velocity(data, noise, quarter).item() == 4
    half = paths.interpolate(data, noise, 0.5, COSINE).item()
    assert half == pytest.approx(12 / math.sqrt(2))
    a = VARIANCE_PRESERVING.a(torch.tensor(0.5, dtype=torch.float64)).item()
    assert a == pytest.approx(math.exp(-0.5 * (0.1 * 0.5 + 19.9 * 0.25 / 2)))  # ᾱ = exp(−∫ β), half of the way


@EVERY
def test_slopes_are_those_of_finite_differences(path):
    t, h = torch.linspace(0.05, 0.95, 7, dtype=torch.float64), 1e-6
    for share, slope in ((path.a, path.a_slope), (path.s, path.s_slope)):
        assert torch.allclose((share(t + h) - share(t - h)) / (2 * h), slope(t), rtol=1e-6, atol=1e-8)


@pytest.mark.parametrize("path", [COSINE, VARIANCE_PRESERVING], ids=["cosine", "vp"])
def test_variance_is_preserved(path):
    t = torch.linspace(0, 1, 11, dtype=torch.float64)
    assert torch.allclose(path.a(t) ** 2 + path.s(t) ** 2, torch.ones(11, dtype=torch.float64), atol=1e-14)


def four(data, noise, t, path):
    """All four from the pair itself."""
    velocity = paths.conditional_velocity(data, noise, t, path)
    s = path.s(t).reshape(-1, 1, 1)
    return {"velocity": velocity, "noise": noise, "data": data, "score": -noise / s}


@EVERY
@pytest.mark.parametrize(("given", "wanted"), itertools.product(KINDS, KINDS))
def test_each_gives_the_others(path, given, wanted):
    data, noise = normal(5, 2, 3, seed=1), normal(5, 2, 3, seed=2)
    t = torch.tensor([0.05, 0.3, 0.5, 0.8, 0.97], dtype=torch.float64)
    x, values = paths.interpolate(data, noise, t, path), four(data, noise, t, path)
    found = paths.convert(values[given], x, t, path, given=given, wanted=wanted)
    assert torch.allclose(found, values[wanted], rtol=1e-9, atol=1e-11)


def test_where_one_does_not_tell_the_other():
    data, noise = normal(2, 3, seed=1), normal(2, 3, seed=2)

    def converted(given, wanted, t, path=LINEAR):
        x = paths.interpolate(data, noise, t, path)
        return paths.convert(
            {"data": data, "noise": noise}.get(given, data - noise), x, t, path, given=given, wanted=wanted
        )

    for t in (0.0, 1.0):  # the straight velocity tells both ends at both ends
        assert torch.allclose(converted("velocity", "data", t), data)
        assert torch.allclose(converted("velocity", "noise", t), noise)
    assert torch.equal(converted("noise", "score", 0.0), -noise)
    for given, wanted, t, what in [
        ("noise", "data", 0.0, "data"), ("noise", "velocity", 0.0, "data"), ("data", "noise", 1.0, "noise"),
        ("velocity", "score", 1.0, "noise"), ("data", "velocity", 1.0, "noise"), ("score", "data", 0.0, "data"),
    ]:  # fmt: skip
        with pytest.raises(BadInput, match=f"At t = {t:g} there is no {what} in x_t"):
            converted(given, wanted, t)
    with pytest.raises(BadInput, match="The velocity of the path vp is infinite at t = 1"):
        converted("velocity", "data", 1.0, VARIANCE_PRESERVING)


def test_a_time_outside_is_refused():
    data, noise = normal(2, 3, seed=1), normal(2, 3, seed=2)
    for t in (-0.1, 1.1, 1000.0, math.nan, torch.tensor([0.5, 1.5])):
        for function in (paths.interpolate, paths.conditional_velocity, paths.marginal_velocity):
            with pytest.raises(BadInput, match=r"it must lie in \[0, 1\], where 0 is noise and 1 is data"):
                function(data, noise, t)
    with pytest.raises(BadInput, match="one for each of the 2 pictures"):
        paths.interpolate(data, noise, torch.tensor([0.1, 0.2, 0.3]))


@EVERY
def test_the_score_is_the_gradient_of_the_log_density(path):
    points, x = normal(4, 2, seed=1), normal(3, 2, seed=2).requires_grad_()
    t = torch.tensor([0.2, 0.5, 0.8], dtype=torch.float64)
    a, s = path.a(t)[:, None], path.s(t)[:, None]
    apart = (x[:, None] - a[..., None] * points).square().sum(-1)  # (B, K)
    log_density = torch.logsumexp(-apart / (2 * s**2), dim=-1).sum()
    (expected,) = torch.autograd.grad(log_density, x)
    velocity = paths.marginal_velocity(points, x.detach(), t, path)
    score = paths.convert(velocity, x.detach(), t, path, given="velocity", wanted="score")
    assert torch.allclose(score, expected, rtol=1e-9, atol=1e-10)


@EVERY
def test_the_marginal_velocity_moves_the_density(path):
    """The continuity equation, d log p / dt + v · ∇ log p + ∇ · v = 0, by finite differences."""
    points, x, h = normal(3, 2, seed=1), normal(1, 2, seed=2), 1e-5

    def log_density(x, t):
        t = torch.tensor(t, dtype=torch.float64)
        apart = (x - path.a(t) * points).square().sum(-1)
        return (torch.logsumexp(-apart / (2 * path.s(t) ** 2), 0) - 2 * path.s(t).log()).item()

    for t in (0.3, 0.6):
        steps = torch.eye(2, dtype=torch.float64) * h
        v = paths.marginal_velocity(points, x, t, path)[0]
        moved = (log_density(x, t + h) - log_density(x, t - h)) / (2 * h)
        for i in range(2):
            moved += v[i].item() * (log_density(x + steps[i], t) - log_density(x - steps[i], t)) / (2 * h)
            up, down = (paths.marginal_velocity(points, x + sign * steps[i], t, path)[0, i] for sign in (1, -1))
            moved += ((up - down) / (2 * h)).item()
        assert moved == pytest.approx(0, abs=1e-5)


def test_the_marginal_velocity_is_the_mean_of_the_pairs_that_pass():
    points, t, n = torch.tensor([[-1.0], [0.5], [2.0]]), 0.4, 200_000
    generator = torch.Generator().manual_seed(0)
    which = torch.randint(3, (n,), generator=generator)
    data, noise = points[which], torch.randn(n, 1, generator=generator)
    x, velocity = paths.interpolate(data, noise, t), paths.conditional_velocity(data, noise, t)
    for place in (-0.5, 0.3, 1.2):
        near = (x[:, 0] - place).abs() < 0.02
        expected = paths.marginal_velocity(points, torch.tensor([[place]]), t).item()
        error = velocity[near].std().item() / near.sum().item() ** 0.5
        assert velocity[near].mean().item() == pytest.approx(expected, abs=4 * error + 0.02)
        share = (which[near] == 2).float().mean().item()
        weights = paths.posterior(points, torch.tensor([[place]]), t)
        assert share == pytest.approx(weights[0, 2].item(), abs=0.03)


def test_no_field_has_a_lower_loss():
    points, generator = normal(3, 2, seed=1).float(), torch.Generator().manual_seed(0)
    data = points[torch.randint(3, (20_000,), generator=generator)]
    noise, t = torch.randn(20_000, 2, generator=generator), torch.rand(20_000, generator=generator) * 0.9
    x, velocity = paths.interpolate(data, noise, t), paths.conditional_velocity(data, noise, t)
    best = paths.marginal_velocity(points, x, t)
    floor = (velocity - best).square().mean()
    assert floor > 0.1  # not 0: the pair is not known from where it passes
    for other in (best * 1.05, best * 0.95, best + 0.05, paths.marginal_velocity(points[:2], x, t)):
        assert (velocity - other).square().mean() > floor


def test_pictures_and_a_time_each():
    points, x, t = normal(4, 1, 3, 3, seed=1), normal(2, 1, 3, 3, seed=2), torch.tensor([0.2, 0.7], dtype=torch.float64)
    together = paths.marginal_velocity(points, x, t)
    assert together.shape == x.shape
    for i in range(2):
        assert torch.allclose(paths.marginal_velocity(points, x[i : i + 1], t[i].item())[0], together[i])
    at_start = paths.posterior(points, x, 0.0)
    assert torch.allclose(at_start, torch.full((2, 4), 0.25, dtype=torch.float64))  # noise alone tells nothing


def test_near_the_data_the_posterior_is_sure_and_finite():
    points = normal(50, 100, seed=1).float()
    x = paths.interpolate(points[:3], normal(3, 100, seed=2).float(), 0.9999)
    weights = paths.posterior(points, x, 0.9999)
    assert torch.allclose(weights, torch.eye(50)[:3], atol=1e-6)
    with pytest.raises(BadInput, match="At t = 1 there is no noise"):
        paths.posterior(points, x, 1.0)
    with pytest.raises(BadInput, match="no points"):
        paths.posterior(points[:0], x, 0.5)
    with pytest.raises(BadInput, match=r"A point has the shape \(100,\) and what is placed \(3,\)"):
        paths.posterior(points, x[:, :3], 0.5)
