"""The three estimators, value and gradient, against KL divergences that are summed over every token."""

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from insideout import estimates
from insideout.finetuning import divergence

ESTIMATORS = {"k1": divergence.k1, "k2": divergence.k2, "k3": divergence.k3}


def pair(seed, n_tokens=6):
    generator = torch.Generator().manual_seed(seed)
    logits = [torch.randn(n_tokens, generator=generator, dtype=torch.float64) for _ in range(2)]
    return logits[0].requires_grad_(), logits[1].log_softmax(-1)


def gradient(value, of):
    return torch.autograd.grad(value, of, retain_graph=True)[0]


def kl(p, q):
    return (p.exp() * (p - q)).sum()


@pytest.mark.parametrize("seed", range(5))
def test_values_and_gradients_against_enumeration(seed):
    logits, reference = pair(seed)
    logprobs = logits.log_softmax(-1)
    p = logprobs.detach().exp()  # how often each token is drawn: no part of an estimator's gradient
    mean = {name: (p * estimator(logprobs, reference)).sum() for name, estimator in ESTIMATORS.items()}
    forward, reverse = kl(reference, logprobs), kl(logprobs, reference)
    assert divergence.exact(logprobs, reference).item() == pytest.approx(reverse.item())
    assert mean["k1"].item() == pytest.approx(reverse.item()) and mean["k3"].item() == pytest.approx(reverse.item())
    assert abs(mean["k2"].item() / reverse.item() - 1) > 1e-3, "k2 is biased"
    torch.testing.assert_close(gradient(mean["k1"], logits), torch.zeros_like(logits))
    torch.testing.assert_close(gradient(mean["k2"], logits), gradient(reverse, logits))
    torch.testing.assert_close(gradient(mean["k3"], logits), gradient(forward, logits))
    assert (gradient(mean["k3"], logits) - gradient(reverse, logits)).abs().max() > 1e-3


@pytest.mark.parametrize("seed", range(3))
def test_k1_in_the_reward_has_the_gradient_that_it_has_not_in_the_loss(seed):
    logits, reference = pair(seed)
    logprobs = logits.log_softmax(-1)
    p = logprobs.detach().exp()
    in_the_reward = (p * divergence.k1(logprobs, reference).detach() * logprobs).sum()
    torch.testing.assert_close(gradient(in_the_reward, logits), gradient(kl(logprobs, reference), logits))


def test_by_hand():
    """A token of probability 1/2, 1/4 in the reference: d = ln 2."""
    logprobs, reference = torch.tensor([0.5]).log(), torch.tensor([0.25]).log()
    ln2 = 0.69314718
    found = [estimator(logprobs, reference).item() for estimator in ESTIMATORS.values()]
    assert found == pytest.approx([ln2, ln2**2 / 2, 0.5 - 1 + ln2])
    assert found == pytest.approx([getattr(estimates, name)(ln2) for name in ESTIMATORS])


@settings(max_examples=60, deadline=None)
@given(st.floats(-30, 0), st.floats(-1e-3, 1e-3), st.sampled_from([torch.float32, torch.float64, torch.bfloat16]))
def test_k3_is_never_negative(logprob, difference, dtype):
    a, b = (torch.full((64,), value).to(dtype) for value in (logprob, logprob + difference))
    assert (divergence.k3(a, b) >= 0).all()


def test_k3_is_never_negative_however_near_they_are():
    """Where the plain difference is: each of these has its sign wrong somewhere."""
    d = torch.cat([sign * torch.logspace(-12, 1, 20_001) for sign in (-1, 1)])
    zero = torch.zeros_like(d)
    assert (divergence.k3(zero, d) >= 0).all()
    assert ((d.exp() - 1 - d) < 0).any()


def test_what_a_policy_never_says_adds_nothing():
    logprobs = torch.tensor([0.5, 0.5, 0.0]).log()
    reference = torch.tensor([0.25, 0.5, 0.25]).log()
    assert divergence.exact(logprobs, reference).item() == pytest.approx(0.34657359)
    assert divergence.exact(logprobs, torch.tensor([0.5, 0.5, 0.0]).log()).item() == 0
    assert divergence.exact(reference, logprobs).item() == float("inf")
