"""What a verdict says: right answers in any form, wrong ones with the case, the line and the way on."""

import random
from fractions import Fraction

import numpy as np
import pytest
import torch

from insideout.exercises import grade
from insideout.exercises.catalogue import Exercise
from insideout.exercises.comparing import difference
from insideout.exercises.drawing import described, distinct, distribution, ids, matrix, targets, tensor, vector


def draw_rows(rng: random.Random, T: int, C: int) -> tuple:
    return (matrix(rng, T, C),)


def exercise(reference, draw=draw_rows, **more):
    return Exercise("gradients.loss.pairs", stars=1, minutes=1, reference=reference, draw=draw, **more)


DOUBLE = exercise(lambda x: [[2.0 * number for number in row] for row in x])
MEAN = exercise(lambda x: sum(map(sum, x)) / (len(x) * len(x[0])))
COUNT = exercise(
    lambda n_layers, d_model: 3 * n_layers * d_model + d_model, draw=lambda rng: distinct(rng, 2, 2, 30), tolerance=0
)


# right answers of any reasonable form


@pytest.mark.parametrize(
    "answer",
    [
        lambda x: (2 * np.array(x)).tolist(),
        lambda x: 2 * np.array(x),
        lambda x: [2 * np.array(row) for row in x],
        lambda x: tuple(tuple(2 * number for number in row) for row in x),
        lambda x: [[np.float64(2 * number) for number in row] for row in x],
        lambda x: [[torch.tensor(2 * number, dtype=torch.float64) for number in row] for row in x],
        lambda x: 2 * torch.tensor(x, dtype=torch.float64, requires_grad=True),
        lambda x: 2 * torch.tensor(x),
        lambda x: 2 * np.array(x, dtype=np.float32),
        lambda *all: [[2 * number for number in row] for row in all[0]],
    ],
)
def test_the_form_of_a_right_answer_does_not_matter(answer):
    verdict = grade(DOUBLE, answer)
    assert verdict.passed, verdict


@pytest.mark.parametrize("kind", [int, float, np.int64, np.float64, Fraction, torch.tensor, np.array])
def test_a_count_is_a_count_in_any_type(kind):
    assert grade(COUNT, lambda n, d: kind(3 * n * d + d)).passed


def test_a_list_stands_for_a_tuple_and_whole_numbers_for_fractions():
    both = exercise(lambda x: (x[0], 1.0))
    assert grade(both, lambda x: [x[0], 1]).passed
    counts = exercise(
        lambda n: n / n.sum(), draw=lambda rng, K: (torch.tensor(rng.sample(range(1, 60), K)).double(),), tolerance=1e-5
    )
    assert grade(counts, lambda n: n.long() / n.long().sum()).passed


# wrong ones, and what is said


@pytest.mark.parametrize(
    ("answer", "says"),
    [
        (lambda x: [[-2 * n for n in row] for row in x], "The sign is wrong"),
        (lambda x: [[6 * n for n in row] for row in x], "too large by the factor 3"),
        (lambda x: [[0.5 * n for n in row] for row in x], "too small by the factor 4"),
        (lambda x: [[-4 * n for n in row] for row in x], "too large by the factor 2, with the wrong sign"),
        (lambda x: [[2 * n / len(x) for n in row] for row in x], "times 1/len(x)"),
        (lambda x: [[2 * n * len(row) ** 0.5 for n in row] for row in x], "times √len(x[0])"),
        (lambda x: [[2 * n + 1 for n in row] for row in x], "too large by 1"),
        (lambda x: [2 * n for row in x for n in row], "flattened"),
        (lambda x: [list(column) for column in zip(*[[2 * n for n in row] for row in x], strict=True)], "transposed"),
        (lambda x: [[2 * n for n in row] for row in x[:-1]], "last row (or entry) is missing"),
        (lambda x: [[2 * n for n in row] for row in x[1:] + x[:1]], "shifted up by one"),
        (lambda x: [[round(2 * n, 3) for n in row] for row in x], "rounded to 3 decimals"),
        (lambda x: np.float32(2 * np.array(x)).tolist(), "float32"),
        (lambda x: [[abs(2 * n) for n in row] for row in x], "absolute value"),
        (lambda x: [[2 * n // 1 for n in row] for row in x], "whole"),
        (lambda x: [2 * n for n in x[0]], "Only the first row"),
        (lambda x: [[2 * n if i else 0.0 for n in row] for i, row in enumerate(x)], "Only the first row (or entry) is"),
        (lambda x: [[2 * n * (i != j) for j, n in enumerate(row)] for i, row in enumerate(x)], "diagonal is wrong"),
    ],
)  # fmt: skip
def test_slips_of_any_exercise_are_named(answer, says):
    for seed in range(4):
        verdict = grade(DOUBLE, answer, seed)
        assert verdict.outcome == "wrong" and verdict.named and says in verdict.message, verdict


def test_rows_that_are_one_list_are_named():
    def aliased(x):
        rows = [[0.0] * len(x[0])] * len(x)
        for i, row in enumerate(x):
            for j, number in enumerate(row):
                rows[i][j] = 2 * number
        return rows

    assert "one and the same list" in grade(DOUBLE, aliased).message


def test_a_missing_term_is_called_by_its_factors():
    assert grade(COUNT, lambda n, d: 3 * n * d).message == "The result is too small by d."
    assert grade(COUNT, lambda n, d: 4 * n * d + d).message == "The result is too large by n · d."
    assert grade(COUNT, lambda n, d: d * (3 * n * d + d)).message == "Every number is the right one times d."


def test_one_number_shows_both_numbers():
    verdict = grade(MEAN, lambda x: 0.123)
    assert dict(verdict.case)["yours"] == "0.123" and "expected" in str(verdict)


def test_the_case_shown_is_small_and_fails():
    verdict = grade(DOUBLE, lambda x: [[2 * abs(n) for n in row] for row in x], 1)
    case = dict(verdict.case)
    assert len(case["x"]) < 20 and case["yours"] != case["expected"]


def test_a_wrong_result_of_several_is_pointed_at():
    two = exercise(lambda x: (x[0], [sum(row) for row in x]))
    assert grade(two, lambda x: (x[0], [-sum(row) for row in x])).message.startswith("The second result: the sign")
    assert grade(two, lambda x: ([sum(row) for row in x], x[0])).message.endswith("have changed places.")


def test_wrong_form_is_told_from_wrong_value():
    assert "returned nothing" in grade(DOUBLE, lambda x: None).message
    assert "a str" in grade(DOUBLE, lambda x: "a pattern").message
    assert "wrap it in `list" in grade(DOUBLE, lambda x: map(list, x)).message
    assert "must be a function" in grade(DOUBLE, [[1.0]]).message
    assert "the same length" in grade(DOUBLE, lambda x: [[1.0], [1.0, 2.0]]).message
    assert "takes the arguments (x, y)" in grade(DOUBLE, lambda x, y: x).message


def test_a_list_of_tensors_is_no_tensor():
    t = exercise(lambda x: x, draw=lambda rng, T, C: (tensor(rng, T, C),))
    assert "torch.stack" in grade(t, lambda x: list(x)).message
    assert grade(t, lambda x: torch.stack(list(x))).passed


def test_inputs_changed_in_place_are_noticed():
    def doubling(x):
        for row in x:
            for j in range(len(row)):
                row[j] *= 2
        return x

    verdict = grade(DOUBLE, doubling)
    assert not verdict and "changes its input `x`" in verdict.message

    def nudging(x):
        x[0][0] += 0.1
        x[0][0] -= 0.1  # put back, but for rounding
        return [[2 * number for number in row] for row in x]

    assert grade(DOUBLE, nudging).passed


def test_an_answer_that_writes_into_its_inputs_cannot_fool_the_grader():
    def zeroing(x):
        for row in x:
            row[:] = [0.0] * len(row)
        return x

    assert not grade(DOUBLE, zeroing)


def test_nan_and_infinity():
    inf, nan = float("inf"), float("nan")
    assert difference([-inf, 1.0], [-inf, 1.0], 1e-9) == ""
    assert difference([0.0, 1.0], [-inf, 1.0], 1e-9) != ""
    assert "nan" in difference(torch.tensor([nan]), torch.tensor([1.0]), 1e-9)
    assert not grade(DOUBLE, lambda x: [[nan for _ in row] for row in x])


# what is raised


def test_the_learners_line_is_shown():
    def broken(x):
        y = len(x)
        return y[0]  # the line

    message = grade(DOUBLE, broken).message
    assert "TypeError" in message and "of test_grading.py: return y[0]  # the line" in message


def test_a_mistake_may_raise_and_is_named_then():
    import math

    e = exercise(lambda x: [[math.log1p(math.exp(-abs(n))) + max(n, 0.0) for n in row] for row in x],
                 draw=lambda rng, T, C: ([[n * 2000.0 for n in vector(rng, C)] for _ in range(T)],))  # fmt: skip
    e.mistake("exp overflows.", lambda x: [[math.log(1 + math.exp(n)) for n in row] for row in x])
    verdict = grade(e, lambda x: [[math.log(math.exp(n) + 1) for n in row] for row in x])
    assert verdict.message == "exp overflows." and "OverflowError" in str(verdict)
    with np.errstate(all="ignore"):
        assert grade(e, lambda x: np.log(1 + np.exp(np.array(x)))).message == "exp overflows."
    assert "AttributeError" in grade(e, lambda x: x.exp()).message


def test_only_the_stub_itself_is_not_yet():
    def stub(x):
        raise NotImplementedError

    def todo(x):
        raise NotImplementedError("later")

    assert grade(DOUBLE, stub).outcome == grade(DOUBLE, todo).outcome == "not yet"
    assert grade(DOUBLE, lambda x: stub(x)).outcome == "not yet"
    assert grade(DOUBLE, lambda x: torch.nn.Module()(torch.tensor(x))).outcome == "wrong"
    assert grade(DOUBLE, lambda x: torch.empty(2, device="meta").item()).outcome == "wrong"


def test_what_an_answer_prints_is_seen_once(capsys):
    grade(DOUBLE, lambda x: print("seen") or x)
    assert capsys.readouterr().out == "seen\n"


def test_the_html_escapes_what_an_answer_says():
    def angry(x):
        raise ValueError("<script>")

    page = grade(DOUBLE, angry).as_html()
    assert "<script>" not in page and "&lt;script&gt;" in page


# draws


def test_draws_have_sizes_that_differ_are_equal_and_are_one():
    seen = [case.sizes for case in DOUBLE.cases(random.Random(0))]
    assert {"T": 1, "C": 1} in seen
    assert any(s["T"] == 1 < s["C"] for s in seen) and any(s["C"] == 1 < s["T"] for s in seen)
    assert any(s["T"] == s["C"] > 1 for s in seen)
    assert sum(s["T"] != s["C"] for s in seen) >= 6


def test_a_mistake_that_seldom_shows_is_drawn_until_it_does():
    rare = exercise(lambda n: n == 7, draw=lambda rng: (rng.randrange(40),))
    rare.mistake("Never true.", lambda n: False)
    for seed in range(20):
        assert grade(rare, lambda n: 0 > 1, seed).message == "Never true."


def test_edges_decide():
    e = exercise(lambda n: max(n, 3), draw=lambda rng: (rng.randrange(3, 90),), edges=[(1,), lambda rng: (2,)])
    assert not grade(e, lambda n: n) and grade(e, lambda n: max(3, n))


def test_inputs_are_fresh_unless_a_seed_is_given():
    def seen(seed):
        calls = []
        grade(DOUBLE, lambda x: (calls.append(x), [[2 * n for n in row] for row in x])[1], seed)
        return calls

    assert seen(1) == seen(1) and seen(None) != seen(None)


def test_drawn_ids_and_targets_hold_the_edges_of_the_vocabulary():
    rng = random.Random(0)
    for _ in range(50):
        assert {0, 8} <= set(ids(rng, 5, 9)) and set(ids(rng, 5, 9)) <= set(range(9))
        drawn = targets(rng, 5, 9)
        assert {0, 8, None} <= set(drawn)
        assert abs(sum(distribution(rng, 4)) - 1) < 1e-12


# comparing in another way


def sampled(given, right):
    """Do the draws have these probabilities, within six standard errors?"""
    n = len(given)
    counts = [sum(each == i for each in given) for i in range(len(right))]
    far = any(abs(c - n * p) > 6 * (n * p * (1 - p)) ** 0.5 + 1e-9 for c, p in zip(counts, right, strict=True))
    return "The draws have other frequencies." if far else ""


def test_a_sampler_is_compared_by_its_frequencies():
    def draw(rng: random.Random, V: int = 2) -> tuple:
        return distribution(rng, V), 3000, random.Random(rng.random())

    e = exercise(lambda p, n, rng: p, draw=draw, compare=sampled)
    e.mistake("All are equally likely.", lambda p, n, rng: [1 / len(p)] * len(p))
    assert grade(e, lambda p, n, rng: rng.choices(range(len(p)), p, k=n)).passed
    assert grade(e, lambda p, n, rng: rng.choices(range(len(p)), k=n)).message == "All are equally likely."
    assert "other frequencies" in grade(e, lambda p, n, rng: [p.index(max(p))] * n).message


def test_a_function_among_the_inputs_is_shown_by_its_text():
    e = exercise(lambda f, x: f(x), draw=lambda rng: (described(lambda x: x * x, "x²"), rng.uniform(2, 3)))
    assert dict(grade(e, lambda f, x: x).case)["f"] == "x²"
