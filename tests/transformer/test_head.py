"""Heads: a cap that squeezes as tanh does; zeros at the start; a family without a cap says so."""

import math

import pytest
import torch

from insideout.errors import BadInput
from insideout.transformer.config import GPTConfig
from insideout.transformer.exchange.families import family_of
from insideout.transformer.head import capped
from insideout.transformer.model import GPT

SMALL = dict(vocab_size=11, context_length=16, d_model=8, n_layers=3, n_heads=2)


def test_a_cap_is_math_tanh_and_its_gradient_fades():
    x = torch.tensor([-90.0, -3.0, 0.0, 0.5, 20.0], dtype=torch.float64, requires_grad=True)
    y = capped(x, 15.0)
    for found, logit in zip(y.tolist(), x.tolist(), strict=True):
        assert found == pytest.approx(15 * math.tanh(logit / 15), abs=1e-12)
    y.sum().backward()
    assert x.grad[2] == 1 and x.grad[0] < 1e-4
    assert torch.autograd.gradcheck(
        lambda x: capped(x, 2.0), (torch.randn(3, 4, dtype=torch.float64, requires_grad=True),)
    )


@pytest.mark.parametrize("tied", [True, False])
def test_no_logit_leaves_the_cap_and_small_ones_stay(tied):
    torch.manual_seed(0)
    plain, model = (GPT(GPTConfig(**SMALL, tie_embeddings=tied, logit_cap=cap)).double() for cap in (0.0, 0.5))
    model.load_state_dict(plain.state_dict())  # a cap has no weights
    with torch.no_grad():
        for each in (plain, model):
            each.token_embedding.weight.mul_(50)
            each.head.weight.mul_(1 if tied else 50)
    ids = torch.randint(11, (2, 9))
    assert plain(ids).abs().max() > 2 and model(ids).abs().max() <= 0.5
    assert torch.allclose(model(ids), 0.5 * torch.tanh(plain(ids) / 0.5), atol=1e-12)


@pytest.mark.parametrize("mlp", ["relu2", "swiglu", "none"])
def test_with_zero_outputs_every_block_begins_as_the_identity(mlp):
    torch.manual_seed(0)
    model = GPT(GPTConfig(**SMALL, mlp=mlp, bias=True, tie_embeddings=False, zero_init_outputs=True))
    ids = torch.randint(11, (2, 9))
    x = model.embed(ids, torch.arange(9)[None])
    inputs = []
    for block in model.blocks:
        block.register_forward_hook(lambda _, given, gives: inputs.append((given[0], gives)))
    logits = model(ids)
    assert len(inputs) == 3 and all(torch.equal(given, x) and torch.equal(gives, x) for given, gives in inputs)
    assert torch.equal(logits, torch.zeros_like(logits))
    logits.logsumexp(-1).sum().backward()  # symmetric: the head alone can move at first
    moves = [name for name, p in model.named_parameters() if p.grad is not None and p.grad.abs().sum() > 0]
    assert moves == ["head.weight"]


def test_a_tied_head_is_not_zero_and_what_reads_is_as_before():
    made = {}
    for zero in (False, True):
        torch.manual_seed(0)
        made[zero] = GPT(GPTConfig(**SMALL, zero_init_outputs=zero)).state_dict()
    assert made[True]["head.weight"].std() > 0.01
    for name, tensor in made[True].items():
        zero = name.endswith(("output.weight", "down.weight"))
        assert torch.equal(tensor, torch.zeros_like(tensor) if zero else made[False][name]), name


@pytest.mark.parametrize("cap", [-1.0, float("nan"), float("inf")])
def test_a_cap_that_is_none_is_refused(cap):
    with pytest.raises(BadInput, match="logit_cap is"):
        GPTConfig(**SMALL, logit_cap=cap)


def test_a_family_without_a_cap_says_so():
    with pytest.raises(BadInput, match="logit_cap"):
        family_of(GPTConfig(**SMALL, mlp="swiglu", logit_cap=30.0))
    assert family_of(GPTConfig(**SMALL, mlp="swiglu", zero_init_outputs=True)) == "qwen3"  # how it began does not show
