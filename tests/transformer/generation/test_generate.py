"""Generation: the cache changes the time and nothing else; a batch changes nothing for any of its rows."""

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from insideout.errors import BadInput
from insideout.transformer.config import GPTConfig
from insideout.transformer.generation.generate import choose, filtered_probabilities, generate
from insideout.transformer.model import GPT


@pytest.fixture(scope="module")
def model() -> GPT:
    torch.manual_seed(1)
    model = GPT(GPTConfig(vocab_size=19, context_length=40, d_model=16, n_layers=2, n_heads=2)).double()
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.add_(0.4 * torch.randn_like(parameter))
    return model


@settings(max_examples=15, deadline=None)
@given(
    lengths=st.lists(st.integers(1, 20), min_size=1, max_size=5),
    temperature=st.sampled_from([0.0, 0.7, 1.5]),
    seed=st.integers(0, 99),
)
def test_each_row_equals_what_it_would_be_alone(model, lengths, temperature, seed):
    prompts = [torch.randint(19, (length,)).tolist() for length in lengths]
    together = generate(model, prompts, 20, temperature=temperature, seed=seed)
    uncached = generate(model, prompts, 20, temperature=temperature, seed=seed, use_cache=False)
    assert together == uncached
    for row, prompt in enumerate(prompts):
        assert together[row] == generate(model, [prompt], 20, temperature=temperature, seed=seed + row)[0]
        assert together[row][: len(prompt)] == prompt
        assert len(together[row]) == len(prompt) + 20


def test_stop_ends_a_sequence_and_keeps_the_token(model):
    free = generate(model, [[3], [5, 7]], 20, seed=4)
    stopped = generate(model, [[3], [5, 7]], 20, seed=4, stop=free[0][6])
    assert stopped[0] == free[0][: free[0].index(free[0][6], 1) + 1]
    assert free[1][: len(stopped[1])] == stopped[1]


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


def test_draws_follow_the_distribution():
    probabilities = torch.tensor([[0.5, 0.0, 0.3, 0.2]])
    uniform = torch.rand(40_000, generator=torch.Generator().manual_seed(0))
    counts = choose(probabilities.expand(40_000, 4), uniform).bincount(minlength=4) / 40_000
    assert (counts - probabilities[0]).abs().max() < 0.01
    assert counts[1] == 0


@pytest.mark.parametrize(
    ("prompts", "settings_", "word"),
    [
        ([[]], {}, "empty"),
        ([[19]], {}, "vocabulary"),
        ([[1]], {"temperature": -1.0}, "temperature"),
        ([[1]], {"top_p": 0.0}, "top_p"),
        ([[1]], {"top_k": 0}, "top_k"),
        ([[1] * 30], {}, "context length"),
    ],
)
def test_bad_input_gets_one_sentence(model, prompts, settings_, word):
    with pytest.raises(BadInput, match=word):
        generate(model, prompts, 20, **settings_)
