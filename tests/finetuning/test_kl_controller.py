"""The price of the leash: one step by hand, its bounds, where it settles, and what it refuses."""

import math

import pytest

from insideout.errors import BadInput
from insideout.finetuning.kl_controller import AdaptiveKL, FixedKL


@pytest.mark.parametrize(
    ("kl", "factor"),
    [(6.0, 1.0), (6.6, 1.01), (5.4, 0.99), (60.0, 1.02), (0.0, 0.98), (-1.0, 0.98)],  # 0.1 of an error of 0.2 at most
)
def test_one_step_by_hand(kl: float, factor: float) -> None:
    controller = AdaptiveKL(beta=0.1, target=6.0, horizon=1000)
    controller.update(kl, n=100)
    assert controller.beta == pytest.approx(0.1 * factor, rel=1e-12)


def test_it_finds_the_price_at_which_the_policy_stays_where_it_should() -> None:
    """A policy whose KL is 1 / β², as for small differences: a KL of 4 is the price 0.5, from wherever one begins."""
    for begin in (0.05, 5.0):
        controller = AdaptiveKL(beta=begin, target=4.0, horizon=100)
        for _ in range(600):
            controller.update(1 / controller.beta**2, n=10)
        assert controller.beta == pytest.approx(0.5, rel=1e-3)


def test_the_more_answers_the_larger_the_step_and_a_whole_horizon_moves_a_fifth() -> None:
    controller = AdaptiveKL(beta=1.0, target=1.0, horizon=64)
    controller.update(100.0, n=64)
    assert controller.beta == pytest.approx(1.2)


def test_a_fixed_price_stays() -> None:
    controller = FixedKL(0.2)
    controller.update(50.0, n=10_000)
    assert controller.beta == 0.2
    assert FixedKL(0.0).beta == 0


@pytest.mark.parametrize(
    ("make", "said"),
    [
        (lambda: FixedKL(-0.1), "beta is -0.1: it must be at least 0"),
        (lambda: FixedKL(math.nan), "beta is nan; it must be finite"),
        (lambda: AdaptiveKL(0.0, 6.0, 1000), "beta is 0.0: it must be a finite number above 0"),
        (lambda: AdaptiveKL(0.1, 0.0, 1000), "target is 0.0"),
        (lambda: AdaptiveKL(0.1, 6.0, 0), "horizon is 0; it must be at least 1"),
        (lambda: AdaptiveKL(0.1, 6.0, 10).update(1.0, n=0), "n is 0; it must be at least 1"),
        (lambda: AdaptiveKL(0.1, 6.0, 100).update(1.0, n=101), "longer than the horizon, 100"),
        (lambda: AdaptiveKL(0.1, 6.0, 100).update(math.inf, n=10), "The KL is inf"),
        (lambda: FixedKL(0.1).update(math.nan, n=10), "The KL is nan"),
    ],
)
def test_what_cannot_be_is_one_sentence(make, said: str) -> None:
    with pytest.raises(BadInput, match=said.replace("(", r"\(")):
        make()


def test_nothing_is_changed_by_what_is_refused() -> None:
    controller = AdaptiveKL(0.1, 6.0, 100)
    with pytest.raises(BadInput):
        controller.update(math.nan, n=10)
    assert controller.beta == 0.1
