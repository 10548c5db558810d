"""Lookup changes how many calls a greedy text takes, and never the text."""

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from insideout.errors import BadInput
from insideout.transformer.cache import KVCache
from insideout.transformer.config import GPTConfig
from insideout.transformer.decode import Decoder, can_decode
from insideout.transformer.generate import generate
from insideout.transformer.lookup import Row, continue_by_lookup
from insideout.transformer.model import GPT


def shaken(seed: int, amount: float) -> GPT:
    torch.manual_seed(seed)
    model = GPT(GPTConfig(vocab_size=7, context_length=64, d_model=16, n_layers=2, n_heads=4, n_kv_heads=2)).double()
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.add_(amount * torch.randn_like(parameter))
    return model.eval()


@settings(max_examples=30, deadline=None)
@given(
    lengths=st.lists(st.integers(1, 20), min_size=1, max_size=9),
    lookup=st.integers(1, 12),
    stop=st.none() | st.integers(0, 6),
    seed=st.integers(0, 99),
    amount=st.sampled_from([0.1, 0.4, 1.0]),
)
def test_the_text_is_the_one_written_token_by_token(lengths, lookup, stop, seed, amount):
    model = shaken(seed, amount)
    assert can_decode(model)
    prompts = [torch.randint(7, (length,)).tolist() for length in lengths]
    written = generate(model, prompts, 40, temperature=0.0, stop=stop, lookup=lookup)
    assert written == generate(model, prompts, 40, temperature=0.0, stop=stop, lookup=0)
    assert written == generate(model, prompts, 40, temperature=0.0, stop=stop, use_cache=False)


def test_a_text_that_repeats_takes_fewer_calls():
    model, prompt = shaken(3, 0.1), [1, 2, 3]
    [text] = generate(model, [prompt], 60, temperature=0.0, lookup=0)
    with torch.inference_mode():
        cache = KVCache(model.config, 1, 63, dtype=torch.float64)
        model(torch.tensor([prompt]), cache)
        row = Row(text[:4], len(text), ())
        calls = continue_by_lookup(Decoder(model, cache), [row], 8)
    assert row.ids == text
    assert len(set(zip(text[-16:-1], text[-15:], strict=True))) < 8  # it does repeat
    assert calls < 40


def test_drafts_are_what_followed_the_latest_longest_match():
    row = Row([1, 2, 3, 4, 9, 2, 3, 5, 1, 2, 3], 99, ())
    row.n_draft = 8
    assert row.draft(3) == [4, 9, 2]  # 1 2 3 stood at the beginning; 2 3 later, but it is shorter
    assert row.draft(99) == [4, 9, 2, 3, 5, 1, 2, 3]
    row = Row([7, 2, 3, 4, 9, 2, 3, 5, 1, 2, 3], 99, ())
    row.n_draft = 8
    assert row.draft(6) == [5, 1, 2, 3, 5, 1]  # the later of two, and over and over
    assert Row([1, 2, 3, 4, 5], 99, ()).draft(6) == []


def test_drafts_grow_when_kept_and_shrink_when_refused():
    row = Row([1, 2, 1, 2, 1], 99, ())
    assert row.draft(8) == [2, 1]
    assert row.check([2, 1], [2, 1, 2], 8) == 2
    assert row.ids == [1, 2, 1, 2, 1, 2, 1, 2]
    assert len(row.draft(8)) == 4
    assert row.check([1, 2, 1, 2], [1, 5, 0, 0, 0], 8) == 1  # what follows a refused draft is not looked at
    assert row.ids[-2:] == [1, 5]
    assert row.n_draft == 2


def test_a_row_ends_at_its_end_or_stop():
    row = Row([1, 2, 1, 2, 1], 8, {4})
    assert len(row.draft(8)) == 2  # a third would leave no room for the model's own token
    row.check([2, 1], [2, 4, 7], 8)
    assert row.ids == [1, 2, 1, 2, 1, 2, 4]
    assert row.done
    assert row.draft(8) == []


def test_lookup_must_not_be_negative():
    with pytest.raises(BadInput, match="lookup is -1"):
        generate(shaken(0, 0.1), [[1]], 3, lookup=-1)
