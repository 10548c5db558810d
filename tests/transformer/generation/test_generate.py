"""Generation: the cache changes the time and nothing else; a batch changes nothing for any of its rows."""

import math

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from insideout.errors import BadInput
from insideout.transformer.config import GPTConfig
from insideout.transformer.generation.generate import generate
from insideout.transformer.model import GPT
from tests.transformer.generation.filters_by_hand import by_hand

V, CONTEXT = 19, 40
KINDS = {
    "decoder": {},
    "grouped": {"n_kv_heads": 1, "mlp": "swiglu", "qk_norm": False},
    "added positions": {"positions": "learned"},
    "GPT-2": {"positions": "learned", "norm": "layernorm", "mlp": "gelu_tanh", "bias": True, "qk_norm": False},
    "window": {"window": 5},
    "ALiBi": {"positions": "alibi"},
    "token shift": {"token_shift": True},
    "pairs, capped": {"pair_rows": 29, "logit_cap": 4.0},
    "dropout": {"dropout": 0.5},
}


def shaken(**changes) -> GPT:
    torch.manual_seed(1)
    model = GPT(
        GPTConfig(**{"vocab_size": V, "context_length": CONTEXT, "d_model": 16, "n_layers": 2, "n_heads": 2} | changes)
    )
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.add_(0.4 * torch.randn_like(parameter))
    return model.double()


MODELS = {name: shaken(**changes) for name, changes in KINDS.items()}


@pytest.fixture
def model() -> GPT:
    return MODELS["decoder"]


def straight(model, prompt, n_new, temperature, top_k, top_p, min_p, stops, seed):
    """One text, read anew for every token, chosen from number by number."""
    text, stream = list(prompt), torch.rand(n_new, generator=torch.Generator().manual_seed(seed)).tolist()
    model.eval()
    for uniform in stream:
        with torch.no_grad():
            logits = model(torch.tensor([text]))[0, -1].tolist()
        p, reached = by_hand(logits, temperature, top_k, top_p, min_p), 0.0
        for token in sorted(p):
            reached += p[token]
            if uniform < reached:
                break
        text.append(token)
        if token in stops:
            break
    return text


@settings(max_examples=40, deadline=None)
@given(
    kind=st.sampled_from(sorted(KINDS)),
    lengths=st.lists(st.integers(1, 20), min_size=1, max_size=9),
    n_new=st.integers(1, 12),
    temperature=st.sampled_from([0.0, 0.7, 1.0, 1.5]),
    top_k=st.none() | st.integers(1, 25),
    top_p=st.none() | st.floats(0.1, 1.0),
    min_p=st.none() | st.floats(0.01, 0.5),
    stops=st.sets(st.integers(0, V - 1), max_size=3),
    seed=st.integers(0, 2**62),
)
def test_the_text_is_that_of_a_straight_loop(kind, lengths, n_new, temperature, top_k, top_p, min_p, stops, seed):
    model = MODELS[kind]
    prompts = [
        torch.randint(V, (length,), generator=torch.Generator().manual_seed(length)).tolist() for length in lengths
    ]
    model.train()  # generate is asked in any mode
    chosen = {"temperature": temperature, "top_k": top_k, "top_p": top_p, "min_p": min_p}
    together = generate(model, prompts, n_new, **chosen, stop=sorted(stops), seed=seed)
    assert model.training
    for row, prompt in enumerate(prompts):
        assert together[row] == straight(model, prompt, n_new, temperature, top_k, top_p, min_p, stops, seed + row)


def test_the_cache_changes_nothing_and_a_row_is_what_it_would_be_alone(model):
    prompts = [[1, 2, 3], [4], [5, 6, 7, 8, 9, 10, 11], [1, 1]]
    for temperature in (0.0, 0.7):
        together = generate(model, prompts, 20, temperature=temperature, seed=7)
        assert together == generate(model, prompts, 20, temperature=temperature, seed=7, use_cache=False)
        alone = [generate(model, [p], 20, temperature=temperature, seed=7 + row)[0] for row, p in enumerate(prompts)]
        assert together == alone


def test_stop_ends_a_sequence_and_keeps_the_token(model):
    free = generate(model, [[3], [5, 7]], 20, seed=4)
    stopped = generate(model, [[3], [5, 7]], 20, seed=4, stop=free[0][6])
    assert stopped[0] == free[0][: free[0].index(free[0][6], 1) + 1]
    assert free[1][: len(stopped[1])] == stopped[1]


def test_every_module_is_in_its_mode_again_even_after_a_fault(model):
    model.train()
    model.blocks[0].eval()  # one part was frozen
    modes = [module.training for module in model.modules()]
    generate(model, [[1, 2]], 3)
    assert [module.training for module in model.modules()] == modes
    broken = shaken()
    broken.train()
    with torch.no_grad():
        broken.norm.weight[0] = math.nan
    with pytest.raises(BadInput, match="NaN"):
        generate(broken, [[1, 2]], 3)
    assert all(module.training for module in broken.modules())
    model.train()


@pytest.mark.parametrize("kind", sorted(KINDS))
def test_autocast_does_not_change_the_text(kind):
    model = MODELS[kind]
    plain = generate(model, [[1, 2, 3], [4]], 10, seed=1)
    with torch.autocast("cpu", torch.bfloat16):
        assert generate(model, [[1, 2, 3], [4]], 10, seed=1) == plain
        single = shaken(**KINDS[kind]).float()
        assert generate(single, [[1, 2, 3]], 10, seed=1) == generate(single, [[1, 2, 3]], 10, seed=1, use_cache=False)


@pytest.mark.parametrize("where", ["token_embedding.weight", "blocks.1.feed_forward.up.weight", "norm.weight"])
@pytest.mark.parametrize("value", [math.nan, math.inf])
@pytest.mark.parametrize("temperature", [0.0, 1.0])
@pytest.mark.parametrize("use_cache", [True, False])
def test_weights_that_are_no_numbers_are_not_written_out(where, value, temperature, use_cache):
    model = shaken()
    with torch.no_grad():
        model.get_parameter(where).flatten()[0] = value
    with pytest.raises(BadInput, match="weights hold NaN"):
        generate(model, [[0, 1]], 3, temperature=temperature, use_cache=use_cache)


def test_no_new_tokens_leave_the_prompts(model):
    assert generate(model, [[3, 4], [5]], 0) == [[3, 4], [5]]


@pytest.mark.parametrize(
    ("prompts", "settings_", "word"),
    [
        ([[]], {}, "empty"),
        ([], {}, "no prompt"),
        ([[19]], {}, "vocabulary"),
        ([[-1]], {}, "vocabulary"),
        ([[1]], {"temperature": -1.0}, "temperature"),
        ([[1]], {"temperature": math.nan}, "temperature"),
        ([[1]], {"top_p": 0.0}, "top_p"),
        ([[1]], {"top_p": 1.01}, "top_p"),
        ([[1]], {"top_k": 0}, "top_k"),
        ([[1]], {"temperature": 0.0, "top_k": 0}, "top_k"),
        ([[1]], {"stop": 19}, "stop holds 19"),
        ([[1]], {"stop": [3, -1]}, "stop holds -1"),
        ([[1]], {"seed": 2**63}, "seed"),
        ([[1]], {"seed": -1}, "seed"),
        ([[1]], {"max_new_tokens": -1}, "max_new_tokens is -1"),
        ([[1] * 30], {}, "ask for at most 10"),
        ([[1] * 40], {}, "no room to write"),
        ([[1] * 52], {}, "52 tokens, which leaves no room .* shorten it"),
    ],
)
def test_bad_input_gets_one_sentence(model, prompts, settings_, word):
    with pytest.raises(BadInput, match=word):
        generate(model, prompts, **({"max_new_tokens": 20} | settings_))
