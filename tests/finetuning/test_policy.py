"""Losses of a policy: values and gradients by hand, PPO's clip in its four cases."""

import math

import pytest
import torch

from insideout.errors import BadInput
from insideout.finetuning.policy import clipped, entropy, ppo, reinforce, value_loss


def numbers(*values):
    return torch.tensor(values, dtype=torch.float64, requires_grad=True)


def gradient(loss, of):
    return torch.autograd.grad(loss.sum(), of)[0].tolist()


def test_reinforce_by_hand():
    logprobs, advantages = numbers(-1.0, -0.5), numbers(3.0, -2.0)
    loss = reinforce(logprobs, advantages)
    assert loss.tolist() == [3.0, -1.0] and gradient(loss, logprobs) == [-3.0, 2.0]
    assert not torch.autograd.grad(reinforce(logprobs, advantages).sum(), advantages, allow_unused=True)[0]


def test_reinforce_has_the_gradient_of_the_expected_reward():
    logits, rewards = numbers(0.3, -0.2, 0.5), numbers(1.0, 2.0, 4.0)
    expected = gradient(-(logits.softmax(-1) * rewards).sum(), logits)
    loss = logits.softmax(-1).detach() * reinforce(logits.log_softmax(-1), rewards)
    assert gradient(loss, logits) == pytest.approx(expected)


@pytest.mark.parametrize(
    ("ratio", "advantage", "loss", "slope"),
    [
        # slope in log π: −ratio · A where it is followed, 0 where it is clipped
        (1.5, 2.0, -2.4, 0.0),  # likelier than before, and good: enough
        (0.5, 2.0, -1.0, -1.0),  # less likely, though good: back up
        (1.5, -2.0, 3.0, 3.0),  # likelier, though bad: back down
        (0.5, -2.0, 1.6, 0.0),  # less likely, and bad: enough
        (1.1, 2.0, -2.2, -2.2),
        (0.9, -2.0, 1.8, 1.8),
        (1.0, 2.0, -2.0, -2.0),  # the first minibatch: the plain policy gradient
    ],
)
def test_ppos_clip_in_its_four_cases_and_between(ratio, advantage, loss, slope):
    logprobs, old, advantages = numbers(math.log(ratio) - 1), numbers(-1.0), numbers(advantage)
    found = ppo(logprobs, old, advantages, clip=0.2)
    assert found.item() == pytest.approx(loss) and gradient(found, logprobs) == pytest.approx([slope])
    assert clipped(logprobs, old, advantages, clip=0.2).item() == (slope == 0.0)
    others = torch.autograd.grad(ppo(logprobs, old, advantages).sum(), [old, advantages], allow_unused=True)
    assert others[0] is None and others[1] is None


def test_the_upper_side_may_be_wider():
    logprobs, old, good = numbers(math.log(1.25)), numbers(0.0), numbers(1.0)
    assert gradient(ppo(logprobs, old, good, clip=0.2), logprobs) == [0.0]
    assert gradient(ppo(logprobs, old, good, clip=0.2, clip_high=0.28), logprobs) == pytest.approx([-1.25])
    for clip, high in ((0.0, None), (1.0, None), (0.2, 0.0)):
        with pytest.raises(BadInput, match="clip"):
            ppo(logprobs, old, good, clip=clip, clip_high=high)


def test_value_loss_by_hand():
    """From 1 to 3 with a return of 2.5: within 0.5 the value would stand at 1.5. The larger error counts."""
    values, old, returns = numbers(3.0), numbers(1.0), numbers(2.5)
    plain = value_loss(values, old, returns)
    assert plain.item() == 0.125 and gradient(plain, values) == [0.5]
    held = value_loss(values, old, returns, clip=0.5)
    assert held.item() == 0.5 and gradient(held, values) == [0.0], "it went beyond its interval: no further"
    near = value_loss(numbers(1.2), old, returns, clip=0.5)
    assert near.item() == pytest.approx(0.845)
    wrong_way = numbers(0.0)
    back = value_loss(wrong_way, old, returns, clip=0.5)
    assert back.item() == 3.125 and gradient(back, wrong_way) == [-2.5], "away from the return: always pulled back"
    with pytest.raises(BadInput, match="above 0"):
        value_loss(values, old, returns, clip=0.0)


def test_entropy_by_hand():
    """p = (1/2, 1/4, 1/4): H = 3/2 ln 2, and its slope in a logit is −p (log p + H)."""
    logits = numbers(math.log(2), 0.0, 0.0)
    H, ln2 = entropy(logits), math.log(2)
    assert H.item() == pytest.approx(1.5 * ln2)
    assert gradient(H, logits) == pytest.approx([-0.5 * (-ln2 + 1.5 * ln2), *[-0.25 * (-2 * ln2 + 1.5 * ln2)] * 2])
    impossible = torch.tensor([0.0, 0.0, -math.inf], requires_grad=True)
    assert entropy(impossible).item() == pytest.approx(ln2)
    assert all(math.isfinite(each) for each in gradient(entropy(impossible), impossible))
