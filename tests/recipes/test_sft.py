"""Base and sft: what they learn from, what they leave, what they refuse."""

import json
import os
import shutil
import signal
from collections import Counter

import pytest
import torch

from insideout.data.suite import Message
from insideout.data.town.instructions import Town
from insideout.errors import BadInput
from insideout.finetuning.chat import ChatFormat, with_chat_tokens
from insideout.recipes import base, sft
from insideout.recipes.board import stage_scores
from insideout.recipes.settings import change
from insideout.recipes.stage import make_in, plan, recipe
from insideout.training.events import Step
from insideout.training.loop import Interrupted


@pytest.fixture(scope="module")
def home(tmp_path_factory):
    """A home whose results all of these tests share."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("INSIDEOUT_HOME", str(tmp_path_factory.mktemp("home")))
        yield


def made(name, **changes):
    return recipe(name, scale="tiny", tell=lambda event: None, **changes)


@pytest.fixture
def assistant(home):
    return made("sft")


def texts(batch, tokenizer):
    """What a batch's documents say."""
    return [tokenizer.decode(batch.ids[batch.segments == number]) for number in range(len(batch.rows))]


def test_the_base_model_learns(home):
    result = made("base")
    losses = [record["validation_loss"] for record in result.metrics() if "validation_loss" in record]
    assert losses[-1] < losses[0] < 6.1  # ln of the vocabulary
    assert result.result()["validation_loss"] == losses[-1]


def test_the_base_model_is_trained_on_stories_that_share_nothing_with_those_held_out(home):
    tokenizer = base.town_tokenizer(400, 100)
    told = [[id for segment in each for id in segment.ids] for each, _ in zip(
        base.documents(tokenizer, "train", "0 0 0 0"), range(50), strict=False
    )]  # fmt: skip
    held_out = set(base.held_out_stories(50))
    assert not held_out & {tokenizer.decode(ids[:-1]) for ids in told}
    assert all(ids[-1] == tokenizer.special_ids[base.END] for ids in told)


def test_only_the_answers_tokens_and_the_stop_are_learned():
    tokenizer = with_chat_tokens(base.town_tokenizer(400, 100))
    config = change(sft.SETTINGS["tiny"], {"batch_size": 3})
    of, _, _ = sft.conversations(config, ChatFormat(tokenizer))
    batch, demonstrations = of(7), Town().demonstrations("train", 1_000_003 + 7)
    for number, talk in zip(range(3), demonstrations, strict=False):
        learned = batch.targets[(batch.segments == number) & batch.mask].tolist()
        said = [turn.content for turn in talk if turn.role == "assistant"]
        assert tokenizer.decode(learned) == "".join(f"{each}<|end|>" for each in said)


def test_each_place_has_conversations_of_its_own_and_always_the_same():
    tokenizer = with_chat_tokens(base.town_tokenizer(400, 100))
    of, _, _ = sft.conversations(sft.SETTINGS["tiny"], ChatFormat(tokenizer))
    assert texts(of(3), tokenizer) == texts(of(3), tokenizer) != texts(of(4), tokenizer)


def test_a_file_is_gone_through_evenly_and_its_tenth_is_held_out(tmp_path):
    file = tmp_path / "talks.jsonl"
    lines = [{"instruction": f"Say {n}", "output": f"Number {n}."} for n in range(20)]
    file.write_text("".join(json.dumps(line) + "\n" for line in lines))
    tokenizer = with_chat_tokens(base.town_tokenizer(400, 100))
    config = change(sft.SETTINGS["tiny"], {"data": str(file), "batch_size": 6, "row_length": 64})
    of, held_out, prompt = sft.conversations(config, ChatFormat(tokenizer))
    again, _, _ = sft.conversations(config, ChatFormat(tokenizer))
    assert torch.equal(again(5).ids, of(5).ids), "a run that was stopped goes on with the same batches"
    seen = Counter()
    for place in range(30):
        seen.update(texts(of(place), tokenizer))
    assert len(held_out) == 2 and len(seen) == 18 and max(seen.values()) - min(seen.values()) <= 1 < min(seen.values())
    assert not {tokenizer.decode([id for part in each for id in part.ids]) for each in held_out} & set(seen)
    assert prompt[-1].content.startswith("Say ")


def test_the_first_loss_of_the_tuned_model_is_that_of_the_base_it_goes_on_from(home):
    start = made("base")
    found = made("sft", steps=1, warmup_steps=1, lr=1e-9, min_lr=0.0, muon_lr=1e-9)
    rows = start.model().state_dict()["token_embedding.weight"]
    torch.testing.assert_close(found.model().state_dict()["token_embedding.weight"][: len(rows)], rows)


def test_an_assistant_answers_and_is_scored(assistant):
    talk = (Message("user", "Where is Anna?"),)
    [[answer]] = assistant.writer(0.0).write([talk], 1, 0, 5)
    assert 0 < len(answer.ids) <= 5
    scores = stage_scores("sft", scale="tiny")
    assert set(scores.greedy) == {"instructions"}
    assert "forgotten" in scores.model
    assert {name for _, name, _ in stage_scores("base", scale="tiny").rows()} >= {"correct", "stop rate", "forgotten"}


def test_a_model_of_ones_own_takes_the_place_of_the_base(assistant, tmp_path):
    wanted = plan("sft", "tiny", changes={"model": str(assistant.path)})
    assert wanted.inputs == {} and wanted.key != plan("sft", "tiny").key
    again = made("sft", model=str(assistant.path), steps=2, warmup_steps=1)
    assert again.tokenizer().fingerprint == assistant.tokenizer().fingerprint


def test_settings_of_the_base_can_be_changed(home):
    assert plan("sft", "tiny", changes={"model": {"steps": 31}}).inputs["model"].settings.train.steps == 31


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"prompt_weight": 1.5}, "prompt_weight is 1.5"),
        ({"data": ""}, "data is empty"),
        ({"data": "absent.jsonl"}, "absent.jsonl"),
        ({"model": "~nobody-here/run"}, "nobody-here"),
        ({"model": "absent"}, "There is no model in absent"),
        ({"row_length": 4000}, "row_length is 4000"),
        ({"template": "own"}, "template"),
    ],
)
def test_what_cannot_be_is_refused_in_one_sentence(home, changes, words):
    with pytest.raises(BadInput, match=words):
        made("sft", **changes)


def test_a_stopped_run_goes_on_to_the_same_weights(home, tmp_path):
    settings = sft.SETTINGS["tiny"]

    def stop(event):
        if isinstance(event, Step) and event.step == 7:
            os.kill(os.getpid(), signal.SIGINT)

    whole = make_in(sft.STAGE, settings, tmp_path / "whole", "tiny", lambda event: None)
    with pytest.raises(Interrupted):
        make_in(sft.STAGE, settings, tmp_path / "cut", "tiny", stop)
    cut = make_in(sft.STAGE, settings, tmp_path / "cut", "tiny", lambda event: None, resume=True)
    assert cut.fingerprint == whole.fingerprint and len(cut.metrics()) == settings.train.steps


@pytest.mark.parametrize(
    ("name", "text"),
    [("result.json", "[]"), ("result.json", '{"machine": 1}'), ("config.json", "{}"), ("tokenizer.json", "{}")],
)
def test_a_damaged_assistant_is_one_sentence(assistant, tmp_path, name, text):
    folder = shutil.copytree(assistant.path, tmp_path / "copy")
    (folder / name).write_text(text)
    with pytest.raises(BadInput):
        found = sft.load(folder)
        found.result()
        found.tokenizer()


def test_a_conversation_longer_than_a_row_is_named(home, tmp_path):
    file = tmp_path / "talks.jsonl"
    lines = [{"instruction": "Say", "output": "a " * n} for n in (1, 500)]
    file.write_text("".join(json.dumps(line) + "\n" for line in lines))
    with pytest.raises(BadInput, match="conversation 2 has"):
        made("sft", data=str(file))
