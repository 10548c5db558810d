"""Reward models: one score for one text, whatever lies beside it; what is learned, and what is refused."""

import math

import pytest
import torch

from insideout.data.batch import Segment, laid_out, packed, padded
from insideout.errors import BadInput
from insideout.finetuning.reward_model import (
    Ensemble,
    RewardModel,
    agreement,
    calibration,
    check_tokenizer,
    reward_objective,
)
from insideout.training.config import TrainConfig
from insideout.training.loop import train
from insideout.transformer.config import GPTConfig
from insideout.transformer.model import GPT
from insideout.transformer.tokenizer import BPETokenizer

PAD, STOP = 20, 19


def gpt(seed=0, dropout=0.0, positions="rope"):
    torch.manual_seed(seed)
    sizes = {"vocab_size": 21, "context_length": 24, "d_model": 16, "n_layers": 2, "n_heads": 2}
    return GPT(GPTConfig(**sizes, dropout=dropout, positions=positions))


def text(seed, length):
    ids = torch.randint(0, 19, (length,), generator=torch.Generator().manual_seed(seed)).tolist()
    return [Segment(ids[:2], learn=False), Segment([*ids[2:], STOP], learn=True)]


TEXTS = [text(seed, length) for seed, length in enumerate((5, 9, 3, 12, 7))]


@pytest.mark.parametrize("positions", ["rope", "learned", "alibi", "sinusoidal", "none"])
def test_a_text_has_one_score_alone_in_any_batch_with_any_padding_and_packed(positions):
    model = RewardModel.of(gpt(positions=positions))
    alone = torch.cat([model.score(padded([each], None)) for each in TEXTS])
    assert len(set(alone.tolist())) == len(TEXTS)
    for batch in (
        padded(TEXTS, PAD), padded(TEXTS, PAD, side="left"), padded([*TEXTS, text(9, 20)], PAD), packed(TEXTS, PAD, 24),
        laid_out([[3], [1, 0], [4, 2]], TEXTS, PAD, 23, "left"),
    ):  # fmt: skip
        torch.testing.assert_close(model.score(batch)[:5], alone, atol=1e-5, rtol=0)


def test_the_score_is_read_at_the_stop():
    model = RewardModel.of(gpt())
    [score] = model.score(padded(TEXTS[:1], None)).tolist()
    ids = torch.tensor([[id for segment in TEXTS[0] for id in segment.ids]])
    assert ids[0, -1] == STOP and model(ids)[0, -1].item() == pytest.approx(score)
    torch.testing.assert_close(model(torch.cat([ids, ids], 1))[0, 5].item(), score)  # what follows changes nothing


def test_dropout_is_off_when_scoring_and_the_mode_stays():
    model = RewardModel.of(gpt(dropout=0.5)).train()
    batch = padded(TEXTS, PAD)
    assert model.score(batch).equal(model.score(batch)) and model.training
    assert not model(batch.ids).equal(model(batch.ids))
    assert not model.score(batch).requires_grad


def test_it_begins_near_ln_2_and_its_first_update_reaches_the_trunk():
    model = RewardModel.of(gpt())
    assert 0 < model.score(padded(TEXTS, PAD)).abs().max() < 1
    total, n, metrics = reward_objective().loss(model, padded(TEXTS[:4], PAD))
    assert n == 2 and total.item() / n == pytest.approx(math.log(2), abs=0.15)
    total.backward()
    assert all(weight.grad is not None and weight.grad.any() for weight in model.parameters())
    assert metrics.keys() == {"accuracy", "margin", "score"}


def test_the_language_model_stays_as_it_was():
    start = gpt()
    before = {name: tensor.clone() for name, tensor in start.state_dict().items()}
    model = RewardModel.of(start, seed=1)
    with torch.no_grad():
        for weight in model.parameters():
            weight.add_(1)
    assert all(tensor.equal(before[name]) for name, tensor in start.state_dict().items())
    assert not RewardModel.of(start, seed=1).gpt.head.weight.equal(RewardModel.of(start, seed=2).gpt.head.weight)


def test_objective_by_hand():
    """Scores 2 and 1, 0 and 0: −log σ(1 − 0.5) − log σ(−0.5), and a tenth of 3² more."""

    class Fixed(torch.nn.Module):
        def forward(self, ids, segments=None):
            return torch.where(ids == STOP, ids.new_tensor([2.0, 1.0, 0.0, 0.0], dtype=torch.float32)[:, None], 9.0)

    total, n, metrics = reward_objective(margin=0.5, centring_weight=0.1).loss(Fixed(), padded(TEXTS[:4], PAD))
    assert n == 2 and metrics == {"accuracy": 1.5, "margin": 1.0, "score": 1.5}
    assert total.item() == pytest.approx(math.log1p(math.exp(-0.5)) + math.log1p(math.exp(0.5)) + 0.9)


def test_a_token_that_is_better_is_learned(tmp_path):
    """Answers with token 3 are preferred to those with token 4: a reward model finds it in seconds."""

    def pairs(seed):
        drawn = torch.Generator().manual_seed(seed)
        found = []
        for _ in range(8):
            ids = torch.randint(5, 19, (6,), generator=drawn).tolist()
            found += [[Segment([ids[0]], False), Segment([*ids[:3], token, *ids[3:], STOP], True)] for token in (3, 4)]
        return padded(found, PAD)

    model = RewardModel.of(gpt())
    config = TrainConfig(steps=40, batch_size=8, lr=1e-2, min_lr=1e-3, warmup_steps=0, precision="float32")
    train(model, reward_objective(centring_weight=0.01), lambda step, _: pairs(step), config, out=tmp_path)
    scores = model.score(pairs(10_000))
    assert agreement(scores[0::2], scores[1::2]).mean() == 1
    assert scores.mean().abs() < 2


def test_a_tie_is_one_half():
    assert agreement(torch.tensor([1.0, 0.0, 2.0]), torch.tensor([0.0, 1.0, 2.0])).tolist() == [1, 0, 0.5]


def test_calibration_by_hand():
    """Three pairs at confidence 3/4, two of them right: error |2/3 − 3/4| = 1/12."""
    chosen = torch.full((3,), math.log(3)) * torch.tensor([1, 1, -1])
    found = calibration(chosen, torch.zeros(3))
    assert found.error == pytest.approx(1 / 12) and found.bins[0].n == 3
    assert found.brier == pytest.approx((2 * 1 / 16 + 9 / 16) / 3)


def test_ensembles_by_hand():
    models = [RewardModel.of(gpt(), seed=seed) for seed in range(3)]
    batch = padded(TEXTS, PAD)
    each = torch.stack([model.score(batch) for model in models])
    torch.testing.assert_close(Ensemble(models).score(batch), each.mean(0))
    torch.testing.assert_close(Ensemble(models, "min").score(batch), each.min(0).values)
    spread = ((each - each.mean(0)) ** 2).mean(0).sqrt()
    torch.testing.assert_close(Ensemble(models, "cautious", 2.0).score(batch), each.mean(0) - 2 * spread)


def test_what_cannot_be_is_refused_in_one_sentence():
    model = RewardModel.of(gpt())
    with pytest.raises(BadInput, match="21 numbers and not one"):
        RewardModel(gpt())
    with pytest.raises(BadInput, match="room for 24"):
        model.score(padded([text(0, 30)], None))
    with pytest.raises(BadInput, match="must be an even number"):
        reward_objective().loss(model, padded(TEXTS, PAD))
    for numbers in ({"margin": -1.0}, {"centring_weight": float("nan")}):
        with pytest.raises(BadInput, match="must"):
            reward_objective(**numbers)
    with pytest.raises(BadInput, match="at least 2"):
        Ensemble([model])
    one, other = (BPETokenizer.train(["abcabc" * 9, words * 9], 262) for words in ("xy", "ab"))
    check_tokenizer(one, one)
    with pytest.raises(BadInput, match="another tokenizer"):
        check_tokenizer(one, other)
