"""Matrices in 8 and 4 bits: the published levels, the nearest code by trying all, and adapters beside them."""

import copy

import pytest
import torch
from torch import nn

from insideout.errors import BadInput
from insideout.finetuning import lora
from insideout.finetuning.quantised import (
    BLOCK,
    LEVELS,
    QuantisedLinear,
    dequantise,
    dequantised_copy,
    quantise,
    quantise_linears,
)
from insideout.transformer.config import GPTConfig
from insideout.transformer.model import GPT

PUBLISHED = [
    -1.0, -0.6961928009986877, -0.5250730514526367, -0.39491748809814453, -0.28444138169288635, -0.18477343022823334,
    -0.09105003625154495, 0.0, 0.07958029955625534, 0.16093020141124725, 0.24611230194568634, 0.33791524171829224,
    0.44070982933044434, 0.5626170039176941, 0.7229568362236023, 1.0,
]  # fmt: skip
"""Dettmers et al. 2023, appendix E."""


def small(**changes) -> GPT:
    torch.manual_seed(0)
    return GPT(GPTConfig(**(dict(vocab_size=17, context_length=16, d_model=24, n_layers=2, n_heads=2) | changes)))


def test_the_levels_are_the_published_ones():
    assert (LEVELS - torch.tensor(PUBLISHED)).abs().max() < 1e-6


@pytest.mark.parametrize("shape", [(1,), (64,), (5, 13), (8, 32), (3, 65)])
@pytest.mark.parametrize("kind", ["int8", "nf4"])
def test_each_number_becomes_the_nearest_that_its_block_can_say(kind, shape):
    weight = torch.randn(shape, generator=torch.Generator().manual_seed(1))
    found, values = dequantise(quantise(weight, kind)).flatten(), weight.flatten()
    assert dequantise(quantise(weight, kind)).shape == shape
    for start in range(0, len(values), BLOCK):
        block = values[start : start + BLOCK]
        sayable = block.abs().max() * (LEVELS if kind == "nf4" else torch.arange(-127, 128) / 127)
        nearest = (block[:, None] - sayable).abs().min(1).values
        assert torch.allclose((found[start : start + BLOCK] - block).abs(), nearest, atol=1e-6)


def test_a_block_of_zeros_stays_zero_and_the_largest_of_a_block_is_exact():
    weight = torch.cat([torch.zeros(BLOCK), torch.linspace(-3, 1, BLOCK)])
    for kind in ("int8", "nf4"):
        found = dequantise(quantise(weight, kind))
        assert (found[:BLOCK] == 0).all() and found[BLOCK] == -3


def test_nf4_errs_less_on_normal_weights_than_even_levels_of_as_many_bits():
    weight = torch.randn(256, 256, generator=torch.Generator().manual_seed(2))
    error = (dequantise(quantise(weight, "nf4")) - weight).square().mean()
    scales = weight.view(-1, BLOCK).abs().amax(1, keepdim=True)
    even = ((weight.view(-1, BLOCK) / scales * 7).round() / 7 * scales).view(weight.shape)  # 15 levels, evenly apart
    assert error < 0.85 * (even - weight).square().mean()


def test_memory_is_as_counted():
    weight = torch.randn(512, 512)
    n, scales = weight.numel(), weight.numel() // BLOCK
    assert quantise(weight, "int8").n_bytes == n + 4 * scales
    assert quantise(weight, "nf4").n_bytes == n // 2 + 4 * scales
    double = quantise(weight, "nf4", double=True)
    assert double.n_bytes == n // 2 + scales + 4 + 4 * (scales // 256)
    assert 8 * double.n_bytes / n == pytest.approx(4 + 0.127, abs=1e-3)  # bits a number
    single = dequantise(quantise(weight, "nf4"))
    assert (dequantise(double) - single).abs().max() < 0.01 * single.abs().max()


def test_it_equals_bitsandbytes():
    functional = pytest.importorskip("bitsandbytes.functional", reason="needs the extra 'quant'")
    weight = torch.randn(96, 128, generator=torch.Generator().manual_seed(3))
    try:
        codes, state = functional.quantize_4bit(weight, blocksize=BLOCK, quant_type="nf4")
        theirs = functional.dequantize_4bit(codes, state)
    except (RuntimeError, NotImplementedError, AttributeError) as error:
        pytest.skip(f"bitsandbytes cannot do this here: {error}")
    ours = quantise(weight, "nf4")
    assert torch.equal(codes.flatten().to(torch.uint8), ours.codes)
    assert (dequantise(ours) - theirs).abs().max() < 1e-6


@pytest.mark.parametrize("kind", ["int8", "nf4"])
def test_a_layer_multiplies_with_the_rounded_matrix_and_its_gradient_is_that_of_x_alone(kind):
    torch.manual_seed(0)
    linear = nn.Linear(70, 30)
    layer = QuantisedLinear(linear, kind)
    x = torch.randn(4, 3, 70, requires_grad=True)
    y = layer(x)
    expected = x @ dequantise(quantise(linear.weight, kind)).T + linear.bias
    assert torch.allclose(y, expected, atol=1e-5)
    [found] = torch.autograd.grad(y.square().sum(), x)
    [right] = torch.autograd.grad(expected.square().sum(), x)
    assert torch.allclose(found, right, atol=1e-3)
    assert not [parameter for parameter in layer.parameters() if parameter.requires_grad]


@pytest.mark.parametrize("kind", ["int8", "nf4"])
def test_an_adapter_learns_beside_a_quantised_model_which_does_not_move(kind):
    model, ids = small(), torch.arange(12)[None] % 17
    exact = model(ids).detach()
    quantise_linears(model, kind)
    rounded = model(ids).detach()
    assert 0 < (rounded - exact).abs().max() < 0.5
    kept = {name: buffer.clone() for name, buffer in model.named_buffers()}
    lora.add_adapter(model, lora.LoRAConfig(rank=2))
    assert torch.allclose(model(ids), rounded, atol=1e-6)
    learned = [parameter for parameter in model.parameters() if parameter.requires_grad]
    optimizer = torch.optim.AdamW(learned, lr=1e-2)
    for _ in range(3):
        loss = nn.functional.cross_entropy(model(ids)[0, :-1], ids[0, 1:])
        optimizer.zero_grad(), loss.backward(), optimizer.step()
    assert (model(ids) - rounded).abs().max() > 1e-3
    now = {name.replace(".base.", "."): buffer for name, buffer in model.named_buffers()}
    assert now.keys() == kept.keys() and all(torch.equal(buffer, kept[name]) for name, buffer in now.items())
    with lora.adapters_off(model):
        assert torch.allclose(model(ids), rounded, atol=1e-6)


def test_an_adapter_is_merged_into_the_matrices_that_the_whole_numbers_stand_for():
    model, ids = small(bias=True), torch.arange(12)[None] % 17
    quantise_linears(model, "nf4")
    lora.add_adapter(model, lora.LoRAConfig(rank=2))
    with torch.no_grad():
        for layer in lora.adapted(model).values():
            for part in layer.adapter("default").B.values():
                part.normal_(std=0.05)
    before = model(ids)
    with pytest.raises(BadInput, match="merged_copy"):
        lora.merge(model)
    assert torch.equal(model(ids), before)
    plain = lora.merged_copy(model)
    assert torch.allclose(plain(ids), before, atol=1e-5)
    assert not any(isinstance(module, QuantisedLinear | lora.LoRALinear) for module in plain.modules())
    assert torch.equal(model(ids), before)
    assert torch.allclose(dequantised_copy(model)(ids), before, atol=1e-5)


def test_bad_input_gets_one_sentence():
    with pytest.raises(BadInput, match="int8 or nf4"):
        quantise(torch.ones(3), "fp4")
    for weight in (torch.tensor([1.0, float("nan")]), torch.ones(0)):
        with pytest.raises(BadInput, match="finite"):
            quantise(weight)
    model = small()
    with pytest.raises(BadInput, match="int8 or nf4"):
        quantise_linears(model, "int4")
    untouched = copy.deepcopy(model)
    quantise_linears(model, "int8")
    with pytest.raises(BadInput, match="already"):
        quantise_linears(model, "int8")
    lora.add_adapter(untouched, lora.LoRAConfig(rank=2))
    with pytest.raises(BadInput, match="before adapters"):
        quantise_linears(untouched, "int8")
