"""The decoder computes what GPT.forward does with a cache, for every kind of model that it takes; it takes no other."""

import pytest
import torch
from torch import nn

from insideout.transformer.config import GPTConfig
from insideout.transformer.generation.cache import KVCache
from insideout.transformer.generation.decoder import MANY, Decoder, can_decode
from insideout.transformer.generation.generate import generate
from insideout.transformer.model import GPT

SMALL = dict(vocab_size=23, context_length=24, d_model=24, n_layers=3, n_heads=6)
LOOKING_BACK = {1: {}, 2: {"token_shift": True}, 6: {"pair_rows": 31, "logit_cap": 3.0}}
"""By the number of key heads, so that each is tried with each kind of positions."""


def shaken(config: GPTConfig) -> GPT:
    torch.manual_seed(0)
    model = GPT(config).double().eval()
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.add_(0.3 * torch.randn_like(parameter))
    return model


def prefilled(model: GPT, ids: torch.Tensor, lengths: list[int]) -> KVCache:
    """A cache that holds `lengths[b]` tokens of row b, read with padding behind them."""
    cache = KVCache(model.config, len(ids), max(lengths), dtype=torch.float64)
    model(ids[:, : max(lengths)], cache)
    cache.set_lengths(lengths)
    return cache


@pytest.mark.parametrize("kv_heads", [1, 2, 6])
@pytest.mark.parametrize("positions", ["none", "learned", "sinusoidal", "rope"])
@pytest.mark.parametrize("mlp", ["gelu", "gelu_tanh", "relu2", "swiglu"])
@pytest.mark.parametrize("qk_norm", [False, True])
def test_every_step_scores_as_the_model_does(kv_heads, positions, mlp, qk_norm):
    tied = kv_heads == 2
    config = GPTConfig(**SMALL, n_kv_heads=kv_heads, positions=positions, mlp=mlp, qk_norm=qk_norm, tie_embeddings=tied)
    model = shaken(config)
    assert can_decode(model)
    batch = 3 if mlp == "gelu" else MANY  # weights are stored one way for few rows, another for many
    ids = torch.randint(23, (batch, 15))
    with torch.inference_mode():
        caches = [KVCache(config, batch, 20, dtype=torch.float64) for _ in range(2)]
        for cache in caches:
            model(ids[:, :5], cache)
        decoder = Decoder(model, caches[0], 10)
        for t in range(5, 15):
            right = model(ids[:, t : t + 1], caches[1])
            assert (decoder(ids[:, t : t + 1]) - right).abs().max() < 1e-11


@pytest.mark.parametrize("kv_heads", [1, 2, 6])
@pytest.mark.parametrize("positions", ["none", "learned", "sinusoidal", "rope"])
def test_texts_of_other_lengths_score_as_each_does_alone(kv_heads, positions):
    config = GPTConfig(**SMALL, n_kv_heads=kv_heads, positions=positions, **LOOKING_BACK[kv_heads])
    model, ids = shaken(config), torch.randint(23, (4, 20))
    lengths = [2, 6, 4, 3]
    with torch.inference_mode():
        right = model(ids)  # (B, T, V)
        decoder = Decoder(model, prefilled(model, ids, lengths), 12)
        read = list(lengths)
        for n in (1, 3, 1, 5):  # tokens of every row in one call
            new = torch.stack([ids[row, start : start + n] for row, start in enumerate(read)])
            expected = torch.stack([right[row, start : start + n] for row, start in enumerate(read)])
            assert (decoder(new) - expected).abs().max() < 1e-11
            read = [start + n for start in read]
            if n == 3:  # take two back, and read them again
                decoder.forget(2)
                read = [start - 2 for start in read]


@pytest.mark.parametrize("kv_heads", [1, 2, 6])
@pytest.mark.parametrize("positions", ["none", "learned", "sinusoidal", "rope"])
@pytest.mark.parametrize("lengths", [[4, 4], [2, 6]])
def test_branches_of_a_prompt_do_not_see_each_other(kv_heads, positions, lengths):
    config = GPTConfig(**SMALL, n_kv_heads=kv_heads, positions=positions, **LOOKING_BACK[kv_heads])
    model, prompts = shaken(config), torch.randint(23, (2, 6))
    answers = torch.randint(23, (6, 9))  # three branches from each of two prompts
    texts = [torch.cat([prompts[row // 3, : lengths[row // 3]], answers[row]]) for row in range(6)]
    with torch.inference_mode():
        right = [model(text[None])[0] for text in texts]
        decoder, rows = Decoder(model, prefilled(model, prompts, lengths), 9, n_branches=3), torch.arange(6)
        for step in range(9):
            found = decoder(answers[rows, step, None])[:, 0]
            expected = torch.stack([right[row][lengths[row // 3] + step] for row in rows])
            assert (found - expected).abs().max() < 1e-11
            if step in (2, 5):  # some texts end; those that go on are not disturbed
                stay = torch.tensor([1, 2, 4, 5] if step == 2 else [0, 3])
                decoder.keep(stay)
                rows = rows[stay]


@pytest.mark.parametrize(
    "changes",
    [{"norm": "layernorm"}, {"bias": True}, {"attention_bias": True}, {"window": 4}, {"positions": "alibi"},
     {"mlp": "none"}],
    ids=str,
)  # fmt: skip
def test_other_kinds_are_left_to_the_model(changes):
    assert not can_decode(GPT(GPTConfig(**SMALL, **changes)))


def test_a_changed_model_is_left_to_itself():
    model = shaken(GPTConfig(**SMALL))
    handle = model.blocks[1].register_forward_hook(lambda module, inputs, output: 0 * output)
    assert not can_decode(model)
    hooked = generate(model, [[1, 2, 3]], 12, temperature=0.0)
    assert hooked == generate(model, [[1, 2, 3]], 12, temperature=0.0, use_cache=False)
    handle.remove()
    assert can_decode(model)

    class Doubled(nn.Linear):
        def forward(self, x):
            return 2 * super().forward(x)

    model.head = Doubled(24, 23, bias=False).double()
    assert not can_decode(model)
