"""Advantages of groups and aggregations: by hand, over every pattern of right and wrong, against trl's formulas."""

import itertools

import numpy as np
import pytest
import torch

from insideout.errors import BadInput
from insideout.finetuning.advantages import leave_one_out
from insideout.finetuning.policy import ppo
from insideout.reasoning.group_advantages import aggregated, group_advantages, mixed, overlong


@pytest.mark.parametrize("n", range(2, 9))
def test_every_pattern_of_right_and_wrong(n):
    rewards = torch.tensor(list(itertools.product([0.0, 1.0], repeat=n)))
    found = {scale: group_advantages(rewards, scale=scale).numpy() for scale in ("none", "group", "batch")}
    for i, row in enumerate(rewards.numpy()):
        centred = row - row.mean()
        np.testing.assert_allclose(found["none"][i], centred, atol=1e-6)
        alike = row.min() == row.max()
        expected = 0 * row if alike else centred / (row.std(ddof=1) + 1e-4)
        np.testing.assert_allclose(found["group"][i], expected, atol=1e-5)
        np.testing.assert_allclose(found["batch"][i], centred / (rewards.numpy().std(ddof=1) + 1e-4), atol=1e-5)
        assert bool(mixed(rewards)[i]) is not alike
        assert (found["group"][i] == 0).all() == alike
    assert abs(found["group"]).max() < np.sqrt(n), "no advantage of a million, whatever the group"


def test_means_are_zero_and_leaving_one_out_is_the_same_up_to_a_factor():
    rewards = torch.randn(5, 7, generator=torch.Generator().manual_seed(0))
    assert torch.allclose(group_advantages(rewards).sum(-1), torch.zeros(5), atol=1e-5)
    assert torch.allclose(leave_one_out(rewards), group_advantages(rewards) * 7 / 6, atol=1e-6)


def test_a_group_of_one_reward_is_exactly_zero_though_rounding_is_not():
    rewards = torch.full((3, 7), 0.1)
    assert (rewards - rewards.mean(-1, keepdim=True)).abs().max() > 0, "else this tests nothing"
    for scale in ("none", "group", "batch"):
        assert (group_advantages(rewards, scale=scale, epsilon=0.0) == 0).all()
    assert not mixed(rewards).any()


def trl(losses, mask, loss_type, max_completion_length=None):
    """The formulas of trl's GRPOTrainer."""
    weights = mask.float()
    if loss_type == "grpo":
        return ((losses * weights).sum(-1) / weights.sum(-1).clamp(min=1.0)).mean()
    if loss_type == "dr_grpo":
        return (losses * weights).sum() / (losses.size(0) * max_completion_length)
    return (losses * weights).sum() / weights.sum().clamp(min=1.0)  # bnpo; dapo over one whole batch


def drawn(seed=0):
    generator = torch.Generator().manual_seed(seed)
    lengths = torch.tensor([1, 9, 4, 12, 2, 7])
    mask = torch.arange(12)[None] < lengths[:, None]
    old, new = (-torch.rand(6, 12, generator=generator) for _ in range(2))
    advantages = group_advantages(torch.tensor([[1.0, 0.0, 1.0], [0.0, 0.0, 1.0]]), scale="group").flatten()
    return new.requires_grad_(), old, advantages[:, None].expand(6, 12), mask


@pytest.mark.parametrize(
    ("how", "loss_type", "length"), [("sequence", "grpo", None), ("token", "bnpo", None), ("constant", "dr_grpo", 16)]
)
def test_loss_and_gradient_are_trls(how, loss_type, length):
    logprobs, old, advantages, mask = drawn()
    losses = ppo(logprobs, old, advantages, clip=0.2, clip_high=0.28)
    total, count = aggregated(losses, mask, how, length=length)
    [ours] = torch.autograd.grad(total / count, logprobs, retain_graph=True)
    ratio = (logprobs - old).exp()
    theirs = -torch.min(ratio * advantages, ratio.clamp(0.8, 1.28) * advantages)
    expected = trl(theirs, mask, loss_type, length)
    [gradient] = torch.autograd.grad(expected, logprobs)
    assert torch.allclose(total / count, expected, atol=1e-6) and torch.allclose(ours, gradient, atol=1e-7)
    assert gradient.abs().sum() > 0


@pytest.mark.parametrize(("how", "length"), [("sequence", None), ("token", None), ("constant", 16)])
def test_however_a_batch_is_cut_the_loss_is_the_same(how, length):
    losses, mask = torch.randn(6, 12, generator=torch.Generator().manual_seed(1)), drawn()[-1]
    total, count = aggregated(losses, mask, how, length=length)
    for cuts in ([1, 5], [2, 2, 2], [3, 1, 2]):
        parts = [
            aggregated(*part, how, length=length) for part in zip(losses.split(cuts), mask.split(cuts), strict=True)
        ]
        assert sum(n for _, n in parts) == count
        assert torch.allclose(sum(value for value, _ in parts), total, atol=1e-5)


def test_what_a_token_weighs_is_what_the_aggregations_differ_in():
    mask = torch.tensor([[True] * 8, [True] * 2 + [False] * 6])
    weights = {}
    for how, length in (("sequence", None), ("token", None), ("constant", 8)):
        losses = torch.zeros(2, 8, requires_grad=True)
        total, count = aggregated(losses, mask, how, length=length)
        weights[how] = torch.autograd.grad(total / count, losses)[0]
        assert (weights[how][~mask] == 0).all()
    assert weights["sequence"][0, 0].item() == pytest.approx(1 / 16)
    assert weights["sequence"][1, 0].item() == pytest.approx(1 / 4)
    assert (weights["token"][mask] == 0.1).all() and (weights["constant"][mask] == 1 / 16).all()


def test_an_answer_that_is_masked_as_a_whole():
    losses, mask = torch.ones(3, 4), torch.tensor([[True] * 4, [False] * 4, [True] * 2 + [False] * 2])
    assert aggregated(losses, mask, "sequence")[1] == 2
    assert aggregated(losses, mask, "token")[1] == 6
    assert aggregated(losses, mask, "constant", length=4)[1] == 3
    losses[1] = torch.nan  # what is masked is not read
    assert float(aggregated(losses, mask, "sequence")[0]) == 2


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
        (lambda: group_advantages(torch.ones(3, 1)), "draw at least 2"),
        (lambda: mixed(torch.ones(3, 1)), "draw at least 2"),
        (lambda: group_advantages(torch.tensor([[1.0, torch.nan]])), "not a finite number"),
        (lambda: group_advantages(torch.ones(2, 2), epsilon=-1.0), "at least 0"),
        (lambda: aggregated(torch.ones(2, 3), torch.zeros(2, 3, dtype=torch.bool), "token"), "nothing to learn"),
        (lambda: aggregated(torch.ones(2, 3), torch.ones(2, 3, dtype=torch.bool), "constant"), "needs the length"),
        (lambda: aggregated(torch.ones(2, 3), torch.ones(2, 3, dtype=torch.bool), "token", length=3), "no other one"),
        (lambda: aggregated(torch.ones(2, 3), torch.ones(2, 3, dtype=torch.bool), "constant", length=2), "at least 3"),
        (lambda: overlong(torch.tensor([3]), max_length=4, margin=5), "at most 4"),
        (lambda: overlong(torch.tensor([3]), max_length=4, margin=2, penalty=0.0), "above 0"),
    ],
)  # fmt: skip
def test_bad_input_is_one_sentence(make, says):
    with pytest.raises(BadInput, match=says):
        make()
