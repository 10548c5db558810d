"""A flow as a policy: its log-probabilities and KL against torch.distributions, its noise against solve_sde's, and its
gradient against finite differences of a reward."""

import math

import pytest
import torch
from torch.distributions import Independent, Normal, kl_divergence

from insideout.errors import BadInput
from insideout.images.paths import COSINE, LINEAR, VARIANCE_PRESERVING
from insideout.images.rewarded import gaussian_kl, gaussian_logprobs, step_deviations, step_logprobs, step_means
from insideout.images.solvers import solve_sde


def field(x, t):
    """Bends with place and time."""
    return torch.sin(x) * (1 + t).reshape(-1, *[1] * (x.dim() - 1)) - 0.3 * x.flip(-1)


def noise(n, *shape, seed=0):
    return torch.randn(n, *shape, dtype=torch.float64, generator=torch.Generator().manual_seed(seed))


@pytest.mark.parametrize("path", [LINEAR, COSINE, VARIANCE_PRESERVING], ids=lambda path: path.name)
@pytest.mark.parametrize("churn", [0.3, 1.0])
def test_what_solve_sde_draws_is_the_mean_plus_the_deviation_times_its_noise(path, churn):
    n_steps, start = 6, noise(50, 1, 3, 3)
    generator, again = torch.Generator().manual_seed(1), torch.Generator().manual_seed(1)
    drawn = solve_sde(field, start, n_steps, path=path, churn=churn, generator=generator, keep_trajectory=True)
    means, sigma = (
        step_means(field, drawn.trajectory, churn=churn, path=path),
        step_deviations(n_steps, churn=churn, path=path),
    )
    for i in range(n_steps - 1):
        fresh = torch.randn(start.shape, generator=again, dtype=start.dtype)
        torch.testing.assert_close(drawn.trajectory[i + 1], means[i] + sigma[i] * fresh, atol=1e-12, rtol=0)


def test_logprobs_and_kl_are_those_of_torch_distributions():
    trajectory = noise(5, 4, 2, 3)
    means, sigma = step_means(field, trajectory), step_deviations(4)
    own = Independent(Normal(means, sigma.reshape(-1, 1, 1, 1)), 2)
    torch.testing.assert_close(step_logprobs(field, trajectory), own.log_prob(trajectory[1:4]))
    others = step_means(lambda x, t: 0.5 * field(x, t), trajectory)
    expected = kl_divergence(own, Independent(Normal(others, sigma.reshape(-1, 1, 1, 1)), 2))
    torch.testing.assert_close(gaussian_kl(means, others, sigma), expected)
    chosen = step_logprobs(field, trajectory, [2, 0])
    torch.testing.assert_close(chosen, step_logprobs(field, trajectory)[[2, 0]])


def test_the_gradient_of_the_expected_reward_is_that_of_finite_differences():
    """E[A ∇ log π] against the slope of E[r], at equal noise; r is of what the last drawn step left."""
    n, start = 40_000, noise(40_000, 2)

    def drawn(a):
        generator = torch.Generator().manual_seed(3)
        found = solve_sde(lambda x, t: a * field(x, t), start, 4, generator=generator, keep_trajectory=True).trajectory
        return found, torch.tanh(found[-2].square().sum(1) - 1)

    slope = float((drawn(0.901)[1] - drawn(0.899)[1]).mean() / 0.002)
    trajectory, rewards = drawn(0.9)
    a = torch.tensor(0.9, dtype=torch.float64, requires_grad=True)
    logprobs = step_logprobs(lambda x, t: a * field(x, t), trajectory).sum(0)
    estimate = torch.autograd.grad((logprobs * (rewards - rewards.mean())).mean(), a)[0]
    assert abs(slope) > 0.1 and float(estimate) == pytest.approx(slope, abs=5 / n**0.5)


def test_without_noise_there_is_no_policy():
    for wrong in (0.0, -1.0, math.inf, math.nan):
        with pytest.raises(BadInput, match="churn is"):
            step_deviations(5, churn=wrong)
    with pytest.raises(BadInput, match="n_steps"):
        step_deviations(1)
    with pytest.raises(BadInput, match="the last step adds no noise"):
        step_logprobs(field, noise(5, 4, 2), [3])
    with pytest.raises(BadInput, match="of at least 2 steps"):
        step_means(field, noise(2, 4, 2))
    with pytest.raises(BadInput, match="means"):
        gaussian_logprobs(noise(3, 4, 2), noise(3, 4, 3), torch.ones(3).double())
