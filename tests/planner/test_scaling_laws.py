"""A law is found again from its own runs, its optimum is the lowest point, and its interval covers."""

import math
from dataclasses import replace

import pytest
import torch

from insideout.errors import BadInput
from insideout.planner.scaling_laws import ScalingLaw, bootstrap, fit, huber, minimise

LAW = ScalingLaw(E=1.2, A=30.0, a=0.35, B=40.0, b=0.33)
GRID = [(n, d) for n in (25e3, 60e3, 150e3, 330e3) for d in (1.3e5, 2.6e5, 5.2e5, 1.05e6)]
N, D = [n for n, _ in GRID], [d for _, d in GRID]


def runs(seed: int | None = None, noise: float = 0.004) -> list[float]:
    rng = torch.Generator().manual_seed(seed or 0)
    factors = (
        (noise * torch.randn(len(GRID), generator=rng, dtype=torch.float64)).exp() if seed else torch.ones(len(GRID))
    )
    return [LAW.loss(n, d) * float(f) for (n, d), f in zip(GRID, factors, strict=True)]


@pytest.fixture(scope="module")
def found() -> ScalingLaw:
    return fit(N, D, runs(1))


def test_the_law_is_found_from_exact_runs():
    law = fit(N, D, runs())
    for name in ("E", "A", "a", "B", "b"):
        assert getattr(law, name) == pytest.approx(getattr(LAW, name), rel=1e-3)


def test_noise_moves_the_prediction_little_and_one_bad_run_not_at_all(found):
    truth = LAW.loss(1e6, 2e6)
    assert found.loss(1e6, 2e6) == pytest.approx(truth, rel=0.03)
    astray = runs(1)
    astray[5] *= 1.5
    assert fit(N, D, astray, start=found).loss(1e6, 2e6) == pytest.approx(truth, rel=0.03)


def misfit(law: ScalingLaw, losses: list[float], delta: float) -> float:
    """The objective of the fit, by its definition: Σ Huber(log L(N, D) − log loss, δ)."""
    gaps = [math.log(law.loss(n, d) / loss) for (n, d), loss in zip(GRID, losses, strict=True)]
    return sum(r * r / 2 if abs(r) <= delta else delta * (abs(r) - delta / 2) for r in gaps)


@pytest.mark.parametrize("delta", [1e-2, 1.0])
def test_the_fit_is_the_lowest_point_of_its_own_objective(delta):
    """No step of any of the five numbers, up or down, goes lower; and another δ has its lowest point elsewhere."""
    astray = runs(1)
    astray[5] *= 1.05
    law = fit(N, D, astray, delta=delta)
    lowest = misfit(law, astray, delta)
    for name in ("E", "A", "a", "B", "b"):
        for factor in (0.99, 1.01):
            assert misfit(replace(law, **{name: getattr(law, name) * factor}), astray, delta) > lowest
    other = fit(N, D, astray, delta=1.01 - delta)
    assert misfit(other, astray, delta) > 1.01 * lowest


def test_a_fit_from_a_start_near_by_agrees_with_the_grid_of_starts(found):
    again = fit(N, D, runs(1), start=found)
    assert again.loss(1e6, 2e6) == pytest.approx(found.loss(1e6, 2e6), rel=1e-3)


def test_the_optimum_is_the_lowest_point_of_its_budget():
    flops = 6 * 1e5 * 1e6
    n, d = LAW.optimal(flops)
    assert 6 * n * d == pytest.approx(flops)
    for factor in (0.99, 1.01):
        assert LAW.loss(n * factor, d / factor) > LAW.loss(n, d)
    assert LAW.a * LAW.A / n**LAW.a == pytest.approx(LAW.b * LAW.B / d**LAW.b)  # the derivative by N is 0
    published = ScalingLaw(E=1.69, A=406.4, a=0.34, B=410.7, b=0.28)
    n10, _ = published.optimal(1e24)
    n1, _ = published.optimal(1e23)
    assert n10 / n1 == pytest.approx(10 ** (0.28 / 0.62))


def test_numbers_and_tensors_give_the_same_loss():
    assert LAW.loss(
        torch.tensor(N, dtype=torch.float64), torch.tensor(D, dtype=torch.float64)
    ).tolist() == pytest.approx(runs())


def test_the_bootstrap_covers_the_truth(found):
    laws, residuals = bootstrap(found, N, D, runs(1), resamples=60)
    drawn = torch.tensor([law.loss(1e6, 2e6) for law in laws])
    assert drawn.quantile(0.01) < LAW.loss(1e6, 2e6) < drawn.quantile(0.99)
    gaps = [math.log(loss / found.loss(n, d)) for (n, d), loss in zip(GRID, runs(1), strict=True)]
    widened = [gap * math.sqrt(16 / (16 - 5)) for gap in gaps]  # five numbers were fitted to sixteen runs
    assert residuals.tolist() == pytest.approx(widened, abs=1e-12)
    assert laws == bootstrap(found, N, D, runs(1), resamples=60)[0]


def test_huber_is_torchs():
    r = torch.linspace(-3, 3, 13, dtype=torch.float64)
    torch.testing.assert_close(huber(r, 0.7), torch.nn.functional.huber_loss(r, r * 0, reduction="sum", delta=0.7))


def test_the_search_takes_the_best_of_its_starts():
    theta, value = minimise(lambda t: ((t**2 - 1) ** 2 + 0.3 * t).sum(), [[0.8], [-0.8]])
    assert theta.item() == pytest.approx(-1.035, abs=0.01)
    assert value < 0


@pytest.mark.parametrize(
    ("n", "d", "loss", "word"),
    [
        (N, D, runs()[:-1], "one of each"),
        (N[:5], D[:5], runs()[:5], "at least 6"),
        (N, D, [float("nan"), *runs()[1:]], "diverged"),
        (N, [0.0, *D[1:]], runs(), "token counts"),
        ([1e5] * 16, D, runs(), "same size"),
        (N, [1e5] * 16, runs(), "same number of tokens"),
    ],
)
def test_bad_input_gets_one_sentence(n, d, loss, word):
    with pytest.raises(BadInput, match=word):
        fit(n, d, loss)
