"""The gradients written by hand are autograd's; they are used on a CPU, and nowhere else."""

import pytest
import torch
from torch.func import functional_call
from torch.nn import functional as F

from insideout.errors import BadInput
from insideout.transformer import kernels
from insideout.transformer.attention import attention_pattern
from insideout.transformer.config import GPTConfig
from insideout.transformer.loss import IGNORE, cross_entropy, next_token_loss
from insideout.transformer.model import GPT
from insideout.transformer.norm import RMSNorm
from insideout.transformer.positions import rope_frequencies, rope_table, rotate


def draw(*shape, seed=0):
    rng = torch.Generator().manual_seed(seed)
    return torch.randn(*shape, generator=rng, dtype=torch.float64).requires_grad_()


def gradients(function, *inputs):
    out = function(*inputs)
    g = torch.randn(out.shape, generator=torch.Generator().manual_seed(9), dtype=out.dtype)
    return out.detach(), torch.autograd.grad((out * g).sum(), inputs)


def equal(ours, reference, *inputs):
    (a, a_gradients), (b, b_gradients) = gradients(ours, *inputs), gradients(reference, *inputs)
    torch.testing.assert_close(a, b, rtol=1e-12, atol=1e-12)
    for x, y in zip(a_gradients, b_gradients, strict=True):
        torch.testing.assert_close(x, y, rtol=1e-11, atol=1e-12)


@pytest.mark.parametrize("shape", [(5,), (3, 4), (2, 3, 7), (2, 3, 4, 6)])
def test_rms_norm(shape):
    x, gain = draw(*shape), draw(shape[-1], seed=1)
    if len(shape) == 1:
        x = x[None]
    equal(
        lambda x, gain: kernels.RMSNorm.apply(x, gain, 1e-5), lambda x, gain: F.rms_norm(x, gain.shape, gain, 1e-5),
        x, gain,
    )  # fmt: skip


def test_rms_norm_of_rows_that_are_not_contiguous():
    x, gain = draw(2, 6, 3, 8), draw(8, seed=1)
    equal(
        lambda x, gain: kernels.RMSNorm.apply(x.transpose(1, 2), gain, 1e-5),
        lambda x, gain: F.rms_norm(x.transpose(1, 2), gain.shape, gain, 1e-5),
        x, gain,
    )  # fmt: skip


def test_rotation():
    cosine, sine = (table.double()[None, None] for table in rope_table(5, rope_frequencies(8, 100.0)))
    x = draw(2, 5, 3, 8)

    def plain(x):
        q = x.transpose(1, 2)
        first, second = q.chunk(2, dim=-1)
        return q * cosine + torch.cat([-second, first], dim=-1) * sine

    equal(lambda x: kernels.Rotation.apply(x.transpose(1, 2), cosine, sine), plain, x)
    with torch.no_grad():  # and the library's function, without a gradient
        torch.testing.assert_close(rotate(x.transpose(1, 2), cosine, sine), plain(x), rtol=1e-12, atol=1e-12)


def test_relu_squared():
    equal(kernels.ReluSquared.apply, lambda h: F.relu(h).square(), draw(3, 4, 5))


def test_cross_entropy_with_targets_that_are_left_out():
    logits, targets = draw(6, 9), torch.tensor([0, 8, IGNORE, 3, IGNORE, 3])
    with torch.no_grad():
        logits.mul_(50)  # some probabilities are 0 in float64
    equal(
        lambda x: cross_entropy(x, targets),
        lambda x: F.cross_entropy(x, targets, ignore_index=IGNORE, reduction="sum"),
        logits,
    )  # fmt: skip
    with torch.no_grad():
        torch.testing.assert_close(cross_entropy(logits, targets), F.cross_entropy(logits, targets, reduction="sum"))


def test_cross_entropy_leaves_the_logits_alone_and_gives_its_gradient_once():
    logits, targets = draw(4, 7), torch.tensor([1, 2, 3, 4])
    before = logits.detach().clone()
    total = cross_entropy(logits, targets)
    total.backward(retain_graph=True)
    assert torch.equal(logits, before)
    with pytest.raises(RuntimeError, match="modified by an inplace operation"):
        total.backward()


@pytest.mark.parametrize("length", [1, 5, kernels.ROWS, 2 * kernels.ROWS + 7])
def test_attention_in_blocks_of_rows(length):
    q, k, v = (draw(2, length, 3, 4, seed=seed) for seed in range(3))
    equal(
        lambda *parts: kernels.Attention.apply(*(x.transpose(1, 2) for x in parts)),
        lambda *parts: F.scaled_dot_product_attention(*(x.transpose(1, 2) for x in parts), is_causal=True),
        q, k, v,
    )  # fmt: skip


def test_16_bits_are_rounded_once():
    cosine, sine = (table[None, None] for table in rope_table(5, rope_frequencies(8, 100.0)))
    x = draw(2, 3, 5, 8).detach().bfloat16()
    assert torch.equal(rotate(x, cosine, sine), rotate(x.float(), cosine, sine).bfloat16())
    norm, leaf = RMSNorm(8, eps=1e-5), x.clone().requires_grad_()
    assert torch.equal(norm(leaf), norm(x.float())) and norm(leaf).dtype == torch.float32
    norm(leaf).square().sum().backward()
    assert leaf.grad.dtype == torch.bfloat16
    targets = torch.tensor([0, 8, IGNORE, 3, IGNORE, 3])
    low = draw(6, 9).detach().bfloat16().requires_grad_()
    full = low.detach().float().requires_grad_()
    before = low.detach().clone()
    losses = [cross_entropy(logits, targets) for logits in (low, full)]
    for loss in losses:
        loss.backward()
    assert torch.equal(*losses) and torch.equal(low.grad, full.grad.bfloat16()) and torch.equal(low, before)


@pytest.mark.parametrize("variant", [
    {}, {"positions": "learned", "qk_norm": False, "norm": "layernorm"}, {"n_kv_heads": 2, "mlp": "swiglu"},
])  # fmt: skip
def test_a_model_in_bfloat16_has_nearly_the_gradient_it_has_in_float32(variant, monkeypatch):
    torch.manual_seed(0)
    model = GPT(GPTConfig(vocab_size=50, context_length=80, d_model=32, n_layers=2, n_heads=4, **variant))
    ids = torch.randint(50, (3, 81), generator=torch.Generator().manual_seed(0))

    def gradient(low):
        model.zero_grad()
        with torch.autocast("cpu", torch.bfloat16, enabled=low):
            total, count = next_token_loss(model, (ids[:, :-1], ids[:, 1:]))
        (total / count).backward()
        return torch.cat([parameter.grad.flatten() for parameter in model.parameters()])

    used = []
    apply = kernels.Attention.apply
    monkeypatch.setattr(kernels.Attention, "apply", lambda *parts: used.append(1) or apply(*parts))
    low, full = gradient(True), gradient(False)
    assert len(used) == 2  # in both layers, and in bfloat16 alone
    assert F.cosine_similarity(low, full, dim=0) > 0.999 and (low - full).norm() < 0.03 * full.norm()


def test_finite_differences():
    x, gain = draw(3, 6), draw(6, seed=1)
    assert torch.autograd.gradcheck(lambda x, gain: kernels.RMSNorm.apply(x, gain, 1e-5), (x, gain))
    assert torch.autograd.gradcheck(kernels.ReluSquared.apply, (x,))
    cosine, sine = (table.double() for table in rope_table(3, rope_frequencies(6, 100.0)))
    heads = tuple(draw(1, 2, 3, 4, seed=seed) for seed in range(3))
    assert torch.autograd.gradcheck(kernels.Attention.apply, heads)
    assert torch.autograd.gradcheck(lambda x: kernels.Rotation.apply(x, cosine, sine), (x,))


def test_only_on_a_cpu_and_the_same_bits_without_a_gradient():
    x = draw(2, 3)
    assert kernels.by_hand(x) and not kernels.by_hand(x, x.to("meta"))
    norm, y = RMSNorm(8, eps=1e-5), torch.randn(2, 3, 8)
    with torch.no_grad():
        plain = norm(y)
    assert torch.equal(norm(y), plain) and not plain.requires_grad


def test_layers_under_autocast_and_without_a_gradient():
    norm, x = RMSNorm(8, eps=1e-5), torch.randn(2, 3, 8)
    with torch.no_grad():
        plain = norm(x)
    torch.testing.assert_close(norm(x), plain)
    with torch.autocast("cpu", torch.bfloat16):
        assert norm(x).dtype == F.rms_norm(x, (8,), norm.weight, 1e-5).dtype
    torch.testing.assert_close(kernels.relu_squared(x.clone().requires_grad_()), kernels.relu_squared(x))


def hessian_vector_products(model, ids, loss, **how):
    """H v for a random v: autograd's, and by finite differences of the gradient."""
    names, values = zip(*[(name, p.detach()) for name, p in model.named_parameters()], strict=True)
    along = [torch.randn(p.shape, dtype=p.dtype, generator=torch.Generator().manual_seed(5)) for p in values]

    def value(*parameters):
        logits = functional_call(model, dict(zip(names, parameters, strict=True)), (ids[:, :-1],), how)
        return loss(logits.flatten(0, 1), ids[:, 1:].flatten())

    def gradient(step):
        at = [(p + step * v).requires_grad_() for p, v in zip(values, along, strict=True)]
        return torch.cat([g.flatten() for g in torch.autograd.grad(value(*at), at)])

    small = 1e-6
    _, found = torch.autograd.functional.hvp(value, values, tuple(along))
    return torch.cat([h.flatten() for h in found]), (gradient(small) - gradient(-small)) / (2 * small)


@pytest.mark.parametrize("variant", [
    {}, {"norm": "layernorm", "mlp": "gelu"}, {"n_kv_heads": 2, "mlp": "swiglu"}, {"positions": "learned"},
], ids=str)  # fmt: skip
def test_second_derivatives_of_a_model_are_right_or_refused(variant):
    torch.manual_seed(0)
    model = GPT(GPTConfig(vocab_size=11, context_length=8, d_model=8, n_layers=2, n_heads=4, **variant)).double()
    ids = torch.randint(11, (2, 9))
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.add_(0.3 * torch.randn_like(parameter))
    found, expected = hessian_vector_products(model, ids, F.cross_entropy, explain=True)
    assert (found - expected).norm() < 1e-4 * expected.norm()
    with pytest.raises(BadInput, match=r"use torch\.nn\.functional\.cross_entropy"):
        hessian_vector_products(model, ids, cross_entropy, explain=True)
    with pytest.raises(RuntimeError, match="is not implemented"):  # torch's fused attention
        hessian_vector_products(model, ids, F.cross_entropy)


def test_second_derivatives_of_each_kernel():
    x, gain = draw(3, 6), draw(6, seed=1)
    assert torch.autograd.gradgradcheck(lambda x, gain: kernels.rms_norm(x, gain, 1e-5), (x, gain))
    for only in ((x, gain.detach()), (x.detach(), gain)):  # one of them frozen
        assert torch.autograd.gradgradcheck(lambda x, gain: kernels.rms_norm(x, gain, 1e-5), only)
    assert torch.autograd.gradgradcheck(kernels.relu_squared, (x,))
    cosine, sine = (table.double()[None, None] for table in rope_table(3, rope_frequencies(6, 100.0)))
    assert torch.autograd.gradgradcheck(lambda x: kernels.rotate(x, cosine, sine), (draw(1, 2, 3, 6),))
    heads = tuple(draw(1, 2, 3, 4, seed=seed) for seed in range(3))
    z = kernels.Attention.apply(*heads)
    with pytest.raises(BadInput, match="explain=True"):
        torch.autograd.grad(z.sum(), heads, create_graph=True)


@pytest.mark.parametrize(
    ("targets", "word"),
    [
        ([1, 2, 3, 7], "A target is 7, outside the vocabulary of 7"),
        ([1, -1, 3, 4], "A target is -1"),
        ([1, IGNORE, -101, 4], "A target is -101"),
    ],
)
def test_targets_that_do_not_fit_are_refused(targets, word):
    with pytest.raises(BadInput, match=word):
        cross_entropy(draw(4, 7), torch.tensor(targets, dtype=torch.long))


def test_targets_are_long_and_not_none_at_all():
    with pytest.raises(BadInput, match=r"torch\.int32"):
        cross_entropy(draw(4, 7), torch.tensor([1, 2, 3, 4], dtype=torch.int32))
    with pytest.raises(BadInput, match="do not fit"):
        cross_entropy(torch.zeros(0, 7), torch.zeros(0, dtype=torch.long))
    assert cross_entropy(draw(4, 7), torch.full((4,), IGNORE)).item() == 0


def test_a_mask_of_whole_numbers_is_refused():
    q, k = draw(1, 2, 3, 4), draw(1, 2, 3, 4, seed=1)
    allowed = torch.ones(3, 3, dtype=torch.bool).tril()
    with pytest.raises(BadInput, match="booleans"):
        attention_pattern(q, k, allowed.long())
    torch.testing.assert_close(attention_pattern(q, k, allowed), attention_pattern(q, k))
