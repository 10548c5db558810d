"""Few steps, against a flow that is known in closed form: normal data, whose paths are scalings."""

import math

import pytest
import torch
from torch import nn

from insideout.errors import BadInput
from insideout.images.few_step import (
    consistency_loss,
    consistency_target,
    draw_by_jumps,
    jump,
    reflow_loss,
    reflow_pairs,
)
from insideout.images.solvers import solve

WIDTH = 0.3
"""Deviation of the data: N(0, WIDTH²). The flow keeps each point's place in units of the width of x_t."""


def width_at(t):
    return ((t * WIDTH) ** 2 + (1 - t) ** 2).sqrt()


def field(x, t):
    """d log width / dt · x, since x_t / width is constant along a path."""
    t = t[:, None]
    return (t * WIDTH**2 - (1 - t)) / width_at(t) ** 2 * x


def mean_velocity(x, t):
    """(where the path ends − x) / (1 − t)."""
    t = t[:, None]
    return (WIDTH / width_at(t) * x - x) / (1 - t).clamp(min=1e-12)


@pytest.fixture
def noise():
    return torch.randn(500, 2, generator=torch.Generator().manual_seed(0), dtype=torch.float64)


def test_reflow_pairs_are_the_ends_of_paths(noise):
    data, begun = reflow_pairs(field, noise, n_steps=200, solver="rk4")
    assert begun is noise and torch.allclose(data, WIDTH * noise, atol=1e-7)


def test_the_reflowed_field_is_straight_and_one_step_of_it_is_exact(noise):
    """Pairs (noise, WIDTH · noise): x_t = (t WIDTH + 1 − t) noise, and the velocity is known from x_t."""

    class Straight(nn.Module):
        def forward(self, x, t):
            return (WIDTH - 1) / (t[:, None] * WIDTH + 1 - t[:, None]) * x

    total, count, _ = reflow_loss()(Straight(), {"pictures": WIDTH * noise, "noise": noise})
    assert float(total) == pytest.approx(0, abs=1e-9) and int(count) == 500
    assert torch.allclose(jump(Straight(), noise, torch.zeros(500, dtype=torch.float64)), WIDTH * noise)
    shuffled, _, _ = reflow_loss()(Straight(), {"pictures": WIDTH * noise.flip(0), "noise": noise})
    assert float(shuffled) / 500 > 0.1


def test_the_target_of_the_true_mean_velocity_is_itself(noise):
    """The fixed point of consistency, but for the solver's error, which falls with the cube of the step."""
    t = torch.arange(500, dtype=torch.float64) / 1000
    off = {}
    for h in (1 / 16, 1 / 32):
        wanted = consistency_target(mean_velocity, field, noise, t, h)
        off[h] = float((wanted - mean_velocity(noise, t)).abs().max())
    assert off[1 / 32] < 1e-3 and off[1 / 16] / off[1 / 32] > 6


def test_another_velocity_is_no_fixed_point(noise):
    t = torch.full((500,), 0.25, dtype=torch.float64)
    wanted = consistency_target(field, field, noise, t, 1 / 4)
    assert float((wanted - field(noise, t)).abs().mean()) > 0.05


def test_consistency_is_learned_from_the_field_alone():
    """u(x, t) = c(t) x, a number a time: after training each leads where Heun's steps from there lead."""

    class Scaling(nn.Module):
        def __init__(self):
            super().__init__()
            self.c = nn.Parameter(torch.zeros(9))

        def forward(self, x, t):
            return self.c[(8 * t).round().long()][:, None] * x

    torch.manual_seed(0)
    model, data = Scaling(), WIDTH * torch.randn(4000, 2)
    loss_of = consistency_loss(lambda told: field, model, n_times=8)
    optimizer = torch.optim.Adam(model.parameters(), lr=0.05)
    for step in range(250):
        rows = torch.randint(4000, (256,))
        total, count, _ = loss_of(model, {"pictures": data[rows]})
        optimizer.param_groups[0]["lr"] = 0.05 * (1 - step / 250)
        optimizer.zero_grad()
        (total / count).backward()
        optimizer.step()
    for i in range(8):
        at = torch.ones(1, 1)
        end = solve(field, at, 8 - i, "heun", start=i / 8).x
        assert float(jump(model, at, torch.tensor([i / 8])).detach()) == pytest.approx(float(end), abs=0.01)


@pytest.mark.parametrize("n_calls", [1, 2, 5])
def test_right_jumps_keep_the_distribution_at_every_number_of_calls(n_calls):
    noise = torch.randn(20_000, 1, generator=torch.Generator().manual_seed(1))
    found = draw_by_jumps(mean_velocity, noise, n_calls, torch.Generator().manual_seed(2))
    assert found.n_calls == n_calls
    assert float(found.x.std()) == pytest.approx(WIDTH, rel=4 / math.sqrt(2 * 20_000))
    if n_calls == 1:
        assert torch.allclose(found.x, WIDTH * noise, atol=1e-6)


def test_what_is_told_reaches_model_and_teacher():
    class Told(nn.Module):
        def forward(self, x, t, labels=None):
            assert labels.tolist() == [3, 4]
            return torch.zeros_like(x)

    seen = []

    def field_of(told):
        seen.append(told["labels"].tolist())
        return lambda x, t: torch.zeros_like(x)

    batch = {"pictures": torch.ones(2, 1, 4, 4), "labels": torch.tensor([3, 4])}
    assert float(consistency_loss(field_of, Told())(Told(), batch)[0]) == 0 and seen == [[3, 4]]
    assert reflow_loss()(Told(), batch | {"noise": torch.ones(2, 1, 4, 4)})[1] == 2


def test_what_cannot_be_is_refused(noise):
    with pytest.raises(BadInput, match="has no noise"):
        reflow_loss()(nn.Identity(), {"pictures": noise})
    with pytest.raises(BadInput, match="leads beyond 1"):
        consistency_target(field, field, noise, torch.full((500,), 0.9, dtype=torch.float64), 0.2)
    with pytest.raises(BadInput, match="n_times"):
        consistency_loss(lambda told: field, nn.Identity(), n_times=1)
    with pytest.raises(BadInput, match="n_calls"):
        draw_by_jumps(field, noise, 0)
