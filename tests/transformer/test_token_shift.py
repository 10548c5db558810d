"""Token shift: what it adds, by a plain loop; and that nobody who has no place for it takes it."""

import pytest
import torch

from insideout.errors import BadInput
from insideout.transformer.config import GPTConfig
from insideout.transformer.exchange.families import family_of
from insideout.transformer.exchange.onnx import export
from insideout.transformer.model import GPT
from insideout.transformer.token_shift import TokenShift

SMALL = dict(vocab_size=11, context_length=16, d_model=8, n_layers=1, n_heads=2)


def test_each_vector_gets_a_share_of_the_one_before_within_its_document():
    torch.manual_seed(0)
    shift, x = TokenShift(5).double(), torch.randn(2, 6, 5, dtype=torch.float64)
    with torch.no_grad():
        shift.gain.copy_(torch.randn(5))
    positions = torch.tensor([[0, 1, 2, 0, 1, 0], [0, 1, 2, 3, 4, 5]])
    before = x.roll(1, dims=1)
    found = shift(x, before, positions)
    for row in range(2):
        for t in range(6):
            expected = x[row, t] + (shift.gain * x[row, t - 1] if positions[row, t] else 0)
            assert torch.allclose(found[row, t], expected, atol=1e-15)


def test_a_token_moves_what_follows_it_even_without_attention():
    torch.manual_seed(0)
    model = GPT(GPTConfig(**SMALL, positions="none", window=1, token_shift=True)).double()  # each reads itself alone
    ids = torch.tensor([[1, 2, 3, 4]])
    changed = ids.clone()
    changed[0, 1] = 9
    moved = (model(ids) != model(changed)).any(-1)[0].tolist()
    assert moved == [False, True, True, False]


def test_families_and_graphs_without_a_place_for_it_say_so(tmp_path):
    config = GPTConfig(**SMALL, mlp="swiglu", token_shift=True)
    with pytest.raises(BadInput, match="token_shift"):
        family_of(config)
    with pytest.raises(BadInput, match="token_shift"):
        export(GPT(config), tmp_path / "out")
    assert not (tmp_path / "out").exists()
