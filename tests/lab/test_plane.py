"""Flows in the plane: what is drawn stands where it should, ways are measured, and the small field learns."""

import math
import re

import pytest
import torch

from insideout.data.pictures.points import points
from insideout.images.distances import energy
from insideout.images.paths import marginal_velocity
from insideout.images.solvers import solve
from insideout.lab.figures import Drawing, Plane
from insideout.lab.plane import detour, energy_parts, pairs_of, train_field


def numbers(part: str) -> list[float]:
    return [float(each) for each in re.findall(r"-?\d+\.\d", part.split('style="')[0])]


def test_points_stand_where_they_should_and_those_outside_are_left_out() -> None:
    d = Drawing(120, 120, "a square")
    plane = Plane(d, 10, 10, 100, reach=2.0)
    plane.points(torch.tensor([[0.0, 0.0], [1.0, 1.0], [5.0, 0.0]]))
    assert numbers(d.parts[-1]) == [60.0, 60.0, 85.0, 35.0]  # y is up


def test_an_arrow_ends_at_its_vector_and_no_farther_than_the_longest() -> None:
    d = Drawing(120, 120, "an arrow")
    plane = Plane(d, 10, 10, 100, reach=2.0)
    plane.arrows([[0.0, 0.0], [0.0, 0.0], [9.0, 9.0]], [[1.0, 0.0], [0.0, 0.0], [1.0, 0.0]])
    assert numbers(d.parts[-1])[:4] == [60.0, 60.0, 85.0, 60.0]
    plane.arrows([[0.0, 0.0]], [[3.0, 4.0]], longest=1.0)
    assert numbers(d.parts[-1])[2:4] == [75.0, 40.0]


def test_a_way_there_and_half_back_is_three_times_as_long() -> None:
    line = torch.tensor([0.0, 1.0, 2.0])[:, None, None] * torch.ones(1, 4, 2)
    assert detour(line) == pytest.approx(1.0)
    back = torch.tensor([0.0, 2.0, 1.0])[:, None, None] * torch.ones(1, 4, 2)
    assert detour(back) == pytest.approx(3.0)


def test_energy_of_normals_is_what_the_formula_says() -> None:
    g = torch.Generator().manual_seed(0)
    x, y = torch.randn(4000, 1, generator=g), 1 + torch.randn(4000, 1, generator=g)
    apart = 2 / math.sqrt(math.pi) * math.exp(-1 / 4) + math.erf(1 / 2)  # E|N(1, 2)|
    assert energy(x, y) == pytest.approx(2 * (apart - 2 / math.sqrt(math.pi)), abs=0.03)
    same = [energy(torch.randn(50, 2, generator=g), torch.randn(50, 2, generator=g)) for _ in range(200)]
    assert abs(sum(same) / 200) < 0.01 and min(same) < 0  # unbiased


def test_a_few_steps_of_training_come_nearer_to_the_field_and_repeat() -> None:
    few = points("moons", 100)
    fields = [train_field(pairs_of(few), seed=1, n_steps=n) for n in (1, 150, 150)]
    x, t = torch.randn(300, 2, generator=torch.Generator().manual_seed(2)), torch.full((300,), 0.4)
    right = marginal_velocity(few, x, 0.4)
    with torch.no_grad():
        untrained, trained, again = (field(x, t) for field in fields)
        drawn = solve(fields[1], x, 20, "euler").x
    assert (trained - right).square().mean() < 0.3 * (untrained - right).square().mean()
    assert torch.equal(trained, again)
    parts = energy_parts(drawn, points("moons", 300, 5), 3)
    assert len(parts) == 3 and sum(parts) < sum(energy_parts(x, points("moons", 300, 5), 3))
