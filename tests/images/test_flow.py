"""The objective: its sums, its coins, its floor; and what is drawn."""

import pytest
import torch
from torch import nn

from insideout.errors import BadInput
from insideout.images.classifier import Classifier, ClassifierConfig, classifier_loss, shifted
from insideout.images.config import DiTConfig
from insideout.images.dit import DiT
from insideout.images.flow import FLOW_METRICS, draw_pictures, drop_labels, flow_loss, held_out_loss, noise_for
from insideout.images.paths import LINEAR, PATHS, conditional_velocity, interpolate, marginal_velocity
from insideout.training.objective import Objective, Sums

SMALL = DiTConfig(size=4, channels=1, patch=2, d_model=16, n_layers=1, n_heads=2, n_classes=3)


class Known(nn.Module):
    """The exact field of a few pictures."""

    n_classes = 0

    def __init__(self, points, path=LINEAR):
        super().__init__()
        self.points, self.path = points, path
        self.unused = nn.Parameter(torch.zeros(1))

    def forward(self, x, t):
        return marginal_velocity(self.points, x, t.clamp(max=0.999), self.path) + 0 * self.unused


class Recording(nn.Module):
    """Notes what it is given, and says 0."""

    n_classes = 3

    def __init__(self):
        super().__init__()
        self.weight, self.given = nn.Parameter(torch.zeros(1)), []

    def forward(self, x, t, labels=None):
        self.given.append((x, t, labels))
        return 0 * x + self.weight


def batch(n=6):
    generator = torch.Generator().manual_seed(1)
    return {"pictures": torch.randn(n, 1, 4, 4, generator=generator), "labels": torch.arange(n) % 3}


@pytest.mark.parametrize("path", PATHS.values(), ids=PATHS)
def test_the_loss_is_the_mean_square_of_the_error_summed_over_pictures(path):
    model = Recording()
    torch.manual_seed(3)
    loss, count, _ = flow_loss(path, "uniform", 0.0)(model, batch())
    [(x, t, labels)] = model.given
    torch.manual_seed(3)
    t_again, noise = torch.rand(6), torch.randn(6, 1, 4, 4)
    assert torch.equal(t, t_again) and torch.equal(labels, batch()["labels"])
    assert torch.equal(x, interpolate(batch()["pictures"], noise, t, path))
    expected = sum(
        conditional_velocity(batch()["pictures"][i : i + 1], noise[i : i + 1], t[i : i + 1], path).square().mean()
        for i in range(6)
    )
    torch.testing.assert_close(loss.detach(), expected)
    assert int(count) == 6 and loss.requires_grad


def test_metrics_have_counts_of_their_own_and_are_named():
    sums, model = Sums(Objective(flow_loss(), FLOW_METRICS, counted="pictures")), DiT(SMALL)
    torch.manual_seed(0)
    for _ in range(20):
        sums.add(flow_loss(label_dropout=0.25)(model, batch(30)))
    means = sums.means()
    assert means["null_share"] == pytest.approx(0.25, abs=5 * (0.25 * 0.75 / 600) ** 0.5)
    near_noise, near_data = sums.metrics["loss_near_noise"], sums.metrics["loss_near_data"]
    assert near_noise[1] + near_data[1] == sums.count == 600
    assert near_noise[0] + near_data[0] == pytest.approx(sums.loss, rel=1e-5)


def test_a_coin_is_thrown_for_every_picture():
    torch.manual_seed(0)
    labels = torch.arange(400) % 3
    shares = [float((drop_labels(labels, 3, 0.1) == 3).float().mean()) for _ in range(20)]
    assert all(0 < share < 0.2 for share in shares)  # one coin for all would give 0s and 1s
    kept = drop_labels(labels, 3, 0.1)
    assert torch.equal(kept[kept < 3], labels[kept < 3])
    assert torch.equal(drop_labels(labels, 3, 0.0), labels) and (drop_labels(labels, 3, 1.0) == 3).all()


def test_the_exact_field_has_the_lowest_loss_and_it_is_not_0():
    points = torch.randn(8, 1, 4, 4, generator=torch.Generator().manual_seed(0))
    data = points[torch.arange(800) % 8]
    floor = held_out_loss(Known(points), data)
    wrong = held_out_loss(Known(points + 0.1), data)
    assert 0.05 < floor < wrong
    assert held_out_loss(Known(points), data) == floor


def test_what_the_exact_field_draws_are_the_points_themselves():
    points = torch.randn(4, 1, 4, 4, generator=torch.Generator().manual_seed(0))
    solution = draw_pictures(Known(points), None, (1, 4, 4), n=10, n_steps=40, keep_trajectory=True)
    apart = torch.cdist(solution.x.flatten(1), points.flatten(1)).min(1).values
    assert apart.max() < 0.15 and solution.n_calls == 80 and solution.trajectory.shape == (41, 10, 1, 4, 4)


def test_a_picture_begins_with_the_same_noise_whatever_the_others():
    assert torch.equal(noise_for(3, (1, 4, 4), 5), noise_for(7, (1, 4, 4), 5)[:3])
    assert not torch.equal(noise_for(1, (1, 4, 4), 5), noise_for(1, (1, 4, 4), 6))


@pytest.mark.parametrize(
    ("given", "words"),
    [
        ({"labels": [3]}, "label 3 is out of range: the classes go from 0 to 2"),
        ({"labels": [-1]}, "label -1 is out of range"),
        ({"labels": [0], "n_steps": 0}, "steps is 0"),
        ({"labels": [0], "n_steps": 10**6}, "steps is 1000000"),
        ({"labels": [0], "guidance": float("nan")}, "w is nan"),
        ({"labels": None, "guidance": 2.0}, "nothing to guide to"),
        ({"labels": []}, "no picture to draw"),
        ({"labels": [0], "interval": (0.8, 0.2)}, "interval"),
    ],
)
def test_what_cannot_be_drawn_is_refused(given, words):
    with pytest.raises(BadInput, match=words):
        draw_pictures(DiT(SMALL), given.pop("labels"), (1, 4, 4), **given)


def test_objectives_that_cannot_be_are_refused():
    with pytest.raises(BadInput, match=r"label_dropout is 1\.5"):
        flow_loss(label_dropout=1.5)


def test_the_classifier_learns_and_its_features_are_what_the_class_is_told_from():
    generator = torch.Generator().manual_seed(0)
    labels = torch.arange(120) % 3
    pictures = 0.3 * torch.randn(120, 1, 8, 8, generator=generator)
    pictures[torch.arange(120), 0, 2 * labels] += 2  # a bright row
    torch.manual_seed(0)
    model = Classifier(ClassifierConfig(n_classes=3, width=8, n_features=12))
    optimizer = torch.optim.AdamW(model.parameters(), lr=1e-2)
    for _ in range(25):
        optimizer.zero_grad()
        loss, count, _ = classifier_loss(model, {"pictures": pictures, "labels": labels})
        (loss / count).backward()
        optimizer.step()
    model.eval()
    assert int((model(pictures).argmax(1) == labels).sum()) >= 118
    features = model.features(pictures)
    assert features.shape == (120, 12)
    assert torch.equal(model.to_classes(features), model(pictures))
    with pytest.raises(BadInput, match="reads 1 channels"):
        model(torch.zeros(1, 3, 8, 8))
    with pytest.raises(BadInput, match="width must be"):
        ClassifierConfig(width=12)


def test_shifted_pictures_are_the_same_pictures_elsewhere():
    pictures = -torch.ones(200, 1, 8, 8)
    pictures[:, :, 4, 4] = 1
    torch.manual_seed(0)
    moved = shifted(pictures, 1)
    places = moved[:, 0].flatten(1).argmax(1)
    assert (moved.sum((1, 2, 3)) == pictures.sum((1, 2, 3))).all()
    assert set(places.tolist()) == {8 * (4 + i) + 4 + j for i in (-1, 0, 1) for j in (-1, 0, 1)}
    assert shifted(pictures, 0) is pictures
