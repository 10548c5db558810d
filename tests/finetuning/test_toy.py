"""The countable toy: everything adds up, and the best policy is the best one."""

import math
from itertools import product

import pytest
import torch

from insideout.errors import BadInput
from insideout.finetuning import divergence, losses
from insideout.finetuning.advantages import leave_one_out
from insideout.finetuning.policy import reinforce
from insideout.finetuning.toy import Toy

TOY = Toy(n_tokens=2, longest=3)


def table(seed, toy=TOY):
    generator = torch.Generator().manual_seed(seed)
    return torch.randn(toy.n_prefixes, toy.vocab_size, generator=generator, dtype=torch.float64)


REWARDS = torch.randn(15, generator=torch.Generator().manual_seed(9), dtype=torch.float64)


def test_all_answers_are_listed_once():
    expected = {(2,), (0, 2), (1, 2), *product((0, 1), (0, 1), (0, 1, 2))}
    assert set(TOY.answers) == expected and len(TOY.answers) == 15
    assert list(TOY.prefixes) == [(), (0,), (1,), (0, 0), (0, 1), (1, 0), (1, 1)]
    assert Toy(n_tokens=3, longest=1).answers == [(0,), (1,), (2,), (3,)]
    for toy in (TOY, Toy(4, 1), Toy(1, 4)):
        assert toy.logprobs(table(0, toy)).exp().sum().item() == pytest.approx(1)


def test_an_answer_s_probability_by_hand():
    logits = torch.zeros(7, 3)
    logits[0] = torch.tensor([0.5, 0.25, 0.25]).log()
    logits[1] = torch.tensor([0.1, 0.1, 0.8]).log()  # after (0,)
    p = dict(zip(TOY.answers, TOY.logprobs(logits).exp().tolist(), strict=True))
    assert p[2,] == pytest.approx(0.25) and p[0, 2] == pytest.approx(0.4) and p[0, 1, 2] == pytest.approx(0.05 / 3)


def test_kl_and_entropy_are_sums_over_places_too():
    """The chain rule: KL of answers is the sum of KL at each beginning, as often as it is reached."""
    p, q = table(1), table(2)
    reached = torch.zeros(7, dtype=torch.float64)
    for answer, probability in zip(TOY.answers, TOY.logprobs(p).exp(), strict=True):
        for t in range(len(answer)):
            reached[TOY.prefixes[answer[:t]]] += probability
    at_each = divergence.exact(p.log_softmax(-1), q.log_softmax(-1))
    assert TOY.kl(p, q).item() == pytest.approx((reached * at_each).sum().item())
    local = -(p.softmax(-1) * p.log_softmax(-1)).sum(-1)
    assert TOY.entropy(p).item() == pytest.approx((reached * local).sum().item())
    assert TOY.kl(p, p).item() == pytest.approx(0)


def test_the_gradient_is_the_expected_one_of_reinforce_with_the_penalty_in_the_reward():
    logits, reference = table(3).requires_grad_(), table(4)
    exact = TOY.gradient(logits, reference, REWARDS, beta=0.3)
    logprobs = TOY.logprobs(logits)
    earned = REWARDS - 0.3 * divergence.k1(logprobs, TOY.logprobs(reference))
    expected = (logprobs.detach().exp() * reinforce(logprobs, earned)).sum()
    torch.testing.assert_close(-torch.autograd.grad(expected, logits)[0], exact)


def test_leaving_one_out_estimates_the_gradient_and_its_error_falls_as_it_should():
    """Drawn answers: the mean of many estimates lies within their own error of the exact gradient."""
    logits, reference = table(5).requires_grad_(), table(5)
    exact = TOY.gradient(logits, reference, REWARDS, beta=0.0)
    drawn = TOY.draw(logits, 4 * 600, seed=1).view(600, 4)
    logprobs = TOY.logprobs(logits)
    advantages = leave_one_out(REWARDS[drawn])
    estimates = torch.stack([
        torch.autograd.grad(-reinforce(logprobs[row], a).mean(), logits, retain_graph=True)[0].flatten()
        for row, a in zip(drawn, advantages, strict=True)
    ])  # fmt: skip
    error = estimates.std(0) / 600**0.5
    assert ((estimates.mean(0) - exact.flatten()).abs() <= 4 * error + 1e-12).all()


def test_the_tilted_reference_is_the_best_policy():
    reference, beta = table(6), 0.7
    best = TOY.tilted(TOY.logprobs(reference), REWARDS, beta=beta)
    policy = TOY.policy_of(best)
    torch.testing.assert_close(TOY.logprobs(policy), best)
    value = TOY.objective(policy, reference, REWARDS, beta=beta).item()
    partition = (TOY.logprobs(reference) + REWARDS / beta).logsumexp(-1).item()
    assert value == pytest.approx(beta * partition)
    assert TOY.gradient(policy, reference, REWARDS, beta=beta).abs().max() < 1e-12
    for seed in range(20, 60):
        assert TOY.objective(policy + 0.3 * table(seed), reference, REWARDS, beta=beta) < value


def test_dpo_s_lowest_loss_is_the_tilted_reference():
    """Over all pairs, preferred as Bradley and Terry say: no gradient at π*, and some elsewhere."""
    reference, beta = TOY.logprobs(table(7)), 0.7
    best = TOY.policy_of(TOY.tilted(reference, REWARDS, beta=beta))
    a, b = (torch.tensor(each) for each in zip(*product(range(15), repeat=2), strict=True))
    prefers = torch.sigmoid(REWARDS[a] - REWARDS[b])
    slopes = []
    for policy in (best, table(8)):
        logits = policy.clone().requires_grad_()
        logprobs = TOY.logprobs(logits)
        loss = prefers * losses.dpo(logprobs[a], logprobs[b], reference[a], reference[b], beta=beta)
        slopes.append(torch.autograd.grad(loss.sum(), logits)[0].abs().max().item())
    assert slopes[0] < 1e-9 < 1e-2 < slopes[1]


@pytest.mark.parametrize("kl", [0.01, 0.3, 1.0])
def test_nothing_is_better_at_the_same_kl(kl):
    reference = TOY.logprobs(table(6))
    best, beta = TOY.best_at(kl, reference, REWARDS)
    assert divergence.exact(best, reference).item() == pytest.approx(kl, rel=1e-6) and beta > 0
    reward = (best.exp() * REWARDS).sum().item()
    for seed in range(30):
        other = (best + 0.5 * torch.randn(15, generator=torch.Generator().manual_seed(seed))).log_softmax(-1)
        if divergence.exact(other, reference) <= kl:
            assert (other.exp() * REWARDS).sum() < reward
    for n in (2, 4, 8):
        chosen = TOY.best_of(n, reference, REWARDS)
        at = divergence.exact(chosen, reference).item()
        optimum, _ = TOY.best_at(at, reference, REWARDS)
        assert (chosen.exp() * REWARDS).sum() <= (optimum.exp() * REWARDS).sum() + 1e-9


def test_best_of_n_against_every_pair_of_draws():
    """Also where rewards tie: of equally good ones the first counts."""
    logprobs, rewards = TOY.logprobs(table(2)), REWARDS.round()
    assert len(set(rewards.tolist())) < 8
    found = torch.zeros(15, dtype=torch.float64)
    for a, b in product(range(15), repeat=2):
        found[b if rewards[b] > rewards[a] else a] += (logprobs[a] + logprobs[b]).exp()
    torch.testing.assert_close(TOY.best_of(2, logprobs, rewards).exp(), found)
    torch.testing.assert_close(TOY.best_of(1, logprobs, rewards), logprobs)


def test_draws_are_as_frequent_as_they_are_likely():
    logits = table(2)
    share = torch.bincount(TOY.draw(logits, 20_000, seed=0), minlength=15) / 20_000
    assert (share - TOY.logprobs(logits).exp()).abs().max() < 0.02
    assert torch.equal(TOY.draw(logits, 50, seed=3), TOY.draw(logits, 50, seed=3))


def test_what_cannot_be_counted_is_refused():
    reference = TOY.logprobs(table(6))
    for wrong in (
        lambda: Toy(0, 3), lambda: Toy(100, 10), lambda: TOY.logprobs(torch.zeros(3, 3)),
        lambda: TOY.tilted(reference, REWARDS, beta=0.0), lambda: TOY.best_at(0.0, reference, REWARDS),
        lambda: TOY.best_at(math.inf, reference, REWARDS), lambda: TOY.best_of(0, reference, REWARDS),
    ):  # fmt: skip
        with pytest.raises(BadInput):
            wrong()
