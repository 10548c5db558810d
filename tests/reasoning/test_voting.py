"""Votes: against every possible draw, against the binomial, against a long simulation."""

import itertools
import math
import random
from collections import Counter
from fractions import Fraction

import numpy as np
import pytest

from insideout.errors import BadInput
from insideout.estimates import calibration_error, majority_at_k, vote
from insideout.reasoning.voting import lead, plurality, probability_weights, share_calibration, shares, stopped


def enumerated(probabilities, k):
    """The same by every sequence of k draws, in fractions."""
    answers = {**probabilities, None: 1 - sum(probabilities.values())}
    won = dict.fromkeys(probabilities, Fraction(0))
    for draw in itertools.product(answers, repeat=k):
        chance = math.prod((answers[each] for each in draw), start=Fraction(1))
        counts = Counter(each for each in draw if each is not None)
        best = [each for each in counts if counts[each] == max(counts.values())]
        for each in best:
            won[each] += chance / len(best)
    return won


@pytest.mark.parametrize("k", [1, 2, 3, 4, 5])
@pytest.mark.parametrize(
    "weights", [{"a": 4, "b": 3, "c": 3}, {"a": 5, "b": 5}, {"a": 3, "b": 2, "c": 2}, {"a": 10}, {"a": 0, "b": 7}]
)
def test_plurality_is_what_every_draw_gives(weights, k):
    exact = enumerated({answer: Fraction(n, 10) for answer, n in weights.items()}, k)
    found = plurality({answer: n / 10 for answer, n in weights.items()}, k)
    assert found == pytest.approx({answer: float(chance) for answer, chance in exact.items()}, abs=1e-12)


def test_two_answers_are_the_binomial():
    p, k = 0.6, 15
    more = sum(math.comb(k, v) * p**v * (1 - p) ** (k - v) for v in range(8, 16))
    assert plurality({"right": p, "wrong": 1 - p}, k)["right"] == pytest.approx(more, abs=1e-12)
    even = sum(math.comb(14, v) * p**v * (1 - p) ** (14 - v) * (0.5 if v == 7 else 1) for v in range(7, 15))
    assert plurality({"right": p, "wrong": 1 - p}, 14)["right"] == pytest.approx(even, abs=1e-12)


def test_the_mode_wins_with_forty_percent_and_loses_behind_another():
    assert plurality({"right": 0.4} | {f"wrong {i}": 0.06 for i in range(10)}, 21)["right"] > 0.95
    rising = [plurality({"right": 0.3, "wrong": 0.4, "other": 0.3}, k)["right"] for k in (1, 11, 41)]
    assert rising[0] == pytest.approx(0.3) and rising[0] > rising[1] > rising[2]


def test_plurality_agrees_with_simulation_and_with_draws_without_replacement():
    probabilities, k = {"a": 0.35, "b": 0.3, "c": 0.15}, 11
    drawn = np.random.default_rng(0).multinomial(k, [0.35, 0.3, 0.15, 0.2], size=100_000)[:, :3]
    best = drawn == drawn.max(-1, keepdims=True)
    simulated = (best / best.sum(-1, keepdims=True) * (drawn.max(-1, keepdims=True) > 0)).mean(0)
    exact = plurality(probabilities, k)
    assert np.abs(simulated - [exact[each] for each in "abc"]).max() < 0.008  # five standard errors
    pool = ["a"] * 350 + ["b"] * 300 + ["c"] * 150 + [None] * 200  # so large that replacing matters little
    assert majority_at_k(pool, 3)["a"] == pytest.approx(plurality(probabilities, 3)["a"], abs=2e-3)


def test_shares_leave_the_unread_out():
    assert shares(["7", "7", "8", None]) == {"7": pytest.approx(2 / 3), "8": pytest.approx(1 / 3)}
    assert shares([None]) == {} == shares([]) and shares(["7", "8"], [0.0, 0.0]) == {}
    assert shares(["7", "8"], [1.0, 3.0])["8"] == 0.75


def test_weights_are_probabilities_of_what_was_written():
    logprobs = [[math.log(0.5), math.log(0.5)], [math.log(0.25)]]
    assert probability_weights(logprobs) == pytest.approx([0.5, 0.25])
    assert probability_weights(logprobs, by_length=False) == pytest.approx([1.0, 1.0])
    assert probability_weights([[-2000.0], [-2001.0]], by_length=False) == pytest.approx([1.0, math.exp(-1)])
    assert vote(["7", "8", "8"], [0.9, 0.3, 0.3]) == {"7": 1.0} != vote(["7", "8", "8"])


@pytest.mark.parametrize(("first", "second"), [(0, 0), (1, 0), (4, 0), (3, 2), (10, 7), (1, 1)])
def test_the_lead_is_the_integral_of_its_beta(first, second):
    grid = (np.arange(200_000) + 0.5) / 200_000
    density = grid**first * (1 - grid) ** second
    expected = density[grid > 0.5].sum() / density.sum()
    assert lead(["a"] * first + ["b"] * second + [None] * 3) == pytest.approx(expected, abs=1e-6)


def test_a_sure_leader_ends_the_drawing_and_nothing_more_is_drawn():
    taken = []

    def drawing(answers):
        for answer in answers:
            taken.append(answer)
            yield answer

    result = stopped(drawing("aaaaaaaa"))
    assert len(taken) == 4 and result.answers == taken and result.won == {"a": 1.0}  # 1 − 2⁻⁵ is the first above 0.95
    assert len(stopped(itertools.cycle("ab"), most=10).answers) == 10
    assert stopped(itertools.cycle("ab"), most=10).won == {"a": 0.5, "b": 0.5}
    assert len(stopped(["a", "b"]).answers) == 2 and stopped([None, None], most=2).won == {}


def test_stopping_early_costs_less_and_almost_always_elects_the_same():
    source, saved, same = random.Random(0), 0, 0
    for _ in range(300):
        draws = source.choices("abcd", [0.7, 0.1, 0.1, 0.1], k=40)
        early = stopped(draws)
        saved += 40 - len(early.answers)
        same += early.won == vote(draws)
    assert same / 300 > 0.93 and saved / 300 > 25


def test_shares_that_are_probabilities_are_calibrated():
    """Gold answers drawn from the very distribution of the votes: its shares are right as often as they say."""
    source = random.Random(0)
    votes, golds = [], []
    for _ in range(800):
        weights = [source.random() for _ in range(3)]
        votes.append(source.choices("abc", weights, k=64))
        golds.append(source.choices("abc", weights)[0])
    confidences, right = share_calibration(votes, golds)
    assert calibration_error(confidences, right) < 0.05
    overrated, wrong = share_calibration([["a"] * 9 + ["b"]] * 40, ["b"] * 20 + ["a"] * 20)
    assert calibration_error(overrated, wrong) == pytest.approx(0.4)


@pytest.mark.parametrize(
    ("make", "says"),
    [
        (lambda: plurality({"a": 0.7, "b": 0.7}, 3), "sum to 1"), (lambda: plurality({"a": 0.5}, 0), "k is 0"),
        (lambda: plurality({"a": -0.5}, 3), "sum to 1"), (lambda: shares(["a"], [1.0, 2.0]), "one to each"),
        (lambda: shares(["a"], [math.nan]), "finite"), (lambda: probability_weights([[]]), "no tokens"),
        (lambda: stopped([]), "at least one"), (lambda: stopped("aa", sure=0.5), "above 0.5"),
        (lambda: stopped("aa", most=0), "most is 0"), (lambda: share_calibration([["a"]], []), "each question"),
    ],
)  # fmt: skip
def test_bad_input_is_one_sentence(make, says):
    with pytest.raises(BadInput, match=says):
        make()
