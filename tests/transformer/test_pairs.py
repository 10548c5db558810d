"""The table of pairs: which row a pair gets, by a plain loop; what it adds; and who has no place for it says so."""

import pytest
import torch

from insideout.errors import BadInput
from insideout.training.optimizers import roles
from insideout.transformer.config import GPTConfig
from insideout.transformer.exchange.families import family_of
from insideout.transformer.exchange.onnx import export
from insideout.transformer.model import GPT
from insideout.transformer.pairs import PairEmbedding, pair_row
from insideout.transformer.vocabulary import grow

SMALL = dict(vocab_size=11, context_length=16, d_model=8, n_layers=1, n_heads=2)


def test_each_pair_has_a_row_and_a_text_begins_with_none():
    torch.manual_seed(0)
    table = PairEmbedding(7, 5).double()
    ids = torch.tensor([[3, 1, 3, 1, 4], [2, 2, 0, 10, 3]])
    positions = torch.tensor([[0, 1, 2, 3, 4], [0, 1, 2, 0, 1]])  # the second row holds two documents
    before = ids.roll(1, dims=1)
    found = table(ids, before, positions)
    for row in range(2):
        for t in range(5):
            at = ((int(before[row, t]) * 2_654_435_761) ^ ((int(ids[row, t]) * 2_246_822_519) >> 7)) % 7
            expected = table.weight[at] if positions[row, t] else torch.zeros(5, dtype=torch.float64)
            assert torch.equal(found[row, t], expected)


@pytest.mark.parametrize("rows", [100, 512, 1000, 1009, 1024, 1450, 2000])
def test_the_hash_spreads_the_pairs(rows):
    """Over round sizes too: as evenly as chance would (variance = mean), nearly; and a pair's order matters."""
    first, second = (each.flatten() for each in torch.meshgrid(torch.arange(65), torch.arange(65), indexing="ij"))
    counts = pair_row(first, second, rows).bincount(minlength=rows).double()
    assert counts.var() <= 1.3 * counts.mean()
    off = first != second
    same = pair_row(first, second, rows)[off] == pair_row(second, first, rows)[off]
    assert same.double().mean() < 3 / rows + 0.005


def test_gradients_are_those_of_differences():
    torch.manual_seed(0)
    model = GPT(GPTConfig(**SMALL, pair_rows=6, logit_cap=2.0)).double()
    ids, table = torch.tensor([[1, 2, 3, 1, 2]]), model.pair_embedding.weight
    model(ids, explain=True).square().sum().backward()
    for row, column in (
        (int(pair_row(torch.tensor(1), torch.tensor(2), 6)), 3),
        (int(pair_row(torch.tensor(2), torch.tensor(3), 6)), 0),
    ):
        values = []
        for step in (1e-5, -1e-5):
            with torch.no_grad():
                table[row, column] += step
                values.append(float(model(ids).square().sum()))
                table[row, column] -= step
        assert table.grad[row, column] == pytest.approx((values[0] - values[1]) / 2e-5, rel=1e-6)


def test_a_grown_vocabulary_keeps_the_rows_of_its_pairs():
    torch.manual_seed(0)
    model, ids = GPT(GPTConfig(**SMALL, pair_rows=9, logit_cap=3.0)).eval(), torch.tensor([[1, 2, 3, 9]])
    grown = grow(model, 14)
    assert torch.equal(grown.embed(ids, torch.arange(4)[None]), model.embed(ids, torch.arange(4)[None]))
    torch.testing.assert_close(grown(ids)[..., :11], model(ids))


def test_the_table_is_for_adamw_and_not_shrunk():
    assert roles(GPT(GPTConfig(**SMALL, pair_rows=9)))["pair_embedding.weight"] == "undecayed"


@pytest.mark.parametrize("rows", [-1, 10**13])
def test_a_size_that_no_table_has_is_refused(rows):
    with pytest.raises(BadInput, match="pair_rows is"):
        GPTConfig(**SMALL, pair_rows=rows)


def test_families_and_graphs_without_a_place_for_it_say_so(tmp_path):
    config = GPTConfig(**SMALL, mlp="swiglu", pair_rows=5)
    with pytest.raises(BadInput, match="pair_rows"):
        family_of(config)
    with pytest.raises(BadInput, match="pair_rows"):
        export(GPT(config), tmp_path / "out")
    assert not (tmp_path / "out").exists()
