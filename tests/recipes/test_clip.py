"""The stage in which words and pictures come to lie in one space."""

import pytest
import torch

from insideout.data.pictures.scenes import scenes
from insideout.errors import BadInput
from insideout.recipes import clip
from insideout.recipes.settings import change
from insideout.recipes.stage import recipe

TINY = clip.SETTINGS["tiny"]


@pytest.fixture(scope="module")
def matcher(tmp_path_factory):
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("INSIDEOUT_HOME", str(tmp_path_factory.mktemp("home")))
        yield recipe("clip", scale="tiny", tell=lambda event: None)


def test_it_learns_and_says_what_fits(matcher):
    losses = [record["validation_loss"] for record in matcher.metrics() if "validation_loss" in record]
    assert losses[-1] < losses[0]
    result, model = matcher.result(), matcher.model()
    again = clip.told_apart(model, "test", TINY.pairs)
    assert result["test_finds_caption"] == pytest.approx(again["validation_finds_caption"])
    assert result["temperature"] == pytest.approx(model.temperature.item())
    assert matcher.report.is_file() and matcher.shape == (3, 16, 16)


def test_batches_are_pairs_that_train_and_none_comes_twice():
    batch_at = clip.batches(TINY.train, 16)
    batch, again, later = batch_at(2, 0), batch_at(2, 0), batch_at(3, 0)
    assert torch.equal(batch["pictures"], again["pictures"]) and not torch.equal(batch["pictures"], later["pictures"])
    assert torch.equal(batch["pictures"], scenes("train", 16, 1_000_005).pictures)


@pytest.mark.parametrize(
    ("changes", "words"),
    [({"pairs": 1}, "at least 2"), ({"batch_size": 1}, "at least 2"), ({"accumulation": 2}, "accumulation must be 1"),
     ({"size": 8}, "size is 8"), ({"patch": 5}, "divisible by patch 5")],
)  # fmt: skip
def test_settings_that_cannot_be_are_refused(changes, words):
    with pytest.raises(BadInput, match=words):
        change(TINY, changes)
