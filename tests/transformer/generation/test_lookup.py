"""Lookup changes how many calls a greedy text takes, and never the text."""

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from insideout.errors import BadInput
from insideout.transformer.config import GPTConfig
from insideout.transformer.generation.generate import generate
from insideout.transformer.generation.lookup import Draft, generate_by_lookup
from insideout.transformer.model import GPT


def shaken(seed: int, amount: float, **changes) -> GPT:
    torch.manual_seed(seed)
    sizes = dict(vocab_size=7, context_length=64, d_model=16, n_layers=2, n_heads=4, n_kv_heads=2)
    model = GPT(GPTConfig(**(sizes | changes))).double()
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.add_(amount * torch.randn_like(parameter))
    return model


@settings(max_examples=30, deadline=None)
@given(
    lengths=st.lists(st.integers(1, 20), min_size=1, max_size=3),
    n_draft=st.integers(1, 12),
    n_new=st.integers(0, 40),
    stop=st.none() | st.integers(0, 6),
    seed=st.integers(0, 99),
    amount=st.sampled_from([0.1, 0.4, 1.0]),
    norm=st.sampled_from(["rmsnorm", "layernorm"]),  # the Decoder's kind, and another
    token_shift=st.booleans(),
)
def test_the_text_is_the_one_written_token_by_token(lengths, n_draft, n_new, stop, seed, amount, norm, token_shift):
    model = shaken(seed, amount, norm=norm, token_shift=token_shift)
    prompts = [torch.randint(7, (length,)).tolist() for length in lengths]
    written = generate_by_lookup(model, prompts, n_new, stop=stop, n_draft=n_draft)
    assert written.ids == generate(model, prompts, n_new, temperature=0.0, stop=stop)
    for text, prompt, calls in zip(written.ids, prompts, written.calls, strict=True):
        assert 0 <= calls <= max(0, len(text) - len(prompt) - 1)  # the prompt's call gives the first


def test_a_text_that_repeats_takes_fewer_calls():
    model, prompt = shaken(3, 0.1), [1, 2, 3]
    written = generate_by_lookup(model, [prompt], 60)
    [text] = written.ids
    assert len(set(zip(text[-16:-1], text[-15:], strict=True))) < 8  # it does repeat
    assert written.calls[0] < 40


def test_a_guess_is_what_followed_the_latest_longest_match():
    text = Draft([1, 2, 3, 4, 9, 2, 3, 5, 1, 2, 3], 99, ())
    assert text.guess(3) == [4, 9, 2]  # 1 2 3 stood at the beginning; 2 3 later, but it is shorter
    assert text.guess(8) == [4, 9, 2, 3, 5, 1, 2, 3]
    text = Draft([7, 2, 3, 4, 9, 2, 3, 5, 1, 2, 3], 99, ())
    assert text.guess(6) == [5, 1, 2, 3, 5, 1]  # the later of two, and over and over
    assert Draft([1, 2, 3, 4, 5], 99, ()).guess(6) == []


def test_a_text_drafts_more_after_right_guesses_and_less_after_wrong_ones():
    text = Draft([1, 2, 1, 2, 1], 99, ())
    assert text.n_draft == 0
    assert text.check(text.guess(1), [2], 8) == 0  # right, though nothing was drafted
    assert text.n_draft == 1
    assert text.check(text.guess(1), [1, 2], 8) == 1
    assert text.ids == [1, 2, 1, 2, 1, 2, 1, 2]
    assert text.n_draft == 2
    assert text.check([1, 2], [1, 5, 0], 8) == 1  # what follows a refused draft is not looked at
    assert text.ids[-2:] == [1, 5]
    assert text.n_draft == 1
    assert text.guess(1) == []  # 1 5 is new
    text.check([], [3], 8)
    assert text.n_draft == 0


def test_a_text_ends_at_its_end_or_stop():
    text = Draft([1, 2, 1, 2, 1], 8, {4})
    assert len(text.guess(8)) == 2  # a third would leave no room for the model's own token
    text.check([2, 1], [2, 4, 7], 8)
    assert text.ids == [1, 2, 1, 2, 1, 2, 4]
    assert text.done


def test_bad_input_gets_one_sentence():
    model = shaken(0, 0.1)
    with pytest.raises(BadInput, match="n_draft is 0"):
        generate_by_lookup(model, [[1]], 3, n_draft=0)
    with pytest.raises(BadInput, match="ask for at most 63"):
        generate_by_lookup(model, [[1]], 64)
    with torch.no_grad():
        model.norm.weight[0] = torch.nan
    with pytest.raises(BadInput, match="NaN"):
        generate_by_lookup(model, [[1]], 3)
