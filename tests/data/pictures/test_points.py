"""Points: each distribution lies where its picture says, and nowhere else."""

import math

import pytest
import torch

from insideout.data.pictures.points import DISTRIBUTIONS, points
from insideout.errors import BadInput


@pytest.mark.parametrize("name", DISTRIBUTIONS)
def test_points_are_the_same_for_the_same_seed_and_centred(name):
    found = points(name, 4000, seed=1)
    assert found.shape == (4000, 2) and torch.equal(found, points(name, 4000, seed=1))
    assert not torch.equal(found, points(name, 4000, seed=2))
    assert found.mean(0).abs().max() < 0.4 and 0.5 < found.std() < 1.5


def test_the_checkerboard_is_even_on_its_dark_fields_and_empty_between():
    field = (points("checkerboard", 8000) + 2).floor().long()
    assert field.min() == 0 and field.max() == 3
    assert ((field[:, 0] + field[:, 1]) % 2 == 0).all()
    counts = torch.stack([field[:, 1] * 4 + field[:, 0]]).flatten().bincount(minlength=16)
    assert (counts[counts > 0] - 1000).abs().max() < 5 * math.sqrt(1000 * 7 / 8) and (counts > 0).sum() == 8


def test_the_heaps_are_round_and_eight():
    found = points("gaussians", 8000)
    angle = torch.atan2(found[:, 1], found[:, 0]) / (2 * math.pi / 8)
    centre = 1.75 * torch.stack([(angle.round() * 2 * math.pi / 8).cos(), (angle.round() * 2 * math.pi / 8).sin()], 1)
    assert (angle.round().long() % 8).bincount().min() > 850
    assert (found - centre).std() == pytest.approx(0.15, rel=0.03)


def test_the_moons_are_two_half_circles():
    found = points("moons", 4000)
    upper = ((found - torch.tensor([-0.5, -0.25])).norm(dim=1) - 1).abs()
    lower = ((found - torch.tensor([0.5, 0.25])).norm(dim=1) - 1).abs()
    assert torch.minimum(upper, lower).max() < 5 * 0.07
    assert ((upper < 0.2) & (found[:, 1] > 0)).sum() > 1000 and ((lower < 0.2) & (found[:, 1] < 0)).sum() > 1000


def test_the_spiral_has_one_arm():
    found = points("spiral", 4000)
    radius, angle = found.norm(dim=1), torch.atan2(found[:, 1], found[:, 0])
    turn = (2 * math.pi * 1.5 * radius / 2 - angle) / (2 * math.pi)
    off = (turn - turn.round()).abs()[radius > 0.5]
    assert off.mean() < 0.06


def test_what_cannot_be_drawn_is_refused():
    with pytest.raises(BadInput, match="no points called 'moon'"):
        points("moon", 5)
    with pytest.raises(BadInput, match="at least 1"):
        points("moons", 0)
