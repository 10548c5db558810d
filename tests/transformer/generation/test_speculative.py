"""Speculative decoding: whatever the draft says, the text is distributed as the target's own."""

import pytest
import torch
from torch.nn import functional as F

from insideout.errors import BadInput
from insideout.transformer.config import GPTConfig
from insideout.transformer.generation.generate import generate
from insideout.transformer.generation.speculative import accept, speculate
from insideout.transformer.model import GPT

V = 5


def random_model(seed: int, **sizes) -> GPT:
    torch.manual_seed(seed)
    model = GPT(
        GPTConfig(**(dict(vocab_size=V, context_length=40, d_model=16, n_layers=1, n_heads=2) | sizes))
    ).double()
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.add_(0.3 * torch.randn_like(parameter))
    return model.eval()


@pytest.fixture(scope="module")
def target() -> GPT:
    return random_model(1, n_layers=2, n_kv_heads=1)


@pytest.fixture(scope="module")
def draft() -> GPT:
    return random_model(2)


def p_value(counts: torch.Tensor, probabilities: torch.Tensor) -> float:
    """Pearson's chi-square test."""
    expected = counts.sum() * probabilities
    assert expected.min() > 1
    statistic = ((counts - expected) ** 2 / expected).sum()
    return 1 - torch.special.gammainc(torch.tensor((len(counts) - 1) / 2), statistic.float() / 2).item()


def sequence_probabilities(model: GPT, prompt: list[int], n: int) -> torch.Tensor:
    """The probability of every continuation of n tokens, (V^n,)."""
    every = torch.cartesian_prod(*[torch.arange(V)] * n).view(-1, n)
    ids = torch.cat([torch.tensor(prompt).expand(len(every), -1), every], dim=1)
    with torch.no_grad():
        logprobs = F.log_softmax(model(ids[:, :-1]), dim=-1)[:, len(prompt) - 1 :]
    return logprobs.gather(-1, every[..., None]).sum((1, 2)).exp()


def counted(ids: list[list[int]], n: int) -> torch.Tensor:
    places = V ** torch.arange(n - 1, -1, -1)
    return (torch.tensor(ids)[:, -n:] * places).sum(-1).bincount(minlength=V**n).double()


@pytest.mark.parametrize("n_draft", [1, 2, 5])
def test_sequences_are_distributed_as_the_targets(target, draft, n_draft):
    prompt, rows = [3, 1, 4], 20_000
    exact = sequence_probabilities(target, prompt, 3)
    found = speculate(target, draft, [prompt] * rows, 3, n_draft=n_draft, seed=n_draft)
    assert p_value(counted(found.ids, 3), exact) > 1e-3
    alone = generate(draft, [prompt] * rows, 3)
    assert p_value(counted(alone, 3), exact) < 1e-9  # the draft's own text would be found out


def test_one_step_follows_p_and_a_wrong_rule_would_not():
    rng = torch.Generator().manual_seed(0)
    p, q = (torch.randn(2, V, generator=rng, dtype=torch.float64).softmax(-1) for _ in range(2))
    n = 100_000
    drafted = torch.multinomial(q[0], n, replacement=True, generator=rng)[:, None]
    uniforms = torch.rand(n, 2, generator=rng, dtype=torch.float64)
    kept, token = accept(p.expand(n, 2, V), q[:1].expand(n, 1, V), drafted, uniforms)
    first = torch.where(kept == 1, drafted[:, 0], token)
    assert p_value(first.bincount(minlength=V), p[0]) > 1e-3
    assert p_value(token[kept == 1].bincount(minlength=V), p[1]) > 1e-3
    assert abs(kept.double().mean() - torch.minimum(p[0], q[0]).sum()) < 0.01
    redrawn = torch.multinomial(p[0], n, replacement=True, generator=rng)  # from p, not from the rest
    wrong = torch.where(kept == 1, drafted[:, 0], redrawn)
    assert p_value(wrong.bincount(minlength=V), p[0]) < 1e-9


@pytest.mark.parametrize("n_draft", [1, 3, 7])
@pytest.mark.parametrize("token_shift", [False, True])
def test_greedy_text_is_the_targets_own(n_draft, token_shift):
    target = random_model(1, n_layers=2, n_kv_heads=1, token_shift=token_shift)
    draft, prompts = random_model(2, token_shift=token_shift), [[1], [2, 3, 0, 4, 4], [4, 4]]
    found = speculate(target, draft, prompts, 20, n_draft=n_draft, temperature=0.0)
    assert found.ids == generate(target, prompts, 20, temperature=0.0)


def test_a_perfect_draft_is_always_kept(target):
    found = speculate(target, target, [[1, 2]], 30, n_draft=4, seed=5)
    assert found.accepted == [[4] * 6]
    assert found.acceptance == 1
    assert found.tokens_per_call == 5


def test_each_row_equals_what_it_would_be_alone(target, draft):
    prompts = [[1], [2, 3, 0, 4, 4], [4, 4], [0] * 12]
    together = speculate(target, draft, prompts, 15, n_draft=3, seed=7)
    for row, prompt in enumerate(prompts):
        alone = speculate(target, draft, [prompt], 15, n_draft=3, seed=7 + row)
        assert together.ids[row] == alone.ids[0]
        assert together.accepted[row] == alone.accepted[0]
        assert len(alone.ids[0]) == len(prompt) + 15


def test_equal_distributions_that_differ_by_rounding_draw_from_p():
    p = torch.tensor([[[0.5, 0.5], [0.5, 0.5]]])
    kept, token = accept(p, p[:, :1], torch.tensor([[0]]), torch.tensor([[1.0, 0.9]]))  # refused as if by rounding
    assert kept.tolist() == [0]
    assert token.tolist() == [1]


@pytest.mark.parametrize(
    ("prompts", "new", "settings", "word"),
    [
        ([[]], 5, {}, "empty"),
        ([[V]], 5, {}, "vocabulary"),
        ([[1]], 0, {}, "max_new_tokens"),
        ([[1]], 5, {"n_draft": 0}, "n_draft"),
        ([[1]], 5, {"temperature": -1.0}, "temperature"),
        ([[1]], 36, {}, "room for 40"),
    ],
)
def test_bad_input_gets_one_sentence(target, draft, prompts, new, settings, word):
    with pytest.raises(BadInput, match=word):
        speculate(target, draft, prompts, new, **settings)


def test_models_of_other_vocabularies_are_refused(target):
    with pytest.raises(BadInput, match="same tokenizer"):
        speculate(target, random_model(3, vocab_size=7), [[1]], 5)


@pytest.mark.parametrize("temperature", [0.0, 1.0])
def test_models_in_training_mode_write_the_same_text_and_stay_in_it(temperature):
    target, draft = random_model(1, dropout=0.5), random_model(2, dropout=0.5)
    expected = speculate(target, draft, [[1, 2], [3]], 12, temperature=temperature)
    target.train(), draft.train()
    assert speculate(target, draft, [[1, 2], [3]], 12, temperature=temperature) == expected
    assert target.training and draft.training
    with torch.autocast("cpu", torch.bfloat16):
        assert speculate(target, draft, [[1, 2], [3]], 12, temperature=temperature) == expected


@pytest.mark.parametrize("broken", ["target", "draft"])
def test_weights_that_are_no_numbers_are_refused(broken):
    models = {"target": random_model(1), "draft": random_model(2)}
    with torch.no_grad():
        models[broken].norm.weight[0] = torch.nan
    with pytest.raises(BadInput, match="weights hold NaN"):
        speculate(**models, prompts=[[1, 2]], max_new_tokens=5)
