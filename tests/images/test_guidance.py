"""Guidance: both ends bit for bit, by hand beyond them, and asked for only where it counts."""

import math

import pytest
import torch

from insideout.errors import BadInput
from insideout.images.guidance import autoguidance, classifier_free, guided
from insideout.images.paths import PATHS, convert
from insideout.images.solvers import solve


def normal(*shape, seed=0):
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed))


def bits(x):
    return x.view(torch.int32)


@pytest.mark.parametrize("function", [classifier_free, autoguidance])
def test_the_ends_are_the_two_bit_for_bit(function):
    stronger, weaker = normal(4, 3, 8, 8, seed=1), normal(4, 3, 8, 8, seed=2) * 1e3
    stronger[0, 0, 0, 0] = -0.0
    assert not torch.equal(weaker + 1.0 * (stronger - weaker), stronger)  # the formula alone would round
    assert torch.equal(bits(function(stronger, weaker, 1.0)), bits(stronger))
    assert torch.equal(bits(function(stronger, weaker, 0.0)), bits(weaker))


def test_beyond_them_by_hand_on_all_channels():
    conditional, unconditional = torch.full((2, 4, 3, 3), 5.0), torch.full((2, 4, 3, 3), 2.0)
    for w, value in ((2.0, 8.0), (0.5, 3.5), (-1.0, -1.0), (7.5, 24.5)):
        assert (classifier_free(conditional, unconditional, w) == value).all()


@pytest.mark.parametrize("path", PATHS.values(), ids=PATHS)
@pytest.mark.parametrize("kind", ["noise", "data", "score"])
def test_it_is_the_same_whatever_is_predicted(path, kind):
    x, conditional, unconditional = (normal(3, 5, seed=i).double() for i in range(3))

    def as_kind(velocity):
        return convert(velocity, x, 0.6, path, given="velocity", wanted=kind)

    straight = classifier_free(conditional, unconditional, 3.0)
    around = classifier_free(as_kind(conditional), as_kind(unconditional), 3.0)
    assert torch.allclose(convert(around, x, 0.6, path, given=kind, wanted="velocity"), straight, rtol=1e-9)


def constant(value):
    """A field of one velocity, and the times at which it was asked."""
    times = []

    def field(x, t):
        times.append(round(t[0].item(), 3))
        return torch.full_like(x, value)

    return field, times


def test_outside_the_interval_the_stronger_is_alone():
    stronger, asked = constant(1.0)
    weaker, asked_too = constant(0.0)
    x = solve(guided(stronger, weaker, 3.0, (0.25, 0.5)), torch.zeros(2, 1), 8, "euler").x
    assert asked_too == [0.25, 0.375, 0.5]  # both ends too
    assert len(asked) == 8
    assert x[0].item() == pytest.approx((5 * 1 + 3 * 3) / 8)


@pytest.mark.parametrize(("w", "n_strong", "n_weak"), [(1.0, 4, 0), (0.0, 0, 4), (2.0, 4, 4)])
def test_no_call_is_wasted(w, n_strong, n_weak):
    stronger, asked = constant(1.0)
    weaker, asked_too = constant(0.5)
    x = solve(guided(stronger, weaker, w), torch.zeros(2, 1), 4, "euler").x
    assert (len(asked), len(asked_too)) == (n_strong, n_weak)
    assert x[0].item() == pytest.approx(0.5 + 0.5 * w)


def test_bad_input():
    x = torch.zeros(2, 1)
    for w in (math.nan, math.inf):
        with pytest.raises(BadInput, match="w is"):
            classifier_free(x, x, w)
        with pytest.raises(BadInput, match="w is"):
            guided(constant(1.0)[0], constant(0.0)[0], w)
    for interval in ((0.5, 0.2), (-0.1, 0.5), (0.0, 1.5), (math.nan, 1.0)):
        with pytest.raises(BadInput, match=r"give two times in order|must be finite"):
            guided(constant(1.0)[0], constant(0.0)[0], 2.0, interval)
    with pytest.raises(BadInput, match="pictures at different times"):
        guided(constant(1.0)[0], constant(0.0)[0], 2.0)(x, torch.tensor([0.1, 0.2]))
