"""Distances of pictures: equal to other forms of the same formula, to closed forms, and to counting by hand."""

import math

import pytest
import torch

from insideout.errors import BadInput
from insideout.estimates import binomial_test, interval
from insideout.images import distances


def normal(n, width, seed=0, scale=1.0, shift=0.0):
    generator = torch.Generator().manual_seed(seed)
    return torch.randn(n, width, generator=generator, dtype=torch.float64) * scale + shift


def skewed(n, width, seed):
    """Correlated features of unequal size."""
    return normal(n, width, seed) @ normal(width, width, seed + 100) + normal(1, width, seed + 200)


def test_fid_is_the_formula_with_a_root_of_the_product():
    ours, theirs = skewed(60, 12, 1), skewed(45, 12, 2)
    c1, c2 = torch.cov(ours.T), torch.cov(theirs.T)
    trace_of_root = torch.linalg.eigvals(c1 @ c2).sqrt().sum().real  # of C₁C₂ itself, which is not symmetric
    expected = (ours.mean(0) - theirs.mean(0)).square().sum() + c1.trace() + c2.trace() - 2 * trace_of_root
    assert distances.fid(ours, theirs) == pytest.approx(expected.item(), rel=1e-9)
    assert distances.fid(theirs, ours) == pytest.approx(expected.item(), rel=1e-9)


def test_fid_is_scipys():
    linalg = pytest.importorskip("scipy.linalg")
    ours, theirs = skewed(60, 12, 1), skewed(45, 12, 2)
    c1, c2 = torch.cov(ours.T).numpy(), torch.cov(theirs.T).numpy()
    root = linalg.sqrtm(c1 @ c2).real
    expected = (ours.mean(0) - theirs.mean(0)).square().sum().item() + (c1 + c2 - 2 * root).trace()
    assert distances.fid(ours, theirs) == pytest.approx(expected, rel=1e-6)


def whitened(n, width, seed):
    """Features with mean 0 and covariance I, exactly."""
    rows = normal(n, width, seed)
    rows = rows - rows.mean(0)
    return torch.linalg.qr(rows).Q * math.sqrt(n - 1)


def test_fid_of_gaussians_in_closed_form():
    rows, others = whitened(50, 4, 1), whitened(70, 4, 2)
    deviations, their_deviations = torch.tensor([1.0, 2.0, 3.0, 0.0]), torch.tensor([2.0, 0.5, 3.0, 4.0])
    shift = torch.tensor([0.0, 1.0, -2.0, 0.5])
    expected = shift.square().sum() + (deviations - their_deviations).square().sum()  # variances that share their axes
    found = distances.fid(rows * deviations.double() + shift, others * their_deviations.double())
    assert found == pytest.approx(expected.item(), rel=1e-9)


def test_fid_of_a_set_and_itself_is_0_in_any_order_and_any_precision():
    rows = skewed(40, 6, 3)
    assert distances.fid(rows, rows.flip(0)) < 1e-9
    assert distances.fid(rows.float(), rows.float()) < 1e-9


def test_fid_is_too_large_on_average_where_kid_is_not():
    draws = [(normal(40, 8, 2 * i), normal(40, 8, 2 * i + 1)) for i in range(200)]
    assert interval(distances.fid(x, y) for x, y in draws).low > 0.5
    _, low, high, _ = interval(distances.kid(x, y) for x, y in draws)
    assert low < 0 < high
    assert high - low < 0.05


def test_kid_is_the_sum_over_pairs():
    ours, theirs = skewed(7, 3, 1), skewed(5, 3, 2)

    def k(x, y):
        return (float(x @ y) / 3 + 1) ** 3

    def mean_over_pairs(rows):
        return (
            sum(k(x, y) for i, x in enumerate(rows) for j, y in enumerate(rows) if i != j) / len(rows) / (len(rows) - 1)
        )

    across = sum(k(x, y) for x in ours for y in theirs) / 35
    expected = mean_over_pairs(ours) + mean_over_pairs(theirs) - 2 * across
    assert distances.kid(ours, theirs) == pytest.approx(expected, rel=1e-12)


def test_parts_of_the_table_of_pairs_make_the_whole(monkeypatch):
    ours, theirs = skewed(9, 3, 1), skewed(8, 3, 2)
    whole = distances.kid(ours, theirs), distances.precision_and_recall(ours, theirs)
    monkeypatch.setattr(distances, "ROWS", 2)
    assert distances.kid(ours, theirs) == pytest.approx(whole[0], rel=1e-12)
    assert distances.precision_and_recall(ours, theirs) == whole[1]


def test_kid_of_shifted_gaussians_in_closed_form():
    expected = closed_form_of_a_shift()
    draws = [distances.kid(normal(30, 1, 2 * i), normal(30, 1, 2 * i + 1, shift=1.0)) for i in range(300)]
    found = interval(draws)
    assert found.low < expected < found.high


def closed_form_of_a_shift():
    """E k − E k + … for N(0, 1) against N(1, 1), from E x, E x², E x³: 0, 1, 0 and 1, 2, 4."""

    def expected_kernel(a, b):
        return 1 + 3 * a[0] * b[0] + 3 * a[1] * b[1] + a[2] * b[2]

    still, moved = (0, 1, 0), (1, 2, 4)
    return expected_kernel(still, still) + expected_kernel(moved, moved) - 2 * expected_kernel(still, moved)


def test_the_interval_of_kid_holds_0_as_often_as_it_says():
    inside = 0
    for i in range(150):
        found = distances.kid_interval(normal(100, 4, 2 * i), normal(100, 4, 2 * i + 1), seed=i)
        inside += found.low <= 0 <= found.high
        assert found.n == 10
    assert binomial_test(inside, 150, 0.95) > 0.001 and inside >= 130
    far = distances.kid_interval(normal(100, 4, 1), normal(100, 4, 2, shift=2.0))
    assert far.low > 1


def test_precision_and_recall_counted_by_hand():
    real = torch.tensor([[0.0], [1.0], [3.0], [10.0]])  # with k = 1 the balls reach 1, 1, 2, 7
    drawn = torch.tensor([[0.5], [2.5], [-1.5], [40.0]])  # 2, 2, 2, 37.5
    assert distances.precision_and_recall(drawn, real, k=1) == (0.5, 1.0)
    assert distances.precision_and_recall(drawn[:3], real, k=1) == (2 / 3, 0.75)
    assert distances.precision_and_recall(real, real, k=1) == (1.0, 1.0)


def test_one_mode_dropped_costs_recall_and_noise_costs_precision():
    real = torch.cat([normal(100, 2, 1), normal(100, 2, 2, shift=20.0)])
    precision, recall = distances.precision_and_recall(normal(200, 2, 3), real)
    assert precision > 0.8 and recall < 0.55
    precision, recall = distances.precision_and_recall(normal(200, 2, 3, scale=30.0), real)
    assert precision < 0.3


MEASURES = [distances.fid, distances.kid, distances.kid_interval, distances.precision_and_recall]


@pytest.mark.parametrize("measure", MEASURES)
def test_what_cannot_be_compared_is_refused(measure):
    good = normal(40, 3)
    with pytest.raises(BadInput, match="features has 3 numbers a picture and reference 4"):
        measure(good, normal(40, 4))
    with pytest.raises(BadInput, match="reference has 1 pictures"):
        measure(good, good[:1])
    broken = good.clone()
    broken[5, 1] = torch.nan
    with pytest.raises(BadInput, match="features has a number that is not finite, first in picture 5"):
        measure(broken, good)
    with pytest.raises(BadInput, match=r"must be \(pictures, features\)"):
        measure(good[:, :0], good)


def test_too_few_pictures_are_refused():
    with pytest.raises(BadInput, match="reference has 8 pictures of 8 features"):
        distances.fid(normal(20, 8), normal(8, 8))
    assert distances.fid(normal(9, 8), normal(9, 8, 1)) > 0
    with pytest.raises(BadInput, match="19 pictures don't fill 10 parts"):
        distances.kid_interval(normal(19, 3), normal(40, 3))
    with pytest.raises(BadInput, match="at least 2 parts"):
        distances.kid_interval(normal(19, 3), normal(40, 3), n_parts=1)
    for k in (0, 5):
        with pytest.raises(BadInput, match=f"k is {k}: it must be at least 1 and below the number of pictures, here 5"):
            distances.precision_and_recall(normal(5, 3), normal(9, 3), k=k)
