"""Solvers: their orders as slopes, their calls counted, the marginals of a Gaussian kept with noise and without."""

import itertools
import math

import pytest
import torch

from insideout.errors import BadInput
from insideout.images.paths import COSINE, LINEAR, PATHS, convert, marginal_velocity
from insideout.images.solvers import CALLS, solve, solve_sde

MEAN, DEVIATION = 2.0, 0.5


def gaussian_field(path):
    """The exact field of data from N(2, ½²), and the exact flow: x_t = a·mean + √Var(x_t) · z."""

    def field(x, t):
        a, s = path.a(t)[:, None], path.s(t)[:, None]
        variance = (a * DEVIATION) ** 2 + s**2
        data = MEAN + a * DEVIATION**2 * (x - a * MEAN) / variance
        return convert(data, x, t, path, given="data", wanted="velocity")

    return field


def counting(field):
    times = []

    def counted(x, t):
        times.append(t[0].item())
        return field(x, t)

    return counted, times


def error(solver, n_steps, path, end=0.9):
    x = torch.linspace(-2, 2, 9, dtype=torch.float64)[:, None]
    t = torch.tensor(end, dtype=torch.float64)
    exact = path.a(t) * MEAN + x * ((path.a(t) * DEVIATION) ** 2 + path.s(t) ** 2).sqrt()
    return (solve(gaussian_field(path), x, n_steps, solver, end=end).x - exact).abs().max().item()


@pytest.mark.parametrize("path", [LINEAR, COSINE], ids=["linear", "cosine"])
@pytest.mark.parametrize(("solver", "order"), [("euler", 1), ("heun", 2), ("rk4", 4)])
def test_the_order_is_a_slope(solver, order, path):
    steps = [32, 64, 128]
    errors = [error(solver, n, path) for n in steps]
    slopes = [math.log2(coarse / fine) for coarse, fine in itertools.pairwise(errors)]
    assert slopes == [pytest.approx(order, abs=0.15)] * 2
    assert errors[-1] > 1e-12  # above rounding: what is measured is the solver


@pytest.mark.parametrize("solver", CALLS)
def test_calls_are_counted(solver):
    field, times = counting(gaussian_field(LINEAR))
    solution = solve(field, torch.zeros(3, 1), 7, solver, end=0.9)
    assert solution.n_calls == len(times) == 7 * CALLS[solver]
    assert times[0] == 0 and max(times) <= 0.9 and solution.trajectory is None
    field, times = counting(gaussian_field(LINEAR))
    assert solve_sde(field, torch.zeros(3, 1), 7).n_calls == len(times) == 7


def test_steps_by_hand():
    def field(x, t):
        return x + t[:, None]

    x = torch.tensor([[1.0]])
    assert solve(field, x, 2, "euler").x.item() == 2.5  # 1, 1.5, 1.5 + (1.5 + .5) / 2
    assert solve(field, x, 1, "heun").x.item() == 3.0  # (1 + (2 + 1)) / 2
    assert solve(field, x, 1, "rk4").x.item() == pytest.approx(1 + (1 + 2 * 2 + 2 * 2.5 + 4.5) / 6)


def test_there_and_back():
    x = torch.linspace(-2, 2, 5, dtype=torch.float64)[:, None]
    field = gaussian_field(LINEAR)
    there = solve(field, x, 64, "rk4", end=0.9, keep_trajectory=True)
    assert there.trajectory.shape == (65, 5, 1)
    assert torch.equal(there.trajectory[0], x) and torch.equal(there.trajectory[-1], there.x)
    back = solve(field, there.x, 64, "rk4", start=0.9, end=0.0)
    assert torch.allclose(back.x, x, atol=1e-6)


def test_the_exact_field_of_points_ends_in_the_points():
    points = torch.tensor([[-1.0, 0.0], [1.0, 1.0], [0.0, -2.0]], dtype=torch.float64)
    x = torch.randn(20, 2, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    ended = solve(lambda x, t: marginal_velocity(points, x, t), x, 100, "euler").x  # asks last at t = 0.99
    apart = torch.cdist(ended, points)
    assert apart.min(1).values.max() < 1e-6
    assert apart.argmin(1).unique().tolist() == [0, 1, 2]


@pytest.mark.parametrize("path", PATHS.values(), ids=PATHS)
@pytest.mark.parametrize("churn", [0.0, 1.0, 3.0])
def test_with_noise_a_gaussian_keeps_its_marginals(path, churn):
    generator, n, n_steps = torch.Generator().manual_seed(1), 10_000, 100
    x = torch.randn(n, 1, generator=generator)
    solution = solve_sde(
        gaussian_field(path), x, n_steps, path=path, churn=churn, generator=generator, keep_trajectory=True
    )
    for step in (n_steps // 2, n_steps * 3 // 4, n_steps):
        t, reached = torch.tensor(step / n_steps), solution.trajectory[step]
        deviation = ((path.a(t) * DEVIATION) ** 2 + path.s(t) ** 2).sqrt().item()
        assert reached.mean().item() == pytest.approx(path.a(t).item() * MEAN, abs=0.04)
        assert reached.std().item() == pytest.approx(deviation, abs=0.025)
    start = torch.corrcoef(torch.cat([x, solution.x], 1).T)[0, 1]
    assert start > 0.999 if churn == 0 else start < 0.7  # with noise the end forgets the start


def test_without_churn_it_is_eulers():
    x = torch.linspace(-2, 2, 6)[:, None]
    assert torch.equal(
        solve_sde(gaussian_field(LINEAR), x, 10, churn=0.0).x, solve(gaussian_field(LINEAR), x, 10, "euler").x
    )


def test_what_is_drawn_depends_on_the_generator_alone():
    def drawn(seed):
        generator = torch.Generator().manual_seed(seed)
        return solve_sde(gaussian_field(LINEAR), torch.zeros(4, 1), 5, generator=generator).x

    assert torch.equal(drawn(1), drawn(1)) and not torch.equal(drawn(1), drawn(2))


def test_bad_input():
    x, field = torch.zeros(2, 1), gaussian_field(LINEAR)
    for function in (solve, solve_sde):
        with pytest.raises(BadInput, match="n_steps is 0; it must be at least 1"):
            function(field, x, 0)
    with pytest.raises(BadInput, match="both must lie in"):
        solve(field, x, 3, end=1.5)
    for churn in (-1.0, math.nan, math.inf):
        with pytest.raises(BadInput, match="churn is"):
            solve_sde(field, x, 3, churn=churn)
