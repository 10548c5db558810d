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


def shaken(config: GPTConfig) -> GPT:
    torch.manual_seed(0)
    model = GPT(config).double().eval()
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.add_(0.3 * torch.randn_like(parameter))
    return model


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
        decoder = Decoder(model, caches[0])
        for t in range(5, 15):
            right = model(ids[:, t : t + 1], caches[1])[:, 0]
            assert (decoder(ids[:, t]) - right).abs().max() < 1e-11


@pytest.mark.parametrize("kv_heads", [1, 2, 6])
@pytest.mark.parametrize("positions", ["none", "learned", "sinusoidal", "rope"])
def test_packed_tokens_score_as_each_row_does_alone(kv_heads, positions):
    config = GPTConfig(**SMALL, n_kv_heads=kv_heads, positions=positions, qk_norm=True)
    model, ids = shaken(config), torch.randint(23, (4, 20))
    with torch.inference_mode():
        right = model(ids)  # (B, T, V)
        cache = KVCache(config, 4, 20, dtype=torch.float64)
        model(ids[:, :6], cache)  # rows really hold 2, 6, 4 and 3 tokens: what lies beyond is overwritten
        starts = [2, 6, 4, 3]
        cache.set_lengths(starts)
        decoder, rows = Decoder(model, cache), list(range(4))
        for counts in ([3, 1, 5, 2], [1, 1, 1, 1], [4, 2, 6, 1], [2, 3, 1]):
            if len(counts) < len(rows):
                decoder.drop(1)  # the last row takes its place
                rows, starts = [0, 3, 2], [starts[0], starts[3], starts[2]]
            read = [ids[row, start : start + count] for row, start, count in zip(rows, starts, counts, strict=True)]
            found = decoder(torch.cat(read), decoder.pack(starts, counts))
            spans = [right[row, start : start + count] for row, start, count in zip(rows, starts, counts, strict=True)]
            assert (found - torch.cat(spans)).abs().max() < 1e-11
            starts = [start + count for start, count in zip(starts, counts, strict=True)]


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
