"""Statistics: each equals its definition by enumeration, or an independent computation; intervals cover as they say."""

import itertools
import math
import random
import subprocess
import sys
from collections import Counter
from fractions import Fraction
from statistics import fmean

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from insideout import estimates
from insideout.errors import BadInput
from insideout.estimates import (
    auc,
    best_at_k,
    binomial_test,
    bootstrap,
    brier,
    calibration_error,
    cohens_kappa,
    detectable_difference,
    difference,
    interval,
    k1,
    k2,
    k3,
    majority_at_k,
    mcnemar,
    paired_proportions,
    pass_at_k,
    proportion,
    reliability,
    student_cdf,
    student_quantile,
    vote,
    win_rate,
)


def test_it_runs_on_a_bare_python():
    code = "import sys, insideout.estimates; assert not {'numpy', 'torch'} & set(sys.modules), sorted(sys.modules)"
    subprocess.run([sys.executable, "-c", code], check=True)


# Means


@pytest.mark.parametrize("freedom", [1, 2, 3, 4, 5, 10, 29, 30, 31, 100, 999, 1000, 1001, 5000])
@pytest.mark.parametrize("p", [0.025, 0.4, 0.5, 0.8, 0.975, 0.9995])
def test_students_quantiles_equal_the_incomplete_beta_function(freedom, p):
    mpmath = pytest.importorskip("mpmath")
    t = student_quantile(p, freedom)
    tail = mpmath.betainc(freedom / 2, 0.5, 0, freedom / (freedom + t * t), regularized=True) / 2
    assert abs(float(1 - tail if t >= 0 else tail) - p) < 1e-9
    if freedom <= 1000:
        assert abs(student_cdf(t, freedom) - p) < 1e-12


def test_a_table_of_students_quantiles():
    """As printed in Abramowitz and Stegun 1964, table 26.10."""
    for freedom, printed in [(1, 12.706), (2, 4.303), (3, 3.182), (9, 2.262), (30, 2.042), (60, 2.000), (120, 1.980)]:
        assert round(student_quantile(0.975, freedom), 3) == printed


def test_an_interval_by_hand():
    found = interval([1, 2, 3, 6])  # mean 3, s² = (4 + 1 + 0 + 9) / 3, t(3) = 3.18245
    assert found.mean == 3 and found.n == 4
    assert math.isclose(found.half, 3.18244631 * math.sqrt(14 / 3) / 2, rel_tol=1e-8)
    assert difference([3, 5, 9], [1, 4, 4]) == interval([2, 1, 5])


@pytest.mark.parametrize("n", [2, 3, 5, 40])
def test_students_interval_covers_95_percent(n):
    rng, quantile = np.random.default_rng(n), student_quantile(0.975, n - 1)
    x = rng.normal(3, 2, (20_000, n))
    covered = np.abs(x.mean(1) - 3) <= quantile * x.std(1, ddof=1) / math.sqrt(n)
    assert abs(covered.mean() - 0.95) < 0.006  # four standard errors
    for row in x[:20]:
        found = interval(row)
        assert found.low <= 3 <= found.high or abs(found.mean - 3) > found.half


def test_one_run_has_no_interval():
    for samples in ([], [1.0]):
        with pytest.raises(ValueError, match="at least 2 samples"):
            interval(samples)
    with pytest.raises(ValueError):
        difference([1, 2, 3], [1, 2])


def test_a_bootstrap_of_the_mean_nears_students_interval_and_repeats_itself():
    rng = random.Random(0)
    samples = [rng.gauss(0, 1) for _ in range(200)]
    found, student = bootstrap(samples, fmean, seed=1), interval(samples)
    assert found == bootstrap(samples, fmean, seed=1) != bootstrap(samples, fmean, seed=2)
    assert found.mean == student.mean and abs(found.half / student.half - 1) < 0.1


def test_a_bootstrap_of_questions_covers_95_percent_where_one_of_answers_does_not():
    """Eight answers a question, which agree much: only drawing whole questions knows how little they say."""
    rng, covered = random.Random(3), Counter()
    for trial in range(200):
        skills = [rng.random() for _ in range(40)]
        questions = [[rng.random() < skill for _ in range(8)] for skill in skills]
        whole = bootstrap([sum(q) / 8 for q in questions], fmean, n_resamples=100, seed=trial)
        single = bootstrap([a for q in questions for a in q], fmean, n_resamples=100, seed=trial)
        covered.update(whole=whole.low <= 0.5 <= whole.high, single=single.low <= 0.5 <= single.high)
    assert abs(covered["whole"] / 200 - 0.95) < 0.05
    assert covered["single"] / 200 < 0.8


# Shares


@pytest.mark.parametrize(("n", "p"), [(20, 0.5), (20, 0.03), (100, 0.9), (500, 0.99), (7, 0.2)])
def test_wilsons_interval_covers_95_percent(n, p):
    ways = [math.comb(n, k) * p**k * (1 - p) ** (n - k) for k in range(n + 1)]
    covered = sum(w for k, w in enumerate(ways) if proportion(k, n).low <= p <= proportion(k, n).high)
    assert 0.92 < covered < 0.985


def test_wilsons_interval_by_hand_and_at_the_ends():
    found = proportion(7, 10)
    low, high = 0.3967781, 0.8922087  # the roots of (x − 0.7)² = z² x (1 − x) / 10
    assert math.isclose(found.low, low, abs_tol=1e-6) and math.isclose(found.high, high, abs_tol=1e-6)
    for x in (found.low, found.high):
        assert math.isclose((x - 0.7) ** 2, 1.959963985**2 * x * (1 - x) / 10, rel_tol=1e-7)
    assert proportion(0, 12).low == 0 and proportion(0, 12).high > 0.2
    assert proportion(12, 12).high == 1 and proportion(12, 12).low < 0.8
    for wrong in [(3, 2), (-1, 2), (0, 0)]:
        with pytest.raises(BadInput):
            proportion(*wrong)


@pytest.mark.parametrize(("both", "gained", "lost"), [(0.5, 0.2, 0.1), (0.9, 0.02, 0.01), (0.3, 0.3, 0.3), (0, 0.1, 0)])
def test_paired_proportions_cover_95_percent(both, gained, lost):
    rng = np.random.default_rng(5)
    counts = rng.multinomial(80, [both, gained, lost, 1 - both - gained - lost], size=4000)
    covered = []
    for a, b, c, d in np.unique(counts, axis=0):
        ours = [True] * (a + b) + [False] * (c + d)
        baseline = [True] * a + [False] * b + [True] * c + [False] * d
        found = paired_proportions(ours, baseline)
        assert math.isclose(found.mean, (b - c) / 80)
        often = (counts == (a, b, c, d)).all(1).sum()
        covered += [found.low <= gained - lost <= found.high] * int(often)
    assert 0.935 < fmean(covered) < (0.97 if gained + lost > 0.2 else 1)  # cautious where they hardly disagree


def test_paired_proportions_by_hand():
    ours, baseline = [True] * 6 + [False] * 4, [True] * 4 + [False] * 5 + [True]
    found = paired_proportions(ours, baseline)  # gained 2, lost 1: 3/12 and 2/12
    half = 1.959963985 * math.sqrt((3 / 12 + 2 / 12 - (1 / 12) ** 2) / 12)
    assert math.isclose(found.mean, 0.1)
    assert math.isclose(found.low, 1 / 12 - half, rel_tol=1e-8) and math.isclose(
        found.high, 1 / 12 + half, rel_tol=1e-8
    )


@pytest.mark.parametrize(("n", "chance"), [(1, 0.5), (6, 0.25), (9, 0.5), (5, 0.1)])
def test_the_binomial_test_counts_all_outcomes(n, chance):
    for successes in range(n + 1):
        exact = sum(
            math.prod(chance if right else 1 - chance for right in outcome)
            for outcome in itertools.product([True, False], repeat=n)
            if sum(outcome) >= successes
        )
        assert math.isclose(binomial_test(successes, n, chance), exact, rel_tol=1e-9)
    assert binomial_test(0, n, 0.0) == 1 and binomial_test(1, n, 0.0) == 0 and binomial_test(n, n, 1.0) == 1


def test_mcnemar_counts_all_ways_to_disagree():
    for gained, lost in itertools.product(range(6), repeat=2):
        ours = [True] * gained + [False] * lost + [True, False]
        baseline = [False] * gained + [True] * lost + [True, False]
        n, uneven = gained + lost, abs(gained - lost)
        as_uneven = [abs(2 * sum(each) - n) >= uneven for each in itertools.product([0, 1], repeat=n)]
        assert math.isclose(mcnemar(ours, baseline), fmean(as_uneven), rel_tol=1e-9)


@pytest.mark.parametrize("n", [2, 3, 5, 12, 60])
def test_a_detectable_difference_is_found_in_80_percent_of_attempts(n):
    shift = detectable_difference(n, 2.0)
    x = np.random.default_rng(n).normal(shift, 2.0, (60_000, n))
    found = np.abs(x.mean(1)) > student_quantile(0.975, n - 1) * x.std(1, ddof=1) / math.sqrt(n)
    assert abs(found.mean() - 0.8) < 0.008
    assert detectable_difference(n, 2.0, power=0.9) > shift and detectable_difference(n, 0.0) == 0


def test_a_detectable_difference_of_paired_shares():
    """500 questions, 20% of them answered differently: a gain of about 5.6 points is found in four of five attempts."""
    shift = detectable_difference(500, math.sqrt(0.2))
    assert 0.055 < shift < 0.057
    rng = np.random.default_rng(0)
    p = [0.1 + shift / 2, 0.1 - shift / 2]
    counts = rng.multinomial(500, [*p, 0.8], size=1500)
    found = []
    for gained, lost, _ in counts:
        ours = [True] * gained + [False] * lost + [True] * (500 - gained - lost)
        baseline = [False] * gained + [True] * lost + [True] * (500 - gained - lost)
        found.append(paired_proportions(ours, baseline).low > 0)
    assert abs(fmean(found) - 0.8) < 0.05


# Many answers to one question


def test_pass_at_k_counts_all_draws():
    for n in range(1, 7):
        for c, k in itertools.product(range(n + 1), range(1, n + 1)):
            answers = [True] * c + [False] * (n - c)
            assert math.isclose(pass_at_k(n, c, k), fmean(map(any, itertools.combinations(answers, k))), abs_tol=1e-15)
    assert pass_at_k(2000, 1, 1000) == 0.5


def test_pass_at_k_is_unbiased():
    p, n, k = 0.3, 7, 3
    mean = sum(math.comb(n, c) * p**c * (1 - p) ** (n - c) * pass_at_k(n, c, k) for c in range(n + 1))
    assert math.isclose(mean, 1 - (1 - p) ** k)


@pytest.mark.parametrize("wrong", [(4, 0, 5), (4, 4, 5), (4, 5, 2), (4, -1, 2), (4, 2, 0)])
def test_pass_at_k_refuses_what_the_answers_cannot_tell(wrong):
    with pytest.raises(BadInput, match="at least"):
        pass_at_k(*wrong)


def test_votes_split_ties_whatever_the_order():
    for order in itertools.permutations(["7", "7", "8", "8", None, "9"]):
        assert vote(order) == {"7": 0.5, "8": 0.5}
    assert vote([None, None]) == {} == vote([])
    assert vote([None, None, "3"]) == {"3": 1.0}
    assert vote(["a", "b", "b"], weights=[0.9, 0.3, 0.4]) == {"a": 1.0}


def test_an_expected_vote_is_the_mean_over_random_tie_breaks():
    answers = ["7", "8", "9", "8", "7", "3"]
    counts = Counter(answers)
    broken = [max(order, key=counts.__getitem__) for order in itertools.permutations(counts)]  # first of the best wins
    shares = vote(answers)
    for answer in counts:
        assert math.isclose(shares.get(answer, 0.0), broken.count(answer) / len(broken))


@settings(max_examples=60, deadline=None)
@given(st.lists(st.sampled_from(["a", "b", "c", None]), min_size=1, max_size=7), st.data())
def test_majority_at_k_counts_all_draws(answers, data):
    k = data.draw(st.integers(1, len(answers)))
    won: dict = {}
    draws = list(itertools.combinations(answers, k))
    for drawn in draws:
        for answer, share in vote(drawn).items():
            won[answer] = won.get(answer, 0) + Fraction(share).limit_denominator(100)
    found = majority_at_k(answers, k)
    assert set(found) == {answer for answer in answers if answer is not None}
    for answer, share in found.items():
        assert math.isclose(share, won.get(answer, 0) / len(draws), abs_tol=1e-12)


def test_majority_at_all_is_the_vote_and_at_one_the_share():
    answers = ["7", "7", "8", "8", None, "9"]
    assert majority_at_k(answers, 6) == {"7": 0.5, "8": 0.5, "9": 0.0}
    assert majority_at_k(answers, 1) == {"7": 2 / 6, "8": 2 / 6, "9": 1 / 6}
    for k in (0, 7):
        with pytest.raises(BadInput):
            majority_at_k(answers, k)


@settings(max_examples=60, deadline=None)
@given(st.lists(st.tuples(st.integers(0, 3), st.booleans()), min_size=1, max_size=7), st.data())
def test_best_at_k_counts_all_draws(answers, data):
    k = data.draw(st.integers(1, len(answers)))
    worth = []
    for drawn in itertools.combinations(answers, k):
        best = max(score for score, _ in drawn)
        worth.append(fmean(right for score, right in drawn if score == best))
    scores, right = [score for score, _ in answers], [right for _, right in answers]
    assert best_at_k(scores, right, k) == pytest.approx(fmean(worth))
    assert best_at_k(right, right, k) == pytest.approx(pass_at_k(len(right), sum(right), k))
    assert best_at_k([1.0] * len(right), right, k) == pytest.approx(fmean(right))


@pytest.mark.parametrize("bad", [([1.0], [True], 2), ([1.0], [True], 0), ([math.nan], [True], 1), ([1.0], [], 1)])
def test_best_at_k_refuses_what_cannot_be_told(bad):
    with pytest.raises(BadInput):
        best_at_k(*bad)


# Divergence


def test_k1_and_k3_are_unbiased_and_k2_is_not():
    q, p = [0.5, 0.3, 0.2], [0.05, 0.25, 0.7]
    kl = sum(a * math.log(a / b) for a, b in zip(q, p, strict=True))
    mean = {each: sum(a * each(math.log(a / b)) for a, b in zip(q, p, strict=True)) for each in (k1, k2, k3)}
    assert math.isclose(mean[k1], kl) and math.isclose(mean[k3], kl)
    assert abs(mean[k2] - kl) > 0.01
    variance = {
        each: sum(a * (each(math.log(a / b)) - kl) ** 2 for a, b in zip(q, p, strict=True)) for each in (k1, k3)
    }
    assert variance[k3] < variance[k1]


@given(st.floats(-30, 30) | st.floats(-1e-6, 1e-6))
def test_k3_is_never_negative_and_keeps_its_digits(x):
    assert k3(x) >= 0 and k2(x) >= 0
    with_more = pytest.importorskip("mpmath")
    with with_more.workdps(60):
        exact = float(with_more.expm1(-with_more.mpf(x)) + with_more.mpf(x))
    assert abs(k3(x) - exact) <= 1e-15 * max(abs(x), exact)


# Confidences, scores and judges


def test_calibration_by_hand():
    confidences, correct = [0.05, 0.15, 0.15, 0.9, 1.0, 1.0], [False, True, False, True, True, False]
    bins = reliability(confidences, correct)
    assert [(each.low, each.n) for each in bins] == [(0.0, 1), (0.1, 2), (0.9, 3)]
    assert bins[1].accuracy == 0.5 and math.isclose(bins[2].confidence, 2.9 / 3)
    expected = (1 * 0.05 + 2 * 0.35 + 3 * abs(2 / 3 - 2.9 / 3)) / 6
    assert math.isclose(calibration_error(confidences, correct), expected)
    assert math.isclose(brier(confidences, correct), (0.05**2 + 0.85**2 + 0.15**2 + 0.1**2 + 0 + 1) / 6)
    assert brier([0.5] * 4, [True, False, False, False]) == 0.25


def test_a_calibrated_model_has_little_calibration_error_and_an_overconfident_one_has_not():
    rng = random.Random(0)
    confidences = [rng.random() for _ in range(20_000)]
    correct = [rng.random() < confidence for confidence in confidences]
    assert calibration_error(confidences, correct) < 0.02
    assert abs(brier(confidences, correct) - 1 / 6) < 0.005  # ∫ p (1 − p) dp
    bold = [min(1.0, confidence + 0.2) for confidence in confidences]
    assert calibration_error(bold, correct) > 0.15


def test_calibration_refuses_what_is_no_confidence():
    for confidences, correct in [([], []), ([0.5], [True, False]), ([1.2], [True]), ([float("nan")], [True])]:
        with pytest.raises(BadInput):
            brier(confidences, correct)


@given(st.lists(st.tuples(st.sampled_from([0.0, 0.5, 0.7, 2.0]), st.booleans()), min_size=2, max_size=9))
def test_auc_compares_every_right_one_with_every_wrong_one(pairs):
    scores, labels = zip(*pairs, strict=True)
    if all(labels) or not any(labels):
        with pytest.raises(BadInput):
            auc(scores, labels)
        return
    wins = [(a > b) + (a == b) / 2 for a, x in pairs if x for b, y in pairs if not y]
    assert math.isclose(auc(scores, labels), fmean(wins))
    assert auc([1.0] * len(labels), labels) == 0.5


def test_kappa_by_hand_and_by_chance():
    # 20 yes-yes, 5 yes-no, 10 no-yes, 15 no-no: p = 0.7, e = 0.5 · 0.6 + 0.5 · 0.4 = 0.5
    ours = ["yes"] * 25 + ["no"] * 25
    theirs = ["yes"] * 20 + ["no"] * 5 + ["yes"] * 10 + ["no"] * 15
    assert math.isclose(cohens_kappa(ours, theirs), 0.4)
    assert cohens_kappa(ours, ours) == 1
    rng = random.Random(0)
    habits = [[rng.random() < 0.9 for _ in range(20_000)] for _ in range(2)]
    assert abs(cohens_kappa(*habits)) < 0.02
    for nothing in ([], ["yes", "yes"]):
        with pytest.raises(BadInput):
            cohens_kappa(nothing, nothing)


@given(st.lists(st.tuples(*[st.sampled_from([0.0, 0.5, 2.0])] * 2), min_size=1, max_size=9))
def test_win_rate_counts_a_tie_one_half_and_favours_nobody(pairs):
    ours, theirs = zip(*pairs, strict=True)
    found, turned = win_rate(ours, theirs), win_rate(theirs, ours)
    assert math.isclose(found.mean, fmean((a > b) + (a == b) / 2 for a, b in pairs))
    assert all(math.isclose(a + b, 1) for a, b in [(found.mean, turned.mean), (found.low, turned.high)])
    assert 0 <= found.low < found.high <= 1


def test_win_rate_covers_the_truth():
    rng, covered = random.Random(0), 0
    for _ in range(400):  # 60 questions: won 0.3, lost 0.15, else a tie
        drawn = rng.choices([1.0, -1.0, 0.0], [0.3, 0.15, 0.55], k=60)
        found = win_rate(drawn, [0.0] * 60)
        covered += found.low <= 0.575 <= found.high
    assert 0.92 <= covered / 400 <= 0.985


def test_win_rate_refuses_what_is_no_score():
    for pair in ([[], []], [[1.0], [math.nan]], [[1.0], [1.0, 2.0]]):
        with pytest.raises(BadInput):
            win_rate(*pair)


def test_every_public_name_is_tested_here():
    public = {name for name, each in vars(estimates).items() if callable(each) and not name.startswith("_")
              and getattr(each, "__module__", "") == "insideout.estimates"}  # fmt: skip
    assert public - {"Interval", "Bin"} <= set(globals())
