"""What is drawn from, and the draw."""

import math

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from insideout.errors import BadInput
from insideout.transformer.generation.sampling import check_scores, choose, filtered_probabilities, uniforms
from tests.transformer.generation.filters_by_hand import by_hand


@settings(max_examples=200, deadline=None)
@given(
    seed=st.integers(0, 10_000),
    temperature=st.sampled_from([0.0, 0.3, 1.0, 1.7]),
    top_k=st.none() | st.integers(1, 30),
    top_p=st.none() | st.floats(0.05, 0.99),
    min_p=st.none() | st.floats(0.01, 1.0),
)
def test_filters_are_those_of_the_definition(seed, temperature, top_k, top_p, min_p):
    logits = 3 * torch.randn(17, dtype=torch.float64, generator=torch.Generator().manual_seed(seed))
    expected = torch.zeros(17, dtype=torch.float64)
    for i, p in by_hand(logits.tolist(), temperature, top_k, top_p, min_p).items():
        expected[i] = p
    found = filtered_probabilities(logits[None], temperature, top_k, top_p, min_p)[0]
    torch.testing.assert_close(found, expected, rtol=1e-9, atol=1e-12)


def test_filters_keep_what_they_say():
    logits = torch.tensor([[2.0, 1.0, 0.5, -1.0, -3.0]])
    full = logits.softmax(-1)
    assert (filtered_probabilities(logits, top_k=2) > 0).sum() == 2
    assert torch.allclose(filtered_probabilities(logits), full)
    kept = filtered_probabilities(logits, top_p=0.7) > 0
    assert full[kept].sum() >= 0.7
    assert full[kept].sum() - full[kept].min() < 0.7
    kept = filtered_probabilities(logits, min_p=0.2) > 0
    assert torch.equal(kept, full >= 0.2 * full.max())
    assert (filtered_probabilities(logits, top_p=1e-9) > 0).sum() == 1
    assert torch.equal(filtered_probabilities(logits, top_p=1.0), filtered_probabilities(logits))
    assert torch.equal(filtered_probabilities(logits, top_k=10**9), filtered_probabilities(logits))


@pytest.mark.parametrize("temperature", [1e-300, 1e-40, 1e-38, 1e-20, 1e-6])
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64, torch.bfloat16])
def test_a_small_temperature_takes_the_best_token(temperature, dtype):
    logits = torch.tensor([[900.0, 1000.0, -1000.0, 0.0], [-7.0, -8.0, -9.0, -7.5]], dtype=dtype)
    assert filtered_probabilities(logits, temperature).argmax(-1).tolist() == [1, 0]
    assert torch.equal(filtered_probabilities(logits, temperature), filtered_probabilities(logits, 0.0))


def test_a_large_temperature_makes_all_alike():
    found = filtered_probabilities(torch.tensor([[900.0, 1000.0, -1000.0, 0.0]]), 1e30)
    torch.testing.assert_close(found, torch.full((1, 4), 0.25))


def test_draws_follow_the_distribution():
    probabilities = torch.tensor([[0.5, 0.0, 0.3, 0.2]])
    uniform = torch.rand(40_000, generator=torch.Generator().manual_seed(0))
    counts = choose(probabilities.expand(40_000, 4), uniform).bincount(minlength=4) / 40_000
    assert (counts - probabilities[0]).abs().max() < 0.01
    assert counts[1] == 0


def test_a_token_without_probability_is_never_drawn():
    probabilities = torch.tensor([[0.0, 0.3, 0.0, 0.7, 0.0], [0.0, 1e-38, 0.0, 0.0, 0.0]])
    for uniform in (0.0, 0.3, 1 - 2**-24):
        chosen = choose(probabilities, torch.full((2,), uniform)).tolist()
        assert chosen[0] in (1, 3) and chosen[1] == 1


def test_a_row_draws_the_same_whatever_stands_beside_it():
    together = uniforms([3, 9, 3], 5)
    assert torch.equal(together[1:2], uniforms([9], 5)) and torch.equal(together[0], together[2])
    assert torch.equal(uniforms([9], 3)[0], together[1, :3])


@pytest.mark.parametrize("value", [math.nan, math.inf])
def test_scores_that_are_no_numbers_are_refused(value):
    logits = torch.zeros(2, 3, 4)
    check_scores(logits)
    logits[1, 2, 3] = value
    with pytest.raises(BadInput, match="weights hold NaN"):
        check_scores(logits)


def test_scores_may_rule_tokens_out_but_not_all():
    logits = torch.full((1, 3), -math.inf)
    with pytest.raises(BadInput, match="not finite"):
        check_scores(logits)
    logits[0, 1] = 0.0
    check_scores(logits)
    assert filtered_probabilities(logits, 0.5, top_k=2).tolist() == [[0.0, 1.0, 0.0]]


@pytest.mark.parametrize(
    ("settings_", "word"),
    [
        ({"temperature": math.nan}, "temperature is nan; it must be finite"),
        ({"temperature": math.inf}, "finite"),
        ({"temperature": -0.1}, "temperature is -0.1"),
        ({"top_k": 0}, "top_k is 0"),
        ({"top_k": -5}, "top_k"),
        ({"top_p": 0.0}, "top_p"),
        ({"top_p": 1.5}, "top_p is 1.5"),
        ({"top_p": math.nan}, "top_p is nan"),
        ({"min_p": -0.1}, "min_p"),
        ({"min_p": 1.1}, "min_p"),
    ],
)
def test_settings_that_make_no_distribution_are_refused(settings_, word):
    with pytest.raises(BadInput, match=word):
        filtered_probabilities(torch.zeros(1, 4), **settings_)
