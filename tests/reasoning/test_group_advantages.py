"""Advantages of groups, over every pattern of right and wrong; the losses made of them against trl's formulas."""

import itertools

import numpy as np
import pytest
import torch

from insideout.errors import BadInput
from insideout.finetuning.advantages import group_mean, group_std, leave_one_out
from insideout.finetuning.policy import ppo
from insideout.finetuning.policy_config import PolicyConfig
from insideout.finetuning.policy_training import weights_of
from insideout.reasoning.group_advantages import filled, mixed, overlong, scaled, truncated_weights


@pytest.mark.parametrize("n", range(2, 9))
def test_every_pattern_of_right_and_wrong(n):
    rewards = torch.tensor(list(itertools.product([0.0, 1.0], repeat=n)))
    by_group, by_batch = scaled(rewards).numpy(), scaled(rewards, "batch").numpy()
    plain, divided = group_mean(rewards).numpy(), group_std(rewards).numpy()
    rows = rewards.numpy()
    centred = rows - rows.mean(-1, keepdims=True)
    alike = rows.min(-1) == rows.max(-1)
    np.testing.assert_allclose(plain, centred, atol=1e-6)
    np.testing.assert_allclose(by_batch, centred / (rows.std(ddof=1) + 1e-4), atol=1e-5)
    np.testing.assert_allclose(by_group, centred / (rows.std(-1, ddof=1, keepdims=True) + 1e-4), atol=1e-5)
    np.testing.assert_allclose(divided, centred / (rows.std(-1, keepdims=True) + alike[:, None]), atol=1e-5)
    assert (mixed(rewards).numpy() == ~alike).all()
    for found in (by_group, divided):
        assert ((found == 0).all(-1) == alike).all()
        assert abs(found).max() < np.sqrt(n), "no advantage of a million, whatever the group"


def test_the_conventions_differ_by_known_factors():
    rewards = torch.randn(5, 7, generator=torch.Generator().manual_seed(0))
    assert torch.allclose(leave_one_out(rewards), group_mean(rewards) * 7 / 6, atol=1e-6)
    assert torch.allclose(scaled(rewards, epsilon=0.0), group_std(rewards) * (6 / 7) ** 0.5, atol=1e-5)


def test_a_group_of_one_reward_is_exactly_zero_though_rounding_is_not():
    rewards = torch.full((3, 7), 0.1)
    assert group_mean(rewards).abs().max() > 0, "else this tests nothing"
    assert (scaled(rewards, epsilon=0.0) == 0).all() and (scaled(rewards, "batch", epsilon=0.0) == 0).all()
    assert not mixed(rewards).any()


def trl(losses, mask, loss_type, max_completion_length):
    """The formulas of trl's GRPOTrainer."""
    weights = mask.float()
    if loss_type == "grpo":
        return ((losses * weights).sum(-1) / weights.sum(-1).clamp(min=1.0)).mean()
    if loss_type == "dr_grpo":
        return (losses * weights).sum() / (losses.size(0) * max_completion_length)
    return (losses * weights).sum() / weights.sum().clamp(min=1.0)  # bnpo; dapo over one whole batch


@pytest.mark.parametrize(
    ("aggregation", "loss_type"), [("answer_mean", "grpo"), ("token_mean", "bnpo"), ("constant", "dr_grpo")]
)
def test_loss_and_gradient_are_trls(aggregation, loss_type):
    generator = torch.Generator().manual_seed(0)
    lengths = torch.tensor([1, 9, 4, 12, 2, 7])
    mask = torch.arange(12)[None] < lengths[:, None]
    old, new = (-torch.rand(6, 12, generator=generator) for _ in range(2))
    new.requires_grad_()
    advantages = scaled(torch.tensor([[1.0, 0.0, 1.0], [0.0, 0.0, 1.0]])).flatten()[:, None].expand(6, 12)
    rows = mask.nonzero()[:, 0]  # of each token that was drawn
    losses = ppo(new[mask], old[mask], advantages[mask], clip=0.2, clip_high=0.28)
    weights, count = weights_of(rows, 6, PolicyConfig(aggregation=aggregation, max_new_tokens=16))
    ours = (weights * losses).sum() / count
    [our_gradient] = torch.autograd.grad(ours, new, retain_graph=True)
    ratio = (new - old).exp()
    theirs = trl(-torch.min(ratio * advantages, ratio.clamp(0.8, 1.28) * advantages), mask, loss_type, 16)
    [gradient] = torch.autograd.grad(theirs, new)
    assert torch.allclose(ours, theirs, atol=1e-6) and torch.allclose(our_gradient, gradient, atol=1e-7)
    assert gradient.abs().sum() > 0


def test_overlong_by_hand():
    lengths = torch.tensor([1, 12, 13, 14, 15, 16, 17, 40])
    found = overlong(lengths, max_length=16, margin=4)
    assert found.tolist() == [0, 0, -0.25, -0.5, -0.75, -1, -1, -1]
    for length, value in zip(lengths.tolist(), found.tolist(), strict=True):  # the paper's three cases
        case = 0 if length <= 12 else (12 - length) / 4 if length <= 16 else -1
        assert value == case
    assert overlong(lengths, max_length=16, margin=4, penalty=0.5).min() == -0.5


@pytest.mark.parametrize(
    ("make", "says"),
    [
        (lambda: scaled(torch.ones(3, 1)), "draw at least 2"), (lambda: mixed(torch.ones(3, 1)), "draw at least 2"),
        (lambda: scaled(torch.tensor([[1.0, torch.nan]])), "all of them must be finite"),
        (lambda: scaled(torch.ones(2, 2), epsilon=-1.0), "at least 0"),
        (lambda: overlong(torch.tensor([3]), max_length=4, margin=5), "at most 4"),
        (lambda: overlong(torch.tensor([3]), max_length=4, margin=2, penalty=0.0), "above 0"),
    ],
)  # fmt: skip
def test_bad_input_is_one_sentence(make, says):
    with pytest.raises(BadInput, match=says):
        make()


def test_drawing_goes_on_until_enough_groups_are_mixed_and_all_are_counted():
    groups = torch.tensor([[1.0, 1.0], [0.0, 1.0], [0.0, 0.0], [1.0, 0.0], [0.0, 1.0]])
    asked = []

    def draw(number):
        asked.append(number)
        return groups[number]

    assert filled(draw, 2, most=5) == ([1, 3], 4)
    assert asked == [0, 1, 2, 3]  # the fifth is not paid for
    assert filled(lambda number: groups[0], 2, most=3) == ([], 3)
    for n, most in ((0, 3), (2, 1)):
        with pytest.raises(BadInput):
            filled(draw, n, most=most)


def test_weights_make_what_another_policy_drew_right_on_average_and_the_cap_makes_them_quieter():
    generator = torch.Generator().manual_seed(0)
    pi, mu = (torch.randn(6, generator=generator, dtype=torch.float64).log_softmax(0) for _ in range(2))
    worth = torch.randn(6, generator=generator, dtype=torch.float64)
    full, cut = (truncated_weights(pi, mu, cap=cap) for cap in (1e9, 1.5))
    assert float((mu.exp() * full * worth).sum()) == pytest.approx(float((pi.exp() * worth).sum()))
    np.testing.assert_allclose(cut.numpy(), np.minimum(np.exp(pi.numpy() - mu.numpy()), 1.5))
    assert float((mu.exp() * cut.square()).sum()) < float((mu.exp() * full.square()).sum())
    assert not truncated_weights(pi.clone().requires_grad_(), mu, cap=2.0).requires_grad
    torch.testing.assert_close(truncated_weights(pi, pi, cap=2.0), torch.ones_like(pi))
    with pytest.raises(BadInput, match="cap"):
        truncated_weights(pi, mu, cap=0.0)
