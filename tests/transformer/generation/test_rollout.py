"""Rollouts: what was drawn, from what, and nothing said of what was not."""

import math

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from insideout.data.batch import packed, padded
from insideout.errors import BadInput
from insideout.transformer.config import GPTConfig
from insideout.transformer.generation.decoder import can_decode
from insideout.transformer.generation.generate import generate
from insideout.transformer.generation.rollout import Rollout, rollout, row_seeds
from insideout.transformer.generation.sampling import filtered_probabilities
from insideout.transformer.loss import token_logprobs
from insideout.transformer.model import GPT

V, CONTEXT = 19, 48
KINDS = {
    "decoder": {},
    "grouped": {"n_kv_heads": 1, "mlp": "swiglu", "qk_norm": False},
    "GPT-2": {"positions": "learned", "norm": "layernorm", "mlp": "gelu_tanh", "bias": True, "qk_norm": False},
    "ALiBi": {"positions": "alibi"},
    "token shift": {"token_shift": True},
    "pairs, capped": {"pair_rows": 29, "logit_cap": 4.0},
}
PROMPTS = [[1, 2, 3], [4], [5, 6, 7, 8, 9, 10, 11]]


def shaken(amount: float = 0.4, **changes) -> GPT:
    torch.manual_seed(1)
    sizes = {"vocab_size": V, "context_length": CONTEXT, "d_model": 16, "n_layers": 2, "n_heads": 2}
    model = GPT(GPTConfig(**(sizes | changes)))
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.add_(amount * torch.randn_like(parameter))
    return model.double()


MODELS = {name: shaken(**changes) for name, changes in KINDS.items()}


@pytest.fixture
def model() -> GPT:
    return MODELS["decoder"]


def recomputed(model: GPT, wrote: Rollout, **chosen) -> torch.Tensor:
    """The log-probabilities by a plain forward pass over each text alone, and the filters."""
    found = torch.zeros_like(wrote.logprobs)
    for row in range(len(wrote.ids)):
        text = wrote.ids[row, : wrote.lengths[row]]
        with torch.no_grad():
            p = filtered_probabilities(model(text[None, :-1])[0], **chosen)
        found[row, 1 : len(text)] = p.gather(-1, text[1:, None])[:, 0].log()
    return found.where(wrote.drawn, 0.0)


@settings(max_examples=25, deadline=None)
@given(
    kind=st.sampled_from(sorted(KINDS)),
    n=st.integers(1, 11),
    n_new=st.integers(1, 15),
    temperature=st.sampled_from([0.0, 0.6, 1.0, 1.4]),
    filters=st.fixed_dictionaries(
        {}, optional={"top_k": st.integers(1, 9), "top_p": st.floats(0.3, 1.0), "min_p": st.floats(0.01, 0.3)}
    ),
    stops=st.sets(st.integers(0, V - 1), max_size=3),
    seed=st.integers(0, 2**63 - 1),
)
def test_a_row_is_what_it_would_be_alone_with_the_logprobs_of_a_plain_pass(
    kind, n, n_new, temperature, filters, stops, seed
):
    model, chosen = MODELS[kind], {"temperature": temperature} | filters
    wrote = rollout(model, PROMPTS, n, n_new, stop=stops, seed=seed, **chosen)
    torch.testing.assert_close(wrote.logprobs, recomputed(model, wrote, **chosen), rtol=0, atol=1e-10)
    seeds = row_seeds(seed, len(PROMPTS) * n)
    for row in {0, n - 1, n, 2 * n + n // 2}:
        own = seeds[row]
        [text] = generate(model, [PROMPTS[row // n]], n_new, stop=stops, seed=own, **chosen)
        start, length = int(wrote.starts[row]), int(wrote.lengths[row])
        assert wrote.ids[row, :length].tolist() == text
        assert start == len(PROMPTS[row // n]) and wrote.answer(row) == text[start:]
        assert bool(wrote.finished[row]) == (text[-1] in stops)
        assert bool(wrote.finished[row]) or length - start == n_new
        assert wrote.drawn[row].nonzero().flatten().tolist() == list(range(start, length))
    assert not bool(wrote.forced.any()) and wrote.ids.shape[1] == wrote.lengths.max()


@pytest.mark.parametrize("chosen", [{}, {"temperature": 0.7}, {"top_k": 5, "top_p": 0.9}], ids=str)
@pytest.mark.parametrize("kind", sorted(KINDS))
def test_in_float32_the_logprobs_are_those_of_a_forward_pass_to_a_hundred_thousandth(kind, chosen):
    model = shaken(0.1, **{"vocab_size": 300, "d_model": 64, "n_heads": 4} | KINDS[kind]).float()
    assert can_decode(model) == (kind in ("decoder", "grouped", "token shift", "pairs, capped"))
    prompts = torch.randint(300, (8, 12), generator=torch.Generator().manual_seed(0))
    wrote = rollout(model, prompts, 8, 24, seed=3, **chosen)
    assert wrote.logprobs.dtype == torch.float32 and wrote.drawn.sum() == 64 * 24
    assert (wrote.logprobs - recomputed(model, wrote, **chosen)).abs().max() < 1e-5


def test_tokens_come_as_often_as_their_logprobs_say(model):
    wrote = rollout(model, [[1, 2, 3]], 4000, 1, temperature=0.8, top_k=6)
    drawn, logprobs = wrote.ids[:, 3], wrote.logprobs[:, 3]
    counts, p = drawn.bincount(minlength=V), torch.zeros(V, dtype=torch.float64)
    p[drawn] = logprobs.exp()
    assert (counts > 0).sum() == 6 and abs(p.sum() - 1) < 1e-9
    assert (counts / 4000 - p).abs().max() < 0.03


def test_other_seeds_give_every_row_other_luck():
    several = [row_seeds(seed, 50) for seed in range(20)]
    assert len({each for seeds in several for each in seeds}) == 1000  # seed 1's rows are not seed 0's, moved by one
    assert row_seeds(3, 50)[:7] == row_seeds(3, 7)


def test_forced_tokens_are_marked_and_have_no_logprob(model):
    def forced(row: int, answer: list[int]) -> list[int]:
        if row == 1 and not answer:
            return [7, 8, 9]
        return [3] if len(answer) == 5 else []

    wrote, free = (rollout(model, [[1, 2]], 3, 8, seed=4, forced=each) for each in (forced, None))
    assert wrote.answer(1)[:3] == [7, 8, 9] and [wrote.answer(row)[5] for row in range(3)] == [3, 3, 3]
    marked = torch.zeros_like(wrote.forced)
    marked[1, 2:5] = marked[:, 7] = True
    assert torch.equal(wrote.forced, marked) and torch.equal(wrote.drawn[:, 2:], ~marked[:, 2:])
    assert bool((wrote.logprobs[marked] == 0).all())
    torch.testing.assert_close(wrote.logprobs, recomputed(model, wrote), rtol=0, atol=1e-10)
    assert wrote.answer(0)[:5] == free.answer(0)[:5] and wrote.answer(2)[:5] == free.answer(2)[:5]
    assert not bool(wrote.finished.any())


def test_a_text_put_again_token_for_token_is_the_text_that_was_drawn(model):
    first = rollout(model, PROMPTS, 2, 10, seed=1, stop=3)
    again = rollout(model, PROMPTS, 2, 10, seed=9, stop=3, forced=lambda row, answer: first.answer(row)[len(answer) :])
    assert torch.equal(again.ids, first.ids) and torch.equal(again.lengths, first.lengths)
    assert torch.equal(again.forced, first.drawn) and not bool(again.drawn.any())
    assert not bool(again.finished.any())  # the stop was put there: the model did not choose to end


def test_after_a_stop_forced_tokens_make_an_answer_go_on(model):
    plain = rollout(model, [[1, 2, 3]], 40, 12, seed=2, stop=[5, 8])

    def reconsider(row: int, answer: list[int]) -> list[int] | None:
        return [6, 7] if answer and answer[-1] in (5, 8) and answer.count(5) + answer.count(8) == 1 else None

    on, ends = rollout(model, [[1, 2, 3]], 40, 12, seed=2, stop=[5, 8], forced=reconsider), set()
    for row in range(40):
        stopped, answer, finished = plain.answer(row), on.answer(row), bool(on.finished[row])
        assert answer[: len(stopped)] == stopped
        if plain.finished[row]:
            assert answer[len(stopped) : len(stopped) + 2] == [6, 7][: 12 - len(stopped)]
        assert finished == (answer.count(5) + answer.count(8) == 2)  # the second time it may end
        ends.add((bool(plain.finished[row]), finished))
    assert ends == {(False, False), (True, False), (True, True)}


def test_what_comes_back_may_take_part_in_a_loss(model):
    wrote = rollout(model, PROMPTS, 2, 5)
    logprobs = model(wrote.ids[:, :-1]).log_softmax(-1).gather(-1, wrote.ids[:, 1:, None])[..., 0]
    ratio = (logprobs - wrote.logprobs[:, 1:]).exp()[wrote.drawn[:, 1:]]
    torch.testing.assert_close(ratio, torch.ones_like(ratio), rtol=0, atol=1e-10)
    (ratio * wrote.logprobs[wrote.drawn]).sum().backward()
    assert model.head.weight.grad.abs().sum() > 0
    model.zero_grad()


def test_dropout_is_off_and_the_mode_is_as_it_was():
    model = shaken(dropout=0.5)
    wrote = rollout(model.train(), PROMPTS, 3, 6)
    assert model.training
    torch.testing.assert_close(wrote.logprobs, recomputed(model.eval(), wrote), rtol=0, atol=1e-10)


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
def test_a_model_of_16_bits_gives_logprobs_of_32(dtype):
    wrote = rollout(shaken().to(dtype), PROMPTS, 3, 6)
    assert wrote.logprobs.dtype == torch.float32 and bool((wrote.logprobs[wrote.drawn] < 0).any())


def test_one_seed_a_row_may_be_given(model):
    wrote = rollout(model, PROMPTS, 1, 6, seed=[5, 6, 5])
    assert [wrote.ids[row, : wrote.lengths[row]].tolist() for row in range(3)] == [
        generate(model, [prompt], 6, seed=seed)[0] for prompt, seed in zip(PROMPTS, [5, 6, 5], strict=True)
    ]


@pytest.mark.parametrize(
    ("changes", "word"),
    [
        ({"prompts": [[]]}, "empty"),
        ({"prompts": []}, "no prompt"),
        ({"prompts": [[V]]}, "vocabulary"),
        ({"n": 0}, "n is 0"),
        ({"max_new_tokens": 0}, "max_new_tokens is 0"),
        ({"max_new_tokens": 48}, "ask for at most 46"),
        ({"temperature": math.nan}, "temperature"),
        ({"top_p": 2.0}, "top_p"),
        ({"stop": V}, "stop holds"),
        ({"seed": -1}, "seed"),
        ({"seed": [1, 2, 3]}, "3 seeds for 2 rows"),
        ({"forced": lambda row, answer: [V]}, "forced gave 19"),
    ],
)
def test_bad_input_gets_one_sentence(model, changes, word):
    with pytest.raises(BadInput, match=word):
        rollout(model, **({"prompts": [[1, 2]], "n": 2, "max_new_tokens": 4} | changes))


def test_weights_that_are_no_numbers_are_refused():
    model = shaken()
    with torch.no_grad():
        model.blocks[0].attention.output.weight[0, 0] = math.nan
    with pytest.raises(BadInput, match="weights hold NaN"):
        rollout(model, PROMPTS, 2, 4)


def test_a_batch_of_rollouts_has_each_log_probability_where_its_token_is_said():
    model = shaken(0.1, vocab_size=200).eval()
    put = {1: [17, 18], 3: [19]}  # after so many tokens of the answer, in every row
    drawn = rollout(
        model, PROMPTS, 2, 9, stop=list(range(95, 130)), seed=1, forced=lambda _, so_far: put.get(len(so_far)) or []
    )
    assert drawn.finished.any() and not drawn.finished.all() and drawn.forced.any()
    rewards = drawn.drawn * torch.arange(drawn.ids.numel()).view_as(drawn.ids).float()
    documents = drawn.documents(rewards)
    pad = next(id for id in range(200) if not (drawn.ids == id).any())
    for batch in (padded(documents, pad), packed(documents, pad, 40)):
        with torch.no_grad():
            again = token_logprobs(model(batch.ids, **batch.reading), batch.targets)
        torch.testing.assert_close(batch.logprobs.double(), again, atol=1e-5, rtol=0)
        assert batch.n_targets == int(drawn.drawn.sum()) and (batch.logprobs[batch.mask] < 0).all()
        assert batch.lengths.tolist() == drawn.lengths.tolist()
        torch.testing.assert_close(batch.sums(batch.rewards), rewards.sum(1))
        for number, row in enumerate(drawn.ids):
            assert batch.ids[batch.segments == number].tolist() == row[: drawn.lengths[number]].tolist()
