"""The diffusion transformer: its parts against plain loops, its start, its conditions, and what it refuses."""

import math

import pytest
import torch

from insideout.errors import BadInput
from insideout.images.config import DiTConfig, UNetConfig
from insideout.images.dit import Block, DiT, patchify, unpatchify
from insideout.images.embeddings import TIME_SCALE, TimeEmbedding, places, waves
from insideout.images.flow import draw_pictures
from insideout.images.unet import UNet
from insideout.training.optimizers import roles

SMALL = DiTConfig(size=8, channels=2, patch=2, d_model=16, n_layers=2, n_heads=2, n_classes=3)
READER = DiTConfig(size=8, channels=2, patch=2, d_model=16, n_layers=2, n_heads=2, text_width=5)


def random(shape, seed=0):
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed))


def shaken(model, seed=0):
    """The model with weights as they might be after training: none is 0."""
    generator = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.add_(0.3 * torch.randn(parameter.shape, generator=generator))
    return model.eval()


@pytest.mark.parametrize("patch", [1, 2, 4])
def test_patches_come_back(patch):
    x = random((3, 2, 8, 8))
    patches = patchify(x, patch)
    assert patches.shape == (3, (8 // patch) ** 2, 2 * patch**2)
    assert torch.equal(unpatchify(patches, patch, 8, 8), x)
    assert sorted(patches[0, 0].tolist()) == sorted(x[0, :, :patch, :patch].flatten().tolist())
    assert sorted(patches[0, 1 % patches.shape[1]].tolist()) == sorted(
        x[0, :, :patch, patch : 2 * patch].flatten().tolist()
    )


def test_patches_that_do_not_fit_are_refused():
    with pytest.raises(BadInput, match="cannot be cut into patches of 3"):
        patchify(torch.zeros(1, 1, 8, 8), 3)
    with pytest.raises(BadInput, match="make no pictures"):
        unpatchify(torch.zeros(1, 15, 4), 2, 8, 8)


def test_time_in_0_to_1_is_seen_and_without_the_factor_it_is_not():
    t = torch.linspace(0, 1, 201)
    moved = {scale: waves(scale * t, 128) for scale in (1.0, TIME_SCALE)}
    ranges = {scale: int(((w.max(0).values - w.min(0).values) > 0.1).sum()) for scale, w in moved.items()}
    assert ranges[1.0] < 40 and ranges[TIME_SCALE] > 100
    near = (moved[TIME_SCALE][1:] - moved[TIME_SCALE][:-1]).norm(dim=1)  # 0.005 apart
    assert near.min() > 1 > (moved[1.0][1:] - moved[1.0][:-1]).norm(dim=1).max()


def test_a_model_tells_times_apart():
    model = shaken(DiT(SMALL))
    x = random((1, 2, 8, 8)).expand(2, -1, -1, -1)
    early, late = model(x, torch.tensor([0.3, 0.35]))
    assert (early - late).abs().max() > 0.01 * early.abs().max()
    with pytest.raises(BadInput, match="must lie in"):
        model(x, torch.tensor([0.3, 350.0]))
    with pytest.raises(BadInput, match="must lie in"):
        TimeEmbedding(8)(torch.tensor([float("nan")]))


def test_every_place_is_its_own_and_neighbours_are_alike():
    found = places(5, 7, 32)
    assert found.shape == (35, 32)
    apart = torch.cdist(found, found) + 100 * torch.eye(35)
    assert apart.min() > 0.5
    grid = found.reshape(5, 7, 32)
    assert torch.equal(grid[1, 2, :16], grid[1, 5, :16]) and torch.equal(grid[1, 2, 16:], grid[4, 2, 16:])
    expected = [math.cos(3 * 10_000 ** (-i / 8)) for i in range(8)] + [
        math.sin(3 * 10_000 ** (-i / 8)) for i in range(8)
    ]
    torch.testing.assert_close(grid[3, 0, :16], torch.tensor(expected))


@pytest.mark.parametrize("config", [SMALL, READER])
def test_at_the_beginning_each_block_is_the_identity_and_the_velocity_0(config):
    model = DiT(config)
    x, told = random((2, 16, 16)), random((2, 16), 1)
    words = None if config is SMALL else random((2, 4, 16), 2)
    mask = None if words is None else torch.ones(2, 4, dtype=torch.bool)
    for block in model.blocks:
        assert torch.equal(block(x, told, words, mask), x)
    assert torch.equal(model(random((2, 2, 8, 8)), torch.tensor([0.0, 1.0])), torch.zeros(2, 2, 8, 8))


def test_all_of_it_learns_though_it_begins_at_0():
    model = DiT(SMALL)
    optimizer = torch.optim.SGD(model.parameters(), lr=0.5)
    before = {name: parameter.clone() for name, parameter in model.named_parameters()}
    for step in range(3):  # the last layer, then the gates, then all behind them
        optimizer.zero_grad()
        t, labels = torch.tensor([0.2, 0.9, 0.5]), torch.tensor([0, 1, 3])
        (model(random((3, 2, 8, 8), step), t, labels) - 1).square().mean().backward()
        optimizer.step()
    same = [name for name, parameter in model.named_parameters() if torch.equal(parameter, before[name])]
    assert same == []


def test_a_block_is_what_its_equation_says_in_plain_loops():
    """float64, one number at a time."""
    width, heads, n = 8, 2, 3
    block = shaken(Block(DiTConfig(size=2, patch=2, d_model=width, n_layers=1, n_heads=heads, widening=2))).double()
    x, told = random((1, n, width)).double(), random((1, width), 1).double()
    with torch.no_grad():
        found = block(x, told, None, None)[0].tolist()
    p = {name: parameter.detach().tolist() for name, parameter in block.named_parameters()}
    rows, c = x[0].tolist(), told[0].tolist()

    def linear(v, name):
        return [sum(w * a for w, a in zip(row, v, strict=True)) + b
                for row, b in zip(p[f"{name}.weight"], p[f"{name}.bias"], strict=True)]  # fmt: skip

    parts = linear(c, "modulation.linear")
    shift, scale, gate, shift_up, scale_up, gate_up = (parts[i * width : (i + 1) * width] for i in range(6))

    def modulated(v, shift, scale):
        mean = sum(v) / width
        deviation = math.sqrt(sum((a - mean) ** 2 for a in v) / width + 1e-6)
        return [(a - mean) / deviation * (1 + s) + b for a, s, b in zip(v, scale, shift, strict=True)]

    inside = [modulated(v, shift, scale) for v in rows]
    q, k, v = ([linear(each, f"attention.{name}") for each in inside] for name in "qkv")
    size = width // heads
    for i in range(n):
        mixed = []
        for head in range(heads):
            part = slice(head * size, (head + 1) * size)
            scores = [
                sum(a * b for a, b in zip(q[i][part], k[j][part], strict=True)) / math.sqrt(size) for j in range(n)
            ]
            weights = [math.exp(score) for score in scores]
            mixed += [sum(w * v[j][part][d] for j, w in enumerate(weights)) / sum(weights) for d in range(size)]
        row = [a + g * b for a, g, b in zip(rows[i], gate, linear(mixed, "attention.out"), strict=True)]
        up = linear(modulated(row, shift_up, scale_up), "up")
        gelu = [a / 2 * (1 + math.tanh(math.sqrt(2 / math.pi) * (a + 0.044715 * a**3))) for a in up]
        expected = [a + g * b for a, g, b in zip(row, gate_up, linear(gelu, "down"), strict=True)]
        assert found[i] == pytest.approx(expected, rel=1e-10)


def test_no_label_is_the_null_class_and_classes_differ():
    model = shaken(DiT(SMALL))
    x, t = random((4, 2, 8, 8)), torch.full((4,), 0.4)
    every = torch.stack([model(x[:1], t[:1], torch.tensor([label])) for label in range(4)])
    assert torch.equal(model(x[:1], t[:1]), every[3])
    assert torch.cdist(every.flatten(1), every.flatten(1)).add(torch.eye(4)).min() > 1e-3


@pytest.mark.parametrize("label", [-1, 4])
def test_labels_out_of_range_are_refused(label):
    with pytest.raises(BadInput, match=f"label {label} is out of range: classes go from 0 to 2, and 3 stands for none"):
        DiT(SMALL)(torch.zeros(1, 2, 8, 8), torch.zeros(1), torch.tensor([label]))


def test_pads_of_a_text_are_not_read_and_words_are():
    model = shaken(DiT(READER))
    x, t = random((1, 2, 8, 8)), torch.tensor([0.5])
    text, mask = random((1, 4, 5), 3), torch.tensor([[True, True, False, False]])
    found = model(x, t, text=text, text_mask=mask)
    pads_changed = text.clone()
    pads_changed[:, 2:] = 1e6
    assert torch.equal(found, model(x, t, text=pads_changed, text_mask=mask))
    torch.testing.assert_close(found, model(x, t, text=text[:, :2]))
    word_changed = text.clone()
    word_changed[:, 1] += 1
    assert (found - model(x, t, text=word_changed, text_mask=mask)).abs().max() > 1e-3
    nothing = model(x, t, text=text, text_mask=torch.zeros(1, 4, dtype=torch.bool))
    torch.testing.assert_close(nothing, model(x, t))
    assert torch.isfinite(nothing).all() and (found - nothing).abs().max() > 1e-3


def test_what_the_model_was_not_built_for_is_refused():
    x, t = torch.zeros(1, 2, 8, 8), torch.zeros(1)
    with pytest.raises(BadInput, match="reads no text"):
        DiT(SMALL)(x, t, text=torch.zeros(1, 4, 5))
    with pytest.raises(BadInput, match="knows no classes"):
        DiT(READER)(x, t, torch.tensor([0]))
    with pytest.raises(BadInput, match="The text is"):
        DiT(READER)(x, t, text=torch.zeros(1, 4, 6))
    for model in (DiT(SMALL), UNet(UNetConfig(size=8, channels=2))):
        with pytest.raises(BadInput, match="the model draws"):
            model(torch.zeros(1, 2, 6, 6), t)


@pytest.mark.parametrize(
    ("sizes", "words"),
    [
        (
            {"size": 28, "patch": 3},
            "size 28 is not divisible by patch 3: choose a patch of 1 or 2 or 4 or 7 or 14 or 28",
        ),
        ({"d_model": 30, "n_heads": 4}, "not divisible by n_heads"),
        ({"d_model": 18, "n_heads": 3}, "multiple of 4"),
        ({"n_layers": 0}, "n_layers is 0"),
        ({"n_classes": -1}, "n_classes is -1"),
        ({"patch": True}, "patch is True"),
    ],
)
def test_sizes_that_cannot_be_are_refused(sizes, words):
    with pytest.raises(BadInput, match=words):
        DiTConfig(**sizes)


@pytest.mark.parametrize(
    ("sizes", "words"), [({"size": 14, "n_levels": 3}, "cannot be halved 2"), ({"width": 12}, "of 8")]
)
def test_sizes_of_the_u_net_that_cannot_be_are_refused(sizes, words):
    with pytest.raises(BadInput, match=words):
        UNetConfig(**sizes)


@pytest.mark.parametrize(
    "build", [lambda: DiT(SMALL), lambda: UNet(UNetConfig(size=8, channels=2, width=8, n_classes=3))]
)
def test_guidance_1_is_conditional_and_0_unconditional_bit_for_bit(build):
    model = shaken(build())
    drawn = {
        w: draw_pictures(model, [0, 1, 2], (2, 8, 8), n_steps=2, guidance=w, solver="euler").x for w in (0.0, 1.0, 3.0)
    }
    alone = draw_pictures(model, None, (2, 8, 8), n=3, n_steps=2, solver="euler").x
    assert torch.equal(drawn[0.0], alone)
    by_hand = torch.stack([random((2, 8, 8), 0)])[:0]
    generator = torch.Generator().manual_seed(0)
    by_hand = torch.stack([torch.randn((2, 8, 8), generator=generator) for _ in range(3)])
    with torch.no_grad():
        for t in (0.0, 0.5):
            by_hand = by_hand + 0.5 * model(by_hand, torch.full((3,), t), torch.tensor([0, 1, 2]))
    assert torch.equal(drawn[1.0], by_hand)
    assert not torch.equal(drawn[3.0], drawn[1.0])


def test_the_u_net_begins_at_0_and_hears_time_and_class():
    config = UNetConfig(size=8, channels=2, width=8, n_levels=2, n_classes=3)
    x, t = random((2, 2, 8, 8)), torch.tensor([0.3, 0.3])
    assert torch.equal(UNet(config)(x, t), torch.zeros_like(x))
    model = shaken(UNet(config))
    found = model(x, t, torch.tensor([0, 0]))
    assert found.shape == x.shape
    assert (found - model(x, torch.tensor([0.4, 0.4]), torch.tensor([0, 0]))).abs().max() > 1e-3
    assert (found - model(x, t, torch.tensor([1, 1]))).abs().max() > 1e-3


def test_muon_gets_the_layers_and_not_the_modulations():
    found = roles(DiT(READER))
    assert found["blocks.0.attention.q.weight"] == found["blocks.1.up.weight"] == "hidden"
    assert found["blocks.0.modulation.linear.weight"] == found["into.weight"] == found["out.weight"] == "decayed"
