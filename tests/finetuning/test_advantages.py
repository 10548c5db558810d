"""Advantages: an episode by hand, and a brute-force oracle on the sequence of steps alone."""

from itertools import product

import pytest
import torch

from insideout.errors import BadInput
from insideout.finetuning.advantages import gae, leave_one_out, token_rewards, whitened


def double(rows):
    return torch.tensor(rows, dtype=torch.float64)


def test_an_episode_of_five_tokens_by_hand():
    """Prompt, four tokens, of which the last stops and is rewarded by 1; γ = 1/2, λ = 1/2, values 0, 2, 4, 0.

    δ: 0 + 2/2 − 0 = 1,   0 + 4/2 − 2 = 0,   0 + 0 − 4 = −4,   1 − 0 = 1
    A: 1 + 1/4 · −15/16,  0 + 1/4 · −15/4,   −4 + 1/4,         1
    """
    rewards, values = double([[0, 0, 0, 0, 1]]), double([[9, 0, 2, 4, 0]])
    mask = torch.tensor([[False, True, True, True, True]])
    expected = [0, 1 - 15 / 64, -15 / 16, -15 / 4, 1]
    assert gae(rewards, values, mask, gamma=0.5, lam=0.5)[0].tolist() == pytest.approx(expected)


def test_without_discounts_the_advantage_is_the_return_less_the_value():
    rewards, values = double([[1, 2, 4]]), double([[10, 20, 30]])
    mask = torch.ones(1, 3, dtype=torch.bool)
    assert gae(rewards, values, mask, gamma=1.0, lam=1.0)[0].tolist() == [7 - 10, 6 - 20, 4 - 30]
    assert gae(rewards, values, mask, gamma=1.0, lam=0.0)[0].tolist() == [1 + 20 - 10, 2 + 30 - 20, 4 - 30]


def oracle(rewards, values, mask, gamma, lam):
    """Σ_l (γλ)^l δ_{t+l}, over the steps alone, as the paper writes it."""
    found = []
    for r, v, m in zip(rewards.tolist(), values.tolist(), mask.tolist(), strict=True):
        steps = [t for t, inside in enumerate(m) if inside]
        following = [*(v[t] for t in steps), 0.0][1:]
        deltas = [r[t] + gamma * after - v[t] for t, after in zip(steps, following, strict=True)]
        row = [0.0] * len(r)
        for i, t in enumerate(steps):
            row[t] = sum((gamma * lam) ** (j - i) * deltas[j] for j in range(i, len(steps)))
        found.append(row)
    return double(found)


@pytest.mark.parametrize("n_tokens", range(1, 8))
@pytest.mark.parametrize(("gamma", "lam"), [(1.0, 0.95), (0.9, 0.5), (0.0, 1.0)])
def test_against_the_sum_over_the_steps_alone(n_tokens, gamma, lam):
    generator = torch.Generator().manual_seed(n_tokens)
    rewards, values = (torch.randn(4, n_tokens, generator=generator, dtype=torch.float64) for _ in range(2))
    mask = torch.rand(4, n_tokens, generator=generator) < 0.6  # holes anywhere, rows without a step
    rewards = rewards.masked_fill(~mask, 0)
    found = gae(rewards, values, mask, gamma=gamma, lam=lam)
    torch.testing.assert_close(found, oracle(rewards, values, mask, gamma, lam))
    strange = values.masked_fill(~mask, 1e30)  # whatever a critic says of a prompt or of padding
    torch.testing.assert_close(gae(rewards, strange, mask, gamma=gamma, lam=lam), found)


def test_a_reward_that_would_be_lost_is_refused():
    mask = torch.tensor([[True, True, False]])
    zeros = torch.zeros(1, 3)
    with pytest.raises(BadInput, match="would be lost"):
        gae(torch.tensor([[0.0, 0.0, 1.0]]), zeros, mask, gamma=1.0, lam=0.95)
    for gamma, lam in ((1.1, 1.0), (1.0, -0.1)):
        with pytest.raises(BadInput, match="between 0 and 1"):
            gae(zeros, zeros, mask, gamma=gamma, lam=lam)


def test_the_score_stands_at_the_last_step_and_the_penalty_at_each():
    mask = torch.tensor([[False, True, True, False], [False, True, True, True]])
    divergences = torch.tensor([[8.0, 1.0, 2.0, 8.0], [8.0, 1.0, -1.0, 4.0]])
    found = token_rewards(torch.tensor([10.0, -10.0]), divergences, mask, beta=0.5)
    assert found.tolist() == [[0, -0.5, -1 + 10, 0], [0, -0.5, 0.5, -2 - 10]]
    total = gae(found, torch.zeros(2, 4), mask, gamma=1.0, lam=1.0)[:, 1]
    assert total.tolist() == [8.5, -12.0], "the first step sees all that is earned"
    with pytest.raises(BadInput, match="Answer 1"):
        token_rewards(torch.zeros(2), divergences, mask & torch.tensor([[True], [False]]), beta=0.5)


def test_leaving_one_out_by_hand():
    found = leave_one_out(double([[1, 2, 6], [5, 5, 5]]))
    assert found.tolist() == [[1 - 4, 2 - 3.5, 6 - 1.5], [0, 0, 0]]
    with pytest.raises(BadInput, match="draw at least 2"):
        leave_one_out(torch.zeros(3, 1))


@pytest.mark.parametrize("n", [2, 3, 5, 8])
def test_leaving_one_out_over_all_patterns_of_right_and_wrong(n):
    """Sums to 0, never beyond 1, and 0 where all are alike: nothing is divided by a deviation that may vanish."""
    for pattern in product((0.0, 1.0), repeat=n):
        found = leave_one_out(double([pattern]))
        assert found.sum().abs() < 1e-12 and found.abs().max() <= 1 + 1e-12
        if len(set(pattern)) == 1:
            assert not found.any()


def test_the_baseline_leaves_the_gradient_as_it_is_and_makes_it_less_noisy():
    """Two answers from one distribution over three, every pair enumerated."""
    logits = double([0.3, -0.2, 0.5]).requires_grad_()
    rewards = double([1, 2, 4])
    p = logits.softmax(-1)
    true = torch.autograd.grad((p * rewards).sum(), logits)[0]
    means, squares = [], []
    for with_baseline in (False, True):
        mean, square = torch.zeros(3, dtype=torch.float64), 0.0
        for a, b in product(range(3), repeat=2):
            earned = rewards[[a, b]][None]
            advantages = leave_one_out(earned) if with_baseline else earned
            told = torch.autograd.grad((advantages[0] * logits.log_softmax(-1)[[a, b]]).mean(), logits)[0]
            weight = (p[a] * p[b]).item()
            mean, square = mean + weight * told, square + weight * told.square().sum().item()
        means.append(mean)
        squares.append(square)
    for mean in means:
        torch.testing.assert_close(mean, true)
    assert squares[1] < 0.8 * squares[0]


def test_whitening():
    mask = torch.tensor([[True, True, False], [True, False, False]])
    found = whitened(double([[1, 3, 99], [8, 99, 99]]), mask)
    steps = found[mask]
    assert steps.mean().abs() < 1e-12 and steps.std(correction=0).item() == pytest.approx(1)
    assert found[~mask].tolist() == [0, 0, 0] and steps[0].item() == pytest.approx(-3 / (26 / 3) ** 0.5)
    assert whitened(torch.full((2, 3), 0.1), mask).tolist() == [[0] * 3] * 2, "all alike: no direction"
    with pytest.raises(BadInput, match="no step"):
        whitened(torch.zeros(2, 3), torch.zeros(2, 3, dtype=torch.bool))
