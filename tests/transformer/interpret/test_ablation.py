"""A head ablated is a head whose output weights are gone, or that says the same everywhere."""

import pytest
import torch

from insideout.errors import BadInput
from insideout.transformer.interpret import ablate, edit, record
from tests.transformer.interpret.by_hand_forward import forward, small

IDS = torch.randint(23, (2, 9), generator=torch.Generator().manual_seed(5))
OTHERS = torch.randint(23, (5, 12), generator=torch.Generator().manual_seed(6))


@pytest.mark.parametrize("how", ["zero", "mean"])
def test_ablating_nothing_changes_nothing(how):
    model = small()
    plain = model(IDS)
    with ablate(model, [], how, OTHERS):
        assert torch.equal(model(IDS), plain)
    with edit(model, {"*.z": lambda z: z}):  # heads parted and put together again
        assert torch.equal(model(IDS), plain)
    with ablate(model, [(0, 0), (1, 2)], how, OTHERS):
        assert not torch.allclose(model(IDS), plain)
    assert torch.equal(model(IDS), plain)


@pytest.mark.parametrize("variant", [dict(), dict(n_kv_heads=2, d_head=10, bias=True)], ids=str)
def test_zero_is_a_head_without_output_weights(variant):
    model, width = small(**variant), small(**variant).config.head_width
    with ablate(model, [(1, 2), (0, 0), (0, 3)]):
        ablated = model(IDS)
    with torch.no_grad():
        for layer, head in [(1, 2), (0, 0), (0, 3)]:
            weight = model.get_parameter(f"blocks.{layer}.attention.output.weight")
            weight[:, head * width : (head + 1) * width] = 0
    torch.testing.assert_close(ablated, model(IDS), atol=1e-11, rtol=1e-11)


def test_mean_is_the_mean_over_the_reference():
    model = small(positions="learned")
    z = forward(model, OTHERS)["blocks.0.attention.z"]
    with ablate(model, [(0, 1)], "mean", OTHERS):
        seen = record(model, IDS, "*.z")["blocks.0.attention.z"]
    plain = record(model, IDS, "*.z")["blocks.0.attention.z"]
    torch.testing.assert_close(seen[:, 1], z[:, 1].mean(dim=(0, 1)).expand_as(seen[:, 1]), atol=1e-10, rtol=0)
    assert torch.equal(seen[:, [0, 2, 3]], plain[:, [0, 2, 3]])


@pytest.mark.parametrize(
    ("heads", "how", "said"),
    [
        ([(0, 0), (2, 0)], "zero", "no head 0 in a layer 2: layers go from 0 to 1, heads from 0 to 3"),
        ([(0, 4)], "zero", "no head 4"),
        ([(0, -1)], "zero", "no head -1"),
        ([(0, 0)], "mean", "reference=ids"),
        ([(0, 0)], "median", "'median'; it must be 'zero' or 'mean'"),
    ],
)
def test_what_cannot_be_ablated_is_refused(heads, how, said):
    with pytest.raises(BadInput, match=said), ablate(small(), heads, how):
        pytest.fail("the body must not run")
