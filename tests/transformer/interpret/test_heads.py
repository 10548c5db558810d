"""A head made by hand to look at the token before scores 1 for that; one made to do induction scores 1 for that."""

import pytest
import torch

from insideout.errors import BadInput
from insideout.transformer.config import GPTConfig
from insideout.transformer.interpret import induction_scores, previous_token_scores, record
from insideout.transformer.model import GPT
from tests.transformer.interpret.by_hand_forward import small

V, T, D = 11, 21, 32  # tokens, positions, head width
TOKEN, PLACE, PREVIOUS = (slice(0, V), slice(V, V + T), slice(V + T, 2 * V + T))
SHARP = 200.0


def made_by_hand() -> GPT:
    """Head (0, 0) reads the token before, head (1, 0) does induction; heads (0, 1) and (1, 1) read evenly.

    The residual stream holds the token, its position and, once head (0, 0) has written it, the token before, each as a
    one in a place of its own. Nothing else writes.
    """
    config = GPTConfig(vocab_size=V, context_length=T, d_model=2 * V + T, n_layers=2, n_heads=2, d_head=D,
                       positions="learned", qk_norm=False, mlp="none")  # fmt: skip
    model = GPT(config).double()
    w = {name: parameter.data for name, parameter in model.named_parameters()}
    for name, parameter in w.items():
        if "norm" not in name:
            parameter.zero_()
    w["token_embedding.weight"][:, TOKEN] = torch.eye(V)
    w["position_embedding.weight"][:, PLACE] = torch.eye(T)
    query, key, value = (slice(i * 2 * D, i * 2 * D + D) for i in range(3))  # the rows of head 0

    fused = w["blocks.0.attention.query_key_value.weight"]
    fused[query][: T - 1, PLACE] = SHARP * torch.eye(T)[1:]  # at position t, ask for position t - 1
    fused[key][:T, PLACE] = torch.eye(T)
    fused[value][:V, TOKEN] = torch.eye(V)
    w["blocks.0.attention.output.weight"][PREVIOUS, :V] = torch.eye(V)

    fused = w["blocks.1.attention.query_key_value.weight"]
    fused[query][:V, TOKEN] = SHARP * torch.eye(V)  # ask who came after this token
    fused[key][:V, PREVIOUS] = torch.eye(V)
    fused[key][:V, PLACE][:, 0] = -torch.ones(V)  # but not position 0, which could only read itself
    return model


def repeating(periods, seed=0, n=T) -> torch.Tensor:
    """Rows that repeat every `periods[b]` tokens, all different within a period."""
    rng = torch.Generator().manual_seed(seed)
    rows = [torch.randperm(V, generator=rng)[:p] for p in periods]
    return torch.stack([row.repeat(n // len(row) + 1)[:n] for row in rows])


def even(ids, periods):
    """The scores of a head that reads all positions up to its own alike: induction, previous token."""
    follows = [
        sum(s >= 1 and (t - s + 1) % p == 0 for s in range(t + 1)) / (t + 1)
        for p in periods
        for t in range(p, ids.shape[1])
    ]
    before = [1 / (t + 1) for t in range(1, ids.shape[1])]
    return sum(follows) / len(follows), sum(before) / len(before)


@pytest.mark.parametrize("periods", [(7, 7), (10,), (3, 5, 8, 11), (2, 9, 4)])
def test_heads_made_by_hand(periods):
    model, ids = made_by_hand(), repeating(periods)
    induction, previous = induction_scores(model, ids, periods), previous_token_scores(model, ids)
    by_chance, before_by_chance = even(ids, periods)
    assert induction.shape == previous.shape == (2, 2)
    assert induction[1, 0] > 0.999 and previous[0, 0] > 0.999
    for score in (induction[0, 1], induction[1, 1]):
        assert abs(float(score) - by_chance) < 1e-9
    for score in (previous[0, 1], previous[1, 1]):
        assert abs(float(score) - before_by_chance) < 1e-9
    assert induction[0, 0] < 0.01 or 2 in periods  # where the period is 2, the token before is the one that follows
    assert previous[1, 0] < 0.6


def test_scores_are_read_off_the_pattern_row_by_row():
    model, periods = small(n_kv_heads=2), (4, 7, 11)
    ids = repeating(periods)[:, :20]
    patterns = list(record(model, ids, "*.pattern").values())
    expected, count = torch.zeros(2, 4, dtype=torch.float64), 0
    for b, p in enumerate(periods):
        for t in range(p, 20):
            count += 1
            for s in range(t + 1 - p, 0, -p):
                assert ids[b, s - 1] == ids[b, t]
                expected += torch.stack([pattern[b, :, t, s] for pattern in patterns])
    torch.testing.assert_close(induction_scores(model, ids, torch.tensor(periods)), expected / count)
    before = torch.stack([torch.stack([p[:, :, t, t - 1].mean(0) for t in range(1, 20)]).mean(0) for p in patterns])
    torch.testing.assert_close(previous_token_scores(model, ids), before)


def test_one_period_for_all_rows_is_that_period_for_each():
    model, ids = small(), repeating((6, 6))
    assert torch.equal(induction_scores(model, ids, 6), induction_scores(model, ids, [6, 6]))


@pytest.mark.parametrize(
    ("period", "said"),
    [
        ([5, 7], "Row 1 does not repeat every 7 tokens"),
        (5, "Row 1 does not repeat every 5"),
        ([5, 1], "period of row 1 is 1"),
        ([21, 8], "period of row 0 is 21"),
        ([5], "1 periods for 2 rows"),
    ],
)
def test_rows_that_do_not_repeat_as_told_are_refused(period, said):
    with pytest.raises(BadInput, match=said) as error:
        induction_scores(small(), repeating((5, 8)), period)
    assert "\n" not in str(error.value)


def test_a_single_token_has_no_token_before():
    with pytest.raises(BadInput, match="at least two"):
        previous_token_scores(small(), torch.tensor([[3]]))
