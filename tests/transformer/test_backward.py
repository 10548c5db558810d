"""The gradients written by hand are autograd's; they are used on a CPU in full precision, and nowhere else."""

import pytest
import torch
from torch.nn import functional as F

from insideout.transformer import backward
from insideout.transformer.feed_forward import relu_squared
from insideout.transformer.loss import IGNORE, cross_entropy
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
        lambda x, gain: backward.RMSNorm.apply(x, gain, 1e-5), lambda x, gain: F.rms_norm(x, gain.shape, gain, 1e-5),
        x, gain,
    )  # fmt: skip


def test_rms_norm_of_rows_that_are_not_contiguous():
    x, gain = draw(2, 6, 3, 8), draw(8, seed=1)
    equal(
        lambda x, gain: backward.RMSNorm.apply(x.transpose(1, 2), gain, 1e-5),
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

    equal(lambda x: backward.Rotation.apply(x.transpose(1, 2), cosine, sine), plain, x)
    with torch.no_grad():  # and the library's function, without a gradient
        torch.testing.assert_close(rotate(x.transpose(1, 2), cosine, sine), plain(x), rtol=1e-12, atol=1e-12)


def test_relu_squared():
    equal(backward.ReluSquared.apply, lambda h: F.relu(h).square(), draw(3, 4, 5))


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


def test_finite_differences():
    x, gain = draw(3, 6), draw(6, seed=1)
    assert torch.autograd.gradcheck(lambda x, gain: backward.RMSNorm.apply(x, gain, 1e-5), (x, gain))
    assert torch.autograd.gradcheck(backward.ReluSquared.apply, (x,))
    cosine, sine = (table.double() for table in rope_table(3, rope_frequencies(6, 100.0)))
    assert torch.autograd.gradcheck(lambda x: backward.Rotation.apply(x, cosine, sine), (x,))


def test_only_in_full_precision_on_a_cpu_and_the_same_bits_without_a_gradient():
    x = draw(2, 3)
    assert backward.by_hand(x) and not backward.by_hand(x.half()) and not backward.by_hand(x.to("meta"))
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
    torch.testing.assert_close(relu_squared(x.clone().requires_grad_()), relu_squared(x))
