"""The lens ends where the model does; the parts of a logit sum to it."""

import itertools

import pytest
import torch

from insideout.errors import BadInput
from insideout.transformer.interpret import attribution, edit, logit_lens
from tests.transformer.interpret.by_hand_forward import forward, small

IDS = torch.randint(23, (2, 9), generator=torch.Generator().manual_seed(5))
POSITIONS = ["none", "learned", "sinusoidal", "alibi", "rope"]


@pytest.mark.parametrize("norm", ["layernorm", "rmsnorm"])
def test_the_last_layer_of_the_lens_is_the_model(norm):
    model = small(n_layers=3, norm=norm, bias=True, tie_embeddings=False)
    lens = logit_lens(model, IDS)
    assert lens.shape == (3, 2, 9, 23) and torch.equal(lens[-1], model(IDS))
    shorter = small(n_layers=3, norm=norm, bias=True, tie_embeddings=False)
    for kept in (2, 1):  # the model cut off after so many layers
        shorter.blocks = shorter.blocks[:kept]
        assert torch.equal(lens[kept - 1], shorter(IDS))


def sums_to_the_logit(model, token=7):
    logits = model(IDS).detach()
    for position in (0, 4, -1):
        parts = attribution(model, IDS[1:], position, token)
        assert abs(float(parts.logit - logits[1, position, token])) < 1e-10


@pytest.mark.parametrize(
    ("norm", "bias", "tie_embeddings", "mlp"),
    itertools.product(["layernorm", "rmsnorm"], [True, False], [True, False], ["swiglu", "none"]),
)
def test_the_parts_sum_to_the_logit(norm, bias, tie_embeddings, mlp):
    sums_to_the_logit(small(norm=norm, bias=bias, tie_embeddings=tie_embeddings, mlp=mlp, n_kv_heads=2))


@pytest.mark.parametrize("positions", POSITIONS)
def test_the_parts_sum_to_the_logit_however_positions_are_told(positions):
    sums_to_the_logit(small(positions=positions, n_layers=3, d_head=10))


def test_attention_biases_alone_are_counted():
    model = small(attention_bias=True)
    sums_to_the_logit(model)
    assert attribution(model, IDS[:1], -1, 7).attention_bias.abs().min() > 0


@pytest.mark.parametrize("norm", ["layernorm", "rmsnorm"])
def test_each_part_is_what_the_logit_loses_without_it_under_a_frozen_scale(norm):
    """The final norm written out, with the mean of what is left but the scale of the whole."""
    model = small(norm=norm, bias=True, tie_embeddings=False)
    position, token = 5, 11
    parts, kept, w = attribution(model, IDS[:1], position, token), forward(model, IDS[:1]), model.state_dict()
    x = kept["blocks.1"][0, position]
    if norm == "layernorm":
        scale, shift = (x.var(correction=0) + 1e-6).sqrt(), w["norm.bias"]
    else:
        scale, shift = (x.square().mean() + 1e-6).sqrt(), 0

    def logit_of(x):
        centred = x - x.mean() if norm == "layernorm" else x
        return (centred / scale * w["norm.weight"] + shift) @ w["head.weight"][token]

    whole = logit_of(x)
    z = kept["blocks.0.attention.z"][0, :, position]  # (H, D)
    for head in range(4):
        alone = torch.zeros_like(z)
        alone[head] = z[head]
        written = w["blocks.0.attention.output.weight"] @ alone.flatten()
        torch.testing.assert_close(parts.heads[0, head], whole - logit_of(x - written), atol=1e-5, rtol=0)
    for part, written in [
        (parts.embedding, kept["embedding"][0, position]),
        (parts.feed_forward[1], kept["blocks.1.feed_forward"][0, position]),
        (parts.attention_bias[0], w["blocks.0.attention.output.bias"]),
    ]:
        torch.testing.assert_close(part, whole - logit_of(x - written), atol=1e-5, rtol=0)


def test_attribution_follows_an_edit():
    model = small()
    with edit(model, {"blocks.1.attention.z": torch.zeros_like}):
        parts, logits = attribution(model, IDS[:1], -1, 3), model(IDS[:1]).detach()
    assert parts.heads[1].abs().max() == 0
    assert abs(float(parts.logit - logits[0, -1, 3])) < 1e-10


@pytest.mark.parametrize(
    ("position", "token", "said"),
    [(9, 0, "no position 9 .* from -9 to 8"), (-10, 0, "no position -10"), (0, 23, "no token 23"), (0, -1, "no token")],
)
def test_a_logit_that_does_not_exist_is_refused(position, token, said):
    with pytest.raises(BadInput, match=said):
        attribution(small(), IDS[:1], position, token)


def test_texts_are_attributed_one_at_a_time():
    with pytest.raises(BadInput, match="There are 2 texts"):
        attribution(small(), IDS, -1, 0)
