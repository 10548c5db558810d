"""Times of training: the distributions they are drawn from, and the direction in which they lean."""

import math

import pytest
import torch

from insideout.errors import BadInput
from insideout.images.time_sampling import logit_normal, uniform


def generator():
    return torch.Generator().manual_seed(0)


def test_uniform():
    t = uniform(50_000, generator())
    assert t.min() >= 0 and t.max() < 1
    assert torch.histc(t, 10, 0, 1).sub(5_000).abs().max() < 300  # 4.5 standard deviations


def test_logit_normal_has_the_normals_quantiles():
    for mean, deviation in ((0.0, 1.0), (1.0, 0.5)):
        t = logit_normal(50_000, mean, deviation, generator())
        for share, z in ((0.5, 0.0), (0.8413, 1.0), (0.0228, -2.0)):
            at = 1 / (1 + math.exp(-(mean + z * deviation)))
            assert (t < at).float().mean().item() == pytest.approx(share, abs=0.01)


def test_a_mean_above_0_leans_to_the_data():
    assert logit_normal(1000, 2.0, generator=generator()).mean() > 0.8


def test_one_seed_one_draw():
    assert torch.equal(logit_normal(5, generator=generator()), logit_normal(5, generator=generator()))


def test_bad_input():
    for function in (uniform, logit_normal):
        with pytest.raises(BadInput, match="n is 0; it must be at least 1"):
            function(0)
    for deviation in (0.0, -1.0, math.nan):
        with pytest.raises(BadInput, match="deviation is"):
            logit_normal(3, 0.0, deviation)
