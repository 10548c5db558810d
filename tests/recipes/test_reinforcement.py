"""Ppo and rloo: what they learn from, what they leave, how they go on after a stop, what they refuse."""

import json
import os
import re
import signal

import pytest
import torch

from insideout.cli.commands.ppo import after
from insideout.cli.flags import docstrings, names_in
from insideout.data.suite import Message
from insideout.data.town.instructions import Town
from insideout.errors import BadInput
from insideout.recipes import found, ppo, reinforcement, rloo
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
def compared(home):
    return made("rloo")


def test_rloo_learns_from_the_reward_model_and_gold_is_told_beside(compared):
    records = compared.metrics()
    assert len(records) == rloo.SETTINGS["tiny"].train.steps
    told = {"reward", "gold", "kl", "kl_k3", "entropy", "length", "stopped", "clip_fraction", "ratio_max", "beta"}
    for record in records:
        assert told <= record.keys() and "value_loss" not in record
    assert records[0]["kl"] == pytest.approx(0, abs=1e-4) and records[0]["ratio_max"] == pytest.approx(1, abs=1e-4)
    assert records[0]["reward"] != pytest.approx(records[0]["gold"], abs=0.01)
    assert {"correct", "stop_rate", "held_out_gold", "held_out_kl"} <= compared.result().keys()


def test_the_report_has_its_sections(compared):
    page = compared.report.read_text("utf-8")
    headings = re.findall(r"<h2>(.*?)</h2>", page)
    for section in ("Reward", "Distance from the reference", "Entropy", "Length", "Stops", "Clip"):
        assert section in headings


def test_what_learned_answers_in_its_format_and_says_so(compared):
    [[answer]] = compared.writer(0.0).write([(Message("user", "Where is Anna?"),)], 1, 0, 5)
    assert 0 < len(answer.ids) <= 5
    assert found.trained(str(compared.path)).fingerprint == compared.fingerprint
    said = after(compared)
    assert "at first" in said and "chat --model" in said


def test_the_policy_began_as_the_assistant_and_moved(compared):
    before, now = (run.model().state_dict() for run in (made("sft"), compared))
    assert before.keys() == now.keys()
    assert any(not torch.equal(before[name], now[name]) for name in before)


def test_its_questions_are_of_the_training_split_and_new_in_each_round():
    config = rloo.SETTINGS["tiny"]
    of = reinforcement.questions_of(config)
    assert [q.prompt for q in of(3)] == [q.prompt for q in of(3)] != [q.prompt for q in of(4)]
    assert len(of(0)) == config.policy.prompts
    assert {Town().split_of(question) for number in range(5) for question in of(number)} == {"train"}


def test_a_stopped_ppo_goes_on_to_the_same_weights(home, tmp_path):
    """Stopped in the middle of a round, and its critic with it."""
    settings = change(ppo.SETTINGS["tiny"], {"reward": "gold", "eval_every": 0})

    def stop(event):
        if isinstance(event, Step) and event.step == 5:
            os.kill(os.getpid(), signal.SIGINT)

    whole = make_in(ppo.STAGE, settings, tmp_path / "whole", "tiny", lambda event: None)
    with pytest.raises(Interrupted):
        make_in(ppo.STAGE, settings, tmp_path / "cut", "tiny", stop)
    cut = make_in(ppo.STAGE, settings, tmp_path / "cut", "tiny", lambda event: None, resume=True)
    assert cut.fingerprint == whole.fingerprint and len(cut.metrics()) == settings.train.steps
    for record in whole.metrics():
        assert record["reward"] <= record["gold"] and {"value_loss", "entropy"} <= record.keys()
    assert "Critic" in whole.report.read_text("utf-8")
    model = whole.model()
    assert whole.about["n_parameters"] == model.n_parameters


def test_gold_takes_the_place_of_the_reward_model(home):
    assert set(plan("ppo", "tiny", changes={"reward": "gold"}).inputs) == {"model"}
    assert set(plan("ppo", "tiny").inputs) == {"model", "reward"}
    assert plan("rloo", "tiny", changes={"model": {"steps": 31}}).inputs["model"].settings.train.steps == 31


def test_prompts_of_ones_own(home, tmp_path):
    file = tmp_path / "talks.jsonl"
    lines = [{"instruction": f"Say {n}", "output": f"Number {n}."} for n in range(6)]
    file.write_text("".join(json.dumps(line) + "\n" for line in lines))
    config = change(rloo.SETTINGS["tiny"], {"data": str(file)})
    of = reinforcement.questions_of(config)
    seen = [question.prompt[-1].content for number in range(3) for question in of(number)]
    assert sorted(seen) == sorted([f"Say {n}" for n in range(6)] * 2)
    with pytest.raises(BadInput, match="has 6 different prompts and a round asks 8"):
        reinforcement.questions_of(change(config, {"prompts": 8, "batch_size": 16}))


@pytest.mark.parametrize(
    ("name", "changes", "words"),
    [
        ("ppo", {"advantage": "leave_one_out"}, "use rloo, or gae"),
        ("rloo", {"advantage": "gae", "samples": 1, "batch_size": 4}, "needs a critic"),
        ("rloo", {"precision": "bfloat16"}, "it must be float32"),
        ("rloo", {"parallel": "fsdp"}, "drawn from a whole model"),
        ("rloo", {"batch_size": 5}, "16 answers and an update is made from 5"),
        ("rloo", {"data": "absent.jsonl"}, "reward model, or data town"),
        ("rloo", {"data": ""}, "data is empty"),
        ("ppo", {"lam": 1.5}, "lam is 1.5"),
        ("rloo", {"max_new_tokens": 2000}, "the context holds"),
        ("rloo", {"model": "absent"}, "There is no model in absent"),
        ("rloo", {"reward": "absent"}, "absent"),
        ("rloo", {"advantage": "best"}, "advantage is 'best'"),
    ],
)
def test_what_cannot_be_is_refused_in_one_sentence(home, name, changes, words):
    with pytest.raises(BadInput, match=words) as refused:
        made(name, **({"reward": "gold"} | changes))
    assert "\n" not in str(refused.value)


def test_every_setting_has_its_words_and_a_name_of_its_own():
    for kind in (ppo.PPOConfig, rloo.RLOOConfig):
        assert {"model", "reward", "data", "policy", "train"} <= docstrings(kind).keys()
        names = names_in(kind)
        assert len(names) == len(set(names)), "a flag would need a prefix"
