"""Lookup changes how many calls a greedy text takes, and never the text."""

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from insideout.errors import BadInput
from insideout.transformer.config import GPTConfig
from insideout.transformer.generation.cache import KVCache
from insideout.transformer.generation.decoder import Decoder, can_decode
from insideout.transformer.generation.generate import generate
from insideout.transformer.generation.lookup import Row, continue_by_lookup
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


def test_a_guess_is_what_followed_the_latest_longest_match():
    row = Row([1, 2, 3, 4, 9, 2, 3, 5, 1, 2, 3], 99, ())
    assert row.guess(3) == [4, 9, 2]  # 1 2 3 stood at the beginning; 2 3 later, but it is shorter
    assert row.guess(8) == [4, 9, 2, 3, 5, 1, 2, 3]
    row = Row([7, 2, 3, 4, 9, 2, 3, 5, 1, 2, 3], 99, ())
    assert row.guess(6) == [5, 1, 2, 3, 5, 1]  # the later of two, and over and over
    assert Row([1, 2, 3, 4, 5], 99, ()).guess(6) == []


def test_a_row_drafts_more_after_right_guesses_and_less_after_wrong_ones():
    row = Row([1, 2, 1, 2, 1], 99, ())
    assert row.n_draft == 0
    assert row.check(row.guess(1), [2], 8) == 0  # right, though nothing was drafted
    assert row.n_draft == 1
    assert row.check(row.guess(1), [1, 2], 8) == 1
    assert row.ids == [1, 2, 1, 2, 1, 2, 1, 2]
    assert row.n_draft == 2
    assert row.check([1, 2], [1, 5, 0], 8) == 1  # what follows a refused draft is not looked at
    assert row.ids[-2:] == [1, 5]
    assert row.n_draft == 1
    assert row.guess(1) == []  # 1 5 is new
    row.check([], [3], 8)
    assert row.n_draft == 0


def test_a_row_ends_at_its_end_or_stop():
    row = Row([1, 2, 1, 2, 1], 8, {4})
    assert len(row.guess(8)) == 2  # a third would leave no room for the model's own token
    row.check([2, 1], [2, 4, 7], 8)
    assert row.ids == [1, 2, 1, 2, 1, 2, 4]
    assert row.done


class Recital(Decoder):
    """In the place of a decoder: it says texts that are already there, and keeps what it was asked to read."""

    def __init__(self, texts: list[list[int]], n_known: int) -> None:
        self.texts, self.position, self.reads = list(texts), n_known - 1, []

    def pack(self, starts: list[int], counts: list[int]) -> tuple[list[int], list[int]]:
        return starts, counts

    def __call__(self, ids: torch.Tensor, packed: tuple[list[int], list[int]] | None) -> torch.Tensor:
        self.reads.append(packed and packed[1])
        starts, counts = packed or ([self.position] * len(self.texts), [1] * len(self.texts))
        said = [
            (*text, 0, 0, 0, 0, 0, 0, 0, 0)[start + i + 1]
            for text, start, n in zip(self.texts, starts, counts, strict=True)
            for i in range(n)
        ]
        return torch.nn.functional.one_hot(torch.tensor(said), 1000).float()

    def drop(self, row: int) -> None:
        self.texts[row] = self.texts[-1]
        self.texts.pop()


def recited(texts: list[list[int]]) -> Recital:
    decoder, rows = Recital(texts, 2), [Row(text[:2], len(text), ()) for text in texts]
    calls = continue_by_lookup(decoder, rows, 4)
    assert [row.ids for row in rows] == texts
    assert calls == len(decoder.reads)
    return decoder


ALWAYS_NEW = [list(range(40 * row, 40 * row + 40)) for row in range(3)]
OVER_AND_OVER = [[row, 5, 6] * 13 + [row] for row in range(3)]


def test_a_text_that_does_not_repeat_is_read_token_by_token():
    assert recited(ALWAYS_NEW).reads == [None] * 38


def test_drafting_waits_for_more_than_two_thirds_of_the_rows():
    assert recited([*ALWAYS_NEW, *OVER_AND_OVER]).reads == [None] * 38
    reads = recited([*ALWAYS_NEW[:1], *OVER_AND_OVER]).reads
    assert reads.index([1, 2, 2, 2]) == 4  # tokens 3 to 6: the first guess, of the sixth, was right
    assert [1, 5, 5, 5] in reads


def test_rows_that_are_mostly_guessed_wrong_draft_little():
    torch.manual_seed(0)
    few_words = [torch.randint(3, (300,)).tolist() for _ in range(4)]  # all is repeated, nothing can be known
    reads = [counts for counts in recited(few_words).reads if counts]
    drafted = sum(sum(counts) - len(counts) for counts in reads) / sum(map(len, reads))
    assert 0 < drafted < 2  # of 4


def test_lookup_must_not_be_negative():
    with pytest.raises(BadInput, match="lookup is -1"):
        generate(shaken(0, 0.1), [[1]], 3, lookup=-1)
