"""Pairs, reward and dpo: what they learn from, what they leave, what they refuse, and that a stopped run goes on."""

import json
import math
import os
import signal
from collections import Counter
from typing import get_type_hints

import pytest
import torch

from insideout.cli.commands.judge import Judge
from insideout.data.conversations import read_pairs
from insideout.data.suite import Message
from insideout.data.town.instructions import Town
from insideout.errors import BadInput
from insideout.finetuning.preferences import LOSSES
from insideout.recipes import dpo, found, pair_tuning, pairs, reward
from insideout.recipes.settings import change
from insideout.recipes.stage import make_in, recipe
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
def file(tmp_path):
    """Pairs of the reader's own: 12 prompts, three pairs of each."""
    path = tmp_path / "own.jsonl"
    lines = [{"prompt": f"Say {n}", "chosen": f"{n}.", "rejected": "a" * k} for n in range(12) for k in (1, 2, 3)]
    path.write_text("".join(json.dumps(line) + "\n" for line in lines))
    return path


def test_pairs_are_stored_with_their_truth_and_no_prompt_is_in_both_parts(home):
    found = made("pairs")
    config = pairs.SETTINGS["tiny"]
    assert (len(found.train), len(found.held_out)) == (config.n_pairs, config.n_held_out)
    town = Town()
    for part, split in ((found.train, "train"), (found.held_out, "development")):
        known = {q.prompt: q for q, _ in zip(town.stream(split, config.seed + 1), range(400), strict=False)}
        assert all(each.pair.prompt in known for each in part)
    assert not {each.pair.prompt for each in found.train} & {each.pair.prompt for each in found.held_out}
    assert all(each.pair.chosen != each.pair.rejected for each in found.train)
    assert read_pairs(found.path / "pairs.jsonl") == [each.pair for each in found.train]
    expected = sum(max(each.probability, 1 - each.probability) for each in found.held_out) / config.n_held_out
    assert found.ceiling == pytest.approx(expected) == found.result()["development_ceiling"]
    assert found.result()["train_pairs"] == config.n_pairs


class Says:
    """Writes answers from a list, the same to every question."""

    def __init__(self, *texts):
        self.texts = texts

    def write(self, prompts, n, seed, max_new_tokens):
        from insideout.data.suite import Answer

        return [[Answer(text, (1,), finished) for text, finished in self.texts][:n] for _ in prompts]


def test_cut_off_empty_and_equal_answers_are_left_out_and_counted():
    config = change(pairs.SETTINGS["tiny"], {"answers": 5, "source": "model"})
    writer = Says(("One.", False), ("Two.", True), ("Two.", True), ("  ", True), ("Three.", True))
    making = pairs.Making(writer, config, "train")
    found = list(making.pairs(10))
    assert all({each.pair.chosen, each.pair.rejected} == {"Two.", "Three."} for each in found)
    counted = making.counted(found)
    assert counted["cut_off"] == pytest.approx(0.4) and counted["alike"] == 0
    with pytest.raises(BadInput, match=r"only 0 had two answers that differ"):
        list(pairs.Making(Says(("Two.", True), ("Two.", True)), config, "train").pairs(2))


def test_the_annotator_errs_as_often_as_told_and_likes_length_as_much_as_told():
    said = Says(("I do not know.", True), ("It is so.", True))
    clear = change(pairs.SETTINGS["tiny"], {"sharpness": 0.0, "length_bias": math.log(3), "source": "model"})
    found = list(pairs.Making(said, clear, "train").pairs(200))
    longer = Counter(each.pair.chosen for each in found)["I do not know."]
    assert abs(longer / 200 - 0.75) < 0.1  # one word longer: odds of 3
    assert pairs.ceiling(found) == pytest.approx(0.75)


def test_a_reward_model_is_trained_and_judged_beside_its_ceiling(home):
    found = made("reward")
    result = found.result()
    held_out = made("pairs").held_out
    talks = [(*each.pair.prompt, Message("assistant", text)) for each in held_out
             for text in (each.pair.chosen, each.pair.rejected)]  # fmt: skip
    scores = found.score(talks)
    right = sum((a > b) + 0.5 * (a == b) for a, b in zip(scores[0::2], scores[1::2], strict=True)) / len(held_out)
    assert result["held_out_accuracy"] == pytest.approx(right)
    assert result["ceiling"] == pytest.approx(pairs.ceiling(held_out))
    assert found.report.is_file() and not hasattr(found, "writer")
    for talk, score in zip(talks[:3], scores[:3], strict=True):  # alone as in a batch
        assert found.score([talk]) == pytest.approx([score], abs=1e-5)


@pytest.mark.parametrize("kind", LOSSES)
def test_every_loss_of_the_family_trains_from_a_file(home, file, kind):
    run = made("dpo", loss=kind, data=str(file), steps=2, warmup_steps=1, eval_every=0)
    record = run.metrics()[-1]
    assert record["accuracy"] > 0.4 and "held_out_margin" in record and "correct" not in record
    start = made("sft").model().state_dict()
    assert any(not weight.equal(start[name]) for name, weight in run.model().state_dict().items())


def test_the_first_loss_of_dpo_is_ln_2_and_its_model_goes_on(home):
    run = made("dpo")
    first, *_, last = run.metrics()
    assert first["loss"] == pytest.approx(math.log(2), abs=1e-4) and abs(first["margin"]) < 1e-3
    assert last["margin"] > 0 and {"correct", "stop_rate", "gold", "kl"} <= last.keys() and last["kl"] > 0
    [[answer]] = run.writer(0.0).write([(Message("user", "Where is Anna?"),)], 1, 0, 5)
    assert 0 < len(answer.ids) <= 5
    assert run.report.is_file() and run.suites == made("sft").suites
    again = made("sft", model=str(run.path), steps=2, warmup_steps=1)  # one may go on from it
    assert again.tokenizer().fingerprint == run.tokenizer().fingerprint


@pytest.mark.parametrize("module", [dpo, reward])
def test_a_stopped_run_goes_on_to_the_same_weights(home, file, tmp_path, module):
    settings = change(module.SETTINGS["tiny"], {"data": str(file)})

    def stop(event):
        if isinstance(event, Step) and event.step == 3:
            os.kill(os.getpid(), signal.SIGINT)

    whole = make_in(module.STAGE, settings, tmp_path / "whole", "tiny", lambda event: None)
    with pytest.raises(Interrupted):
        make_in(module.STAGE, settings, tmp_path / "cut", "tiny", stop)
    cut = make_in(module.STAGE, settings, tmp_path / "cut", "tiny", lambda event: None, resume=True)
    assert cut.fingerprint == whole.fingerprint and len(cut.metrics()) == settings.train.steps


def test_all_pairs_come_once_an_epoch_and_a_prompts_pairs_stay_together(file):
    config = change(dpo.SETTINGS["tiny"], {"data": str(file)})
    train, held_out, known = pair_tuning.pairs_for(config, {})
    assert known is None and len(held_out) == 3 and len(train) == 33
    assert not {each.prompt for each in train} & {each.prompt for each in held_out}
    seen = Counter(i for place in range(10) for i in pair_tuning.chosen_pairs(range(10), 2, place, 0))
    assert seen == dict.fromkeys(range(10), 4)  # 20 pairs of 5
    for place in range(5):
        first, second, *_ = pair_tuning.chosen_pairs(range(10), 2, place, 0)
        assert first % 2 == 0 and second == first + 1


def test_parts_are_of_whole_pairs_and_none_of_one_alone():
    assert [each.stop - each.start for each in dpo.parts(66)] == [66]
    assert [each.stop - each.start for each in dpo.parts(200)] == [64, 64, 64, 8]
    assert [each.stop - each.start for each in dpo.parts(2)] == [2]


def test_the_settings_name_every_loss():
    assert get_type_hints(dpo.DPOConfig)["loss"].__args__ == LOSSES


def test_a_reward_model_judges_a_file(home, file, tmp_path, capsys):
    run = made("reward", data=str(file))
    assert Judge(data=str(file), model=str(run.path)).run() == 0
    assert "of 36 pairs" in capsys.readouterr().out
    talks = tmp_path / "talks.jsonl"
    talks.write_text(json.dumps({"instruction": "Say 1", "output": "1."}) + "\n")
    assert Judge(data=str(talks), model=str(run.path)).run() == 0
    score, said = capsys.readouterr().out.split()
    [expected] = run.score([(Message("user", "Say 1"), Message("assistant", "1."))])
    assert float(score) == pytest.approx(expected, abs=1e-3) and said == "1."
    with pytest.raises(BadInput, match=r"Conversation 2 has \d+ tokens"):
        run.score([(Message("user", "Say"), Message("assistant", "a " * n)) for n in (1, 500)])


@pytest.mark.parametrize(
    ("stage", "changes", "words"),
    [
        ("dpo", {"beta": 0.0}, "beta is 0"),
        ("dpo", {"beta": -1.0}, "beta is -1"),
        ("dpo", {"label_smoothing": 0.5}, "label_smoothing is 0.5"),
        ("dpo", {"loss": "ipo", "label_smoothing": 0.1}, "of the loss dpo alone"),
        ("dpo", {"gamma": 0.5}, "of the loss simpo alone"),
        ("dpo", {"loss": "kto", "accumulation": 2}, "accumulation 1"),
        ("dpo", {"loss": "best"}, "loss"),
        ("dpo", {"data": "absent.jsonl"}, "absent.jsonl"),
        ("dpo", {"model": "absent"}, "absent"),
        ("reward", {"margin": -1.0}, "margin is -1"),
        ("reward", {"data": "absent.jsonl"}, "absent.jsonl"),
        ("pairs", {"temperature": 0.0}, "temperature is 0"),
        ("pairs", {"sharpness": -1.0}, "sharpness is -1"),
        ("pairs", {"answers": 1}, "answers at least 2"),
    ],
)
def test_what_cannot_be_is_refused_in_one_sentence(home, stage, changes, words):
    with pytest.raises(BadInput, match=words) as told:
        made(stage, **changes)
    assert "\n" not in str(told.value)


@pytest.mark.parametrize(
    ("line", "words"),
    [
        ({"prompt": "Say", "chosen": "a", "rejected": "a"}, "line 3: chosen and rejected are the same"),
        ({"prompt": "Say", "chosen": "a"}, "line 3 has the fields"),
        ({"prompt": "Say", "chosen": "a", "rejected": " "}, "line 3 has an empty rejected"),
        ({"prompt": "Say", "chosen": "a", "rejected": "a " * 500}, r"pair \d has \d+ tokens .* context holds 384"),
    ],
)
def test_pairs_that_cannot_be_learned_from_are_named(home, tmp_path, line, words):
    path = tmp_path / "own.jsonl"
    good = [{"prompt": f"Say {n}", "chosen": "a", "rejected": "b"} for n in range(2)]
    path.write_text("".join(json.dumps(each) + "\n" for each in [*good, line]))
    with pytest.raises(BadInput, match=words):
        made("reward", data=str(path))


def test_a_model_that_does_not_answer_has_no_pairs_and_no_preferences(home):
    base = str(made("base").path)
    for stage in ("pairs", "reward", "dpo"):
        with pytest.raises(BadInput, match="no chat template"):
            made(stage, model=base)
    with pytest.raises(BadInput, match="holds no model"):
        found.trained(str(made("reward").path))


def test_dropout_is_off_for_the_policy():
    from insideout.finetuning.chat import ChatFormat, ChatWriter, with_chat_tokens
    from insideout.recipes.start import Start
    from insideout.transformer.config import GPTConfig
    from insideout.transformer.model import GPT
    from insideout.transformer.tokenizer import BPETokenizer

    tokenizer = with_chat_tokens(BPETokenizer.train(["Where is the ball?"], 262))
    sizes = {"context_length": 16, "d_model": 16, "n_layers": 1, "n_heads": 2, "dropout": 0.5}
    model = GPT(GPTConfig(vocab_size=tokenizer.vocab_size, **sizes))
    start = Start(ChatWriter(model, tokenizer), ChatFormat(tokenizer), "ours")
    ids = torch.arange(10)[None]
    policy = start.model(dropout=False).train()
    assert policy(ids).equal(model.eval()(ids))
    assert not start.model().train()(ids).equal(model(ids))
