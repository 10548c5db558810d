"""Losses of preferences: each has a value and a gradient worked out by hand, in which no two numbers coincide.

With a margin of ln 3, σ = 3/4: the loss is ln(4/3), and its slope in the margin −1/4.
"""

import math

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from insideout.errors import BadInput
from insideout.finetuning import losses

LN3 = math.log(3)


def numbers(*values):
    return torch.tensor(values, dtype=torch.float64, requires_grad=True)


def gradients(loss, *inputs):
    return [None if g is None else g.tolist() for g in torch.autograd.grad(loss.sum(), inputs, allow_unused=True)]


def test_bradley_terry_by_hand():
    chosen, rejected = numbers(LN3, 0.5, 2.0 + LN3), numbers(0.0, 0.5, 1.0)
    loss = losses.bradley_terry(chosen, rejected)
    assert loss[:2].tolist() == pytest.approx([math.log(4 / 3), math.log(2)])
    assert gradients(loss[:2], chosen, rejected) == [
        pytest.approx([-0.25, -0.5, 0]),
        pytest.approx([0.25, 0.5, 0]),
    ]
    assert losses.bradley_terry(chosen, rejected, margin=1.0)[2].item() == pytest.approx(math.log(4 / 3))
    own = torch.tensor([0.0, 0.0, 1.0], dtype=torch.float64)
    assert losses.bradley_terry(chosen, rejected, margin=own).tolist() == pytest.approx(
        [math.log(4 / 3), math.log(2), math.log(4 / 3)]
    )


def test_centring_by_hand():
    chosen, rejected = numbers(3.0), numbers(-1.0)
    loss = losses.centring(chosen, rejected)
    assert loss.tolist() == [4.0] and gradients(loss, chosen, rejected) == [[4.0], [4.0]]


def test_dpo_by_hand():
    """β = 1/2, the chosen answer up by 3 ln 3 nats and the rejected one by ln 3: a margin of ln 3."""
    policy = numbers(-5 + 3 * LN3), numbers(-7 + LN3)
    reference = numbers(-5.0), numbers(-7.0)
    loss = losses.dpo(*policy, *reference, beta=0.5)
    assert loss.item() == pytest.approx(math.log(4 / 3))
    assert gradients(loss, *policy) == [pytest.approx([-0.125]), pytest.approx([0.125])]
    assert losses.dpo(*reference, *reference, beta=0.5).item() == pytest.approx(math.log(2)), "doing nothing"


def test_cdpo_by_hand():
    """A fifth of −log σ(−ln 3) = ln 4, four fifths of ln(4/3); slope 1/2 (−4/5 · 1/4 + 1/5 · 3/4) = −1/40."""
    policy, reference = (numbers(-5 + 3 * LN3), numbers(-7 + LN3)), (numbers(-5.0), numbers(-7.0))
    loss = losses.dpo(*policy, *reference, beta=0.5, label_smoothing=0.2)
    assert loss.item() == pytest.approx(0.8 * math.log(4 / 3) + 0.2 * math.log(4))
    assert gradients(loss, *policy) == [pytest.approx([-0.025]), pytest.approx([0.025])]


@settings(max_examples=20, deadline=None)
@given(st.floats(0.05, 0.45), st.floats(0.05, 2))
def test_cdpo_is_lowest_where_the_margin_says_the_share_of_errors(share, beta):
    margin = math.log((1 - share) / share)
    policy = numbers(margin / beta), numbers(0.0)
    zero = torch.zeros(1, dtype=torch.float64)
    loss = losses.dpo(*policy, zero, zero, beta=beta, label_smoothing=share)
    assert gradients(loss, *policy)[0] == pytest.approx([0], abs=1e-9)


def test_ipo_by_hand():
    """β = 1/4: the target is 2. The policy prefers by 3 nats, the reference by −2: (5 − 2)² = 9, slope 6."""
    policy, reference = (numbers(-4.0), numbers(-7.0)), (numbers(-6.0), numbers(-4.0))
    loss = losses.ipo(*policy, *reference, beta=0.25)
    assert loss.tolist() == [9.0] and gradients(loss, *policy) == [[6.0], [-6.0]]
    on_target = losses.ipo(numbers(-5.0), numbers(-5.0), *reference, beta=0.25)
    assert on_target.tolist() == [0.0]


def test_ipo_is_of_sums_and_of_means_if_it_is_given_means():
    """The same answers, of 2 and 4 tokens, once as sums and once as means."""
    sums = (-4.0, -7.0, -6.0, -4.0)
    means = [total / n for total, n in zip(sums, (2, 4, 2, 4), strict=True)]
    of_sums, of_means = (losses.ipo(*map(numbers, values), beta=0.25).item() for values in (sums, means))
    assert of_sums == 9 and of_means == pytest.approx(((-2 + 7 / 4) - (-3 + 1) - 2) ** 2) and of_sums != of_means


def test_kto_by_hand():
    """β = 1/2 and z = ln 3: a good answer at r = 3 ln 3 and a bad one at r = −ln 3 are both worth σ(ln 3) = 3/4.

    Slope of 1 − σ(β(r − z)) in r: −β σ(1 − σ) = −1/2 · 3/16, times the weight, and the other way for the bad one.
    """
    policy, reference = numbers(-2 + 3 * LN3, -2 - LN3), numbers(-2.0, -2.0)
    desirable, point = torch.tensor([True, False]), torch.tensor(LN3, dtype=torch.float64)
    loss = losses.kto(policy, reference, desirable, point, beta=0.5, desirable_weight=2.0, undesirable_weight=4.0)
    assert loss.tolist() == pytest.approx([2 / 4, 4 / 4])
    assert gradients(loss, policy) == [pytest.approx([-2 * 3 / 32, 4 * 3 / 32])]
    turned = losses.kto(policy, reference, ~desirable, point, beta=0.5)
    assert turned.tolist() == pytest.approx([3 / 4, 3 / 4])


@pytest.mark.parametrize(("n", "expected"), [(2, [1, 0]), (3, [1, 2, 0]), (5, [1, 2, 3, 4, 0])])
def test_kto_reads_every_prompt_with_another_ones_answer(n, expected):
    mismatched = losses.kto_mismatches(n)
    assert mismatched == expected and sorted(mismatched) == list(range(n))
    assert all(own != other for own, other in enumerate(mismatched))


def test_kto_refuses_a_batch_in_which_there_is_no_other_answer():
    with pytest.raises(BadInput, match="this batch has 1"):
        losses.kto_mismatches(1)


@pytest.mark.parametrize(
    ("log_ratios", "expected"), [([2.0, -1.0], 0.5), ([3.0, -1.0, 1.0], 1.0), ([-2.0, 1.0], 0.0), ([0.5], 0.5)]
)
def test_ktos_reference_point_by_hand(log_ratios, expected):
    """The mean, at least 0, and nothing is learned by it. A part of an accumulated batch may hold one number."""
    policy, reference = numbers(*log_ratios), torch.zeros(len(log_ratios), dtype=torch.float64)
    point = losses.kto_reference_point(policy, reference)
    assert point.item() == expected and not point.requires_grad


def test_simpo_by_hand():
    """β = 2: means −1/2 and −2 are 3 apart, less γ = 3 − ln 3. Slopes −1/4 · 2 / length, and the other way."""
    policy, lengths = (numbers(-2.0), numbers(-6.0)), (numbers(4.0), numbers(3.0))
    loss = losses.simpo(*policy, *lengths, beta=2.0, gamma=3 - LN3)
    assert loss.item() == pytest.approx(math.log(4 / 3))
    assert gradients(loss, *policy) == [pytest.approx([-0.125]), pytest.approx([1 / 6])]


def test_orpo_by_hand():
    """Tokens of probability 3/4 and 1/2: odds 3 and 1, their ratio 3, so that −log σ(ln 3) = ln(4/3).

    d log odds / d log p = 1 / (1 − p), 4 and 2. Slopes in the sums: −1/2 − λ/4 · 4/2 and λ/4 · 2/3.
    """
    policy, lengths = (numbers(2 * math.log(3 / 4)), numbers(3 * math.log(1 / 2))), (numbers(2.0), numbers(3.0))
    loss = losses.orpo(*policy, *lengths, weight=0.6)
    assert loss.item() == pytest.approx(math.log(4 / 3) + 0.6 * math.log(4 / 3))
    assert gradients(loss, *policy) == [pytest.approx([-0.5 - 0.3]), pytest.approx([0.1])]


def test_orpos_odds_keep_their_digits_near_certainty():
    p = torch.tensor([-1e-6, -20.0])
    assert losses.log_odds(p).tolist() == pytest.approx([-math.log(1e-6), -20.0], rel=1e-5)


A = torch.tensor([-3.0, -4.0])
FOUR = (A, A - 1, A, A)


@pytest.mark.parametrize(
    "wrong",
    [
        lambda: losses.dpo(*FOUR, beta=0.0),
        lambda: losses.dpo(*FOUR, beta=-0.1),
        lambda: losses.dpo(*FOUR, beta=math.nan),
        lambda: losses.dpo(*FOUR, beta=0.1, label_smoothing=0.5),
        lambda: losses.dpo(*FOUR, beta=0.1, label_smoothing=-0.1),
        lambda: losses.ipo(*FOUR, beta=0.0),
        lambda: losses.kto(A, A, A < 0, torch.tensor(0.0), beta=math.inf),
        lambda: losses.simpo(A, A, -A, -A, beta=1.0, gamma=-1.0),
        lambda: losses.orpo(A, A, -A, -A, weight=0.0),
    ],
)
def test_settings_out_of_range_are_refused(wrong):
    with pytest.raises(BadInput, match="must be"):
        wrong()


def test_equal_to_trl():
    """Where trl is installed: its own formulas on the same numbers."""
    trl = pytest.importorskip("trl", reason="trl is not installed")
    from types import SimpleNamespace

    generator = torch.Generator().manual_seed(0)
    values = [-20 * torch.rand(7, generator=generator) for _ in range(4)]
    asked = SimpleNamespace(beta=0.3, loss_type="kto", desirable_weight=1.2, undesirable_weight=0.7,
                            calculate_KL=True, accelerator=SimpleNamespace(gather_for_metrics=lambda x: x))  # fmt: skip
    mismatched, reference = (-5 * torch.rand(14, generator=generator) for _ in range(2))
    try:
        chosen, rejected, *_ = trl.KTOTrainer.kto_loss(asked, *values, mismatched, reference)
    except (AttributeError, TypeError) as error:
        pytest.skip(f"this trl computes it elsewhere: {error}")
    point = losses.kto_reference_point(mismatched, reference)
    weights = {"beta": 0.3, "desirable_weight": 1.2, "undesirable_weight": 0.7}
    good, bad = (torch.full((7,), truth) for truth in (True, False))
    torch.testing.assert_close(losses.kto(values[0], values[2], good, point, **weights), chosen)
    torch.testing.assert_close(losses.kto(values[1], values[3], bad, point, **weights), rejected)
